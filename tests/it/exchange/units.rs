//! Endpoints that are metered by their own usage: images, sound, speech, rerank, moderations. Each API
//! answers as its reference says, and the record has its units and its exact cost.

mod cases;

use proptest::prelude::*;
use weir::exchange::event::Event;
use weir::exchange::phase::BodyMode;
use weir::exchange::record::{Outcome, Record};
use weir::llm::{Units, Usage, UsageSource};
use weir::policy::{Policy, Unpriced};

use super::support::*;
use cases::{Case, Said, images, only, others, sound};

const IMAGES: &str = "/v1/images/generations";
const SPEECH: &str = "/v1/audio/speech";
const RERANK: &str = "/v1/rerank";

/// The first backend serves every name, at the prices of whoever has it.
fn serving() -> Policy {
    let mut policy = policy();
    let mut any = backend("one", true);
    any.provider = "mock".into();
    policy.targets.backends[0] = any.into();
    policy
}

/// Runs it with the answer in these pieces.
fn run_in(mode: BodyMode, case: &Case, pieces: &[&[u8]]) -> Record {
    let mut world = World::in_mode(serving(), mode);
    let kind = match case.request.starts_with(b"--") {
        true => "multipart/form-data; boundary=bnd",
        false => "application/json",
    };
    world.send(Event::Request(request("POST", case.path, &[("content-type", kind)]), false));
    world.send(Event::RequestBody(bytes(&case.request), true));
    world.send(Event::Response(case.head.clone(), false));
    for (at, piece) in pieces.iter().enumerate() {
        world.send(Event::Chunk(bytes(piece), at + 1 == pieces.len()));
        assert!(world.exchange.buffered() <= case.request.len().max(1024), "{}: the answer is held", case.name);
    }
    world.end();
    assert_eq!(world.envoy.client.body, case.answer, "{}: no byte is changed", case.name);
    world.record().clone()
}

fn run(case: &Case, pieces: &[&[u8]]) -> Record {
    run_in(BodyMode::FullDuplex, case, pieces)
}

fn said(record: &Record) -> Said {
    (record.usage, record.usage_source, record.cost.map(|cost| cost.nanos()))
}

#[test]
fn every_answer_is_billed_by_its_own_usage() {
    for case in images().iter().chain(&sound()).chain(&others()) {
        let record = run(case, &[&case.answer]);
        assert_eq!(said(&record), (case.usage, case.source, case.cost), "{}", case.name);
        assert_eq!(record.price.is_some(), record.cost.is_some(), "{}", case.name);
    }
}

