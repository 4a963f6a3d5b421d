//! What a call costs once its tokens are known, which can be after the exchange: an answer whose
//! tokens nobody states is counted when its notes are worked off, and priced again there.

use super::Exchange;
use super::story::Bill;
use crate::base::money::NanoUsd;
use crate::catalog::price::Terms;
use crate::llm::{Operation, PriceRow, Usage, UsageSource};
use crate::meter::{self, Models};
use crate::policy::Policy;
use crate::target::Target;
use crate::tokens::learned::Key;
use crate::tokens::uncounted::{Counted, Text};
use crate::tokens::{Uncounted, bpe};

/// Everything but the tokens that a price depends on.
#[derive(Clone, Copy)]
pub(super) struct Tariff<'a> {
    /// Of the backend.
    pub index: usize,
    pub provider: &'a str,
    pub requested: &'a str,
    pub served: Option<&'a str>,
    /// The service tier that the answer names.
    pub told: Option<&'a str>,
    /// The service tier that was asked for.
    pub asked: Option<&'a str>,
    /// Of images, as the answer states them, else as they were asked for.
    pub size: Option<&'a str>,
    pub quality: Option<&'a str>,
}

// === impl Tariff ===

impl Tariff<'_> {
    /// The cost of `usage` and the name of its price; none where it is not known.
    pub fn price(&self, policy: &Policy, usage: &Usage) -> (Option<NanoUsd>, Option<PriceRow>) {
        let overlay = policy.overlays.get(self.index).and_then(Option::as_deref);
        let models = Models { requested: self.requested, served: self.served };
        let price = |tier| {
            let terms = Terms { tier, size: self.size, quality: self.quality };
            meter::price(&policy.catalog, overlay, self.provider, models, usage, terms).ok()
        };
        let priced = match self.told {
            Some(tier) => price(Some(tier)),
            // What was asked for and is not confirmed counts only where it is dearer: a provider that
            // knows no tiers bills its one price.
            None => {
                let dearer = self.asked.and_then(|tier| price(Some(tier)));
                [price(None), dearer].into_iter().flatten().max_by_key(|priced| priced.cost.total)
            }
        };
        priced.map_or((None, None), |priced| (Some(priced.cost.total), Some(priced.row)))
    }
}

// === impl Exchange ===

impl Exchange {
    /// Whether the prompt is counted beside the call, in case nobody states its tokens.
    pub(super) fn counts_input(&self, target: &Target) -> bool {
        let operation = self.story.operation;
        let free = operation == Operation::CountTokens || operation.is_media();
        let key = Key { backend: &target.backend.name, model: &target.model };
        self.setup.policy.count_exactly && !free && counts(&target.model, || self.setup.learned.knows_input(key))
    }

    /// Whether the text of the answer is kept, in case nobody states its tokens.
    pub(super) fn counts_output(&self) -> bool {
        let Some(target) = self.story.target.as_ref().filter(|_| self.setup.policy.count_exactly) else { return false };
        let key = Key { backend: &target.backend.name, model: &target.model };
        counts(&target.model, || self.setup.learned.knows_output(key))
    }

    /// What has to be counted before the bill is exact: the text of an answer whose tokens were
    /// estimated. Whatever else was kept is dropped.
    pub(super) fn uncounted(&mut self, bill: &Bill) -> Option<Uncounted> {
        let kept = self.response.take_text()?;
        let (seen, target) = (self.response.seen()?, self.story.target.as_ref()?);
        let whole = self.response.text_bytes().filter(|bytes| *bytes > 0)?;
        if bill.measure.source != UsageSource::Estimated {
            return None;
        }
        let key = Key { backend: &target.backend.name, model: &target.model };
        let beyond = self.setup.learned.estimate_output(key, whole.saturating_sub(kept.len() as u64));
        let (policy, target, served) = (self.setup.policy.clone(), target.clone(), seen.model.clone());
        let told = seen.service_tier.clone();
        let asked = self.story.call.as_ref().and_then(|call| call.service_tier.clone());
        // An output that the provider stated before the end is the least that it bills.
        let (usage, least) = (bill.measure.usage, seen.usage.map_or(0, |usage| usage.output));
        let model = target.model.clone();
        let price = move |tokens: u64| {
            let usage = Usage { output: tokens.max(least), ..usage };
            let tariff = Tariff {
                index: target.index,
                provider: &target.backend.provider,
                requested: &target.model,
                served: served.as_deref(),
                told: told.as_deref(),
                asked: asked.as_deref(),
                size: None,
                quality: None,
            };
            let (cost, price) = tariff.price(&policy, &usage);
            Counted { usage, cost, price }
        };
        Some(Uncounted::new(&model, Text { kept, whole, beyond }, price))
    }
}

/// Whether a count says more than what is known of the model already.
fn counts(model: &str, is_known: impl FnOnce() -> bool) -> bool {
    bpe::is_exact(model) || !is_known()
}
