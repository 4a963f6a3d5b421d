//! One exchange without any I/O: what `exchange` costs in time and in allocations, what is done
//! with its actions and its record afterwards, and what Envoy's messages cost to read.
//!
//! Time is the median over batches; inputs are made before a batch begins and dropped after it.
//! Allocations are counted by the system's allocator, wrapped; `weir` itself has a faster one, so the
//! times are a little above what the process spends.
#![expect(clippy::print_stdout, reason = "a bench prints its table")]

#[path = "support/cache.rs"]
mod cache;
#[path = "support/journal.rs"]
mod journal;
#[path = "support/key.rs"]
mod key;
#[path = "support/limits.rs"]
mod limits;
#[path = "support/semantic.rs"]
mod semantic;

use std::alloc::System;
use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use envoy_types::pb::envoy::config::core::v3::{HeaderMap, HeaderValue};
use envoy_types::pb::envoy::service::ext_proc::v3::processing_request::Request as Asked;
use envoy_types::pb::envoy::service::ext_proc::v3::{HttpBody, HttpHeaders, ProcessingRequest, ProtocolConfiguration};
use envoy_types::pb::google::protobuf::{Struct, Value, value::Kind};
use key::OneKey;
use prost::Message;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use weir::base::now::{self, Now};
use weir::catalog::Catalog;
use weir::config::{self, Discovery, Options, Source};
use weir::exchange::event::{Action, Event, Note, RequestHead, ResponseHead};
use weir::exchange::phase::BodyMode;
use weir::exchange::record::Record;
use weir::exchange::{Exchange, Setup};
use weir::extproc::{Incoming, Outbox, Writer, read};
use weir::policy::Policy;
use weir::telemetry::{Metrics, Recent, Sinks, record};
use weir::tokens::Learned;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const BATCH: usize = 256;
const BATCHES: usize = 200;

/// Two backends, so that a pass has to look for its own; an alias, a key, every response header.
const CONFIGURATION: &str = r#"
apiVersion: weir.dev/v1alpha1
kind: LLMProfile
metadata: {name: default}
spec: {responseHeaders: [RequestId, Backend, Model, Cost, Tokens]}
---
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: openai}
spec: {provider: openai, credentials: [{type: APIKey, apiKey: {env: KEY}}]}
---
apiVersion: weir.dev/v1alpha1
kind: LLMRoute
metadata: {name: bench}
spec:
  rules:
  - name: alias
    matches: [{model: {value: fast}}]
    backends: [{name: openai, model: gpt-4o-mini}]
  - name: changed
    matches: [{model: {value: gpt-4o}}]
    backends: [{name: openai}]
    parameters: {defaults: {temperature: 0.2}, overrides: {store: false}, remove: [logit_bias], maxOutputTokens: 4096}
    prompt: {prepend: [{role: system, content: Answer briefly.}]}
"#;

