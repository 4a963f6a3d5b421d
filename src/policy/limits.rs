//! All limit policies together. They accumulate: every limit that speaks for a call is asked, all are taken
//! or none is, and so nothing that a namespace adds loosens what root says.

use std::sync::Arc;
use std::time::Duration;

use super::combine::{self, Scoped};
use super::select::{From, Place, Scope};
use super::view::View;
use super::{Mode, OnError, Policy};
use crate::identity::Principal;
use crate::limit::key::{self, Counter, Fact, Facts, Key};
use crate::limit::take::{Posture, Take};
use crate::limit::{Limit, Unit};

/// One LLMLimitPolicy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitPolicy {
    pub scope: Scope,
    pub rules: Vec<Arc<Rule>>,
}

/// One limit with all that decides when it is asked, and what its answer means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub limit: Arc<Limit>,
    /// Of the document.
    pub mode: Mode,
    pub on_error: OnError,
    pub exceeded: Exceeded,
    /// A stream is ended when the limit runs out under it; otherwise it finishes.
    pub cuts: bool,
    /// The prompt is counted before the limit is asked, rather than bounded by its bytes.
    pub exact: bool,
    /// Tokens out that are assumed of a call that states no bound.
    pub output: Option<u64>,
    pub kept: Option<Kept>,
    pub overrides: Vec<Override>,
}

/// What happens to a call that does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exceeded {
    Deny,
    /// It goes to this backend, by its id, as this model.
    Downgrade(Arc<str>, Arc<str>),
    /// It waits for at most this long, if it fits by then.
    Throttle(Duration),
    /// It is counted, and said.
    Observe,
}

/// A part of a limit that only these callers may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    pub from: From,
    /// In percent, from 1 to 99.
    pub share: u8,
}

/// Another amount for some callers, for a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// Facts and their values: all must be those of the call.
    pub matches: Vec<(Fact, Arc<str>)>,
    /// In the parts of the limit's unit.
    pub amount: u64,
    /// In seconds since the Unix epoch; none for ever.
    pub until: Option<u64>,
}

/// A rule that a call meets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Met {
    pub rule: Arc<Rule>,
    pub key: Arc<str>,
    /// See [`Take::ceiling`].
    pub ceiling: u64,
}

/// All that a call meets of its limits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meeting {
    pub met: Vec<Met>,
    /// Limits that refuse nobody, whose key the call must have and has not: nothing is counted of it.
    pub lacking: Vec<Missing>,
}

/// A call that has no value for a key, and must have one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    pub rule: Arc<Rule>,
    pub key: Key,
}

/// How a rule stands to a call for which its policy speaks, for who asks why.
#[derive(Clone, Debug)]
pub struct Stand<'a> {
    pub rule: &'a Rule,
    pub counter: Counter,
    /// Each of its keys with the value that the call has.
    pub values: Vec<(&'a Key, Option<String>)>,
    /// See [`Take::ceiling`].
    pub ceiling: u64,
    /// Where the ceiling is from, if not from the limit.
    pub other: Option<&'a Override>,
    /// What this caller may not use of it.
    pub kept: Option<&'a Kept>,
}

/// Where a call goes and when it was made, as far as limits look at it.
#[derive(Clone, Copy, Debug)]
pub struct Visit<'a> {
    pub place: Place<'a>,
    /// The model that leaves.
    pub model: &'a str,
    /// In seconds since the Unix epoch.
    pub unix: u64,
}

/// The policies that speak for one caller.
pub type Speaking<'a> = combine::Speaking<'a, LimitPolicy>;

/// The rules that a visit of this caller meets, in the order of the documents.
///
/// # Errors
/// The first enforced limit that must have a key and has none.
pub fn meet(
    policies: &Speaking<'_>,
    caller: &Principal,
    visit: Visit<'_>,
    wanted: impl Fn(Unit) -> bool,
) -> Result<Meeting, Missing> {
    let Meeting { mut met, mut lacking } = Meeting::default();
    for policy in policies.at(visit.place) {
        let Some(view) = View::of(policy.scope.namespace.as_deref(), caller) else { continue };
        let tag = |name: &str| view.tag(name);
        let facts = facts(view, visit, &tag);
        for rule in policy.rules.iter().filter(|rule| wanted(rule.limit.unit)) {
            match key::counter(&rule.limit, &facts) {
                Counter::Of(key) => {
                    let ceiling = rule.ceiling(view, &facts, visit.unix);
                    met.push(Met { rule: rule.clone(), key, ceiling });
                }
                Counter::Missing(key) => {
                    let missing = Missing { rule: rule.clone(), key };
                    if rule.is_enforced() {
                        return Err(missing);
                    }
                    lacking.push(missing);
                }
                Counter::Skipped => {}
            }
        }
    }
    Ok(Meeting { met, lacking })
}

