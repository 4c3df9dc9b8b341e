//! Reads a block of the file by the table of its keys: types, bounds, defaults, and every mistake in the report.
//!
//! A reader always returns a value, so that one mistake does not hide the next: the default stands in for
//! what could not be read, and the report says that nothing of it may be used.

mod value;

use super::keys::{Key, Kind};
use super::nearest::nearest;
use super::problem::{At, Report, quoted};
use super::raw::{Entry, Node, Value};

/// A mapping of the file and the keys it may hold.
pub(super) struct Block<'a> {
    /// Its place.
    pub(super) at: At,
    path: String,
    /// It is a mapping, or absent; what is missing in anything else is no mistake of its own.
    sound: bool,
    entries: &'a [Entry],
    keys: &'static [Key],
    report: &'a Report,
}

/// A value of the file with its place and its full key.
pub(super) struct Found<'a> {
    pub(super) at: At,
    pub(super) path: String,
    pub(super) node: Option<&'a Node>,
}

/// A text of the file with its place and its full key.
pub(super) struct Text<'a> {
    pub(super) at: At,
    pub(super) path: String,
    pub(super) text: &'a str,
}

impl<'a> Block<'a> {
    /// The whole file.
    pub(super) fn root(node: &'a Node, keys: &'static [Key], report: &'a Report) -> Self {
        Self::open(node, String::new(), keys, report)
    }

    fn open(node: &'a Node, path: String, keys: &'static [Key], report: &'a Report) -> Self {
        let entries = entries(node, &path, report);
        for entry in entries {
            if !keys.iter().any(|key| key.name == entry.key) {
                let full = join(&path, &entry.key);
                report.add(entry.at, &full, "is an unknown key", suggestion(&entry.key, keys));
            }
        }
        Self { at: node.at, path, sound: matches!(node.value, Value::Map(_)), entries, keys, report }
    }

    fn absent(&self, name: &str, keys: &'static [Key]) -> Self {
        Self { at: self.at, path: self.path_of(name), sound: true, entries: &[], keys, report: self.report }
    }

