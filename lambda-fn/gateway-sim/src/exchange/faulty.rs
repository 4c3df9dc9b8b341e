//! What a request sees that a fault hit.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Either;

use super::{AnswerBody, Peer};
use crate::catalogue::{self, FHIR_JSON};
use crate::fault::Kind;
use crate::wire::{End, Partial, Saboteur};

/// The answer of a fault that shows before the function runs; some never return.
pub(super) async fn before(kind: Kind, saboteur: &Saboteur) -> Response<Bytes> {
    match kind {
        Kind::Disabled | Kind::Forbidden => catalogue::gateway(catalogue::FORBIDDEN),
        Kind::MissingAuthenticationToken => catalogue::gateway(catalogue::MISSING_AUTHENTICATION_TOKEN),
        Kind::ExpiredToken => catalogue::gateway(catalogue::EXPIRED_TOKEN),
        Kind::Throttled => catalogue::gateway(catalogue::TOO_MANY_REQUESTS),
        Kind::Quota => catalogue::gateway(catalogue::LIMIT_EXCEEDED),
        Kind::Authorizer => catalogue::gateway(catalogue::INTERNAL_SERVER_ERROR),
        Kind::Unavailable => {
            catalogue::function(StatusCode::SERVICE_UNAVAILABLE, FHIR_JSON, catalogue::OUTCOME_UNAVAILABLE)
        }
        Kind::Internal => {
            catalogue::function(StatusCode::INTERNAL_SERVER_ERROR, FHIR_JSON, catalogue::OUTCOME_INTERNAL)
        }
        Kind::App403 => catalogue::function(StatusCode::FORBIDDEN, FHIR_JSON, catalogue::OUTCOME_FORBIDDEN),
        Kind::Envelope500 => {
            catalogue::passed_through(Bytes::from_static(catalogue::ENVELOPE_500.as_bytes()))
        }
        Kind::LambdaError => {
            catalogue::passed_through(Bytes::from_static(catalogue::LAMBDA_ERROR.as_bytes()))
        }
        Kind::Html => {
            let html = HeaderValue::from_static("text/html; charset=utf-8");
            catalogue::function(StatusCode::OK, html, catalogue::HTML_PAGE)
        }
        Kind::ResetBefore => never(saboteur, Some(End::Reset)).await,
        Kind::Garbage => never(saboteur, Some(End::Garbage)).await,
        // The rest shows elsewhere and is not drawn here; a request that came so far hangs rather than lies.
        Kind::Hang
        | Kind::RefuseConnections
        | Kind::BadGateway
        | Kind::GatewayTimeout
        | Kind::Slow
        | Kind::ResetInside
        | Kind::Truncate
        | Kind::LateExecution => never(saboteur, None).await,
    }
}

/// The answer of a fault that shows after the function ran, where it is another one; some never return.
pub(super) async fn replaced(kind: Kind, response: Response<Bytes>, saboteur: &Saboteur) -> Response<Bytes> {
    match kind {
        Kind::BadGateway => catalogue::gateway(catalogue::BAD_GATEWAY),
        Kind::GatewayTimeout => catalogue::gateway(catalogue::GATEWAY_TIMEOUT),
        Kind::LateExecution => never(saboteur, Some(End::Reset)).await,
        _ => response,
    }
}

/// The same answer, cut where the fault is a cut.
///
/// An answer without a body (204, 304, HEAD) cannot be cut inside: it is not sent at all, and the connection ends the
/// same way.
pub(super) async fn spoilt(kind: Kind, response: Response<Bytes>, peer: &Peer) -> Response<AnswerBody> {
    let end = match kind {
        Kind::ResetInside => Some(End::Reset),
        Kind::Truncate if peer.http2 => None,
        Kind::Truncate => Some(End::Close),
        _ => return response.map(|body| Either::Left(http_body_util::Full::new(body))),
    };
    if response.body().is_empty() {
        return never(&peer.saboteur, Some(end.unwrap_or(End::Close))).await;
    }
    let (mut head, body) = response.into_parts();
    // A body of one byte is promised as two, so that something is missing.
    let promised = body.len().max(2);
    head.headers.insert(header::CONTENT_LENGTH, promised.into());
    let part = body.slice(..promised / 2);
    Response::from_parts(head, Either::Right(Partial::new(part, peer.saboteur.clone(), end)))
}

async fn never<T>(saboteur: &Saboteur, end: Option<End>) -> T {
    if let Some(end) = end {
        saboteur.end(end);
    }
    std::future::pending().await
}
