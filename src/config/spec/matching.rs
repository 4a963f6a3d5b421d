//! What a rule of an LLMRoute matches: model, callers, headers, operation. Fields of one match AND, matches OR.

use std::collections::HashSet;

use super::super::read::{Object, Reader, Words};
use super::super::shape::{Fields, Rule, Shape, keyed, list, may, need};
use super::super::text;
use super::super::value;
use super::{Callers, or, scope};
use crate::llm::Operation;
use crate::target::{Glob, HeaderMatch, Match};

/// One alternative of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteMatch {
    /// Without its `from`.
    pub says: Match,
    /// Whose calls; none for every caller's.
    pub from: Option<Callers>,
}

#[derive(Clone, Copy)]
enum MatchType {
    Exact,
    Glob,
}

pub(super) const MATCH: Fields = Fields {
    rows: &[
        may("model", Shape::Object(&MODEL), "The name that the caller says."),
        may("from", list(&Shape::Object(&scope::CALLERS), 32), scope::FROM),
        may("headers", keyed(&Shape::Object(&HEADER), "name", 16), "Headers of the request, all of them."),
        may("operation", Shape::Word(&OPERATIONS), "What the call is."),
    ],
    rules: &[Rule::Says],
};
const MODEL: Fields = Fields {
    rows: &[
        may("type", Shape::Word(&MODEL_TYPES), "Whether '*' is a wildcard.").or("Exact"),
        need("value", Shape::Text(&text::ANY), "A model, or a pattern over models."),
    ],
    rules: &[Rule::Other {
        says: "an exact name holds no '*'; for a pattern say type: Glob",
        cel: "(has(self.type) && self.type != 'Exact') || !self.value.contains('*')",
        json: r#"{"if": {"properties": {"type": {"const": "Exact"}}}, "then": {"properties": {"value": {"not": {"pattern": "[*]"}}}}}"#,
    }],
};
const HEADER: Fields = Fields::of(&[
    need("name", Shape::Text(&text::MATCHED_HEADER), "The name of the header, in any case."),
    may("type", Shape::Word(&HEADER_TYPES), "How the value is compared.").or("Exact"),
    need("value", Shape::Text(&text::FIELD_VALUE), "The value."),
]);
const MODEL_TYPES: &Words<MatchType> = &[("Exact", Some(MatchType::Exact)), ("Glob", Some(MatchType::Glob))];
const HEADER_TYPES: &Words<MatchType> =
    &[("Exact", Some(MatchType::Exact)), ("Glob", Some(MatchType::Glob)), ("RegularExpression", None)];

/// Those that name their model, so that a rule can take them.
const OPERATIONS: &Words<Operation> = &[
    ("Chat", Some(Operation::Chat)),
    ("Completion", Some(Operation::Completion)),
    ("Responses", Some(Operation::Responses)),
    ("Embeddings", Some(Operation::Embeddings)),
    ("Moderation", Some(Operation::Moderation)),
    ("Rerank", Some(Operation::Rerank)),
    ("Image", Some(Operation::Image)),
    ("Audio", Some(Operation::Audio)),
    ("CountTokens", Some(Operation::CountTokens)),
];

/// Reads one alternative.
pub(super) fn read_match(reader: &Reader<'_>) -> Option<RouteMatch> {
    let object = reader.object(&MATCH)?;
    if object.is_empty() {
        object.at().error("a match says at least one thing; leave `matches` out to match every model");
    }
    let mut seen = HashSet::new();
    let headers = object.get("headers").map(|headers| headers.list(|header| read_header(&header, &mut seen)));
    let operation = object.get("operation").map(|operation| operation.word(OPERATIONS));
    let model = object.get("model").map(|model| read_model(&model));
    let from = object.get("from").map(|from| scope::callers(&from));
    // A part that is wrong must not become one that says nothing.
    let (model, headers, operation) = (all(model)?, all(headers)?.unwrap_or_default(), all(operation)?);
    Some(RouteMatch { says: Match { model, headers, operation, from: None }, from: all(from)? })
}

/// Absent, or read; none when it is there and could not be read.
fn all<T>(field: Option<Option<T>>) -> Option<Option<T>> {
    match field {
        Some(None) => None,
        Some(value) => Some(value),
        None => Some(None),
    }
}

fn read_model(reader: &Reader<'_>) -> Option<Glob> {
    let object = reader.object(&MODEL)?;
    let kind = or(&object, "type", MatchType::Exact, |kind| kind.word(MODEL_TYPES));
    let field = object.need("value")?;
    let text = field.text()?;
    if matches!(kind, MatchType::Exact) && text.contains('*') {
        // No model has a star in its name: the rule would never match, and nothing would say so.
        field.error("an exact name holds no '*'; for a pattern say `type: Glob`");
        return None;
    }
    Some(glob(kind, text))
}

fn read_header(reader: &Reader<'_>, seen: &mut HashSet<String>) -> Option<HeaderMatch> {
    let object: Object<'_> = reader.object(&HEADER)?;
    let name = object.need("name").and_then(|field| {
        let name = field.parsed(value::field_name)?;
        if name == "host" || name.starts_with("x-weir-") {
            field.error("no rule sees this header: Weir or the proxy takes it first");
        } else if !seen.insert(name.clone()) {
            field.error(format_args!("duplicate header {name:?}: one header has one value"));
        }
        Some(name)
    });
    let kind = or(&object, "type", MatchType::Exact, |kind| kind.word(HEADER_TYPES));
    let value = object.need("value").and_then(|field| field.parsed(value::field_value));
    Some(HeaderMatch { name: name?.into(), value: glob(kind, &value?) })
}

fn glob(kind: MatchType, text: &str) -> Glob {
    match kind {
        MatchType::Exact => Glob::exact(text),
        MatchType::Glob => Glob::new(text),
    }
}
