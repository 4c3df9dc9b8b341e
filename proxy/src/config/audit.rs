//! What the configuration says of the audit trail.

use super::access::Secret;
use std::path::PathBuf;

/// Where audit entries go.
#[derive(Clone, Debug)]
pub struct Audit {
    /// The file.
    pub file: PathBuf,
    /// Pseudonyms of records are made with it; none: there are none.
    pub key: Option<Secret>,
}

/// Whether the requests of a route leave audit entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Audited {
    /// None does.
    #[default]
    Off,
    /// Each does; when the file cannot be written, requests are served all the same.
    Open,
    /// Each does; when the file cannot be written, requests are refused.
    Closed,
}
