//! Whether keys may be signed through a listener. Whoever can reach a signing listener
//! can read a key out of its answers.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Whether a listener may sign, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signing {
    /// A Unix socket in a directory of our own that others cannot enter.
    PrivateDirectory,
    /// A Unix socket of which the operator says that only the proxy and Weir mount it.
    DeclaredMount,
    /// TCP with mutual TLS, for clients whose identity is pinned.
    PinnedPeer,
    /// Plain TCP, and the operator insists.
    Insisted,
    /// Others could connect.
    Off(&'static str),
}

// === impl Signing ===

impl Signing {
    /// True when keys may be put on requests.
    pub fn is_on(self) -> bool {
        !matches!(self, Signing::Off(_))
    }

    /// One line for the log at the start.
    pub fn reason(self) -> &'static str {
        match self {
            Signing::PrivateDirectory => "signing is on: the socket is in a private directory",
            Signing::DeclaredMount => {
                "signing is on: socketAccess is Mount, so the socket must be mounted into the proxy and Weir only"
            }
            Signing::PinnedPeer => "signing is on: only the pinned peers can connect, by mutual TLS",
            Signing::Insisted => "signing is on over plain TCP because --insecure-sign-over-tcp was given",
            Signing::Off(why) => why,
        }
    }
}

/// Whether a Unix socket in the directory of `path` may sign.
pub fn signing(path: &Path, declared_mount: bool) -> Signing {
    if declared_mount {
        return Signing::DeclaredMount;
    }
    let own = std::fs::metadata("/proc/self").map(|process| process.uid());
    let directory = path.parent().map(std::fs::metadata);
    match (directory, own) {
        (Some(Ok(directory)), Ok(own)) if directory.uid() == own && directory.mode() & 0o011 == 0 => {
            Signing::PrivateDirectory
        }
        _ => Signing::Off(
            "signing is off: others can enter the socket's directory; make it mode 0700, or set socketAccess: Mount",
        ),
    }
}
