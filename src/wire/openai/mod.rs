//! OpenAI Chat Completions (API reference "Chat", "Streaming events", 2026), and what those who imitate
//! them add: `reasoning_content` (DeepSeek, vLLM), `reasoning_details` (OpenRouter), `extra_content.google`
//! (Gemini's OpenAI-compatible API).

mod content;
mod error;
mod in_place;
mod message;
pub(super) mod model;
mod reply;
mod request_read;
mod request_write;
pub(super) mod schema;
mod stream_read;
mod stream_write;
mod trim;
mod turn_write;
mod usage;

#[cfg(test)]
mod tests;

pub use in_place::rewrite;
pub(super) use reply::tier_word;

pub(super) use error::{read_fault, refusal as error, write_fault};

use super::codec::{self, Codec, Outgoing, Said, StreamReader, StreamWriter, Trim, Unreadable, Writing};
use super::rates::{self, RateHeaders};
use super::sse;
use crate::base::json::Tree;
use crate::llm::{Chat, Dropped, Fault, FaultKind, Format, Refusal, Reply};

/// The data of a stream's last event.
pub const DONE: &[u8] = b"[DONE]";

/// The codec.
pub struct OpenAi;

impl Codec for OpenAi {
    fn format(&self) -> Format {
        Format::Chat
    }

    fn id_header(&self) -> Option<&'static str> {
        Some("x-request-id")
    }

    fn refusal(&self, refusal: &Refusal) -> Vec<u8> {
        error::refusal(refusal)
    }

    fn stream_refusal(&self, refusal: &Refusal, out: &mut Vec<u8>) {
        sse::write(out, None, &error::refusal(refusal));
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
        request_read::read(body.root(), dropped).and_then(codec::named)
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
        reply::read(body.root(), dropped)
    }

    fn write_reply(&self, reply: &Reply, to: &Writing, out: &mut Vec<u8>, dropped: &mut Dropped) {
        reply::write(reply, to, out, dropped);
    }

    fn read_fault(&self, said: &Said<'_>) -> Fault {
        error::read_fault(said)
    }

    fn write_fault(&self, fault: &Fault) -> Vec<u8> {
        error::write_fault(fault)
    }

    fn stream_reader(&self) -> Box<dyn StreamReader> {
        Box::<stream_read::Reader>::default()
    }

    fn stream_writer(&self, to: Writing) -> Option<Box<dyn StreamWriter>> {
        Some(Box::new(stream_write::Writer::new(to)))
    }

    fn trim(&self, data: &[u8]) -> Trim {
        trim::trim(data)
    }
}
