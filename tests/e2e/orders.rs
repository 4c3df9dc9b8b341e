//! Orders of an operator: drain, undrain, eject, readmit; each with a reason that is recorded.

use crate::world::{World, alone};
use bytes::Bytes;
use harness::client::{Client, Reply, Target};
use harness::load::{Plan, Progress, run};
use harness::upstream::Speech;
use harness::upstream::script::{Behaviour, Order};
use harness::{eventually, metrics};
use http::Request;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

async fn order(world: &World, upstream: &str, verb: &str, body: &str) -> Reply {
    let admin = world.proxy.admin();
    let mut client = Client::new(Target { host: admin.to_string(), ..Target::plain(admin) });
    let path = format!("/api/pools/records/upstreams/{upstream}/{verb}");
    client.send(Request::post(path).body(Bytes::from(body.to_owned())).unwrap()).await.unwrap()
}

fn said(reply: &Reply) -> String {
    String::from_utf8_lossy(&reply.body).into_owned()
}

fn explained(world: &World, upstream: &str) -> Value {
    let path = format!("/api/explain/pools/records/upstreams/{upstream}");
    serde_json::from_str(&metrics::get(world.proxy.admin(), &path).expect("explained")).expect("JSON")
}

async fn world() -> World {
    World::with(Speech::Plain, |setup, _| setup).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_under_load_loses_no_request_and_nothing_new_arrives() {
    let _alone = alone().await;
    let world = world().await;
    let make = |index| Request::get(format!("/Patient/{index}")).body(Bytes::new()).unwrap();
    let plan = Plan { requests: 600, rate: 300, connections: 16, make: Arc::new(make) };
    let (progress, target) = (Progress::default(), world.proxy.target());
    let watched = progress.clone();
    let load = tokio::spawn(async move { run(&target, &plan, &watched).await });
    progress.done(150).await;
    let drained = order(&world, "virginia", "drain", r#"{"reason": "patch of Virginia"}"#).await;
    assert_eq!(drained.status, 200, "{}", said(&drained));
    let at_rest = || (explained(&world, "virginia")["in_flight"] == 0).then_some(());
    eventually::found("what was at Virginia is finished", at_rest).await;
    let seen = world.virginia.count();
    assert!(seen > 50, "it had its share before");
    let samples = load.await.unwrap();
    let lost: Vec<_> =
        samples.iter().filter(|sample| !matches!(&sample.result, Ok(reply) if reply.status == 200)).collect();
    assert!(lost.is_empty(), "{lost:?}");
    assert_eq!(world.virginia.count(), seen, "nothing new arrived");
    assert_eq!(world.proxy.state_of("virginia"), "draining");
    order(&world, "virginia", "undrain", r#"{"reason": "patched"}"#).await;
    world.served_by(world.proxy.target(), "virginia", 1).await;
}

#[tokio::test]
async fn what_is_at_an_upstream_as_it_is_drained_is_finished_there() {
    let world = world().await;
    world.virginia.obey(Order::before(Behaviour::Slow(Duration::from_millis(500))));
    let mut client = world.client();
    let read = tokio::spawn(async move { client.get("/Patient/1").await });
    eventually::equal("it is at Virginia", 1, || world.virginia.count()).await;
    assert_eq!(order(&world, "virginia", "drain", r#"{"reason": "now"}"#).await.status, 200);
    let reply = read.await.unwrap();
    assert_eq!((reply.status, reply.upstream(), world.ohio.count()), (200, "virginia", 0));
}

#[tokio::test]
async fn an_upstream_is_out_for_as_long_as_it_is_ordered_and_back_once_it_is_readmitted() {
    let world = world().await;
    let ejected = order(&world, "virginia", "eject", r#"{"reason": "slow since noon", "for": "10m"}"#).await;
    assert_eq!(ejected.status, 200, "{}", said(&ejected));
    let mut client = world.client();
    for _ in 0..20 {
        assert_eq!(client.get("/Patient/1").await.upstream(), "ohio");
    }
    let out = explained(&world, "virginia");
    assert_eq!((&out["state"], &out["reason"]), (&"ejected".into(), &"operator".into()), "{out:#}");
    let left = out["until"]["in_seconds"].as_f64().expect("it ends");
    assert!((500.0..=600.0).contains(&left), "{left}");
    assert_eq!(order(&world, "virginia", "readmit", r#"{"reason": "fast again"}"#).await.status, 200);
    world.served_by(world.proxy.target(), "virginia", 3).await;
}

#[tokio::test]
async fn who_ordered_what_and_why_stands_in_explain_the_log_and_the_metrics() {
    let world = world().await;
    order(&world, "ohio", "drain", r#"{"reason": "patch <b>TICKET-7</b>"}"#).await;
    let said = explained(&world, "ohio");
    let last = &said["last_order"];
    assert_eq!((&last["order"], &last["by"]), (&"drain".into(), &"loopback".into()), "{said:#}");
    assert_eq!(last["why"], "patch <b>TICKET-7</b>");
    let event = &said["events"][0];
    assert_eq!(
        (&event["event"], &event["by"], &event["why"]),
        (&"drained".into(), &last["by"], &last["why"])
    );
    assert!(said["says"].as_str().unwrap_or_default().contains("until it is undrained"), "{said:#}");
    let line = world.proxy.program.logs(r#""ordered""#).await;
    assert!(line.contains("TICKET-7") && line.contains("loopback"), "{line}");
    let labels = [("upstream", "ohio"), ("order", "drain")];
    assert_eq!(world.proxy.metrics().count("aorta_upstream_orders_total", &labels), 1);
}

#[tokio::test]
async fn an_order_that_would_leave_too_few_is_refused_with_a_remedy_unless_it_is_forced() {
    let world = world().await;
    assert_eq!(order(&world, "ohio", "drain", r#"{"reason": "one"}"#).await.status, 200);
    for verb in ["drain", "eject"] {
        let refused = order(&world, "virginia", verb, r#"{"reason": "the other"}"#).await;
        assert_eq!(refused.status, 409);
        assert!(
            said(&refused).contains("min_healthy") && said(&refused).contains("force"),
            "{}",
            said(&refused)
        );
    }
    assert_eq!(world.proxy.state_of("virginia"), "healthy");
    let forced = order(&world, "virginia", "drain", r#"{"reason": "both", "force": true}"#).await;
    assert_eq!(forced.status, 200, "{}", said(&forced));
    let reply = world.client().get("/Patient/1").await;
    assert_eq!(reply.status, 503, "nobody may be asked");
    for upstream in ["ohio", "virginia"] {
        order(&world, upstream, "undrain", r#"{"reason": "enough"}"#).await;
    }
    assert_eq!(world.client().get("/Patient/1").await.status, 200);
}

#[tokio::test]
async fn an_order_without_a_good_reason_or_of_nobody_changes_nothing() {
    let world = world().await;
    let long = format!(r#"{{"reason": "{}"}}"#, "x".repeat(201));
    for body in ["", "{}", r#"{"reason": ""}"#, r#"{"reason": "a\nb"}"#, r#"{"reason": 1}"#, &long] {
        let refused = order(&world, "ohio", "drain", body).await;
        assert_eq!(refused.status, 400, "{body}");
        assert!(said(&refused).contains("reason"), "{}", said(&refused));
    }
    let unknown = order(&world, "oregon", "drain", r#"{"reason": "?"}"#).await;
    assert_eq!(unknown.status, 404);
    assert!(said(&unknown).contains("virginia, ohio"), "{}", said(&unknown));
    assert_eq!(order(&world, "ohio", "undrain", r#"{"reason": "?"}"#).await.status, 409);
    assert_eq!(order(&world, "ohio", "destroy", r#"{"reason": "?"}"#).await.status, 404);
    assert_eq!(world.proxy.state_of("ohio"), "healthy");
}

#[tokio::test]
async fn a_drain_survives_a_restart_and_a_kill_with_who_ordered_it_and_why() {
    let mut world = world().await;
    let drained = order(&world, "virginia", "drain", r#"{"reason": "patch of Virginia"}"#).await;
    let told: Value = serde_json::from_slice(&drained.body).unwrap();
    assert_eq!(told["saved"], true, "what is answered outlives the process: {told:#}");
    let before = explained(&world, "virginia")["last_order"].clone();
    for kills in [true, false, true] {
        if !kills {
            assert_eq!(world.proxy.stop(), 0);
        }
        world.proxy.start_again().await;
        assert_eq!(world.proxy.state_of("virginia"), "draining");
        let after = explained(&world, "virginia");
        for key in ["order", "by", "why"] {
            assert_eq!(after["last_order"][key], before[key], "{after:#}");
        }
        let mut client = world.client();
        for _ in 0..10 {
            assert_eq!(client.get("/Patient/1").await.upstream(), "ohio");
        }
        assert_eq!(world.virginia.count(), 0, "nobody asks it");
    }
    order(&world, "virginia", "undrain", r#"{"reason": "patched"}"#).await;
    world.served_by(world.proxy.target(), "virginia", 1).await;
    world.proxy.start_again().await;
    assert_eq!(world.proxy.state_of("virginia"), "healthy", "and so does its end");
}
