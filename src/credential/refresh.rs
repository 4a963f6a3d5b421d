//! When a credential is fetched next. A pure function of what has happened: nothing here reads a clock or
//! draws a number.
//!
//! | what has happened                          | fetched again                                             |
//! |--------------------------------------------|-----------------------------------------------------------|
//! | nothing yet                                | at once                                                   |
//! | it was fetched, and ends                   | a fifth of its life before its end, five minutes at most; |
//! |                                            | up to a tenth of its life, a minute at most, sooner       |
//! | it was fetched, and has no end             | a quarter of an hour later                                |
//! | n fetches have failed one after the other  | `2^(n-1)` seconds later, a minute at most, or up to half  |
//! |                                            | of that sooner                                            |
//! | a call waits for it, or it was not taken   | [`PAUSE`] after the last fetch began, if that is sooner   |
//!
//! All times are seconds since the Unix epoch, by this machine's own clock.

/// The least time between two fetches for somebody's sake.
pub const PAUSE: u64 = 5;

/// What was fetched just now is good for so long at least, whatever its end is by this machine's clock: the
/// clock that wrote the end is another one.
pub const MIN_LIFE: u64 = 60;

/// How soon it is fetched again where it does not say when it ends: a file may have changed.
const NO_END: u64 = 15 * 60;

/// The longest time between two fetches that fail.
const MAX_BACKOFF: u64 = 60;

/// What has happened to one credential.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refresh {
    /// When the last fetch began.
    tried: Option<u64>,
    /// Fetches that have failed since one succeeded.
    failures: u32,
    due: u64,
}

// === impl Refresh ===

impl Refresh {
    /// When it is fetched next; in the past for at once.
    pub fn due(&self) -> u64 {
        self.due
    }

    /// Fetches that have failed since one succeeded.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// A fetch begins.
    pub fn begun(&mut self, now: u64) {
        self.tried = Some(now);
    }

    /// It has brought a credential that is good until `end`, as [`good_until`] says; `draw` is any number.
    pub fn succeeded(&mut self, now: u64, end: Option<u64>, draw: u32) {
        self.failures = 0;
        self.due = match end {
            None => now.saturating_add(NO_END),
            Some(end) => {
                let life = end.saturating_sub(now);
                let lead = (life / 5).min(300) + part((life / 10).min(60), draw);
                now.saturating_add(life.saturating_sub(lead).max(1))
            }
        };
    }

    /// It has failed.
    pub fn failed(&mut self, now: u64, draw: u32) {
        self.failures = self.failures.saturating_add(1);
        let backoff = 1_u64.checked_shl(self.failures - 1).map_or(MAX_BACKOFF, |backoff| backoff.min(MAX_BACKOFF));
        self.due = now.saturating_add(backoff - part(backoff / 2, draw)).max(now.saturating_add(1));
    }

    /// Somebody waits for it, or a server did not take it.
    pub fn wanted(&mut self, now: u64) {
        let soonest = self.tried.map_or(0, |tried| tried.saturating_add(PAUSE));
        self.due = self.due.min(soonest.max(now));
    }
}

/// Until when a credential counts as good that was fetched `now` and whose giver says that it ends at `end`.
pub fn good_until(now: u64, end: Option<u64>) -> Option<u64> {
    end.map(|end| end.max(now.saturating_add(MIN_LIFE)))
}

/// As much of `most` as `draw` is of all numbers.
fn part(most: u64, draw: u32) -> u64 {
    most.saturating_mul(u64::from(draw)) >> 32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: u64 = 1_000_000;

    #[test]
    fn it_is_fetched_before_it_ends() {
        for (life, draw, expected) in [
            (Some(3600), 0, 3300),
            (Some(3600), u32::MAX, 3241),
            (Some(43_200), 0, 42_900),
            (Some(600), 0, 480),
            (Some(600), u32::MAX, 421),
            (Some(60), 0, 48),
            (Some(1), u32::MAX, 1),
            (Some(0), 0, 1),
            (None, u32::MAX, NO_END),
        ] {
            let mut refresh = Refresh::default();
            assert!(refresh.due() <= NOW, "the first fetch is at once");
            refresh.begun(NOW);
            refresh.succeeded(NOW, life.map(|life| NOW + life), draw);
            assert_eq!(refresh.due() - NOW, expected, "{life:?} {draw}");
        }
    }

    #[test]
    fn failures_are_further_and_further_apart() {
        let (mut late, mut soon) = (Refresh::default(), Refresh::default());
        let mut waits = (Vec::new(), Vec::new());
        for _ in 0..80 {
            late.failed(NOW, 0);
            soon.failed(NOW, u32::MAX);
            waits.0.push(late.due() - NOW);
            waits.1.push(soon.due() - NOW);
        }
        assert_eq!(waits.0[..9], [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(waits.1[..9], [1, 2, 3, 5, 9, 17, 31, 31, 31]);
        assert_eq!((waits.0[79], late.failures()), (60, 80));
        late.succeeded(NOW, Some(NOW + 3600), 0);
        assert_eq!(late.failures(), 0);
        late.failed(NOW, 0);
        assert_eq!(late.due(), NOW + 1, "it begins anew");
    }

    #[test]
    fn whoever_wants_it_waits_for_the_pause_and_no_longer() {
        for (last_try, due, now, expected) in [
            (None, 0, NOW, 0),
            (Some(NOW), NOW + 3300, NOW, NOW + PAUSE),
            (Some(NOW), NOW + 3300, NOW + 2, NOW + PAUSE),
            (Some(NOW), NOW + 3300, NOW + 100, NOW + 100),
            (Some(NOW), NOW + 60, NOW + 30, NOW + 30),
            (Some(NOW), NOW + 1, NOW, NOW + 1),
        ] {
            let mut refresh = Refresh { tried: last_try, failures: 0, due };
            refresh.wanted(now);
            assert_eq!(refresh.due(), expected, "{last_try:?} {due} {now}");
        }
    }

    #[test]
    fn what_was_just_given_is_good_whatever_the_clock_says() {
        for (end, expected) in [
            (None, None),
            (Some(NOW + 3600), Some(NOW + 3600)),
            (Some(NOW + 10), Some(NOW + MIN_LIFE)),
            (Some(NOW - 7200), Some(NOW + MIN_LIFE)),
            (Some(0), Some(NOW + MIN_LIFE)),
        ] {
            assert_eq!(good_until(NOW, end), expected, "{end:?}");
        }
    }

    proptest! {
        /// A credential is fetched again while it is good, and never without a pause.
        #[test]
        fn a_fetch_is_due_before_the_end_and_not_at_once(life in 2_u64..1_000_000, draw in any::<u32>(), failures in 0_u32..40) {
            let mut refresh = Refresh { failures, ..Refresh::default() };
            refresh.succeeded(NOW, Some(NOW + life), draw);
            prop_assert!(refresh.due() > NOW && refresh.due() < NOW + life);
            refresh.failed(NOW, draw);
            prop_assert!(refresh.due() > NOW && refresh.due() <= NOW + MAX_BACKOFF);
        }
    }
}
