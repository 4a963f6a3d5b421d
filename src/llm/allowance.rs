//! What a provider says of how much it allows, in no wire format.

use std::time::Duration;

/// What is known of each of the rates that providers tell of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowances {
    pub requests: Allowance,
    pub tokens: Allowance,
    pub input_tokens: Allowance,
    pub output_tokens: Allowance,
}

/// One rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowance {
    /// As many are allowed in a window, whose length is not told.
    pub limit: Option<u64>,
    /// As many of them are left.
    pub remaining: Option<u64>,
    /// The time until all of them are allowed again.
    pub reset: Option<Duration>,
}

// === impl Allowances ===

impl Allowances {
    /// Tokens of both kinds; where a provider counts each kind alone, those that run out first.
    pub fn all_tokens(&self) -> Allowance {
        if self.tokens != Allowance::default() {
            return self.tokens;
        }
        let left = |of: &Allowance| of.remaining.unwrap_or(u64::MAX);
        match left(&self.output_tokens) < left(&self.input_tokens) {
            true => self.output_tokens,
            false => self.input_tokens,
        }
    }
}
