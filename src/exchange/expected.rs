//! What the request has settled about its answer, and how far an answer is that is written anew.

use super::Exchange;
use super::steps::Deciding;
use crate::cache::Ticket;
use crate::llm::{Delta, Fold, Format};
use crate::target::Target;
use crate::wire::codec::Envelope;
use crate::wire::passage::Asked;
use crate::wire::{self, Outbound, Passage, Writing};

/// What the request has settled about its answer.
pub(super) struct Expected {
    /// The client did not ask for a usage event, and Weir did.
    pub trims: bool,
    /// How the call left, where that is known.
    pub passage: Option<Passage>,
    /// What the answer must know of the request.
    pub asked: Asked,
    /// For whom an answer is written.
    pub to: Writing,
    pub lead: Option<Ticket>,
    /// Streams of sounds and images have end events of their own, and not all of them have one: the end of
    /// the body is theirs.
    pub is_media: bool,
    /// The stream may have to be ended, and what was sent of it has to be known for that.
    pub follows: bool,
}

/// How far an answer is that is written anew, or followed so that it can be ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Crossed {
    /// Its head was sent.
    pub opened: bool,
    /// Something of it was.
    pub said: bool,
    /// Its own end was seen.
    pub complete: bool,
    /// An error was said instead.
    pub failed: bool,
    /// It is written anew at all.
    pub on: bool,
    /// What was begun is a stream.
    pub streams: bool,
    /// What is open of it.
    pub choices: Choices,
    /// The choices that call a tool, a bit each.
    calls: u128,
}

/// Which choices of a stream have begun, and which have ended: a bit each, of the first 128.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Choices {
    begun: u128,
    finished: u128,
}

// === impl Choices ===

impl Choices {
    /// Looks at what is sent.
    pub fn see(&mut self, delta: &Delta) {
        let Some(bit) = delta.choice().and_then(|choice| 1_u128.checked_shl(choice)) else { return };
        match delta {
            Delta::Finish { .. } => self.finished |= bit,
            _ => self.begun |= bit,
        }
    }

    /// Those that have to be ended. Where nothing was seen of any it is the first.
    pub fn open(self) -> impl Iterator<Item = u32> {
        let begun = if self == Choices::default() { 1 } else { self.begun };
        (0..u128::BITS).filter(move |choice| (begun & !self.finished) >> choice & 1 == 1)
    }
}

// === impl Crossed ===

impl Crossed {
    /// Nothing more is to be written.
    pub fn over(self) -> bool {
        self.complete || self.failed
    }

    /// A choice calls a tool. Those beyond the first 128 share the last place.
    pub fn call(&mut self, choice: u32) {
        self.calls |= 1 << choice.min(127);
    }

    pub fn has_called(self, choice: u32) -> bool {
        self.calls & (1 << choice.min(127)) != 0
    }
}

// === impl Expected ===

impl Expected {
    /// The answer is not in the client's form.
    pub fn crosses(&self) -> bool {
        self.passage.is_some_and(Passage::crosses)
    }

    /// The answer is in the client's format, and a stream of it in another framing.
    pub fn reframes(&self) -> bool {
        self.chat()
            .is_some_and(|(client, outbound)| client == Format::Messages && outbound.envelope == Envelope::Invoke)
    }

    /// What the client speaks, and how the call left, if it is a chat.
    pub fn chat(&self) -> Option<(Format, Outbound)> {
        self.passage.and_then(Passage::chat)
    }
}

// === impl Exchange ===

impl Exchange {
    /// What the answer to this request will need, from wherever it comes.
    pub(super) fn expect(&mut self, deciding: &Deciding, target: &Target, asked: Asked) {
        let passage = Self::passage(deciding, target);
        let is_written = deciding.lead.is_some() || passage.is_some_and(Passage::crosses);
        let call = &deciding.fields.call;
        let crosses = passage.is_some_and(Passage::crosses);
        let chat = passage.and_then(Passage::chat);
        // A stream that passes and may have to be ended is followed, so that what is open in it can be closed. One
        // answer of OpenAI's has nothing to close.
        let is_plain = chat.is_some_and(|(client, _)| client == Format::Chat);
        let follows = chat.is_some() && !crosses && self.allowance.is_short() && (!is_plain || call.choices > 1);
        let expected = Expected {
            trims: self.asks_usage(deciding, target),
            passage,
            asked,
            to: self.writing(deciding, is_written),
            lead: deciding.lead,
            is_media: call.operation.is_media(),
            follows,
        };
        let read = chat.filter(|_| crosses || follows || deciding.lead.is_some());
        self.response.reader = read.map(|(_, outbound)| wire::codec(outbound.format).stream_reader());
        let codec = wire::codec_of(self.story.dialect, self.story.operation);
        // An earlier attempt may have gone to a provider that speaks otherwise.
        let writes = (crosses && chat.is_some()) || (follows && !is_plain);
        self.response.crossed.choices = Choices::default();
        self.response.writer = if writes { codec.stream_writer(expected.to.clone()) } else { None };
        self.response.fold = deciding.lead.map(|_| Fold::default());
        self.response.expected = Some(expected);
    }
}
