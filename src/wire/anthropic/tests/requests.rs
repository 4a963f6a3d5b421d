//! Requests as they are read and written.

use super::*;
use crate::llm::chat::{Effort, OutputFormat, Reasoning, Role, Tell, Tool, ToolChoice, Turn};
use crate::llm::part::{CacheMark, Media, MediaKind, Source, ToolCall, ToolResult};
use crate::llm::{Content, Format, Part, Signature};

const MODEL: &str = "claude-sonnet-4-5";

/// `{"model":…,"max_tokens":…,` and the rest.
fn body(rest: &str) -> String {
    format!(r#"{{"model":"{MODEL}","max_tokens":100,{rest}}}"#)
}

fn user(text: &str) -> String {
    format!(r#""messages":[{{"role":"user","content":[{{"type":"text","text":"{text}"}}]}}]"#)
}

#[test]
fn what_both_can_say_is_written_as_it_was_read() {
    let hello = user("Hi");
    for rest in [
        hello.clone(),
        format!(r#""stream":true,{hello}"#),
        format!(r#""system":[{{"type":"text","text":"Be","cache_control":{{"type":"ephemeral","ttl":"1h"}}}}],{hello}"#),
        format!(
            r#""tools":[{{"name":"f","description":"d","input_schema":{{"type":"object"}},"cache_control":{{"type":"ephemeral"}}}}],{hello}"#
        ),
        format!(
            r#""tools":[{{"name":"f","input_schema":{{"type":"object","additionalProperties":false}},"strict":true}}],"tool_choice":{{"type":"tool","name":"f","disable_parallel_tool_use":true}},{hello}"#
        ),
        format!(
            r#""tools":[{{"name":"f","input_schema":{{"type":"object"}}}}],"tool_choice":{{"type":"any","disable_parallel_tool_use":false}},{hello}"#
        ),
        format!(r#""tools":[{{"name":"f","input_schema":{{"type":"object"}}}}],"tool_choice":{{"type":"none"}},{hello}"#),
        format!(
            r#"{hello},"output_config":{{"format":{{"type":"json_schema","schema":{{"type":"object","properties":{{}},"additionalProperties":false}}}}}}"#
        ),
        format!(r#"{hello},"temperature":0.70,"top_k":5"#),
        format!(r#"{hello},"top_p":0.9,"stop_sequences":["a","b"],"metadata":{{"user_id":"u"}},"service_tier":"auto""#),
        format!(r#"{hello},"thinking":{{"type":"disabled"}}"#),
        // Pictures, papers, calls and what they returned.
        [
            r#""tools":[{"name":"f","input_schema":{"type":"object"}}],"messages":[{"role":"user","content":["#,
            r#"{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AAAA"}},"#,
            r#"{"type":"image","source":{"type":"url","url":"https://e.org/a.png"},"cache_control":{"type":"ephemeral"}},"#,
            r#"{"type":"image","source":{"type":"file","file_id":"file_1"}},"#,
            r#"{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"JVBERi0="},"title":"t"},"#,
            r#"{"type":"document","source":{"type":"text","media_type":"text/plain","data":"words"}}]},"#,
            r#"{"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"c2ln"},"#,
            r#"{"type":"redacted_thinking","data":"cmVk"},{"type":"text","text":"I call"},"#,
            r#"{"type":"tool_use","id":"toolu_1","name":"f","input":{"a":1.50}},{"type":"tool_use","id":"toolu_2","name":"f","input":{}}]},"#,
            r#"{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","content":[{"type":"text","text":"r"},"#,
            r#"{"type":"image","source":{"type":"base64","media_type":"image/jpeg","data":"/9j/"}}]},"#,
            r#"{"type":"tool_result","tool_use_id":"toolu_2","is_error":true},{"type":"text","text":"go on"}]}]"#,
        ]
        .concat(),
    ] {
        let body = body(&rest);
        assert_eq!(rewritten(&body, MODEL, Envelope::Plain), (body.clone(), vec![]), "{rest}");
    }
}

#[test]
fn shorter_forms_are_written_out_and_the_rest_is_named() {
    let hello = user("Hi");
    for (rest, expected, left_out) in [
        (r#""messages":[{"role":"user","content":"Hi"}]"#.to_owned(), hello.clone(), vec![]),
        (
            r#""messages":[{"role":"user","content":"Hi"}],"system":"Be""#.to_owned(),
            format!(r#""system":[{{"type":"text","text":"Be"}}],{hello}"#),
            vec![],
        ),
        // The last block is what the mark of the whole request marks.
        (
            format!(r#""cache_control":{{"type":"ephemeral"}},{hello}"#),
            hello.replace(r#""Hi""#, r#""Hi","cache_control":{"type":"ephemeral"}"#),
            vec![],
        ),
        // Of two sides in a row each says all it says at once, and nothing that is empty.
        (
            r#""messages":[{"role":"user","content":"a"},{"role":"user","content":[{"type":"text","text":" "},{"type":"text","text":"b"}]},{"role":"assistant","content":""}]"#.to_owned(),
            r#""messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}]"#.to_owned(),
            vec![],
        ),
        (
            format!(r#"{hello},"mcp_servers":[{{"url":"u"}}],"container":"c","inference_geo":"eu","tools":[],"speed":null"#),
            hello.clone(),
            vec!["mcp_servers", "container", "inference_geo"],
        ),
        (
            format!(r#"{hello},"tools":[{{"type":"web_search_20250305","name":"web_search"}}]"#),
            hello.clone(),
            vec!["tools[].web_search_20250305"],
        ),
        (
            r#""messages":[{"role":"user","content":[{"type":"document","source":{"type":"content","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},"context":"c","citations":{"enabled":true}},{"type":"container_upload","file_id":"f"}]}]"#.to_owned(),
            r#""messages":[{"role":"user","content":[{"type":"document","source":{"type":"text","media_type":"text/plain","data":"a\nb"}}]}]"#.to_owned(),
            vec!["messages[].content[].context", "messages[].content[].citations", "messages[].content[].container_upload"],
        ),
        (
            r#""messages":[{"role":"user","content":[{"type":"search_result","source":"https://e.org","title":"T","content":[{"type":"text","text":"a"}]}]}]"#.to_owned(),
            r#""messages":[{"role":"user","content":[{"type":"document","source":{"type":"text","media_type":"text/plain","data":"a"},"title":"T"}]}]"#.to_owned(),
            vec!["messages[].content[].source"],
        ),
    ] {
        let (out, names) = rewritten(&body(&rest), MODEL, Envelope::Plain);
        assert_eq!((out, names), (body(&expected), left_out.into_iter().map(str::to_owned).collect()), "{rest}");
    }
}

#[test]
fn what_is_no_request_is_refused() {
    for rest in [
        r#""messages":{}"#,
        r#""messages":[{"role":"tool","content":"x"}]"#,
        r#""messages":[{"role":"user"}]"#,
        r#""messages":[{"role":"user","content":7}]"#,
        r#""messages":[{"role":"user","content":[{"text":"no type"}]}]"#,
        r#""messages":[{"role":"user","content":[{"type":"text"}]}]"#,
        r#""messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"i","content":{}}]}]"#,
        r#""messages":[],"temperature":"hot""#,
        r#""messages":[],"tool_choice":{"type":"maybe"}"#,
        r#""messages":[],"thinking":{"type":"much"}"#,
        r#""messages":[],"output_config":{"effort":"some"}"#,
        r#""messages":[],"stop_sequences":[1]"#,
    ] {
        let body = body(rest);
        let tree = Tree::read(body.as_bytes()).unwrap();
        let refused = Anthropic.read_chat(&tree, &mut Dropped::default()).unwrap_err();
        assert!(refused.param.is_some(), "{rest}");
    }
}

#[test]
fn thinking_is_read_in_all_its_forms() {
    let hello = user("Hi");
    for (rest, expected) in [
        (
            r#""thinking":{"type":"enabled","budget_tokens":2048}"#,
            Reasoning { budget: Some(2048), enabled: Some(true), ..Reasoning::default() },
        ),
        (
            r#""thinking":{"type":"adaptive","display":"omitted"},"output_config":{"effort":"max"}"#,
            Reasoning {
                enabled: Some(true),
                dynamic: true,
                effort: Some(Effort::Max),
                tell: Some(Tell::Nothing),
                budget: None,
            },
        ),
        (r#""thinking":{"type":"between_tools"}"#, Reasoning { enabled: Some(false), ..Reasoning::default() }),
        (r#""output_config":{"effort":"low"}"#, Reasoning { effort: Some(Effort::Low), ..Reasoning::default() }),
    ] {
        let body = body(&format!("{hello},{rest}"));
        let tree = Tree::read(body.as_bytes()).unwrap();
        let chat = Anthropic.read_chat(&tree, &mut Dropped::default()).unwrap();
        assert_eq!(chat.reasoning, Some(expected), "{rest}");
    }
}

fn turn<'a>(role: Role, parts: Vec<Part<'a>>) -> Turn<'a> {
    Turn { role, parts, name: None }
}

#[test]
fn what_other_apis_say_is_put_into_this_ones_order() {
    let call = |name: &'static str, arguments: &'static str| {
        Part::new(Content::ToolCall(ToolCall { name: name.into(), arguments: arguments.into(), ..ToolCall::default() }))
    };
    let result = |name: &'static str, text: &'static str| {
        let parts = vec![Part::text(text)];
        Part::new(Content::ToolResult(ToolResult { id: "".into(), name: Some(name.into()), parts, is_error: false }))
    };
    let foreign = Signature { maker: Format::Gemini, data: "s".into() };
    let chat = Chat {
        turns: vec![
            turn(Role::System, vec![Part::text("s1")]),
            turn(Role::Developer, vec![Part::text("s2")]),
            turn(Role::User, vec![Part::text("u")]),
            turn(
                Role::Assistant,
                vec![
                    Part::new(Content::Reasoning { text: "hm".into(), signature: Some(foreign) }),
                    call("f", "{\"a\":"),
                    call("g", ""),
                ],
            ),
            turn(Role::User, vec![Part::text("then"), result("g", "2"), result("f", "1")]),
            turn(Role::System, vec![Part::text("late")]),
        ],
        tools: vec![Tool { name: "f".into(), ..Tool::default() }, Tool { name: "g".into(), ..Tool::default() }],
        tool_choice: Some(ToolChoice::Among { names: vec!["g".into()], required: true }),
        ..Chat::default()
    };
    let (out, names) = written(&chat, MODEL, Envelope::Plain).unwrap();
    let expected = [
        r#"{"model":"claude-sonnet-4-5","max_tokens":32000,"tools":[{"name":"g","input_schema":{"type":"object","properties":{}}}],"#,
        r#""tool_choice":{"type":"any"},"system":[{"type":"text","text":"s1"},{"type":"text","text":"s2"},{"type":"text","text":"late"}],"#,
        r#""messages":[{"role":"user","content":[{"type":"text","text":"u"}]},{"role":"assistant","content":["#,
        r#"{"type":"tool_use","id":"call_0","name":"f","input":{"INVALID_JSON":"{\"a\":"}},{"type":"tool_use","id":"call_1","name":"g","input":{}}]},"#,
        r#"{"role":"user","content":[{"type":"tool_result","tool_use_id":"call_1","content":[{"type":"text","text":"2"}]},"#,
        r#"{"type":"tool_result","tool_use_id":"call_0","content":[{"type":"text","text":"1"}]},{"type":"text","text":"then"}]}]}"#,
    ];
    assert_eq!(out, expected.concat());
    assert_eq!(names, ["messages[].reasoning_content", "messages[].role"]);
}

#[test]
fn a_late_instruction_stays_where_the_model_takes_it() {
    let chat = Chat {
        turns: vec![turn(Role::User, vec![Part::text("u")]), turn(Role::Developer, vec![Part::text("late")])],
        ..Chat::default()
    };
    let (out, names) = written(&chat, "claude-opus-5", Envelope::Plain).unwrap();
    assert!(out.contains(r#"{"role":"system","content":[{"type":"text","text":"late"}]}]"#), "{out}");
    assert_eq!(names, [""; 0]);
    for (model, envelope) in [(MODEL, Envelope::Plain), ("claude-opus-5", Envelope::Invoke)] {
        let (out, names) = written(&chat, model, envelope).unwrap();
        assert!(out.contains(r#""system":[{"type":"text","text":"late"}]"#), "{out}");
        assert_eq!(names, ["messages[].role"]);
    }
}

#[test]
fn somebody_says_something_and_the_user_says_it_first() {
    for (turns, expected) in [
        (
            vec![turn(Role::System, vec![Part::text("s")])],
            r#""messages":[{"role":"user","content":[{"type":"text","text":"s"}]}]}"#,
        ),
        (
            vec![turn(Role::Assistant, vec![Part::text("a \n")])],
            r#""messages":[{"role":"user","content":[{"type":"text","text":"(The conversation begins.)"}]},{"role":"assistant","content":[{"type":"text","text":"a"}]}]}"#,
        ),
    ] {
        let (out, names) = written(&Chat { turns, ..Chat::default() }, MODEL, Envelope::Plain).unwrap();
        assert!(out.ends_with(expected), "{out}");
        assert_eq!(names, ["messages[].role"]);
    }
}

#[test]
fn envelopes_say_their_version_and_keep_what_stands_in_the_path_out() {
    let chat = Chat {
        stream: true,
        service_tier: Some("standard_only".into()),
        turns: vec![turn(
            Role::User,
            vec![
                Part::text("u"),
                Part::new(Content::Media(Media {
                    kind: MediaKind::Image,
                    mime: None,
                    source: Source::Url("https://e.org/a".into()),
                    name: None,
                    detail: None,
                })),
            ],
        )],
        ..Chat::default()
    };
    let said = r#""messages":[{"role":"user","content":[{"type":"text","text":"u"}]}]}"#;
    for (envelope, head) in [
        (Envelope::Vertex, r#"{"anthropic_version":"vertex-2023-10-16","max_tokens":32000,"stream":true,"#),
        (Envelope::Invoke, r#"{"anthropic_version":"bedrock-2023-05-31","max_tokens":32000,"#),
    ] {
        let (out, names) = written(&chat, MODEL, envelope).unwrap();
        assert_eq!(out, format!("{head}{said}"));
        assert_eq!(names, ["messages[].content[].image_url", "service_tier"]);
    }
}

#[test]
fn media_are_written_in_the_forms_that_are_read() {
    let media = |kind, mime: Option<&'static str>, source| Media {
        kind,
        mime: mime.map(Into::into),
        source,
        name: None,
        detail: None,
    };
    let base64 = |data: &'static str| Source::Base64(data.into());
    for (media, expected) in [
        (media(MediaKind::Image, None, base64("iVBORw0K")), Some(r#""media_type":"image/png","data":"iVBORw0K""#)),
        (media(MediaKind::Image, Some("image/jpg"), base64("/9j/")), Some(r#""media_type":"image/jpeg""#)),
        (media(MediaKind::Image, Some("image/tiff"), base64("SUkq")), None),
        (media(MediaKind::Image, Some("image/png"), base64("")), None),
        (media(MediaKind::Image, None, Source::Url("gs://b/o".into())), None),
        (media(MediaKind::Image, None, Source::FileId("file-openai".into())), None),
        (media(MediaKind::File, None, base64("JVBERi0x")), Some(r#""media_type":"application/pdf""#)),
        (media(MediaKind::File, Some("text/csv"), base64("YSxi")), Some(r#""media_type":"text/plain","data":"a,b""#)),
        (media(MediaKind::File, Some("text/plain"), base64("/w==")), None),
        (media(MediaKind::File, Some("application/zip"), base64("UEs=")), None),
        (media(MediaKind::Audio, Some("audio/wav"), base64("UklGRg==")), None),
    ] {
        let parts = vec![Part::text("u"), Part::new(Content::Media(media.clone()))];
        let chat = Chat { turns: vec![turn(Role::User, parts)], ..Chat::default() };
        let (out, names) = written(&chat, MODEL, Envelope::Plain).unwrap();
        match expected {
            Some(expected) => assert!(out.contains(expected) && names.is_empty(), "{media:?} {out} {names:?}"),
            None => assert!(!out.contains("source") && names.len() == 1, "{media:?} {out} {names:?}"),
        }
    }
}

#[test]
fn of_too_many_marks_the_last_ones_are_written() {
    let marked = |text: String| Part { cache: Some(CacheMark::Default), ..Part::text(text) };
    let chat =
        Chat { turns: vec![turn(Role::User, (0..6).map(|at| marked(format!("p{at}"))).collect())], ..Chat::default() };
    let (out, names) = written(&chat, MODEL, Envelope::Plain).unwrap();
    assert_eq!((out.matches("cache_control").count(), names), (4, vec!["cache_control".to_owned()]));
    assert!(out.contains(r#""p1"},"#) && out.contains(r#""p2","cache_control""#), "{out}");
}

#[test]
fn a_schema_is_closed_for_an_answer_and_some_json_is_named() {
    let chat =
        |output| Chat { output: Some(output), turns: vec![turn(Role::User, vec![Part::text("u")])], ..Chat::default() };
    let schema = OutputFormat::Schema {
        name: Some("n".into()),
        description: None,
        schema: r#"{"type":"object","properties":{"a":{"type":"string","maxLength":3}}}"#.into(),
        strict: None,
    };
    let (out, names) = written(&chat(schema.clone()), MODEL, Envelope::Plain).unwrap();
    let expected = r#""schema":{"type":"object","properties":{"a":{"type":"string","description":"{maxLength: 3}"}},"additionalProperties":false}}}}"#;
    assert!(out.ends_with(expected), "{out}");
    assert_eq!(names, ["response_format.json_schema.schema.maxLength"]);
    let (_, names) = written(&chat(schema), "claude-3-5-haiku-latest", Envelope::Plain).unwrap();
    assert_eq!(names, ["response_format"]);
    let (_, names) = written(&chat(OutputFormat::Json), MODEL, Envelope::Plain).unwrap();
    assert_eq!(names, ["response_format"]);
}
