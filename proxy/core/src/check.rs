//! Active health: what the proxy's own check requests say about an upstream, whether or not clients ask it.
//!
//! Clients' own answers are the better witness while there are any (they ask what clients ask). The checks know
//! what no client has tried: that an upstream died in a quiet night, and that a dead one is back.

use crate::classify::{AnswerFacts, Dialect, Evidence, classify};
use fastrand::Rng;
use std::num::NonZeroU32;
use std::time::Duration;

/// A pause between checks is shorter than the interval by up to this share of it.
const JITTER: f64 = 0.2;

/// When the proxy checks its upstreams by itself, and what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActiveHealth {
    /// An upstream is checked at least once in this time.
    pub interval: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
    /// Failed checks in a row that eject.
    pub fall: NonZeroU32,
    /// Passed checks in a row that undo that.
    pub rise: NonZeroU32,
}

impl Default for ActiveHealth {
    /// Those of HAProxy, but for its interval of two seconds: behind API Gateway every check is paid for.
    fn default() -> Self {
        const fn n(value: u32) -> NonZeroU32 {
            NonZeroU32::new(value).expect("the defaults are not zero")
        }
        Self { interval: Duration::from_secs(10), timeout: Duration::from_secs(2), fall: n(3), rise: n(2) }
    }
}

impl ActiveHealth {
    /// From the beginning of one check to that of the next: never more than the interval, and never in step with
    /// the checks of the other proxies of a fleet.
    #[must_use]
    pub fn pause(&self, rng: &mut Rng) -> Duration {
        self.interval.mul_f64(1.0 - JITTER * rng.f64())
    }

    /// Within this time another check has begun and ended: what the last one found is old afterwards.
    #[must_use]
    pub fn renewed_within(&self) -> Duration {
        self.interval.saturating_mul(2).saturating_add(self.timeout)
    }
}

/// What the proxy's own check request found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CheckResult {
    /// The answer is the one that is expected: the upstream serves the proxy.
    Passed,
    /// The upstream refuses the proxy too, knows not even the check's path, or answers it in another tongue.
    Refused,
    /// The application answered, and not as expected.
    Unexpected,
    /// No answer came, or one that says the upstream failed.
    Failed,
    /// The answer says nothing about health: it throttles, or does not accept the proxy's signature.
    Unclear,
}

impl CheckResult {
    /// Every result, for zero series at start.
    pub const ALL: [Self; 5] = [Self::Passed, Self::Refused, Self::Unexpected, Self::Failed, Self::Unclear];

    /// A stable name for logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Refused => "refused",
            Self::Unexpected => "unexpected",
            Self::Failed => "failed",
            Self::Unclear => "unclear",
        }
    }

    /// What an answer to the check says; `expected` tells that its status, header and members are those that
    /// the operator named.
    #[must_use]
    pub fn judge(dialect: Dialect, facts: &AnswerFacts, expected: bool) -> Self {
        match classify(dialect, facts).evidence() {
            Evidence::Success if expected => Self::Passed,
            // The gateway's own refusal in other words than its usual ones: a customised response.
            Evidence::Success if matches!(facts.status, 401 | 403) && facts.gateway_spoke() => Self::Refused,
            Evidence::Success => Self::Unexpected,
            Evidence::Failure | Evidence::AppFailure | Evidence::Goodbye | Evidence::Slowness => Self::Failed,
            Evidence::Suspicion | Evidence::Drift => Self::Refused,
            Evidence::None => Self::Unclear,
        }
    }
}

/// What the checks of one upstream have found so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checked {
    /// As far as the checks know it works.
    Up {
        /// Failed checks in a row since.
        failed: u32,
    },
    /// As far as the checks know it does not.
    Down {
        /// Passed checks in a row since.
        passed: u32,
    },
}

impl Default for Checked {
    fn default() -> Self {
        Self::Up { failed: 0 }
    }
}

