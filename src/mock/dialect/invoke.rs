//! Bedrock's InvokeModel and InvokeModelWithResponseStream, whose bodies are those of the model's maker:
//! embeddings of Titan and of Cohere here, Anthropic's messages from [`super::anthropic`].
//!
//! Request and response bodies: <https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html>
//! (`-titan-embed-text`, `-embed-v3`, `-embed-v4`, `-anthropic-claude-messages`). A stream's events are
//! `PayloadPart`s: JSON of the model's own, in base64; the last one carries what it cost in
//! `amazon-bedrock-invocationMetrics`. The token counts of a whole answer are in `x-amzn-bedrock-…-token-count`.

use std::collections::VecDeque;

use http::HeaderName;
use http::request::Parts;
use serde_json::{Value, json};

use super::super::codec::{base64, unbase64};
use super::super::embed;
use super::super::openai::{Answer, Caller, Refuse};
use super::anthropic::{self, Speaker};
use super::bedrock::{self, KEYS, UNREADABLE, check, identified, split};
use super::frames::{Framing, Piece, Step, Voice};
use super::turn::{Ask, Turn};
use super::vectors::{self, Inputs};
use super::{Host, Place, Tongue};
use crate::llm::Operation;

pub(super) static INVOKE: Tongue = Tongue {
    find,
    answer,
    error: bedrock::error,
    headers: bedrock::headers,
    unreadable: UNREADABLE,
    json: "application/json",
    sse: "application/vnd.amazon.eventstream",
    keys: KEYS,
};

/// Whose body a model takes, by a part of its id.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Maker {
    TitanV1,
    TitanV2,
    CohereV3,
    CohereV4,
    Anthropic,
}

const MAKERS: &[(&str, Maker)] = &[
    ("amazon.titan-embed-text-v1", Maker::TitanV1),
    ("amazon.titan-embed-text-v2", Maker::TitanV2),
    ("cohere.embed-english-v3", Maker::CohereV3),
    ("cohere.embed-multilingual-v3", Maker::CohereV3),
    ("cohere.embed-v4", Maker::CohereV4),
    ("anthropic.", Maker::Anthropic),
];

const TITAN_V1_DIMENSIONS: u32 = 1536;
const TITAN_V2_DIMENSIONS: &[u32] = &[1024, 512, 256];
const COHERE_V3_DIMENSIONS: &[u32] = &[1024];
const COHERE_V4_DIMENSIONS: &[u32] = &[1536, 1024, 512, 256];
/// The longest text of Cohere's version 3 on Bedrock, in characters.
const COHERE_V3_TEXT: usize = 2048;

/// Says a turn of another dialect in Bedrock's frames.
struct Wrapped(Box<dyn Voice>);

fn find(head: &Parts) -> Option<Place> {
    let (model, action) = split(head)?;
    let stream = match action {
        "invoke" => false,
        "invoke-with-response-stream" => true,
        _ => return None,
    };
    let operation = if model.contains("embed") { Operation::Embeddings } else { Operation::Chat };
    Some(Place { tongue: &INVOKE, operation, model: Some(model), stream: Some(stream), host: Host::Bedrock })
}

fn maker(model: &str) -> Result<Maker, Refuse> {
    let row = MAKERS.iter().find(|(part, _)| model.contains(part));
    let known = || MAKERS.iter().map(|(part, _)| *part).collect::<Vec<_>>().join(", ");
    row.map(|(_, maker)| *maker)
        .ok_or_else(|| Refuse::bad(format!("The mock invokes only models whose id has one of: {}.", known()), None))
}

fn answer(caller: &Caller, place: &Place, body: Option<&Value>) -> Result<Answer, Refuse> {
    let model = identified(place)?;
    let maker = maker(model)?;
    if maker == Maker::Anthropic {
        return message(caller, place, model, body);
    }
    if place.stream == Some(true) {
        return Err(Refuse::bad("The model is unsupported for streaming.", None));
    }
    let nothing = match maker {
        Maker::TitanV1 | Maker::TitanV2 => json!({"inputText": "mock"}),
        _ => json!({"texts": ["mock"], "input_type": "search_document"}),
    };
    let (value, tokens) = embedded(caller, maker, body.unwrap_or(&nothing))?;
    let mut answer = caller.state(place, Some(model), tokens, &value);
    answer.headers = counts(tokens, None);
    Ok(answer)
}

/// An Anthropic request, in its own words.
fn message(caller: &Caller, place: &Place, model: &str, body: Option<&Value>) -> Result<Answer, Refuse> {
    let streams = place.stream == Some(true);
    let ask = match body {
        Some(body) => anthropic::ask("Bedrock", place, body)?,
        None => Ask { model: model.to_owned(), ..Ask::default() },
    };
    let voice: Box<dyn Voice> = if streams { Box::new(Wrapped(Box::new(Speaker))) } else { Box::new(Speaker) };
    let usage = caller.turn(&ask)?.usage;
    let mut answer = caller.say(place, &Ask { stream: streams, ..ask }, voice)?;
    answer.headers = match streams {
        // What the events hold, as the body's own type is that of the frames.
        true => vec![(HeaderName::from_static("x-amzn-bedrock-content-type"), place.tongue.json.to_owned())],
        false => counts(usage.prompt - usage.cached, Some(usage.completion)),
    };
    Ok(answer)
}

fn counts(input: u64, output: Option<u64>) -> Vec<(HeaderName, String)> {
    let mut headers = vec![
        (HeaderName::from_static("x-amzn-bedrock-invocation-latency"), "1".to_owned()),
        (HeaderName::from_static("x-amzn-bedrock-input-token-count"), input.to_string()),
    ];
    let output = output.map(|n| (HeaderName::from_static("x-amzn-bedrock-output-token-count"), n.to_string()));
    headers.extend(output);
    headers
}

