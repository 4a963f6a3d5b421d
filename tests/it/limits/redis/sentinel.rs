//! A master that Sentinels watch: wherever it is, it is asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use weir::base::secret::Secret;
use weir::limit::Unit;
use weir::limit::redis::{Down, Options, Redis, State};
use weir::limit::take::Take;
use weir::limit::window::Window;

use super::{PATIENCE, all, granted, id, left, limit, ready, take, until};
use crate::support::cluster::Node;
use crate::support::redis::{packaged, usual};

const SHORT: Duration = Duration::from_millis(100);
const AMOUNT: u64 = 1_000_000;

/// Two servers of which one follows the other, and who watches them.
struct Watched {
    servers: [Node; 2],
    sentinels: Vec<Node>,
}

impl Watched {
    async fn start(sentinels: usize, config: &str) -> Watched {
        let master = Node::start(usual(), &["--repl-diskless-sync-delay", "0"]);
        let replica = Node::start(usual(), &["--replicaof", "127.0.0.1", &master.port.to_string()]);
        let up = || replica.say::<String>(&["INFO", "replication"]).contains("master_link_status:up");
        until("it follows", up).await;
        let quorum = sentinels / 2 + 1;
        let sentinels: Vec<Node> = (0..sentinels).map(|_| Node::sentinel(master.port, quorum, 500, config)).collect();
        Watched { servers: [master, replica], sentinels }
    }

    /// Waits until each Sentinel knows the replica and the other Sentinels.
    async fn settled(&self) {
        let others = format!("num-other-sentinels,{}", self.sentinels.len() - 1);
        for sentinel in &self.sentinels {
            let knows = || {
                let words: Vec<String> = sentinel.say(&["SENTINEL", "MASTER", "mymaster"]);
                let said = words.join(",");
                said.contains(&others) && said.contains("num-slaves,1")
            };
            until("they know each other", knows).await;
        }
    }

    fn options(&self) -> Options {
        // The first is not there.
        let first = "redis+sentinel://127.0.0.1:1/mymaster".to_owned();
        let url = |node: &Node| format!("redis+sentinel://127.0.0.1:{}/mymaster", node.port);
        let urls = [first].into_iter().chain(self.sentinels.iter().map(url)).collect();
        Options { urls, timeout: SHORT, ..Options::new("") }
    }
}

fn tokens(amount: u64) -> Take {
    take(&limit("fair/tokens", Unit::Tokens, AMOUNT, Window::Rolling(Duration::from_secs(3_600))), amount)
}

/// A server whose role changes breaks its connections: then it says nothing.
fn says(server: &Node, section: &str, words: &str) -> bool {
    server.try_say::<String>(&["INFO", section]).is_ok_and(|said| said.contains(words))
}

#[tokio::test]
async fn the_replica_of_a_killed_master_is_asked() {
    let watched = Watched::start(3, "").await;
    watched.settled().await;
    let redis = ready(Redis::connect(watched.options()).expect("usable options")).await;
    let grant = granted(&redis, &[tokens(100)]).await;
    let told: u32 = watched.servers[0].say(&["WAIT", "1", "10000"]);
    assert_eq!(told, 1);
    watched.servers[0].kill();
    while redis.reserve(id(), &[tokens(1)]).await != Err(Down::Shut) {}
    redis.settle_later(all(&grant, 40));
    until("the other one is asked", || redis.state() == State::Ok).await;
    assert!(redis.drain(PATIENCE).await);
    assert_eq!((AMOUNT - left(&redis, &tokens(1)).await, redis.dropped()), (40, 0));
    granted(&redis, &[tokens(1)]).await;
    let role: Vec<redis::Value> = watched.servers[1].say(&["ROLE"]);
    assert_eq!(role[0], redis::Value::BulkString("master".into()));
}

/// What was told is heard of the one that takes its place.
#[tokio::test]
async fn notices_outlive_a_killed_master() {
    let watched = Watched::start(3, "").await;
    watched.settled().await;
    let redis = ready(Redis::connect(watched.options()).expect("usable options")).await;
    redis.tell(&[("a".to_owned(), Duration::from_secs(3_000))]).await.expect("the store answers");
    let before = redis.version().await;
    let told: u32 = watched.servers[0].say(&["WAIT", "1", "10000"]);
    assert_eq!(told, 1);
    watched.servers[0].kill();
    while redis.version().await != Err(Down::Shut) {}
    until("the other one is asked", || redis.state() == State::Ok).await;
    assert_eq!(redis.version().await, before);
    assert_eq!(redis.listen(0).await.expect("the store answers").notices.len(), 1);
}

