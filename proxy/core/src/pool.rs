//! A pool: named upstreams, who of them is asked next, and who is out.
//!
//! The adapter holds a pool under a short lock. Every method takes the time and, where chance is needed, a
//! generator; what is worth telling comes out of [`Pool::take_events`].

mod checks;
mod choose;
mod crowd;
mod drill;
mod memory;
mod orders;
mod pace;
mod page;
mod passed;
mod probe;
mod reconfigure;
mod rules;
mod settle;

pub use checks::CheckOut;
pub use choose::{Choice, Tier, Wish};
pub use pace::SIBLINGS_MIN;
pub use passed::{PASSED_MAX, Passed, Skip};
pub use rules::Rule;
pub use settle::Outcome;

use crate::admission::Concurrency;
use crate::affinity::WriteAffinity;
use crate::balance::{BalancePolicy, Balancer};
use crate::check::ActiveHealth;
use crate::classify::Dialect;
use crate::drill::{Drill, DrillEnd, Ledger};
use crate::hedge::{self, HedgePolicy, Tail};
use crate::outlier::{EjectReason, PassiveHealth};
use crate::retry::RetryPolicy;
use crate::retry::budget::RetryBudget;
use crate::slow_start::SlowStart;
use crate::time::Timestamp;
use crate::timeout::Timeouts;
use crate::upstream::{Health, Upstream, UpstreamKey, UpstreamSpec};
use crowd::Crowd;
use std::sync::Arc;
use std::time::Duration;

/// Everything that is fixed about a pool.
#[derive(Clone, Debug, Default)]
pub struct PoolSpec {
    /// Unique; a metric label.
    pub name: String,
    /// Whom it asks.
    pub upstreams: Vec<UpstreamSpec>,
    /// Who is asked next among those that may be.
    pub balance: BalancePolicy,
    /// How they answer.
    pub dialect: Dialect,
    /// They speak FHIR.
    pub fhir: bool,
    /// When an upstream is out by what clients' own requests meet.
    pub passive_health: PassiveHealth,
    /// The proxy checks its upstreams by itself, and can verify a denial; none when no check is configured.
    pub active_health: Option<ActiveHealth>,
    /// A client that wrote reads from the same data domain for this long; zero is off.
    pub write_affinity: Duration,
    /// How an upstream comes back.
    pub slow_start: SlowStart,
    /// When a request is tried again.
    pub retry: RetryPolicy,
    /// When a second attempt goes out beside a late one.
    pub hedge: HedgePolicy,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// How many requests it carries at once.
    pub concurrency: Concurrency,
    /// The rule that an experiment leaves out; no configuration can.
    pub without: Option<Rule>,
}

impl PoolSpec {
    pub(crate) fn keeps(&self, rule: Rule) -> bool {
        self.without != Some(rule)
    }

    /// Some upstream's record store is known by name, or is the only one.
    #[must_use]
    pub fn has_data_domain(&self) -> bool {
        self.upstreams.len() == 1 || self.upstreams.iter().any(|upstream| !upstream.data_domain.is_empty())
    }
}

/// What kept a failing upstream in rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Guard {
    /// It is the last healthy one.
    LastUpstream,
    /// Fewer than `min_healthy` would be left.
    MinHealthy,
    /// The proxy's own check passed: the client is the suspect.
    Unverified,
}

impl Guard {
    /// Every guard, for zero series at start.
    pub const ALL: [Self; 3] = [Self::LastUpstream, Self::MinHealthy, Self::Unverified];

    /// A stable name for logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::LastUpstream => "last_upstream",
            Self::MinHealthy => "min_healthy",
            Self::Unverified => "unverified",
        }
    }
}

