//! The events of a `ConverseStream` read.

use std::borrow::Cow;

use super::{answer, cite, fault, names};
use crate::base::json::tree::Value;
use crate::base::json::{Kind, Tree};
use crate::llm::part::{Media, MediaKind, Source};
use crate::llm::{Delta, Dropped, Finish, Format, Signature};
use crate::wire::codec::{StreamReader, Unreadable};
use crate::wire::{frames, sse};

/// Calls of one stream; one that has more is not a real one.
const MOST_CALLS: usize = 1024;

/// The name of an exception of a stream that is not modelled.
const UNMODELLED: &str = "error";

/// Reads one stream.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// The blocks that are calls, in their order.
    calls: Vec<u64>,
    /// The image that the last block begins.
    image: Option<&'static str>,
    /// `messageStop` was seen.
    is_stopped: bool,
    is_over: bool,
}

// === impl Reader ===

impl StreamReader for Reader {
    fn read(&mut self, event: &sse::Event, out: &mut Vec<Delta>, dropped: &mut Dropped) -> Result<(), Unreadable> {
        if self.is_over || event.data.is_empty() && event.name.is_none() {
            return Ok(());
        }
        let name = std::str::from_utf8(event.name.as_deref().unwrap_or_default()).unwrap_or_default();
        let tree = Tree::read(&event.data);
        if frames::is_failure(name.as_bytes()) {
            let data = tree.as_ref().ok().map(Tree::root);
            out.push(Delta::Error(fault::read_in_stream(name, data)));
            self.is_over = true;
            return Ok(());
        }
        let tree = match tree {
            Ok(tree) if tree.root().kind() == Kind::Object => tree,
            _ => return Err(Unreadable("an event of the stream is no JSON object")),
        };
        let data = tree.root();
        match name {
            "messageStart" => {
                out.push(Delta::Start { id: String::new(), model: String::new(), created: 0, usage: None });
            }
            "contentBlockStart" => self.begin(data, out, dropped)?,
            "contentBlockDelta" => self.go_on(data, out, dropped)?,
            "contentBlockStop" => self.image = None,
            "messageStop" => self.stop(data, out, dropped),
            "metadata" => self.close(data, out, dropped),
            "" => return Err(Unreadable("a frame of the stream has no :event-type")),
            "initial-response" => {}
            other => match data.get(UNMODELLED) {
                Some(_) => {
                    out.push(Delta::Error(fault::read_in_stream(other, Some(data))));
                    self.is_over = true;
                }
                None => dropped.field(other.to_owned()),
            },
        }
        Ok(())
    }

    fn end(&mut self, out: &mut Vec<Delta>) {
        // Some that speak this format say no usage.
        if self.is_stopped && !self.is_over {
            out.push(Delta::End);
            self.is_over = true;
        }
    }
}

impl Reader {
    fn begin(&mut self, data: Value<'_, '_>, out: &mut Vec<Delta>, dropped: &mut Dropped) -> Result<(), Unreadable> {
        self.image = None;
        let start = data.get("start");
        for (key, value) in start.map(Value::members).into_iter().flatten().filter(|(_, value)| !value.is_null()) {
            match &*key {
                "toolUse" if value.get("type").is_none() => {
                    let text = |key: &str| value.get(key).and_then(Value::text);
                    let name = text("name").ok_or(Unreadable("a tool use of the stream has no name"))?;
                    let block = data.get("contentBlockIndex").and_then(Value::whole).unwrap_or_default();
                    if self.calls.len() == MOST_CALLS {
                        return Err(Unreadable("the stream has more than 1024 tool uses"));
                    }
                    let index = u32::try_from(self.calls.len()).unwrap_or(u32::MAX);
                    self.calls.push(block);
                    out.push(Delta::ToolCall {
                        choice: 0,
                        index,
                        id: text("toolUseId").map(Cow::into_owned),
                        name: Some(name.into_owned()),
                        arguments: String::new(),
                        signature: None,
                    });
                }
                "image" => {
                    let format = value.get("format").and_then(Value::text);
                    self.image = format.and_then(|format| names::mime(MediaKind::Image, &format));
                }
                other => dropped.inside("contentBlockStart.start.", other),
            }
        }
        Ok(())
    }

