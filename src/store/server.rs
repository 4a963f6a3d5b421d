//! [io] One server: its connection, made anew for as long as there is none, watched, and not asked where that is in
//! vain.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ConnectionAddr, Pipeline, RedisError, Script, Value};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::Down;
use super::access::Access;
use super::answers::{elsewhere, is_no_script, is_of_store, is_read_only, words};
use super::board::Board;
use super::breaker::{Breaker, State};
use super::sentinel::Watched;

/// The longest that a connection may take to be made.
pub(super) const CONNECT: Duration = Duration::from_secs(1);
/// Between probes, and between attempts to connect: from the first to the second, twice as long each time.
pub(super) const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));
/// Commands that wait for the connection to take them; what comes above waits in its caller.
const WRITES: usize = 1024;

/// What all servers of a store have in common.
pub(super) struct Common {
    /// What the next connection says.
    pub access: ArcSwap<Access>,
    /// What each of them is told at each connection.
    pub scripts: Vec<Script>,
    /// The longest that a request waits.
    pub timeout: Duration,
    pub board: Board,
}

/// Where a server is.
pub(super) enum Seat {
    Fixed(ConnectionAddr),
    /// Wherever the master is now.
    Watched(Watched),
}

/// One server, as long as it is asked.
pub(super) struct Server {
    /// No other server has it, at any time.
    pub number: u64,
    /// What it is called where there are several.
    pub name: Option<Box<str>>,
    seat: Seat,
    common: Arc<Common>,
    /// The key that a probe writes.
    probe: ArcSwap<String>,
    lane: watch::Sender<Option<Lane>>,
    breaker: Mutex<Breaker>,
    state: watch::Sender<State>,
    /// Something failed.
    failed: Notify,
    began: Instant,
}

/// A connection.
#[derive(Clone)]
struct Lane {
    connection: MultiplexedConnection,
    /// Another one has another.
    number: u64,
}

// === impl Common ===

impl Common {
    /// Tells the scripts to a server. Each server of a Cluster has its own.
    async fn load(&self, connection: &mut MultiplexedConnection) -> Result<(), RedisError> {
        for script in &self.scripts {
            script.load_async(connection).await?;
        }
        Ok(())
    }
}

// === impl Seat ===

impl Seat {
    async fn client(&self, access: &Access) -> Result<Client, String> {
        match self {
            Seat::Fixed(address) => access.client(address.clone()).map_err(|error| error.to_string()),
            Seat::Watched(watched) => watched.master(access).await,
        }
    }

    /// Done when it is somewhere else.
    async fn left(&self, access: &Access) {
        match self {
            Seat::Fixed(_) => std::future::pending().await,
            Seat::Watched(watched) => watched.replaced(access).await,
        }
    }
}

// === impl Server ===

impl Server {
    /// Not connected yet: that is [`Server::keep`]'s.
    pub(super) fn new(number: u64, name: Option<Box<str>>, seat: Seat, probe: String, common: Arc<Common>) -> Server {
        Server {
            number,
            name,
            seat,
            common,
            probe: ArcSwap::from_pointee(probe),
            lane: watch::Sender::new(None),
            breaker: Mutex::new(Breaker::new()),
            state: watch::Sender::new(State::Degraded),
            failed: Notify::new(),
            began: Instant::now(),
        }
    }

    pub(super) fn state(&self) -> State {
        *self.state.borrow()
    }

    /// It has other slots now, and so another key that it can write.
    pub(super) fn probe_with(&self, key: String) {
        self.probe.store(Arc::new(key));
    }

    /// What it says to each command, in one round trip unless it does not know a script or the connection is lost:
    /// then all are sent once more.
    ///
    /// # Errors
    /// [`Down::Shut`] when nothing was sent; after any other the commands may have been carried out.
    pub(super) async fn send(&self, commands: &Pipeline, deadline: Instant) -> Result<Vec<Value>, Down> {
        if self.state() == State::Down {
            return Err(Down::Shut);
        }
        // Who comes late may find no time, and that is not the server's fault.
        let is_fair = deadline.duration_since(Instant::now()) >= self.common.timeout / 2;
        let sent = timeout_at(deadline, self.send_twice(commands)).await;
        match sent.unwrap_or(Err(Down::Late(self.common.timeout))) {
            Ok(values) => {
                match values.iter().find(|value| is_of_store(value) || self.is_lost(value)) {
                    None => self.note(|breaker, now| breaker.succeed(now), ""),
                    Some(value) => self.fail(&words(value)),
                }
                Ok(values)
            }
            Err(down) => {
                if is_fair || !matches!(down, Down::Late(_)) {
                    self.fail(&down.to_string());
                }
                Err(down)
            }
        }
    }

    /// What it says to what is no request's, whatever the breaker thinks, and none where there is no connection.
    pub(super) async fn ask(&self, command: &Pipeline, limit: Duration) -> Option<Value> {
        let mut lane = self.lane.borrow().clone()?;
        let values = timeout(limit, self.send_once(&mut lane, command)).await.ok()?.ok()?;
        values.into_iter().next()
    }

