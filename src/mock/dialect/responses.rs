//! OpenAI's Responses (`POST /v1/responses`, and `/v1/responses/input_tokens`), from its API reference
//! (platform.openai.com/docs/api-reference: responses, responses-streaming) and guides ("Reasoning models",
//! "Function calling", "Error codes"); Azure's are the same under `/openai/v1/`. Nothing is kept: a
//! `previous_response_id` is taken and means nothing.

use std::collections::VecDeque;

use http::request::Parts;
use http::{HeaderName, Method, StatusCode};
use serde_json::{Value, json};

use super::super::openai::{Answer, Caller, Refuse};
use super::super::program::UsageMode;
use super::super::reply::CREATED;
use super::frames::{At, Framing, Piece, Step, Voice};
use super::turn::{Ask, Block, CITED_TITLE, CITED_URL, Kind, Stop, Turn};
use super::{Place, Tongue, items};
use crate::llm::Operation;

pub(super) static TONGUE: Tongue = Tongue {
    find,
    answer,
    error,
    headers,
    unreadable: "We could not parse the JSON body of your request.",
    json: super::super::openai::JSON,
    sse: super::super::openai::SSE,
    keys: super::OPENAI_KEYS,
};

const PATHS: &[(Method, &str, Operation)] = &[
    (Method::POST, "/responses", Operation::Responses),
    (Method::POST, "/responses/input_tokens", Operation::CountTokens),
];

