//! A chat completion's request: its messages, written.
//!
//! OpenAI keeps its models' thoughts to itself and takes none back. Others want them, each in its own field,
//! which is an error for the rest (Groq and Mistral refuse a message with `reasoning_content`): the provider's
//! quirks say which.

use std::borrow::Cow;

use super::content::{name_of, note_cache, write_content};
use super::message::{CallPiece, write_call, write_redacted_detail, write_text_detail};
use crate::base::json::{ArrayWriter, ObjectWriter};
use crate::llm::chat::{Role, Turn};
use crate::llm::ids::CallIds;
use crate::llm::part::{ToolCall, ToolResult};
use crate::llm::{Content, Dropped, Format, Part, Quirk, Signature};
use crate::wire::fit::{fit_to, short};
use crate::wire::{Custom, custom};

/// The longest id of a call (OpenAI: "Expected a string with maximum length 40").
const MOST_ID: usize = 40;

/// What Google documents for a call that its API did not make (Gemini API, "Thought signatures", FAQ): it is not
/// validated.
const UNSIGNED: &str = "skip_thought_signature_validator";

/// Writes the messages of one request.
pub(super) struct Turns<'w> {
    ids: CallIds,
    quirks: &'w [Quirk],
    /// Tools whose calls have a text.
    custom: Custom,
    dropped: &'w mut Dropped,
}

// === impl Turns ===

impl<'w> Turns<'w> {
    pub(super) fn of(custom: Custom, quirks: &'w [Quirk], dropped: &'w mut Dropped) -> Self {
        Turns { ids: CallIds::default(), quirks, custom, dropped }
    }

    pub(super) fn write(&mut self, a: &mut ArrayWriter<'_>, turn: &Turn<'_>) {
        let role = match turn.role {
            // OpenAI reads both as what its newer models call the developer, and nobody else knows that word.
            Role::System | Role::Developer => "system",
            Role::Assistant => return self.write_assistant(a, turn),
            Role::User => "user",
        };
        let mut said = Vec::new();
        let mut shown = Vec::new();
        // Results answer the turn before, so they come first, whatever was said beside them.
        for part in &turn.parts {
            match &part.content {
                Content::ToolResult(result) => self.write_result(a, part, result, &mut shown),
                Content::Reasoning { .. } | Content::Redacted(_) | Content::ToolCall(_) => {
                    self.dropped.field("messages[].content[]");
                }
                _ => said.push(part),
            }
        }
        // A tool's message is text alone: what it shows is said by the user behind it.
        let all: Vec<&Part<'_>> = shown.into_iter().chain(said).collect();
        if all.is_empty() {
            return;
        }
        a.object(|o| {
            o.text("role", role);
            let between = (turn.role != Role::User).then_some("\n\n");
            write_content(o, &all, between, self.dropped);
            o.text_if("name", turn.name.as_deref());
        });
    }