/// The old master follows the new one, and says no to writes. All that was settled is charged, but for what the new
/// one may not have been told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_planned_failover_under_load_adds_up() {
    const TAKERS: u64 = 8;
    let watched = Watched::start(1, "").await;
    watched.settled().await;
    let redis = ready(Redis::connect(watched.options()).expect("usable options")).await;
    let (stop, granted) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut takers = tokio::task::JoinSet::new();
    for _ in 0..TAKERS {
        let (redis, stop, granted) = (redis.clone(), Arc::clone(&stop), Arc::clone(&granted));
        takers.spawn(async move {
            while !stop.load(Ordering::SeqCst) {
                if let Ok(answer) = redis.reserve(id(), &[tokens(10)]).await {
                    redis.settle_later(all(&answer.expect("there is room"), 7));
                    granted.fetch_add(1, Ordering::SeqCst);
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
    }
    tokio::time::sleep(SHORT).await;
    watched.sentinels[0].say::<()>(&["SENTINEL", "FAILOVER", "mymaster"]);
    // A replica runs no scripts: it is told what they did.
    let is_asked = || says(&watched.servers[1], "commandstats", "cmdstat_evalsha:");
    until("the new one is asked", is_asked).await;
    until("the old one follows", || says(&watched.servers[0], "replication", "role:slave")).await;
    until("it is ok", || redis.state() == State::Ok).await;
    tokio::time::sleep(SHORT).await;
    stop.store(true, Ordering::SeqCst);
    takers.join_all().await;
    assert!(redis.drain(PATIENCE).await);
    let charged = AMOUNT - left(&redis, &tokens(1)).await;
    let count = granted.load(Ordering::SeqCst);
    // What the old master had not told its replica, and did after it was replaced, is lost; how much that is, is a
    // matter of its speed. Nothing is charged twice, and nothing is lost any more.
    assert!(charged <= 7 * count + 10 * TAKERS, "{charged} of {count} times 7");
    for _ in 0..100 {
        let answer = redis.reserve(id(), &[tokens(10)]).await.expect("it is the master").expect("there is room");
        redis.settle_later(all(&answer, 7));
    }
    assert!(redis.drain(PATIENCE).await);
    assert_eq!(AMOUNT - left(&redis, &tokens(1)).await, charged + 700);
    assert_eq!(redis.dropped(), 0);
}

/// A server that is a master no more is left, and found again under its name when it is one.
#[tokio::test]
async fn a_master_that_steps_back_is_no_store() {
    let server = Node::start(packaged(), &[]);
    let redis = Redis::connect(Options { timeout: SHORT, ..Options::new(server.url()) }).expect("usable options");
    let redis = ready(redis).await;
    granted(&redis, &[tokens(10)]).await;
    server.say::<()>(&["REPLICAOF", "127.0.0.1", "1"]);
    redis.reserve(id(), &[tokens(10)]).await.expect_err("it is read-only");
    server.say::<()>(&["REPLICAOF", "NO", "ONE"]);
    until("it is ok", || redis.state() == State::Ok).await;
    granted(&redis, &[tokens(10)]).await;
    assert!(redis.drain(PATIENCE).await);
    assert_eq!(AMOUNT - left(&redis, &tokens(1)).await, 20);
}

/// Sentinels have passwords of their own.
#[tokio::test]
async fn a_sentinel_may_ask_for_a_password() {
    let watched = Watched::start(1, "requirepass sentinels-own\n").await;
    for (password, state) in [(Some("sentinels-own"), State::Ok), (Some("another"), State::Down), (None, State::Down)] {
        let sentinel_password = password.map(Secret::new);
        let options = Options { sentinel_password, ..watched.options() };
        let redis = Redis::connect(options).expect("usable options");
        until("it has tried", || redis.state() == state).await;
    }
}
