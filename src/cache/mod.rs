//! Answer from memory. Keeping entries is the world's; this module holds what is asked of it, and
//! what a recall can come to.

pub mod entry;
pub mod key;
pub mod semantic;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::llm::{Call, Format, Operation, Reply};

pub use entry::Entry;
pub use key::{Key, Place, Tag};

/// That answers to this call may be recalled and remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub name: String,
    pub scope: Scope,
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
#[derive(Clone, PartialEq, Eq)]
pub struct Ask {
    pub rule: String,
    pub partition: Partition,
    /// In which `body` is written: the same bytes say another thing in another format.
    pub format: Format,
    /// The backend and model that would answer: an entry of another one is no answer.
    pub backend: String,
    pub model: String,
    /// As the client wrote it. What a rule of the route changes is not in it, and an answer depends on that too.
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
pub fn ask(
    rule: Option<&Rule>,
    call: &Call,
    caller: Caller<'_>,
    backend: &str,
    model: &str,
    body: &Bytes,
) -> Option<Ask> {
    let rule = rule.filter(|_| call.operation == Operation::Chat && call.choices == 1)?;
    Some(Ask {
        rule: rule.name.clone(),
        partition: caller.partition(rule.scope)?,
        format: Format::of_client(call.dialect, call.operation)?,
        backend: backend.to_owned(),
        model: model.to_owned(),
        body: body.clone(),
    })
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

// === impl Ask ===

/// Without the body: it is somebody's prompt.
impl fmt::Debug for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ask { rule, partition, format, backend, model, body } = self;
        write!(f, "Ask({rule}, {partition:?}, {format}, {backend}/{model}, {} bytes)", body.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::Dialect;

    fn call(dialect: Dialect) -> Call {
        Call {
            dialect,
            operation: Operation::Chat,
            model: "m".into(),
            stream: false,
            stream_usage: false,
            background: false,
            max_output: None,
            output_alias: None,
            choices: 1,
            service_tier: None,
            speed: None,
            geo: None,
            body_bytes: 2,
            media: None,
        }
    }

    #[test]
    fn nobody_reads_from_another_partition_nor_in_another_format() {
        let (ann, red, none) = (Arc::from("ann"), Arc::from("red"), Arc::from(""));
        let known = Caller { consumer: Some(&ann), team: Some(&red), namespace: Some(&red) };
        let nobody = Caller { namespace: Some(&none), ..Caller::default() };
        for (scope, expected) in [
            (Scope::Consumer, Partition::Consumer(ann.clone())),
            (Scope::Team, Partition::Team(red.clone())),
            (Scope::Namespace, Partition::Namespace(red.clone())),
        ] {
            assert_eq!((known.partition(scope), nobody.partition(scope)), (Some(expected), None));
        }
        assert_eq!(nobody.partition(Scope::Shared), Some(Partition::Shared));
        let rule = Rule { name: "all".into(), scope: Scope::Shared };
        let asked = |dialect| ask(Some(&rule), &call(dialect), nobody, "b", "m", &Bytes::from_static(b"{}")).unwrap();
        assert_ne!(asked(Dialect::OpenAi), asked(Dialect::Anthropic));
        assert!(!format!("{:?}", asked(Dialect::OpenAi)).contains('{'));
        let own = Rule { scope: Scope::Consumer, ..rule };
        assert_eq!(ask(Some(&own), &call(Dialect::OpenAi), nobody, "b", "m", &Bytes::new()), None);
    }
}
