//! Chat completions: an answer as a document and as a stream of chunks, read to and written from the
//! canonical words.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::whole;
use crate::base::json::{self, Kind, Member, Span};
use crate::llm::reply::ToolCall;
use crate::llm::{Delta, Finish, Refusal, Reply, Usage};
use crate::wire::scan::Scan;
use crate::wire::{StreamCodec, StreamStart, Trim, sse};

/// Chat's streamed half.
pub(super) struct Chat;

/// The data of a stream's last event.
pub const DONE: &[u8] = b"[DONE]";

/// One chunk, as far as the canonical words go.
#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow, default)]
    id: Cow<'a, str>,
    #[serde(borrow, default)]
    model: Cow<'a, str>,
    #[serde(default)]
    created: u64,
    #[serde(borrow, default)]
    choices: Vec<ChunkChoice<'a>>,
}

#[derive(Deserialize)]
struct ChunkChoice<'a> {
    #[serde(default)]
    index: u64,
    #[serde(borrow, default)]
    delta: ChunkDelta<'a>,
    #[serde(borrow, default)]
    finish_reason: Option<Cow<'a, str>>,
}

#[derive(Deserialize, Default)]
struct ChunkDelta<'a> {
    #[serde(borrow, default)]
    role: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    content: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    reasoning_content: Option<Cow<'a, str>>,
    /// Some providers write `null` for none.
    #[serde(borrow, default)]
    tool_calls: Option<Vec<ChunkTool<'a>>>,
}

#[derive(Deserialize)]
struct ChunkTool<'a> {
    #[serde(default)]
    index: u32,
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    function: ChunkFunction<'a>,
}

#[derive(Deserialize, Default)]
struct ChunkFunction<'a> {
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    arguments: Option<Cow<'a, str>>,
}

/// A whole answer. Its message has the fields of a delta.
#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow, default)]
    id: Cow<'a, str>,
    #[serde(borrow, default)]
    model: Cow<'a, str>,
    #[serde(default)]
    created: u64,
    #[serde(borrow)]
    choices: Vec<DocumentChoice<'a>>,
}

#[derive(Deserialize)]
struct DocumentChoice<'a> {
    #[serde(borrow)]
    message: ChunkDelta<'a>,
    #[serde(borrow, default)]
    finish_reason: Option<Cow<'a, str>>,
}

/// `{"error":{"message","type","param","code"}}`.
pub(super) fn error(refusal: &Refusal) -> Vec<u8> {
    let value = json!({"error": {
        "message": refusal.message,
        "type": refusal.code.kind(),
        "param": refusal.param,
        "code": refusal.code.as_str(),
    }});
    value.to_string().into_bytes()
}

/// The data of the `error` event of the Responses API.
pub(super) fn responses_error(refusal: &Refusal) -> Vec<u8> {
    let value = json!({
        "type": "error",
        "code": refusal.code.as_str(),
        "message": refusal.message,
        "param": refusal.param,
    });
    value.to_string().into_bytes()
}

// === impl Chat ===

impl StreamCodec for Chat {
    fn read_event(&self, data: &[u8], out: &mut Vec<Delta>) -> bool {
        if data == DONE {
            out.push(Delta::End);
            return true;
        }
        // A comment or a ping.
        if data.is_empty() {
            return true;
        }
        let Ok(chunk) = serde_json::from_slice::<Chunk<'_>>(data) else { return false };
        let mut sayable = whole::is_sayable(data, &whole::CHUNK);
        for choice in chunk.choices {
            let finish = choice.finish_reason.as_deref();
            sayable &=
                choice.index == 0 && choice.delta.is_sayable() && finish.is_none_or(|word| read_finish(word).is_some());
            if choice.delta.role.is_some() {
                let (id, model) = (chunk.id.to_string(), chunk.model.to_string());
                out.push(Delta::Start { id, model, created: chunk.created });
            }
            read_choice(choice, out);
        }
        sayable
    }

    fn stream_id(&self, exchange: &str) -> String {
        format!("chatcmpl-{exchange}")
    }

