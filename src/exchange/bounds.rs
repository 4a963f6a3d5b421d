//! The most that a call comes to before it leaves, in the parts of a limit's unit: by what it states, by its
//! bytes, by what its caller's calls of the model came to before. What its parts come to that are no text is in
//! `wire::parts`, and what it costs in `costs`.

use super::Exchange;
use super::costs::most_tokens;
use super::steps::Deciding;
use super::translate::read_changed;
use crate::limit::Unit;
use crate::llm::{Call, Operation, Refusal};
use crate::policy::Unpriced;
use crate::policy::limits::{Met, Rule};
use crate::target::Target;
use crate::tokens::bpe;
use crate::tokens::learned::Key;
use crate::wire::parts::Parts;

/// Tokens out that are assumed of a call that states no bound, where neither its limit says a number nor
/// anything was learned of its caller and model.
const OUTPUT: u64 = 1024;

/// The fewest tokens that are assumed of what a call refers to and does not bring.
const REFERRED: u64 = 8 << 10;

/// Of so many bytes of a document one token is thought to be made; each of them may be one.
const DOCUMENT: u64 = 8;

/// Of a limit no call takes more than this part for what nothing is known of: several that refer to something have
/// room beside each other, before the first of them has told what it came to.
const GUESSED: u64 = 8;

/// The most that a model is thought to read whose price does not say: the largest that is common.
const WINDOW: u64 = 1 << 20;

/// Of a limit that ends streams so many tokens are taken at a time.
pub(super) const STEP: u64 = 256;

/// The most that a call comes to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bounds {
    pub input: u64,
    /// How much of the input is only assumed: what is no text.
    assumed: u64,
    /// How much of that is a guess: nothing is known of it but that it may be there.
    guessed: u64,
    /// How much of it may be sound.
    sound: u64,
    /// What it probably is.
    pub likely: u64,
    /// As the call states it, or its model has it; none where nothing bounds it.
    output: Option<u64>,
    /// Tokens out that are expected where nothing is stated.
    expected: Option<u64>,
    /// Tokens out that it asks for by a name which its server may pass over.
    alias: u64,
    /// How many answers are made.
    choices: u64,
    /// What is made or heard has no size that the call states: the dearest is assumed.
    is_guess: bool,
    /// It is no text: nobody knows whether its provider counts tokens of it.
    is_media: bool,
}

/// What a call takes of one limit, in the parts of its unit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Amount {
    pub most: u64,
    /// What the call probably comes to.
    pub likely: u64,
    /// How much of the most is a guess, which nobody pays for a call of which nothing is known.
    pub guessed: u64,
}

// === impl Bounds ===

impl Bounds {
    /// Some of it is only assumed.
    pub fn is_assumed(self) -> bool {
        self.output.is_none() || self.assumed > 0 || self.is_guess
    }

    /// Tokens out that the answer has at most.
    pub fn stated(self) -> Option<u64> {
        self.output
    }

    /// Tokens out that are taken of a limit for all of the answer: what is stated, or what is assumed.
    pub fn whole(self, rule: &Rule) -> u64 {
        let each = |tokens: u64| tokens.saturating_mul(self.choices.max(1));
        let assumed = || each(rule.output.or(self.expected).unwrap_or(OUTPUT).max(self.alias));
        self.output.unwrap_or_else(assumed)
    }

    /// Of an answer that is ended when its limit runs out, no more than a step of output is taken beforehand.
    pub fn stepwise(self, step: u64) -> Self {
        Bounds { output: Some(self.output.unwrap_or(step).min(step)), ..self }
    }

    /// What is not only assumed.
    pub fn certain(self) -> Self {
        Bounds { output: Some(self.output.unwrap_or(0)), ..self }
    }

    /// What is left when no text is counted.
    pub fn without_text(self) -> Self {
        Bounds { input: self.assumed, likely: self.assumed, ..self }
    }

    /// The text of the prompt, where it was counted.
    pub fn counted(self) -> u64 {
        self.likely.saturating_sub(self.assumed.saturating_sub(self.guessed))
    }

    /// The prompt, without what is only a guess.
    pub fn known_input(self) -> u64 {
        self.input.saturating_sub(self.guessed)
    }

