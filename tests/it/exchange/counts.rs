//! The exact count of an answer that nobody has stated the tokens of: its text is kept, never more than
//! there is room for, travels with the notes, is seen nowhere, and makes the bill.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;
use weir::catalog::Overlay;
use weir::catalog::price::{Price, Unit};
use weir::exchange::event::{Answer, Ask, Event, Failure, Feed, Stop};
use weir::exchange::record::{Outcome, Record};
use weir::limit::Spent;
use weir::llm::{Dialect, UsageSource};
use weir::policy::Policy;
use weir::telemetry::record;
use weir::tokens::learned::Key;

use super::support::*;

fn exact() -> Policy {
    Policy { count_exactly: true, ..policy() }
}

/// A stream of these texts, without its end.
fn stream(texts: &[&str]) -> String {
    let event = |text: &&str| {
        let event = json!({"model": "gpt-4o-mini", "choices": [{"index": 0, "delta": {"content": text}}]});
        format!("data: {event}\n\n")
    };
    texts.iter().map(event).collect()
}

/// A call in mid-stream.
fn running(policy: Policy, body: &str) -> World {
    let mut world = World::new(policy);
    world.call(CHAT, chat(true)).send(Event::Response(sse(), false)).send(Event::Chunk(bytes(body), false));
    world
}

/// The record as it is told: with its text counted.
fn told(world: &World) -> Record {
    let mut record = world.record().clone();
    record.count(|_| ());
    assert_eq!(record.uncounted, None);
    record
}

fn kept(record: &Record) -> Option<usize> {
    record.uncounted.as_ref().map(|uncounted| uncounted.kept())
}

/// 40 words, each one token of five bytes: an estimate makes 50 of them.
fn words() -> String {
    stream(&[" time year good work life made down back"; 5])
}

#[test]
fn every_early_end_is_counted_and_settled_with_what_was_counted() {
    type End = fn(&mut World);
    let ends: [(End, Outcome); 4] = [
        (|_| (), Outcome::Abandoned),
        (|world| _ = world.send(Event::Chunk(bytes(""), true)), Outcome::Truncated),
        (|world| _ = world.send(Event::Feed(Feed::Cut)), Outcome::Cut),
        (|world| _ = world.send(Event::Stop(Stop::Deadline)), Outcome::Stopped),
    ];
    for (end, outcome) in ends {
        let mut world = World::new(Policy { count_exactly: true, ..gated() }).answers(all_clear());
        world.call(CHAT, chat(true)).send(Event::Response(sse(), false)).send(Event::Chunk(bytes(words()), false));
        end(&mut world);
        world.end();
        let (estimated, counted) = (world.record(), told(&world));
        assert_eq!((estimated.usage.output, counted.usage.output), (50, 40), "{outcome:?}");
        assert_eq!((counted.outcome, counted.usage_source), (outcome, UsageSource::Estimated));
        // $0.15 and $0.60 a million.
        let cost = i64::try_from(counted.usage.input * 150 + 40 * 600).unwrap();
        assert_eq!(counted.cost.map(|cost| cost.nanos()), Some(cost));
        assert!(counted.price.is_some_and(|price| &*price.name == "openai/gpt-4o-mini"));
        assert_eq!(world.settles().len(), 2);
        for settle in world.settles() {
            let mut settle = settle.clone();
            settle.count(|_| ());
            let spent = Spent::Used { usage: counted.usage, cost: counted.cost };
            assert_eq!((settle.spent, settle.uncounted), (spent, None));
        }
    }
}

#[test]
fn a_document_that_was_cut_off_is_counted_up_to_there() {
    let mut world = World::new(exact());
    let body = r#"{"model":"gpt-4o-mini","choices":[{"message":{"content":" time year good w"#;
    world.call(CHAT, chat(false)).send(Event::Response(json(), false)).send(Event::Chunk(bytes(body), false)).end();
    assert_eq!(told(&world).usage.output, 4);
}

#[test]
fn nothing_is_kept_where_nothing_is_counted() {
    let mut world = running(policy(), &words());
    assert_eq!(world.exchange.buffered(), 0);
    assert_eq!(kept(world.end().record()), None);
    // The provider says it all.
    let mut world = running(exact(), STREAM);
    assert!(world.exchange.buffered() > 0);
    assert_eq!((kept(world.end().record()), world.record().usage), (None, usage(9, 3)));
    // An error, a passage, an answer that cannot be read.
    let mut world = World::new(exact());
    world.call(CHAT, chat(false)).reply(response(500, &[("content-type", "application/json")]), DOCUMENT).end();
    assert_eq!(kept(world.record()), None);
    let mut world = World::new(exact());
    world.send(Event::Request(request("POST", "/v1/files", &[]), true)).reply(json(), DOCUMENT).end();
    assert_eq!(kept(world.record()), None);
    let mut policy = exact();
    policy.profile.bodies.max_event = 300;
    let mut world = running(policy, &words());
    world.send(Event::Chunk(bytes(vec![b'x'; 400]), false));
    assert_eq!(world.exchange.buffered(), 0, "what was read is not all");
    assert_eq!((kept(world.end().record()), world.record().usage_source), (None, UsageSource::Unknown));
}

