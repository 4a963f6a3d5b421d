//! [io] The kernel's events about places, through inotify.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use inotify::{Event, EventMask, EventStream, Inotify, WatchDescriptor, WatchMask};
use tokio_stream::StreamExt;

use super::places::places;

/// Room for some events with the longest names.
const BUFFER: usize = 4096;

/// Watches over directories.
pub struct Events {
    stream: EventStream<Vec<u8>>,
    interests: HashMap<WatchDescriptor, Interest>,
}

/// What counts in one directory.
#[derive(Default)]
struct Interest {
    directory: PathBuf,
    every: bool,
    names: Vec<OsString>,
}

// === impl Events ===

impl Events {
    /// Watches what decides about these paths. None, with a line in the log, when the kernel gives no
    /// watch (`fs.inotify.max_user_instances`).
    pub fn new(paths: &[PathBuf]) -> Option<Events> {
        match Events::open(paths) {
            Ok(events) => Some(events),
            Err(error) => {
                tracing::warn!(
                    "cannot watch files ({error}); they are looked at once a second instead; raise \
                     fs.inotify.max_user_instances"
                );
                None
            }
        }
    }

    fn open(paths: &[PathBuf]) -> std::io::Result<Events> {
        // Not MODIFY: a file that is being written is read when its writer has closed it.
        let mask = WatchMask::CLOSE_WRITE
            | WatchMask::CREATE
            | WatchMask::DELETE
            | WatchMask::MOVED_FROM
            | WatchMask::MOVED_TO
            | WatchMask::ATTRIB
            | WatchMask::DELETE_SELF
            | WatchMask::MOVE_SELF
            | WatchMask::ONLYDIR;
        let inotify = Inotify::init()?;
        let mut interests: HashMap<WatchDescriptor, Interest> = HashMap::new();
        for (directory, name) in paths.iter().flat_map(|path| places(path)) {
            // Gone meanwhile, or not ours to look into: what is above it or the next poll tells.
            let Ok(descriptor) = inotify.watches().add(&directory, mask) else { continue };
            let interest = interests.entry(descriptor).or_default();
            interest.directory = directory;
            match name {
                Some(name) => interest.names.push(name),
                None => interest.every = true,
            }
        }
        Ok(Events { stream: inotify.into_event_stream(vec![0; BUFFER])?, interests })
    }

    /// Waits for the next event, and says whether it counts.
    pub async fn next(&mut self) -> bool {
        match self.stream.next().await {
            Some(Ok(event)) => self.counts(&event),
            // Events were lost, or cannot be read: something may have changed.
            Some(Err(error)) => {
                tracing::debug!("inotify: {error}");
                true
            }
            None => std::future::pending().await,
        }
    }

    fn counts(&self, event: &Event<OsString>) -> bool {
        let whole = EventMask::Q_OVERFLOW | EventMask::IGNORED | EventMask::DELETE_SELF | EventMask::MOVE_SELF;
        if event.mask.intersects(whole) {
            return true;
        }
        let Some(interest) = self.interests.get(&event.wd) else { return false };
        let Some(name) = event.name.as_deref() else { return false };
        let wanted = interest.every || interest.names.iter().any(|wanted| wanted == name);
        let begins = event.mask.contains(EventMask::CREATE) && is_being_written(&interest.directory, name);
        wanted && !begins
    }
}

/// A file that was just made has a writer, who closes it; a link and a directory are there at once.
fn is_being_written(directory: &Path, name: &OsStr) -> bool {
    let metadata = std::fs::symlink_metadata(directory.join(name));
    metadata.is_ok_and(|metadata| metadata.is_file() && metadata.nlink() == 1)
}
