//! What must hold for every upstream. Written from the design's sentences, not from the code it judges.

use crate::domain_laws::DomainLaws;
use crate::request_laws::RequestLaws;
use aorta_core::classify::Class;
use aorta_core::exchange::Attempt;
use aorta_core::fhir_safety::Safety;
use aorta_core::outlier::EjectReason;
use aorta_core::pool::{Guard, Pool, PoolEvent};
use aorta_core::receipt::End;
use aorta_core::simulate::scenario::{Request, Scenario};
use aorta_core::simulate::{Step, What};
use aorta_core::time::Timestamp;
use aorta_core::upstream::Health;
use aorta_core::verdict::Verdict;
use std::collections::BTreeMap;
use std::time::Duration;

/// They say nothing about an upstream.
const BLAMELESS: [Class; 8] = [
    Class::Throttled,
    Class::QuotaExceeded,
    Class::RouteMissing,
    Class::SignatureRefused,
    Class::AppThrottled,
    Class::ClientFault,
    Class::Overtaken,
    Class::Moved,
];

/// What the laws remember of one upstream.
#[derive(Clone)]
struct Memory {
    in_flight: u32,
    /// The attempt that probes it in this period of probing.
    prober: Option<(u64, usize)>,
    /// Reads that could have probed it and did not, in a row.
    passed_by: usize,
    /// Its health, and when that last changed: before this step, and after it.
    before: (Health, Timestamp),
    after: (Health, Timestamp),
}

/// An attempt that is out.
#[derive(Clone, Copy)]
struct Out {
    upstream: usize,
    /// It lost its race, so the end of its exchange is not its own.
    lost: bool,
    /// When the upstream's health had last changed as the attempt began.
    changed: Timestamp,
}

pub(crate) struct UpstreamLaws<'a> {
    scenario: &'a Scenario,
    memories: Vec<Memory>,
    /// By request and number.
    out: BTreeMap<(u64, usize), Out>,
    /// The last step, when it can be nobody's fault but the client's or the throttle's.
    blameless: bool,
    /// Whose attempt the last step ended, when it began before that upstream's health last changed.
    stale: Option<usize>,
}

impl<'a> UpstreamLaws<'a> {
    pub(crate) fn new(scenario: &'a Scenario) -> Self {
        let healthy = (Health::Healthy, Timestamp::ZERO);
        let memory = Memory { in_flight: 0, prober: None, passed_by: 0, before: healthy, after: healthy };
        let memories = vec![memory; scenario.pool.upstreams.len()];
        Self { scenario, memories, out: BTreeMap::new(), blameless: true, stale: None }
    }

    pub(crate) fn watch(&mut self, step: &Step<'_>, requests: &RequestLaws<'_>, domains: &DomainLaws<'_>) {
        if !matches!(step.what, What::Told { .. }) {
            self.remember(step.pool);
        }
        match step.what {
            What::Opened { .. } => self.blameless = true,
            What::Chosen { request, attempt, .. } => {
                self.blameless = true;
                let tried = [requests.tried(request), &domains.closed_to(request)].concat();
                self.chosen(step.at, step.pool, request, attempt, &tried);
            }
            What::Judged { request, number, class, verdict } => {
                self.blameless = BLAMELESS.contains(&class);
                let streams = request.streams && class == Class::Answered && verdict == Verdict::Forward;
                self.judged((request.id, number), streams);
                if verdict == Verdict::Forward {
                    let others = self.out.range_mut((request.id, 0)..=(request.id, usize::MAX));
                    others.filter(|(key, _)| key.1 != number).for_each(|(_, out)| out.lost = true);
                }
            }
            What::Left { request, number } => {
                self.blameless = true;
                self.judged((request.id, number), false);
            }
            What::Lost { request, number, late } => {
                assert!(late.class != Class::Overtaken, "a loser's own end is its class");
                self.blameless = BLAMELESS.contains(&late.class);
                self.judged((request.id, number), false);
            }
            What::Closed { request, receipt, .. } => {
                self.blameless = receipt.end == End::Abandoned;
                let of_it = self.out.range((request.id, 0)..=(request.id, usize::MAX));
                let ended: Vec<_> = of_it.filter(|(_, out)| !out.lost).map(|(key, _)| *key).collect();
                ended.into_iter().for_each(|key| self.judged(key, false));
            }
            What::Verified { .. } | What::Checked { .. } | What::Ordered { .. } => self.blameless = false,
            What::Told { event } => self.told(step.at, step.pool, event),
            What::Drill | What::Reloaded => {}
        }
        always(step.pool);
        for (upstream, memory) in step.pool.upstreams().iter().zip(&self.memories) {
            assert_eq!(upstream.in_flight(), memory.in_flight, "attempts that are out are counted");
            if let Health::Probing { busy, .. } = upstream.health() {
                assert_eq!(busy, memory.prober.is_some(), "the slot is taken while the probe is out");
            }
        }
    }

