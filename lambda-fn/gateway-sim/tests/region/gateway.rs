//! The regular answers: events and replies, refusals, limits, the control port.

use serde_json::{Value, json};

use crate::client::{connect, exchange_h2, exchange_on};
use crate::harness::{HOST, control, control_with, start};

#[tokio::test]
async fn a_request_reaches_the_function_as_a_rest_event() {
    let sim = start("", "").await;
    let headers = "content-type: application/fhir+json\r\nprefer: return=minimal\r\n";
    let path = "/Server1/Patient/echo?name=a%7Cb&name=c";
    let event = sim.send("POST", path, headers, b"{\"x\":1}").await.unwrap().json();
    assert_eq!(event["httpMethod"], "POST");
    assert_eq!(event["path"], "/Patient/echo");
    assert_eq!(event["multiValueQueryStringParameters"]["name"], json!(["a|b", "c"]));
    assert_eq!(event["headers"]["prefer"], "return=minimal");
    assert_eq!(event["body"], "{\"x\":1}");
    assert_eq!(event["requestContext"]["identity"]["sourceIp"], "127.0.0.1");
    assert_eq!(event["requestContext"]["protocol"], "HTTP/1.1");
    assert_eq!(event["requestContext"]["apiId"], "a1");
    let event = exchange_h2(sim.region.address(), sim.tls(b"h2"), path).await.unwrap().json();
    assert_eq!(
        (&event["headers"]["host"], &event["requestContext"]["protocol"]),
        (&json!(HOST), &json!("HTTP/2"))
    );
    sim.region.stop().await;
}

#[tokio::test]
async fn a_reply_reaches_the_client_as_the_function_meant_it() {
    let sim = start("", "").await;
    let reply = sim.get("/Server1/binary").await.unwrap();
    assert_eq!((&reply.body[..], reply.header("content-type")), (&[0, 255, 7][..], "application/json"));
    let reply = sim.get("/Server1/unauthorised").await.unwrap();
    assert_eq!((reply.status, reply.header("x-amzn-remapped-www-authenticate")), (401, "Bearer"));
    assert!(
        !reply.headers.contains_key("www-authenticate") && !reply.headers.contains_key("x-amzn-errortype")
    );
    let reply = sim.get("/Server1/gone").await.unwrap();
    assert_eq!((reply.status, reply.body.len()), (204, 0));
    let reply = sim.send("HEAD", "/Server1/Patient/1", "", b"").await.unwrap();
    assert_eq!((reply.status, reply.header("content-length")), (200, "35"));
    sim.region.stop().await;
}

#[tokio::test]
async fn one_connection_serves_many_requests() {
    let sim = start("", "").await;
    let mut stream = connect(sim.region.address(), sim.tls(b"http/1.1")).await.unwrap();
    for _ in 0..50 {
        assert_eq!(exchange_on(&mut stream, "GET", "/Server1/Patient/1", "", b"").await.unwrap().status, 200);
    }
    let counters = sim.counters().await;
    assert_eq!((&counters["requests"], &counters["connections"]), (&json!(50), &json!(1)));
    sim.region.stop().await;
}

#[tokio::test]
async fn what_the_gateway_refuses_never_reaches_the_function() {
    let sim = start("", "api_key: secret\nunmapped: ['DELETE /Patient']").await;
    let key = "x-api-key: secret\r\n";
    let long = format!("/Server1/{}", "a".repeat(10_240));
    let cookie = format!("{key}cookie: {}\r\n", "c".repeat(10_300));
    let other_host = format!("{key}host: other.example.org\r\n");
    for (method, path, headers, status, length) in [
        ("GET", "/Server1/Patient/1", "", 403, 23),
        ("GET", "/Server1/Patient/1", "x-api-key: wrong\r\n", 403, 23),
        ("GET", "/Server2/Patient/1", key, 403, 23),
        ("GET", "/", key, 403, 23),
        ("GET", "/Server1/Patient/1", &other_host, 403, 23),
        ("DELETE", "/Server1/Patient/1", key, 403, 42),
        ("GET", "/Server1/Patient?code=a|b", key, 400, 25),
        ("GET", long.as_str(), key, 414, 26),
        ("GET", "/Server1/Patient/1", cookie.as_str(), 431, 45),
        ("GET", "/ping", key, 200, 7),
        ("GET", "/sping", "", 200, 7),
    ] {
        let reply = sim.send(method, path, headers, b"").await.unwrap();
        assert_eq!((reply.status, reply.body.len()), (status, length), "{method} {path:.60}");
    }
    assert_eq!(sim.counters().await["invocations"], 0);
    assert_eq!(sim.send("GET", "/Server1/Patient/1", key, b"").await.unwrap().status, 200);
    sim.region.stop().await;
}

