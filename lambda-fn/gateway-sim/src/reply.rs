//! What a function returned, as the response API Gateway makes of it.
//!
//! Sources: the output format on
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html> and the
//! remapped headers on <https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-known-issues.html>.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use serde::Deserialize;
use serde_json::{Map, Value};
use thiserror::Error;

/// Why a reply cannot become a response: the client gets 502.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum Malformed {
    /// Not a JSON object of the output format, or a member of the wrong type.
    #[error("not the output format of a proxy integration")]
    Shape,
    /// `statusCode` is missing or no HTTP status.
    #[error("statusCode: missing or not 100 to 599")]
    Status,
    /// A header that HTTP does not allow.
    #[error("headers: a name or value is not allowed in HTTP")]
    Header,
    /// `isBase64Encoded` with a body that is not.
    #[error("body: not base64")]
    Base64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    status_code: Option<Value>,
    headers: Option<Map<String, Value>>,
    multi_value_headers: Option<Map<String, Value>>,
    body: Option<String>,
    is_base64_encoded: Option<bool>,
}

/// Reads a reply in the output format of the proxy integration.
///
/// # Errors
/// [`Malformed`], for which the gateway answers 502.
pub fn proxy_reply(reply: &[u8]) -> Result<Response<Bytes>, Malformed> {
    let raw: Raw = serde_json::from_slice(reply).map_err(|_| Malformed::Shape)?;
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status_of(raw.status_code.as_ref())?;
    let headers = response.headers_mut();
    for (name, value) in raw.headers.iter().flatten() {
        if let Some(value) = text_of(value)? {
            headers.insert(name_of(name)?, value_of(&value)?);
        }
    }
    // A name in both: only the multi-value entry counts.
    for (name, values) in raw.multi_value_headers.iter().flatten() {
        let name = name_of(name)?;
        headers.remove(&name);
        for value in values.as_array().ok_or(Malformed::Shape)? {
            if let Some(value) = text_of(value)? {
                headers.append(&name, value_of(&value)?);
            }
        }
    }
    remap(headers);
    headers.entry(header::CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
    let body = raw.body.unwrap_or_default();
    *response.body_mut() = if raw.is_base64_encoded == Some(true) {
        STANDARD.decode(body).map_err(|_| Malformed::Base64)?.into()
    } else {
        body.into()
    };
    Ok(response)
}

/// A number, or its digits as a string.
fn status_of(value: Option<&Value>) -> Result<StatusCode, Malformed> {
    let code = match value {
        Some(Value::Number(number)) => number.as_u64(),
        Some(Value::String(digits)) => digits.parse().ok(),
        _ => None,
    };
    code.and_then(|code| u16::try_from(code).ok())
        .filter(|code| (100..600).contains(code))
        .and_then(|code| StatusCode::from_u16(code).ok())
        // An interim status cannot be the answer of an exchange.
        .filter(|status| !status.is_informational())
        .ok_or(Malformed::Status)
}

fn text_of(value: &Value) -> Result<Option<String>, Malformed> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.clone())),
        Value::Bool(_) | Value::Number(_) => Ok(Some(value.to_string())),
        Value::Array(_) | Value::Object(_) => Err(Malformed::Shape),
    }
}

fn name_of(name: &str) -> Result<HeaderName, Malformed> {
    name.parse().map_err(|_| Malformed::Header)
}

fn value_of(value: &str) -> Result<HeaderValue, Malformed> {
    HeaderValue::from_str(value).map_err(|_| Malformed::Header)
}

/// Moves what API Gateway does not let a function set, and drops what it writes itself.
fn remap(headers: &mut HeaderMap) {
    const REMAPPED: [(HeaderName, HeaderName); 4] = [
        (header::WWW_AUTHENTICATE, HeaderName::from_static("x-amzn-remapped-www-authenticate")),
        (header::SERVER, HeaderName::from_static("x-amzn-remapped-server")),
        (header::DATE, HeaderName::from_static("x-amzn-remapped-date")),
        (header::CONNECTION, HeaderName::from_static("x-amzn-remapped-connection")),
    ];
    for (original, remapped) in REMAPPED {
        let values: Vec<HeaderValue> = headers.get_all(&original).iter().cloned().collect();
        headers.remove(&original);
        for value in values {
            headers.append(&remapped, value);
        }
    }
    headers.remove(header::CONTENT_LENGTH);
    headers.remove(header::TRANSFER_ENCODING);
    headers.remove(header::TRAILER);
    headers.remove(header::UPGRADE);
    headers.remove("keep-alive");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_becomes_the_response_it_describes() {
        let response = proxy_reply(
            br#"{"statusCode":201,"headers":{"Location":"/Patient/1","X-N":7},
                "multiValueHeaders":{"X-M":["a","b"],"location":["/Patient/2"]},"body":"{}"}"#,
        )
        .unwrap();
        assert_eq!(response.status(), 201);
        assert_eq!(response.headers()["location"], "/Patient/2");
        assert_eq!(response.headers()["x-n"], "7");
        assert_eq!(response.headers().get_all("x-m").iter().count(), 2);
        assert_eq!(response.headers()["content-type"], "application/json");
        assert_eq!(&response.body()[..], b"{}");
    }

    #[test]
    fn www_authenticate_is_remapped() {
        let reply = br#"{"statusCode":401,"headers":{"WWW-Authenticate":"Bearer","Content-Length":"9"}}"#;
        let response = proxy_reply(reply).unwrap();
        assert!(!response.headers().contains_key("www-authenticate"));
        assert!(!response.headers().contains_key("content-length"));
        assert_eq!(response.headers()["x-amzn-remapped-www-authenticate"], "Bearer");
    }

    #[test]
    fn a_base64_body_is_decoded() {
        let response = proxy_reply(br#"{"statusCode":200,"body":"YWI=","isBase64Encoded":true}"#).unwrap();
        assert_eq!(&response.body()[..], b"ab");
    }

    #[test]
    fn what_is_not_the_output_format_is_malformed() {
        for (reply, expected) in [
            (&b"not json"[..], Malformed::Shape),
            (br#""text""#, Malformed::Shape),
            (br#"{"body":"x"}"#, Malformed::Status),
            (br#"{"statusCode":99}"#, Malformed::Status),
            (br#"{"statusCode":101}"#, Malformed::Status),
            (br#"{"statusCode":600}"#, Malformed::Status),
            (br#"{"statusCode":2e400}"#, Malformed::Status),
            (br#"{"statusCode":200,"body":{"resourceType":"Patient"}}"#, Malformed::Shape),
            (br#"{"statusCode":200,"headers":{"a b":"c"}}"#, Malformed::Header),
            (br#"{"statusCode":200,"headers":{"a":"b\nc"}}"#, Malformed::Header),
            (br#"{"statusCode":200,"headers":{"a":["b"]}}"#, Malformed::Shape),
            (br#"{"statusCode":200,"multiValueHeaders":{"a":"b"}}"#, Malformed::Shape),
            (br#"{"statusCode":200,"body":"?","isBase64Encoded":true}"#, Malformed::Base64),
        ] {
            assert_eq!(proxy_reply(reply).unwrap_err(), expected, "{}", String::from_utf8_lossy(reply));
        }
    }
}
