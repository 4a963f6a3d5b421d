//! `ProcessingRequest` to [`Event`].

use bytes::Bytes;
use envoy_types::pb::envoy::config::core::v3::HeaderMap;
use envoy_types::pb::envoy::service::ext_proc::v3::{
    HttpBody, HttpHeaders, ProcessingRequest, processing_request::Request,
};
use envoy_types::pb::google::protobuf::{Struct, value::Kind};

use super::write::Writer;
use crate::exchange::event::{Event, Headers, RequestHead, ResponseHead};
use crate::identity::Facts;

/// The filter's name, under which it sends its attributes.
const FILTER: &str = "envoy.filters.http.ext_proc";

/// Reads one message. `writer` is told how a body ended, for it must end it in the same way. None
/// for a message that carries nothing an exchange could use.
pub fn read(message: ProcessingRequest, writer: &mut Writer) -> Option<Event> {
    let attributes = message.attributes;
    Some(match message.request? {
        Request::RequestHeaders(headers) => {
            let end = headers.end_of_stream;
            writer.request_head(end);
            Event::Request(request_head(headers, attributes.get(FILTER)), end)
        }
        Request::RequestBody(body) => {
            let end = ends(&body);
            Event::RequestBody(Bytes::from(body.body), end)
        }
        Request::RequestTrailers(_) => {
            writer.request_trailers();
            Event::RequestBody(Bytes::new(), true)
        }
        Request::ResponseHeaders(headers) => {
            let end = headers.end_of_stream;
            Event::Response(response_head(headers), end)
        }
        Request::ResponseBody(body) => {
            let end = ends(&body);
            Event::Chunk(Bytes::from(body.body), end)
        }
        Request::ResponseTrailers(_) => {
            writer.response_trailers();
            Event::Chunk(Bytes::new(), true)
        }
    })
}

fn ends(body: &HttpBody) -> bool {
    body.end_of_stream || body.end_of_stream_without_message
}

fn request_head(message: HttpHeaders, attributes: Option<&Struct>) -> RequestHead {
    let mut head = RequestHead { facts: facts(attributes), ..RequestHead::default() };
    fields(message.headers, |name, value| match name.as_str() {
        ":method" => head.method = text(&value),
        ":path" => head.path = text(&value),
        ":authority" => head.authority = text(&value),
        _ if name.starts_with(':') => {}
        _ => head.headers.0.push((name, value)),
    });
    head
}

fn response_head(message: HttpHeaders) -> ResponseHead {
    let mut head = ResponseHead { status: 0, headers: Headers::default() };
    fields(message.headers, |name, value| match name.as_str() {
        ":status" => head.status = text(&value).parse().unwrap_or(0),
        _ if name.starts_with(':') => {}
        _ => head.headers.0.push((name, value)),
    });
    head
}

/// Envoy fills `raw_value` and leaves `value` empty.
fn fields(map: Option<HeaderMap>, mut each: impl FnMut(String, Bytes)) {
    for header in map.unwrap_or_default().headers {
        let value = if header.raw_value.is_empty() { header.value.into_bytes() } else { header.raw_value };
        each(header.key, Bytes::from(value));
    }
}

fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).into_owned()
}

fn facts(attributes: Option<&Struct>) -> Facts {
    let get = |name: &str| match attributes?.fields.get(name)?.kind.as_ref()? {
        Kind::StringValue(text) if !text.is_empty() => Some(text.clone()),
        _ => None,
    };
    Facts { peer_uri: get("connection.uri_san_peer_certificate"), source: get("source.address") }
}
