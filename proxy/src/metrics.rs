//! Every metric family, declared once: name, type, labels, help. Labels are words of the configuration and of
//! the core, never of a request, so the series are as many after a year as at the start.

mod families;
mod gone;
mod scrape;
mod series;

pub use scrape::expose;
pub use series::{PoolSeries, RouteSeries, UpstreamSeries};

use crate::config::{Listener, PoolConfig};
use crate::quota::store::Trouble;
use crate::record::{Visit, upstream_name};
use crate::reload::Cause;
use crate::snapshot::{LivePool, Snapshot};
use aorta_core::check::CheckResult;
use aorta_core::classify::Class;
use aorta_core::exchange::Late;
use aorta_core::pool::PoolEvent;
use aorta_core::receipt::{End, Felt, Receipt};
use aorta_core::upstream::UpstreamKey;
use families::Families;
use gone::Gone;
use parking_lot::Mutex;
use prometheus::Registry;
use prometheus::process_collector::ProcessCollector;
use series::FhirSeries;
use std::sync::{Arc, OnceLock};

/// The counters of this process. Those that a request moves are looked up once, when a configuration comes into force.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    families: Families,
    unrouted: RouteSeries,
    fhir: OnceLock<FhirSeries>,
    gone: Mutex<Vec<Gone>>,
    /// Held while gauges are read: none is read from a configuration that is in force no more.
    scraping: Mutex<()>,
}

