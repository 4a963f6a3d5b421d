//! Answers in one piece, and errors.

use serde_json::json;

use super::legal::check_response;
use super::{Responses, json, read_reply, write_reply};
use crate::llm::part::{Citation, Media, MediaKind, Source, ToolCall};
use crate::llm::reply::Choice;
use crate::llm::{Content, Fault, FaultKind, Finish, Format, Part, Reply, Signature, Usage};
use crate::wire::codec::{Codec, Said};

/// As the API answers a question with a search (API reference "The response object"), shortened.
const ANSWER: &str = r#"{
  "id": "resp_67cc", "object": "response", "created_at": 1741476777, "status": "completed", "background": false,
  "completed_at": 1741476779, "error": null, "incomplete_details": null, "instructions": null,
  "max_output_tokens": null, "model": "gpt-5-2025-08-07", "output": [
    {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Look it up."}],
     "encrypted_content": "gAAA"},
    {"type": "web_search_call", "id": "ws_67", "status": "completed"},
    {"type": "message", "id": "msg_67", "status": "completed", "role": "assistant", "content": [
      {"type": "output_text", "text": "It flows.", "annotations": [
        {"type": "url_citation", "start_index": 0, "end_index": 9, "url": "https://w", "title": "Water"}],
       "logprobs": [{"token": "It", "logprob": -0.1, "bytes": [73, 116], "top_logprobs": []}]}]},
    {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f", "arguments": "{\"a\":1}", "status": "completed"}],
  "parallel_tool_calls": true, "previous_response_id": null, "reasoning": {"effort": "high", "summary": null},
  "service_tier": "default", "store": false, "temperature": 1.0, "text": {"format": {"type": "text"}},
  "tool_choice": "auto", "tools": [], "top_p": 1.0, "truncation": "disabled",
  "usage": {"input_tokens": 328, "input_tokens_details": {"cached_tokens": 28, "cache_write_tokens": 100},
    "output_tokens": 52, "output_tokens_details": {"reasoning_tokens": 12}, "total_tokens": 380},
  "user": null, "metadata": {}}"#;

/// The items of [`an_answer_is_written`].
const WRITTEN: &str = r#"[
    {"id": "rs_0a1b_0", "type": "reasoning", "summary": [{"type": "summary_text", "text": "t"}],
     "encrypted_content": "weir.anthropic-messages:c2ln"},
    {"id": "rs_9", "type": "reasoning", "summary": [], "encrypted_content": "gA"},
    {"id": "msg_0a1b_2", "type": "message", "status": "completed", "role": "assistant", "content": [
        {"type": "output_text", "text": "Äh", "logprobs": [{}], "annotations": [
            {"type": "url_citation", "start_index": 0, "end_index": 2, "url": "https://u", "title": ""},
            {"type": "file_citation", "file_id": "", "filename": "d", "index": 2}]},
        {"type": "refusal", "refusal": "No"}]},
    {"id": "rs_0a1b_3", "type": "reasoning", "summary": [], "encrypted_content": "call.weir.gemini:s"},
    {"id": "fc_0a1b_4", "type": "function_call", "status": "completed", "call_id": "c", "name": "f", "arguments": "{}"},
    {"id": "fc_0a1b_5", "type": "function_call", "status": "completed", "call_id": "call_0a1b_5", "name": "f",
     "arguments": "{}"},
    {"id": "ig_0a1b_6", "type": "image_generation_call", "status": "completed", "output_format": "png",
     "result": "QUJD"}]"#;

fn reply_of(contents: Vec<Content<'static>>, finish: Finish) -> Reply {
    let parts = contents.into_iter().map(Part::new).collect();
    Reply { choices: vec![Choice { parts, finish: Some(finish), ..Choice::default() }], ..Reply::default() }
}

