//! Answers from memory, and from another exchange that asks the same: leaders publish, followers are fed.

use std::time::Duration;

use weir::base::money::NanoUsd;
use weir::cache::{Recall, Status, Ticket};
use weir::exchange::event::{Answer, Event, Feed, Note, Stop};
use weir::exchange::phase::BodyMode;
use weir::exchange::record::Outcome;
use weir::llm::part::ToolCall;
use weir::llm::reply::Choice;
use weir::llm::{Content, Delta, Finish, Part, Reply, UsageSource};

use super::support::*;

pub fn recalling(stream: bool, mode: BodyMode, recall: Recall) -> World {
    let mut answers = all_clear();
    answers[2] = Answer::Recall(recall);
    let mut world = World::in_mode(gated(), mode).answers(answers);
    world.call(CHAT, chat(stream));
    world
}

fn kept() -> Reply {
    let (id, name, arguments) = ("t-1".into(), "f".into(), "{\"q\":1}".into());
    let call = Part::new(Content::ToolCall(ToolCall { id, name, arguments, signature: None }));
    let parts = vec![Part::text("a \"kept\"\nanswer"), call];
    Reply {
        id: "c-9".into(),
        model: "m-1".into(),
        created: 77,
        choices: vec![Choice { parts, finish: Some(Finish::ToolCalls), ..Choice::default() }],
        usage: Some(usage(9, 3)),
        ..Reply::default()
    }
}

fn hit() -> Recall {
    found(kept())
}

/// The steps that a follower of `kept` is fed, shortened.
fn deltas() -> Vec<Delta> {
    vec![
        Delta::Start { id: "c-9".into(), model: "m-1".into(), created: 77, usage: None },
        Delta::text("a "),
        Delta::text("word"),
        Delta::finish(Finish::Stop),
        Delta::Usage(usage(9, 3)),
        Delta::End,
    ]
}

pub fn feed(world: &mut World, deltas: &[Delta]) {
    deltas.iter().for_each(|delta| _ = world.send(Event::Feed(Feed::Delta(delta.clone()))));
}

/// The text that a stream's events spell.
fn spelled(stream: &str) -> String {
    let text = |event: &str| {
        let value: serde_json::Value = serde_json::from_str(event.strip_prefix("data: ")?).ok()?;
        Some(value["choices"][0]["delta"]["content"].as_str()?.to_owned())
    };
    stream.split("\n\n").filter_map(text).collect()
}

#[test]
fn a_kept_answer_is_said_as_a_document_or_as_a_stream() {
    for mode in [BodyMode::FullDuplex, BodyMode::BufferedStreamed, BodyMode::Buffered] {
        let mut world = recalling(false, mode, hit());
        world.end();
        let value: serde_json::Value = serde_json::from_str(&world.client()).expect("a document");
        assert_eq!(value["choices"][0]["message"]["content"], "a \"kept\"\nanswer");
        assert_eq!(value["choices"][0]["message"]["tool_calls"][0]["function"]["name"], "f");
        // The rule is for everybody: who asks is not to know that, and when, somebody has asked before.
        assert!(value["id"].as_str().is_some_and(|id| id.starts_with("chatcmpl-")), "{value}");
        assert!(value["created"].as_u64().is_some_and(|created| created > 77), "{value}");
        assert_eq!(value["usage"]["prompt_tokens"], 9);

        let mut world = recalling(true, mode, hit());
        world.end();
        assert_eq!(spelled(&world.client()), "a \"kept\"\nanswer");
        assert!(world.client().ends_with("data: [DONE]\n\n"));
        assert!(!world.client().contains("usage"), "it was not asked for");
        assert_eq!(world.client_header("content-type"), Some("text/event-stream"));
        // To whom all answers are open it is not told what others have asked.
        assert_eq!((world.client_header("x-weir-cache"), world.client_header("age")), (None, None));
        let record = world.record();
        assert_eq!((record.outcome, record.status, record.cost), (Outcome::Replayed, 200, Some(NanoUsd(0))));
        let cached = record.cached.as_deref().expect("a rule is about it");
        assert_eq!((cached.status, cached.age), (Status::Hit, Some(Duration::from_secs(60))));
        let saved = cached.saved.expect("it would have cost something");
        assert_eq!((saved.usage, saved.cost), (usage(9, 3), Some(NanoUsd(3150))));
        assert!(!world.envoy.upstream.began);
        assert_eq!(world.settles().len(), 1, "a hit counts as a request and spends nothing");
    }
}

#[test]
fn a_long_kept_answer_goes_in_pieces() {
    let choices = vec![Choice { parts: vec![Part::text("x".repeat(200_000))], ..Choice::default() }];
    let long = Reply { choices, ..kept() };
    let mut world = recalling(true, BodyMode::FullDuplex, found(long));
    world.end();
    assert_eq!(spelled(&world.client()).len(), 200_000);
}

