//! Streams.

use super::*;
use crate::llm::part::Citation;
use crate::llm::{Fault, FaultKind, Finish, Signature, Usage};

/// A stream as the API's reference shows one, without its names.
const STREAM: &[&str] = &[
    r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude-opus-5","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":25,"cache_creation_input_tokens":0,"cache_read_input_tokens":5,"output_tokens":1}}}"#,
    r#"{"type":"ping"}"#,
    r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}"#,
    r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hm"}}"#,
    r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"c2ln"}}"#,
    r#"{"type":"content_block_stop","index":0}"#,
    r#"{"type":"content_block_start","index":1,"content_block":{"type":"redacted_thinking","data":"cmVk"}}"#,
    r#"{"type":"content_block_stop","index":1}"#,
    r#"{"type":"content_block_start","index":2,"content_block":{"type":"text","text":""}}"#,
    r#"{"type":"content_block_delta","index":2,"delta":{"type":"text_delta","text":"It "}}"#,
    r#"{"type":"content_block_delta","index":2,"delta":{"type":"text_delta","text":"is"}}"#,
    r#"{"type":"content_block_delta","index":2,"delta":{"type":"citations_delta","citation":{"cited_text":"q","type":"web_search_result_location","url":"https://e.org","title":null,"encrypted_index":""}}}"#,
    r#"{"type":"content_block_stop","index":2}"#,
    r#"{"type":"content_block_start","index":3,"content_block":{"type":"tool_use","id":"toolu_1","name":"f","input":{}}}"#,
    r#"{"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":"{\"a\":"}}"#,
    r#"{"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":"1}"}}"#,
    r#"{"type":"content_block_stop","index":3}"#,
    r#"{"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"input_tokens":25,"cache_creation_input_tokens":0,"cache_read_input_tokens":5,"output_tokens":89}}"#,
    r#"{"type":"message_stop"}"#,
];

fn call(index: u32, begins: Option<&str>, arguments: &str) -> Delta {
    Delta::ToolCall {
        choice: 0,
        index,
        id: begins.map(|name| format!("id_{name}")),
        name: begins.map(str::to_owned),
        arguments: arguments.to_owned(),
        signature: None,
    }
}

#[test]
fn a_stream_is_read_and_written_again() {
    let (deltas, left_out) = steps(STREAM);
    let usage = |output| Usage { input: 25, cache_read: 5, output, ..Usage::default() };
    let seal = |data: &'static str| Signature { maker: Format::Messages, data: data.into() };
    let citation = Citation {
        url: Some("https://e.org".into()),
        quote: Some("q".into()),
        start: Some(0),
        end: Some(5),
        ..Citation::default()
    };
    let piece = |begins: Option<(&str, &str)>, arguments: &str| Delta::ToolCall {
        choice: 0,
        index: 0,
        id: begins.map(|(id, _)| id.to_owned()),
        name: begins.map(|(_, name)| name.to_owned()),
        arguments: arguments.to_owned(),
        signature: None,
    };
    let expected = [
        Delta::Start { id: "msg_1".into(), model: "claude-opus-5".into(), created: 0, usage: Some(usage(1)) },
        Delta::Ping,
        Delta::Reasoning { choice: 0, text: "hm".into() },
        Delta::Signature { choice: 0, signature: seal("c2ln") },
        Delta::Redacted { choice: 0, data: seal("cmVk") },
        Delta::text("It "),
        Delta::text("is"),
        Delta::Citation { choice: 0, citation: Box::new(citation) },
        piece(Some(("toolu_1", "f")), ""),
        piece(None, "{\"a\":"),
        piece(None, "1}"),
        Delta::finish(Finish::ToolCalls),
        Delta::Usage(usage(89)),
        Delta::End,
    ];
    assert_eq!(deltas, expected);
    assert_eq!(left_out, [""; 0]);
    let (again, left_out) = events(&deltas);
    assert_eq!(again, STREAM);
    assert_eq!(left_out, [""; 0]);
}

