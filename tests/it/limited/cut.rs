//! `onExhausted: Cut`: a stream ends when its limit does, in its client's own words for an answer that reached
//! its length.

use serde_json::{Value, json};
use weir::render::envoy::BodyMode;

use super::{CALLERS, PROVIDERS, at_once, limit, rig, tokens, used};
use crate::faults::rig::{Parts, Rig, ask, wait};
use crate::support::envoy_stats::Exceptions;
use crate::support::response::Response;

const LIMIT: &str = "name: tpm, unit: Tokens, amount: 500, period: {rolling: 1h}, onExhausted: Cut";

/// Words that a client of chat completions has read, and why it ended.
fn read(answer: &Response) -> (u64, Option<String>) {
    let (mut bytes, mut finish) = (0, None);
    for event in answer.events().iter().filter(|event| *event != "[DONE]") {
        let chunk: Value = serde_json::from_str(event).unwrap_or_else(|error| panic!("{error}: {event:?}"));
        let choice = &chunk["choices"][0];
        bytes += choice["delta"]["content"].as_str().unwrap_or_default().len() as u64;
        finish = choice["finish_reason"].as_str().map(str::to_owned).or(finish);
    }
    (bytes / 5, finish)
}

async fn many_streams_together_stay_within_the_limit(mode: BodyMode) {
    let rig = rig(mode, &limit(LIMIT)).await;
    let (rig, answers) = at_once(rig, &[("x-mock-tokens", "900"), ("x-mock-spacing", "5")], &ask("alpha", true)).await;
    let records = rig.records_when(CALLERS).await;
    let billed = used(&records);
    assert!((200..=500).contains(&billed), "{billed}");
    let mut cuts = 0;
    for answer in answers.iter().filter(|answer| answer.status == 200) {
        assert!(answer.complete, "{answer:?}");
        let (words, finish) = read(answer);
        let record = rig.record_of(answer).await;
        assert_eq!((text(&record["outcome"]), finish.as_deref()), ("OUTCOME_CUT", Some("length")), "{record}");
        assert_eq!(answer.events().last().map(String::as_str), Some("[DONE]"), "{answer:?}");
        // What was sent is what is billed: by bytes, so a little more than the words.
        let billed = tokens(&record)[1];
        assert!(words > 0 && words <= billed, "{words} {billed}");
        cuts += 1;
    }
    assert!(cuts > 0, "{answers:?}");
    // Elsewhere Envoy ends no answer before its provider does, and what still comes goes nowhere.
    let resets = if mode == BodyMode::FullDuplex { cuts } else { 0 };
    let aborted = || rig.mock().tally().recent.iter().filter(|request| request.aborted).count();
    wait("resets of the upstream", || async { aborted() == resets }).await;
    rig.end(&Exceptions::default()).await;
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A stream whose stated bound was taken whole has nothing to run out of.
async fn a_stated_bound_is_never_cut(mode: BodyMode) {
    let rig = rig(mode, &limit(LIMIT)).await;
    for bound in [100, 300] {
        let mut body = ask("alpha", true);
        body["max_tokens"] = json!(bound);
        let answer = rig.chat(&[], &body).await;
        assert_eq!(read(&answer), (bound, Some("length".to_owned())), "{answer:?}");
        assert_eq!(rig.record_of(&answer).await["outcome"], "OUTCOME_COMPLETED");
    }
    rig.end(&Exceptions::default()).await;
}

/// Every pair of a client's and a provider's format, streams that pass and streams that are written anew.
async fn each_client_sees_the_end_of_its_own_api(mode: BodyMode) {
    let limit = "name: tpm, unit: Tokens, amount: 600, period: {rolling: 1h}, onExhausted: Cut, per: [Model]";
    let documents = PROVIDERS.to_owned() + &super::limit(limit);
    let rig = Rig::start(Parts { documents, mode, ..Parts::default() }).await;
    let chat = |model: &str| ask(model, true);
    let messages = |model: &str| json!({"model": model, "max_tokens": 2000, "stream": true, "messages": [{"role": "user", "content": "How high?"}]});
    let responses = |model: &str| json!({"model": model, "stream": true, "input": "How high?"});
    let rows: Vec<(&str, Value, &[&str])> = vec![
        ("/v1/chat/completions", chat("main/a"), &["\"finish_reason\":\"length\"", "data: [DONE]"]),
        ("/v1/chat/completions", chat("claude/b"), &["\"finish_reason\":\"length\"", "data: [DONE]"]),
        (
            "/v1/messages",
            messages("main/c"),
            &["\"type\":\"content_block_stop\"", "\"stop_reason\":\"max_tokens\"", "\"type\":\"message_stop\""],
        ),
        (
            "/v1/messages",
            messages("claude/d"),
            &["\"type\":\"content_block_stop\"", "\"stop_reason\":\"max_tokens\"", "\"type\":\"message_stop\""],
        ),
        (
            "/v1/responses",
            responses("main/e"),
            &[
                "\"type\":\"response.output_text.done\"",
                "\"type\":\"response.incomplete\"",
                "\"reason\":\"max_output_tokens\"",
            ],
        ),
        (
            "/v1/responses",
            responses("claude/f"),
            &[
                "\"type\":\"response.output_text.done\"",
                "\"type\":\"response.incomplete\"",
                "\"reason\":\"max_output_tokens\"",
            ],
        ),
    ];
    for (path, body, ends) in rows {
        let answer = rig
            .post(path, &[("x-mock-tokens", "1500"), ("anthropic-version", "2023-06-01")], body.to_string().as_bytes())
            .await;
        assert!(answer.status == 200 && answer.complete, "{body}: {answer:?}");
        let record = rig.record_of(&answer).await;
        assert_eq!(record["outcome"], "OUTCOME_CUT", "{body}: {record}");
        let sum = tokens(&record).iter().sum::<u64>();
        assert!((400..=600).contains(&sum), "{body}: {sum}");
        let all = answer.text();
        let mut rest = &all[..];
        for end in ends {
            let at = rest
                .rfind(end)
                .unwrap_or_else(|| panic!("{body}: no {end} in {}", &all[all.len().saturating_sub(1500)..]));
            assert_eq!(all.matches(end).count(), 1, "{body}: {end}");
            rest = &rest[at..];
        }
    }
    rig.end(&Exceptions::default()).await;
}

/// What is no stream is taken as what it states, and nothing of it is cut.
async fn a_document_is_whole_or_refused(mode: BodyMode) {
    let rig = rig(mode, &limit(LIMIT)).await;
    let mut body = ask("alpha", false);
    body["max_tokens"] = json!(600);
    let answer = rig.chat(&[], &body).await;
    assert_eq!(super::code(&answer), (429, "insufficient_quota".to_owned()), "it alone is more than all: {answer:?}");
    body["max_tokens"] = json!(400);
    assert_eq!(rig.chat(&[], &body).await.json()["usage"]["completion_tokens"], 400);
    rig.end(&Exceptions::default()).await;
}

modes_that_stream!(
    many_streams_together_stay_within_the_limit,
    a_stated_bound_is_never_cut,
    each_client_sees_the_end_of_its_own_api
);
every_mode!(a_document_is_whole_or_refused);
