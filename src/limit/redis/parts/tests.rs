//! What parts come to together.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::limit::take::{Fit, Posture};
use crate::limit::window::Window;
use crate::limit::{Limit, Unit};

const MINUTE: Duration = Duration::from_secs(60);

/// What a part may say: how many takes it has, and `g`ranted, `r`efused after so many seconds, refused for `e`ver,
/// `l`ate, `s`hut, or an `a`nswer that is an error.
type Said = (char, u64);

fn take(place: usize) -> Take {
    let limit = Limit::new(&format!("p/{place}"), Unit::Requests, 10, Window::Rolling(MINUTE));
    Take { limit: Arc::new(limit), key: format!("p/{place}").into(), ceiling: 10, amount: 3, posture: Posture::Enforce }
}

fn takes() -> Vec<Take> {
    (0..6).map(take).collect()
}

fn standing(left: u64) -> Standing {
    Standing { ceiling: 10, left, reset: MINUTE }
}

fn part(places: &[usize], said: Said) -> Part<'static> {
    let mut part = Part::divide(vec![places.to_vec()], &takes()).remove(0);
    let row = |take: &Take| Taken { amount: 3, fit: Fit::Fits, standing: standing(4), ..Taken::unchecked(7, take) };
    let refused = |wait| Refused { take: places.len() - 1, wait, standings: vec![standing(2); places.len()] };
    part.said = match said {
        ('g', _) => Ok(Ok(Grant { id: 7, taken: part.takes.iter().map(row).collect() })),
        ('r', wait) => Ok(Err(refused(Some(Duration::from_secs(wait))))),
        ('e', _) => Ok(Err(refused(None))),
        ('l', _) => Err(Down::Late(MINUTE)),
        ('a', _) => Err(Down::Answer("it answers X".into())),
        _ => Err(Down::Shut),
    };
    part
}

fn joined(said: [Said; 3]) -> Joined<'static> {
    let places: [&[usize]; 3] = [&[0, 3], &[1], &[2, 4, 5]];
    Joined::of(7, 6, places.into_iter().zip(said).map(|(places, said)| part(places, said)).collect())
}

fn undone<'a>(joined: &'a Joined<'_>) -> Vec<&'a str> {
    joined.undone.iter().flat_map(|takes| takes.iter()).map(|take| &*take.key).collect()
}

#[test]
fn the_tightest_refusal_is_told_and_the_rest_taken_back() {
    for (said, take, wait, taken_back) in [
        ([('g', 0), ('r', 5), ('g', 0)], 1, Some(5), &["p/0", "p/3", "p/2", "p/4", "p/5"][..]),
        ([('r', 9), ('r', 5), ('l', 0)], 3, Some(9), &["p/2", "p/4", "p/5"]),
        ([('r', 9), ('e', 0), ('r', 20)], 1, None, &[]),
        ([('r', 9), ('s', 0), ('r', 9)], 3, Some(9), &[]),
        ([('a', 0), ('r', 1), ('g', 0)], 1, Some(1), &["p/0", "p/3", "p/2", "p/4", "p/5"]),
    ] {
        let joined = joined(said);
        let Ok(Err(refused)) = &joined.answer else { panic!("{said:?}: {:?}", joined.answer) };
        assert_eq!((refused.take, refused.wait.map(|wait| wait.as_secs())), (take, wait), "{said:?}");
        assert_eq!(undone(&joined), taken_back, "{said:?}");
        for (place, of) in [(0, 0), (1, 1), (2, 2), (3, 0), (4, 2), (5, 2)] {
            let told = match said[of].0 {
                'g' => standing(7),
                'r' | 'e' => standing(2),
                _ => Standing::UNKNOWN,
            };
            assert_eq!(refused.standings[place], told, "{said:?} {place}");
        }
    }
}

proptest! {
    /// A grant has a row for each take, in order, and those that are not known are unchecked. What is taken and not
    /// granted is taken back, and nothing else that is known.
    #[test]
    fn nothing_is_left_over(said in prop::array::uniform3((prop::sample::select(vec!['g', 'r', 'e', 'l', 's', 'a']), 0..9_u64))) {
        let joined = joined(said);
        let has = |what: &str| said.iter().any(|(said, _)| what.contains(*said));
        match &joined.answer {
            Ok(Ok(grant)) => {
                prop_assert!(has("g") && !has("re"));
                let keys: Vec<&str> = grant.taken.iter().map(|taken| &*taken.key).collect();
                prop_assert_eq!(keys, ["p/0", "p/1", "p/2", "p/3", "p/4", "p/5"]);
                for (place, of) in [(0, 0), (1, 1), (2, 2), (3, 0), (4, 2), (5, 2)] {
                    let is_known = said[of].0 == 'g';
                    prop_assert_eq!(grant.taken[place].fit == Fit::Fits, is_known);
                    prop_assert_eq!(grant.taken[place].amount, if is_known { 3 } else { 0 });
                }
            }
            Ok(Err(_)) => prop_assert!(has("re")),
            Err(_) => prop_assert!(!has("gre")),
        }
        let is_granted = matches!(joined.answer, Ok(Ok(_)));
        for (of, first) in [(0, "p/0"), (1, "p/1"), (2, "p/2")] {
            let is_undone = "la".contains(said[of].0) || said[of].0 == 'g' && !is_granted;
            prop_assert_eq!(undone(&joined).contains(&first), is_undone);
        }
    }
}

#[test]
fn what_was_taken_in_vain_is_told_as_not_taken() {
    let row = |amount, left, ceiling| {
        let standing = Standing { ceiling, left, reset: MINUTE };
        Taken { amount, standing, ..Taken::unchecked(7, &take(0)) }
    };
    for (rows, left, reset) in [
        (vec![row(3, 7, 10)], 10, Duration::ZERO),
        (vec![row(3, 6, 10)], 9, MINUTE),
        // Two of one counter.
        (vec![row(3, 3, 10), row(3, 3, 10)], 9, MINUTE),
        // More than there was.
        (vec![row(12, 0, 10)], 0, MINUTE),
    ] {
        let grant = Grant { id: 7, taken: rows };
        let was = untaken(&grant.taken[0], &grant);
        assert_eq!((was.left, was.reset), (left, reset), "{grant:?}");
    }
}