    /// The prompt, as far as it is not only assumed.
    pub fn certain_input(self) -> u64 {
        self.input.saturating_sub(self.assumed)
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

    /// What this call takes of a limit; none where money is counted and no price is known.
    pub(super) fn amounts(&self, met: &Met, bounds: Bounds, target: &Target) -> Option<Amount> {
        let of = |bounds: Bounds, input: u64| self.amount(&met.rule, bounds, input, target);
        let most = of(bounds, bounds.input)?;
        let share = met.ceiling / GUESSED;
        if bounds.is_media && met.rule.limit.unit == Unit::Tokens {
            // Most providers bill these by other units, and count no tokens at all.
            let most = if met.rule.is_enforced() { most.min(share) } else { 0 };
            return Some(Amount { most, likely: 0, guessed: most });
        }
        let likely = if bounds.likely == bounds.input { most } else { of(bounds, bounds.likely).unwrap_or(most) };
        let known = if bounds.guessed == 0 { most } else { of(bounds, bounds.known_input())? };
        let most = most.min(known.saturating_add(share));
        // What is only assumed never makes a call more than the whole limit.
        let most = match bounds.is_assumed() {
            true if bounds.is_guess => most.min(met.ceiling),
            true if most > met.ceiling => most.min(met.ceiling.max(of(bounds.certain(), bounds.certain_input())?)),
            _ => most,
        };
        // Nothing is counted for a limit that refuses nothing, so it goes by what is probable.
        let most = if met.rule.is_enforced() { most } else { likely.min(most) };
        Some(Amount { most, likely, guessed: most.saturating_sub(known) })
    }

    /// The most that this call takes of a limit; none where money is counted and no price is known.
    pub(super) fn amount(&self, rule: &Rule, bounds: Bounds, input: u64, target: &Target) -> Option<u64> {
        let output = bounds.whole(rule);
        let cost = match rule.limit.unit {
            Unit::Usd => {
                let most = |target| self.most_cost(target, input, bounds.sound, output);
                // It may come to be answered by any of them.
                let others = self.attempts.next().iter().filter_map(most);
                Some(others.fold(most(target)?, std::cmp::max))
            }
            _ => None,
        };
        rule.limit.bound(input, output, cost)
    }

    /// What so many more tokens out are charged.
    pub(super) fn amount_of_output(&self, rule: &Rule, output: u64, target: &Target) -> Option<u64> {
        let bounds = Bounds { output: Some(output), ..Bounds::default() };
        self.amount(rule, bounds, 0, target)
    }

    /// No tokenizer makes more tokens than bytes of a text, so the bytes bound the text until it is counted.
    pub(super) fn bounds(&self, target: &Target, deciding: &Deciding) -> Bounds {
        let call = self.leaving_call(deciding);
        let key = Key { backend: &target.backend.name, model: &target.model };
        let expected = self.setup.learned.expected_output(&self.story.caller.name, key);
        let choices = call.choices.max(1);
        if call.operation == Operation::CountTokens {
            return Bounds { output: Some(0), ..Bounds::default() };
        }
        if call.operation.is_media() {
            let (input, output) = most_tokens(call);
            let is_guess = self.is_guess(call);
            let output = Some(output);
            return Bounds { input, likely: input, output, choices, is_guess, is_media: true, ..Bounds::default() };
        }
        let came = deciding.fields.call.body_bytes;
        let prompt = target.changes.as_ref().map_or(0, |changes| changes.prompt.text_bytes());
        let added = call.body_bytes.saturating_sub(came).max(prompt);
        let parts = deciding.limits.parts.unwrap_or_default();
        let text = came.saturating_add(added).saturating_sub(parts.bytes);
        let estimate = self.setup.learned.estimate_input(key, text);
        let counted = deciding.limits.counted.map(|tokens| tokens.saturating_add(added));
        let (most, likely) = match counted {
            // Another tokenizer's count is no bound, where its own is known to make more of such bytes.
            Some(counted) if !bpe::is_exact(&target.model) && self.setup.learned.knows_input(key) => {
                (counted.max(estimate), counted)
            }
            Some(counted) => (counted, counted),
            // What could not or need not be counted before it is refused is held to what is known of its model.
            None if deciding.limits.is_counted || deciding.limits.is_estimated => (estimate, estimate),
            None => (text, estimate),
        };
        let likely = likely.min(most);
        let (known, guessed) = match parts == Parts::default() {
            true => (0, 0),
            false => self.assumed(parts, likely, target),
        };
        let assumed = known.saturating_add(guessed);
        let makes_text = matches!(call.operation, Operation::Chat | Operation::Completion | Operation::Responses);
        let output = if makes_text { self.stated_output(target, deciding) } else { Some(0) };
        Bounds {
            input: most.saturating_add(assumed),
            assumed,
            guessed,
            sound: parts.sound,
            likely: likely.saturating_add(known),
            output,
            expected,
            alias: call.output_alias.unwrap_or(0),
            choices,
            ..Bounds::default()
        }
    }

    /// What is taken for the parts of a prompt that are no text, beside `text` tokens that are: what is known of
    /// them, and what is guessed beyond that. What a provider keeps is as much as the largest prompt before, and
    /// what it reads elsewhere as much as that one was longer; before there was one, all that its model reads.
    fn assumed(&self, parts: Parts, text: u64, target: &Target) -> (u64, u64) {
        let key = Key { backend: &target.backend.name, model: &target.model };
        let window = self.window(target.into()).unwrap_or(WINDOW);
        let before = self.setup.learned.expected_input(&self.story.caller.name, key);
        let here = parts.tokens.saturating_add(parts.documents.div_ceil(DOCUMENT));
        let referred = match before {
            Some(before) if parts.goes_on => before,
            Some(before) if parts.refers => before.saturating_sub(text.saturating_add(here)),
            _ => 0,
        };
        let known = here.saturating_add(referred).min(window);
        let may_refer = match before {
            _ if !parts.goes_on && !parts.refers => 0,
            Some(_) => REFERRED.saturating_sub(referred),
            None => window,
        };
        let may_read = parts.documents.saturating_sub(parts.documents.div_ceil(DOCUMENT));
        (known, may_refer.saturating_add(may_read).min(window.saturating_sub(known)))
    }

    pub(super) fn stated_output(&self, target: &Target, deciding: &Deciding) -> Option<u64> {
        let call = self.leaving_call(deciding);
        let ruled = target.changes.as_ref().and_then(|changes| changes.max_output);
        let stated = match (call.max_output, ruled) {
            (Some(stated), Some(ruled)) => Some(stated.min(ruled)),
            (stated, ruled) => stated.or(ruled),
        };
        Some(stated?.saturating_mul(call.choices.max(1)))
    }

    /// The call as a rule's parameters make it.
    fn leaving_call<'a>(&'a self, deciding: &'a Deciding) -> &'a Call {
        self.story.call.as_ref().unwrap_or(&deciding.fields.call)
    }

    /// Makes the call of the story what a rule's parameters make of it: what leaves is what counts.
    pub(super) fn see_changes(&mut self, target: &Target, deciding: &Deciding) {
        if let Some(left) = read_changed(deciding, target) {
            self.story.call = Some(left);
        }
    }
}
