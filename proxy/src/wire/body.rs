//! Where a body begins and ends among the bytes of a connection (RFC 9112 section 6). Pure: bytes in, pieces out.

use bytes::{Buf as _, Bytes, BytesMut};

/// The line before a chunk: sixteen digits, and extensions nobody uses.
const SIZE_LINE_MAX: usize = 4 * 1024;
/// Trailers are read and dropped.
const TRAILERS_MAX: usize = 16 * 1024;

/// What is still to come of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// So many bytes.
    Length(u64),
    /// Chunks (RFC 9112 section 7.1).
    Chunked(Chunk),
    /// Whatever comes until the connection ends.
    UntilClose,
    /// Nothing.
    Done,
}

/// The place within a chunked body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chunk {
    /// Before the line that says how long the next chunk is.
    Size,
    /// Inside a chunk, of which so much is still to come.
    Data(u64),
    /// Before the line end that follows a chunk.
    End,
    /// After the last chunk; so many bytes of trailers were dropped.
    Trailers(usize),
}

/// What bytes that were read hold of a body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Another piece, never empty.
    Piece(Bytes),
    /// Nothing yet.
    More,
    /// Its end was there.
    End,
}

/// The bytes are no body of this framing, or end before it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

impl Body {
    /// So many bytes follow.
    pub(crate) const fn of_length(bytes: u64) -> Self {
        if bytes == 0 { Self::Done } else { Self::Length(bytes) }
    }

    /// Chunks follow.
    pub(crate) const fn chunked() -> Self {
        Self::Chunked(Chunk::Size)
    }

    /// Nothing is to come any more.
    pub(crate) const fn is_done(self) -> bool {
        matches!(self, Self::Done)
    }

    /// Takes the next piece from what was read; what follows the body is left there.
    pub(crate) fn next(&mut self, read: &mut BytesMut) -> Result<Next, Malformed> {
        match self {
            Self::Done => Ok(Next::End),
            Self::Length(left) => {
                let piece = piece(left, read);
                if *left == 0 {
                    *self = Self::Done;
                }
                Ok(piece)
            }
            Self::UntilClose if read.is_empty() => Ok(Next::More),
            Self::UntilClose => Ok(Next::Piece(read.split().freeze())),
            Self::Chunked(chunk) => {
                let next = chunk.next(read)?;
                if next == Next::End {
                    *self = Self::Done;
                }
                Ok(next)
            }
        }
    }

    /// The connection has ended: whether the body has, too.
    pub(crate) fn ended(&mut self) -> Result<(), Malformed> {
        match self {
            Self::UntilClose | Self::Done => {
                *self = Self::Done;
                Ok(())
            }
            Self::Length(_) | Self::Chunked(_) => Err(Malformed),
        }
    }
}

/// As much of `left` as was read.
fn piece(left: &mut u64, read: &mut BytesMut) -> Next {
    let length = usize::try_from(*left).unwrap_or(usize::MAX).min(read.len());
    *left -= length as u64;
    match length {
        0 if *left == 0 => Next::End,
        0 => Next::More,
        _ => Next::Piece(read.split_to(length).freeze()),
    }
}

impl Chunk {
    fn next(&mut self, read: &mut BytesMut) -> Result<Next, Malformed> {
        loop {
            match self {
                Self::Size => {
                    let Some(end) = memchr::memchr(b'\n', read) else {
                        return if read.len() > SIZE_LINE_MAX { Err(Malformed) } else { Ok(Next::More) };
                    };
                    let size = size(&read[..end])?;
                    read.advance(end + 1);
                    *self = if size == 0 { Self::Trailers(0) } else { Self::Data(size) };
                }
                Self::Data(left) => {
                    let piece = piece(left, read);
                    if *left == 0 {
                        *self = Self::End;
                    }
                    return Ok(piece);
                }
                Self::End => match read[..] {
                    [b'\r', b'\n', ..] => {
                        read.advance(2);
                        *self = Self::Size;
                    }
                    [] | [b'\r'] => return Ok(Next::More),
                    _ => return Err(Malformed),
                },
                Self::Trailers(dropped) => {
                    let Some(end) = memchr::memchr(b'\n', read) else {
                        let is_long = *dropped + read.len() > TRAILERS_MAX;
                        return if is_long { Err(Malformed) } else { Ok(Next::More) };
                    };
                    let is_last = matches!(read[..end], [] | [b'\r']);
                    *dropped += end + 1;
                    read.advance(end + 1);
                    if is_last {
                        return Ok(Next::End);
                    }
                    if *dropped > TRAILERS_MAX {
                        return Err(Malformed);
                    }
                }
            }
        }
    }
}

