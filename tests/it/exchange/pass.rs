//! What is no LLM call passes: unchanged, never held, signed only where a rule says so.

use weir::exchange::event::{Event, RequestHead};
use weir::exchange::record::Outcome;
use weir::llm::UsageSource;

use super::support::*;

const CREDENTIALS: [(&str, &str); 5] = [
    ("authorization", "Bearer mine"),
    ("x-api-key", "mine"),
    ("api-key", "mine"),
    ("x-goog-api-key", "mine"),
    ("proxy-authorization", "mine"),
];

fn passing() -> Vec<RequestHead> {
    let to_one = |head: RequestHead| RequestHead { authority: "one.example".to_owned(), ..head };
    [
        request("DELETE", "/v1/models/ft:x", &CREDENTIALS),
        request("POST", "/v1/unknown", &CREDENTIALS),
        request("GET", CHAT, &CREDENTIALS),
        request("POST", CHAT, &[("content-type", "multipart/form-data; boundary=x"), CREDENTIALS[0]]),
        request("POST", CHAT, &[("content-type", "text/plain")]),
        request("GET", "/v1/realtime", &[("upgrade", "websocket"), ("connection", "upgrade")]),
        request("CONNECT", "one.example:443", &[]),
    ]
    .into_iter()
    .map(to_one)
    .collect()
}

#[test]
fn what_passes_is_answered_at_its_head_and_echoed() {
    for mut head in passing() {
        head.headers.push("x-weir-tags", b"a=b");
        head.headers.push("x-weir-backend", b"two");
        let path = head.path.clone();
        let mut world = World::new(policy());
        world.send(Event::Request(head, false));
        assert!(world.envoy.upstream.began, "{path} is held");
        world.send(Event::RequestBody(bytes("\0any"), false));
        assert_eq!(world.upstream(), "\0any", "{path}");
        world.send(Event::RequestBody(bytes(" bytes"), true));
        assert_eq!(world.upstream(), "\0any bytes", "{path}");
        for (name, _) in CREDENTIALS {
            assert_eq!(world.upstream_header(name), None, "{path}");
        }
        assert_eq!(world.upstream_header("x-weir-tags"), None);
        assert_eq!(world.upstream_header("x-weir-backend"), Some("one"), "the caller does not choose");
        world.reply(response(200, &[("content-type", "x/y"), ("content-length", "3")]), "a\0b").end();
        assert_eq!((world.client().as_str(), world.exchange.buffered()), ("a\0b", 0));
        let record = world.record();
        assert!(!record.signed);
        assert_eq!((record.outcome, record.request_bytes, record.response_bytes), (Outcome::Completed, 10, 3));
    }
}

#[test]
fn a_request_without_a_body_passes_without_one() {
    let mut world = World::new(policy());
    let head = RequestHead { authority: "ONE.example".to_owned(), ..request("GET", "/v1/files?limit=2", &[]) };
    world.send(Event::Request(head, true)).send(Event::Response(response(204, &[]), true)).end();
    assert!(world.envoy.upstream.bare && world.envoy.client.bare);
    assert_eq!(world.envoy.upstream.headers[":path"], b"/v1/files?limit=2");
    assert_eq!(world.record().outcome, Outcome::Completed);
}

#[test]
fn a_passthrough_rule_signs() {
    let mut world = World::new(policy());
    world.send(Event::Request(request("POST", "/v1/files", &CREDENTIALS), false));
    assert_eq!(world.upstream_header("authorization"), Some("Bearer k-one"));
    assert_eq!(world.upstream_header("x-api-key"), None);
    world.send(Event::RequestBody(bytes("x"), true)).reply(json(), "{}").end();
    assert!(world.record().signed);
}

#[test]
fn a_path_that_goes_nowhere_is_refused() {
    let mut world = World::new(policy());
    world.send(Event::Request(request("POST", "/v1/unknown", &[]), true)).end();
    assert_eq!(world.refused(), (404, "no_backend".to_owned()));
}

#[test]
fn a_usage_object_that_is_recognised_is_metered() {
    let mut world = World::new(policy());
    world.send(Event::Request(request("POST", "/v1/files/transcribe", &[]), false));
    world.send(Event::RequestBody(bytes("audio"), true)).reply(json(), DOCUMENT).end();
    let record = world.record();
    assert_eq!((record.usage, record.usage_source), (usage(9, 3), UsageSource::Provider));
}

#[test]
fn an_answer_before_the_request_is_passed_on() {
    // A filter in front refused: the first message is the response's head.
    let mut world = World::new(policy());
    world.reply(response(401, &[("content-type", "text/plain")]), "Jwt is missing").end();
    assert_eq!((world.envoy.client.status, world.client().as_str()), (401, "Jwt is missing"));
    assert_eq!(world.record().usage_source, UsageSource::Unknown);
}

#[test]
fn a_socket_goes_both_ways_until_somebody_leaves() {
    let mut world = World::new(policy());
    let head = request("GET", "/v1/realtime", &[("upgrade", "websocket")]);
    let head = RequestHead { authority: "one.example".to_owned(), ..head };
    world.send(Event::Request(head, false)).send(Event::Response(response(101, &[]), false));
    for _ in 0..3 {
        world.send(Event::RequestBody(bytes("ping"), false)).send(Event::Chunk(bytes("pong"), false));
    }
    world.end();
    assert_eq!((world.upstream().as_str(), world.client().as_str()), ("pingpingping", "pongpongpong"));
}
