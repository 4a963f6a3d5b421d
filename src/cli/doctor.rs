//! `weir doctor`: reads a running Envoy or a dump of one, and Weir's admin socket where there is one, and says
//! what is wrong and what to change. Nothing is changed.

mod read;

use std::path::PathBuf;
use std::process::ExitCode;

use self::read::Input;
use super::{Names, PriceFile, print, tell};
use crate::app::AppError;
use crate::catalog::Catalog;
use crate::config::file::ProcessSecrets;
use crate::config::{self, Bootstrap, Checked, Compiled, Discovery, KeysAre, Listen, Options};
use crate::doctor::dump::{Dump, DumpError};
use crate::doctor::hosts::Hosts;
use crate::doctor::pod::{PodError, Pods};
use crate::doctor::stats::Stats;
use crate::doctor::{self, Evidence, Wanted};

/// `weir doctor` on the command line.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// The same as --config-dump.
    #[arg(value_name = "FILE|-")]
    file: Option<String>,
    /// The admin endpoint of a running Envoy, such as http://127.0.0.1:9901.
    #[arg(long, value_name = "URL", conflicts_with_all = ["file", "config_dump"])]
    envoy: Option<String>,
    /// What Envoy's /config_dump?include_eds answers, or `istioctl proxy-config all POD -o json` prints; - for
    /// standard input.
    #[arg(long, value_name = "FILE|-", conflicts_with = "file")]
    config_dump: Option<String>,
    /// What Envoy's /stats answers, for dumps.
    #[arg(long, value_name = "FILE")]
    stats: Option<String>,
    /// A Pod as YAML or JSON (`kubectl get pod NAME -o yaml`): who mounts the volume of Weir's socket?
    #[arg(long, value_name = "FILE")]
    pod: Option<String>,
    /// Weir's admin socket, or its http://HOST:PORT; without it the one of --config, where it is there.
    #[arg(long, value_name = "SOCKET")]
    admin: Option<String>,
    /// Weir's configuration: its limits, its socket and its backends are then compared with Envoy's.
    #[arg(long, value_name = "PATH")]
    config: Option<PathBuf>,
    /// The cluster through which Envoy reaches Weir, where it is not known by its name, its socket or what the
    /// filter says.
    #[arg(long, value_name = "NAME")]
    cluster: Vec<String>,
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Exit with 1 for warnings too.
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    names: Names,
    #[command(flatten)]
    prices: PriceFile,
}

const HELP: &str = "Exit codes: 0 when there is nothing above a note, and without --strict nothing above a warning; 1 \
                    for an error, with --strict for a warning too; 2 when something could not be read.";

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Format {
    Text,
    Json,
}

/// Why nothing was looked at.
#[derive(Debug, thiserror::Error)]
pub enum DoctorError {
    #[error("say what to look at: --envoy URL, --config-dump FILE or -, or --pod FILE")]
    Nothing,
    #[error("only one of --config-dump, --stats and --pod can be standard input")]
    OneStdin,
    #[error("{from}: {source}")]
    Read { from: String, source: read::ReadError },
    #[error("{from}: no dump of an Envoy: {source}")]
    Dump { from: String, source: DumpError },
    #[error("{0}: no counters of an Envoy: take what its admin page /stats answers, one `name: number` a line")]
    Stats(String),
    #[error("{from}: {source}")]
    Pod { from: String, source: PodError },
    #[error(transparent)]
    App(#[from] AppError),
    #[error("cannot write to stdout: {0}")]
    Stdout(std::io::Error),
}

/// Reads, looks and says what it saw.
pub async fn run(args: &Args) -> ExitCode {
    match examine(args).await {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            tell(&super::chain(&error));
            ExitCode::from(2)
        }
    }
}

async fn examine(args: &Args) -> Result<u8, DoctorError> {
    let evidence = evidence(args).await?;
    let report = doctor::examine(&evidence);
    let text = match args.format {
        Format::Text => report.to_text(),
        Format::Json => format!("{:#}\n", report.to_json()),
    };
    print(&text).map_err(DoctorError::Stdout)?;
    Ok(report.exit_code(args.strict))
}

