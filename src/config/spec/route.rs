//! LLMRoute: which models go to which backends, under which name and in which shares.

use std::collections::HashSet;
use std::sync::Arc;

use super::super::read::Reader;
use super::super::shape::{Fields, Rule, Shape, keyed, list, may, need, set};
use super::super::text;
use super::super::value;
use super::matching::{MATCH, RouteMatch, read_match};
use super::retry::{AFFINITY, FAILOVER, RETRY, read_affinity, read_failover, read_retry};
use super::rewrite::{PARAMETERS, PROMPT, read_changes};
use super::{Located, located, or, unique};
use crate::target::{Failover, Retry, StickyBy};
use crate::wire::rewrite::Changes;

/// Rules over models, and paths without a model.
#[derive(Clone, Debug, PartialEq)]
pub struct LlmRoute {
    pub name: String,
    pub rules: Vec<RouteRule>,
    pub passthrough: Option<PassthroughSpec>,
}

/// Calls that match go to one of these backends.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteRule {
    pub name: String,
    /// Any of these; empty for every call that names a model.
    pub matches: Vec<RouteMatch>,
    pub backends: Vec<RouteBackend>,
    /// Empty for a random choice at each request.
    pub affinity: Vec<StickyBy>,
    pub retry: Option<Arc<Retry>>,
    pub failover: Failover,
    /// What is changed in these calls, if anything is.
    pub changes: Option<Changes>,
    /// `onLoss: Refuse`.
    pub refuses_loss: bool,
}

/// One backend of a rule.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteBackend {
    pub backend: Located<String>,
    /// The name that leaves; none for the caller's own.
    pub model: Option<String>,
    pub priority: u32,
    pub weight: u32,
}

/// Paths without a model.
#[derive(Clone, Debug, PartialEq)]
pub struct PassthroughSpec {
    pub backend: Located<String>,
    pub paths: Vec<String>,
}

pub(in super::super) const ROUTE: Fields = Fields {
    rows: &[
        may(
            "rules",
            keyed(&Shape::Object(&RULE), "name", 64),
            "The first that matches wins; an exact model beats a pattern.",
        ),
        may("passthrough", Shape::Object(&PASSTHROUGH), "Paths without a model."),
    ],
    rules: &[Rule::Says],
};
const RULE: Fields = Fields {
    rows: &[
        need("name", Shape::Text(&text::LABEL), "What records call it, and `sectionName` of policies."),
        may(
            "matches",
            list(&Shape::Object(&MATCH), 16),
            "Which calls: any entry, and all that an entry says; absent: every call that names a model.",
        ),
        need(
            "backends",
            list(&Shape::Object(&BACKEND), 32),
            "Where they go: the lowest priority number first, weights within one.",
        ),
        may("affinity", Shape::Object(&AFFINITY), "Which calls stay together; absent: random per request."),
        may("retry", Shape::Object(&RETRY), "What happens when a backend fails."),
        may(
            "failover",
            Shape::Word(&FAILOVER),
            "When another backend is chosen: beforehand, or after a failed attempt.",
        )
        .or("PerRequest"),
        may("parameters", Shape::Object(&PARAMETERS), "What is changed in the parameters of these calls."),
        may("prompt", Shape::Object(&PROMPT), "What the model is told besides."),
        may("onLoss", Shape::Word(&ON_LOSS), "What happens to a call that the target's dialect cannot say in full."),
    ],
    rules: &[Rule::Other {
        says: "no backend has a weight above 0",
        cel: "self.backends.exists(b, !has(b.weight) || b.weight != 0)",
        json: r#"{"properties": {"backends": {"contains": {"not": {"properties": {"weight": {"const": 0}}, "required": ["weight"]}}}}}"#,
    }],
};
const BACKEND: Fields = Fields::of(&[
    need("name", Shape::Text(&text::ANY), "An LLMBackend."),
    may(
        "model",
        Shape::Text(&text::ANY),
        "The name that leaves; absent: the caller's own, without this backend's name and a slash before it.",
    ),
    may("priority", Shape::Whole { least: 0, most: MAX_PRIORITY }, "The lowest number is first.").or_whole(0),
    may("weight", Shape::Whole { least: 0, most: MAX_WEIGHT }, "Its share among those of the same priority.")
        .or_whole(1),
]);
const PASSTHROUGH: Fields = Fields::of(&[
    need("backend", Shape::Text(&text::ANY), "An LLMBackend."),
    need("paths", set(&Shape::Text(&text::PATH_PATTERN), 64), "Patterns over paths; '*' is the only wildcard."),
]);
/// What happens to a call that the target's dialect cannot say in full.
const ON_LOSS: &[(&str, Option<bool>)] = &[("Drop", Some(false)), ("Refuse", Some(true))];

