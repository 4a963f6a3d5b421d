//! OpenAI's custom tools: their names, and the texts of their calls.

use proptest::prelude::*;

use super::*;

fn in_pieces(arguments: &str, size: usize) -> String {
    let mut text = Text::default();
    let chars: Vec<char> = arguments.chars().collect();
    let mut said: String = chars.chunks(size).map(|piece| text.push(&piece.iter().collect::<String>())).collect();
    said.push_str(&text.end());
    said
}

/// Nothing that may come makes it keep more than a little; whatever it keeps, nothing of the text is lost.
#[test]
fn what_is_kept_is_bounded() {
    for (begin, piece, expected) in [
        ("", " ", " ".repeat(100_000)),
        ("{", "\n", format!("{{{}", "\n".repeat(100_000))),
        (r#"{"text":""#, "a", format!(r#"{{"text":"{}"#, "a".repeat(100_000))),
        (r#"{"input":"a""#, " ", "a".to_owned()),
        (r#"{"input":"a"}"#, "b", "a".to_owned()),
        (r#"{"input":""#, "a", "a".repeat(100_000)),
    ] {
        let mut text = Text::default();
        let mut said = text.push(begin);
        for _ in 0..100_000 {
            said.push_str(&text.push(piece));
            assert!(text.len() <= MOST, "{begin} {}", text.len());
        }
        said.push_str(&text.end());
        assert!(said == expected, "{begin}");
        assert!(text_of(&[begin, &piece.repeat(100_000)].concat()) == expected, "{begin}");
    }
    // The longest beginning there is, and one beyond.
    for (spaces, is_form) in [(MOST - OPEN.len(), true), (MOST - OPEN.len() + 1, false)] {
        let arguments = [&" ".repeat(spaces), OPEN, "a", CLOSE].concat();
        let expected = if is_form { "a" } else { &arguments };
        for size in [1, 7, 5000] {
            assert_eq!(in_pieces(&arguments, size), expected, "{spaces} {size}");
        }
    }
}

proptest! {
    #[test]
    fn a_text_comes_out_as_it_went_in(text in "[a\"\\\\\n\té\u{1f600}\u{1}/u0-9]{0,40}", size in 1_usize..8) {
        let arguments = arguments(&text);
        prop_assert_eq!(text_of(&arguments), text.clone());
        prop_assert_eq!(in_pieces(&arguments, size), text.clone());
        let spelled = serde_json::to_string_pretty(&serde_json::json!({"input": text})).unwrap();
        prop_assert_eq!(in_pieces(&spelled, size), text);
    }

    #[test]
    fn whatever_comes_is_the_same_in_any_pieces(arguments in "[{}\"input:\\\\ud83de00 a]{0,30}", size in 1_usize..8) {
        prop_assert_eq!(in_pieces(&arguments, size), in_pieces(&arguments, 1000));
        prop_assert_eq!(in_pieces(&arguments, size), text_of(&arguments));
    }
}

#[test]
fn what_is_of_another_form_is_the_text_itself() {
    for (arguments, text) in [
        (r#"{ "input" : "a" }"#, "a"),
        (r#"{"input":"\ud83d\ude00\ud83dx\u00e9"}"#, "\u{1f600}\u{fffd}xé"),
        (r#"{"text":"a"}"#, r#"{"text":"a"}"#),
        ("*** Begin Patch", "*** Begin Patch"),
        (r#"{"input":1}"#, r#"{"input":1}"#),
        (r#"{"x":1,"input":"a"}"#, r#"{"x":1,"input":"a"}"#),
        (r#"{"input":"a","x":1}"#, "a"),
        (r#"{"input":"a"} and more"#, "a"),
        (r#"{"input":"a\"#, "a"),
        (r#"{"input":"a"#, "a"),
        (r#"{"inp"#, r#"{"inp"#),
        ("{}x", "{}x"),
        ("} ", "} "),
        (" \n", " \n"),
        (" { } ", ""),
        ("{}", ""),
        ("", ""),
    ] {
        assert_eq!(in_pieces(arguments, 1), text, "{arguments}");
        assert_eq!(text_of(arguments), text, "{arguments}");
    }
}

#[test]
fn custom_tools_are_found_in_both_apis() {
    for (dialect, body, found) in [
        (Dialect::OpenAi, r#"{"tools":[{"type":"custom","name":"p"},{"type":"function","name":"f"}]}"#, true),
        (Dialect::OpenAi, r#"{"tools":[{"type":"custom","custom":{"name":"p"}}]}"#, true),
        (Dialect::Anthropic, r#"{"tools":[{"type":"custom","name":"p"}]}"#, false),
        (Dialect::OpenAi, r#"{"tools":[],"x":"custom"}"#, false),
        (Dialect::OpenAi, r#"{"tools":[{"type":"custom""#, false),
    ] {
        let custom = Custom::of(dialect, body.as_bytes());
        assert_eq!((custom.has("p"), custom.has("f"), custom == Custom::default()), (found, false, !found), "{body}");
    }
}

#[test]
fn every_name_is_known_and_no_other() {
    let names = |from: u32| (from..1_000).step_by(2).map(|at| at.to_string().into_boxed_str());
    let custom = Custom::from_iter(names(0));
    assert!(names(0).all(|name| custom.has(&name)) && !names(1).any(|name| custom.has(&name)));
    assert_eq!(Custom::from_iter([]), Custom::default());
}

#[test]
fn a_tool_with_a_grammar_tells_the_model_of_it() {
    let format = grammar("lark", "start: \"a\"");
    let tools = vec![tool("p".into(), Some("Patch.".into()), format.into()), tool("q".into(), None, "{}".into())];
    let mut chat = Chat { tools, ..Chat::default() };
    let mut dropped = Dropped::default();
    become_functions(&mut chat, &mut dropped);
    let told = "Patch.\n\nThe input must be a text of this lark grammar:\nstart: \"a\"";
    assert_eq!((chat.tools[0].description.as_deref(), chat.tools[1].description.as_deref()), (Some(told), None));
    assert!(chat.tools.iter().all(|tool| tool.parameters.as_deref() == Some(PARAMETERS) && tool.custom.is_none()));
    assert_eq!(dropped.names(), ["tools[].format"]);
}
