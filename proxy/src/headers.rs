//! The header rules: what goes on to an upstream, what goes back to the client. Pure functions on header maps.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use std::net::IpAddr;

/// Fields that mean one connection only (RFC 9110 section 7.6.1).
fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        *name,
        header::CONNECTION
            | header::TRANSFER_ENCODING
            | header::TE
            | header::TRAILER
            | header::UPGRADE
            | header::PROXY_AUTHENTICATE
            | header::PROXY_AUTHORIZATION
    ) || matches!(name.as_str(), "keep-alive" | "proxy-connection" | "http2-settings")
}

/// Fields Aorta sets itself: the client's own must not reach the upstream.
fn is_ours(name: &HeaderName) -> bool {
    matches!(*name, header::HOST | header::CONTENT_LENGTH | header::EXPECT)
        || matches!(
            name.as_str(),
            "x-forwarded-for"
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

/// `X-Forwarded-For`: what came, and the client's own address behind it.
#[must_use]
pub fn forwarded_for(headers: &HeaderMap, client: Option<IpAddr>) -> Option<HeaderValue> {
    let client = client.map(|address| address.to_string());
    let came: Vec<_> =
        headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok()).collect();
    let list: Vec<&str> = came.into_iter().chain(client.as_deref()).collect();
    if list.is_empty() { None } else { HeaderValue::from_str(&list.join(", ")).ok() }
}

/// The client's request id, when it is one that a log can hold.
#[must_use]
pub fn request_id(headers: &HeaderMap) -> Option<&HeaderValue> {
    headers.get("x-request-id").filter(|value| {
        let bytes = value.as_bytes();
        (1..=64).contains(&bytes.len())
            && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
    })
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
    fn only_well_formed_ids_are_taken_over() {
        assert!(request_id(&map(&[("x-request-id", "a-B_1.2")])).is_some());
        assert!(request_id(&map(&[("x-request-id", "a b")])).is_none());
    }
}
