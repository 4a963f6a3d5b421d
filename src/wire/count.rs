//! Counting a prompt's tokens by its provider: Anthropic's `count_tokens`, Gemini's `countTokens`, Bedrock's
//! `CountTokens`, OpenAI's `responses/input_tokens`. What is counted is a chat, so its reader and its writer are
//! those of the chat's format; here is only what stands around it.
//!
//! | format | path | the chat stands in | answer |
//! |---|---|---|---|
//! | Messages | `/messages/count_tokens`; on Vertex `count-tokens:rawPredict` | the body | `input_tokens` |
//! | Responses | `/responses/input_tokens` | the body | `input_tokens` |
//! | Gemini | `…:countTokens` | the body, or `generateContentRequest` of AI Studio's | `totalTokens` |
//! | Converse | `…/count-tokens` | `input.converse` | `inputTokens` |
//!
//! Where the provider counts nothing, Weir does: [`Wording`] is what it counts.

mod wording;

use bytes::Bytes;

use super::codec::{Envelope, Outgoing, Unreadable};
use super::outbound::{Outbound, PathCall, Speaks, encode};
use super::tools::Tools;
use crate::base::json::{self, JsonError, Kind, Member, Tree, write_object};
use crate::llm::{Code, Dialect, Dropped, Format, Refusal};

pub use wording::Wording;

/// What a chat of a format has that is counted; the rest bounds or steers an answer that is never made.
const COUNTED: &[(Format, &[&str])] = &[
    (Format::Messages, &["model", "system", "messages", "tools", "tool_choice", "thinking", "output_config"]),
    (
        Format::Responses,
        &["model", "input", "instructions", "parallel_tool_calls", "reasoning", "text", "tool_choice", "tools"],
    ),
    (Format::Gemini, &["contents", "systemInstruction", "tools", "toolConfig", "generationConfig"]),
    (Format::Converse, &["messages", "system", "toolConfig", "additionalModelRequestFields"]),
];

/// Vertex AI counts without these, and refuses them.
const NOT_ON_VERTEX: &[&str] = &["toolConfig"];

/// Where AI Studio takes more than the contents.
const WHOLE: [&str; 2] = ["generateContentRequest", "generate_content_request"];

/// The format in which a client of this dialect has its tokens counted.
pub(super) fn client(dialect: Dialect) -> Option<Format> {
    match dialect {
        Dialect::OpenAi => Some(Format::Responses),
        Dialect::Anthropic => Some(Format::Messages),
        Dialect::Gemini => Some(Format::Gemini),
        Dialect::Bedrock => Some(Format::Converse),
        _ => None,
    }
}

/// How a provider of this dialect counts; none where it does not.
pub(super) fn provider(dialect: Dialect, model: &str, speaks: Speaks) -> Option<Outbound> {
    // By Responses where a provider has that beside a format in which nothing is counted.
    let outbound = Outbound::to(dialect, model, Format::Responses, speaks);
    COUNTED.iter().any(|(format, _)| *format == outbound.format).then_some(outbound)
}

/// What is counted here of a request of this client, whose provider counts none.
///
/// # Errors
/// 400 for what is no request of the client's API.
pub fn wording(dialect: Dialect, body: &[u8]) -> Result<Wording, Refusal> {
    let client = client(dialect).ok_or_else(|| {
        Refusal::new(Code::UnsupportedValue, format!("Tokens are not counted for clients that speak {dialect}."))
    })?;
    let tree = Tree::read(chat(client, body)?).map_err(super::fields::refuse)?;
    // What no provider would be told is not counted, and nobody has to hear of it.
    let read = super::codec(client).read_chat(&tree, &mut Dropped::default())?;
    Ok(Wording::of(&read))
}

/// The answer of Weir's own to such a client.
pub fn answer(dialect: Dialect, tokens: u64) -> Vec<u8> {
    let mut out = Vec::new();
    write_reply(client(dialect).unwrap_or(Format::Responses), tokens, &mut out);
    out
}

/// The path behind the backend's own prefix.
pub(super) fn path(to: Outbound, call: &PathCall<'_>) -> String {
    let model = encode(call.model);
    match (to.format, to.envelope) {
        // The model stands in the body.
        (Format::Messages, Envelope::Vertex) => "/publishers/anthropic/models/count-tokens:rawPredict".to_owned(),
        (Format::Gemini, Envelope::Vertex) => format!("/publishers/google/models/{model}:countTokens"),
        (Format::Gemini, _) => format!("/models/{model}:countTokens"),
        (Format::Converse, _) => format!("/model/{model}/count-tokens"),
        (Format::Responses, _) => "/responses/input_tokens".to_owned(),
        _ => "/messages/count_tokens".to_owned(),
    }
}

/// A request in the provider's own format: as it is, but for what AI Studio and Vertex AI say differently.
///
/// # Errors
/// 400 for a body that is no object.
pub(super) fn own(to: Outbound, body: Bytes, model: &str) -> Result<Bytes, Refusal> {
    if to.format != Format::Gemini {
        return Ok(body);
    }
    let inner = chat(Format::Gemini, &body)?;
    if inner.len() == body.len() {
        return Ok(body);
    }
    let mut out = Vec::with_capacity(body.len());
    wrap(to, inner, model, &mut out)?;
    Ok(Bytes::from(out))
}

