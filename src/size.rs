//! Sizes in bytes: how a user writes them and how a person reads them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A number of bytes. Serialized as a plain integer; shown to people in decimal units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Bytes(pub u64);

/// A size on the command line or in a configuration that cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SizeError {
    /// It does not parse.
    #[error(
        "'{0}' is not a size: write a number with a unit, such as 50MB (50,000,000 bytes), 50MiB (52,428,800 bytes) or 50000000"
    )]
    NotASize(String),
    /// It is zero where something has to fit.
    #[error("{0} is nothing: write a size above zero, such as 50MB")]
    Zero(String),
    /// It has more bytes than 64 bits can count.
    #[error("{0} is too large: write a smaller size, such as 50MB")]
    TooLarge(String),
}

/// Units in the order in which they are tried; `MB` is decimal and `MiB` binary (IEC 80000-13).
const UNITS: [(&str, u64); 8] = [
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("b", 1),
    ("", 1),
];

impl FromStr for Bytes {
    type Err = SizeError;

    /// Reads `50MB`, `50 MiB`, `1.5GB` or `50000000`. Zero and fractions of a byte are refused.
    fn from_str(text: &str) -> Result<Self, SizeError> {
        match Self::parse_or_zero(text)? {
            Self(0) => Err(SizeError::Zero(text.to_owned())),
            bytes => Ok(bytes),
        }
    }
}

impl Bytes {
    /// Like [`Bytes::from_str`], but zero is a size, too: for what may be nothing.
    pub fn parse_or_zero(text: &str) -> Result<Self, SizeError> {
        let error = || SizeError::NotASize(text.to_owned());
        let too_large = || SizeError::TooLarge(text.to_owned());
        let lower = text.trim().to_ascii_lowercase();
        let digits_end = lower
            .find(|c: char| !(c.is_ascii_digit() || c == '.'))
            .unwrap_or(lower.len());
        let (number, unit) = lower.split_at(digits_end);
        let unit = unit.trim_start();
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(error)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() || (number.contains('.') && fraction.is_empty()) || fraction.len() > 9 {
            return Err(error());
        }
        if !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
            return Err(error());
        }
        // It has digits alone: what does not parse has too many.
        let whole: u64 = whole.parse().map_err(|_| too_large())?;
        let mut bytes = whole.checked_mul(*factor).ok_or_else(too_large)?;
        if !fraction.is_empty() {
            let scale = 10_u64.pow(u32::try_from(fraction.len()).map_err(|_| error())?);
            let part = fraction.parse::<u64>().map_err(|_| error())?;
            let part = u128::from(part) * u128::from(*factor);
            if part % u128::from(scale) != 0 {
                return Err(error());
            }
            let part = u64::try_from(part / u128::from(scale)).map_err(|_| error())?;
            bytes = bytes.checked_add(part).ok_or_else(too_large)?;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for Bytes {
    /// Three significant places in decimal units: `512 B`, `1.23 kB`, `29.7 MB`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const STEPS: [(u64, &str); 3] = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
        let text = match STEPS.iter().find(|(unit, _)| self.0 >= *unit) {
            None => format!("{} B", self.0),
            Some((unit, name)) => {
                let whole = self.0 / unit;
                let thousandths = self.0 % unit * 1000 / unit;
                match whole {
                    0..10 => format!("{whole}.{:02} {name}", thousandths / 10),
                    10..100 => format!("{whole}.{} {name}", thousandths / 100),
                    _ => format!("{whole} {name}"),
                }
            }
        };
        f.pad(&text)
    }
}

impl Bytes {
    /// The number as a float, for shares and shapes: exact below 2^53, which no tree exceeds.
    #[expect(clippy::cast_precision_loss, reason = "shares of larger sizes need not be exact")]
    pub fn as_f64(self) -> f64 {
        self.0 as f64
    }
}

impl std::iter::Sum for Bytes {
    fn sum<I: Iterator<Item = Self>>(iterator: I) -> Self {
        iterator.fold(Self(0), |sum, next| Self(sum.0.saturating_add(next.0)))
    }
}

impl std::ops::AddAssign for Bytes {
    fn add_assign(&mut self, other: Self) {
        self.0 = self.0.saturating_add(other.0);
    }
}

/// An integer with a comma between thousands, for messages in which every byte counts.
pub fn exact(bytes: u64) -> String {
    let digits = bytes.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_written() {
        for (text, bytes) in [
            ("50MB", 50_000_000),
            ("50MiB", 52_428_800),
            ("50 mb", 50_000_000),
            ("1.5GB", 1_500_000_000),
            ("52428799", 52_428_799),
            ("7b", 7),
            ("0.5KiB", 512),
        ] {
            assert_eq!(text.parse(), Ok(Bytes(bytes)), "{text}");
        }
        for text in [
            "",
            "MB",
            "50M",
            "-1MB",
            "50 MBs",
            "1e9",
            "0",
            "0MB",
            "1.",
            ".5MB",
            "0.3B",
            "99999999999GB",
            "1.2.3MB",
        ] {
            assert!(text.parse::<Bytes>().is_err(), "{text}");
        }
        for text in ["0", "0B", "0 MB", "0.0MB"] {
            assert_eq!(Bytes::parse_or_zero(text), Ok(Bytes(0)), "{text}");
        }
        for (text, error) in [
            ("0 MB", SizeError::Zero("0 MB".to_owned())),
            (
                "18446744073709551616",
                SizeError::TooLarge("18446744073709551616".to_owned()),
            ),
            (
                "18446744073709551615KB",
                SizeError::TooLarge("18446744073709551615KB".to_owned()),
            ),
            ("1.2.3MB", SizeError::NotASize("1.2.3MB".to_owned())),
        ] {
            assert_eq!(text.parse::<Bytes>(), Err(error));
        }
        assert!(Bytes::parse_or_zero("-0").is_err() && Bytes::parse_or_zero("much").is_err());
    }

    #[test]
    fn sizes_are_shown_with_three_places() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_234, "1.23 kB"),
            (29_480_000, "29.4 MB"),
            (262_144_000, "262 MB"),
            (1_500_000_000, "1.50 GB"),
        ] {
            assert_eq!(Bytes(bytes).to_string(), text);
        }
        assert_eq!(exact(52_428_799), "52,428,799");
        assert_eq!(exact(7), "7");
    }
}
