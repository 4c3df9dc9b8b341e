//! What requests took, in a histogram of fixed size.

use crate::hedge::{TAIL_BUCKETS, tail_bucket, tail_edge};
use std::time::Duration;

/// Of fewer requests the 99th percentile says nothing.
const KNOWN_FROM: u64 = 20;

/// How many requests took how long.
#[derive(Clone, Debug)]
pub(crate) struct Took {
    counts: Box<[u32; TAIL_BUCKETS]>,
    total: u64,
}

impl Default for Took {
    fn default() -> Self {
        Self { counts: Box::new([0; TAIL_BUCKETS]), total: 0 }
    }
}

impl Took {
    pub(super) fn push(&mut self, took: Duration) {
        let count = &mut self.counts[tail_bucket(took)];
        *count = count.saturating_add(1);
        self.total += 1;
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.counts
            .iter_mut()
            .zip(other.counts.iter())
            .for_each(|(own, more)| *own = own.saturating_add(*more));
        self.total += other.total;
    }

    pub(super) fn clear(&mut self) {
        self.counts.fill(0);
        self.total = 0;
    }

    /// All but one in a hundred took less; none while too few are known.
    pub(super) fn p99(&self) -> Option<Duration> {
        if self.total < KNOWN_FROM {
            return None;
        }
        let mut above = self.total / 100;
        let slowest = self.counts.iter().rposition(|&count| {
            let within = u64::from(count) > above;
            above = above.saturating_sub(u64::from(count));
            within
        });
        slowest.map(tail_edge)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_but_one_in_a_hundred_took_less() {
        let mut took = Took::default();
        (0..19).for_each(|_| took.push(Duration::from_millis(10)));
        assert_eq!(took.p99(), None, "too few are known");
        (0..970).for_each(|_| took.push(Duration::from_millis(10)));
        (0..8).for_each(|_| took.push(Duration::from_secs(2)));
        let p99 = took.p99().unwrap();
        assert!(p99 > Duration::from_millis(10) && p99 < Duration::from_millis(13), "{p99:?}");
        (0..8).for_each(|_| took.push(Duration::from_secs(2)));
        assert!(took.p99().unwrap() > Duration::from_secs(2));
        let mut sum = Took::default();
        sum.add(&took);
        assert_eq!(sum.p99(), took.p99());
        sum.clear();
        assert_eq!(sum.p99(), None);
    }
}
