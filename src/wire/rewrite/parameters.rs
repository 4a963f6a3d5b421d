//! Members of the request that a rule sets, fills in or takes out, and the bound on its output.

use super::Subject;
use crate::base::json::{Kind, Member};
use crate::llm::{Code, Dialect, Operation, Quirk, Refusal};
use crate::wire::edit::Edits;
use crate::wire::fields;

/// One top-level member of a request, and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    pub name: String,
    pub action: Action,
}

/// What becomes of a member. The values are JSON, and replace a value whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Inserted where the request has no such member. One that is `null` is there: the client has said
    /// that it wants none.
    Default(Vec<u8>),
    /// Replaced, or inserted.
    Override(Vec<u8>),
    Remove,
}

/// Says whether anything was changed.
pub(super) fn edit<'c>(
    parameters: &'c [Parameter],
    subject: Subject<'_>,
    edits: &mut Edits<'c>,
) -> Result<bool, Refusal> {
    let mut edited = false;
    for Parameter { name, action } in parameters {
        let found = fields::named(subject.members, name)?;
        match (action, found) {
            (Action::Default(json) | Action::Override(json), None) => {
                edits.insert_member(subject.whole(), subject.members, name, &json[..]);
            }
            (Action::Override(json), Some(index)) => {
                let member = &subject.members[index];
                if subject.bytes(member) == &json[..] {
                    continue;
                }
                edits.replace(member.value, &json[..]);
            }
            (Action::Remove, Some(index)) => edits.remove_member(subject.whole(), subject.members, index),
            (Action::Default(_), Some(_)) | (Action::Remove, None) => continue,
        }
        edited = true;
    }
    Ok(edited)
}

/// The names under which an operation's output is bounded: those that are looked at, and of them those
/// that the provider reads, the one to insert first.
///
/// OpenAI's reasoning models refuse `max_tokens` and the others take `max_completion_tokens` as well
/// (API reference "Create chat completion", `max_tokens`: deprecated). Both are looked at wherever
/// either may be read: what one of them says would get past the other.
fn bounds(subject: Subject<'_>) -> (&'static [&'static str], &'static [&'static str]) {
    const CHAT: &[&str] = &["max_completion_tokens", "max_tokens"];
    let call = &subject.fields.call;
    match (call.operation, call.dialect) {
        (Operation::Chat, Dialect::Anthropic) | (Operation::Completion, _) => (&["max_tokens"], &["max_tokens"]),
        (Operation::Chat, _) if subject.quirks.contains(&Quirk::OnlyMaxTokens) => (CHAT, &["max_tokens"]),
        (Operation::Chat, _) => (CHAT, CHAT),
        (Operation::Responses, _) => (&["max_output_tokens"], &["max_output_tokens"]),
        _ => (&[], &[]),
    }
}

/// Lowers every bound above `most` to it, and states it where the request states none.
pub(super) fn cap(most: u64, subject: Subject<'_>, edits: &mut Edits<'_>) -> Result<bool, Refusal> {
    let (names, read) = bounds(subject);
    let Some(wanted) = read.first() else { return Ok(false) };
    let number = || most.to_string().into_bytes();
    let (mut stated, mut empty, mut edited) = (false, None, false);
    for name in names {
        let Some(index) = fields::named(subject.members, name)? else { continue };
        let member = &subject.members[index];
        let counts = read.contains(name);
        if member.kind == Kind::Null {
            empty = empty.or(counts.then_some(member));
            continue;
        }
        stated |= counts;
        if stated_bound(name, member, subject)? > most {
            edits.replace(member.value, number());
            edited = true;
        }
    }
    match (stated, empty) {
        (true, _) => return Ok(edited),
        (false, Some(member)) => edits.replace(member.value, number()),
        (false, None) => edits.insert_member(subject.whole(), subject.members, wanted, number()),
    }
    Ok(true)
}

/// The number that a member states. One that is too large for this type is larger than any bound.
fn stated_bound(name: &str, member: &Member<'_>, subject: Subject<'_>) -> Result<u64, Refusal> {
    // Anthropic answers 0 with no output. Elsewhere it is an error at best; servers that ask only
    // whether it is there, or not 0, take it for no bound at all.
    let least = u64::from(subject.fields.call.dialect != Dialect::Anthropic);
    let digits = subject.bytes(member);
    let whole = digits.iter().all(u8::is_ascii_digit);
    let number = std::str::from_utf8(digits).ok().map(|digits| digits.parse().unwrap_or(u64::MAX));
    number.filter(|number| whole && *number >= least).ok_or_else(|| {
        let message = format!("The field {name:?} must be a whole number of at least {least}: a rule bounds it.");
        Refusal::new(Code::UnsupportedValue, message).param(name.to_owned())
    })
}
