//! Requests that are held: what is refused by its head, by its size, by its content, and when.

use std::time::Duration;

use bytes::Bytes;
use weir::exchange::event::{Event, Stop};
use weir::exchange::record::Outcome;
use weir::llm::UsageSource;
use weir::policy::{Policy, Unpriced};

use super::support::*;

fn small() -> Policy {
    let mut policy = policy();
    policy.profile.bodies.max_request = 100;
    policy
}

fn refused(body: impl AsRef<[u8]>) -> (u16, String) {
    let mut world = World::new(policy());
    world.call(CHAT, body).end();
    assert!(!world.envoy.upstream.began, "nothing leaves");
    world.refused()
}

fn error(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

#[test]
fn what_cannot_be_read_is_refused() {
    let deep = format!("{{\"model\":\"gpt-4o-mini\",\"x\":{}{}}}", "[".repeat(200), "]".repeat(200));
    for (body, code) in [
        ("", "invalid_json"),
        ("{\"model\":", "invalid_json"),
        (&*deep, "invalid_json"),
        ("\u{feff}nonsense", "invalid_json"),
        ("{\"model\":\"gpt-4o-mini\",\"model\":\"other\"}", "duplicate_field"),
        ("{\"model\":\"gpt-4o-mini\",\"mo\\u0064el\":\"other\"}", "duplicate_field"),
        ("{\"messages\":[]}", "unsupported_value"),
        ("{\"model\":null}", "unsupported_value"),
    ] {
        assert_eq!(refused(body), error(400, code), "{body:.60}");
    }
    assert_eq!(refused("{\"model\":\"nobody's\"}"), error(404, "model_not_found"));
    assert_eq!(refused(b"{\"model\":\"\xff\"}"), error(400, "invalid_json"));
}

#[test]
fn an_unpriced_model_is_refused_where_the_policy_says_so() {
    let mut policy = policy();
    policy.profile.unpriced = Unpriced::Deny;
    let mut world = World::new(policy);
    world.call(CHAT, "{\"model\":\"one/nobody-knows\"}").end();
    assert_eq!(world.refused(), error(403, "model_not_allowed"));
}

#[test]
fn a_request_without_a_body_is_no_call() {
    let mut world = World::new(policy());
    world.send(Event::Request(post(CHAT), true)).end();
    assert_eq!(world.refused(), error(400, "invalid_json"));
}

#[test]
fn what_is_too_large_is_refused_by_its_declared_length_when_it_has_ended() {
    let mut world = World::new(small());
    world.send(Event::Request(request("POST", CHAT, &[("content-length", "101")]), false));
    world.send(Event::RequestBody(bytes([b'x'; 50]), false));
    assert!(!world.envoy.client.began, "it is listened to first");
    assert_eq!(world.exchange.buffered(), 0, "and not kept");
    world.send(Event::RequestBody(bytes([b'x'; 51]), true)).end();
    assert_eq!(world.refused(), error(413, "request_too_large"));
}

#[test]
fn what_is_too_large_is_refused_by_its_bytes() {
    for (size, status) in [(100, 400), (101, 413)] {
        let mut world = World::new(small());
        world.call(CHAT, vec![b'x'; size]).end();
        assert_eq!(world.refused().0, status, "{size} bytes");
    }
    let mut world = World::new(small());
    world.send(Event::Request(post(CHAT), false)).send(Event::RequestBody(bytes([b'x'; 101]), false));
    assert_eq!(world.exchange.buffered(), 0);
    world.send(Event::RequestBody(Bytes::new(), true)).end();
    assert_eq!(world.refused().0, 413);
}

#[test]
fn a_refused_request_is_listened_to_for_two_seconds_or_64_mib() {
    let lingering = || {
        let mut world = World::new(small());
        world.send(Event::Request(request("POST", CHAT, &[("content-length", "999999999")]), false));
        world
    };
    let mut world = lingering();
    world.wait(Duration::from_millis(1999)).send(Event::Tick);
    assert!(!world.envoy.client.began);
    world.wait(Duration::from_millis(1)).end();
    assert_eq!(world.refused().0, 413);

    let mut world = lingering();
    let chunk = Bytes::from(vec![b'x'; 1 << 20]);
    for _ in 0..64 {
        world.send(Event::RequestBody(chunk.clone(), false));
    }
    assert!(!world.envoy.client.began);
    world.send(Event::RequestBody(bytes("x"), false));
    assert_eq!(world.refused().0, 413);
    // What comes after the answer is not answered again.
    world.send(Event::RequestBody(chunk, true)).wait(Duration::from_secs(3)).end();

    let mut world = lingering();
    world.end();
    assert!(world.records().is_empty(), "nobody was answered");
}

#[test]
fn a_compressed_request_and_an_unknown_weir_key_are_refused_by_the_head() {
    for (name, value, expected) in [
        ("content-encoding", "gzip", error(400, "unsupported_value")),
        ("authorization", "Bearer sk-weir-nobody", error(401, "invalid_api_key")),
        ("x-api-key", "sk-weir-nobody", error(401, "invalid_api_key")),
    ] {
        let mut world = World::new(policy());
        world.send(Event::Request(request("POST", CHAT, &[(name, value)]), false));
        world.send(Event::RequestBody(bytes(chat(false)), true)).end();
        assert_eq!(world.refused(), expected);
    }
}

#[test]
fn there_is_no_room() {
    let mut world = World::new(policy());
    world.send(Event::Request(post(CHAT), false)).send(Event::Stop(Stop::Shed));
    world.send(Event::RequestBody(bytes(chat(false)), true)).end();
    assert_eq!(world.refused(), error(503, "overloaded"));
    assert_eq!(world.client_header("retry-after"), Some("1"));
}

#[test]
fn the_process_stops_in_every_phase() {
    let stop = || Event::Stop(Stop::Deadline);
    // Arriving, and complete with an open gate.
    let mut world = World::new(gated());
    world.send(Event::Request(post(CHAT), false)).send(stop()).end();
    assert_eq!(world.refused(), error(503, "shutting_down"));
    let mut world = World::new(gated());
    world.call(CHAT, chat(false)).send(stop()).end();
    assert_eq!(world.refused(), error(503, "shutting_down"));
    // Sent: nothing can be said, and the process may be gone before the proxy is. The record is not lost.
    let mut world = World::new(policy());
    world.call(CHAT, chat(false)).send(stop());
    assert_eq!((world.record().outcome, world.record().usage_source), (Outcome::Stopped, UsageSource::Unknown));
    world.reply(json(), DOCUMENT).end();
    assert_eq!(world.client(), DOCUMENT);
    // Opened when the time was over already.
    let mut world = World::new(policy());
    world.send(stop()).send(Event::Request(post(CHAT), false)).end();
    assert_eq!(world.refused(), error(503, "shutting_down"));
    // The head is held.
    let mut costs = policy();
    costs.profile.response_headers.cost = true;
    let mut world = World::new(costs);
    world.call(CHAT, chat(false)).send(Event::Response(json(), false)).send(Event::Chunk(bytes("{"), false));
    world.send(stop()).end();
    assert_eq!(world.refused(), error(503, "shutting_down"));
    assert_eq!((world.record().outcome, world.exchange.buffered()), (Outcome::Stopped, 0));
    // A stream is ended with an error event between two others; a document goes on.
    let mut world = World::new(policy());
    world.call(CHAT, chat(true)).send(Event::Response(sse(), false));
    world.send(Event::Chunk(bytes("data: {}\n\ndata: {\"hal"), false)).send(stop()).end();
    let client = world.client();
    assert!(client.starts_with("data: {}\n\ndata: {\"error\":") && client.ends_with("}\n\n"), "{client}");
    assert!(world.envoy.client.ended.is_some());
    assert_eq!(world.record().outcome, Outcome::Stopped);
    let mut world = World::new(policy());
    world.call(CHAT, chat(false)).send(Event::Response(json(), false)).send(stop());
    world.send(Event::Chunk(bytes(DOCUMENT), true)).end();
    assert_eq!((world.client().as_str(), world.record().outcome), (DOCUMENT, Outcome::Stopped));
}
