//! The places of notes, and the text that waits for its count.

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

use super::*;
use crate::base::now::Instant;
use crate::catalog::Catalog;
use crate::limit::take::Grant;
use crate::limit::{Settle, Spent};
use crate::llm::{Dialect, Operation, Usage};
use crate::target::Targets;
use crate::target::health::{Observation, Outcome};
use crate::tokens::Uncounted;
use crate::tokens::uncounted::{Counted, Text};
use crate::wire::count;
use crate::wire::prompt::{self, MAX_COUNTED};

fn world(exchanges: usize) -> (Local, Notes) {
    let policy = Policy::new(Targets::default(), Vec::new(), Catalog::builtin());
    Local::with_places(Arc::new(policy), Arc::new(Learned::new()), exchanges * SLOTS, Counter::default())
}

fn note() -> Note {
    Note::Shadow { step: "admit", reason: "test" }
}

#[test]
fn an_exchange_has_its_places_until_its_notes_are_received() {
    let (world, mut notes) = world(2);
    let (mut one, other) = (world.admit().unwrap(), world.admit().unwrap());
    assert!(world.admit().is_none());
    for _ in 0..SLOTS + 1 {
        one.note(note());
    }
    drop(one);
    assert!(world.admit().is_none(), "its notes still wait");
    assert_eq!(notes.receive(&mut Vec::new(), 100), SLOTS);
    let again = world.admit().unwrap();
    drop((again, other));
    assert_eq!(world.room.free.load(Ordering::Relaxed), 2 * SLOTS);
    assert_eq!(world.room.dropped.get(), 1);
}

#[test]
fn a_hint_takes_no_place_that_is_reserved() {
    let (world, mut notes) = world(1);
    let mut permit = world.admit().unwrap();
    world.hint(note());
    permit.note(note());
    drop(permit);
    world.hint(note());
    assert_eq!(world.room.dropped.get(), 1);
    drop(world);
    let mut got = Vec::new();
    assert_eq!(notes.receive(&mut got, 100), 2);
    assert!(notes.is_closed());
    assert_eq!(notes.receive(&mut got, 100), 0);
}

#[test]
fn notes_end_when_they_are_closed_although_an_exchange_goes_on() {
    let (world, mut notes) = world(2);
    let mut permit = world.admit().unwrap();
    for _ in 0..3 {
        permit.note(note());
    }
    world.closer().close();
    permit.note(note());
    let mut got = Vec::new();
    // However they come, those that were left before are among them.
    assert_eq!(notes.receive(&mut got, 2), 2);
    assert!(!notes.is_closed());
    assert_eq!(notes.receive(&mut got, 2), 1);
    assert!(notes.is_closed());
    assert_eq!(notes.receive(&mut got, 2), 1, "it came in between");
    assert_eq!(notes.receive(&mut got, 2), 0);
    permit.note(note());
    world.hint(note());
    assert_eq!(world.room.dropped.get(), 2);
    drop(permit);
    assert_eq!(world.room.free.load(Ordering::Relaxed), 2 * SLOTS);
    // Closing twice, or a world that is gone, is harmless.
    let closer = world.closer();
    closer.close();
    drop((world, notes));
    closer.close();
}

fn settle(uncounted: &Uncounted) -> Note {
    let grant = Grant { id: 1, taken: Vec::new() };
    Note::Settle(Settle { grant, guessed: Vec::new(), spent: Spent::Unknown, uncounted: Some(uncounted.clone()) })
}

fn uncounted(bytes: usize) -> Uncounted {
    let text = Text { kept: b" time".repeat(bytes / 5), whole: bytes as u64, beyond: 0 };
    let bill = |output| Counted { usage: Usage { output, ..Usage::default() }, cost: None, price: None };
    Uncounted::new("gpt-4o", text, bill)
}

