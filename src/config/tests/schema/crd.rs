//! The CRDs against the rules of the API server: structural, bounded, and cheap enough.

use super::server::{Admission, nodes, schemas};
use super::*;

/// What a rule may cost, and all of a CRD's together (k8s.io/apiextensions-apiserver, `StaticEstimatedCostLimit`
/// and `StaticEstimatedCRDCostLimit`).
const RULE_COST: u64 = 10_000_000;
const CRD_COST: u64 = 100_000_000;

/// Keywords that a structural schema may have in the tree itself, and those allowed inside junctors, where
/// nothing may say what a value is.
const JUNCTORS: &[&str] = &["anyOf", "oneOf", "allOf", "not"];
const OUTSIDE_ONLY: &[&str] = &["type", "description", "default", "additionalProperties", "nullable"];
const KNOWN: &[&str] = &[
    "description",
    "type",
    "format",
    "default",
    "enum",
    "pattern",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "required",
    "properties",
    "items",
    "additionalProperties",
    "anyOf",
    "oneOf",
    "allOf",
    "not",
    "x-kubernetes-validations",
    "x-kubernetes-int-or-string",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
];

fn has(schema: &Value, key: &str) -> bool {
    schema[key] == Value::Bool(true)
}

/// The rules of structural schemas (KEP 2335), each node by itself.
fn structural(path: &str, schema: &Value, wrong: &mut Vec<String>) {
    let mut say = |what: String| wrong.push(format!("{path}: {what}"));
    let free = has(schema, "x-kubernetes-preserve-unknown-fields");
    let either = has(schema, "x-kubernetes-int-or-string");
    if !schema["type"].is_string() && !free && !either {
        say("has no type".to_owned());
    }
    if either && schema["type"].is_string() {
        say("an int-or-string has no type".to_owned());
    }
    for key in schema.as_object().unwrap().keys().filter(|key| !KNOWN.contains(&key.as_str())) {
        say(format!("{key} is no keyword of a CRD"));
    }
    if schema["properties"].is_object() && schema["additionalProperties"].is_object() {
        say("has properties and additionalProperties".to_owned());
    }
    for name in schema["required"].as_array().into_iter().flatten() {
        if !free && schema["properties"].get(name.as_str().unwrap()).is_none() {
            say(format!("requires {name}, which it does not have"));
        }
    }
    let of_server = matches!(path, ".apiVersion" | ".kind");
    match schema["type"].as_str() {
        Some("array") => {
            for key in ["items", "maxItems", "x-kubernetes-list-type"] {
                if schema.get(key).is_none() {
                    say(format!("a list without {key}"));
                }
            }
        }
        Some("string")
            if ["maxLength", "enum", "format"].iter().all(|bound| schema[*bound].is_null()) && !of_server =>
        {
            say("a text without a bound".to_owned());
        }
        Some("object") if schema["additionalProperties"].is_object() && schema["maxProperties"].is_null() => {
            say("a map without a bound".to_owned());
        }
        _ => {}
    }
    for junctor in JUNCTORS {
        let inside = match &schema[*junctor] {
            Value::Array(items) => items.iter().collect(),
            Value::Null => vec![],
            one => vec![one],
        };
        inside.into_iter().for_each(|inside| junctor_is_value_validation(inside, &mut say));
    }
    list_keys(schema, &mut say);
    if let Some(default) = schema.get("default") {
        let validator = jsonschema::draft202012::new(schema).unwrap();
        if !either && !validator.is_valid(default) {
            say(format!("its own default {default} is refused"));
        }
    }
}

fn junctor_is_value_validation(inside: &Value, say: &mut impl FnMut(String)) {
    let Value::Object(entries) = inside else { return say("a junctor without a schema".to_owned()) };
    for (key, value) in entries {
        if OUTSIDE_ONLY.contains(&key.as_str()) || key.starts_with("x-kubernetes-") {
            say(format!("{key} inside a junctor"));
        }
        if key == "properties" || key == "items" {
            say(format!("{key} inside a junctor: must stand outside too, which is not checked"));
        }
        if JUNCTORS.contains(&key.as_str()) && value.is_object() {
            junctor_is_value_validation(value, say);
        }
    }
}

