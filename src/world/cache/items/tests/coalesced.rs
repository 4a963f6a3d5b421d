//! What several miss at the same time one asks for, and nobody waits for who has gone.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use proptest::prelude::*;

use super::*;
use crate::cache::redis::{AtRest, Options, Redis};
use crate::store;

fn together() -> Arc<Rule> {
    Arc::new(Rule { coalesces: true, ..(*rule()).clone() })
}

fn wants(who: &str, digests: &[u8]) -> Ask {
    Ask { rule: together(), ..ask(who, digests) }
}

fn poll(recall: Pin<&mut (impl Future<Output = Found> + ?Sized)>) -> Option<Found> {
    match recall.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(found) => Some(found),
        Poll::Pending => None,
    }
}

/// Who asks for it, and may lead.
fn leads(cache: &Cache, asked: &Ask) -> Option<Ticket> {
    cache.recall_items_now(asked).expect("nobody is waited for").lead
}

/// Leads, those who wait, and the inputs that are led for.
fn stand(cache: &Cache) -> (usize, usize, usize) {
    let (leads, waiting) = cache.leads.stand();
    (leads, waiting, cache.leads.open())
}

#[test]
fn who_misses_what_another_one_asks_for_is_given_it() {
    let (cache, _) = cache();
    let asked = wants("ann", &[1, 2]);
    let lead = leads(&cache, &asked);
    assert!(lead.is_some() && cache.recall_items_now(&asked).is_none());
    let part = wants("ann", &[2]);
    let (mut same, mut part) = (pin!(cache.recall_items(&asked)), pin!(cache.recall_items(&part)));
    assert!(poll(same.as_mut()).is_none() && poll(part.as_mut()).is_none());
    // Another caller's inputs are others, and who misses more than is asked for does not wait for it.
    let other = leads(&cache, &wants("bob", &[1, 2])).unwrap();
    let more = leads(&cache, &wants("ann", &[2, 3])).unwrap();
    assert_eq!(stand(&cache), (3, 2, 5));
    cache.hear(Note::Forsake(other));
    cache.hear(Note::Forsake(more));
    assert_eq!(stand(&cache), (1, 2, 2));
    remember_for(&cache, together(), lead, vec![(1, item(1, 1)), (2, item(2, 1))]);
    let found = poll(same).expect("it is there");
    assert_eq!((tokens(&found), found.lead, found.followed), (vec![Some(1), Some(2)], None, true));
    assert_eq!(tokens(&poll(part).expect("it is there")), [Some(2)]);
    assert_eq!(stand(&cache), (0, 0, 0));
}

/// What is too large to be kept is given to who waits all the same.
#[test]
fn what_is_not_kept_is_still_shared() {
    let (cache, _) = cache();
    let asked = wants("ann", &[1]);
    let lead = leads(&cache, &asked);
    let mut waits = pin!(cache.recall_items(&asked));
    assert!(poll(waits.as_mut()).is_none());
    remember_for(&cache, together(), lead, vec![(1, item(1, 2_000))]);
    assert_eq!(tokens(&poll(waits).expect("it is there")), [Some(1)]);
    assert_eq!(refused(&cache, Reason::TooLarge), 1);
    assert!(leads(&cache, &asked).is_some(), "later it is asked for again");
}

#[test]
fn one_of_those_who_wait_asks_where_a_leader_has_left() {
    let (cache, _) = cache();
    let asked = wants("ann", &[1]);
    let first = leads(&cache, &asked).unwrap();
    let (mut one, mut two) = (pin!(cache.recall_items(&asked)), pin!(cache.recall_items(&asked)));
    assert!(poll(one.as_mut()).is_none() && poll(two.as_mut()).is_none());
    cache.hear(Note::Forsake(first));
    let heir = poll(one).expect("it is its turn");
    assert!(heir.lead.is_some() && tokens(&heir) == [None]);
    assert!(poll(two.as_mut()).is_none());
    // Too late, it is nothing to anybody.
    cache.hear(Note::Part(first, Reason::Incomplete));
    assert_eq!(stand(&cache), (1, 1, 1));
    remember_for(&cache, together(), heir.lead, vec![(1, item(7, 1))]);
    assert_eq!(tokens(&poll(two).expect("it is there")), [Some(7)]);
    assert_eq!(stand(&cache), (0, 0, 0));
}

#[test]
fn each_asks_for_what_is_nobody_elses() {
    let (cache, _) = cache();
    let asked = wants("ann", &[1, 2]);
    remember(&cache, together(), vec![(2, item(2, 1))]);
    let lead = leads(&cache, &asked).unwrap();
    let (mut one, mut two) = (pin!(cache.recall_items(&asked)), pin!(cache.recall_items(&asked)));
    assert!(poll(one.as_mut()).is_none() && poll(two.as_mut()).is_none());
    cache.hear(Note::Part(lead, Reason::Incomplete));
    for waits in [poll(one), poll(two)] {
        let found = waits.expect("nobody is waited for");
        assert_eq!((tokens(&found), found.lead), (vec![None, Some(2)], None));
    }
    assert_eq!((stand(&cache), refused(&cache, Reason::Incomplete)), ((0, 0, 0), 1));
}

