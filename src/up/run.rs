//! `weir up`: Envoy, Weir and, where it is wanted, the built-in provider, as one tree of processes
//! that comes and goes together.

use std::io::{self, IsTerminal};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use super::demo::{self, DemoError};
use super::follow::Proxy;
use super::install::{self, InstallError};
use super::process::{Envoy, Launch, ProcessError, Ready};
use super::{RunDir, kept, sdk_lines};
use crate::admin::{self, Scope};
use crate::app::documents::{Documents, Snapshot};
use crate::app::{self, AppError, Core};
use crate::cli::{Hangups, Names, PriceFile, Signals, say, tell};
use crate::config::{Compiled, Discovery, Listen};
use crate::mock::Mock;
use crate::render::envoy::{BodyMode, ExtProc, Plan};
use crate::render::files;

/// Envoy is ready in a tenth of a second; a machine that needs longer than this is stuck.
const ENVOY_START: Duration = Duration::from_secs(30);

/// The longest that a stop waits for calls that still run, whatever `drainTimeout` says: somebody sits
/// in front of this, or a test.
const DRAIN: Duration = Duration::from_secs(60);

/// `weir up` on the command line.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The port that applications call, on loopback; 0 for any.
    #[arg(long, default_value_t = 10000)]
    port: u16,
    /// The port of Weir's own admin endpoint, on loopback; 0 for any.
    #[arg(long, default_value_t = 10001)]
    admin_port: u16,
    /// Let the admin endpoint change what can be changed: `POST /limits/reset`. Each change is logged.
    #[arg(long)]
    admin_mutations: bool,
    /// A file or a directory of YAML documents, or - for standard input.
    #[arg(long, value_name = "PATH")]
    config: Option<PathBuf>,
    /// Serve with the built-in provider, even if there are keys in the environment.
    #[arg(long)]
    mock: bool,
    /// Show what Weir does with a tour of requests. Implies --mock.
    #[arg(long)]
    demo: bool,
    /// End after the tour.
    #[arg(long, requires = "demo")]
    exit: bool,
    /// Let the tour call real providers, which costs money.
    #[arg(long, requires = "demo")]
    live: bool,
    /// The Envoy binary to run.
    #[arg(long, value_name = "FILE")]
    envoy: Option<PathBuf>,
    /// How Envoy sends bodies. For tests: the others are for Envoys that lack the first.
    #[arg(long, value_enum, default_value_t = Mode::FullDuplex, hide = true)]
    body_mode: Mode,
    #[command(flatten)]
    prices: PriceFile,
    #[command(flatten)]
    names: Names,
}

/// The body modes on the command line.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Mode {
    FullDuplex,
    BufferedStreamed,
    Buffered,
}

