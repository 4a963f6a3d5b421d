//! A chat completion's request, read.

use std::borrow::Cow;

use super::content::{read_parts, read_text};
use super::message::{join_thought, read_call, read_details};
use crate::base::json::Kind;
use crate::base::json::tree::Value;
use crate::llm::chat::{AudioOut, Effort, OutputFormat, Role, Sampling, Tool, ToolChoice, Turn};
use crate::llm::part::{CacheMark, ToolCall, ToolResult};
use crate::llm::{Chat, Code, Content, Dropped, Part, Refusal};
use crate::wire::custom;

pub(super) fn read<'a>(root: Value<'_, 'a>, dropped: &mut Dropped) -> Result<Chat<'a>, Refusal> {
    let mut chat = Chat::default();
    let mut sampling = Sampling::default();
    let (mut bound, mut old_bound) = (None, None);
    for (key, value) in root.members() {
        if value.is_null() {
            continue;
        }
        match &*key {
            // Known from elsewhere.
            "model" | "stream" | "stream_options" => {}
            "messages" => read_messages(value, &mut chat, dropped)?,
            "tools" => {
                for tool in value.elements() {
                    chat.tools.extend(read_tool(tool, dropped));
                }
            }
            "functions" => chat.tools.extend(value.elements().map(|function| read_function(function, dropped))),
            "tool_choice" | "function_call" => chat.tool_choice = read_choice(value, dropped),
            "parallel_tool_calls" => chat.parallel_tools = value.flag(),
            "response_format" => chat.output = read_format(value, dropped),
            "reasoning_effort" => read_effort(value, &mut chat, dropped),
            "reasoning" => read_reasoning(value, &mut chat, dropped),
            "max_completion_tokens" => bound = Some(read_bound(value, "max_completion_tokens")?),
            "max_tokens" => old_bound = Some(read_bound(value, "max_tokens")?),
            "stop" => {
                chat.stop.extend(value.text());
                chat.stop.extend(value.elements().filter_map(Value::text));
            }
            "n" => chat.choices = value.whole(),
            "logprobs" => chat.logprobs = value.flag(),
            "top_logprobs" => chat.top_logprobs = value.whole(),
            "metadata" => {
                let pairs = value.members().filter_map(|(key, value)| Some((key, value.text()?)));
                chat.metadata = pairs.collect();
            }
            "user" | "safety_identifier" => chat.user = value.text().or(chat.user.take()),
            "service_tier" => chat.service_tier = value.text(),
            "prompt_cache_key" => chat.cache_key = value.text(),
            "store" => chat.store = value.flag(),
            "verbosity" => chat.verbosity = value.text(),
            "audio" => {
                let text = |key| value.get(key).and_then(Value::text);
                chat.audio = Some(AudioOut { voice: text("voice"), format: text("format") });
            }
            "modalities" => {
                chat.images = value.elements().any(|one| one.text().is_some_and(|text| text == "image"));
            }
            other => read_sampling(other, value, &mut sampling, dropped),
        }
    }
    chat.max_output = bound.or(old_bound);
    chat.sampling = sampling;
    Ok(chat)
}

/// A bound that could not be said on would be none.
fn read_bound(value: Value<'_, '_>, name: &'static str) -> Result<u64, Refusal> {
    let message = || format!("The field {name:?} must be a whole number.");
    value.whole().ok_or_else(|| Refusal::new(Code::UnsupportedValue, message()).param(name))
}

fn read_sampling<'a>(key: &str, value: Value<'_, 'a>, sampling: &mut Sampling<'a>, dropped: &mut Dropped) {
    let place = match key {
        "temperature" => &mut sampling.temperature,
        "top_p" => &mut sampling.top_p,
        "top_k" => &mut sampling.top_k,
        "min_p" => &mut sampling.min_p,
        "seed" => &mut sampling.seed,
        "presence_penalty" => &mut sampling.presence_penalty,
        "frequency_penalty" => &mut sampling.frequency_penalty,
        "logit_bias" => {
            sampling.logit_bias = (!value.is_empty()).then(|| value.raw());
            return;
        }
        other => return dropped.field(other.to_owned()),
    };
    match value.number() {
        Some(number) => *place = Some(number),
        None => dropped.field(key.to_owned()),
    }
}