#[test]
fn who_has_nothing_to_give_leads_nobody_and_waits_for_nobody() {
    let (cache, _) = cache();
    let asked = wants("ann", &[1]);
    let lead = leads(&cache, &asked).unwrap();
    for other in [
        Ask { keeps: false, ..asked.clone() },
        Ask { is_shadow: true, ..asked.clone() },
        Ask { reads: false, ..asked.clone() },
        Ask { rule: rule(), ..asked.clone() },
    ] {
        assert_eq!(leads(&cache, &other), None, "{other:?}");
        assert!(poll(pin!(cache.recall_items(&other))).is_some(), "{other:?}");
    }
    cache.hear(Note::Forsake(lead));
    assert_eq!(stand(&cache), (0, 0, 0));
}

/// A store that is connected to and says nothing: who looks there leads meanwhile.
#[tokio::test]
async fn who_leaves_while_he_looks_leads_no_more() {
    let (cache, _) = cache();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}", silent.local_addr().unwrap());
    let options = store::Options { timeout: Duration::from_secs(3_600), ..store::Options::new(url) };
    cache.share(Redis::connect(Options::new(options, AtRest::Plain)).unwrap());
    remember(&cache, together(), vec![(2, item(2, 1))]);
    let asked = wants("ann", &[1, 2]);
    assert_eq!(found(&cache, &wants("ann", &[2])), [Some(2)], "all is in memory");
    assert!(cache.recall_items_now(&asked).is_none());
    assert!(cache.recall_items_now(&Ask { is_shadow: true, ..asked.clone() }).is_some());
    {
        let mut looks = pin!(cache.recall_items(&asked));
        assert!(poll(looks.as_mut()).is_none());
        assert_eq!(stand(&cache), (1, 0, 1));
        let mut waits = pin!(cache.recall_items(&asked));
        assert!(poll(waits.as_mut()).is_none());
        assert_eq!(stand(&cache), (1, 1, 1));
    }
    assert_eq!(stand(&cache), (0, 0, 0));
}

/// What happens to one of a few callers.
#[derive(Clone, Debug)]
enum Op {
    Ask { who: u8, inputs: Vec<u8> },
    Look { of: usize },
    Drop { of: usize },
    End { of: usize, how: u8 },
}

fn any_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0..2_u8, prop::collection::btree_set(0..4_u8, 1..4))
            .prop_map(|(who, inputs)| Op::Ask { who, inputs: inputs.into_iter().collect() }),
        4 => (0..6_usize).prop_map(|of| Op::Look { of }),
        1 => (0..6_usize).prop_map(|of| Op::Drop { of }),
        3 => (0..6_usize, 0..3_u8).prop_map(|(of, how)| Op::End { of, how }),
    ]
}

/// Who leads for which inputs.
type Leader = (u8, Vec<u8>, Ticket);
type Waiting = (u8, Vec<u8>, Pin<Box<dyn Future<Output = Found>>>);

/// The vector of an input for one caller, by what it would cost.
fn tokens_of(who: u8, input: u8) -> u64 {
    u64::from(who) * 100 + u64::from(input)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever happens to whom, in whatever order: what somebody is given is his own; and when nobody leads any more
    /// nobody waits, and nothing is left.
    #[test]
    fn nobody_is_given_what_is_another_ones_or_waits_for_ever(ops in prop::collection::vec(any_op(), 1..60)) {
        let (cache, _) = cache();
        let (mut waiting, mut leading): (Vec<Waiting>, Vec<Leader>) = (Vec::new(), Vec::new());
        for op in ops.into_iter().chain((0..60).flat_map(|_| [Op::Look { of: 0 }, Op::End { of: 0, how: 0 }])) {
            match op {
                Op::Ask { who, inputs } if waiting.len() < 6 => {
                    let (cache, asked) = (cache.clone(), wants(&who.to_string(), &inputs));
                    waiting.push((who, inputs, Box::pin(async move { cache.recall_items(&asked).await })));
                }
                Op::Look { of } if of < waiting.len() => {
                    let Some(found) = waiting.get_mut(of).and_then(|(.., recall)| poll(recall.as_mut())) else { continue };
                    let (who, inputs, _) = waiting.remove(of);
                    for (known, input) in tokens(&found).into_iter().zip(&inputs) {
                        prop_assert!(known.is_none_or(|known| known == tokens_of(who, *input)));
                    }
                    leading.extend(found.lead.map(|ticket| (who, inputs, ticket)));
                }
                Op::Drop { of } if of < waiting.len() => drop(waiting.remove(of)),
                Op::End { of, how } if of < leading.len() => {
                    let (who, inputs, ticket) = leading.remove(of);
                    match how {
                        0 => _ = cache.hear(Note::Forsake(ticket)),
                        1 => _ = cache.hear(Note::Part(ticket, Reason::Lossy)),
                        _ => {
                            let item = |input: &u8| Item { tokens: Some(tokens_of(who, *input)), ..item(1, 1) };
                            let items = inputs.iter().map(|input| (Digest([*input; 32]), item(input))).collect();
                            let partition = Partition::Consumer(who.to_string().into());
                            let (rule, lead) = (together(), Some(ticket));
                            let kept = Remember { rule, partition, room: 1 << 10, items, lead };
                            cache.hear(Note::RememberItems(Box::new(kept)));
                        }
                    }
                }
                _ => {}
            }
        }
        prop_assert_eq!((waiting.len(), leading.len(), stand(&cache)), (0, 0, (0, 0, 0)));
    }
}
