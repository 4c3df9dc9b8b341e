//! What everybody may ask who reaches the port: does it live, would it serve, how does it do.

use super::answer::{Answer, text, whole};
use crate::metrics;
use crate::service::Proxy;
use http::StatusCode;
use std::sync::atomic::Ordering;

/// New clients would be served.
pub(super) fn ready(proxy: &Proxy) -> Answer {
    if proxy.draining.load(Ordering::Relaxed) {
        return text(StatusCode::SERVICE_UNAVAILABLE, "draining\n");
    }
    let snapshot = proxy.snapshot.load();
    let unresolved = snapshot
        .pools
        .iter()
        .any(|pool| pool.upstreams.iter().all(|upstream| upstream.site.addresses().is_empty()));
    if unresolved {
        text(StatusCode::SERVICE_UNAVAILABLE, "a pool has no upstream whose name has resolved\n")
    } else {
        text(StatusCode::OK, "ready\n")
    }
}

/// For Prometheus.
pub(super) fn metrics(proxy: &Proxy) -> Answer {
    match metrics::expose(proxy) {
        Ok(body) => whole(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", body),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error}\n")),
    }
}
