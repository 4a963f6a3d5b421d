//! What is written is read, by the general decoder of `envoy-types`, as the message that it stands for.

use envoy_types::pb::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use envoy_types::pb::envoy::config::core::v3::{HeaderMap, HeaderValue, HeaderValueOption};
use envoy_types::pb::envoy::extensions::filters::http::ext_proc::v3::ProcessingMode;
use envoy_types::pb::envoy::extensions::filters::http::ext_proc::v3::processing_mode::{BodySendMode, HeaderSendMode};
use envoy_types::pb::envoy::service::ext_proc::v3::{
    BodyMutation, BodyResponse, CommonResponse, HeaderMutation, HeadersResponse, HttpHeaders, ImmediateResponse,
    ProcessingResponse, StreamedBodyResponse, StreamedImmediateResponse, TrailersResponse, body_mutation,
    common_response, processing_response::Response, streamed_immediate_response as streamed,
};
use envoy_types::pb::envoy::r#type::v3::HttpStatus;
use envoy_types::pb::google::protobuf::{Struct, Value as PbValue, value::Kind};
use prop::collection::vec;
use prop::option::of;
use proptest::prelude::*;
use prost::Message;

use super::super::metadata::NAMESPACE;
use super::*;
use crate::base::secret::Secret;
use crate::exchange::event::MetaValue;

// === The same answers as the general messages ===

fn message(answer: &Outgoing) -> ProcessingResponse {
    ProcessingResponse {
        response: Some(response(&answer.what)),
        dynamic_metadata: metadata(&answer.meta),
        mode_override: matches!(answer.what, What::PassHead(_)).then(every_part_streamed),
        ..ProcessingResponse::default()
    }
}

fn every_part_streamed() -> ProcessingMode {
    ProcessingMode {
        request_header_mode: HeaderSendMode::Send.into(),
        response_header_mode: HeaderSendMode::Send.into(),
        request_body_mode: BodySendMode::Streamed.into(),
        response_body_mode: BodySendMode::Streamed.into(),
        request_trailer_mode: HeaderSendMode::Send.into(),
        response_trailer_mode: HeaderSendMode::Send.into(),
    }
}

fn held(way: Way, edits: Option<&Edits>, bytes: Option<&Bytes>) -> Response {
    let bytes = bytes.map(|bytes| BodyMutation { mutation: Some(body_mutation::Mutation::Body(bytes.to_vec())) });
    let common = CommonResponse {
        header_mutation: edits.map(mutation),
        body_mutation: bytes,
        clear_route_cache: edits.is_some() && way == Way::Request,
        ..CommonResponse::default()
    };
    let answer = BodyResponse { response: Some(common) };
    if way == Way::Request { Response::RequestBody(answer) } else { Response::ResponseBody(answer) }
}

fn response(what: &What) -> Response {
    let bare = || HeadersResponse { response: Some(CommonResponse::default()) };
    match what {
        What::Held(way, edits, bytes) => held(*way, edits.as_ref(), bytes.as_ref()),
        What::Attempt(edits, bytes) => Response::RequestHeaders(HeadersResponse {
            response: Some(CommonResponse {
                status: common_response::ResponseStatus::ContinueAndReplace.into(),
                header_mutation: Some(mutation(edits)),
                body_mutation: Some(BodyMutation { mutation: Some(body_mutation::Mutation::Body(bytes.to_vec())) }),
                ..CommonResponse::default()
            }),
        }),
        What::Continue(Way::Request) => Response::RequestHeaders(bare()),
        What::Continue(_) => Response::ResponseHeaders(bare()),
        What::RequestHead(edits) | What::PassHead(edits) => {
            let header_mutation = Some(mutation(edits));
            let common = CommonResponse { header_mutation, clear_route_cache: true, ..CommonResponse::default() };
            Response::RequestHeaders(HeadersResponse { response: Some(common) })
        }
        What::ResponseHead(edits) => {
            let common = CommonResponse { header_mutation: Some(mutation(edits)), ..CommonResponse::default() };
            Response::ResponseHeaders(HeadersResponse { response: Some(common) })
        }
        What::Body(way, bytes, end_of_stream) => {
            let (body, end_of_stream) = (bytes.to_vec(), *end_of_stream);
            let piece = StreamedBodyResponse { body, end_of_stream, ..StreamedBodyResponse::default() };
            match way {
                Way::Request => Response::RequestBody(streamed_body(piece)),
                Way::Response => Response::ResponseBody(streamed_body(piece)),
                Way::Local => streamed_local(streamed::Response::BodyResponse(piece)),
            }
        }
        What::RequestTrailers => Response::RequestTrailers(TrailersResponse::default()),
        What::ResponseTrailers => Response::ResponseTrailers(TrailersResponse::default()),
        What::Immediate(local) => {
            let set_headers = local.headers.iter().map(|(name, value)| set(name, value.as_bytes())).collect();
            Response::ImmediateResponse(ImmediateResponse {
                status: Some(HttpStatus { code: i32::from(local.status) }),
                headers: Some(HeaderMutation { set_headers, remove_headers: Vec::new() }),
                body: local.body.to_vec(),
                details: "weir".to_owned(),
                ..ImmediateResponse::default()
            })
        }
        What::Open(local) => {
            let mut headers = vec![field(":status", local.status.to_string().as_bytes())];
            headers.extend(local.headers.iter().map(|(name, value)| field(name, value.as_bytes())));
            let head = HttpHeaders { headers: Some(HeaderMap { headers }), ..HttpHeaders::default() };
            streamed_local(streamed::Response::HeadersResponse(head))
        }
        What::PassedOn(_) => unreachable!("a whole message, of any kind"),
    }
}

