//! One completion, decided: how many words, which finish, which usage; and its JSON as OpenAI writes it.
//! The time of creation is fixed and the id follows from the request's `x-mock-id`, so that two
//! requests with the same label get the same bytes.

use std::io::Write;

use bytes::Bytes;

use super::body::Event;
use super::words::{self, WORD_BYTES};

/// Unix time at which everything was created.
pub(super) const CREATED: u64 = 1_700_000_000;

/// What stands in `annotations` where a citation is ordered.
const ANNOTATIONS: &str = r#"[{"type":"url_citation","url_citation":{"start_index":1,"end_index":5,"url":"https://example.com/source","title":"Source"}}]"#;

/// Which endpoint's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Chat,
    Text,
}

/// What to answer. `id` needs no escape in JSON; `model` and `calls` are JSON strings, quotes included.
#[derive(Clone)]
pub(super) struct Reply {
    pub(super) kind: Kind,
    pub(super) id: String,
    pub(super) model: String,
    pub(super) choices: u32,
    /// Words in each choice.
    pub(super) words: u64,
    pub(super) finish: &'static str,
    /// The functions to call at once instead of saying something, each with so many words.
    pub(super) calls: Vec<String>,
    /// What is said is a refusal.
    pub(super) refusal: bool,
    /// A citation stands behind the text.
    pub(super) cited: bool,
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
            match self.kind {
                Kind::Chat => self.message(&mut out, choice),
                Kind::Text => self.text(&mut out, choice),
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

    /// The id of a call that a choice makes.
    pub(super) fn call_id(&self, choice: u32, call: usize) -> String {
        let label = self.id.strip_prefix("chatcmpl-").unwrap_or(&self.id);
        if call == 0 { format!("call_{label}_{choice}") } else { format!("call_{label}_{choice}_{call}") }
    }

    /// What stands in `annotations`.
    pub(super) fn annotations(&self) -> &'static str {
        if self.cited { ANNOTATIONS } else { "[]" }
    }

    fn message(&self, out: &mut Vec<u8>, choice: u32) {
        let _ = write!(
            out,
            "    {{\n      \"index\": {choice},\n      \"message\": {{\n        \"role\": \"assistant\",\n        \"content\": "
        );
        let mut said = Vec::new();
        words::append(&mut said, choice, 0, self.words);
        if self.calls.is_empty() && !self.refusal {
            out.push(b'"');
            out.extend_from_slice(&said);
            out.extend_from_slice(b"\",");
        } else {
            out.extend_from_slice(b"null,");
        }
        for (call, name) in self.calls.iter().enumerate() {
            let (id, before) =
                (self.call_id(choice, call), if call == 0 { "\n        \"tool_calls\": [" } else { "," });
            let _ = write!(
                out,
                "{before}\n          {{\n            \"id\": \"{id}\",\n            \"type\": \"function\",\n            \"function\": {{\n              \"name\": {name},\n              \"arguments\": \"{{\\\"q\\\":\\\""
            );
            out.extend_from_slice(&said);
            out.extend_from_slice(b"\\\"}\"\n            }\n          }");
        }
        if !self.calls.is_empty() {
            out.extend_from_slice(b"\n        ],");
        }
        out.extend_from_slice(b"\n        \"refusal\": ");
        if self.refusal {
            out.push(b'"');
            out.extend_from_slice(&said);
            out.push(b'"');
        } else {
            out.extend_from_slice(b"null");
        }
        let (finish, annotations) = (self.finish, self.annotations());
        let _ = write!(
            out,
            ",\n        \"annotations\": {annotations}\n      }},\n      \"logprobs\": null,\n      \"finish_reason\": \"{finish}\"\n    }}"
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
