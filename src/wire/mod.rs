//! Formats in, formats out: JSON edits that keep every other byte, event streams, dialects. A dialect
//! is one row of [`codec::CODECS`]; nothing outside its folder knows its spelling.

mod anthropic;
mod arguments;
#[cfg(test)]
mod array;
mod bedrock;
pub mod codec;
mod cohere;
pub mod count;
mod custom;
pub mod decode;
pub mod edit;
pub mod embed;
pub mod fields;
mod fit;
pub mod frames;
mod gemini;
mod google;
mod in_turn;
mod keys;
pub mod lines;
pub mod media;
pub mod models;
pub mod multipart;
mod named;
mod ollama;
pub mod opaque;
pub mod openai;
pub mod outbound;
pub mod parts;
pub mod passage;
pub mod prompt;
pub mod rates;
mod rerank;
mod responses;
pub mod rewrite;
pub mod scan;
mod schema;
pub mod sse;
mod stated;
mod tools;
mod unseen;
mod user;

use bytes::Bytes;

use crate::llm::{Dialect, Dropped, Format, Operation, Quirk, Refusal, Usage};

pub use codec::{Codec, StreamReader, StreamWriter, Trim, Writing, codec, codec_of};
pub use custom::Custom;
pub use fields::Fields;
pub use named::model as model_in_path;
pub use outbound::{Outbound, PathCall, Speaks};
pub use passage::Passage;
pub use unseen::thinks_unseen;
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
    pub named: Named,
}

/// Where a held request names its model, and says whether it wants a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Named {
    #[default]
    Body,
    Path {
        stream: bool,
        /// The stream is to be one JSON array.
        array: bool,
    },
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
    ("/responses/input_tokens", Dialect::OpenAi, Operation::CountTokens),
    ("/v2/rerank", Dialect::Cohere, Operation::Rerank),
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

/// The header `anthropic-beta` for a provider that reads it; none where nothing is left of it. What it does not
/// know is named.
pub fn betas(to: Outbound, betas: &str, dropped: &mut Dropped) -> Option<String> {
    anthropic::betas_header(to.envelope, betas, dropped)
}

/// A body in its own format, put into a provider's envelope; `betas` is the header `anthropic-beta`.
///
/// # Errors
/// 400 for a body that is no object.
fn envelop(to: Outbound, body: Bytes, betas: Option<&str>, dropped: &mut Dropped) -> Result<Bytes, Refusal> {
    match to.format {
        Format::Messages => anthropic::envelop(to.envelope, body, betas.unwrap_or_default(), dropped),
        _ => Ok(body),
    }
}

/// True where a body may bring back a thought's seal that another provider made, or none where there must be
/// one: what Weir wrote for this client when another provider answered. No provider takes it.
pub fn has_foreign_seal(body: &[u8]) -> bool {
    // The third is `weir.` in base64, for fields that must be that.
    const MARKS: [&str; 5] = ["\"weir.", "\"call.weir.", "\"d2Vpci", "\"signature\":\"\"", "\"signature\": \"\""];
    MARKS.iter().any(|mark| memchr::memmem::find(body, mark.as_bytes()).is_some())
}

/// What Bedrock says of an `InvokeModel` in its headers (Bedrock Runtime API, "InvokeModel"): for some models
/// the body says nothing.
pub fn stated_in<'h>(header: impl Fn(&str) -> Option<&'h str>) -> Option<Usage> {
    let number = |name: &str| header(name).and_then(|text| text.trim().parse::<u64>().ok());
    let input = number("x-amzn-bedrock-input-token-count")?;
    Some(Usage { input, output: number("x-amzn-bedrock-output-token-count").unwrap_or(0), ..Usage::default() })
}

/// Reads what deciding needs from a complete request body.
///
/// # Errors
/// 400 for malformed JSON, for a field that is acted on and stands twice, for a missing model.
pub fn read(endpoint: Endpoint, path: &str, body: &[u8]) -> Result<Fields, Refusal> {
    match endpoint.named {
        Named::Body => fields::read(endpoint.dialect, endpoint.operation, body),
        Named::Path { stream, .. } => fields::read_named(endpoint, model_in_path(path), stream, body),
    }
}

