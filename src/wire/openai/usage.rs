//! The usage object of a chat completion.

use crate::base::json::ObjectWriter;
use crate::llm::Usage;

/// OpenAI counts cached and audio tokens inside the totals, so they are added back here.
/// `cache_write_tokens` is OpenRouter's name for what was written to a prompt cache.
pub(super) fn write(o: &mut ObjectWriter<'_>, usage: &Usage) {
    o.object("usage", |o| {
        o.number("prompt_tokens", usage.total_input());
        o.number("completion_tokens", usage.total_output());
        o.number("total_tokens", usage.total_input().saturating_add(usage.total_output()));
        o.object("prompt_tokens_details", |o| {
            o.number("cached_tokens", usage.cache_read);
            o.number("audio_tokens", usage.audio_in.saturating_add(usage.cache_read_audio));
            let written = usage.cache_write_5m.saturating_add(usage.cache_write_1h);
            if written > 0 {
                o.number("cache_write_tokens", written);
            }
            let image_in = usage.image_in.saturating_add(usage.cache_read_image);
            if image_in > 0 {
                o.number("image_tokens", image_in);
            }
            if usage.cache_read_audio > 0 || usage.cache_read_image > 0 {
                o.object("cached_tokens_details", |o| {
                    o.number("audio_tokens", usage.cache_read_audio);
                    o.number("image_tokens", usage.cache_read_image);
                });
            }
        });
        o.object("completion_tokens_details", |o| {
            o.number("reasoning_tokens", usage.reasoning);
            o.number("audio_tokens", usage.audio_out);
            if usage.image_out > 0 {
                o.number("image_tokens", usage.image_out);
            }
        });
    });
}
