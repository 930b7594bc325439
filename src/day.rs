//! Days of the calendar, as AWS announces them: without a time zone, and compared with the day in UTC.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use time::{Date, Month, OffsetDateTime};

/// A day, written as `2026-11-27` (ISO 8601).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(with = "String"))]
#[serde(try_from = "String", into = "String")]
pub struct Day(Date);

/// Error of parsing a [`Day`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a day; write it as 2026-11-27")]
pub struct DayError(String);

impl Day {
    /// The day in UTC at a moment in seconds since 1970; `None` beyond the year 9999.
    pub fn from_unix(seconds: i64) -> Option<Self> {
        Some(Self(OffsetDateTime::from_unix_timestamp(seconds).ok()?.date()))
    }
}

impl FromStr for Day {
    type Err = DayError;

    fn from_str(text: &str) -> Result<Self, DayError> {
        let parse = || {
            let mut parts = text.splitn(3, '-');
            let mut number = |digits: usize| {
                let part = parts.next().filter(|part| part.len() == digits)?;
                part.bytes().all(|byte| byte.is_ascii_digit()).then_some(())?;
                part.parse::<u16>().ok()
            };
            let (year, month, day) = (number(4)?, number(2)?, number(2)?);
            let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
            Date::from_calendar_date(year.into(), month, u8::try_from(day).ok()?).ok()
        };
        parse().map(Self).ok_or_else(|| DayError(text.to_owned()))
    }
}

impl TryFrom<String> for Day {
    type Error = DayError;

    fn try_from(text: String) -> Result<Self, DayError> {
        text.parse()
    }
}

impl From<Day> for String {
    fn from(day: Day) -> Self {
        day.to_string()
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(date) = self;
        f.pad(&format!(
            "{:04}-{:02}-{:02}",
            date.year(),
            u8::from(date.month()),
            date.day()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_read_as_they_are_written_and_compare_by_the_calendar() {
        for text in ["2026-11-27", "1970-01-01", "2024-02-29"] {
            assert_eq!(text.parse::<Day>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "2026",
            "2026-2-1",
            "2026-02-30",
            "2025-02-29",
            "2026-13-01",
            "+026-01-01",
            "2026-01-01x",
        ] {
            assert!(text.parse::<Day>().is_err(), "{text}");
        }
        let day = |text: &str| text.parse::<Day>().unwrap();
        assert!(day("2026-09-30") < day("2026-10-01"));
        // 2026-11-27T23:59:59Z and a second later, by date(1).
        assert_eq!(Day::from_unix(1_795_823_999).unwrap(), day("2026-11-27"));
        assert_eq!(Day::from_unix(1_795_824_000).unwrap(), day("2026-11-28"));
        assert!(Day::from_unix(i64::MAX).is_none());
    }
}
