//! The list of models and what becomes of calls: a name that is listed is not refused for the key, the price or
//! a policy of the place it goes to, however it is drawn, and one that would be listed but for these is.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use weir::access::Rule as Access;
use weir::credential::Credential;
use weir::exchange::event::Event;
use weir::exchange::phase::BodyMode;
use weir::exchange::{Exchange, Setup};
use weir::policy::access::AccessPolicy;
use weir::policy::credentials::{Credentials, Row};
use weir::policy::select::{Caller, Callers, From, Scope};
use weir::policy::{Policy, Unpriced};
use weir::target::{Choice, Glob, Match, Rule, Serves, Targets};

use super::support::*;

/// One whose price the catalogue knows, and others.
const MODELS: [&str; 4] = ["gpt-4o-mini", "gpt-4o", "nobody-prices", "gpt-none"];

/// What a backend's calls leave with.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Has {
    Key,
    MissingKey,
    /// A key for others alone.
    Others,
}

/// What is said of one rule: its model, and backend, model that leaves, priority and weight of each choice.
type Said = (&'static str, Vec<(usize, &'static str, u32, u32)>);

#[derive(Clone, Debug)]
struct Drawn {
    backends: Vec<Has>,
    rules: Vec<Said>,
    deny: Vec<&'static str>,
    unpriced: bool,
}

// === impl Drawn ===

impl Drawn {
    /// What is configured; `open` leaves out all that could close a place.
    fn policy(&self, open: bool) -> Policy {
        let serves = |at: usize, has: Has| Serves {
            list: (at < 2).then(|| ["first", "second"][at].into()),
            by_name_alone: has == Has::MissingKey,
        };
        let names = ["one", "two", "three"];
        let backends = self.backends.iter().enumerate().map(|(at, has)| (backend(names[at], false), serves(at, *has)));
        let lists = |lists: &[&str]| lists.iter().map(|list| (*list).into()).collect();
        let models = [
            (MODELS[0].into(), lists(&["first"])),
            (MODELS[1].into(), lists(&["first", "second"])),
            (MODELS[2].into(), lists(&["second"])),
            (MODELS[3].into(), lists(&[])),
        ];
        let mut targets = Targets::new(backends.collect(), models.into());
        let rules = self.rules.iter().enumerate().map(|(at, (model, choices))| Rule {
            name: format!("chat/r{at}").as_str().into(),
            matches: vec![Match { model: Some(Glob::new(model)), ..Match::default() }],
            choices: choices
                .iter()
                .map(|&(backend, model, priority, weight)| Choice {
                    backend: backend % self.backends.len(),
                    model: Some(model.into()),
                    priority,
                    weight,
                })
                .collect(),
            ..Rule::default()
        });
        targets.root.rules = rules.collect::<Vec<_>>().into();
        let mut policy = Policy { targets, ..policy() };
        policy.overlays = vec![None; self.backends.len()];
        policy.labels = vec![Vec::new(); self.backends.len()];
        let mut credentials = Credentials::default();
        for has in &self.backends {
            let nobody = Caller { teams: vec![Glob::new("nobody")], ..Caller::default() };
            let others = Callers { namespace: None, from: From(vec![nobody]) };
            credentials.push(match has {
                _ if open => vec![Row { callers: None, credential: key("k") }],
                Has::Key => vec![Row { callers: None, credential: key("k") }],
                Has::MissingKey => vec![Row { callers: None, credential: Credential::Missing("none".into()) }],
                Has::Others => vec![Row { callers: Some(others), credential: key("k") }],
            });
        }
        policy.credentials = credentials;
        if !open {
            let deny = |glob: &&str| AccessPolicy {
                scope: Scope { id: format!("LLMAccessPolicy/{glob}").into(), ..Scope::default() },
                rule: Access::new(None, &[Glob::new(glob)], Vec::new()),
            };
            policy.access = self.deny.iter().map(deny).collect();
            policy.profile.unpriced = if self.unpriced { Unpriced::Deny } else { Unpriced::Allow };
        }
        policy
    }
}

