//! Clients that see what a connection really did: a raw HTTP/1.1 one and an HTTP/2 one.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::harness::{BOUND, HOST};

/// A complete answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// An answer that was not complete: what came, and how the connection ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) received: Vec<u8>,
    /// None: closed cleanly.
    pub(crate) error: Option<io::ErrorKind>,
}

pub(crate) async fn connect(address: SocketAddr, tls: Arc<ClientConfig>) -> io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    TlsConnector::from(tls).connect(ServerName::try_from(HOST).unwrap(), stream).await
}

/// Writes one HTTP/1.1 request and reads until the answer is complete or the connection ends.
pub(crate) async fn exchange(
    address: SocketAddr,
    tls: Arc<ClientConfig>,
    method: &str,
    path: &str,
    headers: &str,
    body: &[u8],
) -> Result<Reply, Ended> {
    let refused = |error: io::Error| Ended { received: Vec::new(), error: Some(error.kind()) };
    let mut stream = connect(address, tls).await.map_err(refused)?;
    exchange_on(&mut stream, method, path, headers, body).await
}

/// The same on a connection that stays open.
pub(crate) async fn exchange_on(
    stream: &mut TlsStream<TcpStream>,
    method: &str,
    path: &str,
    headers: &str,
    body: &[u8],
) -> Result<Reply, Ended> {
    let host = if headers.contains("host:") { String::new() } else { format!("host: {HOST}\r\n") };
    let length = if body.is_empty() { String::new() } else { format!("content-length: {}\r\n", body.len()) };
    let head = format!("{method} {path} HTTP/1.1\r\n{host}{headers}{length}\r\n");
    let request = [head.as_bytes(), body].concat();
    let refused = |error: io::Error| Ended { received: Vec::new(), error: Some(error.kind()) };
    stream.write_all(&request).await.map_err(refused)?;
    stream.flush().await.map_err(refused)?;
    let mut received = Vec::new();
    loop {
        if let Some(reply) = parse(&received, method) {
            return Ok(reply);
        }
        let read =
            tokio::time::timeout(BOUND, stream.read_buf(&mut received)).await.expect("an answer or an end");
        match read {
            Ok(0) => return Err(Ended { received, error: None }),
            Ok(_) => {}
            Err(error) => return Err(Ended { received, error: Some(error.kind()) }),
        }
    }
}

fn parse(received: &[u8], method: &str) -> Option<Reply> {
    let end = received.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&received[..end]).ok()?;
    let mut lines = head.split("\r\n");
    let status: u16 = lines.next()?.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(": ")?;
        headers.append(http::HeaderName::try_from(name).ok()?, value.parse().ok()?);
    }
    let length: usize = match headers.get("content-length") {
        Some(length) if method != "HEAD" => length.to_str().ok()?.parse().ok()?,
        _ => 0,
    };
    let body = received.get(end + 4..end + 4 + length)?;
    Some(Reply { status, headers, body: Bytes::copy_from_slice(body) })
}

/// A whole exchange over HTTP/2.
pub(crate) async fn exchange_h2(
    address: SocketAddr,
    tls: Arc<ClientConfig>,
    path: &str,
) -> Result<Reply, hyper::Error> {
    let stream = connect(address, tls).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::get(format!("https://{HOST}{path}")).body(Full::new(Bytes::new())).unwrap();
    let whole = async {
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Reply { status: head.status.as_u16(), headers: head.headers, body })
    };
    tokio::time::timeout(BOUND, whole).await.expect("an answer or an end")
}
