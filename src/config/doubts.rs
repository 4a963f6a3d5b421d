//! What is valid and probably not what was meant. Each doubt is a warning: nothing is refused for it.

use std::collections::HashSet;

use super::ConfigError;
use super::spec::limit::{Amount, Counting, Limit, LlmLimitPolicy, Period, WhenExceeded};
use super::spec::{Document, Encryption, Kind, Spec};
use super::validate::Set;
use crate::identity::{Role, Said};
use crate::limit::Unit;
use crate::limit::key::{Fact, Key, WhenKeyMissing};
use crate::policy::Mode;

/// Where calls can get a value for a key from.
struct Known<'a> {
    said: Said,
    /// Tags of consumers, and those that callers may state.
    tags: HashSet<&'a str>,
}

/// Warns of all of them.
pub(super) fn warn(set: &Set<'_>, warnings: &mut Vec<ConfigError>) {
    warn_of_limits(set, warnings);
    let is_kept = set.documents.iter().any(|document| matches!(document.spec, Some(Spec::Cache(_))));
    let encryption = set.bootstrap.redis.as_ref().map(|redis| &redis.encryption).filter(|_| is_kept);
    let process = set.documents.iter().find(|document| document.kind == Kind::WeirBootstrap);
    if let (Some((field, message)), Some(document)) = (encryption.and_then(lies_open), process) {
        warnings.push(document.at.error(&format!("spec.stores.redis.{field}"), message));
    }
}

/// Answers that are not where one would look for them, or are where others may look.
fn lies_open(encryption: &Encryption) -> Option<(&'static str, &'static str)> {
    match encryption {
        Encryption::Key(_) => None,
        Encryption::Unkeyed => Some((
            "encryptionKey",
            "is not stated, so answers are kept in each process alone and not in this Redis: state a file with 32 \
             random bytes, as `openssl rand -hex 32` writes them",
        )),
        Encryption::Disabled => Some((
            "encryption",
            "is Disabled: whoever can read this Redis reads the answers that are kept in it, and whoever can write to \
             it writes them",
        )),
    }
}

fn warn_of_limits(set: &Set<'_>, warnings: &mut Vec<ConfigError>) {
    let policies: Vec<(&Document, &LlmLimitPolicy)> = set
        .documents
        .iter()
        .filter_map(|document| match &document.spec {
            Some(Spec::Limit(policy)) => Some((document, policy)),
            _ => None,
        })
        .collect();
    if policies.is_empty() {
        return;
    }
    let said = set.profile.identity.said(&Said::default());
    let consumers = set.consumers.iter().flat_map(|(_, consumer)| &consumer.tags).map(|(name, _)| name.as_str());
    let listed = set.profile.identity.tags.iter().flatten().map(String::as_str);
    let known = Known { tags: consumers.chain(listed).collect(), said };
    for &(document, policy) in &policies {
        let mut doubt = |path: &str, message: String| warnings.push(document.at.error(path, message));
        // One that is not even kept is warned of with what is forgotten.
        let is_kept = set.bootstrap.journal.is_some();
        if let Some(message) = counted_alone(policy, set.bootstrap.role).filter(|_| is_kept) {
            doubt("spec.counting", message);
        }
        for (at, limit) in policy.limits.iter().enumerate() {
            if let Some(message) = known.lacks(limit) {
                doubt(&format!("spec.limits[{at}].per"), message);
            }
            if let Some(message) = spends_on(set, limit, document, &policies) {
                doubt(&format!("spec.limits[{at}].whenExceeded"), message);
            }
            if let Some(message) = keeps_nothing(limit) {
                doubt(&format!("spec.limits[{at}].reserve.share"), message);
            }
        }
    }
}

