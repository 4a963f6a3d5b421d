//! A record as a `weir.v1.UsageRecord` and as one line of JSON. Texts from outside are cut, so that
//! the size of a record is bounded whatever a client sends.

use std::borrow::Cow;

use super::{time, v1};
use crate::base::money::NanoUsd;
use crate::exchange::record::{Outcome, Record};
use crate::llm::{Dialect, Usage, UsageSource};

/// Longest path, in bytes.
const PATH: usize = 1024;
/// Longest name: a principal, a model, a detail, whatever else comes from outside, in bytes.
const NAME: usize = 256;
/// Most decisions that are kept. An exchange makes about a dozen.
const DECISIONS: usize = 64;

/// The record as one line of canonical proto-JSON, without the newline.
pub fn line(record: &Record) -> String {
    json(&v1::UsageRecord::from(record))
}

/// A usage record as canonical proto-JSON on one line.
pub fn json(record: &v1::UsageRecord) -> String {
    // It fails for an enum value without a name, and `From` makes none.
    serde_json::to_string(record).unwrap_or_default()
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

/// An exact decimal number of USD, without trailing zeros.
fn usd(NanoUsd(nanos): NanoUsd) -> String {
    const NANOS: u64 = 1_000_000_000;
    let (sign, nanos) = (if nanos < 0 { "-" } else { "" }, nanos.unsigned_abs());
    let (whole, fraction) = (nanos / NANOS, nanos % NANOS);
    if fraction == 0 {
        return format!("{sign}{whole}");
    }
    format!("{sign}{whole}.{fraction:09}").trim_end_matches('0').to_owned()
}

fn name(text: &str) -> String {
    clip(text, NAME).into_owned()
}

fn optional(text: Option<&str>) -> String {
    text.map(name).unwrap_or_default()
}

// === impl UsageRecord ===

impl From<&Record> for v1::UsageRecord {
    fn from(record: &Record) -> Self {
        v1::UsageRecord {
            id: name(&record.id),
            start_time: Some(time::Timestamp::from_unix_nanos(record.started)),
            duration: Some(record.duration.into()),
            principal: Some(v1::Principal { name: name(&record.principal), namespace: name(&record.namespace) }),
            dialect: v1::Dialect::from(record.dialect).into(),
            operation: record.operation.as_str().to_owned(),
            method: name(&record.method),
            path: clip(&record.path, PATH).into_owned(),
            route: optional(record.route.as_deref()),
            backend: optional(record.backend.as_deref()),
            provider: optional(record.provider.as_deref()),
            models: Some(v1::Models {
                requested: name(&record.requested_model),
                sent: name(&record.sent_model),
                served: name(&record.served_model),
            }),
            service_tier: optional(record.service_tier.as_deref()),
            stream: record.stream,
            status: record.status.into(),
            outcome: v1::Outcome::from(record.outcome).into(),
            refusal: optional(record.refusal),
            usage: (record.usage_source != UsageSource::Unknown).then(|| (&record.usage).into()),
            usage_source: v1::UsageSource::from(record.usage_source).into(),
            cost_nano_usd: record.cost.map(|NanoUsd(nanos)| nanos),
            cost_usd: record.cost.map(usd),
            price: record.price.as_ref().map(|row| name(&row.to_string())).unwrap_or_default(),
            bytes: Some(v1::Bytes {
                request: record.request_bytes,
                response: record.response_bytes,
                text: record.text_bytes.unwrap_or_default(),
            }),
            timings: Some(timings(record)),
            signed: record.signed,
            decisions: decisions(record),
            unknown_usage_fields: record.unknown_usage_fields,
        }
    }
}

fn timings(record: &Record) -> v1::Timings {
    let timings = &record.timings;
    v1::Timings {
        receive: timings.receive.map(Into::into),
        decide: timings.decide.map(Into::into),
        wait: timings.wait.map(Into::into),
        first_byte: timings.first_byte.map(Into::into),
        first_token: timings.first_token.map(Into::into),
    }
}

fn decisions(record: &Record) -> Vec<v1::Decision> {
    let decisions = record.decisions.iter().take(DECISIONS);
    let message = decisions.map(|decision| v1::Decision {
        step: decision.step.to_owned(),
        outcome: decision.outcome.to_owned(),
        reason: decision.reason.to_owned(),
        detail: name(&decision.detail),
    });
    message.collect()
}

// === impl Usage, Dialect, Outcome, UsageSource ===

impl From<&Usage> for v1::Usage {
    fn from(usage: &Usage) -> Self {
        // Without `..`, so that a class that is added there is not forgotten here.
        let &Usage {
            input,
            cache_read,
            cache_write_5m,
            cache_write_1h,
            output,
            reasoning,
            audio_in,
            audio_out,
            image_in,
            image_out,
        } = usage;
        v1::Usage {
            input,
            cache_read,
            cache_write_5m,
            cache_write_1h,
            output,
            reasoning,
            audio_in,
            audio_out,
            image_in,
            image_out,
        }
    }
}

impl From<Dialect> for v1::Dialect {
    fn from(dialect: Dialect) -> Self {
        match dialect {
            Dialect::OpenAi => v1::Dialect::Openai,
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
