//! What is tried again, what never is, and how much of it there may be.

use crate::world::World;
use bytes::Bytes;
use harness::client::Reply;
use harness::eventually::{self, BOUND};
use harness::load::{self, Plan, Progress};
use harness::upstream::Speech;
use harness::upstream::answer::{bad_gateway, missing_token, outcome, throttled};
use harness::upstream::ledger::MARKER;
use harness::upstream::script::{Answer, Behaviour, Order};
use http::Request;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Sends one marked request while Virginia executes and then resets; tells the answer and the executions.
async fn after_an_ambiguous_end(line: &str, header: Option<(&str, &str)>) -> (Reply, u32) {
    let world = World::new().await;
    world.virginia.obey(Order::after(Behaviour::ResetBefore));
    let (method, path) = line.split_once(' ').unwrap();
    let mut request = Request::builder().method(method).uri(path).header(MARKER, "once");
    if let Some((name, value)) = header {
        request = request.header(name, value);
    }
    let reply = world.client().send(request.body(Bytes::from("{}")).unwrap()).await.unwrap();
    (reply, world.executed("once"))
}

#[tokio::test]
async fn what_reads_or_is_idempotent_is_repeated_after_an_ambiguous_end() {
    for (line, header) in [
        ("GET /Patient/1", None),
        ("POST /Patient/_search", None),
        ("DELETE /Patient/1", None),
        ("PUT /Patient/1", Some(("if-match", "W/\"1\""))),
    ] {
        let (reply, executed) = after_an_ambiguous_end(line, header).await;
        assert!(reply.status < 300, "{line}: {}", reply.status);
        assert_eq!(executed, 2, "{line}");
    }
}

#[tokio::test]
async fn what_would_take_effect_twice_is_never_repeated_after_an_ambiguous_end() {
    for (line, header) in [
        ("POST /Patient", None),
        ("POST /", None),
        ("POST /Patient/1/$process", None),
        ("PUT /Patient/1", None),
        ("PATCH /Patient/1", None),
        // Without a shared record store a condition holds in one region only.
        ("POST /Patient", Some(("if-none-exist", "identifier=1"))),
    ] {
        let (reply, executed) = after_an_ambiguous_end(line, header).await;
        assert_eq!((reply.status, executed), (502, 1), "{line}");
    }
}

#[tokio::test]
async fn a_connection_that_its_upstream_closed_while_it_waited_costs_a_write_nothing() {
    let world = World::new().await;
    let leave = Order::after(Behaviour::Leave).only(|seen| !seen.is_check());
    world.virginia.obey(leave.clone());
    world.ohio.obey(leave);
    for round in 0..8 {
        let marker = format!("round-{round}");
        let create = Request::post("/Patient").header(MARKER, &marker).body(Bytes::from("{}")).unwrap();
        let reply = world.client().send(create).await.unwrap();
        assert_eq!((reply.status, reply.attempts()), (201, 1), "round {round}");
        assert_eq!(world.executed(&marker), 1);
        for region in [&world.virginia, &world.ohio] {
            let all_closed = || {
                let ledger = region.ledger();
                ledger.closed == ledger.connections
            };
            eventually::equal("its connections are closed", true, all_closed).await;
        }
    }
}

#[tokio::test]
async fn a_write_that_its_upstream_did_not_look_at_moves_on_and_takes_effect_once() {
    let world = World::with(Speech::Http2, |setup, _| setup.pool("retry", "{replay_body_max: 64KiB}")).await;
    world.virginia.obey(Order::before(Behaviour::Refuse).only(|seen| !seen.is_check()));
    let create =
        |bytes| Request::post("/Patient").header(MARKER, "once").body(Bytes::from(vec![b' '; bytes]));
    let reply = world.client().send(create(10).unwrap()).await.unwrap();
    assert_eq!((reply.status, reply.attempts(), reply.upstream()), (201, 2, "ohio"));
    assert_eq!(world.executed("once"), 1);
    let line = &world.proxy.access(1).await[0];
    assert_eq!(harness::log::classes(line), ["unprocessed", "answered"]);
    // What was not kept went out with the first attempt: a second one would send the end of it for the whole.
    world.ohio.obey(Order::before(Behaviour::Refuse).only(|seen| !seen.is_check()));
    let before = world.seen();
    let reply = world.client().send(create(65 << 10).unwrap()).await.unwrap();
    assert_eq!((reply.status, reply.attempts(), world.seen() - before), (502, 1, 1));
}

