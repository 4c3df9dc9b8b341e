//! An upstream's URL, taken apart. Strict, because what is joined to it later is a client's path.

use super::names::is_host;
use http::HeaderValue;
use http::uri::PathAndQuery;

/// The parts of a URL.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Url {
    /// As written, without a closing slash.
    pub(super) text: String,
    /// `https`.
    pub(super) tls: bool,
    /// In lower case, an IPv6 address without brackets.
    pub(super) host: String,
    /// The scheme's own unless one stands.
    pub(super) port: u16,
    /// The host, and the port where it is not the scheme's own.
    pub(super) authority: HeaderValue,
    /// Empty, or `/…` without a closing slash.
    pub(super) base_path: String,
}

/// What is wrong with a URL, and what would be right; never repeats it: it may hold a password.
pub(super) type UrlProblem = (&'static str, &'static str);

impl Url {
    /// # Errors
    /// The first mistake in it.
    pub(super) fn parse(text: &str) -> Result<Self, UrlProblem> {
        let (tls, rest) = scheme(text)?;
        if rest.contains(['?', '#']) {
            return Err((
                "holds a query or a fragment",
                "end it with the base path; a query is the client's",
            ));
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err((
                "holds a user or a password",
                "remove it; set a header such as `authorization` instead",
            ));
        }
        let default_port = if tls { 443 } else { 80 };
        let (host, port) = host_and_port(authority)?;
        let host = host.to_ascii_lowercase();
        let port = port.unwrap_or(default_port);
        let shown = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        let authority = if port == default_port { shown } else { format!("{shown}:{port}") };
        let authority = HeaderValue::from_str(&authority).map_err(|_| NO_HOST)?;
        let base_path = path.trim_end_matches('/');
        check_path(base_path).map_err(|wrong| (wrong, "write a plain base path such as `/Server1`"))?;
        let text = text.trim_end_matches('/').to_owned();
        Ok(Self { text, tls, host, port, authority, base_path: base_path.to_owned() })
    }
}

const NO_HOST: UrlProblem =
    ("names no host", "write a name or an address after the scheme: `https://fhir.example.org`");
const NO_PORT: UrlProblem = ("has no good port", "write a port from 1 to 65535, or none");

fn scheme(text: &str) -> Result<(bool, &str), UrlProblem> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(("has no scheme", "start it with `https://` or `http://`"));
    };
    match scheme.to_ascii_lowercase().as_str() {
        "https" => Ok((true, rest)),
        "http" => Ok((false, rest)),
        _ => Err(("has a scheme the proxy does not speak", "start it with `https://` or `http://`")),
    }
}

fn host_and_port(authority: &str) -> Result<(&str, Option<u16>), UrlProblem> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or(NO_HOST)?;
            if host.parse::<std::net::Ipv6Addr>().is_err() {
                return Err(NO_HOST);
            }
            (host, if after.is_empty() { None } else { Some(after.strip_prefix(':').ok_or(NO_PORT)?) })
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    if host.is_empty() || !is_host(host) {
        return Err(NO_HOST);
    }
    Ok((host, port.map(parse_port).transpose()?))
}

fn parse_port(port: &str) -> Result<u16, UrlProblem> {
    let digits = port.bytes().all(|b| b.is_ascii_digit());
    port.parse().ok().filter(|port| digits && *port != 0).ok_or(NO_PORT)
}

/// A path without a query, of segments that mean themselves.
pub(super) fn check_path(path: &str) -> Result<(), &'static str> {
    if path.is_empty() {
        return Ok(());
    }
    if !path.starts_with('/') {
        return Err("does not start with `/`");
    }
    if path.contains(['?', '#']) {
        return Err("holds a query or a fragment");
    }
    let odd = |b: u8| {
        !b.is_ascii_graphic() || matches!(b, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}')
    };
    if path.bytes().any(odd) || PathAndQuery::try_from(path).is_err() {
        return Err("holds a character that must be percent-encoded");
    }
    let is_dots =
        |segment: &str| matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..");
    if path.split('/').any(is_dots) {
        return Err("holds a dot segment");
    }
    if path.contains("//") {
        return Err("holds an empty segment");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, host: &str, port: u16, authority: &str, base_path: &str) {
        let url = Url::parse(text).unwrap();
        assert_eq!((url.host.as_str(), url.port, url.base_path.as_str()), (host, port, base_path), "{text}");
        assert_eq!(url.authority, authority, "{text}");
    }

    #[test]
    fn a_url_is_taken_apart_and_the_authority_holds_only_a_port_of_its_own() {
        check("https://fhir.example.org", "fhir.example.org", 443, "fhir.example.org", "");
        check("https://FHIR.example.org:443/", "fhir.example.org", 443, "fhir.example.org", "");
        check(
            "http://fhir.example.org:8080/Server1/",
            "fhir.example.org",
            8080,
            "fhir.example.org:8080",
            "/Server1",
        );
        check("http://[::1]:9443/a/b", "::1", 9443, "[::1]:9443", "/a/b");
        check("HTTPS://[::1]", "::1", 443, "[::1]", "");
        check("http://127.0.0.1", "127.0.0.1", 80, "127.0.0.1", "");
        assert_eq!(Url::parse("https://a.example.org/x/").unwrap().text, "https://a.example.org/x");
    }

    #[test]
    fn a_url_that_could_mean_two_things_is_refused() {
        for wrong in [
            "",
            "fhir.example.org",
            "ftp://fhir.example.org",
            "https://",
            "https:///x",
            "https://:443",
            "https://user:secret@fhir.example.org",
            "https://a.example.org?x=1",
            "https://a.example.org/#x",
            "https://a.example.org:0",
            "https://a.example.org:65536",
            "https://a.example.org:+1",
            "https://a.example.org:",
            "https://a..org",
            "https://a b.org",
            "https://-a.org",
            "https://1.2.3",
            "https://::1",
            "https://[::1",
            "https://[::1]x",
            "https://[fhir]",
            "https://a.example.org/../x",
            "https://a.example.org/%2E%2e/x",
            "https://a.example.org/.",
            "https://a.example.org//x",
            "https://a.example.org/a b",
            "https://a.example.org/ä",
            "https://a.example.org/a\\b",
        ] {
            assert!(Url::parse(wrong).is_err(), "{wrong}");
        }
    }
}
