//! A thousand upstreams are reloaded, under load, and replaced.

use crate::reload::reader;
use crate::world::alone;
use harness::authority::Authority;
use harness::client::{Client, Target};
use harness::proxy::Proxy;
use harness::setup::many;
use harness::upstream::{Speech, Upstream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Of a build for tests, on a machine that does other things too; `make bench` has the figure.
const THOUSAND_WITHIN: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_of_a_thousand_upstreams_is_quick_and_loses_no_request() {
    let _alone = alone().await;
    let authority = Authority::new();
    let upstream = Upstream::start("region", Speech::Plain, &authority);
    let proxy = Proxy::start_with(&many(1_000, upstream.address()), &[]).await;
    let stop = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..4).map(|_| reader(Client::new(proxy.target()), &stop)).collect();
    let text = std::fs::read_to_string(proxy.file()).unwrap();
    let admin = Target { host: proxy.admin().to_string(), ..Target::plain(proxy.admin()) };
    for weight in ["weight: 2", "weight: 3"] {
        std::fs::write(proxy.file(), text.replace("weight: 1", weight)).unwrap();
        let reply = Client::new(admin.clone()).post("/api/reload", "").await;
        assert_eq!(reply.status, 200);
        assert!(reply.took < THOUSAND_WITHIN, "{:?}", reply.took);
    }
    stop.store(true, Ordering::Relaxed);
    for reader in readers {
        let (_, lost, connections) = reader.await.unwrap();
        assert!(lost.is_empty() && connections == 1, "{lost:?} {connections}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_upstreams_take_the_place_of_a_thousand_others_and_leave_no_series() {
    let _alone = alone().await;
    let authority = Authority::new();
    let upstream = Upstream::start("region", Speech::Plain, &authority);
    let proxy = Proxy::start_with(&many(1_000, upstream.address()), &[]).await;
    let text = std::fs::read_to_string(proxy.file()).unwrap();
    let admin = Target { host: proxy.admin().to_string(), ..Target::plain(proxy.admin()) };
    std::fs::write(proxy.file(), text.replace("name: region-", "name: other-")).unwrap();
    let reply = Client::new(admin).post("/api/reload", "").await;
    assert_eq!(reply.status, 200);
    assert!(reply.took < THOUSAND_WITHIN, "{:?}", reply.took);
    let metrics = proxy.metrics().text;
    assert!(metrics.contains("upstream=\"other-999\"") && !metrics.contains("upstream=\"region-"));
}