/// Something worth telling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolEvent {
    /// An upstream left the rotation (or would have, in a dry run).
    Ejected {
        /// Which.
        upstream: UpstreamKey,
        /// Why.
        reason: EjectReason,
        /// When it may be probed.
        until: Timestamp,
        /// False in a dry run.
        enforced: bool,
    },
    /// An upstream stayed in rotation although it should be out.
    EjectionPrevented {
        /// Which.
        upstream: UpstreamKey,
        /// By what.
        guard: Guard,
    },
    /// An upstream may be probed.
    ProbingStarted {
        /// Which.
        upstream: UpstreamKey,
    },
    /// An upstream is back.
    Readmitted {
        /// Which.
        upstream: UpstreamKey,
    },
    /// An upstream takes no new request any more.
    Drained {
        /// Which.
        upstream: UpstreamKey,
    },
    /// An upstream that took none does again, or is tried first.
    Undrained {
        /// Which.
        upstream: UpstreamKey,
    },
    /// The adapter should send this upstream the proxy's own check and report to [`Pool::verified`].
    VerifyWanted {
        /// Which.
        upstream: UpstreamKey,
    },
    /// A drill is under way.
    DrillBegan {
        /// Of which.
        upstream: UpstreamKey,
    },
    /// A drill is over.
    DrillEnded {
        /// Of which.
        upstream: UpstreamKey,
        /// Why.
        end: DrillEnd,
    },
    /// The pool entered or left panic: nobody is healthy, so everybody is eligible.
    Panic {
        /// Entered.
        on: bool,
    },
}

impl PoolEvent {
    /// Which upstream it is about; none when it is about the whole pool.
    #[must_use]
    pub const fn upstream(self) -> Option<UpstreamKey> {
        match self {
            Self::Ejected { upstream, .. }
            | Self::EjectionPrevented { upstream, .. }
            | Self::ProbingStarted { upstream }
            | Self::Readmitted { upstream }
            | Self::Drained { upstream }
            | Self::Undrained { upstream }
            | Self::VerifyWanted { upstream }
            | Self::DrillBegan { upstream }
            | Self::DrillEnded { upstream, .. } => Some(upstream),
            Self::Panic { .. } => None,
        }
    }
}

/// A pool's live state.
#[derive(Clone, Debug)]
pub struct Pool {
    spec: Arc<PoolSpec>,
    upstreams: Vec<Upstream>,
    /// Those that are not configured any more, as long as an attempt at them is out.
    retired: Vec<Upstream>,
    /// The numbers of the next keys, of an upstream and of a record store.
    next_key: u64,
    next_store: u64,
    balancer: Balancer,
    crowd: Crowd,
    /// Attempts that are out at its upstreams, without the retired ones.
    out: u64,
    affinity: WriteAffinity,
    /// The priorities there are, lowest first.
    levels: Vec<u32>,
    budget: RetryBudget,
    hedge_budget: RetryBudget,
    tail: Tail,
    panic: bool,
    /// Upstreams that are not healthy: while there are none, no choice looks for one.
    unwell: usize,
    /// What clients felt while there was no drill.
    ledger: Ledger,
    drill: Option<Box<Drill>>,
    /// How many drills there were.
    drills: u32,
    events: Vec<PoolEvent>,
}

impl Pool {
    /// A pool whose upstreams are all healthy.
    #[must_use]
    pub fn new(spec: Arc<PoolSpec>, now: Timestamp) -> Self {
        let mut pool = Self {
            balancer: Balancer::new(spec.balance, std::iter::empty()),
            budget: RetryBudget::new(spec.retry.budget, now),
            hedge_budget: RetryBudget::new(spec.hedge.budget(), now),
            tail: Tail::new(),
            levels: Vec::new(),
            affinity: WriteAffinity::new(spec.write_affinity),
            panic: false,
            unwell: 0,
            ledger: Ledger::default(),
            drill: None,
            drills: 0,
            events: Vec::new(),
            crowd: Crowd::default(),
            out: 0,
            upstreams: Vec::new(),
            retired: Vec::new(),
            next_key: 0,
            next_store: 0,
            spec,
        };
        let spec = Arc::clone(&pool.spec);
        pool.take_in(&spec, now);
        pool
    }

    /// What is fixed about it.
    #[must_use]
    pub fn spec(&self) -> &PoolSpec {
        &self.spec
    }

    /// Its upstreams, in configured order.
    #[must_use]
    pub fn upstreams(&self) -> &[Upstream] {
        &self.upstreams
    }

