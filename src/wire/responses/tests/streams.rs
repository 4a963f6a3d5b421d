//! Streams: the provider's events read, and events written for a strict client.

use serde_json::{Value as Json, json};

use super::legal::accumulate;
use super::{events, fold, read_chunks, read_reply, read_stream, seal, write_stream};
use crate::llm::part::{Citation, Media, MediaKind, Source};
use crate::llm::{Delta, Fault, FaultKind, Finish, Format, Usage};

fn stream(events: &[Json]) -> Vec<u8> {
    let event = |event: &Json| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap_or("x"));
    events.iter().map(event).collect::<String>().into_bytes()
}

fn call(index: u32, id: Option<&str>, arguments: &str) -> Delta {
    let id = id.map(str::to_owned);
    let name = id.as_ref().map(|_| "f".to_owned());
    Delta::ToolCall { choice: 0, index, id, name, arguments: arguments.into(), signature: None }
}

fn reasoning(text: &str) -> Delta {
    Delta::Reasoning { choice: 0, text: text.into() }
}

/// The beginning and the end of a stream of the provider's.
fn created() -> Json {
    json!({"type": "response.created", "sequence_number": 0,
        "response": {"id": "resp_1", "model": "gpt-5", "created_at": 7.0, "status": "in_progress", "output": []}})
}

fn completed(output: Json) -> Json {
    json!({"type": "response.completed", "response": {"id": "resp_1", "model": "gpt-5", "status": "completed",
        "output": output, "usage": {"input_tokens": 5, "input_tokens_details": {"cached_tokens": 2},
            "output_tokens": 3, "output_tokens_details": {"reasoning_tokens": 1}, "total_tokens": 8}}})
}

fn usage() -> Usage {
    Usage { input: 3, cache_read: 2, output: 3, reasoning: 1, ..Usage::default() }
}

/// As the API streams a thought, a search, a cited text and two calls (API reference "Streaming events"),
/// shortened.
const STREAM: &str = r#"
{"type":"response.created","response":{"id":"resp_1","model":"gpt-5","created_at":7.0,"output":[]}}
{"type":"response.in_progress","response":{"id":"resp_1"}}
{"type":"response.output_item.added","output_index":0,"item":{"type":"reasoning","id":"rs_1","summary":[]}}
{"type":"response.reasoning_summary_part.added","output_index":0,"summary_index":0,"part":{"type":"summary_text","text":""}}
{"type":"response.reasoning_summary_text.delta","output_index":0,"summary_index":0,"delta":"a"}
{"type":"response.reasoning_summary_text.done","output_index":0,"summary_index":0,"text":"a"}
{"type":"response.reasoning_summary_part.done","output_index":0,"summary_index":0,"part":{"type":"summary_text","text":"a"}}
{"type":"response.reasoning_summary_text.delta","output_index":0,"summary_index":1,"delta":"b"}
{"type":"response.reasoning_summary_text.done","output_index":0,"summary_index":1,"text":"b"}
{"type":"response.output_item.done","output_index":0,"item":{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"a"},{"type":"summary_text","text":"b"}],"encrypted_content":"gA"}}
{"type":"response.output_item.added","output_index":1,"item":{"type":"web_search_call","id":"ws_1"}}
{"type":"response.web_search_call.searching","output_index":1}
{"type":"response.output_item.done","output_index":1,"item":{"type":"web_search_call","id":"ws_1"}}
{"type":"response.output_item.added","output_index":2,"item":{"type":"message","id":"msg_1","content":[]}}
{"type":"response.content_part.added","output_index":2,"content_index":0,"part":{"type":"output_text","text":""}}
{"type":"response.output_text.delta","output_index":2,"content_index":0,"delta":"Hi","obfuscation":"xyz","logprobs":[{"token":"Hi","logprob":-0.5}]}
{"type":"response.output_text.annotation.added","output_index":2,"content_index":0,"annotation_index":0,"annotation":{"type":"url_citation","url":"https://u","title":"t","start_index":0,"end_index":2}}
{"type":"response.output_text.delta","output_index":2,"content_index":0,"delta":"!","logprobs":[]}
{"type":"response.output_text.done","output_index":2,"content_index":0,"text":"Hi!","logprobs":[]}
{"type":"response.content_part.done","output_index":2,"content_index":0,"part":{"type":"output_text","text":"Hi!","annotations":[{"type":"url_citation","url":"https://u","title":"t","start_index":0,"end_index":2}]}}
{"type":"response.output_item.done","output_index":2,"item":{"type":"message","content":[{"type":"output_text","text":"Hi!","annotations":[{"type":"url_citation","url":"https://u","title":"t","start_index":0,"end_index":2}]}]}}
{"type":"response.output_item.added","output_index":3,"item":{"type":"function_call","call_id":"c1","name":"f","arguments":""}}
{"type":"response.function_call_arguments.delta","output_index":3,"delta":"{}"}
{"type":"response.function_call_arguments.done","output_index":3,"arguments":"{}"}
{"type":"response.output_item.done","output_index":3,"item":{"type":"function_call","call_id":"c1","name":"f","arguments":"{}"}}
{"type":"response.output_item.added","output_index":4,"item":{"type":"function_call","call_id":"c2","name":"f","arguments":""}}
{"type":"response.function_call_arguments.done","output_index":4,"arguments":"{\"b\":1}"}
{"type":"keepalive","sequence_number":9}
{"type":"response.output_item.done","output_index":4,"item":{"type":"function_call","call_id":"c2","name":"f","arguments":"{\"b\":1}"}}
{"type":"response.completed","response":{"id":"resp_1","status":"completed","output":[],"usage":{"input_tokens":5,"input_tokens_details":{"cached_tokens":2},"output_tokens":3,"output_tokens_details":{"reasoning_tokens":1},"total_tokens":8}}}"#;

