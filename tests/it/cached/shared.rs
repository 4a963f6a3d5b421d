//! Replicas that keep answers in one real Redis: what one has, all give to the same caller and to nobody else, until
//! it is forgotten anywhere; the key that it lies under is changed under them; and where Redis is away, breaks off or
//! says nothing, answers come from the provider as if there were none.

use std::fs;

use super::*;
use crate::faults::rig::wait;
use crate::support::envoy_stats::Exceptions;
use crate::support::redis::Server;
use crate::support::redis_proxy::Proxy;

const KEYS: [u8; 2] = [0x11, 0x22];

/// Two processes, each behind an Envoy of its own, one provider and one Redis.
pub(super) struct Replicas {
    pub server: Server,
    _proxy: Proxy,
    pub one: Rig,
    pub two: Rig,
}

/// The keys that answers lie under, the one that seals first.
fn keys(of: &[u8]) -> String {
    of.iter().map(|byte| format!("{byte:02x}").repeat(32) + "\n").collect()
}

/// Both leave alone who counts: the mock hears of both what one Envoy has sent.
pub(super) fn shared() -> Exceptions {
    Exceptions { may_miss_requests: true, clusters_went: true, ..Exceptions::default() }
}

// === impl Replicas ===

impl Replicas {
    /// With this policy, and a store that is waited for so long.
    pub(super) async fn start(policy: &str, timeout: &str) -> Replicas {
        let server = Server::new();
        let proxy = Proxy::new(server.socket(), None).await;
        let stores = format!(
            "  stores: {{redis: {{urls: ['{}'], timeout: {timeout}, encryptionKey: {{file: '{{dir}}/keys'}}}}}}",
            proxy.url()
        );
        let stores: &'static str = stores.leak();
        let start = async |documents: String| {
            let parts = Parts { process: stores, documents, log: "info", ..Parts::default() };
            Rig::start_with(parts, |dir| fs::write(dir.join("keys"), keys(&KEYS[..1]))).await
        };
        let documents = BACKEND.to_owned() + PROFILE + &consumers(3) + policy;
        let one = start(documents.clone()).await;
        let two = start(documents.replace("{mock}", &one.mock().addr().to_string())).await;
        Replicas { server, _proxy: proxy, one, two }
    }

    pub(super) fn both(&self) -> [&Rig; 2] {
        [&self.one, &self.two]
    }

    /// Waits until so many values were written to the store by this process.
    pub(super) async fn written(rig: &Rig, count: f64) {
        let now = || async { rig.samples().await.sum("weir_cache_store_total", &[("result", "written")]) };
        wait("values in the store", || async { now().await >= count }).await;
    }

    /// Gives both these keys, while they run.
    async fn seal_with(&self, of: &[u8]) {
        for rig in self.both() {
            let loads = || async { rig.samples().await.sum("weir_secret_reloads_total", &[]) };
            let before = loads().await;
            fs::write(rig.directory.file("next-keys"), keys(of)).expect("the directory can be written to");
            fs::rename(rig.directory.file("next-keys"), rig.directory.file("keys")).expect("so is the file");
            wait("look at the keys", || async { loads().await > before }).await;
        }
    }

    pub(super) async fn end(self, exceptions: &Exceptions) {
        self.two.end(exceptions).await;
        self.one.end(exceptions).await;
    }
}

async fn what_one_keeps_all_give_to_the_same_caller_alone(_: BodyMode) {
    let replicas = Replicas::start(&cache(EXACT), "10s").await;
    let (one, two) = (&replicas.one, &replicas.two);
    let body = question("Everywhere?", false);
    assert_eq!(words(&ask(one, 20, &body, &[]).await), 20);
    Replicas::written(one, 1.0).await;
    for stream in [true, false] {
        let answer = ask(two, 30, &question("Everywhere?", stream), &[]).await;
        assert_eq!((words(&answer), said(&answer)), (20, Some("hit")), "asked as a stream: {stream}");
    }
    let other = ask_as(two, 2, 40, &body, &[]).await;
    assert_eq!((words(&other), said(&other)), (40, Some("miss")));
    Replicas::written(two, 1.0).await;
    assert_eq!(asked(one), 2);
    // Nothing of it can be read there.
    for name in replicas.server.say::<Vec<String>>(&["KEYS", "weir:cache:*"]) {
        let value: Vec<u8> = replicas.server.say(&["GET", &name]);
        let shows = |text: &[u8]| value.windows(text.len()).any(|at| at == text);
        assert!(!shows(b"Everywhere") && !shows(b"word") && !shows(b"alpha"), "{name}");
    }
    // What is forgotten at one is forgotten at all, and only what was meant.
    assert_eq!(one.remove("/cache?scope=consumer/c1").await.status, 200);
    let entries = || async { two.admin("/cache").await.json()["memory"]["entries"].as_u64() };
    wait("word of it", || async { entries().await == Some(1) }).await;
    assert_eq!(words(&ask_as(two, 2, 41, &body, &[]).await), 40);
    assert_eq!(words(&ask(two, 21, &body, &[]).await), 21);
    replicas.end(&shared()).await;
}

