//! Every metric family, declared once: name, type, labels, help. Labels are words of the configuration and of
//! the core, never of a request, so the series are as many after a year as at the start.

mod families;
mod scrape;
mod series;

pub use scrape::expose;

use crate::record::Visit;
use crate::snapshot::{LivePool, Snapshot};
use aorta_core::classify::Class;
use aorta_core::pool::PoolEvent;
use aorta_core::receipt::{Felt, Receipt};
use families::Families;
use prometheus::Registry;
use series::{PoolSeries, RouteSeries};

/// The counters of this process. Those that a request moves are looked up once, at start.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    families: Families,
    routes: Vec<RouteSeries>,
    unrouted: RouteSeries,
    pools: Vec<PoolSeries>,
}

impl Metrics {
    /// All families with a zero series for everything the configuration names.
    ///
    /// # Errors
    /// When two families bear one name.
    pub fn new(snapshot: &Snapshot) -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let families = Families::register(&registry)?;
        let routes =
            snapshot.routes.routes().iter().map(|route| RouteSeries::new(&families, &route.name)).collect();
        let pools = snapshot.pools.iter().map(|pool| PoolSeries::new(&families, pool)).collect();
        let unrouted = RouteSeries::new(&families, "");
        Ok(Self { registry, families, routes, unrouted, pools })
    }

    /// Books a finished visit.
    pub fn book(&self, visit: &Visit, receipt: &Receipt) {
        let route = visit.route.and_then(|route| self.routes.get(route)).unwrap_or(&self.unrouted);
        let felt = receipt.felt();
        route.book(visit.status, felt, visit.elapsed());
        if let Some(pool) = visit.pool.and_then(|pool| self.pools.get(pool)) {
            Self::book_attempts(pool, receipt, felt);
        }
    }

    fn book_attempts(pool: &PoolSeries, receipt: &Receipt, felt: Felt) {
        let mut previous: Option<Class> = None;
        let served = matches!(felt, Felt::Ok | Felt::Rescued);
        for attempt in receipt.attempts.iter() {
            pool.attempt(attempt.upstream, attempt.class, attempt.took());
            if let Some(reason) = previous {
                pool.retry(reason, attempt.class == Class::Answered);
            }
            previous = Some(attempt.class);
        }
        if let Some(denial) = receipt.denial {
            pool.denied(denial);
        }
        if served
            && let (Some(first), Some(last)) = (receipt.attempts.iter().next(), receipt.attempts.last())
            && first.upstream != last.upstream
        {
            pool.rescued(first.upstream, last.upstream, last.ended.since(first.ended));
        }
    }

    /// A failure hid behind a success.
    pub fn masked(&self, pool: usize, upstream: usize, kind: &str) {
        if let Some(pool) = self.pools.get(pool) {
            pool.masked(&self.families, upstream, kind);
        }
    }

    /// Something happened in a pool.
    pub fn event(&self, pool: &LivePool, event: &PoolEvent) {
        let name = |upstream: usize| {
            pool.config.upstreams.get(upstream).map_or("", |upstream| upstream.name.as_str())
        };
        match *event {
            PoolEvent::Ejected { upstream, reason, enforced, .. } => self
                .families
                .ejections
                .with_label_values(&[pool.name(), name(upstream), reason.name(), bool_name(enforced)])
                .inc(),
            PoolEvent::EjectionPrevented { upstream, guard } => self
                .families
                .ejections_prevented
                .with_label_values(&[pool.name(), name(upstream), guard.name()])
                .inc(),
            PoolEvent::ProbingStarted { .. }
            | PoolEvent::Readmitted { .. }
            | PoolEvent::VerifyWanted { .. }
            | PoolEvent::Panic { .. } => {}
        }
    }

    /// A connection was refused because the listener is full.
    pub fn connection_refused(&self) {
        self.families.connections_refused.with_label_values::<&str>(&[]).inc();
    }
}

const fn bool_name(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}
