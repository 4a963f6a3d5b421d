//! Custom tools, which take a text: Codex's `apply_patch` is one.

use serde_json::{Value as Json, json};

use super::legal::{accumulate, check_response};
use super::{Responses, events, fold, json, read_chat, read_reply, read_stream, writing};
use crate::base::json::Tree;
use crate::llm::part::ToolCall;
use crate::llm::reply::Choice;
use crate::llm::{Chat, Content, Delta, Dialect, Dropped, Finish, Format, Part, Reply};
use crate::wire::codec::{Codec, Envelope, Outgoing, Writing};
use crate::wire::tools::Tools;
use crate::wire::{Custom, Outbound, codec};

/// As Codex asks (its tool `apply_patch`, shortened), with a history of such a call.
const BODY: &str = r#"{"model":"m","input":[
    {"role":"user","content":"Hi"},
    {"type":"custom_tool_call","id":"ctc_1","status":"completed","call_id":"c1","name":"apply.patch","input":"*** \"A\"\n"},
    {"type":"custom_tool_call_output","call_id":"c1","output":"done"}],
    "tools":[{"type":"custom","name":"apply.patch","description":"Edits files.",
        "format":{"type":"grammar","syntax":"lark","definition":"start: \"a\""}},
        {"type":"local_shell"},{"type":"web_search"}],
    "tool_choice":{"type":"custom","name":"apply.patch"}}"#;

fn written(format: Format, fit: bool) -> (Json, Vec<String>, Tools) {
    let (chat, mut lost) = read_chat(BODY);
    let mut chat = chat.unwrap();
    let mut dropped = Dropped::default();
    let outbound = Outbound { format, envelope: Envelope::Plain };
    let tools = if fit { Tools::fit(&mut chat, outbound, &mut dropped) } else { Tools::default() };
    let to =
        Outgoing { model: "m", envelope: Envelope::Plain, quirks: &[], ask_usage: false, default_max_output: 4096 };
    let mut out = Vec::new();
    codec(format).write_chat(&chat, &to, &mut out, &mut dropped).unwrap();
    lost.extend(dropped.names().iter().map(ToString::to_string));
    (serde_json::from_slice(&out).unwrap(), lost, tools)
}

#[test]
fn elsewhere_a_custom_tool_is_a_function_with_one_text() {
    let arguments = json!({"input": "*** \"A\"\n"});
    let told = "Edits files.\n\nThe input must be a text of this lark grammar:\nstart: \"a\"";
    for (format, tool, call) in [
        (Format::Chat, "/tools/0/function", "/messages/1/tool_calls/0/function"),
        (Format::Messages, "/tools/0", "/messages/1/content/0"),
        (Format::Gemini, "/tools/0/functionDeclarations/0", "/contents/1/parts/0/functionCall"),
        (Format::Converse, "/toolConfig/tools/0/toolSpec", "/messages/1/content/0/toolUse"),
        (Format::Ollama, "/tools/0/function", "/messages/1/tool_calls/0/function"),
        (Format::Cohere, "/tools/0/function", "/messages/1/tool_calls/0/function"),
    ] {
        let (body, lost, _) = written(format, true);
        let (tool, call) = (body.pointer(tool).unwrap(), body.pointer(call).unwrap());
        assert_eq!(tool["description"], told, "{format}");
        let schema = ["parameters", "input_schema", "parametersJsonSchema"].iter().find_map(|key| tool.get(key));
        let schema = schema.or_else(|| tool.pointer("/inputSchema/json")).unwrap();
        assert_eq!(
            (&schema["required"], &schema["properties"]["input"]["type"]),
            (&json!(["input"]), &json!("string"))
        );
        let said = ["arguments", "input", "args"].iter().find_map(|key| call.get(key)).unwrap();
        let said = said.as_str().map_or_else(|| said.clone(), |text| serde_json::from_str(text).unwrap());
        assert_eq!((&said, &call["name"]), (&arguments, &tool["name"]), "{format}");
        for name in ["tools[].local_shell", "tools[].web_search", "tools[].format"] {
            assert!(lost.iter().any(|lost| lost == name), "{format} {name} {lost:?}");
        }
    }
}

