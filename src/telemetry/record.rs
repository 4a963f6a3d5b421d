//! A record as one line of JSON, which is the canonical proto-JSON form of a `weir.v1.UsageRecord`.
//! Texts from outside are cut, so that its size is bounded whatever a client sends.
//!
//! The line is written from the record itself: making the message first would copy every text of it.
//! A property test holds that both come to the same.

mod object;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use self::object::Object;
use super::time::{self, digits};
use super::v1;
use crate::base::money::NanoUsd;
use crate::base::words::Words;
use crate::cache::Reason;
use crate::exchange::record::{Attempt, Cached, Decision, Outcome, Record, Timings};
use crate::identity::{MAX_TAGS, Principal};
use crate::limit::charge::Charge;
use crate::llm::{Dialect, Units, Usage, UsageSource};

/// Longest path, in bytes.
const PATH: usize = 1024;
/// Longest name: a principal, a model, a detail, whatever else comes from outside, in bytes.
const NAME: usize = 256;
/// Most decisions that are kept. An exchange makes about a dozen.
const DECISIONS: usize = 64;
/// Most limits that are kept. A call meets a handful.
const LIMITS: usize = 32;
/// Attempts in a record; a rule orders no more.
const ATTEMPTS: usize = 16;
/// Most tags that are written: a consumer's and a caller's.
const TAGS: usize = 2 * MAX_TAGS;
/// Room for a line whose names have the usual length, in bytes.
const LINE: usize = 1536;

/// The record as one line of canonical proto-JSON, without the newline.
pub fn line(record: &Record) -> String {
    let mut line = Vec::new();
    write(record, &mut line);
    // Whole texts and ASCII make a text.
    String::from_utf8(line).unwrap_or_default()
}

/// Appends the record as one line of canonical proto-JSON, without the newline.
pub fn write(record: &Record, out: &mut Vec<u8>) {
    out.reserve(LINE);
    let mut line = Object::begin(out);
    name(&mut line, "id", &record.id);
    line.quoted("startTime", |out| time::Timestamp::from_unix_nanos(record.started).write(out));
    line.duration("duration", Some(record.duration));
    principal(line.object("principal"), &record.caller);
    line.text("dialect", v1::Dialect::from(record.dialect).as_str_name());
    line.text("operation", record.operation.as_str());
    name(&mut line, "method", &record.method);
    line.text("path", &clip(&record.path, PATH));
    optional(&mut line, "route", record.route.as_deref());
    optional(&mut line, "backend", record.backend.as_deref());
    optional(&mut line, "provider", record.provider.as_deref());
    let mut models = line.object("models");
    name(&mut models, "requested", &record.requested_model);
    name(&mut models, "sent", &record.sent_model);
    name(&mut models, "served", &record.served_model);
    models.end();
    optional(&mut line, "serviceTier", record.service_tier.as_deref());
    line.flag("stream", record.stream);
    line.number("status", record.status.into());
    line.text("outcome", v1::Outcome::from(record.outcome).as_str_name());
    optional(&mut line, "refusal", record.refusal);
    if record.usage_source != UsageSource::Unknown {
        usage(line.object("usage"), &record.usage);
    }
    line.text("usageSource", v1::UsageSource::from(record.usage_source).as_str_name());
    if let Some(cost) = record.cost {
        line.quoted("costNanoUsd", |out| nanos(cost, out));
        line.quoted("costUsd", |out| usd(cost, out));
    }
    if let Some(price) = &record.price {
        name(&mut line, "price", &price.to_string());
    }
    let mut bytes = line.object("bytes");
    bytes.long("request", record.request_bytes);
    bytes.long("response", record.response_bytes);
    bytes.long("text", record.text_bytes.unwrap_or_default());
    bytes.end();
    timings(line.object("timings"), &record.timings);
    line.flag("signed", record.signed);
    decisions(&mut line, &record.decisions);
    line.number("unknownUsageFields", record.unknown_usage_fields);
    optional(&mut line, "credential", record.credential.as_deref());
    charges(&mut line, &record.limits);
    attempts(&mut line, &record.attempts);
    if let Some(cached) = &record.cached {
        self::cached(line.object("cached"), cached);
    }
    line.end();
}

