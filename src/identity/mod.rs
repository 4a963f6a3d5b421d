//! Who calls: from what the mesh says of the peer, from what a token says that the proxy has checked,
//! from a key that Weir has issued, and from what this process knows of its own pod. Never from any
//! other header that a client can write.
//!
//! Facts have ranks, Peer > Jwt > ApiKey > Workload. A fact of a lower rank fills what is missing and
//! never overwrites; two facts that name different teams are a contradiction, which is refused.
//!
//! | fact | role Sidecar | role Gateway |
//! |---|---|---|
//! | Peer | ignored | the certificate of the connection; behind it `trustedHops` of `x-forwarded-client-cert` |
//! | Jwt | ignored | what `jwt_authn` has left in the metadata of the request |
//! | ApiKey | a `sk-weir-` key | a `sk-weir-` key |
//! | Workload | the pod itself | none |
//!
//! What the LLMConsumer documents of a namespace say is kept apart from all this, in [`Own`]: they are
//! asked only about callers of their own namespace, which the certificate or the pod has named, and they
//! fill none of the facts that root's documents see. Where they and root speak of different teams, root
//! is right and nothing is refused; two of the same namespace that do contradict each other.

pub mod claims;
pub mod directory;
mod forwarded;
mod identify;
mod index;
pub mod key;
mod said;

use std::collections::HashMap;
use std::sync::Arc;

pub use claims::{Claim, Claims};
pub use directory::{Consumer, Directory, Match};
pub use identify::{Denied, identify, is_own_key};
pub use index::Index;
pub use key::KEY_PREFIX;
pub use said::{MAX_TAGS, Said, Source, with_end_user};

/// The header by which proxies tell who their own peer was. It is removed from what leaves.
pub const FORWARDED_HEADER: &str = "x-forwarded-client-cert";

/// The longest text from outside that names anybody, in bytes. A longer one is not cut, for then two
/// callers could come to have one name.
pub const MAX_TEXT: usize = 256;

/// Where this process stands, and so which facts can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Role {
    /// In the pod of the workload that calls: the caller is the pod itself.
    #[default]
    Sidecar,
    /// Behind mTLS, for many workloads: the caller is the peer.
    Gateway,
}

/// The workload that this process runs beside, from the downward API.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Workload {
    pub namespace: Arc<str>,
    pub service_account: Arc<str>,
    pub name: Arc<str>,
}

/// What the host can tell about one request. Envoy fills it from its own attributes and metadata.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// The URI SAN of the peer's certificate, checked by the proxy.
    pub peer_uri: Option<String>,
    /// `address:port` of the connection's other end.
    pub source: Option<String>,
    /// What a token says that the proxy has checked.
    pub claims: Claims,
    /// Weir itself calls, in this one's name: the host has seen that it does.
    pub own: Option<Arc<Principal>>,
}

/// How well a fact is known. A lower rank fills what is missing and never overwrites.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Rank {
    #[default]
    Anonymous,
    Workload,
    ApiKey,
    Jwt,
    Peer,
}

/// The caller, as far as it is known. Every text in it that comes from outside has at most
/// [`MAX_TEXT`] bytes, but for the SPIFFE id, which has at most 2048.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The rank of the strongest fact.
    pub rank: Rank,
    /// One line that names the caller in records, by the strongest fact: a SPIFFE id, the subject of a
    /// token, the name of a consumer, `NAMESPACE/ACCOUNT` of a workload, or `anonymous`.
    pub name: Arc<str>,
    /// Empty where it is not known.
    pub namespace: Arc<str>,
    pub service_account: Arc<str>,
    pub workload: Arc<str>,
    pub spiffe: Option<Arc<str>>,
    /// The SPIFFE id is not that of the connection's peer: a trusted proxy says it of whom it serves.
    pub forwarded: bool,
    /// The LLMConsumer.
    pub consumer: Option<Arc<str>>,
    pub team: Option<Arc<str>>,
    /// Of a token; where anything is decided by them, all of them are here.
    pub groups: Vec<Arc<str>>,
    pub subject: Option<Arc<str>>,
    /// For whom the caller asks. The caller says so itself, or its token does.
    pub end_user: Option<Arc<str>>,
    pub session: Option<Arc<str>>,
    pub claimed: Claimed,
    /// Of the consumer, and behind them those that the caller says itself.
    pub tags: Vec<(Arc<str>, Arc<str>)>,
    /// What the documents of the caller's own namespace say of it. Nobody else is told: everything
    /// above is what root's documents see, and no document of a namespace changes it.
    pub own: Option<Arc<Own>>,
}

/// What is a claim of the token, which the caller cannot choose, where it could be its own word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Claimed {
    pub end_user: bool,
    pub session: bool,
}

/// What the LLMConsumer documents of a namespace say of one of its callers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Own {
    /// `NAMESPACE/NAME`
    pub consumer: Arc<str>,
    pub team: Option<Arc<str>>,
    /// Without the names of which a consumer of root says something.
    pub tags: Vec<(Arc<str>, Arc<str>)>,
}

