//! Gemini's `generateContent`, its stream in both forms, `countTokens`, embeddings and models, on AI Studio
//! (`v1beta`, ai.google.dev/api: generate-content, embeddings, tokens, models; guides "Thinking", "Thought
//! signatures", "Function calling", "Grounding") and on Vertex AI (`v1`, Google Cloud, "Model reference" of
//! Gemini and of text embeddings), with the errors of google.rpc.Status (google.aip.dev/193).
//!
//! A stream has no event that says it is over: the chunk with the last `finishReason` is what
//! `x-mock-no-done` leaves out. A call comes whole in one chunk. A key that is not taken is 401 here, which
//! AI Studio answers with 400 and `API_KEY_INVALID`.

use std::collections::VecDeque;

use http::request::Parts;
use http::{HeaderName, Method, StatusCode};
use serde_json::{Value, json};

use super::super::openai::{Answer, Caller, Refuse};
use super::super::program::UsageMode;
use super::contents::{self, Api};
use super::frames::{At, Framing, Piece, Step, Voice};
use super::turn::{Ask, CITED_TITLE, CITED_URL, Kind, Stop, Turn};
use super::{Host, Key, Place, Tongue, decoded, field};
use crate::llm::Operation;

pub(super) static TONGUE: Tongue = Tongue {
    find,
    answer,
    error,
    headers,
    unreadable: "Invalid JSON payload received. Expected a value.",
    json: "application/json; charset=UTF-8",
    sse: "text/event-stream",
    keys: &[Key::Header("x-goog-api-key"), Key::Query("key"), Key::Bearer],
};

const METHODS: &[(&str, Operation, bool)] = &[
    ("generateContent", Operation::Chat, false),
    ("streamGenerateContent", Operation::Chat, true),
    ("countTokens", Operation::CountTokens, false),
    ("embedContent", Operation::Embeddings, false),
    ("batchEmbedContents", Operation::Embeddings, false),
    ("predict", Operation::Embeddings, false),
];

/// `error.status` by HTTP status (google.rpc.Code); other statuses get the row of their class.
const ERRORS: &[(u16, &str, &str)] = &[
    (400, "INVALID_ARGUMENT", "Request contains an invalid argument."),
    (401, "UNAUTHENTICATED", "Request had invalid authentication credentials."),
    (403, "PERMISSION_DENIED", "The caller does not have permission."),
    (404, "NOT_FOUND", "The model is not found, or is not supported for this method."),
    (409, "ABORTED", "The operation was aborted."),
    (429, "RESOURCE_EXHAUSTED", "You exceeded your current quota."),
    (499, "CANCELLED", "The operation was cancelled."),
    (500, "INTERNAL", "An internal error has occurred. Please retry."),
    (503, "UNAVAILABLE", "The model is overloaded. Please try again later."),
    (504, "DEADLINE_EXCEEDED", "The service was unable to finish processing within the deadline."),
];

const MODELS: &[&str] = &["gemini-2.5-pro", "gemini-2.5-flash", "gemini-embedding-001", "mock"];

/// What a thought is signed with: base64, and opaque.
const SIGNATURE: &str = "bW9jay10aG91Z2h0";

/// Says a turn as Gemini.
struct Speaker {
    framing: Framing,
    /// Tokens said so far: thoughts, and others.
    said: (u64, u64),
}

fn find(head: &Parts) -> Option<Place> {
    let path = head.uri.path();
    if head.method == Method::GET {
        // Also OpenAI has a `/v1/models`.
        let models = path.ends_with("/v1beta/models")
            || path.ends_with("/v1/models") && head.headers.contains_key("x-goog-api-key");
        let operation = Operation::Models;
        let place = Place { tongue: &TONGUE, operation, model: None, stream: Some(false), host: Host::Own };
        return models.then_some(place);
    }
    let (before, rest) = path.rsplit_once("/models/")?;
    let host = if before.ends_with("/publishers/google") { Host::Vertex } else { Host::Own };
    let (model, method) = rest.rsplit_once(':').filter(|_| head.method == Method::POST)?;
    let (_, operation, stream) = *METHODS.iter().find(|(name, ..)| *name == method)?;
    // `:predict` of AI Studio is another thing, and other publishers have another format.
    let known = host == Host::Vertex || (before.ends_with("/v1beta") || before.ends_with("/v1")) && method != "predict";
    let model = decoded(model).filter(|_| known)?;
    Some(Place { tongue: &TONGUE, operation, model: Some(model), stream: Some(stream), host })
}

