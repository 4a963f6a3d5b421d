//! Formats in, formats out: JSON edits that keep every other byte, event streams, dialects. A dialect
//! is one row of [`CODECS`]; nothing outside its folder knows its spelling.

pub mod anthropic;
pub mod decode;
pub mod edit;
pub mod fields;
mod media;
pub mod models;
pub mod multipart;
pub mod opaque;
pub mod openai;
pub mod prompt;
pub mod rewrite;
pub mod scan;
pub mod shapes;
pub mod sse;
mod user;

use crate::base::json::Span;
use crate::llm::{Code, Delta, Dialect, Finish, Operation, Quirk, Refusal, Reply};
pub use fields::Fields;
pub use user::user;

/// What a path asks for, before any body is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub dialect: Dialect,
    pub operation: Operation,
    /// A body that names its model: it is held, read and routed by it. It is JSON.
    pub held: bool,
    /// Its body may also be `multipart/form-data`.
    pub multipart: bool,
}

/// What shall leave instead of what came. Everything else stays as it is, byte for byte.
#[derive(Clone, Copy, Debug)]
pub struct Rewrite<'a> {
    pub model: &'a str,
    /// Ask the provider for a usage event at the end of the stream.
    pub ask_usage: bool,
    /// How the provider differs from the dialect.
    pub quirks: &'a [Quirk],
    /// What the rule changes that chose the target.
    pub changes: Option<&'a rewrite::Changes>,
}

/// One wire format.
pub trait Codec: Sync {
    fn dialect(&self) -> Dialect;

    /// Reads what deciding needs from a complete request body.
    ///
    /// # Errors
    /// 400 for malformed JSON, for a field that is acted on and stands twice, for a missing model.
    fn read(&self, operation: Operation, body: &[u8]) -> Result<Fields, Refusal> {
        let _ = (operation, body);
        Err(Refusal::new(Code::UnsupportedValue, "Requests in this format are not read yet."))
    }

    /// The body of an error answer.
    fn refusal(&self, refusal: &Refusal) -> Vec<u8>;

    /// Appends the event that ends a running stream with an error; nothing where there is none.
    fn stream_refusal(&self, operation: Operation, refusal: &Refusal, out: &mut Vec<u8>) {
        let _ = (operation, refusal, out);
    }

    /// The stream's half, where this format has one that is written here.
    fn stream(&self) -> Option<&dyn StreamCodec> {
        None
    }
}

/// The streamed half of a format, and what a complete answer looks like in it.
pub trait StreamCodec: Sync {
    /// Turns one event into canonical steps. False for an event that cannot be read, or that says what
    /// no step can: the steps are not all of the answer then.
    #[must_use]
    fn read_event(&self, data: &[u8], out: &mut Vec<Delta>) -> bool;

    /// The id of a stream that is written here, made of an exchange's.
    fn stream_id(&self, exchange: &str) -> String;

    /// Writes one canonical step as the events of a stream that began with `start`.
    fn write_delta(&self, start: &StreamStart, delta: &Delta, out: &mut Vec<u8>);

    /// Ends a running stream in good order: a terminal event with this reason.
    fn write_end(&self, start: &StreamStart, finish: Finish, out: &mut Vec<u8>);

    /// Writes a complete, unstreamed answer.
    fn write_reply(&self, reply: &Reply, out: &mut Vec<u8>);

    /// Reads a complete, unstreamed answer; nothing when it is none of this format, or says what a
    /// [`Reply`] cannot.
    fn read_reply(&self, body: &[u8]) -> Option<Reply>;

    /// Takes out of one event what is there only because Weir asked for usage.
    fn trim(&self, data: &[u8]) -> Trim;
}

/// What every event of one stream repeats.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamStart {
    pub id: String,
    pub model: String,
    /// Seconds since the Unix epoch.
    pub created: u64,
    /// The client asked for a usage event.
    pub usage: bool,
}

/// What trimming made of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trim {
    Keep,
    Drop,
    /// The event without this part of its data.
    Cut(Span),
}

/// Every format, one row each.
pub static CODECS: &[&dyn Codec] = &[&openai::OpenAi, &anthropic::Anthropic, &shapes::Gemini, &shapes::Bedrock];

/// The codec of a dialect. Those without a row of their own speak OpenAI's, as their clients do.
pub fn codec(dialect: Dialect) -> &'static dyn Codec {
    CODECS.iter().copied().find(|codec| codec.dialect() == dialect).unwrap_or(&openai::OpenAi)
}

/// Paths with a JSON body that names its model; the client may write `/v1` before them or not.
const HELD: &[(&str, Dialect, Operation)] = &[
    ("/chat/completions", Dialect::OpenAi, Operation::Chat),
    ("/completions", Dialect::OpenAi, Operation::Completion),
    ("/responses", Dialect::OpenAi, Operation::Responses),
    ("/embeddings", Dialect::OpenAi, Operation::Embeddings),
    ("/moderations", Dialect::OpenAi, Operation::Moderation),
    ("/rerank", Dialect::OpenAi, Operation::Rerank),
    ("/images/generations", Dialect::OpenAi, Operation::Image),
    ("/audio/speech", Dialect::OpenAi, Operation::Audio),
    ("/messages", Dialect::Anthropic, Operation::Chat),
    ("/messages/count_tokens", Dialect::Anthropic, Operation::CountTokens),
];

/// Paths with a form that names its model. OpenAI's image edits are taken as JSON as well.
const FORMS: &[(&str, Operation)] = &[
    ("/audio/transcriptions", Operation::Audio),
    ("/audio/translations", Operation::Audio),
    ("/images/edits", Operation::Image),
    ("/images/variations", Operation::Image),
];

