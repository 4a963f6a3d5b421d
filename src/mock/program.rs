//! What one request orders the mock to do, read from its `x-mock-*` headers. A name that is not in
//! [`NAMES`] and a value that does not parse are errors, so that a test with a typo fails loudly.

use std::time::Duration;

use http::{HeaderMap, StatusCode};

use super::encode::Coding;

/// The orders of one request. [`Program::default`] is a plain, fast, well-behaved provider.
#[derive(Clone, Debug)]
pub struct Program {
    /// Answer with this status. From 400 on the body is an error in OpenAI's shape.
    pub status: Option<StatusCode>,
    /// Seconds for the `retry-after` header.
    pub retry_after: Option<u64>,
    /// Wait before the response headers.
    pub delay: Duration,
    /// Wait between the response headers and the first frame of the body.
    pub ttft: Duration,
    /// Wait between two frames of the body.
    pub spacing: Duration,
    /// How many words to say; a lower limit in the request still cuts them.
    pub tokens: Option<u32>,
    /// Words in one streamed chunk; at least 1.
    pub chunk_tokens: u32,
    /// Split the text into at most this many chunks; at least 1. Wins over `chunk_tokens`.
    pub chunks: Option<u32>,
    pub usage: UsageMode,
    pub encoding: Encoding,
    /// Drop the connection after this many bytes of the (encoded) response body.
    pub abort: Option<u64>,
    pub malformed: Option<Malformed>,
    /// After this many events of a stream, an error event and the end, without `[DONE]`. With 0 the error
    /// is the first event of a 200.
    pub error_event: Option<u32>,
    /// End the stream cleanly but without `[DONE]`.
    pub no_done: bool,
    /// Answer before the request body has been read; it is read and thrown away meanwhile.
    pub early: bool,
    /// Answer with what was received instead of with a completion.
    pub echo: bool,
    /// Send the trailer `x-mock-trailer: end`.
    pub trailers: bool,
    /// The line end of a stream's events.
    pub line_end: &'static str,
    /// Put a `: ping` comment before every event.
    pub comment: bool,
    /// False leaves out the line ends after the last event.
    pub final_newline: bool,
    /// The model's name in the response, instead of the one that was asked for.
    pub model: Option<String>,
    /// `cached_tokens` of the usage, cut to the prompt's tokens.
    pub cached: u64,
    /// `reasoning_tokens` of the usage. They come on top of the words, as part of `completion_tokens`.
    pub reasoning: u64,
    /// Answer with a call of the first tool when there is one.
    pub tool: bool,
    /// Answer with so many calls at once, of the tools in turns.
    pub tools: u32,
    /// Answer with a refusal of the model's.
    pub refusal: bool,
    /// Put a citation behind the text.
    pub citations: bool,
    /// Put `"sent_ns"`, the time at which it was made in nanoseconds since the Unix epoch, first into
    /// every chunk of a stream.
    pub stamp: bool,
}

/// What the usage object shall look like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UsageMode {
    /// As OpenAI: always in a whole answer, in a stream when `include_usage` asks for it.
    #[default]
    AsAsked,
    /// Also in a stream that did not ask.
    Present,
    /// Never, not even when asked.
    Absent,
    /// `"usage":null` in the place where the usage would be.
    Null,
}

/// The content encoding of the response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    #[default]
    Identity,
    /// This one where the request accepts it.
    Accepted(Coding),
    /// This one, accepted or not.
    Forced(Coding),
}

/// What shall be broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// One event in the middle of the stream holds half a JSON object.
    Frame,
    /// A whole answer is cut in the middle of its JSON, and ends cleanly there.
    Json,
}

/// Why a request's orders cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProgramError {
    #[error("the mock knows no header {0}")]
    Unknown(http::HeaderName),
    #[error("the mock cannot read the value of {0}")]
    Value(&'static str),
}

type Set = fn(&mut Program, &str) -> Option<()>;

