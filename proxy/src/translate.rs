//! Between Pingora's words and the core's: upstream to peer, request to facts.

use crate::batch;
use crate::clock;
use crate::config::{HashKey, UpstreamConfig};
use crate::headers::name;
use crate::line::Line;
use crate::path;
use crate::shape::Media;
use crate::snapshot::Peer;
use aorta_core::admission::Priority;
use aorta_core::balance::ring_hash;
use aorta_core::chronicle::Heard;
use aorta_core::classify::{AnswerFacts, BodyFacts, Dialect, GatewayErrorType};
use aorta_core::fhir_safety::{self, Errand, Safety, SafetyFacts};
use aorta_core::pool::PoolSpec;
use aorta_core::time::Timestamp;
use aorta_core::verdict::Refusal;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use pingora::protocols::ALPN;
use pingora::upstreams::peer::HttpPeer;
use pingora::utils::tls::{WrappedX509, parse_x509};
use std::hash::{BuildHasher as _, RandomState};
use std::net::SocketAddr;
use std::num::NonZeroU128;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, UNIX_EPOCH};

/// Streams on one HTTP/2 connection to an upstream: below API Gateway's own limit of 128.
const H2_STREAMS: usize = 64;
/// What an upstream may send on one stream before we have read it. The connection's window is as much for each
/// stream it may have, so that clients who do not read cannot starve the others of the same connection.
const H2_STREAM_WINDOW: u32 = 256 * 1024;
const H2_CONNECTION_WINDOW: u32 = H2_STREAM_WINDOW * H2_STREAMS as u32;
/// A connection whose other end vanished without a word is found out within two of these.
const H2_PING: Duration = Duration::from_secs(5);

static KEYS: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// Connections are shared within one site of an upstream of one pool, never across.
#[must_use]
pub fn group(pool: &str, upstream: &str, site: u64) -> u64 {
    KEYS.hash_one((pool, upstream, site))
}

/// How to connect to one address of an upstream.
#[must_use]
pub fn peer(config: &UpstreamConfig, address: SocketAddr, group: u64) -> Peer {
    let mut shared = HttpPeer::new(address, config.tls, config.server_name.clone());
    shared.group_key = group;
    // Plain HTTP has no negotiation, so it is HTTP/1.1; over TLS the upstream chooses.
    shared.options.alpn = if config.tls { ALPN::H2H1 } else { ALPN::H1 };
    shared.options.max_h2_streams = H2_STREAMS;
    shared.options.h2_ping_interval = Some(H2_PING);
    shared.options.h2_stream_window_size = Some(H2_STREAM_WINDOW);
    shared.options.h2_connection_window_size = Some(H2_CONNECTION_WINDOW);
    shared.options.ca = config.ca.as_ref().map(|roots| {
        let wrapped: Vec<_> = roots.iter().map(|root| WrappedX509::new(root.to_vec(), parse_x509)).collect();
        Arc::from(wrapped.into_boxed_slice())
    });
    let mut fresh = shared.clone();
    fresh.group_key = group.wrapping_add(1);
    // One request to a connection: when an upstream freezes, the next request finds that out in a handshake,
    // before anything of it was sent, and not on a shared connection that took its bytes.
    fresh.options.max_h2_streams = 1;
    let mut own = fresh.clone();
    own.group_key = group.wrapping_add(2);
    let [shared, fresh, own] = [shared, fresh, own].map(Line::new);
    Peer { shared, fresh, own, avoided: AtomicU64::new(0) }
}

/// What the core needs to know of an answer, by its status and headers and by what its body is.
#[must_use]
pub fn answer(
    dialect: Dialect,
    (status, headers, media): (u16, &HeaderMap, Media),
    fhir_expected: bool,
    body: BodyFacts,
) -> AnswerFacts {
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    AnswerFacts {
        status,
        error_type: text(&name::X_AMZN_ERRORTYPE)
            .filter(|_| dialect == Dialect::ApiGateway)
            .map(GatewayErrorType::parse),
        fhir_media: media == Media::Fhir,
        fhir_expected,
        body,
        retry_after: text(&header::RETRY_AFTER).and_then(|text| pause(text.trim())),
    }
}

/// What people find again of an answer: its status, and the id under which API Gateway logs the request. Only a UUID
/// is one, so that an upstream cannot have anything else remembered.
#[must_use]
pub fn heard(status: u16, headers: &HeaderMap) -> Heard {
    Heard { status, request_id: headers.get(&name::X_AMZN_REQUESTID).and_then(|id| uuid(id.as_bytes())) }
}

