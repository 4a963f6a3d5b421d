//! What is written of a chat, and what is said to be lost.

use serde_json::{Value as Json, json};

use super::super::Ollama;
use crate::llm::chat::{AudioOut, Effort, OutputFormat, Reasoning, Role, Sampling, Tell, Tool, ToolChoice};
use crate::llm::part::{CacheMark, Media, MediaKind, Source, ToolCall, ToolResult};
use crate::llm::{Chat, Content, Dropped, Format, Part, Refusal, Signature};
use crate::wire::codec::{Codec, Envelope, Outgoing};

/// The body and the names of what was dropped, in order.
fn write(chat: &Chat<'_>, model: &str) -> Result<(Json, String), Refusal> {
    let to = Outgoing { model, envelope: Envelope::Plain, quirks: &[], ask_usage: true, default_max_output: 9 };
    let (mut out, mut dropped) = (Vec::new(), Dropped::default());
    Ollama.write_chat(chat, &to, &mut out, &mut dropped)?;
    Ok((serde_json::from_slice(&out).unwrap(), dropped.to_string()))
}

fn asking() -> Chat<'static> {
    let mut chat = Chat::default();
    chat.say(Role::User, [Part::text("hi")]);
    chat
}

/// The members beside the model, the one message and that no stream is wanted.
fn check_of(model: &str, chat: &Chat<'_>, more: Json, dropped: &str) {
    let mut expected = json!({"model": model, "messages": [{"role": "user", "content": "hi"}], "stream": false});
    expected.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    assert_eq!(write(chat, model).unwrap(), (expected, dropped.to_owned()), "{chat:?}");
}

fn check(chat: &Chat<'_>, more: Json, dropped: &str) {
    check_of("llama3", chat, more, dropped);
}

fn check_messages(turns: Vec<(Role, Vec<Part<'static>>)>, messages: Json, dropped: &str) {
    let mut chat = Chat::default();
    turns.into_iter().for_each(|(role, parts)| chat.say(role, parts));
    let (body, lost) = write(&chat, "m").unwrap();
    assert_eq!((&body["messages"], lost.as_str()), (&messages, dropped));
}

fn media(kind: MediaKind, source: Source<'static>) -> Part<'static> {
    Part::new(Content::Media(Media { kind, mime: None, source, name: None, detail: Some("auto".into()) }))
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
                    media(MediaKind::File, Source::Text("a document".into())),
                ],
            ),
            (Role::Assistant, vec![thought("hm", None), Part::text("se"), Part::text("en")]),
        ],
        json!([
            {"role": "system", "content": "be\n\nkind"},
            {"role": "system", "content": "short"},
            {"role": "user", "content": "look\n\na document", "images": ["QUJD"]},
            {"role": "assistant", "content": "seen", "thinking": "hm"},
        ]),
        "",
    );
}

#[test]
fn results_are_found_by_the_name_of_their_call() {
    let image = media(MediaKind::Image, Source::Base64("QUJD".into()));
    let named = ToolResult { id: "".into(), name: Some("h".into()), parts: vec![Part::text("3")], is_error: false };
    check_messages(
        vec![
            (Role::User, vec![Part::text("weather?")]),
            (Role::Assistant, vec![call("a", "f", "{\"q\": 1.50}"), call("b", "g", "{bad"), call("", "h", "")]),
            (
                Role::User,
                vec![
                    Part::text("and?"),
                    result("a", vec![Part::text("12"), Part::text("13"), image], false),
                    result("b", vec![Part::text("none")], true),
                    Part::new(Content::ToolResult(named)),
                ],
            ),
        ],
        json!([
            {"role": "user", "content": "weather?"},
            {"role": "assistant", "content": "", "tool_calls": [
                {"id": "a", "function": {"name": "f", "arguments": {"q": 1.5}}},
                {"id": "b", "function": {"name": "g", "arguments": {"_raw": "{bad"}}},
                {"function": {"name": "h", "arguments": {}}},
            ]},
            {"role": "tool", "content": "12\n\n13", "tool_name": "f", "tool_call_id": "a"},
            {"role": "tool", "content": "Error: none", "tool_name": "g", "tool_call_id": "b"},
            {"role": "tool", "content": "3", "tool_name": "h"},
            {"role": "user", "content": "and?", "images": ["QUJD"]},
        ]),
        "",
    );
}

