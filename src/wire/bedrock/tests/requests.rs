//! Requests read and written.

use super::*;
use crate::llm::Code;
use crate::llm::chat::{OutputFormat, Tool, ToolChoice};

/// A request with everything that both sides can say.
fn body() -> Json {
    json!({
        "system": [{"text": "Be brief."}, {"cachePoint": {"type": "default", "ttl": "1h"}}],
        "messages": [
            {"role": "user", "content": [
                {"text": "Look:"},
                {"image": {"format": "png", "source": {"bytes": "aGk="}}},
                {"document": {"format": "pdf", "name": "report", "source": {"s3Location": {"uri": "s3://b/r.pdf"}}}},
                {"cachePoint": {"type": "default"}}
            ]},
            {"role": "assistant", "content": [
                {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "c2ln"}}},
                {"reasoningContent": {"redactedContent": "c2VjcmV0"}},
                {"text": "I call."},
                {"toolUse": {"toolUseId": "t1", "name": "f", "input": {"a": [1, 2]}}},
                {"toolUse": {"toolUseId": "t2", "name": "g", "input": {}}}
            ]},
            {"role": "user", "content": [
                {"toolResult": {"toolUseId": "t1", "content": [{"text": "one"},
                    {"image": {"format": "jpeg", "source": {"bytes": "aGk="}}}]}},
                {"toolResult": {"toolUseId": "t2", "content": [{"text": "broken"}], "status": "error"}},
                {"text": "Well?"}
            ]}
        ],
        "inferenceConfig": {"maxTokens": 100, "temperature": 0.50, "stopSequences": ["X", "Y"]},
        "toolConfig": {
            "tools": [
                {"toolSpec": {"name": "f", "description": "F.", "inputSchema": {"json": {"type": "object", "additionalProperties": false}}, "strict": true}},
                {"cachePoint": {"type": "default"}},
                {"toolSpec": {"name": "g", "inputSchema": {"json": {"type": "object", "properties": {"x": {}}}}}}
            ],
            "toolChoice": {"auto": {}}
        },
        "additionalModelRequestFields": {"top_k": 40},
        "requestMetadata": {"team": "a b"},
        "serviceTier": {"type": "flex"},
        "outputConfig": {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": {
            "schema": "{\"type\":\"object\",\"additionalProperties\":false}", "name": "out", "description": "An answer."}}}}
    })
}

fn results() -> [Part<'static>; 2] {
    let mut broken = result("t2", vec![Part::text("broken")]);
    (broken.is_error, broken.name) = (true, Some("g".into()));
    let mut one = result(
        "t1",
        vec![
            Part::text("one"),
            Part::new(Content::Media(media(MediaKind::Image, "image/jpeg", Source::Base64("aGk=".into())))),
        ],
    );
    one.name = Some("f".into());
    [Part::new(Content::ToolResult(one)), Part::new(Content::ToolResult(broken))]
}

/// What was said in it.
fn talk() -> Chat<'static> {
    let mut document = media(MediaKind::File, "application/pdf", Source::Url("s3://b/r.pdf".into()));
    document.name = Some("report".into());
    let mut chat = Chat::default();
    chat.say(Role::System, [marked(Part::text("Be brief."), CacheMark::Hour)]);
    chat.say(
        Role::User,
        [
            Part::text("Look:"),
            Part::new(Content::Media(media(MediaKind::Image, "image/png", Source::Base64("aGk=".into())))),
            marked(Part::new(Content::Media(document)), CacheMark::Default),
        ],
    );
    chat.say(
        Role::Assistant,
        [
            Part::new(Content::Reasoning { text: "Hm.".into(), signature: Some(seal("c2ln")) }),
            Part::new(Content::Redacted(seal("c2VjcmV0"))),
            Part::text("I call."),
            call("t1", "f", r#"{"a":[1,2]}"#),
            call("t2", "g", "{}"),
        ],
    );
    chat.say(Role::User, results().into_iter().chain([Part::text("Well?")]));
    chat
}

