//! A plan as Istio resources: what makes the proxies of a mesh send LLM calls through Weir, beside the workload or in
//! an egress gateway. Pure; equal plans give equal bytes. Nothing here was run on a control plane: the tests apply
//! the patches to a configuration of Istio's shape by the rules that its documentation gives, and run that.

mod failover;
mod patch;
mod service;
mod site;
#[cfg(test)]
mod tests;
mod traffic;
pub mod version;

use std::net::Ipv4Addr;
use std::time::Duration;

use serde_json::{Value, json};

use super::envoy::ExtProc;
use super::yaml::{File, YamlError, yaml};
use crate::target::{Chain, Upstream};
use failover::Attempts;
pub use failover::NoAttempts;
use site::{Site, sites};
use version::Version;

/// Everything that the resources depend on.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    pub version: Version,
    pub form: Form,
    /// The host that applications call.
    pub host: &'a str,
    /// The address that the mesh's DNS gives for it. Nothing answers there.
    pub address: Ipv4Addr,
    /// Where the resources are; none for where they are applied.
    pub namespace: Option<&'a str>,
    /// The label, and its value, of the pods whose proxies are changed.
    pub selector: (&'a str, &'a str),
    /// The gateway's Service, as a full name. The sidecar form has none.
    pub gateway: &'a str,
    pub extproc: ExtProc<'a>,
    /// The longest request body that Weir holds, in bytes.
    pub max_request: u64,
    /// The longest that Weir itself lets a request wait.
    pub max_wait: Duration,
    pub upstreams: &'a [Upstream],
    /// The orders in which one call may visit several of them.
    pub chains: &'a [Chain],
    /// Backends that some rule has another one for: only they may be ejected whole.
    pub replaceable: &'a [&'a str],
}

/// Where Weir is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// In the pods of the workloads that call.
    Sidecar,
    /// In the pods of one gateway, which workloads reach by mutual TLS.
    EgressGateway,
}

/// Why there is nothing to apply.
#[derive(Debug, thiserror::Error)]
pub enum IstioError {
    #[error(
        "backend {backend}: http://{host}:{port} is a Service of the cluster, which a sidecar reaches for Weir on port 80 \
         only; give the Service a port 80 with `targetPort: {port}` and leave the port out of the endpoint, or use \
         --form egress-gateway"
    )]
    ServicePort { backend: String, host: String, port: u16 },
    #[error("backend {backend}: https://{host} is a Service of the cluster; say http, the mesh encrypts the way to it")]
    ServiceTls { backend: String, host: String },
    #[error("--host {host}: that is where backend {backend} is; applications need a host of their own")]
    OwnHost { backend: String, host: String },
    #[error(transparent)]
    Yaml(#[from] YamlError),
}

/// One file before it is written: its name, what it is for, and its resources.
struct Page {
    name: &'static str,
    what: String,
    resources: Vec<Value>,
}

/// The file that tells the order.
const README: &str = "00-README.md";

/// The files, in the order in which they are applied. The first one says so.
///
/// # Errors
/// A backend that the form cannot reach; what cannot be written as YAML.
pub fn files(plan: &Plan) -> Result<Vec<File>, IstioError> {
    let (readme, pages) = rendered(plan)?;
    let mut files = vec![File { name: README.into(), text: readme }];
    for page in &pages {
        files.push(File { name: page.name.into(), text: text(page)? });
    }
    Ok(files)
}

/// The same as one stream.
///
/// # Errors
/// As [`files`].
pub fn stream(plan: &Plan) -> Result<String, IstioError> {
    let (readme, pages) = rendered(plan)?;
    let mut stream: String = readme.lines().map(|line| format!("# {line}").trim_end().to_owned() + "\n").collect();
    for page in &pages {
        stream += &format!("---\n{}", text(page)?);
    }
    Ok(stream)
}

/// Why one call cannot be tried at several backends, where the documents want it.
///
/// # Errors
/// A backend that the form cannot reach.
pub fn no_attempts(plan: &Plan) -> Result<Option<NoAttempts>, IstioError> {
    Ok(Attempts::of(plan, &sites(plan)?).err())
}

