//! The slices of one counter that a replica holds, and the one that it asks for.

use std::time::Duration;

use super::book::{Answer, Job};
use super::need::Need;
use super::terms::Terms;
use crate::limit::Limit;
use crate::limit::redis::{Back, Slice, Wanted};
use crate::limit::take::{Fit, Standing, Take, Taken};

/// What nobody took anything of for so long is given back.
const IDLE: Duration = Duration::from_secs(2);
/// After no slice was to be had, the next is asked for after a cell, and no sooner than this.
const REFUSED: Duration = Duration::from_millis(250);
/// How long an answer is worth to be asked for again.
const UNHEARD: Duration = Duration::from_secs(1);
/// Another slice is asked for when less than this part of the last is left,
const LOW: u64 = 4;
/// and one for the next cell in this last part of a cell.
const LATE: u32 = 4;
/// A slice is not used in this last part of its time.
const UNEVEN: u32 = 1000;
/// After a moment.
const NEXT: Duration = Duration::from_nanos(1);

#[derive(Debug)]
pub(super) struct Held {
    cell: Duration,
    need: Need,
    /// So many calls within two cells make a slice worth its round trips.
    often: u32,
    /// How much of the counter is used, as far as the store said last; what is held here is within it.
    used: u64,
    /// The one that ends first is used first.
    slices: Vec<Portion>,
    /// The last call's: what is asked for is asked on its behalf.
    take: Take,
    most: u64,
    asked: Option<Asked>,
    /// No slice is asked for before.
    not_before: Duration,
    /// When the last slice ends or ended, on the store's clock.
    known: u64,
}

/// A slice.
#[derive(Debug)]
struct Portion {
    number: u64,
    row: Taken,
    used: u64,
    /// Calls whose ceiling is lower take nothing of it.
    ceiling: u64,
    /// A slice of a part that is to come grants nothing before.
    from: Duration,
    until: Duration,
    /// It could be used until then, if clocks ran evenly.
    end: Duration,
    ends: u64,
    /// When nothing of the counter is used any more, as far as is known.
    reset: Duration,
    /// A share of `warnAt` that was passed when it was granted, until a call has told it.
    passed: Option<u8>,
}

#[derive(Debug)]
struct Asked {
    wanted: Wanted,
    /// When it was asked for first: it lasts from then on.
    first: Duration,
    /// When the slice ends that it is to follow.
    from: Duration,
    /// The answer is on its way.
    is_out: bool,
    /// The store may have granted it.
    was_sent: bool,
}

// === impl Held ===

impl Held {
    pub(super) fn new(often: u32, terms: &Terms, take: &Take, now: Duration) -> Held {
        Held {
            cell: terms.cell,
            need: Need::new(terms.cell, now),
            often,
            used: 0,
            slices: Vec::new(),
            take: take.clone(),
            most: terms.most,
            asked: None,
            not_before: Duration::ZERO,
            known: 0,
        }
    }

    /// Whether it is counted as this limit is.
    pub(super) fn is_of(&self, limit: &Limit) -> bool {
        self.take.limit.window == limit.window && self.take.limit.unit == limit.unit
    }

    pub(super) fn take(&mut self, grant: u128, take: &Take, terms: &Terms, now: Duration) -> Option<Taken> {
        self.need.note(take.amount, now);
        self.most = terms.most;
        self.take = take.clone();
        let left = self.left(now);
        let slice = self.slices.iter_mut().find(|slice| slice.bears(take, now))?;
        slice.used += take.amount;
        let standing = Standing {
            ceiling: take.ceiling,
            // What the others have used since is not known.
            left: take
                .ceiling
                .saturating_sub(self.used)
                .saturating_add(left)
                .saturating_sub(take.amount)
                .min(take.ceiling),
            reset: slice.reset.saturating_sub(now),
        };
        Some(Taken {
            grant,
            limit: take.limit.clone(),
            key: take.key.clone(),
            amount: take.amount,
            bucket: slice.row.bucket,
            fit: Fit::Fits,
            standing,
            passed: slice.passed.take(),
            slice: Some(slice.number),
        })
    }

