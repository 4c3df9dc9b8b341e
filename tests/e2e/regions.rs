//! More than two regions, and servers of another cloud: who is lost is left out, nobody else, and no read is lost.

use crate::world::alone;
use bytes::Bytes;
use harness::authority::Authority;
use harness::client::Client;
use harness::eventually::BOUND;
use harness::load::{self, Plan, Progress, Sample};
use harness::proxy::Proxy;
use harness::setup::Setup;
use harness::upstream::answer::{forbidden, outcome, record};
use harness::upstream::ledger::MARKER;
use harness::upstream::script::{Behaviour, Order};
use harness::upstream::{Speech, Upstream};
use http::Request;
use std::sync::Arc;
use std::time::Instant;

const REQUESTS: usize = 600;
const RATE: u32 = 150;
/// Every tenth request creates a record.
const CREATES: usize = 10;

fn regions<const N: usize>(names: [&str; N]) -> (Authority, [Upstream; N]) {
    let authority = Authority::new();
    let regions = names.map(|name| Upstream::start(name, Speech::Http1, &authority));
    (authority, regions)
}

fn plan(prefix: &'static str) -> Plan {
    let make = move |index: usize| {
        let request = if index.is_multiple_of(CREATES) {
            let create = Request::post(format!("{prefix}/Patient")).header(MARKER, format!("create-{index}"));
            create.body(Bytes::from(r#"{"resourceType":"Patient"}"#))
        } else {
            Request::get(format!("{prefix}/Patient/{index}")).body(Bytes::new())
        };
        request.expect("a request")
    };
    Plan { requests: REQUESTS, rate: RATE, connections: 16, make: Arc::new(make) }
}

/// Every read has its own record's bytes, and no create was executed twice.
fn nothing_is_lost(samples: &[Sample], regions: &[&Upstream]) {
    assert_eq!(samples.len(), REQUESTS);
    for Sample { index, result, .. } in samples {
        let create = index % CREATES == 0;
        let marker = format!("create-{index}");
        let at = |region: &&Upstream| region.ledger().executed.get(&marker).copied().unwrap_or_default();
        let executed: u32 = regions.iter().map(at).sum();
        match result {
            Ok(reply) if create => {
                let confirmed = if reply.status == 201 { executed == 1 } else { executed <= 1 };
                assert!(confirmed, "create {index}: {} after {executed} executions", reply.status);
            }
            Ok(reply) => assert_eq!(
                (reply.status, &reply.body),
                (200, &record(&index.to_string())),
                "read {index} by {}",
                reply.upstream()
            ),
            Err(error) => panic!("request {index} got no answer: {error}"),
        }
    }
}

/// Whom each of the last requests was answered by.
fn last_shares(samples: &[Sample], names: &[&str]) -> Vec<usize> {
    let last = samples.iter().filter(|sample| sample.index >= REQUESTS / 2);
    let served: Vec<_> = last.filter_map(|sample| sample.result.as_ref().ok()).collect();
    names.iter().map(|name| served.iter().filter(|reply| reply.upstream() == *name).count()).collect()
}

/// Retries that were paid for, as a share of requests: the budget, and what was saved up.
async fn attempts_stay_within_the_budget(proxy: &Proxy, lost: usize) {
    let lines = proxy.access(REQUESTS).await;
    let attempts: usize = lines.iter().map(|line| harness::log::classes(line).len()).sum();
    // 20 % and 20 saved up; leaving a region that got nothing, or was just ejected, is free.
    let free = 3 * lost + 16 * lost;
    let allowed = REQUESTS + REQUESTS / 5 + 20 + free;
    assert!(attempts <= allowed, "{attempts} attempts for {REQUESTS} requests, allowed {allowed}");
}

fn ejected(proxy: &Proxy, name: &str) -> bool {
    proxy.metrics().count("aorta_upstream_ejections_total", &[("upstream", name)]) > 0
}

#[tokio::test]
async fn one_region_of_three_is_killed_no_read_is_lost_and_the_other_two_share_alike() {
    let _turn = alone().await;
    let names = ["virginia", "ohio", "oregon"];
    let (_authority, regions) = regions(names);
    let setup = Setup::new(&regions.each_ref()).pool("passive_health", "{ejection: 60s}");
    let proxy = Proxy::start(&setup).await;
    let progress = Progress::default();
    let (target, plan) = (proxy.target(), plan(""));
    let kill = async {
        progress.due(REQUESTS / 5).await;
        regions[1].refuse().await;
    };
    let (samples, ()) = tokio::join!(load::run(&target, &plan, &progress), kill);
    nothing_is_lost(&samples, &regions.each_ref());
    attempts_stay_within_the_budget(&proxy, 1).await;
    assert_eq!(names.map(|name| ejected(&proxy, name)), [false, true, false]);
    let shares = last_shares(&samples, &names);
    assert!(shares[1] == 0 && shares[0].abs_diff(shares[2]) <= 20, "{shares:?}");
}

#[tokio::test]
async fn two_regions_of_five_are_lost_in_two_ways_no_read_is_lost_and_the_other_three_share_alike() {
    let _turn = alone().await;
    let names = ["virginia", "ohio", "oregon", "dublin", "zurich"];
    let (_authority, regions) = regions(names);
    let setup = Setup::new(&regions.each_ref()).pool("passive_health", "{ejection: 60s}");
    let proxy = Proxy::start(&setup).await;
    let progress = Progress::default();
    let (target, plan) = (proxy.target(), plan(""));
    let kill = async {
        progress.due(REQUESTS / 6).await;
        regions[0].freeze();
        progress.due(REQUESTS / 5).await;
        regions[3].obey(Order::before(Behaviour::Say(outcome(503, "transient"))));
    };
    let (samples, ()) = tokio::join!(load::run(&target, &plan, &progress), kill);
    regions[0].heal();
    nothing_is_lost(&samples, &regions.each_ref());
    attempts_stay_within_the_budget(&proxy, 2).await;
    assert_eq!(names.map(|name| ejected(&proxy, name)), [true, false, false, true, false]);
    let shares = last_shares(&samples, &names);
    let left = [shares[1], shares[2], shares[4]];
    let spread = left.iter().max().unwrap_or(&0) - left.iter().min().unwrap_or(&0);
    assert!(shares[0] <= 10 && shares[3] == 0 && spread <= 25, "{shares:?}");
}

/// Two regions behind API Gateway, and servers of another cloud with their own root, name and base path.
struct Clouds {
    proxy: Proxy,
    gateways: [Upstream; 2],
    others: [Upstream; 2],
    _authorities: [Authority; 2],
}

impl Clouds {
    /// The other cloud's servers stand by in the gateways' pool, or have a pool of their own.
    async fn start(stand_by: bool) -> Self {
        let (one, gateways) = regions(["virginia", "ohio"]);
        let another = Authority::new();
        let others = ["zurich", "basel"].map(|name| Upstream::start(name, Speech::Http2, &another));
        let [virginia, ohio] = &gateways;
        let [zurich, basel] = &others;
        let yaml = if stand_by {
            let all = Setup::new(&[virginia, ohio, zurich, basel]);
            let all = all.upstream(2, "priority: 1").upstream(3, "priority: 1").yaml();
            all.replace("/Server3", "/fhir/r4").replace("/Server4", "/fhir/r4")
        } else {
            let routes = "  - {name: ehr, pool: records}\n  \
                - {name: archive, match: {path_prefix: /archive}, strip_prefix: /archive, pool: archive}";
            let own = Setup::new(&[zurich, basel]).pool("dialect", "http").pool("unwrap_envelope", "false");
            let own = own
                .pool("active_health", "")
                .yaml()
                .replace("/Server1", "/fhir/r4")
                .replace("/Server2", "/fhir/r4");
            let own = own.split_once("  records:\n").expect("it has this pool").1.to_owned();
            Setup::new(&[virginia, ohio]).routes(routes).yaml() + "  archive:\n" + &own
        };
        let proxy = Proxy::start_with(&yaml, &[]).await;
        Self { proxy, gateways, others, _authorities: [one, another] }
    }
}

#[tokio::test]
async fn servers_of_another_cloud_take_over_when_both_gateways_are_lost_and_hand_back() {
    let _turn = alone().await;
    let clouds = Clouds::start(true).await;
    let mut client = Client::new(clouds.proxy.target());
    for index in 0..20 {
        let reply = client.get(&format!("/Patient/{index}")).await;
        assert!(["virginia", "ohio"].contains(&reply.upstream()), "{}", reply.upstream());
    }
    let progress = Progress::default();
    let (target, plan) = (clouds.proxy.target(), plan(""));
    let kill = async {
        progress.due(REQUESTS / 5).await;
        clouds.gateways[0].refuse().await;
        progress.due(REQUESTS / 4).await;
        clouds.gateways[1].obey(Order::before(Behaviour::Say(forbidden())));
    };
    let (samples, ()) = tokio::join!(load::run(&target, &plan, &progress), kill);
    let regions: [&Upstream; 4] =
        [&clouds.gateways[0], &clouds.gateways[1], &clouds.others[0], &clouds.others[1]];
    let all = regions.map(Upstream::name);
    nothing_is_lost(&samples, &regions);
    assert!(
        all.iter().zip([true, true, false, false]).all(|(name, out)| ejected(&clouds.proxy, name) == out)
    );
    let shares = last_shares(&samples, &all);
    assert!(shares[2] > 90 && shares[2].abs_diff(shares[3]) <= 20, "{shares:?}");
    let asked = regions[2].last();
    assert!(asked.target.starts_with("/fhir/r4/Patient"), "{}", asked.target);
    assert_eq!(asked.header("host"), Some(&*regions[2].authority()));
    regions[0].heal();
    regions[1].heal();
    let (start, mut served) = (Instant::now(), [0, 0]);
    while served.iter().any(|served| *served < 3) {
        assert!(start.elapsed() < BOUND, "the gateways are not back: {served:?}");
        let reply = client.get("/Patient/again").await;
        served[0] += usize::from(reply.upstream() == "virginia");
        served[1] += usize::from(reply.upstream() == "ohio");
    }
}

#[tokio::test]
async fn a_plain_pool_at_another_cloud_loses_no_read_of_its_own_and_knows_no_gateway() {
    let _turn = alone().await;
    let clouds = Clouds::start(false).await;
    let mut client = Client::new(clouds.proxy.target());
    // What would be the gateway's refusal is an answer of the application here.
    for other in &clouds.others {
        other.obey(Order::before(Behaviour::Say(forbidden())));
    }
    for _ in 0..10 {
        let reply = client.get("/archive/Patient/1").await;
        assert_eq!((reply.status, reply.attempts()), (403, 1));
    }
    assert_eq!(clouds.proxy.ejections(), 0);
    clouds.others.iter().for_each(Upstream::heal);
    let progress = Progress::default();
    let (target, plan) = (clouds.proxy.target(), plan("/archive"));
    let kill = async {
        progress.due(REQUESTS / 5).await;
        clouds.others[0].refuse().await;
    };
    let (samples, ()) = tokio::join!(load::run(&target, &plan, &progress), kill);
    nothing_is_lost(&samples, &clouds.others.each_ref());
    let names = ["virginia", "ohio", "zurich", "basel"];
    assert_eq!(names.map(|name| ejected(&clouds.proxy, name)), [false, false, true, false]);
    assert!(clouds.others[1].last().target.starts_with("/fhir/r4/Patient"));
    assert_eq!(
        clouds.gateways.each_ref().map(|gateway| gateway.count()),
        [0, 0],
        "each cloud has its own traffic"
    );
    let reply = client.get("/Patient/1").await;
    assert!((reply.status, reply.upstream()) == (200, "virginia") || reply.upstream() == "ohio");
}
