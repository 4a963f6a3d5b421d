//! Who calls and what it may use, from the first byte to the record: role Sidecar and role Gateway, keys,
//! tokens, access policies, and what leaves.

use std::sync::Arc;

use weir::access::Rule;
use weir::base::glob::Glob;
use weir::credential::Credential;
use weir::exchange::event::{Event, Note, RequestHead};
use weir::exchange::explain::EXPLAIN_HEADER;
use weir::exchange::record::{Outcome, Record};
use weir::identity::key::{Digest, Key, RANDOM, State, new_key};
use weir::identity::{Claim, Claims, Consumer, Directory, Jwt, Match, Role, Rules, Said, Source, Workload};
use weir::policy::access::AccessPolicy;
use weir::policy::select::{Caller, From, Scope, TargetRef};
use weir::policy::{Explain, Mode, Policy, Unpriced};
use weir::target::{Choice, Match as Asks, Rule as Route, StickyBy};

use super::support::*;

fn own() -> Workload {
    Workload { namespace: "shop".into(), service_account: "cart".into(), name: "cart-1".into() }
}

/// `ci` of team `build` has a key; it was made of this byte.
fn key() -> String {
    new_key(&[1; RANDOM])
}

fn rules() -> Rules {
    let mut directory = Directory::default();
    let key = Key { name: "main".into(), digest: Digest::of(&key()), not_after: None, state: State::Active };
    let blocked =
        Key { name: "lost".into(), digest: Digest::of(&new_key(&[2; RANDOM])), not_after: None, state: State::Blocked };
    let consumer = Consumer { name: "ci".into(), team: Some("build".into()), tags: vec![("cost".into(), "7".into())] };
    directory.add(consumer, [Match::Keys(vec![key, blocked])]);
    let jwt = Jwt {
        namespace: "jwt".into(),
        path: vec!["payload".into()],
        subject: "sub".into(),
        team: Some("team".into()),
        groups: Some("groups".into()),
    };
    Rules {
        jwt: Some(jwt),
        said: Said { end_user: vec![Source::Body], ..Said::default() },
        ..Rules::with_directory(&own(), directory)
    }
}

fn known(role: Role) -> Policy {
    Policy { role, identity: rules(), ..policy() }
}

fn denying(id: &str, mode: Mode, from: &[Caller], deny: &str) -> AccessPolicy {
    let scope = Scope { id: id.into(), mode, from: From(from.to_vec()), ..Scope::default() };
    AccessPolicy { scope, rule: Rule::new(None, &[Glob::new(deny)], Vec::new()) }
}

fn team(name: &str) -> Caller {
    Caller { teams: vec![Glob::new(name)], ..Caller::default() }
}

fn calling(policy: Policy, head: RequestHead, body: &str) -> World {
    let mut world = World::new(policy);
    world.send(Event::Request(head, false)).send(Event::RequestBody(bytes(body), true));
    if world.envoy.upstream.began {
        world.reply(json(), DOCUMENT);
    }
    world.end();
    world
}

fn with_key(key: &str) -> RequestHead {
    request("POST", CHAT, &[("content-type", "application/json"), ("authorization", &format!("Bearer {key}"))])
}

fn decision<'a>(record: &'a Record, step: &str) -> Option<(&'a str, &'a str, &'a str)> {
    let found = record.decisions.iter().find(|decision| decision.step == step)?;
    Some((found.outcome, found.reason, &found.detail))
}

#[test]
fn a_key_names_its_consumer_in_the_record_and_does_not_leave() {
    let body = r#"{"model":"gpt-4o-mini","user":"ada","messages":[]}"#;
    let world = calling(known(Role::Sidecar), with_key(&key()), body);
    let caller = &world.record().caller;
    assert_eq!((&*caller.name, caller.consumer.as_deref(), caller.team.as_deref()), ("ci", Some("ci"), Some("build")));
    assert_eq!((&*caller.namespace, caller.end_user.as_deref()), ("shop", Some("ada")));
    assert_eq!(world.upstream_header("authorization"), Some("Bearer k-one"));
    assert_eq!(world.upstream(), body, "the body is read and not changed");
}

