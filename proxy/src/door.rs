//! One listener: takes connections in, bounds what a client may use, and hands each request to the service.
//!
//! This is Pingora's HTTP application and not its `ProxyHttp` hooks: those hand over a request only after its
//! head was read, so they cannot bound the time a client takes for it, and they answer a malformed one
//! themselves.

use crate::config::Limits;
use crate::head;
use crate::record::{self, Visit};
use crate::refusal::send;
use crate::service::Proxy;
use aorta_core::receipt::Receipt;
use aorta_core::verdict::Refusal;
use async_trait::async_trait;
use http::{Version, header};
use pingora::apps::{HttpPersistentSettings, HttpServerApp, HttpServerOptions, ReusedHttpStream};
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::{H2Options, default_h2_options};
use pingora::server::ShutdownWatch;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::timeout;

/// An idle client connection is kept this long: longer than clients keep theirs, so that they close first.
const KEEP_ALIVE_SECONDS: u64 = 75;

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
        if !self.proxy.serve(&mut session, &self.limits, self.tls).await {
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

    fn h2_options(&self) -> Option<H2Options> {
        let mut options = default_h2_options();
        options.max_header_list_size(u32::try_from(self.limits.header_bytes).unwrap_or(u32::MAX));
        Some(options)
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
                Some(h1) => head::judge_raw_head(&h1.get_headers_raw_bytes(), self.limits.header_bytes),
                None => Ok(()),
            }),
        }
    }

    /// Answers a request whose head could not be trusted.
    async fn refuse_unread(&self, session: &mut ServerSession, refusal: Refusal) {
        let id = self.proxy.request_id(&http::HeaderMap::new());
        let mut visit = Visit::new(id, http::Method::GET, String::new());
        send(session, refusal, false, true, &mut visit).await;
        let snapshot = self.proxy.snapshot.load_full();
        record::book(&self.proxy, &snapshot, &visit, &Receipt::refused(refusal));
    }
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
