//! [io] The way to the store: who asks it knows neither how many servers it has nor which of them has what.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use redis::{ConnectionAddr, Pipeline, Script, Value};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::answers::{elsewhere, words};
use super::board::Board;
use super::breaker::State;
use super::map::{self, Map, Member, Range};
use super::options::Place;
use super::route;
use super::sentinel::Watched;
use super::server::{CONNECT, Common, PAUSE, Seat, Server};
use super::slot::{self, Command};
use super::{Down, Options, Purpose, Unusable};

/// How long the store has for what no request waits for.
const LATER: Duration = Duration::from_secs(1);

/// How long one server is waited for that is asked where slots are.
const LOOK: Duration = Duration::from_millis(500);

/// The store, as long as it is configured.
pub struct Link {
    common: Arc<Common>,
    purpose: Purpose,
    urls: Vec<String>,
    prefix: String,
    /// Where to begin; none where the map is there from the beginning.
    seeds: Vec<ConnectionAddr>,
    /// More than one was named, so that a server which is of no Cluster is a mistake.
    is_cluster: bool,
    map: watch::Sender<Option<Arc<Map>>>,
    /// The map is wrong, or may be.
    stale: Notify,
    /// The next server's.
    number: AtomicU64,
    /// Which server is asked first where slots are: not the same by all replicas, and another one each time.
    turn: AtomicUsize,
}

/// What a server says of the store.
enum Found {
    Alone,
    /// With the names of the servers.
    Cluster(Vec<(Range, String)>),
}

// === impl Link ===

impl Link {
    /// Not connected yet: that is [`Link::keep`]'s. Every server is told these scripts. Needs a tokio runtime.
    ///
    /// # Errors
    /// Where the options can never work; never for want of a server.
    pub fn new(options: &Options, purpose: Purpose, scripts: Vec<Script>) -> Result<Link, Unusable> {
        let (place, access) = options.read(purpose)?;
        let board = Board::new(purpose, Arc::clone(&options.on_state));
        let (access, timeout) = (ArcSwap::from_pointee(access), options.timeout);
        let common = Arc::new(Common { access, scripts, timeout, board });
        let (seeds, is_cluster, watched) = match place {
            Place::One(address) => (vec![address], false, None),
            Place::Cluster(addresses) => (addresses, true, None),
            Place::Sentinels(sentinels) => (Vec::new(), false, Some(Watched::new(sentinels))),
        };
        let (map, stale, number) = (watch::Sender::new(None), Notify::new(), AtomicU64::new(0));
        let turn = AtomicUsize::new(getrandom::u32().map_or(0, |turn| usize::from(turn.to_le_bytes()[0])));
        let (urls, prefix) = (options.urls.clone(), options.prefix.clone());
        let link = Link { common, purpose, urls, prefix, seeds, is_cluster, map, stale, number, turn };
        if let Some(watched) = watched {
            link.put(Map::alone(link.member(None, Seat::Watched(watched))));
        }
        Ok(link)
    }

    /// Says of who comes, and whom TLS trusts, what these options say, from the next connection on: a server asks for
    /// it once a connection. Nothing else of them counts.
    ///
    /// # Errors
    /// As [`Link::new`].
    pub fn authenticate(&self, options: Options) -> Result<(), Unusable> {
        let (_, access) = Options { urls: self.urls.clone(), ..options }.read(self.purpose)?;
        self.common.access.store(Arc::new(access));
        Ok(())
    }

    /// How it stands with all servers together.
    pub fn state(&self) -> State {
        self.common.board.state()
    }

    /// [`Link::state`], now and later. It is new as well where only some server's own state is another.
    pub fn watch(&self) -> watch::Receiver<State> {
        self.common.board.watch()
    }

    /// Whether the server of a slot is asked, as far as it is known. It is not where there is none.
    pub fn is_asked(&self, slot: u16) -> bool {
        match &*self.map.borrow() {
            Some(map) => map.server(slot).is_some_and(|member| member.server.state() != State::Down),
            None => self.state() != State::Down,
        }
    }

    /// The longest that anything waits.
    pub fn timeout(&self) -> Duration {
        self.common.timeout
    }

    /// What is answered to each command, in their order. It is one round trip to each server that has one of the
    /// slots, to all of them at the same time, unless a script is not known, a connection is lost or a slot has
    /// moved: then commands are sent once more, so it must do no harm to send them twice.
    ///
    /// A server's own error is an answer, a [`Value::ServerError`]. After [`Down::Shut`] the command was not sent;
    /// after any other it may have been carried out.
    pub async fn send(&self, commands: Vec<Command>) -> Vec<Result<Value, Down>> {
        self.send_by(commands, Instant::now() + self.timeout()).await
    }

