//! Messages that a rule puts before and behind those of the client, in the place and in the form that
//! each format has for them.
//!
//! Texts that meet in one string are parted by an empty line. A list stays a list and a string a
//! string, with one exception: the `input` of a response that is a string becomes a list when turns are
//! put beside it, with the string as the user's. A completion has no roles; it gets the texts alone.

use std::fmt;

use super::turns::{self, Spoken};
use super::{Subject, converse, gemini};
use crate::base::json::{self, Kind, Member, Span, write_string};
use crate::llm::{Code, Dialect, Operation, Refusal};
use crate::wire::edit::Edits;

/// One message, as the configuration says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub role: Role,
    pub content: String,
}

/// Who says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    System,
    Developer,
    User,
    Assistant,
}

/// Messages to insert, written beforehand.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Prompt {
    pub(super) before: Part,
    pub(super) behind: Part,
    text_bytes: u64,
}

/// The messages of one end, in every form that a format wants; without what encloses them.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Part {
    /// All, as elements of a list.
    messages: Vec<u8>,
    /// Those that are no instructions, as elements of a list.
    turns: Vec<u8>,
    /// Instructions, as Anthropic's text blocks.
    blocks: Vec<u8>,
    /// Instructions, as the inside of a JSON string.
    instructions: Vec<u8>,
    /// All texts, as the inside of a JSON string.
    texts: Vec<u8>,
    /// Instructions, as Gemini's parts and Converse's blocks.
    pub(super) pieces: Vec<u8>,
    /// Those that are no instructions, as these have them: no two of one side in a row.
    pub(super) spoken: Vec<Spoken>,
}

/// An empty line, inside of a JSON string.
const GAP: &[u8] = b"\\n\\n";

// === impl Prompt ===

/// Sizes alone: this may be what somebody else must not read.
impl fmt::Debug for Prompt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Prompt({} bytes of text)", self.text_bytes)
    }
}

impl Prompt {
    /// The messages to put before and behind those of a client.
    pub fn new(before: &[Message], behind: &[Message]) -> Prompt {
        let text_bytes = before.iter().chain(behind).map(|message| message.content.len() as u64).sum();
        Prompt { before: Part::new(before), behind: Part::new(behind), text_bytes }
    }

    pub fn is_empty(&self) -> bool {
        self.text_bytes == 0
    }

    /// Bytes of text that a call grows by: what an estimate of its input must add.
    pub fn text_bytes(&self) -> u64 {
        self.text_bytes
    }

