//! The line and column of a key or its value.
//!
//! The YAML library tells positions only in errors. So the text is walked again along the path and an error is raised
//! on purpose at the target: its location is the answer.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::node::Key;
use super::problem::Place;

/// Which part of an entry is looked for.
#[derive(Clone, Copy)]
pub(super) struct Target {
    key: bool,
    earlier: usize,
}

impl Target {
    /// The value of the entry.
    pub(super) fn value() -> Self {
        Self { key: false, earlier: 0 }
    }

    /// The key itself, after `earlier` entries of the same name.
    pub(super) fn key(earlier: usize) -> Self {
        Self { key: true, earlier }
    }
}

/// Where the target stands in the text; none when the text has no such entry.
pub(super) fn place(text: &str, path: &[String], target: Target) -> Option<Place> {
    let error = Seek { path, target }.deserialize(serde_yaml::Deserializer::from_str(text)).err()?;
    error.location().map(|at| (at.line(), at.column()))
}

struct Seek<'p> {
    path: &'p [String],
    target: Target,
}

fn here<E: Error>() -> E {
    E::custom("here")
}

impl<'de> DeserializeSeed<'de> for Seek<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seek<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the target")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Err(here())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Err(here())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Err(here())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Err(here())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Err(here())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Err(here())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        Err(here())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let Some((wanted, rest)) = self.path.split_first() else { return Err(here()) };
        let last = rest.is_empty();
        let mut to_skip = if last { self.target.earlier } else { 0 };
        let on_key = last && self.target.key;
        while let Some(hit) = entries.next_key_seed(SeekKey { wanted, to_skip: &mut to_skip, on_key })? {
            if hit {
                return entries.next_value_seed(Seek { path: rest, target: self.target });
            }
            entries.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

struct SeekKey<'p> {
    wanted: &'p str,
    to_skip: &'p mut usize,
    on_key: bool,
}

impl<'de> DeserializeSeed<'de> for SeekKey<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        if self.on_key { deserializer.deserialize_any(self) } else { self.compare(deserializer) }
    }
}

impl SeekKey<'_> {
    fn compare<'de, D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        let Key(key) = serde::Deserialize::deserialize(deserializer)?;
        Ok(key == self.wanted)
    }
}

/// Used where the key is the target: only from inside the visit does an error get the key's own position.
impl<'de> Visitor<'de> for SeekKey<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<bool, E> {
        match (key == self.wanted, *self.to_skip) {
            (false, _) => Ok(false),
            (true, 0) => Err(here()),
            (true, _) => {
                *self.to_skip -= 1;
                Ok(false)
            }
        }
    }
}
