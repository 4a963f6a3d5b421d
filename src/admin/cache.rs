//! `GET /cache`: how full the cache of this process is, and what became of answers that could have been kept.
//! `DELETE /cache?scope=all`, or `?scope=consumer/NAME`, `team/NAME`, `namespace/NAME`, `shared`: answers are
//! forgotten, those of one caller or all.

use http::{Request, StatusCode};
use serde_json::json;

use super::limits::{Fields, may_change};
use super::routes::{Answer, error, json as page};
use super::{Admin, Peer};
use crate::cache::Partition;

/// Where the cache is shown and emptied.
pub const PATH: &str = "/cache";

/// The page of the cache.
pub fn show(admin: &Admin) -> Answer {
    let seen = (admin.cache.show)();
    let refused: serde_json::Map<String, serde_json::Value> =
        seen.refused.iter().map(|(reason, count)| (reason.as_str().to_owned(), json!(count))).collect();
    let alike: Vec<serde_json::Value> = seen
        .alike
        .iter()
        .map(|(result, reason, count)| json!({"result": result, "reason": reason, "count": count}))
        .collect();
    page(&json!({
        "memory": {"entries": seen.memory.entries, "bytes": seen.memory.bytes, "evicted": seen.memory.evicted},
        "flights": {"running": seen.flights, "followers": seen.followers},
        "alike": alike,
        "answers": {"kept": seen.stored.0, "bytes": seen.stored.1, "notKept": refused},
    }))
}

/// Forgets answers, if that may be.
pub fn forget<B>(admin: &Admin, peer: Peer, request: &Request<B>) -> Answer {
    if let Some(refused) = may_change(admin, request) {
        return refused;
    }
    let found = match Fields::read(request.uri().query(), &["scope"]) {
        Ok(found) => found,
        Err(message) => return error(StatusCode::BAD_REQUEST, &message),
    };
    let Some(scope) = found.get("scope") else {
        return error(StatusCode::BAD_REQUEST, WORDS);
    };
    let whose = match read(scope) {
        Some(whose) => whose,
        None => return error(StatusCode::BAD_REQUEST, WORDS),
    };
    let forgotten = (admin.cache.forget)(whose.as_ref());
    let entries = match forgotten {
        Ok(entries) => entries,
        Err(message) => return error(StatusCode::SERVICE_UNAVAILABLE, &message),
    };
    // It is somebody's word: written so that no line is made of it that is not one.
    tracing::warn!(by = %peer, scope = ?scope, entries, "kept answers were forgotten");
    page(&json!({"scope": scope, "forgotten": entries}))
}

const WORDS: &str = "say whose answers: ?scope=all, consumer/NAME, team/NAME, namespace/NAME or shared";

/// A partition by its name; none of one for all of them.
fn read(scope: &str) -> Option<Option<Partition>> {
    let named = scope.split_once('/').filter(|(_, name)| !name.is_empty());
    match (scope, named) {
        ("all", _) => Some(None),
        ("shared", _) => Some(Some(Partition::Shared)),
        (_, Some(("consumer", name))) => Some(Some(Partition::Consumer(name.into()))),
        (_, Some(("team", name))) => Some(Some(Partition::Team(name.into()))),
        (_, Some(("namespace", name))) => Some(Some(Partition::Namespace(name.into()))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_answers_are_meant_is_said_by_kind_and_name() {
        assert_eq!(read("all"), Some(None));
        for partition in [
            Partition::Consumer("a/b".into()),
            Partition::Team("x".into()),
            Partition::Namespace("default".into()),
            Partition::Shared,
        ] {
            assert_eq!(read(&partition.to_string()), Some(Some(partition)));
        }
        for odd in ["", "consumer", "consumer/", "ann", "everybody/x", "All"] {
            assert_eq!(read(odd), None, "{odd}");
        }
    }
}
