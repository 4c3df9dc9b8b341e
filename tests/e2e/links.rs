//! Links: whatever an upstream calls itself, its links lead back through the proxy; every other byte of an answer
//! stays; and a page comes from the upstream that knows its search.

use crate::world::World;
use bytes::Bytes;
use harness::client::Client;
use harness::eventually::BOUND;
use harness::upstream::answer::FHIR_JSON;
use harness::upstream::script::{Answer, Behaviour, Order};
use harness::upstream::{Speech, Upstream};
use http::Request;
use std::time::Instant;

const FHIR_ROUTE: &str =
    r#"  - {name: ehr, match: {path_prefix: /fhir}, pool: records, strip_prefix: /fhir}"#;

/// A page of a search as a server writes it that calls itself `base`; `padding` makes it longer than any hold.
fn page(base: &str, padding: usize) -> String {
    let filler = format!(
        r#"{{"fullUrl":"{base}/Patient/x","resource":{{"resourceType":"Patient","n":1.10e2,"text":"{base} \"}}\\"}}}},"#
    );
    format!(
        r#"{{ "resourceType" : "Bundle","type":"searchset","total":1.10, "total":1e2,
  "link":[{{"relation":"self","url":"{base}/Patient?name=a%7Cb"}},{{"relation":"next","url":"{base}/Patient?_getpages=7"}}],
  "entry":[{}{{"fullUrl":"{base}/Patient/1","resource":{{"resourceType":"Patient","id":"1","implicitRules":"{base}/x"}},
   "response":{{"status":"200","location":"{base}/Patient/1/_history/1"}}}}]}}"#,
        filler.repeat(padding / filler.len())
    )
}

/// What the client must get of it: links at its own base, a record's own text as it is.
fn expected(written: &str, base: &str, client: &str, mark: &str) -> String {
    let mut text = written.to_owned();
    for place in [r#""url":""#, r#""fullUrl":""#, r#""location":""#] {
        text = text.replace(&format!("{place}{base}"), &format!("{place}{client}"));
    }
    text.replace("_getpages=7", &format!("_getpages=7{mark}"))
}

fn say(upstream: &Upstream, answer: &Answer) {
    upstream
        .obey(Order::before(Behaviour::Say(answer.clone())).only(|seen| seen.path() != "/Server1/metadata"));
}

/// The mark on the link to the next page.
fn mark(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body).into_owned();
    let start = text.find("_aorta=").expect("the next link is marked");
    text[start..].split('"').next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_searchs_links_lead_back_through_the_proxy_and_every_other_byte_stays() {
    for (speech, tls) in [(Speech::Plain, false), (Speech::Http1, true), (Speech::Http2, true)] {
        let world = World::with(speech, |setup, authority| {
            let setup = if tls { setup.tls(&authority.files("aorta.test")) } else { setup };
            setup.pool("paging", "any").routes(FHIR_ROUTE)
        })
        .await;
        let (target, client) = match tls {
            true => {
                (world.proxy.tls_target(&world.authority, speech == Speech::Http2), "https://aorta.test/fhir")
            }
            false => (world.proxy.target(), "http://aorta.test/fhir"),
        };
        let own = world.virginia.url("/Server1");
        // As it is configured, by the other scheme, and by the client's host with the scheme of a gateway.
        for base in [
            own.clone(),
            own.replace("https:", "http:"),
            "https://aorta.test/fhir".into(),
            "http://aorta.test/Server1".into(),
        ] {
            for (padding, chunked) in [(0, false), (300 << 10, false), (300 << 10, true)] {
                let written = page(&base, padding);
                let answer = Answer { chunked, ..Answer::new(200, FHIR_JSON, written.clone()) };
                say(&world.virginia, &answer);
                world.ohio.obey(Order::before(Behaviour::ResetBefore));
                let reply = Client::new(target.clone()).get("/fhir/Patient?name=a").await;
                let wanted = expected(&written, &base, client, "");
                assert!(
                    reply.body == wanted,
                    "{base}, {padding}, {chunked}: {}",
                    String::from_utf8_lossy(&reply.body[..900.min(reply.body.len())])
                );
                assert_eq!(world.virginia.last().header("x-forwarded-prefix"), Some("/fhir"));
            }
        }
    }
}

