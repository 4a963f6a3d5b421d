//! What holds of all requests, answers and streams.

use proptest::prelude::*;

use super::{Gemini, read, read_reply, read_stream, to, write_reply, write_stream, written};
use crate::base::json::Tree;
use crate::llm::chat::{Effort, OutputFormat, Reasoning, Role, Sampling, Tell, Tool, ToolChoice, Turn};
use crate::llm::part::{Media, MediaKind, Source, ToolCall, ToolResult};
use crate::llm::reply::Choice;
use crate::llm::{Chat, Content, Delta, Dropped, Finish, Fold, Format, Part, Reply, Signature, Usage};
use crate::wire::codec::{Codec, Envelope, Said};

fn words() -> impl Strategy<Value = String> {
    "[a-zé\u{1f600}\"\\\\\n]{1,8}"
}

fn seal() -> impl Strategy<Value = Option<Signature<'static>>> {
    prop::option::of("[A-Za-z0-9+/]{4}".prop_map(|data| Signature { maker: Format::Gemini, data: data.into() }))
}

fn picture() -> impl Strategy<Value = Part<'static>> {
    let source = prop_oneof![
        "[A-Za-z0-9+/]{8}".prop_map(|data| Source::Base64(data.into())),
        Just(Source::Url("https://h/a.png".into())),
        Just(Source::Url("gs://b/a".into())),
    ];
    source.prop_map(|source| {
        let mime = Some("image/png".into());
        Part::new(Content::Media(Media { kind: MediaKind::Image, mime, source, name: None, detail: None }))
    })
}

fn call() -> impl Strategy<Value = Part<'static>> {
    let arguments = prop::sample::select(vec!["{}", r#"{"a":1}"#, r#"{"_raw":[true]}"#]);
    ("[a-z0-9]{0,3}", "[a-z]{1,4}", arguments, seal()).prop_map(|(id, name, arguments, signature)| {
        Part::new(Content::ToolCall(ToolCall {
            id: id.into(),
            name: name.into(),
            arguments: arguments.into(),
            signature,
        }))
    })
}

fn result() -> impl Strategy<Value = Part<'static>> {
    let text = prop_oneof![words(), Just(r#"{"a":{"b":null}}"#.to_owned()), Just(r#"{"error":1}"#.to_owned())];
    ("[a-z0-9]{1,3}", "[a-z]{1,4}", text, any::<bool>()).prop_map(|(id, name, text, is_error)| {
        let parts = vec![Part::text(text)];
        Part::new(Content::ToolResult(ToolResult { id: id.into(), name: Some(name.into()), parts, is_error }))
    })
}

/// What the model says. A thought without a seal would be one with the thought behind it.
fn spoken() -> impl Strategy<Value = Part<'static>> {
    let thought = (words(), "[A-Za-z0-9]{4}").prop_map(|(text, data)| {
        let signature = Some(Signature { maker: Format::Gemini, data: data.into() });
        Part::new(Content::Reasoning { text: text.into(), signature })
    });
    prop_oneof![words().prop_map(Part::text), thought, call(), picture()]
}

/// Both sides in turns; what functions returned stands in front.
fn turns() -> impl Strategy<Value = Vec<Turn<'static>>> {
    let user = (prop::collection::vec(result(), 0..3), prop::collection::vec(words().prop_map(Part::text), 1..3));
    let user = user.prop_map(|(results, rest)| [results, rest].concat());
    let pair = (user, prop::collection::vec(spoken(), 1..4));
    (prop::option::of(words()), prop::collection::vec(pair, 1..4)).prop_map(|(system, pairs)| {
        let mut chat = Chat::default();
        if let Some(system) = system {
            chat.say(Role::System, [Part::text(system)]);
        }
        for (user, model) in pairs {
            chat.say(Role::User, user);
            chat.say(Role::Assistant, merged(model));
        }
        chat.turns
    })
}

fn chat() -> impl Strategy<Value = Chat<'static>> {
    let output = prop_oneof![
        Just(None),
        Just(Some(OutputFormat::Text)),
        Just(Some(OutputFormat::Json)),
        Just(Some(OutputFormat::Schema {
            name: None,
            description: None,
            schema: r#"{"type":"array"}"#.into(),
            strict: None
        })),
    ];
    let reasoning = prop_oneof![
        Just(Reasoning { enabled: Some(false), ..Reasoning::default() }),
        Just(Reasoning { dynamic: true, tell: Some(Tell::Nothing), ..Reasoning::default() }),
        (128u64..24_000).prop_map(|budget| Reasoning {
            budget: Some(budget),
            tell: Some(Tell::Auto),
            ..Reasoning::default()
        }),
    ];
    let choice = prop::sample::select(vec![
        None,
        Some(ToolChoice::Auto),
        Some(ToolChoice::None),
        Some(ToolChoice::Required),
        Some(ToolChoice::Named("f".into())),
        Some(ToolChoice::Among { names: vec!["f".into(), "g".into()], required: true }),
    ]);
    let numbers = (prop::option::of(0u64..99), prop::option::of(1u64..8), prop::option::of(any::<bool>()));
    (turns(), output, prop::option::of(reasoning), choice, numbers, any::<bool>()).prop_map(
        |(turns, output, reasoning, tool_choice, (number, choices, logprobs), images)| {
            let tool = |name: &'static str| Tool {
                name: name.into(),
                description: Some("d".into()),
                parameters: Some(r#"{"type":"object","additionalProperties":false}"#.into()),
                ..Tool::default()
            };
            Chat {
                turns,
                tools: vec![tool("f"), tool("g")],
                tool_choice,
                output,
                reasoning,
                max_output: number,
                stop: number.map(|_| "stop".into()).into_iter().collect(),
                sampling: Sampling {
                    temperature: number.map(|_| "0.5"),
                    seed: number.map(|_| "7"),
                    ..Sampling::default()
                },
                logprobs,
                top_logprobs: logprobs.filter(|told| *told).map(|_| 3),
                choices,
                images,
                ..Chat::default()
            }
        },
    )
}