/// Why the egress is not up.
#[derive(Debug, thiserror::Error)]
pub enum UpError {
    #[error(transparent)]
    App(#[from] AppError),
    #[error(transparent)]
    Install(#[from] InstallError),
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error("the tour did not go as it should")]
    Demo(#[from] DemoError),
    #[error("cannot use the run directory")]
    RunDir(#[source] io::Error),
    #[error("cannot listen on {0}")]
    Listen(SocketAddr, #[source] io::Error),
    #[error("Envoy ended by itself ({0}); its log: {1}")]
    EnvoyEnded(std::process::ExitStatus, String),
    #[error("stopped at once by a second signal")]
    Interrupted,
}

/// Everything that runs.
struct Egress {
    core: Core,
    envoy: Envoy,
    ready: Ready,
    admin: SocketAddr,
    ledger: PathBuf,
    mock: Option<Mock>,
    /// Puts later configurations in force; ends with the rest.
    reload: AbortOnDropHandle<()>,
    /// Removed last, when everything that uses it is gone: fields are dropped in this order.
    directory: RunDir,
}

/// The first configuration and what it came from.
struct First {
    documents: Documents,
    read: Snapshot,
    compiled: Compiled,
    mock: Option<Mock>,
}

/// Brings the egress up, stays until a signal comes, and takes it down again: calls that run may finish,
/// unless a second signal comes.
///
/// # Errors
/// When a part cannot start, ends by itself, or the tour fails; `Interrupted` at a second signal.
pub async fn up(args: Args, mut signals: Signals) -> Result<(), UpError> {
    let egress = tokio::select! {
        egress = start(&args) => egress?,
        () = signals.next() => return Ok(()),
    };
    let base_url = format!("http://{}/v1", egress.ready.listen);
    let admin = format!("http://{}", egress.admin);
    say(&format!("ready base_url={base_url} admin={admin}"));
    tell(&sdk_lines(&base_url));
    tell(&format!("Usage records: {}", egress.ledger.display()));
    tell(&egress.about_envoy());
    let (egress, result) = stay(egress, &args, &base_url, &admin, &mut signals).await;
    let stopped = egress.stop(&mut signals).await;
    result.and(stopped)
}

async fn stay(
    mut egress: Egress,
    args: &Args,
    base_url: &str,
    admin: &str,
    signals: &mut Signals,
) -> (Egress, Result<(), UpError>) {
    if args.demo {
        let mut out = io::stderr();
        let tour = tokio::select! {
            tour = demo::tour(base_url, admin, &mut out) => tour.map_err(UpError::from),
            () = signals.next() => return (egress, Ok(())),
        };
        if tour.is_err() || args.exit {
            return (egress, tour);
        }
    }
    let log = egress.envoy.log().display().to_string();
    let result = tokio::select! {
        () = signals.next() => Ok(()),
        error = egress.core.failed() => Err(error.into()),
        status = egress.envoy.wait() => match status {
            Ok(status) => Err(UpError::EnvoyEnded(status, log)),
            Err(error) => Err(error.into()),
        },
    };
    (egress, result)
}

async fn start(args: &Args) -> Result<Egress, UpError> {
    let binary = install::locate(args.envoy.as_deref()).await?;
    let version = install::version(&binary).await?;
    let directory = RunDir::create().map_err(UpError::RunDir)?;
    let First { documents, read, compiled, mock } = configure(args).await?;
    let Compiled { policy, mut bootstrap, store, .. } = compiled;
    // What a later configuration is compared with; below it is adapted to this machine.
    let said = bootstrap.clone();
    let socket = directory.file("extproc.sock");
    bootstrap.listen.ext_proc = Listen::Unix(socket.clone());
    let ledger = bootstrap.ledger.clone().unwrap_or_else(|| directory.file("usage.jsonl"));
    bootstrap.ledger = Some(ledger.clone());
    bootstrap.journal = bootstrap.journal.or_else(|| kept::settings(args.config.as_deref()));
    bootstrap.drain_timeout = bootstrap.drain_timeout.min(DRAIN);
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, args.port));
    let ca = files::system_ca();
    let plan = Plan {
        listen,
        admin: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        extproc: ExtProc::Unix(&socket),
        files: directory.path(),
        access_log: None,
        system_ca: &ca,
        body_mode: args.body_mode.into(),
        max_request: policy.profile.bodies.max_request as u64,
        max_wait: policy.max_wait,
        upstreams: &policy.upstreams,
        chains: &policy.chains,
        follows: true,
        node_id: "weir-up",
        envoy_version: &version,
    };
    let config = files::write(&plan).map_err(UpError::RunDir)?;
    let (listeners, signing, _) = app::listen(&bootstrap, false).await?;
    let mut proxy = Proxy::new(&plan, &policy);
    let core = Core::start(policy, &bootstrap, store, listeners, signing, Some(&ledger))?;
    let admin = serve_admin(&core, args).await?;
    let launch = Launch {
        envoy: &binary,
        config: &config,
        directory: directory.path(),
        listen,
        admin: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        concurrency: None,
        log_level: "warn",
    };
    let mut envoy = Envoy::spawn(&launch)?;
    let ready = envoy.wait_ready(ENVOY_START).await?;
    proxy.runs_at(ready.admin);
    core.call_through(&ready.listen.to_string());
    let reload = core.reload(Arc::new(documents), said, proxy, Ok(read), Vec::new());
    // Somebody who closes the terminal wants all of this gone.
    let hangups = Arc::new(if io::stderr().is_terminal() { Hangups::untaken() } else { Hangups::taken() });
    let next = move || {
        let hangups = hangups.clone();
        async move { hangups.next().await }
    };
    let reload = AbortOnDropHandle::new(tokio::spawn(reload.run(next)));
    Ok(Egress { directory, core, envoy, ready, admin, ledger, mock, reload })
}

/// The documents, what the environment adds, and the built-in provider where it serves.
async fn configure(args: &Args) -> Result<First, UpError> {
    let more: Vec<_> = args.demo.then(|| ("demo".to_owned(), demo::ROUTE.to_owned())).into_iter().collect();
    let mut options = args.names.options(Discovery::Enabled);
    options.keeps_spend = kept::settings(args.config.as_deref()).is_some();
    let wants_mock = args.mock || (args.demo && !args.live);
    if wants_mock {
        options.discovery_default = Discovery::Disabled;
    }
    let documents = Documents::new(args.config.clone(), options.clone(), more).with_prices(args.prices.path());
    let read = documents.read().map_err(AppError::Config)?;
    let first = if wants_mock { None } else { Some(documents.load(&read).map_err(AppError::Config)?) };
    let (documents, compiled, mock) = match first {
        Some(compiled) if !compiled.policy.targets.backends.is_empty() => (documents, compiled, None),
        _ => {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            let listener = TcpListener::bind(address).await.map_err(|error| UpError::Listen(address, error))?;
            let mock = Mock::start(listener).await;
            options.mock = Some(mock.addr());
            if !wants_mock {
                tell(
                    "No provider key was found in the environment and no backend is configured: the built-in provider serves.",
                );
            }
            let documents = documents.with_options(options);
            let compiled = documents.load(&read).map_err(AppError::Config)?;
            (documents, compiled, Some(mock))
        }
    };
    compiled.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    Ok(First { documents, read, compiled, mock })
}

/// The admin endpoint is on loopback TCP here, for convenience. It ends with the process.
async fn serve_admin(core: &Core, args: &Args) -> Result<SocketAddr, UpError> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, args.admin_port));
    let failed = |error| UpError::Listen(address, error);
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    let admin = core.admin(args.admin_mutations);
    tokio::spawn(async move {
        if let Err(error) = admin::serve_tcp(listener, admin, Scope::Full).await {
            tracing::error!("the admin server failed: {error}");
        }
    });
    Ok(bound)
}

