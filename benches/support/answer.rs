//! Where an HTTP/1.1 answer on a kept connection ends, and nothing more: status, content-length or
//! chunks. The body is handed on piece by piece and never kept. No I/O.

use memchr::memmem;

/// The longest head that is read.
const MAX_HEAD: usize = 64 * 1024;

/// One answer after the other: [`Answer::reset`] between them.
#[derive(Debug, Default)]
pub struct Answer {
    status: u16,
    state: State,
    /// A head, or a line between chunks, that is not complete.
    held: Vec<u8>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Head,
    Length(usize),
    Size,
    Chunk(usize),
    ChunkEnd,
    Trailers,
    Done,
}

/// The bytes are no answer that this reader knows.
#[derive(Debug, thiserror::Error)]
#[error("not a readable HTTP/1.1 answer: {0}")]
pub struct Malformed(&'static str);

// === impl Answer ===

impl Answer {
    /// 0 before the head has come.
    pub fn status(&self) -> u16 {
        self.status
    }

    pub fn done(&self) -> bool {
        self.state == State::Done
    }

    /// Ready for the next answer on the connection.
    pub fn reset(&mut self) {
        (self.status, self.state) = (0, State::Head);
        self.held.clear();
    }

    /// Takes the bytes of one read; `body` is given what of them is body. Bytes after the end are an error.
    pub fn push(&mut self, mut bytes: &[u8], body: &mut impl FnMut(&[u8])) -> Result<(), Malformed> {
        while !bytes.is_empty() {
            let used = match self.state {
                State::Head => self.head(bytes)?,
                State::Length(left) | State::Chunk(left) => {
                    let used = left.min(bytes.len());
                    body(&bytes[..used]);
                    self.state = match self.state {
                        State::Length(_) if used == left => State::Done,
                        State::Length(_) => State::Length(left - used),
                        _ if used == left => State::ChunkEnd,
                        _ => State::Chunk(left - used),
                    };
                    used
                }
                State::Size | State::ChunkEnd | State::Trailers => self.line(bytes)?,
                State::Done => return Err(Malformed("bytes after the end")),
            };
            bytes = &bytes[used..];
        }
        Ok(())
    }

    /// How many of `bytes` belong to the head.
    fn head(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        let before = self.held.len();
        self.held.extend_from_slice(bytes);
        let Some(at) = memmem::find(&self.held, b"\r\n\r\n") else {
            return if self.held.len() > MAX_HEAD { Err(Malformed("a head without end")) } else { Ok(bytes.len()) };
        };
        let status = self.held.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        self.status = status.ok_or(Malformed("no status"))?;
        let bodyless = matches!(self.status, 204 | 304);
        let framing = if bodyless { Framing::Length(0) } else { framing(&self.held[..at + 2])? };
        self.state = match framing {
            Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Size,
        };
        self.held.clear();
        Ok(at + 4 - before)
    }

    /// A line between chunks; how many of `bytes` belong to it.
    fn line(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        let Some(at) = memchr::memchr(b'\n', bytes) else {
            self.held.extend_from_slice(bytes);
            return if self.held.len() > MAX_HEAD { Err(Malformed("a line without end")) } else { Ok(bytes.len()) };
        };
        self.held.extend_from_slice(&bytes[..at]);
        let line = self.held.strip_suffix(b"\r").unwrap_or(&self.held);
        self.state = match self.state {
            State::Size => match size(line).ok_or(Malformed("no chunk size"))? {
                0 => State::Trailers,
                size => State::Chunk(size),
            },
            State::ChunkEnd if line.is_empty() => State::Size,
            State::Trailers if line.is_empty() => State::Done,
            State::Trailers => State::Trailers,
            _ => return Err(Malformed("a chunk longer than its size")),
        };
        self.held.clear();
        Ok(at + 1)
    }
}

enum Framing {
    Length(usize),
    Chunked,
}

/// How the body ends; `head` ends with a line end.
fn framing(head: &[u8]) -> Result<Framing, Malformed> {
    for line in head.split(|byte| *byte == b'\n') {
        if let Some(value) = value_of(line, b"content-length:") {
            let length = std::str::from_utf8(value).ok().and_then(|value| value.trim().parse().ok());
            return length.map(Framing::Length).ok_or(Malformed("no content-length"));
        }
        if value_of(line, b"transfer-encoding:").is_some_and(|value| value.trim_ascii() == b"chunked") {
            return Ok(Framing::Chunked);
        }
    }
    Err(Malformed("an answer up to the end of the connection"))
}

fn value_of<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (key, value) = line.split_at_checked(name.len())?;
    key.eq_ignore_ascii_case(name).then_some(value)
}

fn size(line: &[u8]) -> Option<usize> {
    let digits = line.split(|byte| *byte == b';').next()?;
    usize::from_str_radix(std::str::from_utf8(digits).ok()?.trim(), 16).ok()
}
