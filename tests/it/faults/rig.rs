//! Mock, Weir as a process of its own and a real Envoy between a test and them; every part can be
//! stopped, killed and started anew while the others run.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixStream};
use weir::app;
use weir::config::{Options, Source};
use weir::mock::Mock;
use weir::render::attempt::CLUSTER as ATTEMPT_CLUSTER;
use weir::render::envoy::{BodyMode, EXTPROC_CLUSTER, ExtProc, Plan};
use weir::render::files;
use weir::up::RunDir;
use weir::up::install;
use weir::up::process::{Envoy, Launch};

pub use super::samples::Samples;
use crate::support::envoy_stats::{Admin, Exceptions, Oracle};
use crate::support::http1::{self, Connection, Request};
use crate::support::http1_parse::Parser;
use crate::support::process::{self, Child};
use crate::support::response::Response;

/// A bound that only a broken product reaches, on however slow a machine.
pub const LONG: Duration = Duration::from_secs(60);

/// Between two looks at something that will come.
const POLL: Duration = Duration::from_millis(20);

pub const CHAT: &str = "/v1/chat/completions";

/// The key that the backend of the rig has, from Weir's environment.
pub const KEY: &str = "sk-canary-of-the-environment";

/// The backend that leads to the mock. Prices in nano-USD a token: input 150, cached 75, output 600.
pub const BACKEND: &str = "
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: main}
spec:
  endpoint: http://{mock}/v1
  dialect: OpenAI
  credentials: [{type: APIKey, apiKey: {env: RIG_KEY}}]
  pricing:
    models:
    - {model: alpha, input: '0.15', cacheRead: '0.075', output: '0.60'}
    - {model: beta, input: '0.15', cacheRead: '0.075', output: '0.60'}
";

/// What a rig is made of.
pub struct Parts {
    /// Fields of the WeirBootstrap's spec beside `listen` and `ledger`, one a line. `{dir}` becomes the directory.
    pub process: &'static str,
    /// Documents. `{mock}` becomes the mock's address, `{dir}` the directory.
    pub documents: String,
    /// `WEIR_LOG`.
    pub log: &'static str,
    /// How Envoy sends bodies.
    pub mode: BodyMode,
}

pub struct Rig {
    pub mock: Option<Mock>,
    pub weir: Child,
    pub envoy: Envoy,
    /// `host:port` that clients call.
    pub address: String,
    /// `host:port` of Weir's public metrics.
    pub metrics: String,
    pub directory: RunDir,
    /// Requests that another upstream than the mock has received.
    pub elsewhere: Arc<AtomicU64>,
    config: String,
    /// How many processes of Weir there were before this one.
    generation: u32,
    log: &'static str,
    oracle: Oracle,
}

impl Default for Parts {
    fn default() -> Self {
        Parts { process: "", documents: BACKEND.to_owned(), log: "warn", mode: BodyMode::FullDuplex }
    }
}

// === impl Rig ===

impl Rig {
    pub async fn start(parts: Parts) -> Rig {
        Rig::start_with(parts, |_| Ok(())).await
    }

    /// As [`Rig::start`], after `prepare` has put into the directory what the configuration needs.
    pub async fn start_with(parts: Parts, prepare: impl FnOnce(&Path) -> io::Result<()>) -> Rig {
        let directory = RunDir::create().expect("a directory for the run");
        prepare(directory.path()).expect("the directory can be written to");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let mock = Mock::start(listener).await;
        let dir = directory.path().display().to_string();
        let documents = parts.documents.replace("{mock}", &mock.addr().to_string()).replace("{dir}", &dir);
        let process = format!(
            "apiVersion: weir.dev/v1alpha1\nkind: WeirBootstrap\nmetadata: {{name: process}}\nspec:\n  \
             listen: {{extProc: 'unix:{dir}/extproc.sock', adminSocket: 'unix:{dir}/admin-{{admin}}.sock', metrics: '127.0.0.1:0'}}\n  \
             ledger: {{path: {dir}/usage.jsonl}}\n{}\n---\n",
            parts.process
        );
        let config = process.replace("{dir}", &dir) + &documents;
        let (weir, metrics) = start_weir(&directory, &config, 0, parts.log);
        let (envoy, address, admin) = start_envoy(&directory, config.clone(), parts.mode).await;
        let pid = envoy.pid().expect("Envoy runs");
        let oracle = Oracle::new(Admin::new(&admin), pid, &[EXTPROC_CLUSTER, ATTEMPT_CLUSTER]);
        let (elsewhere, generation, log, mock) = (Arc::default(), 0, parts.log, Some(mock));
        Rig { mock, weir, envoy, address, metrics, directory, elsewhere, config, generation, log, oracle }
    }

