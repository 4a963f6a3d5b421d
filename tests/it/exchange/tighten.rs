//! Nothing that a namespace writes loosens what root says. Documents of root and of two namespaces are
//! drawn, loaded as they are written, and called; wherever a call comes to, the documents of root, read
//! by a second hand here, must let it go there.

use std::fmt::Write as _;
use std::sync::OnceLock;

use proptest::prelude::*;
use proptest::sample::select;
use weir::catalog::Catalog;
use weir::config::{self, Options, Source, file::ProcessSecrets};
use weir::exchange::event::Event;
use weir::exchange::record::Record;
use weir::identity::Principal;
use weir::policy::Policy;

use super::support::*;

/// An LLMAccessPolicy.
#[derive(Clone, Debug)]
struct Access {
    team: Option<&'static str>,
    consumer: Option<&'static str>,
    backend: Option<&'static str>,
    allow: Option<Vec<&'static str>>,
    deny: Vec<&'static str>,
    region: Option<&'static str>,
    shadow: bool,
}

/// What root says. It has the backends `one` in the EU and `two` in the US, the consumers `c1` for the
/// callers of `shop` and `c2` for those of `search`, and a route that makes `fast` the model `m1` of `one`.
#[derive(Clone, Debug)]
struct Root {
    access: Vec<Access>,
    teams: [Option<&'static str>; 2],
    max_request: usize,
    denies_unpriced: bool,
    denies_anonymous: bool,
}

/// What one other namespace says.
#[derive(Clone, Debug)]
struct Space {
    access: Vec<Access>,
    /// Name and region.
    backends: Vec<(&'static str, Option<&'static str>)>,
    /// Asked for, which of the backends that it can mean, and the model that leaves.
    rules: Vec<(&'static str, usize, Option<&'static str>)>,
    /// Name and team of those that all of its callers are.
    consumers: Vec<(&'static str, Option<&'static str>)>,
    max_request: Option<usize>,
    unpriced: Option<&'static str>,
    anonymous: Option<&'static str>,
}

const PATTERNS: &[&str] = &["fast", "gold", "m1", "m2", "one/*", "*/m1", "*", "shop/*", "own/*", "g*"];
const ASKED: &[&str] = &["fast", "gold", "m1", "one/m1", "one/m2", "two/m2", "own/m1", "shop/own/m1", "two/m1"];
const NAMES: &[&str] = &["one", "two", "own"];
const SPACES: [&str; 2] = ["shop", "search"];

// === drawing ===

fn access() -> impl Strategy<Value = Access> {
    let who = (
        prop::option::of(select(vec!["t1", "t2", "*"])),
        prop::option::weighted(0.3, select(vec!["c1", "c2", "*"])),
        prop::option::weighted(0.3, select(vec!["one", "two"])),
    );
    let list = || prop::collection::vec(select(PATTERNS), 1..3);
    let what = (
        prop::option::of(list()),
        prop::collection::vec(select(PATTERNS), 0..2),
        prop::option::weighted(0.3, select(vec!["eu", "us"])),
        prop::bool::weighted(0.1),
    );
    (who, what).prop_map(|((team, consumer, backend), (allow, mut deny, region, shadow))| {
        if allow.is_none() && region.is_none() && deny.is_empty() {
            deny.push("m2");
        }
        Access { team, consumer, backend, allow, deny, region, shadow }
    })
}

fn team() -> impl Strategy<Value = Option<&'static str>> {
    prop::option::of(select(vec!["t1", "t2"]))
}

fn root() -> impl Strategy<Value = Root> {
    let profile = (select(vec![60_usize, 100_000]), any::<bool>(), any::<bool>());
    (prop::collection::vec(access(), 0..3), team(), team(), profile).prop_map(
        |(access, one, two, (max_request, denies_unpriced, denies_anonymous))| Root {
            access,
            teams: [one, two],
            max_request,
            denies_unpriced,
            denies_anonymous,
        },
    )
}

