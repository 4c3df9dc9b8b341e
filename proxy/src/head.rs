//! What may come in: the raw bytes of an HTTP/1 head, judged before anything routes on them.
//!
//! A head that is repaired could be read in two ways by two programs; that is how requests are smuggled (RFC 9112
//! section 11.2). Here every such head is refused.

use crate::wire::body::Body;
use aorta_core::verdict::Refusal;
use http::{HeaderMap, HeaderValue, Method, Version, header};
use std::mem::MaybeUninit;

/// What the raw head of an HTTP/1 request says beside its fields.
#[derive(Debug, PartialEq, Eq)]
pub struct RawHead<'a> {
    /// A token.
    pub method: &'a [u8],
    /// Visible ASCII, with a path or a whole URL.
    pub target: &'a [u8],
    /// HTTP/1.0 or HTTP/1.1.
    pub version: Version,
    /// What follows.
    pub(crate) body: Body,
}

/// Where the head ends in what was read, with the empty line; none when its end is not there.
#[must_use]
pub fn length(read: &[u8]) -> Option<usize> {
    let mut start = 0;
    for end in memchr::memchr_iter(b'\n', read) {
        // A line may end in a bare LF: such a head has its end here, and is refused.
        if matches!(read[start..end], [] | [b'\r']) {
            return Some(end + 1);
        }
        start = end + 1;
    }
    None
}

/// What was read may be the beginning of a head: one that cannot is refused at once, not when its time is over.
#[must_use]
pub fn may_become_one(read: &[u8]) -> bool {
    let mut room = [const { MaybeUninit::<httparse::Header<'_>>::uninit() }; FIELDS_MAX];
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(read, &mut room) {
        Ok(_) | Err(httparse::Error::TooManyHeaders) => true,
        Err(_) => false,
    }
}

/// So many fields are looked at in the beginning of a head.
const FIELDS_MAX: usize = 64;

/// Judges the head of an HTTP/1 request as it came off the wire, and hands each of its fields to `field`.
///
/// # Errors
/// The refusal to answer with; the connection must be closed after it.
pub fn judge_raw_head<'a>(
    raw: &'a [u8],
    header_bytes_max: usize,
    mut field: impl FnMut(&'a [u8], &'a [u8]) -> Result<(), Refusal>,
) -> Result<RawHead<'a>, Refusal> {
    if raw.len() > header_bytes_max {
        return Err(Refusal::HeaderTooLarge);
    }
    let mut lines = Lines { rest: raw };
    let request_line = lines.next().ok_or(Refusal::BadRequest)?;
    let mut head = judge_request_line(request_line?)?;
    let mut seen = Seen::default();
    for line in lines {
        let line = line?;
        if line.is_empty() {
            break;
        }
        let (name, value) = judge_field_line(line, &mut seen)?;
        field(name, value)?;
    }
    head.body = seen.judge(head.version)?;
    Ok(head)
}

/// Lines that end in CR LF; a bare LF or CR is an error (RFC 9112 section 2.2 lets a recipient refuse).
struct Lines<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Lines<'a> {
    type Item = Result<&'a [u8], Refusal>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let Some(end) = memchr::memchr(b'\n', self.rest) else {
            self.rest = &[];
            return Some(Err(Refusal::BadRequest));
        };
        let (line, rest) = self.rest.split_at(end);
        self.rest = &rest[1..];
        // A bare CR inside is found by those who judge the line's parts: it stands in none.
        Some(line.strip_suffix(b"\r").ok_or(Refusal::BadRequest))
    }
}

/// `METHOD SP target SP HTTP/1.x`, the target in visible ASCII (RFC 9112 section 3).
fn judge_request_line(line: &[u8]) -> Result<RawHead<'_>, Refusal> {
    let mut parts = line.split(|&byte| byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Refusal::BadRequest);
    };
    let method_is_token = !method.is_empty() && method.iter().copied().all(is_token);
    // Origin form, or absolute form; `*` and the authority form belong to methods that are not forwarded.
    let form_is_known =
        target.starts_with(b"/") || target.starts_with(b"http://") || target.starts_with(b"https://");
    let target_is_good = form_is_known && target.iter().all(u8::is_ascii_graphic);
    let version = match version {
        b"HTTP/1.1" => Version::HTTP_11,
        b"HTTP/1.0" => Version::HTTP_10,
        _ => return Err(Refusal::BadRequest),
    };
    let head = RawHead { method, target, version, body: Body::Done };
    if method_is_token && target_is_good { Ok(head) } else { Err(Refusal::BadRequest) }
}

#[derive(Default)]
struct Seen {
    hosts: usize,
    content_lengths: usize,
    length: u64,
    transfer_encodings: usize,
}

impl Seen {
    fn judge(&self, version: Version) -> Result<Body, Refusal> {
        match (self.content_lengths, self.transfer_encodings) {
            _ if self.hosts > 1 => Err(Refusal::BadRequest),
            (0, 0) => Ok(Body::Done),
            (1, 0) => Ok(Body::of_length(self.length)),
            // HTTP/1.0 knows no chunks (RFC 9112 section 6.1).
            (0, 1) if version == Version::HTTP_11 => Ok(Body::chunked()),
            _ => Err(Refusal::BadRequest),
        }
    }
}

