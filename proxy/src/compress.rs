//! Content codings: which one a client wants, and the bytes in it.
//!
//! Off unless a pool switches it on. Compression before encryption lets somebody who can make a client ask for
//! what he chooses, and who sees how long the encrypted answers are, guess what stands beside his own words in
//! them (BREACH, 2013): the `self` link of a search repeats the query beside the records. So an answer is never
//! compressed for a client that identifies itself by a cookie, which a browser sends along whoever makes it ask.

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use std::io::{self, Write};

/// A coding that is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// RFC 8878.
    Zstd,
    /// RFC 7932.
    Brotli,
    /// RFC 1952.
    Gzip,
}

impl Coding {
    /// The first is taken where the client wants several as much: by what it costs for what it saves.
    const ALL: [Self; 3] = [Self::Zstd, Self::Brotli, Self::Gzip];

    /// As `Content-Encoding` names it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }

    /// Memory that one encoder takes, rounded up: its window and its tables.
    #[must_use]
    pub const fn memory_bytes(self) -> usize {
        match self {
            Self::Zstd | Self::Brotli => 1 << 20,
            Self::Gzip => 1 << 18,
        }
    }
}

/// The coding a client wants most (RFC 9110 section 12.5.3); none where it wants the body as it is.
#[must_use]
pub fn wanted(asked: &HeaderMap) -> Option<Coding> {
    let values = asked.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let mut named = [None; Coding::ALL.len()];
    let (mut others, mut identity) = (None, None);
    for (name, weight) in values.flat_map(|value| value.split(',')).filter_map(weighted) {
        let place = match name {
            "*" => &mut others,
            "identity" => &mut identity,
            "x-gzip" => &mut named[2],
            name => match Coding::ALL.iter().position(|coding| coding.name().eq_ignore_ascii_case(name)) {
                Some(index) => &mut named[index],
                None => continue,
            },
        };
        *place = Some(weight);
    }
    let weights = named.map(|weight| weight.or(others).unwrap_or(0));
    let best = weights.iter().copied().max().filter(|&best| best > 0 && Some(best) >= identity)?;
    Coding::ALL.into_iter().zip(weights).find(|(_, weight)| *weight == best).map(|(coding, _)| coding)
}

/// `name;q=0.5` in thousandths; none for what is no such thing.
fn weighted(item: &str) -> Option<(&str, u32)> {
    let (name, parameter) = match item.split_once(';') {
        Some((name, parameter)) => (name, Some(parameter.trim())),
        None => (item, None),
    };
    let weight = match parameter {
        None => 1000,
        Some(parameter) => {
            let text = parameter.strip_prefix("q=").or_else(|| parameter.strip_prefix("Q="))?;
            let number: f32 = text.parse().ok().filter(|number| (0.0..=1.0).contains(number))?;
            (number * 1000.0) as u32
        }
    };
    let name = name.trim();
    (!name.is_empty()).then_some((name, weight))
}

/// This answer may go out in a coding: it is text in none yet, and nobody forbids it.
#[must_use]
pub fn may_be_coded(asked: &HeaderMap, status: StatusCode, answer: &HeaderMap) -> bool {
    let whole = !matches!(status, StatusCode::NO_CONTENT | StatusCode::PARTIAL_CONTENT);
    let no_transform = answer.get_all(header::CACHE_CONTROL).iter().any(|value| {
        value
            .to_str()
            .is_ok_and(|text| text.split(',').any(|word| word.trim().eq_ignore_ascii_case("no-transform")))
    });
    whole
        && !no_transform
        && !asked.contains_key(header::COOKIE)
        && !answer.contains_key(header::CONTENT_ENCODING)
        && is_text(answer.get(header::CONTENT_TYPE), status)
}

