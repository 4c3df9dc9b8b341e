//! `config/viewer-reference.md` says what the program does: `UPDATE=1 cargo test -p aorta-viewer reference` writes it.

use crate::config::{Config, LIMITS, PROXY, TOP, parse};
use std::path::Path;

/// A key; all of them apply with the next start.
struct Key {
    /// The block it stands in; empty at the top.
    block: &'static str,
    /// As it is written.
    name: &'static str,
    /// As it would be written; empty for a block.
    default: &'static str,
    /// What may stand there.
    may_be: May,
    /// What it is for: one sentence.
    doc: &'static str,
}

/// What may stand at a key.
enum May {
    /// In words.
    Be(&'static str),
    /// From the one to the other.
    Lie(&'static str, &'static str),
}

use May::{Be, Lie};

/// In the order of the shipped file.
const KEYS: [Key; 12] = [
    key("", "listen", "127.0.0.1:8088", Be("an address and a port"), "Where the pages are served."),
    key(
        "",
        "hosts",
        "[]",
        Be("a list of host names"),
        "Names that browsers may use for this viewer; none: any, or on a loopback address only `localhost` and addresses.",
    ),
    key("", "proxy", "", Be("a block"), "The only way to the records."),
    key(
        "proxy",
        "url",
        "http://127.0.0.1:8080",
        Be("an `http` URL without user, query and fragment"),
        "The proxy beside this program; its path stands before every record's.",
    ),
    key(
        "proxy",
        "timeout",
        "35s",
        Be("`1ms` up to less than `limits.request_time`"),
        "For the proxy's whole answer; longer than the proxy's own `timeouts.request` (29s).",
    ),
    key("", "record", "/", Be("a path"), "What \"Fetch Patient Data\" fetches from the proxy."),
    key("", "title", "Centralised Medical Data", Be("1 to 200 characters"), "The front page's title."),
    key(
        "",
        "log",
        "info",
        Be("`error`, `warn`, `info`, `debug`"),
        "The least severe line that is written to standard error.",
    ),
    key("", "limits", "", Be("a block"), "What clients and the proxy can cost."),
    key(
        "limits",
        "connections",
        "1000",
        Lie("1", "100000"),
        "Client connections; more wait in the system's queue.",
    ),
    key(
        "limits",
        "request_time",
        "40s",
        Lie("2ms", "10m"),
        "A request's head must arrive in it, and a stop waits so long for pages in flight.",
    ),
    key(
        "limits",
        "answer_bytes",
        "6MiB",
        Lie("1KiB", "64MiB"),
        "The largest answer taken from the proxy; the default is Lambda's own limit.",
    ),
];

const fn key(
    block: &'static str,
    name: &'static str,
    default: &'static str,
    may_be: May,
    doc: &'static str,
) -> Key {
    Key { block, name, default, may_be, doc }
}

#[test]
fn the_reference_has_every_key_that_the_program_knows() {
    for (block, known) in [("", &TOP[..]), ("proxy", &PROXY), ("limits", &LIMITS)] {
        let told: Vec<_> = KEYS.iter().filter(|key| key.block == block).map(|key| key.name).collect();
        assert_eq!(told, known, "{block}");
    }
}

fn path(key: &Key) -> String {
    if key.block.is_empty() { key.name.to_owned() } else { format!("{}.{}", key.block, key.name) }
}

/// A file that holds this key alone, with this value.
fn with(key: &Key, value: &str) -> String {
    match key.block {
        "" => format!("{}: {value}\n", key.name),
        // With a fetch inside of it that is shorter.
        block if key.name == "request_time" => {
            format!("proxy: {{timeout: 1ms}}\n{block}: {{{}: {value}}}\n", key.name)
        }
        block => format!("{block}: {{{}: {value}}}\n", key.name),
    }
}

fn reference() -> String {
    let head = "\
# Every key of the viewer's configuration

Made from the program's own table of keys. Every key may be left out; all apply with the next start.

| key | default | may be | what it is for |
| --- | --- | --- | --- |
";
    let rows = KEYS.iter().map(|key| {
        let default = if key.default.is_empty() { String::new() } else { format!("`{}`", key.default) };
        let may_be = match key.may_be {
            Be(words) => words.to_owned(),
            Lie(low, high) => format!("{low} to {high}"),
        };
        format!("| `{}` | {default} | {may_be} | {} |\n", path(key), key.doc)
    });
    rows.fold(head.to_owned(), |text, row| text + &row)
}

#[test]
fn the_reference_is_current() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/viewer-reference.md");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&file, reference()).unwrap();
    }
    let shipped = std::fs::read_to_string(&file).unwrap();
    assert!(shipped == reference(), "config/viewer-reference.md is old: run this test with UPDATE=1");
}

#[test]
fn each_default_of_the_reference_is_the_programs_own() {
    let debug = |config: Config| format!("{config:?}");
    let own = debug(parse("", "").unwrap());
    for key in KEYS.iter().filter(|key| !key.default.is_empty()) {
        let text = format!("{}: {}\n", key.name, key.default);
        let text = if key.block.is_empty() { text } else { format!("{}:\n  {text}", key.block) };
        assert_eq!(debug(parse("", &text).unwrap()), own, "{}", path(key));
    }
}

#[test]
fn each_bound_of_the_reference_is_the_programs_own() {
    let bounded = KEYS.iter().filter_map(|key| match key.may_be {
        Lie(low, high) => Some((key, low, high)),
        Be(_) => None,
    });
    let mut seen = 0;
    for (key, low, high) in bounded {
        let beyond = match key.name {
            "connections" => ["0", "100001"],
            "request_time" => ["1ms", "600001ms"],
            "answer_bytes" => ["1023B", "67108865B"],
            other => panic!("say what lies beyond the bounds of {other}"),
        };
        for good in [low, high] {
            assert!(parse("", &with(key, good)).is_ok(), "{} {good}", path(key));
        }
        for bad in beyond {
            assert!(parse("", &with(key, bad)).is_err(), "{} {bad}", path(key));
        }
        seen += 1;
    }
    assert_eq!(seen, 3);
}
