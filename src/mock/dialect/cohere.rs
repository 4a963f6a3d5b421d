//! Cohere's API, version 2: chat. Embeddings and rerank are [`super::cohere_vectors`].
//!
//! From <https://docs.cohere.com/reference/chat>, `/reference/chat-stream` and the types of the Python SDK
//! 7.3. What is thought before a call is its `tool_plan`, else a block of `thinking`. A stream names its
//! events, counts content blocks and calls apart, and ends with `message-end`, which also says what went wrong.

use std::collections::VecDeque;
use std::sync::LazyLock;

use http::request::Parts;
use http::{HeaderName, Method};
use serde_json::{Map, Value, json};

use super::super::openai::{Answer, Caller, Refuse};
use super::super::program::UsageMode;
use super::super::words::WORD_BYTES;
use super::frames::{At, Framing, Piece, Step, Voice};
use super::rules::list;
use super::schema::{Schema, What};
use super::turn::{Ask, Block, CITED_TITLE, CITED_URL, Forced, Kind, Stop, Turn};
use super::{Key, Place, Tongue};
use crate::llm::Operation;

pub(super) static COHERE: Tongue = Tongue {
    find,
    answer,
    error,
    headers: |caller, _| vec![(HeaderName::from_static("x-debug-trace-id"), caller.label())],
    unreadable: "invalid request: failed to parse the body as JSON",
    json: "application/json",
    sse: "text/event-stream",
    keys: &[Key::Bearer],
};

/// Errors whose words do not depend on the request.
const ERRORS: &[(u16, &str)] = &[
    (401, "invalid api token"),
    (403, "you do not have permission to use this resource"),
    (404, "model not found, make sure the correct model ID was used and that you have access to the model."),
    (413, "request entity too large"),
    (429, "you are past the per minute request limit, please wait and try again later."),
    (500, "internal server error"),
    (503, "service unavailable"),
    (504, "gateway timeout"),
];

const MOST_STOPS: usize = 5;

static TYPES: LazyLock<Schema> =
    LazyLock::new(|| Schema::parse(include_str!("cohere.types"), false).expect("a test reads the same types"));

/// Says turns as Cohere does.
#[derive(Default)]
struct Cohere {
    /// Number of the content block that is open.
    content: u32,
}

fn find(head: &Parts) -> Option<Place> {
    Place::by_end(
        &COHERE,
        head,
        &[
            (Method::POST, "/v2/chat", Operation::Chat),
            (Method::POST, "/v2/embed", Operation::Embeddings),
            (Method::POST, "/v2/rerank", Operation::Rerank),
        ],
    )
}

fn answer(caller: &Caller, place: &Place, body: Option<&Value>) -> Result<Answer, Refuse> {
    let Some(body) = body else {
        return match place.operation {
            Operation::Chat => caller.say(place, &Ask::default(), Box::new(Cohere::default())),
            operation => super::cohere_vectors::early(caller, place, operation),
        };
    };
    match place.operation {
        Operation::Embeddings => super::cohere_vectors::embed(caller, place, body),
        Operation::Rerank => super::cohere_vectors::rerank(caller, place, body),
        _ => {
            check("ChatRequest", body)?;
            rules(body).map_err(|sentence| Refuse::bad(sentence, None))?;
            caller.say(place, &ask(body), Box::new(Cohere::default()))
        }
    }
}

/// Holds a body against one of `cohere.types`.
pub(super) fn check(name: &str, body: &Value) -> Result<(), Refuse> {
    TYPES.check(name, body).map_err(|fault| {
        let place = fault.indexed();
        let what = match fault.what {
            What::Missing => format!("{place} is required"),
            What::Unknown => format!("unknown field: parameter '{place}' is not a valid field"),
            What::Kind(kinds) => format!("{place} must be of type {}", kinds.join(" or ")),
            What::Word(words) => format!("{place} must be one of [{}]", words.join(", ")),
            What::Least(least) => format!("{place} must be at least {least}"),
            What::Most(most) => format!("{place} must be at most {most}"),
        };
        Refuse::bad(format!("invalid request: {what}"), None)
    })
}

