//! Ejection as an operator sees it: tried out first, half open with one probe.

use crate::world::World;
use bytes::Bytes;
use harness::load::{self, Plan, Progress};
use harness::upstream::Speech;
use harness::upstream::answer::outcome;
use harness::upstream::script::{Behaviour, Order};
use http::Request;
use std::sync::Arc;
use std::time::Duration;

#[tokio::test]
async fn a_dry_run_counts_what_it_would_eject_and_ejects_nobody() {
    let world = World::with(Speech::Http1, |setup, _| setup.pool("passive_health", "{dry_run: true}")).await;
    let none = [("upstream", "virginia"), ("enforced", "false")];
    assert!(
        world.proxy.metrics().has("aorta_upstream_ejections_total", &none),
        "it stands at zero from the start"
    );
    world.virginia.obey(Order::before(Behaviour::Say(outcome(503, "transient"))));
    let mut client = world.client();
    for index in 0..20 {
        assert_eq!(client.get(&format!("/Patient/{index}")).await.status, 200);
    }
    let metrics = world.proxy.metrics();
    let reason = [("upstream", "virginia"), ("reason", "consecutive_app_failures"), ("enforced", "false")];
    assert!(metrics.count("aorta_upstream_ejections_total", &reason) >= 1);
    assert_eq!(metrics.count("aorta_upstream_ejections_total", &[("enforced", "true")]), 0);
    assert_eq!(metrics.count("aorta_pool_panic", &[]), 0);
    assert_eq!(world.proxy.state_of("virginia"), "healthy");
}

#[tokio::test]
async fn exactly_one_request_probes_while_many_come() {
    let keys = [
        ("passive_health", "{ejection: 300ms, ejection_max: 300ms}"),
        ("timeouts", "{connect: 500ms, attempt: 5s, request: 10s}"),
        ("active_health", ""),
    ];
    let world = World::with(Speech::Http1, |setup, _| {
        keys.into_iter().fold(setup, |setup, (key, value)| setup.pool(key, value))
    })
    .await;
    world.virginia.obey(Order::before(Behaviour::ResetBefore));
    let mut client = world.client();
    while world.proxy.state_of("virginia") != "ejected" {
        assert_eq!(client.get("/Patient/1").await.status, 200);
    }
    let before = world.virginia.count();
    // The probe outlasts every request below.
    world.virginia.obey(Order::before(Behaviour::Slow(Duration::from_secs(2))));
    let make = |index| Request::get(format!("/Patient/{index}")).body(Bytes::new()).unwrap();
    let plan = Plan { requests: 300, rate: 300, connections: 32, make: Arc::new(make) };
    let samples = load::run(&world.proxy.target(), &plan, &Progress::default()).await;
    assert!(samples.iter().all(|sample| sample.result.as_ref().is_ok_and(|reply| reply.status == 200)));
    assert_eq!(world.virginia.count() - before, 1, "of 300 requests one probes");
    world.virginia.heal();
    world.served_by(world.proxy.target(), "virginia", 3).await;
}
