//! Answers from memory: which calls may be answered from it, under which key, for whom, and what of an answer is
//! kept. Keeping entries is the store's, and finding them the world's; what is decided is decided here.
//!
//! Nobody's answer is ever given to somebody who may not have it: an entry lies in a [`Place`] that only callers of
//! the same [`Partition`] look in, and a caller without a partition looks nowhere.

pub mod canon;
pub mod controls;
pub mod entry;
pub mod extent;
pub mod gate;
pub mod items;
pub mod key;
pub mod memory;
pub mod redis;
pub mod semantic;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::base::money::{Multiplier, NanoUsd};
use crate::llm::Reply;

pub use canon::{Digest, Question};
pub use controls::Controls;
pub use entry::Entry;
pub use extent::Extent;
pub use gate::Reason;
pub use key::{Key, Place, Secret, Tag};
pub use semantic::Threshold;

/// What one document says of answers from memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The document's id, for records.
    pub name: Arc<str>,
    /// The document's namespace; empty for root.
    pub namespace: Arc<str>,
    pub scope: Scope,
    /// None where only running answers are shared, or only answers to like questions are.
    pub exact: Option<Exact>,
    /// Identical calls that run at the same time share one answer.
    pub coalesces: bool,
    pub semantic: Option<Semantic>,
}

/// Answers to the same question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exact {
    pub ttl: Duration,
    /// A call with a higher temperature, where nothing is said 1, is not answered from memory; none for no bound.
    pub max_temperature: Option<Multiplier>,
    /// Bytes of the largest answer that is kept, as it is encoded; none for what the profile captures.
    pub max_entry: Option<u64>,
    /// Answers that call tools are kept as well.
    pub tool_calls: bool,
}

/// Answers to like questions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Semantic {
    /// They are served; otherwise it is only counted what would have been.
    pub enforced: bool,
    /// How alike two questions must be.
    pub threshold: Threshold,
    pub ttl: Duration,
    pub embedder: Embedder,
}

/// What makes vectors of questions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Embedder {
    /// A backend, by its id, and its model.
    Backend(Arc<str>, Arc<str>),
    /// Of letters, not of meaning.
    Lexical,
    /// Weights in this directory, run in this process.
    Local(Arc<str>),
}

/// Who may read whose answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    Consumer,
    Team,
    Namespace,
    /// Everybody may.
    Shared,
}

/// Who asks, as far as a [`Scope`] goes by it; nothing where it is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Caller<'a> {
    pub consumer: Option<&'a Arc<str>>,
    pub team: Option<&'a Arc<str>>,
    pub namespace: Option<&'a Arc<str>>,
}

/// Those who read one another's answers. No answer is read from another one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Partition {
    Consumer(Arc<str>),
    Team(Arc<str>),
    Namespace(Arc<str>),
    Shared,
}

/// What is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    pub rule: Arc<Rule>,
    pub partition: Partition,
    pub digest: Digest,
    /// What is there may be the answer, and so may what is on its way to somebody else.
    pub reads: bool,
    /// The answer may be kept.
    pub keeps: bool,
    /// No older answer will do.
    pub max_age: Option<Duration>,
    /// The largest answer that can be kept, in bytes.
    pub room: u64,
    /// The rule is in Shadow: what is found changes nothing, so nobody waits for anybody.
    pub is_shadow: bool,
    /// For answers to like questions; none where there are to be none.
    pub similar: Option<Box<Similar>>,
}

/// A question for which the answer to a like one may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Similar {
    pub question: Question,
    /// The rule's, or the caller's where it is higher.
    pub threshold: Threshold,
}

/// Names one flight to the one who leads it, and the seat of each who follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket(pub u64);

/// What a recall came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recall {
    Hit(Box<Hit>),
    /// Nothing is there: ask the provider, and tell under this ticket what it says.
    Lead(Ticket),
    /// Somebody is asking already: wait for what is fed to this seat.
    Follow(Ticket),
    /// Nothing is there, and nothing shall be kept.
    Miss,
}

/// An answer that was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    pub reply: Reply,
    pub age: Duration,
    /// It is the answer to a like question, not to this one.
    pub is_similar: bool,
    /// What it cost when it was made, where that was known.
    pub cost: Option<NanoUsd>,
}

/// A complete answer to keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remember {
    pub ticket: Ticket,
    pub reply: Box<Reply>,
    pub cost: Option<NanoUsd>,
}

/// How a call and the cache have met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    Hit,
    /// The answer to a like question.
    Semantic,
    /// The answer that somebody else was getting.
    Follow,
    Miss,
    /// It was neither looked for nor kept.
    Bypass,
    /// It was not looked for, and kept.
    Refresh,
}

// === impl Status ===

impl Status {
    /// The word in records and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Hit => "hit",
            Status::Semantic => "semantic",
            Status::Follow => "follow",
            Status::Miss => "miss",
            Status::Bypass => "bypass",
            Status::Refresh => "refresh",
        }
    }

    /// The word in the header `x-weir-cache`: who follows is answered from what is here.
    pub fn header(self) -> &'static str {
        match self {
            Status::Follow => Status::Hit.as_str(),
            other => other.as_str(),
        }
    }
}

// === impl Rule ===

impl Rule {
    /// Every answer is kept for so long, and calls that run at the same time share one.
    pub fn new(name: &str, scope: Scope, ttl: Duration) -> Self {
        let exact = Exact { ttl, max_temperature: None, max_entry: None, tool_calls: true };
        let (name, namespace) = (name.into(), "".into());
        Rule { name, namespace, scope, exact: Some(exact), coalesces: true, semantic: None }
    }

    /// How long an answer may be read; none where nothing is kept.
    pub fn ttl(&self) -> Option<Duration> {
        self.exact.as_ref().map(|exact| exact.ttl).or(self.semantic.as_ref().map(|semantic| semantic.ttl))
    }

    /// Whether an answer that calls tools is kept.
    pub fn keeps_tool_calls(&self) -> bool {
        self.exact.as_ref().is_some_and(|exact| exact.tool_calls)
    }

    /// Whether callers can be told what came from memory: above the scope of a consumer it would tell one what
    /// another one has asked.
    pub fn tells(&self) -> bool {
        self.scope == Scope::Consumer
    }
}

// === impl Caller ===

impl Caller<'_> {
    /// Its partition; none where the scope goes by what is not known: nothing is read, and nothing kept.
    pub fn partition(self, scope: Scope) -> Option<Partition> {
        let known = |name: Option<&Arc<str>>| name.filter(|name| !name.is_empty()).cloned();
        match scope {
            Scope::Consumer => known(self.consumer).map(Partition::Consumer),
            Scope::Team => known(self.team).map(Partition::Team),
            Scope::Namespace => known(self.namespace).map(Partition::Namespace),
            Scope::Shared => Some(Partition::Shared),
        }
    }
}

// === impl Partition ===

impl Partition {
    /// The kind of it, and who; nobody for all.
    pub fn parts(&self) -> (&'static str, &str) {
        match self {
            Partition::Consumer(name) => ("consumer", name),
            Partition::Team(name) => ("team", name),
            Partition::Namespace(name) => ("namespace", name),
            Partition::Shared => ("shared", ""),
        }
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.parts() {
            (kind, "") => f.write_str(kind),
            (kind, name) => write!(f, "{kind}/{name}"),
        }
    }
}

#[cfg(test)]
mod tests;