    fn go_on(&mut self, data: Value<'_, '_>, out: &mut Vec<Delta>, dropped: &mut Dropped) -> Result<(), Unreadable> {
        let delta = data.get("delta").ok_or(Unreadable("a contentBlockDelta has no delta"))?;
        for (key, value) in delta.members().filter(|(_, value)| !value.is_null()) {
            match &*key {
                "text" => {
                    let text = value.text().ok_or(Unreadable("a text of the stream is no string"))?;
                    if !text.is_empty() {
                        out.push(Delta::text(text));
                    }
                }
                "toolUse" => {
                    let block = data.get("contentBlockIndex").and_then(Value::whole).unwrap_or_default();
                    let arguments = value.get("input").and_then(Value::text).unwrap_or_default();
                    // A call that Bedrock's own tools make has no beginning here.
                    let Some(index) = self.calls.iter().rposition(|call| *call == block) else {
                        dropped.field("contentBlockDelta.delta.toolUse");
                        continue;
                    };
                    if !arguments.is_empty() {
                        out.push(Delta::ToolCall {
                            choice: 0,
                            index: u32::try_from(index).unwrap_or(u32::MAX),
                            id: None,
                            name: None,
                            arguments: arguments.into_owned(),
                            signature: None,
                        });
                    }
                }
                "reasoningContent" => think(value, out, dropped),
                "citation" => {
                    let citation = Box::new(cite::read(value, dropped).into_owned());
                    out.push(Delta::Citation { choice: 0, citation });
                }
                "image" => match value.get("source").and_then(|source| source.get("bytes")).and_then(Value::text) {
                    Some(bytes) => {
                        let media = Media {
                            kind: MediaKind::Image,
                            mime: self.image.map(Cow::Borrowed),
                            source: Source::Base64(Cow::Owned(bytes.into_owned())),
                            name: None,
                            detail: None,
                        };
                        out.push(Delta::Media { choice: 0, media: Box::new(media) });
                    }
                    None => dropped.field("contentBlockDelta.delta.image"),
                },
                other => dropped.inside("contentBlockDelta.delta.", other),
            }
        }
        Ok(())
    }

    fn stop(&mut self, data: Value<'_, '_>, out: &mut Vec<Delta>, dropped: &mut Dropped) {
        let finish = match data.get("stopReason").and_then(Value::text) {
            Some(reason) => answer::finish(&reason, dropped),
            None if self.calls.is_empty() => Finish::Stop,
            None => Finish::ToolCalls,
        };
        let fields = data.get("additionalModelResponseFields");
        let stop_sequence = fields.and_then(|fields| answer::stop_sequence(fields, dropped));
        out.push(Delta::Finish { choice: 0, finish, stop_sequence });
        self.is_stopped = true;
    }

    fn close(&mut self, data: Value<'_, '_>, out: &mut Vec<Delta>, dropped: &mut Dropped) {
        if data.get("trace").is_some() {
            dropped.field("trace");
        }
        out.extend(data.get("usage").and_then(answer::usage).map(Delta::Usage));
        if self.is_stopped {
            out.push(Delta::End);
            self.is_over = true;
        }
    }
}

fn think(value: Value<'_, '_>, out: &mut Vec<Delta>, dropped: &mut Dropped) {
    for (key, value) in value.members() {
        let Some(text) = value.text() else { continue };
        match &*key {
            "text" if text.is_empty() => {}
            "text" => out.push(Delta::Reasoning { choice: 0, text: text.into_owned() }),
            "signature" => {
                let signature = Signature::read(Format::Converse, text).into_owned();
                out.push(Delta::Signature { choice: 0, signature });
            }
            "redactedContent" => out.push(Delta::Redacted { choice: 0, data: names::seal(text).into_owned() }),
            other => dropped.inside("contentBlockDelta.delta.reasoningContent.", other),
        }
    }
}
