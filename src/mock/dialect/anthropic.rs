//! Anthropic's Messages, token counts and models, `anthropic-version: 2023-06-01`, from its API reference
//! (platform.claude.com/docs/en/api: Messages, Errors, Versioning, Rate limits; "Streaming messages";
//! "Extended thinking"; "Citations"), and Vertex's `rawPredict` of it (Google Cloud, "Claude on Vertex AI":
//! `anthropic_version: vertex-2023-10-16` in the body, no `model`).

use std::collections::VecDeque;
use std::sync::LazyLock;

use http::request::Parts;
use http::{HeaderName, Method, StatusCode};
use serde_json::{Value, json};

use super::super::openai::{Answer, Caller, Refuse};
use super::super::program::UsageMode;
use super::frames::{At, Framing, Piece, Step, Voice};
use super::schema::{Fault, Schema, What};
use super::turn::{Ask, CITED_TITLE, CITED_URL, Forced, Kind, Stop, Turn};
use super::{Host, Key, Place, Tongue, decoded};
use crate::llm::Operation;

pub(super) static TONGUE: Tongue = Tongue {
    find,
    answer,
    error,
    headers,
    unreadable: "The request body is not valid JSON.",
    json: "application/json",
    sse: "text/event-stream; charset=utf-8",
    keys: &[Key::Header("x-api-key"), Key::Bearer],
};

const PATHS: &[(Method, &str, Operation)] = &[
    (Method::POST, "/v1/messages", Operation::Chat),
    (Method::POST, "/v1/messages/count_tokens", Operation::CountTokens),
];

/// What the header `anthropic-version` may say.
const VERSIONS: &[&[u8]] = &[b"2023-01-01", b"2023-06-01", b"2026-10-21"];

/// `error.type` by status ("Errors" of the reference); other statuses get the row of their class.
const ERRORS: &[(u16, &str, &str)] = &[
    (400, "invalid_request_error", "The request is invalid."),
    (401, "authentication_error", "invalid x-api-key"),
    (402, "billing_error", "There is an issue with your billing."),
    (403, "permission_error", "Your API key does not have permission to use the specified resource."),
    (404, "not_found_error", "The requested resource could not be found."),
    (413, "request_too_large", "Request exceeds the maximum size"),
    (429, "rate_limit_error", "This request would exceed your rate limit."),
    (500, "api_error", "Internal server error"),
    (504, "timeout_error", "The request timed out."),
    (529, "overloaded_error", "Overloaded"),
];

const MODELS: &[(&str, &str)] =
    &[("claude-opus-4-8", "Claude Opus 4.8"), ("claude-sonnet-4-5", "Claude Sonnet 4.5"), ("mock", "Mock")];

/// What a thought is signed with: base64, and opaque.
const SIGNATURE: &str = "bW9jay1zaWduYXR1cmU=";

static SCHEMA: LazyLock<Schema> =
    LazyLock::new(|| Schema::parse(include_str!("anthropic.types"), false).expect("a test reads the same schema"));

/// Says a turn as Anthropic.
pub(super) struct Speaker;

fn find(head: &Parts) -> Option<Place> {
    if let Some((model, method)) = vertex(head.uri.path()).filter(|_| head.method == Method::POST) {
        let stream = Some(method == "streamRawPredict");
        let count = model == "count-tokens";
        let operation = if count { Operation::CountTokens } else { Operation::Chat };
        let model = Some(decoded(model)?).filter(|_| !count);
        return Some(Place { tongue: &TONGUE, operation, model, stream, host: Host::Vertex });
    }
    let models = head.method == Method::GET
        && head.uri.path().ends_with("/v1/models")
        && head.headers.contains_key("anthropic-version");
    if models {
        let operation = Operation::Models;
        return Some(Place { tongue: &TONGUE, operation, model: None, stream: Some(false), host: Host::Own });
    }
    Place::by_end(&TONGUE, head, PATHS)
}

/// Model and method of a path `…/publishers/anthropic/models/MODEL:METHOD`.
fn vertex(path: &str) -> Option<(&str, &str)> {
    let (_, rest) = path.split_once("/publishers/anthropic/models/")?;
    rest.split_once(':').filter(|(_, method)| matches!(*method, "rawPredict" | "streamRawPredict"))
}