// === impl Mode ===

impl From<Mode> for BodyMode {
    fn from(mode: Mode) -> BodyMode {
        match mode {
            Mode::FullDuplex => BodyMode::FullDuplex,
            Mode::BufferedStreamed => BodyMode::BufferedStreamed,
            Mode::Buffered => BodyMode::Buffered,
        }
    }
}

// === impl Egress ===

impl Egress {
    /// For whoever wants to look at Envoy itself.
    fn about_envoy(&self) -> String {
        let process = self.envoy.pid().map_or_else(|| "none".to_owned(), |pid| pid.to_string());
        let (admin, directory) = (self.ready.admin, self.directory.path().display());
        format!("Envoy: process={process} admin=http://{admin} directory={directory}")
    }

    /// No call comes any more, those that run finish in their time, then everything ends; with none at
    /// once, and at once when a second signal comes.
    async fn stop(self, signals: &mut Signals) -> Result<(), UpError> {
        let Egress { directory, core, envoy, mock, reload, ready, .. } = self;
        drop(reload);
        envoy.stop_listening(ready.listen).await;
        let running = core.metrics.in_flight.get();
        let stopped = match running {
            0 => {
                // Weir waits for its connections, and Envoy holds one.
                let stopped = envoy.stop().await;
                core.drain().await?;
                stopped.map(drop).map_err(UpError::from)
            }
            _ => {
                tell(&format!("Calls that still run: {running}. They may finish; a second signal ends them at once."));
                finish(core, envoy, signals).await
            }
        };
        if let Some(mock) = mock {
            mock.shutdown().await;
        }
        drop(directory);
        stopped
    }
}

/// Lets calls finish, as long as Weir gives them and no signal comes.
async fn finish(core: Core, envoy: Envoy, signals: &mut Signals) -> Result<(), UpError> {
    let mut drained = std::pin::pin!(core.drain());
    let first = tokio::select! {
        drained = &mut drained => Some(drained),
        () = signals.next() => None,
    };
    match first {
        Some(drained) => {
            envoy.settle().await;
            envoy.stop().await?;
            drained?;
            Ok(())
        }
        None => {
            envoy.kill().await?;
            // Without Envoy nothing runs any more, and what ran is written down.
            drained.await?;
            Err(UpError::Interrupted)
        }
    }
}
