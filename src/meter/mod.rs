//! From what went through to what is billed: the usage of a call, where it comes from, its price.
//!
//! Pure arithmetic on facts that the exchange has gathered. What is not known stays unknown: it is
//! never shown as zero, neither as tokens nor as money.

use crate::base::words::Words;
use crate::catalog::price::{Mode, Price, RateRow, Unit};
use crate::catalog::{Catalog, Origin, Overlay, Quote};
use crate::llm::{Dialect, Operation, PriceRow, Units, Usage, UsageSource};
use crate::tokens::Learned;
use crate::tokens::learned::Key;
use crate::wire::scan::Seen;

/// What a call used, and who says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measure {
    /// All zero if `source` is [`UsageSource::Unknown`]; do not bill it then.
    pub usage: Usage,
    pub source: UsageSource,
}

/// What was seen of a call that was forwarded to a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Through {
    /// Bytes of the request body that was sent.
    pub request_bytes: u64,
    /// Bytes of text in the answer: content, visible reasoning, arguments of tool calls; decoded,
    /// without framing. None if the answer could not be read (an event too large, an encoding or a
    /// format that is not known).
    pub text_bytes: Option<u64>,
    /// The answer ended as its format says, or a usage that covers all of it was read.
    pub complete: bool,
    /// The provider's status; none if no answer began, or the proxy answered because it broke off.
    pub status: Option<u16>,
    /// What was counted in the request that the answer may not say.
    pub counted: Units,
}

/// The names under which a price is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Models<'a> {
    /// The model as it was asked for, in the request that left.
    pub requested: &'a str,
    /// The model that the answer names.
    pub served: Option<&'a str>,
    /// The region of the backend's host, where prices depend on it.
    pub region: Option<&'a str>,
}

/// What a call used.
///
/// | status | provider's usage | answer | result |
/// |---|---|---|---|
/// | any | stated | complete | the provider's |
/// | any | stated | ended early | the provider's input, the larger of its and the estimated output: estimated |
/// | 4xx, 5xx | none | | zero, the provider's: an error status is its word that nothing was made and nothing is billed |
/// | 408, 504 | none | | unknown: only the waiting ended; the model may have run |
/// | no answer began | none | | unknown, for the same reason |
/// | else | none, and units were counted in the request | | these units: estimated |
/// | else | none | readable | estimated from bytes, input and output |
/// | else | none | not readable | unknown |
///
/// An answer that was cut before the provider's final usage is the reason for the larger of two:
/// Anthropic states output in `message_start` already, when it is 1 or so. A call of which nothing
/// is known, not even a body, is unknown.
pub fn settle(stated: Option<Usage>, seen: Through, learned: &Learned, key: Key<'_>) -> Measure {
    let unknown = Measure { usage: Usage::default(), source: UsageSource::Unknown };
    if let Some(usage) = stated {
        return if seen.complete {
            Measure { usage, source: UsageSource::Provider }
        } else {
            Measure { usage: completed(usage, seen, learned, key), source: UsageSource::Estimated }
        };
    }
    match (seen.status, seen.text_bytes) {
        (Some(408 | 504), _) => unknown,
        (Some(status), _) if status >= 400 => Measure { usage: Usage::default(), source: UsageSource::Provider },
        // Exact, and still no more than what Weir counts: the provider may count otherwise.
        _ if !seen.counted.is_none() => {
            Measure { usage: Usage { units: seen.counted, ..Usage::default() }, source: UsageSource::Estimated }
        }
        (None, _) | (_, None) => unknown,
        (_, Some(0)) if seen.request_bytes == 0 => unknown,
        (_, Some(_)) => {
            Measure { usage: completed(Usage::default(), seen, learned, key), source: UsageSource::Estimated }
        }
    }
}

/// Learns the tokens per byte of a model from a call. Only a complete, successful call with the
/// provider's own numbers teaches anything; call it once for each.
///
/// Output with reasoning in it teaches nothing about output: whether the text of the reasoning was
/// among the bytes differs from provider to provider.
pub fn learn(stated: &Usage, seen: Through, learned: &Learned, key: Key<'_>) {
    if !seen.complete || seen.status.is_none_or(|status| !(200..300).contains(&status)) {
        return;
    }
    learned.observe_input(key, stated.total_input(), seen.request_bytes);
    if stated.reasoning > 0 {
        learned.observe_reasoning(key);
    }
    if let Some(bytes) = seen.text_bytes
        && stated.reasoning == 0
    {
        learned.observe_output(key, stated.output, bytes);
    }
}

