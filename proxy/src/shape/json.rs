//! One pass over a JSON text (RFC 8259): whether it is one, and where the members of its top level lie.
//!
//! Every answer is read through here before a client sees it, so nothing is built, and most bytes are looked at
//! once. What is accepted is what `serde_json` accepts, which a property test holds it to.

use serde::de::IgnoredAny;

/// What is nested deeper is left to `serde_json`, which needs no stack for it. No FHIR resource is.
const DEPTH_MAX: usize = 64;

/// The bytes are no JSON text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Reads a text to its end and shows each member of the object it is: its name and its value, as they are
/// written, the name with its quotes. A text that is no object shows nothing.
///
/// # Errors
/// When the bytes are no JSON text.
pub(super) fn members<'a>(text: &'a [u8], mut show: impl FnMut(&'a [u8], &'a [u8])) -> Result<(), Malformed> {
    // Strings are looked through for their ends only; whether they are UTF-8 is asked once, for all.
    std::str::from_utf8(text).map_err(|_| Malformed)?;
    let mut walk = Walk { text, at: 0 };
    walk.space();
    if walk.peek() == Some(b'{') {
        walk.object(DEPTH_MAX, &mut show)?;
    } else {
        walk.value(DEPTH_MAX)?;
    }
    walk.space();
    if walk.at == text.len() { Ok(()) } else { Err(Malformed) }
}

struct Walk<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Walk<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    fn expect(&mut self, byte: u8) -> Result<(), Malformed> {
        if self.take(byte) { Ok(()) } else { Err(Malformed) }
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    /// `deeper` levels may still open.
    fn value(&mut self, deeper: usize) -> Result<(), Malformed> {
        match self.peek().ok_or(Malformed)? {
            b'"' => self.string(),
            b'{' | b'[' if deeper == 0 => self.deep(),
            b'{' => self.object(deeper, &mut |_, _| {}),
            b'[' => self.array(deeper),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'n' => self.word(b"null"),
            _ => self.number(),
        }
    }

    fn object(&mut self, deeper: usize, show: &mut dyn FnMut(&'a [u8], &'a [u8])) -> Result<(), Malformed> {
        let deeper = deeper.saturating_sub(1);
        self.expect(b'{')?;
        self.space();
        if self.take(b'}') {
            return Ok(());
        }
        loop {
            let name = self.at;
            self.string()?;
            let name = &self.text[name..self.at];
            self.space();
            self.expect(b':')?;
            self.space();
            let value = self.at;
            self.value(deeper)?;
            show(name, &self.text[value..self.at]);
            self.space();
            if self.take(b'}') {
                return Ok(());
            }
            self.expect(b',')?;
            self.space();
        }
    }

    fn array(&mut self, deeper: usize) -> Result<(), Malformed> {
        let deeper = deeper.saturating_sub(1);
        self.expect(b'[')?;
        self.space();
        if self.take(b']') {
            return Ok(());
        }
        loop {
            self.value(deeper)?;
            self.space();
            if self.take(b']') {
                return Ok(());
            }
            self.expect(b',')?;
            self.space();
        }
    }

    fn deep(&mut self) -> Result<(), Malformed> {
        let mut values =
            serde_json::Deserializer::from_slice(&self.text[self.at..]).into_iter::<IgnoredAny>();
        values.next().and_then(Result::ok).ok_or(Malformed)?;
        self.at += values.byte_offset();
        Ok(())
    }

    fn word(&mut self, word: &[u8]) -> Result<(), Malformed> {
        if !self.text[self.at..].starts_with(word) {
            return Err(Malformed);
        }
        self.at += word.len();
        Ok(())
    }

    fn string(&mut self) -> Result<(), Malformed> {
        self.expect(b'"')?;
        loop {
            let rest = &self.text[self.at..];
            let plain = rest.iter().position(|&byte| !PLAIN[usize::from(byte)]).ok_or(Malformed)?;
            self.at += plain + 1;
            match rest[plain] {
                b'"' => return Ok(()),
                b'\\' => self.escape()?,
                _ => return Err(Malformed),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Malformed> {
        let kind = self.peek().ok_or(Malformed)?;
        self.at += 1;
        match kind {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(()),
            b'u' => {
                let digits = self.text.get(self.at..self.at + 4).ok_or(Malformed)?;
                self.at += 4;
                if digits.iter().all(u8::is_ascii_hexdigit) { Ok(()) } else { Err(Malformed) }
            }
            _ => Err(Malformed),
        }
    }

    fn number(&mut self) -> Result<(), Malformed> {
        self.take(b'-');
        // No zero leads (RFC 8259 section 6).
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _ = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        Ok(())
    }

    /// One or more.
    fn digits(&mut self) -> Result<(), Malformed> {
        let first = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at > first { Ok(()) } else { Err(Malformed) }
    }
}

/// Bytes that stand for themselves in a string: neither its end, nor an escape, nor a control character.
const PLAIN: [bool; 256] = {
    let mut plain = [true; 256];
    let mut byte = 0;
    while byte < 0x20 {
        plain[byte] = false;
        byte += 1;
    }
    plain[b'"' as usize] = false;
    plain[b'\\' as usize] = false;
    plain
};

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
