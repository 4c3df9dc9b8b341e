//! The library's errors in an operator's words: where, what is wrong, what would be right.

use crate::config::problem::{At, Problem};
use serde::de;

/// Marks our own words in an error that the library dresses with a path.
const OWN: &str = "\u{1}";
pub(super) const TAG: &str = "a tag (`!name`) has no meaning here";
pub(super) const TOO_MUCH: &str = "the file holds more values than a configuration can";
pub(super) const LONG_KEY: &str = "a key is longer than any key that is known";

/// A problem of the whole file.
pub(super) fn problem(at: At, wrong: String, right: &str) -> Problem {
    Problem { at: Some(at), key: String::new(), wrong, right: right.to_owned() }
}

/// A problem at the error's place.
pub(super) fn explain(error: &serde_yaml::Error) -> Problem {
    let at = error.location().map_or(At::START, |l| At { line: l.line(), column: l.column() });
    let said = error.to_string();
    let said = said.split(" at line ").next().unwrap_or_default();
    // Up to the first place only: the text before it is the library's own, without a word of the file.
    let (wrong, right) = remedy(said);
    problem(at, wrong, right)
}

/// The scanner's words are about its own state; an operator needs what to do.
fn remedy(said: &str) -> (String, &'static str) {
    const REMEDIES: [(&str, &str); 9] = [
        (
            "cannot start any token",
            "indent with spaces, not tabs, and put text that starts with @ or ` in quotes",
        ),
        (
            "mapping values are not allowed",
            "put text that holds `: ` in quotes, and check the indentation above",
        ),
        (
            "did not find expected key",
            "line this key up with its neighbours and close every quote and bracket",
        ),
        ("did not find expected ','", "close the bracket, and separate its items by commas"),
        ("did not find expected '-'", "line every `- ` of the list up"),
        ("could not find expected ':'", "write `key: value`, with a space after the colon"),
        ("unexpected end of stream", "close the quote that is still open"),
        ("unknown anchor", "define the anchor with `&name` before `*name` uses it"),
        ("limit exceeded", "write the values out, without deep nesting and nested aliases"),
    ];
    let own = said.rsplit(OWN).next().filter(|_| said.contains(OWN));
    if let Some((wrong, right)) = own.and_then(|own| OWN_REMEDIES.iter().find(|(wrong, _)| *wrong == own)) {
        return ((*wrong).to_owned(), right);
    }
    if said.contains("invalid value") {
        // The library would repeat the value.
        return ("a value does not fit its tag".to_owned(), "remove the tag");
    }
    if said.contains("invalid type") {
        return ("a key is no plain text".to_owned(), "write `key: value`");
    }
    let right = REMEDIES
        .iter()
        .find(|(words, _)| said.contains(words))
        .map_or("check the indentation, quotes and brackets here and on the line above", |(_, right)| right);
    // A key before the library's words may hold anything.
    let said: String = said.chars().filter(|c| !c.is_control()).collect();
    (format!("this is no YAML ({said})"), right)
}

const OWN_REMEDIES: [(&str, &str); 3] = [
    (TAG, "remove the tag"),
    (TOO_MUCH, "shorten it; an alias counts as all it stands for"),
    (LONG_KEY, "look for a colon or a quote that is missing"),
];

/// An error with one of our own sentences.
pub(super) fn own<E: de::Error>(words: &str) -> E {
    E::custom(format_args!("{OWN}{words}"))
}