/// Every header that programs the mock: its name and how it is read. `x-mock-id` only labels the
/// request for [`crate::mock::tally`].
pub const NAMES: &[(&str, Set)] = &[
    ("x-mock-status", |p, v| set(&mut p.status, status(v).map(Some))),
    ("x-mock-retry-after", |p, v| set(&mut p.retry_after, v.parse().ok().map(Some))),
    ("x-mock-delay", |p, v| set(&mut p.delay, millis(v))),
    ("x-mock-ttft", |p, v| set(&mut p.ttft, millis(v))),
    ("x-mock-spacing", |p, v| set(&mut p.spacing, millis(v))),
    ("x-mock-tokens", |p, v| set(&mut p.tokens, v.parse().ok().map(Some))),
    ("x-mock-chunk-tokens", |p, v| set(&mut p.chunk_tokens, positive(v))),
    ("x-mock-chunks", |p, v| set(&mut p.chunks, positive(v).map(Some))),
    ("x-mock-usage", |p, v| set(&mut p.usage, usage(v))),
    ("x-mock-encoding", |p, v| set(&mut p.encoding, encoding(v))),
    ("x-mock-abort", |p, v| set(&mut p.abort, v.parse().ok().map(Some))),
    ("x-mock-malformed", |p, v| set(&mut p.malformed, malformed(v).map(Some))),
    ("x-mock-error-event", |p, v| set(&mut p.error_event, v.parse().ok().map(Some))),
    ("x-mock-no-done", |p, v| set(&mut p.no_done, flag(v))),
    ("x-mock-early", |p, v| set(&mut p.early, flag(v))),
    ("x-mock-echo", |p, v| set(&mut p.echo, flag(v))),
    ("x-mock-trailers", |p, v| set(&mut p.trailers, flag(v))),
    ("x-mock-sse", |p, v| set(&mut p.line_end, line_end(v))),
    ("x-mock-comment", |p, v| set(&mut p.comment, flag(v))),
    ("x-mock-final-newline", |p, v| set(&mut p.final_newline, flag(v))),
    ("x-mock-model", |p, v| set(&mut p.model, Some(Some(v.to_owned())))),
    ("x-mock-cached", |p, v| set(&mut p.cached, v.parse().ok())),
    ("x-mock-reasoning", |p, v| set(&mut p.reasoning, v.parse::<u32>().ok().map(u64::from))),
    ("x-mock-tool", |p, v| set(&mut p.tool, flag(v))),
    ("x-mock-tools", |p, v| set(&mut p.tools, positive(v).filter(|n| *n <= MOST_TOOLS))),
    ("x-mock-refusal", |p, v| set(&mut p.refusal, flag(v))),
    ("x-mock-citations", |p, v| set(&mut p.citations, flag(v))),
    ("x-mock-stamp", |p, v| set(&mut p.stamp, flag(v))),
    ("x-mock-id", |_, _| Some(())),
];

/// The most calls at once, as with OpenAI.
const MOST_TOOLS: u32 = 128;

/// The longest wait that can be ordered.
const LONGEST: Duration = Duration::from_secs(3600);

// === impl Program ===

impl Default for Program {
    fn default() -> Self {
        Program {
            status: None,
            retry_after: None,
            delay: Duration::ZERO,
            ttft: Duration::ZERO,
            spacing: Duration::ZERO,
            tokens: None,
            chunk_tokens: 1,
            chunks: None,
            usage: UsageMode::AsAsked,
            encoding: Encoding::Identity,
            abort: None,
            malformed: None,
            error_event: None,
            no_done: false,
            early: false,
            echo: false,
            trailers: false,
            line_end: "\n",
            comment: false,
            final_newline: true,
            model: None,
            cached: 0,
            reasoning: 0,
            tool: false,
            tools: 0,
            refusal: false,
            citations: false,
            stamp: false,
        }
    }
}

impl Program {
    /// Reads the orders out of a request's headers. A header that comes twice counts as its last value.
    ///
    /// # Errors
    /// An `x-mock-*` name that is not in [`NAMES`], or a value that cannot be read.
    pub fn parse(headers: &HeaderMap) -> Result<Program, ProgramError> {
        let mut program = Program::default();
        for (name, value) in headers {
            if !name.as_str().starts_with("x-mock-") {
                continue;
            }
            let row = NAMES.iter().find(|(known, _)| known == name);
            let Some((known, set)) = row else { return Err(ProgramError::Unknown(name.clone())) };
            let value = value.to_str().map_err(|_| ProgramError::Value(known))?;
            set(&mut program, value.trim()).ok_or(ProgramError::Value(known))?;
        }
        Ok(program)
    }

    /// The status when it is an error's.
    pub fn error(&self) -> Option<StatusCode> {
        self.status.filter(|status| status.as_u16() >= 400)
    }

    /// The coding of an answer to somebody whose `accept-encoding` is in `headers`.
    pub fn coding(&self, headers: &HeaderMap) -> Option<Coding> {
        let accepted = |coding: &Coding| {
            headers.get_all(http::header::ACCEPT_ENCODING).iter().any(|value| accepts(value, coding.name()))
        };
        match self.encoding {
            Encoding::Identity => None,
            Encoding::Forced(coding) => Some(coding),
            Encoding::Accepted(coding) => Some(coding).filter(accepted),
        }
    }
}

fn accepts(value: &http::HeaderValue, wanted: &str) -> bool {
    let Ok(value) = value.to_str() else { return false };
    value.split(',').any(|item| {
        let (coding, weight) = item.split_once(';').unwrap_or((item, "q=1"));
        let weight = weight.trim().strip_prefix("q=").and_then(|q| q.trim().parse::<f32>().ok()).unwrap_or(1.0);
        let coding = coding.trim();
        (coding == wanted || coding == "*" || (coding, wanted) == ("x-gzip", "gzip")) && weight > 0.0
    })
}

