//! Who reaches what over several namespaces: references, the order in which namespaces are asked, and
//! that no caller ever reaches what is another namespace's.

use proptest::prelude::*;

use super::fake::{Catalogue, Fakes, lines, load_text};
use super::*;
use crate::credential::Credential;
use crate::identity::{Principal, Rules, Workload};
use crate::llm::{Code, Dialect, Operation};
use crate::policy::select::TargetRef;
use crate::target::{Asked, Candidate, Choosing, Closed, Health, Target};

const NAMESPACES: [Option<&str>; 3] = [None, Some("search"), Some("shop")];

fn document(kind: &str, namespace: Option<&str>, name: &str, spec: &str) -> String {
    let namespace = namespace.map_or_else(String::new, |namespace| format!(", namespace: {namespace}"));
    format!("--- {{apiVersion: {API}, kind: {kind}, metadata: {{name: {name}{namespace}}}, spec: {{{spec}}}}}\n")
}

fn backend(namespace: Option<&str>, name: &str, spec: &str) -> String {
    document("LLMBackend", namespace, name, spec)
}

/// A route of one rule.
fn route(namespace: Option<&str>, name: &str, models: &str, backend: &str) -> String {
    let rule = format!("{{name: r, matches: [{models}], backends: [{{name: {backend}}}]}}");
    document("LLMRoute", namespace, name, &format!("rules: [{rule}]"))
}

fn glob(pattern: &str) -> String {
    format!("{{model: {{type: Glob, value: '{pattern}'}}}}")
}

fn compiled(documents: &[String]) -> Compiled {
    load_text(&documents.concat(), &Fakes::default()).map_err(|errors| lines(&errors)).unwrap()
}

fn workload(namespace: &str) -> Principal {
    let own = Workload { namespace: namespace.into(), service_account: "a".into(), name: "w".into() };
    (*Rules::new(&own).own).clone()
}

/// What a chat by a workload of this namespace gets.
fn target(compiled: &Compiled, namespace: &str, model: &str) -> Result<Target, Code> {
    let (policy, principal) = (&compiled.policy, workload(namespace));
    let caller = |index: usize| policy.callers[index].has(&principal);
    let asked = Asked { namespace, model, operation: Operation::Chat, header: &|_| None, caller: &caller };
    let health = Health::new();
    let door = |candidate: Candidate<'_>| {
        policy.credentials.of(candidate.index, &principal).map(|held| held.row).ok_or(Closed::Credential)
    };
    let how = Choosing { door: &door, ..Choosing::plain(0, Dialect::OpenAi, &health) };
    let chosen = policy.targets.resolve(&model.into(), &asked, &how);
    chosen.map(|chosen| chosen.target).map_err(|refusal| refusal.code)
}

fn goes(compiled: &Compiled, namespace: &str, model: &str) -> Result<String, Code> {
    target(compiled, namespace, model).map(|target| format!("{} {}", target.backend.name, target.model))
}

fn listed(compiled: &Compiled, namespace: &str) -> Vec<(String, Arc<str>)> {
    let (policy, principal) = (&compiled.policy, workload(namespace));
    let caller = |index: usize| policy.callers[index].has(&principal);
    let asked = Asked { namespace, model: "", operation: Operation::Chat, header: &|_| None, caller: &caller };
    let names = policy.targets.names(asked, |target, _| policy.credentials.of(target.index, &principal).is_some());
    names.into_iter().map(|name| (name.id.to_string(), name.backend.name.clone())).collect()
}

