//! JSON Schemas for answers and for strict tools of Anthropic's API and of Bedrock's. Both refuse what their
//! grammars cannot keep to (Anthropic, "Structured outputs", 2026-11; Bedrock user guide, "Get validated JSON
//! results from models", 2026): objects must be closed, and bounds on numbers, lengths and most lists are
//! errors. What it refuses goes into the schema's description, as Anthropic's own SDKs do it, so that the
//! model may still follow it; it is named as left out, because nobody holds the model to it.

use std::borrow::Cow;

use crate::base::json::tree::Value;
use crate::base::json::{Kind, ObjectWriter, Tree, write_object};
use crate::llm::Dropped;

/// The words whose value is a schema, or a list of schemas.
const INNER: &[&str] = &["items", "anyOf", "oneOf", "allOf"];

/// The words whose value is an object of schemas.
const NAMED: &[&str] = &["properties", "$defs", "definitions"];

/// The words that go on as they are.
const PLAIN: &[&str] = &[
    "type",
    "description",
    "title",
    "enum",
    "const",
    "default",
    "required",
    "pattern",
    "$ref",
    "$schema",
    "$id",
    "$comment",
    "examples",
];

/// The formats of strings that are kept to.
const FORMATS: &[&str] = &["date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"];

/// What is told of one schema in words at most, in bytes. A word that does not fit is left out for good.
const NOTES: usize = 16 << 10;

/// The schema as the API takes it: as it was written, where that is right. `place` stands in front of the
/// names of what is left out.
pub(super) fn closed<'s>(schema: &'s str, place: &'static str, dropped: &mut Dropped) -> Cow<'s, str> {
    let Ok(tree) = Tree::read(schema.as_bytes()) else { return Cow::Borrowed(schema) };
    if is_right(tree.root()) {
        return Cow::Borrowed(schema);
    }
    let mut out = Vec::with_capacity(schema.len() + 64);
    write_object(&mut out, |o| write(o, tree.root(), place, dropped));
    String::from_utf8(out).map_or(Cow::Borrowed(schema), Cow::Owned)
}

/// The schema of a tool that is not strict: only that it is an object's must be said.
pub(super) fn of_object(schema: Option<&str>) -> Cow<'_, str> {
    const NOTHING: &str = r#"{"type":"object","properties":{}}"#;
    let Some(schema) = schema else { return Cow::Borrowed(NOTHING) };
    let Ok(tree) = Tree::read(schema.as_bytes()) else { return Cow::Borrowed(schema) };
    match tree.root() {
        root if root.is_empty() => Cow::Borrowed(NOTHING),
        root if root.kind() != Kind::Object || root.get("type").is_some() => Cow::Borrowed(schema),
        root => {
            let mut out = Vec::with_capacity(schema.len() + 16);
            write_object(&mut out, |o| {
                o.text("type", "object");
                let members = root.members().filter(|(key, _)| key != "type");
                members.for_each(|(key, value)| o.raw(&key, value.raw()));
            });
            String::from_utf8(out).map_or(Cow::Borrowed(schema), Cow::Owned)
        }
    }
}

/// Nothing in it is refused. A tree is at most 128 levels deep.
fn is_right(schema: Value<'_, '_>) -> bool {
    let is_closed = schema.get("additionalProperties").and_then(Value::flag) == Some(false);
    schema.kind() == Kind::Object
        && is_closed == is_object(schema)
        && schema.members().all(|(key, value)| {
            let key = &*key;
            match key {
                _ if PLAIN.contains(&key) || key == "additionalProperties" => true,
                "oneOf" => false,
                _ if INNER.contains(&key) && value.kind() == Kind::Array => value.elements().all(is_right),
                _ if INNER.contains(&key) => is_right(value),
                _ if NAMED.contains(&key) => value.members().all(|(_, inner)| is_right(inner)),
                _ => is_kept(key, value),
            }
        })
}

/// A bound that the API keeps to.
fn is_kept(key: &str, value: Value<'_, '_>) -> bool {
    match key {
        "format" => value.text().is_some_and(|format| FORMATS.contains(&&*format)),
        "minItems" => matches!(value.whole(), Some(0 | 1)),
        _ => false,
    }
}

fn is_object(schema: Value<'_, '_>) -> bool {
    let kind = schema.get("type");
    let is_word = |value: Value<'_, '_>| value.text().is_some_and(|word| word == "object");
    kind.is_some_and(|kind| is_word(kind) || kind.elements().any(is_word))
        || (kind.is_none() && schema.get("properties").is_some())
}

