//! Consumers, `identity` and access policies, from the words of the language to what runs.

use proptest::prelude::*;

use super::fake::{Fakes, lines, load_text};
use super::*;
use crate::access::{Model, Names};
use crate::base::rfc3339::unix;
use crate::identity::{Anonymous, Claim, Facts, Jwt, Role, Source, identify};
use crate::policy::Mode;
use crate::policy::access::{Visit, is_allowed};
use crate::policy::combine::accumulate;
use crate::policy::select::{Place, TargetRef};
use crate::policy::spaces::Spaces;

const ALL: &str = r#"
apiVersion: weir.dev/v1alpha1
kind: LLMProfile
metadata: {name: default}
spec:
  identity:
    jwt: {claims: {team: team}}
    endUser: {sources: [{jwtClaim: sub}, {header: x-end-user-id}, {body: User}]}
    session: {sources: [{header: x-session-id}]}
    tags: [feature]
    anonymous: Allow
    trustedHops: 1
---
apiVersion: weir.dev/v1alpha1
kind: LLMConsumer
metadata: {name: search}
spec:
  match:
  - {keys: [{name: ci, sha256: "BA7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", notAfter: "2027-01-01T00:00:00Z"}]}
  - {namespaces: ["search-*"]}
  - {jwt: [{claim: sub, value: svc-search}]}
  team: search
  tags: {costCenter: "42"}
---
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: openai, labels: {region: eu}}
spec: {endpoint: "http://127.0.0.1:1/v1", dialect: OpenAI}
---
apiVersion: weir.dev/v1alpha1
kind: LLMAccessPolicy
metadata: {name: eu}
spec:
  mode: Shadow
  from: [{teams: ["sea*"], consumers: [search]}, {serviceAccounts: ["a/*"]}]
  targetRefs: [{group: weir.dev, kind: LLMBackend, name: openai}]
  models: {allow: [], deny: ["O3*"]}
  backends: {selector: {matchLabels: {region: eu}}}
"#;

fn loaded(yaml: &str) -> Compiled {
    load_text(yaml, &Fakes::default()).map_err(|errors| lines(&errors)).unwrap()
}

#[test]
fn the_words_of_identity_arrive_where_they_are_used() {
    let rules = loaded(ALL).policy.identity;
    let jwt = Jwt {
        namespace: "envoy.filters.http.jwt_authn".into(),
        path: vec!["payload".into()],
        subject: "sub".into(),
        team: Some("team".into()),
        groups: None,
    };
    assert_eq!((rules.jwt, rules.anonymous, rules.trusted_hops), (Some(jwt), Anonymous::Allow, 1));
    let user = [Source::Claim("sub".into()), Source::Header("x-end-user-id".into()), Source::Body];
    assert_eq!(
        (rules.said.end_user.as_slice(), rules.said.session),
        (&user[..], vec![Source::Header("x-session-id".into())])
    );
    assert_eq!(rules.said.tags, ["feature"].map(std::sync::Arc::<str>::from));
    let consumer = rules.directory.by_namespace("search-api").unwrap();
    assert_eq!((&*consumer.name, consumer.team.as_deref()), ("search", Some("search")));
    assert_eq!(consumer.tags, [("costCenter".into(), "42".into())]);
    let claims = Claim::Map(vec![("sub".into(), Claim::Text("svc-search".into()))]);
    assert_eq!(rules.directory.by_claims(&claims), Some(consumer));
}

#[test]
fn without_a_word_a_gateway_wants_to_know_its_callers() {
    let policy = loaded("").policy;
    let found = identify(&policy.identity, Role::Gateway, &Facts::default(), || [].into_iter(), 0);
    assert_eq!(found.unwrap_err().reason, "anonymous");
    assert!(policy.identity.jwt.is_none() && policy.access.is_empty());
    assert!(policy.identity.claims_from(Role::Sidecar).is_none());
}

#[test]
fn an_access_policy_of_root_speaks_for_all() {
    let policy = loaded(ALL).policy;
    let [access] = &*policy.access else { panic!("{:?}", policy.access) };
    assert_eq!((&*access.scope.id, access.scope.mode), ("LLMAccessPolicy/eu", Mode::Shadow));
    assert_eq!((&access.scope.namespace, access.scope.from.0.len()), (&None, 2));
    assert_eq!(access.scope.targets, [TargetRef::Backend("openai".into())]);
    assert_eq!(policy.labels, [vec![("region".into(), "eu".into())]]);
    let mut enforced = access.clone();
    enforced.scope.mode = Mode::Enforce;
    enforced.scope.from.0.clear();
    let names = Names { requested: "m", leaving: "m", long: "openai/m", namespace: None, mapped: false };
    let visit = Visit {
        place: Place::new(None, "openai"),
        model: Model::Named(names),
        labels: &policy.labels[0],
        own_backend: false,
    };
    let enforced = Spaces::from(vec![enforced]);
    let speaking = accumulate(&enforced, &policy.identity.own);
    assert!(!is_allowed(&speaking, visit), "an empty list allows nothing");
    assert!(is_allowed(&speaking, Visit { place: Place::new(None, "other"), ..visit }));
}

#[test]
fn times_are_those_of_rfc_3339() {
    for (text, seconds) in [
        ("1970-01-01T00:00:00Z", 0),
        ("2027-01-01T00:00:00Z", 1_798_761_600),
        ("2024-02-29T23:59:59.999Z", 1_709_251_199),
        ("2027-01-01T02:00:00+02:00", 1_798_761_600),
        ("2026-12-31T23:30:00-00:30", 1_798_761_600),
        ("2000-03-01T00:00:00Z", 951_868_800),
    ] {
        assert_eq!(unix(text), Some(seconds), "{text}");
    }
    for text in [
        "",
        "2027-01-01",
        "2027-01-01T00:00:00",
        "2027-01-01 00:00:00Z",
        "2027-1-1T00:00:00Z",
        "2027-02-29T00:00:00Z",
        "2100-02-29T00:00:00Z",
        "2027-13-01T00:00:00Z",
        "2027-00-01T00:00:00Z",
        "2027-04-31T00:00:00Z",
        "2027-01-01T24:00:00Z",
        "2027-01-01T00:00:60Z",
        "2027-01-01T00:00:00.Z",
        "2027-01-01T00:00:00+2:00",
        "2027-01-01T00:00:00Zx",
        "1969-12-31T23:59:59Z",
        "1970-01-01T00:00:00+01:00",
    ] {
        assert_eq!(unix(text), None, "{text}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_a_time_panic(text in "[0-9TZ:.+é-]{0,30}") {
        let _ = unix(&text);
    }
}