    /// The mock.
    pub fn mock(&self) -> &Mock {
        self.mock.as_ref().expect("the mock was not stopped")
    }

    /// Starts another Weir on the same configuration, in place of the one that is gone.
    pub fn restart_weir(&mut self) {
        self.generation += 1;
        (self.weir, self.metrics) = start_weir(&self.directory, &self.config, self.generation, self.log);
    }

    /// Starts another Weir beside the one that still ends.
    pub fn replace_weir(&mut self) -> Child {
        self.generation += 1;
        let (fresh, metrics) = start_weir(&self.directory, &self.config, self.generation, self.log);
        self.metrics = metrics;
        std::mem::replace(&mut self.weir, fresh)
    }

    /// The documents that Weir was started with.
    pub fn config(&self) -> String {
        self.config.replace("{admin}", &self.generation.to_string())
    }

    /// Replaces the documents under a running Weir, as an editor does.
    pub fn configure(&self, documents: &str) {
        let path = self.directory.file(&format!("weir-{}.yaml", self.generation));
        std::fs::write(self.directory.file("next"), documents).expect("the directory can be written to");
        std::fs::rename(self.directory.file("next"), path).expect("the directory can be written to");
    }

    /// What the next process of Weir is started with.
    pub fn start_next_with(&mut self, documents: impl FnOnce(&str) -> String) {
        self.config = documents(&self.config);
    }

    /// Sends a chat call over HTTP/1.1 and reads its whole answer.
    pub async fn chat(&self, headers: &[(&str, &str)], body: &Value) -> Response {
        self.post(CHAT, headers, body.to_string().as_bytes()).await
    }

    pub async fn post(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        let headers = [&[("content-type", "application/json")], headers].concat();
        let bytes = Request { method: "POST", path, headers: &headers }.with_length(body);
        http1::exchange(&self.address, "POST", &bytes).await.expect("Envoy takes the connection")
    }

    /// Sends a chat call and leaves its answer to be read.
    pub async fn open(&self, headers: &[(&str, &str)], body: &Value) -> Connection {
        open(&self.address, headers, body).await
    }

