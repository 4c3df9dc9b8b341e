//! The proxy's own checks: an idle proxy knows who is dead, and traffic is back soon after recovery.

use crate::world::World;
use harness::authority::Authority;
use harness::eventually;
use harness::proxy::Proxy;
use harness::setup::Setup;
use harness::upstream::answer::{Wrapped, bad_gateway, envelope, forbidden, outcome, record};
use harness::upstream::ledger::Seen;
use harness::upstream::script::{Answer, Behaviour, Order};
use harness::upstream::{Speech, Upstream};
use std::time::{Duration, Instant};

const OFTEN: &str = "{path: /metadata, interval: 100ms}";
/// Nobody comes back by waiting.
const FOR_LONG: &str = "{ejection: 60s, ejection_max: 60s}";

async fn world(active_health: &str) -> World {
    let keys = [("active_health", active_health), ("passive_health", FOR_LONG)];
    World::with(Speech::Http1, |setup, _| {
        keys.into_iter().fold(setup, |setup, (key, value)| setup.pool(key, value))
    })
    .await
}

async fn becomes(world: &World, upstream: &str, state: &str) {
    let look = || world.proxy.state_of(upstream);
    eventually::equal(&format!("{upstream}'s state"), state.to_owned(), look).await;
}

/// Only the proxy's own checks meet this.
fn for_checks(answer: Answer) -> Order {
    Order::before(Behaviour::Say(answer)).only(Seen::is_check)
}

#[derive(Debug)]
enum Fault {
    Refused,
    Frozen,
    Says(Answer),
    /// No check excuses it, but one that has met it too and passes again has news.
    OfTheApplication(Answer),
}

async fn is_back_after(world: &World, fault: Fault) -> Duration {
    let mut client = world.client();
    match &fault {
        Fault::Refused => world.virginia.refuse().await,
        Fault::Frozen => world.virginia.freeze(),
        Fault::Says(answer) | Fault::OfTheApplication(answer) => {
            world.virginia.obey(Order::before(Behaviour::Say(answer.clone())))
        }
    }
    while world.proxy.state_of("virginia") != "ejected" {
        assert_eq!(client.get("/Patient/1").await.status, 200, "{fault:?}");
    }
    if let Fault::OfTheApplication(_) = &fault {
        let failed = [("upstream", "virginia"), ("result", "failed")];
        let count = || world.proxy.metrics().count("aorta_upstream_checks_total", &failed);
        eventually::found("a check has met it too", || (count() > 0).then_some(())).await;
    }
    world.virginia.heal();
    let healed = Instant::now();
    world.served_by(world.proxy.target(), "virginia", 1).await;
    healed.elapsed()
}

#[tokio::test]
async fn traffic_is_back_within_two_seconds_of_recovery_with_a_one_second_check() {
    let wrapped = envelope(&outcome(500, "exception"), Wrapped::Text);
    let of_the_application = [outcome(500, "exception"), outcome(503, "transient"), wrapped];
    let faults = [Fault::Refused, Fault::Frozen, Fault::Says(forbidden()), Fault::Says(bad_gateway())];
    for fault in faults.into_iter().chain(of_the_application.map(Fault::OfTheApplication)) {
        let world = world("{path: /metadata, interval: 1s}").await;
        let took = is_back_after(&world, fault).await;
        assert!(took < Duration::from_secs(2), "{took:?}");
        world.served_by(world.proxy.target(), "virginia", 2).await;
        becomes(&world, "virginia", "healthy").await;
    }
}

#[tokio::test]
async fn an_idle_proxy_knows_who_is_dead_and_who_is_back() {
    let world = world(OFTEN).await;
    world.virginia.refuse().await;
    becomes(&world, "virginia", "ejected").await;
    let (virginia, ohio) = ([("upstream", "virginia")], [("upstream", "ohio")]);
    let up = |upstream| world.proxy.metrics().count("aorta_upstream_check_up", upstream);
    // Its state is what was decided; the event is told a moment later.
    let ejected = [("upstream", "virginia"), ("reason", "check_failed"), ("enforced", "true")];
    let ejections = || world.proxy.metrics().count("aorta_upstream_ejections_total", &ejected);
    eventually::equal("the ejection is counted", 1, ejections).await;
    let failed = [("upstream", "virginia"), ("result", "failed")];
    assert!(world.proxy.metrics().count("aorta_upstream_checks_total", &failed) >= 3);
    assert_eq!((up(&virginia), up(&ohio)), (0, 1));

    let reply = world.client().get("/Patient/1").await;
    assert_eq!((reply.status, reply.upstream(), reply.attempts()), (200, "ohio", 1), "nobody pays for it");

    world.virginia.heal();
    becomes(&world, "virginia", "healthy").await;
    assert_eq!((up(&virginia), ejections()), (1, 1));
    assert_eq!((world.virginia.count(), world.ohio.count()), (0, 1), "the checks alone brought it back");
}

