//! What documents come to: backends, credentials, rules, bare names, discovery.

use std::net::SocketAddr;
use std::time::Duration;

use super::fake::{Catalogue, Fakes, lines, load_text};
use super::*;
use crate::credential::Credential;
use crate::identity::{Principal, Role, Workload};
use crate::llm::{Code, Dialect, Operation, Quirk, Refusal, Usage};
use crate::policy::Unpriced;
use crate::target::{Asked, Choosing, Health, Target, Upstream};

const ENABLED: Options = Options {
    root_namespace: String::new(),
    secrets_dir: None,
    discovery_default: Discovery::Enabled,
    mock: None,
    workload: WorkloadNames { namespace: None, service_account: None, name: None },
    keys: crate::config::KeysAre::Read,
    keeps_spend: false,
};

fn backend(name: &str, spec: &str) -> String {
    format!("--- {{apiVersion: {API}, kind: LLMBackend, metadata: {{name: {name}}}, spec: {{{spec}}}}}\n")
}

fn compiled(yaml: &str, env: &[(&'static str, &'static str)], options: Options) -> Compiled {
    let root_namespace = "weir-system".to_owned();
    let fakes = Fakes {
        options: Options { root_namespace, ..options },
        env: env.iter().copied().collect(),
        files: [("/keys/k", " from-file\n"), ("/keys/empty", " \n"), ("/keys/lines", "a\nb")].into(),
    };
    load_text(yaml, &fakes).map_err(|errors| lines(&errors)).unwrap()
}

fn names(compiled: &Compiled) -> Vec<&str> {
    compiled.policy.targets.backends.iter().map(|backend| &*backend.name).collect()
}

/// The target of a chat without a header.
fn drawn(compiled: &Compiled, model: &str, draw: u64) -> Result<Target, Refusal> {
    let asked = Asked { namespace: "", model, operation: Operation::Chat, header: &|_| None, caller: &|_| true };
    let health = Health::new();
    let how = Choosing::plain(draw, Dialect::OpenAi, &health);
    compiled.policy.targets.resolve(&model.into(), &asked, &how).map(|chosen| chosen.target)
}

/// Where a model goes, as `backend/model`, or the refusal's code.
fn goes(compiled: &Compiled, model: &str) -> Result<String, Code> {
    let target = drawn(compiled, model, 0).map_err(|refusal| refusal.code)?;
    Ok(format!("{}/{}", target.backend.name, target.model))
}

fn credential(compiled: &Compiled, index: usize) -> &Credential {
    &compiled.policy.credentials.rows(index)[0].credential
}