#[test]
fn a_provider_of_this_api_gets_it_as_it_is() {
    // Once more to its own API, and to it from a client of Chat.
    let (body, _, _) = written(Format::Responses, false);
    let said = json(BODY);
    assert_eq!((&body["tools"][0], &body["tool_choice"]), (&said["tools"][0], &said["tool_choice"]));
    assert_eq!(
        (&body["input"][2]["type"], body["input"][1].get("arguments")),
        (&json!("custom_tool_call_output"), None)
    );
    assert_eq!(body["input"][1]["input"], said["input"][1]["input"]);
    let chat = r#"{"messages":[{"role":"user","content":"Hi"},
        {"role":"assistant","tool_calls":[{"id":"c1","type":"custom","custom":{"name":"p","input":"x\ny"}}]},
        {"role":"tool","tool_call_id":"c1","content":"done"}],
        "tools":[{"type":"custom","custom":{"name":"p","format":{"type":"grammar","grammar":{"syntax":"regex","definition":"a+"}}}},
            {"type":"custom","custom":{"name":"q","format":{"type":"text"}}}],
        "tool_choice":{"type":"custom","custom":{"name":"p"}}}"#;
    let tree = Tree::read(chat.as_bytes()).unwrap();
    let mut dropped = Dropped::default();
    let read = codec(Format::Chat).read_chat(&tree, &mut dropped).unwrap();
    let write = |format: Format, chat: &Chat<'_>| {
        let to =
            Outgoing { model: "m", envelope: Envelope::Plain, quirks: &[], ask_usage: false, default_max_output: 9 };
        let mut out = Vec::new();
        codec(format).write_chat(chat, &to, &mut out, &mut Dropped::default()).unwrap();
        serde_json::from_slice::<Json>(&out).unwrap()
    };
    let body = write(Format::Responses, &read);
    assert_eq!(
        body["tools"],
        json!([{"type": "custom", "name": "p", "format": {"type": "grammar", "syntax": "regex", "definition": "a+"}},
            {"type": "custom", "name": "q", "format": {"type": "text"}}])
    );
    assert_eq!(body["tool_choice"], json!({"type": "custom", "name": "p"}));
    let call = json!({"type": "custom_tool_call", "call_id": "c1", "name": "p", "input": "x\ny"});
    assert_eq!((&body["input"][1], &body["input"][2]["type"]), (&call, &json!("custom_tool_call_output")));
    let (again, said) = (write(Format::Chat, &read), json(chat));
    for key in ["tools", "tool_choice"] {
        assert_eq!(again[key], said[key], "{key}");
    }
    assert_eq!(again["messages"][1]["tool_calls"], said["messages"][1]["tool_calls"]);
    assert!(dropped.is_empty(), "{dropped}");
}

/// An answer of a provider without custom tools that calls one.
fn called(tools_of: Format, arguments: &str) -> Reply {
    let (body, _, tools) = written(tools_of, true);
    let name = body["tools"][0]["function"]["name"].as_str().unwrap().to_owned();
    let call = ToolCall { id: "c2".into(), name: name.into(), arguments: arguments.to_owned().into(), signature: None };
    let choice = Choice {
        parts: vec![Part::new(Content::ToolCall(call))],
        finish: Some(Finish::ToolCalls),
        ..Choice::default()
    };
    let mut reply = Reply { choices: vec![choice], ..Reply::default() };
    tools.restore(&mut reply);
    reply
}

/// The steps of an answer whose arguments come byte for byte.
fn in_pieces(reply: &Reply) -> Vec<Delta> {
    let mut out = Vec::new();
    for step in reply.steps() {
        let Delta::ToolCall { choice, index, id, name, arguments, signature } = step else {
            out.push(step);
            continue;
        };
        out.push(Delta::ToolCall { choice, index, id, name, arguments: String::new(), signature });
        out.extend(arguments.chars().map(|c| Delta::ToolCall {
            choice,
            index,
            id: None,
            name: None,
            arguments: c.to_string(),
            signature: None,
        }));
    }
    out
}

