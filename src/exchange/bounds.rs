//! The most that a call comes to before it leaves, in the parts of a limit's unit: by what it states, by its
//! bytes, by what its caller's calls of the model came to before.

use super::Exchange;
use super::steps::Deciding;
use super::story::NANOS;
use crate::base::money::NanoUsd;
use crate::limit::Unit;
use crate::llm::{Operation, Refusal, Usage};
use crate::policy::limits::Rule;
use crate::policy::{Tariff, Unpriced};
use crate::target::Target;
use crate::tokens::learned::Key;

/// Tokens out that are assumed of a call that states no bound, where neither its limit says a number nor
/// anything was learned of its caller and model.
const OUTPUT: u64 = 1024;

/// Of a limit that ends streams so many tokens are taken at a time.
pub(super) const STEP: u64 = 256;

/// The most that a call comes to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub input: u64,
    /// What it probably is.
    pub likely: u64,
    /// As the call states it, or its model has it; none where nothing bounds it.
    output: Option<u64>,
    /// Tokens out that are expected where nothing is stated.
    expected: Option<u64>,
}

// === impl Bounds ===

impl Bounds {
    /// Nothing bounds the answer.
    pub fn is_assumed(self) -> bool {
        self.output.is_none()
    }

    /// Tokens out that the answer has at most.
    pub fn stated(self) -> Option<u64> {
        self.output
    }

    /// Tokens out that are taken of a limit for all of the answer: what is stated, or what is assumed.
    pub fn whole(self, rule: &Rule) -> u64 {
        self.output.or(rule.output).or(self.expected).unwrap_or(OUTPUT)
    }

    /// Of an answer that is ended when its limit runs out, no more than a step of output is taken beforehand.
    pub fn stepwise(self, step: u64) -> Self {
        Bounds { output: Some(self.output.unwrap_or(step).min(step)), ..self }
    }

    /// The prompt alone.
    pub fn without_output(self) -> Self {
        Bounds { output: Some(0), ..self }
    }
}

// === impl Exchange ===

impl Exchange {
    /// What a limit of money makes of a call whose price is not known: it is refused, unless the profile says
    /// that such calls are allowed.
    pub(super) fn without_price(&self, rule: &Rule, target: &Target) -> Option<Refusal> {
        let allows = self.profile.unpriced == Unpriced::Allow || !rule.is_enforced();
        (!allows).then(|| super::access::unpriced(&target.model))
    }

    /// The most that this call takes of a limit; none where money is counted and no price is known.
    pub(super) fn amount(&self, rule: &Rule, bounds: Bounds, input: u64, target: &Target) -> Option<u64> {
        let output = bounds.whole(rule);
        let cost = match rule.limit.unit {
            Unit::Usd => Some(self.most_cost(target, input, output)?),
            _ => None,
        };
        rule.limit.bound(input, output, cost)
    }

    /// What so many more tokens out are charged.
    pub(super) fn amount_of_output(&self, rule: &Rule, output: u64, target: &Target) -> Option<u64> {
        let bounds = Bounds { input: 0, likely: 0, output: Some(output), expected: None };
        self.amount(rule, bounds, 0, target)
    }

    /// The cost of so many tokens, whether the prompt is written to a cache or not.
    fn most_cost(&self, target: &Target, input: u64, output: u64) -> Option<NanoUsd> {
        let call = self.story.call.as_ref();
        let tariff = Tariff {
            index: target.index,
            provider: &target.backend.provider,
            requested: &target.model,
            served: None,
            told: None,
            asked: call.and_then(|call| call.service_tier.as_deref()),
            size: call.and_then(|call| call.media.as_ref()?.size.as_deref()),
            quality: call.and_then(|call| call.media.as_ref()?.quality.as_deref()),
            at: Some(self.now.unix_nanos / NANOS),
            geo: None,
            speed: None,
        };
        let mut plain = Usage { input, output, ..Usage::default() };
        if self.story.operation == Operation::Image {
            plain.units.images_out = call.map_or(1, |call| call.choices);
        }
        if let Some(media) = call.and_then(|call| call.media.as_ref()) {
            (plain.units.characters, plain.units.audio_in_ms) = (media.characters, media.audio_ms);
        }
        let written = Usage { input: 0, cache_write_1h: input, ..plain };
        let costs = [plain, written].map(|usage| tariff.price(&self.setup.policy, &usage).0);
        // A price without a cache has nothing to say of one.
        let most = costs.into_iter().flatten().max();
        // An image that is billed by its tokens has no price for the piece, and nobody knows its tokens before.
        most.or_else(|| tariff.price(&self.setup.policy, &Usage { input, output, ..Usage::default() }).0)
    }

    /// No tokenizer makes more tokens than bytes of a text, so the bytes bound the prompt until it is counted.
    pub(super) fn bounds(&self, target: &Target, deciding: &Deciding) -> Bounds {
        let call = &deciding.fields.call;
        let key = Key { backend: &target.backend.name, model: &target.model };
        let added = target.changes.as_ref().map_or(0, |changes| changes.prompt.text_bytes());
        let bytes = call.body_bytes.saturating_add(added);
        let media = call.operation.is_media() || call.operation == Operation::CountTokens;
        let likely = self.setup.learned.estimate_input(key, bytes);
        let counted = deciding.limits.counted.map(|tokens| tokens.saturating_add(added));
        // What could not be counted before it is refused is held to what is known of its model.
        let counted = counted.or(deciding.limits.is_counted.then_some(likely));
        let (input, likely) = if media { (0, 0) } else { (counted.unwrap_or(bytes), counted.unwrap_or(likely)) };
        let makes_text = matches!(call.operation, Operation::Chat | Operation::Completion | Operation::Responses);
        let output = if makes_text { self.stated_output(target, deciding) } else { Some(0) };
        let caller = &self.story.caller.name;
        let expected = self.setup.learned.expected_output(caller, key);
        Bounds { input, likely: likely.min(input), output, expected }
    }

    pub(super) fn stated_output(&self, target: &Target, deciding: &Deciding) -> Option<u64> {
        let call = &deciding.fields.call;
        let ruled = target.changes.as_ref().and_then(|changes| changes.max_output);
        let stated = match (call.max_output, ruled) {
            (Some(stated), Some(ruled)) => Some(stated.min(ruled)),
            (stated, ruled) => stated.or(ruled),
        };
        Some(stated?.saturating_mul(call.choices.max(1)))
    }
}
