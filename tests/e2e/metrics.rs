//! Metrics: every family stands from the start, moves when it should, and its labels are words of the
//! configuration, never of a request.

use crate::world::World;
use harness::authority::Authority;
use harness::client::Client;
use harness::metrics::Scrape;
use harness::prometheus::{promtool, said};
use harness::setup::Setup;
use harness::upstream::Speech;
use harness::upstream::answer::lambda_error;
use harness::upstream::script::{Behaviour, Order};
use http::{Method, Request};
use std::collections::BTreeSet;
use std::path::Path;

/// Where the proxy declares its families.
const DECLARED: &str = include_str!("../../proxy/src/metrics/families.rs");

/// The series that tells whether a family stands: of a histogram it is the count.
fn declared() -> Vec<String> {
    let declaration = |line: &str| {
        let (kind, rest) = line.trim().split_once(": ")?.1.split_once(" = \"")?;
        let name = rest.split_once('"')?.0;
        Some(if kind == "HistogramVec" { format!("{name}_count") } else { name.to_owned() })
    };
    DECLARED.lines().filter_map(declaration).collect()
}

/// Families, with labels that one of their series bears before the first request.
const FAMILIES: [(&str, &[(&str, &str)]); 40] = [
    ("aorta_requests_total", &[("route", "ehr"), ("code_class", "2xx"), ("outcome", "ok")]),
    ("aorta_request_duration_seconds_count", &[("route", "ehr")]),
    ("aorta_refusals_total", &[("route", "ehr"), ("reason", "deadline_passed")]),
    ("aorta_upstream_attempts_total", &[("pool", "records"), ("upstream", "ohio"), ("class", "throttled")]),
    ("aorta_upstream_attempt_duration_seconds_count", &[("pool", "records"), ("upstream", "ohio")]),
    ("aorta_retries_total", &[("pool", "records"), ("reason", "timed_out"), ("result", "success")]),
    ("aorta_retries_denied_total", &[("pool", "records"), ("reason", "budget")]),
    ("aorta_requests_rescued_total", &[("from_upstream", "virginia"), ("to_upstream", "ohio")]),
    ("aorta_retry_budget_balance", &[("pool", "records")]),
    ("aorta_upstream_state", &[("upstream", "ohio"), ("state", "healthy")]),
    (
        "aorta_upstream_ejections_total",
        &[("upstream", "ohio"), ("reason", "success_rate"), ("enforced", "true")],
    ),
    ("aorta_upstream_ejections_prevented_total", &[("upstream", "ohio"), ("guard", "last_upstream")]),
    ("aorta_upstream_checks_total", &[("upstream", "ohio"), ("result", "refused")]),
    ("aorta_upstream_check_up", &[("upstream", "ohio")]),
    ("aorta_upstream_ordered_out", &[("upstream", "ohio")]),
    ("aorta_upstream_ejected_until_timestamp_seconds", &[("upstream", "ohio")]),
    ("aorta_upstream_last_state_change_timestamp_seconds", &[("upstream", "ohio")]),
    ("aorta_pool_healthy_upstreams", &[("pool", "records")]),
    ("aorta_pool_upstreams", &[("pool", "records")]),
    ("aorta_pool_panic", &[("pool", "records")]),
    ("aorta_masked_errors_total", &[("upstream", "ohio"), ("kind", "lambda_error")]),
    ("aorta_failover_duration_seconds_count", &[("pool", "records")]),
    (
        "aorta_fhir_interactions_total",
        &[("resource_type", "Patient"), ("interaction", "read"), ("code_class", "2xx")],
    ),
    (
        "aorta_fhir_interactions_total",
        &[("resource_type", "other"), ("interaction", "search"), ("code_class", "5xx")],
    ),
    ("aorta_pool_min_healthy_upstreams", &[("pool", "records")]),
    ("aorta_retry_budget_max", &[("pool", "records")]),
    ("aorta_dns_stale", &[("pool", "records"), ("upstream", "ohio")]),
    ("aorta_dns_last_success_timestamp_seconds", &[("pool", "records"), ("upstream", "ohio")]),
    ("aorta_requests_in_flight", &[]),
    ("aorta_connections_refused_total", &[("reason", "client")]),
    ("aorta_requests_shed_total", &[("pool", "records"), ("priority", "bulk"), ("reason", "displaced")]),
    ("aorta_pool_requests_in_flight", &[("pool", "records")]),
    ("aorta_pool_requests_queued", &[("pool", "records")]),
    ("aorta_pool_concurrency_max", &[("pool", "records")]),
    ("aorta_access_log_lines_lost_total", &[]),
    ("aorta_buffers_size_bytes", &[]),
    ("aorta_config_generation", &[]),
    ("aorta_config_last_reload_successful", &[]),
    ("aorta_build_info", &[("version", env!("CARGO_PKG_VERSION"))]),
    ("process_resident_memory_bytes", &[]),
];

