//! Who is far slower than its siblings: it is asked less and less, and then put out.

use super::{Choice, Pool};
use crate::outlier::EjectReason;
use crate::pace::{Pace, micros};
use crate::time::Timestamp;
use crate::upstream::{Health, Upstream};
use fastrand::Rng;
use std::time::Duration;

/// Siblings that an upstream must be far slower than to be put out: against a single one it may be that one which
/// is unusual, so it only loses share.
pub const SIBLINGS_MIN: usize = 2;

impl Pool {
    /// What an upstream's answers to reads usually take; none while too few came lately.
    #[must_use]
    pub fn usual_of(&self, held: &Upstream, now: Timestamp) -> Option<Duration> {
        self.usual(held, now).map(Duration::from_micros)
    }

    /// Those whose pace an upstream's is held against: the healthy ones of its priority. One that stands by far away
    /// is slower by nature.
    pub fn siblings(&self, of: &Upstream) -> impl Iterator<Item = &Upstream> {
        let (key, priority) = (of.key, of.spec.priority);
        let stands = move |held: &&Upstream| {
            held.key != key && held.health == Health::Healthy && held.spec.priority == priority
        };
        self.upstreams.iter().filter(stands)
    }

    /// Books how long an answer took; says whether it was far slower than the upstream's siblings usually are.
    ///
    /// Only what reads is compared: how long a write takes depends on what is written, and its upload is the
    /// client's own time.
    pub(super) fn book_pace(&mut self, choice: Choice, now: Timestamp) -> bool {
        let policy = self.spec.passive_health;
        let (Some(since), Some(place)) = (choice.since, self.place_of(choice)) else {
            return false;
        };
        let held = &mut self.upstreams[place];
        if !choice.paced || held.epoch != choice.epoch {
            return false;
        }
        let took = now.since(since);
        held.pace.answered(took, policy.latency_min / 2, now);
        let is_judged = policy.latency_factor > 0 && took > policy.latency_min;
        is_judged && self.outpaced_by(place, micros(took), now) > 0
    }

    /// Judges the pace of an attempt that succeeded; true when it puts its upstream out.
    pub(super) fn is_too_slow(&mut self, choice: Choice, now: Timestamp, rng: &mut Rng) -> bool {
        let slow_since = choice.slow_since.or(choice.since.filter(|_| self.book_pace(choice, now)));
        if let Some(since) = slow_since {
            self.on_slow(choice.place, since, now, rng);
        }
        slow_since.is_some() && self.upstreams[choice.place].epoch != choice.epoch
    }

    /// An answer was far too slow: if most are, less is asked of the upstream, and at last nothing.
    fn on_slow(&mut self, index: usize, since: Timestamp, now: Timestamp, rng: &mut Rng) {
        let policy = self.spec.passive_health;
        let held = &self.upstreams[index];
        // A probe is one of few, so that each counts.
        if let Health::Probing { .. } = held.health
            && held.cause == EjectReason::Slow
        {
            return self.eject(index, EjectReason::ProbeFailed, now, rng);
        }
        let Some(usual) = self.usual(held, now).filter(|usual| *usual > micros(policy.latency_min)) else {
            return;
        };
        let siblings = self.outpaced_by(index, usual, now);
        if held.health != Health::Healthy || siblings == 0 {
            return;
        }
        let out = siblings >= SIBLINGS_MIN && held.bias.is_least(since, now) && self.can_spare(index);
        if out {
            self.eject(index, EjectReason::Slow, now, rng);
            self.upstreams[index].pace = Pace::default();
        } else {
            self.upstreams[index].bias.halve(since, policy.window, now);
            self.crowd.forget();
        }
    }

    /// How many siblings outpace an upstream whose answers take this long; none unless most of them do.
    fn outpaced_by(&self, upstream: usize, usual: u64, now: Timestamp) -> usize {
        let policy = &self.spec.passive_health;
        let (mut known, mut faster) = (0, 0);
        for held in self.siblings(&self.upstreams[upstream]) {
            if let Some(median) = self.usual(held, now) {
                known += 1;
                faster += usize::from(median.saturating_mul(u64::from(policy.latency_factor)) < usual);
            }
        }
        if 2 * faster > known { faster } else { 0 }
    }

    /// The same in microseconds.
    pub(super) fn usual(&self, held: &Upstream, now: Timestamp) -> Option<u64> {
        let policy = &self.spec.passive_health;
        held.pace.median(policy.success_rate_requests.get(), policy.window, now)
    }

    /// It is not needed, neither by the pool nor by those who write or read in its record store: slow is better than
    /// nobody.
    fn can_spare(&self, upstream: usize) -> bool {
        let domain = self.upstreams[upstream].domain;
        let stands_in = |(index, held): (usize, &Upstream)| {
            index != upstream && held.health == Health::Healthy && held.is_in(domain)
        };
        self.guard_at(upstream).is_none() && self.upstreams.iter().enumerate().any(stands_in)
    }
}
