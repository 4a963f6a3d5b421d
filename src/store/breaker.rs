//! When the store is asked and when it is not: a pure function of what happened when. Times are on any clock that
//! does not step back.
//!
//! | state    | is asked | becomes                                                                            |
//! |----------|----------|------------------------------------------------------------------------------------|
//! | Ok       | yes      | Degraded by one failure; Down where there is no connection to be had               |
//! | Degraded | yes      | Down by [`IN_A_ROW`] failures, or by failures alone for [`LONG`]; Ok [`CALM`] after the last |
//! | Down     | no       | Degraded by a probe that succeeds                                                  |

use std::time::Duration;

/// Failures without a success between them that open the breaker.
const IN_A_ROW: u32 = 5;
/// Or two of them that are this far apart.
const LONG: Duration = Duration::from_millis(500);
/// How long nothing must fail before all is well again.
const CALM: Duration = Duration::from_secs(1);

/// How it stands with the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It answers in time.
    Ok,
    /// It did not lately, or was never heard of; it is asked all the same.
    Degraded,
    /// It is not asked, only probed.
    Down,
}

/// What happened last.
#[derive(Debug)]
pub(super) struct Breaker {
    state: State,
    /// Since the last success.
    failures: u32,
    /// The first of them.
    since: Duration,
    /// The last failure of all.
    last: Option<Duration>,
}

// === impl Breaker ===

impl Breaker {
    /// Nothing is known yet.
    pub(super) fn new() -> Breaker {
        Breaker { state: State::Degraded, failures: 0, since: Duration::ZERO, last: None }
    }

    pub(super) fn state(&self) -> State {
        self.state
    }

    /// Something was answered in time. What was asked before the breaker opened does not close it.
    pub(super) fn succeed(&mut self, now: Duration) {
        if self.state != State::Down {
            self.failures = 0;
            self.settle(now);
        }
    }

    /// Something was not answered, or not in time, or with an error of the whole store.
    pub(super) fn fail(&mut self, now: Duration) {
        if self.failures == 0 {
            self.since = now;
        }
        self.failures = self.failures.saturating_add(1);
        self.last = Some(now);
        let long = self.failures > 1 && now.saturating_sub(self.since) >= LONG;
        if self.failures >= IN_A_ROW || long {
            self.state = State::Down;
        } else if self.state == State::Ok {
            self.state = State::Degraded;
        }
    }

    /// There is no connection to be had.
    pub(super) fn cut(&mut self, now: Duration) {
        self.fail(now);
        self.state = State::Down;
    }

    /// A probe was answered in time.
    pub(super) fn probed(&mut self, now: Duration) {
        self.failures = 0;
        if self.state == State::Down {
            self.state = State::Degraded;
        }
        self.settle(now);
    }

    fn settle(&mut self, now: Duration) {
        let calm = self.last.is_none_or(|last| now.saturating_sub(last) >= CALM);
        if self.state == State::Degraded && calm {
            self.state = State::Ok;
        }
    }
}

// === impl State ===

impl State {
    /// As a gauge and a log line show it.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Ok => "ok",
            State::Degraded => "degraded",
            State::Down => "down",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    /// What happened at which millisecond, and the state after it.
    #[test]
    fn the_table_holds() {
        use State::{Degraded, Down, Ok};
        type Step = (char, u64, State);
        let rows: &[&[Step]] = &[
            &[('+', 0, Ok), ('-', 10, Degraded), ('+', 11, Degraded), ('+', 1009, Degraded), ('+', 1010, Ok)],
            // Five in a row, and a late success does not close it.
            &[
                ('+', 0, Ok),
                ('-', 1, Degraded),
                ('-', 2, Degraded),
                ('-', 3, Degraded),
                ('-', 4, Degraded),
                ('-', 5, Down),
            ],
            &[('x', 0, Down), ('+', 1, Down), ('p', 2, Degraded), ('+', 3, Degraded), ('p', 1000, Ok)],
            // Two that are half a second apart; a success between them counts.
            &[('-', 0, Degraded), ('-', 499, Degraded), ('-', 500, Down)],
            &[('-', 0, Degraded), ('+', 100, Degraded), ('-', 600, Degraded), ('-', 700, Degraded)],
            // After a probe counting begins anew.
            &[('x', 0, Down), ('p', 1, Degraded), ('-', 2, Degraded), ('-', 3, Degraded), ('-', 4, Degraded)],
            &[('x', 0, Down), ('-', 9, Down), ('p', 5000, Ok)],
        ];
        for row in rows {
            let mut breaker = Breaker::new();
            for (index, (what, at, state)) in row.iter().enumerate() {
                match what {
                    '+' => breaker.succeed(ms(*at)),
                    '-' => breaker.fail(ms(*at)),
                    'x' => breaker.cut(ms(*at)),
                    _ => breaker.probed(ms(*at)),
                }
                assert_eq!(breaker.state(), *state, "{row:?} at {index}");
            }
        }
    }
}
