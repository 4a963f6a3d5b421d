//! What steps fold into, and that an answer's steps fold into it again.

use super::*;
use crate::llm::part::{Citation, Media, MediaKind, Signature, Source};
use crate::llm::{Finish, Format};

fn piece(index: u32, id: Option<&str>, name: Option<&str>, arguments: &str) -> Delta {
    let (id, name) = (id.map(str::to_owned), name.map(str::to_owned));
    Delta::ToolCall { choice: 0, index, id, name, arguments: arguments.to_owned(), signature: None }
}

fn folded(deltas: &[Delta]) -> Fold {
    let mut fold = Fold::default();
    deltas.iter().for_each(|delta| fold.push(delta));
    fold
}

#[test]
fn a_tool_call_is_named_once_and_all_of_it_is_counted() {
    let fold = folded(&[
        piece(0, Some("id"), Some("name"), "{"),
        piece(0, Some("id"), Some("name"), "}"),
        piece(0, None, None, ""),
        Delta::End,
    ]);
    assert_eq!(fold.len(), "id".len() + "name".len() + "{}".len());
    let reply = fold.complete().unwrap();
    let calls: Vec<_> = reply.choices[0].tool_calls().collect();
    let expected = ToolCall { id: "id".into(), name: "name".into(), arguments: "{}".into(), signature: None };
    assert_eq!(calls, [&expected]);
}

#[test]
fn a_call_that_cannot_be_held_makes_no_answer() {
    for index in [1, 1024, u32::MAX] {
        let fold = folded(&[piece(index, None, Some("f"), "{}"), Delta::End]);
        assert_eq!(fold.complete(), None, "{index}");
    }
    let fold = folded(&[Delta::Text { choice: MAX_CHOICES, text: "x".into() }, Delta::End]);
    assert_eq!(fold.complete(), None);
}

#[test]
fn a_stream_without_its_end_is_no_answer() {
    assert_eq!(folded(&[Delta::text("half")]).complete(), None);
}

#[test]
fn an_answer_comes_back_from_its_steps() {
    let seal = || Signature { maker: Format::Messages, data: "s".into() };
    let call = |id: &'static str| {
        let name = "f".into();
        Part::new(Content::ToolCall(ToolCall { id: id.into(), name, arguments: "{}".into(), signature: Some(seal()) }))
    };
    let cited = Content::Text {
        text: "b".into(),
        citations: vec![Citation { url: Some("https://example.com".into()), ..Citation::default() }],
    };
    let image = Media {
        kind: MediaKind::Image,
        mime: Some("image/png".into()),
        source: Source::Base64("AA==".into()),
        name: None,
        detail: None,
    };
    let parts = vec![
        Part::new(Content::Reasoning { text: "t".into(), signature: Some(seal()) }),
        Part::new(Content::Redacted(seal())),
        Part::text("a"),
        call("1"),
        Part::new(cited),
        call("2"),
        Part::new(Content::Media(image)),
        Part::new(Content::Refusal("no".into())),
    ];
    let choice = Choice {
        parts,
        finish: Some(Finish::StopSequence),
        stop_sequence: Some("END".into()),
        logprobs: Some("{},{}".into()),
    };
    let other = Choice { parts: vec![Part::text("z")], finish: Some(Finish::Stop), ..Choice::default() };
    let reply = Reply {
        id: "i".into(),
        model: "m".into(),
        created: 7,
        choices: vec![choice, other],
        usage: Some(crate::llm::Usage { input: 1, output: 2, ..Default::default() }),
        service_tier: None,
    };
    assert_eq!(folded(&reply.steps()).complete(), Some(reply));
}

#[test]
fn thoughts_of_which_only_the_seals_are_told_stay_apart() {
    let seal = |data: &'static str| Signature { maker: crate::llm::Format::Messages, data: data.into() };
    let sealed = |data| Delta::Signature { choice: 0, signature: seal(data) };
    let reply = folded(&[sealed("a"), sealed("b"), Delta::End]).complete().unwrap();
    let thought = |data| Part::new(Content::Reasoning { text: "".into(), signature: Some(seal(data)) });
    assert_eq!(reply.choices[0].parts, [thought("a"), thought("b")]);
}