fn headers(_: &Caller, _: StatusCode) -> Vec<(HeaderName, String)> {
    vec![(HeaderName::from_static("x-content-type-options"), "nosniff".to_owned())]
}

fn is_array(caller: &Caller, place: &Place) -> bool {
    place.stream == Some(true) && field(caller.query, "alt") != Some("sse")
}

fn error(caller: &Caller, place: &Place, refuse: &Refuse) -> Value {
    let (_, status, usual) = row(refuse.status);
    let message = if refuse.status == StatusCode::BAD_REQUEST { &*refuse.message } else { usual };
    let mut error = json!({"code": refuse.status.as_u16(), "message": message, "status": status});
    if let Some(field) = &refuse.param {
        let violation = json!({"field": field, "description": message});
        error["details"] =
            json!([{"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]}]);
    }
    if let Some(seconds) = caller.program.retry_after {
        error["details"] =
            json!([{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": format!("{seconds}s")}]);
    }
    let error = json!({"error": error});
    if is_array(caller, place) { json!([error]) } else { error }
}

fn row(status: StatusCode) -> (u16, &'static str, &'static str) {
    let class = if status.is_client_error() { 400 } else { 500 };
    let find = |wanted: u16| ERRORS.iter().find(|(known, ..)| *known == wanted).copied();
    find(status.as_u16()).or_else(|| find(class)).unwrap_or((500, "INTERNAL", ""))
}

fn answer(caller: &Caller, place: &Place, body: Option<&Value>) -> Result<Answer, Refuse> {
    let framing = if is_array(caller, place) { Framing::Array } else { Framing::Sse };
    let speaker = Box::new(Speaker { framing, said: (0, 0) });
    let model = place.model.as_deref();
    let api = Api::of(place.host);
    match (place.operation, body) {
        (Operation::Models, _) => Ok(caller.state(place, None, 0, &models())),
        (Operation::Chat, Some(body)) => caller.say(place, &contents::ask(api, place, body)?, speaker),
        (Operation::CountTokens, Some(body)) => {
            let tokens = contents::count(api, body)?;
            let mut answer = json!({"totalTokens": tokens, "promptTokensDetails": details(tokens)});
            if place.host == Host::Vertex {
                answer["totalBillableCharacters"] = (tokens * 4).into();
            }
            Ok(caller.state(place, model, tokens, &answer))
        }
        (_, Some(body)) => {
            let method = caller.path.rsplit(':').next().unwrap_or_default();
            let (answer, tokens) = contents::embed(api, method, body)?;
            Ok(caller.state(place, model, tokens, &answer))
        }
        (_, None) => {
            let (model, stream) = (model.unwrap_or("mock").to_owned(), place.stream == Some(true));
            caller.say(place, &Ask { model, stream, ..Ask::default() }, speaker)
        }
    }
}

fn models() -> Value {
    let row = |name: &&str| {
        let methods = match name.contains("embedding") {
            true => json!(["embedContent", "batchEmbedContents"]),
            false => json!(["generateContent", "countTokens"]),
        };
        json!({"name": format!("models/{name}"), "version": "001", "displayName": name, "description": "A mock",
               "inputTokenLimit": 1_048_576, "outputTokenLimit": 65_536, "supportedGenerationMethods": methods})
    };
    json!({"models": MODELS.iter().map(row).collect::<Vec<_>>()})
}

fn details(tokens: u64) -> Value {
    json!([{"modality": "TEXT", "tokenCount": tokens}])
}

fn finish(turn: &Turn) -> &'static str {
    match turn.stop {
        Stop::End | Stop::Call => "STOP",
        Stop::Length => "MAX_TOKENS",
        Stop::Refusal => "SAFETY",
    }
}

/// The usage: the prompt with what was cached, the answer without its thoughts.
fn usage(turn: &Turn, (thoughts, said): (u64, u64)) -> Value {
    let prompt = turn.usage.prompt;
    let mut usage = json!({"promptTokenCount": prompt, "candidatesTokenCount": said,
                           "totalTokenCount": prompt + thoughts + said, "promptTokensDetails": details(prompt)});
    if thoughts > 0 {
        usage["thoughtsTokenCount"] = thoughts.into();
    }
    if turn.usage.cached > 0 {
        usage["cachedContentTokenCount"] = turn.usage.cached.into();
        usage["cacheTokensDetails"] = details(turn.usage.cached);
    }
    usage
}

/// A block's part, or the words of it from `from` on.
fn part(turn: &Turn, at: &At<'_>, from: u64, count: u64) -> Value {
    let text = Turn::words(from, count);
    // The first part after the thoughts is signed.
    let signed = turn.usage.reasoning > 0 && at.index == 1;
    let mut part = match &at.block.kind {
        Kind::Thought => json!({"text": text, "thought": true}),
        Kind::Text { .. } | Kind::Refusal => json!({"text": text}),
        Kind::Call { name, number } => {
            json!({"functionCall": {"name": name, "args": {"q": text}, "id": turn.call_id("call", *number)}})
        }
    };
    if signed && from + count == at.block.words {
        part["thoughtSignature"] = SIGNATURE.into();
    }
    part
}

/// A candidate with these parts; with how it ends where it does.
fn candidate(turn: &Turn, choice: u32, parts: Vec<Value>, ends: bool) -> Value {
    let mut candidate = json!({"content": {"parts": parts, "role": "model"}});
    if ends {
        candidate["finishReason"] = finish(turn).into();
        if turn.blocks.iter().any(|block| block.kind == Kind::Text { cited: true }) {
            candidate["groundingMetadata"] = json!({
                "webSearchQueries": ["time"],
                "groundingChunks": [{"web": {"uri": CITED_URL, "title": CITED_TITLE}}],
                "groundingSupports": [{"segment": {"startIndex": 1, "endIndex": 5, "text": "time"},
                                       "groundingChunkIndices": [0]}],
            });
        }
        if turn.stop == Stop::Refusal {
            candidate["safetyRatings"] =
                json!([{"category": "HARM_CATEGORY_DANGEROUS_CONTENT", "probability": "HIGH", "blocked": true}]);
        }
    }
    candidate["index"] = choice.into();
    candidate
}

fn response(turn: &Turn, candidates: Vec<Value>, said: (u64, u64)) -> Value {
    let mut response = json!({"candidates": candidates});
    match turn.show {
        UsageMode::Absent => {}
        UsageMode::Null => response["usageMetadata"] = Value::Null,
        UsageMode::AsAsked | UsageMode::Present => response["usageMetadata"] = usage(turn, said),
    }
    response["modelVersion"] = turn.model.clone().into();
    response["responseId"] = turn.id.clone().into();
    response
}

// === impl Speaker ===

impl Speaker {
    /// A chunk that says `count` words.
    fn chunk(&mut self, turn: &Turn, at: &At<'_>, from: u64, count: u64) -> Piece {
        match at.block.kind {
            Kind::Thought => self.said.0 += count,
            _ => self.said.1 += count,
        }
        let candidate = candidate(turn, at.choice, vec![part(turn, at, from, count)], false);
        Piece::new(None, response(turn, vec![candidate], self.said), count)
    }

    fn last(&self, turn: &Turn, choice: u32) -> Piece {
        let candidate = candidate(turn, choice, vec![json!({"text": ""})], true);
        Piece::new(None, response(turn, vec![candidate], self.said), 0)
    }
}

impl Voice for Speaker {
    fn framing(&self) -> Framing {
        self.framing
    }

    fn whole(&self, turn: &Turn) -> Value {
        let parts = |choice| {
            let at = |(index, block)| At { choice, index, block };
            turn.blocks.iter().enumerate().map(at).map(|at| part(turn, &at, 0, at.block.words)).collect()
        };
        let candidates = (0..turn.choices).map(|choice| candidate(turn, choice, parts(choice), true)).collect();
        let thoughts = turn.usage.reasoning;
        response(turn, candidates, (thoughts, turn.usage.completion - thoughts))
    }

    fn step(&mut self, turn: &Turn, step: Step<'_>, out: &mut VecDeque<Piece>) {
        match step {
            Step::Words(at, from, count) if !matches!(at.block.kind, Kind::Call { .. }) => {
                out.push_back(self.chunk(turn, &at, from, count));
            }
            Step::Close(at) if matches!(at.block.kind, Kind::Call { .. }) => {
                out.push_back(self.chunk(turn, &at, 0, at.block.words));
            }
            Step::Finish(choice) if choice + 1 < turn.choices => out.push_back(self.last(turn, choice)),
            Step::Done => out.push_back(self.last(turn, turn.choices.saturating_sub(1))),
            Step::Start | Step::Open(_) | Step::Words(..) | Step::Close(_) | Step::Finish(_) => {}
        }
    }

    fn error(&mut self, _: &Turn) -> Piece {
        let (code, status, message) = row(StatusCode::SERVICE_UNAVAILABLE);
        Piece::new(None, json!({"error": {"code": code, "message": message, "status": status}}), 0)
    }
}
