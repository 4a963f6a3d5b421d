//! Answers that pass in their provider's own form: what is seen of each, and when it is whole.

use serde_json::{Value, json};

use super::*;
use crate::base::base64;
use crate::llm::Usage;

/// A stream as its provider sends it.
struct Case {
    name: &'static str,
    kind: &'static str,
    /// The bytes of each event.
    events: Vec<Vec<u8>>,
    /// So many of them are the whole answer. More than there are: the end of the body is needed, too.
    whole: usize,
    text: u64,
    finish: &'static str,
    usage: Usage,
}

fn frames(events: &[(&str, Value)]) -> Vec<Vec<u8>> {
    let write = |(name, data): &(&str, Value)| {
        let mut out = Vec::new();
        frames::write(&mut out, name, data.to_string().as_bytes());
        out
    };
    events.iter().map(write).collect()
}

/// Events of a model inside of `InvokeModelWithResponseStream`.
fn invoked(events: &[Value]) -> Vec<Vec<u8>> {
    let wrap = |event: &Value| ("chunk", json!({"bytes": base64::encode(event.to_string().as_bytes()), "p": "abcd"}));
    frames(&events.iter().map(wrap).collect::<Vec<_>>())
}

fn lines(events: &[Value]) -> Vec<Vec<u8>> {
    events.iter().map(|event| format!("{event}\n").into_bytes()).collect()
}

fn events(named: bool, events: &[Value]) -> Vec<Vec<u8>> {
    let write = |event: &Value| {
        let mut out = Vec::new();
        sse::write(&mut out, event["type"].as_str().filter(|_| named), event.to_string().as_bytes());
        out
    };
    events.iter().map(write).collect()
}

fn metrics(input: u64, output: u64) -> Value {
    json!({"inputTokenCount": input, "outputTokenCount": output, "invocationLatency": 9, "firstByteLatency": 3})
}

fn bedrock() -> [Case; 3] {
    let converse = Case {
        name: "Bedrock ConverseStream",
        kind: frames::CONTENT_TYPE,
        events: frames(&[
            ("messageStart", json!({"role": "assistant", "p": "abc"})),
            ("contentBlockDelta", json!({"contentBlockIndex": 0, "delta": {"text": "Hé"}})),
            ("contentBlockStop", json!({"contentBlockIndex": 0})),
            (
                "contentBlockStart",
                json!({"contentBlockIndex": 1, "start": {"toolUse": {"toolUseId": "t", "name": "f"}}}),
            ),
            ("contentBlockDelta", json!({"contentBlockIndex": 1, "delta": {"toolUse": {"input": "{}"}}})),
            ("contentBlockStop", json!({"contentBlockIndex": 1})),
            ("messageStop", json!({"stopReason": "tool_use"})),
            (
                "metadata",
                json!({"usage": {"inputTokens": 9, "outputTokens": 2, "totalTokens": 51, "cacheReadInputTokens": 10,
                    "cacheWriteInputTokens": 30, "cacheDetails": [{"ttl": "1h", "inputTokens": 20},
                    {"ttl": "5m", "inputTokens": 10}]}, "metrics": {"latencyMs": 5}}),
            ),
        ]),
        whole: 8,
        text: 5,
        finish: "tool_use",
        usage: Usage {
            input: 9,
            output: 2,
            cache_read: 10,
            cache_write_5m: 10,
            cache_write_1h: 20,
            ..Usage::default()
        },
    };
    let anthropic = Case {
        name: "Anthropic by InvokeModel",
        kind: frames::CONTENT_TYPE,
        events: invoked(&[
            json!({"type": "message_start", "message": {"model": "claude", "usage": {"input_tokens": 7, "output_tokens": 1,
                "cache_read_input_tokens": 3}}}),
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}}),
            json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 4}}),
            json!({"type": "message_stop", "amazon-bedrock-invocationMetrics": metrics(10, 4)}),
        ]),
        whole: 4,
        text: 2,
        finish: "end_turn",
        usage: Usage { input: 7, output: 4, cache_read: 3, ..Usage::default() },
    };
    [converse, anthropic, llama()]
}

fn llama() -> Case {
    Case {
        name: "another model by InvokeModel",
        kind: frames::CONTENT_TYPE,
        events: invoked(&[
            json!({"generation": "Hi", "prompt_token_count": 5, "stop_reason": null}),
            json!({"generation": "", "stop_reason": "stop", "amazon-bedrock-invocationMetrics": metrics(5, 2)}),
        ]),
        whole: 2,
        text: 0,
        finish: "stop",
        usage: Usage { input: 5, output: 2, ..Usage::default() },
    }
}