#[test]
fn a_moderation_is_free_and_a_call() {
    let answer = r#"{"id":"modr-1","model":"omni-moderation-latest","results":[{"flagged":false}]}"#;
    let mut world = World::new(serving());
    world
        .call("/v1/moderations", r#"{"model":"one/omni-moderation-latest","input":"Water."}"#)
        .reply(json(), answer)
        .end();
    let record = world.record();
    assert_eq!((record.outcome, record.cost.map(|cost| cost.nanos())), (Outcome::Completed, Some(0)));
    assert_eq!(record.price.as_ref().map(|price| &*price.name), Some("openai/omni-moderation-latest"));
    assert_eq!(record.usage.units, Units::default());
}

#[test]
fn pages_of_a_path_that_passes_are_billed_by_the_model_that_the_answer_names() {
    let policy = serving();
    let mut head = request("POST", "/v1/ocr", &[]);
    head.authority = policy.targets.backends[0].authority.to_string();
    let mut world = World::new(policy);
    let answer = r#"{"pages":[],"model":"mistral-ocr-2512","usage_info":{"pages_processed":3,"doc_size_bytes":9}}"#;
    world.send(Event::Request(head, true)).reply(json(), answer).end();
    let record = world.record();
    assert_eq!(said(record), (only(Units { pages: 3, ..Units::default() }), UsageSource::Provider, Some(6_000_000)));
}

#[test]
fn an_error_status_and_half_an_answer_bill_no_unit() {
    for case in images().iter().chain(&sound()).chain(&others()) {
        let mut failed = World::new(serving());
        let kind =
            if case.request.starts_with(b"--") { "multipart/form-data; boundary=bnd" } else { "application/json" };
        failed.send(Event::Request(request("POST", case.path, &[("content-type", kind)]), false));
        failed.send(Event::RequestBody(bytes(&case.request), true));
        let head = response(500, &[("content-type", "application/json")]);
        failed.reply(head, r#"{"error":{"message":"no"}}"#).end();
        assert_eq!(said(failed.record()), (Usage::default(), UsageSource::Provider, Some(0)), "{}", case.name);
    }
    // Two images were begun, and nobody knows how many were made.
    let mut world = World::new(serving());
    world.call(IMAGES, r#"{"model":"one/grok-imagine-image","prompt":"A weir.","n":2}"#);
    world.send(Event::Response(json(), false));
    world.send(Event::Chunk(bytes(r#"{"created":1,"data":[{"b64_json":"aGk="},{"b64_"#), false)).end();
    assert_eq!(said(world.record()), (Usage::default(), UsageSource::Unknown, None));
}

/// Where tokens are counted exactly, those of what is not billed by them are not; and what is lost of a call
/// costs nobody knows what, not nothing.
#[test]
fn what_is_cut_is_not_billed_by_the_words_beside_it() {
    for case in images().iter().chain(&sound()).chain(&others()) {
        let mut policy = serving();
        policy.count_exactly = true;
        let mut world = World::new(policy);
        let kind =
            if case.request.starts_with(b"--") { "multipart/form-data; boundary=bnd" } else { "application/json" };
        world.send(Event::Request(request("POST", case.path, &[("content-type", kind)]), false));
        world.send(Event::RequestBody(bytes(&case.request), true));
        world.send(Event::Response(case.head.clone(), false));
        let half = case.answer.len() / 2;
        world.send(Event::Chunk(bytes(&case.answer[..half]), false)).end();
        let record = world.record();
        let tokens = Usage { units: Units::default(), ..record.usage };
        assert!(tokens == Usage::default() || record.uncounted.is_none(), "{}: {tokens:?}", case.name);
        assert!(record.cost.is_none_or(|cost| cost.nanos() > 0 || !case.usage.units.is_none()), "{}", case.name);
    }
    let mut policy = serving();
    policy.count_exactly = true;
    let mut world = World::new(policy);
    let parts: [&[u8]; 2] =
        [b"--bnd\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\none/gpt-4o-transcribe\r\n", b"--bnd--\r\n"];
    let head = request("POST", "/v1/audio/transcriptions", &[("content-type", "multipart/form-data; boundary=bnd")]);
    world.send(Event::Request(head, false)).send(Event::RequestBody(bytes(parts.concat()), true));
    world.send(Event::Response(sse(), false));
    world.send(Event::Chunk(bytes("data: {\"type\":\"transcript.text.delta\",\"delta\":\"Water.\"}\n\n"), false)).end();
    let record = world.record();
    assert!(record.uncounted.is_none());
    assert_eq!(said(record), (Usage::default(), UsageSource::Unknown, None));
}

#[test]
fn an_error_that_calls_itself_a_success_bills_no_unit() {
    let mut world = World::new(serving());
    world.call(SPEECH, r#"{"model":"one/tts-1","input":"Water.","voice":"alloy"}"#);
    world.reply(json(), r#"{"error":{"message":"overloaded"}}"#).end();
    assert_eq!(said(world.record()), (Usage::default(), UsageSource::Unknown, None));
}

#[test]
fn every_cut_in_two_gives_the_same() {
    for case in images().iter().chain(&sound()).chain(&others()) {
        let whole = said(&run(case, &[&case.answer]));
        for at in 0..=case.answer.len() {
            let split = run(case, &[&case.answer[..at], &case.answer[at..]]);
            assert_eq!(said(&split), whole, "{} cut at {at}", case.name);
        }
        let bytes: Vec<&[u8]> = case.answer.chunks(1).collect();
        assert_eq!(said(&run(case, &bytes)), whole, "{} byte by byte", case.name);
        for mode in [BodyMode::BufferedStreamed, BodyMode::Buffered] {
            assert_eq!(said(&run_in(mode, case, &[&case.answer])), whole, "{} in {mode:?}", case.name);
        }
    }
}

#[test]
fn an_image_in_a_stream_is_larger_than_any_event_that_is_held() {
    let mut policy = serving();
    policy.profile.bodies.max_event = 1024;
    let mut world = World::new(policy);
    world.call(IMAGES, r#"{"model":"one/gpt-image-2","prompt":"A weir.","stream":true}"#);
    world.send(Event::Response(sse(), false));
    let image = "a".repeat(1 << 20);
    let usage = r#"{"input_tokens":10,"output_tokens":272,"total_tokens":282}"#;
    let event = format!(r#"{{"type":"image_generation.completed","b64_json":"{image}","usage":{usage}}}"#);
    let body = format!("event: image_generation.completed\ndata: {event}\n\n");
    for chunk in body.as_bytes().chunks(16 << 10) {
        world.send(Event::Chunk(bytes(chunk), false));
        assert_eq!(world.exchange.buffered(), 0, "nothing of it is held");
    }
    world.send(Event::Chunk(bytes(""), true)).end();
    assert!(world.client() == body, "every byte has passed");
    let record = world.record();
    let used =
        Usage { input: 10, image_out: 272, units: Units { images_out: 1, ..Units::default() }, ..Usage::default() };
    assert_eq!(said(record), (used, UsageSource::Provider, Some(50_000 + 8_160_000)));
    assert!(record.stream && record.outcome == Outcome::Completed);
}

#[test]
fn a_model_that_knows_no_tokens_is_priced_all_the_same() {
    for (path, request, status) in [
        (IMAGES, r#"{"model":"one/grok-imagine-image","prompt":"x"}"#, 0),
        (IMAGES, r#"{"model":"one/gpt-image-2","prompt":"x"}"#, 0),
        (SPEECH, r#"{"model":"one/tts-1","input":"x","voice":"alloy"}"#, 0),
        (RERANK, r#"{"model":"one/rerank-v3.5","query":"x","documents":[]}"#, 0),
    ] {
        let mut policy = serving();
        policy.profile.unpriced = Unpriced::Deny;
        let mut world = World::new(policy);
        world.call(path, request);
        assert_eq!(world.envoy.client.status, status, "{request}: {}", world.client());
    }
}

#[test]
fn a_field_that_a_price_depends_on_stands_once() {
    for request in [
        r#"{"model":"one/grok-imagine-image-2.0","prompt":"x","quality":"low","quality":"high"}"#,
        r#"{"model":"one/grok-imagine-image-2.0","prompt":"x","size":"1","Size":"2"}"#,
    ] {
        let mut world = World::new(serving());
        world.call(IMAGES, request);
        assert_eq!(world.refused(), (400, "duplicate_field".to_owned()), "{request}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_cut_in_three_gives_the_same(which in any::<prop::sample::Index>(), at in any::<[prop::sample::Index; 2]>()) {
        let cases: Vec<Case> = images().into_iter().chain(sound()).chain(others()).collect();
        let case = which.get(&cases);
        let mut at = at.map(|at| at.index(case.answer.len() + 1));
        at.sort_unstable();
        let [first, second] = at;
        let pieces = [&case.answer[..first], &case.answer[first..second], &case.answer[second..]];
        prop_assert_eq!(said(&run(case, &pieces)), (case.usage, case.source, case.cost), "{}", case.name);
    }
}
