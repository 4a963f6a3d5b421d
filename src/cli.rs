//! The commands. One that serves prints one line on stdout, when it is ready; one that is asked for
//! something prints that there and nothing else. Everything else for people goes to stderr.

mod doctor;
mod explain;
mod keys;

use std::future::Future;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Mutex;

use crate::app::{self, AppError};
use crate::catalog::Catalog;
use crate::config::{self, Discovery, Options, Source, WorkloadNames};
use crate::up::run::UpError;
use crate::{mock, telemetry, up};

mod prices;
mod providers;
mod render;
mod schema;
mod table;

/// Weir: an Envoy external processor that rewrites, meters, caches and rate-limits LLM calls.
#[derive(Debug, Parser)]
#[command(version, about)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Log as JSON, one object a line. What is logged is said by WEIR_LOG.
    #[arg(long, global = true)]
    json_logs: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// A whole egress on this machine: a real Envoy and Weir.
    Up(up::run::Args),
    /// The sidecar or gateway process.
    Run(Run),
    /// Validate configuration; every error at once.
    Check(Check),
    /// What would become of a call, and why; nothing is sent.
    Explain(explain::Args),
    /// Keys that Weir issues to consumers.
    #[command(subcommand)]
    Key(keys::Command),
    /// The configuration of an Envoy that asks Weir.
    Render(Box<render::Args>),
    /// What is wrong with the Envoy around Weir, and what to change; a dump of it or a running one.
    Doctor(doctor::Args),
    /// The JSON Schema and the CRDs of the configuration.
    Schema(schema::Args),
    /// The providers of the catalogue.
    Providers(providers::Args),
    /// What a model costs, what calls cost, and the table of prices.
    Prices(prices::Args),
    /// The mock provider, for tests and benches.
    Mock {
        /// The port to listen on, on loopback; 0 for any.
        #[arg(long, default_value_t = 0)]
        port: u16,
    },
}

#[derive(Debug, clap::Args)]
struct Run {
    /// A file or a directory of YAML documents, or - for standard input.
    #[arg(long, value_name = "PATH")]
    config: Option<PathBuf>,
    #[command(flatten)]
    names: Names,
    /// Put provider keys on requests that come over plain TCP. Whoever can connect can read them: for
    /// tests only.
    #[arg(long)]
    insecure_sign_over_tcp: bool,
    /// Let the admin socket change what can be changed: `POST /limits/reset`. Each change is logged.
    #[arg(long)]
    admin_mutations: bool,
    #[command(flatten)]
    prices: PriceFile,
    /// Threads that serve; without it one for each two cores.
    #[arg(long, env = "WEIR_THREADS", value_name = "N")]
    threads: Option<NonZeroUsize>,
}

#[derive(Debug, clap::Args)]
struct Documents {
    /// A file or a directory of YAML documents, or - for standard input.
    path: PathBuf,
    #[command(flatten)]
    names: Names,
}

#[derive(Debug, clap::Args)]
struct Check {
    #[command(flatten)]
    documents: Documents,
    #[command(flatten)]
    prices: PriceFile,
}

/// Where prices are, if not in this program.
#[derive(Debug, clap::Args)]
pub struct PriceFile {
    /// A price file instead of the built-in prices, as `weir prices import` writes it. A process that serves reads it
    /// again when it changes.
    #[arg(long, env = PRICES, value_name = "FILE")]
    prices: Option<PathBuf>,
}

/// What the process knows of itself and of its mounts.
#[derive(Debug, clap::Args)]
pub struct Names {
    /// The namespace whose documents speak for the whole mesh.
    #[arg(long, default_value = "weir-system")]
    root_namespace: String,
    /// Where Secrets are mounted: DIR/NAME/KEY.
    #[arg(long, value_name = "DIR")]
    secrets_dir: Option<PathBuf>,
    #[arg(long, env = "WEIR_NAMESPACE", hide = true)]
    namespace: Option<String>,
    #[arg(long, env = "WEIR_SERVICE_ACCOUNT", hide = true)]
    service_account: Option<String>,
    #[arg(long, env = "WEIR_WORKLOAD", hide = true)]
    workload: Option<String>,
}

/// The variable that names a price file, for every command that prices calls. Empty is as if it were not there.
const PRICES: &str = "WEIR_PRICES";

/// The exit code of who was asked to stop twice.
const INTERRUPTED: u8 = 130;

/// Every SIGTERM and SIGINT since it was made, whether awaited by then or not: whoever reads the ready
/// line may send one at once.
pub struct Signals {
    /// None where they cannot be had; then none ever comes.
    both: Option<(Signal, Signal)>,
}

/// Every SIGHUP since it was made: an order to reload.
pub struct Hangups {
    /// None where they cannot be had, or are not taken; then none ever comes.
    signal: Option<Mutex<Signal>>,
}

/// Runs the command of this process.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    telemetry::init_logging(cli.json_logs);
    let runtime = match &cli.command {
        Command::Run(args) => app::runtime(args.threads),
        // They serve clients and do the provider's work besides.
        _ => tokio::runtime::Builder::new_multi_thread().enable_all().build(),
    };
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("cannot start: {error}")),
    };
    let code = runtime.block_on(command(cli.command));
    // A thread that still counts tokens must not hold the process.
    runtime.shutdown_background();
    code
}

