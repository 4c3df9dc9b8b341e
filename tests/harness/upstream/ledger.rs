//! What a scripted upstream remembers: every request it saw, and every request that took effect.

use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::time::Instant;

/// The header by which a client marks a request whose executions are counted.
pub const MARKER: &str = "x-marker";

/// One request as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// When it had arrived.
    pub at: Instant,
    /// The connection it came on: the first is 1.
    pub connection: usize,
    /// `1.0`, `1.1` or `2`.
    pub version: &'static str,
    /// Its method.
    pub method: String,
    /// Path and query, as sent.
    pub target: String,
    /// Header fields in the order they came, names in lower case; `host` holds `:authority` for HTTP/2.
    pub headers: Vec<(String, String)>,
    /// The body's length.
    pub body_len: usize,
    /// The body's hash.
    pub body_hash: String,
}

impl Seen {
    /// The first value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(held, _)| held == name).map(|(_, value)| value.as_str())
    }

    /// The marker its executions are counted under.
    #[must_use]
    pub fn marker(&self) -> Option<&str> {
        self.header(MARKER)
    }

    /// It is the proxy's own check.
    #[must_use]
    pub fn is_check(&self) -> bool {
        self.header("user-agent") == Some("aorta-proxy-check")
    }

    /// Its path without the query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }
}

/// Everything one upstream remembers.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Every request whose head and body were read.
    pub seen: Vec<Seen>,
    /// How often each marked request took effect.
    pub executed: BTreeMap<String, u32>,
    /// Connections accepted.
    pub connections: usize,
    /// Connections that are over.
    pub closed: usize,
}

impl Ledger {
    /// Forgets what was seen, and keeps what took effect: for runs that would fill the memory.
    pub fn forget(&mut self) {
        self.seen.clear();
    }

    /// Books that a request took effect.
    pub fn execute(&mut self, seen: &Seen) {
        if let Some(marker) = seen.marker() {
            *self.executed.entry(marker.to_owned()).or_default() += 1;
        }
    }
}

/// A body's hash, as the harness compares them everywhere.
#[must_use]
pub fn hash(body: &[u8]) -> String {
    use std::fmt::Write;
    Sha256::digest(body).iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
