use super::*;
use crate::client::{Client, Target};
use crate::eventually;
use answer::{forbidden, record};
use http::Request;
use std::time::{Duration, Instant};

const SPEECHES: [Speech; 3] = [Speech::Plain, Speech::Http1, Speech::Http2];

fn client(upstream: &Upstream, authority: &Authority) -> Client {
    let http2 = upstream.speech == Speech::Http2;
    let protocol: &[u8] = if http2 { b"h2" } else { b"http/1.1" };
    let tls = (upstream.speech != Speech::Plain).then(|| authority.client(&[protocol]));
    Client::new(Target { address: upstream.address(), host: "one.fhir.test".to_owned(), tls, http2 })
}

fn read(name: &str) -> Request<bytes::Bytes> {
    Request::get(format!("/Server1/Patient/{name}")).body(bytes::Bytes::new()).unwrap()
}

#[tokio::test]
async fn it_serves_and_remembers_in_every_speech() {
    let authority = Authority::new();
    for speech in SPEECHES {
        let upstream = Upstream::start("one", speech, &authority);
        let mut client = client(&upstream, &authority);
        let reply = client.get("/Server1/Patient/17?x=1").await;
        assert_eq!((reply.status, reply.body), (200, record("17")), "{speech:?}");
        let create = Request::post("/Server1/Patient").header("x-marker", "m1");
        let reply = client.send(create.body("{}".into()).unwrap()).await.unwrap();
        assert_eq!((reply.status, &reply.json()["body_len"]), (201, &2.into()));
        let ledger = upstream.ledger();
        assert_eq!(ledger.seen[0].target, "/Server1/Patient/17?x=1");
        assert_eq!(ledger.seen[0].header("host"), Some("one.fhir.test"));
        assert_eq!(ledger.executed["m1"], 1);
        assert_eq!(ledger.connections, 1, "{speech:?} keeps its connection");
    }
}

#[tokio::test]
async fn what_is_ordered_is_what_a_client_sees() {
    let authority = Authority::new();
    for speech in SPEECHES {
        let upstream = Upstream::start("one", speech, &authority);
        let mut client = client(&upstream, &authority);
        for (behaviour, complaint) in [
            (Behaviour::ResetBefore, "no head"),
            (Behaviour::Garbage, "no head"),
            (Behaviour::ResetInside, "a broken body"),
            (Behaviour::Truncate, "a broken body"),
            (Behaviour::TruncateChunked, "a broken body"),
        ] {
            upstream.obey(Order::before(behaviour.clone()));
            let broken = client.send(read("9")).await.expect_err("a fault");
            assert!(broken.starts_with(complaint), "{speech:?} {behaviour:?}: {broken}");
        }
        upstream.obey(Order::before(Behaviour::Say(forbidden())).only(|seen| seen.path().ends_with("/1")));
        assert_eq!(client.send(read("1")).await.unwrap().header("x-amzn-errortype"), "ForbiddenException");
        assert_eq!(client.send(read("2")).await.unwrap().status, 200);
        upstream.obey(Order::before(Behaviour::Slow(Duration::from_millis(150))));
        assert!(client.send(read("3")).await.unwrap().took >= Duration::from_millis(150));
    }
}

#[tokio::test]
async fn it_can_refuse_freeze_go_deaf_and_come_back() {
    let authority = Authority::new();
    let upstream = Upstream::start("one", Speech::Http1, &authority);
    let mut one = client(&upstream, &authority);
    assert_eq!(one.get("/Patient/1").await.status, 200);
    upstream.refuse().await;
    assert!(one.send(read("1")).await.is_err());
    let refused = one.send(read("1")).await.expect_err("nobody listens");
    assert!(refused.starts_with("no connection"), "{refused}");
    upstream.heal();
    assert_eq!(one.get("/Patient/1").await.status, 200);
    upstream.freeze();
    let start = Instant::now();
    let thaw = async {
        eventually::found("a moment passes", || (start.elapsed().as_millis() > 200).then_some(())).await;
        upstream.heal();
    };
    let (reply, ()) = tokio::join!(one.send(read("1")), thaw);
    assert!(reply.unwrap().took.as_millis() >= 150);
    for door in [Door::Mute, Door::Deaf] {
        upstream.door(door);
        let mut late = client(&upstream, &authority);
        let silence = tokio::time::timeout(Duration::from_millis(200), late.send(read("1"))).await;
        assert!(silence.is_err(), "{door:?} says nothing");
    }
    upstream.heal();
    assert_eq!(client(&upstream, &authority).get("/Patient/1").await.status, 200);
}
