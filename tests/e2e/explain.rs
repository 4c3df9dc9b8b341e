//! Why an upstream is out and what became of a request: told by the admin port, and true to the metrics.

use crate::world::World;
use bytes::Bytes;
use harness::client::Reply;
use harness::eventually::{self, BOUND};
use harness::metrics;
use harness::upstream::Speech;
use harness::upstream::answer::{forbidden, lambda_error, outcome};
use harness::upstream::script::{Behaviour, Order};
use http::Request;
use serde_json::Value;
use std::time::Instant;

const REASONS: [&str; 4] =
    ["consecutive_failures", "consecutive_app_failures", "success_rate", "denied_verified"];

async fn world() -> World {
    World::with(Speech::Http1, |setup, _| setup.pool("passive_health", "{ejection: 60s}")).await
}

fn explained(world: &World, path: &str) -> Value {
    let said = metrics::get(world.proxy.admin(), &format!("/api/explain/{path}"));
    let said = said.unwrap_or_else(|| panic!("{path} is not explained"));
    serde_json::from_str(&said).expect("JSON")
}

fn virginia(world: &World) -> Value {
    explained(world, "pools/records/upstreams/virginia")
}

/// A request is booked right after its answer has gone out.
async fn request(world: &World, id: &str) -> Value {
    let path = format!("/api/explain/requests/{id}");
    let said = eventually::found("an explanation", || metrics::get(world.proxy.admin(), &path)).await;
    let said: Value = serde_json::from_str(&said).expect("JSON");
    said["requests"][0].clone()
}

/// Reads until Virginia is out.
async fn eject(world: &World, behaviour: Behaviour) {
    world.virginia.obey(Order::before(behaviour));
    let (mut client, start) = (world.client(), Instant::now());
    while world.proxy.ejections() == 0 {
        assert!(start.elapsed() < BOUND, "nobody is ejected:\n{}", world.proxy.metrics().text);
        let _ = client.get("/Patient/1").await;
    }
}

#[tokio::test]
async fn the_reason_that_is_explained_is_the_one_that_the_metric_counts() {
    for (behaviour, reason, class) in [
        (Behaviour::ResetBefore, "consecutive_failures", "transport_ambiguous"),
        (Behaviour::Say(outcome(500, "exception")), "consecutive_app_failures", "app_failed"),
        (Behaviour::Say(lambda_error()), "consecutive_failures", "lambda_failed"),
        (Behaviour::Say(forbidden()), "denied_verified", "gateway_denied"),
    ] {
        let world = world().await;
        eject(&world, behaviour).await;
        let said = virginia(&world);
        assert_eq!((&said["state"], &said["reason"]), (&"ejected".into(), &reason.into()), "{said:#}");
        let metrics = world.proxy.metrics();
        let count = |reason: &str| {
            let labels = [("upstream", "virginia"), ("reason", reason)];
            metrics.count("aorta_upstream_ejections_total", &labels)
        };
        let counted: Vec<_> = REASONS.into_iter().filter(|reason| count(reason) > 0).collect();
        assert_eq!(counted, [reason]);
        let deciding = said["decided_by"].as_array().expect("a list");
        assert_eq!(deciding.last().expect("something decided")["class"], class, "{said:#}");
        assert_eq!(said["events"][0]["reason"], reason, "{said:#}");
        assert!(said["until"]["in_seconds"].as_f64().expect("it ends") > 30.0, "{said:#}");
        assert_eq!(explained(&world, "pools/records")["upstreams"][0]["reason"], reason);
    }
}

#[tokio::test]
async fn the_guard_that_keeps_the_last_upstream_is_named() {
    let world = world().await;
    world.ohio.obey(Order::before(Behaviour::ResetBefore));
    eject(&world, Behaviour::ResetBefore).await;
    let (mut client, start) = (world.client(), Instant::now());
    let degraded = loop {
        assert!(start.elapsed() < BOUND, "nobody is degraded");
        let _ = client.get("/Patient/1").await;
        let of = |name: &str| explained(&world, &format!("pools/records/upstreams/{name}"));
        if let Some(said) = ["virginia", "ohio"].map(of).into_iter().find(|said| said["state"] == "degraded")
        {
            break said;
        }
    };
    assert_eq!(degraded["guard"], "last_upstream", "{degraded:#}");
    let events = degraded["events"].as_array().expect("a list");
    let prevented = events.iter().find(|event| event["event"] == "ejection_prevented");
    assert_eq!(prevented.expect("it was prevented")["guard"], "last_upstream");
}

async fn send(world: &World, method: &str, id: &str) -> Reply {
    let request = Request::builder().method(method).uri("/Patient").header("x-request-id", id);
    world.client().send(request.body(Bytes::from_static(b"{}")).unwrap()).await.unwrap()
}

#[tokio::test]
async fn a_request_is_explained_by_its_id() {
    let world = world().await;
    world.virginia.obey(Order::before(Behaviour::ResetBefore));
    send(&world, "GET", "ward-7").await;
    let read = request(&world, "ward-7").await;
    assert_eq!(
        (&read["felt"], &read["attempts"][1]["upstream"]),
        (&"rescued".into(), &"ohio".into()),
        "{read:#}"
    );
    assert_eq!(read["attempts"][0]["class"], "transport_ambiguous");
    assert_eq!(read["attempts"][1]["paid_by_budget"], true);
    world.ohio.obey(Order::before(Behaviour::ResetBefore));
    send(&world, "POST", "ward-8").await;
    let write = request(&world, "ward-8").await;
    assert_eq!((&write["felt"], &write["denied"]), (&"failed".into(), &"not_idempotent".into()), "{write:#}");
    assert_eq!(write["not_asked"].as_array().map(Vec::len), Some(1), "{write:#}");
    assert_eq!(metrics::get(world.proxy.admin(), "/api/explain/requests/ward-9"), None);
}

#[tokio::test]
async fn the_command_asks_the_running_proxy() {
    let mut world = world().await;
    eject(&world, Behaviour::ResetBefore).await;
    send(&world, "GET", "ward-7").await;
    request(&world, "ward-7").await;
    let told = |arguments: &[&str]| {
        let output = world.proxy.explain(arguments);
        let said =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.code(), said)
    };
    for (arguments, words) in [
        (&["--upstream", "virginia"][..], "virginia is out (consecutive_failures)"),
        (&[], "ohio is in rotation"),
        (&["--request", "ward-7"], "was served by its first attempt"),
    ] {
        let (code, said) = told(arguments);
        assert!(code == Some(0) && said.contains(words), "{arguments:?}: {said}");
    }
    let (code, said) = told(&["--upstream", "texas"]);
    assert!(code == Some(1) && said.contains("knows no such thing"), "{said}");
    assert!(serde_json::from_str::<Value>(&told(&["--json"]).1).is_ok());
    world.proxy.stop();
    let output = world.proxy.explain(&[]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && said.contains("no proxy explains itself"), "{said}");
}