/// Media types that shrink; what is compressed in itself is not among them.
fn is_text(media_type: Option<&HeaderValue>, status: StatusCode) -> bool {
    let Some(value) = media_type.and_then(|value| value.to_str().ok()) else {
        // A 304 need not repeat the type of what it stands for.
        return media_type.is_none() && status == StatusCode::NOT_MODIFIED;
    };
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        // Events must not wait for a full block, and are too small to gain.
        "text/event-stream" => false,
        "application/json" | "application/xml" | "application/javascript" | "application/x-ndjson" => true,
        other => {
            other.starts_with("text/") || ["+json", "+xml", "+ndjson"].iter().any(|end| other.ends_with(end))
        }
    }
}

/// Writes a body in a coding, piece by piece.
pub struct Encoder(Kind);

enum Kind {
    Zstd(zstd::Encoder<'static, Vec<u8>>),
    Brotli(Box<brotli::CompressorWriter<Vec<u8>>>),
    Gzip(GzEncoder<Vec<u8>>),
}

/// A level at which a 64 KiB record takes about a millisecond.
const ZSTD_LEVEL: i32 = 3;
const BROTLI_QUALITY: u32 = 4;
const GZIP_LEVEL: u32 = 4;
/// Windows of 256 KiB: records repeat themselves nearby, and each stream holds one.
const WINDOW_LOG: u32 = 18;
const BROTLI_BUFFER: usize = 16 * 1024;

impl Encoder {
    /// An encoder at the beginning of a body.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn new(coding: Coding) -> io::Result<Self> {
        Ok(Self(match coding {
            Coding::Zstd => {
                let mut encoder = zstd::Encoder::new(Vec::new(), ZSTD_LEVEL)?;
                encoder.window_log(WINDOW_LOG)?;
                Kind::Zstd(encoder)
            }
            Coding::Brotli => Kind::Brotli(Box::new(brotli::CompressorWriter::new(
                Vec::new(),
                BROTLI_BUFFER,
                BROTLI_QUALITY,
                WINDOW_LOG,
            ))),
            Coding::Gzip => Kind::Gzip(GzEncoder::new(Vec::new(), Compression::new(GZIP_LEVEL))),
        }))
    }

    /// The coded bytes of a piece, all of them: a client must not wait for what has arrived here.
    ///
    /// # Errors
    /// When the coding fails; what was written so far is of no use then.
    pub fn pass(&mut self, piece: &[u8]) -> io::Result<Bytes> {
        let coded = match &mut self.0 {
            Kind::Zstd(encoder) => {
                encoder.write_all(piece)?;
                encoder.flush()?;
                encoder.get_mut()
            }
            Kind::Brotli(encoder) => {
                encoder.write_all(piece)?;
                encoder.flush()?;
                encoder.get_mut()
            }
            Kind::Gzip(encoder) => {
                encoder.write_all(piece)?;
                encoder.flush()?;
                encoder.get_mut()
            }
        };
        Ok(std::mem::take(coded).into())
    }

    /// The last bytes.
    ///
    /// # Errors
    /// When the coding fails.
    pub fn end(self) -> io::Result<Bytes> {
        Ok(match self.0 {
            Kind::Zstd(encoder) => encoder.finish()?.into(),
            Kind::Brotli(encoder) => encoder.into_inner().into(),
            Kind::Gzip(encoder) => encoder.finish()?.into(),
        })
    }
}