async fn command(command: Command) -> ExitCode {
    match command {
        Command::Up(args) => match up::run::up(args, Signals::new()).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(UpError::Interrupted) => ExitCode::from(INTERRUPTED),
            Err(error) => fail(&chain(&error)),
        },
        Command::Run(args) => match run(args).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&chain(&error)),
        },
        Command::Check(args) => match check(&args) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error.to_string()),
        },
        Command::Explain(args) => match explain::explain(&args) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                tell(&error.to_string());
                error.exit_code()
            }
        },
        Command::Key(command) => match keys::run(&command) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&chain(&error)),
        },
        Command::Render(args) => match render::render(&args) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error.to_string()),
        },
        Command::Doctor(args) => doctor::run(&args).await,
        Command::Schema(args) => match schema::run(&args) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error.to_string()),
        },
        Command::Providers(args) => answer(&providers::providers(&args, &Catalog::builtin())),
        Command::Prices(args) => prices::run(&args),
        Command::Mock { port } => match serve_mock(port).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&format!("the mock provider cannot serve: {error}")),
        },
    }
}

async fn run(args: Run) -> Result<(), AppError> {
    let documents = app::documents::Documents::new(args.config, args.names.options(Discovery::Disabled), Vec::new())
        .with_prices(args.prices.path());
    let hangups = Hangups::taken();
    let posture = app::Posture { insist: args.insecure_sign_over_tcp, mutations: args.admin_mutations };
    app::run(documents, posture, stop_signal(), || hangups.next(), say).await
}

fn check(args: &Check) -> Result<(), AppError> {
    let Check { documents, prices } = args;
    let options = documents.names.options(Discovery::Disabled);
    let checked = app::check(&read(&documents.path)?, &options, prices.path().as_deref());
    for note in &checked.notes {
        tell(&format!("note: {note}"));
    }
    let Some(compiled) = checked.compiled else { return Err(AppError::Config(checked.errors)) };
    let (backends, rules) = (compiled.policy.targets.backends.len(), compiled.policy.targets.rules().count());
    let noted = match checked.notes.len() {
        0 => String::new(),
        count => format!(", {count} notes: `weir run` and `weir up` refuse what they cannot do yet"),
    };
    tell(&format!("valid: {backends} backends, {rules} rules{noted}"));
    Ok(())
}

async fn serve_mock(port: u16) -> std::io::Result<()> {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
    let stop = stop_signal();
    say(&format!("ready base_url=http://{}/v1", listener.local_addr()?));
    tokio::select! {
        result = mock::serve(listener) => result,
        () = stop => Ok(()),
    }
}

/// Reads documents from where the command line says.
///
/// # Errors
/// What cannot be read.
pub fn read(path: &Path) -> Result<Source, AppError> {
    config::file::read(path).map_err(AppError::Config)
}

/// Done at the first SIGTERM or SIGINT after this call, whether it is awaited by then or not. The second
/// ends the process at once.
fn stop_signal() -> impl Future<Output = ()> {
    let mut signals = Signals::new();
    async move {
        signals.next().await;
        tokio::spawn(async move {
            signals.next().await;
            // Nothing is left to say: whoever asks twice wants the process gone.
            std::process::exit(INTERRUPTED.into());
        });
    }
}

fn answer(text: &str) -> ExitCode {
    match print(text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&format!("cannot write to stdout: {error}")),
    }
}

/// What was asked for, on stdout. A reader that has enough, as `head`, is no error.
fn print(text: &str) -> io::Result<()> {
    print_bytes(text.as_bytes())
}

fn print_bytes(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// The one line on stdout.
#[expect(clippy::print_stdout, reason = "the command line's own output")]
pub fn say(line: &str) {
    println!("{line}");
}

/// A line for people, on stderr.
#[expect(clippy::print_stderr, reason = "the command line's own output")]
pub fn tell(line: &str) {
    eprintln!("{line}");
}

fn fail(message: &str) -> ExitCode {
    tell(message);
    ExitCode::FAILURE
}

/// An error with its causes, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

// === impl Signals ===

impl Signals {
    fn new() -> Self {
        let both = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
        Signals { both: if let (Ok(term), Ok(int)) = both { Some((term, int)) } else { None } }
    }

    /// Done when the next one has come.
    pub async fn next(&mut self) {
        let Some((term, int)) = &mut self.both else { return std::future::pending().await };
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
    }
}

// === impl Hangups ===

impl Hangups {
    /// Takes them from now on.
    pub fn taken() -> Self {
        Hangups { signal: signal(SignalKind::hangup()).ok().map(Mutex::new) }
    }

    /// Takes none, so that the signal ends the process as it does by default.
    pub fn untaken() -> Self {
        Hangups { signal: None }
    }

    /// Done when the next one has come.
    pub async fn next(&self) {
        match &self.signal {
            Some(signal) => drop(signal.lock().await.recv().await),
            None => std::future::pending().await,
        }
    }
}

// === impl PriceFile ===

impl PriceFile {
    /// None for the built-in prices.
    pub fn path(&self) -> Option<PathBuf> {
        self.prices.clone().filter(|path| !path.as_os_str().is_empty())
    }
}

// === impl Names ===

impl Names {
    /// As the configuration takes it.
    pub fn options(&self, discovery_default: Discovery) -> Options {
        Options {
            root_namespace: self.root_namespace.clone(),
            secrets_dir: self.secrets_dir.clone(),
            discovery_default,
            mock: None,
            keys: config::KeysAre::Read,
            keeps_spend: false,
            workload: WorkloadNames {
                namespace: self.namespace.clone(),
                service_account: self.service_account.clone(),
                name: self.workload.clone(),
            },
        }
    }
}
