//! Scopes: what each word wants, that fields are joined by "and" and entries by "or", and the words for
//! what was not met.

use proptest::prelude::*;

use super::*;
use crate::identity::Own;

fn globs(texts: &[&str]) -> Vec<Glob> {
    texts.iter().map(|text| Glob::new(text)).collect()
}

fn principal() -> Principal {
    Principal {
        namespace: "search".into(),
        service_account: "api".into(),
        spiffe: Some("spiffe://mesh/ns/search/sa/api".into()),
        consumer: Some("ci".into()),
        team: Some("build".into()),
        groups: vec!["staff".into(), "interns".into()],
        ..Principal::default()
    }
}

/// As root's documents see it.
fn root(principal: &Principal) -> View<'_> {
    View::of(None, principal).unwrap()
}

const HERE: Place<'static> = Place { route: Some("chat"), rule: Some("default"), backend: "openai" };

fn entry(word: &str, texts: &[&str]) -> Caller {
    let mut entry = Caller::default();
    let list = globs(texts);
    match word {
        "namespaces" => entry.namespaces = list,
        "serviceAccounts" => {
            let pair = |text: &&str| text.split_once('/').map(|(a, b)| (Glob::new(a), Glob::new(b))).unwrap();
            entry.service_accounts = texts.iter().map(pair).collect();
        }
        "principals" => entry.principals = list,
        "consumers" => entry.consumers = list,
        "teams" => entry.teams = list,
        "groups" => entry.groups = list,
        other => panic!("{other}"),
    }
    entry
}

const WORDS: [(&str, &str, &str); 6] = [
    ("namespaces", "sea*", "shop"),
    ("serviceAccounts", "search/*", "search/web"),
    ("principals", "spiffe://*/ns/search/*", "spiffe://other/*"),
    ("consumers", "ci", "cd"),
    ("teams", "b*", "search"),
    ("groups", "interns", "admins"),
];

#[test]
fn each_word_fits_its_fact_and_nobody_without_it() {
    for (word, fits, other) in WORDS {
        let from = |text: &str| From(vec![entry(word, &[text])]);
        assert_eq!(from(fits).admits(root(&principal())), Ok(()), "{word}");
        let unmet = from(other).admits(root(&principal())).unwrap_err();
        assert!(matches!(unmet, Unmet::From { word: found, .. } if found == word), "{unmet}");
        let every = if word == "serviceAccounts" { "*/*" } else { "*" };
        assert!(from(every).has(root(&principal())), "{word}");
        assert!(!from(every).has(root(&Principal::default())), "{word}: what is not known fits nothing");
    }
    assert!(From::default().has(root(&Principal::default())));
}

