//! The gRPC method `Process` without its server: from a stream of messages to a stream of answers.
//! What the generated service does, but with buffers of the size that these messages have.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use envoy_types::pb::envoy::service::ext_proc::v3::external_processor_server::SERVICE_NAME;
use tokio_stream::Stream;
use tonic::body::Body;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::{BoxFuture, Service, http};
use tonic::metadata::MetadataMap;
use tonic::server::{Grpc, NamedService, StreamingService};
use tonic::{Code, Request, Response, Status, Streaming};

use super::incoming::Incoming;
use super::outgoing::Outgoing;

/// The largest message that is taken: what Envoy buffers of a request with the largest `maxRequest` (64 MiB,
/// and one more), and what is around it.
pub const MAX_MESSAGE: usize = 66 << 20;

/// A head with its attributes, or a small body, fits; what is larger makes the buffer grow. The
/// default of 8 KiB is most of what an open stream holds.
const BUFFER: usize = 2 << 10;
/// Encoded answers beyond this are sent before more are made.
const YIELD: usize = 32 << 10;

/// Of the method.
pub(super) const PATH: &str = "/envoy.service.ext_proc.v3.ExternalProcessor/Process";

/// The service that answers each inbound stream with the stream that `F` makes of it and of what the filter says of
/// itself (`initial_metadata`).
pub struct Process<F> {
    answer: Arc<F>,
}

/// Protocol buffers in and out.
#[derive(Clone, Copy, Debug, Default)]
struct Messages;

// === impl Process ===

impl<F> Process<F> {
    pub fn new(answer: F) -> Self {
        Process { answer: Arc::new(answer) }
    }
}

impl<F> Clone for Process<F> {
    fn clone(&self) -> Self {
        Process { answer: self.answer.clone() }
    }
}

impl<F> NamedService for Process<F> {
    const NAME: &'static str = SERVICE_NAME;
}

impl<F, S> StreamingService<Incoming> for Process<F>
where
    F: Fn(MetadataMap, Streaming<Incoming>) -> S,
    S: Stream<Item = Result<Outgoing, Status>>,
{
    type Response = Outgoing;
    type ResponseStream = S;
    type Future = Ready<Result<Response<S>, Status>>;

    fn call(&mut self, request: Request<Streaming<Incoming>>) -> Self::Future {
        let (metadata, _, inbound) = request.into_parts();
        ready(Ok(Response::new((self.answer)(metadata, inbound))))
    }
}

impl<F, S> Service<http::Request<Body>> for Process<F>
where
    F: Fn(MetadataMap, Streaming<Incoming>) -> S + Send + Sync + 'static,
    S: Stream<Item = Result<Outgoing, Status>> + Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        if request.uri().path() != PATH {
            return Box::pin(ready(Ok(Status::new(Code::Unimplemented, "no such method").into_http())));
        }
        let method = self.clone();
        let mut grpc =
            Grpc::new(Messages).max_decoding_message_size(MAX_MESSAGE).max_encoding_message_size(MAX_MESSAGE);
        Box::pin(async move { Ok(grpc.streaming(method, request).await) })
    }
}

// === impl Messages ===

impl Codec for Messages {
    type Encode = Outgoing;
    type Decode = Incoming;
    type Encoder = Messages;
    type Decoder = Messages;

    fn encoder(&mut self) -> Messages {
        Messages
    }

    fn decoder(&mut self) -> Messages {
        Messages
    }
}

impl Encoder for Messages {
    type Item = Outgoing;
    type Error = Status;

    fn encode(&mut self, answer: Outgoing, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        answer.encode(buffer).map_err(|error| Status::internal(error.to_string()))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(BUFFER, YIELD)
    }
}

impl Decoder for Messages {
    type Item = Incoming;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Incoming>, Status> {
        Incoming::decode(buffer).map(Some).map_err(|error| Status::invalid_argument(error.to_string()))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(BUFFER, YIELD)
    }
}
