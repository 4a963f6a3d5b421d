//! Converse against its documentation: requests, answers and streams as they stand on the wire, and what the
//! canonical words make of them.

use bytes::Bytes;
use serde_json::{Value as Json, json};

use super::*;
use crate::llm::chat::Role;
use crate::llm::part::{CacheMark, Citation, Content, Media, MediaKind, Part, Source, ToolCall, ToolResult};
use crate::llm::{Delta, FaultKind, Finish, Signature, Usage};
use crate::wire::codec::Envelope;
use crate::wire::sse::Event;

mod answers;
mod faults;
mod random;
mod requests;
mod rules;
mod streams;

const CLAUDE: &str = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";

fn to(model: &str) -> Outgoing<'_> {
    Outgoing { model, envelope: Envelope::Plain, quirks: &[], ask_usage: false, default_max_output: 4_096 }
}

fn names(dropped: &Dropped) -> Vec<String> {
    dropped.names().iter().map(|name| name.to_string()).collect()
}

/// What is written for a model, and what is left out.
fn written(chat: &Chat<'_>, model: &str) -> (Json, Vec<String>) {
    let (mut out, mut dropped) = (Vec::new(), Dropped::default());
    Bedrock.write_chat(chat, &to(model), &mut out, &mut dropped).unwrap();
    (serde_json::from_slice(&out).unwrap(), names(&dropped))
}

/// Reads a request that lives as long as the test.
fn read(body: &Json) -> (Chat<'static>, Vec<String>) {
    let text: &'static str = Box::leak(body.to_string().into_boxed_str());
    let mut dropped = Dropped::default();
    let chat = Bedrock.read_chat(&Tree::read(text.as_bytes()).unwrap(), &mut dropped).unwrap();
    (chat, names(&dropped))
}

fn user(parts: Vec<Part<'static>>) -> Chat<'static> {
    let mut chat = Chat::default();
    chat.say(Role::User, parts);
    chat
}

fn media(kind: MediaKind, mime: &'static str, source: Source<'static>) -> Media<'static> {
    Media { kind, mime: Some(mime.into()), source, name: None, detail: None }
}

fn seal(data: &'static str) -> Signature<'static> {
    Signature { maker: Format::Converse, data: data.into() }
}

fn call(id: &'static str, name: &'static str, arguments: &'static str) -> Part<'static> {
    Part::new(Content::ToolCall(ToolCall {
        id: id.into(),
        name: name.into(),
        arguments: arguments.into(),
        signature: None,
    }))
}

fn result(id: &'static str, parts: Vec<Part<'static>>) -> ToolResult<'static> {
    ToolResult { id: id.into(), name: None, parts, is_error: false }
}

fn marked(mut part: Part<'static>, mark: CacheMark) -> Part<'static> {
    part.cache = Some(mark);
    part
}

/// The events in these bytes.
fn events(stream: &[u8], step: usize) -> Vec<Event> {
    let (mut parser, mut events) = (frames::Parser::new(1 << 20), Vec::new());
    for chunk in stream.chunks(step) {
        parser.push(Bytes::copy_from_slice(chunk), &mut events).unwrap();
    }
    assert!(parser.is_whole());
    events
}

/// The steps in these bytes, in pieces of so many.
fn deltas(stream: &[u8], step: usize) -> (Vec<Delta>, Vec<String>) {
    let (mut reader, mut out, mut dropped) = (Bedrock.stream_reader(), Vec::new(), Dropped::default());
    for event in events(stream, step) {
        reader.read(&event, &mut out, &mut dropped).unwrap();
    }
    reader.end(&mut out);
    (out, names(&dropped))
}

/// A stream of these steps, as names and payloads of its frames, and what is left out.
fn stream_of(deltas: &[Delta]) -> (Vec<u8>, Vec<(String, Json)>, Vec<String>) {
    let to = Writing { id: "abc".into(), ..Writing::default() };
    let (mut writer, mut out, mut dropped) = (Bedrock.stream_writer(to).unwrap(), Vec::new(), Dropped::default());
    for delta in deltas {
        writer.write(delta, &mut out, &mut dropped);
    }
    let seen = events(&out, usize::MAX).into_iter().map(|event| {
        let name = String::from_utf8(event.name.unwrap().to_vec()).unwrap();
        (name, serde_json::from_slice(&event.data).unwrap())
    });
    let seen = seen.collect();
    (out, seen, names(&dropped))
}
