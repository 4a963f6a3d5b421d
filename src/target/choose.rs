//! Chooses among the backends of a rule: the lowest priority in which one is fit, by weight or by what
//! keeps the caller. A backend that cools down is passed over, and so is a model that cannot hold the call, where
//! the rule says so; neither ever refuses a call by that alone.

use std::cell::OnceCell;
use std::ops::Deref;
use std::sync::Arc;

use super::health::Health;
use super::rule::{Choice, Failover, Rule};
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
    /// Whether the call can be said to this backend, for this model, in the backend's own dialect.
    pub crosses: &'a dyn Fn(&Backend, &str) -> bool,
    pub sticky: Sticky<'a>,
    pub health: &'a Health,
    pub now: Instant,
    /// With which of a backend's credentials the call would leave, or why the place is closed to it. A choice
    /// of a rule is asked about once.
    pub door: &'a dyn Fn(Candidate<'_>) -> Result<usize, Closed>,
    /// The tokens of the model's context window where the call does not fit in it; none where it may fit. Asked
    /// about each choice once, and only where the rule wants to know.
    pub overfull: &'a dyn Fn(&Rule, Candidate<'_>) -> Option<u64>,
}

/// Why a call may not go to a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// None of the backend's credentials is for the caller, or the one that is cannot be had.
    Credential,
    /// An access policy refuses it.
    Access,
    /// Its price is not known, and has to be.
    Price,
}

/// Where a call goes, and why there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    pub target: Target,
    pub why: Why,
    pub passed_over: Vec<PassedOver>,
    /// Where the attempts after the first go, in turn and then from the first again. Empty where the rule fails
    /// over for the next call alone, or no other choice is fit to take this one.
    pub next: Vec<Target>,
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
    /// None can hold the call, and it has the largest window.
    LargestWindow,
    /// All are closed to the call, and this one says why.
    Closed,
}

/// A choice that would have been considered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassedOver {
    pub backend: Arc<str>,
    /// The model name that would have left.
    pub model: Arc<str>,
    /// For records: `cooled`, `dialect`, `context_too_long`, or the word of [`Closed`].
    pub reason: &'static str,
}

/// One rule's choice for one call.
struct Draft<'a> {
    rule: &'a Rule,
    /// Its choices, in the order of their priorities.
    choices: Vec<Considered<'a>>,
    backends: &'a [Arc<Backend>],
    /// As the caller wrote it.
    model: &'a Arc<str>,
    how: &'a Choosing<'a>,
    /// Some choice has the call's API, so the others are passed over.
    speaks: bool,
    /// None can hold the call; the largest window there is: those with a smaller one are passed over.
    largest: Option<u64>,
}

/// A choice, and what was found out about it.
struct Considered<'a> {
    choice: &'a Choice,
    door: OnceCell<Result<usize, Closed>>,
    overfull: OnceCell<Option<u64>>,
}

/// Chooses for a call that `rule` takes.
///
/// # Errors
/// 404 `no_backend` when no choice has a weight.
pub(super) fn choose(
    rule: &Rule,
    backends: &[Arc<Backend>],
    model: &Arc<str>,
    how: &Choosing<'_>,
) -> Result<Chosen, Refusal> {
    let considered = |choice| Considered { choice, door: OnceCell::new(), overfull: OnceCell::new() };
    let choices = rule.choices.iter().map(considered).collect();
    let mut draft = Draft { rule, choices, backends, model, how, speaks: false, largest: None };
    draft.speaks = draft.choices.iter().any(|choice| draft.is_open(choice) && draft.speaks(choice));
    draft.largest = draft.largest_window();
    let key = how.sticky.key(&rule.affinity);
    let why = match (draft.largest, key) {
        (Some(_), _) => Why::LargestWindow,
        (None, Some(_)) => Why::Affinity,
        (None, None) => Why::Rule,
    };
    let tiers = || draft.choices.chunk_by(|one, other| one.priority == other.priority);
    let chosen = tiers().find_map(|tier| Some((draft.pick(tier, key)?, why)));
    let chosen = chosen.or_else(|| Some((draft.least_cooled()?, Why::LeastCooled)));
    let chosen = chosen.or_else(|| Some((draft.first_closed()?, Why::Closed)));
    let Some((choice, why)) = chosen else { return Err(draft.no_weight()) };
    let passed_over = draft.passed_over(choice);
    let next = draft.after(choice).into_iter().map(|choice| draft.target(choice)).collect();
    Ok(Chosen { target: draft.target(choice), why, passed_over, next })
}

