//! [io] Attempts: Weir with its two filters, that of the route and that of the backend's cluster, against a no-op with
//! both, where the first backend answers and where it fails. The providers are here, so that they see when an attempt
//! has failed and when the next one comes.

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use tokio::process::Command;
use tokio::task::JoinSet;
use weir::config::{Options, Source};
use weir::render::envoy::{ExtProc, Plan};
use weir::render::files;
use weir::target::{Chain, Upstream};
use weir::up::RunDir;
use weir::up::install;
use weir::up::process::{Envoy, Launch};

use super::providers::Providers;
use super::rounds::{Effort, median, micros};
use super::server::Server;
use crate::support::histogram::Histogram;
use crate::support::load::{self, Amount, Load, Outcome};
use crate::support::noop::ORDER;
use crate::support::proc;

/// A processor behind an Envoy, and which backend comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    pub weir: bool,
    pub fails: bool,
}

/// What one way came to, a round each.
pub struct Cell {
    pub way: Way,
    pub samples: Vec<Sample>,
    /// From the answer of the attempt that failed to the next attempt at its provider, over all rounds.
    pub added: Histogram,
}

pub struct Sample {
    pub rps: f64,
    /// Microseconds.
    pub p50: f64,
    pub p99: f64,
    /// Microseconds of CPU time a request.
    pub envoy: f64,
    pub processor: f64,
    pub errors: u64,
}

/// An Envoy and its processor.
struct Lane {
    envoy: Envoy,
    envoy_pid: u32,
    address: SocketAddr,
    processor: Server,
}

pub struct Stand {
    providers: Providers,
    noop: Lane,
    weir: Lane,
    /// Removed last.
    _directories: [RunDir; 2],
}

const START: Duration = Duration::from_secs(30);

/// Two rules over the same two backends, in either order. None is left alone after a failure, so that every call of the
/// second rule fails over.
fn documents(directory: &Path, providers: &Providers) -> String {
    let backend = |name: &str, at: SocketAddr| {
        format!(
            "apiVersion: weir.dev/v1alpha1\nkind: LLMBackend\nmetadata: {{name: {name}}}\n\
             spec: {{endpoint: 'http://{at}/v1', dialect: OpenAI, credentials: [{{type: APIKey, apiKey: {{value: sk-bench}}}}]}}\n---\n"
        )
    };
    let rule = |model: &str, [first, second]: [&str; 2]| {
        format!(
            "  - name: {model}\n    matches: [{{model: {{value: {model}}}}}]\n    \
             backends: [{{name: {first}, model: gpt-4o-mini, priority: 0}}, {{name: {second}, model: gpt-4o-mini, priority: 1}}]\n    \
             failover: PerAttempt\n    retry: {{attempts: 1, on: [ServerError, ConnectFailure], cooldown: 0s}}\n"
        )
    };
    let directory = directory.display();
    format!(
        "apiVersion: weir.dev/v1alpha1\nkind: WeirBootstrap\nmetadata: {{name: process}}\nspec:\n  \
         listen: {{extProc: 'unix:{directory}/extproc.sock', adminSocket: 'unix:{directory}/admin.sock', metrics: '127.0.0.1:0'}}\n  \
         ledger: {{path: '{directory}/usage.jsonl'}}\n---\n{}{}\
         apiVersion: weir.dev/v1alpha1\nkind: LLMRoute\nmetadata: {{name: bench}}\nspec:\n  rules:\n{}{}",
        backend("bad", providers.bad),
        backend("good", providers.good),
        rule("answers", ["good", "bad"]),
        rule("fails", ["bad", "good"]),
    )
}

// === impl Way ===

impl Way {
    pub const ALL: [Way; 4] = [
        Way { weir: false, fails: false },
        Way { weir: true, fails: false },
        Way { weir: false, fails: true },
        Way { weir: true, fails: true },
    ];

    pub fn name(self) -> &'static str {
        match (self.weir, self.fails) {
            (false, false) => "no-op, the first answers",
            (true, false) => "Weir, the first answers",
            (false, true) => "no-op, the first fails",
            (true, true) => "Weir, the first fails",
        }
    }

    /// One call; `lane` is the connection that it comes on.
    fn request(self, size: usize, lane: usize) -> Vec<u8> {
        let (model, order) = if self.fails { ("fails", "bad,good") } else { ("answers", "good,bad") };
        let (head, tail) =
            (format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":""#), r#""}]}"#.to_owned());
        let text = "x".repeat(size - head.len() - tail.len());
        format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: llm.internal\r\nauthorization: Bearer any\r\n\
             content-type: application/json\r\n{ORDER}: {order}\r\n{}: {lane}\r\ncontent-length: {size}\r\n\r\n\
             {head}{text}{tail}",
            super::providers::LANE
        )
        .into_bytes()
    }
}

// === impl Stand ===

impl Stand {
    pub async fn start(threads: u32) -> Result<Self, Box<dyn Error>> {
        let providers = Providers::start().await?;
        let directories = [RunDir::create()?, RunDir::create()?];
        let [noop, weir] = [directories[0].path(), directories[1].path()];
        let (mut command, socket) = (Command::new(std::env::current_exe()?), noop.join("extproc.sock"));
        // It hears both roles at one socket.
        std::os::unix::fs::symlink(&socket, weir::render::attempt::socket(&socket))?;
        let noop = Lane::start(noop, command.arg("--noop").arg(&socket), &providers, threads).await?;
        let config = weir.join("weir.yaml");
        std::fs::write(&config, documents(weir, &providers))?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
        command.arg("run").arg("--config").arg(config).env("WEIR_LOG", "error");
        let weir = Lane::start(weir, &mut command, &providers, threads).await?;
        Ok(Stand { providers, noop, weir, _directories: directories })
    }

