//! What the documents say, field by field, in the words of the configuration: a file a kind. A field
//! of the language that is not built yet is refused by name, an unknown one with a hint; what refers
//! to other documents is checked in `validate`.

pub mod access;
pub mod backend;
pub mod bootstrap;
pub mod cache;
pub mod cloud;
pub mod cloud_key;
pub mod consumer;
pub mod guard;
pub mod headers;
pub mod identity;
pub mod limit;
pub mod listener;
mod matching;
mod pricing;
mod process;
pub mod profile;
mod retry;
pub mod rewrite;
pub mod route;
pub mod scope;
pub mod stores;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::read::{Object, Reader, Words, did_you_mean, short};
use super::shape::{Fields, Most, Shape, may, need};
use super::yaml::Node;
use super::{text, value};

pub use access::LlmAccessPolicy;
pub use backend::{AllowedNamespaces, ApiKey, CredentialRow, CredentialSpec, LlmBackend, Tls};
pub use bootstrap::{Bootstrap, Egress, Listeners, Overload, SocketAccess, WorkloadNames};
pub use cache::LlmCachePolicy;
pub use cloud::AzureEndpoint;
pub use cloud_key::{Cloud, CloudKey, GcpPlace, Way};
pub use consumer::LlmConsumer;
pub use guard::LlmGuardPolicy;
pub use headers::HeaderEdits;
pub use identity::IdentitySpec;
pub use limit::LlmLimitPolicy;
pub use listener::{Listen, ListenTls};
pub use matching::RouteMatch;
pub use pricing::{ModelPrice, Pricing};
pub use profile::{Discovery, FailurePolicy, LlmProfile};
pub use route::{LlmRoute, PassthroughSpec, RouteBackend, RouteRule};
pub use scope::{Callers, Scope, TargetKind, TargetRef};
pub use stores::{Encryption, SharedRedis};

/// The group of every kind.
pub const GROUP: &str = "weir.dev";

/// The group and version of every document.
pub const API_VERSION: &str = "weir.dev/v1alpha1";

/// What a document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    WeirBootstrap,
    LlmProfile,
    LlmBackend,
    LlmRoute,
    LlmConsumer,
    LlmAccessPolicy,
    LlmLimitPolicy,
    LlmCachePolicy,
    LlmGuardPolicy,
}

/// Which document of which file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct At {
    pub file: Arc<str>,
    /// From 1.
    pub document: usize,
}

/// A value and the path at which it stands, for what is checked later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located<T> {
    pub value: T,
    pub path: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    pub name: String,
    pub namespace: String,
    pub labels: BTreeMap<String, String>,
}

/// The content of one document.
#[derive(Clone, Debug, PartialEq)]
pub enum Spec {
    Bootstrap(Box<Bootstrap>),
    Profile(LlmProfile),
    Backend(Box<LlmBackend>),
    Route(LlmRoute),
    Consumer(LlmConsumer),
    Access(LlmAccessPolicy),
    Limit(LlmLimitPolicy),
    Cache(LlmCachePolicy),
    Guard(LlmGuardPolicy),
}

/// One document whose head could be read; its content may be missing because of errors.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    pub at: At,
    pub kind: Kind,
    pub meta: Meta,
    pub spec: Option<Spec>,
}

/// Kinds that are read in full and not carried out yet.
const LATER: &[Kind] = &[Kind::LlmGuardPolicy];

/// The kinds of the language; none beside those that are not read yet.
pub(super) const KINDS: &[(&str, Option<Kind>)] = &[
    ("WeirBootstrap", Some(Kind::WeirBootstrap)),
    ("LLMProfile", Some(Kind::LlmProfile)),
    ("LLMBackend", Some(Kind::LlmBackend)),
    ("LLMRoute", Some(Kind::LlmRoute)),
    ("LLMConsumer", Some(Kind::LlmConsumer)),
    ("LLMAccessPolicy", Some(Kind::LlmAccessPolicy)),
    ("LLMLimitPolicy", Some(Kind::LlmLimitPolicy)),
    ("LLMCachePolicy", Some(Kind::LlmCachePolicy)),
    ("LLMGuardPolicy", Some(Kind::LlmGuardPolicy)),
];

/// A document; its `spec` is that of its kind.
const DOCUMENT: Fields = Fields::of(&[
    need("apiVersion", Shape::Word(&VERSIONS), "The version of the language."),
    need("kind", Shape::Word(&KINDS), "What the document is."),
    need("metadata", Shape::Object(&META), "Its name, and for whom it speaks."),
    need("spec", Shape::Json, "What it says."),
]);
const VERSIONS: &Words<()> = &[(API_VERSION, Some(()))];
/// The group of references between documents.
const GROUPS: &Words<()> = &[(GROUP, Some(()))];
pub(super) const META: Fields = Fields::of(&[
    need("name", Shape::Text(&text::SUBDOMAIN), "Unique among the documents of a kind and a namespace."),
    may(
        "namespace",
        Shape::Text(&text::LABEL),
        "Whose calls it is about; in files the root namespace is the default, which speaks for the whole mesh.",
    ),
    may(
        "labels",
        Shape::Map { key: &text::ANY, value: &Shape::Text(&text::ANY), most: Most::Stored(64) },
        "What selectors of other documents look at.",
    ),
]);

static EMPTY: Node = Node::Map(Vec::new());

// === impl Kind ===

