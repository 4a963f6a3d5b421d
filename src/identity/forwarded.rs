//! Who stands behind a trusted proxy: the header `x-forwarded-client-cert`, of whose end, and of nothing
//! else, as much is believed as the configuration says.
//!
//! Each proxy adds an element behind those that it received, so what a client writes itself stands in
//! front. With N trusted hops the last N elements are believed, and the caller is the URI of the first
//! of these; if there are fewer, of the first that there is. A header that is no such list names
//! nobody: a quote that a client opens and does not close would otherwise swallow what follows.

use std::collections::VecDeque;

/// What the header comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Forwarded<'a> {
    /// Nothing is said: the peer of the connection speaks for itself.
    Absent,
    Caller(&'a str),
    /// The believed element names nobody, or the header is malformed.
    Nobody,
}

/// Reads every header of the name, in order, of which the last `hops` elements are believed.
pub fn forwarded<'a>(values: impl Iterator<Item = &'a [u8]>, hops: usize) -> Forwarded<'a> {
    let mut believed: VecDeque<Option<&'a str>> = VecDeque::with_capacity(hops.min(16));
    for value in values {
        let Some(mut rest) = std::str::from_utf8(value).ok().map(str::trim).filter(|_| hops > 0) else {
            return Forwarded::Nobody;
        };
        while !rest.is_empty() {
            let Some((uri, after)) = element(rest) else { return Forwarded::Nobody };
            if believed.len() == hops {
                believed.pop_front();
            }
            believed.push_back(uri);
            rest = after;
        }
    }
    match believed.front() {
        None => Forwarded::Absent,
        Some(Some(uri)) => Forwarded::Caller(uri),
        Some(None) => Forwarded::Nobody,
    }
}

/// The first URI of the first element, and what stands behind that element's comma. None if it is no
/// element: `KEY=VALUE` pairs with `;` between them, a value in quotes with `\` before what is meant
/// literally. The keys stand in any order and case.
fn element(text: &str) -> Option<(Option<&str>, &str)> {
    let mut uri = None;
    let mut rest = text;
    loop {
        let (key, after) = rest.split_once('=')?;
        let key = key.trim();
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return None;
        }
        let (value, after) = value(after)?;
        if key.eq_ignore_ascii_case("uri") && uri.is_none() {
            uri = Some(value);
        }
        let after = after.trim_start();
        match after.as_bytes().first() {
            None => break rest = after,
            Some(b',') => {
                rest = after[1..].trim_start();
                // Nothing behind a comma is an element that is missing.
                if rest.is_empty() {
                    return None;
                }
                break;
            }
            // A `;` may end an element.
            Some(b';') => match after[1..].trim_start() {
                "" => break rest = "",
                more => rest = more,
            },
            Some(_) => return None,
        }
    }
    // What is escaped is not undone: no identity has a quote or a backslash in it.
    let plain = |uri: &&str| !uri.is_empty() && !uri.contains(['"', '\\']);
    Some((uri.filter(plain), rest))
}

/// A value and what stands behind it.
fn value(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ',']).unwrap_or(text.len());
        let value = text[..end].trim_end();
        return if value.contains('"') { None } else { Some((value, &text[end..])) };
    };
    let mut escaped = false;
    for (at, byte) in quoted.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some((&quoted[..at], &quoted[at + 1..])),
            _ => {}
        }
    }
    None
}
