//! Calls that have left for a provider when their process is told to end: they still fail over, whether or not another
//! process serves the proxy meanwhile, and whichever of the two the proxy asks.

use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;
use weir::render::envoy::BodyMode;

use super::rig::{CHAT, LONG, Parts, Rig, ask, number, outage, wait};
use crate::support::http1::{Connection, Request};
use crate::support::response::Response;

/// A provider that answers 503 when it is told to, and one that answers.
const ROUTE: &str = "
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: gate}
spec: {endpoint: 'http://{gate}/v1', dialect: OpenAI, credentials: [{type: APIKey, apiKey: {value: sk-of-the-gate}}]}
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
  - name: gated
    matches: [{model: {value: gated}}]
    backends: [{name: gate, model: gpt-4o}, {name: claude, model: claude-sonnet-4-5, priority: 1}]
    retry: {attempts: 1, on: [ServerError], cooldown: 1ms}
    failover: PerAttempt
";

/// The first provider, which has received so many calls and holds them.
struct Gate {
    arrived: Arc<AtomicU64>,
    open: watch::Sender<bool>,
}

// === impl Gate ===

impl Gate {
    fn serve(listener: TcpListener, arrived: Arc<AtomicU64>) -> Gate {
        let (open, held) = watch::channel(false);
        let count = arrived.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (count, mut held) = (count.clone(), held.clone());
                tokio::spawn(async move {
                    let mut request = Vec::new();
                    // The requests of these tests are small and end with the brace of their JSON.
                    while !request.ends_with(b"}") {
                        let mut piece = [0; 4096];
                        match stream.read(&mut piece).await {
                            Ok(length @ 1..) => request.extend_from_slice(&piece[..length]),
                            _ => return,
                        }
                    }
                    count.fetch_add(1, Ordering::Relaxed);
                    if held.wait_for(|open| *open).await.is_ok() {
                        let answer =
                            b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                        drop(stream.write_all(answer).await);
                    }
                });
            }
        });
        Gate { arrived, open }
    }

    async fn holds(&self, calls: u64) {
        wait("calls at the gate", || async { self.arrived.load(Ordering::Relaxed) == calls }).await;
    }

    /// All that it holds fails, and all that comes.
    fn fails(&self) {
        self.open.send_replace(true);
    }
}

async fn rig(mode: BodyMode) -> (Rig, Gate) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound").to_string();
    let documents = ROUTE.replace("{gate}", &address);
    let rig = Rig::start(Parts { documents, mode, ..Parts::default() }).await;
    let gate = Gate::serve(listener, rig.elsewhere.clone());
    (rig, gate)
}

/// Calls of both forms.
async fn open_gated(rig: &Rig, count: usize) -> Vec<(bool, Connection)> {
    let mut calls = Vec::new();
    for at in 0..count {
        let stream = at % 2 == 0;
        calls.push((stream, rig.open(&[], &ask("gated", stream)).await));
    }
    calls
}

/// The process takes no call any more.
async fn end_weir(rig: &Rig) {
    rig.weir.signal("TERM");
    let socket = rig.directory.file("extproc.sock");
    wait("refusal of connections", || async { UnixStream::connect(&socket).is_err() }).await;
}

/// The call was answered by the second provider, in the dialect of its client.
async fn assert_failed_over(rig: &Rig, stream: bool, answer: &Response) {
    assert!(answer.status == 200 && answer.complete, "{answer:?}");
    let text = answer.text();
    match stream {
        true => assert!(text.contains("chat.completion.chunk") && text.trim_end().ends_with("[DONE]"), "{text}"),
        false => assert_eq!(answer.json()["object"], "chat.completion", "{text}"),
    }
    let record = rig.record_of(answer).await;
    let attempts = record["attempts"].as_array().map(Vec::as_slice).unwrap_or_default();
    let tried: Vec<_> = attempts.iter().map(|one| json!([one["backend"], number(&one["status"])])).collect();
    assert_eq!(tried, [json!(["gate", 503]), json!(["claude", 200])], "{record:#}");
    assert_eq!(record["outcome"], "OUTCOME_COMPLETED", "{record:#}");
}

/// The names of sockets for attempts in the directory of the run.
fn sockets(rig: &Rig) -> usize {
    let entries = std::fs::read_dir(rig.directory.path()).expect("the directory can be read");
    let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with("extproc-attempt-")).count()
}

