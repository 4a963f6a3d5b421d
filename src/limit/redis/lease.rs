//! [io] Slices of counters: asked for, given back, and what calls came to that were made on them. A slice is a grant
//! under an id of its own, so that what is asked twice is leased once.

use std::sync::atomic::Ordering;
use std::time::Duration;

use redis::{Cmd, Value};
use tokio::time::Instant;

use super::ask::{self, Answer, At, CLOSED, OPEN_MS, Undo, Voice, hex, kind, micros, millis, natural};
use super::queue::Work;
use super::scripts::Verb;
use super::{Down, Redis, groups};
use crate::limit::take::{Take, Taken};
use crate::limit::window::Window;
use crate::store::Command;

/// A slice that is wanted.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub id: u128,
    /// The counter, the ceiling up to which it may be charged, and as the amount the most that is wanted.
    pub take: Take,
    /// With less than this nothing is gained.
    pub least: u64,
    /// How much of the counter all replicas together may hold that they have not used.
    pub most: u64,
    /// How long it lasts at most.
    pub cell: Duration,
    /// The slice that this one is to follow ends then; 0 for one that begins now.
    pub after: u64,
    /// When the last slice ends or ended that this replica was granted; 0 for none.
    pub known: u64,
}

/// What became of it.
#[derive(Clone, Debug)]
pub enum Slice {
    Granted {
        row: Taken,
        /// For how long it may be used, from before it was asked for.
        lasts: Duration,
        /// When it ends on the store's clock, in microseconds since the Unix epoch.
        ends: u64,
    },
    /// There is none to be had.
    Nothing,
}

/// A slice that nobody uses any more.
#[derive(Clone, Debug)]
pub struct Back {
    pub row: Taken,
    /// How much of it calls have.
    pub used: u64,
    pub ends: u64,
}

/// How much more or less calls came to than they had taken of slices that were given back since.
#[derive(Clone, Debug)]
pub struct Change {
    /// Unique among the grants of all replicas.
    pub id: u128,
    /// Any row of the counter.
    pub row: Taken,
    /// By the part of the window that was charged.
    pub parts: Vec<(u64, i64)>,
}

// === impl Redis ===

impl Redis {
    /// Asks for slices, in one round trip. What is asked again under the same id is the same slice.
    ///
    /// # Errors
    /// Then it is not known whether it was granted: ask again, or [`Redis::give_up`].
    pub async fn lease(&self, wanted: &[Wanted]) -> Vec<Result<Slice, Down>> {
        let digest = self.shared.scripts.digest(Verb::Reserve);
        let command = |wanted: &Wanted| self.shared.voice.lease(digest, wanted, self.shared.at());
        let answers = self.shared.link.send(wanted.iter().map(command).collect()).await;
        wanted.iter().zip(answers).map(|(wanted, answer)| self.slice(wanted, &answer?)).collect()
    }

    fn slice(&self, wanted: &Wanted, value: &Value) -> Result<Slice, Down> {
        let Answer::Granted(grant) = self.answer(wanted, value)? else { return Ok(Slice::Nothing) };
        let (Some(row), Value::Array(values)) = (grant.taken.into_iter().next(), value) else {
            return Err(Down::Strange);
        };
        match values.as_slice() {
            [.., Value::Int(lasts), Value::Int(ends)] => {
                Ok(Slice::Granted { row, lasts: micros(natural(*lasts)), ends: natural(*ends) })
            }
            _ => Err(Down::Strange),
        }
    }

    fn answer(&self, wanted: &Wanted, value: &Value) -> Result<Answer, Down> {
        let answer = ask::read(value, wanted.id, std::slice::from_ref(&wanted.take))?;
        if let Answer::OtherTime(unix) = answer {
            self.shared.learn(unix);
        }
        Ok(answer)
    }

    /// Takes back a slice of which nobody knows whether it was granted. It is done in time or later.
    pub fn give_up(&self, wanted: &Wanted) {
        let undo = Undo::of(wanted.id, std::slice::from_ref(&wanted.take));
        let _ = self.shared.later(Work::Cancel(undo));
    }

    /// Gives a slice back, but for what was used of it. It is done in time or later.
    pub fn give_back(&self, back: Back) {
        let _ = self.shared.later(Work::Return(back));
    }

    /// [`Redis::give_back`], and waits for it until this moment.
    ///
    /// # Errors
    /// When it is not known to be done in time. It is done later, as for [`Redis::settle`].
    pub(in crate::limit) async fn give_back_by(&self, back: Vec<Back>, deadline: Instant) -> Result<(), Down> {
        let jobs = back.into_iter().map(|back| self.shared.later(Work::Return(back))).collect();
        self.done(jobs, deadline).await
    }

    /// An id for a slice or a change, other than that of any grant.
    pub fn id(&self) -> u128 {
        u128::from(self.shared.voice.number) << 64 | u128::from(self.shared.ids.fetch_add(1, Ordering::Relaxed))
    }

    /// The clock that a test has set.
    pub(in crate::limit) fn clock(&self) -> Option<Duration> {
        self.shared.clock.store.as_ref().map(|clock| Duration::from_micros(clock.load(Ordering::Relaxed)))
    }

    /// Charges the difference. It is done in time or later.
    pub fn change(&self, change: Change) {
        let _ = self.shared.later(Work::Change(change));
    }
}

// === impl Voice ===

impl Voice {
    fn lease(&self, digest: &str, wanted: &Wanted, at: At) -> Command {
        let Wanted { take, .. } = wanted;
        let mut command = self.eval(digest, &take.key, wanted.id, 1);
        command.arg(self.names.counter(&take.limit, &take.key)).arg("lease").arg(at.store);
        command.arg(hex(wanted.id)).arg(&self.replica).arg(OPEN_MS).arg(millis(self.hold));
        ask::say(&mut command, take, at.unix);
        let cell = u64::try_from(wanted.cell.as_micros()).unwrap_or(u64::MAX);
        command.arg(wanted.least).arg(wanted.most).arg(cell).arg(wanted.after).arg(wanted.known);
        Command { slot: groups::slot(&take.key), words: command }
    }

    pub(super) fn give_back(&self, digest: &str, back: &Back, at: At) -> Command {
        let Taken { grant, key, limit, .. } = &back.row;
        let mut command = self.eval(digest, key, *grant, 1);
        command.arg(self.names.counter(limit, key)).arg("return").arg(at.store).arg(hex(*grant)).arg(millis(CLOSED));
        say_row(&mut command, &limit.window, back.row.bucket, &back.used.to_string());
        command.arg(back.ends).arg(back.row.amount);
        Command { slot: groups::slot(key), words: command }
    }

    pub(super) fn change(&self, digest: &str, change: &Change, at: At) -> Command {
        let Change { id, row, parts } = change;
        let mut command = self.eval(digest, &row.key, *id, parts.len());
        for _ in parts {
            command.arg(self.names.counter(&row.limit, &row.key));
        }
        command.arg("adjust").arg(at.store).arg(hex(*id)).arg(millis(CLOSED));
        for (bucket, amount) in parts {
            say_row(&mut command, &row.limit.window, *bucket, &amount.to_string());
        }
        Command { slot: groups::slot(&row.key), words: command }
    }
}

/// One row, as the script that settles wants it.
fn say_row(command: &mut Cmd, window: &Window, bucket: u64, amount: &str) {
    let (kind, length) = kind(window, Some(bucket));
    command.arg(String::from(kind)).arg(amount).arg(bucket).arg(length);
}
