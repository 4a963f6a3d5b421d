//! [io] A processor that changes nothing, in two roles on one socket: the route filter's, which holds a request until
//! it is complete as Weir does and names the order of the providers, and the attempt filter's, which sends the body
//! anew.

use std::error::Error;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use envoy_types::pb::envoy::config::core::v3::{HeaderValue, HeaderValueOption};
use envoy_types::pb::envoy::service::ext_proc::v3::external_processor_server::{
    ExternalProcessor, ExternalProcessorServer,
};
use envoy_types::pb::envoy::service::ext_proc::v3::{
    BodyMutation, BodyResponse, CommonResponse, HeaderMutation, HeadersResponse, ProcessingRequest, ProcessingResponse,
    StreamedBodyResponse, TrailersResponse, body_mutation, common_response, processing_request as asked,
    processing_response as answer,
};
use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, UnixListenerStream};
use tonic::{Request, Response, Status, Streaming};
use weir::render::attempt::LENGTH_HEADER;
use weir::render::envoy::BACKEND_HEADER;

/// Where it listens, in the directory.
pub const SOCKET: &str = "processor.sock";

/// The metadata of a stream that tells what it is about: a request, or an attempt at it.
const ROLE: &str = "x-weir-role";

/// The largest message.
const MAX_MESSAGE: usize = 65 << 20;

/// The most bytes of a chunk.
const CHUNK: usize = 64 << 10;

struct Processor {
    seen: AtomicU64,
    body: Option<Vec<u8>>,
    length: usize,
}

/// Serves until the process ends.
pub async fn serve(directory: &Path, length: usize, replaces: bool) -> Result<(), Box<dyn Error>> {
    let socket = directory.join(SOCKET);
    let incoming = UnixListenerStream::new(UnixListener::bind(&socket)?);
    // Attempts are told at a socket of their own, which here is the same one.
    std::os::unix::fs::symlink(SOCKET, weir::render::attempt::socket(&socket))?;
    println!("ready extproc={}", socket.display());
    let processor = Processor { seen: AtomicU64::new(0), body: replaces.then(|| vec![b'b'; length]), length };
    let service = ExternalProcessorServer::new(processor);
    let service = service.max_decoding_message_size(MAX_MESSAGE).max_encoding_message_size(MAX_MESSAGE);
    let server = tonic::transport::Server::builder();
    let mut server = server.initial_stream_window_size(1 << 20).initial_connection_window_size(16 << 20);
    Ok(server.add_service(service).serve_with_incoming(incoming).await?)
}

type Answers = ReceiverStream<Result<ProcessingResponse, Status>>;

#[tonic::async_trait]
impl ExternalProcessor for Processor {
    type ProcessStream = Answers;

    async fn process(&self, request: Request<Streaming<ProcessingRequest>>) -> Result<Response<Answers>, Status> {
        let is_attempt = request.metadata().get(ROLE).is_some_and(|role| role == "attempt");
        let mut inbound = request.into_inner();
        let (send, answers) = mpsc::channel(16);
        let mut side: Box<dyn FnMut(asked::Request) -> Vec<answer::Response> + Send> = match is_attempt {
            true => self.attempt(),
            false => self.route(),
        };
        tokio::spawn(async move {
            while let Ok(Some(message)) = inbound.message().await {
                for response in message.request.map(&mut side).unwrap_or_default() {
                    let answer = ProcessingResponse { response: Some(response), ..ProcessingResponse::default() };
                    if send.send(Ok(answer)).await.is_err() {
                        return;
                    }
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(answers)))
    }
}

// === impl Processor ===

impl Processor {
    /// A request is held until it is complete, and leaves for one provider or the other in turn.
    fn route(&self) -> Box<dyn FnMut(asked::Request) -> Vec<answer::Response> + Send> {
        let first = if self.seen.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) { "bad,good" } else { "good,bad" };
        let mut held = Vec::new();
        Box::new(move |message| match message {
            asked::Request::RequestBody(body) => {
                held.extend_from_slice(&body.body);
                if body.end_of_stream { leave(first, std::mem::take(&mut held)) } else { Vec::new() }
            }
            asked::Request::ResponseHeaders(_) => {
                vec![answer::Response::ResponseHeaders(HeadersResponse { response: None })]
            }
            asked::Request::ResponseBody(body) => {
                vec![answer::Response::ResponseBody(chunk(body.body, body.end_of_stream))]
            }
            asked::Request::ResponseTrailers(_) => {
                vec![answer::Response::ResponseTrailers(TrailersResponse::default())]
            }
            _ => Vec::new(),
        })
    }

    /// An attempt's body is sent anew.
    fn attempt(&self) -> Box<dyn FnMut(asked::Request) -> Vec<answer::Response> + Send> {
        let (mut body, length) = (self.body.clone(), self.length);
        Box::new(move |message| {
            if let asked::Request::ResponseHeaders(_) = message {
                return vec![answer::Response::ResponseHeaders(HeadersResponse { response: None })];
            }
            let asked::Request::RequestHeaders(_) = message else { return Vec::new() };
            let mut common = CommonResponse::default();
            if let Some(body) = body.take() {
                common.header_mutation = Some(set(&[(LENGTH_HEADER, &length.to_string())]));
                common.status = common_response::ResponseStatus::ContinueAndReplace.into();
                common.body_mutation = Some(BodyMutation { mutation: Some(body_mutation::Mutation::Body(body)) });
            }
            vec![answer::Response::RequestHeaders(HeadersResponse { response: Some(common) })]
        })
    }
}

/// A complete request as it leaves.
fn leave(first: &str, body: Vec<u8>) -> Vec<answer::Response> {
    let common = CommonResponse {
        header_mutation: Some(set(&[
            (BACKEND_HEADER, first),
            // The rendered route tries nothing again without an order.
            ("x-envoy-retry-on", "5xx,connect-failure"),
            ("x-envoy-max-retries", "1"),
            ("content-length", &body.len().to_string()),
        ])),
        clear_route_cache: true,
        ..CommonResponse::default()
    };
    let head = answer::Response::RequestHeaders(HeadersResponse { response: Some(common) });
    let chunks = body.chunks(CHUNK).enumerate();
    let last = body.len().div_ceil(CHUNK).saturating_sub(1);
    let pieces = chunks.map(|(at, piece)| answer::Response::RequestBody(chunk(piece.to_vec(), at == last)));
    std::iter::once(head).chain(pieces).collect()
}

fn chunk(body: Vec<u8>, end_of_stream: bool) -> BodyResponse {
    let streamed = body_mutation::Mutation::StreamedResponse(StreamedBodyResponse {
        body,
        end_of_stream,
        ..StreamedBodyResponse::default()
    });
    let body_mutation = Some(BodyMutation { mutation: Some(streamed) });
    BodyResponse { response: Some(CommonResponse { body_mutation, ..CommonResponse::default() }) }
}

fn set(headers: &[(&str, &str)]) -> HeaderMutation {
    let header = |&(key, value): &(&str, &str)| HeaderValueOption {
        header: Some(HeaderValue {
            key: key.to_owned(),
            raw_value: value.as_bytes().to_vec(),
            ..HeaderValue::default()
        }),
        append_action: 2,
        ..HeaderValueOption::default()
    };
    HeaderMutation { set_headers: headers.iter().map(header).collect(), ..HeaderMutation::default() }
}
