//! `{"error": "…"}` and a status; in a stream the same as a line.

use std::borrow::Cow;

use crate::base::json::tree::Value;
use crate::llm::{Fault, FaultKind};
use crate::wire::codec::Said;

pub(super) fn read(said: &Said<'_>) -> Fault {
    let tree = said.tree();
    match tree.as_ref().and_then(|tree| message(tree.root())).filter(|message| !message.trim().is_empty()) {
        Some(message) => {
            let kind = kind(FaultKind::of_status(said.status), &message);
            Fault { kind, ..Fault::new(said.status, message) }
        }
        None => said.plain(),
    }
}

/// The words of an error, if it is one. What stands in front of Ollama's cloud writes an object.
pub(super) fn message<'a>(root: Value<'_, 'a>) -> Option<Cow<'a, str>> {
    let error = root.get("error")?;
    error.text().or_else(|| error.get("message")?.text())
}

/// An error in a stream has no status.
pub(super) fn in_stream(message: &str) -> Fault {
    let told = kind(FaultKind::InvalidRequest, message);
    let kind = if told == FaultKind::InvalidRequest { FaultKind::Server } else { told };
    Fault::in_stream(kind, message)
}

/// What the words say where they say more than `kind`.
fn kind(kind: FaultKind, message: &str) -> FaultKind {
    let message = message.to_ascii_lowercase();
    let says = |words: &str| message.contains(words);
    match kind {
        // "the input length exceeds the context length"; the runner's "prompt too long; exceeded max context
        // length by … tokens", with status 500.
        FaultKind::InvalidRequest | FaultKind::Server if says("context length") && says("exceed") => {
            FaultKind::ContextLength
        }
        kind => kind,
    }
}
