//! What leaves for a model and for a provider: what each of them takes.

use serde_json::{Value, json};

use super::super::OpenAi;
use crate::base::json::Tree;
use crate::llm::chat::{Role, Sampling, Tool, Turn};
use crate::llm::part::{ToolCall, ToolResult};
use crate::llm::{Chat, Content, Delta, Dropped, Fold, Format, Part, Quirk, Signature};
use crate::wire::codec::{Codec, Envelope, Outgoing, Writing};
use crate::wire::{codec, sse};

fn written(chat: &Chat<'_>, model: &str, quirks: &[Quirk]) -> (Value, Vec<String>) {
    let to = Outgoing { model, envelope: Envelope::Plain, quirks, ask_usage: false, default_max_output: 9 };
    let (mut out, mut dropped) = (Vec::new(), Dropped::default());
    OpenAi.write_chat(chat, &to, &mut out, &mut dropped).unwrap();
    (serde_json::from_slice(&out).unwrap(), dropped.names().iter().map(ToString::to_string).collect())
}

fn turn(role: Role, parts: Vec<Part<'static>>) -> Turn<'static> {
    Turn { role, parts, name: None }
}

#[test]
fn a_model_is_told_what_it_takes() {
    let sampling = Sampling {
        temperature: Some("0.5"),
        top_p: Some("1.0"),
        seed: Some("7"),
        presence_penalty: Some("0.1"),
        frequency_penalty: Some("0"),
        logit_bias: Some(r#"{"1":2}"#),
        ..Sampling::default()
    };
    let chat = Chat {
        sampling,
        stop: vec!["x".into()],
        logprobs: Some(true),
        top_logprobs: Some(2),
        verbosity: Some("low".into()),
        user: Some("u".repeat(100).into()),
        cache_key: Some("k".repeat(100).into()),
        ..Chat::default()
    };
    let (body, lost) = written(&chat, "gpt-5-mini", &[]);
    let lost: Vec<&str> = lost.iter().map(String::as_str).collect();
    assert_eq!(lost, ["stop", "temperature", "presence_penalty", "logit_bias", "logprobs"]);
    assert_eq!((&body["seed"], &body["verbosity"]), (&json!(7), &json!("low")));
    for absent in ["temperature", "top_p", "presence_penalty", "frequency_penalty", "stop", "logprobs", "top_logprobs"]
    {
        assert_eq!(body.get(absent), None, "{absent}");
    }
    for cut in ["user", "prompt_cache_key"] {
        assert_eq!(body[cut].as_str().unwrap().len(), 64, "{cut}");
    }
    let (body, lost) = written(&chat, "gpt-4o", &[]);
    assert_eq!(lost, ["verbosity"]);
    assert_eq!((&body["stop"], &body["temperature"], &body["logprobs"]), (&json!(["x"]), &json!(0.5), &json!(true)));
    let (body, lost) = written(&chat, "llama", &[]);
    assert!(lost.is_empty());
    assert_eq!(body["verbosity"], "low");
}

/// What a model thought, said and called, and what came of it.
fn history(thought: Content<'static>, signature: Option<Signature<'static>>) -> Chat<'static> {
    let call = ToolCall { id: "toolu_1".into(), name: "f".into(), arguments: "{}".into(), signature };
    let result = ToolResult { id: "toolu_1".into(), name: None, parts: vec![Part::text("done")], is_error: false };
    let turns = vec![
        turn(Role::User, vec![Part::text("Hi")]),
        turn(Role::Assistant, vec![Part::new(thought), Part::new(Content::ToolCall(call))]),
        turn(Role::User, vec![Part::new(Content::ToolResult(result))]),
    ];
    Chat { turns, tools: vec![Tool { name: "f".into(), ..Tool::default() }], ..Chat::default() }
}

fn thought(signature: Option<Signature<'static>>) -> Content<'static> {
    Content::Reasoning { text: "So.".into(), signature }
}

fn seal(maker: Format, data: &'static str) -> Option<Signature<'static>> {
    Some(Signature { maker, data: data.into() })
}

#[test]
fn a_thought_goes_back_to_who_wants_it_and_is_named_elsewhere() {
    const REASONING: &str = "messages[].reasoning";
    const DETAILS: &str = "messages[].reasoning_details";
    let content = json!({"reasoning_content": "So."});
    let packed = r#"{"seal":"s","format":"f","id":"i"}"#;
    let details = json!([{"type": "reasoning.text", "text": "So.", "signature": "s", "format": "f", "id": "i"}]);
    let (wants, takes): (&[Quirk], &[Quirk]) = (&[Quirk::WantsReasoningContent], &[Quirk::TakesReasoning]);
    for (quirks, signature, members, lost) in [
        (&[][..], None, json!({}), &[REASONING][..]),
        (wants, None, content.clone(), &[]),
        (wants, seal(Format::Messages, ""), content.clone(), &[]),
        (wants, seal(Format::Messages, "s"), content, &[DETAILS]),
        (takes, None, json!({"reasoning": "So."}), &[]),
        (takes, seal(Format::Messages, "s"), json!({"reasoning": "So."}), &[DETAILS]),
        (takes, seal(Format::Chat, packed), json!({"reasoning": "So.", "reasoning_details": details}), &[]),
    ] {
        let (body, dropped) = written(&history(thought(signature.clone()), None), "m", quirks);
        let mut message = body["messages"][1].clone();
        let mut said = serde_json::Map::new();
        for key in ["reasoning", "reasoning_content", "reasoning_details"] {
            said.extend(message.as_object_mut().unwrap().remove(key).map(|value| (key.to_owned(), value)));
        }
        assert_eq!(
            (Value::Object(said), &dropped[..]),
            (members, &lost.iter().map(ToString::to_string).collect::<Vec<_>>()[..]),
            "{quirks:?} {signature:?}"
        );
    }
    // DeepSeek and Moonshot refuse a message that calls something and says no thought.
    let (body, lost) = written(&history(Content::Text { text: "Ok".into(), citations: vec![] }, None), "m", wants);
    assert_eq!((&body["messages"][1]["reasoning_content"], lost.len()), (&json!(""), 0));
    let (body, lost) = written(&history(Content::Redacted(seal(Format::Chat, "s").unwrap()), None), "m", takes);
    let sealed = json!([{"type": "reasoning.encrypted", "data": "s"}]);
    assert_eq!((&body["messages"][1]["reasoning_details"], lost.len()), (&sealed, 0));
}

#[test]
fn no_seal_of_a_call_is_lost_unnamed() {
    const LOST: &str = "messages[].tool_calls[].extra_content";
    let google = |seal: &str| json!({"google": {"thought_signature": seal}});
    let takes: &[Quirk] = &[Quirk::TakesThoughtSignatures];
    for (quirks, signature, written_as, lost) in [
        (&[][..], None, Value::Null, None),
        (&[][..], seal(Format::Gemini, "s"), Value::Null, Some(LOST)),
        (takes, seal(Format::Gemini, "s"), google("s"), None),
        (takes, None, google("skip_thought_signature_validator"), None),
        (takes, seal(Format::Converse, "s"), google("skip_thought_signature_validator"), Some(LOST)),
    ] {
        let text = Content::Text { text: "Ok".into(), citations: vec![] };
        let (body, dropped) = written(&history(text, signature), "m", quirks);
        let call = &body["messages"][1]["tool_calls"][0];
        assert_eq!((&call["extra_content"], dropped.first().map(String::as_str)), (&written_as, lost), "{quirks:?}");
    }
}

#[test]
fn ids_are_what_a_provider_takes() {
    let mut chat = history(thought(None), None);
    for part in chat.turns.iter_mut().flat_map(|turn| &mut turn.parts) {
        match &mut part.content {
            Content::ToolCall(call) => call.id = "c".repeat(50).into(),
            Content::ToolResult(result) => result.id = "c".repeat(50).into(),
            _ => {}
        }
    }
    for (quirks, length) in [(&[][..], 40), (&[Quirk::NineLetterIds], 9)] {
        let (body, _) = written(&chat, "m", quirks);
        let id = body["messages"][1]["tool_calls"][0]["id"].as_str().unwrap();
        assert_eq!((id.len(), &body["messages"][2]["tool_call_id"]), (length, &json!(id)));
    }
}

/// Answers of providers that tell their thoughts, as one document and as a stream, and the quirk that they have.
const TOLD: &[(&str, &str, Quirk)] = &[
    (r#"{"reasoning_content":"So."}"#, r#"{"reasoning_content":"So."}"#, Quirk::WantsReasoningContent),
    (r#"{"reasoning":"So."}"#, r#"{"reasoning":"So."}"#, Quirk::TakesReasoning),
    (
        r#"{"reasoning":"So.","reasoning_details":[{"type":"reasoning.text","text":"So.","signature":"s","format":"f"}]}"#,
        r#"{"reasoning":"So.","reasoning_details":[{"type":"reasoning.text","text":"So.","signature":"s","format":"f"}]}"#,
        Quirk::TakesReasoning,
    ),
    (
        r#"{"reasoning_details":[{"type":"reasoning.encrypted","data":"s","id":"rs_1"}]}"#,
        r#"{"reasoning_details":[{"type":"reasoning.encrypted","data":"s","id":"rs_1"}]}"#,
        Quirk::TakesReasoning,
    ),
    // Seals that are objects themselves.
    (SEALS[0], SEALS[0], Quirk::TakesReasoning),
    (SEALS[1], SEALS[1], Quirk::TakesReasoning),
    (SEALS[2], SEALS[2], Quirk::TakesReasoning),
];

const SEALS: [&str; 3] = [
    r#"{"reasoning_details":[{"type":"reasoning.encrypted","data":"{\"v\":1,\"type\":\"x\",\"data\":\"z\"}"}]}"#,
    r#"{"reasoning_details":[{"type":"reasoning.encrypted","data":"{\"v\":1,\"data\":\"z\"}","format":"f","id":"i"}]}"#,
    r#"{"reasoning_details":[{"type":"reasoning.encrypted","data":"{\"seal\":\"s\",\"id\":\"i\",\"v\":1}"}]}"#,
];

/// What the client holds of an answer, and brings back in its next request.
fn brought_back(client: Format, body: &[u8]) -> Value {
    let reply: Value = serde_json::from_slice(body).unwrap();
    match client {
        Format::Messages => json!({"max_tokens": 1, "messages": [
            {"role": "user", "content": "Hi"}, {"role": "assistant", "content": reply["content"]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "done"}]}]}),
        Format::Responses => {
            let mut input = vec![json!({"role": "user", "content": "Hi"})];
            input.extend(reply["output"].as_array().unwrap().iter().cloned());
            input.push(json!({"type": "function_call_output", "call_id": "c1", "output": "done"}));
            json!({"input": input})
        }
        Format::Gemini => json!({"contents": [
            {"role": "user", "parts": [{"text": "Hi"}]}, reply["candidates"][0]["content"],
            {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"output": "done"}}}]}]}),
        _ => json!({"messages": [
            {"role": "user", "content": [{"text": "Hi"}]}, reply["output"]["message"],
            {"role": "user", "content": [{"toolResult": {"toolUseId": "c1", "content": [{"text": "done"}]}}]}]}),
    }
}

