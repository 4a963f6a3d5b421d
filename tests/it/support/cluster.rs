//! Redis servers on ports of the loopback interface: those of a Cluster, or a master with its replica and Sentinels.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use super::process::{Child, Stream, signal};
use super::redis::usual;

const READY: Duration = Duration::from_secs(30);
const SLOTS: u16 = 16_384;

/// A server in a directory of its own, where it finds what it had when it is started again.
pub struct Node {
    child: Mutex<Option<Child>>,
    binary: PathBuf,
    arguments: Vec<String>,
    directory: tempfile::TempDir,
    pub port: u16,
}

/// Masters that share the slots evenly, and a replica of each where that is wanted.
pub struct Cluster {
    pub nodes: Vec<Node>,
    masters: usize,
}

/// A port that is free, and so is the one of a Cluster's bus, which is 10,000 above. Both are below those that
/// connections use.
fn port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(std::process::id() % 9_000).expect("small");
    loop {
        let port = 11_000 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000;
        if [port, port + 10_000].iter().all(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()) {
            return port;
        }
    }
}

/// Waits for what comes by itself.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + READY;
    while !holds() {
        assert!(Instant::now() < end, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

// === impl Node ===

impl Node {
    /// Starts it, with these arguments beside those that keep it to itself, and waits until it is ready.
    pub fn start(binary: PathBuf, arguments: &[&str]) -> Node {
        let directory = tempfile::tempdir().expect("a directory");
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let node = Node { child: Mutex::default(), binary, arguments, directory, port: port() };
        node.resume();
        node
    }

    /// A Sentinel of this master, which waits so many milliseconds for it, with more lines of configuration.
    pub fn sentinel(master: u16, quorum: usize, patience: u32, more: &str) -> Node {
        let node = Node {
            child: Mutex::default(),
            binary: usual(),
            arguments: Vec::new(),
            directory: tempfile::tempdir().expect("a directory"),
            port: port(),
        };
        let config = format!(
            "port {}\nbind 127.0.0.1\nsentinel monitor mymaster 127.0.0.1 {master} {quorum}\n\
             sentinel down-after-milliseconds mymaster {patience}\nsentinel failover-timeout mymaster 2000\n{more}",
            node.port
        );
        std::fs::write(node.directory.path().join("sentinel.conf"), config).expect("a file");
        node.resume();
        node
    }

    /// Starts it again after it was killed.
    pub fn resume(&self) {
        let mut command = Command::new(&self.binary);
        let sentinel = self.directory.path().join("sentinel.conf");
        let ready = if sentinel.exists() {
            command.arg(sentinel).arg("--sentinel").current_dir(self.directory.path());
            "Sentinel ID is"
        } else {
            command.args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", "", "--dir"]);
            command.arg(self.directory.path()).args(&self.arguments);
            "eady to accept"
        };
        let child = Child::spawn("redis-server", command);
        let line = child.line(Stream::Stdout, |line| line.contains(ready), READY);
        assert!(line.is_some(), "redis-server is not ready; it wrote:\n{}", child.written());
        *self.child.lock().expect("no panic") = Some(child);
    }

    /// Ends it as a crash would.
    pub fn kill(&self) {
        self.signal("KILL");
        drop(self.child.lock().expect("no panic").take());
    }

    pub fn signal(&self, name: &str) {
        signal(self.id(), name);
    }

    fn id(&self) -> u32 {
        self.child.lock().expect("no panic").as_ref().expect("it runs").id()
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// What it says to one command.
    pub fn say<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        self.try_say(words).unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    pub fn try_say<T: redis::FromRedisValue>(&self, words: &[&str]) -> redis::RedisResult<T> {
        let client = redis::Client::open(self.url()).expect("an address");
        let mut connection = client.get_connection_with_timeout(READY)?;
        let mut command = redis::Cmd::new();
        for word in words {
            command.arg(*word);
        }
        command.query(&mut connection)
    }
}

// === impl Cluster ===

impl Cluster {
    /// So many masters. A server that is away takes no other with it.
    pub fn start(binary: PathBuf, masters: usize, with_replicas: bool) -> Cluster {
        let arguments = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000"];
        let alone = ["--cluster-require-full-coverage", "no", "--cluster-replica-validity-factor", "0"];
        let count = if with_replicas { 2 * masters } else { masters };
        let start = |_| Node::start(binary.clone(), &[&arguments[..], &alone[..]].concat());
        let cluster = Cluster { nodes: (0..count).map(start).collect(), masters };
        for (index, node) in cluster.nodes.iter().enumerate() {
            node.say::<()>(&["CLUSTER", "SET-CONFIG-EPOCH", &(index + 1).to_string()]);
            if index < masters {
                let slots: Vec<String> =
                    (0..SLOTS).filter(|slot| cluster.owner(*slot) == index).map(|slot| slot.to_string()).collect();
                let words = ["CLUSTER", "ADDSLOTS"].into_iter().chain(slots.iter().map(String::as_str));
                node.say::<()>(&words.collect::<Vec<_>>());
            }
            node.say::<()>(&["CLUSTER", "MEET", "127.0.0.1", &cluster.nodes[0].port.to_string()]);
        }
        cluster.settled();
        for (index, replica) in cluster.nodes.iter().enumerate().skip(masters) {
            let master: String = cluster.nodes[index - masters].say(&["CLUSTER", "MYID"]);
            until("it knows its master", || replica.try_say::<()>(&["CLUSTER", "REPLICATE", &master]).is_ok());
            until("it follows", || replica.say::<String>(&["INFO", "replication"]).contains("master_link_status:up"));
        }
        cluster
    }

    /// The one that tests share which change nothing for others. It ends with this process.
    pub fn shared() -> &'static Cluster {
        static SHARED: OnceLock<(Cluster, std::process::Child)> = OnceLock::new();
        let (cluster, _) = SHARED.get_or_init(|| {
            let cluster = Cluster::start(usual(), 3, false);
            let ids: Vec<String> = cluster.nodes.iter().map(|node| node.id().to_string()).collect();
            // Nothing is dropped that is shared. What it reads ends when this process does.
            let script = format!("read nothing; kill -9 {}", ids.join(" "));
            let warden = Command::new("sh").args(["-c", &script]).stdin(Stdio::piped()).spawn();
            (cluster, warden.expect("a shell"))
        });
        cluster
    }

    /// Waits until all of them know all and are well.
    pub fn settled(&self) {
        let known = format!("cluster_known_nodes:{}", self.nodes.len());
        until("the Cluster is whole", || {
            self.nodes.iter().all(|node| {
                let info: String = node.say(&["CLUSTER", "INFO"]);
                info.contains("cluster_state:ok") && info.contains(&known) && info.contains("cluster_slots_ok:16384")
            })
        });
    }

    /// The master that a slot began with.
    pub fn owner(&self, slot: u16) -> usize {
        usize::from(slot) * self.masters / usize::from(SLOTS)
    }

    /// The slot of a counter, as a server says it.
    pub fn slot(&self, counter: &str) -> u16 {
        self.nodes[0].say(&["CLUSTER", "KEYSLOT", &format!("{{{counter}}}")])
    }

    /// The slot goes from one master to another; where it is nothing has changed yet.
    pub fn begin_move(&self, slot: u16, from: usize, to: usize) {
        let [from, to] = [from, to].map(|at| (&self.nodes[at], self.nodes[at].say::<String>(&["CLUSTER", "MYID"])));
        to.0.say::<()>(&["CLUSTER", "SETSLOT", &slot.to_string(), "IMPORTING", &from.1]);
        from.0.say::<()>(&["CLUSTER", "SETSLOT", &slot.to_string(), "MIGRATING", &to.1]);
    }

    /// With the keys that are there now.
    pub fn move_keys(&self, slot: u16, from: usize, to: usize) {
        let port = self.nodes[to].port.to_string();
        loop {
            let keys: Vec<String> = self.nodes[from].say(&["CLUSTER", "GETKEYSINSLOT", &slot.to_string(), "100"]);
            if keys.is_empty() {
                return;
            }
            let mut words = vec!["MIGRATE", "127.0.0.1", &port, "", "0", "10000", "KEYS"];
            words.extend(keys.iter().map(String::as_str));
            self.nodes[from].say::<()>(&words);
        }
    }

    /// And it is there.
    pub fn end_move(&self, slot: u16, from: usize, to: usize) {
        self.move_keys(slot, from, to);
        let id: String = self.nodes[to].say(&["CLUSTER", "MYID"]);
        // First who has it from now on, then who had it, then the others.
        let others = (0..self.nodes.len()).filter(|at| ![from, to].contains(at));
        for at in [to, from].into_iter().chain(others) {
            self.nodes[at].say::<()>(&["CLUSTER", "SETSLOT", &slot.to_string(), "NODE", &id]);
        }
    }

    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(Node::url).collect()
    }
}
