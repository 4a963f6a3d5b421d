//! The no-op processor answers every message by one that changes nothing but the route.

use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::HeaderMap;
use envoy_types::pb::envoy::service::ext_proc::v3::external_processor_client::ExternalProcessorClient;
use envoy_types::pb::envoy::service::ext_proc::v3::processing_request::Request as Asked;
use envoy_types::pb::envoy::service::ext_proc::v3::processing_response::Response as Answered;
use envoy_types::pb::envoy::service::ext_proc::v3::{
    BodyResponse, HeaderMutation, HttpBody, HttpHeaders, HttpTrailers, ProcessingRequest, body_mutation::Mutation,
};
use tokio::time::timeout;
use tokio_stream::StreamExt;
use tonic::transport::Endpoint;

use super::support::noop;

fn body(text: &str, end_of_stream: bool) -> HttpBody {
    HttpBody { body: text.into(), end_of_stream, ..HttpBody::default() }
}

fn echoed(answer: BodyResponse) -> (String, bool) {
    match answer.response.and_then(|common| common.body_mutation?.mutation) {
        Some(Mutation::StreamedResponse(streamed)) => {
            (String::from_utf8(streamed.body).expect("UTF-8"), streamed.end_of_stream)
        }
        other => panic!("not streamed: {other:?}"),
    }
}

#[tokio::test]
async fn every_message_is_answered_by_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("s");
    let (ready, when_ready) = tokio::sync::oneshot::channel();
    let path = socket.clone();
    tokio::spawn(async move { noop::serve(&path, || ready.send(()).expect("the test waits")).await });
    when_ready.await.expect("it listens");

    let endpoint = Endpoint::from_shared(format!("unix:{}", socket.display())).expect("a path");
    let channel = endpoint.connect().await.expect("connects");
    let asked = [
        Asked::RequestHeaders(HttpHeaders::default()),
        Asked::RequestBody(body("a", false)),
        Asked::RequestBody(body("", true)),
        Asked::ResponseHeaders(HttpHeaders { headers: Some(HeaderMap::default()), ..HttpHeaders::default() }),
        Asked::ResponseBody(body("b", false)),
        Asked::ResponseTrailers(HttpTrailers::default()),
    ];
    let messages = asked.map(|request| ProcessingRequest { request: Some(request), ..ProcessingRequest::default() });
    let call = ExternalProcessorClient::new(channel).process(tokio_stream::iter(messages)).await;
    let answers = call.expect("a stream").into_inner().map(|answer| answer.expect("an answer").response);
    let answers: Vec<_> = timeout(Duration::from_secs(20), answers.collect()).await.expect("the stream ends");
    let Ok([request, first, second, response, third, trailers]) = <[_; 6]>::try_from(answers) else {
        panic!("not one answer a message");
    };

    let Some(Answered::RequestHeaders(headers)) = request else { panic!("{request:?}") };
    let common = headers.response.expect("a route");
    let set = common.header_mutation.expect("a header").set_headers.remove(0).header.expect("a header");
    assert!(common.clear_route_cache);
    assert_eq!((set.key.as_str(), &set.raw_value[..]), (noop::ROUTE.0, noop::ROUTE.1.as_bytes()));
    let bodies = [(first, "a", false), (second, "", true)];
    for (answer, text, end) in bodies {
        let Some(Answered::RequestBody(answer)) = answer else { panic!("{answer:?}") };
        assert_eq!(echoed(answer), (text.into(), end));
    }
    let Some(Answered::ResponseHeaders(headers)) = response else { panic!("{response:?}") };
    assert_eq!(headers.response.and_then(|common| common.header_mutation), Some(HeaderMutation::default()));
    let Some(Answered::ResponseBody(third)) = third else { panic!("{third:?}") };
    assert_eq!(echoed(third), ("b".into(), false));
    assert!(matches!(trailers, Some(Answered::ResponseTrailers(_))));
}