fn error(caller: &Caller, _: &Place, refuse: &Refuse) -> Value {
    let (_, kind, usual) = row(refuse.status);
    let message = if refuse.status == StatusCode::BAD_REQUEST { &*refuse.message } else { usual };
    json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": request_id(caller)})
}

fn row(status: StatusCode) -> (u16, &'static str, &'static str) {
    let class = if status.is_client_error() { 400 } else { 500 };
    let find = |wanted: u16| ERRORS.iter().find(|(known, ..)| *known == wanted).copied();
    find(status.as_u16()).or_else(|| find(class)).unwrap_or((500, "api_error", ""))
}

fn request_id(caller: &Caller) -> String {
    format!("req_{}", caller.label())
}

fn headers(caller: &Caller, status: StatusCode) -> Vec<(HeaderName, String)> {
    let reset = "2023-11-14T22:14:20Z";
    let left = if status == StatusCode::TOO_MANY_REQUESTS { "0" } else { "49" };
    let rows = [
        ("request-id", request_id(caller)),
        ("anthropic-organization-id", "00000000-0000-0000-0000-000000000000".into()),
        ("anthropic-ratelimit-requests-limit", "50".into()),
        ("anthropic-ratelimit-requests-remaining", left.into()),
        ("anthropic-ratelimit-requests-reset", reset.into()),
        ("anthropic-ratelimit-tokens-limit", "40000".into()),
        ("anthropic-ratelimit-tokens-remaining", "39000".into()),
        ("anthropic-ratelimit-tokens-reset", reset.into()),
    ];
    rows.into_iter().map(|(name, value)| (HeaderName::from_static(name), value)).collect()
}

fn answer(caller: &Caller, place: &Place, body: Option<&Value>) -> Result<Answer, Refuse> {
    if place.operation == Operation::Models {
        return Ok(caller.state(place, None, 0, &models()));
    }
    let Some(body) = body else { return caller.say(place, &Ask::default(), Box::new(Speaker)) };
    if place.host == Host::Own {
        let version = caller.headers.get("anthropic-version").map(|version| version.as_bytes());
        match version {
            None => return Err(Refuse::bad("anthropic-version: header is required", None)),
            Some(version) if !VERSIONS.contains(&version) => {
                return Err(Refuse::bad("anthropic-version: this is not a valid version", None));
            }
            Some(_) => {}
        }
    }
    let definition = match (place.host, place.operation) {
        (Host::Vertex, Operation::CountTokens) => "VertexCount",
        (_, Operation::CountTokens) => "Count",
        (Host::Vertex, _) => "Vertex",
        (Host::Bedrock, _) => "Bedrock",
        (Host::Own, _) => "Request",
    };
    let ask = ask(definition, place, body)?;
    if place.operation == Operation::CountTokens {
        let tokens = ask.prompt();
        return Ok(caller.state(place, Some(&ask.model), tokens, &json!({"input_tokens": tokens})));
    }
    caller.say(place, &ask, Box::new(Speaker))
}

