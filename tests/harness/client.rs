//! An orderly HTTP client: one connection, kept alive, HTTP/1.1 or HTTP/2, plain or TLS.

use crate::upstream::ledger;
use bytes::Bytes;
use http::header::HOST;
use http::{HeaderMap, Request, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// No answer of a test takes longer; a client without a bound would hide a lost request for ever.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Where a client connects, and how it speaks there.
#[derive(Clone, Debug)]
pub struct Target {
    /// Where.
    pub address: SocketAddr,
    /// Whom it asks for: the `Host`, and the name in TLS.
    pub host: String,
    /// TLS, when it is spoken.
    pub tls: Option<Arc<ClientConfig>>,
    /// HTTP/2: agreed on in TLS, known beforehand without.
    pub http2: bool,
}

impl Target {
    /// HTTP/1.1 in the clear.
    #[must_use]
    pub fn plain(address: SocketAddr) -> Self {
        Self { address, host: "aorta.test".to_owned(), tls: None, http2: false }
    }
}

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

/// A client with one connection, opened when it is needed.
pub struct Client {
    target: Target,
    sender: Option<Sender>,
    connections: usize,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// From the request's first byte to the answer's last.
    pub took: Duration,
}

/// Why no whole answer came.
#[derive(Clone, Debug)]
pub struct Broken {
    /// In words.
    pub words: String,
    /// Nothing of the request was sent, or HTTP/2 says that nobody looked at it (RFC 9113 section 8.7): it may be sent
    /// elsewhere, whatever it is.
    pub unsent: bool,
    /// The connection ended before an answer began: what may be repeated may be sent once more (RFC 9110 section
    /// 9.2.2).
    pub unanswered: bool,
}

impl Broken {
    fn unsent(words: String) -> Self {
        Self { words, unsent: true, unanswered: true }
    }
}

impl Reply {
    /// A header's first value; empty when it is absent.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The upstream that answered, as the proxy reveals it.
    #[must_use]
    pub fn upstream(&self) -> &str {
        self.header("x-aorta-upstream")
    }

    /// How many attempts the proxy made; zero when it does not say.
    #[must_use]
    pub fn attempts(&self) -> usize {
        self.header("x-aorta-attempts").parse().unwrap_or_default()
    }

    /// The body's hash.
    #[must_use]
    pub fn hash(&self) -> String {
        ledger::hash(&self.body)
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }
}

impl Client {
    /// A client of this target; it connects with its first request.
    #[must_use]
    pub const fn new(target: Target) -> Self {
        Self { target, sender: None, connections: 0 }
    }

    /// How many connections it has opened: one as long as nobody closes it.
    #[must_use]
    pub const fn connections(&self) -> usize {
        self.connections
    }

    /// Reads a path.
    ///
    /// # Panics
    /// When no whole answer came.
    pub async fn get(&mut self, path: &str) -> Reply {
        self.send(Request::get(path).body(Bytes::new()).expect("a path")).await.expect("an answer to a GET")
    }

    /// Sends a body as FHIR.
    ///
    /// # Panics
    /// When no whole answer came.
    pub async fn post(&mut self, path: &str, body: impl Into<Bytes>) -> Reply {
        let request = Request::post(path).header("content-type", "application/fhir+json");
        self.send(request.body(body.into()).expect("a path")).await.expect("an answer to a POST")
    }

    /// Sends a request whose URI is a path, and reads the whole answer.
    ///
    /// # Errors
    /// What broke, in words. The request is never sent twice.
    pub async fn send(&mut self, request: Request<Bytes>) -> Result<Reply, String> {
        self.attempt(request).await.map_err(|broken| broken.words)
    }

    /// The same, with what a client may conclude from a failure.
    ///
    /// # Errors
    /// What broke, and how far the request came.
    pub async fn attempt(&mut self, request: Request<Bytes>) -> Result<Reply, Broken> {
        let start = Instant::now();
        let result = tokio::time::timeout(PATIENCE, self.exchange(request)).await;
        let result = result.unwrap_or_else(|_| {
            let words = format!("no answer within {PATIENCE:?}");
            Err(Broken { words, unsent: false, unanswered: false })
        });
        if result.is_err() {
            self.sender = None;
        }
        let (status, headers, body) = result?;
        Ok(Reply { status, headers, body, took: start.elapsed() })
    }

    async fn exchange(&mut self, request: Request<Bytes>) -> Result<(u16, HeaderMap, Bytes), Broken> {
        let request = self.addressed(request);
        let mut sender = match self.sender.take() {
            Some(sender) if is_usable(&sender) => sender,
            _ => {
                let sender = connect(&self.target).await.map_err(Broken::unsent)?;
                self.connections += 1;
                sender
            }
        };
        let response = match &mut sender {
            Sender::Http1(sender) => sender.try_send_request(request).await,
            Sender::Http2(sender) => sender.try_send_request(request).await,
        };
        let response = response.map_err(|mut error| {
            let unsent = error.take_message().is_some() || is_unprocessed(error.error());
            Broken { words: format!("no head: {:?}", error.error()), unsent, unanswered: true }
        })?;
        let (parts, body) = response.into_parts();
        let broke = |words| Broken { words, unsent: false, unanswered: false };
        let body = whole(body).await.map_err(broke)?;
        self.sender = Some(sender);
        Ok((parts.status.as_u16(), parts.headers, body))
    }

    fn addressed(&self, request: Request<Bytes>) -> Request<Full<Bytes>> {
        let (mut parts, body) = request.into_parts();
        let host = parts.headers.remove(HOST);
        let host = host.as_ref().and_then(|host| host.to_str().ok()).unwrap_or(&self.target.host);
        if self.target.http2 {
            let scheme = if self.target.tls.is_some() { "https" } else { "http" };
            let uri = Uri::builder().scheme(scheme).authority(host);
            let path = parts.uri.path_and_query().expect("a path").clone();
            parts.uri = uri.path_and_query(path).build().expect("a host and a path make a URI");
        } else {
            let host = host.parse().expect("a host is a header value");
            parts.headers.insert(HOST, host);
        }
        Request::from_parts(parts, Full::new(body))
    }
}

/// A stream beyond the last one of a connection that its server ends, or one that was refused.
fn is_unprocessed(error: &hyper::Error) -> bool {
    let h2 = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<h2::Error>());
    h2.is_some_and(|error| match error.reason() {
        Some(h2::Reason::NO_ERROR) => error.is_go_away() && error.is_remote(),
        Some(h2::Reason::REFUSED_STREAM) => error.is_reset(),
        _ => false,
    })
}

