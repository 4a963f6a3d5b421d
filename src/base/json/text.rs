//! JSON strings to text and back. A lone surrogate escape, which no text can hold, reads as U+FFFD.

use std::borrow::Cow;

use super::Cursor;

/// Bytes that are looked at together.
const BLOCK: usize = 32;

/// The text of a JSON string given with its quotes, or `None` if that is not what `raw` is. A lone
/// surrogate reads as U+FFFD.
pub fn string(raw: &[u8]) -> Option<Cow<'_, str>> {
    let mut cursor = Cursor { body: raw, at: 0 };
    let escaped = cursor.string().ok()?;
    if cursor.at != raw.len() {
        return None;
    }
    let inner = std::str::from_utf8(raw.get(1..raw.len() - 1)?).ok()?;
    Some(if escaped { Cow::Owned(unescape(inner)) } else { Cow::Borrowed(inner) })
}

/// Appends `s` as a JSON string with its quotes.
pub fn write_string(out: &mut Vec<u8>, s: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.reserve(s.len() + 2);
    out.push(b'"');
    let mut rest = s.as_bytes();
    while let Some(at) = special(rest) {
        let byte = rest[at];
        let short = match byte {
            0x08 => b'b',
            0x09 => b't',
            0x0a => b'n',
            0x0c => b'f',
            0x0d => b'r',
            0x00..0x20 => b'u',
            _ => byte,
        };
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(&[b'\\', short]);
        if short == b'u' {
            out.extend_from_slice(&[b'0', b'0', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// Where the first byte stands that JSON wants escaped: a quote, a backslash, a control character.
fn special(bytes: &[u8]) -> Option<usize> {
    let is_special = |byte: &u8| matches!(byte, 0x00..0x20 | b'"' | b'\\');
    let mut at = 0;
    // A block without a branch for each byte, which the compiler makes a few vector instructions of.
    for block in bytes.chunks_exact(BLOCK) {
        if block.iter().fold(false, |any, byte| any | is_special(byte)) {
            break;
        }
        at += BLOCK;
    }
    bytes[at..].iter().position(is_special).map(|found| at + found)
}

/// Appends JSON as it stands, but for escapes of lone surrogates: the grammar has them, and the parsers of providers
/// refuse them (Anthropic: "The request body is not valid JSON: no low surrogate in string"). They become what
/// [`string`] reads them as.
pub(super) fn write_raw(out: &mut Vec<u8>, json: &str) {
    let bytes = json.as_bytes();
    let (mut plain, mut at) = (0, 0);
    while let Some(found) = memchr::memchr(b'\\', &bytes[at..]) {
        at += found;
        let tail = &bytes[at + 1..];
        if tail.first() != Some(&b'u') {
            at = (at + 2).min(bytes.len());
            continue;
        }
        let (c, length) = unescape_unit(tail);
        let is_half = matches!(tail.get(1..5).and_then(hex4), Some(0xd800..0xe000));
        if is_half && c == char::REPLACEMENT_CHARACTER {
            out.extend_from_slice(&bytes[plain..at]);
            out.extend_from_slice(b"\\ufffd");
            plain = (at + 1 + length).min(bytes.len());
        }
        at = (at + 1 + length).min(bytes.len());
    }
    out.extend_from_slice(&bytes[plain..]);
}

/// Resolves the escapes of a string whose grammar has been checked.
pub(super) fn unescape(inner: &str) -> String {
    let mut text = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        text.push_str(&rest[..at]);
        let tail = &rest.as_bytes()[at + 1..];
        let (c, length) = match tail.first() {
            Some(b'b') => ('\u{8}', 1),
            Some(b't') => ('\t', 1),
            Some(b'n') => ('\n', 1),
            Some(b'f') => ('\u{c}', 1),
            Some(b'r') => ('\r', 1),
            Some(b'u') => unescape_unit(tail),
            Some(&byte) => (char::from(byte), 1),
            None => break,
        };
        text.push(c);
        rest = rest.get(at + 1 + length..).unwrap_or_default();
    }
    text.push_str(rest);
    text
}

/// Reads `uXXXX`, or `uXXXX\uXXXX` where the two are a surrogate pair; says how many bytes it took.
fn unescape_unit(tail: &[u8]) -> (char, usize) {
    let unit = |at: usize| hex4(tail.get(at..at + 4)?);
    let first = unit(1).unwrap_or(0xfffd);
    if let Some(c) = char::from_u32(first) {
        return (c, 5);
    }
    if first < 0xdc00
        && tail.get(5..7) == Some(b"\\u")
        && let Some(second @ 0xdc00..0xe000) = unit(7)
    {
        let c = char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00));
        return (c.unwrap_or(char::REPLACEMENT_CHARACTER), 11);
    }
    (char::REPLACEMENT_CHARACTER, 5)
}

fn hex4(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |sum, &digit| Some(sum * 16 + char::from(digit).to_digit(16)?))
}
