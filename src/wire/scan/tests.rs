//! The scanner on every family of answers.

use serde_json::{Value, json};

use super::*;
use crate::llm::Usage;

mod cached;
mod tree;
mod units;

fn scan(body: &[u8]) -> Seen {
    let mut scan = Scan::new();
    scan.push(body);
    scan.seen().clone()
}

/// The same, one document after another as a stream's events are.
fn scan_events(events: &[Value]) -> Seen {
    let mut scan = Scan::new();
    for event in events {
        scan.reset();
        scan.push(event.to_string().as_bytes());
    }
    scan.seen().clone()
}

fn usage_of(value: Value) -> Option<Usage> {
    let seen = scan(json!({ "usage": value }).to_string().as_bytes());
    assert!(seen.complete && !seen.malformed);
    assert_eq!(seen.unknown_usage_fields, 0);
    seen.usage
}

#[test]
fn openai_chat_usage() {
    let usage = usage_of(json!({
        "prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150,
        "prompt_tokens_details": { "cached_tokens": 60, "audio_tokens": 10, "cache_write_tokens": 5, "text_tokens": 90 },
        "completion_tokens_details": {
            "reasoning_tokens": 20, "audio_tokens": 7, "accepted_prediction_tokens": 3, "rejected_prediction_tokens": 4
        },
    }));
    let expected = Usage {
        input: 25,
        cache_read: 60,
        cache_write_5m: 5,
        audio_in: 10,
        output: 43,
        reasoning: 20,
        audio_out: 7,
        ..Usage::default()
    };
    assert_eq!(usage, Some(expected));
    let expected = Usage { input: 7, ..Usage::default() };
    assert_eq!(usage_of(json!({ "prompt_tokens": 7, "total_tokens": 7 })), Some(expected));
    // What proxies make of Anthropic's answers: both spellings, all inside `prompt_tokens`.
    let usage = usage_of(json!({
        "prompt_tokens": 100, "completion_tokens": 1, "prompt_tokens_details": { "cached_tokens": 30 },
        "cache_read_input_tokens": 30, "cache_creation_input_tokens": 20,
    }));
    let expected = Usage { input: 50, cache_read: 30, cache_write_5m: 20, output: 1, ..Usage::default() };
    assert_eq!(usage, Some(expected));
}

#[test]
fn parts_without_a_total_are_no_usage_and_not_zero() {
    assert_eq!(usage_of(json!({ "prompt_tokens_details": { "cached_tokens": 9 } })), None);
    assert_eq!(usage_of(json!({ "completion_tokens_details": { "reasoning_tokens": 9 }, "total_tokens": 9 })), None);
    assert_eq!(usage_of(json!({ "prompt_cache_hit_tokens": 9 })), None);
    assert_eq!(usage_of(json!({ "prompt_tokens": 0, "completion_tokens": 0 })), Some(Usage::default()));
}

#[test]
fn a_word_that_changes_the_price_is_not_passed_over() {
    let with = |geo: &str, speed: &str| {
        let usage = json!({ "input_tokens": 1, "output_tokens": 1, "inference_geo": geo, "speed": speed });
        let seen = scan(json!({ "usage": usage }).to_string().as_bytes());
        assert_eq!(seen.unknown_usage_fields, 0);
        (seen.aside.geo.as_deref().map(str::to_owned), seen.aside.speed.as_deref().map(str::to_owned))
    };
    let said = |word: &str| Some(word.to_owned());
    assert_eq!((with("global", "standard"), with("not_available", "")), ((None, None), (None, None)));
    assert_eq!((with("us", "standard"), with("global", "fast")), ((said("us"), None), (None, said("fast"))));
    assert_eq!(with("us", "fast"), (said("us"), said("fast")));
}

