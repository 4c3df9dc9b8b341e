//! Who may ask the admin port for what.

use std::fmt;
use subtle::ConstantTimeEq as _;

/// What whoever is on this machine is called, where nobody has a token.
pub const LOOPBACK: &str = "loopback";

/// Who may ask for more than the probes and the metrics.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// Who they are; none: whoever is on this machine may do everything, and nobody else anything.
    pub tokens: Vec<Token>,
    /// Other machines get the probes and the metrics only, whatever they bear.
    pub probes_only: bool,
}

/// Somebody who may.
#[derive(Clone, Debug)]
pub struct Token {
    /// Who.
    pub name: String,
    /// What.
    pub right: Right,
    /// By what they are known.
    pub secret: Secret,
}

/// What somebody may do; who may write may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// Look.
    Read,
    /// Give orders.
    Write,
}

/// What nobody may see.
#[derive(Clone)]
pub struct Secret(Box<[u8]>);

impl Secret {
    /// These bytes.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// It is this; how long the comparison takes tells at most its length.
    #[must_use]
    pub fn is(&self, bytes: &[u8]) -> bool {
        self.0.ct_eq(bytes).into()
    }

    /// To be sent to the admin port it opens.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}
