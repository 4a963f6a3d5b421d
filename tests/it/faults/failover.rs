//! One call at several backends: the proxy tries the next one, what it sends is written anew in that one's dialect,
//! and the client gets one answer and one bill.

use std::sync::Arc;

use serde_json::{Value, json};
use weir::render::envoy::BodyMode;

use super::rig::{KEY, Parts, Rig, ask, number};
use crate::support::envoy_stats::Exceptions;

/// Backends of which the first two say what their names do, because the mock is told to by their own headers; the
/// second of a rule answers. Prices in nano-USD a token: broken 1000, claude 300 in and 1500 out.
const BACKENDS: &str = "
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: broken}
spec:
  endpoint: http://{mock}/v1
  dialect: OpenAI
  credentials: [{type: APIKey, apiKey: {env: RIG_KEY}}]
  headers: {set: [{name: x-mock-status, value: '503'}, {name: x-of-the-first, value: secret}]}
  pricing: {models: [{model: gpt-4o, input: '1', output: '1'}]}
---
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: limited}
spec:
  endpoint: http://{mock}/v1
  dialect: OpenAI
  credentials: [{type: APIKey, apiKey: {value: sk-limited}}]
  headers: {set: [{name: x-mock-status, value: '429'}, {name: x-mock-retry-after, value: '600'}]}
---
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: down}
spec: {endpoint: 'http://127.0.0.1:1/v1', dialect: OpenAI, credentials: [{type: None}]}
---
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: claude}
spec:
  endpoint: http://{mock}/v1
  dialect: Anthropic
  credentials: [{type: APIKey, apiKey: {value: sk-of-claude}}]
  pricing: {models: [{model: claude-sonnet-4-5, input: '0.3', output: '1.5'}]}
---
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: mirror}
spec:
  endpoint: http://{mock}/v1
  dialect: OpenAI
  credentials: [{type: APIKey, apiKey: {value: sk-of-the-mirror}}]
  headers: {set: [{name: x-mock-echo, value: '1'}]}
---
apiVersion: weir.dev/v1alpha1
kind: LLMRoute
metadata: {name: chat}
spec:
  rules:
";

/// A rule that takes the model `name` to these backends in turn.
fn rule(name: &str, backends: &[&str], attempts: u32) -> String {
    let one = |(at, backend): (usize, &&str)| {
        let model = if *backend == "claude" { "claude-sonnet-4-5" } else { "gpt-4o" };
        format!("{{name: {backend}, model: {model}, priority: {at}}}")
    };
    let backends: Vec<String> = backends.iter().enumerate().map(one).collect();
    format!(
        "  - name: {name}\n    matches: [{{model: {{value: {name}}}}}]\n    backends: [{}]\n    \
         retry: {{attempts: {attempts}, on: [ServerError, RateLimited, ConnectFailure], cooldown: 1s}}\n    \
         failover: PerAttempt\n",
        backends.join(", ")
    )
}

async fn rig(mode: BodyMode, rules: &[String]) -> Rig {
    Rig::start(Parts { documents: format!("{BACKENDS}{}", rules.concat()), mode, ..Parts::default() }).await
}

/// Backend and status of each attempt.
fn attempts(record: &Value) -> Vec<(String, u64)> {
    let list = record["attempts"].as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().map(|one| (one["backend"].as_str().unwrap_or_default().to_owned(), number(&one["status"]))).collect()
}

fn tried(list: &[(&str, u64)]) -> Vec<(String, u64)> {
    list.iter().map(|(name, status)| ((*name).to_owned(), *status)).collect()
}

