//! What OpenAI wants of a function's JSON Schema (guides "Function calling" and "Structured outputs", 2026).

use std::borrow::Cow;

use crate::base::json::tree::Value;
use crate::base::json::{Kind, Tree, write_object};
use crate::llm::Dropped;

/// Properties of one object in a schema that is held to.
const MAX_PROPERTIES: usize = 5000;

/// The parameters of a function. Without `type` and `properties` OpenAI refuses them; other APIs take an
/// object without properties, and `{}`.
pub(in crate::wire) fn of_function(schema: &str) -> Cow<'_, str> {
    let Ok(tree) = Tree::read(schema.as_bytes()) else { return Cow::Borrowed(schema) };
    let root = tree.root();
    let has = |name: &str| root.members().any(|(key, _)| key == name);
    let is_object = root.get("type").and_then(Value::text).is_none_or(|kind| kind == "object");
    if root.kind() != Kind::Object || !is_object || (has("type") && has("properties")) {
        return Cow::Borrowed(schema);
    }
    let mut out = Vec::with_capacity(schema.len() + 40);
    write_object(&mut out, |o| {
        if !has("type") {
            o.text("type", "object");
        }
        root.members().for_each(|(key, value)| o.raw(&key, value.raw()));
        if !has("properties") {
            o.object("properties", |_| {});
        }
    });
    String::from_utf8(out).map_or(Cow::Borrowed(schema), Cow::Owned)
}

/// Whether a schema is to be held to: what the client asks for, where OpenAI can do it. Other APIs hold to
/// schemas with properties that may be left out, and OpenAI refuses those.
pub(in crate::wire) fn strict(asked: Option<bool>, schema: Option<&str>, dropped: &mut Dropped) -> Option<bool> {
    if asked != Some(true) {
        return asked;
    }
    let tree = schema.and_then(|schema| Tree::read(schema.as_bytes()).ok());
    if tree.is_some_and(|tree| is_strict(tree.root())) {
        return Some(true);
    }
    dropped.field("strict");
    Some(false)
}

/// Whether a schema is one that can be held to ("Supported schemas"): every object has all of its properties
/// and no others.
pub(in crate::wire) fn is_strict(schema: Value<'_, '_>) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_without_arguments_says_so() {
        for (schema, written) in [
            ("{}", r#"{"type":"object","properties":{}}"#),
            (r#"{"type":"object"}"#, r#"{"type":"object","properties":{}}"#),
            (r#"{"properties":{"a":{}}}"#, r#"{"type":"object","properties":{"a":{}}}"#),
            (r#"{"type":"object", "properties":{}}"#, r#"{"type":"object", "properties":{}}"#),
            ("true", "true"),
        ] {
            assert_eq!(of_function(schema), written);
        }
    }

    #[test]
    fn a_schema_that_leaves_something_open_is_not_held_to() {
        let open = r#"{"type":"object","properties":{"a":{}},"additionalProperties":false}"#;
        let closed = r#"{"type":"object","properties":{"a":{}},"required":["a"],"additionalProperties":false}"#;
        for (asked, schema, written, lost) in [
            (Some(true), open, Some(false), true),
            (Some(true), closed, Some(true), false),
            (Some(false), open, Some(false), false),
            (None, open, None, false),
        ] {
            let mut dropped = Dropped::default();
            assert_eq!(strict(asked, Some(schema), &mut dropped), written, "{schema}");
            assert_eq!(!dropped.is_empty(), lost, "{schema}");
        }
    }
}
