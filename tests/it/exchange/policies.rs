//! Policies and answers that tests share.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use weir::base::secret::Secret;
use weir::catalog::Catalog;
use weir::credential::source::{Google, Source};
use weir::credential::{self, Credential, Fetched, Lease, Signature};
use weir::exchange::event::{Answer, Attempt, Event};
use weir::limit::take::{Grant, Refused};
use weir::limit::window::Window;
use weir::limit::{Limit, Unit};
use weir::llm::{Dialect, Reply};
use weir::policy::cache::CachePolicy;
use weir::policy::limits::{Exceeded, LimitPolicy, Rule};
use weir::policy::spaces::Spaces;
use weir::policy::{Mode, OnError, Policy};
use weir::target::{self, Backend, Choice, Failover, Glob, Passthrough, Retry, RetryOn, Serves, Targets};
use weir::{cache, guard};

pub fn backend(name: &str, asks_stream_usage: bool) -> Backend {
    Backend {
        name: name.into(),
        namespace: None,
        provider: "openai".into(),
        dialect: Dialect::OpenAi,
        authority: format!("{name}.example").into(),
        prefix: "/v1".into(),
        asks_stream_usage,
        speaks: weir::wire::Speaks::default(),
        azure: None,
        quirks: Vec::new(),
        headers: vec![("x-extra".into(), "1".into())],
        removed_headers: Vec::new(),
    }
}

/// With another attempt at each of the others, whatever the policy says of where calls go: its own rules, or one for
/// every call that prefers the backends in their order.
pub fn fails_over(mut policy: Policy) -> Policy {
    let choice =
        |backend: usize| Choice { backend, model: None, priority: u32::try_from(backend).expect("few"), weight: 1 };
    if policy.targets.root.rules.is_empty() {
        let choices = (0..policy.targets.backends.len()).map(choice).collect();
        policy.targets.root.rules =
            vec![target::Rule { name: "chat/all".into(), choices, ..target::Rule::default() }].into();
    }
    let retry = Retry { attempts: 3, on: vec![RetryOn::ServerError], ..Retry::default() };
    let rules = policy.targets.root.rules.iter().map(|rule| target::Rule {
        failover: Failover::PerAttempt,
        retry: Some(Arc::new(retry.clone())),
        ..rule.clone()
    });
    policy.targets.root.rules = rules.collect::<Vec<_>>().into();
    policy
}

/// The proxy's n-th attempt; the world gives it the original where it still keeps that.
pub fn attempt(number: u32, backend: &str) -> Event {
    Event::Attempt(Attempt { number, backend: backend.into(), before: None, original: None })
}

/// `one` asks for usage; `two` does not. `/v1/files` passes signed to `one`.
pub fn policy() -> Policy {
    static CATALOG: OnceLock<Catalog> = OnceLock::new();
    let serves = |list: &str| Serves { list: Some(list.into()), by_name_alone: false };
    let backends = vec![(backend("one", true), serves("one")), (backend("two", false), serves("two"))];
    let lists = |model: &str, list: &str| (model.into(), vec![list.into()]);
    let models = [lists("gpt-4o-mini", "one"), lists("other", "two"), lists("text-embedding-3-small", "one")];
    let mut targets = Targets::new(backends, models.into());
    let files = Passthrough { route: "files".into(), backend: 0, paths: vec![Glob::new("/v1/files*")] };
    targets.root.passthrough = vec![files];
    let catalog = CATALOG.get_or_init(Catalog::builtin).clone();
    Policy { may_sign: true, ..Policy::new(targets, vec![key("k-one"), key("k-two")], catalog) }
}

/// `one` is the only backend there is.
pub fn alone() -> Policy {
    let targets = Targets::new(vec![(backend("one", true), Serves::default())], [].into());
    Policy { targets, ..policy() }
}

pub fn key(secret: &str) -> Credential {
    Credential::Key(signature(secret))
}

pub fn signature(secret: &str) -> Signature {
    Signature { name: "key".into(), header: "authorization".into(), prefix: "Bearer ", secret: Secret::new(secret) }
}

/// A token that has to be asked for.
pub fn fetched() -> Credential {
    let lease = Arc::new(Lease::new(Source::Google(Google::Ambient)));
    Credential::Fetched(Fetched { lease, place: None })
}

/// A gate at each step: Admit, Guard, Recall, Reserve and Sign, in this order.
pub fn gated() -> Policy {
    let mut policy = policy();
    policy.limits = limits(Mode::Enforce, OnError::Deny, &Exceeded::Deny);
    policy.guards.rules = vec![guard::Rule { name: "pii".to_owned() }];
    policy.caches = caches(Mode::Enforce);
    policy.credentials.set(0, fetched());
    policy
}

/// Answers are kept for everybody, whatever the temperature.
pub fn caches(mode: Mode) -> Spaces<CachePolicy> {
    let rule = cache::Rule::new("all", cache::Scope::Shared, Duration::from_secs(600));
    vec![CachePolicy::everywhere(rule, mode)].into()
}

/// A kept answer, a minute old.
pub fn found(reply: Reply) -> cache::Recall {
    let hit = cache::Hit { reply, age: Duration::from_secs(60), is_similar: false, cost: None };
    cache::Recall::Hit(Box::new(hit))
}

/// What lets a request of [`gated`] through.
pub fn all_clear() -> Vec<Answer> {
    vec![
        granted(1),
        Answer::Judge(guard::Verdict::Pass),
        Answer::Recall(cache::Recall::Miss),
        granted(2),
        Answer::Token(credential::Grant::Token(Secret::new("fresh"))),
    ]
}

/// A limit of requests and one of tokens.
pub fn limits(mode: Mode, on_error: OnError, exceeded: &Exceeded) -> Spaces<LimitPolicy> {
    let minute = || Window::Rolling(Duration::from_secs(60));
    let rule = |name: &str, unit| Rule {
        mode,
        on_error,
        exceeded: exceeded.clone(),
        ..Rule::new(Limit::new(name, unit, 100, minute()))
    };
    vec![LimitPolicy::new([rule("rpm", Unit::Requests), rule("tpm", Unit::Tokens)])].into()
}

pub fn granted(id: u64) -> Answer {
    Answer::Reserve(Ok(Grant { id: id.into(), taken: Vec::new() }))
}

pub fn exhausted(wait: Option<Duration>) -> Answer {
    Answer::Reserve(Err(Refused { take: 0, wait, standings: Vec::new() }))
}
