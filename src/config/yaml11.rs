//! Words that are booleans to YAML 1.1, which kubectl and many tools around Kubernetes read: unquoted, `on` and
//! `Off` reach the API server, or a file that was written from there, as `true` and `false`. Here they are words
//! (YAML 1.2). The API server takes a value of one type only, so such a word is quoted there; the CRDs say so
//! where one stands, and the reader says so where it was not.

use super::shape::{Field, Fields, Shape};

/// All spellings (YAML 1.1, `tag:yaml.org,2002:bool`), and which one is meant.
const WORDS: &[(&[&str], bool)] = &[
    (&["y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"], true),
    (&["n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"], false),
];

/// What YAML 1.1 takes a word for; none where it stays a text.
pub(super) fn boolean(word: &str) -> Option<bool> {
    WORDS.iter().find(|(words, _)| words.contains(&word)).map(|(_, value)| *value)
}

/// The field whose name became this key.
pub(super) fn field_of(key: bool, fields: &Fields) -> Option<&'static str> {
    fields.rows.iter().map(|row| row.name).find(|name| boolean(name) == Some(key))
}

/// What is said at a field of a name, and of words, that have to be quoted; empty where there is none.
pub(super) fn advice(row: &Field) -> String {
    let name = boolean(row.name).map(|_| format!(" Quote the name, {:?}: kubectl reads a boolean.", row.name));
    let words: Vec<String> = words(row.shape).into_iter().filter(|word| boolean(word).is_some()).map(quoted).collect();
    let words = (!words.is_empty()).then(|| format!(" Quote {}: kubectl reads a boolean.", words.join(", ")));
    [name, words].into_iter().flatten().collect()
}

fn quoted(word: &str) -> String {
    format!("{word:?}")
}

/// The words that a field, or an item of it, can be.
fn words(shape: Shape) -> Vec<&'static str> {
    match shape {
        Shape::Word(words) | Shape::WordOr(words, _) => words.words(),
        Shape::List { item, .. } => words(*item),
        Shape::Map { value, .. } => words(*value),
        Shape::Text(_) | Shape::Whole { .. } | Shape::Amount | Shape::Object(_) | Shape::Json => Vec::new(),
    }
}
