//! Bedrock `Converse` and `ConverseStream` (Bedrock Runtime API, 2023-09-30; the shapes are those of
//! botocore's `bedrock-runtime` model of 2026).
//!
//! | file | what |
//! |---|---|
//! | `family` | what the models of each maker take, by the model's id |
//! | `names` | the words and characters that the API allows: formats, names, ids |
//! | `blocks` | content blocks read, of requests and answers |
//! | `request_read`, `request_write` | whole requests; `turns` and `content` are what was said, `extra` the models' own fields |
//! | `answer` | whole answers, usage and stop reasons; `cite` their citations |
//! | `stream_read`, `stream_write` | the events of a stream |
//! | `fault` | errors, of whole answers and inside of a stream |

mod answer;
mod blocks;
mod cite;
mod content;
mod extra;
mod family;
mod fault;
mod names;
mod request_read;
mod request_write;
mod stream_read;
mod stream_write;
mod turns;

#[cfg(test)]
mod tests;

use super::codec::{self, Codec, Outgoing, Said, StreamReader, StreamWriter, Unreadable, Writing};
use super::frames;
use crate::base::json::Tree;
use crate::llm::{Chat, Dropped, Fault, FaultKind, Format, Refusal, Reply};

/// The codec.
pub struct Bedrock;

impl Codec for Bedrock {
    fn format(&self) -> Format {
        Format::Converse
    }

    fn id_header(&self) -> Option<&'static str> {
        Some("x-amzn-requestid")
    }

    fn refusal(&self, refusal: &Refusal) -> Vec<u8> {
        let mut out = Vec::new();
        fault::write(fault::of_refusal(refusal), &refusal.message, &mut out);
        out
    }

    fn stream_refusal(&self, refusal: &Refusal, out: &mut Vec<u8>) {
        fault::write_in_stream(fault::of_refusal(refusal), &refusal.message, out);
    }

    fn status(&self, fault: &Fault) -> u16 {
        match fault.kind {
            // That of `ServiceQuotaExceededException` (botocore, bedrock-runtime, 2023-09-30).
            FaultKind::Quota => 400,
            _ => fault.status(),
        }
    }

    /// Where the SDKs look first (`RestJSONParser._inject_error_code` of botocore); they find it in the body too.
    fn error_header(&self, kind: FaultKind) -> Option<(&'static str, &'static str)> {
        Some(("x-amzn-errortype", fault::exception(kind)))
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
        request_write::write(chat, to, out, dropped)
    }

    fn read_reply(&self, body: &Tree<'_>, dropped: &mut Dropped) -> Result<Reply, Unreadable> {
        answer::read(body.root(), dropped)
    }

    fn write_reply(&self, reply: &Reply, to: &Writing, out: &mut Vec<u8>, dropped: &mut Dropped) {
        answer::write(reply, to, out, dropped);
    }

    fn read_fault(&self, said: &Said<'_>) -> Fault {
        fault::read(said)
    }

    fn write_fault(&self, fault: &Fault) -> Vec<u8> {
        let mut out = Vec::new();
        fault::write(fault.kind, &fault.message, &mut out);
        out
    }

    fn stream_reader(&self) -> Box<dyn StreamReader> {
        Box::new(stream_read::Reader::default())
    }

    fn stream_writer(&self, to: Writing) -> Option<Box<dyn StreamWriter>> {
        Some(Box::new(stream_write::Writer::new(to)))
    }

    fn stream_type(&self, _: bool) -> &'static str {
        frames::CONTENT_TYPE
    }
}