    /// The lines of the ledger, as they stand.
    pub fn records(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.directory.file("usage.jsonl")).unwrap_or_default();
        let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
        whole.lines().map(|line| serde_json::from_str(line).expect("a line of the ledger is JSON")).collect()
    }

    /// The ledger when it has so many lines; more is an error.
    pub async fn records_when(&self, count: usize) -> Vec<Value> {
        wait("records", || async { self.records().len() >= count }).await;
        let records = self.records();
        assert_eq!(records.len(), count, "{records:#?}");
        records
    }

    /// The record of the exchange with this answer.
    pub async fn record_of(&self, answer: &Response) -> Value {
        let id = answer.header("x-weir-request-id").unwrap_or_else(|| panic!("no id: {answer:?}")).to_owned();
        self.record(&id).await
    }

    /// The one record with this id.
    pub async fn record(&self, id: &str) -> Value {
        let find = || self.records().into_iter().filter(|record| record["id"] == id).collect::<Vec<_>>();
        wait("a record", || async { !find().is_empty() }).await;
        let mut found = find();
        assert_eq!(found.len(), 1, "one record an exchange: {found:#?}");
        found.remove(0)
    }

    /// A page of Weir's admin socket.
    pub async fn admin(&self, path: &str) -> Response {
        self.ask_admin("GET", path, &[]).await
    }

    /// What Weir's admin socket says to a request that changes something.
    pub async fn change(&self, path: &str) -> Response {
        self.ask_admin("POST", path, &[("x-weir-admin", "1"), ("content-length", "0")]).await
    }

    /// What Weir's admin socket says to a request that takes something away.
    pub async fn remove(&self, path: &str) -> Response {
        self.ask_admin("DELETE", path, &[("x-weir-admin", "1")]).await
    }

    async fn ask_admin(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Response {
        let mut stream = UnixStream::connect(self.directory.file(&format!("admin-{}.sock", self.generation)))
            .await
            .expect("the admin socket");
        let request = Request { method, path, headers }.head();
        stream.write_all(&request).await.expect("the admin server reads");
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.expect("the admin server answers");
        let mut parser = Parser::new(false);
        parser.push(Duration::ZERO, &bytes);
        parser.close(None);
        parser.response
    }

    /// All samples of Weir's metrics.
    pub async fn samples(&self) -> Samples {
        let request = Request { method: "GET", path: "/metrics", headers: &[] }.head();
        let answer = http1::exchange(&self.metrics, "GET", &request).await.expect("the metrics port answers");
        assert_eq!(answer.status, 200, "{answer:?}");
        Samples::parse(&answer.text())
    }

    /// Waits until nothing is in flight and nothing is held.
    pub async fn idle(&self) {
        let mut last = (0.0, 0.0);
        let until = Instant::now() + LONG;
        while Instant::now() < until {
            let samples = self.samples().await;
            last = (samples.sum("weir_exchanges_in_flight", &[]), samples.sum("weir_buffered_bytes", &[]));
            if last == (0.0, 0.0) {
                return;
            }
            tokio::time::sleep(POLL).await;
        }
        panic!("{} exchanges in flight and {} bytes held do not go away", last.0, last.1);
    }

    /// Waits until so many exchanges are in flight.
    pub async fn in_flight(&self, count: usize) {
        let now = || async { self.samples().await.sum("weir_exchanges_in_flight", &[]) };
        wait("exchanges in flight", || async { now().await == count as f64 }).await;
    }

    /// Asks the oracle, and ends everything in order. Weir must end well.
    pub async fn end(mut self, exceptions: &Exceptions) {
        self.idle().await;
        self.judge(exceptions).await;
        let status = self.weir.stop(LONG);
        assert!(status.success(), "Weir ended with {status}; it wrote:\n{}", self.weir.written());
        self.envoy.stop().await.expect("Envoy ends");
        if let Some(mock) = self.mock {
            mock.shutdown().await;
        }
    }

    /// Asks the oracle.
    pub async fn judge(&self, exceptions: &Exceptions) {
        let received = || async { self.mock().tally().requests + self.elsewhere.load(Ordering::Relaxed) };
        self.oracle.assert_clean(received, exceptions).await;
    }
}

/// Sends a chat call to `address` and leaves its answer to be read.
pub async fn open(address: &str, headers: &[(&str, &str)], body: &Value) -> Connection {
    let headers = [&[("content-type", "application/json")], headers].concat();
    let bytes = Request { method: "POST", path: CHAT, headers: &headers }.with_length(body.to_string().as_bytes());
    let mut connection = Connection::open(address, "POST").await.expect("Envoy takes the connection");
    connection.send(&bytes).await.expect("Envoy reads");
    connection
}

/// The body of a chat call.
pub fn ask(model: &str, stream: bool) -> Value {
    json!({"model": model, "stream": stream, "messages": [{"role": "user", "content": "How high is a weir?"}]})
}

