//! OpenAI's responses: one message of a few words, whole or as events. What is asked for is its model and
//! whether it streams; a stream is written in one piece.

use http::StatusCode;
use serde_json::{Value, json};

use super::body::{Event, Source};
use super::openai::{Answer, Caller, JSON, Refuse, SSE};
use super::reply::CREATED;
use crate::llm::{Dialect, Operation};
use crate::wire::fields;

const WORDS: [&str; 3] = ["Water", " flows", "."];

// === impl Caller ===

impl Caller<'_> {
    /// Answers `/responses`. Without a body (an early answer) it speaks for the model `mock`.
    pub(super) fn responses(&self, body: Option<&[u8]>) -> Answer {
        let read = body.map(|body| fields::read(Dialect::OpenAi, Operation::Responses, body)).transpose();
        let call = match read {
            Ok(read) => read.map(|fields| fields.call),
            Err(refusal) => return self.refuse(&Refuse::bad(refusal.message, None), None, false),
        };
        let (model, stream) = call.as_ref().map_or(("mock", false), |call| (&*call.model, call.stream));
        if let Some(status) = self.program.error() {
            return self.refuse(&status.into(), Some(model), stream);
        }
        let status = self.program.status.unwrap_or(StatusCode::OK);
        let id = self.id("resp");
        let served = self.program.model.as_deref().unwrap_or(model);
        let ticket = Some(self.open(status, Some(model), stream, 9));
        let (content_type, text) = match stream {
            true => (SSE, events(&id, served)),
            false => (JSON, response(&id, served, "completed").to_string()),
        };
        let event = Event { bytes: text.into(), tokens: WORDS.len() as u64 };
        Answer { status, content_type, source: Source::Whole(Some(event)), ticket }
    }
}

fn message() -> Value {
    let text = json!({"type": "output_text", "text": WORDS.concat(), "annotations": []});
    json!({"type": "message", "id": "msg_mock", "status": "completed", "role": "assistant", "content": [text]})
}

/// The response as it is when it has just begun (`in_progress`), and when it is `completed`.
fn response(id: &str, model: &str, status: &str) -> Value {
    let mut response = json!({
        "id": id, "object": "response", "created_at": CREATED, "status": status, "error": null,
        "incomplete_details": null, "instructions": null, "model": model, "output": [], "parallel_tool_calls": true,
        "tool_choice": "auto", "tools": [], "temperature": 1.0, "top_p": 1.0, "metadata": {}, "usage": null,
    });
    if status == "completed" {
        response["output"] = json!([message()]);
        response["usage"] = json!({
            "input_tokens": 9, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": WORDS.len(),
            "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 9 + WORDS.len(),
        });
    }
    response
}

fn events(id: &str, model: &str) -> String {
    let delta = |word: &&str| {
        json!({"type": "response.output_text.delta", "item_id": "msg_mock", "output_index": 0, "content_index": 0,
               "delta": word, "logprobs": []})
    };
    let text = WORDS.concat();
    let done = json!({"type": "response.output_text.done", "item_id": "msg_mock", "output_index": 0,
                      "content_index": 0, "text": text, "logprobs": []});
    let mut all = vec![json!({"type": "response.created", "response": response(id, model, "in_progress")})];
    all.extend(WORDS.iter().map(delta));
    all.push(done);
    all.push(json!({"type": "response.completed", "response": response(id, model, "completed")}));
    let write = |(number, mut event): (usize, Value)| {
        event["sequence_number"] = number.into();
        format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap_or_default())
    };
    all.into_iter().enumerate().map(write).collect()
}
