use super::*;
use proptest::prelude::*;
use serde_json::Value;

fn is_json(text: &[u8]) -> bool {
    members(text, |_, _| {}).is_ok()
}

fn as_serde_does(text: &[u8]) {
    // What serde_json skips may be no UTF-8; JSON is (RFC 8259 section 8.1).
    let read = std::str::from_utf8(text).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok());
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

fn members_of(value: impl Strategy<Value = Value>) -> impl Strategy<Value = serde_json::Map<String, Value>> {
    prop::collection::vec((r#"[a-z"é]{0,20}"#, value), 0..5).prop_map(|members| members.into_iter().collect())
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