#[test]
fn what_is_not_known_is_named_and_gone_past() {
    let (deltas, left_out) = steps(&[
        r#"{"type":"message_start","message":{"id":"m"}}"#,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"server_tool_use","id":"s","name":"w","input":{}}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{}"}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        r#"{"type":"something_new"}"#,
        r#"{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"t","name":"f","input":{"a":1}}}"#,
        r#"{"type":"content_block_stop","index":1}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"refusal","stop_details":{"explanation":"why"}},"usage":{"output_tokens":3}}"#,
    ]);
    let expected = [
        Delta::Start { id: "m".into(), model: String::new(), created: 0, usage: None },
        Delta::ToolCall {
            choice: 0,
            index: 0,
            id: Some("t".into()),
            name: Some("f".into()),
            arguments: r#"{"a":1}"#.into(),
            signature: None,
        },
        Delta::Refusal { choice: 0, text: "why".into() },
        Delta::finish(Finish::Refusal),
        Delta::Usage(Usage { output: 3, ..Usage::default() }),
    ];
    assert_eq!(deltas, expected);
    assert_eq!(left_out, ["content[].server_tool_use", "something_new"]);
}

#[test]
fn what_is_no_event_is_an_error() {
    for data in ["{", "[]", "{}", r#"{"type":7}"#, r#"{"choices":[]}"#, r#"{"type":"content_block_start"}"#] {
        let data = Bytes::copy_from_slice(data.as_bytes());
        let event = sse::Event { raw: data.clone(), data: data.clone(), name: None };
        let read = Anthropic.stream_reader().read(&event, &mut Vec::new(), &mut Dropped::default());
        assert!(read.is_err(), "{data:?}");
    }
}

