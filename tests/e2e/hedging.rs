//! A region that is late: reads are hedged and leave it once it is ejected, nobody pays for a probe, writes stay.

use crate::world::{World, alone};
use bytes::Bytes;
use harness::client::Reply;
use harness::eventually;
use harness::load::{self, Plan, Progress, Sample};
use harness::upstream::Speech;
use harness::upstream::ledger::MARKER;
use harness::upstream::script::{Behaviour, Order};
use http::Request;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

const READS: usize = 400;
const READS_PER_SECOND: u32 = 50;
/// Reads before the fault: they tell what a read takes without it.
const COMES: usize = 100;
/// A read notices the fault that takes so much longer than any before; so many may.
const NOTICED: Duration = Duration::from_millis(100);
const NOTICED_MAX: usize = 5;

async fn world(speech: Speech, hedge: &str) -> World {
    World::with(speech, |setup, _| setup.pool("hedge", hedge)).await
}

fn slow(millis: u64) -> Order {
    Order::before(Behaviour::Slow(Duration::from_millis(millis)))
}

fn read(index: usize) -> Request<Bytes> {
    Request::get(format!("/Patient/{index}")).body(Bytes::new()).unwrap()
}

/// Reads while Virginia falls ill for good.
async fn reads(world: &World, fall_ill: impl AsyncFnOnce(&World)) -> Vec<Sample> {
    let progress = Progress::default();
    let requests = COMES + READS;
    let plan = Plan { requests, rate: READS_PER_SECOND, connections: 32, make: Arc::new(read) };
    let target = world.proxy.target();
    let script = async {
        progress.done(COMES).await;
        fall_ill(world).await;
    };
    let (samples, ()) = tokio::join!(load::run(&target, &plan, &progress), script);
    let lost = samples.iter().filter(|sample| !matches!(&sample.result, Ok(reply) if reply.status == 200));
    assert_eq!(lost.count(), 0, "no read is lost");
    samples
}

/// What those took that noticed it.
fn noticed(samples: &[Sample]) -> Vec<Duration> {
    let (before, after) = samples.split_at(COMES);
    let usual = before.iter().map(|sample| sample.latency).max().unwrap_or_default();
    after.iter().map(|sample| sample.latency).filter(|took| *took > usual + NOTICED).collect()
}

fn hedges(world: &World, result: &str) -> u64 {
    world.proxy.metrics().count("aorta_retries_total", &[("reason", "hedge"), ("result", result)])
}

async fn hardly_anybody_notices(speech: Speech, fall_ill: impl AsyncFnOnce(&World)) {
    let _turn = alone().await;
    let world = world(speech, "{enabled: true}").await;
    let samples = reads(&world, fall_ill).await;
    let late = noticed(&samples);
    assert!(late.len() <= NOTICED_MAX, "{} reads noticed it: {late:?}", late.len());
    world.proxy.access(COMES + READS).await;
    assert!(hedges(&world, "success") > 0, "no hedge was needed, so this proves nothing");
    assert_eq!(world.proxy.state_of("ohio"), "healthy");
    world.virginia.heal();
}

#[tokio::test]
async fn hardly_a_hedged_read_notices_that_a_region_hangs() {
    hardly_anybody_notices(Speech::Plain, async |world| world.virginia.obey(Order::before(Behaviour::Hang)))
        .await;
}

#[tokio::test]
async fn hardly_a_hedged_read_notices_that_a_region_behind_http2_freezes() {
    hardly_anybody_notices(Speech::Http2, async |world| world.virginia.freeze()).await;
}

#[tokio::test]
async fn hardly_a_hedged_read_notices_that_a_region_takes_two_seconds() {
    hardly_anybody_notices(Speech::Plain, async |world| world.virginia.obey(slow(2000))).await;
}

#[tokio::test]
async fn unhedged_reads_wait_for_a_region_that_hangs_until_it_is_ejected_and_then_leave_it_at_once() {
    let _turn = alone().await;
    let world = World::with(Speech::Plain, |setup, _| setup).await;
    let samples = reads(&world, async |world| world.virginia.obey(Order::before(Behaviour::Hang))).await;
    assert!(noticed(&samples).len() > NOTICED_MAX, "nobody noticed, so the tests of hedging prove nothing");
    let lines = world.proxy.access(COMES + READS).await;
    let moved = |line: &&Value| harness::log::classes(line) == ["moved", "answered"];
    let moved: Vec<_> = lines.iter().filter(moved).collect();
    assert!(moved.len() > 10, "{} reads left the ejected region", moved.len());
    let took = |line: &&Value| line["attempts"][0]["ms"].as_f64().unwrap();
    assert!(moved.iter().map(took).all(|ms| ms < 1000.0), "they did not wait for their own time-outs");
    let counted = [("reason", "moved"), ("result", "success")];
    assert_eq!(world.proxy.metrics().count("aorta_retries_total", &counted), moved.len() as u64);
    assert!(!lines.iter().any(was_hedged_but_no_probe), "hedging is off");
}

/// With hedging off only the read that a probe borrows is hedged.
fn was_hedged_but_no_probe(line: &Value) -> bool {
    let attempts = line["attempts"].as_array().unwrap();
    let hedged = attempts.iter().any(|attempt| attempt["hedge"] == true);
    hedged && attempts[0]["upstream"] != "virginia"
}

