//! Reads requests (API reference "Create a model response", 2026-10).
//!
//! Every call stands for itself here: what the provider alone keeps of earlier ones (a response, a
//! conversation, a prompt template, an item) cannot be told to another API, and is refused by name.

use std::borrow::Cow;

use super::{input_read, tool_read};
use crate::base::json::tree::Value;
use crate::base::json::{Kind, Tree};
use crate::llm::chat::{Effort, OutputFormat, Reasoning, Role, Tell};
use crate::llm::{Chat, Code, Dropped, Part, Refusal};

pub(super) fn read<'a>(body: &Tree<'a>, dropped: &mut Dropped) -> Result<Chat<'a>, Refusal> {
    let root = body.root();
    if root.kind() != Kind::Object {
        return Err(Refusal::new(Code::UnsupportedValue, "The request body must be a JSON object."));
    }
    let mut chat = Chat::default();
    // They are in front of the input, wherever they stand.
    if let Some(text) = root.get("instructions") {
        let text = want(text.text(), "instructions", "a string")?;
        if !text.is_empty() {
            chat.say(Role::System, [Part::text(text)]);
        }
    }
    for (key, value) in root.members() {
        if !value.is_null() {
            read_field(&mut chat, &key, value, dropped)?;
        }
    }
    let input = want(root.get("input"), "input", "a string or an array; nothing is kept of earlier calls")?;
    input_read::read(input, &mut chat, dropped)?;
    Ok(chat)
}

/// A value that must be of a kind.
pub(super) fn want<T>(value: Option<T>, param: impl Into<Cow<'static, str>>, what: &str) -> Result<T, Refusal> {
    value.ok_or_else(|| {
        let param = param.into();
        Refusal::new(Code::UnsupportedValue, format!("The field {param:?} must be {what}.")).param(param)
    })
}

/// What only a target that speaks this API can look up.
pub(super) fn state(param: impl Into<Cow<'static, str>>) -> Refusal {
    let param = param.into();
    let message = format!(
        "The field {param:?} refers to what its provider keeps, and this model is reached through another API: \
         send the whole conversation in \"input\"."
    );
    Refusal::new(Code::UnsupportedValue, message).param(param)
}

fn read_field<'a>(chat: &mut Chat<'a>, key: &str, value: Value<'_, 'a>, dropped: &mut Dropped) -> Result<(), Refusal> {
    match key {
        "model" | "stream" | "input" | "instructions" => {}
        "previous_response_id" | "conversation" | "prompt" if !value.is_empty() => return Err(state(key.to_owned())),
        "background" if value.flag() != Some(false) => return Err(state("background")),
        "previous_response_id" | "conversation" | "prompt" | "background" => {}
        "max_output_tokens" => {
            chat.max_output = Some(want(value.whole(), "max_output_tokens", "a whole number")?);
        }
        "temperature" => chat.sampling.temperature = Some(want(value.number(), "temperature", "a number")?),
        "top_p" => chat.sampling.top_p = Some(want(value.number(), "top_p", "a number")?),
        "top_logprobs" => {
            let count = want(value.whole(), "top_logprobs", "a whole number")?;
            chat.top_logprobs = Some(count);
            if count > 0 {
                chat.logprobs = Some(true);
            }
        }
        "parallel_tool_calls" => {
            chat.parallel_tools = Some(want(value.flag(), "parallel_tool_calls", "true or false")?);
        }
        "store" => chat.store = Some(want(value.flag(), "store", "true or false")?),
        "user" | "safety_identifier" => read_user(chat, key, value, dropped)?,
        "prompt_cache_key" => chat.cache_key = Some(want(value.text(), "prompt_cache_key", "a string")?),
        "service_tier" => chat.service_tier = Some(want(value.text(), "service_tier", "a string")?),
        "metadata" => read_metadata(chat, value, dropped),
        "tools" => tool_read::tools(value, chat, dropped)?,
        "tool_choice" => chat.tool_choice = tool_read::choice(value, dropped)?,
        "text" => read_text(chat, value, dropped)?,
        "reasoning" => chat.reasoning = read_reasoning(value, dropped),
        "include" => read_include(chat, value, dropped),
        "stream_options" => read_stream_options(value, dropped),
        // The default, and what every other API does.
        "truncation" if value.text().as_deref() == Some("disabled") => {}
        _ if value.is_empty() => {}
        other => dropped.field(other.to_owned()),
    }
    Ok(())
}