    fn write_delta(&self, start: &StreamStart, delta: &Delta, out: &mut Vec<u8>) {
        let choice = match delta {
            Delta::Start { .. } => json!({"delta": {"role": "assistant", "content": ""}, "finish_reason": null}),
            Delta::Text(text) => json!({"delta": {"content": text}, "finish_reason": null}),
            Delta::Reasoning(text) => json!({"delta": {"reasoning_content": text}, "finish_reason": null}),
            Delta::ToolCall { index, id, name, arguments } => {
                let call = tool_piece(*index, id.as_deref(), name.as_deref(), arguments);
                json!({"delta": {"tool_calls": [call]}, "finish_reason": null})
            }
            Delta::Finish(finish) => json!({"delta": {}, "finish_reason": finish_word(*finish)}),
            Delta::Usage(usage) if start.usage => {
                let mut chunk = frame(start, json!([]));
                chunk.insert("usage".into(), usage_object(usage));
                return sse::write(out, None, Value::Object(chunk).to_string().as_bytes());
            }
            Delta::Usage(_) => return,
            Delta::End => return sse::write(out, None, DONE),
        };
        let mut indexed = json!({"index": 0});
        if let (Value::Object(into), Value::Object(from)) = (&mut indexed, choice) {
            into.extend(from);
        }
        let mut chunk = frame(start, json!([indexed]));
        if start.usage {
            chunk.insert("usage".into(), Value::Null);
        }
        sse::write(out, None, Value::Object(chunk).to_string().as_bytes());
    }

    fn write_end(&self, start: &StreamStart, finish: Finish, out: &mut Vec<u8>) {
        self.write_delta(start, &Delta::Finish(finish), out);
        self.write_delta(start, &Delta::End, out);
    }

    fn write_reply(&self, reply: &Reply, out: &mut Vec<u8>) {
        let mut message = json!({"role": "assistant", "content": reply.text, "refusal": null});
        if !reply.reasoning.is_empty() {
            message["reasoning_content"] = json!(reply.reasoning);
        }
        if !reply.tool_calls.is_empty() {
            if reply.text.is_empty() {
                message["content"] = Value::Null;
            }
            message["tool_calls"] = reply.tool_calls.iter().map(tool_call).collect();
        }
        let finish = reply.finish.map(finish_word);
        let mut value = json!({
            "id": reply.id, "object": "chat.completion", "created": reply.created, "model": reply.model,
            "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": finish}],
        });
        if let Some(usage) = &reply.usage {
            value["usage"] = usage_object(usage);
        }
        out.extend_from_slice(value.to_string().as_bytes());
    }

    fn read_reply(&self, body: &[u8]) -> Option<Reply> {
        let document = serde_json::from_slice::<Document<'_>>(body).ok()?;
        let [choice] = <[DocumentChoice<'_>; 1]>::try_from(document.choices).ok()?;
        let message = choice.message;
        if !whole::is_sayable(body, &whole::DOCUMENT) || !message.is_sayable() {
            return None;
        }
        let finish = match choice.finish_reason.as_deref() {
            Some(word) => Some(read_finish(word)?),
            None => None,
        };
        let tool = |call: ChunkTool<'_>| ToolCall {
            id: call.id.unwrap_or_default().into_owned(),
            name: call.function.name.unwrap_or_default().into_owned(),
            arguments: call.function.arguments.unwrap_or_default().into_owned(),
        };
        let mut scan = Scan::new();
        scan.push(body);
        Some(Reply {
            id: document.id.into_owned(),
            model: document.model.into_owned(),
            created: document.created,
            text: message.content.unwrap_or_default().into_owned(),
            reasoning: message.reasoning_content.unwrap_or_default().into_owned(),
            tool_calls: message.tool_calls.into_iter().flatten().map(tool).collect(),
            finish,
            usage: scan.seen().usage,
        })
    }

    fn trim(&self, data: &[u8]) -> Trim {
        let Ok(members) = json::object(data) else { return Trim::Keep };
        let Some(at) = members.iter().position(|member| member.key == "usage") else { return Trim::Keep };
        let choices = members.iter().find(|member| member.key == "choices");
        let no_choices = choices.is_some_and(|found| {
            found.kind == Kind::Array
                && data[found.value.start + 1..found.value.end - 1].iter().all(u8::is_ascii_whitespace)
        });
        // An error is nobody's usage, whatever stands beside it.
        let says_error = members.iter().any(|member| member.key == "error" && member.kind != Kind::Null);
        match members[at].kind {
            Kind::Object if no_choices && !says_error => Trim::Drop,
            Kind::Null => Trim::Cut(with_comma(&members, at)),
            _ => Trim::Keep,
        }
    }
}