fn write(o: &mut ObjectWriter<'_>, schema: Value<'_, '_>, place: &'static str, dropped: &mut Dropped) {
    let (mut notes, mut is_cut) = (String::new(), false);
    let has_any_of = schema.get("anyOf").is_some();
    for (key, value) in schema.members() {
        let name = &*key;
        let is_second = name == "oneOf" && has_any_of;
        if INNER.contains(&name) && !is_second {
            // One of them, where the models differ in nothing else, is any of them.
            let name = if name == "oneOf" { "anyOf" } else { name };
            match value.kind() {
                Kind::Array => o.array(name, |a| {
                    value.elements().for_each(|inner| a.object(|o| write(o, inner, place, dropped)));
                }),
                _ => o.object(name, |o| write(o, value, place, dropped)),
            }
        } else if NAMED.contains(&name) {
            o.object(name, |o| {
                value.members().for_each(|(key, inner)| o.object(&key, |o| write(o, inner, place, dropped)));
            });
        } else if name == "additionalProperties" {
            if value.flag() != Some(false) {
                dropped.inside(place, name);
            }
        } else if PLAIN.contains(&name) || is_kept(name, value) {
            if name != "description" {
                o.raw(name, value.raw());
            }
        } else {
            dropped.inside(place, name);
            if !note(&mut notes, name, value.raw()) && !std::mem::replace(&mut is_cut, true) {
                dropped.inside(place, "description");
            }
        }
    }
    let described = schema.get("description").and_then(Value::text);
    match (described, notes.is_empty()) {
        (None, true) => {}
        (Some(described), true) => o.text("description", &described),
        (None, false) => o.text("description", &format!("{{{notes}}}")),
        (Some(described), false) => o.text("description", &format!("{described}\n\n{{{notes}}}")),
    }
    if is_object(schema) {
        o.flag("additionalProperties", false);
    }
}

/// Adds a word and what it says. False where they do not fit.
fn note(notes: &mut String, name: &str, value: &str) -> bool {
    let comma = if notes.is_empty() { "" } else { ", " };
    let note = [comma, name, ": ", value];
    let fits = note.iter().fold(notes.len(), |length, part| length.saturating_add(part.len())) <= NOTES;
    if fits {
        notes.extend(note);
    }
    fits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(schema: &str, expected: &str, names: &[&str]) {
        let mut dropped = Dropped::default();
        assert_eq!(closed(schema, "s.", &mut dropped), expected, "{schema}");
        assert_eq!(dropped.names(), names, "{schema}");
    }

    #[test]
    fn what_is_right_goes_on_as_it_was_written() {
        let right = r##"{ "type" : "object", "properties": {"a":{"type":"string","format":"date"}, "b":
            {"type":["array","null"],"items":{"$ref":"#/$defs/x"},"minItems":1}}, "required":["a"],
            "additionalProperties":false, "$defs":{"x":{"anyOf":[{"type":"null"},{"enum":[1,"b"]}]}}}"##;
        let mut dropped = Dropped::default();
        assert!(matches!(closed(right, "s.", &mut dropped), Cow::Borrowed(_)));
        assert!(dropped.is_empty());
    }

    #[test]
    fn objects_are_closed_and_bounds_become_words() {
        check(
            r#"{"type":"object","properties":{"n":{"type":"integer","minimum":1,"description":"A n","maximum":9}}}"#,
            concat!(
                r#"{"type":"object","properties":{"n":{"type":"integer","#,
                r#""description":"A n\n\n{minimum: 1, maximum: 9}"}},"additionalProperties":false}"#
            ),
            &["s.minimum", "s.maximum"],
        );
        check(
            r#"{"type":"object","additionalProperties":{"type":"string"}}"#,
            r#"{"type":"object","additionalProperties":false}"#,
            &["s.additionalProperties"],
        );
        check(r#"{"oneOf":[{"type":"null"}]}"#, r#"{"anyOf":[{"type":"null"}]}"#, &[]);
    }

    /// However many words it has that are not known.
    #[test]
    fn what_is_told_in_words_is_bounded() {
        let words: String = (0..50_000).map(|at| format!(r#""x{at}":{at},"#)).collect();
        let long = "y".repeat(NOTES);
        let schema = format!(r#"{{{words}"long":"{long}","description":"A d"}}"#);
        let mut dropped = Dropped::default();
        let written = closed(&schema, "s.", &mut dropped);
        assert!(written.len() <= NOTES + 64, "{}", written.len());
        assert!(written.starts_with(r#"{"description":"A d\n\n{x0: 0, x1: 1, x2: 2, "#) && written.ends_with("}\"}"));
        // One that does not fit does not take the place of those behind it.
        let schema = format!(r#"{{"long":"{long}","minimum":1}}"#);
        check(&schema, r#"{"description":"{minimum: 1}"}"#, &["s.long", "s.description", "s.minimum"]);
    }

    #[test]
    fn a_tools_schema_says_that_it_is_an_objects() {
        assert_eq!(of_object(None), r#"{"type":"object","properties":{}}"#);
        assert_eq!(of_object(Some("{}")), r#"{"type":"object","properties":{}}"#);
        assert_eq!(of_object(Some(r#"{"properties":{}}"#)), r#"{"type":"object","properties":{}}"#);
        assert_eq!(of_object(Some(r#"{ "type":"object" }"#)), r#"{ "type":"object" }"#);
    }
}
