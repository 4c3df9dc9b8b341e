//! HTTP/1 with a client, on one connection. While the client is idle nothing is held for it but the socket.
//!
//! The head is judged and taken in one pass over its raw bytes, so that nothing can read it in another way.

use super::Lost;
use crate::head::{self, RawHead};
use crate::scratch;
use crate::wire::Head;
use crate::wire::body::{Body, Next};
use aorta_core::verdict::Refusal;
use bytes::{Bytes, BytesMut};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version, header};
use pingora::protocols::http::date::get_cached_date;
use std::future::pending;
use std::io::IoSlice;
use std::net::IpAddr;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};

/// A body up to this is written with its head.
const TOGETHER_MAX: usize = 16 * 1024;

/// One request after the other on one connection.
pub struct Http1<S> {
    stream: S,
    pub(super) client: Option<IpAddr>,
    /// What came and was not taken: the beginning of a head, of a body, or of the next request.
    read: BytesMut,
    head: Parts,
    /// What is still to come of the request's body.
    body: Body,
    out: Out,
    /// Another request may follow the answer.
    keeps: bool,
}

/// What is still to go out of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Out {
    /// Its head.
    Head,
    /// So many bytes.
    Length(u64),
    Chunks,
    UntilClose,
    /// Nothing: it is out, or has no body.
    Nothing,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Http1<S> {
    /// A connection of the client at this address.
    pub fn new(stream: S, client: Option<IpAddr>) -> Self {
        let (read, (head, ())) = (BytesMut::new(), http::Request::new(()).into_parts());
        Self { stream, client, read, head, body: Body::Done, out: Out::Nothing, keeps: true }
    }

    /// Reads the head of the next request; false when the client is done.
    ///
    /// # Errors
    /// The refusal to answer with when it is no head, or one that can be read in two ways; the connection must be
    /// closed after it.
    pub async fn read_head(&mut self, bytes_max: usize) -> Result<bool, Refusal> {
        (self.out, self.keeps) = (Out::Head, false);
        loop {
            if let Some(length) = head::length(&self.read) {
                self.take_head(length, bytes_max)?;
                return Ok(true);
            }
            if self.read.len() > bytes_max {
                return Err(Refusal::HeaderTooLarge);
            }
            if !head::may_become_one(&self.read) {
                return Err(Refusal::BadRequest);
            }
            if self.read_more().await.unwrap_or(0) == 0 {
                return Ok(false);
            }
        }
    }

    fn take_head(&mut self, length: usize, bytes_max: usize) -> Result<(), Refusal> {
        let raw = self.read.split_to(length).freeze();
        let mut fields = HeaderMap::with_capacity(FIELDS);
        let RawHead { method, target, version, body } =
            head::judge_raw_head(&raw, bytes_max, |name, value| {
                let name = HeaderName::from_bytes(name).map_err(|_| Refusal::BadRequest)?;
                let value = HeaderValue::from_maybe_shared(raw.slice_ref(value));
                fields
                    .try_append(name, value.map_err(|_| Refusal::BadRequest)?)
                    .map_err(|_| Refusal::BadRequest)?;
                Ok(())
            })?;
        self.head.uri = uri(&raw, target, &fields)?;
        self.head.method = Method::from_bytes(method).map_err(|_| Refusal::BadRequest)?;
        (self.head.version, self.head.headers, self.body) = (version, fields, body);
        self.keeps = wants_keep_alive(&self.head);
        Ok(())
    }

    pub(super) const fn head(&self) -> &Parts {
        &self.head
    }

    pub(super) const fn is_body_done(&self) -> bool {
        self.body.is_done()
    }

    pub(super) async fn read_body(&mut self) -> Result<Option<Bytes>, Lost> {
        loop {
            match self.body.next(&mut self.read).map_err(|_| Lost::Malformed)? {
                Next::Piece(piece) => return Ok(Some(piece)),
                Next::End => return Ok(None),
                Next::More if self.read_more().await? == 0 => return Err(Lost::Gone),
                Next::More => {}
            }
        }
    }

    async fn read_more(&mut self) -> Result<usize, Lost> {
        scratch::read(&mut self.stream, &mut self.read).await.map_err(|_| Lost::Gone)
    }

    pub(super) async fn gone(&mut self) {
        // The next request may come early. It is read once, and no more before its turn.
        if self.read.is_empty() && self.read_more().await.unwrap_or(0) == 0 {
            self.keeps = false;
            return;
        }
        pending().await
    }

    pub(super) async fn send_continue(&mut self) -> Result<(), Lost> {
        self.write(b"HTTP/1.1 100 Continue\r\n\r\n").await
    }

    pub(super) async fn send(
        &mut self,
        head: &Head,
        body: &[u8],
        more: &[Bytes],
        last: bool,
    ) -> Result<(), Lost> {
        // Of a request that was not read to its end nobody knows where the next one begins.
        self.keeps &= self.body.is_done();
        self.out = self.framing(head);
        self.keeps &= self.out != Out::UntilClose;
        let together = body.len() <= TOGETHER_MAX
            && more.is_empty()
            && matches!(self.out, Out::Length(_) | Out::UntilClose | Out::Nothing);
        let mut bytes = Vec::with_capacity(HEAD_BYTES + if together { body.len() } else { 0 });
        write_head(&mut bytes, head, self.keeps);
        if !together {
            // What is rare and large stands in a box: the ordinary answer does not carry it.
            return Box::pin(self.send_pieces(bytes, body, more, last)).await;
        }
        if self.out != Out::Nothing {
            let body = self.take(body);
            bytes.extend_from_slice(body);
        }
        self.write(&bytes).await?;
        self.end(last);
        Ok(())
    }

    fn framing(&self, head: &Head) -> Out {
        let bodiless = matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        if bodiless || self.head.method == Method::HEAD {
            Out::Nothing
        } else if head.headers.contains_key(header::TRANSFER_ENCODING) {
            Out::Chunks
        } else {
            let length = head.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
            length.and_then(|text| text.parse().ok()).map_or(Out::UntilClose, Out::Length)
        }
    }

    /// As much of a piece as was promised: more would be taken for the next answer.
    fn take<'p>(&mut self, piece: &'p [u8]) -> &'p [u8] {
        let Out::Length(left) = &mut self.out else { return piece };
        let length = piece.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
        *left -= length as u64;
        self.keeps &= length == piece.len();
        &piece[..length]
    }

    pub(super) async fn send_piece(&mut self, piece: &[u8], last: bool) -> Result<(), Lost> {
        self.send_pieces(Vec::new(), piece, &[], last).await
    }

    /// All of it in one write, as far as it is taken at once; nothing is copied.
    async fn send_pieces(
        &mut self,
        mut before: Vec<u8>,
        piece: &[u8],
        more: &[Bytes],
        last: bool,
    ) -> Result<(), Lost> {
        let pieces = [piece].into_iter().chain(more.iter().map(|piece| &piece[..]));
        let mut parts: Vec<&[u8]> = Vec::with_capacity(more.len() + 3);
        let mut after: &[u8] = b"";
        match self.out {
            Out::Nothing | Out::Head => {}
            Out::Chunks => {
                let bytes: usize = pieces.clone().map(<[u8]>::len).sum();
                // An empty chunk would be the last one.
                if bytes > 0 {
                    before.extend_from_slice(format!("{bytes:x}\r\n").as_bytes());
                    parts.extend(pieces);
                }
                after = match (bytes > 0, last) {
                    (true, true) => b"\r\n0\r\n\r\n",
                    (true, false) => b"\r\n",
                    (false, true) => b"0\r\n\r\n",
                    (false, false) => b"",
                };
            }
            Out::Length(_) | Out::UntilClose => parts.extend(pieces.map(|piece| self.take(piece))),
        }
        parts.insert(0, &before);
        parts.push(after);
        self.write_all(&parts).await?;
        self.end(last);
        Ok(())
    }

    /// Nothing is to follow the `last` piece.
    fn end(&mut self, last: bool) {
        if last {
            self.keeps &= matches!(self.out, Out::Nothing | Out::Chunks | Out::Length(0));
            self.out = Out::Nothing;
        }
    }

    async fn write_all(&mut self, parts: &[&[u8]]) -> Result<(), Lost> {
        let parts = parts.iter().filter(|part| !part.is_empty());
        let mut slices: Vec<IoSlice<'_>> = parts.map(|part| IoSlice::new(part)).collect();
        let mut left = &mut slices[..];
        if left.is_empty() {
            return Ok(());
        }
        while !left.is_empty() {
            match self.stream.write_vectored(left).await {
                Ok(0) | Err(_) => return Err(Lost::Gone),
                Ok(written) => IoSlice::advance_slices(&mut left, written),
            }
        }
        self.stream.flush().await.map_err(|_| Lost::Gone)
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Lost> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.stream.write_all(bytes).await.map_err(|_| Lost::Gone)?;
        self.stream.flush().await.map_err(|_| Lost::Gone)
    }

    pub(super) const fn close_after(&mut self) {
        self.keeps = false;
    }

    /// The answer is out; whether another request may follow. What the one that was held is let go.
    pub fn finish(&mut self) -> bool {
        self.head = http::Request::new(()).into_parts().0;
        if self.read.is_empty() {
            self.read = BytesMut::new();
        }
        self.keeps && self.out == Out::Nothing && self.body.is_done()
    }

    pub(super) async fn close(&mut self) {
        // It may be gone already.
        let _ = self.stream.shutdown().await;
    }
}