fn space() -> impl Strategy<Value = Space> {
    let region = || prop::option::of(select(vec!["eu", "us"]));
    let backends = prop::sample::subsequence(NAMES.to_vec(), 0..3);
    let backends = (backends, [region(), region(), region()]);
    let leaving = prop::option::of(select(vec!["m1", "m2", "fast", "one/m1"]));
    let rules = prop::collection::vec((select(vec!["fast", "gold", "m1", "one/m1"]), 0..9_usize, leaving), 0..3);
    let consumers = (prop::sample::subsequence(vec!["c1", "c3"], 0..2), team());
    let word = || prop::option::weighted(0.3, select(vec!["Allow", "Deny"]));
    let profile = (prop::option::weighted(0.3, select(vec![50_usize, 60, 100])), word(), word());
    (prop::collection::vec(access(), 0..2), backends, rules, consumers, profile).prop_map(
        |(access, (names, regions), rules, (consumers, team), (max_request, unpriced, anonymous))| Space {
            access,
            backends: names.into_iter().zip(regions).collect(),
            rules,
            consumers: consumers.into_iter().map(|name| (name, team)).collect(),
            max_request,
            unpriced,
            anonymous,
        },
    )
}

// === writing ===

fn document(text: &mut String, kind: &str, name: &str, namespace: Option<&str>, labels: &str, spec: &str) {
    let namespace = namespace.map_or(String::new(), |namespace| format!(", namespace: {namespace}"));
    let meta = format!("{{name: {name}{namespace}{labels}}}");
    writeln!(text, "---\napiVersion: weir.dev/v1alpha1\nkind: {kind}\nmetadata: {meta}\nspec: {spec}").unwrap();
}

fn quoted(list: &[&str]) -> String {
    list.iter().map(|text| format!("{text:?}")).collect::<Vec<_>>().join(", ")
}

fn write_access(text: &mut String, at: usize, namespace: Option<&str>, access: &Access) {
    let mut fields = vec![format!("mode: {}", if access.shadow { "Shadow" } else { "Enforce" })];
    let words = [("teams", access.team), ("consumers", access.consumer)];
    let from: Vec<String> =
        words.iter().filter_map(|(word, value)| Some(format!("{word}: [{:?}]", (*value)?))).collect();
    if !from.is_empty() {
        fields.push(format!("from: [{{{}}}]", from.join(", ")));
    }
    fields.extend(access.backend.map(|name| format!("targetRefs: [{{kind: LLMBackend, name: {name}}}]")));
    let mut models: Vec<String> = access.allow.iter().map(|list| format!("allow: [{}]", quoted(list))).collect();
    if !access.deny.is_empty() {
        models.push(format!("deny: [{}]", quoted(&access.deny)));
    }
    if !models.is_empty() {
        fields.push(format!("models: {{{}}}", models.join(", ")));
    }
    fields.extend(access.region.map(|region| format!("backends: {{selector: {{matchLabels: {{region: {region}}}}}}}")));
    document(text, "LLMAccessPolicy", &format!("a{at}"), namespace, "", &format!("{{{}}}", fields.join(", ")));
}

const ENDPOINT: &str = "endpoint: \"http://127.0.0.1:1/v1\"";

fn write_root(root: &Root) -> String {
    let mut text = String::new();
    let word = |deny: bool| if deny { "Deny" } else { "Allow" };
    let spec = format!(
        "{{bodies: {{maxRequest: {}}}, unpriced: {}, identity: {{anonymous: {}}}}}",
        root.max_request,
        word(root.denies_unpriced),
        word(root.denies_anonymous)
    );
    document(&mut text, "LLMProfile", "p", None, "", &spec);
    for (name, region) in [("one", "eu"), ("two", "us")] {
        let labels = format!(", labels: {{region: {region}}}");
        let spec = format!("{{provider: mock, {ENDPOINT}, allowedNamespaces: {{from: All}}}}");
        document(&mut text, "LLMBackend", name, None, &labels, &spec);
    }
    let rule = "{rules: [{name: r, matches: [{model: {value: fast}}], backends: [{name: one, model: m1}]}]}";
    document(&mut text, "LLMRoute", "chat", None, "", rule);
    for (at, space) in SPACES.iter().enumerate() {
        let team = root.teams[at].map_or(String::new(), |team| format!(", team: {team}"));
        let spec = format!("{{match: [{{principals: [\"spiffe://mesh/ns/{space}/*\"]}}]{team}}}");
        document(&mut text, "LLMConsumer", &format!("c{}", at + 1), None, "", &spec);
    }
    root.access.iter().enumerate().for_each(|(at, access)| write_access(&mut text, at, None, access));
    text
}

