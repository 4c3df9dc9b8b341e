//! One listener: takes connections in, bounds what a client may use, and hands each request to the service.
//!
//! HTTP/1 is served here, HTTP/2 through Pingora's HTTP application, and neither by its `ProxyHttp` hooks: those
//! hand over a request only after its head was read and repaired, so they cannot bound the time a client takes for
//! it, and they answer a malformed one themselves.

use crate::clock;
use crate::conditions::Condition;
use crate::config::Limits;
use crate::downstream::{Downstream, Http1};
use crate::explain::Booked;
use crate::head;
use crate::life::Counted;
use crate::record::{self, Visit};
use crate::refusal::{Closing, send};
use crate::service::Proxy;
use aorta_core::receipt::Receipt;
use aorta_core::verdict::Refusal;
use async_trait::async_trait;
use pingora::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream, ServerApp};
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::{H2Options, default_h2_options};
use pingora::protocols::{ALPN, Stream};
use pingora::server::ShutdownWatch;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;

/// An idle client connection is kept this long: longer than clients keep theirs, so that they close first.
const KEEP_ALIVE_SECONDS: u64 = 75;
/// What one HTTP/2 stream may have waiting to be sent: the library's 400 KiB for each of 100 streams would be
/// 40 MiB for one client that does not read.
const H2_SEND_BUFFER: usize = 64 * 1024;
/// The end of a connection is given this long: a client that does not read must not keep it.
const CLOSE_MAX: Duration = Duration::from_secs(2);

/// One listener: counts connections and tells HTTP/1 from prior-knowledge HTTP/2, within the client's time.
pub struct Gate {
    condition: Condition,
    tls: bool,
    proxy: Arc<Proxy>,
    open: AtomicUsize,
    by_client: Mutex<HashMap<IpAddr, usize>>,
    door: Arc<Door>,
}

impl Gate {
    /// A listener with its limits.
    #[must_use]
    pub fn new(proxy: Arc<Proxy>, condition: Condition, tls: bool) -> Self {
        let door = Arc::new(Door::new(Arc::clone(&proxy), Arc::clone(&condition), tls));
        Self { condition, tls, open: AtomicUsize::new(0), by_client: Mutex::default(), door, proxy }
    }

    /// Counts one more connection of this client; none when it has as many as it may. A trusted proxy is no client.
    fn held_by(&self, client: Option<IpAddr>) -> Option<Held<'_>> {
        let condition = self.condition.load();
        let client = client.filter(|client| !condition.trusted_proxies.hold(*client));
        let mut by_client = self.by_client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = client {
            let count = by_client.entry(client).or_default();
            if *count >= condition.limits.connections_per_client {
                return None;
            }
            *count += 1;
        }
        Some(Held { gate: self, client })
    }

    /// The client begins with HTTP/2's preface (RFC 9113 section 3.4); none when it does not begin in time.
    ///
    /// Three bytes tell, because no method that is served begins so; waiting for the whole preface would hang
    /// on a request that is shorter than it.
    async fn begins_with_preface(&self, stream: &mut Stream) -> Option<bool> {
        let mut first = [0; 3];
        let header_time = self.condition.load().limits.header_time;
        let peeked = timeout(header_time, stream.try_peek(&mut first)).await.ok()?.ok()?;
        if !peeked || &first != b"PRI" {
            return Some(false);
        }
        let mut preface = [0; 24];
        timeout(header_time, stream.try_peek(&mut preface)).await.ok()?.ok()
    }
}

