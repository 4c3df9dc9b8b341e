//! What the proxy's own checks taught the pool: those that verify a denial, and those that come by themselves.

use super::{Guard, Pool, PoolEvent, Rule};
use crate::check::{CheckResult, Checked};
use crate::outlier::EjectReason;
use crate::time::Timestamp;
use crate::upstream::{Health, Suspicion, UpstreamKey};
use fastrand::Rng;
use std::time::Duration;

/// A passed check clears an upstream for this long, so that one mis-keyed client causes one check a second.
const VERIFY_PAUSE: Duration = Duration::from_secs(1);

/// A check that is out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckOut {
    /// Which upstream is asked.
    pub upstream: UpstreamKey,
    epoch: u32,
}

impl Pool {
    /// Reports what a check found that was asked for by [`PoolEvent::VerifyWanted`].
    pub fn verified(&mut self, upstream: UpstreamKey, result: CheckResult, now: Timestamp, rng: &mut Rng) {
        let Some(place) = self.place(upstream) else { return };
        let held = &mut self.upstreams[place];
        if !matches!(held.suspicion, Suspicion::Verifying { .. }) {
            return;
        }
        held.suspicion = Suspicion::None;
        self.crowd.forget();
        match result {
            // A success, and also a throttle or an answer of the application's: nothing confirms the denial.
            CheckResult::Passed | CheckResult::Unexpected | CheckResult::Unclear => {
                held.suspicion = Suspicion::Cleared { until: now + VERIFY_PAUSE };
                self.events.push(PoolEvent::EjectionPrevented { upstream, guard: Guard::Unverified });
            }
            CheckResult::Refused => self.eject(place, EjectReason::DeniedVerified, now, rng),
            CheckResult::Failed => self.on_failure(place, false, now, rng),
        }
    }

    /// A check that nothing but time asked for begins; its end is reported to [`Pool::checked`].
    #[must_use]
    pub fn begin_check(&self, upstream: UpstreamKey) -> Option<CheckOut> {
        self.spec.active_health?;
        self.upstream(upstream).map(|held| CheckOut { upstream, epoch: held.epoch })
    }

    /// Such a check came back.
    pub fn checked(&mut self, out: CheckOut, result: CheckResult, now: Timestamp, rng: &mut Rng) {
        let (Some(policy), Some(place)) = (self.spec.active_health, self.place(out.upstream)) else {
            return;
        };
        let held = &mut self.upstreams[place];
        let failed_before = held.checked != Checked::default();
        let after = held.checked.after(result, &policy);
        let turned = held.checked.is_up() != after.is_up();
        // What it saw was before the last change of health: it counts, and decides nothing.
        let is_old = held.epoch != out.epoch && self.spec.keeps(Rule::ForgetTheStale);
        if !(is_old && turned) {
            held.checked = after;
        }
        if is_old || result == CheckResult::Unclear {
            return;
        }
        if result == CheckResult::Passed {
            self.on_passed_check(place, (failed_before, turned), now, rng);
        } else {
            self.on_failed_check(place, turned, now, rng);
        }
    }

    fn on_passed_check(
        &mut self,
        upstream: usize,
        (failed_before, rose): (bool, bool),
        now: Timestamp,
        rng: &mut Rng,
    ) {
        let held = &mut self.upstreams[upstream];
        let is_settled = held.health == Health::Healthy || held.health.is_draining();
        let sees = held.cause.is_seen_by_checks() || !self.spec.keeps(Rule::ExcuseWhatIsSeen);
        // What the application did to clients no check excuses. But one that met a failure as well, and passes now,
        // has news of it: a request may find out.
        let has_news = failed_before && held.cause != EjectReason::Operator;
        if is_settled || !(sees || has_news) {
            return;
        }
        if rose && sees {
            self.readmit(upstream, now, rng);
            return;
        }
        // The wait is over, and a request may find out the rest. But where a probe has failed although the checks
        // passed they do not see what ails it: then the wait is as long as it is.
        if let Health::Ejected { reason, .. } = held.health
            && (reason != EjectReason::ProbeFailed || held.check_failed)
        {
            self.open_probe(upstream, reason, now);
        }
    }

    fn on_failed_check(&mut self, upstream: usize, fell: bool, now: Timestamp, rng: &mut Rng) {
        let renewed_within = self.spec.active_health.unwrap_or_default().renewed_within();
        let held = &mut self.upstreams[upstream];
        held.check_failed = true;
        let sees = held.cause.is_seen_by_checks();
        match &mut held.health {
            Health::Healthy if fell => self.eject(upstream, EjectReason::CheckFailed, now, rng),
            // A request that probed it now would most likely fail; the next check is the better probe, and ends
            // the wait when it passes.
            Health::Ejected { until, .. } if sees => *until = (*until).max(now + renewed_within),
            Health::Probing { .. } if sees => self.eject(upstream, EjectReason::CheckFailed, now, rng),
            Health::Healthy
            | Health::Degraded { .. }
            | Health::Ejected { .. }
            | Health::Probing { .. }
            | Health::Draining { .. } => {}
        }
    }
}
