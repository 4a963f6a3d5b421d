//! [io] Everything that runs: one mock, the no-op processor, Weir with limits, without, and with a cache, and an Envoy
//! before each of the five ways to the mock. All use the configuration that Weir itself renders.

use std::error::Error;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::process::Command;
use weir::render::envoy::{BOOTSTRAP_FILE, ExtProc, Plan, ROUTES_FILE};
use weir::render::files;
use weir::target::Upstream;
use weir::up::RunDir;
use weir::up::install;
use weir::up::process::{Envoy, Launch};

use super::server::Server;
use crate::support::noop;

const WEIR: &str = env!("CARGO_BIN_EXE_weir");
const START: Duration = Duration::from_secs(30);

/// A way from the client to the mock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {
    /// Envoy without a processor.
    Bare,
    Noop,
    /// Weir, with a body that it does not read as a call.
    Pass,
    /// Weir, with a call, and no limits.
    Unlimited,
    /// Weir, with a call: everything that there is, three limits among it.
    Full,
    /// Weir without limits, with a call that it answers from memory.
    Hit,
    /// The same with a call that may not be answered from memory: it is read for its key, and its answer is kept.
    Miss,
}

/// An Envoy and where it listens.
pub struct Proxy {
    envoy: Envoy,
    pub address: SocketAddr,
    pub pid: u32,
}

pub struct Stand {
    mock: Server,
    noop: Server,
    pub weir: Server,
    unlimited: Server,
    cached: Server,
    bare_proxy: Proxy,
    noop_proxy: Proxy,
    weir_proxy: Proxy,
    unlimited_proxy: Proxy,
    cached_proxy: Proxy,
    pub envoy_version: String,
    pub threads: u32,
    /// Removed last.
    directory: RunDir,
}

/// How Weir is configured: an alias, a key, a price, a ledger, and every response header.
fn configuration(directory: &Path, mock: SocketAddr) -> String {
    let directory = directory.display();
    format!(
        r#"
apiVersion: weir.dev/v1alpha1
kind: WeirBootstrap
metadata: {{name: process}}
spec:
  listen: {{extProc: "unix:{directory}/extproc.sock", adminSocket: "unix:{directory}/admin.sock", metrics: "127.0.0.1:0"}}
  ledger: {{path: "{directory}/usage.jsonl"}}
---
apiVersion: weir.dev/v1alpha1
kind: LLMProfile
metadata: {{name: default}}
spec: {{responseHeaders: [RequestId, Backend, Model, Cost, Tokens]}}
---
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {{name: {backend}}}
spec: {{provider: openai, endpoint: "http://{mock}/v1", credentials: [{{type: APIKey, apiKey: {{env: WEIR_BENCH_KEY}}}}]}}
---
apiVersion: weir.dev/v1alpha1
kind: LLMRoute
metadata: {{name: bench}}
spec:
  rules:
  - name: alias
    matches: [{{model: {{value: fast}}}}]
    backends: [{{name: {backend}, model: gpt-4o-mini}}]
"#,
        backend = noop::ROUTE.1
    )
}

/// Three limits that nobody reaches, of which each call asks all.
const LIMITS: &str = concat!("\n---\n", include_str!("../support/limits.yaml"));

/// Answers are kept; the bench's caller has no name, so all callers are one.
const CACHE: &str = "
---
apiVersion: weir.dev/v1alpha1
kind: LLMCachePolicy
metadata: {name: bench}
spec: {scope: Shared, exact: {ttl: 1h}}
";

/// Starts `weir run` with its socket, ledger and configuration in `directory`, and these documents more.
pub async fn start_weir(directory: &Path, mock: SocketAddr, more: &str) -> io::Result<Server> {
    let config = directory.join("weir.yaml");
    std::fs::write(&config, configuration(directory, mock) + more)?;
    let mut command = Command::new(WEIR);
    command.arg("run").arg("--config").arg(config);
    Server::start(command.env("WEIR_BENCH_KEY", "sk-bench").env("WEIR_LOG", "error")).await
}

// === impl Row ===

impl Row {
    pub const ALL: [Row; 7] = [Row::Bare, Row::Noop, Row::Pass, Row::Unlimited, Row::Full, Row::Hit, Row::Miss];

    pub fn name(self) -> &'static str {
        match self {
            Row::Bare => "Envoy alone",
            Row::Noop => "no-op ext_proc",
            Row::Pass => "Weir, pass",
            Row::Unlimited => "Weir, without limits",
            Row::Full => "Weir, everything on",
            Row::Hit => "Weir, from memory",
            Row::Miss => "Weir, kept in memory",
        }
    }
}

// === impl Stand ===

impl Stand {
    /// Starts everything; each Envoy with `threads` workers.
    pub async fn start(threads: u32) -> Result<Self, Box<dyn Error>> {
        let binary = install::locate(None).await?;
        let envoy_version = install::version(&binary).await?;
        let directory = RunDir::create()?;
        let mock = Server::start(Command::new(WEIR).args(["mock", "--port", "0"])).await?;
        let mock_address = address_of(&mock)?;
        let socket = directory.file("noop.sock");
        let noop = Server::start(Command::new(std::env::current_exe()?).arg("--noop").arg(&socket)).await?;
        let weir = start_weir(directory.path(), mock_address, LIMITS).await?;
        let unlimited = directory.file("unlimited");
        make(&unlimited)?;
        let other = start_weir(&unlimited, mock_address, "").await?;
        let caching = directory.file("caching");
        make(&caching)?;
        let cached = start_weir(&caching, mock_address, CACHE).await?;
        let start = async |name: &str, socket: &Path, bare: bool| {
            let folder = directory.file(name);
            make(&folder)?;
            Proxy::start(&binary, &envoy_version, &folder, socket, mock_address, threads, bare).await
        };
        let bare_proxy = start("bare", &socket, true).await?;
        let noop_proxy = start("noop", &socket, false).await?;
        let weir_proxy = start("weir", &directory.file("extproc.sock"), false).await?;
        let unlimited_proxy = start("other", &unlimited.join("extproc.sock"), false).await?;
        let cached_proxy = start("cached", &caching.join("extproc.sock"), false).await?;
        Ok(Stand {
            mock,
            noop,
            weir,
            unlimited: other,
            cached,
            bare_proxy,
            noop_proxy,
            weir_proxy,
            unlimited_proxy,
            cached_proxy,
            envoy_version,
            threads,
            directory,
        })
    }

