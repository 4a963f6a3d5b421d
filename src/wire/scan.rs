//! Finds what metering needs in the JSON of any provider: a push scanner in constant memory, for
//! bytes that arrive split anywhere and in any amount. It validates only as far as it must. On demand it
//! keeps the text itself, up to a bound.
//!
//! "Top" is the outermost object, or each object in an outermost array (Gemini's array stream).
//!
//! | found | where |
//! |---|---|
//! | usage | objects `usage`, `usageMetadata`, `usage_info`, `response.usage`, `message.usage`, `delta.usage`, `x_groq.usage`, `meta.billed_units`, `amazon-bedrock-invocationMetrics` of Top; `prompt_eval_count`, `eval_count` of Top; see [`usage`] |
//! | model | strings `model`, `modelVersion`, `response.model`, `message.model` of Top |
//! | service tier | strings `service_tier` at the same places and in a usage object; `serviceTier`, `serviceTier.type` of Top |
//! | finish | strings `finish_reason`, `stop_reason`, `done_reason`, `finishReason`, `blockReason`, `stopReason` inside at most 4 containers |
//! | last | `done` of Top that is `true`; `amazon-bedrock-invocationMetrics` of Top |
//! | error | `error`, `response.error` or `message.error` of Top that is not `null`; `type` of Top that is `error` |
//! | aside | of Top: objects in `data`, `duration`, `size`, `quality`, `type` of a whole image; `total_tokens` of a usage object |
//! | text bytes | strings under the keys of `TEXT`, below a member of Top named in `ROOTS`; a `delta`, `content` or `response` of Top that is a string |
//!
//! Text that a stream repeats is not counted again: in an event whose `type` begins with
//! `response.` only a `.delta` counts, and none of audio; nothing counts in one that ends with
//! `.done` or `.completed`. OpenRouter's `reasoning_details` repeats `reasoning` and counts nothing.

use memchr::memchr2;

use crate::base::json::MAX_DEPTH;

mod close;
mod place;
mod seen;
mod tally;
mod text;
pub mod usage;

pub use seen::{Aside, Seen};

use place::{Frame, OTHER, Place, Slot};
use tally::Tally;
use text::{Capture, Escape, keep};
use usage::{Field, Part, Raw};

/// The classes of one usage object, in whatever provider's spelling.
pub fn read_usage(object: &str) -> Option<crate::llm::Usage> {
    let mut scan = Scan::new();
    for piece in ["{\"usage\":", object, "}"] {
        scan.push(piece.as_bytes());
    }
    scan.seen().usage
}

/// The scanner. See the module's documentation.
#[derive(Clone, Debug)]
pub struct Scan {
    seen: Seen,
    raw: Raw,
    state: State,
    frames: [Frame; MAX_DEPTH],
    depth: usize,
    /// What the value under the key just read is.
    slot: Slot,
    /// What that value's container would be.
    child: Frame,
    capture: Capture,
    escape: Escape,
    /// What is left of `true`, `false` or `null`.
    word: &'static [u8],
    text: Tally,
    modality: (Option<Field>, Option<u64>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Value,
    /// Behind `[`: a value or the end.
    FirstValue,
    Key,
    /// Behind `{`: a key or the end.
    FirstKey,
    Colon,
    /// Behind a value: a comma or the end.
    After,
    InKey,
    InString,
    InNumber,
    InWord,
    /// The outermost value has closed. Another one begins another document.
    Done,
    Dead,
}

// === impl Scan ===

impl Default for Scan {
    fn default() -> Self {
        Scan::new()
    }
}

impl Scan {
    /// A scanner at the beginning of a document.
    pub fn new() -> Self {
        Scan {
            seen: Seen::default(),
            raw: Raw::default(),
            state: State::Value,
            frames: [OTHER; MAX_DEPTH],
            depth: 0,
            slot: Slot::Nothing,
            child: OTHER,
            capture: Capture::default(),
            escape: Escape::default(),
            word: b"",
            text: Tally::default(),
            modality: (None, None),
        }
    }

    /// What has been found so far.
    pub fn seen(&self) -> &Seen {
        &self.seen
    }

    /// Begins another document, such as the next event of a stream. What was found stays.
    pub fn reset(&mut self) {
        self.state = State::Value;
        self.depth = 0;
        self.seen.complete = false;
        self.text.begin();
    }

    /// The provider said that it failed elsewhere than in a document.
    pub fn note_error(&mut self) {
        self.seen.has_error = true;
    }

    /// Takes the next bytes of the document. Bytes that are not JSON end the scan of this document.
    pub fn push(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some(&first) = rest.first() {
            rest = match self.state {
                State::InKey | State::InString => self.string(rest),
                State::InNumber => self.number(rest),
                State::InWord => {
                    self.word(first);
                    &rest[1..]
                }
                State::Dead => return,
                _ => {
                    self.structure(first);
                    &rest[1..]
                }
            };
        }
    }

    /// One byte between values.
    fn structure(&mut self, byte: u8) {
        match (self.state, byte) {
            (_, b' ' | b'\n' | b'\r' | b'\t') => {}
            (State::After, b',') if self.top().object => self.state = State::Key,
            (State::After, b',') => self.state = State::Value,
            (State::After | State::FirstKey, b'}') if self.top().object => self.close(),
            (State::After | State::FirstValue, b']') if !self.top().object => self.close(),
            (State::Key | State::FirstKey, b'"') => self.begin_string(State::InKey),
            (State::Colon, b':') => self.state = State::Value,
            (State::Value | State::FirstValue, _) => self.begin_value(byte),
            (State::Done, _) => {
                self.reset();
                self.begin_value(byte);
            }
            _ => self.die(),
        }
    }

