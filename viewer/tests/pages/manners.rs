//! How the viewer behaves on the wire: headers of every answer, what it asks the proxy, when clients leave, how it stops.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::client::{Response, Viewer, within};
use crate::upstream::{Event, Script, Upstream, answer};

const SEED: &str = include_str!("../golden/seed.json");
const SEED_HEADERS: &str = "content-type: application/fhir+json\r\nx-aorta-attempts: 1\r\n\
                            x-aorta-upstream: https://ohio.fhir.example.org/Server2\r\n";

async fn viewer(script: Script) -> (Viewer, Upstream) {
    let upstream = Upstream::start(script).await;
    (Viewer::start(upstream.address, "10s", "").await, upstream)
}

#[tokio::test]
async fn the_patient_page_shows_record_endpoint_time_and_attempts() {
    let (viewer, _upstream) = viewer(answer("200 OK", SEED_HEADERS, SEED)).await;
    let response = viewer.get("/patient?").await;
    assert_eq!(response.status, 200);
    assert!(response.body.contains("<h1>Patient Details</h1>") && response.body.contains("Back to Home"));
    assert_eq!(response.field("name"), Some("John Doe"));
    assert_eq!(response.field("api-details"), Some("https://ohio.fhir.example.org/Server2"));
    assert_eq!(response.field("attempts"), Some("1"));
    let time = response.field("total-time-taken").unwrap();
    assert!(time.ends_with(" ms") || time.ends_with(" s"), "{time}");
}

#[tokio::test]
async fn the_front_page_has_its_title_and_one_button_that_needs_no_script() {
    let (viewer, _upstream) = viewer(answer("200 OK", "", "")).await;
    let page = viewer.get("/").await;
    assert!(page.body.contains("<h1>Centralised Medical Data</h1>"));
    assert!(page.body.contains("<form action=\"/patient\" method=\"get\">"));
    assert_eq!(page.body.matches("<button").count(), 1);
    assert!(!page.body.contains("<script") && !page.body.contains("style="));
}

#[tokio::test]
async fn every_answer_carries_the_security_headers_and_no_server_name() {
    let (viewer, _upstream) = viewer(answer("200 OK", SEED_HEADERS, SEED)).await;
    let mut answers = Vec::new();
    for path in ["/", "/patient", "/style.css", "/icon.svg", "/livez", "/no/such?x=1"] {
        answers.push(viewer.get(path).await);
    }
    for request in ["POST /patient", "DELETE /", "HEAD /", "OPTIONS /no"] {
        let request = format!("{request} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        answers.push(viewer.send(&request).await);
    }
    answers.push(viewer.send("GET / HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n").await);
    for answer in answers {
        let policy = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; \
                      frame-ancestors 'none'";
        assert_eq!(answer.header("content-security-policy"), Some(policy), "{answer:?}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(answer.header("cross-origin-resource-policy"), Some("same-origin"));
        assert!(answer.header("permissions-policy").is_some() && answer.header("server").is_none());
    }
}

#[tokio::test]
async fn an_unknown_path_a_wrong_method_and_a_foreign_name_have_their_pages() {
    let (viewer, _upstream) = viewer(answer("200 OK", "", "")).await;
    let response = viewer.get("/Patient/P1").await;
    assert_eq!(response.status, 404);
    assert!(response.body.contains("Page not found") && !response.body.contains("P1"));
    let response = viewer.send("PUT / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
    assert_eq!((response.status, response.header("allow")), (405, Some("get, head")));
    let response =
        viewer.send("GET /patient HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n").await;
    assert_eq!(response.status, 421);
}

#[tokio::test]
async fn the_proxy_is_asked_for_the_record_as_fhir_with_a_request_id() {
    let (viewer, mut upstream) = viewer(answer("200 OK", SEED_HEADERS, SEED)).await;
    let response = viewer.get("/patient?name=ignored").await;
    let Event::Request(head) = upstream.saw().await else { panic!("no request") };
    assert!(head.starts_with("GET /Patient/P1 HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("accept: application/fhir+json, application/json;q=0.9\r\n"));
    assert!(head.contains(&format!("host: {}\r\n", upstream.address)));
    let id = response.header("x-request-id").unwrap();
    assert!(head.contains(&format!("x-request-id: {id}\r\n")), "{head}");
}

#[tokio::test]
async fn a_connection_that_closes_before_an_answer_costs_the_user_nothing() {
    let closes = Script::Bytes(Vec::new());
    let mut upstream = Upstream::start_with(vec![closes], answer("200 OK", SEED_HEADERS, SEED)).await;
    let response = Viewer::start(upstream.address, "10s", "").await.get("/patient").await;
    assert_eq!((response.status, response.field("name")), (200, Some("John Doe")));
    let (Event::Request(one), Event::Request(two)) = (upstream.saw().await, upstream.saw().await) else {
        panic!("not asked twice")
    };
    assert_eq!(one, two);
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_fetch() {
    let (viewer, mut upstream) = viewer(Script::Hold(Vec::new())).await;
    let mut client = viewer.connect().await;
    client.write_all(b"GET /patient HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    assert!(matches!(upstream.saw().await, Event::Request(_)));
    drop(client);
    assert_eq!(upstream.saw().await, Event::Gone);
}

#[tokio::test]
async fn a_stop_finishes_the_page_in_flight_and_takes_no_new_client() {
    let upstream = Upstream::start(Script::Hold(Vec::new())).await;
    let (address, mut upstream) = (upstream.address, upstream);
    let viewer = Viewer::start(address, "1s", "").await;
    let own = viewer.address;
    let mut client = viewer.connect().await;
    let mut idle = viewer.connect().await;
    client.write_all(b"GET /patient HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    upstream.saw().await;
    let stopped = viewer.stop();
    assert_eq!(Response::read(&mut client).await.status, 504);
    assert_eq!(within(idle.read(&mut [0; 8])).await.unwrap_or(0), 0);
    within(stopped).await.unwrap();
    assert!(tokio::net::TcpStream::connect(own).await.is_err());
}

#[tokio::test]
async fn a_client_beyond_the_limit_waits_for_a_place() {
    let upstream = Upstream::start(answer("200 OK", "", "")).await;
    let viewer = Viewer::start(upstream.address, "10s", "limits: {connections: 1}\n").await;
    let mut first = viewer.connect().await;
    first.write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    within(first.read_u8()).await.unwrap();
    let mut second = viewer.connect().await;
    second.write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.unwrap();
    let early = tokio::time::timeout(std::time::Duration::from_millis(100), second.read_u8()).await;
    assert!(early.is_err(), "served beyond the limit");
    drop(first);
    assert_eq!(within(second.read_u8()).await.unwrap(), b'H');
}

#[tokio::test]
async fn a_head_that_never_ends_is_cut_within_the_request_time() {
    let upstream = Upstream::start(answer("200 OK", "", "")).await;
    let viewer = Viewer::start(upstream.address, "100ms", "limits: {request_time: 200ms}\n").await;
    let mut client = viewer.connect().await;
    client.write_all(b"GET / HTTP/1.1\r\nhost: local").await.unwrap();
    let mut rest = Vec::new();
    within(client.read_to_end(&mut rest)).await.unwrap();
    assert!(!String::from_utf8_lossy(&rest).contains(" 200 "));
}
