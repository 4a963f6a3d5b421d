//! The sharded store under a scheduler that decides who gets each lock next: whatever the order, callers that take the
//! same counters in other orders wait for nobody for ever, never have more than there is, and leave the sums right.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use shuttle::sync::{Mutex, MutexGuard};
use shuttle::thread;
use weir::limit::Limit;
use weir::limit::memory::Memory;
use weir::limit::memory::lock::{Lock, Locks};
use weir::limit::take::Take;

use super::{at, held, rolling, secs, settlement, take};

/// Orders that are tried of each scene.
const ORDERS: usize = 1_000;
/// Room for so many keys makes four shards.
const ROOM: usize = 4_096;

/// Locks at which the scheduler may let another go on.
struct Scheduled;

struct Turn<T>(Mutex<T>);

impl Locks for Scheduled {
    type Lock<T: Send> = Turn<T>;
}

impl<T> Lock<T> for Turn<T> {
    type Guard<'a>
        = MutexGuard<'a, T>
    where
        T: 'a;

    fn new(value: T) -> Self {
        Turn(Mutex::new(value))
    }

    fn hold(&self) -> MutexGuard<'_, T> {
        self.0.lock().expect("no panic")
    }
}

fn of_key(limit: &Arc<Limit>, key: u64, amount: u64) -> Take {
    Take { key: format!("{}|{key}", limit.id).into(), amount, ..take(limit, amount) }
}

/// What all callers have at a time. It is not the scheduler's: nobody else goes on between a decision and this.
#[derive(Default)]
struct Had([AtomicU64; 3]);

// === impl Had ===

impl Had {
    fn more(&self, counter: u64, amount: u64, most: u64) {
        let counter = &self.0[usize::try_from(counter).expect("small")];
        let now = counter.fetch_add(amount, Ordering::SeqCst) + amount;
        assert!(now <= most, "{now} of {most}");
    }

    fn less(&self, counter: u64, amount: u64) {
        self.0[usize::try_from(counter).expect("small")].fetch_sub(amount, Ordering::SeqCst);
    }
}

/// Each of four takes three counters of a limit in an order of its own, and one of another; what does not fit takes
/// nothing, and what is settled is free again.
fn takers_in_other_orders() {
    let (tokens, calls) = (rolling("tokens", 10, secs(60)), held("calls", 2));
    let (memory, had) = (Arc::new(Memory::<Scheduled>::with_locks(ROOM)), Arc::new(Had::default()));
    let spent = Arc::new(Had::default());
    let orders = [[0, 1, 2], [2, 1, 0], [1, 0, 2], [1, 2, 0]];
    let threads = orders.map(|order| {
        let (tokens, calls, memory) = (tokens.clone(), calls.clone(), Arc::clone(&memory));
        let (had, spent) = (Arc::clone(&had), Arc::clone(&spent));
        thread::spawn(move || {
            for second in 0..2 {
                let takes = order.map(|key| of_key(&tokens, key, 4));
                let all = [&takes[..], &[of_key(&calls, 0, 1)]].concat();
                let Ok(grant) = memory.reserve(u128::from(second), &all, at(secs(second))) else { continue };
                order.iter().for_each(|key| had.more(*key, 4, 10));
                let amounts = [1, 0, 2, 0];
                for (key, amount) in order.iter().zip(amounts) {
                    had.less(*key, 4 - amount);
                    spent.more(*key, amount, 10);
                }
                memory.settle(&settlement(&grant, &amounts), at(secs(second)));
            }
        })
    });
    threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
    for key in 0..3 {
        let spent = spent.0[usize::try_from(key).expect("small")].load(Ordering::SeqCst);
        let left = memory.peek(&[of_key(&tokens, key, 0)], at(secs(2)))[0].left;
        assert_eq!(left, 10 - spent);
    }
    assert_eq!(memory.peek(&[of_key(&calls, 0, 0)], at(secs(2)))[0].left, 2);
}

/// While some call, one forgets what was used and one looks.
fn a_reset_among_takers() {
    let tokens = rolling("tokens", 10, secs(60));
    let memory = Arc::new(Memory::<Scheduled>::with_locks(ROOM));
    let caller = |keys: [u64; 2]| {
        let (tokens, memory) = (tokens.clone(), Arc::clone(&memory));
        thread::spawn(move || {
            for second in 0..3 {
                let takes = keys.map(|key| of_key(&tokens, key, 3));
                if let Ok(grant) = memory.reserve(u128::from(second), &takes, at(secs(second))) {
                    memory.settle(&settlement(&grant, &[5, 0]), at(secs(second)));
                }
            }
        })
    };
    let callers = [caller([0, 1]), caller([1, 0])];
    let (other, id) = (Arc::clone(&memory), tokens.id.clone());
    let reset = thread::spawn(move || other.reset(&id, None, at(secs(3))).keys);
    for row in memory.list(None, 10, at(secs(3))) {
        // A call comes to two more than it took.
        assert!(row.used <= 10 + 2 * 2, "{row:?}");
    }
    callers.into_iter().for_each(|caller| caller.join().expect("no panic"));
    assert!(reset.join().expect("no panic") <= 2);
    memory.reset(&tokens.id, None, at(secs(4)));
    for key in 0..2 {
        assert_eq!(memory.peek(&[of_key(&tokens, key, 0)], at(secs(4)))[0].left, 10, "nothing is left of it");
    }
}

#[test]
fn takers_in_other_orders_leave_the_sums_right() {
    shuttle::check_random(takers_in_other_orders, ORDERS);
    shuttle::check_pct(takers_in_other_orders, ORDERS, 3);
}

#[test]
fn a_reset_among_takers_leaves_nothing_behind() {
    shuttle::check_random(a_reset_among_takers, ORDERS);
    shuttle::check_pct(a_reset_among_takers, ORDERS, 3);
}
