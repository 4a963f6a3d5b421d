//! What a wire format is: readers and writers of requests, answers, streams and errors, to and from the
//! words of [`crate::llm`]. One row of [`CODECS`] each; nothing outside its folder knows its spelling, and
//! no two formats know each other.

use super::custom::Custom;
use super::rates::RateHeaders;
use super::sse;
use super::{anthropic, bedrock, cohere, gemini, ollama, openai, responses};
use crate::base::json::{Span, Tree};
use crate::llm::{
    Chat, Code, Content, Delta, Dialect, Dropped, Fault, FaultKind, Format, Operation, Part, Quirk, Refusal, Reply,
};

/// One wire format.
///
/// Readers are strict about what they act on and name in `dropped` what they do not know: a field that is
/// neither read nor named would be lost in silence. Writers name what their API cannot say; they never fail
/// for it, and never write what the API would refuse.
pub trait Codec: Sync {
    fn format(&self) -> Format;

    /// The body of an error answer with Weir's own words.
    fn refusal(&self, refusal: &Refusal) -> Vec<u8>;

    /// Appends what ends a running stream with an error, framing included; nothing where there is no such
    /// thing.
    fn stream_refusal(&self, refusal: &Refusal, out: &mut Vec<u8>) {
        let _ = (refusal, out);
    }

    /// Headers without which the provider refuses every request.
    fn headers(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// The answer's header in which a client of this API looks for the request's id.
    fn id_header(&self) -> Option<&'static str> {
        None
    }

    /// The headers that say how much a provider of this API allows.
    fn rate_headers(&self) -> Option<&'static RateHeaders> {
        None
    }

    /// The header in which an error answer of this API names its kind as well.
    fn error_header(&self, kind: FaultKind) -> Option<(&'static str, &'static str)> {
        let _ = kind;
        None
    }

    /// The status of an error of this API: where it says nothing else, the provider's own.
    fn status(&self, fault: &Fault) -> u16 {
        fault.status()
    }

    /// Reads a whole request. Model, stream and whether usage is asked for are not set: they are known from
    /// [`super::Fields`], and from the target.
    ///
    /// # Errors
    /// 400 for what is no request of this API, and for fields of a state that the provider alone holds.
    fn read_chat<'a>(&self, body: &Tree<'a>, dropped: &mut Dropped) -> Result<Chat<'a>, Refusal> {
        let _ = (body, dropped);
        Err(Refusal::new(Code::UnsupportedValue, "Clients do not speak this format to Weir."))
    }

    /// Writes a whole request body.
    ///
    /// # Errors
    /// 400 where what is asked for makes no sense without a thing that this API cannot say.
    fn write_chat(
        &self,
        chat: &Chat<'_>,
        to: &Outgoing<'_>,
        out: &mut Vec<u8>,
        dropped: &mut Dropped,
    ) -> Result<(), Refusal>;

    /// Reads a complete, unstreamed answer of status 200.
    ///
    /// # Errors
    /// When it is none of this format.
    fn read_reply(&self, body: &Tree<'_>, dropped: &mut Dropped) -> Result<Reply, Unreadable>;

    /// Writes a complete, unstreamed answer.
    fn write_reply(&self, reply: &Reply, to: &Writing, out: &mut Vec<u8>, dropped: &mut Dropped) {
        let _ = (reply, to, out, dropped);
    }

    /// Reads an error answer, whatever its body is.
    fn read_fault(&self, said: &Said<'_>) -> Fault;

    /// Writes a provider's error as the body of an error answer.
    fn write_fault(&self, fault: &Fault) -> Vec<u8> {
        let _ = fault;
        Vec::new()
    }

    /// Reads the events of one stream.
    fn stream_reader(&self) -> Box<dyn StreamReader>;

    /// Writes one stream.
    fn stream_writer(&self, to: Writing) -> Option<Box<dyn StreamWriter>> {
        let _ = to;
        None
    }

    /// The content type of a stream that is written here; `array` is [`Writing::array`].
    fn stream_type(&self, array: bool) -> &'static str {
        let _ = array;
        "text/event-stream"
    }

    /// Takes out of one event of a stream that passes what is there only because Weir asked for usage.
    fn trim(&self, data: &[u8]) -> Trim {
        let _ = data;
        Trim::Keep
    }
}

