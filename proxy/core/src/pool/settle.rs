//! What an attempt taught the pool: ejection, probation, readmission.

use super::{Choice, Guard, Pool, PoolEvent, Rule, Tier};
use crate::balance::BalancePolicy;
use crate::chronicle::{Heard, Noted};
use crate::classify::{Class, Evidence, Repeat};
use crate::outlier::EjectReason;
use crate::slow_start::Ramp;
use crate::time::Timestamp;
use crate::upstream::{DomainKey, Health, Suspicion, UpstreamKey};
use fastrand::Rng;
use std::time::Duration;

/// A throttling gateway rarely says for how long (API Gateway sends no `Retry-After`); its buckets refill
/// every second.
const THROTTLE_PAUSE: Duration = Duration::from_secs(1);
/// Longer than this no `Retry-After` is believed (the bound linkerd and Envoy use).
const THROTTLE_PAUSE_MAX: Duration = Duration::from_secs(300);
/// A check whose answer never came may be asked for again after this.
const VERIFY_LOST: Duration = Duration::from_secs(10);
/// An ejection's length varies by this share either way, so that a fleet's probes do not come together.
const EJECTION_JITTER: f64 = 0.2;

/// How an attempt ended.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// What it means.
    pub class: Class,
    /// What the answer asked for, when it throttles.
    pub retry_after: Option<Duration>,
    /// A hash of who the client is.
    pub client: u64,
    /// The request writes.
    pub wrote: bool,
    /// What was answered; for people only.
    pub heard: Option<Heard>,
}

impl Pool {
    /// Ends an attempt: books what it taught.
    pub fn settle(&mut self, choice: Choice, outcome: Outcome, now: Timestamp, rng: &mut Rng) {
        let Some(place) = self.place_of(choice) else { return self.settle_retired(choice, outcome, now) };
        let choice = Choice { place, ..choice };
        self.comes_back(place);
        let held = &mut self.upstreams[place];
        let current = held.epoch == choice.epoch || !self.spec.keeps(Rule::ForgetTheStale);
        if current
            && choice.is_probe()
            && let Health::Probing { busy, .. } = &mut held.health
        {
            *busy = false;
            self.crowd.forget();
        }
        held.chronicle.note(Noted {
            at: now,
            class: outcome.class,
            tier: choice.tier,
            took: choice.since.map(|since| now.since(since)),
            counts: current,
            heard: outcome.heard,
        });
        self.heed_throttle(choice, outcome, now);
        self.heed_write(self.upstreams[place].domain, outcome, now);
        let evidence = outcome.class.evidence();
        self.drill_sees(choice.upstream, choice.drilled, evidence);
        if !current {
            return;
        }
        if evidence == Evidence::Success {
            self.time(choice, now);
        } else if self.spec.balance == BalancePolicy::PeakEwma
            && !matches!(evidence, Evidence::Drift | Evidence::None)
        {
            self.upstreams[place].latency.failed(now);
        }
        if evidence == Evidence::Success && self.is_too_slow(choice, now, rng) {
            return;
        }
        match evidence {
            Evidence::Success => self.on_success(place, now, rng),
            Evidence::Failure => self.on_failure(place, false, now, rng),
            Evidence::AppFailure => self.on_failure(place, true, now, rng),
            Evidence::Goodbye => self.on_goodbye(choice, now, rng),
            Evidence::Slowness => self.on_slowness(place, now, rng),
            Evidence::Suspicion => self.on_suspicion(place, outcome.client, now, rng),
            // Without a check nothing tells a lost deployment from a client's wrong path.
            Evidence::Drift if self.spec.active_health.is_some() => {
                self.on_suspicion(place, outcome.client, now, rng);
            }
            Evidence::Drift | Evidence::None => {}
        }
    }

    /// Also a write that only may have been carried out: its client will look for it.
    pub(super) fn heed_write(&mut self, store: Option<DomainKey>, outcome: Outcome, now: Timestamp) {
        let may_stand =
            outcome.class == Class::Answered || outcome.class.repeat() == Repeat::SafeOrIdempotent;
        if outcome.wrote
            && may_stand
            && self.spec.keeps(Rule::ReadOwnWrites)
            && let Some(domain) = store
        {
            self.affinity.wrote(outcome.client, domain, now);
        }
    }

