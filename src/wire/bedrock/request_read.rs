//! A client's whole request read.

use std::borrow::Cow;

use super::blocks::{self, Side};
use super::extra;
use crate::base::json::Kind;
use crate::base::json::tree::Value;
use crate::llm::chat::{OutputFormat, Role, Tool, ToolChoice, Turn};
use crate::llm::{Chat, Code, Dropped, Refusal};

/// Reads a `ConverseRequest`.
///
/// # Errors
/// 400 for what is none.
pub(super) fn read<'a>(body: Value<'_, 'a>, dropped: &mut Dropped) -> Result<Chat<'a>, Refusal> {
    if body.kind() != Kind::Object {
        return Err(Refusal::new(Code::UnsupportedValue, "The request body must be a JSON object."));
    }
    let mut chat = Chat::default();
    let mut system = Vec::new();
    for (key, value) in body.members().filter(|(_, value)| !value.is_null()) {
        match &*key {
            "messages" => read_messages(value, &mut chat, dropped)?,
            "system" => {
                blocks::read(value, Side::Request, &mut system, dropped).map_err(|lack| wrong("system", lack))?;
            }
            "inferenceConfig" => read_inference(value, &mut chat, dropped)?,
            "toolConfig" => read_tools(value, &mut chat, dropped)?,
            "additionalModelRequestFields" => extra::read(value, &mut chat, dropped),
            "requestMetadata" => {
                let pairs = value.members().filter_map(|(key, value)| Some((key, value.text()?)));
                chat.metadata = pairs.collect();
            }
            "serviceTier" => chat.service_tier = value.get("type").and_then(Value::text),
            "outputConfig" => read_output(value, &mut chat, dropped)?,
            "performanceConfig" if value.get("latency").and_then(Value::text).as_deref() == Some("standard") => {}
            _ if value.is_empty() => {}
            other => dropped.field(other.to_owned()),
        }
    }
    if !system.is_empty() {
        chat.turns.insert(0, Turn { role: Role::System, parts: system, name: None });
    }
    if chat.turns.is_empty() {
        return Err(wrong("messages", "There is nothing to answer: give at least one message."));
    }
    chat.name_results();
    Ok(chat)
}

fn wrong(param: &'static str, message: &'static str) -> Refusal {
    Refusal::new(Code::UnsupportedValue, message).param(param)
}

fn read_messages<'a>(messages: Value<'_, 'a>, chat: &mut Chat<'a>, dropped: &mut Dropped) -> Result<(), Refusal> {
    if messages.kind() != Kind::Array {
        return Err(wrong("messages", "The messages must be an array."));
    }
    for message in messages.elements() {
        let role = match message.get("role").and_then(Value::text).as_deref() {
            Some("user") => Role::User,
            Some("assistant") => Role::Assistant,
            Some("system") => Role::System,
            _ => return Err(wrong("messages", "A message's role must be user or assistant.")),
        };
        let content = message.get("content").filter(|content| content.kind() == Kind::Array);
        let content = content.ok_or_else(|| wrong("messages", "A message's content must be an array of blocks."))?;
        let mut parts = Vec::new();
        blocks::read(content, Side::Request, &mut parts, dropped).map_err(|lack| wrong("messages", lack))?;
        for (key, _) in
            message.members().filter(|(key, value)| !value.is_empty() && !matches!(&**key, "role" | "content"))
        {
            dropped.inside("messages[].", &key);
        }
        chat.say(role, parts);
    }
    Ok(())
}

fn read_inference<'a>(config: Value<'_, 'a>, chat: &mut Chat<'a>, dropped: &mut Dropped) -> Result<(), Refusal> {
    let number = |value: Value<'_, 'a>| {
        value.number().ok_or_else(|| wrong("inferenceConfig", "An inference parameter is no number."))
    };
    for (key, value) in config.members().filter(|(_, value)| !value.is_null()) {
        match &*key {
            "maxTokens" => {
                let lack = || wrong("inferenceConfig.maxTokens", "maxTokens must be a whole number.");
                chat.max_output = Some(value.whole().ok_or_else(lack)?);
            }
            "temperature" => chat.sampling.temperature = Some(number(value)?),
            "topP" => chat.sampling.top_p = Some(number(value)?),
            "stopSequences" => chat.stop = value.elements().filter_map(Value::text).collect(),
            other => dropped.inside("inferenceConfig.", other),
        }
    }
    Ok(())
}

fn read_tools<'a>(config: Value<'_, 'a>, chat: &mut Chat<'a>, dropped: &mut Dropped) -> Result<(), Refusal> {
    for (key, value) in config.members().filter(|(_, value)| !value.is_null()) {
        match &*key {
            "tools" => {
                for tool in value.elements() {
                    read_tool(tool, chat, dropped)?;
                }
            }
            "toolChoice" => chat.tool_choice = read_choice(value)?,
            other => dropped.inside("toolConfig.", other),
        }
    }
    Ok(())
}

fn read_tool<'a>(tool: Value<'_, 'a>, chat: &mut Chat<'a>, dropped: &mut Dropped) -> Result<(), Refusal> {
    for (key, value) in tool.members().filter(|(_, value)| !value.is_null()) {
        match &*key {
            "toolSpec" => {
                let name = value.get("name").and_then(Value::text);
                let schema = value.get("inputSchema").and_then(|schema| schema.get("json"));
                chat.tools.push(Tool {
                    custom: None,
                    name: name.ok_or_else(|| wrong("toolConfig.tools", "A toolSpec has no name."))?,
                    description: value.get("description").and_then(Value::text),
                    parameters: schema.map(|schema| Cow::Borrowed(schema.raw())),
                    strict: value.get("strict").and_then(Value::flag),
                    cache: None,
                });
            }
            "cachePoint" => match chat.tools.last_mut() {
                Some(tool) => tool.cache = Some(blocks::mark(value)),
                None => dropped.field("toolConfig.tools[].cachePoint"),
            },
            other => dropped.inside("toolConfig.tools[].", other),
        }
    }
    Ok(())
}

fn read_choice<'a>(choice: Value<'_, 'a>) -> Result<Option<ToolChoice<'a>>, Refusal> {
    let Some((key, value)) = choice.members().find(|(_, value)| !value.is_null()) else { return Ok(None) };
    Ok(Some(match (&*key, value.get("name").and_then(Value::text)) {
        ("auto", _) => ToolChoice::Auto,
        ("any", _) => ToolChoice::Required,
        ("tool", Some(name)) => ToolChoice::Named(name),
        _ => return Err(wrong("toolConfig.toolChoice", "toolChoice must be auto, any or tool with a name.")),
    }))
}

fn read_output<'a>(config: Value<'_, 'a>, chat: &mut Chat<'a>, dropped: &mut Dropped) -> Result<(), Refusal> {
    for (key, value) in config.members().filter(|(_, value)| !value.is_null()) {
        match &*key {
            "textFormat" => {
                let schema = value.get("structure").and_then(|structure| structure.get("jsonSchema"));
                let text = schema.and_then(|schema| schema.get("schema")).and_then(Value::text);
                let (Some(schema), Some(text)) = (schema, text) else {
                    return Err(wrong("outputConfig.textFormat", "The JSON schema of textFormat cannot be read."));
                };
                chat.output = Some(OutputFormat::Schema {
                    name: schema.get("name").and_then(Value::text),
                    description: schema.get("description").and_then(Value::text),
                    schema: text,
                    strict: None,
                });
            }
            "effort" => extra::read_effort(value, chat, "outputConfig.effort", dropped),
            other => dropped.inside("outputConfig.", other),
        }
    }
    Ok(())
}
