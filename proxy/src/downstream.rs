//! A client's request and the way back: the same verbs for both protocols.
//!
//! HTTP/1 is spoken by [`http1`], one for each connection; HTTP/2 is Pingora's, one session for each stream.

mod http1;

pub use http1::Http1;

use crate::wire::Head;
use bytes::Bytes;
use http::request::Parts;
use pingora::ErrorType;
use pingora::http::ResponseHeader;
use pingora::protocols::Stream;
use pingora::protocols::http::ServerSession;
use std::net::IpAddr;

/// One request of a client, and where its answer goes.
pub enum Downstream {
    /// On a connection of its own, for as long as that lives.
    Http1(Box<Http1<Stream>>),
    /// On a stream.
    Http2(Box<ServerSession>),
}

/// Why a request's body, or its answer, did not come through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The client sent what is no body.
    Malformed,
    /// The client went away.
    Gone,
}

impl Downstream {
    /// The head of the request.
    #[must_use]
    pub fn head(&self) -> &Parts {
        match self {
            Self::Http1(http1) => http1.head(),
            Self::Http2(http2) => http2.req_header(),
        }
    }

    /// The address the client connects from.
    #[must_use]
    pub fn client(&self) -> Option<IpAddr> {
        match self {
            Self::Http1(http1) => http1.client,
            Self::Http2(http2) => {
                http2.client_addr().and_then(|address| address.as_inet()).map(std::net::SocketAddr::ip)
            }
        }
    }

    /// The request has no body.
    pub fn is_body_empty(&mut self) -> bool {
        match self {
            Self::Http1(http1) => http1.is_body_done(),
            Self::Http2(http2) => http2.is_body_empty(),
        }
    }

    /// The request was read to its end.
    pub fn is_body_done(&mut self) -> bool {
        match self {
            Self::Http1(http1) => http1.is_body_done(),
            Self::Http2(http2) => http2.is_body_done(),
        }
    }

    /// The next piece of the request's body; none at its end.
    ///
    /// # Errors
    /// When it does not come to its end.
    pub async fn read_body(&mut self) -> Result<Option<Bytes>, Lost> {
        match self {
            Self::Http1(http1) => http1.read_body().await,
            Self::Http2(http2) => http2.read_request_body().await.map_err(|error| match error.etype() {
                ErrorType::ConnectionClosed | ErrorType::ReadError | ErrorType::H2Error => Lost::Gone,
                _ => Lost::Malformed,
            }),
        }
    }

    /// Waits until the client goes away. Only once its request was read to the end: what comes before that would be
    /// taken for the next request.
    pub async fn gone(&mut self) {
        match self {
            Self::Http1(http1) => http1.gone().await,
            Self::Http2(http2) => {
                // Nothing but an end or a failure is to come.
                let _ = http2.read_body_or_idle(true).await;
            }
        }
    }

    /// Tells a client that waits for it to send its body.
    ///
    /// # Errors
    /// When the client went away.
    pub async fn send_continue(&mut self) -> Result<(), Lost> {
        match self {
            Self::Http1(http1) => http1.send_continue().await,
            Self::Http2(http2) => http2.write_continue_response().await.map_err(|_| Lost::Gone),
        }
    }

    /// Sends an answer with the beginning of its body, a piece and maybe `more`, or all of it when that is the `last`.
    ///
    /// # Errors
    /// When the client does not take it.
    pub async fn send(&mut self, head: Head, body: Bytes, more: Vec<Bytes>, last: bool) -> Result<(), Lost> {
        match self {
            Self::Http1(http1) => http1.send(&head, &body, &more, last).await,
            Self::Http2(http2) => {
                let (mut parts, ()) = http::Response::new(()).into_parts();
                (parts.status, parts.headers) = (head.status, head.headers);
                for (name, value) in head.said {
                    parts.headers.insert(name, value);
                }
                let head = Box::new(ResponseHeader::from(parts));
                http2.write_response_header(head).await.map_err(|_| Lost::Gone)?;
                http2.write_response_body(body, last && more.is_empty()).await.map_err(|_| Lost::Gone)?;
                let ends = more.len();
                for (piece, end) in more.into_iter().zip(1..) {
                    // An empty frame that ends nothing says nothing.
                    if !piece.is_empty() || last && end == ends {
                        let last = last && end == ends;
                        http2.write_response_body(piece, last).await.map_err(|_| Lost::Gone)?;
                    }
                }
                Ok(())
            }
        }
    }

    /// Sends more of the answer's body.
    ///
    /// # Errors
    /// When the client does not take it.
    pub async fn send_piece(&mut self, piece: Bytes, last: bool) -> Result<(), Lost> {
        match self {
            Self::Http1(http1) => http1.send_piece(&piece, last).await,
            Self::Http2(http2) => http2.write_response_body(piece, last).await.map_err(|_| Lost::Gone),
        }
    }

    /// The connection is not to be used again: its client is told with the answer.
    pub fn close_after(&mut self) {
        match self {
            Self::Http1(http1) => http1.close_after(),
            Self::Http2(http2) => http2.set_keepalive(None),
        }
    }

    /// Ends the connection, or the stream.
    pub async fn close(&mut self) {
        match self {
            Self::Http1(http1) => http1.close().await,
            Self::Http2(http2) => http2.shutdown().await,
        }
    }
}
