//! Ids and version ids: grammars that are checked once.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// A resource's logical id: `[A-Za-z0-9\-.]{1,64}` (<https://hl7.org/fhir/R4/datatypes.html#id>).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(Box<str>);

/// The text is no FHIR id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidId;

impl Id {
    /// The most characters an id may have.
    pub const CHARS_MAX: usize = 64;

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Id {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
        if text.is_empty() || text.len() > Self::CHARS_MAX || !text.bytes().all(allowed) {
            return Err(InvalidId);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An id may lead to a person: what is printed for debugging shows only that there is one.
impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Id(…)")
    }
}

impl fmt::Display for InvalidId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an id has 1 to 64 characters out of A-Z, a-z, 0-9, '-' and '.'")
    }
}

impl std::error::Error for InvalidId {}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// The version of a resource, as this server counts: 1, 2, 3, … A version id of another server need not be a number;
/// such a text names no version here, which is not an error but an absence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VersionId(NonZeroU64);

/// The text is no version that this server could have given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidVersionId;

impl VersionId {
    /// The version a resource starts with.
    pub const FIRST: Self = Self(NonZeroU64::MIN);

    /// A version from its number; `None` for 0, which no version has.
    pub fn new(number: u64) -> Option<Self> {
        NonZeroU64::new(number).map(Self)
    }

    /// The number.
    pub fn number(self) -> u64 {
        self.0.get()
    }

    /// The version after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl FromStr for VersionId {
    type Err = InvalidVersionId;

    fn from_str(text: &str) -> Result<Self, InvalidVersionId> {
        // One spelling for each version: no sign, no leading zero.
        if !text.bytes().all(|byte| byte.is_ascii_digit()) || text.starts_with('0') {
            return Err(InvalidVersionId);
        }
        text.parse().map(Self).map_err(|_| InvalidVersionId)
    }
}

impl fmt::Display for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for InvalidVersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a version of this server: they are counted 1, 2, 3, …")
    }
}

impl std::error::Error for InvalidVersionId {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_keeps_to_the_grammar() {
        for right in ["1", "P123456", "a-b.c", &"x".repeat(64)] {
            assert_eq!(right.parse::<Id>().unwrap().as_str(), right);
        }
        for wrong in ["", &"x".repeat(65), "a b", "a/b", "a_b", "é", "a\0", "..\\", "a%2F"] {
            assert_eq!(wrong.parse::<Id>(), Err(InvalidId), "{wrong:?}");
        }
    }

    #[test]
    fn an_id_does_not_show_itself_in_debug_output() {
        assert_eq!(format!("{:?}", "P123456".parse::<Id>().unwrap()), "Id(…)");
    }

    #[test]
    fn a_version_has_one_spelling() {
        assert_eq!("1".parse::<VersionId>(), Ok(VersionId::FIRST));
        assert_eq!("42".parse::<VersionId>().unwrap().next().to_string(), "43");
        for wrong in ["", "0", "01", "+1", "-1", "1.0", "x", "99999999999999999999999"] {
            assert_eq!(wrong.parse::<VersionId>(), Err(InvalidVersionId), "{wrong:?}");
        }
    }
}