/// A connection that counts for its client until it is dropped.
struct Held<'g> {
    gate: &'g Gate,
    client: Option<IpAddr>,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let mut by_client = self.gate.by_client.lock().unwrap_or_else(PoisonError::into_inner);
        // Who has no connection is forgotten: the table is never longer than the listener's connections.
        if let Some(client) = self.client
            && let Entry::Occupied(mut count) = by_client.entry(client)
        {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

fn client_of(stream: &Stream) -> Option<IpAddr> {
    stream.get_socket_digest()?.peer_addr()?.as_inet().map(std::net::SocketAddr::ip)
}

impl Gate {
    /// Serves a connection to its end, in a task of its own: Pingora's has room for a handshake, and would keep it for as
    /// long as the client is idle.
    pub fn take_in(self: &Arc<Self>, stream: Stream, shutdown: ShutdownWatch) {
        drop(tokio::spawn(Arc::clone(self).serve(stream, shutdown)));
    }

    async fn serve(self: Arc<Self>, mut stream: Stream, shutdown: ShutdownWatch) {
        let (_open, _connected) = (Counted::new(&self.open), Counted::new(&self.proxy.life.connections));
        if self.open.load(Ordering::Relaxed) > self.condition.load().limits.connections {
            return self.proxy.metrics.connection_refused(false);
        }
        let client = client_of(&stream);
        // An IPv4 client of a dual-stack socket is the client that it is elsewhere.
        let Some(_held) = self.held_by(client.map(|address| address.to_canonical())) else {
            return self.proxy.metrics.connection_refused(true);
        };
        let http2 = if self.tls {
            matches!(stream.selected_alpn_proto(), Some(ALPN::H2))
        } else {
            let Some(begins) = Box::pin(self.begins_with_preface(&mut stream)).await else { return };
            begins
        };
        if http2 {
            self.door.process_new(stream, &shutdown).await;
        } else {
            self.door.serve_http1(Http1::new(stream, client), &shutdown).await;
        }
    }
}

/// The HTTP side of a listener.
struct Door {
    proxy: Arc<Proxy>,
    condition: Condition,
    tls: bool,
    options: HttpServerOptions,
    /// Becomes true when idle connections are to be closed, some time after the listeners.
    idle_ending: watch::Receiver<bool>,
}

#[async_trait]
impl HttpServerApp for Door {
    async fn process_new_http(
        self: &Arc<Self>,
        session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        let mut http2 = Box::new(session);
        // The time for a body is the intake's, which answers 408.
        http2.set_read_timeout(None);
        if !http2.read_request().await.ok()? {
            return None;
        }
        let judged = head::judge_fields(&http2.req_header().headers);
        let mut stream = Downstream::Http2(http2);
        match judged {
            Err(refusal) => self.refuse_unread(&mut stream, refusal).await,
            Ok(()) if self.serve(&mut stream, shutdown).await => {
                if let Downstream::Http2(http2) = stream {
                    let _ = timeout(CLOSE_MAX, http2.finish()).await;
                }
                return None;
            }
            Ok(()) => {}
        }
        close(&mut stream).await;
        None
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        Some(&self.options)
    }

    fn h2_options(&self) -> Option<H2Options> {
        let mut options = default_h2_options();
        options.max_header_list_size(u32::try_from(self.limits().header_bytes).unwrap_or(u32::MAX));
        options.max_send_buffer_size(H2_SEND_BUFFER);
        Some(options)
    }
}

impl Door {
    fn new(proxy: Arc<Proxy>, condition: Condition, tls: bool) -> Self {
        let mut options = HttpServerOptions::default();
        options.h2c = !tls;
        options.h2_idle_timeout = Some(Duration::from_secs(KEEP_ALIVE_SECONDS));
        Self { idle_ending: proxy.life.idle_ending(), proxy, condition, tls, options }
    }

    fn limits(&self) -> Limits {
        self.condition.load().limits
    }

    /// Serves one request after the other. What serving needs stands in a box, which an idle connection has not.
    async fn serve_http1(&self, http1: Http1<Stream>, shutdown: &ShutdownWatch) {
        let mut client = Downstream::Http1(Box::new(http1));
        let mut ending = self.idle_ending.clone();
        let mut idle = Duration::ZERO;
        while let Downstream::Http1(http1) = &mut client {
            let Limits { header_time, header_bytes, .. } = self.limits();
            let read = tokio::select! {
                biased;
                read = timeout(idle + header_time, http1.read_head(header_bytes)) => read,
                _ = ending.wait_for(|ends| *ends) => return,
            };
            match read.unwrap_or(Err(Refusal::ClientTooSlow)) {
                Ok(true) if Box::pin(self.serve(&mut client, shutdown)).await => {}
                Ok(true) => return close(&mut client).await,
                Ok(false) => return,
                Err(refusal) => {
                    Box::pin(self.refuse_unread(&mut client, refusal)).await;
                    return close(&mut client).await;
                }
            }
            idle = Duration::from_secs(KEEP_ALIVE_SECONDS);
        }
    }

    /// Serves a request whose head was read, and says whether another may follow.
    async fn serve(&self, client: &mut Downstream, shutdown: &ShutdownWatch) -> bool {
        let _busy = Counted::new(&self.proxy.in_flight);
        if *shutdown.borrow() || self.proxy.draining.load(Ordering::Relaxed) {
            client.close_after();
        }
        let condition = self.condition.load_full();
        let reusable = self.proxy.serve(client, &condition, self.tls).await;
        match client {
            Downstream::Http1(http1) => http1.finish() && reusable,
            Downstream::Http2(_) => reusable,
        }
    }

    /// Answers a request whose head could not be trusted.
    async fn refuse_unread(&self, client: &mut Downstream, refusal: Refusal) {
        let id = self.proxy.request_id(&http::HeaderMap::new());
        let mut visit = Visit::new(id, http::Method::GET, String::new());
        send(client, refusal, false, Closing::AtOnce, &mut visit).await;
        let snapshot = self.proxy.snapshot.load_full();
        visit.ended = Some(clock::now());
        let receipt = Box::new(Receipt::refused(refusal));
        record::book(&self.proxy, &snapshot, &visit, &receipt);
        self.proxy.recent.push(Booked::new(visit, receipt, None));
    }
}

async fn close(client: &mut Downstream) {
    let _ = timeout(CLOSE_MAX, client.close()).await;
}
