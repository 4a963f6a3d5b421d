//! [`Action`] to the answers that Envoy gets. The one hand that writes `content-length`: from the bytes that
//! are about to be sent, never from what anybody said. Envoy 1.40 checks nothing, and a wrong length
//! smuggles a second request.

use bytes::Bytes;

use super::outbox::Outbox;
use super::outgoing::{Outgoing, Way, What};
use super::turns::Turn;
use crate::exchange::event::{Action, Again, Edits, Length, Local, Meta, Value};
use crate::exchange::phase::BodyMode;
use crate::render::attempt::LENGTH_HEADER;

/// Writes the answers of one stream, in order.
#[derive(Debug, Default)]
pub struct Writer {
    /// The two directions, where Envoy waits for an answer to every part; none in `FULL_DUPLEX_STREAMED`.
    turns: Option<Box<Turns>>,
    /// The request was its head.
    bare_request: bool,
    /// How the other side ended its body; ours ends in the same way, or Envoy waits for ever.
    request_trailers: bool,
    response_trailers: bool,
    passing: bool,
    local: bool,
}

/// Both directions of an exchange whose parts are answered one by one.
#[derive(Debug)]
struct Turns {
    request: Turn,
    response: Turn,
}

// === impl Writer ===

impl Writer {
    /// For an Envoy that sends bodies in this mode.
    pub fn new(mode: BodyMode) -> Self {
        let turns = |buffered| {
            let (request, response) = (Turn::new(Way::Request, true), Turn::new(Way::Response, buffered));
            Some(Box::new(Turns { request, response }))
        };
        let turns = match mode {
            BodyMode::FullDuplex => None,
            BodyMode::BufferedStreamed => turns(false),
            BodyMode::Buffered => turns(true),
        };
        Writer { turns, ..Writer::default() }
    }

    /// The request's head came, and was (`end`) or was not all of it.
    pub fn request_head(&mut self, end: bool) {
        self.bare_request = end;
        if let Some(turns) = &mut self.turns {
            turns.request.head(end, 0);
        }
    }

    /// A part of the request's body came. Returns true when nothing of it follows.
    pub fn request_body(&mut self, bytes: &Bytes, end: bool) -> bool {
        self.turns.as_mut().map_or(end, |turns| turns.request.body(bytes, end))
    }

    /// The request ended by trailers. Returns false where the body was whole before.
    pub fn request_trailers(&mut self) -> bool {
        self.request_trailers = true;
        self.turns.as_mut().is_none_or(|turns| turns.request.trailers())
    }

    /// The response's head came, and was (`end`) or was not all of it.
    pub fn response_head(&mut self, end: bool, status: u16) {
        if let Some(turns) = &mut self.turns {
            turns.response.head(end, status);
        }
    }

    /// A part of the response's body came. Returns true when nothing of it follows.
    pub fn response_body(&mut self, bytes: &Bytes, end: bool) -> bool {
        self.turns.as_mut().map_or(end, |turns| turns.response.body(bytes, end))
    }

    /// The response ended by trailers. Returns false where the body was whole before.
    pub fn response_trailers(&mut self) -> bool {
        self.response_trailers = true;
        self.turns.as_mut().is_none_or(|turns| turns.response.trailers())
    }

    /// The exchange has done what there was to do about what came: where Envoy waits for an answer and
    /// there is none, it gets the one that changes nothing. A request's body has its answer in the end.
    pub fn settle(&mut self, out: &mut Outbox) {
        if let Some(turns) = &mut self.turns {
            turns.request.settle_head(out);
            turns.request.settle_late(out);
            turns.response.settle_head(out);
            turns.response.settle_body(out);
        }
    }

    /// True when request chunks are echoed as they come.
    pub fn is_passing(&self) -> bool {
        self.passing
    }