/// Two names of one field; the newer one counts.
fn read_user<'a>(chat: &mut Chat<'a>, key: &str, value: Value<'_, 'a>, dropped: &mut Dropped) -> Result<(), Refusal> {
    let user = want(value.text(), key.to_owned(), "a string")?;
    match (&chat.user, key) {
        (None, _) => chat.user = Some(user),
        (Some(kept), _) if *kept == user => {}
        (Some(_), "safety_identifier") => {
            chat.user = Some(user);
            dropped.field("user");
        }
        (Some(_), _) => dropped.field("user"),
    }
    Ok(())
}

fn read_metadata<'a>(chat: &mut Chat<'a>, value: Value<'_, 'a>, dropped: &mut Dropped) {
    for (key, value) in value.members() {
        match value.text() {
            Some(text) => chat.metadata.push((key, text)),
            None => dropped.inside("metadata.", &key),
        }
    }
}

fn read_text<'a>(chat: &mut Chat<'a>, value: Value<'_, 'a>, dropped: &mut Dropped) -> Result<(), Refusal> {
    for (key, value) in value.members() {
        match &*key {
            "format" if value.kind() == Kind::Object => chat.output = read_format(value, dropped)?,
            "verbosity" => chat.verbosity = value.text(),
            _ if value.is_empty() => {}
            other => dropped.inside("text.", other),
        }
    }
    Ok(())
}

fn read_format<'a>(value: Value<'_, 'a>, dropped: &mut Dropped) -> Result<Option<OutputFormat<'a>>, Refusal> {
    let kind = value.get("type").and_then(Value::text);
    match kind.as_deref() {
        Some("text") => return Ok(Some(OutputFormat::Text)),
        Some("json_object") => return Ok(Some(OutputFormat::Json)),
        Some("json_schema") => {}
        other => {
            dropped.inside("text.format.", other.unwrap_or("type"));
            return Ok(None);
        }
    }
    let (mut name, mut description, mut schema, mut strict) = (None, None, None, None);
    for (key, value) in value.members() {
        match &*key {
            "type" => {}
            "name" => name = value.text(),
            "description" => description = value.text(),
            "schema" => schema = (value.kind() == Kind::Object).then(|| Cow::Borrowed(value.raw())),
            "strict" => strict = value.flag(),
            _ if value.is_empty() => {}
            other => dropped.inside("text.format.", other),
        }
    }
    let schema = want(schema, "text.format.schema", "a JSON Schema")?;
    Ok(Some(OutputFormat::Schema { name, description, schema, strict }))
}

fn read_reasoning(value: Value<'_, '_>, dropped: &mut Dropped) -> Option<Reasoning> {
    let mut reasoning = Reasoning::default();
    for (key, value) in value.members() {
        let word = value.text().unwrap_or_default();
        match (&*key, &*word) {
            _ if value.is_empty() => {}
            ("effort", "none") => reasoning.enabled = Some(false),
            ("effort", word) if Effort::read(word).is_some() => reasoning.effort = Effort::read(word),
            // The second name is the first one's old one.
            ("summary" | "generate_summary", "auto") => reasoning.tell = Some(Tell::Auto),
            ("summary" | "generate_summary", "concise") => reasoning.tell = Some(Tell::Concise),
            ("summary" | "generate_summary", "detailed") => reasoning.tell = Some(Tell::Detailed),
            ("context", "auto") | ("mode", "standard") => {}
            (other, _) => dropped.inside("reasoning.", other),
        }
    }
    (reasoning != Reasoning::default()).then_some(reasoning)
}

/// What shall be in the answer besides. Sealed thoughts are there in any case.
fn read_include(chat: &mut Chat<'_>, value: Value<'_, '_>, dropped: &mut Dropped) {
    for what in value.elements().filter_map(Value::text) {
        match &*what {
            "reasoning.encrypted_content" => {}
            "message.output_text.logprobs" => chat.logprobs = Some(true),
            other => dropped.inside("include ", other),
        }
    }
}

fn read_stream_options(value: Value<'_, '_>, dropped: &mut Dropped) {
    for (key, value) in value.members() {
        match &*key {
            // What is not padded is what the client asks for.
            "include_obfuscation" if value.flag() == Some(false) => {}
            _ if value.is_empty() => {}
            other => dropped.inside("stream_options.", other),
        }
    }
}
