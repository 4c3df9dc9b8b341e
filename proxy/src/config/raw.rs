//! What the file says: a tree of values, each with its place. The only module that names `serde_yaml`.
//!
//! `serde_yaml` tells a place only with an error. So every scalar is visited by a visitor that keeps the value
//! and then fails: the error carries the place, the walk goes on. One pass finds every place.
//!
//! Nothing is interpreted here, and no map loses a duplicate key. What would take unbounded time or memory
//! (deep nesting, aliases that multiply) is refused.

mod explain;

use self::explain::{LONG_KEY, TAG, TOO_MUCH, explain, own, problem};
use super::problem::{At, Problem};
use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer, EnumAccess, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::cell::{Cell, RefCell};
use std::fmt;

/// Values a file may hold: a thousand upstreams with every key take a tenth of it.
const VALUES_MAX: usize = 250_000;
/// Bytes of text that all values may hold together; only aliases can make it more than the file.
const TEXT_MAX: usize = 16 << 20;
/// A longer key is no key of ours, and would be copied into every place below it.
const KEY_MAX: usize = 256;
/// Open brackets: the scanner's time grows with their number at every token.
const BRACKETS_MAX: usize = 128;

/// A value and its place.
pub(super) struct Node {
    /// A scalar's own place; a collection's is its key, or its first value.
    pub(super) at: At,
    pub(super) value: Value,
}

/// What stands there.
pub(super) enum Value {
    Null,
    Flag(bool),
    Integer(i128),
    Number(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key of a map, with its own place.
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) at: At,
    pub(super) node: Node,
}

impl Value {
    /// What kind of thing it is, never what it says: it may be a secret in the wrong place.
    pub(super) const fn what(&self) -> &'static str {
        match self {
            Self::Null => "empty",
            Self::Flag(_) => "true or false",
            Self::Integer(_) | Self::Number(_) => "a number",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

/// Reads the tree of a file that must hold at least what `least` says.
///
/// # Errors
/// The first thing that is not YAML, or that would be too much of it.
pub(super) fn read(text: &str, least: &'static str) -> Result<Node, Problem> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if let Some(at) = too_many_brackets(text) {
        let wrong = format!("more than {BRACKETS_MAX} brackets are open");
        return Err(problem(at, wrong, "close them, or write nested blocks by indentation"));
    }
    let walk = Walk::default();
    let mut documents = serde_yaml::Deserializer::from_str(text);
    let first = documents.next().map(|document| Seed { walk: &walk }.deserialize(document));
    let node = match first.transpose().map_err(|error| explain(&error))? {
        None | Some(Node { value: Value::Null, .. }) => {
            return Err(problem(At::START, "the file is empty".to_owned(), least));
        }
        Some(node) => node,
    };
    let Some(second) = documents.next() else { return Ok(node) };
    // What follows a broken end of the first document looks like a second one.
    IgnoredAny::deserialize(second).map_err(|error| explain(&error))?;
    let right = "keep one configuration in a file, without `---` between";
    Err(problem(At::START, "the file holds more than one YAML document".to_owned(), right))
}

fn too_many_brackets(text: &str) -> Option<At> {
    let mut open = 0_usize;
    for (line, content) in text.lines().enumerate() {
        let mut before = ' ';
        for (column, c) in content.chars().enumerate() {
            match c {
                '#' if before.is_whitespace() => break,
                '[' | '{' => open += 1,
                ']' | '}' => open = open.saturating_sub(1),
                _ => {}
            }
            before = c;
            if open > BRACKETS_MAX {
                return Some(At { line: line + 1, column: column + 1 });
            }
        }
    }
    None
}

/// What the whole walk counts.
#[derive(Default)]
struct Walk {
    values: Cell<usize>,
    text: Cell<usize>,
}

impl Walk {
    fn count<E: de::Error>(&self, text: usize) -> Result<(), E> {
        self.values.set(self.values.get() + 1);
        self.text.set(self.text.get() + text);
        let fits = self.values.get() <= VALUES_MAX && self.text.get() <= TEXT_MAX;
        if fits { Ok(()) } else { Err(own(TOO_MUCH)) }
    }
}

/// Reads one value with its place.
struct Seed<'w> {
    walk: &'w Walk,
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        let kept = RefCell::new(None);
        match deserializer.deserialize_any(Keep { walk: self.walk, longest: TEXT_MAX, kept: &kept }) {
            Ok(value) => Ok(Node { at: first_place(&value), value }),
            Err(error) => match kept.take() {
                Some(value) => Ok(Node { at: place(&error), value }),
                None => Err(error),
            },
        }
    }
}

