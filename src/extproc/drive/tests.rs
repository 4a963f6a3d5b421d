//! Streams through the real server: messages that cannot be read, copies that there is no room for, and
//! a world that takes too long to answer.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Buf, BufMut};
use envoy_types::pb::envoy::config::core::v3::{HeaderMap, HeaderValue};
use envoy_types::pb::envoy::service::ext_proc::v3::processing_request::Request as Part;
use envoy_types::pb::envoy::service::ext_proc::v3::{HttpBody, HttpHeaders, ProcessingRequest};
use prost::Message;
use tokio::net::TcpListener;
use tokio_stream::StreamExt;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};

use super::*;
use crate::catalog::Catalog;
use crate::credential::Credential;
use crate::exchange::event::{Answer, Ask, Note};
use crate::exchange::record::Record;
use crate::extproc::PoolLimits;
use crate::extproc::server::{Listener, serve};
use crate::extproc::service::MAX_MESSAGE;
use crate::limit::window::Window;
use crate::limit::{Limit, Unit};
use crate::llm::Dialect;
use crate::policy::Policy;
use crate::policy::limits::{LimitPolicy, Rule};
use crate::target::{Backend, Health, Serves, Targets};
use crate::telemetry::Metrics;
use crate::tokens::Learned;
use crate::world::{Local, Notes};

/// Sends bytes as they are, and reads nothing of the answers.
#[derive(Clone, Copy)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = ();
    type Encoder = Raw;
    type Decoder = Raw;

    fn encoder(&mut self) -> Raw {
        Raw
    }

    fn decoder(&mut self) -> Raw {
        Raw
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, message: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = ();
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<()>, Status> {
        buffer.advance(buffer.remaining());
        Ok(Some(()))
    }
}

/// One backend, which serves `gpt-4o-mini`.
fn policy() -> Policy {
    let backend = Backend {
        name: "one".into(),
        namespace: None,
        provider: "openai".into(),
        dialect: Dialect::OpenAi,
        authority: "one.example".into(),
        prefix: "/v1".into(),
        asks_stream_usage: false,
        speaks: crate::wire::Speaks::default(),
        azure: None,
        quirks: Vec::new(),
        headers: Vec::new(),
        removed_headers: Vec::new(),
    };
    let targets = Targets::new(vec![(backend, Serves::default())], [("gpt-4o-mini".into(), vec![])].into());
    Policy::new(targets, vec![Credential::Anonymous], Catalog::builtin())
}

fn local(policy: Policy) -> (Local, Notes) {
    let dropped = Metrics::new().notes_dropped.clone();
    Local::new(Arc::new(policy), Arc::new(Learned::new()), 8, dropped)
}