async fn calls_that_have_left_fail_over_after_the_end_was_told(mode: BodyMode) {
    const CALLS: usize = 8;
    let (mut rig, gate) = rig(mode).await;
    let calls = open_gated(&rig, CALLS).await;
    gate.holds(CALLS as u64).await;
    let headers = [("x-mock-tokens", "100"), ("x-mock-spacing", "30")];
    let mut live = rig.open(&headers, &ask("claude/claude-sonnet-4-5", true)).await;
    live.read_body(1).await;
    end_weir(&rig).await;
    gate.fails();
    for (stream, call) in calls {
        let answer = call.finish().await;
        assert_failed_over(&rig, stream, &answer).await;
    }
    let live = live.finish().await;
    assert!(live.complete && live.text().trim_end().ends_with("[DONE]"), "{live:?}");
    let status = rig.weir.wait(LONG).expect("Weir ends when the last call has");
    assert!(status.success(), "{status}: {}", rig.weir.written());
    assert_eq!(sockets(&rig), 0, "it leaves no socket of its own");
    assert!(UnixStream::connect(rig.directory.file("extproc-attempt.sock")).is_err());
    rig.judge(&outage()).await;
}

/// The proxy keeps its connections for attempts to the old process, which passes on what is the new one's.
async fn attempts_of_two_processes_each_reach_the_one_that_has_the_call(mode: BodyMode) {
    let (mut rig, gate) = rig(mode).await;
    let mut calls = open_gated(&rig, 4).await;
    gate.holds(4).await;
    end_weir(&rig).await;
    let mut old = rig.replace_weir();
    wait("service by the new process", || async {
        rig.chat(&[], &ask("claude/claude-sonnet-4-5", false)).await.status == 200
    })
    .await;
    calls.extend(open_gated(&rig, 4).await);
    gate.holds(8).await;
    assert_eq!(sockets(&rig), 2);
    gate.fails();
    for (stream, call) in calls {
        let answer = call.finish().await;
        assert_failed_over(&rig, stream, &answer).await;
    }
    let status = old.wait(LONG).expect("the old process ends");
    assert!(status.success(), "{status}: {}", old.written());
    assert_eq!(old.written().matches("cannot be sent to the next").count(), 0);
    // With the old one its connections have gone.
    let answer = rig.chat(&[], &ask("gated", false)).await;
    assert_failed_over(&rig, false, &answer).await;
    assert_eq!(sockets(&rig), 1);
    rig.end(&outage()).await;
}

/// The other way round: the proxy has no connection for attempts yet, and opens one to the new process.
async fn an_attempt_of_the_old_process_comes_by_the_new_one(mode: BodyMode) {
    let (mut rig, gate) = rig(mode).await;
    let body = ask("gated", false).to_string();
    let headers = [("content-type", "application/json")];
    let request = Request { method: "POST", path: CHAT, headers: &headers }.with_length(body.as_bytes());
    let (begin, rest) = request.split_at(request.len() - 10);
    let mut call = Connection::open(&rig.address, "POST").await.expect("Envoy takes the connection");
    call.send(begin).await.expect("Envoy reads");
    rig.in_flight(1).await;
    end_weir(&rig).await;
    let mut old = rig.replace_weir();
    call.send(rest).await.expect("Envoy reads");
    gate.holds(1).await;
    gate.fails();
    let answer = call.finish().await;
    assert_failed_over(&rig, false, &answer).await;
    let status = old.wait(LONG).expect("the old process ends");
    assert!(status.success(), "{status}: {}", old.written());
    assert_eq!(rig.weir.written().matches("cannot be sent to the next").count(), 0);
    rig.end(&outage()).await;
}

/// A process that was killed holds nothing any more: what was let go is lost with it, and nothing wrong is sent.
async fn a_call_of_a_killed_process_reaches_no_other_backend(mode: BodyMode) {
    let (mut rig, gate) = rig(mode).await;
    let calls = open_gated(&rig, 2).await;
    gate.holds(2).await;
    rig.weir.signal("KILL");
    rig.weir.wait(LONG).expect("it is gone");
    rig.restart_weir();
    gate.fails();
    for (_, call) in calls {
        let answer = call.finish().await;
        assert!(answer.status >= 500, "{answer:?}");
        let error: Value = answer.json();
        assert!(error["error"].is_object(), "{error}");
    }
    assert_eq!(rig.mock().tally().requests, 0);
    wait("service by the new process", || async { rig.chat(&[], &ask("gated", false)).await.status == 200 }).await;
    assert_eq!(sockets(&rig), 1, "what the killed process left is gone");
    rig.end(&outage()).await;
}

first_mode!(
    calls_that_have_left_fail_over_after_the_end_was_told,
    attempts_of_two_processes_each_reach_the_one_that_has_the_call,
    an_attempt_of_the_old_process_comes_by_the_new_one,
    a_call_of_a_killed_process_reaches_no_other_backend
);