#[tokio::test]
async fn a_region_that_says_goodbye_is_left_at_once_and_blamed_only_when_it_does_nothing_else() {
    for behaviour in [Behaviour::Refuse, Behaviour::Goodbye] {
        let world =
            World::with(Speech::Http2, |setup, _| setup.pool("retry", "{budget_min_per_second: 0}")).await;
        let leave = Order::before(behaviour.clone()).only(|seen| !seen.is_check());
        // Now and then: no reason to be out, and no client notices.
        for round in 0..4 {
            world.virginia.obey(leave.clone());
            let create = Request::post("/Patient").header(MARKER, format!("{round}")).body(Bytes::from("{}"));
            let reply = world.client().send(create.unwrap()).await.unwrap();
            assert_eq!((reply.status, reply.upstream()), (201, "ohio"), "{behaviour:?}");
            assert_eq!(world.executed(&format!("{round}")), 1);
            world.virginia.heal();
            world.served_by(world.proxy.target(), "virginia", 1).await;
            while world.client().get("/Patient/1").await.upstream() != "ohio" {}
        }
        let left = [("upstream", "virginia"), ("class", "unprocessed")];
        assert_eq!(world.proxy.metrics().count("aorta_upstream_attempts_total", &left), 4, "{behaviour:?}");
        assert_eq!((world.proxy.ejections(), world.proxy.state_of("virginia").as_str()), (0, "healthy"));
        // And for ever: it is out, as one that fails.
        world.virginia.obey(leave);
        while world.proxy.state_of("virginia") != "ejected" {
            let reply = world.client().get("/Patient/1").await;
            assert_eq!((reply.status, reply.upstream()), (200, "ohio"));
        }
        assert_eq!(world.proxy.metrics().count("aorta_upstream_attempts_total", &left), 7, "{behaviour:?}");
    }
}

#[tokio::test]
async fn a_conditional_create_is_repeated_inside_one_data_domain() {
    let domain = |setup: harness::setup::Setup, _: &_| {
        setup.upstream(0, "data_domain: one").upstream(1, "data_domain: one")
    };
    let world = World::with(Speech::Http1, domain).await;
    world.virginia.obey(Order::after(Behaviour::ResetBefore));
    let create = Request::post("/Patient").header("if-none-exist", "identifier=1");
    let reply = world.client().send(create.body(Bytes::from("{}")).unwrap()).await.unwrap();
    assert_eq!((reply.status, reply.attempts()), (201, 2));
}

#[tokio::test]
async fn the_last_attempt_forwards_what_the_upstream_said() {
    let world = World::new().await;
    for (answer, status) in [(bad_gateway(), 502), (outcome(503, "transient"), 503)] {
        world.virginia.obey(Order::before(Behaviour::Say(answer.clone())));
        world.ohio.obey(Order::before(Behaviour::Say(answer.clone())));
        let reply = world.client().get("/Patient/1").await;
        assert_eq!((reply.status, &reply.body), (status, &answer.body));
        assert!((2..=3).contains(&reply.attempts()), "{}", reply.attempts());
    }
}

#[tokio::test]
async fn a_path_that_no_gateway_knows_is_a_404_in_fhir() {
    let world = World::new().await;
    let unknown = Order::before(Behaviour::Say(missing_token())).only(|seen| !seen.is_check());
    world.virginia.obey(unknown.clone());
    world.ohio.obey(unknown);
    let reply = world.client().get("/Nothing").await;
    assert_eq!((reply.status, reply.attempts()), (404, 2));
    assert_eq!(reply.json()["resourceType"], "OperationOutcome");
    assert_eq!(world.proxy.ejections(), 0);
}

