//! Which backend and model a call goes to, and what its head must say to get there. The host comes
//! from configuration alone; no part of a request can name one.

mod chain;
mod choose;
pub mod health;
mod index;
mod names;
pub mod rule;
mod rule_name;
pub mod sticky;
mod table;
#[cfg(test)]
mod tests;
mod way;

use std::collections::HashMap;
use std::sync::Arc;

use crate::llm::{Code, Dialect, Operation, Quirk, Refusal};
use crate::wire::passage::Place;
use crate::wire::rewrite::Changes;
use crate::wire::{Passage, PathCall, Speaks};

pub use crate::base::glob::Glob;
pub use chain::{Chain, MAX_CHAINS, chains, fingerprint, header, orders};
pub use choose::{Choosing, Chosen, Closed, PassedOver, Why};
pub use health::Health;
pub use index::Rules;
pub use names::Name;
pub use rule::{Asked, Choice, Failover, HeaderMatch, Match, Retry, RetryOn, Rule, StickyBy};
pub use rule_name::{RuleName, id};
pub use sticky::Sticky;
pub use table::{Serves, Table};
use way::Way;

/// Where calls can go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// What it is called everywhere: `NAME` in the root namespace, `NAMESPACE/NAME` elsewhere.
    pub name: Arc<str>,
    /// Whose calls it serves; none for the root namespace, which serves all.
    pub namespace: Option<Arc<str>>,
    /// The catalogue row; prices are looked up by it.
    pub provider: Arc<str>,
    pub dialect: Dialect,
    /// Host and port as `:authority` says them.
    pub authority: Arc<str>,
    /// What stands before the operation's own path: `/v1`, `/openai/v1` or nothing.
    pub prefix: String,
    /// A usage event must be asked for in a stream (`stream_options.include_usage`), and may be.
    pub asks_stream_usage: bool,
    /// What is known of the provider beside its dialect.
    pub speaks: Speaks,
    /// What an endpoint of Azure by deployment needs to know.
    pub azure: Option<Arc<Azure>>,
    /// How the provider differs from its dialect; what leaves is written accordingly.
    pub quirks: Vec<Quirk>,
    /// Headers that every request leaves with, whatever the caller sent: the provider's, and those of
    /// the configuration, which win.
    pub headers: Vec<(Arc<str>, Arc<str>)>,
    /// Headers that no request leaves with, in lower case. None is in `headers`.
    pub removed_headers: Vec<Arc<str>>,
}

/// Azure OpenAI by deployment (data plane API): a deployment stands in the path, and a date beside it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Azure {
    /// `api-version`.
    pub version: Arc<str>,
    /// Model and deployment; a model without a row is deployed under its own name.
    pub deployments: Vec<(Arc<str>, Arc<str>)>,
}

/// Where the proxy connects for a backend, for whoever renders the proxy's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// The backend's name, which is also the value of `x-weir-backend`.
    pub name: Arc<str>,
    pub https: bool,
    /// A DNS name or an IP address, without brackets.
    pub host: String,
    pub port: u16,
    /// The CA bundle to check the server against; none for the system's own.
    pub ca: Option<Arc<str>>,
    /// SNI and the expected subject; none for `host`.
    pub server_name: Option<Arc<str>>,
}

/// Paths without a model that go to a backend, signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passthrough {
    pub route: RuleName,
    pub backend: usize,
    pub paths: Vec<Glob>,
}

/// The whole routing table. A backend of a namespace other than root is for the calls of its own
/// namespace: nobody else reaches it, by whatever name, path or host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Targets {
    pub backends: Vec<Arc<Backend>>,
    /// What the root namespace says, to every call.
    pub root: Table,
    /// What each other namespace says, to its own calls.
    pub own: HashMap<Arc<str>, Table>,
    /// The models of the catalogue, each with the lists that it stands in.
    pub models: HashMap<Arc<str>, Vec<Arc<str>>>,
    /// By index of the backend.
    serves: Vec<Serves>,
    /// By [`Backend::name`].
    ids: HashMap<Arc<str>, usize>,
}

