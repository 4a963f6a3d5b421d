//! How a chat leaves for a provider: in which format, in which envelope, to which path.

use super::codec::Envelope;
use super::openai::model::Model;
use crate::llm::{Dialect, Format};

/// A format, and what a provider wraps it in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Outbound {
    pub format: Format,
    pub envelope: Envelope,
}

/// What is known of a provider beside its dialect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Speaks {
    /// It has the Responses API beside Chat Completions.
    pub responses: bool,
    /// Azure by deployment, with an `api-version`.
    pub deployments: bool,
    /// It has the Responses API, and its models that think do it fully there alone.
    pub reasons_in_responses: bool,
}

// === impl Speaks ===

impl Speaks {
    /// A client of OpenAI's chat gets its own API where that serves the model; one that has to be translated in
    /// any case gets the API in which the model thinks best.
    fn takes_responses(self, model: &str, client: Format) -> bool {
        let model = || Model::named(model);
        self.responses
            && !self.deployments
            && match client {
                Format::Responses => true,
                Format::Chat => self.reasons_in_responses && model().only_in_responses(),
                _ => self.reasons_in_responses && model().reasons_in_responses(),
            }
    }
}

// === impl Outbound ===

impl Outbound {
    /// How a provider of this dialect is asked for `model` by a client that speaks `client`: in the client's
    /// own format where the provider has it, so that nothing has to be translated.
    pub fn to(dialect: Dialect, model: &str, client: Format, speaks: Speaks) -> Outbound {
        let plain = |format| Outbound { format, envelope: Envelope::Plain };
        match dialect {
            Dialect::OpenAi | Dialect::Azure if speaks.takes_responses(model, client) => plain(Format::Responses),
            Dialect::OpenAi => plain(Format::Chat),
            Dialect::Azure if speaks.deployments => Outbound { format: Format::Chat, envelope: Envelope::Deployment },
            Dialect::Azure => plain(Format::Chat),
            Dialect::Responses => plain(Format::Responses),
            Dialect::Anthropic => plain(Format::Messages),
            Dialect::Gemini => plain(Format::Gemini),
            // Vertex serves Anthropic's models in Anthropic's own format, and in no other.
            Dialect::Vertex if model.starts_with("claude") => {
                Outbound { format: Format::Messages, envelope: Envelope::Vertex }
            }
            Dialect::Vertex => Outbound { format: Format::Gemini, envelope: Envelope::Vertex },
            // Bedrock takes Anthropic's own format for Anthropic's models, of their own accounts' names, of
            // the regions' (`us.anthropic.…`) and of inference profiles' resource names.
            Dialect::Bedrock if client == Format::Messages && model.contains("anthropic.") => {
                Outbound { format: Format::Messages, envelope: Envelope::Invoke }
            }
            Dialect::Bedrock => plain(Format::Converse),
            Dialect::Cohere => plain(Format::Cohere),
            Dialect::Ollama => plain(Format::Ollama),
        }
    }

    /// The path of one call, behind the backend's own prefix.
    ///
    /// | format | source |
    /// |---|---|
    /// | Gemini | Gemini API v1beta, "generateContent"; Vertex AI v1, `publishers/google` and `publishers/anthropic` |
    /// | Converse, Invoke | Bedrock Runtime API |
    /// | Deployment | Azure OpenAI data plane, "Chat completions" |
    pub fn path(self, call: &PathCall<'_>) -> String {
        let model = encode(call.model);
        match (self.format, self.envelope) {
            (Format::Messages, Envelope::Vertex) => {
                let verb = if call.stream { "streamRawPredict" } else { "rawPredict" };
                format!("/publishers/anthropic/models/{model}:{verb}")
            }
            (Format::Messages, Envelope::Invoke) => {
                let verb = if call.stream { "invoke-with-response-stream" } else { "invoke" };
                format!("/model/{model}/{verb}")
            }
            (Format::Gemini, envelope) => {
                let place = if envelope == Envelope::Vertex { "/publishers/google/models/" } else { "/models/" };
                let verb = match (call.stream, call.array) {
                    (true, false) => "streamGenerateContent?alt=sse",
                    (true, true) => "streamGenerateContent",
                    (false, _) => "generateContent",
                };
                format!("{place}{model}:{verb}")
            }
            (Format::Converse, _) => {
                let verb = if call.stream { "converse-stream" } else { "converse" };
                format!("/model/{model}/{verb}")
            }
            (Format::Chat, Envelope::Deployment) => {
                let version = encode(call.api_version);
                format!("/deployments/{model}/chat/completions?api-version={version}")
            }
            (Format::Chat, _) => "/chat/completions".to_owned(),
            (Format::Responses, _) => "/responses".to_owned(),
            (Format::Messages, _) => "/messages".to_owned(),
            (Format::Cohere, _) => "/chat".to_owned(),
            (Format::Ollama, _) => "/api/chat".to_owned(),
        }
    }
}

/// What of a call stands in its path.
#[derive(Clone, Copy, Debug, Default)]
pub struct PathCall<'a> {
    /// The model, or Azure's deployment of it.
    pub model: &'a str,
    pub stream: bool,
    /// A Gemini stream as one array.
    pub array: bool,
    /// Azure's `api-version`.
    pub api_version: &'a str,
}

