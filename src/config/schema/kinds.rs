//! The kinds: what each is for, and what it is called in Kubernetes.

use crate::config::shape::Shape;
use crate::config::spec::Kind;
use crate::config::text;

/// One kind.
pub(super) struct Row {
    pub kind: Kind,
    pub doc: &'static str,
    /// None for what is never a resource.
    pub resource: Option<Resource>,
}

/// What a kind is called in Kubernetes, and what `kubectl get` shows of it.
pub(super) struct Resource {
    pub plural: &'static str,
    pub short: &'static str,
    /// Heading and path, beside the condition Accepted and the age.
    pub columns: &'static [(&'static str, &'static str)],
}

/// A backend's name becomes a header value and the first piece of a model name.
pub(super) const BACKEND_NAME: Shape = Shape::Text(&text::LABEL);

const MODE: (&str, &str) = ("Mode", ".spec.mode");

pub(super) const KINDS: &[Row] = &[
    Row {
        kind: Kind::WeirBootstrap,
        doc: "What belongs to the process: where it listens and how much it takes on. Read once at its start, from \
              files only.",
        resource: None,
    },
    Row {
        kind: Kind::LlmProfile,
        doc: "What holds for every call: who the caller is, how much is held, what is told. One in the root namespace, \
              at most one in any other, which may only tighten.",
        resource: Some(Resource {
            plural: "llmprofiles",
            short: "llmpr",
            columns: &[("Anonymous", ".spec.identity.anonymous"), ("Failure", ".spec.failurePolicy")],
        }),
    },
    Row {
        kind: Kind::LlmBackend,
        doc: "A provider, where it is and with whose key it is called.",
        resource: Some(Resource {
            plural: "llmbackends",
            short: "llmb",
            columns: &[("Provider", ".spec.provider"), ("Endpoint", ".spec.endpoint"), ("Dialect", ".spec.dialect")],
        }),
    },
    Row {
        kind: Kind::LlmRoute,
        doc: "Which models go to which backends, under which name and in which shares.",
        resource: Some(Resource {
            plural: "llmroutes",
            short: "llmr",
            columns: &[("Passthrough", ".spec.passthrough.backend")],
        }),
    },
    Row {
        kind: Kind::LlmConsumer,
        doc: "A caller with a name of its own, how it is recognised, and whose budget it spends.",
        resource: Some(Resource { plural: "llmconsumers", short: "llmc", columns: &[("Team", ".spec.team")] }),
    },
    Row {
        kind: Kind::LlmAccessPolicy,
        doc: "Who may use which model and which backend.",
        resource: Some(Resource { plural: "llmaccesspolicies", short: "llmap", columns: &[MODE] }),
    },
    Row {
        kind: Kind::LlmLimitPolicy,
        doc: "How much of what a caller may use in a period.",
        resource: Some(Resource {
            plural: "llmlimitpolicies",
            short: "llmlp",
            columns: &[MODE, ("Counting", ".spec.counting")],
        }),
    },
    Row {
        kind: Kind::LlmCachePolicy,
        doc: "Which answers are kept, for whom, and how alike two questions must be.",
        resource: Some(Resource {
            plural: "llmcachepolicies",
            short: "llmcp",
            columns: &[MODE, ("Scope", ".spec.scope"), ("TTL", ".spec.exact.ttl"), ("Semantic", ".spec.semantic.mode")],
        }),
    },
    Row {
        kind: Kind::LlmGuardPolicy,
        doc: "What must not be in a request or in a response.",
        resource: Some(Resource { plural: "llmguardpolicies", short: "llmgp", columns: &[MODE] }),
    },
];
