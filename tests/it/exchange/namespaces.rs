//! What a caller's namespace and the `from` of a credential come to on the way of a call.

use std::sync::Arc;

use weir::credential::Credential;
use weir::exchange::event::{Event, Note, RequestHead};
use weir::exchange::phase::BodyMode;
use weir::exchange::{Exchange, Setup};
use weir::identity::{Anonymous, Role, Rules, Workload};
use weir::policy::Policy;
use weir::policy::credentials::{Credentials, Row};
use weir::policy::select::{Caller, Callers, From};
use weir::target::health::{Observation, Outcome};
use weir::target::{Backend, Choice, Glob, Health, Match, Passthrough, Rule, RuleName, Serves, Targets};

use super::support::*;

/// Calls of the namespace are those whose peer says so; nobody calls from where nothing is known.
fn from(namespace: &str, model: &str) -> (RequestHead, String) {
    let mut head = post(CHAT);
    head.facts.peer_uri = (!namespace.is_empty()).then(|| format!("spiffe://mesh/ns/{namespace}/sa/a"));
    (head, format!(r#"{{"model":"{model}","messages":[]}}"#))
}

fn namespaces(glob: &str) -> From {
    From(vec![Caller { namespaces: vec![Glob::new(glob)], ..Caller::default() }])
}

fn row(glob: Option<&str>, secret: &str) -> Row {
    let callers = glob.map(|glob| Callers { namespace: None, from: namespaces(glob) });
    Row { callers, credential: key(secret) }
}

fn rule(name: RuleName, backends: &[usize], from: Option<usize>) -> Rule {
    let choice = |&backend| Choice { backend, model: None, priority: 0, weight: 1 };
    let matches = vec![Match { model: Some(Glob::new("tuned*")), from, ..Match::default() }];
    Rule { name, matches, choices: backends.iter().map(choice).collect(), ..Rule::default() }
}

/// `one` and `two` are root's; `shop/one` is the shop's, whose rule takes `tuned*` there.
fn several() -> Policy {
    let own = Backend {
        name: "shop/one".into(),
        namespace: Some("shop".into()),
        authority: "shop.example".into(),
        ..backend("one", false)
    };
    let serves = |list: &str| Serves { list: Some(list.into()), by_name_alone: false };
    let of_root = |name: &str| (backend(name, false), serves(name));
    let models = [("gpt-4o-mini".into(), vec!["one".into()]), ("other".into(), vec!["two".into()])];
    let backends = vec![of_root("one"), of_root("two"), (own, serves("own"))];
    let mut targets = Targets::new(backends, models.into());
    targets.table_mut(Some("shop")).rules = vec![rule(RuleName::new(Some("shop"), "chat", "tuned"), &[2], None)].into();
    let files = RuleName::passthrough(Some("shop"), "files");
    targets.table_mut(Some("shop")).passthrough =
        vec![Passthrough { route: files, backend: 2, paths: vec![Glob::new("/v1/files*")] }];
    let mut credentials = Credentials::default();
    credentials.push(vec![row(None, "k-one"), row(Some("billing"), "k-billing")]);
    credentials.push(vec![row(Some("billing"), "k-two")]);
    credentials.push(vec![row(None, "k-shop")]);
    let identity = Rules { anonymous: Anonymous::Allow, ..Rules::new(&Workload::default()) };
    Policy {
        credentials,
        identity,
        may_sign: true,
        role: Role::Gateway,
        ..Policy::new(targets, Vec::new(), policy().catalog)
    }
}

fn called(policy: Policy, (head, body): (RequestHead, String)) -> World {
    let mut world = World::new(policy);
    world.send(Event::Request(head, false)).send(Event::RequestBody(bytes(body), true));
    if world.envoy.upstream.began {
        world.reply(json(), DOCUMENT);
    }
    world.end();
    world
}

#[test]
fn a_call_goes_where_its_own_namespace_says_and_leaves_with_that_backends_id() {
    for model in ["tuned-1", "one/m"] {
        let world = called(several(), from("shop", model));
        assert_eq!(world.upstream_header("x-weir-backend"), Some("shop/one"), "{model}");
        assert_eq!(world.upstream_header("authorization"), Some("Bearer k-shop"));
        assert_eq!(world.record().backend.as_deref(), Some("shop/one"));
        let route = world.record().route.as_deref();
        assert_eq!(route, (model == "tuned-1").then_some("shop/chat/tuned"));
    }
    let elsewhere = called(several(), from("search", "one/m"));
    assert_eq!(elsewhere.upstream_header("x-weir-backend"), Some("one"));
    for (namespace, model) in [("search", "tuned-1"), ("", "tuned-1"), ("search", "shop/one/m"), ("shop", "shop/one/m")]
    {
        let refused = called(several(), from(namespace, model)).refused();
        assert_eq!(refused, (404, "model_not_found".to_owned()), "{namespace} {model}");
    }
}

#[test]
fn another_attempt_does_not_leave_the_callers_namespace() {
    let tried = |namespace: &str, backend: &str| {
        let mut policy = several();
        policy.targets.root.rules =
            vec![Rule { matches: Vec::new(), ..rule(RuleName::new(None, "chat", "all"), &[0, 1], None) }].into();
        let mut world = World::new(fails_over(policy));
        // The rule draws among its backends, so the one that has a credential for everybody is first as often as not.
        let (head, body) = from(namespace, "m");
        world.send(Event::Request(head, false)).send(Event::RequestBody(bytes(body), true));
        let first =
            world.upstream_header("x-weir-backend").map(|names| names.split(',').next().unwrap_or("").to_owned());
        world.send(attempt(1, &first.expect("it left"))).send(attempt(2, backend)).reply(json(), DOCUMENT).end();
        let decisions = &world.record().decisions;
        decisions.iter().find(|decision| decision.outcome.ends_with("retried")).map(|decision| decision.reason)
    };
    assert_eq!(tried("search", "shop/one"), None, "there was nowhere else to go, so nothing was kept");
    assert_eq!(tried("search", "two"), None, "none of its credentials is for this caller");
    assert_eq!(tried("billing", "shop/one"), Some("not_in_order"));
}

#[test]
fn a_path_without_a_model_is_signed_by_ones_own_namespace() {
    let pass = |namespace: &str| {
        let mut world = World::new(several());
        let (mut head, _) = from(namespace, "");
        head.path = "/v1/files".to_owned();
        world.send(Event::Request(head, true)).end();
        world
    };
    let own = pass("shop");
    assert_eq!(own.upstream_header("authorization"), Some("Bearer k-shop"));
    assert_eq!(own.record().route.as_deref(), Some("shop/files"));
    assert_eq!(pass("search").refused(), (404, "no_backend".to_owned()));
}

#[test]
fn each_caller_gets_the_credential_that_is_for_it() {
    for (namespace, expected) in [("billing", "Bearer k-billing"), ("search", "Bearer k-one"), ("", "Bearer k-one")] {
        let world = called(several(), from(namespace, "one/m"));
        assert_eq!(world.upstream_header("authorization"), Some(expected), "{namespace}");
    }
}

#[test]
fn a_backend_without_a_credential_for_the_caller_is_not_open_to_it() {
    let named = called(Policy { role: Role::Gateway, ..several() }, from("search", "two/m"));
    assert_eq!(named.refused(), (403, "model_not_allowed".to_owned()));
    assert!(!named.client().contains("credential"), "a stranger is not told why: {}", named.client());
    let decision = named.record().decisions.iter().find(|decision| decision.outcome == "refused").expect("a decision");
    assert_eq!(&*decision.detail, "LLMBackend \"two\": none of its credentials is for this caller.");

    // Among several it is passed over, and the record says why.
    let mut policy = several();
    policy.targets.root.rules = vec![rule("chat/r".into(), &[1, 0], None)].into();
    let world = called(policy.clone(), from("search", "tuned"));
    assert_eq!(world.record().backend.as_deref(), Some("one"));
    let passed =
        world.record().decisions.iter().find(|decision| decision.outcome == "passed_over").expect("a decision");
    assert_eq!((passed.reason, &*passed.detail), ("no_credential", "two/tuned"));
    policy.targets.root.rules = vec![rule("chat/r".into(), &[1], None)].into();
    assert_eq!(called(policy, from("search", "tuned")).refused(), (403, "model_not_allowed".to_owned()));

    // Not on a path without a model either, signed or not.
    let mut head = request("GET", "/v1/batches", &[]);
    head.authority = "two.example".to_owned();
    let mut world = World::new(several());
    world.send(Event::Request(head, true)).end();
    assert_eq!(world.refused(), (403, "model_not_allowed".to_owned()));
}

#[test]
fn the_list_of_models_is_the_callers_own() {
    let listed = |namespace: &str| {
        let mut policy = several();
        policy.targets.models.insert("own-model".into(), vec!["own".into()]);
        let mut world = World::new(policy);
        let (mut head, _) = from(namespace, "");
        (head.method, head.path) = ("GET".to_owned(), "/v1/models".to_owned());
        world.send(Event::Request(head, true)).end();
        let answer: serde_json::Value = serde_json::from_slice(&world.envoy.client.body).expect("JSON");
        let ids = answer["data"].as_array().expect("a list").iter();
        ids.map(|model| model["id"].as_str().expect("text").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(listed("search"), ["gpt-4o-mini"]);
    assert_eq!(listed("billing"), ["gpt-4o-mini", "other"]);
    assert_eq!(listed("shop"), ["gpt-4o-mini", "own-model"]);
}

#[test]
fn a_rule_takes_the_calls_of_those_whom_it_names() {
    let mut policy = several();
    policy.callers = vec![Callers { namespace: None, from: namespaces("bill*") }];
    policy.targets.root.rules =
        vec![rule("chat/billing".into(), &[1], Some(0)), rule("chat/rest".into(), &[0], None)].into();
    for (namespace, expected) in [("billing", "chat/billing"), ("search", "chat/rest"), ("", "chat/rest")] {
        let world = called(policy.clone(), from(namespace, "tuned"));
        assert_eq!(world.record().route.as_deref(), Some(expected), "{namespace}");
    }
}

/// What an answer to a call of this namespace says of the backend.
fn observed(namespace: &str, status: u16) -> Observation {
    let mut world = World::new(several());
    let (head, body) = from(namespace, "one/m");
    world.send(Event::Request(head, false)).send(Event::RequestBody(bytes(body), true));
    world.reply(response(status, &[("content-type", "application/json")]), "{}").end();
    let mut notes = world.notes().into_iter().filter_map(|note| match note {
        Note::Observe(seen) => Some(seen.clone()),
        _ => None,
    });
    notes.next_back().expect("an observation")
}

#[test]
fn a_key_that_is_refused_does_not_cool_the_backend_for_callers_with_another_one() {
    let seen = observed("billing", 401);
    assert_eq!((&*seen.backend, seen.credential, seen.outcome), ("one", 1, Outcome::Denied));
    assert_eq!(observed("search", 429).credential, 0);
    let health = Arc::new(Health::new());
    health.observe(&seen);
    let mut policy = several();
    policy.credentials = Credentials::default();
    policy.credentials.push(vec![row(None, "k-one"), row(Some("billing"), "k-billing")]);
    policy.credentials.push(vec![row(None, "k-two")]);
    policy.targets.root.rules = vec![rule("chat/r".into(), &[0, 1], None)].into();
    let policy = Arc::new(policy);
    let goes = |namespace: &str| {
        let mut world = World::new(several());
        let (learned, health, mode) = (Arc::default(), health.clone(), BodyMode::FullDuplex);
        // The draw is that of the first of both, if it is fit.
        let setup = Setup { id: "1".into(), policy: policy.clone(), learned, health, mode, draw: 0 };
        world.exchange = Exchange::new(setup);
        let (head, body) = from(namespace, "tuned");
        world.send(Event::Request(head, false)).send(Event::RequestBody(bytes(body), true));
        world.reply(json(), DOCUMENT).end();
        world.record().backend.as_deref().map(str::to_owned)
    };
    assert_eq!(goes("search").as_deref(), Some("one"));
    assert_eq!(goes("billing").as_deref(), Some("two"));
}

#[test]
fn what_the_caller_sends_itself_does_not_leave_with_another_ones_key() {
    let mut policy = several();
    policy.credentials = Credentials::default();
    policy
        .credentials
        .push(vec![row(Some("billing"), "k-billing"), Row { callers: None, credential: Credential::Caller }]);
    let own = called(policy.clone(), from("search", "one/m"));
    assert_eq!(own.upstream_header("authorization"), Some("Bearer dummy"));
    assert_eq!(called(policy, from("billing", "one/m")).upstream_header("authorization"), Some("Bearer k-billing"));
}
