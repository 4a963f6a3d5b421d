//! One call made twice: directly to a mock, and through the egress to its twin. What comes back must
//! be the same in status, headers, bytes and trailers.

use http::Method;

use super::egress::Egress;
use crate::support::http1::{self, Request};
use crate::support::http2::{self, Client};
use crate::support::response::Response;

/// Headers that may differ: the time, the connection's own, and what Envoy and Weir add.
const MAY_DIFFER: &[&str] = &[
    "connection",
    "content-length",
    "date",
    "transfer-encoding",
    "x-envoy-upstream-service-time",
    "x-weir-request-id",
];

/// A call that is made over either protocol.
#[derive(Clone)]
pub struct Call {
    pub method: &'static str,
    pub path: &'static str,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Http1,
    Http2,
}

pub const BOTH: [Protocol; 2] = [Protocol::Http1, Protocol::Http2];

// === impl Call ===

impl Call {
    /// A chat completion with this body.
    pub fn chat(body: impl Into<Vec<u8>>) -> Call {
        Call::post("/v1/chat/completions", body)
    }

    /// A POST of JSON.
    pub fn post(path: &'static str, body: impl Into<Vec<u8>>) -> Call {
        Call { method: "POST", path, headers: Vec::new(), body: body.into() }
            .with(&[("content-type", "application/json"), ("authorization", "Bearer sk-of-the-caller")])
    }

    /// A request without a body.
    pub fn bare(method: &'static str, path: &'static str) -> Call {
        Call { method, path, headers: Vec::new(), body: Vec::new() }
    }

    /// With more headers.
    pub fn with(mut self, headers: &[(&str, &str)]) -> Call {
        self.headers.extend(headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        self
    }

    /// The bytes of the call over HTTP/1.1.
    pub fn http1(&self) -> Vec<u8> {
        let headers = self.pairs();
        let request = Request { method: self.method, path: self.path, headers: &headers };
        // A POST without a body states its length.
        if self.body.is_empty() && self.method != "POST" { request.head() } else { request.with_length(&self.body) }
    }

    /// The head of the call over HTTP/2, with this body.
    pub fn http2<B>(&self, address: &str, body: B) -> http::Request<B> {
        let mut request = http::Request::builder()
            .method(Method::from_bytes(self.method.as_bytes()).expect("a method"))
            .uri(format!("http://{address}{}", self.path));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request.body(body).expect("a request")
    }

    /// Makes the call.
    pub async fn send(&self, protocol: Protocol, address: &str) -> Response {
        match protocol {
            Protocol::Http1 => http1::exchange(address, self.method, &self.http1()).await.expect("an answer"),
            Protocol::Http2 => {
                let mut client = Client::connect(address).await.expect("a connection");
                client.exchange(self.http2(address, http2::whole(&self.body))).await.expect("an answer")
            }
        }
    }

    fn pairs(&self) -> Vec<(&str, &str)> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }
}

/// Makes the call both ways under one label and gives the answers, the direct one first.
pub async fn both(egress: &Egress, protocol: Protocol, label: &str, call: &Call) -> (Response, Response) {
    let call = call.clone().with(&[("x-mock-id", label)]);
    let address = egress.direct();
    tokio::join!(call.send(protocol, &address), call.send(protocol, &egress.address))
}

/// Makes the call both ways, and panics where the answers differ. Gives the one through the egress.
pub async fn same(egress: &Egress, protocol: Protocol, label: &str, call: &Call) -> Response {
    let (direct, through) = both(egress, protocol, label, call).await;
    assert_same(&format!("{label} over {protocol:?}"), &direct, &through);
    through
}

/// Panics where the answers differ.
pub fn assert_same(what: &str, direct: &Response, through: &Response) {
    assert_eq!(direct.status, through.status, "{what}: {through:?}");
    assert_eq!(compared(direct), compared(through), "{what}: headers");
    assert!(direct.body == through.body, "{what}:\n direct  {direct:?}\n through {through:?}");
    assert_eq!(direct.trailers, through.trailers, "{what}: trailers");
    assert_eq!((direct.complete, &direct.fault), (through.complete, &through.fault), "{what}: {through:?}");
    assert_eq!(through.header("x-weir-request-id").map(str::len), Some(32), "{what}: {through:?}");
    let length = through.header("content-length").and_then(|length| length.parse().ok());
    assert!(length.is_none_or(|length: usize| length == through.body.len() || through.body.is_empty()), "{what}");
}

fn compared(response: &Response) -> Vec<&(String, String)> {
    let mut headers: Vec<_> =
        response.headers.iter().filter(|(name, _)| !MAY_DIFFER.contains(&name.as_str())).collect();
    headers.sort();
    headers
}
