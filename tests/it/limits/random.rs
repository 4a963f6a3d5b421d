//! Any interleaving of callers that reserve, settle, abort or crash while time passes and a wall clock steps: the
//! store says what the model says, everything is settled once, and no window holds more than it may.

use std::time::Duration;

use proptest::prelude::*;
use weir::limit::take::{Fit, Grant, Posture, Take};
use weir::limit::window::{Time, Unit as CalendarUnit, Window};

use super::model::{Expected, Model};
use super::{BEGIN, Store, as_posture, calendar, held, rolling, secs, settlement, take};

/// Whether the wall clock steps while the steady one does not. A store with one clock has `Together`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clocks {
    Apart,
    Together,
}

#[derive(Clone, Debug)]
pub enum Step {
    Reserve(Vec<Wish>),
    /// One of the open grants comes to so many quarters of what was taken, take by take.
    Settle {
        which: prop::sample::Index,
        quarters: Vec<u64>,
    },
    /// It never left.
    Abort(prop::sample::Index),
    /// Nobody will ever settle it. A call that is held is given back, as a store does for a replica that is gone.
    Crash(prop::sample::Index),
    Pass(Duration),
    /// The wall clock, forward or back, in seconds; back by no more than an hour from the latest that it has shown, for
    /// what is further ahead than a unit is no more believed.
    Jump(i64),
}

/// A take, by the number of its limit and key.
#[derive(Clone, Debug)]
pub struct Wish {
    counter: usize,
    amount: u64,
    /// In quarters of the limit's amount.
    ceiling: u64,
    posture: Posture,
}

const COUNTERS: usize = 6;

fn wish() -> impl Strategy<Value = Wish> {
    let posture = prop_oneof![8 => Just(Posture::Enforce), 1 => Just(Posture::Observe), 1 => Just(Posture::Shadow)];
    let ceiling = prop_oneof![6 => Just(4u64), 1 => 1..6u64];
    (0..COUNTERS, prop_oneof![1 => Just(0u64), 9 => 1..30u64], ceiling, posture)
        .prop_map(|(counter, amount, ceiling, posture)| Wish { counter, amount, ceiling, posture })
}

fn step(clocks: Clocks) -> impl Strategy<Value = Step> {
    let which = any::<prop::sample::Index>;
    let pass = prop_oneof![
        4 => (0..3_000_000u64).prop_map(Duration::from_micros),
        4 => (0..40_000u64).prop_map(Duration::from_millis),
        2 => (0..7_200u64).prop_map(secs),
    ];
    let settle = (which(), prop::collection::vec(prop_oneof![4 => 0..=4u64, 1 => 5..12u64], 4));
    let jump = if clocks == Clocks::Apart { 1 } else { 0 };
    prop_oneof![
        8 => prop::collection::vec(wish(), 1..4).prop_map(Step::Reserve),
        4 => settle.prop_map(|(which, quarters)| Step::Settle { which, quarters }),
        1 => which().prop_map(Step::Abort),
        1 => which().prop_map(Step::Crash),
        5 => pass.prop_map(Step::Pass),
        jump => prop_oneof![-7_200i64..7_200, -90_000i64..90_000].prop_map(Step::Jump),
    ]
}

pub fn script(clocks: Clocks) -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(clocks), 1..120)
}

/// The limits of a script: each has one key but the first, which has two.
fn takes(wishes: &[Wish]) -> Vec<Take> {
    let limits = [
        rolling("minute", 40, secs(60)),
        rolling("minute", 40, secs(60)),
        rolling("hour", 100, secs(3600)),
        calendar("hourly", 60, CalendarUnit::Hour),
        calendar("daily", 200, CalendarUnit::Day),
        held("parallel", 50),
    ];
    let take = |wish: &Wish| {
        let limit = &limits[wish.counter];
        let take = as_posture(wish.posture, take(limit, wish.amount));
        Take { key: format!("{}|{}", limit.id, wish.counter).into(), ceiling: limit.amount * wish.ceiling / 4, ..take }
    };
    wishes.iter().map(take).collect()
}

/// One run of a script.
struct Run<'a, S> {
    store: &'a S,
    model: Model,
    /// Granted and not yet settled.
    open: Vec<(Grant, Vec<Take>)>,
    now: Time,
    /// The latest that the wall clock has shown.
    latest: u64,
    last: u128,
}

