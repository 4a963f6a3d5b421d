//! What is left of an exchange when it is over: one record, whatever became of it.

use std::sync::Arc;
use std::time::Duration;

pub use super::outcomes::Met;
use crate::base::money::NanoUsd;
use crate::base::words::Words;
use crate::cache::{Reason, Rule, Status};
use crate::identity::Principal;
use crate::limit::charge::Charge;
use crate::llm::{Dialect, Operation, PriceRow, Usage, UsageSource};
use crate::tokens::Uncounted;

/// The whole story of one exchange. It shows no prompt, no answer and no credential.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The value of `x-weir-request-id`.
    pub id: Arc<str>,
    /// When the request's head came, in nanoseconds since the Unix epoch.
    pub started: u64,
    pub duration: Duration,
    /// Whose call it was, and is billed to.
    pub caller: Arc<Principal>,
    pub dialect: Dialect,
    pub operation: Operation,
    pub method: Words,
    /// Without its query.
    pub path: Words,
    pub route: Option<Arc<str>>,
    pub backend: Option<Arc<str>>,
    pub provider: Option<Arc<str>>,
    /// As the client asked; empty where there is none.
    pub requested_model: Words,
    /// As it left.
    pub sent_model: Words,
    /// As the provider names it.
    pub served_model: Words,
    pub service_tier: Option<Arc<str>>,
    pub stream: bool,
    /// What the client got; 0 when it got nothing from Weir or through it.
    pub status: u16,
    pub outcome: Outcome,
    /// The word of the refusal, where there was one.
    pub refusal: Option<&'static str>,
    pub usage: Usage,
    pub usage_source: UsageSource,
    /// None when no price is known, or no usage.
    pub cost: Option<NanoUsd>,
    pub price: Option<PriceRow>,
    /// The text that has to be counted before usage, cost and price are exact. None in what is told on.
    pub uncounted: Option<Uncounted>,
    pub request_bytes: u64,
    pub response_bytes: u64,
    /// Bytes of a request body that was read as a call.
    pub body_bytes: u64,
    /// How many answers it asked for at once; at least 1 of a request that was read as a call.
    pub choices: u64,
    /// Decoded bytes of text in the answer, where it could be read: what an estimate of the output
    /// is made from.
    pub text_bytes: Option<u64>,
    pub timings: Timings,
    /// False for a request that left without a credential because its path earned none.
    pub signed: bool,
    /// What the credential is called that it left with.
    pub credential: Option<Arc<str>>,
    /// It passed unread, and may have asked for a model all the same.
    pub hides_model: bool,
    pub decisions: Vec<Decision>,
    /// Each attempt, where the proxy might make several at different backends; empty elsewhere.
    pub attempts: Vec<Attempt>,
    /// What each limit was charged that the call met.
    pub limits: Vec<Charge>,
    /// What each limit made of it.
    pub met: Vec<Met>,
    /// How it and the cache have met; none where no rule is about it.
    pub cached: Option<Box<Cached>>,
    /// Usage fields that no reader knows.
    pub unknown_usage_fields: u32,
    /// Of the policy it was decided by.
    pub generation: u64,
}

/// One attempt to send the call, or a place of its order that was left out. The last attempt is what the client got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    pub backend: Arc<str>,
    /// As it left.
    pub model: Arc<str>,
    /// What the credential is called that it left with.
    pub credential: Option<Arc<str>>,
    /// The provider's; 0 where it did not answer.
    pub status: u16,
    /// Until the head of the answer, or until the next attempt.
    pub duration: Duration,
    /// Tokens of the prompt that the provider may bill though it served nothing, by an estimate: of an attempt that
    /// was given up without an answer. They are in nobody's usage and cost.
    pub wasted: u64,
    /// Why nothing was sent to this backend: the word of a refusal, `given_up` where the original was no longer held,
    /// or `not_connected`. None where it was asked.
    pub skipped: Option<&'static str>,
}

/// How a call and the cache have met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cached {
    pub status: Status,
    /// Why it was neither looked for nor kept.
    pub reason: Option<Reason>,
    pub rule: Arc<Rule>,
    /// What the answer would have cost, where it came from memory.
    pub saved: Option<Saved>,
    /// Of an answer that was kept.
    pub age: Option<Duration>,
    /// The rule is in Shadow: the caller is told nothing.
    pub is_shadow: bool,
}

/// What was not spent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Saved {
    pub usage: Usage,
    /// None where the price is not known.
    pub cost: Option<NanoUsd>,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The answer was complete and successful.
    Completed,
    /// The provider answered with an error, completely.
    UpstreamError,
    /// Weir answered instead of the provider, with a refusal.
    Refused,
    /// Weir answered from memory.
    Replayed,
    /// Weir ended the answer early because a limit ran out.
    Cut,
    /// The provider ended the stream without its terminal event.
    Truncated,
    /// The exchange ended before its answer did: the client or the provider went away.
    Abandoned,
    /// The process stopped before the answer was complete.
    Stopped,
    /// Weir answered by itself, from its configuration.
    Answered,
}

/// How long each part took, where it was reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timings {
    /// From the request's head to the moment the request was complete.
    pub receive: Option<Duration>,
    /// From there to the moment it was sent on or answered.
    pub decide: Option<Duration>,
    /// From sending it on to the response's head.
    pub wait: Option<Duration>,
    /// From the request's head to the first byte of the response's body.
    pub first_byte: Option<Duration>,
    /// From the request's head to the first piece of the answer.
    pub first_token: Option<Duration>,
}

/// One step's decision, for whoever asks why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub step: &'static str,
    pub outcome: &'static str,
    pub reason: &'static str,
    /// What in particular: a rule, a backend, a model.
    pub detail: Words,
}

// === impl Record ===

impl Record {
    /// Counts what nobody has stated. It stays an estimate: the provider may count otherwise. `give`
    /// gets back the room that the text took.
    pub fn count(&mut self, give: impl FnOnce(usize)) {
        let uncounted = self.uncounted.take();
        if let Some(counted) = uncounted.and_then(|uncounted| uncounted.count(give)) {
            (self.usage, self.cost, self.price) = (counted.usage, counted.cost, counted.price);
            self.limits.iter_mut().for_each(|charge| charge.recount(&self.usage, self.cost));
        }
    }
}

// === impl Outcome ===

impl Outcome {
    /// The word used in records, metadata and metric labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Completed => "completed",
            Outcome::UpstreamError => "upstream_error",
            Outcome::Refused => "refused",
            Outcome::Replayed => "replayed",
            Outcome::Cut => "cut",
            Outcome::Truncated => "truncated",
            Outcome::Abandoned => "abandoned",
            Outcome::Stopped => "stopped",
            Outcome::Answered => "answered",
        }
    }
}
