//! Slices of counters that are in several slots of a Cluster: a call takes some of what is held and asks several
//! masters for the rest, all or nothing.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use weir::limit::lease::Leases;
use weir::limit::redis::{Clock, Redis, Terms};
use weir::limit::take::{Grant, Refused, Settlement, Take};
use weir::limit::window::Window;
use weir::limit::{Counting, Limit};

use super::cluster::{on_each, options, prefix};
use super::leased::Leased;
use super::{PATIENCE, id, left, ready};
use crate::support::cluster::Cluster;

const HOUR: Window = Window::Rolling(Duration::from_secs(3_600));
const AMOUNT: u64 = 1_000;
/// Calls before there are slices.
const BEFORE: u64 = 20;

mod on_three {
    use super::{Cluster, Leased, prefix};

    behaviours!(Leased::at(Cluster::shared().urls(), &prefix()));
}

/// One that holds slices of two counters on two masters, of each at most a quarter, and takes of these two.
async fn holding(name: &str) -> (Leases, Vec<Take>) {
    let cluster = Cluster::shared();
    let clock = Clock { store: Some(Arc::new(AtomicU64::new(1_790_000_000_000_000))), skew: 0 };
    let terms = Terms { clock, ..Terms::default() };
    let redis = Redis::connect_with(options(cluster, &prefix()), terms).expect("usable options");
    let leases = Leases::by_hand(ready(redis).await, 1);
    let leased = |limit: &Arc<Limit>| Limit { counting: Counting::Fleet { lease: 50 }, ..(**limit).clone() };
    let limits = on_each(cluster, name, AMOUNT, HOUR);
    let takes: Vec<Take> = limits[..2].iter().map(|limit| super::take(&Arc::new(leased(limit)), 1)).collect();
    for _ in 0..BEFORE {
        let grant = leases.reserve(id(), &takes).await.expect("there is room");
        assert_eq!(slices(&grant), [false, false]);
    }
    leases.turn().await;
    for take in &takes {
        let held = AMOUNT - BEFORE - left(leases.redis(), take).await;
        assert!((1..=AMOUNT / 4).contains(&held), "{held}");
    }
    (leases, takes)
}

fn with(takes: &[Take], amounts: [u64; 2]) -> Vec<Take> {
    takes.iter().zip(amounts).map(|(take, amount)| Take { amount, ..take.clone() }).collect()
}

/// Which of the takes were made of what is held.
fn slices(grant: &Grant) -> Vec<bool> {
    grant.taken.iter().map(|taken| taken.slice.is_some()).collect()
}

/// What is left in the end, when nothing is held any more.
async fn rest(leases: &Leases, takes: &[Take]) -> [u64; 2] {
    assert!(leases.drain(PATIENCE).await);
    assert_eq!(leases.redis().dropped(), 0);
    [left(leases.redis(), &takes[0]).await, left(leases.redis(), &takes[1]).await]
}

#[tokio::test]
async fn counters_of_two_slots_are_taken_of_what_is_held() {
    let (leases, takes) = holding("held").await;
    for calls in 1..=20 {
        let grant = leases.reserve(id(), &takes).await.expect("there is room");
        assert_eq!(slices(&grant), [true, true]);
        let known = leases.peek(&takes).await.expect("the store answers");
        assert_eq!(known.iter().map(|known| known.left).collect::<Vec<_>>(), [AMOUNT - BEFORE - calls; 2]);
        leases.settle_later(Settlement { grant, amounts: vec![1, 0] });
        leases.settle_later(Settlement {
            grant: leases.reserve(id(), &with(&takes, [0, 1])).await.expect("there is room"),
            amounts: vec![0, 1],
        });
    }
    assert_eq!(rest(&leases, &takes).await, [AMOUNT - BEFORE - 20; 2]);
}

/// The other counter's slice bears its take.
#[tokio::test]
async fn a_call_that_no_slice_bears_asks_the_slot_alone_that_it_needs() {
    for (name, amounts) in [("first", [600, 1]), ("second", [1, 600])] {
        let (leases, takes) = holding(name).await;
        let takes = with(&takes, amounts);
        let grant = leases.reserve(id(), &takes).await.expect("there is room");
        assert_eq!(slices(&grant), amounts.map(|amount| amount == 1));
        let rows: Vec<_> = grant.taken.iter().map(|taken| (&taken.key, taken.amount)).collect();
        assert_eq!(rows, takes.iter().map(|take| (&take.key, take.amount)).collect::<Vec<_>>());
        let amounts = amounts.map(|amount| if amount == 1 { 1 } else { 400 });
        leases.settle_later(Settlement { grant, amounts: amounts.to_vec() });
        assert_eq!(rest(&leases, &takes).await, amounts.map(|amount| AMOUNT - BEFORE - amount));
    }
}

/// One slot refuses for what this replica holds of it: what the other has granted meanwhile is taken back, and both
/// are asked again. Where that slot refuses all the same, the other has lost nothing.
#[tokio::test]
async fn what_one_slot_refuses_is_taken_back_from_the_other() {
    for (name, refusing) in [("refused/a", 0), ("refused/b", 1)] {
        let (leases, takes) = holding(name).await;
        let mut amounts = [700; 2];
        amounts[refusing] = AMOUNT - BEFORE;
        let grant = leases.reserve(id(), &with(&takes, amounts)).await.expect("it fits without the slices");
        assert_eq!(slices(&grant), [false, false]);
        leases.settle_later(Settlement { grant, amounts: amounts.to_vec() });
        let expected = amounts.map(|amount| AMOUNT - BEFORE - amount);
        assert_eq!(rest(&leases, &takes).await, expected);
        for _ in 0..3 {
            let Refused { take, .. } = leases.reserve(id(), &takes).await.expect_err("one is used up");
            assert_eq!(take, refusing);
        }
        assert_eq!(rest(&leases, &takes).await, expected);
    }
}
