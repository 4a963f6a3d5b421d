//! Calls that miss the same inputs at the same time: one of them asks, and the others are answered with what it gets.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use weir::cache::items::Found;

use super::*;

/// A call that looks for its vectors.
struct Looking {
    world: World,
    recall: Pin<Box<dyn Future<Output = Found>>>,
}

// === impl Looking ===

impl Looking {
    fn new(shop: &Shop, body: &str) -> Self {
        let mut world = World::new(shop.policy.clone());
        world.send(Event::Request(post(EMBEDDINGS), false)).send(Event::RequestBody(bytes(body), true));
        let Some(Ask::RecallItems(ask)) = world.asks.last().cloned() else { panic!("{:?}", world.asks) };
        let cache = shop.cache.clone();
        Looking { world, recall: Box::pin(async move { cache.recall_items(&ask).await }) }
    }

    /// Whether it waits for nobody any more.
    fn goes_on(&mut self) -> bool {
        match self.recall.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(found) => {
                self.world.send(Event::Answer(Slot::Gate, Answer::RecallItems(found)));
                true
            }
            Poll::Pending => false,
        }
    }

    fn waits(shop: &Shop, body: &str) -> Self {
        let mut looking = Looking::new(shop, body);
        assert!(!looking.goes_on(), "{body} waits for nobody");
        looking
    }

    fn asks_itself(&mut self) -> &mut World {
        assert!(self.goes_on() && self.world.envoy.upstream.began);
        &mut self.world
    }
}

#[test]
fn who_waits_is_answered_with_what_another_one_gets() {
    let shop = Shop::new(own());
    shop.call(&body(&["a"]));
    let mut leader = shop.ask(&body(&["a", "b", "c"]));
    assert_eq!(inputs(&leader.upstream()), [json!("b"), json!("c")]);
    let asked = body(&["c", "a", "b", "c"]);
    let mut same = Looking::waits(&shop, &asked);
    leader.reply(json(), provided(&body(&["b", "c"])));
    assert!(!same.goes_on(), "what it gets is not known before its end");
    shop.finish(&mut leader);
    assert!(same.goes_on() && !same.world.envoy.upstream.began);
    shop.finish(&mut same.world);
    assert_eq!(data(&same.world.client()), data(&provided(&asked)));
    let told = (same.world.client_header("x-weir-cache"), same.world.client_header("age"));
    assert_eq!(told, (Some("hit"), None));
    let record = same.world.record();
    assert_eq!((record.outcome, record.cost, record.usage), (Outcome::Replayed, Some(NanoUsd(0)), usage(0, 0)));
    let cached = record.cached.as_deref().expect("a rule is about it");
    assert_eq!((cached.status, cached.saved.map(|saved| saved.usage)), (Status::Follow, Some(usage(12, 0))));
    assert_eq!((shop.kept(), shop.cache.on_their_way()), (3, (0, 0)));
}

#[test]
fn who_waits_takes_over_from_who_leaves() {
    let shop = Shop::new(own());
    let asked = body(&["a"]);
    let mut leader = shop.ask(&asked);
    let (mut one, mut two) = (Looking::waits(&shop, &asked), Looking::waits(&shop, &asked));
    leader.send(Event::Response(json(), false));
    shop.finish(&mut leader);
    one.asks_itself().reply(json(), provided(&asked));
    assert!(!two.goes_on(), "another one asks by now");
    shop.finish(&mut one.world);
    assert!(two.goes_on() && !two.world.envoy.upstream.began);
    assert_eq!((shop.kept(), shop.cache.on_their_way()), (1, (0, 0)));
}

/// The answer to who has left by now is given back.
#[test]
fn who_leaves_while_it_looks_leads_nobody() {
    let shop = Shop::new(own());
    let mut gone = Looking::new(&shop, &body(&["a"]));
    gone.world.send(Event::Stop(Stop::Leave));
    assert!(gone.goes_on());
    shop.finish(&mut gone.world);
    assert_eq!(shop.cache.on_their_way(), (0, 0));
}

#[test]
fn each_asks_for_itself_where_an_answer_is_nobody_elses() {
    let asked = body(&["a"]);
    for (status, answer) in [(500, "oops"), (429, "{}"), (200, "no JSON")] {
        let shop = Shop::new(own());
        let mut leader = shop.ask(&asked);
        let (mut one, mut two) = (Looking::waits(&shop, &asked), Looking::waits(&shop, &asked));
        leader.reply(response(status, &[("content-type", "application/json")]), answer);
        shop.finish(&mut leader);
        one.asks_itself();
        two.asks_itself();
        assert_eq!((shop.kept(), shop.cache.on_their_way()), (0, (0, 0)), "{status}");
    }
    // Another backend's are other vectors.
    let shop = Shop::new(fails_over(policy()));
    let mut leader = shop.ask(&asked);
    let mut waits = Looking::waits(&shop, &asked);
    leader.send(attempt(1, "one")).send(attempt(2, "two"));
    leader.notes().into_iter().for_each(|note| _ = shop.cache.hear(note.clone()));
    waits.asks_itself();
    assert_eq!((shop.refused(Reason::OtherBackend), shop.cache.on_their_way()), (1, (0, 0)));
}

#[test]
fn nobody_waits_for_who_keeps_nothing() {
    let shop = Shop::new(own());
    let asked = body(&["a"]);
    let mut private = shop.ask_with(BodyMode::FullDuplex, &[("cache-control", "no-store")], &asked);
    let mut other = Looking::new(&shop, &asked);
    other.asks_itself();
    private.reply(json(), provided(&asked));
    shop.finish(&mut private);
    shop.finish(&mut other.world);
    assert_eq!(shop.cache.on_their_way(), (0, 0));
}
