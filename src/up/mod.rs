//! [io] The parts of `weir up`: an Envoy that is found or installed and then run, a private run
//! directory, and the tour. Keys in the environment are found by `config::discovery`. They are put
//! together by `app`:
//!
//! ```text
//! RunDir::create()                    a 0700 directory for the socket, Envoy's files and logs;
//!                                     what a killed run left behind goes
//! install::locate(--envoy)            the path of an Envoy binary, installed if need be
//! (app) Weir's own servers            the ext_proc socket must listen before Envoy starts
//! render::files::write(plan)          bootstrap, clusters, routes, in the run directory
//! process::Envoy::spawn(launch)       Envoy runs, in its own process group
//! envoy.wait_ready(timeout)           requests would succeed now; tells the bound addresses
//! sdk_lines(base_url)                 how to point each SDK at it
//! demo::tour(base_url, admin, out)    with --demo
//! follow::Proxy                       Envoy's files follow each later configuration
//! envoy.stop()                        when a signal comes, after Weir has drained
//! ```

pub mod demo;
mod follow;
pub(crate) mod http;
pub mod install;
mod kept;
mod leftover;
pub mod process;
pub mod run;

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// A directory of this run alone, mode 0700, removed with everything in it when dropped.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    /// Held as long as the directory is in use, where locks work.
    _mark: Option<File>,
}

// === impl RunDir ===

impl RunDir {
    /// Creates one under the system's directory for temporary files, and removes there what killed
    /// processes left behind.
    ///
    /// # Errors
    /// When no directory can be created there.
    pub fn create() -> io::Result<RunDir> {
        let name = "weir";
        let directory = RunDir::inside(&std::env::temp_dir(), name)?;
        leftover::remove(&directory.path, name);
        Ok(directory)
    }

    /// Creates one under `parent`, which must exist. The path is kept short: the name of a Unix
    /// socket inside it may have 107 bytes at most.
    ///
    /// # Errors
    /// When `parent` cannot be written to.
    pub fn inside(parent: &Path, name: &str) -> io::Result<RunDir> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let mut last = io::ErrorKind::AlreadyExists.into();
        for _ in 0..16 {
            let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.subsec_nanos());
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let path = parent.join(format!("{name}-{:x}-{nanos:x}-{count:x}", std::process::id()));
            // Creating fails if anything is there, so nobody can have prepared the directory.
            match std::fs::DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => {
                    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700))?;
                    return match leftover::mark(&path) {
                        Ok(_mark) => Ok(RunDir { path, _mark }),
                        Err(error) => {
                            let _ = std::fs::remove_dir_all(&path);
                            Err(error)
                        }
                    };
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a file inside.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

impl Drop for RunDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// A loopback port that is free now: `preferred`, or any for 0. It is not reserved; whoever can
/// should bind port 0 and ask instead, as Envoy here does.
///
/// # Errors
/// `AddrInUse` when `preferred` is taken.
pub fn pick_port(preferred: u16) -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, preferred))?.local_addr()?.port())
}

/// The lines that point each SDK at `base_url` (which ends in `/v1`), ready to paste into a shell.
pub fn sdk_lines(base_url: &str) -> String {
    let root = base_url.trim_end_matches('/').trim_end_matches("/v1");
    format!(
        "\
Point an application at it; any key will do, it is replaced or stripped:
  OpenAI SDKs      export OPENAI_BASE_URL={root}/v1 OPENAI_API_KEY=any
  Anthropic SDKs   export ANTHROPIC_BASE_URL={root} ANTHROPIC_API_KEY=any
  LangChain        export OPENAI_API_BASE={root}/v1 OPENAI_API_KEY=any
  LiteLLM          export OPENAI_API_BASE={root}/v1 OPENAI_API_KEY=any
  LlamaIndex       export OPENAI_API_BASE={root}/v1 OPENAI_API_KEY=any
  curl             curl {root}/v1/chat/completions -H 'content-type: application/json' \\
                     -d '{{\"model\":\"gpt-4o-mini\",\"messages\":[{{\"role\":\"user\",\"content\":\"hi\"}}]}}'
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_directory_is_private_and_goes_away() {
        let directory = RunDir::create().unwrap();
        let path = directory.path().to_owned();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        std::fs::write(directory.file("x"), "x").unwrap();
        drop(directory);
        assert!(!path.exists());
    }

    #[test]
    fn two_runs_share_no_directory() {
        let (one, other) = (RunDir::create().unwrap(), RunDir::create().unwrap());
        assert_ne!(one.path(), other.path());
    }

    #[test]
    fn a_taken_port_is_refused_and_zero_finds_another() {
        let held = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let taken = held.local_addr().unwrap().port();
        assert_eq!(pick_port(taken).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        assert_ne!(pick_port(0).unwrap(), taken);
    }

    #[test]
    fn sdks_get_the_base_that_each_expects() {
        let lines = sdk_lines("http://127.0.0.1:10000/v1");
        assert!(lines.contains("OPENAI_BASE_URL=http://127.0.0.1:10000/v1 "));
        assert!(lines.contains("ANTHROPIC_BASE_URL=http://127.0.0.1:10000 "));
        assert_eq!(lines, sdk_lines("http://127.0.0.1:10000/"));
    }
}