/// What an answer states, for what was asked: usage, and the facts beside it that are usage here.
///
/// | operation | fact | is |
/// |---|---|---|
/// | image | objects in `data` of a complete answer, whole images of a stream | images made |
/// | image | output tokens that no details divide (OpenAI, images, 2026-09: "image tokens in the output image") | image output |
/// | audio | `duration` (OpenAI `verbose_json`), where usage states no seconds | sound sent |
/// | speech | output tokens that no details divide (`speech.audio.done`) | audio output |
/// | embeddings, rerank | `total_tokens` and no other number (Jina, Voyage) | input |
pub fn stated(operation: Operation, speaks: bool, seen: &Seen, complete: bool) -> Option<Usage> {
    let aside = &seen.aside;
    let mut usage = seen.usage;
    match operation {
        Operation::Image => {
            if complete && aside.images > 0 && !seen.has_error {
                usage.get_or_insert_default().units.images_out = aside.images;
            }
            if let Some(usage) = usage.as_mut().filter(|usage| usage.image_out == 0) {
                usage.image_out = std::mem::take(&mut usage.output);
            }
        }
        Operation::Audio if speaks => {
            if let Some(usage) = usage.as_mut().filter(|usage| usage.audio_out == 0) {
                usage.audio_out = std::mem::take(&mut usage.output);
            }
        }
        Operation::Audio => {
            let ms = aside.duration_ms.filter(|_| complete && !seen.has_error).unwrap_or(0);
            if ms > 0 && usage.is_none_or(|usage| usage.units.audio_in_ms == 0) {
                usage.get_or_insert_default().units.audio_in_ms = ms;
            }
        }
        Operation::Embeddings | Operation::Rerank if usage.is_none() => {
            usage = aside.total_tokens.map(|input| Usage { input, ..Usage::default() });
        }
        _ => {}
    }
    usage
}

/// The name of a price, for records. Where it stands in for one of `region` that is not known, its version says so:
/// `VERSION, none for REGION`.
pub fn row(catalog: &Catalog, quote: Quote<'_>, region: Option<&str>) -> PriceRow {
    let version = match quote.origin {
        Origin::Overlay => Words::Fixed("config"),
        Origin::Catalogue => match region.filter(|_| quote.is_elsewhere) {
            // Said where it is written down, since the price there may be another.
            Some(region) => Words::from(format!("{}, none for {region}", catalog.version())),
            None => catalog.version().into(),
        },
        Origin::Default => Words::Fixed("default"),
    };
    PriceRow { name: quote.price.name.clone(), version }
}

/// Whether calls of this model have a price at a backend of `provider`: plain tokens, or the unit that
/// the model is billed by.
pub fn is_priced(catalog: &Catalog, overlay: Option<&Overlay>, provider: &str, models: Models<'_>) -> bool {
    let one = Usage { input: 1, output: 1, ..Usage::default() };
    quote(catalog, overlay, provider, models).is_some_and(|quote| match quote.price.mode {
        None | Some(Mode::Chat | Mode::Completion | Mode::Responses) => quote.price.cost(&one, None).is_ok(),
        Some(_) => quote.price.is_usable(),
    })
}

/// The sizes and qualities that images have a rate for.
pub fn image_terms(price: &Price) -> impl Iterator<Item = (Option<&str>, Option<&str>)> {
    let made = |row: &&RateRow| matches!(row.unit, Unit::PerImageOut | Unit::PerPixelOut | Unit::PerImageIn);
    price.rates.iter().filter(made).map(|row| (row.variant.as_deref(), row.quality.as_deref()))
}

/// How many tokens a model reads at most, where its price says so.
pub fn window(catalog: &Catalog, overlay: Option<&Overlay>, provider: &str, models: Models<'_>) -> Option<u64> {
    let most = |overlay| quote(catalog, overlay, provider, models)?.price.limits.max_input;
    // Who states prices of their own does not state this.
    overlay.and_then(|own| most(Some(own))).or_else(|| most(None))
}

/// The price of a call at a backend of `provider`.
///
/// The model that the answer names is looked for first, then the one asked for: in the backend's
/// own prices, then in the catalogue. The provider's default price is the last resort. With Azure a call
/// names a deployment: where the answer names the model, the catalogue is asked for that alone, since a
/// deployment `gpt-4` may serve anything.
///
/// A model that has prices of some regions and none of this one has its price without a region, which is
/// what most regions have.
pub fn quote<'a>(
    catalog: &'a Catalog,
    overlay: Option<&'a Overlay>,
    provider: &str,
    models: Models<'_>,
) -> Option<Quote<'a>> {
    let names = || models.served.into_iter().chain([models.requested]);
    let own = overlay.filter(|overlay| names().any(|name| overlay.price(provider, name).is_some()));
    // Looked at only where the name that was served has no price.
    let names_deployments = || catalog.provider(provider).is_some_and(|provider| provider.dialect == Dialect::Azure);
    names()
        .filter(|name| own.is_none_or(|own| own.price(provider, name).is_some()))
        .enumerate()
        .take_while(|(at, _)| *at == 0 || own.is_some() || !names_deployments())
        .find_map(|(_, name)| catalog.quote_in(provider, models.region, overlay, name))
        .or_else(|| catalog.default_quote(provider))
}

/// `stated` with what it lacks estimated from bytes.
fn completed(stated: Usage, seen: Through, learned: &Learned, key: Key<'_>) -> Usage {
    let mut usage = stated;
    // What is billed by another unit has no tokens that could be missing.
    if !usage.units.is_none() {
        return usage;
    }
    if usage.total_input() == 0 {
        usage.input = learned.estimate_input(key, seen.request_bytes);
    }
    if let Some(bytes) = seen.text_bytes {
        usage.output = usage.output.max(learned.estimate_output(key, bytes));
    }
    usage
}

#[cfg(test)]
mod tests;