    /// [`Link::send`] of what no request waits for: it has more time, for many replicas send at once what has waited
    /// while the store was away. Of a Cluster it has not: one server that is late would keep the others waiting.
    pub async fn send_later(&self, commands: Vec<Command>) -> Vec<Result<Value, Down>> {
        let limit = if self.is_divided() { self.timeout() } else { self.timeout().max(LATER) };
        self.send_by(commands, Instant::now() + limit).await
    }

    /// [`Link::send`] until this moment.
    pub async fn send_by(&self, commands: Vec<Command>, deadline: Instant) -> Vec<Result<Value, Down>> {
        if commands.is_empty() {
            return Vec::new();
        }
        let map = match self.map(deadline).await {
            Ok(map) => map,
            Err(down) => return vec![Err(down); commands.len()],
        };
        match map.server(0) {
            Some(member) if map.is_alone() => self.send_alone(&member.server, commands, deadline).await,
            _ => route::send(self, commands, deadline).await,
        }
    }

    async fn send_alone(&self, server: &Server, commands: Vec<Command>, deadline: Instant) -> Vec<Result<Value, Down>> {
        let mut all = Pipeline::with_capacity(commands.len());
        for command in commands {
            all.add_command(command.words);
        }
        match server.send(&all, deadline).await {
            Ok(values) => {
                if values.iter().any(|value| elsewhere(value).is_some()) {
                    self.doubt();
                }
                values.into_iter().map(Ok).collect()
            }
            Err(down) => vec![Err(down); all.len()],
        }
    }

    /// Whether keys are divided among servers, so that one script does only what is in one slot.
    ///
    /// # Errors
    /// When nothing is known of the store in time.
    pub async fn divides(&self, deadline: Instant) -> Result<bool, Down> {
        Ok(!self.map(deadline).await?.is_alone())
    }

    /// [`Link::divides`], as far as it is known now.
    pub fn is_divided(&self) -> bool {
        self.map.borrow().as_ref().is_some_and(|map| !map.is_alone())
    }

    // --- where servers are ---

    /// What is known, or will be in time.
    pub(super) async fn map(&self, deadline: Instant) -> Result<Arc<Map>, Down> {
        if let Some(map) = &*self.map.borrow() {
            return Ok(Arc::clone(map));
        }
        if self.state() == State::Down {
            return Err(Down::Shut);
        }
        let mut maps = self.map.subscribe();
        let map = timeout_at(deadline, maps.wait_for(Option::is_some)).await;
        let map = map.ok().and_then(Result::ok).and_then(|map| map.clone());
        map.ok_or(Down::Late(self.timeout()))
    }

    /// The server of this name, which has the slot from now on where one is named.
    pub(super) fn learn(&self, host: &str, port: u16, slot: Option<u16>) -> Option<Arc<Member>> {
        let name = name(host, port);
        self.map.send_if_modified(|map| {
            let Some(old) = map else { return false };
            let known = old.named(&name);
            let is_right = |slot| known.as_ref().is_some_and(|known| old.has(&known.server, slot));
            if old.is_alone() || known.is_some() && slot.is_none_or(is_right) {
                return false;
            }
            let new = old.with(slot, &name, |name| self.remote(name, host, port));
            self.change(Some(old), &new);
            *map = Some(Arc::new(new));
            true
        });
        self.map.borrow().as_ref().and_then(|map| map.named(&name))
    }

    /// The map may be wrong.
    pub(super) fn doubt(&self) {
        self.stale.notify_one();
    }

    /// Looks where servers are until it is dropped: at the beginning until it is found, then whenever that may have
    /// changed, and as long as a Cluster has a server that is not well or a slot that no server has: another one may
    /// have it by now.
    pub async fn keep(self: Arc<Self>) {
        let mut pause = PAUSE.0;
        let mut states = self.watch();
        while !self.seeds.is_empty() {
            let looked = self.look().await;
            let is_new = looked.is_ok();
            match looked {
                Ok(found) => self.adopt(found),
                Err(words) => self.common.board.lost(&words),
            }
            let known = self.map.borrow().clone();
            let is_settled = known.is_some_and(|map| map.is_alone() || map.is_whole() && self.state() == State::Ok);
            pause = if is_new && is_settled { PAUSE.0 } else { (pause * 2).min(PAUSE.1) };
            // However often it is doubted, servers are not asked all the time.
            sleep(PAUSE.0).await;
            let doubted = async {
                if is_settled {
                    let worse = states.wait_for(|state| *state != State::Ok && self.is_divided());
                    tokio::select! {
                        () = self.stale.notified() => {}
                        _ = worse => {}
                    }
                } else {
                    let _ = timeout(pause, self.stale.notified()).await;
                }
            };
            doubted.await;
        }
    }

