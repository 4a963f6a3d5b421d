//! What the proxy's router is told to try again, in the request headers that Envoy's router takes orders
//! from and removes. What a client wrote into them was taken away before, by the rendered configuration.

use std::time::Duration;

use super::event::Edits;
use crate::target::{Retry, RetryOn};

// === impl Edits ===

impl Edits {
    /// Orders what a rule says of another attempt at the same backend. (Envoy's documentation of the
    /// router filter, "HTTP headers (consumed from downstreams)".)
    pub(super) fn order(&mut self, retry: &Retry) {
        if retry.attempts > 0 && !retry.on.is_empty() {
            let words: Vec<&str> = retry.on.iter().map(|on| word(*on)).collect();
            self.set("x-envoy-retry-on", words.join(","));
            self.set("x-envoy-max-retries", retry.attempts.to_string());
            if retry.on.contains(&RetryOn::RateLimited) {
                self.set("x-envoy-retriable-status-codes", "429");
            }
        }
        if let Some(time) = retry.per_try_timeout {
            self.set("x-envoy-upstream-rq-per-try-timeout-ms", millis(time));
        }
    }
}

/// Envoy's words for it.
fn word(on: RetryOn) -> &'static str {
    match on {
        RetryOn::RateLimited => "retriable-status-codes",
        RetryOn::ServerError => "5xx",
        RetryOn::ConnectFailure => "connect-failure,refused-stream,reset-before-request",
    }
}

/// 0 would mean no limit.
fn millis(time: Duration) -> String {
    time.as_millis().max(1).to_string()
}
