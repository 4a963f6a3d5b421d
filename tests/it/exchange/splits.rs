//! However a body is cut, the same bytes go out and the same notes; and what no rule edits goes out as
//! it came.

use std::io::Write;

use proptest::prelude::*;
use weir::cache::{Recall, Ticket};
use weir::exchange::event::{Answer, Event, Note, ResponseHead};
use weir::exchange::phase::BodyMode;
use weir::exchange::record::Outcome;
use weir::llm::UsageSource;
use weir::policy::Policy;

use super::support::*;

/// A response body under a policy, and the request that asked for it.
struct Fixture {
    name: &'static str,
    policy: fn() -> Policy,
    answers: fn() -> Vec<Answer>,
    stream: bool,
    head: ResponseHead,
    body: Vec<u8>,
}

fn leading() -> Vec<Answer> {
    let mut answers = all_clear();
    answers[2] = Answer::Recall(Recall::Lead(Ticket(4)));
    answers
}

fn with_costs() -> Policy {
    let mut policy = policy();
    policy.profile.response_headers.cost = true;
    policy
}

fn small_events() -> Policy {
    let mut policy = policy();
    policy.profile.bodies.max_event = 150;
    policy
}

/// Exact counts, with room for a part of the text.
fn counted() -> Policy {
    let mut policy = policy();
    policy.count_exactly = true;
    policy.profile.bodies.max_capture = 4;
    policy
}

fn gzip(body: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(body.as_bytes()).expect("a vector takes everything");
    encoder.finish().expect("a vector takes everything")
}

fn zipped(kind: &str) -> ResponseHead {
    response(200, &[("content-type", kind), ("content-encoding", "gzip")])
}

/// As one frame, which is cut off where nothing more is to come.
fn zstd(body: &str, left: usize) -> Vec<u8> {
    let mut frame = vec![0; zstd_safe::compress_bound(body.len())];
    let length = zstd_safe::compress(&mut frame[..], body.as_bytes(), 3).expect("room enough");
    frame.truncate(length - left);
    frame
}

fn packed(kind: &str) -> ResponseHead {
    response(200, &[("content-type", kind), ("content-encoding", "zstd")])
}

fn fixtures() -> Vec<Fixture> {
    let plain = |name, stream, head, body: Vec<u8>| Fixture { name, policy, answers: Vec::new, stream, head, body };
    let odd = format!(": hello\r\n\r\nid: 1\n{}", STREAM.trim_end_matches('\n'));
    let mut fixtures = vec![
        plain("document", false, json(), DOCUMENT.into()),
        plain("stream", true, sse(), STREAM.into()),
        plain("stream, crlf", true, sse(), STREAM.replace('\n', "\r\n").into()),
        plain("stream, cr", true, sse(), STREAM.replace('\n', "\r").into()),
        plain("stream, comments and no final newline", true, sse(), odd.into()),
        plain("stream in many lines", true, sse(), STREAM.replace(",\"choices\"", ",\r\ndata: \"choices\"").into()),
        plain("stream, cut off", true, sse(), STREAM[..STREAM.len() - 40].into()),
        plain("stream, gzip", true, zipped("text/event-stream"), gzip(STREAM)),
        plain("document, gzip", false, zipped("application/json"), gzip(DOCUMENT)),
        plain("stream, zstd", true, packed("text/event-stream"), zstd(STREAM, 0)),
        plain("stream, zstd, cut off", true, packed("text/event-stream"), zstd(STREAM, 4)),
        plain("document, zstd", false, packed("application/json"), zstd(DOCUMENT, 0)),
        plain("no JSON at all", false, json(), b"{\"a\": nonsense \xff\x00".to_vec()),
    ];
    let lead =
        |name, stream, head, body| Fixture { policy: gated, answers: leading, ..plain(name, stream, head, body) };
    fixtures.push(lead("a leader's stream", true, sse(), STREAM.replace('\n', "\r\n").into()));
    fixtures.push(lead("a leader's stream, gzip", true, zipped("text/event-stream"), gzip(STREAM)));
    fixtures.push(lead("a leader's stream, said twice", true, sse(), format!("{STREAM}{STREAM}").into()));
    fixtures.push(lead("a leader's document", false, json(), DOCUMENT.into()));
    fixtures.push(Fixture { policy: with_costs, ..plain("held for a header", false, json(), DOCUMENT.into()) });
    let early = STREAM[..STREAM.len() - 200].to_owned();
    fixtures.push(Fixture { policy: counted, ..plain("counted, cut off", true, sse(), early.clone().into()) });
    let zipped_head = zipped("text/event-stream");
    fixtures.push(Fixture { policy: counted, ..plain("counted, gzip, cut off", true, zipped_head, gzip(&early)) });
    let half = DOCUMENT[..DOCUMENT.len() - 120].to_owned();
    fixtures.push(Fixture { policy: counted, ..plain("counted, half a document", false, json(), half.into()) });
    fixtures.push(Fixture { policy: small_events, ..plain("oversized event", true, sse(), STREAM.into()) });
    fixtures
}

