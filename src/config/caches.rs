//! LLMCachePolicy documents to what the exchange goes by. Cannot fail.

use std::sync::Arc;

use super::ConfigError;
use super::reach::Reach;
use super::spec::cache::{self as spec, LlmCachePolicy, Readers};
use super::spec::{Document, Spec};
use super::validate::Set;
use crate::cache::{Embedder, Rule, Scope, Semantic};
use crate::policy::Mode;
use crate::policy::cache::CachePolicy;
use crate::policy::spaces::Spaces;
use crate::target::id;

/// What the documents of a set say of answers from memory.
pub(super) fn compile(set: &Set<'_>, reach: &Reach<'_>) -> Spaces<CachePolicy> {
    of_set(set).map(|(document, policy)| policy_of(set, reach, document, policy)).collect()
}

/// Warns of what opens answers to callers that may not expect it.
pub(super) fn warn(set: &Set<'_>, warnings: &mut Vec<ConfigError>) {
    for (document, _) in of_set(set).filter(|(_, policy)| policy.readers == Readers::Shared) {
        let message = "Shared: every caller that this document is about reads the answers to every other one's \
                       questions, and can find out by the time an answer takes what others have asked; say Consumer, \
                       Team or Namespace unless all of them may know that";
        warnings.push(document.at.error("spec.scope", message.to_owned()));
    }
}

fn of_set<'a>(set: &Set<'a>) -> impl Iterator<Item = (&'a Document, &'a LlmCachePolicy)> {
    set.documents.iter().filter_map(|document| match &document.spec {
        Some(Spec::Cache(policy)) => Some((document, policy)),
        _ => None,
    })
}

fn policy_of(set: &Set<'_>, reach: &Reach<'_>, document: &Document, policy: &LlmCachePolicy) -> CachePolicy {
    let namespace = reach.namespace(document);
    let embedder = |embedder: &spec::Embedder| match embedder {
        spec::Embedder::Backend { backend, model } => {
            Embedder::Backend(set.backend_id(namespace, &backend.value), model.as_str().into())
        }
        spec::Embedder::Lexical => Embedder::Lexical,
        spec::Embedder::Local(path) => Embedder::Local(path.to_string_lossy().into()),
    };
    let rule = Rule {
        name: id(namespace, &document.meta.name),
        namespace: namespace.unwrap_or_default().into(),
        scope: match policy.readers {
            Readers::Consumer => Scope::Consumer,
            Readers::Team => Scope::Team,
            Readers::Namespace => Scope::Namespace,
            Readers::Shared => Scope::Shared,
        },
        exact: policy.exact.clone(),
        coalesces: policy.coalescing,
        semantic: policy.semantic.as_ref().map(|semantic| Semantic {
            enforced: semantic.mode == Mode::Enforce,
            threshold: semantic.threshold,
            ttl: semantic.ttl,
            embedder: embedder(&semantic.embedder.value),
        }),
    };
    CachePolicy {
        scope: reach.scope(document, &policy.scope),
        rule: Arc::new(rule),
        bypass: policy.bypass.as_ref().map(|callers| reach.callers(namespace, callers)),
    }
}
