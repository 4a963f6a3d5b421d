//! `google.protobuf.Timestamp` and `Duration` with their proto-JSON forms: RFC 3339 in UTC, and
//! seconds with an `s`; both with 0, 3, 6 or 9 digits of fraction. It reads no clock.
//!
//! The generated code of [`super::v1`] uses these in place of those of `prost-types`, which have no
//! JSON form.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A point in time, in seconds and nanoseconds since the Unix epoch.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct Timestamp {
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    /// Counts forward, 0 to 999,999,999, also before the epoch.
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

/// A length of time. Weir writes none below zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct Duration {
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

/// A text that is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    #[error("not an RFC 3339 time between the years 1 and 9999")]
    Timestamp,
    #[error("not a number of seconds followed by `s`")]
    Duration,
}

const NANOS: u64 = 1_000_000_000;
const DAY: i64 = 86_400;
/// Days from 0000-03-01 to 1970-01-01.
const EPOCH: i64 = 719_468;
/// Days in 400 years.
const ERA: i64 = 146_097;

// === impl Timestamp ===

impl Timestamp {
    /// From nanoseconds since the Unix epoch.
    pub fn from_unix_nanos(nanos: u64) -> Self {
        // Both fit: 2^64 / 10^9 < 2^63, and a remainder is below 10^9.
        Timestamp { seconds: (nanos / NANOS) as i64, nanos: (nanos % NANOS) as i32 }
    }

    /// Writes what `Display` shows; a formatter costs several times as much.
    pub(super) fn write(&self, out: &mut impl fmt::Write) -> fmt::Result {
        let (year, month, day) = date(self.seconds.div_euclid(DAY));
        let second = self.seconds.rem_euclid(DAY);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        if year < 0 {
            out.write_char('-')?;
        }
        digits(year.unsigned_abs(), 4, out)?;
        for (mark, part) in [('-', month), ('-', day), ('T', hour), (':', minute), (':', second)] {
            out.write_char(mark)?;
            digits(part.unsigned_abs(), 2, out)?;
        }
        fraction(self.nanos, out)?;
        out.write_char('Z')
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f)
    }
}

impl FromStr for Timestamp {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        timestamp(text).ok_or(ParseError::Timestamp)
    }
}

/// Reads `YYYY-MM-DDThh:mm:ss[.f]` followed by `Z` or `±hh:mm`.
fn timestamp(text: &str) -> Option<Timestamp> {
    let (date, rest) = text.split_once(['T', 't'])?;
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let zone = rest.find(['Z', 'z', '+', '-'])?;
    let (clock, zone) = rest.split_at_checked(zone)?;
    let (clock, nanos) = match clock.split_once('.') {
        Some((clock, digits)) => (clock, nanos(digits)?),
        None => (clock, 0),
    };
    let [hour, minute, second] = numbers(clock, ':', [2, 2, 2])?;
    let in_range = year >= 1 && (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60;
    if !in_range || second > 59 {
        return None;
    }
    let offset = match zone.strip_prefix(['Z', 'z']) {
        Some("") => 0,
        Some(_) => return None,
        None => {
            let [hours, minutes] = numbers(zone.get(1..)?, ':', [2, 2])?;
            (hours * 3600 + minutes * 60) * if zone.starts_with('-') { -1 } else { 1 }
        }
    };
    let seconds = days(year, month, day) * DAY + hour * 3600 + minute * 60 + second - offset;
    Some(Timestamp { seconds, nanos })
}

// === impl Duration ===

impl Duration {
    /// Writes what `Display` shows; a formatter costs several times as much.
    pub(super) fn write(&self, out: &mut impl fmt::Write) -> fmt::Result {
        if self.seconds < 0 || self.nanos < 0 {
            out.write_char('-')?;
        }
        digits(self.seconds.unsigned_abs(), 1, out)?;
        fraction(self.nanos.saturating_abs(), out)?;
        out.write_char('s')
    }
}

impl From<std::time::Duration> for Duration {
    fn from(duration: std::time::Duration) -> Self {
        let seconds = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
        // Below 10^9, so it fits.
        Duration { seconds, nanos: duration.subsec_nanos() as i32 }
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f)
    }
}

impl FromStr for Duration {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        duration(text).ok_or(ParseError::Duration)
    }
}

/// Reads `[-]seconds[.f]s`.
fn duration(text: &str) -> Option<Duration> {
    let text = text.strip_suffix('s')?;
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let (whole, digits) = text.split_once('.').map_or((text, None), |(whole, digits)| (whole, Some(digits)));
    if whole.is_empty() || !whole.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let seconds: i64 = whole.parse().ok()?;
    let nanos = digits.map_or(Some(0), nanos)?;
    Some(Duration { seconds: seconds * i64::from(sign), nanos: nanos * sign })
}

