//! What the admin page `/config` shows: the configuration in force, and how the last loads went. No
//! secret gets into it.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use serde_json::{Value, json};

use crate::config::{Bootstrap, ConfigError};
use crate::exchange::record::Record;
use crate::extproc::signing::Signing;
use crate::policy::Policy;
use crate::telemetry::time::Timestamp;
use crate::world::Policies;

/// How the configuration stands. Share it in an `Arc`.
#[derive(Debug, Default)]
pub struct Status {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The configuration in words.
    shown: Value,
    /// Of the source in force; none before the first.
    hash: Option<String>,
    loaded: Option<Timestamp>,
    /// Of what was refused last, if nothing was accepted since.
    errors: Vec<String>,
    refused: Option<Timestamp>,
    needs_restart: Vec<String>,
    kept: Vec<PathBuf>,
}

/// Why an exchange came out as it did, where its configuration is still known.
pub(super) fn explained(policies: &Policies, record: &Record) -> Value {
    match policies.generation(record.generation) {
        Some(policy) => record.explain(&policy, None).to_json(),
        None => {
            json!({"unknown": "the configuration has changed since; the decisions above were made by an older one"})
        }
    }
}

// === impl Status ===

impl Status {
    /// A configuration is in force.
    pub fn accepted(&self, shown: Value, hash: String, needs_restart: Vec<String>) {
        let mut state = self.state();
        (state.shown, state.hash, state.loaded) = (shown, Some(hash), Some(now()));
        (state.errors, state.refused, state.needs_restart) = (Vec::new(), None, needs_restart);
    }

    /// A configuration was refused; what is shown stays.
    pub fn refused(&self, errors: &[ConfigError]) {
        let mut state = self.state();
        state.errors = errors.iter().map(ToString::to_string).collect();
        state.refused = Some(now());
    }

    /// What is shown before there is a configuration, and after keys have changed.
    pub fn show(&self, shown: Value) {
        self.state().shown = shown;
    }

    /// Files whose key is gone and stays in use.
    pub fn keeps(&self, files: Vec<PathBuf>) {
        self.state().kept = files;
    }

    /// The page.
    pub fn page(&self) -> String {
        let state = self.state();
        let mut page = state.shown.clone();
        page["status"] = json!({
            "configured": state.hash.is_some(),
            "hash": state.hash,
            "loadedAt": state.loaded.map(|time| time.to_string()),
            "refusedAt": state.refused.map(|time| time.to_string()),
            "errors": state.errors,
            "needsRestart": state.needs_restart,
            "keysKept": state.kept,
        });
        page.to_string()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A poisoned lock still guards whole values: each is set at once.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The configuration in words, without a secret in it.
pub fn describe(policy: &Policy, bootstrap: &Bootstrap, signing: Signing) -> Value {
    let targets = &policy.targets;
    let backends: Vec<String> = targets.backends.iter().map(|backend| backend.name.to_string()).collect();
    let rules: Vec<String> = targets.rules().map(|rule| rule.name.to_string()).collect();
    json!({
        "role": policy.role.as_str(), "backends": backends, "rules": rules,
        "signing": signing.is_on(), "ledger": bootstrap.ledger, "prices": &**policy.catalog.version(),
        "overload": {"maxExchanges": bootstrap.overload.max_exchanges, "maxBuffered": bootstrap.overload.max_buffered},
    })
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix_nanos(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}
