//! Whole answers.

use super::*;
use crate::llm::part::{Citation, Media, MediaKind, Source, ToolCall};
use crate::llm::reply::Choice;
use crate::llm::{Content, Finish, Part, Signature, Usage};

fn read(body: &str) -> (Reply, Vec<String>) {
    let tree = Tree::read(body.as_bytes()).unwrap();
    let mut dropped = Dropped::default();
    let reply = Anthropic.read_reply(&tree, &mut dropped).unwrap();
    (reply, names(&dropped))
}

fn write(reply: &Reply) -> (String, Vec<String>) {
    let (mut out, mut dropped) = (Vec::new(), Dropped::default());
    Anthropic.write_reply(reply, &writing(), &mut out, &mut dropped);
    (String::from_utf8(out).unwrap(), names(&dropped))
}

fn one(choice: Choice) -> Reply {
    Reply { choices: vec![choice], ..Reply::default() }
}

/// An answer of every kind of block, as the API documents them.
const WHOLE: &str = concat!(
    r#"{"id":"msg_1","type":"message","role":"assistant","model":"claude-opus-5","content":["#,
    r#"{"type":"thinking","thinking":"hm","signature":"c2ln"},{"type":"redacted_thinking","data":"cmVk"},"#,
    r#"{"type":"text","text":"é is"},"#,
    r#"{"type":"text","text":" so","citations":[{"cited_text":"q","type":"web_search_result_location","url":"https://e.org","title":"T","encrypted_index":""}]},"#,
    r#"{"type":"tool_use","id":"toolu_1","name":"f","input":{"a":1.50}}],"#,
    r#""stop_reason":"tool_use","stop_sequence":null,"usage":{"input_tokens":5,"cache_creation_input_tokens":30,"#,
    r#""cache_read_input_tokens":7,"cache_creation":{"ephemeral_5m_input_tokens":10,"ephemeral_1h_input_tokens":20},"#,
    r#""output_tokens":9,"output_tokens_details":{"thinking_tokens":4},"service_tier":"standard"}}"#,
);

#[test]
fn every_block_is_read_and_written_again() {
    let (reply, left_out) = read(WHOLE);
    let signature = |data: &'static str| Signature { maker: Format::Messages, data: data.into() };
    let cited = Citation {
        url: Some("https://e.org".into()),
        title: Some("T".into()),
        quote: Some("q".into()),
        document: None,
        start: Some(4),
        end: Some(7),
    };
    let expected = Reply {
        id: "msg_1".into(),
        model: "claude-opus-5".into(),
        created: 0,
        choices: vec![Choice {
            parts: vec![
                Part::new(Content::Reasoning { text: "hm".into(), signature: Some(signature("c2ln")) }),
                Part::new(Content::Redacted(signature("cmVk"))),
                Part::text("é is"),
                Part::new(Content::Text { text: " so".into(), citations: vec![cited] }),
                Part::new(Content::ToolCall(ToolCall {
                    id: "toolu_1".into(),
                    name: "f".into(),
                    arguments: r#"{"a":1.50}"#.into(),
                    signature: None,
                })),
            ],
            finish: Some(Finish::ToolCalls),
            ..Choice::default()
        }],
        usage: Some(Usage {
            input: 5,
            cache_read: 7,
            cache_write_5m: 10,
            cache_write_1h: 20,
            output: 9,
            reasoning: 4,
            ..Usage::default()
        }),
        service_tier: Some("standard".into()),
    };
    assert_eq!(reply, expected);
    assert_eq!(left_out, [""; 0]);
    assert_eq!(write(&reply), (WHOLE.to_owned(), vec![]));
}

