//! Why an upstream is out: each reason comes about, is counted, and is explained with what decided it.

use crate::world::World;
use bytes::Bytes;
use harness::eventually::{self, BOUND};
use harness::metrics;
use harness::upstream::Speech;
use harness::upstream::answer::{bad_gateway, forbidden, lambda_error, outcome};
use harness::upstream::ledger::Seen;
use harness::upstream::script::{Behaviour, Order};
use http::Request;
use serde_json::Value;
use std::time::Instant;

const REASONS: [&str; 10] = [
    "consecutive_failures",
    "consecutive_app_failures",
    "success_rate",
    "slow",
    "consecutive_slow",
    "denied_verified",
    "denied_every_client",
    "probe_failed",
    "check_failed",
    "operator",
];
/// Nobody comes back by waiting.
const LONG: &str = "ejection: 60s, ejection_max: 60s";

async fn world(keys: &[(&str, &str)]) -> World {
    World::with(Speech::Http1, |setup, _| {
        keys.iter().fold(setup, |setup, (key, value)| setup.pool(key, value))
    })
    .await
}

fn virginia(world: &World) -> Value {
    let said = metrics::get(world.proxy.admin(), "/api/explain/pools/records/upstreams/virginia");
    serde_json::from_str(&said.expect("it is explained")).expect("JSON")
}

fn count(world: &World, reason: &str) -> u64 {
    let labels = [("upstream", "virginia"), ("reason", reason), ("enforced", "true")];
    world.proxy.metrics().count("aorta_upstream_ejections_total", &labels)
}

/// Reads as these clients in turn until Virginia was put out for this reason.
async fn read_until(world: &World, reason: &str, clients: &[&str]) {
    let (mut client, start) = (world.client(), Instant::now());
    for key in clients.iter().cycle() {
        if count(world, reason) > 0 {
            return;
        }
        assert!(start.elapsed() < BOUND, "not out for {reason}: {:#}", virginia(world));
        let read = Request::get("/Patient/1").header("x-api-key", *key).body(Bytes::new()).unwrap();
        let _ = client.send(read).await;
    }
}

/// Virginia is out for this reason, which is what is counted and told wherever somebody asks.
fn must_be_explained(world: &World, reason: &str) -> Value {
    let said = virginia(world);
    assert_eq!((&said["state"], &said["reason"]), (&"ejected".into(), &reason.into()), "{said:#}");
    assert_eq!(said["events"][0]["reason"], reason, "{said:#}");
    let pool = metrics::get(world.proxy.admin(), "/api/explain/pools/records").expect("it is explained");
    let pool: Value = serde_json::from_str(&pool).expect("JSON");
    assert_eq!(pool["upstreams"][0]["reason"], reason);
    said
}

fn must_be_the_only_one(world: &World, reason: &str) {
    let counted: Vec<_> = REASONS.into_iter().filter(|reason| count(world, reason) > 0).collect();
    assert_eq!(counted, [reason]);
}

fn last<'a>(said: &'a Value, list: &str) -> &'a Value {
    said[list].as_array().and_then(|list| list.last()).unwrap_or_else(|| panic!("no {list}: {said:#}"))
}

#[tokio::test]
async fn failures_of_each_kind_put_an_upstream_out_for_their_own_reason() {
    let rate_alone = format!("{{{LONG}, consecutive_failures: 100, consecutive_app_failures: 100}}");
    let usual = format!("{{{LONG}}}");
    for (policy, behaviour, reason, class) in [
        (&usual, Behaviour::ResetBefore, "consecutive_failures", "transport_ambiguous"),
        (&usual, Behaviour::Say(outcome(500, "exception")), "consecutive_app_failures", "app_failed"),
        (&usual, Behaviour::Say(lambda_error()), "consecutive_failures", "lambda_failed"),
        (&rate_alone, Behaviour::ResetBefore, "success_rate", "transport_ambiguous"),
        (&usual, Behaviour::Say(forbidden()), "denied_verified", "gateway_denied"),
    ] {
        let world = world(&[("passive_health", policy)]).await;
        world.virginia.obey(Order::before(behaviour));
        read_until(&world, reason, &["ward"]).await;
        let said = must_be_explained(&world, reason);
        must_be_the_only_one(&world, reason);
        assert_eq!(last(&said, "decided_by")["class"], class, "{said:#}");
        assert!(said["until"]["in_seconds"].as_f64().expect("it ends") > 30.0, "{said:#}");
    }
}

