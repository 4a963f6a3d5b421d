//! `pricing` of an LLMBackend: prices of its own, over those of the catalogue.

use std::collections::HashSet;

use super::super::read::Reader;
use super::super::shape::{Fields, Rule, Shape, keyed, may, need};
use super::super::text;
use super::super::value;
use super::unique;
use crate::base::money::{Multiplier, Rate};

/// Prices that the configuration states itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pricing {
    /// A factor on the catalogue's prices; it leaves those of `models` alone.
    pub multiplier: Option<Multiplier>,
    pub models: Vec<ModelPrice>,
}

/// The price of one model; a class without a price is billed as the class that it is a part of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelPrice {
    /// As the provider names it.
    pub model: String,
    /// Every call has input, and every class of input without a price is billed as it.
    pub input: Rate,
    pub cache_read: Option<Rate>,
    pub cache_write: Option<Rate>,
    pub output: Option<Rate>,
    pub reasoning: Option<Rate>,
}

pub(super) const PRICING: Fields = Fields {
    rows: &[
        may(
            "multiplier",
            Shape::Text(&text::MULTIPLIER),
            "A factor on the catalogue's prices; it leaves those of `models` alone.",
        ),
        may(
            "models",
            keyed(&Shape::Object(&PRICE), "model", 256),
            "Prices of single models; each replaces the catalogue's row.",
        ),
    ],
    rules: &[Rule::Says],
};
const PRICE: Fields = Fields::of(&[
    need("model", Shape::Text(&text::ANY), "As the provider names it."),
    need("input", Shape::Text(&text::RATE), "USD per million tokens of input."),
    may(
        "cacheRead",
        Shape::Text(&text::RATE),
        "USD per million tokens of input that were read from a cache; absent: as `input`.",
    ),
    may(
        "cacheWrite",
        Shape::Text(&text::RATE),
        "USD per million tokens of input that were written to a cache; absent: as `input`.",
    ),
    may("output", Shape::Text(&text::RATE), "USD per million tokens of output."),
    may("reasoning", Shape::Text(&text::RATE), "USD per million tokens of reasoning; absent: as `output`."),
]);

pub(super) fn read_pricing(reader: &Reader<'_>) -> Option<Pricing> {
    let object = reader.object(&PRICING)?;
    let multiplier = object.get("multiplier").and_then(|field| field.decimal(value::multiplier));
    let mut seen = HashSet::new();
    let models = object.get("models").and_then(|models| models.list(|item| read_price(&item, &mut seen)));
    if object.is_empty() {
        object.at().error("needs a `multiplier` or `models`");
    }
    Some(Pricing { multiplier, models: models.unwrap_or_default() })
}

fn read_price(reader: &Reader<'_>, seen: &mut HashSet<String>) -> Option<ModelPrice> {
    let object = reader.object(&PRICE)?;
    let model = object.need("model");
    if let Some(model) = &model {
        unique(model, seen, "model");
    }
    let read = |field: Reader<'_>| field.decimal(value::rate);
    let rate = |name| object.get(name).and_then(read);
    // These prices replace the catalogue's row. One without input would leave the call without a cost.
    let input = object.need("input").and_then(read);
    let (cache_read, cache_write) = (rate("cacheRead"), rate("cacheWrite"));
    let (output, reasoning) = (rate("output"), rate("reasoning"));
    Some(ModelPrice { model: model?.text()?.to_owned(), input: input?, cache_read, cache_write, output, reasoning })
}
