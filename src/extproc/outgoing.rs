//! One answer as it leaves, and its wire form: a `ProcessingResponse`, written straight into the buffer. As messages in
//! memory the same would be a dozen nested options and a string for each name and value, which cost more than the bytes.
//! Every length is that of the layer inside, so they are computed once, from there.
//!
//! What is written, with the field numbers of `envoy/service/ext_proc/v3/external_processor.proto` (and
//! of `config/core/v3/base.proto`, `type/v3/http_status.proto`, `google/protobuf/struct.proto`):
//!
//! ```text
//! ProcessingResponse          request_headers 1, response_headers 2: HeadersResponse
//!                             request_body 3, response_body 4: BodyResponse
//!                             request_trailers 5, response_trailers 6: TrailersResponse (empty)
//!                             immediate_response 7, streamed_immediate_response 11
//!                             dynamic_metadata 8: Struct, mode_override 9: ProcessingMode
//! HeadersResponse             response 1: CommonResponse
//! BodyResponse                response 1: CommonResponse
//! CommonResponse              status 1, header_mutation 2, body_mutation 3, clear_route_cache 5
//! HeaderMutation              set_headers 1: HeaderValueOption, remove_headers 2
//! HeaderValueOption           header 1: HeaderValue, append 2: BoolValue (value 1), append_action 3
//! HeaderValue                 key 1, raw_value 3
//! BodyMutation                body 1, streamed_response 3: StreamedBodyResponse
//! StreamedBodyResponse        body 1, end_of_stream 2
//! ImmediateResponse           status 1: HttpStatus (code 1), headers 2: HeaderMutation, body 3, details 5
//! StreamedImmediateResponse   headers_response 1: HttpHeaders (headers 1: HeaderMap (headers 1)),
//!                             body_response 2: StreamedBodyResponse
//! Struct                      fields 1: map of Value (number_value 2, string_value 3, struct_value 5)
//! ```

use bytes::{BufMut, Bytes};

use super::metadata;
use super::put::{self, Decimal, delimited, number_len};
use crate::exchange::event::{Edits, Length, Local, Meta, Value};

/// What stands behind the header in a `HeaderValueOption`. Set, whatever stood there: `append_action 3` is
/// `OVERWRITE_IF_EXISTS_OR_ADD`.
const OVER: &[u8] = &[0x18, 2];
/// Beside what stands there: `append 2: BoolValue` is true. Envoy takes the action that means the same for none, for
/// its number is 0.
const BESIDE: &[u8] = &[0x12, 2, 0x08, 1];
/// `CommonResponse.ResponseStatus`.
const CONTINUE_AND_REPLACE: u64 = 1;
/// What Envoy shows as the reason of an immediate response (`%RESPONSE_CODE_DETAILS%`).
const DETAILS: &str = "weir";

/// An answer, and the metadata that goes with it. Names and values of headers are written as they are:
/// who makes one sees to it that they are legal.
#[derive(Clone, Debug)]
pub struct Outgoing {
    pub what: What,
    pub meta: Meta,
}

/// What can be answered. `meta` of what is in it is not looked at.
#[derive(Clone, Debug)]
pub enum What {
    /// The request's head goes on, and its route is chosen anew.
    RequestHead(Edits),
    ResponseHead(Edits),
    /// A piece of a body, and whether it ends there.
    Body(Way, Bytes, bool),
    /// The request's head goes on, its route is chosen anew, and both bodies come chunk by chunk from here
    /// on, whatever the filter's mode is.
    PassHead(Edits),
    /// The head stays where it is until its body has come.
    Continue(Way),
    /// The answer to a body, or to a chunk, that waits for it: what is changed in a head that waits as well,
    /// and what stands in the place of the bytes. None leaves them as they are.
    Held(Way, Option<Edits>, Option<Bytes>),
    /// An attempt's head goes on, changed, with this body in the place of the one that follows.
    Attempt(Edits, Bytes),
    RequestTrailers,
    ResponseTrailers,
    /// A local answer in one piece.
    Immediate(Local),
    /// The head of a local answer that is streamed.
    Open(Local),
    /// What another process answers: a whole `ProcessingResponse`, encoded. It has its own metadata.
    PassedOn(Bytes),
}

