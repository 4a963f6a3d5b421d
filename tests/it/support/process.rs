//! A child process that cannot outlive its test: its output is read all the time and kept whole, and
//! when the guard is dropped the child and everything it started is ended.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

/// How long a child may take to end after SIGTERM before the guard kills it.
const GRACE: Duration = Duration::from_secs(5);

/// A running child. It leads a process group of its own, so that what it starts ends with it.
pub struct Child {
    inner: std::process::Child,
    name: String,
    output: Arc<Output>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Stdout,
    Stderr,
}

/// What a child has written, by lines, as its two streams gave them.
struct Output {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    lines: Vec<(Stream, String)>,
    closed: usize,
}

/// The `weir` command of this build with these arguments. What it keeps from run to run is kept for this run of the
/// tests: what an earlier one spent today is not spent.
pub fn weir(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command.args(arguments);
    command.env("XDG_STATE_HOME", Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("state-{}", std::process::id())));
    command
}

/// The value of `key` in a ready line: `ready base_url=http://… admin=http://…`.
pub fn ready_value(line: &str, key: &str) -> String {
    let mut words = line.split_whitespace();
    let value = words.find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
    value.unwrap_or_else(|| panic!("no {key}= in {line:?}")).to_owned()
}

/// Sends the signal (`TERM`, `STOP`, `CONT`, `KILL`, `INT`) to one process.
pub fn signal(pid: u32, name: &str) {
    let status = kill(&[&format!("-{name}"), &pid.to_string()]);
    assert!(status.success(), "kill -{name} {pid}: {status}");
}

fn kill(arguments: &[&str]) -> ExitStatus {
    let run = Command::new("kill").args(arguments).stdin(Stdio::null()).stderr(Stdio::null()).status();
    run.expect("the `kill` command")
}

// === impl Child ===

impl Child {
    /// Starts `command` without input. `name` is for messages.
    pub fn spawn(name: &str, mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut inner = command.spawn().unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let output = Arc::new(Output { state: Mutex::default(), changed: Condvar::new() });
        read_lines(Stream::Stdout, inner.stdout.take().expect("piped"), &output);
        read_lines(Stream::Stderr, inner.stderr.take().expect("piped"), &output);
        Self { inner, name: name.into(), output }
    }

    pub fn id(&self) -> u32 {
        self.inner.id()
    }

    /// The first line on stdout that begins with `prefix`. Panics, with what the child wrote, when the
    /// child ends without it or `limit` passes.
    pub fn ready_line(&self, prefix: &str, limit: Duration) -> String {
        self.line(Stream::Stdout, |line| line.starts_with(prefix), limit)
            .unwrap_or_else(|| panic!("{}: no line `{prefix}…` on stdout; it wrote:\n{}", self.name, self.written()))
    }

