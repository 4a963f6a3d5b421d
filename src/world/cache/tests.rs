//! Who is given what, whatever happens to whom.

mod log;
mod random;

use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::*;
use crate::cache::{Digest, Partition, Rule, Scope};
use crate::exchange::event::Feed;
use crate::llm::reply::Choice;
use crate::llm::{Delta, Finish, Fold, Part, Reply, Usage};

fn ask(partition: Partition, digest: u8) -> Ask {
    let mut rule = Rule::new("p", Scope::Consumer, Duration::from_secs(60));
    if let Some(exact) = &mut rule.exact {
        exact.tool_calls = false;
    }
    Ask {
        rule: Arc::new(rule),
        partition,
        digest: Digest([digest; 32]),
        reads: true,
        keeps: true,
        max_age: None,
        room: 1 << 20,
        is_shadow: false,
        similar: None,
    }
}

fn consumer(name: &str) -> Partition {
    Partition::Consumer(name.into())
}

fn reply(text: &str) -> Reply {
    let choice = Choice { parts: vec![Part::text(text.to_owned())], finish: Some(Finish::Stop), ..Choice::default() };
    let usage = Usage { input: 3, output: 4, ..Usage::default() };
    Reply {
        id: "r".into(),
        model: "m".into(),
        created: 1,
        choices: vec![choice],
        usage: Some(usage),
        service_tier: None,
    }
}

fn cache() -> (Arc<Cache>, Arc<AtomicU64>) {
    let now = Arc::new(AtomicU64::new(1_000));
    let clock = now.clone();
    let cache = Cache::new(Secret::random([1; 32]), 1 << 20, Arc::new(move || clock.load(Ordering::Relaxed)));
    (Arc::new(cache), now)
}

/// Who asks in these tests; who may read what is in the partition.
fn recall(cache: &Arc<Cache>, ask: &Ask) -> Option<Recall> {
    cache.recall_now(ask, &Arc::default())
}

fn lead(recall: Option<Recall>) -> Ticket {
    match recall {
        Some(Recall::Lead(ticket)) => ticket,
        other => panic!("no lead: {other:?}"),
    }
}

fn follow(cache: &Arc<Cache>, ask: &Ask) -> Seated {
    match recall(cache, ask) {
        Some(Recall::Follow(ticket)) => cache.seat(ticket).expect("a seat for who follows"),
        other => panic!("no seat: {other:?}"),
    }
}

fn hit(cache: &Arc<Cache>, ask: &Ask) -> Option<String> {
    match recall(cache, ask) {
        Some(Recall::Hit(hit)) => Some(hit.reply.text()),
        Some(Recall::Lead(ticket) | Recall::Follow(ticket)) => {
            assert_eq!(cache.hear(Note::Forsake(ticket)), None);
            None
        }
        _ => None,
    }
}

fn remember(cache: &Arc<Cache>, ticket: Ticket, reply: Reply) {
    assert_eq!(cache.hear(Note::Remember(Remember { ticket, reply: Box::new(reply), cost: None })), None);
}

fn heard(seat: &mut Seated) -> Vec<Feed> {
    let mut cx = Context::from_waker(Waker::noop());
    std::iter::from_fn(|| match seat.poll(&mut cx) {
        Poll::Ready(feed) => Some(feed),
        Poll::Pending => None,
    })
    .collect()
}

fn folded(feeds: &[Feed]) -> Option<Reply> {
    let mut fold = Fold::default();
    feeds.iter().for_each(|feed| match feed {
        Feed::Delta(delta) => fold.push(delta),
        Feed::Anew => fold = Fold::default(),
        _ => {}
    });
    fold.complete()
}