fn cases() -> Vec<Case> {
    bedrock().into_iter().chain(ollama_cases()).chain(others()).collect()
}

fn ollama_cases() -> [Case; 2] {
    let ollama = |finish| {
        json!({"model": "m", "message": {"role": "assistant", "content": ""}, "done": true, "done_reason": finish,
            "total_duration": 5, "prompt_eval_count": 26, "eval_count": 298, "eval_duration": 4})
    };
    let generated = json!({"model": "m", "response": "", "done": true, "done_reason": "stop", "prompt_eval_count": 1});
    [
        Case {
            name: "Ollama chat",
            kind: lines::CONTENT_TYPE,
            events: lines(&[
                json!({"model": "m", "message": {"role": "assistant", "content": "Hi"}, "done": false}),
                json!({"model": "m", "message": {"role": "assistant", "content": "", "thinking": "abc"}, "done": false}),
                ollama("stop"),
            ]),
            whole: 3,
            text: 5,
            finish: "stop",
            usage: Usage { input: 26, output: 298, ..Usage::default() },
        },
        Case {
            name: "Ollama generate",
            kind: "application/x-ndjson; charset=utf-8",
            events: lines(&[json!({"model": "m", "response": "Hello", "done": false}), generated]),
            whole: 2,
            text: 5,
            finish: "stop",
            usage: Usage { input: 1, ..Usage::default() },
        },
    ]
}

