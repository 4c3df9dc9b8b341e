//! How the admin port answers.

use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use serde_json::Value;

/// An answer.
pub(super) type Answer = Response<Vec<u8>>;

/// JSON, and all is well.
pub(super) fn json(value: &Value) -> Answer {
    whole(StatusCode::OK, "application/json", value.to_string().into_bytes())
}

/// A line for people.
pub(super) fn text(status: StatusCode, body: &str) -> Answer {
    whole(status, "text/plain; charset=utf-8", body.as_bytes().to_vec())
}

/// No route takes this; these methods would be taken at its path.
pub(super) fn nothing<'a>(methods: impl Iterator<Item = &'a Method>) -> Answer {
    let methods: Vec<_> = methods.map(Method::as_str).collect();
    if methods.is_empty() {
        return text(StatusCode::NOT_FOUND, "no such page\n");
    }
    let allow = methods.join(", ");
    let refused = text(StatusCode::METHOD_NOT_ALLOWED, &format!("this takes {allow}\n"));
    with(refused, header::ALLOW, &allow)
}

/// With one header more.
pub(super) fn with(mut answer: Answer, name: header::HeaderName, value: &str) -> Answer {
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.headers_mut().insert(name, value);
    }
    answer
}

/// Of any kind.
pub(super) fn whole(status: StatusCode, media_type: &'static str, body: Vec<u8>) -> Answer {
    let length = body.len();
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    let headers: &mut HeaderMap = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::CONTENT_LENGTH, length.into());
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}
