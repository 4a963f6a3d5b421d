//! Commands that need root: as CI runs, which is root itself or may `sudo`.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// This command as root; a test that needs it fails where it cannot be had.
pub fn as_root(program: &str, arguments: &[&str]) -> Command {
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    let mut command = Command::new(if is_root { program } else { "sudo" });
    if !is_root {
        command.args(["--non-interactive", program]);
    }
    command.args(arguments);
    command
}

/// Runs it to its end, and panics with what it said where it fails.
pub fn must(mut command: Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}: {out}{err}", output.status);
    out.into_owned()
}

/// A copy of the `weir` of this build that every user can run, where it is put.
pub fn weir_for_everybody(at: &Path) -> PathBuf {
    let weir = at.join("weir");
    std::fs::copy(env!("CARGO_BIN_EXE_weir"), &weir).expect("a copy");
    must(as_root("chmod", &["0755", weir.to_str().expect("text")]));
    weir
}
