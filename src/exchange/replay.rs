//! An answer that was not asked of the provider: a kept one, as a document or as a stream in the
//! client's dialect.

use bytes::Bytes;

use super::Exchange;
use super::event::{Action, Local, Meta};
use super::explain::EXPLAIN_HEADER;
use super::phase::BodyMode;
use super::record::Outcome;
use super::request::State;
use super::steps::Deciding;
use super::story::Bill;
use crate::llm::{Code, Refusal, Reply};
use crate::wire;

/// Answers are written to the proxy in pieces of about this size.
const PIECE: usize = 32 << 10;

// === impl Exchange ===

impl Exchange {
    /// Answers with a kept reply: as it was asked for, whatever form it was kept in.
    pub(super) fn replay(&mut self, reply: &Reply, deciding: &Deciding, out: &mut Vec<Action>) {
        let call = &deciding.fields.call;
        let codec = wire::codec_of(call.dialect, call.operation);
        let to = self.writing(deciding, true);
        let (mut body, mut dropped) = (Vec::new(), std::mem::take(&mut self.story.dropped));
        let writer = if call.stream { codec.stream_writer(to.clone()) } else { None };
        match writer {
            Some(mut writer) => {
                reply.steps().iter().for_each(|delta| writer.write(delta, &mut body, &mut dropped));
            }
            None if call.stream => {
                let refusal = Refusal::new(Code::UnsupportedValue, "Streams in this format are not written.");
                return self.refuse(refusal, out);
            }
            None => codec.write_reply(reply, &to, &mut body, &mut dropped),
        }
        self.story.dropped = dropped;
        let streamed = call.stream && self.setup.mode == BodyMode::FullDuplex;
        self.answer(Bytes::from(body), call.stream, streamed, Outcome::Replayed, out);
    }

    /// Sends a complete local answer and writes the record.
    pub(super) fn answer(
        &mut self,
        body: Bytes,
        events: bool,
        streamed: bool,
        outcome: Outcome,
        out: &mut Vec<Action>,
    ) {
        self.request = State::Released(None);
        self.story.left = true;
        self.story.status = 200;
        self.story.decided(self.now.mono);
        self.story.response_bytes = body.len() as u64;
        let bill = Bill::free();
        let meta = self.closing_meta(&bill, outcome);
        let mut local = self.local_head(events);
        if streamed {
            self.push(Action::Open(local), out);
            self.emit_pieces(body, meta, out);
        } else {
            local.body = body;
            local.meta = meta;
            self.push(Action::Respond(local), out);
        }
        self.tell_bill(outcome, &bill, out);
    }

    fn emit_pieces(&mut self, mut body: Bytes, meta: Meta, out: &mut Vec<Action>) {
        while body.len() > PIECE {
            let bytes = body.split_to(PIECE);
            self.push(Action::Emit { bytes, end: false, meta: Meta::new() }, out);
        }
        self.push(Action::Emit { bytes: body, end: true, meta }, out);
    }

    /// The head of a successful local answer.
    pub(super) fn local_head(&self, events: bool) -> Local {
        let kind = match events {
            true => {
                let codec = wire::codec_of(self.story.dialect, self.story.operation);
                let array = self.response.expected.as_ref().is_some_and(|expected| expected.to.array);
                codec.stream_type(array)
            }
            false => "application/json",
        };
        let mut local = Local { status: 200, ..Local::default() };
        local.headers.push(("content-type".into(), kind.into()));
        self.cache_headers(&mut local);
        if self.profile.response_headers.request_id {
            local.headers.push(("x-weir-request-id".into(), (&self.story.id).into()));
        }
        local.headers.extend(self.reason().map(|reason| (EXPLAIN_HEADER.into(), reason.into())));
        local
    }
}