/// What came out at both ends, and what was noted.
fn run(fixture: &Fixture, request: &[&[u8]], answer: &[&[u8]]) -> (String, Vec<u8>, Vec<Note>) {
    run_in(BodyMode::FullDuplex, fixture, request, answer)
}

fn run_in(mode: BodyMode, fixture: &Fixture, request: &[&[u8]], answer: &[&[u8]]) -> (String, Vec<u8>, Vec<Note>) {
    let mut world = World::in_mode((fixture.policy)(), mode).answers((fixture.answers)());
    world.send(Event::Request(post(CHAT), false));
    for (at, chunk) in request.iter().enumerate() {
        world.send(Event::RequestBody(bytes(chunk), at + 1 == request.len()));
    }
    world.send(Event::Response(fixture.head.clone(), false));
    for (at, chunk) in answer.iter().enumerate() {
        world.send(Event::Chunk(bytes(chunk), at + 1 == answer.len()));
    }
    world.end();
    (world.upstream(), world.envoy.client.body.clone(), world.timeless_notes())
}

fn cut<'a>(body: &'a [u8], at: &[usize]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    let mut from = 0;
    for &at in at {
        pieces.push(&body[from..at]);
        from = at;
    }
    pieces.push(&body[from..]);
    pieces
}

#[test]
fn every_cut_in_two_gives_the_same() {
    for fixture in fixtures() {
        let request = chat(fixture.stream);
        let whole = run(&fixture, &[request.as_bytes()], &[&fixture.body]);
        for at in 0..=fixture.body.len() {
            let split = run(&fixture, &[request.as_bytes()], &cut(&fixture.body, &[at]));
            assert_eq!(split, whole, "{}: the answer cut at {at}", fixture.name);
        }
        // An end that is a message of its own: a flag on nothing, or trailers.
        let split = run(&fixture, &[request.as_bytes()], &[&fixture.body, b""]);
        assert_eq!(split, whole, "{}: an end of its own", fixture.name);
        let bytes: Vec<&[u8]> = fixture.body.chunks(1).collect();
        assert_eq!(run(&fixture, &[request.as_bytes()], &bytes), whole, "{}: byte by byte", fixture.name);
        for at in 0..=request.len() {
            let split = run(&fixture, &cut(request.as_bytes(), &[at]), &[&fixture.body]);
            assert_eq!(split, whole, "{}: the request cut at {at}", fixture.name);
        }
    }
}

