//! The orders that the proxy gets a route for, and the header that Weir writes for each.

use super::*;
use crate::target::{Choice, Retry, RuleName};

fn rule(choices: &[(usize, u32)], attempts: u32) -> Rule {
    let choice = |&(backend, weight): &(usize, u32)| Choice { backend, model: None, priority: 0, weight };
    Rule {
        name: RuleName::new(None, "chat", "default"),
        choices: choices.iter().map(choice).collect(),
        retry: Some(Arc::new(Retry { attempts, ..Retry::default() })),
        failover: Failover::PerAttempt,
        ..Rule::default()
    }
}

fn backends(names: &[&str]) -> Vec<Arc<Backend>> {
    names.iter().map(|name| Arc::new(crate::target::tests::backend(name, name, ""))).collect()
}

fn headers(rules: &[Rule]) -> Vec<String> {
    chains(rules.iter(), &backends(&["a", "b", "c"])).into_iter().map(|chain| chain.header).collect()
}

#[test]
fn each_order_stands_once_as_long_as_there_are_attempts() {
    assert_eq!(headers(&[rule(&[(0, 1), (1, 1)], 1)]), ["a,b", "b,a"]);
    assert_eq!(headers(&[rule(&[(0, 1), (1, 1)], 2)]), ["a,b,a", "b,a,b"]);
    let of_three = rule(&[(0, 1), (1, 1), (2, 1)], 1);
    assert_eq!(headers(std::slice::from_ref(&of_three)), ["a,b", "a,c", "b,a", "b,c", "c,a", "c,b"]);
    assert_eq!(headers(&[of_three, rule(&[(0, 1), (1, 1)], 1)]).len(), 6, "what two rules share stands once");
}

#[test]
fn a_drained_choice_and_a_lone_one_make_no_order() {
    assert_eq!(headers(&[rule(&[(0, 1), (1, 0)], 3)]), Vec::<String>::new());
    let beforehand = Rule { failover: Failover::PerRequest, ..rule(&[(0, 1), (1, 1)], 1) };
    assert_eq!(headers(&[beforehand]), Vec::<String>::new());
}

/// Two models of one backend are two choices.
#[test]
fn a_backend_may_follow_itself() {
    assert_eq!(headers(&[rule(&[(0, 1), (0, 1)], 1)]), ["a,a"]);
}

#[test]
fn what_is_counted_is_what_is_listed() {
    for (choices, attempts) in [(1, 3), (2, 1), (3, 1), (3, 2), (3, 9), (4, 2), (5, 4)] {
        let mut found = 0;
        arrange(choices, attempts as usize + 1, &mut Vec::new(), &mut |_| found += 1);
        assert_eq!(orders(choices, attempts), found, "{choices} {attempts}");
    }
    assert!(orders(32, 10) > MAX_CHAINS);
}

/// What an earlier release has rendered is still known by it.
#[test]
fn a_fingerprint_is_the_same_in_every_release() {
    assert_eq!(fingerprint(&[]), "e3b0c44298fc1c14");
    let both = chains([rule(&[(0, 1), (1, 1)], 1)].iter(), &backends(&["a", "b"]));
    // printf 'a,b\nb,a\n' | sha256sum
    assert_eq!(fingerprint(&both), "03592f82807f48a3");
    assert_ne!(fingerprint(&both[..1]), fingerprint(&both));
}

#[test]
fn an_order_is_repeated_until_the_attempts_are_over() {
    assert_eq!(header(["a", "b"].into_iter(), 4), "a,b,a,b,a");
    assert_eq!(header(["a", "b", "c"].into_iter(), 1), "a,b");
}
