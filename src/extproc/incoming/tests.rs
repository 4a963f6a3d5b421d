//! The decoder reads what the general one of `envoy-types` reads, and refuses what that refuses, except
//! in fields that nobody reads.

use envoy_types::pb::envoy::config::core::v3::{HeaderMap, HeaderValue, Metadata};
use envoy_types::pb::envoy::service::ext_proc::v3::processing_request::Request;
use envoy_types::pb::envoy::service::ext_proc::v3::{
    HttpBody, HttpHeaders, HttpTrailers, ProcessingRequest, ProtocolConfiguration,
};
use envoy_types::pb::google::protobuf::{ListValue, Struct, Value, value::Kind};
use prop::collection::{hash_map, vec};
use prop::option::of;
use proptest::prelude::*;
use prost::Message;
use prost::encoding::{encode_key, encode_varint};

use super::*;
use crate::exchange::event::Headers;

// === The same by way of the general messages ===

fn expected(message: ProcessingRequest) -> Incoming {
    let facts = facts(message.attributes.get(FILTER));
    let modes = message
        .protocol_config
        .map(|said| Modes { request: said.request_body_mode, response: said.response_body_mode });
    let part = message.request.map(|request| match request {
        Request::RequestHeaders(headers) => {
            let end = headers.end_of_stream;
            Part::RequestHead(request_head(headers, facts), end)
        }
        Request::RequestBody(body) => {
            let end = ends(&body);
            Part::RequestBody(Bytes::from(body.body), end)
        }
        Request::RequestTrailers(_) => Part::RequestTrailers,
        Request::ResponseHeaders(headers) => {
            let end = headers.end_of_stream;
            Part::ResponseHead(response_head(headers), end)
        }
        Request::ResponseBody(body) => {
            let end = ends(&body);
            Part::ResponseBody(Bytes::from(body.body), end)
        }
        Request::ResponseTrailers(_) => Part::ResponseTrailers,
    });
    Incoming { part, metadata: Bytes::new(), modes }
}

fn ends(body: &HttpBody) -> bool {
    body.end_of_stream || body.end_of_stream_without_message
}

fn request_head(message: HttpHeaders, facts: Facts) -> RequestHead {
    let mut head = RequestHead { facts, ..RequestHead::default() };
    for (name, value) in fields(message.headers) {
        match name.as_str() {
            ":method" => head.method = lossy(&value),
            ":path" => head.path = lossy(&value),
            ":authority" => head.authority = lossy(&value),
            _ if name.starts_with(':') => {}
            _ => head.headers.push(&name, &value),
        }
    }
    head
}

fn response_head(message: HttpHeaders) -> ResponseHead {
    let mut head = ResponseHead { status: 0, headers: Headers::default() };
    for (name, value) in fields(message.headers) {
        match name.as_str() {
            ":status" => head.status = lossy(&value).parse().unwrap_or(0),
            _ if name.starts_with(':') => {}
            _ => head.headers.push(&name, &value),
        }
    }
    head
}

fn fields(map: Option<HeaderMap>) -> impl Iterator<Item = (String, Vec<u8>)> {
    map.unwrap_or_default().headers.into_iter().map(|header| {
        let value = if header.raw_value.is_empty() { header.value.into_bytes() } else { header.raw_value };
        (header.key, value)
    })
}

fn lossy(value: &[u8]) -> String {
    String::from_utf8_lossy(value).into_owned()
}

fn facts(attributes: Option<&Struct>) -> Facts {
    let get = |name: &str| match attributes?.fields.get(name)?.kind.as_ref()? {
        Kind::StringValue(text) if !text.is_empty() => Some(text.clone()),
        _ => None,
    };
    let (peer_uri, source) = (get("connection.uri_san_peer_certificate"), get("source.address"));
    Facts { peer_uri, source, ..Facts::default() }
}

fn decode(bytes: &[u8]) -> Result<Incoming, Malformed> {
    let mut buffer = bytes;
    let mut message = Incoming::decode(&mut buffer)?;
    // It is kept as it came; `claims` reads it.
    message.metadata.clear();
    assert_eq!(buffer.len(), 0, "what follows is the next message");
    Ok(message)
}

// === Any message ===

fn headers() -> impl Strategy<Value = HttpHeaders> {
    let names = [":method", ":path", ":authority", ":status", ":scheme", "content-type", "a", ""];
    let name = prop_oneof![prop::sample::select(names.to_vec()).prop_map(str::to_owned), "[a-z-]{1,20}"];
    let raw = prop_oneof![Just(b"204".to_vec()), vec(any::<u8>(), 0..20), vec(b'a'..=b'z', 100..140)];
    let header = (name, ".{0,8}", raw).prop_map(|(key, value, raw_value)| HeaderValue { key, value, raw_value });
    let map = of(vec(header, 0..8).prop_map(|headers| HeaderMap { headers }));
    let kept = hash_map(".{0,4}", strukt(), 0..2);
    (map, kept, any::<bool>()).prop_map(|(headers, attributes, end_of_stream)| HttpHeaders {
        headers,
        attributes,
        end_of_stream,
    })
}

