//! What the outside is told of exchanges that are over: metrics, a ledger line, and the last ones
//! by id. No prompt, no answer and no credential gets here. Nothing in it waits.

pub mod ledger;
pub mod metrics;
pub mod recent;
pub mod record;
pub mod time;
pub mod v1;

use std::io::{self, IsTerminal};
use std::sync::Arc;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

pub use self::ledger::Ledger;
pub use self::metrics::Metrics;
pub use self::recent::Recent;
use crate::exchange::event::Note;
use crate::exchange::record::Record;

/// The variable that says what is logged, in the syntax of `tracing_subscriber::EnvFilter`.
pub const LOG: &str = "WEIR_LOG";

/// The most notes that are worked off together.
pub const BATCH: usize = 256;

/// Everything that a finished exchange is told to.
#[derive(Debug)]
pub struct Sinks {
    pub metrics: Arc<Metrics>,
    /// None where the configuration names no ledger.
    pub ledger: Option<Ledger>,
    pub recent: Arc<Recent>,
}

/// Sends logs to stderr, as text or as one JSON object a line. What is logged is said by
/// `WEIR_LOG`, without it `info` and above. Does nothing when the process logs already.
pub fn init_logging(json: bool) {
    let filter =
        EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).with_env_var(LOG).from_env_lossy();
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(io::stderr().is_terminal());
    // A second call fails, and the first one's choice stays.
    let _ = if json {
        builder.json().finish().with(filter_fn(is_discreet)).try_init()
    } else {
        builder.finish().with(filter_fn(is_discreet)).try_init()
    };
}

/// AWS's crates write whole answers down, at `warn` too, and with them keys and tokens: nobody hears them. What
/// went wrong is said by whoever called them.
fn is_discreet(event: &tracing::Metadata<'_>) -> bool {
    !event.target().starts_with("aws_")
}

// === impl Sinks ===

impl Sinks {
    /// Works off what concerns telemetry in notes, [`BATCH`] of them at most; every other note is
    /// ignored.
    pub fn work_off(&self, notes: impl Iterator<Item = Note>) {
        let mut lines = Vec::new();
        for note in notes {
            match note {
                Note::Record(record) => self.record(record, &mut lines),
                // A decision in Shadow mode stands in the record as well, and is counted from there.
                Note::Shadow { .. } | Note::Settle(_) | Note::Remember(_) | Note::RememberItems(_) => {}
                Note::Publish(..) | Note::Forsake(_) | Note::Part(..) | Note::Unkept(_) | Note::Observe(_) => {}
            }
        }
        if let Some(ledger) = self.ledger.as_ref().filter(|_| !lines.is_empty()) {
            // Counted there when they are not taken.
            ledger.try_write(lines);
        }
    }

    fn record(&self, record: Box<Record>, lines: &mut Vec<u8>) {
        self.metrics.observe(&record);
        if self.ledger.is_some() {
            if !lines.is_empty() {
                lines.push(b'\n');
            }
            record::write(&record, lines);
        }
        self.recent.insert(record);
    }

    /// Returns when the ledger has written everything it was given.
    pub async fn close(&self) {
        if let Some(ledger) = &self.ledger {
            ledger.close().await;
        }
    }
}

#[cfg(test)]
pub(crate) use tests::sample;

#[cfg(test)]
mod tests;
