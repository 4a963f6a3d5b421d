//! The JSON line is canonical, complete and bounded.

mod message;

use std::sync::Arc;
use std::time::Duration;

use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use prost::Message;
use serde_json::Value;

use super::*;
use crate::cache::{Rule, Scope, Status};
use crate::exchange::record::Saved;
use crate::identity::Principal;
use crate::limit::Unit;
use crate::llm::Operation;
use crate::llm::PriceRow;
use crate::telemetry::tests::{charge, sample};

/// The record as the generated code writes it.
fn generated(record: &Record) -> Value {
    serde_json::to_value(v1::UsageRecord::from(record)).unwrap()
}

#[test]
fn the_line_is_canonical_proto_json() {
    let line = line(&sample());
    assert!(!line.contains('\n'));
    let value: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(value["startTime"], "2026-09-21T15:06:40.000000001Z");
    assert_eq!(value["duration"], "1.500s");
    assert_eq!(value["dialect"], "DIALECT_OPENAI");
    assert_eq!(value["outcome"], "OUTCOME_COMPLETED");
    assert_eq!(value["usageSource"], "USAGE_SOURCE_PROVIDER");
    assert_eq!(value["status"], 200);
    assert_eq!(value["usage"]["input"], "12");
    assert_eq!(value["usage"]["cacheWrite5m"], "3");
    assert_eq!(value["costNanoUsd"], "12500");
    assert_eq!(value["costUsd"], "0.0000125");
    assert_eq!(value["models"]["served"], "gpt-4o-2024-08-06");
    assert_eq!(value["timings"]["firstByte"], "0.250s");
    assert_eq!(value["timings"].get("firstToken"), None);
    assert_eq!(value["decisions"][0]["step"], "target");
}

#[test]
fn the_line_and_the_bytes_give_the_record_back() {
    let record = v1::UsageRecord::from(&sample());
    let read: v1::UsageRecord = serde_json::from_str(&line(&sample())).unwrap();
    assert_eq!(read, record);
    assert_eq!(v1::UsageRecord::decode(&*record.encode_to_vec()).unwrap(), record);
}

#[test]
fn a_field_of_a_later_version_is_skipped() {
    let read: v1::UsageRecord = serde_json::from_str(r#"{"id":"a","later":{"x":[1]},"status":200}"#).unwrap();
    assert_eq!((read.id.as_str(), read.status), ("a", 200));
}

#[test]
fn unknown_usage_is_absent_and_known_zero_is_not() {
    let mut record = sample();
    record.usage = Usage::default();
    assert_eq!(v1::UsageRecord::from(&record).usage, Some(v1::Usage::default()));
    record.usage_source = UsageSource::Unknown;
    record.cost = None;
    let value: Value = serde_json::from_str(&line(&record)).unwrap();
    assert_eq!(value.get("usage"), None);
    assert_eq!(value.get("costNanoUsd"), None);
    assert_eq!(value.get("costUsd"), None);
    record.cost = Some(NanoUsd(0));
    let value: Value = serde_json::from_str(&line(&record)).unwrap();
    assert_eq!(value["costNanoUsd"], "0");
    assert_eq!(value["costUsd"], "0");
}

#[test]
fn money_is_exact() {
    let rows = [
        (1, "0.000000001"),
        (1_000_000_000, "1"),
        (-1_500_000_000, "-1.5"),
        (i64::MAX, "9223372036.854775807"),
        (i64::MIN, "-9223372036.854775808"),
    ];
    for (nanos, text) in rows {
        let mut written = String::new();
        usd(NanoUsd(nanos), &mut written).unwrap();
        assert_eq!(written, text);
    }
}

/// A record with `huge` wherever a text comes from outside.
fn huge() -> Record {
    let mut record = sample();
    let huge = "é".repeat(1 << 14);
    let tags = (0..1000).map(|n| (format!("{n}").into(), huge.as_str().into())).collect();
    record.caller = Arc::new(Principal {
        name: huge.as_str().into(),
        namespace: huge.as_str().into(),
        tags,
        ..Principal::default()
    });
    let texts = [&mut record.path, &mut record.method];
    for text in texts.into_iter().chain([&mut record.requested_model, &mut record.sent_model]) {
        *text = huge.clone().into();
    }
    for text in [&mut record.route, &mut record.backend, &mut record.provider, &mut record.service_tier] {
        *text = Some(huge.as_str().into());
    }
    record.served_model = huge.clone().into();
    record.price = Some(PriceRow { name: huge.as_str().into(), version: "v1".into() });
    let decision = Decision { step: "target", outcome: "allow", reason: "match", detail: huge.into() };
    record.decisions = vec![decision; 1000];
    record.limits = vec![record.limits[0].clone(); 1000];
    record.attempts = vec![record.attempts[0].clone(); 1000];
    record
}

#[test]
fn the_line_of_a_record_of_huge_texts_is_small() {
    let record = huge();
    let message = v1::UsageRecord::from(&record);
    assert_eq!(message.decisions.len(), DECISIONS);
    assert!(message.decisions[0].detail.ends_with('…'));
    assert!(line(&record).len() < 50_000);
    assert_eq!(serde_json::from_str::<Value>(&line(&record)).unwrap(), generated(&record));
}

#[test]
fn what_is_cut_from_a_record_that_is_kept_is_not_in_its_line_either() {
    let whole = huge();
    let mut record = whole.clone();
    record.id = "x".repeat(1000).into();
    let before = line(&record);
    bound(&mut record);
    assert_eq!(line(&record), before);
    let texts = [&record.method, &record.requested_model, &record.sent_model];
    let details = record.decisions.iter().map(|decision| &decision.detail);
    assert!(texts.into_iter().chain([&record.served_model]).chain(details).all(|text| held(text) <= NAME));
    let optional = [&record.route, &record.backend, &record.provider, &record.service_tier];
    assert!(optional.into_iter().flatten().chain([&record.id]).all(|text| text.len() <= NAME));
    assert!(held(&record.path) <= PATH);
    assert!(record.decisions.capacity() <= DECISIONS);
    let mut small = sample();
    bound(&mut small);
    assert_eq!(small, sample());
}

/// Bytes that a text holds in memory.
fn held(text: &Words) -> usize {
    match text {
        Words::Own(text) => text.capacity(),
        text => text.len(),
    }
}

// === Any record ===

fn text() -> impl Strategy<Value = String> {
    prop_oneof![4 => any::<String>(), 2 => "[a-z/.-]{0,12}", 1 => "\\PC{300,1100}", 1 => Just(String::new())]
}

fn shared() -> impl Strategy<Value = Arc<str>> {
    text().prop_map(Arc::from)
}

fn words() -> impl Strategy<Value = Words> {
    prop_oneof![text().prop_map(Words::from), shared().prop_map(Words::from)]
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), 0_u64..1000, any::<u64>()]
}