#[test]
fn what_cannot_be_said_in_messages_is_named() {
    let mut marked = Part::text("x");
    marked.cache = Some(CacheMark::Hour);
    check_messages(
        vec![
            (
                Role::User,
                vec![
                    marked,
                    media(MediaKind::Audio, Source::Base64("QUJD".into())),
                    media(MediaKind::Video, Source::Url("https://v".into())),
                    media(MediaKind::File, Source::Base64("QUJD".into())),
                    media(MediaKind::Image, Source::Url("https://i".into())),
                ],
            ),
            (Role::Assistant, vec![thought("sealed", Some(Format::Messages)), Part::text("y")]),
        ],
        json!([{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]),
        "cache_control, messages[].content[].input_audio, messages[].content[].video_url, messages[].content[].file, \
         messages[].content[].image_url, messages[].reasoning",
    );
    let mut chat = Chat::default();
    chat.say(Role::User, [media(MediaKind::Image, Source::Url("https://i".into()))]);
    assert_eq!(write(&chat, "m").unwrap_err().param.as_deref(), Some("messages"));
}

#[test]
fn tools_are_offered_or_not() {
    let tool = |name: &'static str, parameters: Option<&'static str>| Tool {
        name: name.into(),
        parameters: parameters.map(Into::into),
        ..Tool::default()
    };
    let row = |name: &str, parameters: Json| json!({"type": "function", "function": {"name": name, "parameters": parameters}});
    let (f, g) = (row("f", json!({"type": "object"})), row("g", json!({"type": "object", "properties": {}})));
    let among = |required| ToolChoice::Among { names: vec!["g".into()], required };
    for (choice, expected, dropped) in [
        (None, json!({"tools": [f, g]}), ""),
        (Some(ToolChoice::Auto), json!({"tools": [f, g]}), ""),
        (Some(ToolChoice::None), json!({}), ""),
        (Some(ToolChoice::Required), json!({"tools": [f, g]}), "tool_choice"),
        (Some(ToolChoice::Named("f".into())), json!({"tools": [f]}), "tool_choice"),
        (Some(among(true)), json!({"tools": [g]}), "tool_choice"),
        (Some(among(false)), json!({"tools": [g]}), ""),
    ] {
        let tools = vec![tool("f", Some(r#"{"type":"object"}"#)), tool("g", Some("true"))];
        check(&Chat { tools, tool_choice: choice, ..asking() }, expected, dropped);
    }
    let strict = Tool { strict: Some(true), ..tool("g", None) };
    check(&Chat { tools: vec![strict], ..asking() }, json!({"tools": [g]}), "tools[].function.strict");
}

#[test]
fn think_is_a_word_where_the_model_takes_words() {
    let reasoning = |effort, budget, enabled| Reasoning { effort, budget, enabled, ..Reasoning::default() };
    for (model, reasoning, expected, dropped) in [
        ("qwen3", Reasoning::default(), json!({}), ""),
        ("qwen3", reasoning(None, None, Some(false)), json!({"think": false}), ""),
        ("qwen3", reasoning(None, Some(0), None), json!({"think": false}), ""),
        ("qwen3", reasoning(None, None, Some(true)), json!({"think": true}), ""),
        ("qwen3", reasoning(Some(Effort::High), None, None), json!({"think": true}), "reasoning_effort"),
        ("qwen3", reasoning(None, Some(77), None), json!({"think": true}), "thinking.budget_tokens"),
        ("gpt-oss:20b", reasoning(Some(Effort::High), None, None), json!({"think": "high"}), ""),
        ("gpt-oss:20b", reasoning(Some(Effort::Minimal), None, None), json!({"think": "low"}), "reasoning_effort"),
        ("gpt-oss:20b", reasoning(None, Some(8192), None), json!({"think": "medium"}), "thinking.budget_tokens"),
        ("qwen3", Reasoning { tell: Some(Tell::Nothing), ..Reasoning::default() }, json!({}), "reasoning.summary"),
    ] {
        check_of(model, &Chat { reasoning: Some(reasoning), ..asking() }, expected, dropped);
    }
}

#[test]
fn the_answer_has_a_form() {
    let schema = |description: Option<&'static str>| OutputFormat::Schema {
        name: Some("n".into()),
        description: description.map(Into::into),
        schema: r#"{"type":"object"}"#.into(),
        strict: Some(true),
    };
    for (output, expected, dropped) in [
        (OutputFormat::Text, json!({}), ""),
        (OutputFormat::Json, json!({"format": "json"}), ""),
        (schema(None), json!({"format": {"type": "object"}}), ""),
        (schema(Some("d")), json!({"format": {"type": "object"}}), "response_format.json_schema.description"),
    ] {
        check(&Chat { output: Some(output), ..asking() }, expected, dropped);
    }
}

#[test]
fn the_rest_is_an_option_or_named() {
    let sampling = Sampling {
        temperature: Some("0.50"),
        top_p: Some("1"),
        top_k: Some("40.0"),
        min_p: Some("0.1"),
        seed: Some("-3"),
        presence_penalty: Some("-1"),
        frequency_penalty: Some("2"),
        logit_bias: Some(r#"{"1":2}"#),
    };
    let chat = Chat {
        sampling,
        max_output: Some(5),
        stop: vec!["a".into()],
        logprobs: Some(true),
        top_logprobs: Some(21),
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
    let options = json!({
        "temperature": 0.5, "top_p": 1, "top_k": 40, "min_p": 0.1, "seed": -3, "presence_penalty": -1,
        "frequency_penalty": 2, "num_predict": 5, "stop": ["a"],
    });
    check(
        &chat,
        json!({"options": options, "logprobs": true, "top_logprobs": 20}),
        "n, top_logprobs, logit_bias, metadata, user, service_tier, prompt_cache_key, store, verbosity, audio, \
         modalities",
    );
    let half = Sampling { top_k: Some("1.5"), seed: Some("1e3"), ..Sampling::default() };
    check(&Chat { sampling: half, ..asking() }, json!({}), "top_k, seed");
    check(&Chat { stream: true, ..asking() }, json!({"stream": true}), "");
    let mut named = asking();
    named.turns[0].name = Some("Ada".into());
    check(&named, json!({}), "messages[].name");
}
