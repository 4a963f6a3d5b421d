//! One completion, decided: how many words, which finish, which usage; and its JSON as OpenAI writes it.
//! The time of creation is fixed and the id follows from the request's `x-mock-id`, so that two
//! requests with the same label get the same bytes.

use std::io::Write;

use bytes::Bytes;

use super::body::Event;
use super::words::{self, WORD_BYTES};

/// Unix time at which everything was created.
pub(super) const CREATED: u64 = 1_700_000_000;

/// Which endpoint's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Chat,
    Text,
}

/// What to answer. `id` needs no escape in JSON; `model` and `tool` are JSON strings, quotes included.
#[derive(Clone)]
pub(super) struct Reply {
    pub(super) kind: Kind,
    pub(super) id: String,
    pub(super) model: String,
    pub(super) choices: u32,
    /// Words in each choice.
    pub(super) words: u64,
    pub(super) finish: &'static str,
    /// The function to call instead of saying something.
    pub(super) tool: Option<String>,
    pub(super) usage: Usage,
    pub(super) show: Show,
}

/// Whether the usage is in the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Show {
    Full,
    Null,
    Nothing,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usage {
    pub(super) prompt: u64,
    /// All words of all choices, and the reasoning.
    pub(super) completion: u64,
    pub(super) cached: u64,
    pub(super) reasoning: u64,
}

// === impl Reply ===

impl Reply {
    /// The whole answer as one event.
    pub(super) fn whole(&self) -> Event {
        let text = usize::try_from(self.words).unwrap_or(0) * WORD_BYTES + 512;
        let mut out = Vec::with_capacity(512 + text * self.choices as usize);
        let object = if self.kind == Kind::Chat { "chat.completion" } else { "text_completion" };
        let (id, model) = (&self.id, &self.model);
        // Writing to a Vec does not fail, here and below.
        let _ = write!(
            out,
            "{{\n  \"id\": \"{id}\",\n  \"object\": \"{object}\",\n  \"created\": {CREATED},\n  \"model\": {model},\n  \"choices\": [\n"
        );
        for choice in 0..self.choices {
            if choice > 0 {
                out.extend_from_slice(b",\n");
            }
            match (self.kind, &self.tool) {
                (Kind::Chat, tool) => self.message(&mut out, choice, tool.as_deref()),
                (Kind::Text, _) => self.text(&mut out, choice),
            }
        }
        out.extend_from_slice(b"\n  ]");
        if self.show != Show::Nothing {
            out.extend_from_slice(b",\n  \"usage\": ");
            self.write_usage(&mut out, true);
        }
        if self.kind == Kind::Chat {
            out.extend_from_slice(b",\n  \"service_tier\": \"default\",\n  \"system_fingerprint\": \"fp_mock\"");
        }
        out.extend_from_slice(b"\n}\n");
        Event { bytes: Bytes::from(out), tokens: self.usage.completion }
    }

    /// The id of the call that a choice makes.
    pub(super) fn call_id(&self, choice: u32) -> String {
        format!("call_{}_{choice}", self.id.strip_prefix("chatcmpl-").unwrap_or(&self.id))
    }

    fn message(&self, out: &mut Vec<u8>, choice: u32, tool: Option<&str>) {
        let _ = write!(
            out,
            "    {{\n      \"index\": {choice},\n      \"message\": {{\n        \"role\": \"assistant\",\n        \"content\": "
        );
        if let Some(name) = tool {
            let id = self.call_id(choice);
            let _ = write!(
                out,
                "null,\n        \"tool_calls\": [\n          {{\n            \"id\": \"{id}\",\n            \"type\": \"function\",\n            \"function\": {{\n              \"name\": {name},\n              \"arguments\": \"{{\\\"q\\\":\\\""
            );
            words::append(out, choice, 0, self.words);
            out.extend_from_slice(b"\\\"}\"\n            }\n          }\n        ],");
        } else {
            out.push(b'"');
            words::append(out, choice, 0, self.words);
            out.extend_from_slice(b"\",");
        }
        let finish = self.finish;
        let _ = write!(
            out,
            "\n        \"refusal\": null,\n        \"annotations\": []\n      }},\n      \"logprobs\": null,\n      \"finish_reason\": \"{finish}\"\n    }}"
        );
    }

    fn text(&self, out: &mut Vec<u8>, choice: u32) {
        out.extend_from_slice(b"    {\n      \"text\": \"");
        words::append(out, choice, 0, self.words);
        let finish = self.finish;
        let _ = write!(
            out,
            "\",\n      \"index\": {choice},\n      \"logprobs\": null,\n      \"finish_reason\": \"{finish}\"\n    }}"
        );
    }

    /// The usage object, or `null`; `pretty` as the value of a field of an indented object.
    pub(super) fn write_usage(&self, out: &mut Vec<u8>, pretty: bool) {
        if self.show != Show::Full {
            out.extend_from_slice(b"null");
            return;
        }
        let Usage { prompt, completion, cached, reasoning } = self.usage;
        let total = prompt + completion;
        let [a, b, s, end] = if pretty { ["\n    ", "\n      ", " ", "\n  "] } else { ["", "", "", ""] };
        let _ = write!(
            out,
            "{{{a}\"prompt_tokens\":{s}{prompt},{a}\"completion_tokens\":{s}{completion},{a}\"total_tokens\":{s}{total}"
        );
        if self.kind == Kind::Chat {
            let _ = write!(
                out,
                ",{a}\"prompt_tokens_details\":{s}{{{b}\"cached_tokens\":{s}{cached},{b}\"audio_tokens\":{s}0{a}}},\
                 {a}\"completion_tokens_details\":{s}{{{b}\"reasoning_tokens\":{s}{reasoning},{b}\"audio_tokens\":{s}0,\
                 {b}\"accepted_prediction_tokens\":{s}0,{b}\"rejected_prediction_tokens\":{s}0{a}}}"
            );
        }
        let _ = write!(out, "{end}}}");
    }
}
