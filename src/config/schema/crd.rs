//! One CustomResourceDefinition (`apiextensions.k8s.io/v1`).

use serde_json::{Value, json};

use super::kinds::{BACKEND_NAME, Resource, Row};
use super::walk::{self, Target};
use crate::config::spec::{GROUP, Kind};

/// The version, without the group.
const VERSION: &str = "v1alpha1";

/// What the API server is told of a kind.
pub(super) fn resource(row: &Row, resource: &Resource) -> Value {
    let kind = row.kind.as_str();
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": super::full_name(resource.plural) },
        "spec": {
            "group": GROUP,
            "names": {
                "kind": kind,
                "listKind": format!("{kind}List"),
                "plural": resource.plural,
                "singular": kind.to_lowercase(),
                "shortNames": [resource.short],
                "categories": ["weir"],
            },
            "scope": "Namespaced",
            "versions": [{
                "name": VERSION,
                "served": true,
                "storage": true,
                "subresources": { "status": {} },
                "additionalPrinterColumns": columns(resource),
                "schema": { "openAPIV3Schema": schema(row) },
            }],
        },
    })
}

fn schema(row: &Row) -> Value {
    let mut meta = json!({ "type": "object" });
    if row.kind == Kind::LlmBackend {
        meta["properties"] = json!({ "name": walk::shape(BACKEND_NAME, Target::Crd) });
    }
    json!({
        "description": row.doc,
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": { "type": "string" },
            "kind": { "type": "string" },
            "metadata": meta,
            "spec": walk::object(row.kind.fields(), Target::Crd),
            "status": status(),
        },
    })
}

fn columns(resource: &Resource) -> Vec<Value> {
    const ACCEPTED: &str = r#".status.conditions[?(@.type=="Accepted")]"#;
    let own = resource.columns.iter().map(|(name, path)| json!({ "name": name, "type": "string", "jsonPath": path }));
    let common = [
        json!({ "name": "Accepted", "type": "string", "jsonPath": format!("{ACCEPTED}.status") }),
        json!({ "name": "Reason", "type": "string", "priority": 1, "jsonPath": format!("{ACCEPTED}.reason") }),
        json!({ "name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp" }),
    ];
    own.chain(common).collect()
}

/// Conditions as all of Kubernetes has them.
fn status() -> Value {
    let text = |most: u32, doc: &str| json!({ "description": doc, "type": "string", "maxLength": most });
    let mut kind = text(316, "What is said: Accepted, Conflicted.");
    kind["pattern"] = json!(
        "^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$"
    );
    let mut reason = text(1024, "Why, in one word.");
    reason["pattern"] = json!("^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$");
    reason["minLength"] = json!(1);
    json!({
        "description": "What Weir made of it.",
        "type": "object",
        "properties": {
            "observedGeneration": whole("The generation that this is about."),
            "conditions": {
                "description": "What holds of it.",
                "type": "array",
                "maxItems": 16,
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["type"],
                "items": {
                    "type": "object",
                    "required": ["type", "status", "lastTransitionTime", "reason", "message"],
                    "properties": {
                        "type": kind,
                        "status": { "description": "Whether it holds.", "type": "string", "enum": ["True", "False", "Unknown"] },
                        "observedGeneration": whole("The generation that this was said of."),
                        "lastTransitionTime": { "description": "Since when.", "type": "string", "format": "date-time" },
                        "reason": reason,
                        "message": text(32_768, "Why, for people."),
                    },
                },
            },
        },
    })
}

fn whole(doc: &str) -> Value {
    json!({ "description": doc, "type": "integer", "format": "int64", "minimum": 0 })
}
