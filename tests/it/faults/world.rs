//! A scripted world behind a real Envoy: Weir's ext_proc server in this process, whose questions the
//! test answers and whose notes it reads.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use weir::app;
use weir::base::socket;
use weir::config::{Options, Source};
use weir::exchange::event::{Answer, Ask, Feed, Note};
use weir::extproc::server::{self, Listener};
use weir::extproc::{Pool, PoolLimits};
use weir::mock::Mock;
use weir::policy::Policy;
use weir::render::envoy::BodyMode;
use weir::render::envoy::EXTPROC_CLUSTER;
use weir::target::Health;
use weir::telemetry::Metrics;
use weir::tokens::Learned;
use weir::up::RunDir;
use weir::up::process::Envoy;
use weir::world::{Local, Notes, Permit, World};

use super::rig::{LONG, attach_envoy, open, wait};
use crate::support::envoy_stats::{Admin, Exceptions, Oracle};
use crate::support::http1::{self, Connection, Request};
use crate::support::response::Response;

/// The answer to a question, and how long it takes to come.
pub type Script = Box<dyn Fn(&Ask) -> (Duration, Answer) + Send + Sync>;

/// Two backends, both the mock.
const BACKENDS: &str = "
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: first}
spec: {endpoint: 'http://{mock}/v1', dialect: OpenAI, credentials: [{type: None}]}
---
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: second}
spec: {endpoint: 'http://{mock}/v1', dialect: OpenAI, credentials: [{type: None}]}
";

/// A world with a script.
struct Scripted {
    local: Local,
    script: Script,
    asked: Mutex<Vec<Ask>>,
    feeds: Mutex<Vec<mpsc::Sender<Feed>>>,
}

/// Envoy, the scripted Weir and the mock.
pub struct Stage {
    world: Arc<Scripted>,
    notes: Arc<Mutex<Vec<Note>>>,
    pool: Arc<Pool>,
    drain: CancellationToken,
    serving: tokio::task::JoinHandle<Result<(), tonic::transport::Error>>,
    envoy: Envoy,
    oracle: Oracle,
    pub mock: Mock,
    pub address: String,
    _directory: RunDir,
}

// === impl Scripted ===

impl World for Scripted {
    fn answer(&self, ask: Ask) -> impl Future<Output = Answer> + Send + 'static {
        let (delay, answer) = (self.script)(&ask);
        self.asked.lock().expect("no panic").push(ask);
        async move {
            tokio::time::sleep(delay).await;
            answer
        }
    }

    fn admit(&self) -> Option<Permit> {
        self.local.admit()
    }

    fn policy(&self) -> Arc<Policy> {
        self.local.policy()
    }

    fn learned(&self) -> Arc<Learned> {
        self.local.learned()
    }

    fn health(&self) -> Arc<Health> {
        self.local.health()
    }

    fn hint(&self, note: Note) {
        self.local.hint(note);
    }

    fn feeds(&self) -> Option<mpsc::Receiver<Feed>> {
        let (sender, receiver) = mpsc::channel(8);
        self.feeds.lock().expect("no panic").push(sender);
        Some(receiver)
    }
}

// === impl Stage ===

impl Stage {
    /// Sets up a stage. `adapt` puts rules into the policy, so that there is something to ask.
    pub async fn set(mode: BodyMode, adapt: impl FnOnce(&mut Policy), script: Script) -> Stage {
        let directory = RunDir::create().expect("a directory for the run");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let mock = Mock::start(listener).await;
        let text = BACKENDS.replace("{mock}", &mock.addr().to_string());
        let source = Source { files: vec![("weir.yaml".to_owned(), text)], ..Source::default() };
        let mut policy = app::load(&source, &Options::default()).expect("valid").policy;
        policy.may_sign = true;
        adapt(&mut policy);
        let upstreams = policy.upstreams.clone();
        let metrics = Arc::new(Metrics::new());
        let dropped = metrics.notes_dropped.clone();
        let (local, receiver) = Local::new(Arc::new(policy), Arc::new(Learned::new()), 64, dropped);
        let world = Arc::new(Scripted { local, script, asked: Mutex::default(), feeds: Mutex::default() });
        let notes = collect(receiver);
        let limits = PoolLimits { max_exchanges: 64, max_buffered: 256 << 20 };
        let pool = Pool::new(limits, metrics);
        let socket = socket::bind(&directory.file("extproc.sock"), 0o666).await.expect("a socket");
        let drain = CancellationToken::new();
        let stop = drain.clone().cancelled_owned();
        let serving = tokio::spawn(server::serve(Listener::Unix(socket), world.clone(), pool.clone(), stop));
        let (envoy, address, admin) = attach_envoy(&directory, &upstreams, &[], mode).await;
        let pid = envoy.pid().expect("Envoy runs");
        let oracle = Oracle::new(Admin::new(&admin), pid, &[EXTPROC_CLUSTER]);
        Stage { world, notes, pool, drain, serving, envoy, oracle, mock, address, _directory: directory }
    }

    pub async fn open(&self, headers: &[(&str, &str)], body: &serde_json::Value) -> Connection {
        open(&self.address, headers, body).await
    }

    pub async fn chat(&self, headers: &[(&str, &str)], body: &serde_json::Value) -> Response {
        let headers = [&[("content-type", "application/json")], headers].concat();
        let request = Request { method: "POST", path: super::rig::CHAT, headers: &headers };
        let bytes = request.with_length(body.to_string().as_bytes());
        http1::exchange(&self.address, "POST", &bytes).await.expect("Envoy takes the connection")
    }

    /// The questions so far.
    pub fn asked(&self) -> Vec<Ask> {
        self.world.asked.lock().expect("no panic").clone()
    }

    /// Feeds every exchange that began so far and still runs.
    pub async fn feed(&self, feed: Feed) {
        let feeds = self.world.feeds.lock().expect("no panic").clone();
        for sender in feeds {
            // It may be over.
            let _ = sender.send(feed.clone()).await;
        }
    }

    /// The notes, once nothing is in flight and so many records are among them.
    pub async fn notes(&self, records: usize) -> Vec<Note> {
        let now = || self.notes.lock().expect("no panic").clone();
        let count = |notes: &[Note]| notes.iter().filter(|note| matches!(note, Note::Record(_))).count();
        wait("records", || async { self.pool.in_flight() == 0 && count(&now()) >= records }).await;
        let notes = now();
        assert_eq!(count(&notes), records, "{notes:?}");
        notes
    }

    /// Asks the oracle and takes the stage down.
    pub async fn strike(self, exceptions: &Exceptions) {
        wait("end of all exchanges", || async { self.pool.in_flight() == 0 && self.pool.buffered() == 0 }).await;
        self.oracle.assert_clean(|| async { self.mock.tally().requests }, exceptions).await;
        self.envoy.stop().await.expect("Envoy ends");
        self.drain.cancel();
        let served = tokio::time::timeout(LONG, self.serving).await.expect("the server ends");
        served.expect("no panic").expect("no failure");
        self.mock.shutdown().await;
    }
}

/// Everything that comes, as it comes.
fn collect(mut receiver: Notes) -> Arc<Mutex<Vec<Note>>> {
    let notes = Arc::new(Mutex::new(Vec::new()));
    let all = Arc::clone(&notes);
    std::thread::spawn(move || {
        let mut batch = Vec::new();
        while receiver.receive(&mut batch, 64) > 0 {
            all.lock().expect("no panic").append(&mut batch);
        }
    });
    notes
}
