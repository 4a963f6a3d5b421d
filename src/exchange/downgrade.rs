//! A limit that does not hold a call sends it elsewhere, once (`whenExceeded: Downgrade`): there it meets access, its
//! limits, the cache and the credential anew, under the rule that took it first.
//!
//! The limit that sent it on still counts it, so that a budget says what was spent, and refuses it no more. That is
//! about the counter that had no room: another one of the same limit (`per: [Model]`) holds as any does.

use std::sync::Arc;

use super::Exchange;
use super::event::Action;
use super::limits::Limits;
use super::steps::{Deciding, Flow, Step};
use crate::limit::key::{Fact, Key};
use crate::limit::tally::Outcome;
use crate::policy::limits::{Exceeded, Met, Rule};
use crate::target::Target;

// === impl Exchange ===

impl Exchange {
    /// Sends a call on that a limit does not hold. None where that limit has nowhere to send it.
    pub(super) fn downgrade(
        &mut self,
        step: Step,
        met: &Met,
        deciding: &mut Deciding,
        out: &mut Vec<Action>,
    ) -> Option<Flow> {
        let Exceeded::Downgrade(backend, model) = &met.rule.exceeded else { return None };
        let first = deciding.target.as_ref()?;
        if deciding.retargeted.is_some() || is_there(&met.rule, first, backend, model) {
            return None;
        }
        self.meets(&met.rule.limit, Outcome::Downgraded);
        deciding.limits.sent_on = Some((met.rule.limit.id.clone(), met.key.clone()));
        let (backend, model) = (backend.clone(), model.clone());
        Some(self.retarget(step, &backend, &model, deciding, out))
    }

    /// Back to the first step with another target. All that was granted is given back: there it meets other limits.
    fn retarget(
        &mut self,
        step: Step,
        backend: &str,
        model: &str,
        deciding: &mut Deciding,
        out: &mut Vec<Action>,
    ) -> Flow {
        deciding.retargeted = Some(deciding.cursor);
        self.undo_all(out);
        deciding.limits.start_anew();
        let first = deciding.target.take();
        match self.policy().targets.named(&self.story.caller.namespace, backend, model) {
            Ok(target) => {
                self.story.decide(step.as_str(), "retargeted", "downgrade", format!("{backend}/{model}"));
                deciding.target = Some(match first {
                    Some(first) => Target { retry: first.retry.clone(), ..target.instead_of(first) },
                    None => target,
                });
                // What another model answers is no answer to what was led.
                deciding.lead = None;
                self.leave_items(deciding);
                self.forsake(out);
                Flow::Again
            }
            Err(refusal) => Flow::Refuse(refusal),
        }
    }
}

/// The call is where the limit would send it, and the counter that has no room is that place's own.
fn is_there(rule: &Rule, target: &Target, backend: &str, model: &str) -> bool {
    let of_place = |key: &Key| matches!(key, Key::Fact(Fact::Model | Fact::Backend));
    *target.backend.name == *backend && *target.model == *model && rule.limit.per.iter().any(of_place)
}

// === impl Limits ===

impl Limits {
    /// The rule as this call meets it: the one whose counter has sent the call on refuses it no more, and ends no
    /// stream of it.
    pub fn as_met(&self, met: &Met) -> Arc<Rule> {
        match &self.sent_on {
            Some((limit, key)) if *limit == met.rule.limit.id && *key == met.key => {
                Arc::new(Rule { exceeded: Exceeded::Observe, cuts: false, ..Rule::clone(&met.rule) })
            }
            _ => met.rule.clone(),
        }
    }
}
