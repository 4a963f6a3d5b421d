//! The resources that attach Weir to Envoy Gateway: a Gateway of its own whose proxies have Weir beside
//! them, a route a backend, and patches for what Envoy Gateway has no field for. Pure; equal plans give
//! equal bytes.
//!
//! ```text
//! version   what a version of Envoy Gateway can be told, and how it names what it makes
//! name      names of backends -> names of resources
//! proxy     EnvoyProxy                     the pod: Envoy, and Weir in a container beside it
//! entry     Gateway, ClientTrafficPolicy   where calls come in; without a backend they go nowhere
//! process   Backend, EnvoyExtensionPolicy  where Envoy asks Weir
//! patch     EnvoyPatchPolicy               what no field says
//! provider  Backend, BackendTLSPolicy, HTTPRoute, BackendTrafficPolicy
//! settings  ConfigMap                      the documents, for Weir alone
//! ```

mod entry;
pub mod name;
mod patch;
mod process;
mod provider;
mod proxy;
mod settings;
pub mod version;

use std::path::Path;

use serde_json::{Value, json};

use self::version::{Names, Version};
use super::yaml::{File, YamlError, yaml_of_texts};
use crate::target::Upstream;

/// Everything that is to be said to one Envoy Gateway.
#[derive(Clone, Debug)]
pub struct Plan<'a> {
    /// Where the Gateway and all that belongs to it is.
    pub namespace: &'a str,
    /// Where Envoy Gateway runs its proxies, and so where what their pods mount must be.
    pub proxy_namespace: &'a str,
    pub gateway_class: &'a str,
    pub version: Version,
    pub names: Names,
    /// The port of the Gateway's one listener.
    pub port: u16,
    /// The longest request body that Weir holds, in bytes.
    pub max_request: u64,
    /// Each `ca` is the certificate itself.
    pub upstreams: &'a [Upstream],
    pub weir: Weir<'a>,
}

/// Weir's own container.
#[derive(Clone, Debug)]
pub struct Weir<'a> {
    pub image: &'a str,
    /// Documents as they are mounted: name and text. None holds a secret.
    pub documents: &'a [(String, String)],
    pub root_namespace: &'a str,
    /// In a directory that holds nothing else: it is mounted into Envoy's container as well.
    pub socket: &'a Path,
    /// In another directory.
    pub admin_socket: &'a Path,
    pub metrics_port: u16,
    /// The Secrets that the documents name, each once, in order.
    pub secrets: &'a [Mount],
    /// Variables that the documents name: they come from one Secret.
    pub environment: bool,
    pub drain_seconds: u64,
}

/// A Secret that Weir alone mounts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mount {
    /// None for root.
    pub namespace: Option<String>,
    pub name: String,
}

/// What cannot be said to Envoy Gateway.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    #[error(
        "backend {0}: its endpoint is https at an IP address, and a BackendTLSPolicy checks names alone; say \
         `tls: {{serverName: …}}`, or an endpoint with a name"
    )]
    AddressWithoutName(String),
    #[error(
        "backend {0}: Envoy Gateway takes a DNS name in lower case with a dot in it, and {1:?} is none; a Service is \
         reached as NAME.NAMESPACE.svc"
    )]
    NotAName(String, String),
    #[error(
        "backend {0}: its endpoint is a loopback address, which Envoy Gateway refuses: the gateway's pods have nothing \
         there; say where the server is"
    )]
    Loopback(String),
    #[error("the documents are {0} bytes, and a ConfigMap holds at most {most}", most = settings::MOST)]
    TooMuch(usize),
    #[error("two documents would both be {0} in the ConfigMap; give the files names that differ")]
    SameFile(String),
    #[error(transparent)]
    Yaml(#[from] YamlError),
}

/// The name of the Gateway, its proxies and its policies.
pub const NAME: &str = "weir";
/// The Secret whose keys are Weir's environment variables.
pub const ENVIRONMENT: &str = "weir-environment";