// === JSON ===

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

// === Digits ===

/// `number` in decimal, with zeros before it up to `width` digits (20 at most).
pub(super) fn digits(number: u64, width: usize, out: &mut impl fmt::Write) -> fmt::Result {
    let mut text = [b'0'; 20];
    let (mut rest, mut begin) = (number, text.len());
    while rest > 0 {
        begin -= 1;
        text[begin] += (rest % 10) as u8;
        rest /= 10;
    }
    let begin = begin.min(text.len().saturating_sub(width));
    out.write_str(str::from_utf8(&text[begin..]).unwrap_or_default())
}

/// The fraction of a second with the fewest digits, of 0, 3, 6 and 9, that hold it.
fn fraction(nanos: i32, out: &mut impl fmt::Write) -> fmt::Result {
    let (number, width) = match nanos {
        0 => return Ok(()),
        _ if nanos % 1_000_000 == 0 => (nanos / 1_000_000, 3),
        _ if nanos % 1_000 == 0 => (nanos / 1_000, 6),
        _ => (nanos, 9),
    };
    out.write_char('.')?;
    digits(number.unsigned_abs().into(), width, out)
}

/// Nanoseconds of 1 to 9 digits of fraction.
fn nanos(digits: &str) -> Option<i32> {
    let fits = (1..=9).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number: i32 = fits.then(|| digits.parse().ok()).flatten()?;
    let missing = u32::try_from(9 - digits.len()).ok()?;
    Some(number * 10_i32.pow(missing))
}

/// `N` numbers of so many digits each, with a separator between them.
fn numbers<const N: usize>(text: &str, separator: char, widths: [usize; N]) -> Option<[i64; N]> {
    let mut parts = text.split(separator);
    let mut numbers = [0; N];
    for (number, width) in numbers.iter_mut().zip(widths) {
        let part = parts.next()?;
        if part.len() != width || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

/// Year, month and day of a day since the Unix epoch. Years begin in March here, so that the day
/// that is not always there is the last one.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + EPOCH;
    let (era, day) = (days.div_euclid(ERA), days.rem_euclid(ERA));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next, month, day)
}

/// The inverse of [`date`]. A day beyond the end of its month counts on into the next.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, year) = (year.div_euclid(400), year.rem_euclid(400));
    era * ERA + year * 365 + year / 4 - year / 100 + (153 * month + 2) / 5 + day - 1 - EPOCH
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_times() {
        // From the documentation of google.protobuf.Timestamp, `date -u`, and leap years.
        let rows = [
            (0, 0, "1970-01-01T00:00:00Z"),
            (1_484_443_815, 10_000_000, "2017-01-15T01:30:15.010Z"),
            (951_782_400, 0, "2000-02-29T00:00:00Z"),
            (4_107_542_399, 999_999_999, "2100-02-28T23:59:59.999999999Z"),
            (4_107_542_400, 1_000, "2100-03-01T00:00:00.000001Z"),
            (253_402_300_799, 0, "9999-12-31T23:59:59Z"),
            (-1, 500_000_000, "1969-12-31T23:59:59.500Z"),
        ];
        for (seconds, nanos, text) in rows {
            let time = Timestamp { seconds, nanos };
            assert_eq!(time.to_string(), text);
            assert_eq!(text.parse(), Ok(time));
        }
        assert_eq!("1970-01-01T01:30:00+01:30".parse(), Ok(Timestamp { seconds: 0, nanos: 0 }));
    }

    #[test]
    fn known_durations() {
        let rows = [(3, 0, "3s"), (3, 1, "3.000000001s"), (0, 250_000, "0.000250s"), (0, -5_000_000, "-0.005s")];
        for (seconds, nanos, text) in rows {
            let duration = Duration { seconds, nanos };
            assert_eq!(duration.to_string(), text);
            assert_eq!(text.parse(), Ok(duration));
        }
        for text in ["", "s", "3", "-s", ".5s", "+3s", "3.s", "99999999999999999999s", "3.0000000001s"] {
            assert_eq!(text.parse::<Duration>(), Err(ParseError::Duration), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_moment_survives(nanos: u64) {
            let time = Timestamp::from_unix_nanos(nanos);
            prop_assert_eq!(time.to_string().parse(), Ok(time));
        }

        #[test]
        fn digits_are_those_of_the_formatter(number: u64, width in 0_usize..20) {
            let mut text = String::new();
            digits(number, width, &mut text).unwrap();
            prop_assert_eq!(text, format!("{number:0width$}"));
        }

        #[test]
        fn no_text_panics(text in "[-+.:0-9TtZzs]{0,40}|\\PC*") {
            let _ = text.parse::<Timestamp>();
            let _ = text.parse::<Duration>();
        }
    }
}
