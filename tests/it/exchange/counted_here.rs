//! Counts of tokens for a model whose provider has no call for them: the answer is Weir's own, in the client's
//! shape, and nothing leaves.

use std::sync::Arc;

use serde_json::{Value, json};
use weir::base::money::NanoUsd;
use weir::exchange::event::{Answer, Ask, Event, Failure, Slot};
use weir::exchange::phase::BodyMode;
use weir::exchange::record::Outcome;
use weir::limit::Spent;
use weir::llm::{Dialect, Usage, UsageSource};
use weir::policy::{Policy, Unpriced};
use weir::target::{Azure, Backend, Choice, Rule, Serves, Targets};
use weir::tokens::bpe;
use weir::tokens::learned::Key;
use weir::wire::Speaks;
use weir::wire::rewrite::{Changes, Message, Prompt, Role};

use super::support::*;

/// Backends that count nothing.
fn silent() -> Vec<(&'static str, Backend)> {
    let place = |dialect| Backend { dialect, provider: "somebody".into(), ..backend("one", false) };
    let azure = Azure { version: "2024-10-21".into(), deployments: Vec::new() };
    let speaks = Speaks { responses: true, deployments: true, ..Speaks::default() };
    vec![
        ("Ollama", place(Dialect::Ollama)),
        ("Cohere", place(Dialect::Cohere)),
        ("an imitation of OpenAI", place(Dialect::OpenAi)),
        ("Azure by deployment", Backend { azure: Some(azure.into()), speaks, ..place(Dialect::Azure) }),
    ]
}

fn to(backend: Backend) -> Policy {
    Policy { targets: Targets::new(vec![(backend, Serves::default())], [].into()), ..policy() }
}

/// Who asks: a path, a body, and the whole answer for a number.
type Client = (String, Value, fn(u64) -> Value);

fn clients(model: &str) -> [Client; 4] {
    let said = json!([{"role": "user", "content": "hi"}]);
    let converse = json!({"input": {"converse": {"messages": [{"role": "user", "content": [{"text": "hi"}]}]}}});
    [
        (
            "/v1/messages/count_tokens".to_owned(),
            json!({"model": model, "messages": said}),
            |n| json!({"input_tokens": n}),
        ),
        (
            "/v1/responses/input_tokens".to_owned(),
            json!({"model": model, "input": "hi"}),
            |n| json!({"object": "response.input_tokens", "input_tokens": n}),
        ),
        (
            format!("/v1beta/models/{model}:countTokens"),
            json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}),
            |n| json!({"totalTokens": n}),
        ),
        (format!("/model/{model}/count-tokens"), converse, |n| json!({"inputTokens": n})),
    ]
}

/// As the world of a process counts.
fn count(ask: &Ask) -> u64 {
    let Ask::Wording { model, wording, .. } = ask else { panic!("{ask:?}") };
    wording.tokens(|text| bpe::count(model, text))
}

/// A rule for every call, with these backends one after the other.
fn rule(backends: &[usize], changes: Option<Changes>) -> Vec<Rule> {
    let choice =
        |(place, backend): (u32, &usize)| Choice { backend: *backend, model: None, priority: place, weight: 1 };
    let choices = (0..).zip(backends).map(choice).collect();
    vec![Rule { name: "all/r".into(), choices, changes: changes.map(Arc::new), ..Rule::default() }]
}

/// A call whose question is answered as a process would.
fn counted(policy: Policy, path: &str, body: &Value) -> World {
    let mut world = World::new(policy);
    world.call(path, body.to_string());
    let tokens = count(world.asks.last().expect("a question"));
    world.send(Event::Answer(Slot::Gate, Answer::Count(tokens)));
    world
}

fn said(world: &World) -> Value {
    serde_json::from_str(&world.client()).expect("JSON")
}

#[test]
fn every_client_has_its_tokens_counted_where_nobody_counts() {
    for (name, place) in silent() {
        for (path, body, answer) in clients("gpt-4o") {
            let mut world = counted(to(place.clone()), &path, &body);
            world.end();
            assert_eq!(world.asks.len(), 1, "{name}: {path}");
            // What OpenAI states for a message of one word: role and word, three for the message, three behind it.
            assert_eq!((world.envoy.client.status, said(&world)), (200, answer(8)), "{name}: {path}");
            assert_eq!(world.client_header("content-type"), Some("application/json"));
            assert!(!world.envoy.upstream.began, "{name}: {path}");
            let record = world.record();
            assert_eq!((record.outcome, record.usage_source), (Outcome::Answered, UsageSource::Estimated));
            assert_eq!((record.cost, record.usage, record.signed), (Some(NanoUsd(0)), Usage::default(), false));
            let decision = record.decisions.last().expect("a decision");
            let words = (decision.step, decision.outcome, decision.reason, &*decision.detail);
            assert_eq!(words, ("count", "answered", "counted_here", "8 tokens, estimated"));
        }
    }
}

