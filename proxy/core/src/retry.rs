//! May this be tried again? The rules that need no memory; the exchange asks them once after each attempt.

pub mod backoff;
pub mod budget;

use crate::classify::{Class, Repeat};
use crate::fhir_safety::Safety;
use crate::time::Timestamp;
use backoff::Backoff;
use budget::BudgetSpec;
use std::num::NonZeroU8;

/// More attempts than this are never made, whatever is configured: a request that five regions refused is lost.
pub const ATTEMPTS_CEILING: usize = 8;

/// How a pool retries.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryPolicy {
    /// Attempts for one request, the first one included.
    pub attempts_max: NonZeroU8,
    /// The same, for a write whose earlier attempt may have been executed.
    pub attempts_max_ambiguous: NonZeroU8,
    /// Retries as a share of traffic.
    pub budget: BudgetSpec,
    /// The wait before a retry.
    pub backoff: Backoff,
    /// Repeat a FHIR `PUT` without `If-Match` (each repeat makes another version).
    pub retry_unconditional_put: bool,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        const fn n(value: u8) -> NonZeroU8 {
            NonZeroU8::new(value).expect("the defaults are not zero")
        }
        Self {
            attempts_max: n(3),
            attempts_max_ambiguous: n(2),
            budget: BudgetSpec::default(),
            backoff: Backoff::default(),
            retry_unconditional_put: false,
        }
    }
}

/// Why a failed attempt was not followed by another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Denial {
    /// The retry budget is spent.
    Budget,
    /// A second execution would be a second effect.
    NotIdempotent,
    /// The request body was not kept: it is larger than `replay_body_max`, or the buffers are full.
    BodyTooLarge,
    /// The request's time is up.
    Deadline,
    /// All attempts are used, or the one move this class allows.
    Attempts,
    /// Part of an answer has already gone to the client.
    ResponseStarted,
    /// Nobody else could be asked.
    NoOtherUpstream,
}

impl Denial {
    /// Every reason, for zero series at start.
    pub const ALL: [Self; 7] = [
        Self::Budget,
        Self::NotIdempotent,
        Self::BodyTooLarge,
        Self::Deadline,
        Self::Attempts,
        Self::ResponseStarted,
        Self::NoOtherUpstream,
    ];

    /// A stable name for logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Budget => "budget",
            Self::NotIdempotent => "not_idempotent",
            Self::BodyTooLarge => "body_too_large",
            Self::Deadline => "deadline",
            Self::Attempts => "attempts",
            Self::ResponseStarted => "response_started",
            Self::NoOtherUpstream => "no_other_upstream",
        }
    }
}

/// What the rules look at.
#[derive(Clone, Copy, Debug)]
pub struct RetryFacts {
    /// What came of the last attempt.
    pub class: Class,
    /// What repeating would do.
    pub safety: Safety,
    /// The whole request body is in memory.
    pub replayable: bool,
    /// Attempts made so far.
    pub attempts: usize,
    /// Some attempt may have been executed.
    pub ambiguous: bool,
    /// The one move of [`Repeat::AnyOnce`] is used.
    pub moved_once: bool,
    /// Upstreams that were not asked yet.
    pub others: bool,
    /// The upstream would be asked with a signature of ours, for the first time anew.
    pub resigns: bool,
    /// The next attempt's earliest start.
    pub not_before: Timestamp,
    /// The end of the request's time.
    pub deadline: Timestamp,
}

/// Applies the rules that need no account.
///
/// # Errors
/// The first rule that forbids another attempt.
pub fn allowed(policy: &RetryPolicy, facts: &RetryFacts) -> Result<(), Denial> {
    let by_safety = match facts.class.repeat() {
        Repeat::Never => false,
        Repeat::Any | Repeat::AnyOnce => true,
        Repeat::SafeOrIdempotent => facts.safety != Safety::Unsafe,
        Repeat::Safe => facts.safety == Safety::Safe,
        Repeat::Resigned => facts.resigns,
    };
    if !by_safety {
        return Err(Denial::NotIdempotent);
    }
    if !facts.replayable && facts.class != Class::Unsent {
        return Err(Denial::BodyTooLarge);
    }
    if facts.attempts >= attempts_max(policy, facts) || is_second_move(facts) {
        return Err(Denial::Attempts);
    }
    if facts.class.repeat() == Repeat::AnyOnce && !facts.others {
        return Err(Denial::NoOtherUpstream);
    }
    if facts.not_before >= facts.deadline {
        return Err(Denial::Deadline);
    }
    Ok(())
}

/// A read is harmed by no repeat, so the tighter limit is for writes whose outcome is unknown.
fn attempts_max(policy: &RetryPolicy, facts: &RetryFacts) -> usize {
    let limit = if facts.ambiguous && facts.safety != Safety::Safe {
        policy.attempts_max_ambiguous.min(policy.attempts_max)
    } else {
        policy.attempts_max
    };
    usize::from(limit.get()).min(ATTEMPTS_CEILING)
}

fn is_second_move(facts: &RetryFacts) -> bool {
    facts.class.repeat() == Repeat::AnyOnce && facts.moved_once
}
