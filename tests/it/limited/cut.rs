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
    let aborted = || rig.mock().tally().recent.iter().filter(|request| request.aborted).count();
    wait("resets of the upstream", || async { aborted() == cuts }).await;
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

const CLOUDS: &str = "
---
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: gem}
spec: {endpoint: 'http://{mock}/v1beta', dialect: Gemini, credentials: [{type: None}]}
---
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: bed}
spec: {endpoint: 'http://{mock}', dialect: Bedrock, credentials: [{type: None}]}
";

/// How an answer ends in each API.
const CHAT: &[&str] = &["\"finish_reason\":\"length\"", "data: [DONE]"];
const MESSAGES: &[&str] =
    &["\"type\":\"content_block_stop\"", "\"stop_reason\":\"max_tokens\"", "\"type\":\"message_stop\""];
const RESPONSES: &[&str] =
    &["\"type\":\"response.output_text.done\"", "\"type\":\"response.incomplete\"", "\"reason\":\"max_output_tokens\""];
const GEMINI: &[&str] = &["\"finishReason\":\"MAX_TOKENS\""];
const CONVERSE: &[&str] = &["contentBlockStop", "\"stopReason\":\"max_tokens\"", "\"totalTokens\""];

/// Where a call goes, what it says and how its answer ends.
type Row = (String, Value, &'static [&'static str]);

/// Every pair of a client's and a provider's format, streams that pass and streams that are written anew.
fn pairs() -> Vec<Row> {
    let prompt = json!([{"role": "user", "content": "How high?"}]);
    let chat = |model: &str| {
        let mut body = ask(model, true);
        body["stream_options"] = json!({"include_usage": true});
        body
    };
    let messages = |model: &str| json!({"model": model, "max_tokens": 2000, "stream": true, "messages": prompt});
    let responses = |model: &str| json!({"model": model, "stream": true, "input": "How high?"});
    let contents = || json!({"contents": [{"role": "user", "parts": [{"text": "How high?"}]}]});
    let converse = || json!({"messages": [{"role": "user", "content": [{"text": "How high?"}]}]});
    let gemini = |model: &str, query: &str| format!("/v1beta/models/{model}:streamGenerateContent{query}");
    let own = |path: &str| path.to_owned();
    vec![
        (own("/v1/chat/completions"), chat("main/a"), CHAT),
        (own("/v1/chat/completions"), chat("claude/b"), CHAT),
        (own("/v1/chat/completions"), chat("bed/b2"), CHAT),
        (own("/v1/messages"), messages("main/c"), MESSAGES),
        (own("/v1/messages"), messages("claude/d"), MESSAGES),
        (own("/v1/messages"), messages("gem/d2"), MESSAGES),
        // Bedrock wraps Anthropic's own events into its frames.
        (own("/v1/messages"), messages("bed/anthropic.claude-3-haiku-20240307-v1:0"), MESSAGES),
        (own("/v1/responses"), responses("main/e"), RESPONSES),
        (own("/v1/responses"), responses("claude/f"), RESPONSES),
        (gemini("gem%2Fg", "?alt=sse"), contents(), GEMINI),
        (gemini("claude%2Fh", "?alt=sse"), contents(), GEMINI),
        (gemini("claude%2Fi", ""), contents(), &["\"finishReason\":\"MAX_TOKENS\"", "]"]),
        (own("/model/bed%2Fj/converse-stream"), converse(), CONVERSE),
        (own("/model/main%2Fk/converse-stream"), converse(), CONVERSE),
    ]
}