#[test]
fn words_for_the_end_are_each_others() {
    for (word, finish) in [
        ("end_turn", Finish::Stop),
        ("stop_sequence", Finish::StopSequence),
        ("max_tokens", Finish::Length),
        ("tool_use", Finish::ToolCalls),
        ("refusal", Finish::Refusal),
        ("pause_turn", Finish::Pause),
    ] {
        let (reply, _) = read(&format!(r#"{{"content":[],"stop_reason":"{word}"}}"#));
        assert_eq!(reply.choices[0].finish, Some(finish));
        assert!(write(&reply).0.contains(&format!(r#""stop_reason":"{word}""#)));
    }
    let (reply, left_out) = read(r#"{"content":[],"stop_reason":"bored"}"#);
    assert_eq!((reply.choices[0].finish, left_out), (None, vec!["stop_reason".to_owned()]));
    let (reply, _) = read(r#"{"content":[],"stop_reason":"model_context_window_exceeded"}"#);
    assert_eq!(reply.choices[0].finish, Some(Finish::Length));
}

#[test]
fn the_end_that_other_apis_tell_is_the_one_that_clients_act_on() {
    let call = Part::new(Content::ToolCall(ToolCall { name: "f".into(), ..ToolCall::default() }));
    let no = Part::new(Content::Refusal("no".into()));
    for (parts, finish, expected) in [
        (vec![call], Some(Finish::Stop), "tool_use"),
        (vec![no], Some(Finish::Stop), "refusal"),
        (vec![], Some(Finish::ContentFilter), "refusal"),
        (vec![], None, "end_turn"),
    ] {
        let (out, _) = write(&one(Choice { parts, finish, ..Choice::default() }));
        assert!(out.contains(&format!(r#""stop_reason":"{expected}""#)), "{out}");
    }
}

#[test]
fn what_is_missing_is_made_and_what_cannot_be_said_is_named() {
    let seal = Signature { maker: Format::Gemini, data: "s".into() };
    let call = |arguments: &'static str, signature| {
        Part::new(Content::ToolCall(ToolCall {
            id: "".into(),
            name: "f".into(),
            arguments: arguments.into(),
            signature,
        }))
    };
    let image = Media {
        kind: MediaKind::Image,
        mime: Some("image/png".into()),
        source: Source::Base64("AA".into()),
        name: None,
        detail: None,
    };
    let parts = vec![Part::text(""), call("", Some(seal)), call("[1", None), Part::new(Content::Media(image))];
    let choice = Choice { parts, logprobs: Some("{}".into()), ..Choice::default() };
    let reply = Reply { choices: vec![choice, Choice::default()], ..Reply::default() };
    let (out, left_out) = write(&reply);
    let expected = [
        r#"{"id":"msg_x","type":"message","role":"assistant","model":"asked","content":["#,
        r#"{"type":"thinking","thinking":"","signature":"weir.gemini:s"},"#,
        r#"{"type":"tool_use","id":"toolu_x_0","name":"f","input":{}},"#,
        r#"{"type":"tool_use","id":"toolu_x_1","name":"f","input":{"INVALID_JSON":"[1"}}],"#,
        r#""stop_reason":"tool_use","stop_sequence":null,"usage":{"input_tokens":0,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":0}}"#,
    ];
    assert_eq!(out, expected.concat());
    assert_eq!(left_out, ["choices", "logprobs", "content[].media"]);
}

#[test]
fn a_seal_of_a_call_comes_back_with_its_call() {
    let body = concat!(
        r#"{"messages":[{"role":"assistant","content":[{"type":"thinking","thinking":"","signature":"weir.gemini:s"},"#,
        r#"{"type":"tool_use","id":"i","name":"f","input":{}}]}]}"#
    );
    let tree = Tree::read(body.as_bytes()).unwrap();
    let chat = Anthropic.read_chat(&tree, &mut Dropped::default()).unwrap();
    let signature = Some(Signature { maker: Format::Gemini, data: "s".into() });
    let call = ToolCall { id: "i".into(), name: "f".into(), arguments: "{}".into(), signature };
    assert_eq!(chat.turns[0].parts, [Part::new(Content::ToolCall(call))]);
}

#[test]
fn what_runs_at_the_provider_is_named() {
    let (reply, left_out) = read(concat!(
        r#"{"content":[{"type":"server_tool_use","id":"s","name":"web_search","input":{}},"#,
        r#"{"type":"web_search_tool_result","tool_use_id":"s","content":[]},{"type":"text","text":"a","citations":["#,
        r#"{"type":"char_location","cited_text":"q","document_index":1,"document_title":"D","start_char_index":3,"end_char_index":9}]}],"#,
        r#""stop_reason":"refusal","stop_details":{"type":"refusal","category":"bio","explanation":"why"},"#,
        r#""container":{"id":"c"},"usage":{"input_tokens":1,"output_tokens":1,"server_tool_use":{"web_search_requests":1,"web_fetch_requests":0}}}"#
    ));
    let expected = [
        "content[].server_tool_use",
        "content[].web_search_tool_result",
        "content[].citations[].start_char_index",
        "content[].citations[].end_char_index",
        "container",
        "usage.server_tool_use.web_search_requests",
    ];
    assert_eq!(left_out, expected);
    let parts = &reply.choices[0].parts;
    assert_eq!(parts[1], Part::new(Content::Refusal("why".into())));
    let Content::Text { citations, .. } = &parts[0].content else { unreachable!() };
    assert_eq!((citations[0].document, citations[0].title.as_deref()), (Some(1), Some("D")));
    assert!(write(&reply).0.contains(r#""type":"char_location","document_index":1,"document_title":"D""#));
}

#[test]
fn what_has_no_content_is_no_answer() {
    for body in ["[]", "{}", r#"{"content":"text"}"#, r#"{"choices":[]}"#] {
        let tree = Tree::read(body.as_bytes()).unwrap();
        assert!(Anthropic.read_reply(&tree, &mut Dropped::default()).is_err(), "{body}");
    }
}
