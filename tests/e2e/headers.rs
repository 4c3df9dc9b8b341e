//! Header rules, both ways, and what each upstream is told on each attempt.

use crate::world::World;
use bytes::Bytes;
use harness::authority::Authority;
use harness::client::Client;
use harness::proxy::Proxy;
use harness::raw::Raw;
use harness::setup::Setup;
use harness::upstream::answer::{FHIR_JSON, record, throttled};
use harness::upstream::script::{Answer, Behaviour, Order};
use harness::upstream::{Speech, Upstream};
use http::Request;
use std::time::{SystemTime, UNIX_EPOCH};

#[tokio::test]
async fn fields_of_the_clients_connection_stay_on_it() {
    let world = World::new().await;
    let mut raw = Raw::connect(world.proxy.address()).await;
    raw.send(
        "GET /Patient/1 HTTP/1.1\r\nhost: aorta.test\r\nconnection: keep-alive, x-nominated\r\nx-nominated: 1\r\n\
         keep-alive: timeout=5\r\nproxy-connection: keep-alive\r\nte: trailers\r\nupgrade: h2c\r\n\
         proxy-authorization: Basic abc\r\nx-travels: 1\r\n\r\n",
    )
    .await;
    assert_eq!(raw.answer().await.status, 200);
    let seen = world.virginia.last();
    for hop in ["x-nominated", "keep-alive", "proxy-connection", "te", "upgrade", "proxy-authorization"] {
        assert_eq!(seen.header(hop), None, "{hop}");
    }
    assert_eq!(seen.header("x-travels"), Some("1"));
}

#[tokio::test]
async fn a_client_cannot_nominate_away_what_the_proxy_adds() {
    let world = World::new().await;
    let mut raw = Raw::connect(world.proxy.address()).await;
    raw.send(
        "GET /Patient/1 HTTP/1.1\r\nhost: aorta.test\r\n\
         connection: x-forwarded-for, x-request-id, host, traceparent\r\n\r\n",
    )
    .await;
    assert_eq!(raw.answer().await.status, 200);
    let seen = world.virginia.last();
    for ours in
        ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-request-id", "traceparent", "host"]
    {
        assert!(seen.header(ours).is_some(), "{ours} is missing");
    }
}

#[tokio::test]
async fn fields_of_the_upstreams_connection_stay_on_it() {
    let world = World::new().await;
    let answer = Answer::new(200, FHIR_JSON, record("1"))
        .with("connection", "x-nominated")
        .with("x-nominated", "1")
        .with("keep-alive", "timeout=5")
        .with("x-travels", "1");
    world.virginia.obey(Order::before(Behaviour::Say(answer)));
    let reply = world.client().get("/Patient/1").await;
    assert_eq!((reply.header("x-nominated"), reply.header("keep-alive")), ("", ""));
    assert_eq!(reply.header("x-travels"), "1");
}

#[tokio::test]
async fn the_upstream_is_told_for_whom_and_under_which_id() {
    let world = World::new().await;
    let mut client = world.client();
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let request = Request::get("/Patient/1")
        .header("x-forwarded-for", "192.0.2.7")
        .header("x-forwarded-host", "forged.example")
        .header("x-request-id", "ward-7.42")
        .header("traceparent", trace);
    let reply = client.send(request.body(Bytes::new()).unwrap()).await.unwrap();
    let seen = world.virginia.last();
    assert_eq!(seen.header("x-forwarded-for"), Some("192.0.2.7, 127.0.0.1"));
    assert_eq!(seen.header("x-forwarded-host"), Some("aorta.test"));
    assert_eq!(seen.header("x-forwarded-proto"), Some("http"));
    assert_eq!((seen.header("x-request-id"), reply.header("x-request-id")), (Some("ward-7.42"), "ward-7.42"));
    assert!(seen.header("traceparent").is_some_and(|sent| sent.starts_with(&trace[..35])), "the same trace");
    let deadline: u128 = seen.header("x-request-deadline").unwrap().parse().unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    assert!(deadline > now && deadline < now + 7000, "{deadline} at {now}");
    let made = client.get("/Patient/2").await;
    assert_eq!(world.ohio.last().header("x-request-id"), Some(made.header("x-request-id")));
    assert!(made.header("x-request-id").len() >= 16 && !made.header("server-timing").is_empty());
}

