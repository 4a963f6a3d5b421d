//! The thread that works off what exchanges leave: what models teach, keys that were not taken, and
//! everything that is told.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::keeper::Keeper;
use crate::exchange::event::Note;
use crate::exchange::record::{Outcome, Record, Timings};
use crate::llm::{Units, UsageSource};
use crate::meter::{self, Through};
use crate::telemetry::{BATCH, Sinks};
use crate::tokens::Learned;
use crate::tokens::learned::Key;
use crate::world::{Limits, Notes};

/// How long notes gather before they are worked off: nobody waits for them, and waking a thread for
/// each costs more than all that is then done with it.
const GATHER: Duration = Duration::from_millis(10);

/// Who is told when a backend does not take a credential.
pub(super) struct Unaccepted {
    /// Whoever reads the files with keys.
    pub keys: Arc<Notify>,
    /// Whoever fetches.
    pub fetched: Arc<Keeper>,
}

/// Who is told what, beside those who show it.
pub(super) struct Told {
    pub learned: Arc<Learned>,
    pub unaccepted: Unaccepted,
    pub limits: Arc<Limits>,
}

// === impl Unaccepted ===

impl Unaccepted {
    fn hear(&self, record: &Record) {
        if !(record.signed && record.outcome == Outcome::UpstreamError) {
            return;
        }
        if record.status == 401 {
            self.keys.notify_one();
        }
        // A token of the wrong audience, or a signature of a clock that is wrong, is often a 403.
        if let (401 | 403, Some(name)) = (record.status, &record.credential) {
            let Timings { receive, decide, .. } = record.timings;
            let before = receive.unwrap_or_default() + decide.unwrap_or_default();
            let left = Duration::from_nanos(record.started).saturating_add(before);
            self.fetched.rejected(name, left.as_secs());
        }
    }
}

/// Works off what exchanges leave until the notes end, and closes the ledger. On a thread of its own,
/// so that no stream waits for it.
pub(super) fn work_off(mut notes: Notes, sinks: Sinks, told: Told) {
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        let count = notes.receive(&mut batch, BATCH);
        if count == 0 {
            break;
        }
        for note in &batch {
            match note {
                Note::Record(record) => {
                    learn(record, &told.learned);
                    told.unaccepted.hear(record);
                    told.limits.tallies().tell(&record.met);
                }
                Note::Settle(settle) => told.limits.settle(settle.clone()),
                _ => {}
            }
        }
        // What was settled outlives the note of it.
        told.limits.flush();
        sinks.work_off(batch.drain(..));
        if count < BATCH && !notes.is_closed() {
            std::thread::sleep(GATHER);
        }
    }
    told.limits.close();
    tokio::runtime::Handle::current().block_on(sinks.close());
}

/// A complete call with the provider's own numbers teaches what its model makes of bytes.
fn learn(record: &Record, learned: &Learned) {
    let (Some(backend), UsageSource::Provider, Outcome::Completed) =
        (&record.backend, record.usage_source, record.outcome)
    else {
        return;
    };
    let through = Through {
        request_bytes: record.body_bytes,
        text_bytes: record.text_bytes,
        complete: true,
        status: Some(record.status),
        counted: Units::default(),
    };
    let key = Key { backend, model: &record.sent_model };
    meter::learn(&record.usage, through, learned, key);
    let each = record.usage.total_output().div_ceil(record.choices.max(1));
    learned.observe_answer(&record.caller.name, key, record.usage.total_input(), each);
}
