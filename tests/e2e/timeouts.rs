//! Time: an attempt's, a request's, and who is blamed when it is up.

use crate::world::World;
use bytes::Bytes;
use harness::client::Reply;
use harness::upstream::Speech;
use harness::upstream::ledger::Seen;
use harness::upstream::script::{Behaviour, Order};
use http::Request;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

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

fn unix_millis() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(now.as_millis()).unwrap()
}

async fn read_until(world: &World, deadline: &str) -> Reply {
    let read = Request::get("/Patient/1").header("x-request-deadline", deadline);
    world.client().send(read.body(Bytes::new()).unwrap()).await.unwrap()
}

fn told_deadline(seen: &Seen) -> u64 {
    seen.header("x-request-deadline").and_then(|text| text.parse().ok()).expect("a deadline is passed on")
}

#[tokio::test]
async fn a_clients_deadline_that_has_passed_is_answered_at_once_and_asks_nobody() {
    let world = slow_world("{attempt: 2s, request: 5s}").await;
    for passed in [0, 1, unix_millis() - 1] {
        let reply = read_until(&world, &passed.to_string()).await;
        assert_eq!((reply.status, reply.json()["issue"][0]["code"].as_str()), (504, Some("timeout")));
        assert!(reply.took < Duration::from_secs(1), "{:?}", reply.took);
    }
    assert_eq!(world.seen(), 0);
    world.proxy.access(3).await;
    let metrics = world.proxy.metrics();
    assert_eq!(metrics.count("aorta_refusals_total", &[("reason", "deadline_passed")]), 3);
    assert_eq!(metrics.count("aorta_requests_total", &[("outcome", "rejected")]), 3);
}

#[tokio::test]
async fn a_clients_deadline_ends_its_request_and_ejects_nobody() {
    let world = slow_world("{attempt: 2s, request: 5s}").await;
    for _ in 0..8 {
        let gives_up = unix_millis() + 400;
        let reply = read_until(&world, &gives_up.to_string()).await;
        assert_eq!(reply.status, 504);
        assert!((300..1500).contains(&reply.took.as_millis()), "{:?}", reply.took);
    }
    assert!(world.seen() <= 16, "a second one beside each first, and no more");
    assert_eq!(world.proxy.ejections(), 0, "a client's haste is no upstream's fault");
    assert_eq!(
        (world.proxy.state_of("virginia"), world.proxy.state_of("ohio")),
        ("healthy".into(), "healthy".into())
    );
}

#[tokio::test]
async fn a_read_whose_client_waits_less_than_an_attempt_may_take_is_not_lost_to_a_silent_region() {
    let world =
        World::with(Speech::Http1, |setup, _| setup.pool("timeouts", "{attempt: 10s, request: 25s}")).await;
    world.virginia.obey(Order::before(Behaviour::Hang));
    for _ in 0..24 {
        let gives_up = unix_millis() + 3_000;
        let reply = read_until(&world, &gives_up.to_string()).await;
        assert_eq!((reply.status, reply.upstream()), (200, "ohio"));
    }
    assert_eq!(world.proxy.state_of("virginia"), "ejected", "its silence was noticed");
}

#[tokio::test]
async fn an_upstream_is_told_the_nearer_of_the_clients_deadline_and_the_pools() {
    let world = World::new().await;
    let soon = unix_millis() + 3_000;
    assert_eq!(read_until(&world, &soon.to_string()).await.status, 200);
    let told = told_deadline(&world.virginia.ledger().seen[0]);
    // Both clocks are read in whole milliseconds, some of them later than others.
    assert!((soon - 5..=soon + 5).contains(&told), "{told}, asked for {soon}");
    for lasting in ["99999999999999", "18446744073709551615", "soon", "-1", ""] {
        assert_eq!(read_until(&world, lasting).await.status, 200, "{lasting:?}");
    }
    for seen in world.ohio.ledger().seen.iter() {
        let left = told_deadline(seen).saturating_sub(soon - 3_000);
        assert!((5_000..20_000).contains(&left), "the pool's own six seconds, not {left} ms");
    }
}
