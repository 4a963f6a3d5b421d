//! Reads the fields of a document and reports everything that is wrong with them, each with its
//! path. Reading goes on after an error: what could not be read is `None`, and the error is kept.

mod json;

use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt::Display;

use super::shape::Fields;
use super::value::ValueError;
use super::yaml::Node;
use super::yaml11;

/// What was found in one document, in the order in which it was found.
#[derive(Debug, Default)]
pub(super) struct Errors(RefCell<Vec<Found>>);

/// One thing that was found.
#[derive(Debug)]
pub(super) struct Found {
    pub path: String,
    pub message: String,
    pub gravity: Gravity,
}

/// What follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gravity {
    /// The document is wrong.
    Error,
    /// The document is right, and says what this version cannot do: nothing runs with it, because
    /// ignoring a rule would be worse.
    NotYet,
}

/// One value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Reader<'a> {
    node: &'a Node,
    path: String,
    errors: &'a Errors,
    /// What stands here may be a secret: errors repeat none of it.
    hush: bool,
}

/// A mapping whose field names were checked.
#[derive(Debug)]
pub(super) struct Object<'a> {
    at: Reader<'a>,
    entries: Vec<(&'a str, Reader<'a>)>,
}

/// The words of an enumeration; a word with nothing beside it is known and not supported yet.
pub(super) type Words<T> = [(&'static str, Option<T>)];

// === impl Errors ===

impl Errors {
    pub fn push(&self, path: impl Into<String>, message: impl Into<String>) {
        self.add(path.into(), message.into(), Gravity::Error);
    }

    pub fn into_inner(self) -> Vec<Found> {
        self.0.into_inner()
    }

    fn add(&self, path: String, message: String, gravity: Gravity) {
        self.0.borrow_mut().push(Found { path, message, gravity });
    }
}

// === impl Reader ===

impl<'a> Reader<'a> {
    /// The whole of a document.
    pub fn root(node: &'a Node, errors: &'a Errors) -> Self {
        Reader { node, path: String::new(), errors, hush: false }
    }

    pub fn path(&self) -> &str {
        &self.path
    }

    /// The same value, of which no error repeats anything.
    pub fn hushed(self) -> Self {
        Reader { hush: true, ..self }
    }

    /// The same place with another value, where nothing was written.
    pub fn or_if_null(self, node: &'a Node) -> Self {
        if matches!(self.node, Node::Null) { Reader { node, ..self } } else { self }
    }

    /// True if it is a mapping with a field of this name, known or not.
    pub fn has(&self, name: &str) -> bool {
        let is_name = |key: &Node| matches!(key, Node::Text(text) if text == name);
        matches!(self.node, Node::Map(entries) if entries.iter().any(|(key, _)| is_name(key)))
    }

    pub fn error(&self, message: impl Display) {
        self.errors.push(self.path.clone(), message.to_string());
    }

    /// Notes what is not built yet.
    pub fn not_yet(&self) {
        self.not_yet_of(&self.path);
    }

    /// Notes that something with a name of its own is not built yet.
    pub fn not_yet_of(&self, what: &str) {
        self.errors.add(self.path.clone(), format!("not supported yet: {what}"), Gravity::NotYet);
    }

    /// Checks the names of the fields.
    pub fn object(&self, fields: &Fields) -> Option<Object<'a>> {
        let Node::Map(entries) = self.node else {
            self.wrong("a mapping");
            return None;
        };
        let mut kept: Vec<(&'a str, Reader<'a>)> = Vec::with_capacity(entries.len());
        for (key, node) in entries {
            let Node::Text(name) = key else {
                self.not_a_name(key, fields);
                continue;
            };
            let field = self.child(name, node);
            // A field name that YAML 1.1 took for a boolean, and JSON for a text again.
            let was = name.parse().ok().and_then(|key| yaml11::field_of(key, fields));
            if let (Some(was), None) = (was, fields.row(name)) {
                field.error(format_args!("unknown field; was it {was:?}? YAML 1.1 reads a boolean: quote it there"));
            } else if fields.row(name).is_none() {
                self.unknown(name, &field, fields);
            } else if kept.iter().any(|(other, _)| other == name) {
                field.error("duplicate key");
            } else {
                kept.push((name, field));
            }
        }
        Some(Object { at: self.clone(), entries: kept })
    }

    /// A mapping with keys of the user's choice.
    pub fn entries(&self) -> Option<Vec<(&'a str, Reader<'a>)>> {
        let Node::Map(entries) = self.node else {
            self.wrong("a mapping");
            return None;
        };
        let mut kept = Vec::with_capacity(entries.len());
        let mut seen = HashSet::new();
        for (key, node) in entries {
            match key {
                Node::Text(name) if seen.insert(name) => kept.push((name.as_str(), self.child(name, node))),
                Node::Text(name) => self.child(name, node).error("duplicate key"),
                _ => self.error("a key must be text"),
            }
        }
        Some(kept)
    }

    /// The items of a list that has at least one. Items that cannot be read are left out.
    pub fn list<T>(&self, read: impl FnMut(Reader<'a>) -> Option<T>) -> Option<Vec<T>> {
        if matches!(self.node, Node::List(items) if items.is_empty()) {
            self.error("the list is empty: give it an item or remove it");
        }
        self.list_or_empty(read)
    }

    /// The items of a list. Items that cannot be read are left out.
    pub fn list_or_empty<T>(&self, mut read: impl FnMut(Reader<'a>) -> Option<T>) -> Option<Vec<T>> {
        let Node::List(items) = self.node else {
            self.wrong("a list");
            return None;
        };
        let item = |(at, node)| Reader { node, path: format!("{}[{at}]", self.path), ..self.clone() };
        Some(items.iter().enumerate().map(item).filter_map(&mut read).collect())
    }

    /// The text, if it is one; no error otherwise.
    pub fn peek(&self) -> Option<&'a str> {
        match self.node {
            Node::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A text that is not empty.
    pub fn text(&self) -> Option<&'a str> {
        match self.node {
            Node::Text(text) if text.is_empty() => self.error("the text is empty"),
            Node::Text(text) => return Some(text),
            Node::Bool(_) | Node::Int(_) | Node::Float(_) => {
                self.error(format_args!("must be text, not {}: put it in quotes", self.node.what()));
            }
            _ => self.wrong("text"),
        }
        None
    }

    /// A text that `parse` understands.
    pub fn parsed<T>(&self, parse: impl FnOnce(&str) -> Result<T, ValueError>) -> Option<T> {
        parse(self.text()?).map_err(|error| self.error(error)).ok()
    }

    /// A decimal. A YAML number may be a float to whoever reads it next, so only text is accepted.
    pub fn decimal<T>(&self, parse: impl FnOnce(&str) -> Result<T, ValueError>) -> Option<T> {
        match self.node {
            Node::Int(_) | Node::Float(_) => {
                self.error("a decimal must be text, or it would become a float: put it in quotes, like \"0.85\"");
                None
            }
            _ => self.parsed(parse),
        }
    }

    /// A whole number in a range, as a number or as text that `parse` understands.
    pub fn whole(&self, parse: fn(&str) -> Result<u64, ValueError>, least: u64, most: u64) -> Option<u64> {
        let number = match self.node {
            Node::Int(number) => u64::try_from(*number).ok(),
            Node::Text(text) => Some(parse(text).map_err(|error| self.error(error)).ok()?),
            Node::Float(_) => None,
            _ => {
                self.wrong("a whole number");
                return None;
            }
        };
        let within = number.filter(|number| (least..=most).contains(number));
        if within.is_none() {
            self.error(match most {
                u64::MAX => format!("must be a whole number of at least {least}"),
                _ => format!("must be a whole number from {least} to {most}"),
            });
        }
        within
    }

    /// One word of an enumeration.
    pub fn word<T: Copy>(&self, words: &Words<T>) -> Option<T> {
        if let Node::Bool(value) = self.node
            && let Some((word, _)) = words.iter().find(|(word, _)| yaml11::boolean(word) == Some(*value))
        {
            self.error(format_args!("must be text, not a boolean: put it in quotes, {word:?}"));
            return None;
        }
        let text = self.text()?;
        match words.iter().find(|(word, _)| *word == text) {
            Some((_, Some(value))) => return Some(*value),
            Some((_, None)) => self.not_yet(),
            None => {
                let allowed: Vec<&str> = words.iter().filter(|(_, value)| value.is_some()).map(|row| row.0).collect();
                let allowed = allowed.join(", ");
                let shown = if self.hush { String::new() } else { format!(" {:?}", short(text)) };
                self.error(format_args!("unknown value{shown}; allowed: {allowed}"));
            }
        }
        None
    }

    fn child(&self, name: &str, node: &'a Node) -> Self {
        let path = match (self.path.as_str(), name) {
            ("", name) => name.to_owned(),
            (path, name) => format!("{path}.{name}"),
        };
        Reader { node, path, ..self.clone() }
    }

    fn unknown(&self, name: &str, field: &Reader<'_>, fields: &Fields) {
        let known: Vec<&str> = fields.known().collect();
        if known.is_empty() {
            return self.error("has no fields: write {}");
        }
        let close = did_you_mean(name, known.iter().copied());
        match close {
            _ if self.hush => self.error(format_args!("unknown field; known: {}", known.join(", "))),
            Some(close) => field.error(format_args!("unknown field; did you mean {close:?}?")),
            None => field.error(format_args!("unknown field; known: {}", known.join(", "))),
        }
    }

    /// A key that is no text.
    fn not_a_name(&self, key: &Node, fields: &Fields) {
        let was = match key {
            Node::Bool(key) => yaml11::field_of(*key, fields),
            _ => None,
        };
        match was {
            Some(name) => self.error(format_args!("a field name must be text, not a boolean: write {name:?}")),
            None => self.error("a field name must be text"),
        }
    }

    fn wrong(&self, wanted: &str) {
        match self.node {
            Node::Null => self.error("is empty: give it a value or remove it"),
            node => self.error(format_args!("must be {wanted}, not {}", node.what())),
        }
    }
}

// === impl Object ===

impl<'a> Object<'a> {
    /// A field that may be absent.
    pub fn get(&self, name: &str) -> Option<Reader<'a>> {
        self.entries.iter().find(|(field, _)| *field == name).map(|(_, reader)| reader.clone())
    }

    /// A field that may be absent and is not built yet: noted, and read all the same, so that what is
    /// wrong in it is found today.
    pub fn later(&self, name: &str) -> Option<Reader<'a>> {
        self.get(name).inspect(Reader::not_yet)
    }

    /// A field that must be there.
    pub fn need(&self, name: &str) -> Option<Reader<'a>> {
        let found = self.get(name);
        if found.is_none() {
            let path = &self.at.path;
            let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
            self.at.errors.push(path, "required field is missing");
        }
        found
    }

    /// The object itself, for errors about several of its fields.
    pub fn at(&self) -> &Reader<'a> {
        &self.at
    }

    /// True when nothing at all was written between the braces.
    pub fn is_empty(&self) -> bool {
        matches!(self.at.node, Node::Map(entries) if entries.is_empty())
    }

    /// The names of the known fields that are there.
    pub fn names(&self) -> Vec<&'a str> {
        self.entries.iter().map(|(name, _)| *name).collect()
    }
}

/// The candidate that was probably meant: at most a third of its letters are different.
pub(super) fn did_you_mean<'c>(word: &str, candidates: impl Iterator<Item = &'c str>) -> Option<&'c str> {
    let word = short(word).to_lowercase();
    let distances = candidates.map(|candidate| (distance(&word, &candidate.to_lowercase()), candidate));
    distances.filter(|(distance, candidate)| distance * 3 <= candidate.len()).min_by_key(|row| row.0).map(|row| row.1)
}

/// The first 40 characters: an error text stays a line.
pub(super) fn short(text: &str) -> String {
    text.chars().take(40).collect()
}

/// Levenshtein distance in characters.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (at, a) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (column, b) in right.iter().enumerate() {
            let substituted = diagonal + usize::from(a != *b);
            diagonal = row[column + 1];
            row[column + 1] = substituted.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}
