//! How the caller's limits stand, in the headers of its answer.

use std::time::Duration;

use super::Exchange;
use super::event::{Edits, ResponseHead};
use crate::limit::Unit;
use crate::limit::take::Standing;
use crate::llm::{Allowance, Allowances};
use crate::policy::limits::Rule;
use crate::wire::rates::OPENAI;

/// What the provider's own headers are called where the caller is told of Weir's.
const UPSTREAM: &str = "x-weir-upstream-ratelimit-";
const OWN: &str = "x-ratelimit-";

// === impl Exchange ===

impl Exchange {
    /// Tells of the tightest limit of requests and of tokens among those that count the caller alone, in
    /// OpenAI's spelling; of nobody else's, and nothing where the profile does not list it.
    pub(super) fn tell_standing(&self, mut put: impl FnMut(&'static str, String)) {
        let known = self.allowances();
        if known != Allowances::default() {
            OPENAI.write(&known, self.now.unix_nanos, &mut put);
        }
    }

    fn allowances(&self) -> Allowances {
        let mut known = Allowances::default();
        if !self.profile.response_headers.rate_limit {
            return known;
        }
        for (rule, standing, slack) in self.standings() {
            let rate = match rule.limit.unit {
                Unit::Requests => &mut known.requests,
                Unit::Tokens => &mut known.tokens,
                Unit::Usd | Unit::Concurrency => continue,
            };
            if !(rule.is_enforced() && rule.is_of_caller()) {
                continue;
            }
            let scale = rule.limit.unit.scale();
            // What was taken to be on the safe side comes back.
            let left = standing.left.saturating_add(slack).min(standing.ceiling) / scale;
            if rate.remaining.is_none_or(|least| left < least) {
                let limit = Some(standing.ceiling / scale);
                *rate = Allowance { limit, remaining: Some(left), reset: Some(round_up(standing.reset)) };
            }
        }
        known
    }

    fn standings(&self) -> impl Iterator<Item = (&Rule, Standing, u64)> {
        let granted = self.grants.iter().flat_map(|held| {
            let rows = held.grant.taken.iter().zip(&held.rules).zip(&held.slack);
            rows.map(|((taken, rule), slack)| (&**rule, taken.standing, *slack))
        });
        let refused = self.refused_by.iter().map(|(rule, standing)| (&**rule, *standing, 0));
        granted.chain(refused).filter(|(_, standing, _)| standing.is_known())
    }

    /// Gives the provider's headers of the same names other ones, where the caller is told of Weir's.
    pub(super) fn move_rates(&mut self, head: &ResponseHead) {
        if self.allowances() == Allowances::default() {
            return;
        }
        let theirs = head.headers.iter().filter_map(|(name, value)| {
            let rest = name.strip_prefix(OWN)?;
            Some((name.to_owned(), format!("{UPSTREAM}{rest}"), std::str::from_utf8(value).ok()?.to_owned()))
        });
        self.response.moved_rates = theirs.collect();
    }

    /// How the limits stand, in the head of an answer that comes from a provider.
    pub(super) fn tell_standing_in(&self, edits: &mut Edits) {
        for (name, moved, value) in &self.response.moved_rates {
            edits.remove.push(name.clone().into());
            edits.set(moved.clone(), value.clone());
        }
        self.tell_standing(|name, value| {
            edits.remove.retain(|removed| *removed != *name);
            edits.set(name, value);
        });
    }
}

/// To whole milliseconds, which is what is written.
fn round_up(time: Duration) -> Duration {
    Duration::from_millis(u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX))
}
