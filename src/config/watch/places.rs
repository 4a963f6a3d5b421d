//! [io] Which directories decide what a path leads to: pure but for looking at what is there.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// More links than this in one path are a circle.
const LINKS: usize = 40;

/// A directory, and the entry in it that counts; none where every entry does.
pub type Place = (PathBuf, Option<OsString>);

/// Every place where a change makes `path` lead to something else, or to something with other content.
/// Renaming one of the directories above it is not among them, unless a link leads through it.
pub fn places(path: &Path) -> Vec<Place> {
    let mut found = Vec::new();
    let Some(end) = follow(path, &mut found) else { return found };
    if end.is_dir() {
        found.push((end.clone(), None));
        // A file of the directory may be a link to elsewhere.
        let entries = std::fs::read_dir(&end).into_iter().flatten().flatten();
        for entry in entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_symlink())) {
            follow(&entry.path(), &mut found);
        }
    }
    found
}

/// Where a path ends when all links are followed, if it exists; appends the places on the way.
fn follow(path: &Path, found: &mut Vec<Place>) -> Option<PathBuf> {
    let mut path = std::path::absolute(path).ok()?;
    for _ in 0..LINKS {
        match first_link(&path, found)? {
            Some(next) => path = next,
            None => {
                if let (Some(parent), Some(name)) = (path.parent(), path.file_name()) {
                    found.push((parent.to_owned(), Some(name.to_owned())));
                }
                return Some(path);
            }
        }
    }
    None
}

/// The path with its first link replaced by where that leads; `Some(None)` when there is no link in it,
/// and none when a part of it does not exist.
fn first_link(path: &Path, found: &mut Vec<Place>) -> Option<Option<PathBuf>> {
    let mut prefix = PathBuf::new();
    let mut rest = path.components();
    while let Some(component) = rest.next() {
        let parent = prefix.clone();
        prefix.push(component);
        let Ok(metadata) = std::fs::symlink_metadata(&prefix) else {
            found.push((parent, prefix.file_name().map(ToOwned::to_owned)));
            return None;
        };
        if metadata.is_symlink() {
            found.push((parent.clone(), prefix.file_name().map(ToOwned::to_owned)));
            let target = std::fs::read_link(&prefix).ok()?;
            return Some(Some(parent.join(target).join(rest.as_path())));
        }
    }
    Some(None)
}
