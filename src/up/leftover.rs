//! [io] Run directories whose process was killed before it could remove them. Which these are is told
//! by a lock that the kernel releases with its process, never by a process id, which is given anew.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The file in a run directory that its process holds locked.
const OWNER: &str = ".owner";

/// Marks `directory` as in use for as long as the file that is returned stays open. None where it stays
/// without a mark, because locks do not work there: then nobody else will remove it.
///
/// # Errors
/// When somebody else holds the lock.
pub(super) fn mark(directory: &Path) -> io::Result<Option<File>> {
    mark_with(directory, File::try_lock)
}

fn mark_with(directory: &Path, lock: impl FnOnce(&File) -> Result<(), TryLockError>) -> io::Result<Option<File>> {
    let unnamed = directory.join(".owner-to-be");
    let marked = File::create_new(&unnamed).map_err(TryLockError::Error).and_then(|file| {
        lock(&file)?;
        // Under its name it is locked from the first moment: nobody can find it in between.
        fs::rename(&unnamed, directory.join(OWNER)).map_err(TryLockError::Error)?;
        Ok(file)
    });
    match marked {
        Ok(file) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
        Err(TryLockError::Error(error)) => {
            tracing::debug!("{} is not marked as in use: {error}", directory.display());
            Ok(None)
        }
    }
}

/// Removes the directories beside `own` that were made under the same name by processes of the same
/// user and are marked, and whose process is gone. Anything else is left alone.
pub(super) fn remove(own: &Path, name: &str) {
    let (Some(parent), Ok(uid)) = (own.parent(), fs::metadata(own).map(|found| found.uid())) else { return };
    let Ok(entries) = fs::read_dir(parent) else { return };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let named = path.file_name().and_then(|found| found.to_str()).is_some_and(|found| is_ours(found, name));
        if !named || path == own || !is_directory_of(&path, uid) {
            continue;
        }
        let Ok(file) = File::open(path.join(OWNER)) else { continue };
        // It stays locked while it is removed, so that no other process does the same.
        if file.try_lock().is_ok()
            && let Err(error) = fs::remove_dir_all(&path)
        {
            tracing::warn!("cannot remove {}, which a killed process left behind: {error}", path.display());
        }
    }
}

/// As `RunDir::inside` spells names: three numbers behind the name.
fn is_ours(found: &str, name: &str) -> bool {
    let numbers = found.strip_prefix(name).and_then(|rest| rest.strip_prefix('-'));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    numbers.is_some_and(|numbers| numbers.split('-').count() == 3 && numbers.split('-').all(is_number))
}

fn is_directory_of(path: &Path, uid: u32) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_dir() && found.uid() == uid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::up::RunDir;

    #[test]
    fn where_locks_do_not_work_a_directory_is_used_without_a_mark() {
        let parent = tempfile::tempdir().unwrap();
        let unmarked = parent.path().join("weir-1-2-3");
        fs::create_dir(&unmarked).unwrap();
        let unsupported = || TryLockError::Error(io::ErrorKind::Unsupported.into());
        assert!(mark_with(&unmarked, |_| Err(unsupported())).unwrap().is_none());
        assert!(!unmarked.join(OWNER).exists());
        let own = RunDir::inside(parent.path(), "weir").unwrap();
        remove(own.path(), "weir");
        assert!(unmarked.exists(), "nobody can say that it is left behind");
        let other = parent.path().join("weir-1-2-4");
        fs::create_dir(&other).unwrap();
        let error = mark_with(&other, |_| Err(TryLockError::WouldBlock)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn only_what_a_dead_process_of_ours_left_is_removed() {
        let parent = tempfile::tempdir().unwrap();
        let at = |name: &str| parent.path().join(name);
        let alive = RunDir::inside(parent.path(), "weir").unwrap();
        for name in ["weir-1-2-3", "weir-1-2-4", "weir-1-2", "weir-a-b-g", "weird-1-2-3", "weir-notes-1-2-3"] {
            fs::create_dir(at(name)).unwrap();
            fs::write(at(name).join("usage.jsonl"), "{}").unwrap();
            fs::write(at(name).join(OWNER), "").unwrap();
        }
        // Somebody else's directory has no mark, or is none.
        fs::remove_file(at("weir-1-2-4").join(OWNER)).unwrap();
        fs::write(at("weir-1-2-5"), "").unwrap();
        std::os::unix::fs::symlink(at("weird-1-2-3"), at("weir-1-2-6")).unwrap();
        let own = RunDir::inside(parent.path(), "weir").unwrap();
        remove(own.path(), "weir");
        assert!(!at("weir-1-2-3").exists());
        for name in
            ["weir-1-2-4", "weir-1-2", "weir-a-b-g", "weird-1-2-3", "weir-notes-1-2-3", "weir-1-2-5", "weir-1-2-6"]
        {
            assert!(fs::symlink_metadata(at(name)).is_ok(), "{name}");
        }
        assert!(at("weird-1-2-3").join("usage.jsonl").exists());
        assert!(alive.path().exists() && own.path().exists());
    }
}