/// Neither end can tell how the proxy sends bodies, nor can whoever is billed. What a header waits for is
/// the one exception: it has no place to wait in a streamed response.
#[test]
fn every_mode_gives_the_same() {
    for fixture in fixtures() {
        let request = chat(fixture.stream);
        let duplex = run(&fixture, &[request.as_bytes()], &[&fixture.body]);
        for mode in [BodyMode::BufferedStreamed, BodyMode::Buffered] {
            for at in 0..=fixture.body.len() {
                let pieces = cut(&fixture.body, &[at]);
                let other = run_in(mode, &fixture, &[&request.as_bytes()[..9], &request.as_bytes()[9..]], &pieces);
                assert_eq!(other, duplex, "{} in {mode:?}, cut at {at}", fixture.name);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_cut_in_three_gives_the_same(which in 0..fixtures().len(), at in any::<[prop::sample::Index; 2]>()) {
        let fixture = &fixtures()[which];
        let request = chat(fixture.stream);
        let whole = run(fixture, &[request.as_bytes()], &[&fixture.body]);
        let mut at = at.map(|at| at.index(fixture.body.len() + 1));
        at.sort_unstable();
        prop_assert_eq!(run(fixture, &[request.as_bytes()], &cut(&fixture.body, &at)), whole, "{}", fixture.name);
    }

    /// Invariant 6: what no rule edits is not touched, whatever it is.
    #[test]
    fn what_nobody_edits_goes_out_as_it_came(
        body in proptest::collection::vec(any::<u8>(), 0..400),
        kind in prop::sample::select(vec!["application/json", "text/event-stream", "audio/mpeg"]),
        at in any::<prop::sample::Index>(),
    ) {
        let asked = r#"{"model":"gpt-4o-mini","x":1e999,"x":[ ],"stream":true,"stream_options":{"include_usage":true}}"#;
        let at = at.index(body.len() + 1);
        let mut world = World::new(policy());
        world.call(CHAT, asked).send(Event::Response(response(200, &[("content-type", kind)]), false));
        world.send(Event::Chunk(bytes(&body[..at]), false)).send(Event::Chunk(bytes(&body[at..]), true)).end();
        prop_assert_eq!(world.upstream(), asked);
        prop_assert_eq!(&world.envoy.client.body, &body);
    }
}

#[test]
fn what_weir_asked_for_is_taken_out_and_billed() {
    for (asked, unasked) in [("\n", "\n"), ("\r\n", "\r\n"), ("\r", "\r")] {
        let fixture = Fixture {
            name: "pair",
            policy,
            answers: Vec::new,
            stream: true,
            head: sse(),
            body: STREAM.replace('\n', asked).into(),
        };
        let (upstream, client, notes) = run(&fixture, &[chat(true).as_bytes()], &[&fixture.body]);
        assert!(upstream.ends_with(",\"stream_options\":{\"include_usage\":true}}"), "{upstream}");
        assert_eq!(String::from_utf8_lossy(&client), UNASKED.replace('\n', unasked));
        let [Note::Record(record)] = &notes[..] else { panic!("{notes:?}") };
        assert_eq!((record.usage, record.usage_source), (usage(9, 3), UsageSource::Provider));
    }
}

#[test]
fn what_the_client_asked_for_itself_stays() {
    let asked = r#"{"model":"gpt-4o-mini","stream":true,"stream_options":{"include_usage":true}}"#;
    let mut world = World::new(policy());
    world.call(CHAT, asked).reply(sse(), STREAM).end();
    assert_eq!((world.upstream().as_str(), world.client().as_str()), (asked, STREAM));
    assert_eq!(world.upstream_header("accept-encoding"), None);
    assert_eq!(world.record().usage, usage(9, 3));
}

#[test]
fn an_oversized_event_passes_unchanged_and_its_usage_is_unknown() {
    let mut policy = policy();
    policy.profile.bodies.max_event = 64;
    let mut world = World::new(policy);
    world.call(CHAT, chat(true)).send(Event::Response(sse(), false));
    let large = format!("data: {{\"x\":\"{}\"}}\n\n", "y".repeat(100));
    let body = format!("data: {{}}\n\n{large}data: [DONE]\n\n");
    for chunk in body.as_bytes().chunks(7) {
        world.send(Event::Chunk(bytes(chunk), false));
        assert!(world.exchange.buffered() <= 64 + 7, "no more than one event is held");
    }
    world.send(Event::Chunk(bytes(""), true)).end();
    assert_eq!(world.client(), body);
    let record = world.record();
    assert_eq!((record.usage_source, record.outcome), (UsageSource::Unknown, Outcome::Completed));
    assert_eq!(record.text_bytes, None);
}