#[test]
fn a_key_stays_here_where_the_callers_own_credential_leaves() {
    let mut policy = known(Role::Sidecar);
    policy.credentials.set(0, Credential::Caller);
    for header in ["authorization", "x-api-key", "api-key", "x-goog-api-key"] {
        let mut head = post(CHAT);
        head.headers.push("authorization", b"Bearer sk-of-the-provider");
        if header == "authorization" {
            head = with_key(&key());
        } else {
            head.headers.push(header, key().as_bytes());
        }
        let world = calling(policy.clone(), head, &chat(false));
        assert_eq!(world.record().caller.consumer.as_deref(), Some("ci"), "{header}");
        assert_eq!(world.upstream_header(header), None, "{header}");
        let theirs = (header != "authorization").then_some("Bearer sk-of-the-provider");
        assert_eq!(world.upstream_header("authorization"), theirs, "{header}");
    }
}

#[test]
fn which_key_was_refused_is_for_the_record_alone() {
    let mut said = Vec::new();
    for (byte, reason, detail) in [(2, "key_blocked", "key \"lost\" of LLMConsumer \"ci\""), (3, "key_unknown", "")] {
        for role in [Role::Sidecar, Role::Gateway] {
            let world = calling(known(role), with_key(&new_key(&[byte; RANDOM])), &chat(false));
            assert_eq!(world.refused(), (401, "invalid_api_key".to_owned()));
            assert_eq!(decision(world.record(), "identify"), Some(("refused", reason, detail)));
            assert!(!world.envoy.upstream.began);
            said.push(world.client());
        }
    }
    assert!(said.windows(2).all(|pair| pair[0] == pair[1]), "{said:?}");
}

#[test]
fn a_caller_that_was_refused_its_identity_is_not_told_why() {
    let mut head = with_key(&key());
    head.facts.claims = token("search", "svc");
    let cases = [
        (Role::Sidecar, with_key(&key()), 200),
        (Role::Sidecar, with_key(&new_key(&[2; RANDOM])), 401),
        (Role::Sidecar, with_key(&new_key(&[3; RANDOM])), 401),
        (Role::Gateway, with_key(&new_key(&[3; RANDOM])), 401),
        (Role::Gateway, post(CHAT), 401),
        (Role::Gateway, head, 403),
    ];
    for (role, mut head, status) in cases {
        head.headers.push(EXPLAIN_HEADER, b"1");
        let mut policy = known(role);
        policy.profile.explain = Explain::Header;
        let world = calling(policy, head, &chat(false));
        assert_eq!(world.envoy.client.status, status, "{role:?}");
        assert_eq!(world.client_header(EXPLAIN_HEADER).is_some(), status == 200, "{role:?} {status}");
    }
}

#[test]
fn a_sidecar_takes_no_identity_from_headers_and_lets_none_leave() {
    let mut head = post(CHAT);
    let forged = [
        ("x-forwarded-client-cert", "URI=spiffe://mesh/ns/root/sa/admin"),
        ("x-weir-consumer", "ci"),
        ("x-weir-tags", "team=build"),
    ];
    forged.iter().for_each(|(name, value)| head.headers.push(name, value.as_bytes()));
    head.facts.peer_uri = Some("spiffe://mesh/ns/root/sa/admin".into());
    head.facts.claims = token("root", "svc");
    let world = calling(known(Role::Sidecar), head, &chat(false));
    let caller = &world.record().caller;
    assert_eq!((&*caller.name, caller.consumer.as_deref(), caller.team.as_deref()), ("shop/cart", None, None));
    assert!(forged.iter().all(|(name, _)| world.upstream_header(name).is_none()), "something has left");
}

fn token(team: &str, subject: &str) -> Claims {
    let text = |text: &str| Claim::Text(text.into());
    let groups = Claim::List(vec![text("interns")]);
    let payload = vec![("team".into(), text(team)), ("sub".into(), text(subject)), ("groups".into(), groups)];
    Claims::Said(Claim::Map(vec![("payload".into(), Claim::Map(payload))]))
}

