//! What the proxy answers by itself, said in the client's dialect.

use bytes::Bytes;
use serde_json::Value;

use super::Exchange;
use super::event::{Action, Length, Local, ResponseHead};
use super::phase::Phase;
use super::record::Outcome;
use super::response::Body;
use crate::llm::refusal::CODES;
use crate::llm::{Code, Refusal};
use crate::wire;

/// The header by which the rendered configuration marks the proxy's own answers.
pub const LOCAL_REPLY_HEADER: &str = "x-weir-local-reply";

// === impl Exchange ===

impl Exchange {
    /// The proxy's own reply is a bare status: the client gets words with it.
    pub(super) fn say_bare(&mut self, out: &mut Vec<Action>) {
        let code = code_of(self.upstream_status());
        let refusal = Refusal::new(code, "The proxy answered before the request was sent on.");
        self.refuse_now(refusal, Outcome::UpstreamError, out);
    }

    /// The proxy's own reply is read before it is said in other words. A head that cannot wait for it goes on
    /// with what is known of them.
    pub(super) fn begin_local_reply(&mut self, out: &mut Vec<Action>) {
        self.response.body = Body::LocalReply(Vec::new());
        if !self.setup.mode.holds_responses() {
            self.send_reply_head(Length::Unknown, out);
        }
    }

    fn send_reply_head(&mut self, length: Length, out: &mut Vec<Action>) {
        let mut edits = self.head_edits();
        edits.set("content-type", "application/json");
        edits.length = length;
        self.push(Action::Head(edits), out);
    }

    /// Says the proxy's own reply in the client's dialect, with the proxy's status.
    pub(super) fn say_local_reply(&mut self, out: &mut Vec<Action>) {
        let Body::LocalReply(text) = std::mem::take(&mut self.response.body) else { return };
        let refused = self.attempts.take_refused();
        let refusal = refused.unwrap_or_else(|| translate(self.upstream_status(), &text));
        let body = Bytes::from(wire::codec_of(self.story.dialect, self.story.operation).refusal(&refusal));
        self.story.refusal = Some(refusal.code.as_str());
        if self.phase == Phase::Held {
            self.send_reply_head(Length::Exactly(body.len() as u64), out);
        }
        self.emit_last(body, Outcome::UpstreamError, out);
    }

    fn upstream_status(&self) -> u16 {
        self.response.upstream_status().unwrap_or_default()
    }
}

/// Envoy's own replies are marked where the configuration was rendered by Weir. Elsewhere they are
/// `text/plain` and carry no `x-envoy-upstream-service-time`, which the router sets on what an
/// upstream answered.
pub(super) fn is_local_reply(head: &ResponseHead) -> bool {
    let plain = head.headers.get("content-type").is_some_and(|value| value.starts_with("text/plain"));
    let upstream = head.headers.get("x-envoy-upstream-service-time").is_some();
    head.headers.get(LOCAL_REPLY_HEADER).is_some() || (plain && !upstream)
}

/// What a status of the proxy's own means to a client.
pub(super) fn code_of(status: u16) -> Code {
    match status {
        401 => Code::InvalidApiKey,
        403 => Code::ModelNotAllowed,
        404 => Code::NoBackend,
        408 => Code::RequestTimeout,
        413 => Code::RequestTooLarge,
        429 => Code::RateLimitExceeded,
        502 => Code::UpstreamInvalidResponse,
        504 => Code::UpstreamTimeout,
        400..=499 => Code::UnsupportedValue,
        _ => Code::UpstreamUnavailable,
    }
}

/// The reply's code and words where it is a JSON error of the rendered configuration, else the code
/// of its status and the text as it stands.
fn translate(status: u16, text: &[u8]) -> Refusal {
    let parsed = serde_json::from_slice::<Value>(text).unwrap_or_default();
    let said = |field: &str| parsed.get("error")?.get(field)?.as_str();
    let known = said("code").and_then(|word| CODES.iter().find(|(_, known, _)| *known == word));
    let code = known.map_or_else(|| code_of(status), |&(code, ..)| code);
    let words = match said("message") {
        Some(message) => message.to_owned(),
        None => String::from_utf8_lossy(text).trim().to_owned(),
    };
    Refusal::new(code, format!("The proxy could not get an answer: {words}"))
}

/// The answer to an attempt that is not made, in the form in which the rendered configuration says the proxy's own
/// errors: the exchange says it in its client's dialect. Envoy tries no other backend behind it.
pub fn refused(code: Code, message: &str) -> Local {
    let error = serde_json::json!({
        "error": {"message": message, "type": code.kind(), "param": null, "code": code.as_str()},
    });
    Local {
        status: 503,
        headers: vec![("content-type".into(), "application/json".into()), (LOCAL_REPLY_HEADER.into(), "-".into())],
        body: Bytes::from(error.to_string()),
        ..Local::default()
    }
}
