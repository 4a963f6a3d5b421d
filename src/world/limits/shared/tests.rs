//! What is taken of a store and of the process together, and what becomes of its rows.

use std::sync::Arc;

use super::*;
use crate::limit::take::Posture;
use crate::limit::window::Window;
use crate::limit::{Ask, Counting, Limit, Settle, Spent, Unit};

const MINUTE: Window = Window::Rolling(Duration::from_secs(60));

fn take(id: &str, counting: Counting, unit: Unit, ceiling: u64) -> Take {
    let window = if unit == Unit::Concurrency { Window::Held } else { MINUTE };
    let limit = Arc::new(Limit { counting, ..Limit::new(id, unit, ceiling, window) });
    Take { limit, key: id.into(), ceiling, amount: 1, posture: Posture::Enforce }
}

fn own(id: &str, ceiling: u64) -> Take {
    take(id, Counting::Process, Unit::Requests, ceiling)
}

fn fleet(id: &str) -> Take {
    take(id, Counting::Fleet { lease: 0 }, Unit::Requests, 9)
}

fn left(limits: &Limits, takes: &[Take]) -> Vec<u64> {
    limits.memory.peek(takes, limits.clock.now()).iter().map(|standing| standing.left).collect()
}

#[tokio::test]
async fn what_no_store_says_is_unchecked_and_the_rest_is_taken() {
    let limits = Limits::default();
    let takes = vec![fleet("f/a"), own("p/a", 5), fleet("f/b"), own("p/b", 5)];
    let grant = limits.reserve(&Ask { takes: takes.clone() }).await.unwrap();
    let rows: Vec<_> = grant.taken.iter().map(|row| (&*row.limit.id, row.fit, row.amount)).collect();
    let (open, taken) = (Fit::Unchecked, Fit::Fits);
    assert_eq!(rows, [("f/a", open, 0), ("p/a", taken, 1), ("f/b", open, 0), ("p/b", taken, 1)]);
    let known: Vec<_> = grant.taken.iter().map(|row| row.standing.is_known()).collect();
    assert_eq!(known, [false, true, false, true]);
    assert!(grant.taken.iter().all(|row| row.grant == grant.id));
    let process = [takes[1].clone(), takes[3].clone()];
    assert_eq!(left(&limits, &process), [4, 4]);
    limits.settle(Settle { grant, guessed: Vec::new(), spent: Spent::Undone, uncounted: None });
    assert_eq!(left(&limits, &process), [5, 5]);
}

#[tokio::test]
async fn a_refusal_of_the_process_names_the_take_among_all() {
    let limits = Limits::default();
    let takes = vec![fleet("f/a"), own("p/a", 5), fleet("f/b"), own("p/b", 0)];
    let refused = limits.reserve(&Ask { takes: takes.clone() }).await.unwrap_err();
    assert_eq!(refused.take, 3);
    let told: Vec<_> = refused.standings.iter().map(|standing| standing.is_known().then_some(standing.left)).collect();
    assert_eq!(told, [None, Some(5), None, Some(0)]);
    assert_eq!(left(&limits, &[takes[1].clone()]), [5], "nothing is taken");
}

#[test]
fn a_refusal_of_the_store_names_the_take_among_all() {
    let takes = [own("p/a", 5), fleet("f/a"), own("p/b", 5), fleet("f/b")];
    let standings = vec![Standing { ceiling: 9, left: 3, reset: Duration::ZERO }; 2];
    let refused = widen(Refused { take: 1, wait: None, standings }, &takes, true);
    let told: Vec<_> = refused.standings.iter().map(|standing| standing.is_known().then_some(standing.left)).collect();
    assert_eq!((refused.take, told), (3, vec![None, Some(3), None, Some(3)]));
}

#[test]
fn rows_go_by_the_grant_under_which_they_were_taken() {
    let row = |grant, id: &str| Taken { grant, ..Taken::unchecked(grant, &fleet(id)) };
    let rows = [(row(1, "a"), 10), (row(1, "b"), 20), (row(2, "a"), 30), (row(1, "c"), 40)];
    let told: Vec<_> = by_grant(rows.into_iter()).into_iter().map(|one| (one.grant.id, one.amounts)).collect();
    assert_eq!(told, [(1, vec![10, 20, 40]), (2, vec![30])]);
}