#[test]
fn what_the_provider_bills_is_read_in_its_own_words() {
    let billed = |usage: serde_json::Value| {
        let seen = scan(json!({ "usage": usage }).to_string().as_bytes());
        assert_eq!(seen.unknown_usage_fields, 0, "{usage}");
        seen.aside.billed().map(crate::base::money::NanoUsd::nanos)
    };
    // OpenRouter, Perplexity, xAI.
    assert_eq!(billed(json!({ "prompt_tokens": 1, "cost": 0.00014 })), Some(140_000));
    assert_eq!(billed(json!({ "cost": 1.2345678905e-05, "is_byok": false, "cost_details": { "a": 1 } })), Some(12_346));
    assert_eq!(
        billed(json!({ "cost": 0.95, "is_byok": true, "cost_details": { "upstream_inference_cost": 19 } })),
        None
    );
    let parts = json!({ "input_tokens_cost": 0.001, "request_cost": 0.005, "total_cost": 0.006 });
    assert_eq!(billed(json!({ "cost": parts, "num_search_queries": 2 })), Some(6_000_000));
    assert_eq!(billed(json!({ "cost_in_usd_ticks": 37_756_005 })), Some(3_775_601));
    assert_eq!(billed(json!({ "cost": 0 })), Some(0));
    assert_eq!(billed(json!({ "cost": -1 })), None);
    assert_eq!(billed(json!({ "cost": null, "prompt_tokens": 1 })), None);
    // Elsewhere it is somebody's data.
    assert_eq!(scan(br#"{"cost":1,"choices":[{"cost":2}]}"#).aside.billed(), None);
}

#[test]
fn openai_responses_usage_and_text() {
    let usage = json!({
        "input_tokens": 16, "input_tokens_details": { "cached_tokens": 5 },
        "output_tokens": 6, "output_tokens_details": { "reasoning_tokens": 2 }, "total_tokens": 22,
    });
    let expected = Usage { input: 11, cache_read: 5, output: 6, reasoning: 2, ..Usage::default() };
    assert_eq!(usage_of(usage.clone()), Some(expected));
    let item = json!({ "type": "message", "content": [{ "type": "output_text", "text": "Hello" }] });
    let body = json!({
        "object": "response", "model": "gpt", "service_tier": "default", "error": null, "instructions": "not counted",
        "output": [item], "usage": usage, "reasoning": { "effort": "low", "text": "no" },
    });
    let seen = scan(body.to_string().as_bytes());
    assert_eq!((seen.text_bytes, seen.usage, seen.has_error), (5, Some(expected), false));
    let seen = scan_events(&[
        json!({ "type": "response.created", "response": { "model": "gpt", "output": [], "usage": null } }),
        json!({ "type": "response.output_text.delta", "delta": "Hel" }),
        json!({ "delta": "lo", "type": "response.output_text.delta" }),
        json!({ "type": "response.function_call_arguments.delta", "delta": "{}" }),
        json!({ "type": "response.audio.delta", "delta": "AAAAAAAA" }),
        json!({ "text": "Hello", "part": { "text": "Hello" }, "type": "response.output_text.done" }),
        json!({ "type": "response.output_item.done", "item": item }),
        json!({ "response": body, "type": "response.completed" }),
    ]);
    assert_eq!((seen.text_bytes, seen.usage), (7, Some(expected)));
    assert_eq!((seen.model.as_deref(), seen.service_tier.as_deref()), (Some("gpt"), Some("default")));
    let failed = json!({ "type": "response.failed", "response": { "error": { "code": "x" } } });
    assert!(scan_events(&[failed]).has_error);
}

#[test]
fn openai_images_and_audio() {
    let usage = usage_of(json!({
        "input_tokens": 50, "input_tokens_details": { "text_tokens": 10, "image_tokens": 40 },
        "output_tokens": 60, "output_tokens_details": { "image_tokens": 60 }, "total_tokens": 110,
    }));
    let expected = Usage { input: 10, image_in: 40, image_out: 60, ..Usage::default() };
    assert_eq!(usage, Some(expected));
    let usage = usage_of(json!({
        "type": "tokens", "input_tokens": 14, "input_token_details": { "text_tokens": 4, "audio_tokens": 10 }, "output_tokens": 9,
    }));
    assert_eq!(usage, Some(Usage { input: 4, audio_in: 10, output: 9, ..Usage::default() }));
}

#[test]
fn anthropic_stream() {
    let start = json!({ "type": "message_start", "message": {
        "type": "message", "model": "claude", "content": [], "stop_reason": null,
        "usage": {
            "input_tokens": 9, "cache_creation_input_tokens": 30, "cache_read_input_tokens": 40, "output_tokens": 1,
            "cache_creation": { "ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20 }, "service_tier": "standard",
        },
    } });
    let text = |text: &str| json!({ "type": "content_block_delta", "delta": { "type": "text_delta", "text": text } });
    let seen = scan_events(&[start.clone(), text("Hé")]);
    assert_eq!(seen.usage.map(|usage| (usage.input, usage.output)), Some((9, 1)));
    let seen = scan_events(&[
        start,
        json!({ "type": "ping" }),
        json!({ "type": "content_block_start", "content_block": { "type": "text", "text": "" } }),
        text("Hé"),
        json!({ "type": "content_block_delta", "delta": { "type": "thinking_delta", "thinking": "hm" } }),
        json!({ "type": "content_block_delta", "delta": { "type": "signature_delta", "signature": "zzzz" } }),
        json!({ "type": "content_block_delta", "delta": { "type": "input_json_delta", "partial_json": "{\"a\"" } }),
        json!({ "type": "message_delta", "delta": { "stop_reason": "end_turn" }, "usage": { "output_tokens": 16 } }),
        json!({ "type": "message_stop" }),
    ]);
    let expected =
        Usage { input: 9, cache_read: 40, cache_write_5m: 10, cache_write_1h: 20, output: 16, ..Usage::default() };
    assert_eq!(seen.usage, Some(expected));
    assert_eq!(seen.text_bytes, 3 + 2 + 4);
    assert_eq!((seen.model.as_deref(), seen.finish.as_deref()), (Some("claude"), Some("end_turn")));
    assert_eq!((seen.service_tier.as_deref(), seen.complete), (Some("standard"), true));
    assert!(scan_events(&[json!({ "type": "error", "error": { "type": "overloaded_error" } })]).has_error);
}

#[test]
fn gemini_object_and_array_stream() {
    let part = |text: &str, usage: Value| {
        json!({
            "candidates": [{ "content": { "parts": [{ "text": text }], "role": "model" }, "finishReason": "STOP" }],
            "usageMetadata": usage, "modelVersion": "gemini",
        })
    };
    let last = json!({
        "promptTokenCount": 15, "cachedContentTokenCount": 10, "candidatesTokenCount": 12, "thoughtsTokenCount": 10,
        "toolUsePromptTokenCount": 2, "totalTokenCount": 39,
        "promptTokensDetails": [{ "modality": "TEXT", "tokenCount": 12 }, { "tokenCount": 3, "modality": "AUDIO" }],
        "candidatesTokensDetails": [{ "modality": "IMAGE", "tokenCount": 4 }],
        "cacheTokensDetails": [{ "modality": "TEXT", "tokenCount": 10 }],
    });
    let array = json!([part("ab", json!({ "promptTokenCount": 15, "totalTokenCount": 15 })), part("cde", last)]);
    let seen = scan(serde_json::to_string_pretty(&array).unwrap().as_bytes());
    let expected =
        Usage { input: 4, cache_read: 10, audio_in: 3, output: 18, reasoning: 10, image_out: 4, ..Usage::default() };
    assert_eq!((seen.usage, seen.unknown_usage_fields), (Some(expected), 0));
    assert_eq!((seen.text_bytes, seen.complete), (5, true));
    assert_eq!((seen.model.as_deref(), seen.finish.as_deref()), (Some("gemini"), Some("STOP")));
}

#[test]
fn bedrock_groq_deepseek_and_ndjson() {
    let usage = json!({ "inputTokens": 10, "outputTokens": 20, "totalTokens": 35, "cacheReadInputTokens": 3, "cacheWriteInputTokens": 2 });
    let expected = Usage { input: 10, output: 20, cache_read: 3, cache_write_5m: 2, ..Usage::default() };
    let body = json!({ "output": { "message": { "content": [{ "text": "four" }] } }, "stopReason": "end_turn", "usage": usage });
    let seen = scan(body.to_string().as_bytes());
    assert_eq!((seen.usage, seen.text_bytes, seen.finish.as_deref()), (Some(expected), 4, Some("end_turn")));
    let body =
        json!({ "x_groq": { "id": "r", "usage": { "queue_time": 0.1, "prompt_tokens": 3, "completion_tokens": 4 } } });
    let seen = scan(body.to_string().as_bytes());
    assert_eq!((seen.usage.map(|usage| usage.input), seen.unknown_usage_fields), (Some(3), 0));
    let usage = usage_of(json!({ "prompt_tokens": 9, "prompt_cache_hit_tokens": 4, "prompt_cache_miss_tokens": 5 }));
    assert_eq!(usage, Some(Usage { input: 5, cache_read: 4, ..Usage::default() }));
    // Lines of JSON in one push: each is a document of its own.
    let seen = scan(b"{\"message\":{\"content\":\"ab\"}}\n{\"message\":{\"content\":\"c\"}}\n{\"mess");
    assert_eq!((seen.text_bytes, seen.complete, seen.malformed), (3, false, false));
}

#[test]
fn no_usage_is_none_and_parts_never_underflow() {
    for none in
        [json!(null), json!({}), json!({ "total_tokens": 5 }), json!([]), json!("12"), json!({ "prompt_tokens": null })]
    {
        assert_eq!(usage_of(none), None);
    }
    assert_eq!(usage_of(json!({ "prompt_tokens": 0 })), Some(Usage::default()));
    let usage = usage_of(json!({ "prompt_tokens": 5, "prompt_tokens_details": { "cached_tokens": 8 } })).unwrap();
    assert_eq!((usage.input, usage.cache_read), (0, 8));
    let most = u64::MAX;
    let details = json!({ "cached_tokens": most, "audio_tokens": most, "image_tokens": most });
    let usage =
        usage_of(json!({ "input_tokens": most, "input_tokens_details": details, "cache_read_input_tokens": most }));
    assert_eq!(usage.map(|usage| usage.cache_read), Some(most));
    // A usage object that is not where an answer has it, or is not finished.
    for body in [
        &br#"{"choices":[{"usage":{"prompt_tokens":1}}]}"#[..],
        br#"{"usage":{"prompt_tokens":1"#,
        br#"[[{"usage":{"prompt_tokens":1}}]]"#,
    ] {
        assert_eq!(scan(body).usage, None);
    }
}

#[test]
fn unknown_numbers_are_counted() {
    let body = json!({ "usage": {
        "prompt_tokens": 3, "new_tokens": 1, "none": 0, "a": { "b": [{ "c": 2.5 }] }, "prompt_tokens_details": { "d": 4 },
        "server_tool_use": { "web_search_requests": 1, "mind_reading_requests": 1 }, "e": "5", "f": null, "g": true,
    } });
    assert_eq!(scan(body.to_string().as_bytes()).unknown_usage_fields, 4);
    // A known field that is no count: negative, broken, too large.
    for number in ["-1", "1.5", "1e99", "99999999999999999999", "1-2"] {
        let seen = scan(format!("{{\"usage\":{{\"prompt_tokens\":{number}}}}}").as_bytes());
        assert_eq!((seen.usage, seen.unknown_usage_fields), (None, 1), "{number}");
    }
    for number in ["3", "3.0", "3e0", "0.3E+1"] {
        let seen = scan(format!("{{\"usage\":{{\"prompt_tokens\":{number}}}}}").as_bytes());
        assert_eq!(seen.usage.map(|usage| usage.input), Some(3), "{number}");
    }
}

#[test]
fn text_is_counted_decoded() {
    let text = |raw: &str| scan(format!("{{\"choices\":[{{\"text\":\"{raw}\"}}]}}").as_bytes()).text_bytes;
    assert_eq!(text(r"plain"), 5);
    assert_eq!(text(r"\n\u00e9\\\/\u20ac"), 1 + 2 + 1 + 1 + 3);
    assert_eq!(text(r"\ud83d\ude00"), 4);
    assert_eq!(text(r"\ud83d\n\ude00\ud83dx\ud83d"), 3 + 1 + 3 + 3 + 1 + 3);
    assert_eq!(text("é😀"), 6);
}

#[test]
fn only_the_answers_text_counts() {
    let body = json!({
        "choices": [{
            "message": {
                "content": "12345", "role": "assistant", "reasoning": "12", "name": "no",
                "reasoning_details": [{ "text": "12" }],
                "tool_calls": [{ "function": { "name": "no", "arguments": "123" } }],
            },
            "logprobs": { "content": [{ "token": "no" }] }, "finish_reason": "stop",
        }],
        "text": "no", "instructions": { "content": "no" }, "system_fingerprint": "no",
    });
    assert_eq!(scan(body.to_string().as_bytes()).text_bytes, 10);
    // An unfinished string counts as far as it came.
    assert_eq!(scan(br#"{"choices":[{"delta":{"content":"abc"#).text_bytes, 3);
}

#[test]
fn keys_are_recognised_in_any_spelling() {
    let seen = scan(br#"{"\u006dodel":"a\u0062c","\u0075sage":{"prompt\u005ftokens":2}}"#);
    assert_eq!((seen.model.as_deref(), seen.usage.map(|usage| usage.input)), (Some("abc"), Some(2)));
}

#[test]
fn values_are_bounded() {
    let model = |length: usize| scan(json!({ "model": "m".repeat(length) }).to_string().as_bytes()).model;
    assert_eq!(model(256).map(|model| model.len()), Some(256));
    assert_eq!(model(257), None);
    let long = json!({ "k".repeat(10_000): 1, "model": "m" });
    assert_eq!(scan(long.to_string().as_bytes()).model.as_deref(), Some("m"));
    assert!(size_of::<Scan>() < 2048);
}

#[test]
fn finish_and_error() {
    let finish = |value: Value| scan(value.to_string().as_bytes()).finish;
    assert_eq!(finish(json!({ "choices": [{ "finish_reason": "length" }] })).as_deref(), Some("length"));
    assert_eq!(finish(json!({ "choices": [{ "finish_reason": null }] })), None);
    assert_eq!(finish(json!({ "a": { "b": { "c": { "stop_reason": "x" } } } })).as_deref(), Some("x"));
    assert_eq!(finish(json!({ "a": { "b": { "c": { "d": { "stop_reason": "x" } } } } })), None);
    for (body, expected) in [
        (r#"{"error":{"message":"x"}}"#, true),
        (r#"{"error":"x"}"#, true),
        (r#"[{"error":{"code":429}}]"#, true),
        (r#"{"type":"error","message":"x"}"#, true),
        (r#"{"error":null}"#, false),
        (r#"{"choices":[{"error":"x"}]}"#, false),
        (r#"{"choices":[{"type":"error"}]}"#, false),
    ] {
        assert_eq!(scan(body.as_bytes()).has_error, expected, "{body}");
    }
}

#[test]
fn garbage_yields_nothing() {
    for garbage in ["<html>", "[DONE]", "nul!", "{\"a\" 1}", "{]", "[}", "{\"a\":\"\\x\"}", "{} }", "{\"a\":1 2}", "}"]
    {
        let seen = scan(garbage.as_bytes());
        assert!(seen.malformed, "{garbage}");
        assert_eq!(Seen { malformed: false, complete: false, ..seen }, Seen::default(), "{garbage}");
    }
    // The next document is read again.
    let mut scan = Scan::new();
    scan.push(b"[DONE]{\"model\":\"lost\"}");
    scan.reset();
    scan.push(b"{\"model\":\"m\"}");
    assert_eq!((scan.seen().model.as_deref(), scan.seen().malformed), (Some("m"), true));
}

#[test]
fn depth_is_capped() {
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let at = scan(nested(MAX_DEPTH).as_bytes());
    assert!(at.complete && !at.malformed);
    let over = scan(nested(MAX_DEPTH + 1).as_bytes());
    assert!(!over.complete && over.malformed);
    assert!(scan("{\"a\":".repeat(1_000_000).as_bytes()).malformed);
}