impl Checked {
    /// One more check has come back.
    #[must_use]
    pub fn after(self, result: CheckResult, policy: &ActiveHealth) -> Self {
        let passed = match result {
            CheckResult::Passed => true,
            CheckResult::Refused | CheckResult::Unexpected | CheckResult::Failed => false,
            CheckResult::Unclear => return self,
        };
        match self {
            Self::Up { .. } if passed => Self::Up { failed: 0 },
            Self::Up { failed } if failed + 1 >= policy.fall.get() => Self::Down { passed: 0 },
            Self::Up { failed } => Self::Up { failed: failed + 1 },
            Self::Down { .. } if !passed => Self::Down { passed: 0 },
            Self::Down { passed } if passed + 1 >= policy.rise.get() => Self::Up { failed: 0 },
            Self::Down { passed } => Self::Down { passed: passed + 1 },
        }
    }

    /// The last word of the checks is that it works.
    #[must_use]
    pub const fn is_up(self) -> bool {
        matches!(self, Self::Up { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classify::{BodyFacts, GatewayErrorType as E};

    fn run(results: &str) -> Vec<bool> {
        let policy = ActiveHealth::default();
        let mut checked = Checked::default();
        let mut ups = Vec::new();
        for result in results.chars() {
            checked = checked.after(
                match result {
                    '+' => CheckResult::Passed,
                    '-' => CheckResult::Failed,
                    'r' => CheckResult::Refused,
                    'u' => CheckResult::Unexpected,
                    _ => CheckResult::Unclear,
                },
                &policy,
            );
            ups.push(checked.is_up());
        }
        ups
    }

    #[test]
    fn three_failed_checks_in_a_row_fall_and_two_passed_ones_rise() {
        assert_eq!(run("--+---"), [true, true, true, true, true, false]);
        assert_eq!(run("ru-"), [true, true, false], "whatever the check did not like counts");
        assert_eq!(run("---+-++"), [true, true, false, false, false, false, true]);
    }

    #[test]
    fn a_check_that_says_nothing_counts_for_nothing() {
        assert_eq!(run("--?-"), [true, true, true, false]);
        assert_eq!(run("---+?+"), [true, true, false, false, false, true]);
    }

    fn judged(status: u16, error_type: Option<E>, body: BodyFacts, expected: bool) -> CheckResult {
        let facts = AnswerFacts {
            status,
            error_type,
            fhir_media: error_type.is_none(),
            fhir_expected: true,
            body,
            retry_after: None,
        };
        CheckResult::judge(Dialect::ApiGateway, &facts, expected)
    }

    #[test]
    fn an_answer_to_the_check_is_judged_like_any_other_and_then_by_what_was_expected() {
        use CheckResult as R;
        let forbidden = BodyFacts::ForbiddenMessage;
        for (status, error_type, body, expected, result) in [
            (200, None, BodyFacts::Json, true, R::Passed),
            (404, None, BodyFacts::Json, true, R::Passed),
            (200, None, BodyFacts::Json, false, R::Unexpected),
            (404, None, BodyFacts::Json, false, R::Unexpected),
            (401, None, BodyFacts::Json, false, R::Unexpected),
            (401, Some(E::Other), BodyFacts::Json, false, R::Refused),
            (403, Some(E::Forbidden), forbidden, true, R::Refused),
            (403, Some(E::MissingAuthenticationToken), BodyFacts::Json, false, R::Refused),
            (200, None, BodyFacts::Html, true, R::Refused),
            (200, None, BodyFacts::LambdaError, true, R::Failed),
            (200, None, BodyFacts::Envelope { status: 503 }, true, R::Failed),
            (503, None, BodyFacts::Json, true, R::Failed),
            (500, Some(E::Internal), BodyFacts::InternalMessage, false, R::Failed),
            (429, Some(E::TooManyRequests), BodyFacts::Json, false, R::Unclear),
            (429, Some(E::LimitExceeded), BodyFacts::Json, false, R::Unclear),
            (429, None, BodyFacts::Json, false, R::Unclear),
            (403, Some(E::Signature), BodyFacts::Json, false, R::Unclear),
        ] {
            assert_eq!(
                judged(status, error_type, body, expected),
                result,
                "{status} {error_type:?} {body:?}"
            );
        }
    }
}