#[test]
fn what_is_told_early_is_told_once_and_nothing_is_kept_after_it() {
    let mut world = World::new(exact());
    world.call(CHAT, chat(false)).send(Event::Response(json(), false));
    world.send(Event::Chunk(bytes(&DOCUMENT[..DOCUMENT.len() - 90]), false));
    assert!(world.exchange.buffered() > 0);
    world.send(Event::Stop(Stop::Deadline));
    assert_eq!((world.records().len(), world.exchange.buffered()), (1, 0));
    world.send(Event::Chunk(bytes("more\"}}]"), false));
    assert_eq!(world.exchange.buffered(), 0);
    world.end();
    assert_eq!(kept(world.record()), Some("Hello.".len()));
}

#[test]
fn an_output_that_was_stated_before_the_end_is_the_least() {
    let stated = |tokens: u64| {
        let usage = json!({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": tokens}});
        let mut world = running(exact(), &format!("{}data: {usage}\n\n", words()));
        world.end();
        told(&world).usage
    };
    assert_eq!((stated(1), stated(45)), (usage(9, 40), usage(9, 45)));
}

#[test]
fn reasoning_and_arguments_are_text_and_a_repetition_is_none() {
    let event = |delta| format!("data: {}\n\n", json!({"choices": [{"delta": delta}]}));
    let body = [
        event(json!({"reasoning_content": " time year"})),
        event(json!({"content": " good"})),
        event(json!({"tool_calls": [{"function": {"name": "f", "arguments": " work life"}}]})),
        format!("data: {}\n\n", json!({"content": [{"text": " made down"}], "type": "response.completed"})),
    ];
    let mut world = running(exact(), &body.concat());
    world.end();
    assert_eq!((world.record().text_bytes, kept(world.record())), (Some(25), Some(25)));
    assert_eq!(told(&world).usage.output, 5);
}

#[test]
fn a_model_without_a_public_tokenizer_is_counted_until_it_has_taught_something() {
    for (model, known, counts) in [("gpt-4o-mini", true, true), ("alpha", false, true), ("alpha", true, false)] {
        let mut policy = exact();
        policy.targets.models.insert("alpha".into(), vec!["one".into()]);
        let mut world = World::new(policy);
        if known {
            let key = Key { backend: "one", model };
            world.learned.observe_output(key, 10, 50);
            world.learned.observe_input(key, 10, 50);
        }
        world.call(CHAT, chat(true).replace("gpt-4o-mini", model)).send(Event::Response(sse(), false));
        world.send(Event::Chunk(bytes(words()), false)).end();
        assert_eq!(
            (kept(world.record()).is_some(), world.asks.len()),
            (counts, usize::from(counts)),
            "{model} {known}"
        );
        assert_eq!(told(&world).usage.output, 40, "learned or counted");
    }
}

#[test]
fn counting_tokens_is_free_and_nobody_counts() {
    let mut policy = exact();
    let mut anthropic = backend("one", true);
    anthropic.dialect = Dialect::Anthropic;
    policy.targets.backends[0] = anthropic.into();
    let mut world = World::new(policy);
    world.call("/v1/messages/count_tokens", chat(false)).reply(json(), r#"{"input_tokens":9}"#).end();
    assert!(world.asks.is_empty(), "{:?}", world.asks);
}

#[test]
fn a_count_that_failed_leaves_the_estimate() {
    let mut world = World::new(exact());
    world.side = Some(Answer::Failed(Failure::Unavailable));
    world.call(CHAT, chat(true)).reply(sse(), words()).end();
    assert!(matches!(&world.asks[..], [Ask::Count { .. }]));
    assert_eq!(world.record().usage.input, chat(true).len() as u64 / 4);
}

#[test]
fn a_price_of_the_configuration_is_applied_to_what_was_counted() {
    let mut policy = exact();
    let price = Price::flat(
        "one/gpt-4o-mini",
        [(Unit::Input, "0.000001".parse().unwrap()), (Unit::Output, "0.00001".parse().unwrap())],
    );
    let overlay = Overlay { multiplier: Default::default(), models: [("gpt-4o-mini".into(), price)].into() };
    policy.overlays[0] = Some(Arc::new(overlay));
    let mut world = running(policy, &words());
    world.end();
    let counted = told(&world);
    let nanos = i64::try_from(counted.usage.input * 1000 + 40 * 10_000).unwrap();
    assert_eq!(
        (counted.cost.map(|cost| cost.nanos()), counted.price.map(|price| price.to_string())),
        (Some(nanos), Some("one/gpt-4o-mini@config".to_owned()))
    );
}

#[test]
fn the_text_is_seen_nowhere() {
    const CANARY: &str = "the heron waits at the weir";
    let mut world = World::new(Policy { count_exactly: true, ..gated() }).answers(all_clear());
    world.call(CHAT, chat(true)).send(Event::Response(sse(), false));
    world.send(Event::Chunk(bytes(stream(&[CANARY])), false)).end();
    assert_eq!(kept(world.record()), Some(CANARY.len()), "it is there");
    // The admin endpoint answers with the same form as the ledger's.
    for text in [format!("{:?}", world.notes()), format!("{:#?}", world.notes()), record::line(world.record())] {
        assert!(!text.contains("heron"), "{text}");
        assert!(!text.contains(&format!("{:?}", CANARY.as_bytes())[1..40]), "nor as bytes: {text}");
    }
    assert!(!record::line(&told(&world)).contains("heron"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// For want of room the text is given up and the estimate stands; the answer goes on.
    #[test]
    fn an_answer_goes_on_when_its_text_is_given_up(
        step in 1_usize..200,
        at in 0_usize..40,
        stream in any::<bool>(),
        held in any::<bool>(),
    ) {
        let run = |shed: bool| {
            let mut policy = exact();
            policy.profile.response_headers.cost = held;
            let (head, body) = match stream {
                true => (sse(), words()),
                false => (json(), DOCUMENT[..DOCUMENT.len() - 90].to_owned()),
            };
            let mut world = World::new(policy);
            world.call(CHAT, chat(stream)).send(Event::Response(head, false));
            let carried = body.split("\n\n").map(str::len).max().unwrap_or(0) + 2;
            for (n, chunk) in body.as_bytes().chunks(step).enumerate() {
                if shed && n == at {
                    world.send(Event::Stop(Stop::Shed));
                }
                world.send(Event::Chunk(bytes(chunk), false));
                if shed && n >= at {
                    assert!(!world.exchange.is_holding_response());
                    assert!(world.exchange.buffered() <= if stream { carried } else { 0 });
                }
            }
            let came = body.len().div_ceil(step) > at;
            world.send(Event::Chunk(bytes(""), true)).end();
            (world, came)
        };
        let ((whole, _), (shed, came)) = (run(false), run(true));
        prop_assert_eq!(shed.client(), whole.client());
        prop_assert_eq!(shed.record().outcome, whole.record().outcome);
        prop_assert_eq!(shed.record().usage, whole.record().usage);
        prop_assert!(kept(whole.record()).is_some());
        prop_assert_eq!(kept(shed.record()).is_none(), came);
    }

    /// Invariant 8, and the bound.
    #[test]
    fn however_it_is_cut_the_same_text_is_kept_and_no_more_than_there_is_room_for(
        texts in proptest::collection::vec("[a-z \\n\"\u{e9}\u{4e16}\u{1f980}]{0,12}", 0..8),
        room in 1_usize..120,
        step in 1_usize..50,
        framed in any::<bool>(),
    ) {
        let run = |step: usize| {
            let mut policy = exact();
            policy.profile.bodies.max_capture = room;
            let body = stream(&texts.iter().map(String::as_str).collect::<Vec<_>>());
            let mut world = running(policy, "");
            for chunk in body.as_bytes().chunks(step) {
                world.send(Event::Chunk(bytes(chunk), false));
                let carried = body.split("\n\n").map(str::len).max().unwrap_or(0) + 2;
                assert!(world.exchange.buffered() <= room + carried, "{} bytes held", world.exchange.buffered());
            }
            if framed {
                world.send(Event::Chunk(bytes(""), true));
            }
            world.end();
            world
        };
        let (whole, cut) = (run(usize::MAX), run(step));
        let text: usize = texts.iter().map(String::len).sum();
        prop_assert_eq!(kept(cut.record()), (text > 0).then_some(text.min(room)));
        prop_assert_eq!(cut.record().text_bytes, Some(text as u64));
        // What is compared includes the text.
        prop_assert_eq!(cut.timeless_notes(), whole.timeless_notes());
        prop_assert_eq!(told(&cut).usage, told(&whole).usage);
    }
}
