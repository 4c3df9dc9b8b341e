//! Compression: by what the client takes, never twice, never what must not be, and off unless it is switched on.

use crate::world::World;
use bytes::Bytes;
use harness::client::{Client, Reply};
use harness::upstream::Speech;
use harness::upstream::answer::FHIR_JSON;
use harness::upstream::script::{Answer, Behaviour, Order};
use http::Request;
use std::io::Read as _;

async fn world() -> World {
    World::with(Speech::Http1, |setup, _| setup.pool("compression", "{enabled: true}")).await
}

fn say(world: &World, answer: &Answer) {
    for upstream in [&world.virginia, &world.ohio] {
        upstream.obey(Order::before(Behaviour::Say(answer.clone())));
    }
}

fn bundle(bytes: usize) -> String {
    let entry = r#"{"resource":{"resourceType":"Patient","birthDate":"1985-04-23"}},"#;
    let entries = entry.repeat(bytes / entry.len() + 1);
    format!(r#"{{"resourceType":"Bundle","type":"searchset","entry":[{}]}}"#, entries.trim_end_matches(','))
}

async fn ask(client: &mut Client, method: &str, fields: &[(&str, &str)]) -> Reply {
    let mut request = Request::builder().method(method).uri("/Patient?name=a");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    client.send(request.body(Bytes::new()).unwrap()).await.unwrap()
}

fn decoded(reply: &Reply) -> Vec<u8> {
    let mut text = Vec::new();
    match reply.header("content-encoding") {
        "gzip" => drop(flate2::read::GzDecoder::new(&reply.body[..]).read_to_end(&mut text).unwrap()),
        "br" => drop(brotli::Decompressor::new(&reply.body[..], 4096).read_to_end(&mut text).unwrap()),
        "zstd" => text = zstd::decode_all(&reply.body[..]).unwrap(),
        _ => text = reply.body.to_vec(),
    }
    text
}

#[tokio::test]
async fn a_client_gets_the_coding_it_takes_and_the_same_record_whether_held_or_streamed() {
    let world = world().await;
    let mut client = world.client();
    for (bytes, chunked) in [(4 << 10, false), (400 << 10, false), (400 << 10, true)] {
        let whole = bundle(bytes);
        say(&world, &Answer { chunked, ..Answer::new(200, FHIR_JSON, whole.clone()).with("etag", "\"7\"") });
        for (accept, coding) in [("gzip", "gzip"), ("br;q=0.9, gzip;q=0.5", "br"), ("gzip, br, zstd", "zstd")]
        {
            let reply = ask(&mut client, "GET", &[("accept-encoding", accept)]).await;
            assert_eq!((reply.status, reply.header("content-encoding")), (200, coding));
            assert!(decoded(&reply) == whole.as_bytes() && reply.body.len() < whole.len() / 4, "{coding}");
            assert_eq!((reply.header("vary"), reply.header("etag")), ("accept-encoding", "W/\"7\""));
            let length = if bytes > 64 << 10 { String::new() } else { reply.body.len().to_string() };
            assert_eq!(reply.header("content-length"), length);
        }
        for accept in ["identity", "gzip;q=0", "deflate"] {
            let reply = ask(&mut client, "GET", &[("accept-encoding", accept)]).await;
            assert_eq!((reply.header("content-encoding"), reply.header("vary")), ("", "accept-encoding"));
            assert_eq!(reply.body, whole);
        }
    }
    assert_eq!(world.virginia.last().header("accept-encoding"), Some("identity"), "answers are judged");
}

#[tokio::test]
async fn what_is_small_coded_already_a_part_or_a_picture_goes_out_as_it_came() {
    let world = world().await;
    let mut client = world.client();
    let text = bundle(4 << 10);
    for answer in [
        Answer::new(200, FHIR_JSON, bundle(100)),
        Answer::new(200, "image/jpeg", text.clone()),
        Answer::new(200, FHIR_JSON, text.clone()).with("content-encoding", "gzip"),
        Answer::new(206, FHIR_JSON, text.clone()).with("content-range", "bytes 0-1/2"),
        Answer::new(200, FHIR_JSON, text.clone()).with("cache-control", "no-transform"),
    ] {
        say(&world, &answer);
        let reply = ask(&mut client, "GET", &[("accept-encoding", "gzip")]).await;
        assert_eq!(reply.body, answer.body, "{:?}", answer.headers);
    }
    say(&world, &Answer::new(200, FHIR_JSON, text.clone()));
    let reply = ask(&mut client, "GET", &[("accept-encoding", "gzip"), ("cookie", "session=1")]).await;
    assert_eq!(reply.body, text, "what a cookie opens is not compressed");
}

#[tokio::test]
async fn head_and_304_tell_of_the_answer_that_get_would_bring() {
    let world = world().await;
    let mut client = world.client();
    say(&world, &Answer::new(200, FHIR_JSON, bundle(4 << 10)).with("etag", "\"7\""));
    let head = ask(&mut client, "HEAD", &[("accept-encoding", "gzip")]).await;
    assert_eq!((head.header("content-length"), head.header("vary")), ("", "accept-encoding"));
    assert_eq!((head.header("etag"), head.body.len()), ("W/\"7\"", 0));
    say(&world, &Answer::new(304, FHIR_JSON, "").with("etag", "\"7\""));
    let same = ask(&mut client, "GET", &[("accept-encoding", "gzip"), ("if-none-match", "W/\"7\"")]).await;
    assert_eq!((same.status, same.header("etag"), same.header("vary")), (304, "W/\"7\"", "accept-encoding"));
    assert_eq!(same.header("content-encoding"), "");
}

#[tokio::test]
async fn without_the_switch_nothing_is_compressed() {
    let world = World::new().await;
    say(&world, &Answer::new(200, FHIR_JSON, bundle(4 << 10)));
    let reply = ask(&mut world.client(), "GET", &[("accept-encoding", "gzip")]).await;
    assert_eq!((reply.body, reply.headers.get("vary")), (bundle(4 << 10).into(), None));
}
