//! Cool-downs that replicas share through a real Redis: what one is told of an account all of them respect.

mod behind_envoy;
mod hostile;

use std::sync::Arc;
use std::time::Duration;

use weir::app;
use weir::base::now::Instant;
use weir::config::{Options, Source};
use weir::exchange::event::Note;
use weir::limit::redis::{self, Redis};
use weir::policy::Policy;
use weir::target::health::{DENIED, Observation, Outcome};
use weir::tokens::Learned;
use weir::world::cooling::Counts;
use weir::world::{Local, Notes, World};

use crate::faults::rig::wait;
use crate::support::redis::Server;

const HOUR: Duration = Duration::from_secs(3600);

/// Only a server that does nothing needs so long.
const PATIENCE: Duration = Duration::from_secs(10);

/// Its first credential is one account's, its second another one's.
const DOCUMENTS: &str = "
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: a}
spec:
  endpoint: https://a.example/v1
  dialect: OpenAI
  credentials:
  - {from: [{namespaces: [gold]}], type: APIKey, apiKey: {value: sk-gold}}
  - {type: APIKey, apiKey: {value: sk-common}}
---
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: open}
spec: {endpoint: 'http://127.0.0.1:9/v1', dialect: OpenAI, credentials: [{type: None}]}
";

const GOLD: usize = 0;
const COMMON: usize = 1;

/// One process, as far as cool-downs go. No two have the same clock.
struct Replica {
    world: Local,
    counts: Counts,
    origin: tokio::time::Instant,
    ahead: Duration,
    _notes: Notes,
}

fn policy(documents: &str) -> Policy {
    let source = Source { files: vec![("weir.yaml".to_owned(), documents.to_owned())], ..Source::default() };
    app::load(&source, &Options::default()).expect("valid").policy
}

// === impl Replica ===

impl Replica {
    async fn start(server: &Server, ahead: Duration) -> Replica {
        Replica::with(DOCUMENTS, server, ahead).await
    }

    async fn with(documents: &str, server: &Server, ahead: Duration) -> Replica {
        let learned = Arc::new(Learned::new());
        let (world, notes) = Local::new(Arc::new(policy(documents)), learned, 1, Default::default());
        let (origin, counts) = (tokio::time::Instant::now(), Counts::default());
        let options = redis::Options { timeout: PATIENCE, ..redis::Options::new(server.url()) };
        let store = Redis::connect(options).expect("usable options");
        let clock = Arc::new(move || Instant(0).plus(origin.elapsed() + ahead));
        world.cooling().share(store, world.policies(), clock, counts.clone());
        Replica { world, counts, origin, ahead, _notes: notes }
    }

    fn now(&self) -> Instant {
        Instant(0).plus(self.origin.elapsed() + self.ahead)
    }

    fn sees(&self, backend: &str, credential: usize, model: &str, outcome: Outcome) {
        let (backend, model, at) = (backend.into(), model.into(), self.now());
        self.world.hint(Note::Observe(Observation { backend, credential, model, outcome, cooldown: None, at }));
    }

    /// As [`Replica::sees`]: 429, come again after so many seconds.
    fn is_limited(&self, credential: usize, model: &str, seconds: u64) {
        self.sees("a", credential, model, Outcome::RateLimited(Some(Duration::from_secs(seconds))));
    }

    /// For how long a choice is passed over.
    fn cools(&self, backend: &str, credential: usize, model: &str) -> Option<Duration> {
        let now = self.now();
        Some(self.world.health().cooling_until(backend, credential, model, now)?.since(now))
    }

    async fn learns(&self, credential: usize, model: &str) -> Duration {
        wait("news", || async { self.cools("a", credential, model).is_some() }).await;
        self.cools("a", credential, model).expect("it lasts")
    }
}

#[tokio::test]
async fn a_limit_that_one_is_told_of_is_respected_by_all_for_as_long() {
    let server = Server::new();
    let (one, two) = (Replica::start(&server, Duration::ZERO).await, Replica::start(&server, HOUR * 99).await);
    assert_eq!(two.cools("a", GOLD, "m"), None);
    one.is_limited(GOLD, "m", 600);
    let left = two.learns(GOLD, "m").await;
    let told = one.cools("a", GOLD, "m").expect("it was seen here");
    assert!(left <= Duration::from_secs(600) && left + Duration::from_secs(60) > told, "{left:?} of {told:?}");
    for (backend, credential, model) in [("a", GOLD, "other"), ("a", COMMON, "m"), ("open", 0, "m")] {
        assert_eq!(two.cools(backend, credential, model), None, "{backend} {credential} {model}");
    }
    wait("counts", || async { one.counts.told.get() == 1 && two.counts.learnt.get() == 1 }).await;
    // What one has heard of it tells nobody.
    two.is_limited(GOLD, "m", 9);
    two.is_limited(COMMON, "m", 600);
    one.learns(COMMON, "m").await;
    assert_eq!((two.counts.told.get(), one.counts.learnt.get(), one.counts.failed.get()), (1, 1, 0));
    let stored: Vec<String> = server.say(&["HKEYS", "weir:{cooldowns}"]);
    assert!(stored.len() == 3 && !stored.concat().contains("sk-"), "{stored:?}");
}

#[tokio::test]
async fn a_refused_key_is_refused_for_all_models_and_a_forbidden_model_for_that_key() {
    let server = Server::new();
    let (one, two) = (Replica::start(&server, HOUR).await, Replica::start(&server, Duration::ZERO).await);
    one.sees("a", COMMON, "m", Outcome::Denied);
    let left = two.learns(COMMON, "any other").await;
    assert!(left <= DENIED, "{left:?}");
    assert_eq!(two.cools("a", GOLD, "m"), None);
    two.sees("a", GOLD, "m", Outcome::Forbidden);
    assert!(one.learns(GOLD, "m").await <= DENIED);
    assert_eq!(one.cools("a", GOLD, "other"), None);
}