fn write_space(name: &str, space: &Space) -> String {
    let (mut text, own) = (String::new(), Some(name));
    for (backend, region) in &space.backends {
        let labels = region.map_or(String::new(), |region| format!(", labels: {{region: {region}}}"));
        document(&mut text, "LLMBackend", backend, own, &labels, &format!("{{dialect: OpenAI, {ENDPOINT}}}"));
    }
    let mut reachable = vec!["one", "two"];
    reachable.extend(space.backends.iter().map(|(name, _)| *name).filter(|name| *name == "own"));
    for (at, (model, backend, leaving)) in space.rules.iter().enumerate() {
        let backend = reachable[backend % reachable.len()];
        let leaving = leaving.map_or(String::new(), |leaving| format!(", model: {leaving:?}"));
        let choice = format!("{{name: {backend}{leaving}}}");
        let spec =
            format!("{{rules: [{{name: r, matches: [{{model: {{value: {model:?}}}}}], backends: [{choice}]}}]}}");
        document(&mut text, "LLMRoute", &format!("r{at}"), own, "", &spec);
    }
    for (consumer, team) in &space.consumers {
        let team = team.map_or(String::new(), |team| format!(", team: {team}"));
        document(&mut text, "LLMConsumer", consumer, own, "", &format!("{{match: [{{namespaces: [{name}]}}]{team}}}"));
    }
    let fields = [
        space.max_request.map(|bytes| format!("bodies: {{maxRequest: {bytes}}}")),
        space.unpriced.map(|word| format!("unpriced: {word}")),
        space.anonymous.map(|word| format!("identity: {{anonymous: {word}}}")),
    ];
    let fields: Vec<String> = fields.into_iter().flatten().collect();
    document(&mut text, "LLMProfile", "p", own, "", &format!("{{{}}}", fields.join(", ")));
    space.access.iter().enumerate().for_each(|(at, access)| write_access(&mut text, at, own, access));
    text
}

pub fn load(text: String) -> Result<Policy, String> {
    static CATALOG: OnceLock<Catalog> = OnceLock::new();
    let catalog = CATALOG.get_or_init(Catalog::builtin);
    let process =
        "---\napiVersion: weir.dev/v1alpha1\nkind: WeirBootstrap\nmetadata: {name: p}\nspec: {role: Gateway}\n";
    let source = Source { files: vec![("weir.yaml".into(), [process, &text].concat())], ..Source::default() };
    let loaded = config::load(&source, &Options::default(), catalog, &ProcessSecrets, catalog.clone());
    let loaded = loaded.map_err(|errors| errors.iter().map(|error| format!("{error}\n")).collect::<String>())?;
    Ok(Policy { may_sign: true, ..loaded.policy })
}

// === reading by a second hand ===

/// `*` at an end, or on its own: what [`PATTERNS`] needs.
fn matches(pattern: &str, name: &str) -> bool {
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(""), _) => true,
        (Some(end), _) => name.ends_with(end),
        (_, Some(start)) => name.starts_with(start),
        (None, None) => pattern == name,
    }
}