    /// The first line for which `wanted` holds; none when the child ends without it or `limit` passes.
    pub fn line(&self, stream: Stream, wanted: impl Fn(&str) -> bool, limit: Duration) -> Option<String> {
        let until = Instant::now() + limit;
        let mut state = self.output.lock();
        loop {
            let found = state.lines.iter().find(|(from, line)| *from == stream && wanted(line));
            if let Some((_, line)) = found {
                return Some(line.clone());
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || state.closed == 2 {
                return None;
            }
            state = self.output.changed.wait_timeout(state, left).unwrap_or_else(|broken| broken.into_inner()).0;
        }
    }

    /// Everything the child has written so far, both streams by lines.
    pub fn written(&self) -> String {
        self.text(|_| true)
    }

    pub fn stdout(&self) -> String {
        self.text(|stream| stream == Stream::Stdout)
    }

    pub fn stderr(&self) -> String {
        self.text(|stream| stream == Stream::Stderr)
    }

    pub fn signal(&self, name: &str) {
        signal(self.id(), name);
    }

    /// Waits for the end of the child and of its output; none when `limit` passes.
    pub fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let until = Instant::now() + limit;
        loop {
            // A grandchild may hold the output open for ever: that alone is not waited for.
            if let Some(status) = self.inner.try_wait().expect("a child can be waited for") {
                self.line(Stream::Stdout, |_| false, Duration::from_millis(500));
                return Some(status);
            }
            if Instant::now() >= until {
                return None;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// SIGTERM, then waits; panics when the child is still there after `limit`.
    pub fn stop(&mut self, limit: Duration) -> ExitStatus {
        self.signal("TERM");
        self.wait(limit).unwrap_or_else(|| panic!("{} ignores SIGTERM; it wrote:\n{}", self.name, self.written()))
    }

    fn text(&self, wanted: impl Fn(Stream) -> bool) -> String {
        let state = self.output.lock();
        let lines = state.lines.iter().filter(|(stream, _)| wanted(*stream));
        lines.map(|(_, line)| format!("{line}\n")).collect()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let group = format!("-{}", self.id());
        if matches!(self.inner.try_wait(), Ok(None)) {
            // A stopped process takes no SIGTERM.
            kill(&["-CONT", &self.id().to_string()]);
            kill(&["-TERM", &self.id().to_string()]);
            self.wait(GRACE);
        }
        kill(&["-KILL", "--", &group]);
        let _ended = self.inner.wait();
    }
}

// === impl Output ===

impl Output {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|broken| broken.into_inner())
    }
}

/// Reads `from` to its end on a thread. Bytes that are no UTF-8 are replaced.
fn read_lines(stream: Stream, from: impl Read + Send + 'static, output: &Arc<Output>) {
    let output = Arc::clone(output);
    thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        while from.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            let text = String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned();
            line.clear();
            output.lock().lines.push((stream, text));
            output.changed.notify_all();
        }
        output.lock().closed += 1;
        output.changed.notify_all();
    });
}

mod tests {
    use super::super::proc;
    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    fn shell(script: &str) -> Child {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Child::spawn("sh", command)
    }

    #[test]
    fn output_is_kept_whole_and_by_stream() {
        let mut child = shell("echo log >&2; echo ready a=1 b=2; printf last; exit 3");
        let line = child.ready_line("ready ", LONG);
        assert_eq!((ready_value(&line, "b"), ready_value(&line, "a")), ("2".into(), "1".into()));
        assert_eq!(child.wait(LONG).and_then(|status| status.code()), Some(3));
        assert_eq!((child.stdout(), child.stderr()), ("ready a=1 b=2\nlast\n".into(), "log\n".into()));
        assert_eq!(child.line(Stream::Stderr, |line| line.starts_with("ready"), LONG), None);
    }

    #[test]
    fn the_guard_ends_the_child_and_what_it_started() {
        let child = shell("sleep 600 & echo ready pid=$!; kill -STOP $$; wait");
        let grandchild: u32 = ready_value(&child.ready_line("ready", LONG), "pid").parse().expect("a number");
        assert!(proc::runs(grandchild) && proc::rss_bytes(grandchild).expect("it runs") > 0);
        // Its name is still the shell's until it runs `sleep`.
        let children = proc::children(child.id()).expect("it runs");
        assert!(
            children
                .iter()
                .any(|(pid, name)| *pid == grandchild && ["sh", "dash", "bash", "sleep"].contains(&&name[..]))
        );
        assert!(proc::started(grandchild).expect("it runs") >= proc::started(child.id()).expect("it runs"));
        let pid = child.id();
        drop(child);
        let until = Instant::now() + LONG;
        while (proc::runs(grandchild) || proc::runs(pid)) && Instant::now() < until {
            thread::sleep(Duration::from_millis(5));
        }
        assert!(!proc::runs(grandchild) && !proc::runs(pid));
    }

    #[test]
    fn a_term_ends_a_child_that_listens() {
        let mut child = shell("trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done");
        child.ready_line("ready", LONG);
        assert_eq!(child.stop(LONG).code(), Some(7));
    }
}
