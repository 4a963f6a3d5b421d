//! The facts and what becomes of them; and every trick by which a client might be taken for another.

mod forgery;
mod indices;
mod spaces;

use std::collections::HashMap;
use std::sync::Arc;

use super::key::{Digest, Key, State, new_key};
use super::*;
use crate::base::glob::Glob;
use crate::llm::Code;

const NOW: u64 = 1_800_000_000;

fn own() -> Workload {
    Workload { namespace: "shop".into(), service_account: "cart".into(), name: "cart-1".into() }
}

/// The key that is made of this byte.
fn key(byte: u8) -> String {
    new_key(&[byte; key::RANDOM])
}

fn row(name: &str, byte: u8) -> Key {
    Key { name: name.into(), digest: Digest::of(&key(byte)), not_after: None, state: State::Active }
}

fn consumer(name: &str, team: Option<&str>) -> Consumer {
    Consumer { name: name.into(), team: team.map(Into::into), tags: vec![("cost".into(), name.into())] }
}

/// `ci` of team `build` by keys, `search` by namespace and principal, `bot` by a token.
fn directory() -> Directory {
    let mut directory = Directory::default();
    let keys = vec![
        row("new", 1),
        row("old", 2),
        Key { not_after: Some(NOW), ..row("expired", 3) },
        Key { not_after: Some(NOW + 1), ..row("ending", 4) },
        Key { state: State::Blocked, ..row("blocked", 5) },
    ];
    directory.add(consumer("ci", Some("build")), [Match::Keys(keys)]);
    let search = [
        Match::Namespaces(vec![Glob::new("search-*")]),
        Match::Principals(vec![Glob::new("spiffe://mesh/ns/search-*/sa/*")]),
    ];
    directory.add(consumer("search", Some("search")), search);
    directory.add(consumer("bot", None), [Match::Jwt(vec![("sub".into(), "svc-bot".into())])]);
    directory.add(consumer("guest", Some("search")), [Match::Keys(vec![row("guest", 6)])]);
    directory
}

fn rules() -> Rules {
    let jwt = Jwt {
        namespace: "envoy.filters.http.jwt_authn".into(),
        path: vec!["payload".into()],
        subject: "sub".into(),
        team: Some("team".into()),
        groups: Some("groups".into()),
    };
    Rules { jwt: Some(jwt), ..Rules::with_directory(&own(), directory()) }
}

fn text(text: &str) -> Claim {
    Claim::Text(text.into())
}

fn token(claims: &[(&str, Claim)]) -> Claims {
    let payload = claims.iter().map(|(name, claim)| ((*name).into(), claim.clone())).collect();
    Claims::Said(Claim::Map(vec![("payload".into(), Claim::Map(payload))]))
}

fn from_peer(uri: &str) -> Facts {
    Facts { peer_uri: Some(uri.to_owned()), ..Facts::default() }
}

fn call(rules: &Rules, role: Role, facts: &Facts, headers: &[(&str, &str)]) -> Result<Arc<Principal>, Denied> {
    identify(rules, role, facts, || headers.iter().map(|(name, value)| (*name, value.as_bytes())), NOW)
}

fn why(found: Result<Arc<Principal>, Denied>) -> (Code, &'static str) {
    let denied = found.unwrap_err();
    (denied.refusal.code, denied.reason)
}

const PEER: &str = "spiffe://mesh/ns/search-api/sa/web";

#[test]
fn a_sidecar_is_its_own_workload_and_costs_nothing() {
    let rules = rules();
    let found = call(&rules, Role::Sidecar, &from_peer(PEER), &[("authorization", "Bearer sk-abc")]).unwrap();
    assert!(Arc::ptr_eq(&found, &rules.own));
    assert_eq!((found.rank, &*found.name, found.spiffe.as_deref()), (Rank::Workload, "shop/cart", None));
}