#[test]
fn the_words_say_what_was_wanted_and_what_there_is() {
    let scope = |from: Vec<Caller>| Scope { from: From(from), ..Scope::default() };
    let said = |scope: Scope| scope.admits(&principal(), HERE).unwrap_err().to_string();
    assert_eq!(
        said(scope(vec![entry("teams", &["search", "shop"])])),
        r#"from.teams wants "search, shop", and the caller's is "build""#
    );
    assert_eq!(
        said(scope(vec![entry("groups", &["x"]), entry("teams", &["y"])])),
        r#"from.groups wants "x", and the caller's is "staff, interns"; none of the 2 entries fits"#
    );
    let elsewhere = Scope { namespace: Some("shop".into()), ..Scope::default() };
    assert_eq!(said(elsewhere), r#"it speaks for namespace "shop", and the caller's is "search""#);
    let targets = vec![TargetRef::Backend("groq".into()), route("chat", Some("other"))];
    assert_eq!(
        said(Scope { targets, ..Scope::default() }),
        "targetRefs want LLMBackend groq, rule other of LLMRoute chat, and the call goes to LLMBackend openai by rule \
         default of LLMRoute chat"
    );
}

fn route(name: &str, rule: Option<&str>) -> TargetRef {
    TargetRef::Route { name: name.into(), rule: rule.map(Into::into) }
}

#[test]
fn a_document_of_a_namespace_speaks_for_its_own_workloads_alone() {
    let scope = |namespace: &str| Scope { namespace: Some(namespace.into()), ..Scope::default() };
    assert_eq!(scope("search").admits(&principal(), HERE), Ok(()));
    assert!(scope("shop").admits(&principal(), HERE).is_err());
    assert!(scope("").admits(&Principal::default(), HERE).is_err(), "nobody's namespace is not a namespace");
}

#[test]
fn a_target_is_a_route_a_rule_of_it_or_a_backend() {
    let by_name = Place { route: None, rule: None, ..HERE };
    let passed = Place { rule: None, ..HERE };
    for (target, places) in [
        (route("chat", None), [true, false, true]),
        (route("chat", Some("default")), [true, false, false]),
        (route("chat", Some("other")), [false; 3]),
        (route("other", None), [false; 3]),
        (TargetRef::Backend("openai".into()), [true; 3]),
        (TargetRef::Backend("groq".into()), [false; 3]),
    ] {
        let scope = Scope { targets: vec![target], ..Scope::default() };
        let found = [HERE, by_name, passed].map(|place| scope.admits(&principal(), place).is_ok());
        assert_eq!(found, places, "{:?}", scope.targets);
    }
}

proptest! {
    /// Fields are joined by "and", entries by "or".
    #[test]
    fn entries_or_fields_and(rows in prop::collection::vec(prop::collection::vec((0..6usize, any::<bool>()), 1..4), 1..4)) {
        let mut expected = false;
        let mut from = From::default();
        for row in &rows {
            let mut entry_ = Caller::default();
            let mut fits = true;
            let mut words: Vec<(usize, bool)> = row.clone();
            words.sort_unstable();
            words.dedup_by_key(|word| word.0);
            for (at, good) in words {
                let (word, yes, no) = WORDS[at];
                let one = entry(word, &[if good { yes } else { no }]);
                entry_.namespaces.extend(one.namespaces);
                entry_.service_accounts.extend(one.service_accounts);
                entry_.principals.extend(one.principals);
                entry_.consumers.extend(one.consumers);
                entry_.teams.extend(one.teams);
                entry_.groups.extend(one.groups);
                fits &= good;
            }
            expected |= fits;
            from.0.push(entry_);
        }
        prop_assert_eq!(from.has(root(&principal())), expected);
        prop_assert_eq!(from.admits(root(&principal())).is_ok(), expected);
    }
}

/// Of the namespace `search`, by its own documents `search/web` of team `web`.
fn with_own(consumer: Option<&str>, team: Option<&str>) -> Principal {
    let own = Own { consumer: "search/web".into(), team: Some("web".into()), tags: Vec::new() };
    let (consumer, team) = (consumer.map(Into::into), team.map(Into::into));
    Principal { consumer, team, own: Some(Arc::new(own)), ..principal() }
}

/// Namespace of the document, what root knows, what `from` says, and whether the caller is one of them.
#[test]
fn what_a_namespace_says_of_a_caller_is_seen_by_its_own_documents_alone() {
    let rows = [
        (None, (None, None), "teams", "web", false),
        (None, (None, None), "teams", "*", false),
        (None, (None, None), "consumers", "*", false),
        (None, (None, None), "consumers", "web", false),
        (Some("search"), (None, None), "teams", "web", true),
        (Some("search"), (None, None), "consumers", "search/web", true),
        (Some("search"), (None, None), "consumers", "web", false),
        (Some("search"), (None, None), "consumers", "w*", true),
        (Some("search"), (None, None), "consumers", "search*", false),
        (Some("search"), (Some("web"), None), "consumers", "web", true),
        (Some("search"), (Some("ci"), None), "consumers", "search/web", true),
        (Some("search"), (Some("ci"), None), "consumers", "c*", true),
        (Some("search"), (None, Some("build")), "teams", "web", false),
        (Some("search"), (None, Some("build")), "teams", "build", true),
        (Some("shop"), (None, None), "teams", "web", false),
        (None, (Some("ci"), Some("build")), "teams", "build", true),
        (None, (Some("ci"), Some("build")), "consumers", "ci", true),
    ];
    for row @ (namespace, (consumer, team), word, text, expected) in rows {
        let scope =
            Scope { namespace: namespace.map(Into::into), from: From(vec![entry(word, &[text])]), ..Scope::default() };
        let principal = with_own(consumer, team);
        assert_eq!(scope.speaks_for(&principal, HERE), expected, "{row:?}");
        assert_eq!(scope.admits(&principal, HERE).is_ok(), expected, "{row:?}");
    }
}

#[test]
fn a_tag_is_roots_then_the_namespaces_then_the_callers_own_word() {
    let mut principal = with_own(None, None);
    let tag = |name: &str, value: &str| (Arc::<str>::from(name), Arc::<str>::from(value));
    principal.tags = vec![tag("cost", "root"), tag("stage", "said"), tag("feature", "said")];
    principal.own = Some(Arc::new(Own { tags: vec![tag("stage", "own")], ..(*principal.own.unwrap()).clone() }));
    let seen = |namespace| {
        let view = View::of(namespace, &principal).unwrap();
        ["cost", "stage", "feature", "none"].map(|name| view.tag(name))
    };
    assert_eq!(seen(None), [Some("root"), Some("said"), Some("said"), None]);
    assert_eq!(seen(Some("search")), [Some("root"), Some("own"), Some("said"), None]);
}