/// What one row measures, an exchange.
struct Cost {
    time: Duration,
    allocations: f64,
    bytes: f64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let policy = Arc::new(compile(CONFIGURATION)?);
    let limited = Arc::new(compile(&format!("{CONFIGURATION}{}", limits::POLICY))?);
    println!("| | ns | allocations | bytes allocated |\n|---|---:|---:|---:|");
    // One argument: only the exchanges whose name holds it, for a profiler.
    let only = std::env::args().skip(1).find(|argument| argument != "--bench");
    for (name, events) in cases() {
        if only.as_ref().is_some_and(|only| !name.contains(only.as_str())) {
            continue;
        }
        let setup = || setup(&policy);
        let cost = measure(
            || (setup(), events.clone(), Vec::with_capacity(16)),
            |(setup, events, out): &mut (Setup, Vec<Event>, Vec<Action>)| {
                let mut exchange = Exchange::new(setup.clone());
                for event in events.drain(..) {
                    exchange.on(event, NOW, out);
                }
                exchange
            },
        );
        print(name, &cost);
    }
    let name = "1 KB call, three limits asked and settled";
    if only.as_ref().is_none_or(|only| name.contains(only.as_str())) {
        print(name, &limits::call(&limited));
    }
    let wanted = |name: &str| only.as_ref().is_none_or(|only| name.contains(only.as_str()));
    let caching = Arc::new(compile(&format!("{CONFIGURATION}{}", cache::POLICY))?);
    cache::steps(&caching, wanted).iter().for_each(|(name, cost)| print(name, cost));
    if wanted("cache: memory") {
        println!("\n| | bytes |\n|---|---:|");
        cache::sizes().iter().for_each(|(name, size)| println!("| {name} | {size:.2} |"));
    }
    if only.is_some() {
        return Ok(());
    }
    let [(_, plain), ..] = cases();
    let actions = actions(&policy, plain);
    adapter(&actions);
    let record = record_of(&actions).ok_or("no record")?;
    let sinks = Sinks { metrics: Arc::new(Metrics::new()), ledger: None, recent: Arc::new(Recent::default()) };
    let counted = measure(|| Some(Note::Record(record.clone())), |note| sinks.work_off(note.take().into_iter()));
    print("its record, counted and remembered", &counted);
    print("its record, as a ledger line", &measure(|| record.clone(), |record| record::line(record)));
    limits::steps().iter().for_each(|(name, cost)| print(name, cost));
    println!("\n| | us |\n|---|---:|");
    journal::rows()?.iter().for_each(|(name, time)| println!("| {name} | {:.1} |", time.as_secs_f64() * 1e6));
    semantic::rows().iter().for_each(|(name, time)| println!("| {name} | {:.1} |", time.as_secs_f64() * 1e6));
    println!("\n| | MiB |\n|---|---:|");
    limits::sizes().iter().for_each(|(name, size)| println!("| {name} | {size:.1} |"));
    Ok(())
}

/// What speaking to Envoy adds: its messages read, and the answers to one exchange made and written.
fn adapter(actions: &[Action]) {
    let written = measure(
        || actions.to_vec(),
        |actions| {
            let (mut writer, mut out) = (Writer::default(), Outbox::default());
            actions.drain(..).for_each(|action| writer.write(action, &mut out));
            out
        },
    );
    print("its answers, written", &written);
    let encoded = measure(
        || {
            let (mut writer, mut out) = (Writer::default(), Outbox::default());
            actions.iter().cloned().for_each(|action| writer.write(action, &mut out));
            out
        },
        |outbox| {
            std::iter::from_fn(|| outbox.pop())
                .map(|message| {
                    let mut bytes = Vec::with_capacity(1024);
                    message.encode(&mut bytes).map(|()| bytes)
                })
                .collect::<Vec<_>>()
        },
    );
    print("its answers, encoded", &encoded);
    let messages = messages();
    let decoded = measure(
        || messages.clone(),
        |messages| {
            messages
                .iter_mut()
                .map(|message| read(Incoming::decode(message).ok()?, &mut Writer::default()))
                .collect::<Vec<_>>()
        },
    );
    print("Envoy's messages, decoded", &decoded);
}

fn print(name: &str, cost: &Cost) {
    let Cost { time, allocations, bytes } = cost;
    println!("| {name} | {} | {allocations:.1} | {bytes:.0} |", time.as_nanos());
}

/// Runs `work` on fresh inputs, a batch at a time. What it returns is dropped after the batch.
fn measure<I, O>(make: impl Fn() -> I, work: impl Fn(&mut I) -> O) -> Cost {
    let mut times = Vec::with_capacity(BATCHES);
    let (mut allocations, mut bytes) = (0, 0);
    for _ in 0..BATCHES {
        let mut inputs: Vec<I> = (0..BATCH).map(|_| make()).collect();
        let mut outputs = Vec::with_capacity(BATCH);
        let region = Region::new(ALLOCATOR);
        let begin = Instant::now();
        for input in &mut inputs {
            outputs.push(black_box(work(input)));
        }
        times.push(begin.elapsed() / BATCH as u32);
        let change = region.change();
        allocations = change.allocations + change.reallocations;
        bytes = change.bytes_allocated;
    }
    times.sort();
    let per = |count: usize| count as f64 / BATCH as f64;
    Cost { time: times[BATCHES / 2], allocations: per(allocations), bytes: per(bytes) }
}

// === What happens in an exchange ===

const NOW: Now = Now { mono: now::Instant(1_000_000), unix_nanos: 1_700_000_000_000_000_000 };

