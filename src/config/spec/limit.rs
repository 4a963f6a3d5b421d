//! LLMLimitPolicy: how much of what a caller may use in a period.

mod rule;

use std::collections::HashSet;
use std::time::Duration;

use super::super::form::{self, Moment, Percent};
use super::super::read::{Reader, did_you_mean, short};
use super::super::shape::{Fields, Only, Rule, Shape, keyed, list, may, need};
use super::super::text;
use super::scope::{self, Callers, Scope};
use super::{Located, or};
use crate::base::money::{Multiplier, NanoUsd};
use crate::limit::Unit;
use crate::limit::key::{Fact, Key, WhenKeyMissing};
use crate::limit::window;
use crate::policy::OnError;

pub(super) use rule::ON_ERROR;

/// Limits that apply together: each request takes of all of them or of none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LlmLimitPolicy {
    pub scope: Scope,
    pub counting: Counting,
    /// The share of a limit that may be outstanding over all replicas together, where it is stated.
    pub lease: Option<Percent>,
    pub limits: Vec<Limit>,
    pub overrides: Vec<Override>,
}

/// Where the counters are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Counting {
    /// In a store that all replicas share.
    Fleet,
    /// In each process by itself.
    #[default]
    Process,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    pub name: String,
    pub unit: Unit,
    pub amount: Amount,
    /// None for what is counted while it lasts.
    pub period: Option<Period>,
    /// One counter for each combination of these.
    pub per: Vec<Key>,
    pub when_key_missing: WhenKeyMissing,
    /// What a token of each class counts; none for one each.
    pub weights: Option<Weights>,
    /// Shares in percent at which a warning is given.
    pub warn_at: Vec<u8>,
    pub on_error: OnError,
    pub when_exceeded: WhenExceeded,
    pub on_exhausted: OnExhausted,
    /// Count exactly before the call, rather than estimate.
    pub exact: bool,
    /// Tokens out that are assumed of a call that states no bound.
    pub output: Option<u64>,
    pub reserve: Option<Reserve>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    Count(u64),
    Usd(NanoUsd),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Period {
    /// Any stretch of time of this length.
    Rolling(Duration),
    Calendar(window::Calendar),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Weights {
    pub input: Option<Multiplier>,
    pub cache_read: Option<Multiplier>,
    pub cache_write: Option<Multiplier>,
    pub output: Option<Multiplier>,
    pub reasoning: Option<Multiplier>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum WhenExceeded {
    #[default]
    Deny,
    /// To a backend, as the model that is named.
    Downgrade(Located<String>, String),
    /// Wait for at most this long.
    Throttle(Duration),
    Observe,
}

/// What happens to a stream during which a limit runs out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnExhausted {
    #[default]
    Finish,
    Cut,
}

/// A part of a limit that only these callers may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reserve {
    pub callers: Callers,
    pub share: Percent,
}

/// Another amount of one limit for one key, for a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    pub limit: String,
    /// Facts and their values: all must be those of the call.
    pub matches: Vec<(Fact, String)>,
    pub amount: Amount,
    pub not_after: Option<Moment>,
}

