//! HTTP/1.1 with an upstream, on one connection. A request is written at once; an answer's body is what was
//! read of it.
//!
//! Pingora's own session makes each field three times and copies each body twice; a third of a request's
//! instructions were its.

use super::body::{Body, Next};
use super::head::{self, Head, RequestHead};
use crate::scratch;
use aorta_core::exchange::Failure;
use bytes::{Bytes, BytesMut};
use http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};

/// API Gateway's own limit is 10 KiB; a head beyond this is none.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// A request up to this goes out in one piece: over TLS it is one record (RFC 8446 section 5.1), which the other end
/// reads whole or not at all.
const TOGETHER_MAX: usize = 16 * 1024;

/// One exchange at a time on one connection.
#[derive(Debug)]
pub struct Http1<S> {
    stream: S,
    /// What was read and not taken.
    read: BytesMut,
    /// What of the answer is still to come; none before its head.
    body: Option<Body>,
    /// Pieces of the request are chunks.
    sends_chunks: bool,
    /// Another request may follow the answer.
    keeps: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Http1<S> {
    /// A connection on which nothing is under way.
    pub fn new(stream: S) -> Self {
        Self { stream, read: BytesMut::new(), body: None, sends_chunks: false, keeps: false }
    }

    /// Sends a request with the beginning of its body, or all of it. A request is unsent until the end of its head has
    /// left: without that nobody can carry it out, as on a connection that was just closed.
    ///
    /// # Errors
    /// When the other end does not take it.
    pub async fn send(&mut self, head: &RequestHead, body: &[u8]) -> Result<(), Failure> {
        self.sends_chunks = head.field(&http::header::TRANSFER_ENCODING).is_some();
        let mut bytes = head.bytes(body.len().min(TOGETHER_MAX));
        let head_bytes = bytes.len();
        let together = !self.sends_chunks && head_bytes + body.len() <= TOGETHER_MAX;
        let (with_it, apart) = body.split_at(if together { body.len() } else { 0 });
        bytes.extend_from_slice(with_it);
        self.write(&bytes)
            .await
            .map_err(|left| if left < head_bytes { Failure::Unsent } else { Failure::Broken })?;
        // What a layer below kept back is a part of the head, or unknown.
        let kept_back = if with_it.is_empty() { Failure::Unsent } else { Failure::Broken };
        self.stream.flush().await.map_err(|_| kept_back)?;
        if apart.is_empty() { Ok(()) } else { self.send_piece(apart).await }
    }

    /// Writes all of it; the error is how many bytes had left before.
    async fn write(&mut self, bytes: &[u8]) -> Result<(), usize> {
        let mut left = 0;
        while left < bytes.len() {
            match self.stream.write(&bytes[left..]).await {
                Ok(more) if more > 0 => left += more,
                _ => return Err(left),
            }
        }
        Ok(())
    }

    /// Sends more of the body.
    ///
    /// # Errors
    /// When the other end does not take it.
    pub async fn send_piece(&mut self, piece: &[u8]) -> Result<(), Failure> {
        // An empty chunk would be the last one.
        if self.sends_chunks && !piece.is_empty() {
            let line = format!("{:x}\r\n", piece.len());
            self.stream.write_all(line.as_bytes()).await.map_err(|_| Failure::Broken)?;
        }
        self.stream.write_all(piece).await.map_err(|_| Failure::Broken)?;
        if self.sends_chunks && !piece.is_empty() {
            self.stream.write_all(b"\r\n").await.map_err(|_| Failure::Broken)?;
        }
        self.flush().await
    }

    /// Ends the body.
    ///
    /// # Errors
    /// When the other end does not take it.
    pub async fn finish(&mut self) -> Result<(), Failure> {
        if self.sends_chunks {
            self.stream.write_all(b"0\r\n\r\n").await.map_err(|_| Failure::Broken)?;
            self.flush().await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Failure> {
        self.stream.flush().await.map_err(|_| Failure::Broken)
    }

    /// Reads the head of the answer. Interim answers are for the hop, and passed over; an upgrade was never asked
    /// for. `head_only` says that no body follows, whatever the head says.
    ///
    /// # Errors
    /// When the connection ends or brings something else.
    pub async fn read_head(&mut self, head_only: bool) -> Result<Head, Failure> {
        loop {
            // A new connection has nothing to look at.
            let taken = if self.read.is_empty() { None } else { self.take_head(head_only)? };
            match taken {
                Some(head) if head.status == StatusCode::SWITCHING_PROTOCOLS => return Err(Failure::Broken),
                Some(head) if head.status.is_informational() => {}
                Some(head) => return Ok(head),
                None if self.read.len() > HEAD_BYTES_MAX => return Err(Failure::Broken),
                None if self.read_more().await? == 0 => return Err(Failure::Broken),
                None => {}
            }
        }
    }

    fn take_head(&mut self, head_only: bool) -> Result<Option<Head>, Failure> {
        let Some(taken) = head::take(&mut self.read, head_only).map_err(|_| Failure::Broken)? else {
            return Ok(None);
        };
        (self.body, self.keeps) = (Some(taken.body), taken.keeps);
        Ok(Some(taken.head))
    }

    /// Reads the next piece of the answer's body; none at its end.
    ///
    /// # Errors
    /// When the connection ends before the body, or brings something else.
    pub async fn read_body(&mut self) -> Result<Option<Bytes>, Failure> {
        let mut body = self.body.ok_or(Failure::Broken)?;
        loop {
            let next = body.next(&mut self.read).map_err(|_| Failure::Broken);
            self.body = Some(body);
            match next? {
                Next::Piece(piece) => return Ok(Some(piece)),
                Next::End => return Ok(None),
                Next::More => {
                    if self.read_more().await? == 0 {
                        body.ended().map_err(|_| Failure::Broken)?;
                    }
                }
            }
        }
    }

    async fn read_more(&mut self) -> Result<usize, Failure> {
        scratch::read(&mut self.stream, &mut self.read).await.map_err(|_| Failure::Broken)
    }

    /// The connection, when another request may follow: the answer came to its end, and nothing behind it.
    pub fn into_idle(self) -> Option<S> {
        let is_done = self.body.is_some_and(Body::is_done);
        (is_done && self.keeps && self.read.is_empty()).then_some(self.stream)
    }
}

#[cfg(test)]
mod tests;