#[test]
fn what_nobody_has_stated_is_counted_before_anybody_is_told() {
    let (world, mut notes) = world(1);
    let mut permit = world.admit().unwrap();
    let text = uncounted(50);
    permit.note(settle(&text));
    permit.note(settle(&text));
    assert_eq!(world.room.text.load(Ordering::Relaxed), TEXT - 50, "one text, one place");
    let mut got = vec![settle(&uncounted(5))];
    notes.receive(&mut got, 100);
    let outputs: Vec<_> = got[1..].iter().map(|note| (output(note), note.uncounted().is_none())).collect();
    assert_eq!(outputs, [(10, true), (10, true)]);
    assert_eq!(output(&got[0]), 0, "what was there before is not touched");
    assert_eq!(world.room.text.load(Ordering::Relaxed), TEXT);
}

#[test]
fn text_that_waits_is_bounded_and_what_does_not_fit_stays_estimated() {
    let (world, mut notes) = world(1);
    let mut permit = world.admit().unwrap();
    world.room.text.store(60, Ordering::Relaxed);
    [uncounted(50), uncounted(50), uncounted(5)].iter().for_each(|text| permit.note(settle(text)));
    let mut got = Vec::new();
    notes.receive(&mut got, 100);
    assert_eq!(got.iter().map(output).collect::<Vec<_>>(), [10, 0, 1]);
    assert!(got.iter().all(|note| note.uncounted().is_none()));
    assert_eq!(world.room.text.load(Ordering::Relaxed), 60);
}

fn output(note: &Note) -> u64 {
    let Note::Settle(settle) = note else { panic!("{note:?}") };
    if let Spent::Used { usage, .. } = settle.spent { usage.output } else { 0 }
}

#[test]
fn text_that_still_waits_when_the_notes_end_is_not_counted() {
    let (world, mut notes) = world(1);
    let mut permit = world.admit().unwrap();
    let texts: Vec<_> = (0..4).map(|_| uncounted(TEXT / 4 / 5 * 5)).collect();
    texts.iter().for_each(|text| permit.note(settle(text)));
    assert!(world.room.text.load(Ordering::Relaxed) < 20, "it is full");
    world.closer().close();
    let mut got = Vec::new();
    assert_eq!(notes.receive(&mut got, 100), 4, "every note is told");
    assert_eq!(got.iter().map(output).collect::<Vec<_>>(), [0; 4], "what was estimated stands");
    assert!(got.iter().all(|note| note.uncounted().is_none()));
    assert_eq!(world.room.text.load(Ordering::Relaxed), TEXT);
}

#[test]
fn an_end_in_the_middle_of_counting_waits_for_one_text_and_clones_agree() {
    let (world, mut notes) = world(1);
    let mut permit = world.admit().unwrap();
    let closer = world.closer();
    let text = Text { kept: b" time".to_vec(), whole: 5, beyond: 0 };
    let first = Uncounted::new("gpt-4o", text, move |output| {
        closer.close();
        Counted { usage: Usage { output, ..Usage::default() }, cost: None, price: None }
    });
    [&first, &uncounted(50), &first].into_iter().for_each(|text| permit.note(settle(text)));
    let mut got = Vec::new();
    assert_eq!(notes.receive(&mut got, 100), 3);
    assert_eq!(got.iter().map(output).collect::<Vec<_>>(), [1, 0, 1]);
}

