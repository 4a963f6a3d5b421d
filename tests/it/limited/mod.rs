//! Limits as users meet them, through a real Envoy, counted in one process: what passes, what is refused and
//! how, what each call is charged in the end, and what of it is told.

mod bounds;
mod clients;
mod cut;
mod dialects;
mod examples;
mod money;
mod parallel;
mod policies;
mod requests;
mod tokens;

use std::sync::Arc;

use serde_json::Value;
use weir::render::envoy::BodyMode;

use crate::faults::rig::{BACKEND, Parts, Rig, number};
use crate::support::response::Response;

/// How many callers come at once.
const CALLERS: usize = 64;

/// Two backends, of which one speaks another API.
const PROVIDERS: &str = "
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: main}
spec: {endpoint: 'http://{mock}/v1', dialect: OpenAI, credentials: [{type: None}]}
---
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: claude}
spec: {endpoint: 'http://{mock}/v1', dialect: Anthropic, credentials: [{type: None}]}
";

/// An LLMLimitPolicy with these fields of its spec.
fn policy(spec: &str) -> String {
    format!("---\napiVersion: weir.dev/v1alpha1\nkind: LLMLimitPolicy\nmetadata: {{name: fair}}\nspec:\n{spec}\n")
}

/// A policy with this one limit.
fn limit(limit: &str) -> String {
    policy(&format!("  limits:\n  - {{{limit}}}"))
}

async fn rig(mode: BodyMode, documents: &str) -> Rig {
    Rig::start(Parts { documents: BACKEND.to_owned() + documents, mode, ..Parts::default() }).await
}

/// Makes the call as many times at once as there are callers.
async fn at_once(rig: Rig, headers: &'static [(&'static str, &'static str)], body: &Value) -> (Rig, Vec<Response>) {
    let rig = Arc::new(rig);
    let calls: Vec<_> = (0..CALLERS)
        .map(|_| {
            let (rig, body) = (Arc::clone(&rig), body.clone());
            tokio::spawn(async move { rig.chat(headers, &body).await })
        })
        .collect();
    let mut answers = Vec::new();
    for call in calls {
        answers.push(call.await.expect("no panic"));
    }
    (Arc::into_inner(rig).expect("all calls are done"), answers)
}

/// Tokens in and out of a record.
fn tokens(record: &Value) -> [u64; 2] {
    ["input", "output"].map(|class| number(&record["usage"][class]))
}

/// The tokens of all records together.
fn used(records: &[Value]) -> u64 {
    records.iter().map(|record| tokens(record).iter().sum::<u64>()).sum()
}

/// A number in a header.
fn told(answer: &Response, name: &str) -> u64 {
    let text = answer.header(name).unwrap_or_else(|| panic!("no {name}: {answer:?}"));
    text.parse().unwrap_or_else(|_| panic!("no number: {name}: {text:?}"))
}

/// Status and code of an answer.
fn code(answer: &Response) -> (u16, String) {
    assert!(answer.complete, "{answer:?}");
    let code = if answer.status == 200 { String::new() } else { text(&answer.json()["error"]["code"]) };
    (answer.status, code)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn ok() -> (u16, String) {
    (200, String::new())
}

fn exceeded() -> (u16, String) {
    (429, "rate_limit_exceeded".to_owned())
}

/// What the decisions of a record are: step, outcome, reason.
fn decisions(record: &Value) -> Vec<[String; 3]> {
    let all = record["decisions"].as_array().cloned().unwrap_or_default();
    all.iter().map(|one| ["step", "outcome", "reason"].map(|field| text(&one[field]))).collect()
}
