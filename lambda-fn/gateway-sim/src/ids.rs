//! Identifiers as AWS writes them, and the one date format of an event.

use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// The identifiers of one request.
#[derive(Debug, Clone)]
pub struct RequestIds {
    /// `x-amzn-RequestId`: a UUID.
    pub request: String,
    /// `x-amz-apigw-id`: base64 letters.
    pub extended: String,
    /// `x-amzn-trace-id`: `Root=1-…`.
    pub trace: String,
}

impl RequestIds {
    /// New identifiers; `trace` is taken over from the client when it sent one.
    #[must_use]
    pub fn new(now: SystemTime, trace: Option<&str>) -> Self {
        let [a, b, c, d] = [next(), next(), next(), next()];
        let seconds = unix(now) & 0xffff_ffff;
        let trace = trace
            .map_or_else(|| format!("Root=1-{seconds:08x}-{:016x}{:08x}", c, d & 0xffff_ffff), str::to_owned);
        Self { request: uuid(a, b), extended: format!("{:011x}EDI=", c >> 20), trace }
    }
}

/// A random UUID, version 4.
#[must_use]
pub fn request_id() -> String {
    uuid(next(), next())
}

/// `23/Nov/2026:23:32:33 +0000`, the `requestTime` of a REST event.
#[must_use]
pub fn request_time(now: SystemTime) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let seconds = unix(now);
    let (year, month, day) = civil(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    let month = MONTHS[usize::try_from(month - 1).unwrap_or_default().min(11)];
    format!("{day:02}/{month}/{year:04}:{hour:02}:{minute:02}:{second:02} +0000")
}

/// Milliseconds since 1970.
#[must_use]
pub fn unix_millis(now: SystemTime) -> u64 {
    let elapsed = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}

fn unix(now: SystemTime) -> u64 {
    now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Year, month and day of a day counted from 1970 (Howard Hinnant's `civil_from_days`, for days after 1970).
#[must_use]
pub fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let of_era = shifted % 146_097;
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

fn uuid(high: u64, low: u64) -> String {
    format!(
        "{:08x}-{:04x}-4{:03x}-{:x}{:03x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xfff,
        8 | ((low >> 60) & 3),
        (low >> 48) & 0xfff,
        low & 0xffff_ffff_ffff
    )
}

/// `SplitMix64` from a seed of the process: identifiers must differ, they need not be secret.
fn next() -> u64 {
    static SEED: OnceLock<u64> = OnceLock::new();
    static DRAWN: AtomicU64 = AtomicU64::new(1);
    let seed = *SEED.get_or_init(|| RandomState::new().hash_one(std::process::id()));
    let drawn = DRAWN.fetch_add(1, Ordering::Relaxed);
    let mut z = seed.wrapping_add(drawn.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::time::Duration;

    use super::*;

    #[test]
    fn dates_are_written_as_in_a_rest_event() {
        for (seconds, expected) in [
            (0, "01/Jan/1970:00:00:00 +0000"),
            (951_782_400, "29/Feb/2000:00:00:00 +0000"),
            (1_795_476_753, "23/Nov/2026:23:32:33 +0000"),
        ] {
            assert_eq!(request_time(UNIX_EPOCH + Duration::from_secs(seconds)), expected);
        }
    }

    #[test]
    fn request_ids_differ_and_look_like_uuids() {
        let ids: HashSet<String> = (0..1_000).map(|_| request_id()).collect();
        assert_eq!(ids.len(), 1_000);
        assert!(ids.iter().all(|id| id.len() == 36 && id.as_bytes()[14] == b'4'));
    }

    #[test]
    fn a_trace_id_of_the_client_is_kept() {
        let ids = RequestIds::new(UNIX_EPOCH, Some("Root=1-2-3"));
        assert_eq!(ids.trace, "Root=1-2-3");
        let ids = RequestIds::new(UNIX_EPOCH, None);
        assert_eq!(ids.trace.len(), "Root=1-5759e988-bd862e3fe1be46a994272793".len());
    }
}