#[test]
fn a_prompt_is_its_text_and_its_frame() {
    let count = |operation, body: &str| prompt::tokens(operation, body.as_bytes(), |text| bpe::count("gpt-4o", text));
    let chat = |body| count(Operation::Chat, body);
    // What OpenAI states for this call.
    assert_eq!(chat(r#"{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}]}"#), Some(8));
    assert_eq!(chat(r#"{"model":"gpt-4o","messages":[{"role":"user","name":"bob","content":"hi"}]}"#), Some(10));
    assert_eq!(chat("no JSON"), None);
    let embed = |body| count(Operation::Embeddings, body);
    assert_eq!(embed(r#"{"model":"text-embedding-3-small","input":"hello world"}"#), Some(2));
    assert_eq!(embed(r#"{"input":[{"text":"hello world"}]}"#), Some(2), "a list of texts is no conversation");
    assert_eq!(count(Operation::Completion, r#"{"prompt":[15339,1917]}"#), Some(2));
}

/// No more can be counted until this is dropped, and no more can wait for it.
async fn busy(world: &Local) -> OwnedSemaphorePermit {
    world.counts.queue.fill(counting::QUEUE);
    let of = &world.counts.places;
    of.clone().acquire_many_owned(u32::try_from(of.available_permits()).unwrap()).await.unwrap()
}

#[tokio::test]
async fn counts_are_bounded_in_size_and_in_number() {
    let (world, _notes) = world(1);
    let ask = |body: Bytes| {
        let (caller, model) = ("a".into(), "gpt-4o".to_owned());
        world.answer(Ask::Count { caller, operation: Operation::Chat, model, body })
    };
    let small = Bytes::from_static(br#"{"messages":[{"role":"user","content":"hi"}]}"#);
    let large = Bytes::from(vec![b' '; MAX_COUNTED + 1]);
    assert_eq!(ask(small.clone()).await, Answer::Count(8));
    assert_eq!(ask(large).await, Answer::Failed(Failure::Unavailable));
    let taken = busy(&world).await;
    assert_eq!(ask(small.clone()).await, Answer::Failed(Failure::Unavailable));
    drop(taken);
    world.counts.queue.fill(0);
    assert_eq!(ask(small).await, Answer::Count(8));
}

#[test]
fn what_is_known_of_backends_outlives_a_policy() {
    let (world, _notes) = world(1);
    let before = world.policy();
    let (health, at) = (world.health(), Instant(0));
    let outcome = Outcome::RateLimited(None);
    world.hint(Note::Observe(Observation {
        backend: "a".into(),
        credential: 0,
        model: "m".into(),
        outcome,
        cooldown: None,
        at,
    }));
    let replaced = world.policies().replace(Policy::new(Targets::default(), Vec::new(), Catalog::builtin()));
    assert!(Arc::ptr_eq(&replaced, &before) && !Arc::ptr_eq(&world.policy(), &before));
    assert!(Arc::ptr_eq(&world.health(), &health));
    assert!(world.health().cooling_until("a", 0, "m", at).is_some());
}

#[test]
fn the_policy_in_force_is_found_by_its_number_and_the_one_before_while_a_call_runs_by_it() {
    let (world, _notes) = world(1);
    let policies = world.policies();
    let policy = || Policy::new(Targets::default(), Vec::new(), Catalog::default());
    let found = |number| policies.generation(number).map(|policy| policy.generation);
    for number in 1..4 {
        let call = world.policy();
        let before = Arc::downgrade(&policies.replace(policy()));
        assert_eq!(world.policy().generation, number);
        assert_eq!((found(number), found(number - 1)), (Some(number), Some(number - 1)));
        assert_eq!(number.checked_sub(2).and_then(found), None, "what is older is not kept");
        drop(call);
        assert_eq!(before.strong_count(), 0, "its last call has ended");
        assert_eq!((found(number), found(number - 1)), (Some(number), None));
    }
    // Of two that calls keep, only the one just before is found: it is the only one that is remembered.
    let _calls = [world.policy(), {
        policies.replace(policy());
        world.policy()
    }];
    policies.replace(policy());
    assert_eq!((found(3), found(4), found(5)), (None, Some(4), Some(5)));
}

#[tokio::test]
async fn a_chat_is_counted_for_a_provider_that_counts_none() {
    let (world, _notes) = world(1);
    let body = br#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;
    let wording = count::wording(Dialect::Anthropic, body).unwrap();
    let ask =
        || world.answer(Ask::Wording { caller: "a".into(), model: "gpt-4o".to_owned(), wording: wording.clone() });
    assert_eq!(ask().await, Answer::Count(8));
    let _taken = busy(&world).await;
    assert_eq!(ask().await, Answer::Failed(Failure::Unavailable));
}