    fn write_result<'p>(
        &mut self,
        a: &mut ArrayWriter<'_>,
        part: &Part<'_>,
        result: &'p ToolResult<'_>,
        shown: &mut Vec<&'p Part<'p>>,
    ) {
        note_cache(part, self.dropped);
        let texts: Vec<&Part<'_>> = result.parts.iter().filter(|part| part.as_text().is_some()).collect();
        shown.extend(result.parts.iter().filter(|part| matches!(part.content, Content::Media(_))));
        let id = legal(self.quirks, self.ids.result(result));
        a.object(|o| {
            o.text("role", "tool");
            o.text("tool_call_id", &id);
            match (&texts[..], result.is_error) {
                ([], false) => o.text("content", ""),
                ([], true) => o.text("content", "Error"),
                (texts, false) => write_content(o, texts, Some("\n"), self.dropped),
                // There is no flag for it; the model reads it all the same.
                (texts, true) => {
                    let said: String = texts.iter().filter_map(|part| part.as_text()).collect();
                    o.text("content", &["Error: ", &said].concat());
                }
            }
        });
    }

    fn write_assistant(&mut self, a: &mut ArrayWriter<'_>, turn: &Turn<'_>) {
        let mut said = Vec::new();
        let mut calls = Vec::new();
        for part in &turn.parts {
            match &part.content {
                Content::ToolCall(call) => {
                    note_cache(part, self.dropped);
                    calls.push(call);
                }
                Content::Reasoning { .. } | Content::Redacted(_) => {}
                Content::Text { citations, .. } => {
                    // An answer has `annotations`; a message that is sent has none (API reference "Chat", 2026).
                    if !citations.is_empty() {
                        self.dropped.field("messages[].annotations");
                    }
                    said.push(part);
                }
                Content::Refusal(_) => said.push(part),
                Content::Media(media) => self.dropped.field(name_of(media)),
                Content::ToolResult(_) => self.dropped.field("messages[].content[].tool_result"),
            }
        }
        if said.is_empty() && calls.is_empty() {
            if turn.parts.iter().any(|part| matches!(part.content, Content::Reasoning { .. } | Content::Redacted(_))) {
                self.dropped.field("messages[].reasoning");
            }
            return;
        }
        a.object(|o| {
            o.text("role", "assistant");
            if said.is_empty() {
                o.null("content");
            } else {
                write_content(o, &said, Some(""), self.dropped);
            }
            o.text_if("name", turn.name.as_deref());
            self.write_thoughts(o, turn, !calls.is_empty());
            if !calls.is_empty() {
                o.array("tool_calls", |a| self.write_calls(a, &calls));
            }
        });
    }

    fn write_calls(&mut self, a: &mut ArrayWriter<'_>, calls: &[&ToolCall<'_>]) {
        let takes_seals = self.quirks.contains(&Quirk::TakesThoughtSignatures);
        let is_own = |call: &ToolCall<'_>| call.signature.as_ref().is_some_and(|seal| seal.maker == Format::Gemini);
        // The first call of a step has the seal of all of them.
        let is_unsigned = takes_seals && !calls.iter().any(|call| is_own(call));
        let unsigned = Signature { maker: Format::Gemini, data: Cow::Borrowed(UNSIGNED) };
        for (at, call) in calls.iter().enumerate() {
            let id = legal(self.quirks, self.ids.call(call));
            let signature = call.signature.as_ref().filter(|_| takes_seals && is_own(call));
            if call.signature.is_some() && signature.is_none() {
                self.dropped.field("messages[].tool_calls[].extra_content");
            }
            let is_custom = self.custom.has(&call.name);
            let piece = CallPiece {
                id: Some(&id),
                name: Some(&call.name),
                arguments: match &*call.arguments {
                    text if is_custom => &custom::text_of(text),
                    "" => "{}",
                    arguments => arguments,
                },
                is_custom,
                signature: signature.or((is_unsigned && at == 0).then_some(&unsigned)),
            };
            write_call(a, None, &piece);
        }
    }

    /// What the model thought before it said or called something.
    fn write_thoughts(&mut self, o: &mut ObjectWriter<'_>, turn: &Turn<'_>, calls: bool) {
        let wants = self.quirks.contains(&Quirk::WantsReasoningContent);
        let takes = self.quirks.contains(&Quirk::TakesReasoning);
        let texts = turn.parts.iter().filter_map(|part| match &part.content {
            Content::Reasoning { text, .. } if !text.is_empty() => Some(&**text),
            _ => None,
        });
        let text: String = texts.collect();
        let seals = || {
            turn.parts.iter().filter_map(|part| match &part.content {
                Content::Reasoning { text, signature: Some(seal) } if !seal.data.is_empty() => {
                    Some((Some(&**text), seal))
                }
                Content::Redacted(seal) => Some((None, seal)),
                _ => None,
            })
        };
        match text.is_empty() {
            // Where there is none an empty one does.
            true if wants && calls => o.text("reasoning_content", ""),
            true => {}
            false if wants => o.text("reasoning_content", &text),
            false if takes => o.text("reasoning", &text),
            false => self.dropped.field("messages[].reasoning"),
        }
        let is_own = |seal: &Signature<'_>| takes && seal.maker == Format::Chat;
        if seals().any(|(_, seal)| !is_own(seal)) {
            self.dropped.field(if text.is_empty() { "messages[].reasoning" } else { "messages[].reasoning_details" });
        }
        if seals().any(|(_, seal)| is_own(seal)) {
            o.array("reasoning_details", |a| {
                for (text, seal) in seals().filter(|(_, seal)| is_own(seal)) {
                    match text {
                        Some(text) => write_text_detail(a, None, text, Some(seal)),
                        None => write_redacted_detail(a, None, seal),
                    }
                }
            });
        }
    }
}

/// An id that the provider takes; a call's and its result's are the same.
fn legal<'i>(quirks: &[Quirk], id: Cow<'i, str>) -> Cow<'i, str> {
    let is_short = quirks.contains(&Quirk::NineLetterIds);
    let legal = if is_short { short(&id) } else { fit_to(MOST_ID, &id) };
    match legal {
        Cow::Borrowed(_) => id,
        Cow::Owned(legal) => Cow::Owned(legal),
    }
}