/// Where one call goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub index: usize,
    pub backend: Arc<Backend>,
    /// The model name that leaves.
    pub model: Arc<str>,
    /// Which rule took the call; none for `BACKEND/MODEL` and bare names.
    pub rule: Option<RuleName>,
    /// What that rule says of another attempt.
    pub retry: Option<Arc<Retry>>,
    /// What that rule changes.
    pub changes: Option<Arc<Changes>>,
    /// That rule refuses a call that the provider's API cannot say in full.
    pub refuses_loss: bool,
}

/// A place that a call could go to, for whoever says whether it is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// Of the backend.
    pub index: usize,
    pub backend: &'a str,
    /// The model name that would leave.
    pub model: &'a str,
    /// None where the name of the model leads there.
    pub rule: Option<&'a RuleName>,
}

/// Where a request without a model goes, and whether its path earns a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pass {
    pub index: usize,
    pub backend: Arc<Backend>,
    pub signed: bool,
    /// The route whose `passthrough` named the path.
    pub route: Option<RuleName>,
}

// === impl Targets ===

impl Targets {
    /// These backends, reached by their names and by the models of the catalogue; there is no rule yet.
    pub fn new(backends: Vec<(Backend, Serves)>, models: HashMap<Arc<str>, Vec<Arc<str>>>) -> Self {
        let mut targets = Targets { models, ..Targets::default() };
        for (index, (backend, serves)) in backends.into_iter().enumerate() {
            targets.ids.entry(backend.name.clone()).or_insert(index);
            let namespace = backend.namespace.clone();
            targets.table_mut(namespace.as_deref()).add(index, &backend, &serves);
            targets.backends.push(Arc::new(backend));
            targets.serves.push(serves);
        }
        targets
    }

    /// What a namespace says; none stands for root.
    pub fn table_mut(&mut self, namespace: Option<&str>) -> &mut Table {
        match namespace {
            Some(namespace) => self.own.entry(namespace.into()).or_default(),
            None => &mut self.root,
        }
    }

    /// All rules: those of root, then those of the other namespaces in the order of their names.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        let mut own: Vec<_> = self.own.iter().collect();
        own.sort_by_key(|(namespace, _)| *namespace);
        self.root.rules.iter().chain(own.into_iter().flat_map(|(_, table)| &table.rules))
    }

    /// Chooses the target of a call; `model` is [`Asked::model`] once more, to be shared.
    ///
    /// # Errors
    /// 404 `model_not_found` when nothing serves the model, 404 `no_backend` when there is no backend. Where
    /// all of a rule's backends are closed to the call, one of them is chosen: whoever closes it says why.
    pub fn resolve(&self, model: &Arc<str>, asked: &Asked<'_>, how: &Choosing<'_>) -> Result<Chosen, Refusal> {
        let (index, rest) = match self.way(asked)? {
            Way::Rule(rule) => return choose::choose(rule, &self.backends, model, how),
            Way::Backend(index, rest) => (index, rest),
        };
        let model = rest.map_or_else(|| model.clone(), Into::into);
        Ok(Chosen { target: self.target(index, model), why: Why::Name, passed_over: Vec::new(), next: Vec::new() })
    }

    /// The target that a limit or a failed attempt asks for by its id, for a caller of this namespace.
    ///
    /// # Errors
    /// 404 `no_backend` when there is no such backend for this caller.
    pub fn named(&self, namespace: &str, id: &str, model: &str) -> Result<Target, Refusal> {
        let is_open = |index: &usize| self.backends[*index].serves_calls_of(namespace);
        match self.ids.get(id).copied().filter(is_open) {
            Some(index) => Ok(self.target(index, model.into())),
            None => Err(Refusal::new(Code::NoBackend, format!("There is no backend {id:?}."))),
        }
    }

    /// Chooses where a request without a model goes: what the caller's own namespace says of it, else
    /// what root says, else the only backend there is. Each says it by a `passthrough` rule, else by the
    /// backend whose own host the request names.
    ///
    /// # Errors
    /// 404 `no_backend`.
    pub fn pass(&self, namespace: &str, path: &str, authority: &str) -> Result<Pass, Refusal> {
        let path = path.split('?').next().unwrap_or(path);
        let is_literal = is_literal(path);
        for table in self.own.get(namespace).into_iter().chain([&self.root]) {
            if let Some(rule) = table.passes(path).filter(|_| is_literal) {
                return Ok(self.pass_to(rule.backend, Some(rule.route.clone())));
            }
            if let Some(index) = table.at(authority) {
                return Ok(self.pass_to(index, None));
            }
        }
        match self.only(namespace) {
            Some(index) => Ok(self.pass_to(index, None)),
            None => Err(Refusal::new(
                Code::NoBackend,
                "This path names no model, and no passthrough rule says which backend serves it.",
            )),
        }
    }

    fn target(&self, index: usize, model: Arc<str>) -> Target {
        Target {
            index,
            backend: self.backends[index].clone(),
            model,
            rule: None,
            retry: None,
            changes: None,
            refuses_loss: false,
        }
    }

    fn pass_to(&self, index: usize, route: Option<RuleName>) -> Pass {
        Pass { index, backend: self.backends[index].clone(), signed: route.is_some(), route }
    }
}

