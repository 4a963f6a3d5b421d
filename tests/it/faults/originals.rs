//! A provider that is slow holds the bodies of many calls for the attempt that may follow. They make room for calls that
//! come; a call whose body was given up is told so, in its own dialect, if its provider then fails.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use weir::render::envoy::BodyMode;

use super::rig::{LONG, Parts, Rig, aborts, number};
use crate::support::response;

/// Room for three of the bodies that are kept, and for what one of them takes besides while it comes.
const PROCESS: &str = "  overload: {maxBuffered: 2Mi}";
const MOST: f64 = (2 << 20) as f64;
/// Bytes of text in a call.
const LARGE: usize = 450 << 10;

const DOCUMENTS: &str = "
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: slow}
spec: {endpoint: 'http://{slow}/v1', dialect: OpenAI, credentials: [{type: None}]}
---
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: claude}
spec: {endpoint: 'http://{mock}/v1', dialect: Anthropic, credentials: [{type: APIKey, apiKey: {value: sk-of-claude}}]}
---
apiVersion: weir.dev/v1alpha1
kind: LLMRoute
metadata: {name: chat}
spec:
  rules:
  - name: bridged
    matches: [{model: {value: bridged}}]
    backends: [{name: slow, model: gpt-4o, priority: 0}, {name: claude, model: claude-sonnet-4-5, priority: 1}]
    retry: {attempts: 1, on: [ServerError]}
    failover: PerAttempt
  - name: direct
    matches: [{model: {value: direct}}]
    backends: [{name: claude, model: claude-sonnet-4-5}]
";

/// A provider that answers 503 to each call when it is let.
struct Slow {
    address: String,
    calls: mpsc::Receiver<oneshot::Sender<()>>,
}

/// A call that waits for the slow provider.
struct Waiting {
    answer: JoinHandle<response::Response>,
    let_fail: oneshot::Sender<()>,
}

// === impl Slow ===

impl Slow {
    async fn start() -> Slow {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound").to_string();
        let (arrived, calls) = mpsc::channel(16);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let arrived = arrived.clone();
                let service = service_fn(move |request| Slow::answer(request, arrived.clone()));
                let server = hyper::server::conn::http1::Builder::new();
                tokio::spawn(server.serve_connection(TokioIo::new(stream), service));
            }
        });
        Slow { address, calls }
    }

    async fn answer(
        request: Request<Incoming>,
        arrived: mpsc::Sender<oneshot::Sender<()>>,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let (let_fail, may_fail) = oneshot::channel();
        if body.len() > LARGE && arrived.send(let_fail).await.is_ok() {
            // It ends as well when the test does.
            let _ = may_fail.await;
        }
        let mut response = Response::new(Full::new(Bytes::from_static(b"{\"error\":{\"message\":\"busy\"}}")));
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        Ok(response)
    }

    /// Sends a call and waits until all of it is here.
    async fn hold(&mut self, rig: &Arc<Rig>, path: &'static str) -> Waiting {
        let (own, body) = (rig.clone(), body("bridged"));
        let answer =
            tokio::spawn(async move { own.post(path, &[("anthropic-version", "2023-06-01")], body.as_bytes()).await });
        let let_fail = timeout(LONG, self.calls.recv()).await.expect("the call leaves").expect("the provider runs");
        rig.elsewhere.fetch_add(1, Ordering::Relaxed);
        Waiting { answer, let_fail }
    }
}

// === impl Waiting ===

impl Waiting {
    /// The provider fails; what the client gets.
    async fn fail(self) -> response::Response {
        self.let_fail.send(()).expect("the provider waits");
        timeout(LONG, self.answer).await.expect("an answer").expect("no panic")
    }
}

fn body(model: &str) -> String {
    let text = "weir ".repeat(LARGE / 5 + 1);
    json!({"model": model, "max_tokens": 5, "messages": [{"role": "user", "content": text}]}).to_string()
}

/// Backend, status and why it was left out, of each row.
fn attempts(record: &Value) -> Vec<(&str, u64, &str)> {
    let rows = record["attempts"].as_array().map(Vec::as_slice).unwrap_or_default();
    rows.iter().map(|row| (word(&row["backend"]), number(&row["status"]), word(&row["skipped"]))).collect()
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

async fn originals_make_room_for_calls_that_come(mode: BodyMode) {
    let mut slow = Slow::start().await;
    let documents = DOCUMENTS.replace("{slow}", &slow.address);
    let rig = Arc::new(Rig::start(Parts { process: PROCESS, documents, mode, ..Parts::default() }).await);

    // Twice as many as there is room for: the oldest of a size go first.
    let mut waiting = vec![slow.hold(&rig, "/v1/messages").await];
    for _ in 0..7 {
        waiting.push(slow.hold(&rig, super::rig::CHAT).await);
        let held = rig.samples().await.sum("weir_buffered_bytes", &[]);
        assert!(held > LARGE as f64 && held <= MOST, "{held}");
    }
    let samples = rig.samples().await;
    let given_up = samples.sum("weir_originals_given_up_total", &[]);
    assert!(given_up >= 4.0, "{given_up}");
    assert_eq!(samples.sum("weir_shed_total", &[]), 0.0, "nobody was refused");
    let direct = rig.post(super::rig::CHAT, &[], body("direct").as_bytes()).await;
    assert_eq!(direct.status, 200, "{direct:?}");

    // The last one's is still there.
    let answer = waiting.pop().expect("eight wait").fail().await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json()["object"], "chat.completion");
    let record = rig.record_of(&answer).await;
    assert_eq!(attempts(&record), [("slow", 503, ""), ("claude", 200, "")]);

    // The first one's is not.
    let answer = waiting.remove(0).fail().await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")), "{answer:?}");
    let said = answer.json();
    assert_eq!((&said["type"], &said["error"]["type"]), (&json!("error"), &json!("overloaded_error")), "{said}");
    let record = rig.record_of(&answer).await;
    assert_eq!(attempts(&record), [("slow", 503, ""), ("claude", 0, "given_up")]);
    assert_eq!(record["refusal"], "overloaded", "{record:#}");

    for call in waiting {
        let answer = call.fail().await;
        let record = rig.record_of(&answer).await;
        match answer.status {
            200 => assert_eq!(attempts(&record), [("slow", 503, ""), ("claude", 200, "")]),
            status => {
                assert_eq!((status, &answer.json()["error"]["code"]), (503, &json!("overloaded")), "{answer:?}");
                assert_eq!(attempts(&record), [("slow", 503, ""), ("claude", 0, "given_up")]);
            }
        }
    }
    rig.idle().await;
    let rig = Arc::into_inner(rig).expect("all calls are over");
    rig.end(&aborts()).await;
}

every_mode!(originals_make_room_for_calls_that_come);