fn text(text: &'static str) -> Content<'static> {
    Content::Text { text: text.into(), citations: Vec::new() }
}

#[test]
fn an_answer_is_read() {
    let (reply, dropped) = read_reply(ANSWER);
    let signature = Signature { maker: Format::Responses, data: "rs_1:gAAA".into() };
    let citation = Citation {
        url: Some("https://w".into()),
        title: Some("Water".into()),
        start: Some(0),
        end: Some(9),
        ..Citation::default()
    };
    let call = ToolCall { id: "call_1".into(), name: "f".into(), arguments: r#"{"a":1}"#.into(), signature: None };
    let mut want = reply_of(
        vec![
            Content::Reasoning { text: "Look it up.".into(), signature: Some(signature) },
            Content::Text { text: "It flows.".into(), citations: vec![citation] },
            Content::ToolCall(call),
        ],
        Finish::ToolCalls,
    );
    want.choices[0].logprobs =
        Some(r#"{"token": "It", "logprob": -0.1, "bytes": [73, 116], "top_logprobs": []}"#.into());
    (want.id, want.model, want.created) = ("resp_67cc".into(), "gpt-5-2025-08-07".into(), 1_741_476_777);
    want.usage =
        Some(Usage { input: 200, cache_read: 28, cache_write_5m: 100, output: 52, reasoning: 12, ..Usage::default() });
    want.service_tier = Some("default".into());
    assert_eq!(reply, Ok(want));
    assert_eq!(dropped, ["output[].web_search_call"]);
}

#[test]
fn an_answer_is_written() {
    let seal = |maker, data: &'static str| Signature { maker, data: data.into() };
    let image = Media {
        kind: MediaKind::Image,
        mime: Some("image/png".into()),
        source: Source::Base64("QUJD".into()),
        name: None,
        detail: None,
    };
    let cited = Content::Text {
        text: "Äh".into(),
        citations: vec![
            Citation { url: Some("https://u".into()), quote: Some("q".into()), ..Citation::default() },
            Citation { document: Some(2), title: Some("d".into()), ..Citation::default() },
            Citation::default(),
        ],
    };
    let call =
        |id: &'static str, signature| ToolCall { id: id.into(), name: "f".into(), signature, ..ToolCall::default() };
    let mut reply = reply_of(
        vec![
            Content::Reasoning { text: "t".into(), signature: Some(seal(Format::Messages, "c2ln")) },
            Content::Redacted(seal(Format::Responses, "rs_9:gA")),
            cited,
            Content::Refusal("No".into()),
            Content::ToolCall(call("c", Some(seal(Format::Gemini, "s")))),
            Content::ToolCall(call("", None)),
            Content::Media(image),
        ],
        Finish::ToolCalls,
    );
    reply.choices.push(Choice::default());
    reply.choices[0].logprobs = Some("{}".into());
    reply.usage =
        Some(Usage { input: 1, cache_read: 2, cache_write_1h: 3, output: 4, reasoning: 2, ..Usage::default() });
    let (body, dropped) = write_reply(&reply);
    let body = json(&body);
    check_response(&body);
    assert_eq!(body["output"], json(WRITTEN));
    let usage = json!({"input_tokens": 6, "input_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 3},
        "output_tokens": 4, "output_tokens_details": {"reasoning_tokens": 2}, "total_tokens": 10});
    assert_eq!(body["usage"], usage);
    let head = json!([body["id"], body["model"], body["created_at"], body["status"]]);
    assert_eq!(head, json!(["resp_0a1b", "gpt-5", 1_790_000_000_u64, "completed"]));
    assert_eq!(dropped, ["choices", "citations[].cited_text", "citations"]);
}

/// How an answer ends, the status and the reason that say so, and what is read of them.
#[test]
fn an_answer_ends_for_a_reason() {
    let call = || Content::ToolCall(ToolCall { id: "c".into(), name: "f".into(), ..ToolCall::default() });
    for (content, finish, status, reason, read) in [
        (text("a"), Finish::Stop, "completed", None, Finish::Stop),
        (text("a"), Finish::StopSequence, "completed", None, Finish::Stop),
        (text("a"), Finish::Pause, "completed", None, Finish::Stop),
        (call(), Finish::ToolCalls, "completed", None, Finish::ToolCalls),
        (text("a"), Finish::Length, "incomplete", Some("max_output_tokens"), Finish::Length),
        (text("a"), Finish::ContentFilter, "incomplete", Some("content_filter"), Finish::ContentFilter),
        (text("a"), Finish::Refusal, "incomplete", Some("content_filter"), Finish::ContentFilter),
        (Content::Refusal("no".into()), Finish::Refusal, "completed", None, Finish::Stop),
    ] {
        let (body, _) = write_reply(&reply_of(vec![content], finish));
        let said = json(&body);
        assert_eq!((said["status"].as_str(), said["incomplete_details"]["reason"].as_str()), (Some(status), reason));
        assert_eq!(said["output"][0]["status"], status, "the item that was cut off says so");
        assert_eq!(read_reply(&body).0.unwrap().choices[0].finish, Some(read), "{finish:?}");
    }
}

#[test]
fn what_is_no_answer_is_not_read() {
    for body in [
        r#"{"choices":[]}"#,
        r#"{"output":"x"}"#,
        r#"[]"#,
        r#"{"output":[],"status":"failed","error":{"code":"server_error","message":"x"}}"#,
        r#"{"output":[],"status":"queued"}"#,
    ] {
        assert!(read_reply(body).0.is_err(), "{body}");
    }
}

#[test]
fn errors_are_read_and_written() {
    for (status, body, kind, code) in [
        (
            400,
            r#"{"error":{"message":"m","type":"invalid_request_error","param":"input","code":"context_length_exceeded"}}"#,
            FaultKind::ContextLength,
            Some("context_length_exceeded"),
        ),
        (
            400,
            r#"{"error":{"message":"m","type":"invalid_request_error","param":null,"code":"invalid_prompt"}}"#,
            FaultKind::ContentPolicy,
            Some("invalid_prompt"),
        ),
        (
            429,
            r#"{"error":{"message":"m","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#,
            FaultKind::Quota,
            Some("insufficient_quota"),
        ),
        (
            429,
            r#"{"error":{"message":"m","type":"tokens","param":null,"code":"rate_limit_exceeded"}}"#,
            FaultKind::RateLimit,
            Some("rate_limit_exceeded"),
        ),
        (
            503,
            r#"{"error":{"message":"m","type":"server_error","param":null,"code":"server_is_overloaded"}}"#,
            FaultKind::Overloaded,
            Some("server_is_overloaded"),
        ),
        (
            400,
            r#"{"error":{"message":"m","type":"image_generation_user_error","param":null,"code":"image_too_large"}}"#,
            FaultKind::TooLarge,
            Some("image_too_large"),
        ),
        (500, "<html>", FaultKind::Server, None),
    ] {
        let fault = Responses.read_fault(&Said { status, error_type: None, body: body.as_bytes() });
        assert_eq!((fault.kind, fault.code.as_deref(), fault.status), (kind, code, Some(status)), "{body}");
    }
    let fault = Fault { code: None, ..Fault::new(429, "Slow down.") };
    let body: serde_json::Value = serde_json::from_slice(&Responses.write_fault(&fault)).unwrap();
    let want =
        json!({"message": "Slow down.", "type": "rate_limit_error", "param": null, "code": "rate_limit_exceeded"});
    assert_eq!(body["error"], want);
}