/// Which way a body goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Request,
    Response,
    /// A local answer that is streamed.
    Local,
}

/// `mode_override`: every part is sent, and bodies are `STREAMED`. Fields of
/// `envoy/extensions/filters/http/ext_proc/v3/processing_mode.proto`: the modes of both heads (1, 2), bodies
/// (3, 4) and trailers (5, 6), of which each has the number 1.
const STREAMED_OVERRIDE: &[u8] = &[0x4a, 12, 0x08, 1, 0x10, 1, 0x18, 1, 0x20, 1, 0x28, 1, 0x30, 1];

/// The buffer has too little room for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an answer of {needed} bytes does not fit into the {room} that the buffer has left")]
pub struct NoRoom {
    pub needed: usize,
    pub room: usize,
}

/// The value of a header, in two pieces.
type Pieces<'a> = [&'a [u8]; 2];

// === impl Outgoing ===

impl Outgoing {
    /// An answer without metadata.
    pub fn new(what: What) -> Self {
        Outgoing { what, meta: Meta::new() }
    }

    /// Appends the wire form.
    ///
    /// # Errors
    /// When the buffer has no room for all of it; then nothing is written.
    pub fn encode(&self, out: &mut impl BufMut) -> Result<(), NoRoom> {
        let layers = self.what.layers();
        let meta = if self.meta.is_empty() { 0 } else { delimited(metadata::size(&self.meta)) };
        let more = if matches!(self.what, What::PassHead(_)) { STREAMED_OVERRIDE } else { &[] };
        let answer = if let What::PassedOn(whole) = &self.what { whole.len() } else { delimited(layers[0]) };
        let (needed, room) = (answer + meta + more.len(), out.remaining_mut());
        if needed > room {
            return Err(NoRoom { needed, room });
        }
        self.what.encode(layers, out);
        if !self.meta.is_empty() {
            metadata::encode(&self.meta, out);
        }
        out.put_slice(more);
        Ok(())
    }
}

// === impl What ===

impl What {
    /// The sizes of the messages that lie in one another here, from the outermost; 0 for those that
    /// there are not.
    fn layers(&self) -> [usize; 4] {
        match self {
            What::RequestHead(edits) | What::PassHead(edits) => {
                let mutation = mutation_len(edits);
                let common = delimited(mutation) + number_len(1);
                [delimited(common), common, mutation, 0]
            }
            What::ResponseHead(edits) => {
                let mutation = mutation_len(edits);
                let common = delimited(mutation);
                [delimited(common), common, mutation, 0]
            }
            What::Body(Way::Local, bytes, end) => {
                let streamed = streamed_len(bytes, *end);
                [delimited(streamed), streamed, 0, 0]
            }
            What::Body(_, bytes, end) => {
                let streamed = streamed_len(bytes, *end);
                let mutation = delimited(streamed);
                let common = delimited(mutation);
                [delimited(common), common, mutation, streamed]
            }
            What::Held(way, edits, bytes) => held_layers(*way, edits.as_ref(), bytes.as_ref()),
            What::Attempt(edits, bytes) => {
                let (mutation, body) = (mutation_len(edits), delimited(bytes.len()));
                let common = number_len(CONTINUE_AND_REPLACE) + delimited(mutation) + delimited(body);
                [delimited(common), common, mutation, body]
            }
            What::Continue(_) => [delimited(0), 0, 0, 0],
            What::RequestTrailers | What::ResponseTrailers | What::PassedOn(_) => [0; 4],
            What::Immediate(local) => {
                let status = number_len(u64::from(local.status));
                let headers = local
                    .headers
                    .iter()
                    .map(|(name, value)| delimited(option_len(name, [b"", value.as_bytes()], OVER)))
                    .sum();
                let answer =
                    delimited(status) + delimited(headers) + delimited(local.body.len()) + delimited(DETAILS.len());
                [answer, status, headers, 0]
            }
            What::Open(local) => {
                let mut map = 0;
                each_of(local, |name, value| map += delimited(header_len(name, value)));
                let head = delimited(map);
                [delimited(head), head, map, 0]
            }
        }
    }