pub(in super::super) const POLICY: Fields = Fields {
    rows: &[
        may("mode", Shape::Word(&scope::MODES), scope::MODE).or("Enforce"),
        may("targetRefs", list(&Shape::Object(&scope::TARGET), 16), scope::TARGET_REFS),
        may("from", list(&Shape::Object(&scope::CALLERS), 32), scope::FROM),
        may(
            "counting",
            Shape::Word(&COUNTINGS),
            "Fleet: in a store that all replicas share; Process: in each replica by itself.",
        )
        .or("Process"),
        may(
            "lease",
            Shape::Text(&text::PERCENT),
            "The share of a limit that may be outstanding over all replicas together; 10% if absent, 0% asks the store at every request.",
        ),
        need(
            "limits",
            keyed(&Shape::Object(&rule::LIMIT), "name", 32),
            "They apply together: each request takes of all of them or of none.",
        ),
        may("overrides", list(&Shape::Object(&OVERRIDE), 128), "Other amounts for single callers, for a time."),
    ],
    rules: &[
        Rule::Only {
            key: "counting",
            fields: &[Only {
                field: "lease",
                words: &["Fleet"],
                why: "only what is counted for the whole fleet is leased",
            }],
        },
        Rule::Other {
            says: "an override names a limit of this policy",
            cel: "!has(self.overrides) || self.overrides.all(o, self.limits.exists(l, l.name == o.limit))",
            json: "",
        },
    ],
};
const OVERRIDE: Fields = Fields::of(&[
    need("limit", Shape::Text(&text::LABEL), "A limit of this policy, by name."),
    need("match", Shape::Object(&MATCH), "Whose calls: all of these facts."),
    need("amount", Shape::Amount, "The amount instead, in the unit of the limit."),
    may("notAfter", Shape::Text(&text::MOMENT), "When it ends; absent means never."),
]);
const MATCH: Fields = Fields {
    rows: &[
        may("consumer", Shape::Text(&text::ANY), "The LLMConsumer."),
        may("team", Shape::Text(&text::ANY), "The team."),
        may("namespace", Shape::Text(&text::ANY), "The workload's namespace."),
        may("serviceAccount", Shape::Text(&text::ANY), "The workload's service account."),
        may("workload", Shape::Text(&text::ANY), "The workload."),
        may("model", Shape::Text(&text::ANY), "The resolved model."),
        may("backend", Shape::Text(&text::ANY), "The LLMBackend."),
        may("route", Shape::Text(&text::ANY), "The LLMRoute."),
        may("endUser", Shape::Text(&text::ANY), "The application's user."),
    ],
    rules: &[Rule::Says],
};
/// The facts that an override can name.
const FACTS: &[(&str, Fact)] = &[
    ("consumer", Fact::Consumer),
    ("team", Fact::Team),
    ("namespace", Fact::Namespace),
    ("serviceAccount", Fact::ServiceAccount),
    ("workload", Fact::Workload),
    ("model", Fact::Model),
    ("backend", Fact::Backend),
    ("route", Fact::Route),
    ("endUser", Fact::EndUser),
];
const COUNTINGS: &[(&str, Option<Counting>)] =
    &[("Fleet", Some(Counting::Fleet)), ("Process", Some(Counting::Process))];

/// What may be outstanding when the policy does not say it.
pub(in super::super) const LEASE: Percent = Percent(10);

// === impl LlmLimitPolicy ===

impl LlmLimitPolicy {
    pub(in super::super) fn read(reader: &Reader<'_>) -> Option<LlmLimitPolicy> {
        let policy = reader.object(&POLICY)?;
        let scope = Scope::read(&policy);
        let counting = or(&policy, "counting", Counting::default(), |word| word.word(COUNTINGS));
        let lease = policy.get("lease").and_then(|share| share.parsed(form::percent));
        // A word that could not be read is no reason for a second error.
        let is_process = policy.get("counting").is_none_or(|word| word.peek() == Some("Process"));
        if let (true, Some(lease)) = (is_process, policy.get("lease")) {
            lease.error("only what is counted for the whole fleet is leased: say `counting: Fleet`, or leave this out");
        }
        let mut seen = HashSet::new();
        let limits = policy.need("limits").and_then(|list| list.list(|item| rule::read(&item, &mut seen)));
        let limits = limits.unwrap_or_default();
        // The names of all limits, rightly written or not: a wrong limit is no reason to doubt its overrides.
        let overrides = policy.get("overrides").and_then(|list| list.list(|item| read_override(&item, &limits, &seen)));
        Some(LlmLimitPolicy { scope, counting, lease, limits, overrides: overrides.unwrap_or_default() })
    }
}

fn read_override(reader: &Reader<'_>, limits: &[Limit], names: &HashSet<String>) -> Option<Override> {
    let object = reader.object(&OVERRIDE)?;
    let limit = object.need("limit").and_then(|limit| {
        let name = limit.text()?;
        if !names.contains(name) {
            let hint = did_you_mean(name, names.iter().map(String::as_str));
            let hint = hint.map_or_else(String::new, |close| format!("; did you mean {close:?}?"));
            limit.error(format_args!("this policy has no limit {:?}{hint}", short(name)));
        }
        Some(name.to_owned())
    });
    let matches = object.need("match").and_then(|facts| {
        let object = facts.object(&MATCH)?;
        if object.is_empty() {
            facts.error("says of nobody who it is: name at least one fact, or change the limit itself");
        }
        let fact = |(name, fact): &(&str, Fact)| Some((*fact, object.get(name)?.text()?.to_owned()));
        Some(FACTS.iter().filter_map(fact).collect())
    });
    let unit = limits.iter().find(|known| Some(&known.name) == limit.as_ref()).map(|known| known.unit);
    let amount = object.need("amount").zip(unit).and_then(|(amount, unit)| rule::amount(&amount, unit));
    let not_after = object.get("notAfter").and_then(|time| time.parsed(form::moment));
    Some(Override { limit: limit?, matches: matches?, amount: amount?, not_after })
}