    /// What is charged beyond what the slice bears; none where that is gone.
    pub(super) fn settle(&mut self, taken: &Taken, amount: u64, now: Duration) -> Option<u64> {
        let slice = self.slices.iter_mut().find(|slice| Some(slice.number) == taken.slice && slice.until > now)?;
        let used = slice.used.saturating_sub(taken.amount);
        let borne = amount.min(slice.row.amount.saturating_sub(used));
        slice.used = used + borne;
        Some(amount - borne)
    }

    /// What is held and not used.
    pub(super) fn left(&self, now: Duration) -> u64 {
        self.slices.iter().filter(|slice| slice.until > now).map(Portion::left).sum()
    }

    /// Ends all slices.
    pub(super) fn end(&mut self) -> Vec<Back> {
        self.end_if(|_| true)
    }

    fn end_if(&mut self, which: impl Fn(&Portion) -> bool) -> Vec<Back> {
        let ended: Vec<Back> = self.slices.extract_if(.., |slice| which(slice)).map(Portion::back).collect();
        let unused: u64 = ended.iter().map(|back| back.row.amount.saturating_sub(back.used)).sum();
        self.used = self.used.saturating_sub(unused);
        ended
    }

    /// The store said how the counter stands.
    pub(super) fn heard(&mut self, standing: &Standing) {
        self.used = standing.ceiling.saturating_sub(standing.left);
    }

    pub(super) fn has_asked(&self, wanted: &Wanted) -> bool {
        self.asked.as_ref().is_some_and(|asked| asked.wanted.id == wanted.id)
    }

    /// What was asked for and is not answered.
    pub(super) fn asked(&mut self) -> Option<Wanted> {
        self.asked.take().map(|asked| asked.wanted)
    }

    /// Nothing is held, and nothing is known that a new one would not know.
    pub(super) fn is_over(&self, now: Duration) -> bool {
        self.slices.is_empty() && self.asked.is_none() && self.need.idle(now) > self.forgotten()
    }

    /// How long it is known what calls needed.
    fn forgotten(&self) -> Duration {
        IDLE.max(self.cell * 2)
    }

    /// When it has to be looked at next, if there is no call and no answer before: when [`Held::due`] has something to
    /// do, or [`Held::is_over`].
    pub(super) fn wakes(&self, now: Duration) -> Duration {
        if self.asked.as_ref().is_some_and(|asked| !asked.is_out) || self.plan(now).is_some() {
            return now;
        }
        // What is idle asks for nothing more.
        let idle = self.need.last() + IDLE;
        let ends = self.slices.iter().map(|slice| slice.until).min();
        let last = |rest| self.slices.last().map(|last| last.until.saturating_sub(rest) + NEXT);
        // From then on another one may be asked for.
        let may_ask = |time: &Duration| self.asked.is_none() && now < idle && *time > now;
        let asks = [Some(self.not_before), last(self.cell), last(self.cell / LATE)];
        let asks = asks.into_iter().flatten().filter(may_ask);
        let all = asks.chain(ends).chain(ends.map(|_| idle));
        all.min().unwrap_or_else(|| self.need.last() + self.forgotten() + NEXT)
    }

    pub(super) fn due(&mut self, now: Duration, id: &mut dyn FnMut() -> u128, jobs: &mut Vec<Job>) {
        self.need.pass(now);
        let is_idle = self.need.idle(now) >= IDLE;
        // Also what was used up: it is not held any more, and its mark goes.
        jobs.extend(self.end_if(|slice| is_idle || slice.until <= now).into_iter().map(Job::Back));
        if let Some(asked) = self.asked.as_mut().filter(|asked| !asked.is_out) {
            if now.saturating_sub(asked.first) < UNHEARD {
                asked.is_out = true;
                jobs.push(Job::Lease(asked.wanted.clone()));
            } else {
                self.not_before = now + self.cell.max(REFUSED);
                jobs.extend(self.asked().map(Job::GiveUp));
            }
            return;
        }
        let Some((after, most)) = self.plan(now) else { return };
        if after == 0 {
            // What is all but used up is not held any more.
            let call = self.need.of_call();
            jobs.extend(self.end_if(|slice| slice.left() < call).into_iter().map(Job::Back));
        }
        let from = self.slices.last().filter(|_| after > 0).map_or(Duration::ZERO, |slice| slice.end);
        let wanted = self.wanted(id(), after, most);
        self.asked = Some(Asked { wanted: wanted.clone(), first: now, from, is_out: true, was_sent: false });
        jobs.push(Job::Lease(wanted));
    }

