//! A prompt in the format of Bedrock's Converse: `system` is a list of blocks, and in `messages` the sides take
//! turns. "A conversation must alternate between user and assistant roles" is what the service answers to two
//! messages of one side in a row, so what meets is said in one message.

use super::prompt::{Inside, Prompt, insert, joined, unfit};
use super::turns::{self, Spoken};
use super::{Scope, Subject};
use crate::base::json::{self, Kind, Span};
use crate::llm::Refusal;
use crate::wire::edit::Edits;
use crate::wire::fields::refuse;

const SYSTEM: &str = "system";
const MESSAGES: &str = "messages";

/// A message of the client's that can be added to.
struct Own {
    is_user: bool,
    content: Span,
}

/// Puts `prompt` into a request.
pub(super) fn edit(prompt: &Prompt, scope: Scope<'_>, edits: &mut Edits<'_>) -> Result<(), Refusal> {
    system(prompt, scope, edits)?;
    messages(prompt, scope, edits)
}

/// Puts `prompt` into the request whose tokens are to be counted (`CountTokensRequest.input`). False where that is
/// one of InvokeModel, whose body is in base64.
pub(super) fn edit_count(prompt: &Prompt, subject: Subject<'_>, edits: &mut Edits<'_>) -> Result<bool, Refusal> {
    let scope = subject.scope();
    let Some(input) = scope.find("input")?.filter(|member| member.kind == Kind::Object) else {
        return Err(unfit("input", "an object"));
    };
    let members = json::members(scope.body, input.value).map_err(refuse)?;
    let input = Scope { object: input.value, members: &members, ..scope };
    match input.find("converse")? {
        Some(member) if member.kind == Kind::Object => {
            let members = json::members(scope.body, member.value).map_err(refuse)?;
            edit(prompt, Scope { object: member.value, members: &members, ..scope }, edits)?;
            Ok(true)
        }
        _ => Ok(false),
    }
}

fn system(prompt: &Prompt, scope: Scope<'_>, edits: &mut Edits<'_>) -> Result<(), Refusal> {
    let ends = [&prompt.before.pieces[..], &prompt.behind.pieces[..]];
    if ends.iter().all(|end| end.is_empty()) {
        return Ok(());
    }
    let list = || [b"[", &joined(ends, b",")[..], b"]"].concat();
    match scope.find(SYSTEM)? {
        None => edits.insert_member(scope.object, scope.members, SYSTEM, list()),
        Some(member) if member.kind == Kind::Null => edits.replace(member.value, list()),
        Some(member) if member.kind == Kind::Array => {
            insert(edits, Inside::of(scope.body, member.value), ends, b",");
        }
        Some(_) => return Err(unfit(SYSTEM, "a list")),
    }
    Ok(())
}

fn messages(prompt: &Prompt, scope: Scope<'_>, edits: &mut Edits<'_>) -> Result<(), Refusal> {
    let (before, behind) = (&prompt.before.spoken[..], &prompt.behind.spoken[..]);
    if before.is_empty() && behind.is_empty() {
        return Ok(());
    }
    let Some(list) = scope.find(MESSAGES)?.filter(|member| member.kind == Kind::Array) else {
        return Err(unfit(MESSAGES, "a list"));
    };
    let place = Inside::of(scope.body, list.value);
    let elements = json::elements(scope.body, list.value).map_err(refuse)?;
    let (Some(first), Some(last)) = (elements.first(), elements.last()) else {
        let mut all = before.to_vec();
        behind.iter().for_each(|turn| turns::say(&mut all, turn.is_user, &turn.pieces));
        insert(edits, place, [&written(&all), b""], b",");
        return Ok(());
    };
    let (before, front) = match (before.split_last(), own(*first, scope)?) {
        (Some((turn, rest)), Some(own)) if turn.is_user == own.is_user => (rest, Some((&turn.pieces[..], own.content))),
        _ => (before, None),
    };
    let (behind, back) = match (behind.split_first(), own(*last, scope)?) {
        (Some((turn, rest)), Some(own)) if turn.is_user == own.is_user => (rest, Some((&turn.pieces[..], own.content))),
        _ => (behind, None),
    };
    match (front, back) {
        // One call for one list, which may be empty.
        (Some((front, content)), Some((back, same))) if content == same => {
            insert(edits, Inside::of(scope.body, content), [front, back], b",");
        }
        _ => {
            for (ends, content) in
                [front.map(|(front, at)| ([front, b""], at)), back.map(|(back, at)| ([b"", back], at))]
                    .into_iter()
                    .flatten()
            {
                insert(edits, Inside::of(scope.body, content), ends, b",");
            }
        }
    }
    insert(edits, place, [&written(before), &written(behind)], b",");
    Ok(())
}

/// What a message of the client's says, and who; none where nothing can be added to it.
fn own((span, kind): (Span, Kind), scope: Scope<'_>) -> Result<Option<Own>, Refusal> {
    if kind != Kind::Object {
        return Ok(None);
    }
    let members = json::members(scope.body, span).map_err(refuse)?;
    let message = Scope { object: span, members: &members, ..scope };
    let role = message.find("role")?.filter(|role| role.kind == Kind::String);
    let is_user = match role.and_then(|role| json::string(role.value.slice(scope.body))).as_deref() {
        Some("user") => true,
        Some("assistant") => false,
        _ => return Ok(None),
    };
    let content = message.find("content")?.filter(|content| content.kind == Kind::Array);
    Ok(content.map(|content| Own { is_user, content: content.value }))
}

fn written(spoken: &[Spoken]) -> Vec<u8> {
    turns::written(spoken, "assistant", "content")
}
