//! The series a request moves, looked up once at start: a request costs no look-up and makes no new series.

use super::bool_name;
use super::families::Families;
use crate::config::PoolConfig;
use crate::interaction::Interaction;
use crate::quota::{Counter, Standing};
use aorta_core::admission::{Priority, Shed};
use aorta_core::check::CheckResult;
use aorta_core::classify::Class;
use aorta_core::limit::Ruling;
use aorta_core::order::Order;
use aorta_core::outlier::EjectReason;
use aorta_core::pool::Guard;
use aorta_core::receipt::Felt;
use aorta_core::retry::Denial;
use aorta_core::verdict::Refusal;
use prometheus::{Histogram, IntCounter};
use std::time::Duration;

const CODE_CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];
/// The shapes in which a failure hides behind a success.
const MASKS: [&str; 3] = ["envelope", "lambda_error", "html"];

/// What came of a hedge: it was not needed when the attempt that it went out beside was faster.
const HEDGED: [&str; 3] = ["failed", "success", "overtaken"];

/// What a request moves for its route.
#[derive(Debug)]
pub struct RouteSeries {
    requests: Vec<Vec<IntCounter>>,
    seconds: Histogram,
    refusals: Vec<IntCounter>,
    /// By who counted: allowed and refused.
    quota: Option<[[IntCounter; 2]; Counter::ALL.len()]>,
}

impl RouteSeries {
    pub(super) fn new(families: &Families, route: &str, limited: bool) -> Self {
        let requests = CODE_CLASSES
            .iter()
            .map(|code| {
                let series = |felt: &Felt| families.requests.with_label_values(&[route, code, felt.name()]);
                Felt::ALL.iter().map(series).collect()
            })
            .collect();
        let refusals = Refusal::ALL
            .iter()
            .map(|refusal| families.refusals.with_label_values(&[route, refusal.name()]))
            .collect();
        let quota = limited.then(|| {
            Counter::ALL.map(|by| {
                ["allowed", "refused"]
                    .map(|result| families.quota_decisions.with_label_values(&[route, by.name(), result]))
            })
        });
        Self { requests, seconds: families.request_seconds.with_label_values(&[route]), refusals, quota }
    }

    pub(super) fn refused(&self, refusal: Refusal) {
        if let Some(counter) = self.refusals.get(refusal as usize) {
            counter.inc();
        }
    }

    pub(super) fn counted(&self, standing: &Standing) {
        let refused = usize::from(matches!(standing.ruling, Ruling::Refused { .. }));
        if let Some(quota) = &self.quota {
            quota[standing.by as usize][refused].inc();
        }
    }

    pub(super) fn book(&self, status: u16, felt: Felt, took: Duration) {
        let class = usize::from(status / 100).min(CODE_CLASSES.len() - 1);
        if let Some(counter) = self.requests.get(class).and_then(|by_felt| by_felt.get(felt as usize)) {
            counter.inc();
        }
        self.seconds.observe(took.as_secs_f64());
    }
}

/// What a request moves for what it does in FHIR's words.
#[derive(Debug)]
pub(super) struct FhirSeries(Vec<[IntCounter; 5]>);

impl FhirSeries {
    pub(super) fn new(families: &Families) -> Self {
        const CODES: [&str; 5] = ["none", "2xx", "3xx", "4xx", "5xx"];
        let series =
            |(of, what): (&str, &str)| CODES.map(|code| families.fhir.with_label_values(&[of, what, code]));
        Self(Interaction::all().map(series).collect())
    }

    pub(super) fn book(&self, interaction: Interaction, status: u16) {
        let code = usize::from(status / 100).saturating_sub(1);
        if let Some(counter) = self.0.get(interaction.place()).and_then(|by_code| by_code.get(code)) {
            counter.inc();
        }
    }
}

/// What a request moves for its pool.
#[derive(Debug)]
pub struct PoolSeries {
    retries: Vec<[IntCounter; 2]>,
    hedges: [IntCounter; HEDGED.len()],
    denied: Vec<IntCounter>,
    failover: Histogram,
    shed: Vec<[IntCounter; Shed::ALL.len()]>,
}

/// What an attempt moves for its upstream.
#[derive(Debug)]
pub struct UpstreamSeries {
    /// A dry run ejects nobody, and says so in a label.
    dry_run: bool,
    checked: bool,
    attempts: Vec<IntCounter>,
    seconds: Histogram,
}

