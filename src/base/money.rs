//! Money as integers: an amount is a whole number of nano-USD, a rate an exact decimal; no value of
//! this module ever passes through a float.
//!
//! A bill is made by adding units x rate into a [`Sum`], which is exact, and rounding that sum once.
//! Everything saturates at the ends of its range; nothing panics.

use std::fmt;
use std::ops::{Add, AddAssign};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, de};

/// An amount of money in nano-USD (1e-9 USD). It reaches to about 9.2 billion USD and saturates there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NanoUsd(pub i64);

/// A price per unit (a token, an image, a second) in atto-USD (1e-18 USD), never negative.
///
/// 1e-18 leaves nine digits below a nano-USD: $0.0025 per million tokens is 2.5 nano a token, and
/// price lists go down to 1e-12 and below for a pixel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rate(u128);

/// A factor on a bill (a discount of 15 % is `0.85`), exact to 1e-9, from 0 to 1,000,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Multiplier(u64);

/// The exact sum of units x rates, in atto-USD. Round it once, at the end, with [`Sum::nanos`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sum(u128);

/// Why a text is not an amount of money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    #[error("not a decimal number")]
    Syntax,
    #[error("a price or factor cannot be negative")]
    Negative,
    #[error("more decimal places than can be kept exactly")]
    TooPrecise,
    #[error("too large")]
    TooLarge,
}

/// Decimal places of a nano-USD, and of a [`Multiplier`].
const NANO: u32 = 9;
/// Decimal places of an atto-USD.
const ATTO: u32 = 18;
/// One nano-USD in atto-USD.
const ATTO_PER_NANO: u128 = 1_000_000_000;
/// A multiplier of one.
const ONE: u64 = 1_000_000_000;
/// The largest rate: a billion USD per unit.
const MAX_RATE: u128 = 1_000_000_000 * 1_000_000_000_000_000_000;
/// The largest multiplier. It bounds the products in [`Sum::nanos_times`].
const MAX_MULTIPLIER: u64 = 1_000_000 * ONE;
/// The longest text that is looked at; no price is longer, and the cost of parsing stays bounded.
const MAX_TEXT: usize = 64;

// === impl NanoUsd ===

impl NanoUsd {
    pub const ZERO: NanoUsd = NanoUsd(0);
    pub const MAX: NanoUsd = NanoUsd(i64::MAX);

    /// The whole number of nano-USD.
    pub fn nanos(self) -> i64 {
        self.0
    }

    /// The difference; saturates.
    #[must_use]
    pub fn saturating_sub(self, other: NanoUsd) -> NanoUsd {
        NanoUsd(self.0.saturating_sub(other.0))
    }
}

impl Add for NanoUsd {
    type Output = NanoUsd;

    /// The sum; saturates.
    fn add(self, other: NanoUsd) -> NanoUsd {
        NanoUsd(self.0.saturating_add(other.0))
    }
}

impl AddAssign for NanoUsd {
    fn add_assign(&mut self, other: NanoUsd) {
        *self = *self + other;
    }
}

impl std::iter::Sum for NanoUsd {
    fn sum<I: Iterator<Item = NanoUsd>>(amounts: I) -> NanoUsd {
        amounts.fold(NanoUsd::ZERO, Add::add)
    }
}

/// USD with all nine decimal places, such as `0.000123450`.
impl fmt::Display for NanoUsd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let nanos = self.0.unsigned_abs();
        write!(f, "{sign}{}.{:09}", nanos / ONE, nanos % ONE)
    }
}

impl FromStr for NanoUsd {
    type Err = MoneyError;

    /// USD as a decimal, with an exponent or without, at most nine decimal places.
    fn from_str(text: &str) -> Result<NanoUsd, MoneyError> {
        let (negative, nanos) = decimal(text, NANO)?;
        let nanos = i128::try_from(nanos).map_err(|_| MoneyError::TooLarge)?;
        let nanos = if negative { -nanos } else { nanos };
        i64::try_from(nanos).map(NanoUsd).map_err(|_| MoneyError::TooLarge)
    }
}

// === impl Rate ===

impl Rate {
    pub const ZERO: Rate = Rate(0);

    /// Reads USD per million units, as price lists state it: `0.15` is 1.5e-07 a token.
    pub fn per_million(text: &str) -> Result<Rate, MoneyError> {
        Rate::scaled(text, ATTO - 6)
    }

