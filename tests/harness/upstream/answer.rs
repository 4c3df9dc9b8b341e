//! What a scripted upstream says: its records, and the error catalogue of Amazon API Gateway byte for byte.

use super::ledger::{Seen, hash};
use super::script::Answer;
use base64::Engine;
use bytes::Bytes;
use serde_json::{Value, json};

/// The media type of FHIR in JSON.
pub const FHIR_JSON: &str = "application/fhir+json";

/// The record that every region holds under this name, of a length that depends on the name.
#[must_use]
pub fn record(name: &str) -> Bytes {
    let seed = name.bytes().fold(7_usize, |sum, byte| (sum * 31 + usize::from(byte)) % 4093);
    let note = "Lorem ipsum dolor sit amet. ".repeat(seed % 97);
    let record = json!({
        "resourceType": "Patient",
        "id": name,
        "meta": {"versionId": "1"},
        "name": [{"use": "official", "family": format!("Family-{name}"), "given": ["Given"]}],
        "text": {"status": "generated", "div": note},
    });
    Bytes::from(record.to_string())
}

/// The right answer to a request: a record to a read, a receipt to everything else.
#[must_use]
pub fn served(seen: &Seen) -> Answer {
    let name = seen.path().rsplit('/').next().unwrap_or_default();
    match seen.method.as_str() {
        "GET" | "HEAD" => {
            let body = record(name);
            let tag = format!("W/\"{}\"", &hash(&body)[..8]);
            Answer::new(200, FHIR_JSON, body).with("etag", &tag)
        }
        "POST" => receipt(201, seen).with("location", &format!("{}/{}", seen.path(), "new")),
        _ => receipt(200, seen),
    }
}

/// What arrived, told back.
fn receipt(status: u16, seen: &Seen) -> Answer {
    let body = json!({
        "resourceType": "Parameters",
        "method": seen.method, "target": seen.target, "body_len": seen.body_len, "body_hash": seen.body_hash,
    });
    Answer::new(status, FHIR_JSON, body.to_string())
}

/// A gateway-made error.
fn gateway(status: u16, error_type: &str, body: &'static str) -> Answer {
    Answer::new(status, "application/json", body)
        .with("x-amzn-errortype", error_type)
        .with("x-amzn-requestid", "11111111-2222-3333-4444-555555555555")
}

/// A disabled endpoint, a bad key, a firewall.
#[must_use]
pub fn forbidden() -> Answer {
    gateway(403, "ForbiddenException", r#"{"message":"Forbidden"}"#)
}

/// A path the gateway does not know.
#[must_use]
pub fn missing_token() -> Answer {
    gateway(403, "MissingAuthenticationTokenException", r#"{"message":"Missing Authentication Token"}"#)
}

/// The gateway's throttle, which sends no `Retry-After`.
#[must_use]
pub fn throttled() -> Answer {
    gateway(429, "TooManyRequestsException", r#"{"message":"Too Many Requests"}"#)
}

/// A malformed reply of the function, or its death.
#[must_use]
pub fn bad_gateway() -> Answer {
    gateway(502, "InternalServerErrorException", r#"{"message": "Internal server error"}"#)
}

/// The integration's time is up.
#[must_use]
pub fn gateway_timeout() -> Answer {
    gateway(504, "InternalServerErrorException", r#"{"message": "Endpoint request timed out"}"#)
}

/// An error of the application: an OperationOutcome, without the gateway's mark.
#[must_use]
pub fn outcome(status: u16, code: &str) -> Answer {
    let body = json!({"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": code}]});
    Answer::new(status, FHIR_JSON, body.to_string())
}

/// A 200 that carries a failed function's own words.
#[must_use]
pub fn lambda_error() -> Answer {
    let body = r#"{"errorMessage":"'NoneType' object is not subscriptable","errorType":"TypeError"}"#;
    Answer::new(200, "application/json", body)
}

/// A 200 that is a web page.
#[must_use]
pub fn html() -> Answer {
    Answer::new(200, "text/html", "<!doctype html><html><body><h1>Down for maintenance</h1></body></html>")
}

/// How the body stands in a Lambda envelope.
#[derive(Clone, Copy, Debug)]
pub enum Wrapped {
    /// As a JSON string.
    Text,
    /// As a JSON object.
    Object,
    /// As base64.
    Base64,
}

/// An answer inside a Lambda envelope, as the integration that is no proxy returns it: with a 200.
///
/// # Panics
/// When an object is asked for and the body is none.
#[must_use]
pub fn envelope(inner: &Answer, wrapped: Wrapped) -> Answer {
    let text = || String::from_utf8_lossy(&inner.body).into_owned();
    let body = match wrapped {
        Wrapped::Text => Value::String(text()),
        Wrapped::Object => serde_json::from_slice(&inner.body).expect("the body is JSON"),
        Wrapped::Base64 => Value::String(base64::engine::general_purpose::STANDARD.encode(&inner.body)),
    };
    let headers: serde_json::Map<_, _> =
        inner.headers.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    let mut whole = json!({"statusCode": inner.status, "headers": headers, "body": body});
    if matches!(wrapped, Wrapped::Base64) {
        whole["isBase64Encoded"] = json!(true);
    }
    Answer::new(200, "application/json", whole.to_string())
}