/// A server that ends with the test, and a connection to it.
async fn start<W: World>(world: W, max_buffered: usize) -> (Arc<Pool>, Channel) {
    let pool = Pool::new(PoolLimits { max_exchanges: 8, max_buffered }, Arc::new(Metrics::new()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint::from_shared(format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let serving = serve(Listener::Tcp(listener), Arc::new(world), pool.clone(), std::future::pending());
    tokio::spawn(serving);
    (pool, endpoint.connect().await.unwrap())
}

/// A stream that says this and then stays open.
async fn open(channel: &Channel, messages: Vec<Vec<u8>>) -> Streaming<()> {
    let mut grpc = tonic::client::Grpc::new(channel.clone());
    grpc.ready().await.unwrap();
    let path = PathAndQuery::from_static("/envoy.service.ext_proc.v3.ExternalProcessor/Process");
    let stream = tokio_stream::iter(messages).chain(tokio_stream::pending());
    grpc.streaming(tonic::Request::new(stream), path, Raw).await.unwrap().into_inner()
}

fn head(fields: &[(&str, &str)]) -> HttpHeaders {
    let field = |(key, value): &(&str, &str)| HeaderValue {
        key: (*key).to_owned(),
        raw_value: value.as_bytes().to_vec(),
        ..HeaderValue::default()
    };
    let headers = Some(HeaderMap { headers: fields.iter().map(field).collect() });
    HttpHeaders { headers, ..HttpHeaders::default() }
}

fn body(text: &str, end_of_stream: bool) -> HttpBody {
    HttpBody { body: text.as_bytes().to_vec(), end_of_stream, ..HttpBody::default() }
}

fn message(part: Part) -> Vec<u8> {
    ProcessingRequest { request: Some(part), ..ProcessingRequest::default() }.encode_to_vec()
}

/// A streamed call.
fn call() -> Vec<Vec<u8>> {
    let fields = [(":method", "POST"), (":path", "/v1/chat/completions"), ("content-type", "application/json")];
    let asked = r#"{"model":"gpt-4o-mini","stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
    vec![message(Part::RequestHeaders(head(&fields))), message(Part::RequestBody(body(asked, true)))]
}

#[tokio::test]
async fn a_message_that_cannot_be_read_or_is_too_large_fails_its_exchange() {
    let (world, _notes) = local(policy());
    let (pool, channel) = start(world, 1 << 20).await;
    for (what, code) in [(vec![0xff], Code::InvalidArgument), (vec![0; MAX_MESSAGE + 1], Code::OutOfRange)] {
        let messages = [call(), vec![what]].concat();
        let mut answers = open(&channel, messages).await;
        let status = loop {
            match answers.message().await {
                Ok(Some(())) => {}
                Ok(None) => panic!("a clean end, not {code:?}"),
                Err(status) => break status,
            }
        };
        assert_eq!((status.code(), pool.in_flight()), (code, 0), "{status}");
    }
}

#[tokio::test]
async fn text_is_kept_only_as_long_as_there_is_room_for_everybody() {
    let event =
        r#"{"model":"gpt-4o-mini","choices":[{"delta":{"content":" time year good work life made down back"}}]}"#;
    let text = format!("data: {event}\n\n").repeat(5);
    // With room the tokens are counted, without it 200 bytes stay an estimate.
    for (max_buffered, output) in [(1 << 20, 40), (300, 50)] {
        let (world, mut notes) = local(Policy { count_exactly: true, ..policy() });
        let (_, channel) = start(world, max_buffered).await;
        let answer = head(&[(":status", "200"), ("content-type", "text/event-stream")]);
        let answer = [Part::ResponseHeaders(answer), Part::ResponseBody(body(&text, true))].map(message);
        let _answers = open(&channel, [call(), answer.to_vec()].concat()).await;
        let receive = move || {
            let mut got = Vec::new();
            notes.receive(&mut got, 100);
            got
        };
        let got = tokio::task::spawn_blocking(receive).await.unwrap();
        assert_eq!(record(&got).usage.output, output, "{max_buffered} bytes");
    }
}

/// The only note.
fn record(notes: &[Note]) -> &Record {
    let [Note::Record(record)] = notes else { panic!("{notes:?}") };
    record
}

/// A world whose answers never come.
struct Stuck {
    local: Local,
    released: Arc<AtomicUsize>,
}

/// What it granted, which it releases when nobody waits any more.
struct Reservation(Arc<AtomicUsize>);

impl Drop for Reservation {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl World for Stuck {
    fn answer(&self, _: Ask) -> impl Future<Output = Answer> + Send + 'static {
        let reservation = Reservation(self.released.clone());
        async move {
            let _reservation = reservation;
            std::future::pending().await
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

#[tokio::test]
async fn what_a_world_reserved_for_nobody_is_its_own_to_release() {
    let mut policy = Policy { max_wait: Duration::from_millis(20), ..policy() };
    let limit = Limit::new("tokens", Unit::Tokens, 1000, Window::Rolling(Duration::from_secs(60)));
    policy.limits = vec![LimitPolicy::new([Rule::new(limit)])].into();
    let (local, mut notes) = local(policy);
    let (closer, released) = (local.closer(), Arc::new(AtomicUsize::new(0)));
    let (_, channel) = start(Stuck { local, released: released.clone() }, 1 << 20).await;
    let mut answers = open(&channel, call()).await;
    answers.message().await.unwrap().expect("a refusal");
    assert_eq!(released.load(Ordering::Relaxed), 1);
    closer.close();
    let receive = move || {
        let mut got = Vec::new();
        while notes.receive(&mut got, 100) > 0 {}
        got
    };
    let got = tokio::task::spawn_blocking(receive).await.unwrap();
    assert_eq!(record(&got).refusal, Some("limit_store_unavailable"), "and nothing was settled");
}

/// How large the bodies were that were worked on off the I/O threads, in all tests.
static LARGE_ONES: std::sync::Mutex<Vec<usize>> = std::sync::Mutex::new(Vec::new());

pub(super) fn seen_large(size: usize) {
    LARGE_ONES.lock().unwrap().push(size);
}

/// Answers each question a little later, with nothing against it.
struct Later(Local);

impl World for Later {
    fn answer(&self, _: Ask) -> impl Future<Output = Answer> + Send + 'static {
        let later = tokio::task::yield_now();
        async {
            later.await;
            Answer::Peeked
        }
    }

    fn policy(&self) -> Arc<Policy> {
        self.0.policy()
    }

    fn admit(&self) -> Option<Permit> {
        self.0.admit()
    }

    fn learned(&self) -> Arc<Learned> {
        self.0.learned()
    }

    fn health(&self) -> Arc<Health> {
        self.0.health()
    }

    fn hint(&self, note: Note) {
        self.0.hint(note);
    }
}

/// A body is signed when the answer comes that it waited for: then it is as large as it was at its end.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_large_body_stops_no_thread_whatever_it_waited_for() {
    let mut policy = policy();
    let limit = Limit::new("tokens", Unit::Tokens, 1000, Window::Rolling(Duration::from_secs(60)));
    policy.limits = vec![LimitPolicy::new([Rule::new(limit)])].into();
    let (local, _notes) = local(policy);
    let (_, channel) = start(Later(local), 16 << 20).await;
    let text = "x".repeat(LARGE + 12_345);
    let asked = format!(r#"{{"model":"gpt-4o-mini","messages":[{{"role":"user","content":"{text}"}}]}}"#);
    let fields = [(":method", "POST"), (":path", "/v1/chat/completions"), ("content-type", "application/json")];
    let messages = vec![message(Part::RequestHeaders(head(&fields))), message(Part::RequestBody(body(&asked, true)))];
    let mut answers = open(&channel, messages).await;
    answers.message().await.unwrap().expect("it leaves");
    let seen = LARGE_ONES.lock().unwrap().iter().filter(|size| **size == asked.len()).count();
    assert_eq!(seen, 2, "at its end, and at the answer");
}
