//! What was said, as `system` and `messages`: first which blocks there are, then their bytes.

use std::borrow::Cow;

use super::media::Block;
use super::model::Model;
use super::request_write::Marks;
use crate::base::json::{ArrayWriter, Kind, ObjectWriter, Tree};
use crate::llm::chat::Role;
use crate::llm::part::{CacheMark, Media, ToolCall, ToolResult};
use crate::llm::{CallIds, Chat, Content, Dropped, Format, Part};
use crate::wire::codec::Envelope;

/// What stands where.
pub(super) struct Turns<'c> {
    system: Vec<Piece<'c>>,
    messages: Vec<Message<'c>>,
}

struct Message<'c> {
    role: Role,
    pieces: Vec<Piece<'c>>,
}

/// A block.
struct Piece<'c> {
    body: Body<'c>,
    mark: Option<CacheMark>,
}

enum Body<'c> {
    Text(&'c str),
    Media(Block<'c>),
    Thinking { text: &'c str, seal: &'c str },
    Redacted(&'c str),
    Call { id: Cow<'c, str>, call: &'c ToolCall<'c> },
    Result { id: Cow<'c, str>, is_error: bool, pieces: Vec<Piece<'c>> },
}

/// Decides which part becomes which block.
struct Maker<'d> {
    ids: CallIds,
    envelope: Envelope,
    dropped: &'d mut Dropped,
}

/// What an object stands under in place of a tool's input that is none: the name that Anthropic's page on
/// fine-grained tool streaming gives it (2026-11).
const INVALID: &str = "INVALID_JSON";

/// What a user says in front of an assistant's first word: somebody has to begin, and it is the user.
const BEGINNING: &str = "(The conversation begins.)";

/// A call's arguments as a JSON object, which the API wants: what is no object is kept inside of one.
pub(super) fn write_input(o: &mut ObjectWriter<'_>, key: &str, arguments: &str) {
    let is_object = || Tree::read(arguments.as_bytes()).is_ok_and(|tree| tree.root().kind() == Kind::Object);
    if arguments.trim().is_empty() {
        o.raw(key, "{}");
    } else if is_object() {
        o.raw(key, arguments.trim());
    } else {
        o.object(key, |o| o.text(INVALID, arguments));
    }
}

// === impl Turns ===

impl<'c> Turns<'c> {
    /// Instructions in front go to `system`. A later one stays where it is if the model takes it there: behind
    /// a user's message, with an assistant's or nothing behind it ("Mid-conversation system messages"). Two
    /// messages of one side in a row become one.
    pub(super) fn of(chat: &'c Chat<'c>, model: Model, envelope: Envelope, dropped: &mut Dropped) -> Self {
        let may_stay = model.takes_late_system() && envelope != Envelope::Invoke;
        let mut maker = Maker { ids: CallIds::default(), envelope, dropped };
        let mut made = Turns { system: Vec::new(), messages: Vec::new() };
        let mut sides = chat.turns.iter().enumerate().filter(|(_, turn)| turn.role.is_side()).peekable();
        for (at, turn) in chat.turns.iter().enumerate() {
            if turn.name.is_some() {
                maker.dropped.field("messages[].name");
            }
            let pieces = turn.parts.iter().filter_map(|part| maker.piece(turn.role, part)).collect();
            if turn.role.is_side() {
                made.say(turn.role, pieces);
                continue;
            }
            while sides.next_if(|(side, _)| *side < at).is_some() {}
            let behind = sides.peek();
            let fits = behind.is_none_or(|(_, turn)| turn.role == Role::Assistant) && !made.ends_with_assistant();
            if made.messages.is_empty() {
                made.system.extend(pieces);
            } else if may_stay && fits {
                made.say(Role::System, pieces);
            } else if !pieces.is_empty() {
                maker.dropped.field("messages[].role");
                made.system.extend(pieces);
            }
        }
        // Instructions alone are no request here.
        if made.messages.is_empty() && !made.system.is_empty() {
            maker.dropped.field("messages[].role");
            let pieces = std::mem::take(&mut made.system);
            made.say(Role::User, pieces);
        }
        if made.messages.first().is_some_and(|message| message.role == Role::Assistant) {
            maker.dropped.field("messages[].role");
            let pieces = vec![Piece { body: Body::Text(BEGINNING), mark: None }];
            made.messages.insert(0, Message { role: Role::User, pieces });
        }
        made.finish();
        made
    }

    fn say(&mut self, role: Role, pieces: Vec<Piece<'c>>) {
        match self.messages.last_mut() {
            _ if pieces.is_empty() => {}
            Some(last) if last.role == role => last.pieces.extend(pieces),
            _ => self.messages.push(Message { role, pieces }),
        }
    }

    /// Results stand in front of everything else that a user says; what the assistant said last, and the
    /// answer goes on with, ends without white space.
    fn finish(&mut self) {
        for message in self.messages.iter_mut().filter(|message| message.role == Role::User) {
            message.pieces.sort_by_key(|piece| !matches!(piece.body, Body::Result { .. }));
        }
        let last = self.messages.last_mut().filter(|message| message.role == Role::Assistant);
        if let Some(Piece { body: Body::Text(text), .. }) = last.and_then(|message| message.pieces.last_mut()) {
            *text = text.trim_end();
        }
    }

    /// The answer would go on with what the assistant said last.
    pub(super) fn ends_with_assistant(&self) -> bool {
        self.messages.last().is_some_and(|message| message.role == Role::Assistant)
    }

    /// What the assistant said last is gone on with, as its own words or from a tool's result, and does not
    /// begin with a thought.
    pub(super) fn begin_without_thought(&self) -> bool {
        let last = self.messages.iter().rev().find(|message| message.role == Role::Assistant);
        let Some(Message { pieces, .. }) = last else { return false };
        let begins = matches!(pieces.first(), Some(Piece { body: Body::Thinking { .. } | Body::Redacted(_), .. }));
        let calls = pieces.iter().any(|piece| matches!(piece.body, Body::Call { .. }));
        !begins && (calls || self.ends_with_assistant())
    }

    /// How many blocks are marked.
    pub(super) fn marks(&self) -> usize {
        let pieces = self.messages.iter().flat_map(|message| &message.pieces).chain(&self.system);
        pieces.map(Piece::marks).sum()
    }

    /// Writes `system` and `messages`.
    pub(super) fn write(&self, o: &mut ObjectWriter<'_>, marks: &mut Marks) {
        if !self.system.is_empty() {
            o.array("system", |a| write_all(a, &self.system, marks));
        }
        o.array("messages", |a| {
            for message in &self.messages {
                a.object(|o| {
                    o.text(
                        "role",
                        match message.role {
                            Role::User => "user",
                            Role::Assistant => "assistant",
                            Role::System | Role::Developer => "system",
                        },
                    );
                    o.array("content", |a| write_all(a, &message.pieces, marks));
                });
            }
        });
    }
}

fn write_all(a: &mut ArrayWriter<'_>, pieces: &[Piece<'_>], marks: &mut Marks) {
    pieces.iter().for_each(|piece| a.object(|o| piece.write(o, marks)));
}

// === impl Maker ===

impl Maker<'_> {
    /// The block for a part of what `role` said; nothing, and it is named, where there is none.
    fn piece<'c>(&mut self, role: Role, part: &'c Part<'c>) -> Option<Piece<'c>> {
        let body = match (&part.content, role) {
            (Content::Text { text, citations }, _) => {
                // A citation holds what only its provider can check.
                if !citations.is_empty() {
                    self.dropped.field("messages[].annotations");
                }
                self.text(text, part)
            }
            (Content::Refusal(text), _) => self.text(text, part),
            (Content::Media(media), Role::User) => self.media(media),
            (Content::Media(media), _) => {
                // Nobody but the user shows anything.
                if self.media(media).is_some() {
                    self.dropped.field("messages[].content[].image_url");
                }
                None
            }
            (Content::Reasoning { text, signature }, Role::Assistant) => {
                let seal = signature.as_ref().and_then(|seal| seal.for_claude(Format::Messages));
                if seal.is_none() {
                    self.dropped.field("messages[].reasoning_content");
                }
                seal.map(|seal| Body::Thinking { text, seal })
            }
            (Content::Redacted(seal), Role::Assistant) => {
                let seal = seal.for_provider(Format::Messages);
                if seal.is_none() {
                    self.dropped.field("messages[].reasoning_content");
                }
                seal.map(Body::Redacted)
            }
            (Content::ToolCall(call), Role::Assistant) => {
                let id = plain_id(self.ids.call(call));
                Some(Body::Call { id, call })
            }
            (Content::ToolResult(result), Role::User) => Some(self.result(result)),
            (Content::Reasoning { .. } | Content::Redacted(_), _) => {
                self.dropped.field("messages[].reasoning_content");
                None
            }
            (Content::ToolCall(_) | Content::ToolResult(_), _) => {
                self.dropped.field("messages[].tool_calls");
                None
            }
        };
        let is_markable = !matches!(body, Some(Body::Thinking { .. } | Body::Redacted(_)));
        body.map(|body| Piece { body, mark: part.cache.filter(|_| is_markable) })
    }

    /// Text that is empty, or white space alone, is an error.
    fn text<'c>(&mut self, text: &'c str, part: &Part<'_>) -> Option<Body<'c>> {
        if !text.trim().is_empty() {
            return Some(Body::Text(text));
        }
        if part.cache.is_some() {
            self.dropped.field("cache_control");
        }
        None
    }

    fn media<'c>(&mut self, media: &'c Media<'_>) -> Option<Body<'c>> {
        Block::of(media, self.envelope, self.dropped).map(Body::Media)
    }

    fn result<'c>(&mut self, result: &'c ToolResult<'c>) -> Body<'c> {
        let id = plain_id(self.ids.result(result));
        let is_inner = |part: &&Part<'_>| matches!(part.content, Content::Text { .. } | Content::Media(_));
        let pieces = result.parts.iter().filter(is_inner).filter_map(|part| self.piece(Role::User, part)).collect();
        Body::Result { id, is_error: result.is_error, pieces }
    }
}