fn reply() -> impl Strategy<Value = Reply> {
    let finish = prop::sample::select(vec![Finish::Stop, Finish::Length, Finish::ContentFilter]);
    let choice = (prop::collection::vec(spoken(), 1..5), finish).prop_map(|(parts, finish)| {
        let calls = parts.iter().any(|part| matches!(part.content, Content::ToolCall(_)));
        let finish = if calls && finish == Finish::Stop { Finish::ToolCalls } else { finish };
        Choice { parts: merged(parts), finish: Some(finish), ..Choice::default() }
    });
    let usage = (0u64..99, 0u64..99, 0u64..9, 0u64..9).prop_map(|(input, cache_read, output, reasoning)| Usage {
        input,
        cache_read,
        output: output + reasoning,
        reasoning,
        audio_out: output,
        ..Usage::default()
    });
    (prop::collection::vec(choice, 1..3), prop::option::of(usage)).prop_map(|(choices, usage)| Reply {
        id: "r".into(),
        model: "m".into(),
        choices,
        usage,
        ..Reply::default()
    })
}

/// Texts that stand together are one text.
fn merged(parts: Vec<Part<'static>>) -> Vec<Part<'static>> {
    let mut all: Vec<Part<'static>> = Vec::new();
    for part in parts {
        match (all.last_mut().map(|last| &mut last.content), &part.content) {
            (Some(Content::Text { text: before, .. }), Content::Text { text, .. }) => before.to_mut().push_str(text),
            _ => all.push(part),
        }
    }
    all
}

fn folded(deltas: &[Delta]) -> Option<Reply> {
    let mut fold = Fold::default();
    deltas.iter().for_each(|delta| fold.push(delta));
    fold.complete()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_request_comes_back(chat in chat()) {
        let (body, dropped) = written(&chat, &to("tuned", Envelope::Plain));
        prop_assert!(dropped.is_empty(), "{}", dropped);
        let back = read(&body, |chat, dropped| chat.map(|chat| (format!("{chat:?}"), dropped.is_empty())));
        prop_assert_eq!(back, Ok((format!("{chat:?}"), true)));
    }

    #[test]
    fn a_request_of_vertex_holds_no_ids(chat in chat()) {
        let (body, _) = written(&chat, &to("gemini-3-pro", Envelope::Vertex));
        prop_assert!(!body.contains("\"id\":"));
        prop_assert!(read(&body, |chat, _| chat.is_ok()));
    }

    #[test]
    fn an_answer_comes_back(reply in reply()) {
        let (body, dropped) = write_reply(&reply);
        prop_assert!(dropped.is_empty(), "{}", dropped);
        prop_assert_eq!(read_reply(&body).0, Ok(reply));
    }

    #[test]
    fn an_answer_comes_back_through_a_stream(reply in reply(), step in 1usize..200) {
        let (stream, _) = write_stream(&reply.steps(), false);
        let (deltas, _, all) = read_stream(stream.as_bytes(), step);
        prop_assert!(all);
        prop_assert_eq!(folded(&deltas), Some(reply));
    }

    #[test]
    fn no_bytes_panic_a_reader(chat in chat(), reply in reply(), at in any::<prop::sample::Index>(), byte: u8, cut: bool) {
        let (request, _) = written(&chat, &to("gemini-3-pro", Envelope::Plain));
        let (answer, _) = write_reply(&reply);
        for body in [request, answer, "{\"error\":{\"details\":[{\"violations\":[{\"quotaId\":\"x\"}]}]}}".into()] {
            let mut body = body.into_bytes();
            let at = at.index(body.len());
            if cut { body.truncate(at) } else { body[at] = byte }
            let _ = Gemini.read_fault(&Said { status: 500, error_type: None, body: &body });
            read_stream(&[b"data: ", &body[..], b"\n\n"].concat(), 64);
            if let Ok(tree) = Tree::read(&body) {
                let _ = Gemini.read_reply(&tree, &mut Dropped::default());
                let chat = Gemini.read_chat(&tree, &mut Dropped::default());
                if let Ok(chat) = chat {
                    let _ = Gemini.write_chat(&chat, &to("gemini-3-pro", Envelope::Plain), &mut Vec::new(), &mut Dropped::default());
                }
            }
        }
    }

    #[test]
    fn whatever_an_effort_is_the_model_takes_it(effort in prop::sample::select(Effort::ALL.to_vec()), model in "gemini-[1-4](\\.[0-9])?-(pro|flash)") {
        let chat = Chat { reasoning: Some(Reasoning { effort: Some(effort), ..Reasoning::default() }), ..Chat::default() };
        let mut chat = chat;
        chat.say(Role::User, [Part::text("hi")]);
        let (body, _) = written(&chat, &to(&model, Envelope::Plain));
        let both = body.contains("thinkingLevel") && body.contains("thinkingBudget");
        prop_assert!(!both, "{}", body);
    }
}