/// The number that a UUID in its usual form is (RFC 9562 section 4).
fn uuid(text: &[u8]) -> Option<NonZeroU128> {
    const LENGTH: usize = 36;
    let is_dash = |place: usize| matches!(place, 8 | 13 | 18 | 23);
    if text.len() != LENGTH {
        return None;
    }
    let digits = text.iter().enumerate().try_fold(0_u128, |number, (place, &byte)| match byte {
        b'-' if is_dash(place) => Some(number),
        _ if is_dash(place) => None,
        _ => Some(number << 4 | u128::from(char::from(byte).to_digit(16)?)),
    });
    digits.and_then(NonZeroU128::new)
}

/// A UUID in its usual form.
#[must_use]
pub fn uuid_text(number: NonZeroU128) -> String {
    let digits = format!("{number:032x}");
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

/// What `Retry-After` asks for: seconds, or a moment (RFC 9110 section 10.2.3); one that has passed asks for none.
fn pause(text: &str) -> Option<Duration> {
    let until = |moment| httpdate::parse_http_date(moment).ok()?.duration_since(UNIX_EPOCH).ok();
    let seconds = text.parse().ok().map(Duration::from_secs);
    seconds.or_else(|| until(text).map(|moment| moment.saturating_sub(clock::unix())))
}

/// A hash of who the client is: its credential, else its address. It tells clients apart and nothing more.
#[must_use]
pub fn client(headers: &HeaderMap, address: Option<std::net::IpAddr>) -> u64 {
    let credential = headers.get(&name::X_API_KEY).or_else(|| headers.get(header::AUTHORIZATION));
    match credential {
        Some(value) => KEYS.hash_one(value.as_bytes()),
        None => KEYS.hash_one(address),
    }
}

/// When the client itself gives up: its `x-request-deadline`, Unix time in milliseconds. What is no such number
/// says nothing.
///
/// # Errors
/// When that moment has passed.
pub fn deadline(headers: &HeaderMap) -> Result<Option<Timestamp>, Refusal> {
    let value = headers.get(&name::X_REQUEST_DEADLINE).and_then(|value| value.to_str().ok());
    let Some(millis) = value.and_then(|text| text.trim().parse().ok()) else { return Ok(None) };
    let left = Duration::from_millis(millis).saturating_sub(clock::unix());
    if left.is_zero() { Err(Refusal::DeadlinePassed) } else { Ok(Some(clock::now() + left)) }
}

/// What a hashing policy hashes this request by: the same in every proxy of a fleet. None without such a part.
#[must_use]
pub fn hash_key(by: &HashKey, headers: &HeaderMap, address: Option<std::net::IpAddr>) -> Option<u64> {
    match by {
        HashKey::ClientIp => address.map(|address| match address.to_canonical() {
            std::net::IpAddr::V4(address) => ring_hash::hash(address.octets()),
            std::net::IpAddr::V6(address) => ring_hash::hash(address.octets()),
        }),
        HashKey::Header(name) => headers.get(name).map(|value| ring_hash::hash(value.as_bytes())),
        HashKey::Cookie(name) => {
            let texts = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
            let mut pairs =
                texts.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
            pairs.find(|(key, _)| key == name).map(|(_, value)| ring_hash::hash(value))
        }
    }
}

/// What repeating this request would do, judged by the conditions that reach the upstream: `field` gives the
/// value that goes out under a name.
#[must_use]
pub fn safety<'v>(
    spec: &PoolSpec,
    method: &Method,
    path: &str,
    field: impl Fn(&str) -> Option<&'v HeaderValue>,
) -> Safety {
    // `If-Match: *` holds for every version, so a repeat would make another one.
    let conditions =
        |name| field(name).is_some_and(|value| !matches!(value.as_bytes().trim_ascii(), b"" | b"*"));
    fhir_safety::judge(SafetyFacts {
        method,
        path: path.trim_end_matches('/'),
        if_match: conditions("if-match"),
        if_none_exist: conditions("if-none-exist"),
        fhir: spec.fhir,
        data_domain: spec.has_data_domain(),
        retry_unconditional_put: spec.retry.retry_unconditional_put,
    })
}

/// What is let in first when not everything can be. A client that waits for no answer (FHIR R4, "Asynchronous
/// Request Pattern") can wait for its turn; a preference's name has no case (RFC 7240 section 2).
#[must_use]
pub fn priority(spec: &PoolSpec, errand: Errand, head: &http::request::Parts) -> Priority {
    let patient = head.headers.get_all(&name::PREFER).iter().any(|value| {
        let is_it = |word: &str| word.trim().eq_ignore_ascii_case("respond-async");
        value.to_str().is_ok_and(|text| text.split([',', ';']).any(is_it))
    });
    match head.method {
        _ if patient => Priority::Bulk,
        _ if spec.fhir => errand.priority(),
        Method::GET | Method::HEAD | Method::OPTIONS => Priority::Record,
        _ => Priority::Write,
    }
}