async fn whole(body: Incoming) -> Result<Bytes, String> {
    let collected = body.collect().await;
    collected.map(http_body_util::Collected::to_bytes).map_err(|error| format!("a broken body: {error:?}"))
}

fn is_usable(sender: &Sender) -> bool {
    match sender {
        Sender::Http1(sender) => sender.is_ready(),
        Sender::Http2(sender) => !sender.is_closed(),
    }
}

async fn connect(target: &Target) -> Result<Sender, String> {
    let tcp = TcpStream::connect(target.address).await.map_err(|error| format!("no connection: {error}"))?;
    tcp.set_nodelay(true).map_err(|error| error.to_string())?;
    let Some(tls) = &target.tls else { return handshake(tcp, target.http2).await };
    let name = ServerName::try_from(target.host.clone()).map_err(|error| error.to_string())?;
    let tls = TlsConnector::from(Arc::clone(tls)).connect(name, tcp).await;
    handshake(tls.map_err(|error| format!("no TLS: {error}"))?, target.http2).await
}

async fn handshake<I>(io: I, http2: bool) -> Result<Sender, String>
where
    I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let io = TokioIo::new(io);
    if http2 {
        let shaken = http2::handshake(TokioExecutor::new(), io).await;
        let (sender, connection) = shaken.map_err(|error| format!("no HTTP/2: {error:?}"))?;
        tokio::spawn(connection);
        return Ok(Sender::Http2(sender));
    }
    let shaken = http1::handshake(io).await;
    let (sender, connection) = shaken.map_err(|error| format!("no HTTP/1: {error:?}"))?;
    tokio::spawn(connection);
    Ok(Sender::Http1(sender))
}
