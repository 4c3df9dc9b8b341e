//! Behind a load balancer: a trusted proxy is believed about who its client is, and nobody else is.

use crate::reload::BY_HAND;
use crate::world::World;
use bytes::Bytes;
use harness::client::{Client, Reply};
use harness::eventually;
use harness::raw::Raw;
use harness::upstream::Speech;
use harness::upstream::answer::{FHIR_JSON, record};
use harness::upstream::script::{Answer, Behaviour, Order};
use http::Request;
use serde_json::Value;
use std::collections::BTreeSet;

const LOOPBACK: (&str, &str) = ("trusted_proxies", r#"["127.0.0.0/8", "10.0.0.0/8"]"#);
const ONE_A_DAY: &str = "  - {name: ehr, pool: records, rate_limit: {requests: 1, per: 24h, burst: 1}}";

async fn get_for(client: &mut Client, forwarded_for: &str) -> Reply {
    let request = Request::get("/Patient/1").header("x-forwarded-for", forwarded_for);
    client.send(request.body(Bytes::new()).unwrap()).await.unwrap()
}

#[tokio::test]
async fn each_client_behind_a_trusted_proxy_has_its_own_quota_and_nobody_gets_one_by_a_tale() {
    let world =
        World::with(Speech::Plain, |setup, _| setup.listener(LOOPBACK.0, LOOPBACK.1).routes(ONE_A_DAY)).await;
    let mut client = world.client();
    for (forwarded_for, status) in [
        ("198.51.100.1", 200),
        ("198.51.100.2", 200),
        ("198.51.100.1", 429),
        // What its client made up stands to the left of it.
        ("198.51.100.9, 198.51.100.1", 429),
        // Two proxies, one behind the other.
        ("198.51.100.2, 10.0.0.1", 429),
        ("198.51.100.3:4711, 10.0.0.1", 200),
        // What is no address is nobody: the proxy itself is asked for its quota.
        ("198.51.100.4, unknown", 200),
        ("198.51.100.5, <script>", 429),
        (", ,,", 429),
    ] {
        assert_eq!(get_for(&mut client, forwarded_for).await.status, status, "{forwarded_for}");
    }
}

#[tokio::test]
async fn nobody_else_is_believed() {
    let world = World::with(Speech::Plain, |setup, _| {
        setup.listener(LOOPBACK.0, r#"["10.0.0.0/8"]"#).routes(ONE_A_DAY)
    })
    .await;
    let mut client = world.client();
    assert_eq!(get_for(&mut client, "198.51.100.1").await.status, 200);
    assert_eq!(get_for(&mut client, "198.51.100.2").await.status, 429, "it is one client");
    assert_eq!(world.virginia.last().header("x-forwarded-for"), Some("198.51.100.1, 127.0.0.1"));
}

#[tokio::test]
async fn a_client_behind_a_trusted_proxy_stays_with_its_upstream() {
    let world = World::with(Speech::Plain, |setup, _| {
        setup.listener(LOOPBACK.0, LOOPBACK.1).pool("balance", "{ring_hash: {key: client_ip}}")
    })
    .await;
    let mut client = world.client();
    let mut asked = BTreeSet::new();
    for number in 0..20 {
        let address = format!("198.51.100.{number}");
        let first = get_for(&mut client, &address).await.upstream().to_owned();
        for _ in 0..3 {
            assert_eq!(get_for(&mut client, &address).await.upstream(), first, "{address}");
        }
        asked.insert(first);
    }
    assert_eq!(asked.len(), 2, "not all are the balancer");
}

#[tokio::test]
async fn the_whole_way_is_passed_on_and_links_lead_back_as_the_client_came() {
    let world = World::with(Speech::Plain, |setup, _| setup.listener(LOOPBACK.0, LOOPBACK.1)).await;
    let place = format!("{}/Patient/7", world.virginia.url("/Server1"));
    let created = Answer::new(201, FHIR_JSON, record("7")).with("location", &place);
    world.virginia.obey(Order::before(Behaviour::Say(created)));
    let request = Request::post("/Patient")
        .header("content-type", FHIR_JSON)
        .header("x-forwarded-for", "203.0.113.5, 198.51.100.1")
        .header("x-forwarded-proto", "https");
    let reply = world.client().send(request.body(record("7")).unwrap()).await.unwrap();
    assert_eq!(reply.status, 201);
    assert!(reply.header("location").starts_with("https://"), "{}", reply.header("location"));
    let seen = world.virginia.last();
    assert_eq!(seen.header("x-forwarded-for"), Some("203.0.113.5, 198.51.100.1, 127.0.0.1"));
    assert_eq!(seen.header("x-forwarded-proto"), Some("https"));
}

#[tokio::test]
async fn the_audit_trail_names_the_client_and_not_the_proxy_before_us() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("audit.jsonl");
    let audit = format!("{{file: {}}}", file.display());
    let world = World::with(Speech::Plain, |setup, _| {
        let setup = setup.listener(LOOPBACK.0, LOOPBACK.1).top("audit", &audit);
        setup.routes("  - {name: ehr, pool: records, audit: open}")
    })
    .await;
    assert_eq!(get_for(&mut world.client(), "198.51.100.1").await.status, 200);
    let look = || {
        let text = std::fs::read_to_string(&file).ok()?;
        let mut entries = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        entries.find(|entry| entry["kind"] == "request")
    };
    assert_eq!(eventually::found("an entry", look).await["client"], "198.51.100.1");
}

#[tokio::test]
async fn a_trusted_proxy_is_not_bound_by_what_one_client_may_open() {
    let world = World::with(Speech::Plain, |setup, _| {
        let setup = setup.top(BY_HAND.0, BY_HAND.1).listener("limits", "{connections_per_client: 1}");
        setup.listener(LOOPBACK.0, LOOPBACK.1)
    })
    .await;
    let mut clients = [world.client(), world.client(), world.client()];
    for client in &mut clients {
        assert_eq!(client.get("/Patient/1").await.status, 200);
    }
    // Whom a reload no longer trusts is a client like any other, from the next connection on.
    world.edit(r#""127.0.0.0/8", "#, "");
    world.reloads().await;
    assert_eq!(clients[0].get("/Patient/1").await.status, 200, "a connection that stands is left alone");
    let mut first = world.client();
    assert_eq!(first.get("/Patient/1").await.status, 200);
    let mut second = Raw::connect(world.proxy.address()).await;
    assert!(second.closes_within(eventually::BOUND).await);
    assert_eq!(first.get("/Patient/1").await.status, 200);
}

#[tokio::test]
async fn the_limits_of_a_listener_follow_the_configuration_on_connections_that_stand() {
    let world = World::with(Speech::Http1, |setup, _| {
        setup.top(BY_HAND.0, BY_HAND.1).listener("limits", "{body_bytes: 1KiB, header_bytes: 8KiB}")
    })
    .await;
    let mut client = world.client();
    let body = format!(r#"{{"resourceType":"Patient","text":"{}"}}"#, "x".repeat(2000));
    assert_eq!(client.post("/Patient", body.clone()).await.status, 413);
    world.edit("body_bytes: 1KiB", "body_bytes: 4KiB");
    let mut client = world.client();
    assert_eq!(client.get("/Patient/1").await.status, 200);
    world.reloads().await;
    assert_eq!(world.proxy.metrics().count("aorta_config_keys_waiting_for_restart", &[]), 0);
    assert!(client.post("/Patient", body.clone()).await.status < 300);
    world.edit("header_bytes: 8KiB", "header_bytes: 1KiB");
    world.reloads().await;
    assert_eq!(client.get("/Patient/1").await.status, 200, "the connection waited for this one already");
    let long = Request::get("/Patient/1").header("x-long", "x".repeat(2000)).body(Bytes::new()).unwrap();
    assert_eq!(client.send(long).await.unwrap().status, 431);
}
