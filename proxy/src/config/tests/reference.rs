//! `config/reference.md` and `config/scenarios/reference.md` are made from the tables of keys:
//! `UPDATE=1 cargo test -p aorta-proxy reference` writes them.

use crate::config::keys::{Change, Key, Kind, Need, scenario, table};
use crate::config::units::{show_duration, show_size};
use aorta_core::simulate::weather::Weather;
use std::fmt::Write as _;
use std::path::Path;

#[test]
fn the_reference_is_current() {
    is_current("reference.md", &reference());
}

#[test]
fn the_reference_of_scenarios_is_current() {
    is_current("scenarios/reference.md", &scenario_reference());
}

fn is_current(name: &str, made: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config").join(name);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&file, made).unwrap();
    }
    let shipped = std::fs::read_to_string(&file).unwrap();
    assert!(shipped == made, "config/{name} is old: run this test with UPDATE=1");
}

fn reference() -> String {
    let mut text = "\
# Every key of the proxy's configuration

Made from the program's own table of keys; `aorta-proxy schema` prints the same for editors. A default in *italics*
means that the key must stand. *Applies* says when a change takes effect: live with a reload, or with a restart.

| key | default | may be | applies | what it is for |
| --- | --- | --- | --- | --- |
"
    .to_owned();
    rows(&mut text, "", &table::ROOT);
    text
}

fn scenario_reference() -> String {
    let mut text = "\
# Every key of a scenario

Made from the program's own table of keys; `aorta-proxy schema --scenario` prints the same for editors. A default in
*italics* means that the key must stand.

| key | default | may be | what it is for |
| --- | --- | --- | --- |
"
    .to_owned();
    rows(&mut text, "", &scenario::ROOT);
    text.push_str("\n## Faults\n\n| fault | what the upstream does |\n| --- | --- |\n");
    for weather in Weather::ALL.into_iter().skip(1) {
        let _ = writeln!(text, "| `{}` | {} |", weather.word(), weather.meaning());
    }
    text
}

fn rows(text: &mut String, path: &str, keys: &[Key]) {
    for key in keys {
        let full = format!("{path}{}", key.name);
        let (default, bounds) = (default(key), bounds(&key.kind));
        let applies = match key.change {
            Change::Live => "live | ",
            Change::Restart => "restart | ",
            Change::Never => "",
        };
        let _ = writeln!(text, "| `{full}` | {default} | {bounds} | {applies}{} |", key.doc);
        match key.kind {
            Kind::Block(keys) | Kind::OptionalBlock(keys) | Kind::WordOr(_, keys) => {
                rows(text, &format!("{full}."), keys);
            }
            Kind::Blocks(keys) | Kind::OptionalBlocks(keys) => rows(text, &format!("{full}[]."), keys),
            Kind::NamedBlocks(keys) => rows(text, &format!("{full}.NAME."), keys),
            _ => {}
        }
    }
}

fn default(key: &Key) -> String {
    let shown = match key.kind {
        _ if key.required() => return "*required*".to_owned(),
        Kind::Text { need: Need::Default(""), .. } => return "empty".to_owned(),
        Kind::Text { need: Need::Default(text), .. } => text.to_owned(),
        Kind::Choice { default, .. } | Kind::Statuses { default, .. } => default.to_owned(),
        Kind::Flag { default } => default.to_string(),
        Kind::Count { default, .. } => default.to_string(),
        Kind::Share { default } => default.to_string(),
        Kind::Duration { default, .. } => show_duration(default),
        Kind::Size { default, .. } => show_size(default),
        Kind::WordOr(words, _) => words[0].to_owned(),
        Kind::Texts { .. } | Kind::Words { .. } | Kind::Headers | Kind::SecretHeaders | Kind::Members => {
            return "none".to_owned();
        }
        Kind::Text { .. } | Kind::OptionalSecret | Kind::OptionalBlock(_) | Kind::OptionalBlocks(_) => {
            return "absent".to_owned();
        }
        Kind::Secret | Kind::Block(_) | Kind::Blocks(_) | Kind::NamedBlocks(_) => return String::new(),
    };
    format!("`{shown}`")
}

fn bounds(kind: &Kind) -> String {
    let list = |words: &[&str]| words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    match kind {
        Kind::Text { like, .. } => format!("text such as `{like}`"),
        Kind::Choice { words, .. } => list(words),
        Kind::Flag { .. } => list(&["true", "false"]),
        Kind::Count { min, max, .. } => format!("{min} to {max}"),
        Kind::Share { .. } => "0 to 1".to_owned(),
        Kind::Duration { min, max, .. } => format!("{} to {}", show_duration(*min), show_duration(*max)),
        Kind::Size { min, max, .. } => format!("{} to {}", show_size(*min), show_size(*max)),
        Kind::Texts { like } => format!("a list such as `[\"{like}\"]`"),
        Kind::Words { words } => format!("any of {}", list(words)),
        Kind::Statuses { min, max, .. } => format!("a status, a range or a list of them, {min} to {max}"),
        Kind::Headers => "names and values".to_owned(),
        Kind::Members => "paths and values".to_owned(),
        Kind::Secret | Kind::OptionalSecret => "`{file: F}` or `{env: V}`".to_owned(),
        Kind::SecretHeaders => "names and `{file: F}`, `{env: V}` or text".to_owned(),
        Kind::WordOr(words, _) => format!("{}, or a block", list(words)),
        Kind::Block(_) | Kind::OptionalBlock(_) => "a block".to_owned(),
        Kind::Blocks(_) | Kind::OptionalBlocks(_) => "a list of blocks".to_owned(),
        Kind::NamedBlocks(_) => "blocks by name".to_owned(),
    }
}
