//! What a rule of the configuration makes of a request, byte for byte: `tests/golden/rewrite` holds the
//! rules, the requests and what leaves. `UPDATE_GOLDEN=1` writes the last anew.

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use weir::catalog::Catalog;
use weir::config::{self, Discovery, Options, SecretError, Secrets, Source};
use weir::exchange::event::{Action, Again};
use weir::policy::Policy;

use super::support::*;

/// No environment and no files.
struct Nothing;

impl Secrets for Nothing {
    fn env(&self, _: &str) -> Option<String> {
        None
    }

    fn file(&self, _: &Path) -> Result<String, SecretError> {
        Err(SecretError::NotFound)
    }
}

/// A rule for every model, and a backend of this provider. `fields` are those of the rule.
fn policy_of(provider: &str, fields: &str) -> Policy {
    policy_for(&format!("provider: {provider}"), fields)
}

/// As [`policy_of`]; `backend` are fields of the backend.
fn policy_for(backend: &str, fields: &str) -> Policy {
    let yaml = format!(
        "apiVersion: weir.dev/v1alpha1\nkind: LLMBackend\nmetadata: {{name: it}}\n\
         spec: {{{backend}, credentials: [{{type: Caller}}]}}\n---\n\
         apiVersion: weir.dev/v1alpha1\nkind: LLMRoute\nmetadata: {{name: chat}}\nspec:\n  rules:\n  \
         - name: all\n    backends: [{{name: it}}]\n{fields}\n"
    );
    let options = Options { discovery_default: Discovery::Disabled, ..Options::default() };
    let source = Source { files: vec![("rule.yaml".to_owned(), yaml)], ..Source::default() };
    let catalog = Catalog::builtin();
    let compiled = config::load(&source, &options, &catalog, &Nothing, catalog.clone());
    compiled.unwrap_or_else(|errors| panic!("{errors:?}")).policy
}

/// What leaves, or the refusal, and what the record says of it.
fn outcome(policy: &Policy, path: &str, body: &str) -> (String, String) {
    let mut world = World::new(policy.clone());
    world.call(path, body);
    let left = world.actions.iter().find_map(|action| match action {
        Action::Forward { body, .. } => Some(String::from_utf8(body.concat()).expect("text")),
        Action::Respond(local) => Some(String::from_utf8(local.body.to_vec()).expect("text")),
        _ => None,
    });
    world.end();
    let told: Vec<String> = world
        .record()
        .decisions
        .iter()
        .filter(|decision| decision.step == "rewrite")
        .map(|decision| format!("{} {} {}", decision.outcome, decision.reason, decision.detail).trim_end().to_owned())
        .collect();
    (left.expect("an end of the request"), told.join(", "))
}

/// One case after the other in a file: `provider:` or `dialect:`, the rule's fields indented, then for each request
/// `> PATH`, the body, `< what the record says` and what left.
fn check(file: &Path) {
    let text = std::fs::read_to_string(file).expect("a file of our own");
    let mut found = String::new();
    for case in text.split_inclusive("\n\n") {
        let (rule, requests) = case.split_once("> ").expect("a request");
        let (backend, fields) = rule.split_once('\n').expect("a provider");
        let policy = match backend.strip_prefix("dialect: ") {
            None => policy_for(backend, fields),
            Some(_) => policy_for(&format!("endpoint: 'https://llm.test/v1', {backend}"), fields),
        };
        found.push_str(rule);
        for request in requests.trim_end().split("\n> ") {
            let mut lines = request.lines();
            let (path, body) = (lines.next().expect("a path"), lines.next().expect("a body"));
            let (left, told) = outcome(&policy, path, body);
            found.push_str(&format!("> {path}\n{body}\n< {told}\n{left}\n"));
        }
        found.push('\n');
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        return std::fs::write(file, found.trim_end().to_owned() + "\n").expect("the file is written");
    }
    assert_eq!(found.trim_end(), text.trim_end(), "{}: UPDATE_GOLDEN=1 writes it anew", file.display());
}

#[test]
fn every_rule_makes_of_every_request_what_the_file_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/rewrite");
    let files = std::fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("a file").path());
    let mut files: Vec<PathBuf> = files.collect();
    files.sort();
    assert!(files.len() >= 3);
    files.iter().for_each(|file| check(file));
}

const EVERYTHING: &str = "    parameters: {defaults: {temperature: 0.2}, overrides: {store: false}, remove: [seed], maxOutputTokens: 9}\n    \
                          prompt: {prepend: [{role: system, content: Briefly.}], append: [{role: user, content: Now.}]}";

