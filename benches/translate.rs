//! What it costs to say a chat in another wire format, without any I/O: a request of 4 KB from each client's
//! format to each provider's, and one event of a stream of text from each provider's to each client's.
//!
//! Each number is the median over batches. Requests are read from bytes and written to bytes; events are framed
//! already, as the meter hands them on.
#![expect(clippy::print_stdout, reason = "a bench prints its table")]

use std::hint::black_box;
use std::time::Instant;

use bytes::Bytes;
use weir::base::json::Tree;
use weir::llm::{Chat, Delta, Dropped, Format};
use weir::wire::codec::{Envelope, Outgoing, Unreadable};
use weir::wire::{Writing, codec, sse};

const BATCH: usize = 64;
const BATCHES: usize = 100;

/// Bytes of a request in OpenAI's form.
const SIZE: usize = 4 << 10;

/// A model that every format takes as it is.
const MODEL: &str = "a-model";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let body = request();
    let tree = Tree::read(&body)?;
    let chat = codec(Format::Chat).read_chat(&tree, &mut Dropped::default()).map_err(|error| error.message)?;
    println!("A request of {} bytes, ns:\n", body.len());
    head();
    for client in Format::CLIENTS {
        let mut asked = Vec::new();
        write(client, &chat, &mut asked);
        row(client, |target| {
            median(|| {
                let mut out = Vec::with_capacity(asked.len() + 512);
                let Ok(tree) = Tree::read(&asked) else { return out };
                let read = codec(client).read_chat(&tree, &mut Dropped::default());
                if let Ok(read) = read {
                    write(target, &read, &mut out);
                }
                out
            })
        });
    }
    println!("\nAn event of a stream, ns:\n");
    head();
    for client in Format::CLIENTS {
        row(client, |target| event_time(client, target));
    }
    Ok(())
}

fn write(format: Format, chat: &Chat<'_>, out: &mut Vec<u8>) {
    let to =
        Outgoing { model: MODEL, envelope: Envelope::Plain, quirks: &[], ask_usage: true, default_max_output: 8192 };
    black_box(codec(format).write_chat(chat, &to, out, &mut Dropped::default()).is_ok());
}

/// Instructions, a tool, and a talk that ends with a question.
fn request() -> Vec<u8> {
    let tool = r#"{"type":"function","function":{"name":"gauge","description":"Reads a gauge.","parameters":{"type":"object","properties":{"at":{"type":"string"}},"required":["at"]}}}"#;
    let mut body = format!(
        r#"{{"model":"{MODEL}","stream":true,"max_completion_tokens":512,"temperature":0.5,"tools":[{tool}],"messages":[{{"role":"system","content":"Answer briefly."}}"#
    );
    for turn in 0.. {
        let role = if turn % 2 == 0 { "user" } else { "assistant" };
        let text = "How high does the water stand behind the weir when it \\\"rains\\\" for a week?\\n".repeat(3);
        body.push_str(&format!(r#",{{"role":"{role}","content":"{text}"}}"#));
        if body.len() >= SIZE && role == "user" {
            break;
        }
    }
    body.push_str("]}");
    body.into_bytes()
}

/// One piece of text, read from the provider's form and written in the client's.
fn event_time(client: Format, target: Format) -> u128 {
    let (name, data) = piece(target);
    let event = sse::Event { raw: Bytes::new(), data: Bytes::from(data), name: name.map(Bytes::from) };
    let mut reader = codec(target).stream_reader();
    let Some(mut writer) = codec(client).stream_writer(Writing { model: MODEL.into(), ..Writing::default() }) else {
        return 0;
    };
    let (mut dropped, mut deltas, mut out) = (Dropped::default(), Vec::new(), Vec::new());
    let start = Delta::Start { id: "i".into(), model: MODEL.into(), created: 1, usage: None };
    writer.write(&start, &mut out, &mut dropped);
    median(|| {
        deltas.clear();
        out.clear();
        let read: Result<(), Unreadable> = reader.read(&event, &mut deltas, &mut dropped);
        deltas.iter().for_each(|delta| writer.write(delta, &mut out, &mut dropped));
        (read.is_ok(), out.len())
    })
}

/// A piece of text as each provider sends it.
fn piece(format: Format) -> (Option<&'static str>, &'static str) {
    match format {
        Format::Chat => (
            None,
            r#"{"id":"i","object":"chat.completion.chunk","created":1,"model":"a-model","choices":[{"index":0,"delta":{"content":" water"},"finish_reason":null}]}"#,
        ),
        Format::Responses => (
            Some("response.output_text.delta"),
            r#"{"type":"response.output_text.delta","sequence_number":5,"item_id":"msg_1","output_index":0,"content_index":0,"delta":" water","logprobs":[]}"#,
        ),
        Format::Messages => (
            Some("content_block_delta"),
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" water"}}"#,
        ),
        Format::Gemini => (
            None,
            r#"{"candidates":[{"content":{"parts":[{"text":" water"}],"role":"model"},"index":0}],"usageMetadata":{"promptTokenCount":4},"modelVersion":"a-model","responseId":"i"}"#,
        ),
        Format::Converse => {
            (Some("contentBlockDelta"), r#"{"contentBlockIndex":0,"delta":{"text":" water"},"p":"abcdefgh"}"#)
        }
        Format::Cohere => (
            Some("content-delta"),
            r#"{"type":"content-delta","index":0,"delta":{"message":{"content":{"text":" water"}}}}"#,
        ),
        Format::Ollama => (
            None,
            r#"{"model":"a-model","created_at":"2026-02-03T04:05:06.7Z","message":{"role":"assistant","content":" water"},"done":false}"#,
        ),
    }
}

fn head() {
    println!("| from a client of | {} |", Format::ALL.map(Format::as_str).join(" | "));
    println!("|---|{}", "---:|".repeat(Format::ALL.len()));
}

fn row(client: Format, mut time: impl FnMut(Format) -> u128) {
    let cells = Format::ALL.map(|target| time(target).to_string());
    println!("| {client} | {} |", cells.join(" | "));
}

/// Nanoseconds for one.
fn median<O>(mut work: impl FnMut() -> O) -> u128 {
    let mut times: Vec<u128> = (0..BATCHES)
        .map(|_| {
            let begun = Instant::now();
            for _ in 0..BATCH {
                black_box(work());
            }
            begun.elapsed().as_nanos() / BATCH as u128
        })
        .collect();
    times.sort_unstable();
    times[BATCHES / 2]
}
