//! What is read of answers, streams and errors.

use bytes::Bytes;
use proptest::prelude::*;

use super::super::Ollama;
use crate::base::json::Tree;
use crate::llm::part::ToolCall;
use crate::llm::reply::Choice;
use crate::llm::{Content, Delta, Dropped, Fault, FaultKind, Finish, Fold, Part, Reply, Usage};
use crate::wire::codec::{Codec, Said, Unreadable};
use crate::wire::lines;

fn read(body: &str) -> Result<(Reply, String), Unreadable> {
    let mut dropped = Dropped::default();
    let reply = Ollama.read_reply(&Tree::read(body.as_bytes()).unwrap(), &mut dropped)?;
    Ok((reply, dropped.to_string()))
}

/// Whatever could be read of a stream that comes in pieces of this size.
fn stream(text: &[u8], piece: usize) -> Result<(Vec<Delta>, String), Unreadable> {
    let (mut events, mut deltas, mut dropped) = (Vec::new(), Vec::new(), Dropped::default());
    let mut parser = lines::Parser::new(1 << 20);
    for piece in text.chunks(piece) {
        parser.push(Bytes::copy_from_slice(piece), &mut events).unwrap();
    }
    parser.finish(&mut events);
    let mut reader = Ollama.stream_reader();
    for event in &events {
        reader.read(event, &mut deltas, &mut dropped)?;
    }
    Ok((deltas, dropped.to_string()))
}

fn call(id: &'static str, name: &'static str, arguments: &'static str) -> Part<'static> {
    let call = ToolCall { id: id.into(), name: name.into(), arguments: arguments.into(), signature: None };
    Part::new(Content::ToolCall(call))
}

fn whole(parts: Vec<Part<'static>>, finish: Finish) -> Reply {
    let usage = Some(Usage { input: 26, output: 298, ..Usage::default() });
    let choice = Choice { parts, finish: Some(finish), ..Choice::default() };
    Reply { model: "llama3.2".into(), created: 1_702_390_423, choices: vec![choice], usage, ..Reply::default() }
}

const HEAD: &str = r#""model":"llama3.2","created_at":"2023-12-12T14:13:43.416799Z""#;
const TAIL: &str = r#""total_duration":5191566416,"load_duration":2154458,"prompt_eval_count":26,"prompt_eval_duration":383809000,"eval_count":298,"eval_duration":4799921000"#;

#[test]
fn whole_answers_are_read() {
    let thought = Part::new(Content::Reasoning { text: "hm".into(), signature: None });
    for (message, reason, parts, finish) in [
        (r#"{"role":"assistant","content":"hé\n"}"#, r#""stop""#, vec![Part::text("hé\n")], Finish::Stop),
        (
            r#"{"role":"assistant","content":"a","thinking":"hm"}"#,
            r#""length""#,
            vec![thought, Part::text("a")],
            Finish::Length,
        ),
        (
            r#"{"role":"assistant","content":"","tool_calls":[{"function":{"name":"f","arguments":{"q": 1.50}}},{"id":"c","function":{"index":1,"name":"g","arguments":{}}}]}"#,
            r#""stop""#,
            vec![call("", "f", "{\"q\": 1.50}"), call("c", "g", "{}")],
            Finish::ToolCalls,
        ),
        (r#"{"role":"assistant","content":""}"#, r#""load""#, vec![], Finish::Stop),
        (r#"{"role":"assistant","content":""}"#, "null", vec![], Finish::Stop),
    ] {
        let body = format!(r#"{{{HEAD},"message":{message},"done_reason":{reason},"done":true,{TAIL}}}"#);
        assert_eq!(read(&body), Ok((whole(parts, finish), String::new())), "{body}");
    }
    for body in ["{}", r#"{"model":"m","response":"x","done":true}"#, r#"{"error":"no"}"#] {
        assert!(read(body).is_err(), "{body}");
    }
}

#[test]
fn fields_of_an_answer_that_nobody_knows_are_named() {
    let (_, lost) = read(
        r#"{"model":"m","new":1,"done":true,"done_reason":"bored","remote_host":"h","message":{"role":"assistant",
        "content":"a","mood":"good","tool_calls":[{"rank":1,"function":{"name":"f","arguments":{},"lazy":true}}]}}"#,
    )
    .unwrap();
    let expected =
        "new, message.mood, message.tool_calls[].rank, message.tool_calls[].function.lazy, done_reason bored";
    assert_eq!(lost, expected);
}

#[test]
fn probabilities_are_openais_but_for_what_is_left_out() {
    let (reply, lost) = read(
        r#"{"model":"m","done":true,"message":{"content":"é"},"logprobs":[{"token":"é","logprob":-0.10,
        "top_logprobs":[{"token":"e","logprob":-2,"bytes":[101]}]}]}"#,
    )
    .unwrap();
    let tokens =
        r#"{"token":"é","logprob":-0.10,"bytes":[195,169],"top_logprobs":[{"token":"e","logprob":-2,"bytes":[101]}]}"#;
    assert_eq!((reply.choices[0].logprobs.as_deref(), lost.as_str()), (Some(tokens), ""));
}

