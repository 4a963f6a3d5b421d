//! Properties: what the format can say is read as it was written, however it is split; and no bytes make a
//! reader panic, nor any steps a stream that is none.

use proptest::prelude::*;

use super::streams::blocks;
use super::*;
use crate::llm::chat::{Effort, OutputFormat, Reasoning, Role, Sampling, Tell, Tool, ToolChoice, Turn};
use crate::llm::part::{CacheMark, Citation, Media, MediaKind, Source, ToolCall, ToolResult};
use crate::llm::reply::Choice;
use crate::llm::{Content, Fault, FaultKind, Finish, Fold, Part, Signature, Usage};

fn words() -> impl Strategy<Value = String> {
    "[a-z\"\\\\é\u{1f600}\n]{0,6}[a-z.]"
}

fn seal() -> impl Strategy<Value = Signature<'static>> {
    "[A-Za-z0-9+/]{1,8}".prop_map(|data| Signature { maker: Format::Messages, data: data.into() })
}

fn mark() -> impl Strategy<Value = Option<CacheMark>> {
    prop_oneof![
        8 => Just(None),
        1 => Just(Some(CacheMark::Default)),
        1 => Just(Some(CacheMark::Hour)),
    ]
}

fn media() -> impl Strategy<Value = Media<'static>> {
    let new = |kind, mime: Option<&'static str>, source| Media {
        kind,
        mime: mime.map(Into::into),
        source,
        name: None,
        detail: None,
    };
    prop_oneof![
        Just(new(MediaKind::Image, Some("image/png"), Source::Base64("AAAA".into()))),
        Just(new(MediaKind::Image, None, Source::Url("https://e.org/a.png".into()))),
        Just(new(MediaKind::Image, None, Source::FileId("file_1".into()))),
        Just(new(MediaKind::File, Some("application/pdf"), Source::Base64("JVBERi0=".into()))),
        (words(), words()).prop_map(move |(text, title)| Media {
            name: Some(title.into()),
            ..new(MediaKind::File, Some("text/plain"), Source::Text(text.into()))
        }),
    ]
}

fn arguments() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("{}".to_owned()),
        words().prop_map(|text| serde_json::json!({ "a": text, "n": [1, {}] }).to_string())
    ]
}

fn call() -> impl Strategy<Value = Content<'static>> {
    ("[A-Za-z0-9_-]{1,6}", "[a-z]{1,4}", arguments()).prop_map(|(id, name, arguments)| {
        Content::ToolCall(ToolCall { id: id.into(), name: name.into(), arguments: arguments.into(), signature: None })
    })
}

fn thought() -> impl Strategy<Value = Content<'static>> {
    prop_oneof![
        (words(), seal()).prop_map(|(text, seal)| Content::Reasoning { text: text.into(), signature: Some(seal) }),
        seal().prop_map(Content::Redacted),
    ]
}

fn text() -> impl Strategy<Value = Content<'static>> {
    words().prop_map(|text| Content::Text { text: text.into(), citations: Vec::new() })
}

fn result() -> impl Strategy<Value = Content<'static>> {
    let inner = prop_oneof![text(), media().prop_map(Content::Media)].prop_map(Part::new);
    ("[a-z0-9_]{1,6}", prop::collection::vec(inner, 0..3), any::<bool>()).prop_map(|(id, parts, is_error)| {
        Content::ToolResult(ToolResult { id: id.into(), name: None, parts, is_error })
    })
}

fn marked(contents: Vec<Content<'static>>, mark: Option<CacheMark>) -> Vec<Part<'static>> {
    let mut parts: Vec<_> = contents.into_iter().map(Part::new).collect();
    let last =
        parts.last_mut().filter(|part| !matches!(part.content, Content::Reasoning { .. } | Content::Redacted(_)));
    if let Some(last) = last {
        last.cache = mark;
    }
    parts
}

fn user() -> impl Strategy<Value = Vec<Part<'static>>> {
    let said = prop_oneof![text(), media().prop_map(Content::Media)];
    (prop::collection::vec(result(), 0..2), prop::collection::vec(said, 1..3), mark())
        .prop_map(|(results, said, mark)| marked(results.into_iter().chain(said).collect(), mark))
}

