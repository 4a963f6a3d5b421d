//! Who may go where: the access policies asked about the place that was chosen, before anything is
//! spent, and about the places that could be chosen.

use std::cell::Cell;

use super::Exchange;
use super::event::{Action, Note};
use crate::access::Model;
use crate::credential::Credential;
use crate::identity::Principal;
use crate::llm::{Code, Refusal};
use crate::policy::access::{self, Speaking};
use crate::policy::credentials::Held;
use crate::policy::select::Place;
use crate::policy::{Decided, Policy, decide};
use crate::target::{Backend, Candidate, Closed, Pass, Target};

/// Whom the rules of routes name, asked about one caller. The first 64 are asked once.
pub(super) struct Named<'a> {
    policy: &'a Policy,
    caller: &'a Principal,
    asked: Cell<u64>,
    are: Cell<u64>,
}

// === impl Named ===

impl<'a> Named<'a> {
    pub fn new(policy: &'a Policy, caller: &'a Principal) -> Self {
        Named { policy, caller, asked: Cell::new(0), are: Cell::new(0) }
    }

    /// Whether the caller is one of those of this index; nobody is of those that there are not.
    pub fn are(&self, index: usize) -> bool {
        let is = || self.policy.callers.get(index).is_some_and(|callers| callers.has(self.caller));
        let Some(bit) = u32::try_from(index).ok().and_then(|index| 1_u64.checked_shl(index)) else { return is() };
        if self.asked.get() & bit == 0 {
            self.asked.set(self.asked.get() | bit);
            self.are.set(self.are.get() | if is() { bit } else { 0 });
        }
        self.are.get() & bit != 0
    }
}

// === impl Exchange ===

impl Exchange {
    /// With which of a backend's credentials a call for the model `requested` would leave for a place, or why
    /// it is closed to the caller. What is chosen and what is listed are both asked about here; `speaking`
    /// are the policies that speak for the caller.
    pub(super) fn door(&self, speaking: &Speaking<'_>, place: Candidate<'_>, requested: &str) -> Result<usize, Closed> {
        let backend = self.setup.policy.targets.backends.get(place.index).ok_or(Closed::Credential)?;
        let held = self.held(place.index).ok_or(Closed::Credential)?;
        match () {
            // The step Sign would refuse it.
            () if matches!(held.credential, Credential::Missing(_)) => Err(Closed::Credential),
            () if !self.allows(speaking, place, backend, requested) => Err(Closed::Access),
            () if self.lacks_price(place.index, backend, place.model) => Err(Closed::Price),
            () => Ok(held.row),
        }
    }

    fn allows(&self, speaking: &Speaking<'_>, to: Candidate<'_>, backend: &Backend, requested: &str) -> bool {
        if speaking.is_empty() {
            return true;
        }
        let long = access::long_name(backend, to.model);
        let names = access::names(requested, to.model, &long, backend, to.rule);
        let place = Place::new(to.rule, to.backend);
        access::is_allowed(speaking, self.setup.policy.visit(to.index, place, Model::Named(names)))
    }

    /// Which of a backend's credentials is the caller's; none where the backend is not open to it.
    pub(super) fn credential_row(&self, index: usize) -> Option<usize> {
        self.held(index).map(|held| held.row)
    }

    /// What the caller's calls to a backend leave with.
    pub(super) fn held(&self, index: usize) -> Option<Held<'_>> {
        self.setup.policy.credentials.of(index, &self.story.caller)
    }

    /// As [`Exchange::held`], with a refusal where the backend is not open to the caller.
    pub(super) fn own_credential(&self, index: usize, backend: &Backend) -> Result<Held<'_>, Refusal> {
        self.held(index).ok_or_else(|| {
            let message = format!("Backend {:?} is not open to this caller.", backend.short_name());
            let detail = format!("LLMBackend {:?}: none of its credentials is for this caller.", backend.name);
            Refusal::new(Code::ModelNotAllowed, message).detail(detail)
        })
    }

    /// Whether the call may go there; writes down what the policies decided.
    pub(super) fn check_access(
        &mut self,
        target: &Target,
        requested: &str,
        out: &mut Vec<Action>,
    ) -> Result<(), Refusal> {
        self.own_credential(target.index, &target.backend)?;
        if self.setup.policy.access.is_empty() {
            return Ok(());
        }
        let long = access::long_name(&target.backend, &target.model);
        let names = access::names(requested, &target.model, &long, &target.backend, target.rule.as_ref());
        self.ask_access(target.index, Place::of(target), Model::Named(names), out)
    }

    /// As [`Exchange::check_access`], for a request whose model is not read: there is none, or it may be
    /// `hidden` in a body, a path or a connection that nobody reads here.
    pub(super) fn check_pass(&mut self, pass: &Pass, hidden: bool, out: &mut Vec<Action>) -> Result<(), Refusal> {
        let model = if hidden { Model::Unreadable } else { Model::None };
        self.own_credential(pass.index, &pass.backend)?;
        let place = Place::new(pass.route.as_ref(), &pass.backend.name);
        self.ask_access(pass.index, place, model, out)
    }

    fn ask_access(
        &mut self,
        index: usize,
        place: Place<'_>,
        model: Model<'_>,
        out: &mut Vec<Action>,
    ) -> Result<(), Refusal> {
        let policy = self.policy();
        let caller = self.story.caller.clone();
        let (speaking, visit) = (policy.access_of(&caller), policy.visit(index, place, model));
        let mut refused = None;
        for (asked, said) in access::asked(&speaking, visit) {
            let id = &asked.scope.id;
            let detailed = said.map_err(|why| refused_model(model).detail(format!("{id}: {why}.")));
            match decide(asked.scope.mode, detailed) {
                Decided::Go(()) => self.story.decide("access", "allowed", "policy", id),
                // The first one is reported; the others are written down.
                Decided::Refuse(refusal) => match &refused {
                    None => refused = Some(refusal),
                    Some(_) => self.story.decide("access", "refused", refusal.code.as_str(), id),
                },
                Decided::Would(refusal) => {
                    let reason = refusal.code.as_str();
                    let detail = refusal.detail.unwrap_or_default().into_owned();
                    self.story.decide("access", "would_refuse", reason, detail);
                    self.note(Note::Shadow { step: "access", reason }, out);
                }
            }
        }
        refused.map_or(Ok(()), Err)
    }
}

/// What the caller is told of a model whose price is not known and has to be.
pub(super) fn unpriced(model: &str) -> Refusal {
    let message = format!("The price of {model:?} is not known, and unpriced calls are refused.");
    Refusal::new(Code::ModelNotAllowed, message).param("model")
}

/// What the caller of a model is told.
fn refusal(requested: &str) -> Refusal {
    let asked: String = requested.chars().take(64).collect();
    let message = format!("The model {asked:?} is not allowed for this caller, or not where it is served.");
    Refusal::new(Code::ModelNotAllowed, message).param("model")
}

/// What the caller is told. Which policy it was is the operator's to know.
fn refused_model(model: Model<'_>) -> Refusal {
    let message = match model {
        Model::Named(names) => return refusal(names.requested),
        Model::None => "This path is not allowed for this caller.".to_owned(),
        Model::Unreadable => {
            "The models of this caller are restricted, and what this request asks for cannot be read; \
                              send it as application/json."
                .to_owned()
        }
    };
    let refusal = Refusal::new(Code::ModelNotAllowed, message);
    if model == Model::None { refusal } else { refusal.param("model") }
}