fn long_stream() -> String {
    let line = |message: &str| format!("{{{HEAD},\"message\":{message},\"done\":false}}\n");
    [
        line(r#"{"role":"assistant","content":"","thinking":"h"}"#),
        line(r#"{"role":"assistant","content":"","thinking":"m"}"#),
        line(r#"{"role":"assistant","content":"grö"}"#),
        "\n".to_owned(),
        line(r#"{"role":"assistant","content":"ße"}"#),
        line(r#"{"role":"assistant","content":"","tool_calls":[{"function":{"name":"f","arguments":{"q":1}}}]}"#),
        line(r#"{"role":"assistant","content":"","tool_calls":[{"id":"c","function":{"name":"g","arguments":{}}}]}"#),
        format!(r#"{{{HEAD},"message":{{"role":"assistant","content":""}},"done_reason":"stop","done":true,{TAIL}}}"#),
    ]
    .concat()
}

#[test]
fn a_stream_folds_to_what_it_says() {
    let (deltas, lost) = stream(long_stream().as_bytes(), 1 << 20).unwrap();
    let mut fold = Fold::default();
    deltas.iter().for_each(|delta| fold.push(delta));
    let thought = Part::new(Content::Reasoning { text: "hm".into(), signature: None });
    let parts = vec![thought, Part::text("größe"), call("", "f", "{\"q\":1}"), call("c", "g", "{}")];
    assert_eq!((fold.complete(), lost.as_str()), (Some(whole(parts, Finish::ToolCalls)), ""));
    assert_eq!(deltas.last(), Some(&Delta::End));
}

#[test]
fn an_error_line_is_an_error() {
    for (text, kind, message) in [
        (r#"{"error":"it broke"}"#, FaultKind::Server, "it broke"),
        (r#"{"error":{"message":"it broke"}}"#, FaultKind::Server, "it broke"),
        (
            r#"{"error":"prompt too long; exceeded max context length by 4 tokens"}"#,
            FaultKind::ContextLength,
            "prompt too long; exceeded max context length by 4 tokens",
        ),
    ] {
        let error = Delta::Error(Fault::in_stream(kind, message));
        assert_eq!(stream(text.as_bytes(), 64), Ok((vec![error], String::new())), "{text}");
    }
    for text in ["{}\n", "[1]\n", "{broken\n"] {
        assert!(stream(text.as_bytes(), 64).is_err(), "{text}");
    }
}

#[test]
fn errors_are_told_by_status_and_words() {
    for (status, body, kind, message) in [
        (400, r#"{"error":"invalid think value"}"#, FaultKind::InvalidRequest, "invalid think value"),
        (
            400,
            r#"{"error":"the input length exceeds the context length"}"#,
            FaultKind::ContextLength,
            "the input length exceeds the context length",
        ),
        (401, r#"{"error":"unauthorized"}"#, FaultKind::Authentication, "unauthorized"),
        (404, r#"{"error":"model 'x' not found"}"#, FaultKind::NotFound, "model 'x' not found"),
        (503, r#"{"error":"server busy"}"#, FaultKind::Overloaded, "server busy"),
        (502, "<html>", FaultKind::Server, "The provider answered with status 502."),
        (404, "404 page not found", FaultKind::NotFound, "404 page not found"),
    ] {
        let fault = Ollama.read_fault(&Said { status, error_type: None, body: body.as_bytes() });
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
    fn no_bytes_make_a_reader_panic(at in 0..2000_usize, with in "[\\[\\]{}:,\"0-9a-z-]{0,6}", cut in 0..6_usize) {
        let text = long_stream();
        let bytes = text.as_bytes();
        let at = at % bytes.len();
        let broken = [&bytes[..at], with.as_bytes(), &bytes[(at + cut).min(bytes.len())..]].concat();
        let _ = stream(&broken, 4096);
        for line in broken.split(|byte| *byte == b'\n') {
            let said = Said { status: 400, error_type: None, body: line };
            let _ = (Ollama.read_fault(&said), said.tree().map(|tree| Ollama.read_reply(&tree, &mut Dropped::default())));
        }
    }
}
