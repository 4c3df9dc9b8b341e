//! Hedging: a second attempt beside a first one that is late, for requests that only read.
//!
//! It cuts off the tail of latencies, and the wait for a region that has gone silent. It costs requests, so it
//! has a budget of its own; and whoever loses such a race may be healthy, so a loser is judged by what it does
//! in a time that a healthy upstream does not need.
//!
//! Source: Dean and Barroso, "The Tail at Scale" (hedged requests after the 95th percentile).

mod tail;

pub(crate) use tail::{BUCKETS as TAIL_BUCKETS, Tail, bucket as tail_bucket, upper_edge as tail_edge};

use crate::bounds::Ratio;
use crate::retry::budget::BudgetSpec;
use std::time::Duration;

/// How late an answer must be where nothing is known yet, and the least that a loser is let run on: a pause
/// of this length (a collection of garbage, a lost packet) happens to healthy upstreams too.
const PATIENCE_MIN: Duration = Duration::from_millis(250);
/// A loser is let run on for this many times what nearly all answers of the pool take.
const PATIENCE_FACTOR: u32 = 3;
/// And for this many times what its own upstream's usually take: one that is a few times slower than its siblings loses
/// every race, and one in a hundred of its answers takes five times its median (`simulate::scenario::Sky`).
const PATIENCE_FACTOR_OWN: u32 = 5;
/// And for this where its own upstream has not answered often enough to know: a region of another continent, with a
/// cold start.
const PATIENCE_UNKNOWN: Duration = Duration::from_millis(500);
/// Hedges that can be saved up: what a region that falls silent at a hundred requests a second needs until its
/// losers have condemned it.
const BURST: u32 = 20;

/// When a second attempt goes out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HedgePolicy {
    /// Whether at all; a probe that borrows a client's request is hedged in any case.
    pub enabled: bool,
    /// How late a first attempt must be.
    pub after: HedgeAfter,
    /// The least that [`HedgeAfter::P95`] comes to.
    pub after_min: Duration,
    /// Hedges as a share of requests.
    pub budget: Ratio,
}

/// How late a first attempt must be before a second one goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HedgeAfter {
    /// Later than 95 of a hundred of the pool's answers to reads.
    P95,
    /// This late.
    Fixed(Duration),
}

impl Default for HedgePolicy {
    fn default() -> Self {
        Self {
            enabled: false,
            after: HedgeAfter::P95,
            after_min: Duration::from_millis(20),
            budget: Ratio::percent(5),
        }
    }
}

impl HedgePolicy {
    /// Its account: nothing flows in by itself, because a quiet pool saves up enough.
    pub(crate) const fn budget(&self) -> BudgetSpec {
        BudgetSpec { share: self.budget, min_per_second: 0, burst: BURST }
    }

    /// How late a first attempt must be.
    pub(crate) fn delay(&self, tail: &Tail) -> Duration {
        match self.after {
            HedgeAfter::P95 => usual_time(tail).max(self.after_min),
            HedgeAfter::Fixed(delay) => delay,
        }
    }
}

/// What nearly all answers take less than, as far as is known.
pub(crate) fn usual_time(tail: &Tail) -> Duration {
    tail.p95().unwrap_or(PATIENCE_MIN)
}

/// How long a loser is let run on, from its start, at an upstream whose answers usually take this long.
pub(crate) fn patience(tail: &Tail, usual: Option<Duration>) -> Duration {
    let pool = tail.p95().unwrap_or_default().saturating_mul(PATIENCE_FACTOR);
    let own = usual.map_or(PATIENCE_UNKNOWN, |usual| usual.saturating_mul(PATIENCE_FACTOR_OWN));
    PATIENCE_MIN.max(pool).max(own)
}
