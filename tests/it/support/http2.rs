//! An HTTP/2 client with prior knowledge: a body frame by frame, trailers both ways, an abort at any
//! point. Dropping an [`Exchange`] resets its stream.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::response::Response;

/// How long a client waits for the next frame before it gives up; far above every wait of the product.
const PATIENCE: Duration = Duration::from_secs(60);

type Piece = io::Result<Frame<Bytes>>;

/// One connection; requests on it run side by side. Dropping it closes the connection at once.
pub struct Client {
    sender: SendRequest<RequestBody>,
    connection: tokio::task::JoinHandle<()>,
}

/// The other end of a [`RequestBody`]. Dropping it ends the body.
pub struct Frames(UnboundedSender<Piece>);

/// The body of a request, fed by [`Frames`].
pub struct RequestBody {
    pieces: Option<UnboundedReceiver<Piece>>,
    /// Resolves when the exchange has been dropped: an answer alone cannot reset a stream whose
    /// request is still being sent.
    dropped: Option<oneshot::Receiver<()>>,
}

/// An answer whose head has come.
pub struct Exchange {
    body: Incoming,
    response: Response,
    began: Instant,
    drop: Option<oneshot::Sender<()>>,
}

/// A body and the handle that feeds it.
pub fn stream() -> (Frames, RequestBody) {
    let (sender, receiver) = unbounded_channel();
    (Frames(sender), RequestBody { pieces: Some(receiver), dropped: None })
}

/// A body that is one frame, or no body at all (the stream ends with the headers) when `bytes` is empty.
pub fn whole(bytes: &[u8]) -> RequestBody {
    if bytes.is_empty() {
        return RequestBody { pieces: None, dropped: None };
    }
    let (frames, body) = stream();
    frames.send(bytes);
    body
}

// === impl Frames ===

impl Frames {
    /// One DATA frame (more when it is above the peer's frame size).
    pub fn send(&self, bytes: &[u8]) {
        self.give(Ok(Frame::data(Bytes::copy_from_slice(bytes))));
    }

