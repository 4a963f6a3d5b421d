//! The files of `examples/situations`, each as it is: what it promises, call by call. What a file asks for
//! that is not built yet (a limit) is left out of what is promised here.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use weir::base::now::Instant;
use weir::catalog::Catalog;
use weir::config::{self, Options, Source};
use weir::config::{SecretError, Secrets};
use weir::exchange::event::{Event, RequestHead};
use weir::exchange::phase::BodyMode;
use weir::exchange::record::{Outcome, Record};
use weir::exchange::{Exchange, Setup};
use weir::identity::key::{Digest, RANDOM, new_key};
use weir::identity::{Claim, Claims};
use weir::policy::Policy;
use weir::target::Health;
use weir::target::health::{Observation, Outcome as Seen};

use super::support::*;

/// What the environment holds: each provider's key is named as its variable is.
struct Keys;

impl Secrets for Keys {
    fn env(&self, name: &str) -> Option<String> {
        Some(format!("sk-{name}"))
    }

    /// A mounted Secret's key is named as its path is.
    fn file(&self, path: &Path) -> Result<String, SecretError> {
        let name = path.strip_prefix("/secrets").map_err(|_| SecretError::NotFound)?;
        Ok(format!("sk-{}", name.display()))
    }
}

/// A situation: its policy, and what its process knows of backends.
struct Situation {
    policy: Arc<Policy>,
    health: Arc<Health>,
}

fn situation(name: &str, pod: &str) -> Situation {
    edited(name, pod, |text| text)
}

/// The situation of this folder in a pod of `NAMESPACE` or `NAMESPACE/ACCOUNT`, after an edit of its text.
fn edited(name: &str, pod: &str, edit: impl FnOnce(String) -> String) -> Situation {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/situations").join(name).join("weir.yaml");
    let text = edit(std::fs::read_to_string(&path).expect("an example"));
    let source = Source { files: vec![("weir.yaml".to_owned(), text)], ..Source::default() };
    let mut options = Options::default();
    let (namespace, account) = pod.split_once('/').unwrap_or((pod, "default"));
    options.workload.namespace = Some(namespace.to_owned());
    options.workload.service_account = Some(account.to_owned());
    options.secrets_dir = Some("/secrets".into());
    let catalog = Catalog::builtin();
    let checked = config::check(&source, &options, &catalog, &Keys, catalog.clone());
    assert_eq!(checked.errors, [], "{name}");
    let policy = checked.compiled.expect("no error").policy;
    Situation { policy: Arc::new(Policy { may_sign: true, ..policy }), health: Arc::default() }
}

// === impl Situation ===

impl Situation {
    /// Where a call went, after the world has answered it well.
    fn call(&self, head: RequestHead, body: &str, draw: u64) -> World {
        let mut world = World::new(Policy::clone(&self.policy));
        world.store = Some(weir::limit::memory::Memory::new(100));
        world.exchange = Exchange::new(Setup {
            id: "1".into(),
            policy: self.policy.clone(),
            learned: Arc::default(),
            health: self.health.clone(),
            mode: BodyMode::FullDuplex,
            draw,
        });
        let ends = body.is_empty();
        world.send(Event::Request(head, ends));
        if !ends {
            world.send(Event::RequestBody(bytes(body), true));
        }
        if world.envoy.upstream.began {
            world.reply(json(), DOCUMENT);
        }
        world.end();
        world
    }

    /// The backend and the model that a call for `chat-default` got, or of its refusal.
    fn chat(&self, fields: &[(&str, &str)], draw: u64) -> String {
        sent(&self.call(asking(fields), &of("chat-default"), draw))
    }

    fn failed(&self, backend: &str, outcome: Seen) {
        let (backend, model) = (backend.into(), "any".into());
        self.health.observe(&Observation { backend, credential: 0, model, outcome, cooldown: None, at: Instant(0) });
    }
}

fn asking(fields: &[(&str, &str)]) -> RequestHead {
    request("POST", CHAT, &[&[("content-type", "application/json")], fields].concat())
}