    pub fn proxy(&self, row: Row) -> &Proxy {
        match row {
            Row::Bare => &self.bare_proxy,
            Row::Noop => &self.noop_proxy,
            Row::Pass | Row::Full => &self.weir_proxy,
            Row::Unlimited => &self.unlimited_proxy,
            Row::Hit | Row::Miss => &self.cached_proxy,
        }
    }

    /// The process id of the processor behind a row.
    pub fn processor(&self, row: Row) -> Option<u32> {
        match row {
            Row::Bare => None,
            Row::Noop => Some(self.noop.pid),
            Row::Pass | Row::Full => Some(self.weir.pid),
            Row::Unlimited => Some(self.unlimited.pid),
            Row::Hit | Row::Miss => Some(self.cached.pid),
        }
    }

    /// How long fresh processes of Weir need until they are ready.
    pub async fn cold_starts(&self, count: usize) -> Result<Vec<Duration>, Box<dyn Error>> {
        let mock = address_of(&self.mock)?;
        let mut all = Vec::new();
        for at in 0..count {
            let folder = self.directory.file(&format!("cold-{at}"));
            make(&folder)?;
            let server = start_weir(&folder, mock, LIMITS).await?;
            all.push(server.took);
            server.stop().await?;
        }
        all.sort();
        Ok(all)
    }

    pub async fn stop(self) -> Result<(), Box<dyn Error>> {
        let Stand { bare_proxy, noop_proxy, weir_proxy, unlimited_proxy, cached_proxy, .. } = self;
        for proxy in [bare_proxy, noop_proxy, weir_proxy, unlimited_proxy, cached_proxy] {
            proxy.envoy.stop().await?;
        }
        for server in [self.weir, self.unlimited, self.cached, self.noop, self.mock] {
            server.stop().await?;
        }
        Ok(())
    }
}

/// A directory that nobody but us may enter, or Weir would not sign.
fn make(folder: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().mode(0o700).create(folder)
}

fn address_of(mock: &Server) -> Result<SocketAddr, Box<dyn Error>> {
    let url = mock.said("base_url").ok_or("the mock told no address")?;
    Ok(url.trim_start_matches("http://").trim_end_matches("/v1").parse()?)
}

// === impl Proxy ===

impl Proxy {
    async fn start(
        binary: &Path,
        version: &str,
        folder: &Path,
        socket: &Path,
        mock: SocketAddr,
        threads: u32,
        bare: bool,
    ) -> Result<Self, Box<dyn Error>> {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let upstream = Upstream {
            name: noop::ROUTE.1.into(),
            https: false,
            host: mock.ip().to_string(),
            port: mock.port(),
            ca: None,
            server_name: None,
        };
        let plan = Plan {
            listen: any,
            admin: any,
            extproc: ExtProc::Unix(socket),
            files: folder,
            access_log: None,
            system_ca: &files::system_ca(),
            body_mode: weir::render::envoy::BodyMode::FullDuplex,
            max_request: 32 << 20,
            max_wait: std::time::Duration::from_secs(240),
            upstreams: &[upstream],
            chains: &[],
            follows: false,
            node_id: "bench",
            envoy_version: version,
        };
        let config: PathBuf = files::write(&plan)?;
        if bare {
            without_processor(folder)?;
        }
        let launch = Launch {
            envoy: binary,
            config: &config,
            directory: folder,
            listen: any,
            admin: any,
            concurrency: Some(threads),
            log_level: "error",
        };
        let mut envoy = Envoy::spawn(&launch)?;
        let ready = envoy.wait_ready(START).await?;
        let pid = envoy.pid().ok_or("Envoy is gone")?;
        Ok(Proxy { envoy, address: ready.listen, pid })
    }
}

/// Takes the processor out of a rendered configuration, and sends every request to the mock.
fn without_processor(folder: &Path) -> io::Result<()> {
    edit(&folder.join(BOOTSTRAP_FILE), |bootstrap| {
        let manager = &mut bootstrap["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0];
        let Some(filters) = manager["typed_config"]["http_filters"].as_array_mut() else { return };
        filters.retain(|filter| filter["name"] != "envoy.filters.http.ext_proc");
    })?;
    edit(&folder.join(ROUTES_FILE), |routes| {
        let host = &mut routes["resources"][0]["virtual_hosts"][0];
        host["routes"] = json!([{"match": {"prefix": "/"}, "route": {"cluster": noop::ROUTE.1, "timeout": "0s"}}]);
    })
}

fn edit(path: &Path, change: impl FnOnce(&mut Value)) -> io::Result<()> {
    let mut value = serde_json::from_slice(&std::fs::read(path)?)?;
    change(&mut value);
    std::fs::write(path, serde_json::to_vec(&value)?)
}
