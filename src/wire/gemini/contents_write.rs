//! `contents` and `systemInstruction` of a request, written.

use std::borrow::Cow;
use std::collections::HashMap;

use super::media::{self, Sayable};
use super::{models, seal};
use crate::base::json::{ArrayWriter, Kind, ObjectWriter, Tree};
use crate::llm::chat::{Role, Turn};
use crate::llm::part::{Media, MediaKind, Source, ToolCall, ToolResult};
use crate::llm::{Chat, Content, Dropped, Format, Part, Signature};
use crate::wire::codec::{Envelope, Outgoing};

/// What a part will hold.
enum Data<'c> {
    Text(&'c str),
    Thought(&'c str),
    Media(Sayable<'c>),
    Call(&'c ToolCall<'c>),
    Result(&'c ToolResult<'c>, Vec<Sayable<'c>>),
}

struct Planned<'c> {
    data: Data<'c>,
    signature: Option<&'c str>,
}

/// Stands for the word that a call follows on, where a history begins with the call.
const NOBODY: &str = "-";

/// What an answer's only member says (REST reference, `FunctionResponse.response`).
const WORDS: [&str; 3] = ["result", "output", "error"];

/// Writes what the sides said.
pub(super) struct Contents<'c> {
    chat: &'c Chat<'c>,
    /// There calls have no ids (`v1`), and AI Studio's uploads are not known.
    is_vertex: bool,
    wants_signatures: bool,
    media_in_results: bool,
    /// Of calls, by their ids: an answer must name its function.
    names: HashMap<&'c str, &'c str>,
}

// === impl Contents ===

impl<'c> Contents<'c> {
    pub fn new(chat: &'c Chat<'c>, to: &Outgoing<'_>) -> Self {
        let calls = chat.turns.iter().flat_map(|turn| &turn.parts).filter_map(|part| match &part.content {
            Content::ToolCall(call) if !call.id.is_empty() => Some((&*call.id, &*call.name)),
            _ => None,
        });
        Contents {
            chat,
            is_vertex: to.envelope == Envelope::Vertex,
            wants_signatures: models::wants_signatures(to.model),
            media_in_results: models::takes_media_in_results(to.model),
            names: calls.collect(),
        }
    }

    /// Writes one content for each turn that says something; false where none does.
    pub fn write(&self, a: &mut ArrayWriter<'_>, dropped: &mut Dropped) -> bool {
        for turn in self.chat.talk() {
            if turn.name.is_some() {
                dropped.field("messages[].name");
            }
            match turn.role {
                Role::Assistant => {
                    let mut parts = self.plan(&turn.parts, dropped);
                    self.sign(&mut parts);
                    // A call must follow on somebody's word.
                    if a.is_empty() && parts.iter().any(|part| matches!(part.data, Data::Call(_))) {
                        dropped.field("messages[].role");
                        self.content(a, "user", vec![Planned { data: Data::Text(NOBODY), signature: None }]);
                    }
                    self.content(a, "model", parts);
                }
                _ => self.user(a, turn, dropped),
            }
        }
        if self.chat.talk().next().is_none() {
            // Instructions alone: the API wants somebody to say something.
            dropped.field("messages[].role");
            let parts = self.instructions(dropped).map(|text| Planned { data: Data::Text(text), signature: None });
            self.content(a, "user", parts.collect());
        }
        !a.is_empty()
    }

    /// The texts that were said by no side. The API takes nothing else as instructions.
    pub fn instructions(&self, dropped: &mut Dropped) -> impl Iterator<Item = &'c str> + use<'c> {
        for part in self.chat.instructions() {
            if part.cache.is_some() {
                dropped.field("cache_control");
            }
            if part.as_text().is_none() {
                dropped.field("messages[role=system].content[]");
            }
        }
        self.chat.instructions().filter_map(Part::as_text).filter(|text| !text.is_empty())
    }

    /// What functions returned is a content of its own, right behind the one that called them, and has an
    /// answer to each call.
    fn user(&self, a: &mut ArrayWriter<'_>, turn: &'c Turn<'c>, dropped: &mut Dropped) {
        let mut results = Vec::new();
        let mut rest = Vec::new();
        for part in &turn.parts {
            if let Content::ToolResult(result) = &part.content {
                note_cache(part, dropped);
                let mut media = Vec::new();
                for part in &result.parts {
                    note_cache(part, dropped);
                    match &part.content {
                        Content::Media(one) => media.extend(self.say(one, dropped)),
                        Content::Text { .. } => {}
                        _ => dropped.field("messages[role=tool].content[]"),
                    }
                }
                let inline = |one: &Sayable<'_>| self.media_in_results && matches!(one, Sayable::Inline(..));
                let (inside, beside): (Vec<_>, Vec<_>) = media.into_iter().partition(inline);
                results.push(Planned { data: Data::Result(result, inside), signature: None });
                rest.extend(beside.into_iter().map(|one| Planned { data: Data::Media(one), signature: None }));
            }
        }
        rest.append(&mut self.plan(&turn.parts, dropped));
        self.content(a, "user", results);
        self.content(a, "user", rest);
    }

    fn plan(&self, parts: &'c [Part<'c>], dropped: &mut Dropped) -> Vec<Planned<'c>> {
        let mut planned: Vec<Planned<'c>> = Vec::with_capacity(parts.len());
        for part in parts {
            note_cache(part, dropped);
            let (data, signature) = match &part.content {
                Content::Text { text, citations } => {
                    if !citations.is_empty() {
                        dropped.field("messages[].content[].citations");
                    }
                    (Data::Text(text), None)
                }
                Content::Refusal(text) => (Data::Text(text), None),
                Content::Media(media) => match self.say(media, dropped) {
                    Some(sayable) => (Data::Media(sayable), None),
                    None => continue,
                },
                Content::ToolCall(call) => (Data::Call(call), own(call.signature.as_ref(), dropped)),
                Content::Reasoning { text, signature } => {
                    let signature = own(signature.as_ref(), dropped);
                    match planned.last_mut() {
                        // The seal of what stands before it.
                        Some(Planned { data: Data::Text(_) | Data::Media(_), signature: kept @ None })
                            if text.is_empty() =>
                        {
                            *kept = signature;
                            continue;
                        }
                        _ if text.is_empty() => (Data::Text(""), signature),
                        _ => (Data::Thought(text), signature),
                    }
                }
                Content::Redacted(_) => {
                    dropped.field("messages[].content[].redacted_thinking");
                    continue;
                }
                // Written in front of the others.
                Content::ToolResult(_) => continue,
            };
            planned.push(Planned { data, signature });
        }
        // An empty text is an error on Vertex AI, unless it holds a seal.
        planned.retain(|one| !matches!(one.data, Data::Text("")) || one.signature.is_some());
        planned
    }

    /// The first call of a turn must be signed; those beside it need not be.
    fn sign(&self, parts: &mut [Planned<'c>]) {
        let mut calls = parts.iter_mut().filter(|one| matches!(one.data, Data::Call(_)));
        if let Some(first) = calls.next().filter(|_| self.wants_signatures) {
            first.signature.get_or_insert(seal::UNSIGNED);
        }
    }

    fn content(&self, a: &mut ArrayWriter<'_>, role: &str, parts: Vec<Planned<'c>>) {
        if parts.is_empty() {
            return;
        }
        a.object(|o| {
            o.text("role", role);
            o.array("parts", |a| {
                for part in &parts {
                    a.object(|o| {
                        self.part(o, &part.data);
                        o.text_if("thoughtSignature", part.signature);
                    });
                }
            });
        });
    }

    fn part(&self, o: &mut ObjectWriter<'_>, data: &Data<'_>) {
        match data {
            Data::Text(text) => o.text("text", text),
            Data::Thought(text) => {
                o.text("text", text);
                o.flag("thought", true);
            }
            Data::Media(sayable) => write_media(o, sayable),
            Data::Call(call) => o.object("functionCall", |o| {
                o.text_if("id", Some(&*call.id).filter(|id| !self.is_vertex && !id.is_empty()));
                o.text("name", &call.name);
                write_arguments(o, &call.arguments);
            }),
            Data::Result(result, media) => o.object("functionResponse", |o| {
                o.text_if("id", Some(&*result.id).filter(|id| !self.is_vertex && !id.is_empty()));
                o.text("name", self.name(result));
                write_returned(o, result);
                if !media.is_empty() {
                    o.array("parts", |a| media.iter().for_each(|one| a.object(|o| write_media(o, one))));
                }
            }),
        }
    }

    /// Media as they can be said, or their name.
    fn say(&self, media: &'c Media<'c>, dropped: &mut Dropped) -> Option<Sayable<'c>> {
        let is_known = !(self.is_vertex && matches!(media.source, Source::FileId(_)));
        let sayable = media::sayable(media).filter(|_| is_known);
        match (&sayable, media.kind) {
            (Some(_), _) => {}
            (None, MediaKind::Image) => dropped.field("messages[].content[].image_url"),
            (None, MediaKind::Audio) => dropped.field("messages[].content[].input_audio"),
            (None, MediaKind::Video) => dropped.field("messages[].content[].video_url"),
            (None, MediaKind::File) => dropped.field("messages[].content[].file"),
        }
        if media.name.is_some() {
            dropped.field("messages[].content[].file.filename");
        }
        if media.detail.as_deref().is_some_and(|detail| detail != "auto") {
            dropped.field("messages[].content[].image_url.detail");
        }
        sayable
    }

    fn name<'n>(&'n self, result: &'n ToolResult<'_>) -> &'n str {
        let known = || self.names.get(&*result.id).copied();
        result.name.as_deref().or_else(known).filter(|name| !name.is_empty()).unwrap_or("function")
    }
}

