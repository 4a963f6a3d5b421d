//! What is kept, given up and counted, whatever comes in whatever order.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::extproc::PoolLimits;
use crate::extproc::pool::Held;
use crate::telemetry::Metrics;

const MOST: usize = 1000;

fn pool() -> Arc<Pool> {
    Pool::new(PoolLimits { max_exchanges: 1, max_buffered: MOST }, Arc::new(Metrics::new()))
}

fn body(size: usize) -> Bytes {
    Bytes::from(vec![b'x'; size])
}

/// What the proxy and the provider do, by the place of an exchange.
#[derive(Clone, Debug)]
enum Step {
    Keep(usize),
    /// The answer of one has begun.
    Forget(usize),
    /// A body of this size comes, and is held if there is room for it.
    Hold(usize),
    Release(usize),
    Attempt(usize),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..400_usize).prop_map(Step::Keep),
        1 => any::<usize>().prop_map(Step::Forget),
        3 => (0..1200_usize).prop_map(Step::Hold),
        2 => any::<usize>().prop_map(Step::Release),
        1 => any::<usize>().prop_map(Step::Attempt),
    ]
}

/// Sizes of what is kept, oldest first, and of what is held besides.
#[derive(Default)]
struct Model {
    kept: Vec<(usize, Original)>,
    held: Vec<Held>,
    held_bytes: Vec<usize>,
}

impl Model {
    fn total(&self) -> usize {
        self.kept.iter().map(|(size, _)| size).chain(&self.held_bytes).sum()
    }

    /// What has to be kept after room was made for `more`, and whether there is room then.
    fn makes_room(&mut self, more: usize) -> bool {
        let least: usize = self.held_bytes.iter().sum();
        if least + more > MOST {
            return false;
        }
        while self.total() + more > MOST {
            // Of two of a size the older.
            let largest = self.kept.iter().map(|(size, _)| *size).max().unwrap_or_default();
            let at = self.kept.iter().position(|(size, _)| *size == largest).expect("something is kept");
            let (_, gone) = self.kept.remove(at);
            assert!(gone.to_write_again().is_none(), "it was given up");
        }
        true
    }
}

fn at<T>(list: &[T], place: usize) -> Option<usize> {
    place.checked_rem(list.len())
}

proptest! {
    #[test]
    fn bodies_that_come_go_before_originals_and_no_more_of_these_go_than_must(steps in vec(any_step(), 0..60)) {
        let pool = pool();
        let mut model = Model::default();
        for step in steps {
            match step {
                Step::Keep(size) if pool.make_room(size) => {
                    prop_assert!(model.makes_room(size));
                    model.kept.push((size, pool.keep(body(size))));
                }
                Step::Hold(size) => {
                    let fits = pool.make_room(size);
                    prop_assert_eq!(fits, model.makes_room(size));
                    if fits {
                        model.held.push(Held::new(&pool, size));
                        model.held_bytes.push(size);
                    }
                }
                Step::Keep(size) => prop_assert!(!model.makes_room(size)),
                Step::Forget(place) => drop(at(&model.kept, place).map(|at| model.kept.remove(at))),
                Step::Release(place) => if let Some(at) = at(&model.held, place) {
                    model.held.remove(at);
                    model.held_bytes.remove(at);
                },
                Step::Attempt(place) => if let Some(at) = at(&model.kept, place) {
                    let (size, written) = (model.kept[at].0, model.kept[at].1.to_write_again());
                    prop_assert_eq!(written.is_some(), model.makes_room(size));
                    prop_assert!(written.is_none_or(|body| body.len() == size));
                },
            }
            prop_assert_eq!(pool.buffered(), model.total() as u64);
            prop_assert!(model.total() <= MOST);
        }
        drop(model);
        prop_assert_eq!(pool.buffered(), 0);
    }
}

#[test]
fn bodies_that_come_at_once_give_up_no_more_than_they_need() {
    let pool = pool();
    let originals: Vec<Original> = (0..10).map(|_| pool.keep(body(MOST / 10))).collect();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert!(pool.make_room(MOST / 10)));
        }
    });
    let left = pool.originals().with(|kept| kept.by_size.len());
    assert!((6..10).contains(&left), "{left}");
    assert_eq!(pool.buffered(), (left * MOST / 10) as u64);
    drop(originals);
    assert_eq!(pool.buffered(), 0);
}