fn read_messages<'a>(value: Value<'_, 'a>, chat: &mut Chat<'a>, dropped: &mut Dropped) -> Result<(), Refusal> {
    if value.kind() != Kind::Array {
        let message = "The field \"messages\" must be an array of messages.";
        return Err(Refusal::new(Code::UnsupportedValue, message).param("messages"));
    }
    for message in value.elements() {
        let role = message.get("role").and_then(Value::text);
        match role.as_deref() {
            Some("system") => read_said(message, Role::System, chat, dropped),
            Some("developer") => read_said(message, Role::Developer, chat, dropped),
            Some("user") => read_said(message, Role::User, chat, dropped),
            Some("assistant") => read_assistant(message, chat, dropped),
            Some("tool" | "function") => read_result(message, chat, dropped),
            _ => {
                let message = "Each message needs a role: system, developer, user, assistant or tool.";
                return Err(Refusal::new(Code::UnsupportedValue, message).param("messages[].role"));
            }
        }
    }
    Ok(())
}

fn read_said<'a>(message: Value<'_, 'a>, role: Role, chat: &mut Chat<'a>, dropped: &mut Dropped) {
    let (mut parts, mut name, mut cache) = (Vec::new(), None, None);
    for (key, value) in message.members() {
        match &*key {
            "role" => {}
            "content" => read_parts(value, &mut parts, dropped),
            "name" => name = value.text(),
            "cache_control" => cache = Some(read_cache(value)),
            _ if value.is_empty() => {}
            other => dropped.inside("messages[].", other),
        }
    }
    if let Some(last) = parts.last_mut() {
        last.cache = last.cache.or(cache);
    }
    match name {
        Some(name) => chat.turns.push(Turn { role, parts, name: Some(name) }),
        None => chat.say(role, parts),
    }
}

/// LiteLLM's and OpenRouter's spelling of Anthropic's mark.
pub(super) fn read_cache(value: Value<'_, '_>) -> CacheMark {
    match value.get("ttl").and_then(Value::text).as_deref() {
        Some("1h") => CacheMark::Hour,
        _ => CacheMark::Default,
    }
}

fn read_assistant<'a>(message: Value<'_, 'a>, chat: &mut Chat<'a>, dropped: &mut Dropped) {
    const CALLS: &str = "messages[].tool_calls[].";
    let (mut thought, mut details, mut said, mut calls) = (None, Vec::new(), Vec::new(), Vec::new());
    for (key, value) in message.members() {
        match &*key {
            "role" => {}
            "content" => read_parts(value, &mut said, dropped),
            "refusal" => said.extend(value.text().map(|text| Part::new(Content::Refusal(text)))),
            "reasoning_content" | "reasoning" => thought = thought.or(value.text().filter(|text| !text.is_empty())),
            "reasoning_details" => read_details(value, &mut details),
            "tool_calls" => {
                let read = |value| Part::new(Content::ToolCall(read_call(value, CALLS, dropped).call));
                calls.extend(value.elements().map(read));
            }
            "function_call" if !value.is_null() => {
                let text = |key| value.get(key).and_then(Value::text).unwrap_or_default();
                let call = ToolCall { name: text("name"), arguments: text("arguments"), ..ToolCall::default() };
                calls.push(Part::new(Content::ToolCall(call)));
            }
            _ if value.is_empty() => {}
            other => dropped.inside("messages[].", other),
        }
    }
    join_thought(thought, &mut details);
    chat.say(Role::Assistant, details.into_iter().chain(said).chain(calls));
}

fn read_result<'a>(message: Value<'_, 'a>, chat: &mut Chat<'a>, dropped: &mut Dropped) {
    let mut result = ToolResult { id: Cow::Borrowed(""), name: None, parts: Vec::new(), is_error: false };
    let mut cache = None;
    for (key, value) in message.members() {
        match &*key {
            "role" => {}
            "tool_call_id" => result.id = value.text().unwrap_or_default(),
            "name" => result.name = value.text(),
            "content" => read_parts(value, &mut result.parts, dropped),
            "cache_control" => cache = Some(read_cache(value)),
            _ if value.is_empty() => {}
            other => dropped.inside("messages[].", other),
        }
    }
    chat.say(Role::User, [Part { content: Content::ToolResult(result), cache }]);
}

fn read_tool<'a>(value: Value<'_, 'a>, dropped: &mut Dropped) -> Option<Tool<'a>> {
    let kind = value.get("type").and_then(Value::text);
    if let Some(tool) = value.get("custom").filter(|_| kind.as_deref() == Some("custom")) {
        return Some(read_custom(tool, dropped));
    }
    let Some(function) = value.get("function") else {
        dropped.inside("tools[].", kind.as_deref().unwrap_or("type"));
        return None;
    };
    let mut tool = read_function(function, dropped);
    for (key, value) in value.members() {
        match &*key {
            "type" | "function" => {}
            "cache_control" => tool.cache = Some(read_cache(value)),
            _ if value.is_empty() => {}
            other => dropped.inside("tools[].", other),
        }
    }
    Some(tool)
}

