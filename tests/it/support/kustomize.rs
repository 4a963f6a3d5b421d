//! Resolves a kustomization as `kubectl kustomize` does, for what the ones of this repository use: resources,
//! components, ConfigMaps made of files, patches of both kinds, namespace and images. Whatever else one says is a
//! panic, so nothing is read half. Kustomize's own output of each is kept in `tests/golden/kustomize`.

use std::path::Path;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// The documents of this directory's kustomization, resolved.
pub fn build(directory: &Path) -> Vec<Value> {
    let mut made = Made::default();
    accumulate(directory, &mut made);
    for (name, hashed) in made.hashed() {
        made.rename(&name, &hashed);
    }
    made.documents
}

/// All documents of a YAML text.
pub fn documents(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).unwrap_or_else(|error| panic!("{error}:\n{text}"))
}

/// What has been put together so far.
#[derive(Default)]
struct Made {
    documents: Vec<Value>,
    /// Names of ConfigMaps that are to have a suffix.
    suffixed: Vec<String>,
}

/// What a kustomization may say here.
const KNOWN: &[&str] =
    &["apiVersion", "kind", "namespace", "resources", "components", "configMapGenerator", "patches", "images"];

/// Kinds that kustomize knows: lists in them are merged by keys. In others a list replaces a list.
const KNOWN_GROUPS: &[&str] = &["", "apps", "batch", "autoscaling", "policy", "networking.k8s.io"];

/// By which field the items of a list are told apart.
const KEYS: &[(&str, &str)] = &[
    ("initContainers", "name"),
    ("containers", "name"),
    ("volumes", "name"),
    ("env", "name"),
    ("volumeMounts", "mountPath"),
    ("ports", "containerPort"),
];

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn list<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value[field].as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

/// Adds what the kustomization of a directory says to `made`.
fn accumulate(directory: &Path, made: &mut Made) {
    let file = directory.join("kustomization.yaml");
    let kustomization = documents(&read(&file)).remove(0);
    for field in kustomization.as_object().expect("a kustomization").keys() {
        assert!(KNOWN.contains(&field.as_str()), "{}: nobody here reads {field:?}", file.display());
    }
    for resource in list(&kustomization, "resources") {
        let path = directory.join(text(resource));
        match path.is_dir() {
            true => accumulate(&path, made),
            false => made.documents.extend(documents(&read(&path))),
        }
    }
    for component in list(&kustomization, "components") {
        accumulate(&directory.join(text(component)), made);
    }
    for generator in list(&kustomization, "configMapGenerator") {
        made.generate(directory, generator);
    }
    for patch in list(&kustomization, "patches") {
        made.patch(directory, patch);
    }
    if let Some(namespace) = kustomization["namespace"].as_str() {
        made.documents.iter_mut().for_each(|document| document["metadata"]["namespace"] = json!(namespace));
    }
    for image in list(&kustomization, "images") {
        made.documents.iter_mut().for_each(|document| rename_image(document, image));
    }
}

/// The containers of both kinds of a pod, wherever in a document it is.
fn rename_image(value: &mut Value, image: &Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields.iter_mut() {
                let is_it = name == "image" && *field == image["name"];
                if is_it {
                    *field = json!(format!("{}:{}", text(&image["newName"]), text(&image["newTag"])));
                } else {
                    rename_image(field, image);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rename_image(item, image)),
        _ => {}
    }
}

// === impl Made ===

