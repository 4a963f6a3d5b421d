//! What is billed, and what is not: what is read again, counted or cancelled costs nothing; what
//! cannot be read to its end is unknown, and not what was read of it.

use weir::base::money::NanoUsd;
use weir::exchange::event::Event;
use weir::exchange::record::Record;
use weir::llm::{Dialect, UsageSource};

use super::support::*;

fn passed(method: &str, path: &str, answer: &str) -> Record {
    let mut world = World::new(alone());
    world.send(Event::Request(request(method, path, &[]), true)).reply(json(), answer);
    assert_eq!(world.client(), answer);
    world.end().record().clone()
}

fn called(path: &str, body: &str, answer: &str) -> Record {
    let mut policy = policy();
    let dialect = if path == "/v1/messages/count_tokens" { Dialect::Anthropic } else { Dialect::OpenAi };
    let mut backend = backend("one", true);
    backend.dialect = dialect;
    policy.targets.backends[0] = backend.into();
    let mut world = World::new(policy);
    world.call(path, body).reply(json(), answer);
    world.end().record().clone()
}

const USED: &str = r#"{"model":"gpt-4o-mini","usage":{"input_tokens":1000,"output_tokens":1000}}"#;

#[test]
fn what_is_read_again_was_billed_when_it_was_made() {
    for (method, path) in [
        ("GET", "/v1/responses/resp_1"),
        ("GET", "/v1/batches/b_1"),
        ("DELETE", "/v1/responses/resp_1"),
        ("POST", "/v1/responses/resp_1/cancel"),
    ] {
        let record = passed(method, path, USED);
        assert_eq!((record.usage_source, record.cost), (UsageSource::Unknown, None), "{method} {path}");
    }
    let made = passed("POST", "/v1/audio/unheard", USED);
    assert_eq!((made.usage_source, made.usage.total_input()), (UsageSource::Provider, 1000));
    assert!(made.cost.is_some());
}

#[test]
fn an_answer_that_states_no_usage_is_estimated_only_where_a_call_was_read() {
    let record = passed("POST", "/v1/audio/unheard", r#"{"text":"a long transcript"}"#);
    assert_eq!((record.usage_source, record.cost), (UsageSource::Unknown, None));
}

#[test]
fn counting_tokens_is_free() {
    let record = called("/v1/messages/count_tokens", &chat(false), r#"{"input_tokens":2095}"#);
    assert_eq!((record.usage_source, record.cost), (UsageSource::Unknown, None));
}

#[test]
fn a_background_call_is_not_billed_by_what_it_has_not_said_yet() {
    let body = r#"{"model":"gpt-4o-mini","background":true,"input":"write a book"}"#;
    let record = called("/v1/responses", body, r#"{"id":"r","status":"queued","model":"gpt-4o-mini","usage":null}"#);
    assert_eq!((record.usage_source, record.cost), (UsageSource::Unknown, None));
}

#[test]
fn a_stream_that_cannot_be_read_to_its_end_is_unknown() {
    let mut policy = policy();
    policy.profile.bodies.max_event = 512;
    let mut world = World::new(policy);
    world.call(CHAT, chat(true));
    let stated = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":1}}\n\n";
    let large = format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{}\"}}}}]}}\n\n", "a".repeat(4096));
    let body = format!("{stated}{large}data: [DONE]\n\n");
    world.reply(sse(), &body);
    let record = world.end().record();
    assert_eq!((record.usage_source, record.cost), (UsageSource::Unknown, None));
}

/// The cost of the same call with this tier asked for, and this one stated in the answer.
fn tiered(asked: Option<&str>, stated: Option<&str>) -> NanoUsd {
    let member = |tier: Option<&str>| tier.map_or_else(String::new, |tier| format!(",\"service_tier\":\"{tier}\""));
    let body = format!(r#"{{"model":"gpt-5-mini"{},"messages":[]}}"#, member(asked));
    let answer = format!(
        r#"{{"model":"gpt-5-mini"{},"choices":[],"usage":{{"prompt_tokens":1000000,"completion_tokens":1000000}}}}"#,
        member(stated)
    );
    let mut world = World::new(alone());
    world.call(CHAT, body).reply(json(), answer);
    world.end().record().cost.unwrap()
}

#[test]
fn a_tier_that_was_asked_for_and_not_confirmed_makes_nothing_cheaper() {
    let plain = tiered(None, None);
    assert!(tiered(Some("flex"), Some("flex")) < plain, "the table has a flex price");
    assert!(tiered(Some("priority"), Some("priority")) > plain, "the table has a priority price");
    assert_eq!(tiered(Some("flex"), None), plain);
    assert_eq!(tiered(Some("priority"), None), tiered(None, Some("priority")));
    assert_eq!(tiered(Some("priority"), Some("default")), plain);
}
