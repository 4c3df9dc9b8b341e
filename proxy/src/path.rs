//! Where a request goes below an upstream's base path, and why it cannot leave it.
//!
//! API Gateway's stage is the first path segment, so a path that climbs would reach another stage; and servers
//! decode once more than one expects. Sources: RFC 3986 section 5.2.4 (dot segments); AWS "Known issues" of
//! API Gateway (`|`, `{`, `}` must be encoded, `;` splits parameters).

use crate::interaction::RESOURCE_TYPES;
use aorta_core::verdict::Refusal;

/// API Gateway takes request targets of 10,240 characters at most ("Amazon API Gateway quotas").
const TARGET_MAX: usize = 10_240;

/// What to ask of any upstream: to be joined to its base path by [`below`].
///
/// `path` and `query` are the client's; `strip` is taken off the front of the path.
///
/// # Errors
/// When the path could mean another place to a server that decodes it, or is longer than any upstream takes.
pub fn target(strip: &str, path: &str, query: Option<&str>) -> Result<String, Refusal> {
    judge(path)?;
    let rest = path.strip_prefix(strip).unwrap_or(path);
    let mut target = String::with_capacity(rest.len() + query.map_or(0, str::len) + 2);
    if !rest.starts_with('/') {
        target.push('/');
    }
    encode(rest, &mut target);
    if let Some(query) = query {
        target.push('?');
        encode_query(query, &mut target);
    }
    bounded(target)
}

/// The target to send upstream: `base` is the upstream's own path, empty or without closing slash.
///
/// # Errors
/// When it is longer than any upstream takes.
pub fn below(base: &str, target: &str) -> Result<String, Refusal> {
    // The root of the base path is the base path itself: API Gateway knows `/Server1`, not `/Server1/`.
    let is_root = target == "/" || target.starts_with("/?");
    let target = if is_root && !base.is_empty() { &target[1..] } else { target };
    bounded([base, target].concat())
}

fn bounded(target: String) -> Result<String, Refusal> {
    if target.len() > TARGET_MAX { Err(Refusal::UriTooLong) } else { Ok(target) }
}

/// # Errors
/// [`Refusal::BadPath`] for what is no absolute path, climbs, hides a separator, or is broken encoding.
fn judge(path: &str) -> Result<(), Refusal> {
    if !path.starts_with('/') || path.contains('\\') {
        return Err(Refusal::BadPath);
    }
    if is_plain(path) {
        return Ok(());
    }
    if !path.contains('%') {
        return if path.split('/').any(is_dots) { Err(Refusal::BadPath) } else { Ok(()) };
    }
    let decoded = decode(path).ok_or(Refusal::BadPath)?;
    // A second layer of encoding is for a server that decodes twice: nothing in FHIR needs `%25` in a path.
    let hidden = decoded.len() < path.len() && hides_something(path, &decoded);
    if hidden { Err(Refusal::BadPath) } else { Ok(()) }
}

/// Nothing in it could climb or hide anything: no escape, and no segment that begins with a dot.
fn is_plain(path: &str) -> bool {
    let mut before = 0;
    path.bytes().all(|byte| {
        let plain = byte != b'%' && !(byte == b'.' && before == b'/');
        before = byte;
        plain
    })
}

fn hides_something(path: &str, decoded: &[u8]) -> bool {
    let separators = |bytes: &[u8]| bytes.iter().filter(|&&byte| byte == b'/').count();
    separators(decoded) != separators(path.as_bytes())
        || decoded.iter().any(|&byte| byte == b'\\' || byte == b'%' || byte < 0x20 || byte == 0x7f)
        || decoded.split(|&byte| byte == b'/').any(|segment| {
            let name = segment.split(|&byte| byte == b';').next().unwrap_or_default();
            name == b"." || name == b".."
        })
}

fn is_dots(segment: &str) -> bool {
    // `..;x` climbs on servers that read path parameters.
    let name = segment.split(';').next().unwrap_or_default();
    name == "." || name == ".."
}

fn decode(path: &str) -> Option<Vec<u8>> {
    let mut bytes = path.bytes();
    let mut decoded = Vec::with_capacity(path.len());
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let (high, low) = (hex(bytes.next()?)?, hex(bytes.next()?)?);
            decoded.push(high * 16 + low);
        } else {
            decoded.push(byte);
        }
    }
    Some(decoded)
}

const fn hex(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// Encodes what API Gateway does not take raw, and leaves the rest as the client wrote it.
fn encode(text: &str, target: &mut String) {
    let mut written = 0;
    for (at, byte) in text.bytes().enumerate() {
        if let Some(escaped) = escape(byte) {
            target.push_str(&text[written..at]);
            target.push_str(escaped);
            written = at + 1;
        }
    }
    target.push_str(&text[written..]);
}

/// A query with what API Gateway does not take raw encoded; also right as the body of a form.
#[must_use]
pub fn encoded_query(query: &str) -> String {
    let mut encoded = String::with_capacity(query.len());
    encode_query(query, &mut encoded);
    encoded
}

/// A gateway decodes parameters before the function sees them, and a `+` becomes a space. In a media type there are
/// no spaces, so there a `+` is what the client means: `_format=application/fhir+json`.
fn encode_query(query: &str, target: &mut String) {
    if !query.contains('+') || !query.contains("_format=") {
        return encode(query, target);
    }
    for (index, pair) in query.split('&').enumerate() {
        if index > 0 {
            target.push('&');
        }
        if pair.starts_with("_format=") {
            encode(&pair.replace('+', "%2B"), target);
        } else {
            encode(pair, target);
        }
    }
}

const fn escape(special: u8) -> Option<&'static str> {
    match special {
        b'|' => Some("%7C"),
        b'{' => Some("%7B"),
        b'}' => Some("%7D"),
        b';' => Some("%3B"),
        b'"' => Some("%22"),
        b'<' => Some("%3C"),
        b'>' => Some("%3E"),
        b'^' => Some("%5E"),
        b'`' => Some("%60"),
        b'\\' => Some("%5C"),
        _ => None,
    }
}

