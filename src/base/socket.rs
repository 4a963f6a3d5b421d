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

/// Makes `link` lead to the file `name` beside it: whoever connects to `link` reaches what it led to before, or this,
/// and nothing in between. What stands at `link` is replaced where it is a link or a socket.
///
/// # Errors
/// `AlreadyExists` when it is anything else, or what the system says.
pub fn lead(link: &Path, name: &str) -> io::Result<()> {
    match fs::symlink_metadata(link) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
        Ok(found) if found.is_symlink() || found.file_type().is_socket() => {}
        Ok(_) => return Err(ErrorKind::AlreadyExists.into()),
    }
    let private = Private::beside(link)?;
    let made = private.0.join("l");
    std::os::unix::fs::symlink(name, &made)?;
    fs::rename(&made, link)
}

/// Removes the sockets in `directory` whose names `is_one` knows and on which nobody listens any more. Where that
/// cannot be found out they stay.
pub async fn sweep(directory: &Path, is_one: impl Fn(&str) -> bool) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let is_one = entry.file_name().to_str().is_some_and(&is_one);
        if is_one && check_place(&entry.path()).await.is_ok() {
            let _ = fs::remove_file(entry.path());
        }
    }
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
    async fn a_link_leads_to_what_it_was_led_to_last_and_replaces_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("shared.sock");
        let first = bind(&dir.path().join("first.sock"), 0o600).await.unwrap();
        lead(&link, "first.sock").unwrap();
        let (_, connected) = tokio::join!(first.accept(), UnixStream::connect(&link));
        connected.unwrap();
        let second = bind(&dir.path().join("second.sock"), 0o600).await.unwrap();
        lead(&link, "second.sock").unwrap();
        drop(first);
        let (_, connected) = tokio::join!(second.accept(), UnixStream::connect(&link));
        connected.unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3);
        let file = dir.path().join("file");
        fs::write(&file, "precious").unwrap();
        assert_eq!(lead(&file, "second.sock").unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    }

    #[tokio::test]
    async fn only_sockets_of_that_name_that_nobody_listens_on_are_swept() {
        let dir = tempfile::tempdir().unwrap();
        let _live = bind(&dir.path().join("a-live.sock"), 0o600).await.unwrap();
        for stale in ["a-stale.sock", "b-stale.sock"] {
            drop(bind(&dir.path().join(stale), 0o600).await.unwrap());
        }
        fs::write(dir.path().join("a-file.sock"), "precious").unwrap();
        sweep(dir.path(), |name| name.starts_with("a-")).await;
        let mut left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["a-file.sock", "a-live.sock", "b-stale.sock"]);
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