#[test]
fn an_answer_is_found_by_the_same_caller_until_its_time_is_over() {
    let (cache, now) = cache();
    let asked = ask(consumer("ann"), 1);
    let ticket = lead(recall(&cache, &asked));
    remember(&cache, ticket, reply("hello"));
    assert_eq!(hit(&cache, &asked).as_deref(), Some("hello"));
    assert_eq!(hit(&cache, &ask(consumer("bob"), 1)), None);
    assert_eq!(hit(&cache, &ask(consumer("ann"), 2)), None);
    now.store(1_030, Ordering::Relaxed);
    let fresh = Ask { max_age: Some(Duration::from_secs(29)), ..asked.clone() };
    assert_eq!(hit(&cache, &fresh), None);
    let recent = Ask { max_age: Some(Duration::from_secs(30)), ..asked.clone() };
    assert_eq!(hit(&cache, &recent).as_deref(), Some("hello"));
    let refresh = Ask { reads: false, ..asked.clone() };
    let ticket = lead(recall(&cache, &refresh));
    remember(&cache, ticket, reply("again"));
    assert_eq!(hit(&cache, &asked).as_deref(), Some("again"));
    now.store(1_090, Ordering::Relaxed);
    assert_eq!(hit(&cache, &asked), None);
}

#[test]
fn what_is_not_to_be_kept_is_not() {
    let (cache, _) = cache();
    let asked = ask(consumer("ann"), 1);
    let no_store = Ask { keeps: false, ..asked.clone() };
    let called = Part::new(crate::llm::Content::ToolCall(crate::llm::part::ToolCall::default()));
    let mut calls = reply("x");
    calls.choices[0].parts.push(called);
    let ended = |finish| {
        let mut ended = reply("x");
        ended.choices[0].finish = finish;
        ended
    };
    let large = reply(&"x".repeat(2 << 20));
    for (asked, reply, reason) in [
        (&no_store, reply("x"), Reason::NoStore),
        (&asked, calls, Reason::ToolCalls),
        (&asked, ended(None), Reason::Incomplete),
        (&asked, ended(Some(Finish::ContentFilter)), Reason::Unfinished),
        (&asked, ended(Some(Finish::Refusal)), Reason::Unfinished),
        (&asked, large, Reason::TooLarge),
    ] {
        let before = cache.tally().refused().find(|(one, _)| *one == reason).map(|(_, count)| count);
        let ticket = lead(recall(&cache, asked));
        remember(&cache, ticket, reply);
        assert_eq!(hit(&cache, asked), None, "{reason:?}");
        let after = cache.tally().refused().find(|(one, _)| *one == reason).map(|(_, count)| count);
        assert_eq!(after, before.map(|count| count + 1), "{reason:?}");
    }
    assert_eq!(cache.stand().entries, 0);
    let mut only = Rule::new("p", Scope::Consumer, Duration::from_secs(60));
    (only.exact, only.coalesces) = (None, false);
    assert_eq!(recall(&cache, &Ask { rule: Arc::new(only), ..asked }), Some(Recall::Miss));
}

#[test]
fn who_asks_the_same_at_the_same_time_is_told_what_the_first_is_told() {
    let (cache, _) = cache();
    let asked = ask(consumer("ann"), 1);
    let ticket = lead(recall(&cache, &asked));
    let mut leader = cache.seat(ticket).unwrap();
    assert_eq!(heard(&mut leader), []);
    let mut early = follow(&cache, &asked);
    assert_eq!(heard(&mut leader), [Feed::Followed]);
    let steps = reply("hello").steps();
    let mut seats: Vec<Seated> = Vec::new();
    for step in &steps {
        seats.push(follow(&cache, &asked));
        cache.hear(Note::Publish(ticket, step.clone()));
    }
    assert_eq!(heard(&mut leader), []);
    assert_eq!(folded(&heard(&mut early)), Some(reply("hello")));
    for seat in &mut seats {
        assert_eq!(folded(&heard(seat)), Some(reply("hello")));
    }
    remember(&cache, ticket, reply("hello"));
    assert_eq!(cache.flights().stand().0, 0);
    assert_eq!(hit(&cache, &asked).as_deref(), Some("hello"));
    // Another caller, and who wants it fresh, ask for themselves.
    lead(recall(&cache, &ask(consumer("bob"), 1)));
    lead(recall(&cache, &Ask { reads: false, ..asked }));
}

#[test]
fn who_follows_an_answer_that_is_already_whole_is_told_all_of_it() {
    let (cache, _) = cache();
    let asked = ask(consumer("ann"), 1);
    let ticket = lead(recall(&cache, &asked));
    let mut seats = [follow(&cache, &asked), follow(&cache, &asked)];
    remember(&cache, ticket, reply("hello"));
    for seat in &mut seats {
        assert_eq!(folded(&heard(seat)), Some(reply("hello")));
    }
}

