//! LLMLimitPolicy documents to the limits that calls meet. Cannot fail.

use std::sync::Arc;

use super::ConfigError;
use super::reach::Reach;
use super::spec::limit::{
    self as spec, Amount, Counting, Limit, LlmLimitPolicy, OnExhausted, Override, Period, WhenExceeded,
};
use super::spec::{Document, Kind, Spec};
use super::validate::Set;
use crate::limit::key::Fact;
use crate::limit::window::Window;
use crate::limit::{self, Unit, Weights};
use crate::policy::Mode;
use crate::policy::limits::{self, Exceeded, Kept, LimitPolicy, Rule};
use crate::policy::spaces::Spaces;
use crate::target::id;

/// What the documents of a set limit.
pub(super) fn compile(set: &Set<'_>, reach: &Reach<'_>) -> Spaces<LimitPolicy> {
    let policies = set.documents.iter().filter_map(|document| match &document.spec {
        Some(Spec::Limit(policy)) => Some(Making { set, reach, document, policy }.policy()),
        _ => None,
    });
    policies.collect()
}

/// Reports what counts for the whole fleet where no store is shared: it is never counted in each process silently.
pub(super) fn check(set: &Set<'_>, errors: &mut Vec<ConfigError>) {
    // What a WeirBootstrap says that could not be read is not known.
    let is_read = |document: &Document| document.kind != Kind::WeirBootstrap || document.spec.is_some();
    if set.bootstrap.redis.is_some() || !set.documents.iter().all(is_read) {
        return;
    }
    for (document, _) in of_fleet(set) {
        let message = format!(
            "NoSharedStore: policy {:?} counts for the whole fleet, and the WeirBootstrap names no store that replicas \
             share: give it stores.redis.urls, or say `counting: Process` and each replica counts alone",
            document.meta.name
        );
        errors.push(document.at.error("spec.counting", message));
    }
}

fn of_fleet<'a>(set: &Set<'a>) -> impl Iterator<Item = (&'a Document, &'a LlmLimitPolicy)> {
    set.documents.iter().filter_map(|document| match &document.spec {
        Some(Spec::Limit(policy)) if policy.counting == Counting::Fleet => Some((document, policy)),
        _ => None,
    })
}

/// Budgets of a calendar that are counted by a process and forgotten with it.
pub(super) fn warn_of_forgotten(set: &Set<'_>, warnings: &mut Vec<ConfigError>) {
    if set.bootstrap.journal.is_some() {
        return;
    }
    for document in set.documents {
        let Some(Spec::Limit(policy)) = &document.spec else { continue };
        let budgets =
            policy.limits.iter().enumerate().filter(|(_, limit)| matches!(limit.period, Some(Period::Calendar(_))));
        for (n, limit) in budgets.filter(|_| policy.counting == Counting::Process) {
            let message = format!(
                "what is spent of {:?} is counted by each process alone, and begins anew with each start of `weir run`: \
                 state spec.journal of the WeirBootstrap, or `counting: Fleet` for several replicas (`weir up` keeps it \
                 by itself)",
                limit.name
            );
            warnings.push(document.at.error(&format!("spec.limits[{n}].period.calendar"), message));
        }
    }
}

struct Making<'a> {
    set: &'a Set<'a>,
    reach: &'a Reach<'a>,
    document: &'a Document,
    policy: &'a LlmLimitPolicy,
}

// === impl Making ===

impl Making<'_> {
    fn policy(&self) -> LimitPolicy {
        let scope = self.reach.scope(self.document, &self.policy.scope);
        let rules = self.policy.limits.iter().map(|limit| Arc::new(self.rule(limit, scope.mode)));
        LimitPolicy { rules: rules.collect(), scope }
    }

    fn namespace(&self) -> Option<&str> {
        self.reach.namespace(self.document)
    }

    fn rule(&self, limit: &Limit, mode: Mode) -> Rule {
        let namespace = self.namespace();
        let exceeded = match &limit.when_exceeded {
            WhenExceeded::Deny => Exceeded::Deny,
            WhenExceeded::Observe => Exceeded::Observe,
            WhenExceeded::Throttle(longest) => Exceeded::Throttle(*longest),
            WhenExceeded::Downgrade(backend, model) => {
                Exceeded::Downgrade(self.set.backend_id(namespace, &backend.value), model.as_str().into())
            }
        };
        let kept = limit
            .reserve
            .as_ref()
            .map(|reserve| Kept { from: self.reach.callers(namespace, &reserve.callers).from, share: reserve.share.0 });
        let overrides = self.policy.overrides.iter().filter(|one| one.limit == limit.name);
        Rule {
            limit: Arc::new(self.limit(limit)),
            mode,
            on_error: limit.on_error,
            exceeded,
            cuts: limit.on_exhausted == OnExhausted::Cut,
            exact: limit.exact,
            output: limit.output,
            kept,
            overrides: overrides.map(|one| self.other(one)).collect(),
        }
    }

    fn limit(&self, limit: &Limit) -> limit::Limit {
        let policy = id(self.namespace(), &self.document.meta.name);
        limit::Limit {
            id: format!("{policy}/{}", limit.name).into(),
            name: limit.name.as_str().into(),
            unit: limit.unit,
            amount: parts(limit.amount, limit.unit),
            window: match &limit.period {
                None => Window::Held,
                Some(Period::Rolling(length)) => Window::Rolling(*length),
                Some(Period::Calendar(calendar)) => Window::Calendar(calendar.clone()),
            },
            per: limit.per.clone(),
            when_key_missing: limit.when_key_missing,
            weights: limit.weights.as_ref().map_or_else(Weights::default, |weights| {
                let output = weights.output.unwrap_or_default();
                Weights {
                    input: weights.input.unwrap_or_default(),
                    cache_read: weights.cache_read.unwrap_or_default(),
                    cache_write: weights.cache_write.unwrap_or_default(),
                    output,
                    // It is a part of the output.
                    reasoning: weights.reasoning.unwrap_or(output),
                }
            }),
            warn_at: limit.warn_at.clone(),
            counting: match self.policy.counting {
                Counting::Process => limit::Counting::Process,
                Counting::Fleet => limit::Counting::Fleet { lease: self.policy.lease.unwrap_or(spec::LEASE).0 },
            },
        }
    }

    fn other(&self, one: &Override) -> limits::Override {
        let namespace = self.namespace();
        let value = |fact: Fact, name: &str| match fact {
            Fact::Consumer => self.reach.consumer_id(namespace, name),
            Fact::Backend => self.set.backend_id(namespace, name),
            Fact::Route => self.set.route_id(namespace, name),
            _ => name.into(),
        };
        let matches = one.matches.iter().map(|(fact, name)| (*fact, value(*fact, name)));
        let unit = match one.amount {
            Amount::Usd(_) => Unit::Usd,
            Amount::Count(_) => self.unit_of(&one.limit),
        };
        limits::Override {
            matches: matches.collect(),
            amount: parts(one.amount, unit),
            until: one.not_after.map(|moment| u64::try_from(moment.0).unwrap_or(0)),
        }
    }

    fn unit_of(&self, name: &str) -> Unit {
        let found = self.policy.limits.iter().find(|limit| limit.name == name);
        found.map_or(Unit::Requests, |limit| limit.unit)
    }
}

/// Checked: it is no more than can be counted exactly.
fn parts(amount: Amount, unit: Unit) -> u64 {
    match amount {
        Amount::Usd(amount) => u64::try_from(amount.nanos()).unwrap_or(0),
        Amount::Count(count) => count.saturating_mul(unit.scale()),
    }
}
