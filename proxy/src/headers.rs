//! The header rules: what goes on to an upstream, what goes back to the client. Pure functions on header maps.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use std::fmt::Write as _;
use std::net::IpAddr;

/// Names that every request needs, made once: a name made of text is parsed each time.
pub mod name {
    use http::HeaderName;

    /// What the client and the upstreams call the request.
    pub static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
    /// When who asks gives up.
    pub static X_REQUEST_DEADLINE: HeaderName = HeaderName::from_static("x-request-deadline");
    /// Who asked, hop by hop.
    pub static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
    /// How the client came.
    pub static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
    /// The host it asked for.
    pub static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
    /// What was taken off the path.
    pub static X_FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
    /// W3C Trace Context.
    pub static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
    /// W3C Trace Context, what vendors say.
    pub static TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
    /// API Gateway's key of a client.
    pub static X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
    /// What API Gateway calls its error.
    pub static X_AMZN_ERRORTYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");
    /// Under which API Gateway logs the request.
    pub static X_AMZN_REQUESTID: HeaderName = HeaderName::from_static("x-amzn-requestid");
    /// How the client would be answered (RFC 7240).
    pub static PREFER: HeaderName = HeaderName::from_static("prefer");
    /// How many attempts it took.
    pub static X_AORTA_ATTEMPTS: HeaderName = HeaderName::from_static("x-aorta-attempts");
    /// Which upstream answered.
    pub static X_AORTA_UPSTREAM: HeaderName = HeaderName::from_static("x-aorta-upstream");
    /// How long it took.
    pub static SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
}

/// Fields that mean one connection only (RFC 9110 section 7.6.1).
#[must_use]
pub fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "transfer-encoding"
            | "te"
            | "trailer"
            | "upgrade"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "keep-alive"
            | "proxy-connection"
            | "http2-settings"
    )
}

/// Fields Aorta sets itself: the client's own must not reach the upstream.
fn is_ours(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "host"
            | "content-length"
            | "expect"
            | "x-forwarded-for"
            | "x-forwarded-proto"
            | "x-forwarded-host"
            | "x-forwarded-prefix"
            | "x-request-id"
            | "x-request-deadline"
            | "traceparent"
            | "x-aorta-upstream"
            | "x-aorta-attempts"
    )
}

/// The fields of a message that travel on: without hop-by-hop fields and those its `Connection` names.
pub fn end_to_end(headers: &HeaderMap) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
    let named = connection_names(headers);
    headers.iter().filter(move |(name, _)| {
        !is_hop_by_hop(name) && !named.iter().any(|other| other.eq_ignore_ascii_case(name.as_str()))
    })
}

/// The fields of a client's request that travel on, without those Aorta sets itself.
pub fn for_upstream(headers: &HeaderMap) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
    end_to_end(headers).filter(|(name, _)| !is_ours(name))
}

/// The fields of an answer that travel on, with room for those that Aorta adds.
#[must_use]
pub fn for_client(headers: &HeaderMap) -> HeaderMap {
    let mut fields = HeaderMap::with_capacity(headers.len() + ADDED);
    for (name, value) in end_to_end(headers) {
        fields.append(restored_name(name).unwrap_or_else(|| name.clone()), value.clone());
    }
    fields
}

/// Fields that an answer may gain on its way.
const ADDED: usize = 6;

fn connection_names(headers: &HeaderMap) -> Vec<&str> {
    headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(','))
        .map(str::trim)
        // What every connection says is no extension field.
        .filter(|name| {
            !name.is_empty()
                && !name.eq_ignore_ascii_case("close")
                && !name.eq_ignore_ascii_case("keep-alive")
        })
        .collect()
}

/// A number as the value of a field.
#[must_use]
pub fn number(number: u64) -> HeaderValue {
    // Attempts, above all.
    const SMALL: [&str; 4] = ["0", "1", "2", "3"];
    if let Some(text) = usize::try_from(number).ok().and_then(|number| SMALL.get(number)) {
        return HeaderValue::from_static(text);
    }
    let text = itoa::Buffer::new().format(number).to_owned();
    // Digits are a header value.
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("0"))
}

