//! Bedrock's Converse and ConverseStream: how a turn is said. What a request must hold is [`super::rules`].
//!
//! The answers follow `ConverseResponse` and `ConverseStreamOutput` of the service model (Bedrock Runtime
//! 2023-09-30, <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html> and
//! `API_runtime_ConverseStream.html`). `inputTokens` leaves cached tokens out and `totalTokens` has them
//! (<https://docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html>). A text has no
//! `contentBlockStart`; a thought ends with its signature, and a redacted one follows it.

use std::collections::VecDeque;

use serde_json::{Value, json};

use super::super::codec::base64;
use super::super::program::UsageMode;
use super::frames::{At, Framing, Piece, Step, Voice};
use super::turn::{CITED_TITLE, CITED_URL, Kind, Stop, Turn};

/// Says turns as Converse does.
#[derive(Default)]
pub(super) struct Converse {
    /// Number of the block that is open in the stream: a thought takes two.
    index: u64,
}

/// What a thought is signed with.
pub(super) const SIGNATURE: &str = "bW9jay1zaWduYXR1cmU=";
/// Nothing takes time.
const LATENCY: u64 = 1;

// === impl Converse ===

impl Converse {
    fn piece(&self, name: &'static str, mut data: Value, tokens: u64) -> Piece {
        data["contentBlockIndex"] = self.index.into();
        Piece::new(Some(name), data, tokens)
    }

    fn delta(&self, delta: &Value, tokens: u64) -> Piece {
        // Every event is padded with so many letters that its length tells nothing of the text.
        self.piece("contentBlockDelta", json!({"delta": delta, "p": "abcdefghijklm"}), tokens)
    }

    fn open(&self, turn: &Turn, at: At<'_>, out: &mut VecDeque<Piece>) {
        if let Kind::Call { name, number } = &at.block.kind {
            let tool = json!({"toolUse": {"toolUseId": turn.call_id("tooluse", *number), "name": name}});
            out.push_back(self.piece("contentBlockStart", json!({"start": tool}), 0));
            out.push_back(self.delta(&json!({"toolUse": {"input": "{\"q\":\""}}), 0));
        }
    }

    fn close(&mut self, at: At<'_>, out: &mut VecDeque<Piece>) {
        match &at.block.kind {
            Kind::Thought => {
                out.push_back(self.delta(&json!({"reasoningContent": {"signature": SIGNATURE}}), 0));
                out.push_back(self.piece("contentBlockStop", json!({}), 0));
                self.index += 1;
                out.push_back(self.delta(&json!({"reasoningContent": {"redactedContent": redacted()}}), 0));
            }
            Kind::Text { cited: true } => out.push_back(self.delta(&json!({"citation": citation()}), 0)),
            Kind::Call { .. } => out.push_back(self.delta(&json!({"toolUse": {"input": "\"}"}}), 0)),
            Kind::Text { .. } | Kind::Refusal => {}
        }
        out.push_back(self.piece("contentBlockStop", json!({}), 0));
        self.index += 1;
    }
}

impl Voice for Converse {
    fn whole(&self, turn: &Turn) -> Value {
        let content: Vec<Value> =
            turn.blocks.iter().flat_map(|block| blocks(turn, &block.kind, &block.text())).collect();
        let mut answer = json!({
            "output": {"message": {"role": "assistant", "content": content}},
            "stopReason": stop(turn.stop),
            "metrics": {"latencyMs": LATENCY},
        });
        put_usage(&mut answer, turn);
        answer
    }

    fn step(&mut self, turn: &Turn, step: Step<'_>, out: &mut VecDeque<Piece>) {
        match step {
            Step::Start => {
                let start = json!({"role": "assistant", "p": "abcdefg"});
                out.push_back(Piece::new(Some("messageStart"), start, 0));
            }
            Step::Open(at) => self.open(turn, at, out),
            Step::Words(at, from, count) => {
                let words = Turn::words(from, count);
                let delta = match &at.block.kind {
                    Kind::Thought => json!({"reasoningContent": {"text": words}}),
                    Kind::Call { .. } => json!({"toolUse": {"input": words}}),
                    Kind::Text { .. } | Kind::Refusal => json!({"text": words}),
                };
                out.push_back(self.delta(&delta, count));
            }
            Step::Close(at) => self.close(at, out),
            Step::Finish(_) => {
                let stop = json!({"stopReason": stop(turn.stop), "p": "abcdefghijk"});
                out.push_back(Piece::new(Some("messageStop"), stop, 0));
            }
            Step::Done => {
                let mut metadata = json!({"metrics": {"latencyMs": LATENCY}, "p": "abc"});
                put_usage(&mut metadata, turn);
                out.push_back(Piece::new(Some("metadata"), metadata, 0));
            }
        }
    }

    fn error(&mut self, _: &Turn) -> Piece {
        failure()
    }

    fn framing(&self) -> Framing {
        Framing::EventStream
    }
}

/// The exception that ends a stream of either operation.
pub(super) fn failure() -> Piece {
    let message = "The system encountered an unexpected error during processing. Try your request again.";
    let data = json!({"message": message, "originalStatusCode": 500, "originalMessage": "Internal server error"});
    Piece::new(Some("modelStreamErrorException"), data, 0)
}

/// A block as elements of `content`.
fn blocks(turn: &Turn, kind: &Kind, text: &str) -> Vec<Value> {
    match kind {
        Kind::Thought => vec![
            json!({"reasoningContent": {"reasoningText": {"text": text, "signature": SIGNATURE}}}),
            json!({"reasoningContent": {"redactedContent": redacted()}}),
        ],
        Kind::Text { cited: true } => {
            let mut citation = citation();
            citation["sourceContent"] = json!([{"text": CITED_TITLE}]);
            vec![json!({"citationsContent": {"content": [{"text": text}], "citations": [citation]}})]
        }
        Kind::Text { .. } | Kind::Refusal => vec![json!({"text": text})],
        Kind::Call { name, number } => {
            let id = turn.call_id("tooluse", *number);
            vec![json!({"toolUse": {"toolUseId": id, "name": name, "input": {"q": text}}})]
        }
    }
}

fn redacted() -> String {
    base64(b"mock-redacted-thought")
}

fn citation() -> Value {
    let domain = CITED_URL.split('/').nth(2).unwrap_or_default();
    json!({
        "title": CITED_TITLE, "source": CITED_URL, "sourceContent": [{"text": CITED_TITLE}],
        "location": {"web": {"url": CITED_URL, "domain": domain}},
    })
}

fn stop(stop: Stop) -> &'static str {
    match stop {
        Stop::End => "end_turn",
        Stop::Length => "max_tokens",
        Stop::Call => "tool_use",
        Stop::Refusal => "content_filtered",
    }
}

fn put_usage(answer: &mut Value, turn: &Turn) {
    let usage = turn.usage;
    let full = json!({
        "inputTokens": usage.prompt - usage.cached, "outputTokens": usage.completion,
        "totalTokens": usage.prompt + usage.completion,
        "cacheReadInputTokens": usage.cached, "cacheWriteInputTokens": 0,
    });
    match turn.show {
        UsageMode::Absent => {}
        UsageMode::Null => answer["usage"] = Value::Null,
        UsageMode::AsAsked | UsageMode::Present => answer["usage"] = full,
    }
}
