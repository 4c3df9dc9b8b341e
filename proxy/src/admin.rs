//! The admin port: every route of it, with the right it needs. Liveness, readiness and metrics are for everybody
//! who can reach it; the rest is for whom [`rights`] lets in.
//!
//! A web page in an operator's browser can send requests to loopback too, so the Host must be an address or
//! `localhost`, and a request that names an Origin is refused.

mod answer;
mod config;
mod drills;
mod orders;
mod page;
mod pools;
mod probes;
mod rights;
mod settings;
mod upgrade;

use crate::audit::Order;
use crate::config::access::Right;
use crate::handover::Program;
use crate::log_level::LogLevel;
use crate::reload::Reloads;
use crate::service::Proxy;
use answer::Answer;
use async_trait::async_trait;
use http::{HeaderMap, Method, Response, StatusCode, header};
use orders::Verb;
use pingora::apps::http_app::ServeHttp;
use pingora::protocols::http::ServerSession;
use rights::{Caller, Credentials};
use serde_json::Value;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tokio::time::timeout;

/// Every route; `*` stands for one word of the path.
static ROUTES: [Route; 22] = [
    get("/", READ, Ask::Page),
    get("/style.css", READ, Ask::Style),
    get("/livez", None, Ask::Live),
    get("/readyz", None, Ask::Ready),
    get("/metrics", None, Ask::Metrics),
    get("/api/config", READ, Ask::Config),
    post("/api/reload", WRITE, Ask::Reload),
    get("/api/pools", READ, Ask::Pools),
    post("/api/pools/*/upstreams/*/drain", WRITE, Ask::Order(Verb::Drain)),
    post("/api/pools/*/upstreams/*/undrain", WRITE, Ask::Order(Verb::Undrain)),
    post("/api/pools/*/upstreams/*/eject", WRITE, Ask::Order(Verb::Eject)),
    post("/api/pools/*/upstreams/*/readmit", WRITE, Ask::Order(Verb::Readmit)),
    get("/api/explain/pools/*", READ, Ask::Explain),
    get("/api/explain/pools/*/upstreams/*", READ, Ask::Explain),
    get("/api/explain/requests/*", READ, Ask::Explain),
    get("/api/log", READ, Ask::Log),
    post("/api/log", WRITE, Ask::SetLog),
    get("/api/drills", READ, Ask::Drills),
    get("/api/drills/*", READ, Ask::Drill),
    post("/api/drills", WRITE, Ask::BeginDrill),
    post("/api/drills/*/stop", WRITE, Ask::StopDrill),
    post("/api/upgrade", WRITE, Ask::Upgrade),
];

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ask {
    Page,
    Style,
    Live,
    Ready,
    Metrics,
    Config,
    Reload,
    Pools,
    Order(Verb),
    Explain,
    Log,
    SetLog,
    Drills,
    Drill,
    BeginDrill,
    StopDrill,
    Upgrade,
}

/// One way to ask for it.
#[derive(Debug)]
struct Route {
    /// Or HEAD, where it is GET.
    method: Method,
    pattern: &'static str,
    /// None: everybody may.
    right: Option<Right>,
    ask: Ask,
}

const READ: Option<Right> = Some(Right::Read);
const WRITE: Option<Right> = Some(Right::Write);

const fn get(pattern: &'static str, right: Option<Right>, ask: Ask) -> Route {
    Route { method: Method::GET, pattern, right, ask }
}

const fn post(pattern: &'static str, right: Option<Right>, ask: Ask) -> Route {
    Route { method: Method::POST, pattern, right, ask }
}

impl Route {
    /// The words of a path where this pattern has stars; none when it is another path.
    fn words<'a>(&self, path: &'a str) -> Option<Vec<&'a str>> {
        let (mut wanted, mut words) = (self.pattern.split('/'), Vec::new());
        for word in path.split('/') {
            match wanted.next()? {
                "*" => words.push(word),
                same if same == word => {}
                _ => return None,
            }
        }
        wanted.next().is_none().then_some(words)
    }

    fn takes(&self, method: &Method) -> bool {
        self.method == *method || self.method == Method::GET && *method == Method::HEAD
    }
}

/// One request, let in.
struct Call<'a> {
    path: &'a str,
    headers: &'a HeaderMap,
    /// What stands in the path where the route has stars.
    words: Vec<&'a str>,
    caller: Caller,
    /// None when it broke off or was too large.
    body: Option<Vec<u8>>,
}

/// What is posted here is a few words.
const BODY_MAX: usize = 4096;
/// It is on its way when its head is.
const BODY_TIME: Duration = Duration::from_secs(5);

/// The admin application.
pub struct Admin {
    proxy: Arc<Proxy>,
    reloads: Arc<Reloads>,
    level: LogLevel,
    program: Program,
    /// Somebody upgrades already.
    upgrading: AtomicBool,
}

impl Admin {
    /// Over this proxy's state.
    #[must_use]
    pub const fn new(proxy: Arc<Proxy>, reloads: Arc<Reloads>, level: LogLevel, program: Program) -> Self {
        Self { proxy, reloads, level, program, upgrading: AtomicBool::new(false) }
    }

