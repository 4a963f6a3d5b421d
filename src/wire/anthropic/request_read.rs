//! Reads a request (`POST /v1/messages`, versions 2023-06-01 and 2026-10-21, with what betas add to it).

use super::block_read::{self, MESSAGES, content, mark, wrong};
use super::thinking;
use crate::base::json::tree::Value;
use crate::base::json::{Kind, Tree};
use crate::llm::chat::{OutputFormat, Role, Tool, ToolChoice};
use crate::llm::{Chat, Dropped, Part, Refusal};

/// Reads a whole body.
///
/// # Errors
/// 400 for what is no request of this API.
pub(super) fn read<'a>(body: &Tree<'a>, dropped: &mut Dropped) -> Result<Chat<'a>, Refusal> {
    let root = body.root();
    if root.kind() != Kind::Object {
        return Err(wrong("body", "must be a JSON object"));
    }
    let mut chat = Chat::default();
    // Whatever the order of the members, the system prompt comes first.
    if let Some(system) = root.get("system") {
        say(&mut chat, Role::System, content(system, "system[].", dropped)?);
    }
    let messages = root.get("messages").filter(|list| list.kind() == Kind::Array);
    read_messages(messages.ok_or_else(|| wrong("messages", "must be a list"))?, &mut chat, dropped)?;
    for (key, value) in root.members() {
        if !value.is_empty() {
            read_member(&key, value, &mut chat, dropped)?;
        }
    }
    Ok(chat)
}

/// Nothing that is said makes no turn.
fn say<'a>(chat: &mut Chat<'a>, role: Role, parts: Vec<Part<'a>>) {
    if !parts.is_empty() {
        chat.say(role, parts);
    }
}

fn read_messages<'a>(list: Value<'_, 'a>, chat: &mut Chat<'a>, dropped: &mut Dropped) -> Result<(), Refusal> {
    for message in list.elements() {
        let role = match message.get("role").and_then(Value::text).as_deref() {
            Some("user") => Role::User,
            Some("assistant") => Role::Assistant,
            Some("system") => Role::System,
            _ => return Err(wrong("messages[].role", "must be user, assistant or system")),
        };
        let said = message.get("content").ok_or_else(|| wrong("messages[].content", "is missing"))?;
        say(chat, role, content(said, MESSAGES, dropped)?);
        for (key, value) in message.members() {
            if !matches!(&*key, "role" | "content") && !value.is_empty() {
                dropped.inside("messages[].", &key);
            }
        }
    }
    Ok(())
}

fn read_member<'a>(key: &str, value: Value<'_, 'a>, chat: &mut Chat<'a>, dropped: &mut Dropped) -> Result<(), Refusal> {
    let number = |name| value.number().ok_or_else(|| wrong(name, "must be a number"));
    match key {
        "model" | "stream" | "system" | "messages" => {}
        "max_tokens" => {
            chat.max_output = Some(value.whole().ok_or_else(|| wrong("max_tokens", "must be a whole number"))?);
        }
        "stop_sequences" => {
            for word in value.elements() {
                chat.stop.push(word.text().ok_or_else(|| wrong("stop_sequences", "must be a list of strings"))?);
            }
        }
        "temperature" => chat.sampling.temperature = Some(number("temperature")?),
        "top_p" => chat.sampling.top_p = Some(number("top_p")?),
        "top_k" => chat.sampling.top_k = Some(number("top_k")?),
        "tools" => read_tools(value, chat, dropped)?,
        "tool_choice" => read_tool_choice(value, chat)?,
        "thinking" => thinking::read(value, chat, dropped)?,
        "output_config" => read_output_config(value, chat, dropped)?,
        // The name that it had as a beta.
        "output_format" => read_format(value, chat)?,
        "metadata" => {
            chat.user = value.get("user_id").and_then(Value::text);
            let others = value.members().filter(|(key, value)| key != "user_id" && !value.is_empty());
            others.for_each(|(key, _)| dropped.inside("metadata.", &key));
        }
        "service_tier" => chat.service_tier = value.text(),
        "cache_control" => {
            // It marks the last block there is.
            let last = chat.turns.iter_mut().rev().find_map(|turn| turn.parts.last_mut());
            if let Some(last) = last {
                last.cache = last.cache.or(Some(mark(value)));
            }
        }
        unknown => dropped.field(unknown.to_owned()),
    }
    Ok(())
}

fn read_tools<'a>(list: Value<'_, 'a>, chat: &mut Chat<'a>, dropped: &mut Dropped) -> Result<(), Refusal> {
    if list.kind() != Kind::Array {
        return Err(wrong("tools", "must be a list"));
    }
    for tool in list.elements() {
        // Tools of another type run at Anthropic, or have a form that only its models know.
        if let Some(kind) = tool.get("type").and_then(Value::text).filter(|kind| kind != "custom") {
            dropped.inside("tools[].", &kind);
            continue;
        }
        let name = tool.get("name").and_then(Value::text).ok_or_else(|| wrong("tools[].name", "must be a string"))?;
        for (key, value) in tool.members() {
            let known = ["type", "name", "description", "input_schema", "strict", "cache_control"];
            if !known.contains(&&*key) && !value.is_empty() {
                dropped.inside("tools[].", &key);
            }
        }
        chat.tools.push(Tool {
            custom: None,
            name,
            description: tool.get("description").and_then(Value::text),
            parameters: tool.get("input_schema").map(|schema| schema.raw().into()),
            strict: tool.get("strict").and_then(Value::flag),
            cache: tool.get("cache_control").map(block_read::mark),
        });
    }
    Ok(())
}

fn read_tool_choice<'a>(value: Value<'_, 'a>, chat: &mut Chat<'a>) -> Result<(), Refusal> {
    chat.tool_choice = Some(match value.get("type").and_then(Value::text).as_deref() {
        Some("auto") => ToolChoice::Auto,
        Some("any") => ToolChoice::Required,
        Some("none") => ToolChoice::None,
        Some("tool") => {
            let name = value.get("name").and_then(Value::text);
            ToolChoice::Named(name.ok_or_else(|| wrong("tool_choice.name", "must be a string"))?)
        }
        _ => return Err(wrong("tool_choice.type", "must be auto, any, tool or none")),
    });
    chat.parallel_tools = value.get("disable_parallel_tool_use").and_then(Value::flag).map(|off| !off);
    Ok(())
}

fn read_output_config<'a>(value: Value<'_, 'a>, chat: &mut Chat<'a>, dropped: &mut Dropped) -> Result<(), Refusal> {
    for (key, value) in value.members().filter(|(_, value)| !value.is_empty()) {
        match &*key {
            "effort" => thinking::read_effort(value, chat)?,
            "format" => read_format(value, chat)?,
            unknown => dropped.inside("output_config.", unknown),
        }
    }
    Ok(())
}

fn read_format<'a>(value: Value<'_, 'a>, chat: &mut Chat<'a>) -> Result<(), Refusal> {
    let is_schema = value.get("type").and_then(Value::text).is_some_and(|kind| kind == "json_schema");
    let schema = value.get("schema").filter(|schema| is_schema && schema.kind() == Kind::Object);
    let schema =
        schema.ok_or_else(|| wrong("output_config.format", "must be a json_schema with a schema"))?.raw().into();
    // Anthropic's answers keep to their schema in any case.
    chat.output = Some(OutputFormat::Schema { name: None, description: None, schema, strict: Some(true) });
    Ok(())
}