    /// Drives each way in turn, round after round; a round begins with another one each time.
    pub async fn drive(&self, connections: usize, size: usize, effort: Effort) -> Result<Vec<Cell>, Box<dyn Error>> {
        let cell = |way| Cell { way, samples: Vec::new(), added: Histogram::new() };
        let mut cells: Vec<Cell> = Way::ALL.into_iter().map(cell).collect();
        for round in 0..effort.rounds {
            for at in 0..cells.len() {
                let cell = &mut cells[(at + round) % Way::ALL.len()];
                self.run(cell.way, connections, size, effort.warm_up).await?;
                self.providers.take_added();
                let sample = self.run(cell.way, connections, size, effort.slot).await?;
                cell.samples.push(sample);
                cell.added.merge(&self.providers.take_added());
            }
        }
        Ok(cells)
    }

    async fn run(&self, way: Way, connections: usize, size: usize, slot: Duration) -> Result<Sample, Box<dyn Error>> {
        let lane = if way.weir { &self.weir } else { &self.noop };
        let before = lane.cpu()?;
        let mut loads = JoinSet::new();
        for at in 0..connections {
            let load = Load {
                address: lane.address,
                request: way.request(size, at),
                connections: 1,
                warm_up: Duration::ZERO,
                amount: Amount::For(slot),
            };
            loads.spawn(async move { load::run(&load).await });
        }
        let mut all = Outcome { requests: 0, errors: 0, elapsed: Duration::ZERO, latency: Histogram::new() };
        while let Some(one) = loads.join_next().await {
            let one = one??;
            all.requests += one.requests;
            all.errors += one.errors;
            all.elapsed = all.elapsed.max(one.elapsed);
            all.latency.merge(&one.latency);
        }
        let (after, count) = (lane.cpu()?, (all.requests + all.errors).max(1) as f64);
        Ok(Sample {
            rps: all.rps(),
            p50: micros(all.p50()),
            p99: micros(all.p99()),
            envoy: micros(after.0.saturating_sub(before.0)) / count,
            processor: micros(after.1.saturating_sub(before.1)) / count,
            errors: all.errors,
        })
    }

    pub async fn stop(self) -> Result<(), Box<dyn Error>> {
        for lane in [self.noop, self.weir] {
            lane.envoy.stop().await?;
            lane.processor.stop().await?;
        }
        Ok(())
    }
}

// === impl Lane ===

impl Lane {
    /// `command` is a processor with its socket in `directory`.
    async fn start(
        directory: &Path,
        command: &mut Command,
        providers: &Providers,
        threads: u32,
    ) -> Result<Self, Box<dyn Error>> {
        let processor = Server::start(command).await?;
        let source =
            Source { files: vec![("weir.yaml".to_owned(), documents(directory, providers))], ..Source::default() };
        let compiled = weir::app::load(&source, &Options::default())?;
        let (envoy, address) =
            start_envoy(directory, &compiled.policy.upstreams, &compiled.policy.chains, threads).await?;
        let envoy_pid = envoy.pid().ok_or("Envoy is gone")?;
        // A way whose first call does not come through measures nothing.
        let load = |fails| Load {
            address,
            request: Way { weir: false, fails }.request(512, 0),
            connections: 1,
            warm_up: Duration::ZERO,
            amount: Amount::Requests(1),
        };
        for fails in [false, true] {
            if load::run(&load(fails)).await?.requests == 0 {
                envoy.stop().await?;
                return Err(format!("no answer, fails: {fails}").into());
            }
        }
        Ok(Lane { envoy, envoy_pid, address, processor })
    }

    fn cpu(&self) -> std::io::Result<(Duration, Duration)> {
        Ok((proc::cpu_time(self.envoy_pid)?, proc::cpu_time(self.processor.pid)?))
    }
}

async fn start_envoy(
    directory: &Path,
    upstreams: &[Upstream],
    chains: &[Chain],
    threads: u32,
) -> Result<(Envoy, SocketAddr), Box<dyn Error>> {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let binary = install::locate(None).await?;
    let plan = Plan {
        listen: any,
        admin: any,
        extproc: ExtProc::Unix(&directory.join("extproc.sock")),
        files: directory,
        access_log: None,
        system_ca: &files::system_ca(),
        body_mode: weir::render::envoy::BodyMode::FullDuplex,
        max_request: 32 << 20,
        max_wait: Duration::from_secs(240),
        upstreams,
        chains,
        follows: false,
        node_id: "bench",
        envoy_version: &install::version(&binary).await?,
    };
    let config = files::write(&plan)?;
    let launch = Launch {
        envoy: &binary,
        config: &config,
        directory,
        listen: any,
        admin: any,
        concurrency: Some(threads),
        log_level: "error",
    };
    let mut envoy = Envoy::spawn(&launch)?;
    let ready = envoy.wait_ready(START).await?;
    Ok((envoy, ready.listen))
}

// === impl Cell ===

impl Cell {
    pub fn median(&self, of: impl Fn(&Sample) -> f64) -> f64 {
        median(self.samples.iter().map(of))
    }

    pub fn errors(&self) -> u64 {
        self.samples.iter().map(|sample| sample.errors).sum()
    }

    /// The median over the rounds of what `compare` makes of this cell's sample and the other's.
    pub fn against(&self, other: &Cell, compare: impl Fn(&Sample, &Sample) -> f64) -> f64 {
        median(self.samples.iter().zip(&other.samples).map(|(mine, theirs)| compare(mine, theirs)))
    }
}