const GATEWAY_API: &str = "gateway.networking.k8s.io";
const GROUP: &str = "gateway.envoyproxy.io";
const VERSION: &str = "gateway.envoyproxy.io/v1alpha1";

/// One file: its name, what it is for, and what is in it.
struct Part {
    name: &'static str,
    head: String,
    resources: Vec<Value>,
}

/// The files in the order in which they are applied.
///
/// # Errors
/// What cannot be said to Envoy Gateway.
pub fn files(plan: &Plan) -> Result<Vec<File>, PlanError> {
    parts(plan)?.into_iter().map(|part| Ok(File { name: part.name.into(), text: part.text()? })).collect()
}

/// All of them as one stream of documents, for `kubectl apply -f -`.
///
/// # Errors
/// As [`files`].
pub fn whole(plan: &Plan) -> Result<String, PlanError> {
    let texts: Result<Vec<String>, YamlError> = parts(plan)?.iter().map(Part::text).collect();
    Ok(texts?.join("---\n"))
}

fn parts(plan: &Plan) -> Result<Vec<Part>, PlanError> {
    let settings = settings::config_map(plan)?;
    let minor = plan.version;
    let order = "Files are applied in the order of their names. What is added comes to the mesh first and to Weir last\n\
                 (60); what is removed goes from Weir first: apply 60 and wait until Weir has taken it, then delete\n\
                 the backend's resources of 50.";
    let part = |name, head: &str, resources| Part { name, head: head.to_owned(), resources };
    Ok(vec![
        Part {
            name: "10-proxy.yaml",
            head: format!(
                "The pods of the gateway, for Envoy Gateway {minor}: Envoy, and Weir in a container beside it. The socket\n\
                 between them is in a volume that these two alone mount; configuration and Secrets are mounted into\n\
                 Weir alone. They are looked for in {}, where Envoy Gateway runs its proxies.\n{order}",
                plan.proxy_namespace
            ),
            resources: vec![proxy::envoy_proxy(plan)],
        },
        part(
            "20-gateway.yaml",
            "Where applications call. Headers that only Weir may say are taken from clients before a route is chosen,\n\
             and a call for which no backend was chosen is answered 503 here: it goes nowhere.",
            entry::resources(plan),
        ),
        part(
            "30-process.yaml",
            "Envoy asks Weir about every call of the Gateway, and answers 503 where Weir does not.",
            process::resources(plan),
        ),
        part(
            "40-patches.yaml",
            "What Envoy Gateway has no field for. It must be told `extensionApis.enableEnvoyPatchPolicy: true`, and the\n\
             policy must say Programmed: see the page on Envoy Gateway for what is missing without it.",
            vec![patch::policy(plan)],
        ),
        part(
            "50-backends.yaml",
            "Where each backend is, and the one route that leads there: for calls that Weir has given its name.\n\
             Envoy Gateway must be told `extensionApis.enableBackend: true`.",
            provider::resources(plan)?,
        ),
        part(
            "60-documents.yaml",
            "Weir's own configuration. Pods take a new one within a minute or two and need no restart.",
            vec![settings],
        ),
    ])
}

/// A reference from a policy to the Gateway.
fn to_gateway() -> Value {
    json!({"group": GATEWAY_API, "kind": "Gateway", "name": NAME})
}

/// A reference from a route or a policy to a Backend of Envoy Gateway.
fn to_backend(name: &str) -> Value {
    json!({"group": GROUP, "kind": "Backend", "name": name})
}

fn resource(version: &str, kind: &str, namespace: &str, name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": version,
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace, "labels": labels()},
        "spec": spec,
    })
}

fn labels() -> Value {
    json!({"app.kubernetes.io/name": "weir", "app.kubernetes.io/managed-by": "weir-render"})
}

// === impl Part ===

impl Part {
    fn text(&self) -> Result<String, YamlError> {
        let head: String = self.head.lines().map(|line| format!("# {line}\n")).collect();
        let documents: Result<Vec<String>, YamlError> = self.resources.iter().map(yaml_of_texts).collect();
        Ok(head + &documents?.join("---\n"))
    }
}
