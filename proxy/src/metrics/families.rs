//! The families and the series a request moves.

use crate::snapshot::LivePool;
use aorta_core::classify::Class;
use aorta_core::outlier::EjectReason;
use aorta_core::pool::Guard;
use aorta_core::receipt::Felt;
use aorta_core::retry::Denial;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry,
};
use std::time::Duration;

/// OpenTelemetry's buckets for HTTP, and API Gateway's own limits of 29 and 30 seconds.
const SECONDS: [f64; 18] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 15.0, 20.0, 29.0, 30.0];
const CODE_CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];
/// The shapes in which a failure hides behind a success.
const MASKS: [&str; 3] = ["envelope", "lambda_error", "html"];

#[derive(Debug)]
pub(super) struct Families {
    requests: IntCounterVec,
    request_seconds: HistogramVec,
    attempts: IntCounterVec,
    attempt_seconds: HistogramVec,
    retries: IntCounterVec,
    retries_denied: IntCounterVec,
    rescued: IntCounterVec,
    masked: IntCounterVec,
    failover_seconds: HistogramVec,
    pub(super) ejections: IntCounterVec,
    pub(super) ejections_prevented: IntCounterVec,
    pub(super) connections_refused: IntCounter,
    pub(super) state: GaugeVec,
    pub(super) ejected_until: GaugeVec,
    pub(super) changed: GaugeVec,
    pub(super) healthy: GaugeVec,
    pub(super) upstreams: GaugeVec,
    pub(super) panic: GaugeVec,
    pub(super) budget: GaugeVec,
    pub(super) in_flight: GaugeVec,
    pub(super) dns_stale: GaugeVec,
    pub(super) dns_success: GaugeVec,
    pub(super) buffers_free: Gauge,
}

struct Declare<'a>(&'a Registry);

impl Declare<'_> {
    fn counter(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, prometheus::Error> {
        let family = IntCounterVec::new(Opts::new(name, help), labels)?;
        self.0.register(Box::new(family.clone()))?;
        Ok(family)
    }

    fn gauge(&self, name: &str, help: &str, labels: &[&str]) -> Result<GaugeVec, prometheus::Error> {
        let family = GaugeVec::new(Opts::new(name, help), labels)?;
        self.0.register(Box::new(family.clone()))?;
        Ok(family)
    }

    fn seconds(&self, name: &str, help: &str, labels: &[&str]) -> Result<HistogramVec, prometheus::Error> {
        let family = HistogramVec::new(HistogramOpts::new(name, help).buckets(SECONDS.to_vec()), labels)?;
        self.0.register(Box::new(family.clone()))?;
        Ok(family)
    }
}

impl Families {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let d = Declare(registry);
        let connections_refused = IntCounter::new(
            "aorta_connections_refused_total",
            "Connections closed because a listener was full.",
        )?;
        registry.register(Box::new(connections_refused.clone()))?;
        let buffers_free = Gauge::new("aorta_buffers_free_bytes", "Bytes left in the budget for held data.")?;
        registry.register(Box::new(buffers_free.clone()))?;
        let pu: &[&str] = &["pool", "upstream"];
        Ok(Self {
            requests: d.counter(
                "aorta_requests_total",
                "Requests by what the client felt.",
                &["route", "code_class", "outcome"],
            )?,
            request_seconds: d.seconds(
                "aorta_request_duration_seconds",
                "From the request's head to the end of its answer.",
                &["route"],
            )?,
            attempts: d.counter(
                "aorta_upstream_attempts_total",
                "Attempts by what came of them.",
                &["pool", "upstream", "class"],
            )?,
            attempt_seconds: d.seconds(
                "aorta_upstream_attempt_duration_seconds",
                "From the choice of the upstream to the judged answer.",
                pu,
            )?,
            retries: d.counter(
                "aorta_retries_total",
                "Attempts after the first, by what made them necessary.",
                &["pool", "reason", "result"],
            )?,
            retries_denied: d.counter(
                "aorta_retries_denied_total",
                "Failed attempts that were not followed by another, by what forbade it.",
                &["pool", "reason"],
            )?,
            rescued: d.counter(
                "aorta_requests_rescued_total",
                "Requests served by another upstream than the first.",
                &["pool", "from_upstream", "to_upstream"],
            )?,
            masked: d.counter(
                "aorta_masked_errors_total",
                "Failures that hid behind a success.",
                &["pool", "upstream", "kind"],
            )?,
            failover_seconds: d.seconds(
                "aorta_failover_duration_seconds",
                "From the first failed attempt of a request to its rescue.",
                &["pool"],
            )?,
            ejections: d.counter(
                "aorta_upstream_ejections_total",
                "Ejections; enforced is false in a dry run.",
                &["pool", "upstream", "reason", "enforced"],
            )?,
            ejections_prevented: d.counter(
                "aorta_upstream_ejections_prevented_total",
                "Ejections that a guard forbade.",
                &["pool", "upstream", "guard"],
            )?,
            connections_refused,
            state: d.gauge(
                "aorta_upstream_state",
                "1 for the state the upstream is in.",
                &["pool", "upstream", "state"],
            )?,
            ejected_until: d.gauge(
                "aorta_upstream_ejected_until_timestamp_seconds",
                "When an ejected upstream may be probed; 0 when it is not ejected.",
                pu,
            )?,
            changed: d.gauge(
                "aorta_upstream_last_state_change_timestamp_seconds",
                "When the upstream's state last changed.",
                pu,
            )?,
            healthy: d.gauge("aorta_pool_healthy_upstreams", "Healthy upstreams.", &["pool"])?,
            upstreams: d.gauge("aorta_pool_upstreams", "Configured upstreams.", &["pool"])?,
            panic: d.gauge(
                "aorta_pool_panic",
                "1 while no upstream is healthy and all are asked.",
                &["pool"],
            )?,
            budget: d.gauge("aorta_retry_budget_balance", "Retries the pool can pay for.", &["pool"])?,
            in_flight: d.gauge("aorta_upstream_attempts_in_flight", "Attempts that are out.", pu)?,
            dns_stale: d.gauge(
                "aorta_dns_stale",
                "1 while the last good addresses outlive a failed lookup.",
                pu,
            )?,
            dns_success: d.gauge(
                "aorta_dns_last_success_timestamp_seconds",
                "When the upstream's name last resolved; 0 when it never did or has fixed addresses.",
                pu,
            )?,
            buffers_free,
        })
    }
}

