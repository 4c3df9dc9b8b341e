//! Two random candidates, the one that promises the sooner answer: its latency times what waits there already.
//!
//! Latency is a moving average that decays exponentially and jumps up to every peak (Finagle's "peak EWMA"):
//! an upstream that slows down is left at once, and trusted again bit by bit. The average of one that is not
//! asked fades, so that it is asked again and nobody is forgotten.

use super::Candidate;
use super::draw::{self, Urn};
use crate::time::Timestamp;
use fastrand::Rng;
use std::time::Duration;

/// After this time a peak weighs a third (1/e). Finagle and linkerd use 10 s: long beside an answer, short
/// beside an outage.
const DECAY: Duration = Duration::from_secs(10);
/// The estimate before the first answer: what a region of one's own continent takes, so that a new upstream
/// is neither flooded nor shunned.
const INITIAL: Duration = Duration::from_millis(30);
/// Estimates of equal regions differ by chance and by when they were last asked. Within this factor two are
/// alike, and the draw decides, which goes by weight: without it the noise would overrule every weight.
const ALIKE: f64 = 1.25;

/// How fast an upstream answers, as far as is known.
#[derive(Clone, Copy, Debug)]
pub struct Latency {
    micros: f64,
    stamp: Timestamp,
}

impl Latency {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self { micros: INITIAL.as_secs_f64() * 1e6, stamp: now }
    }

    /// An answer took this long.
    pub fn answered(&mut self, took: Duration, now: Timestamp) {
        let took = took.as_secs_f64() * 1e6;
        let kept = self.kept(now);
        self.micros = (self.micros * kept + took * (1.0 - kept)).max(took);
        self.stamp = self.stamp.max(now);
    }

    /// An attempt failed: that says nothing about speed, but an upstream that fails must not seem rested, or
    /// the worst one would draw all requests.
    pub fn failed(&mut self, now: Timestamp) {
        self.stamp = self.stamp.max(now);
    }

    /// What an answer takes now, as far as is known; less, the longer nobody asked.
    #[must_use]
    pub fn estimate(&self, now: Timestamp) -> Duration {
        Duration::from_secs_f64(self.micros * self.kept(now) / 1e6)
    }

    fn kept(&self, now: Timestamp) -> f64 {
        (-now.since(self.stamp).as_secs_f64() / DECAY.as_secs_f64()).exp()
    }
}

pub(super) fn pick(candidates: &impl Urn, now: Timestamp, rng: &mut Rng) -> Option<usize> {
    let (first, second) = draw::two(candidates, rng)?;
    let Some(second) = second else { return Some(first.index) };
    let lighter = first.weight.min(second.weight);
    let sooner = cost(second, lighter, now) * ALIKE < cost(first, lighter, now);
    Some(if sooner { second.index } else { first.index })
}

/// Latency × (what is out, by weight, + 1). The weight counts where there is load to share; an idle upstream
/// of a small weight is not slow.
fn cost(candidate: Candidate, lighter: u32, now: Timestamp) -> f64 {
    let by_weight = f64::from(lighter) / f64::from(candidate.weight.max(1));
    let waiting = f64::from(candidate.in_flight) * by_weight + 1.0;
    candidate.latency.micros * candidate.latency.kept(now) * waiting
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn at(moment: u64) -> Timestamp {
        Timestamp::ZERO + millis(moment)
    }

    #[test]
    fn a_peak_counts_at_once_and_is_forgotten_slowly() {
        let mut latency = Latency::new(at(0));
        latency.answered(millis(2_000), at(1));
        assert_eq!(latency.estimate(at(1)), millis(2_000));
        for moment in 2..100 {
            latency.answered(millis(20), at(moment * 10));
        }
        assert!(latency.estimate(at(1_000)) > millis(1_700), "one second of good answers excuses little");
        for moment in 100..6_000 {
            latency.answered(millis(20), at(moment * 10));
        }
        assert!(latency.estimate(at(60_000)) < millis(30), "a minute of good answers excuses a peak");
    }

    #[test]
    fn whoever_is_not_asked_is_asked_again() {
        let mut slow = Latency::new(at(0));
        slow.answered(millis(2_000), at(0));
        let quick = Latency::new(at(60_000));
        assert!(slow.estimate(at(60_000)) < quick.estimate(at(60_000)));
    }

    #[test]
    fn a_failing_upstream_does_not_seem_rested() {
        let mut latency = Latency::new(at(0));
        for second in 1..60 {
            latency.failed(at(second * 1_000));
        }
        assert_eq!(latency.estimate(at(59_000)), INITIAL);
    }
}