    /// Where mistakes go.
    pub(super) const fn report(&self) -> &'a Report {
        self.report
    }

    /// The full key of one of its keys.
    pub(super) fn path_of(&self, name: &str) -> String {
        join(&self.path, name)
    }

    /// The place of a key, or the block's own when it is absent.
    pub(super) fn at_of(&self, name: &str) -> At {
        self.entry(name).map_or(self.at, |entry| entry.node.at)
    }

    /// The operator wrote this key.
    pub(super) fn has(&self, name: &str) -> bool {
        self.entry(name).is_some()
    }

    /// Books a mistake at one of its keys.
    pub(super) fn problem(&self, name: &str, wrong: impl Into<String>, right: impl Into<String>) {
        self.report.add(self.at_of(name), &self.path_of(name), wrong, right);
    }

    /// Books that a required key is missing or has nothing below it.
    fn missing(&self, name: &str, right: impl Into<String>) {
        if self.sound {
            self.problem(name, if self.has(name) { "is empty" } else { "is missing" }, right);
        }
    }

    fn entry(&self, name: &str) -> Option<&'a Entry> {
        self.entries.iter().find(|entry| entry.key == name)
    }

    fn key(&self, name: &str) -> &'static Key {
        self.keys.iter().find(|key| key.name == name).expect("every key that is read is declared")
    }

    fn found(&self, name: &str) -> Found<'a> {
        let node = self.entry(name).map(|entry| &entry.node);
        Found { at: self.at_of(name), path: self.path_of(name), node }
    }

    /// A block that is as good absent as empty.
    pub(super) fn block(&self, name: &str) -> Self {
        let Kind::Block(keys) = self.key(name).kind else { unreachable!("{name} is declared a block") };
        match self.entry(name) {
            Some(entry) => Self::open(&entry.node, self.path_of(name), keys, self.report),
            None => self.absent(name, keys),
        }
    }

    /// A block whose absence means something.
    pub(super) fn optional_block(&self, name: &str) -> Option<Self> {
        let Kind::OptionalBlock(keys) = self.key(name).kind else {
            unreachable!("{name} is declared optional")
        };
        self.entry(name).map(|entry| Self::open(&entry.node, self.path_of(name), keys, self.report))
    }

    /// One of the declared words, or the block that may stand instead.
    pub(super) fn word_or(&self, name: &str) -> Result<&'static str, Self> {
        let Kind::WordOr(words, keys) = self.key(name).kind else {
            unreachable!("{name} is declared a word or block")
        };
        let default = words.first().copied().unwrap_or_default();
        match self.entry(name).map(|entry| &entry.node) {
            None => Ok(default),
            Some(node @ Node { value: Value::Map(_), .. }) => {
                Err(Self::open(node, self.path_of(name), keys, self.report))
            }
            Some(node) => Ok(self.one_word(name, &node.value, words).unwrap_or(default)),
        }
    }

    /// A list of blocks; an empty one is a mistake, and so is none unless the table says that it may be absent.
    pub(super) fn blocks(&self, name: &str) -> Vec<Self> {
        let (keys, may_be_absent) = match self.key(name).kind {
            Kind::Blocks(keys) => (keys, false),
            Kind::OptionalBlocks(keys) => (keys, true),
            _ => unreachable!("{name} is declared a list of blocks"),
        };
        let items = match self.entry(name).map(|entry| &entry.node) {
            None if may_be_absent => return Vec::new(),
            None => &[],
            Some(Node { value: Value::List(items), .. }) => items.as_slice(),
            Some(node) => {
                let wrong = format!("is {}", node.value.what());
                self.problem(name, wrong, "write a list, each item after `- `");
                return Vec::new();
            }
        };
        if items.is_empty() {
            let right = if may_be_absent {
                "remove it, or list at least one".to_owned()
            } else {
                format!("list at least one, with {}", required_keys(keys))
            };
            self.missing(name, right);
        }
        let open = |(i, item): (usize, &'a Node)| {
            Self::open(item, format!("{}[{i}]", self.path_of(name)), keys, self.report)
        };
        items.iter().enumerate().map(open).collect()
    }

    /// Blocks by name; none at all is a mistake.
    pub(super) fn named_blocks(&self, name: &str) -> Vec<(Text<'a>, Self)> {
        let Kind::NamedBlocks(keys) = self.key(name).kind else { unreachable!("{name} is declared named") };
        let path = self.path_of(name);
        let named = self.entry(name).map_or(&[][..], |entry| entries(&entry.node, &path, self.report));
        let is_map = self.entry(name).is_none_or(|entry| matches!(entry.node.value, Value::Map(_)));
        if named.is_empty() && is_map {
            let right = match required_keys(keys) {
                none if none.is_empty() => "name at least one, such as `NAME: {}`".to_owned(),
                required => format!("name at least one, with {required}"),
            };
            self.missing(name, right);
        }
        let open = |entry: &'a Entry| {
            let path = join(&path, &entry.key);
            let text = Text { at: entry.at, path: path.clone(), text: &entry.key };
            (text, Self::open(&entry.node, path, keys, self.report))
        };
        named.iter().map(open).collect()
    }

    /// Where a secret is, as written; none when it is missing, which is a mistake where it must stand.
    pub(super) fn secret_entry(&self, name: &str) -> Option<(Text<'a>, &'a Node)> {
        let Some(entry) = self.entry(name) else {
            if self.key(name).required() {
                self.missing(name, "write `{env: VARIABLE}` or `{file: PATH}`");
            }
            return None;
        };
        Some((Text { at: entry.node.at, path: self.path_of(name), text: "" }, &entry.node))
    }

    /// Header names and what stands there, as written.
    pub(super) fn header_entries(&self, name: &str) -> Vec<(Text<'a>, &'a Node)> {
        let path = self.path_of(name);
        let named = self.entry(name).map_or(&[][..], |entry| entries(&entry.node, &path, self.report));
        let pair = |entry: &'a Entry| {
            (Text { at: entry.at, path: join(&path, &entry.key), text: &entry.key }, &entry.node)
        };
        named.iter().map(pair).collect()
    }
}

/// The entries of a mapping; each key once.
pub(super) fn entries<'a>(node: &'a Node, path: &str, report: &Report) -> &'a [Entry] {
    let Value::Map(entries) = &node.value else {
        let wrong = format!("is {}", node.value.what());
        let right = match node.value {
            Value::Null => "remove the key, or indent its keys below it",
            _ => "write a mapping: `key: value` lines, indented below it",
        };
        report.add(node.at, path, if path.is_empty() { format!("the file {wrong}") } else { wrong }, right);
        return &[];
    };
    let mut seen = std::collections::HashMap::new();
    for entry in entries {
        if let Some(first) = seen.insert(entry.key.as_str(), entry.at) {
            let wrong = format!("stands twice, first in line {}", first.line);
            report.add(entry.at, &join(path, &entry.key), wrong, "keep one of them");
        }
    }
    entries
}

/// A key below another, escaped where it would break the line.
pub(super) fn join(path: &str, name: &str) -> String {
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
    let name = if plain && !name.is_empty() { name.to_owned() } else { quoted(name) };
    if path.is_empty() { name } else { format!("{path}.{name}") }
}

fn suggestion(word: &str, keys: &'static [Key]) -> String {
    match nearest(word, keys.iter().map(|key| key.name)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known here: {}", keys.iter().map(|key| key.name).collect::<Vec<_>>().join(", ")),
    }
}

fn required_keys(keys: &[Key]) -> String {
    let names: Vec<_> =
        keys.iter().filter(|key| key.required()).map(|key| format!("`{}`", key.name)).collect();
    names.join(" and ")
}
