//! Amounts and windows in words. An amount is an exact decimal number: money is never a float.

use std::fmt;
use std::time::Duration;

use super::window::{self, Window};
use super::{Limit, Unit};

// === impl Unit ===

impl Unit {
    /// The word of the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Unit::Requests => "Requests",
            Unit::Concurrency => "Concurrency",
            Unit::Tokens => "Tokens",
            Unit::Usd => "USD",
        }
    }

    /// So many of its parts in whole ones: an exact decimal number.
    pub fn decimal(self, parts: u64) -> String {
        let scale = self.scale();
        let (whole, rest) = (parts / scale, parts % scale);
        if rest == 0 {
            return whole.to_string();
        }
        let width = usize::try_from(scale.ilog10()).unwrap_or(0);
        let digits = format!("{whole}.{rest:0width$}");
        digits.trim_end_matches('0').to_owned()
    }

    /// So many of its parts with what they are: `600 requests`, `0.0125 USD`.
    pub fn words(self, parts: u64) -> String {
        let plural = if parts == self.scale() { "" } else { "s" };
        match self {
            Unit::Requests => format!("{} request{plural}", self.decimal(parts)),
            Unit::Concurrency => format!("{} call{plural} at a time", self.decimal(parts)),
            Unit::Tokens => format!("{} token{plural}", self.decimal(parts)),
            Unit::Usd => format!("{} USD", self.decimal(parts)),
        }
    }
}

// === impl Limit ===

impl Limit {
    /// An amount of it with its window: `600 requests in 1m`.
    pub fn words(&self, amount: u64) -> String {
        match self.window {
            Window::Held => self.unit.words(amount),
            _ => format!("{} in {}", self.unit.words(amount), self.window),
        }
    }
}

// === impl Window ===

/// As a configuration says it: `1m`, `a Month of Europe/Berlin`.
impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Window::Held => f.write_str("flight"),
            Window::Rolling(length) => f.write_str(&length_of(*length)),
            Window::Calendar(calendar) => {
                write!(f, "a {} of ", calendar.unit.as_str())?;
                match (calendar.zone.iana_name(), calendar.zone.to_fixed_offset()) {
                    (Some(name), _) => f.write_str(name),
                    (None, Ok(offset)) => write!(f, "UTC{offset}"),
                    (None, Err(_)) => f.write_str("a zone of its own"),
                }
            }
        }
    }
}

/// In the largest unit in which it is a whole number.
fn length_of(length: Duration) -> String {
    let seconds = length.as_secs();
    match seconds {
        _ if length.subsec_nanos() > 0 => format!("{}ms", length.as_millis()),
        _ if seconds.is_multiple_of(3_600) => format!("{}h", seconds / 3_600),
        _ if seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        _ => format!("{seconds}s"),
    }
}

// === impl window::Unit ===

impl window::Unit {
    /// The word of the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            window::Unit::Hour => "Hour",
            window::Unit::Day => "Day",
            window::Unit::Week => "Week",
            window::Unit::Month => "Month",
            window::Unit::Year => "Year",
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn limits_in_words() {
        let calendar = window::Calendar { unit: window::Unit::Month, zone: TimeZone::get("Europe/Berlin").unwrap() };
        let universal = window::Calendar { unit: window::Unit::Day, zone: TimeZone::UTC };
        let east = window::Calendar { unit: window::Unit::Day, zone: TimeZone::fixed(jiff::tz::offset(2)) };
        let unnamed = TimeZone::posix("EST5EDT,M3.2.0,M11.1.0").unwrap();
        let unnamed = window::Calendar { unit: window::Unit::Day, zone: unnamed };
        let rolling = |seconds| Window::Rolling(Duration::from_secs(seconds));
        for (unit, amount, window, words) in [
            (Unit::Requests, 600, rolling(60), "600 requests in 1m"),
            (Unit::Requests, 1, rolling(90), "1 request in 90s"),
            (Unit::Tokens, 1_000, rolling(7_200), "1 token in 2h"),
            (Unit::Tokens, 100_500, rolling(1), "100.5 tokens in 1s"),
            (Unit::Usd, 500_000_000_000, Window::Calendar(calendar), "500 USD in a Month of Europe/Berlin"),
            (Unit::Usd, 12_500, Window::Calendar(universal), "0.0000125 USD in a Day of UTC"),
            (Unit::Requests, 2, Window::Calendar(east), "2 requests in a Day of UTC+02"),
            (Unit::Requests, 2, Window::Calendar(unnamed), "2 requests in a Day of a zone of its own"),
            (Unit::Concurrency, 32, Window::Held, "32 calls at a time"),
        ] {
            assert_eq!(Limit::new("l", unit, amount, window).words(amount), words);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_the_amount(parts in prop_oneof![0..=super::super::MOST, 0..5_000_000_000_u64]) {
            for unit in [Unit::Requests, Unit::Concurrency, Unit::Tokens, Unit::Usd] {
                let text = unit.decimal(parts);
                let (whole, rest) = text.split_once('.').unwrap_or((&text, ""));
                let digits = usize::try_from(unit.scale().ilog10()).unwrap();
                let read = format!("{whole}{rest:0<digits$}").parse::<u64>().unwrap();
                prop_assert!(read == parts && !rest.ends_with('0'), "{}", text);
            }
        }
    }
}
