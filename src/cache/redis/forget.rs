//! [io] What is to be forgotten, and what was. It is said first and then removed. Each replica hears of it within about
//! a second, one that has just begun when it is connected, and from then on reads and writes nothing that was stored
//! before: not what was on its way to the store, what a removal that broke off has left, or what a server that was
//! away brings back.
//!
//! It is the replicas' clocks that say when something was stored, and the store's that says when it was forgotten.
//! What is stored within the same second, or by as much as a clock is behind, is lost with it; what a replica whose
//! clock is ahead has not written yet may outlast it.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use redis::{Cmd, Pipeline, Value};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::scripts::run;
use super::{LATER, OnForget, Shared};
use crate::cache::{Extent, Place};
use crate::store::{Command, Down};

/// Extents that are remembered; the store folds the oldest of more into one version.
const MOST: usize = 256;
/// How often it is looked whether there is news: one small command of each replica.
const LOOK: Duration = Duration::from_secs(1);
/// Keys that a server is to look at in one step.
const STEP: usize = 1_000;

/// What was forgotten, as far as this replica has heard.
pub(super) struct Forgotten {
    book: RwLock<Book>,
    on_forget: OnForget,
}

/// Versions are microseconds since the Unix epoch on the store's clock.
#[derive(Default)]
struct Book {
    /// As of which all is known; 0 before anything was heard.
    version: u64,
    /// When each was forgotten last.
    at: HashMap<Extent, u64>,
}

/// What the store says of it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Heard {
    version: u64,
    /// What was forgotten then or before may not be among the extents.
    floor: u64,
    extents: Vec<(Extent, u64)>,
}

// === impl Forgotten ===

impl Forgotten {
    pub(super) fn new(on_forget: OnForget) -> Forgotten {
        Forgotten { book: RwLock::default(), on_forget }
    }

    /// Whether what was stored there in this Unix second is.
    pub(super) fn is(&self, place: &Place, stored: u64) -> bool {
        let book = self.read();
        !book.at.is_empty()
            && Extent::of(place).iter().any(|extent| book.at.get(extent).is_some_and(|at| stored <= second(*at)))
    }

    /// This replica has said so.
    fn said(&self, extent: Extent, version: u64) {
        self.write().note(extent.clone(), version);
        (self.on_forget)(&extent);
    }