/// A text as one segment of a path (RFC 3986): all but unreserved characters in percent signs, so that a
/// model's name can never say a segment more.
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => {
                const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
                out.push('%');
                out.push(char::from(DIGITS[usize::from(byte >> 4)]));
                out.push(char::from(DIGITS[usize::from(byte & 15)]));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_one_segment_whatever_it_is_called() {
        for (model, encoded) in [
            ("gemini-2.5-flash", "gemini-2.5-flash"),
            ("anthropic.claude-3:0", "anthropic.claude-3%3A0"),
            ("arn:aws:bedrock:x/y", "arn%3Aaws%3Abedrock%3Ax%2Fy"),
            ("../admin?x#é", "..%2Fadmin%3Fx%23%C3%A9"),
        ] {
            assert_eq!(encode(model), encoded);
        }
    }

    const NO: Speaks = Speaks { responses: false, deployments: false, reasons_in_responses: false };
    const ALL: Speaks = Speaks { responses: true, ..NO };
    const OPENAI: Speaks = Speaks { reasons_in_responses: true, ..ALL };
    const AZURE: Speaks = Speaks { deployments: true, ..OPENAI };

    /// Provider, model, client, what is known of the provider; the path of an answer and of a stream.
    type Row = (Dialect, &'static str, Format, Speaks, &'static str, &'static str);

    const ROWS: &[Row] = &[
        (Dialect::OpenAi, "m", Format::Messages, ALL, "/chat/completions", "/chat/completions"),
        (Dialect::OpenAi, "m", Format::Responses, ALL, "/responses", "/responses"),
        (Dialect::OpenAi, "m", Format::Responses, NO, "/chat/completions", "/chat/completions"),
        // A model that thinks is asked by Responses where its provider has that and wants it, but for a client
        // that speaks Chat itself, which gets it only for what nothing else serves.
        (Dialect::OpenAi, "gpt-5.4", Format::Messages, OPENAI, "/responses", "/responses"),
        (Dialect::OpenAi, "gpt-5.4", Format::Gemini, OPENAI, "/responses", "/responses"),
        (Dialect::OpenAi, "o3", Format::Converse, OPENAI, "/responses", "/responses"),
        (Dialect::OpenAi, "gpt-4o", Format::Messages, OPENAI, "/chat/completions", "/chat/completions"),
        (Dialect::OpenAi, "gpt-5.4", Format::Chat, OPENAI, "/chat/completions", "/chat/completions"),
        (Dialect::OpenAi, "gpt-5-codex", Format::Chat, OPENAI, "/responses", "/responses"),
        (Dialect::OpenAi, "gpt-5-codex", Format::Chat, ALL, "/chat/completions", "/chat/completions"),
        (Dialect::OpenAi, "gpt-5.4", Format::Messages, ALL, "/chat/completions", "/chat/completions"),
        (Dialect::OpenAi, "gpt-5.4", Format::Messages, NO, "/chat/completions", "/chat/completions"),
        (Dialect::Azure, "gpt-5.4", Format::Messages, OPENAI, "/responses", "/responses"),
        (
            Dialect::Azure,
            "gpt-5.4",
            Format::Messages,
            AZURE,
            "/deployments/gpt-5.4/chat/completions?api-version=2024-10-21",
            "/deployments/gpt-5.4/chat/completions?api-version=2024-10-21",
        ),
        (Dialect::Responses, "m", Format::Chat, NO, "/responses", "/responses"),
        (Dialect::Azure, "m", Format::Responses, ALL, "/responses", "/responses"),
        (
            Dialect::Azure,
            "d",
            Format::Responses,
            AZURE,
            "/deployments/d/chat/completions?api-version=2024-10-21",
            "/deployments/d/chat/completions?api-version=2024-10-21",
        ),
        (Dialect::Anthropic, "m", Format::Chat, NO, "/messages", "/messages"),
        (
            Dialect::Gemini,
            "m",
            Format::Chat,
            NO,
            "/models/m:generateContent",
            "/models/m:streamGenerateContent?alt=sse",
        ),
        (
            Dialect::Vertex,
            "gemini-x",
            Format::Chat,
            NO,
            "/publishers/google/models/gemini-x:generateContent",
            "/publishers/google/models/gemini-x:streamGenerateContent?alt=sse",
        ),
        (
            Dialect::Vertex,
            "claude-x@1",
            Format::Chat,
            NO,
            "/publishers/anthropic/models/claude-x%401:rawPredict",
            "/publishers/anthropic/models/claude-x%401:streamRawPredict",
        ),
        (
            Dialect::Bedrock,
            "us.anthropic.c",
            Format::Chat,
            NO,
            "/model/us.anthropic.c/converse",
            "/model/us.anthropic.c/converse-stream",
        ),
        (
            Dialect::Bedrock,
            "us.anthropic.c",
            Format::Messages,
            NO,
            "/model/us.anthropic.c/invoke",
            "/model/us.anthropic.c/invoke-with-response-stream",
        ),
        (Dialect::Bedrock, "nova", Format::Messages, NO, "/model/nova/converse", "/model/nova/converse-stream"),
        (Dialect::Cohere, "m", Format::Chat, NO, "/chat", "/chat"),
        (Dialect::Ollama, "m", Format::Chat, NO, "/api/chat", "/api/chat"),
    ];

    #[test]
    fn every_format_has_its_paths() {
        for &(dialect, model, client, speaks, whole, stream) in ROWS {
            let outbound = Outbound::to(dialect, model, client, speaks);
            let path =
                |stream| outbound.path(&PathCall { model, stream, api_version: "2024-10-21", ..PathCall::default() });
            assert_eq!((path(false).as_str(), path(true).as_str()), (whole, stream), "{dialect} {model} {client}");
        }
    }
}
