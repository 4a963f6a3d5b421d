//! What the names of OpenAI's models tell.

use super::*;
use crate::llm::chat::Tool;

#[test]
fn names_are_read() {
    let model = |family, version, cut| Model { family, version, cut };
    for (name, expected) in [
        ("gpt-5.4-mini-2026-03-17", model(Family::Gpt, 504, Cut::Usual)),
        ("openai/gpt-5.1-codex-max", model(Family::Gpt, 501, Cut::CodexMax)),
        ("gpt-6-astra", model(Family::Gpt, 600, Cut::Astra)),
        ("gpt-6.2-sol", model(Family::Gpt, 602, Cut::Usual)),
        ("gpt-5-chat-latest", model(Family::Plain, 0, Cut::Chat)),
        ("gpt-5-search-api", model(Family::Plain, 0, Cut::Usual)),
        ("gpt-5.2-chat-latest", model(Family::Gpt, 502, Cut::Chat)),
        ("ft:o4-mini:me", model(Family::O, 400, Cut::Usual)),
        // Words of an operator's that begin like a model's, and those of an organisation.
        ("gpt-5-prod", model(Family::Gpt, 500, Cut::Usual)),
        ("gpt-5.4-project-x", model(Family::Gpt, 504, Cut::Usual)),
        ("gpt-5.1-chatbot", model(Family::Gpt, 501, Cut::Usual)),
        ("gpt-5-research", model(Family::Gpt, 500, Cut::Usual)),
        ("gpt-5-codexes", model(Family::Gpt, 500, Cut::Usual)),
        ("o1-minimal", model(Family::O, 100, Cut::Usual)),
        ("ft:o4-mini-2025-04-16:acme-prod::x", model(Family::O, 400, Cut::Usual)),
        ("ft:gpt-5:acme-pro:my-chat:gpt-codex", model(Family::Gpt, 500, Cut::Usual)),
        ("ft:gpt-5-2025-08-07:acme-search::x", model(Family::Gpt, 500, Cut::Usual)),
        ("gpt-5-pro", model(Family::Gpt, 500, Cut::Pro)),
        ("gpt-5-pro-2025-10-06", model(Family::Gpt, 500, Cut::Pro)),
        ("openai/gpt-5-pro:online", model(Family::Gpt, 500, Cut::Pro)),
        ("o3-pro", model(Family::O, 300, Cut::Pro)),
        ("o3-pro-2025-06-10", model(Family::O, 300, Cut::Pro)),
        ("o3-deep-research-2025-06-26", model(Family::O, 300, Cut::Research)),
        ("gpt-5.1-chat-latest", model(Family::Gpt, 501, Cut::Chat)),
        ("gpt-5-codex", model(Family::Gpt, 500, Cut::Codex)),
        ("gpt-5.1-codex-mini", model(Family::Gpt, 501, Cut::CodexMini)),
        ("gpt-5.1-codex-max-2025-11-13", model(Family::Gpt, 501, Cut::CodexMax)),
        ("o1-mini-2024-09-12", model(Family::O, 100, Cut::Early)),
        ("o1-preview", model(Family::O, 100, Cut::Early)),
        ("gpt-4o-mini", model(Family::Plain, 0, Cut::Usual)),
        ("gpt-4.1", model(Family::Plain, 0, Cut::Usual)),
        ("gpt-3.5-turbo", model(Family::Plain, 0, Cut::Usual)),
        ("gpt-35-turbo", model(Family::Plain, 0, Cut::Usual)),
        ("chatgpt-4o-latest", model(Family::Plain, 0, Cut::Usual)),
        ("openai/gpt-oss-120b", model(Family::Other, 0, Cut::Usual)),
        ("omni-moderation-latest", model(Family::Other, 0, Cut::Usual)),
        ("llama-3", model(Family::Other, 0, Cut::Usual)),
    ] {
        assert_eq!(Model::named(name), expected, "{name}");
    }
}

