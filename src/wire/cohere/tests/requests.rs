//! What is written of a chat, and what is said to be lost.

use serde_json::{Value as Json, json};

use super::super::Cohere;
use crate::llm::chat::{AudioOut, Effort, OutputFormat, Reasoning, Role, Sampling, Tell, Tool, ToolChoice};
use crate::llm::part::{CacheMark, Citation, Media, MediaKind, Source, ToolCall, ToolResult};
use crate::llm::{Chat, Content, Dropped, Format, Part, Refusal, Signature};
use crate::wire::codec::{Codec, Envelope, Outgoing};

const TO: Outgoing<'static> =
    Outgoing { model: "command", envelope: Envelope::Plain, quirks: &[], ask_usage: true, default_max_output: 9 };

/// The body and the names of what was dropped, in order.
fn write(chat: &Chat<'_>) -> Result<(Json, String), Refusal> {
    let (mut out, mut dropped) = (Vec::new(), Dropped::default());
    Cohere.write_chat(chat, &TO, &mut out, &mut dropped)?;
    Ok((serde_json::from_slice(&out).unwrap(), dropped.to_string()))
}

fn asking() -> Chat<'static> {
    let mut chat = Chat::default();
    chat.say(Role::User, [Part::text("hi")]);
    chat
}

/// The members beside the model and the one message.
fn check(chat: &Chat<'_>, mut more: Json, dropped: &str) {
    let (mut body, lost) = write(chat).unwrap();
    more["model"] = "command".into();
    more["messages"] = body["messages"].take();
    body["messages"] = more["messages"].clone();
    assert_eq!((body, lost.as_str()), (more, dropped), "{chat:?}");
}

fn check_messages(turns: Vec<(Role, Vec<Part<'static>>)>, messages: Json, dropped: &str) {
    let mut chat = Chat::default();
    turns.into_iter().for_each(|(role, parts)| chat.say(role, parts));
    let (body, lost) = write(&chat).unwrap();
    assert_eq!((&body["messages"], lost.as_str()), (&messages, dropped));
}

fn media(kind: MediaKind, source: Source<'static>) -> Part<'static> {
    let (name, detail) = (Some("n".into()), Some("low".into()));
    Part::new(Content::Media(Media { kind, mime: Some("image/jpeg".into()), source, name, detail }))
}

fn call(id: &'static str, name: &'static str, arguments: &'static str) -> Part<'static> {
    let call = ToolCall { id: id.into(), name: name.into(), arguments: arguments.into(), signature: None };
    Part::new(Content::ToolCall(call))
}

fn result(id: &'static str, parts: Vec<Part<'static>>, is_error: bool) -> Part<'static> {
    Part::new(Content::ToolResult(ToolResult { id: id.into(), name: None, parts, is_error }))
}

fn thought(text: &'static str, maker: Option<Format>) -> Part<'static> {
    let signature = maker.map(|maker| Signature { maker, data: "s".into() });
    Part::new(Content::Reasoning { text: text.into(), signature })
}

fn tool(name: &'static str, parameters: Option<&'static str>, strict: Option<bool>) -> Tool<'static> {
    Tool { name: name.into(), parameters: parameters.map(Into::into), strict, ..Tool::default() }
}

#[test]
fn every_side_says_what_it_can() {
    check_messages(
        vec![
            (Role::System, vec![Part::text("be"), Part::text("kind")]),
            (Role::Developer, vec![Part::text("short")]),
            (
                Role::User,
                vec![
                    Part::text("look"),
                    media(MediaKind::Image, Source::Base64("QUJD".into())),
                    media(MediaKind::Image, Source::Url("https://x/y.png".into())),
                    media(MediaKind::File, Source::Text("a document".into())),
                ],
            ),
            (Role::Assistant, vec![thought("hm", None), Part::text("seen")]),
            (Role::Assistant, vec![Part::new(Content::Refusal("no".into()))]),
        ],
        json!([
            {"role": "system", "content": [{"type": "text", "text": "be"}, {"type": "text", "text": "kind"}]},
            {"role": "system", "content": "short"},
            {"role": "user", "content": [
                {"type": "text", "text": "look"},
                {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,QUJD", "detail": "low"}},
                {"type": "image_url", "image_url": {"url": "https://x/y.png", "detail": "low"}},
                {"type": "text", "text": "a document"},
            ]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "seen"}, {"type": "text", "text": "no"},
            ]},
        ]),
        "messages[].content[].file.filename",
    );
}

#[test]
fn calls_have_a_plan_and_results_stand_behind_them() {
    let note = media(MediaKind::File, Source::Text("12 C".into()));
    let shown = media(MediaKind::Image, Source::Url("http://i".into()));
    check_messages(
        vec![
            (Role::User, vec![Part::text("weather?")]),
            (Role::Assistant, vec![thought("ask", None), call("a", "f", "{\"q\": 1.50}"), call("", "g", "{bad")]),
            (
                Role::User,
                vec![
                    Part::text("and?"),
                    result("a", vec![Part::text("12"), note, shown], false),
                    result("", vec![Part::text("none")], true),
                ],
            ),
        ],
        json!([
            {"role": "user", "content": "weather?"},
            {"role": "assistant", "tool_plan": "ask", "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{\"q\": 1.50}"}},
                {"id": "call_1", "type": "function", "function": {"name": "g", "arguments": "{\"_raw\":\"{bad\"}"}},
            ]},
            {"role": "tool", "tool_call_id": "a", "content": [
                {"type": "text", "text": "12"},
                {"type": "document", "document": {"data": {"title": "n", "text": "12 C"}}},
            ]},
            {"role": "tool", "tool_call_id": "call_1", "content": "Error: none"},
            {"role": "user", "content": [
                {"type": "image_url", "image_url": {"url": "http://i", "detail": "low"}}, {"type": "text", "text": "and?"},
            ]},
        ]),
        "",
    );
}

