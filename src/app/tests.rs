//! The end of a process: what was left is worked off and on the disk, whoever still holds a connection
//! or waits for an answer.

use envoy_types::pb::envoy::config::core::v3::{HeaderMap, HeaderValue};
use envoy_types::pb::envoy::service::ext_proc::v3::external_processor_client::ExternalProcessorClient;
use envoy_types::pb::envoy::service::ext_proc::v3::processing_request::Request as Asked;
use envoy_types::pb::envoy::service::ext_proc::v3::{HttpBody, HttpHeaders, ProcessingRequest};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};

use super::notes::{Told, Unaccepted, work_off};
use super::serving::finish;
use super::*;
use crate::catalog::Catalog;
use crate::config::{Options, Source};
use crate::exchange::event::{Answer, Ask, Note};
use crate::extproc::server::{self, Listener};
use crate::limit::take::Grant;
use crate::limit::window::Window;
use crate::limit::{Limit, Unit};
use crate::policy::limits::{LimitPolicy, Rule};
use crate::target::Health;
use crate::telemetry::{BATCH, sample};
use crate::world::{Permit, World};

/// Longer than anything here takes unless it never ends.
const LONG: Duration = Duration::from_secs(60);

fn policy() -> Policy {
    Policy::new(crate::target::Targets::default(), Vec::new(), Catalog::builtin())
}

fn ids(ledger: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(ledger).unwrap();
    let id = |line| serde_json::from_str::<serde_json::Value>(line).unwrap()["id"].as_str().unwrap().to_owned();
    text.lines().map(id).collect()
}

/// A process that listens on TCP, and a connection to it.
async fn start(ledger: &Path, drain_timeout: Duration) -> (Core, Channel) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let bootstrap = Bootstrap { drain_timeout, ..Bootstrap::default() };
    let signing = Signing::Off("a test");
    let core = Core::start(
        policy(),
        &bootstrap,
        None,
        Listeners { calls: Listener::Tcp(listener), attempts: None },
        signing,
        Some(ledger),
    )
    .unwrap();
    (core, Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap())
}