fn body() -> impl Strategy<Value = HttpBody> {
    let size = prop_oneof![Just(0_usize), 1..300_usize, SHARED - 20..SHARED + 20];
    (size, any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(size, end, without, compressed)| HttpBody {
        body: vec![0xa5; size],
        end_of_stream: end,
        end_of_stream_without_message: without,
        grpc_message_compressed: compressed,
        ..HttpBody::default()
    })
}

fn request() -> impl Strategy<Value = Request> {
    let header = HeaderValue { key: "t".to_owned(), raw_value: b"1".to_vec(), ..HeaderValue::default() };
    let trailers = HttpTrailers { trailers: Some(HeaderMap { headers: vec![header] }) };
    prop_oneof![
        3 => headers().prop_map(Request::RequestHeaders),
        3 => headers().prop_map(Request::ResponseHeaders),
        2 => body().prop_map(Request::RequestBody),
        2 => body().prop_map(Request::ResponseBody),
        1 => Just(Request::RequestTrailers(trailers)),
        1 => Just(Request::ResponseTrailers(HttpTrailers::default())),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(None),
        Just(Some(Kind::NullValue(0))),
        any::<f64>()
            .prop_filter("not a number equals nothing", |f| !f.is_nan())
            .prop_map(|f| Some(Kind::NumberValue(f))),
        any::<bool>().prop_map(|flag| Some(Kind::BoolValue(flag))),
        ".{0,8}".prop_map(|text| Some(Kind::StringValue(text))),
        Just(Some(Kind::StructValue(Struct::default()))),
    ];
    let list = vec(".{0,4}", 0..3).prop_map(|texts| {
        let values = texts.into_iter().map(|text| Value { kind: Some(Kind::StringValue(text)) }).collect();
        Some(Kind::ListValue(ListValue { values }))
    });
    prop_oneof![6 => leaf, 1 => list].prop_map(|kind| Value { kind })
}

fn strukt() -> impl Strategy<Value = Struct> {
    let names = ["connection.uri_san_peer_certificate", "source.address", "xds.cluster_name", ""];
    let name = prop::sample::select(names.to_vec()).prop_map(str::to_owned);
    hash_map(name, value(), 0..4).prop_map(|fields| Struct { fields })
}

fn message() -> impl Strategy<Value = ProcessingRequest> {
    let filter = prop::sample::select(&[FILTER, "envoy.filters.http.other", ""][..]).prop_map(str::to_owned);
    let metadata = hash_map(".{0,4}", strukt(), 0..2)
        .prop_map(|filter_metadata| Metadata { filter_metadata, ..Metadata::default() });
    let modes =
        (any::<i32>(), any::<i32>(), any::<bool>()).prop_map(|(request, response, early)| ProtocolConfiguration {
            request_body_mode: request,
            response_body_mode: response,
            send_body_without_waiting_for_header_response: early,
        });
    (of(request()), hash_map(filter, strukt(), 0..3), of(metadata), of(modes), any::<bool>()).prop_map(
        |(request, attributes, metadata_context, protocol_config, observability_mode)| ProcessingRequest {
            request,
            attributes,
            metadata_context,
            protocol_config,
            observability_mode,
            ..ProcessingRequest::default()
        },
    )
}

/// Any field, most of them known ones, with a value of any wire type.
fn stray() -> impl Strategy<Value = Vec<u8>> {
    let number = prop_oneof![8 => 1_u32..14, 1 => 1_u32..1 << 29];
    let group = vec(any::<u8>(), 0..6);
    (number, 0_u64..7, any::<u64>(), group).prop_map(|(number, kind, value, bytes)| {
        let mut out = Vec::new();
        encode_varint(u64::from(number) << 3 | kind, &mut out);
        match kind {
            0 => encode_varint(value, &mut out),
            1 => out.extend(value.to_le_bytes()),
            5 => out.extend(value.to_le_bytes().iter().take(4)),
            2 => {
                encode_varint(bytes.len() as u64, &mut out);
                out.extend(bytes);
            }
            3 => encode_key(number, WireType::EndGroup, &mut out),
            _ => {}
        }
        out
    })
}

