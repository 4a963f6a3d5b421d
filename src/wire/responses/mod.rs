//! The OpenAI Responses API (API reference "Responses", "Streaming events", 2026-10), without its state:
//! every call brings the whole conversation, and none is kept.
//!
//! A thought's seal is its `encrypted_content`, and belongs to the id of its item: in between, both are one
//! text, `rs_…:` in front of the seal. A client that is not the provider's own gets other providers' seals
//! in the same place, with their makers' names.

mod fault;
mod input_read;
mod input_write;
mod item_read;
mod item_write;
mod open;
mod reply;
mod request_read;
mod request_write;
mod response;
mod stream_read;
mod stream_write;
mod tool_read;

#[cfg(test)]
mod tests;

use super::codec::{self, Codec, Outgoing, Said, StreamReader, StreamWriter, Unreadable, Writing};
use super::rates::{self, RateHeaders};
use super::{openai, sse};
use crate::base::json::{Tree, write_object};
use crate::llm::{Chat, Dropped, Fault, FaultKind, Format, Refusal, Reply};

/// The codec.
pub struct Responses;

impl Codec for Responses {
    fn format(&self) -> Format {
        Format::Responses
    }

    fn id_header(&self) -> Option<&'static str> {
        Some("x-request-id")
    }

    fn refusal(&self, refusal: &Refusal) -> Vec<u8> {
        openai::error(refusal)
    }

    fn stream_refusal(&self, refusal: &Refusal, out: &mut Vec<u8>) {
        let mut data = Vec::new();
        write_object(&mut data, |o| {
            o.text("type", "error");
            o.text("code", refusal.code.as_str());
            o.text("message", &refusal.message);
            match &refusal.param {
                Some(param) => o.text("param", param),
                None => o.null("param"),
            }
        });
        sse::write(out, Some("error"), &data);
    }

    fn rate_headers(&self) -> Option<&'static RateHeaders> {
        Some(&rates::OPENAI)
    }

    fn status(&self, fault: &Fault) -> u16 {
        match fault.kind {
            // OpenAI's for `insufficient_quota` ("Error codes").
            FaultKind::Quota => 429,
            _ => fault.status(),
        }
    }

    fn read_chat<'a>(&self, body: &Tree<'a>, dropped: &mut Dropped) -> Result<Chat<'a>, Refusal> {
        request_read::read(body, dropped).and_then(codec::named)
    }

    fn write_chat(
        &self,
        chat: &Chat<'_>,
        to: &Outgoing<'_>,
        out: &mut Vec<u8>,
        dropped: &mut Dropped,
    ) -> Result<(), Refusal> {
        request_write::write(chat, to, out, dropped);
        Ok(())
    }

    fn read_reply(&self, body: &Tree<'_>, dropped: &mut Dropped) -> Result<Reply, Unreadable> {
        reply::read(body, dropped)
    }

    fn write_reply(&self, reply: &Reply, to: &Writing, out: &mut Vec<u8>, dropped: &mut Dropped) {
        reply::write(reply, to, out, dropped);
    }

    fn read_fault(&self, said: &Said<'_>) -> Fault {
        fault::read(said)
    }

    fn write_fault(&self, fault: &Fault) -> Vec<u8> {
        openai::write_fault(fault)
    }

    fn stream_reader(&self) -> Box<dyn StreamReader> {
        Box::<stream_read::Reader>::default()
    }

    fn stream_writer(&self, to: Writing) -> Option<Box<dyn StreamWriter>> {
        Some(Box::new(stream_write::Writer::new(to)))
    }
}
