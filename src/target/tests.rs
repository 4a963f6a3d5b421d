//! Routing decisions, one rule of the contract a test.

use proptest::prelude::*;

use super::*;
use crate::llm::Operation;

pub(super) fn backend(name: &str, authority: &str, prefix: &str) -> Backend {
    Backend {
        name: name.into(),
        namespace: None,
        provider: name.into(),
        dialect: Dialect::OpenAi,
        authority: authority.into(),
        prefix: prefix.into(),
        asks_stream_usage: true,
        speaks: crate::wire::Speaks::default(),
        azure: None,
        quirks: Vec::new(),
        headers: Vec::new(),
        removed_headers: Vec::new(),
    }
}

fn rule(name: &str, models: &[&str], choices: &[(usize, Option<&str>, u32)]) -> Rule {
    let of = |model: &&str| Match { model: Some(Glob::new(model)), ..Match::default() };
    let choice = |&(backend, model, weight): &(usize, Option<&str>, u32)| Choice {
        backend,
        model: model.map(Into::into),
        priority: 0,
        weight,
    };
    Rule {
        name: name.into(),
        matches: models.iter().map(of).collect(),
        choices: choices.iter().map(choice).collect(),
        ..Rule::default()
    }
}

/// Resolves a chat of which nothing but its model is known.
fn resolve(targets: &Targets, model: &str, draw: u64) -> Result<Target, Refusal> {
    let (operation, header) = (Operation::Chat, &|_: &str| None);
    let asked = Asked { namespace: "", model, operation, header, caller: &|_| true };
    let health = Health::new();
    let how = Choosing::plain(draw, Dialect::OpenAi, &health);
    targets.resolve(&model.into(), &asked, &how).map(|chosen| chosen.target)
}

fn serves(list: &str) -> Serves {
    Serves { list: Some(list.into()), by_name_alone: false }
}

/// `only-groq` stands in one list, `both` in two, and `claude-x` in another one.
fn of(backends: Vec<(Backend, Serves)>) -> Targets {
    let models = [
        ("only-groq".into(), vec!["groq".into()]),
        ("both".into(), vec!["openai".into(), "groq".into()]),
        ("claude-x".into(), vec![]),
    ];
    Targets::new(backends, models.into())
}

fn two() -> Targets {
    of(vec![
        (backend("openai", "api.openai.com", "/v1"), serves("openai")),
        (backend("groq", "api.groq.com", "/openai/v1"), serves("groq")),
    ])
}

#[test]
fn an_exact_model_beats_an_earlier_glob() {
    let mut targets = two();
    targets.root.rules =
        vec![rule("r/glob", &["gpt-*"], &[(0, None, 1)]), rule("r/exact", &["gpt-x"], &[(1, None, 1)])].into();
    assert_eq!(resolve(&targets, "gpt-x", 0).unwrap().rule, Some("r/exact".into()));
    assert_eq!(resolve(&targets, "gpt-y", 0).unwrap().rule, Some("r/glob".into()));
}

#[test]
fn weights_share_the_draw_and_zero_is_never_chosen() {
    let mut targets = two();
    targets.root.rules = vec![rule("r/w", &[], &[(0, Some("a"), 3), (1, Some("never"), 0), (1, Some("b"), 1)])].into();
    let models: Vec<Arc<str>> = (0..4).map(|draw| resolve(&targets, "x", draw).unwrap().model).collect();
    assert_eq!(models, ["a", "a", "a", "b"].map(Arc::from));
    targets.root.rules = vec![rule("r/none", &[], &[(0, None, 0)])].into();
    assert_eq!(resolve(&targets, "x", 7).unwrap_err().code, Code::NoBackend);
}

#[test]
fn a_name_may_say_its_backend_and_a_bare_name_must_be_unambiguous() {
    let targets = two();
    assert_eq!(&*resolve(&targets, "groq/llama/3", 0).unwrap().model, "llama/3");
    assert_eq!(resolve(&targets, "only-groq", 0).unwrap().index, 1);
    let refusal = resolve(&targets, "both", 0).unwrap_err();
    assert_eq!(refusal.code, Code::ModelNotFound);
    assert!(refusal.message.contains("openai, groq"), "{}", refusal.message);
    assert_eq!(resolve(&targets, "unheard-of", 0).unwrap_err().code, Code::ModelNotFound);
    assert_eq!(resolve(&targets, "groq/", 0).unwrap_err().code, Code::ModelNotFound, "no model at all");
}

