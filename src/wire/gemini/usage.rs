//! `usageMetadata`: `promptTokenCount` has the cached tokens in it, `candidatesTokenCount` has not the
//! thoughts (REST reference, `UsageMetadata`).

use super::spelling::get;
use crate::base::json::ObjectWriter;
use crate::base::json::tree::Value;
use crate::llm::{Dropped, Usage};
use crate::wire::scan::usage::{Field, Part, Raw, modality_field};

const FIELDS: &[(&str, Field)] = &[
    ("promptTokenCount", Field::GeminiPrompt),
    ("cachedContentTokenCount", Field::GeminiCached),
    ("candidatesTokenCount", Field::GeminiCandidates),
    ("thoughtsTokenCount", Field::GeminiThoughts),
    ("toolUsePromptTokenCount", Field::GeminiToolUse),
];

const DETAILS: &[(&str, Part)] = &[
    ("promptTokensDetails", Part::InputModalities),
    ("candidatesTokensDetails", Part::OutputModalities),
    ("cacheTokensDetails", Part::CacheModalities),
];

/// Reads it; nothing where it states no tokens.
pub(super) fn read(value: Value<'_, '_>) -> Option<Usage> {
    let mut raw = Raw::default();
    for &(name, field) in FIELDS {
        if let Some(count) = get(value, name).and_then(Value::whole) {
            raw.set(field, count);
        }
    }
    for &(name, part) in DETAILS {
        for detail in get(value, name).into_iter().flat_map(Value::elements) {
            let modality = get(detail, "modality").and_then(Value::text).unwrap_or_default();
            let count = get(detail, "tokenCount").and_then(Value::whole);
            if let (Some(field), Some(count)) = (modality_field(part, modality.as_bytes()), count) {
                raw.set(field, count);
            }
        }
    }
    raw.normalise()
}

pub(super) fn write(o: &mut ObjectWriter<'_>, usage: &Usage, dropped: &mut Dropped) {
    let (input, output) = (usage.total_input(), usage.total_output());
    o.object("usageMetadata", |o| {
        o.number("promptTokenCount", input);
        o.number("candidatesTokenCount", output.saturating_sub(usage.reasoning));
        o.number("totalTokenCount", input.saturating_add(output));
        for (name, count) in [("cachedContentTokenCount", usage.cache_read), ("thoughtsTokenCount", usage.reasoning)] {
            o.number_if(name, Some(count).filter(|count| *count > 0));
        }
        // What was cached is among what it is.
        let (cached_audio, cached_image) = (usage.cache_read_audio, usage.cache_read_image);
        let audio_in = usage.audio_in.saturating_add(cached_audio);
        let image_in = usage.image_in.saturating_add(cached_image);
        let text_in = [audio_in, image_in, usage.video_in].into_iter().fold(input, u64::saturating_sub);
        details(o, "promptTokensDetails", text_in, audio_in, image_in, usage.video_in);
        let text = usage.cache_read.saturating_sub(cached_audio).saturating_sub(cached_image);
        details(o, "cacheTokensDetails", text, cached_audio, cached_image, 0);
        let text_out = usage.output.saturating_sub(usage.reasoning);
        details(o, "candidatesTokensDetails", text_out, usage.audio_out, usage.image_out, usage.video_out);
    });
    if usage.cache_write_5m > 0 || usage.cache_write_1h > 0 {
        dropped.field("usage.cache_creation_input_tokens");
    }
}

fn details(o: &mut ObjectWriter<'_>, name: &str, text: u64, audio: u64, image: u64, video: u64) {
    if audio == 0 && image == 0 && video == 0 {
        return;
    }
    o.array(name, |a| {
        for (modality, count) in [("TEXT", text), ("AUDIO", audio), ("IMAGE", image), ("VIDEO", video)] {
            if count > 0 {
                a.object(|o| {
                    o.text("modality", modality);
                    o.number("tokenCount", count);
                });
            }
        }
    });
}
