//! `weir render --mesh istio`: the resources that attach Weir to the proxies of an Istio mesh.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use super::{RenderError, Written};
use crate::cli::{Names, tell};
use crate::config::{Compiled, Listen, SocketAccess};
use crate::identity::Role;
use crate::policy::Policy;
use crate::render::envoy::ExtProc;
use crate::render::istio::version::Version;
use crate::render::istio::{self, Form, Plan};

/// What only Istio has.
#[derive(Debug, clap::Args)]
pub struct IstioArgs {
    /// The version of Istio, such as 1.30: what it generates, and what its proxy can, differ (`failover: PerAttempt` from
    /// 1.31, experimental).
    #[arg(long, value_name = "X.Y", required_if_eq("mesh", "istio"))]
    istio_version: Option<String>,
    /// Where Weir is: in the pods of the workloads, or in an egress gateway. Without it as `spec.role` says.
    #[arg(long, value_enum)]
    form: Option<FormArg>,
    /// The host that applications call.
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// The address that the mesh's DNS gives for that host. Nothing may answer there.
    #[arg(long, value_name = "IPV4")]
    address: Option<Ipv4Addr>,
    /// The label of the pods whose proxies are changed.
    #[arg(long, value_name = "KEY=VALUE")]
    selector: Option<String>,
    /// The gateway's Service, as a full name; without it `weir-egress` in the gateway's namespace.
    #[arg(long, value_name = "HOST")]
    gateway_service: Option<String>,
}

/// [`Form`] on the command line.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum FormArg {
    Sidecar,
    EgressGateway,
}

const HOST: &str = "llm.internal";

/// Of the range that is kept for the future (240.0.0.0/4), so that it is nobody's.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(240, 0, 0, 80);

const SIDECARS: &str = "weir.dev/inject=true";
const GATEWAYS: &str = "weir.dev/gateway=egress";

/// The resources in the form that was asked for.
pub(super) fn render(
    args: &IstioArgs,
    compiled: &Compiled,
    names: &Names,
    out: Option<&Path>,
) -> Result<Written, RenderError> {
    let Compiled { policy, bootstrap, .. } = compiled;
    let form = args.form(policy.role)?;
    let namespace = match form {
        Form::Sidecar => names.namespace.as_deref(),
        Form::EgressGateway => Some(names.namespace.as_deref().unwrap_or(&names.root_namespace)),
    };
    let selector = args.selector.as_deref().unwrap_or(if form == Form::Sidecar { SIDECARS } else { GATEWAYS });
    let gateway = match &args.gateway_service {
        Some(host) => host.clone(),
        None => format!("weir-egress.{}.svc.cluster.local", namespace.unwrap_or_default()),
    };
    let plan = Plan {
        version: Version::parse(args.istio_version.as_deref().unwrap_or_default())?,
        form,
        host: args.host.as_deref().unwrap_or(HOST),
        address: args.address.unwrap_or(ADDRESS),
        namespace,
        selector: label(selector).ok_or_else(|| RenderError::NotALabel(selector.to_owned()))?,
        gateway: &gateway,
        extproc: extproc(&bootstrap.listen.ext_proc, bootstrap.listen.socket_access)?,
        max_request: policy.profile.bodies.max_request as u64,
        max_wait: policy.max_wait,
        upstreams: &policy.upstreams,
        chains: &policy.chains,
        replaceable: &replaceable(policy),
    };
    match istio::no_attempts(&plan)? {
        Some(why) => super::tell_of_attempts(&why.to_string()),
        None if plan.chains.is_empty() => {}
        None => {
            tell("note: `failover: PerAttempt` is experimental on Istio: 55-failover.yaml and mesh/istio.md say how")
        }
    }
    Ok(match out {
        Some(_) => Written::Files(istio::files(&plan)?),
        None => Written::Text(istio::stream(&plan)?),
    })
}

// === impl IstioArgs ===

impl IstioArgs {
    /// An option that was given and that no other mesh has.
    pub(super) fn given(&self) -> Option<&'static str> {
        let IstioArgs { istio_version, form, host, address, selector, gateway_service } = self;
        let all = [
            (istio_version.is_some(), "--istio-version"),
            (form.is_some(), "--form"),
            (host.is_some(), "--host"),
            (address.is_some(), "--address"),
            (selector.is_some(), "--selector"),
            (gateway_service.is_some(), "--gateway-service"),
        ];
        all.iter().find(|(is_given, _)| *is_given).map(|(_, name)| *name)
    }

    /// Role and form are one thing: a sidecar's caller is its own pod, a gateway's is the peer.
    fn form(&self, role: Role) -> Result<Form, RenderError> {
        match (self.form, role) {
            (None | Some(FormArg::Sidecar), Role::Sidecar) => Ok(Form::Sidecar),
            (None | Some(FormArg::EgressGateway), Role::Gateway) => Ok(Form::EgressGateway),
            (Some(FormArg::Sidecar), Role::Gateway) => Err(RenderError::OtherRole { form: "sidecar", role: "Sidecar" }),
            (Some(FormArg::EgressGateway), Role::Sidecar) => {
                Err(RenderError::OtherRole { form: "egress-gateway", role: "Gateway" })
            }
        }
    }
}

/// `KEY=VALUE`, as Kubernetes takes labels: no more is checked than what would change the YAML's meaning.
fn label(text: &str) -> Option<(&str, &str)> {
    let is_plain = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c));
    text.split_once('=').filter(|(key, value)| !key.is_empty() && is_plain(key) && is_plain(value))
}

/// Weir is in the proxy's own pod.
fn extproc(listen: &Listen, access: SocketAccess) -> Result<ExtProc<'_>, RenderError> {
    match listen {
        Listen::Unix(path) if access == SocketAccess::Mount => Ok(ExtProc::Unix(path)),
        Listen::Unix(_) => Err(RenderError::NoMount),
        Listen::Tcp(address) => {
            let ip = address.host.trim_start_matches('[').trim_end_matches(']').parse().ok();
            ip.map(|ip| ExtProc::Tcp(SocketAddr::new(ip, address.port))).ok_or(RenderError::NotInPod)
        }
        Listen::Tls(..) => Err(RenderError::NotInPod),
    }
}

/// Backends that no rule names alone, and some rule names.
fn replaceable(policy: &Policy) -> Vec<&str> {
    let targets = &policy.targets;
    let alone = |index: usize| {
        let mut rules =
            targets.rules().filter(|rule| rule.choices.iter().any(|choice| choice.backend == index)).peekable();
        rules.peek().is_none() || rules.any(|rule| rule.choices.iter().all(|choice| choice.backend == index))
    };
    let backends = targets.backends.iter().enumerate();
    backends.filter(|(index, _)| !alone(*index)).map(|(_, backend)| &*backend.name).collect()
}
