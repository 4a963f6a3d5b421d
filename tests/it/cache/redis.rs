//! Answers that replicas share, on a real Redis: what is kept is found, by whoever may, and by nobody else.

mod cluster;
mod foreign;
mod forgotten;
mod inputs;
mod outage;
mod room;
mod roundtrip;
mod secured;
mod vectors;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::{Instant, sleep};
use weir::base::secret::Secret;
use weir::cache::redis::{AtRest, Keys, Options, Redis, Vector};
use weir::cache::{Entry, Key, Place, Tag};
use weir::store::{self, State};

use crate::support::redis::Server;

/// Longer than anything here takes, also on a machine that does something else.
const PATIENCE: Duration = Duration::from_secs(30);
const HOUR: Duration = Duration::from_secs(3_600);

/// What nobody who looks into the store may see.
const CANARY: &str = "the canary sings of what somebody asked in confidence";

fn place(namespace: &str, tag: u8) -> Place {
    Place { namespace: namespace.into(), tag: Tag([tag; 16]) }
}

fn shop() -> Place {
    place("shop", 1)
}

fn key(number: u8) -> Key {
    Key([number; 32])
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970").as_secs()
}

fn entry(text: &str) -> Entry {
    Entry { bytes: text.to_owned().into(), stored: now(), ttl: HOUR }
}

fn vector(number: u8, question: &str) -> Vector {
    let (values, question) = (vec![0.25; 384].into(), question.into());
    Vector { key: key(number), values, question, stored: now(), ttl: HOUR }
}

/// Sealed with a key of this byte.
fn sealed(byte: u8) -> AtRest {
    AtRest::Sealed(Keys::read(&Secret::new(&format!("{byte:02x}").repeat(32))).expect("a key"))
}

/// A timeout that only a server that does nothing reaches.
fn patient(url: String) -> Options {
    Options::new(store::Options { timeout: PATIENCE, ..store::Options::new(url) }, sealed(1))
}

async fn replica(server: &Server) -> Redis {
    ready(patient(server.url())).await
}

async fn ready(options: Options) -> Redis {
    let redis = Redis::connect(options).expect("usable options");
    until("it is ok", || redis.state() == State::Ok).await;
    redis
}

/// Waits for what comes by itself.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "in vain: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

/// Looks until it is found: a machine that does something else may be late.
async fn finds(redis: &Redis, number: u8, text: &str) {
    let end = Instant::now() + PATIENCE;
    while redis.get(&shop(), &key(number)).await.is_none_or(|entry| entry.bytes != text) {
        assert!(Instant::now() < end, "{redis:?} {:?}", redis.tallies());
    }
}

/// Keeps it, and waits until that is done or known not to be.
async fn keep(redis: &Redis, place: &Place, key: &Key, entry: &Entry) {
    redis.put(place, key, entry.clone());
    assert!(redis.drain(PATIENCE).await);
}

/// The only key that there is but for what was forgotten and what is written to probe.
fn only(server: &Server) -> String {
    let keys: Vec<String> = server.say(&["KEYS", "weir:cache:*"]);
    assert_eq!(keys.len(), 1, "{keys:?}");
    keys[0].clone()
}

fn count(server: &Server) -> usize {
    server.say::<Vec<String>>(&["KEYS", "weir:cache:*"]).len()
}

/// Runs a command with an argument of any bytes.
fn say_bytes(server: &Server, words: &[&str], bytes: &[u8]) {
    let client = redis::Client::open(server.url()).expect("an address");
    let mut connection = client.get_connection().expect("it is ready");
    let mut command = redis::Cmd::new();
    for word in words {
        command.arg(*word);
    }
    command.arg(bytes).query::<()>(&mut connection).expect("it does it");
}