/// The prompt's tokens of a body that InvokeModel would get, in base64.
///
/// # Errors
/// It is no body for the model.
pub(super) fn count(place: &Place, model: &str, body: &str) -> Result<u64, Refuse> {
    let body = unbase64(body).and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    let body = body.ok_or_else(|| Refuse::bad(UNREADABLE, None))?;
    match maker(model)? {
        Maker::Anthropic => Ok(anthropic::ask("Bedrock", place, &body)?.prompt()),
        _ => Err(Refuse::bad("The provided model doesn't support counting tokens.", None)),
    }
}

/// An embedding's answer and the tokens of its input.
fn embedded(caller: &Caller, maker: Maker, body: &Value) -> Result<(Value, u64), Refuse> {
    let bad = |sentence: String| Refuse::bad(sentence, None);
    match maker {
        Maker::TitanV1 => {
            check("TitanV1", body)?;
            let (vector, tokens) = titan(body, TITAN_V1_DIMENSIONS);
            Ok((json!({"embedding": vector, "inputTextTokenCount": tokens}), tokens))
        }
        Maker::Anthropic => Err(Refuse::bad(UNREADABLE, None)),
        Maker::TitanV2 => {
            check("TitanV2", body)?;
            let dimensions = dimensions(&body["dimensions"], TITAN_V2_DIMENSIONS).map_err(bad)?;
            let (vector, tokens) = titan(body, dimensions);
            let types = body["embeddingTypes"].as_array().cloned().unwrap_or_else(|| vec!["float".into()]);
            // Titan's bits are a list of zeros and ones.
            let bits: Vec<u8> = vector.iter().map(|x| u8::from(*x > 0.0)).collect();
            let of = |kind: &Value| if kind == "binary" { json!(bits) } else { json!(vector) };
            let named = types.iter().map(|kind| (kind.as_str().unwrap_or_default().to_owned(), of(kind)));
            let by_type: serde_json::Map<String, Value> = named.collect();
            Ok((json!({"embedding": vector, "embeddingsByType": by_type, "inputTextTokenCount": tokens}), tokens))
        }
        Maker::CohereV3 | Maker::CohereV4 => {
            let v4 = maker == Maker::CohereV4;
            check(if v4 { "CohereV4" } else { "CohereV3" }, body)?;
            let allowed = if v4 { COHERE_V4_DIMENSIONS } else { COHERE_V3_DIMENSIONS };
            let dimensions = dimensions(&body["output_dimension"], allowed).map_err(bad)?;
            let inputs = Inputs::read(body).map_err(bad)?;
            if !v4 && inputs.images == 0 && inputs.texts.iter().any(|text| text.chars().count() > COHERE_V3_TEXT) {
                return Err(bad(format!(
                    "Malformed input request: a text is longer than {COHERE_V3_TEXT} characters."
                )));
            }
            let vectors = inputs.vectors(dimensions);
            let mut answer = json!({"id": caller.label(), "response_type": "embeddings_floats", "embeddings": vectors});
            if let Some(types) = body["embedding_types"].as_array() {
                answer["response_type"] = "embeddings_by_type".into();
                answer["embeddings"] = vectors::by_type(&vectors, types);
            }
            if inputs.images == 0 {
                answer["texts"] = json!(inputs.texts);
            }
            Ok((answer, inputs.tokens))
        }
    }
}

fn titan(body: &Value, dimensions: u32) -> (Vec<f32>, u64) {
    let text = body["inputText"].as_str().unwrap_or_default();
    (embed::text_vector(text, dimensions), text.len().div_ceil(4).max(1) as u64)
}

/// The dimensions that are asked for, which must be one of `allowed`; else the first of them.
pub(super) fn dimensions(asked: &Value, allowed: &[u32]) -> Result<u32, String> {
    let Some(asked) = asked.as_u64() else { return Ok(allowed.first().copied().unwrap_or(0)) };
    let found = allowed.iter().find(|dimensions| u64::from(**dimensions) == asked);
    let words = || allowed.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
    found.copied().ok_or_else(|| format!("invalid request: the number of dimensions must be one of {}", words()))
}

// === impl Wrapped ===

impl Wrapped {
    fn wrap(turn: &Turn, mut piece: Piece) -> Piece {
        if piece.data["type"] == "message_stop" {
            piece.data["amazon-bedrock-invocationMetrics"] = json!({
                "inputTokenCount": turn.usage.prompt - turn.usage.cached, "outputTokenCount": turn.usage.completion,
                "invocationLatency": 1, "firstByteLatency": 1, "cacheReadInputTokenCount": turn.usage.cached,
                "cacheWriteInputTokenCount": 0,
            });
        }
        let bytes = base64(piece.data.to_string().as_bytes());
        Piece::new(Some("chunk"), json!({"bytes": bytes, "p": "abcdefghijkl"}), piece.tokens)
    }
}

impl Voice for Wrapped {
    fn whole(&self, turn: &Turn) -> Value {
        self.0.whole(turn)
    }

    fn step(&mut self, turn: &Turn, step: Step<'_>, out: &mut VecDeque<Piece>) {
        let mut inner = VecDeque::new();
        self.0.step(turn, step, &mut inner);
        out.extend(inner.into_iter().map(|piece| Wrapped::wrap(turn, piece)));
    }

    fn error(&mut self, _: &Turn) -> Piece {
        super::converse::failure()
    }

    fn framing(&self) -> Framing {
        Framing::EventStream
    }
}
