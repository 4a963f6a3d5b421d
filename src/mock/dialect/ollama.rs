//! Ollama's own API: `/api/chat`, `/api/embed` and `/api/tags`.
//!
//! From <https://github.com/ollama/ollama/blob/main/docs/api.md> and `api/types.go` there: a stream is a JSON
//! object a line and is the default; a call comes in one piece with its arguments as an object; the last
//! line has `done` and the counts; an error within a stream is a line with `error`. The time of creation is
//! fixed.

use std::collections::VecDeque;
use std::sync::LazyLock;

use http::request::Parts;
use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::super::embed;
use super::super::openai::{Answer, Caller, Refuse};
use super::super::program::UsageMode;
use super::frames::{Framing, Piece, Step, Voice};
use super::rules::{is_base64, list};
use super::schema::{Schema, What};
use super::turn::{Ask, Block, Kind, Stop, Turn};
use super::{Key, Place, Tongue};
use crate::llm::Operation;

pub(super) static OLLAMA: Tongue = Tongue {
    find,
    answer,
    error,
    headers: |_, _| Vec::new(),
    unreadable: "invalid character in the request body",
    json: "application/json; charset=utf-8",
    sse: "application/x-ndjson",
    keys: &[Key::Bearer],
};

const CREATED: &str = "2023-11-14T22:13:20Z";
const DIMENSIONS: u32 = 768;
const MODELS: &[&str] = &["llama3.2:latest", "mock:latest", "nomic-embed-text:latest"];

static TYPES: LazyLock<Schema> =
    LazyLock::new(|| Schema::parse(include_str!("ollama.types"), false).expect("a test reads the same types"));

/// Says turns as Ollama does.
struct Ollama;

fn find(head: &Parts) -> Option<Place> {
    Place::by_end(
        &OLLAMA,
        head,
        &[
            (Method::POST, "/api/chat", Operation::Chat),
            (Method::POST, "/api/embed", Operation::Embeddings),
            (Method::GET, "/api/tags", Operation::Models),
            (Method::HEAD, "/api/tags", Operation::Models),
        ],
    )
}

fn answer(caller: &Caller, place: &Place, body: Option<&Value>) -> Result<Answer, Refuse> {
    let model = body.and_then(|body| body["model"].as_str()).unwrap_or("mock");
    match (place.operation, body) {
        (Operation::Models, _) => Ok(caller.state(place, None, 0, &tags())),
        (Operation::Embeddings, body) => embeddings(caller, place, model, body),
        (_, None) => caller.say(place, &Ask { stream: true, ..Ask::default() }, Box::new(Ollama)),
        (_, Some(body)) => {
            check("ChatRequest", body)?;
            rules(body).map_err(|sentence| Refuse::bad(sentence, None))?;
            if list(&body["messages"]).is_empty() {
                // Without a message the model is only loaded.
                let mut answer = line(model, &json!({"role": "assistant", "content": ""}), true);
                answer["done_reason"] = "load".into();
                return Ok(caller.state(place, Some(model), 0, &answer));
            }
            caller.say(place, &ask(model, body), Box::new(Ollama))
        }
    }
}

fn check(name: &str, body: &Value) -> Result<(), Refuse> {
    TYPES.check(name, body).map_err(|fault| {
        let place = fault.dotted();
        let sentence = match fault.what {
            What::Missing | What::Least(_) if place == "model" => "model is required".to_owned(),
            What::Missing => format!("{place} is required"),
            What::Unknown => format!("json: unknown field \"{place}\""),
            What::Kind(kinds) => {
                format!("json: cannot unmarshal into Go struct field {name}.{place} of type {}", kinds.join(" or "))
            }
            What::Word(words) => format!("invalid {place}: must be one of [{}]", words.join(", ")),
            What::Least(least) => format!("invalid {place}: less than {least}"),
            What::Most(most) => format!("invalid {place}: more than {most}"),
        };
        Refuse::bad(sentence, None)
    })
}

/// What the types do not say.
fn rules(body: &Value) -> Result<(), String> {
    for (number, message) in list(&body["messages"]).iter().enumerate() {
        let image = list(&message["images"]).iter().filter_map(Value::as_str).find(|image| !is_base64(image));
        if image.is_some() {
            return Err(format!("messages.{number}.images: illegal base64 data"));
        }
        if message["role"] != "assistant" && !list(&message["tool_calls"]).is_empty() {
            return Err(format!("messages.{number}.tool_calls: only an assistant calls tools"));
        }
        if message["role"] != "tool" && !(message["tool_name"].is_null() && message["tool_call_id"].is_null()) {
            return Err(format!("messages.{number}: tool_name and tool_call_id are those of a tool's message"));
        }
    }
    Ok(())
}

/// Whether a chat is one that the API takes, or why not.
#[cfg(test)]
pub(in crate::mock) fn takes(body: &Value) -> Result<(), String> {
    check("ChatRequest", body).map_err(|refuse| refuse.message.into_owned())?;
    rules(body)
}

fn ask(model: &str, body: &Value) -> Ask {
    let messages = list(&body["messages"]);
    let tools = list(&body["tools"]).iter().filter_map(|tool| tool["function"]["name"].as_str());
    let text = messages.iter().filter_map(|message| message["content"].as_str()).map(|text| text.len() as u64).sum();
    // -1 is no limit, and -2 as much as there is room for.
    let limit = body["options"]["num_predict"].as_u64().filter(|limit| *limit > 0);
    Ask {
        model: model.to_owned(),
        stream: body["stream"].as_bool().unwrap_or(true),
        text,
        limit,
        tools: tools.map(str::to_owned).collect(),
        user_last: messages.last().is_some_and(|message| message["role"] == "user"),
        ..Ask::default()
    }
}

