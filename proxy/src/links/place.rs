//! Two sides of one place: the base under which the client knows the records, and the upstream's own.
//!
//! An upstream may call itself by more than one name. Behind a gateway that ends TLS it does not know the scheme
//! it was asked by; and one that heeds `X-Forwarded-Host` names the client's host, but with the scheme that the
//! gateway wrote over ours (API Gateway always writes `https`). So a scheme never decides; host, port and path do.

use std::fmt::Write as _;

/// The base that the client used.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClientSide<'a> {
    /// It came over TLS.
    pub tls: bool,
    /// The host it asked for, with its port if it said one.
    pub authority: &'a str,
    /// What the route takes off the path: empty, or `/…` without closing slash.
    pub prefix: &'a str,
}

/// An upstream's own base.
#[derive(Clone, Copy, Debug, Default)]
pub struct UpstreamSide<'a> {
    /// It is spoken to over TLS.
    pub tls: bool,
    /// Name or address, without brackets.
    pub host: &'a str,
    /// Its port.
    pub port: u16,
    /// Empty, or `/…` without closing slash.
    pub base_path: &'a str,
}

/// Both sides, and what marks a page as this upstream's.
#[derive(Clone, Copy, Debug, Default)]
pub struct Links<'a> {
    /// Where the client is.
    pub client: ClientSide<'a>,
    /// Who answered.
    pub upstream: UpstreamSide<'a>,
    /// Appended to links that lead on from this answer, so that the next request finds its way back.
    pub mark: Option<&'a str>,
}

/// What a URL is to us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kin {
    /// Somebody else's, or none at all.
    Foreign,
    /// Resolved by the client against its own base: it stays.
    Relative,
    /// The first `cut` bytes become `put`.
    Ours {
        /// Bytes of the URL that are the base.
        cut: usize,
        /// The client's base.
        put: String,
    },
}

const HTTP: u16 = 80;
const HTTPS: u16 = 443;

impl Links<'_> {
    /// The value of `Location` or `Content-Location` as the client must see it; none where it stays.
    ///
    /// `leads_on` says that what is found there is known to this upstream only (the state of a job).
    #[must_use]
    pub fn header(&self, value: &str, leads_on: bool) -> Option<String> {
        let kin = self.judge(value.as_bytes());
        let (cut, mut text) = match kin {
            Kin::Foreign => return None,
            Kin::Relative => (0, String::new()),
            Kin::Ours { cut, put } => (cut, put),
        };
        text.push_str(value.get(cut..)?);
        if let Some(mark) = self.mark.filter(|_| leads_on && !text.contains('#')) {
            let _ = write!(text, "{}{mark}", if text.contains('?') { '&' } else { '?' });
        }
        (text != value).then_some(text)
    }

    /// So many bytes of a URL are enough to judge it: scheme, brackets, port, and a byte behind the base.
    pub(super) fn enough(&self) -> usize {
        let host = self.upstream.host.len().max(self.client.authority.len());
        "https://[]:65535".len() + host + self.upstream.base_path.len().max(self.client.prefix.len()) + 1
    }

    /// Judges a URL by its beginning, of which at least [`Self::enough`] bytes are there, or all.
    pub(super) fn judge(&self, url: &[u8]) -> Kin {
        if let Some((scheme_port, at)) = scheme(url) {
            return self.judge_absolute(url, at, scheme_port);
        }
        if url.starts_with(b"/") && !url.starts_with(b"//") {
            return self.judge_path(url);
        }
        let end = url.iter().position(|byte| matches!(byte, b':' | b'/' | b'?' | b'#')).unwrap_or(url.len());
        let names_a_scheme = url.get(end) == Some(&b':');
        if names_a_scheme || url.starts_with(b"//") { Kin::Foreign } else { Kin::Relative }
    }

    fn judge_absolute(&self, url: &[u8], at: usize, scheme_port: u16) -> Kin {
        let rest = &url[at..];
        let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let Some((host, port)) = host_and_port(authority) else { return Kin::Foreign };
        let (upstream, client) = (&self.upstream, &self.client);
        // One that names the other scheme may keep its port or leave it out.
        let port = port.unwrap_or(scheme_port);
        let is_at = |name: &[u8], own: u16, tls: bool| {
            let same_port = port == own || own == default_port(tls) && port == scheme_port;
            same_port && !name.is_empty() && host.eq_ignore_ascii_case(name)
        };
        if is_at(upstream.host.as_bytes(), upstream.port, upstream.tls) {
            return match starts_with(path, upstream.base_path) {
                true => self.ours(at + end + upstream.base_path.len()),
                false => Kin::Foreign,
            };
        }
        let (name, own) = host_and_port(client.authority.as_bytes()).unwrap_or_default();
        if !is_at(name, own.unwrap_or(default_port(client.tls)), client.tls) {
            return Kin::Foreign;
        }
        // The upstream knows the client's host; whether it also knows the prefix, or keeps its own, shows here.
        let base = if !client.prefix.is_empty() && starts_with(path, client.prefix) {
            client.prefix
        } else if starts_with(path, upstream.base_path) {
            upstream.base_path
        } else {
            ""
        };
        self.ours(at + end + base.len())
    }

    fn judge_path(&self, url: &[u8]) -> Kin {
        let (own, prefix) = (self.upstream.base_path, self.client.prefix);
        if !own.is_empty() && starts_with(url, own) {
            let root = prefix.is_empty() && url.get(own.len()).is_none_or(|byte| *byte != b'/');
            return Kin::Ours { cut: own.len(), put: if root { "/".to_owned() } else { prefix.to_owned() } };
        }
        if own.is_empty() && !starts_with(url, prefix) {
            return Kin::Ours { cut: 0, put: prefix.to_owned() };
        }
        Kin::Relative
    }

    fn ours(&self, cut: usize) -> Kin {
        let ClientSide { tls, authority, prefix } = self.client;
        let scheme = if tls { "https" } else { "http" };
        Kin::Ours { cut, put: format!("{scheme}://{authority}{prefix}") }
    }
}

