//! What a call would cost: its input estimated from its bytes, its output as it is bounded.

use serde_json::Value;

use super::drive::{Asked, End};
use crate::base::money::NanoUsd;
use crate::llm::{Operation, Usage};
use crate::policy::Tariff;
use crate::tokens::Learned;
use crate::tokens::learned::Key;

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

/// Where a request states the bound on its output, in the words of every API that it may leave in: OpenAI's and
/// Anthropic's, Cohere's; Gemini's, which reads both spellings; Converse's; Ollama's.
const MAX_OUTPUT: &[&str] = &[
    "/max_completion_tokens",
    "/max_output_tokens",
    "/max_tokens",
    "/generationConfig/maxOutputTokens",
    "/generation_config/max_output_tokens",
    "/inferenceConfig/maxTokens",
    "/options/num_predict",
];

/// Where it states how many answers it wants.
const CHOICES: &[&str] = &["/n", "/generationConfig/candidateCount", "/generation_config/candidate_count"];

/// None for what is answered here, or is no call with a model that is paid for.
pub fn estimate(asked: &Asked) -> Option<Estimate> {
    let End::Leaves { body, .. } = &asked.end else { return None };
    let (policy, record) = (&*asked.policy, &asked.record);
    let name = record.backend.as_deref()?;
    let index = policy.targets.backends.iter().position(|backend| *backend.name == *name)?;
    let backend = policy.targets.backends.get(index)?;
    // What a form holds is no text, and a count is free.
    if record.sent_model.is_empty() || record.operation.is_media() || record.operation == Operation::CountTokens {
        return None;
    }
    let left: Value = serde_json::from_slice(body).ok()?;
    let first = |places: &[&str]| places.iter().find_map(|place| left.pointer(place)?.as_u64());
    let bytes = body.len() as u64;
    let input = Learned::new().estimate_input(Key { backend: name, model: &record.sent_model }, bytes);
    let tariff = Tariff {
        index,
        provider: &backend.provider,
        requested: &record.sent_model,
        served: None,
        told: None,
        asked: left.get("service_tier").and_then(Value::as_str),
        size: None,
        quality: None,
        at: None,
        geo: None,
        speed: None,
    };
    let stated = first(MAX_OUTPUT).map(|tokens| Bound { tokens, by: "the request that leaves" });
    let overlay = policy.overlays.get(index).and_then(Option::as_deref);
    let listed = || {
        let quote = policy.catalog.quote(&backend.provider, overlay, &record.sent_model)?;
        Some(Bound { tokens: quote.price.limits.max_output?, by: "the catalogue" })
    };
    let choices = first(CHOICES).unwrap_or(1).max(1);
    let output = stated.or_else(listed).filter(|_| makes_text(record.operation));
    let output = output.map(|bound| Bound { tokens: bound.tokens.saturating_mul(choices), ..bound });
    let (input_cost, price) = tariff.price(policy, &Usage { input, ..Usage::default() });
    let bounded = output.filter(|_| makes_text(record.operation)).map(|bound| bound.tokens);
    let bounded = if makes_text(record.operation) { bounded } else { Some(0) };
    let most = bounded.and_then(|output| tariff.price(policy, &Usage { input, output, ..Usage::default() }).0);
    Some(Estimate { bytes, input, output, input_cost, most, price: price.map(|row| row.name.to_string()) })
}

fn makes_text(operation: Operation) -> bool {
    matches!(operation, Operation::Chat | Operation::Completion | Operation::Responses)
}