/// What the types do not say, with the sentence of the reference that does.
fn rules(body: &Value) -> Result<(), String> {
    let there = |name: &str| body.get(name).is_some_and(|value| !list(value).is_empty());
    let tools = there("tools") || there("documents");
    let wrong = [
        // "the `tools` parameter must be passed in the request".
        (body.get("tool_choice").is_some() && !there("tools"), "tool_choice needs tools"),
        // "not supported when used in combinations with the `documents` or `tools` parameters".
        (
            tools && body["response_format"]["type"] == "json_object",
            "response_format cannot stand with tools or documents",
        ),
        // "not yet configurable in combination with `tools` and `documents` parameters".
        (tools && body.get("safety_mode").is_some(), "safety_mode cannot stand with tools or documents"),
        // "up to 5 strings".
        (list(&body["stop_sequences"]).len() > MOST_STOPS, "stop_sequences has more than 5 elements"),
    ];
    if let Some((_, sentence)) = wrong.iter().find(|(broken, _)| *broken) {
        return Err(format!("invalid request: {sentence}"));
    }
    calls(list(&body["messages"]))
}

/// Every call has its result behind it, and arguments that are an object.
fn calls(messages: &[Value]) -> Result<(), String> {
    let mut open: Vec<&str> = Vec::new();
    for (number, message) in messages.iter().enumerate() {
        let at = format!("invalid request: messages[{number}]");
        if message["role"] == "tool" {
            let id = message["tool_call_id"].as_str().unwrap_or_default();
            let found = open.iter().position(|known| *known == id);
            open.remove(found.ok_or_else(|| format!("{at}: no tool call before it has the id '{id}'"))?);
            continue;
        }
        if let Some(id) = open.first() {
            return Err(format!("{at}: the tool call '{id}' has no result"));
        }
        if message["role"] == "assistant" && message.get("content").is_none() && message.get("tool_calls").is_none() {
            return Err(format!("{at}: an assistant's message needs content or tool_calls"));
        }
        for call in list(&message["tool_calls"]) {
            let arguments = call["function"]["arguments"].as_str().unwrap_or_default();
            if !serde_json::from_str::<Value>(arguments).is_ok_and(|arguments| arguments.is_object()) {
                return Err(format!("{at}: a tool call's arguments must be a JSON object in a string"));
            }
            open.push(call["id"].as_str().unwrap_or_default());
        }
    }
    match open.first() {
        Some(id) => Err(format!("invalid request: the tool call '{id}' has no result")),
        None => Ok(()),
    }
}

/// Whether a chat is one that the API takes, or why not.
#[cfg(test)]
pub(in crate::mock) fn takes(body: &Value) -> Result<(), String> {
    check("ChatRequest", body).map_err(|refuse| refuse.message.into_owned())?;
    rules(body)
}

fn ask(body: &Value) -> Ask {
    let messages = list(&body["messages"]);
    let tools = list(&body["tools"]).iter().filter_map(|tool| tool["function"]["name"].as_str());
    let weight =
        |content: &Value| content.as_str().map_or_else(|| super::bedrock::weight(content), |text| text.len() as u64);
    Ask {
        model: body["model"].as_str().unwrap_or_default().to_owned(),
        stream: body["stream"] == true,
        text: messages.iter().map(|message| weight(&message["content"])).sum(),
        limit: body["max_tokens"].as_u64(),
        tools: tools.map(str::to_owned).collect(),
        forced: match body["tool_choice"].as_str() {
            Some("REQUIRED") => Forced::Any,
            Some("NONE") => Forced::Never,
            _ => Forced::No,
        },
        user_last: messages.last().is_some_and(|message| message["role"] == "user"),
        ..Ask::default()
    }
}

