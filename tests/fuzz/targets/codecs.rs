//! The readers of every wire format. What one of them reads, each writer can write, and what is written is a document
//! that its own format's reader takes.

use bytes::Bytes;
use weir::base::json::Tree;
use weir::llm::{Delta, Dropped, Format};
use weir::wire::codec::{CODECS, Envelope, Outgoing, Said};
use weir::wire::{Codec, Writing, codec, frames, lines, sse};

use super::{LONGEST, split};

fn writing() -> Writing {
    Writing {
        id: "0123456789abcdef".to_owned(),
        model: "a-model".to_owned(),
        created: 1,
        usage: true,
        ..Writing::default()
    }
}

/// A request of each client's format, written in every format.
pub fn chat(data: &[u8]) {
    let Ok(tree) = Tree::read(data) else { return };
    for format in Format::CLIENTS {
        let mut dropped = Dropped::default();
        let Ok(mut chat) = codec(format).read_chat(&tree, &mut dropped) else { continue };
        chat.model = "a-model".into();
        for target in CODECS {
            for envelope in [Envelope::Plain, Envelope::Vertex] {
                let to =
                    Outgoing { model: "a-model", envelope, quirks: &[], ask_usage: true, default_max_output: 8192 };
                let (mut out, mut dropped) = (Vec::new(), Dropped::default());
                if target.write_chat(&chat, &to, &mut out, &mut dropped).is_ok() {
                    let written = document(&out, target.format());
                    if Format::CLIENTS.contains(&target.format()) {
                        let again = target.read_chat(&written, &mut Dropped::default());
                        assert!(again.is_ok(), "{format} to {}: {:?}", target.format(), String::from_utf8_lossy(&out));
                    }
                }
            }
        }
    }
}

/// A whole answer of each format, written for every client.
pub fn reply(data: &[u8]) {
    let Ok(tree) = Tree::read(data) else { return };
    for source in CODECS {
        let Ok(reply) = source.read_reply(&tree, &mut Dropped::default()) else { continue };
        for format in Format::CLIENTS {
            let (mut out, mut dropped) = (Vec::new(), Dropped::default());
            codec(format).write_reply(&reply, &writing(), &mut out, &mut dropped);
            let again = codec(format).read_reply(&document(&out, format), &mut Dropped::default());
            assert!(again.is_ok(), "{} to {format}: {:?}", source.format(), String::from_utf8_lossy(&out));
        }
    }
}

/// An error answer of each format, whatever it is, written for every client.
pub fn fault(data: &[u8]) {
    for source in CODECS {
        for (status, error_type) in
            [(400, None), (429, Some("ThrottlingException:http://internal.example/")), (500, None)]
        {
            let fault = source.read_fault(&Said { status, error_type, body: data });
            assert!(!fault.message.is_empty(), "{}: an error without a word", source.format());
            for format in Format::CLIENTS {
                document(&codec(format).write_fault(&fault), format);
            }
        }
    }
}

/// A stream of each format, written for every client. The steps are the same however it is split.
pub fn stream(data: &[u8]) {
    for source in CODECS {
        let (before, behind) = split(data);
        let (whole, halves) = (steps(*source, &[data]), steps(*source, &[before, behind]));
        assert_eq!(whole, halves, "{}: a split changes what is said", source.format());
        for format in Format::CLIENTS {
            let mut out = Vec::new();
            let Some(mut writer) = codec(format).stream_writer(writing()) else { continue };
            whole.iter().for_each(|step| writer.write(step, &mut out, &mut Dropped::default()));
            for event in events(format, &[&out]) {
                if !event.is_empty() && event.data != "[DONE]" {
                    document(&event.data, format);
                }
            }
        }
    }
}

/// What a stream says, up to the event that cannot be read.
fn steps(source: &dyn Codec, chunks: &[&[u8]]) -> Vec<Delta> {
    let (mut reader, mut out) = (source.stream_reader(), Vec::new());
    for event in events(source.format(), chunks).iter().filter(|event| !event.is_empty()) {
        if reader.read(event, &mut out, &mut Dropped::default()).is_err() {
            return out;
        }
    }
    reader.end(&mut out);
    out
}

fn events(format: Format, chunks: &[&[u8]]) -> Vec<sse::Event> {
    let mut out = Vec::new();
    let mut chunks = chunks.iter().map(|chunk| Bytes::copy_from_slice(chunk));
    match format {
        Format::Converse => {
            let mut parser = frames::Parser::new(LONGEST);
            // What comes behind damage is not read.
            let _ = chunks.try_for_each(|chunk| parser.push(chunk, &mut out));
        }
        Format::Ollama => {
            let mut parser = lines::Parser::new(LONGEST);
            // What comes behind damage is not read.
            let _ = chunks.try_for_each(|chunk| parser.push(chunk, &mut out));
            parser.finish(&mut out);
        }
        _ => {
            let mut parser = sse::Parser::new(LONGEST);
            // What comes behind damage is not read.
            let _ = chunks.try_for_each(|chunk| parser.push(chunk, &mut out));
            parser.finish(&mut out);
        }
    }
    out
}

/// What is written is a document.
fn document(bytes: &[u8], format: Format) -> Tree<'_> {
    Tree::read(bytes).unwrap_or_else(|error| panic!("{format}: {error}: {:?}", String::from_utf8_lossy(bytes)))
}