/// Vectors are in the store as well: what is like a question that was put to another replica is found.
async fn a_like_question_is_answered_by_another_replica(_: BodyMode) {
    let like = "semantic: {threshold: '0.95', ttl: 1h, embedder: {builtin: Lexical}}";
    let replicas = Replicas::start(&cache(like), "10s").await;
    let (one, two) = (&replicas.one, &replicas.two);
    assert_eq!(words(&ask(one, 20, &question("How do I enable it for 10 users?", false), &[]).await), 20);
    // The answer, and its vector.
    Replicas::written(one, 2.0).await;
    let answer = ask(two, 30, &question("how do I enable it for 10 users", true), &[]).await;
    assert_eq!((words(&answer), said(&answer)), (20, Some("semantic")));
    for (consumer, text) in [(1, "How do I enable it for 11 users?"), (2, "how do I enable it for 10 users")] {
        let answer = ask_as(two, consumer, 31, &question(text, false), &[]).await;
        assert_eq!((words(&answer), said(&answer)), (31, Some("miss")), "{text}");
    }
    assert_eq!(one.remove("/cache?scope=all").await.status, 200);
    let entries = || async { two.admin("/cache").await.json()["memory"]["entries"].as_u64() };
    wait("word of it", || async { entries().await == Some(0) }).await;
    assert_eq!(words(&ask(two, 32, &question("how do I enable it, for 10 users", false), &[]).await), 32);
    replicas.end(&shared()).await;
}

/// In front of the old key comes a new one, and then the old one goes: no answer is lost before that, and in the end
/// all agree again.
async fn the_key_is_changed_under_running_replicas(_: BodyMode) {
    let replicas = Replicas::start(&cache(EXACT), "10s").await;
    let (one, two) = (&replicas.one, &replicas.two);
    let first = question("With the old key?", false);
    assert_eq!(words(&ask(one, 20, &first, &[]).await), 20);
    Replicas::written(one, 1.0).await;
    replicas.seal_with(&[KEYS[1], KEYS[0]]).await;
    assert_eq!(words(&ask(two, 30, &first, &[]).await), 20, "what the old key has sealed");
    let second = question("With the new one?", false);
    assert_eq!(words(&ask(two, 21, &second, &[]).await), 21);
    Replicas::written(two, 1.0).await;
    assert_eq!(words(&ask(one, 31, &second, &[]).await), 21, "what the new key has sealed");
    replicas.seal_with(&KEYS[1..]).await;
    assert_eq!(words(&ask(one, 22, &first, &[]).await), 22, "names are made with the new key now");
    Replicas::written(one, 2.0).await;
    assert_eq!(words(&ask(two, 32, &first, &[]).await), 22);
    assert_eq!(one.remove("/cache?scope=consumer/c1").await.status, 200);
    let entries = || async { two.admin("/cache").await.json()["memory"]["entries"].as_u64() };
    // What was kept under the old names is forgotten already.
    wait("word of it", || async { entries().await == Some(0) }).await;
    assert_eq!(words(&ask(two, 33, &first, &[]).await), 33);
    replicas.end(&shared()).await;
}

/// Callers of both replicas ask the same few questions while Redis is killed, stopped in its tracks and started anew.
async fn whatever_becomes_of_redis_everybody_is_answered_and_with_his_own(_: BodyMode) {
    let mut replicas = Replicas::start(&cache(EXACT), "20ms").await;
    let mut round = 0;
    for trouble in ["none", "killed", "back", "stopped", "goes on", "emptied"] {
        match trouble {
            "killed" => replicas.server.kill(),
            "back" => replicas.server.resume(),
            "stopped" => replicas.server.signal("STOP"),
            "goes on" => replicas.server.signal("CONT"),
            "emptied" => replicas.server.say::<()>(&["FLUSHALL"]),
            _ => {}
        }
        for _ in 0..4 {
            round += 1;
            let mut calls = Vec::new();
            for (rig, caller) in replicas.both().into_iter().flat_map(|rig| [1_u8, 2].map(|caller| (rig, caller))) {
                for stream in [false, true] {
                    // How many words an answer has says whose it is.
                    let (key, words) = (bearer(caller), (u64::from(caller) * 100 + round).to_string());
                    let headers = [("authorization", &key[..]), ("x-mock-tokens", &words)];
                    calls.push((caller, rig.open(&headers, &question("Who?", stream)).await));
                }
            }
            for (caller, call) in calls {
                assert_eq!(words(&call.finish().await) / 100, u64::from(caller), "{trouble}");
            }
        }
    }
    // It is used again as soon as it can be.
    let (one, two) = (&replicas.one, &replicas.two);
    let until = Instant::now() + LONG;
    for tries in 0.. {
        let body = question(&format!("Again? {tries}"), false);
        assert_eq!(words(&ask(one, 50, &body, &[]).await), 50);
        tokio::time::sleep(Duration::from_millis(100)).await;
        if words(&ask(two, 60, &body, &[]).await) == 50 {
            break;
        }
        assert!(Instant::now() < until, "nothing is shared after {LONG:?}");
    }
    replicas.end(&shared()).await;
}

first_mode!(
    what_one_keeps_all_give_to_the_same_caller_alone,
    a_like_question_is_answered_by_another_replica,
    the_key_is_changed_under_running_replicas,
    whatever_becomes_of_redis_everybody_is_answered_and_with_his_own
);
