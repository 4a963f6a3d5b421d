//! A processor that changes nothing: the floor that Weir is compared with. FULL_DUPLEX_STREAMED
//! only; every message is answered by one, in order, as soon as it is read.
//!
//! It answers from `poll_next` on the inbound stream: no task, no channel, no state. Server code,
//! codec, windows, runtime and allocator are those of Weir, so that the difference is what Weir does.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::net::UnixListener;
use tokio_stream::Stream;
use tonic::metadata::MetadataMap;
use tonic::{Status, Streaming};
use weir::exchange::event::Edits;
use weir::extproc::server::{Listener, serve_process};
use weir::extproc::service::Process;
use weir::extproc::{Incoming, Outgoing, Part, Way, What};

/// The header that Envoy routes by, and the backend that it names.
pub const ROUTE: (&str, &str) = ("x-weir-backend", "mock");

/// A request's header that names an order of backends: it leaves for these, one after the other.
pub const ORDER: &str = "x-bench-order";

/// The metadata of a stream that tells what it is about: an exchange, or one attempt at it.
const ROLE: &str = "x-weir-role";

/// The answers to one exchange, or to one attempt.
pub struct Echo {
    inbound: Streaming<Incoming>,
    is_attempt: bool,
}

/// Serves on a Unix socket at `socket` until the process ends. `ready` is called when Envoy may connect.
pub fn run(socket: &Path, ready: impl FnOnce()) -> io::Result<()> {
    weir::app::runtime(None)?.block_on(serve(socket, ready))
}

/// The same on the current runtime.
pub async fn serve(socket: &Path, ready: impl FnOnce()) -> io::Result<()> {
    if socket.exists() {
        std::fs::remove_file(socket)?;
    }
    let listener = UnixListener::bind(socket)?;
    ready();
    let service = Process::new(|metadata: MetadataMap, inbound| {
        let is_attempt = metadata.get(ROLE).is_some_and(|role| role == "attempt");
        Echo { inbound, is_attempt }
    });
    let served = serve_process(Listener::Unix(listener), service, std::future::pending());
    served.await.map_err(io::Error::other)
}

/// The answer to one message.
pub fn answer(asked: Part) -> What {
    match asked {
        Part::RequestHead(head, ..) => What::RequestHead(routed(head.headers.get(ORDER))),
        Part::ResponseHead(..) => What::ResponseHead(Edits::default()),
        Part::RequestBody(bytes, end) => What::Body(Way::Request, bytes, end),
        Part::ResponseBody(bytes, end) => What::Body(Way::Response, bytes, end),
        Part::RequestTrailers => What::RequestTrailers,
        Part::ResponseTrailers => What::ResponseTrailers,
    }
}

fn routed(order: Option<&str>) -> Edits {
    let (name, value) = ROUTE;
    let mut edits = Edits::default();
    match order {
        None => edits.set(name, value),
        Some(order) => {
            edits.set(name, order.to_owned());
            // The rendered route tries nothing again without an order.
            edits.set("x-envoy-retry-on", "5xx,connect-failure");
            edits.set("x-envoy-max-retries", "1");
        }
    }
    edits
}

// === impl Echo ===

impl Stream for Echo {
    type Item = Result<Outgoing, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            return match Pin::new(&mut self.inbound).poll_next(context) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Some(Ok(Incoming { part: None, .. }))) => continue,
                Poll::Ready(Some(Ok(Incoming { part: Some(asked), .. }))) => {
                    let what = match self.is_attempt {
                        true => What::Continue(Way::Request),
                        false => answer(asked),
                    };
                    Poll::Ready(Some(Ok(Outgoing::new(what))))
                }
                // How Envoy ends a side stream says nothing; the exchange is over either way.
                Poll::Ready(Some(Err(_)) | None) => Poll::Ready(None),
            };
        }
    }
}