/// Whether a policy of root lets the caller of a namespace go to a backend of root, or of its own, with a
/// model that it asked for by `asked`; `mapped` where its namespace has said where that goes.
fn lets(
    root: &Root,
    policy: &Access,
    space: Option<usize>,
    (backend, model): (&str, &str),
    asked: &str,
    mapped: bool,
) -> bool {
    let team = space.and_then(|space| root.teams[space]);
    let consumer = space.map(|space| ["c1", "c2"][space]);
    let is = |wanted: Option<&str>, known: Option<&str>| {
        wanted.is_none_or(|wanted| known.is_some_and(|known| matches(wanted, known)))
    };
    let speaks = is(policy.team, team) && is(policy.consumer, consumer);
    if policy.shadow || !speaks || policy.backend.is_some_and(|name| name != backend) {
        return true;
    }
    let region = match backend {
        "one" => Some("eu"),
        "two" => Some("us"),
        _ => None,
    };
    let long = format!("{backend}/{model}");
    let short = long.split_once('/').filter(|_| region.is_none()).map(|(_, short)| short);
    let any = |list: &[&str], name: &str| list.iter().any(|pattern| matches(pattern, name));
    let denied =
        [Some(asked), Some(model), Some(&long), short].into_iter().flatten().any(|name| any(&policy.deny, name));
    let asked = Some(asked).filter(|_| !mapped && region.is_some());
    let names = [asked, Some(model), Some(&*long)];
    let allowed = policy.allow.as_ref().is_none_or(|list| names.into_iter().flatten().any(|name| any(list, name)));
    let labelled = policy.region.is_none_or(|wanted| region == Some(wanted));
    !denied && allowed && labelled
}

/// The record of a call, and the body that it left with.
fn called(policy: Policy, space: Option<usize>, asked: &str, padding: usize) -> (Record, Option<String>, usize) {
    let mut head = post(CHAT);
    head.facts.peer_uri = space.map(|space| format!("spiffe://mesh/ns/{}/sa/web", SPACES[space]));
    let body = format!(r#"{{"model":"{asked}","messages":[{}]}}"#, " ".repeat(padding));
    let mut world = World::new(policy);
    world.send(Event::Request(head, false)).send(Event::RequestBody(bytes(&body), true));
    let left = world.envoy.upstream.began.then(|| world.upstream());
    if left.is_some() {
        world.reply(json(), DOCUMENT);
    }
    world.end();
    (world.record().clone(), left, body.len())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn nothing_that_a_namespace_writes_loosens_what_root_says(
        root in root(), spaces in [space(), space()], padding in 0..80_usize,
        before: bool,
    ) {
        let of_root = write_root(&root);
        let of_spaces: String = SPACES.iter().zip(&spaces).map(|(name, space)| write_space(name, space)).collect();
        // Where documents stand says nothing.
        let all = if before { [&*of_spaces, &of_root].concat() } else { [&*of_root, &of_spaces].concat() };
        let alone = load(of_root).unwrap();
        let all = match load(all) {
            Ok(all) => all,
            // A profile that would loosen is refused, and so is everything with it.
            Err(errors) => {
                prop_assert!(errors.lines().all(|line| line.contains("loosens") || line.contains("is above root's")), "{errors}");
                return Ok(());
            }
        };
        for space in [None, Some(0), Some(1)] {
            for asked in ASKED {
                let (record, left, length) = called(all.clone(), space, asked, padding);
                let (root_record, ..) = called(alone.clone(), space, asked, padding);
                let seen = Principal { own: None, ..(*record.caller).clone() };
                prop_assert_eq!(&seen, &*root_record.caller);
                let Some(left) = left else { continue };
                prop_assert!(length <= root.max_request);
                prop_assert!(space.is_some() || !root.denies_anonymous);
                let backend = record.backend.as_deref().unwrap();
                let left: serde_json::Value = serde_json::from_str(&left).unwrap();
                let model = left["model"].as_str().unwrap();
                // The catalogue prices what goes to `mock`, and nothing that a namespace serves by itself.
                prop_assert!(!root.denies_unpriced || ["one", "two"].contains(&backend), "{backend}");
                let mapped = record.route.as_deref().is_some_and(|route| route.contains("/r") && !route.starts_with("chat/"));
                for policy in &root.access {
                    let lets = lets(&root, policy, space, (backend, model), asked, mapped);
                    prop_assert!(lets, "{space:?} {asked} went to {backend}/{model} against {policy:?}");
                }
            }
        }
    }
}