    /// Says whether the operation has a place for messages.
    pub(super) fn edit<'c>(&'c self, subject: Subject<'_>, edits: &mut Edits<'c>) -> Result<bool, Refusal> {
        let call = &subject.fields.call;
        match (call.operation, call.dialect) {
            (Operation::Chat | Operation::CountTokens, Dialect::Anthropic) => {
                self.system(subject, edits)?;
                self.list("messages", |part| &part.turns, subject, edits)?;
            }
            (Operation::Chat | Operation::CountTokens, Dialect::Gemini) => gemini::edit(self, subject, edits)?,
            (Operation::Chat, Dialect::Bedrock) => converse::edit(self, subject.scope(), edits)?,
            (Operation::CountTokens, Dialect::Bedrock) => return converse::edit_count(self, subject, edits),
            (Operation::Chat, _) => self.list("messages", |part| &part.messages, subject, edits)?,
            (Operation::Responses, _) | (Operation::CountTokens, Dialect::OpenAi) => {
                self.text("instructions", |part| &part.instructions, subject, edits)?;
                self.input(subject, edits)?;
            }
            (Operation::Completion, _) => self.completion(subject, edits)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// One form of the messages, before and behind; none when there are none of them.
    fn ends<'c>(&'c self, form: impl Fn(&'c Part) -> &'c Vec<u8>) -> Option<[&'c [u8]; 2]> {
        let ends = [&form(&self.before)[..], &form(&self.behind)[..]];
        ends.iter().any(|end| !end.is_empty()).then_some(ends)
    }

    /// Into a member that is a list, and has to be one.
    fn list<'c>(
        &'c self,
        name: &'static str,
        form: impl Fn(&'c Part) -> &'c Vec<u8>,
        subject: Subject<'_>,
        edits: &mut Edits<'c>,
    ) -> Result<(), Refusal> {
        let Some(ends) = self.ends(form) else { return Ok(()) };
        match find(subject, name)? {
            Some(member) if member.kind == Kind::Array => insert(edits, inside(subject, member), ends, b","),
            _ => return Err(unfit(name, "a list")),
        }
        Ok(())
    }

    /// Into a member that is a string, or none.
    fn text<'c>(
        &'c self,
        name: &'static str,
        form: impl Fn(&'c Part) -> &'c Vec<u8>,
        subject: Subject<'_>,
        edits: &mut Edits<'c>,
    ) -> Result<(), Refusal> {
        let Some(ends) = self.ends(form) else { return Ok(()) };
        match find(subject, name)? {
            Some(member) if member.kind == Kind::String => insert(edits, inside(subject, member), ends, GAP),
            found => {
                let string = [b"\"", &joined(ends, GAP)[..], b"\""].concat();
                state(name, found, string, subject, edits).ok_or_else(|| unfit(name, "a string"))?;
            }
        }
        Ok(())
    }

    /// Anthropic's instructions: a string or a list of blocks.
    fn system<'c>(&'c self, subject: Subject<'_>, edits: &mut Edits<'c>) -> Result<(), Refusal> {
        match find(subject, "system")? {
            Some(member) if member.kind == Kind::Array => self.list("system", |part| &part.blocks, subject, edits),
            _ => self.text("system", |part| &part.instructions, subject, edits),
        }
    }

    /// The turns of a response: a string or a list of items.
    fn input<'c>(&'c self, subject: Subject<'_>, edits: &mut Edits<'c>) -> Result<(), Refusal> {
        let Some(ends) = self.ends(|part| &part.turns) else { return Ok(()) };
        match find(subject, "input")? {
            Some(member) if member.kind == Kind::Array => insert(edits, inside(subject, member), ends, b","),
            Some(member) if member.kind == Kind::String => {
                let own = [b"{\"role\":\"user\",\"content\":", subject.bytes(member), b"}"].concat();
                let all = joined([&joined([ends[0], &own], b","), ends[1]], b",");
                edits.replace(member.value, [b"[", &all[..], b"]"].concat());
            }
            found => {
                let list = [b"[", &joined(ends, b",")[..], b"]"].concat();
                state("input", found, list, subject, edits).ok_or_else(|| unfit("input", "a string or a list"))?;
            }
        }
        Ok(())
    }

    /// A completion's text, or each one of several.
    fn completion<'c>(&'c self, subject: Subject<'_>, edits: &mut Edits<'c>) -> Result<(), Refusal> {
        const WANTED: &str = "a string or a list of strings, not tokens";
        let list = find(subject, "prompt")?.filter(|member| member.kind == Kind::Array);
        let Some(list) = list else { return self.text("prompt", |part| &part.texts, subject, edits) };
        let Some(ends) = self.ends(|part| &part.texts) else { return Ok(()) };
        let elements = json::elements(subject.body, list.value).map_err(|_| unfit("prompt", WANTED))?;
        if elements.is_empty() || elements.iter().any(|(_, kind)| *kind != Kind::String) {
            return Err(unfit("prompt", WANTED));
        }
        for (span, _) in elements {
            insert(edits, Inside::of(subject.body, span), ends, GAP);
        }
        Ok(())
    }
}

// === impl Part ===