// === impl Choosing ===

#[cfg(test)]
impl<'a> Choosing<'a> {
    /// At the beginning of time; nothing crosses, all is open, and a call fits everywhere.
    pub(crate) fn plain(draw: u64, dialect: Dialect, health: &'a Health) -> Choosing<'a> {
        Choosing {
            draw,
            dialect,
            crosses: &|_, _| false,
            sticky: Sticky::default(),
            health,
            now: Instant(0),
            door: &|_| Ok(0),
            overfull: &|_, _| None,
        }
    }
}

// === impl Draft ===

impl<'a> Draft<'a> {
    fn target(&self, choice: &Considered<'a>) -> Target {
        let rule = self.rule;
        Target {
            index: choice.backend,
            backend: self.backends[choice.backend].clone(),
            model: self.leaving(choice),
            rule: Some(rule.name.clone()),
            retry: rule.retry.clone(),
            changes: rule.changes.clone(),
            refuses_loss: rule.refuses_loss,
        }
    }

    /// Which choices follow `first` where it fails: by priority, and by weight within one; those that cool down
    /// come last. Only what the call can be said to: a failure cannot be answered with a refusal of ours.
    fn after(&self, first: &Considered<'a>) -> Vec<&Considered<'a>> {
        if self.rule.failover == Failover::PerRequest || self.door(first).is_err() {
            return Vec::new();
        }
        let fit = |choice: &&Considered<'a>| {
            let is_fit = self.fits_dialect(choice) && self.fits_context(choice);
            !std::ptr::eq(*choice, first) && self.is_open(choice) && is_fit
        };
        let mut rest: Vec<&Considered<'a>> = self.choices.iter().filter(fit).collect();
        let mut order = Vec::new();
        let mut draw = self.how.draw;
        while order.len() < self.rule.attempts() as usize && !rest.is_empty() {
            let rank = |choice: &&Considered<'_>| (self.cooling(choice).is_some(), choice.priority);
            let Some(best) = rest.iter().map(rank).min() else { break };
            let tier = || rest.iter().enumerate().filter(|(_, choice)| rank(choice) == best);
            // Each place is drawn with other bits of the number that drew the first.
            draw = draw.rotate_left(23);
            let total: u64 = tier().map(|(_, choice)| u64::from(choice.weight)).sum();
            let mut left = draw.checked_rem(total).unwrap_or(0);
            let drawn = tier().find(|(_, choice)| {
                let here = left < u64::from(choice.weight);
                left = left.saturating_sub(u64::from(choice.weight));
                here
            });
            let Some(at) = drawn.map(|(at, _)| at) else { break };
            order.push(rest.remove(at));
        }
        order
    }