// === impl ChunkDelta ===

impl ChunkDelta<'_> {
    /// See [`whole`]: what is written again is an assistant's message with function calls.
    fn is_sayable(&self) -> bool {
        let mut calls = self.tool_calls.iter().flatten();
        self.role.as_deref().is_none_or(|role| role == "assistant")
            && calls.all(|call| call.kind.as_deref().is_none_or(|kind| kind == "function"))
    }
}

/// A member and the comma that goes with it: the one behind it, or in front of the last one.
fn with_comma(members: &[Member<'_>], at: usize) -> Span {
    let member = &members[at];
    let before = at.checked_sub(1).and_then(|before| members.get(before));
    match (members.get(at + 1), before) {
        (Some(next), _) => Span { start: member.key_span.start, end: next.key_span.start },
        (None, Some(before)) => Span { start: before.value.end, end: member.value.end },
        (None, None) => Span { start: member.key_span.start, end: member.value.end },
    }
}

fn read_choice(choice: ChunkChoice<'_>, out: &mut Vec<Delta>) {
    if let Some(text) = choice.delta.reasoning_content.filter(|text| !text.is_empty()) {
        out.push(Delta::Reasoning(text.into_owned()));
    }
    if let Some(text) = choice.delta.content.filter(|text| !text.is_empty()) {
        out.push(Delta::Text(text.into_owned()));
    }
    for tool in choice.delta.tool_calls.into_iter().flatten() {
        out.push(Delta::ToolCall {
            index: tool.index,
            id: tool.id.map(Cow::into_owned),
            name: tool.function.name.map(Cow::into_owned),
            arguments: tool.function.arguments.unwrap_or_default().into_owned(),
        });
    }
    if let Some(word) = choice.finish_reason {
        out.extend(read_finish(&word).map(Delta::Finish));
    }
}

fn frame(start: &StreamStart, choices: Value) -> Map<String, Value> {
    let mut chunk = Map::new();
    chunk.insert("id".into(), json!(start.id));
    chunk.insert("object".into(), json!("chat.completion.chunk"));
    chunk.insert("created".into(), json!(start.created));
    chunk.insert("model".into(), json!(start.model));
    chunk.insert("choices".into(), choices);
    chunk
}

fn tool_piece(index: u32, id: Option<&str>, name: Option<&str>, arguments: &str) -> Value {
    let mut function = Map::new();
    if let Some(name) = name {
        function.insert("name".into(), json!(name));
    }
    function.insert("arguments".into(), json!(arguments));
    let mut call = json!({"index": index});
    if let Some(id) = id {
        call["id"] = json!(id);
        call["type"] = json!("function");
    }
    call["function"] = Value::Object(function);
    call
}

fn tool_call(call: &ToolCall) -> Value {
    json!({"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}})
}

fn finish_word(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "stop",
        Finish::Length => "length",
        Finish::ToolCalls => "tool_calls",
        Finish::ContentFilter => "content_filter",
    }
}

/// A word of a provider's own has no canonical one: it may even mean that the answer broke off.
fn read_finish(word: &str) -> Option<Finish> {
    match word {
        "stop" => Some(Finish::Stop),
        "length" => Some(Finish::Length),
        "tool_calls" => Some(Finish::ToolCalls),
        "content_filter" => Some(Finish::ContentFilter),
        _ => None,
    }
}

/// OpenAI counts cached and audio tokens inside the totals, so they are added back here.
fn usage_object(usage: &Usage) -> Value {
    json!({
        "prompt_tokens": usage.total_input(),
        "completion_tokens": usage.total_output(),
        "total_tokens": usage.total_input().saturating_add(usage.total_output()),
        "prompt_tokens_details": {"cached_tokens": usage.cache_read, "audio_tokens": usage.audio_in},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning, "audio_tokens": usage.audio_out},
    })
}
