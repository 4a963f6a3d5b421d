//! Forms (`multipart/form-data`, RFC 7578) that name their model: finds the few fields that deciding
//! needs, and changes the model in place. Every other byte, and so every file, stays as it was sent.
//!
//! What servers read differently is refused, not guessed, so that no form means one model here and
//! another one behind: a delimiter that is not a line of its own between CRLFs, a form that does not
//! end, fields of a name that is acted on twice or in another case, escapes in names. A delimiter that
//! stands inside of a file does not belong there either (RFC 2046, 5.1.1) and is refused with the rest;
//! anything else may stand in a file. Text before the first and behind the last delimiter is let be.

mod part;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use bytes::Bytes;
use memchr::memmem;

use super::{Endpoint, Fields, fields, media};
use crate::base::json::Span;
use crate::llm::{Call, Code, Media, Operation, Refusal};
use part::Part;

/// A form has fewer fields than this. Each costs a few comparisons, so the bound is one on work.
const MAX_PARTS: usize = 1024;

/// A longer boundary is none (RFC 2046, 5.1.1).
const MAX_BOUNDARY: usize = 70;

/// Fields that are acted on.
const MODEL: &str = "model";
const STREAM: &str = "stream";
const N: &str = "n";

/// True for the content type of a form.
pub fn is_form(content_type: Option<&str>) -> bool {
    let kind = content_type.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("multipart/form-data")
}

/// The refusal of a request with more than one content type.
pub fn two_types() -> Refusal {
    bad("The request states its content type twice").param("content-type")
}

/// Reads a complete form.
///
/// # Errors
/// 400 `unsupported_value` for a body that is no form, or one that servers read differently, or that
/// names no model; `duplicate_field` for a field that is acted on and stands twice.
pub fn read(content_type: &str, endpoint: Endpoint, body: &[u8]) -> Result<Fields, Refusal> {
    let boundary = boundary(content_type)?;
    let parts = parts(body, &boundary)?;
    let model = only(&parts, MODEL)?.ok_or_else(|| {
        Refusal::new(Code::UnsupportedValue, "The form must name a model, in a field `model`.").param(MODEL)
    })?;
    let name = text(body, model)?;
    if name.is_empty() || name.len() > fields::MAX_MODEL || name.chars().any(char::is_control) {
        let message = format!("The form's model must be a name of 1 to {} bytes.", fields::MAX_MODEL);
        return Err(Refusal::new(Code::UnsupportedValue, message).param(MODEL));
    }
    let stream = only(&parts, STREAM)?.map(|part| text(body, part)).transpose()?;
    let choices = only(&parts, N)?.map(|part| text(body, part)).transpose()?;
    let media = match endpoint.operation {
        Operation::Audio => {
            let mut sound = Media::default();
            for file in parts.iter().filter(|part| part.is_file).map(|part| part.value.slice(body)) {
                match media::wav_ms(file) {
                    0 => sound.sound_bytes += file.len() as u64,
                    ms => sound.audio_ms += ms,
                }
            }
            Some(Box::new(sound))
        }
        other => media::read(other, |name| {
            only(&parts, name)?.map(|part| text(body, part).map(Cow::into_owned)).transpose()
        })?,
    };
    let words = parts.iter().filter(|part| !part.is_file).map(|part| part.value.end - part.value.start);
    let call = Call {
        dialect: endpoint.dialect,
        operation: endpoint.operation,
        model: name.into(),
        stream: stream.is_some_and(|said| matches!(said.to_ascii_lowercase().as_str(), "true" | "1")),
        stream_usage: false,
        background: false,
        max_output: None,
        output_alias: None,
        choices: choices.and_then(|said| said.trim().parse().ok()).unwrap_or(1).max(1),
        service_tier: None,
        speed: None,
        geo: None,
        // The size of a file says nothing about tokens.
        body_bytes: words.sum::<usize>() as u64,
        media,
    };
    Ok(Fields { call, is_form: true, model: Some(model.value), tail: 0, stream_options: None })
}

/// The body with another model; the very same bytes where it is the same.
pub(super) fn rewrite(body: &Bytes, fields: &Fields, model: &str) -> Bytes {
    let Some(Span { start, end }) = fields.model else { return body.clone() };
    match (body.get(..start), body.get(end..)) {
        (Some(before), Some(behind)) if *fields.call.model != *model => {
            Bytes::from([before, model.as_bytes(), behind].concat())
        }
        _ => body.clone(),
    }
}

