//! LLM calls through the egress, held against the same calls made directly: every answer is the
//! provider's own, byte for byte, over HTTP/1.1 and HTTP/2, streamed or not, good or bad.

use weir::render::envoy::BodyMode;

use super::egress::{Egress, ONE_BACKEND};
use super::pair::{BOTH, Call, Protocol, both, same};
use crate::support::envoy_stats::Exceptions;

const ASK: &str = r#"{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Say something."}]}"#;
const STREAM: &str = r#"{"model":"gpt-4o-mini","stream":true,"messages":[{"role":"user","content":"Say something."}]}"#;
const STREAM_USAGE: &str = r#"{"model":"gpt-4o-mini","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"Say something."}]}"#;
const STREAM_NO_USAGE: &str = r#"{"model":"gpt-4o-mini","stream":true,"stream_options":{"include_usage":false},"messages":[{"role":"user","content":"Say something."}]}"#;
const TOOLS: &str = r#"{"model":"gpt-4o","messages":[{"role":"user","content":"Look it up."}],"tools":[{"type":"function","function":{"name":"look_up","description":"Looks it up.","parameters":{"type":"object","properties":{"q":{"type":"string"}},"required":["q"]}}}],"tool_choice":"required"}"#;
const TOOLS_STREAM: &str = r#"{"model":"gpt-4o","stream":true,"messages":[{"role":"user","content":"Look it up."}],"tools":[{"type":"function","function":{"name":"look_up","parameters":{"type":"object"}}}],"tool_choice":"required"}"#;
const VISION: &str = r#"{"model":"gpt-4o","messages":[{"role":"user","content":[{"type":"text","text":"What is it?"},{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==","detail":"low"}}]}]}"#;
const TWO: &str = r#"{"model":"gpt-4o-mini","n":2,"messages":[{"role":"user","content":"Twice."}]}"#;
const TWO_STREAM: &str =
    r#"{"model":"gpt-4o-mini","n":2,"stream":true,"messages":[{"role":"user","content":"Twice."}]}"#;

/// A call that has the same answer either way.
struct Row {
    name: &'static str,
    body: &'static str,
    orders: &'static [(&'static str, &'static str)],
    status: u16,
    /// What the answer must hold, so that the row shows what it is there for.
    holds: &'static str,
}

const fn row(
    name: &'static str,
    body: &'static str,
    orders: &'static [(&'static str, &'static str)],
    status: u16,
    holds: &'static str,
) -> Row {
    Row { name, body, orders, status, holds }
}

