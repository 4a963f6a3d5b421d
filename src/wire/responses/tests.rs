//! The codec against goldens, against itself, and against bytes that are no answers.

mod custom;
mod legal;
mod models;
mod properties;
mod replies;
mod requests;
mod streams;
mod written;

use serde_json::Value as Json;

use super::Responses;
use crate::base::json::Tree;
use crate::llm::chat::{Role, Turn};
use crate::llm::part::{Media, MediaKind, Source};
use crate::llm::{Chat, Content, Delta, Dropped, Fold, Format, Part, Refusal, Reply, Signature};
use crate::wire::codec::{Codec, Envelope, Outgoing, Unreadable, Writing};
use crate::wire::sse;

fn names(dropped: &Dropped) -> Vec<String> {
    dropped.names().iter().map(ToString::to_string).collect()
}

fn read_chat(body: &str) -> (Result<Chat<'_>, Refusal>, Vec<String>) {
    let mut dropped = Dropped::default();
    let chat = Responses.read_chat(&Tree::read(body.as_bytes()).unwrap(), &mut dropped);
    (chat, names(&dropped))
}

fn write_chat(chat: &Chat<'_>) -> (String, Vec<String>) {
    let to = Outgoing {
        model: "a-model",
        envelope: Envelope::Plain,
        quirks: &[],
        ask_usage: true,
        default_max_output: 4096,
    };
    let (mut out, mut dropped) = (Vec::new(), Dropped::default());
    Responses.write_chat(chat, &to, &mut out, &mut dropped).unwrap();
    (String::from_utf8(out).unwrap(), names(&dropped))
}

fn read_reply(body: &str) -> (Result<Reply, Unreadable>, Vec<String>) {
    let mut dropped = Dropped::default();
    let reply = Responses.read_reply(&Tree::read(body.as_bytes()).unwrap(), &mut dropped);
    (reply, names(&dropped))
}

fn writing() -> Writing {
    Writing { id: "0a1b".into(), model: "gpt-5".into(), created: 1_790_000_000, ..Writing::default() }
}

fn write_reply(reply: &Reply) -> (String, Vec<String>) {
    let (mut out, mut dropped) = (Vec::new(), Dropped::default());
    Responses.write_reply(reply, &writing(), &mut out, &mut dropped);
    (String::from_utf8(out).unwrap(), names(&dropped))
}

/// The deltas of a stream that comes in these chunks.
fn read_chunks<'c>(chunks: impl Iterator<Item = &'c [u8]>) -> (Result<Vec<Delta>, Unreadable>, Vec<String>) {
    let (mut parser, mut events) = (sse::Parser::new(1 << 24), Vec::new());
    chunks.for_each(|chunk| parser.push(chunk.to_vec().into(), &mut events).unwrap());
    parser.finish(&mut events);
    let (mut deltas, mut dropped) = (Vec::new(), Dropped::default());
    let mut reader = Responses.stream_reader();
    let read = events.iter().try_for_each(|event| reader.read(event, &mut deltas, &mut dropped));
    (read.map(|()| deltas), names(&dropped))
}

fn read_stream(bytes: &[u8]) -> (Vec<Delta>, Vec<String>) {
    let (deltas, dropped) = read_chunks(std::iter::once(bytes));
    (deltas.unwrap(), dropped)
}

fn write_stream(deltas: &[Delta]) -> (Vec<u8>, Vec<String>) {
    let (mut out, mut dropped) = (Vec::new(), Dropped::default());
    let mut writer = Responses.stream_writer(writing()).unwrap();
    deltas.iter().for_each(|delta| writer.write(delta, &mut out, &mut dropped));
    (out, names(&dropped))
}

/// The data of the events in a stream.
fn events(bytes: &[u8]) -> Vec<Json> {
    let (mut parser, mut events) = (sse::Parser::new(1 << 26), Vec::new());
    parser.push(bytes.to_vec().into(), &mut events).unwrap();
    parser.finish(&mut events);
    let events = events.iter().filter(|event| !event.is_empty());
    let json = |event: &sse::Event| {
        let json: Json = serde_json::from_slice(&event.data).unwrap();
        assert_eq!(json["type"].as_str().unwrap().as_bytes(), event.name.as_deref().unwrap());
        json
    };
    events.map(json).collect()
}

fn fold(deltas: &[Delta]) -> Reply {
    let mut fold = Fold::default();
    deltas.iter().for_each(|delta| fold.push(delta));
    assert!(!fold.is_lossy());
    fold.complete().unwrap()
}

fn json(text: &str) -> Json {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn seal(maker: Format, data: &'static str) -> Signature<'static> {
    Signature { maker, data: data.into() }
}

fn media(kind: MediaKind, mime: Option<&'static str>, source: Source<'static>) -> Media<'static> {
    Media { kind, mime: mime.map(Into::into), source, name: None, detail: None }
}

fn turn(role: Role, contents: Vec<Content<'static>>) -> Turn<'static> {
    Turn { role, parts: contents.into_iter().map(Part::new).collect(), name: None }
}

fn text(text: &'static str) -> Content<'static> {
    Content::Text { text: text.into(), citations: Vec::new() }
}
