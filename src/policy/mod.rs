//! One snapshot of everything that was configured, compiled. An exchange holds the snapshot it began
//! with to its end; a reload makes a new one.

pub mod access;
mod account;
pub mod cache;
pub mod combine;
pub mod credentials;
pub mod explain;
pub mod limits;
pub mod select;
pub mod spaces;
pub mod tariff;
pub mod view;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::access::Labels;
use crate::catalog::{Catalog, Overlay};
use crate::credential::Credential;
use crate::guard;
use crate::identity::{self, Role, Workload};
use crate::llm::Refusal;
use crate::target::{Chain, Targets, Upstream};
use access::AccessPolicy;
use cache::CachePolicy;
use combine::Documents;
use credentials::Credentials;
use limits::LimitPolicy;
use select::Callers;
use spaces::Spaces;

pub use tariff::Tariff;

/// What a running exchange needs to decide.
#[derive(Clone, Debug)]
pub struct Policy {
    pub role: Role,
    /// False while there has been no valid configuration yet: every request is refused.
    pub is_configured: bool,
    /// How callers are told apart.
    pub identity: identity::Rules,
    /// Whether the listener may put keys on requests (see `credential`).
    pub may_sign: bool,
    /// What holds for a call where the caller's namespace says nothing of it.
    pub profile: Profile,
    /// What holds for the calls of a namespace that has a profile: nowhere looser than `profile`.
    pub profiles: HashMap<Arc<str>, Profile>,
    /// The longest that Weir itself lets a request wait.
    pub max_wait: Duration,
    pub targets: Targets,
    /// By backend index: where the proxy connects.
    pub upstreams: Vec<Upstream>,
    /// The orders in which a call may visit several of them.
    pub chains: Vec<Chain>,
    /// [`fingerprint`](crate::target::fingerprint) of them.
    pub orders: Arc<str>,
    pub credentials: Credentials,
    /// Those whom the `from` of routes' matches name, by [`Match::from`](crate::target::Match::from).
    pub callers: Vec<Callers>,
    /// By backend index: what access policies choose backends by.
    pub labels: Vec<Labels>,
    /// By backend index: prices that the configuration states itself.
    pub overlays: Vec<Option<Arc<Overlay>>>,
    pub catalog: Catalog,
    /// Those of all namespaces; all that speak for a call count.
    pub access: Spaces<AccessPolicy>,
    /// Those of all namespaces; all that speak for a call count.
    pub limits: Spaces<LimitPolicy>,
    pub guards: Ruled<Vec<guard::Rule>>,
    /// Those of all namespaces; the most particular one counts.
    pub caches: Spaces<CachePolicy>,
    /// For which calls each limit, cache and guard document speaks.
    pub documents: Documents,
    /// Count exactly what the provider may not state: the prompt beside the call, and the answer behind
    /// it. So it is in role Gateway; no rule can ask for it yet.
    pub count_exactly: bool,
    /// Which of the configurations of this process it is. Whoever puts it in force counts.
    pub generation: u64,
}

/// Rules with the posture they are applied in.
#[derive(Clone, Debug, Default)]
pub struct Ruled<T> {
    pub mode: Mode,
    pub on_error: OnError,
    pub rules: T,
}

/// Whether a decision is carried out or only reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Mode {
    #[default]
    Enforce,
    /// Decide, count and explain, and change nothing.
    Shadow,
}

/// What a question without an answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OnError {
    Allow,
    #[default]
    Deny,
}

/// What holds for one call, whatever it asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    pub bodies: Bodies,
    pub unpriced: Unpriced,
    pub response_headers: ResponseHeaders,
    pub explain: Explain,
}

/// How many bytes are held, in memory, at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bodies {
    /// Of one request; more is 413.
    pub max_request: usize,
    /// Of one response whose headers wait for its body.
    pub max_response_hold: usize,
    /// Of one event of a stream; more is passed on unparsed.
    pub max_event: usize,
    /// Of one answer that is kept for later, or for its count.
    pub max_capture: usize,
}

/// What happens to a call whose price is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Unpriced {
    /// It is refused where it meets a limit of money, which could not be held otherwise.
    #[default]
    DenyUnderBudget,
    /// It is allowed, and spends nothing of any limit of money.
    Allow,
    Deny,
}

/// What is told to a caller that sends `x-weir-explain: 1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Explain {
    /// Nothing.
    #[default]
    Off,
    /// Who it is to Weir, where its call went, and the names of the policies that speak for it, in a
    /// header of the answer.
    Header,
}

/// The response headers that the profile lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseHeaders {
    pub request_id: bool,
    /// Whether the answer came from memory, and its age.
    pub cache: bool,
    pub backend: bool,
    pub model: bool,
    pub cost: bool,
    pub tokens: bool,
    /// How the caller's own limits stand.
    pub rate_limit: bool,
}

/// What becomes of a decision: the one place that knows [`Mode::Shadow`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decided<T> {
    Go(T),
    Refuse(Refusal),
    /// It would have been refused.
    Would(Refusal),
}

/// Carries out a decision in its mode.
pub fn decide<T>(mode: Mode, decision: Result<T, Refusal>) -> Decided<T> {
    match (mode, decision) {
        (_, Ok(value)) => Decided::Go(value),
        (Mode::Enforce, Err(refusal)) => Decided::Refuse(refusal),
        (Mode::Shadow, Err(refusal)) => Decided::Would(refusal),
    }
}

// === impl Bodies ===

impl Default for Bodies {
    fn default() -> Self {
        Bodies { max_request: 32 << 20, max_response_hold: 8 << 20, max_event: 1 << 20, max_capture: 4 << 20 }
    }
}

// === impl ResponseHeaders ===

impl Default for ResponseHeaders {
    fn default() -> Self {
        ResponseHeaders {
            request_id: true,
            cache: true,
            backend: false,
            model: false,
            cost: false,
            tokens: false,
            rate_limit: true,
        }
    }
}

impl ResponseHeaders {
    /// True when a header is wanted whose value is known only after the whole body.
    pub fn wait_for_usage(&self) -> bool {
        self.cost || self.tokens
    }
}

// === impl Policy ===

impl Policy {
    /// A policy that routes and meters and does nothing else; each backend has one credential.
    pub fn new(targets: Targets, credentials: Vec<Credential>, catalog: Catalog) -> Self {
        let overlays = vec![None; targets.backends.len()];
        let labels = vec![Labels::new(); targets.backends.len()];
        Policy {
            role: Role::default(),
            is_configured: true,
            identity: identity::Rules::new(&Workload::default()),
            may_sign: false,
            profile: Profile::default(),
            profiles: HashMap::new(),
            max_wait: Duration::from_secs(240),
            targets,
            upstreams: Vec::new(),
            chains: Vec::new(),
            orders: "".into(),
            credentials: credentials.into(),
            callers: Vec::new(),
            labels,
            overlays,
            catalog,
            access: Spaces::default(),
            limits: Spaces::default(),
            guards: Ruled::default(),
            caches: Spaces::default(),
            documents: Documents::default(),
            count_exactly: false,
            generation: 0,
        }
    }

    /// What holds for the calls of this namespace.
    pub fn profile_of(&self, namespace: &str) -> Profile {
        self.profiles.get(namespace).copied().unwrap_or(self.profile)
    }

    /// What is in force until there is a valid configuration.
    pub fn unconfigured(role: Role) -> Self {
        let nothing = Policy::new(Targets::default(), Vec::new(), Catalog::default());
        Policy { role, is_configured: false, ..nothing }
    }
}
