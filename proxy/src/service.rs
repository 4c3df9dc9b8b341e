//! The walk of one request, from the listener to the ledger.
//!
//! This is Pingora's HTTP application and not its `ProxyHttp` hooks: those hand over a request only after its
//! head was read, so they cannot bound the time a client takes for it, and they answer a malformed one
//! themselves.

use crate::buffers::Buffers;
use crate::config::Limits;
use crate::engine::{self, Call, Origin, Outgoing, Served};
use crate::intake::{self, Lost};
use crate::metrics::Metrics;
use crate::record::{self, Visit};
use crate::snapshot::{LivePool, Snapshot};
use crate::{check, door, headers, path, refusal, translate};
use aorta_core::classify::Dialect;
use aorta_core::exchange::Terms;
use aorta_core::pool::PoolEvent;
use aorta_core::receipt::{End, Receipt};
use aorta_core::route::RouteFacts;
use aorta_core::verdict::Refusal;
use arc_swap::ArcSwap;
use async_trait::async_trait;
use http::{HeaderValue, Version, header};
use pingora::apps::{HttpPersistentSettings, HttpServerApp, HttpServerOptions, ReusedHttpStream};
use pingora::connectors::http::Connector;
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;
use pingora::server::ShutdownWatch;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::timeout;

/// An idle client connection is kept this long: longer than clients keep theirs, so that they close first.
const KEEP_ALIVE_SECONDS: u64 = 75;
/// A refused upload is read on for so long and so far, because closing on unread bytes would reset the
/// connection and lose the refusal on its way (RFC 9112 section 9.6).
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 1024 * 1024;

/// What all listeners share.
pub struct Proxy {
    /// What is in force.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    /// Connections to upstreams.
    pub connector: Connector,
    /// One budget of bytes for all that is held.
    pub buffers: Arc<Buffers>,
    /// Counters.
    pub metrics: Metrics,
    /// The process is about to stop: every answer closes its connection.
    pub draining: AtomicBool,
    /// Requests that are being served.
    pub in_flight: AtomicUsize,
    ids: AtomicU64,
}

/// One listener.
pub struct Door {
    proxy: Arc<Proxy>,
    limits: Limits,
    tls: bool,
    open: AtomicUsize,
    options: HttpServerOptions,
}