fn cases() -> [(&'static str, Vec<Event>); 6] {
    let stream = |asks: bool| {
        let options = if asks { r#""stream_options":{"include_usage":true},"# } else { "" };
        let mut events = vec![request("application/json"), body(&format!(r#""stream":true,{options}"#))];
        events.push(Event::Response(response("text/event-stream"), false));
        events.extend(chunks(32));
        events.push(Event::Gone);
        events
    };
    [
        ("1 KB call, whole answer", whole(request("application/json"), body(""))),
        ("the same, changed by a rule", whole(request("application/json"), body_for("gpt-4o", ""))),
        ("32 events, usage asked for by the client", stream(true)),
        ("32 events, usage asked for by Weir and taken out", stream(false)),
        ("pass: the same call as text/plain", whole(request("text/plain"), body(""))),
        (
            "refusal: no JSON",
            vec![
                request("application/json"),
                Event::RequestBody(Bytes::from_static(b"{\"model\":"), true),
                Event::Gone,
            ],
        ),
    ]
}

fn whole(request: Event, body: Event) -> Vec<Event> {
    let answer = format!(
        r#"{{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"gpt-4o-mini","choices":[{{"index":0,"message":{{"role":"assistant","content":"{}","refusal":null}},"logprobs":null,"finish_reason":"stop"}}],"usage":{{"prompt_tokens":200,"completion_tokens":32,"total_tokens":232,"prompt_tokens_details":{{"cached_tokens":0,"audio_tokens":0}},"completion_tokens_details":{{"reasoning_tokens":0,"audio_tokens":0}}}}}}"#,
        "word ".repeat(32)
    );
    let response = Event::Response(response("application/json"), false);
    vec![request, body, response, Event::Chunk(answer.into(), false), Event::Chunk(Bytes::new(), true), Event::Gone]
}

fn request(kind: &str) -> Event {
    let headers = [("user-agent", "bench"), ("accept", "*/*"), ("authorization", "Bearer any"), ("content-type", kind)];
    Event::Request(
        RequestHead {
            method: "POST".to_owned(),
            path: "/v1/chat/completions".to_owned(),
            authority: "llm.internal".to_owned(),
            headers: headers.into_iter().collect(),
            ..RequestHead::default()
        },
        false,
    )
}

fn body(more: &str) -> Event {
    body_for("fast", more)
}

fn body_for(model: &str, more: &str) -> Event {
    let mut body = format!(r#"{{"model":"{model}",{more}"messages":[{{"role":"user","content":""#);
    let text = "The weir holds the river back. ".repeat(40);
    body.push_str(&text[..1024 - body.len() - 4]);
    body.push_str("\"}]}");
    Event::RequestBody(body.into(), true)
}

fn response(kind: &str) -> ResponseHead {
    let headers = [("content-type", kind), ("openai-version", "2020-10-01"), ("date", "Tue, 14 Nov 2023 22:13:20 GMT")];
    ResponseHead { status: 200, headers: headers.into_iter().collect() }
}

/// `count` events of text, one a chunk, then finish, usage and the end.
fn chunks(count: usize) -> Vec<Event> {
    let head = r#"data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"gpt-4o-mini","choices":["#;
    let text = |text: &str| {
        format!(
            "{head}{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}},\"finish_reason\":null}}],\"usage\":null}}\n\n"
        )
    };
    let mut events: Vec<String> = (0..count).map(|_| text("word ")).collect();
    events.push(format!("{head}{{\"index\":0,\"delta\":{{}},\"finish_reason\":\"stop\"}}],\"usage\":null}}\n\n"));
    events.push(format!(
        "{head}],\"usage\":{{\"prompt_tokens\":200,\"completion_tokens\":32,\"total_tokens\":232}}}}\n\n"
    ));
    events.push("data: [DONE]\n\n".to_owned());
    let mut events: Vec<Event> = events.into_iter().map(|event| Event::Chunk(event.into(), false)).collect();
    events.push(Event::Chunk(Bytes::new(), true));
    events
}

/// What Envoy sends in the first of them, as bytes: two heads, as many headers as they have behind a
/// proxy, and a body message and its end each way.
fn messages() -> Vec<Bytes> {
    let field = |(name, value): &(&str, &str)| HeaderValue {
        key: (*name).to_owned(),
        raw_value: value.as_bytes().to_vec(),
        ..HeaderValue::default()
    };
    let head = |list: &[(&str, &str)]| HttpHeaders {
        headers: Some(HeaderMap { headers: list.iter().map(field).collect() }),
        ..HttpHeaders::default()
    };
    let piece = |size: usize, end_of_stream| HttpBody { body: vec![b'x'; size], end_of_stream, ..HttpBody::default() };
    let address = Value { kind: Some(Kind::StringValue("127.0.0.1:43210".to_owned())) };
    let attributes = Struct { fields: [("source.address".to_owned(), address)].into_iter().collect() };
    let mode = 4;
    let first = ProcessingRequest {
        request: Some(Asked::RequestHeaders(head(REQUEST_HEAD))),
        attributes: [("envoy.filters.http.ext_proc".to_owned(), attributes)].into_iter().collect(),
        protocol_config: Some(ProtocolConfiguration {
            request_body_mode: mode,
            response_body_mode: mode,
            ..ProtocolConfiguration::default()
        }),
        ..ProcessingRequest::default()
    };
    let rest = [
        Asked::RequestBody(piece(1024, false)),
        Asked::RequestBody(piece(0, true)),
        Asked::ResponseHeaders(head(RESPONSE_HEAD)),
        Asked::ResponseBody(piece(640, false)),
        Asked::ResponseBody(piece(0, true)),
    ];
    let rest = rest.map(|part| ProcessingRequest { request: Some(part), ..ProcessingRequest::default() });
    std::iter::once(first).chain(rest).map(|message| message.encode_to_vec().into()).collect()
}

const REQUEST_HEAD: &[(&str, &str)] = &[
    (":authority", "llm.internal"),
    (":path", "/v1/chat/completions"),
    (":method", "POST"),
    (":scheme", "http"),
    ("user-agent", "OpenAI/Python 1.55.3"),
    ("accept", "application/json"),
    ("accept-encoding", "gzip, deflate"),
    ("authorization", "Bearer any"),
    ("content-type", "application/json"),
    ("content-length", "1024"),
    ("x-forwarded-proto", "http"),
    ("x-request-id", "5f3759df-5f37-4a5f-8a5f-5f3759df5f37"),
    ("x-stainless-lang", "python"),
    ("x-stainless-retry-count", "0"),
];

const RESPONSE_HEAD: &[(&str, &str)] = &[
    (":status", "200"),
    ("content-type", "application/json"),
    ("openai-version", "2020-10-01"),
    ("date", "Tue, 14 Nov 2023 22:13:20 GMT"),
    ("content-length", "640"),
    ("x-envoy-upstream-service-time", "12"),
];

// === What they need ===

fn setup(policy: &Arc<Policy>) -> Setup {
    Setup {
        id: Arc::from("0123456789abcdef0123456789abcdef"),
        policy: policy.clone(),
        learned: Arc::new(Learned::new()),
        health: Arc::default(),
        mode: BodyMode::FullDuplex,
        draw: 7,
    }
}

fn compile(configuration: &str) -> Result<Policy, Box<dyn Error>> {
    let catalog = Catalog::builtin();
    let source = Source { files: vec![("bench".to_owned(), configuration.to_owned())], ..Source::default() };
    let options = Options { discovery_default: Discovery::Disabled, ..Options::default() };
    let compiled = config::load(&source, &options, &catalog, &OneKey, catalog.clone());
    let mut policy = compiled.map_err(|errors| format!("{errors:?}"))?.policy;
    policy.may_sign = true;
    Ok(policy)
}

fn actions(policy: &Arc<Policy>, events: Vec<Event>) -> Vec<Action> {
    let mut exchange = Exchange::new(setup(policy));
    let mut out = Vec::new();
    events.into_iter().for_each(|event| exchange.on(event, NOW, &mut out));
    out
}

fn record_of(actions: &[Action]) -> Option<Box<Record>> {
    actions.iter().find_map(|action| match action {
        Action::Note(Note::Record(record)) => Some(record.clone()),
        _ => None,
    })
}
