//! [io] What is said to the scripts, and what their numbers mean. The contracts are in the scripts' heads.

use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, Value};

use super::keys::Names;
use super::{Down, groups};
use crate::limit::Limit;
use crate::limit::take::{Fit, Grant, Posture, Refused, Settlement, Standing, Take, Taken};
use crate::limit::window::{self, Window};
use crate::store::Command;

/// How long the mark of a grant lives that is neither settled nor cancelled: longer than any call.
pub(super) const OPEN_MS: u64 = 24 * 60 * 60 * 1000;
/// How long the mark lives of one that is over: longer than anything is repeated.
pub(super) const CLOSED: Duration = Duration::from_secs(2 * 60);

/// What every command says.
#[derive(Clone, Debug)]
pub(super) struct Voice {
    pub names: Names,
    /// The replica's number, other than that of any other.
    pub number: u64,
    /// It in hexadecimal digits.
    pub replica: String,
    pub hold: Duration,
}

/// Who asks when, for one command.
#[derive(Clone, Copy, Debug)]
pub(super) struct At {
    /// In microseconds; 0 for the store's own time.
    pub store: u64,
    /// What time it seems to be here, in Unix seconds.
    pub unix: u64,
}

/// What the store said to a reserve.
#[derive(Debug)]
pub(super) enum Answer {
    Granted(Grant),
    Refused(Refused),
    /// It is this Unix second there, which is in none of the units that were named.
    OtherTime(u64),
    /// The grant is over.
    Over,
    /// Nothing is leased.
    Nothing,
}

/// What is taken back of a grant that may have been made: the counters of its takes.
#[derive(Clone, Debug)]
pub(super) struct Undo {
    pub id: u128,
    pub counters: Vec<(Arc<Limit>, Arc<str>)>,
}

// === impl Voice ===

impl Voice {
    /// The command that reserves, or that only looks.
    pub(super) fn reserve(&self, digest: &str, id: Option<u128>, takes: &[Take], at: At) -> Command {
        let first = takes.first().map_or("", |take| &take.key);
        let mut command = self.eval(digest, first, id.unwrap_or_default(), takes.len());
        for take in takes {
            command.arg(self.names.counter(&take.limit, &take.key));
        }
        command.arg(if id.is_some() { "reserve" } else { "peek" }).arg(at.store);
        command.arg(hex(id.unwrap_or_default())).arg(&self.replica).arg(OPEN_MS).arg(millis(self.hold));
        for take in takes {
            say(&mut command, take, at.unix);
        }
        Command { slot: groups::slot(first), words: command }
    }

    /// The command that settles.
    pub(super) fn settle(&self, digest: &str, settlement: &Settlement, at: At) -> Command {
        let taken = &settlement.grant.taken;
        let first = taken.first().map_or("", |taken| &taken.key);
        let mut command = self.eval(digest, first, settlement.grant.id, taken.len());
        for taken in taken {
            command.arg(self.names.counter(&taken.limit, &taken.key));
        }
        let unchecked = |taken: &Taken| taken.fit == Fit::Unchecked;
        command.arg(if taken.iter().any(unchecked) { "unchecked" } else { "settle" });
        command.arg(at.store).arg(hex(settlement.grant.id)).arg(millis(CLOSED));
        for (index, taken) in taken.iter().enumerate() {
            // An amount that is not stated leaves what was taken.
            let amount = settlement.amounts.get(index).copied().unwrap_or(taken.amount);
            // What was not admitted belongs to the time at which it is charged.
            let bucket = match &taken.limit.window {
                Window::Rolling(_) if unchecked(taken) => -1,
                Window::Calendar(calendar) if unchecked(taken) => signed(calendar.unit_at(at.unix).begin),
                _ => signed(taken.bucket),
            };
            let (kind, length) = kind(&taken.limit.window, u64::try_from(bucket).ok());
            command.arg(String::from(kind)).arg(amount).arg(bucket).arg(length);
        }
        Command { slot: groups::slot(first), words: command }
    }

    /// What has to be remembered to cancel these takes.
    /// The command that cancels.
    pub(super) fn cancel(&self, digest: &str, undo: &Undo, at: At) -> Command {
        self.take_back("cancel", digest, undo, at)
    }

    fn take_back(&self, verb: &str, digest: &str, undo: &Undo, at: At) -> Command {
        let first = undo.counters.first().map_or("", |(_, key)| key);
        let mut command = self.eval(digest, first, undo.id, undo.counters.len());
        for (limit, key) in &undo.counters {
            command.arg(self.names.counter(limit, key));
        }
        command.arg(verb).arg(at.store).arg(hex(undo.id)).arg(millis(CLOSED));
        for (limit, _) in &undo.counters {
            let (kind, length) = kind(&limit.window, None);
            command.arg(String::from(kind)).arg(0).arg(0).arg(length);
        }
        Command { slot: groups::slot(first), words: command }
    }

    /// The command that lets go of them, and leaves the rest of the grant to be settled.
    pub(super) fn release(&self, digest: &str, held: &Undo, at: At) -> Command {
        self.take_back("release", digest, held, at)
    }

    /// The command that says which calls are held of one counter.
    pub(super) fn beat(&self, digest: &str, key: &str, calls: &[(u128, u64)], gone: &[u128], at: At) -> Command {
        let mut command = Cmd::new();
        command.arg("EVALSHA").arg(digest).arg(1).arg(key);
        command.arg(at.store).arg(&self.replica).arg(millis(self.hold)).arg(calls.len());
        for (id, amount) in calls {
            command.arg(hex(*id)).arg(amount);
        }
        for id in gone {
            command.arg(hex(*id));
        }
        Command::new(key, command)
    }

