//! What Weir writes to Cohere and to Ollama, held against what their APIs take; and what they answer, read.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::Value;

use super::{Mock, Pairs, mock, post};
use crate::llm::chat::{Effort, OutputFormat, Reasoning, Role, Sampling, Tool, ToolChoice};
use crate::llm::part::{Media, MediaKind, Source, ToolCall, ToolResult};
use crate::llm::{Chat, Content, Dropped, Fold, Format, Part, Reply};
use crate::mock::dialect::{takes_cohere, takes_ollama};
use crate::wire::codec::{Envelope, Outgoing, codec};
use crate::wire::{lines, sse};

fn written(format: Format, chat: &Chat<'_>) -> Option<Value> {
    let to = Outgoing {
        model: &chat.model,
        envelope: Envelope::Plain,
        quirks: &[],
        ask_usage: true,
        default_max_output: 4096,
    };
    let (mut out, mut dropped) = (Vec::new(), Dropped::default());
    codec(format).write_chat(chat, &to, &mut out, &mut dropped).ok()?;
    Some(serde_json::from_slice(&out).unwrap())
}

fn part() -> impl Strategy<Value = Part<'static>> {
    let kind = prop::sample::select(vec![MediaKind::Image, MediaKind::Audio, MediaKind::Video, MediaKind::File]);
    let source = prop::sample::select(vec![
        Source::Base64("QUJD".into()),
        Source::Url("https://x/y.png".into()),
        Source::Url("s3://b/k".into()),
        Source::FileId("f".into()),
        Source::Text("t".into()),
    ]);
    let detail = prop::sample::select(vec![None, Some("low".into()), Some("original".into())]);
    let media = (kind, source, detail).prop_map(|(kind, source, detail)| {
        Part::new(Content::Media(Media { kind, mime: None, source, name: None, detail }))
    });
    prop_oneof!["[a-z]{0,4}".prop_map(Part::text), media, Just(Part::new(Content::Refusal("no".into())))]
}

fn parts() -> impl Strategy<Value = Vec<Part<'static>>> {
    prop::collection::vec(part(), 0..4)
}

/// The user, and whatever else is said before the user speaks again; every call has its result.
fn turns() -> impl Strategy<Value = Vec<(Role, Vec<Part<'static>>)>> {
    let call =
        (any::<bool>(), prop::sample::select(vec!["", "{}", "{\"a\":1}", "[1]", "{bad"]), parts(), any::<bool>());
    let calls = prop::collection::vec(call, 0..3);
    let thoughts = prop::collection::vec("[a-z]{0,3}", 0..2);
    (parts(), parts(), thoughts, calls, any::<bool>()).prop_map(|(asked, said, thoughts, calls, is_system)| {
        let mut answer: Vec<Part<'static>> = thoughts
            .into_iter()
            .map(|text| Part::new(Content::Reasoning { text: text.into(), signature: None }))
            .collect();
        answer.extend(said);
        let mut results = Vec::new();
        for (at, (has_id, arguments, parts, is_error)) in calls.into_iter().enumerate() {
            let id = if has_id { format!("id{at}") } else { String::new() };
            let call =
                ToolCall { id: id.clone().into(), name: "f".into(), arguments: arguments.into(), signature: None };
            answer.push(Part::new(Content::ToolCall(call)));
            results.push(Part::new(Content::ToolResult(ToolResult { id: id.into(), name: None, parts, is_error })));
        }
        let first = if is_system { Role::System } else { Role::User };
        vec![(first, asked), (Role::Assistant, answer), (Role::User, results)]
    })
}

fn sampling() -> impl Strategy<Value = Sampling<'static>> {
    let number = || prop::sample::select(vec![None, Some("-2"), Some("0"), Some("0.5"), Some("1.0"), Some("1000")]);
    (number(), number(), number(), number(), number(), number()).prop_map(|(a, b, c, d, e, f)| Sampling {
        // No API takes a negative one.
        temperature: a.filter(|number| !number.starts_with('-')),
        top_p: b,
        top_k: c,
        min_p: d,
        seed: e,
        presence_penalty: f,
        frequency_penalty: f,
        logit_bias: None,
    })
}

fn choice() -> impl Strategy<Value = Option<ToolChoice<'static>>> {
    let among = |required| ToolChoice::Among { names: vec!["g".into(), "x".into()], required };
    prop::sample::select(vec![
        None,
        Some(ToolChoice::Auto),
        Some(ToolChoice::None),
        Some(ToolChoice::Required),
        Some(ToolChoice::Named("f".into())),
        Some(ToolChoice::Named("x".into())),
        Some(among(true)),
        Some(among(false)),
    ])
}

