//! Which cache document counts for a call. They replace one another: the most particular one counts (`combine`).

use std::sync::Arc;

use super::combine::{self, Scoped};
use super::select::{Callers, Place, Scope};
use super::spaces::Spaces;
use super::{Mode, Policy};
use crate::cache::Rule;
use crate::identity::Principal;

/// One LLMCachePolicy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CachePolicy {
    pub scope: Scope,
    pub rule: Arc<Rule>,
    /// Who may ask for an answer that is neither looked for nor kept; none for nobody.
    pub bypass: Option<Callers>,
}

// === impl CachePolicy ===

impl CachePolicy {
    /// One that speaks for every call.
    pub fn everywhere(rule: Rule, mode: Mode) -> Self {
        let scope = Scope { id: rule.name.clone(), mode, ..Scope::default() };
        CachePolicy { scope, rule: Arc::new(rule), bypass: None }
    }

    /// Nothing that it finds changes anything.
    pub fn is_shadow(&self) -> bool {
        self.scope.mode == Mode::Shadow
    }

    /// Whether a caller may say `x-weir-cache: bypass`.
    pub fn lets_bypass(&self, principal: &Principal) -> bool {
        self.bypass.as_ref().is_some_and(|callers| callers.has(principal))
    }
}

impl Scoped for CachePolicy {
    fn scope(&self) -> &Scope {
        &self.scope
    }
}

// === impl Policy ===

impl Policy {
    /// The cache document that counts for a call; where none is enforced, the one in Shadow that would.
    pub fn cache_of(&self, principal: &Principal, place: Place<'_>) -> Option<&CachePolicy> {
        let documents: &Spaces<CachePolicy> = &self.caches;
        if documents.is_empty() {
            return None;
        }
        combine::replace(documents, principal, place).or_else(|| combine::shadow(documents, principal, place))
    }
}
