//! What a namespace says of its own callers: who is told of it, and that root's facts stay as they are.

use proptest::prelude::*;

use super::*;

/// The namespace of [`PEER`].
const SPACE: &str = "search-api";

fn space(directory: Directory) -> HashMap<Arc<str>, Space> {
    HashMap::from([(SPACE.into(), Space { directory, said: None })])
}

/// `web` by namespace, `bot` by a token and `ci` by keys, each of a team of its own.
fn own_directory() -> Directory {
    let mut directory = Directory::default();
    let everybody = [Match::Namespaces(vec![Glob::new("*")])];
    let web = Consumer { team: None, ..consumer("search-api/web", None) };
    let keys = vec![row("own", 20), Key { state: State::Blocked, ..row("lost", 21) }, row("roots", 5)];
    directory.add(consumer("search-api/ci", Some("tools")), [Match::Keys(keys)]);
    directory.add(consumer("search-api/bot", Some("bots")), [Match::Jwt(vec![("sub".into(), "svc-own".into())])]);
    directory.add(web, everybody);
    directory
}

fn with(space: HashMap<Arc<str>, Space>) -> Rules {
    let jwt = rules().jwt;
    Rules { jwt, ..Rules::with_spaces(&Workload { namespace: SPACE.into(), ..own() }, directory(), space) }
}

fn own_of(found: &Principal) -> (&str, Option<&str>) {
    let own = found.own.as_deref().unwrap();
    (&own.consumer, own.team.as_deref())
}

#[test]
fn a_namespace_names_its_own_callers_and_root_does_not_hear_it() {
    let rules = with(space(own_directory()));
    let plain = with(HashMap::new());
    for role in [Role::Sidecar, Role::Gateway] {
        let found = call(&rules, role, &from_peer(PEER), &[]).unwrap();
        assert_eq!(own_of(&found), ("search-api/web", None), "{role:?}");
        let before = call(&plain, role, &from_peer(PEER), &[]).unwrap();
        assert_eq!(Principal { own: None, ..(*found).clone() }, *before);
    }
    let elsewhere = call(&rules, Role::Gateway, &from_peer("spiffe://mesh/ns/shop/sa/web"), &[]).unwrap();
    assert_eq!(elsewhere.own, None);
}

#[test]
fn a_sidecar_without_a_key_still_costs_nothing() {
    let rules = with(space(own_directory()));
    let found = call(&rules, Role::Sidecar, &Facts::default(), &[]).unwrap();
    assert!(Arc::ptr_eq(&found, &rules.own));
    assert_eq!(own_of(&found).0, "search-api/web");
}

#[test]
fn a_key_of_a_namespace_is_known_to_its_own_callers_alone() {
    let rules = with(space(own_directory()));
    let (own, lost, roots) = (key(20), key(21), key(5));
    for role in [Role::Sidecar, Role::Gateway] {
        let found = call(&rules, role, &from_peer(PEER), &[("x-api-key", &own)]).unwrap();
        // The weaker fact fills what the stronger one does not say, as everywhere.
        assert_eq!(own_of(&found).1, Some("tools"), "{role:?}");
        assert_eq!((found.consumer.as_deref(), found.team.as_deref()), (Some("search"), Some("search")));
        let denied = call(&rules, role, &from_peer(PEER), &[("x-api-key", &lost)]).unwrap_err();
        assert_eq!((denied.reason, &*denied.detail), ("key_blocked", "key \"lost\" of LLMConsumer \"search-api/ci\""));
        // Root has blocked it, and no namespace can undo that.
        assert_eq!(why(call(&rules, role, &from_peer(PEER), &[("x-api-key", &roots)])).1, "key_blocked");
    }
    for facts in [from_peer("spiffe://mesh/ns/shop/sa/web"), from_peer("spiffe://odd"), Facts::default()] {
        assert_eq!(why(call(&rules, Role::Gateway, &facts, &[("x-api-key", &own)])).1, "key_unknown");
    }
}

#[test]
fn two_teams_of_one_namespace_contradict_each_other_and_root_contradicts_neither() {
    let rules = with(space(own_directory()));
    let own = Facts { claims: token(&[("sub", text("svc-own"))]), ..from_peer(PEER) };
    let found = call(&rules, Role::Gateway, &own, &[]).unwrap();
    assert_eq!((own_of(&found), found.team.as_deref()), (("search-api/web", Some("bots")), Some("search")));
    let denied = call(&rules, Role::Gateway, &own, &[("x-api-key", &key(20))]).unwrap_err();
    assert_eq!(denied.refusal.code, Code::IdentityConflict);
    assert_eq!(&*denied.detail, "team \"bots\" is known, and search-api/ci says \"tools\"");
}