    /// Writes the answer as a field of its `ProcessingResponse`.
    fn encode(&self, [outermost, second, third, fourth]: [usize; 4], out: &mut impl BufMut) {
        match self {
            What::RequestHead(edits) | What::PassHead(edits) => {
                put::key(1, outermost, out);
                put::key(1, second, out);
                put::key(2, third, out);
                encode_mutation(edits, out);
                put::number(5, 1, out);
            }
            What::ResponseHead(edits) => {
                put::key(2, outermost, out);
                put::key(1, second, out);
                put::key(2, third, out);
                encode_mutation(edits, out);
            }
            What::Body(Way::Local, bytes, end) => {
                put::key(11, outermost, out);
                put::key(2, second, out);
                encode_streamed(bytes, *end, out);
            }
            What::Body(way, bytes, end) => {
                put::key(if *way == Way::Request { 3 } else { 4 }, outermost, out);
                put::key(1, second, out);
                put::key(3, third, out);
                put::key(3, fourth, out);
                encode_streamed(bytes, *end, out);
            }
            What::Held(way, edits, bytes) => {
                put::key(if *way == Way::Request { 3 } else { 4 }, outermost, out);
                put::key(1, second, out);
                encode_held(*way, (edits.as_ref(), third), (bytes.as_ref(), fourth), out);
            }
            What::Attempt(edits, bytes) => {
                put::key(1, outermost, out);
                put::key(1, second, out);
                encode_attempt((edits, third), (bytes, fourth), out);
            }
            What::Continue(way) => {
                put::key(if *way == Way::Request { 1 } else { 2 }, outermost, out);
                put::key(1, second, out);
            }
            What::RequestTrailers => put::key(5, outermost, out),
            What::ResponseTrailers => put::key(6, outermost, out),
            What::PassedOn(whole) => out.put_slice(whole),
            What::Immediate(local) => {
                put::key(7, outermost, out);
                encode_immediate(local, [second, third], out);
            }
            What::Open(local) => {
                put::key(11, outermost, out);
                put::key(1, second, out);
                put::key(1, third, out);
                each_of(local, |name, value| {
                    put::key(1, header_len(name, value), out);
                    encode_header(name, value, out);
                });
            }
        }
    }
}

/// An `ImmediateResponse`, with the sizes of its status and of its headers.
fn encode_immediate(local: &Local, [status, headers]: [usize; 2], out: &mut impl BufMut) {
    put::key(1, status, out);
    put::number(1, u64::from(local.status), out);
    put::key(2, headers, out);
    for (name, value) in &local.headers {
        encode_option(name, [b"", value.as_bytes()], OVER, out);
    }
    put::bytes(3, &local.body, out);
    put::bytes(5, DETAILS.as_bytes(), out);
}

// === Headers ===

/// What is set by edits, in order, and how.
fn each_set<'a>(edits: &'a Edits, mut each: impl FnMut(&'a str, Pieces<'_>, &'static [u8])) {
    if let Some(path) = &edits.path {
        each(":path", [b"", path.as_bytes()], OVER);
    }
    if let Some(authority) = &edits.authority {
        each(":authority", [b"", authority.as_bytes()], OVER);
    }
    if let Some(status) = edits.status {
        each(":status", [b"", &Decimal::of(u64::from(status))], OVER);
    }
    for (name, value) in &edits.set {
        match value {
            Value::Text(text) => each(name, [b"", text.as_bytes()], OVER),
            Value::Secret { prefix, secret } => each(name, [prefix.as_bytes(), secret.expose().as_bytes()], OVER),
            Value::Original(fields) => {
                for (at, (_, value)) in fields.iter().enumerate() {
                    each(name, [b"", value], if at == 0 { OVER } else { BESIDE });
                }
            }
        }
    }
    if let Length::Exactly(length) = edits.length {
        each("content-length", [b"", &Decimal::of(length)], OVER);
    }
}

