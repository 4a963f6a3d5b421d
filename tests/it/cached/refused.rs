//! What is never kept, each with its reason: whoever asks again asks the provider.

use serde_json::{Value, json};
use weir::render::envoy::BodyMode;

use super::{EXACT, answers, ask, asked, bearer, cache, question, recorded, rig, said};
use crate::faults::rig::{Rig, aborts, wait};
use crate::support::envoy_stats::Exceptions;

/// A call whose answer is not kept: what is asked of the mock, the body, and why.
struct Row {
    name: &'static str,
    orders: &'static [(&'static str, &'static str)],
    more: Value,
    reason: &'static str,
}

fn row(name: &'static str, orders: &'static [(&'static str, &'static str)], more: Value, reason: &'static str) -> Row {
    Row { name, orders, more, reason }
}

fn failures() -> Vec<Row> {
    vec![
        row("an error", &[("x-mock-status", "500")], json!({}), "incomplete"),
        row(
            "a limit of the provider's",
            &[("x-mock-status", "429"), ("x-mock-retry-after", "0")],
            json!({}),
            "incomplete",
        ),
        row("half a document", &[("x-mock-malformed", "json")], json!({}), "incomplete"),
        row("a stream that breaks off", &[("x-mock-abort", "300")], json!({"stream": true}), "incomplete"),
        row("a document that breaks off", &[("x-mock-abort", "100")], json!({}), "incomplete"),
        row("an error in a stream", &[("x-mock-error-event", "3")], json!({"stream": true}), "incomplete"),
        row("a stream without its end", &[("x-mock-no-done", "1")], json!({"stream": true}), "incomplete"),
        row("half an event", &[("x-mock-malformed", "frame")], json!({"stream": true}), "lossy"),
    ]
}

fn unwanted() -> Vec<Row> {
    let tools = json!([{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]);
    vec![
        row("a call of a tool", &[("x-mock-tool", "1")], json!({"tools": tools}), "tool_calls"),
        row(
            "a call of a tool, streamed",
            &[("x-mock-tool", "1")],
            json!({"tools": tools, "stream": true}),
            "tool_calls",
        ),
        row("what the model will not say", &[("x-mock-refusal", "1")], json!({"model": "claude/alpha"}), "unfinished"),
        row("what is too large", &[("x-mock-tokens", "900")], json!({}), "too_large"),
        row("what is too large, streamed", &[("x-mock-tokens", "900")], json!({"stream": true}), "too_large"),
    ]
}

fn body(row: &Row, text: &str) -> Value {
    let mut body = question(text, false);
    // There is another backend that would take it.
    body["model"] = "main/alpha".into();
    for (name, value) in row.more.as_object().expect("an object") {
        body[name] = value.clone();
    }
    body
}

/// Makes each call twice. Both reach the provider, and each is counted under its reason.
async fn refuse(rig: &Rig, rows: &[Row]) {
    let mut counted = std::collections::BTreeMap::new();
    for row in rows {
        let before = asked(rig);
        let body = body(row, row.name);
        for round in 1..=2 {
            let answer = rig.chat(&[&[("authorization", &bearer(1)[..])], row.orders].concat(), &body).await;
            assert_ne!(said(&answer), Some("hit"), "{}: {answer:?}", row.name);
            let count = counted.entry(row.reason).or_insert(0);
            *count += 1;
            answers(rig, row.reason, *count).await;
            assert!(asked(rig) >= before + round, "{}: the provider was not asked", row.name);
        }
    }
    assert_eq!(rig.samples().await.sum("weir_cache_entries", &[]), 0.0);
}

async fn what_failed_is_not_kept(mode: BodyMode) {
    let rig = rig(mode, &cache(EXACT)).await;
    refuse(&rig, &failures()).await;
    rig.end(&aborts()).await;
}

async fn what_the_rule_leaves_out_is_not_kept(mode: BodyMode) {
    let claude = "---
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: claude}
spec: {endpoint: 'http://{mock}/v1', dialect: Anthropic, credentials: [{type: None}]}
";
    let rig = rig(mode, &(cache("exact: {ttl: 1h, maxEntry: 2Ki}") + claude)).await;
    refuse(&rig, &unwanted()).await;
    rig.end(&Exceptions::default()).await;
}

