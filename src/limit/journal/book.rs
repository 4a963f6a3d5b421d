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
const GRACE: u64 = 86_400;

pub struct Book {
    rows: HashMap<(Kind, Arc<str>), Row>,
    /// The number of the next counter. None is given twice while the book is open.
    next: u64,
    most: usize,
}

/// One counter.
#[derive(Clone, Debug)]
pub struct Row {
    pub number: u64,
    pub name: Name,
    /// The oldest first. None of nothing.
    pub spent: Vec<Spent>,
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
    /// With room for so many counters.
    pub fn new(most: usize) -> Book {
        Book { rows: HashMap::new(), next: 0, most }
    }

    /// The counter of a name, a new one if it has none, and whether it is new. None where there is no room.
    pub fn open(&mut self, name: &Name, now: Time) -> Option<(&mut Row, bool)> {
        let place = (name.kind, name.key.clone());
        let is_new = !self.rows.contains_key(&place);
        if is_new && self.rows.len() >= self.most {
            self.prune(now);
            if self.rows.len() >= self.most {
                return None;
            }
        }
        let next = &mut self.next;
        let row = self.rows.entry(place).or_insert_with(|| {
            *next += 1;
            Row { number: *next, name: name.clone(), spent: Vec::new() }
        });
        Some((row, is_new))
    }

    /// Forgets what no longer counts.
    pub fn prune(&mut self, now: Time) {
        self.rows.retain(|_, row| {
            let span = row.name.kind.span;
            row.spent.retain(|spent| !is_over(span, spent.end, now));
            !row.spent.is_empty()
        });
    }

    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.values()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// All of it, as entries.
    pub fn write(&self, out: &mut Vec<u8>) {
        for row in self.rows.values() {
            Entry::Counter(row.number, row.name.clone()).write(out);
            let charge = |spent: &Spent| {
                let Spent { bucket, end, amount } = *spent;
                Charge { counter: row.number, bucket, end, from: 0, to: amount }
            };
            for group in row.spent.chunks(GROUP) {
                Entry::Charges(group.iter().map(charge).collect()).write(out);
            }
        }
    }
}

fn is_over(span: Span, end: u64, now: Time) -> bool {
    match span {
        Span::Rolling(_) => now.steady >= end,
        Span::Calendar(_) => now.unix >= end.saturating_add(GRACE),
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

    /// When a bucket that is charged already ends to count.
    pub fn end(&self, bucket: u64) -> Option<u64> {
        self.spent.iter().rev().find(|spent| spent.bucket == bucket).map(|spent| spent.end)
    }
}
