//! What a call would cost: its input estimated from its bytes, its output as it is bounded.

use super::drive::{Asked, End};
use crate::base::money::NanoUsd;
use crate::llm::Usage;
use crate::policy::Tariff;
use crate::tokens::Learned;
use crate::tokens::learned::Key;
use crate::wire;

/// Tokens and money of a call that leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// Of the body that leaves.
    pub bytes: u64,
    pub input: u64,
    pub output: Option<Bound>,
    /// The input alone; none where no price is known.
    pub input_cost: Option<NanoUsd>,
    /// With all of the output.
    pub most: Option<NanoUsd>,
    /// The price row.
    pub price: Option<String>,
}

/// The most tokens of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    pub tokens: u64,
    /// Who says so.
    pub by: &'static str,
}

/// None for what is answered here, or is no call with a model.
pub fn estimate(asked: &Asked) -> Option<Estimate> {
    let End::Leaves { body, .. } = &asked.end else { return None };
    let (policy, record) = (&*asked.policy, &asked.record);
    let name = record.backend.as_deref()?;
    let index = policy.targets.backends.iter().position(|backend| *backend.name == *name)?;
    let backend = policy.targets.backends.get(index)?;
    // What a form holds is no text.
    if record.sent_model.is_empty() || record.operation.is_media() {
        return None;
    }
    let call = wire::fields::read(record.dialect, record.operation, body).ok()?.call;
    let bytes = body.len() as u64;
    let input = Learned::new().estimate_input(Key { backend: name, model: &record.sent_model }, bytes);
    let tariff = Tariff {
        index,
        provider: &backend.provider,
        requested: &record.sent_model,
        served: None,
        told: None,
        asked: call.service_tier.as_deref(),
        size: None,
        quality: None,
    };
    let stated = call.max_output.map(|tokens| Bound { tokens, by: "the request that leaves" });
    let overlay = policy.overlays.get(index).and_then(Option::as_deref);
    let listed = || {
        let quote = policy.catalog.quote(&backend.provider, overlay, &record.sent_model)?;
        Some(Bound { tokens: quote.price.limits.max_output?, by: "the catalogue" })
    };
    let output = stated.or_else(listed).filter(|_| makes_text(record.operation));
    let output = output.map(|bound| Bound { tokens: bound.tokens.saturating_mul(call.choices.max(1)), ..bound });
    let (input_cost, price) = tariff.price(policy, &Usage { input, ..Usage::default() });
    let bounded = output.filter(|_| makes_text(record.operation)).map(|bound| bound.tokens);
    let bounded = if makes_text(record.operation) { bounded } else { Some(0) };
    let most = bounded.and_then(|output| tariff.price(policy, &Usage { input, output, ..Usage::default() }).0);
    Some(Estimate { bytes, input, output, input_cost, most, price: price.map(|row| row.name.to_string()) })
}

fn makes_text(operation: crate::llm::Operation) -> bool {
    use crate::llm::Operation::{Chat, Completion, Responses};
    matches!(operation, Chat | Completion | Responses)
}