    fn heed_throttle(&mut self, choice: Choice, outcome: Outcome, now: Timestamp) {
        if !self.spec.keeps(Rule::HeedThrottles) {
            return;
        }
        let asked = outcome.retry_after.unwrap_or(THROTTLE_PAUSE).min(THROTTLE_PAUSE_MAX);
        let held = &mut self.upstreams[choice.place];
        match outcome.class {
            Class::Throttled => held.skip_until = held.skip_until.max(now + asked),
            Class::QuotaExceeded => {
                held.skip_until = held.skip_until.max(now + self.spec.passive_health.ejection_max);
            }
            // It was asked although it throttles, and serves: its pause is over, others' may not be.
            Class::Answered if choice.tier == Tier::Throttled => held.skip_until = now,
            Class::AppThrottled => held.bias.halve(choice.since.unwrap_or(now), asked, now),
            _ => return,
        }
        self.crowd.forget();
    }

    fn on_success(&mut self, upstream: usize, now: Timestamp, rng: &mut Rng) {
        let enough = self.spec.passive_health.readmit_successes.get();
        let held = &mut self.upstreams[upstream];
        held.outlier.success(&self.spec.passive_health, now);
        if let Suspicion::OneClient { .. } = held.suspicion {
            held.suspicion = Suspicion::None;
        }
        let readmit = match &mut held.health {
            Health::Healthy | Health::Draining { .. } => false,
            Health::Degraded { successes, .. }
            | Health::Ejected { successes, .. }
            | Health::Probing { successes, .. } => {
                *successes += 1;
                *successes >= enough
            }
        };
        if readmit {
            self.readmit(upstream, now, rng);
        }
    }

    pub(super) fn readmit(&mut self, upstream: usize, now: Timestamp, rng: &mut Rng) {
        let alone = self.healthy() == 0;
        let held = &mut self.upstreams[upstream];
        let was_out = !held.health.in_rotation();
        held.enter(Health::Healthy, now);
        // Somebody must carry the rest meanwhile.
        if was_out && !alone {
            held.ramp = Ramp::begin(self.spec.slow_start, now);
        }
        self.events.push(PoolEvent::Readmitted { upstream: held.key });
        self.review_panic();
        self.release_degraded(now, rng);
    }

    /// Whoever was kept only because nobody healthy was left is not needed any more.
    pub(super) fn release_degraded(&mut self, now: Timestamp, rng: &mut Rng) {
        for index in 0..self.upstreams.len() {
            if let Health::Degraded { reason, .. } = self.upstreams[index].health
                && self.guard_at(index).is_none()
            {
                self.eject(index, reason, now, rng);
            }
        }
    }

    pub(super) fn on_failure(
        &mut self,
        upstream: usize,
        by_application: bool,
        now: Timestamp,
        rng: &mut Rng,
    ) {
        let policy = &self.spec.passive_health;
        let held = &mut self.upstreams[upstream];
        match &mut held.health {
            Health::Healthy => {
                let verdict = if by_application {
                    held.outlier.app_failure(policy, now)
                } else {
                    held.outlier.failure(policy, now)
                };
                if let Some(reason) = verdict {
                    self.eject(upstream, reason, now, rng);
                }
            }
            Health::Degraded { successes, .. } | Health::Ejected { successes, .. } => *successes = 0,
            Health::Probing { .. } => self.eject(upstream, EjectReason::ProbeFailed, now, rng),
            Health::Draining { .. } => {}
        }
    }

    /// It took no request. A probed one that does it as often as a healthy one may has failed its probe.
    fn on_goodbye(&mut self, choice: Choice, now: Timestamp, rng: &mut Rng) {
        let held = &mut self.upstreams[choice.place];
        let Some(reason) = held.outlier.goodbye(&self.spec.passive_health, choice.since.unwrap_or(now), now)
        else {
            return;
        };
        match held.health {
            Health::Healthy => self.eject(choice.place, reason, now, rng),
            Health::Probing { .. } => self.eject(choice.place, EjectReason::ProbeFailed, now, rng),
            Health::Degraded { .. } | Health::Ejected { .. } | Health::Draining { .. } => {}
        }
    }

