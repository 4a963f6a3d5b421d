//! The threads that serve: few, because Weir is a small part of what its Envoy does.

use std::io;
use std::num::NonZeroUsize;
use std::thread::available_parallelism;

use tokio::runtime::{Builder, Runtime};

/// A runtime with `threads` threads for I/O and decisions; without it one for each two cores, at least
/// one.
///
/// An exchange costs Envoy several times what it costs Weir, so half of the threads never are the
/// bottleneck. More would lie idle most of the time, and be woken for single messages: on two cores a
/// second thread adds half of what Weir takes a request, and no throughput.
///
/// # Errors
/// When the system gives no more threads.
pub fn runtime(threads: Option<NonZeroUsize>) -> io::Result<Runtime> {
    let threads = threads.map_or_else(|| available_parallelism().map_or(1, |cores| cores.get() / 2), NonZeroUsize::get);
    Builder::new_multi_thread().worker_threads(threads.max(1)).enable_all().build()
}