#[tokio::test]
async fn payloads_above_ten_and_events_above_six_megabytes_are_refused() {
    let sim = start("", "").await;
    let json = "content-type: application/json\r\n";
    for (size, status) in [(1024 * 1024, 200), (6 * 1024 * 1024, 413), (10 * 1024 * 1024 + 1, 413)] {
        let reply = sim.send("POST", "/Server1/Patient", json, &vec![b'x'; size]).await.unwrap();
        assert_eq!(reply.status, status, "{size}");
        assert!(status == 200 || reply.text() == r#"{"message":"Request Too Long"}"#);
    }
    assert_eq!(sim.counters().await["executed"], json!({"POST": 1}));
    sim.region.stop().await;
}

#[tokio::test]
async fn the_stages_burst_is_served_and_the_rest_is_429() {
    let sim = start("", "throttle: {rate: 0.001, burst: 3}").await;
    let mut statuses = Vec::new();
    for _ in 0..5 {
        statuses.push(sim.get("/Server1/Patient/1").await.unwrap().status);
    }
    assert_eq!(statuses, [200, 200, 200, 429, 429]);
    sim.region.stop().await;
}

#[tokio::test]
async fn latency_changes_on_order() {
    let sim = start("", "latency: 1ms").await;
    let (status, state) = control(sim.region.control(), "PUT", "/latency", r#"{"millis": 120}"#).await;
    assert_eq!((status, &state["latency_ms"]), (200, &json!(120)));
    let begun = std::time::Instant::now();
    sim.get("/Server1/Patient/1").await.unwrap();
    assert!(begun.elapsed().as_millis() >= 120);
    sim.region.stop().await;
}

#[tokio::test]
async fn the_control_port_tells_its_state_and_refuses_nonsense() {
    let sim = start("", "").await;
    let port = sim.region.control();
    assert_eq!(control(port, "GET", "/healthz", "").await.0, 200);
    let (_, state) = control(port, "GET", "/", "").await;
    assert_eq!((&state["region"], &state["fault"]), (&json!("us-east-1"), &Value::Null));
    for (path, body) in [
        ("/fault", r#"{"kind":"unheard_of"}"#),
        ("/fault", r#"{"kind":"hang","ratio":2}"#),
        ("/fault", "not json"),
        ("/latency", r#"{"seconds":1}"#),
    ] {
        let (status, answer) = control(port, "PUT", path, body).await;
        assert!(status == 400 && answer["error"].is_string(), "{body}: {answer}");
    }
    assert_eq!(control(port, "GET", "/nowhere", "").await.0, 404);
    let order = r#"{"kind":"hang"}"#;
    for forged in ["origin: https://evil.example.org\r\n", "host: evil.example.org\r\n"] {
        assert_eq!(control_with(port, "PUT", "/fault", forged, order).await.0, 400, "{forged}");
    }
    let (_, state) = control(port, "GET", "/", "").await;
    assert_eq!(state["fault"], Value::Null);
    sim.region.stop().await;
}

#[tokio::test]
async fn a_fixed_answer_needs_no_function() {
    let sim = start("", "").await;
    sim.region.stop().await;
    let directory = sim.directory;
    let file = directory.path().join("answer.json");
    std::fs::write(&file, "{}").unwrap();
    let yaml = crate::harness::yaml(directory.path(), "", "");
    let (regular, _) = yaml.split_once("function:").unwrap();
    let yaml =
        format!("{regular}answer: {{file: '{}', content_type: application/fhir+json}}\n", file.display());
    let region =
        aorta_gateway_sim::region::Region::start(serde_yaml::from_str(&yaml).unwrap()).await.unwrap();
    let sim = crate::harness::Sim { region, directory };
    let reply = sim.get("/Server1/Patient/1").await.unwrap();
    assert_eq!(
        (reply.status, reply.text(), reply.header("content-type")),
        (200, "{}", "application/fhir+json")
    );
    assert_eq!(sim.counters().await["executed"], json!({"GET": 1}));
    sim.region.stop().await;
}
