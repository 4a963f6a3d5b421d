//! What a provider receives: the caller's request with its credential exchanged and its model
//! renamed, and everything else as it was; and nothing of Weir's own.

use serde_json::{Value, json};

use weir::render::envoy::BodyMode;

use super::egress::{Egress, ONE_BACKEND};
use super::pair::{BOTH, Call, Protocol};
use crate::support::envoy_stats::Exceptions;
use crate::support::http1::{self, Request};
use crate::support::http2::{self, Client};

const KEY: &str = "sk-provider-7d1f0c2a";

/// Two backends that differ by their path, an alias, a signed pass-through.
const TWO_BACKENDS: &str = "\
apiVersion: weir.dev/v1alpha1
kind: LLMProfile
metadata: {name: default}
spec: {discovery: {environment: Disabled}, responseHeaders: [RequestId, Backend, Model]}
---
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: first}
spec: {endpoint: \"http://{mock}/first/v1\", dialect: OpenAI, credentials: [{type: APIKey, apiKey: {env: FIRST_KEY}}]}
---
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: second}
spec: {endpoint: \"http://{mock}/second\", dialect: OpenAI, credentials: [{type: Caller}]}
---
apiVersion: weir.dev/v1alpha1
kind: LLMRoute
metadata: {name: chat}
spec:
  rules:
  - {name: alias, matches: [{model: {value: fast}}], backends: [{name: first, model: gpt-4o-mini}]}
  - {name: second, matches: [{model: {type: Glob, value: \"s-*\"}}], backends: [{name: second}]}
  passthrough: {backend: first, paths: [\"/v1/files*\"]}
";

/// What the mock received of a call.
struct Seen(Value);

// === impl Seen ===

impl Seen {
    async fn of(call: &Call, protocol: Protocol, address: &str) -> Seen {
        let response = call.clone().with(&[("x-mock-echo", "1")]).send(protocol, address).await;
        assert_eq!(response.status, 200, "{response:?}");
        Seen(response.json())
    }

    /// Every value of a header.
    fn all(&self, name: &str) -> Vec<&str> {
        let headers = self.0["headers"].as_array().expect("a list of headers").iter();
        headers.filter(|pair| pair[0] == name).filter_map(|pair| pair[1].as_str()).collect()
    }

    fn names(&self) -> Vec<&str> {
        let headers = self.0["headers"].as_array().expect("a list of headers").iter();
        headers.filter_map(|pair| pair[0].as_str()).collect()
    }
}

fn chat(model: &str) -> Call {
    Call::chat(format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"hi"}}]}}"#))
}

async fn a_call_leaves_with_the_providers_key_and_without_the_callers(mode: BodyMode) {
    let egress = Egress::up_with(mode, TWO_BACKENDS, &[("FIRST_KEY", KEY)]).await;
    let credentials = [
        ("authorization", "Basic c2stb2YtdGhlLWNhbGxlcg=="),
        ("x-api-key", "sk-also"),
        ("api-key", "sk-azure"),
        ("x-goog-api-key", "sk-google"),
        ("cookie", "session=of-the-caller"),
    ];
    for protocol in BOTH {
        let seen = Seen::of(&chat("first/gpt-4o").with(&credentials), protocol, &egress.address).await;
        assert_eq!(seen.all("authorization"), [format!("Bearer {KEY}")], "{}", seen.0);
        assert!(!seen.0.to_string().contains("sk-of-the-caller"), "{}", seen.0);
        for (name, _) in &credentials[1..] {
            assert!(seen.all(name).is_empty(), "{name} has left: {}", seen.0);
        }
        assert_eq!((&seen.0["path"], &seen.0["method"]), (&json!("/first/v1/chat/completions"), &json!("POST")));
        assert_eq!(seen.all("host"), [egress.mock.addr().to_string()]);
        // The caller's own key goes on where the backend says so.
        let seen = Seen::of(&chat("s-any"), protocol, &egress.address).await;
        assert_eq!(seen.all("authorization"), ["Bearer sk-of-the-caller"], "{}", seen.0);
        assert_eq!(seen.0["path"], "/second/chat/completions");
        // What passes is signed where a rule names its path.
        let upload = Call { path: "/v1/files?purpose=batch", ..Call::chat("{}") };
        let seen = Seen::of(&upload, protocol, &egress.address).await;
        assert_eq!(seen.all("authorization"), [format!("Bearer {KEY}")], "{}", seen.0);
        assert_eq!(seen.0["path"], "/first/v1/files?purpose=batch");
    }
    for text in [egress.weir.written(), format!("{:?}", egress.ledger_of(6).await)] {
        assert!(!text.contains(KEY) && !text.contains("sk-of-the-caller"), "{text}");
    }
    egress.assert_clean(&Exceptions::default()).await;
}

async fn what_passes_without_a_rule_leaves_unsigned(mode: BodyMode) {
    let egress = Egress::up(mode, ONE_BACKEND).await;
    for protocol in BOTH {
        let upload = Call { path: "/v1/files", ..Call::chat("{}") };
        let seen = Seen::of(&upload, protocol, &egress.address).await;
        assert!(seen.all("authorization").is_empty(), "{}", seen.0);
        let seen = Seen::of(&chat("any"), protocol, &egress.address).await;
        assert!(seen.all("authorization").is_empty(), "{}", seen.0);
    }
    egress.assert_clean(&Exceptions::default()).await;
}

async fn nothing_of_weirs_own_arrives_and_a_caller_chooses_no_route(mode: BodyMode) {
    let egress = Egress::up_with(mode, TWO_BACKENDS, &[("FIRST_KEY", KEY)]).await;
    let forged = [
        ("x-weir-backend", "second"),
        ("x-weir-backend", "weir_extproc"),
        ("x-weir-role", "attempt"),
        ("x-weir-route", "second"),
        ("x-weir-attempt", "2"),
        ("x-weir-request-id", "00000000000000000000000000000000"),
        ("x-weir-cache", "bypass"),
        ("x-weir-tags", "team=a"),
        ("x-weir-explain", "1"),
        ("x-weir-unheard-of", "1"),
        ("x-envoy-retry-on", "5xx"),
        ("x-envoy-upstream-rq-timeout-ms", "1"),
    ];
    for protocol in BOTH {
        for call in [chat("first/gpt-4o"), Call { path: "/v1/files", ..Call::chat("{}") }] {
            let seen = Seen::of(&call.with(&forged), protocol, &egress.address).await;
            let own: Vec<_> = seen.names().into_iter().filter(|name| name.starts_with("x-weir-")).collect();
            assert!(own.is_empty(), "{own:?} arrived");
            let proxys: Vec<_> = seen.names().into_iter().filter(|name| name.starts_with("x-envoy-")).collect();
            assert!(proxys.is_empty(), "{proxys:?} arrived");
            assert!(seen.all("x-forwarded-proto").is_empty() && seen.all("x-forwarded-for").is_empty(), "{}", seen.0);
            assert!(seen.0["path"].as_str().is_some_and(|path| path.starts_with("/first/")), "{}", seen.0);
        }
        // Nor by its authority: the host is the backend's.
        let address = egress.mock.addr().to_string();
        let foreign = chat("first/gpt-4o").with(&[("host", "evil.example.com")]);
        if protocol == Protocol::Http1 {
            assert_eq!(Seen::of(&foreign, protocol, &egress.address).await.all("host"), [address]);
        }
        let answer = chat("first/gpt-4o").with(&forged).send(protocol, &egress.address).await;
        assert_eq!((answer.header("x-weir-backend"), answer.header("x-weir-model")), (Some("first"), Some("gpt-4o")));
        assert!(answer.header("x-weir-request-id").is_some_and(|id| !id.starts_with("00000000")), "{answer:?}");
    }
    egress.assert_clean(&Exceptions::default()).await;
}

async fn unknown_headers_survive_and_hop_by_hop_ones_do_not(mode: BodyMode) {
    let egress = Egress::up(mode, ONE_BACKEND).await;
    let kept = [
        ("openai-beta", "assistants=v2"),
        ("idempotency-key", "a b,c;d=\"e\""),
        ("user-agent", "OpenAI/Python 1.2.3"),
        ("x-stainless-lang", "python"),
        ("x-request-id", "theirs"),
        ("accept", "application/json"),
        ("x-empty", ""),
        ("x-long", &"long ".repeat(2000)),
        ("x-twice", "1"),
        ("x-twice", "2"),
    ];
    for protocol in BOTH {
        let seen = Seen::of(&chat("any").with(&kept), protocol, &egress.address).await;
        for (name, value) in kept {
            assert!(seen.names().contains(&name), "{name}: {}", seen.0);
            assert!(seen.all(name).join(",").contains(value.trim()), "{name}: {}", seen.0);
        }
    }
    let hop =
        [("connection", "close, x-hop"), ("x-hop", "1"), ("keep-alive", "timeout=5"), ("proxy-connection", "close")];
    let seen = Seen::of(&chat("any").with(&hop), Protocol::Http1, &egress.address).await;
    let text = Seen::of(&chat("any").with(&[("x-text", "caf\u{e9}")]), Protocol::Http1, &egress.address).await;
    assert_eq!(text.all("x-text"), ["caf\u{e9}"]);
    for name in ["x-hop", "keep-alive", "proxy-connection"] {
        assert!(seen.all(name).is_empty(), "{name}: {}", seen.0);
    }
    egress.assert_clean(&Exceptions::default()).await;
}

/// JSON that a parser would not give back as it was.
const ODD: &str = "{ \"a\" : 1e999,\"a\":-0.0 ,\t\"big\":123456789012345678901234567890,\r\n \"lone\":\"\\ud800\",\"esc\":\"\\u0041\\/\",\
    \"model\" : \"MODEL\", \"messages\":[{\"role\":\"user\",\"content\":\"\\u00e9 \u{e9} \\\"model\\\":\\\"x\\\"\",\"x\":{\"model\":\"y\",\"x\":null,\"x\":1.50}}],\
    \"temperature\":1.0,\"zero\":0e0,\"nested\":[[[{}]]] }  \n";

async fn every_byte_that_no_rule_edits_arrives(mode: BodyMode) {
    let egress = Egress::up_with(mode, TWO_BACKENDS, &[("FIRST_KEY", KEY)]).await;
    // The caller's model, and the one that leaves.
    let rows = [("fast", "gpt-4o-mini"), ("first/o3", "o3"), ("s-\\u0041", "s-\\u0041"), ("s-same", "s-same")];
    for protocol in BOTH {
        for (asked, left) in rows {
            let seen = Seen::of(&Call::chat(ODD.replace("MODEL", asked)), protocol, &egress.address).await;
            assert_eq!(seen.0["body"], ODD.replace("MODEL", left), "{asked}");
            assert_eq!(seen.all("content-length"), [ODD.replace("MODEL", left).len().to_string()]);
        }
    }
    // A length that lies is replaced, whatever the framing was.
    let headers = [("content-type", "application/json"), ("x-mock-echo", "1")];
    let request = Request { method: "POST", path: "/v1/chat/completions", headers: &headers };
    let body = ODD.replace("MODEL", "fast");
    let response = http1::exchange(&egress.address, "POST", &request.chunked(&[body.as_bytes()], &[])).await;
    let seen = Seen(response.expect("an answer").json());
    assert_eq!(seen.0["body"], ODD.replace("MODEL", "gpt-4o-mini"));
    assert!(seen.all("transfer-encoding").is_empty(), "{}", seen.0);
    egress.assert_clean(&Exceptions::default()).await;
}

async fn a_usage_event_is_asked_for_where_the_caller_did_not(mode: BodyMode) {
    let egress = Egress::up(mode, ONE_BACKEND).await;
    let rows = [
        (r#"{"model":"m","stream":true,"messages":[]}"#, true),
        (r#"{"model":"m","stream":true,"stream_options":{"include_usage":false,"x":1},"messages":[]}"#, true),
        (r#"{"model":"m","stream":true,"stream_options":{},"messages":[]}"#, true),
        (r#"{"model":"m","stream":true,"stream_options":null,"messages":[]}"#, true),
        (r#"{"model":"m","stream":true,"stream_options":{"include_usage":true},"messages":[]}"#, false),
        (r#"{"model":"m","stream":false,"messages":[]}"#, false),
        (r#"{"model":"m","messages":[]}"#, false),
    ];
    for (body, edited) in rows {
        let seen = Seen::of(&Call::chat(body), Protocol::Http1, &egress.address).await;
        let left = seen.0["body"].as_str().expect("a body");
        assert_eq!(left != body, edited, "{body} left as {left}");
        let json: Value = serde_json::from_str(left).expect("JSON");
        assert_eq!(json["stream_options"]["include_usage"] == true, edited || body.contains("true}"), "{left}");
    }
    egress.assert_clean(&Exceptions::default()).await;
}

async fn a_stated_length_is_never_wrong_where_trailers_follow(mode: BodyMode) {
    let egress = Egress::up_with(mode, TWO_BACKENDS, &[("FIRST_KEY", KEY)]).await;
    let mut client = Client::connect(&egress.address).await.expect("a connection");
    let body = ODD.replace("MODEL", "fast");
    let stated = body.len().to_string();
    let call = Call::chat("").with(&[("x-mock-echo", "1"), ("content-length", &stated)]);
    let (frames, fed) = http2::stream();
    frames.send(body.as_bytes());
    frames.trailers(&[("x-sum", "1")]);
    let response = client.exchange(call.http2(&egress.address, fed)).await.expect("an answer");
    let seen = Seen(response.json());
    assert_eq!(seen.0["body"], ODD.replace("MODEL", "gpt-4o-mini"), "{}", seen.0);
    assert_eq!(seen.0["trailers"], json!([["x-sum", "1"]]));
    egress.assert_clean(&Exceptions::default()).await;
}

every_mode!(
    a_call_leaves_with_the_providers_key_and_without_the_callers,
    what_passes_without_a_rule_leaves_unsigned,
    a_stated_length_is_never_wrong_where_trailers_follow
);

every_mode!(
    nothing_of_weirs_own_arrives_and_a_caller_chooses_no_route,
    unknown_headers_survive_and_hop_by_hop_ones_do_not,
    every_byte_that_no_rule_edits_arrives,
    a_usage_event_is_asked_for_where_the_caller_did_not
);