fn assistant() -> impl Strategy<Value = Vec<Part<'static>>> {
    (prop::collection::vec(prop_oneof![thought(), text(), call()], 1..5), Just(None))
        .prop_map(|(contents, mark)| marked(contents, mark))
}

fn turns() -> impl Strategy<Value = Vec<Turn<'static>>> {
    let turn = |role, parts| Turn { role, parts, name: None };
    let instructions = prop::option::of((prop::collection::vec(text(), 1..3), mark()));
    (instructions, prop::collection::vec((user(), assistant()), 0..3), user()).prop_map(move |(first, pairs, last)| {
        let mut turns: Vec<_> =
            first.map(|(contents, mark)| turn(Role::System, marked(contents, mark))).into_iter().collect();
        for (user, assistant) in pairs {
            turns.extend([turn(Role::User, user), turn(Role::Assistant, assistant)]);
        }
        turns.push(turn(Role::User, last));
        turns
    })
}

fn tools() -> impl Strategy<Value = Vec<Tool<'static>>> {
    let tool = (prop::option::of(words()), prop::option::of(Just(true))).prop_map(|(description, strict)| Tool {
        custom: None,
        name: "f".into(),
        description: description.map(Into::into),
        parameters: Some(r#"{"type":"object", "properties":{},"additionalProperties":false}"#.into()),
        strict,
        cache: None,
    });
    prop::collection::vec(tool, 1..3)
}

fn choice() -> impl Strategy<Value = (Option<ToolChoice<'static>>, Option<bool>)> {
    prop_oneof![
        Just((None, None)),
        Just((Some(ToolChoice::None), None)),
        prop::option::of(any::<bool>()).prop_map(|parallel| (Some(ToolChoice::Auto), parallel)),
    ]
}

fn reasoning() -> impl Strategy<Value = Option<Reasoning>> {
    let effort = prop::option::of(prop::sample::select(&[Effort::Low, Effort::Medium, Effort::High, Effort::Max][..]));
    let tell = prop::option::of(prop::sample::select(&[Tell::Nothing, Tell::Auto][..]));
    prop_oneof![
        Just(None),
        Just(Some(Reasoning { enabled: Some(false), ..Reasoning::default() })),
        (effort, tell).prop_map(|(effort, tell)| Some(Reasoning {
            enabled: Some(true),
            dynamic: true,
            effort,
            tell,
            budget: None
        })),
    ]
}

fn chat() -> impl Strategy<Value = Chat<'static>> {
    let output = prop::option::of(Just(OutputFormat::Schema {
        name: None,
        description: None,
        schema: r#"{"type":"object","additionalProperties":false}"#.into(),
        strict: Some(true),
    }));
    let rest = (1u64..9000, prop::collection::vec(words(), 0..3), prop::option::of(words()), any::<bool>());
    (turns(), tools(), choice(), reasoning(), output, rest).prop_map(
        |(turns, tools, (tool_choice, parallel_tools), reasoning, output, (max_output, stop, user, is_sampled))| Chat {
            turns,
            tools,
            tool_choice,
            parallel_tools,
            reasoning,
            output,
            max_output: Some(max_output),
            stop: stop.into_iter().map(Into::into).collect(),
            user: user.map(Into::into),
            service_tier: is_sampled.then(|| "standard_only".into()),
            sampling: match reasoning {
                None if is_sampled => Sampling { temperature: Some("0.50"), top_k: Some("7"), ..Sampling::default() },
                _ => Sampling::default(),
            },
            ..Chat::default()
        },
    )
}