#[test]
fn a_name_in_no_catalogue_goes_to_the_only_backend() {
    let one = |by_name_alone| of(vec![(backend("openai", "h", ""), Serves { by_name_alone, ..serves("openai") })]);
    for by_name_alone in [false, true] {
        let targets = one(by_name_alone);
        assert_eq!(&*resolve(&targets, "my-tune", 0).unwrap().model, "my-tune");
        assert_eq!(resolve(&targets, "claude-x", 0).unwrap_err().code, Code::ModelNotFound);
        assert_eq!(resolve(&targets, "both", 0).unwrap().index, 0, "it lists it, whether it has a key or not");
    }
    assert_eq!(resolve(&of(vec![]), "my-tune", 0).unwrap_err().code, Code::NoBackend);
}

#[test]
fn a_path_without_a_model_is_signed_only_by_a_rule() {
    let mut targets = two();
    targets.root.passthrough =
        vec![Passthrough { route: "r".into(), backend: 1, paths: vec![Glob::new("/v1/files*")] }];
    let by_rule = targets.pass("", "/v1/files/f-1?x=1", "whatever").unwrap();
    assert_eq!((by_rule.index, by_rule.signed), (1, true));
    let by_host = targets.pass("", "/v1/batches", "API.openai.com").unwrap();
    assert_eq!((by_host.index, by_host.signed), (0, false));
    assert_eq!(targets.pass("", "/v1/batches", "other").unwrap_err().code, Code::NoBackend);
    // A query must not smuggle a path past the rule.
    assert_eq!(targets.pass("", "/other?/v1/files", "other").unwrap_err().code, Code::NoBackend);
}

#[test]
fn a_path_that_leads_out_of_its_rule_is_not_signed() {
    let mut targets = two();
    targets.root.passthrough =
        vec![Passthrough { route: "r".into(), backend: 1, paths: vec![Glob::new("/v1/files*")] }];
    for path in [
        "/v1/files/../chat/completions",
        "/v1/files/..",
        "/v1/files/./x",
        "/v1/files/%2e%2E/chat/completions",
        "/v1/files/.%2e/x?y",
        "/v1/files/..%2Fchat",
        "/v1/files%5c..%5cchat",
        "/v1/files\\..\\chat",
    ] {
        assert_eq!(targets.pass("", path, "other").unwrap_err().code, Code::NoBackend, "{path}");
        assert!(!targets.pass("", path, "api.groq.com").unwrap().signed, "{path}");
    }
    for path in ["/v1/files/a..b", "/v1/files/...", "/v1/files/%20x", "/v1/files/x?../../y"] {
        assert!(targets.pass("", path, "other").unwrap().signed, "{path}");
    }
}

#[test]
fn the_clients_v1_is_replaced_by_the_backends_prefix() {
    let groq = backend("groq", "h", "/openai/v1");
    assert_eq!(groq.path("/v1/chat/completions?a=1"), "/openai/v1/chat/completions?a=1");
    assert_eq!(groq.path("/chat/completions"), "/openai/v1/chat/completions");
    assert_eq!(groq.path("/v1beta/x"), "/openai/v1/v1beta/x");
    assert_eq!(groq.path("/v1"), "/openai/v1");
    // Without a prefix it is still a path.
    let bare = backend("local", "h", "");
    assert_eq!((bare.path("/v1").as_str(), bare.path("/v1?a=1").as_str()), ("/", "/?a=1"));
    assert_eq!(bare.path("/v1/models"), "/models");
}

#[test]
fn globs_match_whole_names() {
    for (pattern, name, expected) in [
        ("gpt-*", "gpt-4o", true),
        ("gpt-*", "my-gpt-4o", false),
        ("*opus*", "claude-opus-4", true),
        ("*mini", "gpt-4o-mini", true),
        ("*mini", "gpt-4o-mini-2024", false),
        ("a*b*c", "a-b-b-c", true),
        ("a*a", "a", false),
        ("*", "", true),
        ("a", "a", true),
        ("a", "ab", false),
    ] {
        assert_eq!(Glob::new(pattern).matches(name), expected, "{pattern} {name}");
    }
    assert!(Glob::exact("a*").matches("a*"));
    assert!(!Glob::exact("a*").matches("ab"));
}

proptest! {
    #[test]
    fn globs_agree_with_backtracking(pattern in "[ab*]{0,6}", name in "[ab]{0,8}") {
        fn slow(p: &[u8], n: &[u8]) -> bool {
            match (p.first(), n.first()) {
                (None, None) => true,
                (Some(b'*'), _) => slow(&p[1..], n) || (!n.is_empty() && slow(p, &n[1..])),
                (Some(x), Some(y)) => x == y && slow(&p[1..], &n[1..]),
                _ => false,
            }
        }
        prop_assert_eq!(Glob::new(&pattern).matches(&name), slow(pattern.as_bytes(), name.as_bytes()));
    }
}
