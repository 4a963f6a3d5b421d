//! OpenAI requests edited in place, and chat streams read, written and trimmed.

mod written;

use proptest::prelude::*;

use super::*;
use crate::llm::Dialect;
use crate::llm::{Code, Delta, Finish, Operation, Quirk, Usage};
use crate::wire::rewrite::Done;
use crate::wire::{Fields, Rewrite, Trim, fields};
use bytes::Bytes;

fn read(body: &str) -> Result<Fields, Refusal> {
    fields::read(Dialect::OpenAi, Operation::Chat, body.as_bytes())
}

fn rewritten(body: &str, model: &str, ask_usage: bool) -> String {
    let bytes = Bytes::copy_from_slice(body.as_bytes());
    let fields = read(body).unwrap();
    let want = Rewrite { model, ask_usage, quirks: &[], changes: None };
    String::from_utf8(rewrite(&bytes, &fields, want).unwrap().0.to_vec()).unwrap()
}

/// What leaves for a provider that refuses `stream_options`.
fn for_who_refuses(operation: Operation, body: &str, model: &str) -> String {
    let bytes = Bytes::copy_from_slice(body.as_bytes());
    let fields = fields::read(Dialect::OpenAi, operation, &bytes).unwrap();
    let quirks = &[Quirk::UsageInXGroq, Quirk::RefusesStreamOptions];
    // Usage is not asked for there, whatever was decided.
    let want = Rewrite { model, ask_usage: true, quirks, changes: None };
    String::from_utf8(rewrite(&bytes, &fields, want).unwrap().0.to_vec()).unwrap()
}

#[test]
fn nothing_to_edit_is_the_very_same_bytes() {
    let body = Bytes::from_static(b"{ \"model\" : \"m\", \"n\":1.0e0, \"n2\":[ ] }\n");
    let fields = fields::read(Dialect::OpenAi, Operation::Chat, &body).unwrap();
    let want = Rewrite { model: "m", ask_usage: false, quirks: &[], changes: None };
    let (same, done) = rewrite(&body, &fields, want).unwrap();
    assert_eq!((same.as_ptr(), done), (body.as_ptr(), Done::default()));
}

#[test]
fn an_alias_changes_the_models_value_and_nothing_else() {
    let body = "{\"x\":1e999, \"model\" : \"fast\" ,\"x\":2,\"s\":\"\\ud800\"}\n";
    assert_eq!(rewritten(body, "gpt \"4\"", false), body.replace("\"fast\"", "\"gpt \\\"4\\\"\""));
}

#[test]
fn usage_is_asked_for_wherever_stream_options_stand() {
    for (options, expected) in [
        ("", ",\"stream_options\":{\"include_usage\":true}"),
        (",\"stream_options\":{}", ",\"stream_options\":{\"include_usage\":true}"),
        (",\"stream_options\": { }", ",\"stream_options\": {\"include_usage\":true }"),
        (",\"stream_options\":{\"a\":1 }", ",\"stream_options\":{\"a\":1,\"include_usage\":true }"),
        (
            ",\"stream_options\":{\"include_usage\":false,\"a\":1}",
            ",\"stream_options\":{\"include_usage\":true,\"a\":1}",
        ),
        (",\"stream_options\":null", ",\"stream_options\":{\"include_usage\":true}"),
    ] {
        let body = |options: &str| format!("{{\"model\":\"m\",\"stream\":true{options}}}");
        assert_eq!(rewritten(&body(options), "m", true), body(expected));
    }
    let asked = "{\"model\":\"m\",\"stream_options\":{\"include_usage\":true}}";
    assert_eq!(rewritten(asked, "m", true), asked);
}