    /// Sends a chunk of a passing request on as it came.
    pub fn echo(&mut self, bytes: Bytes, end: bool, out: &mut Outbox) {
        if let Some(turns) = &mut self.turns {
            turns.request.emit(bytes, Meta::new());
            return turns.request.settle_body(out);
        }
        self.part(Way::Request, bytes, end, Meta::new(), out);
    }

    /// Writes one action. Those that concern the host alone write nothing.
    pub fn write(&mut self, action: Action, out: &mut Outbox) {
        if self.turns.is_some() {
            return self.write_in_turn(action, out);
        }
        match action {
            Action::Pass(edits) => {
                self.passing = true;
                out.push(request_head(edits));
            }
            Action::Forward { mut head, mut body } => {
                let length: usize = body.iter().map(Bytes::len).sum();
                // A length that the caller stated never leaves where the body was held. With trailers
                // none is announced: HTTP/1.1 would have to drop them.
                head.length = match (self.bare_request, self.request_trailers) {
                    (true, _) => Length::Kept,
                    (false, true) => Length::Unknown,
                    (false, false) => Length::Exactly(length as u64),
                };
                out.push(request_head(head));
                if !self.bare_request {
                    let last = body.pop().unwrap_or_default();
                    for bytes in body {
                        self.part(Way::Request, bytes, false, Meta::new(), out);
                    }
                    self.part(Way::Request, last, true, Meta::new(), out);
                }
            }
            Action::Respond(local) => {
                // It ends the exchange with the proxy: what still arrives goes nowhere.
                self.passing = false;
                out.push(immediate(local));
            }
            Action::Open(local) => {
                self.local = true;
                out.push(open(local));
            }
            Action::Head(edits) => out.push(response_head(edits)),
            Action::Emit { bytes, end, meta } => {
                let way = if self.local { Way::Local } else { Way::Response };
                self.part(way, bytes, end, meta, out);
            }
            Action::Keep(_) | Action::Retry(..) | Action::Ask(..) | Action::Wake(_) | Action::Note(_) => {}
        }
    }

    /// The same where Envoy waits for an answer to every part.
    fn write_in_turn(&mut self, action: Action, out: &mut Outbox) {
        let Some(turns) = &mut self.turns else { return };
        match action {
            Action::Pass(edits) => {
                self.passing = true;
                turns.request.stream();
                turns.response.stream();
                let (edits, meta) = checked(edits);
                turns.request.take_head();
                out.push(Outgoing { what: What::PassHead(edits), meta });
            }
            Action::Forward { mut head, body } => {
                head.length = match self.bare_request {
                    true => Length::Kept,
                    false => turns.request.length(body.iter().map(Bytes::len).sum()),
                };
                let (edits, meta) = checked(head);
                if let Some(answer) = turns.request.answer_head(edits, meta) {
                    return out.push(answer);
                }
                body.into_iter().for_each(|bytes| turns.request.emit(bytes, Meta::new()));
                turns.request.settle_body(out);
            }
            Action::Respond(local) => {
                self.passing = false;
                turns.request.close();
                turns.response.close();
                out.push(immediate(local));
            }
            Action::Head(edits) => {
                let (edits, meta) = checked(edits);
                if let Some(answer) = turns.response.answer_head(edits, meta) {
                    out.push(answer);
                }
            }
            Action::Emit { bytes, meta, .. } => turns.response.emit(bytes, meta),
            // No local answer is streamed in these modes.
            Action::Open(_)
            | Action::Keep(_)
            | Action::Retry(..)
            | Action::Ask(..)
            | Action::Wake(_)
            | Action::Note(_) => {}
        }
    }