#[test]
fn a_namespace_is_asked_first_and_whole_and_then_root() {
    let shop = Some("shop");
    let compiled = compiled(&[
        backend(None, "openai", "provider: openai, allowedNamespaces: {from: All}"),
        backend(None, "groq", "provider: groq"),
        backend(None, "local", "endpoint: 'http://root.local/v1', dialect: OpenAI"),
        backend(shop, "local", "provider: groq"),
        backend(
            shop,
            "more",
            "endpoint: 'http://more.local/v1', dialect: Anthropic, credentials: [{type: APIKey, apiKey: {secretRef: {name: none, key: none}}}]",
        ),
        route(None, "chat", &[glob("gpt-4*"), "{model: {value: fast}}".to_owned()].join(", "), "groq"),
        route(shop, "chat", &glob("fas*"), "openai"),
    ]);
    for (namespace, model, expected) in [
        // A pattern of one's own comes before an exact model of root's.
        ("shop", "fast", Ok("openai fast")),
        ("search", "fast", Ok("groq fast")),
        ("", "fast", Ok("groq fast")),
        ("shop", "gpt-4o-mini", Ok("groq gpt-4o-mini")),
        // Short names: one's own hide root's.
        ("shop", "local/x", Ok("shop/local x")),
        ("search", "local/x", Ok("local x")),
        ("shop", "openai/x", Ok("openai x")),
        ("search", "more/x", Err(Code::ModelNotFound)),
        ("search", "shop/local/x", Err(Code::ModelNotFound)),
        ("shop", "shop/local/x", Err(Code::ModelNotFound)),
        // A bare model: the one of one's own that serves it, though three of root's do.
        ("shop", "gpt-oss-120b", Ok("shop/local gpt-oss-120b")),
        ("search", "gpt-oss-120b", Err(Code::ModelNotFound)),
        ("search", "my-tune", Err(Code::ModelNotFound)),
    ] {
        assert_eq!(goes(&compiled, namespace, model), expected.map(str::to_owned), "{namespace} {model}");
    }
    let rule = target(&compiled, "shop", "fast").unwrap().rule.unwrap();
    assert_eq!((&**rule.text(), rule.route(), rule.rule()), ("shop/chat/r", "shop/chat", Some("r")));
}

#[test]
fn two_of_ones_own_that_serve_a_model_are_told_and_roots_is_not_taken_instead() {
    let of = |name| backend(Some("shop"), name, "provider: openai");
    let root = backend(None, "root", "provider: openai");
    let ambiguous = compiled(&[of("one"), of("two"), root.clone()]);
    assert_eq!(goes(&ambiguous, "shop", "gpt-4o-mini"), Err(Code::ModelNotFound));
    assert_eq!(goes(&ambiguous, "search", "gpt-4o-mini"), Ok("root gpt-4o-mini".into()));
    // A rule of root does say which.
    let ruled = compiled(&[of("one"), of("two"), root, route(None, "r", &glob("*"), "root")]);
    assert_eq!(goes(&ruled, "shop", "gpt-4o-mini"), Ok("root gpt-4o-mini".into()));
    assert_eq!(goes(&ruled, "shop", "two/m"), Ok("shop/two m".into()));
}

#[test]
fn the_only_backend_there_is_counts_for_those_who_can_reach_it() {
    let one = compiled(&[backend(Some("shop"), "local", "endpoint: 'http://a.local/v1', dialect: OpenAI")]);
    assert_eq!(goes(&one, "shop", "anything"), Ok("shop/local anything".into()));
    assert_eq!(goes(&one, "search", "anything"), Err(Code::NoBackend));
    let pass = |compiled: &Compiled, namespace: &str, path: &str, host: &str| {
        let pass = compiled.policy.targets.pass(namespace, path, host).map_err(|refusal| refusal.code)?;
        Ok((pass.backend.name.to_string(), pass.signed))
    };
    assert_eq!(pass(&one, "shop", "/v1/x", ""), Ok(("shop/local".into(), false)));
    assert_eq!(pass(&one, "search", "/v1/x", "a.local"), Err(Code::NoBackend));
    let two = compiled(&[
        backend(Some("shop"), "local", "endpoint: 'http://a.local/v1', dialect: OpenAI"),
        backend(None, "open", "endpoint: 'http://b.local/v1', dialect: OpenAI"),
        document("LLMRoute", None, "files", "passthrough: {backend: open, paths: ['/v1/files*']}"),
        document("LLMRoute", Some("shop"), "files", "passthrough: {backend: local, paths: ['/v1/files/own*']}"),
    ]);
    assert_eq!(goes(&two, "shop", "anything"), Err(Code::ModelNotFound));
    assert_eq!(goes(&two, "search", "anything"), Ok("open anything".into()));
    assert_eq!(pass(&two, "shop", "/v1/files/own", ""), Ok(("shop/local".into(), true)));
    assert_eq!(pass(&two, "shop", "/v1/files/x", ""), Ok(("open".into(), true)));
    assert_eq!(pass(&two, "shop", "/v1/files/x", "A.local"), Ok(("shop/local".into(), false)));
    assert_eq!(pass(&two, "search", "/v1/files/own", "a.local"), Ok(("open".into(), true)));
    assert_eq!(pass(&two, "search", "/v1/x", "a.local"), Ok(("open".into(), false)), "the only one it can reach");
}

