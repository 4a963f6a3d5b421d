//! Exchanges as providers of the OpenAI API answer them: each goes through unchanged, and the usage that
//! it states is the usage that is billed.

use weir::exchange::record::Outcome;
use weir::llm::{Units, Usage, UsageSource};

use super::support::*;

pub mod translation;

/// One exchange.
struct Case {
    name: &'static str,
    path: &'static str,
    request: &'static str,
    status: u16,
    kind: &'static str,
    answer: &'static str,
    outcome: Outcome,
    usage: Option<Usage>,
    served: &'static str,
}

const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream; charset=utf-8";
const COMPLETIONS: &str = "/v1/completions";
const EMBEDDINGS: &str = "/v1/embeddings";

/// Input, of it cached; output, of it reasoning.
const fn stated(input: u64, cached: u64, output: u64, reasoning: u64) -> Option<Usage> {
    Some(Usage {
        input: input - cached,
        cache_read: cached,
        cache_write_5m: 0,
        cache_write_1h: 0,
        output,
        reasoning,
        audio_in: 0,
        audio_out: 0,
        image_in: 0,
        image_out: 0,
        video_in: 0,
        video_out: 0,
        cache_read_audio: 0,
        cache_read_image: 0,
        units: Units::NONE,
    })
}

fn done(
    name: &'static str,
    path: &'static str,
    request: &'static str,
    answer: &'static str,
    usage: Option<Usage>,
    served: &'static str,
) -> Case {
    let kind = if answer.starts_with("data:") { EVENTS } else { JSON };
    Case { name, path, request, status: 200, kind, answer, outcome: Outcome::Completed, usage, served }
}

fn failed(name: &'static str, path: &'static str, request: &'static str, status: u16, answer: &'static str) -> Case {
    let usage = Some(Usage::default());
    Case { name, path, request, status, kind: JSON, answer, outcome: Outcome::UpstreamError, usage, served: "" }
}

fn chats() -> Vec<Case> {
    vec![
        done(
            "a question and its answer",
            CHAT,
            r#"{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Name a river."}]}"#,
            r#"{"id":"chatcmpl-r1","object":"chat.completion","created":1755000001,"model":"gpt-4o-mini-2024-07-18",
               "choices":[{"index":0,"message":{"role":"assistant","content":"The Rhine.","refusal":null,"annotations":[]},
               "logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":11,"completion_tokens":4,"total_tokens":15,
               "prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},"completion_tokens_details":
               {"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}},
               "service_tier":"default","system_fingerprint":null}"#,
            stated(11, 0, 4, 0),
            "gpt-4o-mini-2024-07-18",
        ),
        done(
            "an image is described",
            CHAT,
            r#"{"model":"gpt-4o-mini","messages":[{"role":"user","content":[{"type":"text","text":"What is this?"},
               {"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0KGgo=","detail":"low"}}]}]}"#,
            r#"{"id":"chatcmpl-r2","model":"gpt-4o-mini-2024-07-18","choices":[{"index":0,"message":{"role":"assistant",
               "content":"A weir."},"finish_reason":"stop"}],"usage":{"completion_tokens":513,"prompt_tokens":95,
               "total_tokens":608,"completion_tokens_details":{"reasoning_tokens":509}}}"#,
            stated(95, 0, 513, 509),
            "gpt-4o-mini-2024-07-18",
        ),
        done(
            "a conversation whose beginning was cached",
            CHAT,
            r#"{"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Hi"},
               {"role":"assistant","content":"Hello."},{"role":"user","content":"Who are you?"}],"model":"gpt-4o-mini"}"#,
            r#"{"id":"chatcmpl-r3","model":"gpt-4o-mini","choices":[{"index":0,"message":{"role":"assistant",
               "content":"A model."},"finish_reason":"stop"}],"usage":{"prompt_tokens":1402,"completion_tokens":5,
               "prompt_tokens_details":{"cached_tokens":1280}}}"#,
            stated(1402, 1280, 5, 0),
            "gpt-4o-mini",
        ),
    ]
}