#[test]
fn what_another_process_answers_leaves_as_it_is() {
    let mut message = Vec::new();
    Outgoing::new(What::Attempt(Edits::default(), Bytes::from_static(b"body"))).encode(&mut message).unwrap();
    let passed_on = Outgoing::new(What::PassedOn(message.clone().into()));
    let mut out = Vec::new();
    passed_on.encode(&mut out).unwrap();
    assert_eq!(out, message);
    let (needed, room) = (message.len(), message.len() - 1);
    assert_eq!(passed_on.encode(&mut vec![0; room].as_mut_slice()), Err(NoRoom { needed, room }));
}

fn streamed_body(piece: StreamedBodyResponse) -> BodyResponse {
    let mutation = BodyMutation { mutation: Some(body_mutation::Mutation::StreamedResponse(piece)) };
    BodyResponse { response: Some(CommonResponse { body_mutation: Some(mutation), ..CommonResponse::default() }) }
}

fn streamed_local(response: streamed::Response) -> Response {
    Response::StreamedImmediateResponse(StreamedImmediateResponse { response: Some(response) })
}

fn mutation(edits: &Edits) -> HeaderMutation {
    let mut set_headers = Vec::new();
    set_headers.extend(edits.path.iter().map(|path| set(":path", path.as_bytes())));
    set_headers.extend(edits.authority.iter().map(|authority| set(":authority", authority.as_bytes())));
    set_headers.extend(edits.status.iter().map(|status| set(":status", status.to_string().as_bytes())));
    set_headers.extend(edits.set.iter().flat_map(|(name, value)| match value {
        Value::Text(text) => vec![set(name, text.as_bytes())],
        Value::Secret { prefix, secret } => vec![set(name, format!("{prefix}{}", secret.expose()).as_bytes())],
        Value::Original(fields) => {
            let mut values = fields.iter().map(|(_, value)| value);
            let first = values.next().map(|value| set(name, value));
            first.into_iter().chain(values.map(|value| beside(name, value))).collect()
        }
    }));
    let mut remove_headers: Vec<String> = edits.remove.iter().map(ToString::to_string).collect();
    match edits.length {
        Length::Kept => {}
        Length::Unknown => remove_headers.push("content-length".to_owned()),
        Length::Exactly(length) => set_headers.push(set("content-length", length.to_string().as_bytes())),
    }
    HeaderMutation { set_headers, remove_headers }
}

fn set(name: &str, value: &[u8]) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(field(name, value)),
        append_action: HeaderAppendAction::OverwriteIfExistsOrAdd.into(),
        ..HeaderValueOption::default()
    }
}

fn beside(name: &str, value: &[u8]) -> HeaderValueOption {
    #[expect(deprecated, reason = "Envoy 1.40 takes the action that replaces it for none")]
    HeaderValueOption {
        header: Some(field(name, value)),
        append: Some(envoy_types::pb::google::protobuf::BoolValue { value: true }),
        ..HeaderValueOption::default()
    }
}

fn field(name: &str, value: &[u8]) -> HeaderValue {
    HeaderValue { key: name.to_owned(), raw_value: value.to_vec(), ..HeaderValue::default() }
}

fn metadata(meta: &Meta) -> Option<Struct> {
    let fields = meta.iter().map(|(name, value)| match value {
        MetaValue::Text(text) => (*name, Kind::StringValue(text.to_string())),
        MetaValue::Number(number) => (*name, Kind::NumberValue(*number as f64)),
    });
    (!meta.is_empty()).then(|| strukt([(NAMESPACE, Kind::StructValue(strukt(fields)))]))
}

fn strukt<'a>(fields: impl IntoIterator<Item = (&'a str, Kind)>) -> Struct {
    let fields = fields.into_iter().map(|(name, kind)| (name.to_owned(), PbValue { kind: Some(kind) }));
    Struct { fields: fields.collect() }
}

// === Any answer ===

