//! A closed loop over HTTP/1.1: each connection sends the same bytes again as soon as the answer has
//! come whole. Connections are kept; nothing on the way allocates per request.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::answer::Answer;
use super::histogram::Histogram;

/// An answer that takes longer is an error, and its connection is given up.
const PATIENCE: Duration = Duration::from_secs(30);
/// The pause after a connection that could not be made, so that a dead server is not hammered.
const PAUSE: Duration = Duration::from_millis(10);
const READ: usize = 64 * 1024;

#[derive(Clone, Debug)]
pub struct Load {
    pub address: SocketAddr,
    /// One whole request, which must not ask for the connection to be closed.
    pub request: Vec<u8>,
    pub connections: usize,
    /// What comes before this has passed is not counted.
    pub warm_up: Duration,
    pub amount: Amount,
}

/// How long the counted part is.
#[derive(Clone, Copy, Debug)]
pub enum Amount {
    For(Duration),
    Requests(u64),
}

#[derive(Clone, Debug)]
pub struct Outcome {
    /// Answers with status 200 that came whole.
    pub requests: u64,
    /// Everything else: another status, a broken answer, no connection, no answer in time.
    pub errors: u64,
    pub elapsed: Duration,
    /// Of the answers with status 200.
    pub latency: Histogram,
}

/// A kept connection and its reader.
struct Lane {
    address: SocketAddr,
    stream: Option<TcpStream>,
    answer: Answer,
    buffer: Vec<u8>,
}

/// Runs the load on the current runtime.
pub async fn run(load: &Load) -> io::Result<Outcome> {
    let shared = Arc::new(load.clone());
    let tickets = Arc::new(AtomicU64::new(0));
    let begin = Instant::now() + load.warm_up;
    let mut lanes = JoinSet::new();
    for _ in 0..load.connections {
        lanes.spawn(drive(Arc::clone(&shared), Arc::clone(&tickets), begin));
    }
    let mut all = Outcome { requests: 0, errors: 0, elapsed: Duration::ZERO, latency: Histogram::new() };
    while let Some(one) = lanes.join_next().await {
        let one = one.map_err(io::Error::other)?;
        all.requests += one.requests;
        all.errors += one.errors;
        all.elapsed = all.elapsed.max(one.elapsed);
        all.latency.merge(&one.latency);
    }
    Ok(all)
}

/// One connection's part of the load. Counted is what begins after `begin`.
async fn drive(load: Arc<Load>, tickets: Arc<AtomicU64>, begin: Instant) -> Outcome {
    let mut lane = Lane::new(load.address);
    let mut own = Outcome { requests: 0, errors: 0, elapsed: Duration::ZERO, latency: Histogram::new() };
    loop {
        let sent = Instant::now();
        let counted = sent >= begin;
        let over = match load.amount {
            Amount::For(duration) => sent >= begin + duration,
            Amount::Requests(count) => counted && tickets.fetch_add(1, Ordering::Relaxed) >= count,
        };
        if over {
            return own;
        }
        let status = lane.exchange(&load.request).await;
        let now = Instant::now();
        if counted {
            own.elapsed = now.duration_since(begin);
            match status {
                Ok(200) => {
                    own.requests += 1;
                    own.latency.record(now.duration_since(sent));
                }
                _ => own.errors += 1,
            }
        }
    }
}

// === impl Outcome ===

impl Outcome {
    pub fn rps(&self) -> f64 {
        self.requests as f64 / self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    pub fn p50(&self) -> Duration {
        self.latency.quantile(0.50)
    }

    pub fn p99(&self) -> Duration {
        self.latency.quantile(0.99)
    }
}

// === impl Lane ===

impl Lane {
    fn new(address: SocketAddr) -> Self {
        Self { address, stream: None, answer: Answer::default(), buffer: vec![0; READ] }
    }

    /// One request and its answer's status. After an error the next request has a new connection.
    async fn exchange(&mut self, request: &[u8]) -> io::Result<u16> {
        let result = match timeout(PATIENCE, self.attempt(request)).await {
            Ok(result) => result,
            Err(late) => Err(late.into()),
        };
        if result.is_err() {
            self.stream = None;
            tokio::time::sleep(PAUSE).await;
        }
        result
    }

    async fn attempt(&mut self, request: &[u8]) -> io::Result<u16> {
        if self.stream.is_none() {
            let stream = TcpStream::connect(self.address).await?;
            stream.set_nodelay(true)?;
            self.stream = Some(stream);
        }
        let Some(stream) = &mut self.stream else { return Err(io::ErrorKind::NotConnected.into()) };
        self.answer.reset();
        stream.write_all(request).await?;
        while !self.answer.done() {
            let length = stream.read(&mut self.buffer).await?;
            if length == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.answer.push(&self.buffer[..length], &mut |_| ()).map_err(io::Error::other)?;
        }
        Ok(self.answer.status())
    }
}
