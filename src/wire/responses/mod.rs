//! The OpenAI Responses API.

use super::codec::{Codec, Outgoing, Said, StreamReader, Unreadable};
use super::sse;
use crate::base::json::{Tree, write_object};
use crate::llm::{Chat, Code, Delta, Dropped, Fault, Format, Refusal, Reply};

/// The codec.
pub struct Responses;

struct Reader;

impl Codec for Responses {
    fn format(&self) -> Format {
        Format::Responses
    }

    fn refusal(&self, refusal: &Refusal) -> Vec<u8> {
        super::openai::error(refusal)
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
