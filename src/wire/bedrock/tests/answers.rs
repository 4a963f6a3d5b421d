//! Whole answers read and written.

use super::*;
use crate::llm::reply::Choice;

fn read_reply(body: &Json) -> Result<(Reply, Vec<String>), Unreadable> {
    let text = body.to_string();
    let mut dropped = Dropped::default();
    let reply = Bedrock.read_reply(&Tree::read(text.as_bytes()).unwrap(), &mut dropped)?;
    Ok((reply, names(&dropped)))
}

fn write_reply(reply: &Reply) -> (Json, Vec<String>) {
    let (mut out, mut dropped) = (Vec::new(), Dropped::default());
    let to = Writing { id: "abc".into(), ..Writing::default() };
    Bedrock.write_reply(reply, &to, &mut out, &mut dropped);
    (serde_json::from_slice(&out).unwrap(), names(&dropped))
}

fn full() -> (Json, Reply) {
    let body = json!({
        "output": {"message": {"role": "assistant", "content": [
            {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "c2ln"}}},
            {"reasoningContent": {"redactedContent": "c2VjcmV0"}},
            {"text": "Hi"},
            {"citationsContent": {"content": [{"text": "cited"}], "citations": [
                {"title": "T", "sourceContent": [{"text": "quote"}], "location": {"web": {"url": "https://x"}}},
                {"location": {"documentChar": {"documentIndex": 1}}}]}},
            {"image": {"format": "png", "source": {"bytes": "aGk="}}},
            {"toolUse": {"toolUseId": "t1", "name": "f", "input": {"a": 1}}}
        ]}},
        "stopReason": "tool_use",
        "usage": {"inputTokens": 5, "outputTokens": 7, "totalTokens": 72, "cacheReadInputTokens": 10,
            "cacheWriteInputTokens": 50, "cacheDetails": [{"ttl": "5m", "inputTokens": 20},
            {"ttl": "1h", "inputTokens": 30}]},
        "metrics": {"latencyMs": 0},
        "serviceTier": {"type": "priority"}
    });
    let web = Citation {
        url: Some("https://x".into()),
        title: Some("T".into()),
        quote: Some("quote".into()),
        ..Citation::default()
    };
    let document = Citation { document: Some(1), ..Citation::default() };
    let parts = vec![
        Part::new(Content::Reasoning { text: "Hm.".into(), signature: Some(seal("c2ln")) }),
        Part::new(Content::Redacted(seal("c2VjcmV0"))),
        Part::text("Hi"),
        Part::new(Content::Text { text: "cited".into(), citations: vec![web, document] }),
        Part::new(Content::Media(media(MediaKind::Image, "image/png", Source::Base64("aGk=".into())))),
        call("t1", "f", r#"{"a":1}"#),
    ];
    let usage =
        Usage { input: 5, output: 7, cache_read: 10, cache_write_5m: 20, cache_write_1h: 30, ..Usage::default() };
    let reply = Reply {
        choices: vec![Choice { parts, finish: Some(Finish::ToolCalls), ..Choice::default() }],
        usage: Some(usage),
        service_tier: Some("priority".into()),
        ..Reply::default()
    };
    (body, reply)
}

#[test]
fn a_whole_answer_goes_both_ways() {
    let (body, reply) = full();
    assert_eq!(read_reply(&body), Ok((reply.clone(), vec![])));
    assert_eq!(write_reply(&reply), (body, vec![]));
}

