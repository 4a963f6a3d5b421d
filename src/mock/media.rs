//! Images, audio, moderations and rerank: the smallest answer in the provider's own shape, with its usage
//! where that provider states it. What is said depends on the request's model, its `n`, and the form that
//! it asks for (`stream`, `response_format`, `stream_format`).

use http::{StatusCode, header};
use serde_json::{Value, json};

use super::body::{Event, Source};
use super::codec::base64;
use super::openai::{Answer, Caller, JSON, Refuse};
use super::reply::CREATED;
use crate::llm::{Call, Dialect, Operation};
use crate::wire::{Endpoint, Named, fields, multipart, sse};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Media {
    Speech,
    /// A transcription.
    Text,
    Translation,
    /// New, edited or varied.
    Images,
    Moderation,
    Rerank,
}

/// Paths of a `POST` end like this, whatever stands before.
const PATHS: &[(&str, Media)] = &[
    ("/audio/speech", Media::Speech),
    ("/audio/transcriptions", Media::Text),
    ("/audio/translations", Media::Translation),
    ("/images/generations", Media::Images),
    ("/images/edits", Media::Images),
    ("/images/variations", Media::Images),
    ("/moderations", Media::Moderation),
    ("/rerank", Media::Rerank),
];

const EVENTS: &str = "text/event-stream";

/// The first bytes of an MP3 frame, which are no text.
const SOUND: &[u8] = &[0xff, 0xfb, 0x90, 0x64, 0x00, 0x0d, 0x0a, 0xfe];

/// More than this many images are not made at once, as with OpenAI.
const MOST_IMAGES: u64 = 10;

// === impl Media ===

impl Media {
    pub(super) fn of(path: &str) -> Option<Media> {
        PATHS.iter().find(|(end, _)| path.ends_with(end)).map(|(_, media)| *media)
    }
}

// === impl Caller ===

impl Caller<'_> {
    /// Answers one of these. Without a body (an early answer) it speaks for the model `mock`.
    pub(super) fn media(&self, media: Media, body: Option<&[u8]>) -> Answer {
        let call = match body.map(|body| self.call(body)).transpose() {
            Ok(call) => call,
            Err(refuse) => return self.refuse(&refuse, None, false),
        };
        let model = call.as_ref().map_or("mock", |call| &*call.model);
        if let Some(status) = self.program.error() {
            return self.refuse(&status.into(), Some(model), false);
        }
        let count = call.as_ref().map_or(1, |call| call.choices).min(MOST_IMAGES);
        let status = self.program.status.unwrap_or(StatusCode::OK);
        let ticket = Some(self.open(status, Some(model), false, 0));
        let served = self.program.model.as_deref().unwrap_or(model);
        let streams = call.as_ref().is_some_and(|call| call.stream);
        let body = body.unwrap_or_default();
        let (content_type, bytes) = match media {
            Media::Speech if said(body, "stream_format") == "sse" => (EVENTS, spoken_events()),
            Media::Speech => ("audio/mpeg", SOUND.repeat(256)),
            // `whisper-1` ignores `stream`, as OpenAI's does.
            Media::Text if streams && !served.starts_with("whisper") => (EVENTS, heard_events()),
            Media::Text => transcription(served, &said(body, "response_format")),
            Media::Translation => (JSON, write(&json!({"text": "Water flows."}))),
            Media::Images if streams => (EVENTS, image_events(served)),
            Media::Images => (JSON, images(served, count)),
            Media::Moderation => (JSON, moderation(served)),
            Media::Rerank => (JSON, rerank(served, body)),
        };
        let event = Event { bytes: bytes.into(), tokens: 0 };
        Answer { status, content_type, headers: Vec::new(), source: Source::Whole(Some(event)), ticket }
    }

    fn call(&self, body: &[u8]) -> Result<Call, Refuse> {
        let kind = self.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let (dialect, operation) = (Dialect::OpenAi, Operation::Other);
        let read = match kind.filter(|kind| multipart::is_form(Some(kind))) {
            Some(kind) => multipart::read(
                kind,
                Endpoint { dialect, operation, held: true, multipart: true, named: Named::Body },
                body,
            ),
            None => fields::read(dialect, operation, body),
        };
        read.map(|fields| fields.call).map_err(|refusal| Refuse::bad(refusal.message, None))
    }
}