/// What a model is told in Chat Completions of its own and in Responses, and whether something is lost.
fn told(name: &str, reasoning: Option<Reasoning>, tools: bool) -> [(Option<&'static str>, bool); 2] {
    let tools = if tools { vec![Tool::default()] } else { Vec::new() };
    let chat = Chat { reasoning, tools, ..Chat::default() };
    [Api::Deployment, Api::Responses].map(|api| {
        let mut dropped = Dropped::default();
        (Model::named(name).effort(&chat, api, &mut dropped), !dropped.is_empty())
    })
}

#[test]
fn every_model_is_told_a_word_that_it_knows() {
    let effort = |effort| Some(Reasoning { effort: Some(effort), ..Reasoning::default() });
    let off = Some(Reasoning { enabled: Some(false), ..Reasoning::default() });
    for (name, asked, expected) in [
        ("gpt-5", effort(Effort::Minimal), ["minimal"; 2]),
        ("gpt-5", effort(Effort::XHigh), ["high"; 2]),
        ("gpt-5.1", effort(Effort::Minimal), ["low"; 2]),
        ("gpt-5.1", effort(Effort::Max), ["high"; 2]),
        ("gpt-5.1-codex-max", effort(Effort::Max), ["xhigh"; 2]),
        ("gpt-5-pro", effort(Effort::Low), ["high"; 2]),
        ("gpt-5.2-pro", effort(Effort::Low), ["medium"; 2]),
        ("o3", effort(Effort::Minimal), ["low"; 2]),
        ("o3-deep-research", effort(Effort::High), ["medium"; 2]),
        ("gpt-5.4", effort(Effort::Max), ["xhigh"; 2]),
        ("gpt-5.6-sol", effort(Effort::Max), ["xhigh", "max"]),
        ("gpt-6-astra", effort(Effort::Minimal), ["low"; 2]),
        ("gpt-5.4", off, ["none"; 2]),
        ("someone/llama", effort(Effort::Minimal), ["minimal"; 2]),
    ] {
        assert_eq!(told(name, asked, false), expected.map(|word| (Some(word), false)), "{name} {asked:?}");
    }
    // What cannot be is the least that there is.
    assert_eq!(told("gpt-5", off, false), [(Some("minimal"), true); 2]);
    assert_eq!(told("gpt-6-astra", off, false), [(Some("low"), true); 2]);
    assert_eq!(told("gpt-4o", effort(Effort::Low), false), [(None, true); 2]);
    assert_eq!(told("gpt-4o", off, false), [(None, false); 2]);
    assert_eq!(told("gpt-5.4", None, false), [(None, false); 2]);
    let dynamic = Some(Reasoning { dynamic: true, ..Reasoning::default() });
    assert_eq!(told("gpt-4o", dynamic, false), [(None, true); 2]);
    assert_eq!(told("gpt-5", dynamic, false), [(None, false); 2]);
}

#[test]
fn the_newest_do_not_think_beside_functions_in_chat_completions() {
    let high = Some(Reasoning { effort: Some(Effort::High), ..Reasoning::default() });
    assert_eq!(told("gpt-5.4", high, true), [(Some("none"), true), (Some("high"), false)]);
    assert_eq!(told("gpt-5.6", None, true), [(Some("none"), false), (None, false)]);
    assert_eq!(told("gpt-5.2", high, true), [(Some("high"), false); 2]);
    // It has no "none": the API's own error says more than a word that it does not know.
    assert_eq!(told("gpt-6-astra", high, true), [(None, true), (Some("high"), false)]);
    // Somebody else's server may do what OpenAI's does not.
    let chat = Chat { reasoning: high, tools: vec![Tool::default()], ..Chat::default() };
    let word = Model::named("gpt-5.4").effort(&chat, Api::Chat, &mut Dropped::default());
    assert_eq!(word, Some("high"));
}

#[test]
fn what_a_model_refuses_follows_its_name() {
    let of = |name| {
        let model = Model::named(name);
        (model.is_sampled(None), model.is_sampled(Some("low")), model.is_steered(), model.stops())
    };
    assert_eq!(of("gpt-4o"), (true, true, true, true));
    assert_eq!(of("mistral-large"), (true, true, true, true));
    assert_eq!(of("o1"), (false, false, false, true));
    assert_eq!(of("o4-mini"), (false, false, false, false));
    assert_eq!(of("gpt-5-mini"), (false, false, false, false));
    assert_eq!(of("gpt-5.2"), (true, false, false, false));
    assert_eq!(of("gpt-5.3-codex"), (false, false, false, false));
    assert_eq!(of("gpt-5.6-luna"), (false, false, false, false));
    assert!(Model::named("gpt-5").says("low") && !Model::named("gpt-4.1").says("low"));
    assert!(Model::named("gpt-4.1").says("medium") && !Model::named("o3").counts_calls());
}

#[test]
fn what_is_served_where_follows_the_name() {
    for (name, only, reasons) in [
        ("gpt-4o", false, false),
        ("gpt-oss-120b", false, false),
        ("o1-mini", false, false),
        ("o3", false, true),
        ("o3-pro", true, true),
        ("gpt-5", false, true),
        ("gpt-5-codex", true, true),
        ("gpt-5.5-pro-2026-04-23", true, true),
        ("gpt-6-sol", false, true),
    ] {
        let model = Model::named(name);
        assert_eq!((model.only_in_responses(), model.reasons_in_responses()), (only, reasons), "{name}");
    }
}
