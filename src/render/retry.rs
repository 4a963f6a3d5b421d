//! How long Envoy waits before it tries again. What it tries again, and how often, Weir orders for each
//! call in request headers; without an order this policy tries nothing again. Pure.

use serde_json::{Value, json};

/// The `retry_policy` of a provider's route.
pub(super) fn policy() -> Value {
    json!({
        // Envoy's usual wait is 25 ms at first.
        "retry_back_off": {"base_interval": "0.001s", "max_interval": "0.010s"},
        // Asking again before the provider's time is over only makes it longer. What is longer than this
        // nobody waits for: that attempt comes at once, and its 429 makes Weir choose another backend next.
        "rate_limited_retry_back_off": {
            "reset_headers": [{"name": "retry-after", "format": "SECONDS"}],
            "max_interval": "5s",
        },
    })
}