/// Exceptions for a suite whose clients leave, so that Envoy may reset what the mock never counted.
pub fn aborts() -> Exceptions {
    Exceptions { may_miss_requests: true, ..Exceptions::default() }
}

/// Exceptions for a suite that stops Weir under Envoy.
pub fn outage() -> Exceptions {
    Exceptions { may_count: vec!["streams_failed"], may_miss_requests: true, ..Exceptions::default() }
}

/// Waits for what will come; panics when it does not.
pub async fn wait<F: Future<Output = bool>>(what: &str, holds: impl Fn() -> F) {
    let until = Instant::now() + LONG;
    while !holds().await {
        assert!(Instant::now() < until, "no {what} after {LONG:?}");
        tokio::time::sleep(POLL).await;
    }
}

/// Each process has an admin socket of its own, so that one may start while another ends.
fn start_weir(directory: &RunDir, config: &str, generation: u32, log: &str) -> (Child, String) {
    let path = directory.file(&format!("weir-{generation}.yaml"));
    std::fs::write(&path, config.replace("{admin}", &generation.to_string())).expect("the directory can be written to");
    let mut command: Command = process::weir(&["run", "--admin-mutations", "--config", &path.display().to_string()]);
    command.env("RIG_KEY", KEY).env("WEIR_LOG", log);
    let weir = Child::spawn("weir run", command);
    let line = weir.ready_line("ready ", LONG);
    (weir, process::ready_value(&line, "metrics"))
}

/// An Envoy for the backends of this configuration: where it listens, for clients and for us.
async fn start_envoy(directory: &RunDir, config: String, mode: BodyMode) -> (Envoy, String, String) {
    let source = Source { files: vec![("weir.yaml".to_owned(), config)], ..Source::default() };
    let compiled = app::load(&source, &Options::default()).expect("the configuration of the test is valid");
    attach_envoy(directory, &compiled.policy.upstreams, &compiled.policy.chains, mode).await
}

/// An Envoy in front of the ext_proc socket in `directory`.
pub async fn attach_envoy(
    directory: &RunDir,
    upstreams: &[weir::target::Upstream],
    chains: &[weir::target::Chain],
    mode: BodyMode,
) -> (Envoy, String, String) {
    let binary = install::locate(None).await.expect("a real Envoy");
    let version = install::version(&binary).await.expect("a real Envoy");
    let socket = directory.file("extproc.sock");
    let log = directory.file("access.jsonl");
    let loopback = "127.0.0.1:0".parse().expect("an address");
    let plan = Plan {
        listen: loopback,
        admin: loopback,
        extproc: ExtProc::Unix(&socket),
        files: directory.path(),
        access_log: Some(&log),
        system_ca: &files::system_ca(),
        body_mode: mode,
        max_request: 32 << 20,
        max_wait: Duration::from_secs(240),
        upstreams,
        chains,
        follows: false,
        node_id: "faults",
        envoy_version: &version,
    };
    let path = files::write(&plan).expect("Envoy's files");
    let launch = Launch {
        envoy: &binary,
        config: &path,
        directory: directory.path(),
        listen: loopback,
        admin: loopback,
        concurrency: Some(2),
        log_level: "warn",
    };
    let mut envoy = Envoy::spawn(&launch).expect("Envoy starts");
    let ready = envoy.wait_ready(LONG).await.expect("Envoy is ready");
    (envoy, ready.listen.to_string(), ready.admin.to_string())
}

/// Everything that was written to a file of the run's directory.
pub fn file(directory: &RunDir, name: &str) -> String {
    let path: PathBuf = directory.file(name);
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
}

/// A whole number of the ledger: numbers of 64 bits are strings there, and zero is left out.
pub fn number(value: &Value) -> u64 {
    match value {
        Value::Null => 0,
        Value::String(text) => text.parse().unwrap_or_else(|_| panic!("no number: {text:?}")),
        other => other.as_u64().unwrap_or_else(|| panic!("no number: {other}")),
    }
}
