//! [io] One running Envoy: started, waited for until requests succeed, stopped. It does not outlive
//! this process, with one exception: where `setpriv` (util-linux) is absent and this process is
//! killed with SIGKILL, nothing is left that could stop it.

use std::ffi::OsString;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use super::http::{Client, HttpError};
use super::install::which;
use crate::render::envoy::ROUTES;

/// How to start one.
#[derive(Clone, Debug)]
pub struct Launch<'a> {
    pub envoy: &'a Path,
    /// What `render::files::write` returned.
    pub config: &'a Path,
    /// A private directory: Envoy's log and the address of its admin endpoint are written here.
    pub directory: &'a Path,
    /// The addresses of the rendered plan; checked beforehand, because Envoy shares a port with
    /// another Envoy without a word.
    pub listen: SocketAddr,
    pub admin: SocketAddr,
    /// Worker threads; none for one a core.
    pub concurrency: Option<u32>,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub log_level: &'a str,
}

/// An Envoy process. Dropping it kills it.
#[derive(Debug)]
pub struct Envoy {
    child: Child,
    log: PathBuf,
    admin_file: PathBuf,
}

/// Where a ready Envoy listens, with the ports that the kernel chose for 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    pub listen: SocketAddr,
    pub admin: SocketAddr,
}

