//! What is spoken with an upstream: one exchange on a connection, the same verbs for both protocols.
//!
//! HTTP/1.1 is spoken by [`http1`]; HTTP/2 is Pingora's, which shares connections among requests.

pub(crate) mod body;
mod head;
mod http1;

pub use head::{Head, RequestHead};

use crate::headers;
use aorta_core::exchange::Failure;
use bytes::Bytes;
use http::{HeaderMap, Uri, Version, header};
use http1::Http1;
use pingora::http::RequestHeader;
use pingora::protocols::Stream;
use pingora::protocols::http::client::HttpSession;
use pingora::{ErrorType, RetryType};

/// One exchange with an upstream.
pub enum Wire {
    /// On a connection of its own.
    Http1(Http1<Stream>),
    /// On a stream of one that is shared.
    Http2(Box<HttpSession>),
}

impl Wire {
    /// On a connection that speaks HTTP/1.1 and has nothing under way.
    #[must_use]
    pub fn http1(stream: Stream) -> Self {
        Self::Http1(Http1::new(stream))
    }

    /// Sends a request with the beginning of its body, or all of it when nothing `follows`.
    ///
    /// # Errors
    /// When the upstream does not take it.
    pub async fn send(&mut self, head: &RequestHead, body: Bytes, follows: bool) -> Result<(), Failure> {
        match self {
            Self::Http1(http1) => http1.send(head, &body).await,
            Self::Http2(http2) => {
                let alone = body.is_empty() && !follows;
                if let HttpSession::H2(h2) = http2.as_mut() {
                    // It fails before it opens the stream.
                    h2.write_request_header(for_http2(head)?, alone).map_err(|_| Failure::Unsent)?;
                }
                if !body.is_empty() {
                    http2.write_request_body(body, !follows).await.map_err(|_| Failure::Broken)?;
                }
                Ok(())
            }
        }
    }

    /// Sends more of the body.
    ///
    /// # Errors
    /// When the upstream does not take it.
    pub async fn send_piece(&mut self, piece: Bytes) -> Result<(), Failure> {
        match self {
            Self::Http1(http1) => http1.send_piece(&piece).await,
            Self::Http2(_) if piece.is_empty() => Ok(()),
            Self::Http2(http2) => http2.write_request_body(piece, false).await.map_err(|_| Failure::Broken),
        }
    }

    /// Ends a body that was sent in pieces.
    ///
    /// # Errors
    /// When the upstream does not take it.
    pub async fn finish(&mut self) -> Result<(), Failure> {
        match self {
            Self::Http1(http1) => http1.finish().await,
            Self::Http2(http2) => http2.finish_request_body().await.map_err(|_| Failure::Broken),
        }
    }

    /// Reads the head of the answer; `head_only` says that no body follows, whatever the head says.
    ///
    /// # Errors
    /// When the connection ends or brings something else.
    pub async fn read_head(&mut self, head_only: bool) -> Result<Head, Failure> {
        match self {
            Self::Http1(http1) => http1.read_head(head_only).await,
            Self::Http2(http2) => {
                // Its library passes over interim answers by itself.
                http2.read_response_header().await.map_err(|error| no_answer(&error))?;
                let head = http2.response_header().filter(|head| !head.status.is_informational());
                let head = head.ok_or(Failure::Broken)?;
                let (status, headers) = (head.status, headers::for_client(&head.headers));
                Ok(Head { status, headers, said: Vec::new() })
            }
        }
    }

    /// Reads the next piece of the answer's body; none at its end.
    ///
    /// # Errors
    /// When it breaks off.
    pub async fn read_body(&mut self) -> Result<Option<Bytes>, Failure> {
        match self {
            Self::Http1(http1) => http1.read_body().await,
            Self::Http2(http2) => http2.read_response_body().await.map_err(|_| Failure::Broken),
        }
    }
}

/// HTTP/2 tells when a request was certainly not looked at: its stream was refused, or it lies beyond the last one
/// that a closing connection serves (RFC 9113 sections 6.8 and 8.7). These are the errors of HTTP/2 itself that
/// Pingora would repeat.
fn no_answer(error: &pingora::Error) -> Failure {
    let unseen = *error.etype() == ErrorType::H2Error && matches!(error.retry, RetryType::Decided(true));
    if unseen { Failure::Unprocessed } else { Failure::Broken }
}

/// HTTP/2 carries the host as `:authority` and frames by itself (RFC 9113 section 8.3.1).
fn for_http2(head: &RequestHead) -> Result<Box<RequestHeader>, Failure> {
    let host = head.field(&header::HOST).ok_or(Failure::Unsent)?;
    let target = head.target.as_str();
    let uri = Uri::builder().scheme("https").authority(host.as_bytes()).path_and_query(target).build();
    let mut fields = HeaderMap::with_capacity(head.fields.len());
    for (name, value) in &head.fields {
        if !matches!(*name, header::HOST | header::TRANSFER_ENCODING) {
            fields.append(name, value.clone());
        }
    }
    let (mut parts, ()) = http::Request::new(()).into_parts();
    parts.method = head.method.clone();
    parts.uri = uri.map_err(|_| Failure::Unsent)?;
    parts.version = Version::HTTP_2;
    parts.headers = fields;
    Ok(Box::new(RequestHeader::from(parts)))
}