/// Cuts what a line would not hold, so that a record that is kept has a bounded size.
pub fn bound(record: &mut Record) {
    record.decisions.truncate(DECISIONS);
    record.decisions.shrink_to(DECISIONS);
    record.limits.truncate(LIMITS);
    record.limits.shrink_to(LIMITS);
    record.attempts.truncate(ATTEMPTS);
    record.attempts.shrink_to(ATTEMPTS);
    let Record { method, requested_model, sent_model, served_model, .. } = record;
    let details = record.decisions.iter_mut().map(|decision| &mut decision.detail);
    for text in details.chain([method, requested_model, sent_model, served_model]) {
        cut_words(text, NAME);
    }
    cut_words(&mut record.path, PATH);
    // The price's row is shared with the catalogue, and a caller's texts were bounded when they came in.
    let Record { id, route, backend, provider, service_tier, credential, .. } = record;
    for text in [route, backend, provider, service_tier, credential].into_iter().flatten().chain([id]) {
        cut(text, NAME);
    }
}

/// `text`, or as much of its beginning as fits into `max` bytes with a "…" behind it.
pub(super) fn clip(text: &str, max: usize) -> Cow<'_, str> {
    const MARK: &str = "…";
    if text.len() <= max {
        return Cow::Borrowed(text);
    }
    let room = max.saturating_sub(MARK.len());
    let end = (0..=room).rev().find(|&end| text.is_char_boundary(end)).unwrap_or_default();
    Cow::Owned(format!("{}{MARK}", &text[..end]))
}

fn cut(text: &mut Arc<str>, max: usize) {
    if text.len() > max {
        *text = clip(text, max).into();
    }
}

fn cut_words(text: &mut Words, max: usize) {
    if text.len() > max {
        *text = clip(text, max).into_owned().into();
    }
    if let Words::Own(text) = text {
        text.shrink_to(max);
    }
}

// === Parts of a line ===

fn name(object: &mut Object<'_>, key: &str, text: &str) {
    object.text(key, &clip(text, NAME));
}

fn optional(object: &mut Object<'_>, key: &str, text: Option<&str>) {
    name(object, key, text.unwrap_or_default());
}

fn principal(mut object: Object<'_>, caller: &Principal) {
    name(&mut object, "name", &caller.name);
    name(&mut object, "namespace", &caller.namespace);
    optional(&mut object, "consumer", caller.recorded_consumer().map(|name| &**name));
    optional(&mut object, "team", caller.team.as_deref());
    optional(&mut object, "endUser", caller.end_user.as_deref());
    optional(&mut object, "session", caller.session.as_deref());
    let tags = caller.tags.iter().take(TAGS);
    object.map("tags", tags.map(|(name, value)| (clip(name, NAME), clip(value, NAME))));
    object.end();
}

fn usage(mut object: Object<'_>, usage: &Usage) {
    // Without `..`, so that a class that is added there is not forgotten here.
    let &Usage {
        input,
        cache_read,
        cache_read_audio,
        cache_read_image,
        cache_write_5m,
        cache_write_1h,
        output,
        reasoning,
        audio_in,
        audio_out,
        image_in,
        image_out,
        video_in,
        video_out,
        units,
    } = usage;
    object.long("input", input);
    object.long("cacheRead", cache_read);
    object.long("cacheWrite5m", cache_write_5m);
    object.long("cacheWrite1h", cache_write_1h);
    object.long("output", output);
    object.long("reasoning", reasoning);
    object.long("audioIn", audio_in);
    object.long("audioOut", audio_out);
    object.long("imageIn", image_in);
    object.long("imageOut", image_out);
    object.long("videoIn", video_in);
    object.long("videoOut", video_out);
    object.long("cacheReadAudio", cache_read_audio);
    object.long("cacheReadImage", cache_read_image);
    if !units.is_none() {
        self::units(object.object("units"), units);
    }
    object.end();
}

fn units(mut object: Object<'_>, units: Units) {
    // Without `..`, so that a unit that is added there is not forgotten here.
    let Units { images_in, images_out, audio_in_ms, characters, queries, pages, searches } = units;
    object.long("imagesIn", images_in);
    object.long("imagesOut", images_out);
    object.long("audioInMs", audio_in_ms);
    object.long("characters", characters);
    object.long("queries", queries);
    object.long("pages", pages);
    object.long("searches", searches);
    object.end();
}

fn timings(mut object: Object<'_>, timings: &Timings) {
    object.duration("receive", timings.receive);
    object.duration("decide", timings.decide);
    object.duration("wait", timings.wait);
    object.duration("firstByte", timings.first_byte);
    object.duration("firstToken", timings.first_token);
    object.end();
}

