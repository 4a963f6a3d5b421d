//! LLMAccessPolicy: who may use which model and which backend.

use std::collections::BTreeMap;

use super::super::read::Reader;
use super::super::shape::{Fields, Keyed, Most, Rule, Shape, list, may, need};
use super::super::text;
use super::super::value;
use super::scope::{self, Scope};
use crate::base::glob::Glob;

/// What the callers of its scope may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LlmAccessPolicy {
    pub scope: Scope,
    /// None allows every model that is not denied.
    pub allow: Option<Vec<Glob>>,
    pub deny: Vec<Glob>,
    /// Labels that a backend must have; none allows every backend.
    pub backends: Option<BTreeMap<String, String>>,
}

pub(in super::super) const ACCESS: Fields = Fields {
    rows: &[
        may("mode", Shape::Word(&scope::MODES), scope::MODE).or("Enforce"),
        may("from", list(&Shape::Object(&scope::CALLERS), 32), scope::FROM),
        may("targetRefs", list(&Shape::Object(&scope::TARGET), 16), scope::TARGET_REFS),
        may("models", Shape::Object(&MODELS), "Which models these callers may use."),
        may(
            "backends",
            Shape::Object(&BACKENDS),
            "Which backends these callers may use, for fallback, embedder and judge too.",
        ),
    ],
    rules: &[Rule::AnyOf(&[&["models"], &["backends"]])],
};
const MODELS: Fields = Fields {
    rows: &[
        may(
            "allow",
            Shape::List { item: &Shape::Text(&text::GLOB), least: 0, most: Most::Stored(256), keyed: Keyed::No },
            "Patterns over model names; absent allows every model that is not denied, an empty list none.",
        ),
        may(
            "deny",
            list(&Shape::Text(&text::GLOB), 256),
            "Patterns over model names, matched against the resolved model and every alias; they win over `allow`.",
        ),
    ],
    rules: &[Rule::Says],
};
const BACKENDS: Fields = Fields {
    rows: &[need("selector", Shape::Object(&scope::SELECTOR), "Labels that a backend must have, all of them.")],
    rules: &[Rule::Other {
        says: "a selector without a label would refuse nothing",
        cel: "self.selector.matchLabels.size() > 0",
        json: r#"{"properties": {"selector": {"properties": {"matchLabels": {"minProperties": 1}}}}}"#,
    }],
};

// === impl LlmAccessPolicy ===

impl LlmAccessPolicy {
    pub(in super::super) fn read(reader: &Reader<'_>) -> Option<LlmAccessPolicy> {
        let object = reader.object(&ACCESS)?;
        let (models, backends) = (object.get("models"), object.get("backends"));
        if models.is_none() && backends.is_none() {
            object.at().error("needs `models` or `backends`: it would refuse nothing");
        }
        let models = models.and_then(|models| {
            let models = models.object(&MODELS)?;
            if models.is_empty() {
                models.at().error("needs `allow` or `deny`");
            }
            let globs = |list: Reader<'_>| list.list_or_empty(|item| item.parsed(value::glob));
            let deny = models.get("deny").and_then(|deny| deny.list(|item| item.parsed(value::glob)));
            // An empty list is a wish, too: no model at all.
            Some((models.get("allow").and_then(globs), deny.unwrap_or_default()))
        });
        let backends = backends.and_then(|backends| {
            let selector = backends.object(&BACKENDS)?.need("selector")?;
            let labels = scope::labels(&selector)?;
            if labels.is_empty() {
                selector.error("has no label: it would refuse nothing");
            }
            Some(labels)
        });
        let (allow, deny) = models.unwrap_or_default();
        Some(LlmAccessPolicy { scope: Scope::read(&object), allow, deny, backends })
    }
}
