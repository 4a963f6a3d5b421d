//! Answers whose head waits for their bill: the profile lists cost and tokens, so the head of a whole
//! answer is held until its body has been read, and is still the provider's.

use weir::render::envoy::BodyMode;

use super::egress::Egress;
use super::pair::{BOTH, Call, Protocol, assert_same, both};
use crate::support::envoy_stats::Exceptions;

const BILLED: &str = "\
apiVersion: weir.dev/v1alpha1
kind: LLMProfile
metadata: {name: default}
spec:
  discovery: {environment: Disabled}
  bodies: {maxResponseHold: 1Mi}
  responseHeaders: [RequestId, Backend, Model, Cost, Tokens]
---
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: mock}
spec:
  endpoint: \"http://{mock}/v1\"
  dialect: OpenAI
  credentials: [{type: None}]
  pricing: {models: [{model: m, input: \"1\", cacheRead: \"0.5\", output: \"2\"}]}
";

const ASK: &str = r#"{"model":"m","messages":[{"role":"user","content":"0123456789abcdef"}]}"#;
const STREAM: &str = r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"0123456789abcdef"}]}"#;

/// What the profile adds, which the provider does not send.
const ADDED: &[&str] = &["x-weir-backend", "x-weir-model", "x-weir-cost-usd", "x-weir-tokens"];

/// A name, a body, what the mock is ordered to do, and the tokens that the head names.
type Row<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], Option<&'a str>);

async fn a_whole_answer_says_what_it_cost(mode: BodyMode) {
    let egress = Egress::up(mode, BILLED).await;
    let long = (2_u32 << 20).to_string();
    let rows: &[Row] = &[
        ("whole", ASK, &[("x-mock-tokens", "10")], Some("input=4, cached=0, output=10, reasoning=0")),
        (
            "cached",
            ASK,
            &[("x-mock-cached", "3"), ("x-mock-tokens", "1")],
            Some("input=4, cached=3, output=1, reasoning=0"),
        ),
        ("gzip", ASK, &[("x-mock-encoding", "gzip!")], Some("input=4, cached=0, output=32, reasoning=0")),
        (
            "trailed",
            ASK,
            &[("x-mock-trailers", "1"), ("te", "trailers")],
            Some("input=4, cached=0, output=32, reasoning=0"),
        ),
        ("stream", STREAM, &[], None),
        ("too-long", ASK, &[("x-mock-tokens", &long)], None),
        ("none", ASK, &[("x-mock-status", "204")], None),
    ];
    for (name, body, orders, tokens) in rows {
        let (direct, mut through) = both(&egress, Protocol::Http2, name, &Call::chat(*body).with(orders)).await;
        assert_eq!(through.header("x-weir-tokens"), *tokens, "{name}: {through:?}");
        assert_eq!(through.header("x-weir-cost-usd").is_some(), tokens.is_some(), "{name}: {through:?}");
        assert_eq!((through.header("x-weir-backend"), through.header("x-weir-model")), (Some("mock"), Some("m")));
        through.headers.retain(|(header, _)| !ADDED.contains(&header.as_str()));
        assert_same(name, &direct, &through);
    }
    for protocol in BOTH {
        let priced = Call::chat(ASK).with(&[("x-mock-tokens", "10")]).send(protocol, &egress.address).await;
        assert_eq!(priced.header("x-weir-cost-usd"), Some("0.000024000"), "{priced:?}");
        let refused = Call::chat(ASK).with(&[("x-mock-status", "429")]).send(protocol, &egress.address).await;
        assert_eq!((refused.status, refused.json()["error"]["code"].as_str()), (429, Some("rate_limit_exceeded")));
    }
    egress.assert_clean(&Exceptions::default()).await;
}

modes_that_hold!(a_whole_answer_says_what_it_cost);
