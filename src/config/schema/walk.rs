//! From the rows of a kind to a schema, for either reader of it.

use serde_json::{Map, Value, json};

use super::rule;
use crate::config::shape::{Default, Field, Fields, Keyed, Most, Shape};
use crate::config::text::Form;
use crate::config::yaml11;

/// Who reads the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// An editor: JSON Schema 2020-12.
    Json,
    /// The API server: structural OpenAPI v3, where every value has one type and nothing is unbounded.
    Crd,
}

/// An object with these fields and no others.
pub(super) fn object(fields: &Fields, target: Target) -> Value {
    let rows: Vec<&Field> = fields.rows.iter().filter(|field| target == Target::Json || !field.file_only).collect();
    let mut out = json!({ "type": "object" });
    let required: Vec<&str> = rows.iter().filter(|field| field.required).map(|field| field.name).collect();
    if !required.is_empty() {
        out["required"] = json!(required);
    }
    let properties: Map<String, Value> = rows.iter().map(|row| (row.name.to_owned(), field(row, target))).collect();
    if !properties.is_empty() {
        out["properties"] = Value::Object(properties);
    }
    if target == Target::Json {
        out["additionalProperties"] = json!(false);
    }
    rule::add(&mut out, fields, target);
    out
}

/// What a field may hold.
pub(super) fn shape(of: Shape, target: Target) -> Value {
    match of {
        Shape::Text(form) => text(form, target),
        Shape::Whole { least, most } => whole(least, most, target),
        Shape::Amount => amount(target),
        Shape::Word(words) => json!({ "type": "string", "enum": words.words() }),
        Shape::WordOr(words, fields) => word_or(&words.words(), fields, target),
        Shape::List { item, least, most, keyed } => list(*item, least, most, keyed, target),
        Shape::Map { key, value, most } => map(key, *value, most, target),
        Shape::Object(fields) => object(fields, target),
        Shape::Json if target == Target::Json => json!({ "not": { "type": "null" } }),
        Shape::Json => json!({ "x-kubernetes-preserve-unknown-fields": true }),
    }
}

fn field(row: &Field, target: Target) -> Value {
    let mut out = Map::new();
    let advice = if target == Target::Crd { yaml11::advice(row) } else { String::new() };
    out.insert("description".to_owned(), json!([row.doc, &advice].concat()));
    if let Value::Object(rest) = shape(row.shape, target) {
        out.extend(rest);
    }
    match row.default {
        Some(Default::Text(text)) => out.insert("default".to_owned(), json!(text)),
        Some(Default::Whole(number)) => out.insert("default".to_owned(), json!(number)),
        None => None,
    };
    Value::Object(out)
}

fn text(form: &Form, target: Target) -> Value {
    let mut out = json!({ "type": "string", "minLength": 1 });
    if form.bounded || target == Target::Crd {
        out["maxLength"] = json!(form.most);
    }
    if let Some((first, rest)) = form.patterns.split_first() {
        out["pattern"] = json!(first);
        if !rest.is_empty() {
            out["allOf"] = rest.iter().map(|pattern| json!({ "pattern": pattern })).collect();
        }
    }
    if let Some(pattern) = refused(form) {
        out["not"] = json!({ "pattern": pattern });
    }
    match (target, form.cel) {
        (Target::Json, _) if !form.example.is_empty() => out["examples"] = json!([form.example]),
        (Target::Crd, Some((rule, says))) => {
            out["x-kubernetes-validations"] = json!([{ "rule": rule, "message": says }]);
        }
        _ => {}
    }
    out
}

/// A pattern over the names that a form leaves to others, in any case.
fn refused(form: &Form) -> Option<String> {
    let any_case = |name: &str| -> String {
        let letter = |c: char| match c {
            c if c.is_ascii_alphabetic() => format!("[{}{}]", c.to_ascii_uppercase(), c.to_ascii_lowercase()),
            c => c.to_string(),
        };
        name.chars().map(letter).collect()
    };
    let names = form.reserved.iter().flat_map(|(names, _)| *names).map(|name| any_case(name) + "$");
    let prefixes = form.reserved_prefixes.iter().map(|(prefix, _)| any_case(prefix));
    let all: Vec<String> = names.chain(prefixes).collect();
    (!all.is_empty()).then(|| format!("^({})", all.join("|")))
}

