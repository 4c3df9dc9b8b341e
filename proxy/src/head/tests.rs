//! Which heads come in.

use super::*;

fn check(head: &str, expected: Result<(), Refusal>) {
    let judged = judge_raw_head(head.as_bytes(), 1024, |_, _| Ok(())).map(drop);
    assert_eq!(judged, expected, "{head:?}");
    if judged.is_ok() {
        assert_eq!(length(head.as_bytes()), Some(head.len()));
        let beginnings = (0..head.len()).map(|end| &head.as_bytes()[..end]);
        assert!(beginnings.clone().all(|part| length(part).is_none()), "{head:?}");
        assert!(beginnings.clone().all(may_become_one), "{head:?}");
    }
}

#[test]
fn an_ordinary_head_comes_in() {
    check("GET /Patient/1?x=%7C HTTP/1.1\r\nHost: a.example\r\nAccept: */*\r\n\r\n", Ok(()));
    check("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n", Ok(()));
    check("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n", Ok(()));
    check("GET / HTTP/1.0\r\n\r\n", Ok(()));
}

#[test]
fn framing_that_can_be_read_in_two_ways_is_refused() {
    for fields in [
        "Content-Length: 1\r\nTransfer-Encoding: chunked",
        "Content-Length: 1\r\nContent-Length: 1",
        "Content-Length: 1000,1000",
        "Content-Length: +1",
        "Content-Length: ",
        "Transfer-Encoding: chunked,chunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding:\x0bchunked",
        "Content_Length: 1",
        "Transfer_Encoding: chunked",
        " Folded: 1",
        "A: b\nTransfer-Encoding: chunked",
        "A: b\rc",
        "A: b\r",
        "A\r: b",
        "A:\r b",
        "A: b\0c",
        "NoColon",
        "Host: b",
    ] {
        check(&format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n"), Err(Refusal::BadRequest));
    }
}

#[test]
fn a_request_line_is_three_words_of_visible_ascii() {
    for line in [
        "GET / x HTTP/1.1",
        "GET  / HTTP/1.1",
        "GET /\u{e9} HTTP/1.1",
        "GET /\t HTTP/1.1",
        "GET /\r HTTP/1.1",
        "GET\r / HTTP/1.1",
        "GET / HTTP/1.1\r",
        "PRI * HTTP/2.0",
        "GET /",
    ] {
        check(&format!("{line}\r\nHost: a\r\n\r\n"), Err(Refusal::BadRequest));
    }
}

#[test]
fn what_follows_is_framed_by_a_length_or_by_chunks() {
    let body = |fields: &str| {
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        judge_raw_head(head.as_bytes(), 1024, |_, _| Ok(())).map(|head| head.body)
    };
    assert_eq!(body("Content-Length: 0012\r\n"), Ok(Body::of_length(12)));
    assert_eq!(body("Content-Length: 0\r\n"), Ok(Body::Done));
    assert_eq!(body("Transfer-Encoding: chunked\r\n"), Ok(Body::chunked()));
    assert_eq!(body(""), Ok(Body::Done));
    check("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", Err(Refusal::BadRequest));
}

#[test]
fn what_cannot_become_a_head_is_known_before_it_ends() {
    for wrong in ["\0", "\x16\x03\x01", "G@T / ", "GET / HTTP/1.1\r\nno colon\r\n", "GET / HTTP/2.0\r\n"] {
        assert!(!may_become_one(wrong.as_bytes()), "{wrong:?}");
    }
    let many = "GET / HTTP/1.1\r\n".to_owned() + &"a: b\r\n".repeat(1000);
    assert!(may_become_one(many.as_bytes()));
    assert_eq!(length(b"GET / HTTP/1.1\nHost: a\n\nrest"), Some(24), "its end is there, and it is refused");
}

#[test]
fn a_head_above_the_limit_is_too_large() {
    check(&format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "a".repeat(2000)), Err(Refusal::HeaderTooLarge));
}

#[test]
fn a_host_is_a_name_and_maybe_a_port() {
    assert_eq!(host(Some("a.example:8080")), Ok("a.example"));
    assert_eq!(host(Some("[::1]:8080")), Ok("::1"));
    assert_eq!(host(Some("[::1]")), Ok("::1"));
    for wrong in ["", "a/b", "a b", "u@h", "a:b", "a:1:2", "[::1", "[::1]x", "a,b"] {
        assert_eq!(host(Some(wrong)), Err(Refusal::BadRequest), "{wrong}");
    }
    assert_eq!(host(None), Err(Refusal::BadRequest));
}