/// A budget of a calendar is money or tokens that somebody has: two processes that count alone allow it twice. How
/// many there are of a gateway is not in its configuration.
fn counted_alone(policy: &LlmLimitPolicy, role: Role) -> Option<String> {
    if role != Role::Gateway || policy.counting != Counting::Process {
        return None;
    }
    let budgets = policy.limits.iter().filter(|limit| matches!(limit.period, Some(Period::Calendar(_))));
    let names: Vec<&str> = budgets.map(|limit| limit.name.as_str()).collect();
    (!names.is_empty()).then(|| {
        format!(
            "is Process, so each pod of this gateway allows the whole of {} by itself; state Fleet, or run one pod",
            names.join(", ")
        )
    })
}

/// A budget that sends calls on refuses none, so what they cost elsewhere has no end unless another one has it. A
/// budget of root speaks for all, one of a namespace for its own.
fn spends_on(
    set: &Set<'_>,
    limit: &Limit,
    document: &Document,
    policies: &[(&Document, &LlmLimitPolicy)],
) -> Option<String> {
    let WhenExceeded::Downgrade(backend, model) = &limit.when_exceeded else { return None };
    let refuses = |limit: &Limit| {
        limit.unit == Unit::Usd && matches!(limit.when_exceeded, WhenExceeded::Deny | WhenExceeded::Throttle(_))
    };
    let own = set.namespace(document);
    let speaks = |other: &Document| set.namespace(other).is_none_or(|space| Some(space) == own);
    let mut others = policies.iter().filter(|(other, policy)| speaks(other) && policy.scope.mode == Mode::Enforce);
    let is_open = limit.unit == Unit::Usd && !others.any(|(_, policy)| policy.limits.iter().any(refuses));
    is_open.then(|| {
        format!(
            "is Downgrade: when {:?} is used up, calls go on to {}/{model} without an end to what they cost; add a \
             limit of USD that denies",
            limit.name, backend.value
        )
    })
}

/// Of what is counted in whole ones a share may round down to none.
fn keeps_nothing(limit: &Limit) -> Option<String> {
    let share = u64::from(limit.reserve.as_ref()?.share.0);
    let Amount::Count(amount) = limit.amount else { return None };
    let is_whole = matches!(limit.unit, Unit::Requests | Unit::Concurrency);
    let least = 100_u64.div_ceil(share.max(1));
    (is_whole && amount < least).then(|| {
        format!("of {amount} is less than one, so nothing is kept; with this share the amount must be at least {least}")
    })
}

// === impl Known ===

impl Known<'_> {
    /// A key for which no call can have a value.
    fn lacks(&self, limit: &Limit) -> Option<String> {
        let (key, source) = limit.per.iter().find_map(|key| match key {
            Key::Fact(Fact::EndUser) if self.said.end_user.is_empty() => {
                Some(("EndUser".to_owned(), "spec.identity.endUser of the LLMProfile names no source".to_owned()))
            }
            Key::Fact(Fact::Session) if self.said.session.is_empty() => {
                Some(("Session".to_owned(), "spec.identity.session of the LLMProfile names no source".to_owned()))
            }
            Key::Tag(name) if !self.tags.contains(&**name) => Some((
                format!("tag {name}"),
                "spec.identity.tags of the LLMProfile does not list it and no LLMConsumer has it".to_owned(),
            )),
            _ => None,
        })?;
        let means = match limit.when_key_missing {
            WhenKeyMissing::Shared => "all calls share one counter",
            WhenKeyMissing::Skip => "no call is ever counted",
            WhenKeyMissing::Deny => "every call is refused",
        };
        Some(format!("has {key}, and {source}: {means}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::secret::SecretSource;

    #[test]
    fn answers_that_are_not_encrypted_are_doubted() {
        let doubted = |encryption| lies_open(&encryption).map(|(field, _)| field);
        assert_eq!(doubted(Encryption::Key(SecretSource::Env("KEY".into()))), None);
        assert_eq!(doubted(Encryption::Unkeyed), Some("encryptionKey"));
        assert_eq!(doubted(Encryption::Disabled), Some("encryption"));
    }
}
