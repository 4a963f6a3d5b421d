//! Requests that are written.

use serde_json::{Value as Json, json};

use super::{json, media, seal, text, turn, write_chat};
use crate::llm::chat::{AudioOut, OutputFormat, Reasoning, Role, Sampling, Tell, Tool, ToolChoice, Turn};
use crate::llm::part::{CacheMark, Citation, MediaKind, Source, ToolCall, ToolResult};
use crate::llm::{Chat, Content, Format, Part};

/// All that a request can say.
fn everything() -> Chat<'static> {
    let mut user = turn(Role::User, vec![text("Hi")]);
    user.name = Some("Ann".into());
    Chat {
        stream: true,
        stream_usage: true,
        turns: vec![user],
        tools: vec![Tool { name: "f".into(), cache: Some(CacheMark::Default), ..Tool::default() }],
        tool_choice: Some(ToolChoice::Among { names: vec!["f".into()], required: true }),
        parallel_tools: Some(true),
        output: Some(OutputFormat::Schema { name: None, description: None, schema: "{}".into(), strict: None }),
        reasoning: Some(Reasoning { budget: Some(2000), tell: Some(Tell::Auto), ..Reasoning::default() }),
        max_output: Some(1),
        stop: vec!["x".into()],
        sampling: Sampling {
            temperature: Some("1.0"),
            top_p: Some("0.5"),
            top_k: Some("1"),
            min_p: Some("1"),
            seed: Some("1"),
            presence_penalty: Some("1"),
            frequency_penalty: Some("1"),
            logit_bias: Some("{}"),
        },
        logprobs: Some(true),
        top_logprobs: Some(2),
        choices: Some(2),
        metadata: vec![("a".into(), "b".into())],
        user: Some("u".into()),
        service_tier: Some("standard_only".into()),
        cache_key: Some("k".into()),
        verbosity: Some("loud".into()),
        audio: Some(AudioOut::default()),
        images: true,
        ..Chat::default()
    }
}

#[test]
fn what_the_hub_says_is_written_or_named() {
    let (body, dropped) = write_chat(&everything());
    let want = json!({
        "model": "a-model", "stream": true, "store": false,
        "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}],
        "tools": [{"type": "function", "name": "f", "parameters": null, "strict": false}],
        "tool_choice": {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "f"}]},
        "parallel_tool_calls": true,
        "text": {"format": {"type": "json_schema", "name": "response", "schema": {}}},
        "reasoning": {"effort": "medium", "summary": "auto"},
        "include": ["reasoning.encrypted_content", "message.output_text.logprobs"],
        "max_output_tokens": 16, "temperature": 1.0, "top_p": 0.5, "top_logprobs": 2,
        "metadata": {"a": "b"}, "safety_identifier": "u", "prompt_cache_key": "k",
    });
    assert_eq!(json(&body), want);
    let lost = [
        "messages[].name",
        "cache_control",
        "verbosity",
        "max_tokens below 16",
        "service_tier",
        "stop",
        "n",
        "seed",
        "presence_penalty",
        "frequency_penalty",
        "logit_bias",
        "top_k",
        "min_p",
        "audio",
        "modalities",
    ];
    assert_eq!(dropped, lost);
}

/// The items that turns are written as, and what they cannot say.
fn check(turns: Vec<Turn<'static>>, want: &Json, lost: &[&str]) {
    let (body, dropped) = write_chat(&Chat { turns, ..Chat::default() });
    assert_eq!(&json(&body)["input"], want);
    assert_eq!(dropped, lost, "{want}");
}

#[test]
fn what_the_user_shows_is_written() {
    let url = |url: &'static str| Source::Url(url.into());
    let mut marked = Part::text("a");
    marked.cache = Some(CacheMark::Default);
    let shown = [
        media(MediaKind::Image, None, Source::Base64("QQ==".into())),
        media(MediaKind::Image, None, url("gs://b/i.png")),
        media(MediaKind::File, Some("text/csv"), Source::Base64("Qg==".into())),
        media(MediaKind::File, None, Source::Text("plain".into())),
        media(MediaKind::File, None, Source::FileId("file-1".into())),
        media(MediaKind::Audio, None, Source::Base64("Qw==".into())),
        media(MediaKind::Video, None, url("https://v")),
    ];
    let parts = shown.map(|media| Part::new(Content::Media(media))).into_iter().chain([marked]).collect();
    let want = json!([{"type": "message", "role": "user", "content": [
        {"type": "input_image", "image_url": "data:image/png;base64,QQ==", "detail": "auto"},
        {"type": "input_file", "filename": "document.csv", "file_data": "data:text/csv;base64,Qg=="},
        {"type": "input_text", "text": "plain"},
        {"type": "input_file", "file_id": "file-1"},
        {"type": "input_text", "text": "a"}]}]);
    let lost = [
        "messages[].content[].image_url",
        "messages[].content[].input_audio",
        "messages[].content[].video_url",
        "cache_control",
    ];
    check(vec![Turn { role: Role::User, parts, name: None }], &want, &lost);
    let alone = json!([{"type": "message", "role": "system", "content": [{"type": "input_text", "text": "Alone."}]}]);
    check(vec![turn(Role::System, vec![text("Alone.")])], &alone, &[]);
}

