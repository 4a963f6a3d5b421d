//! Reads `tools` and `tool_choice`. Of tools the functions can be told to other APIs; those that the
//! provider runs by itself are dropped by name.

use std::borrow::Cow;

use super::item_read::kind_of;
use super::request_read::want;
use crate::base::json::Kind;
use crate::base::json::tree::Value;
use crate::llm::chat::{Tool, ToolChoice};
use crate::llm::{Chat, Dropped, Refusal};
use crate::wire::custom;
use crate::wire::openai::schema::is_strict;

pub(super) fn tools<'a>(value: Value<'_, 'a>, chat: &mut Chat<'a>, dropped: &mut Dropped) -> Result<(), Refusal> {
    for tool in value.elements() {
        match &*kind_of(tool) {
            "function" => chat.tools.push(function(tool, dropped)?),
            "custom" => chat.tools.push(custom_tool(tool, dropped)?),
            other => dropped.inside("tools[].", if other.is_empty() { "type" } else { other }),
        }
    }
    Ok(())
}

fn function<'a>(value: Value<'_, 'a>, dropped: &mut Dropped) -> Result<Tool<'a>, Refusal> {
    let mut tool = Tool::default();
    let mut schema = None;
    for (key, value) in value.members() {
        match &*key {
            "type" => {}
            "name" => tool.name = value.text().unwrap_or_default(),
            "description" => tool.description = value.text(),
            "parameters" if value.kind() == Kind::Object => schema = Some(value),
            "strict" => tool.strict = value.flag(),
            _ if value.is_empty() || value.flag() == Some(false) => {}
            other => dropped.inside("tools[].", other),
        }
    }
    want((!tool.name.is_empty()).then_some(()), "tools[].name", "the name of a function")?;
    tool.parameters = schema.map(|schema| Cow::Borrowed(schema.raw()));
    // Where nothing is said this API holds to the schema if it can, and else does what others do.
    if tool.strict.is_none() && schema.is_some_and(is_strict) {
        tool.strict = Some(true);
    }
    Ok(tool)
}

fn custom_tool<'a>(value: Value<'_, 'a>, dropped: &mut Dropped) -> Result<Tool<'a>, Refusal> {
    let (mut name, mut description, mut format) = (None, None, Cow::Borrowed("{}"));
    for (key, value) in value.members() {
        match &*key {
            "type" => {}
            "name" => name = value.text().filter(|name| !name.is_empty()),
            "description" => description = value.text(),
            "format" if value.kind() == Kind::Object => format = Cow::Borrowed(value.raw()),
            _ if value.is_empty() || value.flag() == Some(false) => {}
            other => dropped.inside("tools[].", other),
        }
    }
    let name = want(name, "tools[].name", "the name of a tool")?;
    Ok(custom::tool(name, description, format))
}

pub(super) fn choice<'a>(value: Value<'_, 'a>, dropped: &mut Dropped) -> Result<Option<ToolChoice<'a>>, Refusal> {
    if let Some(word) = value.text() {
        let choice = match &*word {
            "auto" => Some(ToolChoice::Auto),
            "none" => Some(ToolChoice::None),
            "required" => Some(ToolChoice::Required),
            _ => None,
        };
        return want(choice, "tool_choice", "auto, none, required or an object").map(Some);
    }
    let name = || value.get("name").and_then(Value::text);
    Ok(match &*kind_of(value) {
        "function" | "custom" => Some(ToolChoice::Named(want(name(), "tool_choice.name", "the name of a function")?)),
        "allowed_tools" => {
            let required = value.get("mode").and_then(Value::text).is_some_and(|mode| mode == "required");
            let mut names = Vec::new();
            for tool in value.get("tools").into_iter().flat_map(Value::elements) {
                match (&*kind_of(tool), tool.get("name").and_then(Value::text)) {
                    ("function" | "custom", Some(name)) => names.push(name),
                    (other, _) => dropped.inside("tool_choice.tools[].", other),
                }
            }
            Some(ToolChoice::Among { names, required })
        }
        other => {
            dropped.inside("tool_choice.", other);
            None
        }
    })
}