fn time() -> impl Strategy<Value = Option<Duration>> {
    option::of(prop_oneof![number().prop_map(Duration::from_nanos), any::<Duration>()])
}

fn word() -> impl Strategy<Value = &'static str> {
    select(vec!["", "target", "allow", "quote \"", "line\n"])
}

prop_compose! {
    fn any_units()(n in prop::array::uniform7(prop_oneof![Just(0), number()])) -> Units {
        let [images_in, images_out, audio_in_ms, characters, queries, pages, searches] = n;
        Units { images_in, images_out, audio_in_ms, characters, queries, pages, searches }
    }
}

prop_compose! {
    fn any_usage()(n in prop::array::uniform14(number()), units in any_units()) -> Usage {
        let [input, cache_read, cache_write_5m, cache_write_1h, output, reasoning, ..] = n;
        let [.., audio_in, audio_out, image_in, image_out] = n;
        let [.., video_in, video_out, cache_read_audio, cache_read_image, _, _, _, _] = n;
        Usage {
            input, cache_read, cache_write_5m, cache_write_1h, output, reasoning,
            audio_in, audio_out, image_in, image_out, units, video_in, video_out, cache_read_audio, cache_read_image,
        }
    }
}

prop_compose! {
    fn any_decision()(step in word(), outcome in word(), reason in word(), detail in words()) -> Decision {
        Decision { step, outcome, reason, detail }
    }
}

prop_compose! {
    fn caller()(
        [name, namespace] in [shared(), shared()],
        [consumer, team, end_user, session] in
            [option::of(shared()), option::of(shared()), option::of(shared()), option::of(shared())],
        tags in prop::collection::btree_map("[a-z\"\\\\\n]{0,5}", shared(), 0..4),
    ) -> Arc<Principal> {
        let tags = tags.into_iter().map(|(name, value)| (name.into(), value)).collect();
        Arc::new(Principal { name, namespace, consumer, team, end_user, session, tags, ..Principal::default() })
    }
}

prop_compose! {
    /// Where a record comes from and where it went.
    fn texts()(
        id in shared(),
        caller in caller(),
        [method, path, requested_model, sent_model, served_model] in [words(), words(), words(), words(), words()],
        [route, backend, provider, service_tier] in
            [option::of(shared()), option::of(shared()), option::of(shared()), option::of(shared())],
        price in option::of((shared(), words())), refusal in option::of(word()),
        decisions in prop::collection::vec(any_decision(), 0..4), many in any::<bool>(),
    ) -> Record {
        let decisions = if many { decisions.iter().cycle().take(decisions.len() * 30).cloned().collect() } else { decisions };
        let price = price.map(|(name, version)| PriceRow { name, version });
        Record {
            id, caller, method, path, requested_model, sent_model, route, backend, provider, price,
            served_model, service_tier, refusal, decisions, ..sample()
        }
    }
}

