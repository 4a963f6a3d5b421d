//! What excludes what, and which model takes it.

use super::*;
use crate::llm::chat::{Effort, Reasoning, Role, Sampling, Tool, ToolChoice, Turn};
use crate::llm::part::{CacheMark, ToolCall, ToolResult};
use crate::llm::{Content, Format, Part, Signature};

fn effort(effort: Effort) -> Option<Reasoning> {
    Some(Reasoning { effort: Some(effort), ..Reasoning::default() })
}

fn chat() -> Chat<'static> {
    let mut chat = Chat { tools: vec![Tool { name: "f".into(), ..Tool::default() }], ..Chat::default() };
    chat.say(Role::User, [Part::text("u")]);
    chat
}

fn check(chat: &Chat<'_>, model: &str, has: &[&str], has_not: &[&str], left_out: &[&str]) {
    let (out, names) = written(chat, model, Envelope::Plain).unwrap();
    for text in has {
        assert!(out.contains(text), "{model}: {text} in {out}");
    }
    for text in has_not {
        assert!(!out.contains(text), "{model}: no {text} in {out}");
    }
    assert_eq!(names, left_out, "{model}: {out}");
}

#[test]
fn effort_is_a_budget_for_old_models_and_a_word_for_new_ones() {
    for (word, model, has) in [
        (Effort::Low, "claude-sonnet-4-5", r#""thinking":{"type":"enabled","budget_tokens":1024}"#),
        (Effort::Minimal, "claude-sonnet-4-5", r#""budget_tokens":1024"#),
        (Effort::Medium, "claude-opus-4-6", r#""thinking":{"type":"adaptive"},"output_config":{"effort":"medium"}"#),
        (Effort::XHigh, "claude-opus-4-6", r#"{"effort":"max"}"#),
        (Effort::XHigh, "claude-opus-4-7", r#"{"effort":"xhigh"}"#),
        (Effort::Minimal, "claude-opus-5-5", r#"{"effort":"low"}"#),
        (Effort::High, "deepseek-chat", r#""thinking":{"type":"enabled","budget_tokens":24576}"#),
    ] {
        let chat = Chat { reasoning: effort(word), max_output: Some(64_000), ..chat() };
        check(&chat, model, &[has], &[], &[]);
    }
}

#[test]
fn a_budget_leaves_room_for_an_answer_or_is_left_out() {
    for (budget, max_output, written, left_out) in [
        (2_000, 4_000, Some(2_000), &[][..]),
        (5_000, 4_000, Some(3_000), &[]),
        (10, 4_000, Some(1_024), &[]),
        (5_000, 1_025, Some(1_024), &[]),
        (5_000, 1_024, None, &["reasoning_effort"]),
    ] {
        let reasoning = Some(Reasoning { budget: Some(budget), ..Reasoning::default() });
        let chat = Chat { reasoning, max_output: Some(max_output), ..chat() };
        match written {
            Some(budget) => {
                check(&chat, "claude-opus-4-5", &[&format!(r#""budget_tokens":{budget}}}"#)], &[], left_out)
            }
            None => check(&chat, "claude-opus-4-5", &[], &["thinking"], left_out),
        }
    }
}

#[test]
fn that_a_model_shall_not_think_is_said_as_far_as_it_can_be() {
    let off = Some(Reasoning { enabled: Some(false), ..Reasoning::default() });
    let chat = Chat { reasoning: off, ..chat() };
    let disabled = r#""thinking":{"type":"disabled"}"#;
    check(&chat, "claude-sonnet-4-5", &[disabled], &[], &[]);
    check(&chat, "claude-haiku-5-5", &[disabled], &[], &[]);
    check(&chat, "claude-sonnet-5-5", &[r#""thinking":{"type":"between_tools"}"#], &[], &[]);
    check(&chat, "claude-fable-5", &[r#"{"effort":"low"}"#], &["thinking"], &["reasoning_effort"]);
    check(&chat, "claude-3-5-haiku-latest", &[], &["thinking"], &[]);
}

#[test]
fn a_forced_call_excludes_thinking_and_newest_models() {
    let forced = Chat { tool_choice: Some(ToolChoice::Named("f".into())), ..chat() };
    let both = Chat { reasoning: effort(Effort::High), max_output: Some(64_000), ..forced.clone() };
    let tool = r#""tool_choice":{"type":"tool","name":"f"}"#;
    check(&both, "claude-sonnet-4-5", &[tool], &["thinking"], &["reasoning_effort"]);
    check(&both, "claude-opus-4-8", &[tool, r#"{"effort":"high"}"#], &["thinking"], &[]);
    check(&both, "claude-opus-5-5", &[r#""tool_choice":{"type":"auto"}"#, "adaptive"], &[], &["tool_choice"]);
    check(&forced, "claude-fable-5-1", &[r#"{"type":"auto"}"#], &[], &["tool_choice"]);
    let alone = Chat { tools: vec![], ..forced };
    check(&alone, "claude-sonnet-4-5", &[], &["tool_choice"], &["tool_choice"]);
}

#[test]
fn calls_must_be_told_in_parallel_or_not() {
    let chat = Chat { parallel_tools: Some(false), ..chat() };
    check(&chat, "claude-sonnet-4-5", &[r#""tool_choice":{"type":"auto","disable_parallel_tool_use":true}"#], &[], &[]);
}

#[test]
fn sampling_is_kept_where_it_is_taken() {
    let sampled = |temperature, top_p, top_k| Sampling { temperature, top_p, top_k, ..Sampling::default() };
    let with = |sampling| Chat { sampling, ..chat() };
    let all = with(sampled(Some("0.5"), Some("0.9"), Some("7")));
    check(&all, "claude-sonnet-4-5", &[r#""temperature":0.5,"top_k":7"#], &[], &["top_p"]);
    check(&all, "claude-3-5-haiku-latest", &[r#""temperature":0.5,"top_p":0.9,"top_k":7"#], &[], &[]);
    check(&all, "claude-opus-4-7", &[], &["temperature", "top_"], &["temperature", "top_p", "top_k"]);
    // What is the default says nothing.
    check(&with(sampled(Some("1"), Some("1.0"), None)), "claude-opus-5", &[], &["temperature", "top_p"], &[]);
    check(&with(sampled(Some("1.7"), None, None)), "claude-sonnet-4-5", &[r#""temperature":1"#], &[], &["temperature"]);
    let thinking = Chat { reasoning: effort(Effort::Low), ..with(sampled(None, Some("0.97"), Some("7"))) };
    check(&thinking, "claude-sonnet-4-5", &[r#""top_p":0.97"#, "enabled"], &[], &["top_k"]);
    let thinking = Chat { reasoning: effort(Effort::Low), ..with(sampled(Some("0.2"), Some("0.5"), None)) };
    check(&thinking, "claude-sonnet-4-5", &["enabled"], &["temperature", "top_p"], &["temperature", "top_p"]);
}

#[test]
fn a_call_that_was_not_thought_here_is_gone_on_with_without_a_budget() {
    let call = Content::ToolCall(ToolCall { id: "c".into(), name: "f".into(), ..ToolCall::default() });
    let result = ToolResult { id: "c".into(), name: None, parts: vec![Part::text("r")], is_error: false };
    let sealed = |maker, data: &'static str| Content::Reasoning {
        text: "t".into(),
        signature: Some(Signature { maker, data: data.into() }),
    };
    let thought = |maker| sealed(maker, "s");
    let with = |first: Option<Content<'static>>| {
        let mut chat = Chat { reasoning: effort(Effort::Low), ..chat() };
        chat.say(Role::Assistant, first.into_iter().chain([call.clone()]).map(Part::new));
        chat.say(Role::User, [Part::new(Content::ToolResult(result.clone()))]);
        chat
    };
    check(&with(None), "claude-sonnet-4-5", &[], &["thinking"], &["reasoning_effort"]);
    check(&with(None), "claude-sonnet-4-6", &["adaptive"], &[], &[]);
    let own = with(Some(thought(Format::Messages)));
    check(&own, "claude-sonnet-4-5", &["enabled", r#""signature":"s""#], &[], &[]);
    // Bedrock's Claude is the same model.
    let moved = with(Some(sealed(Format::Converse, "EqQBCg")));
    check(&moved, "claude-sonnet-4-5", &["enabled", r#""signature":"EqQBCg""#], &[], &[]);
    let foreign = with(Some(thought(Format::Responses)));
    let left_out = ["messages[].reasoning_content", "reasoning_effort"];
    check(&foreign, "claude-sonnet-4-5", &[], &["thinking"], &left_out);
}

#[test]
fn what_the_assistant_said_last_is_what_of_it_is_written() {
    let mut chat = Chat { reasoning: effort(Effort::Low), ..chat() };
    let call = ToolCall { id: "c".into(), name: "f".into(), ..ToolCall::default() };
    let result = ToolResult { id: "c".into(), name: None, parts: vec![], is_error: false };
    chat.say(Role::Assistant, [Part::new(Content::ToolCall(call))]);
    chat.say(Role::User, [Part::new(Content::ToolResult(result))]);
    chat.say(Role::Assistant, [Part::text(" ")]);
    check(&chat, "claude-sonnet-4-5", &[], &["thinking"], &["reasoning_effort"]);
}

#[test]
fn a_tool_that_is_not_there_cannot_be_chosen() {
    let named = Chat { tool_choice: Some(ToolChoice::Named("g".into())), ..chat() };
    check(&named, "claude-sonnet-4-5", &[r#""tool_choice":{"type":"auto"}"#], &[], &["tool_choice"]);
    let among = ToolChoice::Among { names: vec!["g".into()], required: false };
    let among = Chat { tool_choice: Some(among), ..chat() };
    check(&among, "claude-sonnet-4-5", &[], &["tools", "tool_choice"], &["tool_choice"]);
}

#[test]
fn calls_of_before_name_their_tools() {
    let mut chat = Chat { tools: vec![], ..chat() };
    let call = ToolCall { id: "a:b".into(), name: "f".into(), ..ToolCall::default() };
    let result = ToolResult { id: "a:b".into(), name: None, parts: vec![], is_error: false };
    chat.say(Role::Assistant, [Part::new(Content::ToolCall(call))]);
    chat.say(Role::User, [Part::new(Content::ToolResult(result))]);
    let tools =
        r#""tools":[{"name":"f","input_schema":{"type":"object","properties":{}}}],"tool_choice":{"type":"none"}"#;
    check(&chat, "claude-sonnet-4-5", &[tools, r#""id":"a_b""#, r#""tool_use_id":"a_b""#], &[], &[]);
}

#[test]
fn what_was_called_is_named_once_and_in_order() {
    let mut chat = Chat { tools: vec![], ..chat() };
    for at in [0, 1, 0, 2, 1, 3] {
        let call = ToolCall { name: format!("f{at}").into(), ..ToolCall::default() };
        chat.say(Role::Assistant, [Part::new(Content::ToolCall(call))]);
    }
    let row = |at: usize| format!(r#"{{"name":"f{at}","input_schema":{{"type":"object","properties":{{}}}}}}"#);
    let tools = format!(r#""tools":[{}],"#, [0, 1, 2, 3].map(row).join(","));
    check(&chat, "claude-sonnet-4-5", &[&tools], &[], &[]);
}

#[test]
fn only_the_tools_that_may_be_called_are_told_in_their_order() {
    let tool = |at: usize| Tool { name: format!("f{at}").into(), cache: Some(CacheMark::Default), ..Tool::default() };
    // The strangers and the twice named change nothing; the tools that are not told take no mark.
    let names = [9, 4, 1, 4].map(|at| format!("f{at}").into()).to_vec();
    let choice = ToolChoice::Among { names, required: true };
    let chat = Chat { tools: (0..6).map(tool).collect(), tool_choice: Some(choice), ..chat() };
    let row = |at: usize| {
        let mark = r#""cache_control":{"type":"ephemeral"}"#;
        format!(r#"{{"name":"f{at}","input_schema":{{"type":"object","properties":{{}}}},{mark}}}"#)
    };
    let tools = format!(r#""tools":[{},{}],"tool_choice":{{"type":"any"}}"#, row(1), row(4));
    check(&chat, "claude-sonnet-4-5", &[&tools], &[], &[]);
}

/// Turns of a user, an assistant and a system: the messages that become of them, and the blocks of `system`.
#[test]
fn a_late_instruction_stays_between_a_user_and_an_assistant() {
    for (turns, messages, blocks) in [
        ("us", "us", 0),
        ("usau", "usau", 0),
        ("ussau", "usau", 0),
        ("usu", "u", 1),
        ("ussu", "u", 2),
        ("suasau", "uau", 2),
        ("usausu", "usau", 1),
        ("usauss", "usaus", 0),
        ("ssusausauusu", "usausau", 3),
    ] {
        let mut chat = Chat::default();
        for letter in turns.chars() {
            let role = match letter {
                'u' => Role::User,
                'a' => Role::Assistant,
                _ => Role::System,
            };
            chat.turns.push(Turn { role, parts: vec![Part::text("t")], name: None });
        }
        let (out, _) = written(&chat, "claude-opus-5", Envelope::Plain).unwrap();
        let body: serde_json::Value = serde_json::from_str(&out).unwrap();
        let said = body["messages"].as_array().unwrap().iter().map(|message| &message["role"].as_str().unwrap()[..1]);
        let system = body["system"].as_array().map_or(0, Vec::len);
        assert_eq!((said.collect::<String>().as_str(), system), (messages, blocks), "{turns}");
    }
}

#[test]
fn only_old_models_go_on_with_the_assistants_words() {
    let mut chat = chat();
    chat.say(Role::Assistant, [Part::text("It is ")]);
    check(&chat, "claude-sonnet-4-5", &[r#""text":"It is"}]}]"#], &[], &[]);
    let refused = written(&chat, "claude-opus-4-6", Envelope::Plain).unwrap_err();
    assert_eq!(refused.param.as_deref(), Some("messages"));
}

#[test]
fn what_nobody_here_understands_is_named_in_openais_words() {
    let chat = Chat {
        logprobs: Some(true),
        top_logprobs: Some(2),
        choices: Some(2),
        metadata: vec![("k".into(), "v".into())],
        user: Some("u".repeat(300).into()),
        service_tier: Some("flex".into()),
        cache_key: Some("k".into()),
        store: Some(true),
        verbosity: Some("low".into()),
        audio: Some(Default::default()),
        images: true,
        stop: vec!["\n".into(), "END".into()],
        sampling: Sampling {
            min_p: Some("0.1"),
            seed: Some("7"),
            presence_penalty: Some("0.5"),
            frequency_penalty: Some("0"),
            logit_bias: Some("{\"1\":2}"),
            ..Sampling::default()
        },
        ..chat()
    };
    let left_out = [
        "stop",
        "user",
        "service_tier",
        "min_p",
        "seed",
        "presence_penalty",
        "logit_bias",
        "logprobs",
        "top_logprobs",
        "n",
        "metadata",
        "prompt_cache_key",
        "store",
        "verbosity",
        "audio",
        "modalities",
    ];
    check(&chat, "claude-sonnet-4-5", &[r#""stop_sequences":["END"]"#], &["metadata", "service_tier"], &left_out);
    let silent = Chat { store: Some(false), logprobs: Some(false), choices: Some(1), ..self::chat() };
    check(&silent, "claude-sonnet-4-5", &[], &[], &[]);
}
