//! The bargain: what is taken of limits before a call, how each stands then, and what it came to.

use std::sync::Arc;
use std::time::Duration;

use super::Limit;

/// One limit as one call meets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Take {
    pub limit: Arc<Limit>,
    /// The counter; see [`counter`](super::key::counter).
    pub key: Arc<str>,
    /// How much of it all calls together may use as far as this caller is concerned: the limit's amount,
    /// what an override says, less what is kept for others.
    pub ceiling: u64,
    /// The most that the call comes to, as far as that is known beforehand.
    pub amount: u64,
    pub posture: Posture,
}

/// What becomes of a take that does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Posture {
    /// Nothing is taken of any limit, and the call is refused.
    Enforce,
    /// It is taken all the same, and said (`whenExceeded: Observe`).
    Observe,
    /// It is not taken, as if the call had been refused, and the call goes on (`mode: Shadow`).
    Shadow,
}

/// What was taken under one id, all limits of one call. It is settled exactly once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Unique among the grants of all replicas.
    pub id: u128,
    /// In the order of the takes; then what was taken more while the call ran, each under its own id.
    pub taken: Vec<Taken>,
}

/// One take of a grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The id under which it was taken. What is taken more while a call runs is added to what it has, and a store
    /// settles each grant by itself.
    pub grant: u128,
    pub limit: Arc<Limit>,
    /// Another than the take's where that found no room: its limit's window may be shorter then.
    pub key: Arc<str>,
    /// What is charged now; 0 where nothing was taken.
    pub amount: u64,
    /// The part of the window to which the charge belongs, and in which alone it can be changed.
    pub bucket: u64,
    pub fit: Fit,
    pub standing: Standing,
    /// The share in percent of `warnAt` that what is settled has reached of the take's ceiling, and that nobody has
    /// been told yet: the highest, if several are. So it is told to a call after the one that reached it, unless its
    /// settlement was told already ([`Passed`]). What is never settled otherwise (`Requests`, `Concurrency`) counts
    /// when it is taken. A calendar's unit has each once; else it is told again after the use had fallen below 80 % of
    /// it, and a minute later at the earliest.
    pub passed: Option<u8>,
    /// The slice of the counter of which it was taken, that this process holds; see [`lease`](super::lease). None
    /// where the counter itself was asked.
    pub slice: Option<u64>,
}

/// A share of `warnAt` that a settlement has reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed {
    pub limit: Arc<Limit>,
    pub key: Arc<str>,
    /// In percent.
    pub share: u8,
}

/// Whether a take fitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    Fits,
    /// It did not, and its posture let the call go on.
    Over,
    /// The store did not say; nothing is known to be taken.
    Unchecked,
}

/// How a limit stands, as a caller is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    pub ceiling: u64,
    /// What is left below the ceiling.
    pub left: u64,
    /// Until nothing is used any more, if nothing more is taken; zero where nothing is used, or where nobody knows
    /// (`Concurrency`).
    pub reset: Duration,
}

/// Nothing was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The take that did not fit; of several the one for which the call would have to wait longest.
    pub take: usize,
    /// After how long it would fit if nothing else is taken meanwhile; none where it never would, or where
    /// nobody knows (`Concurrency`).
    pub wait: Option<Duration>,
    /// Of every take, in order; [`Standing::UNKNOWN`] of those that were not asked.
    pub standings: Vec<Standing>,
}

/// What a grant came to: for each of its takes the amount that is charged in the end. 0 gives all back, and is what a
/// shadow's take that did not fit comes to. What is held is released by any amount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    pub grant: Grant,
    /// In the order of `grant.taken`.
    pub amounts: Vec<u64>,
}

// === impl Taken ===

impl Taken {
    /// The store did not say whether this was taken.
    pub fn unchecked(grant: u128, take: &Take) -> Taken {
        Taken {
            grant,
            limit: take.limit.clone(),
            key: take.key.clone(),
            amount: 0,
            bucket: 0,
            fit: Fit::Unchecked,
            standing: Standing::UNKNOWN,
            passed: None,
            slice: None,
        }
    }
}

// === impl Standing ===

impl Standing {
    /// Of a limit that was not asked, or whose store did not say. No amount is as large.
    pub const UNKNOWN: Standing = Standing { ceiling: u64::MAX, left: u64::MAX, reset: Duration::ZERO };

    pub fn is_known(&self) -> bool {
        *self != Standing::UNKNOWN
    }

    /// The part of the ceiling that is used, in millionths; none where nobody knows. What is above it is not told.
    pub fn utilisation(self) -> Option<u32> {
        if !self.is_known() {
            return None;
        }
        let used = u128::from(self.ceiling.saturating_sub(self.left));
        // Of nothing, nothing is left.
        let share = (used * 1_000_000).checked_div(self.ceiling.into()).unwrap_or(1_000_000);
        u32::try_from(share).ok()
    }
}
