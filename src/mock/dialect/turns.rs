//! What Anthropic holds against the order of a conversation, beyond what a schema can say ("Handle tool
//! calls" of its documentation): every call is answered in the very next message, no answer is without its
//! call, and the conversation begins with the user.

use serde_json::Value;

/// # Errors
/// The first thing wrong, in Anthropic's words.
pub(super) fn alternate(messages: &[Value]) -> Result<(), String> {
    let mut open: Vec<&str> = Vec::new();
    let mut before = "";
    for (number, message) in messages.iter().enumerate() {
        let role = message["role"].as_str().unwrap_or_default();
        let blocks = message["content"].as_array().map(Vec::as_slice).unwrap_or_default();
        let ids = |kind: &str, field: &str| -> Vec<&str> {
            blocks.iter().filter(|block| block["type"] == kind).filter_map(|block| block[field].as_str()).collect()
        };
        let (calls, results) = (ids("tool_use", "id"), ids("tool_result", "tool_use_id"));
        if before.is_empty() && role == "assistant" {
            return Err("messages: first message must use the \"user\" role".into());
        }
        if role == "assistant" && !results.is_empty() {
            return Err(format!("messages.{number}: `tool_result` blocks can only be in `user` messages"));
        }
        if role == "user" && !calls.is_empty() {
            return Err(format!("messages.{number}: `tool_use` blocks can only be in `assistant` messages"));
        }
        if message["content"].as_str().is_some_and(str::is_empty)
            || (blocks.is_empty() && message["content"].is_array())
        {
            return Err(format!("messages.{number}: all messages must have non-empty content"));
        }
        // Consecutive messages of one role are one turn.
        if role == "user" && !open.is_empty() {
            if let Some(stray) = results.iter().find(|id| !open.contains(id)) {
                return Err(stray_result(number, stray));
            }
            let missing: Vec<&str> = open.iter().filter(|id| !results.contains(id)).copied().collect();
            if !missing.is_empty() {
                return Err(unanswered(number - 1, &missing));
            }
            let first_result = blocks.iter().position(|block| block["type"] == "tool_result");
            if first_result != Some(0) {
                return Err(format!(
                    "messages.{number}: `tool_result` blocks must come first in the message's content"
                ));
            }
            open.clear();
        } else if let Some(stray) = results.first() {
            return Err(stray_result(number, stray));
        }
        open.extend(&calls);
        if open.iter().enumerate().any(|(at, id)| open.iter().take(at).any(|earlier| earlier == id)) {
            return Err(format!("messages.{number}: `tool_use` ids must be unique"));
        }
        before = role;
    }
    if open.is_empty() { Ok(()) } else { Err(unanswered(messages.len() - 1, &open)) }
}

/// What manual thinking forbids ("Extended thinking" of the documentation; the last of the messages word for word in
/// deepset-ai/haystack-core-integrations, issue 2146, and zed-industries/zed, pull request 33317).
///
/// # Errors
/// The first thing wrong, in Anthropic's words.
pub(super) fn thinking(body: &Value) -> Result<(), String> {
    if body["thinking"]["type"] != "enabled" {
        return Ok(());
    }
    if body["max_tokens"].as_u64() <= body["thinking"]["budget_tokens"].as_u64() && body.get("max_tokens").is_some() {
        return Err("`max_tokens` must be greater than `thinking.budget_tokens`.".into());
    }
    if body.get("temperature").is_some_and(|temperature| temperature.as_f64() != Some(1.0)) {
        return Err("`temperature` may only be set to 1 when thinking is enabled.".into());
    }
    if body.get("top_k").is_some() {
        return Err("`top_k` must be unset when thinking is enabled.".into());
    }
    if matches!(body["tool_choice"]["type"].as_str(), Some("any" | "tool")) {
        return Err("Thinking may not be enabled when tool_choice forces tool use.".into());
    }
    let messages = body["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let Some(number) = messages.iter().rposition(|message| message["role"] == "assistant") else { return Ok(()) };
    let blocks = messages.get(number).and_then(|message| message["content"].as_array());
    let kinds: Vec<&str> = blocks.into_iter().flatten().filter_map(|block| block["type"].as_str()).collect();
    match kinds.first() {
        Some(first) if kinds.contains(&"tool_use") && !matches!(*first, "thinking" | "redacted_thinking") => {
            Err(format!(
                "messages.{number}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{first}`. When \
             `thinking` is enabled, a final `assistant` message must start with a thinking block (preceeding the \
             lastmost set of `tool_use` and `tool_result` blocks)."
            ))
        }
        _ => Ok(()),
    }
}

/// # Errors
/// More than four places are marked to be cached.
pub(super) fn cache_marks(body: &Value) -> Result<(), String> {
    fn count(value: &Value) -> usize {
        match value {
            Value::Object(object) => object
                .iter()
                .map(|(key, value)| match key.as_str() {
                    "cache_control" => usize::from(!value.is_null()),
                    // What stands here is the caller's own.
                    "input" | "input_schema" => 0,
                    _ => count(value),
                })
                .sum(),
            Value::Array(list) => list.iter().map(count).sum(),
            _ => 0,
        }
    }
    match count(body) {
        0..=4 => Ok(()),
        found => Err(format!("A maximum of 4 blocks with cache_control may be provided. Found {found}.")),
    }
}

fn unanswered(number: usize, ids: &[&str]) -> String {
    format!(
        "messages.{number}: `tool_use` ids were found without `tool_result` blocks immediately after: {}. Each \
         `tool_use` block must have a corresponding `tool_result` block in the next message.",
        ids.join(", ")
    )
}

fn stray_result(number: usize, id: &str) -> String {
    format!(
        "messages.{number}: unexpected `tool_use_id` found in `tool_result` blocks: {id}. Each `tool_result` block \
         must have a corresponding `tool_use` block in the previous message."
    )
}

/// Bytes of all text in a content: a string, or what stands in the `text` and `content` of its parts.
pub(super) fn text(content: &Value) -> u64 {
    match content {
        Value::String(text) => text.len() as u64,
        Value::Array(parts) => parts.iter().map(text).sum(),
        Value::Object(part) => ["text", "content"].iter().filter_map(|name| part.get(*name)).map(text).sum(),
        _ => 0,
    }
}
