//! Any order of reservations, settlements, crashes and ends: what the next process knows is what was charged, and a
//! reservation that was open is charged once, as it was reserved.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::limit::memory::Memory;
use crate::limit::take::{Posture, Take};

const KEYS: [&str; 3] = ["a", "b", "c"];

/// What happens next.
#[derive(Clone, Debug)]
enum Step {
    /// Of the hourly limit, the daily one, or both.
    Reserve { limits: u8, key: usize, amount: u64 },
    /// The grant of this number among those that are open.
    Settle { grant: usize, amount: u64 },
    /// Time passes, in seconds.
    Pass(u64),
    /// The process is killed, and another begins.
    Kill,
    /// It ends in good order, and another begins.
    End,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (1..4_u8, 0..KEYS.len(), 1..200_u64).prop_map(|(limits, key, amount)| Step::Reserve { limits, key, amount }),
        6 => (0..8_usize, 0..300_u64).prop_map(|(grant, amount)| Step::Settle { grant, amount }),
        2 => (1..300_u64).prop_map(Step::Pass),
        2 => Just(Step::Kill),
        1 => Just(Step::End),
    ]
}

/// One process after another, on one journal.
struct Life {
    directory: tempfile::TempDir,
    journal: Journal,
    memory: Memory,
    /// Times are those of the first start, and what has passed since.
    now: Time,
}

impl Life {
    fn begin(directory: tempfile::TempDir, now: Option<Time>) -> Life {
        let (journal, found) = Journal::open(&settings(directory.path()), 100, Counts::default()).expect("opened");
        let now = now.unwrap_or_else(|| found.clock.now());
        let memory = Memory::new(100);
        for spend in &found.counters {
            assert!(memory.restore(&spend.limit, &spend.key, &spend.charges, spend.end, now));
        }
        Life { directory, journal, memory, now }
    }

    /// What a process that is killed leaves is what is in the page cache.
    fn kill(self) -> Life {
        let directory = tempfile::tempdir().expect("a directory");
        let file = |directory: &tempfile::TempDir| directory.path().join("limits.journal");
        std::fs::copy(file(&self.directory), file(&directory)).expect("copied");
        Life::begin(directory, Some(self.now))
    }

    fn end(self) -> Life {
        self.journal.close();
        drop(self.journal);
        Life::begin(self.directory, Some(self.now))
    }

    fn reserve(&self, takes: &[Take]) -> Option<Grant> {
        let grant = self.memory.reserve(1, takes, self.now).ok()?;
        if let Some(writing) = self.journal.reserve(&grant) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
            assert!(runtime.block_on(writing.is_kept()));
        }
        Some(grant)
    }

    fn settle(&self, grant: Grant, amount: u64) {
        let settlement = Settlement { amounts: vec![amount; grant.taken.len()], grant };
        self.memory.settle(&settlement, self.now);
        self.journal.settle(&settlement);
        self.journal.flush();
    }
}

type Model = BTreeMap<(usize, usize), BTreeMap<u64, u64>>;

/// What is used, by the model: of a window nothing is lost but what has left it.
fn used(model: &Model, limit: usize, window: &Window, key: usize, now: Time) -> u64 {
    let charges = model.get(&(limit, key)).into_iter().flatten();
    charges.filter(|(bucket, _)| !window.end(**bucket).is_past(now)).map(|(_, amount)| amount).sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_was_charged_is_known_to_the_next_process(steps in prop::collection::vec(step(), 1..60)) {
        let limits = [hourly(), daily()];
        let mut life = Life::begin(tempfile::tempdir().expect("a directory"), None);
        let (mut model, mut open): (Model, Vec<Grant>) = (Model::new(), Vec::new());
        let index = |limit: &Limit| limits.iter().position(|known| known.id == limit.id).expect("known");
        for step in steps {
            match step {
                Step::Reserve { limits: which, key, amount } => {
                    let chosen = limits.iter().enumerate().filter(|(n, _)| which >> n & 1 == 1);
                    let take = |(_, limit): (usize, &Arc<Limit>)| Take {
                        limit: limit.clone(), key: KEYS[key].into(), ceiling: 1_000, amount, posture: Posture::Enforce,
                    };
                    let takes: Vec<Take> = chosen.map(take).collect();
                    let fits = takes.iter().all(|take| {
                        used(&model, index(&take.limit), &take.limit.window, key, life.now) + amount <= 1_000
                    });
                    let grant = life.reserve(&takes);
                    prop_assert_eq!(grant.is_some(), fits);
                    for taken in grant.iter().flat_map(|grant| &grant.taken) {
                        *model.entry((index(&taken.limit), key)).or_default().entry(taken.bucket).or_default() += amount;
                    }
                    open.extend(grant);
                }
                Step::Settle { grant, amount } if grant < open.len() => {
                    let grant = open.swap_remove(grant);
                    for taken in &grant.taken {
                        let key = KEYS.iter().position(|key| **key == *taken.key).expect("known");
                        let charged = model.entry((index(&taken.limit), key)).or_default().entry(taken.bucket);
                        charged.and_modify(|charged| *charged = *charged - taken.amount + amount);
                    }
                    life.settle(grant, amount);
                }
                Step::Settle { .. } => {}
                Step::Pass(secs) => {
                    life.now = Time { steady: life.now.steady + secs * 1_000_000_000, unix: life.now.unix + secs };
                }
                Step::Kill | Step::End => {
                    life = if matches!(step, Step::Kill) { life.kill() } else { life.end() };
                    // Nobody settles these any more.
                    open.clear();
                }
            }
            for (n, limit) in limits.iter().enumerate() {
                for (key, name) in KEYS.iter().enumerate() {
                    let (limit, key_) = (limit.clone(), (*name).into());
                    let look = Take { limit, key: key_, ceiling: 1 << 40, amount: 0, posture: Posture::Enforce };
                    let window = look.limit.window.clone();
                    let left = life.memory.peek(&[look], life.now)[0].left;
                    prop_assert_eq!((1 << 40) - left, used(&model, n, &window, key, life.now), "{} of {}", name, n);
                }
            }
        }
    }
}
