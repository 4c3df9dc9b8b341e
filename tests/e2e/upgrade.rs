//! A binary upgrade: a new process takes the listeners over, and nobody notices.

use crate::reload::reader;
use crate::world::{World, alone};
use harness::authority::Authority;
use harness::client::{Client, Target};
use harness::eventually;
use harness::metrics::get;
use harness::port::Lease;
use harness::setup::Setup;
use harness::upstream::script::{Behaviour, Order};
use harness::upstream::{Speech, Upstream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn upgrades_under_load_lose_no_request() {
    let _alone = alone().await;
    let mut world = World::with(Speech::Http1, |setup, authority| {
        setup.tls(&authority.files("aorta.test")).top("shutdown", "{idle: 2s}")
    })
    .await;
    let stop = Arc::new(AtomicBool::new(false));
    let clients = (0..12).map(|index| world.proxy.tls_target(&world.authority, index % 3 == 0));
    let readers: Vec<_> = clients.map(|target| reader(Client::new(target), &stop)).collect();
    for upgrade in 1..=3 {
        let before = world.seen();
        eventually::found("the load goes on", || (world.seen() > before + 30).then_some(())).await;
        world.proxy.upgrade();
        assert_eq!(world.proxy.metrics().count("aorta_connections_refused_total", &[]), 0, "{upgrade}");
    }
    stop.store(true, Ordering::Relaxed);
    for reader in readers {
        let (sent, lost, _) = reader.await.unwrap();
        assert!(sent > 10 && lost.is_empty(), "of {sent}: {lost:?}\n{}", world.proxy.program.said());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_flight_at_an_upgrade_is_finished_by_the_old_process() {
    let mut world = World::new().await;
    let slow = Order::before(Behaviour::Slow(Duration::from_millis(700)));
    world.virginia.obey(slow.clone());
    let mut client = world.client();
    let read = tokio::spawn(async move { client.get("/Patient/1").await });
    eventually::equal("it is at an upstream", 1, || world.seen()).await;
    world.proxy.upgrade();
    assert_eq!(read.await.unwrap().status, 200);
    assert_eq!(world.client().get("/Patient/1").await.status, 200, "the new one serves");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_that_does_not_come_to_serve_changes_nothing() {
    let world = World::new().await;
    let good = std::fs::read_to_string(world.proxy.file()).unwrap();
    std::fs::write(world.proxy.file(), "listeners: 7\n").unwrap();
    let mut admin = Client::new(Target::plain(world.proxy.admin()));
    let post = http::Request::post("/api/upgrade").header("host", "localhost").body(bytes::Bytes::new());
    let reply = admin.send(post.unwrap()).await.unwrap();
    let said = String::from_utf8_lossy(&reply.body).into_owned();
    assert!(reply.status == 502 && said.contains("78") && said.contains("Nothing has changed"), "{said}");
    assert_eq!(world.client().get("/Patient/1").await.status, 200);
    assert!(get(world.proxy.admin(), "/readyz").is_some(), "still ready");
    std::fs::write(world.proxy.file(), good).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_new_process_opens_a_listener_that_the_old_one_did_not_have() {
    let mut world = World::new().await;
    let lease = Lease::take();
    let text = std::fs::read_to_string(world.proxy.file()).unwrap();
    let more = text.replacen("listeners:\n", &format!("listeners:\n  - address: {}\n", lease.address()), 1);
    std::fs::write(world.proxy.file(), more).unwrap();
    world.proxy.upgrade();
    for address in [lease.address(), world.proxy.address()] {
        let mut client = Client::new(Target::plain(address));
        assert_eq!(client.get("/Patient/1").await.status, 200, "{address}");
    }
}

#[tokio::test]
async fn an_upgrade_of_a_proxy_that_does_not_run_is_told() {
    let authority = Authority::new();
    let upstream = Upstream::start("virginia", Speech::Http1, &authority);
    let output = harness::proxy::command("upgrade", &Setup::new(&[&upstream]).yaml());
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("no proxy answers at 127.0.0.1:"), "{said}");
}
