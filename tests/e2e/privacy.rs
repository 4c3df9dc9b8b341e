//! Privacy: whatever a request carries of a patient, no log line, no metric and no error of ours repeats it.

use crate::world::World;
use bytes::Bytes;
use harness::client::Client;
use harness::metrics;
use harness::raw::Raw;
use harness::upstream::Speech;
use harness::upstream::answer::{forbidden, lambda_error, outcome};
use harness::upstream::script::{Behaviour, Order};
use http::Request;
use std::time::Duration;

/// A word that stands in every place where patient data could stand.
const CANARY: &str = "C4n4ryB1rd";

async fn send(client: &mut Client, method: &str, path: &str) -> Vec<u8> {
    let request = Request::builder()
        .method(method)
        .uri(format!("{path}?name={CANARY}&identifier=urn:x%7C{CANARY}"))
        .header("authorization", format!("Bearer {CANARY}"))
        .header("x-api-key", CANARY)
        .header("x-request-id", "walk")
        .header("cookie", format!("session={CANARY}"))
        .header("if-none-exist", format!("identifier={CANARY}"))
        .header("referer", format!("https://ehr.test/{CANARY}"))
        .header("content-type", "application/fhir+json");
    let body = Bytes::from(format!(r#"{{"resourceType":"Patient","id":"{CANARY}"}}"#));
    client.send(request.body(body).unwrap()).await.map(|reply| reply.body.to_vec()).unwrap_or_default()
}

/// Sends requests that are served, rescued, refused and lost, by every kind of end.
async fn walk(world: &World) -> Vec<Vec<u8>> {
    let mut client = world.client();
    let mut errors = Vec::new();
    let behaviours = [
        Behaviour::Serve,
        Behaviour::Say(forbidden()),
        Behaviour::Say(lambda_error()),
        Behaviour::Say(outcome(500, "exception")),
        Behaviour::ResetBefore,
        Behaviour::ResetInside,
        Behaviour::Truncate,
        Behaviour::Garbage,
        Behaviour::Slow(Duration::from_millis(600)),
    ];
    for behaviour in behaviours {
        let served = behaviour == Behaviour::Serve;
        world.virginia.obey(Order::before(behaviour.clone()));
        world.ohio.obey(Order::before(behaviour));
        for method in ["GET", "POST", "PUT"] {
            let body = send(&mut client, method, &format!("/Patient/{CANARY}/{CANARY}")).await;
            if !served {
                errors.push(body);
            }
        }
    }
    world.virginia.refuse().await;
    world.ohio.refuse().await;
    errors.push(send(&mut client, "GET", &format!("/{CANARY}")).await);
    errors.push(send(&mut client, "GET", &format!("/a%2F{CANARY}")).await);
    for bytes in [
        format!("GET /{CANARY} HTTP/1.1\r\nhost: {CANARY} {CANARY}\r\n\r\n"),
        format!("{CANARY} /{CANARY} HTTP/1.1\r\nhost: a.test\r\n\r\n"),
        format!("GET /{CANARY} {CANARY} HTTP/1.1\r\nhost: a.test\r\n{CANARY}: {CANARY}\r\n\r\n"),
        format!("POST /{CANARY} HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked\r\n\r\n{CANARY}\r\n"),
    ] {
        let mut raw = Raw::connect(world.proxy.address()).await;
        raw.send(bytes).await;
        errors.push(raw.answer().await.body);
    }
    errors
}

async fn nothing_repeats_the_canary(level: &str) {
    let mut world = World::with(Speech::Http1, |setup, _| {
        let limit = "{requests: 1000000, key: \"header:x-api-key\"}";
        let setup = setup.routes(&format!("  - {{name: ehr, pool: records, rate_limit: {limit}}}"));
        setup.top("log", &format!("{{level: {level}}}")).pool("timeouts", "{attempt: 300ms, request: 1s}")
    })
    .await;
    let errors = walk(&world).await;
    for error in &errors {
        let text = String::from_utf8_lossy(error);
        assert!(!text.contains(CANARY), "an error body repeats it: {text}");
    }
    let mut told = vec![world.proxy.metrics().text];
    for about in ["pools/records", "pools/records/upstreams/virginia", "requests/walk"] {
        let explained = metrics::get(world.proxy.admin(), &format!("/api/explain/{about}"));
        told.push(explained.unwrap_or_else(|| panic!("{about} is not explained")));
    }
    world.proxy.stop();
    let said = [world.proxy.program.out(), world.proxy.program.err(), told].concat();
    let leak = said.iter().flat_map(|text| text.lines()).find(|line| {
        line.contains(CANARY) || line.to_ascii_lowercase().contains(&CANARY.to_ascii_lowercase())
    });
    assert!(said.iter().any(|line| line.contains("\"access\"")), "the requests left access lines");
    assert_eq!(leak, None);
}

#[tokio::test]
async fn no_patient_data_is_in_any_log_metric_or_error() {
    nothing_repeats_the_canary("info").await;
}

#[tokio::test]
async fn no_patient_data_is_in_the_most_talkative_log_either() {
    nothing_repeats_the_canary("trace").await;
}