/// A call that follows and ends before it sits may be the heir of a leader that was lost meanwhile.
#[test]
fn an_heir_that_never_sits_passes_the_lead_on() {
    let (cache, _) = cache();
    let asked = ask(consumer("ann"), 1);
    for others in [0, 1] {
        let leader = lead(recall(&cache, &asked));
        let Some(Recall::Follow(never)) = recall(&cache, &asked) else { panic!("nobody is followed") };
        let mut sits: Vec<Seated> = (0..others).map(|_| follow(&cache, &asked)).collect();
        cache.hear(Note::Forsake(leader));
        cache.hear(Note::Forsake(never));
        for told in sits.iter_mut().map(heard) {
            let Some(Feed::Lost(next)) = told.last().cloned() else { panic!("nobody leads: {told:?}") };
            cache.flights().forsake(next);
        }
        drop(sits);
        cache.flights().forsake(lead(recall(&cache, &asked)));
        assert_eq!((cache.flights().stand().0, cache.flights().parked()), (0, 0));
    }
}

#[test]
fn when_a_leader_is_lost_the_next_leads_and_the_others_begin_anew() {
    let (cache, _) = cache();
    let asked = ask(consumer("ann"), 1);
    let ticket = lead(recall(&cache, &asked));
    let (mut first, mut second, third) = (follow(&cache, &asked), follow(&cache, &asked), follow(&cache, &asked));
    cache.hear(Note::Publish(ticket, Delta::text("half")));
    cache.hear(Note::Forsake(ticket));
    let Some(Feed::Lost(next)) = heard(&mut first).first().cloned() else { panic!("nobody leads") };
    assert_eq!(heard(&mut second), [Feed::Anew]);
    // Who was told to lead and goes away passes it on, as does who goes away before it is told.
    cache.hear(Note::Forsake(next));
    drop(first);
    drop(second);
    let mut third = third;
    let told = heard(&mut third);
    let Some(Feed::Lost(last)) = told.last().cloned() else { panic!("nobody leads: {told:?}") };
    let mut fourth = follow(&cache, &asked);
    assert_eq!(heard(&mut third), [Feed::Followed]);
    for step in reply("whole").steps() {
        cache.hear(Note::Publish(last, step));
    }
    assert_eq!(folded(&heard(&mut fourth)), Some(reply("whole")));
    cache.hear(Note::Forsake(last));
    assert_eq!(cache.flights().stand(), (0, 0, 4));
}

#[test]
fn who_cannot_be_given_the_answer_goes_on_alone() {
    let (cache, _) = cache();
    let asked = ask(consumer("ann"), 1);
    let ticket = lead(recall(&cache, &asked));
    let mut seat = follow(&cache, &asked);
    cache.hear(Note::Publish(ticket, Delta::text("from elsewhere")));
    cache.hear(Note::Part(ticket, Reason::OtherBackend));
    assert_eq!(heard(&mut seat), [Feed::Alone]);
    // Who does not read for long is not held for.
    let ticket = lead(recall(&cache, &Ask { room: 100, ..asked.clone() }));
    let mut slow = follow(&cache, &asked);
    (0..20).for_each(|_| _ = cache.hear(Note::Publish(ticket, Delta::text("0123456789"))));
    assert_eq!(heard(&mut slow), [Feed::Alone]);
    lead(recall(&cache, &asked));
}

#[test]
fn what_waits_is_never_more_than_the_answer() {
    let (cache, _) = cache();
    let asked = ask(consumer("ann"), 1);
    let ticket = lead(recall(&cache, &asked));
    let mut seat = follow(&cache, &asked);
    let mut early = follow(&cache, &asked);
    (0..10_000).for_each(|_| _ = cache.hear(Note::Publish(ticket, Delta::text("ab"))));
    let mut late = follow(&cache, &asked);
    for seat in [&mut seat, &mut early, &mut late] {
        assert_eq!(heard(seat), [Feed::Delta(Delta::text("ab".repeat(10_000)))]);
    }
}