/// What a response repeats of its request, and what stands there where that says nothing.
const REPEATED: &[(&str, &str)] = &[
    ("background", "false"),
    ("instructions", "null"),
    ("max_output_tokens", "null"),
    ("max_tool_calls", "null"),
    ("parallel_tool_calls", "true"),
    ("previous_response_id", "null"),
    ("prompt_cache_key", "null"),
    ("reasoning", r#"{"effort":null,"summary":null}"#),
    ("safety_identifier", "null"),
    ("service_tier", r#""default""#),
    ("store", "true"),
    ("temperature", "1.0"),
    ("text", r#"{"format":{"type":"text"},"verbosity":"medium"}"#),
    ("tool_choice", r#""auto""#),
    ("tools", "[]"),
    ("top_logprobs", "0"),
    ("top_p", "1.0"),
    ("truncation", r#""disabled""#),
    ("user", "null"),
    ("metadata", "{}"),
];

/// Says a turn as Responses.
struct Speaker {
    /// The fields of [`REPEATED`].
    repeated: Value,
    /// Thoughts are to come back encrypted.
    encrypted: bool,
    /// Nobody waits for the answer.
    background: bool,
    /// The items that are done.
    items: Vec<Value>,
    sequence: u64,
}

fn find(head: &Parts) -> Option<Place> {
    Place::by_end(&TONGUE, head, PATHS)
}

fn headers(caller: &Caller, status: StatusCode) -> Vec<(HeaderName, String)> {
    let left = if status == StatusCode::TOO_MANY_REQUESTS { "0" } else { "499" };
    let rows = [
        ("openai-version", "2020-10-01".to_owned()),
        ("x-request-id", format!("req_{}", caller.label())),
        ("openai-processing-ms", "1".to_owned()),
        ("x-ratelimit-limit-requests", "500".to_owned()),
        ("x-ratelimit-remaining-requests", left.to_owned()),
        ("x-ratelimit-reset-requests", "120ms".to_owned()),
    ];
    rows.into_iter().map(|(name, value)| (HeaderName::from_static(name), value)).collect()
}

fn error(_: &Caller, _: &Place, refuse: &Refuse) -> Value {
    serde_json::from_slice(&refuse.body()).unwrap_or_default()
}

fn answer(caller: &Caller, place: &Place, body: Option<&Value>) -> Result<Answer, Refuse> {
    let Some(body) = body else { return caller.say(place, &Ask::default(), Box::new(Speaker::new(&Value::Null))) };
    if place.operation == Operation::CountTokens {
        let ask = items::ask("Count", body)?;
        let tokens = ask.prompt();
        let answer = json!({"object": "response.input_tokens", "input_tokens": tokens});
        return Ok(caller.state(place, Some(&ask.model), tokens, &answer));
    }
    let ask = items::ask("Request", body)?;
    let speaker = Speaker::new(body);
    if speaker.background && !ask.stream {
        let turn = Turn { show: UsageMode::Null, ..caller.turn(&ask)? };
        let queued = speaker.response(&turn, "queued", &[]);
        return Ok(caller.state(place, Some(&ask.model), turn.usage.prompt, &queued));
    }
    caller.say(place, &ask, Box::new(speaker))
}

fn citation() -> Value {
    json!({"type": "url_citation", "start_index": 1, "end_index": 5, "url": CITED_URL, "title": CITED_TITLE})
}

fn arguments(words: &str) -> String {
    json!({"q": words}).to_string()
}

/// The parts of an event that name a place.
fn at_part(turn: &Turn, at: &At<'_>) -> Value {
    json!({"item_id": item_id(turn, at), "output_index": at.index, "content_index": 0})
}

fn item_id(turn: &Turn, at: &At<'_>) -> String {
    let kind = match at.block.kind {
        Kind::Thought => "rs",
        Kind::Text { .. } | Kind::Refusal => "msg",
        Kind::Call { .. } => "fc",
    };
    format!("{kind}_{}_{}", turn.id, at.index)
}

/// The one part of a message, empty or whole.
fn part(block: &Block, whole: bool) -> Value {
    let text = if whole { block.text() } else { String::new() };
    match block.kind {
        Kind::Refusal => json!({"type": "refusal", "refusal": text}),
        Kind::Text { cited: true } if whole => {
            json!({"type": "output_text", "text": text, "annotations": [citation()], "logprobs": []})
        }
        _ => json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []}),
    }
}

// === impl Speaker ===

impl Speaker {
    fn new(body: &Value) -> Speaker {
        let value = |(name, usual): &(&str, &str)| {
            let said = body.get(*name).filter(|said| !said.is_null()).cloned();
            ((*name).to_owned(), said.unwrap_or_else(|| serde_json::from_str(usual).unwrap_or_default()))
        };
        let wanted = |all: &Vec<Value>| all.iter().any(|one| one == "reasoning.encrypted_content");
        Speaker {
            repeated: Value::Object(REPEATED.iter().map(value).collect()),
            encrypted: body["include"].as_array().is_some_and(wanted),
            background: body["background"] == true,
            items: Vec::new(),
            sequence: 0,
        }
    }

    fn response(&self, turn: &Turn, status: &str, items: &[Value]) -> Value {
        let ended = matches!(status, "completed" | "incomplete");
        let incomplete = (status == "incomplete").then(|| json!({"reason": "max_output_tokens"}));
        let mut response = json!({
            "id": format!("resp_{}", turn.id), "object": "response", "created_at": CREATED, "status": status,
            "completed_at": ended.then_some(CREATED + 1), "error": null, "incomplete_details": incomplete,
            "model": turn.model, "output": items,
        });
        if let (Some(response), Some(repeated)) = (response.as_object_mut(), self.repeated.as_object()) {
            response.extend(repeated.clone());
        }
        match turn.show {
            UsageMode::Absent => {}
            UsageMode::AsAsked | UsageMode::Present if ended => response["usage"] = usage(turn),
            UsageMode::AsAsked | UsageMode::Present | UsageMode::Null => response["usage"] = Value::Null,
        }
        response
    }

    /// An item as it is at first, or done.
    fn item(&self, turn: &Turn, at: &At<'_>, done: bool) -> Value {
        let id = item_id(turn, at);
        let last = at.index + 1 == turn.blocks.len();
        let status = match (done, turn.stop) {
            (false, _) => "in_progress",
            (true, Stop::Length) if last => "incomplete",
            (true, _) => "completed",
        };
        match &at.block.kind {
            Kind::Thought => {
                let summary = if done { json!([{"type": "summary_text", "text": at.block.text()}]) } else { json!([]) };
                let mut item = json!({"id": id, "type": "reasoning", "summary": summary});
                if self.encrypted {
                    item["encrypted_content"] = "Z0FBQUFB".into();
                }
                item
            }
            Kind::Text { .. } | Kind::Refusal => {
                let content = if done { json!([part(at.block, true)]) } else { json!([]) };
                json!({"id": id, "type": "message", "status": status, "role": "assistant", "content": content})
            }
            Kind::Call { name, number } => {
                let arguments = if done { arguments(&at.block.text()) } else { String::new() };
                json!({"id": id, "type": "function_call", "status": status, "arguments": arguments,
                       "call_id": turn.call_id("call", *number), "name": name})
            }
        }
    }

    fn event(&mut self, name: &'static str, more: Value, tokens: u64) -> Piece {
        let mut data = json!({"type": name, "sequence_number": self.sequence});
        self.sequence += 1;
        if let (Some(data), Value::Object(more)) = (data.as_object_mut(), more) {
            data.extend(more);
        }
        Piece::new(Some(name), data, tokens)
    }

    fn open(&mut self, turn: &Turn, at: &At<'_>, out: &mut VecDeque<Piece>) {
        let item = self.item(turn, at, false);
        out.push_back(self.event("response.output_item.added", json!({"output_index": at.index, "item": item}), 0));
        match at.block.kind {
            Kind::Thought => {
                let part = json!({"type": "summary_text", "text": ""});
                let more = with(summary_at(turn, at), "part", part);
                out.push_back(self.event("response.reasoning_summary_part.added", more, 0));
            }
            Kind::Text { .. } | Kind::Refusal => {
                let more = with(at_part(turn, at), "part", part(at.block, false));
                out.push_back(self.event("response.content_part.added", more, 0));
            }
            Kind::Call { .. } => out.push_back(self.delta(turn, at, "{\"q\":\"".into(), 0)),
        }
    }

    fn delta(&mut self, turn: &Turn, at: &At<'_>, text: String, tokens: u64) -> Piece {
        let (name, place) = match at.block.kind {
            Kind::Thought => ("response.reasoning_summary_text.delta", summary_at(turn, at)),
            Kind::Text { .. } => ("response.output_text.delta", with(at_part(turn, at), "logprobs", json!([]))),
            Kind::Refusal => ("response.refusal.delta", at_part(turn, at)),
            Kind::Call { .. } => ("response.function_call_arguments.delta", call_at(turn, at)),
        };
        self.event(name, with(place, "delta", text.into()), tokens)
    }

    fn close(&mut self, turn: &Turn, at: &At<'_>, out: &mut VecDeque<Piece>) {
        let text = at.block.text();
        match &at.block.kind {
            Kind::Thought => {
                let place = summary_at(turn, at);
                let part = with(place.clone(), "part", json!({"type": "summary_text", "text": text}));
                out.push_back(self.event("response.reasoning_summary_text.done", with(place, "text", text.into()), 0));
                out.push_back(self.event("response.reasoning_summary_part.done", part, 0));
            }
            Kind::Text { cited } => {
                if *cited {
                    let more = with(with(at_part(turn, at), "annotation_index", 0.into()), "annotation", citation());
                    out.push_back(self.event("response.output_text.annotation.added", more, 0));
                }
                let more = with(with(at_part(turn, at), "text", text.into()), "logprobs", json!([]));
                out.push_back(self.event("response.output_text.done", more, 0));
            }
            Kind::Refusal => {
                let more = with(at_part(turn, at), "refusal", text.into());
                out.push_back(self.event("response.refusal.done", more, 0));
            }
            Kind::Call { name, .. } => {
                out.push_back(self.delta(turn, at, "\"}".into(), 0));
                let more = with(call_at(turn, at), "name", name.clone().into());
                let more = with(more, "arguments", arguments(&text).into());
                out.push_back(self.event("response.function_call_arguments.done", more, 0));
            }
        }
        if matches!(at.block.kind, Kind::Text { .. } | Kind::Refusal) {
            let more = with(at_part(turn, at), "part", part(at.block, true));
            out.push_back(self.event("response.content_part.done", more, 0));
        }
        let item = self.item(turn, at, true);
        self.items.push(item.clone());
        out.push_back(self.event("response.output_item.done", json!({"output_index": at.index, "item": item}), 0));
    }
}

/// The usage: the prompt with what was cached, the answer with its thoughts.
fn usage(turn: &Turn) -> Value {
    let usage = turn.usage;
    json!({
        "input_tokens": usage.prompt,
        "input_tokens_details": {"cached_tokens": usage.cached, "cache_write_tokens": 0},
        "output_tokens": usage.completion,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.prompt + usage.completion,
    })
}

fn summary_at(turn: &Turn, at: &At<'_>) -> Value {
    json!({"item_id": item_id(turn, at), "output_index": at.index, "summary_index": 0})
}

fn call_at(turn: &Turn, at: &At<'_>) -> Value {
    json!({"item_id": item_id(turn, at), "output_index": at.index})
}

fn with(mut object: Value, name: &str, value: Value) -> Value {
    object[name] = value;
    object
}

fn ending(turn: &Turn) -> (&'static str, &'static str) {
    match turn.stop {
        Stop::Length => ("response.incomplete", "incomplete"),
        Stop::End | Stop::Call | Stop::Refusal => ("response.completed", "completed"),
    }
}

impl Voice for Speaker {
    fn framing(&self) -> Framing {
        Framing::Sse
    }

    fn whole(&self, turn: &Turn) -> Value {
        let at = |(index, block)| At { choice: 0, index, block };
        let items: Vec<_> = turn.blocks.iter().enumerate().map(at).map(|at| self.item(turn, &at, true)).collect();
        self.response(turn, ending(turn).1, &items)
    }

    fn step(&mut self, turn: &Turn, step: Step<'_>, out: &mut VecDeque<Piece>) {
        match step {
            Step::Start => {
                for name in ["response.created", "response.in_progress"] {
                    let response = self.response(turn, "in_progress", &[]);
                    out.push_back(self.event(name, json!({"response": response}), 0));
                }
            }
            Step::Open(at) => self.open(turn, &at, out),
            Step::Words(at, from, count) => out.push_back(self.delta(turn, &at, Turn::words(from, count), count)),
            Step::Close(at) => self.close(turn, &at, out),
            Step::Finish(_) => {}
            Step::Done => {
                let (name, status) = ending(turn);
                let response = self.response(turn, status, &self.items);
                out.push_back(self.event(name, json!({"response": response}), 0));
            }
        }
    }

    fn unsend(&mut self, events: u64) {
        self.sequence -= events;
    }

    fn error(&mut self, _: &Turn) -> Piece {
        let message = "The server had an error while processing your request. Sorry about that!";
        self.event("error", json!({"code": "server_error", "message": message, "param": null}), 0)
    }
}
