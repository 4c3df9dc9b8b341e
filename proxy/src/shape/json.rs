//! One pass over a JSON text (RFC 8259): whether it is one, and where the members of its top level lie.
//!
//! Every answer is read through here before a client sees it, so nothing is built, nothing calls itself, most
//! bytes are looked at sixteen at a time, and the place in the text is handed from function to function. What is
//! accepted is what `serde_json` accepts, which a property test holds it to.

use crate::lanes::{self, LANES};
use serde::de::IgnoredAny;

/// The bytes are no JSON text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Reads a text to its end and shows each member of the object it is: its name and its value, as they are
/// written, the name with its quotes. A text that is no object shows nothing.
///
/// # Errors
/// When the bytes are no JSON text.
pub(super) fn members<'a>(text: &'a [u8], show: impl FnMut(&'a [u8], &'a [u8])) -> Result<(), Malformed> {
    // Strings are looked through for their ends only; whether they are UTF-8 is asked once, for all.
    if !text.is_ascii() {
        std::str::from_utf8(text).map_err(|_| Malformed)?;
    }
    walk(text, show).ok_or(Malformed)
}

/// None where the text is no JSON, here and in what follows.
fn walk<'a>(text: &'a [u8], mut show: impl FnMut(&'a [u8], &'a [u8])) -> Option<()> {
    let mut open = Open::default();
    // The member of the top level that was begun last: its name, and where its value begins.
    let (mut name, mut begin) = (0..0, 0);
    let mut at = space(text, 0);
    loop {
        let first = *text.get(at)?;
        let end = match first {
            b'"' => Some(string(text, at + 1)?),
            b'{' | b'[' if !open.is_full() => {
                at = space(text, at + 1);
                let end = take(text, at, first + CLOSES);
                if end.is_none() {
                    open.push(first == b'{');
                }
                end
            }
            _ => Some(scalar(text, at, first)?),
        };
        if let Some(end) = end {
            at = end;
            // A value has ended, and maybe what holds it.
            loop {
                if open.depth == 1 && open.is_object() {
                    show(&text[name.clone()], &text[begin..at]);
                }
                at = space(text, at);
                if open.depth == 0 {
                    return (at == text.len()).then_some(());
                }
                if let Some(next) = take(text, at, b',') {
                    at = space(text, next);
                    break;
                }
                at = take(text, at, open.close())?;
                open.pop();
            }
        }
        if open.is_object() {
            let from = at;
            let end = string(text, take(text, at, b'"')?)?;
            at = space(text, take(text, space(text, end), b':')?);
            if open.depth == 1 {
                (name, begin) = (from..end, at);
            }
        }
    }
}

/// From an opening bracket to the one that closes it: `[` is 0x5b and `]` 0x5d, `{` and `}` as far apart.
const CLOSES: u8 = b']' - b'[';

/// What is open: a bit for each level, set for an object.
#[derive(Default)]
struct Open {
    objects: u64,
    depth: u32,
}

impl Open {
    fn is_full(&self) -> bool {
        self.depth == u64::BITS
    }

    fn is_object(&self) -> bool {
        self.objects & 1 == 1
    }

    fn close(&self) -> u8 {
        if self.is_object() { b'}' } else { b']' }
    }

    fn push(&mut self, object: bool) {
        self.objects = (self.objects << 1) | u64::from(object);
        self.depth += 1;
    }

    fn pop(&mut self) {
        self.objects >>= 1;
        self.depth -= 1;
    }
}

/// What is neither a string nor opens anything.
#[inline]
fn scalar(text: &[u8], at: usize, byte: u8) -> Option<usize> {
    match byte {
        b't' => word(text, at, b"true"),
        b'f' => word(text, at, b"false"),
        b'n' => word(text, at, b"null"),
        b'{' | b'[' => deep(text, at),
        _ => number(text, at),
    }
}

#[inline]
fn take(text: &[u8], at: usize, byte: u8) -> Option<usize> {
    (*text.get(at)? == byte).then_some(at + 1)
}

/// Behind white space, of which there is seldom any.
#[inline]
fn space(text: &[u8], at: usize) -> usize {
    match text.get(at) {
        Some(..=b' ') => long_space(text, at),
        _ => at,
    }
}

#[cold]
fn long_space(text: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = text.get(at) {
        at += 1;
    }
    at
}

/// What is nested deeper than there are bits is left to `serde_json`. No FHIR resource is.
#[cold]
fn deep(text: &[u8], at: usize) -> Option<usize> {
    let mut values = serde_json::Deserializer::from_slice(&text[at..]).into_iter::<IgnoredAny>();
    values.next()?.ok()?;
    Some(at + values.byte_offset())
}

fn word(text: &[u8], at: usize, word: &[u8]) -> Option<usize> {
    text[at..].starts_with(word).then_some(at + word.len())
}

/// Behind the string whose quote stands before this place.
#[inline]
fn string(text: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let Some(sixteen) = text.get(at..).and_then(|rest| rest.first_chunk::<LANES>()) else {
            return short_string(text, at);
        };
        let ends = lanes::ends_run(sixteen);
        if ends == 0 {
            at += LANES;
            continue;
        }
        at += ends.trailing_zeros() as usize;
        if text[at] == b'"' {
            return Some(at + 1);
        }
        at = escape(text, at)?;
    }
}

/// The rest of a string where fewer than sixteen bytes are left of the text.
fn short_string(text: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *text.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' | ..b' ' => at = escape(text, at)?,
            _ => at += 1,
        }
    }
}

/// None also for what is no escape: a control character.
fn escape(text: &[u8], at: usize) -> Option<usize> {
    let at = take(text, at, b'\\')?;
    match *text.get(at)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(at + 1),
        b'u' => {
            let digits = text.get(at + 1..at + 5)?;
            digits.iter().all(u8::is_ascii_hexdigit).then_some(at + 5)
        }
        _ => None,
    }
}

fn number(text: &[u8], at: usize) -> Option<usize> {
    let at = take(text, at, b'-').unwrap_or(at);
    // No zero leads (RFC 8259 section 6).
    let mut at = take(text, at, b'0').or_else(|| digits(text, at))?;
    if let Some(point) = take(text, at, b'.') {
        at = digits(text, point)?;
    }
    if let Some(exponent) = take(text, at, b'e').or_else(|| take(text, at, b'E')) {
        let sign = take(text, exponent, b'+').or_else(|| take(text, exponent, b'-'));
        at = digits(text, sign.unwrap_or(exponent))?;
    }
    Some(at)
}

/// One or more.
fn digits(text: &[u8], at: usize) -> Option<usize> {
    let count = text.get(at..)?.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (count > 0).then_some(at + count)
}

#[cfg(test)]
mod tests;
