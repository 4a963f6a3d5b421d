//! A chat completion's stream of chunks, read.

use super::DONE;
use super::error::read_error;
use super::message::{read_annotation, read_call, read_details, read_finish, read_image, read_logprobs};
use crate::base::json::Tree;
use crate::base::json::tree::Value;
use crate::llm::part::Content;
use crate::llm::{Delta, Dropped, FaultKind};
use crate::wire::codec::{StreamReader, Unreadable};
use crate::wire::{scan, sse};

/// Calls of all choices that are told apart; a stream that names more is not a real one.
const MAX_CALLS: usize = 1024;

/// Characters of a call's id by which it is told from others.
const ID: usize = 256;

/// Reads the chunks of one stream.
#[derive(Default)]
pub(super) struct Reader {
    started: bool,
    /// The calls so far: of which choice, the provider's index, its id.
    calls: Vec<Known>,
    /// Choices that were begun, and whether they are finished.
    choices: Vec<(u32, bool)>,
    ended: bool,
}

/// Choices whose ends are looked for.
const MAX_CHOICES: usize = 128;

struct Known {
    choice: u32,
    theirs: u64,
    ours: u32,
    id: String,
}

impl StreamReader for Reader {
    fn read(&mut self, event: &sse::Event, out: &mut Vec<Delta>, dropped: &mut Dropped) -> Result<(), Unreadable> {
        if event.data == DONE {
            self.ended = true;
            out.push(Delta::End);
            return Ok(());
        }
        // A comment or a ping.
        if event.data.is_empty() {
            return Ok(());
        }
        let tree = Tree::read(&event.data).map_err(|_| Unreadable("an event of its stream is no JSON"))?;
        let root = tree.root();
        if let Some(error) = root.get("error") {
            out.push(Delta::Error(read_error(error, FaultKind::Server)));
            return Ok(());
        }
        let choices = root.get("choices").ok_or(Unreadable("an event of its stream has no choices"))?;
        self.read_top(root, out, dropped);
        for choice in choices.elements() {
            self.read_choice(choice, out, dropped);
        }
        let usage = root.get("usage").or_else(|| root.get("x_groq")?.get("usage"));
        out.extend(usage.and_then(|usage| scan::read_usage(usage.raw())).map(Delta::Usage));
        Ok(())
    }

    /// Some who imitate OpenAI close without `[DONE]`.
    fn end(&mut self, out: &mut Vec<Delta>) {
        let is_whole = !self.choices.is_empty() && self.choices.iter().all(|(_, finished)| *finished);
        if is_whole && !std::mem::replace(&mut self.ended, true) {
            out.push(Delta::End);
        }
    }
}

// === impl Reader ===

impl Reader {
    fn read_top(&mut self, root: Value<'_, '_>, out: &mut Vec<Delta>, dropped: &mut Dropped) {
        let (mut id, mut model, mut created) = (String::new(), String::new(), 0);
        for (key, value) in root.members() {
            match &*key {
                "id" if !self.started => id = value.text().unwrap_or_default().into_owned(),
                "model" if !self.started => model = value.text().unwrap_or_default().into_owned(),
                "created" if !self.started => created = value.whole().unwrap_or(0),
                "id" | "model" | "created" | "choices" | "usage" => {}
                "x_groq" if value.members().all(|(key, _)| matches!(&*key, "id" | "seed" | "usage")) => {}
                "object" | "system_fingerprint" | "service_tier" | "obfuscation" | "provider" => {}
                "prompt_filter_results" => {}
                _ if value.is_empty() => {}
                other => dropped.field(other.to_owned()),
            }
        }
        if !std::mem::replace(&mut self.started, true) {
            out.push(Delta::Start { id, model, created, usage: None });
        }
    }

    fn read_choice(&mut self, value: Value<'_, '_>, out: &mut Vec<Delta>, dropped: &mut Dropped) {
        let index = value.get("index").and_then(Value::whole).unwrap_or(0);
        let choice = u32::try_from(index).unwrap_or(u32::MAX);
        let known = self.choices.iter().position(|(known, _)| *known == choice);
        let known = known.or_else(|| {
            (self.choices.len() < MAX_CHOICES).then(|| {
                self.choices.push((choice, false));
                self.choices.len() - 1
            })
        });
        for (key, value) in value.members() {
            match &*key {
                "delta" => self.read_delta(choice, value, out, dropped),
                "logprobs" => out.extend(read_logprobs(value).map(|tokens| Delta::Logprobs { choice, tokens })),
                "index" | "finish_reason" | "native_finish_reason" => {}
                _ if value.is_empty() => {}
                other => dropped.inside("choices[].", other),
            }
        }
        let Some(word) = value.get("finish_reason").and_then(Value::text) else { return };
        if let Some((_, finished)) = known.and_then(|at| self.choices.get_mut(at)) {
            *finished = true;
        }
        match read_finish(&word) {
            Some(finish) => out.push(Delta::Finish { choice, finish, stop_sequence: None }),
            // A word of a provider's own may even mean that the answer broke off.
            None => dropped.inside("choices[].finish_reason ", &word),
        }
    }