/// An ordinary request has fewer fields.
const FIELDS: usize = 12;
/// Room for an ordinary answer's head.
const HEAD_BYTES: usize = 768;

/// Origin form, or absolute form that names the same host as `Host` does (RFC 9112 section 3.2).
fn uri(raw: &Bytes, target: &[u8], fields: &HeaderMap) -> Result<Uri, Refusal> {
    // A fragment is none of a server's business, and no part of a target (section 3.2).
    let end = memchr::memchr(b'#', target).unwrap_or(target.len());
    let uri = Uri::from_maybe_shared(raw.slice_ref(&target[..end])).map_err(|_| Refusal::BadRequest)?;
    match (uri.authority(), fields.get(header::HOST)) {
        (None, _) if target.starts_with(b"/") => Ok(uri),
        (Some(named), host) if !named.as_str().contains('@') => {
            let agree = host.is_none_or(|host| host.as_bytes() == named.as_str().as_bytes());
            if agree { Ok(uri) } else { Err(Refusal::BadRequest) }
        }
        _ => Err(Refusal::BadRequest),
    }
}

/// RFC 9112 section 9.3.
fn wants_keep_alive(head: &Parts) -> bool {
    let said = |word: &str| {
        let values = head.headers.get_all(header::CONNECTION).iter();
        let mut texts = values.filter_map(|value| value.to_str().ok());
        texts.any(|text| text.split(',').any(|part| part.trim().eq_ignore_ascii_case(word)))
    };
    if head.version == Version::HTTP_10 { said("keep-alive") && !said("close") } else { !said("close") }
}

fn write_head(bytes: &mut Vec<u8>, head: &Head, keeps: bool) {
    bytes.extend_from_slice(b"HTTP/1.1 ");
    bytes.extend_from_slice(head.status.as_str().as_bytes());
    bytes.push(b' ');
    bytes.extend_from_slice(head.status.canonical_reason().unwrap_or_default().as_bytes());
    bytes.extend_from_slice(b"\r\n");
    let replaced =
        |name: &HeaderName| *name == header::DATE || head.said.iter().any(|(said, _)| said == name);
    let passed_on = head.headers.iter().filter(|(name, _)| !replaced(name));
    for (name, value) in passed_on.chain(head.said.iter().map(|(name, value)| (name, value))) {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"date: ");
    bytes.extend_from_slice(get_cached_date().as_bytes());
    let connection: &[u8] =
        if keeps { b"\r\nconnection: keep-alive\r\n\r\n" } else { b"\r\nconnection: close\r\n\r\n" };
    bytes.extend_from_slice(connection);
}

#[cfg(test)]
mod tests;