#[tokio::test]
async fn each_attempt_bears_its_own_upstreams_host_and_base_path() {
    for speech in [Speech::Plain, Speech::Http1, Speech::Http2] {
        let world = World::with(speech, |setup, _| setup).await;
        world.virginia.obey(Order::before(Behaviour::Say(throttled())));
        let reply = world.client().get("/Patient/1?_format=json").await;
        assert_eq!((reply.status, reply.attempts()), (200, 2));
        let (first, second) = (world.virginia.last(), world.ohio.last());
        assert_eq!(first.header("host"), Some(&*world.virginia.authority()), "{speech:?}");
        assert_eq!(second.header("host"), Some(&*world.ohio.authority()), "{speech:?}");
        assert_eq!(first.target, "/Server1/Patient/1?_format=json");
        assert_eq!(second.target, "/Server2/Patient/1?_format=json");
        assert_eq!(world.client().get("/").await.status, 200);
        assert_eq!(world.ohio.last().target, "/Server2", "the root of the stage is the stage");
    }
}

#[tokio::test]
async fn a_secret_header_goes_to_its_own_upstream_only_and_replaces_the_clients() {
    let authority = Authority::new();
    let virginia = Upstream::start("virginia", Speech::Http1, &authority);
    let ohio = Upstream::start("ohio", Speech::Http1, &authority);
    let setup = Setup::new(&[&virginia, &ohio]).upstream(1, "headers: {x-api-key: {env: OHIO_KEY}}");
    let proxy = Proxy::start_with(&setup.yaml(), &[("OHIO_KEY", "from-the-environment")]).await;
    let mut client = Client::new(proxy.target());
    for _ in 0..2 {
        let read = Request::get("/Patient/1").header("x-api-key", "the-clients").body(Bytes::new()).unwrap();
        assert_eq!(client.send(read).await.unwrap().status, 200);
    }
    assert_eq!(virginia.last().header("x-api-key"), Some("the-clients"));
    let keys = ohio.last().headers.into_iter().filter(|(name, _)| name == "x-api-key");
    assert_eq!(keys.map(|(_, value)| value).collect::<Vec<_>>(), ["from-the-environment"]);
}

#[tokio::test]
async fn what_has_no_body_gets_none() {
    let world = World::new().await;
    let mut raw = Raw::connect(world.proxy.address()).await;
    raw.send("HEAD /Patient/1 HTTP/1.1\r\nhost: aorta.test\r\n\r\n").await;
    let head = raw.head().await;
    assert_eq!((head.status, head.header("content-length")), (200, &*record("1").len().to_string()));
    for status in [204, 304] {
        let order = Order::before(Behaviour::Say(Answer::new(status, FHIR_JSON, "")));
        world.virginia.obey(order.clone());
        world.ohio.obey(order);
        raw.send("GET /Patient/1 HTTP/1.1\r\nhost: aorta.test\r\n\r\n").await;
        assert_eq!(raw.answer().await.status, status);
    }
    world.virginia.heal();
    world.ohio.heal();
    raw.send("GET /Patient/2 HTTP/1.1\r\nhost: aorta.test\r\n\r\n").await;
    assert_eq!(raw.answer().await.body, record("2"), "the connection is still in step");
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let world = World::new().await;
    let mut raw = Raw::connect(world.proxy.address()).await;
    let read = |name: &str| format!("GET /Patient/{name} HTTP/1.1\r\nhost: aorta.test\r\n\r\n");
    raw.send(["a", "b", "c"].map(read).concat()).await;
    for name in ["a", "b", "c"] {
        let answer = raw.answer().await;
        assert_eq!((answer.status, answer.body), (200, record(name).to_vec()));
    }
}

#[tokio::test]
async fn a_client_over_http2_and_tls_is_told_apart_by_scheme() {
    let world =
        World::with(Speech::Http1, |setup, authority| setup.tls(&authority.files("aorta.test"))).await;
    for http2 in [true, false] {
        let mut client = Client::new(world.proxy.tls_target(&world.authority, http2));
        for _ in 0..2 {
            let reply = client.get("/Patient/1").await;
            assert_eq!((reply.status, reply.body), (200, record("1")));
        }
    }
    for seen in &world.virginia.ledger().seen {
        assert_eq!(
            (seen.header("x-forwarded-proto"), seen.header("x-forwarded-host")),
            (Some("https"), Some("aorta.test"))
        );
    }
}