/// Turns the events of one stream into canonical steps.
pub trait StreamReader: Send {
    /// One event, in order; [`sse::Event`] is also what a frame or a line becomes.
    ///
    /// # Errors
    /// For an event that is none of this format.
    fn read(&mut self, event: &sse::Event, out: &mut Vec<Delta>, dropped: &mut Dropped) -> Result<(), Unreadable>;

    /// The body has ended in good order: for formats whose end is the body's.
    fn end(&mut self, out: &mut Vec<Delta>) {
        let _ = out;
    }

    /// Bytes of the stream that are held back, for whoever bounds memory; what is small and fixed is left out.
    fn held(&self) -> usize {
        0
    }
}

/// Writes canonical steps as the bytes of one stream. It is given whole streams, and streams that begin
/// with an `End`; it makes a legal stream of whatever comes.
pub trait StreamWriter: Send {
    fn write(&mut self, delta: &Delta, out: &mut Vec<u8>, dropped: &mut Dropped);

    /// Bytes of the answer that are held back, or kept to be repeated; see [`StreamReader::held`].
    fn held(&self) -> usize {
        0
    }

    /// The stream has ended with an error: one that it was given, or the writer's own, because the answer cannot
    /// be said in this format.
    fn has_failed(&self) -> bool {
        false
    }
}

/// To whom a request is written.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// The model name that leaves.
    pub model: &'a str,
    pub envelope: Envelope,
    /// How the provider differs from the format.
    pub quirks: &'a [Quirk],
    /// A usage event is asked for at the end of a stream, where the API has to be asked.
    pub ask_usage: bool,
    /// What the API wants to be told and the client did not say: a bound on output tokens.
    pub default_max_output: u64,
}

/// In what a provider wraps another one's format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Envelope {
    #[default]
    Plain,
    /// Google Vertex AI: models in the path; Anthropic's by `:rawPredict` with `anthropic_version` in the
    /// body and no `model`.
    Vertex,
    /// Bedrock `InvokeModel`: `anthropic_version` in the body, no `model` and no `stream`; a stream is AWS
    /// event-stream frames around Anthropic's events.
    Invoke,
    /// Azure OpenAI by deployment: `/deployments/{deployment}/…?api-version=…`.
    Deployment,
}

/// For whom an answer is written, and what to say where its provider says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Writing {
    /// Made of the exchange's id, without a prefix: `chatcmpl-` or the like goes in front of it.
    pub id: String,
    /// The model that was asked for.
    pub model: String,
    /// Seconds since the Unix epoch.
    pub created: u64,
    /// The client asked for a usage event in its stream.
    pub usage: bool,
    /// A Gemini stream as one JSON array instead of as events.
    pub array: bool,
    /// The stream has begun already: only its end is written here.
    pub resumed: bool,
    /// Which of the client's tools take a text.
    pub custom: Custom,
}

/// An error answer of a provider.
#[derive(Clone, Copy, Debug)]
pub struct Said<'a> {
    pub status: u16,
    /// `x-amzn-errortype`, where AWS names the error.
    pub error_type: Option<&'a str>,
    /// Its first bytes, at least [`Said::MOST`] where there are so many.
    pub body: &'a [u8],
}

/// Bytes that are none of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the provider's answer cannot be read: {0}")]
pub struct Unreadable(pub &'static str);

/// What trimming made of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trim {
    Keep,
    Drop,
    /// The event without this part of its data.
    Cut(Span),
}

/// Every format, one row each.
pub static CODECS: &[&dyn Codec] = &[
    &openai::OpenAi,
    &responses::Responses,
    &anthropic::Anthropic,
    &gemini::Gemini,
    &bedrock::Bedrock,
    &cohere::Cohere,
    &ollama::Ollama,
];

/// The codec of a format.
pub fn codec(format: Format) -> &'static dyn Codec {
    CODECS.iter().copied().find(|codec| codec.format() == format).unwrap_or(&openai::OpenAi)
}