#[tokio::test]
async fn a_late_read_is_answered_by_the_other_region_and_told_as_a_rescue() {
    let world = world(Speech::Http1, "{enabled: true, after: 100ms}").await;
    world.virginia.obey(slow(700));
    let reply = world.client().get("/Patient/1").await;
    assert_eq!((reply.status, reply.upstream(), reply.attempts()), (200, "ohio", 2));
    assert!((100..600).contains(&reply.took.as_millis()), "{:?}", reply.took);
    let line = &world.proxy.access(1).await[0];
    assert_eq!((line["felt"].as_str(), line["upstream"].as_str()), (Some("rescued"), Some("ohio")));
    assert_eq!(harness::log::classes(line), ["overtaken", "answered"]);
    assert_eq!((&line["attempts"][0]["hedge"], &line["attempts"][1]["hedge"]), (&Value::Null, &true.into()));
    let slow = || world.proxy.metrics().count("aorta_upstream_attempts_total", &[("class", "slow")]);
    eventually::equal("the loser was let run on, and kept silent", 1, slow).await;
    assert_eq!(hedges(&world, "success"), 1);
    assert_eq!(world.proxy.state_of("virginia"), "healthy", "one slow answer condemns nobody");
}

#[tokio::test]
async fn a_first_answer_that_comes_before_its_hedge_wins_and_its_hedge_is_booked_by_its_own_end() {
    let world = world(Speech::Http2, "{enabled: true, after: 100ms}").await;
    world.virginia.obey(slow(200));
    // The hedge leaves 100 ms later, and so has its answer after the first one.
    world.ohio.obey(slow(170));
    let reply = world.client().get("/Patient/1").await;
    assert_eq!((reply.status, reply.upstream(), reply.attempts()), (200, "virginia", 2));
    let line = &world.proxy.access(1).await[0];
    assert_eq!(
        (line["felt"].as_str(), harness::log::classes(line)),
        (Some("ok"), vec!["answered".into(), "overtaken".into()])
    );
    let answered = || world.proxy.metrics().count("aorta_upstream_attempts_total", &[("class", "answered")]);
    eventually::equal("the loser answered after all", 2, answered).await;
    assert_eq!((hedges(&world, "overtaken"), hedges(&world, "success")), (1, 0));
}

#[tokio::test]
async fn a_hedge_that_fails_leaves_the_first_attempt_to_answer() {
    let world = world(Speech::Http1, "{enabled: true, after: 100ms}").await;
    world.virginia.obey(slow(400));
    world.ohio.obey(Order::before(Behaviour::ResetBefore));
    let reply = world.client().get("/Patient/1").await;
    assert_eq!((reply.status, reply.upstream()), (200, "virginia"));
    let line = &world.proxy.access(1).await[0];
    assert_eq!(harness::log::classes(line), ["answered", "transport_ambiguous"]);
}

#[tokio::test]
async fn what_writes_is_never_hedged() {
    let world = world(Speech::Http1, "{enabled: true, after: 20ms}").await;
    world.virginia.obey(slow(300));
    for (method, path, header) in [
        ("POST", "/Patient", None),
        ("PUT", "/Patient/1", Some(("if-match", "W/\"1\""))),
        ("DELETE", "/Patient/1", None),
        ("PATCH", "/Patient/1", Some(("if-match", "W/\"1\""))),
    ] {
        let mut request = Request::builder().method(method).uri(path).header(MARKER, method);
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        let reply: Reply = world.client().send(request.body(Bytes::from("{}")).unwrap()).await.unwrap();
        assert!(
            reply.status < 300 && reply.attempts() == 1,
            "{method}: {} {}",
            reply.status,
            reply.attempts()
        );
        assert_eq!(world.executed(method), 1, "{method}");
    }
}

#[tokio::test]
async fn a_read_is_never_hedged_when_hedging_is_off() {
    let world = World::new().await;
    world.virginia.obey(slow(600));
    for _ in 0..4 {
        assert_eq!(world.client().get("/Patient/1").await.attempts(), 1);
    }
    world.proxy.at_rest().await;
    assert_eq!(hedges(&world, "success") + hedges(&world, "overtaken") + hedges(&world, "failed"), 0);
}

#[tokio::test]
async fn no_client_pays_for_a_probe_and_a_probe_without_an_answer_fails() {
    let world = World::new().await;
    world.virginia.refuse().await;
    let mut client = world.client();
    while world.proxy.state_of("virginia") != "ejected" {
        assert_eq!(client.get("/Patient/1").await.status, 200);
    }
    let ejections = world.proxy.ejections();
    world.virginia.obey(Order::before(Behaviour::Hang));
    world.virginia.listen();
    let mut slowest = Duration::ZERO;
    while world.proxy.ejections() < ejections + 2 {
        let reply = client.get("/Patient/1").await;
        assert_eq!((reply.status, reply.upstream()), (200, "ohio"));
        slowest = slowest.max(reply.took);
    }
    assert!(slowest < Duration::from_millis(800), "a client waited {slowest:?} for a probe");
    let failed = [("upstream", "virginia"), ("reason", "probe_failed")];
    assert!(world.proxy.metrics().count("aorta_upstream_ejections_total", &failed) >= 2);
    world.virginia.heal();
    world.served_by(world.proxy.target(), "virginia", 3).await;
}

#[tokio::test]
async fn losers_condemn_no_region_that_answers() {
    let _turn = alone().await;
    let world = world(Speech::Plain, "{enabled: true, after: 1ms, budget_percent: 100}").await;
    let requests = 400;
    world.virginia.obey(slow(10));
    world.ohio.obey(slow(10));
    let plan = Plan { requests, rate: 100, connections: 16, make: Arc::new(read) };
    let samples = load::run(&world.proxy.target(), &plan, &Progress::default()).await;
    assert!(samples.iter().all(|sample| sample.result.as_ref().is_ok_and(|reply| reply.status == 200)));
    world.proxy.access(requests).await;
    assert!(hedges(&world, "success") + hedges(&world, "overtaken") > requests as u64 / 2);
    assert_eq!(world.proxy.ejections(), 0);
}
