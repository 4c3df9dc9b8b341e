//! The only place that reads the clock and draws by chance; the doors call it, nothing below them does.

use std::hash::{BuildHasher, RandomState};
use std::time::{SystemTime, UNIX_EPOCH};

use fhir::Id;

use crate::time::Timestamp;

/// The time of this machine.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_ms(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// An id nobody else makes: a UUID of version 7 (RFC 9562), so that ids sort by the time they were made.
///
/// It must be unique, not secret: the standard library's hash keys, which the operating system seeds, are chance enough.
pub fn new_id(now: Timestamp) -> Id {
    let chance = || RandomState::new().hash_one(now.ms());
    let ms = now.ms().unsigned_abs() & 0xffff_ffff_ffff;
    let (first, second) = (chance() & 0x0fff, chance() & 0x3fff_ffff_ffff_ffff | 0x8000_0000_0000_0000);
    let text = format!(
        "{:08x}-{:04x}-7{first:03x}-{:04x}-{:012x}",
        ms >> 16,
        ms & 0xffff,
        second >> 48,
        second & 0xffff_ffff_ffff
    );
    text.parse().expect("hexadecimal digits and hyphens are an id")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_uuids_that_sort_by_time_and_differ() {
        let id = new_id(Timestamp::from_ms(1_700_000_000_000));
        assert_eq!(id.as_str().len(), 36);
        assert_eq!(&id.as_str()[..15], "018bcfe5-6800-7");
        assert!(matches!(id.as_str().as_bytes()[19], b'8' | b'9' | b'a' | b'b'));
        assert!(id < new_id(Timestamp::from_ms(1_700_000_000_001)));
        assert_ne!(id, new_id(Timestamp::from_ms(1_700_000_000_000)));
    }
}
