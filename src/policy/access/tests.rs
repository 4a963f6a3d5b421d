//! The truth table of combination, and that adding a policy never allows what was refused.

use proptest::prelude::*;

use super::*;
use crate::base::glob::Glob;
use crate::policy::select::{Caller, From, TargetRef};

fn caller() -> Principal {
    Principal { namespace: "search".into(), team: Some("build".into()), ..Principal::default() }
}

/// By one name.
fn named(model: &str) -> Model<'_> {
    Model::Named(Names { requested: model, leaving: model, long: model, namespace: None, mapped: false })
}

const HERE: Place<'static> = Place { route: Some("chat"), rule: Some("default"), backend: "openai" };

fn policy(namespace: Option<&str>, team: Option<&str>, target: Option<&str>, mode: Mode, deny: &str) -> AccessPolicy {
    let from = team.map(|team| Caller { teams: vec![Glob::new(team)], ..Caller::default() });
    let scope = Scope {
        id: "LLMAccessPolicy/p".into(),
        namespace: namespace.map(Into::into),
        mode,
        targets: target.map(|name| TargetRef::Backend(name.into())).into_iter().collect(),
        from: From(from.into_iter().collect()),
    };
    AccessPolicy { scope, rule: Rule::new(None, &[Glob::new(deny)], Labels::new()) }
}

fn allows(policies: &[AccessPolicy], visit: Visit<'_>) -> bool {
    let policies: Spaces<AccessPolicy> = policies.iter().cloned().collect();
    is_allowed(&combine::accumulate(&policies, &caller()), visit)
}

fn allowed(policies: &[AccessPolicy]) -> bool {
    let visit = Visit { place: HERE, model: named("m"), labels: &Labels::new(), own_backend: false };
    allows(policies, visit)
}

/// Root or namespace, from, targetRefs, mode, and what the rule says: whether the call is allowed.
#[test]
fn the_truth_table_of_one_policy() {
    use Mode::{Enforce, Shadow};
    let rows = [
        (None, None, None, Enforce, "x", true),
        (None, None, None, Enforce, "m", false),
        (None, None, None, Shadow, "m", true),
        (None, Some("build"), None, Enforce, "m", false),
        (None, Some("other"), None, Enforce, "m", true),
        (None, None, Some("openai"), Enforce, "m", false),
        (None, None, Some("groq"), Enforce, "m", true),
        (None, Some("build"), Some("groq"), Enforce, "m", true),
        (None, Some("other"), Some("openai"), Enforce, "m", true),
        (Some("search"), None, None, Enforce, "m", false),
        (Some("shop"), None, None, Enforce, "m", true),
        (Some("search"), None, None, Shadow, "m", true),
        (Some("search"), Some("build"), Some("openai"), Enforce, "m", false),
        (Some("shop"), Some("build"), Some("openai"), Enforce, "m", true),
    ];
    for row @ (namespace, team, target, mode, deny, expected) in rows {
        assert_eq!(allowed(&[policy(namespace, team, target, mode, deny)]), expected, "{row:?}");
    }
}

/// Root and namespace, each allowing, refusing or refusing in Shadow.
#[test]
fn the_truth_table_of_two() {
    let said = |namespace, word| match word {
        "allow" => policy(namespace, None, None, Mode::Enforce, "x"),
        "refuse" => policy(namespace, None, None, Mode::Enforce, "m"),
        _ => policy(namespace, None, None, Mode::Shadow, "m"),
    };
    for root in ["allow", "refuse", "shadow"] {
        for own in ["allow", "refuse", "shadow"] {
            let expected = root != "refuse" && own != "refuse";
            assert_eq!(allowed(&[said(None, root), said(Some("search"), own)]), expected, "{root} {own}");
            assert_eq!(allowed(&[said(Some("search"), own), said(None, root)]), expected, "{own} {root}");
            assert_eq!(allowed(&[said(None, root), said(Some("shop"), own)]), root != "refuse", "{root} {own}");
        }
    }
}

#[test]
fn who_asks_why_is_told_of_every_policy() {
    let caller = caller();
    let policies = Spaces::from(vec![
        policy(Some("shop"), None, None, Mode::Enforce, "m"),
        policy(None, None, None, Mode::Enforce, "x"),
        policy(None, None, None, Mode::Shadow, "m*"),
    ]);
    let visit = Visit { place: HERE, model: named("m"), labels: &Labels::new(), own_backend: false };
    let said: Vec<Verdict<'_>> = explain(&policies, &caller, visit).map(|(_, verdict)| verdict).collect();
    assert!(matches!(&said[0], Verdict::Unmet(Unmet::Namespace { .. })));
    assert_eq!(said[1..], [Verdict::Allowed, Verdict::Refused(Refused::Denied { model: "m", pattern: "m*" })]);
}

fn any_policy() -> impl Strategy<Value = AccessPolicy> {
    let namespace = prop::option::of(prop::sample::select(vec!["search", "shop"]));
    let team = prop::option::of(prop::sample::select(vec!["build", "b*", "other"]));
    let target = prop::option::of(prop::sample::select(vec!["openai", "groq"]));
    let mode = prop::sample::select(vec![Mode::Enforce, Mode::Shadow]);
    let allow = prop::option::of(prop::collection::vec("[mn*]{1,2}", 0..3));
    let labels = prop::collection::vec(prop::sample::select(vec!["eu", "us"]), 0..2);
    (namespace, team, target, mode, allow, "[mn*]{1,2}", labels).prop_map(
        |(namespace, team, target, mode, allow, deny, labels)| {
            let allow = allow.map(|list| list.iter().map(|text| Glob::new(text)).collect());
            let labels = labels.into_iter().map(|region| ("region".into(), region.into())).collect();
            let rule = Rule::new(allow, &[Glob::new(&deny)], labels);
            AccessPolicy { rule, ..policy(namespace, team, target, mode, "") }
        },
    )
}

proptest! {
    #[test]
    fn adding_a_policy_never_allows_what_was_refused(
        policies in prop::collection::vec(any_policy(), 0..5), more in any_policy(), at: prop::sample::Index,
        model in "[mno]", region in prop::sample::select(vec!["eu", "us"]),
    ) {
        let caller = caller();
        let labels = vec![("region".into(), region.into())];
        for model in [named(&model), Model::None, Model::Unreadable] {
            let visit = Visit { place: HERE, model, labels: &labels, own_backend: false };
            let before = allows(&policies, visit);
            let mut added = policies.clone();
            added.insert(at.index(policies.len() + 1), more.clone());
            prop_assert!(before || !allows(&added, visit));
            let every: bool = explain(&policies.clone().into(), &caller, visit).all(|(policy, verdict)| {
                policy.scope.mode == Mode::Shadow || !matches!(verdict, Verdict::Refused(_))
            });
            prop_assert_eq!(every, before, "explain says the same");
        }
    }
}