    async fn answer(&self, ask: Ask, call: &Call<'_>) -> Answer {
        match ask {
            Ask::Page => page::show(&self.proxy, &self.reloads, call.headers),
            Ask::Style => page::style(),
            Ask::Live => answer::text(StatusCode::OK, "alive\n"),
            Ask::Ready => probes::ready(&self.proxy),
            Ask::Metrics => probes::metrics(&self.proxy),
            Ask::Config => self.config(),
            Ask::Reload => self.reload().await,
            Ask::Pools => pools::show(&self.proxy),
            Ask::Order(verb) => {
                orders::give(&self.proxy, verb, &call.words, &call.caller, call.body.as_deref()).await
            }
            Ask::Explain => pools::explain(&self.proxy, call.path),
            Ask::Log => settings::log(&self.level),
            Ask::SetLog => settings::set_log(&self.level, call.body.as_deref()),
            Ask::Drills => drills::list(&self.proxy),
            Ask::Drill => drills::show(&self.proxy, &call.words),
            Ask::BeginDrill => drills::begin(&self.proxy, call).await,
            Ask::StopDrill => drills::stop(&self.proxy, &call.words),
            Ask::Upgrade => self.upgrade().await,
        }
    }

    /// An order leaves an audit entry, where there are any, whether it was carried out or not.
    fn record(&self, route: &Route, call: &Call<'_>, status: StatusCode) {
        let Some(audit) = &self.proxy.audit else { return };
        let said = call.body.as_deref().and_then(|body| serde_json::from_slice::<Value>(body).ok());
        let reason = said.as_ref().and_then(|said| said["reason"].as_str()).unwrap_or_default();
        audit.order(&Order {
            who: &call.caller.name,
            order: route.pattern,
            on: &call.words.join("/"),
            reason,
            status: status.as_u16(),
        });
    }

    /// What to do about a request, or the answer that refuses it.
    fn admit(&self, session: &ServerSession) -> Result<(&'static Route, Caller), Box<Answer>> {
        let head = session.req_header();
        let host = head.headers.get(header::HOST).and_then(|value| value.to_str().ok());
        if head.headers.contains_key(header::ORIGIN) || !host.is_some_and(is_own) {
            return Err(Box::new(answer::text(StatusCode::FORBIDDEN, "not from a web page\n")));
        }
        let snapshot = self.proxy.snapshot.load();
        let caller = rights::judge(&snapshot.admin, &credentials(session, &head.headers));
        let path = head.uri.path();
        let here = || ROUTES.iter().filter(|route| route.words(path).is_some());
        let Some(route) = here().find(|route| route.takes(&head.method)) else {
            // Who may not look learns nothing, not even what there is to look at.
            rights::demand(&caller, READ)?;
            return Err(Box::new(answer::nothing(here().map(|route| &route.method))));
        };
        rights::demand(&caller, route.right)?;
        Ok((route, caller.unwrap_or_else(|_| Caller::nobody())))
    }
}

#[async_trait]
impl ServeHttp for Admin {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let (route, caller) = match self.admit(session) {
            Ok(admitted) => admitted,
            Err(refused) => return *refused,
        };
        let body = match route.method {
            Method::POST => timeout(BODY_TIME, body(session)).await.ok().flatten(),
            _ => Some(Vec::new()),
        };
        let head = session.req_header();
        let path = head.uri.path();
        let words = route.words(path).unwrap_or_default();
        let call = Call { path, headers: &head.headers, words, caller, body };
        let answer = self.answer(route.ask, &call).await;
        if route.method == Method::POST {
            self.record(route, &call, answer.status());
        }
        answer
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

fn credentials<'a>(session: &ServerSession, headers: &'a HeaderMap) -> Credentials<'a> {
    // Both ends: what a service mesh passes on comes from loopback too, but not to it.
    let ends = [session.client_addr(), session.server_addr()];
    let is_loopback = |ip: IpAddr| ip.to_canonical().is_loopback();
    let local = ends
        .iter()
        .all(|end| end.and_then(|end| end.as_inet()).is_some_and(|address| is_loopback(address.ip())));
    Credentials { local, shown: headers.get(header::AUTHORIZATION).map(http::HeaderValue::as_bytes) }
}

/// An address or `localhost`: a name of anybody's domain could have been pointed at loopback.
fn is_own(authority: &str) -> bool {
    crate::head::host(Some(authority))
        .is_ok_and(|host| host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(method: &Method, path: &str) -> Option<(Ask, Option<Right>, Vec<String>)> {
        let route = ROUTES.iter().find(|route| route.takes(method) && route.words(path).is_some())?;
        let words = route.words(path)?.into_iter().map(ToOwned::to_owned).collect();
        Some((route.ask, route.right, words))
    }

    #[test]
    fn what_changes_something_is_posted_and_needs_the_right_to_write() {
        for route in &ROUTES {
            let changes = route.method == Method::POST;
            assert_eq!(changes, route.right == WRITE, "{route:?}");
            assert!(changes || route.method == Method::GET, "{route:?}");
        }
    }

    #[test]
    fn only_probes_and_metrics_are_for_everybody() {
        let open: Vec<_> =
            ROUTES.iter().filter(|route| route.right.is_none()).map(|route| route.pattern).collect();
        assert_eq!(open, ["/livez", "/readyz", "/metrics"]);
    }

    #[test]
    fn a_path_is_taken_word_by_word() {
        let words = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
        let explain = |asked: &[&str]| Some((Ask::Explain, READ, words(asked)));
        assert_eq!(found(&Method::GET, "/api/explain/pools/records"), explain(&["records"]));
        assert_eq!(found(&Method::GET, "/api/explain/pools/a/upstreams/b"), explain(&["a", "b"]));
        assert_eq!(found(&Method::HEAD, "/livez"), Some((Ask::Live, None, Vec::new())));
        for strange in
            ["/livez/", "//livez", "/api", "/api/explain/pools", "/api/explain/pools/a/b", "/metrics/x"]
        {
            assert_eq!(found(&Method::GET, strange), None, "{strange}");
        }
        assert_eq!(found(&Method::POST, "/metrics"), None);
    }
}