#[test]
fn its_call_comes_home_as_one() {
    for (arguments, input) in [
        (r#"{"input":"*** \"A\"\n\u00e9"}"#, "*** \"A\"\né"),
        (r#"{ "input" : "" }"#, ""),
        ("*** A", "*** A"),
        (r#"{"text":"a"}"#, r#"{"text":"a"}"#),
        // What stands behind the text says nothing, whole and in pieces.
        (r#"{"input":"a","x":1}"#, "a"),
        ("", ""),
    ] {
        let reply = called(Format::Chat, arguments);
        let to = Writing { custom: Custom::of(Dialect::OpenAi, BODY.as_bytes()), ..writing() };
        let mut out = Vec::new();
        Responses.write_reply(&reply, &to, &mut out, &mut Dropped::default());
        let whole: Json = serde_json::from_slice(&out).unwrap();
        check_response(&whole);
        let item = &whole["output"][0];
        let said = |key: &str| item[key].as_str().unwrap();
        assert_eq!((said("type"), said("name"), said("input")), ("custom_tool_call", "apply.patch", input));
        let mut writer = Responses.stream_writer(to).unwrap();
        let mut bytes = Vec::new();
        in_pieces(&reply).iter().for_each(|step| writer.write(step, &mut bytes, &mut Dropped::default()));
        let events = events(&bytes);
        assert_eq!(accumulate(&events)["output"], whole["output"], "{arguments}");
        let done = events.iter().find(|event| event["type"] == "response.custom_tool_call_input.done").unwrap();
        assert_eq!(done["input"], input);
        // A client of Chat.
        let custom = Custom::of(Dialect::OpenAi, br#"{"tools":[{"type":"custom","custom":{"name":"apply.patch"}}]}"#);
        let to = Writing { custom, ..writing() };
        let mut out = Vec::new();
        codec(Format::Chat).write_reply(&reply, &to, &mut out, &mut Dropped::default());
        let whole: Json = serde_json::from_slice(&out).unwrap();
        let call = json!([{"id": "c2", "type": "custom", "custom": {"name": "apply.patch", "input": input}}]);
        assert_eq!(whole["choices"][0]["message"]["tool_calls"], call);
        let mut writer = codec(Format::Chat).stream_writer(to).unwrap();
        let mut bytes = Vec::new();
        in_pieces(&reply).iter().for_each(|step| writer.write(step, &mut bytes, &mut Dropped::default()));
        let text = String::from_utf8(bytes).unwrap();
        let chunks =
            text.lines().filter_map(|line| line.strip_prefix("data: {")).map(|rest| json(&["{", rest].concat()));
        let pieces = chunks.filter_map(|chunk| Some(chunk.pointer("/choices/0/delta/tool_calls/0")?.clone()));
        let said: String = pieces.map(|piece| piece["custom"]["input"].as_str().unwrap().to_owned()).collect();
        assert_eq!(said, input);
    }
}

#[test]
fn a_provider_that_has_them_is_read() {
    let item = json!({"type": "custom_tool_call", "id": "ctc_1", "call_id": "c1", "name": "p", "input": "a\"\nb"});
    let added = json!({"type": "custom_tool_call", "id": "ctc_1", "call_id": "c1", "name": "p", "input": ""});
    let reply = json!({"id": "resp_1", "status": "completed", "output": [item]});
    let (whole, _) = read_reply(&reply.to_string());
    let whole = whole.unwrap();
    let call = whole.choices[0].tool_calls().next().unwrap();
    assert_eq!((&*call.id, &*call.name, &*call.arguments), ("c1", "p", r#"{"input":"a\"\nb"}"#));
    let events = [
        json!({"type": "response.created", "response": {"id": "resp_1"}}),
        json!({"type": "response.output_item.added", "output_index": 0, "item": added}),
        json!({"type": "response.custom_tool_call_input.delta", "output_index": 0, "item_id": "ctc_1", "delta": "a\""}),
        json!({"type": "response.custom_tool_call_input.delta", "output_index": 0, "item_id": "ctc_1", "delta": "\nb"}),
        json!({"type": "response.custom_tool_call_input.done", "output_index": 0, "item_id": "ctc_1", "input": "a\"\nb"}),
        json!({"type": "response.output_item.done", "output_index": 0, "item": item}),
        json!({"type": "response.completed", "response": {"id": "resp_1", "status": "completed", "output": [item]}}),
    ];
    // All of them, and without the pieces.
    for events in [
        events.to_vec(),
        events.iter().filter(|event| !event["type"].as_str().unwrap().contains("input")).cloned().collect(),
    ] {
        let bytes: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
        let (deltas, lost) = read_stream(bytes.as_bytes());
        assert!(lost.is_empty(), "{lost:?}");
        assert_eq!(fold(&deltas).choices[0].parts, whole.choices[0].parts);
    }
}
