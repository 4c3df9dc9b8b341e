//! One exchange over a connection whose other end is the test.

use super::*;
use http::{HeaderValue, Method, header};
use std::io::{Error, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncReadExt as _, DuplexStream, ReadBuf, duplex};
use tokio_test::io::Builder;

fn request(fields: &[(http::HeaderName, &'static str)]) -> RequestHead {
    let fields = fields.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect();
    RequestHead { method: Method::POST, target: "/".to_owned(), fields }
}

/// A connection on which these bytes come, and then its end.
async fn upstream_that_says(bytes: &[u8]) -> Http1<DuplexStream> {
    let (ours, mut theirs) = duplex(1 << 20);
    theirs.write_all(bytes).await.expect("there is room");
    Http1::new(ours)
}

async fn whole(http1: &mut Http1<DuplexStream>) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    while let Some(piece) = http1.read_body().await? {
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

#[tokio::test]
async fn a_connection_whose_answer_came_to_its_end_can_be_used_again() {
    for text in [
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
    ] {
        let mut http1 = upstream_that_says(text.as_bytes()).await;
        let head = http1.read_head(false).await.expect("a head");
        assert_eq!((head.status.as_u16(), head.headers.get("link")), (200, None), "{text:?}");
        assert_eq!(whole(&mut http1).await.expect("a body"), b"abc");
        assert!(http1.into_idle().is_some(), "{text:?}");
    }
}

#[tokio::test]
async fn a_connection_with_anything_left_on_it_is_not_used_again() {
    for text in [
        // More than was promised: the beginning of an answer nobody asked for.
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 200 OK\r\n",
        "HTTP/1.1 204 No Content\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\n\r\nabc",
    ] {
        let mut http1 = upstream_that_says(text.as_bytes()).await;
        http1.read_head(false).await.expect("a head");
        whole(&mut http1).await.expect("a body");
        assert!(http1.into_idle().is_none(), "{text:?}");
    }
    let mut http1 = upstream_that_says(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc").await;
    http1.read_head(false).await.expect("a head");
    assert!(http1.into_idle().is_none(), "its body was not read");
    assert!(upstream_that_says(b"").await.into_idle().is_none(), "nothing was asked");
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_broken_wherever_it_does() {
    let whole_answers = [
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    ];
    for text in whole_answers {
        for end in 0..text.len() {
            let mut http1 = upstream_that_says(&text.as_bytes()[..end]).await;
            let read = match http1.read_head(false).await {
                Ok(_) => whole(&mut http1).await,
                Err(broken) => Err(broken),
            };
            assert_eq!(read, Err(Failure::Broken), "{:?}", &text[..end]);
            assert!(http1.into_idle().is_none());
        }
    }
}

#[tokio::test]
async fn an_upgrade_and_a_head_without_end_are_no_answers() {
    let mut http1 = upstream_that_says(b"HTTP/1.1 101 Switching Protocols\r\n\r\n").await;
    assert_eq!(http1.read_head(false).await.err(), Some(Failure::Broken));
    let endless = format!("HTTP/1.1 200 OK\r\nx: {}", "a".repeat(2 * HEAD_BYTES_MAX));
    let mut http1 = upstream_that_says(endless.as_bytes()).await;
    assert_eq!(http1.read_head(false).await.err(), Some(Failure::Broken));
}

#[tokio::test]
async fn a_body_is_framed_as_its_head_says() {
    let (ours, mut theirs) = duplex(1 << 20);
    let mut http1 = Http1::new(ours);
    http1.send(&request(&[(header::CONTENT_LENGTH, "5")]), b"ab").await.expect("sent");
    http1.send_piece(b"cde").await.expect("sent");
    http1.finish().await.expect("sent");
    http1.send(&request(&[(header::TRANSFER_ENCODING, "chunked")]), b"").await.expect("sent");
    http1.send_piece(b"0123456789abcdefg").await.expect("sent");
    // An empty piece is not the end.
    http1.send_piece(b"").await.expect("sent");
    http1.finish().await.expect("sent");
    drop(http1);
    let mut wire = String::new();
    theirs.read_to_string(&mut wire).await.expect("text");
    assert_eq!(
        wire,
        "POST / HTTP/1.1\r\ncontent-length: 5\r\n\r\nabcde\
         POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n11\r\n0123456789abcdefg\r\n0\r\n\r\n"
    );
}

#[tokio::test]
async fn a_body_larger_than_any_buffer_passes_whole() {
    let body: Vec<u8> = (0..700_000_u32).map(|index| index as u8).collect();
    let text =
        [format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes(), &body].concat();
    let mut http1 = upstream_that_says(&text).await;
    http1.read_head(false).await.expect("a head");
    assert!(whole(&mut http1).await.expect("a body") == body);
}

#[tokio::test]
async fn a_request_is_unsent_until_the_end_of_its_head_has_left() {
    const REQUEST: &[u8] = b"POST / HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}";
    let head = REQUEST.len() - 2;
    for kind in [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset] {
        for left in 0..REQUEST.len() {
            let connection = match left {
                0 => Builder::new().write_error(Error::from(kind)).build(),
                _ => Builder::new().write(&REQUEST[..left]).write_error(Error::from(kind)).build(),
            };
            let sent = Http1::new(connection).send(&request(&[(header::CONTENT_LENGTH, "2")]), b"{}").await;
            let expected = if left < head { Failure::Unsent } else { Failure::Broken };
            assert_eq!(sent, Err(expected), "{kind} after {left} bytes");
        }
    }
}

/// Notes how much it is given at once.
struct Pieces(Vec<usize>);

impl AsyncRead for Pieces {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<Result<(), Error>> {
        Poll::Pending
    }
}

impl AsyncWrite for Pieces {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize, Error>> {
        self.0.push(bytes.len());
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn a_request_that_is_one_record_of_tls_goes_out_in_one_piece() {
    let head = "POST / HTTP/1.1\r\n\r\n".len();
    let (fits, apart) = (TOGETHER_MAX - head, TOGETHER_MAX - head + 1);
    for (body, pieces) in [(0, vec![head]), (fits, vec![TOGETHER_MAX]), (apart, vec![head, apart])] {
        let mut http1 = Http1::new(Pieces(Vec::new()));
        http1.send(&request(&[]), &vec![b'x'; body]).await.expect("sent");
        assert_eq!(http1.stream.0, pieces, "{body}");
    }
}
