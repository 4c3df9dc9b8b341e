//! The only clock of this crate: it gives the core its timestamps.

use aorta_core::time::Timestamp;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::LazyLock;
use std::task::Poll;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::time::timeout_at;

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

/// The moment that is this far away.
#[must_use]
pub fn after(pause: Duration) -> tokio::time::Instant {
    tokio::time::Instant::now() + pause
}

/// Waits for work until a moment, and says nothing when it is not done by then. The moment is asked for only where there
/// is anything to wait for: what is done at once needs neither the clock nor a timer.
pub async fn in_time<T>(
    until: impl FnOnce() -> tokio::time::Instant,
    work: impl Future<Output = T>,
) -> Option<T> {
    let mut work = pin!(work);
    match poll_fn(|context| Poll::Ready(work.as_mut().poll(context))).await {
        Poll::Ready(done) => Some(done),
        Poll::Pending => timeout_at(until(), work).await.ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, ready};

    #[tokio::test]
    async fn what_is_done_at_once_asks_for_no_time_and_what_is_late_says_nothing() {
        assert_eq!(in_time(|| unreachable!("it is done"), ready(1)).await, Some(1));
        assert_eq!(in_time(tokio::time::Instant::now, pending::<()>()).await, None);
        let later = async {
            tokio::task::yield_now().await;
            2
        };
        assert_eq!(in_time(|| instant(now() + Duration::from_secs(60)), later).await, Some(2));
    }
}
