//! The Anthropic Messages API (version 2023-06-01).

use super::codec::{Codec, Outgoing, Said, StreamReader, Unreadable};
use super::sse;
use crate::base::json::{Tree, write_object};
use crate::llm::{Chat, Code, Delta, Dropped, Fault, Format, Refusal, Reply};

/// The codec.
pub struct Anthropic;

struct Reader;

impl Codec for Anthropic {
    fn format(&self) -> Format {
        Format::Messages
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
