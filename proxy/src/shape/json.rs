//! One pass over a JSON text (RFC 8259): whether it is one, and where the members of its top level lie.
//!
//! Every answer is read through here before a client sees it, so nothing is built, nothing calls itself, most
//! bytes are looked at eight at a time, and the place in the text is handed from function to function. What is
//! accepted is what `serde_json` accepts, which a property test holds it to.

use serde::de::IgnoredAny;
use std::ops::Range;

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
    std::str::from_utf8(text).map_err(|_| Malformed)?;
    walk(text, show).ok_or(Malformed)
}

/// None where the text is no JSON, here and in what follows.
fn walk<'a>(text: &'a [u8], mut show: impl FnMut(&'a [u8], &'a [u8])) -> Option<()> {
    let mut open = Open::default();
    let mut member: Option<(Range<usize>, usize)> = None;
    let mut at = space(text, 0);
    loop {
        let mut next;
        (next, at) = value(text, at, &mut open)?;
        while next == Next::Ended {
            if let Some((name, value)) = member.take_if(|_| open.depth == 1) {
                show(&text[name], &text[value..at]);
            }
            at = space(text, at);
            if open.depth == 0 {
                return (at == text.len()).then_some(());
            }
            (next, at) = after(text, at, &mut open)?;
        }
        if next == Next::Name {
            let name = at..string(text, at)?;
            at = space(text, take(text, space(text, name.end), b':')?);
            if open.depth == 1 {
                member = Some((name, at));
            }
        }
    }
}

/// What stands at a place.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    /// A member's name.
    Name,
    Value,
    /// The end of a value.
    Ended,
}

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

    fn push(&mut self, object: bool) {
        self.objects = (self.objects << 1) | u64::from(object);
        self.depth += 1;
    }

    fn pop(&mut self) {
        self.objects >>= 1;
        self.depth -= 1;
    }
}

/// Reads a value, or only the opening of one that is not empty.
fn value(text: &[u8], at: usize, open: &mut Open) -> Option<(Next, usize)> {
    let end = match *text.get(at)? {
        b'"' => string(text, at)?,
        b'{' | b'[' if open.is_full() => deep(text, at)?,
        b'{' => return Some(opening(text, at, open, b'}')),
        b'[' => return Some(opening(text, at, open, b']')),
        b't' => word(text, at, b"true")?,
        b'f' => word(text, at, b"false")?,
        b'n' => word(text, at, b"null")?,
        _ => number(text, at)?,
    };
    Some((Next::Ended, end))
}

fn opening(text: &[u8], at: usize, open: &mut Open, close: u8) -> (Next, usize) {
    let object = close == b'}';
    let at = space(text, at + 1);
    if let Some(end) = take(text, at, close) {
        return (Next::Ended, end);
    }
    open.push(object);
    (if object { Next::Name } else { Next::Value }, at)
}

/// Behind a value: another one follows, or what holds it ends too.
fn after(text: &[u8], at: usize, open: &mut Open) -> Option<(Next, usize)> {
    let object = open.is_object();
    if let Some(at) = take(text, at, b',') {
        return Some((if object { Next::Name } else { Next::Value }, space(text, at)));
    }
    let end = take(text, at, if object { b'}' } else { b']' })?;
    open.pop();
    Some((Next::Ended, end))
}

fn take(text: &[u8], at: usize, byte: u8) -> Option<usize> {
    (*text.get(at)? == byte).then_some(at + 1)
}