    /// One of its upstreams; none when it is not configured any more.
    #[must_use]
    pub fn upstream(&self, key: UpstreamKey) -> Option<&Upstream> {
        self.place(key).map(|index| &self.upstreams[index])
    }

    /// Attempts that are out at upstreams which are not configured any more.
    #[must_use]
    pub fn in_flight_at_retired(&self) -> u32 {
        self.retired.iter().map(Upstream::in_flight).sum()
    }

    /// Those upstreams.
    #[must_use]
    pub fn retired(&self) -> Vec<UpstreamKey> {
        self.retired.iter().map(Upstream::key).collect()
    }

    /// Nobody is healthy, so everybody is eligible.
    #[must_use]
    pub const fn in_panic(&self) -> bool {
        self.panic
    }

    /// Retries it can pay for now.
    #[must_use]
    pub const fn budget_balance(&self) -> f64 {
        self.budget.balance()
    }

    /// Hedges it can pay for now.
    #[must_use]
    pub const fn hedge_budget_balance(&self) -> f64 {
        self.hedge_budget.balance()
    }

    /// What nearly all of its answers to reads take less than; none while too few came.
    #[must_use]
    pub const fn p95(&self) -> Option<Duration> {
        self.tail.p95()
    }

    /// How many upstreams are healthy.
    #[must_use]
    pub fn healthy(&self) -> usize {
        self.upstreams.iter().filter(|upstream| upstream.health == Health::Healthy).count()
    }

    /// What happened since the last call; empty, and free, most of the time.
    #[must_use]
    pub fn take_events(&mut self) -> Vec<PoolEvent> {
        std::mem::take(&mut self.events)
    }

    pub(crate) fn budget(&mut self) -> &mut RetryBudget {
        &mut self.budget
    }

    pub(crate) fn hedge_budget(&mut self) -> &mut RetryBudget {
        &mut self.hedge_budget
    }

    /// One request came in.
    pub(crate) fn deposit(&mut self, now: Timestamp) {
        self.budget.deposit(now);
        if self.spec.hedge.enabled {
            self.hedge_budget.deposit(now);
        }
    }

    /// How late an attempt must be before another one goes out beside it; none when none ever does.
    pub(crate) fn hedge_delay(&self, probe: bool) -> Option<Duration> {
        (probe || self.spec.hedge.enabled).then(|| self.spec.hedge.delay(&self.tail))
    }

    /// What nearly all answers take less than.
    pub(crate) fn usual_time(&self) -> Duration {
        hedge::usual_time(&self.tail)
    }

    /// How long an attempt at this upstream that lost a race is let run on, from its start.
    pub(crate) fn patience(&self, upstream: UpstreamKey, now: Timestamp) -> Duration {
        let usual = self.upstream(upstream).and_then(|held| self.usual(held, now));
        hedge::patience(&self.tail, usual.map(Duration::from_micros))
    }

    /// Out of rotation while others are in, or put out since the attempt began, or configured no more: leaving such
    /// an upstream amplifies nothing. A frozen region's last attempts end when it may be back already.
    pub(crate) fn is_left_freely(&self, upstream: UpstreamKey, since: Timestamp) -> bool {
        let left = |held: &Upstream| {
            !held.health.in_rotation() || held.ejected_at.is_some_and(|ejected_at| ejected_at >= since)
        };
        self.spec.keeps(Rule::LeaveFreely) && !self.panic && self.upstream(upstream).is_none_or(left)
    }

    /// Where an upstream stands among those that are configured.
    fn place(&self, key: UpstreamKey) -> Option<usize> {
        self.upstreams.iter().position(|held| held.key == key)
    }

    /// Somebody's health has changed.
    fn review_panic(&mut self) {
        self.crowd.forget();
        self.unwell = self.upstreams.len() - self.healthy();
        // Whom an operator has drained, no panic brings back.
        let standing = |held: &Upstream| !held.health.is_draining();
        let panic =
            self.unwell > 0 && self.unwell == self.upstreams.len() && self.upstreams.iter().any(standing);
        if panic != self.panic {
            self.panic = panic;
            self.events.push(PoolEvent::Panic { on: panic });
        }
    }
}

#[cfg(test)]
mod tests;
