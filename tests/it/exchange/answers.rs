//! Answers: how each of them ends, what is billed for it, and which of them are the proxy's own.

use std::time::Duration;

use weir::exchange::event::{Event, Feed, Stop};
use weir::exchange::record::Outcome;
use weir::llm::{Usage, UsageSource};
use weir::policy::Policy;

use super::support::*;

fn called(policy: Policy, stream: bool) -> World {
    let mut world = World::new(policy);
    world.call(CHAT, chat(stream));
    world
}

fn outcome(world: &mut World) -> (u16, Outcome, UsageSource, Usage) {
    let record = world.end().record();
    (record.status, record.outcome, record.usage_source, record.usage)
}

#[test]
fn a_stream_without_its_end_is_truncated_and_estimated() {
    let mut world = called(policy(), true);
    let cut = &UNASKED[..UNASKED.len() - "data: [DONE]\n\n".len()];
    world.reply(sse(), cut);
    let (status, ended, source, usage) = outcome(&mut world);
    assert_eq!((status, ended, source), (200, Outcome::Truncated, UsageSource::Estimated));
    assert_eq!(usage.output, 2, "\"Hello.\" is 6 bytes");
    assert_eq!(world.client(), cut);
}

/// Usage that providers state whether it is asked for or not, and what of it the client gets.
#[test]
fn of_the_usage_in_a_stream_only_what_the_asking_caused_is_taken_out() {
    let stated = r#""usage":{"prompt_tokens":9,"completion_tokens":3}"#;
    let caused = format!(r#"data: {{"choices":[],{stated}}}"#);
    for said in [
        // vLLM with continuous statistics, Mistral, Groq.
        format!(r#"data: {{"choices":[{{"index":0,"delta":{{"content":"Hi"}}}}],{stated}}}"#),
        format!(r#"data: {{"choices":[{{"index":0,"delta":{{}},"finish_reason":"stop"}}],{stated}}}"#),
        format!(r#"data: {{"choices":[{{"index":0,"delta":{{}}}}],"x_groq":{{"id":"r",{stated}}}}}"#),
        format!(r#"data: {{"choices":[],"x_groq":{{"id":"r",{stated}}}}}"#),
    ] {
        let mut world = called(policy(), true);
        world.reply(sse(), format!("{said}\n\n{caused}\n\ndata: [DONE]\n\n"));
        assert_eq!(world.client(), format!("{said}\n\ndata: [DONE]\n\n"));
        assert_eq!(outcome(&mut world).3, super::support::usage(9, 3));
    }
    let error = format!(r#"data: {{"choices":[],"error":{{"message":"no"}},{stated}}}"#);
    let mut world = called(policy(), true);
    world.reply(sse(), format!("{error}\n\n"));
    assert_eq!(world.client(), format!("{error}\n\n"));
}

#[test]
fn an_error_event_is_an_upstream_error() {
    let mut world = called(policy(), true);
    let body = "data: {\"choices\":[{\"delta\":{\"content\":\"He\"}}]}\n\ndata: {\"error\":{\"message\":\"no\"}}\n\n";
    world.reply(sse(), body);
    assert_eq!(world.client(), body);
    assert_eq!(outcome(&mut world).1, Outcome::UpstreamError);
}

#[test]
fn an_exchange_that_is_left_in_mid_stream_is_abandoned_and_estimated() {
    let first = UNASKED.split_inclusive("\n\n").take(2).collect::<String>();
    let mut world = called(policy(), true);
    world.send(Event::Response(sse(), false)).send(Event::Chunk(bytes(first), false));
    let (status, ended, source, usage) = outcome(&mut world);
    assert_eq!((status, ended, source), (200, Outcome::Abandoned, UsageSource::Estimated));
    assert_eq!((usage.input > 0, usage.output), (true, 2));
    // With its terminal event it was complete; only the end of the connection was not seen.
    let mut world = called(policy(), true);
    world.send(Event::Response(sse(), false)).send(Event::Chunk(bytes(STREAM), false));
    let (_, ended, source, billed) = outcome(&mut world);
    assert_eq!((ended, source, billed), (Outcome::Completed, UsageSource::Provider, super::support::usage(9, 3)));
    // An error is no success, however complete it was.
    let mut world = called(policy(), false);
    world.send(Event::Response(response(500, &[("content-type", "application/json")]), false));
    world.send(Event::Chunk(bytes("{\"error\":{}}"), false));
    assert_eq!(outcome(&mut world).1, Outcome::UpstreamError);
    // Nothing came at all: what was sent may be billed, and nobody knows how much.
    let mut world = called(policy(), false);
    let (status, ended, source, _) = outcome(&mut world);
    assert_eq!((status, ended, source), (0, Outcome::Abandoned, UsageSource::Unknown));
}

#[test]
fn a_providers_error_passes_as_it_is_and_costs_nothing() {
    let body = "{\n \"error\": {\"message\": \"bad\", \"type\": \"x\", \"code\": null}}";
    for status in [400, 404, 429, 500] {
        let mut world = called(policy(), false);
        world.reply(response(status, &[("content-type", "application/json")]), body);
        assert_eq!(world.client(), body);
        let told = outcome(&mut world);
        assert_eq!(told, (status, Outcome::UpstreamError, UsageSource::Provider, Usage::default()));
    }
}

#[test]
fn the_proxys_own_replies_are_said_in_the_clients_dialect() {
    let plain = &[("content-type", "text/plain"), ("content-length", "19")];
    for (status, code) in [
        (503, "upstream_unavailable"),
        (504, "upstream_timeout"),
        (408, "request_timeout"),
        (502, "upstream_invalid_response"),
    ] {
        // After the request has left, while it arrives, while a gate is open.
        let mut arriving = World::new(gated());
        arriving.send(Event::Request(post(CHAT), false)).send(Event::RequestBody(bytes("{"), false));
        for mut world in [called(policy(), false), arriving, called(gated(), false)] {
            let left = world.envoy.upstream.began;
            world.send(Event::Response(response(status, plain), false));
            world.send(Event::Chunk(bytes("no healthy "), false)).send(Event::Chunk(bytes("upstream"), true));
            assert_eq!(world.refused(), (status, code.to_owned()));
            assert!(world.client().contains("no healthy upstream"));
            assert_eq!(world.client_header("content-type"), Some("application/json"));
            let (told, ended, source, _) = outcome(&mut world);
            assert_eq!((told, ended), (status, Outcome::UpstreamError));
            assert!(left || source == UsageSource::Unknown, "what never left is not billed");
            assert!(!world.envoy.upstream.began || left, "it is not sent on any more");
        }
    }
    // A bare status gets words; one that has none here stays what it is.
    for (status, body) in [(408, true), (418, false)] {
        let mut world = World::new(policy());
        world.send(Event::Request(post(CHAT), false)).send(Event::Response(response(status, &[]), true)).end();
        assert_eq!((world.envoy.client.status, !world.client().is_empty()), (status, body));
        assert_eq!(world.record().outcome, Outcome::UpstreamError);
    }
    // In another dialect.
    let mut world = World::new(policy());
    world.send(Event::Request(post("/v1/messages"), false));
    world.reply(response(504, plain), "stream timeout").end();
    assert!(world.client().starts_with("{\"type\":\"error\""), "{}", world.client());
}

#[test]
fn an_upstreams_plain_text_is_its_own_and_so_is_an_early_success() {
    let served = &[("content-type", "text/plain"), ("x-envoy-upstream-service-time", "3")];
    let mut world = called(policy(), false);
    world.reply(response(503, served), "busy").end();
    assert_eq!(world.client(), "busy");
    let mut world = World::new(policy());
    world.send(Event::Request(post(CHAT), false));
    world.reply(response(302, &[("location", "/login")]), "elsewhere").end();
    assert_eq!((world.envoy.client.status, world.client().as_str()), (302, "elsewhere"));
}

#[test]
fn a_huge_local_reply_is_read_to_a_bound() {
    let mut world = called(policy(), false);
    world.send(Event::Response(response(503, &[("content-type", "text/plain")]), false));
    for _ in 0..100 {
        world.send(Event::Chunk(bytes(vec![b'x'; 10_000]), false));
        assert!(world.exchange.buffered() <= 4 << 10);
    }
    world.send(Event::Chunk(bytes(""), true)).end();
    assert_eq!(world.refused().0, 503);
}

#[test]
fn headers_that_need_the_usage_wait_for_the_body() {
    let mut policy = policy();
    (policy.profile.response_headers.cost, policy.profile.response_headers.tokens) = (true, true);
    (policy.profile.response_headers.backend, policy.profile.response_headers.model) = (true, true);
    let mut world = called(policy.clone(), false);
    world.send(Event::Response(json(), false)).send(Event::Chunk(bytes(&DOCUMENT[..40]), false));
    assert!(!world.envoy.client.began);
    assert_eq!(world.exchange.buffered(), 40);
    world.send(Event::Chunk(bytes(&DOCUMENT[40..]), true)).end();
    assert_eq!(world.client(), DOCUMENT);
    // 9 tokens at $0.15 and 3 at $0.60 a million.
    assert_eq!(world.client_header("x-weir-cost-usd"), Some("0.000003150"));
    assert_eq!(world.client_header("x-weir-tokens"), Some("input=9, cached=0, output=3, reasoning=0"));
    assert_eq!(world.client_header("x-weir-backend"), Some("one"));
    assert_eq!(world.client_header("x-weir-model"), Some("gpt-4o-mini"));

    // A body of nothing ends like any other.
    let mut world = called(policy.clone(), false);
    world.reply(json(), "").end();
    assert!(world.envoy.client.ended.is_some(), "the client waits for ever");

    // A stream does not wait, and neither does what is too large to be held.
    let mut world = called(policy.clone(), true);
    world.reply(sse(), STREAM).end();
    assert_eq!((world.client().as_str(), world.client_header("x-weir-cost-usd")), (UNASKED, None));
    policy.profile.bodies.max_response_hold = 50;
    let mut world = called(policy.clone(), false);
    world.send(Event::Response(json(), false)).send(Event::Chunk(bytes(&DOCUMENT[..60]), false));
    assert!(world.envoy.client.began && world.exchange.buffered() == 0);
    world.send(Event::Chunk(bytes(&DOCUMENT[60..]), true)).end();
    assert_eq!((world.client().as_str(), world.client_header("x-weir-tokens")), (DOCUMENT, None));
    let mut world = called(policy, false);
    let long = response(200, &[("content-type", "application/json"), ("content-length", "51")]);
    world.send(Event::Response(long, false));
    assert!(world.envoy.client.began);
}

#[test]
fn an_exhausted_limit_ends_a_stream_in_good_order() {
    let begun = |extra: &[(&str, &str)]| {
        let mut world = called(policy(), true);
        let head = [&[("content-type", "text/event-stream")], extra].concat();
        world.send(Event::Response(response(200, &head), false));
        world.send(Event::Chunk(bytes(&UNASKED[..UNASKED.len() - 60]), false));
        world.send(Event::Feed(Feed::Cut));
        world
    };
    // A length that the upstream announced cannot hold any more.
    let mut world = begun(&[("content-length", "5000")]);
    let client = world.client();
    assert!(client.ends_with("\"finish_reason\":\"length\"}]}\n\ndata: [DONE]\n\n"), "{client}");
    assert_eq!(client.matches("\n\n").count(), client.matches("data: ").count(), "whole events only");
    world.send(Event::Chunk(bytes("data: more\n\n"), true));
    let (_, ended, source, _) = outcome(&mut world);
    assert_eq!((ended, source), (Outcome::Cut, UsageSource::Estimated));
    assert_eq!(world.client(), client);
    // What cannot be edited is let finish.
    let mut world = begun(&[("content-encoding", "gzip")]);
    assert!(world.envoy.client.ended.is_none());
    world.end();
    let mut world = called(policy(), false);
    world.send(Event::Response(json(), false)).send(Event::Feed(Feed::Cut)).send(Event::Chunk(bytes(DOCUMENT), true));
    assert_eq!((world.client().as_str(), outcome(&mut world).1), (DOCUMENT, Outcome::Completed));
}

#[test]
fn an_answer_that_is_its_head() {
    let mut world = called(policy(), false);
    world.send(Event::Response(response(204, &[]), true)).send(Event::Stop(Stop::Deadline));
    assert_eq!(outcome(&mut world).1, Outcome::Completed);
    assert!(world.envoy.client.bare && world.envoy.client.body.is_empty());
    let mut world = called(policy(), false);
    world.send(Event::Response(json(), true));
    assert_eq!(outcome(&mut world).1, Outcome::Truncated, "a document was announced");
}

#[test]
fn times_are_taken_where_they_belong() {
    let seconds = Duration::from_secs;
    let mut world = World::new(gated());
    world.send(Event::Request(post(CHAT), false)).wait(seconds(1));
    world.send(Event::RequestBody(bytes(chat(true)), true)).wait(seconds(2));
    world.gates.extend(all_clear());
    world.send(Event::Tick).wait(seconds(4)).send(Event::Response(sse(), false)).wait(seconds(8));
    world.send(Event::Chunk(bytes(": hello\n\n"), false)).wait(seconds(16));
    world.send(Event::Chunk(bytes(UNASKED), true)).end();
    let record = world.record();
    let times = record.timings;
    assert_eq!((times.receive, times.decide, times.wait), (Some(seconds(1)), Some(seconds(2)), Some(seconds(4))));
    assert_eq!((times.first_byte, times.first_token), (Some(seconds(15)), Some(seconds(31))));
    assert_eq!((record.duration, record.started), (seconds(31), EPOCH));
}

/// The window that a coding is undone in is memory like any other.
#[test]
fn the_window_of_a_decoder_counts_as_held_until_the_answer_has_ended() {
    let mut encoder = zstd_safe::CCtx::create();
    encoder.set_parameter(zstd_safe::CParameter::WindowLog(23)).unwrap();
    let mut encoded = [0; 4096];
    let text = r#"data: {"choices":[{"index":0,"delta":{"content":"Hi"}}]}"#.to_owned() + "\n\ndata: [DONE]\n\n";
    let mut output = zstd_safe::OutBuffer::around(&mut encoded[..]);
    let mut input = zstd_safe::InBuffer::around(text.as_bytes());
    encoder.compress_stream(&mut output, &mut input).unwrap();
    encoder.flush_stream(&mut output).unwrap();
    let begun = output.pos();
    encoder.end_stream(&mut output).unwrap();
    let encoded = output.as_slice().to_vec();
    let mut world = called(policy(), true);
    let head = response(200, &[("content-type", "text/event-stream"), ("content-encoding", "zstd")]);
    world.send(Event::Response(head, false)).send(Event::Chunk(bytes(&encoded[..begun]), false));
    let held = world.exchange.buffered();
    assert!((8 << 20..9 << 20).contains(&held), "{held}");
    world.send(Event::Chunk(bytes(&encoded[begun..]), true));
    assert_eq!(world.exchange.buffered(), 0);
    world.end();
}
