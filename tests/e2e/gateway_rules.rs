//! API Gateway's rules of input: what it does not take is made fit, or answered before it is sent.

use crate::world::World;
use bytes::Bytes;
use harness::raw::Raw;
use harness::upstream::Speech;
use harness::upstream::answer::outcome;
use harness::upstream::ledger::hash;
use harness::upstream::script::{Behaviour, Order};
use http::Request;

#[tokio::test]
async fn a_token_search_arrives_as_it_was_meant() {
    let world = World::new().await;
    let mut raw = Raw::connect(world.proxy.address()).await;
    let query = "identifier=urn:s|1;2&name={x}&_format=application/fhir+json&given=a+b%7C";
    raw.send(format!("GET /Patient?{query} HTTP/1.1\r\nhost: aorta.test\r\n\r\n")).await;
    assert_eq!(raw.answer().await.status, 200);
    let sent = "identifier=urn:s%7C1%3B2&name=%7Bx%7D&_format=application/fhir%2Bjson&given=a+b%7C";
    assert_eq!(world.virginia.last().target, format!("/Server1/Patient?{sent}"));
}

#[tokio::test]
async fn a_search_too_long_for_a_gateway_goes_out_by_post_and_is_still_rescued() {
    let world = World::new().await;
    world.virginia.obey(Order::before(Behaviour::ResetBefore));
    let query = format!("identifier={}&name=a|b", ["urn:s%7C12345678"; 600].join(","));
    assert!((9 << 10..10 << 10).contains(&query.len()), "{}", query.len());
    let reply = world.client().get(&format!("/Patient?{query}")).await;
    assert_eq!(
        (reply.status, reply.attempts(), reply.upstream()),
        (201, 2, "ohio"),
        "a search is safe by POST too"
    );
    let seen = world.ohio.last();
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("POST", "/Server2/Patient/_search"));
    assert_eq!(seen.header("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(seen.body_hash, hash(query.replace('|', "%7C").as_bytes()));
}

#[tokio::test]
async fn a_search_goes_out_by_post_also_when_a_large_token_leaves_it_no_room() {
    let world = World::new().await;
    let token = "t".repeat(7 << 10);
    let path = format!("/Patient?identifier={}", "1".repeat(3 << 10));
    let request = Request::get(path).header("authorization", format!("Bearer {token}"));
    let reply = world.client().send(request.body(Bytes::new()).unwrap()).await.unwrap();
    assert_eq!((reply.status, world.virginia.last().method.as_str()), (201, "POST"));
    let plain = World::with(Speech::Http1, |setup, _| setup.pool("dialect", "http")).await;
    let path = format!("/Patient?identifier={}", "1".repeat(9 << 10));
    assert_eq!(plain.client().get(&path).await.status, 200);
    assert_eq!(plain.virginia.last().method, "GET", "another server may take it");
}

#[tokio::test]
async fn a_head_or_body_that_no_gateway_takes_is_answered_before_it_is_sent() {
    let world = World::new().await;
    let before = world.seen();
    let large =
        Request::get("/Patient/1").header("authorization", "t".repeat(10_300)).body(Bytes::new()).unwrap();
    assert_eq!(world.client().send(large).await.unwrap().status, 431);
    let mut raw = Raw::connect(world.proxy.address()).await;
    let length = (6 << 20) + 1;
    raw.send(format!("POST /Patient HTTP/1.1\r\nhost: aorta.test\r\ncontent-length: {length}\r\n\r\n")).await;
    let refused = raw.answer().await;
    assert_eq!(refused.status, 413);
    assert!(String::from_utf8_lossy(&refused.body).contains("OperationOutcome"));
    assert_eq!(world.seen(), before);
}

#[tokio::test]
async fn the_challenge_that_a_gateway_renames_has_its_name_again() {
    let world = World::new().await;
    let denied = outcome(401, "login").with("x-amzn-remapped-www-authenticate", "Bearer realm=\"ehr\"");
    world.virginia.obey(Order::before(Behaviour::Say(denied)));
    let reply = world.client().get("/Patient/1").await;
    assert_eq!((reply.status, reply.header("www-authenticate")), (401, "Bearer realm=\"ehr\""));
    assert!(!reply.headers.contains_key("x-amzn-remapped-www-authenticate"));
}
