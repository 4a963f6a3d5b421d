//! `weir render --mesh envoy-gateway`: the resources of a Gateway whose proxies have Weir beside them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::{RenderError, Written};
use crate::config::{Bootstrap, Compiled, Listen, SocketAccess, Source};
use crate::identity::Role;
use crate::render::gateway::version::{Names, Version};
use crate::render::gateway::{self, Mount, Plan, PlanError, Weir};
use crate::target::Upstream;

/// What only Envoy Gateway has.
#[derive(Debug, clap::Args)]
pub struct GatewayArgs {
    /// The version of Envoy Gateway: 1.5 to 1.9; without it the newest.
    #[arg(long, value_name = "X.Y")]
    gateway_version: Option<Version>,
    /// The class of the Gateway; without it `eg`.
    #[arg(long, value_name = "NAME")]
    gateway_class: Option<String>,
    /// Where the Gateway and its policies are; without it the root namespace.
    #[arg(long, value_name = "NAME")]
    gateway_namespace: Option<String>,
    /// Where Envoy Gateway runs its proxies, without it `envoy-gateway-system`: ConfigMap and Secrets are mounted
    /// there. With `deploy: GatewayNamespace` it is the Gateway's own.
    #[arg(long, value_name = "NAME")]
    proxy_namespace: Option<String>,
    /// The port of the Gateway; without it 80.
    #[arg(long, value_name = "PORT")]
    gateway_port: Option<u16>,
    /// How Envoy Gateway names listeners and route tables, without it `gateway`; `port` where its runtime flag
    /// XDSNameSchemeV2 is on.
    #[arg(long, value_enum)]
    xds_names: Option<XdsNames>,
    /// Weir's own image; without it `weir` in this version.
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
}

/// As the command line says it.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum XdsNames {
    Gateway,
    Port,
}

/// Why documents cannot be mounted into a gateway.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    #[error(
        "{file}: a secret is written into the document, and the documents become a ConfigMap; say \
         `secretRef: {{name: …, key: …}}`"
    )]
    WrittenSecret { file: String },
    #[error(
        "{file}: secret file {path} is not in Weir's container; say `secretRef: {{name: …, key: …}}`, which is mounted"
    )]
    SecretFile { file: String, path: String },
    #[error("WeirBootstrap: {0}")]
    Process(&'static str),
    #[error("backend {backend}: cannot read its CA {path}, which becomes a ConfigMap: {source}")]
    Ca { backend: String, path: String, source: std::io::Error },
    #[error("{file}: {message}")]
    Unread { file: String, message: String },
    #[error(transparent)]
    Plan(#[from] PlanError),
}

/// What the documents say of secrets, wherever they say it.
#[derive(Debug, Default)]
struct Named {
    mounts: BTreeSet<Mount>,
    environment: bool,
    has_process: bool,
}

/// The process where no document describes it.
const PROCESS: &str = "\
# The process beside Envoy. Only these two mount the directory of the socket, which is what `Mount` declares.
apiVersion: weir.dev/v1alpha1
kind: WeirBootstrap
metadata: {name: process}
spec:
  role: Gateway
  listen:
    extProc: \"unix:/run/weir/extproc.sock\"
    socketAccess: Mount
    adminSocket: \"unix:/run/weir-admin/admin.sock\"
    metrics: \"0.0.0.0:9090\"
";
const PROCESS_FILE: &str = "weir-process.yaml";
const SOCKET: &str = "/run/weir/extproc.sock";
const ADMIN_SOCKET: &str = "/run/weir-admin/admin.sock";
const METRICS_PORT: u16 = 9090;
const IMAGE: &str = concat!("weir:", env!("CARGO_PKG_VERSION"));

/// Fields below which a secret may be.
const SECRET_PLACES: &[&str] = &["credentials", "stores"];

/// The resources.
pub(super) fn render(
    args: &GatewayArgs,
    source: &Source,
    root: &str,
    compiled: &Compiled,
    out: Option<&Path>,
) -> Result<Written, RenderError> {
    let named = Named::of(source, root)?;
    let mut documents = source.files.clone();
    let default = (PathBuf::from(SOCKET), PathBuf::from(ADMIN_SOCKET), METRICS_PORT);
    let (socket, admin_socket, metrics_port) = if named.has_process {
        sockets(&compiled.bootstrap)?
    } else {
        documents.push((PROCESS_FILE.to_owned(), PROCESS.to_owned()));
        default
    };
    let upstreams = with_certificates(&compiled.policy.upstreams)?;
    let mounts: Vec<Mount> = named.mounts.into_iter().collect();
    let plan = Plan {
        namespace: args.gateway_namespace.as_deref().unwrap_or(root),
        proxy_namespace: args.proxy_namespace.as_deref().unwrap_or("envoy-gateway-system"),
        gateway_class: args.gateway_class.as_deref().unwrap_or("eg"),
        version: args.gateway_version.unwrap_or(Version::LATEST),
        names: match args.xds_names {
            Some(XdsNames::Port) => Names::Port,
            Some(XdsNames::Gateway) | None => Names::Gateway,
        },
        port: args.gateway_port.unwrap_or(80),
        max_request: compiled.policy.profile.bodies.max_request as u64,
        upstreams: &upstreams,
        weir: Weir {
            image: args.image.as_deref().unwrap_or(IMAGE),
            documents: &documents,
            root_namespace: root,
            socket: &socket,
            admin_socket: &admin_socket,
            metrics_port,
            secrets: &mounts,
            environment: named.environment,
            drain_seconds: compiled.bootstrap.drain_timeout.as_secs(),
        },
    };
    Ok(match out {
        Some(_) => Written::Files(gateway::files(&plan).map_err(GatewayError::from)?),
        None => Written::Text(gateway::whole(&plan).map_err(GatewayError::from)?),
    })
}

/// What of a WeirBootstrap the pod is made after.
fn sockets(process: &Bootstrap) -> Result<(PathBuf, PathBuf, u16), GatewayError> {
    let listen = &process.listen;
    let Listen::Unix(socket) = &listen.ext_proc else {
        return Err(GatewayError::Process("spec.listen.extProc: Envoy is in the same pod; say a Unix socket"));
    };
    if process.role != Role::Gateway {
        return Err(GatewayError::Process("spec.role: a gateway serves other workloads; say Gateway"));
    }
    if listen.socket_access != SocketAccess::Mount {
        return Err(GatewayError::Process(
            "spec.listen.socketAccess: the socket's directory is a volume that Envoy and Weir alone mount; say Mount",
        ));
    }
    if socket.parent() == listen.admin_socket.parent() {
        return Err(GatewayError::Process(
            "spec.listen.adminSocket: Envoy mounts the directory of extProc; give the admin socket another one",
        ));
    }
    Ok((socket.clone(), listen.admin_socket.clone(), listen.metrics.port))
}

/// The backends with the certificates of their CAs in the place of files.
fn with_certificates(upstreams: &[Upstream]) -> Result<Vec<Upstream>, GatewayError> {
    let of = |upstream: &Upstream| {
        let mut upstream = upstream.clone();
        if let Some(path) = upstream.ca.as_deref().filter(|ca| !ca.contains("-----BEGIN")) {
            let read = std::fs::read_to_string(path).map_err(|source| GatewayError::Ca {
                backend: upstream.name.to_string(),
                path: path.to_owned(),
                source,
            })?;
            upstream.ca = Some(Arc::from(read));
        }
        Ok(upstream)
    };
    upstreams.iter().map(of).collect()
}

// === impl GatewayArgs ===

impl GatewayArgs {
    /// An option that was given and that no other mesh has.
    pub(super) fn given(&self) -> Option<&'static str> {
        let all = [
            (self.gateway_version.is_some(), "--gateway-version"),
            (self.gateway_class.is_some(), "--gateway-class"),
            (self.gateway_namespace.is_some(), "--gateway-namespace"),
            (self.proxy_namespace.is_some(), "--proxy-namespace"),
            (self.gateway_port.is_some(), "--gateway-port"),
            (self.xds_names.is_some(), "--xds-names"),
            (self.image.is_some(), "--image"),
        ];
        all.iter().find(|(is_given, _)| *is_given).map(|(_, name)| *name)
    }
}

