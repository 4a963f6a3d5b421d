//! What the cache would do with a request: the policy, whose answers would do, and what is looked for, or why nothing
//! is. Whether something is there is not looked up.

use std::fmt::Write;

use serde_json::{Value, json};

use super::drive::Asked;
use crate::cache::{Ask, Digest};
use crate::exchange::record::Cached;

/// In words, a line; nothing where no policy is about the call.
pub fn text(asked: &Asked) -> String {
    let Some(cached) = asked.record.cached.as_deref() else { return String::new() };
    let policy = &cached.rule.name;
    match (&asked.recall, cached.reason) {
        (Some(ask), _) => {
            let shadow = if ask.is_shadow { ", in Shadow: what is found changes nothing" } else { "" };
            let (partition, question) = (&ask.partition, hex(&ask.digest));
            format!(
                "cache: {policy}: {} among the answers of {partition}{shadow}\ncache key: {question}\n",
                does(ask, cached)
            )
        }
        (None, Some(reason)) => format!("cache: {policy}: bypass, {}: {}\n", reason.as_str(), reason.meaning()),
        (None, None) => format!("cache: {policy}\n"),
    }
}

/// What is done, in words.
fn does(ask: &Ask, cached: &Cached) -> String {
    let looks = match (ask.reads, cached.rule.exact.is_some(), cached.rule.coalesces) {
        (false, ..) => "not looked for",
        (true, true, true) => "looked for, and waited for where it is on its way,",
        (true, true, false) => "looked for",
        (true, false, true) => "waited for where it is on its way",
        (true, false, false) => "not looked for as it is",
    };
    match cached.rule.ttl().filter(|_| ask.keeps) {
        Some(ttl) => format!("{looks} and kept for {} s", ttl.as_secs()),
        None => format!("{looks} and not kept"),
    }
}

/// For programs; null where no policy is about the call.
pub fn json(asked: &Asked) -> Value {
    let Some(cached) = asked.record.cached.as_deref() else { return Value::Null };
    let ask = asked.recall.as_deref();
    json!({
        "policy": &*cached.rule.name,
        "bypass": cached.reason.map(|reason| reason.as_str()),
        "partition": ask.map(|ask| ask.partition.to_string()),
        "key": ask.map(|ask| hex(&ask.digest)),
        "reads": ask.is_some_and(|ask| ask.reads),
        "keepsForSeconds": ask.filter(|ask| ask.keeps).and_then(|_| cached.rule.ttl()).map(|ttl| ttl.as_secs()),
        "shadow": ask.is_some_and(|ask| ask.is_shadow),
    })
}

fn hex(digest: &Digest) -> String {
    digest.0.iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
