//! Around every page: the host rule before it, the security headers and one log line after it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use super::{App, respond};
use crate::config::Config;
use crate::page;

/// Nothing is loaded but this viewer's own stylesheet and mark; nothing runs, frames, submits elsewhere or is kept.
/// No Strict-Transport-Security: browsers ignore it on plain HTTP, and a TLS front sets its own.
const HEADERS: [(HeaderName, &str); 10] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; \
         frame-ancestors 'none'",
    ),
    (header::CACHE_CONTROL, "no-store"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("permissions-policy"),
        "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), microphone=(), midi=(), \
         payment=(), usb=()",
    ),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-embedder-policy"), "require-corp"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("x-robots-tag"), "noindex, nofollow"),
];

pub(super) async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let start = Instant::now();
    let method = method(request.method());
    let route = route(request.uri().path());
    let mut response = match app.hosts.admits(request.headers()) {
        true => next.run(request).await,
        false => respond(page::notice::unknown_host(&app.config.title)),
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    let (status, elapsed_ms) = (response.status().as_u16(), start.elapsed().as_millis() as u64);
    tracing::info!(method, route, status, elapsed_ms, "answered");
    response
}

/// The method as it is logged: a client may invent one.
fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        _ => "other",
    }
}

/// The address as it is logged: never the request's own text, which could hold anything.
fn route(path: &str) -> &'static str {
    ["/", "/patient", "/style.css", "/icon.svg", "/livez"]
        .into_iter()
        .find(|known| *known == path)
        .unwrap_or("unknown")
}

/// Which names a browser may use. A hostile page can point its own name at this machine (DNS rebinding) and would then
/// read records as if they were its own; it cannot do that with `localhost` or a literal address.
pub(super) enum Hosts {
    Any,
    Local,
    Listed(Vec<String>),
}

impl Hosts {
    pub(super) fn new(config: &Config) -> Self {
        match (config.hosts.is_empty(), config.listen.ip().is_loopback()) {
            (false, _) => Self::Listed(config.hosts.clone()),
            (true, true) => Self::Local,
            (true, false) => Self::Any,
        }
    }

    fn admits(&self, headers: &HeaderMap) -> bool {
        // Browsers always send it; a probe speaking HTTP/1.0 may not.
        let Some(host) = headers.get(header::HOST) else { return true };
        let Ok(host) = host.to_str() else { return false };
        let name = host_name(host);
        match self {
            Self::Any => true,
            Self::Local => is_local(&name),
            Self::Listed(names) => is_local(&name) || names.contains(&name),
        }
    }
}

/// The name without its port, in lower case.
fn host_name(host: &str) -> String {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.split(':').next().unwrap_or_default(),
    };
    name.trim_end_matches('.').to_ascii_lowercase()
}

fn is_local(name: &str) -> bool {
    name == "localhost" || name.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(hosts: &Hosts, host: &str) -> bool {
        hosts.admits(&HeaderMap::from_iter([(header::HOST, HeaderValue::from_str(host).unwrap())]))
    }

    #[test]
    fn a_foreign_name_is_not_answered_on_a_loopback_address() {
        for host in ["localhost", "LOCALHOST:8088", "127.0.0.1:8088", "[::1]:8088", "localhost.:1"] {
            assert!(admits(&Hosts::Local, host), "{host}");
        }
        for host in ["evil.example", "localhost.evil.example:8088", "127.0.0.1.evil.example", "", "[evil"] {
            assert!(!admits(&Hosts::Local, host), "{host}");
        }
    }

    #[test]
    fn listed_names_are_answered_beside_local_ones() {
        let hosts = Hosts::Listed(vec!["viewer.example.org".to_owned()]);
        assert!(admits(&hosts, "Viewer.Example.org:443"));
        assert!(admits(&hosts, "127.0.0.1"));
        assert!(!admits(&hosts, "other.example.org"));
        assert!(admits(&Hosts::Any, "other.example.org"));
    }

    #[test]
    fn an_unknown_path_is_not_logged_as_it_was_sent() {
        assert_eq!(route("/Patient/P123456"), "unknown");
        assert_eq!(route("/patient"), "/patient");
    }
}
