//! Bias: an upstream that does less for now keeps a smaller share, and is still asked.
//!
//! Each sign halves its share once more, so that what is asked of it in vain becomes less than the retry budget
//! covers; when the signs stop, the share doubles step by step.

use crate::time::Timestamp;
use std::time::Duration;

/// After this many halvings about three in a hundred of its share are left: few enough to be retried within a
/// budget of five per cent, and enough to see it mend.
pub const HALVINGS_MAX: u32 = 5;
/// Without another sign one halving is undone in this time.
const RECOVERY: Duration = Duration::from_secs(1);

/// How much less an upstream is asked; the default is no less.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bias {
    halvings: u32,
    /// The last halving.
    at: Timestamp,
    /// From here on it recovers.
    until: Timestamp,
}

impl Bias {
    /// A sign from an attempt that began at `since`: half the share, at least for this long. What was sent before
    /// the last halving says nothing about what it left.
    pub(crate) fn halve(&mut self, since: Timestamp, hold: Duration, now: Timestamp) {
        if self.halvings == 0 || since >= self.at {
            self.halvings = (self.halvings(now) + 1).min(HALVINGS_MAX);
            self.at = now;
        }
        self.until = self.until.max(now + hold);
    }

    /// The share cannot become smaller, and this attempt began after it had become so small.
    pub(crate) fn is_least(&self, since: Timestamp, now: Timestamp) -> bool {
        self.halvings(now) == HALVINGS_MAX && since >= self.at
    }

    /// What is left of a share.
    pub(crate) fn of(&self, share: u32, now: Timestamp) -> u32 {
        if self.halvings == 0 { share } else { (share >> self.halvings(now)).max(1) }
    }

    /// When a halving is next undone; never while there is none.
    pub(crate) fn next_step(&self, now: Timestamp) -> Timestamp {
        let left = self.halvings(now);
        let undone = self.halvings - left;
        if left == 0 { Timestamp::FAR_FUTURE } else { self.until + RECOVERY * undone }
    }

    /// How often it is halved now.
    pub(crate) fn halvings(&self, now: Timestamp) -> u32 {
        if now < self.until {
            return self.halvings;
        }
        let undone = 1 + now.since(self.until).as_micros() / RECOVERY.as_micros();
        self.halvings.saturating_sub(u32::try_from(undone).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOLD: Duration = Duration::from_secs(1);

    const fn at(millis: u64) -> Timestamp {
        Timestamp::from_micros(millis * 1_000)
    }

    #[test]
    fn each_sign_halves_the_share_down_to_a_thirtieth_and_never_to_nothing() {
        let mut bias = Bias::default();
        let mut shares = vec![bias.of(100, at(0))];
        for millis in 1..8 {
            bias.halve(at(millis), HOLD, at(millis));
            shares.push(bias.of(100, at(millis)));
        }
        assert_eq!(shares, [100, 50, 25, 12, 6, 3, 3, 3]);
        assert_eq!(bias.of(10, at(8)), 1);
    }

    #[test]
    fn attempts_that_were_out_together_are_one_sign() {
        let mut bias = Bias::default();
        for millis in 10..30 {
            bias.halve(at(millis - 10), HOLD, at(millis));
        }
        assert_eq!(bias.of(100, at(30)), 25, "the second began after the first had halved");
    }

    #[test]
    fn without_another_sign_a_share_doubles_each_second() {
        let mut bias = Bias::default();
        for millis in 1..6 {
            bias.halve(at(millis), HOLD, at(millis));
        }
        let shares = [1_004, 1_005, 2_005, 3_005, 4_005, 5_005].map(|millis| bias.of(100, at(millis)));
        assert_eq!(shares, [3, 6, 12, 25, 50, 100]);
        bias.halve(at(3_500), HOLD, at(3_500));
        assert_eq!(bias.of(100, at(3_500)), 12, "from where it was");
    }
}
