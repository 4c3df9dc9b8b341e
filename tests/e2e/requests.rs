//! Malformed requests: each is refused with a defined status, the connection's fate is defined, nothing panics,
//! and no upstream sees anything.

use crate::world::World;
use harness::raw::Raw;
use harness::upstream::Speech;
use std::time::Duration;

const GOOD: &str = "GET /Patient/good HTTP/1.1\r\nhost: aorta.test\r\n\r\n";

/// Sends a request; it must be answered with one of these, and then the connection is closed or still in step.
async fn refused(world: &World, request: impl AsRef<[u8]>, statuses: &[u16]) {
    let shown = String::from_utf8_lossy(request.as_ref()).chars().take(120).collect::<String>();
    let before = world.seen();
    let mut raw = Raw::connect(world.proxy.address()).await;
    raw.send(&request).await;
    let answer = raw.answer().await;
    assert!(
        statuses.contains(&answer.status),
        "{shown:?} got {} instead of {statuses:?}\n{}",
        answer.status,
        answer.head
    );
    assert!(answer.complete, "{shown:?}: a whole answer");
    assert_eq!(world.seen(), before, "{shown:?} reached an upstream");
    if answer.header("connection").eq_ignore_ascii_case("close") {
        assert!(raw.closes_within(Duration::from_secs(5)).await, "{shown:?}: the connection is not closed");
    } else {
        raw.send(GOOD).await;
        assert_eq!(raw.answer().await.status, 200, "{shown:?}: the connection is neither closed nor in step");
    }
}

async fn all_refused(statuses: &[u16], requests: &[&str]) {
    let world = World::new().await;
    for request in requests {
        refused(&world, request, statuses).await;
    }
    assert_eq!(world.client().get("/Patient/1").await.status, 200);
}

fn with_fields(fields: &str) -> String {
    format!("POST /Patient HTTP/1.1\r\nhost: aorta.test\r\n{fields}\r\n\r\n")
}

#[tokio::test]
async fn framing_that_can_be_read_in_two_ways_is_refused() {
    let requests = [
        "content-length: 4\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ncontent-length: 4",
        "content-length: 4\r\ncontent-length: 4",
        "content-length: 4\r\ncontent-length: 5",
        "content-length: 4,4",
        "content-length: +4",
        "content-length: -1",
        "content-length: 4x",
        "content-length: 99999999999999999999",
        "transfer-encoding: chunked, chunked",
        "transfer-encoding: gzip, chunked",
        "transfer-encoding: identity",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
        "transfer-encoding : chunked",
        "content_length: 4",
        "transfer_encoding: chunked",
    ]
    .map(with_fields);
    all_refused(&[400], &requests.each_ref().map(|request| request.as_str())).await;
}

#[tokio::test]
async fn a_body_that_is_not_chunked_as_it_says_is_refused() {
    let chunked = |body: &str| {
        format!("POST /Patient HTTP/1.1\r\nhost: aorta.test\r\ntransfer-encoding: chunked\r\n\r\n{body}")
    };
    let requests = [
        "zz\r\nabcd\r\n0\r\n\r\n",
        "-4\r\nabcd\r\n0\r\n\r\n",
        "4\r\nabcdef\r\n0\r\n\r\n",
        "ffffffffffffffffff\r\n",
    ];
    let requests = requests.map(chunked);
    all_refused(&[400], &requests.each_ref().map(|request| request.as_str())).await;
}

#[tokio::test]
async fn a_request_without_one_sound_host_is_refused() {
    all_refused(
        &[400],
        &[
            "GET /Patient/1 HTTP/1.1\r\n\r\n",
            "GET /Patient/1 HTTP/1.1\r\nhost:\r\n\r\n",
            "GET /Patient/1 HTTP/1.1\r\nhost: a.test\r\nhost: a.test\r\n\r\n",
            "GET /Patient/1 HTTP/1.1\r\nhost: a.test\r\nhost: b.test\r\n\r\n",
            "GET /Patient/1 HTTP/1.1\r\nhost: a.test, b.test\r\n\r\n",
            "GET /Patient/1 HTTP/1.1\r\nhost: a.test/path\r\n\r\n",
            "GET /Patient/1 HTTP/1.1\r\nhost: user@a.test\r\n\r\n",
            "GET /Patient/1 HTTP/1.1\r\nhost: a.test:port\r\n\r\n",
        ],
    )
    .await;
}

