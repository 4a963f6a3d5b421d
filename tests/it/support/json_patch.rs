//! EnvoyPatchPolicy as Envoy Gateway applies it: a JSON path finds places, `path` goes on from there, and `add`
//! makes what is missing on the way. Of the path language only what Weir's resources use.

use serde_json::{Map, Value, json};

/// Applies a policy to resources by type and name. Panics where Envoy Gateway would say that a patch is wrong.
pub fn apply(policy: &Value, resource: impl Fn(&str, &str) -> Option<usize>, resources: &mut [Value]) {
    for patch in policy["spec"]["jsonPatches"].as_array().expect("patches") {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (kind, name) = (text(&patch["type"]), text(&patch["name"]));
        let at = resource(&kind, &name).unwrap_or_else(|| panic!("there is no {kind} {name}"));
        let operation = &patch["operation"];
        assert_eq!(operation["op"], "add", "{operation}");
        let path = text(&operation["path"]);
        let pointers = match operation["jsonPath"].as_str() {
            Some(json_path) => {
                found(&resources[at], json_path).into_iter().map(|found| joined(&found, &path)).collect()
            }
            None => vec![path],
        };
        assert!(!pointers.is_empty(), "{operation} finds nothing in {name}");
        for pointer in pointers {
            add(&mut resources[at], &pointer, operation["value"].clone());
        }
    }
}

fn joined(pointer: &str, path: &str) -> String {
    if path.is_empty() { pointer.to_owned() } else { format!("{pointer}/{}", path.trim_start_matches('/')) }
}

/// Sets a member, or a list's item by index; what is missing on the way becomes an object.
fn add(document: &mut Value, pointer: &str, value: Value) {
    let mut place = document;
    for key in pointer.split('/').skip(1) {
        let key = key.replace("~1", "/").replace("~0", "~");
        place = match place {
            Value::Array(items) => {
                let index: usize = key.parse().unwrap_or_else(|_| panic!("{pointer}: {key} is no index"));
                &mut items[index]
            }
            Value::Null => {
                *place = Value::Object(Map::new());
                &mut place[key]
            }
            place => &mut place[key],
        };
    }
    *place = value;
}

/// The pointers of what a JSON path finds: `..NAME`, `.NAME`, `[*]` and `[?(@.NAME == 'TEXT')]`.
pub fn found(document: &Value, path: &str) -> Vec<String> {
    let mut places = vec![String::new()];
    let mut rest = path.trim_start_matches('$');
    while !rest.is_empty() {
        let here = |place: &str| document.pointer(place).expect("a place that was found");
        let next = |rest: &str| rest.find(['.', '[']).unwrap_or(rest.len());
        if let Some(after) = rest.strip_prefix("[*]") {
            places = places.iter().flat_map(|place| items(place, here(place))).collect();
            rest = after;
        } else if let Some(after) = rest.strip_prefix("[?(@.") {
            let (condition, after) = after.split_once("')]").unwrap_or_else(|| panic!("{path}"));
            let (name, wanted) = condition.split_once(" == '").unwrap_or_else(|| panic!("{path}"));
            let all: Vec<String> = places.iter().flat_map(|place| items(place, here(place))).collect();
            places = all.into_iter().filter(|place| here(place)[name] == *wanted).collect();
            rest = after;
        } else if let Some(after) = rest.strip_prefix("..") {
            let name = &after[..next(after)];
            let mut all = Vec::new();
            places.iter().for_each(|place| descend(place, here(place), name, &mut all));
            places = all;
            rest = &after[name.len()..];
        } else {
            let after = rest.strip_prefix('.').unwrap_or_else(|| panic!("{path}: {rest:?} is not of the language"));
            let name = &after[..next(after)];
            let has = |place: &&String| here(place).get(name).is_some();
            places = places.iter().filter(has).map(|place| child(place, name)).collect();
            rest = &after[name.len()..];
        }
    }
    places
}

fn items(place: &str, value: &Value) -> Vec<String> {
    (0..value.as_array().map_or(0, Vec::len)).map(|index| format!("{place}/{index}")).collect()
}

fn child(place: &str, name: &str) -> String {
    format!("{place}/{}", name.replace('~', "~0").replace('/', "~1"))
}

fn descend(place: &str, value: &Value, name: &str, all: &mut Vec<String>) {
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                let at = child(place, key);
                if key == name {
                    all.push(at.clone());
                }
                descend(&at, value, name, all);
            }
        }
        Value::Array(list) => {
            for (index, value) in list.iter().enumerate() {
                descend(&format!("{place}/{index}"), value, name, all);
            }
        }
        _ => {}
    }
}

mod tests {
    use super::*;

    #[test]
    fn paths_find_what_they_say_and_add_makes_what_is_missing() {
        let mut document = json!({"a": {"list": [{"name": "x", "b": {}}, {"name": "y/z"}]}, "list": []});
        for (path, pointers) in [
            ("..list[*]", &["/a/list/0", "/a/list/1"][..]),
            ("..list[*].b", &["/a/list/0/b"]),
            ("..list[?(@.name == 'y/z')]", &["/a/list/1"]),
            ("$.a.list[?(@.name == 'none')]", &[]),
            ("..c", &[]),
        ] {
            assert_eq!(found(&document, path), pointers, "{path}");
        }
        add(&mut document, "/a/list/1/new/deep", json!(1));
        assert_eq!(document["a"]["list"][1]["new"]["deep"], 1);
    }
}
