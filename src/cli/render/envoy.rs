//! `weir render --mesh envoy`: the configuration of a plain Envoy, whole, as files or as a patch.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use super::{RenderError, Written};
use crate::config::{Address, Bootstrap, Compiled, Listen};
use crate::render::document;
use crate::render::envoy::{BodyMode, ENVOY_VERSION, ExtProc, Plan};
use crate::render::files;
use crate::render::tls::{FromCallers, ToWeir};

/// What only a plain Envoy has.
#[derive(Debug, clap::Args)]
pub struct EnvoyArgs {
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
    /// Callers come by mutual TLS: the certificate that Envoy shows to them. This file and the next two are on
    /// Envoy's machine. Without it callers speak plain HTTP.
    #[arg(long, value_name = "FILE", requires_all = ["server_key", "callers_ca"], conflicts_with = "patch")]
    server_certificate: Option<PathBuf>,
    /// The key of that certificate.
    #[arg(long, value_name = "FILE", requires = "server_certificate")]
    server_key: Option<PathBuf>,
    /// The CA of the callers' certificates. Whoever has none of its is not let in; the URI name in it is who calls.
    #[arg(long, value_name = "FILE", requires = "server_certificate")]
    callers_ca: Option<PathBuf>,
}

/// Envoy's own output, where whoever runs it looks first.
const ACCESS_LOG: &str = "/dev/stdout";

/// The configuration in the form that was asked for.
pub(super) fn render(args: &EnvoyArgs, compiled: &Compiled, out: Option<&Path>) -> Result<Written, RenderError> {
    let ca = args.ca_file.clone().unwrap_or_else(files::system_ca);
    let plan = plan(compiled, out.unwrap_or(Path::new("")), &ca, args.to_weir())?;
    Ok(match out {
        // The bootstrap last: it names the others.
        Some(_) => Written::Files(document::files(&plan, args.callers())?.into_iter().rev().collect()),
        None if args.patch => Written::Text(document::patch(&plan)?),
        None => Written::Text(document::whole(&plan, args.callers())?),
    })
}

// === impl EnvoyArgs ===

impl EnvoyArgs {
    /// An option that was given and that no other mesh has.
    pub(super) fn given(&self) -> Option<&'static str> {
        let EnvoyArgs { patch, ca_file, client_certificate, .. } = self;
        let all = [
            (*patch, "--patch"),
            (ca_file.is_some(), "--ca-file"),
            (client_certificate.is_some(), "--client-certificate"),
        ];
        all.iter().find(|(is_given, _)| *is_given).map(|(_, name)| *name)
    }

    /// All of it or nothing: the options require one another.
    fn to_weir(&self) -> Option<ToWeir<'_>> {
        Some(ToWeir {
            certificate: self.client_certificate.as_deref()?,
            key: self.client_key.as_deref()?,
            ca: self.weir_ca.as_deref()?,
            name: self.weir_name.as_deref()?,
        })
    }

    /// All of it or nothing, as above.
    fn callers(&self) -> Option<FromCallers<'_>> {
        Some(FromCallers {
            certificate: self.server_certificate.as_deref()?,
            key: self.server_key.as_deref()?,
            ca: self.callers_ca.as_deref()?,
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
        follows: false,
        node_id: "weir",
        envoy_version: ENVOY_VERSION,
    })
}

fn address(field: &'static str, host: &str, port: u16) -> Result<SocketAddr, RenderError> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let ip: IpAddr = bare.parse().map_err(|_| RenderError::NotAnAddress { field, host: host.to_owned() })?;
    Ok(SocketAddr::new(ip, port))
}
