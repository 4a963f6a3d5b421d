//! `weir render`: the resources that attach Weir to a mesh, on stdout or as files, a file a mesh.
//! Nothing is connected to; the same documents give the same bytes.

mod envoy;
mod gateway;
mod istio;

use std::io;
use std::path::{Path, PathBuf};

use super::{Documents, print, read, tell};
use crate::app::{self, AppError};
use crate::config::{Compiled, Discovery, KeysAre, Listen, Options, Source};
use crate::render::istio::IstioError;
use crate::render::istio::version::UnknownVersion;
use crate::render::yaml::{File, YamlError};

/// `weir render` on the command line. What only one mesh has is in that mesh's own options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What the configuration is for.
    #[arg(long, value_enum)]
    mesh: Mesh,
    #[command(flatten)]
    documents: Documents,
    /// Write files into this directory instead of one stream on stdout. A plain Envoy must find them at the same
    /// place.
    #[arg(long, value_name = "DIR", conflicts_with = "patch")]
    out: Option<PathBuf>,
    #[command(flatten, next_help_heading = "Options of --mesh envoy")]
    envoy: envoy::EnvoyArgs,
    #[command(flatten, next_help_heading = "Options of --mesh istio")]
    istio: istio::IstioArgs,
    #[command(flatten, next_help_heading = "Options of --mesh envoy-gateway")]
    gateway: gateway::GatewayArgs,
}

/// Where Envoy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Mesh {
    /// A plain Envoy.
    Envoy,
    /// The proxies of an Istio mesh.
    Istio,
    /// A Gateway of Envoy Gateway.
    EnvoyGateway,
}

/// Why nothing was rendered.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    #[error(transparent)]
    App(#[from] AppError),
    #[error("{field}: {host:?} is a name; a rendered Envoy needs an IP address there")]
    NotAnAddress { field: &'static str, host: String },
    #[error(
        "spec.listen.tls: Weir listens with mutual TLS, so Envoy needs --client-certificate, --client-key, --weir-ca and \
         --weir-name"
    )]
    NoClientCertificate,
    #[error("--client-certificate: Weir listens without TLS; say `listen.tls`, or leave the option out")]
    NotNeeded,
    #[error("{option} is an option of --mesh {mesh}")]
    OtherMesh { option: &'static str, mesh: &'static str },
    #[error(transparent)]
    UnknownVersion(#[from] UnknownVersion),
    #[error("--form {form} needs `role: {role}` in the WeirBootstrap: where Weir is decides who its callers are")]
    OtherRole { form: &'static str, role: &'static str },
    #[error("--selector {0:?}: say KEY=VALUE, a label of the pods")]
    NotALabel(String),
    #[error(
        "spec.listen.socketAccess: Istio's proxy runs as another user than Weir; say `socketAccess: Mount`, and mount the \
         socket's directory into the proxy and Weir alone"
    )]
    NoMount,
    #[error(
        "spec.listen.extProc: in Istio Weir is in the proxy's own pod, where the proxy reaches it by `unix:PATH` or \
         `tcp:127.0.0.1:PORT`, without TLS"
    )]
    NotInPod,
    #[error(transparent)]
    Istio(#[from] IstioError),
    #[error(transparent)]
    Gateway(#[from] gateway::GatewayError),
    #[error(transparent)]
    Yaml(#[from] YamlError),
    #[error("cannot write {path}: {source}", path = path.display())]
    Write { path: PathBuf, source: io::Error },
}

/// What a mesh's resources are written to.
enum Written {
    /// One text on stdout.
    Text(String),
    /// Files of the directory that was asked for, written in this order.
    Files(Vec<File>),
}

/// Renders the documents.
///
/// # Errors
/// Every error of the documents; what the mesh's form cannot say; a file that cannot be written.
pub fn render(args: &Args) -> Result<(), RenderError> {
    let documents = &args.documents;
    let source = read(&documents.path)?;
    // No key is needed, and those who render may have none.
    let options = Options { keys: KeysAre::Described, ..documents.names.options(Discovery::Disabled) };
    let compiled = app::load(&source, &options)?;
    let out = args.out.as_deref().map(|out| std::path::absolute(out).map_err(|source| write_error(out, source)));
    let out = out.transpose()?;
    match resources(args, &source, &compiled, out.as_deref())? {
        Written::Text(text) => print(&text).map_err(|source| write_error(Path::new("stdout"), source)),
        Written::Files(files) => write(out.as_deref().unwrap_or(Path::new(".")), &files),
    }
}

fn resources(args: &Args, source: &Source, compiled: &Compiled, out: Option<&Path>) -> Result<Written, RenderError> {
    let given = [
        (Mesh::Envoy, args.envoy.given(), "envoy"),
        (Mesh::Istio, args.istio.given(), "istio"),
        (Mesh::EnvoyGateway, args.gateway.given(), "envoy-gateway"),
    ];
    let strange = given.into_iter().filter(|(mesh, ..)| *mesh != args.mesh);
    let strange = strange.filter_map(|(_, option, mesh)| Some((option?, mesh))).next();
    if let Some((option, mesh)) = strange {
        return Err(RenderError::OtherMesh { option, mesh });
    }
    let is_beside = matches!(compiled.bootstrap.listen.ext_proc, Listen::Unix(_));
    if !compiled.policy.chains.is_empty() {
        match args.mesh {
            Mesh::Envoy if !is_beside => {
                tell_of_attempts("it needs a Weir beside its Envoy (`listen.extProc: unix:PATH`)")
            }
            Mesh::EnvoyGateway => tell_of_attempts("this form has no routes for it"),
            // What Istio can do depends on more.
            Mesh::Envoy | Mesh::Istio => {}
        }
    }
    match args.mesh {
        Mesh::Envoy => envoy::render(&args.envoy, compiled, out),
        Mesh::Istio => istio::render(&args.istio, compiled, &args.documents.names, out),
        Mesh::EnvoyGateway => {
            gateway::render(&args.gateway, source, &args.documents.names.root_namespace, compiled, out)
        }
    }
}

/// Says why rules choose their backend before the call, though they want to choose for each attempt.
fn tell_of_attempts(why: &str) {
    tell(&format!("note: `failover: PerAttempt`: {why}; a failed backend is passed over by the next call"));
}

fn write(directory: &Path, files: &[File]) -> Result<(), RenderError> {
    std::fs::create_dir_all(directory).map_err(|source| write_error(directory, source))?;
    for file in files {
        let path = directory.join(&*file.name);
        std::fs::write(&path, &file.text).map_err(|source| write_error(&path, source))?;
        tell(&format!("wrote {}", path.display()));
    }
    Ok(())
}

fn write_error(path: &Path, source: io::Error) -> RenderError {
    RenderError::Write { path: path.to_owned(), source }
}
