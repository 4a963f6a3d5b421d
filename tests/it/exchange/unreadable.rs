//! Answers that a provider should not give: whatever comes, the client gets something legal of its own API. Where
//! both speak the same, it is what came.

use std::io::Write;

use serde_json::{Value, json};
use weir::exchange::event::{Event, ResponseHead};
use weir::exchange::phase::BodyMode;
use weir::exchange::record::Outcome;
use weir::llm::part::Part;
use weir::llm::reply::{Choice, Finish};
use weir::llm::{Dialect, Dropped, Format, Reply, UsageSource};
use weir::policy::Policy;
use weir::target::{Backend, Serves, Targets};
use weir::wire::{self, Writing};

use super::support::*;

/// Who speaks what: a client's format, and the provider that speaks it.
const PROVIDERS: &[(Dialect, Format)] = &[
    (Dialect::OpenAi, Format::Chat),
    (Dialect::Responses, Format::Responses),
    (Dialect::Anthropic, Format::Messages),
    (Dialect::Gemini, Format::Gemini),
    (Dialect::Bedrock, Format::Converse),
    (Dialect::Cohere, Format::Cohere),
    (Dialect::Ollama, Format::Ollama),
];

fn to(dialect: Dialect) -> Policy {
    let place = Backend { dialect, ..backend("one", false) };
    Policy { targets: Targets::new(vec![(place, Serves::default())], [].into()), ..policy() }
}

/// A call of a client that speaks `format`.
fn request_of(format: Format, stream: bool) -> (String, Value) {
    let said = json!([{"role": "user", "content": "hi"}]);
    let parts = json!([{"role": "user", "parts": [{"text": "hi"}]}]);
    let blocks = json!([{"role": "user", "content": [{"text": "hi"}]}]);
    match format {
        Format::Messages => {
            ("/v1/messages".into(), json!({"model": "m", "max_tokens": 9, "stream": stream, "messages": said}))
        }
        Format::Responses => ("/v1/responses".into(), json!({"model": "m", "stream": stream, "input": "hi"})),
        Format::Gemini => {
            let verb = if stream { "streamGenerateContent?alt=sse" } else { "generateContent" };
            (format!("/v1beta/models/m:{verb}"), json!({"contents": parts}))
        }
        Format::Converse => {
            let verb = if stream { "converse-stream" } else { "converse" };
            (format!("/model/m/{verb}"), json!({"messages": blocks}))
        }
        _ => (CHAT.into(), json!({"model": "m", "stream": stream, "messages": said})),
    }
}

/// An error in the words of a client's API.
fn is_error(format: Format, status: u16, body: &Value) -> bool {
    let text = |pointer: &str| body.pointer(pointer).is_some_and(Value::is_string);
    match format {
        Format::Messages => body["type"] == "error" && text("/error/type") && text("/error/message"),
        Format::Gemini => body["error"]["code"] == status && text("/error/status") && text("/error/message"),
        Format::Converse => text("/message") && text("/__type"),
        _ => text("/error/message") && text("/error/type"),
    }
}

fn call(mode: BodyMode, client: Format, provider: Dialect, stream: bool) -> World {
    let mut world = World::in_mode(to(provider), mode);
    let (path, body) = request_of(client, stream);
    world.call(&path, body.to_string());
    assert!(world.envoy.upstream.began, "{client} to {provider}: {}", world.client());
    world
}

fn gzip(text: &str) -> Vec<u8> {
    let mut coder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    coder.write_all(text.as_bytes()).expect("a vector has room");
    coder.finish().expect("a vector has room")
}

