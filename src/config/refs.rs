//! What policies and the profile refer to: routes, rules, backends, and what they say together with
//! other documents. Each reference is looked up, none is searched for.

use std::collections::{BTreeSet, HashMap};

use super::ConfigError;
use super::read::{did_you_mean, short};
use super::spec::cache::Embedder;
use super::spec::limit::WhenExceeded;
use super::spec::{
    At, Callers, CredentialSpec, FailurePolicy, Kind, LlmCachePolicy, LlmLimitPolicy, Located, Scope, Spec, TargetKind,
    TargetRef,
};
use super::validate::Set;
use crate::identity::Role;

/// The names that there are.
struct Names<'a> {
    backends: &'a BTreeSet<&'a str>,
    /// The routes with the names of their rules; none for a route that could not be read.
    routes: HashMap<&'a str, Option<BTreeSet<&'a str>>>,
    consumers: BTreeSet<&'a str>,
}

/// Reports references to nothing, and what is wrong between a policy and another document.
pub(super) fn check<'a>(set: &Set<'a>, backends: &'a BTreeSet<&'a str>, errors: &mut Vec<ConfigError>) {
    let names = Names { backends, routes: routes(set), consumers: consumers(set) };
    check_failure_policy(set, errors);
    for document in set.documents {
        let at = &document.at;
        match &document.spec {
            Some(Spec::Access(policy)) => check_scope(&policy.scope, at, set, &names, errors),
            Some(Spec::Limit(policy)) => check_limit(policy, at, set, &names, errors),
            Some(Spec::Cache(policy)) => check_cache(policy, at, set, &names, errors),
            Some(Spec::Guard(policy)) => check_scope(&policy.scope, at, set, &names, errors),
            _ => {}
        }
    }
}

fn routes<'a>(set: &Set<'a>) -> HashMap<&'a str, Option<BTreeSet<&'a str>>> {
    let documents = set.documents.iter().filter(|document| document.kind == Kind::LlmRoute);
    let rules = |spec: &'a Option<Spec>| match spec {
        Some(Spec::Route(route)) => Some(route.rules.iter().map(|rule| rule.name.as_str()).collect()),
        _ => None,
    };
    documents.map(|document| (document.meta.name.as_str(), rules(&document.spec))).collect()
}

fn consumers<'a>(set: &Set<'a>) -> BTreeSet<&'a str> {
    let documents = set.documents.iter().filter(|document| document.kind == Kind::LlmConsumer);
    documents.map(|document| document.meta.name.as_str()).collect()
}

fn check_limit(policy: &LlmLimitPolicy, at: &At, set: &Set<'_>, names: &Names<'_>, errors: &mut Vec<ConfigError>) {
    check_scope(&policy.scope, at, set, names, errors);
    for limit in &policy.limits {
        if let Some(reserve) = &limit.reserve {
            check_callers(&reserve.callers, at, names, errors);
        }
        if let WhenExceeded::Downgrade(backend, _) = &limit.when_exceeded {
            errors.extend(set.dangling(names.backends, at, backend));
        }
    }
}

fn check_cache(policy: &LlmCachePolicy, at: &At, set: &Set<'_>, names: &Names<'_>, errors: &mut Vec<ConfigError>) {
    check_scope(&policy.scope, at, set, names, errors);
    if let Some(callers) = &policy.bypass {
        check_callers(callers, at, names, errors);
    }
    let Some(semantic) = &policy.semantic else { return };
    match &semantic.embedder.value {
        Embedder::Backend { backend, .. } => errors.extend(set.dangling(names.backends, at, backend)),
        Embedder::Local(_) if set.bootstrap.role == Role::Sidecar => {
            let message = "weights are for role Gateway: in a sidecar each pod would hold them; say `builtin: Lexical` \
                           or a backend";
            errors.push(at.error(&format!("{}.local", semantic.embedder.path), message));
        }
        Embedder::Local(_) | Embedder::Lexical => {}
    }
}

fn check_callers(callers: &Callers, at: &At, names: &Names<'_>, errors: &mut Vec<ConfigError>) {
    for Located { value: name, path } in &callers.consumers {
        if !names.consumers.contains(name.as_str()) {
            let hint = hint(name, names.consumers.iter().copied());
            errors.push(at.error(path, format!("there is no LLMConsumer {:?}{hint}", short(name))));
        }
    }
}

fn check_scope(scope: &Scope, at: &At, set: &Set<'_>, names: &Names<'_>, errors: &mut Vec<ConfigError>) {
    check_callers(&scope.from, at, names, errors);
    for target in &scope.targets {
        let path = format!("{}.name", target.path);
        let TargetRef { kind, name, section } = &target.value;
        match kind {
            TargetKind::Backend => {
                let name = Located { value: name.clone(), path };
                errors.extend(set.dangling(names.backends, at, &name));
            }
            TargetKind::Route => match (names.routes.get(name.as_str()), section) {
                (None, _) => {
                    let hint = hint(name, names.routes.keys().copied());
                    errors.push(at.error(&path, format!("there is no LLMRoute {:?}{hint}", short(name))));
                }
                (Some(Some(rules)), Some(section)) if !rules.contains(section.as_str()) => {
                    let hint = hint(section, rules.iter().copied());
                    let message = format!("LLMRoute {name:?} has no rule {:?}{hint}", short(section));
                    errors.push(at.error(&format!("{}.sectionName", target.path), message));
                }
                _ => {}
            },
        }
    }
}

/// Whoever lets calls pass without Weir cannot have it put keys on them.
fn check_failure_policy(set: &Set<'_>, errors: &mut Vec<ConfigError>) {
    let Some(document) = set.documents.iter().find(|document| matches!(document.spec, Some(Spec::Profile(_)))) else {
        return;
    };
    let Some(policy) = &set.profile.failure_policy else { return };
    let injects =
        |credential: &CredentialSpec| !matches!(credential, CredentialSpec::Caller | CredentialSpec::Anonymous);
    let keyed = set.backends.iter().find(|entry| entry.backend.credential.as_ref().is_some_and(injects));
    if let (FailurePolicy::Ignore, Some(entry)) = (policy.value, keyed) {
        let message = format!(
            "Ignore lets calls pass without Weir, and those to {:?} need the key that Weir puts on them; say Fail, or \
             give every backend a credential of type Caller or None",
            entry.backend.name
        );
        errors.push(document.at.error(&policy.path, message));
    }
}

fn hint<'c>(name: &str, candidates: impl Iterator<Item = &'c str>) -> String {
    let mut candidates: Vec<&str> = candidates.collect();
    candidates.sort_unstable();
    did_you_mean(name, candidates.into_iter()).map_or_else(String::new, |close| format!("; did you mean {close:?}?"))
}
