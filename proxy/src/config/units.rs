//! Durations and sizes as operators write them: a whole number and its unit.

use std::ops::RangeInclusive;
use std::time::Duration;

const DURATION_UNITS: [(&str, u64); 4] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];
const SIZE_UNITS: [(&str, u64); 4] = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

/// What a duration looks like, for the schema.
pub(super) const DURATION_PATTERN: &str = "^[0-9]+(ms|s|m|h)$";
/// What a size looks like, for the schema.
pub(super) const SIZE_PATTERN: &str = "^[0-9]+(B|KiB|MiB|GiB)$";

/// What a range of statuses looks like, for the schema.
pub(super) const STATUSES_PATTERN: &str = "^[2-4][0-9]{2}(-[2-4][0-9]{2})?$";

/// Reads `200` or `200-299`.
pub(super) fn statuses(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let status = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?;
    let (first, last) = (status(first)?, status(last)?);
    (first <= last).then_some(first..=last)
}

/// Reads `250ms`, `2s`, `5m` or `1h`.
#[must_use]
pub fn duration(text: &str) -> Option<Duration> {
    parse(text, &DURATION_UNITS).map(Duration::from_millis)
}

/// Reads `512B`, `64KiB`, `10MiB` or `1GiB`, in bytes.
pub(super) fn size(text: &str) -> Option<u64> {
    parse(text, &SIZE_UNITS)
}

/// Writes a duration in the largest unit that needs no fraction.
#[must_use]
pub fn show_duration(duration: Duration) -> String {
    show(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX), &DURATION_UNITS)
}

/// Writes a size in the largest unit that needs no fraction.
pub(super) fn show_size(bytes: u64) -> String {
    show(bytes, &SIZE_UNITS)
}

fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let (digits, unit) = text.split_at(end);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    digits.parse::<u64>().ok()?.checked_mul(*factor)
}

fn show(value: u64, units: &[(&str, u64)]) -> String {
    let fits = |(_, factor): &&(&str, u64)| value != 0 && value.is_multiple_of(*factor);
    let (unit, factor) = units.iter().rev().find(fits).unwrap_or(&units[0]);
    format!("{}{unit}", value / factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_number_and_its_unit() {
        for text in ["250ms", "2s", "5m", "1h", "0ms"] {
            assert_eq!(duration(text).map(show_duration).as_deref(), Some(text));
        }
        for wrong in
            ["", "2", "s", "2 s", "-2s", "1.5s", "2d", "2S", "99999999999999999999s", "9999999999999999h"]
        {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn statuses_are_one_or_a_range() {
        assert_eq!(statuses("204"), Some(204..=204));
        assert_eq!(statuses("200-299"), Some(200..=299));
        for wrong in ["", "-", "2xx", "299-200", "200-", "200 - 299", "+200", "99999"] {
            assert_eq!(statuses(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_size_is_a_number_and_its_unit() {
        for text in ["512B", "64KiB", "10MiB", "1GiB", "0B"] {
            assert_eq!(size(text).map(show_size).as_deref(), Some(text));
        }
        for wrong in ["", "64", "64kb", "64KB", "64K", "1.5MiB", "-1B", "99999999999999999GiB"] {
            assert_eq!(size(wrong), None, "{wrong}");
        }
    }
}