    /// Reads USD per unit, to the nearest atto-USD (a half is rounded up), and whether that is exactly
    /// what the text says. For tables whose numbers have been floats and carry their noise.
    pub fn nearest(text: &str) -> Result<(Rate, bool), MoneyError> {
        match text.parse() {
            Err(MoneyError::TooPrecise) => match parts(text)? {
                parts if parts.negative => Err(MoneyError::Negative),
                parts => Ok((Rate::limited(parts.nearest(ATTO))?, false)),
            },
            read => Ok((read?, true)),
        }
    }

    /// The shortest text that is read as this rate: `1.5e-07`, `0.04`, `0`.
    pub fn shortest(self) -> String {
        let digits = self.0.to_string();
        let zeros = digits.bytes().rev().take_while(|digit| *digit == b'0').count();
        // The place of the first digit, as a power of ten.
        let first = i64::try_from(digits.len()).unwrap_or(0) - 1 - i64::from(ATTO);
        if first >= -4 || self.0 == 0 {
            return self.to_string();
        }
        let digits = digits.get(..digits.len() - zeros).unwrap_or_default();
        let (head, tail) = digits.split_at(digits.len().min(1));
        let point = if tail.is_empty() { "" } else { "." };
        format!("{head}{point}{tail}e-{:02}", -first)
    }

    /// Atto-USD per unit.
    pub fn attos(self) -> u128 {
        self.0
    }

    fn scaled(text: &str, places: u32) -> Result<Rate, MoneyError> {
        Rate::limited(not_negative(text, places)?)
    }

    fn limited(attos: u128) -> Result<Rate, MoneyError> {
        if attos > MAX_RATE { Err(MoneyError::TooLarge) } else { Ok(Rate(attos)) }
    }
}

impl FromStr for Rate {
    type Err = MoneyError;

    /// USD per unit as a decimal, with an exponent or without: `1.5e-07`, `0.04`.
    fn from_str(text: &str) -> Result<Rate, MoneyError> {
        Rate::scaled(text, ATTO)
    }
}

/// USD per unit, all 18 decimal places that are needed and no more.
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one = 10u128.pow(ATTO);
        let (whole, rest) = (self.0 / one, self.0 % one);
        if rest == 0 {
            return write!(f, "{whole}");
        }
        let digits = format!("{rest:018}");
        write!(f, "{whole}.{}", digits.trim_end_matches('0'))
    }
}

impl<'de> Deserialize<'de> for Rate {
    /// From a string only: a number in JSON, YAML or TOML has been a float by the time it gets here.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Rate, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

// === impl Multiplier ===

impl Multiplier {
    pub const ONE: Multiplier = Multiplier(ONE);

    /// The factor in units of 1e-9.
    pub fn billionths(self) -> u64 {
        self.0
    }
}

impl Default for Multiplier {
    fn default() -> Multiplier {
        Multiplier::ONE
    }
}

impl FromStr for Multiplier {
    type Err = MoneyError;

    /// A decimal with at most nine places, such as `0.85`.
    fn from_str(text: &str) -> Result<Multiplier, MoneyError> {
        let parts = u64::try_from(not_negative(text, NANO)?).map_err(|_| MoneyError::TooLarge)?;
        if parts > MAX_MULTIPLIER { Err(MoneyError::TooLarge) } else { Ok(Multiplier(parts)) }
    }
}

impl<'de> Deserialize<'de> for Multiplier {
    /// From a string only, for the reason given at [`Rate`].
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Multiplier, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// All decimal places that are needed and no more, such as `1.1`.
impl fmt::Display for Multiplier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{}.{:09}", self.0 / ONE, self.0 % ONE);
        f.write_str(digits.trim_end_matches('0').trim_end_matches('.'))
    }
}

// === impl Sum ===

impl Sum {
    /// Adds `units` at `rate`; exact, saturating.
    pub fn add(&mut self, units: u64, rate: Rate) {
        self.0 = self.0.saturating_add(u128::from(units).saturating_mul(rate.0));
    }

    /// Adds `thousandths` of a unit at `rate`, such as milliseconds at a rate for a second. Less than an
    /// atto-USD is cut off, which changes no amount of nano-USD that it is rounded to alone.
    pub fn add_thousandths(&mut self, thousandths: u64, rate: Rate) {
        self.0 = self.0.saturating_add(u128::from(thousandths).saturating_mul(rate.0) / 1000);
    }

    /// Both sums together.
    #[must_use]
    pub fn plus(self, other: Sum) -> Sum {
        Sum(self.0.saturating_add(other.0))
    }

