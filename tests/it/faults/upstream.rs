//! Providers that break: nobody answers, the connection ends too early, the answer is a bomb or an
//! event beyond all measure. The client gets an error in its own dialect, or the bytes as they are.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use weir::render::envoy::BodyMode;

use super::rig::{BACKEND, Parts, Rig, ask, number};
use crate::support::envoy_stats::Exceptions;
use crate::support::proc;

/// What a raw upstream answers; it closes the connection then.
type Answer = Arc<Vec<u8>>;

/// A rig with one more backend, `raw`, behind which somebody answers every request with `answer`.
async fn with_raw(mode: BodyMode, answer: Vec<u8>) -> Rig {
    with_raw_that_speaks("OpenAI", mode, answer).await
}

async fn with_raw_that_speaks(dialect: &str, mode: BodyMode, answer: Vec<u8>) -> Rig {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let documents = format!(
        "{BACKEND}\n---\napiVersion: weir.dev/v1alpha1\nkind: LLMBackend\nmetadata: {{name: raw}}\n\
         spec: {{endpoint: 'http://{address}/v1', dialect: {dialect}, credentials: [{{type: None}}]}}\n"
    );
    let rig = Rig::start(Parts { documents, mode, ..Parts::default() }).await;
    let (count, answer) = (Arc::clone(&rig.elsewhere), Answer::new(answer));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = Answer::clone(&answer);
            let mut request = Vec::new();
            // The requests of these tests are small and end with the brace of their JSON.
            while !request.ends_with(b"}") {
                let mut piece = [0; 4096];
                match stream.read(&mut piece).await {
                    Ok(length @ 1..) => request.extend_from_slice(&piece[..length]),
                    _ => break,
                }
            }
            count.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(async move { drop(stream.write_all(&answer).await) });
        }
    });
    rig
}

/// An HTTP/1.1 answer that ends with its connection.
fn http(headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

async fn an_upstream_that_nobody_answers_is_an_error_in_the_clients_dialect(mode: BodyMode) {
    const NOBODY: &str = "
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: nobody}
spec: {endpoint: 'http://127.0.0.1:1/v1', dialect: OpenAI, credentials: [{type: None}]}
---
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: claude}
spec: {endpoint: 'http://127.0.0.1:1', dialect: Anthropic, credentials: [{type: None}]}
";
    let rig = Rig::start(Parts { documents: NOBODY.into(), mode, ..Parts::default() }).await;
    for stream in [false, true] {
        let answer = rig.chat(&[], &ask("nobody/alpha", stream)).await;
        assert!(answer.status == 503 && answer.complete, "{answer:?}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let error = &answer.json()["error"];
        assert_eq!((&error["code"], &error["type"]), (&json!("upstream_unavailable"), &json!("server_error")));
        assert!(error["message"].is_string() && error["param"].is_null(), "{error}");
        let record = rig.record_of(&answer).await;
        assert_eq!((&record["outcome"], &record["status"]), (&json!("OUTCOME_UPSTREAM_ERROR"), &json!(503)));
        assert_eq!((&record["refusal"], number(&record["costNanoUsd"])), (&json!("upstream_unavailable"), 0));
    }
    let messages = json!({"model": "claude/sonnet", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]});
    let answer =
        rig.post("/v1/messages", &[("anthropic-version", "2023-06-01")], messages.to_string().as_bytes()).await;
    assert!(answer.status == 503 && answer.complete, "{answer:?}");
    let error = answer.json();
    assert_eq!((&error["type"], &error["error"]["type"]), (&json!("error"), &json!("overloaded_error")), "{error}");
    rig.end(&Exceptions::default()).await;
}

async fn an_upstream_that_ends_before_its_answer_begins_is_an_error(mode: BodyMode) {
    let rig = with_raw(mode, Vec::new()).await;
    let answer = rig.chat(&[], &ask("raw/alpha", true)).await;
    assert!(answer.status == 503 && answer.complete, "{answer:?}");
    assert_eq!(answer.json()["error"]["code"], "upstream_unavailable");
    rig.record_of(&answer).await;
    rig.end(&Exceptions::default()).await;
}

async fn a_document_that_ends_in_the_middle_is_billed_by_what_went_through(mode: BodyMode) {
    let rig = Rig::start(Parts { mode, ..Parts::default() }).await;
    assert_eq!(rig.chat(&[("x-mock-tokens", "30")], &ask("alpha", false)).await.status, 200);
    rig.records_when(1).await;
    // The head is through before the body begins; else Envoy would say 502 in its place.
    let headers = [("x-mock-tokens", "200"), ("x-mock-ttft", "300"), ("x-mock-abort", "700")];
    let answer = rig.chat(&headers, &ask("alpha", false)).await;
    assert!(answer.status == 200 && !answer.complete, "{answer:?}");
    let record = rig.record_of(&answer).await;
    assert_eq!(
        (&record["outcome"], &record["usageSource"]),
        (&json!("OUTCOME_ABANDONED"), &json!("USAGE_SOURCE_ESTIMATED"))
    );
    let (billed, went) = (number(&record["usage"]["output"]), number(&record["bytes"]["response"]));
    assert!(went >= answer.body.len() as u64 && billed <= went / 5, "{billed} tokens in {went} bytes");
    assert_eq!(billed > 0, went > 300, "{record:#}");
    rig.end(&Exceptions::default()).await;
}

