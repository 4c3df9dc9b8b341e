//! Partial dates as intervals: what `1985-04` means is all of that month.

use std::fmt;

use crate::time::{Timestamp, days_of_month};

/// The span of time that a FHIR date, dateTime or instant covers, from its first to its last millisecond. Without an
/// offset it is read as UTC (<https://hl7.org/fhir/R4/search.html#date>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// The first millisecond.
    pub low: Timestamp,
    /// The last millisecond, still inside.
    pub high: Timestamp,
}

/// How a searched interval S relates to a stored one T.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// S contains T.
    Eq,
    /// S does not contain T.
    Ne,
    /// T reaches below S.
    Lt,
    /// T reaches above S.
    Gt,
    /// `Lt` or `Eq`.
    Le,
    /// `Gt` or `Eq`.
    Ge,
    /// T starts after S.
    Sa,
    /// T ends before S.
    Eb,
}

/// The text is no date of FHIR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidDate;

impl Comparison {
    /// The comparison a value of a date parameter asks for, and the date behind it. No prefix means `eq`; `ap`
    /// (approximately) is not offered.
    pub fn split(text: &str) -> Result<(Self, Interval), InvalidDate> {
        let known = [
            ("eq", Self::Eq),
            ("ne", Self::Ne),
            ("lt", Self::Lt),
            ("gt", Self::Gt),
            ("le", Self::Le),
            ("ge", Self::Ge),
            ("sa", Self::Sa),
            ("eb", Self::Eb),
        ];
        let prefixed =
            known.iter().find_map(|(prefix, comparison)| Some((*comparison, text.strip_prefix(prefix)?)));
        let (comparison, date) = prefixed.unwrap_or((Self::Eq, text));
        Ok((comparison, Interval::parse(date)?))
    }
}

impl Interval {
    /// Reads `YYYY`, `YYYY-MM`, `YYYY-MM-DD` or a dateTime down to minutes, seconds or fractions, with or without an
    /// offset.
    pub fn parse(text: &str) -> Result<Self, InvalidDate> {
        let (date, time) = match text.split_once('T') {
            Some((date, time)) => (date, Some(time)),
            None => (text, None),
        };
        let mut fields = date.split('-');
        let year = i64::from(digits(fields.next(), 4)?);
        let month = fields.next().map(|month| digits(Some(month), 2)).transpose()?;
        let day = fields.next().map(|day| digits(Some(day), 2)).transpose()?;
        if fields.next().is_some() || (time.is_some() && day.is_none()) {
            return Err(InvalidDate);
        }
        let low = Timestamp::of_date(year, month.unwrap_or(1), day.unwrap_or(1)).ok_or(InvalidDate)?;
        let Some(time) = time else {
            let last_month = month.unwrap_or(12);
            let last_day = day.unwrap_or_else(|| days_of_month(year, last_month));
            let last = Timestamp::of_date(year, last_month, last_day).ok_or(InvalidDate)?;
            return Ok(Self { low, high: Timestamp::from_ms(last.ms() + 86_399_999) });
        };
        let (offset_ms, length_ms) = time_of_day(time)?;
        let low = low.ms() + offset_ms;
        Ok(Self { low: Timestamp::from_ms(low), high: Timestamp::from_ms(low + length_ms - 1) })
    }

    /// The span between two dates, either of which may be open, as a Period says it.
    pub fn between(start: Option<Self>, end: Option<Self>) -> Self {
        Self {
            low: start.map_or(Timestamp::MIN, |start| start.low),
            high: end.map_or(Timestamp::MAX, |end| end.high),
        }
    }
}

