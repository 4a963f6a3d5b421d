//! What is read of answers, streams and errors.

use bytes::Bytes;
use proptest::prelude::*;

use super::super::Cohere;
use crate::base::json::Tree;
use crate::llm::part::{Citation, ToolCall};
use crate::llm::reply::Choice;
use crate::llm::{Content, Delta, Dropped, Fault, FaultKind, Finish, Fold, Part, Reply, Usage};
use crate::wire::codec::{Codec, Said, Unreadable};
use crate::wire::sse;

fn read(body: &str) -> Result<(Reply, String), Unreadable> {
    let mut dropped = Dropped::default();
    let reply = Cohere.read_reply(&Tree::read(body.as_bytes()).unwrap(), &mut dropped)?;
    Ok((reply, dropped.to_string()))
}

/// Whatever could be read of a stream that comes in pieces of this size.
fn stream(text: &[u8], piece: usize) -> Result<(Vec<Delta>, String), Unreadable> {
    let (mut events, mut deltas, mut dropped) = (Vec::new(), Vec::new(), Dropped::default());
    let mut parser = sse::Parser::new(1 << 20);
    for piece in text.chunks(piece) {
        parser.push(Bytes::copy_from_slice(piece), &mut events).unwrap();
    }
    parser.finish(&mut events);
    let mut reader = Cohere.stream_reader();
    for event in &events {
        reader.read(event, &mut deltas, &mut dropped)?;
    }
    Ok((deltas, dropped.to_string()))
}

