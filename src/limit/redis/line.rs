//! [io] What waits for the store, in the order in which it came. Looking for what may be sent costs what has come since,
//! and not what waits: whose server is not asked is looked at again when some server's state has changed.

use std::collections::BTreeMap;

use tokio::time::Instant;

/// Where something stands in the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    number: u64,
    /// Of the server. What is divided has parts of the same number with a slot each.
    pub slot: u16,
}

#[derive(Debug)]
pub(super) struct Line<T> {
    /// To be looked at.
    fresh: BTreeMap<Place, T>,
    /// Their servers are not asked.
    blocked: BTreeMap<Place, T>,
    /// To be looked at when it is time.
    paused: BTreeMap<(Instant, Place), T>,
    next: u64,
}

// === impl Place ===

impl Place {
    /// That of a part of it.
    pub(super) fn of_part(self, slot: u16) -> Place {
        Place { slot, ..self }
    }
}

// === impl Line ===

impl<T> Line<T> {
    pub(super) fn new() -> Line<T> {
        Line { fresh: BTreeMap::new(), blocked: BTreeMap::new(), paused: BTreeMap::new(), next: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.fresh.len() + self.blocked.len() + self.paused.len()
    }

    /// It is the last.
    pub(super) fn push(&mut self, slot: u16, item: T) {
        self.fresh.insert(Place { number: self.next, slot }, item);
        self.next += 1;
    }

    /// What was ready before stands where it stood, and is not ready before this moment.
    pub(super) fn back(&mut self, place: Place, item: T, after: Instant) {
        self.paused.insert((after, place), item);
    }

    /// Other servers may be asked now than before.
    pub(super) fn unblock(&mut self) {
        self.fresh.append(&mut self.blocked);
    }

    /// The first of those whose servers are asked, `most` of them; and when the next is that only has to wait.
    pub(super) fn ready(
        &mut self,
        now: Instant,
        most: usize,
        mut is_asked: impl FnMut(u16) -> bool,
    ) -> (Vec<(Place, T)>, Option<Instant>) {
        while let Some(first) = self.paused.first_entry()
            && first.key().0 <= now
        {
            let ((_, place), item) = first.remove_entry();
            self.fresh.insert(place, item);
        }
        let mut ready = Vec::new();
        while ready.len() < most
            && let Some((place, item)) = self.fresh.pop_first()
        {
            if is_asked(place.slot) {
                ready.push((place, item));
            } else {
                self.blocked.insert(place, item);
            }
        }
        (ready, self.paused.first_key_value().map(|((after, _), _)| *after))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn items(ready: (Vec<(Place, u32)>, Option<Instant>)) -> Vec<u32> {
        ready.0.into_iter().map(|(_, item)| item).collect()
    }

    /// While the store is away each that comes wakes whoever sends them.
    #[test]
    fn what_waits_is_not_looked_at_whenever_something_comes() {
        let (now, mut line, mut looks) = (Instant::now(), Line::new(), 0);
        for item in 0..1_000 {
            line.push(7, item);
            let ready = line.ready(now, 128, |_| {
                looks += 1;
                false
            });
            assert!(items(ready).is_empty());
        }
        assert_eq!((looks, line.len()), (1_000, 1_000));
        line.unblock();
        for first in (0..1_000).step_by(100) {
            let ready = line.ready(now, 100, |_| {
                looks += 1;
                true
            });
            assert_eq!(items(ready), (first..first + 100).collect::<Vec<_>>(), "in order");
        }
        assert_eq!((looks, line.len()), (2_000, 0));
    }

    #[test]
    fn a_server_that_is_away_lets_pass_what_belongs_to_others() {
        let (now, mut line) = (Instant::now(), Line::new());
        for item in 0..6 {
            line.push(u16::from(item % 2 == 0), item);
        }
        assert_eq!(items(line.ready(now, 9, |slot| slot == 0)), [1, 3, 5]);
        line.push(1, 6);
        line.push(0, 7);
        assert_eq!(items(line.ready(now, 9, |_| true)), [6, 7], "what is blocked is not looked at");
        line.unblock();
        assert_eq!(items(line.ready(now, 2, |_| true)), [0, 2]);
        assert_eq!(items(line.ready(now, 2, |_| true)), [4]);
    }

    #[test]
    fn what_was_not_done_waits_and_keeps_its_place() {
        let (now, mut line) = (Instant::now(), Line::new());
        let after = now + Duration::from_millis(100);
        for item in 0..3 {
            line.push(0, item);
        }
        let (taken, _) = line.ready(now, 2, |_| true);
        for (place, item) in taken {
            // In two parts.
            line.back(place, item, after);
            line.back(place.of_part(9), item + 10, after);
        }
        let (ready, later) = line.ready(now, 9, |_| true);
        assert_eq!((ready.len(), later, line.len()), (1, Some(after), 4));
        line.push(0, 3);
        assert_eq!(items(line.ready(after, 9, |_| true)), [0, 10, 1, 11, 3]);
    }
}