#[test]
fn discovery_belongs_to_root_and_only_root_takes_its_names() {
    let options = Options { discovery_default: Discovery::Enabled, ..Options::default() };
    let fakes = Fakes { options, env: [("OPENAI_API_KEY", "k")].into(), ..Fakes::default() };
    let own = backend(Some("shop"), "openai", "provider: groq");
    let compiled = load_text(&own, &fakes).map_err(|errors| lines(&errors)).unwrap();
    let names: Vec<&str> = compiled.policy.targets.backends.iter().map(|backend| &*backend.name).collect();
    assert_eq!((names, &*compiled.discovered), (vec!["shop/openai", "openai"], &["openai".into()][..]));
    let root = load_text(&backend(None, "openai", "provider: groq"), &fakes).unwrap();
    assert!(root.discovered.is_empty());
    // Nobody said who may refer to what nobody wrote.
    let errors = load_text(&route(Some("search"), "r", &glob("*"), "openai"), &fakes).unwrap_err();
    assert_eq!(
        lines(&errors),
        "weir.yaml:1:spec.rules[0].backends[0].name: LLMBackend \"openai\" of namespace \"weir-system\" does not admit \
         references from \"search\": define it there with allowedNamespaces {from: All}"
    );
}

#[test]
fn target_refs_come_to_ids() {
    let compiled = compiled(&[
        backend(None, "openai", "provider: openai, allowedNamespaces: {from: All}"),
        backend(Some("shop"), "local", "provider: openai"),
        route(None, "chat", &glob("a*"), "openai"),
        route(None, "root", &glob("b*"), "openai"),
        route(Some("shop"), "chat", &glob("c*"), "local"),
        document(
            "LLMAccessPolicy",
            Some("shop"),
            "p",
            "models: {deny: [x]}, targetRefs: [{kind: LLMBackend, name: openai}, {kind: LLMBackend, name: local}, \
             {kind: LLMRoute, name: chat, sectionName: r}, {kind: LLMRoute, name: root}]",
        ),
    ]);
    let scope = &compiled.policy.access[0].scope;
    let route = |name: &str, rule: Option<&str>| TargetRef::Route { name: name.into(), rule: rule.map(Into::into) };
    assert_eq!(
        scope.targets,
        [
            TargetRef::Backend("openai".into()),
            TargetRef::Backend("shop/local".into()),
            route("shop/chat", Some("r")),
            route("root", None)
        ]
    );
    assert_eq!((&*scope.id, scope.namespace.as_deref()), ("LLMAccessPolicy/shop/p", Some("shop")));
}

#[test]
fn a_match_may_say_who_calls_and_the_same_callers_are_one_entry() {
    let from =
        |namespaces: &str, value: &str| format!("{{from: [{{namespaces: [{namespaces}]}}], {}", &glob(value)[1..]);
    let compiled = compiled(&[
        backend(None, "a", "provider: openai"),
        backend(None, "b", "provider: openai"),
        backend(None, "c", "provider: openai"),
        route(None, "one", &[from("shop", "m*"), from("'s*'", "n*")].join(", "), "a"),
        route(None, "two", &from("shop", "x*"), "b"),
        route(None, "rest", &glob("*"), "c"),
        route(None, "exact", "{model: {value: m1}, from: [{namespaces: [search]}]}", "b"),
    ]);
    assert_eq!(compiled.policy.callers.len(), 3);
    for (namespace, model, expected) in [
        ("shop", "m1", "a"),
        // An exact model beats a pattern only if it admits the caller.
        ("search", "m1", "b"),
        ("search", "n", "a"),
        ("other", "m1", "c"),
        ("", "n", "c"),
        ("shop", "x", "b"),
        ("search", "x", "c"),
    ] {
        assert_eq!(goes(&compiled, namespace, model), Ok(format!("{expected} {model}")), "{namespace} {model}");
    }
    assert!(listed(&compiled, "search").iter().any(|(id, backend)| id == "m1" && &**backend == "b"));
    assert!(listed(&compiled, "other").iter().any(|(id, backend)| id == "m1" && &**backend == "c"));
}

