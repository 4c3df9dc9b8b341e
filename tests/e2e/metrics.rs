//! Metrics: every family stands from the start, moves when it should, and its labels are words of the
//! configuration, never of a request.

use crate::world::World;
use harness::upstream::Speech;
use harness::upstream::answer::lambda_error;
use harness::upstream::script::{Behaviour, Order};

/// Each family, with labels that one of its series bears before the first request.
const FAMILIES: [(&str, &[(&str, &str)]); 17] = [
    ("aorta_requests_total", &[("route", "ehr"), ("code_class", "2xx"), ("outcome", "ok")]),
    ("aorta_request_duration_seconds_count", &[("route", "ehr")]),
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
    ("aorta_upstream_ejected_until_timestamp_seconds", &[("upstream", "ohio")]),
    ("aorta_upstream_last_state_change_timestamp_seconds", &[("upstream", "ohio")]),
    ("aorta_pool_healthy_upstreams", &[("pool", "records")]),
    ("aorta_pool_upstreams", &[("pool", "records")]),
    ("aorta_pool_panic", &[("pool", "records")]),
    ("aorta_masked_errors_total", &[("upstream", "ohio"), ("kind", "lambda_error")]),
];

#[tokio::test]
async fn every_family_stands_before_the_first_request() {
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
    let metrics = world.proxy.metrics();
    assert_eq!(
        (metrics.count("aorta_pool_panic", &[]), metrics.count("aorta_pool_healthy_upstreams", &[])),
        (1, 0)
    );
    world.virginia.heal();
    world.ohio.heal();
    assert_eq!(client.get("/Patient/1").await.status, 200, "the last resort is no void");
}

#[tokio::test]
async fn a_thousand_different_requests_add_no_series() {
    let world = World::with(Speech::Plain, |setup, _| setup).await;
    let mut client = world.client();
    client.get("/Patient/first").await;
    let before = world.proxy.metrics().series.len();
    for index in 0..1000 {
        client.get(&format!("/Patient/{index}/Kind{index}?q={index}")).await;
    }
    assert_eq!(world.proxy.metrics().series.len(), before);
}
