//! What a call says beside its body: what of it leaves makes another question, and what does not leave makes none.

use std::sync::Arc;

use weir::cache::Digest;
use weir::exchange::event::{Ask, Event};
use weir::llm::Dialect;
use weir::policy::Policy;

use super::support::*;

const BODY: &str = r#"{"model":"gpt-4o-mini","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}"#;
const INPUT: &str = r#"{"model":"gpt-4o-mini","input":"hi"}"#;

/// What is looked for of a call with these headers.
fn asked(policy: Policy, path: &str, headers: &[(&str, &str)], body: &str) -> Vec<Digest> {
    let mut world = World::new(policy).answers(all_clear());
    let mut head = post(path);
    headers.iter().for_each(|(name, value)| head.headers.push(name, value.as_bytes()));
    world.send(Event::Request(head, false)).send(Event::RequestBody(bytes(body), true));
    let found = world.asks.iter().find_map(|ask| match ask {
        Ask::Recall(ask, _) => Some(vec![ask.digest]),
        Ask::RecallItems(ask) => Some(ask.digests.to_vec()),
        _ => None,
    });
    found.expect("it is looked for")
}

fn of(dialect: Dialect, headers: &[(&str, &str)]) -> Policy {
    let mut policy = gated();
    let backend = Arc::make_mut(&mut policy.targets.backends[0]);
    (backend.dialect, backend.prefix) = (dialect, "/v1".into());
    backend.headers = headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    policy
}

#[test]
fn what_leaves_beside_the_body_makes_another_question() {
    for (path, body) in [("/v1/chat/completions", BODY), ("/v1/embeddings", INPUT)] {
        let asked = |policy, path: &str, headers: &[(&str, &str)]| asked(policy, path, headers, body);
        let openai = || of(Dialect::OpenAi, &[]);
        let plain = asked(openai(), path, &[]);
        let mut seen = vec![plain.clone()];
        for other in [
            asked(openai(), path, &[("openai-beta", "x")]),
            asked(openai(), path, &[("extra-parameters", "drop")]),
            asked(openai(), &format!("{path}?api-version=1"), &[]),
            asked(openai(), &format!("{path}?api-version=2"), &[]),
            asked(of(Dialect::OpenAi, &[("openai-organization", "org-1")]), path, &[]),
            asked(of(Dialect::OpenAi, &[("openai-organization", "org-2")]), path, &[]),
        ] {
            assert!(!seen.contains(&other), "{path}: {}", seen.len());
            seen.push(other);
        }
        // A caller does not choose whose account answers, and a document's word is the last.
        for (name, value) in
            [("openai-organization", "org-1"), ("openai-project", "p"), ("x-goog-user-project", "p"), ("x-other", "y")]
        {
            assert_eq!(asked(openai(), path, &[(name, value)]), plain, "{path}: {name}");
        }
        for query in ["key=k", "alt=sse", "access_token=t&prettyPrint=true", ""] {
            assert_eq!(asked(openai(), &format!("{path}?{query}"), &[]), plain, "{path}?{query}");
        }
        let set = || of(Dialect::OpenAi, &[("openai-beta", "x")]);
        assert_eq!(asked(set(), path, &[("openai-beta", "y")]), asked(set(), path, &[]));
    }
}

#[test]
fn the_same_question_in_another_api_is_the_same_with_what_that_api_must_have() {
    let anthropic = || of(Dialect::Anthropic, &[]);
    let crossed = asked(anthropic(), "/v1/chat/completions", &[("anthropic-version", "2099-01-01")], BODY);
    let version = |version| asked(anthropic(), "/v1/messages", &[("anthropic-version", version)], BODY);
    assert_eq!(version("2023-06-01"), crossed);
    assert_ne!(version("2023-01-01"), crossed);
}
