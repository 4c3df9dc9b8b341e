//! The message around an exchange: reading the payload, marking the answer, leaving out bodies HTTP does not allow.

use std::time::SystemTime;

use bytes::{Bytes, BytesMut};
use http::{HeaderName, HeaderValue, Method, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};

use crate::catalogue::{self, GatewayAnswer};
use crate::ids::RequestIds;

/// API Gateway's payload limit.
/// Source: <https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html>
const PAYLOAD_BYTES_MAX: usize = 10 * 1024 * 1024;
/// What is read and thrown away of a payload beyond the limit, so that the client gets to see its 413.
const DISCARD_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Reads the whole payload before anything is decided, as the gateway does.
pub(super) async fn read(mut body: Incoming) -> Result<Bytes, GatewayAnswer> {
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    let mut payload = BytesMut::new();
    let mut size = 0_usize;
    while let Some(frame) = body.frame().await {
        // The client went away or broke the framing: whatever is answered does not reach it.
        let Ok(data) = frame.map_err(|_| ()).map(|frame| frame.into_data().unwrap_or_default()) else {
            return Err(catalogue::BAD_REQUEST);
        };
        size = size.saturating_add(data.len());
        if size > DISCARD_BYTES_MAX {
            break;
        }
        if size > PAYLOAD_BYTES_MAX {
            payload.clear();
        } else {
            payload.extend_from_slice(&data);
        }
    }
    if size > PAYLOAD_BYTES_MAX { Err(catalogue::REQUEST_TOO_LONG) } else { Ok(payload.freeze()) }
}

/// Adds the identifiers every answer carries, and the gateway's own time.
pub(super) fn stamp(response: &mut Response<Bytes>, ids: &RequestIds, now: SystemTime) {
    if let Ok(date) = HeaderValue::from_str(&httpdate::fmt_http_date(now)) {
        response.headers_mut().insert(header::DATE, date);
    }
    let stamps = [
        ("x-amzn-requestid", &ids.request),
        ("x-amz-apigw-id", &ids.extended),
        ("x-amzn-trace-id", &ids.trace),
    ];
    for (name, value) in stamps {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
}

/// Takes away a body that HTTP does not allow here; after HEAD its length stays.
pub(super) fn shaped(mut response: Response<Bytes>, method: &Method) -> Response<Bytes> {
    let status = response.status();
    let no_content = status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED;
    if method == Method::HEAD && !no_content && !response.body().is_empty() {
        let length = response.body().len();
        response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    }
    if method == Method::HEAD || no_content {
        *response.body_mut() = Bytes::new();
    }
    response
}
