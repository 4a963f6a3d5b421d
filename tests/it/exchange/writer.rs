//! The adapter alone: what `ProcessingResponse` an action becomes, and what event a message is.

use bytes::Bytes;
use envoy_types::pb::envoy::config::core::v3::{HeaderMap, HeaderValue};
use envoy_types::pb::envoy::service::ext_proc::v3::{
    HttpBody, HttpHeaders, HttpTrailers, ProcessingRequest, ProcessingResponse, processing_request::Request,
    processing_response::Response,
};
use envoy_types::pb::google::protobuf::{Struct, Value as PbValue, value::Kind};
use prost::Message;
use weir::base::secret::Secret;
use weir::exchange::event::{Action, Edits, Event, Length, Local, Meta, Value};
use weir::exchange::phase::BodyMode;
use weir::extproc::{Incoming, Outbox, Writer};

use super::envoy::{End, as_read};
use super::support::*;

fn written(writer: &mut Writer, action: Action) -> Vec<ProcessingResponse> {
    let mut out = Outbox::default();
    writer.write(action, &mut out);
    std::iter::from_fn(|| out.pop()).map(|message| as_read(&message)).collect()
}

fn forward(body: &[u8]) -> Action {
    Action::Forward { head: Edits::default(), body: vec![bytes(body)] }
}

fn emit(body: &[u8], end: bool) -> Action {
    Action::Emit { bytes: bytes(body), end, meta: vec![("outcome", "completed".into())] }
}

