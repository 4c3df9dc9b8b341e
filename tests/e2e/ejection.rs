//! Ejection as an operator sees it: tried out first, half open with one probe, back bit by bit.

use crate::world::World;
use bytes::Bytes;
use harness::eventually;
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

/// A world whose Virginia was out and has just come back, and how many of the next hundred reads went there.
async fn comes_back(slow_start: &str) -> (World, usize) {
    let world = World::with(Speech::Plain, |setup, _| {
        setup.pool("slow_start", slow_start).pool("passive_health", "{ejection: 60s, ejection_max: 60s}")
    })
    .await;
    world.virginia.refuse().await;
    let mut client = world.client();
    while world.proxy.state_of("virginia") != "ejected" {
        assert_eq!(client.get("/Patient/1").await.status, 200);
    }
    world.virginia.heal();
    let back = world.proxy.command("readmit", &["records", "virginia", "--reason", "mended"]);
    assert!(back.status.success(), "{}", String::from_utf8_lossy(&back.stderr));
    let before = world.virginia.count();
    for _ in 0..100 {
        assert_eq!(client.get("/Patient/1").await.status, 200);
    }
    let asked = world.virginia.count() - before;
    (world, asked)
}

#[tokio::test]
async fn who_comes_back_takes_its_share_bit_by_bit_for_the_configured_time() {
    let (world, asked) = comes_back("60s").await;
    // A tenth of its weight at first is 9 of 100; a machine that stands still for ten seconds makes it 20.
    assert!((5..25).contains(&asked), "{asked} of 100");
    assert_eq!(world.proxy.state_of("virginia"), "warming");
    let (world, _) = comes_back("500ms").await;
    let whole = || world.proxy.state_of("virginia");
    eventually::equal("it has come back", "healthy".to_owned(), whole).await;
    let before = [world.virginia.count(), world.ohio.count()];
    let mut client = world.client();
    for _ in 0..100 {
        assert_eq!(client.get("/Patient/1").await.status, 200);
    }
    assert_eq!([world.virginia.count() - before[0], world.ohio.count() - before[1]], [50, 50]);
    assert_eq!(comes_back("0s").await.1, 50, "at once");
}
