//! How near two questions must be: an exact decimal in configuration and headers, never a float.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, de};

use crate::base::money::Multiplier;

/// The least similarity at which an answer may be shared, from 0.8 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Threshold(u32);

/// Why a text is not a threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a similarity threshold is a decimal from 0.8 to 1 in quotes, such as \"0.95\"")]
pub struct ThresholdError;

/// In billionths, as [`Multiplier`] counts; below 0.8, embeddings of questions about one subject are all alike.
const LEAST: u32 = 800_000_000;
const ONE: u32 = 1_000_000_000;

// === impl Threshold ===

impl Threshold {
    /// Whether a similarity reaches it. No number (NaN) does not.
    pub fn admits(self, similarity: f32) -> bool {
        // A similarity is in millionths, which a float of 24 bits states only nearly.
        (f64::from(similarity) * 1e6).round() * 1e3 >= f64::from(self.0)
    }

    /// As a similarity to search from, not above it; what is found still has to be admitted.
    pub fn floor(self) -> f32 {
        (f64::from(self.0) / f64::from(ONE) - 1e-6) as f32
    }

    /// What holds if a caller asks for another one: he may be stricter, and not less strict.
    #[must_use]
    pub fn raised(self, asked: Option<Threshold>) -> Threshold {
        asked.map_or(self, |asked| asked.max(self))
    }
}

/// At 0.95 the similarity alone lets a quarter of the near twins of the test suite through; what is lower leaves more
/// to the veto, what is higher loses most paraphrases.
impl Default for Threshold {
    fn default() -> Threshold {
        Threshold(950_000_000)
    }
}

impl FromStr for Threshold {
    type Err = ThresholdError;

    fn from_str(text: &str) -> Result<Threshold, ThresholdError> {
        let billionths = text.parse::<Multiplier>().map_err(|_| ThresholdError)?.billionths();
        let billionths = u32::try_from(billionths).map_err(|_| ThresholdError)?;
        if (LEAST..=ONE).contains(&billionths) { Ok(Threshold(billionths)) } else { Err(ThresholdError) }
    }
}

impl<'de> Deserialize<'de> for Threshold {
    /// From a string only, for the reason given at [`Multiplier`].
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Threshold, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// All decimal places that are needed and no more.
impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{}.{:09}", self.0 / ONE, self.0 % ONE);
        f.write_str(digits.trim_end_matches('0').trim_end_matches('.'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_is_a_decimal_in_its_range() {
        for (text, shown) in [("0.95", "0.95"), ("0.8", "0.8"), ("1", "1"), ("1.000", "1"), ("9.5e-1", "0.95")] {
            assert_eq!(text.parse::<Threshold>().unwrap().to_string(), shown, "{text}");
        }
        for text in ["0.799999999", "1.000000001", "0", "-0.9", "95", "0.9500000001", "", "high", "NaN", "5000000"] {
            assert_eq!(text.parse::<Threshold>(), Err(ThresholdError), "{text}");
        }
        assert_eq!(Threshold::default().to_string(), "0.95");
        assert!(serde_json::from_str::<Threshold>("\"0.9\"").is_ok());
        assert!(serde_json::from_str::<Threshold>("0.9").is_err());
    }

    #[test]
    fn what_reaches_it_is_admitted() {
        let admits = |threshold: &str, similarity| threshold.parse::<Threshold>().unwrap().admits(similarity);
        assert!(admits("0.95", 0.95) && admits("0.95", 1.0) && admits("1", 1.0) && admits("0.987654", 0.987_654));
        assert!(!admits("0.95", 0.949_999) && !admits("1", 0.999_999) && !admits("0.8", f32::NAN));
        for text in ["0.95", "0.8", "1", "0.987654"] {
            let threshold: Threshold = text.parse().unwrap();
            assert!(
                threshold.floor() < text.parse().unwrap() && threshold.floor() > text.parse::<f32>().unwrap() - 1e-5
            );
        }
    }

    #[test]
    fn a_caller_may_only_be_stricter() {
        let (low, high) = ("0.9".parse().unwrap(), "0.99".parse::<Threshold>().unwrap());
        assert_eq!(high.raised(Some(low)), high);
        assert_eq!(Threshold::raised(low, Some(high)), high);
        assert_eq!(high.raised(None), high);
    }
}
