//! Time: an attempt's, a request's, and who is blamed when it is up.

use crate::world::World;
use harness::upstream::Speech;
use harness::upstream::script::{Behaviour, Order};
use std::time::Duration;

const SLOW: Duration = Duration::from_secs(3);

async fn slow_world(timeouts: &str) -> World {
    let world = World::with(Speech::Http1, |setup, _| setup.pool("timeouts", timeouts)).await;
    world.virginia.obey(Order::before(Behaviour::Slow(SLOW)));
    world.ohio.obey(Order::before(Behaviour::Slow(SLOW)));
    world
}

#[tokio::test]
async fn a_request_ends_at_its_deadline_with_a_504() {
    let world = slow_world("{attempt: 400ms, request: 700ms}").await;
    let reply = world.client().get("/Patient/1").await;
    assert_eq!((reply.status, reply.json()["issue"][0]["code"].as_str()), (504, Some("timeout")));
    assert!((600..1500).contains(&reply.took.as_millis()), "{:?}", reply.took);
    let lines = world.proxy.access(1).await;
    let classes = harness::log::classes(&lines[0]);
    assert_eq!(classes, ["timed_out", "timed_out"], "{lines:?}");
    assert_eq!(harness::log::asked(&lines[0]), ["virginia", "ohio"]);
}

#[tokio::test]
async fn a_write_that_ran_out_of_time_is_not_sent_again() {
    let world = slow_world("{attempt: 300ms, request: 2s}").await;
    let reply = world.client().post("/Patient", "{}").await;
    assert_eq!(reply.status, 504);
    assert!((250..1200).contains(&reply.took.as_millis()), "{:?}", reply.took);
    assert_eq!(world.seen(), 1);
    world.proxy.access(1).await;
    let denied = world.proxy.metrics().count("aorta_retries_denied_total", &[("reason", "not_idempotent")]);
    assert_eq!(denied, 1);
}

#[tokio::test]
async fn a_read_whose_attempt_ran_out_of_time_is_served_elsewhere_and_the_slow_one_is_blamed() {
    let world = slow_world("{attempt: 300ms, request: 5s}").await;
    world.ohio.heal();
    let mut client = world.client();
    for index in 0..12 {
        let reply = client.get(&format!("/Patient/{index}")).await;
        assert_eq!((reply.status, reply.upstream()), (200, "ohio"));
    }
    let ejected = [("upstream", "virginia"), ("reason", "consecutive_failures")];
    assert!(world.proxy.metrics().count("aorta_upstream_ejections_total", &ejected) >= 1);
    assert_eq!(world.proxy.state_of("ohio"), "healthy");
}
