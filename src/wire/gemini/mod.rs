//! Gemini `generateContent` and `streamGenerateContent`, of AI Studio (v1beta) and of Vertex AI (v1), which
//! say the same JSON (ai.google.dev/api/generate-content and Google Cloud, "Gemini API in Vertex AI, model
//! reference", 2026-10). A request for either is legal for both, but for what [`Envelope::Vertex`] tells:
//! labels are Vertex AI's alone, ids of calls and service tiers AI Studio's.
//!
//! | hub | Gemini |
//! |---|---|
//! | reasoning | `thinkingConfig`: a budget or a level, as the model takes it ([`models`]) |
//! | a seal of another maker | to a client: base64 of the marked seal; to Google: left out, and a first call without one is marked as not made here from Gemini 3 on ([`seal`]) |
//! | schemas | `parametersJsonSchema`, `responseJsonSchema` ([`schema_write`]) |
//! | strict functions | mode `VALIDATED` |
//! | some functions, none of which must be called | only those are declared |
//! | malformed arguments | `{"_raw": "…"}` |
//! | what a function returned | its object, else `{"result": …}` or `{"error": …}` |
//!
//! [`Envelope::Vertex`]: crate::wire::codec::Envelope::Vertex

mod answer_read;
mod answer_write;
mod config_read;
mod config_write;
mod contents_read;
mod contents_write;
mod fault;
mod finish;
mod grounding;
mod logprobs;
mod media;
mod models;
mod piece;
mod request_read;
mod request_write;
mod schema_read;
mod schema_write;
mod seal;
mod spelling;
mod spoken;
mod stream_write;
mod usage;

#[cfg(test)]
mod tests;

pub(super) use self::models::thinks;
use self::spelling::Bad;
use super::codec::{self, Codec, Outgoing, Said, StreamReader, StreamWriter, Unreadable, Writing};
use super::sse;
use crate::base::json::Tree;
use crate::llm::{Chat, Dropped, Fault, FaultKind, Format, Refusal, Reply};

/// The codec.
pub struct Gemini;

impl Codec for Gemini {
    fn format(&self) -> Format {
        Format::Gemini
    }

    fn refusal(&self, refusal: &Refusal) -> Vec<u8> {
        let status = refusal.code.status();
        fault::write(status, fault::word_of_status(status), &refusal.message, refusal.retry_after)
    }

    /// As an event. Of a stream that is an array only its writer knows where it stands: there a
    /// [`crate::llm::Delta::Error`] ends it.
    fn stream_refusal(&self, refusal: &Refusal, out: &mut Vec<u8>) {
        sse::write(out, None, &self.refusal(refusal));
    }

    fn status(&self, fault: &Fault) -> u16 {
        match fault.kind {
            // The one of `RESOURCE_EXHAUSTED`.
            FaultKind::Quota => 429,
            _ => fault.status(),
        }
    }

    fn read_chat<'a>(&self, body: &Tree<'a>, dropped: &mut Dropped) -> Result<Chat<'a>, Refusal> {
        request_read::read(body.root(), dropped).map_err(Bad::refusal).and_then(codec::named)
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
        answer_read::whole(body.root(), dropped).map_err(Bad::unreadable)
    }

    fn write_reply(&self, reply: &Reply, to: &Writing, out: &mut Vec<u8>, dropped: &mut Dropped) {
        answer_write::write(reply, to, out, dropped);
    }

    fn read_fault(&self, said: &Said<'_>) -> Fault {
        fault::read(said)
    }

    fn write_fault(&self, fault: &Fault) -> Vec<u8> {
        fault::write_fault(fault)
    }

    fn stream_reader(&self) -> Box<dyn StreamReader> {
        Box::new(answer_read::Reader::default())
    }

    fn stream_writer(&self, to: Writing) -> Option<Box<dyn StreamWriter>> {
        Some(Box::new(stream_write::Writer::new(to)))
    }

    fn stream_type(&self, array: bool) -> &'static str {
        if array { "application/json" } else { "text/event-stream" }
    }
}
