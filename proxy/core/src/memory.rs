//! What a pool knows of its upstreams' health that must outlive the process, as plain data.
//!
//! What an attempt in the old process was about to teach is lost, and so are the counts towards an ejection: they
//! are made anew within seconds. Who is out, until when and for the how manieth time is not.

use crate::order::Ordered;
use crate::outlier::EjectReason;
use crate::time::Timestamp;

/// More ejections than these do not make the next one longer.
pub(crate) const EJECTIONS_MAX: u32 = 32;

/// An upstream as it is remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// Its name in the pool.
    pub name: String,
    /// Whether it was in rotation.
    pub standing: Standing,
    /// Ejections not yet forgiven: each doubles the next one.
    pub ejections: u32,
    /// What an operator last ordered of it.
    pub ordered: Option<Ordered>,
}

/// Where an upstream stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// In rotation.
    In,
    /// In rotation although it should be out: too few others were healthy.
    Kept {
        /// What would have ejected it.
        reason: EjectReason,
    },
    /// Out of rotation.
    Out {
        /// Why.
        reason: EjectReason,
        /// What condemned it when it was last healthy.
        cause: EjectReason,
        /// From here on it may be probed.
        until: Timestamp,
    },
    /// Drained.
    Drained {
        /// What it was out for when that was ordered.
        was_out: Option<EjectReason>,
    },
}

impl Remembered {
    /// There is something to remember.
    #[must_use]
    pub fn is_news(&self) -> bool {
        self.standing != Standing::In || self.ejections > 0 || self.ordered.is_some()
    }
}
