//! Who calls and who may: consumers, the profile's `identity` and access policies, checked against each
//! other and compiled. Compiling cannot fail.

use std::collections::HashMap;

use super::ConfigError;
use super::spec::{self, Document, Located, TargetKind};
use super::validate::Set;
use crate::access::Rule;
use crate::identity::key::Digest;
use crate::identity::{Consumer, Directory, Rules, Workload};
use crate::policy::access::AccessPolicy;
use crate::policy::select::{Scope, TargetRef};
use crate::target::id;

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
pub(super) fn identity(set: &Set<'_>, own: &Workload) -> Rules {
    let mut directory = Directory::default();
    for (document, consumer) in &set.consumers {
        let tags = consumer.tags.iter().map(|(name, value)| (name.as_str().into(), value.as_str().into()));
        let compiled = Consumer {
            name: document.meta.name.as_str().into(),
            team: consumer.team.as_deref().map(Into::into),
            tags: tags.collect(),
        };
        directory.add(compiled, consumer.matches.iter().cloned());
    }
    let said = &set.profile.identity;
    Rules {
        jwt: said.jwt.clone(),
        end_user: said.end_user.clone(),
        session: said.session.clone(),
        tags: said.tags.iter().map(|tag| tag.as_str().into()).collect(),
        anonymous: said.anonymous.unwrap_or_default(),
        trusted_hops: said.trusted_hops,
        ..Rules::with_directory(own, directory)
    }
}

/// Who may use what.
pub(super) fn access(set: &Set<'_>) -> Vec<AccessPolicy> {
    let compiled = set.access.iter().map(|(document, access)| {
        let labels = access.backends.iter().flatten();
        let labels = labels.map(|(key, value)| (key.as_str().into(), value.as_str().into())).collect();
        AccessPolicy {
            scope: scope(document, &access.scope, set),
            rule: Rule::new(access.allow.clone(), &access.deny, labels),
        }
    });
    compiled.collect()
}

/// For which calls a document speaks: those of its own namespace, unless it is in root.
pub(super) fn scope(document: &Document, spec: &spec::Scope, set: &Set<'_>) -> Scope {
    let meta = &document.meta;
    let namespace = set.namespace(document);
    Scope {
        id: format!("{}/{}", document.kind.as_str(), id(namespace, &meta.name)).into(),
        namespace: namespace.map(Into::into),
        mode: spec.mode,
        targets: spec.targets.iter().map(|found| target(&found.value, namespace, set)).collect(),
        from: spec.from.from.clone(),
    }
}

fn target(spec: &spec::TargetRef, namespace: Option<&str>, set: &Set<'_>) -> TargetRef {
    match spec.kind {
        TargetKind::Backend => TargetRef::Backend(set.backend_id(namespace, &spec.name)),
        TargetKind::Route => {
            let rule = spec.section.as_deref().map(Into::into);
            TargetRef::Route { name: set.route_id(namespace, &spec.name), rule }
        }
    }
}