/// The default port of the scheme a URL names, and where its authority begins.
fn scheme(url: &[u8]) -> Option<(u16, usize)> {
    let names = |scheme: &str| {
        url.get(..scheme.len()).is_some_and(|beginning| beginning.eq_ignore_ascii_case(scheme.as_bytes()))
    };
    if names("https://") {
        return Some((HTTPS, 8));
    }
    names("http://").then_some((HTTP, 7))
}

const fn default_port(tls: bool) -> u16 {
    if tls { HTTPS } else { HTTP }
}

/// Host without brackets, and the port that stands; none for what is no plain authority.
fn host_and_port(authority: &[u8]) -> Option<(&[u8], Option<u16>)> {
    let (host, port) = match authority.strip_prefix(b"[") {
        Some(rest) => {
            let end = rest.iter().position(|&byte| byte == b']')?;
            (&rest[..end], &rest[end + 1..])
        }
        None => {
            authority.split_at(authority.iter().position(|&byte| byte == b':').unwrap_or(authority.len()))
        }
    };
    if port.is_empty() {
        return Some((host, None));
    }
    let digits = std::str::from_utf8(port.strip_prefix(b":")?).ok()?;
    if digits.is_empty() { Some((host, None)) } else { Some((host, Some(digits.parse().ok()?))) }
}