    /// What is new is told.
    fn hear(&self, heard: Heard) {
        let news = self.write().hear(heard);
        for extent in news {
            (self.on_forget)(&extent);
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Book> {
        self.book.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Book> {
        self.book.write().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Book ===

impl Book {
    /// Whether it is news.
    fn note(&mut self, extent: Extent, version: u64) -> bool {
        let known = self.at.entry(extent).or_default();
        let is_news = version > *known;
        *known = version.max(*known);
        // What this replica remembers beyond what the store does.
        while self.at.len() > 2 * MOST
            && let Some(first) = self.at.iter().min_by_key(|(_, at)| **at).map(|(extent, _)| extent.clone())
        {
            self.at.remove(&first);
        }
        is_news
    }

    /// What is forgotten now. Where the store knows less than before, or more has come than it remembers, that is
    /// everything: nobody knows what was said meanwhile.
    fn hear(&mut self, heard: Heard) -> Vec<Extent> {
        let missed = heard.version < self.version || heard.floor > self.version;
        let mut news: Vec<Extent> = Vec::new();
        for (extent, version) in heard.extents {
            if self.note(extent.clone(), version) {
                news.push(extent);
            }
        }
        self.version = heard.version;
        if missed { vec![Extent::All] } else { news }
    }
}

fn second(version: u64) -> u64 {
    version / 1_000_000
}

/// Hears until it is dropped.
pub(super) async fn keep(shared: Arc<Shared>) {
    look(&shared).await;
    // Replicas that start together do not ask together.
    let some = getrandom::u32().map_or(0, |random| random % 1000);
    sleep(LOOK * some / 1000).await;
    let mut ticks = interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        look(&shared).await;
    }
}

/// While the store does not say there is no news; it is heard when it does.
async fn look(shared: &Shared) {
    let key = shared.names.forgotten();
    let mut words = Cmd::new();
    words.arg("HGET").arg(&key).arg("v");
    let Ok(answer) = one(shared, Command::new(&key, words)).await else { return };
    let version = match &answer {
        Value::Nil => Some(0),
        Value::BulkString(text) => std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()),
        _ => None,
    };
    if version == Some(shared.forgotten.read().version) {
        return;
    }
    let most = MOST.to_string();
    if let Ok(answer) = one(shared, run(&shared.scripts.recall, &key, &[most.as_bytes()])).await
        && let Some(heard) = read(answer)
    {
        shared.forgotten.hear(heard);
    }
}

/// Says it, and removes it. How many keys were removed.
///
/// # Errors
/// [`super::Redis::forget`] has them.
pub(super) async fn forget(shared: &Shared, extent: &Extent) -> Result<u64, Down> {
    let (name, most) = (extent.to_string(), MOST.to_string());
    let said = run(&shared.scripts.forget, &shared.names.forgotten(), &[name.as_bytes(), most.as_bytes()]);
    match one(shared, said).await? {
        Value::Int(version) => shared.forgotten.said(extent.clone(), u64::try_from(version).unwrap_or_default()),
        other => return Err(Down::of(&other)),
    }
    let (pattern, mut removed) = (shared.names.pattern(extent), 0);
    for node in shared.link.nodes(deadline(shared)).await? {
        let mut cursor = b"0".to_vec();
        loop {
            let mut scan = Pipeline::new();
            scan.cmd("SCAN").arg(&cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(STEP);
            let answer = node.send(&scan, deadline(shared)).await?.into_iter().next().unwrap_or(Value::Nil);
            let (next, keys) = step(answer)?;
            for keys in keys.chunks(STEP) {
                removed += remove(shared, keys).await?;
            }
            if next == b"0" {
                break;
            }
            cursor = next;
        }
    }
    Ok(removed)
}

/// Where a server is to go on, and what it has found.
fn step(answer: Value) -> Result<(Vec<u8>, Vec<Vec<u8>>), Down> {
    match redis::from_redis_value_ref::<(Vec<u8>, Vec<Vec<u8>>)>(&answer) {
        Ok(step) => Ok(step),
        Err(_) => Err(Down::of(&answer)),
    }
}

/// Each alone, for each has a slot of its own.
async fn remove(shared: &Shared, keys: &[Vec<u8>]) -> Result<u64, Down> {
    let command = |key: &Vec<u8>| {
        let mut words = Cmd::new();
        words.arg("UNLINK").arg(key);
        Command::new(key, words)
    };
    let mut removed = 0;
    for answer in shared.link.send_by(keys.iter().map(command).collect(), deadline(shared)).await {
        match answer? {
            Value::Int(count) => removed += u64::try_from(count).unwrap_or_default(),
            other => return Err(Down::of(&other)),
        }
    }
    Ok(removed)
}

async fn one(shared: &Shared, command: Command) -> Result<Value, Down> {
    match shared.link.send_by(vec![command], deadline(shared)).await.into_iter().next() {
        Some(Ok(error @ Value::ServerError(_))) => Err(Down::of(&error)),
        Some(answer) => answer,
        None => Err(Down::Strange),
    }
}

/// No request waits for it.
fn deadline(shared: &Shared) -> Instant {
    Instant::now() + shared.link.timeout().max(LATER)
}

/// Whoever can write to the store may have written anything. None where it is no answer of the script.
fn read(answer: Value) -> Option<Heard> {
    let Value::Array(values) = answer else { return None };
    let number = |value: &Value| match value {
        Value::Int(number) => u64::try_from(*number).ok(),
        _ => None,
    };
    let [version, floor, rest @ ..] = values.as_slice() else { return None };
    let mut heard = Heard { version: number(version)?, floor: number(floor)?, extents: Vec::new() };
    for pair in rest.as_chunks::<2>().0.iter().take(MOST + 2) {
        let [Value::BulkString(extent), version] = pair else { continue };
        let extent = std::str::from_utf8(extent).ok().and_then(|text| text.parse().ok());
        heard.extents.extend(extent.zip(number(version)));
    }
    Some(heard)
}

#[cfg(test)]
mod tests;
