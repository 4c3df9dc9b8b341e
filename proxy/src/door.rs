//! One listener: takes connections in, bounds what a client may use, and hands each request to the service.
//!
//! This is Pingora's HTTP application and not its `ProxyHttp` hooks: those hand over a request only after its
//! head was read, so they cannot bound the time a client takes for it, and they answer a malformed one
//! themselves.

use crate::config::Limits;
use crate::head;
use crate::life::Counted;
use crate::record::{self, Visit};
use crate::refusal::{Closing, send};
use crate::service::Proxy;
use aorta_core::receipt::Receipt;
use aorta_core::verdict::Refusal;
use async_trait::async_trait;
use http::{Version, header};
use pingora::apps::{HttpPersistentSettings, HttpServerApp, HttpServerOptions, ReusedHttpStream, ServerApp};
use pingora::protocols::Stream;
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::{H2Options, default_h2_options};
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
/// Pingora's own limit of an idle connection, and its timer for each request: [`Door::read_head`] keeps the time.
const UNBOUNDED: u64 = 0;
/// What one HTTP/2 stream may have waiting to be sent: the library's 400 KiB for each of 100 streams would be
/// 40 MiB for one client that does not read.
const H2_SEND_BUFFER: usize = 64 * 1024;
/// The end of a connection is given this long: a client that does not read must not keep it.
const CLOSE_MAX: Duration = Duration::from_secs(2);

/// One listener: counts connections and tells HTTP/1 from prior-knowledge HTTP/2, within the client's time.
pub struct Gate {
    limits: Limits,
    tls: bool,
    proxy: Arc<Proxy>,
    open: AtomicUsize,
    by_client: Mutex<HashMap<IpAddr, usize>>,
    plain: Arc<Door>,
    prior_knowledge: Arc<Door>,
}

impl Gate {
    /// A listener with its limits.
    #[must_use]
    pub fn new(proxy: Arc<Proxy>, limits: Limits, tls: bool) -> Self {
        let door = |h2c| Arc::new(Door::new(Arc::clone(&proxy), limits, tls, h2c));
        Self {
            limits,
            tls,
            open: AtomicUsize::new(0),
            by_client: Mutex::default(),
            plain: door(false),
            prior_knowledge: door(true),
            proxy,
        }
    }