fn answer() -> impl Strategy<Value = Reply> {
    let cited = (words(), words()).prop_map(|(url, quote)| Citation {
        url: Some(url.into()),
        quote: Some(quote.into()),
        ..Citation::default()
    });
    let text = (words(), prop::collection::vec(cited, 1..3))
        .prop_map(|(text, citations)| Content::Text { text: text.into(), citations });
    let finish = prop::sample::select(
        &[Finish::StopSequence, Finish::Length, Finish::ToolCalls, Finish::Refusal, Finish::Pause][..],
    );
    let usage = prop::array::uniform5(0u64..1000).prop_map(|[input, cache_read, write_5m, write_1h, output]| Usage {
        input,
        cache_read,
        cache_write_5m: write_5m,
        cache_write_1h: write_1h,
        output,
        reasoning: output / 2,
        ..Usage::default()
    });
    let word = prop::option::of(words());
    (prop::collection::vec(prop_oneof![thought(), text, call()], 0..6), finish, usage, word).prop_map(
        |(contents, finish, usage, stop_sequence)| {
            let mut parts: Vec<_> = contents.into_iter().map(Part::new).collect();
            place(&mut parts);
            Reply {
                id: "msg_1".into(),
                model: "m".into(),
                created: 0,
                choices: vec![Choice { parts, finish: Some(finish), stop_sequence, logprobs: None }],
                usage: Some(usage),
                service_tier: None,
            }
        },
    )
}

/// Each citation holds for the whole of its text.
fn place(parts: &mut [Part<'static>]) {
    let mut said = 0;
    for part in parts {
        let Content::Text { text, citations } = &mut part.content else { continue };
        let start = said;
        said += text.chars().count() as u64;
        citations.iter_mut().for_each(|citation| (citation.start, citation.end) = (Some(start), Some(said)));
    }
}

fn delta() -> impl Strategy<Value = Delta> {
    let index = 0u32..4;
    let piece = prop::sample::select(&["", "{", "}", "{}", "\"", "\\"][..]);
    let call = (index, any::<bool>(), piece).prop_map(|(index, begins, arguments)| Delta::ToolCall {
        choice: 0,
        index,
        id: begins.then(|| "i".to_owned()),
        name: begins.then(|| "n".to_owned()),
        arguments: arguments.to_owned(),
        signature: None,
    });
    let cited = |url: Option<&'static str>| {
        let citation = Citation { url: url.map(Into::into), ..Citation::default() };
        Delta::Citation { choice: 0, citation: Box::new(citation) }
    };
    prop_oneof![
        4 => call,
        1 => Just(Delta::text("t")),
        1 => Just(Delta::text("")),
        1 => Just(Delta::Reasoning { choice: 0, text: "r".into() }),
        1 => seal().prop_map(|signature| Delta::Signature { choice: 0, signature }),
        1 => seal().prop_map(|data| Delta::Redacted { choice: 0, data }),
        1 => Just(Delta::Refusal { choice: 0, text: "no".into() }),
        1 => Just(cited(Some("u"))),
        1 => Just(cited(None)),
        1 => Just(Delta::Start { id: "i".into(), model: "m".into(), created: 0, usage: None }),
        1 => Just(Delta::Usage(Usage::default())),
        1 => Just(Delta::Ping),
        1 => Just(Delta::finish(Finish::Stop)),
        1 => Just(Delta::Text { choice: 1, text: "t".into() }),
    ]
}

/// What a reader makes of bytes that come in pieces.
fn folded(stream: &[u8], cuts: &[prop::sample::Index]) -> Option<Reply> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
    cuts.extend([0, stream.len()]);
    cuts.sort_unstable();
    let (mut parser, mut found) = (sse::Parser::new(1 << 20), Vec::new());
    for pair in cuts.windows(2) {
        parser.push(Bytes::copy_from_slice(&stream[pair[0]..pair[1]]), &mut found).unwrap();
    }
    let (mut reader, mut deltas, mut dropped) = (Anthropic.stream_reader(), Vec::new(), Dropped::default());
    for event in &found {
        reader.read(event, &mut deltas, &mut dropped).unwrap();
    }
    assert!(dropped.is_empty());
    let mut fold = Fold::default();
    deltas.iter().for_each(|delta| fold.push(delta));
    fold.complete()
}

