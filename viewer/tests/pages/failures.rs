//! Whatever the proxy does, the user gets a page that says what happened, with the right status, in time.

use crate::client::{Response, Viewer};
use crate::upstream::{Script, Upstream, answer};

const HEADLINE: &str = "<h1>Failed to fetch data from all endpoints</h1>";
const SEED: &str = include_str!("../golden/seed.json");

async fn page_after(script: Script) -> Response {
    page_with_limit(script, "6MiB").await
}

async fn page_with_limit(script: Script, answer_bytes: &str) -> Response {
    let upstream = Upstream::start(script).await;
    let more = format!("limits: {{answer_bytes: {answer_bytes}}}\n");
    Viewer::start(upstream.address, "10s", &more).await.get("/patient").await
}

fn check(response: &Response, status: u16, words: &str) {
    assert_eq!(response.status, status, "{response:?}");
    assert!(response.body.contains(HEADLINE) && response.body.contains(words), "{words}: {response:?}");
    assert!(response.body.contains("Try again") && response.field("request-id").is_some());
}

#[tokio::test]
async fn a_proxy_that_is_down_is_a_502_page() {
    let address = Upstream::start(answer("200 OK", "", "")).await.address;
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    assert_ne!(address, free);
    let response = Viewer::start(free, "10s", "").await.get("/patient").await;
    check(&response, 502, "could not be reached");
}

#[tokio::test]
async fn a_proxy_that_never_answers_is_a_504_page_within_the_time_out() {
    for sent in ["", "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"resourceType\":"] {
        let upstream = Upstream::start(Script::Hold(sent.into())).await;
        let response = Viewer::start(upstream.address, "200ms", "").await.get("/patient").await;
        check(&response, 504, "too long");
    }
}

#[tokio::test]
async fn every_error_status_has_its_page_status_and_words() {
    let outcome =
        "{\"resourceType\":\"OperationOutcome\",\"issue\":[{\"diagnostics\":\"internal 10.0.0.7\"}]}";
    let cases = [
        ("500 Internal Server Error", 502, "with an error"),
        ("502 Bad Gateway", 502, "with an error"),
        ("503 Service Unavailable", 503, "can answer at the moment"),
        ("504 Gateway Timeout", 504, "too long"),
        ("429 Too Many Requests", 503, "too many requests"),
        ("403 Forbidden", 502, "did not accept"),
        ("401 Unauthorized", 502, "did not accept"),
        ("302 Found", 502, "with an error"),
        ("418 I'm a teapot", 502, "with an error"),
    ];
    for (line, status, words) in cases {
        for body in [outcome, "<html>stack trace 10.0.0.7</html>", ""] {
            let response = page_after(answer(line, "", body)).await;
            check(&response, status, words);
            assert!(!response.body.contains("10.0.0.7"), "{response:?}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_no_record_is_a_502_page() {
    let deep = "[".repeat(10_000);
    let bodies =
        ["", "null", "[]", "\"x\"", "{\"resourceType\":5}", "{\"resourceType\":\"Patient\"", "<html>", &deep];
    for body in bodies {
        check(&page_after(answer("200 OK", "", body)).await, 502, "not a health record");
    }
    let binary = Script::Bytes(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n\xff\xfe\x00\x01".to_vec());
    check(&page_after(binary).await, 502, "not a health record");
    check(
        &page_after(answer("200 OK", "content-encoding: gzip\r\n", SEED)).await,
        502,
        "not a health record",
    );
}

#[tokio::test]
async fn an_outcome_inside_a_success_is_a_failure() {
    let outcome = "{\"resourceType\":\"OperationOutcome\"}";
    check(&page_after(answer("200 OK", "", outcome)).await, 502, "with an error");
}

#[tokio::test]
async fn garbage_and_broken_answers_are_502_pages() {
    let long_head = format!("HTTP/1.1 200 OK\r\nx: {}", "a".repeat(1 << 20));
    let scripts =
        ["", "not http at all\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n{\"a\"", &long_head];
    for bytes in scripts {
        check(&page_after(Script::Bytes(bytes.into())).await, 502, "broke off");
    }
}

#[tokio::test]
async fn an_oversized_answer_is_a_502_page_whether_or_not_it_names_its_length() {
    let body = format!("{{\"resourceType\":\"Patient\",\"x\":\"{}\"}}", "a".repeat(4096));
    let head = "HTTP/1.1 200 OK\r\n\r\n";
    for script in [answer("200 OK", "", &body), Script::Bytes(format!("{head}{body}").into_bytes())] {
        check(&page_with_limit(script, "4KiB").await, 502, "larger than");
    }
}

#[tokio::test]
async fn a_record_that_is_not_there_is_a_404_page() {
    let response = page_after(answer("404 Not Found", "", "{\"resourceType\":\"OperationOutcome\"}")).await;
    assert_eq!(response.status, 404);
    assert!(response.body.contains("<h1>No record found</h1>"));
    let response = page_after(answer("410 Gone", "", "")).await;
    assert_eq!(response.status, 410);
    assert!(response.body.contains("<h1>Record deleted</h1>"));
}

#[tokio::test]
async fn a_record_of_another_type_is_named_and_not_shown() {
    let body = "{\"resourceType\":\"Obs<b>\",\"id\":\"secret\"}";
    let response = page_after(answer("200 OK", "", body)).await;
    assert_eq!(response.status, 404);
    assert!(response.body.contains("The record is of type Obs&#60;b&#62;, not a Patient."), "{response:?}");
    assert!(!response.body.contains("secret"));
}

#[tokio::test]
async fn the_failure_page_quotes_the_request_id_the_proxy_logged() {
    let response = page_after(answer("503 Service Unavailable", "x-request-id: abc-123\r\n", "")).await;
    assert_eq!(response.field("request-id"), Some("abc-123"));
    assert_eq!(response.header("x-request-id"), Some("abc-123"));
}

#[tokio::test]
async fn the_failure_page_tells_how_many_endpoints_were_tried() {
    let response =
        page_after(answer("503 Service Unavailable", "x-aorta-attempts: 2\r\nretry-after: 7\r\n", "")).await;
    assert_eq!(response.field("attempts"), Some("2"));
    assert_eq!(response.header("retry-after"), Some("7"));
}

#[tokio::test]
async fn only_a_plain_retry_after_is_passed_on() {
    for value in ["soon", "-1", "99999999999"] {
        let headers = format!("retry-after: {value}\r\n");
        let response = page_after(answer("503 Service Unavailable", &headers, "")).await;
        assert_eq!(response.header("retry-after"), None, "{value}");
    }
}