    /// The sum times a factor, to the nearest atto-USD.
    #[must_use]
    pub fn times(self, factor: Multiplier) -> Sum {
        let (one, by) = (u128::from(ONE), u128::from(factor.0));
        let (whole, rest) = (self.0 / one, (self.0 % one) * by);
        Sum(whole.saturating_mul(by).saturating_add((rest + one / 2) / one))
    }

    /// The sum, rounded once to whole nano-USD.
    pub fn nanos(self) -> NanoUsd {
        self.nanos_times(Multiplier::ONE)
    }

    /// The sum times a factor, rounded once to whole nano-USD.
    ///
    /// Half a nano rounds up. Amounts are never negative, so that is "half away from zero", the
    /// rule of invoices; half-to-even would only help where many different halves are added up,
    /// and equal calls, which is what a ledger holds, are all rounded the same way by either.
    pub fn nanos_times(self, factor: Multiplier) -> NanoUsd {
        // In units of 1e-27 USD the product may need more than 128 bits, so it is divided in two
        // parts: sum = whole x D + rest, and the rest, below 1e18 x 1e15, always fits.
        let divisor = ATTO_PER_NANO * u128::from(ONE);
        let factor = u128::from(factor.0);
        let (whole, rest) = (self.0 / divisor, (self.0 % divisor) * factor);
        let nanos = whole.saturating_mul(factor).saturating_add((rest + divisor / 2) / divisor);
        NanoUsd(i64::try_from(nanos).unwrap_or(i64::MAX))
    }
}

/// Reads a decimal that has no minus sign, in units of 10^-`places`.
fn not_negative(text: &str, places: u32) -> Result<u128, MoneyError> {
    match decimal(text, places)? {
        (true, value) if value > 0 => Err(MoneyError::Negative),
        (_, value) => Ok(value),
    }
}

/// A decimal number as it is written: `value` x 10^`exponent`.
struct Parts {
    negative: bool,
    value: u128,
    exponent: i32,
}

/// Reads `[+-] digits [. digits] [e [+-] digits]` exactly, in units of 10^-`places`: the sign and
/// the magnitude. What is finer than a unit is refused, not rounded.
fn decimal(text: &str, places: u32) -> Result<(bool, u128), MoneyError> {
    let parts = parts(text)?;
    shifted(parts.value, parts.exponent.saturating_add(places.cast_signed())).map(|value| (parts.negative, value))
}

fn parts(text: &str) -> Result<Parts, MoneyError> {
    if text.len() > MAX_TEXT {
        return Err(MoneyError::Syntax);
    }
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().map_err(|_| MoneyError::Syntax)?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = || whole.bytes().chain(fraction.bytes());
    if digits().next().is_none() || !digits().all(|b| b.is_ascii_digit()) {
        return Err(MoneyError::Syntax);
    }
    let mut value: u128 = 0;
    for digit in digits() {
        let next = value.checked_mul(10).and_then(|v| v.checked_add(u128::from(digit - b'0')));
        value = next.ok_or(MoneyError::TooLarge)?;
    }
    // The text is short, so its length fits; an absurd exponent saturates and is then refused.
    let fraction = i32::try_from(fraction.len()).unwrap_or(i32::MAX);
    Ok(Parts { negative, value, exponent: exponent.saturating_sub(fraction) })
}

// === impl Parts ===

impl Parts {
    /// The nearest number of units of 10^-`places`, for what is finer than one.
    fn nearest(&self, places: u32) -> u128 {
        let shift = self.exponent.saturating_add(places.cast_signed());
        // A power that is too large for this makes less than half a unit of any value.
        let power = 10u128.checked_pow(shift.unsigned_abs());
        power.map_or(0, |power| self.value / power + u128::from(self.value % power >= power.div_ceil(2)))
    }
}

/// `value` x 10^`shift`, exactly or not at all.
fn shifted(value: u128, shift: i32) -> Result<u128, MoneyError> {
    if value == 0 {
        return Ok(0);
    }
    let power = 10u128.checked_pow(shift.unsigned_abs());
    match power {
        Some(power) if shift >= 0 => value.checked_mul(power).ok_or(MoneyError::TooLarge),
        Some(power) if value.is_multiple_of(power) => Ok(value / power),
        None if shift >= 0 => Err(MoneyError::TooLarge),
        _ => Err(MoneyError::TooPrecise),
    }
}

#[cfg(test)]
mod tests;
