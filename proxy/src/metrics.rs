//! Every metric family, declared once: name, type, labels, help. Labels are words of the configuration and of
//! the core, never of a request, so the series are as many after a year as at the start.

mod families;
mod scrape;
mod series;

pub use scrape::expose;

use crate::config::Listener;
use crate::quota::store::Trouble;
use crate::record::Visit;
use crate::snapshot::{LivePool, Snapshot};
use aorta_core::admission::{Priority, Shed};
use aorta_core::check::CheckResult;
use aorta_core::classify::Class;
use aorta_core::exchange::Late;
use aorta_core::pool::PoolEvent;
use aorta_core::receipt::{End, Felt, Receipt};
use families::Families;
use prometheus::Registry;
use prometheus::process_collector::ProcessCollector;
use series::{FhirSeries, PoolSeries, RouteSeries};

/// The counters of this process. Those that a request moves are looked up once, at start.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    families: Families,
    routes: Vec<RouteSeries>,
    unrouted: RouteSeries,
    pools: Vec<PoolSeries>,
    fhir: Option<FhirSeries>,
}

impl Metrics {
    /// All families with a zero series for everything the configuration names, and those of the process itself.
    ///
    /// # Errors
    /// When two families bear one name.
    pub fn new(snapshot: &Snapshot, listeners: &[Listener]) -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        registry.register(Box::new(ProcessCollector::for_self()))?;
        let families = Families::register(&registry)?;
        families.say_what_does_not_change(listeners);
        let settings = snapshot.route_settings.iter().map(|settings| settings.rate_limit.is_some());
        let routes = snapshot.routes.routes().iter().zip(settings);
        let routes =
            routes.map(|(route, limited)| RouteSeries::new(&families, &route.name, limited)).collect();
        let pools = snapshot.pools.iter().map(|pool| PoolSeries::new(&families, pool)).collect();
        let unrouted = RouteSeries::new(&families, "", false);
        let speaks_fhir = snapshot.pools.iter().any(|pool| pool.config.spec.fhir);
        let fhir = speaks_fhir.then(|| FhirSeries::new(&families));
        Ok(Self { registry, families, routes, unrouted, pools, fhir })
    }

    /// Books a finished visit.
    pub fn book(&self, visit: &Visit, receipt: &Receipt) {
        let route = visit.route.and_then(|route| self.routes.get(route)).unwrap_or(&self.unrouted);
        let felt = receipt.felt();
        route.book(visit.status, felt, visit.elapsed());
        if let (Some(fhir), Some(interaction)) = (&self.fhir, visit.interaction) {
            fhir.book(interaction, visit.status);
        }
        if let Some(standing) = &visit.standing {
            route.counted(standing);
        }
        if let End::Refused(refusal) = receipt.end {
            route.refused(refusal);
        }
        if let Some(pool) = visit.pool.and_then(|pool| self.pools.get(pool)) {
            Self::book_attempts(pool, receipt, felt);
        }
    }

    fn book_attempts(pool: &PoolSeries, receipt: &Receipt, felt: Felt) {
        let mut previous: Option<Class> = None;
        let served = matches!(felt, Felt::Ok | Felt::Rescued);
        for attempt in receipt.attempts.iter() {
            // One that lost a race is booked by its own end.
            if attempt.class != Class::Overtaken {
                pool.attempt(attempt.upstream, attempt.class, attempt.took());
            }
            if attempt.hedge {
                pool.hedge(attempt.class);
            } else if let Some(reason) = previous {
                pool.retry(reason, attempt.class == Class::Answered);
            }
            previous = Some(attempt.class);
        }
        if let Some(denial) = receipt.denial {
            pool.denied(denial);
        }
        if served
            && let (Some(first), Some(last)) = (receipt.attempts.iter().next(), receipt.attempts.deciding())
            && first.upstream != last.upstream
        {
            pool.rescued(first.upstream, last.upstream, last.ended.since(first.ended));
        }
    }

    /// An attempt that had lost a race came to its end.
    pub fn late(&self, pool: usize, late: &Late) {
        if let Some(pool) = self.pools.get(pool) {
            pool.attempt(late.upstream, late.class, late.took);
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
            | PoolEvent::DrillBegan { .. }
            | PoolEvent::DrillEnded { .. }
            | PoolEvent::Panic { .. } => {}
        }
    }

    /// A check of the proxy's own came back.
    pub fn checked(&self, pool: &LivePool, upstream: usize, result: CheckResult) {
        if let Some(config) = pool.config.upstreams.get(upstream) {
            let labels = [pool.name(), config.name.as_str(), result.name()];
            self.families.checks.with_label_values(&labels).inc();
        }
    }

    /// A request found no place in a pool.
    pub fn shed(&self, pool: usize, priority: Priority, shed: Shed) {
        if let Some(pool) = self.pools.get(pool) {
            pool.shed(priority, shed);
        }
    }

    /// A connection was refused: the listener is full, or its client has too many.
    pub fn connection_refused(&self, client_has_too_many: bool) {
        let reason = if client_has_too_many { CONNECTION_REFUSALS[1] } else { CONNECTION_REFUSALS[0] };
        self.families.connections_refused.with_label_values(&[reason]).inc();
    }
}

/// Why a listener takes no more connections.
const CONNECTION_REFUSALS: [&str; 2] = ["listener", "client"];

impl Families {
    /// Gauges that a process sets once, and counters that no pool or route would make.
    fn say_what_does_not_change(&self, listeners: &[Listener]) {
        for reason in CONNECTION_REFUSALS {
            self.connections_refused.with_label_values(&[reason]);
        }
        for trouble in Trouble::ALL {
            self.quota_store_errors.with_label_values(&[trouble.name()]);
        }
        self.lines_lost.with_label_values::<&str>(&[]);
        self.build_info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1.0);
        // The process would not be here otherwise.
        self.config_good.with_label_values::<&str>(&[]).set(1.0);
        for listener in listeners {
            if let Some(end) = listener.tls.as_ref().and_then(|tls| tls.not_after_unix) {
                let address = listener.address.to_string();
                self.certificate_expiry.with_label_values(&[address.as_str()]).set(end as f64);
            }
        }
    }
}

const fn bool_name(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}
