//! The end: SIGTERM fails readiness first, then takes no new work, finishes what is in flight, and exits with 0.

use crate::world::World;
use bytes::Bytes;
use harness::client::{Client, Target};
use harness::eventually;
use harness::metrics::get;
use harness::upstream::Speech;
use harness::upstream::answer::{FHIR_JSON, record};
use harness::upstream::script::{Answer, Behaviour, Order};
use http::Request;
use nix::sys::signal::Signal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

#[tokio::test]
async fn what_is_in_flight_at_sigterm_is_finished() {
    let mut world =
        World::with(Speech::Http1, |setup, authority| setup.tls(&authority.files("aorta.test"))).await;
    let slow = Order::before(Behaviour::Slow(Duration::from_millis(700)));
    world.virginia.obey(slow.clone());
    world.ohio.obey(slow);
    let read = |http2| {
        let mut client = Client::new(world.proxy.tls_target(&world.authority, http2));
        tokio::spawn(async move { client.get("/Patient/1").await })
    };
    let reads = [read(false), read(true), read(false), read(true)];
    eventually::equal("all are at an upstream", 4, || world.seen()).await;
    world.proxy.program.signal(Signal::SIGTERM);
    for read in reads {
        let reply = read.await.expect("answered");
        assert_eq!((reply.status, reply.body), (200, record("1")));
    }
    assert_eq!(world.proxy.end(), 0, "{}", world.proxy.program.said());
}

#[tokio::test]
async fn an_idle_client_does_not_hold_up_the_end() {
    let mut world = World::new().await;
    let mut client = world.client();
    assert_eq!(client.get("/Patient/1").await.status, 200);
    assert_eq!(world.proxy.stop(), 0);
    assert!(client.send(http::Request::get("/").body(bytes::Bytes::new()).unwrap()).await.is_err());
}

#[tokio::test]
async fn an_answer_that_streams_at_sigterm_is_streamed_to_its_end() {
    let mut world = World::new().await;
    let large = bytes::Bytes::from(vec![b'x'; 24 << 20]);
    let order = Order::before(Behaviour::Say(Answer::new(200, FHIR_JSON, large.clone())));
    world.virginia.obey(order.clone());
    world.ohio.obey(order);
    let mut client = world.client();
    let read = tokio::spawn(async move { client.get("/Binary/1").await });
    eventually::equal("it is at an upstream", 1, || world.seen()).await;
    world.proxy.program.signal(Signal::SIGTERM);
    assert_eq!(read.await.expect("answered").body.len(), large.len());
    assert_eq!(world.proxy.end(), 0);
}

/// Waits until nobody can connect any more.
async fn closed(world: &World) {
    let refused = || std::net::TcpStream::connect(world.proxy.address()).is_err().then_some(());
    eventually::found("the listener is closed", refused).await;
}

fn read() -> Request<Bytes> {
    Request::get("/Patient/1").body(Bytes::new()).unwrap()
}

#[tokio::test]
async fn readiness_fails_before_the_listeners_close() {
    let mut world =
        World::with(Speech::Http1, |setup, _| setup.top("shutdown", "{unready: 2s, idle: 0s}")).await;
    let start = Instant::now();
    world.proxy.program.signal(Signal::SIGTERM);
    let unready = || get(world.proxy.admin(), "/readyz").is_none().then_some(());
    eventually::found("readiness fails", unready).await;
    assert!(get(world.proxy.admin(), "/livez").is_some(), "it lives");
    let reply = world.client().get("/Patient/1").await;
    assert_eq!((reply.status, reply.header("connection")), (200, "close"), "new clients are still served");
    assert!(start.elapsed() < Duration::from_secs(2), "too slow to tell anything");
    assert_eq!(world.proxy.end(), 0);
    assert!(start.elapsed() >= Duration::from_secs(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_is_served_once_more_after_the_listeners_closed() {
    let mut world = World::with(Speech::Http1, |setup, _| setup.top("shutdown", "{idle: 20s}")).await;
    let mut client = world.client();
    assert_eq!(client.get("/Patient/1").await.status, 200);
    world.proxy.program.signal(Signal::SIGTERM);
    closed(&world).await;
    let reply = client.send(read()).await.expect("an idle connection is served");
    assert_eq!((reply.status, reply.header("connection")), (200, "close"));
    // Far earlier than the idle time: nobody is left.
    assert_eq!(world.proxy.end(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_never_ends_is_cut_off_at_the_limit() {
    let shutdown = "{idle: 0s, limit: 1s}";
    let mut world = World::with(Speech::Http1, |setup, _| setup.top("shutdown", shutdown)).await;
    let slow = Order::before(Behaviour::Slow(Duration::from_secs(20)));
    world.virginia.obey(slow.clone());
    world.ohio.obey(slow);
    let mut client = world.client();
    let waiting = tokio::spawn(async move { client.send(read()).await });
    eventually::equal("it is at an upstream", 1, || world.seen().min(1)).await;
    world.proxy.program.signal(Signal::SIGTERM);
    assert_eq!(world.proxy.end(), 0);
    assert!(waiting.await.unwrap().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_it_at_once() {
    let mut world = World::with(Speech::Http1, |setup, _| setup.top("shutdown", "{idle: 60s}")).await;
    let mut client = world.client();
    assert_eq!(client.get("/Patient/1").await.status, 200);
    world.proxy.program.signal(Signal::SIGTERM);
    closed(&world).await;
    assert_eq!(world.proxy.stop(), 0);
}

/// Creates on new connections, one after the other, until connecting is refused; tells what broke.
fn newcomer(target: Target, stop: Arc<AtomicBool>) -> tokio::task::JoinHandle<(usize, Option<String>)> {
    tokio::spawn(async move {
        let mut served = 0;
        while !stop.load(Ordering::Relaxed) {
            let body = Bytes::from_static(br#"{"resourceType":"Patient"}"#);
            let post = Request::post("/Patient").header("content-type", "application/fhir+json");
            match Client::new(target.clone()).attempt(post.body(body).unwrap()).await {
                Ok(reply) if reply.status == 201 => served += 1,
                Ok(reply) => return (served, Some(format!("status {}", reply.status))),
                // It may go elsewhere: nothing was sent.
                Err(broken) if broken.unsent => return (served, None),
                Err(broken) => return (served, Some(broken.words)),
            }
        }
        (served, None)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn who_connects_as_the_process_ends_is_served_or_refused_and_never_cut_off() {
    // A restart each time: the moment is short.
    for _ in 0..4 {
        let mut world = World::with(Speech::Plain, |setup, _| setup.top("shutdown", "{idle: 1s}")).await;
        let stop = Arc::new(AtomicBool::new(false));
        let newcomers: Vec<_> = (0..24).map(|_| newcomer(world.proxy.target(), Arc::clone(&stop))).collect();
        eventually::found("they are served", || (world.seen() > 100).then_some(())).await;
        assert_eq!(tokio::task::block_in_place(|| world.proxy.stop()), 0);
        stop.store(true, Ordering::Relaxed);
        for newcomer in newcomers {
            let (served, cut) = newcomer.await.unwrap();
            assert_eq!(cut, None, "after {served}");
        }
    }
}
