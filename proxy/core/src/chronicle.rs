//! What an upstream's attempts came to lately: for people who ask why, never for decisions.

use crate::classify::Class;
use crate::pool::Tier;
use crate::time::Timestamp;
use std::num::NonZeroU128;
use std::time::Duration;

/// Attempts that are remembered: more than any default of a threshold needs to be understood.
pub const REMEMBERED: usize = 20;

/// An answer as people know it: what they find again at the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Its status.
    pub status: u16,
    /// What its gateway calls the request, a UUID; none where it said none.
    pub request_id: Option<NonZeroU128>,
}

/// One attempt, judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Noted {
    /// When it was judged.
    pub at: Timestamp,
    /// What came of it, as the upstream's health saw it: what proves nothing stands as the client's fault.
    pub class: Class,
    /// Why this upstream was asked.
    pub tier: Tier,
    /// How long it took; none where its answer streamed.
    pub took: Option<Duration>,
    /// It began after the upstream's health last changed; otherwise it says nothing any more.
    pub counts: bool,
    /// What was answered; none where nothing was, or it came when a race was lost.
    pub heard: Option<Heard>,
}

/// An upstream's last attempts, and those before its health was last put in question.
#[derive(Clone, Debug, Default)]
pub struct Chronicle {
    recent: Ring,
    deciding: Ring,
}

#[derive(Clone, Debug, Default)]
struct Ring {
    noted: [Option<Noted>; REMEMBERED],
    next: usize,
}

impl Ring {
    const fn push(&mut self, noted: Noted) {
        self.noted[self.next] = Some(noted);
        self.next = (self.next + 1) % REMEMBERED;
    }

    fn iter(&self) -> impl Iterator<Item = &Noted> {
        let (newer, older) = self.noted.split_at(self.next);
        older.iter().chain(newer).flatten()
    }
}

impl Chronicle {
    /// The last attempts, oldest first.
    pub fn recent(&self) -> impl Iterator<Item = &Noted> {
        self.recent.iter()
    }

    /// The attempts up to the one that last put it out, or would have; oldest first.
    pub fn deciding(&self) -> impl Iterator<Item = &Noted> {
        self.deciding.iter()
    }

    pub(crate) const fn note(&mut self, noted: Noted) {
        self.recent.push(noted);
    }

    /// What is remembered now has decided something.
    pub(crate) fn decide(&mut self) {
        self.deciding = self.recent.clone();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(micros: u64) -> Noted {
        let (class, tier) = (Class::Answered, Tier::Rotation);
        Noted { at: Timestamp::from_micros(micros), class, tier, took: None, counts: true, heard: None }
    }

    #[test]
    fn the_last_twenty_are_remembered_in_order_and_what_decided_stays() {
        let mut chronicle = Chronicle::default();
        (0..25).for_each(|micros| chronicle.note(noted(micros)));
        chronicle.decide();
        (25..60).for_each(|micros| chronicle.note(noted(micros)));
        let times = |ring: &mut dyn Iterator<Item = &Noted>| -> Vec<_> {
            ring.map(|noted| noted.at.as_micros()).collect()
        };
        assert_eq!(times(&mut chronicle.deciding()), (5..25).collect::<Vec<_>>());
        assert_eq!(times(&mut chronicle.recent()), (40..60).collect::<Vec<_>>());
    }
}
