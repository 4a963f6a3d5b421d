//! One rule against one place.

use super::*;

fn rule(allow: Option<&[&str]>, deny: &[&str], backends: &[(&str, &str)]) -> Rule {
    let globs = |texts: &[&str]| texts.iter().map(|text| Glob::new(text)).collect::<Vec<_>>();
    Rule::new(allow.map(globs), &globs(deny), labels(backends))
}

fn labels(list: &[(&str, &str)]) -> Labels {
    list.iter().map(|&(key, value)| (key.into(), value.into())).collect()
}

/// As the client asks, as it leaves, and with its backend, all of root's giving.
fn named<'a>([requested, leaving, long]: [&'a str; 3]) -> Names<'a> {
    Names { requested, leaving, long, namespace: None, mapped: false }
}

fn check(rule: &Rule, names: [&str; 3]) -> bool {
    rule.check(Model::Named(named(names)), &Labels::new(), Believed::Root).is_ok()
}

#[test]
fn a_model_is_judged_by_every_name_that_it_has() {
    let interns = rule(Some(&["*"]), &["*opus*", "o3*"], &[]);
    assert!(check(&interns, ["fast", "gpt-4o-mini", "openai/gpt-4o-mini"]));
    // As asked for, as it leaves, with its backend, and in another case.
    for names in
        [["my-opus", "x", "b/x"], ["fast", "claude-opus-4", "b/claude-opus-4"], ["fast", "O3-mini", "b/O3-mini"]]
    {
        assert!(!check(&interns, names), "{names:?}");
    }
    assert!(!check(&rule(None, &["azure/*"], &[]), ["x", "x", "azure/x"]));
    // A rule that takes every name sends this one on as it stands, and some servers know it so.
    assert!(!check(&interns, ["openai/o3-mini", "openai/o3-mini", "b/openai/o3-mini"]));
    assert!(check(&interns, ["openai/pro3-mini", "openai/pro3-mini", "b/openai/pro3-mini"]));
    let listed = rule(Some(&["chat-default", "openai/*"]), &[], &[]);
    assert!(check(&listed, ["chat-default", "gpt-4o", "groq/gpt-4o"]));
    assert!(check(&listed, ["x", "x", "openai/x"]));
    assert!(!check(&listed, ["x", "x", "groq/x"]));
    assert!(!check(&rule(Some(&[]), &[], &[]), ["x", "x", "b/x"]), "an empty list allows nothing");
    assert!(check(&rule(None, &[], &[]), ["x", "x", "b/x"]));
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
        assert_eq!(eu.check(Model::None, &have, Believed::All).is_ok(), fits, "{have:?}");
        assert_eq!(eu.check(Model::Named(named(["m"; 3])), &have, Believed::Root).is_ok(), fits, "{have:?}");
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
        assert_eq!(rule.check(Model::Unreadable, &labels, Believed::All).is_ok(), fits);
        assert!(rule.check(Model::None, &labels, Believed::All).is_ok());
        assert_eq!(rule.check(Model::None, &none, Believed::All).is_ok(), rule.backends.is_empty());
    }
}

/// What a namespace has named, and in which of the four names a pattern is found.
#[test]
fn the_names_of_a_namespace_deny_and_allow_nothing_that_root_does_not() {
    let by_rule = Names { mapped: true, ..named(["fast", "gpt-4o", "openai/gpt-4o"]) };
    let own = named(["openai/gpt-4o", "llama", "shop/openai/llama"]);
    let own = Names { namespace: Some("shop"), mapped: true, ..own };
    let fits = |rule: &Rule, names, believed| rule.check(Model::Named(names), &Labels::new(), believed).is_ok();
    for (names, pattern, allows_by_root) in [
        (by_rule, "fast", false),
        (by_rule, "gpt-4o", true),
        (by_rule, "openai/*", true),
        (own, "openai/gpt-4o", false),
        (own, "openai/llama", false),
        (own, "openai/*", false),
        (own, "llama", true),
        (own, "shop/openai/*", true),
    ] {
        let (allow, deny) = (rule(Some(&[pattern]), &[], &[]), rule(None, &[pattern], &[]));
        assert_eq!(fits(&allow, names, Believed::Root), allows_by_root, "{pattern}");
        assert!(fits(&allow, names, Believed::All), "{pattern}");
        assert!(!fits(&deny, names, Believed::Root) && !fits(&deny, names, Believed::All), "{pattern}");
    }
}
