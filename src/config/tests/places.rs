//! Providers whose URL depends on the user: on a region, on an account, on the dialect that they are spoken to
//! in. With the catalogue of the program.

use super::fake::{Fakes, lines};
use super::*;
use crate::catalog::Catalog;
use crate::llm::{Dialect, Refusal};

fn enabled() -> Options {
    Options { discovery_default: Discovery::Enabled, ..Options::default() }
}

fn backend(spec: &str) -> String {
    format!("{{apiVersion: {API}, kind: LLMBackend, metadata: {{name: one}}, spec: {{{spec}}}}}")
}

fn loaded(yaml: &str, env: &[(&'static str, &'static str)], options: Options) -> Result<Compiled, String> {
    let options = Options { root_namespace: "weir-system".into(), ..options };
    let fakes = Fakes { env: env.iter().copied().collect(), options, ..Fakes::default() };
    let source = Source { files: vec![("weir.yaml".to_owned(), yaml.to_owned())], ..Source::default() };
    let catalog = Catalog::builtin();
    load(&source, &fakes.options, &catalog, &fakes, catalog.clone()).map_err(|errors| lines(&errors))
}

/// Authority and prefix of the only backend.
fn place(spec: &str) -> Result<String, String> {
    let compiled = loaded(&backend(spec), &[], Options::default())?;
    let [only] = &compiled.policy.targets.backends[..] else { panic!("one backend") };
    Ok(format!("{}{}", only.authority, only.prefix))
}

/// The names of the backends that the environment makes, and where they are.
fn discovered(env: &[(&'static str, &'static str)]) -> Vec<String> {
    let compiled = loaded("", env, enabled()).unwrap();
    let backends = compiled.policy.targets.backends.iter();
    backends.map(|backend| format!("{} {}{}", backend.name, backend.authority, backend.prefix)).collect()
}

#[test]
fn a_region_fills_its_place_in_the_url() {
    for (spec, wanted) in [
        ("provider: bedrock, region: eu-west-1", "bedrock-runtime.eu-west-1.amazonaws.com"),
        ("provider: bedrock, region: xx-new-9", "bedrock-runtime.xx-new-9.amazonaws.com"),
        ("provider: heroku, region: eu", "eu.inference.heroku.com/v1"),
        ("provider: moonshot, region: cn", "api.moonshot.cn/v1"),
        ("provider: moonshot", "api.moonshot.ai/v1"),
        ("provider: bedrock, region: eu-west-1, endpoint: 'http://h/p'", "h/p"),
    ] {
        assert_eq!(place(spec), Ok(wanted.to_owned()), "{spec}");
    }
}

#[test]
fn a_url_that_is_not_whole_says_what_is_missing() {
    for (spec, wanted) in [
        (
            "provider: bedrock",
            "spec: provider \"bedrock\" is at https://bedrock-runtime.{region}.amazonaws.com: say its `region` (us-east-1, ",
        ),
        (
            "provider: azure",
            "spec: provider \"azure\" is at https://{resource}.openai.azure.com/openai/v1: give that as `endpoint`",
        ),
        ("provider: vertex_ai, region: global", "locations/{region}: give a credential of type GCP with `project`"),
        ("provider: openai, region: eu", "spec.region: this provider has one URL for all regions"),
        ("provider: moonshot, region: us", "spec.region: this provider has no region \"us\"; there are: cn"),
        ("provider: sglang", "the catalogue has no URL for provider \"sglang\""),
        (
            "provider: moonshot, dialect: Gemini",
            "does not know where provider \"moonshot\" speaks Gemini: give an `endp",
        ),
        ("provider: bedrock, region: a.b/c", "spec.region: "),
        ("provider: fireworks", "unknown provider \"fireworks\"; did you mean \"fireworks_ai\"?"),
        ("provider: azure-openai", "unknown provider \"azure-openai\"; did you mean \"azure\"?"),
        ("provider: nobody-knows-it", "unknown provider \"nobody-knows-it\"; leave it out"),
        ("provider: together-ai", "unknown provider \"together-ai\"; did you mean \"together_ai\"?"),
        ("provider: deepseak", "unknown provider \"deepseak\"; did you mean \"deepseek\"?"),
    ] {
        let found = place(spec).unwrap_err();
        assert!(found.contains(wanted), "{spec}: {found}");
    }
}

