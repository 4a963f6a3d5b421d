//! The first step of every exchange: facts and headers to one caller, or to a no.

use std::sync::Arc;

use super::claims::{Claim, Claims};
use super::directory::Directory;
use super::forwarded::{Forwarded, forwarded};
use super::key::{KEY_PREFIX, Unusable};
use super::said::{self, bounded};
use super::{Anonymous, Consumer, FORWARDED_HEADER, Facts, Jwt, Own, Principal, Rank, Role, Rules, Space};
use crate::base::words::Words;
use crate::llm::{Code, Refusal};

/// Headers in which a key of Weir's may stand.
const KEY_HEADERS: [&str; 4] = ["authorization", "x-api-key", "api-key", "x-goog-api-key"];
/// Headers in which a credential may stand, and a key of Weir's in none.
const OTHER_HEADERS: [&str; 2] = ["proxy-authorization", "cookie"];

/// The longest SPIFFE id, as its standard has it.
const MAX_URI: usize = 2048;
/// Groups of a token, at most. Where there are more, nobody could say that a rule about one of them
/// does not apply.
const MAX_GROUPS: usize = 512;

/// A caller that is not served. What the refusal says tells a caller nothing of other people's keys;
/// `reason` and `detail` are for the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    pub refusal: Box<Refusal>,
    pub reason: &'static str,
    /// A key's name and its consumer's; never a key.
    pub detail: Words,
}

/// Facts as they are gathered, the strongest first.
struct Gathering<'a> {
    rules: &'a Rules,
    principal: Principal,
}

/// Whose key was presented.
#[derive(Clone, Copy)]
enum Holder<'a> {
    Root(&'a Consumer),
    /// A consumer of the caller's own namespace.
    Own(&'a Consumer),
}

/// Names the caller. `headers` gives the header fields of the request, names in lower case, as often
/// as it is asked; `now` is in seconds since the Unix epoch.
///
/// # Errors
/// 401 `invalid_api_key` for a credential with Weir's prefix that is not valid, for two different ones,
/// for a token that is too large to be read, and for a caller of whom nothing is known where such are
/// not served. 403 `identity_conflict` when two facts name different teams.
pub fn identify<'h, I: Iterator<Item = (&'h str, &'h [u8])>>(
    rules: &Rules,
    role: Role,
    facts: &Facts,
    headers: impl Fn() -> I,
    now: u64,
) -> Result<Arc<Principal>, Denied> {
    if let Some(caller) = &facts.own {
        return Ok(caller.clone());
    }
    let key = presented(headers())?;
    let mut gathering = Gathering { rules, principal: Principal::default() };
    // The namespace comes first: it says whose keys and whose words count.
    let namespace = match role {
        Role::Sidecar if key.is_none() && rules.said(&rules.own.namespace).is_empty() => return Ok(rules.own.clone()),
        Role::Sidecar => rules.own.namespace.clone(),
        Role::Gateway => {
            let forwarded_by = headers().filter(|(name, _)| *name == FORWARDED_HEADER).map(|(_, value)| value);
            gathering.take_peer(facts, forwarded_by)?;
            gathering.principal.namespace.clone()
        }
    };
    let space = rules.spaces.get(&namespace);
    let key = key.map(|key| whose(&rules.directory, space, key, now)).transpose()?;
    let claims = match (role, &facts.claims) {
        (Role::Sidecar, _) => None,
        (Role::Gateway, claims) => rules.jwt.as_ref().map_or(Ok(None), |jwt| find_claims(jwt, claims))?,
    };
    if let (Some(jwt), Some(claims)) = (&rules.jwt, claims) {
        gathering.take_token(jwt, claims)?;
    }
    if let Some(Holder::Root(consumer)) = key {
        gathering.take_key(consumer)?;
    }
    if role == Role::Sidecar {
        gathering.take_workload()?;
    }
    if let Some(space) = space {
        gathering.take_own(space, claims, key)?;
    }
    let mut principal = gathering.principal;
    if principal.rank == Rank::Anonymous && rules.anonymous == Anonymous::Deny {
        return Err(nobody());
    }
    let said = rules.said(&namespace);
    (principal.end_user, principal.claimed.end_user) = said::first(&said.end_user, claims, &headers);
    (principal.session, principal.claimed.session) = said::first(&said.session, claims, &headers);
    if !said.tags.is_empty() {
        said::tags(&said.tags, headers(), &mut principal.tags);
    }
    Ok(Arc::new(principal))
}

