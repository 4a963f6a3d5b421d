//! The answer to a call whose client and provider speak differently, written anew. Nothing here knows a
//! format; [`crate::wire::codec`] does. `translate.rs` has the request.

use bytes::Bytes;

use super::Exchange;
use super::event::{Action, Edits, Length, ResponseHead};
use super::record::Outcome;
use super::response::Body;
use super::rope::Rope;
use crate::base::json::Tree;
use crate::llm::{Code, Delta, Dropped, Finish, Format, Refusal, Reply};
use crate::wire::codec::Said;
use crate::wire::passage::Document;
use crate::wire::{self, Passage, sse};

// === impl Exchange ===

impl Exchange {
    /// True where the answer is written anew.
    pub(super) fn crosses(&self) -> bool {
        self.response.expected.as_ref().is_some_and(|expected| expected.crosses())
    }

    /// The answer to a call that crossed begins; its body follows.
    pub(super) fn begin_crossing(&mut self, head: &ResponseHead, out: &mut Vec<Action>) {
        let wants_stream = self.wants_stream();
        let events = self.response.is_stream();
        self.response.stated = wire::stated_in(|name| head.headers.get(name));
        self.carry(head);
        self.response.body = match head.status {
            400.. => Body::Fault { text: Vec::new(), kind: head.headers.get("x-amzn-errortype").map(str::to_owned) },
            _ if events && wants_stream => Body::Crossing,
            _ => Body::CrossingWhole(Rope::default()),
        };
        self.response.crossed.on = true;
        if (300..400).contains(&head.status) {
            return self.fail_crossing("it is a redirection, and no request follows one", out);
        }
        if head.status < 400 && events && !wants_stream {
            return self.fail_crossing("it is a stream that nobody asked for", out);
        }
        // Elsewhere a head cannot wait for what its body says.
        if !self.setup.mode.holds_responses() {
            self.open_crossing(None, out);
        }
    }