fn error(caller: &Caller, _: &Place, refuse: &Refuse) -> Value {
    let usual = ERRORS.iter().find(|(status, _)| *status == refuse.status.as_u16());
    json!({"id": caller.label(), "message": usual.map_or(&*refuse.message, |(_, message)| message)})
}

fn finish(stop: Stop) -> &'static str {
    match stop {
        // There is no word for a refusal.
        Stop::End | Stop::Refusal => "COMPLETE",
        Stop::Length => "MAX_TOKENS",
        Stop::Call => "TOOL_CALL",
    }
}

fn put_usage(answer: &mut Value, turn: &Turn) {
    let counts = json!({"input_tokens": turn.usage.prompt, "output_tokens": turn.usage.completion});
    match turn.show {
        UsageMode::Absent => {}
        UsageMode::Null => answer["usage"] = Value::Null,
        UsageMode::AsAsked | UsageMode::Present => {
            answer["usage"] = json!({"billed_units": counts, "tokens": counts, "cached_tokens": turn.usage.cached});
        }
    }
}

/// Whether what is thought is the plan of a call.
fn plans(turn: &Turn) -> bool {
    turn.blocks.iter().any(|block| matches!(block.kind, Kind::Call { .. }))
}

fn citation(block: &Block, index: u32) -> Value {
    let document = json!({"id": "doc:0", "title": CITED_TITLE, "url": CITED_URL});
    json!({
        "start": 0, "end": block.words * WORD_BYTES as u64, "text": block.text(), "content_index": index,
        "sources": [{"type": "document", "id": "doc:0", "document": document}], "type": "TEXT_CONTENT",
    })
}

// === impl Cohere ===

impl Cohere {
    /// An event about something of a message; its number where it has one.
    fn event(name: &'static str, index: Option<u32>, message: Option<Value>, tokens: u64) -> Piece {
        let mut data = Map::from_iter([("type".to_owned(), name.into())]);
        data.extend(index.map(|index| ("index".to_owned(), index.into())));
        data.extend(message.map(|message| ("delta".to_owned(), json!({"message": message}))));
        Piece::new(Some(name), Value::Object(data), tokens)
    }

    fn open(&self, turn: &Turn, at: At<'_>) -> Option<Piece> {
        let content = |kind: &str| json!({"content": {"type": kind, kind: ""}});
        Some(match &at.block.kind {
            Kind::Thought if plans(turn) => return None,
            Kind::Thought => Self::event("content-start", Some(self.content), Some(content("thinking")), 0),
            Kind::Text { .. } | Kind::Refusal => {
                Self::event("content-start", Some(self.content), Some(content("text")), 0)
            }
            Kind::Call { name, number } => {
                let function = json!({"name": name, "arguments": ""});
                let call = json!({"id": turn.call_id("call", *number), "type": "function", "function": function});
                Self::event("tool-call-start", Some(*number), Some(json!({"tool_calls": call})), 0)
            }
        })
    }

    fn words(&self, turn: &Turn, at: At<'_>, from: u64, count: u64) -> Piece {
        let words = Turn::words(from, count);
        match &at.block.kind {
            Kind::Thought if plans(turn) => {
                Self::event("tool-plan-delta", None, Some(json!({"tool_plan": words})), count)
            }
            Kind::Thought => {
                let message = json!({"content": {"thinking": words}});
                Self::event("content-delta", Some(self.content), Some(message), count)
            }
            Kind::Text { .. } | Kind::Refusal => {
                let message = json!({"content": {"text": words}});
                Self::event("content-delta", Some(self.content), Some(message), count)
            }
            Kind::Call { number, .. } => Self::arguments(*number, &words, count),
        }
    }

    fn arguments(number: u32, arguments: &str, tokens: u64) -> Piece {
        let message = json!({"tool_calls": {"function": {"arguments": arguments}}});
        Self::event("tool-call-delta", Some(number), Some(message), tokens)
    }

