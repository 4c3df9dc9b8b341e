//! Every key with a print of what it is set to, so that two configurations can be compared, also by who must see
//! neither: a print of a secret is one of where it stands, never of what it is.

use super::block::join;
use super::keys::{Change, Key, Kind, Need, table};
use super::raw::{Entry, Node, Value};
use super::units;
use aorta_core::balance::ring_hash;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The keys of a configuration, those that take their default too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings(BTreeMap<String, Setting>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Setting {
    print: u64,
    /// A change of it waits for a restart.
    waits: bool,
}

/// A way in which one configuration is not another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Difference {
    /// It stands in the new one only.
    Appears(String),
    /// It stood in the old one only.
    Vanishes(String),
    /// It is set to something else.
    Changes(String),
}

impl Difference {
    /// What is different, as `pools.records.upstreams[ohio].url`.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Self::Appears(key) | Self::Vanishes(key) | Self::Changes(key) => key,
        }
    }
}

impl Settings {
    /// Of a file that was found good.
    pub(super) fn of(node: &Node) -> Self {
        let mut settings = Self::default();
        settings.walk(Some(node), "", &table::ROOT);
        settings
    }

    /// Each key with its print.
    pub fn prints(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(key, setting)| (key.as_str(), setting.print))
    }

    /// From these, each with its print, to this; of what is new or gone as a whole no parts are named.
    #[must_use]
    pub fn differ_from(&self, old: &BTreeMap<String, u64>) -> Vec<Difference> {
        let mut differences = Vec::new();
        for (key, setting) in &self.0 {
            match old.get(key) {
                None => differences.push(Difference::Appears(key.clone())),
                Some(print) if *print != setting.print => differences.push(Difference::Changes(key.clone())),
                Some(_) => {}
            }
        }
        let gone = old.keys().filter(|key| !self.0.contains_key(*key));
        differences.extend(gone.cloned().map(Difference::Vanishes));
        without_parts(differences)
    }

    /// The keys that this sets otherwise than what the process started with, and that wait for a restart.
    #[must_use]
    pub fn waiting(&self, started: &Self) -> Vec<String> {
        let prints = started.prints().map(|(key, print)| (key.to_owned(), print)).collect();
        let waits = |difference: &Difference| {
            let key = difference.key();
            self.0.get(key).or_else(|| started.0.get(key)).is_some_and(|setting| setting.waits)
        };
        let waiting = self.differ_from(&prints).into_iter().filter(waits);
        waiting.map(|difference| difference.key().to_owned()).collect()
    }

    /// Whether a change of this key waits for a restart.
    #[must_use]
    pub fn waits(&self, key: &str) -> Option<bool> {
        self.0.get(key).map(|setting| setting.waits)
    }

    fn walk(&mut self, node: Option<&Node>, path: &str, keys: &'static [Key]) {
        for key in keys {
            let value = node.and_then(|node| entry(node, key.name));
            self.take(key, value, &join(path, key.name));
        }
    }

    fn take(&mut self, key: &Key, value: Option<&Node>, path: &str) {
        match (&key.kind, value) {
            (Kind::Block(keys), _) => self.walk(value, path, keys),
            (Kind::OptionalBlock(_), None) => {}
            (Kind::OptionalBlock(keys), Some(_)) => self.open(key, value, path, keys),
            (Kind::WordOr(_, keys), Some(Node { value: Value::Map(_), .. })) => {
                self.open(key, value, path, keys);
            }
            (Kind::Blocks(keys) | Kind::OptionalBlocks(keys), _) => {
                let Some(Node { value: Value::List(items), .. }) = value else { return };
                for (index, item) in items.iter().enumerate() {
                    let name = ["name", "address"].iter().find_map(|name| text_of(item, name));
                    let name = name.map_or_else(|| index.to_string(), ToOwned::to_owned);
                    self.open(key, Some(item), &format!("{path}[{name}]"), keys);
                }
            }
            (Kind::NamedBlocks(keys), Some(Node { value: Value::Map(entries), .. })) => {
                for Entry { key: name, node, .. } in entries {
                    self.open(key, Some(node), &join(path, name), keys);
                }
            }
            (kind, value) => self.set(path, &canonical(kind, value), key),
        }
    }

    /// A block that need not be there: that it is says something by itself.
    fn open(&mut self, key: &Key, node: Option<&Node>, path: &str, keys: &'static [Key]) {
        self.set(path, "", key);
        self.walk(node, path, keys);
    }

    fn set(&mut self, path: &str, canonical: &str, key: &Key) {
        let setting = Setting { print: ring_hash::hash(canonical), waits: key.change == Change::Restart };
        self.0.insert(path.to_owned(), setting);
    }
}