    pub(super) fn reader_codec(&self) -> &'static dyn wire::Codec {
        let passage = self.response.expected.as_ref().and_then(|expected| expected.passage);
        wire::codec(passage.map_or(Format::Chat, Passage::faults))
    }

    pub(super) fn writer_codec(&self) -> &'static dyn wire::Codec {
        wire::codec_of(self.story.dialect, self.story.operation)
    }

    /// Sends the head of what is written anew; `length` where all of it is known.
    pub(super) fn open_crossing(&mut self, length: Option<usize>, out: &mut Vec<Action>) {
        let mut edits = self.head_edits();
        let is_stream = match &self.response.body {
            Body::Crossing => true,
            Body::CrossingWhole(_) => self.wants_stream(),
            _ => false,
        };
        self.response.crossed.streams = is_stream;
        let array = self.response.expected.as_ref().is_some_and(|expected| expected.to.array);
        let kind = if is_stream { self.writer_codec().stream_type(array) } else { "application/json" };
        edits.set("content-type", kind);
        edits.remove.push("content-encoding".into());
        edits.length = length.map_or(Length::Unknown, |length| Length::Exactly(length as u64));
        self.send_crossed_head(edits, out);
    }

    pub(super) fn send_crossed_head(&mut self, mut edits: Edits, out: &mut Vec<Action>) {
        // The provider's own stands in another header, which a client of this API does not know.
        if let Some(name) = self.writer_codec().id_header().filter(|_| !self.merges() || self.crosses()) {
            edits.set(name, &self.story.id);
        }
        self.tell_rates(&mut edits);
        self.tell_standing_in(&mut edits);
        self.response.crossed.opened = true;
        self.push(Action::Head(edits), out);
    }

    /// A piece of the body of an answer that crosses.
    pub(super) fn on_crossing_chunk(&mut self, bytes: Bytes, end: bool, out: &mut Vec<Action>) {
        match &mut self.response.body {
            Body::Fault { text, .. } => {
                let room = Said::MOST.saturating_sub(text.len()).min(bytes.len());
                text.extend_from_slice(&bytes[..room]);
                self.watch(&bytes, end, out);
                if end {
                    self.finish_fault(out);
                }
            }
            Body::CrossingWhole(held) => {
                held.push(bytes.clone());
                let over = held.len() > self.profile.bodies.max_response_hold;
                self.watch(&bytes, end, out);
                match (over, end) {
                    (true, _) => self.fail_crossing(
                        "it is larger than what may be held (bodies.maxResponseHold of the profile)",
                        out,
                    ),
                    (false, true) => self.cross_whole(out),
                    _ => {}
                }
            }
            Body::Crossing => self.cross_events(&bytes, end, out),
            _ => {}
        }
    }

    fn cross_whole(&mut self, out: &mut Vec<Action>) {
        let Body::CrossingWhole(held) = std::mem::replace(&mut self.response.body, Body::Crossing) else { return };
        let body = held.into_whole();
        let mut dropped = std::mem::take(&mut self.story.dropped);
        let plain = self.response.decoded(&body, self.profile.bodies.max_response_hold);
        let written = match &plain {
            Some(plain) => self.write_whole(plain, &mut dropped),
            None => Err("its content coding cannot be read, or it is larger than what may be held \
                         (bodies.maxResponseHold of the profile)"),
        };
        self.story.dropped = dropped;
        let written = written.and_then(|document| self.with_known(document));
        let Document { body: written, usage } = match written {
            Ok(written) => written,
            Err(why) => return self.fail_document(plain.as_deref().unwrap_or_default(), why, out),
        };
        self.response.stated = usage.or(self.response.stated);
        self.response.crossed.complete = true;
        if !self.response.crossed.opened {
            let wants_stream = self.wants_stream();
            self.response.crossed.streams = wants_stream;
            self.response.body = if wants_stream { Body::Crossing } else { Body::CrossingWhole(Rope::default()) };
            let bill = self.bill();
            let mut edits = self.head_edits();
            self.bill_headers(&mut edits, &bill);
            let array = self.response.expected.as_ref().is_some_and(|expected| expected.to.array);
            let kind = if wants_stream { self.writer_codec().stream_type(array) } else { "application/json" };
            edits.set("content-type", kind);
            edits.remove.push("content-encoding".into());
            edits.length = Length::Exactly(written.len() as u64);
            self.send_crossed_head(edits, out);
        }
        self.emit(Bytes::from(written), true, out);
    }

    /// An answer that is one document, written for the client: a chat's as a stream where one is wanted.
    fn write_whole(&self, plain: &[u8], dropped: &mut Dropped) -> Result<Document, &'static str> {
        let Some(expected) = &self.response.expected else { return Err("nobody asked for it") };
        if !expected.crosses() {
            return Ok(Document { body: plain.to_vec(), usage: None });
        }
        let known = self.response.seen().and_then(|seen| seen.usage).or(self.response.stated);
        if let Some(passage) = expected.passage.filter(|passage| passage.chat().is_none()) {
            return passage.answer(plain, &expected.asked, known, &expected.to).map_err(|error| error.0);
        }
        let tree = Tree::read(plain).map_err(|_| "it is no JSON")?;
        let mut reply = self.reader_codec().read_reply(&tree, dropped).map_err(|error| error.0)?;
        expected.asked.tools.restore(&mut reply);
        end_with_calls(&mut reply);
        reply.usage = known.or(reply.usage);
        let mut body = Vec::new();
        let codec = self.writer_codec();
        match codec.stream_writer(expected.to.clone()).filter(|_| self.wants_stream()) {
            Some(mut writer) => reply.steps().iter().for_each(|delta| writer.write(delta, &mut body, dropped)),
            None => codec.write_reply(&reply, &expected.to, &mut body, dropped),
        }
        Ok(Document { body, usage: reply.usage })
    }

    /// The client waits for events. Only chats have any that are written anew.
    fn wants_stream(&self) -> bool {
        let is_chat = self.response.expected.as_ref().is_some_and(|expected| expected.chat().is_some());
        is_chat && self.story.call.as_ref().is_some_and(|call| call.stream)
    }

    fn cross_events(&mut self, bytes: &Bytes, end: bool, out: &mut Vec<Action>) {
        let Some(meter) = &mut self.response.meter else { return };
        meter.push(bytes);
        if self.response.crossed.over() {
            // What stands behind the end is nothing that the client waits for.
            meter.release();
            if end {
                self.emit(Bytes::new(), end, out);
            }
            return;
        }
        self.cross_pushed(end, out);
    }

    /// Writes what the meter has completed.
    pub(super) fn cross_pushed(&mut self, end: bool, out: &mut Vec<Action>) {
        let mut written = Vec::new();
        let mut good = self.cross_steps(&mut written, out);
        if end
            && good
            && let Some(meter) = &mut self.response.meter
        {
            meter.finish();
            good = self.cross_steps(&mut written, out);
        }
        self.see_first_token();
        if let Some(meter) = &mut self.response.meter {
            meter.release();
        }
        if matches!(self.response.body, Body::Over) {
            return;
        }
        if !good || self.lost_sight() {
            return self.fail_with(written, "an event of its stream cannot be read", out);
        }
        if end && !self.response.crossed.over() {
            let mut deltas = Vec::new();
            if let Some(reader) = &mut self.response.reader {
                reader.end(&mut deltas);
            }
            self.settle_usage(&mut deltas);
            self.publish_steps(&deltas, true, out);
            self.write_steps(deltas, &mut written, out);
        }
        if matches!(self.response.body, Body::Over) {
            return;
        }
        if end && !self.response.crossed.over() {
            let refusal = Refusal::new(Code::StreamTruncated, "The provider's answer ended before it was complete.");
            if !self.response.crossed.opened {
                return self.refuse_now(refusal, Outcome::Truncated, out);
            }
            self.write_failure(&refusal, &mut written);
            return self.emit_last(Bytes::from(written), Outcome::Truncated, out);
        }
        if end || self.response.crossed.opened {
            self.emit(Bytes::from(written), end, out);
        }
    }

    /// What was written before it stays good.
    fn fail_with(&mut self, written: Vec<u8>, why: &'static str, out: &mut Vec<Action>) {
        if !written.is_empty() {
            self.emit(Bytes::from(written), false, out);
        }
        self.fail_crossing(why, out);
    }

    /// Reads the events that the meter has completed, and writes them anew. False when one cannot be read.
    fn cross_steps(&mut self, written: &mut Vec<u8>, out: &mut Vec<Action>) -> bool {
        if self.response.expected.as_ref().is_some_and(|expected| expected.reframes()) {
            self.reframe(written, out);
            return true;
        }
        let (deltas, is_readable) = self.read_steps();
        self.publish_steps(&deltas, is_readable, out);
        self.write_steps(deltas, written, out);
        is_readable
    }

    /// Events in one format's own words go on as they are, in the framing of a client of that format.
    fn reframe(&mut self, written: &mut Vec<u8>, out: &mut Vec<Action>) {
        let Some(meter) = &self.response.meter else { return };
        let mut first_error = None;
        for event in meter.events() {
            let tree = Tree::read(&event.data).ok();
            let name = tree.as_ref().and_then(|tree| tree.root().get("type")?.text());
            if !self.response.crossed.opened && first_error.is_none() && name.as_deref() == Some("error") {
                first_error = Some(event.data.clone());
            }
            sse::write(written, name.as_deref(), &event.data);
            self.response.crossed.complete |= name.as_deref() == Some("message_stop");
        }
        if let Some(data) = first_error {
            written.clear();
            return self.answer_fault(&self.unmarked_fault(&data), out);
        }
        if !written.is_empty() && !self.response.crossed.opened {
            self.open_crossing(None, out);
        }
        if self.response.expected.as_ref().is_some_and(|expected| expected.follows) {
            let (deltas, is_readable) = self.read_steps();
            self.allowance.read(&deltas, is_readable);
            self.follow_said();
        }
    }

    /// Turns the events that the meter has completed into steps. False when one cannot be read; nothing is read
    /// behind it.
    pub(super) fn read_steps(&mut self) -> (Vec<Delta>, bool) {
        let super::response::State { meter, reader, expected, .. } = &mut self.response;
        let (Some(meter), Some(reads)) = (meter, reader.as_mut()) else { return (Vec::new(), true) };
        let mut deltas = Vec::new();
        let mut events = meter.events().iter();
        let is_readable = events.all(|event| reads.read(event, &mut deltas, &mut self.story.dropped).is_ok());
        if !is_readable {
            *reader = None;
        }
        if let Some(expected) = expected {
            deltas.iter_mut().for_each(|delta| expected.asked.tools.restore_step(delta));
        }
        self.settle_usage(&mut deltas);
        (deltas, is_readable)
    }

    /// Usage is said once, in full, in front of the end.
    pub(super) fn settle_usage(&mut self, deltas: &mut Vec<Delta>) {
        let super::response::State { meter, usage, .. } = &mut self.response;
        let seen = meter.as_ref().and_then(|meter| meter.seen().usage);
        deltas.retain(|delta| match delta {
            Delta::Usage(said) => {
                *usage = Some(*said);
                false
            }
            _ => true,
        });
        if let Some(end) = deltas.iter().position(|delta| *delta == Delta::End) {
            deltas.truncate(end);
            deltas.extend(seen.or(*usage).map(Delta::Usage));
            deltas.push(Delta::End);
        }
    }

    fn write_steps(&mut self, deltas: Vec<Delta>, written: &mut Vec<u8>, out: &mut Vec<Action>) {
        for delta in deltas {
            if self.response.crossed.over() {
                return;
            }
            let says_nothing = delta == Delta::End && !self.response.crossed.said;
            if !self.response.crossed.opened {
                match &delta {
                    // Nothing was said yet: the error can still be one of HTTP.
                    Delta::Error(fault) => {
                        let fault = fault.clone();
                        return self.answer_fault(&fault, out);
                    }
                    Delta::Ping => continue,
                    _ if says_nothing => {}
                    _ => self.open_crossing(None, out),
                }
            }
            if says_nothing {
                return self.fail_crossing("its stream ends before it says anything", out);
            }
            self.response.crossed.said |= delta != Delta::Ping;
            let delta = match delta {
                Delta::Finish { choice, finish: Finish::Stop, stop_sequence }
                    if self.response.crossed.has_called(choice) =>
                {
                    Delta::Finish { choice, finish: Finish::ToolCalls, stop_sequence }
                }
                other => other,
            };
            if let Delta::ToolCall { choice, .. } = &delta {
                self.response.crossed.call(*choice);
            }
            self.response.crossed.choices.see(&delta);
            self.response.crossed.complete |= delta == Delta::End;
            self.response.crossed.failed |= matches!(delta, Delta::Error(_));
            if let Some(writer) = &mut self.response.writer {
                writer.write(&delta, written, &mut self.story.dropped);
                // What it cannot say legally it ends with an error of its own.
                self.response.crossed.failed |= writer.has_failed();
            }
        }
    }
}

/// OpenAI ends a call that the request named as any other answer; other APIs' clients look for calls at this end
/// alone.
fn end_with_calls(reply: &mut Reply) {
    for choice in &mut reply.choices {
        if choice.finish == Some(Finish::Stop) && choice.tool_calls().next().is_some() {
            choice.finish = Some(Finish::ToolCalls);
        }
    }
}
