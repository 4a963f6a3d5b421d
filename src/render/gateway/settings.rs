//! The documents as a ConfigMap, which Weir alone mounts. Pure.

use serde_json::{Map, Value, json};

use super::{Plan, PlanError, labels, name};

pub(super) const NAME: &str = "weir-documents";

/// The most that a ConfigMap holds, less what is around it.
pub(super) const MOST: usize = (1 << 20) - 4096;

pub(super) fn config_map(plan: &Plan) -> Result<Value, PlanError> {
    let size = plan.weir.documents.iter().map(|(path, text)| path.len() + text.len()).sum();
    if size > MOST {
        return Err(PlanError::TooMuch(size));
    }
    let mut data = Map::new();
    for (path, text) in plan.weir.documents {
        let key = name::file(path);
        if data.insert(key.clone(), json!(text)).is_some() {
            return Err(PlanError::SameFile(key));
        }
    }
    Ok(json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": NAME, "namespace": plan.proxy_namespace, "labels": labels()},
        "data": data,
    }))
}
