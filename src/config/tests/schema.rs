//! The rows of the configuration, the schemas that are made of them, and the reader: what each says of
//! the same documents.

mod agree;
mod crd;
mod forms;
mod right;
mod server;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::super::read::{Errors, Gravity, Reader};
use super::super::shape::{Field, Fields, Shape};
use super::super::spec::{At, Document, KINDS, Kind};
use super::super::yaml::{self, Node};
use super::super::yaml11;

/// The kinds that there are.
fn kinds() -> impl Iterator<Item = Kind> {
    KINDS.iter().filter_map(|(_, kind)| *kind)
}

/// Every row below these, with the path to it.
fn rows(fields: &'static Fields, path: &str, found: &mut Vec<(String, &'static Field)>) {
    for row in fields.rows {
        let path = format!("{path}.{}", row.name);
        found.push((path.clone(), row));
        below(row.shape, &path, found);
    }
}

fn below(shape: Shape, path: &str, found: &mut Vec<(String, &'static Field)>) {
    match shape {
        Shape::Object(fields) | Shape::WordOr(_, fields) => rows(fields, path, found),
        Shape::List { item, .. } => below(*item, &format!("{path}[]"), found),
        Shape::Map { value, .. } => below(*value, &format!("{path}[]"), found),
        Shape::Text(_) | Shape::Whole { .. } | Shape::Amount | Shape::Word(_) | Shape::Json => {}
    }
}

/// Every row of every kind.
fn every_row() -> Vec<(String, &'static Field)> {
    let mut found = Vec::new();
    for kind in kinds() {
        rows(kind.fields(), kind.as_str(), &mut found);
    }
    found
}

/// Every document below these folders and files, each with the file that it is in.
fn documents(places: &[&str]) -> Vec<(String, Node)> {
    fn files(path: PathBuf, found: &mut Vec<PathBuf>) {
        if path.is_dir() {
            let mut inside: Vec<PathBuf> =
                std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
            inside.sort();
            inside.into_iter().for_each(|path| files(path, found));
        } else if path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
            found.push(path);
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    places.iter().for_each(|place| files(root.join(place), &mut found));
    let named = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.strip_prefix(root).unwrap().display().to_string();
        yaml::chunks(&text)
            .into_iter()
            .filter_map(|chunk| Some((name.clone(), yaml::parse(chunk).ok()??)))
            .collect::<Vec<_>>()
    };
    found.into_iter().flat_map(named).collect()
}

/// What the reader says of a document by itself: errors with their paths, and the document if there is none.
fn read(node: &Node) -> (Vec<(String, String)>, Option<Document>) {
    let errors = Errors::default();
    let at = At { file: Arc::from("weir.yaml"), document: 1 };
    let document = Document::read(&Reader::root(node, &errors), at, "weir-system");
    let found = errors.into_inner().into_iter().filter(|found| found.gravity == Gravity::Error);
    (found.map(|found| (found.path, found.message)).collect(), document)
}

/// The value as JSON; none where a key stands twice or is no text, which no schema is shown.
fn json(node: &Node) -> Option<Value> {
    Some(match node {
        Node::Null => Value::Null,
        Node::Bool(value) => Value::Bool(*value),
        Node::Int(number) => Value::from(i64::try_from(*number).ok()?),
        Node::Float(number) => serde_json::Number::from_f64(*number).map(Value::Number)?,
        Node::Text(text) => Value::String(text.clone()),
        Node::List(items) => Value::Array(items.iter().map(json).collect::<Option<_>>()?),
        Node::Map(entries) => {
            let mut map = serde_json::Map::new();
            for (key, value) in entries {
                let Node::Text(key) = key else { return None };
                if map.insert(key.clone(), json(value)?).is_some() {
                    return None;
                }
            }
            Value::Object(map)
        }
    })
}

fn kind_of(node: &Node) -> Option<&str> {
    let Node::Map(entries) = node else { return None };
    entries.iter().find_map(|(key, value)| match (key, value) {
        (Node::Text(key), Node::Text(kind)) if key == "kind" => Some(kind.as_str()),
        _ => None,
    })
}

/// The schema of one kind, with what it refers to.
fn schema_of(kind: &str) -> Value {
    let mut schema: Value = serde_json::from_str(&crate::config::schema::json_schema().unwrap().text).unwrap();
    schema.as_object_mut().unwrap().shift_remove("oneOf");
    schema["$ref"] = Value::String(format!("#/$defs/{kind}"));
    schema
}

#[test]
fn every_field_says_what_it_is_for() {
    let found = every_row();
    assert!(found.len() > 300, "{}", found.len());
    for (path, row) in found {
        let is_sentence = row.doc.len() > 4 && row.doc.ends_with('.') && !row.doc.contains("  ");
        assert!(is_sentence, "{path}: {:?} is no sentence", row.doc);
    }
}

/// What the reader knows is what the schema knows: it asks the same rows, and each name but once.
#[test]
fn no_name_stands_twice() {
    fn check(fields: &Fields, path: &str) {
        let mut names: Vec<&str> = fields.rows.iter().map(|row| row.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), fields.rows.len(), "{path}");
        for row in fields.rows {
            let mut shape = row.shape;
            while let Shape::List { item, .. } = shape {
                shape = *item;
            }
            if let Shape::Object(fields) | Shape::WordOr(_, fields) = shape {
                check(fields, &format!("{path}.{}", row.name));
            }
        }
    }
    kinds().for_each(|kind| check(kind.fields(), kind.as_str()));
}

