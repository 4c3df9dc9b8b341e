//! Client quotas: what one client may ask of one proxy, and of a fleet that counts in one Redis; and that requests flow
//! when that is gone.

use crate::world::World;
use bytes::Bytes;
use harness::authority::Authority;
use harness::client::{Client, Reply, Target};
use harness::eventually;
use harness::proxy::Proxy;
use harness::raw::Raw;
use harness::redis::Redis;
use harness::setup::Setup;
use harness::upstream::{Speech, Upstream};
use http::Request;
use std::time::{Duration, Instant};

/// What a client asks in a test costs it a day, so that a slow machine gives nothing back.
fn route(limit: &str) -> String {
    let rate = if limit.contains("requests:") { "" } else { "requests: 1, per: 24h, " };
    format!("  - {{name: ehr, pool: records, rate_limit: {{{rate}{limit}}}}}")
}

async fn world(limit: &str) -> World {
    World::with(Speech::Http1, |setup, _| setup.routes(&route(limit))).await
}

async fn get_as(client: &mut Client, tenant: &str) -> Reply {
    let request = Request::get("/Patient/1").header("x-tenant", tenant);
    client.send(request.body(Bytes::new()).unwrap()).await.unwrap()
}

fn decisions(proxy: &Proxy, counted_by: &str, result: &str) -> u64 {
    let labels = [("route", "ehr"), ("counted_by", counted_by), ("result", result)];
    proxy.metrics().count("aorta_quota_decisions_total", &labels)
}

#[tokio::test]
async fn what_is_beyond_a_clients_quota_is_refused_and_no_upstream_hears_of_it() {
    let world = world("burst: 3").await;
    let mut client = world.client();
    let budget = || world.proxy.metrics().sum("aorta_retry_budget_balance", &[]);
    for left in [2, 1, 0] {
        let reply = client.get("/Patient/1").await;
        assert_eq!((reply.status, reply.header("ratelimit")), (200, &*format!("\"client\";r={left}")));
        assert_eq!(reply.header("ratelimit-policy"), "\"client\";q=1;w=86400");
    }
    let before = budget();
    let refused = client.get("/Patient/1").await;
    assert_eq!(refused.status, 429);
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((86_000..=86_400).contains(&wait), "{wait}");
    assert_eq!(refused.header("ratelimit"), format!("\"client\";r=0;t={wait}"));
    assert_eq!(refused.json()["issue"][0]["code"], "throttled");
    assert_eq!((world.seen(), refused.header("x-aorta-attempts")), (3, "0"));
    assert!(
        (budget() - before).abs() < f64::EPSILON,
        "it neither pays into the retry budget nor draws on it"
    );
    let labels = [("route", "ehr"), ("reason", "quota_used_up")];
    let refusals = || world.proxy.metrics().count("aorta_refusals_total", &labels);
    eventually::equal("the refusal is counted", 1, refusals).await;
    let counted = || ["allowed", "refused"].map(|result| decisions(&world.proxy, "proxy", result));
    eventually::equal("each is counted", [3, 1], counted).await;
    assert_eq!(client.get("/Patient/1").await.status, 429, "the connection is still good");
}

#[tokio::test]
async fn a_refused_upload_is_not_read() {
    let world = world("burst: 1").await;
    assert_eq!(world.client().get("/Patient/1").await.status, 200);
    let mut raw = Raw::connect(world.proxy.address()).await;
    raw.send("POST /Patient HTTP/1.1\r\nhost: aorta.test\r\ncontent-length: 100000\r\n\r\n").await;
    let answer = raw.answer().await;
    assert_eq!(answer.status, 429);
    assert!(raw.closes_within(eventually::BOUND).await);
    assert_eq!(world.seen(), 1);
}

#[tokio::test]
async fn clients_are_told_apart_by_the_header_that_is_named_and_believed_about_nothing_else() {
    let world = world("burst: 1, key: \"header:x-tenant\"").await;
    let mut client = world.client();
    for tenant in ["north", "south"] {
        assert_eq!(get_as(&mut client, tenant).await.status, 200);
        assert_eq!(get_as(&mut client, tenant).await.status, 429);
    }
    assert_eq!(client.get("/Patient/1").await.status, 200, "without it the address counts");
    let forged = Request::get("/Patient/1").header("x-forwarded-for", "192.0.2.1").body(Bytes::new());
    assert_eq!(client.send(forged.unwrap()).await.unwrap().status, 429);
}