    pub(crate) fn at_rest(&self) {
        assert!(self.memories.iter().all(|memory| memory.in_flight == 0), "nothing stays in flight");
    }

    fn chosen(&mut self, at: Timestamp, pool: &Pool, request: Request, attempt: Attempt, tried: &[usize]) {
        let health = pool.upstreams()[attempt.upstream.number()].health();
        let in_rotation_tried = (0..)
            .zip(pool.upstreams())
            .all(|(index, held)| !held.health().in_rotation() || tried.contains(&index));
        assert!(
            health.in_rotation() || attempt.probe || pool.in_panic() || in_rotation_tried,
            "an ejected upstream was asked without need"
        );
        let roams = request.terms.safety != Safety::Safe || self.scenario.pool.write_affinity.is_zero();
        if roams && !attempt.probe && !pool.in_panic() {
            standby_waits(at, pool, attempt.upstream.number(), tried);
        }
        let changed = pool.upstreams()[attempt.upstream.number()].changed();
        let key = (request.id, attempt.number);
        self.out.insert(key, Out { upstream: attempt.upstream.number(), changed, lost: false });
        let memory = &mut self.memories[attempt.upstream.number()];
        memory.in_flight += 1;
        if attempt.probe {
            assert!(matches!(health, Health::Probing { .. }), "only a probed upstream is probed");
            assert_eq!(memory.prober, None, "one probe at a time");
            memory.prober = Some(key);
            memory.passed_by = 0;
        }
        let may_probe = request.terms.safety == Safety::Safe && request.terms.replayable;
        // A reader that looks for its own write passes other stores by.
        let roams = self.scenario.pool.write_affinity.is_zero();
        if may_probe && roams && attempt.number == 1 && !pool.in_panic() {
            self.pass_by(at, pool);
        }
    }

    /// Liveness: whoever waits for a probe gets one of the next few reads.
    fn pass_by(&mut self, at: Timestamp, pool: &Pool) {
        let most = self.memories.len();
        for (upstream, memory) in pool.upstreams().iter().zip(&mut self.memories) {
            let due = match upstream.health() {
                Health::Ejected { until, .. } => until <= at,
                Health::Probing { busy, .. } => !busy,
                Health::Healthy | Health::Degraded { .. } | Health::Draining { .. } => false,
            };
            memory.passed_by = if due && upstream.skip_until() <= at { memory.passed_by + 1 } else { 0 };
            assert!(memory.passed_by <= most, "{} waits for a probe in vain", upstream.name());
        }
    }

    fn judged(&mut self, key: (u64, usize), streams: bool) {
        let Some(&Out { upstream, changed, .. }) = self.out.get(&key) else { return };
        let memory = &mut self.memories[upstream];
        self.stale = (changed != memory.before.1).then_some(upstream);
        if memory.prober == Some(key) {
            memory.prober = None;
        }
        if !streams {
            memory.in_flight -= 1;
            self.out.remove(&key);
        }
    }