/// Who rescues whom is zero from the start in pools of at most so many upstreams; in larger ones, where the pairs are
/// thousands, from the first rescue.
const PAIRS_OF_MAX: usize = 16;

impl PoolSeries {
    pub(super) fn new(families: &Families, pool: &PoolConfig) -> Self {
        let name = pool.spec.name.as_str();
        let names = || pool.upstreams.iter().map(|upstream| upstream.name.as_str());
        for from in names().filter(|_| pool.upstreams.len() <= PAIRS_OF_MAX) {
            names().for_each(|to| drop(families.rescued.with_label_values(&[name, from, to])));
        }
        let retry = |class: &Class| {
            ["failed", "success"]
                .map(|result| families.retries.with_label_values(&[name, class.name(), result]))
        };
        let shed = |priority: &Priority| {
            Shed::ALL.map(|shed| families.shed.with_label_values(&[name, priority.name(), shed.name()]))
        };
        let hedge = |result: &str| families.retries.with_label_values(&[name, "hedge", result]);
        Self {
            shed: Priority::ALL.iter().map(shed).collect(),
            hedges: HEDGED.map(hedge),
            retries: Class::ALL.iter().map(retry).collect(),
            denied: Denial::ALL
                .iter()
                .map(|denial| families.retries_denied.with_label_values(&[name, denial.name()]))
                .collect(),
            failover: families.failover_seconds.with_label_values(&[name]),
        }
    }

    /// A request found no place.
    pub fn shed(&self, priority: Priority, shed: Shed) {
        if let Some(counter) =
            self.shed.get(priority as usize).and_then(|by_reason| by_reason.get(shed as usize))
        {
            counter.inc();
        }
    }

    pub(super) fn retry(&self, reason: Class, success: bool) {
        if let Some(results) = self.retries.get(reason as usize) {
            results[usize::from(success)].inc();
        }
    }

    pub(super) fn hedge(&self, class: Class) {
        let [failed, success, overtaken] = &self.hedges;
        match class {
            Class::Answered => success.inc(),
            Class::Overtaken => overtaken.inc(),
            _ => failed.inc(),
        }
    }

    pub(super) fn denied(&self, denial: Denial) {
        if let Some(counter) = self.denied.get(denial as usize) {
            counter.inc();
        }
    }

    pub(super) fn rescued(&self, took: Duration) {
        self.failover.observe(took.as_secs_f64());
    }
}

impl UpstreamSeries {
    pub(super) fn new(families: &Families, pool: &PoolConfig, upstream: &str) -> Self {
        let name = pool.spec.name.as_str();
        for reason in EjectReason::ALL {
            let enforced = bool_name(pool.spec.passive_health.enforces(reason));
            families.ejections.with_label_values(&[name, upstream, reason.name(), enforced]);
        }
        for guard in Guard::ALL {
            families.ejections_prevented.with_label_values(&[name, upstream, guard.name()]);
        }
        for order in Order::NAMES {
            families.orders.with_label_values(&[name, upstream, order]);
        }
        for kind in MASKS {
            families.masked.with_label_values(&[name, upstream, kind]);
        }
        for result in CheckResult::ALL.iter().filter(|_| pool.check.is_some()) {
            families.checks.with_label_values(&[name, upstream, result.name()]);
        }
        let attempts = Class::ALL
            .iter()
            .map(|class| families.attempts.with_label_values(&[name, upstream, class.name()]))
            .collect();
        let seconds = families.attempt_seconds.with_label_values(&[name, upstream]);
        let (dry_run, checked) = (pool.spec.passive_health.dry_run, pool.check.is_some());
        Self { dry_run, checked, attempts, seconds }
    }

    /// They are all that an upstream of this pool needs.
    pub(super) fn are_for(&self, pool: &PoolConfig) -> bool {
        (self.dry_run, self.checked) == (pool.spec.passive_health.dry_run, pool.check.is_some())
    }

    pub(super) fn attempt(&self, class: Class, took: Duration) {
        if let Some(counter) = self.attempts.get(class as usize) {
            counter.inc();
        }
        self.seconds.observe(took.as_secs_f64());
    }
}
