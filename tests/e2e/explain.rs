//! What became of a request, and what keeps an upstream where it is: told by the admin port.

use crate::world::World;
use bytes::Bytes;
use harness::client::Reply;
use harness::eventually::{self, BOUND};
use harness::metrics;
use harness::upstream::Speech;
use harness::upstream::script::{Behaviour, Order};
use http::Request;
use serde_json::Value;
use std::time::Instant;

async fn world() -> World {
    World::with(Speech::Http1, |setup, _| setup.pool("passive_health", "{ejection: 60s}")).await
}

fn explained(world: &World, path: &str) -> Value {
    let said = metrics::get(world.proxy.admin(), &format!("/api/explain/{path}"));
    let said = said.unwrap_or_else(|| panic!("{path} is not explained"));
    serde_json::from_str(&said).expect("JSON")
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

/// Whom an attempt, or a choice of nobody, passed over, and why.
fn passed_over(list: &Value) -> Vec<(&str, &str)> {
    let word = |entry: &'_ Value, key: &str| entry[key].as_str().expect("a word").to_owned().leak() as &str;
    let list = list.as_array().expect("a list");
    list.iter().map(|entry| (word(entry, "upstream"), word(entry, "because"))).collect()
}

#[tokio::test]
async fn a_request_is_explained_by_its_id() {
    let world = world().await;
    send(&world, "GET", "ward-6").await;
    let well = request(&world, "ward-6").await;
    assert_eq!((&well["felt"], &well["refused"]), (&"ok".into(), &Value::Null), "{well:#}");
    assert_eq!(well["attempts"][0]["upstream"], "virginia");
    assert_eq!(passed_over(&well["attempts"][0]["passed_over"]), [("ohio", "turn")]);
    assert_eq!(well["attempts"][0]["answer"]["status"], 200, "{well:#}");
    world.ohio.obey(Order::before(Behaviour::ResetBefore));
    send(&world, "GET", "ward-7").await;
    let read = request(&world, "ward-7").await;
    let [first, second] = [0, 1].map(|index| &read["attempts"][index]);
    assert_eq!((&read["felt"], &second["upstream"]), (&"rescued".into(), &"virginia".into()), "{read:#}");
    assert_eq!(first["class"], "transport_ambiguous");
    assert_eq!(second["paid_by_budget"], true);
    assert_eq!(passed_over(&first["passed_over"]), [("virginia", "turn")]);
    assert_eq!(passed_over(&second["passed_over"]), [("ohio", "already_tried")]);
    assert_eq!(metrics::get(world.proxy.admin(), "/api/explain/requests/ward-9"), None);
}

#[tokio::test]
async fn a_write_that_is_not_repeated_is_explained() {
    let world = world().await;
    world.virginia.obey(Order::before(Behaviour::ResetBefore));
    send(&world, "POST", "ward-8").await;
    let write = request(&world, "ward-8").await;
    assert_eq!((&write["felt"], &write["denied"]), (&"failed".into(), &"not_idempotent".into()), "{write:#}");
    assert_eq!(write["refused"], "bad_answer", "{write:#}");
    let left = &write["not_asked"][0];
    assert_eq!((&left["upstream"], &left["state"]), (&"ohio".into(), &"healthy".into()), "{write:#}");
}

#[tokio::test]
async fn whom_a_request_was_kept_from_is_explained_though_it_went_well() {
    let world = world().await;
    eject(&world, Behaviour::ResetBefore).await;
    send(&world, "GET", "ward-7").await;
    let well = request(&world, "ward-7").await;
    assert_eq!(well["felt"], "ok", "{well:#}");
    assert_eq!(passed_over(&well["attempts"][0]["passed_over"]), [("virginia", "ejected")], "{well:#}");
}

#[tokio::test]
async fn a_refusal_stands_with_its_reason_in_the_explanation_and_in_the_access_line() {
    let world = World::with(Speech::Http1, |setup, _| {
        setup.pool("concurrency", "{max: 1, queue: 0}").pool("active_health", "")
    })
    .await;
    let check = async |request: Request<Bytes>, reason: &str| {
        let id = request.headers()["x-request-id"].to_str().unwrap().to_owned();
        world.client().send(request).await.unwrap();
        let said = self::request(&world, &id).await;
        assert_eq!(said["refused"], reason, "{said:#}");
        assert!(said["says"].as_str().unwrap().contains(reason), "{said:#}");
        let line = || world.proxy.program.out_values().into_iter().find(|line| line["request_id"] == id);
        assert_eq!(eventually::found("an access line", line).await["refused"], reason);
        said
    };
    let asks = |method: &str, path: &str, id: &str| {
        Request::builder().method(method).uri(path).header("x-request-id", id).body(Bytes::new()).unwrap()
    };
    check(asks("GET", "/a/../../b", "ward-1"), "bad_path").await;
    check(asks("TRACE", "/Patient/1", "ward-2"), "method_not_allowed").await;
    for region in [&world.virginia, &world.ohio] {
        region.obey(Order::before(Behaviour::Hang));
    }
    let mut busy = world.client();
    let running = tokio::spawn(async move { busy.get("/Patient/1").await });
    eventually::equal("one request has the place", 1, || world.seen()).await;
    let shed = check(asks("GET", "/Patient/1", "ward-3"), "overloaded").await;
    assert_eq!(shed["shed"], "queue_full", "{shed:#}");
    running.abort();
    let in_flight = || world.proxy.metrics().count("aorta_pool_requests_in_flight", &[]);
    eventually::equal("the place is free", 0, in_flight).await;
    for upstream in ["virginia", "ohio"] {
        let ordered = ["records", upstream, "--reason", "a test", "--force"];
        assert!(world.proxy.command("drain", &ordered).status.success());
    }
    let nobody = check(asks("GET", "/Patient/1", "ward-4"), "no_upstream").await;
    let list = passed_over(&nobody["nobody_was_chosen"]);
    assert_eq!(list, [("virginia", "drained"), ("ohio", "drained")], "{nobody:#}");
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