/// What stands between the slashes of a path. A path is short: to look at each byte takes less than to search.
pub(crate) fn words(path: &str) -> impl Iterator<Item = &str> {
    let mut left = Some(path);
    std::iter::from_fn(move || {
        let rest = left?;
        let end = rest.bytes().position(|byte| byte == b'/');
        left = end.map(|end| &rest[end + 1..]);
        Some(end.map_or(rest, |end| &rest[..end]))
    })
}

/// A path with everything that could name a patient replaced: what logs may hold.
///
/// FHIR's own words (resource types, `_history`, `_search`, `metadata`, `$operations`) stay; all else is
/// `{id}`.
#[must_use]
pub fn template(path: &str) -> String {
    let mut shown = String::with_capacity(path.len().min(128) + "{id}".len());
    for segment in words(path).skip(1).take(8) {
        shown.push('/');
        shown.push_str(if is_fhir_word(segment) { segment } else { "{id}" });
    }
    if shown.is_empty() { "/".to_owned() } else { shown }
}

fn is_fhir_word(segment: &str) -> bool {
    match segment.as_bytes().first() {
        Some(b'A'..=b'Z') => is_resource_type(segment),
        Some(b'$') => aorta_core::fhir_safety::is_reading_operation(segment),
        _ => matches!(segment, "" | "metadata" | "_history" | "_search" | "ping"),
    }
}

/// R4's resource types look like this, and a name of a person may too: only the known ones are shown.
fn is_resource_type(segment: &str) -> bool {
    RESOURCE_TYPES.binary_search(&segment).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join(base: &str, strip: &str, path: &str, query: Option<&str>) -> Result<String, Refusal> {
        below(base, &target(strip, path, query)?)
    }

    fn check(path: &str, query: Option<&str>, expected: Result<&str, Refusal>) {
        assert_eq!(
            join("/Server1", "", path, query).as_deref().map_err(|refusal| *refusal),
            expected,
            "{path}"
        );
    }

    #[test]
    fn a_path_is_joined_below_the_stage() {
        check("/Patient/1", None, Ok("/Server1/Patient/1"));
        check("/", None, Ok("/Server1"));
        check("/", Some("_format=json"), Ok("/Server1?_format=json"));
        assert_eq!(join("", "", "/", None).as_deref(), Ok("/"));
        assert_eq!(join("/b", "/fhir", "/fhir/Patient", None).as_deref(), Ok("/b/Patient"));
        assert_eq!(join("/b", "/fhir", "/fhir", None).as_deref(), Ok("/b"));
    }

    #[test]
    fn what_the_gateway_does_not_take_raw_is_encoded() {
        check("/Patient", Some("identifier=a|b;c"), Ok("/Server1/Patient?identifier=a%7Cb%3Bc"));
        check("/Patient", Some("name=%7C%2B"), Ok("/Server1/Patient?name=%7C%2B"));
        let format = "name=a+b&_format=application/fhir+json;fhirVersion=4.0&x=1+2";
        let encoded = "/Server1/Patient?name=a+b&_format=application/fhir%2Bjson%3BfhirVersion=4.0&x=1+2";
        check("/Patient", Some(format), Ok(encoded));
    }

    #[test]
    fn a_path_cannot_leave_its_stage() {
        for path in [
            "/..",
            "/../x",
            "/a/../../x",
            "/a/./b",
            "/%2e%2e/x",
            "/%2E./x",
            "/a%2fb",
            "/a%2F..%2Fb",
            "/a%5cb",
            "/a\\b",
            "/..;x/y",
            "/%252e%252e/x",
            "/a%00b",
            "/a%0d%0ab",
            "/%",
            "/%2",
            "/%zz",
            "x",
            "*",
            "",
        ] {
            check(path, None, Err(Refusal::BadPath));
        }
    }

    #[test]
    fn a_target_longer_than_any_gateway_takes_is_refused() {
        check(&format!("/{}", "a".repeat(11_000)), None, Err(Refusal::UriTooLong));
    }

    #[test]
    fn the_words_of_a_path_are_those_between_its_slashes() {
        for path in ["", "/", "a", "/a", "a/", "//", "/Patient/é/_history"] {
            assert!(words(path).eq(path.split('/')), "{path:?}");
        }
    }

    #[test]
    fn a_template_names_no_one() {
        assert_eq!(template("/Patient/P123456/_history/2"), "/Patient/{id}/_history/{id}");
        assert_eq!(template("/Johnson/Patient"), "/{id}/Patient");
        assert_eq!(template("/"), "/");
        assert_eq!(template("/Patient/$everything"), "/Patient/$everything");
    }
}
