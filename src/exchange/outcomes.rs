//! What each limit made of a call, for who counts calls: one word for each limit that the call met, however often
//! its counter was asked. Of a call that was refused only the limit that refused it has one, and those that let it
//! pass although they would not.

use std::sync::Arc;

use super::Exchange;
use super::event::{Action, Note};
use super::record::Outcome as End;
use super::steps::Step;
use crate::limit::Limit;
use crate::limit::take::{Fit, Taken};
use crate::limit::tally::Outcome;
use crate::policy::Mode;
use crate::policy::limits::{Missing, Rule};

/// A limit and its word.
pub type Met = (Arc<Limit>, Outcome);

// === impl Exchange ===

impl Exchange {
    /// The last word about a limit counts.
    pub(super) fn meets(&mut self, limit: &Arc<Limit>, outcome: Outcome) {
        match self.met.iter_mut().find(|(known, _)| known.id == limit.id) {
            Some((_, word)) => *word = outcome,
            None => self.met.push((limit.clone(), outcome)),
        }
    }

    /// Limits that refuse nobody, for a call without their key: said once, however often they are asked.
    pub(super) fn tell_lacking(&mut self, step: Step, lacking: &[Missing], out: &mut Vec<Action>) {
        for Missing { rule, .. } in lacking {
            let limit = &rule.limit;
            if self.met.iter().any(|(known, _)| known.id == limit.id) {
                continue;
            }
            match rule.mode {
                Mode::Shadow => {
                    self.meets(limit, Outcome::ShadowDenied);
                    self.story.decide(step.as_str(), "would_refuse", "key_missing", &limit.id);
                    self.note(Note::Shadow { step: step.as_str(), reason: "key_missing" }, out);
                }
                Mode::Enforce => {
                    self.meets(limit, Outcome::Observed);
                    self.story.decide(step.as_str(), "observed", "key_missing", &limit.id);
                }
            }
        }
    }

    /// All of them, before what was granted is settled.
    pub(super) fn outcomes(&mut self, end: End) -> Vec<Met> {
        let mut all = std::mem::take(&mut self.met);
        for (taken, rule) in self.grants.iter().flat_map(|held| held.grant.taken.iter().zip(&held.rules)) {
            if !all.iter().any(|(known, _)| known.id == taken.limit.id) {
                let is_cut = end == End::Cut && self.over.as_ref() == Some(&taken.limit.id);
                let word = if is_cut { Outcome::Cut } else { outcome(taken, rule) };
                all.push((taken.limit.clone(), word));
            }
        }
        all
    }
}

fn outcome(taken: &Taken, rule: &Rule) -> Outcome {
    match (taken.fit, rule.mode) {
        (Fit::Fits, _) => Outcome::Granted,
        (Fit::Over, Mode::Shadow) => Outcome::ShadowDenied,
        (Fit::Over, Mode::Enforce) => Outcome::Observed,
        (Fit::Unchecked, _) => Outcome::Unchecked,
    }
}
