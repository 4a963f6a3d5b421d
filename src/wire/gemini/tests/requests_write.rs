//! Requests, written.

use super::{json, names, read, to, written};
use crate::llm::chat::{Role, Tool, Turn};
use crate::llm::part::{CacheMark, Citation, Media, MediaKind, Source, ToolCall, ToolResult};
use crate::llm::{Chat, Code, Content, Dropped, Format, Part, Signature};
use crate::wire::codec::{Codec, Envelope};

pub(super) fn said<'a>(parts: Vec<Part<'a>>) -> Chat<'a> {
    let mut chat = Chat::default();
    chat.say(Role::User, parts);
    chat
}

pub(super) fn hi<'a>() -> Chat<'a> {
    said(vec![Part::text("hi")])
}

fn call<'a>(id: &'a str, name: &'a str, arguments: &'a str, signature: Option<Signature<'a>>) -> Part<'a> {
    Part::new(Content::ToolCall(ToolCall { id: id.into(), name: name.into(), arguments: arguments.into(), signature }))
}

fn result<'a>(id: &'a str, parts: Vec<Part<'a>>, is_error: bool) -> Part<'a> {
    Part::new(Content::ToolResult(ToolResult { id: id.into(), name: None, parts, is_error }))
}

fn picture<'a>(source: Source<'a>, mime: Option<&'a str>) -> Part<'a> {
    let mime = mime.map(Into::into);
    Part::new(Content::Media(Media { kind: MediaKind::Image, mime, source, name: None, detail: None }))
}

fn signed(maker: Format, data: &str) -> Option<Signature<'_>> {
    Some(Signature { maker, data: data.into() })
}

/// The request's `field`, and what was dropped.
pub(super) fn field(chat: &Chat<'_>, model: &str, field: &str) -> (String, Vec<String>) {
    let (body, dropped) = written(chat, &to(model, Envelope::Plain));
    let value = json(&body)[field].to_string();
    (value, names(&dropped).into_iter().map(str::to_owned).collect())
}

#[test]
fn a_talk_with_functions_keeps_its_order_and_names() {
    let mut chat = Chat::default();
    chat.say(Role::System, [Part::text("be brief")]);
    chat.say(Role::User, [Part::text("weather?")]);
    chat.say(Role::Assistant, [Part::text("looking"), call("c1", "f", "{\"a\":1}", None), call("c2", "g", "", None)]);
    let data = picture(Source::Base64("iVBORw0KGgo=".into()), None);
    chat.say(
        Role::User,
        [
            result("c1", vec![Part::text("sunny")], false),
            Part::text("and?"),
            result("c2", vec![Part::text("{\"t\": 1}"), data], true),
        ],
    );
    let (body, dropped) = written(&chat, &to("gemini-2.5-flash", Envelope::Plain));
    assert!(dropped.is_empty(), "{dropped}");
    assert_eq!(
        body,
        concat!(
            r#"{"systemInstruction":{"parts":[{"text":"be brief"}]},"contents":["#,
            r#"{"role":"user","parts":[{"text":"weather?"}]},"#,
            r#"{"role":"model","parts":[{"text":"looking"},{"functionCall":{"id":"c1","name":"f","args":{"a":1}}},"#,
            r#"{"functionCall":{"id":"c2","name":"g","args":{}}}]},"#,
            r#"{"role":"user","parts":[{"functionResponse":{"id":"c1","name":"f","response":{"result":"sunny"}}},"#,
            r#"{"functionResponse":{"id":"c2","name":"g","response":{"error":"{\"t\": 1}"}}}]},"#,
            r#"{"role":"user","parts":[{"inlineData":{"mimeType":"image/png","data":"iVBORw0KGgo="}},{"text":"and?"}]}]}"#,
        )
    );
    // Vertex AI knows no ids; Gemini 3 wants a signature, and takes images inside of an answer.
    let (body, _) = written(&chat, &to("publishers/google/models/gemini-3-pro-preview", Envelope::Vertex));
    assert_eq!(
        json(&body)["contents"].to_string(),
        concat!(
            r#"[{"role":"user","parts":[{"text":"weather?"}]},"#,
            r#"{"role":"model","parts":[{"text":"looking"},"#,
            r#"{"functionCall":{"name":"f","args":{"a":1}},"thoughtSignature":"skip_thought_signature_validator"},"#,
            r#"{"functionCall":{"name":"g","args":{}}}]},"#,
            r#"{"role":"user","parts":[{"functionResponse":{"name":"f","response":{"result":"sunny"}}},"#,
            r#"{"functionResponse":{"name":"g","response":{"error":"{\"t\": 1}"},"#,
            r#""parts":[{"inlineData":{"mimeType":"image/png","data":"iVBORw0KGgo="}}]}}]},"#,
            r#"{"role":"user","parts":[{"text":"and?"}]}]"#,
        )
    );
}

