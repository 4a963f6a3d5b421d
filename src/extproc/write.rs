//! [`Action`] to `ProcessingResponse`. The one hand that writes `content-length`: from the bytes that
//! are about to be sent, never from what anybody said. Envoy 1.40 checks nothing, and a wrong length
//! smuggles a second request.

use bytes::Bytes;
use envoy_types::pb::envoy::config::core::v3::{
    HeaderMap, HeaderValue, HeaderValueOption, header_value_option::HeaderAppendAction,
};
use envoy_types::pb::envoy::service::ext_proc::v3::{
    CommonResponse, HeaderMutation, HeadersResponse, HttpHeaders, ImmediateResponse, ProcessingResponse,
    StreamedImmediateResponse, TrailersResponse, processing_response::Response,
    streamed_immediate_response as streamed,
};
use envoy_types::pb::envoy::r#type::v3::HttpStatus;

use super::outbox::{Outbox, Way};
use super::outgoing::Outgoing;
use crate::base::words::Words;
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
        let answer = TrailersResponse::default();
        let response = match way {
            Way::Request => Response::RequestTrailers(answer),
            Way::Response | Way::Local => Response::ResponseTrailers(answer),
        };
        out.push(message(response, meta));
    }
}

fn request_head(mut edits: Edits) -> Outgoing {
    let meta = std::mem::take(&mut edits.meta);
    let common =
        CommonResponse { header_mutation: Some(mutation(edits)), clear_route_cache: true, ..CommonResponse::default() };
    message(Response::RequestHeaders(HeadersResponse { response: Some(common) }), meta)
}

fn response_head(mut edits: Edits) -> Outgoing {
    let meta = std::mem::take(&mut edits.meta);
    let common = CommonResponse { header_mutation: Some(mutation(edits)), ..CommonResponse::default() };
    message(Response::ResponseHeaders(HeadersResponse { response: Some(common) }), meta)
}

fn mutation(edits: Edits) -> HeaderMutation {
    let mut set_headers = Vec::with_capacity(edits.set.len() + 3);
    let pseudo = [
        (":path", edits.path.map(Words::into_string)),
        (":authority", edits.authority.map(Words::into_string)),
        (":status", edits.status.map(|status| status.to_string())),
    ];
    for (name, value) in pseudo {
        set_headers.extend(value.map(|value| set(name, value.into_bytes())));
    }
    for (name, value) in edits.set {
        let bytes = match value {
            Value::Text(text) => text.into_string().into_bytes(),
            Value::Secret { prefix, secret } => [prefix, secret.expose()].concat().into_bytes(),
        };
        if is_legal(&name, &bytes) {
            set_headers.push(set(&name, bytes));
        }
    }
    let mut remove_headers: Vec<String> = edits.remove.into_iter().map(Words::into_string).collect();
    match edits.length {
        Length::Kept => {}
        Length::Unknown => remove_headers.push("content-length".to_owned()),
        Length::Exactly(length) => set_headers.push(set("content-length", length.to_string().into_bytes())),
    }
    HeaderMutation { set_headers, remove_headers }
}

/// Names and values are checked before they are set: none may break out of its line, and the
/// framing headers are not set by anybody but this file.
fn is_legal(name: &str, value: &[u8]) -> bool {
    const FRAMING: &[&str] = &["host", "content-length", "transfer-encoding", "connection"];
    !FRAMING.iter().any(|framing| framing.eq_ignore_ascii_case(name))
        && http::HeaderName::from_bytes(name.as_bytes()).is_ok()
        && http::HeaderValue::from_bytes(value).is_ok()
}

fn set(name: &str, value: Vec<u8>) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(field(name, value)),
        append_action: HeaderAppendAction::OverwriteIfExistsOrAdd.into(),
        ..HeaderValueOption::default()
    }
}

fn field(name: &str, raw_value: Vec<u8>) -> HeaderValue {
    HeaderValue { key: name.to_owned(), raw_value, ..HeaderValue::default() }
}

fn immediate(local: Local) -> Outgoing {
    let legal = local.headers.into_iter().filter(|(name, value)| is_legal(name, value.as_bytes()));
    let set_headers = legal.map(|(name, value)| set(&name, value.into_string().into_bytes())).collect();
    let response = ImmediateResponse {
        status: Some(HttpStatus { code: i32::from(local.status) }),
        headers: Some(HeaderMutation { set_headers, remove_headers: Vec::new() }),
        body: Vec::from(local.body),
        details: "weir".to_owned(),
        ..ImmediateResponse::default()
    };
    message(Response::ImmediateResponse(response), local.meta)
}

fn open(local: Local) -> Outgoing {
    let mut headers = vec![field(":status", local.status.to_string().into_bytes())];
    for (name, value) in local.headers {
        if is_legal(&name, value.as_bytes()) {
            headers.push(field(&name, value.into_string().into_bytes()));
        }
    }
    let head = HttpHeaders { headers: Some(HeaderMap { headers }), ..HttpHeaders::default() };
    let response = StreamedImmediateResponse { response: Some(streamed::Response::HeadersResponse(head)) };
    message(Response::StreamedImmediateResponse(response), local.meta)
}

pub(super) fn message(response: Response, meta: Meta) -> Outgoing {
    Outgoing { message: ProcessingResponse { response: Some(response), ..ProcessingResponse::default() }, meta }
}
