//! Gemini `generateContent`, of AI Studio and of Vertex.

use super::codec::{Codec, Outgoing, Said, StreamReader, Unreadable};
use super::sse;
use crate::base::json::{Tree, write_object};
use crate::llm::{Chat, Code, Delta, Dropped, Fault, Format, Refusal, Reply};

/// The codec.
pub struct Gemini;

struct Reader;

impl Codec for Gemini {
    fn format(&self) -> Format {
        Format::Gemini
    }

    fn refusal(&self, refusal: &Refusal) -> Vec<u8> {
        let status = match refusal.code.status() {
            401 => "UNAUTHENTICATED",
            403 => "PERMISSION_DENIED",
            404 => "NOT_FOUND",
            408 | 504 => "DEADLINE_EXCEEDED",
            429 => "RESOURCE_EXHAUSTED",
            502 | 503 => "UNAVAILABLE",
            status if status < 500 => "INVALID_ARGUMENT",
            _ => "INTERNAL",
        };
        let mut out = Vec::new();
        write_object(&mut out, |o| {
            o.object("error", |o| {
                o.number("code", refusal.code.status().into());
                o.text("message", &refusal.message);
                o.text("status", status);
            });
        });
        out
    }

    fn write_chat(&self, _: &Chat<'_>, _: &Outgoing<'_>, _: &mut Vec<u8>, _: &mut Dropped) -> Result<(), Refusal> {
        Err(Refusal::new(Code::UnsupportedValue, "Requests in this format are not written yet."))
    }

    fn read_reply(&self, _: &Tree<'_>, _: &mut Dropped) -> Result<Reply, Unreadable> {
        Err(Unreadable("answers in this format are not read yet"))
    }

    fn read_fault(&self, said: &Said<'_>) -> Fault {
        said.plain()
    }

    fn stream_reader(&self) -> Box<dyn StreamReader> {
        Box::new(Reader)
    }
}

impl StreamReader for Reader {
    fn read(&mut self, _: &sse::Event, _: &mut Vec<Delta>, _: &mut Dropped) -> Result<(), Unreadable> {
        Err(Unreadable("streams in this format are not read yet"))
    }
}