#[test]
fn what_a_function_returned_is_an_object() {
    for (text, response) in [
        (r#"{"t": 20}"#, r#"{"t":20}"#),
        ("plain", r#"{"result":"plain"}"#),
        ("[1]", r#"{"result":"[1]"}"#),
        ("{\"t\":", r#"{"result":"{\"t\":"}"#),
        (r#"{"error":"x"}"#, r#"{"result":{"error":"x"}}"#),
        (r##"{"$ref":"#/a"}"##, r##"{"result":"{\"$ref\":\"#/a\"}"}"##),
    ] {
        let mut chat = hi();
        chat.say(Role::Assistant, [call("c", "f", "{}", None)]);
        chat.say(Role::User, [result("c", vec![Part::text(text)], false)]);
        let (body, _) = written(&chat, &to("m", Envelope::Plain));
        let written = &json(&body)["contents"][2]["parts"][0]["functionResponse"]["response"];
        assert_eq!(written.to_string(), response, "{text}");
        // And it is read as what it was.
        read(&body, |chat, _| {
            let Content::ToolResult(result) = &chat.unwrap().turns[2].parts[0].content.clone() else { panic!() };
            let back = result.parts[0].as_text().unwrap().to_owned();
            assert_eq!((back, result.is_error), (text.to_owned(), false));
        });
    }
}

#[test]
fn malformed_arguments_are_kept_in_an_object() {
    for (arguments, args) in [
        ("", "{}"),
        ("{\n\"a\": \"b\"\n}", r#"{"a":"b"}"#),
        ("{\"a\"", r#"{"_raw":"{\"a\""}"#),
        ("[1]", r#"{"_raw":"[1]"}"#),
        (r#"{"a":1,"a":2}"#, r#"{"_raw":"{\"a\":1,\"a\":2}"}"#),
    ] {
        let mut chat = hi();
        chat.say(Role::Assistant, [call("c", "f", arguments, None)]);
        let (body, _) = written(&chat, &to("m", Envelope::Plain));
        assert!(!body.contains('\n'));
        assert_eq!(json(&body)["contents"][1]["parts"][0]["functionCall"]["args"].to_string(), args);
    }
}

#[test]
fn thoughts_go_back_to_their_maker_alone() {
    let thought = |text: &'static str, signature| Part::new(Content::Reasoning { text: text.into(), signature });
    let redacted = |maker| Part::new(Content::Redacted(Signature { maker, data: "x".into() }));
    for (model, parts, left, lost) in [
        (
            "gemini-3-pro",
            vec![thought("hm", signed(Format::Gemini, "YQ=="))],
            r#"[{"text":"hm","thought":true,"thoughtSignature":"YQ=="}]"#,
            vec![],
        ),
        (
            "gemini-3-pro",
            vec![Part::text("a"), thought("", signed(Format::Gemini, "YQ=="))],
            r#"[{"text":"a","thoughtSignature":"YQ=="}]"#,
            vec![],
        ),
        (
            "gemini-3-pro",
            vec![thought("", signed(Format::Gemini, "YQ=="))],
            r#"[{"text":"","thoughtSignature":"YQ=="}]"#,
            vec![],
        ),
        (
            "gemini-3-pro",
            vec![thought("hm", signed(Format::Messages, "x")), call("", "f", "{}", signed(Format::Messages, "x"))],
            r#"[{"text":"hm","thought":true},{"functionCall":{"name":"f","args":{}},"thoughtSignature":"skip_thought_signature_validator"}]"#,
            vec!["messages[].content[].thinking.signature"],
        ),
        (
            "gemini-3-pro",
            vec![call("", "f", "{}", signed(Format::Gemini, "YQ==")), call("", "g", "{}", None)],
            r#"[{"functionCall":{"name":"f","args":{}},"thoughtSignature":"YQ=="},{"functionCall":{"name":"g","args":{}}}]"#,
            vec![],
        ),
        ("gemini-2.5-pro", vec![call("", "f", "{}", None)], r#"[{"functionCall":{"name":"f","args":{}}}]"#, vec![]),
        (
            "gemini-3-pro",
            vec![Part::text("a"), redacted(Format::Messages)],
            r#"[{"text":"a"}]"#,
            vec!["messages[].content[].redacted_thinking"],
        ),
    ] {
        let mut chat = hi();
        chat.say(Role::Assistant, parts);
        let (body, dropped) = written(&chat, &to(model, Envelope::Plain));
        assert_eq!(json(&body)["contents"][1]["parts"].to_string(), left);
        assert_eq!(names(&dropped), lost, "{left}");
    }
}

#[test]
fn media_are_written_where_google_can_read_them() {
    let url = |url: &'static str| Source::Url(url.into());
    for (part, left, lost) in [
        (
            picture(url("https://h/a.PNG?x=1"), None),
            r#"{"fileData":{"mimeType":"image/png","fileUri":"https://h/a.PNG?x=1"}}"#,
            "",
        ),
        (
            picture(url("gs://b/x"), Some("image/webp")),
            r#"{"fileData":{"mimeType":"image/webp","fileUri":"gs://b/x"}}"#,
            "",
        ),
        (picture(url("https://h/a"), None), "", "messages[].content[].image_url"),
        (picture(url("s3://b/a.png"), None), "", "messages[].content[].image_url"),
        (picture(Source::FileId("file-1".into()), None), "", "messages[].content[].image_url"),
        (picture(Source::Base64("AAAA".into()), None), "", "messages[].content[].image_url"),
        (picture(Source::Text("words".into()), None), r#"{"text":"words"}"#, ""),
        (
            picture(Source::FileId("https://generativelanguage.googleapis.com/v1beta/files/x".into()), None),
            r#"{"fileData":{"fileUri":"https://generativelanguage.googleapis.com/v1beta/files/x"}}"#,
            "",
        ),
    ] {
        let (contents, dropped) = field(&said(vec![Part::text("look"), part]), "m", "contents");
        let parts = [r#"{"text":"look"}"#, left].iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>();
        assert_eq!(contents, format!(r#"[{{"role":"user","parts":[{}]}}]"#, parts.join(",")));
        assert_eq!(dropped, Vec::from_iter(Some(lost).filter(|lost| !lost.is_empty())));
    }
}

#[test]
fn what_gemini_cannot_say_is_named() {
    let mut chat = Chat {
        tools: vec![Tool { name: "f".into(), cache: Some(CacheMark::Default), ..Tool::default() }],
        parallel_tools: Some(false),
        user: Some("u".into()),
        cache_key: Some("k".into()),
        store: Some(true),
        verbosity: Some("low".into()),
        top_logprobs: Some(2),
        ..Chat::default()
    };
    let cited = Content::Text { text: "a".into(), citations: vec![Citation::default()] };
    chat.turns.push(Turn { role: Role::User, parts: vec![Part::new(cited)], name: Some("n".into()) });
    let (_, dropped) = written(&chat, &to("m", Envelope::Plain));
    assert_eq!(
        names(&dropped),
        [
            "messages[].name",
            "messages[].content[].citations",
            "cache_control",
            "top_logprobs",
            "user",
            "prompt_cache_key",
            "store",
            "verbosity",
            "parallel_tool_calls"
        ]
    );
}

#[test]
fn somebody_must_say_something() {
    let mut chat = Chat::default();
    chat.say(Role::System, [Part::text("rules")]);
    let (body, dropped) = written(&chat, &to("m", Envelope::Plain));
    assert_eq!(body, r#"{"contents":[{"role":"user","parts":[{"text":"rules"}]}]}"#);
    assert_eq!(names(&dropped), ["messages[].role"]);
    let mut unsayable = said(vec![picture(Source::FileId("file-1".into()), None)]);
    unsayable.say(Role::System, [Part::text("rules")]);
    for nothing in [Chat::default(), said(vec![Part::text("")]), unsayable] {
        let mut out = b"x".to_vec();
        let refusal = super::Gemini.write_chat(&nothing, &to("m", Envelope::Plain), &mut out, &mut Dropped::default());
        assert_eq!((refusal.unwrap_err().code, &out[..]), (Code::UnsupportedValue, &b"x"[..]));
    }
}

#[test]
fn what_changes_its_place_is_named() {
    let mut late = hi();
    late.say(Role::System, [Part::text("rules")]);
    let (body, dropped) = written(&late, &to("m", Envelope::Plain));
    assert!(body.starts_with(r#"{"systemInstruction":{"parts":[{"text":"rules"}]}"#), "{body}");
    assert_eq!(names(&dropped), ["messages[].role"]);
    let mut first = Chat::default();
    first.say(Role::Assistant, [call("c", "f", "", None)]);
    first.say(Role::User, [result("c", vec![Part::text("ok")], false)]);
    let (body, dropped) = written(&first, &to("m", Envelope::Plain));
    assert!(body.starts_with(r#"{"contents":[{"role":"user","parts":[{"text":"-"}]},{"role":"model""#), "{body}");
    assert_eq!(names(&dropped), ["messages[].role"]);
}

#[test]
fn an_upload_of_ai_studio_is_not_known_to_vertex() {
    let upload = Source::FileId("https://generativelanguage.googleapis.com/v1beta/files/x".into());
    let chat = said(vec![Part::text("look"), picture(upload, Some("image/png"))]);
    assert_eq!(names(&written(&chat, &to("m", Envelope::Plain)).1), [""; 0]);
    assert_eq!(names(&written(&chat, &to("m", Envelope::Vertex)).1), ["messages[].content[].image_url"]);
}