#[tokio::test]
async fn a_second_client_that_is_refused_puts_an_upstream_out_where_no_check_judges() {
    let world = world(&[("passive_health", &format!("{{{LONG}}}")), ("active_health", "")]).await;
    world.virginia.obey(Order::before(Behaviour::Say(forbidden())));
    let mut client = world.client();
    for _ in 0..4 {
        let read = Request::get("/Patient/1").header("x-api-key", "one").body(Bytes::new()).unwrap();
        let _ = client.send(read).await;
    }
    let denied = &virginia(&world)["policy"]["denied"];
    assert_eq!(denied["judged_by"], "clients", "{denied:#}");
    assert_eq!((&denied["clients_denied"], &denied["ejects_at"]), (&1.into(), &2.into()), "{denied:#}");
    // Three in turn over two regions: the other comes to Virginia too.
    read_until(&world, "denied_every_client", &["one", "one", "other"]).await;
    must_be_explained(&world, "denied_every_client");
    must_be_the_only_one(&world, "denied_every_client");
}

#[tokio::test]
async fn losers_of_races_that_keep_silent_put_their_upstream_out() {
    let hedge = "{enabled: true, after: 20ms, budget_percent: 100}";
    let world = world(&[("passive_health", &format!("{{{LONG}}}")), ("hedge", hedge)]).await;
    world.virginia.obey(Order::before(Behaviour::Hang));
    read_until(&world, "consecutive_slow", &["ward"]).await;
    let said = must_be_explained(&world, "consecutive_slow");
    must_be_the_only_one(&world, "consecutive_slow");
    assert_eq!(last(&said, "decided_by")["class"], "slow", "{said:#}");
    assert_eq!(said["policy"]["consecutive_slow"]["ejects_at"], 5, "{said:#}");
    world.virginia.heal();
}

#[tokio::test]
async fn a_failed_probe_puts_an_upstream_out_again() {
    let world = world(&[("passive_health", "{ejection: 100ms, ejection_max: 60s}")]).await;
    world.virginia.obey(Order::before(Behaviour::ResetBefore));
    read_until(&world, "probe_failed", &["ward"]).await;
    let said = virginia(&world);
    assert_eq!(said["reason"], "probe_failed", "{said:#}");
    assert_eq!(last(&said, "decided_by")["asked_as"], "probe", "{said:#}");
    assert!(said["ejections_not_forgiven"].as_u64() >= Some(2), "{said:#}");
    assert!(count(&world, "consecutive_failures") > 0, "it was out before");
}

#[tokio::test]
async fn failed_checks_put_an_upstream_out_that_nobody_asks() {
    let often = "{path: /metadata, interval: 100ms, timeout: 100ms}";
    let world = world(&[("passive_health", &format!("{{{LONG}}}")), ("active_health", often)]).await;
    world.virginia.obey(Order::before(Behaviour::Say(bad_gateway())).only(Seen::is_check));
    eventually::equal("ejections by checks", 1, || count(&world, "check_failed")).await;
    let said = must_be_explained(&world, "check_failed");
    must_be_the_only_one(&world, "check_failed");
    assert_eq!(
        (&said["checks"]["find_it"], &said["checks"]["back_at"]),
        (&"down".into(), &2.into()),
        "{said:#}"
    );
}

#[tokio::test]
async fn an_operators_order_is_a_reason_with_its_own() {
    let world = world(&[]).await;
    let ordered = ["records", "virginia", "--reason", "a patch", "--for", "10m"];
    assert!(world.proxy.command("eject", &ordered).status.success());
    let said = must_be_explained(&world, "operator");
    must_be_the_only_one(&world, "operator");
    assert_eq!(
        (&said["last_order"]["by"], &said["last_order"]["why"]),
        (&"loopback".into(), &"a patch".into())
    );
}

#[tokio::test]
async fn what_an_upstream_answered_is_remembered_by_its_status_and_the_gateways_own_id() {
    let world = world(&[("passive_health", &format!("{{{LONG}}}"))]).await;
    let ids =
        [("0f2a5c1e-77b0-4e6d-9c3b-00d1e2f3a4b5", true), ("Doe, Jane, born 1970-01-01, ward 7 bd", false)];
    for (id, is_one) in ids {
        let failure = outcome(500, "exception").with("x-amzn-requestid", id);
        world.virginia.obey(Order::before(Behaviour::Say(failure)));
        let (mut client, asked) = (world.client(), world.virginia.count());
        while world.virginia.count() == asked {
            assert_eq!(client.get("/Patient/1").await.status, 200);
        }
        let expected = if is_one { id.into() } else { Value::Null };
        let said = virginia(&world);
        let answer = &last(&said, "recent")["answer"];
        assert_eq!((&answer["status"], &answer["x_amzn_requestid"]), (&500.into(), &expected), "{said:#}");
        assert!(!said.to_string().contains("Doe"), "{said:#}");
    }
}