/// Reads a request that is legal as `definition` of the schema.
///
/// # Errors
/// What Anthropic would say to it.
pub(super) fn ask(definition: &str, place: &Place, body: &Value) -> Result<Ask, Refuse> {
    SCHEMA.check(definition, body).map_err(|fault| Refuse::bad(words(&fault), None))?;
    let messages = body["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
    super::turns::alternate(messages).map_err(|message| Refuse::bad(message, None))?;
    super::turns::thinking(body).map_err(|message| Refuse::bad(message, None))?;
    super::turns::cache_marks(body).map_err(|message| Refuse::bad(message, None))?;
    let tools = body["tools"].as_array().into_iter().flatten().filter(|tool| tool.get("input_schema").is_some());
    let tools: Vec<String> = tools.filter_map(|tool| tool["name"].as_str()).map(str::to_owned).collect();
    let choice = &body["tool_choice"];
    let forced = match choice["type"].as_str() {
        Some(_) if body["tools"].as_array().is_none_or(Vec::is_empty) => {
            return Err(Refuse::bad("tool_choice: tool_choice may only be specified while providing tools", None));
        }
        Some("any") => Forced::Any,
        Some("none") => Forced::Never,
        Some("tool") => Forced::Named(choice["name"].as_str().unwrap_or_default().to_owned()),
        _ => Forced::No,
    };
    if let Forced::Named(name) = &forced
        && !tools.contains(name)
    {
        return Err(Refuse::bad(format!("Tool '{name}' not found in provided tools"), None));
    }
    let said = |message: &Value| super::turns::text(&message["content"]);
    let last = messages.last().filter(|last| last["role"] == "user");
    let answered =
        |last: &&Value| last["content"].as_array().is_none_or(|all| all.iter().all(|b| b["type"] != "tool_result"));
    Ok(Ask {
        model: place.model.as_deref().or_else(|| body["model"].as_str()).unwrap_or("mock").to_owned(),
        stream: place.stream.unwrap_or(body["stream"] == true),
        text: messages.iter().map(said).sum::<u64>() + super::turns::text(&body["system"]),
        limit: body["max_tokens"].as_u64(),
        choices: 1,
        tools,
        forced,
        one_call: choice["disable_parallel_tool_use"] == true,
        user_last: last.filter(answered).is_some(),
    })
}

/// A fault as Anthropic says it.
fn words(fault: &Fault) -> String {
    let place = fault.dotted();
    match &fault.what {
        What::Missing => format!("{place}: Field required"),
        What::Unknown => format!("{place}: Extra inputs are not permitted"),
        What::Kind(kinds) => format!("{place}: Input should be a valid {}", kinds.join(" or ")),
        What::Word(words) => {
            let words: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
            format!("{place}: Input should be {}", words.join(" or "))
        }
        What::Least(least) => format!("{place}: Input should be greater than or equal to {least}"),
        What::Most(most) => format!("{place}: Input should be less than or equal to {most}"),
    }
}

fn models() -> Value {
    let row = |(id, name): &(&str, &str)| {
        json!({"type": "model", "id": id, "display_name": name,
                                                "created_at": "2023-11-14T22:13:20Z", "lifecycle": "active"})
    };
    let rows: Vec<Value> = MODELS.iter().map(row).collect();
    json!({"data": rows, "has_more": false, "first_id": MODELS.first().map(|m| m.0), "last_id": MODELS.last().map(|m| m.0)})
}

fn stop(turn: &Turn) -> &'static str {
    match turn.stop {
        Stop::End => "end_turn",
        Stop::Length => "max_tokens",
        Stop::Call => "tool_use",
        Stop::Refusal => "refusal",
    }
}

fn details(turn: &Turn) -> Value {
    match turn.stop {
        Stop::Refusal => json!({"type": "refusal", "category": null, "explanation": null}),
        _ => Value::Null,
    }
}

fn citation() -> Value {
    json!({"type": "web_search_result_location", "cited_text": "time", "url": CITED_URL, "title": CITED_TITLE,
           "encrypted_index": "bW9jaw=="})
}

// === impl Speaker ===

impl Speaker {
    /// The usage; `input_tokens` is without what was read from the cache.
    fn usage(turn: &Turn, output: u64) -> Value {
        let usage = turn.usage;
        json!({
            "input_tokens": usage.prompt - usage.cached,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": usage.cached,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
            "output_tokens": output,
            "service_tier": "standard",
        })
    }

    /// The message so far.
    fn message(turn: &Turn, content: Vec<Value>, stop: Value, details: Value, output: u64) -> Value {
        let mut message = json!({
            "id": format!("msg_{}", turn.id), "type": "message", "role": "assistant", "model": turn.model,
            "content": content, "stop_reason": stop, "stop_sequence": null, "stop_details": details,
        });
        show(&mut message, turn, Self::usage(turn, output));
        message
    }

