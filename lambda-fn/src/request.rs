//! A request as both doors hand it in: Lambda's event and plain HTTP look alike from here on.

use bytes::Bytes;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, Method};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};

/// A whole request.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The path without the stage and without the query; may be percent-encoded.
    pub path: String,
    /// The query's parameters, decoded.
    pub query: Vec<(String, String)>,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// What stood before the path at this host: the stage, as `/Server1`, or nothing.
    pub prefix: String,
    /// How the client came, unless a header says otherwise.
    pub scheme: &'static str,
}

/// A form or a query holds bytes that are no UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotUtf8;

impl Request {
    /// A header's text; the first, where there are several. Absent where it is no visible ASCII.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The last value of a query parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The id by which the client's side knows this request; one of odd letters is passed over, for it is logged.
    pub fn request_id(&self) -> Option<&str> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:=+/".contains(&byte);
        self.header("x-request-id").filter(|id| (1..=128).contains(&id.len()) && id.bytes().all(plain))
    }

    /// The base URL under which the client knows this server, without a slash at the end.
    ///
    /// A proxy in front says it in `X-Forwarded-Host`, `-Proto` and `-Prefix`: then the stage is no part of it. A value
    /// that could not stand in a URL is passed over.
    pub fn base_url(&self) -> String {
        let first = |name| self.header(name)?.split(',').next().map(str::trim);
        let scheme = match first("x-forwarded-proto") {
            Some("https") => "https",
            Some("http") => "http",
            _ => self.scheme,
        };
        let authority =
            |text: &str| text.parse::<Authority>().ok().filter(|host| !host.as_str().contains('@'));
        if let Some(host) = first("x-forwarded-host").and_then(authority) {
            let prefix = first("x-forwarded-prefix").filter(|prefix| is_prefix(prefix)).unwrap_or_default();
            return format!("{scheme}://{host}{}", prefix.trim_end_matches('/'));
        }
        let host = first("host").and_then(authority);
        host.map_or_else(|| self.prefix.clone(), |host| format!("{scheme}://{host}{}", self.prefix))
    }
}

fn is_prefix(text: &str) -> bool {
    let parsed = text.parse::<PathAndQuery>();
    text.starts_with('/') && !text.starts_with("//") && parsed.is_ok_and(|parsed| parsed.query().is_none())
}

/// Decodes `application/x-www-form-urlencoded`, which queries are written in as well.
pub fn decode_form(text: &[u8]) -> Result<Vec<(String, String)>, NotUtf8> {
    let pieces = text.split(|&byte| byte == b'&').filter(|piece| !piece.is_empty());
    pieces
        .map(|piece| {
            let (name, value) = match piece.iter().position(|&byte| byte == b'=') {
                Some(place) => (&piece[..place], &piece[place + 1..]),
                None => (piece, &piece[..0]),
            };
            Ok((decode(name)?, decode(value)?))
        })
        .collect()
}

fn decode(text: &[u8]) -> Result<String, NotUtf8> {
    let blanks: Vec<u8> = text.iter().map(|&byte| if byte == b'+' { b' ' } else { byte }).collect();
    percent_decode(&blanks).decode_utf8().map(|text| text.into_owned()).map_err(|_| NotUtf8)
}

/// Writes parameters as a query. All but letters and digits is encoded: API Gateway refuses a plain `|` and splits at `;`.
pub fn encode_query<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    const PLAIN: &percent_encoding::AsciiSet =
        &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    let pairs = pairs.into_iter().map(|(name, value)| {
        format!("{}={}", utf8_percent_encode(name, PLAIN), utf8_percent_encode(value, PLAIN))
    });
    pairs.collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(headers: &[(&'static str, &str)]) -> Request {
        let headers = headers.iter().map(|(name, value)| {
            (http::HeaderName::from_static(name), http::HeaderValue::from_str(value).unwrap())
        });
        Request {
            method: Method::GET,
            path: "/".into(),
            query: vec![],
            headers: headers.collect(),
            body: Bytes::new(),
            prefix: "/Server1".into(),
            scheme: "https",
        }
    }

    #[test]
    fn the_base_url_is_the_one_the_client_knows() {
        for (headers, expected) in [
            (vec![], "/Server1"),
            (vec![("host", "h.example.org")], "https://h.example.org/Server1"),
            (vec![("host", "h:8443"), ("x-forwarded-proto", "http")], "http://h:8443/Server1"),
            (vec![("host", "h"), ("x-forwarded-host", "ehr.example.org, x")], "https://ehr.example.org"),
            (vec![("x-forwarded-host", "e"), ("x-forwarded-prefix", "/fhir/")], "https://e/fhir"),
            (vec![("x-forwarded-host", "e"), ("x-forwarded-prefix", "//evil")], "https://e"),
            (vec![("host", "h"), ("x-forwarded-host", "a b\"<")], "https://h/Server1"),
            (vec![("host", "user@h")], "/Server1"),
        ] {
            assert_eq!(request(&headers).base_url(), expected, "{headers:?}");
        }
    }

    #[test]
    fn a_form_is_decoded_once() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let decoded = decode_form(b"a=1&&b=%C3%A9+x%2B%2525&c&=d&e=%zz%").unwrap();
        assert_eq!(
            decoded,
            [pair("a", "1"), pair("b", "é x+%25"), pair("c", ""), pair("", "d"), pair("e", "%zz%")]
        );
        assert_eq!(decode_form(b"a=%ff"), Err(NotUtf8));
    }

    #[test]
    fn a_query_is_written_so_that_a_gateway_lets_it_pass() {
        assert_eq!(
            encode_query([("identifier", "urn:s|1;2"), ("n", "é")]),
            "identifier=urn%3As%7C1%3B2&n=%C3%A9"
        );
    }
}
