//! The moment that a run counts as: `SOURCE_DATE_EPOCH` if it is set (reproducible-builds.org, "SOURCE_DATE_EPOCH
//! specification").

use std::time::{SystemTime, UNIX_EPOCH};

use crate::day::Day;

use super::output::Failure;

/// `SOURCE_DATE_EPOCH` in seconds since 1970; `None` if it is not set.
pub(super) fn source_date_epoch() -> Result<Option<i64>, Failure> {
    let variable = "SOURCE_DATE_EPOCH";
    match std::env::var(variable) {
        Err(_) => Ok(None),
        Ok(text) => text.trim().parse().map(Some).map_err(|_| {
            Failure::Error(format!(
                "{variable} is '{text}', which is not a number of seconds since 1970; correct it or unset it"
            ))
        }),
    }
}

/// The day of `SOURCE_DATE_EPOCH`, else of the clock, in UTC.
pub(super) fn today() -> Result<Day, Failure> {
    let of_clock = || {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
    };
    let seconds = source_date_epoch()?.unwrap_or_else(of_clock);
    Day::from_unix(seconds)
        .ok_or_else(|| Failure::Error(format!("{seconds} seconds since 1970 is a moment beyond the calendar")))
}
