//! [io] The Redis that replicas share, or what speaks as one: one server, a Cluster, or the master that Sentinels name.
//! It carries commands and knows nothing of what they mean: who asks brings keys, scripts and patience.
//!
//! In a Cluster each command goes to the server of its slot, and on to where that sends it. Each server has its own
//! breaker: where one is away, what is asked of it fails at once or within the timeout, and the others are asked as
//! ever. Under Sentinels there is one server, and they are asked which one that is, at each connection and while there
//! is one. A master that Sentinels replace beside one that lives is found within half a second.
//!
//! Nothing here waits longer than its caller says, and nothing fails for want of the store at the start.

mod access;
pub mod answers;
mod board;
mod breaker;
mod down;
mod link;
mod map;
mod node;
mod options;
mod route;
mod sentinel;
mod server;
pub mod slot;

use std::sync::Arc;

pub use breaker::State;
pub use down::{Down, Unusable};
pub use link::Link;
pub use node::Node;
pub use options::{Options, Tls};
pub use slot::Command;

/// Told of each state, when it begins. It must not wait for anything.
pub type OnState = Arc<dyn Fn(State) + Send + Sync>;

/// What a store is for: the words of its errors and log lines.
#[derive(Clone, Copy, Debug)]
pub struct Purpose {
    /// What it is called.
    pub store: &'static str,
    /// What is so while it is down.
    pub without: &'static str,
    /// And while one of its servers is.
    pub without_server: &'static str,
}