/// The page that tells the order, and the others in it.
fn rendered(plan: &Plan) -> Result<(String, Vec<Page>), IstioError> {
    let sites = sites(plan)?;
    let (attempts, why) = match Attempts::of(plan, &sites) {
        Ok(attempts) => (attempts, None),
        Err(why) => (Attempts::default(), Some(why)),
    };
    let pages = pages(plan, &sites, &attempts);
    Ok((readme(plan, &pages, why), pages))
}

fn pages<'a>(plan: &Plan<'a>, sites: &[Site<'a>], attempts: &Attempts) -> Vec<Page> {
    let page = |name, what: &str, resources| Page { name, what: what.to_owned(), resources };
    let mut pages = vec![
        page("10-service-entries.yaml", service::ENTRIES, service::entries(plan, sites, attempts)),
        page("20-destination-rules.yaml", service::RULES, service::rules(plan, sites, attempts)),
        page("40-envoy-filter.yaml", patch::WHAT, vec![patch::filter(plan, sites)]),
        page("50-virtual-services.yaml", traffic::SERVICES, traffic::services(plan, sites, attempts)),
    ];
    if !attempts.is_empty() {
        pages.push(page("55-failover.yaml", failover::WHAT, vec![failover::filter(plan, sites, attempts)]));
    }
    if plan.form == Form::EgressGateway {
        pages.insert(2, page("30-gateway.yaml", traffic::GATEWAY, vec![traffic::gateway(plan)]));
        pages.push(page("60-to-the-gateway.yaml", traffic::TO_GATEWAY, traffic::to_gateway(plan)));
    }
    pages.retain(|page| !page.resources.is_empty());
    pages
}

fn text(page: &Page) -> Result<String, IstioError> {
    let mut text: String = page.what.lines().map(|line| format!("# {line}\n")).collect();
    for (at, resource) in page.resources.iter().enumerate() {
        if at > 0 {
            text += "---\n";
        }
        text += &yaml(resource)?;
    }
    Ok(text)
}

fn readme(plan: &Plan, pages: &[Page], no_attempts: Option<NoAttempts>) -> String {
    let Plan { version, host, selector: (key, value), .. } = plan;
    let (form, pods) = match plan.form {
        Form::Sidecar => ("beside each workload", "the pods of the workloads that call"),
        Form::EgressGateway => ("in an egress gateway", "the pods of the gateway"),
    };
    let names: String = pages.iter().map(|page| format!("    kubectl apply -f {}\n", page.name)).collect();
    let bodies =
        if version.retries_long_bodies() { "" } else { "\nThis Envoy does not try a body of more than 1 MiB again.\n" };
    let attempts = no_attempts.map_or_else(String::new, |why| {
        format!("\nNo call is tried at several backends, though rules say `failover: PerAttempt`:\n{why}.\nThey choose before the call, as with `PerRequest`.\n")
    });
    format!(
        "Weir {form}, for Istio {version} (Envoy {envoy})\n\n\
         Applications call `http://{host}/v1`. The patches are for pods with the label `{key}: \"{value}\"`:\n\
         {pods}.\n\n\
         To add, the mesh first, in this order, then Weir's own documents:\n\n{names}\n\
         To remove a backend, Weir's documents first, then these; to remove all of it, these in the opposite order,\n\
         then Weir.\n{bodies}{attempts}\n\
         After an upgrade of Istio render anew with its version: patches name what Istio generates.\n",
        envoy = version.envoy(),
    )
}

// === impl Plan ===

impl Plan<'_> {
    /// A resource of Istio's networking API.
    fn resource(&self, version: &str, kind: &str, name: &str, spec: Value) -> Value {
        let mut metadata = json!({"name": name});
        if let Some(namespace) = self.namespace {
            metadata["namespace"] = json!(namespace);
        }
        json!({
            "apiVersion": format!("networking.istio.io/{version}"),
            "kind": kind,
            "metadata": metadata,
            "spec": spec,
        })
    }
}

impl Site<'_> {
    /// The value is also the name of Envoy's route, which the patches find it by.
    fn route_name(backend: &str) -> String {
        format!("weir-{backend}")
    }
}
