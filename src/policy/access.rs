//! All access policies together. They accumulate: every one that speaks for a call is asked, one refusal
//! refuses, and so nothing that is added ever allows what was refused before. Nor does anything that a
//! namespace defines, a route or a backend with labels and names of its choice, meet a policy of root.

use super::combine::{self, Scoped};
use super::select::{Place, Scope, Unmet};
use super::spaces::Spaces;
use super::{Mode, Policy};
use crate::access::{Believed, Labels, Model, Names, Refused, Rule};
use crate::identity::Principal;
use crate::target::{Backend, RuleName};

/// One LLMAccessPolicy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessPolicy {
    pub scope: Scope,
    pub rule: Rule,
}

/// One place that a call could go to.
#[derive(Clone, Copy, Debug)]
pub struct Visit<'a> {
    pub place: Place<'a>,
    pub model: Model<'a>,
    /// Of the backend.
    pub labels: &'a Labels,
    /// A namespace defines the backend, and so has chosen its labels.
    pub own_backend: bool,
}

static NO_LABELS: Labels = Labels::new();

/// Every name of a model that leaves for a backend under this name; `long` is [`long_name`].
pub fn names<'a>(
    requested: &'a str,
    leaving: &'a str,
    long: &'a str,
    backend: &'a Backend,
    rule: Option<&RuleName>,
) -> Names<'a> {
    let namespace = backend.namespace.as_deref();
    let mapped = namespace.is_some() || rule.is_some_and(|rule| rule.namespace().is_some());
    Names { requested, leaving, long, namespace, mapped }
}

/// `BACKEND/MODEL`, by the backend's id.
pub fn long_name(backend: &Backend, model: &str) -> String {
    [&*backend.name, "/", model].concat()
}

/// What a policy says of a visit, for whoever asks why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// It does not speak for the call.
    Unmet(Unmet),
    Allowed,
    Refused(Refused<'a>),
}

/// The policies that speak for one caller.
pub type Speaking<'a> = combine::Speaking<'a, AccessPolicy>;

/// The policies that speak for a visit of that caller, in their order, and what each says.
pub fn asked<'a>(
    policies: &Speaking<'a>,
    visit: Visit<'a>,
) -> impl Iterator<Item = (&'a AccessPolicy, Result<(), Refused<'a>>)> {
    policies.at(visit.place).map(move |policy| (policy, policy.check(visit)))
}

/// Whether a visit is allowed: no policy that is enforced refuses it.
pub fn is_allowed<'a>(policies: &Speaking<'a>, visit: Visit<'a>) -> bool {
    asked(policies, visit).all(|(policy, said)| said.is_ok() || policy.scope.mode == Mode::Shadow)
}

/// Every policy, those that do not speak for the caller's visit included.
pub fn explain<'a>(
    policies: &'a Spaces<AccessPolicy>,
    caller: &'a Principal,
    visit: Visit<'a>,
) -> impl Iterator<Item = (&'a AccessPolicy, Verdict<'a>)> {
    policies.iter().map(move |policy| {
        let verdict = match policy.scope.admits(caller, visit.place) {
            Err(unmet) => Verdict::Unmet(unmet),
            Ok(()) => match policy.check(visit) {
                Ok(()) => Verdict::Allowed,
                Err(refused) => Verdict::Refused(refused),
            },
        };
        (policy, verdict)
    })
}

// === impl Policy ===

impl Policy {
    /// The access policies that speak for a caller.
    pub fn access_of(&self, caller: &Principal) -> Speaking<'_> {
        combine::accumulate(&self.access, caller)
    }

    /// A visit to the backend with this index.
    pub fn visit<'a>(&'a self, index: usize, place: Place<'a>, model: Model<'a>) -> Visit<'a> {
        let labels = self.labels.get(index).unwrap_or(&NO_LABELS);
        let own_backend = self.targets.backends.get(index).is_some_and(|backend| backend.namespace.is_some());
        Visit { place, model, labels, own_backend }
    }
}

// === impl AccessPolicy ===

impl AccessPolicy {
    /// What it says of a caller's visit; none where it does not speak for it.
    pub fn says<'a>(&'a self, caller: &Principal, visit: Visit<'a>) -> Option<Result<(), Refused<'a>>> {
        self.scope.speaks_for(caller, visit.place).then(|| self.check(visit))
    }

    /// What the rule says of a visit that the policy speaks for. A policy of a namespace speaks for its
    /// own callers alone, and so takes that namespace at its word; root's takes nobody's but root's.
    fn check<'a>(&'a self, visit: Visit<'a>) -> Result<(), Refused<'a>> {
        let (believed, labels) = match (&self.scope.namespace, visit.own_backend) {
            (Some(_), _) => (Believed::All, visit.labels),
            (None, false) => (Believed::Root, visit.labels),
            (None, true) => (Believed::Root, &NO_LABELS),
        };
        self.rule.check(visit.model, labels, believed)
    }
}

impl Scoped for AccessPolicy {
    fn scope(&self) -> &Scope {
        &self.scope
    }
}

#[cfg(test)]
mod tests;
