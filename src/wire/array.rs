//! For tests of what is written: the elements of one JSON array as a stream (Gemini's
//! `streamGenerateContent` without `alt=sse`). A push parser that keeps the raw bytes of every element. It decodes nothing, and checks no grammar but the brackets' balance outside of strings.
//!
//! An event's data is an element without what stands around it; its raw bytes are all from the end of the
//! one before it, the bracket or comma in front included, so that the raw bytes of all events in a row are
//! the stream. What stands behind the last element is an event without data. A document that is no array,
//! as an error is, is one element.

use bytes::{Bytes, BytesMut};

use super::sse::{Event, Oversized};

/// Cuts a stream into elements. It holds at most one unfinished element.
#[derive(Debug)]
pub struct Parser {
    max_element: usize,
    /// The element that is not finished yet, and what stands in front of it.
    carry: BytesMut,
    /// Where in it the element begins.
    start: Option<usize>,
    /// Open brackets of the element.
    depth: usize,
    /// The array's own bracket was seen.
    is_array: bool,
    is_string: bool,
    is_escaped: bool,
    over: bool,
}

// === impl Parser ===

impl Parser {
    /// A parser at the beginning of a stream, for elements of up to `max_element` bytes.
    pub fn new(max_element: usize) -> Self {
        Parser {
            max_element,
            carry: BytesMut::new(),
            start: None,
            depth: 0,
            is_array: false,
            is_string: false,
            is_escaped: false,
            over: false,
        }
    }

    /// Takes the next bytes of the stream and appends the elements that they complete.
    ///
    /// # Errors
    /// On [`Oversized`] parsing is over for good: `out` has the elements before the large one, and
    /// [`Parser::take_rest`] gives all bytes from that one on, the rest of `chunk` included. Bytes pushed
    /// after that are kept for `take_rest` only, without a bound.
    pub fn push(&mut self, mut chunk: Bytes, out: &mut Vec<Event>) -> Result<(), Oversized> {
        let mut at = 0;
        while let Some(&byte) = chunk.get(at).filter(|_| !self.over) {
            at += 1;
            let length = self.carry.len() + at;
            let is_done = self.step(byte, length);
            self.over = length - self.start.map_or(0, |start| start.min(length)) > self.max_element;
            if is_done && !self.over {
                let rest = chunk.split_off(at);
                out.push(self.element(chunk));
                (chunk, at) = (rest, 0);
            }
        }
        self.carry.extend_from_slice(&chunk);
        if self.over { Err(Oversized { limit: self.max_element }) } else { Ok(()) }
    }

    /// Ends the stream. What is left is delivered as far as it came: without data, but where the document
    /// is a number or a word.
    pub fn finish(&mut self, out: &mut Vec<Event>) {
        if !self.over && !self.carry.is_empty() {
            let raw = self.take_rest();
            let start = self.start.take().filter(|_| !self.is_array && self.depth == 0);
            let data = start.map_or(Bytes::new(), |start| raw.slice(start.min(raw.len())..));
            out.push(Event { raw, data, name: None });
        }
    }

    /// Takes the bytes of the element that is not finished.
    pub fn take_rest(&mut self) -> Bytes {
        self.carry.split().freeze()
    }

    /// One more byte; `length` is that of the element with it. True when that was the element's last.
    fn step(&mut self, byte: u8, length: usize) -> bool {
        if self.is_string {
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' => self.is_escaped = true,
                b'"' => self.is_string = false,
                _ => {}
            }
            return false;
        }
        match byte {
            b'[' if !self.is_array && self.start.is_none() => {
                self.is_array = true;
                return false;
            }
            b' ' | b'\t' | b'\r' | b'\n' | b',' | b']' if self.start.is_none() => return false,
            b'"' => self.is_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        self.start.get_or_insert(length - 1);
        matches!(byte, b'}' | b']') && self.depth == 0
    }

    /// The element that ends with `tail`.
    fn element(&mut self, tail: Bytes) -> Event {
        let start = self.start.take().unwrap_or_default();
        let raw = match self.carry.is_empty() {
            true => tail,
            false => {
                self.carry.extend_from_slice(&tail);
                self.carry.split().freeze()
            }
        };
        let data = raw.slice(start.min(raw.len())..);
        Event { raw, data, name: None }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(stream: &[u8], step: usize, most: usize) -> (Vec<Event>, bool) {
        let (mut parser, mut events) = (Parser::new(most), Vec::new());
        let ok =
            stream.chunks(step.max(1)).all(|chunk| parser.push(Bytes::copy_from_slice(chunk), &mut events).is_ok());
        parser.finish(&mut events);
        (events, ok)
    }

    fn data(events: &[Event]) -> Vec<&str> {
        let all = events.iter().filter(|event| !event.is_empty());
        all.map(|event| std::str::from_utf8(&event.data).unwrap()).collect()
    }

    #[test]
    fn an_array_comes_as_its_elements() {
        for (stream, elements) in [
            ("[]", &[][..]),
            ("[{\"a\":1}\n,\r\n{\"b\":[2,{}]}\n]\n", &["{\"a\":1}", "{\"b\":[2,{}]}"]),
            ("[{\"a\":\"]}\\\"\"}]", &["{\"a\":\"]}\\\"\"}"]),
            ("{\"error\":{\"code\":1}}", &["{\"error\":{\"code\":1}}"]),
            ("[{\"a\":1},{\"b\"", &["{\"a\":1}"]),
            ("", &[]),
        ] {
            for step in 1..=stream.len().max(1) {
                let (events, ok) = parsed(stream.as_bytes(), step, 64);
                assert!(ok);
                assert_eq!(data(&events), elements, "{stream} by {step}");
                let raw: Vec<u8> = events.iter().flat_map(|event| event.raw.to_vec()).collect();
                assert_eq!(raw, stream.as_bytes(), "{stream} by {step}");
            }
        }
    }

    #[test]
    fn an_element_is_bounded() {
        let stream = format!("[{{}},{{\"a\":\"{}\"}}]", "x".repeat(64));
        for step in [1, 7, 1000] {
            let (events, ok) = parsed(stream.as_bytes(), step, 32);
            assert_eq!((data(&events), ok), (vec!["{}"], false));
            let (_, ok) = parsed(&b" ".repeat(100), step, 32);
            assert!(!ok);
        }
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same(bytes in "[\\[\\]{},:\"a \\\\\n]{0,40}", step in 1usize..9) {
            let (whole, ok) = parsed(bytes.as_bytes(), bytes.len(), 64);
            let (split, same) = parsed(bytes.as_bytes(), step, 64);
            prop_assert_eq!((data(&whole), ok), (data(&split), same));
            let raw: Vec<u8> = split.iter().flat_map(|event| event.raw.to_vec()).collect();
            prop_assert_eq!(raw, bytes.as_bytes());
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..64), most in 0usize..20) {
            parsed(&bytes, 3, most);
        }
    }
}