impl Made {
    fn generate(&mut self, directory: &Path, generator: &Value) {
        let name = text(&generator["name"]);
        let mut data = Map::new();
        for file in list(generator, "files") {
            let path = directory.join(text(file));
            let key = path.file_name().and_then(|name| name.to_str()).expect("a file's name").to_owned();
            data.insert(key, json!(read(&path)));
        }
        match generator["behavior"].as_str().unwrap_or("create") {
            "create" => {
                let made = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data});
                self.documents.push(made);
            }
            "replace" => {
                let is_it = |made: &&mut Value| made["kind"] == "ConfigMap" && made["metadata"]["name"] == name;
                let found = self.documents.iter_mut().find(is_it);
                found.unwrap_or_else(|| panic!("no ConfigMap {name} to replace"))["data"] = Value::Object(data);
            }
            other => panic!("nobody here knows the behavior {other}"),
        }
        self.suffixed.retain(|suffixed| suffixed != name);
        if generator["options"]["disableNameSuffixHash"] != true {
            self.suffixed.push(name.to_owned());
        }
    }

    fn patch(&mut self, directory: &Path, patch: &Value) {
        let change = match patch["path"].as_str() {
            Some(path) => read(&directory.join(path)),
            None => text(&patch["patch"]).to_owned(),
        };
        let change = documents(&change).remove(0);
        let mut found = 0;
        for document in self.documents.iter_mut().filter(|document| is_target(document, patch, &change)) {
            found += 1;
            match &change {
                Value::Array(steps) => steps.iter().for_each(|step| apply(document, step)),
                _ => {
                    let mut change = change.clone();
                    for kept in ["apiVersion", "kind", "metadata"] {
                        change.as_object_mut().expect("a document").remove(kept);
                    }
                    let group = group(document).to_owned();
                    merge(document, change, KNOWN_GROUPS.contains(&group.as_str()));
                }
            }
        }
        assert!(found > 0 || !patch["target"]["labelSelector"].is_null(), "{patch} changes nothing");
    }

    /// The names that get a suffix, and with it.
    fn hashed(&self) -> Vec<(String, String)> {
        let hashed = |name: &String| {
            let is_it = |made: &&Value| made["kind"] == "ConfigMap" && made["metadata"]["name"] == **name;
            let made = self.documents.iter().find(is_it).expect("it was made");
            (name.clone(), format!("{name}-{}", suffix(&made["data"])))
        };
        self.suffixed.iter().map(hashed).collect()
    }

    /// Names a ConfigMap anew, and wherever pods mount it.
    fn rename(&mut self, from: &str, to: &str) {
        for document in &mut self.documents {
            if document["kind"] == "ConfigMap" && document["metadata"]["name"] == from {
                document["metadata"]["name"] = json!(to);
            }
            let volumes = document.pointer_mut("/spec/template/spec/volumes").and_then(Value::as_array_mut);
            for volume in volumes.into_iter().flatten() {
                if volume["configMap"]["name"] == from {
                    volume["configMap"]["name"] = json!(to);
                }
            }
        }
    }
}

