//! What is booked when an exchange closes: facts, from which metrics, the access line and explanations follow.

use crate::chronicle::Heard;
use crate::classify::Class;
use crate::pool::{Passed, Tier};
use crate::retry::{ATTEMPTS_CEILING, Denial};
use crate::time::Timestamp;
use crate::upstream::UpstreamKey;
use crate::verdict::Refusal;
use std::fmt;
use std::time::Duration;

/// One try at one upstream, as it went.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AttemptRecord {
    /// At which upstream of the pool.
    pub upstream: UpstreamKey,
    /// Why this upstream was taken.
    pub tier: Tier,
    /// What came of it; meaningful once it ended.
    pub class: Class,
    /// When it was chosen.
    pub started: Timestamp,
    /// When it was judged.
    pub ended: Timestamp,
    /// It is a retry that the budget paid for.
    pub paid: bool,
    /// It went out beside a late one.
    pub hedge: bool,
    /// It met a fault that a drill made.
    pub drilled: bool,
    /// What was answered, where something was.
    pub heard: Option<Heard>,
    /// Whom it did not go to, and why.
    pub passed: Passed,
}

impl fmt::Debug for AttemptRecord {
    /// Without what is only told to people: nothing decides by it, and a tape that is decided again does not know it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { upstream, tier, class, started, ended, paid, hedge, drilled, heard: _, passed: _ } = self;
        f.debug_struct("AttemptRecord")
            .field("upstream", upstream)
            .field("tier", tier)
            .field("class", class)
            .field("started", started)
            .field("ended", ended)
            .field("paid", paid)
            .field("hedge", hedge)
            .field("drilled", drilled)
            .finish()
    }
}

impl AttemptRecord {
    /// How long it took until it was judged.
    #[must_use]
    pub const fn took(&self) -> Duration {
        self.ended.since(self.started)
    }
}

/// The attempts of one exchange, in order; it cannot outgrow [`ATTEMPTS_CEILING`].
#[derive(Clone, Default)]
pub struct Attempts {
    list: [Option<AttemptRecord>; ATTEMPTS_CEILING],
    upstreams: [UpstreamKey; ATTEMPTS_CEILING],
    made: usize,
    decided: usize,
}

impl fmt::Debug for Attempts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl Attempts {
    /// How many were made.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.made
    }

    /// None was made.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.made == 0
    }

    /// The attempts, first to last.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &AttemptRecord> {
        self.list.iter().flatten()
    }

    /// The upstreams asked so far, in order.
    #[must_use]
    pub fn upstreams(&self) -> &[UpstreamKey] {
        &self.upstreams[..self.made]
    }

    /// The last attempt.
    #[must_use]
    pub fn last(&self) -> Option<&AttemptRecord> {
        self.made.checked_sub(1).and_then(|index| self.list[index].as_ref())
    }

    pub(crate) fn push(&mut self, record: AttemptRecord) -> bool {
        let Some(slot) = self.list.get_mut(self.made) else { return false };
        *slot = Some(record);
        self.upstreams[self.made] = record.upstream;
        self.made += 1;
        true
    }

    /// The attempt whose end decided what the client got; the last one while nothing is decided.
    #[must_use]
    pub fn deciding(&self) -> Option<&AttemptRecord> {
        self.get(self.decided).or_else(|| self.last())
    }

    pub(crate) fn get(&self, number: usize) -> Option<&AttemptRecord> {
        number.checked_sub(1).and_then(|index| self.list.get(index)).and_then(Option::as_ref)
    }

    /// What was answered to the attempt of this number.
    pub(crate) fn hear(&mut self, number: usize, heard: Heard) {
        let held = number.checked_sub(1).and_then(|index| self.list.get_mut(index));
        if let Some(record) = held.and_then(Option::as_mut) {
            record.heard = Some(heard);
        }
    }

    pub(crate) fn end(&mut self, number: usize, class: Class, now: Timestamp) {
        let held = number.checked_sub(1).and_then(|index| self.list.get_mut(index));
        if let Some(record) = held.and_then(Option::as_mut) {
            record.class = class;
            record.ended = now;
        }
        // Only what was judged decides; a loser of a race does not.
        if !matches!(class, Class::Overtaken | Class::Moved) {
            self.decided = number;
        }
    }
}

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// An upstream's answer went to the client, whole.
    Delivered,
    /// Aorta answered.
    Refused(Refusal),
    /// The answer broke off after its head had gone to the client.
    BrokeOff,
    /// The client went away first.
    Abandoned,
}

/// The sum of an exchange.
#[derive(Clone, Debug)]
pub struct Receipt {
    /// How it ended.
    pub end: End,
    /// Every attempt.
    pub attempts: Attempts,
    /// Why the last failed attempt was not followed by another, when that was so.
    pub denial: Option<Denial>,
    /// Why nobody was chosen at the last choice, when that was so.
    pub passed: Passed,
}

/// An exchange in one word: what the client felt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Felt {
    /// The first attempt served it.
    Ok,
    /// A later attempt served it.
    Rescued,
    /// Nobody served it.
    Failed,
    /// The client's own mistake.
    Rejected,
    /// The client went away.
    Abandoned,
}

impl Felt {
    /// Every word, for zero series at start.
    pub const ALL: [Self; 5] = [Self::Ok, Self::Rescued, Self::Failed, Self::Rejected, Self::Abandoned];

    /// A stable name for logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Rescued => "rescued",
            Self::Failed => "failed",
            Self::Rejected => "rejected",
            Self::Abandoned => "abandoned",
        }
    }
}

impl Receipt {
    /// The receipt of a request that never reached a pool.
    #[must_use]
    pub fn refused(refusal: Refusal) -> Self {
        Self {
            end: End::Refused(refusal),
            attempts: Attempts::default(),
            denial: None,
            passed: Passed::default(),
        }
    }

    /// Why Aorta answered itself, where it did.
    #[must_use]
    pub const fn refusal(&self) -> Option<Refusal> {
        match self.end {
            End::Refused(refusal) => Some(refusal),
            End::Delivered | End::BrokeOff | End::Abandoned => None,
        }
    }

    /// What the client felt.
    #[must_use]
    pub fn felt(&self) -> Felt {
        match self.end {
            End::Abandoned => Felt::Abandoned,
            End::BrokeOff => Felt::Failed,
            End::Refused(refusal) if refusal.is_clients_fault() => Felt::Rejected,
            End::Refused(_) => Felt::Failed,
            End::Delivered => match self.attempts.deciding() {
                Some(deciding) if deciding.class != Class::Answered => Felt::Failed,
                _ if self.attempts.decided > 1 => Felt::Rescued,
                _ => Felt::Ok,
            },
        }
    }
}