#[tokio::test]
async fn every_family_stands_before_the_first_request() {
    // With all that has a family of its own.
    let setup = |setup: Setup, authority: &Authority| {
        let files = authority.files("aorta.test");
        let secret = files.private_key.display();
        let store = format!("{{address: \"127.0.0.1:1\", secret: {{file: {secret}}}}}");
        let audit = format!("{{file: {}}}", files.certificate.with_file_name("audit.jsonl").display());
        let limited = "  - {name: ehr, pool: records, rate_limit: {requests: 100, per: 1s}}";
        let setup = setup.tls(&files).top("quota_store", &store).top("audit", &audit).routes(limited);
        setup.pool("hedge", "{enabled: true}")
    };
    let world = World::with(Speech::Http1, setup).await;
    let metrics = world.proxy.metrics();
    let declared = declared();
    assert!(declared.len() > 50, "the declarations are not found: {declared:?}");
    for name in declared {
        assert!(metrics.has(&name, &[]), "{name} is missing in\n{}", metrics.text);
    }
}

#[tokio::test]
async fn labels_that_nothing_has_borne_yet_stand_before_the_first_request() {
    let world = World::new().await;
    let metrics = world.proxy.metrics();
    for (name, labels) in FAMILIES {
        assert!(metrics.has(name, labels), "{name} {labels:?} is missing in\n{}", metrics.text);
    }
    for (name, pool) in
        [("aorta_pool_healthy_upstreams", 2), ("aorta_pool_upstreams", 2), ("aorta_pool_panic", 0)]
    {
        assert_eq!(metrics.count(name, &[]), pool, "{name}");
    }
}

#[tokio::test]
async fn an_operators_ejection_in_a_dry_run_makes_no_series() {
    let dry = "{ejection: 500ms, ejection_max: 2s, dry_run: true}";
    let world = World::with(Speech::Plain, |setup, _| setup.pool("passive_health", dry)).await;
    let before = names(&world.proxy.metrics());
    let ordered = ["records", "virginia", "--reason", "a test", "--for", "1m"];
    assert!(world.proxy.command("eject", &ordered).status.success());
    let metrics = world.proxy.metrics();
    let labels = [("upstream", "virginia"), ("reason", "operator"), ("enforced", "true")];
    assert_eq!(metrics.count("aorta_upstream_ejections_total", &labels), 1, "{}", metrics.text);
    assert_eq!(names(&metrics), before);
}

#[tokio::test]
async fn what_happens_to_a_request_is_counted_once_everywhere() {
    let world = World::new().await;
    world.virginia.obey(Order::before(Behaviour::Say(lambda_error())));
    let before = world.proxy.metrics();
    let mut client = world.client();
    for _ in 0..10 {
        assert_eq!(client.get("/Patient/1").await.status, 200);
    }
    let lines = world.proxy.access(10).await;
    let after = world.proxy.metrics();
    let moved = |name, labels: &[(&str, &str)]| after.count(name, labels) - before.count(name, labels);
    let asked: usize = lines.iter().map(|line| harness::log::asked(line).len()).sum();
    let rescued = lines.iter().filter(|line| line["felt"] == "rescued").count() as u64;
    assert!(rescued >= 3, "{lines:?}");
    assert_eq!(moved("aorta_requests_total", &[]), 10);
    assert_eq!(moved("aorta_requests_total", &[("outcome", "rescued")]), rescued);
    assert_eq!(
        moved("aorta_requests_rescued_total", &[("from_upstream", "virginia"), ("to_upstream", "ohio")]),
        rescued
    );
    assert_eq!(moved("aorta_upstream_attempts_total", &[]), asked as u64);
    assert_eq!(moved("aorta_masked_errors_total", &[("kind", "lambda_error")]), rescued);
    assert_eq!(moved("aorta_retries_total", &[("reason", "lambda_failed"), ("result", "success")]), rescued);
    assert_eq!(moved("aorta_failover_duration_seconds_count", &[("pool", "records")]), rescued);
    assert_eq!(moved("aorta_request_duration_seconds_count", &[("route", "ehr")]), 10);
    assert_eq!(moved("aorta_upstream_ejections_total", &[("upstream", "virginia")]), 1);
    assert_eq!(after.count("aorta_pool_healthy_upstreams", &[]), 1);
    assert_eq!(world.proxy.state_of("virginia"), "ejected");
}