/// A key is a required scalar; what a set holds is one, too.
fn list_keys(schema: &Value, say: &mut impl FnMut(String)) {
    let item = &schema["items"];
    let is_scalar = |schema: &Value| schema["type"] == "string" || schema["type"] == "integer";
    match schema["x-kubernetes-list-type"].as_str() {
        Some("map") => {
            for key in schema["x-kubernetes-list-map-keys"].as_array().unwrap() {
                let key = key.as_str().unwrap();
                let required = item["required"].as_array().is_some_and(|names| names.iter().any(|name| name == key));
                if !required || !is_scalar(&item["properties"][key]) {
                    say(format!("the key {key} is no required scalar"));
                }
            }
        }
        Some("set") if !is_scalar(item) => say("a set of what is no scalar".to_owned()),
        Some("set" | "atomic") | None => {}
        Some(other) => say(format!("the list type {other}")),
    }
}

#[test]
fn every_crd_is_structural_and_bounded() {
    let schemas = schemas();
    assert_eq!(schemas.len(), 8);
    assert!(!schemas.contains_key("WeirBootstrap"));
    let mut wrong = Vec::new();
    for (kind, schema) in &schemas {
        nodes(schema, "", &mut |path, node| {
            let mut found = Vec::new();
            structural(path, node, &mut found);
            wrong.extend(found.into_iter().map(|line| format!("{kind}{line}")));
        });
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The checker itself: each of these breaks one rule.
#[test]
fn what_is_not_structural_is_seen() {
    let text = r#"{"type": "string", "maxLength": 5"#;
    for (bad, says) in [
        (r#"{"description": "a"}"#.to_owned(), "has no type"),
        (r#"{"type": "array", "items": {}, "x-kubernetes-list-type": "atomic"}"#.to_owned(), "without maxItems"),
        (r#"{"type": "string"}"#.to_owned(), "without a bound"),
        (format!(r#"{text}, "anyOf": [{{"type": "string"}}]}}"#), "type inside a junctor"),
        (format!(r#"{text}, "not": {{"anyOf": [], "default": 1}}}}"#), "default inside a junctor"),
        (format!(r#"{text}, "examples": []}}"#), "examples is no keyword"),
        (format!(r#"{text}, "default": "longer than five"}}"#), "its own default"),
        (r#"{"type": "object", "required": ["a"]}"#.to_owned(), "requires \"a\""),
        (
            r#"{"type": "array", "maxItems": 1, "items": {"type": "object"}, "x-kubernetes-list-type": "set"}"#
                .to_owned(),
            "a set of what is no scalar",
        ),
    ] {
        let mut wrong = Vec::new();
        structural("", &serde_json::from_str(&bad).unwrap(), &mut wrong);
        assert!(wrong.iter().any(|line| line.contains(says)), "{bad}: {wrong:?}");
    }
}

#[test]
fn every_column_shows_what_there_is() {
    for file in crate::config::schema::crds().unwrap() {
        let crd = json(&yaml::parse(yaml::chunks(&file.text)[0]).unwrap().unwrap()).unwrap();
        let version = &crd["spec"]["versions"][0];
        let name = format!("{}.weir.dev", crd["spec"]["names"]["plural"].as_str().unwrap());
        assert_eq!(crd["metadata"]["name"], name.as_str());
        assert_eq!(file.name, format!("crds/{}", name.replace(".weir.dev", ".yaml")));
        for column in version["additionalPrinterColumns"].as_array().unwrap() {
            let path = column["jsonPath"].as_str().unwrap();
            let mut at = &version["schema"]["openAPIV3Schema"];
            for step in path.replace(r#"[?(@.type=="Accepted")]"#, "").split('.').skip(1) {
                if path.starts_with(".metadata") {
                    break;
                }
                at = &at["properties"][step];
                at = if at["type"] == "array" { &at["items"] } else { at };
            }
            assert!(at["type"] == "string" || path == ".metadata.creationTimestamp", "{name}: {path}");
        }
    }
}

/// An upper bound on what a rule costs: each of its words, as if it read the longest text at hand, once
/// for each combination of the lists that it goes over.
fn cost(rule: &str, node: &Value) -> u64 {
    let mut longest = 16;
    let mut loops = 1;
    nodes(node, "", &mut |path, below| {
        let field = path.rsplit('.').next().unwrap_or_default();
        let named = path.is_empty() || rule.contains(field.trim_end_matches("[]"));
        if let (true, Some(most)) = (named, below["maxLength"].as_u64()) {
            longest = longest.max(most * 4);
        }
        let goes_over = ["all", "exists", "filter"].iter().any(|way| rule.contains(&format!("{field}.{way}(")));
        if let (true, Some(most)) = (goes_over, below["maxItems"].as_u64()) {
            loops *= most;
        }
    });
    let words = rule.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).count() as u64;
    words * (1 + longest / 10) * loops
}

#[test]
fn every_rule_is_cheap_enough() {
    fn see(schema: &Value, path: &str, times: u64, total: &mut u64) {
        for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
            let cost = cost(rule["rule"].as_str().unwrap(), schema) * times;
            assert!(cost <= RULE_COST, "{path}: {} costs {cost}", rule["rule"]);
            assert!(rule["message"].as_str().is_some_and(|text| !text.is_empty()), "{path}");
            *total += cost;
        }
        for (name, below) in schema["properties"].as_object().into_iter().flatten() {
            see(below, &format!("{path}.{name}"), times, total);
        }
        if schema["items"].is_object() {
            see(&schema["items"], &format!("{path}[]"), times * schema["maxItems"].as_u64().unwrap(), total);
        }
        if schema["additionalProperties"].is_object() {
            see(&schema["additionalProperties"], path, times * schema["maxProperties"].as_u64().unwrap(), total);
        }
    }
    for (kind, schema) in schemas() {
        let mut total = 0;
        see(&schema, &kind, 1, &mut total);
        assert!(total <= CRD_COST, "{kind}: {total}");
    }
}

/// A secret that is written down does not get into the cluster's store, not even to be refused there.
#[test]
fn a_resource_names_a_secret_and_never_holds_one() {
    let schemas = schemas();
    nodes(&schemas["LLMBackend"], "", &mut |path, _| {
        let source =
            [".apiKey", ".secretAccessKey", ".accessKeyId", ".sessionToken", ".clientSecret", ".serviceAccountKey"];
        let held = source
            .iter()
            .any(|name| path.ends_with(&format!("{name}.value")) || path.ends_with(&format!("{name}.env")));
        assert!(!held, "{path}");
    });
    let admission = Admission::of(&schemas["LLMBackend"]);
    let with = |source: Value| {
        admission.refuses(&serde_json::json!({
            "apiVersion": "weir.dev/v1alpha1", "kind": "LLMBackend", "metadata": {"name": "a"},
            "spec": {"provider": "openai", "credentials": [{"type": "APIKey", "apiKey": source}]},
        }))
    };
    assert_eq!(with(serde_json::json!({"file": "/key"})), Vec::<String>::new());
    assert_eq!(with(serde_json::json!({"secretRef": {"name": "a", "key": "b"}})), Vec::<String>::new());
    for source in [serde_json::json!({"value": "CANARY"}), serde_json::json!({"env": "KEY"})] {
        let found = with(source);
        assert!(found[0].contains("needs exactly one of secretRef, file") && !found[0].contains("CANARY"), "{found:?}");
    }
}