/// The holder of a key. What root says of one is never asked of a namespace.
fn whose<'a>(root: &'a Directory, space: Option<&'a Space>, key: &str, now: u64) -> Result<Holder<'a>, Denied> {
    match (root.by_key(key, now), space) {
        (Ok(consumer), _) => Ok(Holder::Root(consumer)),
        (Err(Unusable::Unknown), Some(Space { directory, .. })) => {
            directory.by_key(key, now).map(Holder::Own).map_err(|why| unusable(why, directory))
        }
        (Err(why), _) => Err(unusable(why, root)),
    }
}

/// The one key of Weir's among the credentials of a request.
fn presented<'h>(headers: impl Iterator<Item = (&'h str, &'h [u8])>) -> Result<Option<&'h str>, Denied> {
    let mut found: Option<&[u8]> = None;
    for (name, value) in headers {
        let may_stand = KEY_HEADERS.contains(&name);
        if !may_stand && !OTHER_HEADERS.contains(&name) {
            continue;
        }
        if !is_own_key(value) {
            continue;
        }
        let value = bearer(value);
        if !may_stand {
            return Err(bad_key("key_misplaced", name.to_owned()));
        }
        if found.is_some_and(|other| other != value) {
            return Err(bad_key("two_keys", ""));
        }
        found = Some(value);
    }
    match found.map(std::str::from_utf8) {
        None => Ok(None),
        Some(Ok(key)) => Ok(Some(key)),
        Some(Err(_)) => Err(bad_key("key_unknown", "")),
    }
}

/// True for the value of a header with a key of Weir's.
pub fn is_own_key(value: &[u8]) -> bool {
    bearer(value).starts_with(KEY_PREFIX.as_bytes())
}

/// The credential inside an `authorization` value, or the value itself.
fn bearer(value: &[u8]) -> &[u8] {
    let value = value.trim_ascii();
    match value.iter().position(|byte| matches!(byte, b' ' | b'\t')) {
        Some(at) if value[..at].eq_ignore_ascii_case(b"bearer") => value[at..].trim_ascii(),
        _ => value,
    }
}

/// The claims of a token, where there is one.
fn find_claims<'a>(jwt: &Jwt, claims: &'a Claims) -> Result<Option<&'a Claim>, Denied> {
    match claims {
        Claims::None => Ok(None),
        Claims::Said(claims) => Ok(claims.at(&jwt.path)),
        Claims::Unreadable => Err(unreadable()),
    }
}

// === impl Gathering ===

