//! JSON as bytes: validates a complete document (RFC 8259) and says where its parts lie; it copies
//! nothing and decodes nothing but keys.
//!
//! Lone surrogate escapes and numbers of any size are kept, because the bytes go on to somebody
//! else. A byte order mark, control characters in strings, invalid UTF-8 and anything after the
//! document are errors. Nesting is followed without recursion, up to [`MAX_DEPTH`].

use std::borrow::Cow;

use memchr::memchr2;

mod text;
pub mod tree;
mod write;

pub use text::{string, write_string};
pub use tree::Tree;
pub use write::{ArrayWriter, ObjectWriter, write_array, write_object};

/// The deepest nesting of containers that is accepted; the outermost one is level 1.
pub const MAX_DEPTH: usize = 128;

/// The most members or elements that one call lists. Only a listed container is bounded, because
/// only a list takes memory; a container that is merely validated may be of any length.
pub const MAX_LISTED: usize = 1 << 16;

/// A range of bytes in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    pub start: usize,
    pub end: usize,
}

/// What a JSON value is, told from its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Object,
    Array,
    String,
    Number,
    True,
    False,
    Null,
}

/// Why bytes are not the JSON that was asked for. `at` is an offset in the body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    #[error("malformed JSON at byte {at}")]
    Syntax { at: usize },
    #[error("JSON nested deeper than {MAX_DEPTH} levels at byte {at}")]
    Depth { at: usize },
    #[error("the field {key:?} appears more than once")]
    DuplicateKey { key: String },
    #[error("the JSON ends too early")]
    Truncated,
    #[error("expected {wanted:?}, found {found:?} at byte {at}")]
    Type { at: usize, wanted: Kind, found: Kind },
    #[error("more than {MAX_LISTED} members or elements at byte {at}")]
    TooMany { at: usize },
}

/// One member of an object. `key` is decoded; a lone surrogate in it reads as U+FFFD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member<'a> {
    pub key: Cow<'a, str>,
    /// The key with its quotes.
    pub key_span: Span,
    /// The value without the white space around it.
    pub value: Span,
    pub kind: Kind,
}

/// A position in a body. It never moves backwards.
struct Cursor<'a> {
    body: &'a [u8],
    at: usize,
}

/// Validates a whole document, which must be one object, and lists that object's members.
pub fn object(body: &[u8]) -> Result<Vec<Member<'_>>, JsonError> {
    // Once over everything is faster than string by string; outside strings, any byte that is not
    // ASCII fails in the grammar anyway.
    utf8(body)?;
    let mut cursor = Cursor { body, at: 0 };
    cursor.space();
    let members = cursor.members()?;
    cursor.space();
    if cursor.at == body.len() { Ok(members) } else { Err(cursor.syntax()) }
}

fn utf8(body: &[u8]) -> Result<&str, JsonError> {
    std::str::from_utf8(body).map_err(|error| match error.error_len() {
        Some(_) => JsonError::Syntax { at: error.valid_up_to() },
        None => JsonError::Truncated,
    })
}

/// Lists the members of the object at `value`, a span that came from this module for this body.
pub fn members(body: &[u8], value: Span) -> Result<Vec<Member<'_>>, JsonError> {
    Cursor::within(body, value)?.members()
}

/// Lists the elements of the array at `value`, a span that came from this module for this body.
pub fn elements(body: &[u8], value: Span) -> Result<Vec<(Span, Kind)>, JsonError> {
    Cursor::within(body, value)?.elements()
}

/// The member with that key, if there is one. A second one, in whatever spelling, is an error: two
/// readers of one body must not disagree on what it says.
pub fn unique<'m, 'a>(members: &'m [Member<'a>], key: &str) -> Result<Option<&'m Member<'a>>, JsonError> {
    let mut found = members.iter().filter(|member| member.key == key);
    match (found.next(), found.next()) {
        (_, Some(_)) => Err(JsonError::DuplicateKey { key: key.to_owned() }),
        (first, None) => Ok(first),
    }
}

// === impl Span ===

impl Span {
    /// The bytes of `body` in this range; nothing where the range does not lie in it.
    pub fn slice(self, body: &[u8]) -> &[u8] {
        body.get(self.start..self.end).unwrap_or_default()
    }
}

// === impl Cursor ===

impl<'a> Cursor<'a> {
    fn within(body: &'a [u8], value: Span) -> Result<Self, JsonError> {
        let body = body.get(..value.end).ok_or(JsonError::Truncated)?;
        Ok(Cursor { body, at: value.start })
    }

    fn syntax(&self) -> JsonError {
        JsonError::Syntax { at: self.at }
    }

    fn peek(&self) -> Result<u8, JsonError> {
        self.body.get(self.at).copied().ok_or(JsonError::Truncated)
    }

    fn expect(&mut self, byte: u8) -> Result<(), JsonError> {
        if self.peek()? != byte {
            return Err(self.syntax());
        }
        self.at += 1;
        Ok(())
    }

    /// Steps over the byte if it is there.
    fn take(&mut self, byte: u8) -> Result<bool, JsonError> {
        let found = self.peek()? == byte;
        self.at += usize::from(found);
        Ok(found)
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.body.get(self.at) {
            self.at += 1;
        }
    }

    fn kind(&self) -> Result<Kind, JsonError> {
        Ok(match self.peek()? {
            b'{' => Kind::Object,
            b'[' => Kind::Array,
            b'"' => Kind::String,
            b'-' | b'0'..=b'9' => Kind::Number,
            b't' => Kind::True,
            b'f' => Kind::False,
            b'n' => Kind::Null,
            _ => return Err(self.syntax()),
        })
    }

