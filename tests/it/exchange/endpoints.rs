//! The endpoints beside chat: the list of models, and forms.

use proptest::prelude::*;
use serde_json::Value;
use weir::exchange::event::{Event, RequestHead};
use weir::exchange::record::Outcome;
use weir::llm::{Dialect, Operation, UsageSource};

use super::support::{usage as usage_of, *};

const TRANSCRIPTIONS: &str = "/v1/audio/transcriptions";

fn models(path: &str, list: &[(&str, &str)]) -> World {
    let mut world = World::new(policy());
    world.send(Event::Request(request("GET", path, list), true)).end();
    assert!(!world.envoy.upstream.began, "a provider was asked");
    world
}

fn answer(world: &World) -> Value {
    serde_json::from_str(&world.client()).expect("JSON")
}

#[test]
fn the_list_of_models_is_answered_and_bills_nothing() {
    let world = models("/v1/models", &[("authorization", "Bearer mine")]);
    let list = answer(&world);
    let ids: Vec<_> = list["data"].as_array().expect("a list").iter().map(|model| &model["id"]).collect();
    assert_eq!(ids, ["gpt-4o-mini", "other", "text-embedding-3-small"]);
    assert_eq!((&list["object"], &list["data"][0]["owned_by"]), (&"list".into(), &"openai".into()));
    assert_eq!((world.envoy.client.status, world.client_header("content-type")), (200, Some("application/json")));
    let record = world.record();
    assert_eq!((record.outcome, record.operation, record.status), (Outcome::Answered, Operation::Models, 200));
    assert_eq!((record.usage_source, record.cost, record.signed), (UsageSource::Unknown, None, false));

    let one = models("/v1/models/other", &[]);
    assert_eq!(answer(&one)["id"], "other");
    let none = models("/v1/models/nothing", &[]);
    assert_eq!(none.refused(), (404, "model_not_found".to_owned()));
    assert_eq!(none.record().outcome, Outcome::Refused);
}

#[test]
fn a_client_of_anthropics_gets_its_own_shape() {
    let spoken = [("anthropic-version", "2023-06-01")];
    let world = models("/v1/models?limit=1", &spoken);
    let page = answer(&world);
    assert_eq!((&page["has_more"], &page["data"][0]["type"]), (&true.into(), &"model".into()), "{page}");
    assert_eq!((&page["first_id"], &page["last_id"]), (&"gpt-4o-mini".into(), &"gpt-4o-mini".into()));
    assert_eq!(world.record().dialect, Dialect::Anthropic);
    let refused = answer(&models("/v1/models/nothing", &spoken));
    assert_eq!((&refused["type"], &refused["error"]["type"]), (&"error".into(), &"not_found_error".into()));
}

fn form(model: &str, file: &[u8]) -> Vec<u8> {
    let head = format!(
        "--bnd\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n{model}\r\n\
         --bnd\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n"
    );
    [head.as_bytes(), file, b"\r\n--bnd--\r\n"].concat()
}

fn form_head(path: &str) -> RequestHead {
    request("POST", path, &[("content-type", "multipart/form-data; boundary=bnd"), ("authorization", "Bearer dummy")])
}

fn send(body: &[u8], at: &[usize]) -> World {
    let mut world = World::new(policy());
    world.send(Event::Request(form_head(TRANSCRIPTIONS), false));
    let mut from = 0;
    for &at in at {
        world.send(Event::RequestBody(bytes(&body[from..at]), false));
        from = at;
    }
    world.send(Event::RequestBody(bytes(&body[from..]), true));
    world
}