/// Lengths on both sides of 128 and of 16,384, where a length gets another byte.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![8 => ".{0,40}", 4 => "[a-z]{100,160}", 1 => (16_300_usize..16_400).prop_map(|size| "x".repeat(size))]
}

fn value() -> impl Strategy<Value = Value> {
    let secret = text().prop_map(|text| Value::Secret { prefix: "Bearer ", secret: Secret::new(&text) });
    let original = vec(vec(any::<u8>(), 0..200), 1..4)
        .prop_map(|values| Value::Original(values.iter().map(|value| ("x", value)).collect()));
    prop_oneof![text().prop_map(|text| Value::Text(text.into())), secret, original]
}

fn edits() -> impl Strategy<Value = Edits> {
    let length = prop_oneof![Just(Length::Kept), Just(Length::Unknown), any::<u64>().prop_map(Length::Exactly)];
    let pseudo = (of(text()), of(text()), of(any::<u16>()));
    (pseudo, vec((text(), value()), 0..5), vec(text(), 0..4), length).prop_map(
        |((path, authority, status), set, remove, length)| Edits {
            path: path.map(Into::into),
            authority: authority.map(Into::into),
            status,
            set: set.into_iter().map(|(name, value)| (name.into(), value)).collect(),
            remove: remove.into_iter().map(Into::into).collect(),
            length,
            meta: Meta::new(),
        },
    )
}

fn local() -> impl Strategy<Value = Local> {
    (any::<u16>(), vec((text(), text()), 0..4), bytes()).prop_map(|(status, headers, body)| Local {
        status,
        headers: headers.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
        body,
        meta: Meta::new(),
    })
}

fn bytes() -> impl Strategy<Value = Bytes> {
    prop_oneof![Just(0_usize), 1..300_usize, 16_300..16_500_usize].prop_map(|size| vec![0xa5; size].into())
}

fn what() -> impl Strategy<Value = What> {
    let way = prop::sample::select(vec![Way::Request, Way::Response, Way::Local]);
    prop_oneof![
        edits().prop_map(What::RequestHead),
        edits().prop_map(What::ResponseHead),
        edits().prop_map(What::PassHead),
        way.clone().prop_map(What::Continue),
        (edits(), bytes()).prop_map(|(edits, bytes)| What::Attempt(edits, bytes)),
        (way.clone(), of(edits()), of(bytes())).prop_map(|(way, edits, bytes)| What::Held(way, edits, bytes)),
        (way, bytes(), any::<bool>()).prop_map(|(way, bytes, end)| What::Body(way, bytes, end)),
        Just(What::RequestTrailers),
        Just(What::ResponseTrailers),
        local().prop_map(What::Immediate),
        local().prop_map(What::Open),
    ]
}

fn meta() -> impl Strategy<Value = Meta> {
    const NAMES: [&str; 5] = ["principal", "model", "outcome", "cost_usd", "input_tokens"];
    let value = prop_oneof![text().prop_map(MetaValue::from), any::<u64>().prop_map(MetaValue::from)];
    vec(value, 0..5).prop_map(|values| NAMES.into_iter().zip(values).collect())
}

proptest! {
    #[test]
    fn an_answer_is_read_as_the_message_that_it_stands_for(what in what(), meta in meta()) {
        let answer = Outgoing { what, meta };
        let mut bytes = Vec::new();
        answer.encode(&mut bytes).unwrap();
        let needed = bytes.len();
        let mut room = vec![0; needed - 1];
        prop_assert_eq!(answer.encode(&mut &mut room[..]), Err(NoRoom { needed, room: needed - 1 }));
        prop_assert_eq!(ProcessingResponse::decode(&bytes[..]).unwrap(), message(&answer));
    }

    #[test]
    fn decimals_are_those_of_the_standard_library(number: u64) {
        prop_assert_eq!(Decimal::of(number).to_vec(), number.to_string().into_bytes());
    }
}

#[test]
fn a_buffer_without_room_gets_nothing() {
    let answer = Outgoing::new(What::Body(Way::Request, Bytes::from_static(b"0123456789"), true));
    let mut whole = Vec::new();
    answer.encode(&mut whole).unwrap();
    let needed = whole.len();
    let mut small = [0; 8];
    let mut room = &mut small[..];
    assert_eq!(answer.encode(&mut room), Err(NoRoom { needed, room: 8 }));
    assert_eq!((room.len(), small), (8, [0; 8]));
}

#[test]
fn a_secret_is_not_shown() {
    let secret = Value::Secret { prefix: "Bearer ", secret: Secret::new("sk-canary") };
    let edits = Edits { set: vec![("authorization".into(), secret)], ..Edits::default() };
    let answer = Outgoing::new(What::RequestHead(edits));
    assert!(!format!("{answer:?}").contains("canary"));
}