proptest! {
    #[test]
    fn a_request_is_read_as_it_was_written(chat in chat()) {
        let (out, left_out) = written(&chat, "claude-opus-4-6", Envelope::Plain).unwrap();
        // More marks than four are too many.
        let is_marked_too_often = out.matches("cache_control").count() == 4;
        prop_assume!(!is_marked_too_often);
        prop_assert_eq!(left_out, Vec::<String>::new());
        let tree = Tree::read(out.as_bytes()).unwrap();
        let mut dropped = Dropped::default();
        let read = Anthropic.read_chat(&tree, &mut dropped).unwrap();
        prop_assert_eq!(read, chat);
        prop_assert!(dropped.is_empty());
    }

    #[test]
    fn an_answer_is_read_as_it_was_written(reply in answer()) {
        let (mut out, mut dropped) = (Vec::new(), Dropped::default());
        Anthropic.write_reply(&reply, &writing(), &mut out, &mut dropped);
        let tree = Tree::read(&out).unwrap();
        prop_assert_eq!(Anthropic.read_reply(&tree, &mut dropped).unwrap(), reply);
        prop_assert!(dropped.is_empty());
    }

    #[test]
    fn a_stream_is_read_as_it_was_written_however_it_is_split(
        reply in answer(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let (mut out, mut dropped) = (Vec::new(), Dropped::default());
        let mut writer = Anthropic.stream_writer(writing()).unwrap();
        reply.steps().iter().for_each(|delta| writer.write(delta, &mut out, &mut dropped));
        prop_assert!(dropped.is_empty());
        prop_assert_eq!(folded(&out, &cuts), Some(reply));
    }

    #[test]
    fn whatever_comes_is_a_stream(deltas in prop::collection::vec(delta(), 0..24)) {
        // The check is in here: blocks do not overlap, and everything that begins ends.
        let deltas: Vec<_> = deltas.into_iter().chain([Delta::End]).collect();
        let calls = blocks(&deltas).iter().filter(|(kind, _)| kind == "tool_use").count();
        prop_assert!(calls <= 4);
    }

    #[test]
    fn no_bytes_make_a_reader_panic(
        chat in chat(),
        reply in answer(),
        at in any::<prop::sample::Index>(),
        put in prop::sample::select(&["", "null", "[]", "{}", "7", "\"x\"", "-1", "1e999", "\\ud800", ","][..]),
        cut in 0usize..12,
    ) {
        let mut dropped = Dropped::default();
        let mangle = |body: &[u8]| {
            let at = at.index(body.len());
            [&body[..at], put.as_bytes(), &body[(at + cut).min(body.len())..]].concat()
        };
        let request = mangle(written(&chat, "claude-opus-4-6", Envelope::Plain).unwrap().0.as_bytes());
        if let Ok(tree) = Tree::read(&request)
            && let Ok(chat) = Anthropic.read_chat(&tree, &mut dropped)
        {
            let _ = written(&chat, "claude-sonnet-4-5", Envelope::Invoke);
        }
        let mut answer = Vec::new();
        Anthropic.write_reply(&reply, &writing(), &mut answer, &mut dropped);
        let answer = mangle(&answer);
        if let Ok(tree) = Tree::read(&answer) {
            let _ = Anthropic.read_reply(&tree, &mut dropped);
        }
        let _ = Anthropic.read_fault(&Said { status: 400, error_type: Some(":"), body: &answer });
        let (mut out, mut deltas, mut reader) = (Vec::new(), Vec::new(), Anthropic.stream_reader());
        let mut writer = Anthropic.stream_writer(writing()).unwrap();
        reply.steps().iter().for_each(|delta| writer.write(delta, &mut out, &mut dropped));
        for (_, data) in parsed(&out) {
            let data = Bytes::from(mangle(data.as_bytes()));
            let _ = reader.read(&sse::Event { raw: data.clone(), data, name: None }, &mut deltas, &mut dropped);
        }
    }
}

#[test]
fn an_error_of_every_kind_is_one_inside_of_a_stream_too() {
    for kind in FaultKind::ALL {
        let (events, _) = events(&[Delta::text("a"), Delta::Error(Fault::in_stream(kind, "m"))]);
        let last = events.last().map(String::as_str).unwrap_or_default();
        let (deltas, _) = steps(&[last]);
        assert!(matches!(&deltas[..], [Delta::Error(_)]), "{last}");
    }
}
