//! The most that a call costs before it leaves.

use super::Exchange;
use super::story::NANOS;
use crate::base::money::NanoUsd;
use crate::catalog::price::Unit;
use crate::catalog::region;
use crate::llm::{Call, Media, Operation, Units, Usage};
use crate::meter::{self, Models};
use crate::policy::tariff::{Found, Tariff};
use crate::target::{Candidate, Target};
use crate::wire::media::SOUND;

/// Tokens of the largest image of each quality (OpenAI, "Image generation", GPT Image: 1024x1536), for models that
/// bill images by their tokens alone; the last row for all others.
const IMAGE: [(&str, u64); 3] = [("low", 408), ("medium", 1_584), ("", 6_240)];

/// The most characters that a prompt of an image has (OpenAI, "Create image": 32,000 for the GPT image models).
const IMAGE_PROMPT: u64 = 32_000;

/// Tokens of sound for one character that is spoken, for models that bill speech by its tokens alone: 20 a second
/// (OpenAI, "Pricing": a minute of gpt-4o-mini-tts is 0.015 USD, a million tokens are 12), at four characters a
/// second, which is slow Chinese.
const SPOKEN: u64 = 5;

/// Milliseconds of sound that are heard as one token (OpenAI, "Audio": 10 tokens a second), and in which one token
/// is said.
const HEARD_MS: u64 = 100;
const SAID_MS: u64 = 200;

// === impl Exchange ===

impl Exchange {
    /// The most that a call of so many tokens costs, `sound` of those in at most, whether the prompt is written to a
    /// cache or not, whether the answer is said, drawn or written, and whether what it asks for is granted or not;
    /// none where no price is known.
    pub(super) fn most_cost(&self, target: &Target, input: u64, sound: u64, output: u64) -> Option<NanoUsd> {
        let call = self.story.call.as_ref();
        let media = call.and_then(|call| call.media.as_deref());
        let plain = Tariff {
            index: target.index,
            provider: &target.backend.provider,
            requested: &target.model,
            served: None,
            told: None,
            asked: call.and_then(|call| call.service_tier.as_deref()),
            size: media.and_then(|media| known(media.size.as_deref())),
            quality: media.and_then(|media| known(media.quality.as_deref())),
            at: Some(self.now.unix_nanos / NANOS),
            geo: None,
            speed: None,
        };
        let found = plain.find(&self.setup.policy)?;
        if let Some((call, media)) = call.zip(media) {
            return most_of_media(plain, &found, call, media);
        }
        let has_rate = |unit| found.quote.price.has_rate(unit);
        let audio_in = if has_rate(Unit::AudioIn) { sound.min(input) } else { 0 };
        let read = Usage { input: input - audio_in, audio_in, output, ..Usage::default() };
        let written = Usage { input: 0, cache_write_1h: read.input, ..read };
        let (said, drawn) =
            (Usage { output: 0, audio_out: output, ..read }, Usage { output: 0, image_out: output, ..read });
        let others = [(Unit::CacheWrite, written), (Unit::AudioOut, said), (Unit::ImageOut, drawn)];
        let others = others.map(|(unit, usage)| has_rate(unit).then_some(usage));
        let price = |tariff: Tariff<'_>, usage: Usage| tariff.cost(&found, &usage);
        let dearest = |tariff| {
            let others = others.iter().flatten().filter_map(|usage| price(tariff, *usage)).max();
            price(tariff, read).max(others)
        };
        let most = dearest(plain);
        let Some(call) = call else { return most };
        if call.speed.is_some() || call.geo.is_some() {
            let asked = Tariff { geo: call.geo.as_deref(), speed: call.speed.as_deref(), ..plain };
            return most.max(dearest(asked));
        }
        // Cohere bills a rerank by the search, whatever its tokens are.
        match call.operation {
            Operation::Rerank => {
                most.max(price(plain, Usage { units: Units { queries: 1, ..Units::default() }, ..read }))
            }
            _ => most,
        }
    }

