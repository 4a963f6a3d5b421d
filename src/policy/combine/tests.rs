//! Which of several documents count, against the table in the module's head.

use proptest::prelude::*;

use super::super::select::TargetRef;
use super::*;

fn caller() -> Principal {
    Principal { namespace: "shop".into(), team: Some("build".into()), ..Principal::default() }
}

const HERE: Place<'static> = Place { route: Some("chat"), rule: Some("default"), backend: "openai" };

fn route(rule: Option<&str>) -> TargetRef {
    TargetRef::Route { name: "chat".into(), rule: rule.map(Into::into) }
}

/// The numbers of the table.
fn document(number: usize, mode: Mode) -> Named {
    let targets = match number {
        1 | 2 => vec![TargetRef::Backend("openai".into()), route(Some("default"))],
        3 | 4 => vec![route(None)],
        5 | 6 => vec![TargetRef::Backend("openai".into()), route(Some("other"))],
        _ => Vec::new(),
    };
    let namespace = (number % 2 == 1).then(|| "shop".into());
    let scope = Scope { id: number.to_string().into(), namespace, mode, targets, ..Scope::default() };
    Named { scope, names: Vec::new() }
}

fn ids<'a>(documents: impl Iterator<Item = &'a Named>) -> Vec<String> {
    documents.map(|document| document.scope.id.to_string()).collect()
}

#[test]
fn the_lowest_number_of_the_table_wins_in_any_order() {
    for one in 1..=8 {
        for other in 1..=8 {
            let both = Spaces::from(vec![document(one, Mode::Enforce), document(other, Mode::Enforce)]);
            let winner = replace(&both, &caller(), HERE).unwrap();
            assert_eq!(winner.scope.id.parse(), Ok(one.min(other)));
            let caller = caller();
            let said: Vec<_> = standings(both.iter(), &caller, HERE).map(|(_, standing)| standing).collect();
            let expected = match one.cmp(&other) {
                std::cmp::Ordering::Less => [Standing::Applies, Standing::Replaced(&both[0].scope)],
                std::cmp::Ordering::Equal => [Standing::Applies, Standing::Conflicted(&both[0].scope)],
                std::cmp::Ordering::Greater => [Standing::Replaced(&both[1].scope), Standing::Applies],
            };
            assert_eq!(said, expected, "{one} {other}");
            assert_eq!(ids(accumulate(&both, &caller).at(HERE)), [one.to_string(), other.to_string()]);
        }
    }
}

#[test]
fn a_document_in_shadow_takes_nothing_away() {
    let both = Spaces::from(vec![document(8, Mode::Enforce), document(1, Mode::Shadow), document(7, Mode::Shadow)]);
    let caller = caller();
    assert_eq!(replace(&both, &caller, HERE), Some(&both[0]));
    let said: Vec<_> = standings(both.iter(), &caller, HERE).map(|(_, standing)| standing).collect();
    assert_eq!(said, [Standing::Applies, Standing::Applies, Standing::Replaced(&both[1].scope)]);
    assert_eq!(replace(&both[1..].to_vec().into(), &caller, HERE), None);
}

proptest! {
    /// What does not speak for a call changes nothing of it, and one document at most is enforced.
    #[test]
    fn one_counts_of_those_that_speak(
        documents in prop::collection::vec((1..=8usize, any::<bool>(), 0..4u8), 0..8),
    ) {
        let build = |&(number, shadow, reach): &(usize, bool, u8)| {
            let mut built = document(number, if shadow { Mode::Shadow } else { Mode::Enforce });
            match reach {
                0 => built.scope.namespace = Some("other".into()),
                1 => built.scope.targets = vec![TargetRef::Backend("groq".into())],
                _ => {}
            }
            built
        };
        let all: Spaces<Named> = documents.iter().map(build).collect();
        let speaking: Spaces<Named> = documents.iter().filter(|row| row.2 > 1).map(build).collect();
        let caller = caller();
        prop_assert_eq!(replace(&all, &caller, HERE), replace(&speaking, &caller, HERE));
        prop_assert_eq!(ids(accumulate(&all, &caller).at(HERE)), ids(speaking.iter()));
        let enforced = standings(all.iter(), &caller, HERE).filter(|(document, standing)| {
            *standing == Standing::Applies && document.scope.mode == Mode::Enforce
        });
        prop_assert_eq!(enforced.map(|(document, _)| document).next(), replace(&all, &caller, HERE));
        for ((document, standing), row) in standings(all.iter(), &caller, HERE).zip(&documents) {
            prop_assert_eq!(matches!(standing, Standing::Unmet), row.2 < 2, "{:?}", document);
        }
    }
}