#[tokio::test]
async fn checks_that_fail_everywhere_never_eject_the_last_healthy_upstream() {
    let world = world(OFTEN).await;
    world.virginia.obey(for_checks(outcome(503, "transient")));
    world.ohio.obey(for_checks(outcome(503, "transient")));
    let panic = || world.proxy.metrics().count("aorta_pool_panic", &[]);
    eventually::equal("panic", 1, panic).await;
    let mut states = ["virginia", "ohio"].map(|upstream| world.proxy.state_of(upstream));
    states.sort_unstable();
    assert_eq!(states, ["degraded", "ejected"]);
    let mut client = world.client();
    for index in 0..20 {
        assert_eq!(client.get(&format!("/Patient/{index}")).await.status, 200);
    }
}

#[tokio::test]
async fn a_passed_check_does_not_excuse_an_application_that_fails() {
    let world = world(OFTEN).await;
    let failing = Order::before(Behaviour::Say(outcome(500, "exception"))).only(|seen| !seen.is_check());
    world.virginia.obey(failing);
    let mut client = world.client();
    while world.proxy.state_of("virginia") != "ejected" {
        assert_eq!(client.get("/Patient/1").await.status, 200);
    }
    let passed = [("upstream", "virginia"), ("result", "passed")];
    let checks = || world.proxy.metrics().count("aorta_upstream_checks_total", &passed);
    let before = checks();
    eventually::found("ten more checks", || (checks() >= before + 10).then_some(())).await;
    assert_eq!(world.proxy.state_of("virginia"), "ejected");
    assert_eq!(client.get("/Patient/1").await.upstream(), "ohio");
}

#[tokio::test]
async fn a_check_passes_only_with_the_status_header_and_member_that_are_configured() {
    let wanted = "{path: '/metadata?mode=full', interval: 100ms, status: [200, 203], \
                  header: {x-region: east}, json: {resourceType: Patient, name.0.use: official}}";
    let world = world(wanted).await;
    let good = Answer::new(200, "application/fhir+json", record("metadata")).with("x-region", "east");
    let variants = [
        Answer { status: 204, ..good.clone() },
        Answer::new(200, "application/fhir+json", record("metadata")).with("x-region", "west"),
        Answer { body: r#"{"resourceType":"Patient","name":[{"use":"usual"}]}"#.into(), ..good.clone() },
        Answer::new(200, "text/html", "<html>").with("x-region", "east"),
    ];
    world.ohio.obey(for_checks(good.clone()));
    for bad in variants {
        world.virginia.obey(for_checks(bad));
        becomes(&world, "virginia", "ejected").await;
        world.virginia.obey(for_checks(Answer { status: 203, ..good.clone() }));
        becomes(&world, "virginia", "healthy").await;
    }
    let ledger = world.virginia.ledger();
    assert!(ledger.seen.iter().all(|seen| seen.target == "/Server1/metadata?mode=full"));
    assert!(ledger.seen.iter().all(|seen| seen.header("x-api-key").is_none()));
}

#[tokio::test]
async fn a_proxy_does_not_check_its_upstreams_in_step() {
    const INTERVAL: Duration = Duration::from_millis(600);
    let authority = Authority::new();
    let regions: Vec<_> = (0..6)
        .map(|number| Upstream::start(&format!("region-{number}"), Speech::Plain, &authority))
        .collect();
    let check = format!("{{path: /metadata, interval: {}ms}}", INTERVAL.as_millis());
    let setup = Setup::new(&regions.iter().collect::<Vec<_>>()).pool("active_health", &check);
    let _proxy = Proxy::start(&setup).await;
    let first = |region: &Upstream| region.ledger().seen.first().map(|seen| seen.at);
    let all = || regions.iter().map(first).collect::<Option<Vec<_>>>();
    let firsts = eventually::found("each has been checked", all).await;
    let spread = *firsts.iter().max().unwrap() - *firsts.iter().min().unwrap();
    // They fall anywhere in the interval: that six fall within a twelfth of it is a chance of one in forty thousand.
    assert!(spread > INTERVAL / 12, "all were checked within {spread:?}");
}
