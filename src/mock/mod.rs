//! The mock provider: an OpenAI-compatible server for tests, demos and benches, on loopback. It never
//! calls a model: what it says is fixed, what it does wrong is ordered by request headers, and what it
//! produced is counted.
//!
//! Over HTTP/1.1 and HTTP/2 without TLS on one port:
//!
//! | request | answer |
//! |---|---|
//! | `POST …/chat/completions`, `…/completions` | words of 5 bytes and one `o200k` token each, whole or streamed |
//! | `POST …/embeddings`, `GET …/models` | as OpenAI |
//! | `POST …/images/…`, `…/audio/…`, `…/moderations`, `…/rerank` | the smallest answer that has usage; JSON or a form |
//! | `POST …/model/{id}/converse[-stream]`, `…/invoke[-with-response-stream]`, `…/count-tokens` | as Bedrock Runtime |
//! | `POST …/v2/chat`, `…/v2/embed`, `…/v2/rerank` | as Cohere |
//! | `POST …/api/chat`, `…/api/embed`, `GET …/api/tags` | as Ollama |
//! | a request with `connection: upgrade` | 101, then its bytes come back |
//! | `HEAD`, `OPTIONS` | headers only |
//! | `GET /_mock/tally[?id=ID]`, `POST /_mock/reset` | the [`Tally`]; the ids are of `x-mock-id` or `x-request-id` |
//! | anything else | the body is read, counted and not kept; `{"object":"mock","path":…,"bytes":…}` |
//!
//! It says `max_completion_tokens` words (finish `length`), else 32 (finish `stop`); `x-mock-tokens`
//! sets another number. The other providers' formats are in [`dialect`]: Anthropic's, Google's and OpenAI's
//! newer one, in which a lower limit cuts the 32. The prompt has a token per 4 bytes of the text in its
//! messages, rounded up, at least 1. The other orders are the fields of [`program::Program`] and the names of
//! [`program::NAMES`].

#![expect(clippy::expect_used, reason = "a test server that cannot name its own address has to stop at once")]