#[test]
fn a_form_is_held_routed_and_signed_by_its_model() {
    let file = b"\0\xff\r\n--bn\r\n";
    let mut world = send(&form("two/whisper-1", file), &[]);
    assert_eq!(world.envoy.upstream.body, form("whisper-1", file));
    assert_eq!(world.upstream_header("x-weir-backend"), Some("two"));
    assert_eq!(world.upstream_header("authorization"), Some("Bearer k-two"));
    world.reply(json(), r#"{"text":"Water flows.","usage":{"type":"duration","seconds":9}}"#).end();
    let record = world.record();
    assert_eq!((&*record.requested_model, &*record.sent_model), ("two/whisper-1", "whisper-1"));
    // Bytes of sound say nothing about tokens, and the seconds are what is billed: 0.006 USD a minute.
    let cost = record.cost.map(|cost| cost.nanos());
    assert_eq!((record.usage_source, cost, record.signed), (UsageSource::Provider, Some(900_000), true));
    assert_eq!((record.usage.units.audio_in_ms, record.usage.total_input()), (9_000, 0));
    assert_eq!(record.outcome, Outcome::Completed);
}

#[test]
fn stated_tokens_of_a_form_are_billed() {
    let mut world = send(&form("gpt-4o-mini", b"x"), &[]);
    let usage = r#"{"type":"tokens","input_tokens":14,"output_tokens":2,"input_token_details":{"audio_tokens":14}}"#;
    world.reply(json(), format!(r#"{{"text":"Water.","usage":{usage}}}"#)).end();
    let record = world.record();
    assert_eq!((record.usage.audio_in, record.usage.output), (14, 2));
    assert_eq!(record.usage_source, UsageSource::Provider);
}

#[test]
fn a_streamed_transcription_needs_no_done() {
    let mut world = send(&form("gpt-4o-mini", b"x"), &[]);
    let delta = r#"data: {"type":"transcript.text.delta","delta":"Water."}"#;
    let usage = r#"{"type":"tokens","input_tokens":14,"output_tokens":2,"total_tokens":16}"#;
    let done = format!(r#"data: {{"type":"transcript.text.done","text":"Water.","usage":{usage}}}"#);
    world.reply(sse(), format!("{delta}\n\n{done}\n\n")).end();
    let record = world.record();
    assert_eq!((record.outcome, record.usage_source), (Outcome::Completed, UsageSource::Provider));
    assert_eq!(record.usage, usage_of(14, 2));
    // What was cut is not complete, and what nobody stated is not made up.
    let mut world = send(&form("gpt-4o-mini", b"x"), &[]);
    world.send(Event::Response(sse(), false)).send(Event::Chunk(bytes(format!("{delta}\n\n")), false)).end();
    assert_eq!((world.record().outcome, world.record().usage_source), (Outcome::Abandoned, UsageSource::Unknown));
}

#[test]
fn what_is_no_form_is_refused_or_passes() {
    let world = send(b"{\"model\":\"gpt-4o-mini\"}", &[]);
    assert_eq!(world.refused(), (400, "unsupported_value".to_owned()));
    let twice =
        [&b"--bnd\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nother\r\n"[..], &form("x", b"")].concat();
    assert_eq!(send(&twice, &[]).refused(), (400, "duplicate_field".to_owned()));
    // JSON is as good where it names the model.
    let mut world = World::new(policy());
    world.call("/v1/images/edits", r#"{"model":"two/gpt-image-1","prompt":"x"}"#);
    assert_eq!(world.upstream(), r#"{"model":"gpt-image-1","prompt":"x"}"#);
    // Two content types: servers differ in which of them they read.
    let mut head = form_head(TRANSCRIPTIONS);
    head.headers.push("content-type", b"multipart/form-data; boundary=other");
    let mut world = World::new(policy());
    world.send(Event::Request(head, false)).send(Event::RequestBody(bytes(form("other", b"")), true));
    assert_eq!(world.refused(), (400, "unsupported_value".to_owned()));
}

#[test]
fn a_form_is_held_to_the_same_bound_as_json() {
    let mut policy = policy();
    policy.profile.bodies.max_request = 100;
    let mut world = World::new(policy);
    world.send(Event::Request(form_head(TRANSCRIPTIONS), false));
    world.send(Event::RequestBody(bytes(form("other", &[0; 100])), true));
    assert_eq!(world.refused(), (413, "request_too_large".to_owned()));
}

proptest! {
    #[test]
    fn a_form_in_any_pieces_is_the_same(file in proptest::collection::vec(any::<u8>(), 0..64), cuts in any::<[u8; 3]>()) {
        let body = form("two/whisper-1", &file);
        let mut cuts = cuts.map(|cut| usize::from(cut) % body.len());
        cuts.sort_unstable();
        let (whole, split) = (send(&body, &[]), send(&body, &cuts));
        prop_assert_eq!(&whole.envoy.upstream.body, &form("whisper-1", &file));
        prop_assert_eq!(&split.envoy.upstream.body, &whole.envoy.upstream.body);
        prop_assert_eq!(split.actions.len(), whole.actions.len());
    }
}