fn others() -> [Case; 3] {
    let cohere_usage = json!({"billed_units": {"input_tokens": 5.0, "output_tokens": 8.0},
        "tokens": {"input_tokens": 71.0, "output_tokens": 9.0}, "cached_tokens": 16.0});
    let gemini_usage = json!({"promptTokenCount": 4, "candidatesTokenCount": 6, "totalTokenCount": 10});
    [
        Case {
            name: "Cohere v2",
            kind: "text/event-stream",
            events: events(
                true,
                &[
                    json!({"type": "message-start", "id": "i", "delta": {"message": {"role": "assistant", "content": []}}}),
                    json!({"type": "tool-plan-delta", "delta": {"message": {"tool_plan": "I"}}}),
                    json!({"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "Hi"}}}}),
                    json!({"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": cohere_usage}}),
                ],
            ),
            whole: 4,
            text: 3,
            finish: "COMPLETE",
            usage: Usage { input: 5, output: 8, ..Usage::default() },
        },
        Case {
            name: "Gemini",
            kind: "text/event-stream",
            events: events(
                false,
                &[
                    json!({"candidates": [{"content": {"parts": [{"text": "Hi"}]}}], "usageMetadata": {"promptTokenCount": 4}}),
                    json!({"candidates": [{"content": {"parts": [{"text": "!"}]}, "finishReason": "STOP"}],
                    "usageMetadata": gemini_usage}),
                ],
            ),
            whole: 3,
            text: 3,
            finish: "STOP",
            usage: Usage { input: 4, output: 6, ..Usage::default() },
        },
        Case {
            name: "Gemini, a prompt that is blocked",
            kind: "text/event-stream",
            events: events(
                false,
                &[json!({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": gemini_usage})],
            ),
            whole: 2,
            text: 0,
            finish: "SAFETY",
            usage: Usage { input: 4, output: 6, ..Usage::default() },
        },
    ]
}

#[test]
fn every_form_is_metered_and_whole_at_its_own_end_only() {
    for case in cases() {
        for step in [1, 7, 64, usize::MAX] {
            for count in 0..=case.events.len() {
                let mut meter = Meter::new(Some(case.kind), None, 1 << 16);
                let mut raw = Vec::new();
                for chunk in case.events[..count].concat().chunks(step) {
                    meter.push(&Bytes::copy_from_slice(chunk));
                    raw.extend(meter.events().iter().flat_map(|event| event.raw.to_vec()));
                }
                assert!(meter.is_events() && meter.is_readable(), "{}", case.name);
                assert_eq!(meter.is_complete(), count >= case.whole, "{} after {count}", case.name);
                assert_eq!(raw, case.events[..count].concat(), "{}", case.name);
                meter.finish();
                if count == case.events.len() {
                    let seen = meter.seen();
                    assert!(meter.is_complete() && !seen.has_error && !seen.malformed, "{}", case.name);
                    assert_eq!(
                        (seen.text_bytes, seen.finish.as_deref()),
                        (case.text, Some(case.finish)),
                        "{}",
                        case.name
                    );
                    assert_eq!((seen.usage, seen.unknown_usage_fields), (Some(case.usage), 0), "{}", case.name);
                }
            }
        }
    }
}

#[test]
fn a_stream_that_breaks_off_is_not_whole() {
    for case in cases() {
        let stream = case.events.concat();
        let last = case.events.last().map_or(0, Vec::len);
        let mut meter = Meter::new(Some(case.kind), None, 1 << 16);
        meter.push(&Bytes::copy_from_slice(&stream[..stream.len() - last / 2]));
        assert!(!meter.is_complete(), "{}", case.name);
        let held = meter.carried();
        meter.finish();
        // What came of the last event goes on.
        assert_eq!(meter.events().iter().map(|event| event.raw.len()).sum::<usize>(), held, "{}", case.name);
    }
}

#[test]
fn bedrock_that_says_no_usage_is_whole_at_the_end_of_the_body() {
    let [converse, ..] = bedrock();
    let mut meter = Meter::new(Some(frames::CONTENT_TYPE), None, 1 << 16);
    meter.push(&Bytes::from(converse.events[..7].concat()));
    assert!(!meter.is_complete());
    meter.finish();
    assert!(meter.is_complete() && meter.seen().usage.is_none());
}

#[test]
fn an_exception_is_an_error_and_no_end() {
    let mut stream = Vec::new();
    frames::write_exception(&mut stream, "throttlingException", br#"{"message":"slow down"}"#);
    let mut meter = Meter::new(Some(frames::CONTENT_TYPE), None, 1 << 16);
    meter.push(&Bytes::from(stream));
    meter.finish();
    assert!(meter.seen().has_error && !meter.is_complete());
    let mut meter = Meter::new(Some(lines::CONTENT_TYPE), None, 1 << 16);
    meter.push(&Bytes::from_static(b"{\"error\":\"out of memory\"}\n"));
    assert!(meter.seen().has_error && !meter.is_complete());
}

#[test]
fn what_cannot_be_read_makes_it_blind_and_goes_on_untouched() {
    let mut frame = Vec::new();
    frames::write(&mut frame, "messageStart", b"{}");
    let mut bad = frame.clone();
    bad[20] ^= 1;
    let long = [b"{\"a\":\"".to_vec(), vec![b'x'; 200], b"\"}\n".to_vec()].concat();
    let mut large = Vec::new();
    frames::write(&mut large, "messageStart", &[b' '; 200]);
    for (kind, bytes, blind) in [
        (frames::CONTENT_TYPE, bad, Blind::Undecodable),
        (frames::CONTENT_TYPE, large, Blind::Oversized),
        (lines::CONTENT_TYPE, long, Blind::Oversized),
    ] {
        let mut meter = Meter::new(Some(kind), None, 150);
        meter.push(&Bytes::from(bytes.clone()));
        assert_eq!(meter.blind(), Some(blind));
        assert_eq!(meter.take_rest(), bytes);
    }
}

#[test]
fn whole_answers_of_every_form() {
    let rows = [
        (
            json!({"model": "m", "message": {"content": "Hi"}, "done": true, "prompt_eval_count": 3, "eval_count": 4}),
            Usage { input: 3, output: 4, ..Usage::default() },
        ),
        (
            json!({"message": {"content": [{"type": "text", "text": "Hi"}]}, "finish_reason": "COMPLETE",
                "usage": {"tokens": {"input_tokens": 3, "output_tokens": 4}}}),
            Usage { input: 3, output: 4, ..Usage::default() },
        ),
        (
            json!({"output": {"message": {"role": "assistant", "content": [{"text": "Hi"}]}}, "stopReason": "end_turn",
                "usage": {"inputTokens": 3, "outputTokens": 4, "totalTokens": 9, "cacheWriteInputTokens": 2},
                "serviceTier": {"type": "flex"}}),
            Usage { input: 3, output: 4, cache_write_5m: 2, ..Usage::default() },
        ),
        // Moonshot.
        (
            json!({"choices": [{"message": {"content": "Hi"}}], "usage": {"prompt_tokens": 7, "completion_tokens": 1,
                "cached_tokens": 3}}),
            Usage { input: 4, output: 1, cache_read: 3, ..Usage::default() },
        ),
    ];
    for (body, usage) in rows {
        let mut meter = Meter::new(Some("application/json"), None, 150);
        meter.push(&Bytes::from(body.to_string()));
        let seen = meter.seen();
        assert!(meter.is_complete());
        assert_eq!((seen.usage, seen.unknown_usage_fields, seen.text_bytes), (Some(usage), 0, 2), "{body}");
        assert_eq!(seen.service_tier.as_deref(), body["serviceTier"]["type"].as_str());
    }
}
