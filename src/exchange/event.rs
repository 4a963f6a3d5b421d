//! The words between an exchange and its host: what the host tells, and what it is told.

mod attempt;
mod headers;

use std::sync::Arc;

use bytes::Bytes;

pub use attempt::{Again, Attempt, Failed};
pub use headers::Headers;

use super::record::Record;
use crate::base::now::Instant;
use crate::base::secret::Secret;
use crate::base::words::Words;
use crate::cache::{self, Reason, Ticket};
use crate::credential::{Grant, Lease};
use crate::identity::{Facts, Principal};
use crate::llm::{Delta, Operation};
use crate::target::health::Observation;
use crate::tokens::Uncounted;
use crate::wire::count::Wording;
use crate::{guard, limit};

/// What the host tells. `end` is true when nothing of that body follows, however the other side
/// ended it (a flag or trailers).
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    Request(RequestHead, bool),
    RequestBody(Bytes, bool),
    /// Legal at any time: timeouts, early answers and local replies come while a request is held.
    Response(ResponseHead, bool),
    Chunk(Bytes, bool),
    Answer(Slot, Answer),
    /// From the flight that this exchange follows, or about its own limits.
    Feed(Feed),
    /// The proxy is about to send this request, which has left here, to a backend.
    Attempt(Attempt),
    /// An instant asked for with [`Action::Wake`] has come, or passed.
    Tick,
    Stop(Stop),
    /// Nothing more will come and nothing will be heard. Exactly once, always last.
    Gone,
}

/// What the host is told to do, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Send the request on as it comes; the host echoes every chunk of its body by itself.
    Pass(Edits),
    /// Send the held request on, edited.
    Forward {
        head: Edits,
        body: Vec<Bytes>,
    },
    /// Answer the client with this and nothing of the upstream.
    Respond(Local),
    /// Begin a local answer whose body follows in `Emit`.
    Open(Local),
    /// Send the response's head on, edited.
    Head(Edits),
    /// Send response body.
    Emit {
        bytes: Bytes,
        end: bool,
        meta: Meta,
    },
    /// Keep the original of the request that has left: another attempt is written from it, and it comes back with
    /// that. The host may give it up at any time to make room, and does when nothing more is tried.
    Keep(Bytes),
    /// What the n-th attempt sends.
    Retry(u32, Again),
    Ask(Slot, Ask),
    /// Deliver a `Tick` then. A later `Wake` replaces it.
    Wake(Instant),
    Note(Note),
}

/// Which of the two questions that may be open at once: one that blocks, one that does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    Gate,
    Side,
}

/// A question that needs I/O or much time.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    Judge(guard::Ask),
    /// An answer from memory, for this caller.
    Recall(Box<cache::Ask>, Arc<Principal>),
    /// The same of the inputs of a call for embeddings, each for itself.
    RecallItems(Box<cache::items::Ask>),
    /// The vector of a text.
    Embed(Bytes),
    /// The exact number of tokens of a request body, for a model.
    Count {
        /// Whose it is: nobody fills the queue of those that wait to be counted.
        caller: Arc<str>,
        operation: Operation,
        model: String,
        body: Bytes,
    },
    /// The tokens of a chat whose provider counts none.
    Wording {
        caller: Arc<str>,
        model: String,
        wording: Wording,
    },
    Reserve(limit::Ask),
    /// What a source of credentials gives.
    Token(Arc<Lease>),
}

/// The answer to an [`Ask`] of the same name; `Count` also to `Wording`.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    Judge(guard::Verdict),
    Recall(cache::Recall),
    RecallItems(cache::items::Found),
    Embed(Vec<f32>),
    Count(u64),
    Reserve(limit::Decision),
    Token(Grant),
    /// Nobody looked: the exchange is only being explained.
    Peeked,
    /// There is no answer; what that means is the policy's word.
    Failed(Failure),
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    Timeout,
    Unavailable,
}

/// What a flight feeds to those who follow it, and what a watcher says of a running answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "nearly all are deltas; the others come once")]
pub enum Feed {
    Delta(Delta),
    /// To a leader: it is followed from now on. What it has heard by now is published as well.
    Followed,
    /// The leader is gone. A follower that has sent nothing takes over under this ticket.
    Lost(Ticket),
    /// The leader is gone, and somebody else takes over: what was fed is void, and the answer begins anew.
    Anew,
    /// There is nobody to follow any more. A follower that has sent nothing goes on alone.
    Alone,
    /// A limit ran out: end the answer now.
    Cut,
}

