//! Who is asked: equal shares in strict turn, shares by weight, the same one for the same key, the less busy, the
//! quicker, whoever the lot falls on; and everybody's own count agrees.

use crate::world::World;
use bytes::Bytes;
use harness::authority::Authority;
use harness::client::Client;
use harness::eventually;
use harness::load::{self, Plan, Progress};
use harness::proxy::Proxy;
use harness::raw::Raw;
use harness::setup::Setup;
use harness::upstream::script::{Behaviour, Order};
use harness::upstream::{Speech, Upstream};
use http::Request;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

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

/// Keys enough that each of three regions has some: that one has none is a chance of one in a hundred thousand.
const KEYS: usize = 30;

/// Three regions behind two proxies that ask by a key.
struct Ring {
    proxies: [Proxy; 2],
    regions: [Upstream; 3],
    _authority: Authority,
}

impl Ring {
    async fn by(key: &str) -> Self {
        let authority = Authority::new();
        let regions =
            ["virginia", "ohio", "oregon"].map(|name| Upstream::start(name, Speech::Plain, &authority));
        let setup = Setup::new(&regions.each_ref())
            .pool("balance", &format!("{{ring_hash: {{key: \"{key}\"}}}}"))
            .pool("passive_health", "{ejection: 500ms, ejection_max: 500ms}");
        let proxies = [Proxy::start(&setup).await, Proxy::start(&setup).await];
        Self { proxies, regions, _authority: authority }
    }

    /// Who serves each key by this proxy; no request is lost.
    async fn homes(&self, proxy: usize, send: impl AsyncFn(&Proxy, usize) -> String) -> Vec<String> {
        let mut homes = Vec::new();
        for key in 0..KEYS {
            homes.push(send(&self.proxies[proxy], key).await);
        }
        homes
    }
}

/// Each key stays with one region, by every proxy and on every connection; when a region goes, its keys alone move, and
/// with it they come back.
async fn each_key_has_its_home(by: &str, send: impl AsyncFn(&Proxy, usize) -> String) {
    let ring = Ring::by(by).await;
    let homes = ring.homes(0, &send).await;
    assert_eq!(homes.iter().collect::<BTreeSet<_>>().len(), 3, "{homes:?}");
    assert_eq!(ring.homes(0, &send).await, homes, "again");
    assert_eq!(ring.homes(1, &send).await, homes, "by another proxy");
    ring.regions[1].refuse().await;
    let moved = ring.homes(0, &send).await;
    for (home, now) in homes.iter().zip(&moved) {
        let is_kept = home == now;
        assert_eq!(is_kept, home != "ohio", "{homes:?} {moved:?}");
    }
    assert!(
        ["virginia", "oregon"]
            .iter()
            .all(|other| { homes.iter().zip(&moved).any(|(home, now)| home == "ohio" && now == other) }),
        "they spread: {moved:?}"
    );
    ring.regions[1].heal();
    let back = async { while ring.homes(0, &send).await != homes {} };
    tokio::time::timeout(eventually::BOUND, back).await.expect("they come home");
}

async fn served_with(proxy: &Proxy, name: &str, value: &str) -> String {
    let read = Request::get("/Patient/1").header(name, value).body(Bytes::new()).unwrap();
    let reply = Client::new(proxy.target()).send(read).await.unwrap();
    assert_eq!(reply.status, 200);
    reply.upstream().to_owned()
}

#[tokio::test]
async fn by_a_header_each_tenant_stays_with_one_region_and_only_those_of_a_lost_one_move() {
    each_key_has_its_home("header:x-tenant", async |proxy, key| {
        served_with(proxy, "x-tenant", &format!("ward-{key}")).await
    })
    .await;
}

#[tokio::test]
async fn by_a_cookie_each_session_stays_with_one_region_whatever_other_cookies_say() {
    let others = std::cell::Cell::new(0);
    each_key_has_its_home("cookie:session", async |proxy, key| {
        others.set(others.get() + 1);
        let cookies = format!("session-id={0}; session=s{key}; theme=t{0}", others.get());
        served_with(proxy, "cookie", &cookies).await
    })
    .await;
}

#[tokio::test]
async fn by_its_address_each_client_stays_with_one_region() {
    each_key_has_its_home("client_ip", async |proxy, key| {
        let client = Ipv4Addr::new(127, 0, 1, u8::try_from(key + 1).unwrap());
        let mut raw = Raw::connect_as(client, proxy.address()).await;
        raw.send("GET /Patient/1 HTTP/1.1\r\nhost: aorta.test\r\nconnection: close\r\n\r\n").await;
        let answer = raw.answer().await;
        assert_eq!(answer.status, 200);
        answer.header("x-aorta-upstream").to_owned()
    })
    .await;
}

#[tokio::test]
async fn a_request_without_the_key_goes_to_any_region() {
    let ring = Ring::by("header:x-tenant").await;
    let homes = ring.homes(0, async |proxy, _| served_with(proxy, "x-other", "1").await).await;
    assert_eq!(homes.iter().collect::<BTreeSet<_>>().len(), 3, "{homes:?}");
}

async fn balanced_by(policy: &str) -> World {
    World::with(Speech::Plain, |setup, _| {
        let setup = setup.pool("balance", policy).pool("timeouts", "{attempt: 20s, request: 20s}");
        setup.pool("active_health", "")
    })
    .await
}

#[tokio::test]
async fn the_less_busy_region_is_asked_while_the_other_holds_a_request() {
    let world = balanced_by("least_request").await;
    let hang = Order::before(Behaviour::Hang).only(|seen| seen.path().ends_with("/hang"));
    world.virginia.obey(hang.clone());
    world.ohio.obey(hang);
    let mut client = world.client();
    let held =
        tokio::spawn(
            async move { client.send(Request::get("/Patient/hang").body(Bytes::new()).unwrap()).await },
        );
    eventually::equal("one is held", 1, || world.seen()).await;
    let idle = if world.virginia.count() == 1 { "ohio" } else { "virginia" };
    let order = order_of(&world, 40).await;
    assert!(order.iter().all(|name| name == idle), "{order:?}");
    held.abort();
    assert!(held.await.is_err());
    world.proxy.at_rest().await;
    let order = order_of(&world, 60).await;
    assert!(["virginia", "ohio"].iter().all(|name| order.iter().any(|asked| asked == name)), "{order:?}");
}

#[tokio::test]
async fn the_quicker_region_is_asked_once_the_other_was_slow() {
    let world = balanced_by("peak_ewma").await;
    let order = order_of(&world, 60).await;
    assert!(["virginia", "ohio"].iter().all(|name| order.iter().any(|asked| asked == name)), "{order:?}");
    world.virginia.obey(Order::before(Behaviour::Slow(Duration::from_millis(500))));
    world.served_by(world.proxy.target(), "virginia", 1).await;
    world.proxy.at_rest().await;
    let order = order_of(&world, 40).await;
    assert!(order.iter().all(|name| name == "ohio"), "{order:?}");
}

#[tokio::test]
async fn by_lot_both_are_asked_and_not_in_turn() {
    let world = balanced_by("random").await;
    let order = order_of(&world, 200).await;
    // A hundred each are expected, and seven is the standard deviation.
    assert!(world.virginia.count().abs_diff(100) < 50 && world.seen() == 200, "{order:?}");
    let repeated = order.windows(2).filter(|pair| pair[0] == pair[1]).count();
    assert!((50..150).contains(&repeated), "{repeated} of 199 were asked twice in a row: {order:?}");
}
