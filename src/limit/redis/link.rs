//! [io] The connection: made anew for as long as there is none, watched, and not asked where that is in vain.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Pipeline, RedisError, Script, Value};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};

use super::breaker::{Breaker, State};
use super::{Down, OnState};

/// The longest that a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(1);
/// Between probes, and between attempts to connect: from the first to the second, twice as long each time.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));
/// Commands that wait for the connection to take them; what comes above waits in its caller.
const WRITES: usize = 1024;

/// Codes of errors that concern the whole store and not one key. An older server says some of them only in
/// the text of a script's error.
const OF_STORE: &[&str] = &[
    "OOM",
    "LOADING",
    "READONLY",
    "MISCONF",
    "NOPERM",
    "NOAUTH",
    "WRONGPASS",
    "BUSY",
    "MASTERDOWN",
    "CLUSTERDOWN",
    "NOREPLICAS",
    "TRYAGAIN",
];

/// One server, as long as it is configured.
pub(super) struct Link {
    /// With the password that the next connection says.
    client: ArcSwap<Client>,
    scripts: [Script; 3],
    /// The key that a probe writes.
    probe: String,
    timeout: Duration,
    lane: watch::Sender<Option<Lane>>,
    breaker: Mutex<Breaker>,
    state: watch::Sender<State>,
    /// Something failed.
    failed: Notify,
    on_state: OnState,
    began: Instant,
}

/// A connection.
#[derive(Clone)]
struct Lane {
    connection: MultiplexedConnection,
    /// Another one has another.
    number: u64,
}

/// Which script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Reserve,
    Settle,
    Heartbeat,
}

// === impl Link ===

impl Link {
    /// Not connected yet: that is [`Link::keep`]'s.
    pub(super) fn new(client: Client, probe: String, timeout: Duration, on_state: OnState) -> Link {
        Link {
            client: ArcSwap::from_pointee(client),
            scripts: [
                Script::new(concat!(include_str!("window.lua"), include_str!("reserve.lua"))),
                Script::new(concat!(include_str!("window.lua"), include_str!("settle.lua"))),
                Script::new(include_str!("heartbeat.lua")),
            ],
            probe,
            timeout,
            lane: watch::Sender::new(None),
            breaker: Mutex::new(Breaker::new()),
            state: watch::Sender::new(State::Degraded),
            failed: Notify::new(),
            on_state,
            began: Instant::now(),
        }
    }

    /// Connections that are made from now on are this client's.
    pub(super) fn connect_as(&self, client: Client) {
        self.client.store(Arc::new(client));
    }

    pub(super) fn state(&self) -> State {
        *self.state.borrow()
    }

    /// How it stands, now and later.
    pub(super) fn watch(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// The longest that anything waits.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The digest under which a server knows the script.
    pub(super) fn digest(&self, verb: Verb) -> &str {
        let [reserve, settle, heartbeat] = &self.scripts;
        match verb {
            Verb::Reserve => reserve.get_hash(),
            Verb::Settle => settle.get_hash(),
            Verb::Heartbeat => heartbeat.get_hash(),
        }
    }

    /// What the server says to each command, in one round trip unless it does not know a script or the connection
    /// is lost: then all are sent once more, so it must do no harm to send them twice.
    ///
    /// # Errors
    /// [`Down::Shut`] when nothing was sent; after any other the commands may have been carried out.
    pub(super) async fn send(&self, commands: &Pipeline) -> Result<Vec<Value>, Down> {
        if self.state() == State::Down {
            return Err(Down::Shut);
        }
        let sent = timeout(self.timeout, self.send_twice(commands)).await.unwrap_or(Err(Down::Late(self.timeout)));
        match &sent {
            Ok(values) if !values.iter().any(is_of_store) => self.note(|breaker, now| breaker.succeed(now), ""),
            Ok(values) => self.fail(&values.iter().find(|value| is_of_store(value)).map(words).unwrap_or_default()),
            Err(down) => self.fail(&down.to_string()),
        }
        sent
    }

    async fn send_twice(&self, commands: &Pipeline) -> Result<Vec<Value>, Down> {
        let mut lane = self.lane().await?;
        let first = self.send_once(&mut lane, commands).await;
        match first {
            Ok(values) if values.iter().any(is_no_script) => {
                self.load(&mut lane).await.map_err(Down::lost)?;
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
        if sent.as_ref().is_err_and(RedisError::is_unrecoverable_error) {
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

    async fn load(&self, lane: &mut Lane) -> Result<(), RedisError> {
        for script in &self.scripts {
            script.load_async(&mut lane.connection).await?;
        }
        Ok(())
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
                State::Ok => self.failed.notified().await,
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
            let connection = self.client.load_full().get_multiplexed_async_connection_with_config(&config).await?;
            let mut lane = Lane { connection, number };
            self.load(&mut lane).await.map(|()| lane)
        });
        match made.await {
            Ok(lane) => lane.map_err(|error| error.to_string()),
            Err(_) => Err(format!("no connection within {CONNECT:?}")),
        }
    }

    /// Whether it takes a write in time. One that has no room for more, or is not to be written to, does not.
    async fn probe(&self) -> bool {
        let Some(mut lane) = self.lane.borrow().clone() else { return false };
        let mut commands = Pipeline::new();
        commands.cmd("SET").arg(&self.probe).arg("1").arg("PX").arg(60_000);
        let failed = match timeout(self.timeout, self.send_once(&mut lane, &commands)).await {
            Ok(Ok(values)) => values.iter().find(|value| matches!(value, Value::ServerError(_))).map(words),
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => {
                // A connection on which nothing comes may be dead without a word.
                if self.state() == State::Down {
                    self.drop_lane(lane.number);
                }
                Some(Down::Late(self.timeout).to_string())
            }
        };
        match failed {
            None => self.note(|breaker, now| breaker.probed(now), ""),
            Some(ref words) => self.note(|breaker, now| breaker.fail(now), words),
        }
        failed.is_none()
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
        if self.state.send_replace(state) != state {
            (self.on_state)(state);
            match state {
                State::Ok => tracing::info!("the limit store is ok"),
                State::Degraded => tracing::warn!("the limit store is degraded: {words}"),
                State::Down => tracing::error!("the limit store is down; limits follow their onError: {words}"),
            }
        }
    }
}

// === answers ===

fn is_no_script(value: &Value) -> bool {
    matches!(value, Value::ServerError(error) if error.code() == "NOSCRIPT")
}

/// Whether it is an error of the whole store.
pub(super) fn is_of_store(value: &Value) -> bool {
    let Value::ServerError(error) = value else { return false };
    let text = error.details().unwrap_or_default();
    OF_STORE.contains(&error.code()) || OF_STORE.iter().any(|code| within(text, code))
}

/// Whether a script's error repeats that of a command: `… -OOM command not allowed …`.
fn within(text: &str, code: &str) -> bool {
    text.split_ascii_whitespace().any(|word| word.strip_prefix('-') == Some(code))
}

/// An error's code, and not its text: that may repeat a key, and so who calls.
pub(super) fn words(value: &Value) -> String {
    let Value::ServerError(error) = value else { return String::new() };
    let text = error.details().unwrap_or_default();
    let code = OF_STORE.iter().find(|code| within(text, code)).copied().unwrap_or(error.code());
    format!("it answers {code}")
}
