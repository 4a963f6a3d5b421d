//! YAML text to a tree of values that forgets nothing that is needed: repeated keys, the order of keys,
//! and whether a number was a float. Resolves nothing and checks no field.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{
    DefaultMessageFormatter, DuplicateKeyPolicy, MessageFormatter, NonFiniteFloatPolicy, alias_limits, budget, options,
};

/// One value of a document.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Null,
    Bool(bool),
    Int(i128),
    /// A number with a point or an exponent, or too large for 64 bits. No field of the configuration is
    /// one; a parameter of a call may be.
    Float(f64),
    Text(String),
    List(Vec<Node>),
    /// As written, repeated keys included.
    Map(Vec<(Node, Node)>),
}

/// One document of a stream, not yet parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chunk<'a> {
    /// From 1. A document without content counts, text before the first `---` without content does not.
    pub index: usize,
    /// Lines of the stream before this document.
    pub line: usize,
    pub text: &'a str,
}

/// What is wrong with the YAML itself; says where, and nothing of what stands there.
#[derive(Debug, thiserror::Error)]
#[error("not YAML: {0}")]
pub(super) struct SyntaxError(String);

// === impl Node ===

impl Node {
    /// What it is, for error texts.
    pub fn what(&self) -> &'static str {
        match self {
            Node::Null => "empty",
            Node::Bool(_) => "a boolean",
            Node::Int(_) | Node::Float(_) => "a number",
            Node::Text(_) => "text",
            Node::List(_) => "a list",
            Node::Map(_) => "a mapping",
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Build)
    }
}

struct Build;

impl<'de> Visitor<'de> for Build {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Int(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Int(value.into()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Node, E> {
        Ok(Node::Int(value))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Node, E> {
        Ok(Node::Int(i128::try_from(value).unwrap_or(i128::MAX)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Node, E> {
        Ok(Node::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Node::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Node::Map(entries))
    }
}

/// Cuts a stream into its documents, so that an error in one does not hide those of the others.
/// A line that begins with `---` or `...` is a marker wherever it stands: YAML allows it in no scalar.
pub(super) fn chunks(stream: &str) -> Vec<Chunk<'_>> {
    let stream = stream.strip_prefix('\u{feff}').unwrap_or(stream);
    let mut cuts = vec![(0, 0, false)];
    let mut offset = 0;
    for (number, line) in stream.split_inclusive('\n').enumerate() {
        match marker(line) {
            Some("---") => cuts.push((offset, number, true)),
            // What follows the end of a document begins a new one only if there is something.
            Some(_) => cuts.push((offset + line.len(), number + 1, false)),
            None => {}
        }
        offset += line.len();
    }
    let ends = cuts.iter().skip(1).map(|cut| cut.0).chain([stream.len()]);
    let mut found: Vec<Chunk<'_>> = Vec::new();
    for (&(start, line, marked), end) in cuts.iter().zip(ends) {
        let text = &stream[start..end];
        if marked || !is_blank(text) {
            found.push(Chunk { index: found.len() + 1, line, text });
        }
    }
    found
}

/// Parses one document; none when it has no content.
///
/// # Errors
/// The text is not YAML, or so large or so full of aliases that it cannot be a configuration.
pub(super) fn parse(chunk: Chunk<'_>) -> Result<Option<Node>, SyntaxError> {
    if is_blank(chunk.text) {
        return Ok(None);
    }
    match node(chunk.text) {
        Ok(Node::Null) => Ok(None),
        Ok(node) => Ok(Some(node)),
        Err(error) => {
            let message = without_quotes(&DefaultMessageFormatter.format_message(error.without_snippet()));
            Err(SyntaxError(match error.location() {
                Some(at) => {
                    let line = at.line().saturating_add(chunk.line.try_into().unwrap_or(0));
                    format!("{message} at line {line}, column {}", at.column())
                }
                None => message,
            }))
        }
    }
}

fn node(text: &str) -> Result<Node, serde_saphyr::Error> {
    let options = options! {
        budget: budget! { max_documents: 2, max_aliases: 1_000, max_anchors: 1_000, max_depth: 64 },
        alias_limits: alias_limits! { max_total_replayed_events: 10_000, max_replay_stack_depth: 8 },
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        reject_unsupported_tags: true,
        // A snippet would show what stands beside the error, and that may be a secret.
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options)
}

/// The message without what it quotes from the document between back quotes, on one line: a password
/// that begins with `!` is a tag to YAML.
fn without_quotes(message: &str) -> String {
    message.split('`').step_by(2).collect::<String>().replace('\n', " ").trim_end().to_owned()
}

/// The marker that a line is, if it is one.
fn marker(line: &str) -> Option<&'static str> {
    let found = ["---", "..."].into_iter().find(|marker| line.starts_with(marker))?;
    let rest = &line[found.len()..];
    (rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n'])).then_some(found)
}

/// Nothing but comments, directives and markers.
fn is_blank(text: &str) -> bool {
    text.lines().all(|line| {
        let rest = if marker(line).is_some() { &line[3..] } else { line };
        let rest = rest.trim();
        rest.is_empty() || rest.starts_with('#') || line.starts_with('%')
    })
}