    /// Asks one server after another, those first that are well, then those that were named.
    async fn look(&self) -> Result<Found, String> {
        let mut command = Pipeline::new();
        command.cmd("CLUSTER").arg("SLOTS");
        let known = self.map.borrow().clone();
        let mut servers: Vec<_> = known.iter().filter(|map| !map.is_alone()).flat_map(|map| map.servers()).collect();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % servers.len().max(1);
        servers.rotate_left(turn);
        servers.sort_by_key(|server| server.state() != State::Ok);
        for server in servers {
            let host = server.name.as_deref().and_then(|name| name.rsplit_once(':')).map(|(host, _)| host);
            if let (Some(value), Some(host)) = (server.ask(&command, LOOK).await, host)
                && let Ok(found) = self.understand(&value, host)
            {
                return Ok(found);
            }
        }
        let access = self.common.access.load_full();
        let mut said = String::new();
        for seed in &self.seeds {
            let asked = timeout(CONNECT, async {
                let client = access.client(seed.clone())?;
                let mut connection = client.get_multiplexed_async_connection().await?;
                connection.send_packed_commands(&command, 0, 1).await
            });
            let found = match asked.await {
                Ok(Ok(values)) => self.understand(values.first().unwrap_or(&Value::Nil), &host(seed)),
                Ok(Err(error)) => Err(error.to_string()),
                Err(_) => Err(format!("no answer within {CONNECT:?}")),
            };
            match found {
                Ok(found) => return Ok(found),
                Err(words) if self.is_cluster => said = format!("{seed}: {words}"),
                Err(words) => said = words,
            }
        }
        Err(said)
    }

    /// A server that does not say is alone, unless more than one was named: one that is of no Cluster has no such
    /// command, and a user of it need not be allowed it.
    fn understand(&self, value: &Value, asked: &str) -> Result<Found, String> {
        match map::read(value) {
            Some(ranges) if !ranges.is_empty() => {
                let named = |range: Range| {
                    let name = name(range.host.as_deref().unwrap_or(asked), range.port);
                    (range, name)
                };
                Ok(Found::Cluster(ranges.into_iter().map(named).collect()))
            }
            Some(_) => Err("it is of a Cluster that has no slots".to_owned()),
            None if self.is_cluster || self.is_divided() => {
                Err(format!("asked for the slots of its Cluster, {}", words(value)))
            }
            None => Ok(Found::Alone),
        }
    }

    fn adopt(&self, found: Found) {
        let old = self.map.borrow().clone();
        match found {
            Found::Alone if old.is_some() => {}
            Found::Alone => {
                if let Some(seed) = self.seeds.first() {
                    self.put(Map::alone(self.member(None, Seat::Fixed(seed.clone()))));
                }
            }
            Found::Cluster(ranges) => {
                let member = |name: &str| {
                    let (host, port) = name.rsplit_once(':').unwrap_or((name, ""));
                    self.remote(name, host, port.parse().unwrap_or_default())
                };
                let map = Map::of(&ranges, old.as_deref(), member);
                for server in map.servers() {
                    server.probe_with(self.probe(Some(slot::tag(|slot| map.has(server, slot)))));
                }
                self.put(map);
            }
        }
    }

    fn put(&self, map: Map) {
        self.map.send_modify(|old| {
            self.change(old.as_deref(), &map);
            *old = Some(Arc::new(map));
        });
    }

    /// Tells the board which servers go and come.
    fn change(&self, old: Option<&Map>, new: &Map) {
        let numbers = |map: &Map| map.servers().map(|server| server.number).collect::<HashSet<u64>>();
        let (old, new) = (old.map(numbers).unwrap_or_default(), numbers(new));
        self.common.board.change(old.difference(&new).copied(), new.difference(&old).copied());
    }

    /// The key that is written to see whether a server takes a write. Where there are several, `tag` is that of one, so
    /// that it is one of its own.
    fn probe(&self, tag: Option<u32>) -> String {
        match tag {
            None => format!("{}:probe", self.prefix),
            Some(tag) => format!("{}:{{{tag}}}:probe", self.prefix),
        }
    }

    fn remote(&self, name: &str, host: &str, port: u16) -> Arc<Member> {
        let address = self.common.access.load().address(host, port);
        self.member(Some(name), Seat::Fixed(address))
    }

    fn member(&self, name: Option<&str>, seat: Seat) -> Arc<Member> {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let probe = self.probe(name.map(|_| 0));
        Member::new(Server::new(number, name.map(Into::into), seat, probe, Arc::clone(&self.common)))
    }
}

fn name(host: &str, port: u16) -> String {
    format!("{host}:{port}")
}

fn host(address: &ConnectionAddr) -> String {
    match address {
        ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. } => host.clone(),
        _ => "127.0.0.1".to_owned(),
    }
}
