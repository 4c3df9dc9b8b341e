//! What came of a run.

use super::What;
use super::scenario::{Request, Scenario};
use super::timeline::Timeline;
use crate::drill::{DrillRefusal, Drilled};
use crate::fhir_safety::Safety;
use crate::outlier::EjectReason;
use crate::pool::{Guard, Pool, PoolEvent};
use crate::receipt::{Felt, Receipt};
use crate::retry::Denial;
use crate::time::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

/// The sum of a run.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Requests that came in.
    pub requests: u64,
    /// Attempts made for them.
    pub attempts: u64,
    /// Those that went out beside a late one.
    pub hedges: u64,
    /// Those that were given up because their upstream was ejected: the request went elsewhere.
    pub moved: u64,
    /// Requests whose client's key is refused everywhere; they are in no number below.
    pub bad_keys: u64,
    /// Served by a later attempt than the first.
    pub rescued: u64,
    /// Not served although the client stayed.
    pub lost: u64,
    /// The reads among them.
    pub lost_safe: u64,
    /// Why no other attempt followed the last one of those that were lost, where something forbade it.
    pub lost_because: BTreeMap<&'static str, u64>,
    /// Ended by the client.
    pub abandoned: u64,
    /// Requests that must not be executed twice, and were.
    pub executed_twice: u64,
    /// Attempts at each upstream.
    pub shares: Vec<u64>,
    /// Who was ejected, when and why.
    pub ejections: Vec<(Timestamp, usize, EjectReason)>,
    /// Who was not, when, and what prevented it.
    pub prevented: Vec<(Timestamp, usize, Guard)>,
    /// Who was readmitted, and when.
    pub readmissions: Vec<(Timestamp, usize)>,
    /// What came of the drill, if there was one.
    pub drilled: Option<Drilled>,
    /// Why there was none although one was asked for.
    pub drill_refused: Option<DrillRefusal>,
    /// What half of the served requests took at most.
    pub p50: Duration,
    /// What all but one in a hundred of them took at most.
    pub p99: Duration,
    /// The run step by step.
    pub timeline: Timeline,
    /// A hash over every step: equal for equal runs.
    pub trace: u64,
}

impl Report {
    pub(super) fn new(scenario: &Scenario) -> Self {
        let upstreams = scenario.pool.upstreams.len();
        let timeline = Timeline::new(scenario.span, upstreams);
        Self { shares: vec![0; upstreams], timeline, ..Self::default() }
    }

    /// Attempts for each request; the storm bound is on this.
    #[must_use]
    pub fn attempts_per_request(&self) -> f64 {
        self.attempts as f64 / (self.requests as f64).max(1.0)
    }

    pub(super) fn sample<'p>(&mut self, now: Timestamp, pools: impl Iterator<Item = &'p Pool> + Clone) {
        self.timeline.sample(now, pools);
    }

    pub(super) fn book(&mut self, at: Timestamp, what: &What<'_>) {
        self.mark(at.as_micros());
        match what {
            What::Opened { request } => {
                self.requests += 1;
                self.timeline.at(at).requests += 1;
                self.mark(request.id);
            }
            What::Chosen { request, attempt, hedge, .. } => {
                self.attempts += 1;
                self.hedges += u64::from(*hedge);
                let upstream = attempt.upstream.number();
                for received in [&mut self.shares, &mut self.timeline.at(at).received] {
                    // One that came with a reload.
                    received.resize(received.len().max(upstream + 1), 0);
                    received[upstream] += 1;
                }
                self.mark(request.id);
                self.mark(attempt.upstream.number() as u64);
            }
            What::Left { request, number } => {
                self.moved += 1;
                self.mark(request.id);
                self.mark(*number as u64);
            }
            What::Lost { request, late, .. } => {
                self.mark(request.id);
                self.mark(late.class as u64);
            }
            What::Judged { request, class, .. } => {
                self.mark(request.id);
                self.mark(*class as u64);
            }
            What::Closed { request, receipt, executions } => {
                self.mark(request.id);
                let harms = request.terms.safety == Safety::Unsafe;
                self.executed_twice += u64::from(harms && *executions > 1);
                self.close(at, request, receipt);
            }
            What::Told { event } => self.told(at, *event),
            What::Drill | What::Reloaded => {}
            What::Ordered { order, declined } => {
                self.mark(order.upstream as u64);
                self.mark(u64::from(declined.is_some()));
            }
            What::Verified { upstream, .. } | What::Checked { upstream, .. } => {
                self.mark(upstream.number() as u64);
            }
        }
    }

    pub(super) fn finish(mut self) -> Self {
        (self.p50, self.p99) = self.timeline.finish();
        self
    }

    fn told(&mut self, at: Timestamp, event: PoolEvent) {
        match event {
            PoolEvent::Ejected { upstream, reason, .. } => {
                self.ejections.push((at, upstream.number(), reason));
                self.mark(upstream.number() as u64);
            }
            PoolEvent::EjectionPrevented { upstream, guard } => {
                self.prevented.push((at, upstream.number(), guard));
            }
            PoolEvent::Readmitted { upstream } => self.readmissions.push((at, upstream.number())),
            PoolEvent::Drained { upstream } | PoolEvent::Undrained { upstream } => {
                self.mark(upstream.number() as u64);
            }
            PoolEvent::ProbingStarted { .. }
            | PoolEvent::VerifyWanted { .. }
            | PoolEvent::DrillBegan { .. }
            | PoolEvent::DrillEnded { .. }
            | PoolEvent::Panic { .. } => {}
        }
    }

    fn close(&mut self, at: Timestamp, request: &Request, receipt: &Receipt) {
        let felt = receipt.felt();
        self.mark(felt as u64);
        if request.bad_key {
            self.bad_keys += 1;
            return;
        }
        match felt {
            Felt::Ok => {}
            Felt::Rescued => self.rescued += 1,
            Felt::Abandoned => self.abandoned += 1,
            Felt::Failed | Felt::Rejected => {
                self.lost += 1;
                self.lost_safe += u64::from(request.terms.safety == Safety::Safe);
                let because = receipt.denial.map_or("nothing", Denial::name);
                *self.lost_because.entry(because).or_default() += 1;
            }
        }
        let took = receipt.attempts.deciding().map(|deciding| deciding.ended.since(request.arrived));
        self.timeline.at(at).close(felt, took);
    }

    /// Short, and the same on every machine.
    const fn mark(&mut self, word: u64) {
        self.trace = (self.trace ^ word).wrapping_mul(TRACE_PRIME).rotate_left(29);
    }
}

/// An odd number without pattern: the golden ratio's fraction, as in Fibonacci hashing.
const TRACE_PRIME: u64 = 0x9e37_79b9_7f4a_7c15;
