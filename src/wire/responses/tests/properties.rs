//! What is written reads as what it was, and nothing that comes makes a reader panic.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::legal::{accumulate, check_response};
use super::{
    events, fold, json, read_chat, read_chunks, read_reply, read_stream, write_chat, write_reply, write_stream,
};
use crate::base::json::Tree;
use crate::llm::chat::{Effort, OutputFormat, Reasoning, Role, Tell, Tool, ToolChoice, Turn};
use crate::llm::part::{Citation, Media, MediaKind, Source, ToolCall, ToolResult};
use crate::llm::reply::Choice;
use crate::llm::{Chat, Content, Dropped, Finish, Format, Part, Reply, Signature, Usage};
use crate::wire::codec::Codec;

fn word() -> impl Strategy<Value = String> {
    "[a-zA-Z\u{e9}\u{1f600}\"\\\\\n ]{1,8}"
}

fn id() -> impl Strategy<Value = String> {
    "[a-z]{1,8}"
}

fn base64() -> impl Strategy<Value = Source<'static>> {
    "[a-zA-Z0-9+/]{4}".prop_map(|data| Source::Base64(data.into()))
}

/// Seals of the API's own have their item's id in front.
fn seal(makers: &'static [Format]) -> impl Strategy<Value = Signature<'static>> {
    (prop::sample::select(makers), id()).prop_map(|(maker, data)| {
        let data = if maker == Format::Responses { format!("rs_{data}:g{data}") } else { data };
        Signature { maker, data: data.into() }
    })
}

fn text(citations: usize) -> impl Strategy<Value = Content<'static>> {
    let citation = (word(), word(), 0..9_u64, 9..99_u64).prop_map(|(url, title, start, end)| Citation {
        url: Some(url.into()),
        title: Some(title.into()),
        start: Some(start),
        end: Some(end),
        ..Citation::default()
    });
    (word(), vec(citation, 0..=citations)).prop_map(|(text, citations)| Content::Text { text: text.into(), citations })
}

fn thought(makers: &'static [Format], bare: bool) -> impl Strategy<Value = Content<'static>> {
    let signature = if bare { option::of(seal(makers)).boxed() } else { seal(makers).prop_map(Some).boxed() };
    prop_oneof![
        (word(), signature).prop_map(|(text, signature)| Content::Reasoning { text: text.into(), signature }),
        seal(makers).prop_map(Content::Redacted),
        seal(makers).prop_map(|seal| Content::Reasoning { text: "".into(), signature: Some(seal) }),
    ]
}

fn call(sealed: bool) -> impl Strategy<Value = Content<'static>> {
    let arguments = word().prop_map(|word| serde_json::json!({ "a": word }).to_string());
    let makers = &[Format::Gemini, Format::Chat];
    let signature = if sealed { option::of(seal(makers)).boxed() } else { Just(None).boxed() };
    (id(), id(), arguments, signature).prop_map(|(id, name, arguments, signature)| {
        Content::ToolCall(ToolCall { id: id.into(), name: name.into(), arguments: arguments.into(), signature })
    })
}

fn refusal() -> impl Strategy<Value = Content<'static>> {
    word().prop_map(|text| Content::Refusal(text.into()))
}

fn media(kind: MediaKind) -> impl Strategy<Value = Media<'static>> {
    let (mime, name) = match kind {
        MediaKind::Image => ("image/png", None),
        _ => ("application/pdf", Some("a.pdf".into())),
    };
    let make = move |source| {
        let mime = matches!(source, Source::Base64(_)).then(|| mime.into());
        let name = if matches!(source, Source::Base64(_)) { name.clone() } else { None };
        let detail = (kind == MediaKind::Image).then(|| "high".into());
        Media { kind, mime, source, name, detail }
    };
    let url = id().prop_map(|path| Source::Url(format!("https://{path}").into()));
    let file = id().prop_map(|id| Source::FileId(id.into()));
    prop_oneof![base64(), url, file].prop_map(make)
}