/// Whoever appears or vanishes does so with all below it.
fn without_parts(mut differences: Vec<Difference>) -> Vec<Difference> {
    differences.sort_by(|one, other| one.key().cmp(other.key()));
    let mut whole: Option<String> = None;
    differences.retain(|difference| {
        let key = difference.key();
        let is_part = whole.as_ref().is_some_and(|whole| {
            key.strip_prefix(whole.as_str()).is_some_and(|rest| rest.starts_with(['.', '[']))
        });
        if !is_part && !matches!(difference, Difference::Changes(_)) {
            whole = Some(key.to_owned());
        }
        !is_part
    });
    differences
}

/// The same text for the same setting, however it is written.
fn canonical(kind: &Kind, value: Option<&Node>) -> String {
    match (kind, value.map(|node| &node.value)) {
        (Kind::Duration { default, .. }, None) => default.as_micros().to_string(),
        (Kind::Duration { .. }, Some(Value::Text(text))) => {
            units::duration(text).map(|span| span.as_micros().to_string()).unwrap_or_default()
        }
        (Kind::Size { default, .. }, None) => default.to_string(),
        (Kind::Size { .. }, Some(Value::Text(text))) => {
            units::size(text).map(|bytes| bytes.to_string()).unwrap_or_default()
        }
        (Kind::Count { default, .. }, None) => default.to_string(),
        (Kind::Flag { default }, None) => default.to_string(),
        (Kind::Share { default }, None) => default.to_string(),
        (Kind::Choice { default, .. } | Kind::Text { need: Need::Default(default), .. }, None) => {
            (*default).to_owned()
        }
        (Kind::WordOr(words, _), None) => words.first().copied().unwrap_or_default().to_owned(),
        (Kind::Statuses { default, .. }, None) => (*default).to_owned(),
        (_, None) => String::new(),
        (_, Some(value)) => {
            let mut text = String::new();
            write_value(value, &mut text);
            text
        }
    }
}

fn write_value(value: &Value, text: &mut String) {
    let _ = match value {
        Value::Null => Ok(()),
        Value::Flag(flag) => write!(text, "{flag}"),
        Value::Integer(number) => write!(text, "{number}"),
        Value::Number(number) => write!(text, "{number}"),
        Value::Text(word) => write!(text, "{word}"),
        Value::List(items) => {
            for item in items {
                write_value(&item.value, text);
                text.push('\n');
            }
            Ok(())
        }
        Value::Map(entries) => {
            for entry in entries {
                let _ = write!(text, "{}: ", entry.key);
                write_value(&entry.node.value, text);
                text.push('\n');
            }
            Ok(())
        }
    };
}

fn entry<'n>(node: &'n Node, name: &str) -> Option<&'n Node> {
    let Value::Map(entries) = &node.value else { return None };
    entries.iter().find(|entry| entry.key == name).map(|entry| &entry.node)
}

fn text_of<'n>(node: &'n Node, name: &str) -> Option<&'n str> {
    match entry(node, name).map(|node| &node.value) {
        Some(Value::Text(text)) => Some(text),
        _ => None,
    }
}
