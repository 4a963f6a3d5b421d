//! The format against its documentation: goldens as tables, and round trips.

mod answers;
mod faults;
mod requests;
mod round_trips;
mod rules;
mod streams;

use bytes::Bytes;

use super::*;
use crate::llm::Delta;
use crate::wire::codec::Envelope;

/// Names of what was left out.
fn names(dropped: &Dropped) -> Vec<String> {
    dropped.names().iter().map(ToString::to_string).collect()
}

fn outgoing(model: &str, envelope: Envelope) -> Outgoing<'_> {
    Outgoing { model, envelope, quirks: &[], ask_usage: false, default_max_output: 4096 }
}

/// A request to `model`, as it is written.
fn written(chat: &Chat<'_>, model: &str, envelope: Envelope) -> Result<(String, Vec<String>), Refusal> {
    let (mut out, mut dropped) = (Vec::new(), Dropped::default());
    Anthropic.write_chat(chat, &outgoing(model, envelope), &mut out, &mut dropped)?;
    let out = String::from_utf8(out).unwrap();
    // It is JSON, and says no key twice.
    assert!(Tree::read(out.as_bytes()).is_ok(), "{out}");
    Ok((out, names(&dropped)))
}

/// A client's request, read and written again, and what was left out on either way.
fn rewritten(body: &str, model: &str, envelope: Envelope) -> (String, Vec<String>) {
    let tree = Tree::read(body.as_bytes()).unwrap();
    let mut dropped = Dropped::default();
    let mut chat = Anthropic.read_chat(&tree, &mut dropped).unwrap();
    chat.stream = body.contains("\"stream\":true");
    let (out, more) = written(&chat, model, envelope).unwrap();
    (out, names(&dropped).into_iter().chain(more).collect())
}

fn writing() -> Writing {
    Writing { id: "x".into(), model: "asked".into(), ..Writing::default() }
}

/// The steps of a stream of these data, and what was left out.
fn steps(events: &[&str]) -> (Vec<Delta>, Vec<String>) {
    let (mut out, mut dropped) = (Vec::new(), Dropped::default());
    let mut reader = Anthropic.stream_reader();
    for data in events {
        let data = Bytes::copy_from_slice(data.as_bytes());
        reader.read(&sse::Event { raw: data.clone(), data, name: None }, &mut out, &mut dropped).unwrap();
    }
    reader.end(&mut out);
    (out, names(&dropped))
}

/// The events of a stream that is written, as lines of name and data.
fn events(deltas: &[Delta]) -> (Vec<String>, Vec<String>) {
    let (mut out, mut dropped) = (Vec::new(), Dropped::default());
    let mut writer = Anthropic.stream_writer(writing()).unwrap();
    deltas.iter().for_each(|delta| writer.write(delta, &mut out, &mut dropped));
    (parsed(&out).into_iter().map(|(_, data)| data).collect(), names(&dropped))
}

/// Each event's name is its data's type.
fn parsed(stream: &[u8]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut parser = sse::Parser::new(1 << 20);
    parser.push(Bytes::copy_from_slice(stream), &mut found).unwrap();
    let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
    let found: Vec<_> = found.iter().map(|event| (text(event.name.as_ref().unwrap()), text(&event.data))).collect();
    for (name, data) in &found {
        assert!(data.starts_with(&format!("{{\"type\":\"{name}\"")), "{name} {data}");
    }
    found
}
