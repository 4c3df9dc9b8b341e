//! The configuration in three stages: what the file says ([`raw`]), what it means ([`Config`], made by
//! [`resolve`]), and what is in force (the snapshot, which joins it with live state).
//!
//! A [`Config`] cannot hold a bad value: everything was parsed at the door, every mistake was reported at once
//! ([`problem`]), and secrets were read ([`secrets`]). Every key stands once, in [`keys`]; [`block`] reads by
//! it, and [`schema()`] is made from it.

pub mod access;
mod audit;
mod block;
mod certificates;
mod keys;
mod load;
mod nearest;
mod networks;
mod outside;
mod problem;
mod quota;
mod raw;
mod renewable;
mod resolve;
mod scenario;
mod schema;
mod secrets;
mod settings;
mod sigv4;
mod units;

pub use audit::{Audit, Audited};
pub use load::{Summary, check, load, load_noting, load_scenario, parse};
pub use networks::Networks;
pub use outside::Files;
pub use problem::{At, Problem, Problems};
pub use quota::{ClientKey, QuotaStore, RateLimit, StoreTls};
pub use renewable::Renewable;
pub use scenario::{Expect, Scenario};
pub use schema::{scenario_schema, schema};
pub use settings::{Difference, Settings};
pub use sigv4::HEADERS as SIGNATURE_HEADERS;
pub use sigv4::Sigv4;
pub use units::{duration as parse_duration, show_duration};

use aorta_core::pool::PoolSpec;
use aorta_core::route::RouteTable;
use http::{HeaderName, HeaderValue};
use rustls::sign::CertifiedKey;
use rustls_pki_types::CertificateDer;
use serde_json::Value;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Everything the proxy is told.
#[derive(Debug)]
pub struct Config {
    /// Where it accepts.
    pub listeners: Vec<Listener>,
    /// Where metrics and the admin API are.
    pub admin: SocketAddr,
    /// Who may ask there for what.
    pub access: access::Access,
    /// How the process ends.
    pub shutdown: Shutdown,
    /// What outlives the process is written here.
    pub state_dir: PathBuf,
    /// Bytes that held answers and replayable bodies of all requests may take together.
    pub buffers_total: usize,
    /// What it logs.
    pub log: Log,
    /// Where it tells the spans of requests, if anywhere.
    pub traces: Option<Traces>,
    /// Where audit entries go, if there are any.
    pub audit: Option<Audit>,
    /// Where a fleet counts its clients together, if anywhere.
    pub quota_store: Option<QuotaStore>,
    /// Which request belongs where; a route's `pool` is an index into `pools`.
    pub routes: RouteTable,
    /// What applies to each route beyond its match, in the order of `routes.routes()`.
    pub route_settings: Vec<RouteSettings>,
    /// Whom it asks.
    pub pools: Vec<PoolConfig>,
    /// How often its files are looked at for a change; zero is never.
    pub watch: Duration,
    /// Every key with a print of what it is set to.
    pub settings: Settings,
    /// A hash of the file's text: the same in every proxy of a fleet that runs by the same file.
    pub hash: u64,
}

/// An address to accept on.
#[derive(Clone, Debug)]
pub struct Listener {
    /// Address and port.
    pub address: SocketAddr,
    /// TLS, when it speaks it.
    pub tls: Option<ListenerTls>,
    /// What a client may use.
    pub limits: Limits,
    /// Proxies before this one that are believed about who their clients are.
    pub trusted_proxies: Networks,
}

/// A listener's certificate.
#[derive(Clone, Debug)]
pub struct ListenerTls {
    /// With its chain and its key, which fits.
    pub certified: Arc<CertifiedKey>,
    /// When the leaf ends, in Unix seconds; none when it does not say so in a way that can be read.
    pub not_after_unix: Option<i64>,
}

/// What one client may use of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Request line and header block, in bytes.
    pub header_bytes: usize,
    /// From the first byte of a request to the end of its header block.
    pub header_time: Duration,
    /// Request body, in bytes.
    pub body_bytes: usize,
    /// From the end of the header block to the end of the body.
    pub body_time: Duration,
    /// Connections open at once.
    pub connections: usize,
    /// Of them from one address.
    pub connections_per_client: usize,
}

/// How the process ends, on SIGTERM and when another one has taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shutdown {
    /// Readiness fails this long before the listeners close.
    pub unready: Duration,
    /// An idle client connection is kept this long after that, for one more request.
    pub idle: Duration,
    /// The longest wait for what is in flight, from the moment the listeners close.
    pub limit: Duration,
}

