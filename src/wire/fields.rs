//! What deciding needs from a JSON request of any format that has a top-level `model`: the values,
//! and where in the body they stand, so that they can be edited in place.

use super::{Endpoint, keys, media, stated};
use crate::base::json::{self, JsonError, Kind, Member, Span};
use crate::llm::{Call, Code, Dialect, Operation, Refusal};

/// A request body that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fields {
    pub call: Call,
    /// A form, of which the model alone is edited; else JSON.
    pub is_form: bool,
    /// The model's value; in JSON, quotes included. None where it stands in the path.
    pub model: Option<Span>,
    /// Just behind the last member of the body: where another one can be inserted.
    pub tail: usize,
    pub stream_options: Option<StreamOptions>,
}

/// The `stream_options` object of OpenAI's formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamOptions {
    /// The value, whatever its type.
    pub value: Span,
    pub is_object: bool,
    /// The value of `include_usage`, if it is there.
    pub include_usage: Option<Span>,
    /// Where another member can be inserted.
    pub tail: usize,
    pub is_empty: bool,
}

/// Where a format that has an object for it states the bound on output tokens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Nested {
    /// The top-level member.
    pub object: &'static str,
    pub name: &'static str,
}

// === impl Nested ===

impl Nested {
    /// `GenerateContentRequest` of the Gemini API, `ConverseRequest` of Amazon Bedrock.
    pub fn of(dialect: Dialect) -> Option<Nested> {
        match dialect {
            Dialect::Gemini => Some(Nested { object: "generationConfig", name: "maxOutputTokens" }),
            Dialect::Bedrock => Some(Nested { object: "inferenceConfig", name: "maxTokens" }),
            _ => None,
        }
    }
}

/// The longest model name that is read, in bytes. It goes into headers, metadata and records, so it
/// is bounded here, where it comes in; the longest real ones are Bedrock's resource names.
pub(super) const MAX_MODEL: usize = 512;

/// The longest service tier that is read, and the longest other word that a price depends on.
const MAX_TIER: usize = 64;

/// Reads `body`. Only fields that are acted on are looked at; of these, none may stand twice, in
/// whatever case: a server written in Go reads `Model` as `model`.
///
/// # Errors
/// 400 `invalid_json`, `duplicate_field` or `unsupported_value`.
pub fn read(dialect: Dialect, operation: Operation, body: &[u8]) -> Result<Fields, Refusal> {
    let members = json::object(body).map_err(refuse)?;
    let model = only(dialect, &members, "model")?;
    let Some(model) = model.filter(|member| member.kind == Kind::String) else {
        return Err(Refusal::new(Code::UnsupportedValue, "The request must name a model, as a string.").param("model"));
    };
    let flag = |key| Ok::<_, Refusal>(only(dialect, &members, key)?.is_some_and(|member| member.kind == Kind::True));
    let text = |key| Ok::<_, Refusal>(only(dialect, &members, key)?.and_then(|member| string(body, member)));

    let stream = flag("stream")?;
    let background = flag("background")?;
    let stated = stated::max_output(dialect, operation, body, &members)?;
    let choices = stated::choices(dialect, operation, body, &members)?;
    let media = media::read(operation, text)?;
    let service_tier = text("service_tier")?.filter(|tier| tier.len() <= MAX_TIER);
    let word = |key| {
        let said = if dialect == Dialect::Anthropic { text(key)? } else { None };
        Ok::<_, Refusal>(said.filter(|said| said.len() <= MAX_TIER).map(String::into_boxed_str))
    };
    let (speed, geo) = (word("speed")?, word("inference_geo")?);
    let stream_options = match only(dialect, &members, "stream_options")? {
        Some(member) => Some(read_stream_options(dialect, body, member)?),
        None => None,
    };
    let asked = stream_options.and_then(|options| options.include_usage);
    let stream_usage = asked.is_some_and(|span| &body[span.start..span.end] == b"true");
    let name = string(body, model).unwrap_or_default();
    if name.len() > MAX_MODEL {
        let message = format!("The model name is longer than {MAX_MODEL} bytes.");
        return Err(Refusal::new(Code::UnsupportedValue, message).param("model"));
    }
    Ok(Fields {
        call: Call {
            dialect,
            operation,
            model: name.into(),
            stream,
            stream_usage,
            background,
            max_output: stated.bound,
            output_alias: stated.alias,
            choices,
            service_tier,
            speed,
            geo,
            body_bytes: body.len() as u64,
            media,
        },
        is_form: false,
        model: Some(model.value),
        tail: members.last().map_or(0, |last| last.value.end),
        stream_options,
    })
}

