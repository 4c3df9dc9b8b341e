//! A raw client: sends exactly the bytes it is told to, when it is told to, and sees what a socket sees.

use crate::client::PATIENCE;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// What a server sent on a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The status; zero when no status line came.
    pub status: u16,
    /// The head as text.
    pub head: String,
    /// What followed the head and belongs to this answer.
    pub body: Vec<u8>,
    /// The body is as long as the head said.
    pub complete: bool,
}

impl Answer {
    /// A header's value; empty when it is absent.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let fields = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        let mut found = fields.filter(|(held, _)| held.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.trim()).unwrap_or_default()
    }
}

/// One connection.
pub struct Raw {
    tcp: TcpStream,
    left: Vec<u8>,
}

impl Raw {
    /// Connects.
    ///
    /// # Panics
    /// When that fails.
    pub async fn connect(address: SocketAddr) -> Self {
        let tcp = TcpStream::connect(address).await.expect("the listener accepts");
        tcp.set_nodelay(true).expect("a socket option");
        Self { tcp, left: Vec::new() }
    }

    /// Connects as this client, one of the machine's own addresses.
    ///
    /// # Panics
    /// When that fails.
    pub async fn connect_as(client: Ipv4Addr, address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind((client, 0).into()).expect("an address of this machine");
        let tcp = socket.connect(address).await.expect("the listener accepts");
        tcp.set_nodelay(true).expect("a socket option");
        Self { tcp, left: Vec::new() }
    }

    /// Sends bytes; a peer that has closed already shows when reading.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.tcp.write_all(bytes.as_ref()).await;
        let _ = self.tcp.flush().await;
    }

    /// Closes abruptly: the peer gets a reset.
    pub fn abort(self) {
        let _ = self.tcp.set_zero_linger();
    }

    /// Reads one answer; interim answers (1xx) are answers of their own.
    ///
    /// # Panics
    /// When nothing more comes and the connection stays open.
    pub async fn answer(&mut self) -> Answer {
        self.read(true).await
    }

    /// Reads the answer to a HEAD request: a head, whatever length it tells.
    pub async fn head(&mut self) -> Answer {
        self.read(false).await
    }

    async fn read(&mut self, with_body: bool) -> Answer {
        let end = loop {
            if let Some(at) = find(&self.left, b"\r\n\r\n") {
                break at + 4;
            }
            if !self.more().await {
                return Answer::default();
            }
        };
        let head = String::from_utf8_lossy(&self.left[..end]).into_owned();
        self.left.drain(..end);
        let status = head.split(' ').nth(1).and_then(|text| text.parse().ok()).unwrap_or_default();
        let mut answer = Answer { status, head, ..Answer::default() };
        if with_body && !matches!(status, 100..200 | 204 | 304) {
            self.body(&mut answer).await;
        } else {
            answer.complete = true;
        }
        answer
    }

    async fn body(&mut self, answer: &mut Answer) {
        if answer.header("transfer-encoding").eq_ignore_ascii_case("chunked") {
            answer.complete = self.chunks(&mut answer.body).await;
            return;
        }
        let length = answer.header("content-length").parse().ok();
        while length.is_none_or(|length: usize| self.left.len() < length) && self.more().await {}
        let taken = length.map_or(self.left.len(), |length| length.min(self.left.len()));
        answer.body = self.left.drain(..taken).collect();
        answer.complete = length.is_none_or(|length| length == taken);
    }

    async fn chunks(&mut self, body: &mut Vec<u8>) -> bool {
        loop {
            let line = loop {
                if let Some(at) = find(&self.left, b"\r\n") {
                    break at;
                }
                if !self.more().await {
                    return false;
                }
            };
            let size = String::from_utf8_lossy(&self.left[..line]).into_owned();
            let size = size.split(';').next().unwrap_or_default().trim();
            let Ok(size) = usize::from_str_radix(size, 16) else { return false };
            let needed = line + 2 + size + 2;
            while self.left.len() < needed {
                if !self.more().await {
                    body.extend_from_slice(&self.left[(line + 2).min(self.left.len())..]);
                    return false;
                }
            }
            body.extend_from_slice(&self.left[line + 2..line + 2 + size]);
            self.left.drain(..needed);
            if size == 0 {
                return true;
            }
        }
    }

    async fn more(&mut self) -> bool {
        let read = tokio::time::timeout(PATIENCE, self.tcp.read_buf(&mut self.left)).await;
        matches!(read.expect("the server answers or closes"), Ok(count) if count > 0)
    }

    /// Waits until the server closed, and tells whether it did within this time. What it sent is thrown away.
    pub async fn closes_within(&mut self, bound: Duration) -> bool {
        let mut void = [0; 4096];
        let closed = async {
            loop {
                match self.tcp.read(&mut void).await {
                    Ok(0) => return,
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(_) => return,
                }
            }
        };
        tokio::time::timeout(bound, closed).await.is_ok()
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
