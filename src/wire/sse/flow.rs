//! Event streams of which no event is kept: the data is handed on as it comes, in constant memory. An
//! event that carries an image or sound is larger than any event that is held.

use super::BOM;

/// What has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// The next bytes of the event's data.
    Data(&'a [u8]),
    /// The event has ended.
    End,
}

/// Reads the lines of a stream, wherever it is cut.
#[derive(Debug, Default)]
pub struct Flow {
    line: Line,
    /// The last byte was a carriage return.
    cr: bool,
    /// The event has a line of data already: a line feed stands before the next one.
    has_data: bool,
}

/// Where in its line the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// At the very beginning of the stream, with so much of a byte order mark before it.
    Mark(usize),
    /// Behind so much of [`FIELD`].
    Field(usize),
    /// Behind the colon, where a space may stand.
    Space,
    Value,
    /// In a line of another field.
    Other,
}

const FIELD: &[u8] = b"data:";

impl Default for Line {
    fn default() -> Self {
        Line::Mark(0)
    }
}

// === impl Flow ===

impl Flow {
    /// Takes the next bytes of the stream and hands on what they hold.
    pub fn push(&mut self, chunk: &[u8], mut take: impl FnMut(Piece<'_>)) {
        let mut rest = chunk;
        while let Some(&byte) = rest.first() {
            if std::mem::take(&mut self.cr) && byte == b'\n' {
                rest = &rest[1..];
                continue;
            }
            if matches!(byte, b'\n' | b'\r') {
                self.end_line(&mut take);
                self.cr = byte == b'\r';
                rest = &rest[1..];
                continue;
            }
            let used = match self.line {
                Line::Mark(at) if BOM.get(at) == Some(&byte) => {
                    self.line = if at + 1 == BOM.len() { Line::Field(0) } else { Line::Mark(at + 1) };
                    1
                }
                // Half a mark is no mark, and no field.
                Line::Mark(at) => {
                    self.line = if at == 0 { Line::Field(0) } else { Line::Other };
                    0
                }
                Line::Field(at) if FIELD.get(at) == Some(&byte) => {
                    self.line = if at + 1 == FIELD.len() { Line::Space } else { Line::Field(at + 1) };
                    1
                }
                Line::Field(_) => {
                    self.line = Line::Other;
                    0
                }
                Line::Space => {
                    self.begin_data(&mut take);
                    self.line = Line::Value;
                    usize::from(byte == b' ')
                }
                Line::Value | Line::Other => {
                    let end = memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
                    if self.line == Line::Value {
                        take(Piece::Data(&rest[..end]));
                    }
                    end
                }
            };
            rest = &rest[used..];
        }
    }

    fn end_line(&mut self, take: &mut impl FnMut(Piece<'_>)) {
        match self.line {
            Line::Field(0) | Line::Mark(0) => {
                take(Piece::End);
                self.has_data = false;
            }
            // `data` and `data:` alone are empty lines of data.
            Line::Space => self.begin_data(take),
            Line::Field(at) if at + 1 == FIELD.len() => self.begin_data(take),
            _ => {}
        }
        self.line = Line::Field(0);
    }

    fn begin_data(&mut self, take: &mut impl FnMut(Piece<'_>)) {
        if std::mem::replace(&mut self.has_data, true) {
            take(Piece::Data(b"\n"));
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::super::Parser;
    use super::*;

    /// The data of each event that has any.
    fn flow<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
        let (mut flow, mut events, mut event) = (Flow::default(), Vec::new(), Vec::new());
        for chunk in chunks {
            flow.push(chunk, |piece| match piece {
                Piece::Data(data) => event.extend_from_slice(data),
                Piece::End => events.push(std::mem::take(&mut event)),
            });
        }
        events.push(event);
        events.retain(|event| !event.is_empty());
        events
    }

    fn parsed(stream: &[u8]) -> Vec<Vec<u8>> {
        let (mut parser, mut events) = (Parser::new(usize::MAX), Vec::new());
        parser.push(Bytes::copy_from_slice(stream), &mut events).unwrap();
        parser.finish(&mut events);
        events.into_iter().filter(|event| !event.is_empty()).map(|event| event.data.to_vec()).collect()
    }

    proptest! {
        #[test]
        fn it_sees_the_data_that_the_parser_sees(
            words in prop::collection::vec(prop::sample::select(vec![
                "data", ":", " ", "\r", "\n", "\r\n", "\n\n", "x", "event", "dat", "{\"a\":1}", "data: ", "\u{feff}",
            ]), 0..40),
            step in 1usize..9,
        ) {
            let stream = format!("{}\n\n", words.concat());
            let expected = parsed(stream.as_bytes());
            prop_assert_eq!(&flow([stream.as_bytes()]), &expected);
            prop_assert_eq!(&flow(stream.as_bytes().chunks(step)), &expected);
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            prop_assert_eq!(flow(bytes.chunks(1)), flow([&bytes[..]]));
        }
    }
}
