//! A connection whose other end is the test.

use super::*;
use crate::headers::name;
use tokio::io::{AsyncReadExt as _, DuplexStream, duplex};
use tokio::time::{Duration, timeout};

const MAX: usize = 32 * 1024;

/// A client that has sent this.
async fn client_that_sends(text: impl AsRef<[u8]>) -> (Http1<DuplexStream>, DuplexStream) {
    let (ours, mut theirs) = duplex(1 << 20);
    theirs.write_all(text.as_ref()).await.expect("there is room");
    (Http1::new(ours, None), theirs)
}

async fn whole(http1: &mut Http1<DuplexStream>) -> Result<Vec<u8>, Lost> {
    let mut body = Vec::new();
    while let Some(piece) = http1.read_body().await? {
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

fn head(status: u16, fields: &[(HeaderName, &'static str)]) -> Head {
    let fields = fields.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
    let status = StatusCode::from_u16(status).expect("a status");
    Head { status, headers: fields.collect(), said: Vec::new() }
}

/// What went out, without the date.
async fn sent(http1: Http1<DuplexStream>, mut theirs: DuplexStream) -> String {
    drop(http1);
    let mut text = String::new();
    theirs.read_to_string(&mut text).await.expect("text");
    text.lines().filter(|line| !line.starts_with("date: ")).map(|line| format!("{line}\n")).collect()
}

#[tokio::test]
async fn requests_that_come_together_are_taken_one_after_the_other() {
    let text = "POST /a?b HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc\
                POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n0\r\n\r\n\
                GET /f HTTP/1.0\r\n\r\n";
    let (mut http1, theirs) = client_that_sends(text).await;
    for (target, body, keeps) in [("/a?b", &b"abc"[..], true), ("/c", b"de", true), ("/f", b"", false)] {
        assert_eq!(http1.read_head(MAX).await, Ok(true));
        assert_eq!(http1.head().uri, target);
        assert_eq!(whole(&mut http1).await.expect("a body"), body);
        http1.send(&head(200, &[(header::CONTENT_LENGTH, "2")]), b"ok", &[], true).await.expect("sent");
        assert_eq!(http1.finish(), keeps, "{target}");
    }
    drop(theirs);
    assert_eq!(http1.read_head(MAX).await, Ok(false), "the client is done");
}

#[tokio::test]
async fn what_aorta_says_stands_in_place_of_what_the_upstream_said() {
    let (mut http1, theirs) = client_that_sends("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert_eq!(http1.read_head(MAX).await, Ok(true));
    let came = [(name::X_REQUEST_ID.clone(), "theirs"), (header::ETAG, "1"), (header::CONTENT_LENGTH, "0")];
    let mut answer = head(200, &came);
    answer.said.push((name::X_REQUEST_ID.clone(), HeaderValue::from_static("ours")));
    http1.send(&answer, b"", &[], true).await.expect("sent");
    let head = "HTTP/1.1 200 OK\netag: 1\ncontent-length: 0\nx-request-id: ours\nconnection: keep-alive\n\n";
    assert_eq!(sent(http1, theirs).await, head);
}

#[tokio::test]
async fn a_request_is_the_same_however_it_arrives() {
    let text = b"POST /a HTTP/1.1\r\nHost: h\r\nX-Long: 0123456789\r\nTransfer-Encoding: chunked\r\n\r\n\
                 3\r\nabc\r\n0\r\n\r\n";
    for cut in 1..text.len() {
        let (mut http1, mut theirs) = client_that_sends(&text[..cut]).await;
        let rest = text[cut..].to_vec();
        let sending = tokio::spawn(async move {
            tokio::task::yield_now().await;
            theirs.write_all(&rest).await.expect("there is room");
            theirs
        });
        assert_eq!(http1.read_head(MAX).await, Ok(true), "{cut}");
        assert_eq!((http1.head().method.as_str(), http1.head().headers.len()), ("POST", 3));
        assert_eq!(whole(&mut http1).await.expect("a body"), b"abc");
        drop(sending.await);
    }
}

#[tokio::test]
async fn bytes_that_become_no_head_are_refused_before_their_time_is_over() {
    for (text, refusal) in [
        ("\0\0\0", Refusal::BadRequest),
        ("GET / HTTP/1.1\nHost: h\n\n", Refusal::BadRequest),
        ("GET http://other/ HTTP/1.1\r\nHost: h\r\n\r\n", Refusal::BadRequest),
        ("GET http://u@h/ HTTP/1.1\r\nHost: h\r\n\r\n", Refusal::BadRequest),
        ("GET /\r\n", Refusal::BadRequest),
    ] {
        let (mut http1, _theirs) = client_that_sends(text).await;
        assert_eq!(http1.read_head(MAX).await, Err(refusal), "{text:?}");
    }
    for end in ["", "\r\n\r\n"] {
        let long = format!("GET / HTTP/1.1\r\nHost: h\r\nX: {}{end}", "a".repeat(MAX));
        let (mut http1, _theirs) = client_that_sends(long).await;
        assert_eq!(http1.read_head(MAX).await, Err(Refusal::HeaderTooLarge));
    }
}

#[tokio::test]
async fn a_client_that_goes_away_is_noticed_and_one_that_is_early_is_not_taken_for_it() {
    let (mut http1, theirs) = client_that_sends("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert_eq!(http1.read_head(MAX).await, Ok(true));
    drop(theirs);
    timeout(Duration::from_secs(10), http1.gone()).await.expect("it was noticed");
    assert!(!http1.finish());

    let next = "GET /next HTTP/1.1\r\nHost: h\r\n\r\n";
    let (mut http1, mut theirs) = client_that_sends("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert_eq!(http1.read_head(MAX).await, Ok(true));
    theirs.write_all(next.as_bytes()).await.expect("there is room");
    timeout(Duration::from_millis(20), http1.gone()).await.expect_err("it is there");
    http1.send(&head(204, &[]), b"", &[], true).await.expect("sent");
    assert!(http1.finish());
    assert_eq!(http1.read_head(MAX).await, Ok(true));
    assert_eq!(http1.head().uri, "/next");
}

#[tokio::test]
async fn a_body_that_breaks_off_or_is_none_is_told_apart() {
    let post = "POST / HTTP/1.1\r\nHost: h\r\n";
    let (mut http1, theirs) = client_that_sends(format!("{post}Content-Length: 5\r\n\r\nab")).await;
    drop(theirs);
    assert_eq!(http1.read_head(MAX).await, Ok(true));
    assert_eq!(whole(&mut http1).await, Err(Lost::Gone));
    let (mut http1, _theirs) =
        client_that_sends(format!("{post}Transfer-Encoding: chunked\r\n\r\nzz\r\n")).await;
    assert_eq!(http1.read_head(MAX).await, Ok(true));
    assert_eq!(whole(&mut http1).await, Err(Lost::Malformed));
}

#[tokio::test]
async fn an_answer_is_framed_as_its_head_says() {
    type Fields = [(HeaderName, &'static str)];
    type Case = (&'static str, &'static Fields, [&'static [u8]; 2], &'static str, bool);
    let cases: [Case; 5] = [
        (
            "GET / HTTP/1.1",
            &[(header::CONTENT_LENGTH, "4")],
            [b"ab", b"cd"],
            "content-length: 4\nconnection: keep-alive\n\nabcd\n",
            true,
        ),
        (
            "GET / HTTP/1.1",
            &[(header::TRANSFER_ENCODING, "chunked")],
            [b"ab", b""],
            "transfer-encoding: chunked\nconnection: keep-alive\n\n2\nab\n0\n\n",
            true,
        ),
        ("GET / HTTP/1.0", &[], [b"ab", b"cd"], "connection: close\n\nabcd\n", false),
        (
            "HEAD / HTTP/1.1",
            &[(header::CONTENT_LENGTH, "4")],
            [b"", b""],
            "content-length: 4\nconnection: keep-alive\n\n",
            true,
        ),
        // What is missing breaks the connection, and what is too much is not the next answer.
        (
            "GET / HTTP/1.1",
            &[(header::CONTENT_LENGTH, "3")],
            [b"ab", b"cd"],
            "content-length: 3\nconnection: keep-alive\n\nabc\n",
            false,
        ),
    ];
    for (line, fields, [first, second], expected, keeps) in cases {
        let (mut http1, theirs) = client_that_sends(format!("{line}\r\nHost: h\r\n\r\n")).await;
        assert_eq!(http1.read_head(MAX).await, Ok(true));
        http1.send(&head(200, fields), first, &[], false).await.expect("sent");
        http1.send_piece(second, true).await.expect("sent");
        assert_eq!(http1.finish(), keeps, "{line} {fields:?}");
        assert_eq!(sent(http1, theirs).await, format!("HTTP/1.1 200 OK\n{expected}"), "{line} {fields:?}");
    }
    let (mut http1, _theirs) = client_that_sends("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert_eq!(http1.read_head(MAX).await, Ok(true));
    http1.send(&head(200, &[(header::CONTENT_LENGTH, "3")]), b"ab", &[], true).await.expect("sent");
    assert!(!http1.finish(), "a byte is missing");
}

#[tokio::test]
async fn pieces_go_out_behind_their_head_in_order_however_little_is_taken_at_once() {
    let long = "a".repeat(TOGETHER_MAX + 1);
    let length = (long.len() + 3).to_string();
    let length = HeaderValue::from_str(&length).expect("a number");
    let chunked = HeaderValue::from_static("chunked");
    let [frame_1, frame_2] = [format!("{:x}\r\n", long.len() + 3), "\r\n0\r\n\r\n".to_owned()];
    for (name, value, frame) in [
        (header::CONTENT_LENGTH, length, ["", ""]),
        (header::TRANSFER_ENCODING, chunked, [frame_1.as_str(), frame_2.as_str()]),
    ] {
        let (ours, mut theirs) = duplex(100);
        theirs.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").await.expect("there is room");
        let mut http1 = Http1::new(ours, None);
        assert_eq!(http1.read_head(MAX).await, Ok(true));
        let head =
            Head { status: StatusCode::OK, headers: [(name, value)].into_iter().collect(), said: Vec::new() };
        let more = [Bytes::new(), Bytes::from_static(b"bc"), Bytes::from_static(b"d")];
        let sending = async {
            http1.send(&head, long.as_bytes(), &more, true).await.expect("sent");
            assert!(http1.finish());
            drop(http1);
        };
        let mut text = String::new();
        let (read, ()) = tokio::join!(theirs.read_to_string(&mut text), sending);
        read.expect("text");
        let (_, body) = text.split_once("\r\n\r\n").expect("a head");
        assert_eq!(body, format!("{}{long}bcd{}", frame[0], frame[1]));
    }
}

#[tokio::test]
async fn an_answer_before_the_end_of_its_request_ends_the_connection() {
    let (mut http1, theirs) =
        client_that_sends("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nab").await;
    assert_eq!(http1.read_head(MAX).await, Ok(true));
    http1.send(&head(413, &[(header::CONTENT_LENGTH, "0")]), b"", &[], true).await.expect("sent");
    assert!(!http1.finish());
    assert!(sent(http1, theirs).await.contains("connection: close"));
}
