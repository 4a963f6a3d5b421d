//! The OpenAI endpoints: from a request's bytes and its [`Program`] to an [`Answer`]. No I/O and no
//! waiting here.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, StatusCode};

use super::body::{Event, Source};
use super::dialect::{self, Place};
use super::program::{Malformed, Program, UsageMode};
use super::reply::{CREATED, Kind, Reply, Show, Usage};
use super::request::{Forced, Request};
use super::stream::Script;
use super::tally::{Book, Opening, Ticket};

/// An answer before the program's delays, cuts and encodings are applied to it.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) content_type: &'static str,
    /// What this answer carries besides what all of its API do.
    pub(super) headers: Vec<(HeaderName, String)>,
    pub(super) source: Source,
    pub(super) ticket: Option<Ticket>,
}

/// What is known of a request besides its body.
pub(super) struct Caller<'a> {
    pub(super) book: &'a Book,
    pub(super) program: &'a Program,
    pub(super) headers: &'a HeaderMap,
    /// Without the query.
    pub(super) path: &'a str,
    pub(super) query: Option<&'a str>,
    /// The API of another provider that is spoken.
    pub(super) place: Option<Place>,
    /// Number of the request, unique for the server.
    pub(super) number: u64,
}

/// A refusal in OpenAI's words.
pub(super) struct Refuse {
    pub(super) status: StatusCode,
    pub(super) code: Option<&'static str>,
    pub(super) param: Option<Cow<'static, str>>,
    pub(super) message: Cow<'static, str>,
}

/// Words said when nothing says how many.
pub(super) const WORDS: u64 = 32;
/// The most words of all choices of one answer.
pub(super) const MOST_WORDS: u64 = 4_000_000;
/// The most choices of one answer, as with OpenAI.
const MOST_CHOICES: u32 = 128;

pub(super) const JSON: &str = "application/json";
pub(super) const SSE: &str = "text/event-stream; charset=utf-8";
const NAMES: [&str; 4] = ["gpt-4o", "gpt-4o-mini", "mock", "text-embedding-3-small"];

/// `error.type` and `error.code` by status; other statuses get the row of their class.
const ERRORS: &[(u16, &str, Option<&str>, &str)] = &[
    (400, "invalid_request_error", None, "The request is invalid."),
    (401, "invalid_request_error", Some("invalid_api_key"), "Incorrect API key provided."),
    (403, "permission_error", Some("permission_denied"), "You are not allowed to use this model."),
    (
        404,
        "invalid_request_error",
        Some("model_not_found"),
        "The model does not exist or you do not have access to it.",
    ),
    (408, "server_error", Some("request_timeout"), "The request took too long."),
    (413, "invalid_request_error", Some("request_too_large"), "The request is too large."),
    (429, "requests", Some("rate_limit_exceeded"), "Rate limit reached for requests."),
    (500, "server_error", Some("server_error"), "The server had an error while processing your request."),
    (502, "server_error", Some("bad_gateway"), "Bad gateway."),
    (503, "server_error", Some("service_unavailable"), "The engine is currently overloaded, please try again later."),
    (504, "server_error", Some("gateway_timeout"), "Gateway timeout."),
];

// === impl Answer ===

impl Answer {
    pub(super) fn json(status: StatusCode, bytes: impl Into<Bytes>) -> Answer {
        Answer { status, content_type: JSON, headers: Vec::new(), source: Source::plain(bytes), ticket: None }
    }
}

// === impl Refuse ===

impl Refuse {
    pub(super) fn bad(message: impl Into<Cow<'static, str>>, param: Option<&'static str>) -> Refuse {
        Refuse { status: StatusCode::BAD_REQUEST, code: None, param: param.map(Cow::Borrowed), message: message.into() }
    }

    /// The error as OpenAI writes it.
    pub(super) fn body(&self) -> Bytes {
        let (_, kind, usual, _) = row(self.status);
        let text = |word: Option<&str>| word.map_or_else(|| "null".to_owned(), quote);
        let (message, param, code) = (quote(&self.message), text(self.param.as_deref()), text(self.code.or(usual)));
        format!(
            "{{\n  \"error\": {{\n    \"message\": {message},\n    \"type\": \"{kind}\",\n    \"param\": {param},\n    \"code\": {code}\n  }}\n}}\n"
        )
        .into()
    }
}

impl From<StatusCode> for Refuse {
    fn from(status: StatusCode) -> Self {
        Refuse { status, code: None, param: None, message: row(status).3.into() }
    }
}

fn row(status: StatusCode) -> (u16, &'static str, Option<&'static str>, &'static str) {
    let status = status.as_u16();
    let class = if status < 500 { 400 } else { 500 };
    let find = |wanted: u16| ERRORS.iter().find(|(known, ..)| *known == wanted).copied();
    find(status).or_else(|| find(class)).unwrap_or((status, "server_error", None, ""))
}

/// `text` as a JSON string.
pub(super) fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

// === impl Caller ===

