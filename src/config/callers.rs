//! Who calls and who may: consumers, the profile's `identity` and access policies, checked against each
//! other and compiled. Compiling cannot fail.

use std::collections::HashMap;
use std::sync::Arc;

use super::ConfigError;
use super::reach::Reach;
use super::spec::{LlmConsumer, Located};
use super::validate::Set;
use crate::access::Rule;
use crate::identity::key::Digest;
use crate::identity::{Consumer, Directory, Match, Rules, Said, Space, Workload};
use crate::policy::access::AccessPolicy;
use crate::policy::spaces::Spaces;
use crate::target::id;

/// Reports keys that two consumers have, and what a consumer says of another namespace than its own.
pub(super) fn check(set: &Set<'_>, errors: &mut Vec<ConfigError>) {
    let mut owners: HashMap<Digest, Arc<str>> = HashMap::new();
    for (document, consumer) in &set.consumers {
        for Located { value, path } in &consumer.digests {
            let owner = id(document.meta.speaks_for(set.root_namespace), &document.meta.name);
            if let Some(other) = owners.insert(*value, owner) {
                errors.push(document.at.error(path, format!("the same key stands in LLMConsumer {other:?}")));
            }
        }
        if let Some(own) = document.meta.speaks_for(set.root_namespace) {
            errors.extend(elsewhere(consumer, own).map(|(path, message)| document.at.error(&path, message)));
        }
    }
}

/// The namespaces of a consumer that are not its own: nobody would ever be found there.
fn elsewhere<'a>(consumer: &'a LlmConsumer, own: &'a str) -> impl Iterator<Item = (String, String)> + 'a {
    consumer.matches.iter().enumerate().flat_map(move |(at, how)| {
        let globs = match how {
            Match::Namespaces(globs) => globs.as_slice(),
            _ => &[],
        };
        let others = globs.iter().enumerate().filter(|(_, glob)| !glob.matches(own));
        others.map(move |(item, glob)| {
            let message = format!(
                "{:?} is not this consumer's own namespace, {own:?}: outside the root namespace a consumer is looked \
                 for among the callers of its own namespace alone",
                glob.as_str()
            );
            (format!("spec.match[{at}].namespaces[{item}]"), message)
        })
    })
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
    let identity = &set.profile.identity;
    let said = identity.said(&Said::default());
    for (document, profile) in &set.profiles {
        let words = profile.identity.said(&said);
        if words != said {
            spaces.entry(document.meta.namespace.as_str().into()).or_default().said = Some(words);
        }
    }
    Rules {
        jwt: identity.jwt.clone(),
        said,
        anonymous: identity.anonymous.unwrap_or_default(),
        trusted_hops: identity.trusted_hops.unwrap_or_default(),
        trust_domains: identity.trust_domains.iter().map(|domain| domain.as_str().into()).collect(),
        ..Rules::with_spaces(own, directory, spaces)
    }
}

/// Who may use what.
pub(super) fn access(set: &Set<'_>, reach: &Reach<'_>) -> Spaces<AccessPolicy> {
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
