//! How a record was fetched: which endpoint answered, how long it took, how many were tried.

use std::time::Duration;

use http::HeaderValue;

use super::text::clean;
use super::{Field, Row};
use crate::source::Fetched;

/// The rows under the record, or under the news that there is none.
#[must_use]
pub fn rows(fetched: &Fetched) -> Vec<Row> {
    let answer = fetched.outcome.as_ref().ok();
    let upstream = header(answer.and_then(|answer| answer.upstream()));
    let attempts = header(answer.and_then(|answer| answer.attempts()));
    vec![
        Row { label: "API Details", field: "api-details", value: upstream },
        Row {
            label: "Total Time Taken",
            field: "total-time-taken",
            value: Field::Known(duration(fetched.elapsed)),
        },
        Row { label: "Attempts", field: "attempts", value: attempts },
    ]
}

/// A time in the unit that fits it: `84 ms`, `1.2 s`.
#[must_use]
pub fn duration(time: Duration) -> String {
    match time.as_millis() {
        0 => "under 1 ms".to_owned(),
        millis @ 1..1000 => format!("{millis} ms"),
        // Tenths are cut, not rounded, as the milliseconds are: a time never reads longer than it was.
        millis => format!("{}.{} s", millis / 1000, millis % 1000 / 100),
    }
}

fn header(value: Option<&HeaderValue>) -> Field {
    let text = value.map(|value| String::from_utf8_lossy(value.as_bytes()).trim().to_owned());
    text.filter(|text| !text.is_empty()).map_or(Field::Absent, |text| Field::Known(clean(&text)))
}