/// What came: a head, and a body, or nothing behind the head; and the status that the client is told.
type Row = (&'static str, ResponseHead, Option<Vec<u8>>, u16);

fn rows() -> Vec<Row> {
    let page = "<html><body>Bad gateway</body></html>";
    let typed = |kind: &'static str| response(200, &[("content-type", kind)]);
    let coded = |status| response(status, &[("content-type", "application/json"), ("content-encoding", "gzip")]);
    let long = format!("{{\"text\":\"{}\"}}", "0123456789abcdef".repeat(200));
    let cut = gzip(&long)[..30].to_vec();
    let moved = || response(302, &[("location", "https://elsewhere.example/"), ("content-type", "text/html")]);
    vec![
        ("nothing behind its head", json(), None, 502),
        ("no content", response(204, &[]), None, 502),
        ("no content of a stream", response(204, &[("content-type", "text/event-stream")]), None, 502),
        ("an empty document", json(), Some(vec![]), 502),
        ("an empty stream", sse(), Some(vec![]), 502),
        ("an empty stream of frames", typed("application/vnd.amazon.eventstream"), Some(vec![]), 502),
        ("an empty stream of lines", typed("application/x-ndjson"), Some(vec![]), 502),
        ("a stream of comments", sse(), Some(b": ping\n\n: ping\n\n".to_vec()), 502),
        ("a stream of its end alone", sse(), Some(b"data: [DONE]\n\n".to_vec()), 502),
        ("a redirection", moved(), None, 502),
        ("a redirection with a page", moved(), Some(page.into()), 502),
        ("a page", typed("text/html"), Some(page.into()), 502),
        ("a page that says to be JSON", json(), Some(page.into()), 502),
        ("a page that says to be events", sse(), Some(page.into()), 502),
        ("a page with an error", response(502, &[("content-type", "text/html")]), Some(page.into()), 502),
        ("an error without a body", response(503, &[("content-type", "application/json")]), None, 503),
        ("an error with an empty body", response(429, &[("content-type", "application/json")]), Some(vec![]), 429),
        ("a document that is cut off", coded(200), Some(cut.clone()), 502),
        ("a document that is coded otherwise", coded(200), Some(b"{\"a\":1}".to_vec()), 502),
        ("an error that is cut off", coded(500), Some(cut), 500),
        ("an error that is coded otherwise", coded(500), Some(vec![0x1f, 0x8b, 9, 9, 200, 201, 202]), 500),
        ("a coding that nobody knows", response(200, &[("content-encoding", "x-own")]), Some(b"{}".to_vec()), 502),
        ("null", json(), Some(b"null".to_vec()), 502),
        ("a list", json(), Some(b"[]".to_vec()), 502),
        ("a text", json(), Some(b"\"hello\"".to_vec()), 502),
        ("an object of nothing", json(), Some(b"{}".to_vec()), 502),
        ("bytes of no type", response(200, &[]), Some(vec![0, 159, 146, 150]), 502),
        ("frames that are none", typed("application/vnd.amazon.eventstream"), Some(vec![7; 64]), 502),
        ("events that are none", sse(), Some(b"data: hello\n\ndata: [DONE]\n\n".to_vec()), 502),
        ("lines that are none", typed("application/x-ndjson"), Some(b"hello\n".to_vec()), 502),
    ]
}

fn deliver(world: &mut World, head: &ResponseHead, body: Option<&[u8]>) {
    match body {
        None => world.send(Event::Response(head.clone(), true)),
        Some(body) => world.reply(head.clone(), body),
    };
    world.end();
}

#[test]
fn what_cannot_be_read_is_an_error_in_the_clients_words() {
    for &client in &Format::CLIENTS {
        for &(provider, format) in PROVIDERS.iter().filter(|(_, format)| *format != client) {
            for (stream, mode) in
                [(false, BodyMode::FullDuplex), (true, BodyMode::FullDuplex), (true, BodyMode::Buffered)]
            {
                for (name, head, body, status) in rows() {
                    let mut world = call(mode, client, provider, stream);
                    deliver(&mut world, &head, body.as_deref());
                    let what = format!("{name}, of {format} to {client}, stream {stream}, {mode:?}");
                    let said: Value = serde_json::from_str(&world.client())
                        .unwrap_or_else(|_| panic!("{what}: {} {:?}", world.envoy.client.status, world.client()));
                    let told = world.record().status;
                    let seen = match get_status(&world) {
                        0 => world.envoy.client.status,
                        set => set,
                    };
                    assert_eq!((seen, told), (status, status), "{what}: {said}");
                    assert!(is_error(client, status, &said), "{what}: {said}");
                    assert_eq!(world.client_header("content-type"), Some("application/json"), "{what}");
                    assert_eq!(world.client_header("content-encoding"), None, "{what}");
                    let text = said.to_string();
                    assert!(!text.contains("<html>") && !text.contains('\u{fffd}'), "{what}: {said}");
                    let record = world.record();
                    assert!(matches!(record.outcome, Outcome::UpstreamError | Outcome::Truncated), "{what}");
                }
            }
        }
    }
}

/// The status that a head was given, where it was changed.
fn get_status(world: &World) -> u16 {
    world.client_header(":status").and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Where the head has gone on already, what follows it is an error all the same, and never nothing.
#[test]
fn behind_a_head_that_has_gone_on_there_is_an_error_and_no_empty_success() {
    for &client in &Format::CLIENTS {
        for &(provider, format) in PROVIDERS.iter().filter(|(_, format)| *format != client) {
            for stream in [false, true] {
                for (name, head, body, _) in rows() {
                    let mut world = call(BodyMode::BufferedStreamed, client, provider, stream);
                    deliver(&mut world, &head, body.as_deref());
                    let what = format!("{name}, of {format} to {client}, stream {stream}");
                    let said = world.client();
                    let kind = world.client_header("content-type").unwrap_or_default();
                    match kind {
                        "application/json" => {
                            let body: Value =
                                serde_json::from_str(&said).unwrap_or_else(|_| panic!("{what}: {said:?}"));
                            let status = match get_status(&world) {
                                0 => world.envoy.client.status,
                                set => set,
                            };
                            let status = if status == 200 { 502 } else { status };
                            assert!(is_error(client, status, &body), "{what}: {said}");
                        }
                        "text/event-stream" => assert!(said.contains("error"), "{what}: {said:?}"),
                        "application/vnd.amazon.eventstream" => assert!(said.contains("xception"), "{what}: {said:?}"),
                        other => panic!("{what}: {other:?}"),
                    }
                    let status = world.envoy.client.status;
                    assert!(!(300..400).contains(&status), "{what}: {status}");
                }
            }
        }
    }
}

#[test]
fn in_the_same_api_it_passes_as_it_came() {
    for &(provider, client) in PROVIDERS.iter().filter(|(_, format)| Format::CLIENTS.contains(format)) {
        for stream in [false, true] {
            for (name, head, body, _) in rows() {
                let mut world = call(BodyMode::FullDuplex, client, provider, stream);
                deliver(&mut world, &head, body.as_deref());
                let what = format!("{name}, to {client}, stream {stream}");
                assert_eq!(world.envoy.client.status, head.status, "{what}");
                assert_eq!(world.envoy.client.body, body.unwrap_or_default(), "{what}");
                if name.starts_with("a page") && head.status == 200 {
                    assert_ne!(world.record().usage_source, UsageSource::Provider, "{what}");
                }
            }
        }
    }
}

/// Some send a document where a stream was asked for, or an error with the status of a success.
#[test]
fn a_document_is_said_as_a_stream_and_an_error_is_no_success() {
    let choice = Choice { parts: vec![Part::text("Hello.")], finish: Some(Finish::Stop), ..Choice::default() };
    let reply = Reply { id: "r1".into(), model: "m".into(), choices: vec![choice], ..Reply::default() };
    for &client in &Format::CLIENTS {
        let crossing = |format: &Format| *format != client && Format::CLIENTS.contains(format);
        for &(provider, format) in PROVIDERS.iter().filter(|(_, format)| crossing(format)) {
            for kind in ["application/json", ""] {
                let mut document = Vec::new();
                wire::codec(format).write_reply(&reply, &Writing::default(), &mut document, &mut Dropped::default());
                let mut world = call(BodyMode::FullDuplex, client, provider, true);
                let head = if kind.is_empty() { response(200, &[]) } else { response(200, &[("content-type", kind)]) };
                deliver(&mut world, &head, Some(&document));
                let what = format!("{format} to {client}, {kind:?}");
                assert!(world.client().contains("Hello."), "{what}: {}", world.client());
                let expected = wire::codec(client).stream_type(false);
                assert_eq!(world.client_header("content-type"), Some(expected), "{what}");
                assert_eq!(world.record().outcome, Outcome::Completed, "{what}");
            }
        }
        for &(provider, format) in PROVIDERS.iter().filter(|(_, format)| *format != client) {
            for stream in [false, true] {
                let mut world = call(BodyMode::FullDuplex, client, provider, stream);
                let body = r#"{"type":"error","error":{"type":"overloaded","message":"The heron sleeps.","code":503}}"#;
                deliver(&mut world, &json(), Some(body.as_bytes()));
                let what = format!("{format} to {client}, stream {stream}");
                let said: Value = serde_json::from_str(&world.client()).expect("JSON");
                let status = world.record().status;
                assert!(status >= 500 && is_error(client, status, &said), "{what}: {status} {said}");
                assert!(said.to_string().contains("The heron sleeps."), "{what}: {said}");
            }
        }
    }
}
