//! Which prompts are counted before they leave: those of limits that want it, and those that do not fit by their
//! bytes and may by their tokens.

use bytes::Bytes;

use super::Exchange;
use super::event::{Action, Ask, Slot};
use super::steps::Deciding;
use crate::limit::Stage;
use crate::limit::take::{Refused, Standing};
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

    /// How many tokens a body has for a target's model.
    pub(super) fn count_of(&self, target: &Target, body: Bytes) -> Ask {
        let model = target.model.to_string();
        Ask::Count { caller: self.story.caller.name.clone(), operation: self.story.operation, model, body }
    }

    /// Has a call counted that does not fit by its bytes: a bound never refuses what a count would admit. Not so
    /// where the rest of it has no room either, which no count can change: it comes again when all is given back,
    /// if it asks for less than there is at all. One that waits for room is counted, so as not to wait too long.
    pub(super) fn count_what_does_not_fit(
        &mut self,
        met: &Met,
        refused: &mut Refused,
        target: &Target,
        deciding: &mut Deciding,
        out: &mut Vec<Action>,
    ) -> bool {
        if deciding.limits.is_counted || met.rule.limit.unit.stage() != Stage::Reserve {
            return false;
        }
        let bounds = self.bounds(target, deciding).without_text();
        let least = self.amounts(met, bounds, target).map_or(0, |(least, _)| least.max(1));
        let standing = refused.standings.get(refused.take).copied().unwrap_or(Standing::UNKNOWN);
        let waits = matches!(met.rule.exceeded, Exceeded::Throttle(_));
        let comes_back = refused.wait.is_some() || least > standing.ceiling || !standing.reset.is_zero();
        if least <= standing.left || waits || !comes_back {
            return self.count_first(target, deciding, out);
        }
        if least <= standing.ceiling {
            refused.wait = refused.wait.or(Some(standing.reset));
        }
        false
    }

    /// Whether the prompt is held to what is known of its model because too many were being counted.
    pub(super) fn was_too_busy(deciding: &Deciding) -> bool {
        let (limits, operation) = (&deciding.limits, deciding.fields.call.operation);
        let counts = !operation.is_media() && deciding.body.len() <= MAX_COUNTED;
        counts && limits.is_counted && limits.counted.is_none()
    }
}