fn tools() -> Vec<Case> {
    vec![
        done(
            "two tools are called at once",
            CHAT,
            r#"{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Weather in Bern and Basel?"}],"tools":
               [{"type":"function","function":{"name":"weather","parameters":{"type":"object","properties":{"usage":{}}}}}]}"#,
            r#"{"id":"chatcmpl-r4","model":"gpt-4o-mini","choices":[{"index":0,"message":{"role":"assistant","content":null,
               "tool_calls":[{"id":"call_1","type":"function","function":{"name":"weather","arguments":"{\"city\":\"Bern\"}"}},
               {"id":"call_2","type":"function","function":{"name":"weather","arguments":"{\"city\":\"Basel\",\"usage\":{}}"}}]},
               "finish_reason":"tool_calls"}],"usage":{"prompt_tokens":140,"completion_tokens":46,"total_tokens":186}}"#,
            stated(140, 0, 46, 0),
            "gpt-4o-mini",
        ),
        done(
            "a picture is to be drawn by a tool",
            CHAT,
            r#"{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Draw a dam."}],"tool_choice":"required"}"#,
            r#"{"choices":[{"finish_reason":"length","index":0,"message":{"content":"","role":"assistant"}}],"created":1,
               "id":"chatcmpl-r5","model":"gpt-4o-mini","usage":{"completion_tokens":128,"completion_tokens_details":
               {"reasoning_tokens":128},"prompt_tokens":201,"total_tokens":329}}"#,
            stated(201, 0, 128, 128),
            "gpt-4o-mini",
        ),
        done(
            "the web is searched",
            CHAT,
            r#"{"model":"gpt-4o-mini","messages":[{"role":"user","content":"News?"}],"web_search_options":{}}"#,
            r#"{"id":"chatcmpl-r6","model":"gpt-4o-mini-search","choices":[{"index":0,"message":{"role":"assistant",
               "content":"None [1].","annotations":[{"type":"url_citation","url_citation":{"url":"https://news.example/",
               "title":"usage"}}]},"finish_reason":"stop"}],"usage":{"prompt_tokens":8,"completion_tokens":21}}"#,
            stated(8, 0, 21, 0),
            "gpt-4o-mini-search",
        ),
    ]
}

fn streams() -> Vec<Case> {
    vec![
        done(
            "the web is searched, streamed, without usage although it was asked for",
            CHAT,
            r#"{"model":"gpt-4o-mini","stream":true,"stream_options":{"include_usage":true},"messages":[]}"#,
            concat!(
                r#"data: {"id":"s1","model":"gpt-4o-mini","choices":[{"index":0,"delta":{"role":"assistant","content":""}}],"obfuscation":"k3"}"#,
                "\n\n",
                r#"data: {"id":"s1","model":"gpt-4o-mini","choices":[{"index":0,"delta":{"content":"Rain in Bern"}}],"obfuscation":"x"}"#,
                "\n\n",
                r#"data: {"id":"s1","model":"gpt-4o-mini","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"obfuscation":""}"#,
                "\n\ndata: [DONE]\n\n\n",
            ),
            None,
            "gpt-4o-mini",
        ),
        done(
            "a completion, streamed with its usage",
            COMPLETIONS,
            r#"{"model":"gpt-4o-mini","prompt":"def f(","stream":true,"stream_options":{"include_usage":true}}"#,
            concat!(
                r#"data: {"id":"cmpl-1","object":"text_completion","choices":[{"text":"n","index":0,"finish_reason":null}],"model":"babbage:v2","usage":null}"#,
                "\n\n",
                r#"data: {"id":"cmpl-1","object":"text_completion","choices":[{"text":"):","index":0,"finish_reason":"length"}],"model":"babbage:v2","usage":null}"#,
                "\n\n",
                r#"data: {"id":"cmpl-1","object":"text_completion","model":"babbage:v2","usage":{"prompt_tokens":4,"completion_tokens":2,"total_tokens":6},"choices":[]}"#,
                "\n\ndata: [DONE]\n\n",
            ),
            stated(4, 0, 2, 0),
            "babbage:v2",
        ),
    ]
}