#[test]
fn each_credential_is_loaded_and_warned_of_at_its_place() {
    let credentials = "[{type: APIKey, apiKey: {env: ONE}, from: [{namespaces: [shop]}]}, {type: APIKey, apiKey: {env: \
                       TWO}}, {type: APIKey, apiKey: {env: THREE}, from: [{namespaces: ['s*']}]}]";
    let yaml = backend(None, "a", &format!("provider: openai, credentials: {credentials}"));
    let fakes = |env: &[(&'static str, &'static str)]| Fakes { env: env.iter().copied().collect(), ..Fakes::default() };
    let compiled = load_text(&yaml, &fakes(&[("TWO", "two"), ("THREE", "three")])).unwrap();
    assert_eq!(
        lines(&compiled.warnings),
        "weir.yaml:1:spec.credentials[0].apiKey: environment variable ONE is not set"
    );
    let key = |namespace: &str| match compiled.policy.credentials.of(0, &workload(namespace)).unwrap().credential {
        Credential::Key(signature) => signature.secret.expose().to_owned(),
        other => format!("{other:?}"),
    };
    assert_eq!((key("other").as_str(), key("search").as_str()), ("two", "three"));
    assert!(key("shop").contains("ONE"), "{}", key("shop"));
    // It serves bare names as long as there is one key.
    let other = backend(None, "b", "provider: groq, credentials: [{type: APIKey, apiKey: {env: TWO}}]");
    let one = load_text(&[yaml.clone(), other.clone()].concat(), &fakes(&[("THREE", "three")])).unwrap();
    assert_eq!(goes(&one, "search", "gpt-oss-120b"), Ok("a gpt-oss-120b".into()));
    let none = load_text(&[yaml, other].concat(), &fakes(&[("TWO", "two")])).unwrap();
    assert_eq!(goes(&none, "search", "gpt-oss-120b"), Err(Code::ModelNotFound), "both have a key");
}

/// A thousand of each, every route with callers of its own: what is looked up is not searched for.
#[test]
fn a_thousand_namespaces_are_read() {
    let all = (0..1000).flat_map(|at: usize| {
        let namespace = format!("n{at}");
        let from = format!("{{from: [{{teams: [t{at}]}}]}}");
        [
            backend(Some(&namespace), "local", "endpoint: 'http://h/v1', dialect: OpenAI"),
            route(Some(&namespace), "r", &from, "local"),
        ]
    });
    let documents: Vec<String> = all.chain([backend(None, "root", "provider: openai")]).collect();
    let compiled = compiled(&documents);
    assert_eq!((compiled.policy.targets.own.len(), compiled.policy.callers.len()), (1000, 1000));
    assert_eq!(goes(&compiled, "n999", "local/x"), Ok("n999/local x".into()));
    assert_eq!(goes(&compiled, "elsewhere", "anything"), Ok("root anything".into()));
}

/// Backends and routes over three namespaces; names repeat on purpose.
fn documents() -> impl Strategy<Value = Vec<String>> {
    let specs =
        ["provider: openai", "provider: groq", "endpoint: 'http://h/v1', dialect: OpenAI", "provider: anthropic"];
    let place = (0..3_usize, 0..3_usize);
    let backends = prop::collection::btree_map(place.clone(), (0..specs.len(), any::<bool>()), 0..7);
    let one = (place, prop::sample::select(vec!["*", "gpt-*", "fast", "one/m"]), 0..3_usize, any::<bool>());
    (backends, prop::collection::vec(one, 0..5)).prop_map(move |(backends, routes)| {
        let names = ["one", "two", "three"];
        let mut documents = Vec::new();
        for (&(namespace, name), &(spec, open)) in &backends {
            let open = if open { ", allowedNamespaces: {from: All}" } else { "" };
            // Hosts differ, so that they say whose backend it is.
            let spec = specs[spec].replace("//h/", &format!("//{}.n{namespace}/", names[name]));
            documents.push(backend(NAMESPACES[namespace], names[name], &format!("{spec}{open}")));
        }
        for (at, ((namespace, _), pattern, name, passes)) in routes.into_iter().enumerate() {
            documents.push(match passes {
                true => {
                    let spec = format!("passthrough: {{backend: {}, paths: ['/v1/files*']}}", names[name]);
                    document("LLMRoute", NAMESPACES[namespace], &format!("r{at}"), &spec)
                }
                false => route(NAMESPACES[namespace], &format!("r{at}"), &glob(pattern), names[name]),
            });
        }
        documents
    })
}