impl Gathering<'_> {
    fn take_peer<'h>(&mut self, facts: &Facts, forwarded_by: impl Iterator<Item = &'h [u8]>) -> Result<(), Denied> {
        // Without a certificate anybody may have written the header.
        let Some(peer) = facts.peer_uri.as_deref() else { return Ok(()) };
        let (caller, is_forwarded) = match self.rules.trusted_hops {
            0 => (peer, false),
            hops => match forwarded(forwarded_by, hops) {
                Forwarded::Absent => (peer, false),
                Forwarded::Caller(uri) => (uri, true),
                Forwarded::Nobody => return Ok(()),
            },
        };
        if caller.is_empty() || caller.len() > MAX_URI || caller.chars().any(char::is_control) {
            return Ok(());
        }
        let (namespace, account) = workload_of(caller, &self.rules.trust_domains);
        let uri: Arc<str> = caller.into();
        self.principal.rank = Rank::Peer;
        self.principal.name = uri.clone();
        self.principal.spiffe = Some(uri);
        self.principal.forwarded = is_forwarded;
        self.principal.namespace = namespace.into();
        self.principal.service_account = account.into();
        self.take(self.rules.directory.by_peer(caller, namespace))
    }

    fn take_token(&mut self, jwt: &Jwt, claims: &Claim) -> Result<(), Denied> {
        let text = |name: &str| claims.named(name).and_then(Claim::text).and_then(bounded);
        let subject = text(&jwt.subject);
        if let (Some(subject), Rank::Anonymous) = (&subject, self.principal.rank) {
            self.principal.rank = Rank::Jwt;
            self.principal.name = subject.clone();
        }
        self.principal.subject = subject;
        if let Some(groups) = jwt.groups.as_ref().and_then(|name| claims.named(name)) {
            // A group that is left out is a rule that is got around.
            if matches!(groups, Claim::List(items) if items.iter().any(|item| item.text().is_none())) {
                return Err(unreadable());
            }
            let said = groups.texts();
            let groups: Option<Vec<Arc<str>>> = said.take(MAX_GROUPS + 1).map(bounded).collect();
            let groups = groups.filter(|groups| groups.len() <= MAX_GROUPS);
            self.principal.groups = groups.ok_or_else(unreadable)?;
        }
        if let Some(claim) = jwt.team.as_ref().and_then(|name| claims.named(name)).and_then(Claim::text) {
            let team = bounded(claim).ok_or_else(unreadable)?;
            if !self.principal.fill_team(Some(&team)) {
                return Err(conflict(&self.principal.team, "the token", &team));
            }
        }
        self.take(self.rules.directory.by_claims(claims))?;
        self.count_token();
        Ok(())
    }

    fn take_key(&mut self, consumer: &Consumer) -> Result<(), Denied> {
        if self.principal.rank < Rank::ApiKey {
            self.principal.rank = Rank::ApiKey;
            self.principal.name = consumer.name.clone();
        }
        self.take(Some(consumer))
    }

    fn take_workload(&mut self) -> Result<(), Denied> {
        let own = self.rules.own.clone();
        if self.principal.rank < Rank::Workload {
            self.principal = (*own).clone();
            return Ok(());
        }
        self.principal.namespace = own.namespace.clone();
        self.principal.service_account = own.service_account.clone();
        self.principal.workload = own.workload.clone();
        self.take(self.rules.directory.by_namespace(&own.namespace))
    }

    /// What the caller's own namespace says of it, the strongest fact first; it goes into [`Own`] alone.
    fn take_own(&mut self, space: &Space, claims: Option<&Claim>, key: Option<Holder<'_>>) -> Result<(), Denied> {
        let Principal { spiffe, namespace, tags, .. } = &self.principal;
        let known = &space.directory;
        let of_peer = spiffe.as_deref().and_then(|spiffe| known.by_peer(spiffe, namespace));
        let of_token = claims.and_then(|claims| known.by_claims(claims));
        let of_key = match key {
            Some(Holder::Own(consumer)) => Some(consumer),
            _ => None,
        };
        let of_workload = if spiffe.is_none() { known.by_namespace(namespace) } else { None };
        let mut own: Option<Own> = None;
        for consumer in [of_peer, of_token, of_key, of_workload].into_iter().flatten() {
            match (&mut own, &consumer.team) {
                (None, _) => own = Some(Own::of(consumer, tags)),
                (Some(Own { team: Some(known), .. }), Some(team)) if known != team => {
                    return Err(conflict(&Some(known.clone()), &consumer.name, team));
                }
                (Some(own), team) => own.team = own.team.take().or_else(|| team.clone()),
            }
        }
        self.principal.own = own.map(Arc::new);
        Ok(())
    }

    /// A token without a subject names nobody and is a fact all the same, if it says a team, a group or
    /// a consumer.
    fn count_token(&mut self) {
        let principal = &mut self.principal;
        let says = principal.team.is_some() || principal.consumer.is_some() || !principal.groups.is_empty();
        if principal.rank == Rank::Anonymous && says {
            principal.rank = Rank::Jwt;
            principal.name = principal.consumer.clone().unwrap_or_else(|| "token".into());
        }
    }

    fn take(&mut self, consumer: Option<&Consumer>) -> Result<(), Denied> {
        let Some(consumer) = consumer else { return Ok(()) };
        match self.principal.fill(consumer) {
            true => Ok(()),
            false => Err(conflict(&self.principal.team, &consumer.name, consumer.team.as_deref().unwrap_or_default())),
        }
    }
}

