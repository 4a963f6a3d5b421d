//! What of a call is counted where nobody states its tokens. It can be counted after the exchange: when
//! its notes are worked off, and priced again there.

use super::Exchange;
use super::story::{Bill, NANOS};
use crate::llm::{Operation, Usage, UsageSource};
use crate::policy::Tariff;
use crate::target::Target;
use crate::tokens::learned::Key;
use crate::tokens::uncounted::{Counted, Text};
use crate::tokens::{Uncounted, bpe};

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
        // The text beside images and sound is not what they are billed by.
        let wanted = self.setup.policy.count_exactly && !self.story.operation.is_media();
        let Some(target) = self.story.target.as_ref().filter(|_| wanted) else { return false };
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
        let (geo, speed) = (seen.aside.geo.clone(), seen.aside.speed.clone());
        let started = self.story.started_unix / NANOS;
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
                at: Some(started),
                geo: geo.as_deref(),
                speed: speed.as_deref(),
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
