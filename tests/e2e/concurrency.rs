//! Places: so many requests at once, a bounded queue, and who is turned away when it is full.

use crate::world::World;
use bytes::Bytes;
use harness::client::{Client, Reply};
use harness::eventually;
use harness::raw::Raw;
use harness::upstream::Speech;
use harness::upstream::script::{Behaviour, Order};
use http::Request;
use std::time::Duration;
use tokio::task::JoinHandle;

async fn world(concurrency: &str) -> World {
    World::with(Speech::Http1, |setup, _| {
        let setup = setup.pool("concurrency", concurrency).pool("active_health", "");
        setup.pool("timeouts", "{connect: 500ms, attempt: 20s, request: 20s}")
    })
    .await
}

fn hang(world: &World) {
    for upstream in [&world.virginia, &world.ohio] {
        upstream.obey(Order::before(Behaviour::Hang));
    }
}

/// A request on its way, on a connection of its own.
fn send(world: &World, method: &'static str, path: &'static str) -> JoinHandle<Reply> {
    let mut client = Client::new(world.proxy.target());
    tokio::spawn(async move {
        let request = Request::builder().method(method).uri(path).body(Bytes::new()).unwrap();
        client.send(request).await.unwrap()
    })
}

async fn until(world: &World, family: &str, count: u64) {
    eventually::found(&format!("{family} is {count}"), || {
        (world.proxy.metrics().count(family, &[]) == count).then_some(())
    })
    .await;
}

fn shed(world: &World, priority: &str, reason: &str) -> u64 {
    let labels = [("pool", "records"), ("priority", priority), ("reason", reason)];
    world.proxy.metrics().count("aorta_requests_shed_total", &labels)
}

#[tokio::test]
async fn what_the_pool_does_not_carry_waits_and_a_read_displaces_an_export_when_the_queue_is_full() {
    let world = world("{max: 1, queue: 1, queue_timeout: 15s}").await;
    hang(&world);
    let running = send(&world, "GET", "/Patient/1");
    until(&world, "aorta_pool_requests_in_flight", 1).await;
    let export = send(&world, "GET", "/$export");
    until(&world, "aorta_pool_requests_queued", 1).await;
    let second = send(&world, "GET", "/Group/1/$export").await.unwrap();
    assert_eq!((second.status, shed(&world, "bulk", "queue_full")), (503, 1));
    let read = send(&world, "GET", "/Patient/2");
    let displaced = export.await.unwrap();
    assert_eq!((displaced.status, displaced.header("retry-after")), (503, "1"));
    assert_eq!(displaced.json()["issue"][0]["code"], "throttled");
    assert_eq!(shed(&world, "bulk", "displaced"), 1);
    assert_eq!(world.seen(), 1, "nothing that waits was sent anywhere");
    world.virginia.heal();
    world.ohio.heal();
    running.abort();
    assert!(running.await.is_err());
    assert_eq!(read.await.unwrap().status, 200, "a place that comes free goes to the queue");
    until(&world, "aorta_pool_requests_in_flight", 0).await;
}

/// FHIR's "Asynchronous Request Pattern": who waits for no answer can wait for its turn (RFC 7240: in any case).
#[tokio::test]
async fn a_read_displaces_one_whose_client_prefers_to_be_answered_later() {
    for prefer in ["respond-async", "handling=lenient, Respond-Async; wait=10"] {
        let world = world("{max: 1, queue: 1, queue_timeout: 15s}").await;
        hang(&world);
        let running = send(&world, "GET", "/Patient/1");
        until(&world, "aorta_pool_requests_in_flight", 1).await;
        let mut client = world.client();
        let patient = Request::get("/Patient/2").header("prefer", prefer).body(Bytes::new()).unwrap();
        let patient = tokio::spawn(async move { client.send(patient).await.unwrap() });
        until(&world, "aorta_pool_requests_queued", 1).await;
        let read = send(&world, "GET", "/Patient/3");
        let displaced = patient.await.unwrap();
        assert_eq!((displaced.status, shed(&world, "bulk", "displaced")), (503, 1), "{prefer}");
        assert_eq!(world.seen(), 1);
        for request in [running, read] {
            request.abort();
            assert!(request.await.is_err());
        }
    }
}

#[tokio::test]
async fn nobody_waits_longer_than_the_queue_timeout() {
    let world = world("{max: 1, queue: 4, queue_timeout: 100ms}").await;
    hang(&world);
    let running = send(&world, "GET", "/Patient/1");
    until(&world, "aorta_pool_requests_in_flight", 1).await;
    let late = send(&world, "GET", "/Patient/2").await.unwrap();
    assert_eq!((late.status, shed(&world, "record", "queue_timeout")), (503, 1));
    assert!(late.took >= Duration::from_millis(100), "{:?}", late.took);
    running.abort();
    assert!(running.await.is_err());
}

#[tokio::test]
async fn a_client_that_leaves_the_queue_or_its_place_leaves_nothing_behind() {
    let world = world("{max: 1, queue: 1, queue_timeout: 15s}").await;
    hang(&world);
    for _ in 0..3 {
        let running = send(&world, "GET", "/Patient/1");
        until(&world, "aorta_pool_requests_in_flight", 1).await;
        let mut waiting = Raw::connect(world.proxy.address()).await;
        waiting.send("GET /Patient/2 HTTP/1.1\r\nhost: aorta.test\r\n\r\n").await;
        until(&world, "aorta_pool_requests_queued", 1).await;
        waiting.abort();
        until(&world, "aorta_pool_requests_queued", 0).await;
        running.abort();
        assert!(running.await.is_err());
        until(&world, "aorta_pool_requests_in_flight", 0).await;
    }
}

#[tokio::test]
async fn an_upstream_at_its_limit_is_passed_over() {
    let world = World::with(Speech::Http1, |setup, _| {
        let setup = setup.upstream(0, "concurrency_max: 1").pool("active_health", "");
        setup.pool("timeouts", "{connect: 500ms, attempt: 20s, request: 20s}")
    })
    .await;
    world.virginia.obey(Order::before(Behaviour::Hang));
    let running = send(&world, "GET", "/Patient/1");
    until(&world, "aorta_upstream_attempts_in_flight", 1).await;
    let mut client = world.client();
    for _ in 0..10 {
        assert_eq!(client.get("/Patient/2").await.upstream(), "ohio");
    }
    assert_eq!(world.virginia.count(), 1);
    running.abort();
    assert!(running.await.is_err());
}

#[tokio::test]
async fn one_client_cannot_take_all_connections_of_a_listener() {
    let world =
        World::with(Speech::Http1, |setup, _| setup.listener("limits", "{connections_per_client: 2}")).await;
    let mut first = world.client();
    assert_eq!(first.get("/Patient/1").await.status, 200);
    let mut second = world.client();
    assert_eq!(second.get("/Patient/1").await.status, 200);
    let mut third = Raw::connect(world.proxy.address()).await;
    assert!(third.closes_within(eventually::BOUND).await);
    let refused = [("reason", "client")];
    assert_eq!(world.proxy.metrics().count("aorta_connections_refused_total", &refused), 1);
    drop(first);
    let served = async {
        loop {
            let read = Request::get("/Patient/1").body(Bytes::new()).unwrap();
            if world.client().send(read).await.is_ok() {
                return;
            }
        }
    };
    tokio::time::timeout(eventually::BOUND, served).await.expect("a place that is left can be taken");
    assert_eq!(second.get("/Patient/1").await.status, 200);
}
