//! Vectors are found by who may have them, kept as far as they may be, and asked for once.

mod coalesced;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use super::*;
use crate::cache::{Digest, Partition, Rule, Scope, Secret};
use crate::exchange::event::Note;
use crate::wire::embed::items::Vectors;

fn cache() -> (Arc<Cache>, Arc<AtomicU64>) {
    let now = Arc::new(AtomicU64::new(1_000));
    let clock = now.clone();
    let cache = Cache::new(Secret::random([1; 32]), 1 << 20, Arc::new(move || clock.load(Ordering::Relaxed)));
    (Arc::new(cache), now)
}

/// Who asks here asks alone.
fn rule() -> Arc<Rule> {
    Arc::new(Rule { coalesces: false, ..Rule::new("p", Scope::Consumer, Duration::from_secs(60)) })
}

fn item(number: usize, length: usize) -> Item {
    let zeros = "0".repeat(length);
    let body = Bytes::from(format!(r#"{{"data":[{{"index":0,"embedding":[{number}.{zeros}1]}}]}}"#));
    let vector = Vectors::read(&body, 1).unwrap().each.remove(0);
    Item { vector, model: "m".into(), tokens: Some(number as u64) }
}

fn ask(who: &str, digests: &[u8]) -> Ask {
    let digests = digests.iter().map(|digest| Digest([*digest; 32])).collect();
    Ask {
        rule: rule(),
        partition: Partition::Consumer(who.into()),
        digests,
        reads: true,
        keeps: true,
        max_age: None,
        room: 1 << 20,
        is_shadow: false,
    }
}

fn remember(cache: &Arc<Cache>, rule: Arc<Rule>, items: Vec<(u8, Item)>) {
    remember_for(cache, rule, None, items);
}

fn remember_for(cache: &Arc<Cache>, rule: Arc<Rule>, lead: Option<Ticket>, items: Vec<(u8, Item)>) {
    let items = items.into_iter().map(|(digest, item)| (Digest([digest; 32]), item)).collect();
    let kept = Remember { rule, partition: Partition::Consumer("ann".into()), room: 1 << 10, items, lead };
    assert_eq!(cache.hear(Note::RememberItems(Box::new(kept))), None);
}

fn found(cache: &Cache, ask: &Ask) -> Vec<Option<u64>> {
    tokens(&cache.recall_items_now(ask).unwrap())
}

fn tokens(found: &Found) -> Vec<Option<u64>> {
    found.each.iter().map(|known| known.as_ref().and_then(|known| known.item.tokens)).collect()
}

fn refused(cache: &Cache, reason: Reason) -> u64 {
    cache.tally().refused().find(|(one, _)| *one == reason).map_or(0, |(_, count)| count)
}

#[test]
fn each_vector_is_found_for_itself_by_the_same_caller_in_its_time() {
    let (cache, now) = cache();
    remember(&cache, rule(), vec![(1, item(1, 1)), (2, item(2, 1))]);
    now.store(1_030, Ordering::Relaxed);
    remember(&cache, rule(), vec![(3, item(3, 1))]);
    assert_eq!(found(&cache, &ask("ann", &[3, 9, 1])), [Some(3), None, Some(1)]);
    assert_eq!(found(&cache, &ask("bob", &[3, 9, 1])), [None; 3]);
    assert_eq!(found(&cache, &Ask { reads: false, ..ask("ann", &[1, 2]) }), [None; 2]);
    let fresh = Ask { max_age: Some(Duration::from_secs(29)), ..ask("ann", &[1, 3]) };
    assert_eq!(found(&cache, &fresh), [None, Some(3)]);
    let known = cache.recall_items_now(&ask("ann", &[1])).unwrap().each.remove(0).unwrap();
    assert_eq!((known.item, known.age), (item(1, 1), Duration::from_secs(30)));
    now.store(1_060, Ordering::Relaxed);
    assert_eq!(found(&cache, &ask("ann", &[1, 2, 3])), [None, None, Some(3)]);
}

#[test]
fn a_vector_that_is_too_large_is_not_kept_and_the_others_are() {
    let (cache, _) = cache();
    remember(&cache, rule(), vec![(1, item(1, 2_000)), (2, item(2, 1))]);
    assert_eq!(found(&cache, &ask("ann", &[1, 2])), [None, Some(2)]);
    let mut small = (*rule()).clone();
    if let Some(exact) = &mut small.exact {
        exact.max_entry = Some(100);
    }
    remember(&cache, Arc::new(small), vec![(3, item(3, 200))]);
    remember(&cache, Arc::new(Rule { exact: None, ..(*rule()).clone() }), vec![(4, item(4, 1))]);
    assert_eq!(found(&cache, &ask("ann", &[3, 4])), [None, None]);
    assert_eq!((refused(&cache, Reason::TooLarge), refused(&cache, Reason::NotKept)), (2, 1));
}

#[test]
fn what_lies_under_its_key_and_is_no_vector_is_a_miss_and_removed() {
    let (cache, _) = cache();
    let asked = ask("ann", &[1]);
    let (place, keys) = cache.secret().places(&asked.rule.namespace, &asked.partition, &asked.digests);
    let bytes = Bytes::from_static(b"\xe1nothing");
    cache.memory.put(&place, keys[0], Entry { bytes, stored: 1_000, ttl: Duration::from_secs(60) });
    assert_eq!(cache.recall_items_now(&asked).unwrap(), vec![None].into());
    assert_eq!(cache.memory.get(&place, &keys[0], 1_000), None);
}

#[test]
fn keys_of_several_are_those_of_each() {
    let (cache, _) = cache();
    let asked = ask("ann", &[1, 2]);
    let (place, keys) = cache.secret().places(&asked.rule.namespace, &asked.partition, &asked.digests);
    for (key, digest) in keys.into_iter().zip(asked.digests.iter()) {
        assert_eq!(cache.secret().place(&asked.rule.namespace, &asked.partition, *digest), (place.clone(), key));
    }
}