/// Counts up now and down when dropped.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Proxy {
    /// What all listeners share; `seed` makes request ids unique among processes.
    #[must_use]
    pub fn new(
        snapshot: Arc<ArcSwap<Snapshot>>,
        connector: Connector,
        buffers: Arc<Buffers>,
        metrics: Metrics,
        seed: u64,
    ) -> Self {
        Self {
            snapshot,
            connector,
            buffers,
            metrics,
            draining: AtomicBool::new(false),
            in_flight: AtomicUsize::new(0),
            ids: AtomicU64::new(seed),
        }
    }

    /// Passes on what a pool wants told.
    pub fn tell(self: &Arc<Self>, pool: &Arc<LivePool>, events: &[PoolEvent]) {
        for event in events {
            self.metrics.event(pool, event);
            record::log_event(pool, event);
            if let PoolEvent::VerifyWanted { upstream } = *event {
                check::verify(self, pool, upstream);
            }
        }
    }

    /// A number no other request of this process has; neighbours look unrelated (SplitMix64).
    pub fn next_id(&self) -> u64 {
        let count = self.ids.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        let mixed = (count ^ (count >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn request_id(&self, came: &http::HeaderMap) -> HeaderValue {
        headers::request_id(came).cloned().unwrap_or_else(|| {
            HeaderValue::from_str(&format!("{:016x}", self.next_id()))
                .unwrap_or(HeaderValue::from_static("0"))
        })
    }

    fn traceparent(&self, came: &http::HeaderMap) -> HeaderValue {
        headers::traceparent(came).cloned().unwrap_or_else(|| {
            let (high, low, span) = (self.next_id(), self.next_id(), self.next_id() | 1);
            HeaderValue::from_str(&format!("00-{high:016x}{low:016x}-{span:016x}-00"))
                .unwrap_or(HeaderValue::from_static("00"))
        })
    }
}

#[async_trait]
impl HttpServerApp for Door {
    async fn process_new_http(
        self: &Arc<Self>,
        mut session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        let _open = Counted::new(&self.open);
        if self.open.load(Ordering::Relaxed) > self.limits.connections {
            self.proxy.metrics.connection_refused();
            return None;
        }
        session.set_pipelining_enabled(true);
        if let Err(refusal) = self.read_head(&mut session, shutdown).await? {
            self.refuse_unread(&mut session, refusal).await;
            session.shutdown().await;
            return None;
        }
        let _busy = Counted::new(&self.proxy.in_flight);
        let stopping = *shutdown.borrow() || self.proxy.draining.load(Ordering::Relaxed);
        session.set_keepalive(if stopping || !wants_keep_alive(&session) {
            None
        } else {
            Some(KEEP_ALIVE_SECONDS)
        });
        if !self.serve(&mut session).await {
            session.shutdown().await;
            return None;
        }
        let mut settings = HttpPersistentSettings::for_session(&session);
        settings.set_user_context(Box::new(Known));
        let stream = session.finish().await.ok().flatten()?;
        Some(ReusedHttpStream::from_reusable_stream(stream, settings))
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        Some(&self.options)
    }
}

/// Marks a connection that has already served a request.
struct Known;

impl Door {
    /// A listener with its limits.
    #[must_use]
    pub fn new(proxy: Arc<Proxy>, limits: Limits, tls: bool) -> Self {
        let mut options = HttpServerOptions::default();
        // Prior-knowledge HTTP/2 for sidecars: one connection from the application, without TLS.
        options.h2c = !tls;
        options.h2_idle_timeout = Some(Duration::from_secs(KEEP_ALIVE_SECONDS));
        Self { proxy, limits, tls, open: AtomicUsize::new(0), options }
    }

    /// Reads a request's head within its time; nothing when the client is done or the process stops.
    async fn read_head(
        &self,
        session: &mut ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<Result<(), Refusal>> {
        let idle = match session.take_connection_user_context() {
            Some(_) => Duration::from_secs(KEEP_ALIVE_SECONDS),
            None => Duration::ZERO,
        };
        let mut shutdown = shutdown.clone();
        let read = tokio::select! {
            biased;
            read = timeout(idle + self.limits.header_time, session.read_request()) => read,
            _ = shutdown.wait_for(|stop| *stop) => return None,
        };
        match read {
            Err(_) => Some(Err(Refusal::ClientTooSlow)),
            Ok(Ok(false)) => None,
            Ok(Err(error)) if *error.etype() == pingora::ErrorType::InvalidHTTPHeader => {
                Some(Err(Refusal::BadRequest))
            }
            Ok(Err(_)) => None,
            Ok(Ok(true)) => Some(match session.as_http1() {
                Some(h1) => door::judge_raw_head(&h1.get_headers_raw_bytes(), self.limits.header_bytes),
                None => Ok(()),
            }),
        }
    }

    /// Answers a request whose head could not be trusted.
    async fn refuse_unread(&self, session: &mut ServerSession, refusal: Refusal) {
        let id = self.proxy.request_id(&http::HeaderMap::new());
        let mut visit = Visit::new(id, http::Method::GET, String::new());
        answer(session, refusal, false, true, &mut visit).await;
        let snapshot = self.proxy.snapshot.load_full();
        record::book(&self.proxy.metrics, &snapshot, &visit, &Receipt::refused(refusal));
    }

    /// Serves one request, and says whether the connection may be used again.
    async fn serve(&self, session: &mut ServerSession) -> bool {
        let snapshot = self.proxy.snapshot.load_full();
        let head = session.req_header();
        let id = self.proxy.request_id(&head.headers);
        let mut visit = Visit::new(id, head.method.clone(), path::template(head.uri.path()));
        let walked = self.walk(&snapshot, session, &mut visit).await;
        let served = walked.unwrap_or_else(Served::refused);
        let mut reusable = served.reusable;
        if let Some(refusal) = served.refusal {
            let fhir = visit.pool.is_some_and(|pool| snapshot.pools[pool].config.spec.fhir);
            reusable = answer(session, refusal, fhir, !served.reusable, &mut visit).await && served.reusable;
        }
        record::book(&self.proxy.metrics, &snapshot, &visit, &served.receipt);
        reusable
    }

    /// Route, body, attempts.
    async fn walk(
        &self,
        snapshot: &Snapshot,
        session: &mut ServerSession,
        visit: &mut Visit,
    ) -> Result<Served, Early> {
        let head = session.req_header();
        door::judge_method(&head.method)?;
        let asked = head
            .headers
            .get(header::HOST)
            .and_then(|value| value.to_str().ok())
            .or_else(|| head.uri.authority().map(http::uri::Authority::as_str));
        let facts = RouteFacts {
            host: door::host(asked)?,
            path: head.uri.path(),
            method: &head.method,
            headers: &head.headers,
        };
        let (position, route) = snapshot.routes.find(facts).ok_or(Refusal::NoRoute)?;
        visit.route = Some(position);
        visit.pool = Some(route.pool);
        let pool = snapshot.pools.get(route.pool).ok_or(Refusal::NoUpstream)?;
        let spec = &pool.config.spec;
        let client = client_address(session);
        let origin = Origin {
            client,
            tls: self.tls,
            host: asked.unwrap_or_default(),
            request_id: &visit.request_id,
            traceparent: self.proxy.traceparent(&head.headers),
            judged: spec.fhir || spec.dialect == Dialect::ApiGateway,
        };
        let strip = snapshot.route_settings.get(position).map_or("", |settings| &settings.strip_prefix);
        let outgoing = Outgoing::new(head, strip, &origin)?;
        let safety = translate::safety(spec, &head.method, head.uri.path(), &head.headers);
        let fhir_expected = translate::expects_fhir(spec, safety, head.uri.path(), &head.headers);
        let client = translate::client(&head.headers, client);
        let mut body =
            intake::take_in(session, &self.limits, pool.config.replay_body_max, &self.proxy.buffers).await?;
        let call = Call {
            proxy: &self.proxy,
            pool,
            outgoing: &outgoing,
            terms: Terms { safety, client, replayable: body.whole },
            fhir_expected,
        };
        Ok(engine::run(&call, session, &mut body, visit).await)
    }
}

/// A request that never reached a pool.
enum Early {
    Refused(Refusal),
    ClientGone,
}

impl From<Refusal> for Early {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Lost> for Early {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::Refused(refusal) => Self::Refused(refusal),
            Lost::ClientGone => Self::ClientGone,
        }
    }
}

impl Served {
    fn refused(early: Early) -> Self {
        match early {
            Early::Refused(refusal) => Self {
                receipt: Receipt::refused(refusal),
                refusal: Some(refusal),
                reusable: !closes(refusal),
            },
            Early::ClientGone => {
                let mut receipt = Receipt::refused(Refusal::BadRequest);
                receipt.end = End::Abandoned;
                Self { receipt, refusal: None, reusable: false }
            }
        }
    }
}

/// After these the connection's framing, or the client's patience with it, cannot be trusted.
const fn closes(refusal: Refusal) -> bool {
    matches!(refusal, Refusal::BadRequest | Refusal::BodyTooLarge | Refusal::ClientTooSlow)
}

/// Writes an answer of Aorta's own; false when the client did not take it.
async fn answer(
    session: &mut ServerSession,
    refusal: Refusal,
    fhir: bool,
    close: bool,
    visit: &mut Visit,
) -> bool {
    visit.status = refusal.status();
    let words = refusal::words(refusal, fhir, visit.request_id.to_str().unwrap_or_default());
    if close {
        session.set_keepalive(None);
    }
    let Ok(head) = refusal_head(refusal, &words, visit) else { return false };
    visit.sent = words.body.len();
    let body = if visit.method == http::Method::HEAD { String::new() } else { words.body };
    let written = session.write_response_header(Box::new(head)).await.is_ok()
        && session.write_response_body(body.into(), true).await.is_ok();
    if close && written {
        linger(session).await;
    }
    written
}

fn refusal_head(refusal: Refusal, words: &refusal::Words, visit: &Visit) -> pingora::Result<ResponseHeader> {
    let mut head = ResponseHeader::build_no_case(refusal.status(), Some(6))?;
    head.set_version(Version::HTTP_11);
    head.insert_header(header::CONTENT_TYPE, words.media_type)?;
    head.insert_header(header::CONTENT_LENGTH, words.body.len())?;
    head.insert_header(header::CACHE_CONTROL, "no-store")?;
    head.insert_header("x-request-id", visit.request_id.clone())?;
    head.insert_header("x-aorta-attempts", visit.attempts)?;
    if refusal.status() == 503 {
        head.insert_header(header::RETRY_AFTER, "1")?;
    }
    if refusal == Refusal::MethodNotAllowed {
        head.insert_header(header::ALLOW, "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")?;
    }
    Ok(head)
}

async fn linger(session: &mut ServerSession) {
    let drain = async {
        let mut read = 0;
        while let Ok(Some(chunk)) = session.read_request_body().await {
            read += chunk.len();
            if read > LINGER_BYTES {
                return;
            }
        }
    };
    let _ = timeout(LINGER, drain).await;
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

fn client_address(session: &ServerSession) -> Option<IpAddr> {
    session.client_addr().and_then(|address| address.as_inet()).map(std::net::SocketAddr::ip)
}
