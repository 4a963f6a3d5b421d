//! What is fuzzed: every reader of bytes from outside. A target panics where what must hold does not, and returns
//! otherwise, whatever it is given. The binaries beside this file and `tests/it/fuzz.rs` run the same ones.

mod codecs;

use bytes::Bytes;
use weir::base::json::{self, Tree};
use weir::llm::{Dialect, Operation};
use weir::wire::decode::{Decoder, Limits};
use weir::wire::opaque::Meter;
use weir::wire::{self, fields, frames, multipart, sse};

/// One target: its name, which is that of its binary and of its folder of seeds.
pub struct Target {
    pub name: &'static str,
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "json", run: json_members },
    Target { name: "tree", run: tree },
    Target { name: "sse", run: sse_events },
    Target { name: "frames", run: aws_frames },
    Target { name: "request", run: request },
    Target { name: "form", run: form },
    Target { name: "meter", run: meter },
    Target { name: "decode", run: decode },
    Target { name: "chat", run: codecs::chat },
    Target { name: "reply", run: codecs::reply },
    Target { name: "stream", run: codecs::stream },
    Target { name: "fault", run: codecs::fault },
];

/// The most that any target looks at: what is longer shows nothing more.
pub const LONGEST: usize = 16 << 10;

/// In two, where the first byte says.
fn split(data: &[u8]) -> (&[u8], &[u8]) {
    let at = data.first().map_or(0, |first| usize::from(*first) * data.len() / 256);
    data.split_at(at)
}

/// Members and elements stand where they are said to stand, and each is a document of its own.
fn json_members(data: &[u8]) {
    let Ok(members) = json::object(data) else { return };
    for member in members {
        let value = member.value.slice(data);
        assert!(!value.is_empty(), "a value of nothing");
        let _ = json::members(data, member.value);
        if let Ok(elements) = json::elements(data, member.value) {
            elements.iter().for_each(|(span, _)| assert!(!span.slice(data).is_empty(), "an element of nothing"));
        }
    }
}

/// A tree is read from what is JSON, and every text in it is one.
fn tree(data: &[u8]) {
    let Ok(tree) = Tree::read(data) else { return };
    let mut left = vec![tree.root()];
    while let Some(value) = left.pop() {
        assert!(!value.raw().is_empty(), "a value of nothing");
        let _ = value.text();
        left.extend(value.elements());
        left.extend(value.members().map(|(_, member)| member));
    }
}

/// Frames are the same however they are split, and their raw bytes are the stream as far as it could be read.
fn aws_frames(data: &[u8]) {
    let events = |chunks: &[&[u8]]| {
        let (mut parser, mut out) = (frames::Parser::new(LONGEST), Vec::new());
        let damaged = chunks.iter().map(|chunk| parser.push(Bytes::copy_from_slice(chunk), &mut out).is_err());
        (damaged.fold(false, |any, this| any | this), out)
    };
    let (before, behind) = split(data);
    let (whole, halves) = (events(&[data]), events(&[before, behind]));
    assert_eq!(whole, halves, "a split changes what is said");
    let raw: Vec<u8> = whole.1.iter().flat_map(|event| event.raw.to_vec()).collect();
    assert!(data.starts_with(&raw), "bytes are lost");
}

/// A stream's events are the same however it is split, and their raw bytes are the stream.
fn sse_events(data: &[u8]) {
    let events = |chunks: &[&[u8]]| {
        let (mut parser, mut out) = (sse::Parser::new(LONGEST), Vec::new());
        for chunk in chunks {
            let _ = parser.push(Bytes::copy_from_slice(chunk), &mut out);
        }
        parser.finish(&mut out);
        out
    };
    let (before, behind) = split(data);
    let (whole, halves) = (events(&[data]), events(&[before, behind]));
    let said = |events: &[sse::Event]| {
        let full = events.iter().filter(|event| !event.is_empty());
        full.map(|event| (event.name.clone(), event.data.clone())).collect::<Vec<_>>()
    };
    assert_eq!(said(&whole), said(&halves), "a split changes what is said");
    if data.len() < LONGEST {
        let raw: Vec<u8> = halves.iter().flat_map(|event| event.raw.to_vec()).collect();
        assert_eq!(raw, data, "bytes are lost");
    }
}

/// What is read of a request is what a JSON reader reads, for every endpoint.
fn request(data: &[u8]) {
    for dialect in [Dialect::OpenAi, Dialect::Anthropic] {
        for operation in [Operation::Chat, Operation::Completion, Operation::Responses, Operation::Embeddings] {
            if let Ok(fields) = fields::read(dialect, operation, data) {
                assert!(fields.call.choices >= 1, "no answer is asked for");
                assert_eq!(fields.call.body_bytes, data.len() as u64, "another body");
            }
        }
    }
}

/// A form with its boundary in the first line.
fn form(data: &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(0);
    let Ok(boundary) = std::str::from_utf8(&data[..end]) else { return };
    let kind = format!("multipart/form-data; boundary={boundary}");
    let endpoint = wire::detect("POST", "/v1/audio/transcriptions");
    let _ = multipart::read(&kind, endpoint, data.get(end + 1..).unwrap_or_default());
}

/// What is seen of an answer is the same however it is split.
fn meter(data: &[u8]) {
    for kind in ["application/json", "text/event-stream"] {
        let seen = |chunks: &[&[u8]]| {
            let mut meter = Meter::new(Some(kind), None, LONGEST);
            for chunk in chunks {
                meter.push(&Bytes::copy_from_slice(chunk));
                meter.release();
            }
            meter.finish();
            format!("{:?}", meter.seen().usage)
        };
        let (before, behind) = split(data);
        assert_eq!(seen(&[data]), seen(&[before, behind]), "{kind}");
    }
}

/// No coding makes more of a body than its limits allow, however it is split.
fn decode(data: &[u8]) {
    const LIMITS: Limits = Limits { max_ratio: 64, max_bytes: 1 << 18 };
    for coding in ["gzip", "deflate", "br", "zstd"] {
        let Ok(mut decoder) = Decoder::new(coding, LIMITS) else { continue };
        let (before, behind) = split(data);
        let mut out = Vec::new();
        if decoder.push(before, &mut out).is_ok() && decoder.push(behind, &mut out).is_ok() {
            let _ = decoder.finish();
        }
        assert!(out.len() as u64 <= LIMITS.max_bytes + (8 << 10), "{coding}: {} bytes", out.len());
    }
}
