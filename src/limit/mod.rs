//! Requests, tokens or money per window: what is asked before a call, and what an answer means.
//! Counting is the world's; this module holds the words of the bargain: reserve, then settle.

use std::time::Duration;

use crate::base::money::NanoUsd;
use crate::llm::{Call, Code, Refusal, Usage};
use crate::tokens::Uncounted;

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unit {
    Requests,
    Concurrency,
    Tokens,
    Usd,
}

/// When a limit is asked. A cache hit counts as a request and spends neither tokens nor money.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Requests and concurrency, before the cache.
    Admit,
    /// Tokens and money, after it.
    Reserve,
}

/// One limit that applies to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub name: String,
    pub unit: Unit,
}

/// All limits of one stage, taken all or nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    pub stage: Stage,
    pub rules: Vec<String>,
    /// Estimated tokens in.
    pub input: u64,
    /// The bound on tokens out that the client stated.
    pub output: Option<u64>,
}

/// The store's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    Granted(Grant),
    Refused {
        rule: String,
        retry_after: Option<Duration>,
    },
    /// Go on with another backend and model (`whenExceeded: Downgrade`).
    Retarget {
        backend: String,
        model: String,
    },
}

/// A reservation. It is settled exactly once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    pub id: u64,
}

/// What a granted decision asks the exchange to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Keep(Grant),
    Retarget { backend: String, model: String },
}

/// What a reservation came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settle {
    pub grant: Grant,
    /// Tokens that were really used; none for a call that never left.
    pub usage: Usage,
    pub cost: Option<NanoUsd>,
    /// The text that has to be counted before the two above are exact. None in what a store is told.
    pub uncounted: Option<Uncounted>,
}

/// What to ask at `stage` for this call, if a rule applies.
pub fn ask(rules: &[Rule], stage: Stage, call: &Call, estimated_input: u64) -> Option<Ask> {
    let rules: Vec<String> =
        rules.iter().filter(|rule| rule.unit.stage() == stage).map(|rule| rule.name.clone()).collect();
    (!rules.is_empty()).then_some(Ask { stage, rules, input: estimated_input, output: call.max_output })
}

/// The decision as an outcome.
///
/// # Errors
/// 429 `rate_limit_exceeded` with the store's own `retry-after`.
pub fn apply(decision: Decision) -> Result<Outcome, Refusal> {
    match decision {
        Decision::Granted(grant) => Ok(Outcome::Keep(grant)),
        Decision::Retarget { backend, model } => Ok(Outcome::Retarget { backend, model }),
        Decision::Refused { rule, retry_after } => {
            let refusal = Refusal::new(Code::RateLimitExceeded, format!("The limit {rule:?} is exhausted."));
            Err(Refusal { retry_after, ..refusal })
        }
    }
}

// === impl Unit ===

impl Unit {
    fn stage(self) -> Stage {
        match self {
            Unit::Requests | Unit::Concurrency => Stage::Admit,
            Unit::Tokens | Unit::Usd => Stage::Reserve,
        }
    }
}

// === impl Settle ===

impl Settle {
    /// Counts what nobody has stated. `give` gets back the room that the text took.
    pub fn count(&mut self, give: impl FnOnce(usize)) {
        let uncounted = self.uncounted.take();
        if let Some(counted) = uncounted.and_then(|uncounted| uncounted.count(give)) {
            (self.usage, self.cost) = (counted.usage, counted.cost);
        }
    }
}
