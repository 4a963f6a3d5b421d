//! Load that goes on while something is wrong: providers that fail, a Weir that is stopped or replaced. Envoy stays the
//! process that it was, and nobody gets half an answer.

use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::JoinSet;
use weir::render::envoy::BodyMode;

use super::rig::{BACKEND, CHAT, LONG, Parts, Rig, ask, open, outage, wait};
use crate::support::http1::{self, Request};

/// Two backends of which the first fails, and two rules that begin with one and with the other.
const ROUTES: &str = "
---
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: broken}
spec:
  endpoint: http://{mock}/v1
  dialect: OpenAI
  credentials: [{type: None}]
  headers: {set: [{name: x-mock-status, value: '503'}]}
---
apiVersion: weir.dev/v1alpha1
kind: LLMRoute
metadata: {name: chat}
spec:
  rules:
  - name: bad-first
    matches: [{model: {value: bad-first}}]
    backends: [{name: broken, model: alpha}, {name: main, model: alpha, priority: 1}]
    retry: {attempts: 1, on: [ServerError], cooldown: 1ms}
    failover: PerAttempt
  - name: good-first
    matches: [{model: {value: good-first}}]
    backends: [{name: main, model: alpha}, {name: broken, model: alpha, priority: 1}]
    retry: {attempts: 1, on: [ServerError], cooldown: 1ms}
    failover: PerAttempt
";

async fn rig(mode: BodyMode) -> Rig {
    Rig::start(Parts { documents: format!("{BACKEND}{ROUTES}"), mode, ..Parts::default() }).await
}

/// The form in which attempts are told is one that Envoy 1.40 survives; `benches/soak.rs` shows those that it does not.
async fn envoy_stays_up_while_half_of_all_calls_fail_over(mode: BodyMode) {
    const CLIENTS: usize = 100;
    const SECONDS: u64 = 30;
    let rig = rig(mode).await;
    let text = "weir ".repeat(200_000);
    let body = |model: &str| json!({"model": model, "messages": [{"role": "user", "content": text}]}).to_string();
    let bodies = Arc::new(["bad-first", "good-first"].map(body));
    let begun = Instant::now();
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let (bodies, address) = (bodies.clone(), rig.address.clone());
        clients.spawn(async move {
            let mut answers = Vec::new();
            while begun.elapsed() < Duration::from_secs(SECONDS) {
                let body = bodies[(client + answers.len()) % 2].as_bytes();
                let request = Request { method: "POST", path: CHAT, headers: &[("content-type", "application/json")] };
                let sent = Instant::now();
                let answer = http1::exchange(&address, "POST", &request.with_length(body)).await;
                answers.push((sent, Instant::now(), answer.map_or(0, |answer| answer.status)));
            }
            answers
        });
    }
    tokio::time::sleep(Duration::from_secs(SECONDS / 2)).await;
    let stopped = Instant::now();
    rig.weir.signal("STOP");
    tokio::time::sleep(Duration::from_secs(3)).await;
    rig.weir.signal("CONT");
    let went_on = Instant::now();
    let answers: Vec<_> = clients.join_all().await.into_iter().flatten().collect();
    assert!(answers.len() > CLIENTS, "{} answers", answers.len());
    // A call that had nothing to do with the stop has no reason to fail.
    let met = |sent: Instant, ended: Instant| sent < went_on && ended > stopped;
    let failed = answers.iter().filter(|(sent, ended, status)| *status != 200 && !met(*sent, *ended));
    assert_eq!(failed.count(), 0, "of {}", answers.len());
    let tally = rig.mock().tally().requests;
    assert!(tally > answers.len() as u64, "{tally} requests reached a provider for {} calls", answers.len());
    rig.end(&outage()).await;
}

async fn a_hundred_restarts_truncate_no_stream(mode: BodyMode) {
    const RESTARTS: usize = 100;
    let mut rig = rig(mode).await;
    let over = Arc::new(AtomicBool::new(false));
    let mut clients = JoinSet::new();
    for client in 0..10 {
        let (address, over) = (rig.address.clone(), over.clone());
        clients.spawn(async move {
            let mut whole = 0_u32;
            while !over.load(Ordering::Relaxed) {
                let model = ["good-first", "bad-first", "main/alpha"][client % 3];
                let headers = [("x-mock-tokens", "30"), ("x-mock-spacing", "40")];
                let answer = open(&address, &headers, &ask(model, true)).await.finish().await;
                match answer.status {
                    200 => {
                        assert!(answer.complete && answer.text().trim_end().ends_with("[DONE]"), "{answer:?}");
                        whole += 1;
                    }
                    // Between two processes nobody decides. What one has let go it also brings to its end, below.
                    status => assert_eq!(status, 503, "{answer:?}"),
                }
            }
            whole
        });
    }
    let socket = rig.directory.file("extproc.sock");
    let mut ending = Vec::new();
    for _ in 0..RESTARTS {
        rig.weir.signal("TERM");
        wait("refusal of connections", || async { UnixStream::connect(&socket).is_err() }).await;
        ending.push(rig.replace_weir());
    }
    wait("service by the last process", || async { rig.chat(&[], &ask("main/alpha", false)).await.status == 200 })
        .await;
    over.store(true, Ordering::Relaxed);
    let whole: u32 = clients.join_all().await.into_iter().sum();
    assert!(whole >= 10, "{whole} whole streams");
    for mut old in ending {
        let status = old.wait(LONG).expect("the old process ends");
        assert!(status.success(), "{status}: {}", old.written());
        assert!(!old.written().contains("cannot be sent to the next"), "{}", old.written());
    }
    let records = rig.records();
    assert!(records.iter().any(|record| record["attempts"].as_array().is_some_and(|tried| tried.len() == 2)));
    let lost: Vec<_> = records.iter().filter(|record| record["outcome"] != "OUTCOME_COMPLETED").collect();
    assert!(lost.is_empty(), "{} of {}: {:#}", lost.len(), records.len(), lost[0]);
    rig.end(&outage()).await;
}

async fn many_streams_at_once_meet_no_limit_of_envoys(mode: BodyMode) {
    const STREAMS: usize = 1500;
    let rig = rig(mode).await;
    // All are open before the first ends: the provider waits so long with what follows the head.
    let headers = [("x-mock-tokens", "1"), ("x-mock-spacing", "10000")];
    let mut live = Vec::new();
    let mut opening = JoinSet::new();
    for at in 0..STREAMS {
        let (address, model) = (rig.address.clone(), if at % 2 == 0 { "bad-first" } else { "good-first" });
        opening.spawn(async move {
            let mut stream = open(&address, &headers, &ask(model, true)).await;
            stream.read_body(1).await;
            stream
        });
        while opening.len() >= 64 {
            live.extend(opening.join_next().await.map(|stream| stream.expect("a stream")));
        }
    }
    live.extend(opening.join_all().await);
    assert_eq!(live.len(), STREAMS);
    for stream in live {
        let answer = stream.finish().await;
        assert!(answer.status == 200 && answer.complete, "{answer:?}");
    }
    // Nearly every other one went to both: three failures in a row leave a backend alone for a moment.
    let received = rig.mock().tally().requests;
    assert!(received > STREAMS as u64 * 5 / 4, "{received}");
    rig.end(&Default::default()).await;
}

first_mode!(
    envoy_stays_up_while_half_of_all_calls_fail_over,
    a_hundred_restarts_truncate_no_stream,
    many_streams_at_once_meet_no_limit_of_envoys
);