#[tokio::test]
async fn the_place_of_what_was_made_is_told_in_the_clients_words() {
    let world = World::with(Speech::Http1, |setup, _| setup.routes(FHIR_ROUTE)).await;
    let base = world.virginia.url("/Server1");
    let made = Answer::new(201, FHIR_JSON, r#"{"resourceType":"Patient","id":"1"}"#)
        .with("location", &format!("{base}/Patient/1/_history/1"))
        .with("content-location", "/Server1/Patient/1");
    say(&world.virginia, &made);
    let reply = world.client().post("/fhir/Patient", "{}").await;
    assert_eq!(reply.header("location"), "http://aorta.test/fhir/Patient/1/_history/1");
    assert_eq!(reply.header("content-location"), "/fhir/Patient/1");
    assert_eq!(reply.header("x-intermediary"), "", "the body is as it came");
    let elsewhere =
        Answer::new(201, FHIR_JSON, "{}").with("location", "https://elsewhere.example/Server1/Patient/1");
    say(&world.ohio, &elsewhere);
    let reply = world.client().post("/fhir/Patient", "{}").await;
    assert_eq!(reply.header("location"), "https://elsewhere.example/Server1/Patient/1");
}

#[tokio::test]
async fn what_is_told_of_a_changed_body_fits_it() {
    let world = World::new().await;
    for upstream in [&world.virginia, &world.ohio] {
        let base = upstream.url(if upstream.name() == "virginia" { "/Server1" } else { "/Server2" });
        let answer =
            Answer::new(200, FHIR_JSON, page(&base, 0)).with("etag", "\"5\"").with("content-md5", "x");
        say(upstream, &answer);
    }
    let mut client = world.client();
    let read = client.get("/Patient?name=a").await;
    assert_eq!(read.header("content-length"), read.body.len().to_string());
    assert_eq!((read.header("etag"), read.header("content-md5")), ("W/\"5\"", ""));
    assert_eq!(read.header("x-intermediary"), "aorta");
    let head = Request::head("/Patient?name=a").body(Bytes::new()).unwrap();
    let head = client.send(head).await.unwrap();
    assert_eq!((head.header("content-length"), head.header("etag")), ("", "W/\"5\""));
    for upstream in [&world.virginia, &world.ohio] {
        say(upstream, &Answer::new(304, FHIR_JSON, "").with("etag", "\"5\""));
    }
    let again =
        Request::get("/Patient?name=a").header("if-none-match", "W/\"5\"").body(Bytes::new()).unwrap();
    let again = client.send(again).await.unwrap();
    assert_eq!((again.status, again.header("etag")), (304, "W/\"5\""));
    assert_eq!(
        world.ohio.last().header("if-none-match").or(world.virginia.last().header("if-none-match")),
        Some("W/\"5\"")
    );
    world.virginia.heal();
    world.ohio.heal();
    let record = client.get("/Patient/1").await;
    let head = client.send(Request::head("/Patient/1").body(Bytes::new()).unwrap()).await.unwrap();
    assert_eq!(head.header("content-length"), record.body.len().to_string(), "a record stays as it is");
    assert_eq!(head.header("etag"), record.header("etag"));
}

#[tokio::test]
async fn a_page_comes_from_the_upstream_that_made_its_link_and_the_mark_stays_with_the_proxy() {
    let world = World::new().await;
    for (upstream, base) in [(&world.virginia, "/Server1"), (&world.ohio, "/Server2")] {
        say(upstream, &Answer::new(200, FHIR_JSON, page(&upstream.url(base), 0)));
    }
    let mut client = world.client();
    for _ in 0..2 {
        let first = client.get("/Patient?name=a").await;
        let (maker, mark) = (first.upstream().to_owned(), mark(&first.body));
        let base =
            if maker == "virginia" { world.virginia.url("/Server1") } else { world.ohio.url("/Server2") };
        assert_eq!(first.body, expected(&page(&base, 0), &base, "http://aorta.test", &format!("&{mark}")));
        for _ in 0..5 {
            let next = client.get(&format!("/Patient?_getpages=7&{mark}")).await;
            assert_eq!((next.status, next.upstream()), (200, &*maker));
            let seen = if maker == "virginia" { world.virginia.last() } else { world.ohio.last() };
            assert!(seen.target.ends_with("/Patient?_getpages=7"), "{}", seen.target);
        }
    }
}

#[tokio::test]
async fn a_page_whose_upstream_is_out_is_gone_in_fhirs_words_and_a_new_search_is_served() {
    let world = World::with(Speech::Http1, |setup, _| {
        setup.pool("passive_health", "{ejection: 60s, ejection_max: 60s}")
    })
    .await;
    say(&world.virginia, &Answer::new(200, FHIR_JSON, page(&world.virginia.url("/Server1"), 0)));
    let mut client = world.client();
    let first = client.get("/Patient?name=a").await;
    assert_eq!(first.upstream(), "virginia");
    let next = format!("/Patient?_getpages=7&{}", mark(&first.body));
    world.virginia.refuse().await;
    let start = Instant::now();
    let gone = loop {
        let reply = client.get(&next).await;
        if reply.status == 410 {
            break reply;
        }
        assert!(reply.status == 502 && start.elapsed() < BOUND, "{}", reply.status);
    };
    assert_eq!(gone.json()["issue"][0]["code"], "not-found");
    assert_eq!(client.get("/Patient?name=a").await.status, 200, "the other one serves");
    assert_eq!(client.get("/Patient?_getpages=7&_aorta=0000000000000000").await.status, 410, "nobody's page");
}

#[tokio::test]
async fn inside_one_data_domain_another_upstream_continues_the_search() {
    let world = World::with(Speech::Http1, |setup, _| {
        setup.upstream(0, "data_domain: one").upstream(1, "data_domain: one")
    })
    .await;
    for (upstream, base) in [(&world.virginia, "/Server1"), (&world.ohio, "/Server2")] {
        say(upstream, &Answer::new(200, FHIR_JSON, page(&upstream.url(base), 0)));
    }
    let mut client = world.client();
    let first = client.get("/Patient?name=a").await;
    assert_eq!(first.upstream(), "virginia");
    world.virginia.refuse().await;
    for _ in 0..6 {
        let next = client.get(&format!("/Patient?_getpages=7&{}", mark(&first.body))).await;
        assert_eq!((next.status, next.upstream()), (200, "ohio"));
    }
}

#[tokio::test]
async fn a_pool_that_speaks_no_fhir_is_left_alone() {
    let world = World::with(Speech::Http1, |setup, _| setup.pool("fhir", "false")).await;
    let base = world.virginia.url("/Server1");
    let written = page(&base, 0);
    say(&world.virginia, &Answer::new(200, FHIR_JSON, written.clone()).with("location", &base));
    let reply = world.client().get("/Patient?_aorta=1").await;
    assert_eq!(
        (reply.body, world.virginia.last().target),
        (written.into(), "/Server1/Patient?_aorta=1".to_owned())
    );
    assert_eq!(reply.headers["location"], base.as_str());
}