#[test]
fn stream_options_leave_no_trace_where_they_are_refused() {
    for (body, left) in [
        (r#"{"model":"m","stream":true,"stream_options":{"include_usage":true}}"#, r#"{"model":"m","stream":true}"#),
        (r#"{ "stream_options" : {"x":[1, 2]} , "model":"m" ,"stream":true}"#, r#"{ "model":"m" ,"stream":true}"#),
        (r#"{"stream":true, "stream_options":null, "model" : "m"}"#, r#"{"stream":true, "model" : "m"}"#),
        // An alias beside it, and names like it elsewhere.
        (
            r#"{"model":"a","stream_options":{},"stream":true,"x":{"stream_options":1}}"#,
            r#"{"model":"m","stream":true,"x":{"stream_options":1}}"#,
        ),
        (r#"{"stream":true,"model":"a" , "stream_options":{}}"#, r#"{"stream":true,"model":"m"}"#),
        // Nothing to take out, or no stream: the provider shall say what it thinks of it.
        (r#"{"model":"m","stream":true}"#, r#"{"model":"m","stream":true}"#),
        (r#"{"model":"m","stream_options":{}}"#, r#"{"model":"m","stream_options":{}}"#),
    ] {
        assert_eq!(for_who_refuses(Operation::Chat, body, "m"), left);
    }
    let other = r#"{"model":"m","stream":true,"stream_options":{}}"#;
    assert_eq!(for_who_refuses(Operation::Responses, other, "m"), other);
}

proptest! {
    #[test]
    fn every_byte_beside_stream_options_is_kept(
        before in proptest::collection::vec(MEMBER, 0..4),
        after in proptest::collection::vec(MEMBER, 0..4),
        options in r#" ?(null|\{ ?\}|\{"include_usage": ?(true|false)\}|\{"a":\[1\]\}|"x"|7) ?"#,
    ) {
        let fixed = [r#" "stream" :true"#.to_owned(), r#""model": "m" "#.to_owned()];
        let with = [&before[..], &fixed[..1], &[format!(r#""stream_options":{options}"#)], &fixed[1..], &after].concat();
        let without = [&before[..], &fixed, &after].concat();
        let strip = |text: String| text.split_whitespace().collect::<String>();
        let left = for_who_refuses(Operation::Chat, &format!("{{{}}}", with.join(",")), "m");
        prop_assert_eq!(strip(left.clone()), strip(format!("{{{}}}", without.join(","))));
        for member in before.iter().chain(&after) {
            prop_assert!(left.contains(member.trim()), "{} in {}", member, left);
        }
    }
}

/// Members that nobody acts on, in odd spellings.
const MEMBER: &str = r#" ?"(u|x|\\u0041|User)" ?: ?(1\.50e\+3|-0\.0|123456789012345678901234567890|"\\ud800,\\"stream_options\\""|\[\]|\{"stream_options":\{\}\}|null) ?"#;

#[test]
fn fields_that_are_acted_on_may_not_stand_twice() {
    for (body, param) in [
        ("{\"model\":\"a\",\"model\":\"b\"}", "model"),
        ("{\"model\":\"a\",\"\\u006dodel\":\"b\"}", "model"),
        ("{\"model\":\"a\",\"stream\":true,\"stream\":false}", "stream"),
        ("{\"model\":\"a\",\"stream_options\":{\"include_usage\":true,\"include_usage\":false}}", "include_usage"),
    ] {
        let refusal = read(body).unwrap_err();
        assert_eq!((refusal.code, refusal.param.as_deref()), (Code::DuplicateField, Some(param)), "{body}");
    }
    assert_eq!(&*read("{\"model\":\"a\",\"user\":1,\"user\":2}").unwrap().call.model, "a");
}

#[test]
fn a_body_that_is_no_object_or_names_no_model_is_refused() {
    for (body, code) in [
        ("", Code::InvalidJson),
        ("[]", Code::InvalidJson),
        ("{\"model\":\"m\"", Code::InvalidJson),
        ("{\"model\":\"m\"} x", Code::InvalidJson),
        ("{}", Code::UnsupportedValue),
        ("{\"model\":1}", Code::UnsupportedValue),
    ] {
        assert_eq!(read(body).unwrap_err().code, code, "{body}");
    }
    let deep = format!("{{\"model\":\"m\",\"x\":{}{}}}", "[".repeat(200), "]".repeat(200));
    assert_eq!(read(&deep).unwrap_err().code, Code::InvalidJson);
}

#[test]
fn the_call_is_read() {
    let body = "{\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":true},\"n\":3,\
                \"max_tokens\":7,\"max_completion_tokens\":5,\"service_tier\":\"flex\"}";
    let call = read(body).unwrap().call;
    assert_eq!((call.stream, call.stream_usage, call.choices, call.max_output), (true, true, 3, Some(7)));
    assert_eq!((call.service_tier.as_deref(), call.body_bytes), (Some("flex"), body.len() as u64));
}

#[test]
fn a_stream_that_was_written_reads_back() {
    let to = Writing { usage: true, ..Writing::default() };
    let usage = Usage { input: 3, output: 2, ..Usage::default() };
    let call = |id: Option<&str>, name: Option<&str>, arguments: &str| Delta::ToolCall {
        choice: 0,
        index: 0,
        id: id.map(str::to_owned),
        name: name.map(str::to_owned),
        arguments: arguments.to_owned(),
        signature: None,
    };
    let deltas = [
        Delta::Start { id: "c-1".into(), model: "m".into(), created: 7, usage: None },
        Delta::Reasoning { choice: 0, text: "hm".into() },
        Delta::text("a\n\"b\""),
        call(Some("t"), Some("f"), "{\"q\":"),
        call(None, None, "1}"),
        Delta::finish(Finish::ToolCalls),
        Delta::Usage(usage),
        Delta::End,
    ];
    let mut writer = OpenAi.stream_writer(to).unwrap();
    let (mut wire, mut dropped) = (Vec::new(), Dropped::default());
    deltas.iter().for_each(|delta| writer.write(delta, &mut wire, &mut dropped));
    let text = String::from_utf8(wire.clone()).unwrap();
    let (mut events, mut back) = (Vec::new(), Vec::new());
    sse::Parser::new(1 << 20).push(Bytes::from(wire), &mut events).unwrap();
    let mut reader = OpenAi.stream_reader();
    for event in &events {
        reader.read(event, &mut back, &mut dropped).unwrap();
    }
    assert_eq!((back.as_slice(), dropped.is_empty()), (deltas.as_slice(), true));
    assert!(text.contains("\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2,\"total_tokens\":5"));
}

#[test]
fn what_was_injected_is_trimmed_and_nothing_else() {
    let trim = |data: &str| OpenAi.trim(data.as_bytes());
    assert_eq!(trim("{\"choices\":[],\"usage\":{\"prompt_tokens\":1}}"), Trim::Drop);
    for (data, left) in [
        ("{\"choices\":[{}], \"usage\" : null, \"x\": 1.0}", "{\"choices\":[{}], \"x\": 1.0}"),
        ("{ \"usage\":null ,\"choices\":[{}]}", "{ \"choices\":[{}]}"),
        ("{\"choices\":[{}] , \"usage\": null }", "{\"choices\":[{}] }"),
        ("{\"usage\":null}", "{}"),
    ] {
        let Trim::Cut(span) = trim(data) else { panic!("{data}") };
        assert_eq!([&data[..span.start], &data[span.end..]].concat(), left);
    }
    // What providers state unasked: in the last chunk (Mistral), in each (vLLM's continuous statistics),
    // elsewhere (Groq), without choices at all, or beside an error.
    for data in [
        "{\"choices\":[{}],\"usage\":{\"prompt_tokens\":1}}",
        "{\"choices\":[{\"delta\":{\"content\":\"a\"}}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}}",
        "{\"choices\":[],\"x_groq\":{\"id\":\"r\",\"usage\":{\"prompt_tokens\":1}}}",
        "{\"usage\":{\"prompt_tokens\":1}}",
        "{\"choices\":[],\"error\":{\"message\":\"no\"},\"usage\":{\"prompt_tokens\":1}}",
    ] {
        assert_eq!(trim(data), Trim::Keep, "{data}");
    }
    assert_eq!(trim("{\"choices\":[{}]}"), Trim::Keep);
    assert_eq!(trim("[DONE]"), Trim::Keep);
    assert_eq!(trim("{broken"), Trim::Keep);
}

#[test]
fn an_error_has_openais_shape() {
    let refusal = Refusal::new(Code::ModelNotFound, "no such \"model\"").param("model");
    let value: serde_json::Value = serde_json::from_slice(&OpenAi.refusal(&refusal)).unwrap();
    let expected = serde_json::json!({"error": {
        "message": "no such \"model\"", "type": "invalid_request_error", "param": "model", "code": "model_not_found",
    }});
    assert_eq!(value, expected);
}

/// Ollama's calls have none, and OpenAI's clients need one to answer.
#[test]
fn a_call_without_an_id_gets_the_same_one_whole_and_streamed() {
    use crate::llm::Content;
    use crate::llm::part::{Part, ToolCall};
    use crate::llm::reply::Choice;

    let call = |id: &'static str| {
        let name = "f".into();
        Part::new(Content::ToolCall(ToolCall { id: id.into(), name, arguments: "{}".into(), signature: None }))
    };
    let choice = Choice { parts: vec![call(""), call("own")], finish: Some(Finish::ToolCalls), ..Choice::default() };
    let reply = Reply { choices: vec![choice], ..Reply::default() };
    let to = Writing { id: "x".into(), ..Writing::default() };
    let (mut whole, mut streamed, mut dropped) = (Vec::new(), Vec::new(), Dropped::default());
    OpenAi.write_reply(&reply, &to, &mut whole, &mut dropped);
    let mut writer = OpenAi.stream_writer(to).unwrap();
    reply.steps().iter().for_each(|step| writer.write(step, &mut streamed, &mut dropped));
    for written in [whole, streamed] {
        let text = String::from_utf8(written).unwrap();
        let after = text.split("\"id\":\"").skip(1).filter_map(|rest| rest.split('"').next());
        let ids: Vec<&str> = after.filter(|id| !id.starts_with("chatcmpl-")).collect();
        assert_eq!(ids, ["call_x_0_0", "own"], "{text}");
    }
}

#[test]
fn a_call_that_does_not_say_of_what_is_refused() {
    let read = |call: &str| {
        let turn = format!(r#"{{"role":"assistant","tool_calls":[{{"id":"c",{call}}}]}}"#);
        let body = format!(r#"{{"model":"m","messages":[{turn}]}}"#);
        let mut dropped = Dropped::default();
        let tree = Tree::read(body.as_bytes()).unwrap();
        OpenAi.read_chat(&tree, &mut dropped).map(|chat| (format!("{:?}", chat.turns), dropped.to_string()))
    };
    for call in [r#""function":{"arguments":"{}"}"#, r#""function":{"name":"","arguments":"{}"}"#, r#""custom":{}"#] {
        let refusal = read(call).unwrap_err();
        assert_eq!(refusal.param.as_deref(), Some("messages[].tool_calls[].function.name"), "{call}");
    }
}

/// A provider may number choices and name calls at will.
#[test]
fn the_calls_that_a_stream_names_are_remembered_up_to_a_bound() {
    let (mut reader, mut out, mut dropped) = (OpenAi.stream_reader(), Vec::new(), Dropped::default());
    let long = "i".repeat(1 << 10);
    for choice in 0..2000 {
        let function = r#"{"name":"f","arguments":""}"#;
        let call = format!(r#"{{"index":0,"id":"{long}{choice}","type":"function","function":{function}}}"#);
        let data = format!(r#"{{"choices":[{{"index":{choice},"delta":{{"tool_calls":[{call}]}}}}]}}"#);
        let event = sse::Event { name: None, data: data.into(), raw: Bytes::new() };
        reader.read(&event, &mut out, &mut dropped).unwrap();
    }
    assert_eq!(out.iter().filter(|delta| matches!(delta, Delta::ToolCall { .. })).count(), 1024);
    assert_eq!(dropped.to_string(), "choices[].delta.tool_calls[]");
}