/// Ids are of letters, digits, `_` and `-`.
fn plain_id(id: Cow<'_, str>) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    match id.chars().all(is_plain) {
        true => id,
        false => id.chars().map(|c| if is_plain(c) { c } else { '_' }).collect::<String>().into(),
    }
}

// === impl Piece ===

impl Piece<'_> {
    fn marks(&self) -> usize {
        let inner = match &self.body {
            Body::Result { pieces, .. } => pieces.iter().map(Piece::marks).sum(),
            _ => 0,
        };
        inner + usize::from(self.mark.is_some())
    }

    fn write(&self, o: &mut ObjectWriter<'_>, marks: &mut Marks) {
        match &self.body {
            Body::Text(text) => {
                o.text("type", "text");
                o.text("text", text);
            }
            Body::Media(block) => block.write(o),
            Body::Thinking { text, seal } => {
                o.text("type", "thinking");
                o.text("thinking", text);
                o.text("signature", seal);
            }
            Body::Redacted(seal) => {
                o.text("type", "redacted_thinking");
                o.text("data", seal);
            }
            Body::Call { id, call } => {
                o.text("type", "tool_use");
                o.text("id", id);
                o.text("name", &call.name);
                write_input(o, "input", &call.arguments);
            }
            Body::Result { id, is_error, pieces } => {
                o.text("type", "tool_result");
                o.text("tool_use_id", id);
                if !pieces.is_empty() {
                    o.array("content", |a| write_all(a, pieces, marks));
                }
                if *is_error {
                    o.flag("is_error", true);
                }
            }
        }
        marks.write(o, self.mark);
    }
}
