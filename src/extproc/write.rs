//! [`Action`] to the answers that Envoy gets. The one hand that writes `content-length`: from the bytes that
//! are about to be sent, never from what anybody said. Envoy 1.40 checks nothing, and a wrong length
//! smuggles a second request.

use bytes::Bytes;

use super::outbox::Outbox;
use super::outgoing::{Outgoing, Way, What};
use crate::exchange::event::{Action, Edits, Length, Local, Meta, Value};

/// Writes the answers of one stream, in order.
#[derive(Debug, Default)]
pub struct Writer {
    /// The request was its head.
    bare_request: bool,
    /// How the other side ended its body; ours ends in the same way, or Envoy waits for ever.
    request_trailers: bool,
    response_trailers: bool,
    passing: bool,
    local: bool,
}

// === impl Writer ===

impl Writer {
    /// The request's head came, and was (`end`) or was not all of it.
    pub fn request_head(&mut self, end: bool) {
        self.bare_request = end;
    }

    /// The request ended by trailers.
    pub fn request_trailers(&mut self) {
        self.request_trailers = true;
    }

    /// The response ended by trailers.
    pub fn response_trailers(&mut self) {
        self.response_trailers = true;
    }

    /// True when request chunks are echoed as they come.
    pub fn is_passing(&self) -> bool {
        self.passing
    }

    /// Sends a chunk of a passing request on as it came.
    pub fn echo(&mut self, bytes: Bytes, end: bool, out: &mut Outbox) {
        self.part(Way::Request, bytes, end, Meta::new(), out);
    }

    /// Writes one action. Those that concern the host alone write nothing.
    pub fn write(&mut self, action: Action, out: &mut Outbox) {
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
            Action::Retry { .. } | Action::Ask(..) | Action::Wake(_) | Action::Note(_) => {}
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
                Value::Text(text) => is_value(text),
                Value::Secret { prefix, secret } => is_value(prefix) && is_value(secret.expose()),
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
    local.headers.retain(|(name, value)| is_name(name) && is_value(value));
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
fn is_value(value: &str) -> bool {
    value.bytes().all(|byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_legal_is_what_the_http_crate_takes(text in "([!-~]{0,8}|\\PC{0,4}|[\\x00-\\x7f]{0,4})") {
            prop_assert_eq!(is_value(&text), http::HeaderValue::from_bytes(text.as_bytes()).is_ok());
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
