//! Chooses among the backends of a rule: the lowest priority in which one is fit, by weight or by what
//! keeps the caller. A backend that cools down is passed over, and never refuses a call by that alone.

use std::sync::Arc;

use super::health::Health;
use super::rule::{Choice, Rule};
use super::sticky::{Sticky, StickyKey};
use super::{Backend, Candidate, Target};
use crate::base::now::Instant;
use crate::llm::{Code, Dialect, Refusal};

/// What is known when a backend is chosen.
#[derive(Clone, Copy)]
pub struct Choosing<'a> {
    /// A uniformly random number.
    pub draw: u64,
    /// The call's own. A backend that speaks another one is passed over where one is left that does not.
    pub dialect: Dialect,
    /// It can be said in any other dialect.
    pub is_chat: bool,
    pub sticky: Sticky<'a>,
    pub health: &'a Health,
    pub now: Instant,
    /// Whether the caller may go there.
    pub admits: &'a dyn Fn(Candidate<'_>) -> bool,
    /// Which of a backend's credentials the caller gets; none where none is for it.
    pub credential: &'a dyn Fn(usize) -> Option<usize>,
}

/// Where a call goes, and why there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    pub target: Target,
    pub why: Why,
    pub passed_over: Vec<PassedOver>,
}

/// Why a backend was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The call names it, or its model does.
    Name,
    /// By the weights of a rule.
    Rule,
    /// It is where the caller is kept.
    Affinity,
    /// All cool down, and its time ends first.
    LeastCooled,
}

/// A choice that would have been considered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassedOver {
    pub backend: Arc<str>,
    /// The model name that would have left.
    pub model: Arc<str>,
    /// For records: `cooled`, `dialect`, `no_credential` or `not_allowed`.
    pub reason: &'static str,
}

/// One rule's choice for one call.
struct Draft<'a> {
    rule: &'a Rule,
    backends: &'a [Arc<Backend>],
    /// As the caller wrote it.
    model: &'a Arc<str>,
    how: &'a Choosing<'a>,
    /// Some choice has the call's API, so the others are passed over.
    speaks: bool,
}

/// Chooses for a call that `rule` takes.
///
/// # Errors
/// 404 `no_backend` when no choice has a weight, 403 `model_not_allowed` when the caller may use none.
pub(super) fn choose(
    rule: &Rule,
    backends: &[Arc<Backend>],
    model: &Arc<str>,
    how: &Choosing<'_>,
) -> Result<Chosen, Refusal> {
    let mut draft = Draft { rule, backends, model, how, speaks: false };
    draft.speaks = rule.choices.iter().any(|choice| draft.is_open(choice) && draft.speaks(choice));
    let key = how.sticky.key(&rule.affinity);
    let why = if key.is_some() { Why::Affinity } else { Why::Rule };
    let tiers = || rule.choices.chunk_by(|one, other| one.priority == other.priority);
    let chosen = tiers().find_map(|tier| Some((draft.pick(tier, key)?, why)));
    let chosen = chosen.or_else(|| Some((draft.least_cooled()?, Why::LeastCooled)));
    let Some((choice, why)) = chosen else { return Err(draft.refusal()) };
    let passed_over = draft.passed_over(choice);
    let target = Target {
        index: choice.backend,
        backend: backends[choice.backend].clone(),
        model: draft.model_of(choice).clone(),
        rule: Some(rule.name.clone()),
        retry: rule.retry.clone(),
        changes: rule.changes.clone(),
        refuses_loss: rule.refuses_loss,
    };
    Ok(Chosen { target, why, passed_over })
}

// === impl Draft ===

