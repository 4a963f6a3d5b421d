//! How an answer ends when it cannot go on: one that is written anew with an error that its client can read in the
//! form in which it was begun, and a stream that may not go on as if its length were reached.

use bytes::Bytes;

use super::Exchange;
use super::event::{Action, Length, Local, ResponseHead};
use super::expected::Expected;
use super::record::Outcome;
use super::response::Body;
use crate::base::json::Tree;
use crate::llm::{Code, Delta, Dropped, Fault, FaultKind, Finish, Format, Refusal, UsageSource};
use crate::wire::Writing;
use crate::wire::codec::Said;

/// The status of an error that comes with that of a success, as the first event of a stream or as a document,
/// and says none.
const UNMARKED: u16 = 500;

/// The most of a provider's compressed error that is read.
const FAULT: usize = 1 << 20;

// === impl Exchange ===

impl Exchange {
    /// The answer is its head alone.
    pub(super) fn cross_bare(&mut self, head: &ResponseHead, out: &mut Vec<Action>) {
        if head.status < 400 {
            return self.fail_crossing("it has no body", out);
        }
        let said = Said { status: head.status, error_type: head.headers.get("x-amzn-errortype"), body: b"" };
        let mut fault = self.reader_codec().read_fault(&said);
        self.carry(head);
        let told = self.tell_retry(&mut fault);
        let body = Bytes::from(self.writer_codec().write_fault(&fault));
        // No body can be added to a head that has none: the whole answer is said here.
        let mut local = Local { status: fault.status(), body, ..Local::default() };
        local.headers.push(("content-type".into(), "application/json".into()));
        self.carry_to(&mut local);
        local.headers.extend(told.into_iter().map(|(name, text)| (name.into(), text)));
        if self.profile.response_headers.request_id {
            local.headers.push(("x-weir-request-id".into(), (&self.story.id).into()));
        }
        if let Some(name) = self.writer_codec().id_header() {
            local.headers.push((name.into(), (&self.story.id).into()));
        }
        self.story.status = local.status;
        self.response.crossed.failed = true;
        let bill = self.bill();
        local.meta = self.closing_meta(&bill, Outcome::UpstreamError);
        self.push(Action::Respond(local), out);
        self.response.release();
        self.tell_bill(Outcome::UpstreamError, &bill, out);
    }

    /// All of a provider's error is there.
    pub(super) fn finish_fault(&mut self, out: &mut Vec<Action>) {
        let Body::Fault { text, kind } = std::mem::replace(&mut self.response.body, Body::Over) else { return };
        let status = self.story.status;
        let text = Bytes::from(text);
        // Bytes in a coding that cannot be read are nobody's words.
        let text = self.response.decoded(&text, FAULT).unwrap_or_default();
        let fault = self.reader_codec().read_fault(&Said { status, error_type: kind.as_deref(), body: &text });
        self.observe_fault(&fault, out);
        self.answer_fault(&fault, out);
    }

    /// Answers with a provider's error in the client's format.
    pub(super) fn answer_fault(&mut self, fault: &Fault, out: &mut Vec<Action>) {
        let mut fault = fault.clone();
        // Some have one word for all that is wrong at their side; the status says more.
        if fault.kind == FaultKind::Server {
            fault.kind = FaultKind::of_status(fault.status());
        }
        let told = self.tell_retry(&mut fault);
        let body = self.writer_codec().write_fault(&fault);
        self.response.crossed.failed = true;
        self.response.body = Body::Fault { text: Vec::new(), kind: None };
        if !self.response.crossed.opened {
            let mut edits = self.head_edits();
            let status = fault.status();
            edits.status = (status != self.response.upstream_status().unwrap_or(0)).then_some(status);
            self.story.status = status;
            edits.set("content-type", "application/json");
            told.into_iter().for_each(|(name, text)| edits.set(name, text));
            edits.remove.push("content-encoding".into());
            edits.length = Length::Exactly(body.len() as u64);
            self.send_crossed_head(edits, out);
        }
        self.emit_last(Bytes::from(body), Outcome::UpstreamError, out);
    }

