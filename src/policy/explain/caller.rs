//! What is known of the caller, and where each fact is from as far as it can be told afterwards.

use super::{Caller, Fact, Question, clip};
use crate::identity::{Principal, Rank, Role};

/// Groups, and tags, that are told of, at most.
const MANY: usize = 16;

pub(super) fn describe(question: &Question<'_>) -> Caller {
    let caller = question.caller;
    let mut facts = Vec::new();
    let mut fact = |name: &str, value: &str, from: &str| {
        if !value.is_empty() {
            facts.push(Fact { name: name.to_owned(), value: clip(value), from: from.to_owned() });
        }
    };
    let peer = match caller.forwarded {
        true => "x-forwarded-client-cert, which a trusted proxy sent",
        false => "the certificate of the peer",
    };
    let workload = match question.policy.role {
        Role::Sidecar => "the pod's own workload",
        Role::Gateway => peer,
    };
    fact("spiffe", caller.spiffe.as_deref().unwrap_or_default(), peer);
    fact("namespace", &caller.namespace, workload);
    fact("serviceAccount", &caller.service_account, workload);
    fact("workload", &caller.workload, workload);
    fact("subject", caller.subject.as_deref().unwrap_or_default(), "the token");
    let groups: Vec<&str> = caller.groups.iter().take(MANY).map(|group| &**group).collect();
    let more = caller.groups.len().saturating_sub(MANY);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    fact("groups", &(groups.join(", ") + &more), "the token");
    if let Some(consumer) = &caller.consumer {
        fact("consumer", consumer, recognised_by(question, consumer));
    }
    if let Some(team) = &caller.team {
        fact("team", team, &team_from(question, team));
    }
    if let Some(own) = &caller.own {
        let from = format!("the documents of namespace {}, which alone know it", caller.namespace);
        fact("consumer", &own.consumer, &from);
        fact("team", own.team.as_deref().unwrap_or_default(), &from);
        own.tags.iter().take(MANY).for_each(|(name, value)| fact(&format!("tag.{name}"), value, &from));
    }
    let said = "what the request says of itself";
    let by = |claimed| if claimed { "the token" } else { said };
    fact("endUser", caller.end_user.as_deref().unwrap_or_default(), by(caller.claimed.end_user));
    fact("session", caller.session.as_deref().unwrap_or_default(), by(caller.claimed.session));
    let own = consumer_tags(question);
    for (name, value) in caller.tags.iter().take(MANY) {
        let from = if own.iter().any(|known| known == name) { "the consumer" } else { said };
        fact(&format!("tag.{name}"), value, from);
    }
    Caller { name: clip(&caller.name), rank: rank(caller), namespace: caller.namespace.clone(), facts }
}

/// The word of the strongest fact's rank.
pub(super) fn rank(caller: &Principal) -> &'static str {
    match caller.rank {
        Rank::Anonymous => "Anonymous",
        Rank::Workload => "Workload",
        Rank::ApiKey => "ApiKey",
        Rank::Jwt => "Jwt",
        Rank::Peer => "Peer",
    }
}

/// By which of its matches a consumer was recognised. The strongest fact that would have is the one.
fn recognised_by(question: &Question<'_>, consumer: &str) -> &'static str {
    let (directory, caller) = (&question.policy.identity.directory, question.caller);
    let is = |found: Option<&crate::identity::Consumer>| found.is_some_and(|found| *found.name == *consumer);
    let by_peer = caller.spiffe.as_deref().is_some_and(|spiffe| is(directory.by_peer(spiffe, &caller.namespace)));
    match caller.rank {
        Rank::Peer if by_peer => "its match of the peer",
        Rank::ApiKey => "its match of the key",
        Rank::Workload => "its match of the namespace",
        Rank::Peer | Rank::Jwt => "its match of the token, or of the key",
        Rank::Anonymous => "its match",
    }
}

fn team_from(question: &Question<'_>, team: &str) -> String {
    let named = question.caller.consumer.as_ref().and_then(|name| question.policy.identity.directory.named(name));
    match named.filter(|consumer| consumer.team.as_deref() == Some(team)) {
        Some(consumer) => format!("LLMConsumer {}", consumer.name),
        None => "the token".to_owned(),
    }
}

fn consumer_tags(question: &Question<'_>) -> Vec<std::sync::Arc<str>> {
    let named = question.caller.consumer.as_ref().and_then(|name| question.policy.identity.directory.named(name));
    named.map(|consumer| consumer.tags.iter().map(|(name, _)| name.clone()).collect()).unwrap_or_default()
}
