//! Requests that are read.

use serde_json::json;

use super::{json, media, read_chat, seal, text, turn, write_chat};
use crate::llm::chat::{Effort, OutputFormat, Reasoning, Role, Sampling, Tell, Tool, ToolChoice, Turn};
use crate::llm::part::{CacheMark, Citation, Media, MediaKind, Source, ToolCall, ToolResult};
use crate::llm::{Chat, Code, Content, Format, Part};

#[test]
fn a_request_is_read_field_by_field() {
    let (chat, dropped) = read_chat(
        r#"{
        "model": "gpt-5", "stream": true, "instructions": "Be brief.",
        "input": "Hi", "max_output_tokens": 100, "temperature": 0.20, "top_p": 0.9, "top_logprobs": 3,
        "parallel_tool_calls": false, "store": true, "safety_identifier": "u1", "prompt_cache_key": "k",
        "service_tier": "flex", "metadata": {"a": "b", "n": 1}, "tool_choice": {"type": "function", "name": "f"},
        "tools": [
            {"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}, "strict": false},
            {"type": "web_search"}],
        "text": {"format": {"type": "json_schema", "name": "s", "description": "e", "schema": {"x": 1}, "strict": true},
                 "verbosity": "low"},
        "reasoning": {"effort": "high", "summary": "detailed", "mode": "pro"},
        "include": ["reasoning.encrypted_content", "file_search_call.results"],
        "stream_options": {"include_obfuscation": false}, "truncation": "auto", "max_tool_calls": 3,
        "background": false, "previous_response_id": null, "new_thing": 1}"#,
    );
    let want = Chat {
        turns: vec![turn(Role::System, vec![text("Be brief.")]), turn(Role::User, vec![text("Hi")])],
        tools: vec![Tool {
            custom: None,
            name: "f".into(),
            description: Some("d".into()),
            parameters: Some(r#"{"type": "object"}"#.into()),
            strict: Some(false),
            cache: None,
        }],
        tool_choice: Some(ToolChoice::Named("f".into())),
        parallel_tools: Some(false),
        output: Some(OutputFormat::Schema {
            name: Some("s".into()),
            description: Some("e".into()),
            schema: r#"{"x": 1}"#.into(),
            strict: Some(true),
        }),
        reasoning: Some(Reasoning { effort: Some(Effort::High), tell: Some(Tell::Detailed), ..Reasoning::default() }),
        max_output: Some(100),
        sampling: Sampling { temperature: Some("0.20"), top_p: Some("0.9"), ..Sampling::default() },
        logprobs: Some(true),
        top_logprobs: Some(3),
        metadata: vec![("a".into(), "b".into())],
        user: Some("u1".into()),
        service_tier: Some("flex".into()),
        cache_key: Some("k".into()),
        store: Some(true),
        verbosity: Some("low".into()),
        ..Chat::default()
    };
    assert_eq!(chat.unwrap(), want);
    let lost = [
        "metadata.n",
        "tools[].web_search",
        "reasoning.mode",
        "include file_search_call.results",
        "truncation",
        "max_tool_calls",
        "new_thing",
    ];
    assert_eq!(dropped, lost);
}

/// Every kind of item and of part.
const ITEMS: &str = r#"{"model": "m", "input": [
        {"role": "developer", "content": "Rules."},
        {"type": "message", "role": "user", "content": [
            {"type": "input_text", "text": "See", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "12h"}},
            {"type": "input_image", "image_url": "data:image/jpeg;base64,QUJD", "detail": "low"},
            {"type": "input_image", "file_id": "file-1", "detail": "auto"},
            {"type": "input_file", "file_data": "data:application/pdf;base64,REVG", "filename": "a.pdf"},
            {"type": "input_file", "file_url": "https://x/b.pdf"},
            {"type": "input_audio", "input_audio": {"data": "R0hJ", "format": "wav"}},
            {"type": "input_video", "video_url": "x"}]},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "a"},
            {"type": "summary_text", "text": "b"}], "encrypted_content": "gAAA"},
        {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "gBBB"},
        {"type": "reasoning", "id": "rs_3", "summary": [], "encrypted_content": "weir.anthropic-messages:c2ln"},
        {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "phase": "commentary", "content": [
            {"type": "output_text", "text": "Yes", "annotations": [
                {"type": "url_citation", "url": "https://u", "title": "t", "start_index": 0, "end_index": 3},
                {"type": "file_citation", "file_id": "file-2", "filename": "c.txt", "index": 1}]},
            {"type": "refusal", "refusal": "No."}]},
        {"type": "reasoning", "summary": [], "encrypted_content": "call.weir.gemini:c2Vh"},
        {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": "{\"a\":1}", "status": "completed"},
        {"type": "function_call", "call_id": "c2", "name": "g", "arguments": ""},
        {"type": "web_search_call", "id": "ws_1", "status": "completed"},
        {"type": "function_call_output", "call_id": "c1", "output": "fine"},
        {"type": "function_call_output", "call_id": "c2", "output": [
            {"type": "input_text", "text": "x"}, {"type": "input_image", "image_url": "https://i/p.png"}]},
        {"role": "user", "content": "Go on."}]}"#;

