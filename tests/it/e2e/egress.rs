//! What every suite of calls stands on: `weir up` as a child process, with the mock provider behind
//! it and another one beside it. Everything ends when the fixture is dropped.
//!
//! In a configuration `{mock}` stands for the mock's `host:port`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::OnceCell;
use weir::mock::Mock;
use weir::render::envoy::{BodyMode, EXTPROC_CLUSTER};
use weir::up::RunDir;
use weir::up::install;

use super::ledger;
use crate::support::envoy_stats::{Admin, Exceptions, Oracle};
use crate::support::process::{self, Child, Stream};

/// One backend, the mock, and nothing else.
pub const ONE_BACKEND: &str = "\
apiVersion: weir.dev/v1alpha1
kind: LLMProfile
metadata: {name: default}
spec: {discovery: {environment: Disabled}}
---
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: mock}
spec: {endpoint: \"http://{mock}/v1\", dialect: OpenAI, credentials: [{type: None}]}
";

/// How long a process may take to be ready.
const START: Duration = Duration::from_secs(60);

/// `weir up` as a child process, with a mock behind it and another beside it.
pub struct Egress {
    /// Where calls through the egress end.
    pub mock: Mock,
    /// Its twin, for the same call without anything between.
    pub direct: Mock,
    pub weir: Child,
    /// Envoy's listener, as `host:port`.
    pub address: String,
    /// Weir's admin endpoint, as `host:port`.
    pub admin: String,
    /// What it was started with.
    pub config: PathBuf,
    _directory: RunDir,
    /// Where `up` keeps its files.
    pub run_directory: PathBuf,
    /// Envoy's process.
    pub envoy: u32,
    oracle: Oracle,
}

/// The path of an Envoy, which is installed if need be. Panics, and says why, when it cannot be had.
pub async fn envoy() -> &'static Path {
    static ENVOY: OnceCell<PathBuf> = OnceCell::const_new();
    let located = || async { install::locate(None).await };
    ENVOY.get_or_try_init(located).await.unwrap_or_else(|error| panic!("these tests need an Envoy: {error}"))
}

/// A mock on a port of its own.
pub(super) async fn mock() -> Mock {
    Mock::start(TcpListener::bind("127.0.0.1:0").await.expect("a free port")).await
}

/// A `weir` command that sees nothing of this process's environment but what it needs, and `more`.
async fn weir(arguments: &[&str], more: &[(&str, &str)]) -> Command {
    let mut command = process::weir(arguments);
    let kept = ["PATH", "HOME", "TMPDIR"].into_iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
    command.env_clear().envs(kept).env("WEIR_ENVOY", envoy().await).envs(more.iter().copied());
    command
}

// === impl Egress ===

impl Egress {
    /// Brings up an egress with this configuration.
    pub async fn up(mode: BodyMode, config: &str) -> Egress {
        Egress::up_with(mode, config, &[]).await
    }

    /// The same with more in Weir's environment.
    pub async fn up_with(mode: BodyMode, config: &str, environment: &[(&str, &str)]) -> Egress {
        let (mock, direct) = (mock().await, mock().await);
        let directory = RunDir::create().expect("a temporary directory");
        let file = directory.file("weir.yaml");
        std::fs::write(&file, config.replace("{mock}", &mock.addr().to_string())).expect("a file of our own");
        let path = file.to_str().expect("text");
        let mode = match mode {
            BodyMode::FullDuplex => "full-duplex",
            BodyMode::BufferedStreamed => "buffered-streamed",
            BodyMode::Buffered => "buffered",
        };
        let arguments = ["up", "--config", path, "--port", "0", "--admin-port", "0", "--body-mode", mode];
        let mut command = weir(&arguments, environment).await;
        command.env("XDG_STATE_HOME", directory.path());
        let weir = Child::spawn("weir up", command);
        let ready = weir.ready_line("ready ", START);
        let address = process::ready_value(&ready, "base_url");
        let address = address.trim_start_matches("http://").trim_end_matches("/v1").to_owned();
        let admin = process::ready_value(&ready, "admin").trim_start_matches("http://").to_owned();
        let told = weir.line(Stream::Stderr, |line| line.starts_with("Envoy: "), START);
        let told = told.unwrap_or_else(|| panic!("no word about Envoy:\n{}", weir.written()));
        let envoy = process::ready_value(&told, "process").parse().expect("a process id");
        let oracle = Oracle::new(Admin::new(&process::ready_value(&told, "admin")), envoy, &[EXTPROC_CLUSTER]);
        let run_directory = process::ready_value(&told, "directory").into();
        Egress { mock, direct, weir, address, admin, config: file, _directory: directory, run_directory, envoy, oracle }
    }

    /// The address of the mock that is asked directly.
    pub fn direct(&self) -> String {
        self.direct.addr().to_string()
    }

    /// What an SDK is told: `http://HOST:PORT/v1`.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// The ledger once it holds `count` records, or after a wait that is far too long, as it is.
    pub async fn ledger_of(&self, count: usize) -> Vec<serde_json::Value> {
        ledger::wait_for(&self.run_directory.join("usage.jsonl"), count).await
    }

    /// Panics when Envoy complains of anything, has ended, or sent upstream another number of
    /// requests than the mock received.
    pub async fn assert_clean(&self, exceptions: &Exceptions) {
        self.oracle.assert_clean(|| async { self.mock.tally().requests }, exceptions).await;
    }
}
