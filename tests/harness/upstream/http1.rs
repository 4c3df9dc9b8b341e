//! HTTP/1.1 by hand: the only way to send what no HTTP library would.

use super::Shared;
use super::ledger::{Seen, hash};
use super::script::{Answer, Behaviour};
use super::wire::{GARBAGE, Io};
use bytes::{Buf, BytesMut};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const HEADERS_MAX: usize = 128;

/// What was sent before a reset must have time to arrive, or it would be a reset before the answer.
pub(super) const ARRIVAL: Duration = Duration::from_millis(20);

/// Serves one connection to its end.
pub(super) async fn serve(mut io: Io, shared: Arc<Shared>, connection: usize) -> io::Result<()> {
    let mut buffer = BytesMut::with_capacity(16 << 10);
    while let Some(seen) = read_request(&mut io, &mut buffer, &shared, connection).await? {
        let head_only = seen.method == "HEAD";
        let plan = shared.receive(seen);
        let (answer, sends_body) = (&plan.answer, !head_only && has_body(plan.answer.status));
        match plan.behaviour {
            Behaviour::Serve | Behaviour::Say(_) => send(&mut io, answer, sends_body).await?,
            Behaviour::Slow(late) => {
                tokio::time::sleep(late).await;
                send(&mut io, answer, sends_body).await?;
            }
            Behaviour::Hang => return read_to_the_end(&mut io).await,
            Behaviour::Leave => {
                send(&mut io, answer, sends_body).await?;
                return io.shutdown().await;
            }
            Behaviour::Early(_) => {
                send(&mut io, answer, sends_body).await?;
                tokio::time::sleep(ARRIVAL).await;
                io.reset_on_close();
                return Ok(());
            }
            Behaviour::ResetBefore | Behaviour::Refuse | Behaviour::Goodbye => {
                io.reset_on_close();
                return Ok(());
            }
            Behaviour::ResetInside => {
                send_half(&mut io, answer).await?;
                tokio::time::sleep(ARRIVAL).await;
                io.reset_on_close();
                return Ok(());
            }
            Behaviour::Truncate => {
                send_half(&mut io, answer).await?;
                return io.shutdown().await;
            }
            Behaviour::TruncateChunked => {
                let chunked = Answer { chunked: true, ..answer.clone() };
                send_half(&mut io, &chunked).await?;
                return io.shutdown().await;
            }
            Behaviour::Garbage => {
                io.write_all(GARBAGE).await?;
                io.flush().await?;
                return io.shutdown().await;
            }
        }
    }
    Ok(())
}

/// Keeps a connection open without a word until the other side closes it.
pub(super) async fn read_to_the_end(io: &mut Io) -> io::Result<()> {
    let mut void = [0; 1024];
    while io.read(&mut void).await? > 0 {}
    Ok(())
}

const fn has_body(status: u16) -> bool {
    !matches!(status, 100..200 | 204 | 304)
}

async fn send(io: &mut Io, answer: &Answer, with_body: bool) -> io::Result<()> {
    let mut bytes = head(answer);
    if with_body && answer.chunked {
        for chunk in answer.body.chunks(8 << 10) {
            bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            bytes.extend_from_slice(chunk);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"0\r\n\r\n");
    } else if with_body {
        bytes.extend_from_slice(&answer.body);
    }
    io.write_all(&bytes).await?;
    io.flush().await
}

async fn send_half(io: &mut Io, answer: &Answer) -> io::Result<()> {
    let mut bytes = head(answer);
    if answer.chunked {
        bytes.extend_from_slice(format!("{:x}\r\n", answer.body.len()).as_bytes());
    }
    bytes.extend_from_slice(&answer.body[..answer.body.len() / 2]);
    io.write_all(&bytes).await?;
    io.flush().await
}

fn head(answer: &Answer) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {} Scripted\r\n", answer.status);
    for (name, value) in &answer.headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if answer.chunked {
        text.push_str("transfer-encoding: chunked\r\n");
    } else if has_body(answer.status) {
        text.push_str(&format!("content-length: {}\r\n", answer.body.len()));
    }
    text.push_str("\r\n");
    text.into_bytes()
}

async fn read_request(
    io: &mut Io,
    buffer: &mut BytesMut,
    shared: &Shared,
    connection: usize,
) -> io::Result<Option<Seen>> {
    let mut seen = loop {
        if let Some((seen, length)) = parse_head(buffer, connection)? {
            buffer.advance(length);
            break seen;
        }
        if io.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    };
    if seen.header("expect").is_some() {
        io.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        io.flush().await?;
    }
    let body = if let Some(bytes) = shared.read_of_body(&seen) {
        read_exactly(io, buffer, bytes).await?
    } else if seen.header("transfer-encoding").is_some() {
        read_chunks(io, buffer).await?
    } else {
        let length = seen.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        read_exactly(io, buffer, length).await?
    };
    seen.body_len = body.len();
    seen.body_hash = hash(&body);
    Ok(Some(seen))
}

fn parse_head(buffer: &[u8], connection: usize) -> io::Result<Option<(Seen, usize)>> {
    let mut fields = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut fields);
    match request.parse(buffer).map_err(io::Error::other)? {
        httparse::Status::Partial => Ok(None),
        httparse::Status::Complete(length) => {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let seen = Seen {
                at: Instant::now(),
                connection,
                version: if request.version == Some(0) { "1.0" } else { "1.1" },
                method: request.method.unwrap_or_default().to_owned(),
                target: request.path.unwrap_or_default().to_owned(),
                headers: request
                    .headers
                    .iter()
                    .map(|field| (field.name.to_ascii_lowercase(), text(field.value)))
                    .collect(),
                body_len: 0,
                body_hash: String::new(),
            };
            Ok(Some((seen, length)))
        }
    }
}

async fn read_exactly(io: &mut Io, buffer: &mut BytesMut, length: usize) -> io::Result<BytesMut> {
    while buffer.len() < length {
        if io.read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(buffer.split_to(length))
}

async fn read_chunks(io: &mut Io, buffer: &mut BytesMut) -> io::Result<BytesMut> {
    let mut body = BytesMut::new();
    loop {
        let (start, length) = loop {
            let parsed = httparse::parse_chunk_size(buffer);
            match parsed.map_err(|error| io::Error::other(format!("{error:?}")))? {
                httparse::Status::Complete((start, length)) => break (start, length),
                httparse::Status::Partial if io.read_buf(buffer).await? == 0 => {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                httparse::Status::Partial => {}
            }
        };
        buffer.advance(start);
        let length = usize::try_from(length).map_err(io::Error::other)?;
        let chunk = read_exactly(io, buffer, length + 2).await?;
        if length == 0 {
            return Ok(body);
        }
        body.extend_from_slice(&chunk[..length]);
    }
}
