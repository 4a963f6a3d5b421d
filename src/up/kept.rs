//! [io] Where `weir up` keeps what is spent of limits where no document says it: a budget outlives Ctrl-C.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::limit::journal::Settings;

/// A directory of this configuration alone, under that for a user's state: its limits have nothing to do with those
/// of the same name elsewhere. None for a configuration that is no file, and where there is no such directory.
pub(super) fn settings(config: Option<&Path>) -> Option<Settings> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let xdg = variable("XDG_STATE_HOME").filter(|path| path.is_absolute());
    let state = xdg.or_else(|| Some(variable("HOME")?.join(".local/state")))?;
    let config = config.filter(|path| path.as_os_str() != "-")?.canonicalize().ok()?;
    Some(Settings { path: state.join("weir/limits").join(name(config.as_os_str())), sync: SYNC, is_implied: true })
}

const SYNC: Duration = Duration::from_millis(100);

/// A name for a path.
fn name(path: &OsStr) -> String {
    Sha256::digest(path.as_bytes()).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