fn judge_field_line<'a>(line: &'a [u8], seen: &mut Seen) -> Result<(&'a [u8], &'a [u8]), Refusal> {
    // One look at each byte of the name: a colon ends it, and stands in no token.
    let mut underscored = false;
    let colon = line.iter().position(|&byte| {
        underscored |= byte == b'_';
        !is_token(byte)
    });
    let colon = colon.filter(|&at| at > 0 && line[at] == b':').ok_or(Refusal::BadRequest)?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    // To its end whatever it finds, so that many bytes are looked at together.
    let control = |found, &byte: &u8| found | (byte == 0x7f) | ((byte < 0x20) & (byte != b'\t'));
    if value.iter().fold(false, control) {
        return Err(Refusal::BadRequest);
    }
    let value = value.trim_ascii();
    // CGI-like servers read `_` as `-`: an alias of a framing or routing header is an attack.
    if underscored && is_protected(&alias(name)) {
        return Err(Refusal::BadRequest);
    }
    match name.len() {
        4 if name.eq_ignore_ascii_case(b"host") => seen.hosts += 1,
        14 if name.eq_ignore_ascii_case(b"content-length") => {
            let digits = !value.is_empty() && value.len() <= 18 && value.iter().all(u8::is_ascii_digit);
            if !digits {
                return Err(Refusal::BadRequest);
            }
            seen.content_lengths += 1;
            // Eighteen digits fit.
            seen.length = value.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0'));
        }
        17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
            // Any other coding, or a list, is read differently by different programs.
            if !value.eq_ignore_ascii_case(b"chunked") {
                return Err(Refusal::BadRequest);
            }
            seen.transfer_encodings += 1;
        }
        _ => {}
    }
    Ok((name, value))
}

fn alias(name: &[u8]) -> Vec<u8> {
    name.iter().map(|&byte| if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() }).collect()
}

fn is_protected(name: &[u8]) -> bool {
    const PROTECTED: [&[u8]; 11] = [
        b"authorization",
        b"connection",
        b"content-length",
        b"host",
        b"transfer-encoding",
        b"x-api-key",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-proto",
        b"x-request-deadline",
        b"x-request-id",
    ];
    PROTECTED.contains(&name)
}

/// RFC 9110 section 5.6.2.
const fn is_token(byte: u8) -> bool {
    TOKEN[byte as usize]
}

static TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        table[byte] = is_token_character(byte as u8);
        byte += 1;
    }
    table
};

const fn is_token_character(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// Judges the fields of an HTTP/2 request, whose framing its parser has settled: what is left is the alias.
///
/// # Errors
/// [`Refusal::BadRequest`].
pub fn judge_fields(headers: &HeaderMap) -> Result<(), Refusal> {
    let is_alias = |name: &http::HeaderName| {
        name.as_str().contains('_') && is_protected(&alias(name.as_str().as_bytes()))
    };
    if headers.keys().any(is_alias) { Err(Refusal::BadRequest) } else { Ok(()) }
}

/// Judges the method: what would change the meaning of the connection, or is unknown, is never forwarded.
///
/// # Errors
/// [`Refusal::MethodNotAllowed`].
pub fn judge_method(method: &Method) -> Result<(), Refusal> {
    match *method {
        Method::GET
        | Method::HEAD
        | Method::POST
        | Method::PUT
        | Method::PATCH
        | Method::DELETE
        | Method::OPTIONS => Ok(()),
        _ => Err(Refusal::MethodNotAllowed),
    }
}

/// The host a request asks for, without port, when it is a well-formed one (RFC 9110 section 7.2).
///
/// # Errors
/// [`Refusal::BadRequest`] when none stands, or what stands is no host.
pub fn host(authority: Option<&str>) -> Result<&str, Refusal> {
    let authority = authority.ok_or(Refusal::BadRequest)?;
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (inside, after) = rest.split_once(']').ok_or(Refusal::BadRequest)?;
            (inside, after.strip_prefix(':').or_else(|| after.is_empty().then_some("")))
        }
        None => match authority.bytes().position(|byte| byte == b':') {
            Some(at) => (&authority[..at], Some(&authority[at + 1..])),
            None => (authority, Some("")),
        },
    };
    let port_is_number = port.is_some_and(|port| port.len() <= 5 && port.bytes().all(|b| b.is_ascii_digit()));
    let host_is_name = !host.is_empty()
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b':'));
    if host_is_name && port_is_number { Ok(host) } else { Err(Refusal::BadRequest) }
}

/// The body's declared length, if any.
#[must_use]
pub fn content_length(headers: &HeaderMap) -> Option<usize> {
    headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse().ok())
}

/// The client waits for a `100 Continue` before it sends its body (RFC 9110 section 10.1.1).
#[must_use]
pub fn expects_continue(headers: &HeaderMap) -> bool {
    headers
        .get(header::EXPECT)
        .is_some_and(|value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

#[cfg(test)]
mod tests;