    fn read_delta(&mut self, choice: u32, delta: Value<'_, '_>, out: &mut Vec<Delta>, dropped: &mut Dropped) {
        let has_details = delta.get("reasoning_details").is_some();
        for (key, value) in delta.members() {
            match &*key {
                "role" if value.text().is_none_or(|role| role == "assistant") => {}
                "content" => {
                    if let Some(text) = value.text().filter(|text| !text.is_empty()) {
                        out.push(Delta::Text { choice, text: text.into_owned() });
                    }
                    // Mistral's, where its models think.
                    for part in value.elements() {
                        push_part(choice, part, out, dropped);
                    }
                }
                "reasoning_content" | "reasoning" if !has_details => {
                    if let Some(text) = value.text().filter(|text| !text.is_empty()) {
                        out.push(Delta::Reasoning { choice, text: text.into_owned() });
                    }
                }
                "reasoning_content" | "reasoning" => {}
                "reasoning_details" => push_details(choice, value, out),
                "refusal" => {
                    let text = value.text().filter(|text| !text.is_empty());
                    out.extend(text.map(|text| Delta::Refusal { choice, text: text.into_owned() }));
                }
                "tool_calls" => {
                    for call in value.elements() {
                        self.read_call(choice, call, out, dropped);
                    }
                }
                "annotations" => {
                    for value in value.elements() {
                        match read_annotation(value) {
                            Some(citation) => {
                                let citation = Box::new(citation.into_owned());
                                out.push(Delta::Citation { choice, citation });
                            }
                            None => dropped.field("choices[].delta.annotations"),
                        }
                    }
                }
                "images" => {
                    let images = value.elements().filter_map(read_image);
                    out.extend(images.map(|media| Delta::Media { choice, media: Box::new(media.into_owned()) }));
                }
                _ if value.is_empty() => {}
                other => dropped.inside("choices[].delta.", other),
            }
        }
    }

    fn read_call(&mut self, choice: u32, value: Value<'_, '_>, out: &mut Vec<Delta>, dropped: &mut Dropped) {
        let read = read_call(value, "choices[].delta.tool_calls[].", dropped);
        let theirs = read.index.unwrap_or(0);
        let call = read.call.into_owned();
        let known = self.calls.iter().rposition(|known| known.choice == choice && known.theirs == theirs);
        // Some number every call 0: another id with another name is another call.
        let known = known.filter(|&at| !(read.has_id && read.has_name && self.calls[at].id != short(&call.id)));
        let is_new = known.is_none();
        let ours = match known {
            Some(at) => self.calls[at].ours,
            None => {
                let ours = self.calls.iter().filter(|known| known.choice == choice).count();
                if self.calls.len() >= MAX_CALLS {
                    return dropped.field("choices[].delta.tool_calls[]");
                }
                let ours = u32::try_from(ours).unwrap_or(u32::MAX);
                self.calls.push(Known { choice, theirs, ours, id: short(&call.id).to_owned() });
                ours
            }
        };
        out.push(Delta::ToolCall {
            choice,
            index: ours,
            id: (is_new && read.has_id).then(|| call.id.into_owned()),
            name: (is_new && read.has_name).then(|| call.name.into_owned()),
            arguments: call.arguments.into_owned(),
            signature: call.signature,
        });
    }
}

/// An element of a content that is a list.
fn push_part(choice: u32, part: Value<'_, '_>, out: &mut Vec<Delta>, dropped: &mut Dropped) {
    let text = |value: Value<'_, '_>| value.get("text").and_then(Value::text).map(|text| text.into_owned());
    match part.get("type").and_then(Value::text).as_deref() {
        Some("text") => out.extend(text(part).map(|text| Delta::Text { choice, text })),
        Some("thinking") => {
            let thoughts = part.get("thinking").into_iter().flat_map(Value::elements).filter_map(text);
            out.extend(thoughts.map(|text| Delta::Reasoning { choice, text }));
        }
        other => dropped.inside("choices[].delta.content[].", other.unwrap_or("type")),
    }
}

fn short(id: &str) -> &str {
    id.char_indices().nth(ID).and_then(|(end, _)| id.get(..end)).unwrap_or(id)
}

fn push_details(choice: u32, value: Value<'_, '_>, out: &mut Vec<Delta>) {
    let mut parts = Vec::new();
    read_details(value, &mut parts);
    for part in parts {
        match part.into_owned().content {
            Content::Reasoning { text, signature } => {
                if !text.is_empty() {
                    out.push(Delta::Reasoning { choice, text: text.into_owned() });
                }
                out.extend(signature.map(|signature| Delta::Signature { choice, signature }));
            }
            Content::Redacted(data) => out.push(Delta::Redacted { choice, data }),
            _ => {}
        }
    }
}
