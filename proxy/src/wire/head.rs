//! The heads of HTTP/1: a request's as it is written, an answer's as it is read. Pure: bytes and fields.

use super::body::{Body, Chunk};
use crate::headers;
use bytes::{Buf as _, BytesMut};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use httparse::{Header, ParserConfig, Response, Status};
use std::mem::MaybeUninit;

/// An answer has at most so many fields.
const FIELDS_MAX: usize = 256;
/// Fields that an answer may gain on its way.
const ADDED: usize = 6;

/// The head of a request, as it goes out to one upstream.
#[derive(Clone, Debug)]
pub struct RequestHead {
    /// The method.
    pub method: Method,
    /// Path and query, encoded.
    pub target: String,
    /// The fields, the host among them.
    pub fields: Vec<(HeaderName, HeaderValue)>,
}

/// The head of an answer, as far as it travels on: without the fields that mean one connection only.
#[derive(Debug)]
pub struct Head {
    /// Its status.
    pub status: StatusCode,
    /// Its end-to-end fields, under the names that API Gateway took from them.
    pub headers: HeaderMap,
    /// What Aorta says itself, in place of fields of the same names. Beside the map: written once, it is looked for by
    /// nobody.
    pub said: Vec<(HeaderName, HeaderValue)>,
}

/// An answer's head, and what it says of what follows.
pub(super) struct AnswerHead {
    pub(super) head: Head,
    pub(super) body: Body,
    /// Another request may follow on the connection.
    pub(super) keeps: bool,
}

/// The bytes are no head of an answer, or one that could be read in two ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

impl RequestHead {
    /// A field that stands once.
    pub fn set(&mut self, name: &HeaderName, value: HeaderValue) {
        match self.fields.iter_mut().find(|(field, _)| field == name) {
            Some((_, other)) => *other = value,
            None => self.fields.push((name.clone(), value)),
        }
    }

