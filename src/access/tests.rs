//! One rule against one place.

use super::*;

fn rule(allow: Option<&[&str]>, deny: &[&str], backends: &[(&str, &str)]) -> Rule {
    let globs = |texts: &[&str]| texts.iter().map(|text| Glob::new(text)).collect::<Vec<_>>();
    Rule::new(allow.map(globs), &globs(deny), labels(backends))
}

fn labels(list: &[(&str, &str)]) -> Labels {
    list.iter().map(|&(key, value)| (key.into(), value.into())).collect()
}

fn check(rule: &Rule, names: &[&str]) -> bool {
    rule.check(Model::Named(names), &Labels::new()).is_ok()
}

#[test]
fn a_model_is_judged_by_every_name_that_it_has() {
    let interns = rule(Some(&["*"]), &["*opus*", "o3*"], &[]);
    assert!(check(&interns, &["fast", "gpt-4o-mini", "openai/gpt-4o-mini"]));
    // As asked for, as it leaves, with its backend, and in another case.
    for names in
        [["my-opus", "x", "b/x"], ["fast", "claude-opus-4", "b/claude-opus-4"], ["fast", "O3-mini", "b/O3-mini"]]
    {
        assert!(!check(&interns, &names), "{names:?}");
    }
    assert!(!check(&rule(None, &["azure/*"], &[]), &["x", "x", "azure/x"]));
    let listed = rule(Some(&["chat-default", "openai/*"]), &[], &[]);
    assert!(check(&listed, &["chat-default", "gpt-4o", "groq/gpt-4o"]));
    assert!(check(&listed, &["x", "x", "openai/x"]));
    assert!(!check(&listed, &["x", "x", "groq/x"]));
    assert!(!check(&rule(Some(&[]), &[], &[]), &["x"]), "an empty list allows nothing");
    assert!(check(&rule(None, &[], &[]), &["x"]));
}

#[test]
fn a_backend_is_judged_by_its_labels() {
    let eu = rule(None, &[], &[("region", "eu"), ("tier", "gold")]);
    for (have, fits) in [
        (labels(&[("region", "eu"), ("tier", "gold"), ("other", "x")]), true),
        (labels(&[("region", "eu")]), false),
        (labels(&[("region", "us"), ("tier", "gold")]), false),
        (labels(&[]), false),
    ] {
        assert_eq!(eu.check(Model::None, &have).is_ok(), fits, "{have:?}");
        assert_eq!(eu.check(Model::Named(&["m"]), &have).is_ok(), fits, "{have:?}");
    }
}

#[test]
fn a_model_that_nobody_can_read_is_refused_where_models_are_restricted() {
    let none = Labels::new();
    for (rule, fits) in [
        (rule(None, &["x"], &[]), false),
        (rule(Some(&["*"]), &[], &[]), false),
        (rule(None, &[], &[("a", "b")]), true),
    ] {
        let labels = rule.backends.clone();
        assert_eq!(rule.check(Model::Unreadable, &labels).is_ok(), fits);
        assert!(rule.check(Model::None, &labels).is_ok());
        assert_eq!(rule.check(Model::None, &none).is_ok(), rule.backends.is_empty());
    }
}