fn listed(policy: Policy) -> BTreeSet<String> {
    let mut world = World::new(policy);
    world.send(Event::Request(request("GET", "/v1/models", &[]), true)).end();
    let answer: serde_json::Value = serde_json::from_slice(&world.envoy.client.body).unwrap();
    answer["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap().to_owned()).collect()
}

/// Why a call is refused, if it is.
fn refusal(policy: &Policy, model: &str, draw: u64) -> Option<&'static str> {
    let mut world = World::new(policy.clone());
    let (policy, learned, mode) = (Arc::new(policy.clone()), world.learned.clone(), BodyMode::FullDuplex);
    world.exchange = Exchange::new(Setup { id: "req-1".into(), policy, learned, health: Arc::default(), mode, draw });
    world.call(CHAT, format!(r#"{{"model":"{model}","messages":[]}}"#));
    if world.envoy.upstream.began {
        world.reply(json(), DOCUMENT);
    }
    world.end();
    world.record().refusal
}

prop_compose! {
    fn drawn()(
        backends in vec(select(vec![Has::Key, Has::Key, Has::MissingKey, Has::Others]), 1..=3),
        rules in vec((
            select(vec!["fast", "gpt-4o", "gpt-*", "*-prices"]),
            vec((0..3_usize, select(MODELS.to_vec()), 0..2_u32, 0..3_u32), 1..4),
        ), 0..3),
        deny in vec(select(vec!["gpt-4o", "fast", "*mini", "two/*"]), 0..2),
        unpriced in any::<bool>(),
    ) -> Drawn {
        Drawn { backends, rules, deny, unpriced }
    }
}

proptest! {
    #[test]
    fn what_is_listed_is_not_refused_and_what_is_not_is(drawn in drawn()) {
        let policy = drawn.policy(false);
        let (shown, all) = (listed(policy.clone()), listed(drawn.policy(true)));
        prop_assert!(shown.is_subset(&all), "{shown:?} {all:?}");
        for name in &all {
            for draw in 0..6 {
                let refused = refusal(&policy, name, draw);
                match shown.contains(name) {
                    true => prop_assert_eq!(refused, None, "{} is listed", name),
                    false => prop_assert!(
                        matches!(refused, Some("model_not_allowed" | "credential_unavailable")),
                        "{name} is not listed, and a call is refused by {refused:?}"
                    ),
                }
            }
        }
    }
}

#[test]
fn a_name_without_a_price_or_a_key_is_not_listed() {
    let backends = vec![Has::Key, Has::Key];
    let rules = vec![("fast", vec![(0, "nobody-prices", 0, 1)]), ("slow", vec![(1, "gpt-4o", 0, 1)])];
    let drawn = Drawn { backends, rules, deny: Vec::new(), unpriced: false };
    let of = |drawn: &Drawn| listed(drawn.policy(false)).into_iter().collect::<Vec<_>>().join(" ");
    let every = "fast gpt-4o-mini nobody-prices one/gpt-4o slow two/gpt-4o";
    assert_eq!(of(&drawn), every);
    assert_eq!(of(&Drawn { unpriced: true, ..drawn.clone() }), "gpt-4o-mini one/gpt-4o slow two/gpt-4o");
    // What only the one without a key serves; the other names lead to the other one.
    let keyless = Drawn { backends: vec![Has::Key, Has::MissingKey], ..drawn };
    assert_eq!(of(&keyless), "fast gpt-4o gpt-4o-mini");
    assert_eq!(refusal(&keyless.policy(false), "slow", 0), Some("credential_unavailable"));
}

/// Another attempt goes through the same door.
#[test]
fn another_attempt_is_not_made_where_the_price_is_not_known() {
    let priced = vec![("fast", vec![(0, "gpt-4o", 0, 1), (1, "gpt-4o", 1, 1)])];
    let drawn = Drawn { backends: vec![Has::Key, Has::Key], rules: priced, deny: Vec::new(), unpriced: true };
    for (provider, retried) in [("openai", true), ("nobody", false)] {
        let mut policy = drawn.policy(false);
        let other = weir::target::Backend { provider: provider.into(), ..backend("two", false) };
        policy.targets.backends[1] = Arc::new(other);
        let mut world = World::new(fails_over(policy));
        world.call(CHAT, r#"{"model":"fast","messages":[]}"#).send(attempt(1, "one")).send(attempt(2, "two"));
        world.reply(json(), DOCUMENT).end();
        let outcomes: Vec<&str> = world.record().decisions.iter().map(|decision| decision.outcome).collect();
        assert_eq!(outcomes.contains(&"retried"), retried, "{outcomes:?}");
    }
}
