//! A `GenerateContentRequest`, read.

use super::spelling::{Bad, elements, flag, message, text};
use super::{config_read, contents_read, schema_read};
use crate::base::json::Kind;
use crate::base::json::tree::Value;
use crate::llm::chat::{Role, Tool, ToolChoice};
use crate::llm::{Chat, Dropped};

/// Reads a whole body.
///
/// # Errors
/// For what is no such request, and for `cachedContent`, which only the project that made it has.
pub(super) fn read<'a>(root: Value<'_, 'a>, dropped: &mut Dropped) -> Result<Chat<'a>, Bad> {
    let mut chat = Chat::default();
    let (mut contents, mut instructions) = (None, Vec::new());
    for (key, value) in message(root, "The body")? {
        match &*key {
            "contents" => contents = Some(value),
            "systemInstruction" => instructions = contents_read::instructions(value, dropped)?,
            "tools" => tools(value, &mut chat, dropped)?,
            "toolConfig" => tool_config(value, &mut chat, dropped)?,
            "generationConfig" => config_read::read(value, &mut chat, dropped)?,
            "cachedContent" if !value.is_empty() => return Err(Bad::Cached),
            "labels" => labels(value, &mut chat)?,
            "serviceTier" => chat.service_tier = Some(text(value, "serviceTier")?),
            "store" => chat.store = Some(flag(value, "store")?),
            // The path names it.
            "model" => {}
            _ if value.is_empty() => {}
            other => dropped.field(other.to_owned()),
        }
    }
    if !instructions.is_empty() {
        chat.say(Role::System, instructions);
    }
    match contents {
        Some(contents) => contents_read::read(contents, &mut chat, dropped)?,
        None => return Err(Bad::Type("contents", "an array of contents")),
    }
    Ok(chat)
}

fn tools<'a>(value: Value<'_, 'a>, chat: &mut Chat<'a>, dropped: &mut Dropped) -> Result<(), Bad> {
    for tool in elements(value, "tools")? {
        for (key, value) in message(tool, "tools[]")? {
            match &*key {
                "functionDeclarations" => {
                    for declaration in elements(value, "tools[].functionDeclarations")? {
                        chat.tools.push(function(declaration, dropped)?);
                    }
                }
                // What runs at Google's side: its empty object is what asks for it.
                other => dropped.inside("tools[].", other),
            }
        }
    }
    Ok(())
}

fn function<'a>(value: Value<'_, 'a>, dropped: &mut Dropped) -> Result<Tool<'a>, Bad> {
    let mut tool = Tool::default();
    for (key, value) in message(value, "tools[].functionDeclarations[]")? {
        match &*key {
            "name" => tool.name = text(value, "tools[].functionDeclarations[].name")?,
            "description" => tool.description = Some(text(value, "tools[].functionDeclarations[].description")?),
            "parameters" => tool.parameters = Some(schema_read::read(value)?.into()),
            "parametersJsonSchema" => tool.parameters = Some(value.raw().into()),
            _ if value.is_empty() => {}
            other => dropped.inside("tools[].functionDeclarations[].", other),
        }
    }
    match tool.name.is_empty() {
        true => Err(Bad::Type("tools[].functionDeclarations[].name", "the name of a function")),
        false => Ok(tool),
    }
}

fn tool_config<'a>(value: Value<'_, 'a>, chat: &mut Chat<'a>, dropped: &mut Dropped) -> Result<(), Bad> {
    for (key, value) in message(value, "toolConfig")? {
        match &*key {
            "functionCallingConfig" => chat.tool_choice = calling(value, dropped)?,
            _ if value.is_empty() => {}
            other => dropped.inside("toolConfig.", other),
        }
    }
    Ok(())
}

fn calling<'a>(value: Value<'_, 'a>, dropped: &mut Dropped) -> Result<Option<ToolChoice<'a>>, Bad> {
    const PLACE: &str = "toolConfig.functionCallingConfig";
    let (mut mode, mut names) = (None, Vec::new());
    for (key, value) in message(value, PLACE)? {
        match &*key {
            "mode" => mode = Some(text(value, "toolConfig.functionCallingConfig.mode")?),
            "allowedFunctionNames" => {
                for name in elements(value, "toolConfig.functionCallingConfig.allowedFunctionNames")? {
                    names.push(text(name, "toolConfig.functionCallingConfig.allowedFunctionNames[]")?);
                }
            }
            _ if value.is_empty() || value.flag() == Some(false) => {}
            other => dropped.inside("toolConfig.functionCallingConfig.", other),
        }
    }
    Ok(match (mode.as_deref(), names.len()) {
        (None | Some("MODE_UNSPECIFIED"), 0) => None,
        (Some("AUTO"), 0) => Some(ToolChoice::Auto),
        (Some("NONE"), _) => Some(ToolChoice::None),
        (Some("ANY"), 0) => Some(ToolChoice::Required),
        (Some("ANY"), 1) => names.pop().map(ToolChoice::Named),
        (Some("ANY"), _) => Some(ToolChoice::Among { names, required: true }),
        (Some("VALIDATED"), 0) => {
            // That arguments keep to the schemas is `strict` elsewhere, which wants schemas of its own kind.
            dropped.field("toolConfig.functionCallingConfig.mode");
            Some(ToolChoice::Auto)
        }
        (None | Some("MODE_UNSPECIFIED" | "AUTO" | "VALIDATED"), _) => {
            Some(ToolChoice::Among { names, required: false })
        }
        _ => return Err(Bad::Type("toolConfig.functionCallingConfig.mode", "AUTO, ANY, NONE or VALIDATED")),
    })
}

fn labels<'a>(value: Value<'_, 'a>, chat: &mut Chat<'a>) -> Result<(), Bad> {
    if value.kind() != Kind::Object {
        return Err(Bad::Type("labels", "an object"));
    }
    for (key, value) in value.members() {
        chat.metadata.push((key, text(value, "labels")?));
    }
    Ok(())
}
