//! Reads `tools` and `tool_choice`. Of tools the functions can be told to other APIs; those that the
//! provider runs by itself are dropped by name.

use std::borrow::Cow;

use super::item_read::kind_of;
use super::request_read::want;
use crate::base::json::Kind;
use crate::base::json::tree::Value;
use crate::llm::chat::{Tool, ToolChoice};
use crate::llm::{Chat, Dropped, Refusal};

/// Schemas with more properties in one object are not looked through.
const MAX_PROPERTIES: usize = 256;

pub(super) fn tools<'a>(value: Value<'_, 'a>, chat: &mut Chat<'a>, dropped: &mut Dropped) -> Result<(), Refusal> {
    for tool in value.elements() {
        match &*kind_of(tool) {
            "function" => chat.tools.push(function(tool, dropped)?),
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

/// Whether a schema is one that can be held to (guide "Structured outputs", "Supported schemas"): every
/// object has all of its properties and no others.
fn is_strict(schema: Value<'_, '_>) -> bool {
    let properties = schema.get("properties");
    let is_object = schema.get("type").and_then(Value::text).is_some_and(|kind| kind == "object");
    if is_object || properties.is_some() {
        let required = schema.get("required");
        let is_required = |name: &str| {
            let mut names = required.into_iter().flat_map(Value::elements).filter_map(Value::text);
            names.any(|required| required == name)
        };
        let closed = schema.get("additionalProperties").and_then(Value::flag) == Some(false);
        let mut names = properties.into_iter().flat_map(Value::members).map(|(name, _)| name);
        let count = properties.into_iter().flat_map(Value::members).count();
        if !closed || count > MAX_PROPERTIES || !names.all(|name| is_required(&name)) {
            return false;
        }
    }
    let named = ["properties", "$defs", "definitions"].into_iter().filter_map(|key| schema.get(key));
    let mut within = named.flat_map(Value::members).map(|(_, value)| value);
    let mut either = schema.get("anyOf").into_iter().flat_map(Value::elements);
    within.all(is_strict) && either.all(is_strict) && schema.get("items").is_none_or(is_strict)
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
        "function" => Some(ToolChoice::Named(want(name(), "tool_choice.name", "the name of a function")?)),
        "allowed_tools" => {
            let required = value.get("mode").and_then(Value::text).is_some_and(|mode| mode == "required");
            let mut names = Vec::new();
            for tool in value.get("tools").into_iter().flat_map(Value::elements) {
                match (&*kind_of(tool), tool.get("name").and_then(Value::text)) {
                    ("function", Some(name)) => names.push(name),
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