#[test]
fn it_is_counted_in_every_mode_of_the_proxy() {
    let (_, place) = silent().remove(0);
    for mode in [BodyMode::FullDuplex, BodyMode::BufferedStreamed, BodyMode::Buffered] {
        let (path, body, answer) = &clients("llama3")[0];
        let mut world = World::in_mode(to(place.clone()), mode).answers([Answer::Count(7)]);
        world.call(path, body.to_string()).end();
        assert_eq!((world.envoy.client.status, said(&world)), (200, answer(7)), "{mode:?}");
    }
}

#[test]
fn what_is_known_of_the_model_stands_where_nobody_has_counted() {
    let (_, place) = silent().remove(0);
    let failures = [Answer::Failed(Failure::Timeout), Answer::Failed(Failure::Unavailable), Answer::Peeked];
    for failure in failures {
        for (path, _, answer) in clients("llama3") {
            let text = "x".repeat(1000 - "user".len());
            let (_, body, _) = clients("llama3").into_iter().find(|(other, ..)| *other == path).expect("it");
            let body: Value =
                serde_json::from_str(&body.to_string().replace("\"hi\"", &format!("{text:?}"))).expect("JSON");
            let mut world = World::new(to(place.clone())).answers([failure.clone()]);
            let key = Key { backend: "one", model: "llama3" };
            world.learned.observe_input(key, 100, 1000);
            world.call(&path, body.to_string()).end();
            // A tenth of the text, and what frames it.
            assert_eq!((world.envoy.client.status, said(&world)), (200, answer(100 + 6)), "{failure:?} {path}");
        }
    }
}

#[test]
fn what_is_no_chat_is_refused_in_the_clients_words() {
    let (_, place) = silent().remove(0);
    for (path, body, pointer, word) in [
        ("/v1/messages/count_tokens", json!({"model": "m"}), "/error/type", "invalid_request_error"),
        ("/v1/responses/input_tokens", json!({"model": "m", "input": 7}), "/error/type", "invalid_request_error"),
        ("/v1beta/models/m:countTokens", json!({"contents": 7}), "/error/status", "INVALID_ARGUMENT"),
        (
            "/model/m/count-tokens",
            json!({"input": {"invokeModel": {"body": "e30="}}}),
            "/__type",
            "ValidationException",
        ),
    ] {
        let mut world = World::new(to(place.clone()));
        world.call(path, body.to_string()).end();
        assert!(world.asks.is_empty(), "{path}");
        let found = said(&world);
        assert_eq!((world.envoy.client.status, found.pointer(pointer)), (400, Some(&json!(word))), "{path}: {found}");
    }
}

#[test]
fn what_a_rule_adds_to_the_chat_is_counted() {
    let (_, place) = silent().remove(0);
    let tokens = |words: &str, path: &str, body: &Value| {
        let message = Message { role: Role::System, content: words.to_owned() };
        let messages = if words.is_empty() { Vec::new() } else { vec![message] };
        let changes = Changes { prompt: Prompt::new(&messages, &[]), ..Changes::default() };
        let mut policy = to(place.clone());
        policy.targets.root.rules = rule(&[0], Some(changes)).into();
        count(counted(policy, path, body).asks.last().expect("a question"))
    };
    for (path, body, _) in clients("m") {
        let plain = tokens("", &path, &body);
        assert!(tokens("answer in one word", &path, &body) >= plain + 4, "{path}");
    }
}

/// Whoever may not call the model may not have it counted, and every step before the key is taken.
#[test]
fn the_steps_of_a_call_are_those_of_its_count() {
    let (_, place) = silent().remove(0);
    let mut policy = gated();
    policy.targets = Targets::new(vec![(place.clone(), Serves::default())], [].into());
    let answers = [granted(1), Answer::Judge(weir::guard::Verdict::Pass), granted(2), Answer::Count(7)];
    let mut world = World::new(policy).answers(answers);
    let (path, body, answer) = &clients("llama3")[0];
    world.call(path, body.to_string()).end();
    // Neither is an answer looked for in memory, nor a key fetched.
    assert_eq!((world.asks.len(), said(&world)), (4, answer(7)), "{:?}", world.asks);
    assert!(world.settles().iter().all(|settle| settle.spent == Spent::Nothing));

    let mut policy = to(place);
    policy.profile.unpriced = Unpriced::Deny;
    let mut world = World::new(policy);
    world.call(path, body.to_string()).end();
    assert_eq!((world.envoy.client.status, world.asks.len()), (403, 0), "{}", world.client());
}

/// A count goes where its chat would go, though another backend could count.
#[test]
fn a_count_goes_where_its_chat_goes() {
    let (_, first) = silent().remove(0);
    let second = Backend { dialect: Dialect::Anthropic, ..backend("two", false) };
    let mut policy = policy();
    policy.targets = Targets::new(vec![(first, Serves::default()), (second, Serves::default())], [].into());
    policy.targets.root.rules = rule(&[0, 1], None).into();
    let (path, body, _) = &clients("m")[0];
    let mut world = World::new(policy).answers([Answer::Count(7)]);
    world.call(path, body.to_string()).end();
    assert_eq!(world.record().backend.as_deref(), Some("one"));
}
