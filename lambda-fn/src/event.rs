//! The door of Lambda: what an invocation's event asks, and the answer in the shape that API Gateway reads.
//!
//! Two integrations lead here. *Proxy*: the event is the request (payload version 1), the answer carries status and headers.
//! *Non-proxy*, which the original system used: the event says nothing of the request, and the answer is an envelope
//! that reaches the client as it is. They are told apart by the event's shape.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use fhir::{Id, IssueCode};
use http::header::{HOST, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Response};
use serde_json::{Map, Value, json};

use crate::outcome::Refusal;
use crate::request::Request;
use crate::serve::{Server, refused};
use crate::store::Store;
use crate::time::Timestamp;

/// Answers one invocation. A failure is an answer too: an invocation never fails.
pub async fn answer<S: Store>(server: &Server<S>, event: &Value, now: Timestamp, new_id: Id) -> Value {
    let is_proxy = event.get("httpMethod").is_some() || event.get("requestContext").is_some();
    if !is_proxy {
        let response = server.serve(&root_request(), now, new_id).await;
        return envelope(&response);
    }
    match proxy_request(event) {
        Ok(request) => {
            let mut response = server.serve(&request, now, new_id).await;
            if request.method == Method::HEAD {
                response.body_mut().clear();
            }
            proxy_answer(&response)
        }
        Err(words) => {
            proxy_answer(&refused(&root_request(), &Refusal::bad_request(IssueCode::Structure, words)))
        }
    }
}

fn root_request() -> Request {
    Request {
        method: Method::GET,
        path: "/".into(),
        query: Vec::new(),
        headers: HeaderMap::new(),
        body: Bytes::new(),
        prefix: String::new(),
        scheme: "https",
    }
}

/// The original system's answer, header for header.
fn envelope(response: &Response<Bytes>) -> Value {
    json!({
        "statusCode": response.status().as_u16(),
        "headers": {"Content-Type": "application/json"},
        "body": String::from_utf8_lossy(response.body()),
    })
}

fn proxy_answer(response: &Response<Bytes>) -> Value {
    let headers: Map<String, Value> = response
        .headers()
        .iter()
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.into())))
        .collect();
    json!({
        "statusCode": response.status().as_u16(),
        "headers": headers,
        "body": String::from_utf8_lossy(response.body()),
        "isBase64Encoded": false,
    })
}

/// The request of a proxy event; parameters are decoded already.
fn proxy_request(event: &Value) -> Result<Request, &'static str> {
    let text = |name: &str| event.get(name).and_then(Value::as_str);
    let method = text("httpMethod").ok_or("the event has no httpMethod: it is no REST API proxy event")?;
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| "the event's httpMethod is no method")?;
    let path = text("path").unwrap_or("/").to_owned();
    let body = text("body").unwrap_or_default();
    let body = if event.get("isBase64Encoded").and_then(Value::as_bool) == Some(true) {
        STANDARD.decode(body).map_err(|_| "the event's body is not base64")?
    } else {
        body.as_bytes().to_vec()
    };
    let headers = headers(event);
    let prefix = prefix(event, &path, &headers);
    let query = pairs(event, "multiValueQueryStringParameters", "queryStringParameters");
    Ok(Request { method, path, query, headers, body: body.into(), prefix, scheme: "https" })
}

/// The members of two maps, of which the one with lists wins where it has the name.
fn pairs(event: &Value, lists: &str, singles: &str) -> Vec<(String, String)> {
    let members = |name: &str| event.get(name).and_then(Value::as_object).into_iter().flatten();
    let mut pairs = Vec::new();
    for (name, values) in members(lists) {
        let values = values.as_array().into_iter().flatten().filter_map(Value::as_str);
        pairs.extend(values.map(|value| (name.clone(), value.to_owned())));
    }
    for (name, value) in members(singles) {
        if let Some(value) = value.as_str().filter(|_| !pairs.iter().any(|(known, _)| known == name)) {
            pairs.push((name.clone(), value.to_owned()));
        }
    }
    pairs
}

fn headers(event: &Value) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs(event, "multiValueHeaders", "headers") {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_bytes(value.as_bytes()))
        {
            headers.append(name, value);
        }
    }
    headers
}

/// The stage, where it is part of the URL: on the API's own host, or as the base path of a custom domain.
fn prefix(event: &Value, path: &str, headers: &HeaderMap) -> String {
    let context = |name: &str| event.get("requestContext")?.get(name)?.as_str();
    if let Some(prefix) = context("path").and_then(|whole| whole.strip_suffix(path)) {
        return prefix.trim_end_matches('/').to_owned();
    }
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let host = host.split(':').next().unwrap_or_default();
    let stage =
        context("stage").filter(|_| host.contains(".execute-api.") && host.ends_with(".amazonaws.com"));
    stage.map(|stage| format!("/{stage}")).unwrap_or_default()
}

#[cfg(test)]
mod tests;
