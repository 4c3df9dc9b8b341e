//! What is taken for an answer's head, and what it says of what follows.

use super::*;

fn answer(text: &str, head_only: bool) -> Result<Option<AnswerHead>, Malformed> {
    take(&mut BytesMut::from(text.as_bytes()), head_only)
}

fn of(fields: &str) -> AnswerHead {
    answer(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n"), false).expect("a head").expect("all of it")
}

fn refused(fields: &str) -> bool {
    answer(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n"), false).is_err()
}

fn names(head: &AnswerHead) -> Vec<&str> {
    head.head.headers.keys().map(HeaderName::as_str).collect()
}

#[test]
fn a_length_or_chunks_frame_a_body_and_else_the_end_of_the_connection() {
    assert_eq!(
        (of("Content-Length: 7\r\n").body, of("Content-Length: 7\r\n").keeps),
        (Body::Length(7), true)
    );
    let chunked = of("Transfer-Encoding: Chunked\r\n");
    assert_eq!((chunked.body, chunked.keeps), (Body::Chunked(Chunk::Size), true));
    let endless = of("");
    assert_eq!((endless.body, endless.keeps), (Body::UntilClose, false));
}

#[test]
fn answers_without_a_body_have_none_whatever_their_head_says() {
    for (text, head_only) in [
        ("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", false),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", false),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true),
        ("HTTP/1.1 200 OK\r\n\r\n", true),
        ("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", false),
    ] {
        let head = answer(text, head_only).expect("a head").expect("all of it");
        assert_eq!((head.body, head.keeps), (Body::Done, true), "{text:?}");
    }
    let head = answer("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true).expect("a head").expect("all");
    assert_eq!(head.head.headers[header::CONTENT_LENGTH], "5", "HEAD tells the length GET would have");
}

#[test]
fn lengths_that_agree_are_one_and_others_are_no_head() {
    for same in ["Content-Length: 5\r\nContent-Length: 5\r\n", "Content-Length: 5, 5\r\n"] {
        let head = of(same);
        assert_eq!(head.body, Body::Length(5));
        assert_eq!(head.head.headers.get_all(header::CONTENT_LENGTH).iter().count(), 1);
    }
    for wrong in [
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5, 6\r\n",
        "Content-Length: \r\n",
        "Content-Length: +5\r\n",
        "Content-Length: -5\r\n",
        "Content-Length: 5x\r\n",
        "Content-Length: 99999999999999999999\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    ] {
        assert!(refused(wrong), "{wrong:?}");
    }
}

#[test]
fn chunks_overrule_a_length_which_is_not_passed_on_and_end_the_connection() {
    for both in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
    ] {
        let head = of(both);
        assert_eq!((head.body, head.keeps), (Body::Chunked(Chunk::Size), false));
        assert!(names(&head).is_empty());
    }
}

#[test]
fn a_connection_is_kept_as_its_version_and_its_words_say() {
    let keeps = |version: &str, field: &str| {
        let text = format!("HTTP/{version} 200 OK\r\nContent-Length: 0\r\n{field}\r\n");
        answer(&text, false).expect("a head").expect("all of it").keeps
    };
    assert!(keeps("1.1", "") && keeps("1.0", "Connection: Keep-Alive\r\n"));
    assert!(!keeps("1.1", "Connection: x, Close\r\n") && !keeps("1.0", ""));
    assert!(!keeps("1.0", "Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n"));
}

#[test]
fn fields_of_one_connection_stay_on_it() {
    let head = of("Connection: X-Hop, close\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nETag: \"1\"\r\n\
                   x-amzn-Remapped-Authorization: a\r\nContent-Length: 0\r\n");
    let mut names = names(&head);
    names.sort_unstable();
    assert_eq!(names, ["authorization", "content-length", "etag"]);
}

#[test]
fn a_folded_field_and_a_space_before_a_colon_are_repaired() {
    assert_eq!(of("X-Folded: a\r\n b\r\n").head.headers["x-folded"], "a   b");
    assert_eq!(of("X-Spaced : a\r\n").head.headers["x-spaced"], "a");
}

#[test]
fn a_part_of_a_head_is_none_and_other_bytes_are_no_head() {
    let whole = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    for end in 0..whole.len() {
        let mut read = BytesMut::from(&whole.as_bytes()[..end]);
        assert!(matches!(take(&mut read, false), Ok(None)), "{end}");
        assert_eq!(read.len(), end, "nothing was taken");
    }
    for wrong in ["SSH-2.0-x\r\n", "HTTP/2.0 200 OK\r\n\r\n", "HTTP/1.1 99 x\r\n\r\n", "\0\0\0\0"] {
        assert!(answer(wrong, false).is_err(), "{wrong:?}");
    }
    let fields: String = (0..=FIELDS_MAX).map(|index| format!("x-{index}: 1\r\n")).collect();
    assert!(refused(&fields));
}

#[test]
fn a_request_is_written_line_by_line() {
    let mut head = RequestHead {
        method: Method::PUT,
        target: "/a?b".to_owned(),
        fields: vec![(header::HOST, HeaderValue::from_static("h"))],
    };
    head.set(&header::CONTENT_LENGTH, HeaderValue::from_static("1"));
    head.set(&header::CONTENT_LENGTH, HeaderValue::from_static("2"));
    let bytes = head.bytes(0);
    assert_eq!(bytes, b"PUT /a?b HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\n\r\n");
    assert_eq!(bytes.capacity(), bytes.len(), "room was made once");
}