fn each_removed(edits: &Edits, mut each: impl FnMut(&str)) {
    edits.remove.iter().for_each(|name| each(name));
    if edits.length == Length::Unknown {
        each("content-length");
    }
}

/// The head of a local answer.
fn each_of<'a>(local: &'a Local, mut each: impl FnMut(&'a str, Pieces<'_>)) {
    each(":status", [b"", &Decimal::of(u64::from(local.status))]);
    local.headers.iter().for_each(|(name, value)| each(name, [b"", value.as_bytes()]));
}

fn mutation_len(edits: &Edits) -> usize {
    let mut length = 0;
    each_set(edits, |name, value, how| length += delimited(option_len(name, value, how)));
    each_removed(edits, |name| length += delimited(name.len()));
    length
}

fn encode_mutation(edits: &Edits, out: &mut impl BufMut) {
    each_set(edits, |name, value, how| encode_option(name, value, how, out));
    each_removed(edits, |name| put::bytes(2, name.as_bytes(), out));
}

fn option_len(name: &str, value: Pieces<'_>, how: &[u8]) -> usize {
    delimited(header_len(name, value)) + how.len()
}

/// An entry of `HeaderMutation.set_headers`.
fn encode_option(name: &str, value: Pieces<'_>, how: &[u8], out: &mut impl BufMut) {
    let header = header_len(name, value);
    put::key(1, option_len(name, value, how), out);
    put::key(1, header, out);
    encode_header(name, value, out);
    out.put_slice(how);
}

fn header_len(name: &str, [first, second]: Pieces<'_>) -> usize {
    delimited(name.len()) + delimited(first.len() + second.len())
}

fn encode_header(name: &str, [first, second]: Pieces<'_>, out: &mut impl BufMut) {
    put::bytes(1, name.as_bytes(), out);
    put::key(3, first.len() + second.len(), out);
    out.put_slice(first);
    out.put_slice(second);
}

// === Bodies ===

fn held_layers(way: Way, edits: Option<&Edits>, bytes: Option<&Bytes>) -> [usize; 4] {
    let mutation = edits.map_or(0, mutation_len);
    let body = bytes.map_or(0, |bytes| delimited(bytes.len()));
    let common = edits.map_or(0, |_| delimited(mutation))
        + bytes.map_or(0, |_| delimited(body))
        + if reroutes(way, edits) { number_len(1) } else { 0 };
    [delimited(common), common, mutation, body]
}

/// The `CommonResponse` of an answer to a body that is held, each part with its size.
fn encode_held(
    way: Way,
    (edits, mutation): (Option<&Edits>, usize),
    (bytes, body): (Option<&Bytes>, usize),
    out: &mut impl BufMut,
) {
    if let Some(edits) = edits {
        put::key(2, mutation, out);
        encode_mutation(edits, out);
    }
    if let Some(bytes) = bytes {
        put::key(3, body, out);
        put::bytes(1, bytes, out);
    }
    if reroutes(way, edits) {
        put::number(5, 1, out);
    }
}

/// The `CommonResponse` of an answer to an attempt, each part with its size.
fn encode_attempt((edits, mutation): (&Edits, usize), (bytes, body): (&Bytes, usize), out: &mut impl BufMut) {
    put::number(1, CONTINUE_AND_REPLACE, out);
    put::key(2, mutation, out);
    encode_mutation(edits, out);
    put::key(3, body, out);
    put::bytes(1, bytes, out);
}

/// True where an answer chooses the route anew: when it changes the request's head.
fn reroutes(way: Way, edits: Option<&Edits>) -> bool {
    way == Way::Request && edits.is_some()
}

fn streamed_len(bytes: &Bytes, end: bool) -> usize {
    delimited(bytes.len()) + if end { number_len(1) } else { 0 }
}

fn encode_streamed(bytes: &Bytes, end: bool, out: &mut impl BufMut) {
    put::bytes(1, bytes, out);
    if end {
        put::number(2, 1, out);
    }
}

#[cfg(test)]
mod tests;