#[tokio::test]
async fn a_reload_takes_a_new_limit_and_keeps_what_clients_have_used() {
    let setup = |setup: Setup, _: &_| setup.top("reload", "{watch: 0s}").routes(&route("burst: 3"));
    let world = World::with(Speech::Http1, setup).await;
    let mut client = world.client();
    for expected in [200, 200, 200, 429] {
        assert_eq!(client.get("/Patient/1").await.status, expected);
    }
    let text = std::fs::read_to_string(world.proxy.file()).unwrap();
    std::fs::write(world.proxy.file(), text.replace("burst: 3", "burst: 5")).unwrap();
    let admin = world.proxy.admin();
    let mut orders = Client::new(Target { host: admin.to_string(), ..Target::plain(admin) });
    assert_eq!(orders.post("/api/reload", "").await.status, 200);
    for expected in [200, 200, 429] {
        assert_eq!(client.get("/Patient/1").await.status, expected);
    }
}

/// Two proxies over one Redis, before the same two regions.
struct Fleet {
    north: Proxy,
    south: Proxy,
    redis: Redis,
    virginia: Upstream,
    ohio: Upstream,
}

impl Fleet {
    /// On a busy machine a store may take its time: here it is waited for.
    async fn new(limit: &str) -> Self {
        Self::with("1s", limit).await
    }

    /// A store that takes longer than `timeout` is not waited for.
    async fn with(timeout: &str, limit: &str) -> Self {
        let (redis, authority) = (Redis::start().await, Authority::new());
        let virginia = Upstream::start("virginia", Speech::Http1, &authority);
        let ohio = Upstream::start("ohio", Speech::Http1, &authority);
        let (address, secret) = (redis.address(), "{env: QUOTA_SECRET}");
        let store = format!("{{address: \"{address}\", secret: {secret}, timeout: {timeout}}}");
        let setup = Setup::new(&[&virginia, &ohio]).top("quota_store", &store);
        let yaml = setup.routes(&route(&format!("shared: true, {limit}"))).yaml();
        let start = || Proxy::start_with(&yaml, &[("QUOTA_SECRET", "s3cr3t")]);
        let fleet = Self { north: start().await, south: start().await, redis, virginia, ohio };
        fleet.both_say("1").await;
        fleet
    }

    fn proxies(&self) -> [&Proxy; 2] {
        [&self.north, &self.south]
    }

    async fn both_say(&self, up: &str) {
        eventually::equal(&format!("the store is up: {up}"), [up; 2].map(str::to_owned), || {
            self.proxies().map(|proxy| proxy.metrics().count("aorta_quota_store_up", &[]).to_string())
        })
        .await;
    }

    /// Sends so many requests of one tenant to both in turn, and says how many were allowed by each.
    async fn allowed(&self, tenant: &str, requests: usize) -> [usize; 2] {
        let mut clients = self.proxies().map(|proxy| Client::new(proxy.target()));
        let mut allowed = [0; 2];
        for turn in 0..requests {
            let reply = get_as(&mut clients[turn % 2], tenant).await;
            assert!(matches!(reply.status, 200 | 429), "{}", reply.status);
            assert!(reply.took < Duration::from_secs(1), "a store costs no request more: {:?}", reply.took);
            allowed[turn % 2] += usize::from(reply.status == 200);
        }
        allowed
    }

    fn errors(&self) -> u64 {
        self.proxies().map(|proxy| proxy.metrics().count("aorta_quota_store_errors_total", &[])).iter().sum()
    }
}

