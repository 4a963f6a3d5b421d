//! Cohere v2 `chat` (API reference "Chat", "Chat with Streaming", "Errors", 2026; Python SDK 7.3), as a target.
//!
//! | what is said | what is written |
//! |---|---|
//! | system, developer | messages of `system` where they stand |
//! | reasoning without a seal | `tool_plan` in a turn with calls, else a `thinking` block |
//! | a named function, allowed functions | only these in `tools`, and `REQUIRED` where one must be called |
//! | reasoning effort | `thinking.token_budget` |
//! | JSON output beside functions that may be called | left out and named: the API refuses it |
//! | `top_p` of 1 and of less than 0.01 | the nearest that the API takes: 0.99 and 0.01 |

mod answer;
mod content;
mod fault;
mod message;
mod reply;
mod request;
mod sampling;
mod stream;

#[cfg(test)]
mod tests;

use super::codec::{Codec, Outgoing, Said, StreamReader, Unreadable};
use crate::base::json::{Tree, write_object};
use crate::llm::{Chat, Dropped, Fault, Format, Refusal, Reply};

/// The codec.
pub struct Cohere;

impl Codec for Cohere {
    fn format(&self) -> Format {
        Format::Cohere
    }

    fn refusal(&self, refusal: &Refusal) -> Vec<u8> {
        let mut out = Vec::new();
        write_object(&mut out, |o| o.text("message", &refusal.message));
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