fn conflict(known: &Option<Arc<str>>, who: &str, team: &str) -> Denied {
    let known = known.as_deref().unwrap_or_default();
    Denied {
        refusal: Refusal::new(
            Code::IdentityConflict,
            "What is known of this caller contradicts itself: its credentials belong to different teams. Send only \
             those of one team.",
        )
        .into(),
        reason: Code::IdentityConflict.as_str(),
        detail: format!("team {known:?} is known, and {who} says {team:?}").into(),
    }
}

/// Namespace and account of a SPIFFE id. Istio's form is `spiffe://DOMAIN/ns/NAMESPACE/sa/ACCOUNT`;
/// another form, or an id of another trust domain than these, names the peer and no namespace.
fn workload_of<'u>(uri: &'u str, domains: &[Arc<str>]) -> (&'u str, &'u str) {
    let (domain, path) = uri.strip_prefix("spiffe://").and_then(|rest| rest.split_once('/')).unwrap_or_default();
    if domain.is_empty() || !(domains.is_empty() || domains.iter().any(|known| **known == *domain)) {
        return ("", "");
    }
    let mut parts = path.split('/');
    match (parts.next(), parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some("ns"), Some(namespace), Some("sa"), Some(account), None) => (namespace, account),
        _ => ("", ""),
    }
}

fn unusable(why: Unusable, directory: &Directory) -> Denied {
    let whose = |name: &str, owner: u32| format!("key {name:?} of LLMConsumer {:?}", directory.name(owner));
    match why {
        Unusable::Length => bad_key("key_length", ""),
        Unusable::Unknown => bad_key("key_unknown", ""),
        Unusable::Expired { name, owner } => bad_key("key_expired", whose(&name, owner)),
        Unusable::Blocked { name, owner } => bad_key("key_blocked", whose(&name, owner)),
    }
}

/// One text for all: a caller does not learn whether somebody has such a key.
fn bad_key(reason: &'static str, detail: impl Into<Words>) -> Denied {
    let refusal = Refusal::new(
        Code::InvalidApiKey,
        "This Weir key is not valid here. Send one key, in one header, and check that it was not revoked and that \
         its consumer is configured.",
    );
    Denied { refusal: refusal.into(), reason, detail: detail.into() }
}

fn unreadable() -> Denied {
    let refusal = Refusal::new(
        Code::InvalidApiKey,
        "The token says more than what is read here: ask for one with fewer or shorter claims.",
    );
    Denied { refusal: refusal.into(), reason: "token_unreadable", detail: Words::default() }
}

fn nobody() -> Denied {
    let refusal = Refusal::new(
        Code::InvalidApiKey,
        "This gateway serves callers with an identity: connect over mTLS, so that the proxy can name the peer, or \
         send a token or a Weir key.",
    );
    Denied { refusal: refusal.into(), reason: "anonymous", detail: Words::default() }
}

// === impl Rules ===

impl Rules {
    /// The metadata namespace in which claims are looked for; none in a role that has no token.
    pub fn claims_from(&self, role: Role) -> Option<&Arc<str>> {
        self.jwt.as_ref().filter(|_| role == Role::Gateway).map(|jwt| &jwt.namespace)
    }
}
