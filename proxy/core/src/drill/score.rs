//! What came of a drill, beside what was before it.

use super::{Ticket, Took};
use crate::receipt::Felt;
use crate::time::Timestamp;
use std::time::Duration;

/// So many failed requests more than before are bad luck; the next one is harm.
const BAD_LUCK: f64 = 3.0;
/// What is before a drill is what happened in the last one or two of these.
const BEFORE: Duration = Duration::from_secs(60);

/// Requests of a while, as clients felt them: without those that clients gave up or got wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tally {
    /// How many there were.
    pub requests: u64,
    /// How many of them nobody served.
    pub failed: u64,
    /// What all but one in a hundred of them took at most; none while too few are known.
    pub p99: Option<Duration>,
}

impl Tally {
    pub(super) fn book(&mut self, closed: &Closed) {
        self.requests += 1;
        self.failed += u64::from(closed.felt == Felt::Failed);
    }
}

/// What came of a drill; times are since it began unless another beginning is named.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Score {
    /// Requests that met the fault.
    pub met: u64,
    /// Requests that would have met it, and could not have been tried again.
    pub spared: u64,
    /// Of those that met it: served all the same.
    pub rescued: u64,
    /// Of those that met it: served by nobody.
    pub lost: u64,
    /// When the first request met it.
    pub first_fault: Option<Duration>,
    /// From then until the upstream was ejected for the first time.
    pub detected: Option<Duration>,
    /// From then until the first of ten requests in a row that did without the upstream.
    pub shifted: Option<Duration>,
    /// How often the upstream was ejected.
    pub ejections: u32,
    /// Times the retry budget could not pay: for a request that was spared, or one that failed.
    pub budget_denials: u64,
    /// All requests of the pool before it.
    pub before: Tally,
    /// All requests of the pool during it.
    pub during: Tally,
}

/// A drill in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Clients were hurt.
    Hurt,
    /// No request met the fault, so nothing is known.
    Untried,
    /// Nobody was hurt, and the upstream was never ejected.
    Unnoticed,
    /// Nobody was hurt, and the traffic kept away from the upstream.
    Kept,
}

impl Finding {
    /// A stable name for reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hurt => "hurt",
            Self::Untried => "untried",
            Self::Unnoticed => "unnoticed",
            Self::Kept => "kept",
        }
    }
}

impl Score {
    /// More requests failed than those before the drill, and bad luck, explain: with the ratio of before, a number
    /// beyond two standard deviations and three.
    #[must_use]
    pub fn hurts(&self) -> bool {
        self.during.failed as f64 > BAD_LUCK + self.chance(self.during.requests)
    }

    /// Failures that are to be expected of so many requests by the ratio of before, and chance.
    fn chance(&self, requests: u64) -> f64 {
        let ratio = self.before.failed as f64 / (self.before.requests as f64).max(1.0);
        let expected = ratio * requests as f64;
        expected + 2.0 * expected.sqrt()
    }

    /// What the drill found; `ejects` tells that its fault was the ejection itself.
    #[must_use]
    pub fn finding(&self, ejects: bool) -> Finding {
        match () {
            () if self.lost as f64 > self.chance(self.met) || self.hurts() => Finding::Hurt,
            () if self.met == 0 => Finding::Untried,
            () if self.detected.is_none() && !ejects => Finding::Unnoticed,
            () => Finding::Kept,
        }
    }

    /// How much longer all but one in a hundred requests took than before; none where too few are known.
    #[must_use]
    pub fn added_p99(&self) -> Option<Duration> {
        Some(self.during.p99?.saturating_sub(self.before.p99?))
    }

    pub(super) const fn end_of_met(&mut self, felt: Felt) {
        match felt {
            Felt::Ok | Felt::Rescued => self.rescued += 1,
            Felt::Failed => self.lost += 1,
            Felt::Rejected | Felt::Abandoned => {}
        }
    }
}

/// A request that is over, as a drill looks at it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Closed {
    pub(crate) felt: Felt,
    pub(crate) took: Duration,
    /// The drill it met.
    pub(crate) ticket: Option<Ticket>,
    /// It did without the drilled upstream.
    pub(crate) without: bool,
    pub(crate) denied_by_budget: bool,
}

