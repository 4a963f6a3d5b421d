//! The two spellings of a field: Google's parser of proto3 JSON takes `maxOutputTokens` and
//! `max_output_tokens` for the same field, and writes the first.

use std::borrow::Cow;

use crate::base::json::tree::Value;
use crate::base::json::{Kind, Tree};
use crate::llm::{Code, Refusal};
use crate::wire::codec::Unreadable;

/// What is wrong with a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Bad {
    /// A field that was said in both spellings.
    Twice(String),
    /// This field is not what it should be.
    Type(&'static str, &'static str),
    /// A request that names a cache of its own provider.
    Cached,
    /// An answer that is none.
    Answer(&'static str),
}

/// The fields of a message in their first spelling, those that are `null` left out.
///
/// # Errors
/// For a field that is said in both spellings: two readers might take either.
pub(super) fn fields<'t, 'a>(
    message: Value<'t, 'a>,
) -> Result<impl Iterator<Item = (Cow<'a, str>, Value<'t, 'a>)> + use<'t, 'a>, Bad> {
    if message.members().any(|(key, _)| key.contains('_')) {
        let mut keys: Vec<_> = message.members().map(|(key, _)| camel(key)).collect();
        keys.sort_unstable();
        if let Some(twins) = keys.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Bad::Twice(twins[0].to_string()));
        }
    }
    Ok(message.members().filter(|(_, value)| !value.is_null()).map(|(key, value)| (camel(key), value)))
}

/// As [`fields`], of what must be a message.
///
/// # Errors
/// Also for what is none; `place` says where.
pub(super) fn message<'t, 'a>(
    value: Value<'t, 'a>,
    place: &'static str,
) -> Result<impl Iterator<Item = (Cow<'a, str>, Value<'t, 'a>)> + use<'t, 'a>, Bad> {
    match value.kind() {
        Kind::Object => fields(value),
        _ => Err(Bad::Type(place, "an object")),
    }
}

/// The field of this name, in whichever spelling, unless it is `null`.
pub(super) fn get<'t, 'a>(message: Value<'t, 'a>, name: &str) -> Option<Value<'t, 'a>> {
    let is = |key: Cow<'_, str>| key == name || key.contains('_') && camel(key) == name;
    message.members().find(|(key, value)| !value.is_null() && is(key.clone())).map(|(_, value)| value)
}

/// The first spelling of a name.
fn camel(key: Cow<'_, str>) -> Cow<'_, str> {
    if !key.contains('_') {
        return key;
    }
    let mut name = String::with_capacity(key.len());
    let mut raise = false;
    for c in key.chars() {
        match c {
            '_' => raise = true,
            c => name.push(if std::mem::take(&mut raise) { c.to_ascii_uppercase() } else { c }),
        }
    }
    Cow::Owned(name)
}

pub(super) fn text<'a>(value: Value<'_, 'a>, place: &'static str) -> Result<Cow<'a, str>, Bad> {
    value.text().ok_or(Bad::Type(place, "a string"))
}

pub(super) fn flag(value: Value<'_, '_>, place: &'static str) -> Result<bool, Bad> {
    value.flag().ok_or(Bad::Type(place, "true or false"))
}

/// A number as it was written; proto3 JSON may write it as a string.
pub(super) fn number<'a>(value: Value<'_, 'a>, place: &'static str) -> Result<&'a str, Bad> {
    let quoted = || match value.text() {
        Some(Cow::Borrowed(text)) if is_json(text) => Some(text),
        _ => None,
    };
    value.number().or_else(quoted).ok_or(Bad::Type(place, "a number"))
}

/// A whole number that is not negative.
pub(super) fn whole(value: Value<'_, '_>, place: &'static str) -> Result<u64, Bad> {
    let quoted = || value.text()?.parse().ok();
    value.whole().or_else(quoted).ok_or(Bad::Type(place, "a whole number"))
}

/// Rust reads `.5`, `+1` and `inf` as numbers; JSON does not.
fn is_json(number: &str) -> bool {
    Tree::read(number.as_bytes()).is_ok_and(|tree| tree.root().kind() == Kind::Number)
}

/// The elements of what must be an array. Google takes one message for an array of it, and its own examples say
/// so: `"contents": {"role": "user", "parts": {"text": "…"}}` (Gemini cookbook, REST quickstarts, "System
/// instructions" and "Function calling").
pub(super) fn elements<'t, 'a>(
    value: Value<'t, 'a>,
    place: &'static str,
) -> Result<impl Iterator<Item = Value<'t, 'a>> + use<'t, 'a>, Bad> {
    let alone = (value.kind() == Kind::Object).then_some(value);
    match value.kind() {
        Kind::Array | Kind::Object => Ok(value.elements().chain(alone)),
        _ => Err(Bad::Type(place, "an array")),
    }
}

// === impl Bad ===

impl Bad {
    /// What a client is told.
    pub fn refusal(self) -> Refusal {
        match self {
            Bad::Twice(name) => {
                let message = format!("The field {name:?} stands twice, in two spellings; say it once.");
                Refusal::new(Code::DuplicateField, message).param(name)
            }
            Bad::Type(place, wanted) => {
                Refusal::new(Code::UnsupportedValue, format!("{place} must be {wanted}.")).param(place)
            }
            Bad::Cached => {
                let message = "cachedContent names a cache that the provider of this model does not have. Send the \
                               contents themselves, or ask a model that Gemini serves.";
                Refusal::new(Code::UnsupportedValue, message).param("cachedContent")
            }
            Bad::Answer(what) => Refusal::new(Code::UnsupportedValue, what),
        }
    }

    /// What is said of an answer.
    pub fn unreadable(self) -> Unreadable {
        Unreadable(match self {
            Bad::Twice(_) => "a field stands twice",
            Bad::Type(..) | Bad::Cached => "a field of Gemini's has another type",
            Bad::Answer(what) => what,
        })
    }
}