fn space(text: &[u8], mut at: usize) -> usize {
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

fn string(text: &[u8], at: usize) -> Option<usize> {
    let mut at = take(text, at, b'"')?;
    loop {
        let Some(eight) = text.get(at..).and_then(|rest| rest.first_chunk::<8>()) else {
            return short_string(text, at);
        };
        let special = special(u64::from_le_bytes(*eight));
        if special == 0 {
            at += 8;
            continue;
        }
        at += (special.trailing_zeros() / 8) as usize;
        if text[at] == b'"' {
            return Some(at + 1);
        }
        at = escape(text, at)?;
    }
}

/// The rest of a string where fewer than eight bytes are left of the text.
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

/// The high bit of the first of eight bytes that is a quote, a backslash or a control character; bits above
/// it mean nothing, because a borrow may have set them.
const fn special(eight: u64) -> u64 {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    let quote = eight ^ (ONES * b'"' as u64);
    let backslash = eight ^ (ONES * b'\\' as u64);
    let control = eight.wrapping_sub(ONES * b' ' as u64) & !eight;
    let quote = quote.wrapping_sub(ONES) & !quote;
    let backslash = backslash.wrapping_sub(ONES) & !backslash;
    (control | quote | backslash) & HIGH
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn is_json(text: &[u8]) -> bool {
        members(text, |_, _| {}).is_ok()
    }

    fn as_serde_does(text: &[u8]) {
        // What serde_json skips may be no UTF-8; JSON is (RFC 8259 section 8.1).
        let read =
            std::str::from_utf8(text).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok());
        assert_eq!(is_json(text), read, "{}", String::from_utf8_lossy(text));
    }

    #[test]
    fn what_is_no_json_is_refused_as_serde_refuses_it() {
        let deep = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        let texts = [
            "",
            " ",
            "{",
            "}",
            "{}",
            " { } ",
            "{,}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{\"a\":1 \"b\":2}",
            "{a:1}",
            "[",
            "[]",
            "[1,]",
            "[1 2]",
            "[,1]",
            "]",
            "tru",
            "true",
            "nul",
            "null",
            "nulls",
            "false",
            "0",
            "-0",
            "00",
            "01",
            "-",
            "1.",
            ".1",
            "1.0",
            "1e",
            "1e5",
            "1E+5",
            "1e-",
            "+1",
            "0x1",
            "\"",
            "\"a",
            "\"a\"",
            "\"\\u12\"",
            "\"\\u12G4\"",
            "\"\\uD800\"",
            "\"\\uD800\\uDC00\"",
            "\"\\x\"",
            "\"\\",
            "\"\u{1}\"",
            "\"\u{7f}\"",
            "{\"a\":{\"b\":[{}]}} x",
            "\u{feff}{}",
            "NaN",
            "1 1",
            "{\"a\":1}{\"a\":1}",
        ];
        texts.iter().for_each(|text| as_serde_does(text.as_bytes()));
        [63, 64, 65, 66, 4000].iter().for_each(|&levels| as_serde_does(deep(levels).as_bytes()));
        as_serde_does(b"\"\xff\"");
        as_serde_does((deep(70) + "]").as_bytes());
        as_serde_does(("[".repeat(70) + "1]").as_bytes());
    }

    #[test]
    fn only_the_members_of_the_top_level_are_shown() {
        let mut seen = Vec::new();
        members(br#" {"a" : {"b":1} , "c":"x"}"#, |name, value| seen.push((name, value))).unwrap();
        assert_eq!(seen, [(&b"\"a\""[..], &b"{\"b\":1}"[..]), (b"\"c\"", b"\"x\"")]);
    }

    #[test]
    fn the_first_byte_that_ends_a_run_is_found_wherever_it_lies() {
        for byte in 0..=u8::MAX {
            for at in 0..24 {
                let mut text = [b"\"".as_slice(), &[b'a'; 24], b"\""].concat();
                text[1 + at] = byte;
                as_serde_does(&text);
                text[1 + at] = b'"';
                text.insert(1 + at, byte);
                as_serde_does(&text);
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_is_judged_as_serde_judges_it(text in r#"[\[\]{}:,"\\0-9eE.+\-tfnu aé\n]{0,24}"#) {
            as_serde_does(text.as_bytes());
        }

        #[test]
        fn a_text_that_was_cut_or_garbled_is_judged_as_serde_judges_it(at in 0_usize..90, byte: u8, cut: bool) {
            let mut text = br#"{"resourceType":"Patient","n":[-1.50e+3,true,null,{"x":"a\"\u00e9"}],"t":"caf\u00e9"}"#.to_vec();
            let at = at % text.len();
            if cut { text.truncate(at) } else { text[at] = byte }
            as_serde_does(&text);
        }
    }
}
