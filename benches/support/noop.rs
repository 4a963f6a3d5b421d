//! A processor that changes nothing: the floor that Weir is compared with. FULL_DUPLEX_STREAMED
//! only; every message is answered by one, in order, as soon as it is read.
//!
//! It answers from `poll_next` on the inbound stream: no task, no channel, no state. Server code,
//! windows, runtime and allocator are those of Weir, so that the difference is what Weir does.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use envoy_types::pb::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use envoy_types::pb::envoy::config::core::v3::{HeaderValue, HeaderValueOption};
use envoy_types::pb::envoy::service::ext_proc::v3::body_mutation::Mutation;
use envoy_types::pb::envoy::service::ext_proc::v3::processing_request::Request as Asked;
use envoy_types::pb::envoy::service::ext_proc::v3::processing_response::Response as Answered;
use envoy_types::pb::envoy::service::ext_proc::v3::{
    BodyMutation, BodyResponse, CommonResponse, HeaderMutation, HeadersResponse, HttpBody, ProcessingRequest,
    ProcessingResponse, StreamedBodyResponse, TrailersResponse,
};
use tokio::net::UnixListener;
use tokio_stream::Stream;
use tonic::{Status, Streaming};
use weir::extproc::Outgoing;
use weir::extproc::server::{Listener, serve_process};
use weir::extproc::service::Process;

/// The header that Envoy routes by, and the backend that it names.
pub const ROUTE: (&str, &str) = ("x-weir-backend", "mock");

/// The answers to one exchange.
pub struct Echo {
    inbound: Streaming<ProcessingRequest>,
}

/// Serves on a Unix socket at `socket` until the process ends. `ready` is called when Envoy may connect.
pub fn run(socket: &Path, ready: impl FnOnce()) -> io::Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(serve(socket, ready))
}

/// The same on the current runtime.
pub async fn serve(socket: &Path, ready: impl FnOnce()) -> io::Result<()> {
    if socket.exists() {
        std::fs::remove_file(socket)?;
    }
    let listener = UnixListener::bind(socket)?;
    ready();
    let service = Process::new(|inbound| Echo { inbound });
    let served = serve_process(Listener::Unix(listener), service, std::future::pending());
    served.await.map_err(io::Error::other)
}

/// The answer to one message.
pub fn answer(asked: Asked) -> Answered {
    match asked {
        Asked::RequestHeaders(_) => Answered::RequestHeaders(routed()),
        Asked::ResponseHeaders(_) => Answered::ResponseHeaders(HeadersResponse::default()),
        Asked::RequestBody(body) => Answered::RequestBody(echoed(body)),
        Asked::ResponseBody(body) => Answered::ResponseBody(echoed(body)),
        Asked::RequestTrailers(_) => Answered::RequestTrailers(TrailersResponse::default()),
        Asked::ResponseTrailers(_) => Answered::ResponseTrailers(TrailersResponse::default()),
    }
}

fn routed() -> HeadersResponse {
    let (name, value) = ROUTE;
    let header = HeaderValueOption {
        header: Some(HeaderValue { key: name.into(), raw_value: value.into(), ..HeaderValue::default() }),
        append_action: HeaderAppendAction::OverwriteIfExistsOrAdd.into(),
        ..HeaderValueOption::default()
    };
    let common = CommonResponse {
        header_mutation: Some(HeaderMutation { set_headers: vec![header], remove_headers: Vec::new() }),
        clear_route_cache: true,
        ..CommonResponse::default()
    };
    HeadersResponse { response: Some(common) }
}

fn echoed(body: HttpBody) -> BodyResponse {
    let streamed =
        StreamedBodyResponse { body: body.body, end_of_stream: body.end_of_stream, ..StreamedBodyResponse::default() };
    let mutation = BodyMutation { mutation: Some(Mutation::StreamedResponse(streamed)) };
    BodyResponse { response: Some(CommonResponse { body_mutation: Some(mutation), ..CommonResponse::default() }) }
}

// === impl Echo ===

impl Stream for Echo {
    type Item = Result<Outgoing, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            return match Pin::new(&mut self.inbound).poll_next(context) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Some(Ok(ProcessingRequest { request: None, .. }))) => continue,
                Poll::Ready(Some(Ok(ProcessingRequest { request: Some(asked), .. }))) => {
                    let message = ProcessingResponse { response: Some(answer(asked)), ..Default::default() };
                    Poll::Ready(Some(Ok(Outgoing { message, meta: Vec::new() })))
                }
                // How Envoy ends a side stream says nothing; the exchange is over either way.
                Poll::Ready(Some(Err(_)) | None) => Poll::Ready(None),
            };
        }
    }
}
