//! A turn as a stream, one event at a time: each is made when it is asked for. The order of steps is the
//! same for every dialect; its [`Voice`] says which events a step is, if any. What the program breaks is
//! broken here.

use std::collections::VecDeque;
use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::super::body::Event;
use super::super::program::{Malformed, Program};
use super::eventstream;
use super::turn::{Block, Turn};

/// How one dialect says a turn.
pub(in crate::mock) trait Voice: Send + Sync {
    /// The whole answer.
    fn whole(&self, turn: &Turn) -> Value;

    /// Appends the events of one step.
    fn step(&mut self, turn: &Turn, step: Step<'_>, out: &mut VecDeque<Piece>);

    /// The event that says that the stream has failed.
    fn error(&mut self, turn: &Turn) -> Piece;

    /// Takes back so many events that were made and will not be sent; an error follows.
    fn unsend(&mut self, _events: u64) {}

    fn framing(&self) -> Framing;
}

/// A step of a stream. Each choice takes its own course through its blocks, one choice after the other.
#[derive(Clone, Copy)]
pub(in crate::mock) enum Step<'a> {
    Start,
    Open(At<'a>),
    /// Some of a block's words.
    Words(At<'a>, u64, u64),
    Close(At<'a>),
    /// The end of a choice.
    Finish(u32),
    /// The last, which `x-mock-no-done` leaves out.
    Done,
}

/// A block of a choice.
#[derive(Clone, Copy)]
pub(in crate::mock) struct At<'a> {
    pub(in crate::mock) choice: u32,
    /// Number of the block.
    pub(in crate::mock) index: usize,
    pub(in crate::mock) block: &'a Block,
}

/// One event before it is framed.
#[derive(Clone, Debug)]
pub(in crate::mock) struct Piece {
    /// Its type where the frame carries it.
    pub(in crate::mock) name: Option<&'static str>,
    /// A string goes out as it is, without quotes.
    pub(in crate::mock) data: Value,
    /// Completion tokens whose text is in it.
    pub(in crate::mock) tokens: u64,
}

/// How events stand in the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mock) enum Framing {
    /// Server-sent events.
    Sse,
    /// The elements of one JSON array (Google's default without `alt=sse`).
    Array,
    /// A JSON object a line.
    Lines,
    /// Messages of AWS's event stream; a name that ends with `Exception` is one.
    EventStream,
}

/// The events of one stream.
pub(in crate::mock) struct Frames {
    turn: Turn,
    voice: Box<dyn Voice>,
    framing: Framing,
    program: Program,
    /// The next step.
    at: Cursor,
    chunk_words: u64,
    /// Word steps before the broken event.
    broken_in: Option<u64>,
    /// Events before the error.
    error_in: Option<u64>,
    failed: bool,
    first: bool,
    ready: VecDeque<Piece>,
    /// An event that is cut in its middle stands before the next.
    broken: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Cursor {
    Start,
    Open(u32, usize),
    Words(u32, usize, u64),
    Close(u32, usize),
    Finish(u32),
    Done,
    End,
}

// === impl Piece ===

impl Piece {
    pub(in crate::mock) fn new(name: Option<&'static str>, data: Value, tokens: u64) -> Piece {
        Piece { name, data, tokens }
    }
}

// === impl Frames ===

impl Frames {
    pub(in crate::mock) fn new(turn: Turn, voice: Box<dyn Voice>, program: &Program) -> Frames {
        let most = turn.blocks.iter().map(|block| block.words).max().unwrap_or(0);
        let chunk_words = match program.chunks {
            Some(chunks) => most.div_ceil(u64::from(chunks)).max(1),
            None => u64::from(program.chunk_tokens.max(1)),
        };
        let rounds: u64 = turn.blocks.iter().map(|block| block.words.div_ceil(chunk_words)).sum();
        let middle = rounds * u64::from(turn.choices) / 2;
        let mut frames = Frames {
            framing: voice.framing(),
            turn,
            voice,
            program: program.clone(),
            at: Cursor::Start,
            chunk_words,
            broken_in: (program.malformed == Some(Malformed::Frame)).then_some(middle),
            error_in: program.error_event.map(u64::from),
            failed: false,
            first: true,
            ready: VecDeque::new(),
            broken: false,
        };
        frames.fill();
        frames
    }

    pub(in crate::mock) fn is_done(&self) -> bool {
        self.ready.is_empty()
    }

    /// True when the stream has ended with an error event.
    pub(in crate::mock) fn fails(&self) -> bool {
        self.failed
    }

    pub(in crate::mock) fn next_event(&mut self) -> Option<Event> {
        let piece = self.ready.pop_front()?;
        let tokens = piece.tokens;
        if self.error_in == Some(0) {
            self.voice.unsend(1 + self.ready.len() as u64);
            self.ready.clear();
            (self.at, self.failed) = (Cursor::End, true);
            let error = self.voice.error(&self.turn);
            return Some(Event { bytes: self.frame(&error, false).into(), tokens: 0 });
        }
        self.error_in = self.error_in.map(|left| left - 1);
        if std::mem::take(&mut self.broken) {
            let bytes = self.frame(&piece, true);
            self.ready.push_front(piece);
            return Some(Event { bytes: bytes.into(), tokens: 0 });
        }
        self.fill();
        Some(Event { bytes: self.frame(&piece, false).into(), tokens })
    }