fn of(model: &str) -> String {
    format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"hi"}}]}}"#)
}

/// `BACKEND/MODEL` of what left, or the code of the refusal.
fn sent(world: &World) -> String {
    if !world.envoy.upstream.began {
        return world.refused().1;
    }
    let body: serde_json::Value = serde_json::from_str(&world.upstream()).expect("JSON");
    format!("{}/{}", world.record().backend.as_deref().expect("a backend"), body["model"].as_str().expect("a model"))
}

/// Draws that look like chance and are always the same.
fn draws(count: usize) -> impl Iterator<Item = u64> {
    let mut seed = 20_260_101_u64;
    std::iter::repeat_with(move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        seed >> 16
    })
    .take(count)
}

#[test]
fn canary_gives_a_twentieth_to_the_next_model_and_keeps_a_session() {
    let canary = situation("canary", "default");
    let share = |found: Vec<String>| {
        let new = found.iter().filter(|sent| *sent == "openai/gpt-5-mini").count();
        assert!(found.iter().all(|sent| sent == "openai/gpt-5-mini" || sent == "openai/gpt-4o-mini"), "{found:?}");
        new
    };
    // 50 of 1,000 on average, and 29 to 71 are three standard deviations to either side.
    let by_chance = share(draws(1000).map(|draw| canary.chat(&[], draw)).collect());
    assert!((29..=71).contains(&by_chance), "{by_chance} of 1,000 calls");
    let mut sessions = Vec::new();
    for session in 0..1000 {
        let session = format!("conversation-{session}");
        let said: Vec<String> = draws(3).map(|draw| canary.chat(&[("x-session-id", &session)], draw)).collect();
        assert!(said.windows(2).all(|pair| pair[0] == pair[1]), "{session} moved: {said:?}");
        sessions.extend(said.into_iter().next());
    }
    let by_session = share(sessions);
    assert!((29..=71).contains(&by_session), "{by_session} of 1,000 sessions");
}

#[test]
fn eu_only_holds_for_every_name_of_a_model_and_for_the_fallback() {
    let (us, eu) = ("openai/gpt-4o-mini", "mistral/mistral-small-latest");
    let elsewhere = situation("eu-only", "shop");
    assert_eq!(elsewhere.chat(&[], 0), us);
    elsewhere.failed("openai", Seen::Unreachable);
    assert_eq!(elsewhere.chat(&[], 0), eu, "the fallback of everybody");

    let inside = situation("eu-only", "eu-shop");
    assert_eq!(inside.chat(&[], 0), eu, "the first priority is not in the EU");
    for name in ["openai/gpt-4o-mini", "gpt-4o-mini", "openai/gpt-5"] {
        let world = inside.call(asking(&[]), &of(name), 0);
        assert_eq!(world.refused(), (403, "model_not_allowed".to_owned()), "{name}");
        assert_eq!(world.record().outcome, Outcome::Refused);
    }
    assert_eq!(sent(&inside.call(asking(&[]), &of("mistral/mistral-small-latest"), 0)), eu);
    // When the only one that is allowed has failed, it is still the only one.
    inside.failed("mistral", Seen::Unreachable);
    assert_eq!(inside.chat(&[], 0), eu);
}

/// The keys of `ci`, whose digests take the place of those in the file.
fn key(byte: u8) -> String {
    new_key(&[byte; RANDOM])
}

fn with_keys(text: String) -> String {
    let mut byte = 0;
    let lines = text.lines().map(|line| match line.split_once("sha256: \"") {
        Some((before, rest)) => {
            byte += 1;
            let digest = Digest::of(&key(byte)).hex();
            format!("{before}sha256: \"{digest}{}", rest.get(64..).expect("a digest and what follows it"))
        }
        None => line.to_owned(),
    });
    let text = lines.collect::<Vec<_>>().join("\n");
    assert_eq!(byte, 2, "two keys");
    text
}

