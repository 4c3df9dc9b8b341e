//! Write affinity: a client that wrote reads where its write is, for the configured time and no longer.

use bytes::Bytes;
use harness::authority::Authority;
use harness::client::{Client, Reply};
use harness::eventually::BOUND;
use harness::proxy::Proxy;
use harness::setup::Setup;
use harness::upstream::{Speech, Upstream};
use http::Request;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Virginia and Oregon share one record store, Ohio has its own.
struct Stores {
    proxy: Proxy,
    regions: [Upstream; 3],
    _authority: Authority,
}

impl Stores {
    async fn start(span: &str) -> Self {
        let authority = Authority::new();
        let regions =
            ["virginia", "ohio", "oregon"].map(|name| Upstream::start(name, Speech::Plain, &authority));
        let setup = Setup::new(&regions.each_ref()).pool("write_affinity", span);
        let setup = setup.upstream(0, "data_domain: coasts").upstream(1, "data_domain: lakes");
        let proxy = Proxy::start(&setup.upstream(2, "data_domain: coasts")).await;
        Self { proxy, regions, _authority: authority }
    }

    /// On a connection of its own: who a client is says its key.
    async fn send(&self, method: &str, path: &str, key: &str) -> Reply {
        let request = Request::builder().method(method).uri(path).header("x-api-key", key);
        let reply = Client::new(self.proxy.target()).send(request.body(Bytes::new()).unwrap()).await.unwrap();
        assert!(reply.status < 300, "{method}: {}", reply.status);
        reply
    }

    async fn read(&self, key: &str) -> String {
        self.send("GET", "/Patient/1", key).await.upstream().to_owned()
    }

    /// Writes until this region took it, by one client or another; who that was.
    async fn writes_at(&self, upstream: &str) -> String {
        for number in 0..3 {
            let key = format!("writer-{number}");
            if self.send("POST", "/Patient", &key).await.upstream() == upstream {
                return key;
            }
        }
        panic!("{upstream} gets no write of three");
    }
}

#[tokio::test]
async fn a_client_that_wrote_reads_where_its_write_is_until_the_time_is_up() {
    let stores = Stores::start("2s").await;
    let before = Instant::now();
    let writer = stores.writes_at("ohio").await;
    while stores.read(&writer).await == "ohio" {
        assert!(before.elapsed() < BOUND, "it reads from there for ever");
    }
    let took = before.elapsed();
    assert!(took >= Duration::from_secs(2), "it left after {took:?}");
}

#[tokio::test]
async fn a_client_reads_from_every_region_that_shares_the_store_and_others_from_anywhere() {
    let stores = Stores::start("1h").await;
    let writer = stores.writes_at("virginia").await;
    for (client, expected) in [(writer.as_str(), "oregon virginia"), ("reader", "ohio oregon virginia")] {
        let mut regions = BTreeSet::new();
        for _ in 0..12 {
            regions.insert(stores.read(client).await);
        }
        assert_eq!(regions.into_iter().collect::<Vec<_>>().join(" "), expected, "{client}");
    }
}

#[tokio::test]
async fn a_read_is_served_elsewhere_when_the_store_that_was_written_to_is_lost() {
    let stores = Stores::start("1h").await;
    let writer = stores.writes_at("ohio").await;
    stores.regions[1].refuse().await;
    for _ in 0..6 {
        assert_ne!(stores.read(&writer).await, "ohio");
    }
    stores.regions[1].heal();
    let start = Instant::now();
    while stores.read(&writer).await != "ohio" {
        assert!(start.elapsed() < BOUND, "it never comes home");
    }
}
