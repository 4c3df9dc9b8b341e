//! Who is asked: equal shares in strict turn, shares by weight, and everybody's own count agrees.

use crate::world::World;
use bytes::Bytes;
use harness::load::{self, Plan, Progress};
use harness::upstream::Speech;
use http::Request;
use std::sync::Arc;

async fn order_of(world: &World, requests: usize) -> Vec<String> {
    let mut client = world.client();
    let mut order = Vec::new();
    for index in 0..requests {
        order.push(client.get(&format!("/Patient/{index}")).await.upstream().to_owned());
    }
    order
}

#[tokio::test]
async fn two_regions_answer_in_strict_turn() {
    let world = World::new().await;
    let order = order_of(&world, 100).await;
    let expected: Vec<_> = ["virginia", "ohio"].into_iter().cycle().take(100).collect();
    assert_eq!(order, expected);
    assert_eq!((world.virginia.count(), world.ohio.count()), (50, 50));
}

#[tokio::test]
async fn clients_at_once_still_share_equally() {
    let world = World::new().await;
    let make = |index| Request::get(format!("/Patient/{index}")).body(Bytes::new()).unwrap();
    let plan = Plan { requests: 400, rate: 800, connections: 16, make: Arc::new(make) };
    let samples = load::run(&world.proxy.target(), &plan, &Progress::default()).await;
    assert!(samples.iter().all(|sample| sample.result.as_ref().is_ok_and(|reply| reply.status == 200)));
    assert_eq!((world.virginia.count(), world.ohio.count()), (200, 200));
    world.proxy.access(400).await;
    let attempts = |upstream| {
        let labels = [("upstream", upstream), ("class", "answered")];
        world.proxy.metrics().count("aorta_upstream_attempts_total", &labels)
    };
    assert_eq!((attempts("virginia"), attempts("ohio")), (200, 200));
}

#[tokio::test]
async fn a_weight_is_a_share_and_is_spread_evenly() {
    let world = World::with(Speech::Http1, |setup, _| setup.upstream(0, "weight: 3")).await;
    let order = order_of(&world, 80).await;
    assert_eq!((world.virginia.count(), world.ohio.count()), (60, 20));
    for four in order.chunks(4) {
        assert_eq!(four.iter().filter(|name| *name == "ohio").count(), 1, "{order:?}");
    }
}
