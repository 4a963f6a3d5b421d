//! The inputs of a call for embeddings, and the vectors of its answer, each by itself: in OpenAI's words (API
//! reference "Embeddings", 2026), and as they stand in the two bodies. What is not asked for again and what is put
//! together later is never decoded: no digit is lost, and no field that nobody here knows.

use bytes::Bytes;

use super::{Answer, NO_VECTORS};
use crate::base::json::{self, Kind, Member, Span, write_object, write_string};
use crate::wire::codec::Unreadable;

/// The inputs of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inputs<'a> {
    /// All members of the body.
    pub members: Vec<Member<'a>>,
    /// The value of `input`.
    pub whole: Span,
    /// Each input: a text, a list of token numbers, or an object with a text in it. At least one.
    pub each: Vec<Span>,
}

/// The vectors of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vectors {
    /// In the order of the inputs.
    pub each: Vec<Vector>,
    /// As the provider names it; empty where it does not.
    pub model: String,
    /// What went in; none where nothing is said, or zero, which no input has.
    pub tokens: Option<u64>,
    body: Bytes,
    data: Span,
}

/// One element of `data`, as it was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vector {
    text: Bytes,
    /// Where in it the number of its input stands; none where it says none.
    index: Option<Span>,
}

// === impl Inputs ===

impl<'a> Inputs<'a> {
    /// Reads a request. None for what is no request of this API, or says one thing twice.
    pub fn read(body: &'a [u8]) -> Option<Self> {
        let members = json::object(body).ok()?;
        let input = json::unique(&members, "input").ok()??;
        let (whole, kind) = (input.value, input.kind);
        let each = match kind {
            Kind::String => vec![whole],
            Kind::Array if is_tokens(whole.slice(body)) => vec![whole],
            Kind::Array => {
                let each = json::elements(body, whole).ok()?;
                let is_input = |(span, kind): &(Span, Kind)| match kind {
                    Kind::String => true,
                    Kind::Array => is_tokens(span.slice(body)),
                    Kind::Object => has_content(body, *span),
                    _ => false,
                };
                if each.is_empty() || !each.iter().all(is_input) {
                    return None;
                }
                each.into_iter().map(|(span, _)| span).collect()
            }
            _ => return None,
        };
        Some(Inputs { members, whole, each })
    }

    /// The body with these of its inputs alone, by their numbers; every other byte is what it was.
    pub fn only(&self, body: &[u8], kept: &[usize]) -> Vec<u8> {
        let mut out = Vec::with_capacity(body.len());
        out.extend_from_slice(body.get(..self.whole.start).unwrap_or_default());
        out.push(b'[');
        for (n, span) in kept.iter().filter_map(|at| self.each.get(*at)).enumerate() {
            if n > 0 {
                out.push(b',');
            }
            out.extend_from_slice(span.slice(body));
        }
        out.push(b']');
        out.extend_from_slice(body.get(self.whole.end..).unwrap_or_default());
        out
    }
}

/// A list of whole numbers, of which there is one at least.
pub fn is_tokens(text: &[u8]) -> bool {
    let Some(inner) = text.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]")) else { return false };
    let is_plain = |byte: &u8| byte.is_ascii_digit() || *byte == b',' || byte.is_ascii_whitespace();
    inner.iter().any(u8::is_ascii_digit) && inner.iter().all(is_plain)
}

/// An input as some providers have it beside texts: a text as `content`, and what it is for.
fn has_content(body: &[u8], at: Span) -> bool {
    let Ok(members) = json::members(body, at) else { return false };
    let content = json::unique(&members, "content");
    matches!(content, Ok(Some(content)) if content.kind == Kind::String)
}

// === impl Vectors ===

impl Vectors {
    /// Reads a complete answer to so many inputs.
    ///
    /// # Errors
    /// When it is none of this API, is an error, or does not have one vector for each input.
    pub fn read(body: &Bytes, inputs: usize) -> Result<Self, Unreadable> {
        let answer = Answer::read(body)?;
        let only = |name| json::unique(&answer.members, name).map_err(|_| Unreadable("a field of it stands twice"));
        if only("error")?.is_some_and(|error| error.kind != Kind::Null) {
            return Err(Unreadable("it is an error"));
        }
        let data = only("data")?.filter(|data| data.kind == Kind::Array).ok_or(NO_VECTORS)?.value;
        let elements = json::elements(body, data).map_err(|_| NO_VECTORS)?;
        if elements.len() != inputs {
            return Err(Unreadable("it has another number of vectors than there were inputs"));
        }
        let mut each = vec![None; inputs];
        for (place, (span, kind)) in elements.into_iter().enumerate() {
            let (index, vector) = Vector::read(&answer, body, span, kind, place)?;
            let slot = each.get_mut(index).filter(|slot| slot.is_none());
            *slot.ok_or(Unreadable("two vectors of it are for one input, or one is for none"))? = Some(vector);
        }
        let each = each.into_iter().collect::<Option<_>>().ok_or(NO_VECTORS)?;
        let model = only("model")?.filter(|model| model.kind == Kind::String);
        let model = model.and_then(|model| json::string(model.value.slice(body))).unwrap_or_default().into_owned();
        let usage = only("usage")?.map(|usage| (usage.value, usage.kind));
        let tokens =
            ["prompt_tokens", "total_tokens"].iter().find_map(|name| answer.whole(answer.inside(usage, &[name])));
        Ok(Vectors { each, model, tokens: tokens.filter(|tokens| *tokens > 0), body: body.clone(), data })
    }

