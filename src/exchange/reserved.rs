//! What the operator is told of a call's limits: what was reserved, in the proxy's metadata, and what would have
//! been, where nobody counts (`weir explain`).

use std::sync::Arc;

use super::Exchange;
use super::bounds::Amount;
use super::event::Meta;
use super::limits::Held;
use super::steps::{Deciding, Flow};
use super::story::Bill;
use crate::base::money::NanoUsd;
use crate::limit::charge::Charge;
use crate::limit::take::{Fit, Taken};
use crate::limit::tally::Outcome;
use crate::limit::{Limit, Stage, Unit};
use crate::llm::{Code, Refusal, UsageSource};
use crate::tokens::learned::Key;

// === impl Exchange ===

impl Exchange {
    /// With the head of the request: the ids of the limits that granted it, in the order in which they were asked,
    /// and the largest amounts of tokens and of money that any of them holds for it.
    pub(super) fn reserved_meta(&self, meta: &mut Meta) {
        let is_charged = |taken: &&Taken| taken.fit == Fit::Fits || taken.amount > 0;
        let all = || self.grants.iter().flat_map(|held| &held.grant.taken).filter(is_charged);
        let mut names = String::new();
        for taken in all() {
            if !names.is_empty() {
                names.push_str(", ");
            }
            names.push_str(&taken.limit.id);
        }
        if names.is_empty() {
            return;
        }
        meta.push(("limits", names.into()));
        let most = |unit| all().filter(|taken| taken.limit.unit == unit).map(|taken| taken.amount).max();
        if let Some(parts) = most(Unit::Tokens) {
            meta.push(("reserved_tokens", parts.div_ceil(Unit::Tokens.scale()).into()));
        }
        if let Some(nanos) = most(Unit::Usd) {
            meta.push(("reserved_cost_nano_usd", nanos.into()));
            meta.push(("reserved_cost_usd", NanoUsd(i64::try_from(nanos).unwrap_or(i64::MAX)).to_string().into()));
        }
    }

    /// Refuses a call for a limit, and remembers for which: the caller is told its name, the operator its id.
    pub(super) fn refuse_over(&mut self, limit: &Arc<Limit>, refusal: Refusal) -> Flow {
        let is_unchecked = refusal.code == Code::LimitStoreUnavailable;
        self.meets(limit, if is_unchecked { Outcome::Unchecked } else { Outcome::Denied });
        self.over = Some(limit.id.clone());
        Flow::Refuse(refusal)
    }

    /// Whether an answer that ended before its usage was stated may have had more tokens than its text: of a model
    /// that reasons, nobody sees what it thought.
    pub(super) fn may_have_thought(&self, bill: &Bill) -> bool {
        let Some(target) = self.story.target.as_ref() else { return false };
        let key = Key { backend: &target.backend.name, model: &target.model };
        let is_cut_off = bill.measure.source == UsageSource::Estimated && !self.response.was_complete();
        is_cut_off && !self.story.operation.is_media() && self.setup.learned.reasons(key)
    }

    /// Nothing is counted here: what would be taken goes into the record.
    pub(super) fn limits_peeked(&mut self, deciding: &mut Deciding) -> Flow {
        if deciding.limits.is_counting {
            deciding.limits.count(None);
            return Flow::Redo;
        }
        for (met, Amount { most: reserved, likely, .. }) in deciding.limits.take_asked() {
            let (limit, likely) = (met.rule.limit.clone(), likely.min(reserved));
            self.charges.push(Charge { limit, key: met.key, reserved, likely, charged: None, is_shadow: false });
        }
        Flow::Go
    }
}

// === impl Held ===

impl Held {
    /// Whether as much was taken of every limit as this bill comes to, without what was only a guess.
    pub(super) fn covers(&self, bill: &Bill) -> bool {
        let all = &self.grant.taken;
        all.iter().filter(|taken| taken.limit.unit.stage() == Stage::Reserve).all(|taken| {
            let is_same = |other: &Taken| other.limit.id == taken.limit.id && other.key == taken.key;
            let same = all.iter().zip(&self.guessed).filter(|(other, _)| is_same(other));
            let known = same.map(|(taken, guessed)| taken.amount.saturating_sub(*guessed));
            let reserved: u64 = known.fold(0, u64::saturating_add);
            taken.limit.charge(&bill.measure.usage, bill.cost).is_none_or(|charged| charged <= reserved)
        })
    }
}