#[test]
fn a_tag_of_root_is_not_said_anew_by_a_namespace() {
    let mut own = Directory::default();
    let tags = vec![("cost".into(), "mine".into()), ("stage".into(), "dev".into())];
    own.add(Consumer { name: "search-api/web".into(), team: None, tags }, [Match::Namespaces(vec![Glob::new("*")])]);
    let found = call(&with(space(own)), Role::Gateway, &from_peer(PEER), &[]).unwrap();
    assert_eq!(found.tags, [("cost".into(), "search".into())]);
    assert_eq!(found.own.as_ref().unwrap().tags, [("stage".into(), "dev".into())]);
}

#[test]
fn what_a_caller_may_say_is_its_own_namespaces_word() {
    let mut rules = with(space(own_directory()));
    rules.said.tags = vec!["feature".into(), "stage".into()];
    rules.said.end_user = vec![Source::Claim("sub".into()), Source::Header("x-user".into())];
    let said = Said { tags: vec!["stage".into()], end_user: vec![Source::Claim("sub".into())], session: Vec::new() };
    let fewer = Space { directory: Directory::default(), said: Some(said) };
    rules.spaces = Arc::new(HashMap::from([(SPACE.into(), fewer)]));
    let headers: &[(&str, &str)] = &[("x-weir-tags", "feature=a,stage=b"), ("x-user", "ada")];
    let names = |found: &Principal| (found.tags.len(), found.end_user.as_deref().map(str::to_owned));
    let here = call(&rules, Role::Gateway, &from_peer(PEER), headers).unwrap();
    assert_eq!(names(&here), (2, None), "the consumer's tag and one of its own");
    let elsewhere = call(&rules, Role::Gateway, &from_peer("spiffe://mesh/ns/shop/sa/web"), headers).unwrap();
    assert_eq!(names(&elsewhere), (2, Some("ada".to_owned())));
}

/// A consumer of a namespace: how it is recognised, and its team.
fn any_consumer() -> impl Strategy<Value = (u8, u8, Option<&'static str>)> {
    (0..4u8, 1..9u8, prop::option::of(prop::sample::select(vec!["build", "search", "other"])))
}

proptest! {
    /// Whatever a namespace says of its callers, root's documents see the caller that they saw before.
    /// A key that nobody knew may become known; it still adds nothing to root's facts.
    #[test]
    fn the_view_of_root_is_not_changed(
        consumers in prop::collection::vec(any_consumer(), 0..5),
        space_at in prop::sample::select(vec![SPACE, "shop", ""]),
        (peer, subject) in (prop::option::of(0..2u8), prop::option::of(0..3u8)),
        presented in prop::option::of(1..12u8), gateway: bool,
    ) {
        let mut own = Directory::default();
        for (at, (how, byte, team)) in consumers.iter().enumerate() {
            let how = match how {
                0 => Match::Keys(vec![row("k", 9 + byte % 3)]),
                1 => Match::Namespaces(vec![Glob::new("*")]),
                2 => Match::Principals(vec![Glob::new("spiffe://mesh/*")]),
                _ => Match::Jwt(vec![("sub".into(), "svc-bot".into())]),
            };
            own.add(consumer(&format!("{space_at}/c{at}"), *team), [how]);
        }
        let spaces = HashMap::from([(space_at.into(), Space { directory: own, said: None })]);
        let (role, mut claims) = (if gateway { Role::Gateway } else { Role::Sidecar }, Claims::None);
        if let Some(subject) = subject {
            claims = token(&[("sub", text(["svc-bot", "x", "y"][usize::from(subject)]))]);
        }
        let peer_uri = peer.map(|at| [PEER, "spiffe://mesh/ns/shop/sa/web"][usize::from(at)].to_owned());
        let facts = Facts { peer_uri, claims, ..Facts::default() };
        let key = presented.map(key);
        let header = key.as_deref().map(|key| ("x-api-key", key));
        let headers: Vec<(&str, &str)> = header.into_iter().collect();
        let with_space = call(&with(spaces), role, &facts, &headers);
        match (call(&with(HashMap::new()), role, &facts, &headers), with_space) {
            (Ok(before), Ok(after)) => prop_assert_eq!(Principal { own: None, ..(*after).clone() }, (*before).clone()),
            // It contradicts itself within its namespace.
            (Ok(_), Err(denied)) => prop_assert_eq!(denied.refusal.code, Code::IdentityConflict),
            (Err(before), Err(_)) => prop_assert_ne!(before.reason, ""),
            (Err(before), Ok(after)) => {
                prop_assert_eq!(before.reason, "key_unknown");
                let without = call(&with(HashMap::new()), role, &facts, &[]).unwrap();
                prop_assert_eq!(Principal { own: None, ..(*after).clone() }, (*without).clone());
            }
        }
    }
}
