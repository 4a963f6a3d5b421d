//! What a provider wants otherwise, in a body that leaves in the client's own format.

use super::*;
use crate::wire::rewrite::parameters::{Action, Parameter};

const OLD: &[Quirk] = &[Quirk::OnlyMaxTokens];
const NEW: &[Quirk] = &[Quirk::OnlyMaxCompletionTokens];
const COOL: &[Quirk] = &[Quirk::TemperatureBelowTwo];

fn left_for(quirks: &[Quirk], changes: Option<&Changes>, call: Call, body: &str) -> String {
    let bytes = Bytes::copy_from_slice(body.as_bytes());
    let fields = read(call, &bytes).unwrap();
    let want = Rewrite { model: "m", ask_usage: false, quirks, changes };
    let (left, _) = openai::rewrite(&bytes, &fields, want).unwrap();
    String::from_utf8(left.to_vec()).unwrap()
}

#[test]
fn a_field_has_the_name_that_the_provider_reads() {
    for (quirks, body, wanted) in [
        (OLD, r#"{"model":"m", "max_completion_tokens" : 9}"#, r#"{"model":"m", "max_tokens" : 9}"#),
        (NEW, r#"{"model":"m","max_tokens":9,"x":1}"#, r#"{"model":"m","max_completion_tokens":9,"x":1}"#),
        (OLD, r#"{"model":"m","max_tokens":9}"#, r#"{"model":"m","max_tokens":9}"#),
        (NEW, r#"{"model":"m","max_completion_tokens":9}"#, r#"{"model":"m","max_completion_tokens":9}"#),
        // Both are the client's own, and what becomes of them the provider's.
        (
            OLD,
            r#"{"model":"m","max_tokens":9,"max_completion_tokens":8}"#,
            r#"{"model":"m","max_tokens":9,"max_completion_tokens":8}"#,
        ),
        // A null states nothing.
        (
            OLD,
            r#"{"model":"m","max_tokens":null,"max_completion_tokens":8}"#,
            r#"{"model":"m","max_tokens":8,"max_completion_tokens":null}"#,
        ),
        (
            NEW,
            r#"{"model":"m","max_tokens":8,"max_completion_tokens":null}"#,
            r#"{"model":"m","max_tokens":null,"max_completion_tokens":8}"#,
        ),
        (
            OLD,
            r#"{"model":"m","max_tokens":8,"max_completion_tokens":null}"#,
            r#"{"model":"m","max_tokens":8,"max_completion_tokens":null}"#,
        ),
        (COOL, r#"{"model":"m","temperature":2}"#, r#"{"model":"m","temperature":1.99}"#),
        (COOL, r#"{"model":"m","temperature":2.0}"#, r#"{"model":"m","temperature":1.99}"#),
        (COOL, r#"{"model":"m","temperature":1.99}"#, r#"{"model":"m","temperature":1.99}"#),
        // No provider takes these, and the client shall hear that.
        (COOL, r#"{"model":"m","temperature":3}"#, r#"{"model":"m","temperature":3}"#),
        (COOL, r#"{"model":"m","temperature":"2"}"#, r#"{"model":"m","temperature":"2"}"#),
        (COOL, r#"{"model":"m","max_tokens":9}"#, r#"{"model":"m","max_tokens":9}"#),
    ] {
        assert_eq!(left_for(quirks, None, CHAT, body), wanted, "{quirks:?}");
    }
    // Completions have one name alone.
    let body = r#"{"model":"m","max_tokens":9,"prompt":"x"}"#;
    assert_eq!(left_for(NEW, None, COMPLETION, body), body);
}

#[test]
fn a_bound_of_a_rule_is_said_once_and_in_that_name() {
    for (quirks, body, wanted) in [
        (OLD, r#"{"model":"m","max_completion_tokens":900}"#, r#"{"model":"m","max_tokens":5}"#),
        (OLD, r#"{"model":"m","max_completion_tokens":4}"#, r#"{"model":"m","max_tokens":4}"#),
        (OLD, r#"{"model":"m","max_completion_tokens":null}"#, r#"{"model":"m","max_tokens":5}"#),
        (OLD, r#"{"model":"m"}"#, r#"{"model":"m","max_tokens":5}"#),
        (NEW, r#"{"model":"m","max_tokens":900}"#, r#"{"model":"m","max_completion_tokens":5}"#),
        (NEW, r#"{"model":"m"}"#, r#"{"model":"m","max_completion_tokens":5}"#),
        (
            OLD,
            r#"{"model":"m","max_tokens":null,"max_completion_tokens":900}"#,
            r#"{"model":"m","max_tokens":5,"max_completion_tokens":5}"#,
        ),
        // llama.cpp reads its own name first.
        (OLD, r#"{"model":"m","max_tokens":4,"n_predict":900}"#, r#"{"model":"m","max_tokens":4,"n_predict":5}"#),
        (OLD, r#"{"model":"m","n_predict":4}"#, r#"{"model":"m","n_predict":4,"max_tokens":5}"#),
    ] {
        assert_eq!(left_for(quirks, Some(&capped(5)), CHAT, body), wanted, "{quirks:?}");
    }
    let parameter =
        |name: &str, json: &[u8]| Parameter { name: name.to_owned(), action: Action::Override(json.to_vec()) };
    let rule = Changes {
        parameters: vec![parameter("max_tokens", b"7"), parameter("temperature", b"2")],
        ..Changes::default()
    };
    let both = [Quirk::OnlyMaxTokens, Quirk::TemperatureBelowTwo];
    let left = left_for(&both, Some(&rule), CHAT, r#"{"model":"m","max_completion_tokens":900,"temperature":2}"#);
    let names: Vec<String> = object(left.as_bytes()).unwrap().iter().map(|member| member.key.to_string()).collect();
    assert_eq!(names, ["model", "max_completion_tokens", "temperature", "max_tokens"], "no name stands twice: {left}");
}

#[test]
fn the_catalogue_says_which_providers_want_it() {
    let catalog = crate::catalog::Catalog::builtin();
    let has = |id: &str, quirk| catalog.provider(id).unwrap().has(quirk);
    assert!(has("streamlake", Quirk::OnlyMaxCompletionTokens) && has("mistral", Quirk::OnlyMaxTokens));
    assert!(has("scx-ai", Quirk::TemperatureBelowTwo) && has("scx-ai", Quirk::OnlyMaxTokens));
    for provider in catalog.providers() {
        let two = [Quirk::OnlyMaxTokens, Quirk::OnlyMaxCompletionTokens];
        assert!(!two.iter().all(|quirk| provider.has(*quirk)), "{} reads neither", provider.id);
    }
}
