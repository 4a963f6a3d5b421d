//! What several fields say together, as JSON Schema and as CEL.

use serde_json::{Value, json};

use super::walk::{self, Target};
use crate::config::shape::{Default, Fields, Only, Rule, SIZE, Shape};
use crate::config::text;

/// Adds the rules of an object to its schema.
pub(super) fn add(out: &mut Value, fields: &Fields, target: Target) {
    let mut all = Vec::new();
    for rule in fields.rules {
        if let Rule::Says = rule {
            out["minProperties"] = json!(1);
            continue;
        }
        match target {
            Target::Json => all.extend(schemas(rule, fields)),
            Target::Crd => {
                let row = |(rule, message): (String, String)| json!({ "rule": rule, "message": message });
                all.extend(expressions(rule, fields).into_iter().map(row));
            }
        }
    }
    if !all.is_empty() {
        let place = if target == Target::Json { "allOf" } else { "x-kubernetes-validations" };
        out[place] = Value::Array(all);
    }
}

/// The rule as schemas that all hold.
fn schemas(rule: &Rule, fields: &Fields) -> Vec<Value> {
    let required = |names: &[&str]| json!({ "required": names });
    match rule {
        Rule::Says => vec![],
        Rule::OneOf(names) => {
            vec![json!({ "oneOf": names.iter().map(|name| required(&[*name])).collect::<Vec<_>>() })]
        }
        Rule::AnyOf(groups) => vec![json!({ "anyOf": groups.iter().map(|names| required(names)).collect::<Vec<_>>() })],
        // Nothing is required of what is no object, so that the type must be said.
        Rule::NotBoth(one, other) => vec![json!({ "not": { "type": "object", "required": [one, other] } })],
        Rule::Beside(field, other) => vec![json!({ "dependentRequired": { *field: [other] } })],
        Rule::Only { key, fields: only } => only.iter().map(|row| only_schema(key, row, fields)).collect(),
        Rule::Needed { field, key, words } => vec![json!({
            "if": { "properties": { *key: { "enum": words } }, "required": [key] },
            "then": required(&[*field]),
        })],
        Rule::Pairs { key, field, table } => {
            let pair = |(word, value): &(&str, Option<&str>)| {
                let value = value.unwrap_or_default();
                let mut pair = json!({ "properties": { *key: { "const": word }, *field: { "const": value } } });
                if !value.is_empty() {
                    pair["required"] = json!([field]);
                }
                pair
            };
            vec![json!({ "anyOf": table.iter().map(pair).collect::<Vec<_>>() })]
        }
        Rule::Money { field, key, word } => vec![json!({
            "if": { "properties": { *key: { "const": word } } },
            "then": { "properties": { *field: walk::shape(Shape::Text(&text::USD), Target::Json) } },
            "else": { "properties": { *field: walk::shape(SIZE, Target::Json) } },
        })],
        Rule::Other { json, .. } => serde_json::from_str(json).into_iter().collect(),
    }
}

fn only_schema(key: &str, row: &Only, fields: &Fields) -> Value {
    let mut then = json!({ "properties": { key: { "enum": row.words } } });
    if !is_default(key, row.words, fields) {
        then["required"] = json!([key]);
    }
    json!({ "if": { "required": [row.field] }, "then": then })
}

/// The rule in CEL, each with what it says.
fn expressions(rule: &Rule, fields: &Fields) -> Vec<(String, String)> {
    let there = |name: &str| fields.row(name).is_some_and(|row| !row.file_only);
    match rule {
        Rule::Says => vec![],
        Rule::OneOf(names) => {
            let names: Vec<&str> = names.iter().copied().filter(|name| there(name)).collect();
            let each: Vec<String> = names.iter().map(|name| has(name)).collect();
            let rule = format!("[{}].exists_one(there, there)", each.join(", "));
            vec![(rule, format!("needs exactly one of {}", names.join(", ")))]
        }
        Rule::AnyOf(groups) => {
            let all = |names: &[&str], by: &str, show: fn(&str) -> String| -> String {
                names.iter().map(|name| show(name)).collect::<Vec<_>>().join(by)
            };
            let rule: Vec<String> = groups.iter().map(|names| format!("({})", all(names, " && ", has))).collect();
            let says: Vec<String> = groups.iter().map(|names| all(names, " and ", str::to_owned)).collect();
            vec![(rule.join(" || "), format!("needs {}", says.join(", or ")))]
        }
        Rule::NotBoth(one, other) => {
            vec![(format!("!({} && {})", has(one), has(other)), format!("say {one} or {other} and not both"))]
        }
        Rule::Beside(field, other) => {
            vec![(format!("!{} || {}", has(field), has(other)), format!("{field} is of use beside {other} only"))]
        }
        Rule::Only { key, fields: only } => {
            let row = |row: &Only| (only_expression(key, row, fields), format!("{}: {}", row.field, row.why));
            only.iter().map(row).collect()
        }
        Rule::Needed { field, key, words } => {
            let rule = format!("!({} in {}) || {}", of(key), listed(words), has(field));
            vec![(rule, format!("{field} is needed where {key} is {}", words.join(" or ")))]
        }
        Rule::Pairs { key, field, table } => {
            let pair = |(word, value): &(&str, Option<&str>)| match value.unwrap_or_default() {
                "" => format!("({} == '{word}' && (!{} || {} == ''))", of(key), has(field), of(field)),
                value => format!("({} == '{word}' && {} && {} == '{value}')", of(key), has(field), of(field)),
            };
            let rule: Vec<String> = table.iter().map(pair).collect();
            vec![(rule.join(" || "), format!("{field} and {key} do not belong together"))]
        }
        Rule::Money { field, key, word } => vec![(
            format!("{} != '{word}' || type({}) == string", of(key), of(field)),
            format!("a {field} of {word} is a decimal in quotes, or it would become a float"),
        )],
        Rule::Other { cel: "", .. } => vec![],
        Rule::Other { says, cel, .. } => vec![((*cel).to_owned(), (*says).to_owned())],
    }
}

fn only_expression(key: &str, row: &Only, fields: &Fields) -> String {
    let among = format!("{} in {}", of(key), listed(row.words));
    let among = match fields.row(key) {
        Some(field) if field.required => among,
        _ if is_default(key, row.words, fields) => format!("(!{} || {among})", has(key)),
        _ => format!("({} && {among})", has(key)),
    };
    format!("!{} || {among}", has(row.field))
}

/// Whether an absent field is one of these words.
fn is_default(key: &str, words: &[&str], fields: &Fields) -> bool {
    let default = fields.row(key).and_then(|row| row.default);
    matches!(default, Some(Default::Text(word)) if words.contains(&word))
}

fn has(name: &str) -> String {
    format!("has({})", of(name))
}

/// A field in CEL, where some names are words of the language.
fn of(name: &str) -> String {
    match name {
        "for" | "namespace" | "in" | "if" | "as" => format!("self.__{name}__"),
        name => format!("self.{name}"),
    }
}

fn listed(words: &[&str]) -> String {
    format!("['{}']", words.join("', '"))
}