/// Writes the arguments of a call, which must be an object. What the model wrote wrongly is kept in one.
pub(super) fn write_arguments(o: &mut ObjectWriter<'_>, arguments: &str) {
    let text = arguments.trim();
    match (text.is_empty(), is_object(text)) {
        (true, _) => o.raw("args", "{}"),
        // In an event's data no line may end; in JSON line ends are mere space.
        (_, true) if text.contains(['\n', '\r']) => o.raw("args", &text.replace(['\n', '\r'], " ")),
        (_, true) => o.raw("args", text),
        _ => o.object("args", |o| o.text("_raw", arguments)),
    }
}

pub(super) fn write_media(o: &mut ObjectWriter<'_>, sayable: &Sayable<'_>) {
    match sayable {
        Sayable::Inline(mime, data) => o.object("inlineData", |o| {
            o.text("mimeType", mime);
            o.text("data", data);
        }),
        Sayable::File(mime, uri) => o.object("fileData", |o| {
            o.text_if("mimeType", mime.as_deref());
            o.text("fileUri", uri);
        }),
        Sayable::Text(text) => o.text("text", text),
    }
}

/// Writes what a function returned: an object as it is, anything else under a name that says what it is.
/// Inside of an object `$ref` would have to name one of the answer's media, so one with it goes as text.
fn write_returned(o: &mut ObjectWriter<'_>, result: &ToolResult<'_>) {
    let mut texts = result.parts.iter().filter_map(Part::as_text);
    let first = texts.next().unwrap_or_default();
    let text = texts.fold(Cow::Borrowed(first), |before, text| Cow::Owned([&before, "\n", text].concat()));
    if result.is_error {
        return o.object("response", |o| o.text("error", &text));
    }
    let plain = text.trim();
    let tree = Some(plain).filter(|plain| plain.starts_with('{') && !plain.contains("$ref"));
    let tree = tree.and_then(|plain| Tree::read(plain.as_bytes()).ok());
    match tree.as_ref().map(Tree::root) {
        // It would be read as one of the names below.
        Some(root)
            if root.members().count() == 1 && WORDS.iter().any(|word| root.members().any(|(key, _)| key == *word)) =>
        {
            o.object("response", |o| o.raw("result", plain));
        }
        Some(_) => o.raw("response", plain),
        None => o.object("response", |o| o.text("result", &text)),
    }
}

fn is_object(text: &str) -> bool {
    text.starts_with('{') && Tree::read(text.as_bytes()).is_ok_and(|tree| tree.root().kind() == Kind::Object)
}

fn note_cache(part: &Part<'_>, dropped: &mut Dropped) {
    if part.cache.is_some() {
        dropped.field("cache_control");
    }
}

/// Gemini's own seal; that of another maker is an error here.
fn own<'s>(signature: Option<&'s Signature<'_>>, dropped: &mut Dropped) -> Option<&'s str> {
    let signature = signature?;
    let own = signature.for_provider(Format::Gemini);
    if own.is_none() {
        dropped.field("messages[].content[].thinking.signature");
    }
    own
}