#[tokio::test]
async fn what_is_wrong_with_the_way_stays_where_it_was_seen() {
    let server = Server::new();
    let (one, two) = (Replica::start(&server, HOUR).await, Replica::start(&server, HOUR * 2).await);
    one.sees("a", GOLD, "m", Outcome::Unreachable);
    (0..3).for_each(|_| one.sees("open", 0, "m", Outcome::Failed));
    // A server that wants no key is nobody's account: it may be another one for each replica.
    one.sees("open", 0, "m", Outcome::RateLimited(Some(HOUR)));
    one.is_limited(COMMON, "m", 600);
    two.learns(COMMON, "m").await;
    assert!(one.cools("a", GOLD, "m").is_some() && one.cools("open", 0, "m").is_some());
    assert_eq!((two.cools("a", GOLD, "m"), two.cools("open", 0, "m")), (None, None));
}

#[tokio::test]
async fn it_ends_everywhere_and_who_comes_later_knows_what_still_holds() {
    let server = Server::new();
    let (one, two) = (Replica::start(&server, HOUR).await, Replica::start(&server, Duration::ZERO).await);
    one.is_limited(GOLD, "long", 3000);
    one.is_limited(GOLD, "short", 5);
    two.learns(GOLD, "short").await;
    wait("end", || async { two.cools("a", GOLD, "short").is_none() }).await;
    let late = Replica::start(&server, HOUR * 7).await;
    assert!(late.learns(GOLD, "long").await <= Duration::from_secs(3000));
    // Its clock began later, so by the store's time it is over a moment before.
    wait("end", || async { late.cools("a", GOLD, "short").is_none() && one.cools("a", GOLD, "short").is_none() }).await;
    assert!(two.cools("a", GOLD, "long").is_some());
}

#[tokio::test]
async fn while_the_store_is_away_each_goes_by_what_it_sees_and_tells_it_later() {
    let mut server = Server::new();
    let (one, two) = (Replica::start(&server, HOUR).await, Replica::start(&server, Duration::ZERO).await);
    one.is_limited(GOLD, "before", 3000);
    two.learns(GOLD, "before").await;
    server.kill();
    wait("failures", || async { one.counts.failed.get() > 0 && two.counts.failed.get() > 0 }).await;
    one.is_limited(GOLD, "meanwhile", 3000);
    assert!(one.cools("a", GOLD, "meanwhile").is_some() && two.cools("a", GOLD, "before").is_some());
    // It has lost all that it knew.
    server.resume();
    two.learns(GOLD, "meanwhile").await;
    assert!(two.cools("a", GOLD, "before").is_some());
    two.is_limited(COMMON, "after", 3000);
    one.learns(COMMON, "after").await;
    let late = Replica::start(&server, HOUR * 3).await;
    late.learns(COMMON, "after").await;
    assert!(late.cools("a", GOLD, "meanwhile").is_some());
    assert_eq!(one.counts.lost.get() + two.counts.lost.get(), 0);
}

/// Documents are not replaced everywhere at once.
#[tokio::test]
async fn an_account_is_the_same_wherever_its_credential_stands() {
    let server = Server::new();
    let line = "  - {from: [{namespaces: [gold]}], type: APIKey, apiKey: {value: sk-gold}}\n";
    let turned = DOCUMENTS.replace(line, "").replace(
        "sk-common}}\n",
        "sk-common}}\n  - {from: [{namespaces: [gold]}], type: APIKey, apiKey: {value: sk-gold}}\n",
    );
    let other = DOCUMENTS.replace("sk-gold", "sk-new");
    let one = Replica::start(&server, HOUR).await;
    let (two, three) = (
        Replica::with(&turned, &server, Duration::ZERO).await,
        Replica::with(&other, &server, Duration::from_secs(5)).await,
    );
    one.is_limited(GOLD, "m", 600);
    one.is_limited(COMMON, "last", 600);
    two.learns(0, "last").await;
    three.learns(COMMON, "last").await;
    assert!(two.cools("a", 1, "m").is_some() && two.cools("a", 0, "m").is_none());
    assert_eq!(three.cools("a", GOLD, "m"), None, "another key is another account");
    // A reload moves places: what still holds is learnt for the new ones.
    three.world.policies().replace(policy(&turned));
    wait("news", || async { three.cools("a", 1, "m").is_some() && three.cools("a", 0, "last").is_some() }).await;
}

/// 3,000 replicas ask all the time: where nothing is new, one small read each.
#[tokio::test]
async fn without_news_a_replica_reads_one_field_at_a_time() {
    let server = Server::new();
    let (one, two) = (Replica::start(&server, HOUR).await, Replica::start(&server, HOUR * 2).await);
    one.is_limited(GOLD, "m", 3000);
    two.learns(GOLD, "m").await;
    // Its own notice is heard once as well.
    let looks = server.calls("hget");
    wait("looks", || async { server.calls("hget") >= looks + 4 }).await;
    let (looks, reads) = (server.calls("hget"), server.calls("hgetall"));
    wait("looks", || async { server.calls("hget") >= looks + 4 }).await;
    assert_eq!(server.calls("hgetall"), reads);
    // Nor does what all know already write anything.
    let writes = server.calls("hset");
    (0..100).for_each(|_| two.is_limited(GOLD, "m", 60));
    wait("looks", || async { server.calls("hget") >= looks + 8 }).await;
    assert_eq!(server.calls("hset"), writes);
}
