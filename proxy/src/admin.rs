//! The admin listener: liveness, readiness, metrics, the state of the pools. Loopback by default.
//!
//! A web page in an operator's browser can send requests to loopback too, so the Host must be an address or
//! `localhost`, and a request that names an Origin is refused.

use crate::clock;
use crate::explain;
use crate::handover::Program;
use crate::log_level::{LogLevel, WORDS};
use crate::metrics;
use crate::service::Proxy;
use crate::snapshot::LivePool;
use async_trait::async_trait;
use http::{Method, Response, StatusCode, header};
use pingora::apps::http_app::ServeHttp;
use pingora::protocols::http::ServerSession;
use serde_json::{Value, json};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::timeout;

/// The admin application.
pub struct Admin {
    proxy: Arc<Proxy>,
    level: LogLevel,
    program: Program,
    /// Somebody upgrades already.
    upgrading: AtomicBool,
}

/// What is posted here is a word or two.
const BODY_MAX: usize = 1024;
/// It is on its way when its head is.
const BODY_TIME: Duration = Duration::from_secs(5);

impl Admin {
    /// Over this proxy's state.
    #[must_use]
    pub const fn new(proxy: Arc<Proxy>, level: LogLevel, program: Program) -> Self {
        Self { proxy, level, program, upgrading: AtomicBool::new(false) }
    }

    /// Lets a new process take over, and this one end.
    async fn upgrade(&self) -> Response<Vec<u8>> {
        if self.proxy.draining.load(Ordering::Relaxed) || self.upgrading.swap(true, Ordering::Relaxed) {
            return text(StatusCode::CONFLICT, "this process is about to end already\n");
        }
        let (program, proxy) = (self.program.clone(), Arc::clone(&self.proxy));
        let succeeding = tokio::task::spawn_blocking(move || program.succeed(&proxy.life, Vec::new));
        match succeeding.await.unwrap_or_else(|error| Err(error.to_string())) {
            Ok(process) => {
                tracing::warn!(process, "another process has taken over");
                self.proxy.life.replace();
                json_answer(&json!({ "process": process }))
            }
            Err(error) => {
                self.upgrading.store(false, Ordering::Relaxed);
                tracing::error!(error, "the upgrade failed");
                text(StatusCode::BAD_GATEWAY, &format!("{error}\n"))
            }
        }
    }

    fn route(&self, method: &Method, path: &str) -> Response<Vec<u8>> {
        match (method, path) {
            (&Method::GET | &Method::HEAD, "/livez") => text(StatusCode::OK, "alive\n"),
            (&Method::GET | &Method::HEAD, "/readyz") => self.ready(),
            (&Method::GET, "/metrics") => self.metrics(),
            (&Method::GET, "/api/pools") => self.pools(),
            (&Method::GET, "/api/log") => self.log(),
            (&Method::GET, _) => self.explain(path),
            _ => text(StatusCode::METHOD_NOT_ALLOWED, "read only\n"),
        }
    }

    fn explain(&self, path: &str) -> Response<Vec<u8>> {
        let snapshot = self.proxy.snapshot.load();
        let about = path.strip_prefix("/api/explain/");
        match about.and_then(|about| explain::answer(&self.proxy, &snapshot, about)) {
            Some(said) => answer(StatusCode::OK, "application/json", said.to_string().into_bytes()),
            None => text(StatusCode::NOT_FOUND, "no such page\n"),
        }
    }

    fn log(&self) -> Response<Vec<u8>> {
        let level = json!({ "level": self.level.word() });
        answer(StatusCode::OK, "application/json", level.to_string().into_bytes())
    }

    fn set_log(&self, body: Option<&[u8]>) -> Response<Vec<u8>> {
        let wish = body.and_then(|body| serde_json::from_slice::<Value>(body).ok());
        let level = wish.as_ref().and_then(|wish| wish["level"].as_str());
        if !level.is_some_and(|level| self.level.set(level)) {
            let levels = WORDS.join(", ");
            let right = format!("send for example {{\"level\": \"debug\"}}; the levels are {levels}\n");
            return text(StatusCode::BAD_REQUEST, &right);
        }
        tracing::warn!(level, "the log level was changed");
        self.log()
    }

