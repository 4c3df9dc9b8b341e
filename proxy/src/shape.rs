//! A look into a held answer: what its body is, and how a Lambda envelope is opened.
//!
//! An API Gateway integration that is no Lambda proxy returns the function's output as the body of a 200 (AWS,
//! "Lambda integrations"), so a failure can hide behind a success. The look goes no deeper than the top level.

mod json;

use aorta_core::classify::BodyFacts;
use base64::Engine as _;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde_json::Value;

/// The kind of an answer's body, by its media type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// FHIR's own JSON.
    Fhir,
    /// Other JSON, or none said.
    Json,
    /// HTML.
    Html,
    /// Anything else: it streams.
    Other,
}

impl Media {
    /// Reads `Content-Type`.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let Some(value) = headers.get(header::CONTENT_TYPE).filter(|value| value.to_str().is_ok()) else {
            return Self::Json;
        };
        let essence = value.as_bytes().split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
        let is = |name: &str| essence.eq_ignore_ascii_case(name.as_bytes());
        let suffix = essence.len().checked_sub("+json".len()).map(|at| &essence[at..]);
        if is("application/fhir+json") {
            Self::Fhir
        } else if is("application/json") || is("text/json") {
            Self::Json
        } else if is("text/html") || is("application/xhtml+xml") {
            Self::Html
        } else if suffix.is_some_and(|suffix| suffix.eq_ignore_ascii_case(b"+json")) {
            Self::Json
        } else {
            Self::Other
        }
    }

    /// Its answers are held until they can be judged.
    #[must_use]
    pub const fn is_judged(self) -> bool {
        matches!(self, Self::Fhir | Self::Json)
    }
}

/// What the body of an answer is; none when not all of it was taken in.
#[must_use]
pub fn body(headers: &HeaderMap, media: Media, whole: Option<&[u8]>) -> BodyFacts {
    if headers.contains_key(header::CONTENT_ENCODING) {
        return BodyFacts::Unseen;
    }
    match media {
        Media::Html => BodyFacts::Html,
        Media::Other => BodyFacts::Foreign,
        Media::Fhir | Media::Json => whole.map_or(BodyFacts::Unseen, judge),
    }
}

/// What a complete JSON body is.
#[must_use]
pub fn judge(body: &[u8]) -> BodyFacts {
    if body.is_empty() {
        return BodyFacts::Empty;
    }
    let mut top = TopLevel::default();
    match json::members(body, |name, value| top.note(name, value)) {
        Ok(()) => top.facts(),
        Err(json::Malformed) => BodyFacts::Unreadable,
    }
}

/// The beginning of a body too large to hold could be an envelope, which must not stream wrapped.
#[must_use]
pub fn may_be_envelope(beginning: impl Iterator<Item = u8>) -> bool {
    const KEYS: [&[u8]; 5] =
        [b"\"statusCode\"", b"\"headers\"", b"\"body\"", b"\"isBase64Encoded\"", b"\"multiValueHeaders\""];
    let mut text = beginning.skip_while(u8::is_ascii_whitespace);
    if text.next() != Some(b'{') {
        return false;
    }
    let key: Vec<u8> = text.skip_while(u8::is_ascii_whitespace).take(KEYS[4].len()).collect();
    KEYS.iter().any(|known| key.starts_with(known))
}

#[derive(Default)]
struct TopLevel {
    keys: usize,
    resource_type: bool,
    error_message: bool,
    status_code: Option<u16>,
    status_stands: bool,
    carries: bool,
    message: Option<String>,
}

impl TopLevel {
    /// A member as it is written: only the few that decide something are read.
    fn note(&mut self, name: &[u8], value: &[u8]) {
        self.keys += 1;
        if name.contains(&b'\\') {
            let plain: String = serde_json::from_slice(name).unwrap_or_default();
            self.read(plain.as_bytes(), value);
        } else if let [b'"', plain @ .., b'"'] = name {
            self.read(plain, value);
        }
    }

    fn read(&mut self, name: &[u8], value: &[u8]) {
        match name {
            b"resourceType" => self.resource_type = true,
            b"errorMessage" => self.error_message = true,
            b"body" | b"headers" | b"multiValueHeaders" | b"isBase64Encoded" => self.carries = true,
            b"statusCode" => {
                self.status_stands = true;
                self.status_code = serde_json::from_slice(value).ok().as_ref().and_then(status);
            }
            b"message" => self.message = serde_json::from_slice(value).ok(),
            _ => {}
        }
    }

    fn facts(&self) -> BodyFacts {
        if self.resource_type {
            return BodyFacts::Json;
        }
        match (self.status_code, self.message.as_deref()) {
            (Some(status), _) if self.carries => BodyFacts::Envelope { status },
            (None, _) if self.carries && self.status_stands => BodyFacts::LambdaError,
            _ if self.error_message => BodyFacts::LambdaError,
            (_, Some("Forbidden")) if self.keys == 1 => BodyFacts::ForbiddenMessage,
            (_, Some("Internal server error")) if self.keys == 1 => BodyFacts::InternalMessage,
            _ => BodyFacts::Json,
        }
    }
}

