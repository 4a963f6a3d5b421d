//! What a rule of a route says: which calls it takes, where they go, and what is tried when that
//! fails. Words alone; `index` finds a rule and `choose` chooses among its backends.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::{Backend, Glob, RuleName};
use crate::llm::Operation;
use crate::wire::rewrite::Changes;

/// Calls that match go to one of these backends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    pub name: RuleName,
    /// Takes a call when one of these does; empty takes every call.
    pub matches: Vec<Match>,
    pub choices: Vec<Choice>,
    /// What keeps a caller with the same choice; empty chooses at random for each request.
    pub affinity: Vec<StickyBy>,
    pub retry: Option<Arc<Retry>>,
    pub failover: Failover,
    /// What is changed in these calls, if anything is.
    pub changes: Option<Arc<Changes>>,
    /// A call that the provider's API cannot say in full is refused (`onLoss: Refuse`).
    pub refuses_loss: bool,
}

/// One alternative of a rule: everything it says must be true of the call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Match {
    pub model: Option<Glob>,
    pub headers: Vec<HeaderMatch>,
    pub operation: Option<Operation>,
    /// Which of the callers that rules speak of; whoever asks knows them by this number.
    pub from: Option<usize>,
}

/// A header that the caller must have sent. Where it stands several times the first one counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderMatch {
    /// In lower case.
    pub name: Box<str>,
    pub value: Glob,
}

/// One backend of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Index into [`Targets::backends`](super::Targets::backends).
    pub backend: usize,
    /// The model name that leaves, when it is another than [`Choice::leaving`] makes of the caller's.
    pub model: Option<Arc<str>>,
    /// The lowest is tried first; the next only when all of a lower one cool down.
    pub priority: u32,
    /// Share among the choices of the same priority. 0 is never chosen, whatever fails: it is how a
    /// backend is drained without being forgotten.
    pub weight: u32,
}

/// A fact of a call that keeps it with the choice of earlier calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StickyBy {
    Session,
    Consumer,
    Namespace,
}

/// When another choice takes the place of one that fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Failover {
    /// For the next call: a choice that failed just now is passed over.
    #[default]
    PerRequest,
    /// For the same call as well: each attempt goes to the next choice.
    PerAttempt,
}

/// What the proxy may try again, and how long a failed backend is left alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retry {
    /// Attempts after the first; 0 for none.
    pub attempts: u32,
    pub on: Vec<RetryOn>,
    /// Until the head of an answer; also of an only attempt.
    pub per_try_timeout: Option<Duration>,
    /// How long a backend that failed cools down where it does not say so itself.
    pub cooldown: Option<Duration>,
}

/// What may be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RetryOn {
    RateLimited,
    ServerError,
    /// Nothing of the request has left.
    ConnectFailure,
    /// The model's context window cannot hold the call. Chosen by before it leaves; no proxy is told of it.
    ContextTooLong,
}

/// What of a call decides which rule takes it.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// The caller's; empty where it is not known.
    pub namespace: &'a str,
    /// As the caller wrote it.
    pub model: &'a str,
    pub operation: Operation,
    /// The first value of the header of this name, which is in lower case.
    pub header: &'a dyn Fn(&str) -> Option<&'a str>,
    /// Whether the caller is one of those of [`Match::from`].
    pub caller: &'a dyn Fn(usize) -> bool,
}

// === impl Rule ===

impl Rule {
    /// Attempts after the first.
    pub fn attempts(&self) -> u32 {
        self.retry.as_ref().map_or(0, |retry| retry.attempts)
    }

    /// Whether a model whose context window cannot hold the call is passed over.
    pub fn avoids_long_context(&self) -> bool {
        self.retry.as_ref().is_some_and(|retry| retry.on.contains(&RetryOn::ContextTooLong))
    }
}

// === impl Choice ===

impl Choice {
    /// The model name that leaves for this choice's backend. Who says `BACKEND/MODEL` means by it what it means
    /// without a rule, so the name of this very backend does not leave; any other piece before a slash is a
    /// part of the model's name, as some providers have it.
    pub fn leaving<'m>(&'m self, backend: &Backend, model: &'m str) -> &'m str {
        let named = || model.split_once('/').filter(|(name, rest)| *name == backend.short_name() && !rest.is_empty());
        self.model.as_deref().unwrap_or_else(|| named().map_or(model, |(_, rest)| rest))
    }
}

// === impl Match ===

impl Match {
    /// True when everything it says is true of the call.
    pub fn admits(&self, asked: &Asked<'_>) -> bool {
        self.operation.is_none_or(|operation| operation == asked.operation)
            && self.model.as_ref().is_none_or(|glob| glob.matches(asked.model))
            && self.headers.iter().all(|header| (asked.header)(&header.name).is_some_and(|v| header.value.matches(v)))
            && self.from.is_none_or(|from| (asked.caller)(from))
    }

    /// True when it names one model and not a pattern of names.
    pub fn is_exact(&self) -> bool {
        self.model.as_ref().is_some_and(Glob::is_exact)
    }
}

// === impl Asked ===

/// Without the headers and the caller: a caller's credentials are among them.
impl fmt::Debug for Asked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked").field("model", &self.model).field("operation", &self.operation).finish_non_exhaustive()
    }
}