    /// One of those that are fit, none when none is.
    fn pick<'s>(&'s self, tier: &'s [Considered<'a>], key: Option<StickyKey>) -> Option<&'s Considered<'a>> {
        match key {
            Some(key) => {
                let near = |choice: &Considered<'_>| {
                    key.distance(&self.backends[choice.backend].name, self.model_of(choice), choice.weight)
                };
                let fit = tier.iter().filter(|choice| self.skip(choice).is_none());
                let near = fit.map(|choice| (near(choice), choice));
                near.reduce(|best, next| if next.0.is_less(best.0) { next } else { best }).map(|(_, choice)| choice)
            }
            None => self.draw(tier),
        }
    }

    fn draw<'s>(&self, tier: &'s [Considered<'a>]) -> Option<&'s Considered<'a>> {
        let share = |choice: &Considered<'_>| if self.skip(choice).is_none() { u64::from(choice.weight) } else { 0 };
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
    fn least_cooled(&self) -> Option<&Considered<'a>> {
        let open = self.choices.iter().filter(|choice| self.is_open(choice) && self.fits_dialect(choice));
        open.filter(|choice| self.fits_context(choice)).min_by_key(|choice| self.cooling(choice))
    }

    /// Of those that are open, where the call fits in none; none where it fits in one, or nobody wants to know.
    fn largest_window(&self) -> Option<u64> {
        if !self.rule.avoids_long_context() {
            return None;
        }
        let mut open = self.choices.iter().filter(|choice| self.is_open(choice) && self.fits_dialect(choice));
        open.try_fold(0, |largest, choice| Some(self.overfull(choice)?.max(largest)))
    }

    /// One of those that are all closed, of a dialect that fits where there is one: what closes it refuses
    /// the call in its own words.
    fn first_closed(&self) -> Option<&Considered<'a>> {
        let weighed = self.choices.iter().filter(|choice| choice.weight > 0);
        weighed.min_by_key(|choice| !self.speaks(choice))
    }

    /// Why a choice is not fit; none when it is.
    fn skip(&self, choice: &Considered<'_>) -> Option<&'static str> {
        if choice.weight == 0 {
            return Some("weight");
        }
        match self.door(choice) {
            Err(closed) => Some(closed.as_str()),
            Ok(_) if !self.fits_dialect(choice) => Some("dialect"),
            Ok(_) if !self.fits_context(choice) => Some("context_too_long"),
            Ok(_) if self.cooling(choice).is_some() => Some("cooled"),
            Ok(_) => None,
        }
    }

    fn is_open(&self, choice: &Considered<'_>) -> bool {
        choice.weight > 0 && self.door(choice).is_ok()
    }

    /// The credential that the call would leave with.
    fn door(&self, choice: &Considered<'_>) -> Result<usize, Closed> {
        *choice.door.get_or_init(|| (self.how.door)(self.candidate(choice)))
    }

    /// The window of a model that cannot hold the call, where the rule wants to know.
    fn overfull(&self, choice: &Considered<'_>) -> Option<u64> {
        let ask = || (self.how.overfull)(self.rule, self.candidate(choice));
        *choice.overfull.get_or_init(|| self.rule.avoids_long_context().then(ask).flatten())
    }

    fn candidate<'s>(&'s self, choice: &'s Considered<'_>) -> Candidate<'s> {
        let (backend, model) = (&self.backends[choice.backend].name, self.model_of(choice));
        Candidate { index: choice.backend, backend, model, rule: Some(&self.rule.name) }
    }

    fn speaks(&self, choice: &Considered<'_>) -> bool {
        let backend = &self.backends[choice.backend];
        backend.dialect == self.how.dialect || (self.how.crosses)(backend, self.model_of(choice))
    }

    fn fits_dialect(&self, choice: &Considered<'_>) -> bool {
        !self.speaks || self.speaks(choice)
    }

    fn fits_context(&self, choice: &Considered<'_>) -> bool {
        self.overfull(choice).is_none_or(|window| self.largest.is_some_and(|largest| window >= largest))
    }

    fn cooling(&self, choice: &Considered<'_>) -> Option<Instant> {
        let (backend, model) = (&self.backends[choice.backend].name, self.model_of(choice));
        self.how.health.cooling_until(backend, self.door(choice).ok()?, model, self.how.now)
    }

    fn model_of<'s>(&self, choice: &Considered<'s>) -> &'s str
    where
        'a: 's,
    {
        choice.choice.leaving(&self.backends[choice.backend], self.model)
    }

    /// The same to keep.
    fn leaving(&self, choice: &Considered<'a>) -> Arc<str> {
        match (&choice.choice.model, self.model_of(choice)) {
            (Some(renamed), _) => renamed.clone(),
            (None, same) if same.len() == self.model.len() => self.model.clone(),
            (None, shorter) => shorter.into(),
        }
    }

    /// Those up to the priority of the one that was chosen, or all where all are closed. A choice without a
    /// weight is no choice.
    fn passed_over(&self, chosen: &Considered<'_>) -> Vec<PassedOver> {
        let is_near = |choice: &&Considered<'_>| choice.priority <= chosen.priority || self.door(chosen).is_err();
        let near = self.choices.iter().filter(|choice| choice.weight > 0).filter(is_near);
        let others = near.filter(|choice| !std::ptr::eq(*choice, chosen));
        let skipped = others.filter_map(|choice| Some((choice, self.skip(choice)?)));
        let told = skipped.map(|(choice, reason)| PassedOver {
            backend: self.backends[choice.backend].name.clone(),
            model: self.leaving(choice),
            reason,
        });
        told.collect()
    }

    fn no_weight(&self) -> Refusal {
        Refusal::new(Code::NoBackend, format!("Rule {:?} has no backend with a weight above 0.", self.rule.name))
    }
}

// === impl Considered ===

impl Deref for Considered<'_> {
    type Target = Choice;

    fn deref(&self) -> &Choice {
        self.choice
    }
}

// === impl Closed ===

impl Closed {
    /// The word of records.
    pub fn as_str(self) -> &'static str {
        match self {
            Closed::Credential => "no_credential",
            Closed::Access => "not_allowed",
            Closed::Price => "unpriced",
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
            Why::LargestWindow => "largest_window",
            Why::Closed => "closed",
        }
    }
}

#[cfg(test)]
mod tests;