#[test]
fn a_retry_starts_from_the_original_and_the_rule_still_holds() {
    let mut policy = policy_of("openai", EVERYTHING);
    // The same place twice, under the same rule.
    let mut rules = policy.targets.root.rules.to_vec();
    let again = rules[0].choices.clone();
    rules[0].choices.extend(again);
    policy.targets.root.rules = rules.into();
    let mut world = World::new(fails_over(policy));
    world.call(CHAT, r#"{"model":"gpt-4o","messages":[],"max_tokens":10}"#);
    world.send(attempt(1, "it")).send(attempt(2, "it"));
    let bodies: Vec<Vec<u8>> = world
        .actions
        .iter()
        .filter_map(|action| match action {
            Action::Forward { body, .. } => Some(body.concat()),
            Action::Retry(_, Again::Anew { body, .. }) => Some(body.to_vec()),
            _ => None,
        })
        .collect();
    assert_eq!(bodies.len(), 2);
    assert_eq!(bodies[0], bodies[1], "{}", String::from_utf8_lossy(&bodies[1]));
    assert_eq!(String::from_utf8_lossy(&bodies[0]).matches("Briefly.").count(), 1);
    world.reply(json(), DOCUMENT).end();
}

#[test]
fn a_tier_that_a_rule_sets_is_the_one_that_is_billed() {
    let cost = |tier: &str, fields: &str| {
        let mut world = World::new(policy_of("openai", fields));
        world.call(CHAT, format!(r#"{{"model":"gpt-5-mini","messages":[]{tier}}}"#));
        world.reply(json(), DOCUMENT.replace("gpt-4o-mini-2024-07-18", "gpt-5-mini")).end();
        world.record().cost.expect("a price")
    };
    let dear = "    parameters: {overrides: {service_tier: priority}}";
    let plain = "    parameters: {remove: [service_tier]}";
    let asked = r#","service_tier":"priority""#;
    assert_eq!(cost("", dear), cost(asked, ""));
    assert_eq!(cost(asked, plain), cost("", ""));
    assert_ne!(cost("", dear), cost("", ""));
}

#[test]
fn a_tier_is_billed_where_a_client_has_it_under_another_name() {
    let cost = |path: &str, tier: &str, fields: &str| {
        let mut world = World::new(policy_of("openai", fields));
        let turns = r#""contents":[{"parts":[{"text":"x"}]}],"messages":[{"role":"user","content":[{"text":"x"}]}]"#;
        world.call(path, format!("{{{turns}{tier}}}"));
        world.reply(json(), DOCUMENT.replace("gpt-4o-mini-2024-07-18", "gpt-5-mini")).end();
        world.record().cost.expect("a price")
    };
    for (path, asked, value) in [
        ("/v1beta/models/gpt-5-mini:generateContent", r#","service_tier":"priority""#, "priority"),
        ("/model/gpt-5-mini/converse", r#","serviceTier":{"type":"priority"}"#, "{type: priority}"),
    ] {
        let dear = format!("    parameters: {{overrides: {{serviceTier: {value}}}}}");
        let plain = "    parameters: {remove: [serviceTier]}";
        assert_eq!(cost(path, "", &dear), cost(path, asked, ""), "{path}");
        assert_eq!(cost(path, asked, plain), cost(path, "", ""), "{path}");
        assert_ne!(cost(path, "", &dear), cost(path, "", ""), "{path}");
    }
}

/// What each client asks for, with its bound to be filled in, and where it is stated.
const CLIENTS: &[(&str, &str)] = &[
    (CHAT, r#"{"model":"NAME","messages":[{"role":"user","content":"x"}],"max_tokens":MOST}"#),
    ("/v1/responses", r#"{"model":"NAME","input":"x","max_output_tokens":MOST}"#),
    ("/v1/messages", r#"{"model":"NAME","messages":[{"role":"user","content":"x"}],"max_tokens":MOST}"#),
    (
        "/v1beta/models/NAME:generateContent",
        r#"{"contents":[{"parts":[{"text":"x"}]}],"generationConfig":{"maxOutputTokens":MOST}}"#,
    ),
    (
        "/v1beta/models/NAME:streamGenerateContent",
        r#"{"contents":[{"parts":[{"text":"x"}]}],"generation_config":{"max_output_tokens":MOST}}"#,
    ),
    (
        "/model/NAME/converse",
        r#"{"messages":[{"role":"user","content":[{"text":"x"}]}],"inferenceConfig":{"maxTokens":MOST}}"#,
    ),
    (
        "/model/NAME/converse-stream",
        r#"{"messages":[{"role":"user","content":[{"text":"x"}]}],"inferenceConfig":{"maxTokens":MOST}}"#,
    ),
];

/// Each provider's dialect, a model of it, and where it reads the bound.
const PROVIDERS: &[(&str, &str, &str)] = &[
    ("OpenAI", "gpt-4o", "/max_completion_tokens"),
    ("OpenAIResponses", "gpt-4o", "/max_output_tokens"),
    ("Anthropic", "claude-sonnet-4-5", "/max_tokens"),
    ("Gemini", "gemini-2.5-flash", "/generationConfig/maxOutputTokens"),
    ("Vertex", "claude-sonnet-4-5@20250929", "/max_tokens"),
    ("Bedrock", "amazon.nova-pro-v1:0", "/inferenceConfig/maxTokens"),
    ("Cohere", "command-a-03-2025", "/max_tokens"),
    ("Ollama", "qwen3", "/options/num_predict"),
];

#[test]
fn a_bound_holds_for_every_client_at_every_provider() {
    // What the client states, and what the provider reads.
    let rows = [("900", 100), ("100", 100), ("70", 70), ("null", 100)];
    for (dialect, model, place) in PROVIDERS {
        let backend = format!("endpoint: 'https://llm.test/v1', dialect: {dialect}");
        let policy = policy_for(&backend, "    parameters: {maxOutputTokens: 100}");
        for ((path, body), (asked, expected)) in CLIENTS.iter().flat_map(|client| rows.map(|row| (client, row))) {
            let (left, told) =
                outcome(&policy, &path.replace("NAME", model), &body.replace("NAME", model).replace("MOST", asked));
            let value: serde_json::Value = serde_json::from_str(&left).expect("JSON");
            // Where the provider speaks the client's format, the body is the client's own, in its own spelling.
            let spellings = [*place, "/max_tokens", "/max_output_tokens", "/generation_config/max_output_tokens"];
            let mut places = Vec::from(spellings);
            places.sort_unstable();
            places.dedup();
            let stated: Vec<_> = places.iter().filter_map(|place| value.pointer(place)?.as_u64()).collect();
            assert_eq!(stated, [expected], "{path} asks {asked} of {dialect}: {told}: {left}");
        }
    }
}

#[test]
fn no_record_says_what_was_put_in() {
    let policy = policy_of("openai", EVERYTHING);
    let mut world = World::new(policy);
    world.call(CHAT, r#"{"model":"gpt-4o","messages":[]}"#).reply(json(), DOCUMENT).end();
    let told = format!("{:?} {:?}", world.record(), world.exchange.phase());
    assert!(told.contains("parameters_cap_prompt") && !told.contains("Briefly"), "{told}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_body_is_refused_or_forwarded(
        at in any::<prop::sample::Index>(),
        odd in proptest::collection::vec(any::<u8>(), 0..6),
        path in prop::sample::select(vec![CHAT, "/v1/responses", "/v1/completions", "/v1/embeddings"]),
    ) {
        static POLICY: std::sync::OnceLock<Policy> = std::sync::OnceLock::new();
        let policy = POLICY.get_or_init(|| policy_of("openai", EVERYTHING)).clone();
        let mut body = br#"{"model":"gpt-4o","messages":[{"role":"user","content":"x"}],"max_tokens":10,"seed":1,"input":"i","prompt":"p"}"#.to_vec();
        let at = at.index(body.len());
        body.splice(at..(at + odd.len() / 2).min(body.len()), odd);
        let mut world = World::new(policy);
        world.call(path, body);
        let ends = |action: &&Action| matches!(action, Action::Forward { .. } | Action::Respond(_));
        prop_assert_eq!(world.actions.iter().filter(ends).count(), 1);
        world.end();
    }
}

#[test]
fn an_image_is_billed_by_the_size_and_quality_that_left() {
    let rule = "    parameters: {overrides: {quality: low}, defaults: {size: 1024x1024}}";
    for (fields, nanos) in [("", 60_000_000), (rule, 40_000_000)] {
        let mut policy = policy_of("openai", fields);
        // One that has every price.
        let mut any = (*policy.targets.backends[0]).clone();
        any.provider = "mock".into();
        policy.targets.backends[0] = any.into();
        let mut world = World::new(policy);
        world.call("/v1/images/generations", r#"{"model":"grok-imagine-image-2.0","prompt":"x","quality":"high"}"#);
        world.reply(json(), r#"{"created":1,"data":[{"b64_json":"aGk="}]}"#).end();
        assert_eq!(world.record().cost.map(|cost| cost.nanos()), Some(nanos), "{fields}");
    }
}