#[test]
fn a_gateway_refuses_a_contradiction_and_nobody() {
    let nobody = calling(known(Role::Gateway), post(CHAT), &chat(false));
    assert_eq!(nobody.refused(), (401, "invalid_api_key".to_owned()));
    assert_eq!(&*nobody.record().caller.name, "");
    let mut head = with_key(&key());
    head.facts.claims = token("search", "svc");
    let world = calling(known(Role::Gateway), head.clone(), &chat(false));
    assert_eq!(world.refused(), (403, "identity_conflict".to_owned()));
    let (outcome, reason, detail) = decision(world.record(), "identify").expect("a decision");
    assert_eq!((outcome, reason), ("refused", "identity_conflict"));
    assert!(detail.contains("search") && detail.contains("build"), "{detail}");
    assert!(!world.client().contains("search"), "{}", world.client());
    head.facts.claims = token("build", "svc");
    let world = calling(known(Role::Gateway), head, &chat(false));
    assert_eq!((&*world.record().caller.name, world.record().outcome), ("svc", Outcome::Completed));
}

#[test]
fn an_access_policy_refuses_before_anything_is_spent() {
    let mut policy = gated();
    policy.identity = rules();
    policy.access = vec![denying("LLMAccessPolicy/build", Mode::Enforce, &[team("build")], "gpt-*")].into();
    let world = calling(policy.clone(), with_key(&key()), &chat(false));
    assert_eq!(world.refused(), (403, "model_not_allowed".to_owned()));
    assert!(world.asks.is_empty(), "nothing is asked, so nothing is spent");
    let (outcome, reason, detail) = decision(world.record(), "access").expect("a decision");
    assert_eq!((outcome, reason), ("refused", "model_not_allowed"));
    assert!(detail.starts_with("LLMAccessPolicy/build: models.deny has"), "{detail}");
    // Whom it is not about is not touched, nor told of it.
    let mut world = World::new(policy).answers(all_clear());
    world.call(CHAT, chat(false)).reply(json(), DOCUMENT).end();
    assert_eq!((world.record().outcome, decision(world.record(), "access")), (Outcome::Completed, None));
}

#[test]
fn in_shadow_a_policy_says_what_it_would_do_and_does_nothing() {
    let mut policy = known(Role::Sidecar);
    policy.access = vec![
        denying("LLMAccessPolicy/shadow", Mode::Shadow, &[], "gpt-*"),
        denying("LLMAccessPolicy/fine", Mode::Enforce, &[], "other"),
    ]
    .into();
    let world = calling(policy, post(CHAT), &chat(false));
    assert_eq!(world.record().outcome, Outcome::Completed);
    let said = |wanted: &str| world.record().decisions.iter().find(|decision| decision.outcome == wanted);
    assert!(said("would_refuse").is_some_and(|decision| decision.detail.starts_with("LLMAccessPolicy/shadow")));
    assert!(said("allowed").is_some_and(|decision| decision.detail == "LLMAccessPolicy/fine"));
    let shadows = world.notes().into_iter().filter(|note| matches!(note, Note::Shadow { step: "access", .. })).count();
    assert_eq!(shadows, 1);
}

