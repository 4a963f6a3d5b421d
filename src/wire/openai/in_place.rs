//! A body that leaves edited in place: every byte that no rule changes stays.

use bytes::Bytes;

use crate::base::json::{self, Member, Span};
use crate::llm::{Code, Dialect, Operation, Quirk, Refusal};
use crate::wire::rewrite::{self as changes, Done, Subject, quirk};
use crate::wire::{Fields, Rewrite, edit, multipart};

/// The body that leaves, edited in place, and what a rule changed in it. A body that needs no edit is
/// the very same bytes.
///
/// # Errors
/// 400 where a rule's change cannot be made.
pub fn rewrite(body: &Bytes, fields: &Fields, want: Rewrite<'_>) -> Result<(Bytes, Done), Refusal> {
    if fields.is_form {
        // Nothing that a rule orders may be left undone in silence.
        if want.changes.is_some_and(|changes| !changes.parameters.is_empty()) {
            let message = "The rule for this model sets parameters, and those of a form cannot be set.";
            return Err(Refusal::new(Code::UnsupportedValue, message));
        }
        return Ok((multipart::rewrite(body, fields, want.model), Done::default()));
    }
    let mut edits = edit::Edits::new();
    let refused = fields.stream_options.filter(|_| {
        // Outside of a stream every provider refuses them, and the client shall hear that.
        let streams = matches!(fields.call.operation, Operation::Chat | Operation::Completion) && fields.call.stream;
        streams && want.quirks.contains(&Quirk::RefusesStreamOptions)
    });
    let is_chat = fields.call.operation == Operation::Chat && fields.call.dialect == Dialect::OpenAi;
    let concerned = is_chat && quirk::concerns(want.quirks);
    // Only who needs the members pays for a second look.
    let members = match want.changes.is_some() || refused.is_some() || concerned {
        true => {
            json::object(body).map_err(|_| Refusal::new(Code::InvalidJson, "The request body is not valid JSON."))?
        }
        false => Vec::new(),
    };
    if let Some(place) = fields.model.filter(|_| *fields.call.model != *want.model) {
        let mut name = Vec::with_capacity(want.model.len() + 2);
        json::write_string(&mut name, want.model);
        edits.replace(place, name);
    }
    if let Some(options) = refused {
        remove(&mut edits, body, &members, options.value);
    } else if want.ask_usage && !fields.call.stream_usage && !want.quirks.contains(&Quirk::RefusesStreamOptions) {
        ask_usage(&mut edits, fields);
    }
    if concerned {
        quirk::edit(body, &members, want.quirks, want.changes, &mut edits);
    }
    let done = match want.changes {
        Some(changes) => changes.edit(Subject { body, members: &members, fields, quirks: want.quirks }, &mut edits)?,
        None => Done::default(),
    };
    let left = if edits.is_empty() { body.clone() } else { Bytes::from(edits.apply(body)) };
    Ok((left, done))
}

/// Takes the member with this value out of the document.
fn remove(edits: &mut edit::Edits<'_>, body: &[u8], members: &[Member<'_>], value: Span) {
    if let Some(index) = members.iter().position(|member| member.value == value) {
        edits.remove_member(changes::whole(body), members, index);
    }
}

/// Makes `stream_options.include_usage` true, wherever it stood.
fn ask_usage(edits: &mut edit::Edits, fields: &Fields) {
    let Some(options) = fields.stream_options else {
        edits.replace(at(fields.tail), b",\"stream_options\":{\"include_usage\":true}".to_vec());
        return;
    };
    match options.include_usage {
        Some(span) => edits.replace(span, b"true".to_vec()),
        None if options.is_empty && options.is_object => {
            edits.replace(at(options.tail), b"\"include_usage\":true".to_vec());
        }
        None if options.is_object => edits.replace(at(options.tail), b",\"include_usage\":true".to_vec()),
        None => edits.replace(options.value, b"{\"include_usage\":true}".to_vec()),
    }
}

/// The empty span in front of byte `at`.
fn at(at: usize) -> Span {
    Span { start: at, end: at }
}
