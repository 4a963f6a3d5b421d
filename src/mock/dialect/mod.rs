//! The providers besides OpenAI's chat: a file a dialect, each a row of [`TONGUES`]. A row finds its
//! requests by method and path, reads them as strictly as its provider does, and writes answers, streams
//! and errors in its provider's shapes, from that provider's documentation and never from Weir's writers.
//!
//! What all have in common is decided once: [`turn`] says what is answered, [`frames`] when which event of
//! a stream goes out and what breaks it, [`schema`] which fields a request may have.

mod anthropic;
mod bedrock;
mod cohere;
mod cohere_vectors;
mod contents;
mod converse;
mod eventstream;
pub(super) mod frames;
mod gemini;
mod invoke;
mod items;
mod notation;
mod ollama;
mod responses;
mod rules;
pub(super) mod schema;
pub(super) mod turn;
mod turns;
mod vectors;

use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, StatusCode};
use serde_json::Value;

#[cfg(test)]
pub(super) use {cohere::takes as takes_cohere, ollama::takes as takes_ollama};

use frames::{Frames, Framing, Voice};
use turn::Ask;

use super::body::{Event, Source};
use super::openai::{Answer, Caller, Refuse};
use crate::llm::Operation;

/// What the mock knows of one provider's API.
pub(super) struct Tongue {
    /// Whether a request is for this API, and for what of it.
    pub(super) find: fn(&Parts) -> Option<Place>,
    /// Answers it. Without a body (an early answer) it speaks for the model of the path, or for `mock`.
    pub(super) answer: fn(&Caller, &Place, Option<&Value>) -> Result<Answer, Refuse>,
    /// The body of an error answer.
    pub(super) error: fn(&Caller, &Place, &Refuse) -> Value,
    /// What every answer carries besides its content type.
    pub(super) headers: fn(&Caller, StatusCode) -> Vec<(HeaderName, String)>,
    /// What is said of a body that is no JSON.
    pub(super) unreadable: &'static str,
    /// Content types of whole answers and of streams, but for a stream that is one JSON array.
    pub(super) json: &'static str,
    pub(super) sse: &'static str,
    /// Where its clients may put their key.
    pub(super) keys: &'static [Key],
}

/// What a request is for, as its method and path say.
pub(super) struct Place {
    pub(super) tongue: &'static Tongue,
    pub(super) operation: Operation,
    /// The model, where the path names it; percent-decoded.
    pub(super) model: Option<String>,
    /// Whether a stream is asked for, where the path says it.
    pub(super) stream: Option<bool>,
    pub(super) host: Host,
}

/// Who serves the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Host {
    /// Who made it.
    Own,
    Vertex,
    Bedrock,
}