    fn on_slowness(&mut self, upstream: usize, now: Timestamp, rng: &mut Rng) {
        let held = &mut self.upstreams[upstream];
        match &mut held.health {
            Health::Healthy => {
                if let Some(reason) = held.outlier.slow(&self.spec.passive_health) {
                    self.eject(upstream, reason, now, rng);
                }
            }
            Health::Degraded { successes, .. } | Health::Ejected { successes, .. } => *successes = 0,
            // Only its probe's silence to the end fails a probed one: it may be cold.
            Health::Probing { .. } | Health::Draining { .. } => {}
        }
    }

    fn on_suspicion(&mut self, upstream: usize, client: u64, now: Timestamp, rng: &mut Rng) {
        let held = &mut self.upstreams[upstream];
        match held.health {
            // A denied probe is verified like any denial, or one mis-keyed client could keep a region out.
            Health::Healthy | Health::Probing { .. } => {}
            Health::Degraded { .. } | Health::Ejected { .. } | Health::Draining { .. } => return,
        }
        if !self.spec.keeps(Rule::VerifyDenials) {
            return self.on_failure(upstream, false, now, rng);
        }
        if self.spec.active_health.is_some() {
            let waiting = match held.suspicion {
                Suspicion::Verifying { until } | Suspicion::Cleared { until } => now < until,
                Suspicion::None | Suspicion::OneClient { .. } => false,
            };
            if !waiting {
                held.suspicion = Suspicion::Verifying { until: now + VERIFY_LOST };
                self.crowd.forget();
                self.events.push(PoolEvent::VerifyWanted { upstream: held.key });
            }
            return;
        }
        match held.suspicion {
            Suspicion::OneClient { client: other } if other != client => {
                held.suspicion = Suspicion::None;
                self.eject(upstream, EjectReason::DeniedEveryClient, now, rng);
            }
            _ => held.suspicion = Suspicion::OneClient { client },
        }
    }

    pub(super) fn eject(&mut self, place: usize, reason: EjectReason, now: Timestamp, rng: &mut Rng) {
        let held = &mut self.upstreams[place];
        let upstream = held.key;
        held.chronicle.decide();
        if !self.spec.passive_health.enforces(reason) {
            held.outlier.clear();
            self.events.push(PoolEvent::Ejected { upstream, reason, until: now, enforced: false });
            return;
        }
        if held.health == Health::Healthy {
            held.cause = reason;
        }
        if let Some(guard) = self.guard_at(place) {
            let held = &mut self.upstreams[place];
            held.enter(Health::Degraded { reason, successes: 0 }, now);
            self.events.push(PoolEvent::EjectionPrevented { upstream, guard });
            self.drill_condemns(upstream, false, now);
        } else {
            let policy = &self.spec.passive_health;
            let held = &mut self.upstreams[place];
            held.forgive(policy.window, now);
            let length = policy.ejection_after(held.ejections);
            let length = if self.spec.keeps(Rule::EjectionJitter) {
                jittered(length, policy.ejection_max, rng)
            } else {
                length
            };
            held.ejections = held.ejections.saturating_add(1);
            held.ejected_at = Some(now);
            let until = now + length;
            held.enter(Health::Ejected { reason, until, successes: 0 }, now);
            self.events.push(PoolEvent::Ejected { upstream, reason, until, enforced: true });
            self.drill_condemns(upstream, true, now);
        }
        self.review_panic();
        self.review_drill(now, rng);
    }

    /// What forbids taking this upstream out of rotation.
    #[must_use]
    pub fn guard(&self, upstream: UpstreamKey) -> Option<Guard> {
        self.place(upstream).and_then(|place| self.guard_at(place))
    }

    pub(super) fn guard_at(&self, place: usize) -> Option<Guard> {
        let held = &self.upstreams[place];
        if !held.health.in_rotation() || !self.spec.keeps(Rule::KeepTheLast) {
            return None;
        }
        let others = self
            .upstreams
            .iter()
            .enumerate()
            .filter(|(index, held)| *index != place && held.health == Health::Healthy)
            .count();
        if others == 0 {
            return Some(Guard::LastUpstream);
        }
        let needed = usize::try_from(self.spec.passive_health.min_healthy.get()).unwrap_or(usize::MAX);
        (others < needed).then_some(Guard::MinHealthy)
    }
}

fn jittered(length: Duration, max: Duration, rng: &mut Rng) -> Duration {
    let factor = 1.0 - EJECTION_JITTER + 2.0 * EJECTION_JITTER * rng.f64();
    length.mul_f64(factor).min(max.max(length))
}
