//! Which answers can be ended when a limit runs out under them (`onExhausted: Cut`), and so how their output is
//! taken: what is known of that before the call leaves. What shows when its answer begins is in `allowance`.

use super::Exchange;
use super::phase::BodyMode;
use super::steps::Deciding;
use crate::policy::limits::Met;
use crate::target::Target;
use crate::wire::{self, Named};

/// How output is taken of limits that end streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ration {
    /// Nothing can end the answer: it is taken as of any other limit.
    Whole,
    /// The model thinks unseen, so that nobody can tell what of it is still to come: what is stated or assumed is
    /// taken at once, and what is seen beyond that in steps.
    Ahead,
    /// A step ahead of what the stream brings.
    Steps,
}

// === impl Exchange ===

impl Exchange {
    /// How output is taken of those of these limits that end streams.
    pub(super) fn find_ration(&self, met: &[Met], target: &Target, deciding: &mut Deciding) -> Ration {
        if !met.iter().any(|met| met.rule.cuts) {
            return Ration::Whole;
        }
        let known = deciding.limits.ration;
        // Whoever comes to answer it has to be ended in time.
        let ration = known.unwrap_or_else(|| {
            let next = self.attempts.next().iter();
            let all = std::iter::once(target).chain(next).map(|target| self.ration_of(target, deciding));
            all.fold(Ration::Steps, |strictest, one| match (strictest, one) {
                (Ration::Whole, _) | (_, Ration::Whole) => Ration::Whole,
                (Ration::Ahead, _) | (_, Ration::Ahead) => Ration::Ahead,
                (Ration::Steps, Ration::Steps) => Ration::Steps,
            })
        });
        deciding.limits.ration = Some(ration);
        ration
    }

    fn ration_of(&self, target: &Target, deciding: &Deciding) -> Ration {
        let Deciding { fields, body, .. } = deciding;
        match self.may_be_cut(target, deciding) {
            false => Ration::Whole,
            true if wire::thinks_unseen(&target.model, &fields.call, body, target.changes.as_deref()) => Ration::Ahead,
            true => Ration::Steps,
        }
    }

    /// Ending the answer in good order is possible, and ends what is billed.
    fn may_be_cut(&self, target: &Target, deciding: &Deciding) -> bool {
        let call = &deciding.fields.call;
        let Some(passage) = Self::passage(deciding, target).filter(|passage| passage.chat().is_some()) else {
            return false;
        };
        // Gemini's array, where its provider writes it, is one document.
        let is_document = !passage.crosses() && matches!(deciding.named, Named::Path { array: true, .. });
        // Only in this mode does the proxy reset the provider's stream. Elsewhere the provider goes on, as it does
        // with what it makes in the background, and bills all of it.
        let resets = self.setup.mode == BodyMode::FullDuplex && !call.background;
        call.stream && resets && !is_document
    }
}
