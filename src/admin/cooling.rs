//! `GET /cooldowns`: what is left alone because it failed just now, here or, by what they told, at another replica.
//! A key is told by its place among the credentials of its backend, from 0.

use serde_json::{Value, json};

use super::Admin;
use super::routes::{Answer, json as page};
use crate::target::health::Cooling;

/// Rows of the page at most.
const ROWS: usize = 10_000;

/// The page of cool-downs.
pub fn show(admin: &Admin) -> Answer {
    let rows = (admin.cooling)();
    let shown: Vec<Value> =
        rows.iter().take(ROWS).map(|(left, one)| row(left.as_millis().div_ceil(1000), one)).collect();
    page(&json!({"cooldowns": shown}))
}

fn row(seconds: u128, one: &Cooling) -> Value {
    json!({
        "backend": &*one.backend,
        "credential": one.credential,
        "model": one.model.as_deref(),
        "seconds": u64::try_from(seconds).unwrap_or(u64::MAX),
    })
}
