//! LLMAccessPolicy: who may use which model and which backend.

use std::collections::BTreeMap;

use super::super::read::{Fields, Reader};
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

const ACCESS: Fields = Fields { known: &["mode", "from", "targetRefs", "models", "backends"], later: &[] };
const MODELS: Fields = Fields { known: &["allow", "deny"], later: &[] };
const BACKENDS: Fields = Fields { known: &["selector"], later: &[] };

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