/// What repeating a batch or transaction would do, when its whole body is held.
#[must_use]
pub fn batch_safety(spec: &PoolSpec, body: &[u8]) -> Safety {
    batch::judge(
        body,
        SafetyFacts {
            method: &Method::POST,
            path: "",
            if_match: false,
            if_none_exist: false,
            fhir: spec.fhir,
            data_domain: spec.has_data_domain(),
            retry_unconditional_put: spec.retry.retry_unconditional_put,
        },
    )
}

/// The client speaks FHIR's JSON, so an answer in another tongue is not what it asked for.
///
/// `_format` overrides `Accept` (FHIR R4, "Content Types and encodings"), and a `Binary` may be anything.
#[must_use]
pub fn expects_fhir(spec: &PoolSpec, uri: &http::Uri, headers: &HeaderMap) -> bool {
    let json_by_format = uri.query().and_then(|query| {
        let formats = query.split('&').filter_map(|pair| pair.strip_prefix("_format="));
        formats.map(|format| format.to_ascii_lowercase().contains("json")).next_back()
    });
    let json_by_accept = || {
        let Some(accept) = headers.get(header::ACCEPT).map(HeaderValue::as_bytes) else { return true };
        accept.windows("json".len()).any(|word| word == b"json") || accept.trim_ascii() == b"*/*"
    };
    let is_binary = || path::words(uri.path()).any(|word| word == "Binary");
    spec.fhir && json_by_format.unwrap_or_else(json_by_accept) && !is_binary()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn keyed(by: &HashKey, cookie: &'static str) -> Option<u64> {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, HeaderValue::from_static(cookie));
        hash_key(by, &headers, "192.0.2.1".parse().ok())
    }

    #[test]
    fn a_cookie_is_found_among_others_and_its_absence_is_no_key() {
        let by = HashKey::Cookie("session".to_owned());
        assert_eq!(keyed(&by, "a=1; session=x; b=2"), Some(ring_hash::hash("x")));
        assert_eq!(keyed(&by, "sessions=x"), None);
        assert_eq!(keyed(&HashKey::Header(header::AUTHORIZATION), ""), None);
    }

    #[test]
    fn of_an_answer_its_status_and_a_uuid_are_remembered_and_nothing_else() {
        let of = |id: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(&name::X_AMZN_REQUESTID, HeaderValue::from_str(id).unwrap());
            heard(502, &headers)
        };
        let id = "0f2a5c1e-77b0-4e6d-9c3b-00d1e2f3a4b5";
        for form in [id.to_owned(), id.to_uppercase()] {
            let heard = of(&form);
            assert_eq!((heard.status, heard.request_id.map(uuid_text).as_deref()), (502, Some(id)));
        }
        for other in ["", "Smith, Jane", "0f2a5c1e77b04e6d9c3b00d1e2f3a4b5-----", &id[1..], &format!("{id}0")]
        {
            assert_eq!(of(other).request_id, None, "{other}");
        }
        assert_eq!(of("0f2a5c1e-77b0-4e6d-9c3b-00d1e2f3a4bg").request_id, None);
        assert_eq!(heard(200, &HeaderMap::new()), Heard { status: 200, request_id: None });
    }

    #[test]
    fn a_pause_is_asked_for_in_seconds_or_until_a_moment() {
        let in_minutes = |minutes: u64| {
            let moment = UNIX_EPOCH + clock::unix() + Duration::from_secs(minutes * 60);
            pause(&httpdate::fmt_http_date(moment))
        };
        assert_eq!(pause("120"), Some(Duration::from_secs(120)));
        let two = in_minutes(2).unwrap();
        assert!((Duration::from_secs(110)..=Duration::from_secs(120)).contains(&two), "{two:?}");
        assert_eq!(pause("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO), "it has passed");
        assert_eq!(pause("Sunday, 06-Nov-94 08:49:37 GMT"), Some(Duration::ZERO));
        assert_eq!(pause("Sun Nov  6 08:49:37 1994"), Some(Duration::ZERO));
        for nonsense in ["", "soon", "-1", "Sun, 06 Nov 1994"] {
            assert_eq!(pause(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn an_address_is_one_key_however_it_is_written() {
        let key = |address: &str| hash_key(&HashKey::ClientIp, &HeaderMap::new(), address.parse().ok());
        assert_eq!(key("192.0.2.1"), key("::ffff:192.0.2.1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
    }
}