/// None is compressed, whatever its client takes.
async fn each_client_sees_the_end_of_its_own_api(mode: BodyMode) {
    let limit = "name: tpm, unit: Tokens, amount: 600, period: {rolling: 1h}, onExhausted: Cut, per: [Model]";
    let documents = PROVIDERS.to_owned() + CLOUDS + &super::limit(limit);
    let rig = Rig::start(Parts { documents, mode, ..Parts::default() }).await;
    for (path, body, ends) in pairs() {
        let headers = [
            ("x-mock-tokens", "1500"),
            ("x-mock-encoding", "gzip"),
            ("accept-encoding", "gzip, br"),
            ("anthropic-version", "2023-06-01"),
        ];
        let answer = rig.post(&path, &headers, body.to_string().as_bytes()).await;
        assert!(answer.status == 200 && answer.complete, "{path} {body}: {answer:?}");
        let record = rig.record_of(&answer).await;
        assert_eq!(record["outcome"], "OUTCOME_CUT", "{path} {body}: {record}");
        let sum = tokens(&record).iter().sum::<u64>();
        assert!((400..=600).contains(&sum), "{path} {body}: {sum}");
        let all = answer.text();
        let mut rest = &all[..];
        for end in ends {
            let at = rest
                .rfind(end)
                .unwrap_or_else(|| panic!("{path} {body}: no {end} in {}", &all[all.len().saturating_sub(1500)..]));
            assert!(all.matches(end).count() == 1 || *end == "]", "{path} {body}: {end}");
            rest = &rest[at..];
        }
        // The client is told what it is billed.
        if ends == CHAT {
            let told = answer.events().iter().rev().nth(1).map(|event| serde_json::from_str::<Value>(event));
            let told = told.expect("a chunk with the usage").expect("JSON");
            assert_eq!(told["usage"]["completion_tokens"], tokens(&record)[1], "{told}");
        }
    }
    rig.end(&Exceptions::default()).await;
}

/// Elsewhere than in the first mode Envoy ends no answer before its provider does, and so nothing is saved by
/// ending it: what it may bring is taken beforehand.
async fn an_answer_is_ended_only_where_its_provider_is(mode: BodyMode) {
    let rig = rig(mode, &limit("name: tpm, unit: Tokens, amount: 2000, period: {rolling: 1h}, onExhausted: Cut")).await;
    let mut body = ask("alpha", true);
    body["max_tokens"] = json!(1500);
    assert_eq!(read(&rig.chat(&[], &body).await).0, 1500);
    let answer = rig.chat(&[], &body).await;
    match mode {
        BodyMode::FullDuplex => assert_eq!(rig.record_of(&answer).await["outcome"], "OUTCOME_CUT"),
        _ => assert_eq!(answer.status, 429, "{answer:?}"),
    }
    assert!(used(&rig.records_when(2).await) <= 2000);
    rig.end(&Exceptions::default()).await;
}

/// A provider that compresses what was asked for plain cannot be stopped: what it may say is taken when its head
/// comes, and others have to do with what is left.
async fn a_stream_that_cannot_be_ended_after_all_is_taken_whole(mode: BodyMode) {
    let documents =
        PROVIDERS.to_owned() + &limit("name: tpm, unit: Tokens, amount: 2000, period: {rolling: 1h}, onExhausted: Cut");
    let rig = Rig::start(Parts { documents, mode, ..Parts::default() }).await;
    let prompt = json!([{"role": "user", "content": "How high?"}]);
    let body = json!({"model": "claude/a", "max_tokens": 1900, "stream": true, "messages": prompt}).to_string();
    let headers = [
        ("x-mock-tokens", "1900"),
        ("x-mock-encoding", "gzip!"),
        ("accept-encoding", "gzip"),
        ("x-mock-spacing", "2"),
        ("anthropic-version", "2023-06-01"),
    ];
    let first = async { rig.post("/v1/messages", &headers, body.as_bytes()).await };
    let second = async {
        let taken = || async { rig.samples().await.sum("weir_limit_utilization_ratio", &[]) };
        wait("all of it to be taken", || async { taken().await > 0.9 }).await;
        rig.post("/v1/messages", &headers, body.as_bytes()).await
    };
    let (first, second) = tokio::join!(first, second);
    let record = rig.record_of(&first).await;
    assert_eq!((first.complete, &record["outcome"]), (true, &json!("OUTCOME_COMPLETED")), "{record}");
    assert_eq!((second.status, tokens(&record)[1]), (429, 1900), "{second:?}");
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

first_mode!(
    many_streams_together_stay_within_the_limit,
    each_client_sees_the_end_of_its_own_api,
    a_stream_that_cannot_be_ended_after_all_is_taken_whole
);
modes_that_stream!(a_stated_bound_is_never_cut);
every_mode!(a_document_is_whole_or_refused, an_answer_is_ended_only_where_its_provider_is);