#[tokio::test]
async fn a_target_that_is_no_path_is_refused() {
    all_refused(
        &[400],
        &[
            "GET * HTTP/1.1\r\nhost: aorta.test\r\n\r\n",
            "GET Patient HTTP/1.1\r\nhost: aorta.test\r\n\r\n",
            "GET /a b HTTP/1.1\r\nhost: aorta.test\r\n\r\n",
            "GET /\u{e9} HTTP/1.1\r\nhost: aorta.test\r\n\r\n",
            "GET /a\tb HTTP/1.1\r\nhost: aorta.test\r\n\r\n",
            "GET /a\0b HTTP/1.1\r\nhost: aorta.test\r\n\r\n",
            "GET /a\rb HTTP/1.1\r\nhost: aorta.test\r\n\r\n",
            "GET  /Patient/1 HTTP/1.1\r\nhost: aorta.test\r\n\r\n",
            "GET /Patient/1\r\nhost: aorta.test\r\n\r\n",
            "GET /Patient/1 HTTP/3.0\r\nhost: aorta.test\r\n\r\n",
        ],
    )
    .await;
}

#[tokio::test]
async fn a_url_as_target_names_the_host_that_the_host_field_names() {
    let world = World::new().await;
    let mut raw = Raw::connect(world.proxy.address()).await;
    raw.send("GET http://aorta.test/Patient/1?a=b HTTP/1.1\r\nhost: aorta.test\r\n\r\n").await;
    assert_eq!(raw.answer().await.status, 200);
    assert!(world.virginia.last().target.ends_with("/Patient/1?a=b"), "{}", world.virginia.last().target);
    for target in
        ["http://other.test/", "http://u@aorta.test/", "http:///Patient/1", "http://aorta.test\\@other.test/"]
    {
        refused(&world, format!("GET {target} HTTP/1.1\r\nhost: aorta.test\r\n\r\n"), &[400]).await;
    }
}

#[tokio::test]
async fn a_path_that_climbs_or_hides_a_separator_is_refused() {
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: aorta.test\r\n\r\n");
    let paths = [
        "/../Server2/Patient/1",
        "/Patient/../../x",
        "/Patient/./1",
        "/..",
        "/%2e%2e/Server2",
        "/%2E./x",
        "/.%2e/x",
        "/a%2Fb",
        "/a%2fb",
        "/a%5Cb",
        "/a\\b",
        "/a%00b",
        "/a%0d%0ab",
        "/%252e%252e/x",
        "/a%zz",
        "/a%2",
        "/..;x/Server2",
    ];
    let requests = paths.map(get);
    all_refused(&[400], &requests.each_ref().map(|request| request.as_str())).await;
}

#[tokio::test]
async fn a_method_that_is_never_forwarded_is_refused() {
    all_refused(
        &[405],
        &[
            "TRACE /Patient/1 HTTP/1.1\r\nhost: aorta.test\r\n\r\n",
            "BREW /Patient/1 HTTP/1.1\r\nhost: aorta.test\r\n\r\n",
            "get /Patient/1 HTTP/1.1\r\nhost: aorta.test\r\n\r\n",
        ],
    )
    .await;
    all_refused(&[400, 405], &["CONNECT aorta.test:443 HTTP/1.1\r\nhost: aorta.test:443\r\n\r\n"]).await;
    all_refused(&[400], &["G@T /Patient/1 HTTP/1.1\r\nhost: aorta.test\r\n\r\n"]).await;
}

#[tokio::test]
async fn an_old_version_with_a_new_framing_is_refused() {
    all_refused(
        &[400],
        &["POST /Patient HTTP/1.0\r\nhost: aorta.test\r\ntransfer-encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n"],
    )
    .await;
}