    /// A block as it is at first, or whole.
    fn block(turn: &Turn, at: &At<'_>, whole: bool) -> Value {
        let text = if whole { at.block.text() } else { String::new() };
        match &at.block.kind {
            Kind::Thought => {
                json!({"type": "thinking", "thinking": text, "signature": if whole { SIGNATURE } else { "" }})
            }
            Kind::Text { cited: true } if whole => json!({"type": "text", "text": text, "citations": [citation()]}),
            Kind::Text { cited: true } => json!({"type": "text", "text": text, "citations": []}),
            Kind::Text { .. } | Kind::Refusal => json!({"type": "text", "text": text}),
            Kind::Call { name, number } => {
                let input = if whole { json!({"q": text}) } else { json!({}) };
                json!({"type": "tool_use", "id": turn.call_id("toolu", *number), "name": name, "input": input})
            }
        }
    }
}

/// Puts the usage in, as the program wants it.
fn show(into: &mut Value, turn: &Turn, usage: Value) {
    match turn.show {
        UsageMode::Absent => {}
        UsageMode::Null => into["usage"] = Value::Null,
        UsageMode::AsAsked | UsageMode::Present => into["usage"] = usage,
    }
}

fn event(name: &'static str, mut data: Value, tokens: u64) -> Piece {
    let mut typed = json!({"type": name});
    if let (Some(typed), Some(data)) = (typed.as_object_mut(), data.as_object_mut()) {
        typed.append(data);
    }
    Piece::new(Some(name), typed, tokens)
}

fn delta(at: &At<'_>, delta: Value, tokens: u64) -> Piece {
    event("content_block_delta", json!({"index": at.index, "delta": delta}), tokens)
}

impl Voice for Speaker {
    fn framing(&self) -> Framing {
        Framing::Sse
    }

    fn whole(&self, turn: &Turn) -> Value {
        let at = |(index, block)| At { choice: 0, index, block };
        let content = turn.blocks.iter().enumerate().map(at).map(|at| Self::block(turn, &at, true)).collect();
        Self::message(turn, content, stop(turn).into(), details(turn), turn.usage.completion)
    }

    fn step(&mut self, turn: &Turn, step: Step<'_>, out: &mut VecDeque<Piece>) {
        match step {
            Step::Start => {
                let message = Self::message(turn, Vec::new(), Value::Null, Value::Null, 1);
                out.push_back(event("message_start", json!({"message": message}), 0));
                out.push_back(event("ping", json!({}), 0));
            }
            Step::Open(at) => {
                let block = Self::block(turn, &at, false);
                out.push_back(event("content_block_start", json!({"index": at.index, "content_block": block}), 0));
                if matches!(at.block.kind, Kind::Call { .. }) {
                    out.push_back(delta(&at, json!({"type": "input_json_delta", "partial_json": ""}), 0));
                    out.push_back(delta(&at, json!({"type": "input_json_delta", "partial_json": "{\"q\":\""}), 0));
                }
            }
            Step::Words(at, from, count) => {
                let text = Turn::words(from, count);
                let said = match at.block.kind {
                    Kind::Thought => json!({"type": "thinking_delta", "thinking": text}),
                    Kind::Text { .. } | Kind::Refusal => json!({"type": "text_delta", "text": text}),
                    Kind::Call { .. } => json!({"type": "input_json_delta", "partial_json": text}),
                };
                out.push_back(delta(&at, said, count));
            }
            Step::Close(at) => {
                let last = match at.block.kind {
                    Kind::Thought => Some(json!({"type": "signature_delta", "signature": SIGNATURE})),
                    Kind::Text { cited: true } => Some(json!({"type": "citations_delta", "citation": citation()})),
                    Kind::Call { .. } => Some(json!({"type": "input_json_delta", "partial_json": "\"}"})),
                    Kind::Text { .. } | Kind::Refusal => None,
                };
                out.extend(last.map(|last| delta(&at, last, 0)));
                out.push_back(event("content_block_stop", json!({"index": at.index}), 0));
            }
            Step::Finish(_) => {
                let delta = json!({"stop_reason": stop(turn), "stop_sequence": null, "stop_details": details(turn)});
                let mut data = json!({"delta": delta});
                show(&mut data, turn, json!({"output_tokens": turn.usage.completion}));
                out.push_back(event("message_delta", data, 0));
            }
            Step::Done => out.push_back(event("message_stop", json!({}), 0)),
        }
    }

    fn error(&mut self, _: &Turn) -> Piece {
        event("error", json!({"error": {"type": "overloaded_error", "message": "Overloaded"}}), 0)
    }
}
