//! Files nobody means: they are refused in bounded time, and nothing panics.

use super::{GOOD, check, read};
use std::fmt::Write as _;

const EVERYTHING: &str = include_str!("../../../../config/aorta.yaml");

#[test]
fn random_changes_of_a_good_file_never_panic() {
    let mut rng = fastrand::Rng::with_seed(7);
    let inserted: Vec<char> = "{}[]:,-#&*!|>'\"%@`?~ \n\t\r\0\u{1}\u{feff}é0x9".chars().collect();
    for source in [GOOD, EVERYTHING] {
        for _ in 0..400 {
            let mut text: Vec<char> = source.chars().collect();
            for _ in 0..rng.usize(1..6) {
                let at = rng.usize(..text.len());
                let to = (at + rng.usize(..40)).min(text.len());
                match rng.u8(..4) {
                    0 => drop(text.drain(at..to)),
                    1 => text.insert(at, inserted[rng.usize(..inserted.len())]),
                    2 => text[at] = inserted[rng.usize(..inserted.len())],
                    _ => text.splice(at..at, text[at..to].to_vec()).for_each(drop),
                }
                if text.is_empty() {
                    text.push(' ');
                }
            }
            one_line_each(&text.into_iter().collect::<String>());
        }
    }
}

#[test]
fn random_text_never_panics() {
    let mut rng = fastrand::Rng::with_seed(11);
    for _ in 0..500 {
        let bytes: Vec<u8> = (0..rng.usize(..200)).map(|_| rng.u8(..)).collect();
        one_line_each(&String::from_utf8_lossy(&bytes));
    }
}

/// Whatever the file holds, a problem is one line that starts with its place.
fn one_line_each(text: &str) {
    if let Err(problems) = read(text) {
        let said = problems.to_string();
        assert_eq!(said.lines().count(), problems.list().len(), "{said}");
        assert!(said.lines().all(|line| line.starts_with("t.yaml:") && line.contains("; ")), "{said}");
    }
}

#[test]
fn aliases_that_multiply_are_refused() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for i in 1..12 {
        let list = vec![format!("*a{}", i - 1); 10].join(", ");
        let _ = writeln!(bomb, "a{i}: &a{i} [{list}]");
    }
    let said = read(&bomb).unwrap_err().to_string();
    assert!(said.contains("limit exceeded"), "{said}");
    let text = format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), vec!["*a"; 100].join(", "));
    let said = read(&text).unwrap_err().to_string();
    assert!(said.contains("holds more values than a configuration can"), "{said}");
    let said = read("a: &a [*a, *a]\n").unwrap_err().to_string();
    assert!(said.contains("limit exceeded"), "{said}");
}

#[test]
fn deep_nesting_is_refused() {
    let right = "close them, or write nested blocks by indentation";
    check(&"[".repeat(4 << 20), &[&format!("1:129: more than 128 brackets are open; {right}")]);
    check(&"{a: ".repeat(200_000), &[&format!("1:513: more than 128 brackets are open; {right}")]);
    let said = read(&"- ".repeat(100_000)).unwrap_err().to_string();
    assert!(said.contains("limit exceeded"), "{said}");
}

#[test]
fn a_long_key_and_a_key_that_is_no_text_are_refused() {
    check(
        &format!("? {}\n: 1\n", "k".repeat(2000)),
        &["1:3: a key is longer than any key that is known; look for a colon or a quote that is missing"],
    );
    check("? [a, b]\n: 1\n", &["1:3: a key is no plain text; write `key: value`"]);
}

#[test]
fn a_key_cannot_break_the_line_it_is_reported_on() {
    check(
        "\"a\\nb\": 1\n".to_owned().as_str(),
        &[
            "1:1: `a\\nb`: is an unknown key; known here: listeners, admin, shutdown, reload, state_dir, buffers, log, traces, audit, quota_store, \
             routes, pools",
            "1:1: listeners: is missing; list at least one, with `address`",
            "1:1: pools: is missing; name at least one, with `upstreams`",
            "1:1: routes: is missing; list at least one, with `name` and `pool`",
        ],
    );
}
