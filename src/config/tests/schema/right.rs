//! Documents against the JSON Schema: it takes every one that is right, and refuses those that are wrong
//! in a way that a schema can say.

use std::collections::{BTreeMap, BTreeSet};

use jsonschema::Validator;

use super::*;

/// Files of `tests/bad-config` in which the schema finds nothing, and why.
const BEYOND: &[(&str, &[&str])] = &[
    (
        "the same thing in two documents",
        &[
            "bootstrap-twice",
            "names-twice",
            "namespace-names-twice",
            "profile-twice",
            "space-key-twice",
            "space-profile-twice",
        ],
    ),
    ("what the URLs of one store have in common", &["bootstrap-store-kinds"]),
    (
        "documents that do not go together",
        &[
            "cache-embedder-elsewhere",
            "limit-fleet-without-store",
            "profile-ignores-with-a-key",
            "profile-ignores-with-one-key-of-two",
        ],
    ),
    (
        "what a namespace refers to",
        &[
            "namespace-allowed-to-root-alone",
            "namespace-cache-embedder",
            "namespace-consumer-of-another",
            "namespace-limit-downgrade",
            "namespace-of-another",
            "namespace-passthrough-not-admitted",
            "namespace-policy-targets",
            "namespace-route-not-admitted",
        ],
    ),
    (
        "what a namespace may say",
        &[
            "namespace-bootstrap",
            "space-consumer-elsewhere",
            "space-key-of-the-process",
            "space-profile-bodies",
            "space-profile-headers",
            "space-profile-headers-default",
            "space-profile-process",
            "space-profile-sources",
            "space-profile-tags",
            "space-profile-words",
        ],
    ),
    // An editor says by itself what is no YAML; what an alias or a tag stands for is not asked for.
    ("no YAML that the reader takes", &["yaml-alias", "yaml-secret-as-tag", "yaml-tab", "yaml-tag"]),
];

fn validators() -> BTreeMap<&'static str, Validator> {
    let of = |kind: Kind| (kind.as_str(), jsonschema::draft202012::new(&schema_of(kind.as_str())).unwrap());
    kinds().map(of).collect()
}

/// Documents of Weir's: an example may show others beside them.
fn own(places: &[&str]) -> Vec<(String, Node)> {
    let own = |node: &Node| kind_of(node).is_some_and(|kind| kinds().any(|known| known.as_str() == kind));
    documents(places).into_iter().filter(|(_, node)| own(node)).collect()
}

/// Why the schema refuses a document; none if it does not.
fn refused(validators: &BTreeMap<&str, Validator>, node: &Node) -> Option<String> {
    let Some(value) = json(node) else { return Some("not JSON".to_owned()) };
    let Some(validator) = kind_of(node).and_then(|kind| validators.get(kind)) else {
        return Some("no kind".to_owned());
    };
    validator.iter_errors(&value).next().map(|error| format!("{}: {error}", error.instance_path()))
}

#[test]
fn the_whole_is_a_schema_and_chooses_by_kind() {
    let whole: Value = serde_json::from_str(&crate::config::schema::json_schema().unwrap().text).unwrap();
    assert!(jsonschema::draft202012::meta::is_valid(&whole));
    let validator = jsonschema::draft202012::new(&whole).unwrap();
    for (file, node) in own(&["examples", "tests/golden/config"]) {
        let errors: Vec<String> = validator.iter_errors(&json(&node).unwrap()).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{file}: {errors:?}");
    }
    let unknown = serde_json::json!({"apiVersion": "weir.dev/v1alpha1", "kind": "LLMBackends", "metadata": {"name": "a"}, "spec": {}});
    assert!(!validator.is_valid(&unknown));
}

#[test]
fn every_right_document_is_right_to_the_schema() {
    let validators = validators();
    let places =
        ["examples", "tests/golden/config", "src/config/tests/language.yaml", "src/config/tests/supported.yaml"];
    let found = own(&places);
    let kinds_seen: BTreeSet<&str> = found.iter().filter_map(|(_, node)| kind_of(node)).collect();
    assert_eq!(kinds_seen.len(), kinds().count());
    assert!(found.len() >= 50, "{}", found.len());
    for (file, node) in &found {
        assert_eq!(read(node).0, [], "{file}");
        assert_eq!(refused(&validators, node), None, "{file}");
    }
}

#[test]
fn what_the_schema_leaves_to_the_reader_is_known() {
    let validators = validators();
    let mut files: BTreeMap<String, bool> = BTreeMap::new();
    let mut place: Vec<String> = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad-config"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.ends_with(".errors"))
        .collect();
    place.sort();
    for name in place {
        let found = documents(&[&format!("tests/bad-config/{name}")]);
        let seen = found.iter().any(|(_, node)| refused(&validators, node).is_some());
        files.insert(name.trim_end_matches(".yaml").to_owned(), seen);
    }
    let left: BTreeSet<&str> = files.iter().filter(|(_, seen)| !**seen).map(|(name, _)| name.as_str()).collect();
    let listed: BTreeSet<&str> = BEYOND.iter().flat_map(|(_, names)| *names).copied().collect();
    assert_eq!(left, listed, "BEYOND says which files the schema finds nothing in, and why");
    assert!(files.len() >= 60 && left.len() * 2 < files.len(), "{} of {}", left.len(), files.len());
}