#[test]
fn key_per_workload_names_a_caller_by_either_key_and_sends_neither() {
    let keys = edited("key-per-workload", "jobs", with_keys);
    let call = |key: &str, name: &str| keys.call(asking(&[(name, key)]), &of("gpt-4o-mini"), 0);
    for (byte, name) in [(1, "authorization"), (2, "authorization"), (2, "x-api-key")] {
        let shown = if name == "authorization" { format!("Bearer {}", key(byte)) } else { key(byte) };
        let world = call(&shown, name);
        let caller = &world.record().caller;
        assert_eq!((caller.consumer.as_deref(), caller.team.as_deref()), (Some("ci"), Some("platform")));
        assert_eq!(caller.tags, [("costCenter".into(), "42".into())]);
        assert_eq!(world.upstream_header("authorization"), Some("Bearer sk-OPENAI_API_KEY"));
        assert_eq!(world.upstream_header("x-api-key"), None);
    }
    // The workload without a key is itself; a key that nobody has is nobody.
    assert_eq!(&*call("Bearer sk-any", "authorization").record().caller.name, "jobs/default");
    assert_eq!(call(&key(9), "authorization").refused(), (401, "invalid_api_key".to_owned()));

    // The old key ends with the year 2026, the new one does not.
    for (byte, end) in [(1, Some("key_expired")), (2, None)] {
        let mut world = World::new(Policy::clone(&keys.policy));
        world.clock = Duration::from_secs(4 * 365 * 24 * 3600);
        world.send(Event::Request(asking(&[("authorization", &key(byte))]), false));
        world.send(Event::RequestBody(bytes(of("gpt-4o-mini")), true)).end();
        let refused = world.records().into_iter().find_map(|record| why(record, "identify"));
        assert_eq!(refused, end, "key {byte}");
    }
}

/// Why a step refused.
fn why(record: &Record, step: &str) -> Option<&'static str> {
    let found = record.decisions.iter().find(|found| found.step == step && found.outcome == "refused")?;
    Some(found.reason)
}

#[test]
fn pass_through_files_signs_the_paths_it_names_and_no_other() {
    let files = situation("pass-through-files", "default");
    let own = ("authorization", "Bearer sk-of-the-caller");
    for (method, path, signed) in [
        ("POST", "/v1/files", true),
        ("GET", "/v1/files/file-1/content?after=2", true),
        ("DELETE", "/v1/files/file-1", true),
        ("GET", "/v1/batches/batch-1", true),
        ("GET", "/v1/fine_tuning/jobs", false),
        ("DELETE", "/v1/vector_stores/1", false),
    ] {
        let head = request(method, path, &[("content-type", "multipart/form-data; boundary=x"), own]);
        let world = files.call(head, if method == "POST" { "--x--" } else { "" }, 0);
        let key = signed.then_some("Bearer sk-OPENAI_API_KEY");
        assert_eq!(world.upstream_header("authorization"), key, "{path}");
        assert_eq!(world.upstream_header(":path"), Some(path));
        assert_eq!(world.upstream_header(":authority"), Some("api.openai.com"));
        assert_eq!(world.record().signed, signed, "{path}");
        assert_eq!(world.upstream(), if method == "POST" { "--x--" } else { "" });
    }
}

#[test]
fn end_user_writes_down_for_whom_the_application_calls() {
    let users = situation("end-user", "web");
    let fields =
        [("x-end-user-id", "ada"), ("x-session-id", "7"), ("x-weir-tags", "feature=search,team=admin,other=1")];
    let world = users.call(asking(&fields), &of("gpt-4o-mini"), 0);
    let caller = &world.record().caller;
    assert_eq!((caller.end_user.as_deref(), caller.session.as_deref()), (Some("ada"), Some("7")));
    assert_eq!((&*caller.name, caller.team.as_deref()), ("web/default", None), "who calls is not for a header to say");
    let tags: Vec<String> = caller.tags.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(tags, ["feature=search"], "a tag that nobody has listed");
    assert_eq!(world.upstream_header("x-weir-tags"), None);
    let world = users.call(asking(&[]), &of("gpt-4o-mini"), 0);
    assert_eq!((world.record().caller.end_user.as_deref(), world.record().outcome), (None, Outcome::Completed));
}