#[test]
fn a_stream_is_read() {
    let bytes = STREAM.trim().lines().map(|line| format!("data: {line}\n\n")).collect::<String>().into_bytes();
    let (deltas, dropped) = read_stream(&bytes);
    let citation = Citation {
        url: Some("https://u".into()),
        title: Some("t".into()),
        start: Some(0),
        end: Some(2),
        ..Citation::default()
    };
    let want = [
        Delta::Start { id: "resp_1".into(), model: "gpt-5".into(), created: 7, usage: None },
        reasoning("a"),
        reasoning("\n\n"),
        reasoning("b"),
        Delta::Signature { choice: 0, signature: seal(Format::Responses, "rs_1:gA") },
        Delta::text("Hi"),
        Delta::Logprobs { choice: 0, tokens: r#"{"token":"Hi","logprob":-0.5}"#.into() },
        Delta::text("!"),
        Delta::Citation { choice: 0, citation: Box::new(citation) },
        call(0, Some("c1"), ""),
        call(0, None, "{}"),
        call(1, Some("c2"), ""),
        call(1, None, r#"{"b":1}"#),
        Delta::Ping,
        Delta::finish(Finish::ToolCalls),
        Delta::Usage(usage()),
        Delta::End,
    ];
    assert_eq!(deltas, want);
    assert_eq!(dropped, ["response.web_search_call.searching", "output[].web_search_call"]);
    for split in (1..bytes.len()).step_by(7) {
        let (head, tail) = bytes.split_at(split);
        assert_eq!(read_chunks([head, tail].into_iter()).0.unwrap(), want, "split at {split}");
    }
}

/// Streams of those who imitate the API and leave events out: the answer is there all the same.
#[test]
fn what_comes_once_is_enough() {
    let message = json!({"type": "message", "content": [{"type": "output_text", "text": "Hi"},
        {"type": "refusal", "refusal": "No"}]});
    let function = json!({"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"});
    let thought = json!({"type": "reasoning", "content": [{"type": "reasoning_text", "text": "t"}]});
    let refusal = Delta::Refusal { choice: 0, text: "No".into() };
    let done =
        |index: u64, item: &Json| json!({"type": "response.output_item.done", "output_index": index, "item": item});
    for (events, want) in [
        (
            vec![created(), completed(json!([thought, message, function]))],
            vec![reasoning("t"), Delta::text("Hi"), refusal.clone(), call(0, Some("c1"), "{}")],
        ),
        (
            vec![done(0, &thought), done(1, &message), done(2, &function), completed(json!([]))],
            vec![reasoning("t"), Delta::text("Hi"), refusal.clone(), call(0, Some("c1"), ""), call(0, None, "{}")],
        ),
        (
            vec![
                json!({"type": "response.output_text.delta", "delta": "Hi"}),
                json!({"type": "response.output_text.delta", "delta": "!"}),
                completed(json!([message])),
            ],
            vec![Delta::text("Hi"), Delta::text("!")],
        ),
        (
            vec![
                json!({"type": "response.output_text.done", "output_index": 0, "content_index": 0, "text": "Hi"}),
                json!({"type": "response.refusal.done", "output_index": 0, "content_index": 1, "refusal": "No"}),
                done(0, &message),
                completed(json!([message])),
            ],
            vec![Delta::text("Hi"), refusal],
        ),
    ] {
        let (deltas, _) = read_stream(&stream(&events));
        let said = deltas.into_iter().filter(|delta| {
            !matches!(delta, Delta::Start { .. } | Delta::Finish { .. } | Delta::Usage(_) | Delta::End)
        });
        assert_eq!(said.collect::<Vec<_>>(), want, "{events:?}");
    }
}

#[test]
fn a_stream_that_fails_says_why() {
    let failed = json!({"type": "response.failed", "response": {"id": "resp_1", "status": "failed",
        "error": {"code": "rate_limit_exceeded", "message": "Slow."}}});
    let flat = json!({"type": "error", "code": "server_error", "message": "Slow.", "param": null});
    let wrapped = json!({"type": "error", "sequence_number": 2, "error": {"type": "invalid_request_error",
        "code": "context_length_exceeded", "message": "Slow.", "param": "input"}});
    for (events, kind) in [
        (vec![created(), failed.clone()], FaultKind::RateLimit),
        (vec![flat], FaultKind::Server),
        (vec![created(), wrapped, failed], FaultKind::ContextLength),
    ] {
        let (deltas, _) = read_stream(&stream(&events));
        let faults: Vec<_> = deltas.iter().filter(|delta| matches!(delta, Delta::Error(_))).collect();
        let [Delta::Error(fault)] = faults[..] else { panic!("{deltas:?}") };
        assert_eq!((fault.kind, &*fault.message), (kind, "Slow."));
        assert_eq!(deltas.last(), Some(&Delta::End));
    }
    for event in ["{", "[]", r#"{"choices":[]}"#, r#"{"type":"response.completed"}"#] {
        assert!(read_chunks(std::iter::once(format!("data: {event}\n\n").as_bytes())).0.is_err(), "{event}");
    }
}

/// The names of the events, without what all of them begin with.
fn kinds(events: &[Json]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap().trim_start_matches("response.")).collect()
}

#[test]
fn a_stream_is_written_in_the_order_that_clients_want() {
    let citation = Citation { url: Some("https://u".into()), ..Citation::default() };
    let deltas = [
        Delta::Start { id: "msg_other".into(), model: "claude".into(), created: 0, usage: None },
        Delta::Ping,
        reasoning("t"),
        Delta::Signature { choice: 0, signature: seal(Format::Messages, "s") },
        Delta::text("Hi"),
        Delta::Logprobs { choice: 0, tokens: "{}\n,{}".into() },
        Delta::Citation { choice: 0, citation: Box::new(citation) },
        Delta::text("!"),
        Delta::Refusal { choice: 0, text: "No".into() },
        call(0, Some("c1"), r#"{"a":1}"#),
        Delta::text("more"),
        Delta::Text { choice: 1, text: "other".into() },
        Delta::Usage(usage()),
        Delta::finish(Finish::Length),
        Delta::End,
        Delta::text("late"),
    ];
    let (bytes, dropped) = write_stream(&deltas);
    assert!(bytes.windows(8).any(|window| window == b": ping\n\n"));
    let events = events(&bytes);
    let response = accumulate(&events);
    let want = "created in_progress \
        output_item.added reasoning_summary_part.added reasoning_summary_text.delta \
        reasoning_summary_text.done reasoning_summary_part.done output_item.done \
        output_item.added content_part.added output_text.delta output_text.delta output_text.annotation.added \
        output_text.done content_part.done content_part.added output_text.delta output_text.done content_part.done \
        content_part.added refusal.delta refusal.done content_part.done output_item.done \
        output_item.added function_call_arguments.delta function_call_arguments.done output_item.done \
        output_item.added content_part.added output_text.delta output_text.done content_part.done output_item.done \
        incomplete";
    assert_eq!(kinds(&events), want.split_whitespace().collect::<Vec<_>>());
    assert_eq!(dropped, ["choices"]);
    assert_eq!(response["incomplete_details"]["reason"], "max_output_tokens");
    let said = json!([response["id"], response["model"], response["output"][0]["id"], response["output"][3]["status"]]);
    assert_eq!(said, json!(["resp_0a1b", "claude", "rs_0a1b_0", "incomplete"]));
    assert_eq!(response["output"][1]["content"][0]["logprobs"], json!([{}, {}]));
    assert_eq!(response["usage"]["total_tokens"], 8);
}

/// Calls that come in turns are items of their own, each whole.
#[test]
fn calls_in_turns_are_told_apart() {
    let deltas = [
        call(0, Some("c0"), ""),
        call(1, Some("c1"), r#"{"b""#),
        call(0, None, r#"{"a":"#),
        call(1, None, ":2}"),
        call(0, None, "1}"),
        call(2, Some(""), ""),
        call(0, None, " "),
        call(0, None, "x"),
        Delta::finish(Finish::ToolCalls),
        Delta::End,
    ];
    let (bytes, dropped) = write_stream(&deltas);
    let response = accumulate(&events(&bytes));
    let calls = response["output"].as_array().unwrap().iter();
    let calls: Vec<_> = calls.map(|call| json!([call["call_id"], call["arguments"]])).collect();
    assert_eq!(calls, [json!(["c0", r#"{"a":1}"#]), json!(["c1", r#"{"b":2}"#]), json!(["call_0a1b_2", "{}"])]);
    assert_eq!(dropped, ["tool_calls[].function.arguments"]);
}

#[test]
fn whatever_comes_is_a_legal_stream() {
    let sealed = Delta::ToolCall {
        choice: 0,
        index: 0,
        id: Some("c".into()),
        name: Some("f".into()),
        arguments: "{}".into(),
        signature: Some(seal(Format::Gemini, "s")),
    };
    let media = |source| Delta::Media {
        choice: 0,
        media: Box::new(Media { kind: MediaKind::Image, mime: None, source, name: None, detail: None }),
    };
    for (deltas, status, lost) in [
        (vec![], "completed", &[][..]),
        (vec![Delta::finish(Finish::ContentFilter)], "incomplete", &[]),
        (vec![Delta::text(""), reasoning(""), call(0, None, "")], "completed", &[]),
        (vec![Delta::Signature { choice: 0, signature: seal(Format::Messages, "s") }], "completed", &[]),
        (vec![Delta::Redacted { choice: 0, data: seal(Format::Responses, "rs_1:g") }], "completed", &[]),
        (vec![sealed], "completed", &[]),
        (vec![call(7, Some("c"), "")], "completed", &[]),
        (vec![media(Source::Base64("QQ==".into()))], "completed", &[]),
        (vec![media(Source::Url("https://i".into()))], "completed", &["choices[].message.images"]),
        (vec![Delta::Citation { choice: 0, citation: Box::default() }], "completed", &["citations"]),
        (vec![Delta::Logprobs { choice: 0, tokens: "{}".into() }], "completed", &["logprobs"]),
        (vec![Delta::Logprobs { choice: 0, tokens: "{}".into() }, Delta::text("a")], "completed", &[]),
    ] {
        let deltas: Vec<_> = deltas.into_iter().chain([Delta::End]).collect();
        let (bytes, dropped) = write_stream(&deltas);
        let response = accumulate(&events(&bytes));
        assert_eq!(
            (response["status"].as_str(), &dropped[..]),
            (Some(status), &lost.iter().map(ToString::to_string).collect::<Vec<_>>()[..]),
            "{deltas:?}"
        );
        // What the last event repeats reads as what the events before it said.
        let whole = read_reply(&response.to_string()).0.unwrap();
        assert_eq!(fold(&read_stream(&bytes).0).choices, fold(&whole.steps()).choices, "{deltas:?}");
    }
}

#[test]
fn a_fault_ends_the_stream_in_the_words_of_the_api() {
    let fault = Fault::in_stream(FaultKind::RateLimit, "Slow.");
    for deltas in [vec![Delta::text("a"), Delta::Error(fault.clone()), Delta::End], vec![Delta::Error(fault)]] {
        let events = events(&write_stream(&deltas).0);
        let response = accumulate(&events);
        let error = json!({"code": "rate_limit_exceeded", "message": "Slow."});
        assert_eq!((&response["status"], &response["error"]), (&json!("failed"), &error));
        let before = &events[events.len() - 2];
        assert_eq!((&before["type"], &before["message"]), (&json!("error"), &json!("Slow.")));
    }
}

#[test]
fn an_answer_too_long_to_be_repeated_ends_with_an_error() {
    let piece = Delta::text("x".repeat(1 << 20));
    let deltas: Vec<_> = std::iter::repeat_n(piece, 12).chain([Delta::End]).collect();
    let events = events(&write_stream(&deltas).0);
    let response = accumulate(&events);
    assert_eq!((&response["status"], &response["error"]["code"]), (&json!("failed"), &json!("server_error")));
    let said = events.iter().filter(|event| event["type"] == "response.output_text.delta").count();
    assert_eq!(said, 9, "8 MiB, and the piece that went beyond them");
}
