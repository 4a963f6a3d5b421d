//! [io] A server in a process of its own that says `ready …` on stdout. Dropping it kills it.

use std::io;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

/// A machine on which a server needs longer than this is stuck.
const START: Duration = Duration::from_secs(30);

pub struct Server {
    child: Child,
    /// Kept open, so that a server that says more does not break.
    _stdout: BufReader<ChildStdout>,
    /// The line that it said.
    pub ready: String,
    /// From the start of the process to that line.
    pub took: Duration,
    pub pid: u32,
}

// === impl Server ===

impl Server {
    /// Starts it and waits for its ready line.
    pub async fn start(command: &mut Command) -> io::Result<Self> {
        let begin = Instant::now();
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let pid = child.id().ok_or(io::ErrorKind::NotFound)?;
        let mut stdout = BufReader::new(child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?);
        let mut ready = String::new();
        timeout(START, stdout.read_line(&mut ready)).await??;
        if !ready.starts_with("ready ") {
            return Err(io::Error::other(format!("no ready line but {ready:?}")));
        }
        Ok(Server { child, _stdout: stdout, ready, took: begin.elapsed(), pid })
    }

    /// The value of `key=` in the ready line.
    pub fn said(&self, key: &str) -> Option<&str> {
        self.ready.split_whitespace().find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
    }

    /// Kills it and returns when it is gone.
    pub async fn stop(mut self) -> io::Result<()> {
        self.child.kill().await
    }
}