/// Milliseconds since midnight UTC (outside the day where an offset says so), and how long the named span lasts.
fn time_of_day(text: &str) -> Result<(i64, i64), InvalidDate> {
    let split = text.find(['Z', '+', '-', ' ']).unwrap_or(text.len());
    let (clock, zone) = text.split_at(split);
    let mut fields = clock.split(':');
    let hour = i64::from(digits(fields.next(), 2)?);
    let minute = i64::from(digits(fields.next(), 2)?);
    let seconds = fields.next();
    // 60 is a leap second, which this calendar does not count.
    if fields.next().is_some() || hour > 23 || minute > 59 {
        return Err(InvalidDate);
    }
    let start = (hour * 60 + minute) * 60_000 - zone_ms(zone)?;
    let Some(seconds) = seconds else { return Ok((start, 60_000)) };
    let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, ""));
    let second = i64::from(digits(Some(whole), 2)?);
    if second > 60 || (fraction.is_empty() && seconds.ends_with('.')) {
        return Err(InvalidDate);
    }
    if fraction.is_empty() {
        return Ok((start + second * 1000, 1000));
    }
    if fraction.len() > 9 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(InvalidDate);
    }
    let ms: i64 = format!("{fraction:0<3}")[..3].parse().map_err(|_| InvalidDate)?;
    let length = match fraction.len() {
        1 => 100,
        2 => 10,
        _ => 1,
    };
    Ok((start + second * 1000 + ms, length))
}

/// What is to be subtracted for an offset. A blank is a `+` that was form-decoded.
fn zone_ms(text: &str) -> Result<i64, InvalidDate> {
    let (sign, rest) = match text.as_bytes().first() {
        None => return Ok(0),
        Some(b'Z') if text.len() == 1 => return Ok(0),
        Some(b'-') => (-1, &text[1..]),
        Some(b'+' | b' ') => (1, &text[1..]),
        Some(_) => return Err(InvalidDate),
    };
    let (hours, minutes) = rest.split_once(':').ok_or(InvalidDate)?;
    let (hours, minutes) = (digits(Some(hours), 2)?, digits(Some(minutes), 2)?);
    if hours > 14 || minutes > 59 {
        return Err(InvalidDate);
    }
    Ok(sign * i64::from(hours * 60 + minutes) * 60_000)
}

fn digits(text: Option<&str>, count: usize) -> Result<u32, InvalidDate> {
    text.filter(|text| text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|text| text.parse().ok())
        .ok_or(InvalidDate)
}

impl fmt::Display for InvalidDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a date: YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm:ss with an offset")
    }
}

impl std::error::Error for InvalidDate {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partial_date_covers_all_it_leaves_open() {
        for (text, low, high) in [
            ("1985", "1985-01-01T00:00:00.000Z", "1985-12-31T23:59:59.999Z"),
            ("2024-02", "2024-02-01T00:00:00.000Z", "2024-02-29T23:59:59.999Z"),
            ("1985-04-23", "1985-04-23T00:00:00.000Z", "1985-04-23T23:59:59.999Z"),
            ("9999", "9999-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z"),
            ("2024-01-01T00:30+01:00", "2023-12-31T23:30:00.000Z", "2023-12-31T23:30:59.999Z"),
            ("2024-01-01T00:30:05Z", "2024-01-01T00:30:05.000Z", "2024-01-01T00:30:05.999Z"),
            ("2024-01-01T00:30:05.25-02:30", "2024-01-01T03:00:05.250Z", "2024-01-01T03:00:05.259Z"),
            ("2024-01-01T00:30:05.123456Z", "2024-01-01T00:30:05.123Z", "2024-01-01T00:30:05.123Z"),
        ] {
            let interval = Interval::parse(text).unwrap();
            assert_eq!(
                (interval.low.to_string().as_str(), interval.high.to_string().as_str()),
                (low, high),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for wrong in [
            "",
            "85",
            "19850423",
            "1985-13",
            "1985-02-30",
            "1985-4-3",
            "23-04-1985",
            "1985-04-23-01",
            "1985T10:00",
            "1985-04-23T",
            "1985-04-23T25:00",
            "1985-04-23T10",
            "1985-04-23T10:00:61",
            "1985-04-23T10:00:00.",
            "1985-04-23T10:00+1",
            "1985-04-23T10:00:00.0000000000",
            "1985-04-23T10:00+15:00",
            "٢٠٢٤",
            "１９８５",
        ] {
            assert_eq!(Interval::parse(wrong), Err(InvalidDate), "{wrong:?}");
        }
    }

    #[test]
    fn a_prefix_is_taken_off_before_the_date_is_read() {
        assert_eq!(Comparison::split("ge1985").unwrap(), (Comparison::Ge, Interval::parse("1985").unwrap()));
        assert_eq!(Comparison::split("1985").unwrap().0, Comparison::Eq);
        assert_eq!(Comparison::split("ap1985"), Err(InvalidDate));
    }
}