fn set<T>(place: &mut T, value: Option<T>) -> Option<()> {
    *place = value?;
    Some(())
}

/// A status that can end an exchange.
fn status(value: &str) -> Option<StatusCode> {
    value.parse().ok().filter(|status: &StatusCode| !status.is_informational())
}

fn flag(value: &str) -> Option<bool> {
    match value {
        "1" | "true" => Some(true),
        "0" | "false" => Some(false),
        _ => None,
    }
}

fn millis(value: &str) -> Option<Duration> {
    value.parse().ok().map(Duration::from_millis).filter(|wait| *wait <= LONGEST)
}

fn positive(value: &str) -> Option<u32> {
    value.parse().ok().filter(|n| *n > 0)
}

fn usage(value: &str) -> Option<UsageMode> {
    match value {
        "present" => Some(UsageMode::Present),
        "absent" => Some(UsageMode::Absent),
        "null" => Some(UsageMode::Null),
        _ => None,
    }
}

/// `identity`, a coding, or a coding and `!` for one that need not be accepted.
fn encoding(value: &str) -> Option<Encoding> {
    if value == "identity" {
        return Some(Encoding::Identity);
    }
    let coding = |name| Coding::ALL.into_iter().find(|coding| coding.name() == name);
    match value.strip_suffix('!') {
        Some(name) => coding(name).map(Encoding::Forced),
        None => coding(value).map(Encoding::Accepted),
    }
}

fn malformed(value: &str) -> Option<Malformed> {
    match value {
        "frame" => Some(Malformed::Frame),
        "json" => Some(Malformed::Json),
        _ => None,
    }
}

fn line_end(value: &str) -> Option<&'static str> {
    match value {
        "lf" => Some("\n"),
        "crlf" => Some("\r\n"),
        "cr" => Some("\r"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&'static str, &'static str)]) -> Result<Program, ProgramError> {
        let headers = pairs.iter().map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap())).collect();
        Program::parse(&headers)
    }

    #[test]
    fn a_typo_is_an_error() {
        assert_eq!(
            parse(&[("x-mock-statu", "429")]).unwrap_err(),
            ProgramError::Unknown("x-mock-statu".parse().unwrap())
        );
        assert_eq!(parse(&[("x-mock-status", "4x9")]).unwrap_err(), ProgramError::Value("x-mock-status"));
        assert_eq!(parse(&[("x-mock-status", "101")]).unwrap_err(), ProgramError::Value("x-mock-status"));
        assert_eq!(parse(&[("x-mock-chunks", "0")]).unwrap_err(), ProgramError::Value("x-mock-chunks"));
        assert!(parse(&[("x-other", "?"), ("x-mock", "?")]).is_ok());
    }

    #[test]
    fn every_name_is_unique_and_spelled_as_a_header() {
        for (i, (name, _)) in NAMES.iter().enumerate() {
            assert!(name.starts_with("x-mock-"));
            assert_eq!(http::HeaderName::from_static(name).as_str(), *name);
            assert!(NAMES[i + 1..].iter().all(|(other, _)| other != name));
        }
    }

    #[test]
    fn a_coding_needs_to_be_accepted() {
        let headers = |v: &'static str| HeaderMap::from_iter([(http::header::ACCEPT_ENCODING, v.parse().unwrap())]);
        for coding in Coding::ALL {
            let asked = parse(&[("x-mock-encoding", coding.name())]).unwrap();
            let all = headers("br, gzip;q=0.5, deflate, zstd");
            assert_eq!(asked.coding(&all), Some(coding));
            assert_eq!(asked.coding(&headers("*")), Some(coding));
            assert_eq!(asked.coding(&headers("gzip;q=0, br, zstd;q=0.0, deflate;q=0")), None);
            assert_eq!(asked.coding(&HeaderMap::new()), None);
        }
        assert_eq!(parse(&[("x-mock-encoding", "gzip!")]).unwrap().coding(&HeaderMap::new()), Some(Coding::Gzip));
        assert!(parse(&[("x-mock-encoding", "br")]).is_err());
    }

    #[test]
    fn values_arrive() {
        let p =
            parse(&[("x-mock-delay", "5"), ("x-mock-sse", "crlf"), ("x-mock-usage", "null"), ("x-mock-abort", "7")]);
        let p = p.unwrap();
        assert_eq!(
            (p.delay, p.line_end, p.usage, p.abort),
            (Duration::from_millis(5), "\r\n", UsageMode::Null, Some(7))
        );
    }
}
