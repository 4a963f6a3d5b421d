//! One part of a form: its headers, as far as it takes to know what the part is called, and where its
//! value stands.

use memchr::memmem;

use super::bad;
use crate::base::json::Span;
use crate::llm::Refusal;

/// A part has few headers, and short ones.
const MAX_HEADERS: usize = 16 << 10;

/// One part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub name: String,
    /// It has a file name.
    pub is_file: bool,
    /// Its value is text as it stands, in no other charset and no transfer encoding.
    pub is_plain: bool,
    pub value: Span,
}

// === impl Part ===

impl Part {
    /// Reads the part that fills `at`, from behind its delimiter's line to the next one's.
    pub fn read(body: &[u8], at: Span) -> Result<Part, Refusal> {
        let whole = &body[at.start..at.end];
        let head = &whole[..whole.len().min(MAX_HEADERS)];
        let end =
            memmem::find(head, b"\r\n\r\n").ok_or_else(|| bad("A field of the form has no end of its headers"))?;
        let mut part = Part {
            name: String::new(),
            is_file: false,
            is_plain: true,
            value: Span { start: at.start + end + 4, ..at },
        };
        let mut is_named = false;
        for line in lines(&head[..end]) {
            let (name, value) = header(line).ok_or_else(|| bad("A field of the form has a header that is none"))?;
            match name.to_ascii_lowercase().as_str() {
                "content-disposition" if std::mem::replace(&mut is_named, true) => {
                    return Err(bad("A field of the form is named twice"));
                }
                "content-disposition" => part.dispose(value)?,
                "content-type" => part.is_plain &= is_plain_text(value),
                "content-transfer-encoding" => part.is_plain = false,
                _ => {}
            }
        }
        match is_named {
            true => Ok(part),
            false => Err(bad("A field of the form has no name")),
        }
    }

    /// Reads `form-data; name="…"; filename="…"`.
    fn dispose(&mut self, value: &[u8]) -> Result<(), Refusal> {
        let no_name = || bad("A field of the form has no name that every server reads alike");
        let kind = value.split(|byte| *byte == b';').next().unwrap_or_default();
        if !kind.trim_ascii().eq_ignore_ascii_case(b"form-data") {
            return Err(no_name());
        }
        let mut names = 0;
        for (key, text) in parameters(&value[(kind.len() + 1).min(value.len())..]).ok_or_else(no_name)? {
            match key.as_str() {
                "name" => {
                    names += 1;
                    self.name = text;
                }
                key if key.starts_with("filename") => self.is_file = true,
                // `name*` and its like: forms have none (RFC 7578, 4.2), and some servers read them.
                key if key.starts_with("name") => return Err(no_name()),
                _ => {}
            }
        }
        let is_clear = |byte: u8| (b' '..=b'~').contains(&byte) && !b"\\%\"".contains(&byte);
        match names == 1 && !self.name.is_empty() && self.name.bytes().all(is_clear) {
            true => Ok(()),
            false => Err(no_name()),
        }
    }
}

/// The lines of `head`, which are apart by CRLF; a line end of another kind stays in its line.
fn lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    let ends = memmem::find_iter(head, b"\r\n").chain([head.len()]);
    ends.scan(0, |start, end| {
        let line = &head[*start..end];
        *start = end + 2;
        Some(line)
    })
}

/// A header's name and value. A folded line, or a line end inside of one, is no header.
fn header(line: &[u8]) -> Option<(&str, &[u8])> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = line.split_at(colon);
    let is_name = !name.is_empty() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte));
    let is_whole = !value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0));
    let name = std::str::from_utf8(name).ok()?;
    (is_name && is_whole).then_some((name, &value[1..]))
}

/// The parameters of a header's value, keys in lower case, from behind its first semicolon. None where
/// servers differ: a quote in quotes, one that does not end, text behind it.
pub(super) fn parameters(text: &[u8]) -> Option<Vec<(String, String)>> {
    let mut found = Vec::new();
    let mut rest = text.trim_ascii();
    while !rest.is_empty() {
        let equals = rest.iter().position(|byte| matches!(byte, b'=' | b';' | b'"'))?;
        let key = std::str::from_utf8(rest[..equals].trim_ascii()).ok()?.to_ascii_lowercase();
        if rest[equals] != b'=' || key.is_empty() {
            return None;
        }
        let value = rest[equals + 1..].trim_ascii_start();
        let (value, behind) = match value.strip_prefix(b"\"") {
            Some(quoted) => {
                let end = quoted.iter().position(|byte| *byte == b'"')?;
                // With escapes the text goes on here, without them it ends.
                if quoted[..end].ends_with(b"\\") {
                    return None;
                }
                (&quoted[..end], &quoted[end + 1..])
            }
            None => {
                let end = value.iter().position(|byte| *byte == b';').unwrap_or(value.len());
                let (token, behind) = value.split_at(end);
                let token = token.trim_ascii_end();
                if token.iter().any(|byte| byte.is_ascii_whitespace() || *byte == b'"') {
                    return None;
                }
                (token, behind)
            }
        };
        found.push((key, String::from_utf8_lossy(value).into_owned()));
        rest = match behind.trim_ascii_start() {
            [] => &[],
            [b';', behind @ ..] => behind.trim_ascii_start(),
            _ => return None,
        };
    }
    Some(found)
}

/// `text/plain`, in UTF-8 if it says so.
fn is_plain_text(value: &[u8]) -> bool {
    let kind = value.split(|byte| *byte == b';').next().unwrap_or_default();
    let rest = &value[(kind.len() + 1).min(value.len())..];
    let charset = |(key, value): &(String, String)| {
        key != "charset" || value.eq_ignore_ascii_case("utf-8") || value.eq_ignore_ascii_case("us-ascii")
    };
    kind.trim_ascii().eq_ignore_ascii_case(b"text/plain")
        && parameters(rest).is_some_and(|found| found.iter().all(charset))
}