fn made() -> impl Strategy<Value = Content<'static>> {
    base64().prop_map(|source| {
        let mime = Some("image/webp".into());
        Content::Media(Media { kind: MediaKind::Image, mime, source, name: None, detail: None })
    })
}

fn parts(contents: Vec<Content<'static>>) -> Vec<Part<'static>> {
    contents.into_iter().map(Part::new).collect()
}

fn reply() -> impl Strategy<Value = Reply> {
    let content = prop_oneof![text(2), thought(&Format::ALL, true), call(true), refusal(), made()];
    let usage = (0..9_u64, 0..9_u64, 0..9_u64, 9..20_u64, 0..9_u64).prop_map(
        |(input, cache_read, written, output, reasoning)| Usage {
            input,
            cache_read,
            cache_write_5m: written,
            output,
            reasoning,
            ..Usage::default()
        },
    );
    (vec(content, 0..6), option::of(usage), 0..3, id()).prop_map(|(contents, usage, end, id)| {
        let parts = parts(contents);
        let finish = match end {
            0 => Finish::Length,
            1 => Finish::ContentFilter,
            _ if parts.iter().any(|part| matches!(part.content, Content::ToolCall(_))) => Finish::ToolCalls,
            _ => Finish::Stop,
        };
        let choice = Choice { parts, finish: Some(finish), ..Choice::default() };
        let (id, model) = (format!("resp_{id}"), "m".to_owned());
        Reply { id, model, created: 7, choices: vec![choice], usage, service_tier: None }
    })
}

fn user() -> impl Strategy<Value = Content<'static>> {
    let output = prop_oneof![text(0), media(MediaKind::Image).prop_map(Content::Media)];
    let result = (id(), vec(output, 1..3)).prop_map(|(id, contents)| {
        Content::ToolResult(ToolResult { id: id.into(), name: None, parts: parts(contents), is_error: false })
    });
    prop_oneof![
        text(0),
        media(MediaKind::Image).prop_map(Content::Media),
        media(MediaKind::File).prop_map(Content::Media),
        result,
    ]
}

fn turns() -> impl Strategy<Value = Vec<Turn<'static>>> {
    let own = &[Format::Responses];
    let assistant = prop_oneof![text(2), thought(own, false), call(false), refusal()];
    let front = vec((any::<bool>(), vec(text(0), 1..3)), 0..3);
    let talk = vec((vec(user(), 1..4), vec(assistant, 1..4)), 1..3);
    (front, talk).prop_map(|(front, talk)| {
        let turn = |role, contents| Turn { role, parts: parts(contents), name: None };
        let role = |is_system| if is_system { Role::System } else { Role::Developer };
        let front = front.into_iter().map(|(is_system, contents)| turn(role(is_system), contents));
        let talk = talk.into_iter().flat_map(|(user, own)| [turn(Role::User, user), turn(Role::Assistant, own)]);
        front.chain(talk).collect()
    })
}

fn chat() -> impl Strategy<Value = Chat<'static>> {
    let effort = option::of(prop::sample::select(&Effort::ALL[..]));
    let tell = option::of(prop::sample::select(&[Tell::Auto, Tell::Concise, Tell::Detailed][..]));
    let reasoning = (effort, tell).prop_map(|(effort, tell)| {
        let reasoning = Reasoning { effort, tell, ..Reasoning::default() };
        (reasoning != Reasoning::default()).then_some(reasoning)
    });
    let choice = prop_oneof![
        Just(ToolChoice::Auto),
        Just(ToolChoice::None),
        Just(ToolChoice::Required),
        Just(ToolChoice::Named("f".into())),
        any::<bool>().prop_map(|required| ToolChoice::Among { names: vec!["f".into(), "g".into()], required }),
    ];
    let output = prop_oneof![
        Just(OutputFormat::Text),
        Just(OutputFormat::Json),
        (option::of(word()), option::of(any::<bool>())).prop_map(|(description, strict)| OutputFormat::Schema {
            name: Some("n".into()),
            description: description.map(Into::into),
            schema: r#"{"a":[1.50]}"#.into(),
            strict,
        }),
    ];
    let flags = (any::<bool>(), option::of(any::<bool>()), option::of(16..99_u64), vec((id(), word()), 0..2));
    (turns(), reasoning, option::of(choice), option::of(output), flags).prop_map(
        |(turns, reasoning, tool_choice, output, (strict, parallel_tools, max_output, metadata))| Chat {
            turns,
            reasoning,
            tool_choice,
            output,
            parallel_tools,
            max_output,
            metadata: metadata.into_iter().take(1).map(|(key, value)| (key.into(), value.into())).collect(),
            tools: vec![Tool {
                custom: None,
                name: "f".into(),
                description: None,
                parameters: Some(r#"{"type":"object","properties":{},"additionalProperties":false}"#.into()),
                strict: Some(strict),
                cache: None,
            }],
            store: Some(strict),
            ..Chat::default()
        },
    )
}

