//! An attempt that lost a race: it is let run on for a while, because a healthy upstream that was merely overtaken
//! must not be blamed, and one that keeps silent must.

use super::Failure;
use crate::classify::{self, AnswerFacts, Class};
use crate::pool::{Choice, Outcome, Pool};
use crate::time::Timestamp;
use crate::upstream::UpstreamKey;
use fastrand::Rng;
use std::time::Duration;

/// A loser that is still out; it must be ended once, or its upstream counts it for ever.
#[derive(Debug)]
#[must_use]
pub struct Straggler {
    pub(super) choice: Choice,
    pub(super) started: Timestamp,
    pub(super) until: Timestamp,
    /// What it means when nothing has come by then.
    pub(super) silence: Class,
    pub(super) client: u64,
}

/// What came of a loser.
#[derive(Clone, Copy, Debug)]
pub enum Came<'a> {
    /// An answer, as far as it is judged.
    Answer(&'a AnswerFacts),
    /// It failed.
    Failed(Failure),
    /// Nothing by [`Straggler::until`], or it had to be given up before.
    Nothing,
}

/// The end of a loser, to be booked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Late {
    /// At which upstream of the pool.
    pub upstream: UpstreamKey,
    /// What came of it.
    pub class: Class,
    /// How long it was out.
    pub took: Duration,
}

impl Straggler {
    /// At which upstream of the pool.
    #[must_use]
    pub const fn upstream(&self) -> UpstreamKey {
        self.choice.upstream
    }

    /// From here on its silence is held against its upstream.
    #[must_use]
    pub const fn until(&self) -> Timestamp {
        self.until
    }

    /// Ends it: the upstream is judged by what came.
    pub fn end(self, came: Came<'_>, pool: &mut Pool, now: Timestamp, rng: &mut Rng) -> Late {
        let (class, retry_after) = match came {
            Came::Answer(facts) => (classify::classify(pool.spec().dialect, facts), facts.retry_after),
            Came::Failed(Failure::TimedOut) => (self.silence, None),
            Came::Failed(failure) => (failure.class(), None),
            Came::Nothing if now >= self.until => (self.silence, None),
            // It was given up early: that says nothing.
            Came::Nothing => (Class::ClientFault, None),
        };
        let outcome = Outcome { class, retry_after, client: self.client, wrote: false, heard: None };
        pool.settle(self.choice, outcome, now, rng);
        Late { upstream: self.choice.upstream, class, took: now.since(self.started) }
    }
}