#[tokio::test]
async fn two_proxies_over_one_redis_allow_a_client_its_quota_once() {
    let fleet = Fleet::new("burst: 21, key: \"header:x-tenant\"").await;
    let [north, south] = fleet.allowed("J0hns0n", 60).await;
    assert_eq!((north, south), (11, 10), "both draw on one account");
    assert_eq!(fleet.virginia.count() + fleet.ohio.count(), 21);
    assert_eq!(fleet.allowed("another", 2).await, [1, 1]);
    let by_fleet = || fleet.proxies().map(|proxy| decisions(proxy, "fleet", "refused")).iter().sum::<u64>();
    eventually::equal("all were counted by the fleet", 39, by_fleet).await;
    assert_eq!(fleet.errors(), 0);
    let keys = fleet.redis.command("KEYS *").unwrap();
    let own: Vec<_> = keys.lines().filter(|line| line.starts_with("aorta:quota:ehr:")).collect();
    assert_eq!(own.len(), 2, "one for each client: {keys}");
    assert!(!keys.contains("J0hns0n") && !keys.contains("127.0.0.1"), "{keys}");
    for key in own {
        let ends = fleet.redis.command(&format!("TTL {key}")).unwrap();
        let seconds: u64 = ends.lines().next().and_then(|line| line.strip_prefix(':')?.parse().ok()).unwrap();
        assert!((1..=21 * 86_400).contains(&seconds), "a client who stays away is forgotten: {ends}");
    }
}

#[tokio::test]
async fn at_once_from_both_sides_a_client_is_allowed_no_more() {
    let fleet = Fleet::new("burst: 20, key: \"header:x-tenant\"").await;
    let allowed = async |proxy: &Proxy| {
        let mut allowed = 0;
        let mut clients: Vec<_> = (0..3).map(|_| Client::new(proxy.target())).collect();
        for _ in 0..10 {
            for client in &mut clients {
                allowed += usize::from(get_as(client, "north").await.status == 200);
            }
        }
        allowed
    };
    let (north, south) = tokio::join!(allowed(&fleet.north), allowed(&fleet.south));
    assert_eq!(north + south, 20, "{north} and {south}");
    assert_eq!(fleet.errors(), 0);
}

#[tokio::test]
async fn when_redis_is_gone_requests_flow_and_each_proxy_counts_alone_until_it_is_back() {
    let mut fleet = Fleet::new("burst: 4, key: \"header:x-tenant\"").await;
    assert_eq!(fleet.allowed("early", 2).await, [1, 1]);
    fleet.redis.kill();
    let [north, south] = fleet.allowed("early", 20).await;
    assert_eq!((north, south), (3, 3), "each counts on from what it allowed itself");
    fleet.both_say("0").await;
    assert!(fleet.errors() >= 2, "{}", fleet.errors());
    assert_eq!(fleet.allowed("late", 20).await, [4, 4], "a quota from each, and no more");
    let counted = |by| fleet.proxies().map(|proxy| decisions(proxy, by, "allowed")).iter().sum::<u64>();
    let both = || (counted("fleet"), counted("proxy"));
    eventually::equal("counted by the fleet and alone", (2, 14), both).await;
    fleet.redis.revive().await;
    fleet.both_say("1").await;
    assert_eq!(fleet.allowed("new", 20).await, [2, 2], "together again");
}

#[tokio::test]
async fn a_frozen_redis_holds_up_no_more_than_the_first_request_and_that_for_its_timeout() {
    let fleet = Fleet::with("20ms", "burst: 100, key: \"header:x-tenant\"").await;
    fleet.redis.freeze();
    let start = Instant::now();
    let [north, south] = fleet.allowed("north", 200).await;
    let took = start.elapsed();
    assert_eq!((north, south), (100, 100));
    // A request that waited for each answer would have waited 20 ms: 4 s in all, on an idle machine.
    let waited = |proxy: &Proxy| {
        let labels = [("reason", "timeout")];
        proxy.metrics().count("aorta_quota_store_errors_total", &labels)
    };
    for proxy in fleet.proxies() {
        let seconds = took.as_secs() + 2;
        assert!((1..=2 * seconds).contains(&waited(proxy)), "{} in {took:?}", waited(proxy));
    }
    fleet.both_say("0").await;
    fleet.redis.thaw();
    fleet.both_say("1").await;
    // One answer that comes late makes a proxy count alone for a moment, so this may take a few turns.
    for turn in 0..20 {
        if fleet.allowed(&format!("new-{turn}"), 220).await == [50, 50] {
            return;
        }
    }
    panic!("never together again");
}