/// Why the host wants an exchange to come to its end. While a process drains it says nothing: what runs
/// goes on as before, until the deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The time to finish is over.
    Deadline,
    /// There is no room for this exchange.
    Shed,
    /// The proxy is gone, and `Gone` follows when the open question has been answered: nothing may
    /// be sent on in between.
    Leave,
}

/// A fact to be worked off later. Nothing waits for it.
#[derive(Clone, Debug, PartialEq)]
pub enum Note {
    Settle(limit::Settle),
    Remember(cache::Remember),
    RememberItems(Box<cache::items::Remember>),
    Publish(Ticket, Delta),
    /// The leader of this flight ends without an answer to publish: somebody else has to lead.
    Forsake(Ticket),
    /// What the leader of this flight gets is not for others: nobody follows it, and nothing is kept.
    Part(Ticket, Reason),
    /// The answer of this flight is not kept.
    Unkept(Reason),
    Record(Box<Record>),
    /// What an answer says of its backend. The one note that is worked off at once: the next call
    /// chooses by it.
    Observe(Observation),
    /// A rule in Shadow mode would have refused.
    Shadow {
        step: &'static str,
        reason: &'static str,
    },
}

/// The head of a request, as the host received it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RequestHead {
    pub method: String,
    /// With its query.
    pub path: String,
    pub authority: String,
    pub headers: Headers,
    pub facts: Facts,
}

/// The head of a response.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ResponseHead {
    pub status: u16,
    pub headers: Headers,
}

/// Changes to a head.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Edits {
    pub path: Option<Words>,
    pub authority: Option<Words>,
    pub status: Option<u16>,
    pub set: Vec<(Words, Value)>,
    pub remove: Vec<Words>,
    /// What becomes of the body that belongs to this head.
    pub length: Length,
    pub meta: Meta,
}

/// A header value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Text(Words),
    Secret {
        prefix: &'static str,
        secret: Secret,
    },
    /// What the client sent: every field of that name, byte for byte, in a field of its own. Not empty.
    Original(Headers),
}

/// What is known of the length of the body that follows a head. Only the host writes the header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Length {
    /// The body is sent as it came; a length that came with it holds.
    #[default]
    Kept,
    /// It will be another one, and how long is not known.
    Unknown,
    Exactly(u64),
}

/// A local answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Local {
    pub status: u16,
    pub headers: Vec<(Words, Words)>,
    /// Empty for an [`Action::Open`].
    pub body: Bytes,
    pub meta: Meta,
}

/// What the rest of the proxy is told about this exchange: fields of the dynamic metadata `weir`.
pub type Meta = Vec<(&'static str, MetaValue)>;

/// One field of it.
#[derive(Clone, Debug, PartialEq)]
pub enum MetaValue {
    Text(Words),
    /// Written as a number; exact up to 2^53.
    Number(u64),
}

// === impl Note ===

impl Note {
    /// The text in it that nobody has counted yet.
    pub fn uncounted(&self) -> Option<&Uncounted> {
        match self {
            Note::Settle(settle) => settle.uncounted.as_ref(),
            Note::Record(record) => record.uncounted.as_ref(),
            _ => None,
        }
    }

    /// Counts it, and corrects the note. Not for a thread that runs tasks.
    pub fn count(&mut self, give: impl FnOnce(usize)) {
        match self {
            Note::Settle(settle) => settle.count(give),
            Note::Record(record) => record.count(give),
            _ => {}
        }
    }
}

// === impl Edits ===

impl Edits {
    /// Sets `name`, whatever stood there.
    pub fn set(&mut self, name: impl Into<Words>, value: impl Into<Words>) {
        self.set.push((name.into(), Value::Text(value.into())));
    }
}

// === impl MetaValue ===

impl From<&'static str> for MetaValue {
    fn from(text: &'static str) -> Self {
        MetaValue::Text(text.into())
    }
}

impl From<&Arc<str>> for MetaValue {
    fn from(text: &Arc<str>) -> Self {
        MetaValue::Text(text.into())
    }
}

impl From<Arc<str>> for MetaValue {
    fn from(text: Arc<str>) -> Self {
        MetaValue::Text(text.into())
    }
}

impl From<&Words> for MetaValue {
    fn from(text: &Words) -> Self {
        MetaValue::Text(text.clone())
    }
}

impl From<String> for MetaValue {
    fn from(text: String) -> Self {
        MetaValue::Text(text.into())
    }
}

impl From<u64> for MetaValue {
    fn from(number: u64) -> Self {
        MetaValue::Number(number)
    }
}

#[cfg(test)]
mod tests;
