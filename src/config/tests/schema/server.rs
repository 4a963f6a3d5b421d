//! As much of an API server as a CRD needs: unknown fields are dropped, defaults put in, the schema and
//! then the CEL rules applied.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use cel::{Context, Env, Program};
use jsonschema::Validator;

use super::*;

/// The functions of CEL.
static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

/// What one kind is admitted by.
pub struct Admission {
    schema: Value,
    validator: Validator,
    rules: HashMap<String, Program>,
}

/// The OpenAPI schema of each CRD, by kind.
pub fn schemas() -> BTreeMap<String, Value> {
    let crds = crate::config::schema::crds().unwrap();
    let of = |file: crate::config::schema::File| {
        let crd: Value = json(&yaml::parse(yaml::chunks(&file.text)[0]).unwrap().unwrap()).unwrap();
        let kind = crd["spec"]["names"]["kind"].as_str().unwrap().to_owned();
        (kind, crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone())
    };
    crds.into_iter().map(of).collect()
}

/// Every schema below this one, itself included, with its path.
pub fn nodes<'a>(schema: &'a Value, path: &str, see: &mut impl FnMut(&str, &'a Value)) {
    see(path, schema);
    if let Some(properties) = schema["properties"].as_object() {
        properties.iter().for_each(|(name, below)| nodes(below, &format!("{path}.{name}"), see));
    }
    for (key, mark) in [("items", "[]"), ("additionalProperties", "{}")] {
        if schema[key].is_object() {
            nodes(&schema[key], &format!("{path}{mark}"), see);
        }
    }
}

// === impl Admission ===

impl Admission {
    pub fn of(schema: &Value) -> Admission {
        let mut rules = HashMap::new();
        nodes(schema, "", &mut |path, node| {
            for rule in node["x-kubernetes-validations"].as_array().into_iter().flatten() {
                let text = rule["rule"].as_str().unwrap();
                let program = Program::compile(text).unwrap_or_else(|error| panic!("{path}: {text}: {error}"));
                rules.insert(text.to_owned(), program);
            }
        });
        let mut plain = schema.clone();
        typed(&mut plain);
        Admission { schema: schema.clone(), validator: jsonschema::draft202012::new(&plain).unwrap(), rules }
    }

    /// Why the document is refused.
    pub fn refuses(&self, document: &Value) -> Vec<String> {
        let mut document = document.clone();
        prepare(&self.schema, &mut document);
        let mut found: Vec<String> =
            self.validator.iter_errors(&document).map(|error| format!("{}: {error}", error.instance_path())).collect();
        // Rules are looked at only where the types are right.
        if found.is_empty() {
            self.judge(&self.schema, &document, "", &mut found);
        }
        found
    }

    fn judge(&self, schema: &Value, value: &Value, path: &str, found: &mut Vec<String>) {
        for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
            let text = rule["rule"].as_str().unwrap();
            let mut context = Context::with_env(Arc::clone(&ENV));
            context.add_variable("self", value.clone()).unwrap();
            match self.rules[text].execute(&context) {
                Ok(cel::Value::Bool(true)) => {}
                Ok(cel::Value::Bool(false)) => found.push(format!("{path}: {}", rule["message"])),
                other => panic!("{path}: {text}: {other:?} of {value}"),
            }
        }
        match value {
            Value::Object(entries) => {
                for (name, value) in entries {
                    let below = [&schema["properties"][name], &schema["additionalProperties"]];
                    if let Some(below) = below.into_iter().find(|below| below.is_object()) {
                        self.judge(below, value, &format!("{path}.{name}"), found);
                    }
                }
            }
            Value::Array(items) => {
                let key = schema["x-kubernetes-list-map-keys"][0].as_str();
                let is_set = schema["x-kubernetes-list-type"] == "set";
                for (at, item) in items.iter().enumerate() {
                    let same =
                        |other: &Value| key.is_some_and(|key| other[key] == item[key]) || is_set && other == item;
                    if items[..at].iter().any(same) {
                        found.push(format!("{path}[{at}]: Duplicate value"));
                    }
                    self.judge(&schema["items"], item, &format!("{path}[{at}]"), found);
                }
            }
            _ => {}
        }
    }
}

/// Says the types that `x-kubernetes-int-or-string` stands for.
fn typed(schema: &mut Value) {
    if schema["x-kubernetes-int-or-string"] == Value::Bool(true) {
        schema["type"] = serde_json::json!(["integer", "string"]);
    }
    match schema {
        Value::Object(entries) => entries.values_mut().for_each(typed),
        Value::Array(items) => items.iter_mut().for_each(typed),
        _ => {}
    }
}

/// Drops what the schema does not know and puts in what it says of what is absent.
fn prepare(schema: &Value, value: &mut Value) {
    if schema["x-kubernetes-preserve-unknown-fields"] == Value::Bool(true) {
        return;
    }
    match value {
        Value::Object(entries) if schema["additionalProperties"].is_object() => {
            entries.values_mut().for_each(|value| prepare(&schema["additionalProperties"], value));
        }
        // The server looks after the metadata by itself.
        Value::Object(entries) if schema["properties"].is_object() => {
            let known = schema["properties"].as_object().unwrap();
            entries.retain(|name, _| known.contains_key(name));
            for (name, below) in known {
                match entries.get_mut(name) {
                    Some(_) if name == "metadata" => {}
                    Some(value) => prepare(below, value),
                    None if below.get("default").is_some() => {
                        drop(entries.insert(name.clone(), below["default"].clone()))
                    }
                    None => {}
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| prepare(&schema["items"], item)),
        _ => {}
    }
}
