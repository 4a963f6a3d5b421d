//! An answer as a client saw it, in one form for HTTP/1.1 and HTTP/2, so that two ways to the same
//! server can be compared.

use std::fmt;
use std::time::Duration;

use serde_json::Value;

/// How much of a body a message shows, in bytes.
const SHOWN: usize = 2000;

#[derive(Clone, Default, PartialEq, Eq)]
pub struct Response {
    /// 0 until the final head has come.
    pub status: u16,
    /// Statuses of the interim answers (1xx) that came before, in order.
    pub interim: Vec<u16>,
    /// In order; names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// The body as it arrived: the time since the client began to read, and the bytes of one read or frame.
    pub chunks: Vec<(Duration, Vec<u8>)>,
    pub trailers: Vec<(String, String)>,
    /// Whether the answer ended as its framing says it ends.
    pub complete: bool,
    /// Why it is not complete: the connection's error, or what was wrong with the bytes.
    pub fault: Option<String>,
}

// === impl Response ===

impl Response {
    /// The first header of this name (lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The body as text; bytes that are none are replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }

    /// The data of each server-sent event in the body, lines joined by a newline. It knows LF only,
    /// which is what the mock writes.
    pub fn events(&self) -> Vec<String> {
        let text = self.text();
        let events = text.split("\n\n").map(|event| {
            let data = event.lines().filter_map(|line| line.strip_prefix("data:"));
            data.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect::<Vec<_>>().join("\n")
        });
        events.filter(|event| !event.is_empty()).collect()
    }

    pub(super) fn receive(&mut self, at: Duration, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.body.extend_from_slice(bytes);
            self.chunks.push((at, bytes.to_vec()));
        }
    }
}

/// For the messages of failing tests: the body as text, and not much of it.
impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, interim, headers, body, chunks, trailers, complete, fault } = self;
        write!(f, "{status} (interim {interim:?}) complete={complete} fault={fault:?} {headers:?}")?;
        write!(f, " trailers {trailers:?}, {} bytes in {} chunks: ", body.len(), chunks.len())?;
        write!(f, "{:?}", String::from_utf8_lossy(&body[..body.len().min(SHOWN)]))
    }
}

#[test]
fn events_are_the_data_lines() {
    let response =
        Response { body: b": hello\n\ndata: a\ndata:b\n\nevent: x\ndata: [DONE]".to_vec(), ..Response::default() };
    assert_eq!(response.events(), ["a\nb", "[DONE]"]);
}
