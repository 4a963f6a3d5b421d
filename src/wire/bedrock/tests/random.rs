//! What holds for every request, answer and stream.

use proptest::prelude::*;

use super::*;
use crate::llm::chat::{Tool, ToolChoice};
use crate::llm::reply::Choice;
use crate::llm::{Fold, Reply};

/// Text that is not blank and does not end in white space.
fn words() -> impl Strategy<Value = String> {
    "[a-zé\"\\\\ \n]{0,8}[a-z]"
}

fn text() -> impl Strategy<Value = Part<'static>> {
    words().prop_map(Part::text)
}

fn image() -> impl Strategy<Value = Part<'static>> {
    prop::sample::select(vec!["image/png", "image/jpeg", "image/gif", "image/webp"])
        .prop_map(|mime| Part::new(Content::Media(media(MediaKind::Image, mime, Source::Base64("aGk=".into())))))
}

fn thought() -> impl Strategy<Value = Part<'static>> {
    prop_oneof![
        words().prop_map(|text| Part::new(Content::Reasoning { text: text.into(), signature: Some(seal("c2ln")) })),
        Just(Part::new(Content::Redacted(seal("c2VjcmV0")))),
    ]
}

fn a_call() -> impl Strategy<Value = Part<'static>> {
    let arguments = prop::sample::select(vec!["{}", r#"{"a":1}"#, r#"{"b":{"c":[null,"é"]}}"#]);
    ("[a-z0-9_.:-]{1,10}", "[a-z_]{1,6}[a-z]", arguments).prop_map(|(id, name, arguments)| {
        let call = ToolCall { id: id.into(), name: name.into(), arguments: arguments.into(), signature: None };
        Part::new(Content::ToolCall(call))
    })
}

fn with_marks(part: impl Strategy<Value = Part<'static>>) -> impl Strategy<Value = Part<'static>> {
    // Rarely, so that there are few in one request.
    (part, prop::option::weighted(0.05, prop::sample::select(vec![CacheMark::Default, CacheMark::Hour])))
        .prop_map(|(part, cache)| Part { cache, ..part })
}

/// Talks as Converse can have them: the user first and last, results before words.
fn chat() -> impl Strategy<Value = Chat<'static>> {
    let user = || prop::collection::vec(with_marks(prop_oneof![text(), image()]), 1..4);
    let assistant = prop::collection::vec(prop_oneof![text(), thought(), a_call()], 1..5);
    let turns = prop::collection::vec((user(), assistant, any::<bool>()), 0..3);
    let tools = prop::collection::vec("[a-z]{1,9}", 0..3);
    (turns, user(), tools, prop::option::of(1u64..9999), prop::option::of(words())).prop_map(
        |(turns, last, tools, max_output, system)| {
            let mut chat = Chat { max_output, ..Chat::default() };
            if let Some(system) = system {
                chat.say(Role::System, [Part::text(system)]);
            }
            let mut results = Vec::new();
            for (user, assistant, is_error) in turns {
                chat.say(Role::User, std::mem::take(&mut results).into_iter().chain(user));
                for part in &assistant {
                    if let Content::ToolCall(call) = &part.content {
                        let result =
                            ToolResult { id: call.id.clone(), name: None, parts: vec![Part::text("r")], is_error };
                        results.push(Part::new(Content::ToolResult(result)));
                    }
                }
                chat.say(Role::Assistant, assistant);
            }
            chat.say(Role::User, results.into_iter().chain(last));
            let schema = Some(r#"{"type":"object","properties":{}}"#.into());
            chat.tools.extend(tools.into_iter().map(|name| Tool {
                name: name.into(),
                parameters: schema.clone(),
                ..Tool::default()
            }));
            if !chat.tools.is_empty() {
                chat.tool_choice = Some(ToolChoice::Auto);
            }
            chat.name_results();
            chat
        },
    )
}

/// Calls stand in a request only beside tools.
fn has_calls(chat: &Chat<'_>) -> bool {
    chat.turns.iter().flat_map(|turn| &turn.parts).any(|part| matches!(part.content, Content::ToolCall(_)))
}

fn reply() -> impl Strategy<Value = Reply> {
    let parts = prop::collection::vec(prop_oneof![text(), thought(), a_call(), image()], 0..6);
    let finish = prop::sample::select(vec![
        Finish::Stop,
        Finish::StopSequence,
        Finish::Length,
        Finish::ToolCalls,
        Finish::ContentFilter,
    ]);
    let usage = (0u64..9, 0u64..9, 0u64..9, 0u64..9, 0u64..9).prop_map(|(input, output, read, five, hour)| Usage {
        input,
        output,
        cache_read: read,
        cache_write_5m: five,
        cache_write_1h: hour,
        ..Usage::default()
    });
    (parts, finish, usage, prop::option::of("[a-z]{1,3}")).prop_map(|(parts, finish, usage, stop_sequence)| Reply {
        choices: vec![Choice { parts, finish: Some(finish), stop_sequence, ..Choice::default() }],
        usage: Some(usage),
        ..Reply::default()
    })
}

fn write_reply(reply: &Reply) -> Vec<u8> {
    let mut out = Vec::new();
    Bedrock.write_reply(reply, &Writing::default(), &mut out, &mut Dropped::default());
    out
}

/// Neighbouring texts are one in a stream, and neighbouring thoughts without a seal.
fn folded(deltas: &[Delta]) -> Option<Reply> {
    let mut fold = Fold::default();
    deltas.iter().for_each(|delta| fold.push(delta));
    fold.complete()
}

fn mutated(mut bytes: Vec<u8>, changes: &[(prop::sample::Index, u8)]) -> Vec<u8> {
    for (at, byte) in changes {
        let at = at.index(bytes.len());
        bytes[at] = *byte;
    }
    bytes
}

fn changes() -> impl Strategy<Value = Vec<(prop::sample::Index, u8)>> {
    let byte = prop_oneof![any::<u8>(), prop::sample::select(b"{}[]\",:0n".to_vec())];
    prop::collection::vec((any::<prop::sample::Index>(), byte), 1..6)
}

proptest! {
    #[test]
    fn a_request_is_read_as_it_was_written(chat in chat()) {
        let (body, left_out) = written(&chat, CLAUDE);
        let marks = chat.turns.iter().flat_map(|turn| &turn.parts).filter(|part| part.cache.is_some()).count();
        prop_assume!(marks <= 4);
        prop_assert_eq!(left_out, Vec::<String>::new());
        let (mut again, names) = read(&body);
        if chat.tools.is_empty() && has_calls(&chat) {
            again.tools.clear();
        }
        prop_assert_eq!(names, Vec::<String>::new());
        prop_assert_eq!(again, chat);
    }

    #[test]
    fn every_request_that_is_written_can_be_read(chat in chat(), model in prop::sample::select(vec![
        CLAUDE, "anthropic.claude-3-haiku-20240307-v1:0", "amazon.nova-2-lite-v1:0", "meta.llama3-1-8b-instruct-v1:0", "",
    ])) {
        let (body, _) = written(&chat, model);
        let (again, names) = read(&body);
        prop_assert_eq!(names, Vec::<String>::new());
        // Written again, nothing more is left out.
        let (twice, _) = written(&again, model);
        prop_assert_eq!(twice, body);
    }

    #[test]
    fn an_answer_is_read_as_it_was_written(reply in reply()) {
        let out = write_reply(&reply);
        let mut dropped = Dropped::default();
        let again = Bedrock.read_reply(&Tree::read(&out).unwrap(), &mut dropped).unwrap();
        prop_assert_eq!((again, names(&dropped)), (reply, vec![]));
    }

    #[test]
    fn a_stream_is_read_as_it_was_written_wherever_it_is_cut(reply in reply(), step in 1usize..300) {
        let steps = reply.steps();
        let (stream, _, left_out) = stream_of(&steps);
        prop_assert_eq!(left_out, Vec::<String>::new());
        let (whole, _) = deltas(&stream, usize::MAX);
        prop_assert_eq!(&deltas(&stream, step).0, &whole);
        prop_assert_eq!(folded(&whole), folded(&steps));
    }

    #[test]
    fn no_bytes_make_a_reader_panic(chat in chat(), reply in reply(), changes in changes(), step in 1usize..99) {
        let request = mutated(written(&chat, CLAUDE).0.to_string().into_bytes(), &changes);
        if let Ok(tree) = Tree::read(&request) {
            let _ = Bedrock.read_chat(&tree, &mut Dropped::default());
        }
        let answer = mutated(write_reply(&reply), &changes);
        if let Ok(tree) = Tree::read(&answer) {
            let _ = Bedrock.read_reply(&tree, &mut Dropped::default());
        }
        let _ = Bedrock.read_fault(&Said { status: 400, error_type: None, body: &answer });
        // Payloads that are damaged, in frames that are not.
        let mut reader = Bedrock.stream_reader();
        for event in events(&stream_of(&reply.steps()).0, step) {
            let data = mutated(event.data.to_vec(), &changes).into();
            let _ = reader.read(&Event { data, ..event }, &mut Vec::new(), &mut Dropped::default());
        }
    }
}
