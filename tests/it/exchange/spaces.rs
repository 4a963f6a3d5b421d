//! What other namespaces than root say, from documents to the bytes that leave: keys, profiles, access,
//! parameters.

use std::path::Path;

use weir::exchange::event::{Event, RequestHead};
use weir::identity::key::{Digest, RANDOM, new_key};

use super::support::*;
use super::tighten::load;

/// Documents, a line each: kind, namespace, name and labels, spec.
fn documents(rows: &[(&str, &str, &str, &str)]) -> String {
    let one = |&(kind, namespace, meta, spec): &(&str, &str, &str, &str)| {
        let meta = format!("{{name: {meta}, namespace: {namespace}}}");
        format!("---\napiVersion: weir.dev/v1alpha1\nkind: {kind}\nmetadata: {meta}\nspec: {spec}\n")
    };
    rows.iter().map(one).collect()
}

const ROOT: &str = "weir-system";
const OPEN: &str = "{provider: mock, endpoint: \"http://127.0.0.1:1/v1\", allowedNamespaces: {from: All}}";
const PLAIN: &str = "{provider: mock, endpoint: \"http://127.0.0.1:1/v1\"}";

/// A call by a workload of this namespace.
fn head(namespace: &str, fields: &[(&str, &str)]) -> RequestHead {
    let mut head = post(CHAT);
    fields.iter().for_each(|(name, value)| head.headers.push(name, value.as_bytes()));
    head.facts.peer_uri = Some(format!("spiffe://mesh/ns/{namespace}/sa/web"));
    head
}