/// The form's parts, in order.
fn parts(body: &[u8], boundary: &str) -> Result<Vec<Part>, Refusal> {
    let delimiter = ["--", boundary].concat();
    let mut parts: Vec<Part> = Vec::new();
    // Where the part began that runs now; and whether the last one has ended.
    let (mut open, mut closed) = (None, false);
    for at in memmem::find_iter(body, delimiter.as_bytes()) {
        // In the middle of a line it is text like any other.
        if at > 0 && !matches!(body[at - 1], b'\n' | b'\r') {
            continue;
        }
        if closed || (at > 0 && !body[..at].ends_with(b"\r\n")) {
            return Err(bad("The form has a boundary where none may be"));
        }
        if let Some(start) = open {
            let end = at.saturating_sub(2).max(start);
            parts.push(Part::read(body, Span { start, end })?);
        }
        if parts.len() == MAX_PARTS {
            return Err(bad("The form has too many fields"));
        }
        (open, closed) = match line_end(&body[at + delimiter.len()..]) {
            Some(Line::Next(length)) => (Some(at + delimiter.len() + length), false),
            Some(Line::Close) => (None, true),
            None => return Err(bad("The form has a boundary that does not end its line")),
        };
    }
    match closed {
        true => Ok(parts),
        false => Err(bad("The body is not the form that its content type says, or it does not end")),
    }
}

/// What is behind a delimiter.
enum Line {
    /// A part, this many bytes further on.
    Next(usize),
    /// Nothing more.
    Close,
}

fn line_end(rest: &[u8]) -> Option<Line> {
    let (closes, rest) = rest.strip_prefix(b"--").map_or((false, rest), |rest| (true, rest));
    // White space may stand at the end of the line (RFC 2046, transport padding).
    let padding = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    match (closes, &rest[padding..]) {
        (true, []) => Some(Line::Close),
        (true, behind) => behind.starts_with(b"\r\n").then_some(Line::Close),
        (false, behind) => behind.starts_with(b"\r\n").then_some(Line::Next(padding + 2)),
    }
}

/// The part of that name. A second one, in another case, or as an element of a list, is one too many.
fn only<'p>(parts: &'p [Part], name: &str) -> Result<Option<&'p Part>, Refusal> {
    let is_like = |part: &&Part| {
        let stem = part.name.split('[').next().unwrap_or_default().trim();
        stem.eq_ignore_ascii_case(name)
    };
    let mut like = parts.iter().filter(is_like);
    match (like.next(), like.next()) {
        (_, Some(_)) => {
            Err(Refusal::new(Code::DuplicateField, format!("The field {name:?} stands twice; say it once."))
                .param(name.to_owned()))
        }
        (found, None) => Ok(found.filter(|part| part.name == name)),
    }
}

/// The text of a field that is acted on.
fn text<'b>(body: &'b [u8], part: &Part) -> Result<Cow<'b, str>, Refusal> {
    let value = &body[part.value.start..part.value.end];
    match std::str::from_utf8(value) {
        Ok(text) if part.is_plain && !part.is_file => Ok(text.into()),
        _ => {
            let message = format!("The form's field {:?} must be plain text in UTF-8.", part.name);
            Err(Refusal::new(Code::UnsupportedValue, message).param(part.name.clone()))
        }
    }
}

/// The boundary that a content type names.
fn boundary(content_type: &str) -> Result<String, Refusal> {
    let bad = || bad("The content type names no boundary, or one that is none").param("content-type");
    let (_, rest) = content_type.split_once(';').ok_or_else(bad)?;
    let parameters = part::parameters(rest.as_bytes()).ok_or_else(bad)?;
    let mut found = parameters.into_iter().filter(|(name, _)| name.starts_with("boundary"));
    let is_one = |text: &String| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&byte);
        (1..=MAX_BOUNDARY).contains(&text.len()) && text.bytes().all(allowed) && !text.ends_with(' ')
    };
    match (found.next(), found.next()) {
        (Some((name, text)), None) if name == "boundary" => Some(text).filter(is_one).ok_or_else(bad),
        _ => Err(bad()),
    }
}

fn bad(what: &'static str) -> Refusal {
    Refusal::new(Code::UnsupportedValue, format!("{what} (multipart/form-data, RFC 7578)."))
}
