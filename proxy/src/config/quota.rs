//! What the configuration says of client quotas.

use super::access::Secret;
use aorta_core::limit::Quota;
use http::HeaderName;
use rustls_pki_types::{CertificateDer, ServerName};
use std::time::Duration;

/// How often one client of a route may ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// So often.
    pub quota: Quota,
    /// What tells clients apart.
    pub key: ClientKey,
    /// All proxies with the same store count together.
    pub shared: bool,
    /// Clients that are remembered.
    pub clients_max: usize,
}

/// What tells clients apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientKey {
    /// The address; of IPv6 the /64 network, which is what one client gets.
    Address,
    /// This header's first value; the address where there is none.
    Header(HeaderName),
}

/// Where a fleet counts its clients together.
#[derive(Clone, Debug)]
pub struct QuotaStore {
    /// Its host: a name or an address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// TLS, when it speaks it.
    pub tls: Option<StoreTls>,
    /// The longest that a request waits for it.
    pub timeout: Duration,
    /// Its keys begin with this.
    pub prefix: String,
    /// Clients are hashed with it.
    pub secret: Secret,
    /// A user of its access list; empty is its default user.
    pub username: String,
    /// Its password.
    pub password: Option<Secret>,
}

/// How the store's certificate is judged.
#[derive(Clone, Debug)]
pub struct StoreTls {
    /// The roots it must lead to.
    pub ca: Vec<CertificateDer<'static>>,
    /// The name it must bear.
    pub server_name: ServerName<'static>,
}
