//! Every kind of fault, as a client sees it on the wire.

use std::io::ErrorKind;

use aorta_gateway_sim::wire::GARBAGE;
use serde_json::json;

use crate::client::{connect, exchange_h2, exchange_on};
use crate::harness::{BOUND, start};

const PATIENT: &str = r#"{"resourceType":"Patient","id":"1"}"#;
const PATH: &str = "/Server1/Patient/1";

const GATEWAY: &str = "application/json";
const FHIR: &str = "application/fhir+json";

/// Kind, status, error type, media type, body (its start, where no error type says that it is the gateway's), and how
/// often the function runs.
const ANSWERS: [(&str, u16, &str, &str, &str, u64); 14] = [
    ("disabled", 403, "ForbiddenException", GATEWAY, r#"{"message":"Forbidden"}"#, 0),
    ("forbidden", 403, "ForbiddenException", GATEWAY, r#"{"message":"Forbidden"}"#, 0),
    (
        "missing_authentication_token",
        403,
        "MissingAuthenticationTokenException",
        GATEWAY,
        r#"{"message":"Missing Authentication Token"}"#,
        0,
    ),
    ("throttled", 429, "TooManyRequestsException", GATEWAY, r#"{"message":"Too Many Requests"}"#, 0),
    ("quota", 429, "LimitExceededException", GATEWAY, r#"{"message":"Limit Exceeded"}"#, 0),
    (
        "authorizer",
        500,
        "InternalServerErrorException",
        GATEWAY,
        r#"{"message": "Internal server error"}"#,
        0,
    ),
    (
        "bad_gateway",
        502,
        "InternalServerErrorException",
        GATEWAY,
        r#"{"message": "Internal server error"}"#,
        1,
    ),
    (
        "gateway_timeout",
        504,
        "InternalServerErrorException",
        GATEWAY,
        r#"{"message": "Endpoint request timed out"}"#,
        1,
    ),
    ("unavailable", 503, "", FHIR, r#"{"resourceType":"OperationOutcome""#, 0),
    ("internal", 500, "", FHIR, r#"{"resourceType":"OperationOutcome""#, 0),
    ("app_403", 403, "", FHIR, r#"{"resourceType":"OperationOutcome""#, 0),
    ("envelope_500", 200, "", GATEWAY, r#"{"statusCode":500,"#, 0),
    ("lambda_error", 200, "", GATEWAY, r#"{"errorMessage":"#, 0),
    ("html", 200, "", "text/html; charset=utf-8", "<!doctype html>", 0),
];

#[tokio::test]
async fn answers_made_on_order_are_the_catalogues_and_say_whether_the_function_ran() {
    let sim = start("", "").await;
    for (kind, status, error_type, content_type, start_of_body, executed) in ANSWERS {
        crate::harness::control(sim.region.control(), "DELETE", "/counters", "").await;
        sim.fault(json!({"kind": kind})).await;
        for http2 in [false, true] {
            let reply = if http2 {
                exchange_h2(sim.region.address(), sim.tls(b"h2"), PATH).await.unwrap()
            } else {
                sim.get(PATH).await.unwrap()
            };
            let seen = (reply.status, reply.header("x-amzn-errortype"), reply.header("content-type"));
            assert_eq!(seen, (status, error_type, content_type), "{kind} http2={http2}");
            assert!(reply.text().starts_with(start_of_body), "{kind}: {}", reply.text());
            assert!(error_type.is_empty() || reply.text() == start_of_body, "{kind}: {}", reply.text());
            for stamp in ["x-amzn-requestid", "x-amz-apigw-id", "x-amzn-trace-id"] {
                assert!(reply.headers.contains_key(stamp), "{kind}: {stamp}");
            }
        }
        let counters = sim.counters().await;
        assert_eq!(counters["per_fault"][kind], 2, "{kind}: {counters}");
        assert_eq!(
            counters["executed"]["GET"].as_u64().unwrap_or_default(),
            executed * 2,
            "{kind}: {counters}"
        );
    }
    sim.region.stop().await;
}

#[tokio::test]
async fn a_reset_before_the_answer_shows_no_byte() {
    let sim = start("", "").await;
    sim.fault(json!({"kind": "reset_before"})).await;
    let ended = sim.get(PATH).await.unwrap_err();
    assert_eq!((ended.received.len(), ended.error), (0, Some(ErrorKind::ConnectionReset)));
    assert!(exchange_h2(sim.region.address(), sim.tls(b"h2"), PATH).await.is_err());
    assert_eq!(sim.counters().await["executed"], json!({}));
    sim.region.stop().await;
}

#[tokio::test]
async fn a_reset_inside_the_answer_comes_after_the_head_and_half_of_the_body() {
    let sim = start("", "").await;
    sim.fault(json!({"kind": "reset_inside"})).await;
    let ended = sim.get(PATH).await.unwrap_err();
    let received = String::from_utf8(ended.received).unwrap();
    let (head, body) = received.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("content-length: 35"), "{head}");
    assert_eq!((body, ended.error), (&PATIENT[..17], Some(ErrorKind::ConnectionReset)));
    assert!(exchange_h2(sim.region.address(), sim.tls(b"h2"), PATH).await.is_err());
    sim.region.stop().await;
}

#[tokio::test]
async fn a_truncated_answer_ends_with_a_clean_close() {
    let sim = start("", "").await;
    sim.fault(json!({"kind": "truncate"})).await;
    let ended = sim.get(PATH).await.unwrap_err();
    let received = String::from_utf8(ended.received).unwrap();
    assert!(received.contains("content-length: 35") && received.ends_with(&PATIENT[..17]), "{received}");
    assert_eq!(ended.error, None);
    assert!(exchange_h2(sim.region.address(), sim.tls(b"h2"), PATH).await.is_err());
    sim.region.stop().await;
}

#[tokio::test]
async fn an_answer_without_a_body_is_withheld_when_it_would_be_cut() {
    let sim = start("", "").await;
    for (kind, error) in [("reset_inside", Some(ErrorKind::ConnectionReset)), ("truncate", None)] {
        sim.fault(json!({"kind": kind})).await;
        let ended = sim.get("/Server1/gone").await.unwrap_err();
        assert_eq!((ended.received.len(), ended.error), (0, error), "{kind}");
    }
    sim.region.stop().await;
}

#[tokio::test]
async fn garbage_is_no_http() {
    let sim = start("", "").await;
    sim.fault(json!({"kind": "garbage"})).await;
    let ended = sim.get(PATH).await.unwrap_err();
    assert_eq!((&ended.received[..], ended.error), (GARBAGE, None));
    assert!(exchange_h2(sim.region.address(), sim.tls(b"h2"), PATH).await.is_err());
    sim.region.stop().await;
}

#[tokio::test]
async fn a_hanging_region_reads_the_request_and_says_nothing() {
    let sim = start("", "").await;
    sim.fault(json!({"kind": "hang"})).await;
    let mut stream = connect(sim.region.address(), sim.tls(b"http/1.1")).await.unwrap();
    let answer = exchange_on(&mut stream, "GET", PATH, "", b"");
    tokio::select! {
        answer = answer => panic!("it answered: {answer:?}"),
        counters = sim.eventually(|counters| counters["per_fault"]["hang"] == 1) => {
            assert_eq!(counters["invocations"], 0);
        }
    }
    sim.region.stop().await;
}

#[tokio::test]
async fn a_slow_region_gives_the_right_answer_late() {
    let sim = start("", "").await;
    sim.fault(json!({"kind": "slow", "millis": 150})).await;
    let begun = std::time::Instant::now();
    let reply = sim.get(PATH).await.unwrap();
    assert_eq!((reply.status, reply.text()), (200, PATIENT));
    assert!(begun.elapsed().as_millis() >= 150);
    sim.region.stop().await;
}

#[tokio::test]
async fn a_late_execution_writes_and_then_resets() {
    let record = tempfile::NamedTempFile::new().unwrap();
    let sim = start(&format!("environment: {{RECORD: '{}'}}", record.path().display()), "").await;
    sim.fault(json!({"kind": "late_execution"})).await;
    let ended = sim.send("POST", "/Server1/record", "", b"{}").await.unwrap_err();
    assert_eq!((ended.received.len(), ended.error), (0, Some(ErrorKind::ConnectionReset)));
    assert_eq!(std::fs::read(record.path()).unwrap(), b"x");
    assert_eq!(sim.counters().await["executed"], json!({"POST": 1}));
    sim.region.stop().await;
}

#[tokio::test]
async fn a_region_that_refuses_connections_keeps_or_cuts_the_open_ones() {
    let sim = start("", "").await;
    for cut_live in [false, true] {
        let mut open = connect(sim.region.address(), sim.tls(b"http/1.1")).await.unwrap();
        exchange_on(&mut open, "GET", PATH, "", b"").await.unwrap();
        sim.fault(json!({"kind": "refuse_connections", "cut_live": cut_live})).await;
        assert_eq!(sim.get(PATH).await.unwrap_err().error, Some(ErrorKind::ConnectionRefused));
        let second = exchange_on(&mut open, "GET", PATH, "", b"").await;
        assert_eq!(second.is_err(), cut_live, "{second:?}");
        crate::harness::control(sim.region.control(), "DELETE", "/fault", "").await;
        assert_eq!(sim.get(PATH).await.unwrap().status, 200);
    }
    sim.region.stop().await;
}

#[tokio::test]
async fn a_fault_hits_its_share_of_its_paths_and_ends_with_its_order() {
    let sim = start("", "").await;
    sim.fault(json!({"kind": "throttled", "ratio": 0.5, "paths": "/Patient"})).await;
    let mut statuses = Vec::new();
    for path in ["/Server1/Patient/1", "/Server1/metadata", "/Server1/Patient/1", "/Server1/Patient/1"] {
        statuses.push(sim.get(path).await.unwrap().status);
    }
    assert_eq!(statuses, [200, 200, 429, 200]);
    crate::harness::control(sim.region.control(), "DELETE", "/fault", "").await;
    for _ in 0..4 {
        assert_eq!(sim.get("/Server1/Patient/1").await.unwrap().status, 200);
    }
    sim.region.stop().await;
}

#[tokio::test]
async fn a_stopped_region_lets_nobody_wait() {
    let sim = start("", "").await;
    sim.fault(json!({"kind": "hang"})).await;
    let mut stream = connect(sim.region.address(), sim.tls(b"http/1.1")).await.unwrap();
    let address = sim.region.address();
    let answer = exchange_on(&mut stream, "GET", PATH, "", b"");
    let stopping = async {
        sim.eventually(|counters| counters["faulted"] == 1).await;
        sim.region.stop().await;
    };
    let (answer, ()) = tokio::time::timeout(BOUND, async { tokio::join!(answer, stopping) }).await.unwrap();
    assert!(answer.is_err());
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}
