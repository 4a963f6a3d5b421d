//! Answers that never end, to clients of another API: what is held of them is told and bounded.

use serde_json::json;
use weir::exchange::event::Event;
use weir::exchange::record::Outcome;
use weir::llm::Dialect;
use weir::policy::Policy;
use weir::target::{Backend, Serves, Targets};

use super::support::*;

const MEGABYTE: usize = 1 << 20;

fn to(dialect: Dialect) -> Policy {
    let backend = Backend { dialect, provider: "somebody".into(), ..backend("one", false) };
    Policy { targets: Targets::new(vec![(backend, Serves::default())], [].into()), ..policy() }
}

fn call(index: u32, name: Option<&str>, arguments: &str) -> String {
    let mut call = json!({"index": index, "function": {"arguments": arguments}});
    if let Some(name) = name {
        call["id"] = format!("call_{index}").into();
        call["type"] = "function".into();
        call["function"]["name"] = name.into();
    }
    let choice = json!({"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": null});
    let chunk = json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]});
    format!("data: {chunk}\n\n")
}

/// Two calls by turns, the second of which never ends: each client's writer holds something else of it.
#[test]
fn a_call_without_end_is_held_up_to_a_bound_that_the_host_is_told() {
    let turn = json!({"role": "user", "content": "hi"});
    let messages = json!({"model": "m", "max_tokens": 9, "stream": true, "messages": [turn]});
    let converse = json!({"messages": [{"role": "user", "content": [{"text": "hi"}]}]});
    let generate = json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]});
    let responses = json!({"model": "m", "input": "hi", "stream": true});
    for (path, asked, error, held) in [
        ("/v1/messages", &messages, "event: error", 3..=4),
        ("/model/m/converse-stream", &converse, "internalServerException", 3..=4),
        ("/v1beta/models/m:streamGenerateContent?alt=sse", &generate, "\"status\":\"INTERNAL\"", 3..=4),
        ("/v1/responses", &responses, "response.failed", 7..=8),
    ] {
        let speaks = weir::wire::Speaks { responses: false, reasons_in_responses: false, deployments: false };
        let mut world = World::new(policy_speaking(to(Dialect::OpenAi), speaks));
        world.call(path, asked.to_string());
        assert!(world.envoy.upstream.began, "{path} was refused: {}", world.client());
        world.send(Event::Response(sse(), false));
        world.send(Event::Chunk(bytes(call(0, Some("f"), "{")), false));
        world.send(Event::Chunk(bytes(call(1, Some("g"), "{\"a\":\"")), false));
        let (piece, mut most) = (call(1, None, &"x".repeat(MEGABYTE / 2)), 0);
        for _ in 0..32 {
            world.send(Event::Chunk(bytes(&piece), false));
            most = most.max(world.exchange.buffered());
        }
        assert!(held.contains(&(most / MEGABYTE)), "{path}: {most}");
        assert!(world.client().contains(error), "{path}");
        assert!(world.exchange.buffered() < MEGABYTE, "{path}: {}", world.exchange.buffered());
        world.send(Event::Chunk(bytes("data: [DONE]\n\n"), true)).end();
        assert_eq!(world.record().outcome, Outcome::UpstreamError, "{path}: it was cut in the middle");
    }
}

fn policy_speaking(mut policy: Policy, speaks: weir::wire::Speaks) -> Policy {
    let backend = Backend { provider: "somebody".into(), speaks, ..backend("one", false) };
    policy.targets = Targets::new(vec![(backend, Serves::default())], [].into());
    policy
}

/// Gemini's other form of a stream is a document, and is held as one.
#[test]
fn an_array_without_end_is_given_up() {
    let mut world = World::new(to(Dialect::Gemini));
    world.call(CHAT, chat(true));
    world.send(Event::Response(json(), false)).send(Event::Chunk(bytes("["), false));
    let text = "x".repeat(MEGABYTE);
    let element = json!({"candidates": [{"content": {"parts": [{"text": text}]}, "index": 0}]}).to_string() + ",";
    let mut most = 0;
    for _ in 0..20 {
        world.send(Event::Chunk(bytes(&element), false));
        most = most.max(world.exchange.buffered());
    }
    world.end();
    assert!(most <= 9 * MEGABYTE, "{most}");
    assert_eq!(world.refused(), (502, "upstream_invalid_response".to_owned()));
}

/// Sixty thousand bytes that are eight megabytes and more.
#[test]
fn what_a_compressed_answer_grows_to_is_bounded_as_one_that_is_plain() {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let noise: Vec<u8> =
        (0..40_000_u64).map(|at| b'a' + (at.wrapping_mul(at).wrapping_mul(0x9E37_79B9) >> 40) as u8 % 26).collect();
    let mut said = 0;
    encoder.write_all(br#"{"candidates":[{"content":{"parts":[{"text":""#).unwrap();
    while said < 9 * MEGABYTE {
        // Enough noise that the ratio is no bomb's.
        encoder.write_all(&noise[..20_000.min(noise.len())]).unwrap();
        encoder.write_all(&[b'x'; 60_000]).unwrap();
        said += 80_000;
    }
    encoder.write_all(br#""}]},"finishReason":"STOP","index":0}]}"#).unwrap();
    let coded = encoder.finish().unwrap();
    assert!(coded.len() < 8 * MEGABYTE && coded.len() * 64 > said, "{} of {said}", coded.len());
    let mut world = World::new(to(Dialect::Gemini));
    world.call(CHAT, chat(false));
    let head = response(200, &[("content-type", "application/json"), ("content-encoding", "gzip")]);
    world.reply(head, coded).end();
    assert_eq!(world.refused(), (502, "upstream_invalid_response".to_owned()));
}