#[test]
fn team_budget_tells_the_teams_apart() {
    let teams = situation("team-budget", "egress");
    let peer = |namespace: &str| {
        let mut head = asking(&[]);
        head.facts.peer_uri = Some(format!("spiffe://cluster.local/ns/{namespace}/sa/app"));
        head
    };
    for (namespace, team) in [
        ("search-eu", Some("search")),
        ("search-us", Some("search")),
        ("shop", Some("shop")),
        ("checkout", Some("shop")),
        ("shop-2", None),
    ] {
        let world = teams.call(peer(namespace), &of("gpt-4o-mini"), 0);
        assert_eq!(world.record().caller.team.as_deref(), team, "{namespace}");
        assert_eq!(world.record().outcome, Outcome::Completed);
    }
    assert_eq!(teams.call(asking(&[]), &of("gpt-4o-mini"), 0).refused().0, 401, "a gateway serves nobody unknown");
}

#[test]
fn interns_get_no_large_model_and_short_answers() {
    let interns = situation("interns", "egress");
    let token = |group: &str| {
        let text = |text: &str| Claim::Text(text.into());
        let groups = Claim::List(vec![text("staff"), text(group)]);
        let payload = Claim::Map(vec![("sub".into(), text("ada")), ("groups".into(), groups)]);
        let mut head = asking(&[]);
        head.facts.claims = Claims::Said(Claim::Map(vec![("payload".into(), payload)]));
        head
    };
    for (group, model, allowed) in [
        ("interns", "gpt-4o-mini", true),
        ("interns", "o3-mini", false),
        ("interns", "O3", false),
        ("interns", "claude-opus-4-1", false),
        ("engineers", "o3-mini", true),
    ] {
        let world = interns.call(token(group), &of(model), 0);
        let expected = if allowed { Outcome::Completed } else { Outcome::Refused };
        assert_eq!(world.record().outcome, expected, "{group} {model}");
        if !allowed {
            assert_eq!(world.refused(), (403, "model_not_allowed".to_owned()));
        }
    }
    // The bound stands where nobody has said one, and lowers what is said; others have none.
    let ask = |bound: &str| format!(r#"{{"model":"gpt-4o-mini","messages":[]{bound}}}"#);
    for (group, said, leaves) in [
        ("interns", "", Some(1000)),
        ("interns", r#","max_completion_tokens":5000"#, Some(1000)),
        ("interns", r#","max_completion_tokens":10"#, Some(10)),
        ("engineers", r#","max_completion_tokens":5000"#, Some(5000)),
        ("engineers", "", None),
    ] {
        let world = interns.call(token(group), &ask(said), 0);
        let left: serde_json::Value = serde_json::from_str(&world.upstream()).expect("JSON");
        assert_eq!(left["max_completion_tokens"].as_u64(), leaves, "{group} {said}: {left}");
    }
}

#[test]
fn two_accounts_pay_each_for_its_own() {
    for (pod, key) in [
        ("billing/invoicer", "sk-openai-billing/token"),
        ("billing/reporter", "sk-OPENAI_API_KEY"),
        ("shop/invoicer", "sk-OPENAI_API_KEY"),
    ] {
        let accounts = situation("two-accounts", pod);
        let own = [("authorization", "Bearer sk-of-the-application")];
        for model in ["gpt-4o-mini", "openai/gpt-4o-mini"] {
            let world = accounts.call(asking(&own), &of(model), 0);
            assert_eq!(sent(&world), "openai/gpt-4o-mini", "{pod}");
            assert_eq!(world.upstream_header("authorization"), Some(&*format!("Bearer {key}")), "{pod}");
            assert!(world.record().signed);
        }
    }
}