fn decisions(line: &mut Object<'_>, decisions: &[Decision]) {
    line.objects("decisions", decisions.iter().take(DECISIONS), |object, decision| {
        object.text("step", decision.step);
        object.text("outcome", decision.outcome);
        object.text("reason", decision.reason);
        name(object, "detail", &decision.detail);
    });
}

fn charges(line: &mut Object<'_>, charges: &[Charge]) {
    line.objects("limits", charges.iter().take(LIMITS), |object, charge| {
        let unit = charge.limit.unit;
        name(object, "limit", &charge.limit.id);
        object.text("unit", unit.as_str());
        object.text("reserved", &unit.decimal(charge.reserved));
        object.text("charged", &charge.charged.map(|charged| unit.decimal(charged)).unwrap_or_default());
    });
}

fn attempts(line: &mut Object<'_>, attempts: &[Attempt]) {
    line.objects("attempts", attempts.iter().take(ATTEMPTS), |object, attempt| {
        name(object, "backend", &attempt.backend);
        name(object, "model", &attempt.model);
        optional(object, "credential", attempt.credential.as_deref());
        object.number("status", attempt.status.into());
        object.duration("duration", Some(attempt.duration));
        object.long("wastedTokens", attempt.wasted);
        optional(object, "skipped", attempt.skipped);
    });
}

fn cached(mut object: Object<'_>, cached: &Cached) {
    object.text("result", cached.status.as_str());
    object.text("reason", cached.reason.map_or("", Reason::as_str));
    name(&mut object, "policy", &cached.rule.name);
    object.duration("age", cached.age);
    if let Some(saved) = &cached.saved {
        usage(object.object("saved"), &saved.usage);
        if let Some(cost) = saved.cost {
            object.quoted("savedNanoUsd", |out| nanos(cost, out));
        }
    }
    object.end();
}

fn nanos(NanoUsd(nanos): NanoUsd, out: &mut impl fmt::Write) -> fmt::Result {
    if nanos < 0 {
        out.write_char('-')?;
    }
    digits(nanos.unsigned_abs(), 1, out)
}

/// An exact decimal number of USD, without trailing zeros.
fn usd(NanoUsd(nanos): NanoUsd, out: &mut impl fmt::Write) -> fmt::Result {
    const NANOS: u64 = 1_000_000_000;
    if nanos < 0 {
        out.write_char('-')?;
    }
    let nanos = nanos.unsigned_abs();
    digits(nanos / NANOS, 1, out)?;
    let (mut fraction, mut width) = (nanos % NANOS, 9);
    if fraction == 0 {
        return Ok(());
    }
    while fraction % 10 == 0 {
        (fraction, width) = (fraction / 10, width - 1);
    }
    out.write_char('.')?;
    digits(fraction, width, out)
}

// === impl Dialect, Outcome, UsageSource ===

impl From<Dialect> for v1::Dialect {
    fn from(dialect: Dialect) -> Self {
        match dialect {
            Dialect::OpenAi | Dialect::Responses => v1::Dialect::Openai,
            Dialect::Anthropic => v1::Dialect::Anthropic,
            Dialect::Gemini => v1::Dialect::Gemini,
            Dialect::Vertex => v1::Dialect::Vertex,
            Dialect::Bedrock => v1::Dialect::Bedrock,
            Dialect::Azure => v1::Dialect::Azure,
            Dialect::Cohere => v1::Dialect::Cohere,
            Dialect::Ollama => v1::Dialect::Ollama,
        }
    }
}

impl From<Outcome> for v1::Outcome {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Completed => v1::Outcome::Completed,
            Outcome::UpstreamError => v1::Outcome::UpstreamError,
            Outcome::Refused => v1::Outcome::Refused,
            Outcome::Replayed => v1::Outcome::Replayed,
            Outcome::Cut => v1::Outcome::Cut,
            Outcome::Truncated => v1::Outcome::Truncated,
            Outcome::Abandoned => v1::Outcome::Abandoned,
            Outcome::Stopped => v1::Outcome::Stopped,
            Outcome::Answered => v1::Outcome::Answered,
        }
    }
}

impl From<UsageSource> for v1::UsageSource {
    fn from(source: UsageSource) -> Self {
        match source {
            UsageSource::Provider => v1::UsageSource::Provider,
            UsageSource::Estimated => v1::UsageSource::Estimated,
            UsageSource::Unknown => v1::UsageSource::Unknown,
        }
    }
}

#[cfg(test)]
mod tests;
