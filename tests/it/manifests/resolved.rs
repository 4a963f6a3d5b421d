//! The kustomizations of this repository as they are resolved: by our own reader, and as kustomize itself has
//! resolved them, which is kept in `tests/golden/kustomize`. Where one changes, write it anew by
//! `kubectl kustomize DIRECTORY > tests/golden/kustomize/NAME.yaml`.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::kustomize;

/// Names of what is kept, and the directories of which it was made.
const KEPT: &[(&str, &str)] = &[
    ("gateway", "mesh/kustomize/gateway"),
    ("gateway-istio", "mesh/kustomize/gateway-istio"),
    ("close-443", "mesh/kustomize/close-443"),
    ("injected", "tests/golden/kustomize/injected"),
    ("envoy-gateway", "tests/golden/kustomize/envoy-gateway"),
    ("example-sidecar", "examples/egress-gateway/sidecar"),
    ("example-gateway", "examples/egress-gateway/gateway"),
];

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The documents of one of [`KEPT`].
pub fn resolved(name: &str) -> Vec<Value> {
    let (_, directory) = KEPT.iter().find(|(kept, _)| *kept == name).expect("a row of the table");
    kustomize::build(&root().join(directory))
}

/// All of them, with the names of the rows.
pub fn all() -> Vec<(&'static str, Vec<Value>)> {
    KEPT.iter().map(|(name, _)| (*name, resolved(name))).collect()
}

/// The documents of this kind.
pub fn of_kind<'a>(documents: &'a [Value], kind: &str) -> Vec<&'a Value> {
    documents.iter().filter(|document| document["kind"] == kind).collect()
}

/// The one document of this kind.
pub fn the<'a>(documents: &'a [Value], kind: &str) -> &'a Value {
    let found = of_kind(documents, kind);
    assert_eq!(found.len(), 1, "{kind}: {found:#?}");
    found[0]
}

fn sorted(mut documents: Vec<Value>) -> Vec<Value> {
    let key = |document: &Value| format!("{} {}", document["kind"], document["metadata"]["name"]);
    documents.sort_by_key(key);
    documents
}

/// Envoy's configuration has a test of its own, and changes with the renderer: it is left out, and so is the hash of
/// a ConfigMap that holds it.
fn without_envoys(documents: Vec<Value>) -> Vec<Value> {
    let is_made = |document: &Value| document["data"]["envoy.yaml"].is_string();
    let name = documents.iter().find(|document| is_made(document)).map(|made| made["metadata"]["name"].clone());
    let Some(name) = name.as_ref().and_then(Value::as_str) else { return documents };
    let strip = |mut document: Value| {
        if is_made(&document) {
            document["data"]["envoy.yaml"] = Value::Null;
        }
        serde_json::from_str(&document.to_string().replace(name, "weir-gateway-HASH")).expect("JSON")
    };
    documents.iter().cloned().map(strip).collect()
}

#[test]
fn our_reader_makes_what_kustomize_made() {
    for (name, directory) in KEPT {
        let path = root().join(format!("tests/golden/kustomize/{name}.yaml"));
        let kept = std::fs::read_to_string(path).expect("what kustomize made");
        let (ours, theirs) = (without_envoys(resolved(name)), without_envoys(kustomize::documents(&kept)));
        assert_eq!(ours.len(), theirs.len(), "{name}: documents of {directory}");
        for (ours, theirs) in sorted(ours).iter().zip(&sorted(theirs)) {
            let what = format!("{} {}", ours["kind"], ours["metadata"]["name"]);
            assert!(ours == theirs, "{name}: {what} of {directory} is not what kustomize made of it: {ours:#}");
        }
    }
}

#[test]
fn every_kustomization_is_resolved_here() {
    let is_component = |path: &Path| std::fs::read_to_string(path).is_ok_and(|text| text.contains("kind: Component"));
    let mut found = Vec::new();
    for folder in std::fs::read_dir(root().join("mesh/kustomize")).expect("a folder") {
        let path = folder.expect("an entry").path();
        if !is_component(&path.join("kustomization.yaml")) {
            found.push(format!("mesh/kustomize/{}", path.file_name().and_then(|name| name.to_str()).expect("text")));
        }
    }
    found.sort();
    assert_eq!(found, ["mesh/kustomize/close-443", "mesh/kustomize/gateway", "mesh/kustomize/gateway-istio"]);
    assert!(found.iter().all(|folder| KEPT.iter().any(|(_, directory)| directory == folder)), "{found:?}");
}
