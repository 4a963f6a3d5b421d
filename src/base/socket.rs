//! [io] A Unix socket that is at no moment open to more users than its mode says.
//!
//! Between `bind` and `chmod` a socket has the mode that the umask gives it, and the umask belongs
//! to the whole process. So the socket is made in a directory that nobody else can enter, gets its
//! mode there, and is renamed to its place, which also replaces a stale one in one step.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

/// Time for whoever listens on an existing socket to take a connection.
const PROBE: Duration = Duration::from_secs(1);

/// A directory that is removed with what is in it.
struct Private(PathBuf);

/// Listens at `path` with these permission bits. A socket file on which nobody answers is replaced; one
/// on which somebody does is not. The path must be about 15 bytes shorter than the system's limit of 107.
///
/// # Errors
/// `AddrInUse` when somebody answers, `AlreadyExists` when the path is no socket, or what the system says.
pub async fn bind(path: &Path, mode: u32) -> io::Result<UnixListener> {
    check_place(path).await?;
    let private = Private::beside(path)?;
    let made = private.0.join("s");
    let listener = UnixListener::bind(&made)?;
    fs::set_permissions(&made, Permissions::from_mode(mode))?;
    fs::rename(&made, path)?;
    Ok(listener)
}

/// Whether the place is free, or held by a socket that nobody listens on.
async fn check_place(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(found) if !found.file_type().is_socket() => return Err(ErrorKind::AlreadyExists.into()),
        Ok(_) => {}
    }
    match timeout(PROBE, UnixStream::connect(path)).await {
        Ok(Err(error)) if matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::NotFound) => Ok(()),
        // It answers, or it is too busy to, or it is somebody else's: not ours to take.
        _ => Err(ErrorKind::AddrInUse.into()),
    }
}

// === impl Private ===

impl Private {
    /// Makes one in the directory of `path`, on the same file system.
    fn beside(path: &Path) -> io::Result<Self> {
        let parent = path.parent().unwrap_or_else(|| Path::new(""));
        // Two sockets of one process may be made at the same time.
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let directory = parent.join(format!(".w{}-{count}", std::process::id()));
        match DirBuilder::new().mode(0o700).create(&directory) {
            // Left behind by a process that had our id and died in between. Removing it fails when
            // it is another user's, and then so do we.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                fs::remove_dir_all(&directory)?;
                DirBuilder::new().mode(0o700).create(&directory)?;
            }
            result => result?,
        }
        Ok(Private(directory))
    }
}

/// Only cleaning up; nothing depends on it.
impl Drop for Private {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_owner_may_connect_and_nothing_is_left_beside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admin.sock");
        let _listener = bind(&path, 0o600).await.unwrap();
        assert_eq!(fs::symlink_metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        UnixStream::connect(&path).await.unwrap();
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admin.sock");
        drop(bind(&path, 0o600).await.unwrap());
        assert!(path.exists());
        let _live = bind(&path, 0o600).await.unwrap();
        assert_eq!(bind(&path, 0o600).await.unwrap_err().kind(), ErrorKind::AddrInUse);
        UnixStream::connect(&path).await.unwrap();
    }

    #[tokio::test]
    async fn a_file_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admin.sock");
        fs::write(&path, "precious").unwrap();
        assert_eq!(bind(&path, 0o600).await.unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }
}