fn key(compiled: &Compiled, index: usize) -> (&str, &str, &str) {
    match credential(compiled, index) {
        Credential::Key(signature) => (&signature.header, signature.prefix, signature.secret.expose()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn nothing_is_a_configuration_with_the_defaults_of_the_language() {
    let compiled = compiled("# nothing\n", &[("OPENAI_API_KEY", "k")], Options::default());
    assert!(names(&compiled).is_empty() && compiled.warnings.is_empty());
    let Bootstrap { role, listen, egress, overload, ledger, drain_timeout, .. } = compiled.bootstrap;
    assert_eq!((role, ledger, drain_timeout), (Role::Sidecar, None, Duration::from_secs(600)));
    assert_eq!(listen.ext_proc, Listen::Unix("/run/weir/extproc.sock".into()));
    assert_eq!((listen.socket_mode, listen.socket_access), (0o666, SocketAccess::Directory));
    assert_eq!(listen.metrics.to_string(), "0.0.0.0:9090");
    assert_eq!(
        (egress.listen.to_string(), egress.envoy_admin.to_string()),
        ("127.0.0.1:10000".into(), "127.0.0.1:9901".into())
    );
    assert_eq!((overload.max_exchanges, overload.max_buffered), (4096, 512 << 20));
    assert_eq!(overload.max_wait, Duration::from_secs(240));
    assert_eq!(compiled.policy.profile.bodies.max_request, 32 << 20);
    assert!(!compiled.policy.may_sign);
    let own = Workload { namespace: "default".into(), service_account: "default".into(), name: "app".into() };
    assert_eq!(*compiled.policy.identity.own, Principal::workload(&own));
}

#[test]
fn the_sample_comes_to_what_it_says() {
    let options = Options { discovery_default: Discovery::Disabled, ..ENABLED };
    let compiled = compiled(SUPPORTED, &[("OPENAI_API_KEY", "k"), ("GROQ_API_KEY", "g")], options);
    // The profile enables discovery; `openai` is a document's and stays what it is there.
    assert_eq!(names(&compiled), ["openai", "anthropic", "local", "groq"]);
    assert_eq!(compiled.discovered, ["groq"].map(std::sync::Arc::<str>::from));
    let openai = &compiled.policy.targets.backends[0];
    assert_eq!((&*openai.authority, openai.prefix.as_str()), ("gateway.example.com:8443", "/openai/v1"));
    assert!(openai.asks_stream_usage);
    assert_eq!(
        compiled.policy.upstreams[0],
        Upstream {
            name: "openai".into(),
            https: true,
            host: "gateway.example.com".into(),
            port: 8443,
            ca: Some("/etc/ssl/private-ca.pem".into()),
            server_name: Some("api.example.com".into()),
        }
    );
    let targets = &compiled.policy.targets;
    let rules: Vec<&str> = targets.rules().map(|rule| &**rule.name.text()).collect();
    assert_eq!(rules, ["chat/default", "chat/rest"]);
    let chosen = |draw| drawn(&compiled, "gpt-x", draw).unwrap().model;
    assert_eq!((&*chosen(94), &*chosen(95), &*chosen(100)), ("gpt-4o-mini", "gpt-5-mini", "gpt-4o-mini"));
    assert_eq!(goes(&compiled, "anything"), Ok("local/anything".into()));
    assert!(targets.pass("", "/v1/files/7", "").unwrap().signed);
    assert_eq!(compiled.policy.profile.unpriced, Unpriced::Deny);
    let headers = compiled.policy.profile.response_headers;
    assert!(headers.request_id && headers.cost && headers.tokens && headers.backend && headers.model);
    assert_eq!(
        lines(&compiled.warnings),
        "weir.yaml:3:spec.tls.ca.file: file /etc/ssl/private-ca.pem does not exist\n\
         weir.yaml:4:spec.credentials[0].apiKey: secret anthropic/token is to be a mounted file, and no --secrets-dir is given"
    );
}

#[test]
fn own_prices_are_an_overlay() {
    let compiled = compiled(SUPPORTED, &[], Options::default());
    let overlay = compiled.policy.overlays[0].as_ref().unwrap();
    assert_eq!(overlay.multiplier, "0.85".parse().unwrap());
    let usage = Usage { input: 1_000_000, cache_read: 1_000_000, output: 1_000_000, ..Usage::default() };
    let price = overlay.price("openai", "gpt-4o-mini").unwrap();
    assert_eq!(price.cost(&usage, None).unwrap().total.to_string(), "0.825000000");
    assert_eq!(&*price.name, "openai/gpt-4o-mini");
    assert!(compiled.policy.overlays[1].is_none());
}

#[test]
fn a_key_is_had_from_each_kind_of_place() {
    let yaml = [
        backend("a", "provider: openai, credentials: [{type: APIKey, apiKey: {env: A}}]"),
        backend("b", "provider: openai, credentials: [{type: APIKey, apiKey: {file: /keys/k}}]"),
        backend(
            "c",
            "endpoint: 'http://h', dialect: Anthropic, credentials: [{type: APIKey, apiKey: {value: inline}}]",
        ),
        backend("d", "provider: openai, credentials: [{type: APIKey, apiKey: {secretRef: {name: n, key: k}}}]"),
        backend("e", "provider: openai, credentials: [{type: Caller}]"),
        backend("f", "provider: openai, credentials: [{type: None}]"),
    ];
    let fakes = Fakes {
        env: [("A", "from-env")].into(),
        files: [("/keys/k", " from-file\n"), ("/s/n/k", "mounted")].into(),
        options: Options { secrets_dir: Some("/s".into()), ..Options::default() },
    };
    let compiled = load_text(&yaml.concat(), &fakes).unwrap();
    assert_eq!(key(&compiled, 0), ("authorization", "Bearer ", "from-env"));
    assert_eq!(key(&compiled, 1), ("authorization", "Bearer ", "from-file"));
    assert_eq!(key(&compiled, 2), ("x-api-key", "", "inline"));
    assert_eq!(key(&compiled, 3), ("authorization", "Bearer ", "mounted"));
    assert_eq!([credential(&compiled, 4), credential(&compiled, 5)], [&Credential::Caller, &Credential::Anonymous]);
    assert_eq!(
        lines(&compiled.warnings),
        "weir.yaml:3:spec.endpoint: the endpoint is http: keys leave in plain text unless the mesh encrypts the connection"
    );
    assert!(!format!("{compiled:?}").contains("from-env"));
    let source = Source { files: vec![("weir.yaml".to_owned(), yaml.concat())], ..Source::default() };
    assert_eq!(format!("{source:?}"), r#"{"weir.yaml"}"#, "it holds the inline key");
}

#[test]
fn a_key_that_is_not_there_is_a_warning_and_a_reason() {
    let env = [("EMPTY", " "), ("LINES", "a\r\nb: c")];
    let cases = [
        ("{env: X}", "environment variable X is not set"),
        ("{env: EMPTY}", "environment variable EMPTY is empty"),
        ("{env: LINES}", "environment variable LINES holds what a header cannot carry"),
        ("{file: /none}", "file /none does not exist"),
        ("{file: /keys/empty}", "file /keys/empty is empty"),
        ("{file: /keys/lines}", "file /keys/lines holds what a header cannot carry"),
    ];
    for (source, reason) in cases {
        let yaml = backend("a", &format!("provider: openai, credentials: [{{type: APIKey, apiKey: {source}}}]"));
        let compiled = compiled(&yaml, &env, Options::default());
        assert_eq!(*credential(&compiled, 0), Credential::Missing(reason.into()));
        assert_eq!(lines(&compiled.warnings), format!("weir.yaml:1:spec.credentials[0].apiKey: {reason}"));
    }
    let compiled = compiled(&backend("a", "provider: openai"), &[], Options::default());
    assert_eq!(*credential(&compiled, 0), Credential::Anonymous);
    assert_eq!(
        lines(&compiled.warnings),
        "weir.yaml:1:spec: this provider needs a key and no credential is given: its calls leave without one"
    );
}

#[test]
fn bounds_that_let_nothing_through_are_warnings() {
    let yaml = |overload: &str| {
        format!(
            "{{apiVersion: weir.dev/v1alpha1, kind: LLMProfile, metadata: {{name: p}}, spec: {{bodies: {{maxRequest: 2Mi}}}}}}\n\
             --- {{apiVersion: weir.dev/v1alpha1, kind: WeirBootstrap, metadata: {{name: b}}, spec: {{overload: {overload}}}}}\n"
        )
    };
    let warned = |overload: &str| lines(&compiled(&yaml(overload), &[], Options::default()).warnings);
    assert_eq!(warned("{maxBuffered: 2Mi, maxWait: 1ms}"), "");
    assert_eq!(
        warned("{maxBuffered: 2097151}"),
        "weir.yaml:2:spec.overload.maxBuffered: is 2097151 bytes and bodies.maxRequest is 2097152: the largest legal \
         request can never be held and is always answered with 503; raise this, or lower spec.bodies.maxRequest of \
         the LLMProfile"
    );
    assert_eq!(
        warned("{maxWait: 0s}"),
        "weir.yaml:2:spec.overload.maxWait: is no time at all: whatever has to ask a store, a cache or another \
         exchange fails at once; state how long a request may wait, such as 240s"
    );
}

#[test]
fn a_directory_without_a_document_in_it_is_a_warning() {
    let directory = tempfile::tempdir().unwrap();
    for name in [".hidden.yaml", "notes.txt"] {
        std::fs::write(directory.path().join(name), "x").unwrap();
    }
    let warned = || {
        let source = file::read(directory.path()).unwrap();
        let fakes = Fakes::default();
        lines(&load(&source, &fakes.options, &Catalogue, &fakes, Catalog::default()).unwrap().warnings)
    };
    let found = warned();
    let place = format!("{}: no *.yaml and no *.yml file is in this directory ", directory.path().display());
    assert!(found.starts_with(&place) && found.lines().count() == 1, "{found}");
    std::fs::write(directory.path().join("a.yml"), "").unwrap();
    assert_eq!(warned(), "");
}

#[test]
fn tls_for_an_endpoint_without_it_is_a_warning() {
    let yaml = backend("a", "endpoint: 'http://h', dialect: OpenAI, tls: {serverName: x}");
    let compiled = compiled(&yaml, &[], Options::default());
    assert_eq!(lines(&compiled.warnings), "weir.yaml:1:spec.tls: the endpoint is http: this is not used");
}

#[test]
fn discovery_finds_the_providers_whose_keys_are_set() {
    let keys = [("OPENAI_API_KEY", "k"), ("GROQ_API_KEY", ""), ("VLLM_API_KEY", "v"), ("ANTHROPIC_API_KEY", "a")];
    // How a client is pointed at Weir, which must not call itself.
    let pointed = [("ANTHROPIC_BASE_URL", "http://127.0.0.1:10000"), ("VLLM_BASE_URL", "http://127.0.0.1:10000/v1")];
    let compiled = compiled("", &[&keys[..], &pointed].concat(), ENABLED);
    assert_eq!(names(&compiled), ["openai", "anthropic"]);
    assert_eq!(key(&compiled, 1), ("x-api-key", "", "a"));
    let anthropic = &compiled.policy.targets.backends[1];
    assert_eq!((anthropic.dialect, &*anthropic.authority), (Dialect::Anthropic, "api.anthropic.com"));
    assert_eq!(anthropic.headers, [("anthropic-version".into(), "2023-06-01".into())]);
    let pass = compiled.policy.targets.pass("", "/v1/batches", "").unwrap();
    assert_eq!((&*pass.backend.name, pass.signed), ("openai", true));
    assert_eq!(goes(&compiled, "claude-sonnet-4-5"), Ok("anthropic/claude-sonnet-4-5".into()));
    assert_eq!(goes(&compiled, "anthropic/new"), Ok("anthropic/new".into()));
    assert_eq!(goes(&compiled, "new"), Err(Code::ModelNotFound));
}

#[test]
fn discovery_yields_to_documents_and_to_the_profile() {
    let own = backend("openai", "endpoint: 'http://h', dialect: OpenAI");
    let compiled_ = compiled(&own, &[("OPENAI_API_KEY", "k"), ("GROQ_API_KEY", "g")], ENABLED);
    assert_eq!(names(&compiled_), ["openai", "groq"]);
    assert_eq!(&*compiled_.policy.targets.backends[0].authority, "h");
    assert_eq!(*credential(&compiled_, 0), Credential::Anonymous);
    // The only provider found serves OpenAI's other paths, a provider of another dialect does not.
    assert_eq!(&*compiled_.policy.targets.pass("", "/v1/files", "").unwrap().backend.name, "groq");
    let other = compiled("", &[("ANTHROPIC_API_KEY", "k")], ENABLED);
    assert!(other.policy.targets.root.passthrough.is_empty());
    let off = format!(
        "{{apiVersion: {API}, kind: LLMProfile, metadata: {{name: p}}, spec: {{discovery: {{environment: Disabled}}}}}}"
    );
    assert!(names(&compiled(&off, &[("OPENAI_API_KEY", "k")], ENABLED)).is_empty());
}

#[test]
fn a_rule_may_name_a_discovered_backend_and_the_error_says_how_it_would_appear() {
    let yaml = format!(
        "{{apiVersion: {API}, kind: LLMRoute, metadata: {{name: r}}, spec: {{rules: [{{name: a, backends: [{{name: groq}}]}}]}}}}"
    );
    let found = compiled(&yaml, &[("GROQ_API_KEY", "g")], ENABLED);
    assert_eq!(goes(&found, "x"), Ok("groq/x".into()));
    let options = Options { root_namespace: "weir-system".into(), ..ENABLED };
    let errors = load_text(&yaml, &Fakes { options, ..Fakes::default() }).unwrap_err();
    assert_eq!(
        lines(&errors),
        "weir.yaml:1:spec.rules[0].backends[0].name: there is no LLMBackend \"groq\"; \
         define it, or set GROQ_API_KEY for discovery"
    );
}

#[test]
fn bare_names_go_to_the_one_backend_that_serves_them() {
    let openai = backend("openai", "provider: openai, credentials: [{type: APIKey, apiKey: {env: A}}]");
    let groq = backend("groq", "provider: groq, credentials: [{type: APIKey, apiKey: {env: B}}]");
    let local = backend("local", "endpoint: 'http://h', dialect: OpenAI");
    let both = [("A", "a"), ("B", "b")];

    let two = compiled(&[openai.as_str(), &groq].concat(), &both, Options::default());
    assert_eq!(goes(&two, "gpt-4o-mini"), Ok("openai/gpt-4o-mini".into()));
    assert_eq!(goes(&two, "gpt-oss-120b"), Err(Code::ModelNotFound));
    let refusal = drawn(&two, "gpt-oss-120b", 0).unwrap_err();
    assert!(refusal.message.contains("(openai, groq)"), "{}", refusal.message);
    assert_eq!(goes(&two, "claude-sonnet-4-5"), Err(Code::ModelNotFound));

    // Without a credential a backend serves nothing.
    let one = compiled(&[openai.as_str(), &groq].concat(), &both[..1], Options::default());
    assert_eq!(goes(&one, "gpt-oss-120b"), Ok("openai/gpt-oss-120b".into()));

    // A name in no catalogue goes to the only backend, a name of another provider does not.
    let alone = compiled(&openai, &both, Options::default());
    assert_eq!(goes(&alone, "brand-new"), Ok("openai/brand-new".into()));
    assert_eq!(goes(&alone, "claude-sonnet-4-5"), Err(Code::ModelNotFound));

    // The only backend is asked for what it serves even without a key: the refusal names the key.
    let keyless = compiled(&openai, &[], Options::default());
    assert_eq!(goes(&keyless, "gpt-4o-mini"), Ok("openai/gpt-4o-mini".into()));

    // What serves every name serves also those of others.
    let every = compiled(&local, &[], Options::default());
    assert_eq!(goes(&every, "claude-sonnet-4-5"), Ok("local/claude-sonnet-4-5".into()));
    let mixed = compiled(&[openai.as_str(), &local].concat(), &both, Options::default());
    assert_eq!(goes(&mixed, "gpt-4o-mini"), Err(Code::ModelNotFound));
    assert_eq!(goes(&mixed, "claude-sonnet-4-5"), Ok("local/claude-sonnet-4-5".into()));
}

#[test]
fn the_built_in_provider_is_the_backend_mock() {
    let address: SocketAddr = "127.0.0.1:9700".parse().unwrap();
    let options = || Options { mock: Some(address), discovery_default: Discovery::Disabled, ..ENABLED };
    let compiled_ = compiled("", &[], options());
    assert_eq!(names(&compiled_), ["mock"]);
    let mock = &compiled_.policy.targets.backends[0];
    assert_eq!((&*mock.provider, &*mock.authority, mock.prefix.as_str()), ("mock", "127.0.0.1:9700", "/v1"));
    assert_eq!(*credential(&compiled_, 0), Credential::Anonymous);
    assert_eq!(goes(&compiled_, "gpt-4o-mini"), Ok("mock/gpt-4o-mini".into()));
    assert!(compiled_.discovered.is_empty() && compiled_.warnings.is_empty());
    let own = compiled(&backend("mock", "endpoint: 'http://h:1', dialect: OpenAI"), &[], options());
    assert_eq!(&*own.policy.targets.backends[0].authority, "h:1");
}

#[test]
fn the_environment_names_the_workload_before_the_document() {
    let workload = WorkloadNames { namespace: Some("shop".into()), ..WorkloadNames::default() };
    let compiled = compiled(SUPPORTED, &[], Options { workload, ..Options::default() });
    let own = Workload { namespace: "shop".into(), service_account: "default".into(), name: "app".into() };
    assert_eq!(*compiled.policy.identity.own, Principal::workload(&own));
}

#[test]
fn the_catalogue_of_the_program_answers() {
    let catalog = Catalog::builtin();
    let facts = Providers::provider(&catalog, "anthropic").unwrap();
    assert_eq!((&*facts.auth_header, facts.auth_prefix, facts.needs_key), ("x-api-key", "", true));
    let mistral = Providers::provider(&catalog, "mistral").unwrap();
    let odd = [Quirk::RefusesStreamOptions, Quirk::OnlyMaxTokens, Quirk::NineLetterIds];
    assert!(!mistral.asks_stream_usage && mistral.quirks == odd);
    for (id, every) in [("openai", false), ("mock", true), ("vllm", true), ("ollama", true)] {
        assert_eq!(Providers::provider(&catalog, id).unwrap().serves_every_model, every, "{id}");
    }
    let fakes = Fakes {
        env: [("OPENAI_API_KEY", "k"), ("OLLAMA_API_KEY", "k")].into(),
        options: Options { root_namespace: "weir-system".into(), ..ENABLED },
        ..Fakes::default()
    };
    let compiled = load(&Source::default(), &fakes.options, &catalog, &fakes, catalog.clone()).unwrap();
    assert_eq!(names(&compiled), ["openai", "ollama-cloud"], "a key says nothing of a server of one's own");
    assert_eq!(goes(&compiled, "gpt-4o-mini"), Ok("openai/gpt-4o-mini".into()));
    let options = Options { mock: Some(([127, 0, 0, 1], 1).into()), ..Options::default() };
    let mock = load(&Source::default(), &options, &catalog, &fakes, catalog.clone()).unwrap();
    assert_eq!(goes(&mock, "gpt-4o-mini"), Ok("mock/gpt-4o-mini".into()));
    for id in Providers::ids(&catalog) {
        let row = Providers::provider(&catalog, &id).unwrap();
        let url = row.url(&|_| Some("x".to_owned()));
        assert!(url.is_some() == row.base_url.is_some() && url.is_none_or(|url| value::endpoint(&url).is_ok()), "{id}");
    }
}

#[test]
fn discovered_takes_what_it_is_told_for_the_environment() {
    let found = discovered(&|name| (name == "GROQ_API_KEY").then(|| "g".to_owned()), &Catalogue);
    assert!(found.len() == 1 && found[0].name == "groq", "{found:?}");
}

#[test]
fn a_gateway_counts_exactly_and_a_sidecar_does_not() {
    let spec =
        |spec: &str| format!("{{apiVersion: {API}, kind: WeirBootstrap, metadata: {{name: p}}, spec: {{{spec}}}}}\n");
    let counts = |text: &str| compiled(&spec(text), &[], Options::default()).policy.count_exactly;
    assert_eq!((counts("role: Gateway"), counts("role: Sidecar"), counts("")), (true, false, false));
    let profile = format!(
        "{{apiVersion: {API}, kind: LLMProfile, metadata: {{name: default}}, spec: {{bodies: {{maxCapture: 7}}}}}}\n"
    );
    assert_eq!(compiled(&profile, &[], Options::default()).policy.profile.bodies.max_capture, 7);
}