/// `X-Forwarded-For`: what came, and the address of whoever connects behind it.
#[must_use]
pub fn forwarded_for(headers: &HeaderMap, peer: Option<IpAddr>) -> Option<HeaderValue> {
    let mut list = String::with_capacity(ADDRESS_BYTES);
    let came = headers.get_all(&name::X_FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok());
    for (index, text) in came.enumerate() {
        list.push_str(if index > 0 { ", " } else { "" });
        list.push_str(text);
    }
    if let Some(peer) = peer {
        list.push_str(if list.is_empty() { "" } else { ", " });
        write_address(&mut list, peer);
    }
    if list.is_empty() { None } else { HeaderValue::try_from(list).ok() }
}

/// An IPv4 address has so many bytes at most.
const ADDRESS_BYTES: usize = "255.255.255.255".len();

/// As `Display` writes it; of IPv4 without its machinery for padding, which costs more than the rest of the field.
fn write_address(list: &mut String, address: IpAddr) {
    match address {
        IpAddr::V4(four) => {
            for (index, octet) in four.octets().into_iter().enumerate() {
                list.push_str(if index > 0 { "." } else { "" });
                list.push_str(itoa::Buffer::new().format(octet));
            }
        }
        IpAddr::V6(six) => drop(write!(list, "{six}")),
    }
}

/// The client's request id, when it is one that a log can hold. It is remembered longer than the request, so it is a
/// copy: the value itself is a part of all that was read with it, body and all.
#[must_use]
pub fn request_id(headers: &HeaderMap) -> Option<HeaderValue> {
    let bytes = headers.get(&name::X_REQUEST_ID)?.as_bytes();
    let fits = (1..=64).contains(&bytes.len())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    if fits { HeaderValue::from_bytes(bytes).ok() } else { None }
}

/// What API Gateway renames on the way back ("Important notes" of the REST API, remapped headers).
#[must_use]
pub fn restored_name(name: &HeaderName) -> Option<HeaderName> {
    match name.as_str() {
        "x-amzn-remapped-www-authenticate" => Some(header::WWW_AUTHENTICATE),
        "x-amzn-remapped-authorization" => Some(header::AUTHORIZATION),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields
            .iter()
            .map(|&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    fn names(headers: &HeaderMap) -> Vec<String> {
        for_upstream(headers).map(|(name, _)| name.to_string()).collect()
    }

    #[test]
    fn fields_of_one_connection_stay_on_it() {
        let came = map(&[
            ("connection", "keep-alive, X-Secret-Hop"),
            ("x-secret-hop", "1"),
            ("te", "trailers"),
            ("upgrade", "h2c"),
            ("keep-alive", "300"),
            ("proxy-connection", "x"),
            ("accept", "application/fhir+json"),
        ]);
        assert_eq!(names(&came), ["accept"]);
    }

    #[test]
    fn a_client_cannot_set_what_the_proxy_says() {
        let came =
            map(&[("x-request-deadline", "0"), ("host", "evil"), ("x-forwarded-host", "evil"), ("a", "b")]);
        assert_eq!(names(&came), ["a"]);
    }

    #[test]
    fn the_client_is_added_behind_the_addresses_that_came() {
        let address = Some(IpAddr::from([127, 0, 0, 1]));
        let both = forwarded_for(&map(&[("x-forwarded-for", "10.0.0.1")]), address).unwrap();
        assert_eq!(both, "10.0.0.1, 127.0.0.1");
        assert_eq!(forwarded_for(&HeaderMap::new(), address).unwrap(), "127.0.0.1");
    }

    #[test]
    fn a_number_is_its_digits() {
        for value in [0, 1, 3, 4, 10, 1234, u64::MAX] {
            assert_eq!(number(value), value.to_string().as_str());
        }
    }

    #[test]
    fn only_well_formed_ids_are_taken_over() {
        assert!(request_id(&map(&[("x-request-id", "a-B_1.2")])).is_some());
        assert!(request_id(&map(&[("x-request-id", "a b")])).is_none());
    }

    #[test]
    fn an_id_that_is_remembered_does_not_keep_what_was_read_with_it() {
        let read = Bytes::from(b"some id and a long body".to_vec());
        let mut headers = HeaderMap::new();
        let value = HeaderValue::from_maybe_shared(read.slice(5..7)).unwrap();
        headers.insert(&name::X_REQUEST_ID, value);
        let id = request_id(&headers).unwrap();
        drop(headers);
        assert!(id == "id" && read.is_unique());
    }
}
