//! What happens next: events in the order of virtual time, and among equals in the order they were set.

use crate::check::CheckResult;
use crate::pool::CheckOut;
use crate::time::Timestamp;
use crate::upstream::UpstreamKey;
use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// What can be due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// A request comes in.
    Arrival,
    /// A back-off is over.
    Choice { id: u64 },
    /// An attempt has come to something.
    Outcome { id: u64, number: usize },
    /// An attempt is late.
    Hedge { id: u64, number: usize },
    /// An attempt that lost a race has kept silent for too long.
    Silence { id: u64, number: usize },
    /// A streamed answer ends.
    StreamEnd { id: u64, breaks: bool },
    /// The pools are configured anew, with this one of the specifications.
    Reload { index: usize },
    /// A drill begins, or is looked at.
    Drill,
    /// A client loses patience.
    Departure { id: u64 },
    /// The check that verifies a denial comes back.
    Verified { proxy: usize, upstream: UpstreamKey },
    /// It is time for a proxy to check an upstream.
    Beat { proxy: usize, upstream: UpstreamKey },
    /// The scenario's order of this number is given.
    Order { number: usize },
    /// Such a check comes back.
    Checked { proxy: usize, out: CheckOut, result: CheckResult },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    at: Timestamp,
    sequence: u64,
    due: Due,
}

impl Ord for Entry {
    /// Reversed: the heap gives its greatest, and the earliest is wanted.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.sequence).cmp(&(self.at, self.sequence))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The future.
#[derive(Debug, Default)]
pub(super) struct Queue {
    heap: BinaryHeap<Entry>,
    sequence: u64,
}

impl Queue {
    pub(super) fn push(&mut self, at: Timestamp, due: Due) {
        self.heap.push(Entry { at, sequence: self.sequence, due });
        self.sequence += 1;
    }

    pub(super) fn pop(&mut self) -> Option<(Timestamp, Due)> {
        self.heap.pop().map(|entry| (entry.at, entry.due))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_in_time_order_and_equals_in_the_order_they_were_set() {
        let mut queue = Queue::default();
        for (micros, id) in [(5, 0), (1, 1), (5, 2), (1, 3)] {
            queue.push(Timestamp::from_micros(micros), Due::Choice { id });
        }
        let order: Vec<_> = std::iter::from_fn(|| queue.pop().map(|(_, due)| due)).collect();
        assert_eq!(order, [1, 3, 0, 2].map(|id| Due::Choice { id }));
    }
}