    fn open(&mut self, wanted: Kind) -> Result<(), JsonError> {
        let found = self.kind()?;
        if found != wanted {
            return Err(JsonError::Type { at: self.at, wanted, found });
        }
        self.at += 1;
        self.space();
        Ok(())
    }

    fn members(&mut self) -> Result<Vec<Member<'a>>, JsonError> {
        self.open(Kind::Object)?;
        let mut members = Vec::with_capacity(8);
        if self.take(b'}')? {
            return Ok(members);
        }
        loop {
            if members.len() == MAX_LISTED {
                return Err(JsonError::TooMany { at: self.at });
            }
            let start = self.at;
            let escaped = self.string()?;
            let key_span = Span { start, end: self.at };
            let inner = String::from_utf8_lossy(&self.body[start + 1..self.at - 1]);
            let key = if escaped { Cow::Owned(text::unescape(&inner)) } else { inner };
            self.colon()?;
            let start = self.at;
            let kind = self.value()?;
            members.push(Member { key, key_span, value: Span { start, end: self.at }, kind });
            self.space();
            if self.take(b'}')? {
                return Ok(members);
            }
            self.expect(b',')?;
            self.space();
        }
    }

    fn elements(&mut self) -> Result<Vec<(Span, Kind)>, JsonError> {
        self.open(Kind::Array)?;
        let mut elements = Vec::new();
        if self.take(b']')? {
            return Ok(elements);
        }
        loop {
            if elements.len() == MAX_LISTED {
                return Err(JsonError::TooMany { at: self.at });
            }
            let start = self.at;
            let kind = self.value()?;
            elements.push((Span { start, end: self.at }, kind));
            self.space();
            if self.take(b']')? {
                return Ok(elements);
            }
            self.expect(b',')?;
            self.space();
        }
    }

    /// Steps over one value that is inside one container, validating everything in it.
    fn value(&mut self) -> Result<Kind, JsonError> {
        let outermost = self.kind()?;
        let mut depth = 1;
        // One bit for each open container, the innermost lowest; set for an object.
        let mut open: u128 = 0;
        loop {
            let kind = self.kind()?;
            if let Kind::Object | Kind::Array = kind {
                if depth == MAX_DEPTH {
                    return Err(JsonError::Depth { at: self.at });
                }
                depth += 1;
                open = open << 1 | u128::from(kind == Kind::Object);
                self.at += 1;
                self.space();
                if self.take(if kind == Kind::Object { b'}' } else { b']' })? {
                    depth -= 1;
                    open >>= 1;
                } else {
                    self.next(open)?;
                    continue;
                }
            } else {
                self.scalar(kind)?;
            }
            // Behind a value: close what closes here, or go to the next value.
            loop {
                if depth == 1 {
                    return Ok(outermost);
                }
                self.space();
                match (self.peek()?, open & 1) {
                    (b'}', 1) | (b']', 0) => {
                        self.at += 1;
                        depth -= 1;
                        open >>= 1;
                    }
                    (b',', _) => {
                        self.at += 1;
                        self.space();
                        self.next(open)?;
                        break;
                    }
                    _ => return Err(self.syntax()),
                }
            }
        }
    }

    /// Goes to the next value of the innermost container: in an object, its key comes first.
    fn next(&mut self, open: u128) -> Result<(), JsonError> {
        if open & 1 == 1 {
            self.string()?;
            self.colon()?;
        }
        Ok(())
    }

    fn colon(&mut self) -> Result<(), JsonError> {
        self.space();
        self.expect(b':')?;
        self.space();
        Ok(())
    }

    fn scalar(&mut self, kind: Kind) -> Result<(), JsonError> {
        match kind {
            Kind::String => self.string().map(|_| ()),
            Kind::Number => self.number(),
            Kind::True => self.word(b"true"),
            Kind::False => self.word(b"false"),
            Kind::Null => self.word(b"null"),
            Kind::Object | Kind::Array => Err(self.syntax()),
        }
    }

    fn word(&mut self, word: &[u8]) -> Result<(), JsonError> {
        word.iter().try_for_each(|&byte| self.expect(byte))
    }

    fn number(&mut self) -> Result<(), JsonError> {
        self.take(b'-')?;
        if !self.take(b'0')? {
            self.digits()?;
        }
        if self.body.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.body.get(self.at) {
            self.at += 1;
            if let b'+' | b'-' = self.peek()? {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        if !self.peek()?.is_ascii_digit() {
            return Err(self.syntax());
        }
        while self.body.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        Ok(())
    }

    /// Steps over a string; says whether it has an escape in it.
    fn string(&mut self) -> Result<bool, JsonError> {
        self.expect(b'"')?;
        let mut escaped = false;
        loop {
            let rest = &self.body[self.at..];
            let length = memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
            // Folded without an early exit, so that the compiler can take many bytes at a time.
            if rest[..length].iter().fold(false, |control, &byte| control | (byte < 0x20)) {
                return Err(self.syntax());
            }
            self.at += length + 1;
            match rest.get(length) {
                Some(b'"') => return Ok(escaped),
                Some(_) => self.escape()?,
                None => return Err(JsonError::Truncated),
            }
            escaped = true;
        }
    }

    /// Steps over what follows a backslash.
    fn escape(&mut self) -> Result<(), JsonError> {
        match self.peek()? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 1,
            b'u' => {
                self.at += 1;
                for _ in 0..4 {
                    if !self.peek()?.is_ascii_hexdigit() {
                        return Err(self.syntax());
                    }
                    self.at += 1;
                }
            }
            _ => return Err(self.syntax()),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