#[test]
fn what_the_model_thought_and_said_is_written() {
    let thought = |text: &'static str, signature| Content::Reasoning { text: text.into(), signature };
    let citations = vec![
        Citation { url: Some("https://u".into()), ..Citation::default() },
        Citation { document: Some(0), ..Citation::default() },
    ];
    let contents = vec![
        thought("t", Some(seal(Format::Responses, "rs_1:gA"))),
        thought("", Some(seal(Format::Responses, "gB"))),
        Content::Redacted(seal(Format::Responses, "rs_2:gC")),
        Content::Redacted(seal(Format::Messages, "x")),
        thought("u", None),
        Content::Text { text: "Yes".into(), citations },
        Content::Refusal("No".into()),
        Content::Media(media(MediaKind::Image, None, Source::Base64("QQ==".into()))),
    ];
    let want = json!([
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "t"}],
         "encrypted_content": "gA"},
        {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "gC"},
        {"type": "message", "role": "assistant", "content": [
            {"type": "output_text", "text": "Yes", "annotations": [
                {"type": "url_citation", "start_index": 0, "end_index": 3, "url": "https://u", "title": ""}]},
            {"type": "refusal", "refusal": "No"}]}]);
    // A seal without the id that it belongs to is one that the provider would not find.
    let lost = [
        "messages[].reasoning_content",
        "messages[].redacted_thinking",
        "messages[].content[].image_url",
        "messages[].content[].citations",
    ];
    check(vec![turn(Role::Assistant, contents)], &want, &lost);
}

#[test]
fn results_find_their_calls() {
    let call = |id: &'static str, name: &'static str| {
        Content::ToolCall(ToolCall { id: id.into(), name: name.into(), ..ToolCall::default() })
    };
    let result = |id: &'static str, name: Option<&'static str>, contents: Vec<Content<'static>>| {
        let parts = contents.into_iter().map(Part::new).collect();
        Content::ToolResult(ToolResult { id: id.into(), name: name.map(Into::into), parts, is_error: true })
    };
    let sound = Content::Media(media(MediaKind::Audio, None, Source::Url("https://a".into())));
    let turns = vec![
        turn(Role::Assistant, vec![call("", "f"), call("", "g")]),
        turn(
            Role::User,
            vec![
                result("", Some("g"), vec![text("1")]),
                result("", Some("f"), Vec::new()),
                result("x", None, vec![sound]),
            ],
        ),
    ];
    let want = json!([
        {"type": "function_call", "call_id": "call_0", "name": "f", "arguments": "{}"},
        {"type": "function_call", "call_id": "call_1", "name": "g", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_1", "output": "1"},
        {"type": "function_call_output", "call_id": "call_0", "output": ""},
        {"type": "function_call_output", "call_id": "x", "output": ""}]);
    check(turns, &want, &["messages[].content[].is_error", "messages[].content[].input_audio"]);
}

#[test]
fn instructions_stand_in_front_where_they_are_one_text() {
    let user = turn(Role::User, vec![text("Hi")]);
    let one = Chat { turns: vec![turn(Role::System, vec![text("A")]), user.clone()], ..Chat::default() };
    let body = json(&write_chat(&one).0);
    assert_eq!((&body["instructions"], body["input"].as_array().unwrap().len()), (&json!("A"), 1));
    let two = Chat { turns: vec![turn(Role::System, vec![text("A"), text("B")]), user], ..Chat::default() };
    let body = json(&write_chat(&two).0);
    assert!(body.get("instructions").is_none());
    assert_eq!(body["input"][0]["content"][1]["text"], "B");
}

#[test]
fn names_that_are_too_long_stay_apart() {
    let user = |tail: &str| ["user_", &"x".repeat(90), tail].concat();
    let sent = |user: String| {
        let turns = vec![turn(Role::User, vec![text("Hi")])];
        let chat = Chat { turns, user: Some(user.into()), ..Chat::default() };
        json(&write_chat(&chat).0)["safety_identifier"].as_str().unwrap().to_owned()
    };
    let (a, b) = (sent(user("a")), sent(user("b")));
    assert_eq!((a.len(), b.len(), a == b, a == sent(user("a"))), (64, 64, false, true));
}

#[test]
fn a_call_and_its_result_keep_one_id_of_a_length_that_is_taken() {
    let id = "x".repeat(80);
    let call = Content::ToolCall(ToolCall { id: id.clone().into(), name: "f".into(), ..ToolCall::default() });
    let result = ToolResult { id: id.into(), name: None, parts: Vec::new(), is_error: false };
    let turns = vec![turn(Role::Assistant, vec![call]), turn(Role::User, vec![Content::ToolResult(result)])];
    let body = json(&write_chat(&Chat { turns, ..Chat::default() }).0);
    let sent = body["input"][0]["call_id"].as_str().unwrap();
    assert_eq!((sent.len(), sent), (64, body["input"][1]["call_id"].as_str().unwrap()));
}