async fn evidence(args: &Args) -> Result<Evidence, DoctorError> {
    let given = args.file.as_ref().or(args.config_dump.as_ref());
    let files = [given, args.stats.as_ref(), args.pod.as_ref()];
    if args.envoy.is_none() && given.is_none() && args.pod.is_none() {
        return Err(DoctorError::Nothing);
    }
    if files.iter().flatten().filter(|file| **file == "-").count() > 1 {
        return Err(DoctorError::OneStdin);
    }
    let compiled = args.config.as_ref().map(|_| compiled(args)).transpose()?;
    let mut hosts = Hosts::of(&Catalog::builtin());
    let wanted = compiled.as_ref().map_or_else(Wanted::default, |compiled| wanted(compiled, &mut hosts));
    let page = |page: &str| args.envoy.as_ref().map(|url| Input::Url(format!("{}{page}", url.trim_end_matches('/'))));
    let file = |file: Option<&String>| file.map(|file| Input::file(file));
    let dump = match page("/config_dump?include_eds").or(file(given)) {
        Some(input) => Some(dump(&input).await?),
        None => None,
    };
    let stats = match file(args.stats.as_ref()).or(page("/stats")) {
        Some(input) => Some(stats(&input).await?),
        None => None,
    };
    let pods = match file(args.pod.as_ref()) {
        Some(input) => Some(pods(&input).await?),
        None => None,
    };
    // The usual one may be there where a running Envoy is looked at.
    let usual = args.envoy.as_ref().map(|_| Bootstrap::default());
    let bootstrap = compiled.as_ref().map(|compiled| &compiled.bootstrap).or(usual.as_ref());
    let socket = bootstrap.map(|bootstrap| bootstrap.listen.admin_socket.as_path());
    let weir = read::weir(args.admin.as_deref(), socket).await;
    Ok(Evidence { dump, stats, pods, weir, hosts, wanted, clusters: args.cluster.clone() })
}

async fn dump(input: &Input) -> Result<Dump, DoctorError> {
    let bytes = bytes(input).await?;
    Dump::read(&bytes).map_err(|source| DoctorError::Dump { from: input.to_string(), source })
}

async fn stats(input: &Input) -> Result<Stats, DoctorError> {
    let bytes = bytes(input).await?;
    Stats::read(&String::from_utf8_lossy(&bytes)).ok_or_else(|| DoctorError::Stats(input.to_string()))
}

async fn pods(input: &Input) -> Result<Pods, DoctorError> {
    let bytes = bytes(input).await?;
    Pods::read(&String::from_utf8_lossy(&bytes)).map_err(|source| DoctorError::Pod { from: input.to_string(), source })
}

async fn bytes(input: &Input) -> Result<Vec<u8>, DoctorError> {
    input.read().await.map_err(|source| DoctorError::Read { from: input.to_string(), source })
}

/// Weir's configuration; no key is looked for.
fn compiled(args: &Args) -> Result<Compiled, AppError> {
    let source = super::read(args.config.as_deref().unwrap_or_else(|| std::path::Path::new("-")))?;
    let options = Options { keys: KeysAre::Described, ..args.names.options(Discovery::Disabled) };
    let catalog = crate::app::prices::read(args.prices.path().as_deref()).map_err(AppError::Prices)?;
    let Checked { errors, compiled, .. } = config::check(&source, &options, &catalog, &ProcessSecrets, catalog.clone());
    compiled.ok_or(AppError::Config(errors))
}

fn wanted(compiled: &Compiled, hosts: &mut Hosts) -> Wanted {
    let Compiled { policy, bootstrap, .. } = compiled;
    // A server in clear text gets no key that could be stolen, and may have callers besides.
    for upstream in policy.upstreams.iter().filter(|upstream| upstream.https) {
        hosts.add(&upstream.host, &upstream.name);
    }
    Wanted {
        max_request: policy.profile.bodies.max_request as u64,
        max_wait: policy.max_wait,
        socket: match &bootstrap.listen.ext_proc {
            Listen::Unix(path) => Some(path.display().to_string()),
            Listen::Tcp(_) | Listen::Tls(..) => None,
        },
        backends: Some(policy.upstreams.iter().map(|upstream| upstream.name.to_string()).collect()),
    }
}
