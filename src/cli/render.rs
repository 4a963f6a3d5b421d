//! `weir render`: the configuration of an Envoy that Weir is attached to, on stdout or as files.
//! Nothing is connected to; the same documents give the same bytes.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use super::{Documents, print, read, tell};
use crate::app::{self, AppError};
use crate::config::{Bootstrap, Compiled, Discovery, Listen};
use crate::render::document::{self, YamlError};
use crate::render::envoy::{BodyMode, ENVOY_VERSION, ExtProc, Plan};
use crate::render::files;

/// `weir render` on the command line.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What the configuration is for.
    #[arg(long, value_enum)]
    mesh: Mesh,
    #[command(flatten)]
    documents: Documents,
    /// Write files here (bootstrap, clusters, routes) instead of one document on stdout. Envoy must find
    /// them at the same place.
    #[arg(long, value_name = "DIR", conflicts_with = "patch")]
    out: Option<PathBuf>,
    /// Only what must be added to a bootstrap that is there, each piece with its place.
    #[arg(long)]
    patch: bool,
    /// The CA bundle of Envoy's machine, for backends that have none of their own; without it the one
    /// found here.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
}

/// Where Envoy is.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Mesh {
    /// A plain Envoy.
    Envoy,
}

/// Why nothing was rendered.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    #[error(transparent)]
    App(#[from] AppError),
    #[error("{field}: {host:?} is a name; a rendered Envoy needs an IP address there")]
    NotAnAddress { field: &'static str, host: String },
    #[error(
        "spec.listen.tls: an Envoy that connects here needs a client certificate, and no field says where its files \
         are; render with a Unix socket, and add the transport_socket to the cluster weir_extproc by hand"
    )]
    NoClientCertificate,
    #[error(transparent)]
    Yaml(#[from] YamlError),
    #[error("cannot write {path}: {source}", path = path.display())]
    Write { path: PathBuf, source: io::Error },
}

/// Envoy's own output, where whoever runs it looks first.
const ACCESS_LOG: &str = "/dev/stdout";

/// Renders the documents.
///
/// # Errors
/// Every error of the documents; an address that is a name; a file that cannot be written.
pub fn render(args: &Args) -> Result<(), RenderError> {
    let Mesh::Envoy = args.mesh;
    let documents = &args.documents;
    let compiled = app::load(&read(&documents.path)?, &documents.names.options(Discovery::Disabled))?;
    let out = args.out.as_deref().map(|out| std::path::absolute(out).map_err(|source| write_error(out, source)));
    let out = out.transpose()?;
    let ca = args.ca_file.clone().unwrap_or_else(files::system_ca);
    let plan = plan(&compiled, out.as_deref().unwrap_or(Path::new("")), &ca)?;
    match &out {
        Some(directory) => write(directory, &document::files(&plan)?),
        None if args.patch => shown(&document::patch(&plan)?),
        None => shown(&document::whole(&plan)?),
    }
}

fn plan<'a>(compiled: &'a Compiled, directory: &'a Path, ca: &'a Path) -> Result<Plan<'a>, RenderError> {
    let Compiled { policy, bootstrap, .. } = compiled;
    let Bootstrap { egress, listen, .. } = bootstrap;
    let extproc = match &listen.ext_proc {
        Listen::Unix(path) => ExtProc::Unix(path),
        Listen::Tls(..) => return Err(RenderError::NoClientCertificate),
        Listen::Tcp(at) => ExtProc::Tcp(address("spec.listen.extProc", &at.host, at.port)?),
    };
    Ok(Plan {
        listen: address("spec.egress.listen", &egress.listen.host, egress.listen.port)?,
        admin: address("spec.egress.envoyAdmin", &egress.envoy_admin.host, egress.envoy_admin.port)?,
        extproc,
        files: directory,
        access_log: Some(Path::new(ACCESS_LOG)),
        system_ca: ca,
        max_request: policy.bodies.max_request as u64,
        body_mode: BodyMode::FullDuplex,
        max_wait: policy.max_wait,
        upstreams: &policy.upstreams,
        node_id: "weir",
        envoy_version: ENVOY_VERSION,
    })
}

fn address(field: &'static str, host: &str, port: u16) -> Result<SocketAddr, RenderError> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let ip: IpAddr = bare.parse().map_err(|_| RenderError::NotAnAddress { field, host: host.to_owned() })?;
    Ok(SocketAddr::new(ip, port))
}

fn write(directory: &Path, files: &[document::File]) -> Result<(), RenderError> {
    std::fs::create_dir_all(directory).map_err(|source| write_error(directory, source))?;
    // The bootstrap last: it names the others.
    for file in files.iter().rev() {
        let path = directory.join(file.name);
        std::fs::write(&path, &file.text).map_err(|source| write_error(&path, source))?;
        tell(&format!("wrote {}", path.display()));
    }
    Ok(())
}

fn shown(text: &str) -> Result<(), RenderError> {
    print(text).map_err(|source| write_error(Path::new("stdout"), source))
}

fn write_error(path: &Path, source: io::Error) -> RenderError {
    RenderError::Write { path: path.to_owned(), source }
}