#[test]
fn every_stop_reason_is_read() {
    for (reason, finish, left_out) in [
        (json!("end_turn"), Finish::Stop, false),
        (json!("stop_sequence"), Finish::StopSequence, false),
        (json!("max_tokens"), Finish::Length, false),
        (json!("model_context_window_exceeded"), Finish::Length, false),
        (json!("tool_use"), Finish::ToolCalls, false),
        (json!("guardrail_intervened"), Finish::ContentFilter, false),
        (json!("content_filtered"), Finish::ContentFilter, false),
        (json!("malformed_tool_use"), Finish::Stop, true),
        (json!("malformed_model_output"), Finish::Stop, true),
        (Json::Null, Finish::Stop, false),
    ] {
        let body = json!({"output": {"message": {"content": []}}, "stopReason": reason});
        let (reply, names) = read_reply(&body).unwrap();
        assert_eq!((reply.choices[0].finish, names.len()), (Some(finish), usize::from(left_out)), "{reason}");
    }
    for (finish, reason) in [
        (Finish::Stop, "end_turn"),
        (Finish::Refusal, "content_filtered"),
        (Finish::ContentFilter, "content_filtered"),
        (Finish::Length, "max_tokens"),
        (Finish::StopSequence, "stop_sequence"),
        (Finish::Pause, "end_turn"),
    ] {
        let choice = Choice { finish: Some(finish), ..Choice::default() };
        let (body, _) = write_reply(&Reply { choices: vec![choice], ..Reply::default() });
        assert_eq!(body["stopReason"], reason);
    }
}

#[test]
fn what_is_asked_for_beside_the_answer_is_named_or_read() {
    let (reply, names) = read_reply(&json!({
        "output": {"message": {"role": "assistant", "content": [{"text": "a"},
            {"toolUse": {"toolUseId": "s", "name": "web", "input": {}, "type": "server_tool_use"}}]}},
        "stopReason": "stop_sequence", "additionalModelResponseFields": {"stop_sequence": "X", "x": 1},
        "trace": {"guardrail": {"actionReason": "r"}}, "performanceConfig": {"latency": "standard"}, "usage": {}
    }))
    .unwrap();
    assert_eq!((reply.choices[0].stop_sequence.as_deref(), reply.usage), (Some("X"), None));
    assert_eq!(names, ["output.message.content[].toolUse", "additionalModelResponseFields.x", "trace"]);
}

#[test]
fn what_is_no_answer_is_unreadable() {
    for body in [
        json!({}),
        json!([]),
        json!({"output": {}}),
        json!({"output": {"message": {"content": "text"}}}),
        json!({"output": {"message": {"content": [{"toolUse": {"toolUseId": "t"}}]}}}),
        json!({"choices": [{"message": {"content": "Hi"}}]}),
    ] {
        assert!(read_reply(&body).is_err(), "{body}");
    }
}

#[test]
fn what_converse_cannot_say_of_another_answer_is_named() {
    let foreign = |data: &'static str| Signature { maker: Format::Gemini, data: data.into() };
    let mut sealed = ToolCall { name: "f".into(), arguments: "not JSON".into(), ..ToolCall::default() };
    sealed.signature = Some(foreign("c"));
    let parts = vec![
        Part::new(Content::Reasoning { text: "t".into(), signature: Some(foreign("a")) }),
        Part::new(Content::Redacted(foreign("b"))),
        Part::new(Content::Refusal("no".into())),
        Part::new(Content::ToolCall(sealed)),
        Part::new(Content::Media(media(MediaKind::Image, "image/png", Source::Url("https://x".into())))),
    ];
    let choice = Choice { parts, logprobs: Some("{}".into()), ..Choice::default() };
    let reply = Reply {
        choices: vec![choice, Choice::default()],
        usage: Some(Usage { input: 1, audio_in: 2, output: 3, image_out: 4, reasoning: 3, ..Usage::default() }),
        ..Reply::default()
    };
    let (body, names) = write_reply(&reply);
    assert_eq!(names, ["choices", "logprobs", "tool_calls[].signature", "images"]);
    let content = &body["output"]["message"]["content"];
    assert_eq!(content[0]["reasoningContent"]["reasoningText"]["signature"], "weir.gemini:a");
    assert_eq!(content[2], json!({"text": "no"}));
    let id = "tooluse_abc_0";
    assert_eq!(content[3], json!({"toolUse": {"toolUseId": id, "name": "f", "input": {"_raw": "not JSON"}}}));
    assert_eq!(body["usage"], json!({"inputTokens": 3, "outputTokens": 7, "totalTokens": 10}));
    // A seal of another maker comes back as it was.
    let back = read_reply(&body).unwrap().0;
    assert_eq!(back.choices[0].parts[..2], reply.choices[0].parts[..2]);
}
