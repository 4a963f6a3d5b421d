//! What a provider says of asking again, and of how much it allows, as clients of other APIs are told it.

use std::time::Duration;

use serde_json::{Value, json};
use weir::exchange::event::{Event, Note};
use weir::llm::Dialect;
use weir::policy::Policy;
use weir::target::health::Outcome;
use weir::target::{Backend, Serves, Targets};

use super::support::*;

const MESSAGES: &str = "/v1/messages";
const CONVERSE: &str = "/model/m/converse";
const GENERATE: &str = "/v1beta/models/m:generateContent";

fn to(dialect: Dialect) -> Policy {
    let backend = Backend { dialect, provider: "somebody".into(), ..backend("one", false) };
    Policy { targets: Targets::new(vec![(backend, Serves::default())], [].into()), ..policy() }
}

fn body(path: &str) -> String {
    let turn = json!({"role": "user", "content": "hi"});
    match path {
        CONVERSE => json!({"messages": [{"role": "user", "content": [{"text": "hi"}]}]}),
        GENERATE => json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}),
        _ => json!({"model": "m", "max_tokens": 9, "messages": [turn]}),
    }
    .to_string()
}

/// A call whose client gets this answer from its provider.
fn answered(path: &str, dialect: Dialect, status: u16, more: &[(&str, &str)], said: &str) -> World {
    let mut world = World::new(to(dialect));
    world.call(path, body(path));
    assert!(world.envoy.upstream.began, "it was refused: {}", world.client());
    world.reply(response(status, &[&[("content-type", "application/json")], more].concat()), said).end();
    world
}

fn said(world: &World) -> Value {
    serde_json::from_str(&world.client()).expect("JSON")
}

const OPENAI: &[(&str, &str)] = &[
    ("x-ratelimit-limit-requests", "60"),
    ("x-ratelimit-remaining-requests", "59"),
    ("x-ratelimit-reset-requests", "1s"),
    ("x-ratelimit-remaining-tokens", "149984"),
    ("x-ratelimit-reset-tokens", "6m0s"),
];

/// The same a second after the epoch of these tests.
const ANTHROPIC: &[(&str, &str)] = &[
    ("anthropic-ratelimit-requests-limit", "60"),
    ("anthropic-ratelimit-requests-remaining", "59"),
    ("anthropic-ratelimit-requests-reset", "2023-11-14T22:13:21Z"),
    ("anthropic-ratelimit-tokens-remaining", "149984"),
    ("anthropic-ratelimit-tokens-reset", "2023-11-14T22:19:20Z"),
];

const COMPLETION: &str = r#"{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,
    "message":{"role":"assistant","content":"x"},"finish_reason":"stop"}],
    "usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}"#;

const MESSAGE: &str = r#"{"id":"msg","type":"message","role":"assistant","model":"m","content":[{"type":"text",
    "text":"x"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":1}}"#;

#[test]
fn how_much_is_allowed_is_said_in_the_clients_words() {
    let error = r#"{"type":"error","error":{"type":"rate_limit_error","message":"m"}}"#;
    for (path, dialect, status, answer, from, expected) in [
        (MESSAGES, Dialect::OpenAi, 200, COMPLETION, OPENAI, ANTHROPIC),
        (CHAT, Dialect::Anthropic, 200, MESSAGE, ANTHROPIC, OPENAI),
        (CHAT, Dialect::Anthropic, 429, error, ANTHROPIC, OPENAI),
        // Its head is all there is.
        (CHAT, Dialect::Anthropic, 429, "", ANTHROPIC, OPENAI),
        // These say nothing in headers.
        (GENERATE, Dialect::OpenAi, 200, COMPLETION, OPENAI, &[][..]),
        (CONVERSE, Dialect::Anthropic, 200, MESSAGE, ANTHROPIC, &[]),
        // And this says it in words that it shares with its client.
        (CHAT, Dialect::OpenAi, 200, COMPLETION, OPENAI, OPENAI),
    ] {
        let mut world = World::new(to(dialect));
        world.call(path, body(path));
        let head = response(status, &[&[("content-type", "application/json")], from].concat());
        match answer {
            "" => world.send(Event::Response(head, true)),
            answer => world.reply(head, answer),
        };
        world.end();
        let what = format!("{path} at {dialect}, {status}");
        assert_eq!(world.envoy.client.status, status, "{what}: {}", world.client());
        for (name, _) in OPENAI.iter().chain(ANTHROPIC) {
            let text = expected.iter().find(|(known, _)| known == name).map(|(_, text)| *text);
            assert_eq!(world.client_header(name), text, "{what}: {name}");
        }
    }
}