    fn ready(&self) -> Response<Vec<u8>> {
        if self.proxy.draining.load(Ordering::Relaxed) {
            return text(StatusCode::SERVICE_UNAVAILABLE, "draining\n");
        }
        let snapshot = self.proxy.snapshot.load();
        let unresolved = snapshot
            .pools
            .iter()
            .any(|pool| pool.upstreams.iter().all(|upstream| upstream.addresses().is_empty()));
        if unresolved {
            text(StatusCode::SERVICE_UNAVAILABLE, "a pool has no upstream whose name has resolved\n")
        } else {
            text(StatusCode::OK, "ready\n")
        }
    }

    fn metrics(&self) -> Response<Vec<u8>> {
        let snapshot = self.proxy.snapshot.load();
        match metrics::expose(&self.proxy, &snapshot) {
            Ok(body) => answer(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", body),
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error}\n")),
        }
    }

    fn pools(&self) -> Response<Vec<u8>> {
        let snapshot = self.proxy.snapshot.load();
        let pools: Vec<Value> = snapshot.pools.iter().map(|pool| show(pool)).collect();
        answer(StatusCode::OK, "application/json", json!({ "pools": pools }).to_string().into_bytes())
    }
}

fn show(live: &LivePool) -> Value {
    live.read(|pool| {
        let upstreams: Vec<Value> = pool
            .upstreams()
            .iter()
            .zip(&live.upstreams)
            .map(|(core, adapter)| {
                json!({
                    "name": core.name(),
                    "state": core.state(clock::now()),
                    "in_flight": core.in_flight(),
                    "addresses": adapter.addresses(),
                })
            })
            .collect();
        json!({
            "name": live.name(),
            "panic": pool.in_panic(),
            "healthy": pool.healthy(),
            "retry_budget": pool.budget_balance(),
            "upstreams": upstreams,
        })
    })
}

#[async_trait]
impl ServeHttp for Admin {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let head = session.req_header();
        let host = head.headers.get(header::HOST).and_then(|value| value.to_str().ok());
        if head.headers.contains_key(header::ORIGIN) || !host.is_some_and(is_own) {
            return text(StatusCode::FORBIDDEN, "not from a web page\n");
        }
        if (&head.method, head.uri.path()) == (&Method::POST, "/api/log") {
            let body = timeout(BODY_TIME, body(session)).await.ok().flatten();
            return self.set_log(body.as_deref());
        }
        if (&head.method, head.uri.path()) == (&Method::POST, "/api/upgrade") {
            return self.upgrade().await;
        }
        self.route(&head.method, head.uri.path())
    }
}

/// A small body; none when it breaks off or is too large.
async fn body(session: &mut ServerSession) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(piece) = session.read_request_body().await.ok()? {
        body.extend_from_slice(&piece);
        if body.len() > BODY_MAX {
            return None;
        }
    }
    Some(body)
}

/// An address or `localhost`: a name of anybody's domain could have been pointed at loopback.
fn is_own(authority: &str) -> bool {
    crate::head::host(Some(authority))
        .is_ok_and(|host| host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok())
}

fn json_answer(value: &Value) -> Response<Vec<u8>> {
    answer(StatusCode::OK, "application/json", value.to_string().into_bytes())
}

fn text(status: StatusCode, body: &str) -> Response<Vec<u8>> {
    answer(status, "text/plain; charset=utf-8", body.as_bytes().to_vec())
}

fn answer(status: StatusCode, media_type: &'static str, body: Vec<u8>) -> Response<Vec<u8>> {
    let length = body.len();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, http::HeaderValue::from_static(media_type));
    headers.insert(header::CONTENT_LENGTH, length.into());
    headers.insert(header::CACHE_CONTROL, http::HeaderValue::from_static("no-store"));
    response
}