/// The largest weight; the sum over a rule stays far below what a number holds.
const MAX_WEIGHT: u64 = 1_000_000;

/// The largest priority number.
const MAX_PRIORITY: u64 = 1_000;

// === impl LlmRoute ===

impl LlmRoute {
    pub(in super::super) fn read(reader: &Reader<'_>, name: &str) -> Option<LlmRoute> {
        let object = reader.object(&ROUTE)?;
        if object.is_empty() {
            object.at().error("needs `rules` or `passthrough`");
        }
        let mut seen = HashSet::new();
        let rules = object.get("rules").and_then(|rules| rules.list(|rule| read_rule(&rule, &mut seen)));
        let passthrough = object.get("passthrough").and_then(|passthrough| read_passthrough(&passthrough));
        Some(LlmRoute { name: name.to_owned(), rules: rules.unwrap_or_default(), passthrough })
    }
}

fn read_rule(reader: &Reader<'_>, seen: &mut HashSet<String>) -> Option<RouteRule> {
    let object = reader.object(&RULE)?;
    let name = object.need("name").and_then(|name| {
        unique(&name, seen, "name");
        name.parsed(value::label)
    });
    let matches = object.get("matches").and_then(|matches| matches.list(|item| read_match(&item)));
    let refuses_loss = object.get("onLoss").and_then(|word| word.word(ON_LOSS)).unwrap_or(false);
    let mut pairs = Vec::new();
    let backends = object.need("backends").and_then(|list| list.list(|item| read_backend(&item, &mut pairs)));
    if let (Some(list), Some(backends)) = (object.get("backends"), &backends)
        && !backends.is_empty()
        && backends.iter().all(|backend| backend.weight == 0)
    {
        list.error("no backend has a weight above 0");
    }
    let changes = read_changes(&object);
    let affinity = object.get("affinity").and_then(|affinity| read_affinity(&affinity)).unwrap_or_default();
    let retry = object.get("retry").and_then(|retry| read_retry(&retry));
    let weighed = backends.iter().flatten().filter(|backend| backend.weight > 0).count();
    let failover = object.get("failover").and_then(|failover| read_failover(&failover, retry.as_deref(), weighed));
    let failover = failover.unwrap_or_default();
    let matches = matches.unwrap_or_default();
    Some(RouteRule { name: name?, matches, backends: backends?, affinity, retry, failover, changes, refuses_loss })
}

fn read_backend(reader: &Reader<'_>, pairs: &mut Vec<(String, Option<String>)>) -> Option<RouteBackend> {
    let object = reader.object(&BACKEND)?;
    let backend = object.need("name").and_then(|name| located(&name));
    let model = object.get("model").and_then(|model| model.text()).map(str::to_owned);
    let priority = or(&object, "priority", 0, |priority| priority.whole(value::quantity, 0, MAX_PRIORITY));
    let weight = or(&object, "weight", 1, |weight| weight.whole(value::quantity, 0, MAX_WEIGHT));
    let backend = backend?;
    // The same backend may stand here twice, under two model names.
    let pair = (backend.value.clone(), model.clone());
    if pairs.contains(&pair) {
        object.at().error("duplicate backend: an earlier one has the same name and model");
    } else {
        pairs.push(pair);
    }
    Some(RouteBackend { backend, model, priority: priority.try_into().ok()?, weight: weight.try_into().ok()? })
}

fn read_passthrough(reader: &Reader<'_>) -> Option<PassthroughSpec> {
    let object = reader.object(&PASSTHROUGH)?;
    let backend = object.need("backend").and_then(|backend| located(&backend));
    let mut seen = HashSet::new();
    let paths = object.need("paths").and_then(|paths| {
        paths.list(|path| {
            unique(&path, &mut seen, "path");
            path.parsed(value::path_pattern)
        })
    });
    Some(PassthroughSpec { backend: backend?, paths: paths? })
}
