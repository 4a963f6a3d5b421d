//! What an explanation says is what the exchange does: who refuses, which rule took the call, and what of it
//! a caller is told in a header.

use std::sync::OnceLock;

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::Value;
use weir::catalog::Catalog;
use weir::config::{self, Options, Source, file::ProcessSecrets};
use weir::exchange::event::{Event, Headers};
use weir::exchange::explain::EXPLAIN_HEADER;
use weir::exchange::phase::BodyMode;
use weir::identity::{Claim, Claims};
use weir::policy::explain::{Explanation, HEADER, Standing};
use weir::policy::{Explain, Mode, Policy};

use super::support::*;

fn load(text: &str) -> Policy {
    static CATALOG: OnceLock<Catalog> = OnceLock::new();
    let catalog = CATALOG.get_or_init(Catalog::builtin);
    let source = Source { files: vec![("weir.yaml".to_owned(), text.to_owned())], ..Source::default() };
    let loaded = config::load(&source, &Options::default(), catalog, &ProcessSecrets, catalog.clone());
    loaded.unwrap_or_else(|errors| panic!("{errors:?}\n{text}")).policy
}

fn document(kind: &str, name: &str, spec: &str) -> String {
    format!("---\napiVersion: weir.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {{{spec}}}\n")
}

fn backend_of(name: &str, region: &str) -> String {
    let spec = "endpoint: 'http://127.0.0.1:1/v1', dialect: OpenAI, credentials: [{type: None}]";
    let text = document("LLMBackend", name, spec);
    text.replace(&format!("{{name: {name}}}"), &format!("{{name: {name}, labels: {{region: {region}}}}}"))
}

/// Two backends, three rules of one model and a policy of each standing.
fn situation() -> String {
    let mut text = backend_of("one", "eu") + &backend_of("two", "us");
    text += &document(
        "LLMRoute",
        "chat",
        "rules: [{name: gold, matches: [{model: {value: m}, headers: [{name: x-tier, value: gold}]}], backends: [{name: two}]}, \
         {name: embed, matches: [{model: {value: m}, operation: Embeddings}], backends: [{name: two}]}, \
         {name: default, matches: [{model: {value: m}}], backends: [{name: one, model: m1, weight: 3}, {name: two, weight: 0}, \
         {name: two, model: m2, priority: 1}]}, {name: any, backends: [{name: two}]}]",
    );
    text += &document("LLMAccessPolicy", "all", "models: {allow: ['m*']}");
    text += &document(
        "LLMAccessPolicy",
        "eu",
        "from: [{namespaces: ['eu-*']}], backends: {selector: {matchLabels: {region: eu}}}",
    );
    text += &document("LLMAccessPolicy", "two", "targetRefs: [{kind: LLMBackend, name: two}], models: {deny: ['*']}");
    text + &document("LLMAccessPolicy", "trial", "mode: Shadow, models: {deny: ['m1']}")
}

const HEADERS: &[(&str, &str)] = &[("content-type", "application/json"), (EXPLAIN_HEADER, "1")];

