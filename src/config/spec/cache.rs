//! LLMCachePolicy: which answers are kept, for whom, and how alike two questions must be. Read in full
//! and not built yet.

use std::path::PathBuf;
use std::time::Duration;

use super::super::form;
use super::super::read::{Fields, Reader};
use super::super::value;
use super::scope::{self, Callers, Scope};
use super::{Located, located, or};
use crate::base::money::Multiplier;
use crate::policy::Mode;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LlmCachePolicy {
    pub scope: Scope,
    /// Who may read whose answers.
    pub readers: Readers,
    pub exact: Option<Exact>,
    /// Who may say `x-weir-cache: bypass`; none for nobody.
    pub bypass: Option<Callers>,
    /// Identical requests in flight share one call.
    pub coalescing: bool,
    pub semantic: Option<Semantic>,
}

/// Callers that share answers are those with the same of this.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Readers {
    #[default]
    Consumer,
    Team,
    Namespace,
    /// Everybody.
    Shared,
}

/// Answers to the same question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exact {
    pub ttl: Duration,
    /// Hotter requests are not answered from memory; none for no bound.
    pub max_temperature: Option<Multiplier>,
    /// Bytes of the largest answer that is kept; none for what the profile captures.
    pub max_entry: Option<u64>,
    /// Keep answers that call tools.
    pub tool_calls: bool,
}

/// Answers to a question that is alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Semantic {
    pub mode: Mode,
    pub threshold: Multiplier,
    pub ttl: Duration,
    pub embedder: Located<Embedder>,
}

/// What makes a vector of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Embedder {
    Backend {
        backend: Located<String>,
        model: String,
    },
    /// Of letters, not of meaning: it finds near copies only.
    Lexical,
    /// Weights in this directory, run in this process.
    Local(PathBuf),
}

const POLICY: Fields =
    Fields { known: &["mode", "targetRefs", "from", "scope", "exact", "bypass", "coalescing", "semantic"], later: &[] };
const EXACT: Fields = Fields { known: &["ttl", "maxTemperature", "maxEntry", "toolCalls"], later: &[] };
const BYPASS: Fields = Fields { known: &["from"], later: &[] };
const SEMANTIC: Fields = Fields { known: &["mode", "threshold", "ttl", "embedder"], later: &[] };
const EMBEDDER: Fields = Fields { known: &["backend", "model", "builtin", "local"], later: &[] };
const LOCAL: Fields = Fields { known: &["path"], later: &[] };
const READERS: &[(&str, Option<Readers>)] = &[
    ("Consumer", Some(Readers::Consumer)),
    ("Team", Some(Readers::Team)),
    ("Namespace", Some(Readers::Namespace)),
    ("Shared", Some(Readers::Shared)),
];
const TOOL_CALLS: &[(&str, Option<bool>)] = &[("Store", Some(true)), ("Skip", Some(false))];
const SWITCH: &[(&str, Option<bool>)] = &[("Enabled", Some(true)), ("Disabled", Some(false))];
const BUILTINS: &[(&str, Option<()>)] = &[("Lexical", Some(()))];

// === impl LlmCachePolicy ===

impl LlmCachePolicy {
    pub(in super::super) fn read(reader: &Reader<'_>) -> Option<LlmCachePolicy> {
        let policy = reader.object(&POLICY)?;
        let scope = Scope::read(&policy);
        let readers = or(&policy, "scope", Readers::default(), |word| word.word(READERS));
        let exact = policy.get("exact");
        let semantic = policy.get("semantic");
        if exact.is_none() && semantic.is_none() && policy.get("coalescing").is_none() {
            reader.error("needs at least one of exact, semantic, coalescing: it keeps nothing");
        }
        if let (Some(semantic), Readers::Shared) = (&semantic, readers) {
            semantic.error(
                "is refused with `scope: Shared`: an answer to a question that is only alike would cross from one \
                 caller to another",
            );
        }
        Some(LlmCachePolicy {
            scope,
            readers,
            exact: exact.and_then(|exact| read_exact(&exact)),
            bypass: policy.get("bypass").and_then(|bypass| {
                let from = bypass.object(&BYPASS)?.need("from")?;
                scope::callers(&from)
            }),
            coalescing: or(&policy, "coalescing", false, |word| word.word(SWITCH)),
            semantic: semantic.and_then(|semantic| read_semantic(&semantic)),
        })
    }
}

fn read_exact(reader: &Reader<'_>) -> Option<Exact> {
    let object = reader.object(&EXACT)?;
    let ttl = object.need("ttl").and_then(|ttl| lifetime(&ttl));
    let max_temperature = object.get("maxTemperature").and_then(|field| field.decimal(form::temperature));
    let max_entry = object.get("maxEntry").and_then(|size| size.whole(value::size, 1, u64::MAX));
    let tool_calls = or(&object, "toolCalls", false, |word| word.word(TOOL_CALLS));
    Some(Exact { ttl: ttl?, max_temperature, max_entry, tool_calls })
}

fn read_semantic(reader: &Reader<'_>) -> Option<Semantic> {
    let object = reader.object(&SEMANTIC)?;
    let mode = scope::mode(&object);
    let threshold = object.need("threshold").and_then(|field| field.decimal(form::fraction));
    let ttl = object.need("ttl").and_then(|ttl| lifetime(&ttl));
    let embedder = object.need("embedder").and_then(|embedder| {
        let value = read_embedder(&embedder)?;
        Some(Located { value, path: embedder.path().to_owned() })
    });
    Some(Semantic { mode, threshold: threshold?, ttl: ttl?, embedder: embedder? })
}

fn read_embedder(reader: &Reader<'_>) -> Option<Embedder> {
    let object = reader.object(&EMBEDDER)?;
    let backend = object.get("backend");
    match (&backend, object.get("builtin"), object.get("local")) {
        (Some(backend), None, None) => {
            let model = object.need("model").and_then(|model| model.text());
            Some(Embedder::Backend { backend: located(backend)?, model: model?.to_owned() })
        }
        (None, builtin, local) => {
            if let Some(model) = object.get("model") {
                model.error("only the embedder of a backend has a model");
            }
            match (builtin, local) {
                (Some(word), None) => word.word(BUILTINS).map(|()| Embedder::Lexical),
                (None, Some(local)) => {
                    let path = local.object(&LOCAL)?.need("path")?.parsed(form::file_path)?;
                    Some(Embedder::Local(path.into()))
                }
                _ => one_of(reader),
            }
        }
        _ => one_of(reader),
    }
}

fn one_of(reader: &Reader<'_>) -> Option<Embedder> {
    reader.error("needs exactly one of backend, builtin, local");
    None
}

fn lifetime(reader: &Reader<'_>) -> Option<Duration> {
    let time = reader.parsed(value::duration)?;
    if time.is_zero() {
        reader.error("is no time at all");
    }
    Some(time)
}
