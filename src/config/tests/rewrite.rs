//! What rules change and backends' headers come to once compiled.

use super::fake::{Fakes, lines, load_text};
use super::*;
use crate::wire::rewrite::Action;

fn compiled(spec: &str, rule: &str) -> Compiled {
    let yaml = format!(
        "--- {{apiVersion: {API}, kind: LLMBackend, metadata: {{name: a}}, spec: {{{spec}}}}}\n\
         --- {{apiVersion: {API}, kind: LLMRoute, metadata: {{name: r}}, spec: {{rules: \
         [{{name: r, backends: [{{name: a}}]{rule}}}]}}}}\n"
    );
    load_text(&yaml, &Fakes::default()).map_err(|errors| lines(&errors)).unwrap()
}

/// The JSON that a value of the YAML becomes.
fn json(value: &str) -> String {
    let compiled = compiled("provider: openai", &format!(", parameters: {{overrides: {{x: {value}}}}}"));
    let changes = compiled.policy.targets.root.rules[0].changes.clone().unwrap();
    match &changes.parameters[0].action {
        Action::Override(json) => String::from_utf8(json.clone()).unwrap(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_value_is_written_as_the_json_that_says_the_same() {
    for (yaml, expected) in [
        ("0.2", "0.2"),
        ("1.0", "1.0"),
        ("-0.0", "-0.0"),
        ("1e-7", "1e-7"),
        ("0.1234567890123456", "0.1234567890123456"),
        ("5e-324", "5e-324"),
        ("7", "7"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("18446744073709551615", "18446744073709551615"),
        ("true", "true"),
        ("on", "\"on\""),
        ("\"1.50\"", "\"1.50\""),
        ("\"\"", "\"\""),
        ("\"a\\\"\\n\\0é\"", "\"a\\\"\\n\\u0000é\""),
        ("[]", "[]"),
        ("{b: [1, {}, null], \"a\": {\"50256\": -100}}", r#"{"b":[1,{},null],"a":{"50256":-100}}"#),
    ] {
        assert_eq!(json(yaml), expected, "{yaml}");
    }
}

#[test]
fn a_rule_that_says_nothing_changes_nothing() {
    for rule in ["", ", prompt: {append: []}", ", parameters: {overrides: {}}, prompt: {prepend: []}"] {
        assert_eq!(compiled("provider: openai", rule).policy.targets.root.rules[0].changes, None, "{rule}");
    }
}

#[test]
fn headers_of_the_configuration_win_over_those_of_the_catalogue() {
    let of = |headers: &str| {
        let compiled = compiled(&format!("provider: anthropic{headers}"), "");
        let backend = compiled.policy.targets.backends[0].clone();
        let set: Vec<String> = backend.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        (set.join(", "), backend.removed_headers.join(", "))
    };
    let own = || "anthropic-version: 2023-06-01".to_owned();
    assert_eq!(of(""), (own(), String::new()));
    assert_eq!(
        of(", headers: {set: [{name: X-Team, value: \"a b\"}], remove: [X-Internal]}"),
        (own() + ", x-team: a b", "x-internal".into())
    );
    assert_eq!(
        of(", headers: {set: [{name: Anthropic-Version, value: \"2099-01-01\"}]}"),
        ("anthropic-version: 2099-01-01".into(), String::new())
    );
    assert_eq!(of(", headers: {remove: [anthropic-version]}"), (String::new(), "anthropic-version".into()));
}
