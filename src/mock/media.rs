//! Images, audio, moderations and rerank: the smallest answer in the provider's own shape, with its usage.
//! What is said depends on the request's model and its `n` alone.

use http::{StatusCode, header};
use serde_json::{Value, json};

use super::body::{Event, Source};
use super::codec::base64;
use super::openai::{Answer, Caller, JSON, Refuse};
use super::reply::CREATED;
use crate::llm::{Call, Dialect, Operation};
use crate::wire::{Endpoint, fields, multipart};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Media {
    Speech,
    /// A transcription, or a translation.
    Text,
    /// New, edited or varied.
    Images,
    Moderation,
    Rerank,
}

/// Paths of a `POST` end like this, whatever stands before.
const PATHS: &[(&str, Media)] = &[
    ("/audio/speech", Media::Speech),
    ("/audio/transcriptions", Media::Text),
    ("/audio/translations", Media::Text),
    ("/images/generations", Media::Images),
    ("/images/edits", Media::Images),
    ("/images/variations", Media::Images),
    ("/moderations", Media::Moderation),
    ("/rerank", Media::Rerank),
];

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
        let (content_type, bytes) = match media {
            Media::Speech => ("audio/mpeg", SOUND.repeat(256)),
            Media::Text => (JSON, transcription(served)),
            Media::Images => (JSON, images(served, count)),
            Media::Moderation => (JSON, moderation(served)),
            Media::Rerank => (JSON, rerank(served)),
        };
        let event = Event { bytes: bytes.into(), tokens: 0 };
        Answer { status, content_type, source: Source::Whole(Some(event)), ticket }
    }

    fn call(&self, body: &[u8]) -> Result<Call, Refuse> {
        let kind = self.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let (dialect, operation) = (Dialect::OpenAi, Operation::Other);
        let read = match kind.filter(|kind| multipart::is_form(Some(kind))) {
            Some(kind) => multipart::read(kind, Endpoint { dialect, operation, held: true, multipart: true }, body),
            None => fields::read(dialect, operation, body),
        };
        read.map(|fields| fields.call).map_err(|refusal| Refuse::bad(refusal.message, None))
    }
}

/// `whisper-1` is billed by the second, the others by tokens.
fn transcription(model: &str) -> Vec<u8> {
    let usage = match model.starts_with("whisper") {
        true => json!({"type": "duration", "seconds": 9}),
        false => json!({
            "type": "tokens", "input_tokens": 14, "output_tokens": 2, "total_tokens": 16,
            "input_token_details": {"text_tokens": 0, "audio_tokens": 14},
        }),
    };
    write(&json!({"text": "Water flows.", "usage": usage}))
}

/// `dall-e` is billed by the image, the others by tokens.
fn images(model: &str, count: u64) -> Vec<u8> {
    let one = json!({"b64_json": base64(model.as_bytes())});
    let mut answer = json!({"created": CREATED, "data": (0..count).map(|_| one.clone()).collect::<Value>()});
    if !model.starts_with("dall-e") {
        answer["usage"] = json!({
            "input_tokens": 10, "output_tokens": 272 * count, "total_tokens": 10 + 272 * count,
            "input_tokens_details": {"text_tokens": 10, "image_tokens": 0},
        });
    }
    write(&answer)
}

fn moderation(model: &str) -> Vec<u8> {
    let result = json!({"flagged": false, "categories": {"violence": false}, "category_scores": {"violence": 0.125}});
    write(&json!({"id": "modr-mock", "model": model, "results": [result]}))
}

/// As Cohere and those who follow it.
fn rerank(model: &str) -> Vec<u8> {
    let results = json!([{"index": 0, "relevance_score": 0.5}]);
    write(
        &json!({"id": "rerank-mock", "model": model, "results": results, "meta": {"billed_units": {"search_units": 1}}}),
    )
}

fn write(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}