/// How callers are told apart: what the configuration says of it, compiled.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The pod's own workload with its consumer: the caller of a sidecar, shared by all exchanges.
    pub own: Arc<Principal>,
    /// Who a caller is until it is known who it is.
    pub nobody: Arc<Principal>,
    /// The consumers of root.
    pub directory: Arc<Directory>,
    /// What other namespaces say of their own callers.
    pub spaces: Arc<HashMap<Arc<str>, Space>>,
    /// None where no token is looked at.
    pub jwt: Option<Jwt>,
    /// What a caller may say of itself where its namespace does not say it.
    pub said: Said,
    /// Whether a caller of whom nothing is known is served. Such a one has no namespace either.
    pub anonymous: Anonymous,
    /// How many elements of `x-forwarded-client-cert`, from its end, are believed.
    pub trusted_hops: usize,
    /// The SPIFFE trust domains whose ids name namespaces here; empty for every one.
    pub trust_domains: Vec<Arc<str>>,
}

/// What one namespace says of its own callers.
#[derive(Clone, Debug, Default)]
pub struct Space {
    /// Its consumers, by the name `NAMESPACE/NAME`.
    pub directory: Directory,
    /// None where root's is what counts.
    pub said: Option<Said>,
}

/// Where the claims of a token are, and which of them mean something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jwt {
    /// The metadata namespace of the filter that has checked the token.
    pub namespace: Arc<str>,
    /// The way from there to the claims.
    pub path: Vec<Arc<str>>,
    pub subject: Arc<str>,
    pub team: Option<Arc<str>>,
    pub groups: Option<Arc<str>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Anonymous {
    Allow,
    #[default]
    Deny,
}

// === impl Role ===

impl Role {
    /// The word of the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Sidecar => "Sidecar",
            Role::Gateway => "Gateway",
        }
    }
}

// === impl Principal ===

impl Default for Principal {
    fn default() -> Self {
        let empty: Arc<str> = Arc::from("");
        Principal {
            rank: Rank::Anonymous,
            name: "anonymous".into(),
            namespace: empty.clone(),
            service_account: empty.clone(),
            workload: empty,
            spiffe: None,
            forwarded: false,
            consumer: None,
            team: None,
            groups: Vec::new(),
            subject: None,
            end_user: None,
            session: None,
            claimed: Claimed::default(),
            tags: Vec::new(),
            own: None,
        }
    }
}

impl Principal {
    /// The caller that a workload is, as far as its own pod knows it.
    pub fn workload(own: &Workload) -> Self {
        Principal {
            rank: Rank::Workload,
            name: format!("{}/{}", own.namespace, own.service_account).into(),
            namespace: own.namespace.clone(),
            service_account: own.service_account.clone(),
            workload: own.name.clone(),
            ..Principal::default()
        }
    }

    /// The consumer as it is recorded: root's, else the `NAMESPACE/NAME` of the caller's own namespace.
    pub fn recorded_consumer(&self) -> Option<&Arc<str>> {
        self.consumer.as_ref().or_else(|| self.own.as_ref().map(|own| &own.consumer))
    }

    /// Takes from a consumer what is not known yet. False if the two speak of different teams.
    pub(crate) fn fill(&mut self, consumer: &Consumer) -> bool {
        if self.consumer.is_none() {
            self.consumer = Some(consumer.name.clone());
            self.tags.extend(consumer.tags.iter().cloned());
        }
        self.fill_team(consumer.team.as_ref())
    }

    /// Takes a team where none is known yet. False if another one is.
    pub(crate) fn fill_team(&mut self, team: Option<&Arc<str>>) -> bool {
        match (&self.team, team) {
            (Some(known), Some(said)) => known == said,
            (Some(_), None) => true,
            (None, said) => {
                self.team = said.cloned();
                true
            }
        }
    }
}

// === impl Own ===

impl Own {
    /// What a consumer of a namespace says, with none of the tags that root has given.
    fn of(consumer: &Consumer, given: &[(Arc<str>, Arc<str>)]) -> Self {
        let is_given = |name: &Arc<str>| given.iter().any(|(known, _)| known == name);
        Own {
            consumer: consumer.name.clone(),
            team: consumer.team.clone(),
            tags: consumer.tags.iter().filter(|(name, _)| !is_given(name)).cloned().collect(),
        }
    }
}

// === impl Rules ===

impl Rules {
    /// Callers of whom no document says anything.
    pub fn new(own: &Workload) -> Self {
        Rules::with_directory(own, Directory::default())
    }

    /// Callers of whom this directory says something.
    pub fn with_directory(own: &Workload, directory: Directory) -> Self {
        Rules::with_spaces(own, directory, HashMap::new())
    }

    /// Callers of whom root's directory says something, and some of their namespaces.
    pub fn with_spaces(own: &Workload, directory: Directory, spaces: HashMap<Arc<str>, Space>) -> Self {
        let mut principal = Principal::workload(own);
        if let Some(consumer) = directory.by_namespace(&own.namespace) {
            principal.fill(consumer);
        }
        let space = spaces.get(&own.namespace);
        if let Some(consumer) = space.and_then(|space| space.directory.by_namespace(&own.namespace)) {
            principal.own = Some(Arc::new(Own::of(consumer, &principal.tags)));
        }
        Rules {
            own: Arc::new(principal),
            nobody: Arc::new(Principal { name: "".into(), ..Principal::default() }),
            directory: Arc::new(directory),
            spaces: Arc::new(spaces),
            jwt: None,
            said: Said::default(),
            anonymous: Anonymous::Deny,
            trusted_hops: 0,
            trust_domains: Vec::new(),
        }
    }

    /// What a caller of this namespace may say of itself.
    pub fn said(&self, namespace: &str) -> &Said {
        self.spaces.get(namespace).and_then(|space| space.said.as_ref()).unwrap_or(&self.said)
    }
}

#[cfg(test)]
mod tests;
