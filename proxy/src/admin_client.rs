//! What the commands say to the admin port of the running proxy.

use crate::config::Config;
use crate::config::access::{Right, Secret};
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// An admin port that cannot be connected to within this is not there.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// What is asked for may take its time: a process that takes over is given half a minute twice.
const ANSWER_TIME: Duration = Duration::from_secs(70);
/// The whole history of a pool's upstream is far smaller.
const ANSWER_MAX: u64 = 4 << 20;

/// An admin port, and what opens it.
#[derive(Clone, Debug)]
pub struct Door {
    /// Where it is.
    pub address: SocketAddr,
    /// The token; none where whoever is on the machine may.
    pub token: Option<Secret>,
}

impl Door {
    /// That of the proxy which runs with this configuration, with the token that may most.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let tokens = &config.access.tokens;
        let token = tokens.iter().find(|token| token.right == Right::Write).or_else(|| tokens.first());
        Self { address: config.admin, token: token.map(|token| token.secret.clone()) }
    }
}

/// What the admin port said.
#[derive(Debug)]
pub struct Said {
    /// The status.
    pub status: u16,
    /// The text.
    pub body: String,
}

/// Reads.
///
/// # Errors
/// When nobody answers there, or no HTTP.
pub fn get(admin: &Door, path: &str) -> io::Result<Said> {
    ask(admin, "GET", path, "")
}

/// Asks for something to be done.
///
/// # Errors
/// When nobody answers there, or no HTTP.
pub fn post(admin: &Door, path: &str, body: &str) -> io::Result<Said> {
    ask(admin, "POST", path, body)
}

fn ask(admin: &Door, method: &str, path: &str, body: &str) -> io::Result<Said> {
    let address = reachable(admin.address);
    let mut stream = TcpStream::connect_timeout(&address, CONNECT_MAX)?;
    stream.set_read_timeout(Some(ANSWER_TIME))?;
    stream.set_write_timeout(Some(CONNECT_MAX))?;
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    stream.write_all(head.as_bytes())?;
    if let Some(token) = &admin.token {
        stream.write_all(&[b"authorization: Bearer ", token.expose(), b"\r\n"].concat())?;
    }
    write!(stream, "content-length: {length}\r\n\r\n{body}")?;
    let mut answer = Vec::new();
    stream.take(ANSWER_MAX).read_to_end(&mut answer)?;
    parse(&answer)
}

/// A proxy that listens everywhere is asked here.
const fn reachable(admin: SocketAddr) -> SocketAddr {
    match admin.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => {
            SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), admin.port())
        }
        IpAddr::V6(ip) if ip.is_unspecified() => {
            SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), admin.port())
        }
        _ => admin,
    }
}

fn parse(answer: &[u8]) -> io::Result<Said> {
    let strange = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let text = std::str::from_utf8(answer).map_err(|_| strange("the admin port answered no text"))?;
    let (head, body) =
        text.split_once("\r\n\r\n").ok_or_else(|| strange("the admin port answered no HTTP"))?;
    let status = head.split_whitespace().nth(1).and_then(|word| word.parse().ok());
    let status = status.ok_or_else(|| strange("the admin port answered no status"))?;
    Ok(Said { status, body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_understood_or_an_error() {
        let said = parse(b"HTTP/1.1 200 OK\r\na: b\r\n\r\n{\"a\":1}").unwrap();
        assert_eq!((said.status, said.body.as_str()), (200, "{\"a\":1}"));
        assert_eq!(parse(b"HTTP/1.1 404 Not Found\r\n\r\nno").unwrap().status, 404);
        for strange in [&b"HTTP/1.1 OK\r\n\r\n"[..], b"HTTP/1.1 200 OK\r\n", b"hello", b"\xff"] {
            assert!(parse(strange).is_err(), "{strange:?}");
        }
    }

    #[test]
    fn a_proxy_that_listens_everywhere_is_asked_here() {
        let at = |text: &str| reachable(text.parse().unwrap()).to_string();
        assert_eq!([at("0.0.0.0:9901"), at("[::]:9901")], ["127.0.0.1:9901", "[::1]:9901"]);
        assert_eq!(at("192.0.2.1:9901"), "192.0.2.1:9901");
    }
}