/// The suffixes of Kubernetes quantities that stand for whole numbers.
const SUFFIX: &str = "(k|M|G|T|Ki|Mi|Gi|Ti)?";

fn whole(least: u64, most: u64, target: Target) -> Value {
    let zeros = if least > 0 { "0*[1-9][0-9]*" } else { "[0-9]+" };
    let pattern = format!("^{zeros}{SUFFIX}$");
    let mut number = json!({ "minimum": least });
    // Above it no number is exact in JSON; the reader knows the bound.
    if most <= 1 << 53 {
        number["maximum"] = json!(most);
    }
    match target {
        Target::Json => {
            number["type"] = json!("integer");
            json!({ "anyOf": [number, { "type": "string", "pattern": pattern }] })
        }
        Target::Crd => {
            number["pattern"] = json!(pattern);
            number["maxLength"] = json!(24);
            number["x-kubernetes-int-or-string"] = json!(true);
            number
        }
    }
}

fn amount(target: Target) -> Value {
    let pattern = format!(r"^([0-9]+{SUFFIX}|[0-9]{{1,9}}\.[0-9]{{1,9}})$");
    let above = json!([{ "pattern": "[1-9]" }]);
    match target {
        Target::Json => {
            let text = json!({ "type": "string", "pattern": pattern, "allOf": above });
            json!({ "anyOf": [{ "minimum": 1, "type": "integer" }, text], "examples": [600, "100k"] })
        }
        Target::Crd => {
            json!({ "minimum": 1, "pattern": pattern, "maxLength": 24, "allOf": above, "x-kubernetes-int-or-string": true })
        }
    }
}

fn word_or(words: &[&str], fields: &Fields, target: Target) -> Value {
    match target {
        Target::Json => json!({ "anyOf": [{ "type": "string", "enum": words }, object(fields, target)] }),
        // No structural type is both. A bound on length is true of every object, and of no text but the
        // empty one.
        Target::Crd => {
            let required: Vec<&str> = fields.rows.iter().filter(|row| row.required).map(|row| row.name).collect();
            json!({
                "x-kubernetes-preserve-unknown-fields": true,
                "anyOf": [{ "enum": words }, { "required": required, "maxLength": 0 }],
            })
        }
    }
}

fn list(item: Shape, least: u64, most: Most, keyed: Keyed, target: Target) -> Value {
    let mut out = json!({ "type": "array", "items": shape(item, target) });
    if least > 0 {
        out["minItems"] = json!(least);
    }
    match (most, target) {
        (Most::Anywhere(most), _) | (Most::Stored(most), Target::Crd) => out["maxItems"] = json!(most),
        (Most::Stored(_), Target::Json) => {}
    }
    // A set is one of scalars to the API server.
    let is_scalar = matches!(item, Shape::Text(_) | Shape::Word(_));
    match (keyed, target) {
        (Keyed::Set, Target::Json) => out["uniqueItems"] = json!(true),
        (_, Target::Json) => {}
        (Keyed::Set, Target::Crd) if is_scalar => out["x-kubernetes-list-type"] = json!("set"),
        (Keyed::No | Keyed::Set, Target::Crd) => out["x-kubernetes-list-type"] = json!("atomic"),
        (Keyed::By(key), Target::Crd) => {
            out["x-kubernetes-list-type"] = json!("map");
            out["x-kubernetes-list-map-keys"] = json!([key]);
        }
    }
    out
}

fn map(key: &Form, value: Shape, most: Most, target: Target) -> Value {
    let mut out = json!({ "type": "object", "additionalProperties": shape(value, target) });
    match (most, target) {
        (Most::Anywhere(most), _) | (Most::Stored(most), Target::Crd) => out["maxProperties"] = json!(most),
        (Most::Stored(_), Target::Json) => {}
    }
    if target == Target::Json {
        let mut names = text(key, target);
        if let Some(names) = names.as_object_mut() {
            names.shift_remove("type");
            names.shift_remove("examples");
        }
        out["propertyNames"] = names;
    }
    out
}