/// The documents of them that are valid together: a route is dropped if what it refers to is not there.
fn valid(mut documents: Vec<String>) -> Compiled {
    loop {
        match load_text(&documents.concat(), &Fakes::default()) {
            Ok(compiled) => return compiled,
            Err(errors) => {
                let at = errors[0].document - 1;
                assert!(documents[at].contains("LLMRoute"), "{}", lines(&errors));
                documents.remove(at);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn nobody_reaches_what_is_another_namespaces(documents in documents()) {
        let compiled = valid(documents);
        let targets = &compiled.policy.targets;
        let names = ["one", "two", "three"];
        let namespaces = ["search", "shop"];
        let bare = Catalogue.all_models().into_iter().map(|model| model.to_string());
        let short = names.iter().flat_map(|name| [format!("{name}/m"), format!("{name}/gpt-4o-mini")]);
        let long = namespaces.iter().flat_map(|own| names.map(|name| format!("{own}/{name}/m")));
        let models: Vec<String> = bare.chain(short).chain(long).chain(["fast".into(), "nobody-knows".into()]).collect();
        for caller in ["search", "shop", "elsewhere", "", "weir-system"] {
            let is_foreign = |owner: Option<&str>| owner.is_some_and(|owner| owner != caller);
            for model in &models {
                if let Ok(target) = target(&compiled, caller, model) {
                    prop_assert!(!is_foreign(target.backend.namespace.as_deref()), "{caller} {model}");
                    prop_assert!(!is_foreign(target.rule.as_ref().and_then(|rule| rule.namespace())), "{caller} {model}");
                }
            }
            let hosts = targets.backends.iter().map(|backend| &*backend.authority).chain(["nowhere"]);
            for (path, host) in hosts.flat_map(|host| [("/v1/files/1", host), ("/v1/other", host)]) {
                if let Ok(pass) = targets.pass(caller, path, host) {
                    prop_assert!(!is_foreign(pass.backend.namespace.as_deref()), "{caller} {path} {host}");
                }
            }
            for backend in &targets.backends {
                let named = targets.named(caller, &backend.name, "m").is_ok();
                prop_assert_eq!(named, !is_foreign(backend.namespace.as_deref()));
            }
            for (id, backend) in listed(&compiled, caller) {
                prop_assert!(!backend.contains('/') || backend.starts_with(&format!("{caller}/")), "{caller} {backend}");
                // What is listed can be called, and goes where the list says.
                prop_assert_eq!(target(&compiled, caller, &id).map(|target| target.backend.name.clone()), Ok(backend));
            }
        }
    }
}

/// A document of a namespace names a Secret of its own namespace, whatever root has under that name.
#[test]
fn a_mounted_secret_is_that_of_the_documents_namespace() {
    let spec = "provider: openai, credentials: [{type: APIKey, apiKey: {secretRef: {name: openai, key: token}}}]";
    let options = Options { secrets_dir: Some("/s".into()), ..Options::default() };
    let files = [("/s/openai/token", "of root"), ("/s/shop/openai/token", "of shop")];
    let fakes = Fakes { options, files: files.into(), ..Fakes::default() };
    let documents = [backend(None, "a", spec), backend(Some("shop"), "a", spec), backend(Some("bank"), "a", spec)];
    let compiled = load_text(&documents.concat(), &fakes).map_err(|errors| lines(&errors)).unwrap();
    let found: Vec<Credential> =
        (0..3).map(|index| compiled.policy.credentials.rows(index)[0].credential.clone()).collect();
    let key = |credential: &Credential| match credential {
        Credential::Key(signature) => signature.secret.expose().to_owned(),
        other => format!("{other:?}"),
    };
    assert_eq!((key(&found[0]), key(&found[1])), ("of root".to_owned(), "of shop".to_owned()));
    assert!(key(&found[2]).contains("/s/bank/openai/token"), "{}", key(&found[2]));
}
