//! A bounded wait on a fact. No test sleeps: it names what it waits for, and for how long at most.

use std::fmt::Debug;
use std::time::{Duration, Instant};

/// Long enough for a debug build on a busy machine; a fact that needs longer will not come.
pub const BOUND: Duration = Duration::from_secs(15);

/// How often a fact is looked at.
const PERIOD: Duration = Duration::from_millis(5);

/// Waits until `look` finds something, and returns it.
///
/// # Panics
/// When nothing was found within [`BOUND`]; `what` says what was missing.
pub async fn found<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    found_within(BOUND, what, look).await
}

/// Like [`found`], with a bound of its own.
///
/// # Panics
/// When nothing was found within `bound`.
pub async fn found_within<T>(bound: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    let mut ticks = tokio::time::interval(PERIOD);
    loop {
        ticks.tick().await;
        if let Some(fact) = look() {
            return fact;
        }
        assert!(start.elapsed() < bound, "within {bound:?} this did not happen: {what}");
    }
}

/// Waits until `look` says what it is expected to say.
///
/// # Panics
/// When it still says something else after [`BOUND`]; the message shows what it said last.
pub async fn equal<T: PartialEq + Debug>(what: &str, expected: T, mut look: impl FnMut() -> T) {
    let start = Instant::now();
    let mut ticks = tokio::time::interval(PERIOD);
    loop {
        ticks.tick().await;
        let seen = look();
        if seen == expected {
            return;
        }
        assert!(start.elapsed() < BOUND, "{what}: still {seen:?} after {BOUND:?}, expected {expected:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_fact_is_returned_as_soon_as_it_stands() {
        let mut looks = 0;
        let fact = found("the third look", || {
            looks += 1;
            (looks == 3).then_some("here")
        });
        assert_eq!(fact.await, "here");
    }

    #[tokio::test]
    #[should_panic(expected = "this did not happen: pigs fly")]
    async fn a_fact_that_never_comes_fails_by_its_name() {
        found_within(Duration::from_millis(20), "pigs fly", || None::<()>).await;
    }
}