fn others() -> Vec<Case> {
    vec![
        done(
            "two completions at once",
            COMPLETIONS,
            r#"{"model":"gpt-4o-mini","prompt":["a","b"],"max_tokens":3,"n":1}"#,
            r#"{"id":"cmpl-2","object":"text_completion","created":2,"model":"babbage:v2","choices":[{"text":"x","index":0,
               "finish_reason":"length"},{"text":"y","index":1,"finish_reason":"stop"}],
               "usage":{"prompt_tokens":2,"completion_tokens":6,"total_tokens":8}}"#,
            stated(2, 0, 6, 0),
            "babbage:v2",
        ),
        done(
            "an embedding",
            EMBEDDINGS,
            r#"{"model":"text-embedding-3-small","input":"a weir"}"#,
            r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[-0.0023,1.5e-3,0.25]}],
               "model":"text-embedding-3-small","usage":{"prompt_tokens":3,"total_tokens":3}}"#,
            stated(3, 0, 0, 0),
            "text-embedding-3-small",
        ),
        done(
            "an embedding as base64",
            EMBEDDINGS,
            r#"{"input":["a","b"],"encoding_format":"base64","model":"text-embedding-3-small"}"#,
            r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":"AACAPwAAAEA="},{"index":1,
               "embedding":"AACAPw=="}],"model":"text-embedding-3-small","usage":{"prompt_tokens":977,"total_tokens":977}}"#,
            stated(977, 0, 0, 0),
            "text-embedding-3-small",
        ),
    ]
}

fn errors() -> Vec<Case> {
    vec![
        failed(
            "a parameter that is not known",
            CHAT,
            r#"{"model":"gpt-4o-mini","messages":[],"max_tokens":0}"#,
            400,
            r#"{"error":{"message":"Unsupported parameter","type":"invalid_request_error","param":"max_tokens","code":"x"}}"#,
        ),
        failed(
            "a model that the provider does not know",
            COMPLETIONS,
            r#"{"model":"one/no-such-model","prompt":"x"}"#,
            404,
            "{\n  \"error\": {\n    \"message\": \"The model does not exist\",\n    \"code\": \"model_not_found\"\n  }\n}\n",
        ),
        failed(
            "an embedding model that the provider does not know",
            EMBEDDINGS,
            r#"{"model":"one/no-such-model","input":"x"}"#,
            404,
            r#"{"error":{"message":"The model does not exist","code":"model_not_found"}}"#,
        ),
    ]
}

#[test]
fn the_usage_that_is_stated_is_the_usage_that_is_billed() {
    let cases: Vec<Case> = [chats(), tools(), streams(), others(), errors()].into_iter().flatten().collect();
    assert_eq!(cases.len(), 14);
    for case in cases {
        let mut world = World::new(policy());
        world.call(case.path, case.request);
        world.reply(response(case.status, &[("content-type", case.kind)]), case.answer).end();
        assert_eq!(world.client(), case.answer, "{}: the answer", case.name);
        assert_eq!(world.upstream(), case.request.replace("\"one/", "\""), "{}: the request", case.name);
        let record = world.record();
        assert_eq!((record.status, record.outcome), (case.status, case.outcome), "{}", case.name);
        let expected = match case.usage {
            Some(usage) => (UsageSource::Provider, usage),
            None => (UsageSource::Estimated, record.usage),
        };
        assert_eq!((record.usage_source, record.usage), expected, "{}: the usage", case.name);
        assert!(case.usage.is_some() || record.usage.output == 3, "{}: 12 bytes of text", case.name);
        assert_eq!(record.served_model, case.served, "{}: the model", case.name);
        assert_eq!(record.unknown_usage_fields, 0, "{}", case.name);
    }
}