mod body;
mod codec;
mod dialect;
mod echo;
mod embed;
pub mod encode;
mod media;
mod openai;
pub mod program;
mod reply;
mod request;
mod stream;
pub mod tally;
#[cfg(test)]
mod tests;
pub mod words;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use http::{HeaderValue, Method, Response, StatusCode, Version, header, request::Parts};
use hyper::body::{Body as _, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use body::{MockBody, TRAILER};
use echo::{ReadError, Received};
use media::Media;
use openai::{Answer, Caller, Refuse};
use program::Program;
use reply::Kind;
use tally::Book;
pub use tally::Tally;

/// A running server. Dropping it does not stop it; [`Mock::shutdown`] does.
pub struct Mock {
    addr: SocketAddr,
    shared: Arc<Shared>,
}

/// What the connections of one server have in common.
#[derive(Default)]
struct Shared {
    book: Book,
    /// Number of the next request.
    next: AtomicU64,
    /// The only keys that are taken; none where every key is, and no key.
    keys: RwLock<Option<Vec<String>>>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// One connection.
struct Peer {
    shared: Arc<Shared>,
    /// A request has been seen on it.
    used: AtomicBool,
}

/// What a path is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Route {
    Complete(Kind),
    Embed,
    Media(Media),
    Models,
    Other,
}

/// Serves on `listener` until the future is dropped, which ends all connections.
///
/// # Errors
/// None at present; the result leaves room for a listener that breaks.
pub async fn serve(listener: TcpListener) -> std::io::Result<()> {
    let shared = Arc::new(Shared::default());
    let _stop = shared.stop.clone().drop_guard();
    accept(listener, shared).await;
    Ok(())
}

// === impl Mock ===

impl Mock {
    /// Serves on `listener` in a task of the current runtime.
    ///
    /// # Panics
    /// When the listener's address cannot be read.
    #[expect(clippy::unused_async, reason = "it spawns: the caller must be inside a runtime")]
    pub async fn start(listener: TcpListener) -> Mock {
        let addr = listener.local_addr().expect("a bound listener has an address");
        let shared = Arc::new(Shared::default());
        shared.tasks.spawn(accept(listener, Arc::clone(&shared)));
        Mock { addr, shared }
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The counters as they stand.
    pub fn tally(&self) -> Tally {
        self.shared.book.snapshot(None)
    }

    /// From now on answers 401 to a request that carries none of these where its API has its key.
    pub fn require_keys(&self, keys: &[&str]) {
        let keys = keys.iter().map(|key| (*key).to_owned()).collect();
        *self.shared.keys.write().unwrap_or_else(PoisonError::into_inner) = Some(keys);
    }

    /// Drops the listener and all connections, and returns when they are gone.
    pub async fn shutdown(self) {
        self.shared.stop.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }
}

/// Accepts until the server is told to stop.
async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Some(accepted) = shared.stop.run_until_cancelled(listener.accept()).await {
        let Ok((stream, _)) = accepted else {
            // Too many open files, or a peer that was gone at once: neither ends the server.
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        shared.book.accepted.fetch_add(1, Relaxed);
        let peer = Arc::new(Peer { shared: Arc::clone(&shared), used: AtomicBool::new(false) });
        shared.tasks.spawn(connection(stream, peer));
    }
}

/// Serves one connection until it ends or the server stops.
async fn connection(stream: TcpStream, peer: Arc<Peer>) {
    // Every event shall leave when it is made.
    let _ = stream.set_nodelay(true);
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http2()
        .enable_connect_protocol()
        .max_concurrent_streams(4096)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(1 << 24);
    let stop = peer.shared.stop.clone();
    let service = hyper::service::service_fn(|request: http::Request<Incoming>| {
        let peer = Arc::clone(&peer);
        async move { Ok::<_, Infallible>(peer.answer(request).await) }
    });
    let serving = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    // How a connection ends is the peer's business, or was ordered.
    let _ = stop.run_until_cancelled(serving).await;
}

// === impl Peer ===

impl Peer {
    /// From a request to its response: own paths, program, upgrade, body, delay, answer.
    async fn answer(&self, request: http::Request<Incoming>) -> Response<MockBody> {
        let (mut head, body) = request.into_parts();
        let own = head.uri.path().starts_with("/_mock/");
        if !self.used.swap(true, Relaxed) && own {
            self.shared.book.own.fetch_add(1, Relaxed);
        }
        if own {
            return self.own(&head);
        }
        self.shared.book.request(head.uri.path());
        let number = self.shared.next.fetch_add(1, Relaxed);
        let (program, typo) = match Program::parse(&head.headers) {
            Ok(program) => (program, None),
            Err(error) => (Program::default(), Some(Refuse::bad(error.to_string(), None))),
        };
        let wrong = typo.or_else(|| (!self.takes_key_of(&head)).then(|| StatusCode::UNAUTHORIZED.into()));
        if let Some(refuse) = wrong {
            let caller = self.caller(&head, &program, number);
            return respond(&head, &caller, caller.refuse(&refuse, None, false));
        }
        if let Some(protocol) = echo::upgrade(&head).filter(|_| program.error().is_none()) {
            return self.upgrade(&mut head, protocol);
        }
        let caller = self.caller(&head, &program, number);
        let answer = match self.receive(&head, &program, body).await {
            Ok(received) => decide(&head, &caller, received),
            Err(error) => {
                let status = match error {
                    ReadError::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
                    ReadError::Cut => StatusCode::BAD_REQUEST,
                };
                caller.refuse(&status.into(), None, false)
            }
        };
        if !program.delay.is_zero() {
            tokio::time::sleep(program.delay).await;
        }
        respond(&head, &caller, answer)
    }

    fn takes_key_of(&self, head: &Parts) -> bool {
        let keys = self.shared.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.as_ref().is_none_or(|keys| dialect::carries(head, keys))
    }

    /// Reads the body; `None` when the answer shall not wait for it.
    async fn receive(&self, head: &Parts, program: &Program, body: Incoming) -> Result<Option<Received>, ReadError> {
        if program.early && !body.is_end_stream() {
            let stop = self.shared.stop.clone();
            self.shared.tasks.spawn(async move {
                let _ = stop.run_until_cancelled(Received::read(body, false)).await;
            });
            return Ok(None);
        }
        let spoken = || dialect::detect(head).is_some();
        let keep = program.echo || !matches!(route(head), Route::Models | Route::Other) || spoken();
        Received::read(body, keep).await.map(Some)
    }

    fn caller<'a>(&'a self, head: &'a Parts, program: &'a Program, number: u64) -> Caller<'a> {
        let place = dialect::detect(head);
        let (path, query) = (head.uri.path(), head.uri.query());
        Caller { book: &self.shared.book, program, headers: &head.headers, path, query, place, number }
    }

    /// Agrees to another protocol and gives its bytes back.
    fn upgrade(&self, head: &mut Parts, protocol: HeaderValue) -> Response<MockBody> {
        let response = echo::agree(head, protocol);
        if let Some(on) = head.extensions.remove::<hyper::upgrade::OnUpgrade>() {
            self.shared.book.upgrades.fetch_add(1, Relaxed);
            let stop = self.shared.stop.clone();
            self.shared.tasks.spawn(async move {
                let _ = stop.run_until_cancelled(echo::echo_bytes(on)).await;
            });
        }
        response
    }

    /// The paths of the mock itself.
    fn own(&self, head: &Parts) -> Response<MockBody> {
        let (status, json) = match (&head.method, head.uri.path()) {
            (&Method::GET, "/_mock/tally") => {
                let fields = head.uri.query().unwrap_or_default().split('&');
                let id = fields.filter_map(|field| field.strip_prefix("id=")).next_back();
                let json = serde_json::to_string(&self.shared.book.snapshot(id));
                (StatusCode::OK, json.unwrap_or_default())
            }
            (&Method::POST, "/_mock/reset") => {
                self.shared.book.reset();
                (StatusCode::OK, "{}".to_owned())
            }
            _ => (StatusCode::NOT_FOUND, r#"{"error":{"message":"GET /_mock/tally, POST /_mock/reset"}}"#.to_owned()),
        };
        respond(head, &self.caller(head, &Program::default(), 0), Answer::json(status, json))
    }
}

/// The endpoint of a path, with any prefix before it: `/v1` as OpenAI's, none, or another provider's.
fn route(head: &Parts) -> Route {
    let path = head.uri.path();
    match head.method {
        Method::POST if path.ends_with("/chat/completions") => Route::Complete(Kind::Chat),
        Method::POST if path.ends_with("/completions") => Route::Complete(Kind::Text),
        Method::POST if path.ends_with("/embeddings") => Route::Embed,
        Method::POST => Media::of(path).map_or(Route::Other, Route::Media),
        Method::GET | Method::HEAD if path.ends_with("/models") => Route::Models,
        _ => Route::Other,
    }
}

/// The answer to a request of which everything is known, or all but the body.
fn decide(head: &Parts, caller: &Caller, received: Option<Received>) -> Answer {
    let program = caller.program;
    let status = program.status.unwrap_or(StatusCode::OK);
    if program.echo && program.error().is_none() {
        let json = echo::echo(head, &received.unwrap_or_default());
        return Answer { ticket: Some(caller.open(status, None, false, 0)), ..Answer::json(status, json) };
    }
    let body = received.as_ref().map(|received| &received.body[..]);
    if caller.lacks_version() && program.error().is_none() {
        return Answer::json(StatusCode::NOT_FOUND, r#"{"error":{"code":"404","message":"Resource not found"}}"#);
    }
    if let Some(place) = &caller.place {
        return caller.speak(place, body);
    }
    match route(head) {
        Route::Complete(kind) => return caller.complete(kind, body),
        Route::Embed => return caller.embed(body),
        Route::Media(media) => return caller.media(media, body),
        Route::Models | Route::Other => {}
    }
    if let Some(status) = program.error() {
        return caller.refuse(&status.into(), None, false);
    }
    let json = if route(head) == Route::Models {
        openai::models()
    } else {
        let (path, bytes) = (openai::quote(head.uri.path()), received.map_or(0, |received| received.bytes));
        format!(r#"{{"object":"mock","path":{path},"bytes":{bytes}}}"#)
    };
    Answer { ticket: Some(caller.open(status, None, false, 0)), ..Answer::json(status, json) }
}

/// Puts an answer on the wire as the program says.
fn respond(head: &Parts, caller: &Caller, answer: Answer) -> Response<MockBody> {
    let Answer { status, content_type, headers: more, source, ticket } = answer;
    let program = caller.program;
    let bare = matches!(head.method, Method::HEAD | Method::OPTIONS)
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED);
    let coding = program.coding(&head.headers).filter(|_| !bare);
    let te = head.headers.get_all(header::TE).iter().any(|te| te.as_bytes().windows(8).any(|word| word == b"trailers"));
    let trailers = !bare && program.trailers && (head.version == Version::HTTP_2 || te);
    let length = source.length();
    let body = if bare {
        ticket.iter().for_each(tally::Ticket::complete);
        MockBody::empty()
    } else {
        MockBody::new(source, ticket, program, coding, trailers)
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    if head.method == Method::OPTIONS {
        headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, POST, OPTIONS"));
    } else {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        let named = caller.answer_headers(status).into_iter().chain(more);
        headers.extend(named.filter_map(|(name, value)| Some((name, HeaderValue::try_from(value).ok()?))));
    }
    if head.method == Method::HEAD {
        headers.extend(length.map(|length| (header::CONTENT_LENGTH, HeaderValue::from(length))));
    }
    if let Some(coding) = coding {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
    }
    if trailers {
        headers.insert(header::TRAILER, HeaderValue::from(TRAILER));
    }
    if let Some(seconds) = program.retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}
