//! A request as the event of a REST API with Lambda proxy integration (payload version 1.0).
//!
//! Source: <https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html>.
//! Query parameters and path parameters are decoded, `path` stays as it was sent, `;` separates parameters like `&`
//! (<https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-known-issues.html>).

mod multi;

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, header};
use percent_encoding::percent_decode_str;
use serde::Serialize;

use self::multi::Last;
pub use self::multi::Multi;
use crate::ids::{RequestIds, request_time, unix_millis};

/// A request that passed the gateway's checks.
#[derive(Debug)]
pub struct Accepted<'a> {
    /// The method.
    pub method: &'a str,
    /// The whole path, with the stage.
    pub path_with_stage: &'a str,
    /// The path after the stage; `/` at the root.
    pub path: &'a str,
    /// The raw query, without `?`.
    pub query: &'a str,
    /// `HTTP/1.1` or `HTTP/2`.
    pub protocol: &'a str,
    /// The headers as received.
    pub headers: &'a HeaderMap,
    /// The host the client asked for.
    pub host: &'a str,
    /// The payload.
    pub body: &'a [u8],
    /// The client's address.
    pub source: IpAddr,
    /// The API's id.
    pub api_id: &'a str,
    /// The stage.
    pub stage: &'a str,
    /// The request's identifiers.
    pub ids: &'a RequestIds,
    /// When the request came.
    pub now: SystemTime,
}

/// The event as JSON.
#[must_use]
pub fn proxy_event(request: &Accepted<'_>) -> Vec<u8> {
    let headers = headers_of(request);
    let query = query_of(request.query);
    let parameter = percent_decode_str(request.path.trim_start_matches('/')).decode_utf8_lossy();
    let at_root = parameter.is_empty();
    let resource = if at_root { "/" } else { "/{proxy+}" };
    let (body, is_base64_encoded) = body_of(request);
    let event = Event {
        resource,
        path: request.path,
        http_method: request.method,
        headers: Last(&headers),
        multi_value_headers: &headers,
        query_string_parameters: (!query.is_empty()).then_some(Last(&query)),
        multi_value_query_string_parameters: (!query.is_empty()).then_some(&query),
        path_parameters: (!at_root).then_some(PathParameters { proxy: parameter }),
        stage_variables: None,
        request_context: context_of(request, resource),
        body,
        is_base64_encoded,
    };
    // Serialising strings and numbers into memory cannot fail; an empty event would only be a malformed one.
    serde_json::to_vec(&event).unwrap_or_default()
}

/// A query as API Gateway reads it: `&` and `;` separate, `+` is a space, names and values are decoded.
#[must_use]
pub fn query_of(query: &str) -> Multi<'_> {
    let mut parameters = Multi::default();
    for pair in query.split(['&', ';']).filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        parameters.push(decoded(name), decoded(value));
    }
    parameters
}

/// Whether the query holds a character that API Gateway wants percent-encoded.
#[must_use]
pub fn has_raw_delimiter(query: &str) -> bool {
    query.bytes().any(|byte| matches!(byte, b'|' | b'{' | b'}'))
}

fn decoded(text: &str) -> Cow<'_, str> {
    if text.contains('+') {
        let spaced = text.replace('+', " ");
        return Cow::Owned(percent_decode_str(&spaced).decode_utf8_lossy().into_owned());
    }
    percent_decode_str(text).decode_utf8_lossy()
}

/// What belongs to the connection and not to the message: API Gateway keeps it to itself.
const OF_THE_CONNECTION: [HeaderName; 5] =
    [header::CONNECTION, header::TE, header::TRAILER, header::TRANSFER_ENCODING, header::UPGRADE];
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const TRACE_ID: HeaderName = HeaderName::from_static("x-amzn-trace-id");

fn headers_of<'a>(request: &Accepted<'a>) -> Multi<'a> {
    let replaced = [&header::HOST, &FORWARDED_FOR, &FORWARDED_PORT, &FORWARDED_PROTO, &TRACE_ID];
    let mut headers = Multi::default();
    for (name, value) in request.headers {
        if !OF_THE_CONNECTION.contains(name) && !replaced.contains(&name) {
            headers.push(Cow::Borrowed(name.as_str()), String::from_utf8_lossy(value.as_bytes()));
        }
    }
    let mut forwarded = String::new();
    for value in request.headers.get_all(FORWARDED_FOR) {
        forwarded.push_str(&String::from_utf8_lossy(value.as_bytes()));
        forwarded.push_str(", ");
    }
    forwarded.push_str(&request.source.to_string());
    headers.push("host".into(), request.host.into());
    headers.push("x-amzn-trace-id".into(), request.ids.trace.clone().into());
    headers.push("x-forwarded-for".into(), forwarded.into());
    headers.push("x-forwarded-port".into(), "443".into());
    headers.push("x-forwarded-proto".into(), "https".into());
    headers
}

fn body_of<'a>(request: &Accepted<'a>) -> (Option<Cow<'a, str>>, bool) {
    if request.body.is_empty() {
        return (None, false);
    }
    let media_type = request.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    match std::str::from_utf8(request.body) {
        Ok(text) if media_type.is_none_or(is_text) => (Some(Cow::Borrowed(text)), false),
        _ => (Some(Cow::Owned(STANDARD.encode(request.body))), true),
    }
}

/// Media types whose payload reaches the function as text.
fn is_text(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence.starts_with("text/")
        || essence == "application/x-www-form-urlencoded"
        || (essence.starts_with("application/") && (essence.contains("json") || essence.contains("xml")))
}

fn context_of<'a>(request: &Accepted<'a>, resource: &'static str) -> Context<'a> {
    let text_of = |name: HeaderName| request.headers.get(name).and_then(|value| value.to_str().ok());
    Context {
        account_id: "123456789012",
        api_id: request.api_id,
        domain_name: request.host,
        domain_prefix: request.api_id,
        extended_request_id: &request.ids.extended,
        http_method: request.method,
        identity: Identity {
            api_key: text_of(HeaderName::from_static("x-api-key")),
            source_ip: request.source.to_string(),
            user_agent: text_of(header::USER_AGENT),
        },
        path: request.path_with_stage,
        protocol: request.protocol,
        request_id: &request.ids.request,
        request_time: request_time(request.now),
        request_time_epoch: unix_millis(request.now),
        resource_id: "proxy",
        resource_path: resource,
        stage: request.stage,
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Event<'m, 'a> {
    resource: &'static str,
    path: &'a str,
    http_method: &'a str,
    headers: Last<'m, 'a>,
    multi_value_headers: &'m Multi<'a>,
    query_string_parameters: Option<Last<'m, 'a>>,
    multi_value_query_string_parameters: Option<&'m Multi<'a>>,
    path_parameters: Option<PathParameters<'a>>,
    stage_variables: Option<()>,
    request_context: Context<'a>,
    body: Option<Cow<'a, str>>,
    is_base64_encoded: bool,
}

#[derive(Serialize)]
struct PathParameters<'a> {
    proxy: Cow<'a, str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Context<'a> {
    account_id: &'static str,
    api_id: &'a str,
    domain_name: &'a str,
    domain_prefix: &'a str,
    extended_request_id: &'a str,
    http_method: &'a str,
    identity: Identity<'a>,
    path: &'a str,
    protocol: &'a str,
    request_id: &'a str,
    request_time: String,
    request_time_epoch: u64,
    resource_id: &'static str,
    resource_path: &'static str,
    stage: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Identity<'a> {
    api_key: Option<&'a str>,
    source_ip: String,
    user_agent: Option<&'a str>,
}

#[cfg(test)]
mod tests;