/// What it says.
fn full() -> Chat<'static> {
    let mut chat = talk();
    chat.tools = vec![
        Tool {
            custom: None,
            name: "f".into(),
            description: Some("F.".into()),
            parameters: Some(r#"{"type":"object","additionalProperties":false}"#.into()),
            strict: Some(true),
            cache: Some(CacheMark::Default),
        },
        Tool {
            name: "g".into(),
            parameters: Some(r#"{"type":"object","properties":{"x":{}}}"#.into()),
            ..Tool::default()
        },
    ];
    chat.tool_choice = Some(ToolChoice::Auto);
    chat.max_output = Some(100);
    chat.sampling.temperature = Some("0.5");
    chat.sampling.top_k = Some("40");
    chat.stop = vec!["X".into(), "Y".into()];
    chat.metadata = vec![("team".into(), "a b".into())];
    chat.service_tier = Some("flex".into());
    chat.output = Some(OutputFormat::Schema {
        name: Some("out".into()),
        description: Some("An answer.".into()),
        schema: r#"{"type":"object","additionalProperties":false}"#.into(),
        strict: None,
    });
    chat
}

#[test]
fn a_whole_request_goes_both_ways() {
    let (body, chat) = (body(), full());
    assert_eq!(read(&body), (chat.clone(), vec![]));
    assert_eq!(written(&chat, CLAUDE), (body, vec![]));
}

#[test]
fn what_the_hub_cannot_say_is_named_by_its_path() {
    let (chat, names) = read(&json!({
        "messages": [{"role": "user", "content": [
            {"cachePoint": {"type": "default"}},
            {"text": "u"},
            {"document": {"format": "txt", "name": "d", "source": {"text": "plain"}, "citations": {"enabled": true}}},
            {"guardContent": {"text": {"text": "guarded", "qualifiers": ["query"]}}},
            {"searchResult": {"source": "https://s", "title": "T", "content": [{"text": "a"}, {"text": "b"}]}},
            {"toolAddition": {"tool": {"name": "x"}}}
        ], "extra": 1}],
        "guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1"},
        "promptVariables": {"v": {"text": "x"}},
        "additionalModelResponseFieldPaths": ["/stop_sequence"],
        "performanceConfig": {"latency": "optimized"},
        "additionalModelRequestFields": {"anthropic_beta": ["x"], "thinking": {"type": "enabled", "budget_tokens": 2048}},
        "inferenceConfig": {"topP": 0.9, "new": 1},
        "toolConfig": {"tools": [{"systemTool": {"name": "nova_grounding"}}]},
        "trace": {}
    }));
    assert_eq!(
        names,
        [
            "messages[].content[].cachePoint",
            "messages[].content[].citations",
            "messages[].content[].guardContent",
            "messages[].content[].searchResult.source",
            "messages[].content[].toolAddition",
            "messages[].extra",
            "guardrailConfig",
            "promptVariables",
            "additionalModelResponseFieldPaths",
            "performanceConfig",
            "additionalModelRequestFields.anthropic_beta",
            "inferenceConfig.new",
            "toolConfig.tools[].systemTool",
        ]
    );
    let texts: Vec<_> = chat.turns[0].parts.iter().filter_map(Part::as_text).collect();
    assert_eq!(texts, ["u", "guarded"]);
    let found = Media { name: Some("T".into()), ..media(MediaKind::File, "text/plain", Source::Text("ab".into())) };
    assert_eq!(chat.turns[0].parts[3].content, Content::Media(found));
    assert_eq!(chat.reasoning.map(|reasoning| (reasoning.enabled, reasoning.budget)), Some((Some(true), Some(2_048))));
}