impl Kind {
    /// What its `spec` may look like.
    pub(super) fn fields(self) -> &'static Fields {
        match self {
            Kind::WeirBootstrap => &bootstrap::BOOTSTRAP,
            Kind::LlmProfile => &profile::PROFILE,
            Kind::LlmBackend => &backend::BACKEND,
            Kind::LlmRoute => &route::ROUTE,
            Kind::LlmConsumer => &consumer::CONSUMER,
            Kind::LlmAccessPolicy => &access::ACCESS,
            Kind::LlmLimitPolicy => &limit::POLICY,
            Kind::LlmCachePolicy => &cache::POLICY,
            Kind::LlmGuardPolicy => &guard::POLICY,
        }
    }

    /// The word of the configuration.
    pub fn as_str(self) -> &'static str {
        KINDS.iter().find(|(_, kind)| *kind == Some(self)).map_or("", |(word, _)| word)
    }
}

// === impl Document ===

impl Document {
    /// Reads one document. Every error goes to the reader's list; none comes back if not even kind
    /// and name could be read.
    pub(super) fn read(reader: &Reader<'_>, at: At, root_namespace: &str) -> Option<Document> {
        let object = reader.object(&DOCUMENT)?;
        if let Some(version) = object.need("apiVersion")
            && let Some(text) = version.text()
            && text != API_VERSION
        {
            version.error(format_args!("unknown apiVersion {:?}; it is {API_VERSION}", short(text)));
        }
        let kind = object.need("kind").and_then(|kind| read_kind(&kind));
        let meta = object.need("metadata").and_then(|meta| Meta::read(&meta, kind, root_namespace));
        let spec = object.need("spec").zip(kind).and_then(|(spec, kind)| {
            let spec = spec.or_if_null(&EMPTY);
            Spec::read(&spec, kind, meta.as_ref().map_or("", |meta| &meta.name))
        });
        Some(Document { at, kind: kind?, meta: meta?, spec })
    }
}

impl Meta {
    /// The namespace whose calls alone the document acts on; none for the root namespace.
    pub fn speaks_for(&self, root_namespace: &str) -> Option<&str> {
        (self.namespace != root_namespace).then_some(self.namespace.as_str())
    }

    fn read(reader: &Reader<'_>, kind: Option<Kind>, root_namespace: &str) -> Option<Meta> {
        let object = reader.object(&META)?;
        // A backend's name becomes a header value and the first piece of a model name.
        let parse = if kind == Some(Kind::LlmBackend) { value::label } else { value::subdomain };
        let name = object.need("name").and_then(|name| name.parsed(parse));
        let namespace = match object.get("namespace") {
            Some(namespace) => {
                let found = namespace.parsed(value::label);
                if kind == Some(Kind::WeirBootstrap) && found.as_ref().is_some_and(|found| found != root_namespace) {
                    namespace.error(format_args!(
                        "a WeirBootstrap is about the process, which is of no other namespace than {root_namespace:?}; \
                         leave it out"
                    ));
                }
                found
            }
            None => Some(root_namespace.to_owned()),
        };
        let labels = object.get("labels").and_then(|labels| labels.entries()).unwrap_or_default();
        let labels = labels.into_iter().filter_map(|(key, label)| Some((key.to_owned(), label.text()?.to_owned())));
        let labels = labels.collect();
        Some(Meta { name: name?, namespace: namespace?, labels })
    }
}

impl Spec {
    fn read(reader: &Reader<'_>, kind: Kind, name: &str) -> Option<Spec> {
        match kind {
            Kind::WeirBootstrap => Bootstrap::read(reader).map(Box::new).map(Spec::Bootstrap),
            Kind::LlmProfile => LlmProfile::read(reader).map(Spec::Profile),
            Kind::LlmBackend => LlmBackend::read(reader, name).map(Box::new).map(Spec::Backend),
            Kind::LlmRoute => LlmRoute::read(reader, name).map(Spec::Route),
            Kind::LlmConsumer => LlmConsumer::read(reader).map(Spec::Consumer),
            Kind::LlmAccessPolicy => LlmAccessPolicy::read(reader).map(Spec::Access),
            Kind::LlmLimitPolicy => LlmLimitPolicy::read(reader).map(Spec::Limit),
            Kind::LlmCachePolicy => LlmCachePolicy::read(reader).map(Spec::Cache),
            Kind::LlmGuardPolicy => LlmGuardPolicy::read(reader).map(Spec::Guard),
        }
    }
}

fn read_kind(reader: &Reader<'_>) -> Option<Kind> {
    let text = reader.text()?;
    match KINDS.iter().find(|(word, _)| *word == text) {
        Some((word, Some(kind))) => {
            if LATER.contains(kind) {
                reader.not_yet_of(word);
            }
            return Some(*kind);
        }
        Some((word, None)) => reader.not_yet_of(word),
        None => {
            let words: Vec<&str> = KINDS.iter().map(|(word, _)| *word).collect();
            let hint = match did_you_mean(text, words.iter().copied()) {
                Some(close) => format!("did you mean {close:?}?"),
                None => format!("known: {}", words.join(", ")),
            };
            reader.error(format_args!("unknown kind {:?}; {hint}", short(text)));
        }
    }
    None
}

/// The field, read, or what it is when it is absent.
fn or<T>(object: &Object<'_>, name: &str, default: T, read: impl FnOnce(Reader<'_>) -> Option<T>) -> T {
    object.get(name).and_then(read).unwrap_or(default)
}

/// A text that must not repeat in its list.
fn unique(reader: &Reader<'_>, seen: &mut HashSet<String>, what: &str) {
    let Some(text) = reader.peek() else { return };
    if !seen.insert(text.to_owned()) {
        reader.error(format_args!("duplicate {what} {:?}", short(text)));
    }
}

fn located(reader: &Reader<'_>) -> Option<Located<String>> {
    Some(Located { value: reader.text()?.to_owned(), path: reader.path().to_owned() })
}