async fn calls_of_tools_are_kept_where_the_rule_says_so(mode: BodyMode) {
    let rig = rig(mode, &cache("exact: {ttl: 1h, toolCalls: Store}")).await;
    let row = &unwanted()[0];
    let mut kept = Vec::new();
    for (round, stream) in [false, true, false].into_iter().enumerate() {
        let mut body = body(row, "Which?");
        body["stream"] = stream.into();
        let answer = ask(&rig, 9 + round as u64, &body, row.orders).await;
        assert_eq!(said(&answer), Some(if round == 0 { "miss" } else { "hit" }), "{answer:?}");
        answers(&rig, "kept", 1).await;
        kept.push(answer);
    }
    let call = |at: usize| kept[at].json()["choices"][0]["message"]["tool_calls"].clone();
    assert!(call(0)[0]["function"]["name"] == "f" && call(0) == call(2), "{kept:?}");
    let name = |event: &String| event.contains("\"name\":\"f\"");
    assert_eq!(kept[1].events().iter().filter(|event| name(event)).count(), 1, "{:?}", kept[1]);
    rig.end(&Exceptions::default()).await;
}

/// Of these neither the answer is kept nor looked for.
async fn what_is_not_looked_for_says_why(mode: BodyMode) {
    let rig = rig(mode, &cache("exact: {ttl: 1h, maxTemperature: '0.7'}")).await;
    let with = |more: Value| body(&row("", &[], more, ""), "Why?");
    let cool = with(json!({"temperature": 0.7}));
    let rows = [
        ("/v1/chat/completions", with(json!({"temperature": 0.71})), "temperature"),
        // It is 1 where nothing is said.
        ("/v1/chat/completions", with(json!({})), "temperature"),
        ("/v1/chat/completions", with(json!({"temperature": 0, "web_search_options": {}})), "stateful"),
        (
            "/v1/responses",
            json!({"model": "alpha", "input": "Why?", "temperature": 0, "previous_response_id": "r"}),
            "stateful",
        ),
        ("/v1/completions", json!({"model": "alpha", "prompt": "Why?"}), "operation"),
    ];
    for (at, (path, body, reason)) in rows.iter().enumerate() {
        let before = asked(&rig);
        for _ in 0..2 {
            let answer = rig.post(path, &[("authorization", &bearer(1))], body.to_string().as_bytes()).await;
            assert_eq!((answer.status, said(&answer)), (200, Some("bypass")), "row {at}: {answer:?}");
            assert_eq!(recorded(&rig, &answer).await, ("bypass".to_owned(), (*reason).to_owned()), "row {at}");
        }
        assert_eq!(asked(&rig), before + 2, "row {at}");
    }
    assert_eq!(said(&ask(&rig, 5, &cool, &[]).await), Some("miss"));
    answers(&rig, "kept", 1).await;
    assert_eq!(said(&ask(&rig, 6, &cool, &[]).await), Some("hit"));
    rig.end(&Exceptions::default()).await;
}

/// A client that leaves takes its answer with it: nothing of it is kept, and who asks next is answered whole.
async fn what_a_client_left_is_not_kept(mode: BodyMode) {
    let rig = rig(mode, &cache(EXACT)).await;
    let body = question("Who stays?", true);
    let key = bearer(1);
    let headers = [("authorization", &key[..]), ("x-mock-tokens", "400"), ("x-mock-spacing", "5")];
    let mut left = rig.open(&headers, &body).await;
    left.read_body(300).await;
    left.abort();
    wait("record of who left", || async { rig.records().len() == 1 }).await;
    assert_eq!(rig.records()[0]["outcome"], "OUTCOME_ABANDONED");
    answers(&rig, "incomplete", 1).await;
    let whole = ask(&rig, 20, &body, &[]).await;
    assert_eq!((super::words(&whole), said(&whole)), (20, Some("miss")), "{whole:?}");
    answers(&rig, "kept", 1).await;
    assert_eq!(super::words(&ask(&rig, 21, &body, &[]).await), 20);
    rig.end(&aborts()).await;
}

every_mode!(
    what_the_rule_leaves_out_is_not_kept,
    calls_of_tools_are_kept_where_the_rule_says_so,
    what_is_not_looked_for_says_why
);
modes_that_stream!(what_failed_is_not_kept, what_a_client_left_is_not_kept);
