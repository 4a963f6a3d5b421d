//! The messages of a request: a text, images beside it, and calls.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::base::json::{ArrayWriter, ObjectWriter};
use crate::llm::chat::{Role, Turn};
use crate::llm::part::{Media, MediaKind, Source, ToolCall, ToolResult};
use crate::llm::{Chat, Content, Dropped, Part};
use crate::wire::arguments;

/// What Ollama's templates put between messages of one side (`template/template.go`, `collate`).
const BETWEEN: &str = "\n\n";

/// The functions that were called, by the id of the call: a result says whose it is by the name.
pub(super) struct Names<'c>(HashMap<&'c str, &'c str>);

/// What is said at once.
#[derive(Default)]
struct Said<'p> {
    text: String,
    has_text: bool,
    images: Vec<&'p str>,
}

pub(super) fn write_turn(a: &mut ArrayWriter<'_>, turn: &Turn<'_>, names: &Names<'_>, dropped: &mut Dropped) {
    if turn.name.is_some() {
        dropped.field("messages[].name");
    }
    match turn.role {
        Role::Assistant => write_assistant(a, turn, dropped),
        Role::System | Role::Developer => {
            let mut said = Said::default();
            for part in &turn.parts {
                note_cache(part, dropped);
                match &part.content {
                    Content::Text { text, .. } | Content::Refusal(text) => said.push(text),
                    Content::Media(media) => dropped.field(media.kind.field()),
                    _ => dropped.field("messages[].content[]"),
                }
            }
            said.write(a, "system");
        }
        Role::User => write_user(a, turn, names, dropped),
    }
}

/// Results come first: they answer the turn before. Their images are the user's behind all of them.
fn write_user(a: &mut ArrayWriter<'_>, turn: &Turn<'_>, names: &Names<'_>, dropped: &mut Dropped) {
    let (mut aside, mut said) = (Said::default(), Said::default());
    for part in &turn.parts {
        note_cache(part, dropped);
        match &part.content {
            Content::ToolResult(result) => write_result(a, result, names, &mut aside, dropped),
            Content::Text { text, .. } | Content::Refusal(text) => said.push(text),
            Content::Media(media) => said.show(media, dropped),
            _ => dropped.field("messages[].content[]"),
        }
    }
    aside.images.append(&mut said.images);
    Said { images: aside.images, ..said }.write(a, "user");
}

fn write_result<'p>(
    a: &mut ArrayWriter<'_>,
    result: &'p ToolResult<'_>,
    names: &Names<'_>,
    aside: &mut Said<'p>,
    dropped: &mut Dropped,
) {
    let mut said = Said::default();
    for part in &result.parts {
        note_cache(part, dropped);
        match &part.content {
            Content::Text { text, .. } | Content::Refusal(text) => said.push(text),
            Content::Media(media) if media.kind == MediaKind::File => said.show(media, dropped),
            Content::Media(media) => aside.show(media, dropped),
            _ => dropped.field("messages[].content[]"),
        }
    }
    // There is no flag for it; the model reads it all the same.
    let text = match (result.is_error, said.text.is_empty()) {
        (true, true) => Cow::Borrowed("Error"),
        (true, false) => Cow::Owned(["Error: ", &said.text].concat()),
        (false, _) => Cow::Borrowed(&*said.text),
    };
    a.object(|o| {
        o.text("role", "tool");
        o.text("content", &text);
        o.text_if("tool_name", names.of(result));
        o.text_if("tool_call_id", Some(&*result.id).filter(|id| !id.is_empty()));
    });
}

