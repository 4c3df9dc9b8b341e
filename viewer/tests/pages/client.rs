//! A viewer in this process and a raw client for it.

use std::net::SocketAddr;
use std::time::Duration;

use aorta_viewer::config;
use aorta_viewer::server::Server;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Bounds every wait: a broken promise fails the test instead of hanging it.
pub(crate) async fn within<T>(wait: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), wait).await.expect("the fact came in time")
}

pub(crate) struct Viewer {
    pub(crate) address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Viewer {
    /// A viewer on a free port in front of `proxy`; `more` is added to its configuration.
    pub(crate) async fn start(proxy: SocketAddr, timeout: &str, more: &str) -> Self {
        let yaml = format!(
            "listen: 127.0.0.1:0\nproxy: {{url: \"http://{proxy}\", timeout: {timeout}}}\nrecord: /Patient/P1\n{more}"
        );
        let server = Server::bind(config::parse("test.yaml", &yaml).unwrap()).await.unwrap();
        let address = server.address();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(server.run(async {
            let _ = stopped.await;
        }));
        Self { address, stop, task }
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.send(&format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")).await
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Writes the request as it is and reads until the viewer closes.
    pub(crate) async fn send(&self, request: &str) -> Response {
        let mut stream = self.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        Response::read(&mut stream).await
    }

    /// Asks it to stop; returns what resolves once it has.
    pub(crate) fn stop(self) -> JoinHandle<()> {
        self.stop.send(()).unwrap();
        self.task
    }
}

#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// In lower case.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Response {
    pub(crate) async fn read(stream: &mut TcpStream) -> Self {
        let mut bytes = Vec::new();
        within(stream.read_to_end(&mut bytes)).await.unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").expect("a whole head");
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .skip(1)
            .find_map(|line| line.split_once(": ").filter(|(key, _)| *key == name))
            .map(|pair| pair.1)
    }

    /// The text of the cell with this `data-field`, as written.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let (_, rest) = self.body.split_once(&format!("data-field=\"{name}\">"))?;
        rest.split('<').next()
    }
}
