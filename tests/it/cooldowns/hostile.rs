//! Whoever can write to the store can claim that anything cools down. What is made of it is bounded.

use std::time::Duration;

use weir::target::health::{DENIED, MAX_COOLDOWN};

use super::*;

const KEY: &str = "weir:{cooldowns}";

/// What the store calls the account of a credential.
fn account(server: &Server, model: &str) -> String {
    let names: Vec<String> = server.say(&["HKEYS", KEY]);
    let name = names.into_iter().find(|name| name.ends_with(&format!("|{model}"))).expect("it was told");
    name.trim_end_matches(model).to_owned()
}

/// A notice that lasts for so long, told last.
fn forge(server: &Server, name: &str, till: &str) {
    let version: u64 = server.say(&["HGET", KEY, "v"]);
    server.say::<()>(&["HSET", KEY, name, &format!("{till} {}", version + 1), "v", &(version + 1).to_string()]);
}

fn millis(server: &Server, from_now: Duration) -> String {
    let [seconds, _]: [u64; 2] = server.say::<Vec<u64>>(&["TIME"]).try_into().expect("two numbers");
    (u128::from(seconds) * 1000 + from_now.as_millis()).to_string()
}

#[tokio::test]
async fn nothing_cools_longer_than_a_providers_own_word_may() {
    let server = Server::new();
    let (one, two) = (Replica::start(&server, Duration::ZERO).await, Replica::start(&server, HOUR).await);
    one.is_limited(GOLD, "m", 60);
    two.learns(GOLD, "m").await;
    let account = account(&server, "m");
    for till in ["18446744073709551615", "9223372036854775807", "1e300", "-1", "nan", ""] {
        forge(&server, &format!("{account}endless"), till);
    }
    forge(&server, &format!("{account}long"), &millis(&server, MAX_COOLDOWN * 2));
    // A key is never refused for so long.
    forge(&server, &account, &millis(&server, MAX_COOLDOWN / 2));
    for name in ["", "|", "||", "a|", "nobody|x~0000|m", "a|APIKey/value~zzzz|m", "open|None|m", "no bars at all"] {
        forge(&server, name, &millis(&server, Duration::from_secs(60)));
    }
    forge(&server, &format!("{account}last"), &millis(&server, Duration::from_secs(600)));
    two.learns(GOLD, "last").await;
    assert!(two.cools("a", GOLD, "endless").is_none_or(|left| left <= DENIED));
    assert!(two.cools("a", GOLD, "long").is_none_or(|left| left <= DENIED));
    assert!(two.world.health().list(two.now()).iter().all(|one| &*one.backend == "a" && one.credential == Some(GOLD)));
    assert!(two.world.health().list(two.now()).iter().all(|one| one.until.since(two.now()) <= MAX_COOLDOWN));
    assert!(two.counts.strange.get() > 0);
}

#[tokio::test]
async fn a_flood_of_made_up_models_is_bounded_here_and_there() {
    const FLOOD: usize = 5_000;
    let server = Server::new();
    let (one, two) = (Replica::start(&server, Duration::ZERO).await, Replica::start(&server, HOUR).await);
    one.is_limited(COMMON, "m", 600);
    two.learns(COMMON, "m").await;
    let account = account(&server, "m");
    let till = millis(&server, Duration::from_secs(600));
    let version: u64 = server.say(&["HGET", KEY, "v"]);
    let value = format!("{till} {}", version + 1);
    let rows: Vec<String> = (0..FLOOD).map(|n| format!("{account}made-up-{n}-{}", "x".repeat(300))).collect();
    let command: Vec<&str> = ["HSET", KEY].into_iter().chain(rows.iter().flat_map(|row| [&**row, &*value])).collect();
    server.say::<()>(&command);
    server.say::<()>(&["HSET", KEY, "v", &(version + 1).to_string()]);
    wait("the flood", || async { two.world.health().list(two.now()).len() > 100 }).await;
    assert!(two.world.health().list(two.now()).len() <= 256);
    // An honest word goes through, and clears up.
    two.is_limited(GOLD, "n", 3000);
    one.learns(GOLD, "n").await;
    // And one replica whose callers make up models tells no more than there is room for.
    (0..FLOOD).for_each(|n| one.is_limited(COMMON, &format!("own-{n}"), 900));
    wait("told or lost", || async { one.counts.lost.get() > 0 && one.counts.told.get() > 1 }).await;
    let fields: Vec<String> = server.say(&["HKEYS", KEY]);
    assert!(fields.len() > 1);
}

#[tokio::test]
async fn a_value_of_another_kind_fails_alone() {
    let server = Server::new();
    server.say::<()>(&["SET", KEY, "mine"]);
    let (one, two) = (Replica::start(&server, Duration::ZERO).await, Replica::start(&server, HOUR).await);
    one.is_limited(GOLD, "m", 3000);
    wait("failures", || async { one.counts.failed.get() > 1 && two.counts.failed.get() > 1 }).await;
    assert!(one.cools("a", GOLD, "m").is_some());
    assert_eq!(two.cools("a", GOLD, "m"), None);
    server.say::<()>(&["DEL", KEY]);
    two.learns(GOLD, "m").await;
}
