//! A clock that was far ahead for a while: the journal says what the counter says, at once and when it is read.

use super::super::writer::change_row;
use super::*;
use crate::limit::memory::Memory;
use crate::limit::take::{Posture, Take};

const S: u64 = 1_000_000_000;
/// A day of Berlin begins.
const MIDNIGHT: u64 = 1_774_825_200;
const YEARS: u64 = 10 * 365 * 86_400;

/// A counter in memory, and its row twice: as it is kept, and as it is read again.
struct Both {
    limit: Arc<Limit>,
    memory: Memory,
    kept: Book,
    read: Book,
}

impl Both {
    fn at(after: u64) -> Time {
        Time { steady: (MIDNIGHT + after) * S, unix: MIDNIGHT + after }
    }

    fn reserve(&mut self, amount: u64, after: u64) -> Grant {
        let (limit, key) = (self.limit.clone(), "k".into());
        let take = Take { limit, key, ceiling: 1_000, amount, posture: Posture::Enforce };
        let grant = self.memory.reserve(1, &[take], Both::at(after)).expect("it fits");
        self.write(&grant, 0, amount, true);
        grant
    }

    fn settle(&mut self, grant: &Grant, amount: u64, after: u64) {
        self.memory.settle(&Settlement { grant: grant.clone(), amounts: vec![amount] }, Both::at(after));
        self.write(grant, grant.taken[0].amount, amount, false);
    }

    fn write(&mut self, grant: &Grant, from: u64, to: u64, is_taken: bool) {
        let Taken { limit, key, bucket, .. } = grant.taken[0].clone();
        let change = Change { limit, key, bucket, from, to, is_taken };
        let (name, mut charges) = (name(&self.limit, "k"), Vec::new());
        change_row(self.kept.open(&name, Time::default()).expect("room").0, &change, &mut charges);
        let row = self.read.open(&name, Time::default()).expect("room").0;
        charges.iter().for_each(|charge| row.charge(charge.bucket, charge.end, charge.from, charge.to));
    }

    /// What is used, by what is kept; it is what is read, and what memory says.
    fn used(&self, after: u64) -> u64 {
        let rows = [&self.kept, &self.read].map(|book| book.rows().next().expect("one").spent.clone());
        assert_eq!(rows[0], rows[1]);
        let used = self.memory.list(None, 1, Both::at(after)).first().map_or(0, |row| row.used);
        assert_eq!(rows[0].iter().map(|spent| spent.amount).sum::<u64>(), used);
        let end = rows[0].last().expect("something").end;
        let unit = if matches!(self.limit.window, Window::Rolling(_)) { S } else { 1 };
        assert!(end / unit <= MIDNIGHT + after + 86_400, "it ends within the window");
        used
    }
}

#[test]
fn what_comes_back_to_now_is_kept_so() {
    for limit in [hourly(), daily()] {
        let (memory, kept, read) = (Memory::new(10), Book::new(10), Book::new(10));
        let mut both = Both { limit, memory, kept, read };
        let early = both.reserve(10, 0);
        both.reserve(20, YEARS);
        let late = both.reserve(30, YEARS + 120);
        both.settle(&late, 25, YEARS + 130);
        let open = both.reserve(5, YEARS + 130);
        assert_eq!(both.reserve(40, 600).taken[0].amount, 40);
        assert_eq!(both.used(600), 20 + 25 + 5 + 40);
        // Of those that were taken then nothing is given back; what they come to beyond is charged.
        both.settle(&open, 2, 700);
        assert_eq!(both.used(700), 90);
        both.settle(&open, 12, 700);
        assert_eq!(both.used(700), 97);
        both.reserve(3, 710);
        assert_eq!(both.used(710), 100);
        drop(early);
    }
}

#[test]
fn a_late_settlement_moves_nothing() {
    let (memory, kept, read) = (Memory::new(10), Book::new(10), Book::new(10));
    let mut both = Both { limit: daily(), memory, kept, read };
    let long = both.reserve(10, 0);
    // Of a stream that nobody knew the use of until the day after the next.
    both.reserve(20, 3 * 86_400);
    both.settle(&long, 50, 3 * 86_400);
    assert_eq!(both.used(3 * 86_400), 20);
    let mut unchecked = long;
    unchecked.taken[0].amount = 0;
    both.settle(&unchecked, 50, 3 * 86_400);
    assert_eq!(both.used(3 * 86_400), 20);
}
