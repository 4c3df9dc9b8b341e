//! What an operator orders of an upstream.
//!
//! A drained upstream is asked for nothing, whatever happens to the others: it may be switched off at any moment. An
//! ejected one stays what an ejected one always is, the last resort. Neither order may leave fewer than
//! `min_healthy` healthy unless it is forced.

use crate::time::Timestamp;
use std::time::Duration;

/// What longer than this should be out is to be drained.
pub const EJECTION_MAX: Duration = Duration::from_secs(24 * 3600);
/// A reason is a sentence.
pub const REASON_MAX: usize = 200;

/// An order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Take no new request, finish the old ones, and stay so.
    Drain,
    /// Come back from that.
    Undrain,
    /// Be out for so long, then be probed like any ejected one.
    Eject {
        /// How long.
        length: Duration,
    },
    /// Come back now, whatever it was that ejected it.
    Readmit,
}

impl Order {
    /// Every order's name, for zero series at start.
    pub const NAMES: [&'static str; 4] = ["drain", "undrain", "eject", "readmit"];

    /// A stable name for logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Drain => "drain",
            Self::Undrain => "undrain",
            Self::Eject { .. } => "eject",
            Self::Readmit => "readmit",
        }
    }
}

/// Why an order was not carried out: then nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Declined {
    /// There is no such upstream.
    NoSuchUpstream,
    /// It is drained already.
    Drained,
    /// It is not drained.
    NotDrained,
    /// It is not out.
    NotOut,
    /// It would be out for longer than an ejection lasts.
    TooLong,
    /// Fewer would be left than must be.
    TooFewLeft {
        /// Healthy ones beside it.
        left: usize,
        /// How many there must be.
        needed: usize,
    },
}

/// An order that was carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ordered {
    /// What.
    pub order: Order,
    /// It was not kept from leaving too few.
    pub forced: bool,
    /// By whom, and why.
    pub note: Note,
}

/// Who gave an order, and why: for people, never for decisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    by: String,
    why: String,
    at: Timestamp,
}

/// This is no reason that can be recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoReason;

impl Note {
    /// A note of this moment.
    ///
    /// # Errors
    /// When the reason is empty, too long, or would not be shown as it was written.
    pub fn try_new(by: &str, why: &str, at: Timestamp) -> Result<Self, NoReason> {
        let why = why.trim();
        let shown = |c: char| !c.is_control() && !is_hidden(c);
        let good = !why.is_empty() && why.chars().count() <= REASON_MAX && why.chars().all(shown);
        good.then(|| Self { by: by.to_owned(), why: why.to_owned(), at }).ok_or(NoReason)
    }

    /// Who.
    #[must_use]
    pub fn by(&self) -> &str {
        &self.by
    }

    /// Why.
    #[must_use]
    pub fn why(&self) -> &str {
        &self.why
    }

    /// When.
    #[must_use]
    pub const fn at(&self) -> Timestamp {
        self.at
    }
}

/// It breaks a line, turns the direction of the text, or takes no room: what is shown is not what was written.
const fn is_hidden(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_a_sentence_that_is_shown_as_it_was_written() {
        let note = |why: &str| Note::try_new("on-call", why, Timestamp::ZERO).map(|note| note.why);
        assert_eq!(note(" patch of Ohio, TICKET-7 "), Ok("patch of Ohio, TICKET-7".to_owned()));
        assert_eq!(note("Wartung: Größe <b>&amp;</b>").unwrap(), "Wartung: Größe <b>&amp;</b>");
        assert!(note(&"ß".repeat(REASON_MAX)).is_ok());
        let long = "x".repeat(REASON_MAX + 1);
        for bad in ["", "  ", "a\nb", "a\u{1b}[31mb", "a\u{202e}b", "a\u{200b}b", "a\u{2028}b", &long] {
            assert_eq!(note(bad), Err(NoReason), "{bad:?}");
        }
    }
}