/// Every name and word that YAML 1.1 takes for a boolean is told of in the CRDs, and there are such.
#[test]
fn what_has_to_be_quoted_for_kubectl_is_told_where_it_stands() {
    let crds = super::super::schema::crds().unwrap();
    let crds: String = crds.iter().map(|file| file.text.replace("\\\"", "\"")).collect();
    let mut found = Vec::new();
    for (path, row) in every_row() {
        let words = match row.shape {
            Shape::Word(words) | Shape::WordOr(words, _) => words.words(),
            Shape::List { item: Shape::Word(words), .. } => words.words(),
            _ => Vec::new(),
        };
        let name = yaml11::boolean(row.name).map(|_| row.name);
        for word in name.into_iter().chain(words.into_iter().filter(|word| yaml11::boolean(word).is_some())) {
            let advice = yaml11::advice(row);
            assert!(advice.contains(&format!("{word:?}")), "{path}: {advice}");
            assert!(crds.contains(advice.trim()), "no CRD says {advice:?} of {path}");
            found.push(format!("{path} {word}"));
        }
    }
    assert_eq!(found.len(), 3, "{found:?}");
}

/// What such a tool has made of them is no mystery.
#[test]
fn a_word_that_became_a_boolean_is_told_with_the_word() {
    let said = |kind: &str, spec: &str| {
        let text = format!("apiVersion: weir.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: a}}\nspec: {spec}\n");
        let node = yaml::parse(yaml::chunks(&text)[0]).unwrap().unwrap();
        let errors = Errors::default();
        Document::read(&Reader::root(&node, &errors), At { file: "f".into(), document: 1 }, "weir-system");
        errors.into_inner().into_iter().map(|found| format!("{}: {}", found.path, found.message)).collect::<Vec<_>>()
    };
    assert_eq!(
        said("LLMProfile", "{explain: false}"),
        ["spec.explain: must be text, not a boolean: put it in quotes, \"Off\""]
    );
    for explain in ["Off", "\"Off\""] {
        assert!(said("LLMProfile", &format!("{{explain: {explain}}}")).is_empty());
    }
    let retry = |on: &str| {
        format!("{{rules: [{{name: r, backends: [{{name: b}}], retry: {{attempts: 1, {on}: [RateLimited]}}}}]}}")
    };
    assert!(said("LLMRoute", &retry("on")).is_empty());
    assert!(said("LLMRoute", &retry("\"on\"")).is_empty());
    let boolean = said("LLMRoute", &retry("true"));
    assert_eq!(boolean[0], "spec.rules[0].retry: a field name must be text, not a boolean: write \"on\"");
    let text = said("LLMRoute", &retry("\"true\""));
    let expected = "spec.rules[0].retry.true: unknown field; was it \"on\"? YAML 1.1 reads a boolean: quote it there";
    assert_eq!(text[0], expected);
}
