//! Which trace a request belongs to: the client's, continued, or a new one.
//!
//! Source: W3C Trace Context, sections 3.2 (`traceparent`), 3.3 (`tracestate`) and 4.3 (what to do with what came).
//! Pure: chance is an argument.

use crate::headers::name;
use http::{HeaderMap, HeaderValue};
use std::fmt;

/// The place of one request in a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    /// The trace.
    pub id: u128,
    /// The client's span, when the client named one.
    pub parent: Option<u64>,
    /// The span of this request in this proxy.
    pub span: u64,
    /// Somebody records this trace.
    pub sampled: bool,
    /// This proxy tells its own spans too.
    pub exported: bool,
}

impl Trace {
    /// The trace that these headers name, or a new one. `share` is of the new ones that are recorded, where this
    /// proxy tells its spans at all; `next` gives numbers that nobody else has.
    #[must_use]
    pub fn of(headers: &HeaderMap, share: Option<f64>, mut next: impl FnMut() -> u64) -> Self {
        let span = next() | 1;
        let (id, parent, sampled) = came(headers).unwrap_or_else(|| {
            let (high, low) = (next(), next() | 1);
            let sampled = share.is_some_and(|share| unit(high) < share);
            ((u128::from(high) << 64) | u128::from(low), None, sampled)
        });
        Self { id, parent, span, sampled, exported: sampled && share.is_some() }
    }

    /// The span of an attempt, the first being 1: another one for each, the same whenever it is asked for.
    #[must_use]
    pub const fn attempt(&self, number: usize) -> u64 {
        // SplitMix64's step and mix: neighbours look unrelated.
        let mixed = self.span.wrapping_add((number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed ^ (mixed >> 31)) | 1
    }

    /// `traceparent` for the upstream of an attempt. A span that is never told must be nobody's parent: then the
    /// client's stands.
    #[must_use]
    pub fn header(&self, number: usize) -> HeaderValue {
        let span = if self.exported { self.attempt(number) } else { self.parent.unwrap_or(self.span) };
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        write_hex(&self.id.to_be_bytes(), &mut text[3..35]);
        write_hex(&span.to_be_bytes(), &mut text[36..52]);
        text[54] += u8::from(self.sampled);
        // Digits and dashes are a header value.
        HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static(""))
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.id)
    }
}

/// Two digits for each byte, in lower case, as many as there is room for.
pub fn write_hex(bytes: &[u8], digits: &mut [u8]) {
    for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 0xf)];
    }
}

const DIGITS: [u8; 16] = *b"0123456789abcdef";

/// A number between 0 and 1, from the bits that a float can hold.
const fn unit(number: u64) -> f64 {
    (number >> 11) as f64 / (1_u64 << 53) as f64
}

/// Trace, span and flag that came, when they are well-formed; two headers are not.
fn came(headers: &HeaderMap) -> Option<(u128, Option<u64>, bool)> {
    let mut values = headers.get_all(&name::TRACEPARENT).iter();
    let (value, None) = (values.next()?.to_str().ok()?, values.next()) else { return None };
    let version = hex(value.get(..2)?)?;
    // A later version may say more, behind another dash; `ff` is none.
    let length_is_right = match version {
        0 => value.len() == 55,
        0xff => false,
        _ => value.len() == 55 || value.get(55..56) == Some("-"),
    };
    let dashes = [2, 35, 52].into_iter().all(|at| value.get(at..=at) == Some("-"));
    let (id, span) = (hex(value.get(3..35)?)?, hex(value.get(36..52)?)?);
    let flags = hex(value.get(53..55)?)?;
    let good = length_is_right && dashes && id != 0 && span != 0;
    good.then(|| (id, u64::try_from(span).ok(), flags & 1 == 1))
}

/// Lower case only.
fn hex(text: &str) -> Option<u128> {
    let digits = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if digits { u128::from_str_radix(text, 16).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";

    fn trace(values: &[&str], share: Option<f64>) -> Trace {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("traceparent", HeaderValue::from_str(value).unwrap());
        }
        let mut number = 0;
        Trace::of(&headers, share, || {
            number += 1;
            number << 32
        })
    }

    #[test]
    fn a_trace_that_came_is_continued_under_a_span_of_our_own() {
        let trace = trace(&[&format!("00-{ID}-{SPAN}-01")], Some(0.0));
        assert_eq!((trace.to_string().as_str(), trace.sampled), (ID, true));
        assert_eq!(trace.parent, u64::from_str_radix(SPAN, 16).ok());
        assert_eq!(trace.header(1), format!("00-{ID}-{:016x}-01", trace.attempt(1)).as_str());
        let spans = [trace.span, trace.attempt(1), trace.attempt(2), trace.parent.unwrap_or_default()];
        assert!(
            (1..4).all(|i| spans[i..].iter().all(|span| *span != spans[i - 1] && *span != 0)),
            "{spans:x?}"
        );
    }

    #[test]
    fn a_span_that_is_not_told_is_nobodys_parent() {
        let came = format!("00-{ID}-{SPAN}-01");
        assert_eq!(trace(&[&came], None).header(1), came.as_str());
    }

    #[test]
    fn whoever_began_a_trace_says_whether_it_is_recorded() {
        assert!(!trace(&[&format!("00-{ID}-{SPAN}-00")], Some(1.0)).sampled);
        assert!(trace(&[], Some(1.0)).sampled);
        assert!(!trace(&[], Some(0.0)).sampled);
    }

    #[test]
    fn a_later_version_may_say_more() {
        assert_eq!(trace(&[&format!("cc-{ID}-{SPAN}-01-what-the-future-holds")], None).to_string(), ID);
    }

    #[test]
    fn a_malformed_one_is_replaced() {
        let zero = "0".repeat(32);
        let upper = ID.to_uppercase();
        for bad in [
            format!("00-{zero}-{SPAN}-01"),
            format!("00-{ID}-0000000000000000-01"),
            format!("00-{upper}-{SPAN}-01"),
            format!("ff-{ID}-{SPAN}-01"),
            format!("00-{ID}-{SPAN}-01-more"),
            format!("cc-{ID}-{SPAN}-01.more"),
            format!("00-{ID}-{SPAN}-0"),
            format!("00_{ID}_{SPAN}_01"),
            format!("0é-{ID}-{SPAN}-01"),
            "+0-+f".to_owned(),
            String::new(),
        ] {
            let new = trace(&[&bad], None);
            assert!(new.parent.is_none() && new.id != 0 && new.to_string() != ID, "{bad}");
        }
        let twice = format!("00-{ID}-{SPAN}-01");
        assert!(trace(&[&twice, &twice], None).parent.is_none());
    }
}