/// Plays a script on a new store.
pub async fn follow(store: &impl Store, script: &[Step]) {
    let now = Time { steady: BEGIN * 1_000_000_000, unix: BEGIN };
    let mut run = Run { store, model: Model::default(), open: Vec::new(), now, latest: now.unix, last: 0 };
    // Of a second what is not yet whole on the wall clock.
    let mut rest = Duration::ZERO;
    for step in script {
        match step {
            Step::Reserve(wishes) => run.reserve(takes(wishes)).await,
            Step::Settle { which, quarters } => run.settle(which, Some(quarters)).await,
            Step::Abort(which) => run.settle(which, None).await,
            Step::Crash(which) => run.crash(which).await,
            Step::Pass(time) => {
                rest += *time;
                run.now.steady += u64::try_from(time.as_nanos()).expect("short");
                run.now.unix += rest.as_secs();
                rest -= secs(rest.as_secs());
            }
            Step::Jump(by) => {
                run.now.unix = run.now.unix.saturating_add_signed(*by).max(run.latest.saturating_sub(3_600));
            }
        }
        run.latest = run.latest.max(run.now.unix);
    }
    run.looks_the_same().await;
    for counter in 0..COUNTERS {
        run.held_its_bound(&takes(&[Wish { counter, amount: 0, ceiling: 4, posture: Posture::Enforce }])[0]);
    }
}

// === impl Run ===

impl<S: Store> Run<'_, S> {
    async fn reserve(&mut self, takes: Vec<Take>) {
        self.last += 1;
        let expected = self.model.reserve(self.last, &takes, self.now);
        let got = self.store.reserve(self.last, &takes, self.now).await;
        let said = match &got {
            Ok(grant) => {
                Expected::Granted(grant.taken.iter().map(|taken| (taken.amount, taken.bucket, taken.fit)).collect())
            }
            Err(refused) => Expected::Refused { take: refused.take, wait: refused.wait },
        };
        assert_eq!(said, expected, "{takes:?} at {:?}", self.now);
        self.looks_the_same().await;
        if let Ok(grant) = got {
            self.open.push((grant, takes));
        }
    }

    /// So many quarters of each take; none gives all back.
    async fn settle(&mut self, which: &prop::sample::Index, quarters: Option<&[u64]>) {
        if self.open.is_empty() {
            return;
        }
        let (grant, takes) = self.open.swap_remove(which.index(self.open.len()));
        let share = |n: usize| quarters.map_or(0, |quarters| quarters[n % quarters.len()]);
        // What a shadow did not take costs nothing in the end.
        let is_out = |n: usize| grant.taken[n].fit == Fit::Over && takes[n].posture == Posture::Shadow;
        let amount = |n: usize| if is_out(n) { 0 } else { (grant.taken[n].amount * share(n)).div_ceil(4) };
        let amounts: Vec<u64> = (0..takes.len()).map(amount).collect();
        self.model.settle(grant.id, &takes, &amounts, self.now);
        self.store.settle(&settlement(&grant, &amounts), self.now).await;
        self.looks_the_same().await;
    }

    async fn crash(&mut self, which: &prop::sample::Index) {
        let Some(index) = (!self.open.is_empty()).then(|| which.index(self.open.len())) else { return };
        if self.open[index].1.iter().all(|take| take.limit.window != Window::Held) {
            self.open.swap_remove(index);
        }
    }

    /// Every counter has what the model has.
    async fn looks_the_same(&self) {
        for counter in 0..COUNTERS {
            let takes = takes(&[Wish { counter, amount: 0, ceiling: 4, posture: Posture::Enforce }]);
            let used = self.model.used(&takes[0], self.model.now(&takes[0], self.now));
            let standing = self.store.peek(&takes, self.now).await[0];
            assert_eq!(standing.left, takes[0].ceiling.saturating_sub(used), "{counter} at {:?}", self.now);
        }
    }

    /// In no stretch of a window's length, and in no unit of a calendar, more is charged than the highest ceiling and
    /// what calls came to beyond what they had reserved, those that were only observed left out.
    fn held_its_bound(&self, take: &Take) {
        let highest = take.limit.amount * 5 / 4;
        let mine: Vec<_> = self.model.charges.iter().filter(|charge| *charge.key == *take.key).collect();
        for first in &mine {
            let is_in = |at: Time, bucket: u64| match &take.limit.window {
                Window::Held => true,
                Window::Rolling(length) => {
                    let end = first.at.steady + u64::try_from(length.as_nanos()).expect("short");
                    (first.at.steady..=end).contains(&at.steady)
                }
                Window::Calendar(_) => bucket == first.bucket,
            };
            let together = mine.iter().filter(|charge| is_in(charge.at, charge.bucket) && charge.fit == Fit::Fits);
            let (charged, beyond) = together.fold((0, 0), |(charged, beyond), charge| {
                (charged + charge.amount, beyond + charge.amount.saturating_sub(charge.reserved))
            });
            assert!(charged <= highest + beyond, "{} from {:?}: {charged} > {highest} + {beyond}", take.key, first.at);
        }
    }
}