#[test]
fn a_follower_says_what_it_is_fed_at_once_or_when_it_is_whole() {
    let mut world = recalling(true, BodyMode::FullDuplex, Recall::Follow(Ticket(2)));
    feed(&mut world, &deltas()[..2]);
    assert_eq!(spelled(&world.client()), "a ");
    feed(&mut world, &deltas()[2..]);
    assert_eq!(spelled(&world.client()), "a word");
    assert!(world.client().ends_with("data: [DONE]\n\n"));
    world.end();
    assert_eq!((world.record().outcome, world.record().usage_source), (Outcome::Replayed, UsageSource::Estimated));

    for (stream, mode) in [(false, BodyMode::FullDuplex), (true, BodyMode::Buffered)] {
        let mut world = recalling(stream, mode, Recall::Follow(Ticket(2)));
        feed(&mut world, &deltas()[..5]);
        assert!(!world.envoy.client.began);
        feed(&mut world, &deltas()[5..]);
        assert!(world.client().contains("word"), "{}", world.client());
        world.end();
    }
}

#[test]
fn a_follower_that_has_said_nothing_takes_over_a_lost_leader() {
    let mut world = recalling(true, BodyMode::FullDuplex, Recall::Follow(Ticket(2)));
    world.send(Event::Feed(Feed::Lost(Ticket(3))));
    assert!(world.envoy.upstream.began);
    world.reply(sse(), STREAM).end();
    assert_eq!((world.client().as_str(), world.record().outcome), (UNASKED, Outcome::Completed));
    assert_eq!(world.settles().len(), 2);
    assert!(world.notes().iter().any(|note| matches!(note, Note::Remember(kept) if kept.ticket == Ticket(3))));

    let mut world = recalling(true, BodyMode::FullDuplex, Recall::Follow(Ticket(2)));
    feed(&mut world, &deltas()[..2]);
    world.send(Event::Feed(Feed::Lost(Ticket(3)))).end();
    assert!(world.client().contains("\"code\":\"stream_truncated\""), "{}", world.client());
    let record = world.record();
    assert_eq!((record.outcome, record.usage_source, record.cost), (Outcome::Truncated, UsageSource::Unknown, None));
}

#[test]
fn a_follower_does_not_wait_for_ever() {
    let wait = Duration::from_secs(240);
    let mut world = recalling(false, BodyMode::FullDuplex, Recall::Follow(Ticket(2)));
    feed(&mut world, &deltas()[..2]);
    world.wait(wait - Duration::from_secs(1)).send(Event::Tick);
    assert!(!world.envoy.client.began);
    world.wait(Duration::from_secs(1)).end();
    assert_eq!(world.refused(), (504, "upstream_timeout".to_owned()));
    // What moves is not waited for; what stands still is.
    let mut world = recalling(true, BodyMode::FullDuplex, Recall::Follow(Ticket(2)));
    world.wait(Duration::from_secs(200));
    feed(&mut world, &deltas()[..2]);
    world.wait(Duration::from_secs(200));
    assert!(world.envoy.client.ended.is_none());
    world.wait(Duration::from_secs(40)).end();
    assert!(world.client().contains("upstream_timeout"), "{}", world.client());
}

#[test]
fn a_follower_holds_no_more_than_a_response_may() {
    let mut answers = all_clear();
    answers[2] = Answer::Recall(Recall::Follow(Ticket(2)));
    let mut policy = gated();
    policy.profile.bodies.max_response_hold = 100;
    let mut world = World::new(policy).answers(answers);
    world.call(CHAT, chat(false));
    feed(&mut world, &vec![Delta::text("x".repeat(60)); 2]);
    assert_eq!(world.refused().0, 502);
    world.end();
}

#[test]
fn a_follower_hears_nothing_after_it_was_stopped_or_answered() {
    let mut world = recalling(true, BodyMode::FullDuplex, Recall::Follow(Ticket(2)));
    feed(&mut world, &deltas()[..2]);
    world.send(Event::Stop(Stop::Deadline));
    let client = world.client();
    assert!(client.contains("shutting_down"));
    feed(&mut world, &deltas());
    world.send(Event::Feed(Feed::Lost(Ticket(3)))).end();
    assert_eq!(world.client(), client);

    let mut world = recalling(true, BodyMode::FullDuplex, Recall::Follow(Ticket(2)));
    world.reply(response(504, &[("content-type", "text/plain")]), "stream timeout");
    feed(&mut world, &deltas());
    world.end();
    assert_eq!(world.refused().0, 504);
}

#[test]
fn a_feed_to_a_request_that_follows_nobody_does_no_harm() {
    let mut world = World::new(policy());
    world.send(Event::Request(post(CHAT), false));
    feed(&mut world, &deltas());
    world.send(Event::RequestBody(bytes(chat(false)), true)).reply(json(), DOCUMENT).end();
    assert_eq!(world.client(), DOCUMENT);
}