#[test]
fn a_sidecar_is_the_consumer_of_its_namespace() {
    let own = Workload { namespace: "search-api".into(), ..own() };
    let rules = Rules::with_directory(&own, directory());
    let found = call(&rules, Role::Sidecar, &Facts::default(), &[]).unwrap();
    assert_eq!((found.consumer.as_deref(), found.team.as_deref()), (Some("search"), Some("search")));
    assert_eq!(&*found.name, "search-api/cart");
    // A key of the same team fills nothing that is known but its own name; one of another team contradicts.
    let guest = format!("Bearer {}", key(6));
    let found = call(&rules, Role::Sidecar, &Facts::default(), &[("authorization", &guest)]).unwrap();
    assert_eq!((found.rank, &*found.name, found.consumer.as_deref()), (Rank::ApiKey, "guest", Some("guest")));
    assert_eq!((&*found.namespace, &*found.service_account, &*found.workload), ("search-api", "cart", "cart-1"));
    let conflict = call(&rules, Role::Sidecar, &Facts::default(), &[("x-api-key", &key(1))]);
    assert_eq!(why(conflict), (Code::IdentityConflict, "identity_conflict"));
}

#[test]
fn a_gateway_believes_the_peer_certificate() {
    let rules = rules();
    assert_eq!(why(call(&rules, Role::Gateway, &Facts::default(), &[])), (Code::InvalidApiKey, "anonymous"));
    let found = call(&rules, Role::Gateway, &from_peer(PEER), &[]).unwrap();
    assert_eq!((&*found.namespace, &*found.service_account, &*found.name), ("search-api", "web", PEER));
    assert_eq!((found.rank, found.consumer.as_deref()), (Rank::Peer, Some("search")));
    let odd = call(&rules, Role::Gateway, &from_peer("spiffe://mesh/ns/search/sa/api/extra"), &[]).unwrap();
    assert_eq!((&*odd.namespace, odd.consumer.as_deref()), ("", None));
    let open = Rules { anonymous: Anonymous::Allow, ..rules };
    let found = call(&open, Role::Gateway, &Facts::default(), &[]).unwrap();
    assert_eq!((found.rank, &*found.name), (Rank::Anonymous, "anonymous"));
}

#[test]
fn a_lower_rank_fills_what_is_missing_and_never_overwrites() {
    let rules = rules();
    let groups = Claim::List(vec![text("interns"), text("staff")]);
    let claims = token(&[("sub", text("svc-bot")), ("team", text("search")), ("groups", groups)]);
    let facts = Facts { claims, ..from_peer(PEER) };
    let found = call(&rules, Role::Gateway, &facts, &[("x-api-key", &key(6))]).unwrap();
    assert_eq!((found.rank, &*found.name), (Rank::Peer, PEER));
    assert_eq!((found.consumer.as_deref(), found.subject.as_deref()), (Some("search"), Some("svc-bot")));
    assert_eq!(found.groups, ["interns", "staff"].map(std::sync::Arc::<str>::from));
    assert_eq!(found.tags, [("cost".into(), "search".into())]);

    let alone = Facts { peer_uri: None, ..facts };
    let found = call(&rules, Role::Gateway, &alone, &[]).unwrap();
    assert_eq!((found.rank, &*found.name, found.consumer.as_deref()), (Rank::Jwt, "svc-bot", Some("bot")));
    assert_eq!((found.team.as_deref(), &*found.namespace), (Some("search"), ""));

    let found = call(&rules, Role::Gateway, &Facts::default(), &[("api-key", &key(1))]).unwrap();
    assert_eq!((found.rank, &*found.name, found.team.as_deref()), (Rank::ApiKey, "ci", Some("build")));
}

#[test]
fn two_teams_are_a_contradiction_whoever_says_them() {
    let rules = rules();
    let other = token(&[("team", text("build"))]);
    let cases: [(Facts, &[(&str, &str)]); 3] = [
        (Facts { claims: other.clone(), ..from_peer(PEER) }, &[]),
        (from_peer(PEER), &[("x-api-key", &key(1))]),
        (Facts { claims: other, ..Facts::default() }, &[("x-api-key", &key(6))]),
    ];
    for (facts, headers) in cases {
        let denied = call(&rules, Role::Gateway, &facts, headers).unwrap_err();
        assert_eq!(denied.refusal.code, Code::IdentityConflict);
        assert!(denied.detail.contains("build") && denied.detail.contains("search"), "{}", denied.detail);
        assert!(!denied.refusal.message.contains("build"), "{}", denied.refusal.message);
    }
}