#[tokio::test]
async fn a_header_that_is_none_is_refused() {
    let requests =
        ["no-colon", ": no name", "a b: c", " folded: 1", "x: a\0b", "x: a\rb", "x: a\x01b"].map(with_fields);
    all_refused(&[400], &requests.each_ref().map(|request| request.as_str())).await;
    all_refused(&[400], &["GET /Patient/1 HTTP/1.1\nhost: aorta.test\nx: 1\n\n"]).await;
}

#[tokio::test]
async fn what_is_too_long_is_refused_by_its_own_status() {
    let limits = "{body_bytes: 4KiB}";
    let world = World::with(Speech::Http1, |setup, _| setup.listener("limits", limits)).await;
    let get =
        |path: &str, value: &str| format!("GET {path} HTTP/1.1\r\nhost: aorta.test\r\nx: {value}\r\n\r\n");
    refused(&world, get("/Patient/1", &"v".repeat(64 << 10)), &[431]).await;
    refused(&world, get(&format!("/Patient/{}", "p".repeat(10_300)), "1"), &[414]).await;
    refused(&world, with_fields("content-length: 5000"), &[413]).await;
    let chunks = format!("{}0\r\n\r\n", format!("400\r\n{}\r\n", "x".repeat(1024)).repeat(6));
    let chunked = with_fields("transfer-encoding: chunked") + &chunks;
    refused(&world, chunked, &[413]).await;
    let fits = "POST /Patient HTTP/1.1\r\nhost: aorta.test\r\ncontent-length: 4096\r\n\r\n".to_owned();
    let mut raw = Raw::connect(world.proxy.address()).await;
    raw.send(fits + &"x".repeat(4096)).await;
    assert_eq!(raw.answer().await.status, 201);
}

#[tokio::test]
async fn bytes_that_are_no_http_get_an_answer_or_a_closed_connection() {
    let world = World::new().await;
    for bytes in [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".as_slice(),
        b"\0\0\0\0\r\n\r\n",
        b"\r\n\r\n\r\n\r\nhello\r\n\r\n",
        &[0xff; 300],
    ] {
        let mut raw = Raw::connect(world.proxy.address()).await;
        raw.send(bytes).await;
        raw.send("\r\n\r\n").await;
        let answer = raw.answer().await;
        assert!(matches!(answer.status, 0 | 400), "{bytes:?} got {}", answer.status);
        assert!(raw.closes_within(Duration::from_secs(5)).await);
    }
    assert_eq!(world.seen(), 0);
}

#[tokio::test]
async fn a_short_request_is_answered_as_soon_as_it_is_whole() {
    let world = World::new().await;
    refused(&world, "GET / HTTP/1.1\r\n\r\n", &[400]).await;
    let mut raw = Raw::connect(world.proxy.address()).await;
    raw.send("GET / HTTP/1.1\r\nhost:a\r\n\r\n").await;
    assert_eq!(raw.answer().await.status, 200);
}

#[tokio::test]
async fn a_client_that_expects_a_continue_gets_it_before_it_sends() {
    let world = World::new().await;
    let mut raw = Raw::connect(world.proxy.address()).await;
    raw.send(with_fields("content-length: 2\r\nexpect: 100-continue")).await;
    assert_eq!(raw.answer().await.status, 100);
    raw.send("{}").await;
    assert_eq!(raw.answer().await.status, 201);
    assert_eq!(world.virginia.last().body_len, 2);
}

#[tokio::test]
async fn a_refusal_speaks_fhir_and_names_no_inner_address() {
    let world = World::new().await;
    let reply = world.client().get("/a%2Fb").await;
    assert_eq!((reply.status, reply.json()["resourceType"].as_str()), (400, Some("OperationOutcome")));
    let text = String::from_utf8_lossy(&reply.body).into_owned();
    assert!(!text.contains("127.0.0.1") && !text.contains("fhir.test"), "{text}");
}
