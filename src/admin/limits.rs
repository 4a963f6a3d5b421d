//! `GET /limits[?limit=ID&most=N]`: the keys that have used most of their limits. `POST /limits/reset?limit=ID
//! [&key=COUNTER]`: what they have used is forgotten. Only the owner of a store resets what it counts for all
//! replicas: of such a limit the answer says what to do there.
//!
//! Amounts are exact decimal numbers in the limit's unit, as texts.

use std::borrow::Cow;

use http::header::{HeaderName, ORIGIN};
use http::{Request, StatusCode};
use serde_json::{Value, json};

use super::routes::{Answer, error, json as page};
use super::{Admin, Peer};
use crate::limit::memory::list::Row;
use crate::limit::window::Window;

/// Where limits are reset.
pub const RESET: &str = "/limits/reset";

/// Without this header, whatever its value, nothing is changed: no web page can send it unasked.
pub const CONFIRM: HeaderName = HeaderName::from_static("x-weir-admin");

/// Rows of a page where nobody says how many.
const ROWS: usize = 100;
/// Most rows of a page.
const MOST: usize = 10_000;

/// The page of limits.
pub fn show(admin: &Admin, query: Option<&str>) -> Answer {
    let found = match Fields::read(query, &["limit", "most"]) {
        Ok(found) => found,
        Err(message) => return error(StatusCode::BAD_REQUEST, &message),
    };
    let most = match found.get("most").map(str::parse) {
        None => ROWS,
        Some(Ok(most @ 1..=MOST)) => most,
        Some(_) => return error(StatusCode::BAD_REQUEST, &format!("\"most\" must be from 1 to {MOST}")),
    };
    let rows = admin.limits.list(found.get("limit"), most);
    page(&json!({"limits": rows.iter().map(row).collect::<Vec<_>>()}))
}

/// Forgets what is used of a limit, if that may be.
pub fn reset<B>(admin: &Admin, peer: Peer, request: &Request<B>) -> Answer {
    if let Some(refused) = may_change(admin, request) {
        return refused;
    }
    let found = match Fields::read(request.uri().query(), &["limit", "key"]) {
        Ok(found) => found,
        Err(message) => return error(StatusCode::BAD_REQUEST, &message),
    };
    let Some(limit) = found.get("limit") else {
        return error(
            StatusCode::BAD_REQUEST,
            "say which limit: ?limit=POLICY/LIMIT, and &key=COUNTER for one key of it",
        );
    };
    let key = found.get("key");
    if let Some(pattern) = (admin.in_store)(limit, key) {
        return error(StatusCode::CONFLICT, &shared(&pattern, key.is_some()));
    }
    let keys = admin.limits.reset(limit, key);
    // Both are somebody's words: written so that no line is made of them that is not one.
    tracing::warn!(by = %peer, limit = ?limit, counter = ?key, keys, "what was used of a limit was reset");
    if keys == 0 {
        let message = "nothing that can be reset is used there; GET /limits shows limits and counters, and what \
                       calls in flight hold ends with them";
        return error(StatusCode::NOT_FOUND, message);
    }
    page(&json!({"limit": limit, "counter": key, "reset": keys}))
}

/// The refusal of a request that may not change anything; none for one that may.
pub(super) fn may_change<B>(admin: &Admin, request: &Request<B>) -> Option<Answer> {
    if !admin.mutations {
        let message = "Weir was started without --admin-mutations, so nothing can be changed";
        return Some(error(StatusCode::FORBIDDEN, message));
    }
    let headers = request.headers();
    if !headers.contains_key(CONFIRM) || headers.contains_key(ORIGIN) {
        let message = format!("send the header {CONFIRM}: 1, and no Origin: this is not for web pages");
        return Some(error(StatusCode::FORBIDDEN, &message));
    }
    None
}

/// What to do about a limit that all replicas count in one store. No key has a character that ends a line.
fn shared(pattern: &str, is_one: bool) -> String {
    let quoted = format!("'{}'", pattern.replace('\'', r"'\''"));
    let command = match is_one {
        true => format!("redis-cli unlink {quoted}"),
        false => format!(r"redis-cli --scan --pattern {quoted} | xargs -r -d '\n' redis-cli unlink"),
    };
    format!(
        "it is counted in the Redis that all replicas share, and nothing was changed; there it is forgotten by: {command}"
    )
}

fn row(row: &Row) -> Value {
    let (limit, unit) = (&row.limit, row.limit.unit);
    // What is held comes back when its call ends, and nobody knows when that is.
    let reset = (limit.window != Window::Held).then(|| row.reset.as_millis().div_ceil(1_000) as u64);
    json!({
        "limit": &*limit.id,
        "counter": &*row.key,
        "unit": unit.as_str(),
        "used": unit.decimal(row.used),
        "ceiling": unit.decimal(row.ceiling),
        "period": (limit.window != Window::Held).then(|| limit.window.to_string()),
        "resetSeconds": reset,
        "utilization": row.utilisation() as f64 / 1e6,
    })
}

/// The fields of a query, percent signs decoded.
pub(super) struct Fields<'a>(Vec<(&'a str, Cow<'a, str>)>);

// === impl Fields ===

impl<'a> Fields<'a> {
    /// Each of `known` at most once, and no other: who misspells a limit does not mean all of them.
    pub(super) fn read(query: Option<&'a str>, known: &[&str]) -> Result<Self, String> {
        let mut fields = Fields(Vec::new());
        for piece in query.unwrap_or_default().split('&').filter(|piece| !piece.is_empty()) {
            let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
            if !known.contains(&name) || fields.get(name).is_some() {
                return Err(format!("the query takes {} once each", known.join(" and ")));
            }
            let value = decoded(value).filter(|value| !value.is_empty());
            fields.0.push((name, value.ok_or_else(|| format!("{name:?} has no value, or none in UTF-8"))?));
        }
        Ok(fields)
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| &**value)
    }
}

fn decoded(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let hex = |digit: Option<u8>| char::from(digit?).to_digit(16);
        match byte {
            b'%' => out.push(u8::try_from(hex(rest.next())? * 16 + hex(rest.next())?).ok()?),
            byte => out.push(byte),
        }
    }
    String::from_utf8(out).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_says_what_is_known_and_once() {
        let known = ["limit", "key"];
        let read = |query| Fields::read(Some(query), &known);
        let found = read("key=p/l%7Cada%20b%2Bc+d&limit=p/l").ok().unwrap();
        assert_eq!((found.get("limit"), found.get("key")), (Some("p/l"), Some("p/l|ada b+c+d")));
        assert!(Fields::read(None, &known).ok().unwrap().get("limit").is_none());
        for wrong in ["limit=a&limit=b", "limits=a", "limit", "limit=", "limit=%2", "limit=%zz", "limit=%ff"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
