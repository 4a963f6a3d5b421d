//! The phase table: which action is legal when, and which phase it leads to, per body mode. It is
//! what Envoy 1.40 was seen to accept; everything else was seen to fail or was not tried, and is
//! illegal here. The exchange moves only along this table, and the model of Envoy in the tests is
//! built from it.

use super::event::Action;

/// How the proxy sends bodies (`ext_proc` v3 `ProcessingMode.BodySendMode`, request and response).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum BodyMode {
    /// `FULL_DUPLEX_STREAMED` both ways.
    #[default]
    FullDuplex,
    /// `BUFFERED` request, `STREAMED` response.
    BufferedStreamed,
    /// `BUFFERED` both ways.
    Buffered,
}

/// Where an exchange stands, as the proxy sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Nothing has come yet.
    Fresh,
    /// The request is arriving and nothing has been answered.
    Arriving,
    /// The request has ended and nothing has been answered.
    Complete,
    /// The request goes on as it comes; no response yet.
    Passing,
    /// The whole request was sent on; no response yet.
    Sent,
    /// The response's head came, and a body will; the head is not answered.
    Held,
    /// The response's head came, and it is all there is; it is not answered.
    HeldBare,
    /// The response's head was answered; its body goes on.
    Streaming,
    /// A local answer was begun; its body goes on.
    Local,
    /// Nothing more may be said to the proxy.
    Done,
}

/// An action without its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Pass,
    Forward,
    Respond,
    Open,
    Head,
    Emit,
    /// An `Emit` that ends the body.
    Last,
    Retry,
    /// Asks, wake-ups and what is kept: they concern the host alone.
    Wait,
    Note,
}

/// One legal action: in this phase, of this kind, in these modes, leads there.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub phase: Phase,
    pub kind: Kind,
    pub modes: &'static [BodyMode],
    pub next: Phase,
}

const EVERY: &[BodyMode] = &[BodyMode::FullDuplex, BodyMode::BufferedStreamed, BodyMode::Buffered];
/// A streamed local answer exists in one mode only (`StreamedImmediateResponse`, Envoy 1.37).
const DUPLEX: &[BodyMode] = &[BodyMode::FullDuplex];

/// Modes in which a response's head can wait for its body.
const HOLDING: &[BodyMode] = &[BodyMode::FullDuplex, BodyMode::Buffered];

const fn row(phase: Phase, kind: Kind, modes: &'static [BodyMode], next: Phase) -> Row {
    Row { phase, kind, modes, next }
}

/// All that is legal.
pub const TABLE: &[Row] = &[
    row(Phase::Arriving, Kind::Pass, EVERY, Phase::Passing),
    row(Phase::Arriving, Kind::Respond, EVERY, Phase::Done),
    row(Phase::Arriving, Kind::Wait, EVERY, Phase::Arriving),
    row(Phase::Complete, Kind::Pass, EVERY, Phase::Passing),
    row(Phase::Complete, Kind::Forward, EVERY, Phase::Sent),
    row(Phase::Complete, Kind::Respond, EVERY, Phase::Done),
    // Before the request has ended, Envoy 1.40 would send the client's own headers, credentials
    // included, to the default route.
    row(Phase::Complete, Kind::Open, DUPLEX, Phase::Local),
    row(Phase::Complete, Kind::Wait, EVERY, Phase::Complete),
    row(Phase::Passing, Kind::Wait, EVERY, Phase::Passing),
    row(Phase::Sent, Kind::Wait, EVERY, Phase::Sent),
    row(Phase::Sent, Kind::Retry, EVERY, Phase::Sent),
    row(Phase::Held, Kind::Head, EVERY, Phase::Streaming),
    row(Phase::Held, Kind::Respond, EVERY, Phase::Done),
    // A head whose body is streamed goes on before any of it comes: it cannot wait.
    row(Phase::Held, Kind::Wait, HOLDING, Phase::Held),
    // No body message may follow a head that ended the response, not even an empty one.
    row(Phase::HeldBare, Kind::Head, EVERY, Phase::Done),
    row(Phase::HeldBare, Kind::Respond, EVERY, Phase::Done),
    row(Phase::HeldBare, Kind::Wait, EVERY, Phase::HeldBare),
    row(Phase::Streaming, Kind::Emit, EVERY, Phase::Streaming),
    row(Phase::Streaming, Kind::Last, EVERY, Phase::Done),
    row(Phase::Streaming, Kind::Wait, EVERY, Phase::Streaming),
    row(Phase::Local, Kind::Emit, DUPLEX, Phase::Local),
    row(Phase::Local, Kind::Last, DUPLEX, Phase::Done),
    row(Phase::Local, Kind::Wait, DUPLEX, Phase::Local),
];

/// The phase that `kind` leads to, or none where it is illegal. Notes are legal everywhere.
pub fn next(mode: BodyMode, phase: Phase, kind: Kind) -> Option<Phase> {
    if kind == Kind::Note {
        return Some(phase);
    }
    TABLE.iter().find(|row| row.phase == phase && row.kind == kind && row.modes.contains(&mode)).map(|row| row.next)
}

/// True where an exchange may stand still between two events.
pub fn may_wait(mode: BodyMode, phase: Phase) -> bool {
    matches!(phase, Phase::Fresh | Phase::Done) || next(mode, phase, Kind::Wait).is_some()
}

// === impl BodyMode ===

impl BodyMode {
    /// True where a response's head can wait for its body.
    pub fn holds_responses(self) -> bool {
        may_wait(self, Phase::Held)
    }

    /// What becomes of it for a request that passes: its body, and the answer's, come chunk by chunk.
    pub fn passing(self) -> BodyMode {
        match self {
            BodyMode::FullDuplex => BodyMode::FullDuplex,
            BodyMode::BufferedStreamed | BodyMode::Buffered => BodyMode::BufferedStreamed,
        }
    }
}

// === impl Kind ===

impl Kind {
    /// What an action is.
    pub fn of(action: &Action) -> Kind {
        match action {
            Action::Pass(_) => Kind::Pass,
            Action::Forward { .. } => Kind::Forward,
            Action::Respond(_) => Kind::Respond,
            Action::Open(_) => Kind::Open,
            Action::Head(_) => Kind::Head,
            Action::Emit { end: false, .. } => Kind::Emit,
            Action::Emit { end: true, .. } => Kind::Last,
            Action::Retry(..) => Kind::Retry,
            Action::Ask(..) | Action::Wake(_) | Action::Keep(_) => Kind::Wait,
            Action::Note(_) => Kind::Note,
        }
    }
}

// === impl Phase ===

impl Phase {
    /// True while the request has not been answered in any way.
    pub fn is_unanswered(self) -> bool {
        matches!(self, Phase::Arriving | Phase::Complete)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_row_stands_twice_and_done_is_the_end() {
        for (at, row) in TABLE.iter().enumerate() {
            let twin = TABLE[at + 1..].iter().find(|other| other.phase == row.phase && other.kind == row.kind);
            assert!(twin.is_none(), "{row:?} stands twice");
            assert_ne!(row.phase, Phase::Done);
            assert_ne!(row.phase, Phase::Fresh);
        }
    }

    #[test]
    fn a_streamed_answer_needs_a_request_that_has_ended_and_the_duplex_mode() {
        assert_eq!(next(BodyMode::FullDuplex, Phase::Complete, Kind::Open), Some(Phase::Local));
        assert_eq!(next(BodyMode::FullDuplex, Phase::Arriving, Kind::Open), None);
        assert_eq!(next(BodyMode::Buffered, Phase::Complete, Kind::Open), None);
    }
}