impl Caller<'_> {
    /// The answer to a request that is refused: by the program, or because it is wrong.
    pub(super) fn refuse(&self, refuse: &Refuse, model: Option<&str>, stream: bool) -> Answer {
        let ticket = self.open(refuse.status, model, stream, 0);
        let Some(place) = &self.place else {
            return Answer { ticket: Some(ticket), ..Answer::json(refuse.status, refuse.body()) };
        };
        let error = (place.tongue.error)(self, place, refuse).to_string();
        Answer { ticket: Some(ticket), content_type: place.tongue.json, ..Answer::json(refuse.status, error) }
    }

    /// The headers of an answer, besides those that every server has.
    pub(super) fn answer_headers(&self, status: StatusCode) -> Vec<(HeaderName, String)> {
        match &self.place {
            Some(place) => (place.tongue.headers)(self, status),
            None => vec![(HeaderName::from_static("openai-version"), "2020-10-01".to_owned())],
        }
    }

    pub(super) fn open(&self, status: StatusCode, model: Option<&str>, stream: bool, prompt_tokens: u64) -> Ticket {
        let (headers, path, status) = (self.headers, self.path, status.as_u16());
        self.book.open(&Opening { headers, path, model, stream, status, prompt_tokens })
    }

    /// Answers a chat or a text completion. Without a body (an early answer) it speaks for the model
    /// of the program, or for `mock`.
    pub(super) fn complete(&self, kind: Kind, body: Option<&[u8]>) -> Answer {
        let request = match self.read(body) {
            Ok(request) => request,
            Err(answer) => return answer,
        };
        let stream = request.stream;
        let model = request.model.as_deref().unwrap_or("mock");
        let reply = match self.reply(kind, &request, model, body.is_none()) {
            Ok(reply) => reply,
            Err(refuse) => return self.refuse(&refuse, Some(model), stream),
        };
        let status = self.program.status.unwrap_or(StatusCode::OK);
        let ticket = Some(self.open(status, Some(model), stream, reply.usage.prompt));
        if stream {
            let source = Source::Script(Box::new(Script::new(reply, self.program)));
            return Answer { status, content_type: SSE, headers: Vec::new(), source, ticket };
        }
        let event = self.cut(reply.whole());
        Answer { status, content_type: JSON, headers: Vec::new(), source: Source::Whole(Some(event)), ticket }
    }

    /// Reads a request; the error is the answer to one that is wrong, or to one whose program wants a
    /// refusal.
    fn read<'b>(&self, body: Option<&'b [u8]>) -> Result<Request<'b>, Answer> {
        let mut request = body.map_or_else(|| Ok(Request::default()), Request::parse);
        if let (Ok(request), Some(deployment)) = (&mut request, self.deployment()) {
            request.model.get_or_insert_with(|| deployment.to_owned().into());
        }
        if let Some(status) = self.program.error() {
            let request = request.unwrap_or_default();
            let model = request.model.as_deref().or(self.program.model.as_deref()).unwrap_or("mock");
            return Err(self.refuse(&status.into(), Some(model), request.stream));
        }
        request.map_err(|_| {
            let message = "We could not parse the JSON body of your request.";
            self.refuse(&Refuse::bad(message, None), None, false)
        })
    }

    /// The deployment of Azure's older paths, `/openai/deployments/NAME/…?api-version=…`.
    fn deployment(&self) -> Option<&str> {
        let (_, rest) = self.path.split_once("/openai/deployments/")?;
        rest.split('/').next().filter(|name| !name.is_empty())
    }

    /// Azure finds nothing at its older paths without the version of the API.
    pub(super) fn lacks_version(&self) -> bool {
        let older = self.path.starts_with("/openai/") && !self.path.starts_with("/openai/v1/");
        older && dialect::field(self.query, "api-version").is_none_or(str::is_empty)
    }

    /// Decides the whole answer.
    fn reply(&self, kind: Kind, request: &Request, model: &str, early: bool) -> Result<Reply, Refuse> {
        let program = self.program;
        if !early {
            check(kind, request)?;
        }
        let limit = request.max_tokens;
        let wanted = program.tokens.map_or(limit.unwrap_or(WORDS), u64::from);
        let words = limit.map_or(wanted, |limit| wanted.min(limit));
        let cut = limit.is_some_and(|limit| program.tokens.is_none() || limit < wanted);
        let choices = request.choices.unwrap_or(1);
        let (calls, named) = self.calls(kind, request);
        let said = words.saturating_mul(u64::from(choices)).saturating_mul(calls.len().max(1) as u64);
        if said > MOST_WORDS {
            return Err(Refuse::bad("The mock says at most 4000000 words in one answer.", Some("max_tokens")));
        }
        let prompt = request.prompt.map_or(1, |prompt| prompt.tokens());
        let usage = Usage {
            prompt,
            completion: said + program.reasoning,
            cached: program.cached.min(prompt),
            reasoning: program.reasoning,
        };
        let finish = match (cut, calls.is_empty()) {
            (true, _) => "length",
            // OpenAI says `stop` where the caller chose the function.
            (false, false) if !named => "tool_calls",
            (false, _) => "stop",
        };
        Ok(Reply {
            kind,
            id: self.id(if kind == Kind::Chat { "chatcmpl" } else { "cmpl" }),
            model: quote(program.model.as_deref().unwrap_or(model)),
            choices,
            words,
            finish,
            refusal: program.refusal && kind == Kind::Chat,
            cited: program.citations && calls.is_empty() && !program.refusal,
            calls,
            usage,
            show: show(program.usage, request),
        })
    }

    /// The functions to call as JSON strings, and whether the request named the first.
    fn calls(&self, kind: Kind, request: &Request) -> (Vec<String>, bool) {
        let Some(first) = request.tool.as_deref().filter(|_| kind == Kind::Chat) else { return (Vec::new(), false) };
        if self.program.refusal || !request.prompt.is_some_and(|prompt| prompt.user_last) {
            return (Vec::new(), false);
        }
        let (first, named) = match &request.forced {
            Forced::Named(name) => (name.as_ref(), true),
            Forced::Any => (first, false),
            Forced::No if self.program.tool || self.program.tools > 0 => (first, false),
            Forced::No | Forced::Never => return (Vec::new(), false),
        };
        let count = if request.one_call { 1 } else { self.program.tools.max(1) };
        let all = request.tool.iter().chain(&request.more_tools).map(AsRef::as_ref);
        let names = std::iter::once(first).chain(all.filter(|name| *name != first)).cycle();
        (names.take(usize::try_from(count).unwrap_or(1)).map(quote).collect(), named)
    }

    /// An id that follows from the request's label, or else from its number.
    pub(super) fn id(&self, kind: &str) -> String {
        format!("{kind}-{}", self.label())
    }

    pub(super) fn label(&self) -> String {
        let label = self.headers.get("x-mock-id").and_then(|label| label.to_str().ok());
        let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
        match label.filter(|label| !label.is_empty() && label.len() <= 64 && label.bytes().all(plain)) {
            Some(label) => label.to_owned(),
            None => format!("mock{:016x}", self.number),
        }
    }

    /// Breaks a whole answer's JSON when the program says so.
    pub(super) fn cut(&self, event: Event) -> Event {
        if self.program.malformed != Some(Malformed::Json) {
            return event;
        }
        Event { bytes: event.bytes.slice(..event.bytes.len() / 2), ..event }
    }

    /// Answers an embeddings request.
    pub(super) fn embed(&self, body: Option<&[u8]>) -> Answer {
        let request = match self.read(body) {
            Ok(request) => request,
            Err(answer) => return answer,
        };
        let model = request.model.as_deref().unwrap_or("mock");
        match super::embed::vectors(&request) {
            Err(refuse) => self.refuse(&refuse, Some(model), false),
            Ok((data, tokens)) => {
                let status = self.program.status.unwrap_or(StatusCode::OK);
                let usage = match self.program.usage {
                    UsageMode::Absent => String::new(),
                    UsageMode::Null => r#","usage":null"#.to_owned(),
                    _ => format!(r#","usage":{{"prompt_tokens":{tokens},"total_tokens":{tokens}}}"#),
                };
                let served = quote(self.program.model.as_deref().unwrap_or(model));
                let json = format!(r#"{{"object":"list","data":[{data}],"model":{served}{usage}}}"#);
                let event = self.cut(Event { bytes: json.into(), tokens: 0 });
                let ticket = Some(self.open(status, Some(model), false, tokens));
                Answer { status, content_type: JSON, headers: Vec::new(), source: Source::Whole(Some(event)), ticket }
            }
        }
    }
}

/// What OpenAI refuses and the mock needs.
fn check(kind: Kind, request: &Request) -> Result<(), Refuse> {
    if request.model.as_deref().is_none_or(str::is_empty) {
        return Err(Refuse::bad("you must provide a model parameter", Some("model")));
    }
    if request.prompt.is_none() && kind == Kind::Chat {
        let refuse = Refuse::bad("Missing required parameter: 'messages'.", Some("messages"));
        return Err(Refuse { code: Some("missing_required_parameter"), ..refuse });
    }
    if request.max_tokens == Some(0) {
        return Err(Refuse::bad("max_tokens must be at least 1.", Some("max_tokens")));
    }
    if request.choices.is_some_and(|n| n == 0 || n > MOST_CHOICES) {
        return Err(Refuse::bad("n must be between 1 and 128.", Some("n")));
    }
    Ok(())
}

fn show(mode: UsageMode, request: &Request) -> Show {
    let asked = !request.stream || request.include_usage;
    match mode {
        UsageMode::Present => Show::Full,
        UsageMode::AsAsked if asked => Show::Full,
        UsageMode::Null if asked => Show::Null,
        UsageMode::AsAsked | UsageMode::Null | UsageMode::Absent => Show::Nothing,
    }
}

/// The answer to `GET /v1/models`.
pub(super) fn models() -> String {
    let row = |name: &&str| format!(r#"{{"id":"{name}","object":"model","created":{CREATED},"owned_by":"mock"}}"#);
    let rows: Vec<String> = NAMES.iter().map(row).collect();
    format!(r#"{{"object":"list","data":[{}]}}"#, rows.join(","))
}
