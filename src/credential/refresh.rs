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
//! | a call waits for it                        | [`PAUSE`] after the last fetch began, if that is sooner   |
//! | a server did not take it                   | the same; each time that what was then fetched is not     |
//! |                                            | taken either, the pause is twice as long, up to           |
//! |                                            | [`MAX_PAUSE`]: what is refused is not always the token    |
//!
//! All times are in seconds, by a clock that never steps.

/// The least time between two fetches for somebody's sake.
pub const PAUSE: u64 = 5;

/// The most time between two fetches for the sake of what is not taken.
pub const MAX_PAUSE: u64 = PAUSE << 6;

/// What was fetched just now is good for so long at least, whatever the instant is at which it ends: the clock
/// that wrote it is another one than this machine's.
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
    /// Fetches in a row for the sake of one that was not taken.
    rejections: u32,
    /// The next fetch is for the sake of one that was not taken.
    is_rejected: bool,
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

    /// It has brought a credential that is good for `life`; `draw` is any number.
    pub fn succeeded(&mut self, now: u64, life: Option<u64>, draw: u32) {
        self.failures = 0;
        self.rejections = if std::mem::take(&mut self.is_rejected) { self.rejections.saturating_add(1) } else { 0 };
        let wait = match life {
            None => NO_END,
            Some(life) => {
                let lead = (life / 5).min(300) + part((life / 10).min(60), draw);
                life.saturating_sub(lead).max(1)
            }
        };
        self.due = now.saturating_add(wait);
    }

    /// It has failed.
    pub fn failed(&mut self, now: u64, draw: u32) {
        self.failures = self.failures.saturating_add(1);
        let backoff = 1_u64.checked_shl(self.failures - 1).map_or(MAX_BACKOFF, |backoff| backoff.min(MAX_BACKOFF));
        self.due = now.saturating_add(backoff - part(backoff / 2, draw)).max(now.saturating_add(1));
    }

    /// Somebody waits for it.
    pub fn wanted(&mut self, now: u64) {
        self.due = self.due.min(self.after(PAUSE).max(now));
    }

    /// A server did not take it.
    pub fn rejected(&mut self, now: u64) {
        let at = self.after((PAUSE << self.rejections.min(6)).min(MAX_PAUSE)).max(now);
        if at < self.due {
            (self.due, self.is_rejected) = (at, true);
        }
    }

    fn after(&self, pause: u64) -> u64 {
        self.tried.map_or(0, |tried| tried.saturating_add(pause))
    }
}

/// Until when a credential counts as good that was fetched `now` and whose giver says at which instant it ends;
/// both in seconds since the Unix epoch.
pub fn good_until(now: u64, end: u64) -> u64 {
    end.max(now.saturating_add(MIN_LIFE))
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
            refresh.succeeded(NOW, life, draw);
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
        late.succeeded(NOW, Some(3600), 0);
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
            let mut refresh = Refresh { tried: last_try, due, ..Refresh::default() };
            refresh.wanted(now);
            assert_eq!(refresh.due(), expected, "{last_try:?} {due} {now}");
        }
    }

    #[test]
    fn what_was_just_given_is_good_whatever_the_clock_says() {
        for (end, expected) in
            [(NOW + 3600, NOW + 3600), (NOW + 10, NOW + MIN_LIFE), (NOW - 7200, NOW + MIN_LIFE), (0, NOW + MIN_LIFE)]
        {
            assert_eq!(good_until(NOW, end), expected, "{end:?}");
        }
    }

    /// A 403 is as often a permission that lacks: fetching on and on would not bring it.
    #[test]
    fn what_is_not_taken_again_and_again_is_fetched_less_and_less() {
        let mut refresh = Refresh::default();
        let mut now = NOW;
        refresh.begun(now);
        refresh.succeeded(now, Some(3600), 0);
        let mut waits = Vec::new();
        for _ in 0..9 {
            // One rejection for each of many calls.
            refresh.rejected(now);
            refresh.rejected(now + 1);
            waits.push(refresh.due() - now);
            now = refresh.due();
            refresh.begun(now);
            refresh.succeeded(now, Some(3600), 0);
        }
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 320, MAX_PAUSE, MAX_PAUSE]);
        // Whoever has none does not wait for that, and what was renewed in its time begins anew.
        let mut other = refresh;
        other.wanted(now + 1);
        assert_eq!(other.due(), now + PAUSE);
        now = refresh.due();
        refresh.begun(now);
        refresh.succeeded(now, Some(3600), 0);
        refresh.rejected(now + 1);
        assert_eq!(refresh.due(), now + PAUSE);
    }

    proptest! {
        /// A credential is fetched again while it is good, and never without a pause.
        #[test]
        fn a_fetch_is_due_before_the_end_and_not_at_once(life in 2_u64..1_000_000, draw in any::<u32>(), failures in 0_u32..40) {
            let mut refresh = Refresh { failures, ..Refresh::default() };
            refresh.succeeded(NOW, Some(life), draw);
            prop_assert!(refresh.due() > NOW && refresh.due() < NOW + life);
            refresh.failed(NOW, draw);
            prop_assert!(refresh.due() > NOW && refresh.due() <= NOW + MAX_BACKOFF);
        }
    }
}
