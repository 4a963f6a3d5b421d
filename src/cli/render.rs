//! `weir render`: the configuration of an Envoy that Weir is attached to, on stdout or as files.
//! Nothing is connected to; the same documents give the same bytes.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use super::{Documents, print, read, tell};
use crate::app::{self, AppError};
use crate::config::{Address, Bootstrap, Compiled, Discovery, Listen};
use crate::render::document::{self, YamlError};
use crate::render::envoy::{BodyMode, ENVOY_VERSION, ExtProc, Plan};
use crate::render::files;
use crate::render::tls::ToWeir;

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
    /// Where Weir listens with TLS (`listen.tls`): the certificate that Envoy shows to Weir. This file and the
    /// next two are on Envoy's machine.
    #[arg(long, value_name = "FILE", requires_all = ["client_key", "weir_ca", "weir_name"])]
    client_certificate: Option<PathBuf>,
    /// The key of that certificate.
    #[arg(long, value_name = "FILE", requires = "client_certificate")]
    client_key: Option<PathBuf>,
    /// The CA of Weir's own certificate.
    #[arg(long, value_name = "FILE", requires = "client_certificate")]
    weir_ca: Option<PathBuf>,
    /// The URI name in Weir's own certificate, such as `spiffe://mesh/ns/weir-system/sa/weir`.
    #[arg(long, value_name = "URI", requires = "client_certificate")]
    weir_name: Option<String>,
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
        "spec.listen.tls: Weir listens with mutual TLS, so Envoy needs --client-certificate, --client-key, --weir-ca and \
         --weir-name"
    )]
    NoClientCertificate,
    #[error("--client-certificate: Weir listens without TLS; say `listen.tls`, or leave the option out")]
    NotNeeded,
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
    let plan = plan(&compiled, out.as_deref().unwrap_or(Path::new("")), &ca, args.to_weir())?;
    match &out {
        Some(directory) => write(directory, &document::files(&plan)?),
        None if args.patch => shown(&document::patch(&plan)?),
        None => shown(&document::whole(&plan)?),
    }
}

// === impl Args ===

impl Args {
    /// All of it or nothing: the options require one another.
    fn to_weir(&self) -> Option<ToWeir<'_>> {
        Some(ToWeir {
            certificate: self.client_certificate.as_deref()?,
            key: self.client_key.as_deref()?,
            ca: self.weir_ca.as_deref()?,
            name: self.weir_name.as_deref()?,
        })
    }
}

fn plan<'a>(
    compiled: &'a Compiled,
    directory: &'a Path,
    ca: &'a Path,
    to_weir: Option<ToWeir<'a>>,
) -> Result<Plan<'a>, RenderError> {
    let Compiled { policy, bootstrap, .. } = compiled;
    let Bootstrap { egress, listen, .. } = bootstrap;
    let at = |at: &Address| address("spec.listen.extProc", &at.host, at.port);
    let extproc = match (&listen.ext_proc, to_weir) {
        (Listen::Tls(listen, _), Some(to_weir)) => ExtProc::Tls(at(listen)?, to_weir),
        (Listen::Tls(..), None) => return Err(RenderError::NoClientCertificate),
        (_, Some(_)) => return Err(RenderError::NotNeeded),
        (Listen::Unix(path), None) => ExtProc::Unix(path),
        (Listen::Tcp(listen), None) => ExtProc::Tcp(at(listen)?),
    };
    Ok(Plan {
        listen: address("spec.egress.listen", &egress.listen.host, egress.listen.port)?,
        admin: address("spec.egress.envoyAdmin", &egress.envoy_admin.host, egress.envoy_admin.port)?,
        extproc,
        files: directory,
        access_log: Some(Path::new(ACCESS_LOG)),
        system_ca: ca,
        max_request: policy.profile.bodies.max_request as u64,
        body_mode: BodyMode::FullDuplex,
        max_wait: policy.max_wait,
        upstreams: &policy.upstreams,
        chains: &policy.chains,
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
