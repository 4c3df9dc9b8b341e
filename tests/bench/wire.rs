//! As much HTTP/1.1 as the client and the upstream of the cost rounds need.

use anyhow::{Context as _, bail};
use httparse::{EMPTY_HEADER, Header, Status};

/// How an answer's body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// After so many bytes.
    Length(usize),
    /// With a chunk of no bytes.
    Chunks,
}

/// Where the first head ends.
pub(crate) fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|start| start + 4)
}

/// How long a request's body is; none of the proxies sends chunks where it got a length.
pub(crate) fn content_length(head: &[u8]) -> anyhow::Result<usize> {
    let mut headers = [EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut headers);
    request.parse(head)?;
    match framing(request.headers)? {
        Framing::Length(length) => Ok(length),
        Framing::Chunks => bail!("chunks where a length was sent"),
    }
}

/// The status of an answer, and how its body ends.
pub(crate) fn answer_head(head: &[u8]) -> anyhow::Result<(u16, Framing)> {
    let mut headers = [EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    response.parse(head)?;
    Ok((response.code.unwrap_or_default(), framing(response.headers)?))
}

/// The body within what came after the head; nothing before it is whole.
pub(crate) fn whole_body(bytes: &[u8], framing: Framing) -> anyhow::Result<Option<Vec<u8>>> {
    match framing {
        Framing::Length(length) => Ok(bytes.get(..length).map(<[u8]>::to_vec)),
        Framing::Chunks => joined(bytes),
    }
}

fn joined(mut bytes: &[u8]) -> anyhow::Result<Option<Vec<u8>>> {
    let mut body = Vec::new();
    loop {
        let parsed = httparse::parse_chunk_size(bytes).map_err(|_| anyhow::anyhow!("no size of a chunk"))?;
        let Status::Complete((start, size)) = parsed else { return Ok(None) };
        let size = usize::try_from(size)?;
        // Each chunk's bytes are followed by the end of a line; the last one's too, as there are no trailers.
        let Some(chunk) = bytes.get(start..start + size + 2) else { return Ok(None) };
        if size == 0 {
            return Ok(Some(body));
        }
        body.extend_from_slice(&chunk[..size]);
        bytes = &bytes[start + size + 2..];
    }
}

fn framing(headers: &[Header<'_>]) -> anyhow::Result<Framing> {
    let value = |name: &str| {
        let header = headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        header.map(|header| header.value)
    };
    if value("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case(b"chunked")) {
        return Ok(Framing::Chunks);
    }
    let length = value("content-length").context("neither Content-Length nor chunks")?;
    Ok(Framing::Length(std::str::from_utf8(length)?.parse()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_whole_with_its_last_byte_in_either_framing() {
        let of = |bytes: &[u8], framing| whole_body(bytes, framing).unwrap();
        assert_eq!(of(b"abc", Framing::Length(4)), None);
        assert_eq!(of(b"abcd", Framing::Length(4)).as_deref(), Some(&b"abcd"[..]));
        let chunks = b"3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n";
        assert_eq!(of(chunks, Framing::Chunks).as_deref(), Some(&b"abcd"[..]));
        assert!((0..chunks.len()).all(|end| of(&chunks[..end], Framing::Chunks).is_none()));
    }

    #[test]
    fn the_head_says_how_a_body_ends() {
        let head = b"HTTP/1.1 201 Created\r\ncontent-length: 12\r\n\r\n";
        assert_eq!(answer_head(head).unwrap(), (201, Framing::Length(12)));
        let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(answer_head(head).unwrap(), (200, Framing::Chunks));
        assert_eq!(content_length(b"POST / HTTP/1.1\r\nContent-Length: 7\r\n\r\n").unwrap(), 7);
    }
}
