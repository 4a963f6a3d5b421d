//! Where calls go: shares, matches, priorities; how a backend that failed is passed over beforehand, and
//! what Envoy tries again by itself.

use std::time::{Duration, Instant};

use weir::render::envoy::BodyMode;

use super::egress::Egress;
use super::pair::{Call, Protocol};
use crate::support::envoy_stats::Exceptions;
use crate::support::response::Response;

/// `a` before `b`, each a path of the mock; `gone` is where nobody listens.
const BACKENDS: &str = "\
apiVersion: weir.dev/v1alpha1
kind: LLMProfile
metadata: {name: default}
spec: {discovery: {environment: Disabled}, responseHeaders: [RequestId, Backend, Model]}
---
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: a}
spec: {endpoint: \"http://{mock}/a/v1\", dialect: OpenAI, credentials: [{type: None}]}
---
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: b}
spec: {endpoint: \"http://{mock}/b/v1\", dialect: OpenAI, credentials: [{type: None}]}
---
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: c}
spec: {endpoint: \"http://{mock}/c/v1\", dialect: Anthropic, credentials: [{type: None}]}
---
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: gone}
spec: {endpoint: \"http://127.0.0.1:9/v1\", dialect: OpenAI, credentials: [{type: None}]}
---
apiVersion: weir.dev/v1alpha1
kind: LLMRoute
metadata: {name: chat}
spec:
  rules:
  - name: canary
    matches: [{model: {value: canary}}]
    backends: [{name: a, weight: 80}, {name: b, weight: 20}]
  - name: kept
    matches: [{model: {value: kept}}]
    backends: [{name: a}, {name: b}]
    affinity: {by: [Session]}
  - name: gold
    matches: [{model: {value: tiered}, headers: [{name: X-Tier, value: gold}]}, {operation: Embeddings}]
    backends: [{name: b}]
  - name: tiered
    matches: [{model: {type: Glob, value: \"tier*\"}}]
    backends: [{name: a}]
  - name: chain
    matches: [{model: {type: Glob, value: \"chain-*\"}}]
    backends: [{name: b, priority: 1}, {name: a, priority: 0}]
  - name: across
    matches: [{model: {value: across}}]
    backends: [{name: a, model: gpt-4o-mini}, {name: c, model: claude-sonnet-4-5, priority: 1}]
    failover: PerRequest
  - name: unreachable
    matches: [{model: {value: unreachable}}]
    backends: [{name: gone}, {name: b, priority: 1}]
    retry: {cooldown: 1h}
  - name: again
    matches: [{model: {value: again}}]
    backends: [{name: a}]
    retry: {attempts: 2, on: [RateLimited, ServerError], cooldown: 0s}
  - name: slow
    matches: [{model: {value: slow}}]
    backends: [{name: a}]
    retry: {perTryTimeout: 200ms, cooldown: 0s}
";

fn chat(model: &str) -> Call {
    Call::chat(format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"hi"}}]}}"#))
}

/// The answer to a call with these orders to the mock.
async fn send(egress: &Egress, model: &str, headers: &[(&str, &str)]) -> Response {
    chat(model).with(headers).send(Protocol::Http1, &egress.address).await
}

/// Status and backend.
async fn goes(egress: &Egress, model: &str, headers: &[(&str, &str)]) -> (u16, String) {
    let response = send(egress, model, headers).await;
    (response.status, response.header("x-weir-backend").unwrap_or_default().to_owned())
}

fn at(status: u16, backend: &str) -> (u16, String) {
    (status, backend.to_owned())
}

async fn weights_share_sessions_stay_and_headers_choose(mode: BodyMode) {
    let egress = Egress::up(mode, BACKENDS).await;
    let mut shares = [0, 0];
    for _ in 0..100 {
        let (status, backend) = goes(&egress, "canary", &[]).await;
        assert_eq!(status, 200);
        shares[usize::from(backend == "b")] += 1;
    }
    // 20 of 100 on average, and six standard deviations to either side would be -4 and 44.
    assert!(shares[1] > 0 && shares[1] < 45, "{shares:?}");
    let mut kept = Vec::new();
    for session in ["1", "2", "3", "4", "5", "6", "7", "8"] {
        let first = goes(&egress, "kept", &[("x-session-id", session)]).await;
        for _ in 0..4 {
            assert_eq!(goes(&egress, "kept", &[("x-session-id", session)]).await, first, "{session}");
        }
        kept.push(first.1);
    }
    assert!(kept.contains(&"a".to_owned()) && kept.contains(&"b".to_owned()), "{kept:?}");
    assert_eq!(goes(&egress, "tiered", &[("x-tier", "gold")]).await, at(200, "b"));
    assert_eq!(goes(&egress, "tiered", &[("x-tier", "silver")]).await, at(200, "a"));
    assert_eq!(goes(&egress, "tiered", &[]).await, at(200, "a"));
    let embedding = Call::post("/v1/embeddings", r#"{"model":"tiered","input":"hi"}"#);
    let response = embedding.send(Protocol::Http1, &egress.address).await;
    assert_eq!((response.status, response.header("x-weir-backend")), (200, Some("b")));
    egress.assert_clean(&Exceptions::default()).await;
}

async fn a_limited_backend_is_passed_over_until_its_time_is_over(mode: BodyMode) {
    let egress = Egress::up(mode, BACKENDS).await;
    assert_eq!(goes(&egress, "chain-1", &[]).await, at(200, "a"));
    let limited = [("x-mock-status", "429"), ("x-mock-retry-after", "2")];
    assert_eq!(goes(&egress, "chain-1", &limited).await, at(429, "a"));
    let begun = Instant::now();
    assert_eq!(goes(&egress, "chain-1", &[]).await, at(200, "b"));
    // The limit is that model's.
    assert_eq!(goes(&egress, "chain-2", &[]).await, at(200, "a"));
    // When all cool down the one whose time ends first is used.
    assert_eq!(goes(&egress, "chain-1", &[("x-mock-status", "429"), ("x-mock-retry-after", "60")]).await, at(429, "b"));
    assert_eq!(goes(&egress, "chain-1", &[]).await, at(200, "a"));
    tokio::time::sleep(Duration::from_millis(2100).saturating_sub(begun.elapsed())).await;
    assert_eq!(goes(&egress, "chain-1", &[]).await, at(200, "a"));
    let records = egress.ledger_of(7).await;
    let decisions: Vec<String> = records.iter().map(|record| record["decisions"].to_string()).collect();
    assert!(decisions[2].contains("passed_over") && decisions[2].contains("cooled"), "{}", decisions[2]);
    assert!(decisions[5].contains("least_cooled"), "{}", decisions[5]);
    assert!(!decisions[6].contains("cooled"), "{}", decisions[6]);
    egress.assert_clean(&Exceptions::default()).await;
}

/// Each client gets its answer in its own API, whichever provider's that is.
async fn a_limited_backend_is_stood_in_for_by_one_of_another_dialect(mode: BodyMode) {
    let egress = Egress::up(mode, BACKENDS).await;
    let messages = r#"[{"role":"system","content":"Be brief."},{"role":"user","content":"hi"}]"#;
    let body = |stream| format!(r#"{{"model":"across","stream":{stream},"messages":{messages},"max_tokens":40}}"#);
    let limited = [("x-mock-status", "429"), ("x-mock-retry-after", "600")];
    assert_eq!(goes(&egress, "across", &[]).await, at(200, "a"));
    assert_eq!(goes(&egress, "across", &limited).await, at(429, "a"));
    let whole = Call::chat(body(false)).send(Protocol::Http1, &egress.address).await;
    assert_eq!((whole.status, whole.header("x-weir-backend")), (200, Some("c")), "{whole:?}");
    let answer = whole.json();
    assert_eq!(
        (&answer["object"], &answer["choices"][0]["message"]["role"]),
        (&"chat.completion".into(), &"assistant".into())
    );
    assert!(answer["usage"]["completion_tokens"].as_u64().is_some_and(|tokens| tokens > 0), "{answer}");
    let streamed = Call::chat(body(true)).send(Protocol::Http1, &egress.address).await;
    assert_eq!((streamed.status, streamed.header("x-weir-backend")), (200, Some("c")), "{streamed:?}");
    let text = streamed.text();
    assert!(text.contains("chat.completion.chunk") && text.trim_end().ends_with("data: [DONE]"), "{text}");
    // Who speaks that provider's own API is moved as well, and nothing is translated.
    let own = r#"{"model":"across","max_tokens":40,"messages":[{"role":"user","content":"hi"}]}"#;
    let version = [("anthropic-version", "2023-06-01")];
    let response = Call::post("/v1/messages", own).with(&version).send(Protocol::Http1, &egress.address).await;
    assert_eq!((response.status, &response.json()["type"]), (200, &"message".into()), "{response:?}");
    let paths = egress.mock.tally().paths;
    assert_eq!((paths["/a/v1/chat/completions"], paths["/c/v1/messages"]), (2, 3), "{paths:?}");
    let records = egress.ledger_of(5).await;
    for record in &records[2..] {
        assert!(record["decisions"].to_string().contains("cooled"), "{record}");
    }
    egress.assert_clean(&Exceptions::default()).await;
}

async fn failures_in_a_row_and_a_lost_connection_cool_a_backend_down(mode: BodyMode) {
    let egress = Egress::up(mode, BACKENDS).await;
    let failing = [("x-mock-status", "500")];
    for _ in 0..2 {
        assert_eq!(goes(&egress, "chain-1", &failing).await, at(500, "a"));
    }
    assert_eq!(goes(&egress, "chain-1", &[]).await, at(200, "a"), "two are no streak");
    for model in ["chain-1", "chain-2", "chain-3"] {
        assert_eq!(goes(&egress, model, &failing).await, at(500, "a"));
    }
    for model in ["chain-1", "chain-4"] {
        assert_eq!(goes(&egress, model, &[]).await, at(200, "b"));
    }
    assert_eq!(goes(&egress, "unreachable", &[]).await.0, 503);
    for _ in 0..3 {
        assert_eq!(goes(&egress, "unreachable", &[]).await, at(200, "b"));
    }
    egress.assert_clean(&Exceptions { may_miss_requests: true, ..Exceptions::default() }).await;
}

async fn envoy_tries_again_what_a_rule_says_and_nothing_that_a_client_orders(mode: BodyMode) {
    let egress = Egress::up(mode, BACKENDS).await;
    let mut expected = 0;
    let large = format!(r#"{{"model":"again","messages":[{{"role":"user","content":"{}"}}]}}"#, "x".repeat(3 << 20));
    for (call, status, attempts) in [
        (chat("again"), "503", 3),
        (chat("again"), "429", 3),
        (chat("again"), "400", 1),
        (Call::chat(large), "503", 3),
        (chat("kept"), "503", 1),
    ] {
        let forged = [("x-envoy-max-retries", "7"), ("x-envoy-retry-on", "5xx"), ("x-mock-status", status)];
        let response = call.with(&forged).send(Protocol::Http1, &egress.address).await;
        assert_eq!(response.status.to_string(), status);
        expected += attempts;
        assert_eq!(egress.mock.tally().requests, expected, "{status}, {} bytes", response.body.len());
    }
    // Where the provider says when to come again, that time is waited for, twice.
    let begun = Instant::now();
    let limited = [("x-mock-status", "429"), ("x-mock-retry-after", "1")];
    assert_eq!(goes(&egress, "again", &limited).await, at(429, "a"));
    assert_eq!(egress.mock.tally().requests, expected + 3);
    assert!(begun.elapsed() >= Duration::from_secs(2), "{:?}", begun.elapsed());
    // What is ordered is for Envoy alone.
    let response = send(&egress, "again", &[("x-mock-echo", "1"), ("x-envoy-upstream-rq-timeout-ms", "1")]).await;
    let text = response.json()["headers"].to_string();
    assert!(response.status == 200 && !text.contains("x-envoy"), "{text}");
    // An only attempt has its time as well.
    let response = send(&egress, "slow", &[("x-mock-delay", "3000")]).await;
    assert_eq!(response.status, 504, "{response:?}");
    egress.assert_clean(&Exceptions::default()).await;
}

every_mode!(envoy_tries_again_what_a_rule_says_and_nothing_that_a_client_orders);

every_mode!(
    weights_share_sessions_stay_and_headers_choose,
    a_limited_backend_is_passed_over_until_its_time_is_over,
    a_limited_backend_is_stood_in_for_by_one_of_another_dialect,
    failures_in_a_row_and_a_lost_connection_cool_a_backend_down
);
