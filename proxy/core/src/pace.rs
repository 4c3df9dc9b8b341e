//! Pace: how long an upstream's answers usually take, so that one far slower than its siblings can be told.
//!
//! An estimate of the median that costs a comparison and a shift for each answer: it moves by an eighth towards
//! each of them (after Ma, Muthukrishnan and Sandler, "Frugal Streaming for Estimating Quantiles"). A single
//! answer that takes for ever moves it no further than one that is just above it.

use crate::time::Timestamp;
use std::time::Duration;

/// What is known of one upstream's pace since its health last changed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace {
    median: u64,
    answers: u32,
    last: Timestamp,
}

impl Pace {
    /// An answer took this long. The first is believed only up to `at_most`: a cold start proves nothing.
    pub(crate) fn answered(&mut self, took: Duration, at_most: Duration, now: Timestamp) {
        let took = micros(took);
        if self.answers == 0 {
            self.median = took.min(micros(at_most));
        } else if took > self.median {
            self.median += self.median / 8 + 1;
        } else {
            self.median -= self.median / 8;
        }
        self.answers = self.answers.saturating_add(1);
        self.last = now;
    }

    /// What an answer usually takes, in microseconds; none before there are `enough` of them, or when the last one
    /// is older than the window.
    pub(crate) fn median(&self, enough: u32, window: Duration, now: Timestamp) -> Option<u64> {
        (self.answers >= enough && now <= self.last + window).then_some(self.median)
    }
}

pub(crate) fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(10);

    const fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn after(answers: impl IntoIterator<Item = u64>) -> u64 {
        let mut pace = Pace::default();
        answers.into_iter().for_each(|took| pace.answered(millis(took), millis(250), Timestamp::ZERO));
        pace.median(1, WINDOW, Timestamp::ZERO).unwrap_or_default() / 1_000
    }

    #[test]
    fn the_usual_time_is_found_and_a_single_straggler_moves_it_little() {
        let usual = after([20; 60]);
        assert!((17..=23).contains(&usual), "{usual}");
        let straggler = after([20; 60].into_iter().chain([60_000]));
        assert!(straggler <= usual + usual / 8 + 1, "{straggler}");
        let odd = after((0..200).map(|index| if index % 5 == 0 { 3_000 } else { 20 }));
        assert!(odd < 40, "one in five is not the usual: {odd}");
    }

    #[test]
    fn one_that_slows_down_is_known_within_forty_answers_and_so_is_one_that_mends() {
        let slow = after([20; 60].into_iter().chain([1_000; 40]));
        assert!(slow > 900, "{slow}");
        let mended = after([1_000; 60].into_iter().chain([20; 40]));
        assert!(mended < 25, "{mended}");
    }

    #[test]
    fn a_cold_start_proves_nothing() {
        assert_eq!(after([8_000]), 250);
        assert!(after([8_000, 20, 20, 20, 20]) < 160);
    }

    #[test]
    fn too_few_answers_or_old_ones_say_nothing() {
        let mut pace = Pace::default();
        for _ in 0..9 {
            pace.answered(millis(20), millis(250), Timestamp::ZERO);
        }
        assert_eq!(pace.median(10, WINDOW, Timestamp::ZERO), None);
        pace.answered(millis(20), millis(250), Timestamp::ZERO);
        assert!(pace.median(10, WINDOW, Timestamp::ZERO + WINDOW).is_some());
        assert_eq!(pace.median(10, WINDOW, Timestamp::ZERO + WINDOW + millis(1)), None);
    }
}