/// Why Envoy does not run.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    #[error("{0} is in use by another process; choose another port, or 0 for any")]
    PortInUse(SocketAddr),
    #[error("cannot listen on {0}")]
    Bind(SocketAddr, #[source] io::Error),
    #[error("cannot write Envoy's log")]
    Log(#[source] io::Error),
    #[error("cannot start {0}")]
    Start(PathBuf, #[source] io::Error),
    #[error("Envoy ended at once ({status}); the end of its log:\n{tail}")]
    Died { status: ExitStatus, tail: String },
    #[error("Envoy refuses its configuration; the end of its log:\n{tail}")]
    Refused { tail: String },
    #[error("Envoy is not ready after {after:?}, it waits for {waits_for}; the end of its log:\n{tail}")]
    NotReady { after: Duration, waits_for: &'static str, tail: String },
    #[error("cannot wait for Envoy")]
    Wait(#[source] io::Error),
}

/// How long an Envoy that was asked to stop may take.
const GRACE: Duration = Duration::from_secs(2);
const ADMIN_TIMEOUT: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(15);
/// How much of the log an error shows.
const TAIL_LINES: usize = 12;
const TAIL_BYTES: usize = 4096;

// === impl Envoy ===

impl Envoy {
    /// Starts it, in a process group of its own: a Ctrl-C in the terminal is for Weir, which first
    /// drains and then calls [`Envoy::stop`].
    ///
    /// Call this on a thread that lives as long as Envoy shall: the kernel ties the death signal to
    /// the thread that starts a process.
    ///
    /// # Errors
    /// When a port is taken, the log cannot be written, or the binary cannot be run.
    pub fn spawn(launch: &Launch) -> Result<Envoy, ProcessError> {
        check_free(launch.listen)?;
        check_free(launch.admin)?;
        let log = launch.directory.join("envoy.log");
        let admin_file = launch.directory.join("envoy-admin.address");
        let _ = std::fs::remove_file(&admin_file);
        let out = std::fs::File::create(&log).map_err(ProcessError::Log)?;
        let err = out.try_clone().map_err(ProcessError::Log)?;
        let mut command = tied_to_us(launch.envoy);
        command.arg("--config-path").arg(launch.config).arg("--admin-address-path").arg(&admin_file);
        command.args(["--log-level", launch.log_level]);
        // Nothing is shared with any other Envoy: neither a base id, nor shared memory (which would
        // stay behind), nor a socket.
        command.arg("--disable-hot-restart");
        if let Some(threads) = launch.concurrency {
            command.args(["--concurrency", &threads.to_string()]);
        }
        command.stdin(Stdio::null()).stdout(out).stderr(err).process_group(0).kill_on_drop(true);
        let child = command.spawn().map_err(|source| ProcessError::Start(launch.envoy.to_owned(), source))?;
        Ok(Envoy { child, log, admin_file })
    }

    /// Envoy's process id, until it has ended.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// The file that Envoy logs to.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Waits until a request would be routed: Envoy is live, its listener is open, and the clusters
    /// and routes of the watched files are loaded. A cluster counts as loaded when its name was
    /// asked for once, so a slow resolver delays this.
    ///
    /// # Errors
    /// When Envoy ends, refuses a part of its configuration, or is not ready after `limit`.
    pub async fn wait_ready(&mut self, limit: Duration) -> Result<Ready, ProcessError> {
        let client = Client::new();
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait().map_err(ProcessError::Wait)? {
                return Err(self.died(status));
            }
            let waits_for = match self.look(&client).await {
                Look::Ready(ready) => return Ok(ready),
                Look::Refused => return Err(ProcessError::Refused { tail: self.tail() }),
                Look::Not(what) => what,
            };
            if Instant::now() >= deadline {
                return Err(ProcessError::NotReady { after: limit, waits_for, tail: self.tail() });
            }
            sleep(POLL).await;
        }
    }

    /// Waits until Envoy ends by itself.
    ///
    /// # Errors
    /// When the process cannot be waited for.
    pub async fn wait(&mut self) -> Result<ExitStatus, ProcessError> {
        self.child.wait().await.map_err(ProcessError::Wait)
    }

    /// Takes no connection any more at `listen`; what runs goes on. Envoy answers before its threads have
    /// closed their sockets, so that this tries for 2 seconds. Where Envoy does not answer, nothing is changed.
    pub async fn stop_listening(&self, listen: SocketAddr) {
        let Some(admin) = self.admin() else { return };
        if Client::new().post(&format!("http://{admin}/drain_listeners"), ADMIN_TIMEOUT).await.is_err() {
            return;
        }
        let closed = async {
            while TcpStream::connect(listen).await.is_ok() {
                sleep(POLL).await;
            }
        };
        let _ = timeout(GRACE, closed).await;
    }

    /// Waits until no answer is under way in Envoy and none waits to be sent, or for 2 seconds: what
    /// Weir has seen end has not yet reached every client.
    pub async fn settle(&self) {
        let Some(admin) = self.admin() else { return };
        let client = Client::new();
        let url = format!("http://{admin}/stats?format=json&filter=%5Ehttp%5C.{ROUTES}%5C.downstream_");
        let quiet = async {
            while let Ok(answer) = client.get(&url, ADMIN_TIMEOUT).await {
                let stats: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
                let busy = |gauge: &str| counter(&stats, &format!("http.{ROUTES}.downstream_{gauge}")) > 0;
                if !busy("rq_active") && !busy("cx_tx_bytes_buffered") {
                    return;
                }
                sleep(POLL).await;
            }
        };
        let _ = timeout(GRACE, quiet).await;
    }

    /// Ends it at once, and returns when it is gone.
    ///
    /// # Errors
    /// When the process cannot be waited for.
    pub async fn kill(mut self) -> Result<ExitStatus, ProcessError> {
        // It may have ended by itself; then there is nothing to kill.
        let _ = self.child.start_kill();
        self.child.wait().await.map_err(ProcessError::Wait)
    }

    /// Asks Envoy to exit, kills it when it has not after 2 seconds, and returns when it is gone.
    ///
    /// # Errors
    /// When the process cannot be waited for.
    pub async fn stop(mut self) -> Result<ExitStatus, ProcessError> {
        if let Some(admin) = self.admin() {
            let asked = Client::new().post(&format!("http://{admin}/quitquitquit"), ADMIN_TIMEOUT).await;
            if asked.is_ok()
                && let Ok(ended) = timeout(GRACE, self.child.wait()).await
            {
                return ended.map_err(ProcessError::Wait);
            }
        }
        self.kill().await
    }

    /// Envoy writes this file when its admin endpoint listens.
    fn admin(&self) -> Option<SocketAddr> {
        std::fs::read_to_string(&self.admin_file).ok()?.trim().parse().ok()
    }

    async fn look(&self, client: &Client) -> Look {
        let Some(admin) = self.admin() else { return Look::Not("its admin endpoint") };
        match state(client, admin).await {
            Ok(look) => look,
            Err(_) => Look::Not("an answer of its admin endpoint"),
        }
    }

    fn died(&self, status: ExitStatus) -> ProcessError {
        let tail = self.tail();
        let in_use = tail.lines().find(|line| line.contains("Address already in use")).and_then(quoted_address);
        match in_use {
            Some(address) => ProcessError::PortInUse(address),
            None => ProcessError::Died { status, tail },
        }
    }

    fn tail(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        tail_of(&String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(TAIL_BYTES)..]))
    }
}

enum Look {
    Ready(Ready),
    Refused,
    Not(&'static str),
}

async fn state(client: &Client, admin: SocketAddr) -> Result<Look, HttpError> {
    let get = async |path: &str| client.get(&format!("http://{admin}{path}"), ADMIN_TIMEOUT).await;
    let stats = get("/stats?format=json&filter=%5E(cluster_manager%5C.cds%7Chttp%5C.weir%5C.rds)%5C.").await?;
    let stats: Value = serde_json::from_slice(&stats.body).unwrap_or_default();
    let (cds, rds) = ("cluster_manager.cds".to_owned(), format!("http.{ROUTES}.rds.{ROUTES}"));
    if [&cds, &rds].into_iter().any(|source| counter(&stats, &format!("{source}.update_rejected")) > 0) {
        return Ok(Look::Refused);
    }
    for (source, what) in [(cds, "the clusters"), (rds, "the routes")] {
        if counter(&stats, &format!("{source}.update_success")) == 0 {
            return Ok(Look::Not(what));
        }
    }
    if !get("/ready").await?.status.is_success() {
        return Ok(Look::Not("its workers"));
    }
    let listeners: Value = serde_json::from_slice(&get("/listeners?format=json").await?.body).unwrap_or_default();
    let address = &listeners["listener_statuses"][0]["local_address"]["socket_address"];
    let Some(listen) = socket_address(address) else { return Ok(Look::Not("its listener")) };
    Ok(Look::Ready(Ready { listen, admin }))
}

fn counter(stats: &Value, name: &str) -> u64 {
    let all = stats["stats"].as_array().map(Vec::as_slice).unwrap_or_default();
    all.iter().find(|stat| stat["name"] == name).and_then(|stat| stat["value"].as_u64()).unwrap_or(0)
}

fn socket_address(address: &Value) -> Option<SocketAddr> {
    let ip = address["address"].as_str()?.parse().ok()?;
    let port = u16::try_from(address["port_value"].as_u64()?).ok()?;
    (port != 0).then(|| SocketAddr::new(ip, port))
}

/// The address in `cannot bind '127.0.0.1:10000': Address already in use`.
fn quoted_address(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once('\'')?;
    rest.split_once('\'')?.0.parse().ok()
}

fn tail_of(log: &str) -> String {
    let lines: Vec<&str> = log.lines().filter(|line| !line.trim().is_empty()).collect();
    let shown = &lines[lines.len().saturating_sub(TAIL_LINES)..];
    if shown.is_empty() { "(it is empty)".to_owned() } else { shown.join("\n") }
}

/// Envoy, started so that the kernel ends it with the thread that started it, where there is a tool
/// that can say so; it replaces itself with Envoy, so the process id is Envoy's.
fn tied_to_us(envoy: &Path) -> Command {
    let path: OsString = std::env::var_os("PATH").unwrap_or_default();
    match which("setpriv", &path) {
        Some(setpriv) if cfg!(target_os = "linux") => {
            let mut command = Command::new(setpriv);
            command.args(["--pdeathsig", "TERM", "--"]).arg(envoy);
            command
        }
        _ => Command::new(envoy),
    }
}

fn check_free(address: SocketAddr) -> Result<(), ProcessError> {
    if address.port() == 0 {
        return Ok(());
    }
    match TcpListener::bind(address) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(ProcessError::PortInUse(address)),
        Err(error) => Err(ProcessError::Bind(address, error)),
    }
}

#[cfg(test)]
mod tests;