/// Whether a request that passes unread can ask for no model: it reads, lists or removes, or it brings a file
/// or stops a batch. Of everything else nobody knows: a path may be written in another way than here, name the
/// model itself, or start work on a file that does.
pub fn asks_no_model(method: &str, path: &str) -> bool {
    let path = path.split('?').next().unwrap_or(path);
    let short = path.strip_prefix("/v1").filter(|rest| rest.starts_with('/')).unwrap_or(path);
    match method {
        "GET" | "HEAD" | "OPTIONS" | "DELETE" => true,
        "POST" => {
            let plain = !short.contains(['%', '\\']) && !short.contains("//");
            let known = matches!(short, "/files" | "/uploads") || short.starts_with("/uploads/");
            plain && (known || short.starts_with("/batches/"))
        }
        _ => false,
    }
}

/// What a request's first line asks for. A path that is not known is `Other` and is not held.
pub fn detect(method: &str, path: &str) -> Endpoint {
    let path = path.split('?').next().unwrap_or(path);
    let short = path.strip_prefix("/v1").filter(|rest| rest.starts_with('/')).unwrap_or(path);
    let other = |dialect| Endpoint { dialect, operation: Operation::Other, held: false, multipart: false };
    if let Some(&(_, dialect, operation)) = HELD.iter().find(|(known, ..)| *known == short) {
        return match method {
            "POST" => Endpoint { dialect, operation, held: true, multipart: false },
            _ => other(dialect),
        };
    }
    if let Some(&(_, operation)) = FORMS.iter().find(|(known, _)| *known == short && method == "POST") {
        return Endpoint { operation, held: true, multipart: true, ..other(Dialect::OpenAi) };
    }
    match short {
        _ if method == "GET" && (short == "/models" || models::wanted(path).is_some()) => {
            Endpoint { operation: Operation::Models, ..other(Dialect::OpenAi) }
        }
        _ if path.starts_with("/v1beta/") => other(Dialect::Gemini),
        _ if path.starts_with("/model/") => other(Dialect::Bedrock),
        _ => other(Dialect::OpenAi),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_tells_the_format_with_or_without_v1() {
        for (method, path, dialect, operation, held) in [
            ("POST", "/v1/chat/completions", Dialect::OpenAi, Operation::Chat, true),
            ("POST", "/chat/completions?x=1", Dialect::OpenAi, Operation::Chat, true),
            ("GET", "/v1/chat/completions", Dialect::OpenAi, Operation::Other, false),
            ("POST", "/v1/messages", Dialect::Anthropic, Operation::Chat, true),
            ("POST", "/v1/messages/count_tokens", Dialect::Anthropic, Operation::CountTokens, true),
            ("GET", "/v1/models", Dialect::OpenAi, Operation::Models, false),
            ("GET", "/models/one/gpt-4o?x", Dialect::OpenAi, Operation::Models, false),
            ("DELETE", "/v1/models/ft:x", Dialect::OpenAi, Operation::Other, false),
            ("GET", "/v1/images/edits", Dialect::OpenAi, Operation::Other, false),
            ("POST", "/v1/files", Dialect::OpenAi, Operation::Other, false),
            ("POST", "/v1beta/models/g:generateContent", Dialect::Gemini, Operation::Other, false),
            ("POST", "/model/x/converse", Dialect::Bedrock, Operation::Other, false),
            ("POST", "/v1chat/completions", Dialect::OpenAi, Operation::Other, false),
        ] {
            let expected = Endpoint { dialect, operation, held, multipart: false };
            assert_eq!(detect(method, path), expected, "{method} {path}");
        }
        for (path, operation) in [
            ("/v1/audio/transcriptions", Operation::Audio),
            ("/audio/translations?x", Operation::Audio),
            ("/v1/images/edits", Operation::Image),
            ("/v1/images/variations", Operation::Image),
        ] {
            let expected = Endpoint { dialect: Dialect::OpenAi, operation, held: true, multipart: true };
            assert_eq!(detect("POST", path), expected, "{path}");
        }
    }

    #[test]
    fn what_may_ask_for_a_model_is_told_from_what_cannot() {
        for (method, path) in [
            ("GET", "/v1/files?purpose=batch"),
            ("DELETE", "/v1/files/f%201"),
            ("HEAD", "/anything"),
            ("POST", "/v1/files"),
            ("POST", "/uploads/u/parts"),
            ("POST", "/v1/batches/b/cancel"),
        ] {
            assert!(asks_no_model(method, path), "{method} {path}");
        }
        for (method, path) in [
            ("POST", "/v1/chat/completions"),
            ("POST", "/v1/chat/c%6fmpletions"),
            ("POST", "//v1/chat/completions"),
            ("POST", "/v1/files/../chat/completions"),
            ("POST", "/v1/uploads//x"),
            ("POST", "/v1/batches"),
            ("POST", "/v1/fine_tuning/jobs"),
            ("POST", "/v1beta/models/m:generateContent"),
            ("POST", "/model/m/converse"),
            ("PUT", "/v1/files"),
            ("CONNECT", "/v1/realtime"),
            ("post", "/v1/files"),
        ] {
            assert!(!asks_no_model(method, path), "{method} {path}");
        }
    }

    #[test]
    fn every_dialect_has_a_codec_and_every_refusal_a_body() {
        for dialect in [Dialect::OpenAi, Dialect::Anthropic, Dialect::Gemini, Dialect::Bedrock, Dialect::Cohere] {
            for &(code, ..) in crate::llm::refusal::CODES {
                let body = codec(dialect).refusal(&Refusal::new(code, "why \"so\""));
                let value: serde_json::Value = serde_json::from_slice(&body).unwrap();
                assert!(value.to_string().contains("why"), "{dialect} {code:?}");
            }
        }
    }
}
