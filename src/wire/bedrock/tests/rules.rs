//! What the API and its models refuse is not written; what is left out for it is named.

use super::*;
use crate::llm::chat::{Effort, OutputFormat, Reasoning, Sampling, Tool, ToolChoice};

const LLAMA: &str = "us.meta.llama3-3-70b-instruct-v1:0";
const NOVA: &str = "amazon.nova-pro-v1:0";

fn said() -> Chat<'static> {
    user(vec![Part::text("u")])
}

fn with_tools(choice: Option<ToolChoice<'static>>) -> Chat<'static> {
    let tool = |name: &'static str| Tool { name: name.into(), ..Tool::default() };
    Chat { tools: vec![tool("f"), tool("g")], tool_choice: choice, ..said() }
}

/// A call and its result, with an answer to be given.
fn with_history(mut chat: Chat<'static>) -> Chat<'static> {
    chat.say(Role::Assistant, [call("t", "f", "")]);
    chat.say(Role::User, [Part::new(Content::ToolResult(result("t", vec![])))]);
    chat
}

fn effort(effort: Effort) -> Option<Reasoning> {
    Some(Reasoning { effort: Some(effort), ..Reasoning::default() })
}

#[test]
fn the_user_begins_and_nobody_says_nothing() {
    let mut chat = Chat::default();
    chat.say(Role::Assistant, [Part::text(" \n"), Part::text("a")]);
    chat.say(Role::User, [Part::text("")]);
    chat.say(Role::Assistant, [Part::text("b \n")]);
    let (body, names) = written(&chat, CLAUDE);
    assert_eq!(
        body,
        json!({"messages": [
        {"role": "user", "content": [{"text": "."}]},
        {"role": "assistant", "content": [{"text": "a"}, {"text": "b"}]}]})
    );
    assert_eq!(names, ["messages[].role"]);
}

#[test]
fn instructions_stand_in_front_and_alone_are_the_users() {
    let mut chat = Chat::default();
    chat.say(Role::System, [Part::text("s")]);
    assert_eq!(
        written(&chat, LLAMA),
        (json!({"messages": [{"role": "user", "content": [{"text": "s"}]}]}), vec!["messages[].role".to_owned()])
    );
    chat.say(Role::User, [Part::text("u")]);
    assert_eq!(written(&chat, LLAMA).1, [""; 0]);
    chat.say(Role::Developer, [Part::text("d")]);
    let (body, names) = written(&chat, LLAMA);
    assert_eq!(body["system"], json!([{"text": "s"}, {"text": "d"}]));
    assert_eq!(names, ["messages[].role"]);
}

#[test]
fn results_come_first_and_calls_without_ids_find_theirs() {
    let mut chat = Chat::default();
    chat.say(Role::User, [Part::text("u")]);
    chat.say(Role::Assistant, [call("", "f", ""), call("", "g", "[1]"), call("a/b", "f", "{\"x\":")]);
    chat.say(
        Role::User,
        [
            Part::text("and"),
            Part::new(Content::ToolResult(ToolResult { name: Some("g".into()), ..result("", vec![Part::text("")]) })),
            Part::new(Content::ToolResult(ToolResult { name: Some("f".into()), ..result("", vec![]) })),
            Part::new(Content::ToolResult(result("a/b", vec![]))),
        ],
    );
    let (body, _) = written(&chat, CLAUDE);
    let made = names::id("a/b").into_owned();
    assert_eq!(
        body["messages"][1]["content"],
        json!([
        {"toolUse": {"toolUseId": "call_0", "name": "f", "input": {}}},
        {"toolUse": {"toolUseId": "call_1", "name": "g", "input": {"_raw": "[1]"}}},
        {"toolUse": {"toolUseId": made, "name": "f", "input": {"_raw": "{\"x\":"}}}])
    );
    assert_eq!(
        body["messages"][2]["content"],
        json!([
        {"toolResult": {"toolUseId": "call_1", "content": [{"text": ""}]}},
        {"toolResult": {"toolUseId": "call_0", "content": []}},
        {"toolResult": {"toolUseId": made, "content": []}},
        {"text": "and"}])
    );
}

#[test]
fn tools_stay_where_calls_were_made() {
    let nothing = json!({"type": "object", "properties": {}});
    let spec = |name: &str| json!({"toolSpec": {"name": name, "inputSchema": {"json": nothing}}});
    let both = json!({"tools": [spec("f"), spec("g")]});
    let rows = [
        ("no tools", said(), Json::Null, &[][..]),
        ("calls alone", with_history(said()), json!({"tools": [spec("f")]}), &[]),
        ("none may be called", with_tools(Some(ToolChoice::None)), Json::Null, &[]),
        (
            "none may be called any more",
            with_history(with_tools(Some(ToolChoice::None))),
            both.clone(),
            &["tool_choice"],
        ),
        ("as it likes", with_tools(None), both.clone(), &[]),
    ];
    for (name, chat, config, left_out) in rows {
        let (body, names) = written(&chat, CLAUDE);
        assert_eq!(
            (&body["toolConfig"], &names[..]),
            (&config, &left_out.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()[..]),
            "{name}"
        );
    }
}

#[test]
fn every_choice_of_tools_has_its_word() {
    let among = |required| ToolChoice::Among { names: vec!["g".into()], required };
    for (choice, model, tools, word) in [
        (ToolChoice::Auto, CLAUDE, 2, json!({"auto": {}})),
        (ToolChoice::Auto, LLAMA, 2, Json::Null),
        (ToolChoice::Required, CLAUDE, 2, json!({"any": {}})),
        (ToolChoice::Named("g".into()), NOVA, 2, json!({"tool": {"name": "g"}})),
        (among(false), CLAUDE, 1, json!({"auto": {}})),
        (among(true), CLAUDE, 1, json!({"any": {}})),
    ] {
        let (body, names) = written(&with_tools(Some(choice.clone())), model);
        let config = &body["toolConfig"];
        let expected = (tools, &word);
        assert_eq!((config["tools"].as_array().unwrap().len(), &config["toolChoice"]), expected, "{choice:?}");
        assert!(names.is_empty());
    }
    // The newest cannot be forced.
    let (body, names) = written(&with_tools(Some(ToolChoice::Required)), "anthropic.claude-opus-5-5-v1");
    assert_eq!((&body["toolConfig"]["toolChoice"], &names[..]), (&Json::Null, &["tool_choice".to_owned()][..]));
}

#[test]
fn one_call_at_a_time_is_said_where_there_is_a_word() {
    let chat = |choice| Chat { parallel_tools: Some(false), ..with_tools(choice) };
    let (body, names) = written(&chat(Some(ToolChoice::Auto)), CLAUDE);
    let own = json!({"tool_choice": {"type": "auto", "disable_parallel_tool_use": true}});
    assert_eq!((&body["additionalModelRequestFields"], names.len()), (&own, 0));
    // Said twice it is an error.
    assert_eq!(body["toolConfig"]["toolChoice"], Json::Null);
    for (choice, model) in [(Some(ToolChoice::Required), CLAUDE), (None, NOVA)] {
        assert_eq!(written(&chat(choice), model).1, ["parallel_tool_calls"]);
    }
}

#[test]
fn a_schema_that_is_held_to_is_closed() {
    let schema = r#"{"type":"object","properties":{"n":{"type":"integer","minimum":1}}}"#;
    let tool = Tool { name: "f".into(), parameters: Some(schema.into()), strict: Some(true), ..Tool::default() };
    let output = OutputFormat::Schema { name: None, description: None, schema: schema.into(), strict: Some(true) };
    let chat = Chat { tools: vec![tool], output: Some(output), ..said() };
    let closed = json!({"type": "object", "additionalProperties": false,
        "properties": {"n": {"type": "integer", "description": "{minimum: 1}"}}});
    let (body, lost) = written(&chat, "anthropic.claude-sonnet-4-5-20250929-v1:0");
    assert_eq!(body["toolConfig"]["tools"][0]["toolSpec"]["inputSchema"]["json"], closed);
    let told = body.pointer("/outputConfig/textFormat/structure/jsonSchema/schema").unwrap().as_str().unwrap();
    assert_eq!(serde_json::from_str::<Json>(told).unwrap(), closed);
    for place in ["tools[].function.parameters.minimum", "response_format.json_schema.schema.minimum"] {
        assert!(lost.iter().any(|lost| lost == place), "{lost:?}");
    }
    // Who is not held to it gets it as it is.
    let (body, _) = written(&chat, NOVA);
    let asked: Json = serde_json::from_str(schema).unwrap();
    assert_eq!(body["toolConfig"]["tools"][0]["toolSpec"]["inputSchema"]["json"], asked);
}

/// Everything that the API has no word for.
fn unsayable() -> Chat<'static> {
    Chat {
        sampling: Sampling {
            temperature: Some("1.5"),
            min_p: Some("0.1"),
            seed: Some("1"),
            presence_penalty: Some("1"),
            frequency_penalty: Some("1"),
            logit_bias: Some("{}"),
            top_k: Some("5"),
            ..Sampling::default()
        },
        logprobs: Some(true),
        top_logprobs: Some(2),
        choices: Some(2),
        user: Some("u".into()),
        cache_key: Some("k".into()),
        store: Some(true),
        verbosity: Some("low".into()),
        audio: Some(crate::llm::chat::AudioOut::default()),
        images: true,
        service_tier: Some("scale".into()),
        output: Some(OutputFormat::Json),
        metadata: vec![("k".into(), "é".into())],
        reasoning: effort(Effort::High),
        ..said()
    }
}

#[test]
fn what_has_no_word_is_named_in_openais_words() {
    let (body, mut names) = written(&unsayable(), LLAMA);
    names.sort();
    assert_eq!(
        names,
        [
            "audio",
            "frequency_penalty",
            "logit_bias",
            "logprobs",
            "metadata",
            "min_p",
            "modalities",
            "n",
            "presence_penalty",
            "prompt_cache_key",
            "reasoning_effort",
            "response_format",
            "seed",
            "service_tier",
            "store",
            "temperature",
            "top_k",
            "top_logprobs",
            "user",
            "verbosity",
        ]
    );
    assert_eq!(
        body,
        json!({"messages": [{"role": "user", "content": [{"text": "u"}]}], "inferenceConfig": {"temperature": 1}})
    );
    // What changes nothing is no loss.
    let chat = Chat {
        store: Some(false),
        choices: Some(1),
        parallel_tools: Some(true),
        logprobs: Some(false),
        service_tier: Some("auto".into()),
        output: Some(OutputFormat::Text),
        ..said()
    };
    assert_eq!(written(&chat, LLAMA), written(&said(), LLAMA));
}

#[test]
fn media_that_nobody_here_can_read_are_named() {
    let image = |source| Content::Media(media(MediaKind::Image, "image/png", source));
    let rows = [
        (image(Source::Url("https://x/y.png".into())), "messages[].content[].image_url"),
        (image(Source::FileId("file-1".into())), "messages[].content[].file.file_id"),
        (
            Content::Media(media(MediaKind::Image, "image/tiff", Source::Base64("aGk=".into()))),
            "messages[].content[].image_url",
        ),
        (
            Content::Media(media(MediaKind::Audio, "audio/wav", Source::Base64("aGk=".into()))),
            "messages[].content[].input_audio",
        ),
        (
            Content::Media(media(MediaKind::Video, "video/mp4", Source::Base64("aGk=".into()))),
            "messages[].content[].video_url",
        ),
        (
            Content::Media(media(MediaKind::File, "application/zip", Source::Base64("aGk=".into()))),
            "messages[].content[].file",
        ),
        (Content::Reasoning { text: "t".into(), signature: None }, "messages[].reasoning_content"),
    ];
    for (content, name) in rows {
        let (body, names) = written(&user(vec![Part::text("u"), Part::new(content)]), CLAUDE);
        assert_eq!(body["messages"][0]["content"], json!([{"text": "u"}]), "{name}");
        assert_eq!(names, [name]);
    }
    let lost = Part::new(image(Source::Url("https://x".into())));
    assert!(Bedrock.write_chat(&user(vec![lost]), &to(CLAUDE), &mut Vec::new(), &mut Dropped::default()).is_err());
    // Another model hears.
    let sound = Part::new(Content::Media(media(MediaKind::Audio, "audio/wav", Source::Base64("aGk=".into()))));
    let (body, names) = written(&user(vec![sound]), "mistral.voxtral-small-24b-2507");
    assert_eq!(body["messages"][0]["content"][0], json!({"audio": {"format": "wav", "source": {"bytes": "aGk="}}}));
    assert!(names.is_empty());
}

#[test]
fn documents_have_names_of_their_own_and_a_text_beside_them() {
    let document = || {
        let mut plain = media(MediaKind::File, "text/plain", Source::Text("hi".into()));
        plain.name = Some("a_b.txt".into());
        Part::new(Content::Media(plain))
    };
    let (body, names) = written(&user(vec![document(), document()]), LLAMA);
    let source = json!({"bytes": "aGk="});
    assert_eq!(
        body["messages"][0]["content"],
        json!([
        {"document": {"format": "txt", "name": "a-b", "source": source}},
        {"document": {"format": "txt", "name": "a-b 2", "source": source}},
        {"text": "."}])
    );
    assert!(names.is_empty());
}

#[test]
fn thoughts_go_to_their_maker_only() {
    let thought = |signature| Part::new(Content::Reasoning { text: "t".into(), signature });
    let foreign = Signature { maker: Format::Gemini, data: "x".into() };
    let mut chat = said();
    chat.say(
        Role::Assistant,
        [
            thought(Some(seal("own"))),
            thought(Some(foreign.clone())),
            Part::new(Content::Redacted(foreign)),
            thought(None),
            Part::text("a"),
        ],
    );
    chat.say(Role::User, [Part::text("u")]);
    let (body, names) = written(&chat, CLAUDE);
    assert_eq!(
        body["messages"][1]["content"],
        json!([
        {"reasoningContent": {"reasoningText": {"text": "t", "signature": "own"}}}, {"text": "a"}])
    );
    assert_eq!(names, ["messages[].reasoning_content"]);
}

#[test]
fn each_family_is_told_how_much_to_think() {
    let fields = |chat: Chat<'static>, model: &str| written(&chat, model).0["additionalModelRequestFields"].clone();
    let asked = |word| Chat { reasoning: effort(word), ..said() };
    let budget = |tokens: u64| json!({"thinking": {"type": "enabled", "budget_tokens": tokens}});
    assert_eq!(fields(asked(Effort::Low), CLAUDE), budget(1_024));
    let (body, _) = written(&asked(Effort::High), CLAUDE);
    // A bound is written so that there is room for an answer.
    assert_eq!(body["inferenceConfig"]["maxTokens"], json!(24_576 + 4_096));
    assert_eq!(fields(Chat { max_output: Some(4_000), ..asked(Effort::High) }, CLAUDE), budget(3_000));
    let adaptive = json!({"thinking": {"type": "adaptive"}});
    let (body, _) = written(&asked(Effort::XHigh), "anthropic.claude-opus-4-6-v1");
    assert_eq!((&body["additionalModelRequestFields"], &body["outputConfig"]), (&adaptive, &json!({"effort": "max"})));
    assert_eq!(fields(asked(Effort::XHigh), "openai.gpt-oss-120b-1:0"), json!({"reasoning_effort": "high"}));
    let nova = |word| json!({"reasoningConfig": {"type": "enabled", "maxReasoningEffort": word}});
    assert_eq!(fields(asked(Effort::High), "amazon.nova-2-lite-v1:0"), nova("high"));
    assert_eq!(fields(Chat { max_output: Some(9), ..asked(Effort::High) }, "amazon.nova-2-lite-v1:0"), nova("medium"));
    let off = Chat { reasoning: Some(Reasoning { enabled: Some(false), ..Reasoning::default() }), ..said() };
    assert_eq!(fields(off.clone(), CLAUDE), json!({"thinking": {"type": "disabled"}}));
    assert_eq!(fields(off, LLAMA), Json::Null);
}

#[test]
fn what_excludes_thinking_comes_first() {
    let asked = |chat: Chat<'static>| Chat { reasoning: effort(Effort::Medium), ..chat };
    let rows = [
        ("forced", asked(with_tools(Some(ToolChoice::Required))), CLAUDE),
        ("a call without its thought", asked(with_history(with_tools(None))), CLAUDE),
        ("no room", Chat { max_output: Some(1_024), ..asked(said()) }, CLAUDE),
        ("old", asked(said()), "anthropic.claude-3-5-sonnet-20241022-v2:0"),
        ("unknown", asked(said()), "arn:aws:bedrock:us-east-1:1:application-inference-profile/x"),
    ];
    for (name, chat, model) in rows {
        let (body, names) = written(&chat, model);
        assert_eq!(
            (&body["additionalModelRequestFields"], &names[..]),
            (&Json::Null, &["reasoning_effort".to_owned()][..]),
            "{name}"
        );
    }
    // Where it thinks, no other number may be said.
    let sampling = Sampling { temperature: Some("0.2"), top_p: Some("0.5"), top_k: Some("9"), ..Sampling::default() };
    let (body, mut names) = written(&Chat { sampling: sampling.clone(), ..asked(said()) }, CLAUDE);
    names.sort();
    assert_eq!(names, ["temperature", "top_k", "top_p"]);
    assert!(body["inferenceConfig"].get("temperature").is_none());
    // Either of two, and for the newest none.
    assert_eq!(written(&Chat { sampling: sampling.clone(), ..said() }, CLAUDE).1, ["top_p"]);
    assert_eq!(written(&Chat { sampling, ..said() }, "anthropic.claude-opus-4-7").1, ["temperature", "top_p", "top_k"]);
}

#[test]
fn cache_points_are_as_many_as_are_taken() {
    let parts = |count| (0..count).map(|_| marked(Part::text("u"), CacheMark::Default)).collect();
    let points = |body: &Json| body.to_string().matches("cachePoint").count();
    let (body, names) = written(&user(parts(6)), CLAUDE);
    assert_eq!((points(&body), &names[..]), (4, &["cache_control".to_owned()][..]));
    assert_eq!(
        body["messages"][0]["content"].as_array().unwrap().last().unwrap(),
        &json!({"cachePoint": {"type": "default"}})
    );
    let (body, names) = written(&user(parts(1)), LLAMA);
    assert_eq!((points(&body), &names[..]), (0, &["cache_control".to_owned()][..]));
}