fn thought(text: &'static str) -> Part<'static> {
    Part::new(Content::Reasoning { text: text.into(), signature: None })
}

fn call(id: &'static str, name: &'static str, arguments: &'static str) -> Part<'static> {
    let call = ToolCall { id: id.into(), name: name.into(), arguments: arguments.into(), signature: None };
    Part::new(Content::ToolCall(call))
}

fn cited(text: &'static str, start: u64, end: u64) -> Part<'static> {
    let citation = Citation {
        url: Some("https://w".into()),
        title: Some("W".into()),
        quote: Some("said so".into()),
        start: Some(start),
        end: Some(end),
        ..Citation::default()
    };
    Part::new(Content::Text { text: text.into(), citations: vec![citation] })
}

const USAGE: &str = r#"{"billed_units":{"input_tokens":5,"output_tokens":3},"tokens":{"input_tokens":70,"output_tokens":9},"cached_tokens":0}"#;

fn whole(parts: Vec<Part<'static>>, finish: Finish) -> Reply {
    let usage = Some(Usage { input: 5, output: 3, ..Usage::default() });
    let choice = Choice { parts, finish: Some(finish), ..Choice::default() };
    Reply { id: "c-1".into(), choices: vec![choice], usage, ..Reply::default() }
}

/// A message and its `finish_reason`, and what they say.
fn cases() -> Vec<(String, String, Vec<Part<'static>>, Finish)> {
    let source = r#"{"type":"document","id":"d","document":{"title":"W","url":"https://w","snippet":"said so"}}"#;
    let case = |message: String, word: &str, parts, finish| (message, word.to_owned(), parts, finish);
    vec![
        case(
            r#"{"role":"assistant","content":[{"type":"text","text":"hé\n"}]}"#.into(),
            "COMPLETE",
            vec![Part::text("hé\n")],
            Finish::Stop,
        ),
        case(
            r#"{"role":"assistant","content":[{"type":"thinking","thinking":"hm"},{"type":"text","text":"a"}]}"#.into(),
            "MAX_TOKENS",
            vec![thought("hm"), Part::text("a")],
            Finish::Length,
        ),
        case(
            r#"{"role":"assistant","tool_plan":"ask","tool_calls":[{"id":"x","type":"function","function":{"name":"f","arguments":"{\"q\":1}"}},{"id":"y","type":"function","function":{"name":"g","arguments":"{}"}}]}"#.into(),
            "TOOL_CALL",
            vec![thought("ask"), call("x", "f", "{\"q\":1}"), call("y", "g", "{}")],
            Finish::ToolCalls,
        ),
        case(
            format!(r#"{{"role":"assistant","content":[{{"type":"text","text":"größe"}},{{"type":"text","text":"zwei"}}],"citations":[{{"start":0,"end":3,"text":"grö","sources":[{source}],"content_index":0,"type":"TEXT_CONTENT"}},{{"start":1,"end":4,"text":"wei","sources":[{source}],"content_index":1,"type":"TEXT_CONTENT"}}]}}"#),
            "STOP_SEQUENCE",
            vec![cited("größe", 0, 3), cited("zwei", 6, 9)],
            Finish::StopSequence,
        ),
    ]
}

#[test]
fn whole_answers_are_read() {
    for (message, word, parts, finish) in cases() {
        let body = format!(r#"{{"id":"c-1","finish_reason":"{word}","message":{message},"usage":{USAGE}}}"#);
        assert_eq!(read(&body), Ok((whole(parts, finish), String::new())), "{body}");
    }
}

#[test]
fn what_is_no_answer_is_not_read_as_one() {
    for body in [
        "{}",
        r#"{"id":"c","finish_reason":"COMPLETE"}"#,
        r#"{"message":"model not found"}"#,
        r#"{"id":"c","finish_reason":"ERROR","message":{"role":"assistant"}}"#,
        r#"{"id":"c","finish_reason":"TIMEOUT","message":{"role":"assistant","content":[]}}"#,
    ] {
        assert!(read(body).is_err(), "{body}");
    }
}

#[test]
fn fields_of_an_answer_that_nobody_knows_are_named() {
    let (reply, lost) = read(
        r#"{"id":"c","new":1,"finish_reason":"BORED","message":{"role":"assistant","mood":"good","content":[
        {"type":"video","video":"v"},{"type":"text","text":"a"}],"citations":[{"start":0,"end":1,"type":"PLAN"},
        {"start":0,"end":1,"content_index":1,"sources":[{"type":"tool","id":"t:0","tool_output":{"n":1}}]}],
        "tool_calls":[{"id":"x","type":"function","rank":1,"function":{"name":"f","arguments":"{}","lazy":true}}]}}"#,
    )
    .unwrap();
    let said = Citation { start: Some(0), end: Some(1), ..Citation::default() };
    assert_eq!(reply.choices[0].parts[0].content, Content::Text { text: "a".into(), citations: vec![said] });
    assert_eq!(
        lost,
        "new, finish_reason BORED, message.mood, message.content[].video, message.tool_calls[].rank, \
         message.tool_calls[].function.lazy, message.citations[], message.citations[].sources[]"
    );
}

#[test]
fn a_probability_is_that_of_its_text() {
    let (reply, lost) = read(
        r#"{"id":"c","finish_reason":"COMPLETE","message":{"content":[{"type":"text","text":"aé"}]},
        "logprobs":[{"text":"a","token_ids":[1],"logprobs":[-0.10]},{"text":"é","token_ids":[2,3],"logprobs":[-0.5,-0.25]},
        {"text":"nothing","token_ids":[]}]}"#,
    )
    .unwrap();
    let tokens = r#"{"token":"a","logprob":-0.10,"bytes":[97],"top_logprobs":[]},{"token":"é","logprob":-0.75,"bytes":[195,169],"top_logprobs":[]}"#;
    assert_eq!((reply.choices[0].logprobs.as_deref(), lost.as_str()), (Some(tokens), ""));
}

/// A stream of everything, as the reference's examples go.
fn long_stream() -> String {
    let source = r#"{"type":"document","id":"d","document":{"title":"W","url":"https://w","snippet":"said so"}}"#;
    let events = [
        ("message-start", r#"{"id":"c-1","type":"message-start","delta":{"message":{"role":"assistant","content":[],"tool_plan":"","tool_calls":[],"citations":[]}}}"#.to_owned()),
        ("content-start", r#"{"type":"content-start","index":0,"delta":{"message":{"content":{"type":"thinking","thinking":""}}}}"#.to_owned()),
        ("content-delta", r#"{"type":"content-delta","index":0,"delta":{"message":{"content":{"thinking":"hm"}}}}"#.to_owned()),
        ("content-end", r#"{"type":"content-end","index":0}"#.to_owned()),
        ("content-start", r#"{"type":"content-start","index":1,"delta":{"message":{"content":{"type":"text","text":""}}}}"#.to_owned()),
        ("content-delta", r#"{"type":"content-delta","index":1,"delta":{"message":{"content":{"text":"grö"}}},"logprobs":{"text":"grö","token_ids":[1],"logprobs":[-1.0]}}"#.to_owned()),
        ("content-delta", r#"{"type":"content-delta","index":1,"delta":{"message":{"content":{"text":"ße"}}}}"#.to_owned()),
        ("citation-start", format!(r#"{{"type":"citation-start","index":0,"delta":{{"message":{{"citations":{{"start":0,"end":3,"text":"grö","sources":[{source}],"content_index":1,"type":"TEXT_CONTENT"}}}}}}}}"#)),
        ("citation-end", r#"{"type":"citation-end","index":0}"#.to_owned()),
        ("content-end", r#"{"type":"content-end","index":1}"#.to_owned()),
        ("content-start", r#"{"type":"content-start","index":2,"delta":{"message":{"content":{"type":"text","text":"zw"}}}}"#.to_owned()),
        ("content-delta", r#"{"type":"content-delta","index":2,"delta":{"message":{"content":{"text":"ei"}}}}"#.to_owned()),
        ("citation-start", format!(r#"{{"type":"citation-start","index":1,"delta":{{"message":{{"citations":{{"start":1,"end":4,"text":"wei","sources":[{source}],"content_index":2,"type":"TEXT_CONTENT"}}}}}}}}"#)),
        ("content-end", r#"{"type":"content-end","index":2}"#.to_owned()),
        ("tool-plan-delta", r#"{"type":"tool-plan-delta","delta":{"message":{"tool_plan":"ask"}}}"#.to_owned()),
        ("tool-call-start", r#"{"type":"tool-call-start","index":0,"delta":{"message":{"tool_calls":{"id":"x","type":"function","function":{"name":"f","arguments":""}}}}}"#.to_owned()),
        ("tool-call-delta", r#"{"type":"tool-call-delta","index":0,"delta":{"message":{"tool_calls":{"function":{"arguments":"{\"q\""}}}}}"#.to_owned()),
        ("tool-call-start", r#"{"type":"tool-call-start","index":1,"delta":{"message":{"tool_calls":{"id":"y","type":"function","function":{"name":"g","arguments":"{}"}}}}}"#.to_owned()),
        ("tool-call-delta", r#"{"type":"tool-call-delta","index":0,"delta":{"message":{"tool_calls":{"function":{"arguments":":1}"}}}}}"#.to_owned()),
        ("tool-call-end", r#"{"type":"tool-call-end","index":0}"#.to_owned()),
        ("message-end", format!(r#"{{"type":"message-end","id":"c-1","delta":{{"finish_reason":"TOOL_CALL","usage":{USAGE}}}}}"#)),
    ];
    let written = events.iter().map(|(name, data)| format!("event: {name}\ndata: {data}\n\n"));
    written.collect::<String>() + "data: [DONE]\n\n"
}

#[test]
fn a_stream_folds_to_what_it_says() {
    let (deltas, lost) = stream(long_stream().as_bytes(), 1 << 20).unwrap();
    let mut fold = Fold::default();
    deltas.iter().for_each(|delta| fold.push(delta));
    let parts = vec![
        thought("hm"),
        cited("größe", 0, 3),
        cited("zwei", 6, 9),
        thought("ask"),
        call("x", "f", "{\"q\":1}"),
        call("y", "g", "{}"),
    ];
    let mut expected = whole(parts, Finish::ToolCalls);
    expected.choices[0].logprobs =
        Some(r#"{"token":"grö","logprob":-1.0,"bytes":[103,114,195,182],"top_logprobs":[]}"#.to_owned());
    assert_eq!((fold.complete(), lost.as_str()), (Some(expected), ""));
    assert_eq!(deltas.iter().filter(|delta| **delta == Delta::End).count(), 1);
}

#[test]
fn a_failure_inside_a_stream_is_an_error() {
    let end = |delta: &str| format!("data: {{\"type\":\"message-end\",\"id\":\"c\",\"delta\":{delta}}}\n\n");
    for (text, kind, message) in [
        (end(r#"{"finish_reason":"ERROR","error":"it broke"}"#), FaultKind::Server, "it broke"),
        (end(r#"{"finish_reason":"TIMEOUT"}"#), FaultKind::Timeout, "The provider broke the answer off."),
        (
            end(r#"{"finish_reason":"ERROR","error":"too many tokens: 9"}"#),
            FaultKind::ContextLength,
            "too many tokens: 9",
        ),
        ("data: {\"message\":\"no\"}\n\n".to_owned(), FaultKind::Server, "no"),
    ] {
        let error = Delta::Error(Fault::in_stream(kind, message));
        assert_eq!(stream(text.as_bytes(), 64), Ok((vec![error], String::new())), "{text}");
    }
    for text in ["data: {}\n\n", "data: [1]\n\n", "data: {broken\n\n"] {
        assert!(stream(text.as_bytes(), 64).is_err(), "{text}");
    }
    // Without its end it was cut off.
    let cut = "data: {\"type\":\"message-start\",\"id\":\"c\"}\n\n";
    assert_eq!(stream(cut.as_bytes(), 64).unwrap().0.len(), 1);
}

#[test]
fn pieces_of_a_call_that_nobody_began_are_named() {
    let text = "data: {\"type\":\"tool-call-delta\",\"index\":3,\"delta\":{\"message\":{\"tool_calls\":{\"function\":{\"arguments\":\"x\"}}}}}\n\n\
                data: {\"type\":\"citation-start\",\"delta\":{\"message\":{\"citations\":{\"start\":0,\"end\":1}}}}\n\n\
                data: {\"type\":\"new\"}\n\n";
    let expected = "message.tool_calls[], message.citations[], event new";
    assert_eq!(stream(text.as_bytes(), 64), Ok((vec![], expected.to_owned())));
}

#[test]
fn errors_are_told_by_status_and_words() {
    for (status, body, kind, message) in [
        (400, r#"{"message":"invalid request: x"}"#, FaultKind::InvalidRequest, "invalid request: x"),
        (400, r#"{"message":"too many tokens: 9"}"#, FaultKind::ContextLength, "too many tokens: 9"),
        (
            400,
            r#"{"message":"too many tokens: max tokens must be less"}"#,
            FaultKind::InvalidRequest,
            "too many tokens: max tokens must be less",
        ),
        (400, r#"{"message":"blocked output: x"}"#, FaultKind::ContentPolicy, "blocked output: x"),
        (401, r#"{"id":"a","message":"invalid api token"}"#, FaultKind::Authentication, "invalid api token"),
        (402, r#"{"message":"pay"}"#, FaultKind::Quota, "pay"),
        (404, r#"{"message":"model not found"}"#, FaultKind::NotFound, "model not found"),
        (422, r#"{"message":"x"}"#, FaultKind::InvalidRequest, "x"),
        (429, r#"{"message":"past the per minute limit"}"#, FaultKind::RateLimit, "past the per minute limit"),
        (
            429,
            r#"{"message":"limited to 1000 API calls / month"}"#,
            FaultKind::Quota,
            "limited to 1000 API calls / month",
        ),
        (498, r#"{"message":"invalid token"}"#, FaultKind::Authentication, "invalid token"),
        (499, r#"{"message":"request cancelled"}"#, FaultKind::Timeout, "request cancelled"),
        (503, "<html>", FaultKind::Overloaded, "The provider answered with status 503."),
        (500, "", FaultKind::Server, "The provider answered with status 500."),
    ] {
        let fault = Cohere.read_fault(&Said { status, error_type: None, body: body.as_bytes() });
        assert_eq!((fault.kind, fault.status, &*fault.message), (kind, Some(status), message), "{body}");
    }
}

proptest! {
    #[test]
    fn pieces_of_any_size_say_the_same(piece in 1..700_usize) {
        let text = long_stream();
        prop_assert_eq!(stream(text.as_bytes(), piece), stream(text.as_bytes(), text.len()));
    }

    #[test]
    fn no_bytes_make_a_reader_panic(at in 0..4000_usize, with in "[\\[\\]{}:,\"0-9a-z-]{0,6}", cut in 0..6_usize) {
        let text = long_stream();
        let bytes = text.as_bytes();
        let at = at % bytes.len();
        let broken = [&bytes[..at], with.as_bytes(), &bytes[(at + cut).min(bytes.len())..]].concat();
        let _ = stream(&broken, 4096);
        let body = format!(r#"{{"id":"c-1","finish_reason":"COMPLETE","message":{},"usage":{USAGE}}}"#, cases()[3].0);
        let at = at % body.len();
        let broken = [&body.as_bytes()[..at], with.as_bytes(), &body.as_bytes()[(at + cut).min(body.len())..]].concat();
        let said = Said { status: 400, error_type: None, body: &broken };
        let _ = (Cohere.read_fault(&said), said.tree().map(|tree| Cohere.read_reply(&tree, &mut Dropped::default())));
    }
}
