//! How long to wait before a retry: exponential with full jitter (AWS Builders' Library, "Timeouts, retries
//! and backoff with jitter").

use fastrand::Rng;
use std::time::Duration;

/// The bounds of the wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    base: Duration,
    max: Duration,
}

/// A back-off whose base is longer than its cap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BaseAboveMax;

impl Default for Backoff {
    fn default() -> Self {
        Self { base: Duration::from_millis(25), max: Duration::from_millis(250) }
    }
}

impl Backoff {
    /// # Errors
    /// When `base` is longer than `max`.
    pub fn try_new(base: Duration, max: Duration) -> Result<Self, BaseAboveMax> {
        if base > max { Err(BaseAboveMax) } else { Ok(Self { base, max }) }
    }

    /// The wait before the retry that follows `failures` failed attempts: anything up to the cap, so that
    /// clients which failed together do not come back together.
    pub fn wait(&self, failures: u32, rng: &mut Rng) -> Duration {
        let factor = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        let cap = self.base.saturating_mul(factor).min(self.max);
        let micros = u64::try_from(cap.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(rng.u64(0..=micros))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_is_bounded_and_the_bound_doubles_up_to_the_cap() {
        let backoff = Backoff::default();
        let mut rng = Rng::with_seed(1);
        for (failures, cap_ms) in [(1, 25), (2, 50), (3, 100), (4, 200), (5, 250), (60, 250)] {
            let longest = (0..1000).map(|_| backoff.wait(failures, &mut rng)).max().unwrap();
            assert!(longest <= Duration::from_millis(cap_ms), "{failures}: {longest:?}");
            assert!(longest > Duration::from_millis(cap_ms * 8 / 10), "{failures}: {longest:?}");
        }
    }

    #[test]
    fn a_base_above_its_cap_is_refused() {
        let second = Duration::from_secs(1);
        assert_eq!(Backoff::try_new(second, second / 2), Err(BaseAboveMax));
    }
}
