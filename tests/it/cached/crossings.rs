//! An answer that one official SDK has asked for is read by every other one, whole and streamed, and is what the
//! provider said: text, calls of tools, end and usage. The scripts hold each stream against what its dialect allows.

use serde_json::{Value, json};
use weir::render::envoy::BodyMode;

use super::cache;
use crate::e2e::egress::{Egress, ONE_BACKEND};
use crate::e2e::matrix::clients::{CLIENTS, Client};
use crate::support::envoy_stats::Exceptions;
use crate::support::python;

/// What is asked, once for each client that asks it first, in each form.
fn cases(writer: &Client, kept_as: bool, stream: bool) -> Vec<Value> {
    let text = |kind: &str| json!([{"text": format!("{kind}, first asked by {} as {kept_as}?", writer.name)}]);
    let name = |kind: &str| format!("{kind}/{}/{kept_as}", writer.name);
    let orders = json!({"x-mock-tokens": "23"});
    vec![
        json!({"name": name("text"), "stream": stream, "max": 400, "user": text("Plain"), "orders": orders}),
        json!({"name": name("system"), "stream": stream, "max": 400, "system": "Be brief.", "temperature": 0.5,
               "user": text("With a system"), "orders": orders}),
        json!({"name": name("call"), "stream": stream, "max": 400, "user": text("Tools"), "tools": ["look_up"],
               "choice": "required", "orders": {"x-mock-tokens": "7"}}),
    ]
}

/// What the script told, a line a turn.
async fn told(client: &Client, address: &str, cases: Vec<Value>) -> Vec<Value> {
    let target = json!([{"name": "mock", "model": "gpt-4o-mini"}]);
    let plan = json!({"base": format!("http://{address}"), "targets": target, "cases": cases}).to_string();
    let source = client.source();
    let output =
        tokio::task::spawn_blocking(move || python::run_script(&source, &[&plan], &[])).await.expect("no panic");
    assert!(output.status.success(), "{}: {}", client.name, output.stderr);
    let line = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    output.stdout.lines().map(line).collect()
}

/// What of an answer is the same in every dialect.
fn meaning(line: &Value) -> Value {
    let said = &line["said"];
    let calls: Vec<Value> = said["calls"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|call| json!({"name": call["name"], "arguments": call["arguments"]}))
        .collect();
    json!({"text": said["text"], "calls": calls, "finish": said["finish"], "input": said["usage"]["input"], "output": said["usage"]["output"]})
}

async fn every_sdk_reads_what_another_one_has_asked(mode: BodyMode) {
    let documents = ONE_BACKEND.to_owned() + &cache("scope: Shared, exact: {ttl: 1h, toolCalls: Store}");
    let egress = Egress::up(mode, &documents).await;
    let mut first = std::collections::BTreeMap::new();
    let mut calls = 0;
    for writer in CLIENTS {
        let cases: Vec<Value> = [false, true].into_iter().flat_map(|way| cases(writer, way, way)).collect();
        for line in told(writer, &egress.address, cases).await {
            assert!(line["error"].is_null() && line["said"]["illegal"] == json!([]), "{}: {line:#}", writer.name);
            first.insert(line["case"].to_string(), meaning(&line));
            calls += 1;
        }
    }
    assert_eq!((egress.mock.tally().requests, calls, first.len()), (calls, 30, 30));
    let mut wrong = Vec::new();
    for reader in CLIENTS {
        let all = CLIENTS.iter().flat_map(|writer| [(writer, false), (writer, true)]);
        let asked =
            all.flat_map(|(writer, kept_as)| [false, true].map(|stream| cases(writer, kept_as, stream))).flatten();
        let lines = told(reader, &egress.address, asked.collect()).await;
        assert_eq!(lines.len(), 60, "{}", reader.name);
        for line in lines {
            let is_legal = line["error"].is_null() && line["said"]["illegal"] == json!([]);
            let kept = &first[&line["case"].to_string()];
            if !is_legal || meaning(&line) != *kept {
                wrong.push(format!("{}: {kept} became {line}", reader.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // The newer API of OpenAI says by itself what the others leave open (`store`, `strict`): it shares with itself.
    let tally = egress.mock.tally();
    let again: Vec<_> = tally.recent.iter().skip(first.len()).filter_map(|call| call.id.as_deref()).collect();
    let is_other = |id: &&str| id.starts_with("openai-responses.") || id.contains("/openai-responses/");
    assert!(again.iter().all(is_other), "the provider was asked again: {again:#?}");
    assert_eq!(tally.requests, calls + 30, "{again:#?}");
    egress.assert_clean(&Exceptions::default()).await;
}

every_mode!(every_sdk_reads_what_another_one_has_asked);
