//! Goldens and properties of the codec.

mod answers;
mod faults;
mod properties;
mod requests_read;
mod requests_write;
mod settings_write;
mod streams;

use bytes::Bytes;
use serde_json::Value as Json;

use super::Gemini;
use crate::base::json::Tree;
use crate::llm::{Chat, Delta, Dropped, Refusal, Reply};
use crate::wire::codec::{Codec, Envelope, Outgoing, Unreadable, Writing};
use crate::wire::sse::{Event, Parser};

fn names(dropped: &Dropped) -> Vec<&str> {
    dropped.names().iter().map(|name| &**name).collect()
}

fn to(model: &str, envelope: Envelope) -> Outgoing<'_> {
    Outgoing { model, envelope, quirks: &[], ask_usage: true, default_max_output: 4096 }
}

/// What is written of a request, and what is dropped.
fn written(chat: &Chat<'_>, to: &Outgoing<'_>) -> (String, Dropped) {
    let (mut out, mut dropped) = (Vec::new(), Dropped::default());
    Gemini.write_chat(chat, to, &mut out, &mut dropped).unwrap();
    (String::from_utf8(out).unwrap(), dropped)
}

/// Reads a request and hands it to `check`.
fn read<R>(body: &str, check: impl FnOnce(Result<Chat<'_>, Refusal>, &Dropped) -> R) -> R {
    let tree = Tree::read(body.as_bytes()).unwrap();
    let mut dropped = Dropped::default();
    let chat = Gemini.read_chat(&tree, &mut dropped);
    check(chat, &dropped)
}

fn read_reply(body: &str) -> (Result<Reply, Unreadable>, Dropped) {
    let mut dropped = Dropped::default();
    let reply = Gemini.read_reply(&Tree::read(body.as_bytes()).unwrap(), &mut dropped);
    (reply, dropped)
}

fn writing(array: bool) -> Writing {
    Writing { id: "x1".into(), model: "asked".into(), created: 7, usage: true, array, ..Writing::default() }
}

fn write_reply(reply: &Reply) -> (String, Dropped) {
    let (mut out, mut dropped) = (Vec::new(), Dropped::default());
    Gemini.write_reply(reply, &writing(false), &mut out, &mut dropped);
    (String::from_utf8(out).unwrap(), dropped)
}

/// What a stream of events, cut into pieces of `step` bytes, says.
fn read_stream(stream: &[u8], step: usize) -> (Vec<Delta>, Dropped, bool) {
    let (mut parser, mut events) = (Parser::new(1 << 20), Vec::new());
    for chunk in stream.chunks(step.max(1)) {
        parser.push(Bytes::copy_from_slice(chunk), &mut events).unwrap();
    }
    parser.finish(&mut events);
    read_events(&events)
}

fn read_events(events: &[Event]) -> (Vec<Delta>, Dropped, bool) {
    let (mut reader, mut deltas, mut dropped) = (Gemini.stream_reader(), Vec::new(), Dropped::default());
    let all = events.iter().all(|event| reader.read(event, &mut deltas, &mut dropped).is_ok());
    reader.end(&mut deltas);
    (deltas, dropped, all)
}

fn write_stream(deltas: &[Delta], array: bool) -> (String, Dropped) {
    let (mut out, mut dropped) = (Vec::new(), Dropped::default());
    let mut writer = Gemini.stream_writer(writing(array)).unwrap();
    deltas.iter().for_each(|delta| writer.write(delta, &mut out, &mut dropped));
    (String::from_utf8(out).unwrap(), dropped)
}

fn json(text: &str) -> Json {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}