/// Some bytes of a valid body changed, taken out or put in.
fn broken(body: Vec<u8>, edits: &[(usize, u8, u8)]) -> Vec<u8> {
    let mut body = body;
    for &(at, byte, what) in edits {
        let at = at % body.len().max(1);
        match what % 3 {
            0 => body[at] = byte,
            1 => body.insert(at, byte),
            _ => drop(body.remove(at)),
        }
    }
    body
}

fn edits() -> impl Strategy<Value = Vec<(usize, u8, u8)>> {
    vec((any::<usize>(), prop_oneof![any::<u8>(), prop::sample::select(&b"\"{}[],:0n"[..])], any::<u8>()), 1..4)
}

proptest! {
    #[test]
    fn a_request_reads_as_it_was_written(chat in chat()) {
        let (body, dropped) = write_chat(&chat);
        prop_assert_eq!(dropped, Vec::<String>::new());
        let (read, dropped) = read_chat(&body);
        prop_assert_eq!(dropped, Vec::<String>::new());
        prop_assert_eq!(read.unwrap(), chat);
    }

    #[test]
    fn an_answer_reads_as_it_was_written(reply in reply()) {
        let (body, dropped) = write_reply(&reply);
        prop_assert_eq!(dropped, Vec::<String>::new());
        check_response(&json(&body));
        prop_assert_eq!(read_reply(&body), (Ok(reply), Vec::new()));
    }

    #[test]
    fn a_stream_reads_as_it_was_written(reply in reply(), at in any::<prop::sample::Index>()) {
        let steps = reply.steps();
        let (bytes, dropped) = write_stream(&steps);
        prop_assert_eq!(dropped, Vec::<String>::new());
        let (deltas, dropped) = read_stream(&bytes);
        prop_assert_eq!(dropped, Vec::<String>::new());
        prop_assert_eq!(fold(&deltas), fold(&steps));
        // The last event says the same in one piece.
        let response = accumulate(&events(&bytes)).to_string();
        let whole = read_reply(&response).0.unwrap();
        prop_assert_eq!(fold(&whole.steps()), fold(&steps));
        let (head, tail) = bytes.split_at(at.index(bytes.len()));
        prop_assert_eq!(read_chunks([head, tail].into_iter()).0.unwrap(), deltas);
    }

    #[test]
    fn no_bytes_make_a_reader_panic(chat in chat(), reply in reply(), edits in edits()) {
        let mut dropped = Dropped::default();
        let body = broken(write_chat(&chat).0.into_bytes(), &edits);
        let _ = Tree::read(&body).map(|tree| super::Responses.read_chat(&tree, &mut dropped));
        let body = broken(write_reply(&reply).0.into_bytes(), &edits);
        let _ = Tree::read(&body).map(|tree| super::Responses.read_reply(&tree, &mut dropped));
        let body = broken(write_stream(&reply.steps()).0, &edits);
        let _ = read_chunks(std::iter::once(&body[..]));
    }
}
