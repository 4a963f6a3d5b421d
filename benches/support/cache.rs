//! What the cache costs: the key of a call, an answer from memory, a call whose answer is kept, and the memory of an
//! entry.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use stats_alloc::Region;
use weir::base::json::Tree;
use weir::cache::canon::{self, Around};
use weir::cache::entry::{self, Entry};
use weir::cache::memory::Memory;
use weir::cache::{Digest, Key, Partition};
use weir::exchange::event::{Action, Answer, Ask, Event, Slot};
use weir::exchange::{Exchange, Setup};
use weir::llm::reply::Choice;
use weir::llm::{Dropped, Finish, Format, Part, Reply, Usage};
use weir::policy::Policy;
use weir::wire;
use weir::world::cache::{Cache, random};

use super::{ALLOCATOR, Cost, NOW, measure, request, setup, whole};

/// Every answer is kept, and all callers are one.
pub const POLICY: &str = "
---
apiVersion: weir.dev/v1alpha1
kind: LLMCachePolicy
metadata: {name: bench}
spec: {scope: Shared, exact: {ttl: 1h}}
";

const ENTRIES: usize = 20_000;

/// A prompt of so many bytes, about another thing with each number.
fn prompt(size: usize, number: u64, more: &str) -> Event {
    let mut body = format!(r#"{{"model":"fast",{more}"messages":[{{"role":"user","content":"{number:08} "#);
    let text = "The weir holds the river back. ".repeat(size / 30 + 1);
    body.push_str(&text[..size - body.len() - 4]);
    body.push_str("\"}]}");
    Event::RequestBody(body.into(), true)
}

fn cache() -> Arc<Cache> {
    Arc::new(Cache::new(random(), 1 << 30, Arc::new(|| NOW.unix_nanos / 1_000_000_000)))
}

/// The steps of an answer from memory to a prompt of 4 KB, and a call of 1 KB that is answered by the provider and kept,
/// by the names of the rows; those that `wanted` holds of alone.
pub fn steps(policy: &Arc<Policy>, wanted: impl Fn(&str) -> bool) -> Vec<(&'static str, Cost)> {
    let rows: [(&str, &dyn Fn() -> Cost); 4] = [
        ("cache: the key of a 4 KB prompt", &key),
        ("cache: an answer found and written, whole", &|| replay(policy, "")),
        ("cache: an answer found and written, as a stream", &|| replay(policy, r#""stream":true,"#)),
        ("cache: 1 KB call, whole answer, looked for and kept", &|| kept(policy)),
    ];
    rows.into_iter().filter(|(name, _)| wanted(name)).map(|(name, row)| (name, row())).collect()
}

fn key() -> Cost {
    let Event::RequestBody(body, _) = prompt(4096, 0, "") else { return measure(|| (), |()| ()) };
    let around = Around {
        backend: "openai",
        authority: "api.openai.com",
        prefix: "/v1",
        model: "gpt-4o-mini",
        headers: &[],
        query: "",
    };
    measure(
        || body.clone(),
        |body| {
            let tree = Tree::read(body).ok()?;
            let chat = wire::codec(Format::Chat).read_chat(&tree, &mut Dropped::default()).ok()?;
            canon::of_chat(around, &chat)
        },
    )
}

/// Does what the world does with each action from this one on.
fn serve(cache: &Arc<Cache>, exchange: &mut Exchange, out: &mut Vec<Action>, from: usize) {
    let mut at = from;
    while let Some(action) = out.get_mut(at) {
        match action {
            Action::Ask(Slot::Gate, Ask::Recall(ask, caller)) => {
                let answer = cache.recall_now(ask, caller).map_or(Answer::Peeked, Answer::Recall);
                exchange.on(Event::Answer(Slot::Gate, answer), NOW, out);
            }
            Action::Note(note) => drop(cache.hear(note.clone())),
            _ => {}
        }
        at += 1;
    }
}

fn run(cache: &Arc<Cache>, setup: Setup, events: Vec<Event>) -> Vec<Action> {
    let (mut exchange, mut out) = (Exchange::new(setup), Vec::with_capacity(16));
    for event in events {
        let from = out.len();
        exchange.on(event, NOW, &mut out);
        serve(cache, &mut exchange, &mut out, from);
    }
    out
}

/// From the question to the world on: what is there is found, decoded, and written in the client's dialect.
fn replay(policy: &Arc<Policy>, more: &str) -> Cost {
    let cache = cache();
    let ask = || prompt(4096, 0, more);
    let seen = run(&cache, setup(policy), whole(request("application/json"), ask()));
    assert!(seen.iter().any(|action| matches!(action, Action::Forward { .. })), "the first call is a miss");
    let cost = measure(
        || {
            let (mut exchange, mut out) = (Exchange::new(setup(policy)), Vec::with_capacity(16));
            exchange.on(request("application/json"), NOW, &mut out);
            exchange.on(ask(), NOW, &mut out);
            (exchange, out)
        },
        |(exchange, out)| serve(&cache, exchange, out, 0),
    );
    let seen = run(&cache, setup(policy), vec![request("application/json"), ask()]);
    let found = |action: &Action| matches!(action, Action::Respond(_) | Action::Open(_));
    assert!(seen.iter().any(found), "it is a hit");
    cost
}

fn kept(policy: &Arc<Policy>) -> Cost {
    let (cache, number) = (cache(), Cell::new(0));
    measure(
        || {
            number.set(number.get() + 1);
            (setup(policy), whole(request("application/json"), prompt(1024, number.get(), "")), Vec::with_capacity(16))
        },
        |(setup, events, out): &mut (Setup, Vec<Event>, Vec<Action>)| {
            let mut exchange = Exchange::new(setup.clone());
            for event in events.drain(..) {
                let from = out.len();
                exchange.on(event, NOW, out);
                serve(&cache, &mut exchange, out, from);
            }
            exchange
        },
    )
}

/// The memory of entries against the bytes that are stored, for answers of so many bytes of text.
pub fn sizes() -> Vec<(String, f64)> {
    [640, 4096]
        .map(|text| (format!("{ENTRIES} answers of {text} bytes, memory for each byte stored"), size(text)))
        .into()
}

fn size(text: usize) -> f64 {
    let reply = Reply {
        id: "chatcmpl-1".into(),
        model: "gpt-4o-mini".into(),
        choices: vec![Choice {
            parts: vec![Part::text("x".repeat(text))],
            finish: Some(Finish::Stop),
            ..Choice::default()
        }],
        usage: Some(Usage { input: 200, output: 32, ..Usage::default() }),
        ..Reply::default()
    };
    let secret = random();
    let place = secret.place(&"".into(), &Partition::Shared, Digest([0; 32])).0;
    let region = Region::new(ALLOCATOR);
    let memory = Memory::new(1 << 30);
    let mut stored = 0;
    for number in 0..ENTRIES {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&(number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
        // As it is kept: in a buffer of its own.
        let Some(bytes) = entry::encode(&reply, None, None) else { continue };
        stored += bytes.len();
        memory.put(&place, Key(key), Entry { bytes, stored: 0, ttl: Duration::from_secs(3600) });
    }
    assert_eq!(memory.stand().entries, ENTRIES as u64, "every entry is there");
    let change = region.change();
    let taken = change.bytes_allocated.saturating_sub(change.bytes_deallocated);
    taken as f64 / stored as f64
}