#[test]
fn two_keys_of_a_consumer_live_at_once_until_one_ends() {
    let rules = rules();
    for byte in [1, 2, 4] {
        let found = call(&rules, Role::Sidecar, &Facts::default(), &[("x-goog-api-key", &key(byte))]).unwrap();
        assert_eq!(found.consumer.as_deref(), Some("ci"), "{byte}");
    }
    let mut texts = Vec::new();
    for (byte, reason) in [(3, "key_expired"), (5, "key_blocked"), (9, "key_unknown")] {
        let denied = call(&rules, Role::Sidecar, &Facts::default(), &[("api-key", &key(byte))]).unwrap_err();
        assert_eq!((denied.refusal.code, denied.reason), (Code::InvalidApiKey, reason));
        assert_eq!(denied.detail.contains("\"ci\""), byte != 9, "{}", denied.detail);
        assert!(denied.refusal.detail.is_none(), "a sidecar would show it");
        texts.push(denied.refusal.message);
    }
    assert!(texts.windows(2).all(|pair| pair[0] == pair[1]), "the caller learns nothing of it");
}

#[test]
fn what_a_caller_says_of_itself_is_taken_where_it_is_asked_for() {
    let mut rules = rules();
    rules.said.end_user = vec![Source::Claim("sub".into()), Source::Header("x-end-user-id".into()), Source::Body];
    rules.said.session = vec![Source::Header("x-session-id".into())];
    rules.said.tags = vec!["feature".into(), "cost".into()];
    let headers: &[(&str, &str)] = &[
        ("x-end-user-id", " ada "),
        ("x-session-id", "s1"),
        ("x-weir-tags", "feature=search, cost=none,other=1,feature=again,=,x"),
        ("x-api-key", &key(1)),
    ];
    let found = call(&rules, Role::Sidecar, &Facts::default(), headers).unwrap();
    assert_eq!((found.end_user.as_deref(), found.session.as_deref()), (Some("ada"), Some("s1")));
    let tags: Vec<(&str, &str)> = found.tags.iter().map(|(name, value)| (&**name, &**value)).collect();
    assert_eq!(tags, [("cost", "ci"), ("feature", "search")]);
    let facts = Facts { claims: token(&[("sub", text("bob"))]), ..from_peer(PEER) };
    let found = call(&rules, Role::Gateway, &facts, &headers[..3]).unwrap();
    assert_eq!(found.end_user.as_deref(), Some("bob"), "the first source counts");
    assert_eq!(with_end_user(&found, "eve").end_user.as_deref(), Some("bob"));
    let found = call(&rules, Role::Gateway, &from_peer(PEER), &[]).unwrap();
    assert_eq!(with_end_user(&found, "eve").end_user.as_deref(), Some("eve"));
    assert_eq!(with_end_user(&found, "").end_user, None);
}

#[test]
fn a_new_key_is_long_random_and_found_by_its_digest() {
    let made = key(7);
    assert_eq!(made.len(), KEY_PREFIX.len() + 52);
    assert!(made[KEY_PREFIX.len()..].bytes().all(|byte| byte.is_ascii_lowercase() || (b'2'..=b'7').contains(&byte)));
    assert_ne!(key(7), key(8));
    let digest = Digest::of(&made);
    assert_eq!(Digest::parse(&digest.hex()), Some(digest));
    assert_eq!(Digest::parse(&digest.hex().to_uppercase()), Some(digest));
    for text in ["", "0", &"g".repeat(64), &"0".repeat(63), &"é".repeat(32)] {
        assert_eq!(Digest::parse(text), None, "{text}");
    }
    // The digest of the standard for "abc".
    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(Digest::of("abc").hex(), abc);
}
