//! Points in time as FHIR and HTTP write them. Nothing here reads a clock: `now` is an argument of whatever needs it.

use std::fmt;

const MS_PER_DAY: i64 = 86_400_000;

/// Milliseconds since 1970-01-01T00:00:00Z, within the years 0001 to 9999. Prints as a FHIR `instant` in UTC, whose text
/// sorts as the time does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The first moment there is here: 0001-01-01.
    pub const MIN: Self = Self(-62_135_596_800_000);
    /// The last moment there is here: the last millisecond of 9999.
    pub const MAX: Self = Self(253_402_300_799_999);

    /// The moment that many milliseconds after the epoch; beyond the bounds, the bound.
    pub fn from_ms(ms: i64) -> Self {
        Self(ms).clamp(Self::MIN, Self::MAX)
    }

    /// Milliseconds since the epoch.
    pub fn ms(self) -> i64 {
        self.0
    }

    /// The moment at which a day of the (proleptic Gregorian) calendar begins in UTC; `None` if there is no such day.
    pub fn of_date(year: i64, month: u32, day: u32) -> Option<Self> {
        let exists = (1..=9999).contains(&year)
            && (1..=12).contains(&month)
            && (1..=days_of_month(year, month)).contains(&day);
        exists.then(|| Self(days_from_civil(year, month, day) * MS_PER_DAY))
    }

    /// As HTTP writes a date (RFC 9110, 5.6.7): `Tue, 23 Apr 1985 00:00:00 GMT`.
    pub fn http_date(self) -> String {
        const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
        const MONTHS: [&str; 12] =
            ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let Parts { year, month, day, hour, minute, second, .. } = self.parts();
        let weekday = DAYS[self.0.div_euclid(MS_PER_DAY).rem_euclid(7) as usize];
        let month = MONTHS[month as usize - 1];
        format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
    }

    fn parts(self) -> Parts {
        let (year, month, day) = civil_from_days(self.0.div_euclid(MS_PER_DAY));
        let ms = self.0.rem_euclid(MS_PER_DAY);
        Parts {
            year,
            month,
            day,
            hour: ms / 3_600_000,
            minute: ms / 60_000 % 60,
            second: ms / 1000 % 60,
            ms: ms % 1000,
        }
    }
}

struct Parts {
    year: i64,
    month: u32,
    day: u32,
    hour: i64,
    minute: i64,
    second: i64,
    ms: i64,
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Parts { year, month, day, hour, minute, second, ms } = self.parts();
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
    }
}

/// How many days the month has; the month is 1 to 12.
pub fn days_of_month(year: i64, month: u32) -> u32 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

// The two conversions count eras of 400 years (146,097 days) that begin on 1 March, so that the leap day is the last of
// its year: Howard Hinnant, "chrono-compatible low-level date algorithms".
fn days_from_civil(year: i64, month: u32, day: u32) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year =
        (153 * (i64::from(month) + if month > 2 { -3 } else { 9 }) + 2) / 5 + i64::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

fn civil_from_days(days: i64) -> (i64, u32, u32) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * shifted + 2) / 5 + 1) as u32;
    let month = (if shifted < 10 { shifted + 3 } else { shifted - 9 }) as u32;
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_epoch_and_its_neighbours_print_rightly() {
        for (ms, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_826_554_321, "2000-02-29T12:15:54.321Z"),
            (1_795_471_200_000, "2026-11-23T22:00:00.000Z"),
        ] {
            assert_eq!(Timestamp::from_ms(ms).to_string(), expected);
        }
        assert_eq!(Timestamp::MIN.to_string(), "0001-01-01T00:00:00.000Z");
        assert_eq!(Timestamp::MAX.to_string(), "9999-12-31T23:59:59.999Z");
        assert_eq!(Timestamp::from_ms(i64::MAX), Timestamp::MAX);
    }

    #[test]
    fn an_http_date_names_the_right_weekday() {
        assert_eq!(Timestamp::from_ms(784_111_777_000).http_date(), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(Timestamp::of_date(1985, 4, 23).unwrap().http_date(), "Tue, 23 Apr 1985 00:00:00 GMT");
    }

    #[test]
    fn every_day_of_four_centuries_survives_the_round_trip() {
        let first = days_from_civil(1899, 1, 1);
        for days in first..first + 146_097 {
            let (year, month, day) = civil_from_days(days);
            assert_eq!(days_from_civil(year, month, day), days);
            assert!(Timestamp::of_date(year, month, day).is_some());
        }
    }

    #[test]
    fn a_day_that_is_not_in_the_calendar_is_refused() {
        for (year, month, day) in
            [(2023, 2, 29), (1900, 2, 29), (2024, 13, 1), (2024, 0, 1), (2024, 4, 31), (0, 1, 1)]
        {
            assert_eq!(Timestamp::of_date(year, month, day), None, "{year}-{month}-{day}");
        }
    }
}
