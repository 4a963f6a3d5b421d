//! An answer that came in one piece; a line of a stream is a piece of the same form.

use std::borrow::Cow;

use crate::base::json::tree::Value;
use crate::base::json::{ArrayWriter, Kind, ObjectWriter, write_array};
use crate::base::rfc3339;
use crate::llm::part::{Media, MediaKind, Source, ToolCall};
use crate::llm::reply::Choice;
use crate::llm::{Content, Dropped, Finish, Part, Reply, Usage};
use crate::wire::codec::Unreadable;

/// What one object says.
#[derive(Default)]
pub(super) struct Line<'a> {
    pub model: Cow<'a, str>,
    /// Seconds since the Unix epoch; 0 where it is not said.
    pub created: u64,
    pub has_message: bool,
    pub done: bool,
    pub reason: Option<Cow<'a, str>>,
    /// In the order in which they were thought, said and called.
    pub parts: Vec<Part<'a>>,
    /// As in OpenAI's `logprobs.content`.
    pub logprobs: Option<String>,
    pub usage: Option<Usage>,
}

pub(super) fn read(root: Value<'_, '_>, dropped: &mut Dropped) -> Result<Reply, Unreadable> {
    let line = Line::read(root, dropped);
    if !line.has_message {
        return Err(Unreadable("it has no message"));
    }
    if !line.done {
        return Err(Unreadable("it is not done"));
    }
    let calls = line.parts.iter().any(is_call);
    let choice = Choice {
        finish: line.finish(calls, dropped),
        parts: line.parts.into_iter().map(Part::into_owned).collect(),
        stop_sequence: None,
        logprobs: line.logprobs,
    };
    Ok(Reply {
        id: String::new(),
        model: line.model.into_owned(),
        created: line.created,
        choices: vec![choice],
        usage: line.usage,
        service_tier: None,
    })
}

pub(super) fn is_call(part: &Part<'_>) -> bool {
    matches!(part.content, Content::ToolCall(_))
}

// === impl Line ===

impl<'a> Line<'a> {
    pub(super) fn read(root: Value<'_, 'a>, dropped: &mut Dropped) -> Self {
        let mut line = Line::default();
        let (mut input, mut output) = (None, None);
        for (key, value) in root.members() {
            match &*key {
                "model" => line.model = value.text().unwrap_or_default(),
                "created_at" => line.created = value.text().and_then(|time| rfc3339::unix(&time)).unwrap_or(0),
                "message" => {
                    line.has_message = value.kind() == Kind::Object;
                    read_message(value, &mut line.parts, dropped);
                }
                "done" => line.done = value.flag() == Some(true),
                "done_reason" => line.reason = value.text().filter(|reason| !reason.is_empty()),
                "prompt_eval_count" => input = value.whole(),
                "eval_count" => output = value.whole(),
                "logprobs" => line.logprobs = read_logprobs(value),
                "total_duration" | "load_duration" | "prompt_eval_duration" | "eval_duration" => {}
                // Of a model that runs in Ollama's cloud.
                "remote_model" | "remote_host" => {}
                _ if value.is_empty() => {}
                other => dropped.field(other.to_owned()),
            }
        }
        // A prompt that was evaluated before is not counted again.
        if input.is_some() || output.is_some() {
            let (input, output) = (input.unwrap_or(0), output.unwrap_or(0));
            line.usage = Some(Usage { input, output, ..Usage::default() });
        }
        line
    }

    /// How the answer ended, if it did: there is no word for calls.
    pub(super) fn finish(&self, has_calls: bool, dropped: &mut Dropped) -> Option<Finish> {
        if !self.done {
            return None;
        }
        Some(match self.reason.as_deref() {
            Some("length") => Finish::Length,
            // The last two are those of a request that says nothing.
            None | Some("stop" | "load" | "unload") if has_calls => Finish::ToolCalls,
            None | Some("stop" | "load" | "unload") => Finish::Stop,
            Some(other) => {
                dropped.inside("done_reason ", other);
                Finish::Stop
            }
        })
    }
}

fn read_message<'a>(message: Value<'_, 'a>, out: &mut Vec<Part<'a>>, dropped: &mut Dropped) {
    let (mut said, mut shown, mut calls) = (None, Vec::new(), Vec::new());
    for (key, value) in message.members() {
        match &*key {
            "role" if value.text().is_none_or(|role| role == "assistant") => {}
            "content" => said = value.text().filter(|text| !text.is_empty()),
            "thinking" => {
                let text = value.text().filter(|text| !text.is_empty());
                out.extend(text.map(|text| Part::new(Content::Reasoning { text, signature: None })));
            }
            "images" => shown.extend(value.elements().filter_map(Value::text).map(image)),
            "tool_calls" => calls.extend(value.elements().map(|value| read_call(value, dropped))),
            _ if value.is_empty() => {}
            other => dropped.inside("message.", other),
        }
    }
    out.extend(said.map(Part::text));
    out.extend(shown);
    out.extend(calls.into_iter().map(Content::ToolCall).map(Part::new));
}

fn image(data: Cow<'_, str>) -> Part<'_> {
    let source = Source::Base64(data);
    Part::new(Content::Media(Media { kind: MediaKind::Image, mime: None, source, name: None, detail: None }))
}

fn read_call<'a>(value: Value<'_, 'a>, dropped: &mut Dropped) -> ToolCall<'a> {
    let mut call = ToolCall::default();
    for (key, value) in value.members() {
        match &*key {
            "id" => call.id = value.text().unwrap_or_default(),
            "type" if value.text().is_none_or(|kind| kind == "function") => {}
            "function" => {
                for (key, value) in value.members() {
                    match &*key {
                        "name" => call.name = value.text().unwrap_or_default(),
                        "arguments" if value.is_null() => {}
                        "arguments" => call.arguments = value.text().unwrap_or(Cow::Borrowed(value.raw())),
                        // Calls stand in their order.
                        "index" => {}
                        _ if value.is_empty() => {}
                        other => dropped.inside("message.tool_calls[].function.", other),
                    }
                }
            }
            _ if value.is_empty() => {}
            other => dropped.inside("message.tool_calls[].", other),
        }
    }
    call
}

/// Ollama's elements are OpenAI's but for what it leaves out.
fn read_logprobs(value: Value<'_, '_>) -> Option<String> {
    let mut out = Vec::new();
    write_array(&mut out, |a| value.elements().for_each(|token| write_logprob(a, token)));
    let text = String::from_utf8(out).ok()?;
    let inner = text.strip_prefix('[')?.strip_suffix(']')?;
    (!inner.is_empty()).then(|| inner.to_owned())
}

fn write_logprob(a: &mut ArrayWriter<'_>, token: Value<'_, '_>) {
    a.object(|o| {
        write_token(o, token);
        o.array("top_logprobs", |a| {
            let others = token.get("top_logprobs").into_iter().flat_map(Value::elements);
            others.for_each(|token| a.object(|o| write_token(o, token)));
        });
    });
}

fn write_token(o: &mut ObjectWriter<'_>, token: Value<'_, '_>) {
    let text = token.get("token").and_then(Value::text).unwrap_or_default();
    o.text("token", &text);
    o.raw("logprob", token.get("logprob").and_then(Value::number).unwrap_or("0"));
    match token.get("bytes") {
        Some(bytes) => o.raw("bytes", bytes.raw()),
        None => o.array("bytes", |a| text.bytes().for_each(|byte| a.raw(&byte.to_string()))),
    }
}