/// The end of a generated name: ten digits of a hash, without those that could make words.
fn suffix(data: &Value) -> String {
    let mut sorted: Vec<_> = data.as_object().expect("data").iter().collect();
    sorted.sort_by_key(|(key, _)| key.as_str());
    let sorted: Map<String, Value> = sorted.into_iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    // As Go writes JSON. The name has no part in it.
    let written = json!({"data": sorted, "kind": "ConfigMap", "name": ""})
        .to_string()
        .replace('&', "\\u0026")
        .replace('<', "\\u003c")
        .replace('>', "\\u003e");
    let digits: String = Sha256::digest(written.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    let other = |digit| match digit {
        '0' => 'g',
        '1' => 'h',
        '3' => 'k',
        'a' => 'm',
        'e' => 't',
        digit => digit,
    };
    digits.chars().take(10).map(other).collect()
}

fn group(document: &Value) -> &str {
    text(&document["apiVersion"]).split_once('/').map_or("", |(group, _)| group)
}

fn is_target(document: &Value, patch: &Value, change: &Value) -> bool {
    let target = &patch["target"];
    let metadata = &document["metadata"];
    if target.is_null() {
        return document["kind"] == change["kind"] && metadata["name"] == change["metadata"]["name"];
    }
    let kinds = target["kind"].as_str().map(|kinds| kinds.split('|').collect::<Vec<_>>());
    let labelled = target["labelSelector"].as_str().map(|label| label.split_once('=').expect("label=value"));
    kinds.is_none_or(|kinds| kinds.contains(&text(&document["kind"])))
        && target["group"].as_str().is_none_or(|wanted| wanted == group(document))
        && target["name"].as_str().is_none_or(|name| metadata["name"] == name)
        && labelled.is_none_or(|(label, value)| metadata["labels"][label] == value)
}

/// A step of a JSON patch (RFC 6902).
fn apply(document: &mut Value, step: &Value) {
    let (at, last) = text(&step["path"]).rsplit_once('/').expect("a path");
    let place = document.pointer_mut(at).unwrap_or_else(|| panic!("{step}: there is no {at}"));
    let last = last.replace("~1", "/").replace("~0", "~");
    let value = step["value"].clone();
    match (text(&step["op"]), place) {
        ("replace", place) => {
            let place = match place {
                Value::Array(items) => items.get_mut(last.parse::<usize>().expect("an index")),
                place => place.get_mut(&last),
            };
            *place.unwrap_or_else(|| panic!("{step}: nothing is there")) = value;
        }
        ("add", Value::Array(items)) if last == "-" => items.push(value),
        ("add", Value::Array(items)) => items.insert(last.parse().expect("an index"), value),
        ("add", Value::Object(fields)) => _ = fields.insert(last, value),
        ("remove", Value::Array(items)) => _ = items.remove(last.parse().expect("an index")),
        ("remove", Value::Object(fields)) => _ = fields.remove(&last).unwrap_or_else(|| panic!("{step}: nothing")),
        (op, place) => panic!("nobody here knows how to {op} in {place}"),
    }
}

/// A strategic merge; where `by_key` does not hold, lists are replaced.
fn merge(into: &mut Value, change: Value, by_key: bool) {
    let Value::Object(fields) = change else {
        *into = change;
        return;
    };
    if !into.is_object() {
        *into = json!({});
    }
    for (name, value) in fields {
        let place = &mut into[&name];
        let key = KEYS.iter().find(|(list, _)| *list == name).map(|(_, key)| *key).filter(|_| by_key);
        match (key, value) {
            (Some(key), Value::Array(items)) => merge_items(place, items, key),
            (_, Value::Null) => _ = into.as_object_mut().expect("an object").remove(&name),
            (_, value) => merge(place, value, by_key),
        }
    }
}

/// What is new comes before what was there.
fn merge_items(into: &mut Value, items: Vec<Value>, key: &str) {
    let before = into.as_array().cloned().unwrap_or_default();
    let mut changed = before.clone();
    let mut new = Vec::new();
    for mut item in items {
        let at = changed.iter().position(|old| old[key] == item[key]);
        let directive = item.as_object_mut().expect("an item").remove("$patch");
        match (at, directive.as_ref().and_then(Value::as_str)) {
            (Some(at), Some("delete")) => _ = changed.remove(at),
            (Some(at), None) => merge(&mut changed[at], item, true),
            (None, None) => new.push(item),
            (_, directive) => panic!("{item}: nobody here knows what to {directive:?}"),
        }
    }
    new.extend(changed);
    *into = Value::Array(new);
}

#[test]
fn what_nobody_reads_is_no_kustomization() {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("kustomization.yaml"), "namePrefix: a-\n").expect("a file");
    let built = std::panic::catch_unwind(|| build(directory.path()));
    assert!(built.is_err());
}

#[test]
fn patches_change_what_they_name() {
    let mut document = json!({"spec": {"containers": [{"name": "a", "env": [{"name": "x", "value": "1"}]}], "n": 1}});
    let change = json!({"spec": {"containers": [
        {"name": "b"}, {"name": "a", "env": [{"name": "y"}], "image": "i"},
    ], "n": null}});
    merge(&mut document, change, true);
    assert_eq!(
        document,
        json!({"spec": {"containers": [{"name": "b"}, {"name": "a", "env": [{"name": "y"}, {"name": "x", "value": "1"}], "image": "i"}]}})
    );
    apply(&mut document, &json!({"op": "remove", "path": "/spec/containers/0"}));
    apply(&mut document, &json!({"op": "add", "path": "/spec/containers/-", "value": {"name": "c"}}));
    apply(&mut document, &json!({"op": "replace", "path": "/spec/containers/1/name", "value": "d"}));
    assert_eq!(document["spec"]["containers"][1], json!({"name": "d"}));
}