prop_compose! {
    fn any_charge()(
        id in words(), reserved in number(), charged in option::of(number()),
        unit in select(vec![Unit::Requests, Unit::Tokens, Unit::Usd, Unit::Concurrency]),
    ) -> Charge {
        Charge { charged, ..charge(&id, unit, reserved, 0) }
    }
}

prop_compose! {
    fn any_attempt()(
        [backend, model] in [words(), words()], credential in option::of(words()), status in any::<u16>(),
        duration in any::<Duration>(), wasted in number(),
        skipped in option::of(select(vec!["not_connected", "given_up"])),
    ) -> Attempt {
        let credential = credential.map(|name| (*name).into());
        Attempt { backend: (*backend).into(), model: (*model).into(), credential, status, duration, wasted, skipped }
    }
}

prop_compose! {
    fn any_cached()(
        status in select(vec![Status::Hit, Status::Semantic, Status::Follow, Status::Miss, Status::Bypass, Status::Refresh]),
        reason in option::of(select(Reason::ALL.to_vec())), name in words(), age in option::of(any::<Duration>()),
        saved in option::of((any_usage().boxed(), option::of(any::<i64>()))).boxed(),
    ) -> Cached {
        let rule = Arc::new(Rule::new(&name, Scope::Consumer, Duration::ZERO));
        let saved = saved.map(|(usage, cost)| Saved { usage, cost: cost.map(NanoUsd) });
        Cached { status, reason, rule, saved, age, is_shadow: false }
    }
}

prop_compose! {
    fn any_record()(
        record in texts().boxed(), usage in any_usage().boxed(), cost in option::of(any::<i64>()),
        dialect in select(vec![
            Dialect::OpenAi, Dialect::Anthropic, Dialect::Gemini, Dialect::Vertex,
            Dialect::Bedrock, Dialect::Azure, Dialect::Cohere, Dialect::Ollama,
        ]),
        operation in select(vec![Operation::Chat, Operation::CountTokens, Operation::Other]),
        outcome in select(vec![
            Outcome::Completed, Outcome::UpstreamError, Outcome::Refused, Outcome::Replayed,
            Outcome::Cut, Outcome::Truncated, Outcome::Abandoned, Outcome::Stopped,
            Outcome::Answered,
        ]),
        usage_source in select(vec![UsageSource::Provider, UsageSource::Estimated, UsageSource::Unknown]),
        [receive, decide, wait, first_byte, first_token] in [time(), time(), time(), time(), time()],
        [started, request_bytes, response_bytes, text_bytes] in [number(), number(), number(), number()],
        (stream, signed, status, duration) in any::<(bool, bool, u16, Duration)>(),
        unknown_usage_fields in prop_oneof![Just(0), any::<u32>()], stated in any::<bool>(),
        (limits, attempts) in
            (prop::collection::vec(any_charge().boxed(), 0..3), prop::collection::vec(any_attempt().boxed(), 0..3)).boxed(),
        cached in option::of(any_cached().boxed()).boxed(),
    ) -> Record {
        Record {
            usage, cost: cost.map(NanoUsd), dialect, operation, outcome, usage_source, stream, signed, status, duration,
            timings: Timings { receive, decide, wait, first_byte, first_token },
            started, request_bytes, response_bytes, text_bytes: stated.then_some(text_bytes),
            unknown_usage_fields, limits, attempts, cached: cached.map(Box::new), ..record
        }
    }
}

proptest! {
    #[test]
    fn a_clip_fits_and_begins_the_same(text in "\\PC{0,40}", max in 3_usize..50) {
        let clipped = clip(&text, max);
        prop_assert!(clipped.len() <= max);
        prop_assert!(clipped == text || text.starts_with(clipped.strip_suffix('…').unwrap()));
    }

    #[test]
    fn the_line_is_what_the_generated_code_writes_and_reads(record in any_record()) {
        let line = line(&record);
        prop_assert!(!line.contains('\n'));
        prop_assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), generated(&record));
        let read = serde_json::from_str::<v1::UsageRecord>(&line).unwrap();
        prop_assert_eq!(read, v1::UsageRecord::from(&record));
    }

    #[test]
    fn a_record_that_is_kept_has_the_same_line(record in any_record()) {
        let before = line(&record);
        let mut kept = record;
        bound(&mut kept);
        prop_assert_eq!(line(&kept), before);
    }
}
