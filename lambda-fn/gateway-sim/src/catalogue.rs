//! The answers API Gateway makes itself, and the ones a function would make: status, error type, exact body.
//!
//! Source: <https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html> and
//! public captures. The space after the colon in some bodies is real: the two families come from different layers.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};

use crate::signature::Denial;

/// The header that tells a gateway-made answer from the function's.
pub const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");
/// The media type of FHIR in JSON.
pub const FHIR_JSON: HeaderValue = HeaderValue::from_static("application/fhir+json");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// One answer of the gateway's own making.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GatewayAnswer {
    /// HTTP status.
    pub status: StatusCode,
    /// Value of `x-amzn-ErrorType`.
    pub error_type: &'static str,
    /// The body, byte for byte.
    pub body: &'static str,
}

const fn answer(status: StatusCode, error_type: &'static str, body: &'static str) -> GatewayAnswer {
    GatewayAnswer { status, error_type, body }
}

/// Disabled default endpoint, wrong host, wrong stage, wrong or missing API key, web application firewall.
pub const FORBIDDEN: GatewayAnswer =
    answer(StatusCode::FORBIDDEN, "ForbiddenException", r#"{"message":"Forbidden"}"#);
/// A path or method without an integration.
pub const MISSING_AUTHENTICATION_TOKEN: GatewayAnswer = answer(
    StatusCode::FORBIDDEN,
    "MissingAuthenticationTokenException",
    r#"{"message":"Missing Authentication Token"}"#,
);
/// Temporary credentials that signed, and have expired.
pub const EXPIRED_TOKEN: GatewayAnswer = answer(
    StatusCode::FORBIDDEN,
    "ExpiredTokenException",
    r#"{"message":"The security token included in the request is expired"}"#,
);
/// The rate or burst limit is exceeded; AWS usually sends no `Retry-After`.
pub const TOO_MANY_REQUESTS: GatewayAnswer =
    answer(StatusCode::TOO_MANY_REQUESTS, "TooManyRequestsException", r#"{"message":"Too Many Requests"}"#);
/// The usage plan's quota is spent. The error type is not documented.
pub const LIMIT_EXCEEDED: GatewayAnswer =
    answer(StatusCode::TOO_MANY_REQUESTS, "LimitExceededException", r#"{"message":"Limit Exceeded"}"#);
/// A malformed proxy reply, a function that failed, died or exceeded its own time limit.
pub const BAD_GATEWAY: GatewayAnswer = answer(
    StatusCode::BAD_GATEWAY,
    "InternalServerErrorException",
    r#"{"message": "Internal server error"}"#,
);
/// An authoriser that failed, or no permission to invoke the function: before the function ran.
pub const INTERNAL_SERVER_ERROR: GatewayAnswer = answer(
    StatusCode::INTERNAL_SERVER_ERROR,
    "InternalServerErrorException",
    r#"{"message": "Internal server error"}"#,
);
/// The integration did not answer within 29 s; the function may still be running.
pub const GATEWAY_TIMEOUT: GatewayAnswer = answer(
    StatusCode::GATEWAY_TIMEOUT,
    "InternalServerErrorException",
    r#"{"message": "Endpoint request timed out"}"#,
);
/// A payload above 10 MB (`REQUEST_TOO_LARGE`), or an event above Lambda's 6 MB, whose status AWS does not document.
pub const REQUEST_TOO_LONG: GatewayAnswer =
    answer(StatusCode::PAYLOAD_TOO_LARGE, "RequestTooLargeException", r#"{"message":"Request Too Long"}"#);
/// A URL above 10,240 characters. AWS documents the limit, not the answer: 414 is this simulator's choice.
pub const URI_TOO_LONG: GatewayAnswer =
    answer(StatusCode::URI_TOO_LONG, "BadRequestException", r#"{"message":"URI Too Long"}"#);
/// Request line and headers above 10,240 bytes. AWS documents the limit, not the answer: 431 is our choice.
pub const HEADERS_TOO_LARGE: GatewayAnswer = answer(
    StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
    "BadRequestException",
    r#"{"message":"Request Header Fields Too Large"}"#,
);
/// A raw `|`, `{` or `}` in the query. AWS documents that it is not supported; the body is our choice.
pub const BAD_REQUEST: GatewayAnswer =
    answer(StatusCode::BAD_REQUEST, "BadRequestException", r#"{"message":"Bad Request"}"#);
/// A payload that the non-proxy integration cannot pass on as an event, because it is no JSON.
pub const BAD_REQUEST_BODY: GatewayAnswer = answer(
    StatusCode::BAD_REQUEST,
    "BadRequestException",
    r#"{"message": "Could not parse request body into json"}"#,
);

/// What the gateway says to a signature that it does not accept.
#[must_use]
pub fn denied(denial: &Denial) -> Response<Bytes> {
    let mut response = gateway(GatewayAnswer { error_type: denial.error_type, ..FORBIDDEN });
    *response.body_mut() = serde_json::json!({ "message": denial.message }).to_string().into();
    response
}

/// The body of `/ping` and `/sping`, which AWS reserves for its own health check.
pub const PING_BODY: &str = "healthy";

/// What a function says that is up but cannot serve.
pub const OUTCOME_UNAVAILABLE: &str = r#"{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"transient","diagnostics":"The record store is not available."}]}"#;
/// What a function says that met an error of its own.
pub const OUTCOME_INTERNAL: &str = r#"{"resourceType":"OperationOutcome","issue":[{"severity":"fatal","code":"exception","diagnostics":"The request could not be processed."}]}"#;
/// What a function says to a caller without the right.
pub const OUTCOME_FORBIDDEN: &str = r#"{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"forbidden","diagnostics":"Access to this record is not permitted."}]}"#;
/// A failed function's own 500, wrapped in a 200 by the non-proxy integration.
pub const ENVELOPE_500: &str = r#"{"statusCode":500,"headers":{"Content-Type":"application/fhir+json"},"body":"{\"resourceType\":\"OperationOutcome\",\"issue\":[{\"severity\":\"fatal\",\"code\":\"exception\",\"diagnostics\":\"The request could not be processed.\"}]}"}"#;
/// What the non-proxy integration returns, with 200, for a function that raised.
pub const LAMBDA_ERROR: &str =
    r#"{"errorMessage":"The request could not be processed.","errorType":"Runtime.HandlerError"}"#;
/// A page of something between client and gateway, with 200.
pub const HTML_PAGE: &str = "<!doctype html>\n<html lang=\"en\"><head><title>Maintenance</title></head>\
    <body><h1>Down for maintenance</h1></body></html>\n";

/// The gateway's answer as a response.
#[must_use]
pub fn gateway(answer: GatewayAnswer) -> Response<Bytes> {
    let mut response = plain(answer.status, JSON, answer.body);
    response.headers_mut().insert(ERROR_TYPE, HeaderValue::from_static(answer.error_type));
    response
}

/// An answer as the function would have made it: no error type.
#[must_use]
pub fn function(status: StatusCode, content_type: HeaderValue, body: &'static str) -> Response<Bytes> {
    plain(status, content_type, body)
}

/// 200 with JSON, as the non-proxy integration answers whatever the function returned.
#[must_use]
pub fn passed_through(body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    response
}

fn plain(status: StatusCode, content_type: HeaderValue, body: &'static str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(body.as_bytes()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bodies_are_as_long_as_the_captured_ones() {
        for (answer, status, length) in [
            (FORBIDDEN, 403, 23),
            (MISSING_AUTHENTICATION_TOKEN, 403, 42),
            (TOO_MANY_REQUESTS, 429, 31),
            (LIMIT_EXCEEDED, 429, 28),
            (BAD_GATEWAY, 502, 36),
            (INTERNAL_SERVER_ERROR, 500, 36),
            (GATEWAY_TIMEOUT, 504, 41),
        ] {
            assert_eq!((answer.status.as_u16(), answer.body.len()), (status, length), "{}", answer.body);
        }
    }

    #[test]
    fn every_body_made_here_is_json() {
        for body in [
            FORBIDDEN.body,
            MISSING_AUTHENTICATION_TOKEN.body,
            EXPIRED_TOKEN.body,
            TOO_MANY_REQUESTS.body,
            LIMIT_EXCEEDED.body,
            BAD_GATEWAY.body,
            GATEWAY_TIMEOUT.body,
            REQUEST_TOO_LONG.body,
            URI_TOO_LONG.body,
            HEADERS_TOO_LARGE.body,
            BAD_REQUEST.body,
            BAD_REQUEST_BODY.body,
            OUTCOME_UNAVAILABLE,
            OUTCOME_INTERNAL,
            OUTCOME_FORBIDDEN,
            ENVELOPE_500,
            LAMBDA_ERROR,
        ] {
            serde_json::from_str::<serde_json::Value>(body).unwrap();
        }
    }

    #[test]
    fn a_gateway_answer_carries_its_error_type_and_a_function_answer_none() {
        let response = gateway(FORBIDDEN);
        assert_eq!(response.headers()[ERROR_TYPE], "ForbiddenException");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
        let response = function(StatusCode::FORBIDDEN, FHIR_JSON, OUTCOME_FORBIDDEN);
        assert!(!response.headers().contains_key(ERROR_TYPE));
    }

    #[test]
    fn the_envelope_carries_an_operation_outcome_as_a_string() {
        let envelope: serde_json::Value = serde_json::from_str(ENVELOPE_500).unwrap();
        let inner: serde_json::Value = serde_json::from_str(envelope["body"].as_str().unwrap()).unwrap();
        assert_eq!(inner["resourceType"], "OperationOutcome");
        assert_eq!(envelope["statusCode"], 500);
    }
}
