//! When which counter has to be looked at: looking costs what is due, however many wait.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// Each key has one time.
#[derive(Clone, Debug, Default)]
pub(super) struct Agenda {
    times: HashMap<Arc<str>, Duration>,
    order: BTreeSet<(Duration, Arc<str>)>,
}

// === impl Agenda ===

impl Agenda {
    /// It is due then, or earlier if that was said before.
    pub(super) fn no_later_than(&mut self, key: &Arc<str>, time: Duration) {
        match self.times.get_mut(&**key) {
            Some(known) if *known <= time => return,
            Some(known) => {
                self.order.remove(&(std::mem::replace(known, time), key.clone()));
            }
            None => drop(self.times.insert(key.clone(), time)),
        }
        self.order.insert((time, key.clone()));
    }

    /// What is due. It has no time any more.
    pub(super) fn due(&mut self, now: Duration) -> Vec<Arc<str>> {
        let mut due = Vec::new();
        while self.order.first().is_some_and(|(time, _)| *time <= now)
            && let Some((_, key)) = self.order.pop_first()
        {
            self.times.remove(&key);
            due.push(key);
        }
        due
    }

    pub(super) fn clear(&mut self) {
        *self = Agenda::default();
    }
}
