//! A record as the message that its line has to be: the generated code says how that is written.

use super::super::*;

fn name(text: &str) -> String {
    clip(text, NAME).into_owned()
}

fn optional(text: Option<&str>) -> String {
    text.map(name).unwrap_or_default()
}

fn principal(record: &Record) -> v1::Principal {
    let caller = &record.caller;
    let tags = caller.tags.iter().take(TAGS);
    v1::Principal {
        name: name(&caller.name),
        namespace: name(&caller.namespace),
        consumer: optional(caller.consumer.as_deref()),
        team: optional(caller.team.as_deref()),
        end_user: optional(caller.end_user.as_deref()),
        session: optional(caller.session.as_deref()),
        tags: tags.map(|(key, value)| (name(key), name(value))).collect(),
    }
}

// === impl UsageRecord ===

impl From<&Record> for v1::UsageRecord {
    fn from(record: &Record) -> Self {
        v1::UsageRecord {
            id: name(&record.id),
            start_time: Some(time::Timestamp::from_unix_nanos(record.started)),
            duration: Some(record.duration.into()),
            principal: Some(principal(record)),
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
            cost_usd: record.cost.map(|cost| {
                let mut text = String::new();
                usd(cost, &mut text).unwrap();
                text
            }),
            price: record.price.as_ref().map(|price| name(&price.to_string())).unwrap_or_default(),
            bytes: Some(v1::Bytes {
                request: record.request_bytes,
                response: record.response_bytes,
                text: record.text_bytes.unwrap_or_default(),
            }),
            timings: Some(timings(record)),
            signed: record.signed,
            credential: record.credential.as_deref().unwrap_or_default().to_owned(),
            decisions: decisions(record),
            unknown_usage_fields: record.unknown_usage_fields,
            limits: charges(record),
            attempts: attempts(record),
            cached: record.cached.as_deref().map(cached),
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

fn attempts(record: &Record) -> Vec<v1::Attempt> {
    let attempt = |attempt: &Attempt| v1::Attempt {
        backend: name(&attempt.backend),
        model: name(&attempt.model),
        credential: optional(attempt.credential.as_deref()),
        status: attempt.status.into(),
        duration: Some(attempt.duration.into()),
        wasted_tokens: attempt.wasted,
        skipped: attempt.skipped.unwrap_or_default().to_owned(),
    };
    record.attempts.iter().take(ATTEMPTS).map(attempt).collect()
}

fn cached(cached: &Cached) -> v1::Cached {
    v1::Cached {
        result: cached.status.as_str().to_owned(),
        reason: cached.reason.map(Reason::as_str).unwrap_or_default().to_owned(),
        policy: name(&cached.rule.name),
        age: cached.age.map(Into::into),
        saved: cached.saved.as_ref().map(|saved| (&saved.usage).into()),
        saved_nano_usd: cached.saved.and_then(|saved| saved.cost).map(NanoUsd::nanos),
    }
}

fn charges(record: &Record) -> Vec<v1::LimitCharge> {
    let charge = |charge: &Charge| v1::LimitCharge {
        limit: name(&charge.limit.id),
        unit: charge.limit.unit.as_str().to_owned(),
        reserved: charge.limit.unit.decimal(charge.reserved),
        charged: charge.charged.map(|charged| charge.limit.unit.decimal(charged)).unwrap_or_default(),
    };
    record.limits.iter().take(LIMITS).map(charge).collect()
}

impl From<&Usage> for v1::Usage {
    fn from(usage: &Usage) -> Self {
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
            video_in,
            video_out,
            cache_read_audio,
            cache_read_image,
            units: (!units.is_none()).then(|| units.into()),
        }
    }
}

impl From<Units> for v1::Units {
    fn from(units: Units) -> Self {
        // Without `..`, so that a unit that is added there is not forgotten here.
        let Units { images_in, images_out, audio_in_ms, characters, queries, pages, searches } = units;
        v1::Units { images_in, images_out, audio_in_ms, characters, queries, pages, searches }
    }
}