/// The head of a request that has no body and is no call of a model.
fn head() -> ProcessingRequest {
    let head = HttpHeaders { headers: Some(HeaderMap::default()), end_of_stream: true, ..HttpHeaders::default() };
    ProcessingRequest { request: Some(Asked::RequestHeaders(head)), ..ProcessingRequest::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_notes_end_when_they_are_closed_and_the_ledger_with_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.jsonl");
    let metrics = Arc::new(Metrics::new());
    let learned = Arc::new(Learned::new());
    let ledger = Ledger::open(&path, metrics.ledger_dropped.clone()).unwrap();
    let sinks = Sinks { metrics: metrics.clone(), ledger: Some(ledger), recent: Arc::default() };
    let (world, notes) = Local::new(Arc::new(policy()), learned.clone(), 1000, metrics.notes_dropped.clone());
    let mut permits: Vec<_> = (0..1000).map(|_| world.admit().unwrap()).collect();
    for permit in &mut permits {
        permit.note(Note::Record(Box::new(sample())));
    }
    world.closer().close();
    let fetched = Arc::new(Keeper::new(super::keeper::outside(), Arc::new(Metrics::new())));
    let unaccepted = Unaccepted { keys: Arc::default(), fetched };
    let told = Told { learned, unaccepted, limits: world.limits() };
    let worker = tokio::task::spawn_blocking(|| work_off(notes, sinks, told));
    timeout(LONG, worker).await.expect("it ends although every exchange keeps its places").unwrap();
    assert_eq!(ids(&path).len(), 1000);
    permits[0].note(Note::Record(Box::new(sample())));
    assert_eq!((metrics.notes_dropped.get(), metrics.ledger_dropped.get()), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_not_given_up_keeps_no_record_from_the_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.jsonl");
    let (core, channel) = start(&path, Duration::ZERO).await;
    let mut client = ExternalProcessorClient::new(channel);
    let whole = client.process(tokio_stream::iter([head()])).await.unwrap();
    let _: Vec<_> = timeout(LONG, whole.into_inner().collect()).await.unwrap();
    let (peer, more) = mpsc::channel(1);
    let kept = tokio_stream::iter([head()]).chain(ReceiverStream::new(more));
    let kept = client.process(kept).await.unwrap();
    let (metrics, pool, worker) = (core.metrics.clone(), core.pool.clone(), core.notes.abort_handle());
    timeout(LONG, core.drain()).await.expect("it does not wait for the peer").unwrap();
    assert_eq!(pool.in_flight(), 1, "its connection is still open");
    assert!(worker.is_finished(), "the ledger is closed");
    assert_eq!(ids(&path).len(), 2, "both were refused, and said so at once");
    drop((peer, kept, client));
    assert_eq!((metrics.notes_dropped.get(), metrics.ledger_dropped.get()), (0, 0));
}

// === An answer that comes when its stream is gone ===

const BACKEND: &str = "
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: first}
spec: {endpoint: 'http://127.0.0.1:9/v1', dialect: OpenAI, credentials: [{type: None}]}
";

/// A world that grants every reservation after some time.
struct Slow {
    local: Local,
    time: Duration,
    asked: std::sync::Mutex<Option<oneshot::Sender<()>>>,
}

impl World for Slow {
    fn answer(&self, _: Ask) -> impl Future<Output = Answer> + Send + 'static {
        let asked = self.asked.lock().unwrap().take();
        let time = self.time;
        async move {
            let _ = asked.map(|asked| asked.send(()));
            tokio::time::sleep(time).await;
            Answer::Reserve(Ok(Grant { id: 7, taken: Vec::new() }))
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
}

fn call() -> [ProcessingRequest; 2] {
    let fields = [(":method", "POST"), (":path", "/v1/chat/completions"), ("content-type", "application/json")];
    let headers = fields.map(|(key, value)| HeaderValue {
        key: key.to_owned(),
        raw_value: value.into(),
        ..HeaderValue::default()
    });
    let headers = Some(HeaderMap { headers: headers.to_vec() });
    let body = br#"{"model":"first/alpha","messages":[{"role":"user","content":"hi"}]}"#.to_vec();
    [
        Asked::RequestHeaders(HttpHeaders { headers, ..HttpHeaders::default() }),
        Asked::RequestBody(HttpBody { body, end_of_stream: true, ..HttpBody::default() }),
    ]
    .map(|request| ProcessingRequest { request: Some(request), ..ProcessingRequest::default() })
}

/// The notes of an exchange whose reservation takes `time` and whose stream goes while it waits, as
/// a drain that has `drain_timeout` finds them.
async fn notes_of_gone(time: Duration, drain_timeout: Duration) -> Vec<Note> {
    let source = Source { files: vec![("weir.yaml".to_owned(), BACKEND.to_owned())], ..Source::default() };
    let mut policy = load(&source, &Options::default()).unwrap().policy;
    let limit = Limit::new("tokens", Unit::Tokens, 1000, Window::Rolling(Duration::from_secs(60)));
    policy.limits = vec![LimitPolicy::new([Rule::new(limit)])].into();
    let metrics = Arc::new(Metrics::new());
    let (local, mut notes) = Local::new(Arc::new(policy), Arc::new(Learned::new()), 8, metrics.notes_dropped.clone());
    let closer = local.closer();
    let (asked, when_asked) = oneshot::channel();
    let world = Arc::new(Slow { local, time, asked: Some(asked).into() });
    let pool = Pool::new(PoolLimits { max_exchanges: 8, max_buffered: 1 << 20 }, metrics);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint::from_shared(format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let drain = CancellationToken::new();
    let stop = drain.clone().cancelled_owned();
    let serving = tokio::spawn(server::serve(Listener::Tcp(listener), world, pool.clone(), stop));
    let mut client = ExternalProcessorClient::new(endpoint.connect().await.unwrap());
    let (peer, more) = mpsc::channel(1);
    let stream = tokio_stream::iter(call()).chain(ReceiverStream::new(more));
    let stream = client.process(stream).await.unwrap();
    timeout(LONG, when_asked).await.unwrap().unwrap();
    drain.cancel();
    drop((peer, stream, client));
    timeout(LONG, finish(Some(serving), drain_timeout, &pool)).await.unwrap().unwrap();
    closer.close();
    assert_eq!(pool.in_flight(), 0);
    let all = move || {
        let mut all = Vec::new();
        while notes.receive(&mut all, BATCH) > 0 {}
        all
    };
    tokio::task::spawn_blocking(all).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_waits_for_what_is_granted_to_a_client_that_has_gone() {
    let notes = notes_of_gone(Duration::from_millis(300), LONG).await;
    assert!(matches!(&notes[..], [Note::Settle(settle)] if settle.grant.id == 7), "{notes:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_without_an_answer_is_given_up_when_the_time_is_over() {
    // That nothing is in flight any more is seen there.
    assert_eq!(notes_of_gone(LONG * 60, Duration::from_millis(100)).await, []);
}