#[test]
fn every_medium_is_read_with_its_type() {
    let (chat, names) = read(&json!({"messages": [{"role": "user", "content": [
        {"video": {"format": "three_gp", "source": {"s3Location": {"uri": "s3://b/v", "bucketOwner": "123456789012"}}}},
        {"audio": {"format": "mp3", "source": {"bytes": "aGk="}}},
        {"document": {"format": "docx", "name": "d", "source": {"bytes": "aGk="}}},
        {"document": {"name": "e", "source": {"content": [{"text": "x"}]}}},
        {"toolResult": {"toolUseId": "t", "content": [{"json": {"a": 1}}]}}
    ]}]}));
    let mimes = chat.turns[0].parts.iter().map(|part| match &part.content {
        Content::Media(media) => media.mime.as_deref().unwrap().to_owned(),
        Content::ToolResult(result) => result.parts[0].as_text().unwrap().to_owned(),
        other => panic!("{other:?}"),
    });
    let docx = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
    assert_eq!(mimes.collect::<Vec<_>>(), ["video/3gpp", "audio/mp3", docx, "text/plain", r#"{"a":1}"#]);
    assert_eq!(names, ["messages[].content[].source.s3Location.bucketOwner"]);
}

#[test]
fn the_models_own_fields_are_read() {
    let of = |fields: Json| {
        let (chat, names) = read(&json!({"messages": [{"role": "user", "content": [{"text": "u"}]}],
            "additionalModelRequestFields": fields}));
        assert!(names.is_empty(), "{names:?}");
        chat
    };
    assert_eq!(of(json!({"inferenceConfig": {"topK": 20}})).sampling.top_k, Some("20"));
    assert_eq!(of(json!({"k": 3})).sampling.top_k, Some("3"));
    let effort = |chat: Chat<'_>| chat.reasoning.unwrap().effort.unwrap().as_str();
    assert_eq!(effort(of(json!({"reasoning_effort": "low"}))), "low");
    assert_eq!(effort(of(json!({"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "high"}}))), "high");
    assert_eq!(effort(of(json!({"output_config": {"effort": "max"}}))), "max");
    assert!(of(json!({"thinking": {"type": "adaptive"}})).reasoning.unwrap().dynamic);
    assert!(of(json!({"thinking": {"type": "disabled"}})).reasoning.unwrap().is_off());
    let one = json!({"tool_choice": {"type": "auto", "disable_parallel_tool_use": true}});
    assert_eq!(of(one).parallel_tools, Some(false));
}

#[test]
fn what_is_no_request_is_refused() {
    for (body, param) in [
        (json!([]), None),
        (json!({}), Some("messages")),
        (json!({"messages": []}), Some("messages")),
        (json!({"messages": {}}), Some("messages")),
        (json!({"messages": [{"role": "tool", "content": []}]}), Some("messages")),
        (json!({"messages": [{"role": "user", "content": "text"}]}), Some("messages")),
        (json!({"messages": [{"role": "user", "content": ["text"]}]}), Some("messages")),
        (json!({"messages": [{"role": "user", "content": [{"text": 1}]}]}), Some("messages")),
        (json!({"messages": [{"role": "user", "content": [{"image": {"format": "png"}}]}]}), Some("messages")),
        (
            json!({"messages": [{"role": "user", "content": [{"toolResult": {"toolUseId": "t",
            "content": [{"toolResult": {}}]}}]}]}),
            Some("messages"),
        ),
        (json!({"messages": [], "inferenceConfig": {"maxTokens": "many"}}), Some("inferenceConfig.maxTokens")),
        (json!({"messages": [], "toolConfig": {"toolChoice": {"none": {}}}}), Some("toolConfig.toolChoice")),
        (json!({"messages": [], "outputConfig": {"textFormat": {}}}), Some("outputConfig.textFormat")),
    ] {
        let text = body.to_string();
        let refusal = Bedrock.read_chat(&Tree::read(text.as_bytes()).unwrap(), &mut Dropped::default()).unwrap_err();
        assert_eq!((refusal.code, refusal.param.as_deref()), (Code::UnsupportedValue, param), "{body}");
    }
}

#[test]
fn an_answer_is_gone_on_with_where_the_model_does_that() {
    let mut chat = user(vec![Part::text("u")]);
    chat.say(Role::Assistant, [Part::text("{")]);
    assert!(Bedrock.write_chat(&chat, &to(CLAUDE), &mut Vec::new(), &mut Dropped::default()).is_ok());
    let refused =
        Bedrock.write_chat(&chat, &to("anthropic.claude-opus-4-6-v1"), &mut Vec::new(), &mut Dropped::default());
    assert_eq!(refused.unwrap_err().param.as_deref(), Some("messages"));
}

#[test]
fn a_claudes_thought_moves_from_anthropic_to_bedrocks_claude_and_to_no_other_model() {
    let seal = |data: &'static str| Some(Signature { maker: Format::Messages, data: data.into() });
    let thought = |data| Part::new(Content::Reasoning { text: "t".into(), signature: seal(data) });
    for (model, data, is_written) in
        [(CLAUDE, "EqQBCg", true), (CLAUDE, "other", false), ("amazon.nova-pro-v1:0", "EqQBCg", false)]
    {
        let mut chat = Chat::default();
        chat.say(Role::User, [Part::text("a")]);
        chat.say(Role::Assistant, [thought(data), Part::text("a")]);
        chat.say(Role::User, [Part::text("u")]);
        let (body, names) = written(&chat, model);
        let first = &body["messages"][1]["content"][0];
        let expected = json!({"text": "t", "signature": data});
        assert_eq!(first["reasoningContent"]["reasoningText"] == expected, is_written, "{model}: {first}");
        assert_eq!(names.is_empty(), is_written, "{model}: {names:?}");
    }
}