fn write_assistant(a: &mut ArrayWriter<'_>, turn: &Turn<'_>, dropped: &mut Dropped) {
    let (mut text, mut thought, mut calls) = (String::new(), String::new(), Vec::new());
    for part in &turn.parts {
        note_cache(part, dropped);
        match &part.content {
            // A citation cuts the text; it goes on right behind.
            Content::Text { text: piece, citations } => {
                if !citations.is_empty() {
                    dropped.field("messages[].annotations");
                }
                text.push_str(piece);
            }
            Content::Refusal(piece) => text.push_str(piece),
            // Nobody seals thoughts here: a sealed one is another provider's.
            Content::Reasoning { text: piece, signature: None } => thought.push_str(piece),
            Content::Reasoning { .. } | Content::Redacted(_) => dropped.field("messages[].reasoning"),
            Content::ToolCall(call) => calls.push(call),
            Content::Media(media) => dropped.field(media.kind.field()),
            Content::ToolResult(_) => dropped.field("messages[].content[].tool_result"),
        }
    }
    let has_text = turn.parts.iter().any(|part| matches!(part.content, Content::Text { .. } | Content::Refusal(_)));
    if !has_text && thought.is_empty() && calls.is_empty() {
        return;
    }
    a.object(|o| {
        o.text("role", "assistant");
        o.text("content", &text);
        if !thought.is_empty() {
            o.text("thinking", &thought);
        }
        if !calls.is_empty() {
            o.array("tool_calls", |a| calls.iter().for_each(|call| write_call(a, call, dropped)));
        }
    });
}

fn write_call(a: &mut ArrayWriter<'_>, call: &ToolCall<'_>, dropped: &mut Dropped) {
    if call.signature.is_some() {
        dropped.field("messages[].tool_calls[].thought_signature");
    }
    a.object(|o| {
        o.text_if("id", Some(&*call.id).filter(|id| !id.is_empty()));
        o.object("function", |o| write_function(o, call));
    });
}

fn write_function(o: &mut ObjectWriter<'_>, call: &ToolCall<'_>) {
    o.text("name", &call.name);
    o.raw("arguments", &arguments::as_object(&call.arguments));
}

fn note_cache(part: &Part<'_>, dropped: &mut Dropped) {
    if part.cache.is_some() {
        dropped.field("cache_control");
    }
}

// === impl Names ===

impl<'c> Names<'c> {
    pub(super) fn read(chat: &'c Chat<'_>) -> Self {
        let calls = chat.turns.iter().flat_map(|turn| &turn.parts).filter_map(|part| match &part.content {
            Content::ToolCall(call) => Some((&*call.id, &*call.name)),
            _ => None,
        });
        Names(calls.filter(|(id, _)| !id.is_empty()).collect())
    }

    fn of<'r>(&'r self, result: &'r ToolResult<'_>) -> Option<&'r str> {
        result.name.as_deref().or_else(|| self.0.get(&*result.id).copied())
    }
}

// === impl Said ===

impl<'p> Said<'p> {
    fn push(&mut self, text: &str) {
        if !self.text.is_empty() && !text.is_empty() {
            self.text.push_str(BETWEEN);
        }
        self.text.push_str(text);
        self.has_text = true;
    }

    /// Images in base64 and documents that are text; Ollama fetches nothing.
    fn show(&mut self, media: &'p Media<'_>, dropped: &mut Dropped) {
        match (media.kind, &media.source) {
            (MediaKind::Image, Source::Base64(data)) => {
                self.images.push(data);
                if media.detail.as_deref().is_some_and(|detail| detail != "auto") {
                    dropped.field("messages[].content[].image_url.detail");
                }
            }
            (MediaKind::File, Source::Text(text)) => {
                self.push(text);
                if media.name.is_some() {
                    dropped.field("messages[].content[].file.filename");
                }
            }
            (kind, _) => dropped.field(kind.field()),
        }
    }

    fn write(&self, a: &mut ArrayWriter<'_>, role: &str) {
        if !self.has_text && self.images.is_empty() {
            return;
        }
        a.object(|o| {
            o.text("role", role);
            o.text("content", &self.text);
            if !self.images.is_empty() {
                o.array("images", |a| self.images.iter().for_each(|image| a.text(image)));
            }
        });
    }
}