/// A text of the request, in JSON or in a form; empty where it says none.
fn said(body: &[u8], name: &str) -> String {
    if let Ok(value) = serde_json::from_slice::<Value>(body) {
        return value[name].as_str().unwrap_or_default().to_owned();
    }
    let field = format!("name=\"{name}\"\r\n\r\n");
    let Some(at) = memchr::memmem::find(body, field.as_bytes()) else { return String::new() };
    let rest = &body[at + field.len()..];
    let end = memchr::memmem::find(rest, b"\r\n").unwrap_or(rest.len());
    String::from_utf8_lossy(&rest[..end]).into_owned()
}

/// What a model that is billed by tokens states of a transcription.
fn heard() -> Value {
    json!({
        "type": "tokens", "input_tokens": 14, "output_tokens": 2, "total_tokens": 16,
        "input_token_details": {"text_tokens": 0, "audio_tokens": 14},
    })
}

/// `whisper-1` is billed by the second, the others by tokens; plain forms say nothing of it.
fn transcription(model: &str, form: &str) -> (&'static str, Vec<u8>) {
    let seconds = json!({"type": "duration", "seconds": 9});
    let answer = match form {
        "text" | "srt" | "vtt" => return ("text/plain; charset=utf-8", b"Water flows.\n".to_vec()),
        "verbose_json" => json!({
            "task": "transcribe", "language": "english", "duration": 8.470_000_267_028_809, "text": "Water flows.",
            "segments": [], "usage": seconds,
        }),
        _ if model.starts_with("whisper") => json!({"text": "Water flows.", "usage": seconds}),
        _ => json!({"text": "Water flows.", "usage": heard()}),
    };
    (JSON, write(&answer))
}

fn heard_events() -> Vec<u8> {
    events(&[
        json!({"type": "transcript.text.delta", "delta": "Water flows."}),
        json!({"type": "transcript.text.done", "text": "Water flows.", "usage": heard()}),
    ])
}

fn spoken_events() -> Vec<u8> {
    events(&[
        json!({"type": "speech.audio.delta", "audio": base64(SOUND)}),
        json!({"type": "speech.audio.done", "usage": {"input_tokens": 4, "output_tokens": 50, "total_tokens": 54}}),
    ])
}

/// What `count` images cost a model that is billed by tokens.
fn drawn(count: u64) -> Value {
    json!({
        "input_tokens": 10, "output_tokens": 272 * count, "total_tokens": 10 + 272 * count,
        "input_tokens_details": {"text_tokens": 10, "image_tokens": 0},
    })
}

/// `dall-e` and `grok` are billed by the image, the others by tokens.
fn images(model: &str, count: u64) -> Vec<u8> {
    let one = json!({"b64_json": base64(model.as_bytes())});
    let mut answer = json!({"created": CREATED, "data": (0..count).map(|_| one.clone()).collect::<Value>()});
    if !model.starts_with("dall-e") && !model.starts_with("grok") {
        answer["usage"] = drawn(count);
    }
    write(&answer)
}

fn image_events(model: &str) -> Vec<u8> {
    let image = |kind: &str| json!({"type": kind, "b64_json": base64(model.as_bytes()), "created_at": CREATED});
    let mut partial = image("image_generation.partial_image");
    partial["partial_image_index"] = 0.into();
    let mut completed = image("image_generation.completed");
    completed["usage"] = drawn(1);
    events(&[partial, completed])
}

/// A stream of these, each under its own name.
fn events(all: &[Value]) -> Vec<u8> {
    let mut out = Vec::new();
    for event in all {
        sse::write(&mut out, event["type"].as_str(), event.to_string().as_bytes());
    }
    out
}

fn moderation(model: &str) -> Vec<u8> {
    let result = json!({"flagged": false, "categories": {"violence": false}, "category_scores": {"violence": 0.125}});
    write(&json!({"id": "modr-mock", "model": model, "results": [result]}))
}

/// As Cohere and those who follow it: a search unit is one query with up to 100 documents. Jina states
/// tokens.
fn rerank(model: &str, body: &[u8]) -> Vec<u8> {
    let results = json!([{"index": 0, "relevance_score": 0.5}]);
    if model.starts_with("jina") {
        return write(&json!({"model": model, "results": results, "usage": {"total_tokens": 15}}));
    }
    let request: Value = serde_json::from_slice(body).unwrap_or_default();
    let units = request["documents"].as_array().map_or(1, |documents| documents.len().div_ceil(100).max(1));
    let meta = json!({"api_version": {"version": "2"}, "billed_units": {"search_units": units}});
    write(&json!({"id": "rerank-mock", "model": model, "results": results, "meta": meta}))
}

fn write(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}