// === impl Named ===

impl Named {
    /// Looks through documents that are known to be valid.
    fn of(source: &Source, root: &str) -> Result<Self, GatewayError> {
        let mut named = Named::default();
        for (file, text) in &source.files {
            let unread =
                |error: serde_saphyr::Error| GatewayError::Unread { file: file.clone(), message: error.to_string() };
            for document in serde_saphyr::from_multiple::<Value>(text).map_err(unread)? {
                named.has_process |= document["kind"] == "WeirBootstrap";
                let namespace = document["metadata"]["namespace"].as_str().filter(|namespace| *namespace != root);
                named.document(file, namespace, &document["spec"])?;
            }
        }
        Ok(named)
    }

    /// Finds the fields below which a secret may be.
    fn document(&mut self, file: &str, namespace: Option<&str>, value: &Value) -> Result<(), GatewayError> {
        match value {
            Value::Object(fields) => fields.iter().try_for_each(|(name, value)| {
                if SECRET_PLACES.contains(&name.as_str()) {
                    self.secrets(file, namespace, value)
                } else {
                    self.document(file, namespace, value)
                }
            }),
            Value::Array(items) => items.iter().try_for_each(|item| self.document(file, namespace, item)),
            _ => Ok(()),
        }
    }

    fn secrets(&mut self, file: &str, namespace: Option<&str>, value: &Value) -> Result<(), GatewayError> {
        let file_name = || file.to_owned();
        match value {
            Value::Object(fields) => fields.iter().try_for_each(|(field, value)| match (&**field, value) {
                ("value", Value::String(_)) => Err(GatewayError::WrittenSecret { file: file_name() }),
                ("file", Value::String(path)) => {
                    Err(GatewayError::SecretFile { file: file_name(), path: path.clone() })
                }
                ("env", Value::String(_)) => {
                    self.environment = true;
                    Ok(())
                }
                ("secretRef", reference) => {
                    if let Some(name) = reference["name"].as_str() {
                        let namespace = namespace.map(str::to_owned);
                        self.mounts.insert(Mount { namespace, name: name.to_owned() });
                    }
                    Ok(())
                }
                (_, value) => self.secrets(file, namespace, value),
            }),
            Value::Array(items) => items.iter().try_for_each(|item| self.secrets(file, namespace, item)),
            _ => Ok(()),
        }
    }
}
