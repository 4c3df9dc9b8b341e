//! The end: SIGTERM takes no new work, finishes what is in flight, and exits with 0.

use crate::world::World;
use harness::client::Client;
use harness::eventually;
use harness::upstream::Speech;
use harness::upstream::answer::{FHIR_JSON, record};
use harness::upstream::script::{Answer, Behaviour, Order};
use nix::sys::signal::Signal;
use std::time::Duration;

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