    /// Ends the body with trailers.
    pub fn trailers(self, trailers: &[(&'static str, &str)]) {
        let pairs = trailers.iter().map(|(name, value)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).expect("a header value"))
        });
        self.give(Ok(Frame::trailers(pairs.collect::<HeaderMap>())));
    }

    /// Resets the stream in the middle of the body.
    pub fn abort(self) {
        self.give(Err(io::Error::other("the test aborts the body")));
    }

    fn give(&self, piece: Piece) {
        // The stream may be over already, by an early answer or a reset.
        let _over = self.0.send(piece);
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Piece>> {
        if let Some(Poll::Ready(how)) = self.dropped.as_mut().map(|dropped| Pin::new(dropped).poll(context)) {
            self.dropped = None;
            if how.is_ok() {
                return Poll::Ready(Some(Err(io::Error::other("the test dropped the exchange"))));
            }
        }
        match &mut self.pieces {
            Some(pieces) => pieces.poll_recv(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_none()
    }
}

// === impl Client ===

impl Client {
    /// Connects to `address` (`host:port`).
    pub async fn connect(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Self::over(stream).await
    }

    /// Speaks over a connection that is there.
    pub async fn over<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(stream: S) -> io::Result<Self> {
        let (sender, connection) =
            handshake(TokioExecutor::new(), TokioIo::new(stream)).await.map_err(io::Error::other)?;
        // The error comes to the exchanges too.
        let connection = tokio::spawn(async move { drop(connection.await) });
        Ok(Self { sender, connection })
    }

    /// Sends a request and waits for the head of its answer; the body is read as its frames are fed.
    /// The URI must be absolute: its authority is the `:authority`.
    pub async fn send(&mut self, mut request: http::Request<RequestBody>) -> Result<Exchange, hyper::Error> {
        let began = Instant::now();
        let (drop, dropped) = oneshot::channel();
        request.body_mut().dropped = Some(dropped);
        self.sender.ready().await?;
        let answer = timeout(PATIENCE, self.sender.send_request(request)).await;
        let (head, body) = answer.expect("no answer within the patience of the client")?.into_parts();
        let response = Response { status: head.status.as_u16(), headers: pairs(&head.headers), ..Response::default() };
        Ok(Exchange { body, response, began, drop: Some(drop) })
    }

    /// Sends a request and reads the whole answer.
    pub async fn exchange(&mut self, request: http::Request<RequestBody>) -> Result<Response, hyper::Error> {
        Ok(self.send(request).await?.finish().await)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

// === impl Exchange ===

impl Exchange {
    /// What has been read so far.
    pub fn so_far(&self) -> &Response {
        &self.response
    }

    /// Reads until `enough` says so or the answer is over.
    pub async fn read_until(&mut self, enough: impl Fn(&Response) -> bool) -> &Response {
        while !self.response.complete && self.response.fault.is_none() && !enough(&self.response) {
            match timeout(PATIENCE, self.body.frame()).await {
                Ok(Some(Ok(frame))) => self.receive(frame),
                Ok(Some(Err(error))) => self.response.fault = Some(format!("{error:?}")),
                Ok(None) => {
                    self.response.complete = true;
                    // After a whole answer the request may still go on.
                    self.drop = None;
                }
                Err(_) => self.response.fault = Some(format!("no frame for {} s", PATIENCE.as_secs())),
            }
        }
        &self.response
    }

    /// Reads to the end.
    pub async fn finish(mut self) -> Response {
        self.read_until(|_| false).await;
        std::mem::take(&mut self.response)
    }

    fn receive(&mut self, frame: Frame<Bytes>) {
        match frame.into_data() {
            Ok(bytes) => self.response.receive(self.began.elapsed(), &bytes),
            Err(frame) => self.response.trailers = frame.into_trailers().map(|map| pairs(&map)).unwrap_or_default(),
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if let Some(drop) = self.drop.take() {
            let _over = drop.send(());
        }
    }
}

fn pairs(headers: &HeaderMap) -> Vec<(String, String)> {
    let pairs = headers.iter();
    pairs.map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())).collect()
}

mod tests {
    use hyper::server::conn::http2::Builder;
    use hyper::service::service_fn;
    use tokio::net::TcpListener;

    use super::*;

    /// A server that sends back every frame as it comes and, when the body has broken, says so.
    async fn echo() -> (String, oneshot::Receiver<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound").to_string();
        let (broke, broken) = oneshot::channel();
        let broke = std::sync::Arc::new(std::sync::Mutex::new(Some(broke)));
        tokio::spawn(async move {
            let (socket, _) = listener.accept().await.expect("a client");
            let service = service_fn(move |mut request: http::Request<Incoming>| {
                let (frames, body) = stream();
                let broke = std::sync::Arc::clone(&broke);
                tokio::spawn(async move {
                    while let Some(frame) = request.body_mut().frame().await {
                        let Ok(frame) = frame else {
                            let broke = broke.lock().expect("no panic").take();
                            return broke.map_or((), |broke| broke.send(()).unwrap_or(()));
                        };
                        frames.give(Ok(frame));
                    }
                });
                async { Ok::<_, io::Error>(http::Response::new(body)) }
            });
            drop(Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(socket), service).await);
        });
        (address, broken)
    }

    fn post(body: RequestBody) -> http::Request<RequestBody> {
        http::Request::post("http://test/a").body(body).expect("a request")
    }

    #[tokio::test]
    async fn frames_and_trailers_go_both_ways() {
        let (address, _broken) = echo().await;
        let mut client = Client::connect(&address).await.expect("connects");
        let (frames, body) = stream();
        let mut exchange = client.send(post(body)).await.expect("a head");
        frames.send(b"one");
        assert_eq!(exchange.read_until(|response| response.body.len() == 3).await.body, b"one");
        assert!(!exchange.so_far().complete);
        frames.send(b"two");
        frames.trailers(&[("x-sum", "1")]);
        let response = exchange.finish().await;
        assert!(response.complete, "{response:?}");
        assert_eq!((response.text().as_str(), response.chunks.len()), ("onetwo", 2));
        assert_eq!(response.trailers, [("x-sum".into(), "1".into())]);
        assert_eq!(client.exchange(post(whole(b""))).await.expect("an answer").body, b"");
    }

    #[tokio::test]
    async fn an_abort_breaks_the_body_on_the_other_side() {
        let (address, broken) = echo().await;
        let mut client = Client::connect(&address).await.expect("connects");
        let (frames, body) = stream();
        let exchange = client.send(post(body)).await.expect("a head");
        frames.send(b"one");
        frames.abort();
        broken.await.expect("the server saw the body break");
        assert!(!exchange.finish().await.complete);
    }

    #[tokio::test]
    async fn a_dropped_exchange_resets_its_stream() {
        let (address, broken) = echo().await;
        let mut client = Client::connect(&address).await.expect("connects");
        let (frames, body) = stream();
        drop(client.send(post(body)).await.expect("a head"));
        broken.await.expect("the server saw a reset");
        drop(frames);
    }
}