/// Where a key may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// `authorization: Bearer KEY`.
    Bearer,
    /// The whole value of this header.
    Header(&'static str),
    /// The value of this field of the query.
    Query(&'static str),
    /// A signature of AWS's, which is taken unread.
    Signature,
}

/// Every dialect.
static TONGUES: &[&Tongue] = &[
    &anthropic::TONGUE,
    &gemini::TONGUE,
    &responses::TONGUE,
    &bedrock::CONVERSE,
    &invoke::INVOKE,
    &cohere::COHERE,
    &ollama::OLLAMA,
];

/// What a request is for, when it is for none of OpenAI's endpoints.
pub(super) fn detect(head: &Parts) -> Option<Place> {
    TONGUES.iter().find_map(|tongue| (tongue.find)(head))
}

/// Where OpenAI's clients and those of Azure put their key.
const OPENAI_KEYS: &[Key] = &[Key::Bearer, Key::Header("api-key")];

/// Whether a request carries one of `keys` where its API has it.
pub(super) fn carries(head: &Parts, keys: &[String]) -> bool {
    let places = detect(head).map_or(OPENAI_KEYS, |place| place.tongue.keys);
    places.iter().any(|place| {
        let sent = place.sent(&head.headers, head.uri.query());
        sent.is_some_and(|sent| *place == Key::Signature || keys.iter().any(|key| key == sent))
    })
}

// === impl Key ===

impl Key {
    /// The key that a request sends here.
    pub(super) fn sent<'a>(self, headers: &'a HeaderMap, query: Option<&'a str>) -> Option<&'a str> {
        let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
        match self {
            Key::Bearer => header("authorization")?.strip_prefix("Bearer "),
            Key::Header(name) => header(name),
            Key::Query(name) => field(query, name),
            Key::Signature => header("authorization")?.strip_prefix("AWS4-HMAC-SHA256 "),
        }
    }
}

// === impl Place ===

impl Place {
    /// The `find` of a path that ends with one of these, whatever stands before it.
    pub(super) fn by_end(tongue: &'static Tongue, head: &Parts, rows: &[(Method, &str, Operation)]) -> Option<Place> {
        let path = head.uri.path();
        let fits = |(method, end, _): &&(Method, &str, Operation)| *method == head.method && path.ends_with(end);
        let operation = rows.iter().find(fits)?.2;
        Some(Place { tongue, operation, model: None, stream: None, host: Host::Own })
    }
}

/// The value of a field of a query, as it stands.
pub(super) fn field<'a>(query: Option<&'a str>, name: &str) -> Option<&'a str> {
    let fields = query.unwrap_or_default().split('&');
    fields.filter_map(|field| field.split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// A piece of a path without its percent-encoding; none where that is wrong.
pub(super) fn decoded(piece: &str) -> Option<String> {
    let mut out = Vec::with_capacity(piece.len());
    let mut rest = piece.bytes();
    while let Some(byte) = rest.next() {
        let hex = |digit: Option<u8>| char::from(digit?).to_digit(16);
        match byte {
            b'%' => out.push(u8::try_from(hex(rest.next())? * 16 + hex(rest.next())?).ok()?),
            byte => out.push(byte),
        }
    }
    String::from_utf8(out).ok()
}

// === impl Caller ===

impl Caller<'_> {
    /// Answers a request to `place`, or refuses it in that provider's words.
    pub(super) fn speak(&self, place: &Place, body: Option<&[u8]>) -> Answer {
        let value = body.filter(|_| place.operation != Operation::Models).map(serde_json::from_slice::<Value>);
        let (model, stream) = {
            let read = value.as_ref().and_then(|value| value.as_ref().ok());
            let field = |name: &str| read.and_then(|value| value.get(name));
            let model = place.model.as_deref().or_else(|| field("model")?.as_str()).map(str::to_owned);
            (model, place.stream.or_else(|| field("stream")?.as_bool()).unwrap_or(false))
        };
        let refuse = |refuse: &Refuse| self.refuse(refuse, model.as_deref(), stream);
        if let Some(status) = self.program.error() {
            return refuse(&status.into());
        }
        let Ok(value) = value.transpose() else { return refuse(&Refuse::bad(place.tongue.unreadable, None)) };
        (place.tongue.answer)(self, place, value.as_ref()).unwrap_or_else(|error| refuse(&error))
    }

    /// Says what is asked for, whole or as a stream.
    pub(super) fn say(&self, place: &Place, ask: &Ask, voice: Box<dyn Voice>) -> Result<Answer, Refuse> {
        let turn = self.turn(ask)?;
        let status = self.program.status.unwrap_or(StatusCode::OK);
        let ticket = Some(self.open(status, Some(&ask.model), ask.stream, turn.usage.prompt));
        if !ask.stream {
            let event = Event { bytes: voice.whole(&turn).to_string().into(), tokens: turn.usage.completion };
            let source = Source::Whole(Some(self.cut(event)));
            return Ok(Answer { status, content_type: place.tongue.json, headers: Vec::new(), source, ticket });
        }
        let content_type = if voice.framing() == Framing::Array { place.tongue.json } else { place.tongue.sse };
        let source = Source::Frames(Box::new(Frames::new(turn, voice, self.program)));
        Ok(Answer { status, content_type, headers: Vec::new(), source, ticket })
    }

    /// An answer that holds no completion.
    pub(super) fn state(&self, place: &Place, model: Option<&str>, prompt_tokens: u64, value: &Value) -> Answer {
        let status = self.program.status.unwrap_or(StatusCode::OK);
        let event = self.cut(Event { bytes: value.to_string().into(), tokens: 0 });
        let ticket = Some(self.open(status, model, false, prompt_tokens));
        let source = Source::Whole(Some(event));
        Answer { status, content_type: place.tongue.json, headers: Vec::new(), source, ticket }
    }
}
