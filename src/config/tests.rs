//! Documents in, policies or error texts out. `tests/bad.txt` holds the bad documents with exactly
//! the errors that they give; nothing here reads the environment of the machine.

mod bad;
mod callers;
mod clouds;
mod combination;
mod compiled;
mod doubts;
mod fake;
mod files;
mod fleet;
mod journal;
mod listener;
mod namespaces;
mod places;
mod rewrite;
mod routing;
mod schema;
mod words;

use std::collections::BTreeSet;

use super::*;
use fake::{Fakes, lines, load_text, printed};

const BAD: &str = include_str!("tests/bad.txt");
const LANGUAGE: &str = include_str!("tests/language.yaml");
const SUPPORTED: &str = include_str!("tests/supported.yaml");

/// The title, the document and the errors of each case.
fn cases() -> Vec<(&'static str, String, String)> {
    let case = |text: &'static str| {
        let (title, body) = text.split_once('\n').unwrap();
        let errors: Vec<&str> = body.lines().filter_map(|line| line.strip_prefix("! ")).collect();
        let yaml: Vec<&str> = body.lines().filter(|line| !line.starts_with("! ")).collect();
        (title, yaml.join("\n"), errors.join("\n"))
    };
    BAD.split("\n=== ").skip(1).map(case).collect()
}

#[test]
fn every_bad_document_gives_exactly_its_errors() {
    let mut wrong = String::new();
    for (title, yaml, expected) in cases() {
        let found = printed(load_text(&yaml, &Fakes::default()));
        if found != expected {
            wrong.push_str(&format!("=== {title}\n--- expected\n{expected}\n--- found\n{found}\n\n"));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(cases().len() >= 25);
}

#[test]
fn no_error_repeats_a_secret() {
    let mut seen = 0;
    for (title, yaml, _) in cases().into_iter().filter(|case| case.1.contains("CANARY")) {
        let found = printed(load_text(&yaml, &Fakes::default()));
        assert!(!found.contains("CANARY"), "{title}: {found}");
        seen += 1;
    }
    assert!(seen >= 3);
    // A password that begins with `!` is a tag to YAML, one with `*` an alias, one with `%` nothing at all.
    for value in [
        "!CANARY",
        "*CANARY",
        "&CANARY",
        "%CANARY",
        "@CANARY",
        "`CANARY",
        "!!CANARY",
        "'CANARY",
        "{CANARY",
        "CANARY: x",
    ] {
        let yaml = format!(
            "apiVersion: {API}\nkind: LLMBackend\nmetadata: {{name: a}}\nspec:\n  provider: openai\n  credentials:\n  \
             - type: APIKey\n    apiKey:\n      value: {value}\n"
        );
        let found = printed(load_text(&yaml, &Fakes::default()));
        assert!(!found.is_empty() && !found.contains("CANARY"), "{value}: {found}");
    }
}

const API: &str = spec::API_VERSION;

#[test]
fn every_field_of_the_language_that_is_not_built_yet_is_named() {
    let errors = load_text(LANGUAGE, &Fakes::default()).unwrap_err();
    let (later, rest): (Vec<_>, Vec<_>) =
        errors.into_iter().partition(|error| error.message.starts_with("not supported yet: "));
    let found: BTreeSet<String> = later.iter().map(|error| format!("{}:{}", error.document, error.message)).collect();
    let expected: BTreeSet<String> = [
        "1:spec.envoy",
        "2:spec.selector",
        "2:spec.telemetry.otlp",
        "2:spec.telemetry.metricLabels",
        "3:spec.carriedBy",
        "9:LLMGuardPolicy",
    ]
    .iter()
    .map(|row| row.replacen(':', ":not supported yet: ", 1))
    .collect();
    assert_eq!(found, expected);
    // Nothing else is wrong with it, but for the backend that it speaks of and does not define.
    assert_eq!(
        lines(&rest),
        "weir.yaml:4:spec.rules[0].backends[2].name: there is no LLMBackend \"anthropic\"; \
         define it, or set ANTHROPIC_API_KEY for discovery"
    );
}

/// What the language says in words and in no example.
#[test]
fn alternatives_that_are_not_built_yet_are_named_too() {
    let cases = [
        ("LLMProfile", "{targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: a}]}", "spec.targetRefs"),
        ("LLMProfile", "{failurePolicy: Ignore}", "spec.failurePolicy"),
        ("LLMProfile", "{telemetry: {contentCapture: Full}}", "spec.telemetry.contentCapture"),
        ("LLMProfile", "{responseHeaders: [Config]}", "spec.responseHeaders[0]"),
        (
            "LLMBackend",
            "{provider: openai, allowedNamespaces: {from: Selector, selector: {matchLabels: {a: b}}}}",
            "spec.allowedNamespaces.from",
        ),
    ];
    for (kind, spec, path) in cases {
        let yaml = format!("{{apiVersion: {API}, kind: {kind}, metadata: {{name: a}}, spec: {spec}}}");
        let found = printed(load_text(&yaml, &Fakes::default()));
        assert_eq!(found, format!("weir.yaml:1:{path}: not supported yet: {path}"));
    }
}

#[test]
fn errors_of_several_files_come_in_the_order_of_the_files() {
    let bad = |name: &str| format!("{{apiVersion: {API}, kind: LLMBackend, metadata: {{name: {name}}}, spec: {{}}}}");
    let backend = format!("{{apiVersion: {API}, kind: LLMBackend, metadata: {{name: a}}, spec: {{provider: openai}}}}");
    let files = vec![
        ("z.yaml".to_owned(), backend.clone()),
        ("a.yaml".to_owned(), format!("--- {}\n--- {backend}\n--- {}\n", bad("b"), bad("c"))),
    ];
    let fakes = Fakes::default();
    let errors =
        load(&Source { files, ..Source::default() }, &fakes.options, &fake::Catalogue, &fakes, Catalog::default())
            .unwrap_err();
    let places: Vec<String> =
        errors.iter().map(|error| format!("{}:{}:{}", error.file, error.document, error.path)).collect();
    assert_eq!(places, ["a.yaml:1:spec", "a.yaml:2:metadata.name", "a.yaml:3:spec"]);
    assert!(errors[1].message.ends_with("the other is document 1 of z.yaml"), "{}", errors[1]);
}

#[test]
fn what_is_supported_loads_without_a_word() {
    let fakes = Fakes {
        env: [("OPENAI_API_KEY", "k1")].into(),
        files: [("/secrets/anthropic/token", "k2\n"), ("/etc/ssl/private-ca.pem", "pem")].into(),
        options: Options { secrets_dir: Some("/secrets".into()), ..Options::default() },
    };
    let compiled = load_text(SUPPORTED, &fakes).unwrap();
    assert_eq!(lines(&compiled.warnings), "");
    assert_eq!(compiled.bootstrap.ledger.as_deref(), Some(std::path::Path::new("/var/lib/weir/usage.jsonl")));
    assert_eq!(compiled.policy.targets.backends.len(), 3);
}
