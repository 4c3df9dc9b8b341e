//! One budget of bytes for everything that is held: answers being judged and bodies kept for a replay. Memory
//! is bounded by configuration, not by traffic; when the budget is spent a request streams, with one attempt.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The budget.
#[derive(Debug)]
pub struct Buffers {
    size: usize,
    free: AtomicUsize,
}

/// Bytes taken from the budget; they go back when this is dropped.
#[derive(Debug)]
pub struct Reservation {
    buffers: Arc<Buffers>,
    bytes: usize,
}

impl Buffers {
    /// A budget of `total` bytes.
    #[must_use]
    pub fn new(total: usize) -> Arc<Self> {
        Arc::new(Self { size: total, free: AtomicUsize::new(total) })
    }

    /// An empty reservation to grow.
    #[must_use]
    pub fn reservation(self: &Arc<Self>) -> Reservation {
        Reservation { buffers: Arc::clone(self), bytes: 0 }
    }

    /// The whole budget, in bytes.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.size
    }

    /// Bytes that are free now.
    #[must_use]
    pub fn free(&self) -> usize {
        self.free.load(Ordering::Relaxed)
    }
}

impl Reservation {
    /// Takes `bytes` more; false, and nothing taken, when the budget has not so many left.
    pub fn grow(&mut self, bytes: usize) -> bool {
        let taken = self
            .buffers
            .free
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |free| free.checked_sub(bytes))
            .is_ok();
        if taken {
            self.bytes += bytes;
        }
        taken
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.buffers.free.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_is_never_overdrawn_and_is_whole_again_afterwards() {
        let buffers = Buffers::new(100);
        let mut one = buffers.reservation();
        let mut two = buffers.reservation();
        assert!(one.grow(60));
        assert!(!two.grow(41));
        assert!(two.grow(40));
        drop(one);
        assert_eq!(buffers.free(), 60);
        drop(two);
        assert_eq!(buffers.free(), 100);
    }
}