#[tokio::test]
async fn a_pool_whose_upstreams_all_fail_is_in_panic_and_says_so() {
    let world = World::new().await;
    let order = Order::before(Behaviour::ResetBefore);
    world.virginia.obey(order.clone());
    world.ohio.obey(order);
    let mut client = world.client();
    for _ in 0..12 {
        assert!(client.get("/Patient/1").await.status >= 500);
    }
    let metrics = world.proxy.at_rest().await;
    assert_eq!(
        (metrics.count("aorta_pool_panic", &[]), metrics.count("aorta_pool_healthy_upstreams", &[])),
        (1, 0)
    );
    world.virginia.heal();
    world.ohio.heal();
    assert_eq!(client.get("/Patient/1").await.status, 200, "the last resort is no void");
}

#[tokio::test]
async fn requests_are_counted_by_what_they_do_in_fhir() {
    let world = World::with(Speech::Plain, |setup, _| setup).await;
    let mut client = world.client();
    client.get("/Patient/1").await;
    client.get("/Patient/1/_history/2").await;
    client.get("/Johnson?name=Johnson").await;
    client.post("/Observation", "{}").await;
    let metrics = world.proxy.at_rest().await;
    let counted = |of, what| {
        let labels = [("resource_type", of), ("interaction", what), ("code_class", "2xx")];
        metrics.count("aorta_fhir_interactions_total", &labels)
    };
    assert_eq!(counted("Patient", "read"), 1);
    assert_eq!(counted("Patient", "vread"), 1);
    assert_eq!(counted("other", "search"), 1);
    assert_eq!(counted("Observation", "create"), 1);
    assert_eq!(metrics.count("aorta_fhir_interactions_total", &[]), 4);
}

#[tokio::test]
async fn a_listener_tells_when_its_certificate_ends() {
    let world =
        World::with(Speech::Plain, |setup, authority| setup.tls(&authority.files("aorta.test"))).await;
    let metrics = world.proxy.metrics();
    let end = metrics.sum("aorta_listener_certificate_expiry_timestamp_seconds", &[]);
    let loaded = metrics.sum("aorta_config_last_reload_success_timestamp_seconds", &[]);
    assert!(end > loaded, "{end} {loaded}");
}

#[tokio::test]
async fn promtool_finds_nothing_to_say_about_the_metrics() {
    let world = World::new().await;
    world.client().get("/Patient/1").await;
    let text = world.proxy.metrics().text;
    let output = promtool(Path::new("."), &["check", "metrics"], &text);
    assert!(output.status.success() && said(&output).is_empty(), "{}", said(&output));
}

/// How many requests try to add a series; 100,000 take some minutes in a debug build, and are booked without sockets in
/// every run of the proxy's own tests.
const REQUESTS: &str = "AORTA_TEST_SERIES_REQUESTS";

#[tokio::test]
async fn no_path_id_or_host_of_a_request_adds_a_series() {
    let world = World::with(Speech::Plain, |setup, _| setup).await;
    let before = names(&world.proxy.metrics());
    let total = std::env::var(REQUESTS).map_or(2000, |text| text.parse().expect(REQUESTS));
    let clients = 4;
    let run = |first: usize| {
        let target = world.proxy.target();
        async move {
            let mut client = Client::new(target);
            for index in (first..total).step_by(clients) {
                client.send(strange(index)).await.expect("an answer");
            }
        }
    };
    tokio::join!(run(0), run(1), run(2), run(3));
    let after = world.proxy.at_rest().await;
    assert_eq!(after.count("aorta_requests_total", &[]), total as u64);
    assert_eq!(names(&after), before);
}

/// Every series by name and labels, without its value.
fn names(scrape: &Scrape) -> BTreeSet<String> {
    scrape.series.iter().map(|series| format!("{} {:?}", series.name, series.labels)).collect()
}

/// A request like no other, with as many words of its own as it can hold.
fn strange(index: usize) -> Request<bytes::Bytes> {
    // Knuth's multiplicative hash spreads neighbours; no two are alike below 2^32.
    let word = format!("w{:08x}", (index as u32).wrapping_mul(2_654_435_761));
    let methods = [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::HEAD, Method::PATCH];
    let path = match index % 7 {
        0 => format!("/Patient/{word}?name={word}"),
        1 => format!("/{word}/{word}/_history/{word}"),
        2 => format!("/Patient/{word}/${word}"),
        3 => format!("/{word}"),
        4 => format!("/Observation/_search?patient={word}&code={index}"),
        5 => format!("/Patient/{word}/{word}/{word}/{word}/{word}"),
        _ => format!("/_{word}/%{:02x}", 0x41 + index % 26),
    };
    Request::builder()
        .method(methods[index % methods.len()].clone())
        .uri(path)
        .header("host", format!("{word}.example.org"))
        .header("x-request-id", &word)
        .header("authorization", format!("Bearer {word}"))
        .body(bytes::Bytes::new())
        .expect("a request")
}
