//! How much of a limit a call comes to: before it at most, and afterwards.

use super::{Limit, MOST, Unit, Weights};
use crate::base::money::{Multiplier, NanoUsd};
use crate::llm::Usage;

/// Billionths, in which weights are, in a thousandth, in which tokens are charged.
const PER_THOUSANDTH: u128 = 1_000_000;

// === impl Limit ===

impl Limit {
    /// What a call has come to, in the unit's parts: one request; one call at a time; tokens by their weights,
    /// rounded up once to a thousandth; the cost. None for money where nobody knows the cost.
    pub fn charge(&self, usage: &Usage, cost: Option<NanoUsd>) -> Option<u64> {
        match self.unit {
            Unit::Requests | Unit::Concurrency => Some(1),
            Unit::Tokens => Some(self.weights.of(usage)),
            Unit::Usd => cost.map(parts),
        }
    }

    /// The most that a call can come to with at most `input` tokens in and `output` out, of whatever classes, and at
    /// most this cost. None for money where no bound of the cost is known.
    pub fn bound(&self, input: u64, output: u64, cost: Option<NanoUsd>) -> Option<u64> {
        match self.unit {
            Unit::Requests | Unit::Concurrency => Some(1),
            Unit::Tokens => Some(self.weights.at_most(input, output)),
            Unit::Usd => cost.map(parts),
        }
    }
}

/// A credit is no charge.
fn parts(cost: NanoUsd) -> u64 {
    u64::try_from(cost.nanos()).unwrap_or(0).min(MOST)
}

// === impl Weights ===

impl Weights {
    /// Thousandths of weighted tokens. Sound, images and video weigh as the text on their side does.
    fn of(&self, usage: &Usage) -> u64 {
        let written = usage.cache_write_5m.saturating_add(usage.cache_write_1h);
        let plain = usage.total_input().saturating_sub(written).saturating_sub(usage.cache_read);
        let reasoning = usage.reasoning.min(usage.output);
        thousandths(&[
            (plain, self.input),
            (usage.cache_read, self.cache_read),
            (written, self.cache_write),
            (usage.total_output() - reasoning, self.output),
            (reasoning, self.reasoning),
        ])
    }

    /// The same, where each token may be of the class that weighs most.
    fn at_most(&self, input: u64, output: u64) -> u64 {
        let dearest = self.input.max(self.cache_read).max(self.cache_write);
        thousandths(&[(input, dearest), (output, self.output.max(self.reasoning))])
    }
}

/// Rounded up, so that what is weighed lightly still weighs something.
fn thousandths(classes: &[(u64, Multiplier)]) -> u64 {
    let weigh = |(tokens, weight): &(u64, Multiplier)| u128::from(*tokens) * u128::from(weight.billionths());
    let sum = classes.iter().map(weigh).fold(0, u128::saturating_add);
    u64::try_from(sum.div_ceil(PER_THOUSANDTH)).unwrap_or(MOST).min(MOST)
}

#[cfg(test)]
mod tests;
