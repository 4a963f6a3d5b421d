//! Usage objects. `input_tokens` counts neither what was read from a cache nor what was written to one;
//! `output_tokens` counts all output, and `output_tokens_details` says which part of it was thought.
//!
//! What is billed is read by [`crate::wire::scan`]; this is for the answer itself.

use crate::base::json::ObjectWriter;
use crate::base::json::tree::Value;
use crate::llm::{Dropped, Usage};

/// Reads what `usage` says on top of `known`: in a stream, later numbers are totals and replace earlier ones.
pub(super) fn read(usage: Value<'_, '_>, known: Usage, dropped: &mut Dropped) -> Usage {
    let number = |key| usage.get(key).and_then(Value::whole);
    let mut read = known;
    read.input = number("input_tokens").unwrap_or(known.input);
    read.output = number("output_tokens").unwrap_or(known.output);
    read.cache_read = number("cache_read_input_tokens").unwrap_or(known.cache_read);
    let parts = usage.get("cache_creation");
    let part = |key| parts.and_then(|parts| parts.get(key)).and_then(Value::whole);
    let written = known.cache_write_5m.saturating_add(known.cache_write_1h);
    let total = number("cache_creation_input_tokens").unwrap_or(written);
    read.cache_write_1h = part("ephemeral_1h_input_tokens").unwrap_or(known.cache_write_1h);
    // What the total says beyond its parts was written for the default time, which is 5 minutes.
    let rest = total.saturating_sub(read.cache_write_1h);
    read.cache_write_5m = part("ephemeral_5m_input_tokens").unwrap_or(0).max(rest);
    let details = usage.get("output_tokens_details");
    let thought = details.and_then(|details| details.get("thinking_tokens")).and_then(Value::whole);
    read.reasoning = thought.unwrap_or(known.reasoning);
    for (key, value) in usage.get("server_tool_use").into_iter().flat_map(Value::members) {
        if value.whole().is_some_and(|count| count > 0) {
            dropped.inside("usage.server_tool_use.", &key);
        }
    }
    read
}

/// Writes the members. Sound and images have no classes here; they are counted with the text.
pub(super) fn write(o: &mut ObjectWriter<'_>, usage: &Usage) {
    let written = usage.cache_write_5m.saturating_add(usage.cache_write_1h);
    let input = usage.total_input().saturating_sub(usage.cache_read).saturating_sub(written);
    o.number("input_tokens", input);
    o.number("cache_creation_input_tokens", written);
    o.number("cache_read_input_tokens", usage.cache_read);
    if written > 0 {
        o.object("cache_creation", |o| {
            o.number("ephemeral_5m_input_tokens", usage.cache_write_5m);
            o.number("ephemeral_1h_input_tokens", usage.cache_write_1h);
        });
    }
    o.number("output_tokens", usage.total_output());
    if usage.reasoning > 0 {
        o.object("output_tokens_details", |o| o.number("thinking_tokens", usage.reasoning));
    }
}
