//! The only clock of this crate: it gives the core its timestamps.

use aorta_core::time::Timestamp;
use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Now, on the core's scale.
#[must_use]
pub fn now() -> Timestamp {
    Timestamp::ZERO + START.elapsed()
}

/// The instant a timer must be set to for the core's `moment`.
#[must_use]
pub fn instant(moment: Timestamp) -> tokio::time::Instant {
    tokio::time::Instant::from_std(*START + Timestamp::ZERO.until(moment))
}

/// Unix time.
#[must_use]
pub fn unix() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