impl Closed {
    /// It says something about how clients are served.
    pub(crate) const fn counts(&self) -> bool {
        matches!(self.felt, Felt::Ok | Felt::Rescued | Felt::Failed)
    }
}

/// What clients felt lately: what a drill is measured against.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    now: Page,
    last: Page,
    turned: Timestamp,
}

#[derive(Clone, Debug, Default)]
struct Page {
    tally: Tally,
    took: Took,
}

impl Ledger {
    pub(crate) fn book(&mut self, closed: &Closed, now: Timestamp) {
        self.turn(now);
        if closed.counts() {
            self.now.tally.book(closed);
            self.now.took.push(closed.took);
        }
    }

    pub(crate) fn tally(&mut self, now: Timestamp) -> Tally {
        self.turn(now);
        let mut took = self.now.took.clone();
        took.add(&self.last.took);
        Tally {
            requests: self.now.tally.requests + self.last.tally.requests,
            failed: self.now.tally.failed + self.last.tally.failed,
            p99: took.p99(),
        }
    }

    fn turn(&mut self, now: Timestamp) {
        let old = now.since(self.turned);
        if old < BEFORE {
            return;
        }
        std::mem::swap(&mut self.now, &mut self.last);
        self.now.clear();
        if old >= 2 * BEFORE {
            self.last.clear();
        }
        self.turned = now;
    }
}

impl Page {
    fn clear(&mut self) {
        self.tally = Tally::default();
        self.took.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(requests: u64, failed: u64) -> Tally {
        Tally { requests, failed, p99: None }
    }

    #[test]
    fn clients_are_hurt_by_more_failures_than_before_and_bad_luck() {
        for (before, during, hurts) in [
            ((1_000, 0), (1_000, 3), false),
            ((1_000, 0), (1_000, 4), true),
            ((0, 0), (10, 4), true),
            // Ten in a hundred failed before: a hundred are expected, and twenty more are chance.
            ((1_000, 100), (1_000, 123), false),
            ((1_000, 100), (1_000, 124), true),
        ] {
            let score = Score {
                before: tally(before.0, before.1),
                during: tally(during.0, during.1),
                ..Score::default()
            };
            assert_eq!(score.hurts(), hurts, "{before:?} {during:?}");
        }
    }

    #[test]
    fn a_finding_is_hurt_before_all_and_kept_only_when_it_was_noticed() {
        let score = Score { met: 7, ..Score::default() };
        assert_eq!(Score { lost: 1, ..score }.finding(false), Finding::Hurt);
        let before = tally(100, 25);
        assert_eq!(Score { lost: 4, before, ..score }.finding(true), Finding::Kept, "they failed before too");
        assert_eq!(Score { during: tally(9, 4), met: 0, ..score }.finding(true), Finding::Hurt);
        assert_eq!(Score { met: 0, ..score }.finding(true), Finding::Untried);
        assert_eq!(score.finding(false), Finding::Unnoticed);
        assert_eq!(Score { detected: Some(Duration::ZERO), ..score }.finding(false), Finding::Kept);
        assert_eq!(score.finding(true), Finding::Kept, "an ejection need not be noticed");
    }

    #[test]
    fn the_ledger_remembers_one_or_two_minutes() {
        let second = |seconds: u64| Timestamp::from_micros(seconds * 1_000_000);
        let closed = |felt| Closed {
            felt,
            took: Duration::from_millis(5),
            ticket: None,
            without: false,
            denied_by_budget: false,
        };
        let mut ledger = Ledger::default();
        for at in 60..90 {
            ledger.book(&closed(Felt::Ok), second(at));
            ledger.book(&closed(Felt::Abandoned), second(at));
        }
        ledger.book(&closed(Felt::Failed), second(125));
        let before = ledger.tally(second(126));
        assert_eq!((before.requests, before.failed), (31, 1));
        assert!(before.p99.is_some());
        assert_eq!(ledger.tally(second(190)), tally(1, 1), "the first minute is forgotten");
        assert_eq!(ledger.tally(second(500)), Tally::default());
    }
}