/// The codec in which a client of this dialect is answered, whatever it asks for.
pub fn codec_of(dialect: Dialect, operation: Operation) -> &'static dyn Codec {
    codec(match dialect {
        Dialect::OpenAi | Dialect::Azure | Dialect::Responses if operation == Operation::Responses => Format::Responses,
        Dialect::OpenAi | Dialect::Azure | Dialect::Responses => Format::Chat,
        Dialect::Anthropic => Format::Messages,
        Dialect::Gemini | Dialect::Vertex => Format::Gemini,
        Dialect::Bedrock => Format::Converse,
        Dialect::Cohere => Format::Cohere,
        Dialect::Ollama => Format::Ollama,
    })
}

// === impl Said ===

impl<'a> Said<'a> {
    /// As much of a body as is read.
    pub const MOST: usize = 16 << 10;

    /// The most of a text that is no JSON which goes on as a message.
    const MESSAGE: usize = 1 << 10;

    /// The body as a document, if it is one.
    pub fn tree(&self) -> Option<Tree<'a>> {
        Tree::read(self.body).ok()
    }

    /// What is left to say of a body that is none of the format's.
    pub fn plain(&self) -> Fault {
        let cut = &self.body[..self.body.len().min(Self::MESSAGE)];
        let text = String::from_utf8_lossy(cut);
        let text = text.trim();
        match text.is_empty() || text.starts_with('<') {
            true => Fault::new(self.status, format!("The provider answered with status {}.", self.status)),
            false => Fault::new(self.status, text),
        }
    }
}

/// A chat that was read, if each of its tools and calls has a name: no provider takes one without.
///
/// # Errors
/// 400 for one that has none.
pub(super) fn named(chat: Chat<'_>) -> Result<Chat<'_>, Refusal> {
    let is_nameless = |part: &Part<'_>| matches!(&part.content, Content::ToolCall(call) if call.name.is_empty());
    let (what, field) = match () {
        () if chat.tools.iter().any(|tool| tool.name.is_empty()) => ("A tool", "tools[].function.name"),
        () if chat.turns.iter().flat_map(|turn| &turn.parts).any(is_nameless) => {
            ("A tool call", "messages[].tool_calls[].function.name")
        }
        () => return Ok(chat),
    };
    Err(Refusal::new(Code::UnsupportedValue, format!("{what} has no name.")).param(field))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(index: u32, is_first: bool, arguments: &str) -> Delta {
        let word = |prefix: &str| is_first.then(|| format!("{prefix}{index}"));
        let arguments = arguments.to_owned();
        Delta::ToolCall { choice: 0, index, id: word("id"), name: word("f"), arguments, signature: None }
    }

    #[test]
    fn a_writer_tells_that_its_stream_has_failed() {
        let given = Delta::Error(Fault::in_stream(FaultKind::Server, "It is down."));
        let megabyte = "x".repeat(1 << 20);
        // Calls by turns, of more than any of them holds.
        let steps =
            || [piece(0, true, "{"), piece(1, true, "{")].into_iter().chain((0..9).map(|_| piece(1, false, &megabyte)));
        for (format, fails) in [
            (Format::Chat, false),
            (Format::Responses, true),
            (Format::Messages, true),
            (Format::Gemini, true),
            (Format::Converse, true),
        ] {
            let (mut out, mut dropped) = (Vec::new(), Dropped::default());
            let new = || codec(format).stream_writer(Writing::default()).unwrap();
            let mut writer = new();
            for step in [piece(0, true, "{}"), Delta::finish(crate::llm::Finish::ToolCalls), Delta::End] {
                writer.write(&step, &mut out, &mut dropped);
                assert!(!writer.has_failed(), "{format}");
            }
            let mut writer = new();
            writer.write(&given, &mut out, &mut dropped);
            assert!(writer.has_failed(), "{format}");
            let mut writer = new();
            let written = steps().take_while(|step| {
                writer.write(step, &mut out, &mut dropped);
                !writer.has_failed()
            });
            assert_eq!(written.count() < steps().count(), fails, "{format}");
            assert_eq!(writer.has_failed(), fails, "{format}");
            let length = out.len();
            writer.write(&Delta::End, &mut out, &mut dropped);
            assert_eq!(out.len() == length, fails, "{format}: nothing follows its error");
        }
    }
}
