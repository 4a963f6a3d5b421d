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
        let words: Vec<&str> = retry.on.iter().filter_map(|on| word(*on)).collect();
        if retry.attempts > 0 && !words.is_empty() {
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

/// Envoy's words for it; none for what the same backend would say again.
fn word(on: RetryOn) -> Option<&'static str> {
    match on {
        RetryOn::RateLimited => Some("retriable-status-codes"),
        RetryOn::ServerError => Some("5xx"),
        RetryOn::ConnectFailure => Some("connect-failure,refused-stream,reset-before-request"),
        RetryOn::ContextTooLong => None,
    }
}

/// 0 would mean no limit.
fn millis(time: Duration) -> String {
    time.as_millis().max(1).to_string()
}
