//! Embeddings: asked for in OpenAI's words, and of each provider in its own. A provider is a file and a row
//! of [`PROVIDERS`].
//!
//! | what a client says | Gemini | Vertex | Titan | Cohere | Ollama |
//! |---|---|---|---|---|---|
//! | several inputs | yes | yes | 400 | yes | yes |
//! | inputs as tokens | 400 | 400 | 400 | 400 | 400 |
//! | `dimensions` | yes | yes | version 2, else 400 | version 4, else 400 | yes |
//! | `encoding_format: base64` | made here | made here | made here | made here | made here |
//! | `task_type`, of the call or of an input | yes | yes | dropped | as `input_type`, one for all | dropped |
//! | `title` of an input | yes | yes | dropped | dropped | dropped |
//! | `auto_truncate` | dropped | yes | dropped | as `truncate` | yes |
//!
//! What is not said is not dropped where the vectors would be of no use without it: a vector of another
//! length, or for another purpose than the others of its index, is worse than none.

mod cohere;
mod gemini;
pub mod items;
mod ollama;
mod openai;
mod titan;
mod vertex;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use super::codec::Unreadable;
use crate::base::json::{self, Kind, Member, Span};
use crate::llm::embed::{Content, Input};
use crate::llm::{Code, Dialect, Dropped, Embed, Embeddings, Format, Refusal};

pub(super) use openai::{read, write};

/// One provider's API for embeddings.
pub trait Provider: Sync {
    /// In which format its errors are.
    fn faults(&self) -> Format;

    /// The path behind the backend's own prefix.
    fn path(&self, model: &str) -> String;

    /// Appends a request body. `model` is the name that leaves.
    ///
    /// # Errors
    /// 400 for what this API cannot say and the vectors would be of no use without.
    fn write(&self, embed: &Embed<'_>, model: &str, out: &mut Vec<u8>, dropped: &mut Dropped) -> Result<(), Refusal>;

    /// Reads a complete answer of status 200.
    ///
    /// # Errors
    /// When it is none of this API.
    fn read<'a>(&self, body: &'a [u8]) -> Result<Embeddings<'a>, Unreadable>;
}

/// Who is asked: a dialect, a part of the model's name, and how.
static PROVIDERS: &[(Dialect, &str, &dyn Provider)] = &[
    (Dialect::Gemini, "", &gemini::Gemini),
    (Dialect::Vertex, "", &vertex::Vertex),
    (Dialect::Bedrock, "titan-embed-text", &titan::Titan),
    (Dialect::Bedrock, "titan-embed-g1-text", &titan::Titan),
    (Dialect::Bedrock, "cohere.embed", &cohere::Invoke),
    (Dialect::Cohere, "", &cohere::Cohere),
    (Dialect::Ollama, "", &ollama::Ollama),
];

/// How a provider of this dialect is asked for vectors of this model, if it is known. Those who imitate
/// OpenAI are not here: they are asked in the client's own words.
pub fn provider(dialect: Dialect, model: &str) -> Option<&'static dyn Provider> {
    let row = PROVIDERS.iter().find(|(known, part, _)| *known == dialect && model.contains(part));
    row.map(|(.., provider)| *provider)
}

// What providers' files share.

/// The texts of a call.
///
/// # Errors
/// 400 where one of them is not a text.
fn texts<'e>(embed: &'e Embed<'_>) -> Result<Vec<&'e str>, Refusal> {
    embed.inputs.iter().map(text).collect()
}

fn text<'e>(input: &'e Input<'_>) -> Result<&'e str, Refusal> {
    match &input.content {
        Content::Text(text) => Ok(text),
        Content::Tokens(_) => {
            let message = "This model's provider takes texts; inputs as numbers of tokens mean nothing to it.";
            Err(Refusal::new(Code::UnsupportedValue, message).param("input"))
        }
    }
}

/// Names what no provider but OpenAI has a field for.
fn drop_user(embed: &Embed<'_>, dropped: &mut Dropped) {
    if embed.user.is_some() {
        dropped.field("user");
    }
}

