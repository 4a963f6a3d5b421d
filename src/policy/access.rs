//! All access policies together. They accumulate: every one that speaks for a call is asked, one refusal
//! refuses, and so nothing that is added ever allows what was refused before.

use super::Mode;
use super::combine::{self, Scoped};
use super::select::{Place, Scope, Unmet};
use crate::access::{Labels, Model, Refused, Rule};
use crate::identity::Principal;

/// One LLMAccessPolicy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessPolicy {
    pub scope: Scope,
    pub rule: Rule,
}

/// One place that a call could go to.
#[derive(Clone, Copy, Debug)]
pub struct Visit<'a> {
    pub caller: &'a Principal,
    pub place: Place<'a>,
    pub model: Model<'a>,
    /// Of the backend.
    pub labels: &'a Labels,
}

/// What a policy says of a visit, for whoever asks why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// It does not speak for the call.
    Unmet(Unmet),
    Allowed,
    Refused(Refused<'a>),
}

/// The policies that speak for a visit, in their order, and what each says.
pub fn asked<'a>(
    policies: &'a [AccessPolicy],
    visit: Visit<'a>,
) -> impl Iterator<Item = (&'a AccessPolicy, Result<(), Refused<'a>>)> {
    combine::accumulate(policies, visit.caller, visit.place)
        .map(move |policy| (policy, policy.rule.check(visit.model, visit.labels)))
}

/// Whether a visit is allowed: no policy that is enforced refuses it.
pub fn is_allowed(policies: &[AccessPolicy], visit: Visit<'_>) -> bool {
    asked(policies, visit).all(|(policy, said)| said.is_ok() || policy.scope.mode == Mode::Shadow)
}

/// Every policy, those that do not speak for the call included.
pub fn explain<'a>(
    policies: &'a [AccessPolicy],
    visit: Visit<'a>,
) -> impl Iterator<Item = (&'a AccessPolicy, Verdict<'a>)> {
    policies.iter().map(move |policy| {
        let verdict = match policy.scope.admits(visit.caller, visit.place) {
            Err(unmet) => Verdict::Unmet(unmet),
            Ok(()) => match policy.rule.check(visit.model, visit.labels) {
                Ok(()) => Verdict::Allowed,
                Err(refused) => Verdict::Refused(refused),
            },
        };
        (policy, verdict)
    })
}

// === impl AccessPolicy ===

impl Scoped for AccessPolicy {
    fn scope(&self) -> &Scope {
        &self.scope
    }
}

#[cfg(test)]
mod tests;