#[tokio::test]
async fn a_store_behind_tls_and_a_password_is_asked_and_one_of_another_authority_is_not() {
    let (authority, other) = (Authority::new(), Authority::new());
    let redis = Redis::locked("0pen-sesame", authority.files("quota.test")).await;
    let virginia = Upstream::start("virginia", Speech::Http1, &authority);
    let start = async |ca: &Authority, password: &str| {
        let (address, ca) = (redis.address(), ca.ca());
        let tls = format!("{{ca: {}, server_name: quota.test}}", ca.display());
        let secrets = "secret: {env: QUOTA_SECRET}, password: {env: QUOTA_PASSWORD}";
        let store = format!("{{address: \"{address}\", tls: {tls}, {secrets}, timeout: 1s}}");
        let setup = Setup::new(&[&virginia]).top("quota_store", &store);
        let yaml = setup.routes(&route("shared: true, burst: 2")).yaml();
        let secrets = [("QUOTA_SECRET", "s3cr3t"), ("QUOTA_PASSWORD", password)];
        Proxy::start_with(&yaml, &secrets).await
    };
    let known = start(&authority, "0pen-sesame").await;
    let is_up = || known.metrics().count("aorta_quota_store_up", &[]);
    eventually::equal("the store is up", 1, is_up).await;
    assert_eq!(Client::new(known.target()).get("/Patient/1").await.status, 200);
    eventually::equal("the fleet counts", 1, || decisions(&known, "fleet", "allowed")).await;
    for (stranger, reason) in
        [(start(&other, "0pen-sesame").await, "connection"), (start(&authority, "wrong").await, "refused")]
    {
        let labels = [("reason", reason)];
        eventually::found("the store is not used", || {
            let metrics = stranger.metrics();
            let (errors, up) = ("aorta_quota_store_errors_total", "aorta_quota_store_up");
            (metrics.count(errors, &labels) > 0 && metrics.count(up, &[]) == 0).then_some(())
        })
        .await;
        assert_eq!(Client::new(stranger.target()).get("/Patient/1").await.status, 200, "requests flow");
        eventually::equal("it counts alone", 1, || decisions(&stranger, "proxy", "allowed")).await;
        let said = stranger.program.said();
        assert!(!said.contains("0pen-sesame") && !said.contains("wrong"), "{said}");
    }
}

#[tokio::test]
async fn two_proxies_together_allow_a_client_its_rate_and_no_more() {
    let fleet = Fleet::new("requests: 20, per: 1s, burst: 20").await;
    let start = Instant::now();
    let mut clients = fleet.proxies().map(|proxy| Client::new(proxy.target()));
    let (mut allowed, mut took) = (0.0, 0.0);
    for turn in 0_usize.. {
        let reply = clients[turn % 2].get("/Patient/1").await;
        took = start.elapsed().as_secs_f64();
        allowed += f64::from(u8::from(reply.status == 200));
        if took > 2.0 {
            break;
        }
    }
    assert!(allowed <= 20.0 + 20.0 * took, "{allowed} in {took} s");
    // The burst bridges a pause of a busy machine: what the rate gives meanwhile is not lost.
    assert!(allowed >= 20.0 * took, "{allowed} in {took} s");
    assert_eq!(fleet.errors(), 0);
}

#[tokio::test]
async fn a_store_that_refuses_writes_is_not_asked_for_each_request() {
    let fleet = Fleet::new("burst: 2, key: \"header:x-tenant\"").await;
    let told = fleet.redis.command("CONFIG SET maxmemory 1").unwrap();
    assert!(told.starts_with("+OK"), "{told}");
    assert_eq!(fleet.allowed("north", 20).await, [2, 2]);
    fleet.both_say("0").await;
    let refused = fleet.north.metrics().count("aorta_quota_store_errors_total", &[("reason", "refused")]);
    assert!(refused >= 1, "{refused}");
    let _ = fleet.redis.command("CONFIG SET maxmemory 0");
    fleet.both_say("1").await;
    assert_eq!(fleet.allowed("new", 10).await, [1, 1]);
}
