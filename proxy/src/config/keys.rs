//! What a key is: its kind with default and bounds, whether a reload applies it, and what it is for.
//!
//! Every key is declared once, in [`table`], [`listener`], [`process`] and [`quota`], or in [`scenario`] for the files of `simulate`. The reader, the suggestions for unknown keys and the JSON Schema
//! all come from there.

mod listener;
mod process;
mod quota;
pub(super) mod scenario;
pub(super) mod table;

use std::time::Duration;

/// One key of a block.
#[derive(Debug)]
pub(super) struct Key {
    /// As it is written.
    pub(super) name: &'static str,
    /// What may stand there.
    pub(super) kind: Kind,
    /// When a change of it applies.
    pub(super) change: Change,
    /// What it is for: one sentence.
    pub(super) doc: &'static str,
}

/// When a change of a key applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// With the next reload.
    Live,
    /// With the next start.
    Restart,
    /// It is no setting of a running proxy.
    Never,
}

/// What may stand at a key; the default is part of it, so that no key has two.
#[derive(Debug)]
pub(super) enum Kind {
    /// Free text whose form the resolver checks; `like` shows it.
    Text { need: Need, like: &'static str },
    /// One of these words; the first is the default unless another is named.
    Choice { words: &'static [&'static str], default: &'static str },
    /// True or false.
    Flag { default: bool },
    /// A whole number.
    Count { default: u32, min: u32, max: u32 },
    /// A share between 0 and 1.
    Share { default: f64 },
    /// A time with its unit.
    Duration { default: Duration, min: Duration, max: Duration },
    /// Bytes with their unit.
    Size { default: u64, min: u64, max: u64 },
    /// A list of texts; empty by default.
    Texts { like: &'static str },
    /// Any of these words; empty by default.
    Words { words: &'static [&'static str] },
    /// An HTTP status, a range of them such as `200-299`, or a list of both.
    Statuses { default: &'static str, min: u16, max: u16 },
    /// Header names and their values; empty by default.
    Headers,
    /// Members of a JSON document by their path, and the values they must have; empty by default.
    Members,
    /// A secret that must stand, by where it is.
    Secret,
    /// One that may be absent.
    OptionalSecret,
    /// Header names and their values, each a secret or, where the name promises none, text; empty by default.
    SecretHeaders,
    /// One of these words, or the block instead; the first word is the default.
    WordOr(&'static [&'static str], &'static [Key]),
    /// A block; every key in it has its default when it is absent.
    Block(&'static [Key]),
    /// A block whose absence means something.
    OptionalBlock(&'static [Key]),
    /// A list of blocks with at least one.
    Blocks(&'static [Key]),
    /// The same; absent is an empty one.
    OptionalBlocks(&'static [Key]),
    /// Blocks by name, at least one.
    NamedBlocks(&'static [Key]),
}

/// What a missing text means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// A mistake.
    Required,
    /// Nothing is said.
    Optional,
    /// This.
    Default(&'static str),
}

impl Key {
    /// It must stand in its block.
    pub(super) const fn required(&self) -> bool {
        let text = matches!(self.kind, Kind::Text { need: Need::Required, .. });
        text || matches!(self.kind, Kind::Secret | Kind::Blocks(_) | Kind::NamedBlocks(_))
    }
}
