//! A scripted proxy: does what the test says on every connection and tells what it saw.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::client::within;

/// What it does once a request's head is complete.
#[derive(Clone)]
pub(crate) enum Script {
    /// Write these bytes, then close.
    Bytes(Vec<u8>),
    /// Write these bytes, then keep the connection open without a word.
    Hold(Vec<u8>),
}

/// What it saw.
#[derive(Debug, PartialEq)]
pub(crate) enum Event {
    /// A request's head.
    Request(String),
    /// The client closed.
    Gone,
}

pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    events: mpsc::UnboundedReceiver<Event>,
}

impl Upstream {
    pub(crate) async fn start(script: Script) -> Self {
        Self::start_with(Vec::new(), script).await
    }

    /// Plays one script of `first` on each of the first connections, then `script` on every other.
    pub(crate) async fn start_with(first: Vec<Script>, script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, events) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut first = first.into_iter();
            while let Ok((stream, _)) = listener.accept().await {
                let script = first.next().unwrap_or_else(|| script.clone());
                tokio::spawn(play(stream, script, tell.clone()));
            }
        });
        Self { address, events }
    }

    /// The next thing it saw.
    pub(crate) async fn saw(&mut self) -> Event {
        within(self.events.recv()).await.unwrap()
    }
}

async fn play(mut stream: TcpStream, script: Script, tell: mpsc::UnboundedSender<Event>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    // A test that ended no longer listens; nothing to tell then.
    let _ = tell.send(Event::Request(String::from_utf8_lossy(&head).into_owned()));
    match script {
        Script::Bytes(bytes) => {
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
        }
        Script::Hold(bytes) => {
            let _ = stream.write_all(&bytes).await;
            let _ = stream.read(&mut [0; 64]).await;
            let _ = tell.send(Event::Gone);
        }
    }
}

/// A whole answer with its length.
pub(crate) fn answer(status: &str, headers: &str, body: &str) -> Script {
    let length = body.len();
    Script::Bytes(
        format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\n\r\n{body}").into_bytes(),
    )
}
