//! What a mesh's control plane does with Istio resources, as far as ours need it: from resources to the configuration
//! of one Envoy, and patches applied to that. Written from Istio's documentation and from what its generated
//! configuration looks like; no code of it is here.

pub mod kinds;
mod patches;
mod pilot;

use serde_json::Value;

pub use patches::patched;
pub use pilot::{Site, base};

/// What one proxy is, for the control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proxy {
    /// A sidecar's outbound side, port 80.
    Sidecar,
    /// A gateway.
    Gateway,
}

/// All resources of a stream of YAML documents.
pub fn resources(text: &str) -> Vec<Value> {
    let read = |document: &str| serde_saphyr::from_str(document).unwrap_or_else(|error| panic!("{error}\n{document}"));
    let all = text.split("---\n").map(read);
    all.filter(|resource: &Value| !resource.is_null()).collect()
}

/// The resources of this kind.
pub fn of_kind<'a>(resources: &'a [Value], kind: &str) -> Vec<&'a Value> {
    resources.iter().filter(|resource| resource["kind"] == kind).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}
