//! Who calls and who may: consumers, the profile's `identity` and access policies, checked against each
//! other and compiled. Compiling cannot fail.

use std::collections::HashMap;
use std::sync::Arc;

use super::ConfigError;
use super::reach::Reach;
use super::spec::Located;
use super::validate::Set;
use crate::access::Rule;
use crate::identity::key::Digest;
use crate::identity::{Consumer, Directory, Rules, Space, Workload};
use crate::policy::access::AccessPolicy;

/// Reports keys that two consumers have.
pub(super) fn check(set: &Set<'_>, errors: &mut Vec<ConfigError>) {
    let mut owners: HashMap<Digest, String> = HashMap::new();
    for (document, consumer) in &set.consumers {
        for Located { value, path } in &consumer.digests {
            let owner = document.meta.name.clone();
            if let Some(other) = owners.insert(*value, owner) {
                errors.push(document.at.error(path, format!("the same key stands in LLMConsumer {other:?}")));
            }
        }
    }
}

/// How callers are told apart.
pub(super) fn identity(set: &Set<'_>, own: &Workload, reach: &Reach<'_>) -> Rules {
    let mut directory = Directory::default();
    let mut spaces: HashMap<Arc<str>, Space> = HashMap::new();
    for (document, consumer) in &set.consumers {
        let tags = consumer.tags.iter().map(|(name, value)| (name.as_str().into(), value.as_str().into()));
        let namespace = reach.namespace(document);
        let compiled = Consumer {
            name: reach.consumer_id(namespace, &document.meta.name),
            team: consumer.team.as_deref().map(Into::into),
            tags: tags.collect(),
        };
        let directory = match namespace {
            None => &mut directory,
            Some(namespace) => &mut spaces.entry(namespace.into()).or_default().directory,
        };
        directory.add(compiled, consumer.matches.iter().cloned());
    }
    let said = &set.profile.identity;
    Rules {
        jwt: said.jwt.clone(),
        said: said.said(),
        anonymous: said.anonymous.unwrap_or_default(),
        trusted_hops: said.trusted_hops,
        ..Rules::with_spaces(own, directory, spaces)
    }
}

/// Who may use what.
pub(super) fn access(set: &Set<'_>, reach: &Reach<'_>) -> Vec<AccessPolicy> {
    let compiled = set.access.iter().map(|(document, access)| {
        let labels = access.backends.iter().flatten();
        let labels = labels.map(|(key, value)| (key.as_str().into(), value.as_str().into())).collect();
        AccessPolicy {
            scope: reach.scope(document, &access.scope),
            rule: Rule::new(access.allow.clone(), &access.deny, labels),
        }
    });
    compiled.collect()
}
