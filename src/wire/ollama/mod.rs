//! Ollama's own `/api/chat` (`docs/api.md` and `api/types.go` of ollama/ollama, 2026), as a target.
//!
//! | what is said | what is written |
//! |---|---|
//! | system, developer | messages of `system` where they stand |
//! | several texts of one side | one text, an empty line between them, as Ollama's templates join messages |
//! | reasoning without a seal | `thinking` |
//! | no function may be called | no `tools` |
//! | a named function, allowed functions | only these in `tools`; that one must be called cannot be said |
//! | reasoning effort | `think`: a word for gpt-oss, `true` for any other model, which refuses words |
//!
//! Answers have no id, and calls one only of late: whoever writes to a client makes them. Models count time
//! and memory in fields that say nothing of the answer.

mod content;
mod fault;
mod reply;
mod request;
mod stream;

#[cfg(test)]
mod tests;

use super::codec::{Codec, Outgoing, Said, StreamReader, Unreadable};
use crate::base::json::{Tree, write_object};
use crate::llm::{Chat, Dropped, Fault, Format, Refusal, Reply};

/// The codec.
pub struct Ollama;

impl Codec for Ollama {
    fn format(&self) -> Format {
        Format::Ollama
    }

    fn refusal(&self, refusal: &Refusal) -> Vec<u8> {
        let mut out = Vec::new();
        write_object(&mut out, |o| o.text("error", &refusal.message));
        out
    }

    fn write_chat(
        &self,
        chat: &Chat<'_>,
        to: &Outgoing<'_>,
        out: &mut Vec<u8>,
        dropped: &mut Dropped,
    ) -> Result<(), Refusal> {
        request::write(chat, to, out, dropped)
    }

    fn read_reply(&self, body: &Tree<'_>, dropped: &mut Dropped) -> Result<Reply, Unreadable> {
        reply::read(body.root(), dropped)
    }

    fn read_fault(&self, said: &Said<'_>) -> Fault {
        fault::read(said)
    }

    fn stream_reader(&self) -> Box<dyn StreamReader> {
        Box::<stream::Reader>::default()
    }
}