/// The exchange of a call and its explanation.
fn asked(policy: &Policy, headers: &[(&str, &str)], model: &str) -> (World, Explanation) {
    let mut world = World::new(policy.clone());
    let head = request("POST", CHAT, headers);
    let kept: Headers = head.headers.clone();
    let body = format!(r#"{{"model":"{model}","messages":[]}}"#);
    world.send(Event::Request(head, false)).send(Event::RequestBody(bytes(body), true));
    if world.envoy.upstream.began {
        world.reply(json(), DOCUMENT);
    }
    world.end();
    let told = world.record().explain(policy, Some(&kept));
    (world, told)
}

#[test]
fn each_standing_has_its_words() {
    let policy = load(&situation());
    let (_, told) = asked(&policy, HEADERS, "m");
    let expected = "\
caller: default/default (Workload)
  namespace default, from the pod's own workload
  serviceAccount default, from the pod's own workload
  workload app, from the pod's own workload
route: chat/default, to one as m1: drawn by the weights of the rule
  priority 0, weight 3 of 3: one as m1: chosen
  priority 0, weight 0 of 3: two as m: never chosen without a weight
  priority 1, weight 1 of 1: two as m2: only if all before it fail
  not chat/gold: header x-tier wants \"gold\", and the call has none
  not chat/embed: operation wants embeddings, and the call is chat
  not chat/any: rule chat/default is asked before it
policies that apply:
  LLMAccessPolicy/all: allows
  LLMAccessPolicy/trial: refuses: models.deny has \"m1\", which is \"m1\"; in Shadow, so it only counts
policies that do not:
  LLMAccessPolicy/eu: from.namespaces wants \"eu-*\", and the caller's is \"default\"
  LLMAccessPolicy/two: targetRefs want LLMBackend two, and the call goes to LLMBackend one by rule default of LLMRoute chat
";
    assert_eq!(told.to_string(), expected);
    // What no rule takes and no backend serves was about to go nowhere.
    let routeless = situation().replace(", {name: any, backends: [{name: two}]}", "");
    let (world, told) = asked(&load(&routeless), HEADERS, "unheard-of");
    assert_eq!(world.refused(), (404, "model_not_found".to_owned()));
    let text = told.to_string();
    assert!(text.contains("route: none: no backend was chosen\n"), "{text}");
    assert!(text.contains("LLMAccessPolicy/all: not asked, for no backend was chosen\n"), "{text}");
    assert!(text.contains("LLMAccessPolicy/eu: from.namespaces wants"), "{text}");
}

#[test]
fn a_record_without_headers_does_not_pretend_to_know_them() {
    let policy = load(&situation());
    let (world, _) = asked(&policy, HEADERS, "m");
    let text = world.record().explain(&policy, None).to_string();
    assert!(text.contains("not chat/gold: headers want x-tier \"gold\"; what the call said is not kept\n"), "{text}");
    assert!(text.contains("not chat/any: rule chat/default is asked before it\n"), "{text}");
}

#[test]
fn a_caller_is_told_in_every_mode_if_it_asks_and_may() {
    let mut policy = load(&situation());
    for mode in [BodyMode::FullDuplex, BodyMode::BufferedStreamed, BodyMode::Buffered] {
        for (explain, headers) in
            [(Explain::Header, HEADERS), (Explain::Off, HEADERS), (Explain::Header, &HEADERS[..1])]
        {
            policy.profile.explain = explain;
            for (model, verdict) in [("m", Some("would_refuse")), ("other", None)] {
                let mut world = World::in_mode(policy.clone(), mode);
                let body = format!(r#"{{"model":"{model}","messages":[]}}"#);
                world.send(Event::Request(request("POST", CHAT, headers), false));
                world.send(Event::RequestBody(bytes(body), true));
                if world.envoy.upstream.began {
                    assert_eq!(world.upstream_header(EXPLAIN_HEADER), None, "it never leaves");
                    world.reply(json(), DOCUMENT);
                }
                world.end();
                let Some(told) = world.client_header(EXPLAIN_HEADER) else {
                    assert!(explain == Explain::Off || headers.len() == 1, "{mode:?}");
                    continue;
                };
                assert!(explain == Explain::Header && headers.len() == 2, "{mode:?}");
                let told: Value = serde_json::from_str(told).expect("JSON");
                let policies = told["policies"].as_object().expect("by their names");
                match verdict {
                    Some(verdict) => assert_eq!(policies["LLMAccessPolicy/trial"], verdict, "{told}"),
                    None => assert_eq!(policies["LLMAccessPolicy/all"], "refuses", "{told}"),
                }
                // A verdict and no reason: it would tell what others may.
                assert!(policies.values().all(Value::is_string) && !told.to_string().contains("models"), "{told}");
            }
        }
    }
}

#[test]
fn a_header_is_ascii_and_bounded_whatever_is_configured() {
    let mut text = backend_of("one", "eu");
    for number in 0..300 {
        text +=
            &document("LLMAccessPolicy", &format!("policy-with-a-rather-long-name-{number}"), "models: {allow: ['*']}");
    }
    let mut policy = load(&text);
    policy.profile.explain = Explain::Header;
    for model in ["m", "mödel-日本-𝄞", &"\u{7f}é".repeat(2000)] {
        let (world, _) = asked(&policy, HEADERS, model);
        let told = world.client_header(EXPLAIN_HEADER).expect("it is told");
        assert!(told.len() <= HEADER && told.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{told}");
        let told: Value = serde_json::from_str(told).expect("JSON");
        let shown = told["policies"].as_object().map_or(0, |policies| policies.len());
        assert_eq!(told["omitted"].as_u64().expect("a number") as usize + shown, 300, "{told}");
    }
}

/// A caller is told of root's policies and of its own namespace's, however many others have.
#[test]
fn what_other_namespaces_say_takes_no_place_and_is_not_counted() {
    let mut text = backend_of("one", "eu");
    for number in 0..300 {
        let policy = document("LLMAccessPolicy", &format!("p{number}"), "models: {deny: ['x']}");
        text += &policy.replace(&format!("name: p{number}"), &format!("name: p{number}, namespace: shop"));
    }
    let from = "from: [{namespaces: [other]}], models: {deny: ['x']}";
    text += &document("LLMAccessPolicy", "root", from);
    text += &document("LLMAccessPolicy", "own", from).replace("name: own", "name: own, namespace: default");
    let mut policy = load(&text);
    policy.profile.explain = Explain::Header;
    let (world, told) = asked(&policy, HEADERS, "m");
    let header = world.client_header(EXPLAIN_HEADER).expect("it is told");
    let expected = r#"{"caller":"default/default","rank":"Workload","rule":null,"backend":"one","model":"m","policies":{"LLMAccessPolicy/root":"does_not_apply","LLMAccessPolicy/default/own":"does_not_apply"},"omitted":0}"#;
    assert_eq!(header, expected);
    let ids: Vec<&str> = told.others.iter().take(2).map(|line| &*line.id).collect();
    assert_eq!((ids, told.omitted), (vec!["LLMAccessPolicy/root", "LLMAccessPolicy/default/own"], 302 - 256));
}

/// Sixteen choices are told of, each with what became of it.
#[test]
fn of_every_choice_that_is_told_of_it_is_told_why_it_was_not_chosen() {
    let mut text = backend_of("one", "eu") + &backend_of("two", "us");
    let denied: Vec<String> = (0..15).map(|number| format!("{{name: one, model: d{number}}}")).collect();
    let rule = format!("rules: [{{name: r, backends: [{}, {{name: two, model: fine}}]}}]", denied.join(", "));
    text += &document("LLMRoute", "chat", &rule);
    text += &document("LLMAccessPolicy", "p", "models: {deny: ['d*']}");
    let (world, told) = asked(&load(&text), HEADERS, "m");
    assert_eq!(world.record().backend.as_deref(), Some("two"));
    let fates: Vec<String> = told.route.choices.iter().map(|choice| choice.fate.to_string()).collect();
    let mut expected = vec!["passed over: not_allowed".to_owned(); 15];
    expected.push("chosen".to_owned());
    assert_eq!(fates, expected);
}

#[test]
fn each_fact_of_a_caller_is_told_with_where_it_is_from() {
    let identity = "identity: {jwt: {metadataNamespace: jwt, metadataPath: [payload]}, trustedHops: 1, \
                    endUser: {sources: [{jwtClaim: email}, {header: x-user}]}, session: {sources: [{header: x-s}]}}";
    let text = backend_of("one", "eu") + &document("WeirBootstrap", "process", "role: Gateway");
    let policy = load(&(text + &document("LLMProfile", "p", identity)));
    let told = |forwarded: bool, email: Option<&str>| {
        let mut head = request("POST", CHAT, &[HEADERS[0], ("x-user", "bob"), ("x-s", "s1")]);
        head.facts.peer_uri = Some("spiffe://mesh/ns/edge/sa/proxy".into());
        if forwarded {
            head.headers.push("x-forwarded-client-cert", b"URI=spiffe://mesh/ns/shop/sa/web");
        }
        let email = email.map(|email| ("email".into(), Claim::Text(email.into())));
        let payload = Claim::Map(email.into_iter().collect());
        head.facts.claims = Claims::Said(Claim::Map(vec![("payload".into(), payload)]));
        let mut world = World::new(policy.clone());
        world.send(Event::Request(head, false)).send(Event::RequestBody(bytes(r#"{"model":"m"}"#), true)).end();
        world.record().explain(&policy, None).to_string()
    };
    let facts =
        |told: String| told.lines().filter(|line| line.starts_with("  ")).map(str::to_owned).collect::<Vec<_>>();
    let behind = "x-forwarded-client-cert, which a trusted proxy sent";
    let peer = "the certificate of the peer";
    for (forwarded, email, space, account, from, user, said) in [
        (true, Some("ada"), "shop", "web", behind, "ada", "the token"),
        (true, None, "shop", "web", behind, "bob", "what the request says of itself"),
        (false, Some("ada"), "edge", "proxy", peer, "ada", "the token"),
    ] {
        let expected = [
            format!("  spiffe spiffe://mesh/ns/{space}/sa/{account}, from {from}"),
            format!("  namespace {space}, from {from}"),
            format!("  serviceAccount {account}, from {from}"),
            format!("  endUser {user}, from {said}"),
            "  session s1, from what the request says of itself".to_owned(),
        ];
        assert_eq!(facts(told(forwarded, email))[..5], expected);
    }
}

#[derive(Clone, Debug)]
struct Drawn {
    from: &'static str,
    at: &'static str,
    models: &'static str,
    region: &'static str,
    shadow: bool,
}

prop_compose! {
    fn drawn()(
        from in select(vec!["", "from: [{namespaces: [shop]}]", "from: [{namespaces: ['s*']}, {teams: [x]}]", "from: [{groups: [g]}]"]),
        at in select(vec!["", "targetRefs: [{kind: LLMRoute, name: chat}]", "targetRefs: [{kind: LLMBackend, name: two}]",
            "targetRefs: [{kind: LLMRoute, name: chat, sectionName: default}]"]),
        models in select(vec!["", "models: {deny: ['m1']}", "models: {allow: ['m*']}", "models: {deny: ['*x*']}", "models: {allow: ['two/*']}"]),
        region in select(vec!["", "backends: {selector: {matchLabels: {region: eu}}}"]),
        shadow in any::<bool>(),
    ) -> Drawn {
        Drawn { from, at, models, region, shadow }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn what_is_explained_is_what_is_done(
        policies in prop::collection::vec(drawn(), 0..4),
        namespace in select(vec!["shop", "search", "other"]),
        model in select(vec!["m", "x1", "one/m1", "two/ax", "nothing"]),
        tier in select(vec!["gold", "lead"]),
    ) {
        let base = situation();
        let mut text = base.split("---\n").filter(|text| !text.contains("LLMAccessPolicy")).collect::<Vec<_>>().join("---\n");
        text += &document("WeirBootstrap", "process", &format!("workload: {{namespace: {namespace}}}"));
        for (at, drawn) in policies.iter().enumerate() {
            let mode = if drawn.shadow { "mode: Shadow" } else { "" };
            let said = [drawn.from, drawn.at, drawn.models, drawn.region, mode];
            let said: Vec<&str> = said.into_iter().filter(|word| !word.is_empty()).collect();
            // A policy that says nothing is none.
            if !drawn.models.is_empty() || !drawn.region.is_empty() {
                text += &document("LLMAccessPolicy", &format!("p{at}"), &said.join(", "));
            }
        }
        let mut policy = load(&text);
        policy.profile.explain = Explain::Header;
        let fields = [("content-type", "application/json"), ("x-tier", tier), (EXPLAIN_HEADER, "1")];
        let (world, told) = asked(&policy, &fields, model);
        let record = world.record();
        let refuses = |line: &&weir::policy::explain::Line| {
            matches!(line.standing, Standing::Refuses(_)) && line.mode == Mode::Enforce
        };
        let is_refused = record.refusal == Some("model_not_allowed");
        prop_assert_eq!(is_refused, told.applied.iter().any(|line| refuses(&line)), "{}\n{}", text, told);
        prop_assert_eq!(told.route.rule.as_deref(), record.route.as_deref());
        prop_assert_eq!(told.route.backend.as_deref(), record.backend.as_deref());
        // The rule that took the call is not among those that did not.
        prop_assert!(told.route.rules.iter().all(|rule| Some(rule.rule.as_str()) != record.route.as_deref()));
        prop_assert!(told.route.rules.iter().all(|rule| !rule.why.contains("was refused before")), "{}", told);
        // Every document is told of, once.
        prop_assert_eq!(told.applied.len() + told.others.len(), policy.access.len());
        let header: Value = serde_json::from_str(world.client_header(EXPLAIN_HEADER).unwrap()).unwrap();
        prop_assert_eq!(header["backend"].as_str(), record.backend.as_deref());
        // In the header each has one word for the same.
        for line in told.applied.iter().chain(&told.others) {
            let word = match (&line.standing, line.mode) {
                (Standing::Allows, _) => "allows",
                (Standing::Refuses(_), Mode::Enforce) => "refuses",
                (Standing::Refuses(_), Mode::Shadow) => "would_refuse",
                (Standing::NotMet(_), _) => "does_not_apply",
                (Standing::NotAsked, _) => "not_asked",
                other => panic!("{other:?} of an access policy"),
            };
            prop_assert_eq!(header["policies"][&*line.id].as_str(), Some(word));
        }
    }
}