/// A document that says 1 token each way behind 96 MiB of text, in two codings.
fn bombs() -> [(&'static str, Vec<u8>); 2] {
    const EXPANDED: usize = 96 << 20;
    let document = [
        &b"{\"x\": \""[..],
        &vec![b'x'; EXPANDED],
        b"\", \"usage\": {\"prompt_tokens\": 1, \"completion_tokens\": 1}}",
    ]
    .concat();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&document).expect("in memory");
    let mut zstd = vec![0; 1 << 20];
    let length = zstd_safe::compress(&mut zstd[..], &document, 3).expect("it compresses well");
    zstd.truncate(length);
    [("gzip", gzip.finish().expect("in memory")), ("zstd", zstd)]
}

async fn a_decompression_bomb_passes_as_it_is_and_takes_no_memory(mode: BodyMode) {
    let kinds = ["application/json", "text/event-stream"];
    for ((coding, bomb), kind) in bombs().into_iter().flat_map(|bomb| kinds.map(|kind| (bomb.clone(), kind))) {
        let rig = with_raw(mode, http(&format!("content-type: {kind}\r\ncontent-encoding: {coding}\r\n"), &bomb)).await;
        assert_eq!(rig.chat(&[], &ask("main/alpha", true)).await.status, 200);
        let before = proc::peak_rss_bytes(rig.weir.id()).expect("it runs");
        let answer = rig.chat(&[("accept-encoding", coding)], &ask("raw/alpha", kind.ends_with("stream"))).await;
        assert!(answer.status == 200 && answer.complete && answer.body == bomb, "{coding} {kind}: {answer:?}");
        assert_eq!(answer.header("content-encoding"), Some(coding));
        let record = rig.record_of(&answer).await;
        assert_eq!(record["usageSource"], "USAGE_SOURCE_UNKNOWN", "{coding} {kind}: {record:#}");
        assert!(record["usage"].is_null() && record["costNanoUsd"].is_null(), "unknown is not zero: {record:#}");
        let grown = proc::peak_rss_bytes(rig.weir.id()).expect("it runs") - before;
        assert!(grown < 32 << 20, "{coding} {kind}: {grown} bytes more");
        rig.end(&Exceptions::default()).await;
    }
}

async fn an_event_beyond_all_measure_passes_as_it_is(mode: BodyMode) {
    let chunk = |text: &str| {
        let chunk = json!({"id": "c", "object": "chat.completion.chunk", "model": "alpha",
            "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": Value::Null}]});
        format!("data: {chunk}\n\n")
    };
    let usage =
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":9,\"total_tokens\":18}}\n\n";
    let stream = [&chunk("hello"), &chunk(&"y".repeat(3 << 20)), &chunk("bye"), usage, "data: [DONE]\n\n"].concat();
    let rig = with_raw(mode, http("content-type: text/event-stream\r\n", stream.as_bytes())).await;
    let mut body = ask("raw/alpha", true);
    body["stream_options"] = json!({"include_usage": true});
    let answer = rig.chat(&[], &body).await;
    assert!(answer.status == 200 && answer.complete, "{answer:?}");
    assert!(answer.body == stream.as_bytes(), "{} bytes of {} came", answer.body.len(), stream.len());
    let record = rig.record_of(&answer).await;
    assert_eq!(record["usageSource"], "USAGE_SOURCE_UNKNOWN", "{record:#}");
    rig.end(&Exceptions::default()).await;
}

/// Trailers and no body: Envoy sends no body of it where it holds bodies. What is said in its place arrives all
/// the same; behind a head that has gone on the client sees that the answer is not whole.
async fn an_answer_of_trailers_alone_is_no_empty_success(mode: BodyMode) {
    let answer = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\
                  connection: close\r\n\r\n0\r\nx-sum: 0\r\n\r\n";
    let rig = with_raw_that_speaks("Anthropic", mode, answer.as_bytes().to_vec()).await;
    let answer = rig.chat(&[], &ask("raw/alpha", false)).await;
    match mode {
        // The head was answered before anything was known: whether it has gone on is a matter of time.
        BodyMode::BufferedStreamed if !answer.complete => {}
        BodyMode::BufferedStreamed => {
            assert_eq!(answer.header("content-type"), Some("application/json"), "{answer:?}");
            assert_eq!(answer.json()["error"]["code"], "upstream_invalid_response", "{answer:?}");
        }
        _ => {
            assert_eq!((answer.status, answer.complete), (502, true), "{answer:?}");
            assert_eq!(answer.json()["error"]["code"], "upstream_invalid_response", "{answer:?}");
        }
    }
    rig.end(&Exceptions::default()).await;
}

every_mode!(
    an_upstream_that_ends_before_its_answer_begins_is_an_error,
    an_answer_of_trailers_alone_is_no_empty_success
);

every_mode!(
    an_upstream_that_nobody_answers_is_an_error_in_the_clients_dialect,
    a_decompression_bomb_passes_as_it_is_and_takes_no_memory,
    an_event_beyond_all_measure_passes_as_it_is
);

modes_that_stream!(a_document_that_ends_in_the_middle_is_billed_by_what_went_through);