/// Reads a body whose model, and whether it wants a stream, stand in its path.
///
/// # Errors
/// As [`read`].
pub(super) fn read_named(
    endpoint: Endpoint,
    model: Option<String>,
    stream: bool,
    body: &[u8],
) -> Result<Fields, Refusal> {
    let Endpoint { dialect, operation, .. } = endpoint;
    let members = json::object(body).map_err(refuse)?;
    let model = model.filter(|model| model.len() <= MAX_MODEL).ok_or_else(|| {
        let message = format!("The path must name a model, of at most {MAX_MODEL} bytes.");
        Refusal::new(Code::UnsupportedValue, message).param("model")
    })?;
    let (mut max_output, mut choices) = (None, None);
    if let Some(place) = Nested::of(dialect) {
        let config = object(body, only(dialect, &members, place.object)?)?;
        let number = |key| Ok::<_, Refusal>(only(dialect, &config, key)?.and_then(|found| count(dialect, body, found)));
        max_output = number(place.name)?;
        choices = if dialect == Dialect::Gemini { number("candidateCount")? } else { None };
    }
    let tier = only(dialect, &members, "serviceTier")?;
    // Bedrock's stands in an object of its own.
    let inside = if dialect == Dialect::Bedrock { object(body, tier)? } else { Vec::new() };
    let tier = if dialect == Dialect::Bedrock { only(dialect, &inside, "type")? } else { tier };
    let service_tier = tier.and_then(|member| string(body, member)).filter(|tier| tier.len() <= MAX_TIER);
    Ok(Fields {
        call: Call {
            dialect,
            operation,
            model: model.into(),
            stream,
            // These APIs state usage unasked.
            stream_usage: true,
            background: false,
            max_output,
            output_alias: None,
            choices: choices.unwrap_or(1).max(1),
            service_tier,
            speed: None,
            geo: None,
            body_bytes: body.len() as u64,
            media: None,
        },
        is_form: false,
        model: None,
        tail: members.last().map_or(0, |last| last.value.end),
        stream_options: None,
    })
}

fn read_stream_options(dialect: Dialect, body: &[u8], member: &Member<'_>) -> Result<StreamOptions, Refusal> {
    let nested = match member.kind {
        Kind::Object => json::members(body, member.value).map_err(refuse)?,
        _ => Vec::new(),
    };
    let include_usage = only(dialect, &nested, "include_usage")?.map(|found| found.value);
    Ok(StreamOptions {
        value: member.value,
        is_object: member.kind == Kind::Object,
        include_usage,
        tail: nested.last().map_or(member.value.start + 1, |last| last.value.end),
        is_empty: nested.is_empty(),
    })
}

/// The member with that key, which stands once in whatever case.
pub(super) fn only<'m, 'a>(
    dialect: Dialect,
    members: &'m [Member<'a>],
    key: &str,
) -> Result<Option<&'m Member<'a>>, Refusal> {
    Ok(keys::only(dialect, members, key)?.and_then(|index| members.get(index)))
}

/// The members of what is an object; none of anything else.
fn object<'a>(body: &'a [u8], member: Option<&Member<'a>>) -> Result<Vec<Member<'a>>, Refusal> {
    let object = member.filter(|member| member.kind == Kind::Object);
    object.map_or(Ok(Vec::new()), |object| json::members(body, object.value)).map_err(refuse)
}

/// The digits of a number; proto3 JSON may write it as a string.
pub(super) fn digits<'b>(dialect: Dialect, body: &'b [u8], member: &Member<'_>) -> &'b [u8] {
    let raw = member.value.slice(body);
    match raw {
        [b'"', inner @ .., b'"'] if dialect == Dialect::Gemini => inner,
        raw => raw,
    }
}

fn count(dialect: Dialect, body: &[u8], member: &Member<'_>) -> Option<u64> {
    std::str::from_utf8(digits(dialect, body, member)).ok()?.parse().ok()
}