/// The members of a message that say a thought.
fn said(message: &Value) -> Value {
    let keys = ["reasoning", "reasoning_content", "reasoning_details"];
    let said = keys.into_iter().filter_map(|key| Some((key.to_owned(), message.get(key)?.clone())));
    Value::Object(said.collect())
}

#[test]
fn a_thought_survives_every_client_of_another_api() {
    for (whole, delta, quirk) in TOLD {
        let expected: Value = serde_json::from_str(whole).unwrap();
        let call = json!([{"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]);
        let with = |text: &str| {
            let mut message: Value = serde_json::from_str(text).unwrap();
            message["tool_calls"] = call.clone();
            message
        };
        let answer = json!({"choices": [{"index": 0, "message": with(whole), "finish_reason": "tool_calls"}]});
        let answer = answer.to_string();
        let whole = OpenAi.read_reply(&Tree::read(answer.as_bytes()).unwrap(), &mut Dropped::default()).unwrap();
        let mut deltas = Vec::new();
        let mut reader = OpenAi.stream_reader();
        let chunk = json!({"choices": [{"index": 0, "delta": with(delta), "finish_reason": "tool_calls"}]}).to_string();
        for data in [chunk.as_bytes(), b"[DONE]"] {
            let data = bytes::Bytes::copy_from_slice(data);
            let event = sse::Event { raw: data.clone(), data, name: None };
            reader.read(&event, &mut deltas, &mut Dropped::default()).unwrap();
        }
        let mut fold = Fold::default();
        deltas.iter().for_each(|delta: &Delta| fold.push(delta));
        let streamed = fold.complete().expect("a whole answer");
        for reply in [whole, streamed] {
            for client in [Format::Messages, Format::Responses, Format::Gemini, Format::Converse] {
                let to = Writing { id: "x".into(), model: "m".into(), ..Writing::default() };
                let mut body = Vec::new();
                codec(client).write_reply(&reply, &to, &mut body, &mut Dropped::default());
                let request = brought_back(client, &body).to_string();
                let tree = Tree::read(request.as_bytes()).unwrap();
                let chat = codec(client).read_chat(&tree, &mut Dropped::default()).unwrap();
                let (left, _) = written(&chat, "m", &[*quirk]);
                assert_eq!(said(&left["messages"][1]), expected, "{client} {request}");
            }
        }
    }
}
