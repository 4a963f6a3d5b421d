//! What a journal says when it is read to its end: how much of each bucket of each counter is charged. The thread
//! that writes keeps one beside the file, so that a shorter file can be written at any time, also when the one before
//! it takes no more; and reading a file makes one.
//!
//! It counts as [`Counter`](crate::limit::counter::Counter) does: a rolling window keeps 60 parts before its newest,
//! a calendar its newest unit, and what is older changes nothing.

use std::collections::HashMap;
use std::sync::Arc;

use super::format::{Charge, Entry, GROUP, Kind, Name, Span};
use crate::limit::MOST;
use crate::limit::window::{PARTS, Time};

/// For how long a calendar's unit that is over is kept: a clock that was wrong for a while does not make spend vanish.
/// It is kept where there is room.
const GRACE: u64 = 86_400;

pub struct Book {
    rows: HashMap<Place, Row>,
    /// The number of the next counter. None is given twice while the book is open.
    next: u64,
    most: usize,
    /// Until when, on either clock, nothing can be forgotten.
    quiet: Time,
    /// How many files have been begun with what is in here.
    copies: u64,
}

pub type Place = (Kind, Arc<str>);

/// Nanoseconds.
const SECOND: u64 = 1_000_000_000;

/// One counter.
#[derive(Clone, Debug)]
pub struct Row {
    pub number: u64,
    pub name: Name,
    /// The oldest first. None of nothing.
    pub spent: Vec<Spent>,
    /// The last of the files of [`Book::begin`] in which it is.
    copy: u64,
}

/// One bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spent {
    pub bucket: u64,
    pub end: u64,
    pub amount: u64,
}

// === impl Book ===

impl Book {
    /// With room for so many counters that count, and for a quarter more: so what no longer counts is looked for once
    /// in so many new ones, however many come.
    pub fn new(most: usize) -> Book {
        let most = most.saturating_add(most / 4);
        Book { rows: HashMap::new(), next: 0, most, quiet: Time::default(), copies: 0 }
    }

    /// The counter of a name, a new one if it has none, and whether it is new. None where there is no room.
    pub fn open(&mut self, name: &Name, now: Time) -> Option<(&mut Row, bool)> {
        let place = (name.kind, name.key.clone());
        let is_new = !self.rows.contains_key(&place);
        if is_new && !self.has_room(now) {
            return None;
        }
        let (next, copy) = (&mut self.next, self.copies);
        let row = self.rows.entry(place).or_insert_with(|| {
            *next += 1;
            Row { number: *next, name: name.clone(), spent: Vec::new(), copy }
        });
        Some((row, is_new))
    }

    /// Whether one more counter finds room, once what no longer counts is forgotten, without grace.
    fn has_room(&mut self, now: Time) -> bool {
        if self.rows.len() < self.most {
            return true;
        }
        if now.steady < self.quiet.steady && now.unix < self.quiet.unix {
            return false;
        }
        self.forget(now, 0);
        let is_full = self.rows.len() >= self.most;
        self.quiet = if is_full { self.first_end(now) } else { Time::default() };
        !is_full
    }

    /// When something ends to count. A row may be given back before that too: it is looked for that a second later.
    fn first_end(&self, now: Time) -> Time {
        let mut first = Time { steady: now.steady.saturating_add(SECOND), unix: u64::MAX };
        for row in self.rows.values() {
            let clock = match row.name.kind.span {
                Span::Rolling(_) => &mut first.steady,
                Span::Calendar(_) => &mut first.unix,
            };
            *clock = row.spent.iter().map(|spent| spent.end).fold(*clock, u64::min);
        }
        first
    }

    /// Forgets what no longer counts, and has not for so long that no clock is wrong by that.
    pub fn prune(&mut self, now: Time) {
        self.forget(now, GRACE);
    }

    fn forget(&mut self, now: Time, grace: u64) {
        self.rows.retain(|_, row| {
            let span = row.name.kind.span;
            row.spent.retain(|spent| !is_over(span, spent.end, now, grace));
            !row.spent.is_empty()
        });
    }

    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.values()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Begins another file: what is to be in it, until nothing is left. Counters that are opened from now on are in it
    /// from their beginning.
    pub fn begin(&mut self) -> Vec<Place> {
        self.copies += 1;
        self.rows.keys().cloned().collect()
    }