#[test]
fn what_cannot_be_said_in_messages_is_named() {
    let mut marked = Part::text("x");
    marked.cache = Some(CacheMark::Default);
    check_messages(
        vec![
            (
                Role::User,
                vec![
                    marked,
                    media(MediaKind::Audio, Source::Base64("QUJD".into())),
                    media(MediaKind::Video, Source::Url("https://v".into())),
                    media(MediaKind::File, Source::Base64("QUJD".into())),
                    media(MediaKind::Image, Source::FileId("f".into())),
                    media(MediaKind::Image, Source::Url("gs://b/i".into())),
                ],
            ),
            (Role::Assistant, vec![thought("sealed", Some(Format::Messages)), Part::text("y")]),
        ],
        json!([{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]),
        "cache_control, messages[].content[].input_audio, messages[].content[].video_url, messages[].content[].file, \
         messages[].content[].image_url, messages[].reasoning",
    );
    let mut chat = Chat::default();
    chat.say(Role::User, [media(MediaKind::Audio, Source::Base64("QUJD".into()))]);
    assert_eq!(write(&chat).unwrap_err().param.as_deref(), Some("messages"));
}

#[test]
fn citations_go_back_to_their_blocks() {
    let cite = |start, end| Citation {
        url: Some("https://w".into()),
        title: Some("W".into()),
        start: Some(start),
        end: Some(end),
        ..Citation::default()
    };
    let said = |text: &'static str, citations| Part::new(Content::Text { text: text.into(), citations });
    let chat = |second| {
        vec![
            (Role::User, vec![Part::text("q")]),
            (Role::Assistant, vec![said("größe", vec![cite(0, 3)]), said("zwei", vec![second])]),
        ]
    };
    let written = |content_index: u64, start: u64, end: u64, text: &str| {
        let document = json!({"title": "W", "url": "https://w"});
        json!({"start": start, "end": end, "text": text, "sources": [{"type": "document", "document": document}],
               "content_index": content_index, "type": "TEXT_CONTENT"})
    };
    let messages = |citations: Json| {
        let content = json!([{"type": "text", "text": "größe"}, {"type": "text", "text": "zwei"}]);
        json!([{"role": "user", "content": "q"}, {"role": "assistant", "content": content, "citations": citations}])
    };
    check_messages(chat(cite(6, 9)), messages(json!([written(0, 0, 3, "grö"), written(1, 1, 4, "wei")])), "");
    // Outside of its text, and nowhere.
    for lost in [cite(6, 10), cite(1, 2), Citation { quote: Some("w".into()), ..Citation::default() }] {
        check_messages(chat(lost), messages(json!([written(0, 0, 3, "grö")])), "messages[].annotations");
    }
}

#[test]
fn tools_and_whether_one_must_be_called() {
    const SCHEMA: &str = r#"{"type":"object","properties":{"q":{"type":"string"}},"required":["q"]}"#;
    let row = |name: &str, parameters: &str| {
        let parameters: Json = serde_json::from_str(parameters).unwrap();
        json!({"type": "function", "function": {"name": name, "parameters": parameters}})
    };
    let (f, g) = (row("f", SCHEMA), row("g", r#"{"type":"object","properties":{}}"#));
    let among = |required| ToolChoice::Among { names: vec!["g".into(), "x".into()], required };
    for (choice, expected) in [
        (None, json!({"tools": [f, g]})),
        (Some(ToolChoice::Auto), json!({"tools": [f, g]})),
        (Some(ToolChoice::None), json!({"tools": [f, g], "tool_choice": "NONE"})),
        (Some(ToolChoice::Required), json!({"tools": [f, g], "tool_choice": "REQUIRED"})),
        (Some(ToolChoice::Named("f".into())), json!({"tools": [f], "tool_choice": "REQUIRED"})),
        (Some(among(true)), json!({"tools": [g], "tool_choice": "REQUIRED"})),
        (Some(among(false)), json!({"tools": [g]})),
    ] {
        let tools = vec![tool("f", Some(SCHEMA), None), tool("g", None, None)];
        check(&Chat { tools, tool_choice: choice, ..asking() }, expected, "");
    }
    let tools = || vec![tool("f", Some(SCHEMA), Some(true))];
    let unknown = Chat { tools: tools(), tool_choice: Some(ToolChoice::Named("x".into())), ..asking() };
    assert_eq!(write(&unknown).unwrap_err().param.as_deref(), Some("tool_choice"));
    check(&Chat { tool_choice: Some(ToolChoice::Required), ..asking() }, json!({}), "tool_choice");
    check(&Chat { tools: tools(), ..asking() }, json!({"tools": [f], "strict_tools": true}), "");
    // A flag of one, and no parameter that is required.
    for other in [tool("g", None, None), tool("g", None, Some(true)), tool("g", Some("true"), Some(false))] {
        let both = Chat { tools: [tools(), vec![other]].concat(), ..asking() };
        check(&both, json!({"tools": [f, g]}), "tools[].function.strict");
    }
}

#[test]
fn json_is_asked_for_where_no_function_may_be_called() {
    let schema = || OutputFormat::Schema {
        name: Some("n".into()),
        description: None,
        schema: r#"{"type":"object"}"#.into(),
        strict: Some(true),
    };
    let format = json!({"response_format": {"type": "json_object", "json_schema": {"type": "object"}}});
    check(&Chat { output: Some(schema()), ..asking() }, format.clone(), "");
    check(&Chat { output: Some(OutputFormat::Text), ..asking() }, json!({}), "");
    let plain = json!({"response_format": {"type": "json_object"}});
    check(&Chat { output: Some(OutputFormat::Json), ..asking() }, plain, "");
    let tools = || vec![tool("f", Some("{}"), None)];
    let with = Chat { output: Some(schema()), tools: tools(), tool_choice: Some(ToolChoice::None), ..asking() };
    check(&with, format, "");
    let with = Chat { output: Some(schema()), tools: tools(), ..asking() };
    let (body, lost) = write(&with).unwrap();
    assert_eq!((body.get("response_format"), lost.as_str()), (None, "response_format"));
}

#[test]
fn thinking_is_a_budget() {
    let reasoning = |effort, budget, enabled| Reasoning { effort, budget, enabled, ..Reasoning::default() };
    for (reasoning, expected, dropped) in [
        (Reasoning::default(), json!({}), ""),
        (reasoning(None, None, Some(false)), json!({"thinking": {"type": "disabled"}}), ""),
        (reasoning(None, Some(0), None), json!({"thinking": {"type": "disabled"}}), ""),
        (reasoning(None, None, Some(true)), json!({"thinking": {"type": "enabled"}}), ""),
        (reasoning(Some(Effort::Low), None, None), json!({"thinking": {"type": "enabled", "token_budget": 1024}}), ""),
        (reasoning(None, Some(77), None), json!({"thinking": {"type": "enabled", "token_budget": 77}}), ""),
        (Reasoning { tell: Some(Tell::Auto), ..Reasoning::default() }, json!({}), ""),
        (Reasoning { tell: Some(Tell::Concise), ..Reasoning::default() }, json!({}), "reasoning.summary"),
    ] {
        check(&Chat { reasoning: Some(reasoning), ..asking() }, expected, dropped);
    }
}

#[test]
fn numbers_keep_to_their_ranges() {
    type Set = fn(&mut Sampling<'static>, &'static str);
    let rows: &[(Set, &str, Json, &str)] = &[
        (|s, n| s.temperature = Some(n), "1.50", json!({"temperature": 1.5}), ""),
        (|s, n| s.temperature = Some(n), "-1", json!({}), "temperature"),
        (|s, n| s.top_p = Some(n), "0.9", json!({"p": 0.9}), ""),
        (|s, n| s.top_p = Some(n), "1", json!({"p": 0.99}), ""),
        (|s, n| s.top_p = Some(n), "0", json!({"p": 0.01}), ""),
        (|s, n| s.top_k = Some(n), "40.0", json!({"k": 40}), ""),
        (|s, n| s.top_k = Some(n), "501", json!({"k": 500}), "top_k"),
        (|s, n| s.top_k = Some(n), "-1", json!({}), "top_k"),
        (|s, n| s.seed = Some(n), "18446744073709551615", json!({"seed": u64::MAX}), ""),
        (|s, n| s.seed = Some(n), "-3", json!({}), "seed"),
        (|s, n| s.frequency_penalty = Some(n), "0.5", json!({"frequency_penalty": 0.5}), ""),
        (|s, n| s.frequency_penalty = Some(n), "2", json!({"frequency_penalty": 1}), "frequency_penalty"),
        (|s, n| s.presence_penalty = Some(n), "-0.1", json!({}), "presence_penalty"),
        (|s, n| s.min_p = Some(n), "0.1", json!({}), "min_p"),
        (|s, n| s.logit_bias = Some(n), r#"{"1":2}"#, json!({}), "logit_bias"),
    ];
    for (set, number, expected, dropped) in rows {
        let mut chat = asking();
        set(&mut chat.sampling, number);
        check(&chat, expected.clone(), dropped);
    }
}

#[test]
fn the_rest_is_written_or_named() {
    let chat = Chat {
        stream: true,
        max_output: Some(5),
        stop: ["a", "b", "c", "d", "e", "f"].into_iter().map(Into::into).collect(),
        logprobs: Some(true),
        top_logprobs: Some(2),
        choices: Some(2),
        metadata: vec![("k".into(), "v".into())],
        user: Some("u".into()),
        service_tier: Some("flex".into()),
        cache_key: Some("c".into()),
        store: Some(true),
        verbosity: Some("low".into()),
        audio: Some(AudioOut::default()),
        images: true,
        ..asking()
    };
    check(
        &chat,
        json!({"stream": true, "max_tokens": 5, "stop_sequences": ["a", "b", "c", "d", "e"], "logprobs": true}),
        "stop, n, top_logprobs, metadata, user, service_tier, prompt_cache_key, store, verbosity, audio, modalities",
    );
    // What asks for the usual asks for nothing.
    let usual = Chat {
        choices: Some(1),
        store: Some(false),
        service_tier: Some("auto".into()),
        parallel_tools: Some(false),
        ..asking()
    };
    check(&usual, json!({}), "");
    let tools = vec![tool("f", Some("{}"), None)];
    let (_, lost) = write(&Chat { parallel_tools: Some(false), tools, ..asking() }).unwrap();
    assert_eq!(lost, "parallel_tool_calls");
    let mut named = asking();
    named.turns[0].name = Some("Ada".into());
    check(&named, json!({}), "messages[].name");
}