#[test]
fn another_dialect_of_a_provider_is_at_another_place() {
    let compiled = loaded(&backend("provider: deepseek, dialect: Anthropic"), &[], Options::default()).unwrap();
    let deepseek = &compiled.policy.targets.backends[0];
    assert_eq!((&*deepseek.authority, &*deepseek.prefix), ("api.deepseek.com", "/anthropic/v1"));
    assert_eq!((deepseek.dialect, &*deepseek.provider), (Dialect::Anthropic, "deepseek"));
    // What holds of OpenAI's dialect there does not hold of this one.
    assert!(!deepseek.asks_stream_usage && deepseek.quirks.is_empty());
    let plain = loaded(&backend("provider: deepseek"), &[], Options::default()).unwrap();
    assert!(plain.policy.targets.backends[0].asks_stream_usage);
    // OpenAI's two APIs are at one place.
    assert_eq!(place("provider: openai, dialect: OpenAIResponses"), Ok("api.openai.com/v1".to_owned()));
}

#[test]
fn a_key_in_the_environment_makes_a_backend_where_its_place_is_known() {
    assert_eq!(discovered(&[("TOGETHERAI_API_KEY", "k")]), ["together-ai api.together.ai/v1"]);
    assert_eq!(discovered(&[("AWS_BEARER_TOKEN_BEDROCK", "k")]), [""; 0]);
    let bedrock = [("AWS_BEARER_TOKEN_BEDROCK", "k"), ("AWS_REGION", ""), ("AWS_DEFAULT_REGION", "us-west-2")];
    assert_eq!(discovered(&bedrock), ["bedrock bedrock-runtime.us-west-2.amazonaws.com"]);
    // A variable cannot bring a host of its own.
    for region in ["evil.example/", "evil.example:443", "a@evil.example", "a#", ".."] {
        assert_eq!(discovered(&[("AWS_BEARER_TOKEN_BEDROCK", "k"), ("AWS_REGION", region)]), [""; 0], "{region}");
    }
    let azure = [("AZURE_API_KEY", "k"), ("AZURE_RESOURCE_NAME", "mine")];
    assert_eq!(discovered(&azure), ["azure mine.openai.azure.com/openai/v1"]);
    // A server of one's own is nowhere, and Ollama's key is for its cloud.
    let own = [("VLLM_API_KEY", "k"), ("LM_STUDIO_API_KEY", "k"), ("OLLAMA_API_KEY", "k")];
    assert_eq!(discovered(&own), ["ollama-cloud ollama.com"]);
}

#[test]
fn every_key_at_once_makes_every_backend_and_each_is_reached_by_its_name() {
    let catalog = Catalog::builtin();
    let fakes = Fakes { options: Options { root_namespace: "weir-system".into(), ..enabled() }, ..Fakes::default() };
    struct All;
    impl Secrets for All {
        fn env(&self, _: &str) -> Option<String> {
            Some("value".to_owned())
        }
        fn file(&self, _: &std::path::Path) -> Result<String, SecretError> {
            Err(SecretError::NotFound)
        }
    }
    let compiled = load(&Source::default(), &fakes.options, &catalog, &All, catalog.clone()).unwrap();
    let targets = &compiled.policy.targets;
    assert!(targets.backends.len() > 100, "{}", targets.backends.len());
    let names: std::collections::BTreeSet<&str> = targets.backends.iter().map(|backend| &*backend.name).collect();
    assert_eq!(names.len(), targets.backends.len());
    assert!(names.iter().all(|name| !name.contains('_')), "each could be the name of a document: {names:?}");
}

fn goes(compiled: &Compiled, model: &str) -> Result<String, Refusal> {
    use crate::target::{Asked, Choosing, Health};
    let health = Health::new();
    let how = Choosing::plain(0, Dialect::OpenAi, &health);
    let operation = crate::llm::Operation::Chat;
    let asked = Asked { namespace: "", model, operation, header: &|_| None, caller: &|_| true };
    let target = compiled.policy.targets.resolve(&model.into(), &asked, &how)?.target;
    Ok(format!("{}/{}", target.backend.name, target.model))
}

/// Whose models the catalogue does not list is no rival of one whose models it does.
#[test]
fn a_provider_without_a_list_makes_no_bare_name_ambiguous() {
    let both = loaded("", &[("OPENAI_API_KEY", "k"), ("BERGET_API_KEY", "k")], enabled()).unwrap();
    assert_eq!(goes(&both, "gpt-4o-mini"), Ok("openai/gpt-4o-mini".into()));
    assert_eq!(goes(&both, "berget/meta/llama"), Ok("berget/meta/llama".into()));
    assert!(goes(&both, "meta/llama").is_err(), "two backends, and no list has it");
    let alone = loaded("", &[("BERGET_API_KEY", "k")], enabled()).unwrap();
    assert_eq!(goes(&alone, "meta/llama"), Ok("berget/meta/llama".into()));
    assert_eq!(goes(&alone, "gpt-4o-mini"), Ok("berget/gpt-4o-mini".into()), "nobody knows that it has it not");
}
