//! Answers from memory as users meet them, through a real Envoy: what is answered without the provider, how that is
//! told and counted, what is never kept, who may read whose answers, and that identical calls in flight are one.
//!
//! The mock says the same words whoever asks, so every call orders another number of them (`x-mock-tokens`, which no
//! key is made of): how long an answer is says for whom it was made.

mod alike;
mod controls;
mod crossings;
mod exact;
mod examples;
mod herd;
mod isolation;
mod refused;
mod shadow;
mod shared;
mod stays;
mod vectors;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use weir::identity::key::{Digest, RANDOM, new_key};
use weir::render::envoy::BodyMode;

use crate::faults::rig::{BACKEND, LONG, Parts, Rig, number};
use crate::support::response::Response;

/// What the profile of these suites lists for answers.
const PROFILE: &str = "---
apiVersion: weir.dev/v1alpha1
kind: LLMProfile
metadata: {name: default}
spec: {responseHeaders: [RequestId, Cache, RateLimit, Backend, Model, Cost, Tokens]}
";

/// An LLMCachePolicy with these fields of its spec.
fn cache(spec: &str) -> String {
    format!("---\napiVersion: weir.dev/v1alpha1\nkind: LLMCachePolicy\nmetadata: {{name: faq}}\nspec: {{{spec}}}\n")
}

/// What is asked once is known for an hour, and what is asked twice at once is asked once.
const EXACT: &str = "exact: {ttl: 1h}, coalescing: Enabled";

/// Consumers `c1` to `cN`, each with a key, in teams of two: `t0` has `c1`, `t1` has `c2` and `c3`, and so on.
fn consumers(count: u8) -> String {
    let one = |seed: u8| {
        let digest = Digest::of(&new_key(&[seed; RANDOM])).hex();
        format!(
            "---\napiVersion: weir.dev/v1alpha1\nkind: LLMConsumer\nmetadata: {{name: c{seed}}}\nspec:\n  match: \
             [{{keys: [{{name: main, sha256: {digest}}}]}}]\n  team: t{}\n",
            seed / 2
        )
    };
    (1..=count).map(one).collect()
}

/// What the consumer of this number sends.
fn bearer(seed: u8) -> String {
    format!("Bearer {}", new_key(&[seed; RANDOM]))
}

/// A rig with three consumers and these documents.
async fn rig(mode: BodyMode, documents: &str) -> Rig {
    let documents = BACKEND.to_owned() + PROFILE + &consumers(3) + documents;
    Rig::start(Parts { documents, mode, ..Parts::default() }).await
}

/// A chat call with this question.
fn question(text: &str, stream: bool) -> Value {
    json!({"model": "alpha", "stream": stream, "messages": [{"role": "user", "content": text}]})
}

/// Asks as the first consumer; the provider would say so many words.
async fn ask(rig: &Rig, words: u64, body: &Value, more: &[(&str, &str)]) -> Response {
    ask_as(rig, 1, words, body, more).await
}

async fn ask_as(rig: &Rig, consumer: u8, words: u64, body: &Value, more: &[(&str, &str)]) -> Response {
    let (key, words) = (bearer(consumer), words.to_string());
    let headers = [&[("authorization", &key[..]), ("x-mock-tokens", &words)], more].concat();
    rig.chat(&headers, body).await
}

/// How many words a chat answer says, whole or streamed. It must be complete.
fn words(answer: &Response) -> u64 {
    assert!(answer.status == 200 && answer.complete, "{answer:?}");
    let is_stream = answer.header("content-type").is_some_and(|kind| kind.starts_with("text/event-stream"));
    let text: String = match is_stream {
        true => {
            let events = answer.events();
            assert_eq!(events.last().map(String::as_str), Some("[DONE]"), "{answer:?}");
            let read = |event: &String| -> Option<String> {
                let event: Value = serde_json::from_str(event).ok()?;
                Some(event["choices"][0]["delta"]["content"].as_str()?.to_owned())
            };
            events.iter().filter_map(read).collect()
        }
        false => answer.json()["choices"][0]["message"]["content"].as_str().unwrap_or_default().to_owned(),
    };
    text.len() as u64 / 5
}

/// What the answer says of the cache.
fn said(answer: &Response) -> Option<&str> {
    answer.header("x-weir-cache")
}

/// What the record of an answer says of the cache: result and reason.
async fn recorded(rig: &Rig, answer: &Response) -> (String, String) {
    let record = rig.record_of(answer).await;
    let text = |name: &str| record["cached"][name].as_str().unwrap_or_default().to_owned();
    (text("result"), text("reason"))
}

/// Waits until so many answers were kept, or not, for this reason (`kept` for those that were).
async fn answers(rig: &Rig, result: &str, count: u64) {
    let until = Instant::now() + LONG;
    loop {
        let samples = rig.samples().await;
        let now = samples.sum("weir_cache_answers_total", &[("result", result)]);
        if now == count as f64 {
            return;
        }
        let is_over = now > count as f64 || Instant::now() > until;
        assert!(!is_over, "{now} answers are {result}, not {count}: {}", rig.admin("/cache").await.text());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The requests that reached the provider.
fn asked(rig: &Rig) -> u64 {
    rig.mock().tally().requests
}

/// Tokens in and out of a usage in a record.
fn tokens(usage: &Value) -> [u64; 2] {
    ["input", "output"].map(|class| number(&usage[class]))
}