    /// The value of a field that stands once.
    #[must_use]
    pub fn field(&self, name: &HeaderName) -> Option<&HeaderValue> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value)
    }

    /// As a map, for who needs to look at it; none when the target is none.
    #[must_use]
    pub fn parts(&self) -> Option<Parts> {
        let (mut parts, ()) = http::Request::new(()).into_parts();
        (parts.method, parts.uri) = (self.method.clone(), self.target.parse().ok()?);
        for (name, value) in &self.fields {
            parts.headers.append(name, value.clone());
        }
        Some(parts)
    }

    /// As it stands on the wire, with room for so many bytes behind it.
    pub(super) fn bytes(&self, room: usize) -> Vec<u8> {
        let fields: usize =
            self.fields.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
        let line = self.method.as_str().len() + self.target.len() + " HTTP/1.1\r\n\r\n".len() + 1;
        let mut bytes = Vec::with_capacity(line + fields + room);
        for part in [self.method.as_str(), " ", &self.target, " HTTP/1.1\r\n"] {
            bytes.extend_from_slice(part.as_bytes());
        }
        for (name, value) in &self.fields {
            bytes.extend_from_slice(name.as_str().as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        bytes
    }
}

/// Takes a head from what was read; none when not all of it is there.
pub(super) fn take(read: &mut BytesMut, head_only: bool) -> Result<Option<AnswerHead>, Malformed> {
    let mut room = [const { MaybeUninit::<Header<'_>>::uninit() }; FIELDS_MAX];
    let mut response = Response::new(&mut []);
    let mut config = ParserConfig::default();
    // As lenient with upstreams as RFC 9112 sections 5.1 and 5.2 ask for: both are repaired below.
    config.allow_spaces_after_header_name_in_responses(true);
    config.allow_obsolete_multiline_headers_in_responses(true);
    let parsed = config.parse_response_with_uninit_headers(&mut response, read, &mut room);
    let Status::Complete(length) = parsed.map_err(|_| Malformed)? else { return Ok(None) };
    let code = response.code.ok_or(Malformed)?;
    let status = StatusCode::from_u16(code).map_err(|_| Malformed)?;
    let mut said = Said::default();
    let mut headers = HeaderMap::with_capacity(response.headers.len() + ADDED);
    for field in response.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| Malformed)?;
        if said.hear(&name, field.value)? || headers::is_hop_by_hop(&name) {
            continue;
        }
        headers.append(headers::restored_name(&name).unwrap_or(name), value(field.value)?);
    }
    for name in &said.hop {
        headers.remove(name);
    }
    let bodiless = head_only || matches!(code, 100..=199 | 204 | 304);
    let body = said.body();
    if let Body::Length(length) = body {
        headers.insert(header::CONTENT_LENGTH, headers::number(length));
    }
    let keeps = said.keeps(response.version == Some(1)) && (bodiless || body != Body::UntilClose);
    read.advance(length);
    let body = if bodiless { Body::Done } else { body };
    Ok(Some(AnswerHead { head: Head { status, headers, said: Vec::new() }, body, keeps }))
}

/// What the fields say of the connection.
#[derive(Default)]
struct Said {
    length: Option<u64>,
    chunked: bool,
    close: bool,
    keep_alive: bool,
    /// Fields that mean this connection only, because `Connection` names them.
    hop: Vec<HeaderName>,
}

impl Said {
    /// Takes note of a field; true where it frames the message, and is written anew.
    fn hear(&mut self, name: &HeaderName, value: &[u8]) -> Result<bool, Malformed> {
        match *name {
            header::CONTENT_LENGTH => {
                for text in value.split(|&byte| byte == b',') {
                    let length = number(text.trim_ascii())?;
                    // The same one twice is one; two that differ could be read in two ways (RFC 9110 section 8.6).
                    if self.length.replace(length).is_some_and(|other| other != length) {
                        return Err(Malformed);
                    }
                }
                Ok(true)
            }
            // Another coding would have to be undone, and was not asked for.
            header::TRANSFER_ENCODING if self.chunked || !value.eq_ignore_ascii_case(b"chunked") => {
                Err(Malformed)
            }
            header::TRANSFER_ENCODING => {
                self.chunked = true;
                Ok(true)
            }
            header::CONNECTION => {
                value.split(|&byte| byte == b',').for_each(|word| self.hear_connection(word.trim_ascii()));
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    fn hear_connection(&mut self, word: &[u8]) {
        if word.eq_ignore_ascii_case(b"close") {
            self.close = true;
        } else if word.eq_ignore_ascii_case(b"keep-alive") {
            self.keep_alive = true;
        } else {
            self.hop.extend(HeaderName::from_bytes(word));
        }
    }

    /// RFC 9112 section 6.3: chunks overrule a length.
    const fn body(&self) -> Body {
        match (self.chunked, self.length) {
            (true, _) => Body::Chunked(Chunk::Size),
            (false, Some(length)) => Body::Length(length),
            (false, None) => Body::UntilClose,
        }
    }

    /// RFC 9112 section 9.3. Chunks with a length beside them, or from HTTP/1.0, end the connection (section 6.1).
    const fn keeps(&self, version_1_1: bool) -> bool {
        let trusted = !(self.chunked && (self.length.is_some() || !version_1_1));
        trusted && !self.close && (version_1_1 || self.keep_alive)
    }
}

/// Digits only (RFC 9110 section 8.6).
fn number(text: &[u8]) -> Result<u64, Malformed> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return Err(Malformed);
    }
    std::str::from_utf8(text).ok().and_then(|digits| digits.parse().ok()).ok_or(Malformed)
}

fn value(bytes: &[u8]) -> Result<HeaderValue, Malformed> {
    if memchr::memchr2(b'\r', b'\n', bytes).is_none() {
        return HeaderValue::from_bytes(bytes).map_err(|_| Malformed);
    }
    // A folded line is one with spaces (RFC 9112 section 5.2).
    let flat: Vec<u8> =
        bytes.iter().map(|&byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte }).collect();
    HeaderValue::from_bytes(&flat).map_err(|_| Malformed)
}

#[cfg(test)]
mod tests;