    /// Whether another slice is to be asked for: after which, and how much is wanted.
    pub(super) fn plan(&self, now: Duration) -> Option<(u64, u64)> {
        let is_busy = self.asked.is_some() || now < self.not_before;
        if is_busy || self.need.calls() < self.often || self.need.idle(now) >= IDLE {
            return None;
        }
        let cell = self.need.of_cell().saturating_mul(2);
        let Some(last) = self.slices.last() else { return Some((0, cell)) };
        let rest = last.until.saturating_sub(now);
        if rest >= self.cell {
            // It is that of the next cell.
            None
        } else if rest < self.cell / LATE {
            Some((last.ends, cell))
        } else if self.left(now) < (last.row.amount / LOW).max(self.need.of_call()) {
            Some((0, share(cell, rest, self.cell)))
        } else {
            None
        }
    }

    fn wanted(&self, id: u128, after: u64, most: u64) -> Wanted {
        let call = self.need.of_call();
        Wanted {
            id,
            take: Take { amount: most.max(call.saturating_mul(4)), ..self.take.clone() },
            least: call.saturating_mul(2),
            most: self.most,
            cell: self.cell,
            after,
            known: self.known,
        }
    }

    /// What came of it. A slice that cannot be used any more is given back.
    pub(super) fn answered(&mut self, wanted: &Wanted, answer: Answer, number: u64, now: Duration) -> Option<Back> {
        let mut asked = self.asked.take_if(|asked| asked.wanted.id == wanted.id)?;
        match answer {
            Answer::Unheard => {
                (asked.is_out, asked.was_sent) = (false, true);
                self.asked = Some(asked);
                None
            }
            Answer::Unsent if asked.was_sent => {
                asked.is_out = false;
                self.asked = Some(asked);
                None
            }
            Answer::Unsent | Answer::Heard(Slice::Nothing) => {
                self.not_before = now + self.cell.max(REFUSED);
                None
            }
            Answer::Heard(Slice::Granted { row, lasts, ends }) => {
                self.known = ends;
                self.heard(&row.standing);
                let end = asked.first + lasts;
                // Clocks do not run evenly.
                let until = end.saturating_sub(lasts / UNEVEN);
                let portion = Portion {
                    number,
                    used: 0,
                    ceiling: wanted.take.ceiling,
                    from: if ends > wanted.after { asked.from } else { Duration::ZERO },
                    until,
                    end,
                    ends,
                    reset: asked.first + row.standing.reset,
                    passed: row.passed,
                    row,
                };
                if until <= now {
                    return Some(portion.back());
                }
                self.slices.push(portion);
                self.slices.sort_by_key(|slice| slice.until);
                None
            }
        }
    }
}

/// So much of an amount as a time is of a whole.
fn share(amount: u64, of: Duration, whole: Duration) -> u64 {
    let parts = u128::from(amount) * of.as_micros() / whole.as_micros().max(1);
    u64::try_from(parts).unwrap_or(u64::MAX)
}

// === impl Portion ===

impl Portion {
    fn left(&self) -> u64 {
        self.row.amount.saturating_sub(self.used)
    }

    /// Whether a call can take of it.
    fn bears(&self, take: &Take, now: Duration) -> bool {
        self.from <= now && self.until > now && self.ceiling <= take.ceiling && self.left() >= take.amount
    }

    fn back(self) -> Back {
        Back { used: self.used, ends: self.ends, row: self.row }
    }
}