/// What the proxy logs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Log {
    /// The least severe level that is written.
    pub level: tracing::level_filters::LevelFilter,
    /// Which requests leave an access line.
    pub access: AccessLog,
}

/// Where spans are told.
#[derive(Clone, Debug, PartialEq)]
pub struct Traces {
    /// The collector's address for traces, as OTLP over HTTP.
    pub endpoint: String,
    /// The share of the traces begun here that is told; who began elsewhere says so himself.
    pub sampled: f64,
}

/// Which requests leave an access line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum AccessLog {
    /// Every one.
    All,
    /// This share of them, and every failed one.
    Sampled(f64),
    /// Failed ones.
    Errors,
    /// None.
    Off,
}

/// What applies to a route beyond its match.
#[derive(Clone, Debug, Default)]
pub struct RouteSettings {
    /// Taken off the path before the upstream's base path is joined; empty, or `/…` without closing slash.
    pub strip_prefix: String,
    /// How often one client may ask.
    pub rate_limit: Option<RateLimit>,
    /// Whether its requests leave audit entries.
    pub audit: Audited,
}

/// A pool, as the core and the adapter need it.
#[derive(Debug)]
pub struct PoolConfig {
    /// The core's part; its upstreams stand in the order of `upstreams`.
    pub spec: Arc<PoolSpec>,
    /// The adapter's part of each upstream.
    pub upstreams: Vec<Arc<UpstreamConfig>>,
    /// What a hashing policy hashes a request by.
    pub hash_key: Option<HashKey>,
    /// A Lambda envelope becomes the response it carries.
    pub unwrap_envelope: bool,
    /// What marks a page link of each upstream; empty where any upstream continues what another began.
    pub page_marks: Vec<String>,
    /// What `x-aorta-upstream` tells the client.
    pub reveal_upstream: Reveal,
    /// Answers of at least so many bytes are compressed for clients that take it; none compresses nothing.
    pub compress_min: Option<usize>,
    /// The proxy's own check request.
    pub check: Option<Check>,
    /// Longer request bodies are refused before they are sent.
    pub body_max: usize,
    /// Request bodies up to this many bytes are kept to be replayed.
    pub replay_body_max: usize,
    /// Answers are held until complete or until this many bytes.
    pub hold_max: usize,
}

/// The part of a request that a hashing policy hashes it by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashKey {
    /// The client's address.
    ClientIp,
    /// This header's first value.
    Header(HeaderName),
    /// This cookie's first value.
    Cookie(String),
}

/// What `x-aorta-upstream` tells the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reveal {
    /// Nothing: the header is absent.
    #[default]
    Off,
    /// The upstream's name.
    Name,
    /// The upstream's URL.
    Url,
}

/// A request of the proxy's own, and what a working upstream answers.
#[derive(Clone, Debug)]
pub struct Check {
    /// Below the upstream's base path, with its query.
    pub path: String,
    /// Its status is one of these.
    pub statuses: Vec<RangeInclusive<u16>>,
    /// It bears these headers.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Its JSON holds these members: names and places in lists, with dots between, and their values.
    pub members: Vec<(String, Value)>,
}

/// Where an upstream is and how to speak to it.
#[derive(Clone, Debug)]
pub struct UpstreamConfig {
    /// Its name in the pool.
    pub name: String,
    /// As the operator wrote it, without a closing slash.
    pub url: String,
    /// Speak TLS.
    pub tls: bool,
    /// Name or address: what is resolved, and the default for Host and SNI.
    pub host: String,
    /// The port to connect to.
    pub port: u16,
    /// The `Host` header: the host, and the port where it is not the scheme's own.
    pub authority: HeaderValue,
    /// Joined before every path: empty, or `/…` without closing slash.
    pub base_path: String,
    /// Connect here instead of resolving the host; may be empty.
    pub addresses: Vec<SocketAddr>,
    /// The name its certificate must bear and that is sent as SNI.
    pub server_name: String,
    /// Trust these roots only; none trusts the system's.
    pub ca: Option<Vec<CertificateDer<'static>>>,
    /// Set on every request to it; values are secrets and are never shown.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// How requests to it are signed; none leaves them as they are.
    pub sigv4: Option<Sigv4>,
}

impl UpstreamConfig {
    /// Connections to the one serve the other as well.
    #[must_use]
    pub fn is_at_same_site(&self, other: &Self) -> bool {
        let place = |of: &Self| (of.tls, of.port);
        place(self) == place(other)
            && self.host == other.host
            && self.addresses == other.addresses
            && self.server_name == other.server_name
            && self.ca == other.ca
    }
}

#[cfg(test)]
mod tests;
