//! What nearly all of a pool's reads take: the 95th percentile, from a histogram of fixed size that forgets.

use std::time::Duration;

/// Four buckets to each doubling: the upper edge of one is at most a quarter above what fell into it. That error
/// is on the safe side: a little less than one in twenty is hedged, so the budget is full when it is needed.
const STEPS_LOG2: u32 = 2;
/// From a microsecond to two minutes.
pub(crate) const BUCKETS: usize = 28 << STEPS_LOG2;
/// So many answers are remembered with their whole weight; then all count half.
const REMEMBERED: u32 = 1024;
/// Of fewer answers the 95th percentile is their maximum, and says nothing.
const KNOWN_FROM: u32 = 20;
/// The percentile is read anew after this many answers.
const READ_EVERY: u32 = 16;

/// What answers took lately.
#[derive(Clone, Debug)]
pub(crate) struct Tail {
    counts: [u16; BUCKETS],
    total: u32,
    unread: u32,
    p95: Option<Duration>,
}

impl Tail {
    /// Nothing is known yet.
    pub(crate) const fn new() -> Self {
        Self { counts: [0; BUCKETS], total: 0, unread: 0, p95: None }
    }

    /// An answer took this long.
    pub(crate) fn answered(&mut self, took: Duration) {
        self.counts[bucket(took)] += 1;
        self.total += 1;
        self.unread += 1;
        if self.total >= REMEMBERED {
            self.counts.iter_mut().for_each(|count| *count /= 2);
            self.total = self.counts.iter().copied().map(u32::from).sum();
        }
        if self.unread >= READ_EVERY || self.total == KNOWN_FROM {
            self.unread = 0;
            self.p95 = self.read();
        }
    }

    /// Nearly all answers took less; none while too few came.
    pub(crate) const fn p95(&self) -> Option<Duration> {
        self.p95
    }

    fn read(&self) -> Option<Duration> {
        if self.total < KNOWN_FROM {
            return None;
        }
        let mut above = self.total / 20;
        let slowest = self.counts.iter().rposition(|&count| {
            let within = u32::from(count) > above;
            above = above.saturating_sub(u32::from(count));
            within
        });
        slowest.map(upper_edge)
    }
}

/// The bucket of what took this long.
pub(crate) fn bucket(took: Duration) -> usize {
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1 << STEPS_LOG2);
    let octave = micros.ilog2();
    let step = (micros >> (octave - STEPS_LOG2)) & ((1 << STEPS_LOG2) - 1);
    let index = (u64::from(octave) << STEPS_LOG2) + step;
    usize::try_from(index).unwrap_or(usize::MAX).min(BUCKETS - 1)
}

/// What lies in this bucket took less than that.
pub(crate) fn upper_edge(bucket: usize) -> Duration {
    let (octave, step) = (bucket >> STEPS_LOG2, bucket & ((1 << STEPS_LOG2) - 1));
    let steps = (1_u64 << STEPS_LOG2) + step as u64 + 1;
    Duration::from_micros((steps << octave) >> STEPS_LOG2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(micros: u64) -> Duration {
        Duration::from_micros(micros)
    }

    #[test]
    fn a_bucket_holds_what_lies_below_its_upper_edge_and_is_a_quarter_wide() {
        for took in (4..2_000).chain([65_535, 65_536, 1_000_000, 29_000_000]).map(micros) {
            let edge = upper_edge(bucket(took));
            assert!(took < edge && edge <= took.mul_f64(1.25) + micros(1), "{took:?} below {edge:?}");
        }
        assert_eq!(bucket(Duration::ZERO), bucket(micros(4)));
        assert_eq!(bucket(Duration::MAX), BUCKETS - 1);
    }

    #[test]
    fn it_lies_above_nineteen_answers_of_twenty_and_not_above_the_slowest() {
        let mut tail = Tail::new();
        for round in 0..100 {
            assert_eq!(tail.p95().is_some(), round > 0, "round {round}");
            (0..19).for_each(|index| tail.answered(micros(10_000 + index)));
            tail.answered(micros(2_000_000));
        }
        let p95 = tail.p95().unwrap();
        assert!((micros(10_018)..micros(12_600)).contains(&p95), "{p95:?}");
        (0..200).for_each(|_| tail.answered(micros(2_000_000)));
        assert!(tail.p95().unwrap() >= micros(2_000_000));
    }

    #[test]
    fn it_forgets() {
        let mut tail = Tail::new();
        (0..5_000).for_each(|_| tail.answered(micros(500_000)));
        (0..8_000).for_each(|_| tail.answered(micros(1_000)));
        assert!(tail.p95().unwrap() < micros(1_300), "{:?}", tail.p95());
        assert!(tail.total < REMEMBERED);
    }
}
