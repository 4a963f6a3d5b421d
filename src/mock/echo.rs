//! What shows a test what the mock received: the echo of a request, and of the bytes of an upgraded
//! connection.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use hyper::body::{Body, Incoming};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};

use super::body::MockBody;
use super::codec::{base64, websocket_accept};

/// A request's body.
#[derive(Default)]
pub(super) struct Received {
    /// Empty when it was only counted.
    pub(super) body: Bytes,
    pub(super) bytes: u64,
    pub(super) trailers: HeaderMap,
}

/// Why a body could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error("the request body is larger than the mock keeps")]
    TooLarge,
    #[error("the request body ended early")]
    Cut,
}

/// The most a body may hold that the mock has to keep.
const MOST_KEPT: u64 = 256 << 20;

// === impl Received ===

impl Received {
    /// Reads a body to its end; keeps it only when `keep`, at most 256 MiB.
    pub(super) async fn read(mut body: Incoming, keep: bool) -> Result<Received, ReadError> {
        use http_body_util::BodyExt;

        let mut received = Received::default();
        if body.is_end_stream() {
            return Ok(received);
        }
        let mut more = Vec::new();
        while let Some(frame) = body.frame().await {
            match frame.map_err(|_| ReadError::Cut)?.into_data() {
                Ok(data) => {
                    received.bytes += data.len() as u64;
                    if !keep || data.is_empty() {
                        continue;
                    }
                    if received.bytes > MOST_KEPT {
                        return Err(ReadError::TooLarge);
                    }
                    // The usual body is one frame and is not copied.
                    if received.body.is_empty() {
                        received.body = data;
                    } else {
                        if more.is_empty() {
                            more.extend_from_slice(&received.body);
                        }
                        more.extend_from_slice(&data);
                    }
                }
                Err(frame) => received.trailers = frame.into_trailers().unwrap_or_default(),
            }
        }
        if !more.is_empty() {
            received.body = more.into();
        }
        Ok(received)
    }
}

/// The request as JSON: method, path with query, authority (HTTP/2), version, headers and trailers as
/// lists of pairs in the order of arrival, the body as a string or, when it is not UTF-8, as base64,
/// and its length.
pub(super) fn echo(head: &http::request::Parts, received: &Received) -> String {
    let (body, encoded) = match std::str::from_utf8(&received.body) {
        Ok(text) => (Value::from(text), Value::Null),
        Err(_) => (Value::Null, Value::from(base64(&received.body))),
    };
    json!({
        "object": "mock.echo",
        "method": head.method.as_str(),
        "path": head.uri.path_and_query().map(|path| path.as_str()),
        "authority": head.uri.authority().map(|authority| authority.as_str()),
        "version": format!("{:?}", head.version),
        "headers": pairs(&head.headers),
        "trailers": pairs(&received.trailers),
        "body": body,
        "body_base64": encoded,
        "body_length": received.bytes,
    })
    .to_string()
}

fn pairs(headers: &HeaderMap) -> Vec<[String; 2]> {
    headers.iter().map(|(name, value)| [name.to_string(), String::from_utf8_lossy(value.as_bytes()).into()]).collect()
}

/// The protocol a request wants to change to, when the mock does so: any but HTTP/2. An extended
/// CONNECT is one too.
pub(super) fn upgrade(head: &http::request::Parts) -> Option<HeaderValue> {
    if head.version == http::Version::HTTP_2 {
        let protocol = head.extensions.get::<hyper::ext::Protocol>()?;
        return HeaderValue::from_str(protocol.as_str()).ok();
    }
    let asked = head.headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let asked = asked.flat_map(|value| value.split(',')).any(|token| token.trim().eq_ignore_ascii_case("upgrade"));
    let protocol = head.headers.get(header::UPGRADE).filter(|_| asked)?;
    (!protocol.as_bytes().eq_ignore_ascii_case(b"h2c")).then(|| protocol.clone())
}

/// The response that agrees to the change.
pub(super) fn agree(head: &http::request::Parts, protocol: HeaderValue) -> http::Response<MockBody> {
    let mut response = http::Response::new(MockBody::empty());
    if head.version == http::Version::HTTP_2 {
        return response;
    }
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, protocol);
    let key = head.headers.get(header::SEC_WEBSOCKET_KEY);
    if let Some(accept) = key.and_then(|key| HeaderValue::from_str(&websocket_accept(key.as_bytes())).ok()) {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    response
}

/// Gives every byte of the changed connection back, until the peer ends it.
pub(super) async fn echo_bytes(on: hyper::upgrade::OnUpgrade) {
    use tokio::io::AsyncWriteExt;

    let Ok(upgraded) = on.await else { return };
    let (mut read, mut write) = tokio::io::split(TokioIo::new(upgraded));
    // An error ends the connection just as its end does.
    if tokio::io::copy(&mut read, &mut write).await.is_ok() {
        let _ = write.shutdown().await;
    }
}
