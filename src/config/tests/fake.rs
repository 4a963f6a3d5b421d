//! A catalogue of six providers, an environment and a file system, all as tables.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::super::*;
use crate::llm::Dialect;

/// What the process would see.
#[derive(Default)]
pub struct Fakes {
    pub options: Options,
    pub env: BTreeMap<&'static str, &'static str>,
    pub files: BTreeMap<&'static str, &'static str>,
}

pub struct Catalogue;

/// id, dialect, base URL, key variable, serves every model.
type Row = (&'static str, Dialect, Option<&'static str>, &'static str, bool);

const ROWS: &[Row] = &[
    ("openai", Dialect::OpenAi, Some("https://api.openai.com/v1"), "OPENAI_API_KEY", false),
    ("anthropic", Dialect::Anthropic, Some("https://api.anthropic.com"), "ANTHROPIC_API_KEY", false),
    ("groq", Dialect::OpenAi, Some("https://api.groq.com/openai/v1"), "GROQ_API_KEY", false),
    ("ollama", Dialect::OpenAi, Some("http://127.0.0.1:11434/v1"), "", true),
    ("mock", Dialect::OpenAi, None, "", true),
    ("vllm", Dialect::OpenAi, None, "VLLM_API_KEY", true),
];

const MODELS: &[(&str, &str)] = &[
    ("openai", "gpt-4o-mini"),
    ("openai", "gpt-oss-120b"),
    ("anthropic", "claude-sonnet-4-5"),
    ("groq", "gpt-oss-120b"),
    ("elsewhere", "grand-model"),
];

impl Providers for Catalogue {
    fn ids(&self) -> Vec<Arc<str>> {
        ROWS.iter().map(|row| row.0.into()).collect()
    }

    fn provider(&self, id: &str) -> Option<ProviderFacts> {
        let &(_, dialect, base_url, env, every) = ROWS.iter().find(|row| row.0 == id)?;
        let version = ("anthropic-version".into(), "2023-06-01".into());
        Some(ProviderFacts {
            base_url: base_url.map(str::to_owned),
            env: if env.is_empty() { Vec::new() } else { vec![env.to_owned()] },
            needs_key: !every,
            headers: if id == "anthropic" { vec![version] } else { Vec::new() },
            serves_every_model: every,
            ..ProviderFacts::of_dialect(dialect)
        })
    }

    fn models_of(&self, provider: &str) -> Vec<Arc<str>> {
        MODELS.iter().filter(|row| row.0 == provider).map(|row| row.1.into()).collect()
    }

    fn all_models(&self) -> Vec<Arc<str>> {
        let names: std::collections::BTreeSet<&str> = MODELS.iter().map(|row| row.1).collect();
        names.into_iter().map(Into::into).collect()
    }
}

impl Secrets for Fakes {
    fn env(&self, name: &str) -> Option<String> {
        self.env.get(name).map(|&value| value.to_owned())
    }

    fn file(&self, path: &Path) -> Result<String, SecretError> {
        let found = self.files.get(path.to_str().unwrap());
        found.map(|&text| text.to_owned()).ok_or(SecretError::from(&io::Error::from(io::ErrorKind::NotFound)))
    }
}

/// Loads one file of this name and content.
pub fn load_text(yaml: &str, fakes: &Fakes) -> Result<Compiled, Vec<ConfigError>> {
    let source = Source { files: vec![("weir.yaml".to_owned(), yaml.to_owned())], ..Source::default() };
    load(&source, &fakes.options, &Catalogue, fakes, Catalog::default())
}

/// The errors as a user sees them, one a line.
pub fn printed(result: Result<Compiled, Vec<ConfigError>>) -> String {
    lines(&result.err().unwrap_or_default())
}

pub fn lines(errors: &[ConfigError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
