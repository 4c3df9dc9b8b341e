//! The admin listener: liveness, readiness, metrics, the state of the pools. Loopback by default.
//!
//! A web page in an operator's browser can send requests to loopback too, so the Host must be an address or
//! `localhost`, and a request that names an Origin is refused.

use crate::clock;
use crate::explain;
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
use std::sync::atomic::Ordering;

/// The admin application.
pub struct Admin {
    proxy: Arc<Proxy>,
}

impl Admin {
    /// Over this proxy's state.
    #[must_use]
    pub const fn new(proxy: Arc<Proxy>) -> Self {
        Self { proxy }
    }

    fn route(&self, method: &Method, path: &str) -> Response<Vec<u8>> {
        match (method, path) {
            (&Method::GET | &Method::HEAD, "/livez") => text(StatusCode::OK, "alive\n"),
            (&Method::GET | &Method::HEAD, "/readyz") => self.ready(),
            (&Method::GET, "/metrics") => self.metrics(),
            (&Method::GET, "/api/pools") => self.pools(),
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
        self.route(&head.method, head.uri.path())
    }
}

/// An address or `localhost`: a name of anybody's domain could have been pointed at loopback.
fn is_own(authority: &str) -> bool {
    crate::head::host(Some(authority))
        .is_ok_and(|host| host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok())
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