    fn told(&mut self, at: Timestamp, pool: &Pool, event: PoolEvent) {
        let policy = &self.scenario.pool.passive_health;
        match event {
            // The order laws look at those.
            PoolEvent::Ejected { upstream, reason: EjectReason::Operator, .. }
            | PoolEvent::Drained { upstream } => self.memories[upstream.number()].prober = None,
            PoolEvent::Undrained { .. } => {}
            PoolEvent::Ejected { upstream, reason, until, enforced } => {
                assert_eq!(enforced, !policy.dry_run, "a dry run ejects nobody");
                assert!(!self.blameless, "a client's own mistake ejected an upstream");
                assert_ne!(
                    self.stale,
                    Some(upstream.number()),
                    "an attempt from before an ejection condemned"
                );
                self.was_guilty(at, upstream.number(), reason);
                // In a dry run only an operator's ejection is probed, and goes on being.
                if enforced {
                    self.memories[upstream.number()].prober = None;
                    let enough = pool.healthy() >= policy.min_healthy.get() as usize;
                    let was_in = self.memories[upstream.number()].before.0.in_rotation();
                    assert!(enough || !was_in, "the last healthy upstream was ejected");
                    let length = at.until(until);
                    assert!(length <= policy.ejection_max.max(policy.ejection), "ejected for {length:?}");
                    assert!(length >= policy.ejection.mul_f64(0.79), "ejected for {length:?}");
                }
            }
            PoolEvent::ProbingStarted { upstream } => self.memories[upstream.number()].passed_by = 0,
            PoolEvent::EjectionPrevented { upstream, guard: Guard::LastUpstream | Guard::MinHealthy } => {
                assert!(!self.blameless, "a client's own mistake condemned an upstream");
                if let Health::Degraded { reason, .. } = pool.upstreams()[upstream.number()].health() {
                    self.was_guilty(at, upstream.number(), reason);
                }
            }
            PoolEvent::Readmitted { upstream } => {
                assert_ne!(
                    self.stale,
                    Some(upstream.number()),
                    "an attempt from before an ejection readmitted"
                );
            }
            PoolEvent::EjectionPrevented { guard: Guard::Unverified, .. }
            | PoolEvent::VerifyWanted { .. }
            | PoolEvent::DrillBegan { .. }
            | PoolEvent::DrillEnded { .. }
            | PoolEvent::Panic { .. } => {}
        }
    }

    /// Whoever is ejected had bad weather lately: neither a bad key, nor haste, nor old sins condemn it.
    fn was_guilty(&self, at: Timestamp, upstream: usize, reason: EjectReason) {
        let Scenario { pool, traffic, skies, .. } = self.scenario;
        if reason == EjectReason::DeniedEveryClient && traffic.bad_keys >= 2 {
            return;
        }
        // One that was held in rotation against its record is judged by what it did before that.
        let counted_from = match self.memories[upstream].before {
            (Health::Degraded { .. }, since) => since,
            _ => at,
        };
        let span = pool.passive_health.window + pool.timeouts.attempt + Duration::from_secs(5);
        let from = Timestamp::from_micros(counted_from.since(Timestamp::ZERO + span).as_micros() as u64);
        assert!(!skies[upstream].is_clear(from, at), "a fine upstream was condemned for {reason:?}");
    }

    fn remember(&mut self, pool: &Pool) {
        self.stale = None;
        for (upstream, memory) in pool.upstreams().iter().zip(&mut self.memories) {
            memory.before = memory.after;
            memory.after = (upstream.health(), upstream.changed());
        }
    }
}

/// A higher number is asked only when no lower one that this request could still ask is whole.
fn standby_waits(at: Timestamp, pool: &Pool, asked: usize, tried: &[usize]) {
    let priority = pool.upstreams()[asked].priority();
    for (index, held) in pool.upstreams().iter().enumerate() {
        let willing = held.skip_until() <= at && !held.is_being_verified(at);
        let is_whole = held.health().in_rotation() && willing && held.strength(at) == 100;
        let should_serve = held.priority() < priority && is_whole && !tried.contains(&index);
        // Everybody was asked already: then the one asked longest ago is, whatever its priority.
        let again = tried.contains(&asked);
        assert!(!should_serve || again, "a standby was asked while {} could serve", held.name());
    }
}

/// What holds at every moment.
fn always(pool: &Pool) {
    let standing = pool.upstreams().iter().any(|held| !held.health().is_draining());
    assert_eq!(pool.in_panic(), pool.healthy() == 0 && standing, "panic is when nobody is healthy");
}
