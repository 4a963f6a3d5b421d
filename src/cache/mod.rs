//! Answer from memory. Keeping entries is the world's; this module holds what is asked of it, and
//! what a recall can come to.

use bytes::Bytes;

use crate::llm::{Call, Operation, Reply};

/// That answers to this call may be recalled and remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub name: String,
}

/// What is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    pub rule: String,
    /// The backend and model that would answer: an entry of another one is no answer.
    pub backend: String,
    pub model: String,
    pub body: Bytes,
}

/// Names one flight: the leader that asks the provider and those who wait for its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket(pub u64);

/// What a recall came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recall {
    Hit(Box<Reply>),
    /// Nothing is there: ask the provider, and publish what it says under this ticket.
    Lead(Ticket),
    /// Somebody is asking already: wait for what is fed.
    Follow(Ticket),
    /// Nothing is there, and nothing shall be kept.
    Miss,
}

/// A complete answer to keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remember {
    pub ticket: Ticket,
    pub reply: Box<Reply>,
}

/// What to look for, if a rule allows it. Only chat answers have a form that can be kept yet.
pub fn ask(rule: Option<&Rule>, call: &Call, backend: &str, model: &str, body: &Bytes) -> Option<Ask> {
    let rule = rule.filter(|_| call.operation == Operation::Chat && call.choices == 1)?;
    Some(Ask { rule: rule.name.clone(), backend: backend.to_owned(), model: model.to_owned(), body: body.clone() })
}