/// The kinds of some messages, the size of each body and whether it ends, and who carries metadata.
fn shape(messages: &[ProcessingResponse]) -> String {
    let one = |message: &ProcessingResponse| {
        use envoy_types::pb::envoy::service::ext_proc::v3::{BodyResponse, body_mutation::Mutation};
        let body = |answer: &BodyResponse| {
            let mutation = answer.response.as_ref().and_then(|common| common.body_mutation.as_ref());
            match mutation.and_then(|body| body.mutation.as_ref()) {
                Some(Mutation::StreamedResponse(piece)) => {
                    format!("{}{}", piece.body.len(), if piece.end_of_stream { " end" } else { "" })
                }
                other => panic!("{other:?}"),
            }
        };
        let name = match message.response.as_ref().expect("a message says something") {
            Response::RequestHeaders(_) => "head".to_owned(),
            Response::ResponseHeaders(_) => "Head".to_owned(),
            Response::RequestBody(answer) => body(answer),
            Response::ResponseBody(answer) => body(answer),
            Response::RequestTrailers(_) | Response::ResponseTrailers(_) => "trailers".to_owned(),
            other => format!("{other:?}"),
        };
        name + if message.dynamic_metadata.is_some() { " meta" } else { "" }
    };
    messages.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[test]
fn bodies_are_cut_at_64_kib() {
    for (size, expected) in [
        (1, "head, 1 end"),
        (65_535, "head, 65535 end"),
        (65_536, "head, 65536 end"),
        (65_537, "head, 65536, 1 end"),
        (131_072, "head, 65536, 65536 end"),
        (131_073, "head, 65536, 65536, 1 end"),
    ] {
        let mut writer = Writer::default();
        writer.request_head(false);
        assert_eq!(shape(&written(&mut writer, forward(&vec![b'x'; size]))), expected);
    }
}

#[test]
fn a_body_ends_as_the_other_side_ended_it() {
    let mut writer = Writer::default();
    writer.request_head(false);
    writer.request_trailers();
    assert_eq!(shape(&written(&mut writer, forward(b"abc"))), "head, 3, trailers");
    assert_eq!(shape(&written(&mut writer, emit(b"abc", false))), "3 meta");
    writer.response_trailers();
    assert_eq!(shape(&written(&mut writer, emit(b"abc", true))), "3, trailers meta");
    assert_eq!(shape(&written(&mut writer, emit(b"", true))), "trailers meta");
    let mut writer = Writer::default();
    assert_eq!(shape(&written(&mut writer, emit(b"", true))), "0 end meta");
    assert_eq!(shape(&written(&mut writer, emit(&[b'x'; 65_537], true))), "65536, 1 end meta");
}

#[test]
fn a_request_without_a_body_gets_none_and_keeps_its_length() {
    let mut writer = Writer::default();
    writer.request_head(true);
    let messages = written(&mut writer, Action::Forward { head: Edits::default(), body: Vec::new() });
    assert_eq!((shape(&messages).as_str(), set_headers(&messages[0])), ("head", Vec::new()));
}

/// `(name, value)` of what a head sets; `-name` of what it removes.
fn set_headers(message: &ProcessingResponse) -> Vec<(String, String)> {
    let (Some(Response::RequestHeaders(answer)) | Some(Response::ResponseHeaders(answer))) = &message.response else {
        panic!("no head: {message:?}")
    };
    let mutation = answer.response.as_ref().and_then(|common| common.header_mutation.clone()).unwrap_or_default();
    let set = mutation.set_headers.into_iter().map(|option| {
        let field = option.header.expect("a header");
        (field.key, String::from_utf8_lossy(&field.raw_value).into_owned())
    });
    set.chain(mutation.remove_headers.into_iter().map(|name| (format!("-{name}"), String::new()))).collect()
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[test]
fn the_length_is_that_of_what_is_sent() {
    let mut writer = Writer::default();
    writer.request_head(false);
    let set = set_headers(&written(&mut writer, forward(b"four"))[0]);
    assert_eq!(set, [pair("content-length", "4")]);
    writer.request_trailers();
    let set = set_headers(&written(&mut writer, forward(b"four"))[0]);
    assert_eq!(set, [pair("-content-length", "")], "what the caller stated may not leave");
    for (length, expected) in [
        (Length::Kept, Vec::new()),
        (Length::Unknown, vec![pair("-content-length", "")]),
        (Length::Exactly(9), vec![pair("content-length", "9")]),
    ] {
        let head = Action::Head(Edits { length, ..Edits::default() });
        assert_eq!(set_headers(&written(&mut Writer::default(), head)[0]), expected);
    }
}

#[test]
fn what_is_no_header_is_not_set_and_a_secret_is() {
    let mut head = Edits::default();
    let names = ["a b", "", "host", "Host", "content-length", "transfer-encoding", "connection", ":path", "x\r\ny"];
    names.into_iter().for_each(|name| head.set(name, "v"));
    head.set("x-bad", "a\r\nx-evil: 1");
    head.set("x-nul", "a\0b");
    head.set("x-good", "v");
    let secret = Value::Secret { prefix: "Bearer ", secret: Secret::new("s3cret") };
    head.set.push(("authorization".into(), secret));
    let set = set_headers(&written(&mut Writer::default(), Action::Head(head))[0]);
    assert_eq!(set, [pair("x-good", "v"), pair("authorization", "Bearer s3cret")]);
    let headers = vec![("x-bad".into(), "a\nb".into()), ("x-good".into(), "v".into())];
    let local = Local { status: 503, headers, body: bytes("{}"), meta: Meta::new() };
    let Some(Response::ImmediateResponse(answer)) =
        &written(&mut Writer::default(), Action::Respond(local))[0].response
    else {
        panic!("a local answer")
    };
    let set = &answer.headers.as_ref().expect("headers").set_headers;
    assert_eq!(set.len(), 1, "{set:?}");
}

// === what comes in ===

/// What is read of a message from the wire.
fn read(message: ProcessingRequest, writer: &mut Writer) -> Option<Event> {
    let bytes = message.encode_to_vec();
    weir::extproc::read(Incoming::decode(&mut &bytes[..]).expect("what is written can be read"), writer)
}

fn message(request: Request) -> ProcessingRequest {
    ProcessingRequest { request: Some(request), ..ProcessingRequest::default() }
}

fn head(list: &[(&str, &str)], end_of_stream: bool) -> HttpHeaders {
    let field = |(name, value): &(&str, &str)| HeaderValue {
        key: (*name).to_owned(),
        raw_value: value.as_bytes().to_vec(),
        ..HeaderValue::default()
    };
    let headers = Some(HeaderMap { headers: list.iter().map(field).collect() });
    HttpHeaders { headers, end_of_stream, ..HttpHeaders::default() }
}

#[test]
fn messages_are_read() {
    let mut writer = Writer::default();
    let value = |text: &str| PbValue { kind: Some(Kind::StringValue(text.to_owned())) };
    let attributes = Struct { fields: [("source.address".to_owned(), value("10.0.0.1:5"))].into_iter().collect() };
    let list = [(":method", "POST"), (":path", "/x?y"), (":authority", "h"), (":scheme", "http"), ("a", "1")];
    let mut request = message(Request::RequestHeaders(head(&list, false)));
    request.attributes = [("envoy.filters.http.ext_proc".to_owned(), attributes)].into_iter().collect();
    let Some(Event::Request(read_head, false)) = read(request, &mut writer) else { panic!("a request") };
    assert_eq!(
        (read_head.method.as_str(), read_head.path.as_str(), read_head.authority.as_str()),
        ("POST", "/x?y", "h")
    );
    assert_eq!(read_head.headers, headers(&[("a", "1")]));
    assert_eq!(read_head.facts.source.as_deref(), Some("10.0.0.1:5"));
    let body = HttpBody { body: b"b".to_vec(), ..HttpBody::default() };
    let read_body = read(message(Request::RequestBody(body)), &mut writer);
    assert_eq!(read_body, Some(Event::RequestBody(bytes("b"), false)));
    let response = message(Request::ResponseHeaders(head(&[(":status", "204"), ("b", "2")], true)));
    let expected = Event::Response(super::support::response(204, &[("b", "2")]), true);
    assert_eq!(read(response, &mut writer), Some(expected));
    assert_eq!(read(ProcessingRequest::default(), &mut writer), None);
}

#[test]
fn trailers_end_a_body_and_are_remembered() {
    let mut writer = Writer::default();
    let _ = read(message(Request::RequestHeaders(head(&[], false))), &mut writer);
    let end = read(message(Request::RequestTrailers(HttpTrailers::default())), &mut writer);
    assert_eq!(end, Some(Event::RequestBody(Bytes::new(), true)));
    assert_eq!(shape(&written(&mut writer, forward(b"abc"))), "head, 3, trailers");
    let end = read(message(Request::ResponseTrailers(HttpTrailers::default())), &mut writer);
    assert_eq!(end, Some(Event::Chunk(Bytes::new(), true)));
    assert_eq!(shape(&written(&mut writer, emit(b"abc", true))), "3, trailers meta");
}

#[test]
fn a_whole_exchange_with_trailers_both_ways() {
    let mut world = World::new(policy());
    (world.envoy.request_trailers, world.envoy.response_trailers) = (true, true);
    world.call(CHAT, chat(true)).send(Event::Response(sse(), false)).send(Event::Chunk(bytes(STREAM), false));
    world.send(Event::Chunk(Bytes::new(), true)).end();
    assert_eq!((world.envoy.upstream.ended, world.envoy.client.ended), (Some(End::Trailers), Some(End::Trailers)));
    assert_eq!(world.client(), UNASKED);
    let last = world.envoy.messages.last().expect("messages");
    assert!(last.dynamic_metadata.is_some(), "the last message tells the outcome");
}

/// A response that has trailers and no body gets no body message where Envoy holds it whole: what takes the place
/// of nothing is an answer of its own, and no empty success.
#[test]
fn an_empty_body_with_trailers_is_no_empty_success() {
    let call = |mode, status| {
        let mut world = World::in_mode(crossing(), mode);
        world.envoy.response_trailers = true;
        world.call(CHAT, chat(false));
        world.reply(super::support::response(status, &[("content-type", "application/json")]), "").end();
        world
    };
    for (status, code) in [(200, 502), (429, 429), (503, 503)] {
        let world = call(BodyMode::Buffered, status);
        let said: serde_json::Value = serde_json::from_str(&world.client()).expect("an error as JSON");
        assert!(said["error"]["message"].is_string(), "{said}");
        assert_eq!((world.envoy.client.status, world.client_header("content-type")), (code, Some("application/json")));
        assert_eq!(world.record().status, code, "{status}");
    }
    // Here the head has gone on, so that nothing is left but to cut.
    let world = call(BodyMode::BufferedStreamed, 200);
    assert!(world.envoy.client.cut, "{}", world.client());
}

/// A policy under which a chat of OpenAI's crosses.
fn crossing() -> weir::policy::Policy {
    use weir::target::{Backend, Serves, Targets};
    let backend = Backend { dialect: weir::llm::Dialect::Anthropic, ..backend("one", false) };
    weir::policy::Policy { targets: Targets::new(vec![(backend, Serves::default())], [].into()), ..policy() }
}