fn status(value: &Value) -> Option<u16> {
    let number = match value {
        Value::String(text) => text.parse().ok()?,
        other => other.as_u64()?,
    };
    // An interim status would leave the client waiting for the real one.
    u16::try_from(number).ok().filter(|code| (200..600).contains(code))
}

/// The response an envelope carries.
#[derive(Debug, PartialEq, Eq)]
pub struct Opened {
    /// The status inside.
    pub status: u16,
    /// The headers inside.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body inside: text, decoded base64, or an object written out.
    pub body: Bytes,
}

/// Opens a Lambda envelope; none when it is none after all.
#[must_use]
pub fn open(envelope: &[u8]) -> Option<Opened> {
    let Value::Object(mut fields) = serde_json::from_slice(envelope).ok()? else { return None };
    let status = status(fields.get("statusCode")?)?;
    let base64 = fields.get("isBase64Encoded").is_some_and(|flag| flag == &Value::Bool(true));
    let body = match fields.remove("body") {
        None | Some(Value::Null) => Bytes::new(),
        Some(Value::String(text)) if base64 => {
            base64::engine::general_purpose::STANDARD.decode(text).ok()?.into()
        }
        Some(Value::String(text)) => text.into(),
        Some(other) => serde_json::to_vec(&other).ok()?.into(),
    };
    let mut headers = Vec::new();
    for (name, value) in fields.get("headers").and_then(Value::as_object).into_iter().flatten() {
        push(&mut headers, name, value);
    }
    for (name, values) in fields.get("multiValueHeaders").and_then(Value::as_object).into_iter().flatten() {
        values.as_array().into_iter().flatten().for_each(|value| push(&mut headers, name, value));
    }
    Some(Opened { status, headers, body })
}

fn push(headers: &mut Vec<(HeaderName, HeaderValue)>, name: &str, value: &Value) {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(_) | Value::Bool(_) => value.to_string(),
        _ => return,
    };
    if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(text)) {
        headers.push((name, value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, expected: BodyFacts) {
        assert_eq!(judge(body.as_bytes()), expected, "{body}");
    }

    #[test]
    fn a_body_is_told_by_its_top_level() {
        check(r#"{"resourceType":"Patient","statusCode":500,"body":"x"}"#, BodyFacts::Json);
        check(r#"{"statusCode":500,"body":"x"}"#, BodyFacts::Envelope { status: 500 });
        check(r#"{"statusCode":"200","headers":{}}"#, BodyFacts::Envelope { status: 200 });
        check(r#"{"statusCode":500}"#, BodyFacts::Json);
        check(r#"{"statusCode":42,"body":""}"#, BodyFacts::LambdaError);
        check(r#"{"statusCode":100,"body":""}"#, BodyFacts::LambdaError);
        check(r#"{"errorMessage":"x","errorType":"y"}"#, BodyFacts::LambdaError);
        check(r#"{"message":"Forbidden"}"#, BodyFacts::ForbiddenMessage);
        check(r#"{"message":"Forbidden","more":1}"#, BodyFacts::Json);
        check(r#"{"message": "Internal server error"}"#, BodyFacts::InternalMessage);
        check("[1,2]", BodyFacts::Json);
        check("", BodyFacts::Empty);
        check(r#"{"resourceType":"Pat"#, BodyFacts::Unreadable);
        check("<html>", BodyFacts::Unreadable);
    }

    #[test]
    fn an_envelope_carries_text_base64_or_an_object() {
        let body = |envelope: &str| open(envelope.as_bytes()).map(|opened| opened.body);
        assert_eq!(body(r#"{"statusCode":200,"body":"{\"a\":1.50}"}"#).unwrap(), r#"{"a":1.50}"#);
        assert_eq!(body(r#"{"statusCode":200,"body":{"a":1.50}}"#).unwrap(), r#"{"a":1.50}"#);
        assert_eq!(body(r#"{"statusCode":200,"isBase64Encoded":true,"body":"aGk="}"#).unwrap(), "hi");
        assert_eq!(body(r#"{"statusCode":204}"#).unwrap(), "");
        assert_eq!(body(r#"{"statusCode":200,"isBase64Encoded":true,"body":"%%"}"#), None);
        assert_eq!(body(r#"{"body":"x"}"#), None);
    }

    #[test]
    fn the_headers_inside_come_out() {
        let envelope = r#"{"statusCode":201,"headers":{"ETag":"W/\"1\"","bad name":"x","n":1},"body":""}"#;
        let opened = open(envelope.as_bytes()).unwrap();
        assert_eq!(opened.status, 201);
        assert_eq!(opened.headers.len(), 2);
    }

    #[test]
    fn a_beginning_that_could_be_an_envelope_is_told_from_a_resource() {
        let may_be = |beginning: &str| may_be_envelope(beginning.bytes());
        assert!(may_be(r#" { "statusCode": 200, "#));
        assert!(may_be(r#"{"body":"#));
        assert!(may_be("{\n\t\"multiValueHeaders\""));
        assert!(!may_be(r#"{"resourceType":"Bundle""#));
        assert!(!may_be("[1"));
        assert!(!may_be("{"));
    }
}
