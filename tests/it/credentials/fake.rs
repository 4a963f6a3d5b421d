//! An HTTP server whose answers the test writes, and that remembers what it was asked.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub path: String,
    /// Name and value, decoded.
    pub query: HashMap<String, String>,
    pub headers: HashMap<String, String>,
    pub body: String,
}

/// What is answered: the status, and the body.
pub type Answer = (u16, String);

pub struct Fake {
    pub url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    _task: AbortOnDropHandle<()>,
}

const LIFE: &str = "x-aws-ec2-metadata-token-ttl-seconds";

/// What a token endpoint answers.
pub fn json(token: &str, life: u64) -> Answer {
    let answer = serde_json::json!({"access_token": token, "token_type": "Bearer", "expires_in": life});
    (200, answer.to_string())
}

// === impl Seen ===

impl Seen {
    /// The fields of a form.
    pub fn form(&self) -> HashMap<String, String> {
        assert_eq!(self.headers["content-type"], "application/x-www-form-urlencoded");
        pairs(&self.body)
    }
}

// === impl Fake ===

impl Fake {
    /// Serves until it is dropped. A panic of `answer` ends the connection, and the test by its answer.
    pub async fn start(answer: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Fake {
        Fake::serve(None, answer).await
    }

    /// One whose clock shows this; without anything it does not say.
    pub async fn dated(date: Option<&'static str>, answer: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Fake {
        Fake::serve(Some(date), answer).await
    }

    /// Without a date of its own it says this machine's.
    async fn serve(
        date: Option<Option<&'static str>>,
        answer: impl Fn(&Seen) -> Answer + Send + Sync + 'static,
    ) -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (seen, answer) = (Arc::new(Mutex::new(Vec::new())), Arc::new(answer));
        let heard = seen.clone();
        let task = tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { return };
                let (heard, answer) = (heard.clone(), answer.clone());
                let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
                    let (heard, answer) = (heard.clone(), answer.clone());
                    async move {
                        let request = seen_of(request).await;
                        heard.lock().expect("no panic").push(request.clone());
                        let (status, body) = answer(&request);
                        let response = hyper::Response::builder().status(status);
                        // The instance metadata of AWS says how long a session lasts.
                        let life = request.headers.get(LIFE).map(|life| (LIFE, &**life));
                        let said = life.into_iter().chain(date.flatten().map(|date| ("date", date)));
                        let response = said.fold(response, |answer, (name, value)| answer.header(name, value));
                        Ok::<_, Infallible>(response.body(Full::new(Bytes::from(body))).expect("a response"))
                    }
                });
                let mut server = http1::Builder::new();
                server.auto_date_header(date.is_none());
                tokio::spawn(async move { server.serve_connection(TokioIo::new(stream), service).await });
            }
        });
        Fake { url, seen, _task: AbortOnDropHandle::new(task) }
    }

    /// `HOST:PORT`.
    pub fn host(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    /// What was asked so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("no panic").clone()
    }
}

async fn seen_of(request: hyper::Request<hyper::body::Incoming>) -> Seen {
    let (head, body) = request.into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    let text = |value: &http::HeaderValue| value.to_str().expect("text").to_owned();
    Seen {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: pairs(head.uri.query().unwrap_or_default()),
        headers: head.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
        body: String::from_utf8(body.to_vec()).expect("text"),
    }
}

fn pairs(text: &str) -> HashMap<String, String> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').expect("a pair")).map(|(name, value)| (decode(name), decode(value))).collect()
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let digits = [rest.next().expect("a digit"), rest.next().expect("a digit")];
                let digits = std::str::from_utf8(&digits).expect("digits");
                bytes.push(u8::from_str_radix(digits, 16).expect("digits"));
            }
            b'+' => bytes.push(b' '),
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).expect("UTF-8")
}