fn user() -> Turn<'static> {
    let image = |mime, source| media(MediaKind::Image, mime, source);
    let pdf = media(MediaKind::File, Some("application/pdf"), Source::Base64("REVG".into()));
    let jpeg = image(Some("image/jpeg"), Source::Base64("QUJD".into()));
    let all = [
        Media { detail: Some("low".into()), ..jpeg },
        Media { detail: Some("auto".into()), ..image(None, Source::FileId("file-1".into())) },
        Media { name: Some("a.pdf".into()), ..pdf },
        media(MediaKind::File, None, Source::Url("https://x/b.pdf".into())),
        media(MediaKind::Audio, Some("audio/wav"), Source::Base64("R0hJ".into())),
    ];
    let mut user = turn(Role::User, [text("See")].into_iter().chain(all.map(Content::Media)).collect());
    user.parts[0].cache = Some(CacheMark::Hour);
    user
}

fn assistant() -> Turn<'static> {
    let citation = |url: Option<&'static str>, title: &'static str, document, end: Option<u64>| Citation {
        url: url.map(Into::into),
        title: Some(title.into()),
        document,
        start: end.map(|_| 0),
        end,
        quote: None,
    };
    let citations = vec![citation(Some("https://u"), "t", None, Some(3)), citation(None, "c.txt", Some(1), None)];
    let call = |id: &'static str, name: &'static str, arguments: &'static str, signature| {
        Content::ToolCall(ToolCall { id: id.into(), name: name.into(), arguments: arguments.into(), signature })
    };
    let contents = vec![
        Content::Reasoning { text: "a\n\nb".into(), signature: Some(seal(Format::Responses, "rs_1:gAAA")) },
        Content::Redacted(seal(Format::Responses, "rs_2:gBBB")),
        Content::Redacted(seal(Format::Messages, "c2ln")),
        Content::Text { text: "Yes".into(), citations },
        Content::Refusal("No.".into()),
        call("c1", "f", r#"{"a":1}"#, Some(seal(Format::Gemini, "c2Vh"))),
        call("c2", "g", "", None),
    ];
    turn(Role::Assistant, contents)
}

#[test]
fn items_are_read_in_their_order() {
    let (chat, dropped) = read_chat(ITEMS);
    let result = |id: &'static str, contents: Vec<Content<'static>>| {
        let parts = contents.into_iter().map(Part::new).collect();
        Content::ToolResult(ToolResult { id: id.into(), name: None, parts, is_error: false })
    };
    let picture = Content::Media(media(MediaKind::Image, None, Source::Url("https://i/p.png".into())));
    let results = vec![result("c1", vec![text("fine")]), result("c2", vec![text("x"), picture]), text("Go on.")];
    let want = [turn(Role::Developer, vec![text("Rules.")]), user(), assistant(), turn(Role::User, results)];
    assert_eq!(chat.unwrap().turns, want);
    let lost = [
        "input[].content[].input_video",
        "input[].phase",
        "input[].content[].annotations[].file_id",
        "input[].web_search_call",
    ];
    assert_eq!(dropped, lost);
}