async fn another_provider_answers_in_the_clients_dialect(mode: BodyMode) {
    let rig = rig(mode, &[rule("bridged", &["broken", "claude"], 1)]).await;
    for stream in [false, true] {
        let answer = rig.chat(&[], &ask("bridged", stream)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let text = answer.text();
        match stream {
            false => {
                let said: Value = serde_json::from_str(&text).expect("JSON");
                assert_eq!(said["object"], "chat.completion", "{text}");
                assert_eq!(said["choices"][0]["finish_reason"], "stop", "{text}");
            }
            true => assert!(text.contains("chat.completion.chunk") && text.trim_end().ends_with("[DONE]"), "{text}"),
        }
        let record = rig.record_of(&answer).await;
        assert_eq!(attempts(&record), tried(&[("broken", 503), ("claude", 200)]));
        assert_eq!((&record["backend"], &record["outcome"]), (&json!("claude"), &json!("OUTCOME_COMPLETED")));
        let (input, output) = (number(&record["usage"]["input"]), number(&record["usage"]["output"]));
        assert_eq!(number(&record["costNanoUsd"]), 300 * input + 1500 * output, "what was delivered, once: {record:#}");
    }
    assert_eq!(rig.mock().tally().requests, 4);
    rig.end(&Exceptions::default()).await;
}

async fn nothing_of_one_attempt_reaches_the_next(mode: BodyMode) {
    let rig = rig(mode, &[rule("mirrored", &["broken", "limited", "mirror"], 2)]).await;
    let answer = rig
        .chat(
            &[
                ("x-of-the-first", "the client's own"),
                ("x-of-the-first", "h\u{f6}her, and twice"),
                ("authorization", "Bearer of-the-client"),
            ],
            &ask("mirrored", false),
        )
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let text = answer.text();
    for leaked in ["x-weir-", KEY, "sk-limited", "of-the-client", "x-mock-status", "secret", "x-envoy"] {
        assert!(!text.contains(leaked), "{leaked}: {text}");
    }
    assert!(text.contains("sk-of-the-mirror"), "{text}");
    let echo = answer.json();
    let fields = echo["headers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let own: Vec<&Value> = fields.iter().filter(|field| field[0] == "x-of-the-first").map(|field| &field[1]).collect();
    assert_eq!(own, ["the client's own", "h\u{f6}her, and twice"], "each in a field of its own: {text}");
    assert_eq!(text.matches("content-length").count(), 1, "{text}");
    let record = rig.record_of(&answer).await;
    assert_eq!(attempts(&record), tried(&[("broken", 503), ("limited", 429), ("mirror", 200)]));
    rig.end(&Exceptions::default()).await;
}

async fn a_limit_of_the_first_spares_the_next_call_the_attempt(mode: BodyMode) {
    let rig = rig(mode, &[rule("limited-first", &["limited", "claude"], 1)]).await;
    let first = rig.chat(&[], &ask("limited-first", false)).await;
    assert_eq!(attempts(&rig.record_of(&first).await), tried(&[("limited", 429), ("claude", 200)]));
    let second = rig.chat(&[], &ask("limited-first", false)).await;
    let record = rig.record_of(&second).await;
    assert_eq!(attempts(&record), tried(&[("claude", 200)]), "{record:#}");
    assert_eq!(rig.mock().tally().requests, 3);
    rig.end(&Exceptions::default()).await;
}

async fn a_provider_that_cannot_be_reached_is_bridged(mode: BodyMode) {
    let rig = rig(mode, &[rule("reached", &["down", "claude"], 1)]).await;
    for stream in [false, true] {
        let answer = rig.chat(&[], &ask("reached", stream)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let record = rig.record_of(&answer).await;
        assert_eq!(record["backend"], "claude", "{record:#}");
    }
    rig.end(&Exceptions { may_miss_requests: true, ..Exceptions::default() }).await;
}

/// Where the proxy tries again only what has not left or was answered, it is known what no answer means.
async fn a_backend_that_was_never_reached_is_left_alone_at_once_and_wastes_nothing(mode: BodyMode) {
    let certain = rule("reached", &["down", "claude"], 1).replace("ServerError, ", "").replace("1s", "60s");
    let rig = rig(mode, &[certain]).await;
    let answer = rig.chat(&[], &ask("reached", false)).await;
    let record = rig.record_of(&answer).await;
    assert_eq!(attempts(&record), tried(&[("down", 0), ("claude", 200)]), "{record:#}");
    assert_eq!(number(&record["attempts"][0]["wastedTokens"]), 0, "{record:#}");
    let answer = rig.chat(&[], &ask("reached", false)).await;
    assert_eq!(attempts(&rig.record_of(&answer).await), tried(&[("claude", 200)]));
    rig.end(&Exceptions { may_miss_requests: true, ..Exceptions::default() }).await;
}

async fn when_all_fail_the_client_hears_the_last_in_its_own_dialect(mode: BodyMode) {
    let rules = [rule("lost", &["limited", "broken"], 3), rule("void", &["broken", "down"], 1)];
    let rig = rig(mode, &rules).await;
    let answer = rig.chat(&[], &ask("lost", false)).await;
    let record = rig.record_of(&answer).await;
    let all = [("limited", 429), ("broken", 503), ("limited", 429), ("broken", 503)];
    assert_eq!(attempts(&record), tried(&all), "{answer:?}");
    assert_eq!(answer.status, 503, "{answer:?}");
    let said: Value = serde_json::from_str(&answer.text()).expect("JSON");
    assert!(said["error"]["message"].is_string(), "{said}");

    let body = json!({"model": "void", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]});
    let answer = rig.post("/v1/messages", &[("anthropic-version", "2023-06-01")], body.to_string().as_bytes()).await;
    assert_eq!(answer.status, 503, "{answer:?}");
    let said: Value = serde_json::from_str(&answer.text()).expect("JSON");
    assert_eq!(said["type"], "error", "{said}");
    rig.end(&Exceptions { may_miss_requests: true, ..Exceptions::default() }).await;
}

async fn a_large_body_and_many_at_once_fail_over(mode: BodyMode) {
    let rig = rig(mode, &[rule("bridged", &["broken", "claude"], 1)]).await;
    let text = "weir ".repeat(6 << 20);
    let large = json!({"model": "bridged", "max_tokens": 5, "messages": [{"role": "user", "content": text}]});
    let answer = rig.chat(&[], &large).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let body = ask("bridged", false);
    let rig = Arc::new(rig);
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let (rig, body) = (rig.clone(), body.clone());
        calls.spawn(async move { rig.chat(&[], &body).await });
    }
    for answer in calls.join_all().await {
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let rig = Arc::into_inner(rig).expect("all calls are over");
    // After three failures in a row the first backend is left alone; on a slow machine some calls come later than that.
    let received = rig.mock().tally().requests;
    assert!((2 + 64 + 3..=2 + 64 + 64).contains(&received), "{received}");
    rig.end(&Exceptions::default()).await;
}

/// What `examples/failover/README.md` shows is what its document does.
async fn the_example_does_what_its_page_says(mode: BodyMode) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/failover");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect("the example");
    let documents = read("outage.yaml").replace("127.0.0.1:9700", "{mock}");
    let rig = Rig::start(Parts { documents, mode, ..Parts::default() }).await;
    let page = read("README.md");
    let body = page.split("-d '").nth(1).and_then(|rest| rest.split_once("'")).expect("a call on the page").0;
    let answer = rig.post("/v1/chat/completions", &[], body.as_bytes()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let record = rig.record_of(&answer).await;
    let tried = record["attempts"].as_array().expect("attempts");
    let shown: Vec<String> =
        tried.iter().map(|one| json!([one["backend"], one["model"], one["status"]]).to_string()).collect();
    assert_eq!(shown.len(), 2);
    assert!(page.contains(&shown.join("\n")), "{shown:?}");
    rig.end(&Exceptions::default()).await;
}

first_mode!(the_example_does_what_its_page_says);

every_mode!(
    another_provider_answers_in_the_clients_dialect,
    nothing_of_one_attempt_reaches_the_next,
    a_limit_of_the_first_spares_the_next_call_the_attempt,
    a_provider_that_cannot_be_reached_is_bridged,
    when_all_fail_the_client_hears_the_last_in_its_own_dialect
);

first_mode!(
    a_large_body_and_many_at_once_fail_over,
    a_backend_that_was_never_reached_is_left_alone_at_once_and_wastes_nothing
);
