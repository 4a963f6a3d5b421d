//! What it costs that limits are written down: how long a call waits for its charges to be in the page cache, and
//! what the processor spends on a call's reservation and settlement where many are made at a time.

use std::error::Error;
use std::time::{Duration, Instant};

use weir::limit::journal::{Counts, Journal, Settings};
use weir::limit::memory::Memory;
use weir::limit::take::{Grant, Settlement};

use super::limits::{limits, takes};

const CALLS: usize = 20_000;
const AT_ONCE: usize = 64;

/// The rows of the table, by their names.
pub fn rows() -> Result<Vec<(&'static str, Duration)>, Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let sync = Duration::from_millis(100);
    let settings = Settings { path: directory.path().to_owned(), sync, is_implied: false };
    let (journal, found) = Journal::open(&settings, 1_000_000, Counts::default())?;
    let memory = Memory::new(1_000_000);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let limits = limits();
    let grant = |caller: usize| memory.reserve(1, &takes(&limits, caller % 10_000, 5), found.clock.now()).ok();
    let settle = |grant: Grant| journal.settle(&Settlement { amounts: vec![3; grant.taken.len()], grant });

    let mut waits: Vec<Duration> = Vec::with_capacity(CALLS);
    for caller in 0..CALLS {
        let Some(grant) = grant(caller) else { continue };
        let begun = Instant::now();
        if let Some(writing) = journal.reserve(&grant) {
            runtime.block_on(writing.is_kept());
        }
        waits.push(begun.elapsed());
        settle(grant);
    }
    journal.flush();
    waits.sort_unstable();
    let at = |share: usize| waits.get(waits.len() * share / 100).copied().unwrap_or_default();

    let grants: Vec<Grant> = (0..CALLS).filter_map(grant).collect();
    let begun = Instant::now();
    for group in grants.chunks(AT_ONCE) {
        let writings: Vec<_> = group.iter().filter_map(|grant| journal.reserve(grant)).collect();
        for writing in writings {
            runtime.block_on(writing.is_kept());
        }
        group.iter().cloned().for_each(settle);
    }
    journal.flush();
    let each = begun.elapsed() / u32::try_from(CALLS)?;
    journal.close();
    Ok(vec![
        ("three limits written down: one call alone waits, median", at(50)),
        ("the same, 99th of 100", at(99)),
        ("the same, 64 calls at a time: reserved and settled, each", each),
    ])
}
