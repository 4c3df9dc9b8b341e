//! Who is blamed: what a client does wrong, and what an application answers, never ejects an upstream.

use crate::world::World;
use bytes::Bytes;
use harness::eventually;
use harness::raw::Raw;
use harness::upstream::Speech;
use harness::upstream::answer::{forbidden, outcome};
use harness::upstream::ledger::Seen;
use harness::upstream::script::{Behaviour, Order};
use http::Request;
use std::time::Duration;

fn read(key: &str) -> Request<Bytes> {
    Request::get("/Patient/1").header("x-api-key", key).body(Bytes::new()).unwrap()
}

fn nobody_is_ejected(world: &World) {
    assert_eq!(world.proxy.ejections(), 0);
    assert_eq!(world.proxy.state_of("virginia"), "healthy");
    assert_eq!(world.proxy.state_of("ohio"), "healthy");
}

#[tokio::test]
async fn a_403_of_the_application_reaches_the_client_and_ejects_nobody() {
    for status in [401, 403, 404, 409, 412, 422] {
        let world = World::new().await;
        let answer = outcome(status, "forbidden");
        world.virginia.obey(Order::before(Behaviour::Say(answer.clone())));
        world.ohio.obey(Order::before(Behaviour::Say(answer.clone())));
        let mut client = world.client();
        for _ in 0..30 {
            let reply = client.get("/Patient/1").await;
            assert_eq!((reply.status, reply.attempts(), &reply.body), (status, 1, &answer.body));
        }
        assert_eq!(world.seen(), 30);
        nobody_is_ejected(&world);
    }
}

async fn one_bad_key(world: &World) {
    let bad = |seen: &Seen| seen.header("x-api-key") == Some("bad");
    world.virginia.obey(Order::before(Behaviour::Say(forbidden())).only(bad));
    world.ohio.obey(Order::before(Behaviour::Say(forbidden())).only(bad));
    let mut client = world.client();
    for _ in 0..30 {
        let denied = client.send(read("bad")).await.unwrap();
        assert_eq!((denied.status, &denied.body[..]), (403, &forbidden().body[..]));
        assert!(denied.attempts() <= 2, "one move at most");
        assert_eq!(client.send(read("good")).await.unwrap().status, 200);
    }
    nobody_is_ejected(world);
}

#[tokio::test]
async fn one_client_with_a_bad_key_ejects_nobody_when_a_check_can_tell() {
    let world = World::new().await;
    one_bad_key(&world).await;
    let prevented = || {
        let guard = [("guard", "unverified")];
        world.proxy.metrics().count("aorta_upstream_ejections_prevented_total", &guard) > 0
    };
    eventually::equal("the check cleared a region", true, prevented).await;
    assert!(world.virginia.ledger().seen.iter().any(|seen| seen.path() == "/Server1/metadata"));
    nobody_is_ejected(&world);
}

#[tokio::test]
async fn one_client_with_a_bad_key_ejects_nobody_without_a_check_either() {
    let world = World::with(Speech::Http1, |setup, _| setup.pool("active_health", "")).await;
    one_bad_key(&world).await;
    let mut client = world.client();
    for _ in 0..30 {
        assert_eq!(client.send(read("bad")).await.unwrap().status, 403, "alone for a while");
    }
    nobody_is_ejected(&world);
}

#[tokio::test]
async fn a_client_that_uploads_too_slowly_is_told_so_and_ejects_nobody() {
    let limits = "{body_time: 300ms}";
    let world = World::with(Speech::Http1, |setup, _| setup.listener("limits", limits)).await;
    for index in 0..12 {
        let mut raw = Raw::connect(world.proxy.address()).await;
        let framing = ["content-length: 2000", "transfer-encoding: chunked"][index % 2];
        raw.send(format!("POST /Patient HTTP/1.1\r\nhost: aorta.test\r\n{framing}\r\n\r\n")).await;
        raw.send("7d0\r\n{\"resourceType\":").await;
        assert_eq!(raw.answer().await.status, 408);
        assert!(raw.closes_within(Duration::from_secs(5)).await, "half a body is left on the connection");
    }
    assert_eq!(world.seen(), 0);
    nobody_is_ejected(&world);
}

#[tokio::test]
async fn a_client_whose_header_never_ends_is_cut_off_and_ejects_nobody() {
    let limits = "{header_time: 300ms}";
    let world = World::with(Speech::Http1, |setup, _| setup.listener("limits", limits)).await;
    for beginning in
        ["GET /Patient/1 HTTP/1.1\r\nhost: aorta.test\r\nx-slow: ", "GET /Patient/1 HTTP/1.1\r\n", "GET", "G"]
    {
        let mut raw = Raw::connect(world.proxy.address()).await;
        raw.send(beginning).await;
        assert!(raw.closes_within(Duration::from_secs(5)).await, "{beginning:?} holds its connection");
    }
    assert_eq!(world.seen(), 0);
    nobody_is_ejected(&world);
}

#[tokio::test]
async fn a_client_that_aborts_cancels_its_attempt_and_ejects_nobody() {
    let world = World::new().await;
    let slow = Order::before(Behaviour::Slow(Duration::from_millis(600)));
    world.virginia.obey(slow.clone());
    world.ohio.obey(slow);
    for count in 1..=12 {
        let mut raw = Raw::connect(world.proxy.address()).await;
        raw.send("GET /Patient/1 HTTP/1.1\r\nhost: aorta.test\r\n\r\n").await;
        eventually::equal("the request is at an upstream", count, || world.seen()).await;
        raw.abort();
    }
    let lines = world.proxy.access(12).await;
    assert!(lines.iter().all(|line| line["felt"] == "abandoned"), "{lines:?}");
    nobody_is_ejected(&world);
}

#[tokio::test]
async fn a_client_that_aborts_its_upload_ejects_nobody() {
    let world = World::new().await;
    for _ in 0..12 {
        let mut raw = Raw::connect(world.proxy.address()).await;
        raw.send("POST /Patient HTTP/1.1\r\nhost: aorta.test\r\ncontent-length: 2000\r\n\r\n{").await;
        raw.abort();
    }
    assert_eq!(world.client().get("/Patient/1").await.status, 200);
    assert_eq!(world.seen(), 1, "no half upload reached an upstream");
    nobody_is_ejected(&world);
}