/// Reads one key with its place.
struct KeySeed<'w> {
    walk: &'w Walk,
}

impl<'de> DeserializeSeed<'de> for KeySeed<'_> {
    type Value = (String, At);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(String, At), D::Error> {
        let kept = RefCell::new(None);
        match deserializer.deserialize_str(Keep { walk: self.walk, longest: KEY_MAX, kept: &kept }) {
            Err(error) => match kept.take() {
                Some(Value::Text(key)) => Ok((key, place(&error))),
                _ => Err(error),
            },
            // Unreachable: a visited text always fails.
            Ok(_) => Err(own(LONG_KEY)),
        }
    }
}

/// The place of an error, from the end of its text: the error's type is not ours to ask. None is the start.
fn place(error: &impl fmt::Display) -> At {
    let said = error.to_string();
    let parsed = said.rsplit_once(" at line ").and_then(|(_, place)| {
        let (line, column) = place.split_once(" column ")?;
        Some(At { line: line.parse().ok()?, column: column.parse().ok()? })
    });
    parsed.unwrap_or(At::START)
}

fn first_place(value: &Value) -> At {
    match value {
        Value::List(items) => items.first().map_or(At::START, |item| item.at),
        Value::Map(entries) => entries.first().map_or(At::START, |entry| entry.at),
        _ => At::START,
    }
}

/// Collections become values; a scalar is kept, and the visit fails to learn its place.
struct Keep<'w> {
    walk: &'w Walk,
    /// Bytes a text may have.
    longest: usize,
    kept: &'w RefCell<Option<Value>>,
}

impl Keep<'_> {
    fn keep<E: de::Error>(&self, value: Value) -> Result<Value, E> {
        let length = if let Value::Text(text) = &value { text.len() } else { 0 };
        if length > self.longest {
            return Err(own(LONG_KEY));
        }
        self.walk.count::<E>(length)?;
        self.kept.replace(Some(value));
        Err(E::custom(""))
    }
}

impl<'de> Visitor<'de> for Keep<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a plain value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        self.keep(Value::Null)
    }

    fn visit_none<E: de::Error>(self) -> Result<Value, E> {
        self.keep(Value::Null)
    }

    fn visit_bool<E: de::Error>(self, flag: bool) -> Result<Value, E> {
        self.keep(Value::Flag(flag))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Value, E> {
        self.keep(Value::Integer(number.into()))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Value, E> {
        self.keep(Value::Integer(number.into()))
    }

    fn visit_i128<E: de::Error>(self, number: i128) -> Result<Value, E> {
        self.keep(Value::Integer(number))
    }

    fn visit_u128<E: de::Error>(self, number: u128) -> Result<Value, E> {
        self.keep(Value::Integer(i128::try_from(number).unwrap_or(i128::MAX)))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Value, E> {
        self.keep(Value::Number(number))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
        self.keep(Value::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        self.walk.count::<A::Error>(0)?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Seed { walk: self.walk })? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        self.walk.count::<A::Error>(0)?;
        let mut map = Vec::new();
        while let Some((key, at)) = entries.next_key_seed(KeySeed { walk: self.walk })? {
            let mut node = entries.next_value_seed(Seed { walk: self.walk })?;
            if matches!(node.value, Value::List(_) | Value::Map(_) | Value::Null) {
                node.at = at;
            }
            map.push(Entry { key, at, node });
        }
        Ok(Value::Map(map))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, _: A) -> Result<Value, A::Error> {
        Err(own(TAG))
    }
}