    /// The answer with these vectors in the place of its own; every other byte is what it was.
    pub fn with<'v>(&self, vectors: impl Iterator<Item = &'v Vector>) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.body.len());
        out.extend_from_slice(self.body.get(..self.data.start).unwrap_or_default());
        write_data(vectors, &mut out);
        out.extend_from_slice(self.body.get(self.data.end..).unwrap_or_default());
        out
    }
}

/// An answer of these vectors.
pub fn write<'v>(vectors: impl Iterator<Item = &'v Vector>, model: &str, tokens: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"object\":\"list\",\"data\":");
    write_data(vectors, out);
    out.extend_from_slice(b",\"model\":");
    write_string(out, model);
    out.extend_from_slice(b",\"usage\":");
    write_object(out, |o| {
        o.number("prompt_tokens", tokens);
        o.number("total_tokens", tokens);
    });
    out.push(b'}');
}

fn write_data<'v>(vectors: impl Iterator<Item = &'v Vector>, out: &mut Vec<u8>) {
    out.push(b'[');
    for (index, vector) in vectors.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        vector.write(index, out);
    }
    out.push(b']');
}

// === impl Vector ===

impl Vector {
    /// One that was kept. None where its number does not stand in it.
    pub fn kept(text: Bytes, index: Option<Span>) -> Option<Self> {
        let fits = index.is_none_or(|index| index.start <= index.end && index.end <= text.len());
        fits.then_some(Vector { text, index })
    }

    /// Its parts, to be kept.
    pub fn parts(&self) -> (&Bytes, Option<Span>) {
        (&self.text, self.index)
    }

    /// Bytes of it.
    pub fn len(&self) -> usize {
        self.text.len()
    }

    /// It says nothing: no vector that was read does.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Reads one element, and of which input it is: of the one in the same place where it does not say.
    fn read(
        answer: &Answer<'_>,
        body: &Bytes,
        at: Span,
        kind: Kind,
        place: usize,
    ) -> Result<(usize, Self), Unreadable> {
        let members = (kind == Kind::Object).then(|| json::members(body, at).ok()).flatten().ok_or(NO_VECTORS)?;
        let only = |name| json::unique(&members, name).map_err(|_| Unreadable("a field of a vector stands twice"));
        let embedding = only("embedding")?.ok_or(NO_VECTORS)?;
        let written = embedding.value.slice(body);
        let is_good = match embedding.kind {
            Kind::Array => {
                answer.vector(Some((embedding.value, Kind::Array)))?;
                written.iter().any(u8::is_ascii_digit)
            }
            Kind::String => is_base64(written),
            _ => false,
        };
        if !is_good {
            return Err(Unreadable("a vector of it is none"));
        }
        let number = |index: &Member<'_>| answer.whole(Some((index.value, index.kind)));
        let (index, stands) = match only("index")? {
            None => (place, None),
            Some(index) => {
                let number = number(index).and_then(|number| usize::try_from(number).ok());
                let (start, end) = (index.value.start - at.start, index.value.end - at.start);
                (number.ok_or(Unreadable("a vector of it has no number"))?, Some(Span { start, end }))
            }
        };
        let text = if at.end <= body.len() { body.slice(at.start..at.end) } else { Bytes::new() };
        Ok((index, Vector { text, index: stands }))
    }

    /// Writes it as the vector of the input of this number.
    fn write(&self, number: usize, out: &mut Vec<u8>) {
        let Some(index) = self.index else { return out.extend_from_slice(&self.text) };
        out.extend_from_slice(self.text.get(..index.start).unwrap_or_default());
        out.extend_from_slice(number.to_string().as_bytes());
        out.extend_from_slice(self.text.get(index.end..).unwrap_or_default());
    }
}

/// A string of base64 that is not empty.
fn is_base64(written: &[u8]) -> bool {
    let Some(text) = json::string(written) else { return false };
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='))
}

#[cfg(test)]
mod tests;
