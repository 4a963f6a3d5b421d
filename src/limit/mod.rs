//! Requests, tokens or money per window: what is asked before a call, and what an answer means.
//! Counting is the world's; this module holds the words of the bargain: reserve, then settle.

mod amount;
pub mod charge;
pub mod counter;
pub mod journal;
pub mod key;
pub mod lease;
pub mod memory;
pub mod peak;
pub mod redis;
pub mod take;
pub mod tally;
pub mod window;
mod words;

use std::fmt;
use std::sync::Arc;

use take::{Fit, Grant, Refused, Settlement, Take, Taken};

use crate::base::money::{Multiplier, NanoUsd};
use crate::llm::Usage;
use crate::tokens::Uncounted;

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unit {
    Requests,
    Concurrency,
    Tokens,
    Usd,
}

/// One limit of one policy, as it is counted. All that says when and for whom it is asked is the policy's.
#[derive(Clone, PartialEq, Eq)]
pub struct Limit {
    /// `POLICY/LIMIT`, in a namespace `NAMESPACE/POLICY/LIMIT`. Records, metrics and stores call it so.
    pub id: Arc<str>,
    /// What a caller is told that it is called.
    pub name: Arc<str>,
    pub unit: Unit,
    /// In the unit's own parts, see [`Unit::scale`]; at most [`MOST`].
    pub amount: u64,
    pub window: window::Window,
    /// One counter for each combination of these.
    pub per: Vec<key::Key>,
    pub when_key_missing: key::WhenKeyMissing,
    pub weights: Weights,
    /// Shares of the amount in percent at which a warning is given, rising.
    pub warn_at: Vec<u8>,
    pub counting: Counting,
}

/// Where the counters are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counting {
    /// In each process by itself.
    Process,
    /// In a store that all replicas share. `lease` is the share of the amount, in percent, that may be
    /// outstanding over all replicas together; at 0 every request asks the store.
    Fleet { lease: u8 },
}

/// What a token of each class counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weights {
    pub input: Multiplier,
    pub cache_read: Multiplier,
    pub cache_write: Multiplier,
    pub output: Multiplier,
    /// Instead of that of `output`, for the part of it that was reasoning.
    pub reasoning: Multiplier,
}

/// The largest amount, in parts: beyond 2^53 a store that calculates in floats does so no longer exactly.
/// It is 9,007,199 USD, or nine million million tokens.
pub const MOST: u64 = (1 << 53) - 1;

/// When a limit is asked. A cache hit counts as a request and spends neither tokens nor money.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Requests and concurrency, before the cache.
    Admit,
    /// Tokens and money, after it.
    Reserve,
}

/// All takes of one call at one stage, under one grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    pub takes: Vec<Take>,
}

/// The store's answer: all takes that are enforced, or none.
pub type Decision = Result<Grant, Refused>;

/// A grant that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settle {
    pub grant: Grant,
    /// How much of each take is a guess, in the order of the grant; of those without a row nothing is.
    pub guessed: Vec<u64>,
    pub spent: Spent,
    /// The text that has to be counted before `spent` is exact. None in what a store is told.
    pub uncounted: Option<Uncounted>,
}

/// What the call of a grant came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spent {
    /// Another limit refused it: as if it had never been made.
    Undone,
    /// It never left. It counts as a request, and used nothing else.
    Nothing,
    /// It left, and nobody can say what it used: what was taken stays, without what was only a guess.
    Unknown,
    Used {
        usage: Usage,
        cost: Option<NanoUsd>,
    },
}

// === impl Limit ===

impl Limit {
    /// One counter for all, every token counting one, in each process by itself.
    pub fn new(name: &str, unit: Unit, amount: u64, window: window::Window) -> Self {
        Limit {
            id: name.into(),
            name: name.into(),
            unit,
            amount,
            window,
            per: Vec::new(),
            when_key_missing: key::WhenKeyMissing::default(),
            weights: Weights::default(),
            warn_at: Vec::new(),
            counting: Counting::Process,
        }
    }

    /// Whether all replicas count it together.
    pub fn is_shared(&self) -> bool {
        matches!(self.counting, Counting::Fleet { .. })
    }
}

/// What it is called: all of it would be most of what is shown of a call.
impl fmt::Debug for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Limit({})", self.id)
    }
}

// === impl Unit ===

impl Unit {
    /// Into how many parts one of it is divided: a token into a thousand, for it may be weighted, and a USD
    /// into nano-USD.
    pub fn scale(self) -> u64 {
        match self {
            Unit::Requests | Unit::Concurrency => 1,
            Unit::Tokens => 1_000,
            Unit::Usd => 1_000_000_000,
        }
    }

    /// When it is asked.
    pub fn stage(self) -> Stage {
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
            self.spent = Spent::Used { usage: counted.usage, cost: counted.cost };
        }
    }

    /// What each of the takes is charged in the end.
    ///
    /// Where more was taken of a limit while the call ran, what it came to fills the takes in their order, and
    /// what is beyond them all belongs to the last.
    pub fn settlement(self) -> Settlement {
        let rows = &self.grant.taken;
        let same = |one: &Taken, other: &Taken| one.limit.id == other.limit.id && one.key == other.key;
        let mut amounts: Vec<u64> = Vec::with_capacity(rows.len());
        for (at, taken) in rows.iter().enumerate() {
            let Some(all) = self.spent.of(taken) else {
                amounts.push(taken.amount.saturating_sub(self.guessed.get(at).copied().unwrap_or(0)));
                continue;
            };
            let before = rows.iter().take(at).zip(&amounts).filter(|(row, _)| same(row, taken));
            let left = all.saturating_sub(before.map(|(_, amount)| *amount).sum());
            let is_last = !rows.iter().skip(at + 1).any(|row| same(row, taken));
            amounts.push(if is_last { left } else { left.min(taken.amount) });
        }
        Settlement { grant: self.grant, amounts }
    }
}

// === impl Spent ===

impl Spent {
    /// What is charged in the end of all that one call took by this key; none where what was taken stays.
    fn of(self, taken: &Taken) -> Option<u64> {
        // What would have been refused used nothing, so that Shadow shows what enforcing comes to.
        if taken.fit == Fit::Over && taken.amount == 0 {
            return Some(0);
        }
        match (self, taken.limit.unit) {
            (Spent::Undone, _) | (_, Unit::Concurrency) | (Spent::Nothing, Unit::Tokens | Unit::Usd) => Some(0),
            (_, Unit::Requests) => Some(1),
            (Spent::Unknown, Unit::Tokens | Unit::Usd) => None,
            (Spent::Used { usage, cost }, Unit::Tokens | Unit::Usd) => taken.limit.charge(&usage, cost),
        }
    }
}
