//! A virtual day in a second: seeded traffic and seeded weather around the real [`Exchange`] and [`Pool`].
//!
//! Nothing is imitated but the world outside: requests arrive, upstreams answer, fail or stay silent, clients
//! leave, and the decisions in between are the very code that serves patients. One queue orders everything by
//! virtual time, so a seed replays a run exactly.
//!
//! A fleet is many proxies, each with its own pool, budget and dice, before the same regions: what a region
//! receives, and how it bears it, follows from the sum.
//!
//! 1. [`scenario`]: what a run is given: a fleet, its traffic, and a sky over each upstream.
//! 2. [`weather`]: what upstreams do to requests; the fault catalogue.
//! 3. `region`: one upstream as the whole fleet meets it.
//! 4. `queue`: what happens next.
//! 5. `world`: the runner; it speaks to the core exactly as the adapter does.
//! 6. [`report`], [`timeline`]: what came of it, and when.
//!
//! [`Exchange`]: crate::exchange::Exchange
//! [`Pool`]: crate::pool::Pool

mod queue;
mod region;
pub mod report;
pub mod scenario;
pub mod timeline;
pub mod weather;
mod world;

use crate::check::CheckResult;
use crate::classify::Class;
use crate::drill::DrillPlan;
use crate::exchange::{Attempt, Late};
use crate::order::Declined;
use crate::pool::{Pool, PoolEvent, PoolSpec};
use crate::receipt::Receipt;
use crate::time::Timestamp;
use crate::upstream::UpstreamKey;
use crate::verdict::Verdict;
use report::Report;
use scenario::{OrderAt, Request, Scenario};
use std::sync::Arc;

/// One thing that happened at a proxy, and its pool right after it.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// When.
    pub at: Timestamp,
    /// Which of the fleet.
    pub proxy: usize,
    /// Its pool as it stands now.
    pub pool: &'a Pool,
    /// What.
    pub what: What<'a>,
}

/// What a step was.
#[derive(Clone, Copy, Debug)]
pub enum What<'a> {
    /// A request came in.
    Opened {
        /// Which.
        request: Request,
    },
    /// An attempt went out.
    Chosen {
        /// For which request.
        request: Request,
        /// Where to, and how long it may take.
        attempt: Attempt,
        /// The upstream will run the request, or may have run it for all that can be known.
        executes: bool,
        /// Beside one that is late.
        hedge: bool,
        /// The budget of retries paid for it.
        paid: bool,
    },
    /// An attempt was judged; if another one was out and the answer is forwarded, that one lost its race.
    Judged {
        /// For which request.
        request: Request,
        /// Which of its attempts.
        number: usize,
        /// What the core made of it.
        class: Class,
        /// What follows.
        verdict: Verdict,
    },
    /// An attempt was given up because its upstream was ejected.
    Left {
        /// For which request.
        request: Request,
        /// Which of its attempts.
        number: usize,
    },
    /// An attempt that had lost its race came to its end.
    Lost {
        /// For which request.
        request: Request,
        /// Which of its attempts.
        number: usize,
        /// What came of it.
        late: Late,
    },
    /// An exchange closed.
    Closed {
        /// Which.
        request: Request,
        /// What happened.
        receipt: &'a Receipt,
        /// How often upstreams ran the request.
        executions: u32,
    },
    /// A drill began, or somebody looked whether it must end.
    Drill,
    /// The pool is configured anew.
    Reloaded,
    /// The pool had something to tell.
    Told {
        /// What.
        event: PoolEvent,
    },
    /// The check that verifies a denial came back.
    Verified {
        /// From where.
        upstream: UpstreamKey,
        /// With what.
        result: CheckResult,
    },
    /// An operator gave an order.
    Ordered {
        /// Of which upstream, and what.
        order: OrderAt,
        /// Why it was not carried out, if it was not.
        declined: Option<Declined>,
    },
    /// A check that came by itself is over.
    Checked {
        /// From where.
        upstream: UpstreamKey,
        /// With what.
        result: CheckResult,
    },
}

/// Runs a scenario to its end: arrivals stop after its span, and everything that is out comes home.
///
/// The watcher sees every step; the same scenario and seed give the same steps.
pub fn run(scenario: &Scenario, seed: u64, watch: &mut dyn FnMut(&Step<'_>)) -> Report {
    world::World::new(scenario, seed, watch).run()
}

/// The same with another specification of the pool from each of these moments on, at every proxy. Upstreams that come
/// have the skies that follow; whether the proxies check by themselves must not change.
pub fn run_reloads(
    scenario: &Scenario,
    reloads: &[(Timestamp, Arc<PoolSpec>)],
    seed: u64,
    watch: &mut dyn FnMut(&Step<'_>),
) -> Report {
    world::World::new(scenario, seed, watch).with_reloads(reloads).run()
}

/// The same with a drill, asked for at this moment; no check of the proxy's own meets it.
pub fn run_drill(
    scenario: &Scenario,
    (at, plan): (Timestamp, DrillPlan),
    seed: u64,
    watch: &mut dyn FnMut(&Step<'_>),
) -> Report {
    world::World::new(scenario, seed, watch).with_drill(at, plan).run()
}