/// The number before a chunk, in the line without its LF. `httparse` would take an empty line for the last chunk,
/// and so a torn body for a whole one.
fn size(line: &[u8]) -> Result<u64, Malformed> {
    let line = line.strip_suffix(b"\r").ok_or(Malformed)?;
    let length = line.iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(line.len());
    let (digits, rest) = line.split_at(length);
    let rest_is_extension = matches!(rest.trim_ascii_start(), [] | [b';', ..]) && !rest.contains(&b'\r');
    // Sixteen digits are all that fit.
    if !(1..=16).contains(&length) || !rest_is_extension {
        return Err(Malformed);
    }
    let digits = std::str::from_utf8(digits).map_err(|_| Malformed)?;
    u64::from_str_radix(digits, 16).map_err(|_| Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Everything that comes of bytes that arrive in these pieces: the body, how it ended, and what is left.
    fn decode(mut body: Body, pieces: &[&[u8]]) -> (Vec<u8>, Result<bool, Malformed>, Vec<u8>) {
        let (mut read, mut whole) = (BytesMut::new(), Vec::new());
        for piece in pieces {
            read.extend_from_slice(piece);
            loop {
                match body.next(&mut read) {
                    Ok(Next::Piece(piece)) => {
                        assert!(!piece.is_empty());
                        whole.extend_from_slice(&piece);
                    }
                    Ok(Next::More | Next::End) => break,
                    Err(malformed) => return (whole, Err(malformed), read.to_vec()),
                }
            }
        }
        (whole, Ok(body.is_done()), read.to_vec())
    }

    fn chunked(text: &str) -> (Vec<u8>, Result<bool, Malformed>, Vec<u8>) {
        decode(Body::Chunked(Chunk::Size), &[text.as_bytes()])
    }

    #[test]
    fn what_follows_a_body_is_left() {
        assert_eq!(decode(Body::Length(3), &[b"abcdef"]), (b"abc".to_vec(), Ok(true), b"def".to_vec()));
        assert_eq!(chunked("3\r\nabc\r\n0\r\n\r\nHTTP"), (b"abc".to_vec(), Ok(true), b"HTTP".to_vec()));
    }

    #[test]
    fn extensions_and_trailers_are_dropped() {
        let text = "3 ;a=b\r\nabc\r\n00\r\nX-Checksum: 1\r\nY: 2\r\n\r\n";
        assert_eq!(chunked(text), (b"abc".to_vec(), Ok(true), Vec::new()));
    }

    #[test]
    fn chunks_that_can_be_read_in_two_ways_are_no_body() {
        for wrong in [
            "3\r\nabcd\r\n0\r\n\r\n",
            "3\r\nabc\n0\r\n\r\n",
            "-1\r\n",
            "+3\r\nabc\r\n",
            "0x3\r\nabc\r\n",
            "\r\n",
            "3\nabc\r\n",
            "fffffffffffffffff\r\n",
            " 3\r\nabc\r\n",
            "3 4\r\nabc\r\n",
            "3;a\rb\r\nabc\r\n",
            "g\r\n",
        ] {
            assert_eq!(chunked(wrong).1, Err(Malformed), "{wrong:?}");
        }
        assert_eq!(chunked(&format!("3;{}", "a".repeat(SIZE_LINE_MAX))).1, Err(Malformed));
        assert_eq!(chunked(&format!("0\r\n{}", "a".repeat(TRAILERS_MAX + 1))).1, Err(Malformed));
        assert_eq!(chunked(&format!("0\r\n{}", "a: b\r\n".repeat(TRAILERS_MAX))).1, Err(Malformed));
    }

    #[test]
    fn a_connection_that_ends_inside_a_body_breaks_it() {
        for mut body in [Body::Length(1), Body::Chunked(Chunk::Size), Body::Chunked(Chunk::Trailers(0))] {
            assert_eq!(body.ended(), Err(Malformed), "{body:?}");
        }
        let mut body = Body::UntilClose;
        assert_eq!((body.ended(), body), (Ok(()), Body::Done));
    }

    proptest! {
        #[test]
        fn a_chunked_body_is_the_same_however_it_arrives(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..6),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        ) {
            let mut wire = Vec::new();
            for chunk in &chunks {
                wire.extend_from_slice(format!("{:X}\r\n", chunk.len()).as_bytes());
                wire.extend_from_slice(chunk);
                wire.extend_from_slice(b"\r\n");
            }
            wire.extend_from_slice(b"0\r\nT: 1\r\n\r\n");
            let mut ends: Vec<_> = cuts.iter().map(|cut| cut.index(wire.len())).collect();
            ends.extend([0, wire.len()]);
            ends.sort_unstable();
            let pieces: Vec<_> = ends.windows(2).map(|ends| &wire[ends[0]..ends[1]]).collect();
            prop_assert_eq!(
                decode(Body::Chunked(Chunk::Size), &pieces),
                (chunks.concat(), Ok(true), Vec::new())
            );
            // A part of it is never taken for the whole.
            let part = &wire[..wire.len() - 1];
            prop_assert_eq!(decode(Body::Chunked(Chunk::Size), &[part]).1, Ok(false));
        }

        #[test]
        fn no_bytes_make_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let (whole, _, left) = decode(Body::Chunked(Chunk::Size), &[&bytes]);
            prop_assert!(whole.len() + left.len() <= bytes.len());
        }
    }
}