#[test]
fn a_refusal_is_in_the_dialect_of_the_client() {
    let mut policy = known(Role::Gateway);
    policy.access = vec![denying("LLMAccessPolicy/a", Mode::Enforce, &[], "*")].into();
    let mut backend = (*policy.targets.backends[0]).clone();
    backend.dialect = weir::llm::Dialect::Anthropic;
    policy.targets.backends[0] = Arc::new(backend);
    let mut head = post("/v1/messages");
    head.facts.peer_uri = Some("spiffe://mesh/ns/a/sa/b".into());
    let world = calling(policy, head, r#"{"model":"one/claude","max_tokens":1,"messages":[]}"#);
    let said: serde_json::Value = serde_json::from_str(&world.client()).expect("JSON");
    assert_eq!((world.envoy.client.status, &said["error"]["type"]), (403, &"permission_error".into()), "{said}");
    assert!(!world.client().contains("LLMAccessPolicy"), "a stranger is not told which: {}", world.client());
}

/// `one` is in the US and `two` in the EU.
fn by_region(mut policy: Policy) -> Policy {
    policy.labels = ["us", "eu"].map(|region| vec![("region".into(), region.into())]).into();
    let choice = |backend, weight| Choice { backend, model: None, priority: 0, weight };
    let gpt = Asks { model: Some(Glob::new("gpt-*")), ..Asks::default() };
    let choices = vec![choice(0, 1000), choice(1, 1)];
    let route = Route { name: "chat/default".into(), matches: vec![gpt], choices, ..Route::default() };
    policy.targets.root.rules = vec![route].into();
    let rule = Rule::new(None, &[], vec![("region".into(), "eu".into())]);
    let scope = Scope { id: "LLMAccessPolicy/eu".into(), ..Scope::default() };
    policy.access = vec![AccessPolicy { scope, rule }].into();
    policy
}

#[test]
fn among_several_backends_one_is_chosen_that_is_allowed() {
    let world = calling(by_region(policy()), post(CHAT), &chat(false));
    assert_eq!(world.record().backend.as_deref(), Some("two"));
    let named = r#"{"model":"one/gpt-4o-mini","messages":[]}"#;
    assert_eq!(calling(by_region(policy()), post(CHAT), named).refused(), (403, "model_not_allowed".to_owned()));
    // Where none is allowed, the refusal says so.
    let mut policy = by_region(policy());
    policy.labels[1].clear();
    assert_eq!(calling(policy, post(CHAT), &chat(false)).refused(), (403, "model_not_allowed".to_owned()));
}

/// Why a backend of `chat/default` was chosen, where calls are kept by this.
fn chosen_by(mut policy: Policy, by: StickyBy, fields: &[(&str, &str)]) -> String {
    let choice = |backend| Choice { backend, model: None, priority: 0, weight: 1 };
    let choices = vec![choice(0), choice(1)];
    policy.targets.root.rules =
        vec![Route { name: "chat/default".into(), choices, affinity: vec![by], ..Route::default() }].into();
    let fields = [&[("content-type", "application/json")], fields].concat();
    let world = calling(policy, request("POST", CHAT, &fields), &chat(false));
    let record = world.record();
    record.decisions.iter().find(|decision| decision.step == "target").expect("a decision").reason.to_owned()
}

#[test]
fn a_consumer_and_a_session_keep_a_call_where_it_was() {
    let key = format!("Bearer {}", key());
    assert_eq!(chosen_by(known(Role::Sidecar), StickyBy::Consumer, &[("authorization", &key)]), "affinity");
    assert_eq!(chosen_by(known(Role::Sidecar), StickyBy::Consumer, &[]), "rule", "nobody is a consumer");
    // Without a word of configuration the session has one name, and with it the configured one alone.
    let by_default = [("x-session-id", "s")];
    assert_eq!(chosen_by(known(Role::Sidecar), StickyBy::Session, &by_default), "affinity");
    let named = || {
        let session = vec![Source::Header("x-chat".into())];
        let said = Said { session, ..Said::default() };
        Policy { identity: Rules { said, ..rules() }, ..known(Role::Sidecar) }
    };
    assert_eq!(chosen_by(named(), StickyBy::Session, &by_default), "rule");
    assert_eq!(chosen_by(named(), StickyBy::Session, &[("x-chat", "s")]), "affinity");
}

#[test]
fn another_attempt_and_another_target_are_asked_about_too() {
    let mut policy = by_region(policy());
    policy.labels.push(vec![("region".into(), "eu".into())]);
    let mut world = World::new(fails_over(policy));
    world.call(CHAT, chat(false));
    assert_eq!(world.upstream_header("x-weir-backend"), Some("two"), "there is nobody else for this caller");
    world.send(attempt(1, "two")).send(attempt(2, "one")).reply(json(), DOCUMENT).end();
    assert_eq!(world.record().backend.as_deref(), Some("two"));
}

#[test]
fn a_pass_obeys_the_rules_for_backends() {
    let files = || request("GET", "/v1/files", &[("authorization", "Bearer dummy")]);
    let pass = |policy: Policy| {
        let mut world = World::new(policy);
        world.send(Event::Request(files(), true)).end();
        world
    };
    let world = pass(by_region(policy()));
    assert_eq!(world.refused(), (403, "model_not_allowed".to_owned()));
    let mut elsewhere = by_region(policy());
    let mut access = elsewhere.access.to_vec();
    access[0].scope.targets = vec![TargetRef::Route { name: "chat".into(), rule: None }];
    elsewhere.access = access.into();
    assert!(pass(elsewhere).envoy.upstream.began, "the policy is about another route");
    let mut models = policy();
    models.access = vec![denying("LLMAccessPolicy/m", Mode::Enforce, &[], "*")].into();
    assert!(pass(models).envoy.upstream.began, "such a path has no model");
}

/// What is written in another way than here, names its model itself, or starts work on a file that does.
#[test]
fn what_passes_unread_may_not_ask_for_a_model_that_is_restricted() {
    let mut policy = policy();
    policy.targets.root.passthrough[0].paths = vec![Glob::new("*")];
    let mut unpriced = policy.clone();
    unpriced.profile.unpriced = Unpriced::Deny;
    let mut denied = policy.clone();
    denied.access = vec![denying("LLMAccessPolicy/m", Mode::Enforce, &[], "gpt-*")].into();
    for (method, path, upgrade, open) in [
        ("POST", "/v1/chat/c%6fmpletions", false, false),
        ("POST", "//v1/chat/completions", false, false),
        ("POST", "/v1/chat/completions/", false, false),
        ("POST", "/v1/batches", false, false),
        ("POST", "/v1beta/models/gpt-x:predict", false, false),
        ("POST", "/model/gpt-x/invoke", false, false),
        ("GET", "/v1/realtime?model=gpt-x", true, false),
        ("POST", "/v1/files", false, true),
        ("GET", "/v1/batches/b", false, true),
        ("DELETE", "/v1/files/f", false, true),
    ] {
        let mut fields = vec![("content-type", "application/json")];
        fields.extend(upgrade.then_some(("upgrade", "websocket")));
        for restricted in [&denied, &unpriced] {
            let mut world = World::new(restricted.clone());
            world.send(Event::Request(request(method, path, &fields), true)).end();
            assert_eq!(world.envoy.upstream.began, open, "{method} {path}");
        }
        let mut world = World::new(policy.clone());
        world.send(Event::Request(request(method, path, &fields), true)).end();
        assert!(world.envoy.upstream.began, "{method} {path}: nobody is restricted");
    }
}

/// A chat call that says it is plain text would pass unread, signed where a passthrough names its path.
#[test]
fn a_model_cannot_be_hidden_from_a_rule() {
    let mut policy = policy();
    policy.targets.root.passthrough[0].paths = vec![Glob::new("/v1/*")];
    let head = || request("POST", CHAT, &[("content-type", "text/plain")]);
    assert!(calling(policy.clone(), head(), &chat(false)).envoy.upstream.began);
    policy.access = vec![denying("LLMAccessPolicy/m", Mode::Enforce, &[], "gpt-*")].into();
    assert_eq!(calling(policy, head(), &chat(false)).refused(), (403, "model_not_allowed".to_owned()));
}

#[test]
fn who_may_not_use_a_model_does_not_see_it() {
    let listed = |key: &str| {
        let access = vec![denying("no-minis", Mode::Enforce, &[team("build")], "*mini*")].into();
        let fields = [("authorization", format!("Bearer {key}"))];
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let mut world = World::new(Policy { access, ..known(Role::Sidecar) });
        world.send(Event::Request(request("GET", "/v1/models", &fields), true)).end();
        let answer: serde_json::Value = serde_json::from_slice(&world.envoy.client.body).unwrap();
        let ids = answer["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap().to_owned());
        ids.collect::<Vec<_>>()
    };
    assert_eq!(listed(&key()), ["other", "text-embedding-3-small"]);
    assert_eq!(listed("anything"), ["gpt-4o-mini", "other", "text-embedding-3-small"]);
}