    /// How many files have been begun: the number of the last, see [`Row::is_in`].
    pub fn copies(&self) -> u64 {
        self.copies
    }

    /// Appends the next of these as entries, about so many bytes.
    pub fn copy(&mut self, rest: &mut Vec<Place>, bytes: usize, out: &mut Vec<u8>) {
        while out.len() < bytes
            && let Some(place) = rest.pop()
        {
            let Some(row) = self.rows.get_mut(&place).filter(|row| row.copy != self.copies) else { continue };
            row.copy = self.copies;
            row.write(out);
        }
    }
}

fn is_over(span: Span, end: u64, now: Time, grace: u64) -> bool {
    match span {
        Span::Rolling(_) => now.steady >= end,
        Span::Calendar(_) => now.unix >= end.saturating_add(grace),
    }
}

// === impl Row ===

impl Row {
    /// Charges `to` instead of `from` in a bucket that counts; nothing in one that is left behind.
    pub fn charge(&mut self, bucket: u64, end: u64, from: u64, to: u64) {
        let newest = self.spent.last().map_or(0, |spent| spent.bucket);
        let oldest = match self.name.kind.span {
            Span::Rolling(_) => newest.max(bucket).saturating_sub(PARTS),
            Span::Calendar(_) => newest.max(bucket),
        };
        self.spent.retain(|spent| spent.bucket >= oldest);
        if bucket < oldest {
            return;
        }
        let at = self.spent.partition_point(|spent| spent.bucket < bucket);
        match self.spent.get_mut(at).filter(|spent| spent.bucket == bucket) {
            Some(spent) => spent.amount = spent.amount.saturating_sub(from).saturating_add(to).min(MOST),
            None => self.spent.insert(at, Spent { bucket, end, amount: to.min(MOST) }),
        }
        self.spent.retain(|spent| spent.amount > 0);
    }

    fn write(&self, out: &mut Vec<u8>) {
        Entry::Counter(self.number, self.name.clone()).write(out);
        let charge = |spent: &Spent| {
            let Spent { bucket, end, amount } = *spent;
            Charge { counter: self.number, bucket, end, from: 0, to: amount }
        };
        for group in self.spent.chunks(GROUP) {
            Entry::Charges(group.iter().map(charge).collect()).write(out);
        }
    }

    /// Whether what is charged to it is to be written to the file of this number too. What is not in it yet comes with
    /// all that is charged by then.
    pub fn is_in(&self, copy: u64) -> bool {
        self.copy == copy
    }

    /// The newest bucket that holds something.
    pub fn newest(&self) -> Option<Spent> {
        self.spent.last().copied()
    }

    /// Moves back what was charged by a clock that was far ahead: the newest bucket becomes this one, which ends then,
    /// and the others stay as old as they are. The charges that say so.
    pub fn recede(&mut self, bucket: u64, end: u64) -> Vec<Charge> {
        let by = self.newest().map_or(0, |newest| newest.bucket.saturating_sub(bucket));
        let moved = |spent: &Spent| match self.name.kind.span {
            Span::Calendar(_) => Spent { bucket, end, ..*spent },
            Span::Rolling(part) => Spent {
                bucket: spent.bucket.saturating_sub(by),
                end: spent.end.saturating_sub(by.saturating_mul(part)),
                ..*spent
            },
        };
        let moved: Vec<Spent> = self.spent.iter().map(moved).collect();
        let old = std::mem::replace(&mut self.spent, moved);
        let charge = |spent: &Spent, from, to| {
            let Spent { bucket, end, .. } = *spent;
            Charge { counter: self.number, bucket, end, from, to }
        };
        let taken = old.iter().map(|spent| charge(spent, spent.amount, 0));
        taken.chain(self.spent.iter().map(|spent| charge(spent, 0, spent.amount))).collect()
    }

    /// When a bucket that is charged already ends to count.
    pub fn end(&self, bucket: u64) -> Option<u64> {
        self.spent.iter().rev().find(|spent| spent.bucket == bucket).map(|spent| spent.end)
    }
}