    /// Whether a call of media states too little to say what it costs.
    pub(super) fn is_guess(&self, call: &Call) -> bool {
        let Some(media) = call.media.as_deref() else { return false };
        match call.operation {
            Operation::Image => known(media.size.as_deref()).is_none() || known(media.quality.as_deref()).is_none(),
            Operation::Audio => media.audio_ms == 0,
            _ => false,
        }
    }

    /// How many tokens the model reads at most.
    pub(super) fn window(&self, place: Candidate<'_>) -> Option<u64> {
        let policy = &self.setup.policy;
        let backend = policy.targets.backends.get(place.index)?;
        let overlay = policy.overlays.get(place.index).and_then(Option::as_deref);
        let models = Models { requested: place.model, served: None, region: region::of(&backend.authority) };
        meter::window(&policy.catalog, overlay, &backend.provider, models)
    }
}

/// The most that images, speech or a transcript cost: what the call states, and the dearest where it states
/// nothing.
fn most_of_media<'t>(tariff: Tariff<'t>, found: &Found<'t>, call: &Call, media: &Media) -> Option<NanoUsd> {
    let price = |tariff: Tariff<'_>, usage: Usage| tariff.cost(found, &usage);
    let units = |units| Usage { units, ..Usage::default() };
    if call.operation == Operation::Image {
        let images = units(Units { images_out: call.choices, ..Units::default() });
        let rows: Vec<_> = meter::image_terms(found.quote.price).collect();
        let agrees = |asked: Option<&str>, of: Option<&str>| asked.is_none() || of.is_none() || asked == of;
        let of = |&(size, quality): &(Option<&'t str>, Option<&'t str>)| {
            let terms = Tariff { size: tariff.size.or(size), quality: tariff.quality.or(quality), ..tariff };
            let stands = agrees(tariff.size, size) && agrees(tariff.quality, quality);
            price(terms, images).filter(|_| stands)
        };
        // A size that has no price of its own is billed as another one.
        let any =
            |&(size, quality): &(Option<&'t str>, Option<&'t str>)| price(Tariff { size, quality, ..tariff }, images);
        let dearest = rows.iter().filter_map(of).max().or_else(|| rows.iter().filter_map(any).max());
        let tokens = Usage { image_out: tokens_of_images(call, media), ..Usage::default() };
        return dearest.or_else(|| price(tariff, images)).or_else(|| price(tariff, tokens));
    }
    let (characters, audio_in_ms) = (media.characters, heard(media));
    let spoken = most_spoken(media);
    price(tariff, units(Units { characters, audio_in_ms, ..Units::default() })).or_else(|| price(tariff, spoken))
}

/// The most tokens in and out that a call for images or sound comes to, where its provider counts any.
pub(super) fn most_tokens(call: &Call) -> (u64, u64) {
    let Some(media) = call.media.as_deref() else { return (0, 0) };
    match call.operation {
        Operation::Image => (call.body_bytes.min(IMAGE_PROMPT), tokens_of_images(call, media)),
        Operation::Audio => {
            let spoken = most_spoken(media);
            (spoken.total_input(), spoken.total_output())
        }
        _ => (0, 0),
    }
}

fn tokens_of_images(call: &Call, media: &Media) -> u64 {
    let quality = media.quality.as_deref().unwrap_or_default();
    let [.., (_, most)] = IMAGE;
    let each = IMAGE.iter().find(|(name, _)| *name == quality).map_or(most, |(_, tokens)| *tokens);
    call.choices.saturating_mul(each)
}

/// Of speech and of transcripts.
fn most_spoken(media: &Media) -> Usage {
    let audio_in_ms = heard(media);
    Usage {
        input: media.characters,
        audio_in: audio_in_ms.div_ceil(HEARD_MS),
        audio_out: media.characters.saturating_mul(SPOKEN),
        output: audio_in_ms.div_ceil(SAID_MS),
        ..Usage::default()
    }
}

/// A size or a quality that is one: `auto` leaves it to the provider.
fn known(word: Option<&str>) -> Option<&str> {
    word.filter(|word| *word != "auto")
}

/// The longest that what was uploaded can play.
fn heard(media: &Media) -> u64 {
    media.audio_ms.saturating_add(media.sound_bytes.saturating_mul(1000).div_ceil(SOUND))
}