/// A whole body in a coding.
///
/// # Errors
/// When the coding fails.
pub fn whole(coding: Coding, body: &[u8]) -> io::Result<Bytes> {
    let mut encoder = Encoder::new(coding)?;
    match &mut encoder.0 {
        Kind::Zstd(encoder) => encoder.write_all(body)?,
        Kind::Brotli(encoder) => encoder.write_all(body)?,
        Kind::Gzip(encoder) => encoder.write_all(body)?,
    }
    encoder.end()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(*name, HeaderValue::from_static(value));
        }
        map
    }

    fn decoded(coding: Coding, coded: &[u8]) -> Vec<u8> {
        let mut text = Vec::new();
        match coding {
            Coding::Zstd => text = zstd::decode_all(coded).unwrap(),
            Coding::Brotli => drop(brotli::Decompressor::new(coded, 4096).read_to_end(&mut text).unwrap()),
            Coding::Gzip => drop(flate2::read::GzDecoder::new(coded).read_to_end(&mut text).unwrap()),
        }
        text
    }

    #[test]
    fn a_client_gets_the_coding_it_wants_most() {
        use Coding::{Brotli, Gzip, Zstd};
        for (accept, expected) in [
            ("gzip", Some(Gzip)),
            ("gzip, deflate, br, zstd", Some(Zstd)),
            ("gzip, br", Some(Brotli)),
            ("GZip;Q=1", Some(Gzip)),
            ("x-gzip", Some(Gzip)),
            ("gzip;q=1.0, br;q=0.5", Some(Gzip)),
            ("gzip;q=0.001", Some(Gzip)),
            ("*", Some(Zstd)),
            ("*;q=0.5, gzip;q=0.8", Some(Gzip)),
            ("zstd;q=0, *", Some(Brotli)),
            ("identity, gzip;q=0.5", None),
            ("identity;q=0.5, gzip;q=0.5", Some(Gzip)),
            ("gzip;q=0", None),
            ("*;q=0", None),
            ("identity;q=0", None),
            ("deflate", None),
            ("gzip;q=2", None),
            ("gzip;q=x", None),
            ("gzip;level=1", None),
            ("", None),
            (",;,;q=1,", None),
        ] {
            assert_eq!(wanted(&headers(&[("accept-encoding", accept)])), expected, "{accept}");
        }
        assert_eq!(wanted(&HeaderMap::new()), None);
        let two = headers(&[("accept-encoding", "br;q=0.1"), ("accept-encoding", "gzip;q=0.2")]);
        assert_eq!(wanted(&two), Some(Gzip));
    }

    #[test]
    fn only_text_in_no_coding_yet_is_coded_and_nothing_that_a_cookie_opens() {
        let fhir = ("content-type", "application/fhir+json; charset=utf-8");
        let may = |asked: &[_], status: u16, answer: &[_]| {
            may_be_coded(&headers(asked), StatusCode::from_u16(status).unwrap(), &headers(answer))
        };
        assert!(may(&[], 200, &[fhir]) && may(&[], 404, &[fhir]) && may(&[], 304, &[]));
        for media_type in ["text/html", "application/fhir+xml", "application/fhir+ndjson", "application/json"]
        {
            assert!(may(&[], 200, &[("content-type", media_type)]), "{media_type}");
        }
        for media_type in ["image/jpeg", "application/pdf", "application/zip", "text/event-stream", ""] {
            assert!(!may(&[], 200, &[("content-type", media_type)]), "{media_type}");
        }
        assert!(!may(&[], 204, &[fhir]) && !may(&[], 206, &[fhir]) && !may(&[], 200, &[]));
        assert!(!may(&[], 200, &[fhir, ("content-encoding", "gzip")]));
        assert!(!may(&[], 200, &[fhir, ("cache-control", "no-store, No-Transform")]));
        assert!(!may(&[("cookie", "session=1")], 200, &[fhir]));
    }

    #[test]
    fn what_was_coded_in_pieces_or_whole_is_the_body_again() {
        let body: Vec<u8> = (0..300_000_u32).map(|n| b"0123456789abcdef"[(n / 7 % 16) as usize]).collect();
        for coding in Coding::ALL {
            for body in [&body[..], &body[..10], b""] {
                assert_eq!(decoded(coding, &whole(coding, body).unwrap()), body, "{coding:?}");
                let (mut encoder, mut coded) = (Encoder::new(coding).unwrap(), Vec::new());
                for piece in body.chunks(7_777) {
                    let passed = encoder.pass(piece).unwrap();
                    assert!(!passed.is_empty(), "nothing waits inside");
                    coded.extend_from_slice(&passed);
                }
                coded.extend_from_slice(&encoder.end().unwrap());
                assert_eq!(decoded(coding, &coded), body, "{coding:?}");
            }
            assert!(whole(coding, &body).unwrap().len() < body.len() / 10, "{coding:?} saves something");
        }
    }
}