/// A custom tool; its format is kept as Responses spells it.
fn read_custom<'a>(value: Value<'_, 'a>, dropped: &mut Dropped) -> Tool<'a> {
    let (mut name, mut description, mut format) = (Cow::Borrowed(""), None, Cow::Borrowed("{}"));
    for (key, value) in value.members() {
        match &*key {
            "name" => name = value.text().unwrap_or_default(),
            "description" => description = value.text(),
            "format" => match value.get("grammar") {
                Some(grammar) => {
                    let text = |key| read_text(grammar, key).unwrap_or_default();
                    format = Cow::Owned(custom::grammar(&text("syntax"), &text("definition")));
                }
                None => format = Cow::Borrowed(value.raw()),
            },
            _ if value.is_empty() => {}
            other => dropped.inside("tools[].custom.", other),
        }
    }
    custom::tool(name, description, format)
}

fn read_function<'a>(value: Value<'_, 'a>, dropped: &mut Dropped) -> Tool<'a> {
    let mut tool = Tool::default();
    for (key, value) in value.members() {
        match &*key {
            "name" => tool.name = value.text().unwrap_or_default(),
            "description" => tool.description = value.text(),
            "parameters" if value.kind() == Kind::Object => tool.parameters = Some(value.raw().into()),
            "strict" => tool.strict = value.flag(),
            "cache_control" => tool.cache = Some(read_cache(value)),
            _ if value.is_empty() => {}
            other => dropped.inside("tools[].function.", other),
        }
    }
    tool
}

fn read_choice<'a>(value: Value<'_, 'a>, dropped: &mut Dropped) -> Option<ToolChoice<'a>> {
    let name = |value: Value<'_, 'a>| {
        let said = value.get("function").or_else(|| value.get("custom")).unwrap_or(value);
        said.get("name")?.text()
    };
    match value.text().as_deref() {
        Some("auto") => return Some(ToolChoice::Auto),
        Some("none") => return Some(ToolChoice::None),
        Some("required" | "any") => return Some(ToolChoice::Required),
        Some(_) => {
            dropped.field("tool_choice");
            return None;
        }
        None => {}
    }
    if let Some(allowed) = value.get("allowed_tools") {
        let names = allowed.get("tools").into_iter().flat_map(Value::elements).filter_map(name).collect();
        let required = read_text(allowed, "mode").is_some_and(|mode| mode == "required");
        return Some(ToolChoice::Among { names, required });
    }
    let named = name(value).map(ToolChoice::Named);
    if named.is_none() {
        dropped.field("tool_choice");
    }
    named
}

fn read_format<'a>(value: Value<'_, 'a>, dropped: &mut Dropped) -> Option<OutputFormat<'a>> {
    let schema = value.get("json_schema");
    match (read_text(value, "type").as_deref(), schema) {
        (Some("text"), _) => Some(OutputFormat::Text),
        (Some("json_object"), _) => Some(OutputFormat::Json),
        (Some("json_schema"), Some(said)) => Some(OutputFormat::Schema {
            name: read_text(said, "name"),
            description: read_text(said, "description"),
            schema: said.get("schema").map_or("{}", Value::raw).into(),
            strict: said.get("strict").and_then(Value::flag),
        }),
        _ => {
            dropped.field("response_format");
            None
        }
    }
}

fn read_effort(value: Value<'_, '_>, chat: &mut Chat<'_>, dropped: &mut Dropped) {
    let reasoning = chat.reasoning.get_or_insert_default();
    match value.text().as_deref() {
        Some("none") => reasoning.enabled = Some(false),
        Some(word) => match Effort::read(word) {
            Some(effort) => reasoning.effort = Some(effort),
            None => dropped.field("reasoning_effort"),
        },
        None => dropped.field("reasoning_effort"),
    }
}

/// OpenRouter's `reasoning` (API reference "Reasoning tokens").
fn read_reasoning(value: Value<'_, '_>, chat: &mut Chat<'_>, dropped: &mut Dropped) {
    let mut reasoning = chat.reasoning.take().unwrap_or_default();
    for (key, value) in value.members() {
        match &*key {
            "effort" if value.text().is_some_and(|word| word == "none") => reasoning.enabled = Some(false),
            "effort" => reasoning.effort = value.text().and_then(|word| Effort::read(&word)),
            "max_tokens" => reasoning.budget = value.whole(),
            "enabled" => reasoning.enabled = value.flag(),
            "exclude" if value.flag() == Some(true) => reasoning.tell = Some(crate::llm::chat::Tell::Nothing),
            _ if value.is_empty() || value.flag() == Some(false) => {}
            other => dropped.inside("reasoning.", other),
        }
    }
    chat.reasoning = Some(reasoning);
}