impl Part {
    fn new(messages: &[Message]) -> Part {
        let mut part = Part::default();
        for Message { role, content } in messages {
            let mut quoted = Vec::new();
            write_string(&mut quoted, content);
            let text = &quoted[1..quoted.len() - 1];
            let message = [b"{\"role\":\"", role.as_str().as_bytes(), b"\",\"content\":", &quoted, b"}"].concat();
            add(&mut part.messages, &message, b",");
            add(&mut part.texts, text, GAP);
            match role {
                Role::System | Role::Developer => {
                    let block = [b"{\"type\":\"text\",\"text\":", &quoted[..], b"}"].concat();
                    add(&mut part.blocks, &block, b",");
                    add(&mut part.instructions, text, GAP);
                    add(&mut part.pieces, &turns::piece(&quoted), b",");
                }
                Role::User | Role::Assistant => {
                    add(&mut part.turns, &message, b",");
                    turns::say(&mut part.spoken, *role == Role::User, &turns::piece(&quoted));
                }
            }
        }
        part
    }
}

// === impl Role ===

impl Role {
    /// The word of every format that has roles.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::System => "system",
            Role::Developer => "developer",
            Role::User => "user",
            Role::Assistant => "assistant",
        }
    }
}

/// Where something can be put into a list or a string.
pub(super) struct Inside {
    first: usize,
    last: usize,
    is_empty: bool,
}

// === impl Inside ===

impl Inside {
    /// Directly behind the bracket or quote that opens, and directly behind the last thing inside.
    pub(super) fn of(body: &[u8], value: Span) -> Inside {
        let first = value.start + 1;
        let inner = body.get(first..value.end.saturating_sub(1)).unwrap_or_default();
        let is_list = body.get(value.start) == Some(&b'[');
        let length = if is_list { inner.trim_ascii_end().len() } else { inner.len() };
        Inside { first, last: first + length, is_empty: length == 0 }
    }
}

fn inside(subject: Subject<'_>, member: &Member<'_>) -> Inside {
    Inside::of(subject.body, member.value)
}

/// Puts `ends` at both ends, with `gap` between what meets.
pub(super) fn insert(edits: &mut Edits<'_>, place: Inside, ends: [&[u8]; 2], gap: &[u8]) {
    let at = |at| Span { start: at, end: at };
    if place.is_empty {
        return edits.replace(at(place.first), joined(ends, gap));
    }
    let [before, behind] = ends;
    if !before.is_empty() {
        edits.replace(at(place.first), [before, gap].concat());
    }
    if !behind.is_empty() {
        edits.replace(at(place.last), [gap, behind].concat());
    }
}

/// States a member that is not there, or `null`; none if it is something else.
fn state(
    name: &'static str,
    found: Option<&Member<'_>>,
    json: Vec<u8>,
    subject: Subject<'_>,
    edits: &mut Edits<'_>,
) -> Option<()> {
    match found {
        None => edits.insert_member(subject.whole(), subject.members, name, json),
        Some(member) if member.kind == Kind::Null => edits.replace(member.value, json),
        Some(_) => return None,
    }
    Some(())
}

fn find<'s>(subject: Subject<'s>, name: &str) -> Result<Option<&'s Member<'s>>, Refusal> {
    subject.scope().find(name)
}

pub(super) fn joined(parts: [&[u8]; 2], gap: &[u8]) -> Vec<u8> {
    let mut whole = parts[0].to_vec();
    if !parts[1].is_empty() {
        add(&mut whole, parts[1], gap);
    }
    whole
}

pub(super) fn add(whole: &mut Vec<u8>, part: &[u8], gap: &[u8]) {
    if !whole.is_empty() {
        whole.extend_from_slice(gap);
    }
    whole.extend_from_slice(part);
}

pub(super) fn unfit(name: &'static str, wanted: &str) -> Refusal {
    let message = format!("The field {name:?} must be {wanted}: a rule adds to it.");
    Refusal::new(Code::UnsupportedValue, message).param(name)
}
