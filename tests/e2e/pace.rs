//! Pace: a region that answers, and far slower than its siblings.

use bytes::Bytes;
use harness::authority::Authority;
use harness::load::{self, Plan, Progress};
use harness::proxy::Proxy;
use harness::setup::Setup;
use harness::upstream::script::{Behaviour, Order};
use harness::upstream::{Speech, Upstream};
use http::Request;
use std::sync::Arc;
use std::time::Duration;

#[tokio::test]
async fn a_region_far_slower_than_its_siblings_is_ejected_although_it_answers() {
    let authority = Authority::new();
    let regions = ["virginia", "ohio", "oregon"].map(|name| Upstream::start(name, Speech::Http1, &authority));
    let setup = Setup::new(&regions.each_ref()).pool("passive_health", "{latency_min: 100ms, ejection: 60s}");
    let proxy = Proxy::start(&setup).await;
    let make = |index| Request::get(format!("/Patient/{index}")).body(Bytes::new()).unwrap();
    let reads = |requests| Plan { requests, rate: 100, connections: 32, make: Arc::new(make) };
    load::run(&proxy.target(), &reads(60), &Progress::default()).await;
    assert_eq!(proxy.ejections(), 0);
    regions[0].obey(Order::before(Behaviour::Slow(Duration::from_millis(600))));
    let samples = load::run(&proxy.target(), &reads(1200), &Progress::default()).await;
    assert!(samples.iter().all(|sample| sample.result.as_ref().is_ok_and(|reply| reply.status == 200)));
    let ejected = [("upstream", "virginia"), ("reason", "slow"), ("enforced", "true")];
    assert_eq!(proxy.metrics().count("aorta_upstream_ejections_total", &ejected), 1);
    let said = harness::metrics::get(proxy.admin(), "/api/explain/pools/records/upstreams/virginia");
    let said: serde_json::Value = serde_json::from_str(&said.expect("it is explained")).expect("JSON");
    let slow = &said["policy"]["slow"];
    let siblings = slow["the_usual_of_most_siblings"].as_array().expect("a list");
    let usual = siblings.iter().filter_map(|sibling| sibling["usual_seconds"].as_f64());
    assert_eq!((&said["reason"], slow["ejects_above_times"].as_u64()), (&"slow".into(), Some(5)), "{said:#}");
    assert!(siblings.len() == 2 && usual.filter(|usual| *usual < 0.1).count() == 2, "{said:#}");
    let asked = regions[0].count();
    assert!(asked < 160, "{asked} of 1260 requests went to the slow region");
}