/// What a request moves for its route.
#[derive(Debug)]
pub(super) struct RouteSeries {
    requests: Vec<Vec<IntCounter>>,
    seconds: Histogram,
}

impl RouteSeries {
    pub(super) fn new(families: &Families, route: &str) -> Self {
        let requests = CODE_CLASSES
            .iter()
            .map(|code| {
                let series = |felt: &Felt| families.requests.with_label_values(&[route, code, felt.name()]);
                Felt::ALL.iter().map(series).collect()
            })
            .collect();
        Self { requests, seconds: families.request_seconds.with_label_values(&[route]) }
    }

    pub(super) fn book(&self, status: u16, felt: Felt, took: Duration) {
        let class = usize::from(status / 100).min(CODE_CLASSES.len() - 1);
        if let Some(counter) = self.requests.get(class).and_then(|by_felt| by_felt.get(felt as usize)) {
            counter.inc();
        }
        self.seconds.observe(took.as_secs_f64());
    }
}

/// What a request moves for its pool.
#[derive(Debug)]
pub(super) struct PoolSeries {
    name: String,
    upstreams: Vec<UpstreamSeries>,
    retries: Vec<[IntCounter; 2]>,
    denied: Vec<IntCounter>,
    rescued: Vec<Vec<IntCounter>>,
    failover: Histogram,
}

#[derive(Debug)]
struct UpstreamSeries {
    name: String,
    attempts: Vec<IntCounter>,
    seconds: Histogram,
}

impl PoolSeries {
    pub(super) fn new(families: &Families, pool: &LivePool) -> Self {
        let name = pool.name();
        let names: Vec<&str> = pool.config.upstreams.iter().map(|upstream| upstream.name.as_str()).collect();
        for upstream in &names {
            for reason in EjectReason::ALL {
                families.ejections.with_label_values(&[name, upstream, reason.name(), "true"]);
            }
            for guard in Guard::ALL {
                families.ejections_prevented.with_label_values(&[name, upstream, guard.name()]);
            }
            for kind in MASKS {
                families.masked.with_label_values(&[name, upstream, kind]);
            }
        }
        let retry = |class: &Class| {
            ["failed", "success"]
                .map(|result| families.retries.with_label_values(&[name, class.name(), result]))
        };
        let rescue = |from: &&str| {
            names.iter().map(|to| families.rescued.with_label_values(&[name, from, to])).collect()
        };
        Self {
            name: name.to_owned(),
            upstreams: names.iter().map(|upstream| UpstreamSeries::new(families, name, upstream)).collect(),
            retries: Class::ALL.iter().map(retry).collect(),
            denied: Denial::ALL
                .iter()
                .map(|denial| families.retries_denied.with_label_values(&[name, denial.name()]))
                .collect(),
            rescued: names.iter().map(rescue).collect(),
            failover: families.failover_seconds.with_label_values(&[name]),
        }
    }

    pub(super) fn attempt(&self, upstream: usize, class: Class, took: Duration) {
        let Some(series) = self.upstreams.get(upstream) else { return };
        if let Some(counter) = series.attempts.get(class as usize) {
            counter.inc();
        }
        series.seconds.observe(took.as_secs_f64());
    }

    pub(super) fn retry(&self, reason: Class, success: bool) {
        if let Some(results) = self.retries.get(reason as usize) {
            results[usize::from(success)].inc();
        }
    }

    pub(super) fn denied(&self, denial: Denial) {
        if let Some(counter) = self.denied.get(denial as usize) {
            counter.inc();
        }
    }

    pub(super) fn rescued(&self, from: usize, to: usize, took: Duration) {
        if let Some(counter) = self.rescued.get(from).and_then(|by_target| by_target.get(to)) {
            counter.inc();
        }
        self.failover.observe(took.as_secs_f64());
    }

    pub(super) fn masked(&self, families: &Families, upstream: usize, kind: &str) {
        if let Some(series) = self.upstreams.get(upstream) {
            families.masked.with_label_values(&[self.name.as_str(), series.name.as_str(), kind]).inc();
        }
    }
}

impl UpstreamSeries {
    fn new(families: &Families, pool: &str, upstream: &str) -> Self {
        let attempts = Class::ALL
            .iter()
            .map(|class| families.attempts.with_label_values(&[pool, upstream, class.name()]))
            .collect();
        let seconds = families.attempt_seconds.with_label_values(&[pool, upstream]);
        Self { name: upstream.to_owned(), attempts, seconds }
    }
}