fn facts<'a>(view: View<'a>, visit: Visit<'a>, tag: &'a dyn Fn(&str) -> Option<&'a str>) -> Facts<'a> {
    let caller = view.principal();
    Facts {
        consumer: view.consumers().next(),
        team: view.team(),
        namespace: &caller.namespace,
        service_account: &caller.service_account,
        workload: &caller.workload,
        model: visit.model,
        backend: visit.place.backend,
        route: visit.place.route,
        end_user: caller.end_user.as_deref(),
        session: caller.session.as_deref(),
        tag,
    }
}

// === impl Policy ===

impl Policy {
    /// The limit policies that speak for a caller.
    pub fn limits_of(&self, caller: &Principal) -> Speaking<'_> {
        combine::accumulate(&self.limits, caller)
    }

    /// Whether any limit is counted in the store that replicas share.
    pub fn asks_store(&self) -> bool {
        self.shared().next().is_some()
    }

    /// The limits that are counted in the store that replicas share.
    pub fn shared(&self) -> impl Iterator<Item = &Limit> {
        let rules = self.limits.iter().flat_map(|policy| policy.rules.iter());
        rules.map(|rule| &*rule.limit).filter(|limit| limit.is_shared())
    }
}

// === impl LimitPolicy ===

impl LimitPolicy {
    /// One that speaks for every call.
    pub fn new(rules: impl IntoIterator<Item = Rule>) -> Self {
        LimitPolicy { scope: Scope::default(), rules: rules.into_iter().map(Arc::new).collect() }
    }

    /// How each of its rules stands to a visit. The policy is taken to speak for it.
    pub fn stand(&self, caller: &Principal, visit: Visit<'_>) -> Vec<Stand<'_>> {
        let Some(view) = View::of(self.scope.namespace.as_deref(), caller) else { return Vec::new() };
        let tag = |name: &str| view.tag(name);
        let facts = facts(view, visit, &tag);
        let stand = self.rules.iter().map(|rule: &Arc<Rule>| Stand {
            rule,
            counter: key::counter(&rule.limit, &facts),
            values: rule.limit.per.iter().map(|key| (key, facts.value(key).map(str::to_owned))).collect(),
            ceiling: rule.ceiling(view, &facts, visit.unix),
            other: rule.other(&facts, visit.unix),
            kept: rule.withheld(view),
        });
        stand.collect()
    }
}

// === impl Rule ===

impl Rule {
    /// A limit that is enforced, and refuses what does not fit and what cannot be checked.
    pub fn new(limit: Limit) -> Self {
        Rule {
            limit: Arc::new(limit),
            mode: Mode::Enforce,
            on_error: OnError::Deny,
            exceeded: Exceeded::Deny,
            cuts: false,
            exact: false,
            output: None,
            kept: None,
            overrides: Vec::new(),
        }
    }

    /// How much of the limit this caller may use. An override that has ended says nothing; of several the
    /// first that fits counts.
    fn ceiling(&self, view: View<'_>, facts: &Facts<'_>, unix: u64) -> u64 {
        let amount = self.other(facts, unix).map_or(self.limit.amount, |one| one.amount);
        amount - self.withheld(view).map_or(0, |kept| kept.of(amount))
    }

    fn other(&self, facts: &Facts<'_>, unix: u64) -> Option<&Override> {
        let mut overrides = self.overrides.iter().filter(|one| one.until.is_none_or(|until| unix < until));
        overrides.find(|one| one.matches.iter().all(|(fact, value)| facts.fact(*fact) == Some(&**value)))
    }

    fn withheld(&self, view: View<'_>) -> Option<&Kept> {
        self.kept.as_ref().filter(|kept| !kept.from.has(view))
    }

    fn posture(&self) -> Posture {
        match (self.mode, &self.exceeded) {
            (Mode::Shadow, _) => Posture::Shadow,
            (Mode::Enforce, Exceeded::Observe) => Posture::Observe,
            (Mode::Enforce, _) => Posture::Enforce,
        }
    }

    /// A refusal of it refuses the call.
    pub fn is_enforced(&self) -> bool {
        self.posture() == Posture::Enforce
    }

    /// What is left of it is the caller's own business.
    pub fn is_of_caller(&self) -> bool {
        let of_caller = |key: &Key| match key {
            Key::Fact(fact) => fact.is_of_caller(),
            Key::Tag(_) => true,
        };
        self.limit.per.iter().any(of_caller)
    }
}

// === impl Kept ===

impl Kept {
    /// The part of an amount; rounded down, so that what is kept never takes all.
    fn of(&self, amount: u64) -> u64 {
        let part = u128::from(amount) * u128::from(self.share) / 100;
        u64::try_from(part).unwrap_or(amount)
    }
}

// === impl Met ===

impl Met {
    /// What is taken of it for a call that comes to at most this amount.
    pub fn take(&self, amount: u64) -> Take {
        let (limit, key) = (self.rule.limit.clone(), self.key.clone());
        Take { limit, key, ceiling: self.ceiling, amount, posture: self.rule.posture() }
    }
}

impl Scoped for LimitPolicy {
    fn scope(&self) -> &Scope {
        &self.scope
    }
}
