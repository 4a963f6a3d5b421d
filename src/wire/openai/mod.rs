//! The OpenAI API: requests with a top-level `model`, `{"error":{…}}`, chat completions as documents
//! and as streams (API reference "Chat", "Streaming events", 2025).

mod chat;
mod whole;

#[cfg(test)]
mod tests;

use bytes::Bytes;

pub use chat::DONE;

use super::{Codec, Fields, Rewrite, StreamCodec, edit, fields, sse};
use crate::base::json::{self, Span};
use crate::llm::{Dialect, Operation, Quirk, Refusal};

/// The OpenAI codec.
pub struct OpenAi;

impl Codec for OpenAi {
    fn dialect(&self) -> Dialect {
        Dialect::OpenAi
    }

    fn read(&self, operation: Operation, body: &[u8]) -> Result<Fields, Refusal> {
        fields::read(Dialect::OpenAi, operation, body)
    }

    fn refusal(&self, refusal: &Refusal) -> Vec<u8> {
        chat::error(refusal)
    }

    fn stream_refusal(&self, operation: Operation, refusal: &Refusal, out: &mut Vec<u8>) {
        match operation {
            Operation::Responses => sse::write(out, Some("error"), &chat::responses_error(refusal)),
            _ => sse::write(out, None, &chat::error(refusal)),
        }
    }

    fn stream(&self) -> Option<&dyn StreamCodec> {
        Some(&chat::Chat)
    }
}

/// The body that leaves, edited in place. A body that needs no edit is the very same bytes.
pub fn rewrite(body: &Bytes, fields: &Fields, want: Rewrite<'_>) -> Bytes {
    let mut edits = edit::Edits::new();
    if *fields.call.model != *want.model {
        let mut name = Vec::with_capacity(want.model.len() + 2);
        json::write_string(&mut name, want.model);
        edits.replace(fields.model, name);
    }
    if want.quirks.contains(&Quirk::RefusesStreamOptions) {
        remove_stream_options(&mut edits, body, fields);
    } else if want.ask_usage && !fields.call.stream_usage {
        ask_usage(&mut edits, fields);
    }
    if edits.is_empty() {
        return body.clone();
    }
    Bytes::from(edits.apply(body))
}

/// Takes `stream_options` out of a streamed call. Outside of a stream every provider refuses them, and
/// the client shall hear that.
fn remove_stream_options(edits: &mut edit::Edits, body: &[u8], fields: &Fields) {
    let streams = matches!(fields.call.operation, Operation::Chat | Operation::Completion) && fields.call.stream;
    let Some(options) = fields.stream_options.filter(|_| streams) else { return };
    // It was read before: this cannot fail, and only who needs it pays for a second look.
    let Ok(members) = json::object(body) else { return };
    let place = members.iter().position(|member| member.value == options.value);
    if let Some(index) = place {
        edits.remove_member(Span { start: 0, end: body.len() }, &members, index);
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
