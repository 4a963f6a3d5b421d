//! Many server-sent event streams side by side, and how late each event comes.
//!
//! An event that carries `sent_ns` followed by digits (a JSON field or a comment line; nanoseconds
//! since the Unix epoch, the one clock that two processes share without unsafe code) is late by now
//! minus that. In a stream without it only what exceeds the nominal spacing between two events is
//! known: coarser, because the timer of the sender is in it too, and an event that comes with the one
//! before counts as on time. Compare only outcomes of the same kind. In a stream with stamps an event
//! without one, such as `[DONE]`, is counted, and how late it came is not known.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::answer::Answer;
use super::histogram::Histogram;

/// A stream in which nothing comes for this long is lost.
const PATIENCE: Duration = Duration::from_secs(30);
const READ: usize = 64 * 1024;
const STAMP: &[u8] = b"sent_ns";

#[derive(Clone, Debug)]
pub struct Streams {
    pub address: SocketAddr,
    /// One whole request.
    pub request: Vec<u8>,
    pub count: usize,
    /// The nominal time between two events. The streams begin spread over it.
    pub spacing: Duration,
}

#[derive(Clone, Debug)]
pub struct Outcome {
    /// Streams with status 200 that ended as their framing says.
    pub complete: u64,
    /// All others.
    pub lost: u64,
    pub events: u64,
    /// How many events carried their time.
    pub stamped: u64,
    /// How late events came; of all that are known, see the head of this file.
    pub delay: Histogram,
}

/// Cuts a body into events and counts them.
pub struct Events {
    spacing: Duration,
    held: Vec<u8>,
    last: Option<Instant>,
    pub events: u64,
    pub stamped: u64,
    pub delay: Histogram,
}

/// Runs all streams to their end on the current runtime.
pub async fn run(streams: &Streams) -> io::Result<Outcome> {
    let shared = Arc::new(streams.clone());
    let mut tasks = JoinSet::new();
    for index in 0..streams.count {
        let shared = Arc::clone(&shared);
        tasks.spawn(async move {
            sleep(shared.spacing.mul_f64(index as f64 / shared.count as f64)).await;
            let mut events = Events::new(shared.spacing);
            let complete = follow(&shared, &mut events).await.unwrap_or(false);
            (complete, events)
        });
    }
    let mut all = Outcome { complete: 0, lost: 0, events: 0, stamped: 0, delay: Histogram::new() };
    while let Some(one) = tasks.join_next().await {
        let (complete, events) = one.map_err(io::Error::other)?;
        all.complete += u64::from(complete);
        all.lost += u64::from(!complete);
        all.events += events.events;
        all.stamped += events.stamped;
        all.delay.merge(&events.delay);
    }
    Ok(all)
}

/// One stream from its request to its end; whether it was whole.
async fn follow(streams: &Streams, events: &mut Events) -> io::Result<bool> {
    let mut stream = TcpStream::connect(streams.address).await?;
    stream.set_nodelay(true)?;
    stream.write_all(&streams.request).await?;
    let mut answer = Answer::default();
    let mut buffer = vec![0; READ];
    while !answer.done() {
        let length = timeout(PATIENCE, stream.read(&mut buffer)).await??;
        if length == 0 {
            return Ok(false);
        }
        let (now, unix) = (Instant::now(), SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default());
        answer.push(&buffer[..length], &mut |body| events.push(body, now, unix)).map_err(io::Error::other)?;
    }
    Ok(answer.status() == 200)
}

// === impl Events ===

impl Events {
    pub fn new(spacing: Duration) -> Self {
        Self { spacing, held: Vec::new(), last: None, events: 0, stamped: 0, delay: Histogram::new() }
    }

    /// Takes body bytes that were read at `now`, which is `unix` since the epoch.
    pub fn push(&mut self, body: &[u8], now: Instant, unix: Duration) {
        self.held.extend_from_slice(body);
        let mut from = 0;
        while let Some(end) = end_of_event(&self.held[from..]) {
            let stamp = stamp(&self.held[from..from + end]);
            from += end;
            self.count(stamp, now, unix);
        }
        self.held.drain(..from);
    }

    fn count(&mut self, stamp: Option<Duration>, now: Instant, unix: Duration) {
        self.events += 1;
        if let Some(stamp) = stamp {
            self.stamped += 1;
            self.delay.record(unix.saturating_sub(stamp));
        } else if let (0, Some(last)) = (self.stamped, self.last) {
            self.delay.record(now.duration_since(last).saturating_sub(self.spacing));
        }
        self.last = Some(now);
    }
}

/// The length of the first event with its empty line, in either spelling.
fn end_of_event(bytes: &[u8]) -> Option<usize> {
    let short = memmem::find(bytes, b"\n\n").map(|at| at + 2);
    let long = memmem::find(bytes, b"\r\n\r\n").map(|at| at + 4);
    short.into_iter().chain(long).min()
}

/// The first digits after the word, whatever punctuation stands between.
fn stamp(event: &[u8]) -> Option<Duration> {
    let after = &event[memmem::find(event, STAMP)? + STAMP.len()..];
    let from = after.iter().position(u8::is_ascii_digit)?;
    let digits = after[from..].split(|byte| !byte.is_ascii_digit()).next()?;
    std::str::from_utf8(digits).ok()?.parse().ok().map(Duration::from_nanos)
}