/// What a request's first line asks for. A path that is not known is `Other` and is not held.
pub fn detect(method: &str, path_and_query: &str) -> Endpoint {
    let path = path_and_query.split('?').next().unwrap_or(path_and_query);
    let short = path.strip_prefix("/v1").filter(|rest| rest.starts_with('/')).unwrap_or(path);
    let named = Named::Body;
    let other = |dialect| Endpoint { dialect, operation: Operation::Other, held: false, multipart: false, named };
    if let Some(found) = named::endpoint(path_and_query).filter(|_| method == "POST") {
        return found;
    }
    if let Some(&(_, dialect, operation)) = HELD.iter().find(|(known, ..)| *known == short) {
        return match method {
            "POST" => Endpoint { dialect, operation, held: true, multipart: false, named },
            _ => other(dialect),
        };
    }
    if let Some(&(_, operation)) = FORMS.iter().find(|(known, _)| *known == short && method == "POST") {
        return Endpoint { operation, held: true, multipart: true, ..other(Dialect::OpenAi) };
    }
    if let Some(dialect) = models::dialect(path).filter(|_| method == "GET") {
        return Endpoint { operation: Operation::Models, ..other(dialect) };
    }
    match () {
        () if path.starts_with("/v1beta/") => other(Dialect::Gemini),
        () if path.starts_with("/model/") => other(Dialect::Bedrock),
        () => other(Dialect::OpenAi),
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
            ("POST", "/v1/responses/input_tokens", Dialect::OpenAi, Operation::CountTokens, true),
            ("POST", "/v1/rerank", Dialect::OpenAi, Operation::Rerank, true),
            ("POST", "/v2/rerank", Dialect::Cohere, Operation::Rerank, true),
            ("GET", "/v1/models", Dialect::OpenAi, Operation::Models, false),
            ("GET", "/models/one/gpt-4o?x", Dialect::OpenAi, Operation::Models, false),
            ("GET", "/v1beta/models?pageSize=1", Dialect::Gemini, Operation::Models, false),
            ("GET", "/api/tags", Dialect::Ollama, Operation::Models, false),
            ("POST", "/api/tags", Dialect::OpenAi, Operation::Other, false),
            ("GET", "/foundation-models", Dialect::Bedrock, Operation::Models, false),
            ("DELETE", "/v1/models/ft:x", Dialect::OpenAi, Operation::Other, false),
            ("GET", "/v1/images/edits", Dialect::OpenAi, Operation::Other, false),
            ("POST", "/v1/files", Dialect::OpenAi, Operation::Other, false),
            ("POST", "/v1beta/models/g:predict", Dialect::Gemini, Operation::Other, false),
            ("POST", "/model/x/invoke", Dialect::Bedrock, Operation::Other, false),
            ("POST", "/v1chat/completions", Dialect::OpenAi, Operation::Other, false),
        ] {
            let expected = Endpoint { dialect, operation, held, multipart: false, named: Named::Body };
            assert_eq!(detect(method, path), expected, "{method} {path}");
        }
        for (path, operation) in [
            ("/v1/audio/transcriptions", Operation::Audio),
            ("/audio/translations?x", Operation::Audio),
            ("/v1/images/edits", Operation::Image),
            ("/v1/images/variations", Operation::Image),
        ] {
            let named = Named::Body;
            let expected = Endpoint { dialect: Dialect::OpenAi, operation, held: true, multipart: true, named };
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
                let body = codec_of(dialect, Operation::Chat).refusal(&Refusal::new(code, "why \"so\""));
                let value: serde_json::Value = serde_json::from_slice(&body).unwrap();
                assert!(value.to_string().contains("why"), "{dialect} {code:?}");
            }
        }
    }
}
