//! Of which limits slices are held, and how large and how long they may be.

use std::time::Duration;

use crate::limit::take::Take;
use crate::limit::window::{self, Window};
use crate::limit::{Counting, Limit, Unit};

/// The longest that a slice lasts.
const LONGEST: Duration = Duration::from_secs(5);
/// Cells that are shorter are over before they were worth anything.
const SHORTEST: Duration = Duration::from_millis(250);
/// Of fewer units every call asks the store.
const UNITS: u64 = 100;

/// What holds of one take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    /// How long a slice lasts: so many make up a part of the window.
    pub cell: Duration,
    /// How much all replicas together may hold that they have not used.
    pub most: u64,
}

// === impl Terms ===

impl Terms {
    /// None where the store is to be asked by each call.
    pub(super) fn of(take: &Take) -> Option<Terms> {
        let cell = cell(&take.limit)?;
        let Counting::Fleet { lease } = take.limit.counting else { return None };
        let most = u128::from(take.ceiling) * u128::from(lease) / 100;
        Some(Terms { cell, most: u64::try_from(most).unwrap_or(u64::MAX) })
    }
}

/// How long a slice of this limit lasts at most, in whole microseconds as the store's script has it; none where
/// there are none.
pub(super) fn cell(limit: &Limit) -> Option<Duration> {
    if matches!(limit.counting, Counting::Process | Counting::Fleet { lease: 0 })
        || limit.amount < UNITS.saturating_mul(limit.unit.scale())
    {
        return None;
    }
    let cell = match (&limit.window, limit.unit) {
        (Window::Held, _) | (_, Unit::Concurrency) => return None,
        (Window::Calendar(_), _) => LONGEST,
        (Window::Rolling(length), _) => {
            let micros = window::part(*length) / 1_000;
            let cells = micros.div_ceil(u64::try_from(LONGEST.as_micros()).unwrap_or(u64::MAX)).max(1);
            Duration::from_micros(micros.div_ceil(cells))
        }
    };
    (cell >= SHORTEST).then_some(cell)
}
