//! The headers of a frame, in all types that there are.
//!
//! ```text
//! name's length | name | type | value
//!       1       |      |  1   |
//! ```

use super::Damaged;

/// One header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    pub name: &'a str,
    pub value: Value<'a>,
}

/// A header's value. The number of its type stands beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// 0 is true, 1 is false.
    Flag(bool),
    /// 2
    Byte(i8),
    /// 3
    Short(i16),
    /// 4
    Integer(i32),
    /// 5
    Long(i64),
    /// 6
    Bytes(&'a [u8]),
    /// 7
    Text(&'a str),
    /// 8; milliseconds since the Unix epoch.
    Timestamp(i64),
    /// 9
    Uuid([u8; 16]),
}

/// The headers of one frame, in order. Behind an error there are no more.
#[derive(Clone, Debug)]
pub struct Headers<'a> {
    rest: &'a [u8],
}

// === impl Header ===

impl Header<'_> {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let name = cut(self.name, usize::from(u8::MAX));
        out.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
        out.extend_from_slice(name.as_bytes());
        match self.value {
            Value::Flag(flag) => out.push(u8::from(!flag)),
            Value::Byte(number) => write_fixed(out, 2, &number.to_be_bytes()),
            Value::Short(number) => write_fixed(out, 3, &number.to_be_bytes()),
            Value::Integer(number) => write_fixed(out, 4, &number.to_be_bytes()),
            Value::Long(number) => write_fixed(out, 5, &number.to_be_bytes()),
            Value::Bytes(bytes) => write_sized(out, 6, &bytes[..bytes.len().min(usize::from(u16::MAX))]),
            Value::Text(text) => write_sized(out, 7, cut(text, usize::from(u16::MAX)).as_bytes()),
            Value::Timestamp(millis) => write_fixed(out, 8, &millis.to_be_bytes()),
            Value::Uuid(uuid) => write_fixed(out, 9, &uuid),
        }
    }
}

fn write_fixed(out: &mut Vec<u8>, kind: u8, bytes: &[u8]) {
    out.push(kind);
    out.extend_from_slice(bytes);
}

fn write_sized(out: &mut Vec<u8>, kind: u8, bytes: &[u8]) {
    out.push(kind);
    out.extend_from_slice(&u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend_from_slice(bytes);
}

/// At most `most` bytes of a text, cut between two characters.
fn cut(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

// === impl Headers ===

impl<'a> Headers<'a> {
    pub(super) fn of(block: &'a [u8]) -> Self {
        Headers { rest: block }
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*bytes)
    }

    fn slice(&mut self, length: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(bytes)
    }

    fn sized(&mut self) -> Option<&'a [u8]> {
        let length = u16::from_be_bytes(self.take()?);
        self.slice(usize::from(length))
    }

    fn read(&mut self) -> Option<Header<'a>> {
        let [length] = self.take()?;
        let name = std::str::from_utf8(self.slice(usize::from(length))?).ok()?;
        let [kind] = self.take()?;
        let value = match kind {
            0 => Value::Flag(true),
            1 => Value::Flag(false),
            2 => Value::Byte(i8::from_be_bytes(self.take()?)),
            3 => Value::Short(i16::from_be_bytes(self.take()?)),
            4 => Value::Integer(i32::from_be_bytes(self.take()?)),
            5 => Value::Long(i64::from_be_bytes(self.take()?)),
            6 => Value::Bytes(self.sized()?),
            7 => Value::Text(std::str::from_utf8(self.sized()?).ok()?),
            8 => Value::Timestamp(i64::from_be_bytes(self.take()?)),
            9 => Value::Uuid(self.take()?),
            _ => return None,
        };
        Some(Header { name, value })
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = Result<Header<'a>, Damaged>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let header = self.read().ok_or(Damaged::Headers);
        if header.is_err() {
            self.rest = &[];
        }
        Some(header)
    }
}
