//! Values that carry their unit: `35s`, `6MiB`; and plain counts.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::node::Node;
use super::reader::{Wrong, wrong};

/// A duration such as `500ms`, `35s` or `2m`, within bounds.
pub(super) fn duration(node: &Node, bounds: RangeInclusive<Duration>) -> Result<Duration, Wrong> {
    let right =
        format!("a duration from {:?} to {:?}, such as 500ms, 35s or 2m", bounds.start(), bounds.end());
    let (number, unit) = split(node.text(&right)?);
    let millis = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        _ => return Err(wrong(node, "is no duration", &right)),
    };
    number
        .and_then(|number| number.checked_mul(millis))
        .map(Duration::from_millis)
        .filter(|duration| bounds.contains(duration))
        .ok_or_else(|| wrong(node, "is out of bounds", &right))
}

/// A size in bytes such as `64KiB` or `6MiB`, within bounds.
pub(super) fn size(node: &Node, bounds: RangeInclusive<usize>) -> Result<usize, Wrong> {
    let right =
        format!("a size from {} B to {} MiB, such as 64KiB or 6MiB", bounds.start(), bounds.end() >> 20);
    let (number, unit) = split(node.text(&right)?);
    let bytes = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        _ => return Err(wrong(node, "is no size", &right)),
    };
    number
        .and_then(|number| number.checked_mul(bytes))
        .and_then(|size| usize::try_from(size).ok())
        .filter(|size| bounds.contains(size))
        .ok_or_else(|| wrong(node, "is out of bounds", &right))
}

/// A whole number without unit, within bounds.
pub(super) fn count(node: &Node, bounds: RangeInclusive<u32>) -> Result<u32, Wrong> {
    let right = format!("a whole number from {} to {}", bounds.start(), bounds.end());
    let Node::Number(text) = node else { return Err(wrong(node, "is no number", &right)) };
    text.parse()
        .ok()
        .filter(|count| bounds.contains(count))
        .ok_or_else(|| wrong(node, "is out of bounds", &right))
}

/// The digits in front and what follows them.
fn split(text: &str) -> (Option<u64>, &str) {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    (number.parse().ok(), unit.trim_start())
}