const ROWS: &[Row] = &[
    row("whole", ASK, &[], 200, r#""prompt_tokens""#),
    row("two-choices", TWO, &[], 200, r#""index": 1"#),
    row("tools", TOOLS, &[], 200, "look_up"),
    row("vision", VISION, &[], 200, r#""prompt_tokens""#),
    row("usage-absent", ASK, &[("x-mock-usage", "absent")], 200, "chat.completion"),
    row("usage-null", ASK, &[("x-mock-usage", "null")], 200, r#""usage": null"#),
    row("broken-json", ASK, &[("x-mock-malformed", "json")], 200, "chat.completion"),
    row("cached", ASK, &[("x-mock-cached", "2"), ("x-mock-reasoning", "3")], 200, "reasoning_tokens"),
    row("stream", STREAM, &[], 200, "[DONE]"),
    row("stream-no-usage", STREAM_NO_USAGE, &[], 200, "[DONE]"),
    row("stream-usage", STREAM_USAGE, &[], 200, r#""usage":{"#),
    row("stream-two", TWO_STREAM, &[], 200, r#""index":1"#),
    row("stream-tools", TOOLS_STREAM, &[], 200, "look_up"),
    row("stream-usage-present", STREAM_USAGE, &[("x-mock-usage", "present")], 200, r#""usage":{"#),
    row("stream-usage-absent", STREAM, &[("x-mock-usage", "absent")], 200, "[DONE]"),
    row("stream-crlf", STREAM, &[("x-mock-sse", "crlf")], 200, "\r\n\r\n"),
    row("stream-cr", STREAM, &[("x-mock-sse", "cr")], 200, "\r\r"),
    row("stream-crlf-usage", STREAM_USAGE, &[("x-mock-sse", "crlf")], 200, "\r\n\r\n"),
    row("stream-comments", STREAM_USAGE, &[("x-mock-comment", "1")], 200, ": ping"),
    row("stream-cr-comments", STREAM_USAGE, &[("x-mock-sse", "cr"), ("x-mock-comment", "1")], 200, ": ping\r\r"),
    row("stream-no-newline", STREAM, &[("x-mock-final-newline", "0")], 200, "[DONE]"),
    row("stream-usage-no-newline", STREAM_USAGE, &[("x-mock-final-newline", "0")], 200, "[DONE]"),
    row("stream-broken-frame", STREAM, &[("x-mock-malformed", "frame")], 200, "[DONE]"),
    row("stream-error", STREAM, &[("x-mock-error-event", "4")], 200, r#""error":{"#),
    row("stream-error-first", STREAM, &[("x-mock-error-event", "0")], 200, r#""error":{"#),
    row("stream-no-done", STREAM, &[("x-mock-no-done", "1")], 200, r#""finish_reason":"stop""#),
    row("stream-one-chunk", STREAM, &[("x-mock-chunks", "1")], 200, "[DONE]"),
    row("stream-long", STREAM, &[("x-mock-tokens", "3000"), ("x-mock-chunk-tokens", "40")], 200, "[DONE]"),
    row("no-content", ASK, &[("x-mock-status", "204")], 204, ""),
    row("created", ASK, &[("x-mock-status", "201")], 201, "chat.completion"),
    row("e400", ASK, &[("x-mock-status", "400")], 400, "invalid_request_error"),
    row("e401", ASK, &[("x-mock-status", "401")], 401, "invalid_api_key"),
    row("e403", ASK, &[("x-mock-status", "403")], 403, "permission_denied"),
    row("e404", ASK, &[("x-mock-status", "404")], 404, "model_not_found"),
    row("e429", ASK, &[("x-mock-status", "429"), ("x-mock-retry-after", "7")], 429, "rate_limit_exceeded"),
    row("e500", ASK, &[("x-mock-status", "500")], 500, "server_error"),
    row("e503", ASK, &[("x-mock-status", "503")], 503, "service_unavailable"),
    row("e429-stream", STREAM, &[("x-mock-status", "429"), ("x-mock-retry-after", "7")], 429, "rate_limit_exceeded"),
    row("e500-stream", STREAM, &[("x-mock-status", "500")], 500, "server_error"),
];

async fn every_answer_is_the_providers_own(mode: BodyMode) {
    let egress = Egress::up(mode, ONE_BACKEND).await;
    for protocol in BOTH {
        for row in ROWS {
            let call = Call::chat(row.body).with(row.orders);
            let response = same(&egress, protocol, row.name, &call).await;
            assert_eq!(response.status, row.status, "{}: {response:?}", row.name);
            assert!(response.text().contains(row.holds), "{}: {response:?}", row.name);
            let retry_after =
                row.orders.iter().find(|(name, _)| *name == "x-mock-retry-after").map(|(_, value)| *value);
            assert_eq!(response.header("retry-after"), retry_after, "{}", row.name);
        }
    }
    let (through, direct) = (egress.mock.tally(), egress.direct.tally());
    assert_eq!((through.requests, &through.models), (direct.requests, &direct.models));
    assert_eq!(egress.ledger_of(ROWS.len() * 2).await.len(), ROWS.len() * 2);
    egress.assert_clean(&Exceptions::default()).await;
}

async fn other_endpoints_answer_as_the_provider_does(mode: BodyMode) {
    let egress = Egress::up(mode, ONE_BACKEND).await;
    let input = r#"{"model":"text-embedding-3-small","input":["one","two"],"encoding_format":"base64"}"#;
    let prompt = r#"{"model":"mock","prompt":"Once","max_tokens":5}"#;
    let prompt_stream = r#"{"model":"mock","prompt":"Once","max_tokens":5,"stream":true}"#;
    let calls = [
        ("embeddings", Call::post("/v1/embeddings", input)),
        ("completions", Call::post("/v1/completions", prompt)),
        ("completions-stream", Call::post("/v1/completions", prompt_stream)),
        ("unknown", Call::post("/v1/unheard/of?a=b&c=%20d", r#"{"any":"thing"}"#)),
        ("chat-query", Call { path: "/v1/chat/completions?api-version=1&x=%2F", ..Call::chat(ASK) }),
        ("no-prefix", Call { path: "/v1/files?purpose=batch", ..Call::bare("GET", "") }),
    ];
    for protocol in BOTH {
        for (name, call) in &calls {
            assert_eq!(same(&egress, protocol, name, call).await.status, 200, "{name}");
        }
    }
    // Without the client's own `/v1` the path still gets the backend's.
    let bare = Call { path: "/chat/completions", ..Call::chat(ASK) };
    assert_eq!(bare.send(Protocol::Http1, &egress.address).await.status, 200);
    assert_eq!(egress.mock.tally().paths.get("/v1/chat/completions"), Some(&3));
    egress.assert_clean(&Exceptions::default()).await;
}

async fn a_compressed_answer_arrives_as_it_was_sent(mode: BodyMode) {
    let egress = Egress::up(mode, ONE_BACKEND).await;
    let accepts = [("x-mock-encoding", "gzip"), ("accept-encoding", "gzip, br")];
    for protocol in BOTH {
        for (name, body) in [("gzip", ASK), ("gzip-stream-usage", STREAM_USAGE)] {
            let response = same(&egress, protocol, name, &Call::chat(body).with(&accepts)).await;
            assert_eq!(response.header("content-encoding"), Some("gzip"));
            assert!(response.body.starts_with(&[0x1f, 0x8b]), "{response:?}");
        }
        let forced = Call::chat(ASK).with(&[("x-mock-encoding", "gzip!")]);
        assert_eq!(same(&egress, protocol, "gzip-forced", &forced).await.header("content-encoding"), Some("gzip"));
        // Where Weir asks for the usage it asks for plain bytes too: what it adds it has to take out again.
        let (direct, through) = both(&egress, protocol, "gzip-stream", &Call::chat(STREAM).with(&accepts)).await;
        let plain = Call::chat(STREAM).with(&[("x-mock-id", "gzip-stream")]);
        let plain = plain.send(protocol, &egress.direct()).await;
        assert_eq!((direct.header("content-encoding"), through.header("content-encoding")), (Some("gzip"), None));
        assert_eq!(through.text(), plain.text());
    }
    let records = egress.ledger_of(8).await;
    let sources: Vec<_> = records.iter().map(|record| record["usageSource"].as_str()).collect();
    assert_eq!(sources, [Some("USAGE_SOURCE_PROVIDER"); 8], "{records:?}");
    egress.assert_clean(&Exceptions::default()).await;
}

every_mode!(every_answer_is_the_providers_own);

every_mode!(other_endpoints_answer_as_the_provider_does, a_compressed_answer_arrives_as_it_was_sent);
