//! The Anthropic Messages API: of Anthropic itself (versions 2023-06-01 and 2026-10-21), and inside of the
//! envelopes of Google Vertex AI and of Bedrock's `InvokeModel`.
//!
//! Sources: the API reference and guides of platform.claude.com (2026-11) and the types of Anthropic's own
//! Python SDK 2.12. What the models of it differ in is told by [`model`]; what the API cannot say is named
//! where it is left out, by [`request_write`] in OpenAI's words.

mod betas;
mod block_read;
mod citation;
mod envelop;
mod fault;
mod media;
mod model;
mod reply_read;
mod reply_write;
mod request_read;
mod request_write;
mod stream_read;
mod stream_write;
mod thinking;
mod turn_write;
mod usage;

#[cfg(test)]
mod tests;

use super::codec::{self, Codec, Outgoing, Said, StreamReader, StreamWriter, Unreadable, Writing};
use super::rates::{self, RateHeaders};
use super::sse;
use crate::base::json::{Tree, write_object};
use crate::llm::{Chat, Dropped, Fault, FaultKind, Format, Refusal, Reply};

pub(super) use betas::header as betas_header;
pub(super) use envelop::envelop;
pub(super) use model::thinks;

/// The codec.
pub struct Anthropic;

impl Codec for Anthropic {
    fn format(&self) -> Format {
        Format::Messages
    }

    fn headers(&self) -> &'static [(&'static str, &'static str)] {
        &[("anthropic-version", "2023-06-01")]
    }

    fn id_header(&self) -> Option<&'static str> {
        Some("request-id")
    }

    fn refusal(&self, refusal: &Refusal) -> Vec<u8> {
        let kind = match refusal.code.status() {
            401 => "authentication_error",
            403 => "permission_error",
            404 => "not_found_error",
            413 => "request_too_large",
            429 => "rate_limit_error",
            503 => "overloaded_error",
            504 => "timeout_error",
            status if status < 500 => "invalid_request_error",
            _ => "api_error",
        };
        let mut out = Vec::new();
        write_object(&mut out, |o| {
            o.text("type", "error");
            o.object("error", |o| {
                o.text("type", kind);
                o.text("message", &format!("{} ({})", refusal.message, refusal.code.as_str()));
            });
        });
        out
    }

    fn stream_refusal(&self, refusal: &Refusal, out: &mut Vec<u8>) {
        sse::write(out, Some("error"), &self.refusal(refusal));
    }

    fn rate_headers(&self) -> Option<&'static RateHeaders> {
        Some(&rates::ANTHROPIC)
    }

    fn status(&self, fault: &Fault) -> u16 {
        match fault.kind {
            // `billing_error` has a status of its own ("Errors"; `BillingError` of the SDK).
            FaultKind::Quota => 402,
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
        request_write::write(chat, to, out, dropped)
    }

    fn read_reply(&self, body: &Tree<'_>, dropped: &mut Dropped) -> Result<Reply, Unreadable> {
        reply_read::read(body, dropped)
    }

    fn write_reply(&self, reply: &Reply, to: &Writing, out: &mut Vec<u8>, dropped: &mut Dropped) {
        reply_write::write(reply, to, out, dropped);
    }

    fn read_fault(&self, said: &Said<'_>) -> Fault {
        fault::read(said)
    }

    fn write_fault(&self, fault: &Fault) -> Vec<u8> {
        fault::write(fault)
    }

    fn stream_reader(&self) -> Box<dyn StreamReader> {
        Box::new(stream_read::Reader::default())
    }

    fn stream_writer(&self, to: Writing) -> Option<Box<dyn StreamWriter>> {
        Some(Box::new(stream_write::Writer::new(to)))
    }
}
