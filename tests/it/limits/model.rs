//! Limits added up by hand: every charge by itself, asked one by one whether it still counts. It has no sums, and of
//! the store's own code it uses none.

use std::collections::HashMap;
use std::time::Duration;

use weir::limit::take::{Fit, Posture, Take};
use weir::limit::window::{Time, Unit as CalendarUnit, Window};

/// What all calls so far have charged.
#[derive(Default)]
pub struct Model {
    pub charges: Vec<Charge>,
    /// By key, the newest bucket that was seen.
    newest: HashMap<String, u64>,
}

/// One take of one call.
#[derive(Clone, Debug)]
pub struct Charge {
    pub grant: u128,
    pub take: usize,
    pub key: String,
    pub bucket: u64,
    /// When it was admitted.
    pub at: Time,
    /// What it was admitted with, and what is charged now.
    pub reserved: u64,
    pub amount: u64,
    pub fit: Fit,
}

/// What a reservation has to come to.
#[derive(Debug, PartialEq, Eq)]
pub enum Expected {
    /// Amount, bucket and fit of each take.
    Granted(Vec<(u64, u64, Fit)>),
    Refused {
        take: usize,
        wait: Option<Duration>,
    },
}

/// The length of a part, in nanoseconds. All windows here are whole seconds times sixty.
fn part(length: Duration) -> u64 {
    length.as_secs() / 60 * 1_000_000_000
}

fn bucket(window: &Window, now: Time) -> u64 {
    match window {
        Window::Held => 0,
        Window::Rolling(length) => now.steady / part(*length),
        Window::Calendar(calendar) => now.unix - now.unix % seconds(calendar.unit),
    }
}

/// Only UTC's, whose units are even. That others are what they should be is tested where calendars are.
fn seconds(unit: CalendarUnit) -> u64 {
    match unit {
        CalendarUnit::Hour => 3_600,
        CalendarUnit::Day => 86_400,
        unit => unreachable!("{unit:?} is not modelled"),
    }
}

/// Whether a charge of one bucket counts when time stands in another.
fn counts(window: &Window, bucket: u64, current: u64) -> bool {
    match window {
        Window::Held => true,
        Window::Rolling(_) => current - bucket <= 60,
        Window::Calendar(_) => current == bucket,
    }
}

// === impl Model ===

impl Model {
    pub fn reserve(&mut self, id: u128, takes: &[Take], now: Time) -> Expected {
        let mut fits: Vec<bool> = Vec::new();
        let mut refused: Option<(usize, Option<Duration>)> = None;
        for (n, take) in takes.iter().enumerate() {
            let current = self.now(take, now);
            // Time moves on for a counter that exists.
            if self.newest.contains_key(&*take.key) {
                self.newest.insert(take.key.to_string(), current);
            }
            let beside: u64 = (0..n)
                .filter(|m| takes[*m].key == take.key && (fits[*m] || takes[*m].posture != Posture::Shadow))
                .map(|m| takes[m].amount)
                .sum();
            let fit = |current| self.used(take, current) + beside + take.amount <= take.ceiling;
            fits.push(fit(current));
            if !fit(current) && take.posture == Posture::Enforce {
                let wait = self.wait(&take.limit.window, current, now, fit);
                let is_longer = |than: Option<Duration>| than.is_some() && (wait.is_none() || wait > than);
                if refused.is_none_or(|(_, longest)| is_longer(longest)) {
                    refused = Some((n, wait));
                }
            }
        }
        if let Some((take, wait)) = refused {
            return Expected::Refused { take, wait };
        }
        let taken = takes.iter().zip(fits).enumerate().map(|(n, (take, fits))| self.take(id, n, take, fits, now));
        Expected::Granted(taken.collect())
    }

    fn take(&mut self, id: u128, n: usize, take: &Take, fits: bool, now: Time) -> (u64, u64, Fit) {
        let bucket = self.now(take, now);
        let fit = if fits { Fit::Fits } else { Fit::Over };
        let amount = if fits || take.posture != Posture::Shadow { take.amount } else { 0 };
        if amount > 0 {
            self.newest.insert(take.key.to_string(), bucket);
        }
        let key = take.key.to_string();
        self.charges.push(Charge { grant: id, take: n, key, bucket, at: now, reserved: amount, amount, fit });
        (amount, bucket, fit)
    }

    pub fn settle(&mut self, grant: u128, takes: &[Take], amounts: &[u64], now: Time) {
        for (n, (take, amount)) in takes.iter().zip(amounts).enumerate() {
            let charged = |charge: &Charge| charge.grant == grant && charge.take == n;
            // What came to what was taken changes nothing, and no time is told.
            let is_same = self.charges.iter().any(|charge| charged(charge) && charge.amount == *amount);
            if is_same && take.limit.window != Window::Held {
                continue;
            }
            let current = self.now(take, now);
            if self.newest.contains_key(&*take.key) {
                self.newest.insert(take.key.to_string(), current);
            }
            let charge = self.charges.iter_mut().find(|charge| charged(charge));
            let charge = charge.expect("it was granted");
            if take.limit.window == Window::Held {
                charge.amount = 0;
            } else if counts(&take.limit.window, charge.bucket, current) {
                charge.amount = *amount;
            }
        }
    }

    /// What is used of a take's counter when time stands in `current`.
    pub fn used(&self, take: &Take, current: u64) -> u64 {
        let mine = self.charges.iter().filter(|charge| *charge.key == *take.key);
        mine.filter(|charge| counts(&take.limit.window, charge.bucket, current)).map(|charge| charge.amount).sum()
    }

    /// The bucket in which time stands for a key: it never goes back.
    pub fn now(&self, take: &Take, now: Time) -> u64 {
        bucket(&take.limit.window, now).max(self.newest.get(&*take.key).copied().unwrap_or(0))
    }

    /// Goes on from bucket to bucket until it fits.
    fn wait(&self, window: &Window, current: u64, now: Time, fit: impl Fn(u64) -> bool) -> Option<Duration> {
        match window {
            Window::Held => None,
            Window::Rolling(length) => (current..=current + 61)
                .find(|bucket| fit(*bucket))
                .map(|bucket| Duration::from_nanos(bucket * part(*length) - now.steady)),
            Window::Calendar(calendar) => {
                let next = current + seconds(calendar.unit);
                fit(next).then(|| Duration::from_secs(next - now.unix))
            }
        }
    }
}