#[test]
fn what_is_known_of_no_other_api_does_not_reach_its_clients() {
    let more =
        [("anthropic-ratelimit-unified-status", "allowed"), ("retry-after-ms", "1500"), ("x-should-retry", "true")];
    let world = answered(CHAT, Dialect::Anthropic, 200, &more, MESSAGE);
    assert_eq!(world.client_header("anthropic-ratelimit-unified-status"), None);
    assert_eq!(world.client_header("retry-after-ms"), Some("1500"));
    assert_eq!(world.client_header("x-should-retry"), Some("true"));
}

/// As Gemini answers where a minute's quota is used up.
const EXHAUSTED: &str = r#"{"error":{"code":429,"message":"You exceeded your current quota.","status":
    "RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaId":
    "GenerateRequestsPerMinutePerProjectPerModel"}]},{"@type":"type.googleapis.com/google.rpc.RetryInfo",
    "retryDelay":"34.074s"}]}}"#;

#[test]
fn a_delay_in_the_body_reaches_every_client_and_the_choice_of_backends() {
    for path in [CHAT, "/v1/responses", MESSAGES, CONVERSE] {
        let path_body =
            if path == "/v1/responses" { json!({"model": "m", "input": "hi"}).to_string() } else { body(path) };
        let mut world = World::new(to(Dialect::Gemini));
        world.call(path, path_body);
        world.reply(response(429, &[("content-type", "application/json")]), EXHAUSTED).end();
        assert_eq!(world.envoy.client.status, 429, "{path}");
        assert_eq!(world.client_header("retry-after"), Some("35"), "{path}");
        assert_eq!(world.client_header("retry-after-ms"), Some("34074"), "{path}");
        assert_eq!(observed(&world), [Outcome::RateLimited(Some(Duration::from_millis(34_074)))], "{path}");
    }
}

/// What the choice of backends learned.
fn observed(world: &World) -> Vec<Outcome> {
    let observed = world.notes().into_iter().filter_map(|note| match note {
        Note::Observe(seen) => Some(seen.outcome),
        _ => None,
    });
    observed.collect()
}

#[test]
fn a_backend_that_never_says_how_long_is_left_alone_all_the_same() {
    let mut world = World::new(to(Dialect::Gemini));
    world.call(CHAT, body(CHAT));
    world.send(Event::Response(response(429, &[("content-type", "application/json")]), false));
    world.send(Event::Chunk(bytes(&EXHAUSTED[..20]), false));
    assert_eq!(observed(&world), [], "its body may say it");
    world.end();
    assert_eq!(observed(&world), [Outcome::RateLimited(None)]);
}

#[test]
fn a_head_that_says_when_is_believed_before_the_body() {
    let world = answered(CHAT, Dialect::Gemini, 429, &[("retry-after", "2")], EXHAUSTED);
    assert_eq!((world.client_header("retry-after"), world.client_header("retry-after-ms")), (Some("2"), None));
    let error = r#"{"error":{"message":"m","type":"rate_limit_error","param":null,"code":"rate_limit_exceeded"}}"#;
    let world = answered(GENERATE, Dialect::OpenAi, 429, &[("retry-after", "2")], error);
    assert_eq!(world.client_header("retry-after"), Some("2"));
    assert_eq!(said(&world)["error"]["details"][0]["retryDelay"], "2s", "where Google's clients look for it");
}

#[test]
fn no_money_left_has_each_apis_own_status_and_word() {
    let openai = r#"{"error":{"message":"m","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#;
    let anthropic = r#"{"type":"error","error":{"type":"billing_error","message":"m"}}"#;
    for (path, dialect, from, answer, status, pointer, word) in [
        (CHAT, Dialect::Anthropic, 402, anthropic, 429, "/error/code", "insufficient_quota"),
        (MESSAGES, Dialect::OpenAi, 429, openai, 402, "/error/type", "billing_error"),
        (GENERATE, Dialect::Anthropic, 402, anthropic, 429, "/error/status", "RESOURCE_EXHAUSTED"),
        (CONVERSE, Dialect::OpenAi, 429, openai, 400, "/__type", "ServiceQuotaExceededException"),
    ] {
        let world = answered(path, dialect, from, &[], answer);
        assert_eq!(world.envoy.client.status, status, "{path} {}", world.client());
        assert_eq!(said(&world).pointer(pointer), Some(&json!(word)), "{path}");
        assert_eq!(world.client_header("x-should-retry"), Some("false"), "{path}");
        let of_aws = (path == CONVERSE).then_some("ServiceQuotaExceededException");
        assert_eq!(world.client_header("x-amzn-errortype"), of_aws, "{path}");
    }
}

#[test]
fn a_refusal_of_weirs_own_is_named_in_a_header_where_aws_does() {
    let mut world = World::new(to(Dialect::OpenAi));
    world.call(CONVERSE, "{");
    assert_eq!(world.envoy.client.status, 400);
    assert_eq!(world.client_header("x-amzn-errortype"), Some("ValidationException"));
}
