//! A prompt in Gemini's format: `systemInstruction` is one content of text parts, `contents` are the turns
//! (Gemini API reference, "Generating content" and "Counting tokens").
//!
//! Google's parser takes one object for a list of one, and its own examples write `parts` so.

use std::slice;

use super::prompt::{Inside, Prompt, insert, joined, unfit};
use super::turns::{self, Spoken};
use super::{Scope, Subject};
use crate::base::json::{self, Kind, Member};
use crate::llm::{Operation, Refusal};
use crate::wire::edit::Edits;
use crate::wire::fields::refuse;

const SYSTEM: &str = "systemInstruction";
const PARTS: &str = "parts";
const CONTENTS: &str = "contents";
/// A whole request whose tokens are to be counted; AI Studio's API alone has it.
const WHOLE: &str = "generateContentRequest";

/// Puts `prompt` into a request, or into the one whose tokens are to be counted.
pub(super) fn edit(prompt: &Prompt, subject: Subject<'_>, edits: &mut Edits<'_>) -> Result<(), Refusal> {
    let scope = subject.scope();
    if subject.fields.call.operation == Operation::Chat {
        return whole(prompt, scope, edits);
    }
    match scope.find(WHOLE)? {
        Some(member) if member.kind == Kind::Object => {
            let members = json::members(scope.body, member.value).map_err(refuse)?;
            whole(prompt, Scope { object: member.value, members: &members, ..scope }, edits)
        }
        Some(member) if member.kind != Kind::Null => Err(unfit(WHOLE, "an object")),
        _ => counted(prompt, scope, edits),
    }
}

fn whole(prompt: &Prompt, scope: Scope<'_>, edits: &mut Edits<'_>) -> Result<(), Refusal> {
    instructions(prompt, scope, edits)?;
    contents([spoken(&prompt.before.spoken), spoken(&prompt.behind.spoken)], scope, edits)
}

/// Contents alone. Vertex counts instructions beside them and AI Studio's API refuses them there, so they are
/// counted as what the user says, unless the client has some there itself.
fn counted(prompt: &Prompt, scope: Scope<'_>, edits: &mut Edits<'_>) -> Result<(), Refusal> {
    if scope.find(SYSTEM)?.is_some_and(|member| member.kind != Kind::Null) {
        return whole(prompt, scope, edits);
    }
    let said = |pieces: &[u8]| match pieces.is_empty() {
        true => Vec::new(),
        false => spoken(slice::from_ref(&Spoken { is_user: true, pieces: pieces.to_vec() })),
    };
    let before = joined([&said(&prompt.before.pieces), &spoken(&prompt.before.spoken)], b",");
    let behind = joined([&spoken(&prompt.behind.spoken), &said(&prompt.behind.pieces)], b",");
    contents([before, behind], scope, edits)
}

fn spoken(turns: &[Spoken]) -> Vec<u8> {
    turns::written(turns, "model", PARTS)
}

fn contents([before, behind]: [Vec<u8>; 2], scope: Scope<'_>, edits: &mut Edits<'_>) -> Result<(), Refusal> {
    if before.is_empty() && behind.is_empty() {
        return Ok(());
    }
    match scope.find(CONTENTS)? {
        Some(member) if put(member, scope.body, [&before, &behind], edits) => Ok(()),
        _ => Err(unfit(CONTENTS, "a list")),
    }
}

fn instructions(prompt: &Prompt, scope: Scope<'_>, edits: &mut Edits<'_>) -> Result<(), Refusal> {
    let ends = [&prompt.before.pieces[..], &prompt.behind.pieces[..]];
    if ends.iter().all(|end| end.is_empty()) {
        return Ok(());
    }
    let list = || [b"[", &joined(ends, b",")[..], b"]"].concat();
    let content = || [b"{\"parts\":", &list()[..], b"}"].concat();
    match scope.find(SYSTEM)? {
        None => edits.insert_member(scope.object, scope.members, SYSTEM, content()),
        Some(member) if member.kind == Kind::Null => edits.replace(member.value, content()),
        Some(member) if member.kind == Kind::Object => {
            let members = json::members(scope.body, member.value).map_err(refuse)?;
            let inner = Scope { object: member.value, members: &members, ..scope };
            match inner.find(PARTS)? {
                None => edits.insert_member(inner.object, inner.members, PARTS, list()),
                Some(parts) if parts.kind == Kind::Null => edits.replace(parts.value, list()),
                Some(parts) if put(parts, scope.body, ends, edits) => {}
                Some(_) => return Err(unfit("systemInstruction.parts", "a list")),
            }
        }
        Some(_) => return Err(unfit(SYSTEM, "a content, an object")),
    }
    Ok(())
}

/// Puts elements at both ends of a list. False where the member is none.
fn put(member: &Member<'_>, body: &[u8], ends: [&[u8]; 2], edits: &mut Edits<'_>) -> bool {
    match member.kind {
        Kind::Array => insert(edits, Inside::of(body, member.value), ends, b","),
        Kind::Object => {
            let all = joined([&joined([ends[0], member.value.slice(body)], b","), ends[1]], b",");
            edits.replace(member.value, [b"[", &all[..], b"]"].concat());
        }
        _ => return false,
    }
    true
}