proptest! {
    #[test]
    fn a_message_is_read_as_by_way_of_the_general_structs(message in message()) {
        let read = decode(&message.encode_to_vec());
        prop_assert_eq!(read, Ok(expected(message)));
    }

    /// Messages behind one another are one message: scalars are overwritten, parts of the same kind
    /// merged, others replaced.
    #[test]
    fn messages_are_merged_as_protocol_buffers_demand(messages in vec(message(), 2..4)) {
        let bytes: Vec<u8> = messages.iter().flat_map(Message::encode_to_vec).collect();
        let merged = ProcessingRequest::decode(&bytes[..]).unwrap();
        prop_assert_eq!(decode(&bytes), Ok(expected(merged)));
    }

    #[test]
    fn what_comes_in_two_pieces_of_memory_is_read_alike(message in message(), at: prop::sample::Index) {
        let bytes = message.encode_to_vec();
        let (first, second) = bytes.split_at(at.index(bytes.len() + 1));
        let mut pieces = first.chain(second);
        let read = Incoming::decode(&mut pieces).map(|read| Incoming { metadata: Bytes::new(), ..read });
        prop_assert_eq!(read, Ok(expected(message)));
        prop_assert_eq!(pieces.remaining(), 0);
    }

    /// Whatever the general decoder takes is read alike. Of what it refuses nothing is said here, for it
    /// may lie in a field that nobody reads; the two tests below take it case by case.
    #[test]
    fn a_damaged_message_that_can_be_read_is_read_alike(
        message in message(),
        stray in stray(),
        flips in vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        cut in of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = message.encode_to_vec();
        bytes.extend(stray);
        for (at, byte) in flips {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(cut.map_or(bytes.len(), |cut| cut.index(bytes.len())));
        let read = decode(&bytes);
        if let Ok(message) = ProcessingRequest::decode(&bytes[..]) {
            prop_assert_eq!(read, Ok(expected(message)));
        }
    }

    #[test]
    fn no_bytes_panic(bytes in vec(any::<u8>(), 0..200)) {
        let _ = decode(&bytes);
    }
}

/// Field `number` with `content` in it.
fn nest(number: u32, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    encode_key(number, WireType::LengthDelimited, &mut out);
    encode_varint(content.len() as u64, &mut out);
    out.extend_from_slice(content);
    out
}

#[test]
fn what_the_general_decoder_refuses_in_a_field_that_is_read_is_refused() {
    let header = |content: &[u8]| nest(2, &nest(1, &nest(1, content)));
    let attribute = |value: &[u8]| {
        let entry = [nest(1, b"source.address"), nest(2, value)].concat();
        nest(9, &[nest(1, FILTER.as_bytes()), nest(2, &nest(1, &entry))].concat())
    };
    for (case, bytes) in [
        ("a name that is not UTF-8", header(&nest(1, b"\xff"))),
        ("a value that is not UTF-8", header(&nest(2, b"\xff"))),
        ("a raw value as a number", header(&[3 << 3, 1])),
        ("a name longer than its header", header(&[1 << 3 | 2, 5, b'a'])),
        ("a head as a group", vec![2 << 3 | 3, 2 << 3 | 4]),
        ("an end of a group", vec![1 << 3 | 4]),
        ("a group that does not end", vec![1 << 3 | 3]),
        ("a group in a group in a group", [1 << 3 | 3].repeat(200)),
        ("a body as a number", nest(4, &[1 << 3, 1])),
        ("an end as a text", nest(4, &nest(2, b"1"))),
        ("a mode as a text", nest(11, &nest(1, b"4"))),
        ("an attribute that is not UTF-8", attribute(&nest(3, b"\xff"))),
        ("an attribute's number as a text", attribute(&nest(2, b"1"))),
        ("an attribute's list as a number", attribute(&[6 << 3, 1])),
        ("field 0", vec![0, 0]),
        ("wire type 6", vec![1 << 3 | 6, 0]),
        ("a key cut short", vec![0x80]),
        ("a number of 11 bytes", [&[10 << 3][..], &[0xff; 11]].concat()),
        ("a length beyond the end", vec![4 << 3 | 2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
    ] {
        assert!(ProcessingRequest::decode(&bytes[..]).is_err(), "{case}");
        assert!(decode(&bytes).is_err(), "{case}");
    }
}

/// The difference to the general decoder: it looks into what nobody reads.
#[test]
fn what_nobody_reads_is_not_looked_into() {
    let (metadata, trailers) = (nest(8, b"\xff"), nest(6, &nest(1, b"\xff")));
    let other = nest(9, &[nest(1, b"other"), nest(2, b"\xff")].concat());
    for (bytes, part) in [(metadata, None), (trailers, Some(Part::RequestTrailers)), (other, None)] {
        assert!(ProcessingRequest::decode(&bytes[..]).is_err());
        assert_eq!(decode(&bytes), Ok(Incoming { part, ..Incoming::default() }));
    }
}

#[test]
fn a_key_may_stand_behind_its_value() {
    let value = nest(3, b"10.0.0.1:5");
    let entry = [nest(2, &value), nest(1, b"source.address")].concat();
    let attributes = [nest(2, &nest(1, &entry)), nest(1, FILTER.as_bytes())].concat();
    let bytes = [nest(2, b""), nest(9, &attributes)].concat();
    let Incoming { part: Some(Part::RequestHead(head, false)), .. } = decode(&bytes).unwrap() else { panic!() };
    assert_eq!(head.facts.source.as_deref(), Some("10.0.0.1:5"));
    assert_eq!(decode(&bytes).unwrap(), expected(ProcessingRequest::decode(&bytes[..]).unwrap()));
}

#[test]
fn a_small_body_does_not_share_the_buffer_and_a_large_one_does() {
    for (size, shares) in [(SHARED - 1, false), (SHARED, true)] {
        let mut message = Bytes::from(nest(4, &nest(1, &vec![7; size])));
        let memory = message.as_ptr_range();
        let Some(Part::RequestBody(body, false)) = Incoming::decode(&mut message).unwrap().part else { panic!() };
        assert_eq!((body.len(), memory.contains(&body.as_ptr())), (size, shares));
    }
}