    /// The answer cannot be read: 502 where nothing was said yet, else an error in what was begun.
    pub(super) fn fail_crossing(&mut self, why: &'static str, out: &mut Vec<Action>) {
        let message = format!("The provider's answer cannot be said in this API: {why}.");
        let refusal = Refusal::new(Code::UpstreamInvalidResponse, message);
        match self.response.crossed.opened {
            false => {
                self.response.crossed.failed = true;
                self.refuse_now(refusal, Outcome::UpstreamError, out);
            }
            true => {
                let mut bytes = Vec::new();
                self.write_failure(&refusal, &mut bytes);
                self.story.refusal = Some(refusal.code.as_str());
                self.emit_last(Bytes::from(bytes), Outcome::UpstreamError, out);
            }
        }
    }

    /// Writes Weir's own error behind what was begun: into the stream, or as the document. False where nothing
    /// was begun here.
    pub(super) fn write_failure(&mut self, refusal: &Refusal, out: &mut Vec<u8>) -> bool {
        if !self.response.crossed.opened || self.response.crossed.over() {
            return false;
        }
        self.response.crossed.failed = true;
        let codec = self.writer_codec();
        if !self.response.crossed.streams {
            out.extend(codec.refusal(refusal));
            return true;
        }
        let Some(writer) = &mut self.response.writer else {
            codec.stream_refusal(refusal, out);
            return true;
        };
        let kind = FaultKind::of_status(refusal.code.status());
        let fault = Fault { code: Some(refusal.code.as_str().to_owned()), ..Fault::in_stream(kind, &*refusal.message) };
        writer.write(&Delta::Error(fault), out, &mut self.story.dropped);
        true
    }

    /// Ends a running stream in good order: each of its answers that is not over yet with this reason. False where
    /// that cannot be written.
    pub(super) fn write_end(&mut self, finish: Finish, out: &mut Vec<u8>) -> bool {
        let finish = |choice| Delta::Finish { choice, finish, stop_sequence: None };
        let mut ends: Vec<Delta> = self.response.crossed.choices.open().map(finish).collect();
        // Its client is told what it is billed.
        let measure = self.bill().measure;
        ends.extend((measure.source != UsageSource::Unknown).then_some(Delta::Usage(measure.usage)));
        ends.push(Delta::End);
        let mut dropped = Dropped::default();
        if let Some(writer) = &mut self.response.writer {
            ends.iter().for_each(|delta| writer.write(delta, out, &mut dropped));
            return true;
        }
        let is_chat = |expected: &Expected| expected.chat().is_some_and(|(client, _)| client == Format::Chat);
        // A stream that passes was not written here: only a format without open blocks can be ended so.
        let Some(expected) = self.response.expected.as_ref().filter(|expected| is_chat(expected)) else {
            return false;
        };
        let served = self.response.seen().and_then(|seen| seen.model.as_deref()).map(str::to_owned);
        let model = served.unwrap_or_else(|| expected.to.model.clone());
        let to = Writing { model, resumed: true, ..expected.to.clone() };
        let Some(mut writer) = self.writer_codec().stream_writer(to) else { return false };
        ends.iter().for_each(|delta| writer.write(delta, out, &mut dropped));
        true
    }

    /// An error that came with the status of a success.
    pub(super) fn unmarked_fault(&self, text: &[u8]) -> Fault {
        self.reader_codec().read_fault(&Said { status: UNMARKED, error_type: None, body: text })
    }

    /// A document cannot be said in the client's format: it is an error, or nothing that the provider should say.
    pub(super) fn fail_document(&mut self, text: &[u8], why: &'static str, out: &mut Vec<Action>) {
        let tree = Tree::read(text).ok();
        let is_error = tree.as_ref().and_then(|tree| tree.root().get("error")).is_some_and(|error| !error.is_null());
        match is_error && !self.response.crossed.opened {
            true => self.answer_fault(&self.unmarked_fault(text), out),
            false => self.fail_crossing(why, out),
        }
    }

    /// There is no room for an answer that waits to be whole.
    pub(super) fn shed_crossing(&mut self, refusal: Refusal, out: &mut Vec<Action>) -> bool {
        if !matches!(self.response.body, Body::CrossingWhole(_)) {
            return false;
        }
        match self.response.crossed.opened {
            false => self.refuse_now(refusal, Outcome::Stopped, out),
            true => {
                let mut bytes = Vec::new();
                self.write_failure(&refusal, &mut bytes);
                self.emit_last(Bytes::from(bytes), Outcome::Stopped, out);
            }
        }
        true
    }
}