fn embeddings(caller: &Caller, place: &Place, model: &str, body: Option<&Value>) -> Result<Answer, Refuse> {
    let nothing = json!({"model": "mock", "input": []});
    let body = body.unwrap_or(&nothing);
    check("EmbedRequest", body)?;
    let texts: Vec<&str> = match &body["input"] {
        Value::String(text) => vec![text],
        input => list(input).iter().filter_map(Value::as_str).collect(),
    };
    let dimensions = body["dimensions"].as_u64().and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0);
    let dimensions = dimensions.map_or(DIMENSIONS, |n| n.min(DIMENSIONS));
    let vectors: Vec<Vec<f32>> = texts.iter().map(|text| embed::text_vector(text, dimensions)).collect();
    let tokens = texts.iter().map(|text| text.len().div_ceil(4) as u64).sum::<u64>().max(1);
    let served = caller.program.model.as_deref().unwrap_or(model);
    let mut answer = json!({"model": served, "embeddings": vectors, "total_duration": 1, "load_duration": 1});
    match caller.program.usage {
        UsageMode::Absent => {}
        UsageMode::Null => answer["prompt_eval_count"] = Value::Null,
        UsageMode::AsAsked | UsageMode::Present => answer["prompt_eval_count"] = tokens.into(),
    }
    Ok(caller.state(place, Some(model), tokens, &answer))
}

fn tags() -> Value {
    let details = json!({
        "parent_model": "", "format": "gguf", "family": "llama", "families": ["llama"], "parameter_size": "3.2B",
        "quantization_level": "Q4_K_M",
    });
    let row = |name: &&str| {
        json!({
            "name": name, "model": name, "modified_at": CREATED, "size": 2_019_393_189_u64,
            "digest": "a80c4f17acd55265feec403c7aef86be0c25983ab279d83f3bcd3abbcb5b8b72", "details": details,
        })
    };
    json!({"models": MODELS.iter().map(row).collect::<Vec<_>>()})
}

fn error(_: &Caller, _: &Place, refuse: &Refuse) -> Value {
    let message = match refuse.status {
        StatusCode::UNAUTHORIZED => "unauthorized",
        StatusCode::NOT_FOUND => "model not found",
        StatusCode::SERVICE_UNAVAILABLE => "server busy, please try again.  maximum pending requests exceeded",
        _ => &refuse.message,
    };
    json!({"error": message})
}

fn line(model: &str, message: &Value, done: bool) -> Value {
    json!({"model": model, "created_at": CREATED, "message": message, "done": done})
}

/// The members that the last line has and the others have not.
fn end(turn: &Turn, line: &mut Value) {
    line["done_reason"] = if turn.stop == Stop::Length { "length" } else { "stop" }.into();
    for name in ["total_duration", "load_duration", "prompt_eval_duration", "eval_duration"] {
        line[name] = 1.into();
    }
    for (name, count) in [("prompt_eval_count", turn.usage.prompt), ("eval_count", turn.usage.completion)] {
        match turn.show {
            UsageMode::Absent => {}
            UsageMode::Null => line[name] = Value::Null,
            UsageMode::AsAsked | UsageMode::Present => line[name] = count.into(),
        }
    }
}

fn call(turn: &Turn, name: &str, number: u32, block: &Block) -> Value {
    let function = json!({"index": number, "name": name, "arguments": {"q": block.text()}});
    json!({"id": turn.call_id("call", number), "function": function})
}

// === impl Ollama ===

impl Voice for Ollama {
    fn whole(&self, turn: &Turn) -> Value {
        let (mut content, mut calls) = (String::new(), Vec::new());
        let mut message = Map::from_iter([("role".to_owned(), "assistant".into())]);
        for block in &turn.blocks {
            match &block.kind {
                Kind::Thought => drop(message.insert("thinking".into(), block.text().into())),
                Kind::Call { name, number } => calls.push(call(turn, name, *number, block)),
                Kind::Text { .. } | Kind::Refusal => content.push_str(&block.text()),
            }
        }
        message.insert("content".into(), content.into());
        if !calls.is_empty() {
            message.insert("tool_calls".into(), calls.into());
        }
        let mut answer = line(&turn.model, &Value::Object(message), true);
        end(turn, &mut answer);
        answer
    }

    fn step(&mut self, turn: &Turn, step: Step<'_>, out: &mut VecDeque<Piece>) {
        let (message, tokens) = match step {
            Step::Words(at, from, count) => match &at.block.kind {
                Kind::Thought => {
                    (json!({"role": "assistant", "content": "", "thinking": Turn::words(from, count)}), count)
                }
                // A call comes whole.
                Kind::Call { .. } => return,
                Kind::Text { .. } | Kind::Refusal => {
                    (json!({"role": "assistant", "content": Turn::words(from, count)}), count)
                }
            },
            Step::Close(at) => match &at.block.kind {
                Kind::Call { name, number } => {
                    let call = call(turn, name, *number, at.block);
                    (json!({"role": "assistant", "content": "", "tool_calls": [call]}), at.block.words)
                }
                _ => return,
            },
            Step::Done => {
                let mut last = line(&turn.model, &json!({"role": "assistant", "content": ""}), true);
                end(turn, &mut last);
                return out.push_back(Piece::new(None, last, 0));
            }
            Step::Start | Step::Open(_) | Step::Finish(_) => return,
        };
        out.push_back(Piece::new(None, line(&turn.model, &message, false), tokens));
    }

    fn error(&mut self, _: &Turn) -> Piece {
        Piece::new(None, json!({"error": "an error was encountered while running the model"}), 0)
    }

    fn framing(&self) -> Framing {
        Framing::Lines
    }
}