/// Writes a request of another format's client.
///
/// # Errors
/// 400 for what is no request of the client's API, and for what the provider cannot be told.
pub(super) fn write(
    client: Format,
    to: Outbound,
    body: &[u8],
    call: &Outgoing<'_>,
    out: &mut Vec<u8>,
    dropped: &mut Dropped,
) -> Result<(), Refusal> {
    let tree = Tree::read(chat(client, body)?).map_err(super::fields::refuse)?;
    let mut read = super::codec(client).read_chat(&tree, dropped)?;
    read.model = call.model.into();
    Tools::fit(&mut read, to, dropped);
    // Nothing around the chat is what stands around one that is answered.
    let envelope = if to.format == Format::Gemini { to.envelope } else { Envelope::Plain };
    let mut written = Vec::with_capacity(body.len() + 256);
    super::codec(to.format).write_chat(&read, &Outgoing { envelope, ..*call }, &mut written, dropped)?;
    wrap(to, &written, call.model, out)
}

/// The chat in a request of this format.
fn chat(format: Format, body: &[u8]) -> Result<&[u8], Refusal> {
    let members = json::object(body).map_err(super::fields::refuse)?;
    match format {
        Format::Gemini => {
            let found = members.iter().find(|member| WHOLE.contains(&&*member.key) && member.kind == Kind::Object);
            Ok(found.map_or(body, |found| found.value.slice(body)))
        }
        Format::Converse => {
            let input = members.iter().find(|member| member.key == "input" && member.kind == Kind::Object);
            let input = input.map_or(Ok(Vec::new()), |input| json::members(body, input.value));
            let input = input.map_err(super::fields::refuse)?;
            let found = input.iter().find(|member| member.key == "converse" && member.kind == Kind::Object);
            found.map(|found| found.value.slice(body)).ok_or_else(|| {
                let message = "Here tokens are counted of \"input.converse\"; the body of another API is known to its \
                               provider alone.";
                Refusal::new(Code::UnsupportedValue, message).param("input")
            })
        }
        _ => Ok(body),
    }
}

/// Writes what is counted of a chat, and what stands around it.
fn wrap(to: Outbound, chat: &[u8], model: &str, out: &mut Vec<u8>) -> Result<(), Refusal> {
    let counted = COUNTED.iter().find(|(format, _)| *format == to.format).map_or(&[][..], |(_, names)| names);
    let members = json::object(chat).map_err(|error: JsonError| super::fields::refuse(error))?;
    let on_vertex = to.format == Format::Gemini && to.envelope == Envelope::Vertex;
    let is_counted = |member: &&Member<'_>| {
        let name = camel(&member.key, to.format);
        counted.contains(&&*name) && !(on_vertex && NOT_ON_VERTEX.contains(&&*name))
    };
    let fill = |o: &mut json::ObjectWriter<'_>| {
        for member in members.iter().filter(is_counted) {
            o.raw(&member.key, std::str::from_utf8(member.value.slice(chat)).unwrap_or("null"));
        }
    };
    match to.format {
        Format::Gemini if !on_vertex => write_object(out, |o| {
            o.object("generateContentRequest", |o| {
                o.text("model", &["models/", model].concat());
                fill(o);
            });
        }),
        Format::Converse => write_object(out, |o| o.object("input", |o| o.object("converse", fill))),
        _ => write_object(out, fill),
    }
    Ok(())
}

/// Google reads both spellings of a name.
fn camel<'k>(key: &'k str, format: Format) -> std::borrow::Cow<'k, str> {
    if format != Format::Gemini || !key.contains('_') {
        return key.into();
    }
    let mut out = String::with_capacity(key.len());
    for (at, word) in key.split('_').enumerate() {
        let mut letters = word.chars();
        match letters.next().filter(|_| at > 0) {
            Some(first) => {
                out.push(first.to_ascii_uppercase());
                out.push_str(letters.as_str());
            }
            None => out.push_str(word),
        }
    }
    out.into()
}

/// Reads an answer.
///
/// # Errors
/// When it states no number.
pub(super) fn read_reply(format: Format, body: &[u8]) -> Result<u64, Unreadable> {
    let tree = Tree::read(body).map_err(|_| Unreadable("it is no JSON"))?;
    let name = match format {
        Format::Gemini => "totalTokens",
        Format::Converse => "inputTokens",
        _ => "input_tokens",
    };
    let tokens = tree.root().get(name).and_then(|tokens| tokens.whole());
    tokens.ok_or(Unreadable("it states no number of tokens"))
}

/// Writes an answer.
pub(super) fn write_reply(format: Format, tokens: u64, out: &mut Vec<u8>) {
    write_object(out, |o| match format {
        Format::Gemini => o.number("totalTokens", tokens),
        Format::Converse => o.number("inputTokens", tokens),
        Format::Responses => {
            o.text("object", "response.input_tokens");
            o.number("input_tokens", tokens);
        }
        _ => o.number("input_tokens", tokens),
    });
}

#[cfg(test)]
mod tests;