#[test]
fn an_error_inside_is_the_last_event() {
    let (deltas, _) = steps(&[r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#]);
    assert_eq!(deltas, [Delta::Error(Fault::in_stream(FaultKind::Overloaded, "Overloaded"))]);
    let (again, _) = events(&[deltas[0].clone(), Delta::text("x"), Delta::End]);
    assert_eq!(again, [r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#]);
}

#[test]
fn an_exception_of_bedrocks_is_an_error_by_its_name() {
    for (name, data, kind, message) in [
        ("throttlingException", r#"{"message":"slow"}"#, FaultKind::RateLimit, "slow"),
        (
            "modelStreamErrorException",
            "{}",
            FaultKind::Server,
            "The provider ended the stream with a modelStreamErrorException.",
        ),
        ("validationException", r#"{"message":"Input is too long"}"#, FaultKind::ContextLength, "Input is too long"),
    ] {
        let data = Bytes::from_static(data.as_bytes());
        let event = sse::Event { raw: data.clone(), data, name: Some(Bytes::from_static(name.as_bytes())) };
        let mut out = Vec::new();
        Anthropic.stream_reader().read(&event, &mut out, &mut Dropped::default()).unwrap();
        let expected = Fault { code: Some(name.into()), ..Fault::in_stream(kind, message) };
        assert_eq!(out, [Delta::Error(expected)]);
    }
}

/// The blocks of a written stream: kind, name or text, in order. Checks that none is open beside another.
pub(super) fn blocks(deltas: &[Delta]) -> Vec<(String, String)> {
    let (events, _) = events(deltas);
    let mut blocks: Vec<(String, String)> = Vec::new();
    let mut open = None;
    let last = events.len() - 1;
    for (at, data) in events.iter().enumerate() {
        let event: serde_json::Value = serde_json::from_str(data).unwrap();
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        match event["type"].as_str().unwrap() {
            "message_start" => assert_eq!(at, 0),
            "message_delta" => assert_eq!((at, open), (last - 1, None)),
            "message_stop" => assert_eq!(at, last),
            // A piece of a call that is over: nothing can be made of it.
            "error" => assert_eq!(at, last),
            "content_block_start" => {
                assert_eq!((open, event["index"].as_u64()), (None, Some(blocks.len() as u64)), "{data}");
                open = event["index"].as_u64();
                let block = &event["content_block"];
                blocks.push((text(&block["type"]), text(&block["name"])));
            }
            "content_block_delta" => {
                assert_eq!(open, event["index"].as_u64(), "{data}");
                let delta = &event["delta"];
                let said = ["text", "thinking", "signature", "partial_json"].map(|key| text(&delta[key])).concat();
                blocks.last_mut().unwrap().1.push_str(&said);
            }
            "content_block_stop" => assert_eq!(open.take(), event["index"].as_u64(), "{data}"),
            other => assert_eq!(other, "ping"),
        }
    }
    blocks
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(kind, said)| ((*kind).to_owned(), (*said).to_owned())).collect()
}

#[test]
fn blocks_follow_each_other_whatever_comes() {
    let seal = Signature { maker: Format::Responses, data: "s".into() };
    let cited = Citation { url: Some("u".into()), ..Citation::default() };
    let deltas = [
        Delta::text("a"),
        Delta::text(""),
        Delta::Reasoning { choice: 0, text: "t".into() },
        Delta::Signature { choice: 0, signature: seal.clone() },
        Delta::Signature { choice: 0, signature: seal },
        call(0, Some("f"), ""),
        Delta::Ping,
        call(1, Some("g"), "{}"),
        Delta::text("b"),
        Delta::Citation { choice: 0, citation: Box::new(cited) },
        Delta::text("c"),
        Delta::Refusal { choice: 0, text: "d".into() },
        Delta::Text { choice: 1, text: "other".into() },
        Delta::End,
        Delta::text("late"),
        Delta::End,
    ];
    let expected = [
        ("text", "a"),
        ("thinking", "tweir.openai-responses:s"),
        ("thinking", "weir.openai-responses:s"),
        ("tool_use", "f"),
        ("tool_use", "g{}"),
        ("text", "b"),
        ("text", "cd"),
    ];
    assert_eq!(blocks(&deltas), pairs(&expected));
    assert_eq!(events(&deltas).1, ["choices"]);
    assert_eq!(blocks(&[Delta::End]), []);
}

#[test]
fn calls_that_are_told_by_turns_are_written_one_after_the_other() {
    let expected = pairs(&[("tool_use", r#"f{"a":"}"}"#), ("tool_use", r#"g{"b":2}"#), ("tool_use", "h")]);
    for order in [
        vec![
            call(0, Some("f"), r#"{"a":"#),
            call(1, Some("g"), r#"{"b""#),
            call(0, None, r#""}"}"#),
            call(2, Some("h"), ""),
            call(1, None, ":2}"),
        ],
        vec![
            call(0, Some("f"), ""),
            call(1, Some("g"), ""),
            call(2, Some("h"), ""),
            call(1, None, r#"{"b":2}"#),
            call(0, None, r#"{"a":"}"}"#),
        ],
        vec![call(0, Some("f"), r#"{"a":"}"}"#), call(1, Some("g"), r#"{"b":2}"#), call(2, Some("h"), "")],
    ] {
        let deltas: Vec<_> = order.into_iter().chain([Delta::finish(Finish::ToolCalls), Delta::End]).collect();
        assert_eq!(blocks(&deltas), expected, "{deltas:?}");
    }
}

#[test]
fn a_call_that_goes_on_behind_its_end_ends_the_stream() {
    let deltas = [call(0, Some("f"), "{}"), call(1, Some("g"), "{}"), call(0, None, "x"), Delta::End];
    let (events, _) = events(&deltas);
    let last: serde_json::Value = serde_json::from_str(events.last().unwrap()).unwrap();
    assert_eq!((&last["type"], &last["error"]["type"]), (&"error".into(), &"api_error".into()));
}

#[test]
fn a_call_that_is_complete_is_not_kept_waiting() {
    let mut writer = Anthropic.stream_writer(writing()).unwrap();
    let mut write = |delta: Delta| {
        let mut out = Vec::new();
        writer.write(&delta, &mut out, &mut Dropped::default());
        parsed(&out).into_iter().map(|(name, _)| name).collect::<Vec<_>>()
    };
    let begins = ["message_start", "content_block_start", "content_block_delta"];
    assert_eq!(write(call(0, Some("f"), "{}")), begins);
    assert_eq!(write(call(1, Some("g"), "{")), ["content_block_stop", "content_block_start", "content_block_delta"]);
    assert_eq!(write(call(1, None, "}")), ["content_block_delta"]);
}
