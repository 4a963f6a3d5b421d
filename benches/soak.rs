//! Whether Envoy stays up while requests of a megabyte fail over by the attempt, in the form that is rendered: with
//! Weir, or with a processor that changes nothing (`--processor noop`).
//!
//! A hundred clients send bodies of 1 MB for five minutes. Every other request's first provider answers 503, and
//! Envoy tries the second. In the middle the processor is stopped for three seconds. What counts is that Envoy is the
//! same process at the end, and that no request fails but those of the stop. `--worse` shows the forms that end Envoy
//! 1.40.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a bench prints what it found")]

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use clap::Parser;
use tokio::process::Command;
use weir::config::{Options, Source};
use weir::render::envoy::{CLUSTERS_FILE, ExtProc, Plan};
use weir::render::files;
use weir::up::RunDir;
use weir::up::install;
use weir::up::process::{Envoy, Launch};

#[path = "soak/attempts.rs"]
mod attempts;
#[path = "soak/config.rs"]
mod config;
#[path = "soak/providers.rs"]
mod providers;
#[path = "rig/server.rs"]
mod server;
mod support;

use server::Server;
use support::load::{Amount, Load};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Debug, Parser)]
struct Args {
    /// Be the processor that changes nothing, with its socket in this directory.
    #[arg(long, value_name = "DIR", hide = true)]
    serve: Option<PathBuf>,
    #[arg(long, value_enum, default_value_t = Processor::Weir)]
    processor: Processor,
    #[arg(long, default_value_t = 300)]
    seconds: u64,
    #[arg(long, default_value_t = 100)]
    clients: usize,
    /// Bytes of each body.
    #[arg(long, default_value_t = 1_000_000)]
    body: usize,
    /// What an attempt is answered by the processor that changes nothing.
    #[arg(long, value_enum, default_value_t = Attempt::Replace)]
    attempt: Attempt,
    /// Make the filter worse than it is rendered.
    #[arg(long, value_enum)]
    worse: Option<config::Worse>,
    /// Worker threads of Envoy.
    #[arg(long, default_value_t = 2)]
    threads: u32,
    /// Cargo adds it.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Processor {
    Weir,
    Noop,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Attempt {
    /// Nothing.
    Head,
    /// The body anew (`CONTINUE_AND_REPLACE`).
    Replace,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let result = weir::app::runtime(None).map_err(Into::into).and_then(|runtime| {
        runtime.block_on(async {
            match &args.serve {
                Some(directory) => attempts::serve(directory, args.body, args.attempt == Attempt::Replace).await,
                None => soak(&args).await,
            }
        })
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn soak(args: &Args) -> Result<(), Box<dyn Error>> {
    let binary = install::locate(None).await?;
    let version = install::version(&binary).await?;
    let directory = RunDir::create()?;
    let providers = providers::start(args.body).await?;
    let documents = config::documents(directory.path(), providers.bad, providers.good);
    let mut command = processor(args, directory.path(), &documents)?;
    let processor = Server::start(command.stderr(Stdio::inherit())).await?;
    let (mut envoy, address, admin) = start_envoy(args, &binary, &version, directory.path(), documents).await?;
    let pid = envoy.pid().ok_or("Envoy is gone")?;
    println!("Envoy {version}, pid {pid}; {} clients, {} bytes, {} s", args.clients, args.body, args.seconds);
    let socket = processor.said("extproc").unwrap_or_default();
    println!("processor: {:?} at {socket}, ready after {:?}", args.processor, processor.took);

    let load = Load {
        address,
        request: request(args.body),
        connections: args.clients,
        warm_up: Duration::ZERO,
        amount: Amount::For(Duration::from_secs(args.seconds)),
    };
    let begun = Instant::now();
    let pause = async {
        tokio::time::sleep(Duration::from_secs(args.seconds / 2)).await;
        signal(processor.pid, "-STOP").await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        signal(processor.pid, "-CONT").await;
        std::future::pending::<()>().await;
    };
    let outcome = tokio::select! {
        outcome = support::load::run(&load) => outcome?,
        status = envoy.wait() => return Err(format!("Envoy ended after {:?}: {:?}", begun.elapsed(), status?).into()),
        () = pause => return Err("unreachable".into()),
    };
    let same = envoy.pid() == Some(pid) && Path::new(&format!("/proc/{pid}")).exists();
    println!("200: {}, else: {}, {:.0} a second", outcome.requests, outcome.errors, outcome.rps());
    println!("failed first: {}, answered: {}", providers.refused(), providers.answered());
    println!("{}", config::stats(admin).await?);
    envoy.stop().await?;
    processor.stop().await?;
    match same {
        true => Ok(()),
        false => Err("Envoy is not the process that it was".into()),
    }
}

fn processor(args: &Args, directory: &Path, documents: &str) -> Result<Command, Box<dyn Error>> {
    if args.processor == Processor::Weir {
        let path = directory.join("weir.yaml");
        std::fs::write(&path, documents)?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
        command.args(["run", "--config"]).arg(path).env("WEIR_LOG", "error");
        return Ok(command);
    }
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--serve").arg(directory).args(["--body", &args.body.to_string()]);
    command.args(["--attempt", if args.attempt == Attempt::Replace { "replace" } else { "head" }]);
    Ok(command)
}

async fn start_envoy(
    args: &Args,
    binary: &Path,
    version: &str,
    directory: &Path,
    documents: String,
) -> Result<(Envoy, SocketAddr, SocketAddr), Box<dyn Error>> {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let source = Source { files: vec![("weir.yaml".to_owned(), documents)], ..Source::default() };
    let compiled = weir::app::load(&source, &Options::default())?;
    let plan = Plan {
        listen: any,
        admin: any,
        extproc: ExtProc::Unix(&directory.join(attempts::SOCKET)),
        files: directory,
        access_log: None,
        system_ca: &files::system_ca(),
        body_mode: weir::render::envoy::BodyMode::FullDuplex,
        max_request: 32 << 20,
        max_wait: Duration::from_secs(240),
        upstreams: &compiled.policy.upstreams,
        chains: &compiled.policy.chains,
        follows: false,
        node_id: "soak",
        envoy_version: version,
    };
    let config = files::write(&plan)?;
    if let Some(worse) = args.worse {
        config::worsen(&directory.join(CLUSTERS_FILE), worse)?;
    }
    let launch = Launch {
        envoy: binary,
        config: &config,
        directory,
        listen: any,
        admin: any,
        concurrency: Some(args.threads),
        log_level: "error",
    };
    let mut envoy = Envoy::spawn(&launch)?;
    let ready = envoy.wait_ready(Duration::from_secs(30)).await?;
    Ok((envoy, ready.listen, ready.admin))
}

/// A chat of so many bytes.
fn request(bytes: usize) -> Vec<u8> {
    let (head, tail) = (r#"{"model":"gpt-4o-mini","messages":[{"role":"user","content":""#, r#""}]}"#);
    let text = "weir ".repeat(bytes / 5 + 1);
    let body = format!("{head}{}{tail}", &text[..bytes.saturating_sub(head.len() + tail.len())]);
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: llm.internal\r\ncontent-type: application/json\r\ncontent-length: \
         {bytes}\r\n\r\n"
    );
    [head.into_bytes(), body.into_bytes()].concat()
}

async fn signal(pid: u32, name: &str) {
    // A process that is gone shows in the outcome.
    let _ = Command::new("kill").arg(name).arg(pid.to_string()).status().await;
}