#[tokio::test]
async fn a_storm_of_failures_is_not_fed_by_retries() {
    let world = World::new().await;
    let sick = Order::before(Behaviour::Say(outcome(503, "transient")));
    world.virginia.obey(sick.clone());
    world.ohio.obey(sick);
    let make = |index| Request::get(format!("/Patient/{index}")).body(Bytes::new()).unwrap();
    let (requests, rate) = (600, 200);
    let plan = Plan { requests, rate, connections: 16, make: Arc::new(make) };
    let samples = load::run(&world.proxy.target(), &plan, &Progress::default()).await;
    assert!(samples.iter().all(|sample| sample.result.as_ref().is_ok_and(|reply| reply.status == 503)));
    // 20 % of traffic, 3 each second, and the 20 that were saved up; two more seconds for a slow machine.
    let seconds = requests / rate as usize + 2;
    let allowed = requests + requests / 5 + 3 * seconds + 20;
    assert!(world.seen() <= allowed, "{} attempts for {requests} requests, allowed {allowed}", world.seen());
}

/// Reads while Virginia answers all of them so; none may be lost.
async fn no_read_is_lost_while_virginia(answer: Answer) -> World {
    let world = World::new().await;
    world.virginia.obey(Order::before(Behaviour::Say(answer)));
    let make = |index| Request::get(format!("/Patient/{index}")).body(Bytes::new()).unwrap();
    let plan = Plan { requests: 900, rate: 150, connections: 16, make: Arc::new(make) };
    let samples = load::run(&world.proxy.target(), &plan, &Progress::default()).await;
    let lost = |sample: &&load::Sample| sample.result.as_ref().map_or(0, |reply| reply.status) != 200;
    let lost: Vec<_> = samples.iter().filter(lost).collect();
    assert!(lost.is_empty(), "{} reads were lost, the first: {:?}", lost.len(), lost[0]);
    world
}

#[tokio::test]
async fn no_read_is_lost_while_one_region_has_lost_its_routes() {
    let world = no_read_is_lost_while_virginia(missing_token()).await;
    let verified = [("upstream", "virginia"), ("reason", "denied_verified")];
    assert!(world.proxy.metrics().count("aorta_upstream_ejections_total", &verified) >= 1);
}

#[tokio::test]
async fn no_read_is_lost_while_one_application_throttles_and_it_is_asked_less() {
    let world = no_read_is_lost_while_virginia(outcome(429, "throttled")).await;
    assert_eq!(world.proxy.ejections(), 0);
    let asked = world.virginia.count();
    assert!((5..150).contains(&asked), "{asked} of 900 requests went where the application throttles");
}

#[tokio::test]
async fn a_gateway_that_throttles_is_left_alone_for_as_long_as_it_asks() {
    for (asks, least) in [(None, 1), (Some("3"), 3)] {
        let world = World::with(Speech::Plain, |setup, _| setup).await;
        let answer = asks.iter().fold(throttled(), |answer, seconds| answer.with("retry-after", seconds));
        world.virginia.obey(Order::before(Behaviour::Say(answer)));
        let mut client = world.client();
        while world.virginia.count() == 0 {
            assert_eq!(client.get("/Patient/1").await.upstream(), "ohio", "the read is served");
        }
        let asked = Instant::now();
        world.virginia.heal();
        while client.get("/Patient/1").await.upstream() == "ohio" {
            assert!(asked.elapsed() < BOUND, "it is asked no more");
        }
        // The answer is a little older than this clock.
        let left_alone = asked.elapsed() + Duration::from_millis(200);
        assert!(left_alone >= Duration::from_secs(least), "asked again after {left_alone:?}");
        assert_eq!(world.virginia.count(), 2);
        assert_eq!(world.proxy.ejections(), 0);
    }
}
