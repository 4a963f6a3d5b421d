//! [io] Says when files may have changed, and reads none of them: whoever is told compares.
//!
//! It watches directories, not files, so that it sees every way in which a file is replaced: written in
//! place, renamed over, deleted and made anew, or reached through a link that is swapped, as Kubernetes
//! does with `..data` of a mounted ConfigMap or Secret. Of a path that does not exist it watches the
//! nearest directory that does. Where events do not come (network file systems, other systems than
//! Linux) it tells from time to time without a reason.

#[cfg(target_os = "linux")]
mod events;
mod places;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

#[cfg(target_os = "linux")]
use events::Events;
#[cfg(not(target_os = "linux"))]
use none::Events;

/// How long nothing must happen before a change is told: a file is seldom changed in one step.
const QUIET: Duration = Duration::from_millis(75);
/// A change is told no later than this, however much goes on.
const LONGEST: Duration = Duration::from_secs(1);
/// How often is told without an event, where events come.
const POLL: Duration = Duration::from_secs(30);
/// How often is told where they cannot come at all.
const FAST_POLL: Duration = Duration::from_secs(1);

/// Paths that are watched.
pub struct Watch {
    paths: Vec<PathBuf>,
    /// None where there can be no events.
    events: Option<Events>,
    /// When the paths were looked up last.
    armed: Instant,
    storm: Option<Storm>,
}

/// Events that were not told yet.
#[derive(Clone, Copy)]
struct Storm {
    first: Instant,
    last: Instant,
}

// === impl Watch ===

impl Watch {
    /// Watches files and directories, which need not exist. The first change is told at once: they may
    /// have been read long before. Needs a tokio runtime.
    pub fn new(paths: Vec<PathBuf>) -> Watch {
        let mut watch = Watch { paths, events: None, armed: Instant::now(), storm: None };
        watch.arm();
        watch.note();
        watch
    }

    /// Watches these paths from now on. A change is told soon where they are others than before.
    pub fn set(&mut self, paths: Vec<PathBuf>) {
        if paths != self.paths {
            self.paths = paths;
            self.arm();
            self.note();
        }
    }

    /// Done when something may have changed. What changes after that is told by the next call, so read
    /// in between. Nothing is lost when the future is dropped.
    pub async fn changed(&mut self) {
        loop {
            let poll = if self.events.is_some() { POLL } else { FAST_POLL };
            let wake = self.storm.map_or(self.armed + poll, |storm| (storm.last + QUIET).min(storm.first + LONGEST));
            tokio::select! {
                // The time comes first, for in a storm there is always one more event.
                biased;
                () = sleep_until(wake) => {
                    self.storm = None;
                    self.arm();
                    return;
                }
                counts = next(&mut self.events) => if counts { self.note() },
            }
        }
    }

    fn note(&mut self) {
        let now = Instant::now();
        let first = self.storm.map_or(now, |storm| storm.first);
        self.storm = Some(Storm { first, last: now });
    }

    /// Looks up where the paths lead now. What happened between the old watches and the new ones is
    /// read by whoever is told, for that comes after.
    fn arm(&mut self) {
        self.armed = Instant::now();
        self.events = None;
        self.events = Events::new(&self.paths);
    }
}

/// Waits for an event, and says whether it counts.
async fn next(events: &mut Option<Events>) -> bool {
    match events {
        Some(events) => events.next().await,
        None => std::future::pending().await,
    }
}

/// Where the system has no inotify.
#[cfg(not(target_os = "linux"))]
mod none {
    use std::path::PathBuf;

    pub enum Events {}

    impl Events {
        pub fn new(_: &[PathBuf]) -> Option<Events> {
            None
        }

        pub async fn next(&mut self) -> bool {
            match *self {}
        }
    }
}
