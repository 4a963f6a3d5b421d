//! Which prompts are counted before they leave: those of limits that want it, and those that do not fit by their
//! bytes and may by their tokens.

use bytes::Bytes;

use super::Exchange;
use super::event::{Action, Ask, Slot};
use super::steps::{Deciding, Flow};
use crate::limit::Stage;
use crate::limit::take::Refused;
use crate::policy::limits::{Exceeded, Met};
use crate::target::Target;
use crate::wire::prompt::MAX_COUNTED;

// === impl Exchange ===

impl Exchange {
    /// Has the prompt counted. False where it was already, or cannot be.
    pub(super) fn count_first(&mut self, target: &Target, deciding: &mut Deciding, out: &mut Vec<Action>) -> bool {
        if std::mem::replace(&mut deciding.limits.is_counted, true) || self.story.operation.is_media() {
            return false;
        }
        deciding.limits.is_counting = true;
        self.ask(Slot::Gate, self.count_of(target, deciding.body.clone()), out);
        true
    }

    /// The same for the target that is chosen.
    pub(super) fn count_target(&mut self, deciding: &mut Deciding, out: &mut Vec<Action>) -> bool {
        let target = deciding.target.clone();
        target.is_some_and(|target| self.count_first(&target, deciding, out))
    }

    /// How many tokens a body has for a target's model.
    pub(super) fn count_of(&self, target: &Target, body: Bytes) -> Ask {
        let model = target.model.to_string();
        Ask::Count { caller: self.story.caller.name.clone(), operation: self.story.operation, model, body }
    }

    /// Asks again for a call that does not fit by its bytes, with its tokens: a bound never refuses what a count
    /// would admit. Where the rest of it has no room either, which no count can change, the estimate is enough to
    /// say when it has, unless that is never. One that waits for room is counted, so as not to wait too long.
    pub(super) fn look_closer(
        &mut self,
        met: &Met,
        refused: &Refused,
        target: &Target,
        deciding: &mut Deciding,
        out: &mut Vec<Action>,
    ) -> Option<Flow> {
        if deciding.limits.is_counted || met.rule.limit.unit.stage() != Stage::Reserve {
            return None;
        }
        let has_room = || {
            let bounds = self.bounds(target, deciding).without_text();
            let left = refused.standings.get(refused.take).map_or(u64::MAX, |standing| standing.left);
            self.amounts(met, bounds, target).is_none_or(|amount| amount.most.max(1) <= left)
        };
        match (deciding.limits.is_estimated, &met.rule.exceeded) {
            (true, _) if refused.wait.is_some() => None,
            (false, exceeded) if !matches!(exceeded, Exceeded::Throttle(_)) && !has_room() => {
                deciding.limits.is_estimated = true;
                Some(Flow::Redo)
            }
            _ => self.count_first(target, deciding, out).then_some(Flow::Park),
        }
    }

    /// Whether the prompt is held to what is known of its model because too many were being counted.
    pub(super) fn was_too_busy(deciding: &Deciding) -> bool {
        let (limits, operation) = (&deciding.limits, deciding.fields.call.operation);
        let counts = !operation.is_media() && deciding.body.len() <= MAX_COUNTED;
        counts && limits.is_counted && limits.counted.is_none()
    }
}
