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
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

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
            for at in 0..2 * LANES + 8 {
                let mut text = [b"\"".as_slice(), &[b'a'; 2 * LANES + 8], b"\""].concat();
                text[1 + at] = byte;
                as_serde_does(&text);
                text[1 + at] = b'"';
                text.insert(1 + at, byte);
                as_serde_does(&text);
            }
        }
    }

    #[test]
    fn an_escape_is_one_wherever_it_stands_and_wherever_the_text_ends() {
        for before in 0..2 * LANES {
            for escape in [r"\n", r"\\", r#"\""#, r"\u00e9", r"\u00g9", r"\x", "é", "\u{1f600}"] {
                let text = format!("[\"{}{escape}{}\"]", "a".repeat(before), "b".repeat(before / 2));
                (0..=text.len()).for_each(|end| as_serde_does(&text.as_bytes()[..end]));
            }
        }
    }

    fn objects() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            r#"[a-z"\\ é\n{}\[\]:,]{0,40}"#.prop_map(Value::from),
        ];
        let value = leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                members_of(inner).prop_map(Value::Object),
            ]
        });
        members_of(value).prop_map(Value::Object)
    }

    fn members_of(
        value: impl Strategy<Value = Value>,
    ) -> impl Strategy<Value = serde_json::Map<String, Value>> {
        prop::collection::vec((r#"[a-z"é]{0,20}"#, value), 0..5)
            .prop_map(|members| members.into_iter().collect())
    }

    /// Pieces of which texts are put together that are JSON more often than by chance.
    const PIECES: [&str; 22] = [
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"key\":",
        "\"a key that is longer than sixteen bytes\" :",
        "\"\"",
        "\"text\"",
        "\"a string that is longer than sixteen bytes, é and all\"",
        r#""\"\\\/\b\u00e9""#,
        " ",
        "\n    ",
        "\r\n\t",
        "0",
        "-1.5e+3",
        "true",
        "false",
        "null",
        "x",
        "\"",
    ];

    proptest! {
        #[test]
        fn pieces_of_json_are_judged_as_serde_judges_them(
            pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..16),
        ) {
            as_serde_does(pieces.concat().as_bytes());
            // Most of what came by chance is refused early: this is an object but for what the pieces are.
            as_serde_does(format!("{{\"a\":[{}]}}", pieces.join(",")).as_bytes());
        }

        #[test]
        fn the_members_that_are_shown_are_those_that_serde_reads(value in objects(), pretty: bool) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            let mut seen = serde_json::Map::new();
            let read = |text| serde_json::from_slice::<Value>(text).unwrap();
            members(text.as_bytes(), |name, value| {
                seen.insert(read(name).as_str().unwrap().to_owned(), read(value));
            })
            .unwrap();
            prop_assert_eq!(Value::Object(seen), value);
        }

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
