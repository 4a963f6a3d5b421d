//! What is signed for AWS is what leaves, whatever was done to it on the way.

use std::sync::Arc;

use weir::base::secret::Secret;
use weir::credential::sigv4::Keys;
use weir::credential::{AwsKey, AwsPlace, Credential};
use weir::exchange::event::Event;
use weir::policy::Policy;

use super::policies::policy;
use super::support::*;
use crate::support::aws::Arrived;

fn keys() -> Keys {
    Keys { id: Secret::new("AKID"), secret: Secret::new("hush"), token: Some(Secret::new("tok")) }
}

fn signing() -> Policy {
    let place = AwsPlace { region: "us-east-1".into(), service: "bedrock" };
    let mut policy = policy();
    policy.credentials.set(0, Credential::Aws(AwsKey { name: "AWS/test".into(), keys: Arc::new(keys()), place }));
    policy
}

fn must_hold(world: &World, method: &str, body: &str) {
    let headers = &world.envoy.upstream.headers;
    let text = |value: &[u8]| String::from_utf8(value.to_vec()).expect("text");
    let all: Vec<(String, String)> = headers.iter().map(|(name, value)| (name.clone(), text(value))).collect();
    let (host, path) = (text(&headers[":authority"]), text(&headers[":path"]));
    let headers = all.iter().map(|(name, value)| (&**name, &**value)).collect();
    Arrived { method, host: &host, path: &path, headers, body: body.as_bytes() }.signed_at(&keys(), "us-east-1");
}

/// With the caller's own signature on it, which ends here.
fn head(method: &str, path: &str) -> weir::exchange::event::RequestHead {
    request(
        method,
        path,
        &[
            ("content-type", "application/json"),
            ("authorization", "AWS4-HMAC-SHA256 Credential=of-the-caller"),
            ("x-amz-date", "20200101T000000Z"),
            ("x-amz-security-token", "of-the-caller"),
            ("x-amz-content-sha256", "of-the-caller"),
            ("x-amzn-bedrock-trace", "ENABLED"),
        ],
    )
}

#[test]
fn a_call_is_signed_with_the_body_and_the_path_that_leave() {
    for stream in [false, true] {
        let mut world = World::new(signing());
        world.send(Event::Request(head("POST", "/v1/chat/completions?x=%3A&a=b"), false));
        world.send(Event::RequestBody(bytes(chat(stream)), true));
        let body = world.upstream();
        // A stream is asked for its usage, so the body is another one than the client's.
        assert_eq!(body != chat(stream), stream, "{body}");
        must_hold(&world, "POST", &body);
        assert_eq!(world.upstream_header("x-amz-content-sha256"), None);
        assert_eq!(world.upstream_header("x-amzn-bedrock-trace"), Some("ENABLED"));
        world.reply(json(), "{}").end();
        assert_eq!(world.record().credential.as_deref(), Some("AWS/test"));
    }
}

#[test]
fn what_passes_is_signed_where_it_has_no_body() {
    let mut bare = World::new(signing());
    bare.send(Event::Request(head("GET", "/v1/files?limit=2"), true));
    must_hold(&bare, "GET", "");
    bare.reply(json(), "{}").end();
    let mut upload = World::new(signing());
    upload.send(Event::Request(head("POST", "/v1/files"), false)).send(Event::RequestBody(bytes("{}"), true)).end();
    assert_eq!(upload.refused(), (503, "credential_unavailable".to_owned()));
    assert!(upload.client().contains("wants its bodies signed"), "{}", upload.client());
}
