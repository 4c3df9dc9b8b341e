//! The families: each stands once, with its type, labels and help.

use super::gone::{Labels, Part, forget};
use prometheus::{GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};

/// OpenTelemetry's buckets for HTTP, and API Gateway's own limits of 29 and 30 seconds.
const SECONDS: [f64; 18] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 15.0, 20.0, 29.0, 30.0];

/// What kind of family a declaration asks for.
trait Declare: Sized {
    /// It is looked up when somebody asks, and not moved by what happens.
    const IS_GAUGE: bool = false;

    fn declare(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<Self>;
}

impl Declare for IntCounterVec {
    fn declare(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<Self> {
        let family = Self::new(Opts::new(name, help), labels)?;
        registry.register(Box::new(family.clone()))?;
        Ok(family)
    }
}

impl Declare for GaugeVec {
    const IS_GAUGE: bool = true;

    fn declare(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<Self> {
        let family = Self::new(Opts::new(name, help), labels)?;
        registry.register(Box::new(family.clone()))?;
        Ok(family)
    }
}

impl Declare for HistogramVec {
    fn declare(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<Self> {
        let family = Self::new(HistogramOpts::new(name, help).buckets(SECONDS.to_vec()), labels)?;
        registry.register(Box::new(family.clone()))?;
        Ok(family)
    }
}

macro_rules! families {
    ($($field:ident: $kind:ty = $name:literal [$($label:literal),*] $help:literal;)*) => {
        /// All metric families of the proxy.
        #[derive(Debug)]
        pub(super) struct Families {
            $(pub(super) $field: $kind,)*
        }

        impl Families {
            /// Takes out the series that are of no use any more.
            pub(super) fn forget(&self, is_such: &dyn Fn(&Labels<'_>) -> Option<Part>) {
                $(forget(&self.$field, <$kind as Declare>::IS_GAUGE, is_such);)*
            }

            /// Makes every family known to the registry.
            pub(super) fn register(registry: &Registry) -> prometheus::Result<Self> {
                Ok(Self { $($field: Declare::declare(registry, $name, $help, &[$($label),*])?,)* })
            }
        }
    };
}

families! {
    requests: IntCounterVec = "aorta_requests_total" ["route", "code_class", "outcome"]
        "Requests by what the client felt.";
    request_seconds: HistogramVec = "aorta_request_duration_seconds" ["route"]
        "From the request's head to the end of its answer.";
    refusals: IntCounterVec = "aorta_refusals_total" ["route", "reason"]
        "Requests that Aorta answered itself, by the reason.";
    attempts: IntCounterVec = "aorta_upstream_attempts_total" ["pool", "upstream", "class"]
        "Attempts by what came of them.";
    attempt_seconds: HistogramVec = "aorta_upstream_attempt_duration_seconds" ["pool", "upstream"]
        "From the choice of the upstream to the judged answer.";
    retries: IntCounterVec = "aorta_retries_total" ["pool", "reason", "result"]
        "Attempts after the first, by what made them necessary; a hedge may be overtaken.";
    retries_denied: IntCounterVec = "aorta_retries_denied_total" ["pool", "reason"]
        "Failed attempts that were not followed by another, by what forbade it.";
    rescued: IntCounterVec = "aorta_requests_rescued_total" ["pool", "from_upstream", "to_upstream"]
        "Requests served by another upstream than the first.";
    masked: IntCounterVec = "aorta_masked_errors_total" ["pool", "upstream", "kind"]
        "Failures that hid behind a success.";
    failover_seconds: HistogramVec = "aorta_failover_duration_seconds" ["pool"]
        "From the first failed attempt of a request to its rescue.";
    ejections: IntCounterVec = "aorta_upstream_ejections_total" ["pool", "upstream", "reason", "enforced"]
        "Ejections; enforced is false in a dry run.";
    ejections_prevented: IntCounterVec = "aorta_upstream_ejections_prevented_total" ["pool", "upstream", "guard"]
        "Ejections that a guard forbade.";
    orders: IntCounterVec = "aorta_upstream_orders_total" ["pool", "upstream", "order"]
        "Orders of operators that were carried out.";
    checks: IntCounterVec = "aorta_upstream_checks_total" ["pool", "upstream", "result"]
        "The proxy's own checks, by what they found.";
    check_up: GaugeVec = "aorta_upstream_check_up" ["pool", "upstream"]
        "1 while the checks that come by themselves find the upstream working; only where they are configured.";
    state: GaugeVec = "aorta_upstream_state" ["pool", "upstream", "state"]
        "1 for the state the upstream is in.";
    ordered_out: GaugeVec = "aorta_upstream_ordered_out" ["pool", "upstream"]
        "1 while an operator's order keeps the upstream out: it is drained, or ejected by order.";
    ejected_until: GaugeVec = "aorta_upstream_ejected_until_timestamp_seconds" ["pool", "upstream"]
        "When an ejected upstream may be probed; 0 when it is not ejected.";
    changed: GaugeVec = "aorta_upstream_last_state_change_timestamp_seconds" ["pool", "upstream"]
        "When the upstream's state last changed.";
    healthy: GaugeVec = "aorta_pool_healthy_upstreams" ["pool"]
        "Healthy upstreams.";
    upstreams: GaugeVec = "aorta_pool_upstreams" ["pool"]
        "Configured upstreams.";
    panic: GaugeVec = "aorta_pool_panic" ["pool"]
        "1 while no upstream is healthy and all are asked.";
    budget: GaugeVec = "aorta_retry_budget_balance" ["pool"]
        "Retries the pool can pay for.";
    hedge_budget: GaugeVec = "aorta_hedge_budget_balance" ["pool"]
        "Hedges the pool can pay for.";
    in_flight: GaugeVec = "aorta_upstream_attempts_in_flight" ["pool", "upstream"]
        "Attempts that are out.";
    drill_active: GaugeVec = "aorta_drill_active" ["pool", "upstream"]
        "1 while a drill of the upstream is under way.";
    drill_until: GaugeVec = "aorta_drill_until_timestamp_seconds" ["pool", "upstream"]
        "When the drill that is under way ends by its plan; 0 when there is none.";
    drills: IntCounterVec = "aorta_drills_total" ["pool", "end"]
        "Drills that are over, by why they ended.";
    state_saved: GaugeVec = "aorta_state_saved" []
        "1 while what must outlive the process could be written when it last had to be.";
    dns_stale: GaugeVec = "aorta_dns_stale" ["pool", "upstream"]
        "1 while the last good addresses outlive a failed lookup.";
    dns_success: GaugeVec = "aorta_dns_last_success_timestamp_seconds" ["pool", "upstream"]
        "When the upstream's name last resolved; 0 when it never did or has fixed addresses.";
    min_healthy: GaugeVec = "aorta_pool_min_healthy_upstreams" ["pool"]
        "Upstreams that stay in rotation whatever they do.";
    budget_max: GaugeVec = "aorta_retry_budget_max" ["pool"]
        "The most retries the pool can save up.";
    fhir: IntCounterVec = "aorta_fhir_interactions_total" ["resource_type", "interaction", "code_class"]
        "Requests to pools that speak FHIR, by what they do.";
    requests_in_flight: GaugeVec = "aorta_requests_in_flight" []
        "Requests that are being served.";
    quota_decisions: IntCounterVec = "aorta_quota_decisions_total" ["route", "counted_by", "result"]
        "Requests counted for their client: by the fleet's store, or by this proxy alone; allowed or refused.";
    quota_store_up: GaugeVec = "aorta_quota_store_up" []
        "1 while the quota store answers; only where one is configured.";
    quota_store_errors: IntCounterVec = "aorta_quota_store_errors_total" ["reason"]
        "Questions to the quota store without an answer that could be used; the proxy counted alone.";
    audit_up: GaugeVec = "aorta_audit_up" []
        "1 while the audit file can be written; only where one is configured.";
    audit_written: IntCounterVec = "aorta_audit_written_total" []
        "Audit entries that were written.";
    audit_lost: IntCounterVec = "aorta_audit_lost_total" []
        "Audit entries that could not be kept until the file could be written.";
    shed: IntCounterVec = "aorta_requests_shed_total" ["pool", "priority", "reason"]
        "Requests turned away because the pool carried all that it may.";
    admitted: GaugeVec = "aorta_pool_requests_in_flight" ["pool"]
        "Requests that have a place in the pool.";
    queued: GaugeVec = "aorta_pool_requests_queued" ["pool"]
        "Requests that wait for a place in the pool.";
    concurrency_max: GaugeVec = "aorta_pool_concurrency_max" ["pool"]
        "Requests that the pool carries at once.";
    connections_refused: IntCounterVec = "aorta_connections_refused_total" ["reason"]
        "Connections closed because a listener was full, or one address had too many.";
    buffers_free: GaugeVec = "aorta_buffers_free_bytes" []
        "Bytes left in the budget for held data.";
    buffers_size: GaugeVec = "aorta_buffers_size_bytes" []
        "The budget for held data.";
    lines_lost: IntCounterVec = "aorta_access_log_lines_lost_total" []
        "Access lines lost: standard output took none (a full disk), or its reader was too slow.";
    traced: IntCounterVec = "aorta_traced_requests_total" ["result"]
        "Requests whose spans were told: sent, lost for want of room, or failed at the collector.";
    certificate_expiry: GaugeVec = "aorta_listener_certificate_expiry_timestamp_seconds" ["listener"]
        "When the listener's certificate ends.";
    config_info: GaugeVec = "aorta_config_info" ["hash"]
        "1 for the configuration in force, by a hash of its file.";
    config_generation: GaugeVec = "aorta_config_generation" []
        "How many configurations were brought into force, the first included.";
    config_good: GaugeVec = "aorta_config_last_reload_successful" []
        "1 when the last attempt to load the configuration brought it into force.";
    config_loaded: GaugeVec = "aorta_config_last_reload_success_timestamp_seconds" []
        "When the configuration in force was loaded.";
    config_waits: GaugeVec = "aorta_config_keys_waiting_for_restart" []
        "Changed keys of the configuration that wait for a restart.";
    reloads: IntCounterVec = "aorta_config_reloads_total" ["cause", "result"]
        "Reloads by who asked for them, and whether they brought the file into force.";
    build_info: GaugeVec = "aorta_build_info" ["version"]
        "1 for the version that runs.";
}