    /// Counts one more connection of this client; none when it has as many as it may.
    fn held_by(&self, client: Option<IpAddr>) -> Option<Held<'_>> {
        let mut by_client = self.by_client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = client {
            let count = by_client.entry(client).or_default();
            if *count >= self.limits.connections_per_client {
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
        let peeked = timeout(self.limits.header_time, stream.try_peek(&mut first)).await.ok()?.ok()?;
        if !peeked || &first != b"PRI" {
            return Some(false);
        }
        let mut preface = [0; 24];
        timeout(self.limits.header_time, stream.try_peek(&mut preface)).await.ok()?.ok()
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

/// An IPv4 client of a dual-stack socket is the client that it is elsewhere.
fn client_of(stream: &Stream) -> Option<IpAddr> {
    let digest = stream.get_socket_digest()?;
    digest.peer_addr()?.as_inet().map(|address| address.ip().to_canonical())
}

#[async_trait]
impl ServerApp for Gate {
    async fn process_new(self: &Arc<Self>, mut stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        let (_open, _connected) = (Counted::new(&self.open), Counted::new(&self.proxy.life.connections));
        if self.open.load(Ordering::Relaxed) > self.limits.connections {
            self.proxy.metrics.connection_refused(false);
            return None;
        }
        let Some(_held) = self.held_by(client_of(&stream)) else {
            self.proxy.metrics.connection_refused(true);
            return None;
        };
        let door = if !self.tls && self.begins_with_preface(&mut stream).await? {
            &self.prior_knowledge
        } else {
            &self.plain
        };
        door.process_new(stream, shutdown).await
    }
}

/// The HTTP side of a listener.
struct Door {
    proxy: Arc<Proxy>,
    limits: Limits,
    tls: bool,
    options: HttpServerOptions,
    /// Becomes true when idle connections are to be closed, some time after the listeners.
    idle_ending: watch::Receiver<bool>,
}

#[async_trait]
impl HttpServerApp for Door {
    async fn process_new_http(
        self: &Arc<Self>,
        mut session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        session.set_pipelining_enabled(true);
        if let Err(refusal) = self.read_head(&mut session).await? {
            self.refuse_unread(&mut session, refusal).await;
            close(&mut session).await;
            return None;
        }
        // The time for a body is the intake's, which answers 408.
        session.set_read_timeout(None);
        let _busy = Counted::new(&self.proxy.in_flight);
        let stopping = *shutdown.borrow() || self.proxy.draining.load(Ordering::Relaxed);
        session.set_keepalive(if stopping || !wants_keep_alive(&session) { None } else { Some(UNBOUNDED) });
        if !self.proxy.serve(&mut session, &self.limits, self.tls).await {
            close(&mut session).await;
            return None;
        }
        let mut settings = HttpPersistentSettings::for_session(&session);
        settings.set_user_context(Box::new(Known));
        let stream = timeout(CLOSE_MAX, session.finish()).await.ok()?.ok().flatten()?;
        Some(ReusedHttpStream::from_reusable_stream(stream, settings))
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        Some(&self.options)
    }

    fn h2_options(&self) -> Option<H2Options> {
        let mut options = default_h2_options();
        options.max_header_list_size(u32::try_from(self.limits.header_bytes).unwrap_or(u32::MAX));
        options.max_send_buffer_size(H2_SEND_BUFFER);
        Some(options)
    }
}

/// Marks a connection that has already served a request.
struct Known;

impl Door {
    fn new(proxy: Arc<Proxy>, limits: Limits, tls: bool, h2c: bool) -> Self {
        let mut options = HttpServerOptions::default();
        options.h2c = h2c;
        options.h2_idle_timeout = Some(Duration::from_secs(KEEP_ALIVE_SECONDS));
        Self { idle_ending: proxy.life.idle_ending(), proxy, limits, tls, options }
    }

    /// Reads a request's head within its time; nothing when the client is done or the process ends.
    async fn read_head(&self, session: &mut ServerSession) -> Option<Result<(), Refusal>> {
        let idle = match session.take_connection_user_context() {
            Some(_) => Duration::from_secs(KEEP_ALIVE_SECONDS),
            None => Duration::ZERO,
        };
        let mut ending = self.idle_ending.clone();
        let read = tokio::select! {
            biased;
            read = timeout(idle + self.limits.header_time, session.read_request()) => read,
            _ = ending.wait_for(|ends| *ends) => return None,
        };
        match read {
            Err(_) => Some(Err(Refusal::ClientTooSlow)),
            Ok(Ok(false)) => None,
            Ok(Err(error)) if *error.etype() == pingora::ErrorType::InvalidHTTPHeader => {
                Some(Err(Refusal::BadRequest))
            }
            Ok(Err(_)) => None,
            Ok(Ok(true)) => Some(match session.as_http1() {
                Some(h1) => head::judge_raw_head(&h1.get_headers_raw_bytes(), self.limits.header_bytes),
                None => head::judge_fields(&session.req_header().headers),
            }),
        }
    }

    /// Answers a request whose head could not be trusted.
    async fn refuse_unread(&self, session: &mut ServerSession, refusal: Refusal) {
        let id = self.proxy.request_id(&http::HeaderMap::new());
        let mut visit = Visit::new(id, http::Method::GET, String::new());
        send(session, refusal, false, Closing::AtOnce, &mut visit).await;
        let snapshot = self.proxy.snapshot.load_full();
        record::book(&self.proxy, &snapshot, &visit, &Receipt::refused(refusal));
    }
}

async fn close(session: &mut ServerSession) {
    let _ = timeout(CLOSE_MAX, session.shutdown()).await;
}

fn wants_keep_alive(session: &ServerSession) -> bool {
    let head = session.req_header();
    let said = |word: &str| {
        head.headers
            .get_all(header::CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .any(|text| text.split(',').any(|part| part.trim().eq_ignore_ascii_case(word)))
    };
    if head.version == Version::HTTP_10 { said("keep-alive") } else { !said("close") }
}