    /// Sends a part of a body. Where it ends by trailers they carry what there is to tell.
    fn part(&self, way: Way, bytes: Bytes, end: bool, meta: Meta, out: &mut Outbox) {
        let trailers = end
            && match way {
                Way::Request => self.request_trailers,
                Way::Response => self.response_trailers,
                Way::Local => false,
            };
        if !trailers {
            // An end is a message of its own where no bytes are left to carry it.
            if end || !bytes.is_empty() {
                out.push_body(way, bytes, end, meta);
            }
            return;
        }
        if !bytes.is_empty() {
            out.push_body(way, bytes, false, Meta::new());
        }
        let what = match way {
            Way::Request => What::RequestTrailers,
            Way::Response | Way::Local => What::ResponseTrailers,
        };
        out.push(Outgoing { what, meta });
    }
}

/// What an attempt is answered. Envoy takes the length away from a head whose body is replaced, and sends chunks; a
/// filter of the rendered configuration puts it back from [`LENGTH_HEADER`], and takes that away.
pub(super) fn attempt(again: Again) -> Outgoing {
    match again {
        Again::Same => Outgoing::new(What::Continue(Way::Request)),
        Again::Anew { mut head, body } => {
            head.set(LENGTH_HEADER, body.len().to_string());
            let (edits, meta) = checked(head);
            Outgoing { what: What::Attempt(edits, body), meta }
        }
        Again::Not(local) => immediate(local),
    }
}

fn request_head(edits: Edits) -> Outgoing {
    let (edits, meta) = checked(edits);
    Outgoing { what: What::RequestHead(edits), meta }
}

fn response_head(edits: Edits) -> Outgoing {
    let (edits, meta) = checked(edits);
    Outgoing { what: What::ResponseHead(edits), meta }
}

fn checked(mut edits: Edits) -> (Edits, Meta) {
    edits.set.retain(|(name, value)| {
        is_name(name)
            && match value {
                Value::Text(text) => is_value(text.as_bytes()),
                Value::Secret { prefix, secret } => is_value(prefix.as_bytes()) && is_value(secret.expose().as_bytes()),
                Value::Original(fields) => fields.iter().all(|(_, value)| is_value(value)),
            }
    });
    let meta = std::mem::take(&mut edits.meta);
    (edits, meta)
}

fn immediate(local: Local) -> Outgoing {
    let (local, meta) = checked_local(local);
    Outgoing { what: What::Immediate(local), meta }
}

fn open(local: Local) -> Outgoing {
    let (local, meta) = checked_local(local);
    Outgoing { what: What::Open(local), meta }
}

fn checked_local(mut local: Local) -> (Local, Meta) {
    local.headers.retain(|(name, value)| is_name(name) && is_value(value.as_bytes()));
    let meta = std::mem::take(&mut local.meta);
    (local, meta)
}

/// Names are checked before they are set: what is no token (RFC 9110, 5.6.2) is not, and the framing
/// headers are not set by anybody but this file.
fn is_name(name: &str) -> bool {
    const FRAMING: &[&str] = &["host", "content-length", "transfer-encoding", "connection"];
    /// More than any proxy takes.
    const LONGEST: usize = (1 << 16) - 1;
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty()
        && name.len() <= LONGEST
        && name.bytes().all(is_token)
        && !FRAMING.iter().any(|framing| framing.eq_ignore_ascii_case(name))
}

/// No value may break out of its line (RFC 9110, 5.5).
fn is_value(value: &[u8]) -> bool {
    value.iter().all(|&byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_legal_is_what_the_http_crate_takes(text in "([!-~]{0,8}|\\PC{0,4}|[\\x00-\\x7f]{0,4})") {
            prop_assert_eq!(is_value(text.as_bytes()), http::HeaderValue::from_bytes(text.as_bytes()).is_ok());
            prop_assert_eq!(is_name(&text), http::HeaderName::from_bytes(text.as_bytes()).is_ok());
        }
    }

    #[test]
    fn every_byte_of_a_name_is_judged_as_the_http_crate_does() {
        for byte in 0..128 {
            let name = format!("x{}", char::from(byte));
            assert_eq!(is_name(&name), http::HeaderName::from_bytes(name.as_bytes()).is_ok(), "{name:?}");
        }
    }
}