// === impl Target ===

impl Target {
    /// This place, for a call that was to go to `first`: the rule that took it holds wherever the call is sent, and
    /// so does what policies say of that rule. What the rule says of trying again is left as it is.
    #[must_use]
    pub fn instead_of(self, first: Target) -> Target {
        let Target { rule, changes, refuses_loss, .. } = first;
        Target { rule, changes, refuses_loss, ..self }
    }
}

// === impl Candidate ===

impl<'a> From<&'a Target> for Candidate<'a> {
    fn from(target: &'a Target) -> Self {
        let Target { index, backend, model, rule, .. } = target;
        Candidate { index: *index, backend: &backend.name, model, rule: rule.as_ref() }
    }
}

// === impl Backend ===

impl Backend {
    /// The name of its document, by which callers of its namespace call it.
    pub fn short_name(&self) -> &str {
        self.name.rsplit('/').next().unwrap_or_default()
    }

    /// Whether a caller of this namespace can reach it at all.
    pub fn serves_calls_of(&self, namespace: &str) -> bool {
        self.namespace.as_deref().is_none_or(|own| own == namespace)
    }

    /// How a call of a client that speaks `dialect` goes there, if that is known.
    pub fn passage(&self, model: &str, dialect: Dialect, operation: Operation) -> Option<Passage> {
        Passage::of(dialect, operation, Place { dialect: self.dialect, model, speaks: self.speaks })
    }

    /// The path of a call that goes so.
    pub fn path_of(&self, passage: Passage, call: &PathCall<'_>) -> String {
        let azure = self.azure.as_deref();
        let deployed = azure.and_then(|azure| azure.deployments.iter().find(|(model, _)| **model == *call.model));
        let call = PathCall {
            model: deployed.map_or(call.model, |(_, deployment)| deployment),
            api_version: azure.map_or("", |azure| &azure.version),
            ..*call
        };
        [self.prefix.as_str(), &passage.path(&call)].concat()
    }

    /// The path that leaves for a client's path: a leading `/v1` is the client's own prefix and is
    /// replaced by the backend's.
    pub fn path(&self, client: &str) -> String {
        let rest = match client.strip_prefix("/v1") {
            Some(rest) if rest.is_empty() || rest.starts_with(['/', '?']) => rest,
            _ => client,
        };
        let slash = if self.prefix.is_empty() && !rest.starts_with('/') { "/" } else { "" };
        [self.prefix.as_str(), slash, rest].concat()
    }
}

/// True for a path that a server reads as it is written. `/v1/files/../chat/completions` matches a
/// pattern for files and is none; a key must not leave on it. Neither this proxy nor Envoy, as it is
/// configured, resolves dots, so the provider would.
fn is_literal(path: &str) -> bool {
    let path = path.to_ascii_lowercase();
    let is_hidden = ["%2f", "%5c", "\\"].iter().any(|separator| path.contains(separator));
    !is_hidden && path.split('/').all(|step| !matches!(step.replace("%2e", ".").as_str(), "." | ".."))
}
