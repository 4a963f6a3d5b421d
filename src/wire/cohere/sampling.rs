//! How tokens are chosen: numbers whose ranges are Cohere's own.

use crate::base::json::ObjectWriter;
use crate::llm::Dropped;
use crate::llm::chat::Sampling;

/// A number that the API takes between two others, with the nearest it takes for one beyond.
struct Range {
    key: &'static str,
    /// The name that most people know.
    name: &'static str,
    low: f64,
    high: f64,
    /// What stands for less, where anything does.
    least: Option<&'static str>,
    most: &'static str,
}

/// API reference "Chat": `temperature` has no upper bound.
const TEMPERATURE: Range =
    Range { key: "temperature", name: "temperature", low: 0.0, high: f64::MAX, least: None, most: "2" };
const FREQUENCY: Range =
    Range { key: "frequency_penalty", name: "frequency_penalty", low: 0.0, high: 1.0, least: None, most: "1" };
const PRESENCE: Range =
    Range { key: "presence_penalty", name: "presence_penalty", low: 0.0, high: 1.0, least: None, most: "1" };
const P: Range = Range { key: "p", name: "top_p", low: 0.01, high: 0.99, least: Some("0.01"), most: "0.99" };

/// The most `k`.
const MOST_K: u64 = 500;

pub(super) fn write(o: &mut ObjectWriter<'_>, sampling: &Sampling<'_>, dropped: &mut Dropped) {
    TEMPERATURE.write(o, sampling.temperature, dropped);
    // All of the tokens, and next to none of them, is what the ends mean.
    P.write(o, sampling.top_p, &mut Dropped::default());
    if let Some(top_k) = sampling.top_k {
        let k = whole(top_k);
        if k.is_none_or(|k| k > MOST_K) {
            dropped.field("top_k");
        }
        o.number_if("k", k.map(|k| k.min(MOST_K)));
    }
    if let Some(seed) = sampling.seed {
        match whole(seed) {
            Some(seed) => o.number("seed", seed),
            None => dropped.field("seed"),
        }
    }
    FREQUENCY.write(o, sampling.frequency_penalty, dropped);
    PRESENCE.write(o, sampling.presence_penalty, dropped);
    for (name, value) in [("min_p", sampling.min_p), ("logit_bias", sampling.logit_bias)] {
        if value.is_some() {
            dropped.field(name);
        }
    }
}

/// A whole number that is not negative, also one with a fraction of zero.
fn whole(number: &str) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    fraction.bytes().all(|digit| digit == b'0').then(|| whole.parse().ok())?
}

// === impl Range ===

impl Range {
    fn write(&self, o: &mut ObjectWriter<'_>, number: Option<&str>, dropped: &mut Dropped) {
        let Some(text) = number else { return };
        let number = text.parse().unwrap_or(f64::NAN);
        let written = if number < self.low {
            self.least
        } else if number > self.high {
            Some(self.most)
        } else {
            Some(text).filter(|_| !number.is_nan())
        };
        o.raw_if(self.key, written);
        if written != Some(text) {
            dropped.field(self.name);
        }
    }
}
