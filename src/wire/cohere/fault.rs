//! `{"id", "message"}` and a status (Cohere docs, "Errors", 2026): there are no codes, so the message tells
//! what the status does not.

use crate::base::json::tree::Value;
use crate::llm::{Fault, FaultKind};
use crate::wire::codec::Said;

pub(super) fn read(said: &Said<'_>) -> Fault {
    let tree = said.tree();
    let message = tree.as_ref().and_then(|tree| tree.root().get("message")).and_then(Value::text);
    let Some(message) = message.filter(|message| !message.trim().is_empty()) else {
        let fault = said.plain();
        return Fault { kind: kind(of_status(said.status), &fault.message), ..fault };
    };
    let kind = kind(of_status(said.status), &message);
    Fault { kind, ..Fault::new(said.status, message) }
}

/// 498 is a token that is none, 499 a call that was given up.
fn of_status(status: u16) -> FaultKind {
    match status {
        498 => FaultKind::Authentication,
        499 => FaultKind::Timeout,
        status => FaultKind::of_status(status),
    }
}

/// What the words say where they say more than `kind`.
pub(super) fn kind(kind: FaultKind, message: &str) -> FaultKind {
    let message = message.to_ascii_lowercase();
    let says = |words: &str| message.contains(words);
    match kind {
        // "too many tokens: max tokens must be less than …" is about the answer.
        FaultKind::InvalidRequest if says("too many tokens") && !says("max tokens must") => FaultKind::ContextLength,
        FaultKind::InvalidRequest if says("blocked output") || says("blocked input") => FaultKind::ContentPolicy,
        // "You are using a Trial key, which is limited to 1000 API calls / month."
        FaultKind::RateLimit if says("month") => FaultKind::Quota,
        kind => kind,
    }
}
