//! Which backend and model a call goes to, and what its head must say to get there. The host comes
//! from configuration alone; no part of a request can name one.

mod choose;
pub mod health;
mod index;
mod names;
pub mod rule;
mod rule_name;
pub mod sticky;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use crate::llm::{Code, Dialect, Quirk, Refusal};
use crate::wire::rewrite::Changes;

pub use crate::base::glob::Glob;
pub use choose::{Choosing, Chosen, PassedOver, Why};
pub use health::Health;
pub use index::Rules;
pub use names::Name;
pub use rule::{Asked, Choice, HeaderMatch, Match, Retry, RetryOn, Rule, StickyBy};
pub use rule_name::{RuleName, id};
pub use sticky::Sticky;

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
    /// How the provider differs from its dialect; what leaves is written accordingly.
    pub quirks: Vec<Quirk>,
    /// Headers that every request leaves with, whatever the caller sent: the provider's, and those of
    /// the configuration, which win.
    pub headers: Vec<(Arc<str>, Arc<str>)>,
    /// Headers that no request leaves with, in lower case. None is in `headers`.
    pub removed_headers: Vec<Arc<str>>,
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

/// The whole routing table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Targets {
    pub backends: Vec<Arc<Backend>>,
    pub rules: Rules,
    pub passthrough: Vec<Passthrough>,
    /// Bare catalogue models that exactly one backend with a credential serves.
    pub bare: HashMap<Arc<str>, usize>,
    /// Every model name that the catalogue knows and more than one backend, or none, serves.
    pub ambiguous: HashMap<Arc<str>, Vec<usize>>,
}

/// Where one call goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub index: usize,
    pub backend: Arc<Backend>,
    /// The model name that leaves.
    pub model: Arc<str>,
    /// Which rule chose it; none for `BACKEND/MODEL` and bare names.
    pub rule: Option<RuleName>,
    /// What that rule says of another attempt.
    pub retry: Option<Arc<Retry>>,
    /// What that rule changes.
    pub changes: Option<Arc<Changes>>,
}

/// One choice of a rule, for whoever says whether it is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// Of the backend.
    pub index: usize,
    pub backend: &'a str,
    /// The model name that would leave.
    pub model: &'a str,
    pub rule: &'a RuleName,
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
    /// Chooses the target of a call; `model` is [`Asked::model`] once more, to be shared.
    ///
    /// # Errors
    /// 404 `model_not_found` when nothing serves the model, 404 `no_backend` when there is no backend,
    /// 403 `model_not_allowed` when the caller may use none of a rule's backends.
    pub fn resolve(&self, model: &Arc<str>, asked: &Asked<'_>, how: &Choosing<'_>) -> Result<Chosen, Refusal> {
        if self.backends.is_empty() {
            return Err(Refusal::new(
                Code::NoBackend,
                "No backend is configured. Add an LLMBackend, or put a provider's key in the environment of `weir up`.",
            ));
        }
        match self.rules.find(asked) {
            Some(rule) => choose::choose(rule, &self.backends, model, how),
            None => self.by_name(model).map(|target| Chosen { target, why: Why::Name, passed_over: Vec::new() }),
        }
    }

    /// Where a model goes that no rule takes.
    fn by_name(&self, model: &Arc<str>) -> Result<Target, Refusal> {
        if let Some((name, rest)) = model.split_once('/').filter(|(_, rest)| !rest.is_empty())
            && let Some(index) = self.backends.iter().position(|backend| &*backend.name == name)
        {
            return Ok(self.target(index, rest.into()));
        }
        if let Some(&index) = self.bare.get(model) {
            return Ok(self.target(index, model.clone()));
        }
        match self.backends.len() {
            1 if !self.ambiguous.contains_key(model) => Ok(self.target(0, model.clone())),
            _ => Err(self.not_found(model)),
        }
    }

    /// The target that a limit or a failed attempt asks for by name.
    ///
    /// # Errors
    /// 404 `no_backend` when there is no such backend.
    pub fn named(&self, backend: &str, model: &str) -> Result<Target, Refusal> {
        match self.backends.iter().position(|candidate| &*candidate.name == backend) {
            Some(index) => Ok(self.target(index, model.into())),
            None => Err(Refusal::new(Code::NoBackend, format!("There is no backend {backend:?}."))),
        }
    }

    /// Chooses where a request without a model goes: a `passthrough` rule, else the backend whose
    /// own host the request names, else the only one there is.
    ///
    /// # Errors
    /// 404 `no_backend`.
    pub fn pass(&self, path: &str, authority: &str) -> Result<Pass, Refusal> {
        let path_only = path.split('?').next().unwrap_or(path);
        let ruled = self.passthrough.iter().find(|rule| rule.paths.iter().any(|glob| glob.matches(path_only)));
        if let Some(rule) = ruled.filter(|_| is_literal(path_only)) {
            return Ok(self.pass_to(rule.backend, Some(rule.route.clone())));
        }
        let own = self.backends.iter().position(|backend| backend.authority.eq_ignore_ascii_case(authority));
        match (own, self.backends.len()) {
            (Some(index), _) => Ok(self.pass_to(index, None)),
            (None, 1) => Ok(self.pass_to(0, None)),
            _ => Err(Refusal::new(
                Code::NoBackend,
                "This path names no model, and no passthrough rule says which backend serves it.",
            )),
        }
    }

    fn target(&self, index: usize, model: Arc<str>) -> Target {
        Target { index, backend: self.backends[index].clone(), model, rule: None, retry: None, changes: None }
    }

    fn pass_to(&self, index: usize, route: Option<RuleName>) -> Pass {
        Pass { index, backend: self.backends[index].clone(), signed: route.is_some(), route }
    }

    fn not_found(&self, model: &str) -> Refusal {
        let shown: String = model.chars().take(64).collect();
        let message = match self.ambiguous.get(model) {
            Some(backends) if backends.len() > 1 => {
                let names: Vec<&str> = backends.iter().map(|&index| &*self.backends[index].name).collect();
                format!(
                    "The model {shown:?} is served by more than one backend ({}); say BACKEND/{shown} or add a route.",
                    names.join(", ")
                )
            }
            _ => format!("The model {shown:?} is served by no backend here; say BACKEND/MODEL or add a route."),
        };
        Refusal::new(Code::ModelNotFound, message).param("model")
    }
}

// === impl Backend ===

impl Backend {
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