    /// Makes events until there is one, or the stream is over.
    fn fill(&mut self) {
        while self.ready.is_empty() && self.at != Cursor::End {
            let now = std::mem::replace(&mut self.at, Cursor::End);
            self.at = self.after(now);
            if let Some(step) = step(&self.turn, &self.program, self.chunk_words, now) {
                if matches!(step, Step::Words(..)) {
                    self.broken = self.broken_in == Some(0);
                    self.broken_in = self.broken_in.and_then(|left| left.checked_sub(1));
                }
                self.voice.step(&self.turn, step, &mut self.ready);
            }
        }
    }

    fn after(&self, at: Cursor) -> Cursor {
        let words = |index: usize| self.turn.blocks.get(index).map_or(0, |block| block.words);
        let block = |choice, index| match index < self.turn.blocks.len() {
            true => Cursor::Open(choice, index),
            false => Cursor::Finish(choice),
        };
        match at {
            Cursor::Start => block(0, 0),
            Cursor::Open(choice, index) if words(index) == 0 => Cursor::Close(choice, index),
            Cursor::Open(choice, index) => Cursor::Words(choice, index, 0),
            Cursor::Words(choice, index, from) if from + self.chunk_words < words(index) => {
                Cursor::Words(choice, index, from + self.chunk_words)
            }
            Cursor::Words(choice, index, _) => Cursor::Close(choice, index),
            Cursor::Close(choice, index) => block(choice, index + 1),
            Cursor::Finish(choice) if choice + 1 < self.turn.choices => block(choice + 1, 0),
            Cursor::Finish(_) => Cursor::Done,
            Cursor::Done | Cursor::End => Cursor::End,
        }
    }

    /// An event as it stands in the body; `cut` leaves half of its data out, or spoils its checksum.
    fn frame(&mut self, piece: &Piece, cut: bool) -> Vec<u8> {
        let mut data = match &piece.data {
            Value::String(raw) => raw.clone(),
            json => json.to_string(),
        };
        if self.program.stamp {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
            data = data.replacen('{', &format!("{{\"sent_ns\":{now},"), 1);
        }
        if cut && self.framing != Framing::EventStream {
            let half = (0..=data.len() / 2).rev().find(|at| data.is_char_boundary(*at));
            data.truncate(half.unwrap_or(0));
        }
        let first = std::mem::take(&mut self.first);
        match self.framing {
            Framing::Sse => self.sse(piece.name, &data),
            Framing::Array => self.element(&data, first),
            Framing::Lines => self.line(data),
            Framing::EventStream => message(piece.name.unwrap_or_default(), data.as_bytes(), cut),
        }
    }

    fn sse(&self, name: Option<&str>, data: &str) -> Vec<u8> {
        let (end, mut out) = (self.program.line_end, Vec::with_capacity(data.len() + 64));
        // Writing to a Vec does not fail, here and below.
        if self.program.comment {
            let _ = write!(out, ": ping{end}{end}");
        }
        if let Some(name) = name {
            let _ = write!(out, "event: {name}{end}");
        }
        let _ = write!(out, "data: {data}");
        if self.program.final_newline || !self.is_done() {
            let _ = write!(out, "{end}{end}");
        }
        out
    }

    fn line(&self, mut data: String) -> Vec<u8> {
        if self.program.final_newline || !self.is_done() {
            data.push_str(self.program.line_end);
        }
        data.into_bytes()
    }

    /// Google writes `[{…}`, then `,\r\n{…}` for each further element, then `]`.
    fn element(&self, data: &str, first: bool) -> Vec<u8> {
        let before = if first { "[" } else { ",\r\n" };
        let after = if self.is_done() && !self.program.no_done { "]" } else { "" };
        format!("{before}{data}{after}").into_bytes()
    }
}

/// What to say at a place.
fn step<'a>(turn: &'a Turn, program: &Program, chunk_words: u64, at: Cursor) -> Option<Step<'a>> {
    let place = |choice, index| Some(At { choice, index, block: turn.blocks.get(index)? });
    Some(match at {
        Cursor::Start => Step::Start,
        Cursor::Open(choice, index) => Step::Open(place(choice, index)?),
        Cursor::Words(choice, index, from) => {
            let at = place(choice, index)?;
            Step::Words(at, from, chunk_words.min(at.block.words - from))
        }
        Cursor::Close(choice, index) => Step::Close(place(choice, index)?),
        Cursor::Finish(choice) => Step::Finish(choice),
        Cursor::Done if program.no_done => return None,
        Cursor::Done => Step::Done,
        Cursor::End => return None,
    })
}

/// A message of the event stream; a broken one has a checksum that is not its own.
fn message(name: &str, payload: &[u8], broken: bool) -> Vec<u8> {
    let frame = match name.ends_with("Exception") {
        true => eventstream::exception(name, payload),
        false => eventstream::event(name, payload),
    };
    if broken { eventstream::spoil(frame) } else { frame }
}