fn chat() -> impl Strategy<Value = Chat<'static>> {
    let tool = |name: &'static str, parameters: Option<&'static str>, strict| Tool {
        name: name.into(),
        parameters: parameters.map(Into::into),
        strict,
        ..Tool::default()
    };
    let tools = [
        tool("f", Some(r#"{"type":"object","required":["a"]}"#), Some(true)),
        tool("g", None, Some(false)),
        tool("h", Some("true"), None),
    ];
    let schema = |schema: &'static str| OutputFormat::Schema {
        name: Some("n".into()),
        description: Some("d".into()),
        schema: schema.into(),
        strict: Some(true),
    };
    let output = prop::sample::select(vec![
        None,
        Some(OutputFormat::Text),
        Some(OutputFormat::Json),
        Some(schema("{}")),
        Some(schema("true")),
    ]);
    let reasoning = prop::option::of((prop::option::of(any::<bool>()), 0..6_usize, prop::option::of(0..3_u64)));
    let many = (0..=3_usize, choice(), output, reasoning, sampling(), 0..7_usize, any::<bool>(), any::<bool>());
    (prop::collection::vec(turns(), 1..3), many).prop_map(move |(turns, many)| {
        let (count, tool_choice, output, reasoning, sampling, stops, stream, is_oss) = many;
        let mut chat = Chat {
            model: if is_oss { "gpt-oss".into() } else { "m".into() },
            stream,
            tools: tools[..count].to_vec(),
            tool_choice,
            output,
            reasoning: reasoning.map(|(enabled, effort, budget)| Reasoning {
                enabled,
                effort: Effort::ALL.get(effort).copied(),
                budget,
                ..Reasoning::default()
            }),
            sampling,
            stop: vec!["s".into(); stops],
            max_output: Some(9),
            logprobs: Some(true),
            top_logprobs: Some(30),
            ..Chat::default()
        };
        turns.into_iter().flatten().for_each(|(role, parts)| chat.say(role, parts));
        chat
    })
}

proptest! {
    #[test]
    fn whatever_is_written_is_taken(chat in chat()) {
        if let Some(body) = written(Format::Cohere, &chat) {
            prop_assert_eq!(takes_cohere(&body), Ok(()), "{}", body);
        }
        if let Some(body) = written(Format::Ollama, &chat) {
            prop_assert_eq!(takes_ollama(&body), Ok(()), "{}", body);
        }
    }
}

/// The answer to a chat, whole or folded from its stream.
async fn answer(mock: &Mock, format: Format, chat: &Chat<'_>, headers: Pairs<'_>) -> (Reply, String) {
    let path = if format == Format::Cohere { "/v2/chat" } else { "/api/chat" };
    let got = post(mock, path, headers, written(format, chat).unwrap()).await;
    assert_eq!(got.status, 200, "{}", got.text());
    let mut dropped = Dropped::default();
    if !chat.stream {
        let body = got.bytes();
        let tree = crate::base::json::Tree::read(&body).unwrap();
        let reply = codec(format).read_reply(&tree, &mut dropped).unwrap();
        return (reply, dropped.to_string());
    }
    let (mut events, mut deltas, body) = (Vec::new(), Vec::new(), Bytes::from(got.bytes()));
    match format {
        Format::Cohere => sse::Parser::new(1 << 20).push(body, &mut events).unwrap(),
        _ => lines::Parser::new(1 << 20).push(body, &mut events).unwrap(),
    }
    let mut reader = codec(format).stream_reader();
    events.iter().for_each(|event| reader.read(event, &mut deltas, &mut dropped).unwrap());
    let mut fold = Fold::default();
    deltas.iter().for_each(|delta| fold.push(delta));
    (fold.complete().unwrap(), dropped.to_string())
}

#[tokio::test]
async fn an_answer_says_the_same_whole_and_streamed() {
    let mock = mock().await;
    for format in [Format::Cohere, Format::Ollama] {
        for headers in [
            &[("x-mock-tokens", "3")][..],
            &[("x-mock-tokens", "3"), ("x-mock-reasoning", "2")],
            &[("x-mock-tokens", "3"), ("x-mock-citations", "1")],
            &[("x-mock-tokens", "2"), ("x-mock-tools", "2"), ("x-mock-reasoning", "1")],
        ] {
            let headers = [headers, &[("x-mock-id", "one")]].concat();
            let tool = Tool { name: "look".into(), ..Tool::default() };
            let mut chat = Chat { model: "m".into(), tools: vec![tool], ..Chat::default() };
            chat.say(Role::User, [Part::text("eight by")]);
            let whole = answer(&mock, format, &chat, &headers).await;
            chat.stream = true;
            let streamed = answer(&mock, format, &chat, &headers).await;
            assert_eq!(whole, streamed, "{format} {headers:?}");
            assert_eq!(whole.1, "", "{format} {headers:?}");
            assert!(
                whole.0.usage.is_some() && whole.0.choices[0].finish.is_some() && !whole.0.choices[0].parts.is_empty()
            );
        }
    }
}