    async fn send_twice(&self, commands: &Pipeline) -> Result<Vec<Value>, Down> {
        let mut lane = self.lane().await?;
        let first = self.send_once(&mut lane, commands).await;
        match first {
            Ok(values) if values.iter().any(is_no_script) => {
                self.common.load(&mut lane.connection).await.map_err(Down::lost)?;
                self.send_once(&mut lane, commands).await.map_err(Down::lost)
            }
            Ok(values) => Ok(values),
            Err(error) if !error.is_unrecoverable_error() => Err(Down::lost(error)),
            Err(_) => {
                let mut lane = self.lane().await?;
                self.send_once(&mut lane, commands).await.map_err(Down::lost)
            }
        }
    }

    async fn send_once(&self, lane: &mut Lane, commands: &Pipeline) -> Result<Vec<Value>, RedisError> {
        let sent = lane.connection.send_packed_commands(commands, 0, commands.len()).await;
        let is_over = match &sent {
            // There is another master, and its name or the Sentinels know it.
            Ok(values) => values.iter().any(is_read_only),
            Err(error) => error.is_unrecoverable_error(),
        };
        if is_over {
            self.drop_lane(lane.number);
        }
        sent
    }

    /// The connection that there is or will be.
    async fn lane(&self) -> Result<Lane, Down> {
        let mut lanes = self.lane.subscribe();
        let lane = lanes.wait_for(Option::is_some).await.ok().and_then(|lane| lane.clone());
        lane.ok_or(Down::Shut)
    }

    fn drop_lane(&self, number: u64) {
        let gone = |lane: &mut Option<Lane>| lane.take_if(|lane| lane.number == number).is_some();
        if self.lane.send_if_modified(gone) {
            self.failed.notify_one();
        }
    }

    /// Connects and probes until it is dropped.
    pub(super) async fn keep(self: Arc<Self>) {
        let mut number = 0;
        let mut pause = PAUSE.0;
        loop {
            if self.lane.borrow().is_none() {
                number += 1;
                match self.connect(number).await {
                    Ok(lane) => drop(self.lane.send_replace(Some(lane))),
                    Err(words) => self.note(|breaker, now| breaker.cut(now), &words),
                }
            }
            if self.state() == State::Ok || (self.lane.borrow().is_some() && self.probe().await) {
                pause = PAUSE.0;
            } else {
                pause = (pause * 2).min(PAUSE.1);
            }
            match self.state() {
                State::Ok => {
                    let access = self.common.access.load_full();
                    tokio::select! {
                        () = self.failed.notified() => {}
                        // What is under way may still be answered.
                        () = self.seat.left(&access) => drop(self.lane.send_replace(None)),
                    }
                }
                State::Degraded => sleep(PAUSE.0).await,
                State::Down => sleep(pause).await,
            }
        }
    }

    async fn connect(&self, number: u64) -> Result<Lane, String> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None)
            .set_pipeline_buffer_size(WRITES);
        let made = timeout(CONNECT, async {
            let client = self.seat.client(&self.common.access.load_full()).await?;
            let connecting = client.get_multiplexed_async_connection_with_config(&config).await;
            let mut connection = connecting.map_err(|error| error.to_string())?;
            self.common.load(&mut connection).await.map_err(|error| error.to_string())?;
            Ok(Lane { connection, number })
        });
        made.await.unwrap_or_else(|_| Err(format!("no connection within {CONNECT:?}")))
    }

    /// Whether it takes a write in time. One that has no room for more, or is not to be written to, does not.
    async fn probe(&self) -> bool {
        let Some(mut lane) = self.lane.borrow().clone() else { return false };
        let mut commands = Pipeline::new();
        commands.cmd("SET").arg(&**self.probe.load()).arg("1").arg("PX").arg(60_000);
        let limit = self.common.timeout;
        let failed = match timeout(limit, self.send_once(&mut lane, &commands)).await {
            Ok(Ok(values)) => values.iter().find(|value| self.speaks_against(value)).map(words),
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => {
                // A connection on which nothing comes may be dead without a word.
                if self.state() == State::Down {
                    self.drop_lane(lane.number);
                }
                Some(Down::Late(limit).to_string())
            }
        };
        match failed {
            None => self.note(|breaker, now| breaker.probed(now), ""),
            Some(ref words) => self.note(|breaker, now| breaker.fail(now), words),
        }
        failed.is_none()
    }

    /// Whether it is of a Cluster of which nothing else is known.
    fn is_lost(&self, value: &Value) -> bool {
        self.name.is_none() && elsewhere(value).is_some()
    }

    /// Whether it says that it is not well. One whose slots have moved is.
    fn speaks_against(&self, value: &Value) -> bool {
        matches!(value, Value::ServerError(_)) && (elsewhere(value).is_none() || self.is_lost(value))
    }

    fn fail(&self, words: &str) {
        self.note(|breaker, now| breaker.fail(now), words);
        self.failed.notify_one();
    }

    /// Tells the breaker, and whoever wants to know where its state is another.
    fn note(&self, what: impl FnOnce(&mut Breaker, Duration), words: &str) {
        let mut breaker = self.breaker.lock().unwrap_or_else(PoisonError::into_inner);
        what(&mut breaker, self.began.elapsed());
        let state = breaker.state();
        // Under the lock, so that states are told in their order.
        let is_new = self.state.send_if_modified(|old| std::mem::replace(old, state) != state);
        if is_new {
            self.common.board.tell(self.number, self.name.as_deref(), state, words);
        }
    }
}