impl<'a> Draft<'a> {
    /// One of those that are fit, none when none is.
    fn pick(&self, tier: &'a [Choice], key: Option<StickyKey>) -> Option<&'a Choice> {
        match key {
            Some(key) => {
                let near = |choice: &Choice| {
                    key.distance(&self.backends[choice.backend].name, self.model_of(choice), choice.weight)
                };
                let fit = tier.iter().filter(|choice| self.skip(choice).is_none());
                let near = fit.map(|choice| (near(choice), choice));
                near.reduce(|best, next| if next.0.is_less(best.0) { next } else { best }).map(|(_, choice)| choice)
            }
            None => self.draw(tier),
        }
    }

    fn draw(&self, tier: &'a [Choice]) -> Option<&'a Choice> {
        let share = |choice: &Choice| if self.skip(choice).is_none() { u64::from(choice.weight) } else { 0 };
        let total: u64 = tier.iter().map(share).sum();
        let mut left = self.how.draw.checked_rem(total)?;
        tier.iter().find(|choice| {
            let share = share(choice);
            let here = left < share;
            left = left.saturating_sub(share);
            here
        })
    }

    /// The one whose time ends first among all that are open.
    fn least_cooled(&self) -> Option<&'a Choice> {
        let open = self.rule.choices.iter().filter(|choice| self.is_open(choice) && self.fits_dialect(choice));
        open.min_by_key(|choice| self.cooling(choice))
    }

    /// Why a choice is not fit; none when it is.
    fn skip(&self, choice: &Choice) -> Option<&'static str> {
        match () {
            () if choice.weight == 0 => Some("weight"),
            () if self.credential(choice).is_none() => Some("no_credential"),
            () if !self.is_admitted(choice) => Some("not_allowed"),
            () if !self.fits_dialect(choice) => Some("dialect"),
            () if self.cooling(choice).is_some() => Some("cooled"),
            () => None,
        }
    }

    fn is_open(&self, choice: &Choice) -> bool {
        choice.weight > 0 && self.credential(choice).is_some() && self.is_admitted(choice)
    }

    fn credential(&self, choice: &Choice) -> Option<usize> {
        (self.how.credential)(choice.backend)
    }

    fn is_admitted(&self, choice: &Choice) -> bool {
        let model = choice.model.as_ref().unwrap_or(self.model);
        let backend = &self.backends[choice.backend].name;
        (self.how.admits)(Candidate { index: choice.backend, backend, model, rule: &self.rule.name })
    }

    fn speaks(&self, choice: &Choice) -> bool {
        self.how.is_chat || self.backends[choice.backend].dialect == self.how.dialect
    }

    fn fits_dialect(&self, choice: &Choice) -> bool {
        !self.speaks || self.speaks(choice)
    }

    fn cooling(&self, choice: &Choice) -> Option<Instant> {
        let (backend, model) = (&self.backends[choice.backend].name, self.model_of(choice));
        self.how.health.cooling_until(backend, self.credential(choice)?, model, self.how.now)
    }

    fn model_of(&self, choice: &'a Choice) -> &'a Arc<str> {
        choice.model.as_ref().unwrap_or(self.model)
    }

    /// Those up to the priority of the one that was chosen. A choice without a weight is no choice.
    fn passed_over(&self, chosen: &Choice) -> Vec<PassedOver> {
        let near = self.rule.choices.iter().filter(|choice| choice.priority <= chosen.priority && choice.weight > 0);
        let others = near.filter(|choice| !std::ptr::eq(*choice, chosen));
        let skipped = others.filter_map(|choice| Some((choice, self.skip(choice)?)));
        let told = skipped.map(|(choice, reason)| PassedOver {
            backend: self.backends[choice.backend].name.clone(),
            model: self.model_of(choice).clone(),
            reason,
        });
        told.collect()
    }

    fn refusal(&self) -> Refusal {
        match self.rule.choices.iter().any(|choice| choice.weight > 0) {
            true => Refusal::new(Code::ModelNotAllowed, "None of the backends that serve this model may be used here.")
                .param("model"),
            false => Refusal::new(
                Code::NoBackend,
                format!("Rule {:?} has no backend with a weight above 0.", self.rule.name),
            ),
        }
    }
}

// === impl Why ===

impl Why {
    /// The word of records.
    pub fn as_str(self) -> &'static str {
        match self {
            Why::Name => "name",
            Why::Rule => "rule",
            Why::Affinity => "affinity",
            Why::LeastCooled => "least_cooled",
        }
    }
}

#[cfg(test)]
mod tests;