/// A seal belongs to the call right behind it, and what says nothing is nothing.
#[test]
fn what_is_left_of_a_history_is_taken_as_it_is() {
    let seal = r#"{"type":"reasoning","summary":[],"encrypted_content":"call.weir.gemini:s"}"#;
    let call = r#"{"type":"function_call","call_id":"c","name":"f","arguments":"{}"}"#;
    let user = r#"{"role":"user","content":"Hi"}"#;
    let nothing = r#"{"role":"user","content":[]},{"type":"reasoning","id":"rs_1","summary":[]}"#;
    for (input, sealed) in [
        (format!("{nothing},{seal},{call}"), true),
        (format!("{seal},{user},{call}"), false),
        (format!("{call},{seal}"), false),
    ] {
        let body = format!(r#"{{"instructions":"","input":[{input}]}}"#);
        let chat = read_chat(&body).0.unwrap();
        let calls = chat.turns.iter().filter(|turn| turn.role == Role::Assistant).flat_map(|turn| &turn.parts);
        let seals: Vec<_> =
            calls.map(|part| matches!(&part.content, Content::ToolCall(call) if call.signature.is_some())).collect();
        assert_eq!(seals, [sealed], "{input}");
        assert!(chat.turns.iter().all(|turn| !turn.parts.is_empty() && turn.role.is_side()));
    }
}

#[test]
fn what_only_its_provider_keeps_is_refused_by_name() {
    for (fields, param) in [
        (r#""input":"x","previous_response_id":"resp_1""#, "previous_response_id"),
        (r#""input":"x","conversation":"conv_1""#, "conversation"),
        (r#""input":"x","conversation":{"id":"conv_1"}"#, "conversation"),
        (r#""input":"x","background":true"#, "background"),
        (r#""prompt":{"id":"pmpt_1"}"#, "prompt"),
        (r#""input":[{"type":"item_reference","id":"msg_1"}]"#, "input[0]"),
        (r#""input":[{"role":"user","content":"a"},{"id":"msg_1"}]"#, "input[1]"),
        (r#""input":[{"type":"compaction","encrypted_content":"x"}]"#, "input[0]"),
    ] {
        let body = format!(r#"{{"model":"m",{fields}}}"#);
        let refusal = read_chat(&body).0.unwrap_err();
        assert_eq!((refusal.code, refusal.param.as_deref()), (Code::UnsupportedValue, Some(param)), "{fields}");
    }
}

#[test]
fn what_is_no_request_is_refused_by_name() {
    for (fields, param) in [
        (r#""model":"m""#, "input"),
        (r#""input":7"#, "input"),
        (r#""input":[7]"#, "input[0]"),
        (r#""input":[{"role":"tool","content":"x"}]"#, "input[0].role"),
        (r#""input":[{"role":"user"}]"#, "input[0].content"),
        (r#""input":[{"role":"user","content":7}]"#, "input[0].content"),
        (r#""input":[{"role":"user","content":[{"type":"input_image"}]}]"#, "input[0].content"),
        (r#""input":[{"role":"user","content":[{"type":"input_file","filename":"a"}]}]"#, "input[0].content"),
        (r#""input":[{"type":"function_call","call_id":"c"}]"#, "input[0].name"),
        (r#""input":[{"type":"function_call_output","output":"x"}]"#, "input[0].call_id"),
        (r#""input":[{"type":"function_call_output","call_id":"c"}]"#, "input[0].output"),
        (r#""input":"x","instructions":["a"]"#, "instructions"),
        (r#""input":"x","temperature":"hot""#, "temperature"),
        (r#""input":"x","max_output_tokens":-1"#, "max_output_tokens"),
        (r#""input":"x","store":"no""#, "store"),
        (r#""input":"x","tool_choice":"any""#, "tool_choice"),
        (r#""input":"x","tool_choice":{"type":"function"}"#, "tool_choice.name"),
        (r#""input":"x","tools":[{"type":"function"}]"#, "tools[].name"),
        (r#""input":"x","text":{"format":{"type":"json_schema","name":"a"}}"#, "text.format.schema"),
    ] {
        let body = format!("{{{fields}}}");
        let refusal = read_chat(&body).0.unwrap_err();
        assert_eq!((refusal.code, refusal.param.as_deref()), (Code::UnsupportedValue, Some(param)), "{fields}");
    }
    assert_eq!(read_chat("[]").0.unwrap_err().code, Code::UnsupportedValue);
}

/// Where `strict` is not said, it is as strict as the schema allows.
#[test]
fn a_schema_that_can_be_kept_to_is() {
    const CLOSED: &str =
        r#"{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false}"#;
    const OPEN: &str = r#"{"type":"object","properties":{"a":{}}}"#;
    let within = |inner: &str| {
        format!(r#"{{"type":"object","properties":{{"a":{inner}}},"required":["a"],"additionalProperties":false}}"#)
    };
    for (schema, strict) in [
        (CLOSED.to_owned(), Some(true)),
        (OPEN.to_owned(), None),
        (r#"{"type":"object"}"#.to_owned(), None),
        (CLOSED.replace(r#","additionalProperties":false"#, ""), None),
        (CLOSED.replace(r#"["a"]"#, r#"["b"]"#), None),
        (within(CLOSED), Some(true)),
        (within(OPEN), None),
        (within(&format!(r#"{{"type":"array","items":{OPEN}}}"#)), None),
        (within(&format!(r#"{{"anyOf":[{CLOSED},{OPEN}]}}"#)), None),
        (within(&format!(r#"{{"anyOf":[{CLOSED},{{"type":"null"}}]}}"#)), Some(true)),
    ] {
        let body = format!(r#"{{"input":"x","tools":[{{"type":"function","name":"f","parameters":{schema}}}]}}"#);
        assert_eq!(read_chat(&body).0.unwrap().tools[0].strict, strict, "{schema}");
    }
}

#[test]
fn choices_among_tools_and_ways_to_think() {
    let tool = r#""tools":[{"type":"function","name":"f","parameters":null,"strict":false}]"#;
    for (fields, want) in [
        (r#""tool_choice":"auto""#, json!({"tool_choice": "auto"})),
        (r#""tool_choice":"none""#, json!({"tool_choice": "none"})),
        (r#""tool_choice":"required""#, json!({"tool_choice": "required"})),
        (r#""tool_choice":{"type":"function","name":"f"}"#, json!({"tool_choice": {"type": "function", "name": "f"}})),
        (r#""tool_choice":{"type":"web_search"}"#, json!({"tool_choice": null})),
        (r#""text":{"format":{"type":"json_object"}}"#, json!({"text": {"format": {"type": "json_object"}}})),
        (
            r#""text":{"format":{"type":"text"},"verbosity":"high"}"#,
            json!({"text": {"format": {"type": "text"}, "verbosity": "high"}}),
        ),
        (
            r#""reasoning":{"effort":"none","summary":"auto"}"#,
            json!({"reasoning": {"effort": "none"}, "include": null}),
        ),
        (
            r#""reasoning":{"effort":"max"}"#,
            json!({"reasoning": {"effort": "max"}, "include": ["reasoning.encrypted_content"]}),
        ),
        (r#""reasoning":{"generate_summary":"concise"}"#, json!({"reasoning": {"summary": "concise"}})),
        (r#""user":"a","safety_identifier":"b""#, json!({"safety_identifier": "b", "user": null})),
        (r#""store":true"#, json!({"store": true})),
    ] {
        let body = format!(r#"{{"input":"x",{tool},{fields}}}"#);
        let body = json(&write_chat(&read_chat(&body).0.unwrap()).0);
        for (key, want) in want.as_object().unwrap() {
            assert_eq!(body.get(key).unwrap_or(&json!(null)), want, "{fields}");
        }
    }
}