impl Metrics {
    /// All families, with the series of the process itself.
    ///
    /// # Errors
    /// When two families bear one name.
    pub fn new(listeners: &[Listener]) -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        registry.register(Box::new(ProcessCollector::for_self()))?;
        let families = Families::register(&registry)?;
        families.say_what_does_not_change(listeners);
        let unrouted = RouteSeries::new(&families, "", false);
        Ok(Self {
            registry,
            families,
            unrouted,
            fhir: OnceLock::new(),
            gone: Mutex::default(),
            scraping: Mutex::default(),
        })
    }

    /// The series of a route, zero at first.
    #[must_use]
    pub fn route(&self, name: &str, limited: bool) -> Arc<RouteSeries> {
        Arc::new(RouteSeries::new(&self.families, name, limited))
    }

    /// The series of a pool, zero at first.
    #[must_use]
    pub fn pool(&self, pool: &PoolConfig) -> Arc<PoolSeries> {
        if pool.spec.fhir {
            self.fhir.get_or_init(|| FhirSeries::new(&self.families));
        }
        Arc::new(PoolSeries::new(&self.families, pool))
    }

    /// The series of an upstream, zero at first; those that it had already, if they will do.
    #[must_use]
    pub fn upstream(
        &self,
        pool: &PoolConfig,
        name: &str,
        before: Option<&Arc<UpstreamSeries>>,
    ) -> Arc<UpstreamSeries> {
        if let Some(before) = before.filter(|before| before.are_for(pool)) {
            return Arc::clone(before);
        }
        Arc::new(UpstreamSeries::new(&self.families, pool, name))
    }

    /// Books a finished visit.
    pub fn book(&self, snapshot: &Snapshot, visit: &Visit, receipt: &Receipt) {
        let route = visit.route.and_then(|route| snapshot.route_series.get(route));
        let route = route.map_or(&self.unrouted, |route| &**route);
        let felt = receipt.felt();
        route.book(visit.status, felt, visit.elapsed());
        if let (Some(fhir), Some(interaction)) = (self.fhir.get(), visit.interaction) {
            fhir.book(interaction, visit.status);
        }
        if let Some(standing) = &visit.standing {
            route.counted(standing);
        }
        if let End::Refused(refusal) = receipt.end {
            route.refused(refusal);
        }
        if let Some(pool) = visit.pool.and_then(|pool| snapshot.pools.get(pool)) {
            self.book_attempts(pool, receipt, felt);
        }
    }

    fn book_attempts(&self, pool: &LivePool, receipt: &Receipt, felt: Felt) {
        let mut previous: Option<Class> = None;
        let served = matches!(felt, Felt::Ok | Felt::Rescued);
        for attempt in receipt.attempts.iter() {
            // One that lost a race is booked by its own end.
            if attempt.class != Class::Overtaken
                && let Some(upstream) = pool.upstream(attempt.upstream)
            {
                upstream.series.attempt(attempt.class, attempt.took());
            }
            if attempt.hedge {
                pool.series.hedge(attempt.class);
            } else if let Some(reason) = previous {
                pool.series.retry(reason, attempt.class == Class::Answered);
            }
            previous = Some(attempt.class);
        }
        if let Some(denial) = receipt.denial {
            pool.series.denied(denial);
        }
        if served
            && let (Some(first), Some(last)) = (receipt.attempts.iter().next(), receipt.attempts.deciding())
            && first.upstream != last.upstream
            && let (Some(from), Some(to)) = (pool.upstream(first.upstream), pool.upstream(last.upstream))
        {
            let labels = [pool.name(), from.config.name.as_str(), to.config.name.as_str()];
            self.families.rescued.with_label_values(&labels).inc();
            pool.series.rescued(last.ended.since(first.ended));
        }
    }

    /// An attempt that had lost a race came to its end.
    pub fn late(&self, pool: &LivePool, late: &Late) {
        if let Some(upstream) = pool.upstream(late.upstream) {
            upstream.series.attempt(late.class, late.took);
        }
    }

    /// A failure hid behind a success.
    pub fn masked(&self, pool: &LivePool, upstream: UpstreamKey, kind: &str) {
        if let Some(upstream) = pool.upstream(upstream) {
            self.families.masked.with_label_values(&[pool.name(), &upstream.config.name, kind]).inc();
        }
    }

    /// Something happened in a pool.
    pub fn event(&self, pool: &LivePool, event: &PoolEvent) {
        match *event {
            PoolEvent::Ejected { upstream, reason, enforced, .. } => {
                let name = upstream_name(pool, upstream);
                let labels = [pool.name(), name.as_str(), reason.name(), bool_name(enforced)];
                self.families.ejections.with_label_values(&labels).inc();
            }
            PoolEvent::EjectionPrevented { upstream, guard } => {
                let name = upstream_name(pool, upstream);
                let labels = [pool.name(), name.as_str(), guard.name()];
                self.families.ejections_prevented.with_label_values(&labels).inc();
            }
            PoolEvent::DrillEnded { end, .. } => {
                self.families.drills.with_label_values(&[pool.name(), end.name()]).inc();
            }
            PoolEvent::ProbingStarted { .. }
            | PoolEvent::Readmitted { .. }
            | PoolEvent::Drained { .. }
            | PoolEvent::Undrained { .. }
            | PoolEvent::VerifyWanted { .. }
            | PoolEvent::DrillBegan { .. }
            | PoolEvent::Panic { .. } => {}
        }
    }

    /// An operator's order was carried out; the names are those of the configuration.
    pub fn ordered(&self, pool: &str, upstream: &str, order: &str) {
        self.families.orders.with_label_values(&[pool, upstream, order]).inc();
    }

    /// A check of the proxy's own came back.
    pub fn checked(&self, pool: &LivePool, upstream: UpstreamKey, result: CheckResult) {
        if let Some(upstream) = pool.upstream(upstream) {
            let labels = [pool.name(), upstream.config.name.as_str(), result.name()];
            self.families.checks.with_label_values(&labels).inc();
        }
    }

    /// A reload came to an end; so many keys wait for a restart.
    pub fn reloaded(&self, cause: Cause, good: bool, waiting: usize) {
        self.families.config_good.with_label_values::<&str>(&[]).set(f64::from(u8::from(good)));
        self.families.config_waits.with_label_values::<&str>(&[]).set(waiting as f64);
        self.families.reloads.with_label_values(&[cause.name(), reload_result(good)]).inc();
    }

    /// The listeners' certificates from now on.
    pub fn certificates(&self, listeners: &[Listener]) {
        self.families.say_when_certificates_end(listeners);
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
        for counter in [&self.lines_lost, &self.audit_written, &self.audit_lost] {
            counter.with_label_values::<&str>(&[]);
        }
        self.build_info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1.0);
        // The process would not be here otherwise.
        self.config_good.with_label_values::<&str>(&[]).set(1.0);
        self.config_waits.with_label_values::<&str>(&[]).set(0.0);
        for cause in Cause::ALL {
            for good in [true, false] {
                self.reloads.with_label_values(&[cause.name(), reload_result(good)]);
            }
        }
        self.say_when_certificates_end(listeners);
    }

    fn say_when_certificates_end(&self, listeners: &[Listener]) {
        for listener in listeners {
            if let Some(end) = listener.tls.as_ref().and_then(|tls| tls.not_after_unix) {
                let address = listener.address.to_string();
                self.certificate_expiry.with_label_values(&[address.as_str()]).set(end as f64);
            }
        }
    }
}

const fn reload_result(good: bool) -> &'static str {
    if good { "success" } else { "failed" }
}

const fn bool_name(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

#[cfg(test)]
mod tests;