    /// The mark of a grant is beside its first counter.
    pub(super) fn eval(&self, digest: &str, first: &str, id: u128, counters: usize) -> Cmd {
        let mut command = Cmd::new();
        command.arg("EVALSHA").arg(digest).arg(counters + 1).arg(self.names.mark(first, id));
        command
    }
}

// === impl Undo ===

impl Undo {
    /// What has to be remembered to cancel these takes.
    pub(super) fn of(id: u128, takes: &[Take]) -> Undo {
        Undo { id, counters: takes.iter().map(|take| (take.limit.clone(), take.key.clone())).collect() }
    }

    /// What has to be remembered to let go of the calls that a grant holds; none where it holds none.
    pub(super) fn held(grant: &Grant) -> Option<Undo> {
        let holds = grant.taken.iter().filter(|taken| taken.amount > 0);
        let counters = holds.map(|taken| (taken.limit.clone(), taken.key.clone())).collect();
        Undo { id: grant.id, counters }.calls()
    }

    /// What of it holds calls; none where nothing does.
    pub(super) fn calls(&self) -> Option<Undo> {
        let calls = self.counters.iter().filter(|(limit, _)| limit.window == Window::Held);
        let counters: Vec<_> = calls.cloned().collect();
        (!counters.is_empty()).then_some(Undo { id: self.id, counters })
    }
}

pub(super) fn hex(id: u128) -> String {
    format!("{id:032x}")
}

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// One take, as the script wants it.
pub(super) fn say(command: &mut Cmd, take: &Take, unix: u64) {
    let limit = &take.limit;
    let (kind, length) = kind(&limit.window, None);
    let posture = match take.posture {
        Posture::Enforce => "e",
        Posture::Observe => "o",
        Posture::Shadow => "s",
    };
    command.arg(String::from(kind)).arg(take.amount).arg(take.ceiling).arg(posture).arg(limit.warn_at.len());
    for share in &limit.warn_at {
        command.arg(*share).arg(threshold(take.ceiling, *share));
    }
    match &limit.window {
        Window::Held => {}
        Window::Rolling(_) => drop(command.arg(length)),
        Window::Calendar(calendar) => {
            let unit = calendar.unit_at(unix);
            let before = calendar.unit_at(unit.begin.saturating_sub(1));
            let after = calendar.unit_at(unit.end);
            command.arg(4).arg(before.begin).arg(unit.begin).arg(unit.end).arg(after.end);
        }
    }
}

/// From which amount on the share is used.
fn threshold(ceiling: u64, share: u8) -> u64 {
    let parts = u128::from(ceiling) * u128::from(share);
    u64::try_from(parts.div_ceil(100)).unwrap_or(u64::MAX)
}

/// The script's word for a window, and its length: of a part in microseconds; of a calendar
/// the second at which the unit of `bucket` ends.
pub(super) fn kind(window: &Window, bucket: Option<u64>) -> (char, u64) {
    match window {
        Window::Held => ('h', 0),
        Window::Rolling(length) => ('r', window::part(*length) / 1_000),
        Window::Calendar(calendar) => ('c', bucket.map_or(0, |bucket| calendar.unit_at(bucket).end)),
    }
}

/// Reads the answer to [`Voice::reserve`].
///
/// # Errors
/// [`Down::Strange`] when it is none, or the server's own error.
pub(super) fn read(value: &Value, id: u128, takes: &[Take]) -> Result<Answer, Down> {
    let Value::Array(values) = value else { return Err(Down::of(value)) };
    let mut numbers = values.iter().map(|value| match value {
        Value::Int(number) => Ok(*number),
        other => Err(Down::of(other)),
    });
    let mut next = || numbers.next().unwrap_or(Err(Down::Strange));
    let (what, now) = (next()?, next()?);
    match what {
        1 => {
            let mut taken = Vec::with_capacity(takes.len());
            for take in takes {
                let mut field = || next().map(natural);
                let (amount, bucket, fits) = (field()?, field()?, field()? == 1);
                let standing = Standing { ceiling: take.ceiling, left: field()?, reset: micros(field()?) };
                let passed = u8::try_from(field()?).ok().filter(|share| *share > 0);
                let (limit, key) = (Arc::clone(&take.limit), Arc::clone(&take.key));
                let fit = if fits { Fit::Fits } else { Fit::Over };
                taken.push(Taken { grant: id, limit, key, amount, bucket, fit, standing, passed, slice: None });
            }
            Ok(Answer::Granted(Grant { id, taken }))
        }
        0 => {
            let (take, wait) = (natural(next()?), next()?);
            let take = usize::try_from(take).map_err(|_| Down::Strange)?;
            let mut standings = Vec::with_capacity(takes.len());
            for take in takes {
                let (left, reset) = (natural(next()?), micros(natural(next()?)));
                standings.push(Standing { ceiling: take.ceiling, left, reset });
            }
            let wait = u64::try_from(wait).ok().map(micros);
            Ok(Answer::Refused(Refused { take, wait, standings }))
        }
        2 => Ok(Answer::OtherTime(natural(now) / 1_000_000)),
        3 => Ok(Answer::Over),
        4 => Ok(Answer::Nothing),
        _ => Err(Down::Strange),
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn natural(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

pub(super) fn micros(number: u64) -> Duration {
    Duration::from_micros(number)
}
