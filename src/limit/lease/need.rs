//! How much one replica takes of a counter, lately: what it took in this cell of time and in the one before.

use std::time::Duration;

#[derive(Clone, Debug)]
pub(super) struct Need {
    cell: Duration,
    /// When the present cell began.
    began: Duration,
    now: Spell,
    before: Spell,
    /// The last call.
    last: Duration,
}

/// What was taken in a cell.
#[derive(Clone, Copy, Debug, Default)]
struct Spell {
    calls: u32,
    amount: u64,
}

// === impl Need ===

impl Need {
    pub(super) fn new(cell: Duration, now: Duration) -> Need {
        Need { cell, began: now, now: Spell::default(), before: Spell::default(), last: now }
    }

    /// A call takes something.
    pub(super) fn note(&mut self, amount: u64, now: Duration) {
        self.pass(now);
        self.last = now;
        self.now.calls = self.now.calls.saturating_add(1);
        self.now.amount = self.now.amount.saturating_add(amount);
    }

    pub(super) fn pass(&mut self, now: Duration) {
        let since = now.saturating_sub(self.began);
        if since < self.cell {
            return;
        }
        self.before = if since < self.cell * 2 { self.now } else { Spell::default() };
        self.now = Spell::default();
        // Cells follow each other without a gap for as long as there are calls.
        self.began = if since < self.cell * 2 { self.began + self.cell } else { now };
    }

    /// The calls of this cell and the one before.
    pub(super) fn calls(&self) -> u32 {
        self.now.calls.saturating_add(self.before.calls)
    }

    /// What a cell takes.
    pub(super) fn of_cell(&self) -> u64 {
        self.now.amount.max(self.before.amount)
    }

    /// What a call takes, at least 1.
    pub(super) fn of_call(&self) -> u64 {
        let calls = u64::from(self.calls().max(1));
        self.now.amount.saturating_add(self.before.amount).div_ceil(calls).max(1)
    }

    /// When the last call was.
    pub(super) fn last(&self) -> Duration {
        self.last
    }

    /// For how long there was no call.
    pub(super) fn idle(&self, now: Duration) -> Duration {
        now.saturating_sub(self.last)
    }
}