fn call(documents: &str, head: RequestHead, model: &str) -> World {
    let mut world = World::new(load(documents.to_owned()).expect("documents that are right"));
    let body = format!(r#"{{"model":"{model}","messages":[]}}"#);
    world.send(Event::Request(head, false)).send(Event::RequestBody(bytes(body), true));
    if world.envoy.upstream.began {
        world.reply(json(), DOCUMENT);
    }
    world.end();
    world
}

#[test]
fn a_key_of_a_namespace_names_its_callers_and_changes_nothing_for_root() {
    let key = new_key(&[7; RANDOM]);
    let consumer = format!("{{match: [{{keys: [{{name: a, sha256: \"{}\"}}]}}], team: build}}", Digest::of(&key).hex());
    let policy = "{from: [{teams: [build]}], models: {deny: [\"m2\"]}}";
    let text = documents(&[
        ("LLMBackend", ROOT, "one", OPEN),
        ("LLMConsumer", "shop", "ci", &consumer),
        ("LLMAccessPolicy", ROOT, "roots", "{from: [{teams: [build]}], models: {deny: [\"m1\"]}}"),
        ("LLMAccessPolicy", "shop", "own", policy),
    ]);
    let authorization = format!("Bearer {key}");
    let with_key = |namespace| head(namespace, &[("x-api-key", &*authorization)]);
    let world = call(&text, with_key("shop"), "one/m1");
    let caller = &world.record().caller;
    assert_eq!((&*caller.name, caller.consumer.as_deref()), ("spiffe://mesh/ns/shop/sa/web", None));
    assert_eq!((caller.recorded_consumer().map(|name| &**name), caller.team.as_deref()), (Some("shop/ci"), None));
    assert!(world.envoy.upstream.began, "root does not see the team, and so denies it nothing");
    assert_eq!(world.upstream_header("x-api-key"), None);
    let denied = call(&text, with_key("shop"), "one/m2");
    assert_eq!(denied.refused(), (403, "model_not_allowed".to_owned()));
    assert!(call(&text, head("shop", &[]), "one/m2").envoy.upstream.began, "without the key it is of no team");
    let elsewhere = call(&text, with_key("search"), "one/m1");
    assert_eq!(elsewhere.refused(), (401, "invalid_api_key".to_owned()));
}

#[test]
fn a_profile_of_a_namespace_holds_for_its_own_calls() {
    let text = documents(&[
        ("LLMBackend", ROOT, "one", OPEN),
        (
            "LLMBackend",
            ROOT,
            "two",
            "{dialect: OpenAI, endpoint: \"http://127.0.0.1:1/v1\", allowedNamespaces: {from: All}}",
        ),
        ("LLMProfile", ROOT, "p", "{responseHeaders: [RequestId, Backend]}"),
        ("LLMProfile", "shop", "p", "{bodies: {maxRequest: 60}, responseHeaders: [Backend], unpriced: Deny}"),
    ]);
    for (namespace, id) in [("shop", false), ("search", true)] {
        let world = call(&text, head(namespace, &[]), "one/m");
        let found = ["x-weir-request-id", "x-weir-backend"].map(|name| world.client_header(name).is_some());
        assert_eq!(found, [id, true], "{namespace}");
    }
    let long = "one/".to_owned() + &"m".repeat(60);
    assert_eq!(call(&text, head("shop", &[]), &long).refused(), (413, "request_too_large".to_owned()));
    assert!(call(&text, head("search", &[]), &long).envoy.upstream.began);
    assert_eq!(call(&text, head("shop", &[]), "two/unpriced-m").refused(), (403, "model_not_allowed".to_owned()));
    assert!(call(&text, head("search", &[]), "two/unpriced-m").envoy.upstream.began);
}

/// The namespace serves `fast` by itself, calls its backend like root's, and labels it as root likes it.
#[test]
fn what_a_namespace_names_and_labels_is_not_what_root_allows() {
    let rule = |backend: &str, model: &str| {
        format!(
            "{{rules: [{{name: r, matches: [{{model: {{value: fast}}}}], backends: [{{name: {backend}, model: {model}}}]}}]}}"
        )
    };
    let (open, own) = (rule("one", "m1"), rule("mine", "m9"));
    let around = [
        ("LLMBackend", ROOT, "one, labels: {region: eu}", OPEN),
        ("LLMRoute", ROOT, "chat", &*open),
        ("LLMBackend", "shop", "mine, labels: {region: eu}", PLAIN),
        ("LLMRoute", "shop", "chat", &*own),
    ];
    // Whether a call of shop passes a policy of root, one of search does, and one of shop a policy of shop.
    for (spec, of_shop, of_search, by_its_own) in [
        ("{models: {allow: [fast]}}", false, true, true),
        ("{models: {allow: [m9, m1]}}", true, true, true),
        ("{models: {allow: [\"mine/*\", \"one/*\"]}}", false, true, true),
        ("{models: {allow: [\"shop/mine/*\"]}}", true, false, true),
        ("{models: {deny: [\"mine/*\"]}}", false, true, false),
        ("{models: {deny: [fast]}}", false, false, false),
        ("{backends: {selector: {matchLabels: {region: eu}}}}", false, true, true),
    ] {
        for (author, caller, expected) in [
            (ROOT, "shop", of_shop),
            (ROOT, "search", of_search),
            ("shop", "shop", by_its_own),
            ("shop", "search", true),
        ] {
            let text = documents(&[&around[..], &[("LLMAccessPolicy", author, "a", spec)]].concat());
            let world = call(&text, head(caller, &[]), "fast");
            assert_eq!(world.envoy.upstream.began, expected, "{author} {caller} {spec}");
            // Who may not use it does not see it.
            let mut list = World::new(load(text).expect("documents that are right"));
            let mut asking = request("GET", "/v1/models", &[]);
            asking.facts = head(caller, &[]).facts;
            list.send(Event::Request(asking, true)).end();
            assert_eq!(list.client().contains("\"fast\""), expected, "{author} {caller} {spec}: {}", list.client());
        }
    }
}

/// Whose parameters a call leaves with, by which documents there are.
#[test]
fn parameters_are_those_of_the_one_rule_that_takes_the_call() {
    let route = |cap: u32, model: &str| {
        let says = format!("matches: [{{model: {model}}}], backends: [{{name: one}}]");
        let rule = |name: &str, cap: u32| format!("{{name: {name}, {says}, parameters: {{maxOutputTokens: {cap}}}}}");
        format!("{{rules: [{}, {}]}}", rule("first", cap), rule("second", cap + 1))
    };
    let (exact, glob) = ("{value: m}", "{type: Glob, value: \"*\"}");
    let places = [
        ("root", ROOT, route(10, exact)),
        ("root-glob", ROOT, route(20, glob)),
        ("namespace", "shop", route(30, exact)),
        ("namespace-glob", "shop", route(40, glob)),
        ("other", "search", route(50, exact)),
    ];
    let mut table = String::new();
    for bits in 0..32_u32 {
        let used: Vec<_> =
            places.iter().enumerate().filter(|(at, _)| bits >> at & 1 == 1).map(|(_, place)| place).collect();
        let mut rows = vec![("LLMBackend", ROOT, "one", OPEN)];
        rows.extend(used.iter().map(|(name, namespace, spec)| ("LLMRoute", *namespace, *name, &**spec)));
        let world = call(&documents(&rows), head("shop", &[]), "m");
        let left: serde_json::Value = serde_json::from_str(&world.upstream()).expect("JSON");
        let names: Vec<&str> = used.iter().map(|(name, ..)| *name).collect();
        let cap = ["max_tokens", "max_completion_tokens"].iter().find_map(|field| left[field].as_u64());
        let cap = cap.map_or("none".to_owned(), |cap| cap.to_string());
        let rule = world.record().route.as_deref().unwrap_or("none").to_owned();
        table.push_str(&format!("{:<57}| {cap:<5}| {rule}\n", names.join(" + ")));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/combination/parameters.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &table).expect("the golden file");
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap_or_default(), table, "UPDATE_GOLDEN=1 writes it anew");
}
