//! Why a policy would not apply: what is wrong with the Envoy around Weir, and what to change. Given are the
//! Envoy's configuration, its counters and what else is at hand, as values; nothing is read or asked here.
//!
//! ```text
//! dump      a /config_dump as the few things that the checks ask for
//! scene     which filters are Weir's, which clusters lead to providers, which routes lead there
//! check     the checks, a file a group
//! report    what they found, in order, as text and as JSON
//! ```
//!
//! What is wanted of Envoy is said where it is rendered (`render`); here it is looked for, in the configuration
//! of whoever wrote it.

pub mod dump;
pub mod finding;
pub mod hosts;
pub mod pod;
pub mod report;
pub mod stats;

mod check;
mod scene;

use std::time::Duration;

use dump::Dump;
use hosts::Hosts;
use pod::Pods;
use report::Report;
use stats::Stats;

/// Everything that is known.
#[derive(Debug)]
pub struct Evidence {
    /// None where only a Pod is looked at.
    pub dump: Option<Dump>,
    /// None where nobody has read them.
    pub stats: Option<Stats>,
    pub pods: Option<Pods>,
    pub weir: Option<Weir>,
    /// The hosts of providers.
    pub hosts: Hosts,
    pub wanted: Wanted,
    /// Clusters that are said to be Weir's.
    pub clusters: Vec<String>,
}

/// What depends on Weir's own configuration.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The longest request body that Weir holds.
    pub max_request: u64,
    /// The longest that Weir lets a request wait.
    pub max_wait: Duration,
    /// The socket that Weir listens on, where the configuration is known.
    pub socket: Option<String>,
    /// The names of its backends; none where the configuration is not known.
    pub backends: Option<Vec<String>>,
}

/// What Weir says of itself on its admin socket.
#[derive(Clone, Debug, Default)]
pub struct Weir {
    /// Why it does not answer.
    pub absent: Option<String>,
    pub is_ready: bool,
    /// Keys are put on requests.
    pub signs: Option<bool>,
    /// Errors of a configuration that it refused; the one before is in force.
    pub refused: usize,
    /// Times that a policy let pass what it could not check.
    pub failed_open: u64,
    /// Requests that were refused because there was no room.
    pub shed: u64,
}

/// Looks at everything. Equal evidence gives equal reports.
pub fn examine(evidence: &Evidence) -> Report {
    let scene = scene::Scene::new(evidence);
    check::all(&scene)
}

// === impl Wanted ===

impl Default for Wanted {
    /// Weir's own defaults.
    fn default() -> Self {
        Wanted { max_request: 32 << 20, max_wait: Duration::from_secs(240), socket: None, backends: None }
    }
}

#[cfg(test)]
mod tests;