fn string(body: &[u8], member: &Member<'_>) -> Option<String> {
    (member.kind == Kind::String)
        .then(|| json::string(&body[member.value.start..member.value.end]).map(|text| text.into_owned()))?
}

/// What is wrong with a body, in the words of a client.
pub fn refuse(error: JsonError) -> Refusal {
    match error {
        JsonError::DuplicateKey { key } => {
            Refusal::new(Code::DuplicateField, format!("The field {key:?} stands twice; say it once.")).param(key)
        }
        other => Refusal::new(Code::InvalidJson, format!("The request body is not valid JSON: {other}.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_chat(body: &str) -> Result<Call, Code> {
        let fields = read(Dialect::OpenAi, Operation::Chat, body.as_bytes());
        fields.map(|fields| fields.call).map_err(|refusal| refusal.code)
    }

    #[test]
    fn a_field_that_is_acted_on_stands_once_in_whatever_case() {
        for body in [
            r#"{"model":"a","model":"b"}"#,
            r#"{"model":"a","Model":"b"}"#,
            r#"{"MODEL":"b","model":"a"}"#,
            r#"{"model":"a","stream":false,"Stream":true}"#,
            r#"{"model":"a","stream_options":{"include_usage":false,"Include_Usage":true}}"#,
            r#"{"model":"a","stream":false,"\u017ftream":true}"#,
            "{\"model\":\"a\",\"background\":false,\"bac\u{212a}ground\":true}",
        ] {
            assert_eq!(read_chat(body), Err(Code::DuplicateField), "{body}");
        }
        let call = read_chat(r#"{"model":"a","user":"x","User":"y","user":"z"}"#);
        assert_eq!(call.map(|call| call.model), Ok("a".into()), "a field that nobody acts on");
        assert_eq!(read_chat(r#"{"Model":"a"}"#), Err(Code::UnsupportedValue));
    }

    #[test]
    fn names_are_bounded_where_they_come_in() {
        let body = |length| format!(r#"{{"model":"{}","service_tier":"{0}"}}"#, "m".repeat(length));
        assert_eq!(read_chat(&body(MAX_MODEL)).map(|call| call.service_tier), Ok(None));
        assert_eq!(read_chat(&body(MAX_MODEL + 1)), Err(Code::UnsupportedValue));
    }

    #[test]
    fn a_body_whose_model_is_in_its_path_states_the_rest_in_objects() {
        let read = |dialect, body: &str| {
            let named = super::super::Named::Path { stream: false, array: false };
            let endpoint = Endpoint { dialect, operation: Operation::Chat, held: true, multipart: false, named };
            let call = read_named(endpoint, Some("m".to_owned()), false, body.as_bytes()).map(|fields| fields.call);
            call.map(|call| (call.max_output, call.choices, call.service_tier)).map_err(|refusal| refusal.code)
        };
        let flex = || Some("flex".to_owned());
        for (dialect, body, expected) in [
            (
                Dialect::Gemini,
                r#"{"generationConfig":{"maxOutputTokens":5,"candidateCount":2},"serviceTier":"flex"}"#,
                (Some(5), 2, flex()),
            ),
            (
                Dialect::Gemini,
                r#"{"generation_config":{"max_output_tokens":"5","candidate_count":0},"service_tier":"flex"}"#,
                (Some(5), 1, flex()),
            ),
            (Dialect::Gemini, r#"{"generationConfig":[],"inferenceConfig":{"maxTokens":5}}"#, (None, 1, None)),
            (
                Dialect::Bedrock,
                r#"{"inferenceConfig":{"maxTokens":5,"candidateCount":2},"serviceTier":{"type":"flex"}}"#,
                (Some(5), 1, flex()),
            ),
            (Dialect::Bedrock, r#"{"inferenceConfig":{"maxTokens":"5"},"serviceTier":"flex"}"#, (None, 1, None)),
        ] {
            assert_eq!(read(dialect, body), Ok(expected), "{body}");
        }
        for body in [
            r#"{"generationConfig":{},"generation_config":{}}"#,
            r#"{"generationConfig":{"maxOutputTokens":5,"max_output_tokens":5}}"#,
            r#"{"serviceTier":"flex","service_tier":"flex"}"#,
        ] {
            assert_eq!(read(Dialect::Gemini, body), Err(Code::DuplicateField), "{body}");
        }
    }
}
