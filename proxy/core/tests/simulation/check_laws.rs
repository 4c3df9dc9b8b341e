//! What must hold for the proxy's own checks. Written from the design's sentences, not from the code it judges.

use aorta_core::check::CheckResult;
use aorta_core::outlier::EjectReason;
use aorta_core::pool::PoolEvent;
use aorta_core::simulate::scenario::Scenario;
use aorta_core::simulate::{Step, What};
use aorta_core::upstream::Health;
use std::time::Duration;

/// What the laws remember of one upstream.
#[derive(Clone, Default)]
struct Memory {
    /// Checks in a row that failed, and that passed; one that says nothing is none.
    failed: u32,
    passed: u32,
    /// The last one that passed came after one that failed, or after too few others that passed to undo that.
    had_news: bool,
    /// What first condemned it since it was last healthy.
    cause: Option<EjectReason>,
}

pub(crate) struct CheckLaws<'a> {
    scenario: &'a Scenario,
    memories: Vec<Memory>,
    /// The check that the last step was.
    checked: Option<(usize, CheckResult)>,
}

impl<'a> CheckLaws<'a> {
    pub(crate) fn new(scenario: &'a Scenario) -> Self {
        let memories = vec![Memory::default(); scenario.pool.upstreams.len()];
        Self { scenario, memories, checked: None }
    }

    pub(crate) fn watch(&mut self, step: &Step<'_>) {
        match step.what {
            What::Told { event } => self.told(event),
            What::Checked { upstream, result } => {
                self.checked = Some((upstream.number(), result));
                let memory = &mut self.memories[upstream.number()];
                let rise = self.scenario.pool.active_health.map_or(0, |policy| policy.rise.get());
                match result {
                    CheckResult::Unclear => {}
                    CheckResult::Passed => {
                        memory.had_news = memory.failed > 0 || (memory.had_news && memory.passed < rise);
                        (memory.failed, memory.passed) = (0, memory.passed + 1);
                    }
                    _ => (memory.failed, memory.passed) = (memory.failed + 1, 0),
                }
            }
            _ => self.checked = None,
        }
        for (memory, held) in self.memories.iter_mut().zip(step.pool.upstreams()) {
            match held.health() {
                Health::Healthy | Health::Draining { .. } => memory.cause = None,
                Health::Degraded { reason, .. } => {
                    memory.cause.get_or_insert(reason);
                }
                // An operator's ejection is as long as it was ordered.
                Health::Ejected { reason: EjectReason::Operator, .. } => {
                    memory.cause = Some(EjectReason::Operator);
                }
                Health::Ejected { reason, until, .. } => {
                    memory.cause.get_or_insert(reason);
                    let waits = step.at.until(until);
                    assert!(waits <= longest_wait(self.scenario), "nobody may probe it for {waits:?}");
                }
                Health::Probing { .. } => {}
            }
        }
    }

    fn told(&self, event: PoolEvent) {
        match event {
            PoolEvent::Ejected { upstream, reason: EjectReason::CheckFailed, .. } => {
                let policy = self.scenario.pool.active_health.expect("nobody checks by itself unasked");
                let memory = &self.memories[upstream.number()];
                let enough = memory.failed >= policy.fall.get();
                assert!(enough || memory.cause.is_some(), "ejected after {} failed checks", memory.failed);
            }
            PoolEvent::Readmitted { upstream } if self.is_after_a_check_of(upstream.number()) => {
                let rise = self.scenario.pool.active_health.map_or(0, |policy| policy.rise.get());
                let memory = &self.memories[upstream.number()];
                assert!(memory.passed >= rise, "readmitted after {} passed checks", memory.passed);
                assert!(memory.cause.is_none_or(checks_can_tell), "a check excused {:?}", memory.cause);
            }
            PoolEvent::ProbingStarted { upstream } if self.is_after_a_check_of(upstream.number()) => {
                let cause = self.memories[upstream.number()].cause;
                let has_news =
                    self.memories[upstream.number()].had_news && cause != Some(EjectReason::Operator);
                assert!(
                    has_news || cause.is_none_or(checks_can_tell),
                    "a check ended the wait after {cause:?}, of which it has seen nothing"
                );
            }
            _ => {}
        }
    }

    fn is_after_a_check_of(&self, upstream: usize) -> bool {
        self.checked.is_some_and(|(checked, _)| checked == upstream)
    }
}

/// Liveness: whatever happens, an ejected upstream may be probed again within this.
fn longest_wait(scenario: &Scenario) -> Duration {
    let passive = &scenario.pool.passive_health;
    let next_check = scenario.pool.active_health.map(|policy| policy.interval * 2 + policy.timeout);
    passive.ejection.max(passive.ejection_max).max(next_check.unwrap_or_default())
}

/// The application's failures are not the checks' to forgive, nor is an operator's will theirs to override.
fn checks_can_tell(cause: EjectReason) -> bool {
    use EjectReason as R;
    !matches!(cause, R::ConsecutiveAppFailures | R::SuccessRate | R::Operator)
}
