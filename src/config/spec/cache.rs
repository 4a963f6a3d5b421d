//! LLMCachePolicy: which answers are kept, for whom, and how alike two questions must be.

use std::path::PathBuf;
use std::time::Duration;

use super::super::form;
use super::super::read::Reader;
use super::super::shape::{Fields, Only, Rule, SIZE, Shape, list, may, need};
use super::super::text;
use super::super::value;
use super::scope::{self, Callers, Scope};
use super::{Located, located, or};
use crate::cache::{Exact, Threshold};
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

/// Answers to a question that is alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Semantic {
    pub mode: Mode,
    pub threshold: Threshold,
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

pub(in super::super) const POLICY: Fields = Fields {
    rows: &[
        may("mode", Shape::Word(&scope::MODES), scope::MODE).or("Enforce"),
        may("targetRefs", list(&Shape::Object(&scope::TARGET), 16), scope::TARGET_REFS),
        may("from", list(&Shape::Object(&scope::CALLERS), 32), scope::FROM),
        may("scope", Shape::Word(&READERS), "Who may read whose answers: callers with the same of this.")
            .or("Consumer"),
        may("exact", Shape::Object(&EXACT), "Answers to the same question."),
        may("bypass", Shape::Object(&BYPASS), "Who may say `x-weir-cache: bypass`; absent means nobody."),
        may("coalescing", Shape::Word(&SWITCH), "Whether identical requests in flight share one call."),
        may("semantic", Shape::Object(&SEMANTIC), "Answers to a question that is alike."),
    ],
    rules: &[
        Rule::AnyOf(&[&["exact"], &["semantic"], &["coalescing"]]),
        Rule::Only {
            key: "scope",
            fields: &[Only {
                field: "semantic",
                words: &["Consumer", "Team", "Namespace"],
                why: "semantic is refused with scope: Shared: an answer would cross from one caller to another",
            }],
        },
    ],
};
const EXACT: Fields = Fields::of(&[
    need("ttl", Shape::Text(&text::SOME_DURATION), "How long an answer is kept."),
    may(
        "maxTemperature",
        Shape::Text(&text::TEMPERATURE),
        "Hotter requests are not answered from memory; absent means no bound.",
    ),
    may("maxEntry", SIZE, "Bytes of the largest answer that is kept; absent means what the profile captures."),
    may("toolCalls", Shape::Word(&TOOL_CALLS), "Whether answers that call tools are kept.").or("Skip"),
]);
const BYPASS: Fields = Fields::of(&[need("from", list(&Shape::Object(&scope::CALLERS), 32), "Who may.")]);
const SEMANTIC: Fields = Fields::of(&[
    may("mode", Shape::Word(&scope::MODES), scope::MODE).or("Enforce"),
    need("threshold", Shape::Text(&text::THRESHOLD), "How alike two questions must be, from \"0.8\" to \"1\"."),
    need("ttl", Shape::Text(&text::SOME_DURATION), "How long an answer is kept."),
    need("embedder", Shape::Object(&EMBEDDER), "What makes a vector of a question."),
]);
const EMBEDDER: Fields = Fields {
    rows: &[
        may("backend", Shape::Text(&text::ANY), "An LLMBackend that embeds."),
        may("model", Shape::Text(&text::ANY), "The backend's model."),
        may("builtin", Shape::Word(&BUILTINS), "Of letters, not of meaning: it finds near copies only."),
        may("local", Shape::Object(&LOCAL), "Weights that are run in this process, in role Gateway only."),
    ],
    rules: &[
        Rule::OneOf(&["backend", "builtin", "local"]),
        Rule::Beside("model", "backend"),
        Rule::Beside("backend", "model"),
    ],
};
const LOCAL: Fields = Fields::of(&[need("path", Shape::Text(&text::FILE_PATH), "The directory of the weights.")]);
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
    let threshold = object.need("threshold").and_then(|field| field.decimal(form::threshold));
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
