//! Whether Envoy stays up while requests of a megabyte fail over: the form in which attempts are told to Weir, tried
//! with a processor that changes nothing, before anything is built on it.
//!
//! A hundred clients send bodies of 1 MB for five minutes. Every other request's first provider answers 503, and
//! Envoy tries the second. Each attempt is told to the processor by an ext_proc filter of the provider's cluster
//! (role `attempt`), through a cluster of its own, with the head alone; the answer names the next provider and, with
//! `--attempt replace`, brings the whole body. In the middle the processor is stopped for three seconds. What counts
//! is that Envoy is the same process at the end, and that no request fails but those of the stop.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a bench prints what it found")]

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use clap::Parser;
use tokio::process::Command;
use weir::render::envoy::{BOOTSTRAP_FILE, CLUSTERS_FILE, ExtProc, Plan, ROUTES_FILE};
use weir::render::files;
use weir::target::Upstream;
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
    /// Be the processor, with its sockets in this directory.
    #[arg(long, value_name = "DIR", hide = true)]
    processor: Option<PathBuf>,
    #[arg(long, default_value_t = 300)]
    seconds: u64,
    #[arg(long, default_value_t = 100)]
    clients: usize,
    /// Bytes of each body.
    #[arg(long, default_value_t = 1_000_000)]
    body: usize,
    /// What an attempt is answered.
    #[arg(long, value_enum, default_value_t = Attempt::Replace)]
    attempt: Attempt,
    /// Both roles through one cluster, the form that ends Envoy 1.40: to see that this bench would.
    #[arg(long)]
    shared: bool,
    /// Worker threads of Envoy.
    #[arg(long, default_value_t = 2)]
    threads: u32,
    /// Cargo adds it.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Attempt {
    /// The next provider, and nothing else.
    Head,
    /// The body anew as well (`CONTINUE_AND_REPLACE`).
    Replace,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let result = weir::app::runtime(None).map_err(Into::into).and_then(|runtime| {
        runtime.block_on(async {
            match &args.processor {
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
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--processor").arg(directory.path()).args(["--body", &args.body.to_string()]);
    command.args(["--attempt", if args.attempt == Attempt::Replace { "replace" } else { "head" }]);
    let processor = Server::start(command.stderr(Stdio::inherit())).await?;
    let (mut envoy, address, admin) = start_envoy(args, &binary, &version, directory.path(), &providers).await?;
    let pid = envoy.pid().ok_or("Envoy is gone")?;
    println!("Envoy {version}, pid {pid}; {} clients, {} bytes, {} s", args.clients, args.body, args.seconds);
    let socket = processor.said("extproc").unwrap_or_default();
    println!("processor at {socket}, ready after {:?}", processor.took);

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

async fn start_envoy(
    args: &Args,
    binary: &Path,
    version: &str,
    directory: &Path,
    providers: &providers::Providers,
) -> Result<(Envoy, SocketAddr, SocketAddr), Box<dyn Error>> {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let upstream = |name: &str, at: SocketAddr| Upstream {
        name: name.into(),
        https: false,
        host: at.ip().to_string(),
        port: at.port(),
        ca: None,
        server_name: None,
    };
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
        upstreams: &[upstream("bad", providers.bad), upstream("good", providers.good)],
        chains: &[],
        node_id: "soak",
        envoy_version: version,
    };
    let config = files::write(&plan)?;
    config::edit(&directory.join(BOOTSTRAP_FILE), config::add_attempts)?;
    config::edit(&directory.join(CLUSTERS_FILE), |clusters| config::tell_attempts(clusters, args.shared))?;
    config::edit(&directory.join(ROUTES_FILE), config::fail_over)?;
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

fn request(bytes: usize) -> Vec<u8> {
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: llm.internal\r\ncontent-type: application/json\r\ncontent-length: \
         {bytes}\r\n\r\n"
    );
    [head.into_bytes(), vec![b'a'; bytes]].concat()
}

async fn signal(pid: u32, name: &str) {
    // A process that is gone shows in the outcome.
    let _ = Command::new("kill").arg(name).arg(pid.to_string()).status().await;
}