fn drop_tasks(embed: &Embed<'_>, dropped: &mut Dropped) {
    if embed.task.is_some() {
        dropped.field("task_type");
    }
    if embed.inputs.iter().any(|input| input.task.is_some()) {
        dropped.field("input[].task_type");
    }
}

fn drop_titles(embed: &Embed<'_>, dropped: &mut Dropped) {
    if embed.inputs.iter().any(|input| input.title.is_some()) {
        dropped.field("input[].title");
    }
}

fn drop_truncate(embed: &Embed<'_>, dropped: &mut Dropped) {
    if embed.truncate.is_some() {
        dropped.field("auto_truncate");
    }
}

fn no_dimensions(model: &str) -> Refusal {
    let message = format!("The model {model:?} has vectors of one length alone; leave \"dimensions\" out.");
    Refusal::new(Code::UnsupportedValue, message).param("dimensions")
}

/// An answer, of which only what is asked for is listed: it holds more numbers than anything else that is
/// read here.
struct Answer<'a> {
    body: &'a [u8],
    members: Vec<Member<'a>>,
}

impl<'a> Answer<'a> {
    fn read(body: &'a [u8]) -> Result<Self, Unreadable> {
        match json::object(body) {
            Ok(members) => Ok(Answer { body, members }),
            Err(_) => Err(Unreadable("it is no JSON object")),
        }
    }

    fn get(&self, name: &str) -> Option<(Span, Kind)> {
        find(&self.members, name)
    }

    /// The elements of an array.
    fn elements(&self, array: Option<(Span, Kind)>) -> Result<Vec<(Span, Kind)>, Unreadable> {
        let (array, _) = array.filter(|(_, kind)| *kind == Kind::Array).ok_or(NO_VECTORS)?;
        json::elements(self.body, array).map_err(|_| NO_VECTORS)
    }

    /// A member of an object, at the end of a path.
    fn inside(&self, mut at: Option<(Span, Kind)>, path: &[&str]) -> Option<(Span, Kind)> {
        for name in path {
            let (span, _) = at.filter(|(_, kind)| *kind == Kind::Object)?;
            at = find(&json::members(self.body, span).ok()?, name);
        }
        at
    }

    /// A vector as it was written.
    fn vector(&self, at: Option<(Span, Kind)>) -> Result<&'a str, Unreadable> {
        let (span, _) = at.filter(|(_, kind)| *kind == Kind::Array).ok_or(NO_VECTORS)?;
        let text = std::str::from_utf8(span.slice(self.body)).map_err(|_| NO_VECTORS)?;
        let plain = |byte: u8| matches!(byte, b'0'..=b'9' | b'.' | b',' | b'-' | b'+' | b'e' | b'E');
        let inner = text.get(1..text.len().saturating_sub(1)).unwrap_or_default();
        match inner.bytes().all(|byte| plain(byte) || byte.is_ascii_whitespace()) {
            true => Ok(text),
            false => Err(Unreadable("a vector of it is not made of numbers")),
        }
    }

    /// The vectors of an array of arrays.
    fn vectors(&self, at: Option<(Span, Kind)>) -> Result<Vec<&'a str>, Unreadable> {
        self.elements(at)?.into_iter().map(|vector| self.vector(Some(vector))).collect()
    }

    /// A whole number; some providers write it with a fraction of zero.
    fn whole(&self, at: Option<(Span, Kind)>) -> Option<u64> {
        let (span, _) = at.filter(|(_, kind)| *kind == Kind::Number)?;
        let text = std::str::from_utf8(span.slice(self.body)).ok()?;
        let whole = text.split_once('.').filter(|(_, rest)| rest.bytes().all(|digit| digit == b'0'));
        whole.map_or(text, |(whole, _)| whole).parse().ok()
    }
}

const NO_VECTORS: Unreadable = Unreadable("it has no vectors where they are looked for");

fn find(members: &[Member<'_>], name: &str) -> Option<(Span, Kind)> {
    let found = members.iter().find(|member| member.key == Cow::Borrowed(name));
    found.map(|member| (member.value, member.kind))
}

/// Tokens that went in, where they are stated.
fn input(tokens: Option<u64>) -> Option<crate::llm::Usage> {
    tokens.map(|input| crate::llm::Usage { input, ..crate::llm::Usage::default() })
}
