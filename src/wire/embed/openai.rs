//! OpenAI embeddings (API reference "Embeddings", 2026): what clients ask, and what they are answered.
//!
//! What is not OpenAI's own, and what some providers have, may stand beside it: `task_type`, `title` and
//! `auto_truncate` of Google's ("Text embeddings API"), for the call or in an input that is an object
//! `{"content", "task_type", "title"}`; `input_type` of Cohere's, which is a `task_type` by another name.

use crate::base::base64;
use crate::base::json::tree::Value;
use crate::base::json::{Kind, Tree, write_array, write_object, write_string};
use crate::llm::embed::{Content, Input, Task};
use crate::llm::{Code, Dropped, Embed, Embeddings, Refusal};
use crate::wire::codec::Unreadable;

/// Reads a request.
///
/// # Errors
/// 400 for what is no request of this API.
pub(in crate::wire) fn read<'a>(body: &Tree<'a>, dropped: &mut Dropped) -> Result<Embed<'a>, Refusal> {
    let mut embed = Embed::default();
    let mut title = None;
    for (key, value) in body.root().members() {
        match &*key {
            "model" => {}
            "input" => embed.inputs = inputs(value, dropped)?,
            _ if value.is_null() => {}
            "dimensions" => embed.dimensions = Some(value.whole().ok_or_else(|| bad("dimensions", "a whole number"))?),
            "encoding_format" => match value.text().as_deref() {
                Some("float") => embed.base64 = false,
                Some("base64") => embed.base64 = true,
                _ => return Err(bad("encoding_format", "\"float\" or \"base64\"")),
            },
            "user" => embed.user = value.text(),
            "task_type" => embed.task = Some(task(value, "task_type")?),
            "input_type" => embed.task = embed.task.or(Some(task(value, "input_type")?)),
            "title" => title = value.text(),
            "auto_truncate" => embed.truncate = value.flag(),
            other => dropped.field(other.to_owned()),
        }
    }
    if embed.inputs.is_empty() {
        return Err(bad("input", "a text, or a list of them with at least one"));
    }
    if title.is_some() {
        embed.inputs.iter_mut().filter(|input| input.title.is_none()).for_each(|input| input.title = title.clone());
    }
    Ok(embed)
}

fn bad(param: &'static str, wanted: &str) -> Refusal {
    Refusal::new(Code::UnsupportedValue, format!("The field {param:?} must be {wanted}.")).param(param)
}

fn task(value: Value<'_, '_>, param: &'static str) -> Result<Task, Refusal> {
    let found = value.text().and_then(|name| Task::named(&name));
    found.ok_or_else(|| bad(param, "one of Google's task types, or of Cohere's input types"))
}

/// A text, tokens, an object; or a list of them. A list of numbers is one input.
fn inputs<'a>(value: Value<'_, 'a>, dropped: &mut Dropped) -> Result<Vec<Input<'a>>, Refusal> {
    match value.kind() {
        Kind::Array if value.elements().next().is_none_or(|first| first.kind() != Kind::Number) => {
            value.elements().map(|one| input(one, dropped)).collect()
        }
        _ => Ok(vec![input(value, dropped)?]),
    }
}

fn input<'a>(value: Value<'_, 'a>, dropped: &mut Dropped) -> Result<Input<'a>, Refusal> {
    let wanted = || bad("input", "a text, a list of token numbers, or an object with a text as its \"content\"");
    let plain = |content| Input { content, task: None, title: None };
    match value.kind() {
        Kind::String => Ok(plain(Content::Text(value.text().unwrap_or_default()))),
        Kind::Array if !value.is_empty() && value.elements().all(|one| one.whole().is_some()) => {
            Ok(plain(Content::Tokens(value.raw())))
        }
        Kind::Object => {
            let content = value.get("content").and_then(Value::text).ok_or_else(wanted)?;
            let mut input = plain(Content::Text(content));
            for (key, value) in value.members().filter(|(_, value)| !value.is_null()) {
                match &*key {
                    "content" => {}
                    "task_type" => input.task = Some(task(value, "input[].task_type")?),
                    "title" => input.title = value.text(),
                    other => dropped.inside("input[].", other),
                }
            }
            Ok(input)
        }
        _ => Err(wanted()),
    }
}

/// Writes an answer. Clients insist on `usage`: it is 0 where the provider says nothing.
///
/// # Errors
/// When a number of a vector is none that base64 can be made of.
pub(in crate::wire) fn write(
    embeddings: &Embeddings<'_>,
    model: &str,
    base64: bool,
    out: &mut Vec<u8>,
) -> Result<(), Unreadable> {
    let encoded: Option<Vec<String>> = match base64 {
        true => embeddings.vectors.iter().map(|vector| in_base64(vector)).collect::<Option<_>>(),
        false => Some(Vec::new()),
    };
    let encoded = encoded.ok_or(Unreadable("a number of a vector cannot be read"))?;
    let tokens = embeddings.usage.map_or(0, |usage| usage.total_input());
    out.extend_from_slice(b"{\"object\":\"list\",\"data\":");
    write_array(out, |a| {
        for (index, vector) in embeddings.vectors.iter().enumerate() {
            a.object(|o| {
                o.text("object", "embedding");
                o.number("index", index as u64);
                match encoded.get(index) {
                    Some(text) => o.text("embedding", text),
                    None => o.raw("embedding", vector),
                }
            });
        }
    });
    out.extend_from_slice(b",\"model\":");
    write_string(out, model);
    out.extend_from_slice(b",\"usage\":");
    write_object(out, |o| {
        o.number("prompt_tokens", tokens);
        o.number("total_tokens", tokens);
    });
    out.push(b'}');
    Ok(())
}

/// Base64 of the numbers of a JSON array, each as a 32-bit number of IEEE 754 whose lowest byte comes first:
/// what OpenAI's SDKs decode.
fn in_base64(vector: &str) -> Option<String> {
    let inner = vector.trim().strip_prefix('[')?.strip_suffix(']')?;
    let mut bytes = Vec::with_capacity(inner.len() / 2);
    for number in inner.split(',').map(str::trim).filter(|number| !number.is_empty()) {
        let number: f32 = number.parse().ok()?;
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    Some(base64::encode(&bytes))
}