    fn close(&mut self, turn: &Turn, at: At<'_>, out: &mut VecDeque<Piece>) {
        if let Kind::Call { number, .. } = at.block.kind {
            out.push_back(Self::arguments(number, "\"}", 0));
            return out.push_back(Self::event("tool-call-end", Some(number), None, 0));
        }
        if at.block.kind == Kind::Thought && plans(turn) {
            return;
        }
        out.push_back(Self::event("content-end", Some(self.content), None, 0));
        if at.block.kind == (Kind::Text { cited: true }) {
            let message = json!({"citations": citation(at.block, self.content)});
            out.push_back(Self::event("citation-start", Some(0), Some(message), 0));
            out.push_back(Self::event("citation-end", Some(0), None, 0));
        }
        self.content += 1;
    }
}

impl Voice for Cohere {
    fn whole(&self, turn: &Turn) -> Value {
        let (mut content, mut calls, mut citations) = (Vec::new(), Vec::new(), Vec::new());
        let mut message = Map::from_iter([("role".to_owned(), "assistant".into())]);
        for block in &turn.blocks {
            let text = block.text();
            match &block.kind {
                Kind::Thought if plans(turn) => drop(message.insert("tool_plan".into(), text.into())),
                Kind::Thought => content.push(json!({"type": "thinking", "thinking": text})),
                Kind::Text { cited } => {
                    let index = u32::try_from(content.len()).unwrap_or(0);
                    citations.extend(cited.then(|| citation(block, index)));
                    content.push(json!({"type": "text", "text": text}));
                }
                Kind::Refusal => content.push(json!({"type": "text", "text": text})),
                Kind::Call { name, number } => {
                    let function = json!({"name": name, "arguments": json!({"q": text}).to_string()});
                    let id = turn.call_id("call", *number);
                    calls.push(json!({"id": id, "type": "function", "function": function}));
                }
            }
        }
        for (name, items) in [("content", content), ("tool_calls", calls), ("citations", citations)] {
            if !items.is_empty() {
                message.insert(name.into(), items.into());
            }
        }
        let mut answer = json!({"id": turn.id, "finish_reason": finish(turn.stop), "message": message});
        put_usage(&mut answer, turn);
        answer
    }

    fn step(&mut self, turn: &Turn, step: Step<'_>, out: &mut VecDeque<Piece>) {
        match step {
            Step::Start => {
                let message =
                    json!({"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []});
                let data = json!({"id": turn.id, "type": "message-start", "delta": {"message": message}});
                out.push_back(Piece::new(Some("message-start"), data, 0));
            }
            Step::Open(at) => {
                out.extend(self.open(turn, at));
                if let Kind::Call { number, .. } = at.block.kind {
                    out.push_back(Self::arguments(number, "{\"q\":\"", 0));
                }
            }
            Step::Words(at, from, count) => out.push_back(self.words(turn, at, from, count)),
            Step::Close(at) => self.close(turn, at, out),
            Step::Finish(_) => {}
            Step::Done => {
                let mut delta = json!({"finish_reason": finish(turn.stop)});
                put_usage(&mut delta, turn);
                let data = json!({"type": "message-end", "id": turn.id, "delta": delta});
                out.push_back(Piece::new(Some("message-end"), data, 0));
                // Not in the reference, but what the service sends and its SDKs wait for
                // (https://github.com/cohere-ai/cohere-python/issues/730).
                out.push_back(Piece::new(None, "[DONE]".into(), 0));
            }
        }
    }

    fn error(&mut self, turn: &Turn) -> Piece {
        let delta = json!({"finish_reason": "ERROR", "error": "an error occurred while generating the response"});
        Piece::new(Some("message-end"), json!({"type": "message-end", "id": turn.id, "delta": delta}), 0)
    }

    fn framing(&self) -> Framing {
        Framing::Sse
    }
}