    fn begin_value(&mut self, byte: u8) {
        if self.depth == 0 || !self.top().object {
            self.slot = Slot::Nothing;
            self.child = place::element((self.depth > 0).then(|| self.top()));
        }
        if self.slot == Slot::Error && byte != b'n' {
            self.seen.has_error = true;
        }
        match byte {
            b'{' | b'[' => self.open(byte == b'{'),
            b'"' => self.begin_string(State::InString),
            b'-' | b'0'..=b'9' => {
                self.capture.begin();
                self.capture.push(&[byte]);
                self.state = State::InNumber;
            }
            b't' => {
                self.seen.is_last |= self.slot == Slot::Done;
                self.seen.aside.is_byok |= self.slot == Slot::Byok;
                self.begin_word(b"rue");
            }
            b'f' => self.begin_word(b"alse"),
            b'n' => self.begin_word(b"ull"),
            _ => self.die(),
        }
    }

    fn open(&mut self, object: bool) {
        if self.depth == MAX_DEPTH {
            return self.die();
        }
        let mut frame = Frame { object, ..self.child };
        match (frame.place, object) {
            (Place::Documents, true) => frame.place = Place::Top,
            (Place::Top, false) | (Place::Data, true) => frame.place = Place::Other,
            _ => {}
        }
        if object && self.depth > 0 && self.top().place == Place::Data {
            self.seen.aside.images = self.seen.aside.images.saturating_add(1);
        }
        match frame.place {
            Place::Top => self.text.begin(),
            Place::Usage(part) if part.is_list() => {
                self.modality = (None, None);
            }
            Place::Usage(Part::Invocation) => self.seen.is_last = true,
            _ => {}
        }
        self.frames[self.depth] = frame;
        self.depth += 1;
        self.state = if object { State::FirstKey } else { State::FirstValue };
    }

    fn close(&mut self) {
        match self.top().place {
            Place::Usage(Part::Usage | Part::Invocation) | Place::Top => {
                if let Some(usage) = self.raw.normalise() {
                    self.seen.usage = Some(usage);
                }
            }
            Place::Usage(part) if part.is_list() => {
                if let (Some(field), Some(count)) = std::mem::take(&mut self.modality) {
                    self.raw.set(field, count);
                }
            }
            _ => {}
        }
        self.depth -= 1;
        self.end_value();
    }

    fn end_value(&mut self) {
        self.seen.complete = self.depth == 0;
        self.state = if self.depth == 0 { State::Done } else { State::After };
    }

    fn die(&mut self) {
        self.seen.malformed = true;
        self.state = State::Dead;
    }

    /// The innermost open container.
    fn top(&self) -> Frame {
        self.depth.checked_sub(1).map_or(OTHER, |top| self.frames[top])
    }

    fn begin_word(&mut self, rest: &'static [u8]) {
        self.word = rest;
        self.state = State::InWord;
    }

    fn word(&mut self, byte: u8) {
        match self.word {
            [next, rest @ ..] if *next == byte => {
                self.word = rest;
                if rest.is_empty() {
                    self.end_value();
                }
            }
            _ => self.die(),
        }
    }

    /// Takes a number as far as it goes; gives back what is behind it.
    fn number<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let inside = |byte: &u8| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-');
        let end = bytes.iter().position(|byte| !inside(byte)).unwrap_or(bytes.len());
        let (number, rest) = bytes.split_at(end);
        if self.slot != Slot::Nothing {
            self.capture.push(number);
        }
        if !rest.is_empty() {
            self.end_number();
            self.end_value();
        }
        rest
    }

    fn begin_string(&mut self, state: State) {
        self.capture.begin();
        self.escape = Escape::default();
        self.state = state;
    }

    /// Takes a string as far as it goes; gives back what is behind it.
    fn string<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let mut rest = bytes;
        while let [first, behind @ ..] = rest {
            if self.escape.is_open() {
                match self.escape.push(*first) {
                    Some(decoded) => self.take(decoded.as_bytes()),
                    None => self.die(),
                }
                if self.state == State::Dead {
                    return &[];
                }
                rest = behind;
                continue;
            }
            let plain = memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
            let (text, tail) = rest.split_at(plain);
            if tail.first() != Some(&b'\\') || plain > 0 {
                let lone = self.escape.flush();
                self.take(lone.as_bytes());
                self.take(text);
            }
            match tail {
                [b'"', behind @ ..] => {
                    self.end_string();
                    return behind;
                }
                [_, behind @ ..] => {
                    self.escape.open();
                    rest = behind;
                }
                [] => return &[],
            }
        }
        rest
    }

    /// Takes decoded bytes of a string.
    fn take(&mut self, bytes: &[u8]) {
        match (self.state, self.slot) {
            (State::InKey, _) => self.capture.push(bytes),
            (_, Slot::Text) => self.seen.text_bytes = self.seen.text_bytes.saturating_add(self.text.push(bytes)),
            (_, slot) if slot.is_word() => self.capture.push(bytes),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
