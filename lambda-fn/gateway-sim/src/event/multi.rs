//! Names that may come more than once, as the two maps an event has for them.

use std::borrow::Cow;

use serde::ser::{Serialize, SerializeMap, Serializer};

/// Names with all their values, in the order they first came.
#[derive(Debug, Default)]
pub struct Multi<'a>(Vec<(Cow<'a, str>, Vec<Cow<'a, str>>)>);

impl<'a> Multi<'a> {
    /// Whether there is no name at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a value, under the name if it is known.
    pub(super) fn push(&mut self, name: Cow<'a, str>, value: Cow<'a, str>) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) => values.push(value),
            None => self.0.push((name, vec![value])),
        }
    }
}

impl Serialize for Multi<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, values)| (name, values)))
    }
}

/// The same names with their last value only.
pub(super) struct Last<'m, 'a>(pub(super) &'m Multi<'a>);

impl Serialize for Last<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.0.len()))?;
        for (name, values) in &self.0.0 {
            map.serialize_entry(name, &values.last())?;
        }
        map.end()
    }
}