/// The path is the base, or lies below it.
fn starts_with(path: &[u8], base: &str) -> bool {
    path.strip_prefix(base.as_bytes())
        .is_some_and(|rest| matches!(rest.first(), None | Some(b'/' | b'?' | b'#')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(client: &'static str, prefix: &'static str, base_path: &'static str) -> Links<'static> {
        let (tls, authority) = match client.strip_prefix("https://") {
            Some(authority) => (true, authority),
            None => (false, client.trim_start_matches("http://")),
        };
        let upstream = UpstreamSide { tls: true, host: "virginia.example.org", port: 443, base_path };
        Links { client: ClientSide { tls, authority, prefix }, upstream, mark: None }
    }

    fn check(links: &Links<'_>, url: &str, expected: &str) {
        let shown = links.header(url, false);
        assert_eq!(shown.as_deref().unwrap_or(url), expected, "{url}");
    }

    #[test]
    fn an_upstreams_base_becomes_the_clients() {
        let links = links("http://127.0.0.1:8080", "", "/Server1");
        for (url, expected) in [
            ("https://virginia.example.org/Server1/Patient/1", "http://127.0.0.1:8080/Patient/1"),
            ("http://virginia.example.org/Server1/Patient/1", "http://127.0.0.1:8080/Patient/1"),
            ("https://virginia.example.org:443/Server1?a=b", "http://127.0.0.1:8080?a=b"),
            ("http://virginia.example.org:443/Server1", "http://127.0.0.1:8080"),
            ("http://virginia.example.org:80/Server1/x", "http://127.0.0.1:8080/x"),
            ("HTTPS://Virginia.Example.org/Server1/x", "http://127.0.0.1:8080/x"),
            ("/Server1/Patient/1", "/Patient/1"),
            ("/Server1", "/"),
            ("/Server1?a", "/?a"),
            // What belongs to somebody else stays.
            ("https://virginia.example.org/Server10/x", "https://virginia.example.org/Server10/x"),
            ("https://virginia.example.org:8443/Server1/x", "https://virginia.example.org:8443/Server1/x"),
            (
                "https://virginia.example.org.evil.example/Server1",
                "https://virginia.example.org.evil.example/Server1",
            ),
            ("https://u@virginia.example.org/Server1", "https://u@virginia.example.org/Server1"),
            ("//virginia.example.org/Server1", "//virginia.example.org/Server1"),
            ("urn:uuid:0", "urn:uuid:0"),
            ("Patient/1", "Patient/1"),
            ("/Server10/x", "/Server10/x"),
            ("", ""),
        ] {
            check(&links, url, expected);
        }
    }

    #[test]
    fn an_upstream_that_knows_the_clients_host_is_put_right_about_scheme_and_prefix() {
        let plain = links("http://aorta.test", "", "/Server1");
        check(&plain, "https://aorta.test/Patient/1", "http://aorta.test/Patient/1");
        check(&plain, "https://aorta.test:443/Patient/1", "http://aorta.test/Patient/1");
        check(&plain, "https://aorta.test/Server1/Patient/1", "http://aorta.test/Patient/1");
        check(&plain, "https://aorta.test:8080/Patient/1", "https://aorta.test:8080/Patient/1");
        let below = links("https://aorta.test:9000", "/fhir", "/Server1");
        check(&below, "http://aorta.test:9000/fhir/Patient", "https://aorta.test:9000/fhir/Patient");
        check(&below, "https://aorta.test:9000/Server1/Patient", "https://aorta.test:9000/fhir/Patient");
        check(&below, "https://aorta.test:9000/Patient", "https://aorta.test:9000/fhir/Patient");
        check(&below, "/Server1/Patient", "/fhir/Patient");
        let bare = links("http://aorta.test", "/fhir", "");
        check(&bare, "/Patient/1", "/fhir/Patient/1");
        check(&bare, "/fhir/Patient/1", "/fhir/Patient/1");
    }

    #[test]
    fn an_ipv6_address_is_known_with_its_brackets() {
        let upstream = UpstreamSide { tls: false, host: "::1", port: 9443, base_path: "" };
        let client = ClientSide { tls: false, authority: "[::1]:8080", prefix: "" };
        let links = Links { client, upstream, mark: None };
        check(&links, "http://[::1]:9443/x", "http://[::1]:8080/x");
        check(&links, "https://[::1]:8080/x", "http://[::1]:8080/x");
        check(&links, "https://[::1/x", "https://[::1/x");
    }

    #[test]
    fn a_place_that_one_upstream_knows_is_marked() {
        let links = Links { mark: Some("_aorta=1"), ..links("http://aorta.test", "", "/Server1") };
        let marked = |url| links.header(url, true);
        let job = "https://virginia.example.org/Server1/jobs/7";
        assert_eq!(marked(job).as_deref(), Some("http://aorta.test/jobs/7?_aorta=1"));
        assert_eq!(marked("/Server1/jobs?id=7").as_deref(), Some("/jobs?id=7&_aorta=1"));
        assert_eq!(marked("jobs/7").as_deref(), Some("jobs/7?_aorta=1"));
        assert_eq!(marked("https://elsewhere.example/jobs/7"), None);
    }
}
