//! A response body that follows a [`Program`]: paced, encoded, cut off, with trailers. It yields one
//! frame per event and lets hyper flush before the next, and it keeps the tally.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Sleep, sleep};

use super::dialect::frames::Frames;
use super::encode::{Coding, Encoder};
use super::program::Program;
use super::stream::Script;
use super::tally::Ticket;

/// One piece of a body, written as one frame.
pub(super) struct Event {
    pub(super) bytes: Bytes,
    /// Completion tokens whose text is in it.
    pub(super) tokens: u64,
}

/// Where a body's events come from.
pub(super) enum Source {
    Whole(Option<Event>),
    Script(Box<Script>),
    Frames(Box<Frames>),
}

/// The body of every answer of the mock.
pub(super) struct MockBody {
    source: Source,
    ticket: Option<Ticket>,
    stage: Stage,
    /// Runs before the next frame.
    pause: Option<Pin<Box<Sleep>>>,
    /// Give hyper a turn, to flush, before the next frame.
    breathe: bool,
    spacing: Duration,
    encoder: Option<Encoder>,
    /// Bytes that may still go out before the connection is dropped.
    left: Option<u64>,
    trailers: bool,
    /// The length to announce.
    length: Option<u64>,
}

/// What the next poll yields.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Events,
    Trailers,
    Abort,
    Done,
}

/// The program ordered the connection to be dropped here.
#[derive(Debug, thiserror::Error)]
#[error("the response was ordered to end here")]
pub(super) struct Aborted;

/// Between the last byte and the drop, so that the peer reads the one before it sees the other.
const BEFORE_ABORT: Duration = Duration::from_millis(10);

/// The trailer that `x-mock-trailers` orders.
pub(super) const TRAILER: HeaderName = HeaderName::from_static("x-mock-trailer");

// === impl Source ===

impl Source {
    /// A body of one piece that holds no completion tokens.
    pub(super) fn plain(bytes: impl Into<Bytes>) -> Source {
        Source::Whole(Some(Event { bytes: bytes.into(), tokens: 0 }))
    }

    /// The bytes of a whole answer before any encoding.
    pub(super) fn length(&self) -> Option<usize> {
        match self {
            Source::Whole(event) => event.as_ref().map(|event| event.bytes.len()),
            Source::Script(_) | Source::Frames(_) => None,
        }
    }

    fn next(&mut self) -> Option<Event> {
        match self {
            Source::Whole(event) => event.take(),
            Source::Script(script) => script.next_event(),
            Source::Frames(frames) => frames.next_event(),
        }
    }

    fn is_done(&self) -> bool {
        match self {
            Source::Whole(event) => event.is_none(),
            Source::Script(script) => script.is_done(),
            Source::Frames(frames) => frames.is_done(),
        }
    }

    /// True when its end is a failure of the provider's.
    fn fails(&self) -> bool {
        match self {
            Source::Whole(_) => false,
            Source::Script(script) => script.fails(),
            Source::Frames(frames) => frames.fails(),
        }
    }
}

// === impl MockBody ===

impl MockBody {
    /// No body at all.
    pub(super) fn empty() -> MockBody {
        MockBody {
            source: Source::Whole(None),
            ticket: None,
            stage: Stage::Done,
            pause: None,
            breathe: false,
            spacing: Duration::ZERO,
            encoder: None,
            left: None,
            trailers: false,
            length: Some(0),
        }
    }

    /// `source`, with what `program` orders for every body. `trailers` and `coding` are decided by the
    /// caller, who sees the request.
    pub(super) fn new(
        mut source: Source,
        ticket: Option<Ticket>,
        program: &Program,
        coding: Option<Coding>,
        trailers: bool,
    ) -> Self {
        let mut length = None;
        if let Source::Whole(Some(event)) = &mut source {
            if let Some(coding) = coding {
                event.bytes = coding.whole(&event.bytes);
            }
            length = Some(event.bytes.len() as u64).filter(|_| !trailers);
        }
        let streamed = !matches!(source, Source::Whole(_));
        let mut body = MockBody {
            source,
            ticket,
            stage: Stage::Events,
            pause: None,
            breathe: false,
            spacing: program.spacing,
            encoder: coding.filter(|_| streamed).map(Encoder::new),
            left: program.abort,
            trailers,
            length,
        };
        if body.left == Some(0) {
            body.abort();
        } else if body.source.is_done() || body.length == Some(0) {
            body.end();
        }
        body.wait(program.ttft);
        body
    }

    fn wait(&mut self, time: Duration) {
        if !time.is_zero() {
            self.pause = Some(Box::pin(sleep(time)));
        }
    }

    fn abort(&mut self) {
        self.stage = Stage::Abort;
        self.wait(BEFORE_ABORT);
    }

    /// All events are out.
    fn end(&mut self) {
        self.stage = if self.trailers { Stage::Trailers } else { Stage::Done };
        if let Some(ticket) = self.ticket.as_ref().filter(|_| self.stage == Stage::Done && !self.source.fails()) {
            ticket.complete();
        }
    }

    fn encode(&mut self, bytes: Bytes, last: bool) -> Bytes {
        match &mut self.encoder {
            Some(encoder) => encoder.push(&bytes, last),
            None => bytes,
        }
    }

    /// The next event as a frame, and what comes after it.
    fn step(&mut self) -> Option<Frame<Bytes>> {
        let Event { bytes, tokens } = self.source.next()?;
        let last = self.source.is_done();
        let mut bytes = self.encode(bytes, last);
        let size = bytes.len() as u64;
        // An event of which a part is missing has not been said.
        let whole = self.left.is_none_or(|left| size <= left);
        if let Some(ticket) = self.ticket.as_ref().filter(|_| whole && tokens > 0) {
            ticket.produced(tokens);
        }
        match &mut self.left {
            Some(left) if size >= *left => {
                bytes.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
                self.abort();
            }
            left => {
                if let Some(left) = left {
                    *left -= size;
                }
                if last {
                    self.end();
                } else {
                    self.wait(self.spacing);
                    self.breathe = true;
                }
            }
        }
        Some(Frame::data(bytes))
    }
}

impl Body for MockBody {
    type Data = Bytes;
    type Error = Aborted;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
        let body = self.get_mut();
        if let Some(pause) = &mut body.pause {
            ready!(pause.as_mut().poll(cx));
            body.pause = None;
        } else if std::mem::take(&mut body.breathe) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        body.breathe = false;
        Poll::Ready(match body.stage {
            Stage::Events => body.step().map(Ok),
            Stage::Abort => {
                body.stage = Stage::Done;
                Some(Err(Aborted))
            }
            Stage::Trailers => {
                body.trailers = false;
                body.end();
                Some(Ok(Frame::trailers(HeaderMap::from_iter([(TRAILER, HeaderValue::from_static("end"))]))))
            }
            Stage::Done => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.stage == Stage::Done
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
